"""The command line: ``pyro-ssvae list | train | evaluate | compare``.

Torch and Pyro take seconds to import: every command imports what it needs, so that help, versions
and misspelt options come at once.
"""

from __future__ import annotations

import inspect
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import click

from pyro_ssvae import __version__
from pyro_ssvae.errors import InputError, NonFiniteLossError, enough_memory, one_of
from pyro_ssvae.experiments.plan import DEFAULTS
from pyro_ssvae.recipes import KIND_OF
from pyro_ssvae.system.signals import Interrupted, Signals

if TYPE_CHECKING:
    from pyro_ssvae.data import Dataset, Drawing
    from pyro_ssvae.data.draws import Labels

Command = Callable[..., Any]


class _InputFailure(click.ClickException):
    exit_code = 2


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _interruption(error: Interrupted, arguments: list[str]) -> str:
    """What was interrupted, and the command that goes on with it."""
    if arguments[:1] not in (["train"], ["compare"]):
        return str(error)
    words = [word for word in arguments if word not in ("--overwrite", "--resume")]
    return f"{error}; go on with: {shlex.join(['pyro-ssvae', *words, '--resume'])}"


@contextmanager
def _current_folder() -> Iterator[None]:
    """Find pairs of one's own in the current folder too, after all else."""
    path = list(sys.path)
    if "" not in path:
        sys.path.append("")
    try:
        yield
    finally:
        sys.path[:] = path


class _Commands(click.Group):
    """Shows what this library raises as one line: exit status 2 for input, 1 for a lost run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.obj = list(args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-"):
            one_of("command", args[0], self.commands)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with Signals(), enough_memory(), _current_folder():
                return super().invoke(ctx)
        except Interrupted as error:
            click.echo(_interruption(error, ctx.obj), err=True)
            ctx.exit(128 + error.number)  # as a shell has it
        except BrokenPipeError:
            # What reads the output, such as head, has enough: end as other programs do then.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGPIPE)
        except (InputError, OSError) as error:
            raise _InputFailure(_one_line(error)) from None
        except NonFiniteLossError as error:
            raise click.ClickException(_one_line(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Semi-supervised variational autoencoders as Pyro model/guide pairs."""


_data = click.option(
    "--data", "data_name", default="digits", show_default=True,
    help="Data set: " + ", ".join(KIND_OF) + "; or a file of your own, FILE.npz or FILE.csv,"
    " or a folder of images, FOLDER/CLASS/*.png.",
)
_target = click.option(
    "--target", default=None, metavar="COLUMN", help="Column of labels in FILE.csv.",
)
_size = click.option(
    "--size", type=int, default=None, metavar="PIXELS",
    help="Height and width that images of a folder, or of chexpert, are brought to.",
)
_corrupt = click.option(
    "--corrupt", type=click.Choice(["error", "skip"]), default="error", show_default=True,
    help="What to do about broken images of a folder, or of chexpert.",
)
_data_root = click.option(
    "--data-root", type=click.Path(), default=None,
    help="Folder of data files; default $PYRO_SSVAE_DATA, else a cache folder.",
)
_device = click.option(
    "--device", default=DEFAULTS["device"], show_default=True, help="auto, cpu or cuda.",
)


@main.command("list")
@click.argument("model", required=False)
@click.option("--data", "data_name", default="digits", show_default=True,
              help="Data set, one of those known by name.")
def list_(model: str | None, data_name: str) -> None:
    """List the pairs, or the options of MODEL: what they mean, and the values used on the data."""
    from pyro_ssvae.cli import listing

    click.echo(listing.pairs() if model is None else listing.options(model, data_name), nl=False)


def _data_options(command: Command) -> Command:
    for option in reversed((
        _data,
        _target,
        _size,
        _corrupt,
        _data_root,
        click.option("--only", default=None, metavar="CLASS,...",
                     help="Classes to tell apart; examples of others stay, unlabelled."),
        click.option("--labels", default=None, metavar="NUMBER",
                     help="Labelled examples: a number in all, all, or CLASS=NUMBER,...; default"
                          " 50, or all where some labels are unknown."),
        click.option("--draw", default="balanced", show_default=True,
                     help="How labels are divided among the classes: balanced or stratified."),
        click.option("--unlabelled", default=None, metavar="NUMBER",
                     help="Unlabelled examples: a number, or CLASS=NUMBER,...; default all."),
        click.option("--foreign", type=float, default=None,
                     help="Share of the unlabelled examples that are of no class of --only."),
        click.option("--missing", default=0.0, show_default=True,
                     help="Share of several labels an example that is hidden."),
    )):
        command = option(command)
    return command


