"""The nearest that scikit-learn has to a transductive SVM, on the features of a VAE."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC
from torch import Tensor

from pyro_ssvae.data import Split
from pyro_ssvae.evaluation.latents import posterior_means
from pyro_ssvae.experiments import runs
from pyro_ssvae.inference.programs import evaluating

PENALTIES = (1.0, 10.0)  # of which validation data choose
SURE = 0.9  # the probability from which on self-training takes a label for known


def self_trained(folder: str, unlabelled: int, root: str | None = None) -> dict[str, Any]:
    """Self-training around an SVM, on the posterior means of the VAE of a run.

    Args:
        folder: The folder of the run.
        unlabelled: The number of unlabelled examples that are labelled on the way.
        root: The folder of data files, as for :func:`pyro_ssvae.data.load`.

    Returns:
        The ``accuracy`` of the test part, the ``penalty`` of the best validation accuracy, and the
        ``labelled`` examples that the last SVM was fitted to.
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
    best = fitted[int(np.argmax(scores))]
    return {
        "accuracy": float(best.score(*parts["test"])),
        "penalty": float(best.estimator_.C),
        "labelled": int((best.transduction_ >= 0).sum()),
    }


def fit(labelled: tuple[Any, Any], unlabelled: Any, penalty: float) -> SelfTrainingClassifier:
    """An SVM that labels what it is sure of, and is fitted again, up to ten times.

    Args:
        labelled: The features (L, J) and classes (L,) of labelled examples.
        unlabelled: The features (U, J) of unlabelled ones.
        penalty: The weight of what is on the wrong side of the margin.
    """
    svm = SVC(C=penalty, probability=True, random_state=0)
    x, y = labelled
    return SelfTrainingClassifier(svm, threshold=SURE).fit(
        np.concatenate([x, unlabelled]), np.concatenate([y, np.full(len(unlabelled), -1)])
    )


def _part(guide: Any, split: Split, index: Tensor) -> tuple[Any, Any]:
    x, y = split.examples(index)
    with torch.no_grad():
        return posterior_means(guide, x).cpu().numpy(), y.argmax(-1).cpu().numpy()
