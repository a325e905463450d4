"""The nearest that scikit-learn has to a transductive SVM, on the features of a VAE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC
from torch import Tensor

from pyro_ssvae.data import Split
from pyro_ssvae.evaluation.latents import posterior_means
from pyro_ssvae.experiments import runs
from pyro_ssvae.inference.programs import evaluating

PENALTIES = (1.0, 10.0)  # of which validation data choose
ROUNDS = 10  # in each of which one in ten unlabelled examples gets its label


def self_trained(folder: str | Path, unlabelled: int, root: str | None = None) -> dict[str, Any]:
    """Self-training around an SVM, on the posterior means of the VAE of a run.

    Args:
        folder: The folder of the run.
        unlabelled: The number of unlabelled examples that are labelled on the way.
        root: The folder of data files, as for :func:`pyro_ssvae.data.load`.

    Returns:
        The ``accuracy`` of the test part, and the ``penalty`` of the best validation accuracy.
    """
    run = runs.load(folder, root=root)
    split = run.split
    every = max(1, len(split.unlabelled) // unlabelled)
    with evaluating(run.objective):
        parts = {
            name: _part(run.objective.guide, split, index) for name, index in {
                "labelled": split.labelled, "unlabelled": split.unlabelled[::every][:unlabelled],
                "validation": split.validation, "test": split.test,
            }.items()
        }
    fitted = [fit(parts["labelled"], parts["unlabelled"][0], penalty) for penalty in PENALTIES]
    scores = [float(one.score(*parts["validation"])) for one in fitted]
    best = int(np.argmax(scores))
    return {
        "accuracy": float(fitted[best].score(*parts["test"])), "penalty": PENALTIES[best],
    }


def fit(labelled: tuple[Any, Any], unlabelled: Any, penalty: float) -> SelfTrainingClassifier:
    """An SVM that labels the tenth of the examples of which it is surest, and is fitted again.

    After :data:`ROUNDS` rounds all are labelled, as a transductive SVM labels all.

    Args:
        labelled: The features (L, J) and classes (L,) of labelled examples.
        unlabelled: The features (U, J) of unlabelled ones.
        penalty: The weight of what is on the wrong side of the margin.
    """
    svm = CalibratedClassifierCV(SVC(C=penalty), ensemble=False)  # which gives it probabilities
    x, y = labelled
    each = -(-len(unlabelled) // ROUNDS)
    return SelfTrainingClassifier(svm, criterion="k_best", k_best=each, max_iter=ROUNDS).fit(
        np.concatenate([x, unlabelled]), np.concatenate([y, np.full(len(unlabelled), -1)])
    )


def _part(guide: Any, split: Split, index: Tensor) -> tuple[Any, Any]:
    x, y = split.examples(index)
    with torch.no_grad():
        return posterior_means(guide, x).cpu().numpy(), y.argmax(-1).cpu().numpy()
