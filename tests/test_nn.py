"""Networks against torch's own layers and distributions."""

import copy
import math
from typing import Any

import numpy as np
import pyro
import pytest
import torch
import zuko
from pyro import poutine
from torch import Tensor
from torch.distributions import Transform
from torch.nn import functional as F
from torch.testing import assert_close

from pyro_ssvae import nn
from pyro_ssvae.errors import InputError

TIGHT = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def perceptron(
    head: nn.Head, inputs: int | tuple[int, ...], shape: int, hidden: tuple[int, ...], **layers: Any
) -> nn.Network:
    """A head on a multilayer perceptron."""
    return nn.network("mlp", head, inputs, shape, hidden, **layers)


def first_layer(mlp: nn.MLP) -> tuple[Tensor, Tensor]:
    """The first layer's weight and bias, as leaves, for the concatenated inputs."""
    weight = torch.cat([linear.weight for linear in mlp.first], dim=1)
    return weight.detach().requires_grad_(), mlp.first[0].bias.detach().requires_grad_()


# MLP


def test_two_inputs_meet_in_a_linear_layer_over_their_concatenation() -> None:
    mlp = nn.MLP((5, 3), 4, hidden=()).double()
    x, y = double(7, 5).requires_grad_(), double(7, 3).requires_grad_()
    weight, bias = first_layer(mlp)
    together = torch.cat([x, y], dim=-1).detach().requires_grad_()
    cotangent = double(7, 4)

    out = mlp(x, y)
    expected = F.linear(together, weight, bias)
    out.backward(cotangent)
    expected.backward(cotangent)

    assert_close(out, expected, **TIGHT)
    assert_close(torch.cat([x.grad, y.grad], dim=-1), together.grad, **TIGHT)
    assert_close(
        torch.cat([linear.weight.grad for linear in mlp.first], dim=1), weight.grad, **TIGHT
    )
    assert_close(mlp.first[0].bias.grad, bias.grad, **TIGHT)


def test_the_first_layer_has_one_bias() -> None:
    parameters = dict(nn.MLP((5, 3, 2), 4, hidden=()).named_parameters())
    assert sorted(tuple(p.shape) for p in parameters.values()) == [(4,), (4, 2), (4, 3), (4, 5)]


def test_hidden_layers_apply_the_activation_between_linear_maps() -> None:
    mlp = nn.MLP((5, 3), 4, hidden=(6, 8), activation=torch.nn.Tanh).double()
    x, y = double(7, 5), double(7, 3)
    hidden = torch.tanh(F.linear(torch.cat([x, y], dim=-1), *first_layer(mlp)))
    _, second, _, third = mlp.rest
    expected = torch.tanh(hidden @ second.weight.T + second.bias) @ third.weight.T + third.bias
    assert_close(mlp(x, y), expected, **TIGHT)


def test_the_activation_is_the_softplus_unless_told_otherwise() -> None:
    mlp = nn.MLP(3, 2, hidden=(6,)).double()
    x = double(7, 3)
    hidden = torch.log1p(torch.exp(F.linear(x, *first_layer(mlp))))
    assert_close(mlp(x), hidden @ mlp.rest[1].weight.T + mlp.rest[1].bias, **TIGHT)


def test_one_size_stands_for_one_input() -> None:
    assert nn.MLP(3, 2, hidden=())(torch.zeros(7, 3)).shape == (7, 2)


def test_no_hidden_layer_gives_a_linear_map() -> None:
    mlp = nn.MLP((5, 3), 4, hidden=()).double()
    (a, b), (c, d) = (double(7, 5), double(7, 3)), (double(7, 5), double(7, 3))
    at_zero = mlp(torch.zeros_like(a), torch.zeros_like(b))
    assert_close(mlp(a + c, b + d) + at_zero, mlp(a, b) + mlp(c, d), **TIGHT)


