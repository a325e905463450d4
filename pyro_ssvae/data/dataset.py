"""A data set in memory."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.data import draws, indices
from pyro_ssvae.data.fingerprint import fingerprint
from pyro_ssvae.data.split import Split
from pyro_ssvae.errors import InputError, one_of
from pyro_ssvae.recipes import KINDS


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples with their classes, or with several labels each.

    Attributes:
        name: The name of the data set.
        x: The examples, (N, D), floating point and finite.
        y: The labels: (N,) int64 class indices in 0..K-1; or, multi-label, (N, L) int64 of 1
            (present), 0 (absent) and -1 (unknown).
        classes: The number of classes, K. Of multi-label data it is 2, the values of a label.
        test: The indices of the examples set aside for testing, (T,) int64.
        validation: The number of examples that a split sets aside for validation by default.
        image_shape: The (height, width) of images, with height * width = D. None where x is no
            image.
        kind: The kind of data, one of :data:`pyro_ssvae.recipes.KINDS`, whose options pairs are
            built with unless told otherwise; ``""`` is that of data of one's own.
        class_names: The names of the K classes or, multi-label, of the L labels, for figures. None
            where they have none but their numbers.

    Raises:
        InputError: if shapes disagree, x is not finite, a label is outside 0..K-1 (or -1..1), test
            holds no indices of examples, each once, there is another number of names, or no such
            kind of data.
    """

    name: str
    x: Tensor
    y: Tensor
    classes: int
    test: Tensor
    validation: int
    image_shape: tuple[int, int] | None = None
    kind: str = ""
    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        x, y = self.x, self.y
        if x.dim() != 2 or y.dim() not in (1, 2) or len(y) != len(x) or 0 in y.shape[1:]:
            raise InputError(
                f"{self.name}: expected x of shape (N, D) and y of shape (N,) or, multi-label,"
                f" (N, L), got {tuple(x.shape)} and {tuple(y.shape)}"
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
        if self.multilabel and self.classes != 2:
            raise InputError(
                f"{self.name}: expected classes=2 for multi-label y of shape (N, L), got"
                f" {self.classes}; one-hot classes are y.argmax(1)"
            )
        lowest = -1 if self.multilabel else 0
        if len(y) and not (lowest <= int(y.min()) and int(y.max()) < self.classes):
            raise InputError(
                f"{self.name}: expected labels in {lowest}..{self.classes - 1},"
                f" got labels from {int(y.min())} to {int(y.max())}"
            )
        try:
            indices.check("test indices", self.test, len(x))
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None
        if self.image_shape and self.image_shape[0] * self.image_shape[1] != x.shape[1]:
            raise InputError(
                f"{self.name}: expected an image shape of {x.shape[1]} pixels,"
                f" got {self.image_shape}"
            )
        named = y.shape[1] if self.multilabel else self.classes
        if self.class_names is not None and len(self.class_names) != named:
            raise InputError(
                f"{self.name}: expected class_names for {named}"
                f" {'labels' if self.multilabel else 'classes'}, got {len(self.class_names)}"
            )
        if self.kind:
            one_of("kind of data", self.kind, [kind for kind in KINDS if kind])

    @property
    def multilabel(self) -> bool:
        """Whether an example has L labels, each present, absent or unknown, in place of a class."""
        return self.y.dim() == 2

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the one-hot blocks of a y: (K,) of a class, (2,) * L of L labels."""
        return (2,) * self.y.shape[1] if self.multilabel else (self.classes,)

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 sum of all that pairs see: x, y, the number of classes, the image shape."""
        return fingerprint(self.x, self.y, about=f"{self.classes} {self.image_shape};")

    @cached_property
    def within_unit(self) -> bool:
        """Whether every x lies in [0, 1]."""
        return len(self.x) == 0 or bool(self.x.min() >= 0 and self.x.max() <= 1)

    def to(self, device: torch.device | str) -> Dataset:
        """The same data on another device."""
        moved = copy.copy(self)  # not replace(): what was checked once is not checked again
        for name in ("x", "y", "test"):
            object.__setattr__(moved, name, getattr(self, name).to(device))
        return moved

    def split(
        self,
        labels: int = 100,
        validation: int | None = None,
        seed: int = 0,
        missing: float = 0.0,
    ) -> Split:
        """Draw a split: a labelled part, validation, and the rest unlabelled.

        Classes are balanced in the labelled part. Combinations of labels cannot be: multi-label
        data are drawn at random from the examples that have a known label, and where some label
        would be there with one value only, examples of the other take the place of the last ones
        drawn.

        Args:
            labels: The number of examples that keep their label, divided among the classes as
                evenly as it goes.
            validation: The number of examples set aside for validation. None takes the data set's
                default.
            seed: The seed of the draw. The test part is the same for every seed.
            missing: The probability in [0, 1) with which each label of each labelled example is
                hidden, of multi-label data, independently of all others. A label that is rare may
                so lose a value altogether. Validation and test keep their labels.

        Raises:
            InputError: if there is less than one label a class, a class has too few examples,
                ``labels`` examples cannot show both values of every label, nothing is left
                unlabelled, or labels of single-label data are to be missing.
        """
        validation = self.validation if validation is None else validation
        self._check_split(labels, validation, seed, missing)
        rng = np.random.default_rng(seed)
        pool = np.setdiff1d(np.arange(len(self.y)), self.test.cpu().numpy())
        if labels + validation >= len(pool):
            raise InputError(
                f"{self.name}: expected labels + validation < {len(pool)} so that examples are left"
                f" unlabelled, got {labels} + {validation}"
            )
        pool = rng.permutation(pool)
        held_out, rest = pool[:validation], pool[validation:]
        y = self.y.cpu().numpy()
        try:
            if self.multilabel:
                labelled = draws.covering(rest, y[rest], labels)
            else:
                labelled = draws.balanced(rest, y[rest], labels, self.classes, rng)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None
        hidden = draws.hidden(labelled, y.shape, missing, rng) if missing else None
        return Split(
            self,
            labelled=torch.from_numpy(labelled),
            unlabelled=torch.from_numpy(np.setdiff1d(rest, labelled)),
            validation=torch.from_numpy(np.sort(held_out)),
            seed=seed,
            hidden=None if hidden is None else torch.from_numpy(hidden).to(self.y.device),
        )

    def _check_split(self, labels: int, validation: int, seed: int, missing: float) -> None:
        if validation < 1:
            raise InputError(f"expected at least 1 validation example, got {validation}")
        draws.check_seed(seed)
        if not 0 <= missing < 1:
            raise InputError(f"expected missing as a probability in [0, 1), got {missing}")
        if self.multilabel and labels < 1:
            raise InputError(f"{self.name}: expected at least 1 labelled example, got {labels}")
        if not self.multilabel and missing:
            raise InputError(
                f"{self.name}: expected missing=0 where an example has a single label, got"
                f" {missing}; ask for fewer labels"
            )
        if not self.multilabel and labels < self.classes:
            raise InputError(
                f"{self.name}: expected at least one label for each of {self.classes} classes,"
                f" got labels={labels}"
            )
