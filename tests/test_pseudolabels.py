"""Confident pseudo-labels and their alignment, by hand; and as options of a pair on images."""

import copy
import math
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from by_hand import log_softmax
from torch import Tensor, nn

from pyro_ssvae import InputError, Objective, fit, fit_ensemble, guides, models
from pyro_ssvae.contract import Batch, classifies, fits_classifier
from pyro_ssvae.data import Split, from_arrays
from pyro_ssvae.experiments import pairs
from pyro_ssvae.inference.agreement import inconsistency, misalignment
from pyro_ssvae.inference.pseudolabels import RATE, Aligned, PseudoLabels
from pyro_ssvae.labels import OneHots
from pyro_ssvae.nn import Views

K, SHAPE = 3, (1, 4, 4)
torch.manual_seed(0)
X, U = torch.rand(4, *SHAPE, dtype=torch.double), torch.rand(6, *SHAPE, dtype=torch.double)
Y = torch.eye(K, dtype=torch.double)[[0, 1, 2, 1]]
BATCH = Batch(X, Y, U)
ALONE: dict[str, Any] = {"labelled": 0.0, "unlabelled": 0.0}


class Model(models.M2):
    """p(x, y, z) of M2, of images as vectors."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        super().forward(x.flatten(1), y)


class Guide(guides.M2):
    """q(y, z | x) of M2, of images as vectors."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        super().forward(x.flatten(1), y)

    def classify(self, x: Tensor) -> OneHots:
        return super().classify(x.flatten(1))


def pair(seed: int = 0, **options: Any) -> tuple[Model, Guide]:
    torch.manual_seed(seed)
    model = Model(16, K, z_dim=2, hidden=(5,), **options)
    return model, Guide(model, hidden=(5,))


def double(**options: Any) -> tuple[Model, Guide]:
    """In float64, with predictions of every class, some of them confident."""
    model, guide = (program.double() for program in pair(**options))
    with torch.no_grad():
        for parameter in guide.classifier.parameters():
            parameter.mul_(4.0)
        guide.classifier.body.rest[1].bias.sub_(logits(guide, 0.5 * U).mean(0))
    return model, guide


class Brighter(nn.Module):
    """A view without noise: all pixels times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


VIEWS = Views(Brighter(0.5), Brighter(2.0))


def logits(guide: Guide, x: Tensor) -> Tensor:
    first, rest = guide.classifier.body.first[0], guide.classifier.body.rest[1]
    hidden = nn.functional.softplus(x.flatten(1) @ first.weight.T + first.bias)
    return log_softmax(hidden @ rest.weight.T + rest.bias)


def by_hand(guide: Guide, prior: Tensor | None, mean: Tensor, confidence: float) -> Tensor:
    """FixMatch, eq. 4, with ReMixMatch's alignment where there is a p(y)."""
    total = torch.zeros((), dtype=torch.double)
    weak = logits(guide, 0.5 * U).exp().detach()
    now = (1 - RATE) * mean + RATE * weak.mean(0)
    for n in range(len(U)):
        q = weak[n] if prior is None else weak[n] * prior / now
        q = q / q.sum()
        if q.max() >= confidence:
            total = total - logits(guide, 2.0 * U)[n, q.argmax()]
    return total / len(U)


def assert_same(derived: Tensor, expected: Tensor, guide: Guide) -> None:
    torch.testing.assert_close(derived, expected)
    weights = list(guide.classifier.parameters())
    slopes = [torch.autograd.grad(value, weights) for value in (derived, expected)]
    assert any(slope.any() for slope in slopes[0])
    for one, other in zip(*slopes):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("confidence", [0.0, 0.6])
