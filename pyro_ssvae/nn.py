"""Networks that return Pyro distributions."""

from __future__ import annotations

from collections.abc import Sequence

from pyro import distributions as dist
from torch import Tensor, nn
from torch.distributions import constraints
from torch.nn import functional as F

from pyro_ssvae.errors import InputError, positive, unknown

MIN_SCALE = 1e-5  # keeps a posterior that collapses on a point from dividing by zero


class MLP(nn.Module):
    """A multilayer perceptron over one or several inputs that broadcast against each other.

    The first layer is ``sum_i W_i x_i + b``: the linear map of the concatenated inputs, without
    the concatenation. An enumerated ``y`` of shape ``(K, 1, K)`` meets an ``x`` of shape
    ``(N, D)`` in the hidden layer, so nothing is tiled and x's part is computed once for all K.

    Args:
        in_dims: size of the input's last dimension, or one size for each of several inputs.
        hidden: sizes of the hidden layers; ``()`` gives a linear map.
        out_dim: size of the output's last dimension.
        activation: the nonlinearity between layers.

    Raises:
        InputError: if a size is not positive, or an input's last dimension is not as declared.

    Weights are drawn by Xavier's uniform initialiser, as if the inputs were concatenated.
    """

    def __init__(
        self,
        in_dims: int | Sequence[int],
        hidden: Sequence[int],
        out_dim: int,
        activation: type[nn.Module] = nn.Softplus,
    ) -> None:
        super().__init__()
        self.in_dims = (in_dims,) if isinstance(in_dims, int) else tuple(in_dims)
        if not self.in_dims:
            raise InputError("expected the size of at least one input, got none")
        sizes = [*hidden, out_dim]
        for kind, dims in {"input": self.in_dims, "hidden": hidden, "output": [out_dim]}.items():
            for size in dims:
                positive(**{f"{kind} layer size": size})
        first = _xavier(nn.Linear(sum(self.in_dims), sizes[0]))
        self.first = nn.ModuleList()
        for i, weight in enumerate(first.weight.detach().split(self.in_dims, dim=1)):
            linear = nn.Linear(weight.shape[1], sizes[0], bias=i == 0)
            linear.weight = nn.Parameter(weight.clone())
            if i == 0:
                linear.bias = first.bias
            self.first.append(linear)
        layers: list[nn.Module] = []
        for n_in, n_out in zip(sizes, sizes[1:]):
            layers += [activation(), _xavier(nn.Linear(n_in, n_out))]
        self.rest = nn.Sequential(*layers)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Inputs of shapes ``(..., in_dims[i])`` to an output of shape ``(..., out_dim)``."""
        came = tuple(x.shape[-1] if x.dim() else 0 for x in inputs)
        if came != self.in_dims:
            raise InputError(
                f"expected inputs of size {self.in_dims} in their last dimension, got {came}"
                f" (shapes {[tuple(x.shape) for x in inputs]})"
            )
        first, *others = (linear(x) for linear, x in zip(self.first, inputs))
        for part in others:
            first = first + part
        return self.rest(first)


def _xavier(linear: nn.Linear) -> nn.Linear:
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class GreyBernoulli(dist.Bernoulli):
    """A Bernoulli likelihood that also takes grey pixels in [0, 1].

    Its ``log_prob`` is the cross-entropy ``x log p + (1 - x) log(1 - p)``, the field's convention.
    For binary x this is the Bernoulli; for grey x it is no normalised density, and bounds on
    grey images compare with each other only.
    """

    support = constraints.unit_interval


class Bernoulli(nn.Module):
    """A network with Bernoulli outputs, for pixels in [0, 1]; shapes as in :class:`MLP`."""

    def __init__(
        self, in_dims: int | Sequence[int], hidden: Sequence[int], out_dim: int
    ) -> None:
        super().__init__()
        self.logits = MLP(in_dims, hidden, out_dim)

    def forward(self, *inputs: Tensor) -> dist.Distribution:
        """The distribution over ``(..., out_dim)``, one event."""
        return GreyBernoulli(logits=self.logits(*inputs)).to_event(1)


class Normal(nn.Module):
    """A network with diagonal normal outputs; shapes as in :class:`MLP`.

    Args:
        sigma: the standard deviation, fixed; None lets the network give it.
    """

    def __init__(
        self,
        in_dims: int | Sequence[int],
        hidden: Sequence[int],
        out_dim: int,
        sigma: float | None = None,
    ) -> None:
        super().__init__()
        if sigma is not None:
            positive(sigma=sigma)
        self.sigma = sigma
        self.network = MLP(in_dims, hidden, out_dim if sigma is not None else 2 * out_dim)

    def forward(self, *inputs: Tensor) -> dist.Distribution:
        """The distribution over ``(..., out_dim)``, one event."""
        out = self.network(*inputs)
        if self.sigma is not None:
            return dist.Normal(out, self.sigma).to_event(1)
        loc, raw = out.chunk(2, dim=-1)
        return dist.Normal(loc, F.softplus(raw) + MIN_SCALE).to_event(1)


class OneHotCategorical(nn.Module):
    """A network with one-hot outputs over ``out_dim`` classes; shapes as in :class:`MLP`."""

    def __init__(
        self, in_dims: int | Sequence[int], hidden: Sequence[int], out_dim: int
    ) -> None:
        super().__init__()
        self.logits = MLP(in_dims, hidden, out_dim)

    def forward(self, *inputs: Tensor) -> dist.Distribution:
        """The distribution over one-hot vectors of size ``out_dim``."""
        return dist.OneHotCategorical(logits=self.logits(*inputs))


def likelihood(
    name: str, in_dims: int | Sequence[int], hidden: Sequence[int], out_dim: int, sigma: float
) -> nn.Module:
    """The decoder network for a likelihood named ``"bernoulli"`` or ``"normal"``.

    ``sigma`` is the normal likelihood's fixed standard deviation: ``1 / sigma**2`` weighs the
    reconstruction against the rest of the bound. The Bernoulli likelihood does not use it.
    """
    if name == "bernoulli":
        return Bernoulli(in_dims, hidden, out_dim)
    if name == "normal":
        return Normal(in_dims, hidden, out_dim, sigma)
    raise unknown("likelihood", name, ("bernoulli", "normal"))


def standard_normal(like: Tensor, dim: int) -> dist.Distribution:
    """N(0, I) over ``dim`` dimensions, on ``like``'s device and of its dtype."""
    return dist.Normal(like.new_zeros(dim), like.new_ones(dim)).to_event(1)


def uniform_classes(like: Tensor, classes: int) -> dist.Distribution:
    """The uniform distribution over one-hot vectors of ``classes`` classes, as ``like``."""
    return dist.OneHotCategorical(logits=like.new_zeros(classes))
