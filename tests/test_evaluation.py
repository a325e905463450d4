import math

import pyro
import pytest
import small
import torch
from by_hand import weight_of
from pyro.distributions import Bernoulli, Delta, Normal, OneHotCategorical
from pyro.nn import PyroModule

from pyro_ssvae import InputError, Objective, guides, models, negative_elbo, nn
from pyro_ssvae.data import Dataset, from_arrays
from pyro_ssvae.evaluation import latents
from pyro_ssvae.evaluation.evaluate import elbo, elbo_parts, evaluate, predictions
from pyro_ssvae.evaluation.latents import posterior_means
from pyro_ssvae.evaluation.validation import check_support
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.statistics.table import higher_is_better
from pyro_ssvae.system.progress import Progress

X, Y = torch.rand(9, 4), torch.eye(3).repeat(3, 1)


@pytest.mark.parametrize("y", [None, Y])
def test_elbo_is_what_its_parts_add_up_to(pair, y) -> None:
    parts = elbo_parts(*pair, X, y)
    total = parts["reconstruction"] - parts["kl_y"] - parts["kl_z"]
    assert parts["elbo"] == pytest.approx(total, rel=1e-9)
    assert parts.keys() == {"elbo", "reconstruction", "kl_y", "kl_z"}


@pytest.mark.parametrize("y", [None, Y])
def test_elbo_is_the_one_that_is_trained(pair, y) -> None:
    torch.manual_seed(1)
    measured = elbo(*pair, X, y)
    torch.manual_seed(1)
    assert measured == pytest.approx(-negative_elbo(*pair, X, y).item(), rel=1e-5)


def test_elbo_of_many_rows_is_the_mean_over_chunks(monkeypatch) -> None:
    # A supervised model has no noise: any chunking gives the same number.
    model = models.Supervised(4, 3)
    guide = guides.Supervised(model)
    whole = elbo(model, guide, X, Y)
    monkeypatch.setattr("pyro_ssvae.evaluation.evaluate.CHUNK", 4)
    assert elbo(model, guide, X, Y) == pytest.approx(whole, rel=1e-6)
    assert predictions(guide, small.classes(3), X).shape == (9, 3)


def test_kl_of_y_is_that_of_the_classifier_and_the_uniform_prior(pair) -> None:
    _, guide = pair
    q = guide.classify(X)
    expected = (math.log(3) - q.entropy()).mean().item()
    assert elbo_parts(*pair, X)["kl_y"] == pytest.approx(expected, rel=1e-5)


def test_kl_of_a_given_y_is_minus_its_prior_log_probability(pair) -> None:
    assert elbo_parts(*pair, X, Y)["kl_y"] == pytest.approx(math.log(3), rel=1e-6)


def test_posterior_means_take_some_examples_at_a_time(pair, monkeypatch) -> None:
    _, guide = pair
    sizes = []
    encoder = guide.encoder.forward
    monkeypatch.setattr(
        guide.encoder, "forward", lambda *inputs: sizes.append(len(inputs[0])) or encoder(*inputs)
    )
    x, y = torch.rand(7, 4), torch.eye(3)[torch.arange(7) % 3]
    with evaluating(guide):
        whole = posterior_means(guide, x, y)
        monkeypatch.setattr(latents, "CHUNK", 3)
        torch.testing.assert_close(posterior_means(guide, x, y), whole)
    assert sizes == [7, 3, 3, 1]


def test_evaluating_leaves_random_state_and_mode_as_they_were(pair) -> None:
    model, guide = pair
    guide.eval()
    state = torch.get_rng_state()
    with evaluating(model, guide):
        assert not model.training and not torch.is_grad_enabled()
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training and not guide.training and torch.is_grad_enabled()


def test_evaluate_gives_the_same_numbers_every_time(split) -> None:
    model, guide = small.pair(small.DIGIT, 10)
    assert evaluate(model, guide, split) == evaluate(model, guide, split)


