"""The report of a comparison: one HTML file with its figures inside."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pyro_ssvae import runs, zoo
from pyro_ssvae.importance import IWAE_SAMPLES
from pyro_ssvae.plots import COLORS

RUNS = "runs"

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 68rem; margin: 2rem auto;
       padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; border-top: 1px solid #ddd; padding-top: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
th, td { padding: 0.35rem 0.7rem; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid #222; } td { border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; font-weight: 600; }
figure { display: inline-block; margin: 0.5rem 1rem 0.5rem 0; vertical-align: top; }
figcaption { font-size: 0.85rem; color: #555; } img { max-width: 100%; height: auto; }
code { background: #f4f4f4; padding: 0 0.2em; } p.note { color: #555; font-size: 0.9rem; }
"""

NOTES = {
    "accuracy": "accuracy, NLL (nats), Brier score and ECE of q(y | x) on the test part",
    "elbo": f"ELBO and IWAE bound (K = {IWAE_SAMPLES} samples) on log p(x) of the test images,"
            " without labels, in nats: higher is better, and only models of the same x compare",
    "leakage": "accuracy of a linear classifier of the class from z: what z knows of the class",
    "seconds": "time of training; of a reference, that of fitting all its candidates",
}

CAPTIONS = {
    "learning_curves": "Training and validation, epoch by epoch",
    "samples": "Drawn from the model, class by class",
    "analogies": "Test images, and the model's images of their z with every class in turn",
    "latent": "Where the test images lie in the latent space",
    "confusion": "Test images by true and predicted class",
    "labels": "Accuracy and F1 of every label on the test part",
}


def run_folder(out: Path, name: str, seed: int) -> Path:
    """Where a comparison in ``out`` keeps the run of a pair with a seed."""
    return out / RUNS / f"{name}-seed-{seed}"


def html(
    out: Path, results: Mapping[str, Sequence[Mapping[str, Any]]], table: str
) -> str:
    """The report's text.

    Args:
        out: the comparison's folder, whose runs' histories and figures are read.
        results: metrics of each run by name, pairs and references.
        table: the summary as markdown.
    """
    trained = {name: metrics for name, metrics in results.items() if "model" in metrics[0]}
    first = next(iter(trained.values()))[0]
    folders = {
        name: [run_folder(out, name, m["seed"]) for m in metrics]
        for name, metrics in trained.items()
    }
    about = (
        f"{first['data']}, {first['labels']} labels, {first['epochs']} epochs,"
        f" {len(next(iter(results.values())))} seeds, {first['device']}"
    )
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    body = [
        f"<h1>{escape(' · '.join(trained))}</h1>",
        f"<p>{escape(about)}</p>",
        f'<div class="scroll">{_table(table)}</div>',
        '<p class="note">Mean ± standard deviation over seeds; every seed draws other labels, and'
        f" all models see the same. {escape('; '.join(NOTES.values()))}.</p>",
        _figure(_accuracies(results), "Test accuracy of every run, and the means"),
        _figure(_curves(folders), "Validation: mean and range over seeds"),
        *(_section(name, metrics[0], folders[name][0]) for name, metrics in trained.items()),
        f'<h2>Made with</h2><p class="note">{escape(versions)}</p>',
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(' · '.join(trained))} on {escape(first['data'])}</title>"
        f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _section(name: str, metrics: Mapping[str, Any], folder: Path) -> str:
    pair = zoo.pair(name)
    options = ", ".join(f"{key}={value}" for key, value in metrics["options"].items())
    figures = [
        _image((folder / runs.FIGURES / f"{figure}.png").read_bytes(), caption)
        for figure, caption in CAPTIONS.items()
        if (folder / runs.FIGURES / f"{figure}.png").is_file()
    ]
    return (
        f"<h2>{escape(name)}</h2><p><code>{escape(pair.factorisation)}</code><br>"
        f"{escape(pair.source)}</p>"
        f'<p class="note">Options: {escape(options)}. Figures of seed {metrics["seed"]}.</p>'
        + "\n".join(figures)
    )


def _table(markdown: str) -> str:
    head, _, *rows = ([c.strip() for c in line.split("|")[1:-1]] for line in markdown.splitlines())
    cells = [("th", head), *(("td", row) for row in rows)]
    return "<table>" + "".join(
        "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>"
        for tag, row in cells
    ) + "</table>"


def _accuracies(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    shown = {
        name: [100 * m["test"]["accuracy"] for m in metrics]
        for name, metrics in results.items() if metrics[0]["test"]["accuracy"] is not None
    }
    figure = Figure(figsize=(6, 0.6 + 0.4 * max(1, len(shown))), layout="constrained")
    axes = figure.subplots()
    for row, (name, values) in enumerate(shown.items()):
        axes.scatter(values, [row] * len(values), color=COLORS(row % 10), alpha=0.6, s=24)
        axes.scatter([np.mean(values)], [row], color="black", marker="|", s=250)
    axes.set(yticks=range(len(shown)), yticklabels=list(shown), xlabel="test accuracy (%)",
             ylim=(len(shown) - 0.5, -0.5))
    axes.grid(axis="x", alpha=0.3)
    return figure


def _curves(folders: Mapping[str, Sequence[Path]]) -> Figure:
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    panels = {"val_accuracy": "accuracy", "val_nll": "NLL (nats)", "val_elbo": "ELBO (nats)"}
    for axes, (column, label) in zip(figure.subplots(1, len(panels)), panels.items()):
        for i, (name, runs_of_name) in enumerate(folders.items()):
            histories = [_column(folder / runs.HISTORY, column) for folder in runs_of_name]
            if not histories[0]:
                continue
            shortest = min(map(len, histories))
            values = np.array([history[:shortest] for history in histories])
            epochs = np.arange(1, shortest + 1)
            marker = "o" if shortest == 1 else None
            axes.plot(epochs, values.mean(0), marker=marker, label=name, color=COLORS(i % 10))
            axes.fill_between(epochs, values.min(0), values.max(0), alpha=0.2, lw=0,
                              color=COLORS(i % 10))
            axes.legend(frameon=False, fontsize=8)
        axes.set(title=label, xlabel="epoch")
        axes.grid(alpha=0.3)
    return figure


def _column(path: Path, column: str) -> list[float]:
    with path.open(newline="", encoding="utf-8") as file:
        return [float(row[column]) for row in csv.DictReader(file) if row.get(column)]


def _figure(figure: Figure, caption: str) -> str:
    content = io.BytesIO()
    figure.savefig(content, dpi=120, format="png")
    return _image(content.getvalue(), caption)


def _image(png: bytes, caption: str) -> str:
    data = base64.b64encode(png).decode()
    # Figures are drawn at 120 dots an inch and shown at 96 pixels an inch.
    width = int.from_bytes(png[16:20], "big") * 96 // 120
    return (
        f'<figure><img width="{width}" alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
