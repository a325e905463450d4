"""What the tests compare the library with: the papers' formulas in plain tensor arithmetic."""

import math
from collections.abc import Callable
from typing import Any

import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.nn import Linear, Module, ReLU
from torch.nn import functional as F

from pyro_ssvae import negative_elbo
from pyro_ssvae.labels import Enumerated, Inference, Relaxed, StraightThrough
from pyro_ssvae.nn import MIN_SCALE, MLP, Flow


class Noise(Messenger):
    """Gives normal sites of a guide, by name, the value ``loc + scale * noise``; flows follow."""

    def __init__(self, noise: dict[str, Tensor]) -> None:
        super().__init__()
        self.noise = noise

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] in self.noise:
            normal = msg["fn"].base_dist
            while not hasattr(normal, "loc"):  # a flow's base, itself with an event dimension
                normal = normal.base_dist
            value = normal.loc + normal.scale * self.noise[msg["name"]]
            for transform in getattr(msg["fn"], "transforms", []):
                value = transform(value)
            msg["value"], msg["done"] = value, True


class Given(Messenger):
    """Gives sites, by name, these values where they are sampled."""

    def __init__(self, **values: Tensor) -> None:
        super().__init__()
        self.values = values

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] in self.values and not msg["done"]:
            msg["value"] = self.values[msg["name"]]


def with_noise(guide: Callable[..., Any], **noise: Tensor) -> Callable[..., Any]:
    """The guide as a function whose normal sites use this noise."""
    return Noise(noise)(lambda *args: guide(*args))


class Fixed:
    """A model or guide whose normal sites use this noise, and whose rows have these weights."""

    def __init__(self, program: Any, weights: Tensor | float = 1.0, **noise: Tensor) -> None:
        self.program, self.weights, self.noise = program, weights, noise

    def __call__(self, *args: Any) -> None:
        with poutine.scale(scale=self.weights), Noise(self.noise):
            self.program(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.program, name)


def derived_bound(
    model: Callable[..., Any], guide: Callable[..., Any], x: Tensor, y: Tensor | None = None
) -> Tensor:
    """Minus the mean ELBO as Pyro derives it, every term from the same sample."""
    return negative_elbo(model, guide, x, y, kl="sampled")


def assert_same(derived: Tensor, by_hand: Tensor, *modules: Module) -> None:
    """Equal values, and equal gradients for every parameter of the modules."""
    torch.testing.assert_close(derived, by_hand, rtol=1e-10, atol=1e-10)
    parameters = [p for module in modules for p in module.parameters()]
    for a, b in zip(
        torch.autograd.grad(derived, parameters, allow_unused=True, retain_graph=True),
        torch.autograd.grad(by_hand, parameters, allow_unused=True, retain_graph=True),
    ):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def log_standard_normal(z: Tensor) -> Tensor:
    """log N(z | 0, I), summed over the last dimension."""
    return log_normal(z, torch.zeros_like(z), torch.ones_like(z))


def mlp(network: Module) -> MLP:
    """The layers of one of :mod:`pyro_ssvae.nn`'s networks, whatever its distribution."""
    while isinstance(network, Flow):
        network = network.base
    return network.body


def linears(network: Module) -> list[Linear]:
    """The linear maps of a network, one after the other; of the first, that of its first input."""
    layers = mlp(network)
    return [layers.first[0], *(layer for layer in layers.rest if isinstance(layer, Linear))]


def weight_of(network: Module, layer: int = 0, *, input: int = 0) -> Tensor:
    """The weights (out, in) of a network's layer; ``input`` is one of those of the first layer."""
    return (mlp(network).first[input] if input else linears(network)[layer]).weight


def bias_of(network: Module, layer: int = 0) -> Tensor:
    """The bias of a network's layer."""
    return linears(network)[layer].bias


