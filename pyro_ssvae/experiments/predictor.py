"""Predictions of runs, for examples that are new."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pyro_ssvae.contract import fits_classifier, predictor
from pyro_ssvae.data import Dataset
from pyro_ssvae.data.described import without_examples
from pyro_ssvae.errors import InputError, named_folder
from pyro_ssvae.evaluation.evaluate import predictions
from pyro_ssvae.experiments import checkpoint, machine, recorded
from pyro_ssvae.experiments.folder import DATA
from pyro_ssvae.experiments.pairs import Pair
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.targets import Target


@dataclass(frozen=True)
class Predictor:
    """A trained pair that predicts the labels of new examples.

    Attributes:
        objective: The pair, with the trained weights.
        dataset: The data set that it was trained on; its examples may be missing.
        target: What its labels are.
    """

    objective: Objective
    dataset: Dataset
    target: Target

    def predict(self, x: Any) -> list[Any]:
        """The likeliest label of each of the examples, as the user calls it.

        Args:
            x: The examples: an array or a frame of n, of the form that the data set was made of.

        Returns:
            The names of classes; of several labels the names of those present; or real numbers.

        Raises:
            InputError: If x is of another form, or the pair predicts no label.
        """
        return self.target.named(self.predicted(x))

    def predicted(self, x: Any) -> Tensor:
        """What q(y | x) says of the examples, (n, P): the probabilities of classes, (n, K).

        Of several labels those of absence and presence of each, (n, 2 L); of a real number the mean
        and the standard deviation, standardised, (n, 2). Arguments and errors as of
        :meth:`predict`.
        """
        like = next(self.objective.parameters())
        examples = self.dataset.encoded(x).to(like)
        with evaluating(self.objective):
            return predictions(self.objective.guide, self.target, examples)


def load(
    folder: str | Path, *, pair: Pair | None = None, device: str = "auto"
) -> Predictor:
    """Read a run back to predict with it. The data that it was trained on are not needed.

    Args:
        folder: The folder that :func:`pyro_ssvae.experiments.runs.train` wrote it to.
        pair: The pair, where it cannot be found by its name.
        device: The device to put it on, as for training.

    Raises:
        InputError: If the folder holds no run, one of its files is broken, or the pair predicts
            nothing, or only beside its data.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from pyro_ssvae import data
        >>> from pyro_ssvae.experiments import predictor, runs
        >>> split = data.load("moons").split(labels=20, seed=0)
        >>> with TemporaryDirectory() as folder:
        ...     _ = runs.train("supervised", split, folder, epochs=1, figures=False)
        ...     names = predictor.load(folder).predict(split.part("test")[0][:3].numpy())
        >>> set(names) <= set(split.target.names)
        True
    """
    folder = named_folder(folder)
    where = machine.choose_device(device)
    saved = checkpoint.read(folder, where)
    dataset = read_description(folder)
    which = recorded.pair_of(folder, saved["record"], pair)
    with checkpoint.reading(folder):
        objective = which.build(dataset, saved["record"].values).to(where)
        objective.load_state_dict(checkpoint.best_weights(saved))
    if predictor(objective.guide) is None:
        raise InputError(f"{folder}: expected a pair that predicts labels, got {which.name}")
    if fits_classifier(objective.guide):
        raise InputError(
            f"{folder}: {which.name}'s classifier is fitted to the labelled data: read the run by"
            " runs.load(FOLDER), which has them"
        )
    return Predictor(objective, dataset, dataset.target)


def read_description(folder: Path) -> Dataset:
    """The data set that a run was trained on, without its examples.

    Raises:
        InputError: If there is no description, or it is broken.
    """
    path = folder / DATA
    try:
        return without_examples(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected the data of a run, got: {error!s:.200}") from None
