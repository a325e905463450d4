"""A study is a list of settings, of which each is a run in the folder of its digest."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import small
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor, nn

import pyro_ssvae
from pyro_ssvae import InputError, NonFiniteLossError, data
from pyro_ssvae.cli import main
from pyro_ssvae.data import Dataset
from pyro_ssvae.experiments import earlier, job, parallel, runs, table
from pyro_ssvae.experiments.files import settings_in
from pyro_ssvae.experiments.grid import grid
from pyro_ssvae.experiments.job import jobs_of
from pyro_ssvae.experiments.setting import Setting
from pyro_ssvae.experiments.study import study

TINY: dict[str, Any] = {"labels": 6, "epochs": 2, "device": "cpu"}
OPTIONS: dict[str, Any] = {"hidden": (4,), "m2": {"z_dim": 2, "alpha": [1.0, 10.0]}}


@pytest.fixture(scope="module", autouse=True)
def few_figures() -> Iterator[None]:
    with small.few_figures():
        yield


@pytest.fixture(scope="module")
def stripes() -> Dataset:
    return small.stripes()


def settings(dataset: Dataset, **changes: Any) -> list[Setting]:
    models = changes.pop("models", ["m2", "supervised"])
    options = {n: v for n, v in OPTIONS.items() if n in ("hidden", *models)}
    return grid(models, dataset, **{"draws": 2, "options": options, **TINY, **changes})


@pytest.fixture(scope="module")
def finished(stripes: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "out"
    study(settings(stripes), out)
    return out


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


def results(out: Path) -> str:
    return (out / "results.csv").read_text()


def ended(out: Path) -> list[Path]:
    return sorted((out / "runs").glob("*/metrics.json"))


def test_every_run_is_that_of_its_setting_alone(
    finished: Path, stripes: Dataset, tmp_path: Path
) -> None:
    for setting in settings(stripes)[1::2]:
        alone = runs.train(
            setting.pair, setting.split(), tmp_path / "alone", options=setting.options,
            overwrite=True, **setting.whole_plan,
        )
        folder = finished / "runs" / (
            f"{setting.pair.name}-seed-{setting.split_seed}-{alone['digest'][:12]}"
        )
        same = json.loads((folder / "metrics.json").read_text())
        assert same["test"] == alone["test"] and same["options"] == alone["options"]


def test_what_comes_back_is_in_the_order_of_the_settings(
    folder: Path, stripes: Dataset
) -> None:
    asked = settings(stripes)
    asked = [asked[5], asked[0], asked[5]]
    metrics = study(asked, folder, resume=True)
    assert [m["model"] for m in metrics] == ["supervised", "m2", "supervised"]
    assert [m["split_seed"] for m in metrics] == [s.split_seed for s in asked]
    assert len(table.read(folder)) == 2  # the same run twice is one


# The table


def test_the_table_has_a_row_a_run_with_every_setting_and_every_metric(finished: Path) -> None:
    rows = table.read(finished)
    assert rows["model"].tolist() == 4 * ["m2"] + 2 * ["supervised"]
    assert rows["split_seed"].tolist() == [0, 1] * 3
    assert rows["option.alpha"].tolist()[:4] == [1.0, 1.0, 10.0, 10.0]
    assert rows["labels"].eq(6).all() and rows["epochs"].eq(2).all()
    for name, row in rows.set_index("run").iterrows():
        metrics = json.loads((finished / "runs" / str(name) / "metrics.json").read_text())
        for part in ("validation", "test"):
            for metric, value in metrics[part].items():
                found = row[f"{part}.{metric}"]
                assert pandas.isna(found) if value is None else found == value
        assert row["updates"] == metrics["updates"]


def test_every_column_has_one_type_as_parquet_asks(finished: Path) -> None:
    rows = table.read(finished)
    for name, column in rows.items():
        assert pandas.api.types.infer_dtype(column, skipna=True) in (
            "string", "integer", "floating", "boolean", "empty",
        ), name
    assert rows["option.z_dim"].dtype == "Int64" and rows["option.z_dim"].isna().sum() == 2


def test_what_differs_from_one_time_to_the_next_is_in_a_table_of_its_own(finished: Path) -> None:
    times = pandas.read_csv(finished / "times.csv")
    assert times["run"].tolist() == table.read(finished)["run"].tolist()
    assert {"seconds", "device", "version.torch"} <= set(times)
    assert not {"seconds", "device"} & set(table.read(finished))


def test_statistics_tell_which_is_the_best_and_how_sure_that_is(finished: Path) -> None:
    text = (finished / "statistics.md").read_text()
    assert text.startswith("# test.accuracy\n") and "# test.elbo" in text
    for name in ("m2, alpha=1", "m2, alpha=10", "supervised"):
        assert f"| {name} " in text
    assert "has the best mean" in text  # two draws tell nothing apart


def test_data_sets_have_statistics_of_their_own() -> None:
    rows: list[dict[str, Any]] = [
        {"model": model, "data": name, "labels": 10, "split_seed": draw, "seed": draw,
         "test.accuracy": accuracy + draw / 100}
        for name, of in (("easy", {"m2": 0.8, "vae": 0.6}), ("hard", {"m2": 0.5, "vae": 0.3}))
        for model, accuracy in of.items() for draw in range(6)
    ]
    easy, hard = table.statistics(rows).split("# test.accuracy, ")[1:]
    assert easy.startswith("easy\n") and hard.startswith("hard\n")
    for text in (easy, hard):
        assert text.count("| m2 ") == text.count("| vae ") == 1 and "m2 is the best" in text
    assert table.statistics(rows[:12]).startswith("# test.accuracy\n")


def test_hidden_labels_do_not_make_other_configurations(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    several = data.from_arrays(rng.random((60, 4)), rng.integers(0, 2, (60, 3)), name="several")
    asked = grid(
        ["factored"], several, draws=3, drawing={"missing": 0.4},
        options={"hidden": (4,), "z_dim": 2}, **TINY | {"labels": 20},
    )
    study(asked, tmp_path / "out")
    assert table.read(tmp_path / "out")["hidden_labels"].nunique() > 1
    text = (tmp_path / "out" / "statistics.md").read_text()
    assert text.count("| factored ") == text.count("# test.")


# Going on


def test_what_is_done_is_not_done_again(folder: Path, stripes: Dataset) -> None:
    before = {path: path.stat().st_mtime_ns for path in ended(folder)}
    text = results(folder)
    study(settings(stripes), folder, resume=True)
    assert {path: path.stat().st_mtime_ns for path in ended(folder)} == before
    assert results(folder) == text


def test_runs_with_few_measures_are_measured_again_where_all_are_asked_for(
    stripes: Dataset, tmp_path: Path
) -> None:
    lines: list[str] = []
    for measures in ("few", "few", "all", "few"):
        told = settings(stripes, measures=measures, models=["m2"], draws=1)[:1]
        (metrics,) = study(told, tmp_path, resume=True, log=lines.append)
        assert (metrics["test"]["iwae"] is None) == (metrics["measures"] == "few")
        lines.append(f"{metrics['measures']} in {metrics['seconds']} s")
    measured = [line for line in lines if line.startswith(("few", "all"))]
    # Few that are there are enough, all are measured without training again, and all are enough.
    assert [line.split()[0] for line in measured] == ["few", "few", "all", "all"]
    assert len({line.partition(" ")[2] for line in measured}) == 1


def test_figures_that_a_run_lacks_are_drawn_without_training_it_again(
    stripes: Dataset, tmp_path: Path
) -> None:
    both = settings(stripes, models=["m2"], options={"z_dim": 2}, draws=2)
    study(both, tmp_path)
    second = jobs_of(both, tmp_path)[1].folder
    history = (second / "history.csv").read_bytes()
    assert not (second / "figures").exists()
    study(both[1:], tmp_path, resume=True)
    assert list((second / "figures").glob("*.png"))
    assert not list((second / "figures").glob("*.svg"))
    study([replace(both[1], plan={**both[1].plan, "svg": True})], tmp_path, resume=True)
    assert list((second / "figures").glob("*.svg"))
    assert (second / "history.csv").read_bytes() == history
    (second / "checkpoint.pt").unlink()
    shutil.rmtree(second / "figures")
    study(both[1:], tmp_path, resume=True)  # without weights there is nothing to draw
    assert not (second / "figures").exists() and (second / "metrics.json").exists()


def test_more_settings_join_a_study(folder: Path, stripes: Dataset) -> None:
    before = {path: path.stat().st_mtime_ns for path in ended(folder)}
    study(settings(stripes, draws=3), folder, resume=True)
    assert len(ended(folder)) == 9
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("name", ["metrics.json", "history.csv"])
def test_a_damaged_run_is_named_set_aside_and_done_again(
    name: str, folder: Path, stripes: Dataset
) -> None:
    damaged, text, lines = ended(folder)[0].parent, results(folder), []
    content = (damaged / name).read_text()
    (damaged / name).write_text(content[:len(content) // 2] + "{")
    study(settings(stripes), folder, resume=True, log=lines.append)
    assert results(folder) == text
    end = f"set aside as {damaged.name}-damaged-1, and done anew"
    (said,) = [line for line in lines if line.endswith(end)]
    assert said.startswith(str(damaged / name))
    assert (damaged.with_name(f"{damaged.name}-damaged-1") / name).exists()


def test_a_damaged_checkpoint_of_a_run_under_way_is_set_aside(
    folder: Path, stripes: Dataset
) -> None:
    damaged, text = ended(folder)[0].parent, results(folder)
    (damaged / "metrics.json").unlink()
    content = (damaged / "checkpoint.pt").read_bytes()
    (damaged / "checkpoint.pt").write_bytes(content[:len(content) // 2])
    study(settings(stripes), folder, resume=True)
    assert results(folder) == text
    assert damaged.with_name(f"{damaged.name}-damaged-1").is_dir()


STUDY = """
import numpy as np
from pyro_ssvae import data
from pyro_ssvae.experiments.grid import grid

