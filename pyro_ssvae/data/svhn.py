"""SVHN: photographs of house numbers' digits, in two files of MATLAB's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.data import images
from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.downloads import download
from pyro_ssvae.data.images import LARGEST_BYTE
from pyro_ssvae.data.root import data_root
from pyro_ssvae.errors import InputError
from pyro_ssvae.recipes import KIND_OF
from pyro_ssvae.targets import Classes

FILES = ("train_32x32.mat", "test_32x32.mat")
SIDE = 32  # pixels
EXAMPLES = 100_000  # more than either file has: 73,257 and 26,032

Array = np.ndarray[Any, Any]


def load(name: str, root: Path | None = None) -> Dataset:
    """The 99,289 images of 32 x 32 pixels in colour, of which 26,032 are for testing.

    The further 531,131 images of the file ``extra_32x32.mat`` are left out.
    """
    x, y, test = read_svhn(root)
    return Dataset(
        name=name, x=x, y=y, target=Classes(tuple(map(str, range(10)))), test=test,
        validation=5_000, divisor=LARGEST_BYTE, kind=KIND_OF[name],
    )


def read_svhn(root: str | Path | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """The images of Netzer et al. (2011), their digits and the test indices.

    The two files are looked for in ``root/svhn`` and in ``root`` itself, where torchvision puts
    them; it downloads them where there are none. The files call the digit 0 by 10.

    Returns:
        x (N, 3, 32, 32) float32 in [0, 1], y (N,) int64, and the indices (T,) of the test images.

    Raises:
        InputError: If a file is missing, corrupt or truncated, or the download fails.
    """
    folder = _find(data_root(root))
    parts = [_read(folder / name) for name in FILES]
    pixels = [part for part, _ in parts]
    y = torch.from_numpy(np.concatenate([labels for _, labels in parts]))
    return images.joined(pixels), y, images.last(pixels)


def _find(root: Path) -> Path:
    for folder in (root / "svhn", root):
        missing = [name for name in FILES if not (folder / name).is_file()]
        if not missing:
            return folder
        if len(missing) < len(FILES):
            raise InputError(f"{folder}: expected the two files of SVHN; missing {missing[0]}")
    download(root, "SVHN", *FILES, place="svhn", splits=("train", "test"))
    return root


def _read(path: Path) -> tuple[Array, Array]:
    """The pixels (N, 3, 32, 32) and the digits (N,) of a file."""
    from scipy.io import loadmat, whosmat

    try:
        shapes = {name: shape for name, shape, _ in whosmat(path)}
        number = shapes["X"][-1]  # before any of it is read: a damaged header may say anything
        if shapes["X"] != (SIDE, SIDE, 3, number) or not 1 <= number <= EXAMPLES:
            raise ValueError(f"X of shape {shapes['X']}")
        if sorted(shapes["y"]) != [1, number] and shapes["y"] != (number,):
            raise ValueError(f"y of shape {shapes['y']}")
        content = loadmat(path, variable_names=["X", "y"])
        pixels, digits = content["X"], content["y"].ravel()
        if pixels.dtype != np.uint8 or pixels.shape != shapes["X"] or len(digits) != number:
            raise ValueError(f"X of {pixels.dtype} {pixels.shape} and {len(digits)} digits")
    except Exception as error:  # a damaged file can raise anything while it is read
        raise InputError(
            f"{path}: expected a file of MATLAB's with X (32, 32, 3, N), bytes, and y (N, 1), got"
            f" another or a broken file ({' '.join(repr(error).split()):.200})"
        ) from None
    if not np.isin(digits, range(1, 11)).all():
        wrong = digits[~np.isin(digits, range(1, 11))][0]
        raise InputError(f"{path}: expected digits of 1 to 9, and 10 for 0, got {wrong}")
    return pixels.transpose(3, 2, 0, 1), digits.astype(np.int64) % 10
