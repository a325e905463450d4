"""The command line: reads what is asked for, calls the rooms below, prints what they return."""

from pyro_ssvae.cli import completion, runs, studies, trained
from pyro_ssvae.cli.group import main

__all__ = ["completion", "main", "runs", "studies", "trained"]