@pytest.mark.parametrize("aligned", [False, True])
def test_the_value_and_the_gradient_are_fixmatchs(confidence: float, aligned: bool) -> None:
    probs = (0.5, 0.3, 0.2)
    model, guide = double(class_probs=probs)
    module = Aligned.of(model).double() if aligned else None
    mean = torch.tensor([0.2, 0.5, 0.3], dtype=torch.double)
    if module is not None:
        module.mean.copy_(mean)
    prior = torch.tensor(probs, dtype=torch.double) if aligned else None
    expected = by_hand(guide, prior, mean, confidence)
    found = PseudoLabels(VIEWS, confidence, module)(model, guide, BATCH, 0.0)
    assert_same(found, expected, guide)


def test_only_some_of_these_predictions_are_confident() -> None:
    _, guide = double(class_probs=(0.5, 0.3, 0.2))
    sure = logits(guide, 0.5 * U).exp().amax(-1) >= 0.6
    assert sure.any() and not sure.all()


def test_classes_that_are_known_to_be_impossible_are_no_labels() -> None:
    model, guide = double()
    possible = torch.ones(len(U), K, dtype=torch.double)
    likeliest = logits(guide, 0.5 * U).argmax(-1)
    possible[range(len(U)), likeliest] = 0.0
    found = PseudoLabels(VIEWS, 0.0)(model, guide, BATCH._replace(possible=possible), 0.0)
    second = logits(guide, 0.5 * U).scatter(1, likeliest[:, None], -torch.inf).argmax(-1)
    torch.testing.assert_close(found, -logits(guide, 2.0 * U)[range(len(U)), second].mean())


def test_the_mean_prediction_begins_at_p_y_and_follows_the_batches_in_training_alone() -> None:
    model, _ = pair(class_probs=(0.5, 0.3, 0.2))
    aligned = Aligned.of(model)
    prior = torch.tensor([0.5, 0.3, 0.2])
    torch.testing.assert_close(aligned.mean, prior)
    probs = torch.tensor([[0.8, 0.1, 0.1], [0.6, 0.4, 0.0]])
    mean = (1 - RATE) * prior + RATE * torch.tensor([0.7, 0.25, 0.05])
    weighed = probs * prior / mean
    torch.testing.assert_close(aligned(probs, prior), weighed / weighed.sum(1, keepdim=True))
    torch.testing.assert_close(aligned.mean, mean)
    aligned.eval()(probs, prior)
    torch.testing.assert_close(aligned.mean, mean)


def test_aligned_predictions_are_p_y_on_average() -> None:
    # A classifier that takes nearly everything for the first class.
    probs = torch.tensor([[0.9, 0.08, 0.02]]).expand(50, -1)
    aligned = Aligned(torch.full((K,), 1 / K))
    for _ in range(1000):
        result = aligned(probs, torch.full((K,), 1 / K))
    torch.testing.assert_close(result.mean(0), torch.full((K,), 1 / K), atol=1e-3, rtol=0)


def test_all_are_options_of_the_objective_with_their_weights() -> None:
    weights = {"pseudolabels": 2.0, "consistency": 3.0, "alignment": 4.0}
    model, guide = double()
    objective = Objective(
        model, guide, **ALONE, alpha=5.0, views=VIEWS, confidence=0.6, **weights
    ).double()
    total, terms = objective(BATCH)
    weak = logits(guide, 0.5 * U)
    uniform = torch.full((K,), 1 / K, dtype=torch.double)
    expected = {
        "classification": -(Y * logits(guide, 0.5 * X)).sum(-1).mean(),
        "pseudolabels": by_hand(guide, uniform, uniform, 0.6),
        "consistency": inconsistency(weak, weak),
        "alignment": misalignment(weak),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value.detach(), atol=1e-7, rtol=1e-6)
    weighted = weights | {"classification": 5.0}
    torch.testing.assert_close(total, sum(weighted[name] * terms[name] for name in terms))


def test_the_bounds_see_the_examples_as_they_are() -> None:
    model, guide = double()
    bounds = []
    for views in ("none", VIEWS):
        torch.manual_seed(1)
        bounds.append(Objective(model, guide, views=views)(BATCH).terms)
    assert bounds[0].keys() == {"labelled", "unlabelled"}
    for name, value in bounds[0].items():
        torch.testing.assert_close(bounds[1][name], value)


