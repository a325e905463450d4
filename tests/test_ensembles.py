"""Runs of a study that are trained side by side: what each gives, and how they go on."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from click.testing import CliRunner

from pyro_ssvae import NonFiniteLossError
from pyro_ssvae.cli import main
from pyro_ssvae.data import Dataset, from_arrays
from pyro_ssvae.experiments import checkpoint, ensembles, runs, underway
from pyro_ssvae.experiments import folder as folders
from pyro_ssvae.experiments.grid import grid
from pyro_ssvae.experiments.job import jobs_of
from pyro_ssvae.experiments.setting import Setting
from pyro_ssvae.experiments.study import study
from pyro_ssvae.training.fit import fit_ensemble

TINY: dict[str, Any] = {
    "labels": 12, "epochs": 3, "batch_labelled": 6, "batch_unlabelled": 20,
    "options": {"hidden": (6,), "lr": 0.01}, "draws": 3,
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    torch.manual_seed(0)
    y = torch.arange(150) % 3
    x = torch.rand(150, 6) / 2
    x[torch.arange(150), y] += 0.5
    return from_arrays(x.numpy(), y.numpy())


@pytest.fixture(scope="module", autouse=True)
def few_figures() -> Iterator[None]:
    with small.few_figures():
        yield


@pytest.fixture(autouse=True)
def every_epoch_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(underway, "SAVE_EVERY", 0.0)


def asked(dataset: Dataset, model: str = "supervised", **changes: Any) -> list[Setting]:
    own = changes.pop("options", {})
    return grid([model], dataset, **{**TINY, **changes, "options": {**TINY["options"], **own}})


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open() as file:
        return list(csv.DictReader(file))


def assert_alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    """The same metrics, those that there are up to the rounding of batched products."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, dict):
            assert_alike(value, other[name])
        elif isinstance(value, float):
            assert value == pytest.approx(other[name], rel=1e-3, abs=1e-4), name
        else:
            assert value == other[name], name


def carry_out(settings: list[Setting], out: Path, **how: Any) -> tuple[list[Any], list[str]]:
    lines: list[str] = []
    return study(settings, out, **{"together": 8, **how}, log=lines.append), lines


# What each run gives


