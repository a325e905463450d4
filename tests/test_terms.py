"""Terms of a loss, from the pair and from the user: values, weights, schedules and shared work."""

import math
from dataclasses import dataclass, replace

import pytest
import small
import torch
from torch import Tensor

from pyro_ssvae import InputError, Objective, guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.inference.agreement import Agreement, inconsistency, misalignment
from pyro_ssvae.inference.feng import Capacity, Swap
from pyro_ssvae.inference.terms import Classification, Ramp, Term

BATCH = small.batch()


def norm(model, guide, batch: Batch, epoch) -> Tensor:
    """The squared norm of the encoder's weights."""
    return sum(p.square().sum() for p in guide.encoder.parameters())


def seven(model, guide, batch: Batch, epoch) -> Tensor:
    return torch.tensor(7.0)


def test_a_term_of_the_user_is_added_with_its_weight_and_moves_what_it_depends_on(pair) -> None:
    objective = Objective(*pair, labelled=0.0, unlabelled=0.0, terms={"norm": Term(norm, weight=3)})
    total, terms = objective(BATCH)
    expected = 3 * norm(*pair, BATCH, 0.0)
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(terms, {"norm": expected.detach() / 3})
    total.backward()
    for parameter in pair[1].encoder.parameters():
        torch.testing.assert_close(parameter.grad, 6 * parameter)


def test_a_term_is_given_the_pair_the_batch_and_the_epoch(pair) -> None:
    given = []

    def note(*arguments) -> Tensor:
        given.append(arguments)
        return torch.ones(())

    Objective(*pair, terms={"note": Term(note)})(BATCH, 2.5)
    assert given == [(*pair, BATCH, 2.5)]


@pytest.mark.parametrize("epoch, share", [(0.0, 0.0), (1.0, 0.25), (4.0, 1.0), (math.inf, 1.0)])
def test_a_schedule_gives_the_share_of_the_weight(pair, epoch, share) -> None:
    term = Term(seven, 2.0, Ramp(4.0))
    objective = Objective(*pair, labelled=0.0, unlabelled=0.0, terms={"mine": term})
    total, terms = objective(BATCH, epoch)
    assert total == 14 * share and terms == {"mine": 7.0}
    assert objective(BATCH, torch.tensor(epoch)).total == 14 * share


def test_any_function_of_the_epoch_is_a_schedule(pair) -> None:
    term = Term(seven, schedule=lambda epoch: 0.5**epoch)
    objective = Objective(*pair, labelled=0.0, unlabelled=0.0, terms={"mine": term})
    assert objective(BATCH, 3.0).total == 7 / 8


def test_a_ramp_over_no_epochs_is_1_throughout() -> None:
    assert Ramp(0.0)(0.0) == Ramp(0.0)(torch.zeros(())) == 1


@pytest.mark.parametrize("epochs", [-1.0, math.nan, math.inf])
def test_a_ramp_takes_a_finite_number_of_epochs(epochs) -> None:
    with pytest.raises(InputError, match=f"expected a finite epochs >= 0, got {epochs}"):
        Ramp(epochs)


@dataclass(frozen=True)
class Views:
    """Two terms of one random view, and how often it was taken."""

    taken: tuple[list[int]] = ([],)
    scale: float = 1.0

    def __call__(self, model, guide, batch: Batch, epoch) -> dict[str, Tensor]:
        self.taken[0].append(1)
        view = self.scale * torch.rand(())
        return {"first": view, "second": 10 * view}

    def __hash__(self) -> int:
        return hash(self.scale)


@pytest.mark.parametrize("other_scale, calls", [(1.0, 1), (2.0, 2)])
def test_terms_of_equal_functions_share_one_call(pair, other_scale, calls) -> None:
    taken = ([],)
    terms = {"first": Term(Views(taken)), "second": Term(Views(taken, other_scale), weight=2.0)}
    losses = Objective(*pair, terms=terms)(BATCH).terms
    assert len(taken[0]) == calls
    assert (losses["second"] == 10 * losses["first"]) == (calls == 1)


def test_the_next_forward_pass_calls_anew(pair) -> None:
    objective = Objective(*pair, terms={"first": Term(Views(([],)))})
    assert objective(BATCH).terms["first"] != objective(BATCH).terms["first"]


def test_a_term_of_weight_zero_is_not_computed(pair) -> None:
    def fail(*arguments) -> Tensor:
        raise AssertionError

    losses = Objective(*pair, terms={"mine": Term(fail, weight=0.0)})(BATCH)
    assert losses.terms.keys() == {"labelled", "unlabelled"}


