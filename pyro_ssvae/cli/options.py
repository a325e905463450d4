"""Options that several commands have in common, and the data that they ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments.plan import DEFAULTS
from pyro_ssvae.recipes import KIND_OF

if TYPE_CHECKING:
    from pyro_ssvae.data import Dataset, Drawing
    from pyro_ssvae.data.draws import Labels
    from pyro_ssvae.experiments.pairs import Pair

Command = Callable[..., Any]
# The arguments of data.load that say how data of one's own are read, in training and later.
READING = ("target", "labels_are", "ignore", "size", "corrupt")

data_option = click.option(
    "--data", "data_name", default="digits", show_default=True,
    help="Data set: " + ", ".join(KIND_OF) + "; or a file of your own, FILE.npz or FILE.csv,"
    " or a folder of images, FOLDER/CLASS/*.png.",
)
test_option = click.option(
    "--test", type=float, default=None, metavar="SHARE",
    help="Share of the known labels in a file that is set aside for testing; default the file's"
    " test set, or 0.2.",
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


def reading_options(command: Command) -> Command:
    """The options that say how a file or a folder of one's own is read, those of :data:`READING`.
    """
    for option in reversed((
        click.option("--target", default=None, metavar="COLUMN",
                     help="Column of labels in FILE.csv."),
        click.option("--labels-are", type=click.Choice(["classes", "number"]), default=None,
                     help="What the labels in a file are where they may be either, such as whole"
                          " numbers; default a number for pairs that infer one."),
        click.option("--ignore", multiple=True, metavar="COLUMN,...",
                     callback=lambda context, option, value: _names(value),
                     help="Columns of FILE.csv to leave out; may be repeated."),
        click.option("--size", type=int, default=None, metavar="PIXELS",
                     help="Height and width that images of a folder, or of chexpert, are brought"
                          " to."),
        click.option("--corrupt", type=click.Choice(["error", "skip"]), default="error",
                     show_default=True,
                     help="What to do about broken images of a folder, or of chexpert."),
    )):
        command = option(command)
    return command


def data_options(command: Command) -> Command:
    for option in reversed((
        data_option,
        reading_options,
        test_option,
        click.option("--validation", type=int, default=None, metavar="NUMBER",
                     help="Examples for validation; default a number of the data set, a tenth of"
                          " the known labels in a file."),
        data_root_option,
        click.option("--only", default=None, metavar="CLASS,...",
                     help="Classes to tell apart; examples of others stay, unlabelled. A name with"
                          ' a comma in it stands in double quotes: \'"a, b",c\'.'),
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
        click.option("--measures", default=DEFAULTS["measures"], show_default=True,
                     help="Measures of what was trained: all, or few, which take little time."),
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
    data_name: str, data_root: str | None, test: float | None, validation: int | None,
    only: str | None, labels: str | None, draw: str, unlabelled: str | None,
    foreign: float | None, missing: float,
    *, reading: Mapping[str, Any], pairs: Iterable[Pair], log: Callable[[str], None],
) -> tuple[Dataset, Labels, Drawing]:
    """The data of a command, how many labels are kept, and how they are drawn.

    ``reading`` says how data of one's own are read, ``pairs`` are trained on them, and ``log``
    takes what is to be said of data of one's own.
    """
    from pyro_ssvae import data
    from pyro_ssvae.cli import values

    dataset = read_for(pairs, data_name, data_root, {**reading, "test": test})
    if only is not None:
        dataset = dataset.only(*values.names(only))
    if data_name not in data.SOURCES or dataset.notes:
        log(str(dataset))
    if labels is None:
        number: Labels = 50 if dataset.fully_known else "all"
    else:
        number = values.labels(labels)
    rest = None if unlabelled is None else values.labels(unlabelled)
    drawing: Any = {"draw": draw, "unlabelled": None if rest == "all" else rest,
                    "foreign": foreign, "missing": missing, "validation": validation}
    return dataset, number, drawing


def read_for(
    pairs: Iterable[Pair], data_name: str, data_root: str | None, reading: Mapping[str, Any]
) -> Dataset:
    """The data for pairs: the labels of a file are numbers where all pairs infer one.

    Raises:
        InputError: If the data cannot be read.
    """
    from pyro_ssvae import data
    from pyro_ssvae.contract import regresses

    how = dict(reading)
    if how["labels_are"] is None and data.files.is_file(data_name):
        how["labels_are"] = "number" if all(regresses(pair.guide) for pair in pairs) else None
    return data.load(data_name, data_root, **how)


def trained_on(
    folder: str, data_name: str | None, data_root: str | None, reading: Mapping[str, Any],
) -> Dataset | None:
    """The data that a run was trained on, where a command names them; None where it does not.

    Whether the labels in a file are classes or numbers is what they were for the run in the folder.

    Raises:
        InputError: If options say how to read data that are not named, or they cannot be read.
    """
    from pyro_ssvae import data

    if data_name is not None:
        return data.load(data_name, data_root, **_as_before(Path(folder), data_name, reading))
    for name in given(reading):
        raise InputError(
            f"expected --{name.replace('_', '-')} beside --data alone, which names what is read so,"
            " got no --data; give it too, or leave it out"
        )
    return None


def _as_before(folder: Path, data_name: str, reading: Mapping[str, Any]) -> dict[str, Any]:
    from pyro_ssvae.data import files
    from pyro_ssvae.experiments.recorded import read_description
    from pyro_ssvae.targets import Classes, Number

    if reading["labels_are"] is not None or not files.is_file(data_name):
        return dict(reading)
    try:
        target = read_description(folder).target
    except InputError:  # the run is read later, and says so
        return dict(reading)
    were = {Number: "number", Classes: "classes"}.get(type(target))
    return {**reading, "labels_are": were}


def given(reading: Mapping[str, Any]) -> list[str]:
    """The names of those options of :data:`READING` that were given."""
    return [name for name, value in reading.items() if value not in (None, (), "error")]


def of_reading(arguments: dict[str, Any]) -> dict[str, Any]:
    """Those arguments of a command that say how data are read, taken out of them."""
    return {name: arguments.pop(name) for name in READING}


def _names(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for text in texts for name in text.split(",") if name)


def of_data(arguments: dict[str, Any]) -> dict[str, Any]:
    """Those arguments of a command that say what the data are, taken out of them."""
    parameters = inspect.signature(given_data).parameters.values()
    names = [each.name for each in parameters if each.kind is not each.KEYWORD_ONLY]
    return {"reading": of_reading(arguments), **{name: arguments.pop(name) for name in names}}