def test_what_a_pair_does_not_have_is_none(split) -> None:
    vae = models.VAE(small.DIGIT, z_dim=2, hidden=(5,))
    supervised = models.Supervised(small.DIGIT, 10, hidden=(5,))
    of_vae = evaluate(vae, guides.VAE(vae, hidden=(5,)), split)
    of_supervised = evaluate(supervised, guides.Supervised(supervised), split)
    assert {name for name, value in of_vae.items() if value is None} == {
        "accuracy", "nll", "brier", "ece", "accuracy_elbo", "accuracy_reconstruction",
        "class_samples", "kl_y",
    }
    assert {name for name, value in of_supervised.items() if value is not None} == {
        "accuracy", "nll", "brier", "ece",
    }


def test_point_mass_latents_are_evaluated(pair) -> None:
    class PointMass(PyroModule):
        def forward(self, x, y=None) -> None:
            with pyro.plate("data", len(x)):
                pyro.sample("y", OneHotCategorical(torch.ones(3)), infer={"enumerate": "parallel"})
                pyro.sample("z", Delta(x[:, :2], event_dim=1))

    model, _ = pair
    z = X[:, :2]
    prior = Normal(0.0, 1.0).log_prob(z).sum(-1).mean().item()
    assert elbo_parts(model, PointMass(), X)["kl_z"] == pytest.approx(-prior, rel=1e-5)


def test_a_y_that_is_summed_out_in_the_model_is_part_of_the_reconstruction() -> None:
    model = models.GaussianMixture(4, 3)
    parts = elbo_parts(model, guides.GaussianMixture(model), X)
    assert parts.keys() == {"elbo", "reconstruction"}
    assert parts["elbo"] == parts["reconstruction"]


def test_a_point_mass_has_no_bound_on_the_evidence(split) -> None:
    model = models.DirichletM2(small.DIGIT, 10, z_dim=2, hidden=(5,))
    point = evaluate(model, guides.DirichletM2(model, hidden=(5,)), split)
    spread = evaluate(model, guides.DirichletM2(model, hidden=(5,), kappa=10.0), split)
    assert [point[name] for name in ("elbo", "iwae", "kl_pi")] == [None] * 3
    assert None not in [spread[name] for name in ("elbo", "iwae", "kl_pi")]
    assert point["reconstruction"] is not None


@pytest.mark.parametrize("name", ["vade", "m1m2", "splitlatent"])
def test_a_reconstruction_that_does_not_depend_on_y_classifies_nothing(name, split) -> None:
    objective = small.objective(name, split)
    result = evaluate(objective.model, objective.guide, split)
    assert result["accuracy_reconstruction"] is None
    assert result["accuracy_elbo"] is not None and result["class_samples"] == 16


def test_data_of_a_single_class_are_evaluated() -> None:
    torch.manual_seed(0)
    y, test = torch.zeros(30, dtype=torch.long), torch.arange(6)
    split = Dataset("one", torch.rand(30, 4), y, small.classes(1), test, validation=3).split(5)
    result = evaluate(*small.pair(4, 1), split)
    assert result["leakage"] is None and result["accuracy"] is not None


def test_generative_classifiers_classify_a_random_few_of_many(monkeypatch) -> None:
    # Sorted data, whose first images are all of one class.
    monkeypatch.setattr("pyro_ssvae.evaluation.evaluate.CLASSIFIED", 100)
    y = torch.arange(400) // 200
    images = torch.eye(2)[y]
    test = torch.arange(400)[::2]
    split = Dataset("sorted", images, y, small.classes(2), test, validation=10).split(4)
    model = models.M2(2, 2, z_dim=1, hidden=())
    with torch.no_grad():  # every image is decoded as one of the first class
        for parameter in model.decoder.parameters():
            parameter.zero_()
        weight_of(model.decoder, input=1)[:, 1] = -9.0  # the second class has no pixel
    result = evaluate(model, guides.M2(model, hidden=(5,)), split)
    assert 0.4 < result["accuracy_reconstruction"] < 0.6


