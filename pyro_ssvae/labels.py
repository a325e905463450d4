"""Labels as random variables: one-hot vectors of one label or several, known, unknown, relaxed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from pyro import distributions as dist
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Size, Tensor, nn
from torch.distributions import constraints, register_kl
from torch.nn import functional as F

from pyro_ssvae.errors import InputError, one_of, positive

Inference = Literal["enumerated", "relaxed", "straight-through"]
MAX_COMBINATIONS = 100_000


def _expected_log_prob(y: Tensor, logits: Tensor) -> Tensor:
    """E_y log p for one-hot or soft labels y; a block that is NaN, unknown, counts nothing."""
    return (torch.where(y.isnan(), 0.0, y) * logits).sum(-1)


class OneHots(TorchDistribution):
    """Independent categorical labels, their one-hot vectors concatenated.

    Its ``log_prob`` is linear in the value: that of a relaxed or soft label is the expected
    ``log p`` under it. The block of a label that is NaN, unknown, counts nothing.

    Args:
        logits: (..., S), normalised here, block by block.
        sizes: classes of each label, summing to S; None stands for a single label of S classes.
    """

    arg_constraints = {"logits": constraints.real_vector}
    support = constraints.independent(constraints.unit_interval, 1)
    has_enumerate_support = True

    def __init__(
        self,
        logits: Tensor,
        sizes: Sequence[int] | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.sizes = tuple(logits.shape[-1:] if sizes is None else sizes)
        blocks = logits.split(self.sizes, dim=-1)
        normalised = torch.cat([block.log_softmax(-1) for block in blocks], dim=-1)
        # Finite, so that an impossible class counts 0 * log 0 = 0, without a NaN in a gradient.
        self.logits = normalised.clamp_min(torch.finfo(logits.dtype).min)
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=validate_args)

    @property
    def probs(self) -> Tensor:
        """(..., S) probabilities of the classes, label by label."""
        return self.logits.exp()

    @property
    def mean(self) -> Tensor:
        return self.probs

    def expand(self, batch_shape: Size, _instance: Any = None) -> OneHots:
        return type(self)(
            self.logits.expand(Size(batch_shape) + self.event_shape), self.sizes,
            validate_args=False,
        )

    def sample(self, sample_shape: Size = Size()) -> Tensor:
        blocks = [
            torch.distributions.OneHotCategorical(logits=block, validate_args=False)
            for block in self.logits.split(self.sizes, dim=-1)
        ]
        return torch.cat([block.sample(sample_shape) for block in blocks], dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        return _expected_log_prob(value, self.logits)

    def entropy(self) -> Tensor:
        return -(self.probs * self.logits).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Every combination of classes, (prod(sizes), ..., S)."""
        if (number := math.prod(self.sizes)) > MAX_COMBINATIONS:
            raise InputError(
                f'label_inference="enumerated" and labels of sizes {self.sizes}: expected at most'
                f' {MAX_COMBINATIONS} combinations, got {number}; use label_inference="relaxed"'
            )
        device = self.logits.device  # what is made elsewhere cannot be part of a CUDA graph
        index = torch.cartesian_prod(*(torch.arange(size, device=device) for size in self.sizes))
        columns = index.reshape(number, -1).unbind(-1)
        values = torch.cat([F.one_hot(i, k) for i, k in zip(columns, self.sizes)], dim=-1)
        values = values.to(self.logits).reshape(number, *(1,) * len(self.batch_shape), -1)
        return values.expand(number, *self.batch_shape, -1) if expand else values


class RelaxedOneHots(TorchDistribution):
    """Labels relaxed to the inside of the simplex: samples that gradients pass through.

    Jang et al. (2017), Categorical Reparameterization with Gumbel-Softmax. The relaxation serves
    the sample alone: ``log_prob`` is that of :class:`OneHots`, and the KL divergence is the
    categorical's. The Concrete density compares with no probability of a class: their difference
    bounds nothing.

    Args:
        labels: the labels, :class:`OneHots` or ``OneHotCategorical``.
        temperature: of the relaxation; towards 0 samples become one-hot, gradients noisy.
        hard: one-hot samples with the gradient of relaxed ones ("straight-through").
    """

    arg_constraints: dict[str, Any] = {}
    support = constraints.independent(constraints.unit_interval, 1)
    has_rsample = True

    def __init__(
        self, labels: Any, temperature: float, hard: bool = False, validate_args: bool | None = None
    ) -> None:
        self.labels, self.temperature, self.hard = labels, temperature, hard
        self.logits: Tensor = labels.logits
        super().__init__(labels.batch_shape, labels.event_shape, validate_args=False)

    def expand(self, batch_shape: Size, _instance: Any = None) -> RelaxedOneHots:
        return type(self)(self.labels.expand(batch_shape), self.temperature, self.hard)

    def rsample(self, sample_shape: Size = Size()) -> Tensor:
        sizes: tuple[int, ...] = getattr(self.labels, "sizes", tuple(self.event_shape))
        logits = self.logits.expand(Size(sample_shape) + self.logits.shape)
        return torch.cat([
            F.gumbel_softmax(block, self.temperature, self.hard)
            for block in logits.split(sizes, dim=-1)
        ], dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        return _expected_log_prob(value, self.logits)


class TopClasses(TorchDistribution):
    """A label restricted to its k likeliest classes, renormalised.

    A guide that enumerates it sums over k classes, those of each row, instead of K. It is a guide
    like any other, so the bound is one: only looser than with all classes, by what the posterior
    gives to the others.

    Args:
        logits: (..., K).
        top: k, cut at K.
    """

    arg_constraints = {"logits": constraints.real_vector}
    support = constraints.independent(constraints.unit_interval, 1)
    has_enumerate_support = True

    def __init__(self, logits: Tensor, top: int, validate_args: bool | None = None) -> None:
        self.top = min(top, logits.shape[-1])
        kept, self.classes = logits.topk(self.top, dim=-1)
        impossible = torch.full_like(logits, torch.finfo(logits.dtype).min)
        self.logits = impossible.scatter(-1, self.classes, kept.log_softmax(-1))
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=validate_args)

    @property
    def probs(self) -> Tensor:
        """(..., K) probabilities of the classes, 0 for all but k."""
        return self.logits.exp()

    def expand(self, batch_shape: Size, _instance: Any = None) -> TopClasses:
        logits = self.logits.expand(Size(batch_shape) + self.event_shape)
        return type(self)(logits, self.top, validate_args=False)

    def sample(self, sample_shape: Size = Size()) -> Tensor:
        return dist.OneHotCategorical(logits=self.logits, validate_args=False).sample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return _expected_log_prob(value, self.logits)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """The k classes of each row, the likeliest first, one-hot (k, ..., K)."""
        each = torch.eye(self.event_shape[0], dtype=self.logits.dtype, device=self.logits.device)
        return each[self.classes].movedim(-2, 0)


