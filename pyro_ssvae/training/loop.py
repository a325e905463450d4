"""The training loop: a generator of epochs."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, get_args

import numpy as np
import pyro
import torch
from torch import Tensor

from pyro_ssvae.contract import classifies
from pyro_ssvae.data import Split, batches, steps_per_epoch
from pyro_ssvae.engine.precision import Precision
from pyro_ssvae.errors import InputError, NonFiniteLossError, one_of, positive
from pyro_ssvae.evaluation.evaluate import class_probabilities, elbo, fit_classifier, has_bound
from pyro_ssvae.evaluation.metrics import accuracy, nll
from pyro_ssvae.inference import query
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.system.progress import Progress
from pyro_ssvae.training.aggressive import AggressiveInference, fresh_batches, train_guide
from pyro_ssvae.training.finite import Guard, OnNonFinite
from pyro_ssvae.training.pause import Pause
from pyro_ssvae.training.schedule import Decay
from pyro_ssvae.training.updates import Moment, Updates, update

Capture = Literal["auto", "on", "off"]
WORTH_UPDATES = 2_500  # on a CPU: a compiler's 15 to 25 s, against 10 ms an update and more


@dataclass(frozen=True)
class Epoch:
    """What one epoch did.

    Attributes:
        epoch: epochs done, from 1.
        updates: updates done.
        seconds: time the epoch took, validation included.
        losses: means over the epoch by name: ``loss``, and the terms of the objective, over the
            updates whose loss was finite.
        validation: ``accuracy`` and ``nll`` of a guide that classifies, ``elbo`` where it bounds
            log p(x).
        skipped: updates that were left out, for their loss or a gradient was not finite.
    """

    epoch: int
    updates: int
    seconds: float
    losses: dict[str, float]
    validation: dict[str, float]
    skipped: int = 0

    def row(self) -> dict[str, float]:
        """Everything but ``skipped`` as one flat row, validation under ``val_NAME``."""
        validation = {f"val_{name}": value for name, value in self.validation.items()}
        head = {"epoch": self.epoch, "updates": self.updates, "seconds": self.seconds}
        return head | self.losses | validation


@dataclass
class EarlyStopping:
    """Stops when validation has not improved for ``patience`` epochs, and keeps the best weights.

    Attributes:
        patience: epochs without improvement after which to stop.
        metric: of :attr:`Epoch.validation`, ``"accuracy"``, ``"elbo"`` or ``"nll"``; None takes
            the accuracy where there is one, else the ELBO.
    """

    patience: int
    metric: str | None = None
    best: float | None = None
    best_epoch: int = 0
    weights: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        positive(patience=self.patience)

    def due(self, epoch: int) -> bool:
        """Whether to stop, ``epoch`` epochs done."""
        return self.best is not None and epoch - self.best_epoch >= self.patience

    def update(self, epoch: Epoch, objective: Objective) -> None:
        """Take an epoch into account."""
        metric = self.metric or ("accuracy" if "accuracy" in epoch.validation else "elbo")
        if metric not in epoch.validation:
            raise InputError(
                f"expected a metric among {sorted(epoch.validation)} to stop early, got {metric!r}"
            )
        score = epoch.validation[metric] * (-1 if metric == "nll" else 1)
        if self.best is None or score > self.best:
            self.best, self.best_epoch = score, epoch.epoch
            self.weights = copy.deepcopy(objective.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` goes on from."""
        return {"best": self.best, "best_epoch": self.best_epoch, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.weights = state["weights"]


def adam(objective: Objective, lr: float = 1e-3) -> torch.optim.Optimizer:
    """Adam over all parameters of the model and the guide, in one fused step."""
    positive(lr=lr)
    return torch.optim.Adam(objective.parameters(), lr=lr, fused=True)


def fit(
    objective: Objective,
    split: Split,
    *,
    epochs: int = 50,
    lr: float = 1e-3,
    decay: bool = False,
    batch_labelled: int = 100,
    batch_unlabelled: int = 100,
    seed: int = 0,
    optimizer: torch.optim.Optimizer | None = None,
    stopping: EarlyStopping | None = None,
    aggressive: AggressiveInference | None = None,
    pause: Pause | None = None,
    capture: Capture = "auto",
    precision: Precision = "fp32",
    on_nonfinite: OnNonFinite = "stop",
    start: int = 0,
    progress: bool = False,
) -> Iterator[Epoch]:
    """Train an objective on a split, one epoch for each item taken from this generator.

    The noise and the batches of an epoch depend on (seed, epoch) alone: training that goes on
    from the weights and the optimizer state of an epoch gives exactly what it would have given
    without the break. The global random state is left as it was.

    Args:
        objective: what to minimise, on the device to train on.
        split: the data.
        epochs: passes over the unlabelled data, in all.
        lr: learning rate of Adam; an ``optimizer`` that is given has its own.
        decay: let the optimizer's learning rates fall to 0, each from where it began, see
            :func:`pyro_ssvae.training.schedule.learning_rate`; then training with more epochs is
            another training from its beginning.
        batch_labelled, batch_unlabelled: sizes of the labelled and the unlabelled batch.
        seed: of the batches and the noise.
        optimizer: in place of Adam.
        stopping: early stopping; its best weights are put back when the generator is exhausted.
        aggressive: train the guide aggressively, as long as it says.
        pause: The place within an epoch where training was paused, to go on from. It is asked
            after every update whether to pause there; then the generator ends.
        capture: compute updates by one compiled graph, ``"on"`` or ``"off"``; ``"auto"`` does so
            on a GPU, and on a CPU from :data:`WORTH_UPDATES` updates on. What cannot be captured
            is computed eagerly, with a warning. See :class:`pyro_ssvae.engine.capture.Captured`.
        precision: of matrix products in training: ``"bf16"`` is faster where the processor has
            it, and the parameters stay as they are. See :mod:`pyro_ssvae.engine.precision`.
        on_nonfinite: what to do about an update whose loss or gradient is NaN or infinite. It
            moves neither weights nor the optimizer's averages. ``"stop"`` raises, ``"skip"`` goes
            on and counts it in :attr:`Epoch.skipped`.
        start: epochs already done.
        progress: show the progress and the time left, see
        :class:`pyro_ssvae.system.progress.Progress`.

    Raises:
        InputError: if the data do not suit the model's likelihood, or a size is not positive.
        NonFiniteLossError: at the first update whose loss or gradient is NaN or infinite, before it
            moves a weight. A GPU is not waited for: there it is raised at the end of the epoch, and
            only the updates that are finite have been made. With ``on_nonfinite="skip"``, at the
            end of an epoch of which every update was skipped.
    """
    positive(
        epochs=epochs, batch_labelled=batch_labelled, batch_unlabelled=batch_unlabelled
    )
    split = split.to(next(objective.parameters()).device)
    check_support(objective, split)
    if aggressive is not None:
        aggressive.check(objective, split)
    optimizer = optimizer or adam(objective, lr)
    steps = steps_per_epoch(split, batch_unlabelled)
    one_of("precision", precision, get_args(Precision))
    one_of("on_nonfinite", on_nonfinite, get_args(OnNonFinite))
    captured = worth_capturing(capture, epochs * steps, split)
    guard = Guard(objective, on_nonfinite)
    updates = Updates(objective, optimizer, capture=captured, precision=precision, guard=guard)
    rates = Decay(optimizer) if decay else None
    pause = pause or Pause()
    what, total = f"training {type(objective.model).__name__}", epochs * steps
    done = start * steps + pause.step
    with Progress(what, total, "updates", done=done, show=progress) as bar:
        for epoch in range(start, epochs):
            if stopping is not None and stopping.due(epoch):
                break
            began = time.perf_counter() - pause.seconds
            with _noise(objective, seed, epoch), pyro.validation_enabled(False):
                sizes = batch_labelled, batch_unlabelled
                first, taken, skipped, losses = pause.go_on()
                fresh = islice(fresh_batches(split, *sizes, seed=seed, epoch=epoch), taken, None)
                left = islice(batches(split, *sizes, seed=seed, epoch=epoch), first, None)
                for step, batch in enumerate(left, first):
                    now = Moment(epoch, step, steps)
                    if rates is not None:
                        rates((epoch * steps + step) / total)
                    if aggressive is not None and aggressive.active:
                        taken += train_guide(
                            objective, optimizer, batch, fresh, now, precision, guard
                        )
                        turns = [list(objective.model.parameters())]
                        losses.append(
                            update(objective, optimizer, batch, now, turns, precision, guard)
                        )
                    else:
                        losses.append(updates(batch, now))
                    bar.advance()
                    # Not before an epoch's last batch: the first one to come is captured, and
                    # the last one may be smaller.
                    if pause.wanted() and step + 2 != steps:
                        skipped += guard.end()
                        seconds = time.perf_counter() - began
                        pause.hold(step + 1, taken, skipped, losses, seconds)
                        return
            skipped += guard.end()
            validation = validate(objective, split)
            if aggressive is not None:
                validation |= aggressive.judge(objective, split)
            seconds = time.perf_counter() - began
            bar.note(**validation)
            updates_done, means = (epoch + 1) * steps, mean_losses(losses)
            result = Epoch(epoch + 1, updates_done, seconds, means, validation, skipped)
            if stopping is not None:
                stopping.update(result, objective)
            yield result
    if stopping is not None:
        objective.load_state_dict(stopping.weights)
        fit_classifier(objective.guide, split)  # to the features of these weights


def worth_capturing(capture: Capture, updates: int, split: Split) -> bool:
    """Whether so many updates are to be captured.

    It depends on what a run is started with and on nothing measured, so that a run that is
    resumed goes on in the same way, to the last bit.
    """
    one_of("capture", capture, get_args(Capture))
    if capture == "auto":
        return split.dataset.x.is_cuda or updates >= WORTH_UPDATES
    return capture == "on"


def validate(objective: Objective, split: Split) -> dict[str, float]:
    """Accuracy and NLL of the classifier and ELBO of the images on the validation part.

    Raises:
        NonFiniteLossError: if one of them is NaN or infinite: the last update lost the weights.
    """
    x, y = split.part("validation")
    model, guide = objective.model, objective.guide
    result: dict[str, float] = {}
    with evaluating(objective):
        fit_classifier(guide, split)
        if classifies(guide):
            probs = class_probabilities(guide, x)
            sizes = split.dataset.sizes
            result |= {"accuracy": accuracy(probs, y, sizes), "nll": nll(probs, y, sizes)}
            _check_finite(result)
        if has_bound(model, guide, x):
            result["elbo"] = elbo(model, guide, x)
    _check_finite(result)
    return result


def _check_finite(validation: dict[str, float]) -> None:
    for name, value in validation.items():
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"the validation {name} is {value}: a smaller learning rate may help"
            )