@pytest.mark.parametrize("name", ["m2", "vae", "m1", "vade", "sdgm", "dirichletm2"])
def test_few_measures_are_those_of_all_and_of_little_work(name, split) -> None:
    objective = small.objective(name, split)
    every, few = (
        evaluate(objective.model, objective.guide, split, measures=measures)
        for measures in ("all", "few")
    )
    left_out = {
        "iwae", "iwae_samples", "accuracy_elbo", "accuracy_reconstruction", "class_samples",
        "mutual_information", "leakage",
    }
    assert few == every | dict.fromkeys(left_out)


def test_measures_are_all_or_few(pair, split) -> None:
    with pytest.raises(InputError, match="unknown measures 'fwe'.*did you mean 'few'"):
        evaluate(*pair, split, measures="fwe")


@pytest.mark.parametrize("measures, steps", [("all", 3 + 3), ("few", 0)])
@pytest.mark.parametrize("shown", [True, False])
def test_progress_counts_to_its_end(pair, monkeypatch, shown, measures, steps) -> None:
    bars = []

    class Watched(Progress):
        def __init__(self, *args, **options) -> None:
            super().__init__(*args, **options)
            bars.append(self)

    monkeypatch.setattr("pyro_ssvae.evaluation.evaluate.Progress", Watched)
    monkeypatch.setattr("pyro_ssvae.evaluation.evaluate.STEP", 100)
    monkeypatch.setattr("pyro_ssvae.evaluation.evaluate.CLASSIFIED", 2500)
    model, guide = pair
    split = from_arrays(torch.rand(400, 4), torch.arange(400) % 3).split(9, validation=250)
    evaluate(model, guide, split, "validation", measures=measures, progress=shown)
    (bar,) = bars
    assert bar.done == bar.total == steps + 3 and bar.show is shown
    assert bar.what == "evaluating on validation"


class PyrosBernoulli(nn.Bernoulli):
    """Pyro's own, whose support is 0 and 1 alone."""

    def __call__(self, raw, shape) -> Bernoulli:
        return Bernoulli(logits=raw, validate_args=False).to_event(len(shape))


def test_grey_pixels_under_pyros_bernoulli_are_refused_with_what_takes_them() -> None:
    model = models.M2(4, 3, likelihood=PyrosBernoulli(), **small.SIZES)
    objective = Objective(model, guides.M2(model, hidden=(5,)))
    split = from_arrays(torch.rand(60, 4), torch.arange(60) % 3).split(9)
    with pytest.raises(InputError, match=r"Boolean.* between 0 and 1 there is .*GreyBernoulli"):
        check_support(objective, split)


def test_further_sites_that_are_observed_are_no_divergences() -> None:
    def model(x: torch.Tensor, y: torch.Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", Normal(z.sum(-1, keepdim=True).expand(-1, 4), 1.0).to_event(1), obs=x)
            pyro.sample("total", Normal(z.sum(-1), 1.0), obs=x.sum(-1))
            pyro.deterministic("length", z.norm(dim=-1))

    def guide(x: torch.Tensor, y: torch.Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", Normal(x.new_zeros(2), 1e-4).to_event(1))

    parts = elbo_parts(model, guide, X)
    assert parts.keys() == {"elbo", "reconstruction", "kl_z", "nll_total"}
    expected = -Normal(0.0, 1.0).log_prob(X.sum(-1)).mean()
    assert parts["nll_total"] == pytest.approx(expected.item(), rel=1e-3)
    assert parts["elbo"] == pytest.approx(
        parts["reconstruction"] - parts["kl_z"] - parts["nll_total"]
    )
    assert not higher_is_better("test.nll_total")


def test_a_part_that_there_is_none_of_is_refused(pair) -> None:
    with pytest.raises(InputError, match="unknown part 'val': expected one of labelled"):
        evaluate(*pair, small.split(), "val")
