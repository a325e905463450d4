"""A search for options by Optuna: every pair has the same budget, and validation data decide."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import torch

from pyro_ssvae.data import Dataset, Drawing, Split
from pyro_ssvae.data.draws import Labels
from pyro_ssvae.errors import (
    InputError,
    NonFiniteLossError,
    enough_memory,
    named_folder,
    positive_whole,
    unknown,
)
from pyro_ssvae.experiments import runs, table
from pyro_ssvae.experiments.folder import safe
from pyro_ssvae.experiments.journal import ended, opened, quietly, seed_of
from pyro_ssvae.experiments.pairs import Pair, chosen
from pyro_ssvae.experiments.plan import Plan, completed
from pyro_ssvae.experiments.space import Choice, Choices, as_data, choices_of, ends, suggested
from pyro_ssvae.statistics.table import NEITHER, higher_is_better
from pyro_ssvae.system.files import locked, write_text

TRIALS = "trials.csv"
OF_THE_SEARCH = ("resume", "overwrite", "progress", "log")  # of a plan, what concerns the whole

Row = dict[str, Any]


@dataclass(frozen=True)
class Searched:
    """What a search has found.

    Attributes:
        rows: A row for each trial: ``model``, ``trial``, the mean of the metric over the label
            draws, ``deviation``, its standard deviation over them, and ``option.NAME``. The metric
            is None where a training was lost.
        best: The options of the first of the best trials of each pair, by its name. A pair that
            lost every training is left out.
    """

    rows: list[Row]
    best: dict[str, dict[str, Any]]


def search(
    models: Sequence[str | Pair],
    dataset: Dataset,
    space: Mapping[str, Choice | Choices],
    *,
    trials: int,
    out: str | Path,
    metric: str = "accuracy",
    labels: Labels = 50,
    draws: int = 3,
    drawing: Drawing | None = None,
    sampler_seed: int = 0,
    **plan: Unpack[Plan],
) -> Searched:
    """Search for options of every pair by as many trials of as many epochs.

    A trial trains on each of the label draws, and its score is the mean over them of what
    validation finds. The test part is taken away before, so that nothing here can look at it.
    What is tried depends on the scores so far and on the seed: a search that was killed goes on, in
    the same folder, to what it would have found, and one of more trials goes on with those of less.

    Args:
        models: The pairs, or their names.
        dataset: The data.
        space: The values to choose from, see :func:`pyro_ssvae.experiments.space.choices_of`.
        trials: The number of trials for each pair; one that loses a training counts.
        out: The folder for Optuna's journal, ``trials.csv`` and the folders of the runs.
        metric: The name of the metric to go by, among those of ``validation`` in ``metrics.json``.
        labels: The number of labelled examples, as :meth:`Dataset.split` takes it.
        draws: The number of label draws, of the seeds 0, 1, ...
        drawing: The further arguments of :meth:`Dataset.split`. A search that is to be as poor in
            labels as the training has a small validation part: ``{"validation": 50}``.
        sampler_seed: The seed of what is tried.
        plan: How to train, see :class:`pyro_ssvae.experiments.plan.Plan`. ``log`` takes a line as
            each trial ends. A search is never overwritten.

    Raises:
        InputError: If Optuna is not installed, a value is not usable, or the folder holds a search
            with other settings.
    """
    out, whole = named_folder(out), completed(plan)
    pairs = [chosen(model) for model in models]
    choices = choices_of(pairs, space)
    positive_whole(trials=trials, draws=draws)
    if metric in NEITHER:
        raise InputError(
            f"expected a metric to go by that is the better the higher, or the lower, got {metric}"
        )
    if whole["overwrite"]:
        raise InputError(
            f"{out}: expected a search that goes on with what is in its folder, got overwrite=True;"
            " delete the folder, or give another one"
        )
    splits = _splits(dataset, labels, draws, drawing or {})
    for pair in pairs:
        _check(pair, splits[0].dataset, choices[pair.name])
    how: Any = {key: value for key, value in whole.items() if key not in OF_THE_SEARCH}
    setting = {
        "metric": metric, "sampler_seed": sampler_seed, "data": dataset.fingerprint,
        "splits": [split.fingerprint for split in splits],
        **how,
    }
    rows: list[Row] = []
    best: dict[str, dict[str, Any]] = {}
    with locked(out), quietly() as optuna:
        for pair in pairs:
            own = choices[pair.name]
            data = setting | {"space": {name: as_data(own[name]) for name in sorted(own)}}
            study = opened(optuna, out, pair.name, metric, data)
            while (index := len(ended(optuna, study))) < trials:
                own_seed = seed_of(sampler_seed, pair.name, index)
                study.sampler = optuna.samplers.TPESampler(seed=own_seed)
                trial = study.ask()
                options = {name: suggested(trial, name, choice) for name, choice in own.items()}
                folder = out / "runs" / f"{safe(pair.name)}-{index}"
                scores = _scores(pair, splits, folder, metric, options=options, **how)
                _tell(optuna, study, trial, scores)
                whole["log"](_line(pair.name, index, trials, metric, scores))
            tried = ended(optuna, study)[:trials]
            rows += [_row(pair.name, i, metric, own, trial) for i, trial in enumerate(tried)]
            best |= _best(pair.name, own, tried, higher_is_better(metric))
        write_text(out / TRIALS, table.csv(rows))
    return Searched(rows, best)


def _splits(dataset: Dataset, labels: Labels, draws: int, drawing: Drawing) -> list[Split]:
    """The label draws, without test examples: these are taken away behind the draw."""
    splits = [dataset.split(labels, seed=each, **drawing) for each in range(draws)]
    untested = replace(dataset, test=dataset.test[:0])
    return [replace(split, dataset=untested) for split in splits]


def _check(pair: Pair, dataset: Dataset, choices: Mapping[str, Choice]) -> None:
    """Raise :class:`InputError` if a pair cannot be made with one of the values."""
    with torch.random.fork_rng(devices=[]):
        for name, choice in choices.items():
            for value in ends(choice):
                with enough_memory(**{name: value}):
                    pair.on(dataset, **{name: value})


def _scores(
    pair: Pair, splits: Sequence[Split], folder: Path, metric: str, **how: Any
) -> list[float] | None:
    """What validation finds on each label draw; None where a training was lost."""
    scores = []
    for split in splits:
        try:
            metrics = runs.train(
                pair, split, folder / f"draw-{split.seed}", figures=False, resume=True, **how
            )
        except NonFiniteLossError:
            return None
        found = {name: v for name, v in metrics["validation"].items() if v is not None}
        if metric not in found:
            raise unknown(f"validation metric of {pair.name}", metric, found)
        scores.append(float(found[metric]))
    return scores


def _tell(optuna: Any, study: Any, trial: Any, scores: Sequence[float] | None) -> None:
    """Tell Optuna how a trial has ended: it keeps the scores, and goes by their mean."""
    trial.set_user_attr("scores", scores)
    if scores is None:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(trial, statistics.fmean(scores))


def _row(name: str, index: int, metric: str, choices: Mapping[str, Choice], trial: Any) -> Row:
    scores = trial.user_attrs["scores"]
    several = scores is not None and len(scores) > 1
    return {
        "model": name, "trial": index,
        metric: None if scores is None else statistics.fmean(scores),
        "deviation": statistics.stdev(scores) if several else None,
        **{f"option.{option}": value for option, value in _options(choices, trial).items()},
    }


def _best(
    name: str, choices: Mapping[str, Choice], tried: Sequence[Any], higher: bool
) -> dict[str, dict[str, Any]]:
    scored = [trial for trial in tried if trial.user_attrs["scores"] is not None]
    if not scored:
        return {}
    best = (max if higher else min)(scored, key=lambda trial: trial.value)
    return {name: _options(choices, best)}


def _options(choices: Mapping[str, Choice], trial: Any) -> dict[str, Any]:
    """The options that a trial tried."""
    return {
        name: choice[trial.params[name]] if isinstance(choice, list) else trial.params[name]
        for name, choice in choices.items()
    }


def _line(
    name: str, index: int, trials: int, metric: str, scores: Sequence[float] | None
) -> str:
    found = "a loss that is not finite"
    if scores is not None:
        found = f"validation {metric} {statistics.fmean(scores):.4g}"
    return f"{name}, trial {index + 1} of {trials}: {found}"
