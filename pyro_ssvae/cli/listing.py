"""The pairs and their options, as ``pyro-ssvae list`` shows them."""

from __future__ import annotations

import click

from pyro_ssvae.cli.values import shown
from pyro_ssvae.errors import one_of
from pyro_ssvae.experiments.pairs import names, pair
from pyro_ssvae.recipes import KIND_OF
from pyro_ssvae.system.docstrings import paragraph


def pairs() -> str:
    """The names of the pairs, each with the factorisation of its model."""
    formatter = click.HelpFormatter(max_width=100)
    with formatter.section("Pairs, each by its model"):
        formatter.write_dl([(name, paragraph(pair(name).model, 0)) for name in names()])
    formatter.write(
        "\n`pyro-ssvae list m2` shows m2's paper, its guide and its options.\n"
        "A pair of your own goes by its place, such as mypackage.module:Mine.\n"
    )
    return formatter.getvalue()


def options(name: str, data: str) -> str:
    """A pair's factorisations, its source and its options, with the values used on a data set.

    Raises:
        InputError: If there is no such pair or no such data set.
    """
    listed = pair(name)
    one_of("data set", data, KIND_OF)
    values = listed.values(KIND_OF[data])
    formatter = click.HelpFormatter(max_width=100)
    about = {"model": paragraph(listed.model, 0), "guide": paragraph(listed.guide, 0),
             "from": listed.source}
    with formatter.section(name):
        formatter.write_dl([(what, text) for what, text in about.items() if text])
    for owner in ("model", "guide", "objective", "training"):
        rows = [
            (f"{option.name}={shown(values[option.name])}", option.meaning)
            for option in listed.options.values()
            if option.owner == owner and option.name in values and listed.takes(option.name)
        ]
        if rows:
            whose = "training" if owner == "training" else f"the {owner}"
            with formatter.section(f"Options of {whose}, as used on {data}"):
                formatter.write_dl(rows)
    for_one = f", and for one program by {', '.join(listed.shared)}" if listed.shared else ""
    formatter.write_paragraph()
    formatter.write_text(f"Another value is given by --set NAME=VALUE{for_one}.")
    return formatter.getvalue()
