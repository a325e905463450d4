"""A reproduction computes into a folder, goes on there, and leaves tables, figures and a page."""

from __future__ import annotations

import importlib
import json
import math
import os
import pkgutil
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import pyro_ssvae.reproduce
from pyro_ssvae import InputError
from pyro_ssvae.cli import main
from pyro_ssvae.data.root import data_root
from pyro_ssvae.experiments import machine, runs
from pyro_ssvae.experiments.setting import Setting
from pyro_ssvae.reproduce import studies, writing
from pyro_ssvae.reproduce.findings import Claim, Findings, Picture, Row
from pyro_ssvae.reproduce.work import Work

SETTING = Setting(
    "supervised", "moons", labels=6, options={"hidden": (4,)}, plan={"epochs": 1, "device": "cpu"}
)


def squared(number: float) -> dict[str, Any]:
    if number < 0:
        raise InputError(f"expected a number, got {number}")
    return {"square": number * number}


def example(work: Work) -> Findings:
    """The findings of a claim about squares."""
    squares = [part["square"] for part in work.each(squared, [{"number": n} for n in (1.0, 3.0)])]
    (metrics,) = work.train([SETTING])
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot(squares)
    return Findings(
        "Squares | of numbers", "Two numbers, one draw.",
        rows=[
            Row("square | x", squares, 4.5, 0.5, "table 1"),
            Row("accuracy", [metrics["test"]["accuracy"]]),
        ],
        claims=[
            Claim("Squares grow.", "p. 3", squares[1] > squares[0], f"{squares[1]:g} is more."),
            Claim("Squares are odd.", "p. 4", None, "Two do not tell."),
        ],
        pictures=[Picture("squares", figure, "Squares over their numbers")],
    )


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reproductions named ``of-squares``, on two data sets, and ``of-cubes``."""
    modules = {
        "pyro_ssvae.reproduce.of_squares": SimpleNamespace(
            reproduce=example, DATA_SETS=("digits", "mnist")
        ),
        "pyro_ssvae.reproduce.of_cubes": SimpleNamespace(reproduce=example),
    }
    monkeypatch.setattr(studies, "NAMES", {"of-squares": "squares of numbers", "of-cubes": "more"})
    monkeypatch.setattr(studies, "import_module", modules.get)


@pytest.fixture
def done(known: None, tmp_path: Path) -> Path:
    studies.reproduce("of-squares", Work(tmp_path / "out", scale=0.5))
    return tmp_path / "out"


def call(*words: Any) -> Any:
    return CliRunner().invoke(main, ["reproduce", *map(str, words)])


# All of them


def test_every_reproduction_has_a_module_of_its_name_that_says_where_the_claim_is() -> None:
    for name, what in studies.NAMES.items():
        module = importlib.import_module(f"pyro_ssvae.reproduce.{name.replace('-', '_')}")
        assert callable(module.reproduce) and module.__doc__ and what
    found = {
        module.name for module in pkgutil.iter_modules(pyro_ssvae.reproduce.__path__)
        if hasattr(
            importlib.import_module(f"pyro_ssvae.reproduce.{module.name}"), "reproduce"
        )
    }
    assert found - {"studies"} == {name.replace("-", "_") for name in studies.NAMES}


# What is left in the folder


def test_findings_are_kept_as_data(done: Path) -> None:
    about = json.loads((done / "findings.json").read_text())
    assert about["name"] == "of-squares" and about["scale"] == 0.5
    assert about["command"] == (
        "pyro-ssvae reproduce of-squares --out runs/of-squares --scale 0.5"
    )
    assert about["rows"][0]["found"] == [1.0, 9.0] and about["rows"][0]["published"] == 4.5
    assert about["claims"][0]["holds"] is True and about["claims"][1]["holds"] is None
    assert about["versions"]["pyro_ssvae"] and about["hardware"] and about["seconds"] > 0


def test_the_page_has_the_table_beside_the_published_numbers(done: Path) -> None:
    text = (done / "README.md").read_text()
    assert "| square &#124; x | 5.00 ± 5.66 | 2 | 4.5 ± 0.5 | table 1 |" in text
    assert "- **Reproduced so far, not yet at full scale**: Squares grow (p. 3)." in text
    assert "- **Not decided**: Squares are odd (p. 4)." in text
    assert "![Squares over their numbers](squares.png)" in text
    assert (done / "squares.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_is_one_file_with_its_figures_inside(done: Path) -> None:
    text = (done / "report.html").read_text()
    assert text.count("data:image/png;base64,") == 1 and "<td>5.00 ± 5.66</td>" in text
    assert 'alt="Squares over their numbers"' in text and "http" not in text


@pytest.mark.parametrize("holds, full, said", [
    (True, True, "reproduced"), (False, True, "refuted"), (None, False, "not decided"),
    (False, False, "refuted so far, not yet at full scale"),
])
def test_the_verdict_is_that_of_the_numbers_and_the_scale(
    holds: bool | None, full: bool, said: str
) -> None:
    assert writing.verdict(Claim("", "", holds, ""), {"full": full}) == said


def test_a_claim_about_one_data_set_is_settled_by_the_scale_on_it(tmp_path: Path) -> None:
    claims = [Claim(f"It holds on {data}.", "", True, "", data) for data in ("digits", "mnist")]
    findings = Findings("Two data sets", "Of both.", claims=[*claims, Claim("All.", "", True, "")])
    writing.write(
        "of-squares", Work(tmp_path, scales={"mnist": 0.1}), findings, seconds={"a machine": 1.0}
    )
    about = writing.read(tmp_path)
    assert about["command"].endswith(" --scale mnist=0.1") and not about["full"]
    unsettled = "reproduced so far, not yet at full scale"
    said = [writing.verdict(claim, about) for claim in findings.claims]
    assert said == ["reproduced", unsettled, unsettled]
    assert (tmp_path / "README.md").read_text().count(unsettled.capitalize()) == 2


def test_a_study_without_all_of_its_data_is_not_at_full_scale(tmp_path: Path) -> None:
    claims = [Claim("It holds on digits.", "", True, "", "digits"), Claim("All.", "", True, "")]
    findings = Findings("Two data sets", "One was left out.", claims=claims, whole=False)
    writing.write("of-squares", Work(tmp_path), findings, seconds={"a machine": 1.0})
    about = writing.read(tmp_path)
    said = [writing.verdict(claim, about) for claim in findings.claims]
    assert not about["full"] and said == ["reproduced", "reproduced so far, not yet at full scale"]


@pytest.mark.parametrize(("draws", "said"), [(1, False), (2, True), (7, True), (8, False)])
def test_few_draws_are_cautioned_of(tmp_path: Path, draws: int, said: bool) -> None:
    findings = Findings("Few", "Of few.", [Row("n", [float(draw) for draw in range(draws)])])
    writing.write("of-squares", Work(tmp_path), findings, seconds={"a machine": 1.0})
    for name in ("README.md", "report.html"):
        assert ("in 95 of 100 studies" in (tmp_path / name).read_text()) is said


def test_a_number_of_draws_of_ones_own_is_not_the_full_scale(tmp_path: Path) -> None:
    assert Work(tmp_path).full and Work(tmp_path, scales={"mnist": 1.0}).full
    assert not Work(tmp_path, scale=0.5).full and not Work(tmp_path, number=3).full
    assert not Work(tmp_path, scales={"mnist": 0.5}).full
    assert not Work(tmp_path, numbers={"mnist": 3}).full


@pytest.mark.parametrize("found, here", [
    ([91.25], "91.2"), ([0.01234], "0.0123"), ([12345.6], "12346"), ([0.0], "0.00"),
    ([90.0, 92.0], "91.0 ± 1.4"), ([97.0, 100.0], "98.5 ± 2.1"), ([0.0, 0.02], "0.0100 ± 0.0141"),
])
def test_numbers_have_three_digits(found: list[float], here: str) -> None:
    assert writing.cells(Row("it", found))[1] == here


@pytest.mark.parametrize("number, folded", [(60, False), (61, True)])
def test_a_long_table_is_shown_when_asked_for(
    number: int, folded: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    findings = Findings("Many", "Of all.", [Row(f"row {i}", [1.0]) for i in range(number)])
    monkeypatch.setitem(studies.NAMES, "many", "many numbers")
    writing.write("many", Work(tmp_path), findings, seconds={"a machine": 1.0})
    for name in ("README.md", "report.html"):
        text = (tmp_path / name).read_text()
        assert (f"<summary>All {number} numbers</summary>" in text) == folded
        assert f"row {number - 1}" in text


def test_a_single_draw_has_no_deviation() -> None:
    row = Row("it", [2.0])
    assert row.mean == 2.0 and math.isnan(row.deviation)


# Going on


def test_what_was_computed_is_not_computed_again(done: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (done / "parts").iterdir()}
    before |= {p: p.stat().st_mtime_ns for p in (done / "runs").rglob("*.json")}
    studies.reproduce("of-squares", Work(done, scale=0.5), resume=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(before) == 2 + 3  # two parts, and the run's metrics, data and split


def test_the_time_is_that_of_all_that_was_computed(done: Path) -> None:
    (done / "seconds.txt").write_text("1000.0 Another machine with 9 cores\n")
    for _ in range(2):
        studies.reproduce("of-squares", Work(done, scale=0.5), resume=True)
    about = json.loads((done / "findings.json").read_text())
    assert 1000 < about["seconds"] < 1100
    assert about["hardware"] == f"Another machine with 9 cores and {machine.hardware()}"
    made = "Made in 16 min 40 s on Another machine with 9 cores and "
    assert made in (done / "README.md").read_text()
    studies.reproduce("of-squares", Work(done, scale=0.5), overwrite=True)
    assert json.loads((done / "findings.json").read_text())["seconds"] < 100


def test_what_is_written_over_is_computed_anew(done: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*.json")}
    studies.reproduce("of-squares", Work(done, scale=0.5), overwrite=True)
    after = {path: path.stat().st_mtime_ns for path in done.rglob("*.json")}
    assert after.keys() == before.keys()
    assert not any(after[path] == before[path] for path in after)


def test_findings_that_are_written_over_are_gone_whatever_happens_then(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(work: Work) -> Findings:
        raise InputError("no such data")

    module = SimpleNamespace(reproduce=failing)
    monkeypatch.setattr(studies, "import_module", lambda name: module)
    with pytest.raises(InputError, match="no such data"):
        studies.reproduce("of-squares", Work(done, scale=0.1), overwrite=True)
    left = {path.name for path in done.iterdir()}
    assert left.isdisjoint({"findings.json", "README.md", "report.html"})


def test_another_study_or_version_is_not_gone_on_with(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = "got the name 'of-squares', not 'of-cubes'; .* --overwrite to start anew"
    with pytest.raises(InputError, match=message):
        studies.reproduce("of-cubes", Work(done), resume=True)
    with monkeypatch.context() as patch:
        patch.setattr(pyro_ssvae, "__version__", "99.0")
        with pytest.raises(InputError, match="got the version '.*', not '99.0'"):
            studies.reproduce("of-squares", Work(done), resume=True)
    (done / "begun.json").write_text("[1")
    with pytest.raises(InputError, match="expected the file of a study, got: "):
        studies.reproduce("of-squares", Work(done), resume=True)
    studies.reproduce("of-cubes", Work(done), overwrite=True)
    assert json.loads((done / "findings.json").read_text())["name"] == "of-cubes"


def test_a_trained_run_is_had_again(done: Path) -> None:
    run = runs.load(Work(done).folder(SETTING))
    assert run.record.model == "supervised" and run.split.dataset.name == "moons"


def test_several_processes_compute_the_same(tmp_path: Path) -> None:
    items = [{"number": float(n)} for n in range(4)]
    alone, together = Work(tmp_path / "1"), Work(tmp_path / "2", jobs=2)
    assert together.each(squared, items) == alone.each(squared, items)


def data_folder(number: int) -> dict[str, Any]:
    return {"folder": str(data_root())}


def test_parts_find_data_in_the_folder_of_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYRO_SSVAE_DATA", str(tmp_path / "other"))
    for jobs in (1, 2):
        work = Work(tmp_path / f"{jobs}", jobs=jobs, root=tmp_path)
        parts = work.each(data_folder, [{"number": n} for n in range(2)])
        assert parts == 2 * [{"folder": str(tmp_path)}]
    assert os.environ["PYRO_SSVAE_DATA"] == str(tmp_path / "other")


def rooted(number: int, root: str | None = None) -> dict[str, Any]:
    return {"number": number, "root": root}


def test_a_part_is_the_same_wherever_its_data_lie(tmp_path: Path) -> None:
    work = Work(tmp_path)
    (part,) = work.each(rooted, [{"number": 1, "root": "here"}])
    assert work.each(rooted, [{"number": 1, "root": "there"}, {"number": 1}]) == [part, part]
    assert work.each(rooted, [{"number": 2, "root": "here"}]) != [part]


def named(folder: str | Path) -> dict[str, Any]:
    return {"name": Path(folder).name}


def test_a_part_of_a_run_is_the_same_wherever_the_place_is_brought(tmp_path: Path) -> None:
    first, second = Work(tmp_path / "first"), Work(tmp_path / "second")
    for name in ("one", "another"):
        assert first.each(named, [{"folder": first.out / "runs" / name}]) == [{"name": name}]
    shutil.copytree(first.out, second.out)
    kept = set(second.out.rglob("*.json"))
    assert len(kept) == 2
    assert second.each(named, [{"folder": second.out / "runs" / "one"}]) == [{"name": "one"}]
    assert set(second.out.rglob("*.json")) == kept


def test_epochs_and_draws_are_scaled_and_never_none() -> None:
    work = Work(Path("out"), scale=0.1)
    assert work.epochs(500) == 50 and work.epochs(3) == 1
    assert list(Work(Path("out"), scale=0.1, number=2).draws(30)) == [0, 1]
    assert list(work.draws(30)) == [0, 1, 2] and list(work.draws(2)) == [0]


def test_a_data_set_may_have_a_scale_and_a_number_of_draws_of_its_own(tmp_path: Path) -> None:
    work = Work(tmp_path, scale=0.5, scales={"mnist": 0.1}, numbers={"mnist": 3})
    mnist, digits = work.on("mnist"), work.on("digits")
    assert (mnist.epochs(500), len(mnist.draws(10)), mnist.full) == (50, 3, False)
    assert (digits.epochs(500), len(digits.draws(10)), digits.full) == (250, 5, False)
    assert Work(tmp_path, scales={"mnist": 0.1}).on("digits").full
    assert work.on("") is work and mnist.out == work.out


# Bad input


def test_a_broken_part_is_named(done: Path) -> None:
    path = next((done / "parts").iterdir())
    path.write_text("{")
    with pytest.raises(InputError, match=f"{path.name}: expected a result that was kept.*delete"):
        studies.reproduce("of-squares", Work(done, scale=0.5), resume=True)


def test_what_a_part_raises_is_raised_and_the_others_are_kept(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a number, got -1"):
        Work(tmp_path).each(squared, [{"number": 1.0}, {"number": -1.0}])
    assert len(list((tmp_path / "parts").iterdir())) == 1


@pytest.mark.parametrize("scale", [0.0, -1.0, 1.5, math.nan])
def test_a_scale_is_a_share(scale: float, tmp_path: Path) -> None:
    for given in ({"scale": scale}, {"scales": {"mnist": scale}}):
        with pytest.raises(InputError, match=r"expected scale in \(0, 1\], got"):
            Work(tmp_path, **given)


def test_a_number_of_draws_is_positive(tmp_path: Path) -> None:
    for given in ({"number": 0}, {"numbers": {"mnist": 0}}):
        with pytest.raises(InputError, match="expected draws .*, got 0"):
            Work(tmp_path, **given)


def test_a_folder_is_not_written_over_unless_asked_to(done: Path) -> None:
    with pytest.raises(InputError, match="already holds a run; --resume .* --overwrite"):
        studies.reproduce("of-squares", Work(done))


# The command


@pytest.mark.usefixtures("known")
def test_the_command_lists_the_reproductions() -> None:
    assert call().output == f"{'of-squares':22} squares of numbers\n{'of-cubes':22} more\n"


@pytest.mark.usefixtures("known")
def test_the_command_says_what_holds_and_where_the_report_is(tmp_path: Path) -> None:
    result = call("of-squares", "--out", tmp_path / "out", "--scale", 0.5)
    assert result.exit_code == 0, result.output
    assert "reproduced so far, not yet at full scale: Squares grow. 9 is more." in result.output
    assert f"The report is {(tmp_path / 'out' / 'report.html').resolve()}\n" in result.output


@pytest.mark.usefixtures("known")
def test_the_command_takes_a_scale_and_draws_for_one_data_set(tmp_path: Path) -> None:
    asked = ("--scale", "0.5,mnist=0.1", "--draws", "mnist=2,digits=3")
    result = call("of-squares", "--out", tmp_path / "out", *asked, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["command"].endswith(" ".join(asked))


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("words, message", [
    (("--scale", "0.5"), "expected the NAME of a study with --scale, got none"),
    (("of-squares", "--out", "x", "--jobs", "0"), "expected jobs > 0, got 0"),
    (("of-sqares", "--out", "x"), "unknown study 'of-sqares'.*did you mean 'of-squares'"),
    (("of-squares",), "expected a folder to write to, got none; give --out runs/of-squares"),
    (("of-squares", "--out", "x", "--scale", "2"), r"expected scale in \(0, 1\], got 2.0"),
    (("of-squares", "--out", "x", "--scale", "half"), "expected --scale as a number.*got 'half'"),
    (("of-squares", "--out", "x", "--draws", "mnist=few"), "expected --draws.*got 'mnist=few'"),
    (("of-squares", "--out", "x", "--draws", "mnst=3"), "data set.*'mnst'.*did you mean 'mnist'"),
    (("of-cubes", "--out", "x", "--scale", "mnist=1"), "one scale .* for all of of-cubes.*'mnist'"),
])
def test_bad_input_is_one_line(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = call(*words)
    assert result.exit_code == 2 and result.output.count("\n") == 1
    assert re.search(message, result.output)
