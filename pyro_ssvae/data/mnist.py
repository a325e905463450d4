"""MNIST's four files: found, read by torchvision, and checked."""

from __future__ import annotations

import gzip
import math
import shutil
import struct
import tempfile
import zlib
from pathlib import Path

import torch
from torch import Tensor
from torchvision.datasets import MNIST
from torchvision.datasets.mnist import read_image_file, read_label_file

from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.root import data_root
from pyro_ssvae.errors import InputError
from pyro_ssvae.recipes import KIND_OF
from pyro_ssvae.targets import Classes

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
EXAMPLES = 60_000  # in the larger of the two parts


def load(name: str, root: Path | None = None) -> Dataset:
    """The 70,000 images of 28 x 28 pixels, of which 10,000 are for testing."""
    images, labels, test = read_mnist(root)
    return Dataset(
        name=name, x=images, y=labels, target=Classes(tuple(map(str, range(10)))), test=test,
        validation=10_000, kind=KIND_OF[name],
    )


def read_mnist(root: str | Path | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """MNIST's images, labels and test indices.

    Files are looked for in ``root/MNIST/raw`` (where torchvision puts them), ``root/mnist`` and
    ``root`` itself, packed or not; torchvision downloads them where there are none.

    Returns:
        x (N, 1, 28, 28) float32 in [0, 1], y (N,) int64, and the indices (T,) of the test images.

    Raises:
        InputError: if a file is missing, corrupt or truncated, or the download fails.
    """
    folder = _find(data_root(root))
    images, labels = [], []
    for image_name, label_name in FILES.values():
        x, y = _read(folder, image_name), _read(folder, label_name)
        if len(x) != len(y):
            raise InputError(f"{folder}: expected a label an image, got {len(x)} images in"
                             f" {image_name} and {len(y)} labels in {label_name}")
        images.append(x.unsqueeze(1))
        labels.append(y)
    x = torch.cat(images).to(torch.float32).div_(255.0)
    return x, torch.cat(labels), torch.arange(len(images[0]), len(x))


def _find(root: Path) -> Path:
    wanted = [name for names in FILES.values() for name in names]
    for folder in (root / "MNIST" / "raw", root / "mnist", root):
        missing = [name for name in wanted if _path(folder, name) is None]
        if not missing:
            return folder
        if len(missing) < len(wanted):
            raise InputError(
                f"{folder}: expected MNIST's four files, packed (.gz) or not;"
                f" missing {', '.join(missing)}"
            )
    try:
        with tempfile.TemporaryDirectory() as temporary:  # moved when it is whole
            MNIST(Path(temporary), download=True)
            shutil.copytree(temporary, root, dirs_exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"no MNIST files under {root}, and the download failed ({error}); put the four"
            f" idx.gz files in {root / 'mnist'}, or name their folder by --data-root or"
            " $PYRO_SSVAE_DATA"
        ) from None
    return root / "MNIST" / "raw"


def _path(folder: Path, name: str) -> Path | None:
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def _read(folder: Path, name: str) -> Tensor:
    path = _path(folder, name)
    if path is None:
        raise InputError(f"{folder}: expected MNIST's file {name}, packed (.gz) or not")
    read, magic, dims = (
        (read_image_file, 2051, 3) if "images" in name else (read_label_file, 2049, 1)
    )
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            header = file.read(4 * (dims + 1))
            size = _size(path, header, magic, dims)
            content = file.read(size + 1)  # one is too many; a gzip file may hold gigabytes
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: corrupt or truncated gzip file ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: expected a readable file ({error.strerror})") from None
    if len(content) != size:
        came = "more" if len(content) > size else len(header + content)
        raise InputError(f"{path}: expected {len(header) + size} bytes for the shape in its header,"
                         f" got {came}")
    with tempfile.TemporaryDirectory() as temporary:
        unpacked = Path(temporary) / name
        unpacked.write_bytes(header + content)
        return read(str(unpacked))


def _size(path: Path, header: bytes, magic: int, dims: int) -> int:
    """The number of bytes that go with a header."""
    if len(header) < 4 * (dims + 1):
        raise InputError(
            f"{path}: expected an idx header of {4 * (dims + 1)} bytes, got {len(header)}"
        )
    number, *shape = struct.unpack(f">{dims + 1}i", header)
    if number != magic:
        raise InputError(f"{path}: expected idx magic number {magic}, got {number}")
    if dims == 3 and shape[1:] != [28, 28]:
        raise InputError(f"{path}: expected images of 28 x 28 pixels, got {tuple(shape[1:])}")
    if not 1 <= shape[0] <= EXAMPLES:
        raise InputError(f"{path}: expected 1 to {EXAMPLES} examples, got {shape[0]}")
    return math.prod(shape)
