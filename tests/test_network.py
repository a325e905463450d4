"""Networks with bodies of one's own: classes, functions, modules and places, tried out at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from pyro_ssvae import InputError, guides, models, negative_elbo, nn
from pyro_ssvae.nn.network import Plain

IMAGE, N, K = (3, 4, 4), 7, 5
TIGHT = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


class Encoder(torch.nn.Module):
    """Convolutions of an image that is the first input, and a linear map of it and of the rest."""

    def __init__(self, inputs: Sequence[tuple[int, ...]], out: tuple[int, ...]) -> None:
        super().__init__()
        (channels, height, width), *others = inputs
        self.trunk = torch.nn.Conv2d(channels, 2, 3, padding=1)
        sizes = sum(size for (size,) in others)
        self.last = torch.nn.Linear(2 * height * width + sizes, *out)
        self.rows: list[int] = []

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        assert x.dim() == 4 and all(other.dim() == 2 for other in others)
        self.rows.append(len(x))
        return self.last(torch.cat([self.trunk(x).relu().flatten(1), *others], -1))


class Decoder(torch.nn.Module):
    """A linear map of all inputs to a tensor of any shape."""

    def __init__(self, inputs: Sequence[tuple[int, ...]], out: tuple[int, ...]) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(sum(size for (size,) in inputs), nn.number(out))
        self.out = out

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.linear(torch.cat(inputs, -1)).unflatten(-1, self.out)


def linear(inputs: Sequence[tuple[int, ...]], out: tuple[int, ...]) -> torch.nn.Module:
    """A body made by a function."""
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(nn.number(inputs[0]), *out))


def classifier(body: nn.Body, shape: nn.Shape = IMAGE) -> nn.Network:
    return nn.network(body, nn.OneHots(), [shape], K, (6,))


MODULE = """
import torch
from torch import nn
class Net(nn.Sequential):
    def __init__(self, inputs, out):
        super().__init__(nn.Flatten(), nn.Linear(48, *out))
def refusing(inputs, out):
    raise RuntimeError("no weights\\nat hand")