def test_a_layer_of_a_thousand_to_one_is_the_same_function() -> None:
    mlp = nn.MLP((1_000, 1), 2, hidden=()).double()
    x, y = double(3, 1_000), double(3, 1)
    expected = F.linear(torch.cat([x, y], dim=-1), *first_layer(mlp))
    assert_close(mlp(x, y), expected, **TIGHT)


@pytest.mark.parametrize("hidden", [(), (6,), (6, 8)])
def test_enumerated_classes_equal_the_tiled_concatenation(hidden: tuple[int, ...]) -> None:
    mlp = nn.MLP((5, 3), 4, hidden=hidden).double()
    x, y = double(7, 5), torch.eye(3, dtype=torch.float64).unsqueeze(1)
    tiled = torch.cat([x.expand(3, 7, 5), y.expand(3, 7, 3)], dim=-1)
    expected = mlp.rest(F.linear(tiled, *first_layer(mlp)))

    assert y.shape == (3, 1, 3)
    assert mlp(x, y).shape == (3, 7, 4)
    assert_close(mlp(x, y), expected, **TIGHT)


def test_enumerated_classes_give_the_gradient_of_the_tiled_concatenation() -> None:
    mlp = nn.MLP((5, 3), 4, hidden=(6,)).double()
    x, y = double(7, 5), torch.eye(3, dtype=torch.float64).unsqueeze(1)
    weight, bias = first_layer(mlp)
    tiled = torch.cat([x.expand(3, 7, 5), y.expand(3, 7, 3)], dim=-1)
    cotangent = double(3, 7, 4)

    mlp(x, y).backward(cotangent)
    mlp.rest(F.linear(tiled, weight, bias)).backward(cotangent)

    came = torch.cat([linear.weight.grad for linear in mlp.first], dim=1)
    assert_close(came, weight.grad, **TIGHT)
    assert_close(mlp.first[0].bias.grad, bias.grad, **TIGHT)


def test_weights_are_drawn_within_xaviers_bound_of_the_concatenated_layer() -> None:
    mlp = nn.MLP((200, 20), 50, hidden=(300,))
    first, second = math.sqrt(6 / (220 + 300)), math.sqrt(6 / (300 + 50))
    bounds = [(mlp.first[0], first), (mlp.first[1], first), (mlp.rest[1], second)]
    for linear, bound in bounds:
        assert 0.99 * bound < linear.weight.abs().max() <= bound
        assert 0.99 * bound < -linear.weight.min() <= bound


def test_biases_begin_at_zero() -> None:
    mlp = nn.MLP((5, 3), 4, hidden=(6,))
    biases = [p for name, p in mlp.named_parameters() if name.endswith("bias")]
    assert len(biases) == 2
    assert all((bias == 0).all() for bias in biases)


@pytest.mark.parametrize(
    ("in_dims", "hidden", "out_dim", "came"),
    [
        (0, (), 4, 0),
        ((5, 0), (), 4, 0),
        ((5, -3), (), 4, -3),
        (5, (0,), 4, 0),
        (5, (6, -1), 4, -1),
        (5, (6,), 0, 0),
    ],
)
def test_a_layer_size_that_is_not_positive_is_refused(
    in_dims: int | tuple[int, ...], hidden: tuple[int, ...], out_dim: int, came: int
) -> None:
    with pytest.raises(InputError, match=f"expected the size of an? .* > 0, got {came}$"):
        nn.MLP(in_dims, out_dim, hidden=hidden)


def test_a_network_without_inputs_is_refused() -> None:
    with pytest.raises(InputError, match="expected .*input"):
        nn.MLP((), 4, hidden=(6,))


@pytest.mark.parametrize(
    ("shapes", "came"),
    [
        ([(7, 3), (7, 5)], r"got \(7, 3\) and \(7, 5\)"),
        ([(7, 5), (7, 4)], r"got \(7, 5\) and \(7, 4\)"),
        ([(7, 5)], r"got \(7, 5\)"),
        ([(7, 5), (7, 3), (7, 3)], r"got \(7, 5\) and \(7, 3\) and \(7, 3\)"),
        ([(7, 5), ()], r"got \(7, 5\) and \(\)"),
        ([], "got none"),
    ],
)
def test_inputs_of_other_sizes_than_declared_are_refused(
    shapes: list[tuple[int, ...]], came: str
) -> None:
    mlp = nn.MLP((5, 3), 4, hidden=())
    wanted = r"inputs of shapes \(\.\.\., 5\) and \(\.\.\., 3\)"
    with pytest.raises(InputError, match=f"{wanted}, {came}$"):
        mlp(*(torch.zeros(shape) for shape in shapes))


