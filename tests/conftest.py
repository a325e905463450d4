"""Data and runs that several modules read; a test that changes a folder copies it first."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pyro_ssvae import data
from pyro_ssvae.cli import main
from pyro_ssvae.data import Split


@pytest.fixture(scope="session")
def digits_split() -> Split:
    return data.load("digits").split(50, seed=0)


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison of three pairs on two splits of digits, two epochs each.

    What the command printed is in ``stdout.txt`` beside the folder.
    """
    out = tmp_path_factory.mktemp("comparison") / "out"
    result = CliRunner().invoke(main, [
        "compare", "m2", "vae", "supervised", "--seeds", "2", "--epochs", "2", "--device", "cpu",
        "--set", "hidden=16", "--set", "z_dim=2", "--out", str(out),
    ])
    assert result.exit_code == 0, result.output
    (out.parent / "stdout.txt").write_text(result.stdout)
    return out
