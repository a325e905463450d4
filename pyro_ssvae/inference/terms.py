"""The parts of a loss: terms beside the bounds, and what becomes of the bounds' own.

A guide brings parts in ``guide.terms``, a user in ``Objective(..., terms={...})``, each under a
name, which its weight has in ``Objective.weights`` too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, get_args

from torch import Tensor

from pyro_ssvae.contract import Batch, regresses, terms_of
from pyro_ssvae.errors import InputError, not_negative, one_of
from pyro_ssvae.inference import shares
from pyro_ssvae.inference.elbo import SiteTerm
from pyro_ssvae.labels import label_divergence, set_divergence

Scalar = float | Tensor  # a captured graph takes numbers as scalar tensors
Schedule = Callable[[Scalar], Scalar]
Values = Tensor | Mapping[str, Tensor]
Function = Callable[[Any, Any, Batch, Scalar], Values]
OWN = ("labelled", "unlabelled", "classification", "beta", "loss")  # names that no part may have


@dataclass(frozen=True)
class Ramp:
    """A share that grows linearly from 0 to 1, as epochs go by.

    Attributes:
        epochs: The number of epochs that it takes. With 0 the share is 1 from the beginning.

    Example:
        >>> from pyro_ssvae import Ramp
        >>> Ramp(10)(5)
        0.5
    """

    epochs: float

    def __post_init__(self) -> None:
        not_negative(epochs=self.epochs)

    def __call__(self, epoch: Scalar) -> Scalar:
        """The share after so many epochs, a number or a scalar tensor."""
        if self.epochs == 0:
            return 1.0
        if isinstance(epoch, Tensor):
            return (epoch / self.epochs).clamp(max=1.0)
        return min(1.0, epoch / self.epochs)


class Part:
    """A part of a loss, a frozen dataclass.

    Attributes:
        weight: The weight that the part begins with. From then on ``Objective.weights`` has it.
        schedule: The share of the weight after so many epochs, a number or a scalar tensor, as
            that of :class:`Ramp`. None stands for 1 throughout.
    """

    weight: float
    schedule: Schedule | None

    def scheduled(self, value: Scalar, epoch: Scalar) -> Scalar:
        """The share of a value after so many epochs."""
        return value if self.schedule is None else value * self.schedule(epoch)

    def check(self, name: str, model: Any, guide: Any) -> None:
        """Raise :class:`InputError`, which calls the part by its name, if the pair lacks a need."""


@dataclass(frozen=True)
class Term(Part):
    """A named part of the loss that is no part of an ELBO: its docstring says why.

    Attributes:
        function: A function of the model, the guide, the batch and the epochs done. It returns a
            scalar, or scalars by name, where several terms share work: terms of one function call
            it once, and each takes the value under its own name. Functions are compared by ``==``
            and must be hashable.
        weight: The weight that the term begins with.
        schedule: The share of the weight after so many epochs. None stands for 1 throughout.
        over: The examples of the batch that the function gives a mean over, ``"labelled"`` or
            ``"unlabelled"``; or ``"whole"`` where it depends on no examples. Only a training in
            several processes asks for it, for each sees a share of the examples. A function that
            is no mean can be computed by :mod:`pyro_ssvae.inference.shares`, and is ``"whole"`` if
            every process has its value for the whole batch, ``"share"`` if each has a share of it.
    """

    function: Function
    weight: float = 1.0
    schedule: Schedule | None = None
    over: shares.Over | None = None

    def __post_init__(self) -> None:
        if self.over is not None:
            one_of("over", self.over, get_args(shares.Over))
        if not (callable(self.function) and _hashable(self.function)):
            raise InputError(
                "expected a function of the model, the guide, the batch and the epoch that can be"
                f" hashed, got {self.function!r}; a dataclass is hashable where it is frozen and"
                " holds no list or dictionary"
            )


class Bound(NamedTuple):
    """What a bound is of: a pair, x (N, ...) with y (N, K) or None, and the epochs done."""

    model: Any
    guide: Any
    x: Tensor
    y: Tensor | None
    epoch: Scalar


class Rewriting(Part):
    """A part that changes what sites contribute to a bound.

    It is given the terms whose sum the bound is, so that nothing is computed twice.
    """

    last: ClassVar[bool] = False  # whether it comes after all whose ``last`` is False
    shared: ClassVar[bool] = False  # whether it is right where batches are shares of whole ones

    def __call__(
        self, sites: Mapping[str, SiteTerm], bound: Bound, weight: Scalar
    ) -> Mapping[str, SiteTerm]:
        """The terms of the sites, changed with this weight; for every bound, with labels or not.

        ``beta`` weighs those that are latent and not discrete.
        """
        raise NotImplementedError


def itself(x: Tensor) -> Tensor:
    """Examples as they are."""
    return x


@dataclass(frozen=True)
class Classification:
    """KL[p(y) || q(y | x)], a mean over the batch: the term of Kingma's eq. 9 that no bound has.

    q(y | x) is what ``guide.classify`` returns, p(y) the given label, smoothed if so asked; for a
    label that is not smoothed this is -log q(y | x). Where sets of classes are known of unlabelled
    examples, the mean of -log q(y in the set | x) over these is added. Of a real number it is
    -log q(y | x) too, q(y | x) being what ``guide.regress`` returns: a density of the standardised
    number.

    Attributes:
        smoothing: The share of a given label that is spread evenly over all classes, in [0, 1).
        view: The function through which the examples are seen.
    """

    smoothing: float = 0.0
    view: Callable[[Tensor], Tensor] = itself

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise InputError(f"expected smoothing in [0, 1), got {self.smoothing}")

    def __call__(self, model: Any, guide: Any, batch: Batch, epoch: Scalar) -> Tensor:
        """The loss of a batch, a scalar; of a share of a batch its share of the loss."""
        if regresses(guide):
            loss = -guide.regress(self.view(batch.x)).log_prob(batch.y).mean()
            return shares.of_loss(loss, "labelled")
        loss = label_divergence(guide.classify(self.view(batch.x)), batch.y, self.smoothing).mean()
        loss = shares.of_loss(loss, "labelled")
        if batch.possible is None:
            return loss
        of_sets = set_divergence(guide.classify(self.view(batch.u)), batch.possible).mean()
        return loss + shares.of_loss(of_sets, "unlabelled")


def parts(guide: Any, given: Mapping[str, Part]) -> dict[str, Part]:
    """The guide's parts, or those given in their place, and the others given.

    Raises:
        InputError: If one is no part, or has a name of the objective's own.
    """
    result: dict[str, Any] = {**terms_of(guide), **given}
    for name, part in result.items():
        if name in OWN:
            raise InputError(f"a term named {name!r}: the loss has a part of this name; use another"
                             " name")
        if not isinstance(part, Part):
            raise InputError(f"expected a Term under the name {name!r}, got {part!r}: use"
                             " Term(function, weight=...)")
    return result


def evaluated(
    terms: Mapping[str, Term], model: Any, guide: Any, batch: Batch, epoch: Scalar
) -> dict[str, Tensor]:
    """The values of terms by name, without their weights; one call for those of one function.

    Where the batch is a share of a whole one, so are the values.

    Raises:
        InputError: if a function gives no scalar under the name of its term.
    """
    computed: dict[Function, Values] = {}
    result = {}
    for name, term in terms.items():
        if term.function not in computed:
            computed[term.function] = term.function(model, guide, batch, epoch)
        value = _scalar(name, computed[term.function])
        result[name] = value if term.over is None else shares.of_loss(value, term.over)
    return result


def _hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _scalar(name: str, values: Values) -> Tensor:
    if isinstance(values, Mapping):
        if name not in values:
            raise InputError(
                f"the function of the term {name!r} gives {', '.join(map(repr, values))}: name the"
                " term as one of these, or have the function return a scalar"
            )
        values = values[name]
    if not isinstance(values, Tensor) or values.shape != ():
        shape = tuple(values.shape) if isinstance(values, Tensor) else values
        raise InputError(f"expected a scalar tensor of the term {name!r}, got {shape}")
    return values
