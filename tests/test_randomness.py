"""Random numbers from a seed: of the devices that are concerned, which are then as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import small
import torch

from pyro_ssvae import check
from pyro_ssvae.data import Split
from pyro_ssvae.experiments import prepared
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.system import randomness
from pyro_ssvae.training.noise import torch_noise


@contextmanager
def no_other_gpu() -> Iterator[None]:
    """Fail where all GPUs are seeded, as torch.manual_seed does it."""
    def seed_all(seed: int) -> None:
        raise AssertionError("all GPUs were seeded")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "manual_seed_all", seed_all)
        yield


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
def test_on_a_cpu_they_are_those_of_manual_seed(seed: int) -> None:
    torch.manual_seed(seed)
    expected = torch.rand(3), torch.randn(3), torch.initial_seed()
    with randomness.seeded(seed, []):
        came = torch.rand(3), torch.randn(3), torch.initial_seed()
    assert torch.equal(came[0], expected[0]) and torch.equal(came[1], expected[1])
    assert came[2] == expected[2]


def test_the_random_state_is_left_as_it_was() -> None:
    before = torch.get_rng_state()
    with pytest.raises(KeyError), randomness.seeded(1, []):
        torch.rand(3)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)


def test_a_module_on_the_cpu_is_on_no_gpu() -> None:
    assert randomness.gpus(small.pair()) == []


def test_training_noise_and_evaluation_seed_no_gpu_but_their_own() -> None:
    model, guide = small.pair()
    with no_other_gpu(), torch_noise(model, 3, {}) as state:
        noise = state()["cpu"]
    with no_other_gpu(), evaluating(model, guide, seed=3):
        assert torch.equal(torch.get_rng_state(), noise)


def test_a_check_seeds_no_gpu_but_its_own() -> None:
    model, guide = small.pair()
    with no_other_gpu():
        check(model, guide, torch.rand(3, 4), torch.eye(3))


def test_weights_are_drawn_without_seeding_other_gpus(split: Split) -> None:
    before, options = torch.get_rng_state(), {"hidden": (4,)}
    with no_other_gpu():
        run = prepared.prepare("m2", split, "nowhere", options=options, device="cpu", seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    again = small.objective("m2", split, seed=3, z_dim=run.objective.model.z_dim, **options)
    assert all(map(torch.equal, run.objective.parameters(), again.parameters()))


@pytest.mark.skipif(torch.cuda.device_count() < 1, reason="needs a GPU")
def test_a_gpu_that_is_concerned_is_seeded_and_put_back() -> None:
    gpu = torch.device("cuda", 0)
    torch.manual_seed(5)
    expected, _ = torch.rand(3, device=gpu), torch.cuda.manual_seed_all(9)
    before = torch.cuda.get_rng_state(gpu)
    with randomness.seeded(5, [gpu]):
        assert torch.equal(torch.rand(3, device=gpu), expected)
    assert torch.equal(torch.cuda.get_rng_state(gpu), before)
    with randomness.seeded(5, []):
        assert torch.equal(torch.cuda.get_rng_state(gpu), before)
