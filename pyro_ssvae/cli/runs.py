"""The commands of one run: ``pyro-ssvae list | train | evaluate``.

Torch and Pyro take seconds to import: every command imports what it needs, so that help, versions
and misspelt options come at once.
"""

from __future__ import annotations

from typing import Any

import click

from pyro_ssvae.cli.group import main
from pyro_ssvae.cli.options import (
    data_option,
    data_options,
    data_root_option,
    device_option,
    given_data,
    of_data,
    reading_options,
    trained_on,
    training_options,
)
from pyro_ssvae.cli.output import Output, output_options, refuse_alone
from pyro_ssvae.errors import enough_memory


@main.command("list")
@click.argument("model", required=False)
@data_option
@reading_options
@data_root_option
@output_options
def list_(
    model: str | None, data_name: str, data_root: str | None, output: Output, **reading: Any
) -> None:
    """List the pairs, or the options of MODEL: what they mean, and the values used on the data."""
    from pyro_ssvae.cli import listing

    if model is None:
        refuse_alone("a MODEL")
        output.result(listing.pairs(), listing.pairs_as_data())
    else:
        listed = listing.listed(model, data_name, data_root, reading)
        output.result(listing.options(listed), listing.as_data(listed))


@main.command()
@click.argument("model")
@data_options
@click.option("--seed", default=0, show_default=True, help="Of weights, batches and noise.")
@click.option("--split-seed", type=int, default=None, help="Of the split; default --seed.")
@training_options
@output_options
def train(
    model: str, split_seed: int | None, settings: tuple[str, ...], out: str, output: Output,
    **plan: Any,
) -> None:
    """Train MODEL and write metrics, history, split, checkpoint and figures.

    MODEL is one of `list`, or a pair of your own by its place, such as mypackage.module:mine.
    Several processes train together by `torchrun --nproc-per-node 2 -m pyro_ssvae train ...`.
    """
    from pyro_ssvae import pair
    from pyro_ssvae.cli import values
    from pyro_ssvae.experiments import runs
    from pyro_ssvae.system import processes

    which, given = pair(model), of_data(plan)
    options = values.of_pair(settings, which.known)
    drawn = plan["seed"] if split_seed is None else split_seed
    with processes.joined(), enough_memory(**options):
        with processes.agreed():
            dataset, labels, drawing = given_data(**given, pairs=[which], log=output.log)
            split = dataset.split(labels, seed=drawn, **drawing)
        metrics = runs.train(
            which, split, out, options=options, progress=output.progress, log=output.log, **plan
        )
    done = f"{metrics['updates']} updates in {metrics['seconds']:.1f} s; written to {out}"
    output.result("\n".join([*_lines(metrics["test"]), done]), metrics | {"folder": out})


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--data", "data_name", default=None,
              help="File or folder of your own that it was trained on, or another reading of it.")
@reading_options
@data_root_option
@device_option
@output_options
def evaluate(
    folder: str, data_name: str | None, data_root: str | None, device: str, output: Output,
    **reading: Any,
) -> None:
    """Print the test metrics of the run in DIR, from its checkpoint."""
    from pyro_ssvae.experiments import runs

    dataset = trained_on(folder, data_name, data_root, reading)
    run = runs.load(folder, dataset=dataset, root=data_root, device=device)
    metrics = runs.test_metrics(run, progress=output.progress)
    output.result("\n".join(_lines(metrics)), {"folder": folder, "test": metrics})


def _lines(metrics: dict[str, float | None]) -> list[str]:
    return [f"{name:24} {value:.6g}" for name, value in metrics.items() if value is not None]
