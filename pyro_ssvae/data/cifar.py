"""CIFAR-10 and CIFAR-100: in the files for C programs, and in those for Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.data import images, pickled
from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.downloads import download
from pyro_ssvae.data.images import LARGEST_BYTE
from pyro_ssvae.data.root import data_root
from pyro_ssvae.errors import InputError
from pyro_ssvae.recipes import KIND_OF
from pyro_ssvae.targets import Classes

SHAPE = 3, 32, 32
PIXELS = 3 * 32 * 32
LARGEST = 200_000_000  # bytes: the largest file, CIFAR-100's for training, has 155 million

Array = np.ndarray[Any, Any]
Part = tuple[Array, Array]


class Known(NamedTuple):
    """Where the images of one of the two data sets lie.

    Attributes:
        title: torchvision's name of its class.
        classes: The number of its classes.
        binary: The folder of the binary files.
        python: The folder of the pickles.
        parts: The names of the files with images, without ``.bin``; the last has the test part.
        names: The files that name the classes, of either folder.
        bytes: The number of bytes of labels before the pixels of an image in a binary file, of
            which the last is the label.
        keys: What a pickle calls the labels, and the names of the classes.
    """

    title: str
    classes: int
    binary: str
    python: str
    parts: tuple[str, ...]
    names: tuple[str, str]
    bytes: int
    keys: tuple[str, str]


KNOWN = {
    "cifar10": Known(
        "CIFAR10", 10, "cifar-10-batches-bin", "cifar-10-batches-py",
        (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"),
        ("batches.meta.txt", "batches.meta"), 1, ("labels", "label_names"),
    ),
    "cifar100": Known(
        "CIFAR100", 100, "cifar-100-binary", "cifar-100-python", ("train", "test"),
        ("fine_label_names.txt", "meta"), 2, ("fine_labels", "fine_label_names"),
    ),
}


def load(name: str, root: Path | None = None) -> Dataset:
    """The 60,000 images, of which 10,000 are for testing; of CIFAR-100 the 100 fine classes."""
    x, y, test, classes = read_cifar(root, name)
    return Dataset(
        name=name, x=x, y=y, target=Classes(classes), test=test, validation=5_000,
        divisor=LARGEST_BYTE, kind=KIND_OF[name],
    )


def read_cifar(
    root: str | Path | None = None, name: str = "cifar10"
) -> tuple[Tensor, Tensor, Tensor, tuple[str, ...]]:
    """The images of Krizhevsky (2009), their labels, the test indices and the classes' names.

    The published folders are looked for in ``root``: ``cifar-10-batches-bin`` and
    ``cifar-10-batches-py``, ``cifar-100-binary`` and ``cifar-100-python``. Torchvision downloads
    the second where there are none. Of pickles the contents of arrays are read; no function or
    class that they name is called.

    Args:
        root: The folder of data files, see :func:`pyro_ssvae.data.load`.
        name: ``"cifar10"`` or ``"cifar100"``.

    Returns:
        x (N, 3, 32, 32) float32 in [0, 1], y (N,) int64, the indices (T,) of the test images, and
        the names of the classes.

    Raises:
        InputError: If a file is missing, corrupt or truncated, or the download fails.
    """
    known = KNOWN[name]
    folder, binary = _find(data_root(root), known)
    read: Callable[[Path, Known], Part] = _binary if binary else _python
    parts = [read(folder / _file(part, binary), known) for part in known.parts]
    pixels = [part.reshape(-1, *SHAPE) for part, _ in parts]
    y = torch.from_numpy(np.concatenate([labels for _, labels in parts]).astype(np.int64))
    return images.joined(pixels), y, images.last(pixels), _names(folder, known, binary)


def _file(part: str, binary: bool) -> str:
    return f"{part}.bin" if binary else part


def _find(root: Path, known: Known) -> tuple[Path, bool]:
    """The folder, and whether its files are binary ones."""
    for place, binary in ((known.binary, True), (known.python, False)):
        folder = root / place
        files = [*(_file(part, binary) for part in known.parts), known.names[not binary]]
        missing = [name for name in files if not (folder / name).is_file()]
        if not missing:
            return folder, binary
        if len(missing) < len(files):
            raise InputError(f"{folder}: expected the {len(files)} files of {known.title}; missing"
                             f" {', '.join(missing)}")
    download(root, known.title, f"{known.python}/*", place=known.binary)
    return root / known.python, False


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise InputError(f"{path}: expected a readable file ({error.strerror})") from None
    if len(content) > LARGEST:
        raise InputError(f"{path}: expected at most {LARGEST} bytes, got more")
    return content


def _binary(path: Path, known: Known) -> Part:
    content, row = _content(path), known.bytes + PIXELS
    if not content or len(content) % row:
        raise InputError(f"{path}: expected {row} bytes an image, got {len(content)} bytes; the"
                         " file is truncated or another")
    rows = np.frombuffer(content, np.uint8).reshape(-1, row)
    return rows[:, known.bytes:], _checked(path, rows[:, known.bytes - 1], known)


def _python(path: Path, known: Known) -> Part:
    try:
        parts = _keyed(path)
        pixels = pickled.array(parts["data"], "u1")
        labels = np.array([int(label) for label in parts[known.keys[0]]])
        if pixels.shape != (len(labels), PIXELS) or not len(labels):
            raise ValueError(f"pixels {pixels.shape} and {len(labels)} labels")
    except InputError:
        raise
    except Exception as error:  # a damaged file can raise anything while it is unpickled
        raise InputError(
            f"{path}: expected a pickle of pixels (N, {PIXELS}) and a label each, got another or a"
            f" broken file ({' '.join(repr(error).split()):.200})"
        ) from None
    return pixels, _checked(path, labels, known)


def _keyed(path: Path) -> dict[str, Any]:
    """The dictionary in a pickle, whose keys are bytes where Python 2 wrote them."""
    content = pickled.read(_content(path))
    return {
        key.decode() if isinstance(key, bytes) else str(key): value
        for key, value in content.items()
    }


def _checked(path: Path, labels: Array, known: Known) -> Array:
    wrong = labels[(labels < 0) | (labels >= known.classes)]
    if len(wrong):
        raise InputError(f"{path}: expected labels in 0..{known.classes - 1}, got {wrong[0]}")
    return labels


def _names(folder: Path, known: Known, binary: bool) -> tuple[str, ...]:
    """The names of the classes."""
    path = folder / known.names[not binary]
    try:
        if binary:
            names = _content(path).decode().split("\n")
        else:
            found = _keyed(path)[known.keys[1]]
            names = [name.decode() if isinstance(name, bytes) else str(name) for name in found]
        names = [name.strip() for name in names if name.strip()]
        if len(set(names)) != known.classes or len(names) != known.classes:
            raise ValueError(f"{len(names)} names")
    except InputError:
        raise
    except Exception as error:  # as above
        raise InputError(f"{path}: expected the names of {known.classes} classes, got another or a"
                         f" broken file ({' '.join(repr(error).split()):.200})") from None
    return tuple(names)
