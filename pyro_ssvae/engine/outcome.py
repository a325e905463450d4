"""What a loss and its gradients came to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_ssvae import private
from pyro_ssvae.inference.objective import Loss


def to_skip(finite: Tensor) -> Tensor:
    """1.0 if not all of these booleans hold, else 0.0: whether fused optimizers skip a step."""
    return 1.0 - finite.all().float()


class Outcome(NamedTuple):
    """What a loss and its gradients came to.

    Attributes:
        total: The loss, a scalar without gradient.
        terms: Its terms by name.
        finite: (1 + P,) booleans: whether the loss and the gradient of each of P parameters are
            finite.
    """

    total: Tensor
    terms: dict[str, Tensor]
    finite: Tensor

    @classmethod
    def of(cls, loss: Loss, gradients: Sequence[Tensor]) -> Outcome:
        """That of a loss and these gradients."""
        total = loss.total.detach()
        dense = [g.coalesce().values() if g.is_sparse else g for g in gradients]
        largest = private.largest(dense) if dense else []
        return cls(total, loss.terms, torch.stack([v.isfinite() for v in (total, *largest)]))

    @property
    def losses(self) -> dict[str, Tensor]:
        """The loss and its terms, by name."""
        return {"loss": self.total, **self.terms}
