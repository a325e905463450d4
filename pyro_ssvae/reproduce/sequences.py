"""Sequences of tokens with a latent cause, and a VAE whose decoder reads the tokens before."""

from __future__ import annotations

from collections.abc import Sequence

import pyro
import torch
from pyro.nn import PyroModule
from torch import Tensor
from torch.nn import GRU, Embedding, Linear, Module

from pyro_ssvae import data, nn
from pyro_ssvae.data import Dataset

LENGTH, VOCABULARY, CAUSES, STATE, SHARPNESS = 10, 20, 2, 32, 1.5
TRAINED, VALIDATED, TESTED = 2_000, 500, 500


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
    """

    def __init__(
        self, x_shape: nn.Shape, *, z_dim: int = 2, state: int = 32, vocabulary: int = VOCABULARY
    ) -> None:
        super().__init__("model")
        self.x_shape, self.z_dim = nn.as_shape(x_shape), z_dim
        self.decoder = nn.network(
            lambda inputs, out: Recurrent(inputs, out, state), nn.Categorical(vocabulary),
            [z_dim, self.x_shape], self.x_shape, (),
        )

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, T) tokens; y is ignored."""
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", nn.standard_normal(x, self.z_dim))
            pyro.sample("x", self.decoder(z, x), obs=x)


def drawn(seed: int) -> Dataset:
    """Sequences drawn from a random recurrent network with a cause of two dimensions.

    The cause is a point near one of four corners, which is the class that no pair is told.
    """
    torch.manual_seed(seed)
    number = TRAINED + VALIDATED + TESTED
    source = Autoregressive(LENGTH, z_dim=CAUSES, state=STATE)
    with torch.no_grad():
        for parameter in source.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        body = source.decoder.get_submodule("body.body")
        body.get_parameter("out.weight").mul_(SHARPNESS)
        corner = torch.randint(4, (number,))
        corners = torch.tensor([[-1.5, -1.5], [-1.5, 1.5], [1.5, -1.5], [1.5, 1.5]])
        cause = corners[corner] + 0.4 * torch.randn(number, CAUSES)
        x = torch.zeros(number, LENGTH)
        for t in range(LENGTH):
            x[:, t] = source.decoder(cause, x).base_dist.sample()[:, t]
    test = (x[-TESTED:].numpy(), corner[-TESTED:].numpy())
    return data.from_arrays(
        x[:-TESTED].numpy(), corner[:-TESTED].numpy(), test=test, name="sequences",
        validation=VALIDATED / (TRAINED + VALIDATED),
    )
