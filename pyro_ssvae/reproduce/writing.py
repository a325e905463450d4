"""What a reproduction leaves in its folder: tables, figures, and a page that shows all of it."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from pyro_ssvae.experiments import machine
from pyro_ssvae.report import page
from pyro_ssvae.report.saving import save
from pyro_ssvae.report.tables import cell
from pyro_ssvae.reproduce.findings import Claim, Findings, Row
from pyro_ssvae.reproduce.work import Work
from pyro_ssvae.statistics.paired import FEW
from pyro_ssvae.system.files import write_text
from pyro_ssvae.system.progress import duration

WRITTEN = FINDINGS, README, REPORT = "findings.json", "README.md", "report.html"
HEAD = ("measured", "here", "n", "published", "where")
LONG = 60  # rows of a table above which a page shows it when asked to


def write(name: str, work: Work, findings: Findings, *, seconds: Mapping[str, float]) -> None:
    """Write the findings of a reproduction into its folder.

    Args:
        name: The name of the reproduction.
        work: The place that it has worked in.
        findings: What it has found.
        seconds: The time that this took, from its beginning on, by the machine.
    """
    full = work.full and findings.whole
    about = {
        "name": name, "command": command(name, work), "scale": work.scale, "full": full,
        "full on": {
            claim.data: work.on(claim.data).full if claim.data else full
            for claim in findings.claims
        },
        "seconds": sum(seconds.values()),
        "hardware": " and ".join(filter(None, seconds)), "versions": machine.versions(),
    }
    work.out.mkdir(parents=True, exist_ok=True)
    for picture in findings.pictures:
        save(picture.figure, work.out, picture.name, svg=work.svg)
    write_text(work.out / README, markdown(findings, about))
    write_text(work.out / REPORT, html(findings, about))
    write_text(work.out / FINDINGS, json.dumps(as_data(findings, about), indent=1) + "\n")


def read(folder: Path) -> dict[str, Any]:
    """The findings that :func:`write` has left in a folder, as plain data."""
    findings: dict[str, Any] = json.loads((folder / FINDINGS).read_text(encoding="utf-8"))
    return findings


def command(name: str, work: Work) -> str:
    """The command that gives these findings, in whatever folder."""
    words = ["pyro-ssvae", "reproduce", name, "--out", f"runs/{name}"]
    scale = [f"{work.scale:g}"] if work.scale != 1 else []
    scale += [f"{data}={each:g}" for data, each in work.scales.items()]
    draws = [str(work.number)] if work.number is not None else []
    draws += [f"{data}={each}" for data, each in work.numbers.items()]
    for option, texts in (("--scale", scale), ("--draws", draws)):
        if texts:
            words += [option, ",".join(texts)]
    return shlex.join(words)


def as_data(findings: Findings, about: dict[str, Any]) -> dict[str, Any]:
    """The findings as plain data, numbers that are not finite as None."""
    def finite(value: Any) -> Any:
        return value if not isinstance(value, float) or math.isfinite(value) else None

    return about | {
        "title": findings.title, "setting": findings.setting,
        "rows": [
            {**asdict(row), "found": [finite(value) for value in row.found]}
            for row in findings.rows
        ],
        "claims": [asdict(claim) for claim in findings.claims],
        "pictures": [
            {"name": picture.name, "caption": picture.caption} for picture in findings.pictures
        ],
    }


def verdict(claim: Claim, about: Mapping[str, Any]) -> str:
    """What a run says of a claim, in a word or two.

    Args:
        claim: The claim.
        about: What :func:`read` gives of the run: whether it was at full scale, ``"full"``, and
            whether it was on each data set, ``"full on"``.
    """
    if claim.holds is None:
        return "not decided"
    said = "reproduced" if claim.holds else "refuted"
    full = about.get("full on", {}).get(claim.data, about["full"])
    return said if full else f"{said} so far, not yet at full scale"


def cells(row: Row) -> list[str]:
    """A row of the table as text, under :data:`HEAD`."""
    digits = _digits([row.mean, row.deviation])
    here = f"{row.mean:.{digits}f}"
    if len(row.found) > 1:
        here += f" ± {row.deviation:.{digits}f}"
    published = "" if row.published is None else f"{row.published:g}"
    if row.spread is not None:
        published += f" ± {row.spread:g}"
    return [row.what, here, str(len(row.found)), published, row.source]


def table(rows: Sequence[Row]) -> list[list[str]]:
    """The rows as text under their headings, without columns that would be empty."""
    lines = [cells(row) for row in rows]
    width = len(HEAD) if any("".join(each[3:]) for each in lines) else 3
    return [each[:width] for each in (list(HEAD), *lines)]


def markdown(findings: Findings, about: dict[str, Any]) -> str:
    """All findings as a page of Markdown."""
    lines = [
        f"# {findings.title}", "", capital(findings.setting), "", f"    {about['command']}", "",
    ]
    for claim in findings.claims:
        said = verdict(claim, about).capitalize()
        lines += [f"- **{said}**: {sentence(claim)}", f"  {capital(claim.because)}"]
    if warned := caution(findings):
        lines += ["", warned]
    for picture in findings.pictures:
        lines += ["", f"![{picture.caption}]({picture.name}.png)", "", picture.caption]
    if findings.rows:
        head, *rows = table(findings.rows)
        sides = (":---", "---:", "---:", "---:", ":---")[:len(head)]
        numbers = [line(head), f"|{'|'.join(sides)}|", *map(line, rows)]
        if summary := _summary(findings):
            numbers = [f"<details><summary>{summary}</summary>", "", *numbers, "", "</details>"]
        lines += ["", *numbers]
    return "\n".join([*lines, "", _made_with(about), ""])


def caution(findings: Findings) -> str:
    """What is to be known of the intervals of few draws; nothing where there are enough, or one."""
    if not any(2 <= len(row.found) < FEW for row in findings.rows):
        return ""
    return (
        "An interval in brackets is to cover the true mean in 95 of 100 studies. Of fewer than"
        f" {FEW} draws it does so less often, most of all where a draw in many goes badly."
    )


def line(texts: Sequence[str]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(map(cell, texts))} |"


def capital(text: str) -> str:
    """A text that begins with a capital."""
    return text[:1].upper() + text[1:]


def sentence(claim: Claim) -> str:
    """A claim with its source."""
    return f"{claim.text.rstrip('.')} ({claim.source})."


def html(findings: Findings, about: dict[str, Any]) -> str:
    """All findings as one page with its figures inside."""
    claims = "\n".join(
        f"<li><b>{verdict(claim, about).capitalize()}</b>:"
        f" {escape(sentence(claim))}<br>"
        f'<span class="note">{escape(capital(claim.because))}</span></li>'
        for claim in findings.claims
    )
    warned = escape(caution(findings))
    body = [
        f"<h1>{escape(findings.title)}</h1>", f"<p>{escape(capital(findings.setting))}</p>",
        f"<p><code>{escape(about['command'])}</code></p>", f"<ul>\n{claims}\n</ul>",
        f'<p class="note">{warned}</p>' if warned else "",
        page.figures([page.drawn(p.figure, p.caption) for p in findings.pictures]),
        _numbers(findings),
        f'<p class="note">{escape(_made_with(about))}</p>',
    ]
    return page.document(findings.title, body)


def _numbers(findings: Findings) -> str:
    """The table of all rows, if there are any."""
    if not findings.rows:
        return ""
    numbers, summary = page.table(table(findings.rows), words=True), _summary(findings)
    return f"<details><summary>{summary}</summary>{numbers}</details>" if summary else numbers


def _summary(findings: Findings) -> str:
    """What stands in place of a long table until it is opened."""
    return f"All {len(findings.rows)} numbers" if len(findings.rows) > LONG else ""


def _made_with(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    seconds = about["seconds"]  # None of a run that did not keep what it took in all
    made = "Made" if seconds is None else f"Made in {duration(seconds)}"
    return f"{made} on {about['hardware']}, with {versions}."


def _digits(values: Any) -> int:
    """Decimals enough to show three digits of the largest of these numbers."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return 0 if largest >= 1000 else min(6, max(0, 2 - math.floor(math.log10(largest or 1))))
