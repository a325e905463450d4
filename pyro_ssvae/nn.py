"""Networks that return Pyro distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pyro import distributions as dist
from pyro.distributions.transforms import AffineAutoregressive
from pyro.nn import AutoRegressiveNN
from torch import Tensor, nn
from torch.distributions import Transform, constraints
from torch.nn import functional as F

from pyro_ssvae import labels
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
        self.hidden = tuple(hidden)
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


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of (..., H) with one mean and variance over all leading dimensions.

    Of an enumerated label's rows (K, N, H) that is over examples and classes together: with a
    mean for each class, what the label adds to the layer would be the first thing taken out.
    """

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(0, -2)).view_as(input)


def normalise(module: nn.Module) -> None:
    """Put a :class:`BatchNorm` after every hidden linear layer of a module's MLPs that has none."""
    for mlp in [m for m in module.modules() if isinstance(m, MLP)]:
        if any(isinstance(layer, BatchNorm) for layer in mlp.rest):
            continue
        layers: list[nn.Module] = []
        for size, activation, linear in zip(mlp.hidden, mlp.rest[::2], mlp.rest[1::2]):
            layers += [BatchNorm(size), activation, linear]
        mlp.rest = nn.Sequential(*layers)


def rectify(module: nn.Module) -> None:
    """Have a module's MLPs use rectified linear units in place of their activation."""
    for mlp in [m for m in module.modules() if isinstance(m, MLP)]:
        for i, layer in enumerate(mlp.rest):
            if not isinstance(layer, (nn.Linear, BatchNorm)):
                mlp.rest[i] = nn.ReLU()


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


class OneHots(nn.Module):
    """A network with several one-hot labels as outputs, independent given its inputs.

    Args:
        in_dims, hidden: as in :class:`MLP`.
        sizes: classes of each label.
    """

    def __init__(
        self, in_dims: int | Sequence[int], hidden: Sequence[int], sizes: Sequence[int]
    ) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.logits = MLP(in_dims, hidden, sum(sizes))

    def forward(self, *inputs: Tensor) -> labels.OneHots:
        """The distribution over the concatenated one-hot vectors (..., sum(sizes))."""
        return labels.OneHots(self.logits(*inputs), self.sizes)


class Categorical(nn.Module):
    """A network with categorical outputs: D tokens, each one of a vocabulary of V.

    Args:
        in_dims, hidden: as in :class:`MLP`.
        out_dim: D.
        vocabulary: V; tokens are whole numbers 0..V-1.

    Raises:
        InputError: if there is no vocabulary.
    """

    def __init__(
        self,
        in_dims: int | Sequence[int],
        hidden: Sequence[int],
        out_dim: int,
        vocabulary: int | None,
    ) -> None:
        super().__init__()
        if vocabulary is None:
            raise InputError(
                "likelihood='categorical' and vocabulary=None: give the number of tokens, such as"
                " vocabulary=256"
            )
        positive(vocabulary=vocabulary)
        self.vocabulary = vocabulary
        self.logits = MLP(in_dims, hidden, out_dim * vocabulary)

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
    """A network whose distribution is the point mass at its output; shapes as in :class:`MLP`."""

    def __init__(
        self, in_dims: int | Sequence[int], hidden: Sequence[int], out_dim: int
    ) -> None:
        super().__init__()
        self.network = MLP(in_dims, hidden, out_dim)

    def forward(self, *inputs: Tensor) -> dist.Distribution:
        """The point mass in (..., out_dim), one event."""
        return dist.Delta(self.network(*inputs), event_dim=1)


class Flow(nn.Module):
    """A normalizing flow: a network's distribution, pushed through invertible transforms.

    Rezende and Mohamed (2015), Variational Inference with Normalizing Flows. Any guide takes one:
    ``guide.encoder = nn.Flow(guide.encoder, transforms)``.

    Args:
        base: a network that returns a distribution over vectors.
        transforms: of Pyro, such as ``AffineCoupling``, or of zuko, such as
            ``zuko.flows.MaskedAutoregressiveTransform(J)``; applied in this order.
    """

    def __init__(self, base: nn.Module, transforms: Sequence[Any]) -> None:
        super().__init__()
        self.base = base
        self.transforms = list(transforms)
        self.parameters_of_transforms = nn.ModuleList(
            t for t in transforms if isinstance(t, nn.Module)
        )

    def forward(self, *inputs: Tensor) -> dist.Distribution:
        """The distribution over vectors, of the shape of the base's."""
        # zuko's transforms are made by a call, Pyro's are transforms themselves.
        made = [t if isinstance(t, Transform) else t() for t in self.transforms]
        return dist.TransformedDistribution(self.base(*inputs), made)


def posterior(
    in_dims: int | Sequence[int], hidden: Sequence[int], out_dim: int, flows: int = 0
) -> nn.Module:
    """The network of q(z | ...): a diagonal normal, and ``flows`` autoregressive flows on it.

    Kingma et al. (2016), Improved Variational Inference with Inverse Autoregressive Flow: each
    layer shifts and scales a dimension by what those before it were, in alternating order.

    Raises:
        InputError: if ``flows`` is negative.
    """
    normal = Normal(in_dims, hidden, out_dim)
    if flows < 0:
        raise InputError(f"expected flows >= 0, got {flows}")
    if flows == 0:
        return normal
    width = max(2 * out_dim, 16)
    transforms: list[Any] = []
    for i in range(flows):
        order = torch.arange(out_dim) if i % 2 == 0 else torch.arange(out_dim).flip(0)
        network = AutoRegressiveNN(out_dim, [width], permutation=order)
        transforms.append(AffineAutoregressive(network, stable=True))
    return Flow(normal, transforms)


def likelihood(
    name: str,
    in_dims: int | Sequence[int],
    hidden: Sequence[int],
    out_dim: int,
    sigma: float | None,
    vocabulary: int | None = None,
) -> nn.Module:
    """The decoder network for a likelihood named ``"bernoulli"``, ``"normal"``, ``"categorical"``.

    ``sigma`` is the normal likelihood's fixed standard deviation: ``1 / sigma**2`` weighs the
    reconstruction against the rest of the bound; None lets the network give one for every
    dimension. ``vocabulary`` is the number of a categorical likelihood's tokens. Other
    likelihoods do not use them.
    """
    if name == "bernoulli":
        return Bernoulli(in_dims, hidden, out_dim)
    if name == "normal":
        return Normal(in_dims, hidden, out_dim, sigma)
    if name == "categorical":
        return Categorical(in_dims, hidden, out_dim, vocabulary)
    raise unknown("likelihood", name, ("bernoulli", "normal", "categorical"))


def reverse_gradient(x: Tensor) -> Tensor:
    """x, whose gradient is passed back with its sign reversed.

    Ganin et al. (2016), Domain-Adversarial Training of Neural Networks.
    """
    return 2 * x.detach() - x


def standard_normal(like: Tensor, dim: int) -> dist.Distribution:
    """N(0, I) over ``dim`` dimensions, on ``like``'s device and of its dtype."""
    return dist.Normal(like.new_zeros(dim), like.new_ones(dim)).to_event(1)


def uniform_classes(like: Tensor, classes: int) -> dist.Distribution:
    """The uniform distribution over one-hot vectors of ``classes`` classes, as ``like``."""
    return labels.OneHots(like.new_zeros(classes))
