"""The commands of many runs: ``pyro-ssvae compare | study | reproduce``."""

from __future__ import annotations

from typing import Any

import click

from pyro_ssvae.cli.group import main
from pyro_ssvae.cli.options import (
    Command,
    data_options,
    data_root_option,
    figures_option,
    given_data,
    log_option,
    of_data,
    training_options,
)
from pyro_ssvae.cli.output import Output, output_options, refuse_alone
from pyro_ssvae.errors import InputError


together_option = click.option(
    "--together", default=1, show_default=True,
    help="Runs at most that are trained side by side as one program, which a GPU wants.",
)


def _processes(command: Command) -> Command:
    for option in reversed((
        click.option("--jobs", default=1, show_default=True, help="Processes that train."),
        click.option("--backend", default="loky", show_default=True,
                     help="What they are of: loky of this machine, dask or ray of a cluster."),
        click.option("--address", default=None, metavar="HOST:PORT",
                     help="Scheduler of the cluster; default one started on this machine."),
        together_option,
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
@output_options
def compare(
    models: tuple[str, ...], settings: tuple[str, ...], seeds: str, out: str, output: Output,
    **arguments: Any,
) -> None:
    """Train MODELS on the same splits; write a table and a report with figures.

    An option of one model is set by --set MODEL.NAME=VALUE. Several values have a row each, as in
    --set m2.alpha=1,10 or --labels 50,100.
    """
    from pyro_ssvae import pair
    from pyro_ssvae.cli import values
    from pyro_ssvae.experiments import compare as comparison

    pairs = [pair(model) for model in models]
    options = values.of_comparison(settings, pairs)
    given = of_data(arguments)
    first, *others = values.several_labels(given["labels"])
    dataset, number, drawing = given_data(
        **given | {"labels": first}, pairs=pairs, log=output.log
    )
    numbers = [number, *map(values.labels, others)]
    result = comparison.compare(
        pairs, dataset, out, labels=numbers, seeds=values.seeds(seeds), drawing=drawing,
        options=options, log=output.log, progress=output.progress, **arguments,
    )
    report = result.report.resolve()
    output.result(
        f"\n{result.table}\nThe report is {report}",
        {"folder": out, "runs": result.results, "report": str(report)},
    )


@main.command()
@click.argument("file", type=click.Path())
@_processes
@data_root_option
@log_option
@figures_option
@_folder
@output_options
def study(
    file: str, out: str, data_root: str | None, tensorboard: bool, svg: bool, output: Output,
    **arguments: Any,
) -> None:
    """Train a run for each of the settings that FILE, a Python file, calls `study`.

    Runs that have ended are not done again. One long table has a row for each.
    """
    from dataclasses import replace

    from pyro_ssvae.experiments.files import settings_in
    from pyro_ssvae.experiments.study import study as carry_out

    asked: Any = {"tensorboard": tensorboard, "svg": svg}
    also: Any = {name: True for name, wanted in asked.items() if wanted}
    settings = [replace(each, plan={**each.plan, **also}) for each in settings_in(file)]
    results = carry_out(
        settings, out, root=data_root, progress=output.progress, log=output.log, **arguments
    )
    table = f"{out}/results.csv"
    output.result(
        f"{len(results)} runs; their table is {table}",
        {"folder": out, "runs": results, "table": table},
    )


@main.command()
@click.argument("name", required=False)
@click.option("--out", type=click.Path(), default=None, help="Folder to write to.")
@click.option("--scale", default="1", show_default=True, metavar="SHARE",
              help="Share of the epochs and of the draws, 0.1; of a data set alone, 1,mnist=0.1.")
@click.option("--draws", default=None, metavar="NUMBER",
              help="Number of draws or trials, whatever the scale; of a data set alone, mnist=3.")
@click.option("--jobs", default=1, show_default=True, help="Processes that compute.")
@together_option
@data_root_option
@figures_option
@click.option("--resume", is_flag=True, help="Go on with what is in the folder.")
@click.option("--overwrite", is_flag=True, help="Replace what is in the folder.")
@output_options
def reproduce(
    name: str | None, out: str | None, scale: str, draws: str | None, jobs: int, together: int,
    data_root: str | None, svg: bool, resume: bool, overwrite: bool, output: Output,
) -> None:
    """Run a paper's claim again: NAME, or list them all.

    The results stand beside the published numbers, in a table and on a page with figures.
    """
    from pathlib import Path

    from pyro_ssvae.cli import values
    from pyro_ssvae.reproduce import studies, writing
    from pyro_ssvae.reproduce.work import Work

    if name is None:
        refuse_alone("the NAME of a study")
        lines = [f"{each:22} {what}" for each, what in studies.NAMES.items()]
        output.result("\n".join(lines), studies.NAMES)
        return
    if out is None:
        raise InputError(f"expected a folder to write to, got none; give --out runs/{name}")
    share, scales = values.by_data("--scale", scale, float)
    number, numbers = values.by_data("--draws", draws or "", int)
    work = Work(
        Path(out), 1.0 if share is None else share, jobs, number, data_root, svg,
        together=together, progress=output.progress, log=output.log, scales=scales, numbers=numbers,
    )
    findings = studies.reproduce(name, work, resume=resume, overwrite=overwrite)
    report = (work.out / writing.REPORT).resolve()
    about = writing.read(work.out)
    claims = [
        f"{writing.verdict(claim, about)}: {claim.text} {claim.because}"
        for claim in findings.claims
    ]
    output.result(
        "\n".join([*claims, f"The report is {report}"]), about | {"report": str(report)},
    )
