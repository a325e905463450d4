"""The likelihood of frames, against formulas by hand: what is missing has no part in it."""

import math
from typing import Any

import pyro
import pytest
import small
import torch
from by_hand import Given, log_bernoulli, log_normal, log_softmax
from pyro import distributions as dist
from pyro import poutine
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from pyro_ssvae import negative_elbo, nn
from pyro_ssvae.contract import regresses
from pyro_ssvae.data import Dataset
from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments import pairs
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.nn import Column, Columns
from pyro_ssvae.targets import Classes, Number

TIGHT = {"rtol": 1e-12, "atol": 1e-12}
COLUMNS = Columns((
    Column("age", "number", loc=40.0, scale=10.0), Column("member", "binary"),
    Column("colour", "category", ("blue", "green", "red")), Column("height", "number"),
    Column("size", "category", ("large", "small")),
))
# In x: age, height, member, the 3 levels of colour, the 2 of size; then the marks, in this order.
WIDTHS = (1, 1, 1, 3, 2)


def rows(number: int = 6, seed: int = 0) -> Tensor:
    """Rows of :data:`COLUMNS` with gaps, 0 where values are missing, in float64."""
    noise = torch.Generator().manual_seed(seed)
    values = torch.randn(number, 2, generator=noise, dtype=torch.double)
    binary, colour, size = (
        torch.randint(levels, (number,), generator=noise) for levels in (2, 3, 2)
    )
    values = torch.cat([values, binary[:, None], F.one_hot(colour, 3), F.one_hot(size, 2)], 1)
    marks = torch.randint(2, (number, 5), generator=noise).double()
    marks[0], marks[1] = 1, 0
    return torch.cat([values * wide(marks), marks], 1)


def mixed(columns: Columns, sigma: float | None, hidden: tuple[int, ...] = ()) -> nn.Network:
    """A decoder of these columns from a z of two dimensions."""
    return nn.network("mlp", nn.Mixed(sigma, columns), 2, columns.width, hidden)


def wide(marks: Tensor) -> Tensor:
    """The marks (..., 5), one for each of the 8 values."""
    return torch.cat([marks[..., i:i + 1].expand(*marks.shape[:-1], w)
                      for i, w in enumerate(WIDTHS)], -1)


def refilled(x: Tensor, filler: float) -> Tensor:
    """x with other numbers in place of what is missing."""
    values, marks = x[..., :8], x[..., 8:]
    return torch.cat([torch.where(wide(marks) == 1, values, filler), marks], -1)


