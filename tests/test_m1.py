"""M1 against Kingma et al. (2014), eqs. 1 and 3: a VAE, then a classifier on its features."""

import numpy as np
import pytest
import torch
from by_hand import normal_parameters, one_hot
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor

from pyro_ssvae import EarlyStopping, InputError, Objective, fit, guides, models, nn
from pyro_ssvae.data import Split, from_arrays
from pyro_ssvae.evaluation.evaluate import evaluate, predictions
from pyro_ssvae.experiments import pairs, runs
from pyro_ssvae.inference import query
from pyro_ssvae.inference.programs import evaluating

D, K, J = 6, 3, 2
torch.manual_seed(0)
X = torch.rand(40, D, dtype=torch.double)
CLASSES = (X[:, :2].sum(-1) * 1.5).long().clamp_max(K - 1)
Y = one_hot(CLASSES.tolist(), K)


def build(**options) -> guides.M1:
    torch.manual_seed(0)
    model = models.M1(D, z_dim=J, hidden=(5,)).double()
    return guides.M1(model, hidden=(5,), **options).double()


def features(guide: guides.M1, x: Tensor) -> np.ndarray:
    """The posterior means, the loc of q(z | x)."""
    with torch.no_grad():
        return normal_parameters(guide.encoder, x)[0].numpy()


def test_m1_trains_as_the_vae(digits_split) -> None:
    small = {"hidden": (6,), "z_dim": 3, "beta": 1.0}
    losses = {}
    for name in ("m1", "vae"):
        torch.manual_seed(0)
        objective, _ = pairs.pair(name).on(digits_split, **small)
        epochs = list(fit(objective, digits_split, epochs=2, batch_unlabelled=400))
        losses[name] = [epoch.losses for epoch in epochs]
        assert len({tuple(sorted(epoch.items())) for epoch in losses[name]}) == 2
    assert losses["m1"] == losses["vae"]


def test_classify_needs_a_fitted_classifier() -> None:
    with pytest.raises(InputError, match=r"M1: expected fit_classifier\(x, y\) before"):
        build().classify(X)


