"""Scores of predicted normal distributions against scikit-learn's and scipy's."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import r2_score, root_mean_squared_error

from pyro_ssvae import InputError
from pyro_ssvae.targets import Number, normals

torch.manual_seed(0)
MEAN, DEVIATION, Y = torch.randn(50), torch.rand(50) + 0.2, torch.randn(50)
PREDICTED = torch.stack([MEAN, DEVIATION], dim=1)


def test_scores_are_those_of_scikit_learn_and_scipy() -> None:
    y, mean = Y.numpy(), MEAN.numpy()
    assert normals.rmse(PREDICTED, Y) == pytest.approx(root_mean_squared_error(y, mean), rel=1e-6)
    assert normals.r2(PREDICTED, Y) == pytest.approx(r2_score(y, mean), rel=1e-6)
    expected = -norm(MEAN, DEVIATION).logpdf(Y).mean()
    assert normals.nll(PREDICTED, Y) == pytest.approx(expected, rel=1e-6)
    low, high = norm(MEAN, DEVIATION).interval(0.9)
    inside = ((low <= Y.numpy()) & (Y.numpy() <= high)).mean()
    assert 0 < inside < 1 and normals.coverage(PREDICTED, Y) == pytest.approx(inside)


def test_unknown_numbers_count_nothing() -> None:
    y = Y.clone()
    y[::3] = torch.nan
    known = ~y.isnan()
    assert normals.scores(PREDICTED, y) == normals.scores(PREDICTED[known], Y[known])
    with pytest.raises(InputError, match="a known label to score, got none in 50 examples"):
        normals.scores(PREDICTED, torch.full((50,), torch.nan))


@pytest.mark.parametrize("value, rows", [(3.0, 4), (0.1, 7), (1.7, 23)])
def test_of_numbers_that_are_all_the_same_there_is_no_variance_to_explain(
    value: float, rows: int
) -> None:
    y = torch.full((rows,), value, dtype=torch.double)  # whose mean is another number, of 0.1
    right, wrong = (torch.stack([mean, torch.ones_like(y)], 1) for mean in (y, y + 1))
    assert (normals.r2(right, y), normals.r2(wrong, y)) == (1.0, 0.0)
    assert Number().standardised(y) == Number(loc=value, scale=1.0)


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(N, 2\) and numbers \(N,\), got \(50, 2\) and"):
        normals.rmse(PREDICTED, Y[:, None])


def test_a_target_scores_in_the_units_of_the_number() -> None:
    target = Number(loc=150.0, scale=80.0)
    inner, outer = Number().scores(PREDICTED, Y[:, None]), target.scores(PREDICTED, Y[:, None])
    assert outer["rmse"] == pytest.approx(80 * inner["rmse"])
    assert outer["nll"] == pytest.approx(inner["nll"] + math.log(80))
    assert (outer["coverage"], outer["r2"]) == pytest.approx((inner["coverage"], inner["r2"]))
    assert target.validation(PREDICTED, Y[:, None]) == {k: outer[k] for k in ("rmse", "nll")}


def test_decoding_undoes_the_encoding() -> None:
    y = torch.tensor([25.0, 346.0, 140.0])
    target = Number().standardised(y)
    torch.testing.assert_close(target.decode(target.encode(y, torch.float32)).float(), y)
    assert target.moments(torch.tensor([[0.0, 1.0]])).tolist() == [[target.loc, target.scale]]