# Bernoulli


def test_a_binary_image_has_the_bernoullis_log_probability() -> None:
    logits, x = 3 * double(4, 9), torch.bernoulli(torch.full((4, 9), 0.5, dtype=torch.float64))
    expected = torch.distributions.Bernoulli(logits=logits).log_prob(x)
    assert_close(nn.GreyBernoulli(logits=logits).log_prob(x), expected, **TIGHT)


def test_a_grey_image_has_the_cross_entropy() -> None:
    logits, x = 3 * double(4, 9), torch.rand(4, 9, dtype=torch.float64)
    p, grey = 1 / (1 + np.exp(-logits.numpy())), x.numpy()
    expected = torch.from_numpy(grey * np.log(p) + (1 - grey) * np.log(1 - p))
    assert_close(nn.GreyBernoulli(logits=logits).log_prob(x), expected, **TIGHT)


def test_a_grey_image_weighs_black_and_white_linearly() -> None:
    logits = double(9)
    black, white, grey = (
        nn.GreyBernoulli(logits=logits).log_prob(torch.full_like(logits, pixel))
        for pixel in (0.0, 1.0, 0.25)
    )
    assert_close(grey, 0.75 * black + 0.25 * white, **TIGHT)


def log_prob_validated(likelihood: pyro.distributions.Distribution, x: Tensor) -> Tensor:
    """The log-probability of observing x in a Pyro model, with validation on."""
    def model() -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("x", likelihood, obs=x)

    with pyro.validation_enabled():
        return poutine.trace(model).get_trace().log_prob_sum()


@pytest.mark.parametrize("pixel", [0.0, 1e-6, 0.5, 1.0])
def test_pyros_validation_accepts_pixels_from_0_to_1(pixel: float) -> None:
    decoder = perceptron(nn.Bernoulli(), 2, 9, (3,)).double()
    x, z = torch.full((4, 9), pixel, dtype=torch.float64), double(4, 2)
    p = torch.sigmoid(decoder.body(z))
    expected = (pixel * p.log() + (1 - pixel) * (1 - p).log()).sum()
    assert_close(log_prob_validated(decoder(z), x), expected, **TIGHT)


@pytest.mark.parametrize("pixel", [1.5, -0.1, 255.0, math.nan, math.inf])
def test_pyros_validation_refuses_pixels_outside_0_to_1(pixel: float) -> None:
    x = torch.full((4, 9), 0.5)
    x[2, 3] = pixel
    with pytest.raises(ValueError, match="site 'x'"):
        log_prob_validated(perceptron(nn.Bernoulli(), 2, 9, (3,))(torch.zeros(4, 2)), x)


def test_a_bernoulli_network_gives_one_event_of_its_outputs() -> None:
    decoder = perceptron(nn.Bernoulli(), (2, 3), 9, (6,))
    likelihood = decoder(torch.zeros(7, 2), torch.zeros(3, 1, 3))
    assert likelihood.batch_shape == (3, 7)
    assert likelihood.event_shape == (9,)


def test_a_bernoulli_networks_mean_is_the_sigmoid_of_its_outputs() -> None:
    decoder = perceptron(nn.Bernoulli(), 2, 9, (6,)).double()
    z = double(7, 2)
    assert_close(decoder(z).base_dist.mean, torch.sigmoid(decoder.body(z)), **TIGHT)


def test_a_grey_bernoulli_stays_grey_when_expanded() -> None:
    likelihood = perceptron(nn.Bernoulli(), 2, 9, (6,))(torch.zeros(1, 2)).expand((4,))
    x = torch.full((4, 9), 0.25)
    assert_close(log_prob_validated(likelihood, x), 4 * likelihood.log_prob(x)[0])


