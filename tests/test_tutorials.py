"""Every tutorial runs from top to bottom, shortened by $PYRO_SSVAE_EPOCHS."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

TUTORIALS = Path(__file__).parent.parent / "tutorials"


@pytest.mark.parametrize("path", sorted(TUTORIALS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_tutorial_runs(path, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PYRO_SSVAE_EPOCHS", "2")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
