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
import small
import torch

from pyro_ssvae import data
from pyro_ssvae.data import Dataset
from pyro_ssvae.experiments import pairs
from pyro_ssvae.experiments.compare import section
from pyro_ssvae.experiments.folder import TABLE
from pyro_ssvae.report import comparison_plots, names
from pyro_ssvae.report import page as report

REFERENCES = ("LabelSpreading", "SelfTraining")
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
    trained = {
        name: [
            json.loads((small.run_of(out, name, s) / "metrics.json").read_text())
            for s in range(seeds)
        ] for name in names
    }
    reference = {
        "seconds": 1.0, "options": "LogisticRegression()", "test": {"accuracy": 0.8, "nll": 0.5},
    }
    return trained | {
        name: [{"seed": s, "split_seed": s, **reference} for s in range(seeds)]
        for name in REFERENCES
    }


def html(out: Path, results: dict[str, list[dict[str, Any]]]) -> str:
    """The report of a comparison on digits."""
    dataset = data.load("digits")
    sections = [
        section(out, metrics[0]["model"], pairs.pair(metrics[0]["model"]), metrics, dataset)
        for metrics in results.values() if "model" in metrics[0]
    ]
    return report.html(results, sections, "runs.csv")


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
    paths = [p for name in PAIRS for p in (comparison / "runs").glob(f"{name}-seed-0-*/figures/*")]
    for path in paths:
        assert base64.b64encode(path.read_bytes()).decode() in text
    # How sure the order is, accuracies, and validation's accuracy, NLL and ELBO.
    summaries = 5
    assert text.count("<img ") == len(paths) + summaries


@pytest.mark.parametrize("classes", [False, True])
def test_every_figure_that_a_run_can_have_has_a_caption(classes: bool) -> None:
    assert tuple(report.captions(data.load("digits"), classes)) == names.FIGURES


def dataset(kind: str) -> Dataset:
    """Data of four images, of four points in the plane, of a table, or of several labels."""
    y = torch.zeros(4, 3) if kind == "labels" else torch.zeros(4)
    shape = {"images": (1, 2, 2), "points": (2,)}.get(kind, (4,))
    return Dataset(
        name=kind, x=torch.zeros(4, *shape), y=y.long(),
        target=small.several(3) if kind == "labels" else small.classes(2),
        test=torch.tensor([0]), validation=1,
    )


@pytest.mark.parametrize("kind, word", [
    ("images", "images"), ("points", "points"), ("table", "examples"), ("labels", "examples"),
])
def test_captions_call_the_data_what_they_are(kind: str, word: str) -> None:
    captions = report.captions(dataset(kind), classes=True)
    text = " ".join(captions.values()).lower()
    assert {w for w in ("images", "points", "examples") if w in text} == {word}
    assert ("over the data" in captions["samples"]) is (kind == "points")
    assert ("all labels together" in captions["reliability"]) is (kind == "labels")


@pytest.mark.parametrize("kind", ["images", "points"])
def test_samples_are_drawn_class_by_class_where_the_model_has_classes(kind: str) -> None:
    for classes in (False, True):
        caption = report.captions(dataset(kind), classes)["samples"]
        assert ("class by class" in caption) is classes


def test_a_report_speaks_of_classes_in_samples_of_those_models_that_have_them(
    comparison: Path
) -> None:
    for name, expected in (("m2", True), ("vae", False)):
        text = html(comparison, results(comparison, name))
        assert ("drawn from the model, class by class" in text) is expected


