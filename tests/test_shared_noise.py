"""What is said of a row depends on no other; in training each has noise of its own."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Gamma, Independent, Normal

from pyro_ssvae import nn, pair
from pyro_ssvae.contract import classifies
from pyro_ssvae.data import Dataset
from pyro_ssvae.evaluation.evaluate import fit_classifier
from pyro_ssvae.experiments.pairs import names
from pyro_ssvae.inference import query
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.nn.samples import moved


CASES = [
    (name, flows) for name in names() if name != "regression"
    for flows in ((0, 2) if "flows" in pair(name).options else (0,))
]


@pytest.mark.parametrize("name, flows", CASES)
def test_a_row_is_classified_and_placed_as_it_is_alone(
    name: str, flows: int, digits: Dataset
) -> None:
    split = digits.split(labels=50, seed=0)
    torch.manual_seed(0)
    objective, _ = pair(name).on(split, **{"flows": flows} if flows else {})
    x = split.part("test")[0][:20].double()
    with evaluating(objective):
        fit_classifier(objective.guide, split)
        objective.double()
        asked = [objective.guide.classify] if classifies(objective.guide) else []
        found = [(of(x).probs, of(x[15:]).probs) for of in asked]
        if "z" in query.sites(objective.guide, x[:2]):
            found.append(tuple(query.posterior_mean(objective.guide, rows) for rows in (x, x[15:])))
        for beside, alone in found:
            torch.testing.assert_close(beside[15:], alone, rtol=0, atol=1e-12)


def test_in_training_each_row_has_noise_of_its_own() -> None:
    q = Independent(Normal(torch.zeros(3, 4), torch.ones(3, 4)), 1)
    shared = nn.drawn(q, nn.noise(5, 1, 4), own=False)
    assert torch.equal(shared, nn.noise(5, 1, 4).expand(5, 3, 4))
    own = nn.drawn(q, nn.noise(5, 1, 4), own=True)
    assert own.shape == (5, 3, 4) and not torch.equal(own[:, 0], own[:, 1])


def test_noise_moves_normal_distributions_alone() -> None:
    with pytest.raises(NotImplementedError, match="expected a normal distribution"):
        moved(Gamma(torch.ones(2), torch.ones(2)), nn.noise(3, 1))