# Normal


def test_a_fixed_sigma_is_the_scale_and_the_outputs_are_the_mean() -> None:
    decoder = perceptron(nn.Normal(sigma=0.3), (5, 3), 4, (6,)).double()
    x, y = double(7, 5), double(3, 1, 3)
    likelihood = decoder(x, y)
    assert (likelihood.batch_shape, likelihood.event_shape) == ((3, 7), (4,))
    assert_close(likelihood.base_dist.loc, decoder.body(x, y), **TIGHT)
    assert (likelihood.base_dist.scale == 0.3).all()


def test_a_fixed_sigma_has_the_normal_density() -> None:
    decoder = perceptron(nn.Normal(sigma=0.5), 2, 3, ()).double()
    z, x = double(7, 2), double(7, 3)
    off = (x - decoder.body(z)) / 0.5
    expected = -(off.square() / 2 + math.log(0.5) + math.log(2 * math.pi) / 2).sum(-1)
    assert_close(decoder(z).log_prob(x), expected, **TIGHT)


def test_a_learned_sigma_is_the_softplus_of_the_second_half_of_the_outputs() -> None:
    encoder = perceptron(nn.Normal(), (5, 3), 4, (6,)).double()
    x, y = double(7, 5), double(3, 1, 3)
    out = encoder.body(x, y)
    posterior = encoder(x, y)
    assert out.shape == (3, 7, 8)
    assert (posterior.batch_shape, posterior.event_shape) == ((3, 7), (4,))
    assert_close(posterior.base_dist.loc, out[..., :4], **TIGHT)
    scale = torch.log1p(torch.exp(out[..., 4:])) + nn.MIN_SCALE
    assert_close(posterior.base_dist.scale, scale, **TIGHT)


def test_a_learned_sigma_cannot_collapse_to_zero() -> None:
    encoder = perceptron(nn.Normal(), 1, 1, ())
    with torch.no_grad():
        encoder.body.first[0].bias[1] = -1e6
    assert encoder(torch.zeros(1, 1)).base_dist.scale.item() == pytest.approx(1e-5, rel=1e-6)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
def test_a_sigma_that_is_not_positive_is_refused(sigma: float) -> None:
    with pytest.raises(InputError, match=f"expected sigma > 0, got {sigma}"):
        nn.Normal(sigma=sigma)


# Classes, and what is chosen by name


def test_class_probabilities_are_the_softmax_of_the_outputs() -> None:
    classifier = perceptron(nn.OneHots(), 5, 3, (6,)).double()
    x = double(7, 5)
    out = classifier.body(x)
    q = classifier(x)
    assert (q.batch_shape, q.event_shape) == ((7,), (3,))
    assert_close(q.probs, out.exp() / out.exp().sum(-1, keepdim=True), **TIGHT)
    for k, y in enumerate(torch.eye(3, dtype=torch.float64)):
        assert_close(q.log_prob(y), out[:, k] - out.exp().sum(-1).log(), **TIGHT)


def test_the_standard_normal_has_its_density_in_the_dtype_asked_for() -> None:
    prior = nn.standard_normal(double(1), 3)
    z = double(7, 3)
    expected = -z.square().sum(-1) / 2 - 1.5 * math.log(2 * math.pi)
    assert (prior.batch_shape, prior.event_shape) == ((), (3,))
    assert_close(prior.log_prob(z), expected, **TIGHT)


def test_the_uniform_prior_gives_every_class_the_same_probability() -> None:
    prior = nn.uniform_classes(double(1), 3)
    expected = torch.full((3,), -math.log(3), dtype=torch.float64)
    assert (prior.batch_shape, prior.event_shape) == ((), (3,))
    assert_close(prior.log_prob(torch.eye(3, dtype=torch.float64)), expected, **TIGHT)


