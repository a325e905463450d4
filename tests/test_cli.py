from __future__ import annotations

import csv
import gzip
import json
import os
import re
import runpy
import shlex
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import small
import torch
from click.testing import CliRunner, Result
from matplotlib.image import imread

import pyro_ssvae
from pyro_ssvae import data
from pyro_ssvae.cli import main, values
from pyro_ssvae.experiments import pairs, runs
from pyro_ssvae.report import plots
from pyro_ssvae.system.files import locked
from pyro_ssvae.training.steps import Eager

SMALL = ("--set", "hidden=16", "--set", "z_dim=2", "--device", "cpu")
SCRIPT = (str(Path(sys.executable).parent / "pyro-ssvae"),)
# As the interpreter runs them, but without the seconds in which another one imports torch.
PROGRAMS = (
    partial(runpy.run_path, *SCRIPT, run_name="__main__"),
    partial(runpy.run_module, "pyro_ssvae", run_name="__main__"),
)
MNIST = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
         "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def message(stderr: str) -> str:
    """The error, which is the one line on stderr but for click's reminder of the usage."""
    lines = [
        line for line in stderr.splitlines() if line and not re.match(r"Usage: |Try '", line)
    ]
    assert len(lines) == 1 and lines[0].startswith("Error: "), stderr
    return lines[0]


def refusal(result: Result) -> str:
    """The error of a command that has refused its input."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    return message(result.stderr)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*")) if path.is_file()
    }


def printed(text: str) -> dict[str, str]:
    """The metrics in what a command has printed."""
    return dict(re.findall(r"^(\w+) +(-?[\d.e+-]+)$", text, re.MULTILINE))


def read(folder: Path, name: str = "metrics.json") -> dict[str, Any]:
    return json.loads((folder / name).read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run of two epochs that nobody changes, and what was printed."""
    out = tmp_path_factory.mktemp("trained") / "deep" / "run"
    result = call("train", "m2", "--epochs", 2, *SMALL, "--set", "alpha=5", "--out", out)
    assert result.exit_code == 0, result.output
    return out, result.stdout


