"""AdversarialM2 against Jurasinski (2019), appendix E, written out by hand."""

import pytest
import torch
from by_hand import (
    assert_same,
    dense,
    log_softmax,
    normal_parameters,
    one_hot,
    with_noise,
)
from torch import Tensor

from pyro_ssvae import InputError, Objective, guides, models, negative_elbo
from pyro_ssvae.contract import Batch
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.steps import Eager

N, D, K, J = 5, 6, 3, 2
torch.manual_seed(0)
X = torch.bernoulli(torch.full((N, D), 0.5, dtype=torch.double))
U = torch.bernoulli(torch.full((N + 1, D), 0.5, dtype=torch.double))
Y = one_hot([0, 1, 2, 2, 0], K)
EPS = torch.randn(K, N, J, dtype=torch.double)
NOW = Moment(0, 0, 1)
Pair = tuple[models.AdversarialM2, guides.AdversarialM2]


def build(**options) -> Pair:
    torch.manual_seed(1)
    model = models.AdversarialM2(D, K, z_dim=J, hidden=(5,)).double()
    return model, guides.AdversarialM2(model, hidden=(4,), **options).double()


def adversary_loss(guide: guides.AdversarialM2) -> Tensor:
    """E_q(z | x, y)[-log f(y | z)], a mean, with the noise that torch draws next."""
    loc, scale = normal_parameters(guide.encoder, X, Y)
    z = loc + scale * torch.normal(torch.zeros(N, J).double(), torch.ones(N, J).double())
    return -(Y * log_softmax(dense(guide.adversary, z))).sum(-1).mean()


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("kl", ["analytic", "sampled"])
def test_the_bound_is_that_of_m2(labelled, kl) -> None:
    model, guide = build()
    m2 = models.M2(D, K, z_dim=J, hidden=(5,)).double()
    m2_guide = guides.M2(m2, hidden=(4,)).double()
    m2.load_state_dict(model.state_dict())
    m2_guide.load_state_dict(
        {k: v for k, v in guide.state_dict().items() if not k.startswith("adversary")}
    )
    y, eps = (Y, EPS[0]) if labelled else (None, EPS)
    mine = negative_elbo(model, with_noise(guide, z=eps), X, y, kl=kl)
    theirs = negative_elbo(m2, with_noise(m2_guide, z=eps), X, y, kl=kl)
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    names = dict(m2_guide.named_parameters())
    own = [p for n, p in guide.named_parameters() if n in names]
    for a, b in zip(torch.autograd.grad(mine, own, allow_unused=True),
                    torch.autograd.grad(theirs, list(names.values()), allow_unused=True),
                    strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_the_adversarys_loss_descends_in_the_adversary_and_is_reversed_in_the_encoder() -> None:
    model, guide = build(adversary=2.5)
    ((name, term),) = guide.terms.items()
    torch.manual_seed(2)
    value = term.function(model, guide, Batch(X, Y, U), 0.0)
    torch.manual_seed(2)
    by_hand = adversary_loss(guide)
    assert (name, term.weight) == ("adversary", 2.5)
    assert_same(value, by_hand, guide.adversary)
    encoder = list(guide.encoder.parameters())
    got = torch.autograd.grad(value, encoder, retain_graph=True)
    expected = torch.autograd.grad(by_hand, encoder)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, -b, rtol=1e-8, atol=1e-10)
        assert (b != 0).any()
    rest = list(guide.classifier.parameters())
    assert torch.autograd.grad(value, rest, allow_unused=True) == (None,) * len(rest)


@pytest.mark.parametrize("game", ["reversal", "alternating"])
def test_the_total_is_m2s_objective_and_the_weighted_term(game) -> None:
    model, guide = build(adversary=2.5, game=game)
    torch.manual_seed(3)
    total, terms = Objective(model, guide, alpha=4.0)(Batch(X, Y, U))
    expected = terms["labelled"] + terms["unlabelled"] + 4 * terms["classification"]
    torch.testing.assert_close(total.detach(), expected + 2.5 * terms["adversary"])


