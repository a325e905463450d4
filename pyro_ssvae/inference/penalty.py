"""The penalty of a classifier's weights: q(y | x) of few labelled examples is kept from excess."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyro_ssvae.contract import Batch
from pyro_ssvae.inference.terms import Scalar


def penalty(model: Any, guide: Any, batch: Batch, epoch: Scalar) -> Tensor:
    """Half the sum of the squares of the weights of ``guide.classifier``, its biases left out.

    Beside ``alpha`` times the classification loss, a mean over examples, a weight w of it is -log
    of a normal prior of the weights, as of ridge regression: on n labelled examples it has the
    strength C = alpha / (w n) of scikit-learn's. It depends on no example and is no part of an
    ELBO, which has no prior of its networks' weights.
    """
    weights = [p for p in guide.classifier.parameters() if p.dim() > 1]
    return 0.5 * torch.stack([weight.square().sum() for weight in weights]).sum()
