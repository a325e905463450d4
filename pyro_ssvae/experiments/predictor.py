"""Predictions of runs, for examples that are new."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pyro_ssvae.contract import fits_classifier, predictor
from pyro_ssvae.data import Dataset
from pyro_ssvae.data.draws import check_seed
from pyro_ssvae.data.further import decoded
from pyro_ssvae.errors import InputError, enough_memory, named_folder, positive_whole, unknown
from pyro_ssvae.evaluation.evaluate import predictions
from pyro_ssvae.evaluation.temperature import tempered
from pyro_ssvae.experiments import calibration, checkpoint, machine, recorded
from pyro_ssvae.experiments.folder import CHECKPOINT
from pyro_ssvae.experiments.pairs import Pair
from pyro_ssvae.inference import sampling
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.system.randomness import seeded
from pyro_ssvae.targets import Number, Target


@dataclass(frozen=True)
class Predictor:
    """A trained pair that predicts the labels of new examples, and draws examples of its own.

    Attributes:
        objective: The pair, with the trained weights.
        dataset: The data set that it was trained on; its examples may be missing.
        target: What its labels are.
        temperatures: The temperatures that its predictions are calibrated with, see
            :mod:`pyro_ssvae.evaluation.temperature`; none leaves them as they are.
    """

    objective: Objective
    dataset: Dataset
    target: Target
    temperatures: tuple[float, ...] = ()

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
            result = predictions(self.objective.guide, self.target, examples)
        if not self.temperatures:
            return result
        return tempered(result, self.target.sizes, self.temperatures)

    def probabilities(self, x: Any) -> Tensor:
        """The numbers of :meth:`table`, (n, P), as users read them.

        The probabilities of classes, (n, K); of several labels that of the presence of each,
        (n, L); of a real number the mean and the standard deviation in its units, (n, 2). Arguments
        and errors as of :meth:`predict`.
        """
        return readable(self.target, self.predicted(x))

    def table(self, x: Any) -> Any:
        """The predictions as a data frame of pandas, a row for each example.

        The column ``predicted`` has the likeliest label, of several those present, joined by
        ``;``. Beside it a column ``p(NAME)`` for each class or label has its probability; of a real
        number ``standard_deviation`` stands there. Arguments and errors as of :meth:`predict`.
        """
        import pandas

        predicted = self.predicted(x)
        labels = self.target.named(predicted)
        numbers = readable(self.target, predicted).cpu().double().numpy()
        table: dict[str, Any] = {
            "predicted": [";".join(each) if isinstance(each, tuple) else each for each in labels]
        }
        if isinstance(self.target, Number):
            return pandas.DataFrame(table | {"standard_deviation": numbers[:, 1]})
        of_each = {f"p({name})": numbers[:, k] for k, name in enumerate(self.target.names)}
        return pandas.DataFrame(table | of_each)

    def sample(self, label: Any = None, number: int = 16, *, seed: int = 0) -> Any:
        """Examples that the model draws, in the user's terms: an array (n, ...), or a data frame.

        Args:
            label: The name of a class, of a label that is present, or a real number. None has the
                model draw it.
            number: The number of examples, n.
            seed: The seed of the noise.

        Returns:
            Examples of p(x | y). Images are the means of p(x | y, z), one for each z that is drawn,
            as figures show them; rows of numbers are drawn with their noise.

        Raises:
            InputError: If there is no such label, the model draws no x, or none of the label, or
                the seed is none.
        """
        return decoded(self.sampled(label, number, seed=seed), self.dataset)

    def sampled(self, label: Any = None, number: int = 16, *, seed: int = 0) -> Tensor:
        """What :meth:`sample` gives, (n, ...), as the pair has it."""
        number = positive_whole(number=number)["number"]
        check_seed(seed)
        like = next(self.objective.parameters())
        x = like.new_zeros(1, *self.dataset.shape).expand(number, *self.dataset.shape)
        y = None if label is None else encoded_label(self.target, label).to(like)
        value = sampling.mean if self.dataset.images else sampling.sample
        with enough_memory(number=number), evaluating(self.objective, seed=seed):
            return sampling.drawn(self.objective.model, x, y, value=value)


def readable(target: Target, predicted: Tensor) -> Tensor:
    """A prediction (n, P) as :meth:`Predictor.probabilities` gives it."""
    if isinstance(target, Number):
        return target.moments(predicted)
    return predicted if target.exclusive else predicted[:, 1::2]


def encoded_label(target: Target, label: Any) -> Tensor:
    """A label as the user calls it, encoded, (S,): NaN where nothing is said of another label.

    Raises:
        InputError: If there is no such label.
    """
    if isinstance(target, Number):
        try:
            number = float(label)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"expected a real number as the label, got {label!r:.60}")
        return target.encode(torch.tensor([number], dtype=torch.double), torch.double)[0]
    if str(label) not in target.names:
        raise unknown("label", str(label), target.names)
    place = target.names.index(str(label))
    if target.exclusive:
        return F.one_hot(torch.tensor(place), target.width).double()
    result = torch.full((target.width,), torch.nan, dtype=torch.double)
    result[2 * place], result[2 * place + 1] = 0, 1  # absent, present
    return result


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
    result, name = _read(folder, pair, device)
    guide = result.objective.guide
    if predictor(guide) is None:
        raise InputError(f"{folder}: expected a pair that predicts labels, got {name}")
    if fits_classifier(guide):
        raise InputError(
            f"{folder}: {name}'s classifier is fitted to the labelled data, which runs.load(FOLDER)"
            " has: predict by runs.load(FOLDER).predictor.predict(x)"
        )
    return result


def restored(
    folder: str | Path, *, pair: Pair | None = None, device: str = "auto"
) -> Predictor:
    """Read a run back as :func:`load` does, whether it predicts labels or not: to draw from it.

    Raises:
        InputError: If the folder holds no run, or one of its files is broken.
    """
    return _read(folder, pair, device)[0]


def _read(folder: str | Path, pair: Pair | None, device: str) -> tuple[Predictor, str]:
    """What is predicted with, and the name of the pair."""
    folder = named_folder(folder)
    where = machine.choose_device(device)
    saved = checkpoint.read(folder, where)
    dataset = recorded.read_description(folder)
    which = recorded.pair_of(folder, saved["record"], pair)
    with checkpoint.reading(folder / CHECKPOINT):
        with seeded(saved["record"].seed, [where]):  # as in training, for constants that are drawn
            objective = which.build(dataset, saved["record"].values).to(where)
        objective.load_state_dict(checkpoint.best_weights(saved))
        checkpoint.check_finite(saved, objective)
    temperatures = calibration.temperatures_of(folder, dataset.target)
    return Predictor(objective.eval(), dataset, dataset.target, temperatures), which.name
