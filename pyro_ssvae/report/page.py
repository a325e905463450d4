"""The report of a comparison: one HTML file with its figures inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pyro_ssvae.data import Dataset
from pyro_ssvae.report import comparison_plots, tables
from pyro_ssvae.report.drawing import color, in_plane
from pyro_ssvae.report.saving import DPI
from pyro_ssvae.report.sureness import sureness
from pyro_ssvae.report.tables import Results

NAMED = 3  # rows, at most, that a heading names with their settings
WIDE = 700  # pixels: a wider figure is scrolled where it would become too small to read


@dataclass(frozen=True)
class Section:
    """What a report shows of a model that was trained.

    Attributes:
        name: The name of the model.
        factorisation: The factorisations of the model and its guide.
        source: The paper, the year and the equation that they are from.
        options: The values of the options that it was trained with.
        seed: The seed of the run whose figures are shown.
        figures: The files of these figures, each with its caption.
        histories: The rows of the epochs of every run.
    """

    name: str
    factorisation: str
    source: str
    options: Mapping[str, Any]
    seed: int
    figures: Sequence[tuple[Path, str]]
    histories: Sequence[Sequence[Mapping[str, float]]]


def html(results: Results, sections: Sequence[Section], numbers: str) -> str:
    """The report's text.

    Args:
        results: The metrics of each run by name, of trained models and of references.
        sections: The trained models, one or more.
        numbers: The name of the file that has the numbers of every run.
    """
    colors = {name: to_hex(color(i)) for i, name in enumerate(results)}
    heading = _heading([section.name for section in sections])
    first = results[sections[0].name][0]
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    body = [
        f"<h1>{escape(heading)}</h1>",
        f"<p>{escape(_about(results, first))}</p>",
        _table(results, colors),
        *(f'<p class="note">{escape(line)}</p>' for line in tables.footnotes(results)),
        _notes(results, numbers),
        _sureness(results),
        _summaries(results, sections, colors),
        *(_section(section, colors[section.name]) for section in sections),
        f'<h2>Made with</h2><p class="note">{escape(versions)}</p>',
    ]
    return document(heading, body, title=f"{heading} on {first['data']}")


def _heading(rows: Sequence[str]) -> str:
    """The names of rows; of many the pairs alone, which the names begin with."""
    names = rows if len(rows) <= NAMED else dict.fromkeys(row.split(", ")[0] for row in rows)
    return " · ".join(names)


def document(heading: str, body: Sequence[str], *, title: str | None = None) -> str:
    """A page of HTML in the style of reports.

    Args:
        heading: What the page is about.
        body: The parts of its body.
        title: The title of the window, ``heading`` where there is none.
    """
    style = resources.files("pyro_ssvae.report").joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title or heading)}</title>"
        f"<style>\n{style}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def captions(dataset: Dataset, classes: bool) -> dict[str, str]:
    """What stands under each of :data:`pyro_ssvae.report.names.FIGURES`, in the words of the data.

    Args:
        dataset: The data that the figures show.
        classes: Whether the model has classes.
    """
    plane, several = in_plane(dataset), not dataset.target.exclusive
    examples = "images" if dataset.images else "points" if plane else "examples"
    samples = f"{examples.capitalize()} drawn from the model"
    return {
        "learning_curves": "Validation and training, epoch by epoch",
        "samples": samples + ", class by class" * classes + ", over the data" * plane,
        "analogies": f"Test {examples}, and the model's {examples} of their z with every class in"
                     " turn",
        "latent": f"Where the test {examples} lie in the latent space",
        "confusion": f"Test {examples} by true and predicted class",
        "labels": "Accuracy and F1 of every label on the test part",
        "reliability": "How often the classifier is right on the test part, where it is as"
                       " confident as that" + "; all labels together" * several,
        "mistakes": f"Test {examples} that the classifier mistakes"
                    + ("" if plane else ", the most confident first: what it says, and what it is"),
        "regression": "The mean of q(y | x) and its central 90 % interval, against the true number"
                      f" of test {examples}",
    }


def _about(results: Results, first: Mapping[str, Any]) -> str:
    numbers = {run["labels"] for runs in results.values() for run in runs if "labels" in run}
    seeds = len(next(iter(results.values())))
    done = {run["epochs_done"] for runs in results.values() for run in runs if "epochs_done" in run}
    epochs = sorted({min(done), max(done)}) if done else [first["epochs"]]
    parts = [_counted(sorted(numbers), "label"), _counted(epochs, "epoch", " to ")]
    shown = ", ".join([*parts, _counted([seeds], "seed")])
    return f"{first['data']}, {shown}, {first['device']}"


def _counted(numbers: Sequence[int], what: str, between: str = " and ") -> str:
    return f"{between.join(map(str, numbers))} {what}{'s' * (numbers != [1])}"


def _table(results: Results, colors: Mapping[str, str]) -> str:
    return table(tables.cells(results), dots=colors)


def table(
    lines: Sequence[Sequence[str]], *, dots: Mapping[str, str] | None = None, words: bool = False
) -> str:
    """A table of HTML.

    Args:
        lines: The cells of its rows as text, the headings first.
        dots: The colours of the dots before rows, by the text of their first cells.
        words: Whether cells hold sentences, whose lines are broken.
    """
    head, *rows = lines
    text = ["".join(f"<th>{escape(cell)}</th>" for cell in head)] + [
        f"<td>{_dot(dots[first]) if dots else ''}{escape(first)}</td>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        for first, *cells in rows
    ]
    inside = "\n".join(f"<tr>{line}</tr>" for line in text)
    kind = ' class="words"' if words else ""
    return f'<div class="scroll"><table{kind}>\n{inside}\n</table></div>'


def _notes(results: Results, numbers: str) -> str:
    items = "\n".join(
        f"<li><b>{escape(column.heading)}</b>: {escape(column.meaning)}</li>"
        for column in tables.shown_columns(results)
    )
    return (
        '<p class="note">Mean ± standard deviation over seeds, on the test part. Every seed draws'
        " other labels, and all models see the same. The numbers of every run are in"
        f' <code>{escape(numbers)}</code>.</p>\n<ul class="note">\n{items}\n</ul>'
    )


def _summaries(
    results: Results, sections: Sequence[Section], colors: Mapping[str, str]
) -> str:
    measured, draw, what = _of_every_run(results, "rmse"), comparison_plots.errors, "RMSE"
    if not measured:
        measured, draw = _of_every_run(results, "accuracy"), comparison_plots.accuracies
        what = "accuracy"
    histories = {section.name: section.histories for section in sections}
    lengths = {len(rows) for of_row in histories.values() for rows in of_row}
    ended = ", as far as all of them went" * (len(lengths) > 1)
    curves = [
        drawn(figure, f"Validation {score}: mean and range over seeds{ended}")
        for score, figure in comparison_plots.curves(histories, colors).items()
    ]
    every = []
    if measured:
        every = [drawn(draw(measured, colors), f"Test {what} of every run, and the means")]
    return "\n".join(figures(part) for part in (every, curves) if part)


def _of_every_run(results: Results, metric: str) -> dict[str, list[float]]:
    """A test metric of the runs by name, of those that have it."""
    values = {
        name: [value for m in runs if (value := m["test"].get(metric)) is not None]
        for name, runs in results.items()
    }
    return {name: of_runs for name, of_runs in values.items() if of_runs}


def _sureness(results: Results) -> str:
    found = sureness(results)
    if found is None:
        return ""
    return "\n".join([
        "<h2>How sure the order is</h2>", table(found.cells),
        *(f'<p class="note">{escape(line)}</p>' for line in found.notes),
        figures([drawn(
            found.figure,
            "Differences to the best mean on the same label draws: the mean, its interval, and"
            " every draw",
        )]),
    ])


def _section(section: Section, shade: str) -> str:
    options = ", ".join(f"{key}={value}" for key, value in section.options.items())
    return (
        f"<h2>{_dot(shade)}{escape(section.name)}</h2>\n"
        f"<p><code>{escape(section.factorisation)}</code><br>{escape(section.source)}</p>\n"
        f'<details class="note"><summary>Options</summary>{escape(options)}</details>\n'
        f'<p class="note">Figures of seed {section.seed}:</p>\n'
        + figures([_image(path.read_bytes(), caption) for path, caption in section.figures])
    )


def _dot(shade: str) -> str:
    return f'<span class="model" style="background:{shade}"></span>'


def figures(parts: Sequence[str]) -> str:
    """Figures beside each other, as :func:`drawn` gives them."""
    return '<div class="figures">\n' + "\n".join(parts) + "\n</div>"


def drawn(figure: Figure, caption: str) -> str:
    """A figure with its caption, as HTML with the picture inside."""
    content = io.BytesIO()
    figure.savefig(content, dpi=DPI, format="png")
    return _image(content.getvalue(), caption)


def _image(png: bytes, caption: str) -> str:
    data = base64.b64encode(png).decode()
    width = int.from_bytes(png[16:20], "big") * 96 // DPI
    kind = ' class="wide"' if width > WIDE else ""
    return (
        f'<figure{kind} style="width:{width}px">'
        f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
