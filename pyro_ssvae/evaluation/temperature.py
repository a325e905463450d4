"""Temperatures that calibrate what a pair predicts, fitted to examples that it did not learn from.

Guo et al. (2017), On Calibration of Modern Neural Networks, section 4.2: probabilities p become
p^(1/T), normalised, of which T minimises the NLL. It is a single number, which leaves the likeliest
class as it is. Of several labels each has its own. A real number has a factor of the standard
deviation, for which the minimum is known in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_ssvae.errors import InputError
from pyro_ssvae.labels.onehots import by_label

LARGEST = 1e4  # of temperatures and of their inverses


def temperatures(predicted: Tensor, y: Tensor, sizes: Sequence[int]) -> tuple[float, ...]:
    """The temperatures of least NLL, one for each label.

    Args:
        predicted: The predictions of examples, (N, P), as :meth:`Target.predicted` gives them.
        y: Their encoded labels, (N, S), NaN where they are unknown.
        sizes: The sizes of the labels' blocks; none stands for a real number.

    Returns:
        The temperatures. One of several labels has 1 where it has no minimum.

    Raises:
        InputError: If no label is known, or no temperature of a label that stands alone is best.
    """
    if not (~y.isnan()).any():
        raise InputError(f"expected known labels to calibrate with, got none in {len(y)} examples")
    if not sizes:
        return (_factor(predicted.double(), y.double()),)
    shown = predicted.clamp_min(torch.finfo(predicted.dtype).tiny).double()  # as in `tempered`
    blocks = zip(shown.split(tuple(sizes), -1), y.double().split(tuple(sizes), -1))
    found = [_temperature(probs, labels) for probs, labels in blocks]
    if len(found) == 1 and found[0] is None:
        raise InputError(
            "expected validation examples of which some are classified wrongly, and most better"
            f" than by chance, got {len(y)} for which no temperature is best; train on, or have"
            " more of them, by validation= of from_arrays or split"
        )
    return tuple(1.0 if each is None else each for each in found)


def tempered(predicted: Tensor, sizes: Sequence[int], temperatures: Sequence[float]) -> Tensor:
    """Predictions (N, P) at these temperatures."""
    if not sizes:
        return predicted * predicted.new_tensor([1.0, *temperatures])
    each = [t for t, size in zip(temperatures, sizes, strict=True) for _ in range(size)]
    tiny = torch.finfo(predicted.dtype).tiny
    logits = predicted.clamp_min(tiny).log() / predicted.new_tensor(each)
    return by_label(lambda block: block.softmax(-1), logits, sizes)


def _temperature(probs: Tensor, y: Tensor) -> float | None:
    """The temperature of one label's probabilities (N, K) above 0; None where no one is best."""
    from scipy.optimize import brentq  # whose import takes a second

    known = ~y.isnan().any(-1)
    logits = probs[known].log()
    given = (logits * y[known]).sum(-1)

    def slope(power: float) -> float:
        """The derivative of the NLL in 1 / T, which rises with it: the NLL is convex."""
        weights = (power * logits).softmax(-1)
        return float(((weights * logits).sum(-1) - given).mean())

    if not known.any() or not slope(1 / LARGEST) < 0 < slope(LARGEST):
        return None
    return 1 / float(brentq(slope, 1 / LARGEST, LARGEST, xtol=1e-12))


def _factor(predicted: Tensor, y: Tensor) -> float:
    """The factor of standard deviations, of means and deviations (N, 2) and numbers (N, 1)."""
    known = ~y.squeeze(-1).isnan()
    mean, deviation = predicted[known].unbind(-1)
    factor = math.sqrt(float(((y[known].squeeze(-1) - mean) / deviation).square().mean()))
    if not factor:
        raise InputError("expected numbers that differ from their predictions, got none")
    return factor
