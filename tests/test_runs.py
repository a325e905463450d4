from __future__ import annotations

import csv
import errno
import itertools
import json
import math
import os
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch

from pyro_ssvae import InputError, NonFiniteLossError
from pyro_ssvae.data import Split
from pyro_ssvae.evaluation import evaluate
from pyro_ssvae.experiments import machine, runs, underway
from pyro_ssvae.report import names
from pyro_ssvae.report import page as report
from pyro_ssvae.system.files import locked
from pyro_ssvae.system.signals import Interrupted
from pyro_ssvae.training import fit as training
from pyro_ssvae.training.steps import Eager

UPDATES = math.ceil(1187 / 100)  # digits: 1797 less 360 test, 200 validation and 50 labelled
FILES = {"metrics.json", "history.csv", "split.json", "data.json", "checkpoint.pt", "figures"}


def train(out: Path, split: Split, **arguments: Any) -> dict[str, Any]:
    options = {"hidden": (16,), "z_dim": 2, **arguments.pop("options", {})}
    return runs.train("m2", split, out, options=options, device="cpu", **arguments)


def history(folder: Path, *without: str) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if key not in without} for row in rows]


def checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*")) if path.is_file()
    }


def same(one: Any, other: Any) -> bool:
    """Whether nested containers agree, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def without_time(state: dict[str, Any]) -> dict[str, Any]:
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in state["history"]]
    return state | {"history": rows}


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Press Ctrl-C after so many updates from now on."""
    update, left = Eager.__call__, iter(range(after))

    def interrupted(*args: Any, **options: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return update(*args, **options)

    monkeypatch.setattr(Eager, "__call__", interrupted)


def send(monkeypatch: pytest.MonkeyPatch, number: int, after: int, times: int = 1) -> None:
    """Send this process a signal, so many times, after so many updates from now on."""
    update, done = Eager.__call__, itertools.count(1)

    def signalled(*args: Any, **options: Any) -> Any:
        result = update(*args, **options)
        if next(done) == after:
            for _ in range(times):
                os.kill(os.getpid(), number)
        return result

    monkeypatch.setattr(Eager, "__call__", signalled)


def script(monkeypatch: pytest.MonkeyPatch, *accuracies: float) -> None:
    """Let validation find these accuracies, one an epoch."""
    script: Iterator[float] = iter(accuracies)
    monkeypatch.setattr(training, "validate", lambda *_: {"accuracy": next(script)})


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Draw few figures, and take few samples of the bounds."""
    with small.few_figures(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "iwae", partial(evaluate.iwae, samples=2))
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, digits_split: Split) -> Path:
    """A run of two epochs that nobody changes."""
    out = tmp_path_factory.mktemp("finished") / "run"
    train(out, digits_split, epochs=2)
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the run, to change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, digits_split: Split) -> Path:
    """The same run, of four epochs."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train(out, digits_split, epochs=4)
    return out


def test_a_run_leaves_its_five_parts_and_nothing_else(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == FILES


def test_the_metrics_returned_are_those_of_the_file(tmp_path: Path, digits_split: Split) -> None:
    metrics = train(tmp_path / "run", digits_split, epochs=1)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics


def test_metrics_tell_what_was_run(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["model"] == "m2" and metrics["data"] == "digits"
    assert (metrics["labels"], metrics["seed"]) == (50, 0)
    assert (metrics["epochs"], metrics["updates"]) == (2, 2 * UPDATES)
    assert metrics["device"] == "cpu"
    assert metrics["options"]["hidden"] == [16] and metrics["options"]["z_dim"] == 2
    assert metrics["versions"]["pyro_ssvae"] == metadata.version("pyro-ssvae")


def test_a_run_may_have_few_measures(tmp_path: Path, digits_split: Split) -> None:
    metrics = train(tmp_path, digits_split, measures="few", epochs=1)
    assert metrics["measures"] == "few"
    for part in (metrics["validation"], metrics["test"]):
        assert part["iwae"] is None and part["accuracy"] is not None and part["elbo"] is not None


def test_the_seconds_of_a_run_are_those_of_its_epochs(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    total = sum(float(row["seconds"]) for row in history(finished))
    assert metrics["seconds"] == round(total, 3)


def test_history_has_a_row_for_each_epoch(finished: Path) -> None:
    rows = history(finished)
    assert [(row["epoch"], row["updates"]) for row in rows] == [
        ("1", str(UPDATES)), ("2", str(2 * UPDATES))
    ]
    assert list(rows[0]) == [
        "epoch", "updates", "seconds", "loss", "labelled", "unlabelled", "classification",
        "val_accuracy", "val_nll", "val_elbo",
    ]


def test_the_last_row_of_history_is_validated_as_the_metrics_are(finished: Path) -> None:
    metrics, last = json.loads((finished / "metrics.json").read_text()), history(finished)[-1]
    for name in ("accuracy", "nll", "elbo"):
        assert float(last[f"val_{name}"]) == pytest.approx(metrics["validation"][name], rel=1e-6)


def test_the_split_of_a_run_is_kept(finished: Path, digits_split: Split) -> None:
    kept = json.loads((finished / "split.json").read_text())
    for part in ("labelled", "unlabelled", "validation", "test"):
        assert kept[part] == getattr(digits_split, part).tolist()


def test_a_checkpoint_loads_without_running_code(finished: Path) -> None:
    saved = torch.load(finished / "checkpoint.pt", weights_only=True)
    assert saved["record"]["model"] == "m2"
    assert len(saved["history"]) == 2


def test_a_loaded_run_has_the_weights_the_settings_and_the_split(
    finished: Path, digits_split: Split
) -> None:
    run = runs.load(finished, device="cpu")
    assert same(dict(run.objective.state_dict()), dict(checkpoint(finished)["objective"]))
    assert run.record.options["z_dim"] == 2
    assert torch.equal(run.split.labelled, digits_split.labelled)
    assert run.split.seed == digits_split.seed


def test_a_loaded_run_has_the_test_metrics_of_the_file(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    assert runs.test_metrics(runs.load(finished, device="cpu")) == metrics["test"]


def test_the_same_seed_gives_the_same_run(
    finished: Path, tmp_path: Path, digits_split: Split
) -> None:
    train(tmp_path / "again", digits_split, epochs=2)
    assert same(without_time(checkpoint(tmp_path / "again")), without_time(checkpoint(finished)))


def test_training_leaves_the_global_random_states_alone(
    tmp_path: Path, digits_split: Split
) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    train(tmp_path / "run", digits_split, epochs=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_a_resumed_run_equals_one_without_the_break(
    whole: Path, run: Path, digits_split: Split
) -> None:
    resumed = train(run, digits_split, epochs=4, resume=True)
    expected = json.loads((whole / "metrics.json").read_text())
    assert resumed | {"seconds": 0} == expected | {"seconds": 0}
    assert history(run, "seconds") == history(whole, "seconds")
    assert same(without_time(checkpoint(run)), without_time(checkpoint(whole)))


def test_a_resumed_run_with_patience_equals_one_without_the_break(
    tmp_path: Path, digits_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    script(monkeypatch, 0.1, 0.3, 0.2, 0.25, 0.9)
    expected = train(whole, digits_split, epochs=5, patience=2)
    script(monkeypatch, 0.1, 0.3, 0.2, 0.25, 0.9)
    train(parts, digits_split, epochs=3, patience=2)
    resumed = train(parts, digits_split, epochs=5, patience=2, resume=True)
    assert resumed | {"seconds": 0} == expected | {"seconds": 0}
    assert history(parts, "seconds") == history(whole, "seconds")
    assert same(without_time(checkpoint(parts)), without_time(checkpoint(whole)))


def test_patience_stops_early_and_measures_the_best_weights(
    tmp_path: Path, digits_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = train(tmp_path / "best", digits_split, epochs=2)
    script(monkeypatch, 0.1, 0.3, 0.2, 0.25, 0.9)
    stopped = train(tmp_path / "stopped", digits_split, epochs=5, patience=2)
    assert (stopped["epochs_done"], stopped["best_epoch"]) == (4, 2)
    assert stopped["updates"] == 4 * UPDATES
    assert stopped["test"] == best["test"] and stopped["validation"] == best["validation"]


def test_a_run_with_patience_is_loaded_with_its_best_weights(
    tmp_path: Path, digits_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, 0.3, 0.1, 0.2)
    metrics = train(tmp_path / "run", digits_split, epochs=3, patience=5)
    assert runs.test_metrics(runs.load(tmp_path / "run", device="cpu")) == metrics["test"]


def test_a_run_that_has_stopped_early_stays_stopped(
    tmp_path: Path, digits_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, 0.3, 0.1)
    stopped = train(tmp_path / "run", digits_split, epochs=9, patience=1)
    again = train(tmp_path / "run", digits_split, epochs=9, patience=1, resume=True)
    assert again == stopped


def test_resuming_a_finished_run_changes_nothing(run: Path, digits_split: Split) -> None:
    before = contents(run)
    train(run, digits_split, epochs=2, resume=True)
    assert contents(run) == before


def test_resuming_where_there_is_no_run_starts_one(
    finished: Path, tmp_path: Path, digits_split: Split
) -> None:
    train(tmp_path / "new", digits_split, epochs=2, resume=True)
    assert same(without_time(checkpoint(tmp_path / "new")), without_time(checkpoint(finished)))


def test_an_interrupted_run_leaves_what_it_takes_to_resume(
    whole: Path, tmp_path: Path, digits_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, after=UPDATES + 3)
        train(out, digits_split, epochs=4)
    assert {path.name for path in out.iterdir()} == FILES - {"metrics.json", "figures"}
    assert len(history(out)) == 1
    train(out, digits_split, epochs=4, resume=True)
    assert same(without_time(checkpoint(out)), without_time(checkpoint(whole)))
    assert {path.name for path in out.iterdir()} == FILES


@pytest.mark.parametrize("after, place", [
    (3, "epoch 1 of 4, after update 3 of 12"),
    (UPDATES + 5, "epoch 2 of 4, after update 5 of 12"),
    (2 * UPDATES, "epoch 2 of 4, after update 12 of 12"),
], ids=["the first epoch", "an epoch", "the last update of an epoch"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_a_signal_ends_training_after_its_update_and_nothing_is_lost(
    number: int, after: int, place: str, whole: Path, tmp_path: Path, digits_split: Split,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as error:
        send(patch, number, after)
        train(out, digits_split, epochs=4)
    assert (str(error.value), error.value.number) == (f"interrupted in {place}; saved in {out}",
                                                      number)
    assert not {".lock", "metrics.json"} & {path.name for path in out.iterdir()}
    optimizer = checkpoint(out)["training"]["step"]["optimizer"]
    steps = {int(averages["step"]) for averages in optimizer["state"].values()}
    assert steps == {after}
    resumed = train(out, digits_split, epochs=4, resume=True)
    assert resumed | {"seconds": 0} == json.loads((whole / "metrics.json").read_text()) | {
        "seconds": 0
    }
    assert history(out, "seconds") == history(whole, "seconds")
    assert same(without_time(checkpoint(out)), without_time(checkpoint(whole)))
    assert {path.name for path in out.iterdir()} == FILES


@pytest.mark.parametrize("arguments", [
    {"aggressive": True}, {"patience": 3}, {"options": {"decay": True}},
    {"capture": "traced"}, {"options": {"alpha": 5.0, "warmup": 3.0}},
], ids=str)
def test_a_pause_within_an_epoch_changes_nothing_of_any_training(
    arguments: dict[str, Any], tmp_path: Path, digits_split: Split,
    monkeypatch: pytest.MonkeyPatch, traced_once: None,
) -> None:
    monkeypatch.setattr("pyro_ssvae.training.aggressive.INNER_STEPS", 3)
    one, other = tmp_path / "one", tmp_path / "other"
    sizes = {"epochs": 2, "batch_unlabelled": 300}  # four updates an epoch
    train(one, digits_split, **sizes, **arguments)
    pausing = iter([False] * 5 + [True])
    with monkeypatch.context() as patch:
        patch.setattr(underway, "Signals", lambda wait: Pressed(pausing))
        with pytest.raises(Interrupted, match="in epoch 2 of 2, after update 2 of 4"):
            train(other, digits_split, **sizes, **arguments)
    train(other, digits_split, **sizes, **arguments, resume=True)
    assert same(without_time(checkpoint(one)), without_time(checkpoint(other)))


def test_a_pause_is_not_before_the_smaller_batch_that_ends_an_epoch(
    tmp_path: Path, digits_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Interrupted, match="in epoch 1 of 2, after update 12 of 12"):
        send(monkeypatch, signal.SIGINT, UPDATES - 1)
        train(tmp_path / "run", digits_split, epochs=2)


class Pressed:
    """Signals of which one comes when the script says so."""

    def __init__(self, script: Iterator[bool]) -> None:
        self.script, self.number = script, None

    @property
    def came(self) -> int | None:
        if self.number is None and next(self.script):
            self.number = signal.SIGINT
        return self.number

    def __enter__(self) -> Pressed:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def test_a_second_signal_ends_training_at_once(
    run: Path, digits_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (run / "checkpoint.pt").read_bytes()
    with pytest.raises(Interrupted, match="^interrupted$"):
        send(monkeypatch, signal.SIGINT, 3, times=2)
        train(run, digits_split, epochs=4, resume=True)
    assert (run / "checkpoint.pt").read_bytes() == before
    assert ".lock" not in {path.name for path in run.iterdir()}


def test_a_signal_during_the_last_validation_leaves_a_run_to_evaluate(
    tmp_path: Path, digits_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate = training.validate

    def signalled(*args: Any) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(*args)

    out = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as error:
        patch.setattr(training, "validate", signalled)
        train(out, digits_split, epochs=1)
    assert str(error.value).startswith("interrupted after 1 of 1 epochs, before the run was eval")
    assert not (out / "metrics.json").exists()
    assert train(out, digits_split, epochs=1, resume=True)["epochs_done"] == 1


def test_a_run_that_has_begun_an_epoch_is_not_ended_before_it(
    tmp_path: Path, digits_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        send(patch, signal.SIGINT, UPDATES + 1)
        train(tmp_path / "run", digits_split, epochs=4)
    with pytest.raises(InputError, match="has begun epoch 2, got epochs=1"):
        train(tmp_path / "run", digits_split, epochs=1, resume=True)


def test_signals_are_given_back(run: Path, digits_split: Split) -> None:
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(number) for number in numbers]
    train(run, digits_split, epochs=2, resume=True)
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_run_that_another_process_writes_is_refused(run: Path, digits_split: Split) -> None:
    before = contents(run)
    for arguments in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(InputError, match="expected a folder that no other process writes to"):
            with locked(run):
                train(run, digits_split, epochs=2, **arguments)
    assert contents(run) == before


def test_a_disk_that_fills_up_leaves_the_last_checkpoint(
    run: Path, digits_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (run / "checkpoint.pt").read_bytes()

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(InputError, match="checkpoint.pt: expected room to write it"):
            train(run, digits_split, epochs=3, resume=True)
    assert (run / "checkpoint.pt").read_bytes() == before
    assert train(run, digits_split, epochs=3, resume=True)["epochs_done"] == 3


def test_a_run_interrupted_in_its_first_epoch_leaves_nothing(
    tmp_path: Path, digits_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, after=3)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", digits_split, epochs=2)
    assert list(tmp_path.iterdir()) == []


def test_metrics_never_stand_beside_the_weights_of_another_epoch(
    run: Path, digits_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, after=UPDATES + 3)
    with pytest.raises(KeyboardInterrupt):
        train(run, digits_split, epochs=4, resume=True)
    assert len(checkpoint(run)["history"]) == 3
    assert not (run / "metrics.json").exists()


def test_overwriting_replaces_the_run(run: Path, digits_split: Split) -> None:
    (run / "figures" / "samples.png").touch()
    metrics = runs.train(
        "supervised", digits_split, run, options={"hidden": (16,)}, epochs=1, overwrite=True,
        device="cpu",
    )
    assert json.loads((run / "metrics.json").read_text()) == metrics
    assert metrics["model"] == checkpoint(run)["record"]["model"] == "supervised"
    assert len(history(run)) == 1
    assert [path.name for path in (run / "figures").iterdir()] == ["learning_curves.png"]


def test_files_of_others_in_the_folder_are_kept(run: Path, digits_split: Split) -> None:
    (run / "notes.txt").write_text("mine")
    train(run, digits_split, epochs=1, overwrite=True)
    assert (run / "notes.txt").read_text() == "mine"


def test_figures_of_others_in_the_folder_of_figures_are_kept(
    run: Path, digits_split: Split
) -> None:
    (run / "figures" / "mine.png").write_text("mine")
    (run / "figures" / "samples.png").touch()
    train(run, digits_split, epochs=1, overwrite=True)
    assert {path.name for path in (run / "figures").iterdir()} == {
        "mine.png", "learning_curves.png"
    }


def test_nothing_is_deleted_through_a_link(
    run: Path, tmp_path: Path, digits_split: Split
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "samples.png").write_text("mine")
    (tmp_path / "elsewhere" / "history.csv").write_text("mine")
    shutil.rmtree(run / "figures")
    (run / "figures").symlink_to(tmp_path / "elsewhere")
    (run / "history.csv").unlink()
    (run / "history.csv").symlink_to(tmp_path / "elsewhere" / "history.csv")
    train(run, digits_split, epochs=1, overwrite=True)
    assert (tmp_path / "elsewhere" / "samples.png").read_text() == "mine"
    assert (tmp_path / "elsewhere" / "history.csv").read_text() == "mine"
    assert len(history(run)) == 1


def test_every_figure_of_a_run_can_be_deleted_by_its_name(digits_split: Split) -> None:
    assert set(names.FIGURES) == set(report.captions(digits_split.dataset, classes=True))


def test_a_new_run_deletes_nothing_of_the_folder_it_is_put_in(
    tmp_path: Path, digits_split: Split
) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mine.png").write_text("mine")
    train(tmp_path, digits_split, epochs=1)
    assert (tmp_path / "figures" / "mine.png").read_text() == "mine"


def test_what_is_no_split_is_refused_before_there_is_a_folder(tmp_path: Path) -> None:
    for given in (small.stripes(), "stripes"):
        with pytest.raises(InputError, match="expected a split, got .*split.labels=...."):
            runs.train("m2", given, tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_replaced_unless_asked_to(run: Path, digits_split: Split) -> None:
    before = contents(run)
    with pytest.raises(InputError, match="already holds a run; --resume .* --overwrite"):
        train(run, digits_split, epochs=2)
    assert contents(run) == before


@pytest.mark.parametrize("arguments", [
    {"epochs": 0}, {"batch_labelled": 0}, {"batch_unlabelled": 0}, {"patience": 0},
    {"device": "nonsense"}, {"measures": "some"}, {"options": {"hidden": (16,), "z_dim": 0}},
    {"options": {"nothing": 1}}, {"options": {"lr": 0.0}}, {"options": {"alpha": -1.0}},
], ids=str)
def test_bad_input_leaves_the_run_to_be_overwritten_whole(
    arguments: dict[str, Any], run: Path, digits_split: Split
) -> None:
    before = contents(run)
    with pytest.raises(InputError):
        runs.train("m2", digits_split, run, overwrite=True, **arguments)
    assert contents(run) == before


def test_a_run_lost_in_its_first_epoch_leaves_the_run_to_be_overwritten_whole(
    run: Path, digits_split: Split
) -> None:
    before = contents(run)
    with pytest.raises(NonFiniteLossError):
        train(run, digits_split, options={"lr": 1e30}, overwrite=True)
    assert contents(run) == before


@pytest.mark.parametrize("changed, named", [
    ({"options": {"z_dim": 3}}, r"has z_dim=2, got z_dim=3"),
    ({"options": {"hidden": (8,)}}, r"has hidden=\[16\], got hidden=\[8\]"),
    ({"batch_labelled": 7}, "has batch_labelled=100, got batch_labelled=7"),
    ({"batch_unlabelled": 7}, "has batch_unlabelled=100, got batch_unlabelled=7"),
    ({"patience": 3}, "has patience=None, got patience=3"),
    ({"epochs": 1}, "has done 2 epochs, got epochs=1"),
])
def test_a_run_is_resumed_with_its_own_settings_only(
    changed: dict[str, Any], named: str, run: Path, digits_split: Split
) -> None:
    before = contents(run)
    with pytest.raises(InputError, match=named):
        train(run, digits_split, **{"epochs": 4, **changed}, resume=True)
    assert contents(run) == before


@pytest.mark.parametrize("labels, seed, named", [
    (60, 0, "has labels=50, got labels=60"), (50, 1, "has seed=0, got seed=1"),
])
def test_a_run_is_resumed_with_its_own_split_only(
    labels: int, seed: int, named: str, run: Path, digits_split: Split
) -> None:
    with pytest.raises(InputError, match=named):
        train(run, digits_split.dataset.split(labels, seed=seed), epochs=4, resume=True)


def test_resuming_with_another_model_names_the_models(run: Path, digits_split: Split) -> None:
    with pytest.raises(InputError, match="has model=m2, got model=vae"):
        runs.train("vae", digits_split, run, epochs=4, resume=True)


def test_resume_and_overwrite_exclude_each_other(run: Path, digits_split: Split) -> None:
    with pytest.raises(InputError, match="one of --resume and --overwrite, got both"):
        train(run, digits_split, resume=True, overwrite=True)


@pytest.mark.parametrize("damage", [
    lambda whole: b"", lambda whole: b"not a checkpoint\n", lambda whole: whole[:1000],
    lambda whole: whole[:-100], lambda whole: b".\n",
], ids=["empty", "text", "beginning", "without its end", "a dot"])
def test_a_broken_checkpoint_is_refused(damage: Any, run: Path, digits_split: Split) -> None:
    path = run / "checkpoint.pt"
    path.write_bytes(damage(path.read_bytes()))
    for use in (
        lambda: runs.load(run), lambda: train(run, digits_split, epochs=4, resume=True),
    ):
        with pytest.raises(InputError, match="expected a checkpoint of train, got a broken file"):
            use()


@pytest.mark.parametrize("change", [
    lambda saved: [1, 2],
    lambda saved: {"weights": saved["objective"]},
    lambda saved: saved | {"record": {}},
    lambda saved: {key: value for key, value in saved.items() if key != "training"},
    lambda saved: saved | {"objective": dict(list(saved["objective"].items())[1:])},
], ids=["a list", "other keys", "no record", "no stopping", "a weight missing"])
def test_a_torch_file_that_is_no_checkpoint_of_a_run_is_refused(change: Any, run: Path) -> None:
    torch.save(change(checkpoint(run)), run / "checkpoint.pt")
    with pytest.raises(InputError, match="checkpoint.pt: expected a checkpoint of train"):
        runs.load(run)


class Intruder:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("place", ["record", "history", "objective", "optimizer", None], ids=str)
def test_code_in_a_checkpoint_is_not_run(
    place: str | None, run: Path, tmp_path: Path, digits_split: Split
) -> None:
    intruder = Intruder(tmp_path / "made")
    saved = checkpoint(run) | {place: intruder} if place else intruder
    torch.save(saved, run / "checkpoint.pt")
    for use in (
        lambda: runs.load(run), lambda: train(run, digits_split, epochs=4, resume=True),
    ):
        with pytest.raises(InputError) as error:
            use()
        assert "it holds more than tensors and plain values" in str(error.value)
        assert "weights" not in str(error.value) and "load" not in str(error.value)
    assert not (tmp_path / "made").exists()
    torch.load(run / "checkpoint.pt", weights_only=False)  # the test can fail
    assert (tmp_path / "made").exists()


NAN = float("nan")


def first(tensors: dict[str, Any], value: float) -> dict[str, Any]:
    """Weights of which one number is another."""
    name = next(iter(tensors))
    changed = tensors[name].clone()
    changed.view(-1)[0] = value
    return tensors | {name: changed}


def averages(saved: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A checkpoint in which the optimizer's averages of the first weight are others."""
    optimizer = saved["training"]["step"]["optimizer"]
    state = optimizer["state"] | {0: optimizer["state"][0] | changes}
    return step(saved, optimizer=optimizer | {"state": state})


def group(saved: dict[str, Any], **changes: Any) -> dict[str, Any]:
    optimizer = saved["training"]["step"]["optimizer"]
    return step(saved, optimizer=optimizer | {"param_groups": [
        optimizer["param_groups"][0] | changes
    ]})


def training_state(saved: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return saved | {"training": saved["training"] | changes}


def step(saved: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return training_state(saved, step=saved["training"]["step"] | changes)


def place(saved: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return training_state(saved, place=saved["training"]["place"] | changes)


def recorded(saved: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return saved | {"record": saved["record"] | changes}


BROKEN = {
    "the record is a list": lambda s: s | {"record": [1]},
    "the model is a number": lambda s: recorded(s, model=1),
    "the data set is a tensor": lambda s: recorded(s, data=torch.zeros(2)),
    "the fingerprint is a number": lambda s: recorded(s, data_fingerprint=1),
    "the seed is a flag": lambda s: recorded(s, seed=True),
    "capture is as asked for": lambda s: recorded(s, capture="auto"),
    "the options are a text": lambda s: recorded(s, options="z_dim"),
    "an option is a tensor": lambda s: recorded(s, options={"z_dim": torch.zeros(2)}),
    "an option is a dictionary": lambda s: recorded(s, options={"z_dim": {}}),
    "a size is a text": lambda s: recorded(s, options=s["record"]["options"] | {"z_dim": "2"}),
    "an option has a number for a name": lambda s: recorded(s, options={1: 2}),
    "history is a text": lambda s: s | {"history": "long"},
    "history is of lists": lambda s: s | {"history": [[1], [2]]},
    "history has no epochs": lambda s: s | {"history": [{}, {}]},
    "history has a gap": lambda s: s | {"history": s["history"][1:]},
    "a loss is a text": lambda s: s | {"history": [row | {"loss": "x"} for row in s["history"]]},
    "rows have other columns": lambda s: s | {"history": [s["history"][0] | {"a": 1.0},
                                                          s["history"][1]]},
    "the weights are a list": lambda s: s | {"objective": [1]},
    "a weight is a number": lambda s: s | {"objective": dict.fromkeys(s["objective"], 1.0)},
    "a weight is NaN": lambda s: s | {"objective": first(s["objective"], NAN)},
    "a weight is infinite": lambda s: s | {"objective": first(s["objective"], math.inf)},
    "the training is a text": lambda s: s | {"training": "done"},
    "stopping is a number": lambda s: training_state(s, stopping=[3]),
    "the best weights are NaN": lambda s: training_state(s, stopping=[{
        "best": 0.5, "best_epoch": 1, "weights": first(s["objective"], NAN)}]),
    "aggressive is a text": lambda s: step(s, aggressive="yes"),
    "the place is a list": lambda s: training_state(s, place=[]),
    "the place is before the beginning": lambda s: place(s, step=-1),
    "the place has no noise": lambda s: place(s, step=1, losses={"loss": torch.ones(1)}),
    "the place has too few losses": lambda s: place(
        s, step=2, losses={"loss": torch.ones(1)}, noise={"cpu": torch.get_rng_state()}),
}
BROKEN_OPTIMIZERS = {
    "the optimizer is a list": lambda s: step(s, optimizer=[1]),
    "an average is NaN": lambda s: averages(
        s, exp_avg=torch.full_like(
            s["training"]["step"]["optimizer"]["state"][0]["exp_avg"], NAN)),
    "an average has another shape": lambda s: averages(s, exp_avg=torch.zeros(3)),
    "an average is a text": lambda s: averages(s, exp_avg="x"),
    "a step is a list": lambda s: averages(s, step=[1]),
    "there are other averages": lambda s: averages(s, more=torch.zeros(3)),
    "betas are a text": lambda s: group(s, betas="x"),
    "the rate is NaN": lambda s: group(s, lr=NAN),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_checkpoint_with_a_part_of_another_kind_is_refused(
    change: Any, run: Path, digits_split: Split
) -> None:
    torch.save(change(checkpoint(run)), run / "checkpoint.pt")
    for use in (
        lambda: runs.load(run), lambda: train(run, digits_split, epochs=4, resume=True),
    ):
        with pytest.raises(InputError) as error:
            use()
        assert "\n" not in str(error.value) and str(run) in str(error.value)


@pytest.mark.parametrize("change", BROKEN_OPTIMIZERS.values(), ids=BROKEN_OPTIMIZERS)
def test_a_run_is_not_resumed_with_a_broken_optimizer(
    change: Any, run: Path, digits_split: Split
) -> None:
    torch.save(change(checkpoint(run)), run / "checkpoint.pt")
    with pytest.raises(InputError, match="checkpoint.pt: expected a checkpoint of train"):
        train(run, digits_split, epochs=4, resume=True)


def test_a_flipped_bit_in_the_weights_is_noticed(run: Path) -> None:
    content = bytearray((run / "checkpoint.pt").read_bytes())
    weights = checkpoint(run)["objective"]
    place = content.find(max(weights.values(), key=torch.Tensor.numel).numpy().tobytes())
    assert place > 0
    content[place + 2] ^= 1
    (run / "checkpoint.pt").write_bytes(content)
    with pytest.raises(InputError, match="got a broken file .* is damaged"):
        runs.load(run)


@pytest.mark.parametrize("name", ["nonsense", "cuda:99", "meta", ""])
def test_a_device_that_cannot_train_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"expected a device .*got '{name}'"):
        machine.choose_device(name)


def test_the_automatic_device_is_the_gpu_where_there_is_one() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert machine.choose_device("auto").type == expected