def parameters(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
    """Means and scales of the numbers, and logits of everything else, as leaves."""
    torch.manual_seed(1)
    loc, raw = torch.randn(2, *shape, 2, dtype=torch.double)
    logits = torch.randn(*shape, 6, dtype=torch.double)
    return loc.requires_grad_(), raw.exp().requires_grad_(), logits.requires_grad_()


def by_hand(x: Tensor, loc: Tensor, scale: Tensor, logits: Tensor) -> Tensor:
    """The log-probability of one row (13,): a sum over the entries that are there, and no other."""
    terms = [
        lambda: log_normal(x[0:1], loc[0:1], scale[0:1]),
        lambda: log_normal(x[1:2], loc[1:2], scale[1:2]),
        lambda: log_bernoulli(x[2:3], logits[0:1]),
        lambda: log_softmax(logits[1:4])[int(x[3:6].argmax())],
        lambda: log_softmax(logits[4:6])[int(x[6:8].argmax())],
    ]
    there = [term() for term, mark in zip(terms, x[8:].tolist()) if mark]
    return sum(there, torch.zeros((), dtype=torch.double))


# The layout


def test_columns_of_a_kind_are_together_and_have_their_places() -> None:
    assert [c.name for c in COLUMNS.columns] == ["age", "height", "member", "colour", "size"]
    assert (COLUMNS.numbers, COLUMNS.binaries, COLUMNS.sizes) == (2, 1, (3, 2))
    assert (COLUMNS.values, COLUMNS.width) == (8, 13)
    assert COLUMNS.places["colour"] == slice(3, 6) and COLUMNS.places["size"] == slice(6, 8)


def test_equal_columns_are_equal_and_say_so() -> None:
    again = Columns(tuple(reversed(COLUMNS.columns[:2])) + COLUMNS.columns[2:])
    assert again != COLUMNS  # another order of x
    again = Columns(COLUMNS.columns[2:] + COLUMNS.columns[:2])
    assert again == COLUMNS and repr(again) == repr(COLUMNS) and "'red'" in repr(COLUMNS)


def test_values_that_are_missing_are_read_as_0() -> None:
    x = rows()
    values, observed = COLUMNS.split(refilled(x, 1e30))
    assert_close(torch.cat([values, observed.double()], 1), x, rtol=0, atol=0)


def test_a_summary_says_kinds_ranges_and_gaps() -> None:
    x = COLUMNS.complete(torch.zeros(4, 8))
    x[0, 0], x[1, 0] = -2.3, 5.0
    x[2, [0, 8]] = 0
    x[:2, 11] = 0
    assert COLUMNS.summary(x) == [
        "2 columns of numbers: age (17 to 90, 25.0% missing), height (0 to 0)",
        "1 column of 0 and 1: member",
        "2 columns of categories: colour (3 levels, 50.0% missing), size (2 levels)",
        "3 of 20 entries missing (15.0%)",
    ]


def test_a_summary_of_many_columns_names_the_first() -> None:
    many = Columns(tuple(Column(f"c{i}", "binary") for i in range(30)))
    (line, _) = many.summary(many.complete(torch.zeros(1, 30)))
    assert line == "30 columns of 0 and 1: c0, c1, c2, c3, c4, and 25 more"


@pytest.mark.parametrize("names", [(), ("a", "b", "a")])
def test_columns_have_different_names(names) -> None:
    with pytest.raises(InputError, match="columns of different names, got (none|a, b, a)"):
        Columns(tuple(Column(name, "binary") for name in names))


# The distribution


def test_log_probability_is_the_sum_over_observed_entries_by_hand() -> None:
    x, (loc, scale, logits) = rows(), parameters(6)
    cotangent = torch.linspace(1, 2, 6, dtype=torch.double)
    derived = nn.MixedColumns(COLUMNS, loc, scale, logits).log_prob(x)
    expected = torch.stack([by_hand(*row) for row in zip(x, loc, scale, logits)])
    assert_close(derived, expected, **TIGHT)
    for ours, theirs in zip(*(
        torch.autograd.grad(each @ cotangent, (loc, scale, logits)) for each in (derived, expected)
    )):
        assert_close(ours, theirs, **TIGHT)


@pytest.mark.parametrize("filler", [math.nan, math.inf, 1e30, -7.0])
def test_what_stands_in_place_of_a_missing_entry_changes_no_value_and_no_gradient(filler) -> None:
    found = []
    for x in (rows(), refilled(rows(), filler)):
        leaves = parameters(6)
        log_prob = nn.MixedColumns(COLUMNS, *leaves).log_prob(x)
        found.append((log_prob, *torch.autograd.grad(log_prob.sum(), leaves)))
    for one, other in zip(*found):
        assert torch.equal(one, other) and one.isfinite().all()


def test_a_row_without_entries_has_probability_1_and_no_gradient() -> None:
    leaves = parameters(1)
    log_prob = nn.MixedColumns(COLUMNS, *leaves).log_prob(torch.zeros(1, 13, dtype=torch.double))
    assert log_prob.item() == 0
    for gradient in torch.autograd.grad(log_prob.sum(), leaves):
        assert not gradient.any()


def test_classes_and_rows_broadcast() -> None:
    x, leaves = rows(), parameters(3, 6)
    derived = nn.MixedColumns(COLUMNS, *leaves).log_prob(x)
    expected = torch.stack([
        torch.stack([by_hand(*row) for row in zip(x, *each)]) for each in zip(*leaves)
    ])
    assert_close(derived, expected, **TIGHT)


def test_it_expands() -> None:
    x, fn = rows(), nn.MixedColumns(COLUMNS, *parameters(1))
    expanded = fn.expand(torch.Size([2, 6]))
    assert expanded.batch_shape == (2, 6) and expanded.event_shape == (13,)
    assert_close(expanded.log_prob(x), fn.log_prob(x).expand(2, 6), **TIGHT)
    assert expanded.sample().shape == (2, 6, 13)


def test_means_and_samples_are_complete() -> None:
    loc, scale, logits = (each.detach() for each in parameters(1))
    fn = nn.MixedColumns(COLUMNS, loc, scale, logits)
    expected = torch.cat([
        loc, logits[:, :1].sigmoid(), log_softmax(logits[:, 1:4]).exp(),
        log_softmax(logits[:, 4:]).exp(), torch.ones(1, 5, dtype=torch.double),
    ], 1)
    assert_close(fn.mean, expected, **TIGHT)
    torch.manual_seed(0)
    draws = fn.sample(torch.Size([20_000]))
    assert_close(draws.mean(0), expected, rtol=0, atol=0.06)
    assert_close(draws[..., :2].std(0), scale, rtol=0.03, atol=0)
    assert set(draws[..., 2:].unique().tolist()) == {0.0, 1.0}
    assert bool((draws[..., 3:6].sum(-1) == 1).all() and (draws[..., 8:] == 1).all())
    assert fn.support.check(draws).all()


@pytest.mark.parametrize("kinds", ["number", "binary", "category"])
def test_a_frame_may_have_columns_of_one_kind_only(kinds) -> None:
    columns = Columns(tuple(column for column in COLUMNS.columns if column.kind == kinds))
    network = mixed(columns, 1.0)
    fn = network(torch.zeros(4, 2))
    x = fn.sample()
    assert x.shape == (4, columns.width) and fn.mean.shape == x.shape
    assert fn.log_prob(x).shape == (4,) and bool((fn.log_prob(x) < 0).all())


# The head


@pytest.mark.parametrize("sigma", [0.5, None])
def test_a_network_gives_what_the_columns_need(sigma) -> None:
    torch.manual_seed(0)
    network = mixed(COLUMNS, sigma).double()
    z = torch.randn(6, 2, dtype=torch.double)
    out = F.linear(z, network.body.first[0].weight, network.body.first[0].bias)
    fn = network(z)
    if sigma is None:
        loc, raw, logits = out.split((2, 2, 6), -1)
        scale = torch.log1p(torch.exp(raw)) + nn.MIN_SCALE
    else:
        loc, logits = out.split((2, 6), -1)
        scale = torch.full_like(loc, sigma)
    expected = torch.stack([by_hand(*row) for row in zip(rows(), loc, scale, logits)])
    assert_close(fn.log_prob(rows()), expected, **TIGHT)


@pytest.mark.parametrize("columns, error", [
    (COLUMNS, r"x of the 13 dimensions that its columns have, got \(8,\)"),
    (None, "the likelihood 'mixed' is that of a frame: give its columns"),
])
def test_likelihoods_that_do_not_go_with_x_are_refused(columns, error) -> None:
    with pytest.raises(InputError, match=error):
        nn.network("mlp", nn.Mixed(1.0, columns), 4, 8, ())


def test_a_standard_deviation_is_positive() -> None:
    with pytest.raises(InputError, match="expected sigma > 0, got 0"):
        nn.Mixed(0.0, COLUMNS)


# A model whose marginal is known: z ~ N(0, I), x = W z + b + sigma noise, in which every pattern of
# missing entries leaves a normal.

NUMBERS = Columns(tuple(Column(f"x{i}", "number") for i in range(4)))
PATTERNS = [(1, 1, 1, 1), (1, 0, 1, 0), (0, 1, 1, 1), (0, 0, 0, 1), (0, 0, 0, 0)]
SIGMA = 0.7


def linear_model() -> nn.Network:
    torch.manual_seed(2)
    return mixed(NUMBERS, SIGMA).double()


def numbers(*patterns: tuple[int, ...]) -> Tensor:
    noise = torch.Generator().manual_seed(3)
    marks = torch.tensor(patterns, dtype=torch.double)
    values = torch.randn(len(patterns), 4, generator=noise, dtype=torch.double)
    return torch.cat([values * marks, marks], 1)


class Posterior:
    """p(z | what is observed of x), by Bayes' rule for normals."""

    def __init__(self, decoder: nn.Network) -> None:
        linear = decoder.body.first[0]
        self.weight, self.bias = linear.weight, linear.bias

    def __call__(self, x: Tensor, y: Any = None) -> None:
        values, marks = x[:, :4], x[:, 4:]
        seen = self.weight * marks[:, :, None]  # (N, 4, 2): nothing is seen of a gap
        precision = torch.eye(2, dtype=x.dtype) + seen.mT @ seen / SIGMA**2
        pull = (seen.mT @ ((values - self.bias) * marks)[..., None]).squeeze(-1) / SIGMA**2
        covariance = precision.inverse()
        loc = (covariance @ pull[..., None]).squeeze(-1)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.MultivariateNormal(loc, covariance))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_with_the_exact_posterior_the_bound_is_the_log_marginal_of_what_is_observed(
    pattern,
) -> None:
    decoder, x = linear_model(), numbers(pattern)
    linear = decoder.body.first[0]

    def model(x: Tensor, y: Any = None) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", nn.standard_normal(x, 2))
            pyro.sample("x", decoder(z), obs=x)

    seen = [i for i, mark in enumerate(pattern) if mark]
    weight, bias = linear.weight[seen], linear.bias[seen]
    covariance = weight @ weight.T + SIGMA**2 * torch.eye(len(seen), dtype=torch.double)
    expected = torch.zeros((), dtype=torch.double) + 0 * linear.weight.sum() + 0 * linear.bias.sum()
    if seen:
        marginal = torch.distributions.MultivariateNormal(bias, covariance)
        expected = expected + marginal.log_prob(x[0, seen])
    torch.manual_seed(0)
    # Every sample of the exact posterior gives log p(x); its gradient is that of the marginal.
    elbo = -negative_elbo(model, Posterior(decoder), x, kl="sampled")
    assert_close(elbo, expected, **TIGHT)
    for ours, theirs in zip(*(
        torch.autograd.grad(each, [linear.weight, linear.bias]) for each in (elbo, expected)
    )):
        assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def test_the_bound_of_a_row_is_that_of_a_model_of_the_observed_columns_alone() -> None:
    torch.manual_seed(0)
    decoder = mixed(COLUMNS, None, (5,)).double()
    columns = Columns(tuple(c for c in COLUMNS.columns if c.name in ("height", "colour")))
    part = mixed(columns, None, (5,)).double()
    # Of the outputs (2 means, 2 scales, 6 logits) those of height and of colour.
    own = [1, 3, 5, 6, 7]
    z = torch.randn(6, 2, dtype=torch.double)
    x = COLUMNS.complete(rows()[:, :8])
    x[:, [8, 10, 12]] = 0
    alone = torch.cat([x[:, 1:2], x[:, 3:6], x[:, [9, 11]]], 1)

    def bound(network: nn.Network, x: Tensor) -> Tensor:
        def model(x: Tensor, y: Any = None) -> None:
            with pyro.plate("data", len(x)):
                z = pyro.sample("z", nn.standard_normal(x, 2))
                pyro.sample("x", network(z), obs=x)

        def guide(x: Tensor, y: Any = None) -> None:
            with pyro.plate("data", len(x)), Given(z=z):
                pyro.sample("z", nn.standard_normal(x, 2))

        return negative_elbo(model, guide, x)

    first, last = decoder.body.first[0], decoder.body.rest[-1]
    with torch.no_grad():
        part.body.first[0].weight.copy_(first.weight)
        part.body.first[0].bias.copy_(first.bias)
        part.body.rest[-1].weight.copy_(last.weight[own])
        part.body.rest[-1].bias.copy_(last.bias[own])
    whole, only = bound(decoder, x), bound(part, alone)
    assert_close(whole, only, **TIGHT)
    for ours, theirs in zip(
        torch.autograd.grad(whole, [first.weight, first.bias, last.weight, last.bias]),
        torch.autograd.grad(only, list(part.parameters())),
    ):
        if len(ours) == 10:  # of the last layer
            assert not ours[[0, 2, 4, 8, 9]].any()
            ours = ours[own]
        assert_close(ours, theirs, **TIGHT)


