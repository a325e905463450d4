"""Trainings are told to TensorBoard epoch by epoch, and to MLflow and W&B in three lines."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pyro
import pytest
import small
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from pyro_ssvae import InputError, Objective, fit
from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.experiments import compare, runs
from pyro_ssvae.training import log
from pyro_ssvae.training.log import tensorboard

LOGGING = Path(__file__).parents[1] / "docs" / "logging.md"
TINY: dict[str, Any] = {"device": "cpu", "tensorboard": True}
OPTIONS: dict[str, Any] = {"hidden": (4,), "z_dim": 2}


@pytest.fixture(scope="module")
def stripes() -> Dataset:
    return small.stripes()


@pytest.fixture(scope="module")
def split(stripes: Dataset) -> Split:
    return stripes.split(6)


def objective(split: Split) -> Objective:
    return small.objective("m2", split, alpha=5.0, warmup=4.0)


def shown(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves that TensorBoard shows of a folder: steps and values by name."""
    found = EventAccumulator(str(folder)).Reload()
    return {
        name: [(event.step, event.value) for event in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


def steps(folder: Path) -> set[tuple[int, ...]]:
    """The steps that the curves in a folder have."""
    return {tuple(step for step, _ in curve) for curve in shown(folder).values()}


def tables(folder: Path) -> int:
    """How many times the hyperparameters were written."""
    files = (EventFileLoader(str(path)) for path in folder.glob(log.EVENTS))
    events = (event for file in files for event in file.Load())
    tags = [value.tag for event in events for value in event.summary.value]
    return tags.count("_hparams_/session_start_info")


def test_losses_weights_and_validation_are_those_of_the_epochs(
    split: Split, tmp_path: Path
) -> None:
    training = fit(objective(split), split, epochs=2)
    epochs = list(tensorboard(training, tmp_path, {"labels": 6, "hidden": (4,), "lr": 1e-3}))
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    curves = shown(tmp_path)
    for epoch in epochs:
        at = {name: dict(curve)[epoch.epoch] for name, curve in curves.items()}
        expected = {
            f"validation/{name}": value for name, value in epoch.validation.items()
        } | {f"loss/{name}": value for name, value in epoch.losses.items() if name != "loss"}
        assert expected == pytest.approx({name: at[name] for name in expected})
        assert at["loss/total"] == pytest.approx(epoch.losses["loss"])
    assert dict(curves["weight/beta"]) == {1: 0.25, 2: 0.5}  # a warm-up of four epochs
    assert dict(curves["weight/classification"]) == {1: 5.0, 2: 5.0}
    assert tables(tmp_path) == 1


def test_an_epoch_is_written_before_it_is_given(split: Split, tmp_path: Path) -> None:
    for epoch in tensorboard(fit(objective(split), split, epochs=2), tmp_path):
        assert steps(tmp_path) == {tuple(range(1, epoch.epoch + 1))}


def test_epochs_that_are_done_again_are_shown_once(split: Split, tmp_path: Path) -> None:
    first = objective(split)
    state: dict[str, Any] = {}
    training = fit(first, split, epochs=3)
    for epoch in tensorboard(training, tmp_path):
        if epoch.epoch == 1:  # what the third epoch adds is lost
            state = training.state_dict()
    going_on = fit(objective(split), split, epochs=4)
    going_on.load_state_dict(state)
    list(tensorboard(going_on, tmp_path))
    assert steps(tmp_path) == {(1, 2, 3, 4)}


def test_a_run_that_is_resumed_goes_on_with_its_curves(split: Split, tmp_path: Path) -> None:
    with small.few_figures():
        runs.train("m2", split, tmp_path, options=OPTIONS, epochs=1, **TINY)
        runs.train("m2", split, tmp_path, options=OPTIONS, epochs=2, resume=True, **TINY)
        assert steps(tmp_path) == {(1, 2)} and tables(tmp_path) == 1
        before = set(tmp_path.glob(log.EVENTS))
        runs.train("m2", split, tmp_path, options=OPTIONS, epochs=1, overwrite=True, **TINY)
    assert steps(tmp_path) == {(1,)} and not before & set(tmp_path.glob(log.EVENTS))


def test_every_run_of_a_comparison_has_its_curves(stripes: Dataset, tmp_path: Path) -> None:
    def compared(**changes: Any) -> list[Path]:
        compare.compare(
            ["m2"], stripes, tmp_path, labels=6, seeds=2, options=OPTIONS, epochs=1,
            **TINY | changes,
        )
        return sorted((tmp_path / "runs").iterdir())

    with small.few_figures():
        folders = compared()
        assert len(folders) == 2 and all(steps(folder) == {(1,)} for folder in folders)
        for folder in compared(tensorboard=False, overwrite=True):
            assert not list(folder.glob(log.EVENTS))


def test_what_is_missing_is_said_before_any_training(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "find_spec", lambda name: None)
    missing = r"expected the package tensorboard, .* pip install tensorboard"
    with pytest.raises(InputError, match=missing):
        runs.train("m2", split, tmp_path / "out", options=OPTIONS, **TINY)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match=missing):
        tensorboard(fit(objective(split), split), tmp_path)


class Run:
    """A run of W&B, or an active run of MLflow: what ``with`` takes."""

    def __init__(self) -> None:
        self.rows: list[tuple[dict[str, Any], int]] = []

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self.ended = True

    def log(
        self, data: dict[str, Any], step: int | None = None, commit: bool | None = None
    ) -> None:
        """Take what ``wandb.Run.log`` takes."""
        assert step is not None
        self.rows.append((data, step))


def test_the_recipes_run_as_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_mlflow, of_wandb = Run(), Run()

    def log_metrics(
        metrics: dict[str, float], step: int | None = None, synchronous: bool | None = None,
        run_id: str | None = None, timestamp: int | None = None, model_id: str | None = None,
        dataset: Any = None,
    ) -> None:
        of_mlflow.log(metrics, step)

    def init(
        entity: str | None = None, project: str | None = None, *, name: str | None = None,
        config: dict[str, Any] | str | None = None,
    ) -> Run:
        assert isinstance(config, dict) and "lr" in config
        return of_wandb

    stand_ins: dict[str, dict[str, Any]] = {
        "mlflow": {"start_run": lambda run_id=None: of_mlflow, "log_metrics": log_metrics},
        "wandb": {"init": init},
    }
    for name, functions in stand_ins.items():
        module = types.ModuleType(name)
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", LOGGING.read_text(), flags=re.DOTALL))
    with pyro.get_param_store().scope():
        exec(compile(code.replace("epochs=30", "epochs=1"), "logging.md", "exec"), {})
    for run in (of_mlflow, of_wandb):
        ((row, step),) = run.rows
        assert step == 1 and {"loss", "val_accuracy"} <= row.keys() and run.ended
        assert all(isinstance(value, (int, float)) for value in row.values())
    assert steps(tmp_path / "runs" / "m2") == {(1,)}
