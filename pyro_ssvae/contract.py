"""What the rooms of the library say to each other: batches, and what a pair has.

A pair is a model and a guide, two Pyro programs. What both must have is in :class:`Model` and
:class:`Guide`; what they may have, beside, is in the other protocols. The functions below tell
whether a pair has it. Nothing else in the library asks. :func:`pyro_ssvae.check` tells whether a
pair keeps to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

from torch import Tensor, nn
from torch.distributions import Distribution


class Batch(NamedTuple):
    """What one update sees.

    Attributes:
        x: (L, ...) labelled examples.
        y: (L, K) their one-hot labels, laid out as :meth:`Split.examples` does.
        u: (U, ...) unlabelled examples.
        possible: (U, K) what is known of their classes: 1 where it may be the class, else 0. None
            where nothing is, of any of them.
    """

    x: Tensor
    y: Tensor
    u: Tensor
    possible: Tensor | None = None

    @property
    def tensors(self) -> list[Tensor]:
        """What is there of it, in order: ``Batch(*batch.tensors)`` is the same batch."""
        return [part for part in self if part is not None]


class Model(Protocol):
    """p(x, y, z): a Pyro program that is an ``nn.Module`` and owns its parameters."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Any:
        """Sample all sites in a plate at dimension -1, given x (N, ...) and y (N, K) or None.

        The observed sites are named ``"x"`` and, of labels that are given, ``"y"``. Where the
        labels are unknown, ``"y"`` is latent. The bounds, the evaluation and the samples of a
        report run it.
        """

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is trained; what the guide shares with the model is trained once."""


class Guide(Protocol):
    """q(y, z | x): a Pyro program that is an ``nn.Module`` and owns its parameters."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Any:
        """Sample the latent sites of the model in its plate, given x (N, ...) and y or None.

        The bounds run it, and so does all that asks for q(z | x).
        """

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is trained; what the model shares with the guide is trained once."""


class Prior(Protocol):
    """p(y), as a model holds it."""

    largest_kl: float  # the largest KL divergence from p(y) that a distribution of labels can have

    def __call__(self, like: Tensor, /) -> Distribution:
        """p(y) over one-hot labels (K,), of the type of ``like`` and on its device."""


class HasPrior(Protocol):
    """A model with a p(y) that depends on nothing, which Feng's terms ask for."""

    prior: Prior


class Classifies(Protocol):
    """A guide with a classifier: the classification loss, evaluation and figures ask for it."""

    def classify(self, x: Tensor) -> Distribution:
        """q(y | x) over one-hot labels (N, K), given x (N, ...), with ``probs`` (N, K)."""


class Regresses(Protocol):
    """A guide that infers a real number, in place of a class."""

    def regress(self, x: Tensor) -> Distribution:
        """q(y | x) over standardised numbers (N, 1), given x (N, ...): ``mean``, ``stddev``."""


class FitsClassifier(Classifies, Protocol):
    """A guide whose classifier has no gradients, and is fitted before each evaluation."""

    def fit_classifier(self, x: Any, y: Tensor, *, sizes: Sequence[int]) -> None:
        """Fit it to labelled examples (L, ...), their labels (L, K) in blocks of these sizes.

        The examples are a tensor, or a :class:`pyro_ssvae.data.view.View` where they are not in
        memory.
        """


class Weighted(Protocol):
    """What every part of a loss has, see :mod:`pyro_ssvae.inference.terms`."""

    @property
    def weight(self) -> float:
        """The weight that the part begins with."""

    @property
    def schedule(self) -> Callable[[Any], Any] | None:
        """The share of it after so many epochs, or None."""


class HasTerms(Protocol):
    """A guide whose loss has parts beside the bounds: the objective asks for them once."""

    @property
    def terms(self) -> Mapping[str, Weighted]:
        """The parts by name."""


class TakesTurns(Protocol):
    """A guide of which some submodules move before all else, as an adversary does."""

    @property
    def turns(self) -> Sequence[str]:
        """The names of these submodules, none where all move at once; every update asks."""


def classifies(guide: object) -> TypeGuard[Classifies]:
    """Whether a guide, or a class of guides, has a classifier."""
    return hasattr(guide, "classify")


def regresses(guide: object) -> TypeGuard[Regresses]:
    """Whether a guide, or a class of guides, infers a real number."""
    return hasattr(guide, "regress")


def predictor(guide: object) -> Callable[[Tensor], Any] | None:
    """q(y | x) of a guide as a function of x, where it has one."""
    if classifies(guide):
        return guide.classify
    return guide.regress if regresses(guide) else None


def fits_classifier(guide: object) -> TypeGuard[FitsClassifier]:
    """Whether the guide's classifier is fitted, without gradients."""
    return hasattr(guide, "fit_classifier")


def prior_of(model: object) -> Prior | None:
    """The model's p(y), where it has one that depends on nothing."""
    return getattr(model, "prior", None)


def classes_of(model: object) -> int | None:
    """The number of classes of the model's label; None where it has none, or several labels."""
    sizes = getattr(model, "y_dims", None) or (getattr(model, "y_dim", None),)
    return sizes[0] if len(sizes) == 1 else None


def terms_of(guide: object) -> Mapping[str, Weighted]:
    """The parts of a loss that the guide brings, none for most pairs."""
    return getattr(guide, "terms", {})


def turns_of(guide: object) -> Sequence[str]:
    """The names of the guide's submodules that move before all else, none for most pairs."""
    return getattr(guide, "turns", ())
