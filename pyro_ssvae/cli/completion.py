"""What a shell is told to complete commands and options: ``pyro-ssvae completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from pyro_ssvae.cli.group import main

NAME, VARIABLE = "pyro-ssvae", "_PYRO_SSVAE_COMPLETE"


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what SHELL needs to complete commands and options.

    \b
    bash: echo 'eval "$(pyro-ssvae completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(pyro-ssvae completion zsh)"' >> ~/.zshrc
    fish: pyro-ssvae completion fish > ~/.config/fish/completions/pyro-ssvae.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # click has these three
    click.echo(kind(main, {}, NAME, VARIABLE).source())
