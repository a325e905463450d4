"""The commands of many runs: ``pyro-ssvae compare | study | reproduce``."""

from __future__ import annotations

from typing import Any

import click

from pyro_ssvae.cli.group import main
from pyro_ssvae.cli.options import (
    Command,
    data_options,
    data_root_option,
    given_data,
    of_data,
    training_options,
)
from pyro_ssvae.errors import InputError


def _processes(command: Command) -> Command:
    for option in reversed((
        click.option("--jobs", default=1, show_default=True, help="Processes that train."),
        click.option("--backend", default="loky", show_default=True,
                     help="What they are of: loky of this machine, dask or ray of a cluster."),
        click.option("--address", default=None, metavar="HOST:PORT",
                     help="Scheduler of the cluster; default one started on this machine."),
    )):
        command = option(command)
    return command


def _folder(command: Command) -> Command:
    for option in reversed((
        click.option("--out", type=click.Path(), required=True, help="Folder to write to."),
        click.option("--resume", is_flag=True, help="Go on with what is in the folder."),
        click.option("--overwrite", is_flag=True, help="Replace what is in the folder."),
    )):
        command = option(command)
    return command


@main.command()
@click.argument("models", nargs=-1, required=True)
@data_options
@click.option("--seeds", default="5", show_default=True, metavar="NUMBER",
              help="Number of splits, or their seeds, 0,3,5.")
@training_options
@_processes
def compare(
    models: tuple[str, ...], settings: tuple[str, ...], seeds: str, out: str, **arguments: Any
) -> None:
    """Train MODELS on the same splits; write a table and a report with figures.

    An option of one model is set by --set MODEL.NAME=VALUE. Several values, as in --set
    m2.alpha=1,10 or --labels 50,100, have a row each.
    """
    from pyro_ssvae import pair
    from pyro_ssvae.cli import values
    from pyro_ssvae.experiments import compare as comparison
    from pyro_ssvae.system.progress import say

    pairs = [pair(model) for model in models]
    options = values.of_comparison(settings, pairs)
    given = of_data(arguments)
    first, *others = values.several_labels(given["labels"])
    dataset, number, drawing = given_data(**given | {"labels": first})
    numbers = [number, *map(values.labels, others)]
    result = comparison.compare(
        pairs, dataset, out, labels=numbers, seeds=values.seeds(seeds), drawing=drawing,
        options=options, log=say, progress=True, **arguments,
    )
    click.echo("\n" + result.table)
    click.echo(f"The report is {result.report.resolve()}")


@main.command()
@click.argument("file", type=click.Path())
@_processes
@data_root_option
@_folder
def study(file: str, out: str, data_root: str | None, **arguments: Any) -> None:
    """Train a run for each of the settings that FILE, a Python file, calls `study`.

    Runs that have ended are not done again. One long table has a row for each.
    """
    from pyro_ssvae.experiments.files import settings_in
    from pyro_ssvae.experiments.study import study as carry_out
    from pyro_ssvae.system.progress import say

    results = carry_out(
        settings_in(file), out, root=data_root, progress=True, log=say, **arguments
    )
    click.echo(f"{len(results)} runs; their table is {out}/results.csv")


@main.command()
@click.argument("name", required=False)
@click.option("--out", type=click.Path(), default=None, help="Folder to write to.")
@click.option("--scale", default=1.0, show_default=True,
              help="Share of the epochs and of the draws.")
@click.option("--draws", type=int, default=None,
              help="Number of draws or trials, whatever the scale.")
@click.option("--jobs", default=1, show_default=True, help="Processes that compute.")
@data_root_option
@click.option("--resume", is_flag=True, help="Go on with what is in the folder.")
@click.option("--overwrite", is_flag=True, help="Replace what is in the folder.")
def reproduce(
    name: str | None, out: str | None, scale: float, draws: int | None, jobs: int,
    data_root: str | None, resume: bool, overwrite: bool,
) -> None:
    """Run a paper's claim again: NAME, or list them all.

    The results stand beside the published numbers, in a table and on a page with figures.
    """
    from pathlib import Path

    from pyro_ssvae.reproduce import studies, writing
    from pyro_ssvae.reproduce.work import Work
    from pyro_ssvae.system.progress import say

    if name is None:
        click.echo("\n".join(f"{each:22} {what}" for each, what in studies.NAMES.items()))
        return
    if out is None:
        raise InputError(f"expected a folder to write to, got none; give --out runs/{name}")
    work = Work(Path(out), scale, jobs, draws, data_root, progress=True, log=say)
    findings = studies.reproduce(name, work, resume=resume, overwrite=overwrite)
    for claim in findings.claims:
        click.echo(f"{writing.verdict(claim, full=work.full)}: {claim.text} {claim.because}")
    click.echo(f"The report is {(work.out / writing.REPORT).resolve()}")
