"""The command line: reads what is asked for, calls the rooms below, prints what they return."""

from pyro_ssvae.cli import runs, studies, trained
from pyro_ssvae.cli.group import main

__all__ = ["main", "runs", "studies", "trained"]
