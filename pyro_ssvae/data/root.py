"""Where data files are looked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
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


def find(root: Path, folder: str, files: Sequence[str], source: str) -> Path:
    """The folder that two files, or a file and a folder, lie in: ``root/folder`` or ``root``.

    Args:
        root: The folder of data files, see :func:`data_root`.
        folder: The name of a folder in it, which is looked into first.
        files: The two names.
        source: The place where the two can be had, for the message.

    Raises:
        InputError: if they are in neither of the two folders.
    """
    folders = [root / folder, root]
    for place in folders:
        if all((place / file).exists() for file in files):
            return place
    part = next((path for place in folders for file in files
                 if (path := place / file).exists()), None)
    came = "neither" if part is None else f"{part} alone"
    raise InputError(
        f"expected {files[0]} and {files[1]} in {folders[0]} or {folders[1]}, got {came};"
        f" put both there ({source}), or name their folder by --data-root or ${VARIABLE}"
    )
