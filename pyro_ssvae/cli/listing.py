"""The pairs and their options, as ``pyro-ssvae list`` shows them."""

from __future__ import annotations

import click

from pyro_ssvae.errors import one_of
from pyro_ssvae.experiments import zoo
from pyro_ssvae.recipes import PRESETS
from pyro_ssvae.system.docstrings import paragraph


def pairs() -> str:
    """The names of the pairs, each with the factorisation of its model."""
    formatter = click.HelpFormatter(max_width=100)
    with formatter.section("Pairs, each by its model"):
        formatter.write_dl([(name, paragraph(zoo.pair(name).model, 0)) for name in zoo.names()])
    formatter.write("\n`pyro-ssvae list m2` shows m2's paper, its guide and its options.\n")
    return formatter.getvalue()


def options(name: str, data: str) -> str:
    """A pair's factorisations, its source and its options, with the values used on a data set.

    Raises:
        InputError: If there is no such pair or no such data set.
    """
    pair = zoo.pair(name)
    one_of("data set", data, PRESETS)
    values = pair.values(PRESETS[data])
    formatter = click.HelpFormatter(max_width=100)
    model, guide = pair.factorisation.split(";  ")
    with formatter.section(name):
        formatter.write_dl([("model", model), ("guide", guide), ("from", pair.source)])
    for owner in ("model", "guide", "objective", "training"):
        rows = [
            (f"{option.name}={zoo.shown(values[option.name])}", option.meaning)
            for option in pair.options.values()
            if option.owner == owner and pair.takes(option.name)
        ]
        if rows:
            whose = "training" if owner == "training" else f"the {owner}"
            with formatter.section(f"Options of {whose}, as used on {data}"):
                formatter.write_dl(rows)
    formatter.write("\nAnother value is given by --set NAME=VALUE.\n")
    return formatter.getvalue()