def _categorical_kl(q: Any, p: Any) -> Tensor:
    return (q.logits.exp() * (q.logits - p.logits)).sum(-1)


for _q in (OneHots, RelaxedOneHots, dist.OneHotCategorical):
    register_kl(_q, OneHots)(_categorical_kl)
register_kl(RelaxedOneHots, dist.OneHotCategorical)(_categorical_kl)


class LabelPrior(nn.Module):
    """p(y) over one-hot labels: uniform, fixed or learned.

    Args:
        sizes: classes of each label.
        probs: probabilities of the classes of all labels, one label after the other; None is
            uniform.
        learned: train them, from ``probs`` on.
    """

    def __init__(
        self, *sizes: int, probs: Sequence[float] | None = None, learned: bool = False
    ) -> None:
        super().__init__()
        positive(**{f"classes of label {i}": size for i, size in enumerate(sizes)})
        self.sizes = sizes
        values = torch.ones(sum(sizes)) if probs is None else torch.tensor(tuple(probs))
        if values.shape != (sum(sizes),) or not ((values > 0) & values.isfinite()).all():
            raise InputError(
                f"expected {sum(sizes)} class probabilities above 0, got {probs}"
            )
        rarest = [block.min() / block.sum() for block in values.split(sizes)]
        self.largest_kl = -math.fsum(math.log(share) for share in rarest)  # sum_j log k_j: uniform
        if learned:
            self.logits = nn.Parameter(values.log())
        else:
            self.register_buffer("logits", values.log(), persistent=False)

    def forward(self, like: Tensor) -> OneHots:
        """p(y), of the type of ``like`` and on its device."""
        return OneHots(self.logits.to(like), self.sizes)


class LabelInference(nn.Module):
    """How a guide infers labels that are not given, from what its classifier says.

    Args:
        how: ``"enumerated"`` sums over all combinations of classes exactly; ``"relaxed"`` and
            ``"straight-through"`` take one sample that gradients pass through, at a cost that does
            not depend on their number, with the categorical KL divergence. The relaxed
            reconstruction is that of a soft label, so the bound is approximate; a trained guide
            is evaluated with samples of the categorical itself.
        temperature: of the relaxation.
        top: classes of a single label that are summed over in training, the likeliest ones, see
            :class:`TopClasses`; None is all.
    """

    def __init__(self, how: Inference, temperature: float, top: int | None = None) -> None:
        super().__init__()
        one_of("label_inference", how, get_args(Inference))
        positive(temperature=temperature)
        if top is not None:
            positive(top_classes=top)
            if how != "enumerated":
                raise InputError(
                    f"top_classes={top} and label_inference={how!r}: a relaxed label is one sample"
                    ' and sums over no class; use label_inference="enumerated"'
                )
        self.how, self.temperature, self.top = how, temperature, top

    def forward(self, labels: Any) -> Any:
        """The distribution of the guide's site, for labels as the classifier gives them."""
        if not self.training:
            return labels
        if self.how == "enumerated":
            return labels if self.top is None else TopClasses(labels.logits, self.top)
        return RelaxedOneHots(labels, self.temperature, hard=self.how == "straight-through")

    @property
    def infer(self) -> dict[str, Any]:
        """The ``infer`` argument of the guide's site."""
        return {"enumerate": "parallel"} if self.how == "enumerated" else {}


def completed(y: Tensor, q: Any) -> OneHots:
    """The labels of y (N, S) that are given, and q where a block is NaN, unknown."""
    logits = torch.where(y.isnan(), q.logits, y.log())
    return OneHots(logits, getattr(q, "sizes", None))


def label_divergence(q: Any, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """KL[p(y) || q(y)] from given labels to inferred ones, (N,), a sum over the labels.

    Args:
        q: what ``guide.classify`` returns.
        y: (N, S) one-hot, the block of an unknown label NaN; unknown labels count nothing.
        smoothing: this share of p(y) is spread evenly over the classes.
    """
    if smoothing == 0:
        return -_expected_log_prob(y, q.logits)
    total = y.new_zeros(y.shape[:-1])
    sizes = getattr(q, "sizes", y.shape[-1:])
    for given, logits in zip(y.split(sizes, dim=-1), q.logits.split(sizes, dim=-1)):
        p = (1 - smoothing) * given.nan_to_num(1 / given.shape[-1]) + smoothing / given.shape[-1]
        divergence = (p * (p.log() - logits)).sum(-1)
        total = total + torch.where(given.isnan().any(-1), 0.0, divergence)
    return total
