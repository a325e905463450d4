"""The classifier of a run as a plain function of torch, for where this library and Pyro are not."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, cast

import pyro
import torch
from torch import Tensor, nn

from pyro_ssvae import __version__, contract
from pyro_ssvae.data import Dataset
from pyro_ssvae.engine.noise import draws
from pyro_ssvae.errors import InputError
from pyro_ssvae.evaluation.temperature import tempered
from pyro_ssvae.experiments import predictor
from pyro_ssvae.experiments.pairs import Pair
from pyro_ssvae.experiments.predictor import Predictor, readable
from pyro_ssvae.inference.programs import evaluating, private_params
from pyro_ssvae.nn import Columns
from pyro_ssvae.system.files import check_place, replacing

METADATA = "metadata.json"
ROWS = 2  # of the example that is traced; 0 and 1 would stay what they are


def export(folder: str | Path, out: str | Path, *, pair: Pair | None = None) -> dict[str, Any]:
    """Write the classifier of a run as a program that ``torch.export.load`` reads, with no library.

    The program takes a batch of any size of what the pair was trained on, as the user has it, and
    gives what :meth:`Predictor.probabilities` does, calibrated where the run is. It takes float32
    numbers: whole ones as they were before they were scaled, images with their channels where they
    were. Of a data frame it takes float64 numbers, (n, C), with the columns in the order of the
    metadata: 0 or 1, the number itself, or the place of a category's level, and NaN for a gap.

    Args:
        folder: The folder that :func:`pyro_ssvae.experiments.runs.train` wrote the run to.
        out: The file to write, ``classifier.pt2``.
        pair: The pair, where it cannot be found by its name.

    Returns:
        The metadata, which is in the file too as ``metadata.json``, one of its ``extra_files``: the
        names of the classes, the shape of an example and its type, the columns of a frame.

    Raises:
        InputError: As :func:`pyro_ssvae.experiments.predictor.load`, if the name does not end with
            ``.pt2``, or the classifier draws samples, or computes what torch cannot export.
    """
    out = Path(out)
    if out.suffix != ".pt2":
        raise InputError(f"{out}: expected the name of a program, FILE.pt2, as torch.export has it")
    check_place(out)
    trained = predictor.load(folder, pair=pair, device="cpu")
    classifier = Classifier(trained).requires_grad_(False)
    metadata = _metadata(trained)
    with evaluating(classifier), private_params(), pyro.validation_enabled(False):
        example = classifier.example(ROWS)
        try:
            with _silence():
                program = torch.export.export(
                    classifier, (example,), dynamic_shapes=({0: torch.export.Dim("n", min=1)},)
                )
        except Exception as error:  # torch raises many, of what a network of one's own may do
            raise InputError(
                f"{folder}: expected a classifier that torch.export can trace, got:"
                f" {_in_a_line(error)}"
            ) from None
        _check(folder, classifier, program)
    buffer = io.BytesIO()  # torch's own writer ends the process where the disk is full
    extra = {METADATA: json.dumps(metadata, indent=2)}
    torch.export.save(program, buffer, extra_files=extra)
    with replacing(out) as temporary:
        temporary.write_bytes(buffer.getbuffer())
    return metadata


def _in_a_line(error: Exception) -> str:
    """What torch says, with what to do where the program is of one number of rows alone."""
    reason = " ".join(str(error).split())
    hint = "; use x.flatten(1) or x.shape[0] in place of len(x)" if "specialized" in reason else ""
    return f"{reason:.200}{hint}"


@contextmanager
def _silence() -> Iterator[None]:
    """Without what torch shows where it cannot trace something: the whole graph."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


