"""Every pair with convolutional networks: its bounds are those of networks run class by class.

The equations' tests prove the bounds for networks that are any functions. Convolutions run once for
all classes of a label that is summed over; here they run for each alone.
"""

import math

import pytest
import small
import torch
from by_hand import assert_same
from torch import Tensor, nn

from pyro_ssvae import fit, negative_elbo
from pyro_ssvae.experiments import pairs
from pyro_ssvae.nn import Conv
from pyro_ssvae.nn.conv import Trunked

SHAPE, K = (1, 8, 8), 10


class EachAlone(nn.Module):
    """A body that is called for every leading dimension of its inputs in turn, but for rows."""

    def __init__(self, body: Trunked) -> None:
        super().__init__()
        self.body = body

    def forward(self, *inputs: Tensor) -> Tensor:
        shapes = self.body.inputs
        leading = torch.broadcast_shapes(
            *(x.shape[:x.dim() - len(s)] for x, s in zip(inputs, shapes))
        )
        *before, rows = leading
        full = [
            x.expand(*leading, *s).reshape(-1, rows, *s) for x, s in zip(inputs, shapes)
        ]
        each = torch.stack([self.body(*one) for one in zip(*full)])
        return each.view(*before, *each.shape[1:])


def with_bodies(module: nn.Module, alone: bool) -> None:
    """Have all networks run class by class, or as they do."""
    for part in list(module.modules()):
        body = getattr(part, "body", None)
        if alone and isinstance(body, Trunked) and not isinstance(part, EachAlone):
            part.body = EachAlone(body)
        elif not alone and isinstance(body, EachAlone):
            part.body = body.body


def with_networks() -> list[str]:
    return [name for name in pairs.names() if "network" in pairs.pair(name).options]


def test_every_pair_but_the_mixture_has_networks() -> None:
    assert set(pairs.names()) - set(with_networks()) == {"gaussianmixture"}


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("name", with_networks())
def test_the_bound_of_convolutions_is_that_of_each_class_alone(name: str, labelled: bool) -> None:
    data = small.data_for(name)
    objective = small.objective(name, data, network="conv").double()
    assert any(isinstance(part, Conv) for part in objective.modules())
    x, y = data.split(50).part("labelled")
    x, given = x[:4].double(), y[:4].double() if labelled else None
    torch.nn.init.normal_(next(objective.model.parameters()), std=0.1)
    bounds = []
    for alone in (True, False):
        with_bodies(objective, alone)
        torch.manual_seed(3)
        bounds.append(negative_elbo(objective.model, objective.guide, x, given))
    assert_same(*bounds, objective)


@pytest.mark.parametrize("name", with_networks())
def test_every_pair_trains_with_convolutions(name: str) -> None:
    split = small.split_for(name)
    objective = small.objective(name, split, network="conv")
    before = [p.detach().clone() for p in objective.parameters()]
    (epoch,) = fit(objective, split, epochs=1, batch_unlabelled=600)
    assert all(map(math.isfinite, epoch.validation.values()))
    moved = [not torch.equal(p, old) for p, old in zip(objective.parameters(), before)]
    assert sum(moved) > len(moved) / 2
