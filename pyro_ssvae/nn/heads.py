"""Networks whose outputs are distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from pyro import distributions as dist
from torch import Tensor, nn
from torch.distributions import constraints
from torch.nn import functional as F

from pyro_ssvae import labels
from pyro_ssvae.errors import InputError, positive
from pyro_ssvae.nn.mlp import MLP, Layers

MIN_SCALE = 1e-5  # keeps a posterior that collapses on a point from dividing by zero


class GreyBernoulli(dist.Bernoulli):
    """A Bernoulli likelihood that also takes grey pixels in [0, 1].

    Its ``log_prob`` is the cross-entropy ``x log p + (1 - x) log(1 - p)``, the field's convention.
    For binary x this is the Bernoulli; for grey x it is no normalised density, and bounds on
    grey images compare with each other only.
    """

    support = constraints.unit_interval


class Bernoulli(nn.Module):
    """A network with Bernoulli outputs, for pixels in [0, 1]; arguments as of :class:`MLP`."""

    def __init__(
        self,
        in_dims: int | Sequence[int],
        hidden: Sequence[int],
        out_dim: int,
        **layers: Unpack[Layers],
    ) -> None:
        super().__init__()
        self.logits = MLP(in_dims, hidden, out_dim, **layers)

    def forward(self, *inputs: Tensor) -> dist.Distribution:
        """The distribution over ``(..., out_dim)``, one event."""
        return GreyBernoulli(logits=self.logits(*inputs)).to_event(1)


class Normal(nn.Module):
    """A network with diagonal normal outputs; further arguments as of :class:`MLP`.

    Args:
        sigma: The fixed standard deviation. With None the network gives it.
    """

    def __init__(
        self,
        in_dims: int | Sequence[int],
        hidden: Sequence[int],
        out_dim: int,
        sigma: float | None = None,
        **layers: Unpack[Layers],
    ) -> None:
        super().__init__()
        if sigma is not None:
            positive(sigma=sigma)
        self.sigma = sigma
        outputs = out_dim if sigma is not None else 2 * out_dim
        self.network = MLP(in_dims, hidden, outputs, **layers)

    def forward(self, *inputs: Tensor) -> dist.Distribution:
        """The distribution over ``(..., out_dim)``, one event."""
        out = self.network(*inputs)
        if self.sigma is not None:
            return dist.Normal(out, self.sigma).to_event(1)
        loc, raw = out.chunk(2, dim=-1)
        return dist.Normal(loc, F.softplus(raw) + MIN_SCALE).to_event(1)


class OneHots(nn.Module):
    """A network with one-hot labels as outputs, independent given its inputs.

    Args:
        in_dims: The size of each input, as for :class:`MLP`.
        hidden: The sizes of the hidden layers.
        sizes: The number of classes of the label, or of each of several labels.
        layers: What the hidden layers are made of, as for :class:`MLP`.
    """

    def __init__(
        self,
        in_dims: int | Sequence[int],
        hidden: Sequence[int],
        sizes: int | Sequence[int],
        **layers: Unpack[Layers],
    ) -> None:
        super().__init__()
        self.sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
        self.logits = MLP(in_dims, hidden, sum(self.sizes), **layers)

    def forward(self, *inputs: Tensor) -> labels.OneHots:
        """The distribution over the concatenated one-hot vectors (..., sum(sizes))."""
        return labels.OneHots(self.logits(*inputs), self.sizes)


class Categorical(nn.Module):
    """A network with categorical outputs: D tokens, each one of a vocabulary of V.

    Args:
        in_dims: The size of each input, as for :class:`MLP`.
        hidden: The sizes of the hidden layers.
        out_dim: The number of tokens, D.
        vocabulary: The number of different tokens, V, which are whole numbers 0..V-1.
        layers: What the hidden layers are made of, as for :class:`MLP`.

    Raises:
        InputError: if there is no vocabulary.
    """

    def __init__(
        self,
        in_dims: int | Sequence[int],
        hidden: Sequence[int],
        out_dim: int,
        vocabulary: int | None,
        **layers: Unpack[Layers],
    ) -> None:
        super().__init__()
        if vocabulary is None:
            raise InputError(
                "likelihood='categorical' and vocabulary=None: give the number of tokens, such as"
                " vocabulary=256"
            )
        positive(vocabulary=vocabulary)
        self.vocabulary = vocabulary
        self.logits = MLP(in_dims, hidden, out_dim * vocabulary, **layers)

    def forward(self, *inputs: Tensor) -> dist.Distribution:
        """The distribution over tokens (..., D), one event."""
        logits = self.logits(*inputs).unflatten(-1, (-1, self.vocabulary))
        return dist.Categorical(logits=logits).to_event(1)


class Tokens(nn.Module):
    """Reads tokens (..., D), whole numbers 0..V-1, as one-hot vectors (..., D * V)."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    def forward(self, x: Tensor) -> Tensor:
        return F.one_hot(x.long(), self.vocabulary).flatten(-2).to(x.dtype)


class Point(nn.Module):
    """A network whose distribution is the point mass at its output; arguments as of :class:`MLP`.
    """

    def __init__(
        self,
        in_dims: int | Sequence[int],
        hidden: Sequence[int],
        out_dim: int,
        **layers: Unpack[Layers],
    ) -> None:
        super().__init__()
        self.network = MLP(in_dims, hidden, out_dim, **layers)

    def forward(self, *inputs: Tensor) -> dist.Distribution:
        """The point mass in (..., out_dim), one event."""
        return dist.Delta(self.network(*inputs), event_dim=1)
