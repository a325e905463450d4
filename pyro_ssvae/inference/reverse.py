"""A pair with its roles swapped: the guide generates labels, the model infers their images.

Gemp et al. (2017), Inverting VAEs for Improved Generative Accuracy, appendix B. For a label y and
a z that came without an image, q(x) q(y | x) q(z | x, y) is the generative model, with x ~ q(x) in
front of the guide's program, and p(x | y, z), the model's program given y and z, its guide:

    log q(y, z) >= E_p(x | y, z)[log q(y | x) + log q(z | x, y) - log p(x | y, z) + log q(x)].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pyro
import torch
from pyro import distributions as dist
from pyro import poutine
from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyro_ssvae.contract import Batch
from pyro_ssvae.errors import InputError, one_of, positive
from pyro_ssvae.inference.elbo import TraceEnumKL_ELBO
from pyro_ssvae.inference.terms import Scalar

Gradient = Literal["relaxed", "sleep"]


@dataclass(frozen=True)
class ReverseBound:
    """Minus the reverse bound, eq. 17, of labels without images: a term of a loss.

    It bounds log q(y, z), another model's evidence. It asks the model for ``y_dim``, K, and for
    ``cube``, the distribution p(z).

    Attributes:
        unfeatured: The number of labels.
        certainty: The probability of a label's own class.
        gradient: The gradient that binary images pass on to the model, as :func:`negative_elbo`
            takes it.
    """

    unfeatured: int
    certainty: float
    gradient: Gradient = "relaxed"

    def __post_init__(self) -> None:
        one_of("gradient", self.gradient, ("relaxed", "sleep"))
        positive(unfeatured=self.unfeatured, certainty=self.certainty)
        if self.certainty > 1:
            raise InputError(f"expected certainty <= 1, got {self.certainty}")

    def __call__(self, model: Any, guide: Any, batch: Batch, epoch: Scalar) -> Tensor:
        """Minus the bound of labels that are drawn anew; of the batch it takes the type alone."""
        y = soft_labels(self.unfeatured, model.y_dim, self.certainty, batch.x)
        z = model.cube(batch.x).sample((self.unfeatured,))
        return negative_elbo(model, guide, y, z, batch.x, self.gradient)


@dataclass(frozen=True)
class ReverseBoundOfGiven:
    """Minus the reverse bound, eq. 17, of labels and latents that are given: a term of a loss.

    The guide holds them as ``given_y`` and ``given_z``, see :class:`pyro_ssvae.guides.Untapped`.

    Attributes:
        number: The number of rows in an update, drawn anew each time. All, where there are no more.
        gradient: The gradient that binary images pass on to the model, as :func:`negative_elbo`
            takes it.
    """

    number: int
    gradient: Gradient = "relaxed"

    def __post_init__(self) -> None:
        one_of("gradient", self.gradient, ("relaxed", "sleep"))
        positive(unfeatured=self.number)

    def __call__(self, model: Any, guide: Any, batch: Batch, epoch: Scalar) -> Tensor:
        """Minus the bound of some of the rows; of the batch it takes the type alone."""
        y, z = guide.given_y.to(batch.x), guide.given_z.to(batch.x)
        if self.number < len(y):
            rows = torch.rand(len(y), device=y.device).argsort()[:self.number]
            y, z = y.index_select(0, rows), z.index_select(0, rows)
        return negative_elbo(model, guide, y, z, batch.x, self.gradient)


class Binary(dist.Bernoulli):
    """A Bernoulli whose noise is uniform, and depends on no probability.

    So it can be drawn ahead of the program, and is the same in compiled code.
    """

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        with torch.no_grad():
            probs = self.probs.expand(self._extended_shape(sample_shape))
            return (torch.rand_like(probs) < probs).to(probs.dtype)


class StraightThrough(Binary):
    """A :class:`Binary` whose samples pass gradients on as if they were its means."""

    has_rsample = True

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        with torch.no_grad():
            drawn = self.sample(sample_shape)
        return drawn + (self.probs - self.probs.detach())


class BinaryImages(Messenger):
    """Has the image x drawn from a Bernoulli of this kind, which knows no grey."""

    def __init__(self, kind: type[Binary]) -> None:
        super().__init__()
        self.kind = kind

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] == "x":
            likelihood = msg["fn"]
            pixels = self.kind(logits=likelihood.base_dist.logits)
            msg["fn"] = pixels.to_event(likelihood.event_dim)


def soft_labels(number: int, classes: int, certainty: float, like: Tensor) -> Tensor:
    """Labels without images: nearly one-hot (number, K), each class in turn, in a drawn order.

    All classes come equally often; where they do not divide the number, those that come once more
    are others at each call.

    Args:
        number: The number of labels.
        classes: K, the number of classes.
        certainty: The probability of a label's own class. The rest is spread over the others.
        like: A tensor of the type and on the device that the labels are to have.
    """
    rest = (1 - certainty) / max(1, classes - 1)
    one_hot = torch.eye(classes, dtype=like.dtype, device=like.device)
    order = torch.rand(classes, device=like.device).argsort()
    turns = torch.arange(number, device=like.device) % classes
    return (rest + (certainty - rest) * one_hot).index_select(0, order.index_select(0, turns))


def checked(given: tuple[Tensor, Tensor], model: Any) -> tuple[Tensor, Tensor]:
    """Labels (M, K) and latents (M, J) that were given without images, as tensors.

    Raises:
        InputError: If they are no probabilities of the model's classes, with a z inside its cube
            for each.
    """
    y, z = map(torch.as_tensor, given)
    shapes = (len(y), model.y_dim), (len(y), model.z_dim)
    if not len(y) or (tuple(y.shape), tuple(z.shape)) != shapes:
        raise InputError(
            f"expected given labels (M, {model.y_dim}) and latents (M, {model.z_dim}), M > 0, got"
            f" {tuple(y.shape)} and {tuple(z.shape)}"
        )
    if not ((y >= 0).all() and torch.allclose(y.sum(-1), torch.ones_like(y[:, 0]), atol=1e-4)):
        raise InputError("expected given labels as probabilities that sum to 1 in every row")
    if not (z.abs() < model.bound).all():
        raise InputError(
            f"expected given latents between -{model.bound} and {model.bound}, got"
            f" {z.abs().max():.4g} as the largest magnitude"
        )
    return y, z


def negative_elbo(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    y: Tensor,
    z: Tensor,
    like: Tensor,
    gradient: Gradient = "relaxed",
) -> Tensor:
    """Minus the mean reverse bound on log q(y, z), eq. 17: a scalar.

    Args:
        model: The program p(x, y, z), with pixels x that are Bernoulli.
        guide: The program q(y, z | x), in which y is a site of its own.
        y: The labels (N, K), one-hot or nearly so.
        z: The latents (N, J) that go with them.
        like: Images (M, *E), of which the shape E, type and device are taken.
        gradient: The gradient that binary images pass on to the model: ``"relaxed"``, straight
            through, or ``"sleep"``, none.

    Raises:
        InputError: if there is no such gradient.
    """
    one_of("gradient", gradient, ("relaxed", "sleep"))
    shape = like.shape[1:]
    images = like.new_full((len(y), *shape), 0.5)
    elbo = TraceEnumKL_ELBO(max_plate_nesting=1)
    given = {"y": y, "z": z}

    # The guide makes the plate of this name again: the first is kept out of the trace.
    plate = poutine.block(pyro.plate, hide=["data"])("data", len(y))

    def generates_labels() -> None:
        with plate:
            x = pyro.sample("x", dist.Bernoulli(images).to_event(len(shape)))
        poutine.condition(guide, data=given)(x)

    def infers_images() -> None:
        program = poutine.block(
            poutine.condition(poutine.uncondition(model), data=given), hide=["y", "z"]
        )
        if gradient == "relaxed":
            BinaryImages(StraightThrough)(program)(images)
        else:
            with torch.no_grad():
                BinaryImages(Binary)(program)(images)

    return elbo.differentiable_loss(generates_labels, infers_images) / len(y)