def test_the_unlabelled_bound_may_be_of_a_share_of_the_batch() -> None:
    model, guide = double()
    found = []
    for options, batch in (({"bounded": 0.4}, BATCH), ({}, BATCH._replace(u=U[:3]))):
        torch.manual_seed(1)
        objective = Objective(model, guide, labelled=0.0, **options)
        found.append(objective(batch).terms["unlabelled"])
    torch.testing.assert_close(*found)


def test_terms_share_their_views_and_take_no_more_than_they_need() -> None:
    for options, calls in (({"consistency": 1.0, "alignment": 1.0}, 2), ({"alignment": 1.0}, 1),
                           ({"pseudolabels": 1.0}, 2), ({"alpha": 1.0}, 1)):
        model, guide = pair()
        seen: list[int] = []
        guide.classifier.register_forward_hook(lambda *_: seen.append(1))
        Objective(model, guide, views="digits", labelled=1.0, unlabelled=0.0, **options)(
            Batch(X.float(), Y.float(), U.float())
        )
        assert len(seen) == calls


@pytest.fixture(scope="module")
def split() -> Split:
    """Two updates an epoch, of images whose class is how bright they are."""
    rng = np.random.default_rng(0)
    bright = rng.random((160, 1, 1, 1))
    x = (bright * rng.random((160, *SHAPE))).astype(np.float32)
    y = np.digitize(bright.reshape(-1), (0.3, 0.6))
    return from_arrays(x, y, name="bright").split(20, seed=0)


SETTINGS: dict[str, Any] = {"batch_labelled": 10, "batch_unlabelled": 48, "epochs": 2}


def objective(seed: int = 0) -> Objective:
    model, guide = pair(seed)
    return Objective(
        model, guide, alpha=2.0, views="digits", pseudolabels=3.0, confidence=0.4, consistency=1.0
    )


def assert_alike(one: Objective, other: Objective, **tolerance: float) -> None:
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, **tolerance, msg=lambda text: f"{name}: {text}")


def trained(split: Split, weights: int = 0, **options: Any) -> Objective:
    result = objective(weights)
    list(fit(result, split, **{"capture": "off"} | SETTINGS | options))
    return result


def test_the_mean_prediction_moves_in_training_and_is_saved(split: Split) -> None:
    weights = trained(split).state_dict()
    assert not torch.allclose(weights["aligned.mean"], torch.full((K,), 1 / K), atol=1e-4)
    torch.testing.assert_close(weights["aligned.mean"].sum(), torch.tensor(1.0))


