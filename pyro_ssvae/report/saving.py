"""Figures in files: PNG for the screen and for reports, SVG for print."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from pyro_ssvae.system.files import replacing

DPI = 120  # of PNG files, which are shown at 96 pixels an inch


def save(figure: Figure, folder: Path, name: str, *, svg: bool = False) -> None:
    """Save a figure into a folder as ``NAME.png``, and as ``NAME.svg`` if so asked.

    If not, an SVG file of this name, which shows an earlier figure, is deleted. The same figure
    gives the same SVG file: there is no date in it, and no random name.
    """
    with replacing(folder / f"{name}.png") as temporary:
        figure.savefig(temporary, dpi=DPI)
    vector = folder / f"{name}.svg"
    if not svg:
        vector.unlink(missing_ok=True)
        return
    with replacing(vector) as temporary, matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(temporary, metadata={"Date": None})
