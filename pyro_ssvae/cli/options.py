"""Options that several commands have in common, and the data that they ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import click

from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments.plan import DEFAULTS
from pyro_ssvae.recipes import KIND_OF

if TYPE_CHECKING:
    from pyro_ssvae.data import Dataset, Drawing
    from pyro_ssvae.data.draws import Labels

Command = Callable[..., Any]

data_option = click.option(
    "--data", "data_name", default="digits", show_default=True,
    help="Data set: " + ", ".join(KIND_OF) + "; or a file of your own, FILE.npz or FILE.csv,"
    " or a folder of images, FOLDER/CLASS/*.png.",
)
target_option = click.option(
    "--target", default=None, metavar="COLUMN", help="Column of labels in FILE.csv.",
)
size_option = click.option(
    "--size", type=int, default=None, metavar="PIXELS",
    help="Height and width that images of a folder, or of chexpert, are brought to.",
)
corrupt_option = click.option(
    "--corrupt", type=click.Choice(["error", "skip"]), default="error", show_default=True,
    help="What to do about broken images of a folder, or of chexpert.",
)
data_root_option = click.option(
    "--data-root", type=click.Path(), default=None,
    help="Folder of data files; default $PYRO_SSVAE_DATA, else a cache folder.",
)
device_option = click.option(
    "--device", default=DEFAULTS["device"], show_default=True, help="auto, cpu or cuda.",
)
log_option = click.option(
    "--log", "tensorboard", type=click.Choice(["tensorboard"]), default=None,
    callback=lambda context, option, value: value is not None,
    help="Write losses, weights and validation of every epoch for TensorBoard, in each run's"
    " folder.",
)
figures_option = click.option(
    "--figures", "svg", type=click.Choice(["png", "svg"]), default="png", show_default=True,
    callback=lambda context, option, value: value == "svg",
    help="png for the screen, or svg for print too: it stands beside the PNG that a report shows.",
)


def data_options(command: Command) -> Command:
    for option in reversed((
        data_option,
        target_option,
        size_option,
        corrupt_option,
        data_root_option,
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


def training_options(command: Command) -> Command:
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
                     help="Compute updates by one graph: on, compiled; traced; off; or auto."),
        click.option("--precision", default=DEFAULTS["precision"], show_default=True,
                     help="Of matrix products in training: fp32 or bf16."),
        device_option,
        log_option,
        figures_option,
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


def given_data(
    data_name: str, data_root: str | None, target: str | None, size: int | None,
    corrupt: Literal["error", "skip"], only: str | None,
    labels: str | None, draw: str, unlabelled: str | None, foreign: float | None, missing: float,
    *, log: Callable[[str], None],
) -> tuple[Dataset, Labels, Drawing]:
    """The data of a command, how many labels are kept, and how they are drawn.

    ``log`` takes what is to be said of data of one's own.
    """
    from pyro_ssvae import data
    from pyro_ssvae.cli import values

    dataset = data.load(data_name, data_root, target=target, size=size, corrupt=corrupt)
    if only is not None:
        dataset = dataset.only(*only.split(","))
    if data_name not in data.SOURCES or dataset.notes:
        log(str(dataset))
    if labels is None:
        number: Labels = 50 if dataset.fully_known else "all"
    else:
        number = values.labels(labels)
    rest = None if unlabelled is None else values.labels(unlabelled)
    drawing: Any = {"draw": draw, "unlabelled": None if rest == "all" else rest,
                    "foreign": foreign, "missing": missing}
    return dataset, number, drawing


def trained_on(
    data_name: str | None, data_root: str | None, target: str | None, size: int | None,
    corrupt: Literal["error", "skip"],
) -> Dataset | None:
    """The data that a run was trained on, where a command names them; None where it does not.

    Raises:
        InputError: If options say how to read data that are not named, or they cannot be read.
    """
    from pyro_ssvae import data

    if data_name is not None:
        return data.load(data_name, data_root, target=target, size=size, corrupt=corrupt)
    given = {"--target": target is not None, "--size": size is not None,
             "--corrupt": corrupt != "error"}
    for option, came in given.items():
        if came:
            raise InputError(
                f"expected {option} beside --data alone, which names what is read so, got no"
                " --data; give it too, or leave it out"
            )
    return None


def of_data(arguments: dict[str, Any]) -> dict[str, Any]:
    """Those arguments of a command that say what the data are, taken out of them."""
    names = [name for name in inspect.signature(given_data).parameters if name != "log"]
    return {name: arguments.pop(name) for name in names}
