from __future__ import annotations

import base64
import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pyro_ssvae import report, zoo
from pyro_ssvae.baselines import REFERENCES
from pyro_ssvae.compare import TABLE

PAIRS = ("m2", "vae", "supervised")
VOID = {"meta", "img", "br", "link", "hr"}


class Page(HTMLParser):
    """The elements of a page; raises where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        self.text.append(text)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def results(out: Path, *names: str, seeds: int = 2) -> dict[str, list[dict[str, Any]]]:
    """What the report is given: metrics of the runs, and of two references."""
    pairs = {
        name: [
            json.loads((out / "runs" / f"{name}-seed-{s}" / "metrics.json").read_text())
            for s in range(seeds)
        ] for name in names
    }
    reference = {"seconds": 1.0, "options": "LogisticRegression()", "test": {"accuracy": 0.8}}
    return pairs | {name: [reference] * seeds for name in REFERENCES}


@pytest.fixture(scope="module")
def text(comparison: Path) -> str:
    return (comparison / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_a_report_is_one_well_formed_page(page: Page) -> None:
    assert [tag for tag, _ in page.elements[:2]] == ["html", "head"]
    assert [len(page.all(tag)) for tag in ("head", "body", "title", "h1")] == [1, 1, 1, 1]


def test_a_report_needs_no_other_file(text: str, page: Page) -> None:
    for tag, attributes in page.elements:
        assert tag not in ("script", "link", "iframe", "object")
        assert "href" not in attributes and "srcset" not in attributes
        if "src" in attributes:
            assert (attributes["src"] or "").startswith("data:image/png;base64,")
    style = text[text.index("<style>"):text.index("</style>")]
    assert "url(" not in style and "@import" not in style


def test_every_image_is_a_png_with_a_description(page: Page) -> None:
    for image in page.all("img"):
        content = base64.b64decode((image["src"] or "").split(",", 1)[1], validate=True)
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        assert image["alt"]


def test_the_figures_of_the_first_seed_of_every_pair_are_inside(
    text: str, comparison: Path
) -> None:
    paths = [p for name in PAIRS for p in (comparison / "runs").glob(f"{name}-seed-0/figures/*")]
    for path in paths:
        assert base64.b64encode(path.read_bytes()).decode() in text
    summaries = 2  # accuracies and validation curves
    assert text.count("<img ") == len(paths) + summaries


def test_every_figure_that_a_pair_can_have_has_a_caption(comparison: Path) -> None:
    drawn = {path.stem for path in comparison.glob("runs/*/figures/*")}
    assert drawn | {"labels"} == set(report.CAPTIONS)  # that one takes multi-label data


def test_the_table_is_that_of_the_markdown(text: str, comparison: Path) -> None:
    rows = re.findall(r"<tr>(.*?)</tr>", text)
    head, _, *lines = (comparison / TABLE).read_text().splitlines()
    for row, line in zip(rows, [head, *lines], strict=True):
        assert re.findall(r"<t[hd]>(.*?)</t[hd]>", row) == [
            cell.strip() for cell in line.split("|")[1:-1]
        ]


def test_every_pair_has_a_section_with_its_factorisation_source_and_options(page: Page) -> None:
    text = "".join(page.text)
    for name in PAIRS:
        pair = zoo.pair(name)
        assert pair.factorisation in text and pair.source in text
    assert text.count("hidden=[16]") == 3 and text.count("z_dim=2") == 2


def test_a_report_tells_the_data_the_labels_the_epochs_the_seeds_and_the_versions(
    page: Page, comparison: Path
) -> None:
    text = "".join(page.text)
    assert "digits, 50 labels, 2 epochs, 2 seeds, cpu" in text
    versions = json.loads(
        (comparison / "runs" / "m2-seed-0" / "metrics.json").read_text()
    )["versions"]
    for name, version in versions.items():
        assert f"{name} {version}" in text


@pytest.mark.parametrize("names", [("vae",), ("supervised",), ("supervised", "vae")])
def test_a_report_can_be_made_of_any_pairs(names: tuple[str, ...], comparison: Path) -> None:
    table = "| model | ELBO |\n| --- | ---: |\n| a | 1 |\n"
    page = Page(report.html(comparison, results(comparison, *names), table))
    headings = [text for text in page.text if text in PAIRS]
    assert [name for name in PAIRS if name in headings] == [n for n in PAIRS if n in names]


def test_a_report_can_be_made_of_one_seed(comparison: Path) -> None:
    table = "| model | ELBO |\n| --- | ---: |\n| a | 1 |\n"
    page = Page(report.html(comparison, results(comparison, "m2", seeds=1), table))
    assert ", 1 seed" in "".join(page.text)


def test_runs_that_stopped_at_different_epochs_fit_in_one_report(
    comparison: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(comparison, tmp_path / "out"))
    history = out / "runs" / "m2-seed-1" / "history.csv"
    history.write_text("".join(history.read_text().splitlines(keepends=True)[:2]))
    with history.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 1
    table = "| model | ELBO |\n| --- | ---: |\n| a | 1 |\n"
    assert Page(report.html(out, results(out, "m2"), table)).all("img")


def test_validation_curves_show_a_pair_where_it_has_the_quantity(comparison: Path) -> None:
    folders = {
        name: [comparison / "runs" / f"{name}-seed-{seed}" for seed in (0, 1)] for name in PAIRS
    }
    shown = {
        axes.get_title(): [line.get_label() for line in axes.lines]
        for axes in report._curves(folders).axes
    }
    assert shown == {
        "accuracy": ["m2", "supervised"], "NLL (nats)": ["m2", "supervised"],
        "ELBO (nats)": ["m2", "vae"],
    }


def test_text_from_outside_is_escaped(comparison: Path) -> None:
    injected = results(comparison, "m2")
    injected["m2"][0]["data"] = "<b>&data"
    table = "| model | ELBO |\n| --- | ---: |\n| <i>a | 1 |\n"
    text = report.html(comparison, injected, table)
    assert "<b>" not in text and "<i>" not in text
    assert "&lt;b&gt;&amp;data" in text and "&lt;i&gt;a" in text
