"""Files of data sets that torchvision downloads."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pyro_ssvae.data.root import VARIABLE
from pyro_ssvae.errors import InputError
from pyro_ssvae.system.files import replacing


def download(root: Path, what: str, *wanted: str, place: str, splits: tuple[str, ...] = ()) -> None:
    """Put the files of a data set under a folder, each of them when all are whole.

    Args:
        root: The folder. It is made where it is not there.
        what: The name of the class in ``torchvision.datasets``.
        wanted: The paths of the files, or patterns of them, below the folder that torchvision gets.
        place: The place in ``root`` that the files may be put to by hand, for the message.
        splits: The splits to ask torchvision for one by one, where it does not get all at once.

    Raises:
        InputError: If the download fails, or the files are not among what it got.
    """
    try:
        with tempfile.TemporaryDirectory() as temporary:
            fetch(what, Path(temporary), splits)
            files = [path for name in wanted for path in sorted(Path(temporary).glob(name))]
            if not files:
                raise RuntimeError("it has no such files")
            for path in files:
                target = root / path.relative_to(temporary)
                target.parent.mkdir(parents=True, exist_ok=True)
                with replacing(target) as new:
                    shutil.copyfile(path, new)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"no files of {what} under {root}, and the download failed"
            f" ({' '.join(str(error).split())}); put them in {root / place}, or name the folder"
            f" that has them by --data-root or ${VARIABLE}"
        ) from None


def fetch(what: str, folder: Path, splits: tuple[str, ...] = ()) -> None:
    """Have torchvision download a data set into a folder."""
    from torchvision import datasets  # which takes seconds to import

    made = getattr(datasets, what)
    for split in splits:
        made(folder, split=split, download=True)
    if not splits:
        made(folder, download=True)
