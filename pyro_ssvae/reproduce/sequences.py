"""Sequences of tokens with a latent cause, and a VAE whose decoder reads the tokens before."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyro
import torch
from pyro.nn import PyroModule
from torch import Tensor
from torch.nn import GRU, Embedding, Linear, Module

from pyro_ssvae import data, nn
from pyro_ssvae.data import Dataset

LENGTH, VOCABULARY, CAUSES, STATE, SHARPNESS = 10, 20, 2, 32, 1.5
TRAINED, VALIDATED, TESTED = 2_000, 500, 500
CORNERS = ((-1.5, -1.5), (-1.5, 1.5), (1.5, -1.5), (1.5, 1.5))
SPREAD = 0.4  # the standard deviation of a cause about its corner
NODES, ROWS = 12, 50  # 16 nodes a dimension change log p(x) by less than 0.005 nats


class Recurrent(Module):
    """A body from z and the tokens to numbers for every token, each from z and those before it.

    Args:
        inputs: The shapes of z, (J,), and of the tokens, (T,).
        out: The shape of the output, (T * V,).
        hidden: The size of the state.
    """

    def __init__(
        self, inputs: Sequence[tuple[int, ...]], out: tuple[int, ...], hidden: int
    ) -> None:
        super().__init__()
        ((z_dim,), (length,)), (numbers,) = inputs, out
        self.vocabulary = numbers // length
        self.before = Embedding(self.vocabulary + 1, hidden)  # the last one stands at the start
        self.first = Linear(z_dim, hidden)
        self.cell = GRU(hidden + z_dim, hidden, batch_first=True)
        self.out = Linear(hidden, self.vocabulary)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """Numbers (N, T * V), of z (N, J) and tokens (N, T)."""
        tokens = x.long()
        start = tokens.new_full((len(x), 1), self.vocabulary)
        before = self.before(torch.cat([start, tokens[:, :-1]], 1))
        each = torch.cat([before, z.unsqueeze(1).expand(-1, x.shape[1], -1)], -1)
        states, _ = self.cell(each, self.first(z).tanh().unsqueeze(0))
        result: Tensor = self.out(states).flatten(1)
        return result


class Autoregressive(PyroModule):
    """p(x, z) = p(z) prod_t p(x_t | x_1 ... x_t-1, z)

    A VAE of tokens whose decoder is a recurrent network that reads the tokens before.

    Args:
        x_shape: T, the number of tokens.
        z_dim: J, the number of latent dimensions.
        state: The size of the decoder's state.
        vocabulary: V, the number of different tokens.
        blind: Whether the decoder is given zeros in place of z, which makes it a model of the
            tokens without latent variables.
    """

    def __init__(
        self, x_shape: nn.Shape, *, z_dim: int = 2, state: int = 32, vocabulary: int = VOCABULARY,
        blind: bool = False,
    ) -> None:
        super().__init__("model")
        self.x_shape, self.z_dim, self.blind = nn.as_shape(x_shape), z_dim, blind
        self.decoder = nn.network(
            lambda inputs, out: Recurrent(inputs, out, state), nn.Categorical(vocabulary),
            [z_dim, self.x_shape], self.x_shape, (),
        )

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, T) tokens; y is ignored."""
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            seen = torch.zeros_like(z) if self.blind else z
            pyro.sample("x", self.decoder(seen, x), obs=x)


class Prior(PyroModule):
    """q(z | x) = p(z)

    The exact posterior of a model that is blind to z. It has nothing to learn.

    Args:
        z_dim: J, the number of latent dimensions.
    """

    def __init__(self, z_dim: int) -> None:
        super().__init__("guide")
        self.z_dim = z_dim

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, T) tokens, of which only the number counts; y is ignored."""
        with pyro.plate("data", len(x)):
            pyro.sample("z", nn.standard_normal(x, self.z_dim))


def source(seed: int) -> Autoregressive:
    """The random recurrent network that draws the sequences of a seed."""
    torch.manual_seed(seed)
    network = Autoregressive(LENGTH, z_dim=CAUSES, state=STATE)
    with torch.no_grad():
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        body = network.decoder.get_submodule("body.body")
        body.get_parameter("out.weight").mul_(SHARPNESS)
    return network


def drawn(seed: int) -> Dataset:
    """Sequences drawn from a random recurrent network with a cause of two dimensions.

    The cause is a point near one of four corners, which is the class that no pair is told.
    """
    network, number = source(seed), TRAINED + VALIDATED + TESTED
    with torch.no_grad():
        corner = torch.randint(len(CORNERS), (number,))
        cause = torch.tensor(CORNERS)[corner] + SPREAD * torch.randn(number, CAUSES)
        x = torch.zeros(number, LENGTH)
        for t in range(LENGTH):
            x[:, t] = network.decoder(cause, x).base_dist.sample()[:, t]
    test = (x[-TESTED:].numpy(), corner[-TESTED:].numpy())
    return data.from_arrays(
        x[:-TESTED].numpy(), corner[:-TESTED].numpy(), test=test, name="sequences",
        validation=VALIDATED / (TRAINED + VALIDATED),
    )


def truth(seed: int) -> dict[str, float]:
    """What the best of models would have: the network that draws the sequences of a seed.

    Returns:
        The mean log p(x) of the test part, ``log_prob``, and the mutual information of x and the
        corner of its cause, ``information``, in nats.
    """
    split = drawn(seed).split(len(CORNERS), seed=seed)
    x, y = split.examples(split.test)
    of_corner = log_probs(source(seed), x)  # the corners are equally likely
    log_prob = of_corner.logsumexp(1) - math.log(of_corner.shape[1])
    own = of_corner.gather(1, y.argmax(1, keepdim=True)).squeeze(1)
    return {"log_prob": log_prob.mean().item(), "information": (own - log_prob).mean().item()}


def log_probs(network: Autoregressive, x: Tensor, nodes: int = NODES) -> Tensor:
    """log p(x | corner) of sequences (N, T) under the network that draws them, (N, 4), in nats.

    The cause is summed out by a Gauss-Hermite rule of so many nodes in each of its dimensions.
    """
    places, masses = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(nodes))
    grid = SPREAD * torch.cartesian_prod(*[places.float()] * CAUSES)
    weights = torch.cartesian_prod(*[(masses / masses.sum()).log()] * CAUSES).sum(1, keepdim=True)
    with torch.no_grad():
        return torch.stack([
            torch.cat([
                (_given(network, grid + torch.tensor(corner), rows) + weights).logsumexp(0)
                for rows in x.split(ROWS)
            ])
            for corner in CORNERS
        ], 1)


def _given(network: Autoregressive, causes: Tensor, x: Tensor) -> Tensor:
    """log p(x | cause) of every cause (M, 2) and sequence (N, T), (M, N)."""
    each = network.decoder(causes.repeat_interleave(len(x), 0), x.repeat(len(causes), 1))
    return each.log_prob(x.repeat(len(causes), 1)).view(len(causes), len(x)).double()
