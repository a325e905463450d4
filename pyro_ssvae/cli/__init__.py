"""The command line: reads what is asked for, calls the rooms below, prints what they return."""

from pyro_ssvae.cli.main import main

__all__ = ["main"]
