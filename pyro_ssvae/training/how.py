"""How to train: the arguments that training one pair and training replicas share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypedDict, cast, get_args

from pyro_ssvae.data.reading import WORKERS
from pyro_ssvae.engine.precision import Precision
from pyro_ssvae.errors import InputError, not_negative, one_of, positive_whole, whole
from pyro_ssvae.system.numbers import in_python
from pyro_ssvae.training.finite import OnNonFinite


class How(TypedDict, total=False):
    """How to train: keyword arguments of :func:`fit` and of :func:`fit_ensemble`.

    Attributes:
        epochs: The number of passes over the unlabelled data, in all. 50 by default.
        decay: Whether the learning rates fall to 0, each from where it began, see
            :func:`pyro_ssvae.training.schedule.learning_rate`. With more epochs that is another
            training from its beginning. False by default.
        average: The share of the past in a moving average of the weights, in [0, 1), which is
            validated, kept and saved in their place: see
            :class:`pyro_ssvae.training.average.Averaging`. With 0, the default, none is taken.
        batch_labelled: The number of labelled examples in a batch. 100 by default.
        batch_unlabelled: The number of unlabelled examples in a batch. 100 by default.
        precision: The precision of matrix products in training, ``"fp32"`` by default.
            ``"bf16"`` is faster where the device multiplies it faster; parameters stay as they are.
            See :mod:`pyro_ssvae.engine.precision`.
        on_nonfinite: What to do about an update whose loss or gradient is NaN or infinite. It moves
            neither weights nor the optimizer's averages. ``"stop"``, the default, raises;
            ``"skip"`` puts buffers back, goes on and counts it in :attr:`Epoch.skipped`.
        workers: The number of processes that read examples which are not in memory, ahead of time;
            0 has the process that trains read them. What is trained does not depend on it. 2 by
            default. See :mod:`pyro_ssvae.data.reading`.
        pause: A function that is asked after every update whether to pause there. Then the
            iterator ends, :attr:`Training.paused` is True, and :meth:`Training.state_dict` holds
            the place within the epoch.
        progress: Whether to show the progress and the time left, see
            :class:`pyro_ssvae.system.progress.Progress`. False by default.
    """

    epochs: int
    decay: bool
    average: float
    batch_labelled: int
    batch_unlabelled: int
    precision: Precision
    on_nonfinite: OnNonFinite
    workers: int
    pause: Callable[[], bool] | None
    progress: bool


DEFAULTS: How = {
    "epochs": 50, "decay": False, "average": 0.0, "batch_labelled": 100, "batch_unlabelled": 100,
    "precision": "fp32", "on_nonfinite": "stop", "workers": WORKERS, "pause": None,
    "progress": False,
}


def settled(how: How, function: Callable[..., Any]) -> How:
    """What was given with the defaults of what was not.

    Args:
        how: The arguments that were given.
        function: The function that they were given to, which has further ones of its own.

    Raises:
        InputError: If an argument is unknown, or its value is not usable.
    """
    own = [name for name in inspect.signature(function).parameters if name != "how"]
    for name in how:
        one_of(f"argument of {function.__name__}", name, [*DEFAULTS, *own])
    given = {name: in_python(value) for name, value in how.items()}
    result = cast(How, {**DEFAULTS, **given})
    result |= cast(How, positive_whole(
        epochs=result["epochs"], batch_labelled=result["batch_labelled"],
        batch_unlabelled=result["batch_unlabelled"],
    ))
    result["workers"] = whole("workers", result["workers"])
    not_negative(workers=result["workers"])
    one_of("precision", result["precision"], get_args(Precision))
    one_of("on_nonfinite", result["on_nonfinite"], get_args(OnNonFinite))
    _check_average(result["average"])
    if not (result["pause"] is None or callable(result["pause"])):
        raise InputError(
            f"expected pause as a function that tells whether to pause, got {result['pause']!r:.60}"
        )
    return result


def _check_average(average: object) -> None:
    number = isinstance(average, (int, float)) and not isinstance(average, bool)
    if not (number and 0 <= cast(float, average) < 1):
        raise InputError(f"expected average in [0, 1), got {average!r:.60}")
