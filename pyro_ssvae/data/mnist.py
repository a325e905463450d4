"""MNIST and Fashion-MNIST: four files each, found, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_ssvae.data import idx, images
from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.downloads import download
from pyro_ssvae.data.images import LARGEST_BYTE
from pyro_ssvae.data.root import data_root
from pyro_ssvae.errors import InputError
from pyro_ssvae.recipes import KIND_OF
from pyro_ssvae.targets import Classes

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


class Known(NamedTuple):
    """What tells data sets of this form apart.

    Attributes:
        title: The name that texts call the data set by, and torchvision's of its class.
        folders: The folders in the root of data files that its files may lie in.
        classes: The names of its classes.
    """

    title: str
    folders: tuple[str, ...]
    classes: tuple[str, ...]


# The files have the same names: those that lie in the root itself are taken for MNIST's.
KNOWN = {
    "mnist": Known("MNIST", ("MNIST/raw", "mnist", "."), tuple(map(str, range(10)))),
    "fashion-mnist": Known(
        "FashionMNIST", ("FashionMNIST/raw", "fashion-mnist"),
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
         "Ankle boot"),
    ),
}


def load(name: str, root: Path | None = None) -> Dataset:
    """The 70,000 images of 28 x 28 pixels, of which 10,000 are for testing."""
    x, labels, test = read_mnist(root, name)
    return Dataset(
        name=name, x=x, y=labels, target=Classes(KNOWN[name].classes), test=test,
        validation=10_000, divisor=LARGEST_BYTE, kind=KIND_OF[name],
    )


def read_mnist(
    root: str | Path | None = None, name: str = "mnist"
) -> tuple[Tensor, Tensor, Tensor]:
    """The images, the labels and the test indices of MNIST or, as ``"fashion-mnist"``, its kin.

    MNIST's files are looked for in ``root/MNIST/raw`` (where torchvision puts them), ``root/mnist``
    and ``root`` itself, packed or not; those of Fashion-MNIST (Xiao et al. 2017) in
    ``root/FashionMNIST/raw`` and ``root/fashion-mnist``. Torchvision downloads them where there
    are none.

    Returns:
        x (N, 1, 28, 28) float32 in [0, 1], y (N,) int64, and the indices (T,) of the test images.

    Raises:
        InputError: if a file is missing, corrupt or truncated, or the download fails.
    """
    folder = _find(data_root(root), KNOWN[name])
    pixels, labels = [], []
    for image_name, label_name in FILES.values():
        x, y = idx.read(folder, image_name), idx.read(folder, label_name)
        if len(x) != len(y):
            raise InputError(f"{folder}: expected a label an image, got {len(x)} images in"
                             f" {image_name} and {len(y)} labels in {label_name}")
        pixels.append(x[:, None])
        labels.append(torch.from_numpy(y.astype("int64")))
    return images.joined(pixels), torch.cat(labels), images.last(pixels)


def _find(root: Path, known: Known) -> Path:
    wanted = [name for names in FILES.values() for name in names]
    for folder in (root / place for place in known.folders):
        missing = [name for name in wanted if idx.path(folder, name) is None]
        if not missing:
            return folder
        if len(missing) < len(wanted):
            raise InputError(
                f"{folder}: expected {known.title}'s four files, packed (.gz) or not;"
                f" missing {', '.join(missing)}"
            )
    first, place, *_ = known.folders
    download(root, known.title, f"{first}/*-ubyte*", place=place)
    return root / first
