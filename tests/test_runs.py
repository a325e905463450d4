from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyro_ssvae import InputError, NonFiniteLossError, plots, runs, training, updates
from pyro_ssvae.data import Split

UPDATES = math.ceil(1187 / 100)  # digits: 1797 less 360 test, 200 validation and 50 labelled
FILES = {"metrics.json", "history.csv", "split.json", "checkpoint.pt", "figures"}


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
    update, left = updates.update, iter(range(after))

    def interrupted(*args: Any, **options: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return update(*args, **options)

    monkeypatch.setattr(updates, "update", interrupted)


def script(monkeypatch: pytest.MonkeyPatch, *accuracies: float) -> None:
    """Let validation find these accuracies, one an epoch."""
    script: Iterator[float] = iter(accuracies)
    monkeypatch.setattr(training, "validate", lambda *_: {"accuracy": next(script)})


@pytest.fixture(scope="module", autouse=True)
def few_figures() -> Iterator[None]:
    """Draw the learning curves alone: the other figures take longer than the training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "figures", lambda objective, split, history: {
            "learning_curves": plots.learning_curves(history)
        })
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
    assert saved["settings"]["model"] == "m2"
    assert len(saved["history"]) == 2


def test_a_loaded_run_has_the_weights_the_settings_and_the_split(
    finished: Path, digits_split: Split
) -> None:
    run = runs.load(finished, device="cpu")
    assert same(dict(run.objective.state_dict()), dict(checkpoint(finished)["objective"]))
    assert run.settings["options"]["z_dim"] == 2
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
    assert {path.name for path in out.iterdir()} == {"history.csv", "split.json", "checkpoint.pt"}
    assert len(history(out)) == 1
    train(out, digits_split, epochs=4, resume=True)
    assert same(without_time(checkpoint(out)), without_time(checkpoint(whole)))
    assert {path.name for path in out.iterdir()} == FILES


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
    (run / "figures" / "old.png").touch()
    metrics = runs.train(
        "supervised", digits_split, run, options={"hidden": (16,)}, epochs=1, overwrite=True,
        device="cpu",
    )
    assert json.loads((run / "metrics.json").read_text()) == metrics
    assert metrics["model"] == checkpoint(run)["settings"]["model"] == "supervised"
    assert len(history(run)) == 1
    assert [path.name for path in (run / "figures").iterdir()] == ["learning_curves.png"]


def test_files_of_others_in_the_folder_are_kept(run: Path, digits_split: Split) -> None:
    (run / "notes.txt").write_text("mine")
    train(run, digits_split, epochs=1, overwrite=True)
    assert (run / "notes.txt").read_text() == "mine"


def test_a_new_run_deletes_nothing_of_the_folder_it_is_put_in(
    tmp_path: Path, digits_split: Split
) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mine.png").write_text("mine")
    train(tmp_path, digits_split, epochs=1)
    assert (tmp_path / "figures" / "mine.png").read_text() == "mine"


def test_a_run_is_not_replaced_unless_asked_to(run: Path, digits_split: Split) -> None:
    before = contents(run)
    with pytest.raises(InputError, match="already holds a run; --resume .* --overwrite"):
        train(run, digits_split, epochs=2)
    assert contents(run) == before


@pytest.mark.parametrize("arguments", [
    {"epochs": 0}, {"batch_labelled": 0}, {"batch_unlabelled": 0}, {"patience": 0},
    {"device": "nonsense"}, {"options": {"hidden": (16,), "z_dim": 0}},
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
    lambda saved: saved | {"settings": {}},
    lambda saved: {key: value for key, value in saved.items() if key != "stopping"},
    lambda saved: saved | {"objective": dict(list(saved["objective"].items())[1:])},
], ids=["a list", "other keys", "no settings", "no stopping", "a weight missing"])
def test_a_torch_file_that_is_no_checkpoint_of_a_run_is_refused(change: Any, run: Path) -> None:
    torch.save(change(checkpoint(run)), run / "checkpoint.pt")
    with pytest.raises(InputError, match="checkpoint.pt: expected a checkpoint of train"):
        runs.load(run)


@pytest.mark.parametrize("name", ["nonsense", "cuda:99", "meta", ""])
def test_a_device_that_cannot_train_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"expected a device .*got '{name}'"):
        runs.choose_device(name)


def test_the_automatic_device_is_the_gpu_where_there_is_one() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert runs.choose_device("auto").type == expected
