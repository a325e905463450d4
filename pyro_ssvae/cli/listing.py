"""The pairs and their options, as ``pyro-ssvae list`` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import click

from pyro_ssvae.cli.options import given, read_for
from pyro_ssvae.cli.values import shown
from pyro_ssvae.experiments.options import Option
from pyro_ssvae.experiments.pairs import Pair, names, pair
from pyro_ssvae.recipes import KIND_OF
from pyro_ssvae.system.docstrings import paragraph


class Listed(NamedTuple):
    """A pair, with its options and the values that they have on a data set."""

    pair: Pair
    data: str
    options: list[tuple[Option, Any]]


def listed(
    name: str, data_name: str, data_root: str | None, reading: Mapping[str, Any]
) -> Listed:
    """What is listed of a pair on a data set that is known by name, or on one's own.

    Raises:
        InputError: If there is no such pair or no such data set, or it cannot be read.
    """
    found = pair(name)
    if data_name in KIND_OF and not given(reading):
        values = found.values(KIND_OF[data_name])
    else:
        values = found.resolve(read_for([found], data_name, data_root, reading), {})
    return Listed(found, data_name, [
        (option, values[option.name]) for option in found.options.values()
        if option.name in values and found.takes(option.name)
    ])


def pairs() -> str:
    """The names of the pairs, each with the factorisation of its model."""
    formatter = click.HelpFormatter(max_width=100)
    with formatter.section("Pairs, each by its model"):
        formatter.write_dl([(name, paragraph(pair(name).model, 0)) for name in names()])
    formatter.write(
        "\n`pyro-ssvae list m2` shows m2's paper, its guide and its options.\n"
        "A pair of your own goes by its place, such as mypackage.module:mine.\n"
    )
    return formatter.getvalue().rstrip("\n")


def pairs_as_data() -> list[dict[str, str]]:
    """The same as plain data: the name of each pair, and what is said of it."""
    return [_about(pair(name)) for name in names()]


def options(what: Listed) -> str:
    """A pair's factorisations, its source and its options, with the values used on the data."""
    formatter = click.HelpFormatter(max_width=100)
    about = _about(what.pair)
    name = about.pop("name")
    with formatter.section(name):
        formatter.write_dl([(said, text) for said, text in about.items() if text])
    for owner in ("model", "guide", "objective", "training"):
        rows = [
            (f"{option.name}={shown(value)}", option.meaning)
            for option, value in what.options if option.owner == owner
        ]
        if rows:
            whose = "training" if owner == "training" else f"the {owner}"
            with formatter.section(f"Options of {whose}, as used on {what.data}"):
                formatter.write_dl(rows)
    shared = what.pair.shared
    for_one = f", and for one program by {', '.join(shared)}" if shared else ""
    formatter.write_paragraph()
    formatter.write_text(f"Another value is given by --set NAME=VALUE{for_one}.")
    return formatter.getvalue().rstrip("\n")


def as_data(what: Listed) -> dict[str, Any]:
    """The same as plain data."""
    return _about(what.pair) | {"data": what.data, "options": [
        {"name": option.name, "of": option.owner, "value": value, "meaning": option.meaning}
        for option, value in what.options
    ]}


def _about(of: Pair) -> dict[str, str]:
    return {
        "name": of.name, "model": paragraph(of.model, 0), "guide": paragraph(of.guide, 0),
        "from": of.source,
    }
