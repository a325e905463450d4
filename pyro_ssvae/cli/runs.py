"""The commands of one run: ``pyro-ssvae list | train | evaluate``.

Torch and Pyro take seconds to import: every command imports what it needs, so that help, versions
and misspelt options come at once.
"""

from __future__ import annotations

from typing import Any, Literal

import click

from pyro_ssvae.cli.group import main
from pyro_ssvae.cli.options import (
    corrupt_option,
    data_options,
    data_root_option,
    device_option,
    given_data,
    of_data,
    size_option,
    target_option,
    training_options,
)
from pyro_ssvae.errors import enough_memory


@main.command("list")
@click.argument("model", required=False)
@click.option("--data", "data_name", default="digits", show_default=True,
              help="Data set, one of those known by name.")
def list_(model: str | None, data_name: str) -> None:
    """List the pairs, or the options of MODEL: what they mean, and the values used on the data."""
    from pyro_ssvae.cli import listing

    click.echo(listing.pairs() if model is None else listing.options(model, data_name), nl=False)


@main.command()
@click.argument("model")
@data_options
@click.option("--seed", default=0, show_default=True, help="Of weights, batches and noise.")
@click.option("--split-seed", type=int, default=None, help="Of the split; default --seed.")
@training_options
def train(
    model: str, split_seed: int | None, settings: tuple[str, ...], out: str, **plan: Any
) -> None:
    """Train MODEL and write metrics, history, split, checkpoint and figures.

    MODEL is one of `list`, or a pair of your own by its place, such as mypackage.module:Mine.
    """
    from pyro_ssvae import pair
    from pyro_ssvae.cli import values
    from pyro_ssvae.experiments import runs
    from pyro_ssvae.system.progress import say

    which, given = pair(model), of_data(plan)
    options = values.of_pair(settings, which.known)
    drawn = plan["seed"] if split_seed is None else split_seed
    dataset, labels, drawing = given_data(**given)
    split = dataset.split(labels, seed=drawn, **drawing)
    with enough_memory(**options):
        metrics = runs.train(which, split, out, options=options, progress=True, log=say, **plan)
    _print_metrics(metrics["test"])
    click.echo(f"{metrics['updates']} updates in {metrics['seconds']:.1f} s; written to {out}")


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--data", "data_name", default=None,
              help="File or folder of your own that it was trained on, or another reading of it.")
@target_option
@size_option
@corrupt_option
@data_root_option
@device_option
def evaluate(
    folder: str, data_name: str | None, target: str | None, size: int | None,
    corrupt: Literal["error", "skip"], data_root: str | None, device: str
) -> None:
    """Print the test metrics of the run in DIR, from its checkpoint."""
    from pyro_ssvae import data
    from pyro_ssvae.experiments import runs

    dataset = None
    if data_name is not None:
        dataset = data.load(data_name, data_root, target=target, size=size, corrupt=corrupt)
    run = runs.load(folder, dataset=dataset, root=data_root, device=device)
    _print_metrics(runs.test_metrics(run, progress=True))


def _print_metrics(metrics: dict[str, float | None]) -> None:
    for name, value in metrics.items():
        if value is not None:
            click.echo(f"{name:24} {value:.6g}")