@pytest.fixture
def run(trained: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the run, to change."""
    return Path(shutil.copytree(trained[0], tmp_path / "run"))


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no figures: they take longer than the training."""
    monkeypatch.setattr(plots, "figures", lambda objective, split, history: {})


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A folder with the four files of a small MNIST."""
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    for name, content in mnist_files().items():
        (tmp_path / "data" / "mnist" / f"{name}.gz").write_bytes(gzip.compress(content))
    return tmp_path / "data"


def mnist_files() -> dict[str, bytes]:
    files = {}
    for name in MNIST:
        n = 40 if name.startswith("train") else 20
        if "images" in name:
            files[name] = struct.pack(">4i", 2051, n, 28, 28) + bytes(n * 28 * 28)
        else:
            files[name] = struct.pack(">2i", 2049, n) + bytes(i % 10 for i in range(n))
    return files


# list


def test_list_has_a_line_for_every_pair_with_the_factorisation_of_its_model() -> None:
    result = call("list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    for name in pairs.names():
        factorisation = (pairs.pair(name).model.__doc__ or "").splitlines()[0].strip()
        assert [line for line in lines if line.split() == [name, *factorisation.split()]]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", pairs.names())
def test_list_shows_a_pair_with_its_factorisations_paper_and_options(name: str) -> None:
    result = call("list", name)
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    text = re.sub(r"(\w-)\s+(?=\w)", r"\1", " ".join(result.stdout.split()))  # wrapped at a hyphen
    shown = re.findall(r"^  (\w+)=", result.stdout, re.M)
    pair = pairs.pair(name)
    wanted = (name for name, option in pair.options.items() if option.textual)
    assert sorted(shown) == sorted(filter(pair.takes, wanted))
    for program in (pair.model, pair.guide):
        assert " ".join((program.__doc__ or "").splitlines()[0].split()) in text
    assert pair.source in text
    for option in shown:
        assert pair.options[option].meaning in text


@pytest.mark.parametrize("name", pairs.names())
def test_list_shows_the_values_used_on_the_data_as_set_reads_them(name: str) -> None:
    pair = pairs.pair(name)
    shown = re.findall(r"^  (\w+=\S*)", call("list", name, "--data", "moons").stdout, re.M)
    used = pair.resolve(data.load("moons"), {})
    assert values.of_pair(shown, pair.options) == {
        key: value for key, value in used.items() if pair.takes(key)
    }


def test_list_shows_m2_as_its_paper_has_it_and_its_values_on_mnist() -> None:
    lines = call("list", "m2", "--data", "mnist").stdout.splitlines()
    assert "  model  p(x, y, z) = p(y) p(z) p(x | y, z)" in lines
    assert "  guide  q(y, z | x) = q(y | x) q(z | x, y)" in lines
    assert "  z_dim=50              J, the number of latent dimensions." in lines


@pytest.mark.parametrize("arguments, wanted", [
    (["m3"], "unknown model 'm3': .* did you mean 'm2'"),
    (["m2", "--data", "minst"], "unknown data set 'minst': .* did you mean 'mnist'"),
    (["m2", "vae"], "unexpected extra argument"),
    (["--data", "moons"], "expected a MODEL with --data, got none"),
], ids=" ".join)
def test_list_refuses_what_it_does_not_know(arguments: list[str], wanted: str) -> None:
    assert re.search(wanted, refusal(call("list", *arguments)))


def test_list_says_which_options_can_be_set_for_one_program() -> None:
    text = " ".join(call("list", "m2").stdout.split())
    assert text.endswith("--set NAME=VALUE, and for one program by model.hidden,"
                         " model.network, guide.hidden, guide.network.")
    assert "for one program" not in call("list", "supervised").stdout


# train


def test_train_writes_metrics_history_split_checkpoint_and_figures(
    trained: tuple[Path, str]
) -> None:
    folder, _ = trained
    assert set(contents(folder)) == {
        "metrics.json", "history.csv", "split.json", "data.json", "checkpoint.pt",
        "figures/analogies.png", "figures/confusion.png", "figures/latent.png",
        "figures/learning_curves.png", "figures/mistakes.png", "figures/reliability.png",
        "figures/samples.png",
    }


def test_metrics_have_the_promised_keys(trained: tuple[Path, str]) -> None:
    metrics = read(trained[0])
    assert metrics.keys() >= {
        "model", "data", "labels", "seed", "epochs", "updates", "seconds", "device", "options",
        "versions", "validation", "test",
    }
    for part in ("validation", "test"):
        assert metrics[part].keys() >= {"accuracy", "nll", "brier", "ece", "elbo", "iwae"}
        assert all(isinstance(value, (int, float)) for value in metrics[part].values())
    assert metrics["versions"].keys() >= {"python", "torch", "pyro", "pyro_ssvae"}


def test_metrics_are_within_their_bounds(trained: tuple[Path, str]) -> None:
    test = read(trained[0])["test"]
    assert 0 <= test["accuracy"] <= 1 and 0 <= test["ece"] <= 1 and 0 <= test["brier"] <= 2
    assert test["nll"] > 0
    assert test["elbo"] <= test["iwae"] < 0
    parts = test["reconstruction"] - test["kl_z"] - test["kl_y"]
    assert test["elbo"] == pytest.approx(parts, rel=1e-9)


@pytest.mark.usefixtures("no_figures")
def test_the_arguments_reach_the_run(tmp_path: Path) -> None:
    result = call(
        "train", "supervised", "--data", "moons", "--labels", 7, "--epochs", 1, "--seed", 3,
        "--device", "cpu", "--batch-labelled", 5, "--batch-unlabelled", 3000, "--patience", 4,
        "--set", "hidden=6,5", "--set", "beta=0.5", "--set", "lr=0.01", "--out", tmp_path / "run",
    )
    assert result.exit_code == 0, result.output
    metrics = read(tmp_path / "run")
    expected = {
        "model": "supervised", "data": "moons", "labels": 7, "seed": 3, "epochs": 1,
        "batch_labelled": 5, "batch_unlabelled": 3000, "patience": 4, "device": "cpu",
        "updates": 4,  # 13,000 less 2,000 test, 1,000 validation and 7 labelled, by 3,000
    }
    assert {key: metrics[key] for key in expected} == expected
    assert metrics["options"].items() >= {
        "hidden": [6, 5], "labelled": 1.0, "unlabelled": 0.0, "alpha": 0.0, "beta": 0.5,
        "warmup": 0.0, "lr": 0.01,
    }.items()
    assert [metrics["test"][key] for key in ("elbo", "iwae")] == [None, None]


def test_train_prints_the_test_metrics_and_where_they_are(trained: tuple[Path, str]) -> None:
    folder, text = trained
    test = read(folder)["test"]
    assert printed(text) == {name: f"{value:.6g}" for name, value in test.items()}
    assert f"written to {folder}" in text


def test_history_is_a_table_with_a_row_for_each_epoch(trained: tuple[Path, str]) -> None:
    with (trained[0] / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())


def test_the_split_holds_disjoint_indices_with_labels_of_every_class(
    trained: tuple[Path, str]
) -> None:
    split = read(trained[0], "split.json")
    parts = [split[part] for part in ("labelled", "unlabelled", "validation", "test")]
    assert sorted(sum(parts, [])) == list(range(1797))
    assert len(split["labelled"]) == 50


def test_figures_are_pictures_with_something_on_them(trained: tuple[Path, str]) -> None:
    for path in (trained[0] / "figures").iterdir():
        pixels = imread(path)[..., :3]
        assert min(pixels.shape[:2]) > 100 and pixels.std() > 0.01


@pytest.mark.usefixtures("no_figures")
def test_train_and_compare_give_the_same_run(comparison: Path, tmp_path: Path) -> None:
    call("train", "vae", "--epochs", 2, "--seed", 1, *SMALL, "--out", tmp_path / "run")
    compared = small.run_of(comparison, "vae", 1)
    assert read(tmp_path / "run")["test"] == read(compared)["test"]
    one, other = (
        torch.load(folder / "checkpoint.pt", weights_only=True)["objective"]
        for folder in (tmp_path / "run", compared)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.usefixtures("no_figures")
def test_the_split_and_the_training_have_a_seed_each(tmp_path: Path) -> None:
    small = ("--epochs", 1, "--device", "cpu", "--set", "hidden=4", "--batch-unlabelled", 2000)
    call("train", "supervised", "--seed", 3, *small, "--out", tmp_path / "one")
    call("train", "supervised", "--seed", 3, "--split-seed", 4, *small, "--out", tmp_path / "two")
    one, two = read(tmp_path / "one"), read(tmp_path / "two")
    assert (one["seed"], one["split_seed"]) == (3, 3)
    assert (two["seed"], two["split_seed"]) == (3, 4)
    splits = [read(tmp_path / name, "split.json")["labelled"] for name in ("one", "two")]
    expected = [data.load("digits").split(50, seed=seed).labelled.tolist() for seed in (3, 4)]
    assert splits == expected


@pytest.mark.usefixtures("no_figures")
def test_train_resumes_on_the_command_line_and_says_where(run: Path) -> None:
    result = call("train", "m2", "--epochs", 3, *SMALL, "--set", "alpha=5", "--out", run,
                  "--resume")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "m2, seed 0: going on after epoch 2 of 3"
    assert read(run)["epochs"] == 3
    assert len((run / "history.csv").read_text().splitlines()) == 4


@pytest.mark.usefixtures("no_figures")
def test_train_overwrites_on_the_command_line(run: Path) -> None:
    result = call("train", "supervised", "--epochs", 1, "--out", run, "--overwrite")
    assert result.exit_code == 0, result.output
    assert (read(run)["model"], read(run)["epochs"]) == ("supervised", 1)


# evaluate


def test_evaluate_prints_the_test_metrics_of_the_run(trained: tuple[Path, str]) -> None:
    result = call("evaluate", trained[0], "--device", "cpu")
    assert result.exit_code == 0, result.output
    test = read(trained[0])["test"]
    assert printed(result.stdout) == {name: f"{value:.6g}" for name, value in test.items()}


@pytest.mark.parametrize("name", ["vae", "supervised"])
def test_evaluate_leaves_out_what_a_pair_does_not_have(name: str, comparison: Path) -> None:
    folder = small.run_of(comparison, name, 0)
    test = read(folder)["test"]
    shown = printed(call("evaluate", folder, "--device", "cpu").stdout)
    assert shown == {k: f"{value:.6g}" for k, value in test.items() if value is not None}
    assert None in test.values()


def test_evaluate_changes_nothing(run: Path) -> None:
    before = contents(run)
    call("evaluate", run)
    assert contents(run) == before


# compare


def test_compare_prints_the_table_and_where_the_report_is(comparison: Path) -> None:
    text = (comparison.parent / "stdout.txt").read_text()
    assert (comparison / "table.md").read_text() in text
    assert f"The report is {(comparison / 'report.html').resolve()}\n" in text


@pytest.mark.usefixtures("no_figures")
def test_compare_sets_options_of_one_model_and_of_one_program(tmp_path: Path) -> None:
    result = call(
        "compare", "m2", "supervised", "--seeds", 1, "--epochs", 1, "--device", "cpu",
        "--batch-unlabelled", 2000, "--set", "hidden=4", "--set", "m2.z_dim=2",
        "--set", "m2.guide.hidden=5,3", "--set", "supervised.lr=0.1", "--out", tmp_path / "out",
    )
    assert result.exit_code == 0, result.output
    m2, supervised = (
        read(small.run_of(tmp_path / "out", name, 0))["options"]
        for name in ("m2", "supervised")
    )
    assert (m2["hidden"], m2["guide.hidden"], m2["z_dim"]) == ([4], [5, 3], 2)
    assert (supervised["hidden"], supervised["lr"]) == ([4], 0.1) and m2["lr"] != 0.1


@pytest.mark.usefixtures("no_figures")
def test_compare_tells_how_many_of_its_runs_and_references_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyro_ssvae.system.progress.QUIET", 0.0)
    result = call("compare", "supervised", "--seeds", 1, "--epochs", 1, "--set", "hidden=4",
                  "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert re.search(r"^comparing: 1 of 3 runs, .* left$", result.stderr, re.MULTILINE)
    assert re.match("supervised, seed 0: accuracy", result.stdout)


# bad input: one line, exit status 2, nothing left behind


# One for each place that refuses, which has to come before anything is written.
BAD_TRAINING = [
    (["--data", "digit"], "unknown data set 'digit': .* did you mean 'digits'"),
    (["--set", "z_dims=2"], "unknown option 'z_dims': .* did you mean 'z_dim'"),
    (["--set", "z_dim"], "expected an option as NAME=VALUE, got 'z_dim'"),
    (["--set", "lr=fast"], "option lr: expected a number, got 'fast'"),
    (["--set", f"z_dim={2**31 - 1}", "--set", f"hidden={2**31 - 2}"],
     f"expected sizes for which there is memory, got z_dim={2**31 - 1}"),
    (["--epochs", "1" * 23], f"expected epochs <= .*, got {'1' * 23}"),
    (["--out", ""], 'expected the name of a folder, got ""'),
    (["--data-root", "missing"], "expected the data root to be a folder .*got none at 'missing'"),
    (["--set", "z_dim=0"], "z_dim.* > 0, got 0"),
    (["--set", "alpha=-1"], "alpha >= 0, got -1"),
    (["--set", "lr=0"], "lr > 0, got 0"),
    (["--set", "likelihood=poisson"], "unknown likelihood 'poisson'"),
    (["--data", "moons", "--set", "likelihood=bernoulli"], "expected x within .* got values"),
    (["--labels", "9"], "one label for each of 10 classes, got labels=9"),
    (["--labels", "many"], "a number of examples, all, or .* got 'many'"),
    (["--epochs", "0"], "epochs > 0, got 0"),
    (["--batch-unlabelled", "0"], "batch.unlabelled > 0, got 0"),
    (["--patience", "0"], "patience > 0, got 0"),
    (["--device", "nonsense"], "expected a device .*got 'nonsense'"),
    (["--resume", "--overwrite"], "one of --resume and --overwrite, got both"),
    (["--nothing"], "No such option.*--nothing"),
]
BAD_VALUES = [
    (["--set", "guide.hiden=2"], "unknown option 'guide.hiden': .* did you mean 'guide.hidden'"),
    (["--set", "z_dim=two"], "option z_dim: expected a whole number, got 'two'"),
    (["--set", "hidden=16,x"], "option hidden: expected whole numbers .* 256,128, got '16,x'"),
    (["--set", "z_dim=100000000000"], "expected z_dim <= .*, got 100000000000"),
    (["--labels", "1" * 23], f"got {'1' * 23} "),
    (["--batch-unlabelled", "1" * 23], f"expected batch_unlabelled <= .*, got {'1' * 23}"),
    (["--batch-labelled", "1" * 23], f"expected batch_labelled <= .*, got {'1' * 23}"),
    (["--batch-labelled", "1000001"], "expected a labelled batch of <= 1000000, got 1000001"),
    (["--patience", "1" * 23], f"expected patience <= .*, got {'1' * 23}"),
    (["--set", "hidden=0"], "hidden.* > 0, got 0"),
    (["--set", "hidden=16,-1"], "hidden.* > 0, got -1"),
    (["--set", "labelled=-1"], "labelled >= 0, got -1"),
    (["--set", "unlabelled=-1"], "unlabelled >= 0, got -1"),
    (["--set", "beta=-0.1"], "beta >= 0, got -0.1"),
    (["--set", "warmup=-1"], "warmup >= 0, got -1"),
    (["--set", "beta=nan"], "beta >= 0, got nan"),
    (["--set", "alpha=inf"], "alpha >= 0, got inf"),
    (["--set", "labelled=0", "--set", "unlabelled=0", "--set", "alpha=0"], "a positive weight"),
    (["--set", "lr=-1"], "lr > 0, got -1"),
    (["--set", "lr=inf"], "lr.* got inf"),
    (["--set", "likelihood=bernouli"], "unknown likelihood .* did you mean 'bernoulli'"),
    (["--set", "likelihood=normal:0"], "sigma > 0, got 0"),
    (["--labels", "-5"], "at least 1 labelled example, got -5"),
    (["--labels", "1200"], "labels=1200 needs .* of class .*, and the training part has"),
    (["--labels", "5000"], "got 5000 "),
    (["--epochs", "-1"], "epochs > 0, got -1"),
    (["--epochs", "1.5"], "'--epochs': '1.5'"),
    (["--batch-labelled", "0"], "batch.labelled > 0, got 0"),
    (["--batch-unlabelled", "-3"], "batch.unlabelled > 0, got -3"),
    (["--device", "cuda:99"], "expected a device .*got 'cuda:99'"),
    (["--device", "meta"], "expected a device .*got 'meta'"),
]


@pytest.mark.parametrize("command, arguments, wanted", [
    *(("train", *case) for case in BAD_TRAINING + BAD_VALUES),
    *(("compare", *case) for case in BAD_TRAINING),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_bad_input_is_refused_in_one_line(
    command: str, arguments: list[str], wanted: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(command, "m2", "--out", tmp_path / "out", *arguments)
    assert re.search(wanted, refusal(result))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments, wanted", [
    (["train", "m3"], "unknown model 'm3': .* did you mean 'm2'"),
    (["train", "M2"], "unknown model 'M2': .* did you mean 'm2'"),
    (["train"], "Missing argument 'MODEL'"),
    (["train", "m2", "vae"], "unexpected extra argument"),
    (["train", "m2", "--seed", "-1"], "seed.* got -1"),
    (["train", "m2", "--seed", "1" * 23], f"a seed of at most 64 bits.* got {'1' * 23}"),
    (["train", "vae", "--set", "alpha=1"], "alpha=1.0 .* no classify: use alpha=0"),
    (["train", "supervised", "--set", "z_dim=2"], "unknown option 'z_dim'"),
    (["compare", "m3"], "unknown model 'm3': .* did you mean 'm2'"),
    (["compare"], "Missing argument 'MODELS...'"),
    (["compare", "m2", "vae", "m2"], "expected different models to compare, got m2 vae m2"),
    (["compare", "m2", "vae", "--set", "zeta=2"], "unknown option 'zeta'.* did you mean 'beta'"),
    (["compare", "supervised", "--set", "z_dim=2"], "unknown option 'z_dim'"),
    (["compare", "vae", "--set", "alpha=1"], "unknown option 'alpha'"),
    (["compare", "m2", "--set", "m3.beta=2"], "unknown model of .* 'm3': .* did you mean 'm2'"),
    (["compare", "m2", "--set", "m2.betas=2"], "unknown option of m2 'betas': .* mean 'beta'"),
    (["train", "nowhere.of.this.name:Mine"], "nowhere.of.this.name:Mine: .* ModuleNotFoundError"),
    (["compare", "m2", "os:path"], "os:path: expected a pair, got module of that name"),
    (["train", "m2", "--split-seed", "-1"], "seed.* got -1"),
    (["compare", "m2", "--seeds", "0"], "seeds > 0, got 0"),
    (["compare", "m2", "--seeds", "-2"], "seeds > 0, got -2"),
    (["compare", "m2", "--seeds", "1" * 23], f"expected seeds <= .*, got {'1' * 23}"),
    (["compare", "m2", "--seeds", "10001"], "a grid of at most 10,000 runs, got 10,001"),
    (["compare", "m2", "--seeds", "1,1"], r"expected different seeds, got \[1, 1\]"),
    (["compare", "m2", "--seeds", "one"], "a number of seeds, or seeds such as 0,3,5, got 'one'"),
    (["compare", "m2", "--jobs", "0"], "expected jobs > 0, got 0"),
    (["compare", "m2", "--set", "m2.alpha=1,a"], "option alpha: expected a number, got 'a'"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_bad_input_of_one_command_is_refused_in_one_line(
    arguments: list[str], wanted: str, tmp_path: Path
) -> None:
    result = call(*arguments, "--out", tmp_path / "out")
    assert re.search(wanted, refusal(result))
    assert list(tmp_path.iterdir()) == []


def test_the_folder_to_write_to_has_to_be_named() -> None:
    for command in ("train", "compare"):
        assert "Missing option '--out'" in refusal(call(command, "m2"))


def test_an_unknown_command_is_refused_with_the_nearest_name() -> None:
    assert re.search("unknown command 'trian': .* did you mean 'train'", refusal(call("trian")))


@pytest.mark.parametrize("command", ["train", "compare"])
def test_a_file_in_the_place_of_the_folder_is_refused_and_kept(
    command: str, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("mine")
    result = call(command, "m2", "--out", tmp_path / "out")
    assert "expected a folder to write to, got a file" in refusal(result)
    assert contents(tmp_path) == {"out": b"mine"}


@pytest.mark.parametrize("command", ["train", "compare"])
def test_a_folder_that_cannot_be_made_is_refused_before_any_training(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(
        "pyro_ssvae.training.steps.Eager.__call__", lambda *_, **__: pytest.fail("it trains")
    )
    assert "file" in refusal(call(command, "m2", "--out", tmp_path / "file" / "out"))


@pytest.mark.parametrize("changed, wanted", [
    ((), "already holds a run; --resume .* --overwrite"),
    (("--labels", 60, "--resume"), "has labels=50, got labels=60"),
    (("--seed", 1, "--resume"), "has seed=0, got seed=1"),
    (("--set", "alpha=6", "--resume"), "has alpha=5.0, got alpha=6.0"),
    (("--patience", 2, "--resume"), "has patience=None, got patience=2"),
    (("--batch-labelled", 9, "--resume"), "has batch_labelled=100, got batch_labelled=9"),
    (("--epochs", 1, "--resume"), "has done 2 epochs, got epochs=1"),
    (("--resume", "--overwrite"), "one of --resume and --overwrite, got both"),
    (("--overwrite", "--epochs", 0), "epochs > 0, got 0"),
    (("--overwrite", "--device", "nonsense"), "expected a device"),
    (("--overwrite", "--labels", 3), "got labels=3"),
], ids=str)
def test_a_run_is_kept_as_it_is_unless_the_input_is_good(
    changed: tuple[Any, ...], wanted: str, run: Path
) -> None:
    before = contents(run)
    alpha = () if "--set" in changed else ("--set", "alpha=5")
    result = call("train", "m2", "--epochs", 2, *SMALL, *alpha, *changed, "--out", run)
    assert re.search(wanted, refusal(result))
    assert contents(run) == before


def test_a_comparison_is_kept_unless_asked_otherwise(comparison: Path) -> None:
    before = contents(comparison)
    result = call("compare", "m2", "--out", comparison)
    assert "already holds a run; --resume" in refusal(result)
    assert contents(comparison) == before


# evaluate: bad folders


def test_evaluate_refuses_a_folder_without_a_run(tmp_path: Path, comparison: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path, tmp_path / "missing", tmp_path / "file", comparison):
        error = refusal(call("evaluate", folder))
        assert f"{folder}: expected a folder written by train, got no checkpoint.pt" in error


@pytest.mark.parametrize("damage", [
    lambda content: b"", lambda content: b"hello\n", lambda content: content[:2000],
    lambda content: content[:-50],
], ids=["empty", "text", "beginning", "without its end"])
@pytest.mark.parametrize("command", [
    ["evaluate"], ["train", "m2", *SMALL, "--set", "alpha=5", "--resume", "--out"],
], ids=["evaluate", "resume"])
def test_a_broken_checkpoint_is_refused(command: list[str], damage: Any, run: Path) -> None:
    path = run / "checkpoint.pt"
    path.write_bytes(damage(path.read_bytes()))
    before = contents(run)
    error = refusal(call(*command, run))
    assert f"{path}: expected a checkpoint of train, got a broken file" in error
    assert contents(run) == before


def test_a_checkpoint_of_other_layers_is_refused(run: Path) -> None:
    saved = torch.load(run / "checkpoint.pt", weights_only=True)
    saved["objective"] = {f"old.{name}": value for name, value in saved["objective"].items()}
    torch.save(saved, run / "checkpoint.pt")
    assert f"{run / 'checkpoint.pt'}: " in refusal(call("evaluate", run))


class Intruder:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("command", [
    ["evaluate"], ["train", "m2", *SMALL, "--set", "alpha=5", "--resume", "--out"],
], ids=["evaluate", "resume"])
def test_code_in_a_checkpoint_is_not_run(command: list[str], run: Path, tmp_path: Path) -> None:
    saved = torch.load(run / "checkpoint.pt", weights_only=True)
    torch.save(saved | {"history": Intruder(tmp_path / "made")}, run / "checkpoint.pt")
    error = refusal(call(*command, run))
    assert "got a broken file (it holds more than tensors and plain values)" in error
    assert not (tmp_path / "made").exists()


# signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
@pytest.mark.parametrize("command, folder", [
    (("train", "m2"), "."), (("compare", "m2", "vae", "--seeds", "1"), "runs/m2-seed-0-*"),
], ids=["train", "compare"])
def test_a_signal_ends_a_command_with_one_line_that_says_how_to_go_on(
    number: int, command: tuple[str, ...], folder: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    update = Eager.__call__

    def signalled(*args: Any, **options: Any) -> Any:
        os.kill(os.getpid(), number)
        return update(*args, **options)

    monkeypatch.setattr(Eager, "__call__", signalled)
    out = tmp_path / "my run"
    words = [*command, "--epochs", "2", *SMALL, "--out", str(out)]
    result = call(*words, "--overwrite")
    again = shlex.join(["pyro-ssvae", *words, "--resume"])
    assert result.exit_code == 128 + number
    saved = out if folder == "." else next(out.glob(folder))
    assert result.stderr == (
        f"interrupted in epoch 1 of 2, after update 1 of 12; saved in {saved};"
        f" go on with: {again}\n"
    )
    assert (saved / "checkpoint.pt").exists()


def test_a_signal_between_trainings_ends_a_command_at_once(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def signalled(*args: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the command went on")

    monkeypatch.setattr(runs, "test_metrics", signalled)
    before = signal.getsignal(signal.SIGTERM)
    result = call("evaluate", run)
    assert (result.exit_code, result.stderr) == (128 + signal.SIGTERM, "interrupted\n")
    assert signal.getsignal(signal.SIGTERM) == before


def test_two_commands_do_not_write_to_one_folder(run: Path) -> None:
    before = contents(run)
    with locked(run):
        error = refusal(call("train", "m2", *SMALL, "--out", run, "--overwrite"))
    assert f"process {os.getpid()} is writing to" in error
    assert contents(run) == before


@pytest.mark.parametrize("content", [
    None, "", "{}", "[]", '{"data": "digits", "seed": 0, "labelled": [1, 2',
    '{"data": "digits", "seed": 0, "labelled": [1], "unlabelled": [1], "validation": [2],'
    ' "test": [3]}',
    '{"data": "moons", "seed": 0, "labelled": [0], "unlabelled": [1], "validation": [2],'
    ' "test": [3]}',
    '{"data": "digits", "seed": 0, "labelled": [0], "unlabelled": [1], "validation": [2],'
    ' "test": [1797]}',
], ids=["missing", "empty", "no keys", "a list", "truncated", "overlap", "moons", "out of range"])
def test_a_broken_split_is_refused(content: str | None, run: Path) -> None:
    (run / "split.json").unlink()
    if content is not None:
        (run / "split.json").write_text(content)
    assert f"{run / 'split.json'}: " in refusal(call("evaluate", run))


def test_evaluate_refuses_a_device_that_is_not_there(run: Path) -> None:
    assert "expected a device" in refusal(call("evaluate", run, "--device", "nonsense"))


# MNIST's files


@pytest.mark.parametrize("name", MNIST)
@pytest.mark.parametrize("damage, wanted", [
    (lambda content: gzip.compress(content)[:-20], "corrupt or truncated gzip file"),
    (lambda content: b"hello", "corrupt or truncated gzip file"),
    (lambda content: b"", "expected|corrupt"),
    (lambda content: gzip.compress(content[:-1]), r"expected \d+ bytes for the shape .* got \d+"),
    (lambda content: gzip.compress(content[:6]), "expected an idx header of .* bytes, got 6"),
    (lambda content: gzip.compress(b"\1" + content[1:]), "expected idx magic number"),
], ids=["gzip cut", "no gzip", "empty", "byte missing", "header cut", "magic"])
def test_a_corrupt_mnist_file_is_named(name: str, damage: Any, wanted: str, mnist: Path) -> None:
    path = mnist / "mnist" / f"{name}.gz"
    path.write_bytes(damage(mnist_files()[name]))
    out = mnist / "out"
    result = call("train", "m2", "--data", "mnist", "--data-root", mnist, "--out", out)
    error = refusal(result)
    assert str(path) in error and re.search(wanted, error)
    assert not out.exists()


def test_a_missing_mnist_file_is_named(mnist: Path) -> None:
    (mnist / "mnist" / f"{MNIST[2]}.gz").unlink()
    out = mnist / "out"
    error = refusal(call("train", "m2", "--data", "mnist", "--data-root", mnist, "--out", out))
    assert f"{mnist / 'mnist'}: expected MNIST's four files" in error
    assert f"missing {MNIST[2]}" in error
    assert not out.exists()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **keywords: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", fail)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("command", ["train", "compare"])
def test_a_failed_download_tells_where_the_files_belong(command: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    result = call(command, "m2", "--data", "mnist", "--data-root", root, "--out", tmp_path / "out")
    error = refusal(result)
    assert f"no files of MNIST under {root}" in error and "no network" in error
    assert f"{root / 'mnist'}" in error and "--data-root" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("offline")
def test_a_failed_download_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # of the cache folder
    monkeypatch.delenv("PYRO_SSVAE_DATA", raising=False)
    refusal(call("train", "m2", "--data", "mnist", "--out", tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_downloaded_into_a_folder_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "torchvision.datasets.mnist.download_and_extract_archive",
        lambda *_, **__: pytest.fail("it downloads"),
    )
    root = tmp_path / "misspelt"
    error = refusal(
        call("train", "m2", "--data", "mnist", "--data-root", root, "--out", tmp_path / "out")
    )
    assert f"expected the data root to be a folder that is there, got none at '{root}'" in error
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_broke_off_goes_on_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = False

    def fetch(url: str, download_root: str, filename: str, **keywords: Any) -> None:
        if "labels" in filename and not online:
            raise URLError("no network")
        name = filename.removesuffix(".gz")
        (Path(download_root) / filename).write_bytes(gzip.compress(mnist_files()[name]))
        (Path(download_root) / name).write_bytes(mnist_files()[name])

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", fetch)
    (tmp_path / "data").mkdir()
    command = ("train", "m2", "--data", "mnist", "--data-root", tmp_path / "data", "--labels", 10,
               "--out", tmp_path / "out")
    assert "no network" in refusal(call(*command))
    online = True
    assert "labels + validation" in refusal(call(*command))  # read: 40 images are too few


def test_the_data_folder_may_be_named_by_the_environment(
    mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYRO_SSVAE_DATA", str(mnist))
    (mnist / "mnist" / f"{MNIST[0]}.gz").write_bytes(b"hello")
    error = refusal(call("train", "m2", "--data", "mnist", "--out", mnist / "out"))
    assert str(mnist / "mnist" / MNIST[0]) in error


# a run that is lost


def test_a_lost_run_names_the_term_in_one_line_and_leaves_no_folder(tmp_path: Path) -> None:
    result = call("train", "m2", *SMALL, "--set", "lr=1e6", "--epochs", 3,
                  "--out", tmp_path / "out")
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    error = message(result.stderr)
    assert re.search(r"the loss is nan in epoch 1.*\((un)?(labelled|classification) = nan", error)
    assert list(tmp_path.iterdir()) == []


# as programs


UNKNOWN = "Error: unknown model 'm3': .* did you mean 'm2'.*\n"


@pytest.mark.parametrize("program", PROGRAMS, ids=["script", "module"])
def test_a_program_refuses_bad_input_in_one_line(
    program: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["-", "train", "m3", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        program()
    printed, error = capfd.readouterr()
    assert (ended.value.code, printed) == (2, "")
    assert re.fullmatch(UNKNOWN, error)
    assert list(tmp_path.iterdir()) == []


PACKAGE = '''
from pyro_ssvae import guides, models, pair


class Model(models.M2):
    """p(x, y, z), narrow

    Nobody (2024), A pair of one's own.
    """


Mine = pair(Model, guides.M2, recipe={"hidden": (4,), "z_dim": 2})
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with a package that has a pair of its own."""
    (tmp_path / "folder" / "narrow").mkdir(parents=True)
    (tmp_path / "folder" / "narrow" / "__init__.py").touch()
    (tmp_path / "folder" / "narrow" / "pairs.py").write_text(PACKAGE)
    return tmp_path / "folder"


@pytest.mark.usefixtures("no_figures")
def test_a_pair_of_ones_own_goes_by_its_place_in_every_command(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed_by(*words: str) -> str:
        result = call(*words)
        assert result.exit_code == 0, result.output
        for module in ("narrow", "narrow.pairs"):
            del sys.modules[module]
        return result.stdout

    out, name = tmp_path / "out", "narrow.pairs:Mine"
    with monkeypatch.context() as patch:
        patch.syspath_prepend(package)
        table = printed_by(
            "compare", name, "supervised", "--seeds", "1", "--epochs", "1", "--device", "cpu",
            "--set", f"{name}.beta=2", "--set", "supervised.hidden=4", "--out", str(out),
        )
    assert f"| {name} " in table
    assert "p(x, y, z), narrow" in (out / "report.html").read_text()
    run = small.run_of(out, "narrow.pairs.Mine", 0)
    metrics = read(run)
    assert (metrics["model"], metrics["options"]["beta"]) == (name, 2.0)
    # From the folder of the package, which no path names.
    monkeypatch.chdir(package)
    measured = printed_by("evaluate", str(run), "--device", "cpu")
    assert printed(measured)["accuracy"] == f"{metrics['test']['accuracy']:.6g}"


def test_the_program_finds_a_pair_of_ones_own_in_the_current_folder(package: Path) -> None:
    result = subprocess.run(
        [*SCRIPT, "list", "narrow.pairs:Mine"], capture_output=True, text=True, cwd=package
    )
    assert result.returncode == 0, result.stderr
    listed = result.stdout
    assert "p(x, y, z), narrow" in listed and "Nobody (2024)" in listed and "z_dim=2 " in listed


def test_the_module_path_is_left_as_it_was(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list(sys.path)
    monkeypatch.chdir(package)
    assert "narrow" in call("list", "narrow.pairs:Mine").stdout
    assert sys.path == before


def test_a_program_that_trains_says_on_stderr_how_far_it_is_and_nothing_else(
    tmp_path: Path
) -> None:
    command = [
        *SCRIPT, "train", "supervised", "--epochs", "1", "--device", "cpu", "--set", "hidden=16",
        "--out", str(tmp_path / "out"),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    progress = r"[\w ]+: \d+ of \d+ \w+, .* left\n"  # of what takes more than two seconds
    assert (result.returncode, re.sub(progress, "", result.stderr)) == (0, "")
    test = read(tmp_path / "out")["test"].items()
    shown = {name: f"{value:.6g}" for name, value in test if value is not None}
    assert printed(result.stdout) == shown


def test_a_program_whose_run_is_lost_prints_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "m2", "--quiet", *SMALL, "--set", "lr=1e30", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["-", *words])
    with pytest.raises(SystemExit) as ended:
        PROGRAMS[1]()
    assert ended.value.code == 1
    error = capfd.readouterr().err
    assert re.fullmatch(r"Error: the loss is nan in epoch 1.*labelled = nan.*\n", error)
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_that_of_the_package() -> None:
    assert pyro_ssvae.__version__ in call("--version").stdout


def test_a_program_whose_reader_has_enough_ends_quietly() -> None:
    program = subprocess.Popen(
        [*SCRIPT, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None and program.stderr is not None
    program.stdout.close()
    assert program.stderr.read() == ""
    assert program.wait() == -signal.SIGPIPE


def test_an_interruption_while_a_command_is_imported_ends_without_a_traceback(
    tmp_path: Path
) -> None:
    slow = "print('importing', flush=True)\nimport time\ntime.sleep(60)"
    (tmp_path / "torch.py").write_text(slow)
    code = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's & ignores it
        "from pyro_ssvae.cli import main\n"
        "main(['list'])"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    assert program.stdout is not None and program.stdout.readline() == "importing\n"
    program.send_signal(signal.SIGINT)
    _, stderr = program.communicate()
    assert program.returncode not in (0, None)
    assert len(stderr.split("\n")) <= 3 and "Traceback" not in stderr