@pytest.mark.usefixtures("traced_once")
def test_captured_training_is_eager_training(split: Split) -> None:
    assert_alike(trained(split, capture="traced"), trained(split), rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("traced_once")
def test_each_replica_has_a_mean_and_noise_of_its_own(split: Split) -> None:
    replicas = [objective(seed) for seed in range(2)]
    list(fit_ensemble(replicas, split, seeds=[3, 4], compile=False, **SETTINGS))
    for i, replica in enumerate(replicas):
        assert_alike(replica, trained(split, i, seed=3 + i), rtol=1e-3, atol=1e-5)
    assert not torch.equal(replicas[0].aligned.mean, replicas[1].aligned.mean)


def test_going_on_from_a_pause_is_exact(split: Split) -> None:
    whole = trained(split, average=0.9)
    first, taken = objective(), iter(range(100))
    options = {"capture": "off", "average": 0.9} | SETTINGS
    paused = fit(first, split, pause=lambda: next(taken) == 1, **options)
    list(paused)
    assert paused.paused
    again = objective(seed=7)
    again.load_state_dict(first.state_dict())
    going_on = fit(again, split, **options)
    going_on.load_state_dict(copy.deepcopy(paused.state_dict()))
    list(going_on)
    assert_alike(again, whole, rtol=0.0, atol=0.0)


def test_a_classifier_that_is_not_trained_by_gradients_has_no_such_losses() -> None:
    model = models.VAE(16, z_dim=2, hidden=(5,))
    for name in ("pseudolabels", "consistency", "alignment"):
        with pytest.raises(InputError, match=f"{name}=1.0 weighs a loss of a classifier"):
            Objective(model, guides.VAE(model, hidden=(5,)), **{name: 1.0})


@pytest.mark.parametrize("options", [
    {"pseudolabels": 1.0}, {"pseudolabels": 1.0, "aligned": False}, {"alignment": 1.0},
], ids=str)
def test_several_labels_have_no_pseudo_labels_and_no_alignment(options) -> None:
    model = models.Factored(16, (3, 2), z_dim=2, hidden=(5,))
    with pytest.raises(InputError, match="=1.0 and Factored: expected a model of one label"):
        Objective(model, guides.Factored(model, hidden=(5,)), **options)


def test_the_running_mean_is_of_the_models_type_and_on_its_device() -> None:
    model = models.M2(4, 3, z_dim=2, hidden=(5,)).to("meta", torch.double)
    with pyro.validation_enabled(False):  # it reads values, and a meta tensor has none
        mean = Aligned.of(model).mean
    assert (mean.dtype, mean.device.type) == (torch.double, "meta")


@pytest.mark.parametrize("options, named", [
    ({"pseudolabels": -1.0}, "finite pseudolabels >= 0, got -1"),
    ({"alignment": float("inf")}, "finite alignment >= 0, got inf"),
    ({"confidence": 1.5}, r"confidence in \[0, 1\], got 1.5"),
    ({"views": "digit"}, "did you mean 'digits'"),
    ({"bounded": 0.0}, r"bounded in \(0, 1\], got 0"),
])
def test_options_out_of_range_are_refused(options, named) -> None:
    with pytest.raises(InputError, match=named):
        Objective(*pair(), **options)


def test_views_of_vectors_are_refused() -> None:
    objective = Objective(*pair(), alpha=1.0, views="digits")
    with pytest.raises(InputError, match='no images use views="none"'):
        objective(Batch(*(part.flatten(1).float() for part in (X, Y, U))))


@pytest.mark.parametrize("name", pairs.names())
def test_what_a_classifier_learns_from_views_is_of_use_to_pairs_that_have_one(name: str) -> None:
    pair = pairs.pair(name)
    learns = classifies(pair.guide) and not fits_classifier(pair.guide)
    for option in ("views", "pseudolabels", "confidence", "aligned", "consistency", "alignment"):
        assert pair.options[option].owner == "objective" and pair.takes(option) == learns


def test_a_class_is_taken_from_the_confidence_on() -> None:
    torch.manual_seed(0)
    model = models.M2(4, 3, z_dim=2, hidden=(5,)).double()
    guide = guides.M2(model, hidden=(5,)).double()
    u, as_it_is = torch.rand(6, 4).double(), Views(nn.Identity(), nn.Identity())
    most = guide.classify(u).probs.max().item()
    batch = Batch(u, torch.eye(3).double().repeat(2, 1), u)
    assert PseudoLabels(as_it_is, most)(model, guide, batch, 0.0) > 0
    assert PseudoLabels(as_it_is, math.nextafter(most, 1.0))(model, guide, batch, 0.0) == 0


@pytest.mark.parametrize("aligned", [True, False])
def test_predictions_are_aligned_where_that_is_asked_for(aligned: bool) -> None:
    model = models.M2(4, 3, z_dim=2, hidden=(5,))
    objective = Objective(
        model, guides.M2(model, hidden=(5,)), pseudolabels=1.0, aligned=aligned
    )
    assert (objective.aligned is not None) == aligned
    assert (objective.terms["pseudolabels"].function.aligned is not None) == aligned