def check_support(objective: Objective, split: Split) -> None:
    """Raise :class:`InputError` unless every x lies in the support of the model's likelihood."""
    x, y = split.examples(split.labelled[:1])
    with evaluating(objective):
        fn = query.site(objective.model, "x", x, y)
    if fn is None:
        return
    inside = torch.cat([fn.support.check(rows) for rows in split.dataset.x.split(10_000)])
    if not inside.all():
        values = split.dataset.x
        raise InputError(
            f"{split.dataset.name}: expected x within {_plain(fn.support)} under the model's"
            f" likelihood, got values from {values.min():.4g} to {values.max():.4g};"
            ' rescale x, or use likelihood="normal"'
        )


def _plain(support: Any) -> str:
    base = getattr(support, "base_constraint", support)
    bounds = getattr(base, "lower_bound", None), getattr(base, "upper_bound", None)
    return str(base) if None in bounds else f"[{bounds[0]}, {bounds[1]}]"


def mean_losses(losses: list[dict[str, Tensor]]) -> dict[str, float]:
    """The means over an epoch's updates whose loss was finite, by name."""
    finite = torch.stack([loss["loss"] for loss in losses]).isfinite()
    return {
        name: torch.stack([loss[name] for loss in losses])[finite].double().mean().item()
        for name in losses[0]
    }


@contextmanager
def _noise(objective: Objective, seed: int, epoch: int) -> Iterator[None]:
    cuda = {parameter.device for parameter in objective.parameters() if parameter.is_cuda}
    with torch.random.fork_rng(devices=list(cuda)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Encountered (NaN|inf)")  # an error follows
        torch.manual_seed(noise_seed(seed, epoch))
        yield


def noise_seed(seed: int, epoch: int) -> int:
    """Of torch's generator in an epoch."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