# Every pair


def frame_data(name: str, number: int = 12) -> Dataset:
    """Rows of :data:`COLUMNS` with labels of the kind that a pair infers."""
    y, target = torch.arange(number) % 2, Classes(("no", "yes"))
    if regresses(pairs.pair(name).guide):
        y, target = y.float(), Number()
    return Dataset(
        "frame", rows(number).float(), y, target, torch.tensor([0, 1]), 2, columns=COLUMNS,
        kind="frame",
    )


class Refilled(poutine.messenger.Messenger):
    """Has the likelihood, and nothing else, read other numbers in place of missing ones."""

    def __init__(self, filler: float) -> None:
        super().__init__()

        class Filled(nn.MixedColumns):
            def log_prob(self, value: Tensor) -> Tensor:
                return super().log_prob(refilled(value, filler))

        self.likelihood = Filled

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] == "x":
            fn = msg["fn"]
            msg["fn"] = self.likelihood(fn.columns, fn.loc, fn.scale, fn.logits)


def with_likelihood() -> list[str]:
    return [name for name in pairs.names() if "likelihood" in pairs.pair(name).options]


def test_all_pairs_have_a_likelihood_but_three() -> None:
    assert {"gaussianmixture", "supervised", "untapped"} >= set(pairs.names()) - set(
        with_likelihood()
    )


@pytest.mark.parametrize("name", with_likelihood())
def test_the_bound_of_every_pair_is_finite_and_blind_to_what_stands_in_a_gap(name) -> None:
    data = frame_data(name)
    objective = small.objective(name, data)
    y = data.target.encode(data.y, data.x.dtype)
    for labels in (None, y):
        bounds = []
        for filler in (0.0, 50.0):
            with evaluating(objective):
                model = Refilled(filler)(lambda *args: objective.model(*args))
                bounds.append(negative_elbo(model, objective.guide, data.x, labels))
        assert bounds[0].isfinite() and torch.equal(*bounds)
