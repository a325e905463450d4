"""What a pair says of every example by itself."""

from __future__ import annotations

import pytest
import small
import torch
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae import InputError, guides, models, nn
from pyro_ssvae.evaluation import each
from pyro_ssvae.evaluation.importance import iwae
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.labels.dirichlet import LogDirichlet


def examples(rows: int = 40) -> Tensor:
    return torch.rand(rows, 4, generator=torch.Generator().manual_seed(0), dtype=torch.double)


@pytest.mark.parametrize("flows", [0, 1])
def test_bounds_are_those_of_iwae_and_do_not_depend_on_the_batch(flows: int) -> None:
    torch.manual_seed(0)
    model = models.M2(4, 3, z_dim=2, hidden=(5,))
    guide = guides.M2(model, hidden=(5,), flows=flows).double()
    model.double()
    x = examples()
    with evaluating(model, guide):
        together = each.bounds(model, guide, x, samples=4_000)
    with evaluating(model, guide):
        alone = each.bounds(model, guide, x[7:9], samples=4_000)
    with evaluating(model, guide):
        expected = iwae(model, guide, x, samples=4_000)
    assert torch.allclose(together[7:9], alone)
    assert together.shape == (40,)
    assert together.mean().item() == pytest.approx(expected, abs=0.1)


def test_labels_are_stratified() -> None:
    probs = torch.tensor([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]]).expand(16, 2, 3)
    labels = each._labels(probs, (16, 1))
    assert labels.sum(0).tolist() == [[8, 4, 4], [0, 16, 0]]


def test_a_reconstruction_is_the_mean_of_the_decoder_at_the_posterior() -> None:
    model, guide = small.pair()
    with torch.no_grad():
        for network in (guide.encoder, guide.classifier):
            for weight in network.parameters():
                weight.mul_(3)
    x = examples().float()
    with evaluating(model, guide):
        ours = each.reconstructions(model, guide, x, samples=2_000)
        total = torch.zeros_like(x)
        for k in range(3):
            y = F.one_hot(torch.tensor(k), 3).float().expand(len(x), -1)
            z = guide.encoder(x, y).sample((2_000,))
            mean = model.decoder(z, y.expand(2_000, -1, -1)).mean.mean(0)
            total += guide.classify(x).probs[:, k:k + 1] * mean
    assert torch.allclose(ours, total, atol=0.02)


@pytest.mark.parametrize("dtype", [torch.float, torch.double])
def test_an_impossible_class_is_never_drawn(monkeypatch, dtype: torch.dtype) -> None:
    probs = torch.rand(1_000, 7, generator=torch.Generator().manual_seed(0), dtype=dtype)
    probs[:, [0, -1]] = 0.0
    probs = probs / probs.sum(-1, keepdim=True)
    for end in (0.0, 1.0 - 2.0**-53):  # the ends of what torch.rand gives
        place = torch.tensor([end], dtype=torch.double)
        monkeypatch.setattr(torch, "rand", lambda *_, place=place, **__: place)
        labels = each._labels(probs, (1,))
        assert labels[:, [0, -1]].sum() == 0 and (labels.sum(-1) == 1).all()


def test_a_bound_with_class_probabilities_does_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    model = models.DirichletM2(4, 3, z_dim=2, hidden=(5,))
    guide = guides.DirichletM2(model, hidden=(5,), kappa=10.0).double()
    x = examples().expand(-1, -1)
    with evaluating(model.double(), guide):
        together = each.bounds(model, guide, x)
    with evaluating(model, guide):
        alone = each.bounds(model, guide, x[7:9])
    assert torch.allclose(together[7:9], alone)


def test_class_probabilities_of_shared_noise_have_their_own_distribution() -> None:
    torch.manual_seed(0)
    fn = LogDirichlet(torch.tensor([0.3, 1.0, 20.0])).expand((20_000, 2))
    ours, theirs = each._drawn(fn), fn.sample()
    assert torch.equal(ours[:, 0], ours[:, 1])
    for one, other in zip(ours[:, 0].exp().T, theirs[:, 0].exp().T, strict=True):
        assert one.mean().item() == pytest.approx(other.mean().item(), abs=0.005)
        assert one.std().item() == pytest.approx(other.std().item(), rel=0.05)
    assert torch.allclose(ours.logsumexp(-1), torch.zeros(20_000, 2), atol=1e-5)


def test_tokens_have_no_mean_to_reconstruct() -> None:
    model = models.M2((6,), 3, z_dim=2, hidden=(5,), likelihood=nn.Categorical(5))
    guide = guides.M2(model, hidden=(5,))
    with pytest.raises(InputError, match="with a mean, got one of tokens"):
        each.reconstructions(model, guide, torch.zeros(2, 6))