def test_priors_lie_on_the_device_they_are_made_for() -> None:
    like = torch.zeros(1, device="meta")
    with pyro.validation_enabled(False):  # it reads values, and a meta tensor has none
        normal, classes = nn.standard_normal(like, 3), nn.uniform_classes(like, 3)
    assert normal.base_dist.loc.device == normal.base_dist.scale.device == like.device
    assert classes.logits.device == like.device


# Several labels, tokens and points


def test_several_labels_come_from_one_network() -> None:
    network = perceptron(nn.OneHots((2, 4)), (5, 3), 6, (6,)).double()
    x, y = double(7, 5), double(3, 1, 3)
    q = network(x, y)
    first, second = network.body(x, y).split((2, 4), -1)
    assert (q.batch_shape, q.event_shape, q.sizes) == ((3, 7), (6,), (2, 4))
    assert_close(q.probs, torch.cat([first.softmax(-1), second.softmax(-1)], -1), **TIGHT)


def test_a_categorical_likelihood_gives_each_token_a_probability() -> None:
    decoder = perceptron(nn.Categorical(10), (5, 3), 4, (6,)).double()
    x = torch.randint(10, (7, 4)).double()
    z, y = double(7, 5), double(3, 1, 3)
    likelihood = decoder(z, y)
    log_p = decoder.body(z, y).view(3, 7, 4, 10).log_softmax(-1)
    expected = sum(log_p[:, torch.arange(7), d, x[:, d].long()] for d in range(4))
    assert (likelihood.batch_shape, likelihood.event_shape) == ((3, 7), (4,))
    assert_close(likelihood.log_prob(x), expected, **TIGHT)
    assert_close(log_prob_validated(decoder(z, y[0]), x), expected[0].sum(), **TIGHT)


@pytest.mark.parametrize("vocabulary, message", [
    (None, "expected the number of different tokens, such as 256, got None"),
    (0, "expected vocabulary > 0, got 0"),
])
def test_a_categorical_likelihood_needs_a_vocabulary(vocabulary, message) -> None:
    with pytest.raises(InputError, match=message):
        nn.Categorical(vocabulary)


