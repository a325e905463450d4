"""Scores of predicted probabilities, of one class or of several labels.

Every score takes probabilities ``probs`` (N, K) and one-hot labels ``y`` (N, K). Several labels are
one-hot blocks side by side, of the sizes that :attr:`pyro_ssvae.targets.Target.sizes` gives and the
argument ``sizes`` takes; without it there is one block. A block of y that is NaN is an unknown
label, which no score counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pyro_ssvae.errors import InputError

Blocks = list[tuple[Tensor, Tensor, Tensor]]  # probs (N, k), y (N, k) and known (N,) of each label


def accuracy(probs: Tensor, y: Tensor, sizes: Sequence[int] | None = None) -> float:
    """Fraction of the known labels whose likeliest class is theirs.

    Of one block that is the fraction of right examples, of several 1 minus the Hamming loss.

    Example:
        >>> import torch
        >>> from pyro_ssvae.targets.metrics import accuracy
        >>> accuracy(torch.tensor([[0.9, 0.1], [0.6, 0.4]]), torch.eye(2))
        0.5
    """
    right, known = _right(_blocks(probs, y, sizes))
    return right[known].double().mean().item()


def nll(probs: Tensor, y: Tensor, sizes: Sequence[int] | None = None) -> float:
    """Negative log-likelihood of an example's known labels, in nats: a sum, averaged over examples.

    A probability of zero counts as the smallest normal number of its type.

    Example:
        >>> import torch
        >>> from pyro_ssvae.targets.metrics import nll
        >>> round(nll(torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])), 4)
        0.6931
    """
    tiny = torch.finfo(probs.dtype).tiny
    return _mean_of_sums(probs, y, sizes, lambda p, t: -(p * t).sum(-1).clamp_min(tiny).log())


def brier(probs: Tensor, y: Tensor, sizes: Sequence[int] | None = None) -> float:
    """Squared distance between probabilities and an example's known labels, averaged over examples.

    0 at best, 2 for each label at worst. Brier (1950), Verification of forecasts expressed in
    terms of probability, eq. 2.

    Example:
        >>> import torch
        >>> from pyro_ssvae.targets.metrics import brier
        >>> brier(torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]]))
        0.5
    """
    return _mean_of_sums(probs, y, sizes, lambda p, t: (p - t).square().sum(-1))


def ece(
    probs: Tensor, y: Tensor, sizes: Sequence[int] | None = None, bins: int = 15
) -> float:
    """Expected calibration error, 0 to 1, over equally wide bins of the highest probability.

    All known labels count alike. Guo et al. (2017), On Calibration of Modern Neural Networks,
    section 2.
    """
    confidence, right, count = calibration(probs, y, sizes, bins)
    gaps = torch.where(count > 0, (right - confidence).abs() * count, 0.0)
    return (gaps.sum() / count.sum()).item()


def calibration(
    probs: Tensor, y: Tensor, sizes: Sequence[int] | None = None, bins: int = 15
) -> tuple[Tensor, Tensor, Tensor]:
    """Confidence and accuracy in equally wide bins of the highest probability, over 0 to 1.

    All known labels count alike.

    Returns:
        Of each bin (bins,): the mean confidence and the fraction that is right, NaN where it is
        empty, and the number of labels in it.
    """
    blocks = _blocks(probs, y, sizes)
    right, known = _right(blocks)
    confidence = torch.stack([p.double().amax(-1) for p, _, _ in blocks], dim=1)[known]
    index = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    totals = torch.zeros(3, bins, dtype=torch.double, device=probs.device)
    values = torch.stack([confidence, right[known].double(), torch.ones_like(confidence)])
    totals.index_add_(1, index, values)
    confidences, rights, count = totals
    return confidences / count, rights / count, count


def macro_f1(probs: Tensor, y: Tensor, sizes: Sequence[int] | None = None) -> float:
    """F1 of every label over the examples where it is known, averaged over the labels.

    A binary label's F1 is that of its presence, and 0 where it is neither there nor predicted;
    of more classes it is the mean of those that are there or predicted. Labels that are known
    nowhere are left out.
    """
    from sklearn.metrics import f1_score  # here, for it takes two seconds to import

    values = [
        f1_score(
            t[known].argmax(-1).cpu().numpy(), p[known].argmax(-1).cpu().numpy(),
            average="binary" if t.shape[1] == 2 else "macro", zero_division=0.0,
        )
        for p, t, known in _blocks(probs, y, sizes) if known.any()
    ]
    return float(sum(values) / len(values))


def subset_accuracy(probs: Tensor, y: Tensor, sizes: Sequence[int] | None = None) -> float:
    """Fraction of the examples with known labels that have all of them right."""
    right, known = _right(_blocks(probs, y, sizes))
    return (right | ~known).all(dim=1)[known.any(dim=1)].double().mean().item()


def scores(probs: Tensor, y: Tensor, sizes: Sequence[int] | None = None) -> dict[str, float]:
    """Accuracy, NLL, Brier score and ECE by name; of several labels these and the other two."""
    chosen = [accuracy, nll, brier, ece]
    if sizes is not None and len(sizes) > 1:
        chosen += [macro_f1, subset_accuracy]
    return {score.__name__: score(probs, y, sizes) for score in chosen}


def _blocks(probs: Tensor, y: Tensor, sizes: Sequence[int] | None) -> Blocks:
    sizes = [y.shape[-1]] if sizes is None else list(sizes)
    if probs.shape != y.shape or sum(sizes) != y.shape[-1]:
        raise InputError(
            f"expected probabilities and labels of shape (N, {sum(sizes)}) for blocks of sizes"
            f" {tuple(sizes)}, got {tuple(probs.shape)} and {tuple(y.shape)}"
        )
    pairs = zip(probs.split(sizes, dim=-1), y.split(sizes, dim=-1))
    blocks = [(p, t, ~t.isnan().any(dim=-1)) for p, t in pairs]
    if not any(known.any() for _, _, known in blocks):
        raise InputError(f"expected a known label to score, got none in {len(y)} examples")
    return blocks


def _right(blocks: Blocks) -> tuple[Tensor, Tensor]:
    """Whether the likeliest class is the label's, and whether that is known: both (N, L)."""
    right = torch.stack([p.argmax(-1) == t.argmax(-1) for p, t, _ in blocks], dim=1)
    return right, torch.stack([known for _, _, known in blocks], dim=1)


def _mean_of_sums(
    probs: Tensor,
    y: Tensor,
    sizes: Sequence[int] | None,
    score: Callable[[Tensor, Tensor], Tensor],
) -> float:
    """Sum over an example's known labels, mean over the examples that have one."""
    blocks = _blocks(probs, y, sizes)
    # where, not nansum: NaN probabilities are to show.
    terms = torch.stack([torch.where(known, score(p, t), 0.0) for p, t, known in blocks], dim=1)
    labelled = torch.stack([known for _, _, known in blocks], dim=1).any(dim=1)
    return terms.sum(dim=1)[labelled].double().mean().item()
