"""A run before it starts: everything that training takes, checked and built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack, get_args

import torch

from pyro_ssvae.data import Split, steps_per_epoch
from pyro_ssvae.data.draws import check_seed
from pyro_ssvae.errors import InputError, named_folder, one_of, positive_whole
from pyro_ssvae.evaluation.evaluate import Measures
from pyro_ssvae.experiments import checkpoint, machine
from pyro_ssvae.experiments import folder as folders
from pyro_ssvae.experiments.folder import CHECKPOINT, FILES
from pyro_ssvae.experiments.pairs import Pair, chosen
from pyro_ssvae.experiments.plan import Plan, completed
from pyro_ssvae.experiments.predictor import Predictor
from pyro_ssvae.experiments.record import Record, Updates, started
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.system.randomness import seeded
from pyro_ssvae.training.aggressive import AggressiveInference
from pyro_ssvae.training.capturing import decided
from pyro_ssvae.training.fit import fit
from pyro_ssvae.training.how import settled
from pyro_ssvae.training.log import check_tensorboard
from pyro_ssvae.training.optimizers import adam, load_optimizer
from pyro_ssvae.training.selections import Selections
from pyro_ssvae.training.stopping import EarlyStopping


@dataclass
class Run:
    """A run read back from its folder.

    Attributes:
        record: What the run was started with.
        objective: The pair, with the trained weights.
        split: The data it was trained on.
        temperatures: Those that it was calibrated with, if it was.
    """

    record: Record
    objective: Objective
    split: Split
    temperatures: tuple[float, ...] = field(default=(), kw_only=True)

    @property
    def predictor(self) -> Predictor:
        """The pair to predict the labels of new examples with."""
        return Predictor(self.objective, self.split.dataset, self.split.target, self.temperatures)


@dataclass
class Prepared(Run):
    """A run that can start: new, or read back to go on.

    Attributes:
        optimizer: The optimizer, with its averages where the run goes on.
        stopping: The early stopping, if any.
        aggressive: The rule of aggressive training, if any.
        state: The state of the training to go on with. With None it begins.
        history: The rows of the epochs that are done.
        selections: The weights that measures of validation have selected, if they are kept.
    """

    optimizer: torch.optim.Optimizer
    stopping: EarlyStopping | None
    aggressive: AggressiveInference | None
    state: dict[str, Any] | None
    history: list[dict[str, float]]
    selections: Selections | None


def prepare(
    pair: str | Pair,
    split: Split,
    out: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    **plan: Unpack[Plan],
) -> Prepared:
    """Check and build what :func:`pyro_ssvae.experiments.runs.train` needs, of these arguments.

    Nothing is written. That the data suit the likelihood is left to :func:`pyro_ssvae.fit`.

    Raises:
        InputError: As :func:`pyro_ssvae.experiments.runs.train`.
    """
    out, whole, which = named_folder(out), completed(plan), chosen(pair)
    folders.check_free(out, *FILES, resume=whole["resume"], overwrite=whole["overwrite"])
    values = which.resolve(split.dataset, options or {})
    where = _checked(whole, values)
    saved = None
    if whole["resume"] and (out / CHECKPOINT).exists():
        saved = checkpoint.read(out, where)
    seed = split.seed if whole["seed"] is None else whole["seed"]
    check_seed(seed)
    moved = split.to(where, whole["workers"])
    captured = _decided(whole, moved, saved)
    # Of the data as they came, which keep their fingerprint for the next run.
    record = started(
        which.name, values, split, whole, seed=seed, capture=captured, code=which.code
    )
    with seeded(seed, [where]):
        objective = which.build(moved.dataset, values).to(where)
    optimizer = adam(objective, values["lr"])
    stopping = None if record.patience is None else EarlyStopping(record.patience)
    selections = Selections() if record.selections else None
    inference = AggressiveInference() if record.aggressive else None
    if inference is not None:
        inference.check(objective, moved)
    state, history = None, []
    if saved is not None:
        history = saved["history"]
        checkpoint.check_resumable(out, saved, record)
        record = replace(record, code=saved["record"].code)  # that it began with
        state = saved["training"]
        with checkpoint.reading(out / CHECKPOINT):
            objective.load_state_dict(saved["objective"])
            checkpoint.check_finite(saved, objective)
            load_optimizer(optimizer, state["step"]["optimizer"])
        if selections is not None:
            selections.load_state_dict(saved["selections"])
    return Prepared(
        record, objective, moved, optimizer, stopping, inference, state, history, selections
    )


def _checked(plan: Plan, values: Mapping[str, Any]) -> torch.device:
    """The device of a plan that is usable, as the values of options for training are."""
    settled({
        "epochs": plan["epochs"], "batch_labelled": plan["batch_labelled"],
        "batch_unlabelled": plan["batch_unlabelled"], "precision": plan["precision"],
        "workers": plan["workers"], "average": values["average"],
    }, fit)
    if plan["patience"] is not None:
        positive_whole(patience=plan["patience"])
    for name, flag in {"selections": plan["selections"], "aggressive": plan["aggressive"]}.items():
        if not isinstance(flag, bool):
            raise InputError(f"expected {name} as True or False, got {flag!r:.60}")
    one_of("measures", plan["measures"], get_args(Measures))
    if plan["tensorboard"]:
        check_tensorboard()
    return machine.choose_device(plan["device"])


def _decided(plan: Plan, split: Split, saved: Mapping[str, Any] | None) -> Updates:
    """How updates are computed: as asked for, as the run to resume does, or as it is worth."""
    if saved is not None and plan["capture"] == "auto":
        before: Updates = saved["record"].capture
        return before
    updates = plan["epochs"] * steps_per_epoch(split, plan["batch_unlabelled"])
    return decided(plan["capture"], updates, split, split.dataset.y.device)