x, y = np.random.default_rng(0).random((90, 4)), np.arange(90) % 3
study = grid(
    ["m2"], data.from_arrays(x, y, name="points"), labels=6, draws=8, epochs=60, device="cpu",
    options={"hidden": (4,)},
)
"""


def test_a_study_that_is_killed_goes_on_to_the_same_table_bit_for_bit(tmp_path: Path) -> None:
    file, out = tmp_path / "mine.py", tmp_path / "out"
    file.write_text(STUDY)
    study(settings_in(file), tmp_path / "once", jobs=2)
    process = subprocess.Popen([
        sys.executable, "-m", "pyro_ssvae", "study", str(file), "--out", str(out), "--jobs", "2",
    ], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    limit = time.monotonic() + 120
    while not ended(out) and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(5 * parallel.WATCH)  # the processes that trained end with it
    assert 0 < len(ended(out)) < 8 and not (out / "results.csv").exists()
    study(settings_in(file), out, jobs=2, resume=True)
    assert results(out) == results(tmp_path / "once")


def test_a_study_is_not_replaced_unless_asked_to(folder: Path, stripes: Dataset) -> None:
    with pytest.raises(InputError, match="already holds a run; --resume .* --overwrite"):
        study(settings(stripes), folder)
    study(settings(stripes, models=["supervised"]), folder, overwrite=True)
    assert len(ended(folder)) == 2


def test_a_study_of_other_settings_is_not_gone_on_with(folder: Path, stripes: Dataset) -> None:
    with pytest.raises(InputError, match=r"study.json: .* other settings, such as batch_labelled"):
        study(settings(stripes, batch_labelled=3), folder, resume=True)
    assert len(ended(folder)) == 6


def test_runs_are_not_gone_on_with_where_their_study_is_not(
    folder: Path, stripes: Dataset
) -> None:
    before = ended(folder)
    with pytest.raises(InputError, match=r"other settings, such as epochs=2 in place of 3"):
        study(settings(stripes, epochs=3), folder, resume=True)
    assert ended(folder) == before


def test_a_study_of_another_version_is_not_gone_on_with(folder: Path, stripes: Dataset) -> None:
    path = folder / "study.json"
    path.write_text(path.read_text().replace(pyro_ssvae.__version__, "0.0.1"))
    with pytest.raises(InputError, match=r"expected a study of pyro_ssvae .*, got one of 0\.0\.1"):
        study(settings(stripes), folder, resume=True)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "runs": 3}'])
def test_a_broken_file_of_a_study_is_named(text: str, folder: Path, stripes: Dataset) -> None:
    (folder / "study.json").write_text(text)
    with pytest.raises(InputError, match="study.json: expected the file of a study"):
        study(settings(stripes), folder, resume=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_not_finite_is_none_and_no_damage(
    value: float, stripes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = runs.evaluate
    monkeypatch.setattr(runs, "evaluate", lambda *a, **b: measured(*a, **b) | {"nll": value})
    asked, lines = settings(stripes, models=["supervised"], draws=1), []
    (metrics,) = study(asked, tmp_path / "out")
    assert metrics["test"]["nll"] is None and metrics["test"]["accuracy"] is not None
    json.loads(ended(tmp_path / "out")[0].read_text(), parse_constant=pytest.fail)
    text = results(tmp_path / "out")
    monkeypatch.setattr(runs, "train", pytest.fail)
    assert study(asked, tmp_path / "out", resume=True, log=lines.append) == [metrics]
    assert results(tmp_path / "out") == text and len(lines) == 1


@pytest.mark.parametrize("backwards", [False, True])
def test_a_longer_run_goes_on_from_the_longest_of_the_shorter_ones(
    backwards: bool, stripes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    for epochs in (4, 3, 2, 1):  # none of which goes on from another
        study(settings(stripes, models=["supervised"], draws=1, epochs=[4, epochs]), out,
              resume=True)
    found = earlier.runs_in(out)
    monkeypatch.setattr(earlier, "runs_in", lambda out: found[::-1] if backwards else found)
    lines: list[str] = []
    longer = settings(stripes, models=["supervised"], draws=1, epochs=[3, 6])
    study(longer, out, resume=True, log=lines.append)
    assert "supervised, seed 0: going on after epoch 4 of 6" in lines


# Files of data


def points(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    np.savez(path, x=rng.random((90, 4)), y=np.arange(90) % 3)
    return path


def test_a_file_of_data_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = points(tmp_path / "mine.npz", 0)
    setting = Setting("m2", str(path), labels=6)
    before = setting.split().dataset
    assert setting.split().dataset is before
    points(path, 1)
    os.utime(path, ns=(0, 1))  # as a clock may tell it that is not fine enough
    after = setting.split().dataset
    assert after.fingerprint == data.load(str(path)).fingerprint != before.fingerprint


def test_a_folder_of_images_in_which_one_has_changed_is_read_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(24):
        folder = tmp_path / "mine" / f"class-{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        save_image(folder / f"{number}.png", rng)
    setting = Setting("m2", str(tmp_path / "mine"), labels=6)
    before = setting.split().dataset
    assert setting.split().dataset is before
    save_image(tmp_path / "mine" / "class-0" / "0.png", rng)
    os.utime(tmp_path / "mine" / "class-0" / "0.png", ns=(0, 1))
    assert setting.split().dataset.fingerprint != before.fingerprint


def save_image(path: Path, rng: np.random.Generator) -> None:
    Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)


def test_a_relative_name_is_of_the_file_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came = []
    for seed, name in enumerate(("one", "other")):
        (tmp_path / name).mkdir()
        os.utime(points(tmp_path / name / "mine.npz", seed), ns=(0, 0))
        monkeypatch.chdir(tmp_path / name)
        came.append(Setting("m2", "mine.npz", labels=6).split().dataset.fingerprint)
    assert came[0] != came[1]


def test_data_that_change_while_a_study_is_under_way_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = points(tmp_path / "mine.npz", 0)
    asked = settings(str(path), models=["supervised"])  # type: ignore[arg-type]
    train = runs.train

    def changing(*arguments: Any, **options: Any) -> Any:
        metrics = train(*arguments, **options)
        points(path, 1)
        return metrics

    monkeypatch.setattr(runs, "train", changing)
    message = "1 of 2 runs failed, .* mine.npz: expected the data that the study began with .* anew"
    with pytest.raises(InputError, match=message):
        study(asked, tmp_path / "out")
    assert len(ended(tmp_path / "out")) == 1


# Failures


class Broken(nn.Module):
    """A body whose outputs are infinite once it is trained."""

    def __init__(self, inputs: Any, out: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(4, out[0])

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)) * (torch.inf if self.training else 1.0)


def test_a_run_that_fails_leaves_the_others_alone(stripes: Dataset, tmp_path: Path) -> None:
    broken = grid(["supervised"], stripes, draws=1, options={"classifier": Broken}, **TINY)
    asked = [*broken, *settings(stripes, models=["supervised"])]
    with pytest.raises(NonFiniteLossError, match="1 of 3 .* classifier=.*Broken, seed 0: "):
        study(asked, tmp_path / "out")
    assert len(ended(tmp_path / "out")) == 2


def test_settings_are_checked_before_any_training(stripes: Dataset, tmp_path: Path) -> None:
    wrong = Setting("m2", stripes, labels=6, options={"z_dim": 0})
    with pytest.raises(InputError, match="> 0, got 0"):
        study([*settings(stripes), wrong], tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Processes


@pytest.mark.parametrize("backend", ["loky", "dask", "ray"])
def test_several_processes_give_the_same_table(
    backend: Any, stripes: Dataset, tmp_path: Path
) -> None:
    asked = settings(stripes, models=["supervised"], draws=3)
    study(asked, tmp_path / "here")
    study(asked, tmp_path / "out", jobs=2, backend=backend)
    assert results(tmp_path / "out") == results(tmp_path / "here")


class Killing(nn.Module):
    """A body that ends its process as soon as it is trained."""

    def __init__(self, inputs: Any, out: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(4, out[0])

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and len(x) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.linear(x.flatten(1))


def test_a_process_that_is_killed_is_one_line_and_loses_nothing_that_has_ended(
    stripes: Dataset, tmp_path: Path
) -> None:
    killing = grid(["supervised"], stripes, draws=1, options={"classifier": Killing}, **TINY)
    asked = [*settings(stripes, models=["supervised"], draws=1), *killing]
    with pytest.raises(InputError, match="got one that was killed.*go on"):
        study(asked[1:] * 1 + asked[:1], tmp_path / "out", jobs=2)
    study(asked[:1], tmp_path / "out", resume=True)
    assert len(ended(tmp_path / "out")) == 1


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_cluster_that_cannot_be_reached_is_one_line(
    backend: Any, stripes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "REACH", 1)
    with pytest.raises(InputError, match=f"expected a cluster of {backend} at 127.0.0.1:9, got no"):
        study(
            settings(stripes), tmp_path / "out", jobs=2, backend=backend, address="127.0.0.1:9"
        )


@pytest.mark.parametrize("arguments, message", [
    ({"jobs": 0}, "expected jobs > 0"), ({"backend": "spark"}, "unknown backend 'spark'"),
    ({"address": "here:1"}, "an address of dask or ray alone, got 'here:1' of loky"),
])
def test_bad_input_is_one_line(
    arguments: dict[str, Any], message: str, stripes: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        study(settings(stripes), tmp_path / "out", **arguments)


# The command


def call(*words: Any) -> Any:
    return CliRunner().invoke(main, ["study", *map(str, words)])


def test_the_command_says_what_has_ended_and_where_the_table_is(tmp_path: Path) -> None:
    file, out = tmp_path / "two.py", tmp_path / "out"
    file.write_text(
        STUDY.replace('["m2"]', '["m2", "supervised"]').replace("draws=8", "draws=1")
        .replace("epochs=60", "epochs=1")
    )
    result = call(file, "--out", out)
    assert result.exit_code == 0, result.output
    assert re.match("m2, seed 0: accuracy .*\nsupervised, seed 0: accuracy", result.stdout)
    assert result.stdout.endswith(f"2 runs; their table is {out}/results.csv\n")


def test_a_file_may_have_a_function_and_a_pair_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "bodies.py").write_text(
        "from torch import nn\n"
        "def net(inputs, out):\n    return nn.Linear(2, out[0])\n"
    )
    (tmp_path / "own.py").write_text(
        "from pyro_ssvae.experiments.setting import Setting\n"
        "def study():\n"
        "    return [Setting('supervised', 'moons', labels=6, plan={'epochs': 1},"
        " options={'classifier': 'bodies:net'})]\n"
    )
    result = call(tmp_path / "own.py", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert table.read(tmp_path / "out")["option.classifier"].tolist() == ["bodies:net"]


@pytest.mark.parametrize("text, message", [
    (None, "expected a Python file that describes a study, got no file"),
    ("study = 3", "expected a list of settings named study, .* got int"),
    ("", "expected a list of settings named study, .* got NoneType"),
    ("study = []", "expected a setting or more in study, got an empty list"),
    ("1 / 0", "expected a file that runs, got ZeroDivisionError: division by zero"),
    ("def study(): return 1 / 0", "mine.py: expected a file that runs, got ZeroDivisionError: div"),
    ("raise SystemExit(3)", "mine.py: expected a file that runs, got SystemExit: 3"),
    ("def study(): raise SystemExit", "mine.py: expected a file that runs, got SystemExit:"),
    ("raise KeyError('two\\nlines')", "mine.py: expected a file that runs, got KeyError: "),
    ("raise ValueError('two\\nlines')", "expected a file that runs, got ValueError: two$"),
    (STUDY.replace("m2", "m3"), "unknown model 'm3'"),
    (STUDY.replace("draws=8", "draws=18_000"), "at most 10,000 runs, got 18,000"),
])
def test_a_file_without_a_study_is_one_line(
    text: str | None, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    result = call(file, "--out", tmp_path / "out")
    assert result.exit_code == 2 and result.output.count("\n") == 1
    assert re.search(message, result.output.rstrip()) and not (tmp_path / "out").exists()


# Sharing


def test_runs_on_a_gpu_are_captured_whatever_their_number(
    stripes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_check", lambda *_: None)  # there need be no GPU
    monkeypatch.setattr(job, "choose_device", torch.device)
    for device, captured in (("cpu", "off"), ("cuda", "traced")):
        jobs = job.jobs_of(settings(stripes, draws=1, device=device), tmp_path)
        assert {each.record.capture for each in jobs} == {captured}


def test_runs_of_one_program_are_captured_where_all_together_are_worth_it(
    stripes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 2 epochs of 1 update: 4 runs of m2, which differ in a weight, and 2 of supervised.
    monkeypatch.setattr("pyro_ssvae.training.capturing.WORTH_UPDATES_OF_FEW", 5)
    for module in ("adam", "shared"):
        monkeypatch.setattr(f"pyro_ssvae.engine.{module}.compiled", lambda graph, tensors: graph)
    metrics = study(settings(stripes), tmp_path / "out")
    assert [m["capture"] for m in metrics] == 4 * ["on"] + 2 * ["off"]
    again = study(settings(stripes), tmp_path / "out", resume=True)
    assert [m["capture"] for m in again] == 4 * ["on"] + 2 * ["off"]


def test_runs_of_before_that_are_of_no_setting_are_told_of(folder: Path, stripes: Dataset) -> None:
    said: list[str] = []
    study(settings(stripes)[:-1], folder, resume=True, log=said.append)
    assert any(line.startswith("1 runs of before are of no setting") for line in said)
    study(settings(stripes), folder, resume=True, log=(again := []).append)
    assert not any("runs of before" in line for line in again)


def test_numbers_of_labels_by_class_are_a_setting_of_the_table(
    stripes: Dataset, tmp_path: Path
) -> None:
    labels = [{"0": 1, "1": 2, "2": 3}, {"0": 3, "1": 2, "2": 1}]
    study(settings(stripes, models=["supervised"], labels=labels, draws=2), tmp_path / "out")
    rows = table.read(tmp_path / "out")
    assert sorted(set(rows["drawing.labels"])) == ["0: 1, 1: 2, 2: 3", "0: 3, 1: 2, 2: 1"]
    assert "0: 3, 1: 2, 2: 1" in (tmp_path / "out" / "statistics.md").read_text()