def test_a_model_has_the_same_colour_everywhere(
    comparison: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    for name in ("accuracies", "curves"):
        draw = getattr(comparison_plots, name)
        monkeypatch.setattr(
            comparison_plots, name,
            lambda values, colors, draw=draw: given.append(dict(colors)) or draw(values, colors),
        )
    text = html(comparison, results(comparison, *PAIRS))
    accuracies, curves = given
    assert accuracies == curves and list(accuracies) == [*PAIRS, *REFERENCES]
    assert len(set(accuracies.values())) == 5
    dots = re.findall(r'style="background:(#\w+)"></span>(\w+)</(?:td|h2)>', text)
    assert dots == [(accuracies[name], name) for name in (*PAIRS, *REFERENCES, *PAIRS)]


def test_the_notes_are_a_list_of_the_columns_that_the_table_has(
    text: str, comparison: Path
) -> None:
    (notes,) = re.findall(r"<ul.*?</ul>", text, re.DOTALL)
    head = (comparison / TABLE).read_text().splitlines()[0]
    headings = [cell.strip() for cell in head.split("|")[2:-1]]
    assert re.findall(r"<li><b>(.*?)</b>", notes) == headings
    assert re.search(r"<b>NLL</b>: [^<]*; lower is better", notes)
    assert "<b>macro F1 %</b>" not in notes


@pytest.mark.parametrize("clipped", [0.0, 0.25])
def test_clipped_probabilities_have_a_footnote(clipped: float, comparison: Path) -> None:
    given = results(comparison, "m2")
    for run in given["LabelSpreading"]:
        run["clipped"] = clipped
    text = html(comparison, given)
    assert ("† LabelSpreading gives 25.00% of the test labels" in text) is (clipped > 0)
    assert ("0.500 ± 0.000 †</td>" in text) is (clipped > 0)


def test_a_narrow_window_scrolls_the_table_and_shrinks_figures(text: str, page: Page) -> None:
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all(
        "meta"
    )
    assert text.count('<div class="scroll"><table>') == text.count("<table>") == 2
    style = text[text.index("<style>"):text.index("</style>")]
    assert re.search(r"\.scroll {[^}]*overflow-x: auto", style)
    assert re.search(r"figure {[^}]*max-width: 100%", style)
    assert re.search(r"figure img {[^}]*width: 100%; height: auto", style)
    assert not any("width" in image for image in page.all("img"))


def test_a_dark_page_keeps_its_figures_on_white(text: str) -> None:
    style = text[text.index("<style>"):text.index("</style>")]
    light, dark = re.findall(r":root {(.*?)}", style, re.DOTALL)
    assert "color-scheme: light dark" in light
    assert style.index("prefers-color-scheme: dark") < style.index(dark)
    names = [set(re.findall(r"--\w+(?=:)", part)) for part in (light, dark)]
    assert names[0] == names[1] >= set(re.findall(r"var\((--\w+)\)", style))
    assert re.search(r"figure img {[^}]*background: #fff", style)


def test_the_table_is_that_of_the_markdown(text: str, comparison: Path) -> None:
    rows = re.findall(r"<tr>(.*?)</tr>", text[:text.index("</table>")])
    head, _, *lines = (
        line for line in (comparison / TABLE).read_text().splitlines() if line.startswith("|")
    )
    for row, line in zip(rows, [head, *lines], strict=True):
        cells = re.findall(r"<t[hd]>(.*?)</t[hd]>", row)
        assert [re.sub("<.*?>", "", cell) for cell in cells] == [
            cell.strip() for cell in line.split("|")[1:-1]
        ]


def test_how_sure_the_order_is_stands_under_the_table(text: str) -> None:
    assert text.index("</table>") < text.index("<h2>How sure the order is</h2>")
    assert "no interval of so few covers 95%" in text  # of two draws


def test_every_pair_has_a_section_with_its_factorisation_source_and_options(page: Page) -> None:
    text = "".join(page.text)
    for name in PAIRS:
        pair = pairs.pair(name)
        assert pair.factorisation in text and pair.source in text
    assert text.count("hidden=[16]") == 3 and text.count("z_dim=2") == 2


def test_a_report_tells_the_data_the_labels_the_epochs_the_seeds_and_the_versions(
    page: Page, comparison: Path
) -> None:
    text = "".join(page.text)
    assert "digits, 50 labels, 2 epochs, 2 seeds, cpu" in text
    versions = json.loads(
        (small.run_of(comparison, "m2", 0) / "metrics.json").read_text()
    )["versions"]
    for name, version in versions.items():
        assert f"{name} {version}" in text


def test_a_report_on_several_numbers_of_labels_tells_them_all(comparison: Path) -> None:
    told = results(comparison, *PAIRS)
    for run in told["vae"]:
        run["labels"] = 20
    assert "digits, 20 and 50 labels, 2 epochs, 2 seeds, cpu" in html(comparison, told)


@pytest.mark.parametrize("names", [("vae",), ("supervised",), ("supervised", "vae")])
def test_a_report_can_be_made_of_any_pairs(names: tuple[str, ...], comparison: Path) -> None:
    page = Page(html(comparison, results(comparison, *names)))
    headings = [text for text in page.text if text in PAIRS]
    assert [name for name in PAIRS if name in headings] == [n for n in PAIRS if n in names]


def test_a_report_can_be_made_of_one_seed(comparison: Path) -> None:
    page = Page(html(comparison, results(comparison, "m2", seeds=1)))
    assert "50 labels, 2 epochs, 1 seed, cpu" in "".join(page.text)


def test_runs_that_stopped_at_different_epochs_fit_in_one_report(
    comparison: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(comparison, tmp_path / "out"))
    history = small.run_of(out, "m2", 1) / "history.csv"
    history.write_text("".join(history.read_text().splitlines(keepends=True)[:2]))
    with history.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 1
    assert Page(html(out, results(out, "m2"))).all("img")


def test_text_from_outside_is_escaped(comparison: Path) -> None:
    injected = results(comparison, "m2")
    injected["m2"][0]["data"] = "<b>&data"
    injected["<i>a"] = injected.pop(REFERENCES[0])
    text = html(comparison, injected)
    assert "<b>&" not in text and "<i>" not in text
    assert "&lt;b&gt;&amp;data" in text and "&lt;i&gt;a" in text


def test_a_report_tells_how_far_runs_went_that_stopped_early(comparison: Path) -> None:
    stopped = results(comparison, "m2")
    for run, epochs in zip(stopped["m2"], (3, 7)):
        run["epochs_done"] = epochs
    assert "3 to 7 epochs" in html(comparison, stopped)


def test_a_report_of_pairs_that_classify_nothing_has_no_figure_of_accuracies(
    comparison: Path
) -> None:
    silent = results(comparison, "m2")
    for name in REFERENCES:
        del silent[name]
    for run in silent["m2"]:
        run["test"] = run["test"] | {"accuracy": None}
    page = Page(html(comparison, silent))
    assert not any("Test accuracy of every run" in (i["alt"] or "") for i in page.all("img"))


def test_a_report_of_many_rows_is_headed_by_their_pairs(comparison: Path) -> None:
    of_one = results(comparison, "m2")["m2"]
    rows = {f"m2, alpha={k}": of_one for k in range(4)}
    sections = [
        section(comparison, name, pairs.pair("m2"), of_one, data.load("digits")) for name in rows
    ]
    assert "<h1>m2</h1>" in report.html(rows, sections, "runs.csv")
    few = dict(list(rows.items())[:2])
    assert "<h1>m2, alpha=0 · m2, alpha=1</h1>" in report.html(few, sections[:2], "runs.csv")