class Classifier(nn.Module):
    """From examples as the user has them to what is predicted, as a function of tensors alone."""

    def __init__(self, trained: Predictor) -> None:
        super().__init__()
        self.objective = trained.objective
        self.dataset, self.target = trained.dataset, trained.target
        self.temperatures = trained.temperatures
        self.columns = None if self.dataset.columns is None else _Encoded(self.dataset.columns)

    def forward(self, x: Tensor) -> Tensor:
        """What is predicted, (n, P), of examples (n, ...)."""
        predict = contract.predictor(self.objective.guide)
        assert predict is not None
        predicted = self.target.predicted(predict(self._encoded(x)))
        if self.temperatures:
            predicted = tempered(predicted, self.target.sizes, self.temperatures)
        return readable(self.target, predicted).float()

    def example(self, rows: int) -> Tensor:
        """Some input of so many rows."""
        shape, dtype = _form(self.dataset)
        return torch.rand(rows, *shape, dtype=dtype)

    def _encoded(self, x: Tensor) -> Tensor:
        if self.columns is not None:
            return self.columns(x)
        if self.dataset.images and self.dataset.channels == "last":
            x = x.movedim(-1, 1)
        return x / self.dataset.divisor


class _Encoded(nn.Module):
    """Rows of a frame as vectors, as :mod:`pyro_ssvae.data.frames` encodes them."""

    def __init__(self, columns: Columns) -> None:
        super().__init__()
        self.plain, self.sizes = columns.numbers + columns.binaries, columns.sizes
        for name in ("loc", "scale"):
            numbers = [getattr(column, name) for column in columns.columns[:self.plain]]
            self.register_buffer(name, torch.tensor(numbers, dtype=torch.double))

    def forward(self, x: Tensor) -> Tensor:
        """(n, V + C) of the entries (n, C) of the columns, NaN where they are missing."""
        observed = ~x.isnan()
        loc, scale = cast(Tensor, self.loc), cast(Tensor, self.scale)
        numbers = (x[:, :self.plain] - loc) / scale
        blocks = [torch.where(observed[:, :self.plain], numbers, 0.0)]
        blocks += [
            (x[:, place:place + 1] == torch.arange(size, device=x.device)).double()
            for place, size in enumerate(self.sizes, self.plain)
        ]
        return torch.cat([*blocks, observed.double()], dim=-1).float()


def _form(dataset: Dataset) -> tuple[tuple[int, ...], torch.dtype]:
    """The shape and the type of an example of the user's."""
    if dataset.columns is not None:
        return (len(dataset.columns.columns),), torch.double
    if dataset.images and dataset.channels == "last":
        channels, height, width = dataset.shape
        return (height, width, channels), torch.float
    return dataset.shape, torch.float


def _metadata(trained: Predictor) -> dict[str, Any]:
    dataset = trained.dataset
    shape, dtype = _form(dataset)
    columns = [] if dataset.columns is None else [
        {"name": column.name, "kind": column.kind, "levels": list(column.levels)}
        for column in dataset.columns.columns
    ]
    number = not trained.target.sizes
    return {
        "data": dataset.name,
        "classes": [] if number else list(trained.target.names),
        "outputs": ["mean", "standard_deviation"] if number else list(trained.target.names),
        "exclusive": trained.target.exclusive,
        "shape": list(shape),
        "dtype": str(dtype).removeprefix("torch."),
        "largest": dataset.divisor,
        "columns": columns,
        "temperatures": list(trained.temperatures),
        "pyro_ssvae": __version__,
    }


def _check(folder: str | Path, classifier: Classifier, program: Any) -> None:
    """Raise :class:`InputError` unless a program is a function of x, and gives what is traced."""
    for node in program.graph.nodes:
        if draws(node.target):
            raise InputError(
                f"{folder}: expected a classifier that is a function of x, got"
                f" {type(classifier.objective.guide).__name__}'s, which averages over samples"
            )
    for rows in (1, ROWS + 1):
        x = classifier.example(rows)
        if not torch.allclose(program.module()(x), classifier(x), atol=1e-6):
            raise InputError(
                f"{folder}: expected a classifier whose operations are the same for all x, got"
                " other probabilities from the program that was traced"
            )
