"""The claims of every paper in one table: `python studies/summary.py [FOLDER ...]`.

Each FOLDER is what `pyro-ssvae reproduce NAME --out FOLDER` has written, and is called NAME. Its
findings, its page and its figures are copied to `studies/NAME`, without the runs, and
`studies/README.md` is written anew from all that is there.

Of a study that has not ended, or not at full scale, what it has computed is copied to
`studies/underway/NAME`, without weights and figures. It goes on from a copy of that folder, on any
machine: `pyro-ssvae reproduce NAME --out COPY --resume`, with the same `--scale` or another.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from pyro_ssvae.errors import one_of
from pyro_ssvae.experiments.folder import HISTORY, METRICS, RUNS
from pyro_ssvae.reproduce.findings import Claim
from pyro_ssvae.reproduce.studies import BEGUN, NAMES, SECONDS
from pyro_ssvae.reproduce.writing import FINDINGS, README, duration, line, sentence, verdict

HERE = Path(__file__).resolve().parent
UNDERWAY, FILES = "underway", (METRICS, HISTORY)
INTRODUCTION = """# What the papers claim, and what came out

{run} of {all} studies were run by `pyro-ssvae reproduce NAME`. Whether a claim holds is computed
from the numbers of the run, which stand beside the published ones on the page of each study. A
scale under 1 is the share of the epochs and of the draws that were run, of all data sets or of one:
a claim about these is not settled. An interval in brackets is to cover the true mean in 95 of 100
studies; of five draws it does so less often, most of all where a draw in many goes badly.
"""


GOING_ON = """What these studies have computed, which are not at full scale, is kept in `underway/`:
{names}. Such a study goes on from there, on any machine: copy `underway/NAME` to a folder of your
own, and run `pyro-ssvae reproduce NAME --out FOLDER --resume`, with the same `--scale` and
`--draws` or with others."""

# Results that today's code would not give, and why; a study leaves this list when it is run again.
BEFORE: dict[str, str] = {
    "bound": "its runs of MNIST have another recipe, see [results](../docs/results.md#mnist)",
}


def copy(folder: Path) -> None:
    """Copy what a reproduction has found, without its runs."""
    about = json.loads((folder / FINDINGS).read_text())
    place = HERE / about["name"]
    place.mkdir(exist_ok=True)
    names = [FINDINGS, README, *(f"{picture['name']}.png" for picture in about["pictures"])]
    for name in names:
        shutil.copyfile(folder / name, place / name)


def ended(folder: Path) -> list[Path]:
    """The files that spare a reproduction what it has computed in a folder."""
    runs = [path.parent for path in folder.glob(f"{RUNS}/*/{METRICS}")]
    files = [*folder.glob("parts/*.json"), *(run / name for run in runs for name in FILES)]
    return [*folder.glob(SECONDS), *folder.glob(BEGUN), *files] if files else []


def keep(folder: Path) -> None:
    """Keep what a reproduction has computed, unless it has ended at full scale."""
    one_of("study", folder.name, NAMES)
    place = HERE / UNDERWAY / folder.name
    full = (folder / FINDINGS).exists() and json.loads((folder / FINDINGS).read_text())["full"]
    files = [] if full else ended(folder)
    if not full and not files:
        return
    shutil.rmtree(place, ignore_errors=True)
    for path in files:
        to = place / path.relative_to(folder)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)


def counts(all_findings: list[dict[str, Any]]) -> list[str]:
    """How many claims there are of each verdict."""
    verdicts = Counter(
        verdict(Claim(**content), about) for about in all_findings for content in about["claims"]
    )
    lines = ["| of all claims | number |", "|:---|---:|"]
    return lines + [line([said, str(number)]) for said, number in verdicts.most_common()]


def table(all_findings: list[dict[str, Any]]) -> list[str]:
    """A row for each claim."""
    lines = ["| study | claim | here | numbers |", "|:---|:---|:---|:---|"]
    for about in all_findings:
        for content in about["claims"]:
            claim = Claim(**content)
            link = f"[{about['name']}]({about['name']}/README.md)"
            said = verdict(claim, about)
            lines.append(line([link, sentence(claim), said, claim.because]))
    return lines


def commands(all_findings: list[dict[str, Any]]) -> list[str]:
    """How each was run."""
    lines = ["| command | time | on |", "|:---|---:|:---|"]
    return lines + [
        f"| `{about['command']}` |"
        f" {'not kept' if about['seconds'] is None else duration(about['seconds'])} |"
        f" {about['hardware']} |"
        for about in all_findings
    ]


def main(folders: list[Path]) -> None:
    """Copy what is new, and write the summary."""
    for folder in folders:
        if (folder / FINDINGS).exists():
            copy(folder)
        keep(folder)
    found = [HERE / name / FINDINGS for name in NAMES]
    all_findings = [json.loads(path.read_text()) for path in found if path.exists()]
    missing = [path.parent.name for path in found if not path.exists()]
    introduction = INTRODUCTION.format(run=len(all_findings), all=len(found))
    lines = [introduction, *counts(all_findings), "", *table(all_findings), ""]
    lines += ["## How they were run", "", *commands(all_findings), ""]
    for name, why in BEFORE.items():
        lines += [f"`{name}` is from before: {why}.", ""]
    if missing:
        lines += [f"Not run yet: {', '.join(missing)}.", ""]
    if kept := [name for name in NAMES if (HERE / UNDERWAY / name).exists()]:
        lines += [GOING_ON.format(names=", ".join(kept)), ""]
    (HERE / "README.md").write_text("\n".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    main(parser.parse_args().folders)
