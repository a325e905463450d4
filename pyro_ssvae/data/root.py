"""Where data files are looked for."""

from __future__ import annotations

import os
from pathlib import Path

from pyro_ssvae.errors import InputError

VARIABLE = "PYRO_SSVAE_DATA"


def data_root(root: str | Path | None = None) -> Path:
    """The folder of data files: ``root``, else ``$PYRO_SSVAE_DATA``, else a cache folder.

    Raises:
        InputError: if a folder is named that is not there. A misspelt name would begin a download
            into a new folder; only the cache folder need not be there.
    """
    named = os.environ.get(VARIABLE) or None if root is None else root
    if named is None:
        return Path(os.path.expanduser("~")) / ".cache" / "pyro_ssvae"
    folder = Path(os.path.expanduser(named))
    if not str(named) or not folder.is_dir():
        what = f"${VARIABLE}" if root is None else "the data root"
        came = "a file" if folder.is_file() else "none"
        raise InputError(
            f"expected {what} to be a folder that is there, got {came} at {str(named)!r}; make it"
            " first, or leave it out"
        )
    return folder
