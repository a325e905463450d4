"""Accuracy of the estimators beside scikit-learn's: `python benchmarks/estimators.py --help`.

Breast cancer is LAMDA-SSL's protocol: 30 % of the rows for testing, a tenth of the others labelled.
Satimage has the same test part, and 1, 5 and 10 % of labels. It is read from R's package mlbench,
which Debian has as r-cran-mlbench, by pyreadr.

``--select`` scores every candidate on draws that no table reports, by the unlabelled rows of the
training part. Without it, the candidates named first are scored on the test part.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from pyro_ssvae import SemiSupervisedVAEClassifier

SELECTION = 100  # the first seed of the draws that settings are chosen on
Data = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
Make = Callable[[int], Any]


def spreading(**options: Any) -> Make:
    return lambda seed: make_pipeline(
        StandardScaler(), LabelSpreading(**{"kernel": "knn", "max_iter": 1_000} | options)
    )


def training(**options: Any) -> Make:
    return lambda seed: make_pipeline(StandardScaler(), SelfTrainingClassifier(
        LogisticRegression(max_iter=1_000), **options
    ))


def boosting(**options: Any) -> Make:
    return lambda seed: HistGradientBoostingClassifier(random_state=seed, **options)


def vae(method: str, **options: Any) -> Make:
    return lambda seed: SemiSupervisedVAEClassifier(
        method, **{"random_state": seed, "early_stopping": False} | options
    )


# By data set and name of a row, its candidates. The first is the chosen one.
CANDIDATES: dict[str, dict[str, dict[str, Make]]] = {
    "breast-cancer": {
        "SemiSupervisedVAEClassifier": {
            "m2": vae("m2"),
            "m2, alpha=1": vae("m2", alpha=1.0),
        },
        "LabelSpreading": {
            f"{k} neighbours, alpha={a}": spreading(n_neighbors=k, alpha=a)
            for k in (15, 7) for a in (0.2, 0.8)
        },
        "SelfTraining": {f"threshold={t}": training(threshold=t) for t in (0.75, 0.9)},
        "HistGradientBoosting": {
            f"leaves of {n} or more": boosting(min_samples_leaf=n) for n in (5, 20)
        },
    },
    "satimage": {
        "SemiSupervisedVAEClassifier": {
            "m2, 50 epochs": vae("m2", batch_unlabelled=500, epochs=50),
            "m2": vae("m2", batch_unlabelled=500),
            "m2, sigma 0.3, z_dim=8": vae(
                "m2", batch_unlabelled=500, likelihood="normal:0.3", z_dim=8
            ),
            "supervised": vae("supervised", batch_unlabelled=500),
        },
        "LabelSpreading": {
            f"{k} neighbours, alpha={a}": spreading(n_neighbors=k, alpha=a)
            for k in (15, 7) for a in (0.2, 0.8)
        },
        "SelfTraining": {f"threshold={t}": training(threshold=t) for t in (0.9, 0.75)},
        "HistGradientBoosting": {
            f"leaves of {n} or more": boosting(min_samples_leaf=n) for n in (20, 5)
        },
    },
}
SHARES = {"breast-cancer": (0.1,), "satimage": (0.01, 0.05, 0.1)}


def satimage(path: Path) -> Data:
    """The rows of mlbench's Satellite.rda, and their classes from 0."""
    import pyreadr

    (frame,) = pyreadr.read_r(str(path)).values()
    return frame.drop(columns="classes").to_numpy(), frame["classes"].cat.codes.to_numpy(int)


def draw(data: Data, share: float, seed: int) -> tuple[Any, Any, Any, Any, Any]:
    """Training rows, their labels as fit sees them, all of their labels, and the test part."""
    x, y = data
    train, test, y_train, y_test = train_test_split(
        x, y, test_size=0.3, random_state=seed, stratify=y
    )
    kept, _ = train_test_split(
        np.arange(len(train)), train_size=share, random_state=seed, stratify=y_train
    )
    seen = np.full(len(train), -1)
    seen[kept] = y_train[kept]
    return train, seen, y_train, test, y_test


def scored(make: Make, data: Data, share: float, seed: int, select: bool) -> tuple[float, float]:
    """The accuracy in % of a classifier on one draw, and the processor's seconds of its fit."""
    train, seen, y_train, test, y_test = draw(data, share, seed)
    classifier, known = make(seed), seen >= 0
    began = time.process_time()
    alone = isinstance(classifier, HistGradientBoostingClassifier)
    classifier.fit(train[known], seen[known]) if alone else classifier.fit(train, seen)
    seconds = time.process_time() - began
    where, labels = (train[~known], y_train[~known]) if select else (test, y_test)
    return 100 * float(np.mean(classifier.predict(where) == labels)), seconds


def rows(
    name: str, data: Data, shares: Iterable[float], seeds: int, select: bool
) -> Iterator[str]:
    """The lines of a table."""
    for share in shares:
        for kind, candidates in CANDIDATES[name].items():
            for setting, make in list(candidates.items())[:None if select else 1]:
                first = SELECTION if select else 0
                results = [
                    scored(make, data, share, seed, select) for seed in range(first, first + seeds)
                ]
                accuracy, seconds = np.array(results).T
                yield (f"| {100 * share:g} % | {kind} | {setting} | {accuracy.mean():.1f}"
                       f" ± {accuracy.std(ddof=1):.1f} | {accuracy.min():.1f} |"
                       f" {seconds.mean():.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=list(CANDIDATES))
    parser.add_argument("--file", type=Path, help="mlbench's Satellite.rda")
    parser.add_argument("--share", type=float, help="one share of labels in place of all")
    parser.add_argument("--seeds", type=int, default=10, help="the number of draws")
    parser.add_argument("--select", action="store_true", help="score all candidates, on others")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # scikit-learn's notes on convergence
    data = (
        load_breast_cancer(return_X_y=True) if arguments.data == "breast-cancer"
        else satimage(arguments.file)
    )
    print("| labelled | estimator | setting | accuracy % | worst | seconds |")
    print("|---|---|---|---|---|---|")
    shares = SHARES[arguments.data] if arguments.share is None else [arguments.share]
    for row in rows(arguments.data, data, shares, arguments.seeds, arguments.select):
        print(row, flush=True)


if __name__ == "__main__":
    main()
