"""The page of what every kind of target has: data sets, pairs, scores and figures ask it alone."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor


class Target(Protocol):
    """What the labels of a data set are.

    A data set keeps its labels ``y`` as they are read, one row for each example. What pairs see is
    their encoding (N, S), in which NaN stands for what is unknown, or what pairs predict: a tensor
    (N, P), such as probabilities.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, of the labels or of the number, in their order."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of the one-hot blocks of an encoding; none for a real number."""

    @property
    def width(self) -> int:
        """The number of columns of an encoding, S."""

    @property
    def exclusive(self) -> bool:
        """Whether an example has one class, of which the encoding is one-hot."""

    def check(self, y: Tensor) -> None:
        """Raise :class:`pyro_ssvae.errors.InputError` unless y has labels of this kind."""

    def known(self, y: Tensor) -> Tensor:
        """Whether anything is known that an example can be drawn and scored by, (N,) bool."""

    def classes(self, y: Tensor) -> Tensor | None:
        """The class of each example (N,), -1 where it is unknown; None without classes."""

    def encode(self, y: Tensor, dtype: Any) -> Tensor:
        """The encoding (..., S) of labels, for pairs and scores."""

    def possible(self, y: Tensor, dtype: Any) -> Tensor | None:
        """The classes that each example may be of: (..., K), 1 where it may, else 0.

        None where the kind of target knows a class or does not.
        """

    def predicted(self, q: Any) -> Tensor:
        """What a distribution q(y | x) of a pair says of each example, (N, P)."""

    def likeliest(self, predicted: Tensor) -> Tensor:
        """The encoding (N, S) of the likeliest label of a prediction (N, P)."""

    def named(self, predicted: Tensor) -> list[Any]:
        """The likeliest labels of a prediction (N, P), as the user calls them."""

    def scores(self, predicted: Tensor, y: Tensor) -> dict[str, float]:
        """The scores of a prediction (N, P) of encoded labels (N, S), by name.

        What is unknown counts nothing.
        """

    def validation(self, predicted: Tensor, y: Tensor) -> dict[str, float]:
        """The few of the scores that are asked for after every epoch, ``nll`` among them."""

    def summary(self, y: Tensor) -> list[str]:
        """What labels there are, and how many are unknown, in a line or two."""
