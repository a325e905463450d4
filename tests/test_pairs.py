"""The contract that every pair keeps. A new pair is covered without an edit here."""

import inspect
from dataclasses import replace
from pathlib import Path

import pyro
import pytest
import small
import torch
from pyro.infer import SVI, TraceEnum_ELBO
from torch import Tensor, nn

from pyro_ssvae import InputError, Objective, check, fit, negative_elbo
from pyro_ssvae.contract import (
    Batch,
    fits_classifier,
    predictor,
    prior_of,
    regresses,
    terms_of,
    turns_of,
)
from pyro_ssvae.data import Split
from pyro_ssvae.evaluation.evaluate import fit_classifier
from pyro_ssvae.experiments import pairs
from pyro_ssvae.inference import query
from pyro_ssvae.inference.terms import Term, evaluated

pytestmark = pytest.mark.parametrize("name", pairs.names())


@pytest.fixture
def split(name) -> Split:
    return small.split_for(name)


def rows(split: Split, n: int = 5) -> tuple[Tensor, Tensor]:
    return split.examples(split.labelled[:n])


def moved(modules: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {k for k, v in modules.state_dict().items() if not torch.equal(v, before[k])}


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def test_model_and_guide_take_x_and_an_optional_y(name) -> None:
    pair = pairs.pair(name)
    for program in (pair.model, pair.guide):
        parameters = inspect.signature(program.forward).parameters
        assert list(parameters)[1:] == ["x", "y"]
        assert parameters["y"].default is None


def test_what_a_pair_may_have_is_as_the_contract_says(name, split) -> None:
    objective = small.objective(name, split)
    model, guide = objective.model, objective.guide
    for method in ("classify", "regress"):
        if function := getattr(guide, method, None):
            assert list(inspect.signature(function).parameters) == ["x"]
    if (prior := prior_of(model)) is not None:
        assert prior.largest_kl > 0
    for term, part in terms_of(guide).items():
        assert objective.weights[term] == part.weight
    for player in turns_of(guide):
        assert list(getattr(guide, player).parameters())


def test_docstrings_begin_with_the_factorisation_and_then_the_source(name) -> None:
    pair = pairs.pair(name)
    for program, letter in ((pair.model, "p"), (pair.guide, "q")):
        assert inspect.getdoc(program).splitlines()[0].startswith(f"{letter}(")
    assert pair.source.endswith(".")


def test_files_are_short_and_named_after_the_pair(name) -> None:
    pair = pairs.pair(name)
    for program in (pair.model, pair.guide):
        path = Path(inspect.getfile(program))
        assert path.stem.replace("_", "") == name
        assert len(path.read_text().splitlines()) <= 100


def test_sizes_that_are_not_positive_are_refused(name) -> None:
    model = pairs.pair(name).model
    wanted = inspect.signature(model).parameters
    usual = {"x_shape": 64, "y_dim": 10, "y_dims": 10}
    given = {key: value for key, value in usual.items() if key in wanted}
    for shape in (0, (), (1, 0, 8)):
        with pytest.raises(InputError, match="expected the (shape|size) of an? .*, got (0|none)"):
            model(**given | {"x_shape": shape})
    for size in ("y_dim", "z_dim", "a_dim"):
        if size in wanted:
            with pytest.raises(InputError, match=f"{size} > 0, got 0"):
                model(**given | {size: 0})


def test_the_classification_loss_reaches_every_network_that_predicts_y(name, split) -> None:
    guide = small.objective(name, split).guide
    predict = predictor(guide)
    if predict is None or fits_classifier(guide):
        return  # there is no loss to reach it
    x, y = rows(split)

    def log_probs() -> Tensor:
        torch.manual_seed(0)
        return predict(x).log_prob(y)

    before = log_probs()
    before.sum().backward()
    for path, network in guide.named_children():
        parameters = list(network.parameters())
        weights = [p.detach().clone() for p in parameters]
        with torch.no_grad():
            for parameter in parameters:
                parameter.add_(torch.rand_like(parameter))
        if not torch.equal(log_probs(), before):
            assert any(p.grad is not None and p.grad.any() for p in parameters), path
        with torch.no_grad():
            for parameter, weight in zip(parameters, weights):
                parameter.copy_(weight)


def test_a_pair_keeps_the_contract(name, split) -> None:
    objective = small.objective(name, split)
    check(objective.model, objective.guide, *rows(split))


def test_sites_have_the_names_of_the_papers(name, split) -> None:
    objective = small.objective(name, split)
    assert query.sites(objective.model, *rows(split)) <= {"x", "y", "z", "a", "h", "pi"}


def test_the_loss_of_images_is_that_of_their_pixels(name, split) -> None:
    if name == "vade":
        return  # its classifier sees images in another way
    losses = []
    for data in (split.dataset, replace(split.dataset, x=split.dataset.x.flatten(1))):
        part = replace(split, dataset=data)
        objective = small.objective(name, data)
        batch = Batch(*rows(part), part.examples(part.unlabelled[:7])[0])
        torch.manual_seed(1)
        losses.append(objective(batch).total)
    torch.testing.assert_close(*losses)


def test_one_fit_step_moves_every_parameter(name, split) -> None:
    objective = small.objective(name, split)
    before = snapshot(objective)
    next(fit(objective, split, batch_labelled=20, batch_unlabelled=len(split.unlabelled)))
    assert moved(objective, before) == before.keys()


def of_terms_alone(objective: Objective, x: Tensor, y: Tensor) -> set[str]:
    """Parameters that a term of the guide trains and no bound: an adversary's."""
    names, parameters = zip(*objective.named_parameters())
    parts = terms_of(objective.guide)
    terms = {name: part for name, part in parts.items() if isinstance(part, Term) and part.weight}
    values = evaluated(terms, objective.model, objective.guide, Batch(x, y, x), 0.0).values()
    bound = objective.bound(x, y) + objective.bound(x)
    of_bound = torch.autograd.grad(bound, parameters, allow_unused=True, retain_graph=True)
    if not values:
        return set()
    of_terms = torch.autograd.grad(sum(values), parameters, allow_unused=True)
    return {n for n, b, t in zip(names, of_bound, of_terms) if b is None and t is not None}


def test_plain_svi_moves_every_parameter(name, split) -> None:
    objective = small.objective(name, split)
    model, guide = objective.model, objective.guide
    x, y = rows(split)
    before = snapshot(objective)
    others = of_terms_alone(objective, x, y)
    with pyro.get_param_store().scope():
        svi = SVI(
            model, guide, pyro.optim.Adam({"lr": 1e-2}),
            TraceEnum_ELBO(max_plate_nesting=1, strict_enumeration_warning=False),
        )
        svi.step(x, y)
        svi.step(x)
        assert moved(objective, before) == before.keys() - others


def test_weights_survive_saving_and_loading(name, split, tmp_path) -> None:
    objective = small.objective(name, split)
    x, y = rows(split)
    torch.save(objective.state_dict(), tmp_path / "weights.pt")
    again = small.objective(name, split, seed=1)
    again.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    losses = []
    for pair in (objective, again):
        torch.manual_seed(2)
        losses.append(negative_elbo(pair.model, pair.guide, x))
    assert losses[0] == losses[1]


def test_a_guide_gives_probabilities_of_the_classes_or_moments_of_the_number(name, split) -> None:
    objective = small.objective(name, split)
    guide = objective.guide
    x, y = rows(split)
    if predictor(guide) is None:
        assert "y" not in query.sites(objective.model, x, y)
        return
    fit_classifier(guide, split)
    if regresses(guide):
        q = guide.regress(x)
        assert q.mean.shape == q.stddev.shape == y.shape and (q.stddev > 0).all()
        return
    probs = guide.classify(x).probs
    assert probs.shape == y.shape
    torch.testing.assert_close(probs.sum(-1), torch.ones(len(x)))