@pytest.mark.parametrize("changes", [
    {"model": "m2", "options": {"alpha": [1.0, 10.0], "z_dim": 2}, "draws": 2},
    {"patience": 1, "epochs": 6}, {"selections": True},
    {"options": {"average": 0.9, "decay": True}},
])
def test_each_run_gives_what_it_gives_alone(
    changes: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    settings = asked(dataset, **changes)
    alone = study(settings, tmp_path / "alone")
    metrics, lines = carry_out(settings, tmp_path / "out")
    assert len(lines) == len(settings)  # and none of them says why it did not work
    assert {one["capture"] for one in metrics} == {"ensemble"}
    assert not (tmp_path / "out" / "ensembles").exists()
    for one, other in zip(alone, metrics, strict=True):
        assert one["digest"] == other["digest"] and one["best_epoch"] == other["best_epoch"]
        assert one["epochs_done"] == other["epochs_done"]
        for part in ("validation", "test"):
            assert_alike(other[part], one[part])
        if "selected" in one:
            for way in one["selected"]:
                assert_alike(other["selected"][way], one["selected"][way])


def test_a_run_is_read_back_and_goes_on_alone(dataset: Dataset, tmp_path: Path) -> None:
    settings = asked(dataset)
    metrics, _ = carry_out(settings, tmp_path / "out")
    longer = asked(dataset, epochs=5)[1]
    (job,) = jobs_of([settings[1]], tmp_path / "out")
    assert runs.test_metrics(runs.load(job.folder, dataset=dataset)) == metrics[1]["test"]
    plan = {**longer.whole_plan, "resume": True}
    more = runs.train(
        longer.pair, longer.split(), job.folder, options=longer.options, figures=False, **plan
    )
    at_once = runs.train(
        longer.pair, longer.split(), tmp_path / "at-once", options=longer.options, figures=False,
        **longer.whole_plan,
    )
    assert more["epochs_done"] == 5
    assert_alike(more["test"], at_once["test"])


def test_a_checkpoint_has_the_tensors_of_its_run_alone(dataset: Dataset, tmp_path: Path) -> None:
    settings = asked(dataset)
    for together in (1, 8):
        study(settings, tmp_path / f"{together}", together=together)
    one, other = (
        checkpoint.read(jobs_of(settings, tmp_path / f"{n}")[0].folder, torch.device("cpu"))
        for n in (1, 8)
    )
    states = [saved["training"]["step"]["optimizer"]["state"] for saved in (one, other)]
    assert states[0].keys() == states[1].keys()
    for name, averages in states[0].items():
        for what, value in averages.items():
            own = states[1][name][what]
            assert own.untyped_storage().nbytes() == own.numel() * own.element_size()
            torch.testing.assert_close(own, value, rtol=1e-3, atol=1e-6)


def test_the_seconds_of_an_epoch_are_shared_out(dataset: Dataset, tmp_path: Path) -> None:
    metrics, _ = carry_out(asked(dataset, epochs=2, draws=2), tmp_path / "out")
    assert metrics[0]["seconds"] == metrics[1]["seconds"] > 0


# Which are trained together


def test_runs_of_one_program_are_together_as_many_as_there_may_be(
    dataset: Dataset, tmp_path: Path
) -> None:
    settings = [
        *asked(dataset, "m2", options={"alpha": [0.0, 1.0, 10.0]}, draws=2),
        *asked(dataset, draws=2), *asked(dataset, epochs=4, draws=2),
        *asked(dataset, "m2", aggressive=True, draws=2),
        *asked(dataset, epochs=5, capture="off", draws=1),
    ]
    jobs = jobs_of(settings, tmp_path)
    assert [len(unit) for unit in ensembles.units(jobs, 8)] == [2, 4, 2, 2, 1, 1, 1]
    assert [len(unit) for unit in ensembles.units(jobs, 3)] == [2, 3, 1, 2, 2, 1, 1, 1]
    assert [len(unit) for unit in ensembles.units(jobs, 1)] == [1] * len(jobs)


def test_runs_whose_numbers_are_no_weights_are_an_ensemble_each(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def counted(objectives: Any, *arguments: Any, **how: Any) -> Any:
        sizes.append(len(objectives))
        return fit_ensemble(objectives, *arguments, **how)

    monkeypatch.setattr(ensembles, "fit_ensemble", counted)
    settings = asked(dataset, options={"smoothing": [0.05, 0.1]}, draws=2)
    metrics, _ = carry_out(settings, tmp_path / "out")
    assert sizes == [2, 2] and {one["capture"] for one in metrics} == {"ensemble"}


def test_a_pair_whose_players_take_turns_is_trained_alone(
    dataset: Dataset, tmp_path: Path
) -> None:
    settings = asked(dataset, "adversarialm2", options={"game": "alternating"}, draws=2)
    metrics, _ = carry_out(settings, tmp_path / "out")
    assert "ensemble" not in {one["capture"] for one in metrics}


def test_a_run_that_is_not_finite_fails_alone(
    dataset: Dataset, tmp_path: Path
) -> None:
    settings = asked(dataset, options={"lr": [0.01, 1e30]}, draws=2)
    lines: list[str] = []
    with pytest.raises(NonFiniteLossError, match="1 of 4 runs failed, the others have ended"):
        study(settings, tmp_path / "out", together=8, log=lines.append)
    assert "supervised, lr=0.01, seed 0 and 3 more are trained one by one: replica 3:" in lines[0]
    assert len(list((tmp_path / "out" / "runs").glob("*/metrics.json"))) == 3
    assert not (tmp_path / "out" / "ensembles").exists()


# Going on


class Killed(BaseException):
    """Stands for a process that is killed."""


def interrupt(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, calls: int) -> None:
    """Have a function of a module end the process at its last call of so many, when it is done."""
    function, done = getattr(module, name), []

    def killing(*arguments: Any, **named: Any) -> None:
        function(*arguments, **named)
        done.append(1)
        if len(done) == calls:
            raise Killed

    monkeypatch.setattr(module, name, killing)


def killed(
    settings: list[Setting], out: Path, monkeypatch: pytest.MonkeyPatch, calls: int = 1
) -> Path:
    """The file of an ensemble whose study ends when it has been saved so many times."""
    with monkeypatch.context() as patch:
        interrupt(patch, ensembles, "_save", calls)
        with pytest.raises(Killed):
            carry_out(settings, out)
    (path,) = (out / "ensembles").iterdir()
    return path


@pytest.mark.parametrize("module, name, calls", [
    (ensembles, "_save", 1), (ensembles, "_save", 2), (underway, "write", 2),
    (folders, "write_metrics", 2),
])
@pytest.mark.parametrize("changes", [{}, {"patience": 1, "selections": True}])
def test_an_ensemble_that_is_killed_goes_on_to_the_same_table_bit_for_bit(
    module: Any, name: str, calls: int, changes: dict[str, Any], dataset: Dataset, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = asked(dataset, **changes)
    carry_out(settings, tmp_path / "once")
    with monkeypatch.context() as patch:
        interrupt(patch, module, name, calls)
        with pytest.raises(Killed):
            carry_out(settings, tmp_path / "out")
    assert not (tmp_path / "out" / "results.csv").exists()
    carry_out(settings, tmp_path / "out", resume=True)
    assert rows(tmp_path / "out") == rows(tmp_path / "once")


def test_what_was_saved_is_not_trained_again(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = killed(asked(dataset), tmp_path / "out", monkeypatch, calls=2)
    saved = checkpoint.loaded(path, torch.device("cpu"), ensembles.KEYS)
    assert [len(history) for history in saved["histories"]] == [2, 2, 2]
    numbers = []
    heed = ensembles._heed
    monkeypatch.setattr(ensembles, "_heed", lambda members, training, epochs: (
        numbers.append(epochs[0].epoch), heed(members, training, epochs)
    ))
    carry_out(asked(dataset), tmp_path / "out", resume=True)
    assert numbers == [3]


@pytest.mark.parametrize("changed, together", [
    (lambda settings: settings[::-1], 8), (lambda settings: settings, 1),
    (lambda settings: [settings[1], settings[0], settings[2]], 2),
])
def test_an_ensemble_goes_on_whatever_the_order_of_the_settings_and_the_number_of_runs(
    changed: Callable[[list[Setting]], list[Setting]], together: int, dataset: Dataset,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = asked(dataset, options={"lr": [0.01, 0.02]}, draws=2)[:3]
    carry_out(settings, tmp_path / "once")
    killed(settings, tmp_path / "out", monkeypatch, calls=2)
    carry_out(changed(settings), tmp_path / "out", resume=True, together=together)
    one, other = (sorted(rows(tmp_path / name), key=str) for name in ("once", "out"))
    assert one == other and len(one) == 3
    assert not (tmp_path / "out" / "ensembles").exists()


def test_what_joins_a_study_does_not_begin_an_ensemble_anew(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out(asked(dataset, draws=2), tmp_path / "once")
    killed(asked(dataset, draws=2), tmp_path / "out", monkeypatch, calls=2)
    carry_out(asked(dataset), tmp_path / "out", resume=True)
    assert rows(tmp_path / "out")[:2] == rows(tmp_path / "once")
    assert len(rows(tmp_path / "out")) == 3
    assert not (tmp_path / "out" / "ensembles").exists()


def test_a_damaged_file_of_an_ensemble_is_told_and_its_runs_begin_anew(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out(asked(dataset), tmp_path / "once")
    path = killed(asked(dataset), tmp_path / "out", monkeypatch)
    path.write_bytes(path.read_bytes()[:-100])
    _, lines = carry_out(asked(dataset), tmp_path / "out", resume=True)
    assert path.name in lines[0] and "got a broken file" in lines[0] and "begin anew" in lines[0]
    assert rows(tmp_path / "out") == rows(tmp_path / "once")


def test_runs_that_have_begun_alone_end_alone(dataset: Dataset, tmp_path: Path) -> None:
    settings = asked(dataset)
    study(settings[:1], tmp_path / "out")
    metrics, _ = carry_out(settings, tmp_path / "out", resume=True)
    assert [one["capture"] for one in metrics] == ["off", "ensemble", "ensemble"]


def test_what_is_written_over_is_gone(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(asked(dataset), tmp_path / "out", monkeypatch)
    study(asked(dataset, draws=1), tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "ensembles").exists()


# The command


def test_the_command_trains_side_by_side(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from pyro_ssvae.experiments.grid import grid\n"
        "study = grid(['m2'], 'digits', labels=50, draws=2, epochs=1, options={'hidden': (8,)})\n"
    )
    words = ["study", str(file), "--out", str(tmp_path / "out"), "--together", "2", "-q", "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert {run["capture"] for run in json.loads(result.stdout)["runs"]} == {"ensemble"}


@pytest.mark.parametrize("words", [
    ["study", "mine.py"], ["compare", "m2", "--data", "digits"], ["reproduce", "dirichlet-alpha"],
])
def test_no_run_is_too_few(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "from pyro_ssvae.experiments.grid import grid\n"
        "study = grid(['m2'], 'digits', labels=50, draws=2)\n"
    )
    result = CliRunner().invoke(main, [*words, "--together", "0", "--out", "out"])
    assert result.exit_code == 2 and "expected together > 0, got 0" in result.output
    assert len(result.output.strip().splitlines()) == 1 and not Path("out").exists()