def dense(network: Module, *inputs: Tensor) -> Tensor:
    """A network's output the slow way: inputs tiled and concatenated, then layer after layer.

    Of a body that is no MLP what it gives for tiled rows. An image is flattened.
    """
    if not isinstance(mlp(network), MLP):
        return tiled(network, *inputs)
    inputs = tuple(x.flatten(-len(s)) for x, s in zip(inputs, mlp(network).inputs))
    shape = torch.broadcast_shapes(*(x.shape[:-1] for x in inputs))
    h = torch.cat([x.expand(*shape, x.shape[-1]) for x in inputs], -1)
    h = h @ torch.cat([linear.weight for linear in mlp(network).first], 1).T + bias_of(network)
    for layer in mlp(network).rest:
        if isinstance(layer, Linear):
            h = h @ layer.weight.T + layer.bias
        elif isinstance(layer, ReLU):
            h = h.clamp_min(0.0)
        else:
            h = torch.log1p(torch.exp(h))  # softplus
    return h


def tiled(network: Module, *inputs: Tensor) -> Tensor:
    """What a body gives for inputs that are expanded against each other, row by row, flattened."""
    body = mlp(network)
    leading = [x.shape[:x.dim() - len(s)] for x, s in zip(inputs, body.inputs)]
    shape = torch.broadcast_shapes(*leading)
    rows = [x.expand(*shape, *s).reshape(-1, *s) for x, s in zip(inputs, body.inputs)]
    return body(*rows).flatten(1).unflatten(0, shape)


def log_bernoulli(x: Tensor, logits: Tensor) -> Tensor:
    """log Bernoulli(x | sigmoid(logits)), summed over the last dimension."""
    # x log p + (1 - x) log(1 - p) with p = 1 / (1 + exp(-logits))
    return (x * logits - torch.logaddexp(logits, torch.zeros_like(logits))).sum(-1)


def log_normal(z: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """log N(z | loc, scale^2), summed over the last dimension."""
    return (-((z - loc) ** 2) / (2 * scale**2) - scale.log() - math.log(2 * math.pi) / 2).sum(-1)


def log_softmax(logits: Tensor) -> Tensor:
    """Logits to log-probabilities over the last dimension."""
    return logits - torch.log(torch.exp(logits).sum(-1, keepdim=True))


def kl_standard_normal(loc: Tensor, scale: Tensor) -> Tensor:
    """KL[N(loc, scale^2) || N(0, I)]: Kingma and Welling (2014), appendix B, with its sign."""
    return -0.5 * (1 + 2 * scale.log() - loc**2 - scale**2).sum(-1)


def kl_categorical(log_q: Tensor, log_p: Tensor | float) -> Tensor:
    """KL[q || p] of class probabilities given by their logarithms, over the last dimension."""
    return (log_q.exp() * (log_q - log_p)).sum(-1)


def gumbel(*shape: int) -> Tensor:
    """Gumbel noise as ``torch.nn.functional.gumbel_softmax`` draws it, minus log Exponential(1)."""
    return -torch.empty(shape, dtype=torch.double).exponential_().log()


def soft_labels(log_q: Tensor, noise: Tensor, temperature: float, hard: bool = False) -> Tensor:
    """Jang et al. (2017), eq. 2; ``hard`` has its gradient, and the largest class as its value."""
    soft = log_softmax((log_q + noise) / temperature).exp()
    if not hard:
        return soft
    return F.one_hot(soft.argmax(-1), soft.shape[-1]) + soft - soft.detach()


def inference(how: str, temperature: float = 0.67) -> Inference:
    """An inference of unknown labels by its word; the temperature is of those that sample."""
    if how == "enumerated":
        return Enumerated()
    return {"relaxed": Relaxed, "straight-through": StraightThrough}[how](temperature)


def normal_parameters(network: Module, *inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Location and scale of a normal of which the network gives both, or of a flow's base."""
    loc, raw = dense(network, *inputs).chunk(2, -1)
    return loc, torch.log1p(torch.exp(raw)) + MIN_SCALE


def one_hot(classes: list[int], k: int) -> Tensor:
    """One-hot labels in float64."""
    return F.one_hot(torch.tensor(classes), k).double()
