"""Semi-supervised variational autoencoders as Pyro model/guide pairs."""

from pyro_ssvae.aggressive import AggressiveInference
from pyro_ssvae.elbo import TraceEnumKL_ELBO
from pyro_ssvae.ensemble import fit_ensemble
from pyro_ssvae.errors import InputError, NonFiniteLossError
from pyro_ssvae.evaluation import evaluate
from pyro_ssvae.objective import Loss, Objective, negative_elbo
from pyro_ssvae.training import EarlyStopping, Epoch, fit

__version__ = "0.1.0"

__all__ = [
    "AggressiveInference", "EarlyStopping", "Epoch", "InputError", "Loss", "NonFiniteLossError",
    "Objective", "TraceEnumKL_ELBO", "evaluate", "fit", "fit_ensemble", "negative_elbo",
]