@pytest.mark.parametrize("kind, reference", [
    ("logistic", LogisticRegression(max_iter=1_000)),
    ("neighbour", KNeighborsClassifier(1)),
])
def test_classify_is_scikit_learns_on_the_posterior_means(kind, reference) -> None:
    guide = build(classifier=kind)
    guide.fit_classifier(X[:30], Y[:30])
    reference = make_pipeline(StandardScaler(), reference)
    reference.fit(features(guide, X[:30]), CLASSES[:30].numpy())
    expected = torch.from_numpy(reference.predict_proba(features(guide, X[30:])))
    torch.testing.assert_close(guide.classify(X[30:]).probs, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("classifier", [
    GaussianNB(), RandomForestClassifier(10, random_state=0), SVC(probability=True, random_state=0),
])
@pytest.mark.filterwarnings("ignore:.*probability.*:FutureWarning")
def test_any_classifier_of_scikit_learn_is_taken(classifier) -> None:
    guide = build()
    guide.fit_classifier(X[:30], Y[:30], classifier)
    reference = make_pipeline(StandardScaler(), classifier)
    reference.fit(features(guide, X[:30]), CLASSES[:30].numpy())
    expected = torch.from_numpy(reference.predict_proba(features(guide, X[30:])))
    torch.testing.assert_close(guide.classify(X[30:]).probs, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["logistic", "neighbour"])
def test_classes_without_a_label_have_probability_0(kind) -> None:
    guide = build(classifier=kind)
    guide.fit_classifier(X[:4], one_hot([4, 1, 4, 1], 5))
    probs = guide.classify(X).probs
    assert probs.shape == (len(X), 5)
    assert (probs[:, [0, 2, 3]] == 0).all()
    torch.testing.assert_close(probs[:, [1, 4]].sum(-1), torch.ones(len(X)).double())
    reference = make_pipeline(StandardScaler(), {
        "logistic": LogisticRegression(max_iter=1_000), "neighbour": KNeighborsClassifier(1),
    }[kind]).fit(features(guide, X[:4]), [1, 0, 1, 0])
    expected = torch.from_numpy(reference.predict_proba(features(guide, X)))
    torch.testing.assert_close(probs[:, [1, 4]], expected, rtol=1e-12, atol=1e-12)


def test_features_of_a_flow_are_means_of_samples() -> None:
    guide = build(flows=2)
    guide.fit_classifier(X, Y)
    own = nn.noise(query.MEAN_SAMPLES, 1, guide.encoder(X).event_shape[0]).double()
    z = nn.drawn(guide.encoder(X), own, own=False).mean(0).detach().numpy()
    expected = torch.from_numpy(guide._fitted[0][0].predict_proba(z))
    torch.testing.assert_close(guide.classify(X).probs, expected, rtol=1e-12, atol=1e-12)


def test_no_gradient_passes_through_the_classifier() -> None:
    guide = build()
    guide.fit_classifier(X, Y)
    assert not guide.classify(X).probs.requires_grad


def test_a_weight_of_the_classification_loss_is_refused() -> None:
    model = models.M1(D)
    with pytest.raises(InputError, match="alpha=2.0 .* M1's classifier is fitted after training"):
        Objective(model, guides.M1(model), alpha=2.0)


def test_an_unknown_classifier_is_named() -> None:
    with pytest.raises(InputError, match="unknown classifier 'logistc'.*mean 'logistic'"):
        build(classifier="logistc")


# The classifier goes with the weights


def m1(split: Split) -> Objective:
    torch.manual_seed(0)
    options = {"hidden": (6,), "z_dim": 3}
    return pairs.pair("m1").on(split.dataset, **options)[0]


def validation_probs(objective: Objective, split: Split) -> Tensor:
    with evaluating(objective):
        return predictions(objective.guide, split.target, split.part("validation")[0])


def test_after_early_stopping_it_is_that_of_the_best_weights(digits_split) -> None:
    objective, stopping = m1(digits_split), EarlyStopping(patience=9, metric="elbo")
    best = None
    for epoch in fit(objective, digits_split, epochs=3, lr=0.05, stopping=stopping):
        if stopping.best_epoch == epoch.epoch:
            best = validation_probs(objective, digits_split)
        if epoch.epoch == 1:
            stopping.best = torch.inf  # no later epoch is better
    assert stopping.best_epoch == 1
    assert torch.equal(validation_probs(objective, digits_split), best)


def test_a_run_that_is_read_back_classifies(digits_split, tmp_path) -> None:
    options = {"hidden": (6,), "z_dim": 3}
    metrics = runs.train("m1", digits_split, tmp_path / "run", options=options, epochs=1,
                         device="cpu")
    run = runs.load(tmp_path / "run", device="cpu")
    probs = validation_probs(run.objective, run.split)
    _, y = run.split.part("validation")
    right = (probs.argmax(-1) == y.argmax(-1)).double().mean().item()
    assert right == pytest.approx(metrics["validation"]["accuracy"], abs=1e-12)


# Several labels

LABELS = torch.stack([X[:, 0] > 0.5, X[:, 1] > 0.3, X[:, 2] > 0.7], 1).long()


@pytest.mark.parametrize("kind, reference", [
    ("logistic", LogisticRegression(max_iter=1_000)),
    ("neighbour", KNeighborsClassifier(1)),
])
def test_each_label_has_a_classifier_of_the_examples_where_it_is_known(kind, reference) -> None:
    guide = build(classifier=kind)
    y = torch.nn.functional.one_hot(LABELS[:30], 2).double()
    y[:10, 1] = torch.nan
    guide.fit_classifier(X[:30], y.flatten(1), sizes=(2, 2, 2))
    found = guide.classify(X[30:])
    assert found.sizes == (2, 2, 2)
    for label, known in enumerate([slice(0, 30), slice(10, 30), slice(0, 30)]):
        each = make_pipeline(StandardScaler(), reference)
        each.fit(features(guide, X[known]), LABELS[known, label].numpy())
        expected = torch.from_numpy(each.predict_proba(features(guide, X[30:])))
        torch.testing.assert_close(found.probs[:, 2 * label:2 * label + 2], expected)


def test_a_label_of_one_value_is_likely_and_not_certain() -> None:
    guide = build()
    y = one_hot([1] * 10, 2).repeat(1, 2)
    y[:, 2:] = torch.nan
    guide.fit_classifier(X[:10], y, sizes=(2, 2))
    expected = torch.tensor([1 / 12, 11 / 12, 1 / 2, 1 / 2]).double().expand(len(X), 4)
    torch.testing.assert_close(guide.classify(X).probs, expected)


def test_labels_of_a_single_class_are_refused() -> None:
    with pytest.raises(InputError, match="M1: expected labels of at least 2 classes, got 1"):
        build().fit_classifier(X[:5], one_hot([2] * 5, K))


def test_multi_label_data_are_evaluated_label_by_label() -> None:
    split = from_arrays(X.float(), LABELS).split(12, validation=8)
    objective = m1(split)
    result = evaluate(objective.model, objective.guide, split)
    # A guess of 1 / 2 for each label has 3 log 2 = 2.08 nats.
    assert result["nll"] < 6 and 0 <= result["subset_accuracy"] <= result["accuracy"] <= 1
