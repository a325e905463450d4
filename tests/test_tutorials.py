"""Every tutorial runs from top to bottom, shortened, and is saved as one wants to read it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
PATHS = sorted((ROOT / "tutorials").glob("*.ipynb"))
LARGEST = 600_000  # bytes of a notebook with its figures
LINK = re.compile(r"\]\(([^)\s]+)\)")

every_tutorial = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def texts(output: Any) -> list[str]:
    """All that an output says, figures aside."""
    data = output.get("data", {})
    said = [str(value) for kind, value in data.items() if not kind.startswith("image/")]
    return [*said, output.get("text", "")]


@every_tutorial
def test_tutorial_runs_shortened_without_data_of_its_own(path, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PYRO_SSVAE_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://localhost:9")  # whatever is downloaded fails
    client = NotebookClient(
        read(path), timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()


@every_tutorial
def test_first_code_cell_of_a_tutorial_asks_whether_to_be_short(path) -> None:
    assert 'smoke_test = "CI" in os.environ' in code_cells(path)[0].source


@every_tutorial
def test_tutorial_is_saved_as_one_run_from_top_to_bottom(path) -> None:
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))
    assert any(cell.outputs for cell in code_cells(path))


@every_tutorial
def test_saved_outputs_have_neither_errors_nor_warnings(path) -> None:
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
            assert not any("Warning" in text for text in texts(output))


@every_tutorial
def test_saved_outputs_name_no_place_on_a_machine(path) -> None:
    place = re.compile(r"(^|[\s'\"(=])(/(home|root|tmp|work|usr|var|mnt|Users)\b|[A-Z]:\\)")
    for cell in code_cells(path):
        for output in cell.outputs:
            assert not any(place.search(text) for text in texts(output))


@every_tutorial
def test_every_figure_has_an_alternative_text(path) -> None:
    for cell in code_cells(path):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            text = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(text.split()) >= 5, cell.source[:200]


@every_tutorial
def test_links_of_a_tutorial_lead_to_files(path) -> None:
    for cell in read(path).cells:
        for link in LINK.findall(cell.source) if cell.cell_type == "markdown" else []:
            if not link.startswith(("https://", "#")):
                assert (path.parent / link.partition("#")[0]).is_file(), link


@every_tutorial
def test_tutorial_is_a_file_for_a_repository(path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert path.stat().st_size <= LARGEST
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in notebook["metadata"]  # states that no page can show
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)


def test_tutorials_are_numbered_without_a_gap() -> None:
    numbers = [int(path.stem.partition("-")[0]) for path in PATHS]
    assert sorted(numbers) == list(range(1, len(PATHS) + 1))
