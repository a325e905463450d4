"""How runs are trained and kept: the keywords of runs, studies and comparisons, and defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict, cast

from pyro_ssvae.errors import InputError, unknown
from pyro_ssvae.system.numbers import in_python

if TYPE_CHECKING:
    from pyro_ssvae.engine.precision import Precision
    from pyro_ssvae.evaluation.evaluate import Measures
    from pyro_ssvae.training.capturing import Capture


class Plan(TypedDict, total=False):
    """How a run is trained and kept. What is left out is as :data:`DEFAULTS` has it.

    Attributes:
        epochs: The number of passes over the unlabelled data.
        batch_labelled: The size of the labelled batch.
        batch_unlabelled: The size of the unlabelled batch.
        seed: The seed of the weights, the batches and the noise. None takes that of the split.
        patience: The number of epochs without a better validation accuracy (of real numbers: RMSE;
            of a pair that predicts nothing: ELBO) after which to stop and keep the best weights.
            None trains to the end.
        selections: Whether to keep the weights of the best epochs by validation accuracy (of real
            numbers: RMSE), NLL and ELBO too, and to measure the test part with each of them and
            with the last ones: ``selected`` in ``metrics.json``.
        measures: The measures of what was trained, ``"all"`` or ``"few"``, as for
            :func:`pyro_ssvae.evaluate`. It is no part of the run's record: a run that has few is
            measured again where all are asked for.
        aggressive: Whether to begin with aggressive training of the guide, see
            :class:`pyro_ssvae.AggressiveInference`.
        capture: The way to compute updates: ``"on"``, ``"traced"``, ``"off"``, or ``"auto"`` as in
            :func:`pyro_ssvae.fit`, which a run that is resumed takes from the run.
        precision: The precision of matrix products in training, as in :func:`pyro_ssvae.fit`.
        device: The device to train on, ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU where there
            is one.
        workers: The number of processes that read examples which are not in memory, as in
            :func:`pyro_ssvae.fit`. It is no part of the run's record.
        svg: Whether figures are kept as SVG too, for print, beside the PNG that a report shows.
        tensorboard: Whether to write the epochs to TensorBoard's files in the folder of the run,
            see :func:`pyro_ssvae.training.log.tensorboard`.
        resume: Whether to go on with what is in the folder, if there is anything.
        overwrite: Whether to replace what is in the folder, if there is anything.
        progress: Whether to show the progress and the time left.
        log: A function that takes lines on what begins, goes on and ends.
    """

    epochs: int
    batch_labelled: int
    batch_unlabelled: int
    seed: int | None
    patience: int | None
    selections: bool
    measures: Measures
    aggressive: bool
    capture: Capture
    precision: Precision
    device: str
    workers: int
    svg: bool
    tensorboard: bool
    resume: bool
    overwrite: bool
    progress: bool
    log: Callable[[str], None]


def silent(line: str) -> None:
    """Take a line, and say nothing."""


DEFAULTS: Plan = {
    "epochs": 50, "batch_labelled": 100, "batch_unlabelled": 100, "seed": None, "patience": None,
    "selections": False, "measures": "all", "aggressive": False, "capture": "auto",
    "precision": "fp32", "device": "auto", "workers": 2, "svg": False, "tensorboard": False,
    "resume": False, "overwrite": False, "progress": False, "log": silent,
}


# What concerns a study of several runs as a whole, and none of them alone.
OF_A_STUDY = ("seed", "resume", "overwrite", "progress", "log")


def completed(plan: Plan) -> Plan:
    """A plan with all its keys, with numbers of Python in place of NumPy's.

    Raises:
        InputError: If there is another key.
    """
    for key in plan:
        if key not in DEFAULTS:
            raise unknown("argument", key, DEFAULTS)
    return cast(Plan, {**DEFAULTS, **{key: in_python(value) for key, value in plan.items()}})


def check_of_runs(plan: Plan, seed: str) -> None:
    """Raise :class:`InputError` if a plan for runs of a study has a key that is none of theirs.

    Args:
        plan: The plan.
        seed: What to give in place of the key ``seed``.
    """
    completed(plan)  # which refuses unknown keys
    for key in OF_A_STUDY:
        if key in plan:
            advice = f"give {seed}" if key == "seed" else "give it to study"
            raise InputError(f"expected how to train each run of a study, got {key}: {advice}")
