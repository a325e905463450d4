"""Temperature calibration of a run on its validation part."""

from __future__ import annotations

import warnings
from pathlib import Path

from pyro_ssvae.contract import predictor
from pyro_ssvae.data import Dataset
from pyro_ssvae.errors import InputError, named_folder
from pyro_ssvae.evaluation.evaluate import predictions
from pyro_ssvae.evaluation.temperature import temperatures, tempered
from pyro_ssvae.experiments import calibration, runs
from pyro_ssvae.experiments.calibration import Calibration
from pyro_ssvae.experiments.pairs import Pair
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.system.files import locked

FEW = 30  # examples that a temperature says little of
SHOWN = ("nll", "ece", "coverage")  # scores that a temperature changes


def calibrate(
    folder: str | Path,
    *,
    pair: Pair | None = None,
    dataset: Dataset | None = None,
    root: str | Path | None = None,
    device: str = "auto",
) -> Calibration:
    """Fit a temperature to the validation part of a run, and keep it in the run's folder.

    From then on what the run predicts is calibrated: :func:`pyro_ssvae.experiments.predictor.load`
    and the predictor of :func:`pyro_ssvae.experiments.runs.load` have the temperature. The metrics
    of the run stay those of the pair as it was trained. The test part has no part in it.

    Args:
        folder: The folder that :func:`pyro_ssvae.experiments.runs.train` wrote the run to.
        pair: The pair, where it cannot be found by its name.
        dataset: The data that it was trained on, where they are data of one's own.
        root: The folder of data files, as for :func:`pyro_ssvae.data.load`.
        device: The device to put the pair on.

    Raises:
        InputError: As :func:`pyro_ssvae.experiments.runs.load`, or if the pair predicts nothing, or
            no temperature is best on the validation part.
    """
    folder = named_folder(folder)
    run = runs.load(folder, pair=pair, dataset=dataset, root=root, device=device)
    target, guide = run.split.target, run.objective.guide
    if predictor(guide) is None:
        raise InputError(f"{folder}: expected a pair that predicts labels, got {run.record.model}")
    x, y = run.split.part("validation")
    if len(x) < FEW:
        warnings.warn(
            f"{folder}: a temperature of {len(x)} validation examples is hardly known, and may make"
            f" what is predicted less calibrated: leave it with {FEW} or more",
            stacklevel=2,
        )
    with evaluating(run.objective):
        predicted = predictions(guide, target, x)
    try:
        found = temperatures(predicted, y, target.sizes)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None
    before, after = (
        {name: value for name, value in target.scores(each, y).items() if name in SHOWN}
        for each in (predicted, tempered(predicted, target.sizes, found))
    )
    result = Calibration(found, len(x), before, after)
    with locked(folder):
        calibration.write(folder, result)
    return result