def test_tokens_are_read_as_one_hot_vectors() -> None:
    x = torch.tensor([[2.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    read = nn.Tokens(3)(x)
    assert read.dtype == torch.float64
    assert read.tolist() == [[0, 0, 1, 1, 0, 0], [0, 1, 0, 0, 1, 0]]


def test_a_point_is_where_the_network_says() -> None:
    network = perceptron(nn.Point(), (5, 3), 4, (6,)).double()
    x, y = double(7, 5), double(3, 1, 3)
    point = network(x, y)
    assert (point.batch_shape, point.event_shape) == ((3, 7), (4,))
    assert_close(point.rsample(), network.body(x, y), **TIGHT)
    assert point.rsample().requires_grad


# Flows


def with_pyros_transforms() -> list[object]:
    return [
        pyro.distributions.transforms.affine_coupling(3, hidden_dims=[5]),
        torch.distributions.transforms.SigmoidTransform(),
        pyro.distributions.transforms.affine_autoregressive(3, hidden_dims=[5]),
    ]


def with_zukos_transforms() -> list[object]:
    return [
        zuko.flows.MaskedAutoregressiveTransform(3, hidden_features=(5,)),
        zuko.flows.MaskedAutoregressiveTransform(3, hidden_features=(5,), order=torch.arange(3)),
    ]


def disturbed(module: torch.nn.Module) -> torch.nn.Module:
    """The module in float64, its parameters moved: many flows begin near the identity."""
    for parameter in module.double().parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    return module


FLOWS = pytest.mark.parametrize("flow", [
    lambda: nn.Flow(perceptron(nn.Normal(), 4, 3, (5,)), with_pyros_transforms()),
    lambda: nn.Flow(perceptron(nn.Normal(), 4, 3, (5,)), with_zukos_transforms()),
    lambda: nn.Flow(
        perceptron(nn.Normal(), 4, 3, (5,)), [*with_zukos_transforms(), *with_pyros_transforms()]
    ),
    lambda: nn.posterior("mlp", 4, 3, (5,), flows=3),
], ids=["Pyro's", "zuko's", "both", "posterior"])


@pytest.fixture
def doubles():
    """Pyro's autoregressive flow begins its inverse with a zero of the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@FLOWS
@pytest.mark.usefixtures("doubles")
def test_a_flow_has_the_density_of_the_change_of_variables(flow) -> None:
    flow, x = disturbed(flow()), double(1, 4)

    def push(z: Tensor) -> Tensor:
        for transform in flow.transforms:
            z = (transform if isinstance(transform, Transform) else transform())(z)
        return z

    torch.manual_seed(3)
    start = flow.base(x).rsample()
    jacobian = torch.autograd.functional.jacobian(push, start[0])
    expected = flow.base(x).log_prob(start) - jacobian.det().abs().log()
    torch.manual_seed(3)
    q = flow(x)
    end = q.rsample()
    assert_close(end[0], push(start[0]), **TIGHT)
    assert_close(q.log_prob(end), expected, rtol=1e-8, atol=1e-8)
    # Of a point that was not drawn, by the inverse.
    assert_close(flow(x).log_prob(end.detach().clone()), expected, rtol=1e-6, atol=1e-6)


@FLOWS
def test_a_flow_owns_the_parameters_of_its_transforms_and_they_move(flow) -> None:
    flow, x = flow().double(), double(7, 4)
    before = {name: value.clone() for name, value in flow.state_dict().items()}
    of_transforms = [name for name, _ in flow.named_parameters() if not name.startswith("base.")]
    assert of_transforms
    optimizer = torch.optim.Adam(flow.parameters())
    for _ in range(2):  # what begins at zero may need two
        optimizer.zero_grad()
        q = flow(x)
        z = q.rsample()
        (q.log_prob(z) + (z - 1).square().sum(-1)).mean().backward()
        optimizer.step()
    stuck = {n for n, p in flow.named_parameters() if torch.equal(p, before[n])}
    assert not stuck


def test_without_flows_the_posterior_is_the_normal() -> None:
    normal = nn.posterior("mlp", (5, 3), 4, (6,))
    assert isinstance(normal, nn.Network) and normal.head == nn.Normal()
    with pytest.raises(InputError, match="expected flows >= 0, got -1"):
        nn.posterior("mlp", 5, 4, (6,), flows=-1)


@pytest.mark.parametrize("flows", [0, 1, 2])
@pytest.mark.usefixtures("doubles")
def test_a_posterior_has_a_row_for_each_class_and_example(flows) -> None:
    encoder = disturbed(nn.posterior("mlp", (5, 3), 4, (6,), flows=flows))
    x, y = double(7, 5), torch.eye(3, dtype=torch.float64).unsqueeze(1)
    torch.manual_seed(1)
    q = encoder(x, y)
    z = q.rsample()
    assert (q.batch_shape, q.event_shape, z.shape) == ((3, 7), (4,), (3, 7, 4))
    torch.manual_seed(1)
    of_rows = encoder(x.repeat(3, 1), torch.eye(3).double().repeat_interleave(7, 0))
    z_of_rows = of_rows.rsample()
    assert_close(z, z_of_rows.view(3, 7, 4), **TIGHT)
    assert_close(q.log_prob(z), of_rows.log_prob(z_of_rows).view(3, 7), rtol=1e-9, atol=1e-9)


def test_flows_see_the_dimensions_in_alternating_order() -> None:
    encoder = disturbed(nn.posterior("mlp", 2, 3, (), flows=2))
    for transform, corner in zip(encoder.transforms, (torch.tril, torch.triu)):
        jacobian = torch.autograd.functional.jacobian(transform, double(3))
        assert_close(jacobian, corner(jacobian), **TIGHT)
        assert corner(jacobian, 0).sum() != jacobian.diagonal().sum()


# Batch normalisation


def test_normalised_layers_are_torchs_on_flattened_rows() -> None:
    ours, theirs = nn.BatchNorm(5).double(), torch.nn.BatchNorm1d(5).double()
    h = 3 * double(4, 7, 5) + 1
    for training in (True, False):
        ours.train(training), theirs.train(training)
        assert_close(ours(h), theirs(h.reshape(28, 5)).reshape(4, 7, 5), **TIGHT)
    assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), **TIGHT)


def normalised(**layers: Any) -> nn.Network:
    return disturbed(perceptron(nn.Bernoulli(), (5, 3), 4, (6, 8), batch_norm=True, **layers))


@pytest.mark.parametrize("activation", [torch.nn.Softplus, torch.nn.ReLU])
def test_every_hidden_layer_is_normalised_before_its_activation(activation) -> None:
    layers = list(normalised(activation=activation).body.rest)
    assert [type(layer) for layer in layers] == 2 * [nn.BatchNorm, activation, torch.nn.Linear]
    assert [layer.num_features for layer in layers[::3]] == [6, 8]


@pytest.mark.parametrize("build", [
    *(lambda head=head, **layers: perceptron(head, 4, 3, (5,), **layers) for head in (
        nn.Bernoulli(), nn.Normal(), nn.Normal(0.1), nn.OneHots(), nn.Categorical(2), nn.Point(),
    )),
    lambda **layers: nn.posterior("mlp", 4, 3, (5,), flows=1, **layers),
])
def test_every_network_takes_what_its_hidden_layers_are_made_of(build) -> None:
    torch.manual_seed(0)
    plain = build()
    torch.manual_seed(0)
    other = build(activation=torch.nn.Tanh, batch_norm=True)
    kinds = [type(layer) for layer in other.modules()]
    assert torch.nn.Tanh in kinds and nn.BatchNorm in kinds and torch.nn.Softplus not in kinds
    weights = [layer.weight for layer in plain.modules() if isinstance(layer, torch.nn.Linear)]
    same = [layer.weight for layer in other.modules() if isinstance(layer, torch.nn.Linear)]
    assert all(torch.equal(*pair) for pair in zip(weights, same, strict=True))


def test_a_single_row_is_normalised_by_the_running_statistics() -> None:
    layer, h = nn.BatchNorm(5).double(), 1 + double(28, 5)
    layer(h)
    before = copy.deepcopy(layer.state_dict())
    alone = layer(h[:1])
    assert_close(dict(layer.state_dict()), before, rtol=0.0, atol=0.0)
    assert_close(alone, layer.eval()(h)[:1], **TIGHT)


def test_in_evaluation_a_class_decodes_the_same_alone_and_enumerated() -> None:
    decoder, z = normalised(), double(7, 5)
    eye = torch.eye(3, dtype=torch.float64)
    for _ in range(5):
        decoder(double(20, 5), eye.unsqueeze(1))
    decoder.eval()
    together = decoder(z, eye.unsqueeze(1)).mean
    for k in range(3):
        assert_close(together[k], decoder(z, eye[k].expand(7, 3)).mean, **TIGHT)


def test_in_training_what_the_class_adds_is_not_normalised_away() -> None:
    decoder, z = normalised(), double(50, 5)
    means = decoder(z, torch.eye(3, dtype=torch.float64).unsqueeze(1)).mean
    of_class = torch.stack([decoder(z, y.expand(50, 3)).mean
                            for y in torch.eye(3, dtype=torch.float64)])
    assert (means[0] - means[1]).abs().max() > 0.02
    assert_close(of_class[0], of_class[1], rtol=1e-6, atol=1e-6)  # class by class it would be


# Reversed gradients


def test_a_reversed_gradient_has_the_value_and_the_opposite_sign() -> None:
    x = double(7, 3).requires_grad_()
    weights = double(7, 3)
    reversed_ = nn.reverse_gradient(x)
    assert_close(reversed_, x, **TIGHT)
    (gradient,) = torch.autograd.grad((weights * reversed_.sin()).sum(), x)
    assert_close(gradient, -weights * x.cos(), **TIGHT)
