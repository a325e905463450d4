"""Training: one objective on a split, or replicas together."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Unpack, cast

import torch

from pyro_ssvae.data import Split, feed, steps_per_epoch
from pyro_ssvae.data.asked import check_split
from pyro_ssvae.data.draws import check_seed
from pyro_ssvae.errors import InputError, positive, whole
from pyro_ssvae.evaluation.validation import check_support, validate
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.system import processes
from pyro_ssvae.training.aggressive import Aggressive, AggressiveInference, fresh_batches
from pyro_ssvae.training.average import Averaging
from pyro_ssvae.training.capturing import Capture, Capturing, decided
from pyro_ssvae.training.elementwise import Make
from pyro_ssvae.training.ensemble import Ensemble
from pyro_ssvae.training.epoch import Epoch
from pyro_ssvae.training.how import How, settled
from pyro_ssvae.training.learner import Learner, Measure
from pyro_ssvae.training.loop import Training
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.replicas import check_replicas, side_by_side
from pyro_ssvae.training.schedule import Decay
from pyro_ssvae.training.steps import Eager, Step
from pyro_ssvae.training.stopping import EarlyStopping
from pyro_ssvae.training.suiting import check_optimizer, check_precision, warn_of_own
from pyro_ssvae.training.together import Together, by_any, of_all


def fit(
    objective: Objective,
    split: Split,
    *,
    lr: float = 1e-3,
    seed: int = 0,
    optimizer: torch.optim.Optimizer | None = None,
    stopping: EarlyStopping | None = None,
    aggressive: AggressiveInference | None = None,
    capture: Capture = "auto",
    **how: Unpack[How],
) -> Training[Epoch]:
    """Train an objective on a split, one epoch for each item taken from what is returned.

    The noise and the batches of an epoch depend on (seed, epoch) alone: training that goes on
    from the weights and the state of another, see :class:`Training`, gives exactly what that would
    have given. The global random state is left as it was. What the programs of a pair raise has a
    note: :func:`pyro_ssvae.check` tells what is wrong with the pair.

    Within :func:`pyro_ssvae.system.processes.joined` several processes train together, each with
    its share of the rows of every batch. All of them call it with the same arguments, and have the
    same epochs and weights: those of one process, up to rounding. A state of one number of
    processes can be gone on from with another.

    Args:
        objective: The objective to minimise, on the device to train on. Where all of it is in
            evaluation mode it is put into training mode; a part that alone is so stays as it is.
        split: The data.
        lr: The learning rate of Adam; an ``optimizer`` that is given has its own.
        seed: The seed of the batches and the noise, 0 <= seed < 2**64.
        optimizer: The optimizer to use in place of Adam.
        stopping: The early stopping; its best weights are put back when the iterator is exhausted.
        aggressive: The rule by which the guide is trained aggressively, as long as it says.
        capture: The way to compute updates: ``"on"`` or True by one compiled graph, ``"traced"`` by
            one that is replayed as it was traced, which takes no compiler, ``"off"`` or False by
            Pyro. ``"auto"`` compiles where the training has
            :func:`pyro_ssvae.training.capturing.worth_compiling` updates or more; else it traces,
            on a CPU from :data:`pyro_ssvae.training.capturing.WORTH_TRACING` on. What cannot be
            captured is computed by Pyro, with a warning; what moves in turns, as an adversary may,
            is so without one. See :class:`pyro_ssvae.engine.capture.Captured`.
        how: The arguments that :class:`pyro_ssvae.training.how.How` names, ``epochs`` among them.

    Raises:
        InputError: If the data do not suit the model's likelihood, or an argument is not usable.
        NonFiniteLossError: While epochs are taken, at the first update whose loss or gradient is
            NaN or infinite, before it moves a weight. A GPU is not waited for: there it is raised
            at the end of the epoch, and only the updates that are finite have been made. With
            ``on_nonfinite="skip"``, at the end of an epoch of which every update was skipped.

    Example:
        >>> from pyro_ssvae import Objective, data, fit, guides, models
        >>> split = data.load("digits").split(labels=50, seed=0)
        >>> model = models.M2(split.dataset.shape, y_dim=10, z_dim=2, hidden=(16,))
        >>> objective = Objective(model, guides.M2(model, hidden=(16,)), alpha=10.0)
        >>> for epoch in fit(objective, split, epochs=2, lr=3e-3):
        ...     print(epoch.epoch, epoch.updates, sorted(epoch.validation))
        1 12 ['accuracy', 'elbo', 'nll']
        2 24 ['accuracy', 'elbo', 'nll']
    """
    how, seed = settled(how, fit), _seed(seed)
    check_split(split)
    split = split.to(next(objective.parameters()).device, how["workers"])
    check_precision(objective, split)
    check_support(objective, split)
    warn_of_own(objective, split)
    check_optimizer(optimizer)
    sizes = how["batch_labelled"], how["batch_unlabelled"]
    updates = how["epochs"] * steps_per_epoch(split, how["batch_unlabelled"])
    source = feed(split, *sizes)
    measure: Measure = validate
    optimizer = optimizer or adam(objective, lr)
    eager = Eager(
        objective, optimizer, precision=how["precision"], on_nonfinite=how["on_nonfinite"]
    )
    way = decided(capture, updates, split, split.dataset.y.device)
    step: Step = eager if way == "off" else Capturing(eager, compile=way == "on")
    if processes.number() > 1:
        step = Together(step, objective, split, *sizes)
        source = source.shard(processes.index(), processes.number(), empty=False)
        measure = of_all(validate)
        how |= {"pause": by_any(how["pause"]), "progress": how["progress"] and processes.first()}
    measures: list[Measure] = [measure]
    if aggressive is not None:
        processes.alone("aggressive training", "train without it")
        aggressive.check(objective, split)
        step = Aggressive(
            eager, step, aggressive,
            lambda epoch, start: fresh_batches(
                split, *sizes, seed=seed, epoch=epoch, start=start
            ),
        )
        measures.append(aggressive.judge)
    if how["average"]:
        step = Averaging(step, [objective], set(), how["average"])
    return Training(
        [Learner(objective, split, seed, measures, stopping)], step,
        partial(source.epoch, seed), how,
        rates=Decay(optimizer) if how["decay"] else None, give=_only,
    )


def fit_ensemble(
    objectives: Sequence[Objective],
    splits: Split | Sequence[Split],
    *,
    lr: float | Sequence[float] = 1e-3,
    seeds: Sequence[int] | None = None,
    optimizer: Make | None = None,
    stopping: EarlyStopping | Sequence[EarlyStopping] | None = None,
    compile: bool = True,
    **how: Unpack[How],
) -> Training[list[Epoch | None]]:
    """Train replicas of one pair together, one epoch of all for each item taken.

    Replicas may differ in their parameters to begin with, in their split of one data set, in their
    seed, in ``lr`` and in any of ``Objective.weights``, of which each but ``beta`` is zero in all
    of them or in none. Each is trained as :func:`pyro_ssvae.fit` would train it alone, with the
    same noise: equal up to the rounding of batched products.

    Args:
        objectives: The replicas, of one device; their weights are written after every epoch.
        splits: The data, one split for all or one for each.
        lr: The learning rate of Adam, one for all or one for each; an ``optimizer`` that is given
            has its own.
        seeds: The seeds of the batches and the noise, one for each; 0, 1, ... by default.
        optimizer: A function that gives the optimizer to use in place of Adam. It is called with
            the replicas' parameters, stacked to (R, ...) each. The optimizer must be elementwise:
            what it does to a number depends on that number and its gradients alone, as with SGD,
            RMSprop and AdamW, and not with what looks at the norm of a tensor, as LARS does. Its
            learning rates are its own business. An update of a replica that is not finite is undone
            for that replica alone, in its weights and in averages of their shape; a number that
            the optimizer keeps for all replicas, such as Adam's count of steps, counts it.
        stopping: The early stopping, one for each, or one of which each replica gets a copy. A
            replica that has stopped has its best weights, and None takes the place of its epochs.
            The iterator ends when all have stopped.
        compile: Whether to compile the batched program; without, it is replayed as traced, which
            costs no compiler.
        how: The arguments that :class:`pyro_ssvae.training.how.How` names, ``epochs`` among them. A
            replica's update that is skipped leaves the others' alone.

    Raises:
        InputError: If the replicas cannot be one program, or data or arguments are not usable.
        CaptureError: While epochs are taken, if the pair cannot be captured, or draws noise that
            depends on parameters.
        NonFiniteLossError: At the end of an epoch in which a replica's loss or gradient was NaN or
            infinite; such an update has moved nothing. With ``on_nonfinite="skip"``, where all
            updates of a replica were such.
    """
    how = settled(how, fit_ensemble)
    processes.alone("fit_ensemble", "train replicas in one, or one after the other by fit")
    positive(replicas=(replicas := len(objectives)))
    alone = isinstance(splits, str) or not isinstance(splits, Sequence)
    splits = _each("splits", cast(Sequence[Split], [splits] if alone else splits), replicas)
    for split in splits:
        check_split(split)
    rates = _each("lr", lr if isinstance(lr, Sequence) else [lr], replicas)
    seeds = [_seed(seed) for seed in (range(replicas) if seeds is None else seeds)]
    if len(seeds) != replicas:
        raise InputError(f"expected seeds for {replicas} replicas, got {len(seeds)}")
    stops = _stops(stopping, replicas)
    positive(**{f"lr[{i}]": rate for i, rate in enumerate(rates)})
    check_replicas(objectives, splits)
    device = next(objectives[0].parameters()).device
    dataset = splits[0].dataset.to(device, how["workers"])  # once: the splits are of one
    splits = [replace(split.to(device), dataset=dataset) for split in splits]
    check_precision(objectives[0], splits[0])
    check_support(objectives[0], splits[0])
    warn_of_own(objectives[0], splits[0])
    together = Ensemble(
        objectives, rates, precision=how["precision"], compile=compile, optimizer=optimizer,
        on_nonfinite=how["on_nonfinite"],
    )
    step: Step = together
    if how["average"]:
        step = Averaging(together, objectives, together.left, how["average"])
    learners = [
        Learner(objective, split, seed, [validate], stop, partial(together.leave, i))
        for i, (objective, split, seed, stop)
        in enumerate(zip(objectives, splits, seeds, stops, strict=True))
    ]
    sizes = how["batch_labelled"], how["batch_unlabelled"]
    return Training(
        learners, step,
        partial(side_by_side, splits, *sizes, seeds), how,
        rates=together.decay if how["decay"] else None, give=lambda epochs: epochs,
    )


def _seed(seed: object) -> int:
    """A seed as a number of Python; :class:`InputError` where it is none."""
    result = whole("seed", seed)
    check_seed(result)
    return result


def _only(epochs: list[Epoch | None]) -> Epoch:
    (epoch,) = epochs
    assert epoch is not None  # where it has stopped the iterator has ended
    return epoch


def _each(what: str, values: Sequence[Any], replicas: int) -> list[Any]:
    if len(values) == 1:
        return list(values) * replicas
    if len(values) != replicas:
        raise InputError(f"expected {what} for {replicas} replicas, got {len(values)}")
    return list(values)


def _stops(
    stopping: EarlyStopping | Sequence[EarlyStopping] | None, replicas: int
) -> list[EarlyStopping | None]:
    """The early stopping of each replica."""
    if stopping is None:
        return [None] * replicas
    if isinstance(stopping, EarlyStopping):
        return [copy.deepcopy(stopping) for _ in range(replicas)]
    if len({id(own) for own in stopping}) != len(stopping) or len(stopping) != replicas:
        raise InputError(
            f"expected one stopping to copy or {replicas} of them, one for each replica, got"
            f" {len(stopping)}, {len({id(own) for own in stopping})} of them different objects"
        )
    return list(stopping)
