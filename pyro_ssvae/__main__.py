"""``python -m pyro_ssvae`` is ``pyro-ssvae``."""

from pyro_ssvae.cli import main

main(prog_name="pyro-ssvae")
