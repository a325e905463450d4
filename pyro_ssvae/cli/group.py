"""The group of all commands: errors in one line, and what an interrupted command goes on with."""

from __future__ import annotations

import io
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import click

from pyro_ssvae import __version__
from pyro_ssvae.errors import (
    InputError,
    LostProcessError,
    NonFiniteLossError,
    enough_memory,
    one_of,
)
from pyro_ssvae.system import memory, processes
from pyro_ssvae.system.signals import Interrupted, Signals

RESUMED = ("train", "compare", "study", "reproduce")
HEARD = 3.0  # seconds for the first process to speak: torchrun ends all with the one that fails
TOGETHER = "train"  # what several processes do together


class _InputFailure(click.ClickException):
    exit_code = 2


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _interruption(error: BaseException, arguments: list[str]) -> str:
    """What was interrupted, and the command that goes on with it."""
    said = _one_line(error)
    if not arguments or arguments[0] not in RESUMED:
        return said
    program = ["pyro-ssvae"]
    if (number := processes.started().number) > 1:
        here = os.environ.get("LOCAL_WORLD_SIZE", str(number))
        program = ["torchrun", "--nproc-per-node", here, "-m", "pyro_ssvae"]
    words = [word for word in arguments if word not in ("--overwrite", "--resume")]
    return f"{said}; go on with: {shlex.join([*program, *words, '--resume'])}"


@contextmanager
def _one_speaks() -> Iterator[None]:
    """Of several processes have the first one print; what is unforeseen all do."""
    if os.environ.get("RANK", "0") == "0":
        yield
        return
    with open(os.devnull, "w") as nothing, redirect_stdout(nothing), redirect_stderr(nothing):
        try:
            yield
        except SystemExit as end:
            if end.code:
                time.sleep(HEARD)
            raise


@contextmanager
def _current_folder() -> Iterator[None]:
    """Find pairs of one's own in the current folder too, after all else."""
    path = list(sys.path)
    if "" not in path:
        sys.path.append("")
    try:
        yield
    finally:
        sys.path[:] = path


class _Commands(click.Group):
    """Shows what this library raises as one line: exit status 2 for input, 1 for a lost run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.obj = list(args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-"):
            one_of("command", args[0], self.commands)
            if (number := processes.started().number) > 1 and args[0] != TOGETHER:
                raise InputError(
                    f"expected one process for {args[0]}, got WORLD_SIZE={number}: several go"
                    f" together for {TOGETHER} alone"
                )
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **options: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # names that it cannot encode are to be seen
                stream.reconfigure(errors="backslashreplace")
        with _one_speaks():
            try:
                return super().main(*args, **options)
            except OSError as error:  # of help that cannot be written
                click.echo(f"Error: {_one_line(error)}", err=True)
                sys.exit(2)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            memory.keep_freed()
            with Signals(), enough_memory(), _current_folder():
                return super().invoke(ctx)
        except Interrupted as error:
            click.echo(_interruption(error, ctx.obj), err=True)
            ctx.exit(128 + error.number)  # as a shell has it
        except BrokenPipeError:
            # What reads the output, such as head, has enough: end as other programs do then.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGPIPE)
        except (InputError, OSError) as error:
            raise _InputFailure(_one_line(error)) from None
        except LostProcessError as error:
            raise click.ClickException(_interruption(error, ctx.obj)) from None
        except NonFiniteLossError as error:
            raise click.ClickException(_one_line(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Semi-supervised variational autoencoders as Pyro model/guide pairs."""