def test_alternating_the_adversary_moves_first_and_alone() -> None:
    objective = Objective(*build(game="alternating"), alpha=1.0)
    adversary = list(objective.guide.adversary.parameters())
    first, rest = objective.turns()
    assert [id(p) for p in first] == [id(p) for p in adversary]
    assert {id(p) for p in first} | {id(p) for p in rest} == {id(p) for p in objective.parameters()}
    assert not {id(p) for p in first} & {id(p) for p in rest}


def test_in_reversal_all_move_at_once() -> None:
    objective = Objective(*build(game="reversal"))
    (together,) = objective.turns()
    assert {id(p) for p in together} == {id(p) for p in objective.parameters()}


def alternate_by_hand(objective: Objective, seeds: tuple[int, int]) -> None:
    """Gradient descent at rate 0.1, the adversary's step first, then the others'."""
    names, parameters = zip(*objective.named_parameters())
    for of_adversary, seed in zip((True, False), seeds):
        torch.manual_seed(seed)
        gradients = torch.autograd.grad(objective(Batch(X, Y, U)).total, parameters)
        with torch.no_grad():
            for name, parameter, gradient in zip(names, parameters, gradients):
                if name.startswith("guide.adversary") == of_adversary:
                    parameter -= 0.1 * gradient


def test_an_alternating_update_is_two_steps_and_the_second_sees_the_first(monkeypatch) -> None:
    objective = Objective(*build(game="alternating"), alpha=1.0)
    start = {k: v.clone() for k, v in objective.state_dict().items()}
    alternate_by_hand(objective, (4, 5))
    by_hand = {k: v.clone() for k, v in objective.state_dict().items()}
    objective.load_state_dict(start)
    seeds, forward = iter((4, 5)), objective.forward

    def seeded(*args):
        torch.manual_seed(next(seeds))
        return forward(*args)

    monkeypatch.setattr(objective, "forward", seeded)
    Eager(objective, torch.optim.SGD(objective.parameters(), lr=0.1))(Batch(X, Y, U), NOW)
    assert next(seeds, None) is None
    for name, value in objective.state_dict().items():
        torch.testing.assert_close(value, by_hand[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("game", ["reversal", "alternating"])
def test_an_update_moves_every_parameter(game) -> None:
    objective = Objective(*build(game=game), alpha=1.0)
    start = {k: v.clone() for k, v in objective.state_dict().items()}
    optimizer = torch.optim.Adam(objective.parameters())
    losses = Eager(objective, optimizer)(Batch(X, Y, U), NOW)
    assert losses.keys() == {"loss", "labelled", "unlabelled", "classification", "adversary"}
    assert not any(torch.equal(v, start[k]) for k, v in objective.state_dict().items())


def test_against_a_trained_adversary_the_latent_loses_the_class() -> None:
    # The adversary alone learns to read y off z; then the encoder alone undoes it.
    model, guide = build(game="alternating")
    objective = Objective(model, guide, labelled=1e-12, unlabelled=0.0)
    first, rest = objective.turns()
    losses = []
    for players in (first, rest):
        optimizer = torch.optim.Adam(players, lr=0.05)
        for _ in range(40):
            Eager(objective, optimizer)(Batch(X, Y, U), NOW, [players])
        with torch.no_grad():
            losses.append(sum(adversary_loss(guide).item() for _ in range(20)) / 20)
    assert losses[0] < 0.9 < losses[1]


@pytest.mark.parametrize("options, message", [
    ({"game": "alternate"}, "unknown game 'alternate': .* did you mean 'alternating'"),
    ({"adversary": 0.0}, "expected adversary > 0, got 0.0"),
])
def test_a_game_that_cannot_be_played_is_named(options, message) -> None:
    with pytest.raises(InputError, match=message):
        build(**options)
