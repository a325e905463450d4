"""What `pyro_ssvae.check` says of pairs that are broken, one thing in each."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyro
import pytest
import small
import torch
from pyro import distributions as dist
from pyro.nn import PyroModule
from torch import Tensor, nn

import pyro_ssvae
from pyro_ssvae import InputError, Objective, check, fit, guides, models

X = torch.rand(5, 4, generator=torch.Generator().manual_seed(0))
Y = torch.eye(3)[[0, 1, 2, 0, 1]]


def joined(*parts: Tensor) -> Tensor:
    """Parts side by side, of which some lack dimensions to the left."""
    shape = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
    return torch.cat([part.expand(*shape, part.shape[-1]) for part in parts], -1)


def prior(x: Tensor) -> Any:
    return dist.OneHotCategorical(logits=x.new_zeros(3))


def normal(x: Tensor, size: int = 2) -> Any:
    return dist.Normal(x.new_zeros(size), 1.0).to_event(1)


class Model(PyroModule):
    """M2 of plain parts: a pair that is right, and breaks where a test overrides it."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.Linear(5, 4)

    def image(self, y: Tensor, z: Tensor) -> Any:
        return dist.Normal(self.decoder(joined(y, z)), 1.0).to_event(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", prior(x), obs=y)
            z = pyro.sample("z", normal(x))
            pyro.sample("x", self.image(y, z), obs=x)


class Guide(PyroModule):
    """M2's guide of plain parts."""

    enumerated: dict[str, Any] = {"enumerate": "parallel"}

    def __init__(self) -> None:
        super().__init__()
        self.classifier, self.encoder = nn.Linear(4, 3), nn.Linear(7, 2)

    def latent(self, x: Tensor, y: Tensor) -> Any:
        return dist.Normal(self.encoder(joined(x, y)), 1.0).to_event(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            if y is None:
                y = pyro.sample("y", self.classify(x), infer=self.enumerated)
            pyro.sample("z", self.latent(x, y))

    def classify(self, x: Tensor) -> Any:
        return dist.OneHotCategorical(logits=self.classifier(x))


def model(forward: Callable[..., None] | None = None, **changes: Any) -> Model:
    """The model with another forward, or with other methods and attributes."""
    changed = {"forward": forward} if forward else {}
    return type("Broken", (Model,), changed | changes)()


def guide(forward: Callable[..., None] | None = None, **changes: Any) -> Guide:
    """The guide with another forward, or with other methods and attributes."""
    changed = {"forward": forward} if forward else {}
    return type("Broken", (Guide,), changed | changes)()


def says(of_model: Any, of_guide: Any, message: str, x: Any = X, y: Any = Y) -> None:
    """What is wrong is said by this, in a line."""
    with pytest.raises(InputError, match=message) as refused:
        check(of_model, of_guide, x, y)
    assert "\n" not in str(refused.value)


def test_a_pair_of_plain_parts_is_right() -> None:
    check(Model(), Guide(), X, Y)


def test_nothing_is_changed() -> None:
    of_model, of_guide = Model(), Guide()
    of_guide.classifier = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 3))
    before = {name: value.clone() for name, value in of_guide.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    check(of_model, of_guide, X, Y)
    assert all(torch.equal(value, before[name]) for name, value in of_guide.state_dict().items())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1] and random.getstate() == states[2]
    assert all(p.grad is None for p in of_guide.parameters())
    assert not pyro.get_param_store().keys()


# the programs and the data


def test_programs_are_modules_and_not_functions_or_classes() -> None:
    says(Model, Guide(), r"the model: expected a torch\.nn\.Module.*got the class Model: make one")
    says(Model(), lambda x, y=None: None, "the guide: expected .* got function: make it a class")


def test_labels_may_be_left_out() -> None:
    def forward(self: Any, x: Tensor, y: Tensor) -> None: ...

    says(Model(), guide(forward), r"the guide: expected forward\(self, x, y=None\).*got forward\(")


def test_there_is_something_to_train() -> None:
    def forward(self: Any, x: Tensor, y: Tensor | None = None) -> None: ...

    empty = type("Empty", (PyroModule,), {"forward": forward})
    says(empty(), empty(), "expected parameters to train, .* nn.ModuleList")


@pytest.mark.parametrize(("x", "y", "message"), [
    (X.numpy(), Y, "expected x as a floating point tensor, got ndarray"),
    (X, Y.long(), r"expected y as a floating point tensor, got torch\.int64"),
    (X[0], Y, r"expected x of two examples or more, \(N, ...\), got \(4,\)"),
    (X, Y.argmax(-1).float(), r"labels y of shape \(5, S\), got \(5,\); .*one_hot\(classes, K\)"),
    (X, Y[:2], r"labels y of shape \(5, S\), got \(2, 3\)"),
])
def test_examples_and_labels_are_tensors_of_their_shapes(x: Any, y: Any, message: str) -> None:
    says(Model(), Guide(), message, x, y)


