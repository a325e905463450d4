"""Where data files are looked for."""

from __future__ import annotations

import os
from pathlib import Path


def data_root(root: str | Path | None = None) -> Path:
    """The folder of data files: ``root``, else ``$PYRO_SSVAE_DATA``, else a cache folder."""
    default = os.environ.get("PYRO_SSVAE_DATA") or Path.home() / ".cache" / "pyro_ssvae"
    return Path(root or default).expanduser()
