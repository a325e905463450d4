"""What is said of data on a GPU is computed there. The GPU is a pretended one, without values."""

from collections.abc import Callable, Iterator
from typing import Any

import pretended
import pytest
import small
import torch
from torch import Tensor

from pyro_ssvae import guides
from pyro_ssvae.contract import fits_classifier, predictor
from pyro_ssvae.evaluation import chunks, each, evaluate, importance, probes
from pyro_ssvae.evaluation.latents import posterior_means
from pyro_ssvae.experiments import pairs
from pyro_ssvae.inference import query
from pyro_ssvae.inference.programs import evaluating

EXAMPLES = 40
VARIANTS = [
    *((name, {}) for name in pairs.names()),
    *(("m2", options) for options in (
        {"flows": 2}, {"label_inference": "relaxed"}, {"label_inference": "enumerated:2"},
        {"network": "conv"}, {"likelihood": "logistics"},
    )),
    ("adgm", {"flows": 1}), ("sdgm", {"batch_norm": True}), ("dirichletm2", {"bound": "exact"}),
    ("factored", {"label_inference": "enumerated"}), ("vade", {"classifier": "conv:4"}),
]


def asked(name: str, options: dict[str, Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What can be asked of a pair about images on a GPU, by name; each is answered within."""
    split = small.split_for(name)
    objective = small.objective(name, split, **options)
    model, guide, target = objective.model, objective.guide, split.target
    x, y = (part[:EXAMPLES] for part in split.part("test"))
    with evaluating(model, guide):
        has, bounded = query.sites(model, x[:1], y[:1]), evaluate.has_bound(model, guide, x)
    with evaluating(model, guide), pretended.gpu(model, guide), pretended.unseeded():
        x, y = pretended.on_gpu(x), pretended.on_gpu(y)
        if predictor(guide) is not None and not fits_classifier(guide):  # M1's is scikit-learn's
            yield "predictions", lambda: evaluate.predictions(guide, target, x)
        if "x" in has:
            yield "ELBO", lambda: evaluate.elbo_parts(model, guide, x)
            yield "reconstructions", lambda: each.reconstructions(model, guide, x)
            yield "samples", lambda: query.draw(model, x)[0].mean
        if bounded:
            yield "IWAE", lambda: importance.iwae(model, guide, x)
            yield "bounds", lambda: each.bounds(model, guide, x)
        if {"x", "y"} <= has and target.exclusive:
            yield "generative classifiers", lambda: importance.class_posteriors(
                model, guide, x, y.shape[-1]
            )["elbo"]
        if "z" in has:
            yield "posterior means", lambda: posterior_means(guide, x)
            yield "active units", lambda: probes.active_units(guide, x)
            yield "mutual information", lambda: probes.mutual_information(guide, x)


@pytest.mark.parametrize("name, options", VARIANTS)
def test_what_is_said_of_images_on_a_gpu_is_computed_there(name, options) -> None:
    for what, answer in asked(name, options):
        with pretended.Waiting():
            said = answer()
        assert not isinstance(said, Tensor) or said.is_cuda, what


class Apart(guides.M2):
    """q(y, z | x), with a tensor that does not move with the module."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.shift = torch.zeros(4)

    def classify(self, x: Tensor) -> Any:
        return self.classifier(x + self.shift)


def test_a_tensor_that_stays_behind_is_found() -> None:
    model, guide = small.pair(guide=Apart)
    x = torch.rand(3, 4)
    guide.classify(x)
    with pytest.raises(AssertionError, match="FakeTensor"), pretended.gpu(model, guide):
        guide.classify(pretended.on_gpu(x))


def test_more_is_looked_at_at_a_time_on_a_gpu_where_examples_are_small() -> None:
    few, large = torch.zeros(3, 1, 8, 8), torch.zeros(3, 3, 500, 500)
    assert chunks.size(few, 250) == chunks.size(large, 250) == 250
    with pretended.gpu():
        assert chunks.size(pretended.on_gpu(few), 250) == 8 * 250
        assert chunks.size(pretended.on_gpu(large), 250) == 250
