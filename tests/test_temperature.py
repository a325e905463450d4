"""Temperatures: the best ones, and what they leave as it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae import InputError
from pyro_ssvae.evaluation.temperature import temperatures, tempered
from pyro_ssvae.targets import metrics, normals


def overconfident(by: float, examples: int = 4000, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Probabilities whose logits are so many times those that the labels were drawn from."""
    noise = torch.Generator().manual_seed(0)
    logits = torch.randn(examples, classes, generator=noise, dtype=torch.double)
    y = torch.multinomial(logits.softmax(-1), 1, generator=noise).squeeze(1)
    return (by * logits).softmax(-1), F.one_hot(y, classes).double()


@pytest.mark.parametrize("by", [0.25, 1.0, 4.0])
def test_what_was_made_overconfident_is_found(by: float) -> None:
    (found,) = temperatures(*overconfident(by), [3])
    assert found == pytest.approx(by, rel=0.1)


def test_the_temperature_has_the_least_nll_and_keeps_the_likeliest_class() -> None:
    probs, y = overconfident(4.0)
    (best,) = temperatures(probs, y, [3])

    def nll(temperature: float) -> float:
        return metrics.nll(tempered(probs, [3], [temperature]), y)

    assert nll(best) < min(nll(0.99 * best), nll(1.01 * best), nll(1.0))
    after = tempered(probs, [3], [best])
    assert metrics.ece(after, y) < 0.3 * metrics.ece(probs, y)
    assert torch.equal(after.argmax(-1), probs.argmax(-1))
    torch.testing.assert_close(after.sum(-1), torch.ones(len(y), dtype=torch.double))


def test_the_least_nll_is_that_of_what_is_applied() -> None:
    noise = torch.Generator().manual_seed(0)
    logits = 150 * torch.randn(300, 3, generator=noise, dtype=torch.double)
    probs = logits.softmax(-1)  # down to 1e-300, which float32 does not hold
    y = F.one_hot(torch.randint(3, (300,), generator=noise), 3).double()
    y[:200] = F.one_hot(logits[:200].argmax(-1), 3).double()
    (best,) = temperatures(probs, y, [3])
    values = {by: metrics.nll(tempered(probs, [3], [by * best]), y) for by in (0.98, 1.0, 1.02)}
    assert min(values, key=values.__getitem__) == 1.0


def test_several_labels_have_a_temperature_each_and_unknown_ones_count_nothing() -> None:
    one, other = overconfident(2.0, classes=2), overconfident(0.5, classes=2)
    probs, y = (torch.cat(pair, -1) for pair in zip(one, other))
    y[:1000, :2] = torch.nan
    found = temperatures(probs, y, [2, 2])
    assert found[:1] == temperatures(one[0][1000:], one[1][1000:], [2])
    assert found[1:] == temperatures(*other, [2])
    torch.testing.assert_close(
        tempered(probs, [2, 2], found)[:, :2], tempered(one[0], [2], found[:1])
    )


def test_a_label_among_several_that_is_always_right_keeps_its_probabilities() -> None:
    probs, y = overconfident(2.0, classes=2)
    both = torch.cat([probs, y * 0.8 + 0.1], -1), torch.cat([y, y], -1)
    assert temperatures(*both, [2, 2]) == (*temperatures(probs, y, [2]), 1.0)


def test_a_real_number_has_the_factor_of_least_nll() -> None:
    noise = torch.Generator().manual_seed(0)
    mean = torch.randn(500, generator=noise, dtype=torch.double)
    y = mean + 3 * torch.randn(500, generator=noise, dtype=torch.double)
    predicted = torch.stack([mean, torch.ones_like(mean)], -1)
    (best,) = temperatures(predicted, y.unsqueeze(-1), [])

    def nll(factor: float) -> float:
        return normals.nll(tempered(predicted, [], [factor]), y)

    assert best == pytest.approx(3, rel=0.1)
    assert nll(best) < min(nll(0.99 * best), nll(1.01 * best))
    assert torch.equal(tempered(predicted, [], [best])[:, 0], mean)


@pytest.mark.parametrize("wrong", [False, True])
def test_examples_that_are_all_right_or_no_better_than_chance_have_no_best_one(
    wrong: bool
) -> None:
    y = torch.eye(3).repeat(5, 1)
    probs = 0.8 * (y.roll(1, 0) if wrong else y) + 0.2 / 3
    with pytest.raises(InputError, match="got 15 for which no temperature is best"):
        temperatures(probs, y, [3])


def test_known_labels_are_asked_for() -> None:
    with pytest.raises(InputError, match="expected known labels to calibrate with, got none in 2"):
        temperatures(torch.full((2, 2), 0.5), torch.full((2, 2), torch.nan), [2])


def test_a_probability_of_zero_stays_one_that_is_next_to_none() -> None:
    probs = tempered(torch.tensor([[1.0, 0.0]]), [2], [2.0])
    assert probs.isfinite().all() and probs[0, 1] < 1e-15