def _training_options(command: Command) -> Command:
    for option in reversed((
        click.option("--epochs", default=DEFAULTS["epochs"], show_default=True,
                     help="Passes over the unlabelled data."),
        click.option("--batch-labelled", default=DEFAULTS["batch_labelled"], show_default=True,
                     help="Labelled examples in a batch."),
        click.option("--batch-unlabelled", default=DEFAULTS["batch_unlabelled"],
                     show_default=True, help="Unlabelled examples in a batch."),
        click.option("--patience", type=int, default=DEFAULTS["patience"],
                     help="Stop after so many epochs without better validation; keep the best."),
        click.option("--selections", is_flag=True,
                     help="Test the weights of the best validation accuracy, NLL and ELBO too."),
        click.option("--aggressive", is_flag=True,
                     help="Begin with aggressive training of the guide (He et al. 2019)."),
        click.option("--capture", default=DEFAULTS["capture"], show_default=True,
                     help="Compile updates to one graph: auto, on or off."),
        click.option("--precision", default=DEFAULTS["precision"], show_default=True,
                     help="Of matrix products in training: fp32 or bf16."),
        _device,
        click.option("--workers", default=DEFAULTS["workers"], show_default=True,
                     help="Processes that read images which are not in memory."),
        click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
                     help="Option of a pair, as `list MODEL` shows them; may be repeated."),
        click.option("--out", type=click.Path(), required=True, help="Folder to write to."),
        click.option("--resume", is_flag=True, help="Go on with what is in the folder."),
        click.option("--overwrite", is_flag=True, help="Replace what is in the folder."),
    )):
        command = option(command)
    return command


def _given_data(
    data_name: str, data_root: str | None, target: str | None, size: int | None,
    corrupt: Literal["error", "skip"], only: str | None,
    labels: str | None, draw: str, unlabelled: str | None, foreign: float | None, missing: float,
) -> tuple[Dataset, Labels, Drawing]:
    """The data of a command, how many labels are kept, and how they are drawn."""
    from pyro_ssvae import data
    from pyro_ssvae.cli import values
    from pyro_ssvae.system.progress import say

    dataset = data.load(data_name, data_root, target=target, size=size, corrupt=corrupt)
    if only is not None:
        dataset = dataset.only(*only.split(","))
    if data_name not in data.SOURCES or dataset.notes:
        say(str(dataset))
    if labels is None:
        number: Labels = 50 if dataset.fully_known else "all"
    else:
        number = values.labels(labels)
    rest = None if unlabelled is None else values.labels(unlabelled)
    drawing: Any = {"draw": draw, "unlabelled": None if rest == "all" else rest,
                    "foreign": foreign, "missing": missing}
    return dataset, number, drawing


def _of_data(arguments: dict[str, Any]) -> dict[str, Any]:
    """Those arguments of a command that say what the data are, taken out of them."""
    names = inspect.signature(_given_data).parameters
    return {name: arguments.pop(name) for name in names}


@main.command()
@click.argument("model")
@_data_options
@click.option("--seed", default=0, show_default=True, help="Of weights, batches and noise.")
@click.option("--split-seed", type=int, default=None, help="Of the split; default --seed.")
@_training_options
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

    which, given = pair(model), _of_data(plan)
    options = values.of_pair(settings, which.known)
    drawn = plan["seed"] if split_seed is None else split_seed
    dataset, labels, drawing = _given_data(**given)
    split = dataset.split(labels, seed=drawn, **drawing)
    with enough_memory(**options):
        metrics = runs.train(which, split, out, options=options, progress=True, log=say, **plan)
    _print_metrics(metrics["test"])
    click.echo(f"{metrics['updates']} updates in {metrics['seconds']:.1f} s; written to {out}")


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--data", "data_name", default=None,
              help="File or folder of your own that it was trained on, or another reading of it.")
@_target
@_size
@_corrupt
@_data_root
@_device
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


@main.command()
@click.argument("models", nargs=-1, required=True)
@_data_options
@click.option("--seeds", default=5, show_default=True, help="Number of splits.")
@_training_options
def compare(
    models: tuple[str, ...], settings: tuple[str, ...], out: str, **arguments: Any
) -> None:
    """Train MODELS on the same splits; write a table and a report with figures.

    An option of one model is set by --set MODEL.NAME=VALUE.
    """
    from pyro_ssvae import pair
    from pyro_ssvae.cli import values
    from pyro_ssvae.experiments import compare as comparison
    from pyro_ssvae.system.progress import say

    pairs = [pair(model) for model in models]
    options = values.of_comparison(settings, pairs)
    dataset, labels, drawing = _given_data(**_of_data(arguments))
    result = comparison.compare(
        pairs, dataset, out, labels=labels, drawing=drawing, options=options, log=say,
        progress=True, **arguments,
    )
    click.echo("\n" + result.table)
    click.echo(f"The report is {result.report.resolve()}")
