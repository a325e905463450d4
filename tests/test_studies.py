"""The studies run: short, for their numbers are their own business."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pyro_ssvae.data import Split
from pyro_ssvae.experiments.setting import Setting
from pyro_ssvae.reproduce import studies
from pyro_ssvae.reproduce.findings import Claim, Findings, Row
from pyro_ssvae.reproduce.work import Work

STUDIES = Path(__file__).resolve().parents[1] / "studies"


def study(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, STUDIES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_study_of_sets_prints_an_accuracy_with_coarse_labels_and_without(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = study("sets")
    monkeypatch.setattr(sets, "EPOCHS", 2)
    sets.main(draws=2)
    *_, row, _, last = capsys.readouterr().out.splitlines()
    draw, coarse, alone = row.strip("| ").split(" | ")
    assert draw == "0" and 10 < float(alone) <= 100 and 10 < float(coarse) <= 100
    assert coarse != alone
    assert last.startswith("| mean | ")


def test_the_study_of_what_makes_m2_learn_sooner_looks_at_validation_images_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sooner = study("sooner")
    arms = {name: sooner.ARMS[name] for name in (
        "as in the thesis", "learning rate 0.003", "begun at the classifier of the labels",
    )}
    monkeypatch.setattr(sooner, "ARMS", arms)
    tested: list[str] = []
    part = Split.part
    monkeypatch.setattr(Split, "part", lambda split, name: tested.append(name) or part(split, name))
    for _ in range(2):  # the second time there is nothing left to compute
        sooner.main(tmp_path, data_name="digits", epochs=1, draws=2, jobs=1)
    assert tested and "test" not in tested
    one, other = capsys.readouterr().out.split("M2 on digits")[1:]
    assert one == other and len(list((tmp_path / "parts").iterdir())) == 6
    cells = [line.strip("| ").split(" | ") for line in one.splitlines()[4:]]
    assert [name for name, *_ in cells] == list(arms)
    assert all(10 < float(accuracy) <= 100 for _, accuracy, *_ in cells)
    assert "over 2 draws" in cells[1][2]


# The summary


SHORT = Setting("m2", "digits", labels=20, plan={"epochs": 1})
computed: list[int] = []


def number(of: int) -> dict[str, Any]:
    computed.append(of)
    return {"number": of}


def example(work: Work) -> Findings:
    """A reproduction of parts and a run."""
    numbers = [part["number"] for part in work.each(number, [{"of": n} for n in work.draws(10)])]
    (run,) = work.train([SHORT])
    claims = [
        Claim(f"There is a number {n}", "this test", n in numbers, "it is so") for n in range(10)
    ]
    return Findings("Numbers", "All.", [Row("n", numbers), Row("s", [run["seconds"]])], claims, [])


@pytest.fixture
def summary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The summary of one study, into a folder of its own."""
    computed.clear()
    names = {"of-numbers": "numbers"}
    monkeypatch.setattr(studies, "NAMES", names)
    monkeypatch.setattr(studies, "import_module", lambda name: SimpleNamespace(reproduce=example))
    summary = study("summary")
    here = tmp_path / "studies"
    here.mkdir()
    monkeypatch.setattr(summary, "NAMES", names)
    monkeypatch.setattr(summary, "BEFORE", {})
    monkeypatch.setattr(summary, "HERE", here)
    return summary


def test_a_study_under_way_goes_on_elsewhere_from_what_the_summary_keeps(
    summary: ModuleType, tmp_path: Path
) -> None:
    began = studies.reproduce("of-numbers", Work(tmp_path / "of-numbers", scale=0.2))
    summary.main([tmp_path / "of-numbers"])
    kept = tmp_path / "studies" / "underway" / "of-numbers"
    assert "`underway/`" in (tmp_path / "studies" / "README.md").read_text()
    assert not list(kept.rglob("*.pt")) and not list(kept.rglob("*.png"))

    shutil.copytree(kept, tmp_path / "elsewhere")
    went_on = studies.reproduce("of-numbers", Work(tmp_path / "elsewhere", scale=0.3), resume=True)
    assert computed == [0, 1, 2]
    assert [row.found for row in went_on.rows] == [[0, 1, 2], began.rows[1].found]  # its seconds


def test_a_folder_with_nothing_in_it_leaves_what_was_kept(
    summary: ModuleType, tmp_path: Path
) -> None:
    studies.reproduce("of-numbers", Work(tmp_path / "of-numbers", scale=0.2))
    summary.main([tmp_path / "of-numbers"])
    kept = set((tmp_path / "studies" / "underway").rglob("*.json"))
    (tmp_path / "empty" / "of-numbers").mkdir(parents=True)
    summary.main([tmp_path / "empty" / "of-numbers"])
    assert kept and set((tmp_path / "studies" / "underway").rglob("*.json")) == kept


def test_nothing_but_findings_is_kept_of_a_study_at_full_scale(
    summary: ModuleType, tmp_path: Path
) -> None:
    out, there = tmp_path / "of-numbers", tmp_path / "studies"
    studies.reproduce("of-numbers", Work(out, scale=0.2))
    summary.main([out])
    assert (there / "underway" / "of-numbers").exists()
    studies.reproduce("of-numbers", Work(out), resume=True)
    summary.main([out])
    assert not (there / "underway" / "of-numbers").exists()
    findings = json.loads((there / "of-numbers" / "findings.json").read_text())
    assert findings["rows"][0]["found"] == list(range(10))
    assert "`underway/`" not in (there / "README.md").read_text()


def test_the_verdicts_are_counted(summary: ModuleType, tmp_path: Path) -> None:
    studies.reproduce("of-numbers", Work(tmp_path / "of-numbers", scale=0.2))
    summary.main([tmp_path / "of-numbers"])
    text = (tmp_path / "studies" / "README.md").read_text()
    assert "| refuted so far, not yet at full scale | 8 |\n| reproduced so far, not yet" in text
    studies.reproduce("of-numbers", Work(tmp_path / "of-numbers"), resume=True)
    summary.main([tmp_path / "of-numbers"])
    text = (tmp_path / "studies" / "README.md").read_text()
    assert "| of all claims | number |\n|:---|---:|\n| reproduced | 10 |\n\n" in text
