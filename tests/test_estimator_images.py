"""The estimators on images, which keep their shape."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

from pyro_ssvae import InputError
from pyro_ssvae.estimators import SemiSupervisedVAEClassifier

RNG = np.random.default_rng(0)
N = 60
CLASS = np.arange(N) % 2
GREY = RNG.integers(60, size=(N, 8, 8), dtype=np.uint8)
GREY[:, :4] += (150 * CLASS[:, None, None]).astype(np.uint8)
PARTLY = np.where(np.arange(N) < 20, CLASS, -1)
FEW: dict[str, Any] = {"epochs": 8, "lr": 1e-2, "hidden": (16,), "z_dim": 2, "random_state": 0}
FORMS = {
    "grey": GREY, "bytes first": GREY[:, None], "bytes last": np.stack([GREY] * 3, axis=-1),
    "numbers": GREY / 255, "tensor": torch.from_numpy(GREY[:, None]).float() / 255,
}


def classifier(**changes: Any) -> SemiSupervisedVAEClassifier:
    return SemiSupervisedVAEClassifier(**FEW | changes)


@pytest.mark.parametrize("form", FORMS)
def test_images_are_learned_from_and_drawn_in_the_form_that_they_came_in(form: str) -> None:
    X = FORMS[form]
    model = classifier(network="conv").fit(X, PARTLY)
    assert model.score(X, CLASS) > 0.9
    assert model.objective_.model.x_shape == ((3, 8, 8) if form == "bytes last" else (1, 8, 8))
    assert model.n_features_in_ == np.prod(X.shape[1:])
    drawn, again = model.sample([0, 1]), model.reconstruct(X[:2])
    assert len(np.unique(drawn)) > 10  # means, where draws of a pixel would be black or white
    assert drawn.shape == again.shape == (2, *X.shape[1:])
    assert 1 < again.max() <= 255 if "bytes" in form or form == "grey" else again.max() <= 1
    assert np.isfinite(model.score_samples(X[:2])).all() and model.transform(X[:3]).shape == (3, 2)


def test_an_estimator_of_images_is_cloned_pickled_and_fitted_to_rows_again() -> None:
    model = clone(classifier(epochs=2)).fit(GREY, PARTLY)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(GREY[:5]), model.predict_proba(GREY[:5]))
    flat = model.fit(GREY.reshape(N, -1), PARTLY)
    assert flat.n_features_in_ == 64 and flat.predict(GREY[:2].reshape(2, -1)).shape == (2,)


def test_other_images_are_refused() -> None:
    model = classifier(epochs=1).fit(GREY, PARTLY)
    with pytest.raises(InputError, match=r"images \(1, 8, 8\) as the .* data, got 64 columns"):
        model.predict(GREY.reshape(N, -1))
    with pytest.raises(InputError, match=r"training data, got images \(1, 4, 8\)"):
        model.predict(GREY[:, :4])
    with pytest.raises(ValueError, match="NaN"):
        classifier().fit(np.full((N, 8, 8), np.nan), PARTLY)
    with pytest.raises(InputError, match="of shape .N, D., or images"):
        classifier().fit(np.zeros((N, 1, 1, 8, 8)), PARTLY)


def test_the_bound_of_images_is_in_units_of_their_pixels() -> None:
    one, other = (classifier(epochs=2).fit(images, PARTLY) for images in (GREY, GREY / 255))
    change = one.score_samples(GREY[:9]) - other.score_samples(GREY[:9] / 255)
    assert np.allclose(change, -64 * np.log(255), atol=0.01)


def test_a_dark_image_in_floating_point_is_dark_whatever_stands_beside_it() -> None:
    model = classifier(network="conv").fit(GREY.astype(float), PARTLY)
    dark = np.ones((1, 8, 8))
    alone, beside = model.predict_proba(dark), model.predict_proba(np.concatenate([dark, GREY]))
    np.testing.assert_allclose(alone, beside[:1], rtol=1e-6)
    bytes_of_dark = model.predict_proba(dark.astype(np.uint8))
    np.testing.assert_allclose(alone, bytes_of_dark, rtol=1e-6)


def test_images_for_bytes_are_read_together_and_asked_about_apart() -> None:
    model = classifier(network="conv").fit(GREY, PARTLY)
    many = np.concatenate([np.ones((4_000, 8, 8)), GREY])  # more than a pair is asked about at once
    np.testing.assert_allclose(
        model.predict_proba(many)[-N:], model.predict_proba(GREY), rtol=1e-6
    )
    np.testing.assert_allclose(
        model.predict_proba(many)[:1], model.predict_proba(many[:1].astype(np.uint8)), rtol=1e-6
    )
