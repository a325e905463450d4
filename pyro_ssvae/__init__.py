"""Semi-supervised variational autoencoders as Pyro model/guide pairs.

What is named here is imported when it is first asked for (PEP 562): torch and Pyro take seconds,
which ``pyro-ssvae --help`` needs not wait for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyro_ssvae import data, guides, models, nn
    from pyro_ssvae.errors import InputError, NonFiniteLossError
    from pyro_ssvae.estimators import SemiSupervisedVAEClassifier, SemiSupervisedVAERegressor
    from pyro_ssvae.evaluation.evaluate import evaluate
    from pyro_ssvae.experiments.pairs import pair
    from pyro_ssvae.inference.bounds import negative_elbo
    from pyro_ssvae.inference.check import check
    from pyro_ssvae.inference.elbo import TraceEnumKL_ELBO
    from pyro_ssvae.inference.objective import Loss, Objective
    from pyro_ssvae.inference.terms import Ramp, Term
    from pyro_ssvae.training.aggressive import AggressiveInference
    from pyro_ssvae.training.epoch import Epoch
    from pyro_ssvae.training.fit import fit, fit_ensemble
    from pyro_ssvae.training.loop import Training
    from pyro_ssvae.training.stopping import EarlyStopping

__version__ = "0.1.0"

__all__ = [
    "AggressiveInference", "EarlyStopping", "Epoch", "InputError", "Loss", "NonFiniteLossError",
    "Objective", "Ramp", "SemiSupervisedVAEClassifier", "SemiSupervisedVAERegressor", "Term",
    "TraceEnumKL_ELBO", "Training", "check", "data", "evaluate", "fit", "fit_ensemble", "guides",
    "models", "negative_elbo", "nn", "pair",
]

_HOMES = {
    "AggressiveInference": "training.aggressive", "EarlyStopping": "training.stopping",
    "Epoch": "training.epoch", "InputError": "errors", "Loss": "inference.objective",
    "NonFiniteLossError": "errors", "Objective": "inference.objective",
    "Ramp": "inference.terms", "SemiSupervisedVAEClassifier": "estimators",
    "SemiSupervisedVAERegressor": "estimators", "Term": "inference.terms",
    "TraceEnumKL_ELBO": "inference.elbo",
    "evaluate": "evaluation.evaluate",
    "Training": "training.loop", "fit": "training.fit", "fit_ensemble": "training.fit",
    "check": "inference.check", "negative_elbo": "inference.bounds", "pair": "experiments.pairs",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_HOMES.get(name, name)}")
    value = globals()[name] = getattr(module, name) if name in _HOMES else module
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
