"""A data set."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pyro_ssvae.data import draws, indices
from pyro_ssvae.data.examples import Examples, check_finite, further, warn_beyond
from pyro_ssvae.data.fingerprint import fingerprint
from pyro_ssvae.data.images import Channels
from pyro_ssvae.data.reading import WORKERS, Reader
from pyro_ssvae.data.split import Split
from pyro_ssvae.errors import InputError, one_of, unknown, whole
from pyro_ssvae.nn import Columns, is_image
from pyro_ssvae.recipes import KINDS
from pyro_ssvae.targets import FOREIGN, Classes, Target


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples with their labels, of which some may be unknown.

    Attributes:
        name: The name of the data set.
        x: The examples, (N, D), floating point and finite; of images (N, C, H, W). Rows that do
            not fit in memory are read for the device of the labels, when they are wanted.
        y: The labels, a row for each example, as the target keeps them.
        target: What the labels are.
        test: The indices of the examples set aside for testing, (T,) int64. There may be none.
        validation: The number of examples that a split sets aside for validation by default.
        columns: What the columns of x are, where they are of several types or have gaps. None
            where all are numbers of one kind.
        divisor: The number that whole numbers of the input were divided by.
        channels: The place of the channels in images of the input; in x they are first.
        foreign: The indices of examples of no class of the target, (F,) int64, which are never
            labelled, and in no part of a split but the unlabelled one. None where there are none.
        kind: The kind of data, one of :data:`pyro_ssvae.recipes.KINDS`, whose options pairs are
            built with unless told otherwise; ``""`` is that of data of one's own.
        notes: What was made of the input that the data set was read from, a line each.
        known_extent: The smallest and the largest number of x, where the examples are missing.

    Raises:
        InputError: if shapes disagree, x is not finite, y are no labels of the target, test holds
            no indices of examples with known labels, each once, or there is no such kind of data.
    """

    name: str
    x: Tensor | Reader
    y: Tensor
    target: Target
    test: Tensor
    validation: int
    columns: Columns | None = None
    divisor: int = 1
    channels: Channels = "first"
    foreign: Tensor | None = None
    kind: str = ""
    notes: tuple[str, ...] = ()
    known_extent: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.x, (Tensor, Reader)):
            object.__setattr__(self, "x", Reader(self.x, self.y.device))
        x, y = self.x, self.y
        try:
            if len(x.shape) not in (2, 4) or y.dim() == 0 or len(y) != len(x):
                raise InputError(
                    "expected x of shape (N, D) or (N, C, H, W) and y with a row for each example,"
                    f" got {tuple(x.shape)} and {tuple(y.shape)}"
                )
            if isinstance(x, Tensor):
                _check_numbers(x)
            self.target.check(y)
            indices.check("test indices", self.test, len(x))
            unlabelled = self.test[~self.target.known(y[self.test])]
            if len(unlabelled):
                raise InputError(
                    "expected test examples with known labels, got one without at index"
                    f" {int(unlabelled[0])}"
                )
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None
        if self.kind:
            one_of("kind of data", self.kind, [kind for kind in KINDS if kind])

    def __str__(self) -> str:
        """What the data are, in a few lines."""
        known = int(self.target.known(self.y).sum())
        lines = [f"{len(self.x):,} examples, {known:,} of them with a known label, of which"
                 f" {len(self.test):,} for testing", *self.target.summary(self.y)]
        if self.foreign is not None:
            lines.append(f"{len(self.foreign):,} examples of other classes, unlabelled")
        if not isinstance(self.x, Tensor):
            lines.append(f"{self._about_one()}, read when they are wanted")
        elif self.columns is not None:
            lines += self.columns.summary(self.x)
        elif len(self.x):
            lines.append(f"{self._about_one()}, from {self.x.min():.4g} to {self.x.max():.4g}")
        return "\n  ".join([f"{self.name}:", *lines, *self.notes])

    def _about_one(self) -> str:
        if not self.images:
            return f"{self.shape[0]:,} numbers an example"
        channels, height, width = self.shape
        return f"images of {height} x {width} pixels with {channels} channel" + "s" * (channels > 1)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an example: (D,), or (C, H, W) of an image."""
        return tuple(self.x.shape[1:])

    @property
    def images(self) -> bool:
        """Whether the examples are images."""
        return is_image(self.shape)

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 sum of all that pairs see: x, y, the target, the columns."""
        about = f"{self.target} {self.columns};"
        if isinstance(self.x, Tensor):
            return fingerprint(self.x, self.y, about=about)
        return fingerprint(self.y, about=f"{self.x.fingerprint} {about}")

    @cached_property
    def extent(self) -> tuple[float, float] | None:
        """The smallest and the largest number of x, None where there are no examples."""
        if not isinstance(self.x, Tensor):
            return 0.0, 1.0  # pixels, divided by the largest
        if not len(self.x):
            return self.known_extent
        return float(self.x.min()), float(self.x.max())

    @cached_property
    def within_unit(self) -> bool:
        """Whether every x lies in [0, 1]."""
        return self.extent is None or (self.extent[0] >= 0 and self.extent[1] <= 1)

    @cached_property
    def fully_known(self) -> bool:
        """Whether every example has a known label."""
        return bool(self.target.known(self.y).all())

    def to(self, device: torch.device | str, workers: int = WORKERS) -> Dataset:
        """The same data on another device.

        Args:
            device: The device.
            workers: The number of processes that read examples which are not in memory, ahead of
                time. With 0 this process reads them.
        """
        moved = copy.copy(self)  # not replace(): what was checked once is not checked again
        for name in ("y", "test"):
            object.__setattr__(moved, name, getattr(self, name).to(device))
        x = self.x
        if isinstance(x, Tensor):
            x = x.to(device)
        elif isinstance(x, Reader):
            x = x.to(device, workers)
        object.__setattr__(moved, "x", x)
        return moved

    def encoded(self, x: Any) -> Tensor:
        """Further examples as those of the data set: an array, or a frame, of n examples.

        Raises:
            InputError: If they are of another form, or have other columns.
        """
        like = torch.empty(0, *self.shape)
        result = further(x, Examples(like, self.columns, self.divisor, self.channels))
        if self.columns is None and self.extent is not None and len(result):
            warn_beyond(self.extent, result)
        return result

    def only(self, *classes: str) -> Dataset:
        """The data with these classes alone to tell apart; examples of all others are foreign.

        Foreign examples stay in the data, for the unlabelled part of a split, and none is in the
        test part.

        Raises:
            InputError: If the target has no such classes, or there are fewer than two of them.
        """
        if not isinstance(self.target, Classes) or self.y.dim() != 1:
            raise InputError(f"{self.name}: expected data of classes, got {self.target}")
        for name in classes:
            if name not in self.target.names:
                raise unknown("class", name, self.target.names)
        if len(set(classes)) < 2:
            raise InputError(f"expected two classes or more, got {', '.join(classes) or 'none'}")
        place = torch.full((len(self.target.names) + 1,), FOREIGN)
        place[-1] = -1  # the index of an unknown class
        for index, name in enumerate(classes):
            place[self.target.names.index(name)] = index
        y = place.to(self.y.device)[self.y]
        gone = y == FOREIGN
        if self.foreign is not None:  # of an earlier choice, and still of other classes
            gone[self.foreign] = True
        return replace(
            self, y=y.clamp_min(-1), target=Classes(classes), test=self.test[~gone[self.test]],
            foreign=gone.nonzero().squeeze(1).cpu(),
        )

    def split(
        self,
        labels: draws.Labels | None = None,
        validation: int | None = None,
        seed: int = 0,
        *,
        draw: draws.Draw = "balanced",
        unlabelled: int | Mapping[str, int] | None = None,
        foreign: float | None = None,
        missing: float = 0.0,
    ) -> Split:
        """Draw a split: a labelled part, validation, and the rest unlabelled.

        Only examples with a known label are drawn for the labelled part and for validation.
        Combinations of several labels cannot be balanced: they are drawn at random, and where some
        label would be there with one value only, examples of the other take the place of the last
        ones drawn. Real numbers are drawn at random.

        Args:
            labels: The number of examples that keep their label; or a number for each class by its
                name, 0 for those that are not named; or ``"all"`` that are known, but for those of
                validation. None stands for 100 where all labels are known, else for ``"all"``.
            validation: The number of examples set aside for validation. None takes the data set's
                default.
            seed: The seed of the draw. The test part is the same for every seed.
            draw: How a number of labels is divided among the classes: ``"balanced"``, as evenly as
                it goes, or ``"stratified"``, by their shares of the data, at least one of each
                class where there are so many labels.
            unlabelled: The number of examples in the unlabelled part; or a number for each class by
                its name, 0 for those that are not named, beside the examples whose class is
                unknown to everybody. None takes all that are left.
            foreign: The share in [0, 1] of foreign examples in the unlabelled part. None takes all
                that there are.
            missing: The probability in [0, 1) with which each label of each labelled example is
                hidden, of several labels, independently of all others. A label that is rare may
                so lose a value altogether. Validation and test keep their labels.

        Raises:
            InputError: if there is less than one label a class, a class has too few examples,
                ``labels`` examples cannot show both values of every label, nothing is left
                unlabelled, or a single label an example is to be missing.

        Example:
            >>> from pyro_ssvae import data
            >>> split = data.load("digits").split(labels=50, seed=0)
            >>> {part: len(getattr(split, part)) for part in data.PARTS}
            {'labelled': 50, 'unlabelled': 1187, 'validation': 200, 'test': 360}
        """
        if validation is None:
            validation = self.validation
        hint = ""
        if labels is None and self.fully_known:
            labels, hint = 100, '; 100 is the default, and labels="all" keeps all'
        elif labels is None:
            labels = "all"
        seed = whole("seed", seed)
        wanted = draws.Wanted(labels, validation, draw, unlabelled, foreign, missing)
        try:
            parts = draws.drawn(
                wanted, self.target, self.y.cpu(), self.test.cpu(), self.foreign, seed
            )
        except InputError as error:
            raise InputError(f"{self.name}: {error}{hint}") from None
        return Split(self, seed=seed, **parts)


def long_tail(names: Sequence[str], most: int, ratio: float) -> dict[str, int]:
    """Numbers of examples that fall geometrically from class to class: for ``labels=``.

    Args:
        names: The names of the classes, the commonest first.
        most: The number of examples of the first class.
        ratio: The number of examples of the first class for one of the last, at least 1.

    Returns:
        A number for each name, 1 at least.

    Example:
        >>> from pyro_ssvae import data
        >>> data.long_tail(["cat", "dog", "owl"], most=100, ratio=100)
        {'cat': 100, 'dog': 10, 'owl': 1}
    """
    if most < 1 or not ratio >= 1:
        raise InputError(f"expected most >= 1 and ratio >= 1, got {most} and {ratio}")
    last = max(1, len(names) - 1)
    return {name: max(1, round(most * ratio ** (-k / last))) for k, name in enumerate(names)}


def _check_numbers(x: Tensor) -> None:
    if not x.is_floating_point():
        raise InputError(f"expected floating point x, got {x.dtype}")
    check_finite(x)