# plates


def test_a_site_stands_in_a_plate() -> None:
    def forward(self: Any, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", prior(x), obs=y)
        z = pyro.sample("z", normal(x).expand([len(x)]))
        with pyro.plate("more", len(x)):
            pyro.sample("x", self.image(y, z), obs=x)

    says(model(forward), Guide(), r"site 'z' of the model: expected one in a plate, .*len\(x\)")


def test_the_plate_is_at_the_last_dimension() -> None:
    def forward(self: Any, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x), dim=-2):
            pyro.sample("x", dist.Normal(x.unsqueeze(1), 1.0).to_event(1), obs=x.unsqueeze(1))

    says(model(forward), guides.VAE(models.VAE(4)), r"in a plate at dim -1, got 'data' at -2")


def test_the_plate_is_of_the_examples() -> None:
    def forward(self: Any, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", 1):
            pyro.sample("z", normal(x))

    says(Model(), guide(forward, classify=None), r"plate of the 5 examples, got 'data' of 1")


def test_the_plate_is_no_minibatch() -> None:
    def forward(self: Any, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", 1_437, subsample_size=len(x)):
            z = pyro.sample("z", normal(x))
            pyro.sample("x", self.image(pyro.sample("y", prior(x), obs=y), z), obs=x)

    says(model(forward), Guide(), "got 'data', a minibatch of 1,437, which multiplies the bound")


def test_plates_are_not_nested() -> None:
    def forward(self: Any, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)), pyro.plate("pixels", 4):
            pyro.sample("x", dist.Normal(self.decoder.weight[0, 0], 1.0), obs=x.T)

    no_labels = guides.VAE(models.VAE(4))
    says(model(forward), no_labels, "in one plate, .* got 'data', 'pixels'; .*event dimension")


def test_the_dimensions_of_an_example_are_event_dimensions() -> None:
    def image(self: Any, y: Tensor, z: Tensor) -> Any:
        return dist.Normal(self.decoder(joined(y, z)), 1.0)

    says(model(image=image), Guide(),
         r"'x' has sizes 5 vs 4 at dim -1 .*\.to_event\(1\)")
    square = torch.rand(4, 4)  # as many examples as pixels: Pyro has nothing against it
    says(model(image=image), Guide(),
         r"'x' .* with batch shape \(4,\), got \(4, 4\)", square, Y[:4])


# sites of the model


def test_the_examples_are_called_x() -> None:
    def forward(self: Any, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", prior(x), obs=y)
            z = pyro.sample("z", normal(x))
            pyro.sample("image", self.image(y, z), obs=x)

    says(model(forward), Guide(), "expected a site 'x' .* got the sites 'y', 'z', 'image'")


def test_the_labels_are_called_y() -> None:
    def forward(self: Any, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            label = pyro.sample("label", prior(x), obs=y)
            z = pyro.sample("z", normal(x))
            pyro.sample("x", self.image(label, z), obs=x)

    says(model(forward), Guide(), "expected a site 'y' .* got the sites 'label', 'z', 'x'")


def test_x_is_observed_as_it_came() -> None:
    def forward(self: Any, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", prior(x), obs=y)
            pyro.sample("x", self.image(y, pyro.sample("z", normal(x))), obs=self.seen(x))

    latent = model(forward, seen=lambda self, x: None)
    says(latent, Guide(), "site 'x' of the model: .*observed to be x, got a latent one; pass obs=x")
    says(model(forward, seen=lambda self, x: x / 2), Guide(), "to be x, got another value")


def test_y_is_observed_where_it_is_given_and_latent_where_not() -> None:
    def forward(self: Any, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", prior(x), obs=self.seen(y))
            pyro.sample("x", self.image(y, pyro.sample("z", normal(x))), obs=x)

    never = model(forward, seen=lambda self, y: None)
    says(never, Guide(), "site 'y' of the model: expected one observed where y is given, got a lat")
    always = model(forward, seen=lambda self, y: Y)
    says(always, Guide(), "latent where y is None, got an observed one; pass obs=y as it comes")
    other = model(forward, seen=lambda self, y: None if y is None else y.roll(1, 0))
    says(other, Guide(), "observed to be y, got another value")


def test_the_shape_of_x_and_of_y_is_that_of_the_data() -> None:
    says(Model(), Guide(), r"'y' of the model: .* event shape \(4,\), .*, got \(3,\)",
         y=torch.eye(4)[[0, 1, 2, 3, 0]])
    says(Model(), Guide(), r"'x' of the model: .* event shape \(2,\), .*, got \(4,\)", X[:, :2])


def test_x_lies_in_the_support_of_the_likelihood() -> None:
    def image(self: Any, y: Tensor, z: Tensor) -> Any:
        return dist.Bernoulli(logits=self.decoder(joined(y, z))).to_event(1)

    says(model(image=image), Guide(),
         "'x' .* whose support holds x, got Bernoulli and x from 0.*re")


# the guide, and both together


def test_the_guide_samples_what_is_latent_in_the_model_and_nothing_else() -> None:
    def of(*names: str) -> Guide:
        def forward(self: Any, x: Tensor, y: Tensor | None = None) -> None:
            with pyro.plate("data", len(x)):
                for name in names:
                    if name != "y":
                        pyro.sample(name, normal(x))
                    elif y is None:
                        pyro.sample(name, self.classify(x), infer=self.enumerated)

        return guide(forward)

    says(Model(), of("a", "z"), "site 'a' of the guide: .* has too, .*'y', 'z', 'x'; sample it in")
    says(Model(), of("y"),
         "site 'z' of the model: .*the guide samples too, .*got none; sample it in the guide$")
    says(Model(), of("z"),
         "'y' of the model: .*too where y is None, .*in the guide, or sum it out in the model by")


def test_the_guide_leaves_a_label_that_is_given_alone() -> None:
    def forward(self: Any, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", self.classify(x), infer=self.enumerated)
            pyro.sample("z", self.latent(x, y))

    says(Model(), guide(forward), "'y' of the guide: .* `if y is None` alone")


def test_a_guide_observes_nothing() -> None:
    def forward(self: Any, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", normal(x), obs=x[:, :2])

    says(Model(), guide(forward), "'z' of the guide: expected one sampled, got an observed one")


def test_a_latent_site_has_one_shape_in_both() -> None:
    def latent(self: Any, x: Tensor, y: Tensor) -> Any:
        return normal(x, 3)

    says(Model(), guide(latent=latent),
         r"'z' of the guide: .* \(2,\), that of the model, got \(3,")


def test_a_label_that_is_sampled_and_not_summed_over_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="site 'y' of the guide is discrete, and sampled"):
        check(Model(), guide(enumerated={}), X, Y)


def test_networks_broadcast_over_an_enumerated_label() -> None:
    def latent(self: Any, x: Tensor, y: Tensor) -> Any:
        return dist.Normal(self.encoder(torch.cat([x, y], -1)), 1.0).to_event(1)

    says(Model(), guide(latent=latent),
         r"bound with y unknown: got RuntimeError: .*\(K, 1, K\).* must broadcast .* torch\.cat")


def test_log_probabilities_are_finite() -> None:
    def latent(self: Any, x: Tensor, y: Tensor) -> Any:
        return dist.Normal(self.encoder(joined(x, y)), torch.zeros(2)).to_event(1)

    says(Model(), guide(latent=latent), "'z' of the guide: .*finite log_prob, got (nan|inf) for ex")


def test_what_a_program_raises_is_said_in_a_line_with_the_program() -> None:
    def image(self: Any, y: Tensor, z: Tensor) -> Any:
        raise RuntimeError("two\nlines")

    says(model(image=image), Guide(),
         "the model with y unknown: got RuntimeError: two lines; it is")


def test_what_a_network_refuses_is_said_with_the_program_and_without_pyros_shapes() -> None:
    def image(self: Any, y: Tensor, z: Tensor) -> Any:
        raise InputError("expected 5 inputs, got 6")

    says(model(image=image), Guide(), "^the model with y unknown: expected 5 inputs, got 6$")


# methods


@pytest.mark.parametrize(("classify", "message"), [
    (lambda self, x: self.classifier(x), r"classify\(x\)\.probs of shape \(5, 3\), got none"),
    (lambda self, x: dist.OneHotCategorical(logits=self.classifier(x)[:, :2]),
     r"classify\(x\)\.probs of shape \(5, 3\), got \(5, 2\)"),
    (lambda self, x: SimpleNamespace(probs=self.classifier(x).sigmoid()),
     r"as a distribution over the classes, got probabilities that sum to"),
    (lambda self, x: dist.Categorical(logits=self.classifier(x)),
     r"classify\(x\)\.log_prob\(y\)"),
    (lambda self, x, y: None, r"expected classify\(self, x\), got classify\(x, y\)"),
    (lambda self, x: x.view(7), r"classify\(x\) of the guide: got RuntimeError"),
])
def test_a_classifier_gives_a_distribution_over_the_classes(
    classify: Callable[..., Any], message: str
) -> None:
    def forward(self: Any, x: Tensor, y: Tensor | None = None) -> None:
        Guide.classify(self, x)
        with pyro.plate("data", len(x)):
            if y is None:
                y = pyro.sample("y", Guide.classify(self, x), infer=self.enumerated)
            pyro.sample("z", self.latent(x, y))

    says(Model(), guide(forward, classify=classify), message)


def test_a_regressor_gives_a_mean_and_a_deviation_of_a_number() -> None:
    of_model = models.Regression(4, z_dim=2, hidden=())
    for regress, message in (
        (lambda x: dist.Normal(x[:, 0], 1.0), r"regress\(x\)\.mean of shape \(5, 1\), got \(5,\)"),
        (lambda x: dist.Normal(x[:, :1] / 0, 1.0), "a finite mean and stddev > 0"),
    ):
        of_guide = guides.Regression(of_model, hidden=())
        regressor = of_guide.regressor
        of_guide.forward = lambda x, y=None, of_guide=of_guide, regressor=regressor: _plain(
            of_guide, regressor, x, y
        )
        of_guide.regress = regress
        says(of_model, of_guide, message, y=X[:, :1])


def _plain(of_guide: Any, regressor: Any, x: Tensor, y: Tensor | None) -> None:
    with pyro.plate("data", len(x)):
        y = pyro.sample("y", regressor(x)) if y is None else y
        pyro.sample("z", of_guide.encoder(x, y))


def test_what_else_a_guide_may_have_is_as_the_contract_says() -> None:
    says(Model(), guide(regress=lambda self, x: None), r"classify\(x\) or regress\(x\), got both")
    says(Model(), guide(terms={"mine": 1.0}), "terms of pyro_ssvae.Term by name, got 'mine' of flo")
    says(Model(), guide(turns=["adversary"]), "turns as names of its submodules, got 'adv")
    says(Model(), guide(fit_classifier=lambda self, x: None), r"fit_classifier\(x, y, \*, sizes\)")
    says(model(prior=1.0), Guide(), r"prior\(x\) of the model: .*another name if it is no p\(y\)")


# noise and gradients


@pytest.mark.parametrize(("noise", "message"), [
    (lambda: float(np.random.rand()), "noise of numpy's global random state"),
    (lambda: random.random(), "noise of Python's global random state"),
    (lambda rng=np.random.default_rng(0): rng.random(), "of its own, for two runs .* differ"),
    (lambda: torch.manual_seed(3).initial_seed() * 0.1, "leave torch.manual_seed"),
])
def test_noise_is_drawn_from_the_state_of_torch(noise: Callable[[], float], message: str) -> None:
    def image(self: Any, y: Tensor, z: Tensor) -> Any:
        return dist.Normal(self.decoder(joined(y, z)) + noise(), 1.0).to_event(1)

    says(model(image=image), Guide(), message)


def test_every_parameter_gets_a_gradient() -> None:
    def latent(self: Any, x: Tensor, y: Tensor) -> Any:
        return dist.Normal(self.encoder(joined(x, y)).detach(), 1.0).to_event(1)

    says(Model(), guide(latent=latent),
         "'encoder.weight' of the guide: expected a gradient .*none")
    check(Model(), guide(latent=latent).requires_grad_(False), X, Y)


def test_what_is_learnt_is_a_parameter_of_a_program() -> None:
    networks = [nn.Linear(7, 2)]

    def in_a_list(self: Any, x: Tensor, y: Tensor) -> Any:
        return dist.Normal(self.encoder(joined(x, y)) + networks[0](joined(x, y)), 1.0).to_event(1)

    def in_the_store(self: Any, x: Tensor, y: Tensor) -> Any:
        scale = pyro.param("scale", torch.ones(2), constraint=dist.constraints.positive)
        return dist.Normal(self.encoder(joined(x, y)), scale).to_event(1)

    for latent, shape in ((in_a_list, r"\(2, 7\)|\(2,\)"), (in_the_store, r"\(2,\)")):
        says(Model(), guide(latent=latent), f"a parameter of shape ({shape}) that neither .*PyroP")


# fit points to it


def test_an_error_of_a_pair_in_training_says_how_to_find_out(
    split: pyro_ssvae.data.Split,
) -> None:
    def image(self: Any, y: Tensor, z: Tensor) -> Any:
        return dist.Normal(self.decoder(torch.cat([y, z], -1)), 1.0).to_event(1)

    flat = pyro_ssvae.data.from_arrays(X.repeat(20, 1).numpy(), ["a", "b", "c", "a", "b"] * 20)
    objective = Objective(model(image=image), Guide())
    with pytest.raises(RuntimeError) as raised:
        next(fit(objective, flat.split(9, validation=10), epochs=1))
    assert raised.value.__notes__ == [
        "pyro_ssvae.check(model, guide, x, y) tells what is wrong with a pair: x are a few examples"
        " and y their encoded labels, as split.examples(split.labelled[:8]) gives them"
    ]


def test_input_that_is_refused_in_training_has_no_such_note() -> None:
    objective = small.m2(x_shape=(1, 8, 8), y_dim=10)
    with pytest.raises(InputError) as refused:
        fit(objective, small.split(), epochs=0)
    assert not hasattr(refused.value, "__notes__")
