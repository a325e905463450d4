"""A data set in memory and its split into labelled, unlabelled, validation and test parts."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae.errors import InputError
from pyro_ssvae.files import write_text

PARTS = ("labelled", "unlabelled", "validation", "test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples with their classes.

    Attributes:
        name: what the data set is called.
        x: (N, D) floating point, finite.
        y: (N,) int64 class indices in 0..K-1.
        classes: K, the number of classes.
        test: (T,) int64 indices of the examples set aside for testing.
        validation: number of examples a split sets aside for validation by default.
        image_shape: (height, width) with height * width = D, or None where x is no image.
        defaults: options that a pair is built with on this data unless told otherwise.

    Raises:
        InputError: if shapes disagree, x is not finite, a label is outside 0..K-1, or test holds
            no indices of examples, each once.
    """

    name: str
    x: Tensor
    y: Tensor
    classes: int
    test: Tensor
    validation: int
    image_shape: tuple[int, int] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        x, y = self.x, self.y
        if x.dim() != 2 or y.shape != x.shape[:1]:
            raise InputError(
                f"{self.name}: expected x of shape (N, D) and y of shape (N,),"
                f" got {tuple(x.shape)} and {tuple(y.shape)}"
            )
        if not x.is_floating_point() or y.dtype != torch.int64:
            raise InputError(
                f"{self.name}: expected floating point x and int64 y, got {x.dtype} and {y.dtype}"
            )
        # In parts: the temporaries would take twice the memory of x.
        finite = torch.cat([rows.isfinite().all(dim=1) for rows in x.split(10_000)])
        if not finite.all():
            row = int((~finite).nonzero()[0])
            raise InputError(
                f"{self.name}: expected finite x, got NaN or infinity in"
                f" {int((~finite).sum())} of {len(x)} examples, the first at index {row}"
            )
        if len(y) and not (0 <= int(y.min()) and int(y.max()) < self.classes):
            raise InputError(
                f"{self.name}: expected labels in 0..{self.classes - 1},"
                f" got labels from {int(y.min())} to {int(y.max())}"
            )
        try:
            _check_indices("test indices", self.test, len(x))
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None
        if self.image_shape and self.image_shape[0] * self.image_shape[1] != x.shape[1]:
            raise InputError(
                f"{self.name}: expected an image shape of {x.shape[1]} pixels,"
                f" got {self.image_shape}"
            )

    def to(self, device: torch.device | str) -> Dataset:
        """The same data on another device."""
        moved = copy.copy(self)  # not replace(): what was checked once is not checked again
        for name in ("x", "y", "test"):
            object.__setattr__(moved, name, getattr(self, name).to(device))
        return moved

    def split(
        self, labels: int = 100, validation: int | None = None, seed: int = 0
    ) -> Split:
        """Draw a split: a class-balanced labelled part, validation, and the rest unlabelled.

        Args:
            labels: examples that keep their label, divided among the classes as evenly as it goes.
            validation: examples set aside for validation; None takes the data set's default.
            seed: of the draw. The test part is the same for every seed.

        Raises:
            InputError: if there is less than one label a class, a class has too few examples, or
                nothing is left unlabelled.
        """
        validation = self.validation if validation is None else validation
        if validation < 1:
            raise InputError(f"expected at least 1 validation example, got {validation}")
        if seed < 0:
            raise InputError(f"expected seed >= 0, got {seed}")
        if labels < self.classes:
            raise InputError(
                f"{self.name}: expected at least one label for each of {self.classes} classes,"
                f" got labels={labels}"
            )
        rng = np.random.default_rng(seed)
        pool = np.setdiff1d(np.arange(len(self.y)), self.test.cpu().numpy())
        if labels + validation >= len(pool):
            raise InputError(
                f"{self.name}: expected labels + validation < {len(pool)} so that examples are left"
                f" unlabelled, got {labels} + {validation}"
            )
        pool = rng.permutation(pool)
        held_out, rest = pool[:validation], pool[validation:]
        labelled = self._balanced(rest, labels, rng)
        return Split(
            self,
            labelled=torch.from_numpy(labelled),
            unlabelled=torch.from_numpy(np.setdiff1d(rest, labelled)),
            validation=torch.from_numpy(np.sort(held_out)),
            seed=seed,
        )

    def _balanced(
        self, shuffled: np.ndarray[Any, Any], labels: int, rng: np.random.Generator
    ) -> np.ndarray[Any, Any]:
        wanted = np.full(self.classes, labels // self.classes)
        wanted[rng.permutation(self.classes)[: labels % self.classes]] += 1
        y = self.y.cpu().numpy()[shuffled]
        drawn = []
        for k, n in enumerate(wanted):
            of_class = shuffled[y == k]
            if len(of_class) < n:
                hint = "ask for fewer labels" if len(of_class) else "classes count from 0"
                raise InputError(
                    f"{self.name}: labels={labels} needs {n} examples of class {k}, and the"
                    f" training part has {len(of_class) or 'none'}; {hint}"
                )
            drawn.append(of_class[:n])
        return np.sort(np.concatenate(drawn))


@dataclass(frozen=True, eq=False)
class Split:
    """Which examples of a data set are labelled, unlabelled and held out.

    Attributes:
        dataset: the data.
        labelled, unlabelled, validation: int64 indices into the data set, disjoint, none empty.
        seed: of the draw, at least 0.

    Raises:
        InputError: if a part is empty, an index is none of an example or stands twice.
    """

    dataset: Dataset
    labelled: Tensor
    unlabelled: Tensor
    validation: Tensor
    seed: int

    def __post_init__(self) -> None:
        parts = {name: getattr(self, name) for name in PARTS}
        for name, part in parts.items():
            if name != "test" and part.numel() == 0:
                raise InputError(f"expected at least one {name} example in a split, got none")
        _check_indices("indices", torch.cat(list(parts.values())), len(self.dataset.y))

    @property
    def test(self) -> Tensor:
        """int64 indices of the test examples."""
        return self.dataset.test

    def part(self, name: str) -> tuple[Tensor, Tensor]:
        """The x (n, D) and one-hot y (n, K) of one of :data:`PARTS`."""
        return self.examples(getattr(self, name))

    def examples(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The x (n, D) and one-hot y (n, K) at int64 indices (n,)."""
        x, y = self.dataset.x[index], self.dataset.y[index]
        return x, F.one_hot(y, self.dataset.classes).to(x.dtype)

    def to(self, device: torch.device | str) -> Split:
        """The same split with its data on another device."""
        moved = copy.copy(self)
        for name in ("dataset", "labelled", "unlabelled", "validation"):
            object.__setattr__(moved, name, getattr(self, name).to(device))
        return moved

    def save(self, path: str | Path) -> None:
        """Write the indices as JSON."""
        indices = {name: getattr(self, name).tolist() for name in PARTS}
        content = {"data": self.dataset.name, "seed": self.seed, **indices}
        write_text(path, json.dumps(content) + "\n")

    @classmethod
    def load(cls, path: str | Path, dataset: Dataset) -> Split:
        """Read a split written by :meth:`save`.

        Raises:
            InputError: if the file is no such split, or is one of another data set.
        """
        try:
            content = json.loads(Path(path).read_text())
            name, seed = content["data"], int(content["seed"])
            parts = {name: _indices(content[name]) for name in PARTS}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: expected a saved split, got {error!r}") from None
        if name != dataset.name:
            raise InputError(f"{path}: expected a split of {dataset.name}, got one of {name}")
        try:
            _check_indices("indices", torch.cat(list(parts.values())), len(dataset.y))
            test = parts.pop("test")
            return cls(replace(dataset, test=test), **parts, seed=seed)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None


def _indices(content: Any) -> Tensor:
    if not isinstance(content, list) or not all(type(index) is int for index in content):
        raise TypeError("expected lists of whole numbers")
    return torch.tensor(content, dtype=torch.int64)


def _check_indices(what: str, indices: Tensor, examples: int) -> None:
    distinct, counts = indices.unique(return_counts=True)
    outside = distinct[(distinct < 0) | (distinct >= examples)]
    again = distinct[counts > 1]
    wrong = [str(int(i)) for i in outside[:1]] + [f"{int(i)} more than once" for i in again[:1]]
    if wrong:
        raise InputError(f"expected disjoint {what} below {examples}, got {wrong[0]}")
