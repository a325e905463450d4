"""The studies run: short, for their numbers are their own business."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

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
