"""Makes the page of the benchmarks, and its figures: `python benchmarks/page.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import batches
import bound
import classes
import command
import convolutions
import labels
import loading
import memory
import pairs
import processes
import profiled
import recorded
import replicas
import rows
import short
import sure
import updates
import variance
from results import FOLDER, KINDS, Found, Section, read

import studies
from pyro_ssvae.system.files import replacing, write_text

SECTIONS: tuple[Section, ...] = (
    updates.SECTION, profiled.SECTION, sure.SECTION, bound.SECTION, pairs.SECTION,
    convolutions.SECTION, classes.SECTION, labels.SECTION, rows.SECTION, batches.SECTION,
    replicas.SECTION, processes.SECTION, variance.SECTION, memory.SECTION, command.SECTION,
    short.SECTION, studies.SECTION, loading.SECTION, *recorded.SECTIONS,
)
INTRODUCTION = """\
# Benchmarks

`make bench` runs those that take minutes, on a GPU where there is one, and makes this page of what
they found; each is also a command of its own, such as `python benchmarks/updates.py`
(`pip install '.[bench]'` for NumPyro), after which `python benchmarks/page.py` makes the
page. The numbers are those of `results.json`, and of `results-cuda.json` for a GPU. Where a number
has a target the row says whether it is hit or missed. All ways, the peers' too, run in processes
that keep the memory that they free, as the command line has it."""
DEVICES = {"cpu": "On a CPU", "cuda": "On a GPU"}


def page(results: Mapping[str, Mapping[str, Found]]) -> str:
    """The page, in Markdown.

    Args:
        results: What was found, by the type of the device and by the benchmark.
    """
    parts = [INTRODUCTION]
    for section in SECTIONS:
        there = [device for device in DEVICES if section.name in results.get(device, {})]
        if there:
            parts += [f"## {section.title}", section.prose.strip()]
        for device in there:
            parts += [f"### {DEVICES[device]}"] if there != ["cpu"] else []
            parts += found(section, device, results[device][section.name])
    return "\n\n".join(parts) + "\n"


def found(section: Section, device: str, of: Found) -> list[str]:
    """The figure, the tables and the machine of a benchmark on a type of device."""
    parts = []
    if section.drawn is not None:
        parts.append(f"![{section.title.partition(',')[0]}]({figure(section, device)})")
    by = f" by `{of['command']}`" if of["command"] else ""
    return [*parts, section.tables(of["rows"]), f"Measured{by} on {of['machine']}."]


def figure(section: Section, device: str) -> str:
    """The name of the file of a figure."""
    return f"{section.name}{KINDS[device]}.png"


def main(folder: Path = FOLDER) -> None:
    """Write the page and its figures."""
    results = {device: read(device, folder) for device in DEVICES}
    for device, of_device in results.items():
        for section in SECTIONS:
            if section.drawn is not None and section.name in of_device:
                with replacing(folder / figure(section, device)) as temporary:
                    section.drawn(of_device[section.name]["rows"]).savefig(temporary, dpi=120)
    write_text(folder / "README.md", page(results))


if __name__ == "__main__":
    main()
