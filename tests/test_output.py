"""What commands print: the result as text or JSON, and what goes on unless they are quiet."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
from click.testing import CliRunner, Result
from matplotlib.figure import Figure

from pyro_ssvae.cli import main
from pyro_ssvae.experiments import pairs
from pyro_ssvae.report.saving import save
from pyro_ssvae.reproduce import studies
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.work import Work

SMALL = ("--labels", "6", "--epochs", "1", "--device", "cpu", "--set", "hidden=4")
STUDY = """
from pyro_ssvae.experiments.grid import grid

study = grid(["supervised"], "moons", labels=6, draws=1, epochs=1, options={"hidden": (4,)})
"""


def call(*words: Any) -> Result:
    with small.few_figures():
        result = CliRunner().invoke(main, [*map(str, words)])
    assert result.exit_code == 0, result.output
    return result


def found(result: Result) -> Any:
    """What standard output has, which is JSON and nothing else."""
    return json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of one's own, of which commands say what they have made."""
    dataset = small.stripes()
    path = tmp_path_factory.mktemp("data") / "stripes.npz"
    np.savez(path, x=dataset.x.numpy(), y=dataset.y.numpy())
    return path


@pytest.fixture(scope="module")
def run(file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The folder of a run, and what the command that trained it has printed."""
    out = tmp_path_factory.mktemp("run") / "out"
    return out, call("train", "supervised", "--data", file, *SMALL, "--out", out, "--json")


@pytest.fixture
def reproduced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reproduction that finds something at once."""
    def reproduce(name: str, work: Work, **how: Any) -> Findings:
        work.log("half of it is done")
        figure = Figure()
        figure.subplots().plot([1, 2])
        findings = Findings(
            "Ends", "A setting", [Row("a number", [float("nan")])],
            [Claim("It ends", "page 1", True, "It did.")], [Picture("ends", figure, "An end")],
        )
        studies.writing.write(name, work, findings, seconds={"a machine": 1.0})
        return findings

    monkeypatch.setattr(studies, "reproduce", reproduce)


@pytest.mark.parametrize("name", sorted(set(main.commands) - {"completion"}))
def test_every_command_that_finds_something_may_be_quiet_and_speak_json(name: str) -> None:
    options = {word for parameter in main.commands[name].params for word in parameter.opts}
    assert {"--quiet", "-q", "--json"} <= options


def test_train_gives_its_metrics_and_says_what_goes_on_elsewhere(
    run: tuple[Path, Result]
) -> None:
    folder, result = run
    written = json.loads((folder / "metrics.json").read_text())
    assert found(result) == written | {"folder": str(folder)}
    assert "3 classes" in result.stderr  # of the data


def test_evaluate_gives_the_same_test_metrics(run: tuple[Path, Result], file: Path) -> None:
    folder, trained = run
    result = call("evaluate", folder, "--data", file, "--device", "cpu", "--json")
    assert found(result) == {"folder": str(folder), "test": found(trained)["test"]}


def test_quiet_leaves_the_result(file: Path, tmp_path: Path) -> None:
    words = ("train", "supervised", "--data", file, *SMALL, "--out")
    loud, quiet = call(*words, tmp_path / "loud"), call(*words, tmp_path / "quiet", "-q")
    assert loud.stdout.startswith("stripes.npz:\n") and loud.stdout.count("written to") == 1
    accuracy = re.search(r"^accuracy .*$", loud.stdout, re.M)
    assert accuracy and quiet.stdout.startswith(f"{accuracy[0]}\n")
    assert (quiet.stderr, "written to" in quiet.stdout) == ("", True)


def test_compare_gives_every_run_by_the_name_of_its_row(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("compare", "supervised", "--data", file, *SMALL, "--seeds", 2, "--out", out)
    result = call(*words, "--json")
    content = found(result)
    assert {"supervised", "LabelSpreading"} <= content["runs"].keys()
    assert [one["split_seed"] for one in content["runs"]["supervised"]] == [0, 1]
    assert content["folder"] == str(out) and content["report"] == str(out / "report.html")
    assert result.stderr.count("supervised, seed ") == 2
    again = call(*words, "--resume", "--quiet")
    assert again.stdout.startswith("\n| model ") and again.stderr == ""


def test_study_gives_its_runs_and_the_place_of_its_table(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(STUDY)
    out = tmp_path / "out"
    result = call(
        "study", tmp_path / "mine.py", "--out", out, "--json", "--figures", "svg", "--log",
        "tensorboard",
    )
    content = found(result)
    assert [one["model"] for one in content["runs"]] == ["supervised"]
    assert content["table"] == str(out / "results.csv") and "supervised, seed 0" in result.stderr
    (folder,) = (out / "runs").iterdir()
    assert (folder / "figures" / "learning_curves.svg").is_file()
    assert list(folder.glob("events.out.tfevents.*"))
    quiet = call("study", tmp_path / "mine.py", "--out", out, "--resume", "--quiet")
    assert quiet.stdout == f"1 runs; their table is {out}/results.csv\n"


@pytest.mark.usefixtures("reproduced")
def test_reproduce_gives_its_findings(tmp_path: Path) -> None:
    words = ("reproduce", "thesis-moons", "--out", tmp_path)
    result = call(*words, "--json", "--figures", "svg")
    content = found(result)
    assert content["claims"][0]["holds"] is True and content["rows"][0]["found"] == [None]
    assert content["report"] == str(tmp_path / "report.html")
    assert result.stderr == "half of it is done\n"
    assert {path.name for path in tmp_path.glob("ends.*")} == {"ends.png", "ends.svg"}
    assert "half of it" in call(*words).stdout
    assert "half of it" not in call(*words, "--quiet").output
    assert found(call("reproduce", "--json")) == studies.NAMES


def test_list_gives_pairs_and_options() -> None:
    listed = found(call("list", "--json"))
    assert [pair["name"] for pair in listed] == pairs.names()
    m2 = found(call("list", "m2", "--data", "mnist", "--json"))
    assert m2["model"] == "p(x, y, z) = p(y) p(z) p(x | y, z)" and m2["data"] == "mnist"
    assert {option["name"]: option["value"] for option in m2["options"]}["z_dim"] == 50
    assert call("list", "--quiet").stdout == call("list").stdout


def test_an_error_leaves_standard_output_empty(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["train", "m3", "--out", str(tmp_path), "--json"])
    assert (result.exit_code, result.stdout) == (2, "") and result.stderr.count("\n") == 1


# Figures


def test_the_same_figure_gives_the_same_svg(tmp_path: Path) -> None:
    texts = []
    for _ in range(2):
        figure = Figure()
        figure.subplots().plot([1, 3, 2])
        save(figure, tmp_path, "line", svg=True)
        texts.append((tmp_path / "line.svg").read_text())
    assert texts[0] == texts[1] and "<svg" in texts[0]
    assert (tmp_path / "line.png").read_bytes().startswith(b"\x89PNG")
    save(figure, tmp_path, "line")  # the SVG would be of an earlier figure
    assert [path.name for path in tmp_path.iterdir()] == ["line.png"]


def test_svg_stands_beside_png_and_goes_with_the_run(file: Path, tmp_path: Path) -> None:
    words = ("train", "supervised", "--data", file, *SMALL, "--out", tmp_path, "--quiet")
    call(*words, "--figures", "svg")
    figures = tmp_path / "figures"
    assert {path.name for path in figures.iterdir()} == {
        "learning_curves.png", "learning_curves.svg",
    }
    call(*words, "--overwrite")
    assert [path.name for path in figures.iterdir()] == ["learning_curves.png"]


# Shells


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(shell: str) -> None:
    script = call("completion", shell).stdout
    assert "_PYRO_SSVAE_COMPLETE" in script and "pyro-ssvae" in script


def test_commands_and_options_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    def completed(words: str, last: int) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(last))
        monkeypatch.setenv("_PYRO_SSVAE_COMPLETE", "bash_complete")
        result = CliRunner().invoke(main, prog_name="pyro-ssvae")
        return [line.partition(",")[2] for line in result.stdout.split()]

    assert completed("pyro-ssvae re", 1) == ["reproduce"]
    assert {"--json", "--jobs"} <= set(completed("pyro-ssvae compare --j", 2))
    assert completed("pyro-ssvae completion z", 2) == ["zsh"]
