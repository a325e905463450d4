"""Labels: their distributions, their prior, and how guides infer them."""

from pyro_ssvae.labels.dirichlet import ExpectedLogDirichlet, Label, LogDirichlet
from pyro_ssvae.labels.given import completed, label_divergence
from pyro_ssvae.labels.inference import (
    Enumerated,
    Inference,
    LabelInference,
    Relaxed,
    StraightThrough,
)
from pyro_ssvae.labels.onehots import MAX_COMBINATIONS, OneHots, onehot
from pyro_ssvae.labels.prior import LabelPrior
from pyro_ssvae.labels.relaxed import RelaxedOneHots
from pyro_ssvae.labels.restricted import Restricted, set_divergence
from pyro_ssvae.labels.top import TopClasses

__all__ = [
    "MAX_COMBINATIONS", "Enumerated", "ExpectedLogDirichlet", "Inference", "Label",
    "LabelInference", "LabelPrior", "LogDirichlet", "OneHots", "Relaxed", "RelaxedOneHots",
    "Restricted", "StraightThrough", "TopClasses", "completed", "label_divergence", "onehot",
    "set_divergence",
]
