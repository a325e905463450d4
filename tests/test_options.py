"""Parts combine: every pair that offers flows, relaxed or truncated labels trains with them."""

import pytest
import small
import torch

from pyro_ssvae import Objective, evaluate, fit
from pyro_ssvae.data import Split
from pyro_ssvae.experiments import pairs


def having(option: str) -> list[str]:
    return [name for name in pairs.names() if option in pairs.pair(name).options]


def trained(name: str, split: Split, **options) -> tuple[Objective, set[str]]:
    """The pair after an epoch of one update, and the parameters that it moved."""
    objective = small.objective(name, split, **options)
    before = {key: value.clone() for key, value in objective.named_parameters()}
    list(fit(objective, split, epochs=1, batch_labelled=20, batch_unlabelled=2_000))
    return objective, {
        key for key, value in objective.named_parameters() if not torch.equal(value, before[key])
    }


def test_most_pairs_offer_them() -> None:
    continuous = set(pairs.names()) - {"gaussianmixture", "supervised"}
    assert continuous - {"untapped"} == set(having("flows"))  # that one's z has a flow of its own
    assert {"m2", "m1m2", "adgm", "sdgm", "factored"} <= set(having("label_inference"))


@pytest.mark.parametrize("name", having("flows"))
def test_flows_train_and_are_evaluated(name) -> None:
    split = small.split_for(name)
    objective, moved = trained(name, split, flows=2)
    flows = {key for key, _ in objective.named_parameters() if "transforms" in key}
    assert flows and flows <= moved
    result = evaluate(objective.model, objective.guide, split, "validation")
    assert result["mutual_information"] is not None
    assert (result["leakage"] is None) is (not split.target.exclusive)


@pytest.mark.parametrize("how", ["enumerated", "relaxed", "straight-through"])
@pytest.mark.parametrize("name", having("label_inference"))
def test_labels_are_inferred_in_each_way(name, how, split) -> None:
    objective, moved = trained(name, split, label_inference=how)
    assert moved == {key for key, _ in objective.named_parameters()}
    result = evaluate(objective.model, objective.guide, split, "validation")
    # Relaxed in training, a sample of the classes themselves in evaluation: a bound.
    assert result["elbo"] <= result["iwae"] < 0


@pytest.mark.parametrize("name", sorted({*having("label_inference")} - {"untapped"}))
def test_truncated_enumeration_decodes_the_likeliest_classes_only(name, split) -> None:
    objective, moved = trained(name, split, label_inference="enumerated:3")
    assert moved == {key for key, _ in objective.named_parameters()}


@pytest.mark.parametrize("name", sorted({*having("label_inference")} - {"untapped"}))
def test_all_classes_at_the_top_are_the_plain_enumeration(name, split) -> None:
    x, _ = split.part("validation")
    bounds = []
    for how in ("enumerated:10", "enumerated"):
        objective = small.objective(name, split, label_inference=how, kl="analytic")
        torch.manual_seed(1)
        with torch.no_grad():  # noise by class differs in order: compare means
            bounds.append(torch.stack([objective.bound(x) for _ in range(40)]))
    error = sum(b.var() / len(b) for b in bounds).sqrt()
    assert (bounds[0].mean() - bounds[1].mean()).abs() < 5 * error
