"""A split of a data set into labelled, unlabelled, validation and test parts."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pyro_ssvae.data import indices
from pyro_ssvae.data.draws import check_seed
from pyro_ssvae.data.fingerprint import fingerprint
from pyro_ssvae.data.reading import WORKERS, Reader
from pyro_ssvae.data.view import Part, View
from pyro_ssvae.errors import InputError
from pyro_ssvae.system.files import write_text
from pyro_ssvae.targets import Number, SeveralLabels, Target

if TYPE_CHECKING:
    from pyro_ssvae.data.dataset import Dataset

PARTS = ("labelled", "unlabelled", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Which examples of a data set are labelled, unlabelled and held out.

    Attributes:
        dataset: The data set.
        labelled: The int64 indices of the labelled examples. The parts are disjoint, and none is
            empty.
        unlabelled: The indices of the unlabelled examples.
        validation: The indices of the examples set aside for validation.
        seed: The seed of the draw, at least 0.
        hidden: The labels of labelled examples that :meth:`examples` gives as unknown, (N, L) bool.
            None where it hides none.

    Raises:
        InputError: if a part is empty, an index is none of an example or stands twice, or hidden
            has another shape than the labels or hides one of an example that is not labelled.
    """

    dataset: Dataset
    labelled: Tensor
    unlabelled: Tensor
    validation: Tensor
    seed: int
    hidden: Tensor | None = None

    def __post_init__(self) -> None:
        self._be_on(self.dataset.y.device)
        parts = {name: getattr(self, name) for name in PARTS}
        for name, part in parts.items():
            if name != "test" and part.numel() == 0:
                raise InputError(f"expected at least one {name} example in a split, got none")
        indices.check("indices", torch.cat(list(parts.values())), len(self.dataset.y))
        if self.hidden is not None:
            self._check_hidden(self.hidden)
        for name in ("labelled", "validation"):
            part = parts[name]
            without = part[~self.dataset.target.known(self.dataset.y[part])]
            if len(without):
                raise InputError(
                    f"expected {name} examples with a known label, got one without at index"
                    f" {int(without[0])}"
                )

    def _check_hidden(self, hidden: Tensor) -> None:
        y = self.dataset.y
        several = isinstance(self.dataset.target, SeveralLabels)
        if not several or hidden.shape != y.shape or hidden.dtype != torch.bool:
            raise InputError(
                f"expected hidden as booleans (N, L) beside labels y of shape (N, L), got"
                f" {hidden.dtype} {tuple(hidden.shape)} beside {tuple(y.shape)}"
            )
        elsewhere = hidden.any(dim=1)
        elsewhere[self.labelled] = False
        if elsewhere.any():
            raise InputError(
                "expected hidden labels of labelled examples only, got some of example"
                f" {int(elsewhere.nonzero()[0])}"
            )

    @property
    def test(self) -> Tensor:
        """int64 indices of the test examples."""
        return self.dataset.test

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 sum of the indices of the four parts and of the hidden labels."""
        hidden = () if self.hidden is None else (self.hidden,)
        return fingerprint(*(getattr(self, name) for name in PARTS), *hidden)

    @cached_property
    def target(self) -> Target:
        """What the labels are; a real number's standardised by those of the labelled part."""
        target = self.dataset.target
        if isinstance(target, Number):
            target = target.standardised(self.dataset.y[self.labelled])
        return target

    def part(self, name: str) -> tuple[Part, Tensor]:
        """The x (n, D) and y (n, S) of one of :data:`PARTS`, as :meth:`view` gives them."""
        return self.view(getattr(self, name))

    def view(self, index: Tensor) -> tuple[Part, Tensor]:
        """As :meth:`examples`, at indices (n,), but for x that is not in memory.

        That is a :class:`pyro_ssvae.data.view.View`, which reads no example until it is split or
        indexed.
        """
        x = self.dataset.x
        if isinstance(x, Reader):
            return View(x, index), self.labels(index)
        return self.examples(index)

    def examples(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The x (n, D) and encoded y (n, S) at int64 indices (n,), or (..., n) throughout.

        A class is one-hot (n, K). Several labels are (n, 2 L): a block (absent, present) for each,
        side by side. A real number is standardised, (n, 1). What is unknown or hidden is NaN.
        """
        return self.dataset.x[index], self.labels(index)

    def labels(self, index: Tensor) -> Tensor:
        """The encoded y (n, S) of :meth:`examples`."""
        y = self.dataset.y[index]
        if self.hidden is not None:
            y = y.masked_fill(self.hidden[index], -1)
        return self.target.encode(y, self._dtype)

    def possible(self, index: Tensor) -> Tensor | None:
        """What is known of the classes of examples, (..., n, K), 1 where it may be the class.

        None unless the labels are sets of classes.
        """
        return self.target.possible(self.dataset.y[index], self._dtype)

    @property
    def _dtype(self) -> torch.dtype:
        x = self.dataset.x
        return x.dtype if isinstance(x, (Tensor, Reader)) else torch.float32

    def to(self, device: torch.device | str, workers: int = WORKERS) -> Split:
        """The same split with its data on another device, see :meth:`Dataset.to`."""
        moved = copy.copy(self)
        object.__setattr__(moved, "dataset", self.dataset.to(device, workers))
        moved._be_on(device)
        return moved

    def _be_on(self, device: torch.device | str) -> None:
        for name in ("labelled", "unlabelled", "validation", "hidden"):
            if (tensor := getattr(self, name)) is not None:
                object.__setattr__(self, name, tensor.to(device))

    def save(self, path: str | Path) -> None:
        """Write the indices as JSON; hidden labels as pairs of an example and a label."""
        indices = {name: getattr(self, name).tolist() for name in PARTS}
        content = {"data": self.dataset.name, "seed": self.seed, **indices}
        if self.hidden is not None:
            content["hidden"] = self.hidden.nonzero().tolist()
        write_text(path, json.dumps(content) + "\n")

    @classmethod
    def load(cls, path: str | Path, dataset: Dataset) -> Split:
        """Read a split written by :meth:`save`.

        Raises:
            InputError: if the file is no such split, or is one of another data set.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            name, seed = content["data"], content["seed"]
            if type(seed) is not int:
                raise TypeError(f"expected a whole number as the seed, got {seed!r:.60}")
            check_seed(seed)
            parts = {name: indices.numbers(content[name]) for name in PARTS}
            pairs = indices.pairs(content["hidden"]) if "hidden" in content else None
        # A list nested too deep is a RecursionError, a number too large for int64 a RuntimeError.
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise InputError(f"{path}: expected a saved split, got {error!r}") from None
        if name != dataset.name:
            raise InputError(f"{path}: expected a split of {dataset.name}, got one of {name}")
        try:
            indices.check("indices", torch.cat(list(parts.values())), len(dataset.y))
            test = parts.pop("test").to(dataset.y.device)
            hidden = None if pairs is None else indices.mask(pairs, dataset.y)
            return cls(replace(dataset, test=test), **parts, seed=seed, hidden=hidden)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