def test_the_users_terms_replace_the_pairs_by_name() -> None:
    torch.manual_seed(0)
    model = models.AdversarialM2(4, 3, z_dim=2, hidden=(5,))
    guide = guides.AdversarialM2(model, hidden=(5,), adversary=4.0)
    given = {"adversary": Term(seven, weight=0.5), "mine": Term(seven, weight=2.0)}
    objective = Objective(model, guide, labelled=0.0, unlabelled=0.0, terms=given)
    total, terms = objective(BATCH)
    assert terms == {"adversary": 7.0, "mine": 7.0} and total == 17.5
    assert guide.terms["adversary"].weight == 4.0


def test_a_guides_terms_may_be_a_property(pair) -> None:
    class Guide(guides.M2):
        """q(y, z | x)"""

        @property
        def terms(self) -> dict[str, Term]:
            return {"mine": Term(seven, weight=2.0)}

    assert Objective(pair[0], Guide(pair[0])).weights["mine"] == 2.0


def test_the_classification_loss_is_such_a_term(pair) -> None:
    options = {"labelled": 0.0, "unlabelled": 0.0}
    built_in = Objective(*pair, **options, alpha=2.0, smoothing=0.1)(BATCH)
    mine = Term(Classification(0.1), weight=2.0)
    torch.testing.assert_close(
        Objective(*pair, **options, terms={"mine": mine})(BATCH).total, built_in.total
    )


def test_agreement_is_a_term_for_any_guide_that_classifies(pair) -> None:
    model, guide = pair
    dropout = guide.classifier.register_forward_pre_hook(
        lambda _, inputs: (torch.nn.functional.dropout(inputs[0], 0.5),)
    )
    terms = {name: Term(Agreement()) for name in ("consistency", "alignment")}
    objective = Objective(
        model, guide, labelled=0.0, unlabelled=0.0, terms=terms
    )
    torch.manual_seed(1)
    found = objective(BATCH).terms
    torch.manual_seed(1)
    one, other = (guide.classify(BATCH.u).logits for _ in range(2))
    dropout.remove()
    torch.testing.assert_close(found["consistency"], inconsistency(one, other).detach())
    torch.testing.assert_close(
        found["alignment"], misalignment(torch.cat([one, other])).detach()
    )


@pytest.mark.parametrize("number", [0, 3])
def test_agreement_is_of_one_view_or_two(number) -> None:
    with pytest.raises(InputError, match=f"number of views to be 1 or 2, got {number}"):
        Agreement(number=number)


@pytest.mark.parametrize("function, message", [
    (lambda *_: {"a": torch.ones(()), "b": torch.ones(())}, "'mine' gives 'a', 'b': name the term"),
    (lambda *_: torch.ones(3), r"expected a scalar tensor of the term 'mine', got \(3,\)"),
    (lambda *_: {"mine": torch.ones(1)}, r"scalar tensor of the term 'mine', got \(1,\)"),
    (lambda *_: 2.5, "expected a scalar tensor of the term 'mine', got 2.5"),
])
def test_a_function_that_gives_no_scalar_is_named(pair, function, message) -> None:
    with pytest.raises(InputError, match=message):
        Objective(*pair, terms={"mine": Term(function)})(BATCH)


@dataclass
class NotFrozen:
    """A function that cannot be hashed, for it may change."""

    factor: float

    def __call__(self, *arguments) -> Tensor:
        return torch.full((), self.factor)


@dataclass(frozen=True)
class HoldsAList:
    """A function that cannot be hashed, for what it holds may change."""

    factors: list[float]

    def __call__(self, *arguments) -> Tensor:
        return torch.tensor(self.factors).sum()


@pytest.mark.parametrize("function", [3.0, None, NotFrozen(1.0), HoldsAList([1.0])])
def test_what_is_no_function_is_no_term(function) -> None:
    with pytest.raises(InputError, match="expected a function of the model, the guide, the batch"):
        Term(function)


@pytest.mark.parametrize("name", ["labelled", "unlabelled", "classification", "beta", "loss"])
def test_a_term_takes_no_name_of_the_objectives_own(pair, name) -> None:
    with pytest.raises(InputError, match=f"a term named '{name}': .*; use another name"):
        Objective(*pair, terms={name: Term(seven)})


def test_a_function_that_is_no_term_is_refused(pair) -> None:
    with pytest.raises(InputError, match="expected a Term under the name 'mine', got <function"):
        Objective(*pair, terms={"mine": seven})


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_the_weight_of_a_term_is_finite_and_not_negative(pair, weight) -> None:
    with pytest.raises(InputError, match=f"expected a finite mine >= 0, got {weight}"):
        Objective(*pair, terms={"mine": replace(Term(seven), weight=weight)})


def test_feng_s_parts_have_the_papers_weight_by_default() -> None:
    assert Swap().weight == Capacity("z", 5.0).weight == Term(lambda *_: None).weight == 1.0
