"""WideResNet-28-2 against the papers' numbers, and as a body like any other."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from pyro_ssvae import InputError, nn, private
from pyro_ssvae.nn import wide_resnet
from pyro_ssvae.nn.wide_resnet import Block


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def shallow(monkeypatch) -> None:
    """A tenth of its depth and of its width, for what does not depend on them."""
    monkeypatch.setattr(wide_resnet, "FILTERS", (4, 5, 6))
    monkeypatch.setattr(wide_resnet, "BLOCKS", 1)


def counted(body: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in body.parameters())


def test_it_has_as_many_weights_as_the_papers_have() -> None:
    def block(before: int, after: int) -> int:
        shortcut = before * after if before != after else 0
        return 2 * before + 9 * before * after + 2 * after + 9 * after * after + shortcut

    groups = [(16, 32), (32, 64), (64, 128)]
    expected = 9 * 3 * 16 + 2 * 128 + (128 + 1) * 10
    expected += sum(block(before, after) + 3 * block(after, after) for before, after in groups)
    assert counted(nn.WideResNet([(3, 32, 32)], 10)) == expected == 1_467_610


def test_it_has_28_layers_and_halves_images_twice() -> None:
    trunk = nn.WideResNet([(3, 32, 32)], 10).trunks["0"]
    convolutions = [part for part in trunk.modules() if isinstance(part, torch.nn.Conv2d)]
    shortcuts = [part for part in convolutions if part.kernel_size == (1, 1)]
    assert len(convolutions) - len(shortcuts) + 3 == 28  # the papers count shortcuts, not the last
    assert trunk.layers[:-2](torch.zeros(1, 3, 32, 32)).shape == (1, 128, 8, 8)


@pytest.mark.parametrize(("before", "stride"), [(3, 1), (2, 2)], ids=["same", "another size"])
def test_a_block_adds_two_convolutions_of_what_is_activated(before, stride) -> None:
    block, x = Block(before, 3, stride, momentum=0.1).double().eval(), torch.randn(2, before, 6, 5)

    def active(x: Tensor) -> Tensor:
        return F.leaky_relu(x / (1 + 1e-5)**0.5, 0.1)

    x = x.double()
    first, second = (part for part in block.rest if isinstance(part, torch.nn.Conv2d))
    inner = F.conv2d(active(x), first.weight, stride=stride, padding=1)
    rest = F.conv2d(active(inner), second.weight, padding=1)
    around = x if stride == 1 else F.conv2d(active(x), block.shortcut.weight, stride=stride)
    assert_close(block(x), around + rest, rtol=1e-10, atol=1e-10)


def test_weights_are_drawn_as_he_et_al_draw_them() -> None:
    trunk = nn.WideResNet([(3, 32, 32)], 10).trunks["0"]
    for part in trunk.modules():
        if isinstance(part, torch.nn.Conv2d) and part.weight.numel() > 10_000:
            fan_out = part.out_channels * part.kernel_size[0]**2
            assert_close(part.weight.std().item(), (2 / fan_out)**0.5, rtol=0.05, atol=0.0)


def test_features_are_means_of_maps(shallow) -> None:
    body, x = nn.WideResNet([(3, 8, 8)], 2).double().eval(), torch.rand(4, 3, 8, 8).double()
    maps = body.trunks["0"].layers(x)
    assert maps.shape == (4, 6, 2, 2)
    assert_close(body(x), body.dense(maps.flatten(2).mean(-1)))


def test_an_enumerated_label_meets_it_behind_the_trunk(shallow) -> None:
    body, classes = nn.WideResNet([(1, 9, 6), 3], (2, 9, 6), hidden=(5,)).eval(), torch.eye(3)
    x, calls = torch.rand(4, 1, 9, 6), []
    body.trunks["0"].register_forward_hook(lambda trunk, given, out: calls.append(out.shape))
    together = body(x, classes.unsqueeze(1))
    assert calls == [(4, 6)]
    one_by_one = [body(x, each.expand(4, 3)) for each in classes]
    assert_close(together, torch.stack(one_by_one), rtol=1e-4, atol=1e-5)


def test_the_momentum_is_that_of_the_statistics(shallow) -> None:
    body = nn.WideResNet([(1, 5, 5)], 2, momentum=1.0)
    x = torch.rand(5, 1, 5, 5)
    body(x)
    norm = body.trunks["0"].layers[1].activation[0]
    maps = body.trunks["0"].layers[0](x)
    assert_close(norm.running_mean, maps.mean((0, 2, 3)))


def test_it_is_traced(shallow) -> None:
    body, x = nn.WideResNet([(1, 6, 5)], 2).double(), torch.rand(3, 1, 6, 5).double()

    def function(x: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(body(x).square().sum(), list(body.parameters())))

    graph, other = private.traced(function, [x]), torch.rand(3, 1, 6, 5).double()
    for found, expected in zip(graph(other), function(other), strict=True):
        assert_close(found, expected, rtol=1e-8, atol=1e-10)


def test_an_image_of_other_channels_is_refused_with_both_shapes(shallow) -> None:
    with pytest.raises(InputError, match=r"\(\.\.\., 3, 8, 8\), got \(2, 1, 8, 8\)"):
        nn.WideResNet([(3, 8, 8)], 2)(torch.rand(2, 1, 8, 8))


def test_an_image_that_leaves_a_pixel_to_normalise_is_refused(shallow) -> None:
    with pytest.raises(InputError, match="at least 5 x 5 pixels for a wide residual network"):
        nn.WideResNet([(1, 4, 8)], 2)
    one = nn.WideResNet([(1, 5, 5)], 2).train()(torch.rand(1, 1, 5, 5))
    assert one.isfinite().all()
