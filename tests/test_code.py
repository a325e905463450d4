"""Runs of pairs of one's own say when the code has changed that they were trained with."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small

from pyro_ssvae import guides, models, pair
from pyro_ssvae.experiments import code, record, runs
from pyro_ssvae.experiments.grid import grid
from pyro_ssvae.experiments.study import study

MINE = '''
from pyro_ssvae import guides, models

class Model(models.M2):
    """p(x, y, z)"""

class Guide(guides.M2):
    """q(y, z | x)"""
'''
TINY: dict[str, Any] = {"hidden": (4,), "z_dim": 2}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a pair of one's own."""
    path = tmp_path / "pair_of_mine.py"
    path.write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    yield path
    sys.modules.pop("pair_of_mine", None)


def mine() -> Any:
    import pair_of_mine

    return pair(pair_of_mine.Model, pair_of_mine.Guide, name="mine")


def test_the_librarys_pairs_have_no_fingerprint_and_ones_own_that_of_their_file(written) -> None:
    assert code.fingerprint(models.M2, guides.M2) == pair("m2").code == ""
    before = mine().code
    assert before and before == mine().code
    written.write_text(MINE + "\nHALF = 0.5\n")
    assert mine().code not in ("", before)


def test_what_cannot_be_read_has_no_fingerprint() -> None:
    made: dict[str, Any] = {"__name__": "nowhere"}
    exec("class Model: pass", made)
    assert code.fingerprint(made["Model"]) == ""


def test_a_run_that_goes_on_with_other_code_is_warned_of(written, tmp_path) -> None:
    split, out = small.stripes().split(6), tmp_path / "run"

    def train(epochs: int, **plan: Any) -> dict[str, Any]:
        return runs.train(mine(), split, out, epochs=epochs, options=TINY, figures=False, **plan)

    first = record.read(train(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(2, resume=True)
    written.write_text(MINE + "\nHALF = 0.5\n")
    with pytest.warns(UserWarning, match="code of mine has changed since the run began; it"):
        last = record.read(train(3, resume=True))
    assert last.code == first.code != mine().code  # that it began with
    assert "code" not in first.row()


def test_a_study_tells_of_runs_of_other_code(written, tmp_path) -> None:
    def studied(**how: Any) -> list[str]:
        said: list[str] = []
        settings = grid([mine()], small.stripes(), labels=6, epochs=1, options=TINY)
        study(settings, tmp_path / "out", log=said.append, **how)
        return said

    told = "the code of mine has changed since the run began, which is kept as it is"
    studied()
    assert not any(told in line for line in studied(resume=True))
    written.write_text(MINE + "\nHALF = 0.5\n")
    assert any(told in line for line in studied(resume=True))
