"""What commands print: their result, as text or as JSON, and what goes on meanwhile."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

import click
from click.core import ParameterSource

from pyro_ssvae.cli.options import Command
from pyro_ssvae.errors import InputError
from pyro_ssvae.system.numbers import finite


@dataclass(frozen=True)
class Output:
    """What a command prints.

    The result alone is on standard output where it is asked for as JSON. What goes on is then on
    standard error, as the progress is.

    Attributes:
        quiet: Whether to print the result alone.
        as_json: Whether to print it as JSON.
    """

    quiet: bool
    as_json: bool

    @property
    def progress(self) -> bool:
        """Whether to show the progress and the time left."""
        return not self.quiet

    def log(self, line: str) -> None:
        """Print a line on what goes on."""
        from pyro_ssvae.system.progress import say

        if not self.quiet:
            say(line, error=self.as_json)

    def result(self, text: str, data: Any) -> None:
        """Print what a command has found.

        Args:
            text: The result as text.
            data: The result as plain data; numbers that are not finite become null.
        """
        click.echo(json.dumps(finite(data), indent=2, allow_nan=False) if self.as_json else text)


def refuse_alone(argument: str) -> None:
    """Raise :class:`InputError` if a command that lists has options which take an argument.

    Args:
        argument: The argument that was not given, as a user calls it.
    """
    context = click.get_current_context()
    own = [
        option for option in context.command.params
        if option.name not in ("quiet", "as_json") and option.name is not None
        and context.get_parameter_source(option.name) == ParameterSource.COMMANDLINE
    ]
    if own:
        raise InputError(f"expected {argument} with {own[0].opts[0]}, got none")


def output_options(command: Command) -> Command:
    """Give a command ``--quiet`` and ``--json``, as its argument ``output``."""
    @functools.wraps(command)
    def printing(*arguments: Any, quiet: bool, as_json: bool, **named: Any) -> Any:
        return command(*arguments, output=Output(quiet, as_json), **named)

    for option in (
        click.option("--json", "as_json", is_flag=True,
                     help="Print the result as JSON, and nothing else on standard output."),
        click.option("--quiet", "-q", is_flag=True,
                     help="Print the result and errors alone: no progress, nothing on what goes"
                          " on."),
    ):
        printing = option(printing)
    return printing