number = 3
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a package with a good module and a broken one."""
    name = f"bodies_{tmp_path.name}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "good.py").write_text(MODULE)
    (tmp_path / name / "broken.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


# Bodies of any make


@pytest.mark.parametrize("body", [
    "mlp", Encoder, linear, Encoder([IMAGE], (K,)), linear([IMAGE], (K,)),
], ids=["name", "class", "function", "module of a class", "module of a function"])
def test_a_body_is_a_name_a_class_a_function_or_a_module(body) -> None:
    network, x = classifier(body), torch.rand(N, *IMAGE)
    raw = network.body(x)
    assert raw.shape == (N, K)
    assert_close(network(x).probs, raw.softmax(-1))
    raw.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_a_body_is_a_place(package) -> None:
    network, x = classifier(f"{package}.good:Net"), torch.rand(N, *IMAGE)
    linear = network.body.body[1]
    assert_close(network.body(x), x.flatten(1) @ linear.weight.T + linear.bias)


def test_a_module_is_kept_itself_and_not_a_copy() -> None:
    body = Encoder([IMAGE], (K,))
    assert classifier(body).body.body is body


def test_a_class_is_given_the_shapes_of_all_inputs_and_of_the_raw_numbers() -> None:
    given = []

    def body(inputs: Any, out: Any) -> torch.nn.Module:
        given.append((inputs, out))
        return Decoder(inputs, out)

    nn.network(body, nn.Normal(), (2, K), IMAGE, ())
    assert given == [(((2,), (K,)), (6, 4, 4))]


def test_pairs_take_bodies_of_ones_own() -> None:
    model = models.M2(IMAGE, K, z_dim=2, decoder=Decoder)
    guide = guides.M2(model, classifier=Encoder, encoder=Encoder)
    x = torch.rand(N, *IMAGE)
    for y in (None, torch.eye(K)[[0, 1, 2, 3, 4, 0, 1]]):
        loss = negative_elbo(model, guide, x, y)
        loss.backward()
        assert loss.isfinite()
    parameters = [*model.parameters(), *guide.parameters()]
    assert all(p.grad is not None and p.grad.any() for p in parameters)


# One batch dimension, whatever comes


def test_an_enumerated_label_meets_a_body_of_ones_own_class_by_class() -> None:
    body = Encoder([IMAGE, (K,)], (4,)).double()
    network = nn.network(body, nn.Normal(), [IMAGE, K], 2, ()).double()
    x, eye = torch.randn(N, *IMAGE).double(), torch.eye(K).double()
    body.rows.clear()
    found = network.body(x, eye.unsqueeze(1))
    assert found.shape == (K, N, 4) and body.rows == [K * N]
    for k in range(K):
        assert_close(found[k], body(x, eye[k].expand(N, K)), **TIGHT)
    q = network(x, eye.unsqueeze(1))
    assert (q.batch_shape, q.event_shape) == ((K, N), (2,))


def test_any_leading_dimensions_are_those_of_what_comes_out() -> None:
    plain = Plain(Decoder([(2,), (K,)], IMAGE), [2, K])
    z, y = torch.randn(6, 1, N, 2), torch.randn(K, 1, K)
    found = plain(z, y)
    assert found.shape == (6, K, N, *IMAGE)
    assert_close(found[4, 3], plain.body(z[4, 0], y[3].expand(N, K)))
    assert plain(z[0, 0], torch.randn(N, K)).shape == (N, *IMAGE)


def test_a_body_that_says_so_sees_its_inputs_as_they_come() -> None:
    class Broadcasting(torch.nn.Module):
        broadcasts = True

        def __init__(self, inputs: Any, out: Any) -> None:
            super().__init__()
            self.shapes: list[tuple[int, ...]] = []

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            self.shapes = [tuple(x.shape), tuple(y.shape)]
            return x.sum((-1, -2)) + y.sum(-1, keepdim=True)

    network = nn.network(Broadcasting, nn.Point(), [IMAGE, K], 3, ())
    assert isinstance(network.body, Broadcasting)
    network(torch.zeros(N, *IMAGE), torch.zeros(K, 1, K))
    assert network.body.shapes == [(N, *IMAGE), (K, 1, K)]


# The trial


class Normalised(torch.nn.Module):
    """A body with running statistics and noise, both of training alone."""

    def __init__(self, inputs: Any, out: Any) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.BatchNorm2d(3), torch.nn.Dropout(0.5), torch.nn.Flatten(),
            torch.nn.Linear(48, *out),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + 0 * torch.rand(())


@pytest.mark.parametrize("training", [True, False])
def test_the_trial_leaves_a_module_and_the_random_state_as_they_were(training) -> None:
    body = Normalised([IMAGE], (K,)).train(training)
    before = {name: value.clone() for name, value in body.state_dict().items()}
    random = torch.get_rng_state()
    network = classifier(body)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in body.state_dict().items())
    assert all(module.training is training for module in body.modules())
    assert all(p.grad is None for p in network.parameters())


def test_parts_of_a_module_that_are_fixed_in_evaluation_stay_so() -> None:
    body = Normalised([IMAGE], (K,))
    body.layers[0].eval()
    classifier(body)
    assert body.training and body.layers[1].training and not body.layers[0].training


def test_a_module_is_tried_in_its_own_precision() -> None:
    network = classifier(Encoder([IMAGE], (K,)).double())
    assert network.body(torch.rand(N, *IMAGE).double()).dtype == torch.float64


def constant(result: Any) -> type[torch.nn.Module]:
    class Constant(torch.nn.Module):
        def __init__(self, inputs: Any, out: Any) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Any:
            return result(x)

    return Constant


@pytest.mark.parametrize("result, message", [
    (lambda x: x.flatten(1), r"expected \(5,\) for inputs of \(3, 4, 4\), got \(48,\)"),
    (lambda x: x, r"expected \(5,\) for inputs of \(3, 4, 4\), got \(3, 4, 4\)"),
    (lambda x: x.sum((1, 2, 3)), r"expected \(5,\) for inputs of \(3, 4, 4\), got \(\)"),
    (lambda x: x.sum(), "network Constant: expected one that takes .* got "),
    (lambda x: x.flatten()[:5], "network Constant: expected .* got "),
    (lambda x: (x, x), "got TypeError: a tuple in place of a tensor"),
    (lambda x: None, "got TypeError: a NoneType in place of a tensor"),
])
def test_what_gives_other_numbers_is_named_with_both_shapes(result, message) -> None:
    with pytest.raises(InputError, match=message) as raised:
        classifier(constant(result))
    assert "network Constant: " in str(raised.value) and "\n" not in str(raised.value)


def test_a_decoder_for_other_images_is_named_with_both_shapes() -> None:
    with pytest.raises(
        InputError,
        match=r"network Decoder: expected \(6, 4, 4\) for inputs of \(2,\) and \(5,\), got"
              r" \(3, 4, 4\)",
    ):
        nn.network(Decoder([(2,), (K,)], IMAGE), nn.Normal(), (2, K), IMAGE, ())


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 5, 5), 48])
def test_a_body_that_fails_on_its_input_is_named_with_what_it_should_take(shape) -> None:
    body = Encoder([IMAGE], (K,))
    wanted = str(nn.as_shape(shape)).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(
        InputError, match=rf"network Encoder: expected one that takes {wanted} .* got .*Error: "
    ) as raised:
        classifier(body, shape)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("body, message", [
    ("mpl", "unknown network 'mpl': expected one of .*; did you mean 'mlp'"),
    ("no_such_package.nets:Net", "no_such_package.nets:Net: .*ModuleNotFoundError: No module"),
    ("{package}.good:net", "unknown network of .*good 'net': .*did you mean 'Net'"),
    ("{package}.good:number", "good:number: expected a network, got int of that name"),
    ("{package}.good:refusing", "network .*good:refusing: .* got RuntimeError: no weights at hand"),
    ("{package}.broken:Net", "broken:Net: expected a module that can be imported, got SyntaxError"),
    (lambda inputs, out: 3, "expected a torch.nn.Module, got 3"),
    (lambda inputs: None, "TypeError: .*positional argument"),
    (Exception, "network Exception: expected a torch.nn.Module, got Exception"),
    (3, "network int: .*TypeError: 'int' object is not callable"),
])
def test_what_makes_no_body_is_refused_in_one_line(body, message, package) -> None:
    if isinstance(body, str):
        body = body.format(package=package)
    with pytest.raises(InputError, match=message) as raised:
        classifier(body)
    assert "\n" not in str(raised.value)


def test_a_likelihood_may_be_given_by_its_text() -> None:
    made = nn.network("mlp", "normal:0.3", 4, 2, ())
    assert made.head == nn.Normal(0.3)
    with pytest.raises(InputError, match="unknown likelihood 'normale'.*normal"):
        nn.network("mlp", "normale", 4, 2, ())


@pytest.mark.parametrize("head", [None, 3, nn.OneHots])
def test_what_is_no_head_is_refused(head) -> None:
    with pytest.raises(InputError, match=r"expected a head such as nn.Bernoulli\(\), got"):
        nn.network("mlp", head, 4, K, ())


def test_the_width_of_a_convolution_is_part_of_its_name() -> None:
    made = nn.network("conv:6", nn.OneHots(), [(2, 8, 8)], 3, (5,))
    first = next(each for each in made.modules() if isinstance(each, torch.nn.Conv2d))
    assert first.out_channels == 6


@pytest.mark.parametrize("name, message", [
    ("conv:", "network conv:: expected a whole number of filters, got ''"),
    ("conv:0", "expected width > 0, got 0"),
    ("mlp:6", "unknown network 'mlp:6': expected one of MODULE:NAME, conv, conv:WIDTH, mlp, wrn"),
])
def test_other_widths_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        nn.network(name, nn.OneHots(), [(2, 8, 8)], 3, (5,))
