"""Further examples for a pair that is trained: read from files, and given back as users have them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.data import files, image_files
from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.folder import is_folder
from pyro_ssvae.data.images import LARGEST_BYTE, channels_last
from pyro_ssvae.errors import InputError
from pyro_ssvae.nn import Columns


class Further(NamedTuple):
    """Examples of a file.

    Attributes:
        x: The examples, as the data set's :meth:`Dataset.encoded` takes them.
        names: The names of the images of a folder; None of other files.
    """

    x: Any
    names: list[str] | None = None


def read(path: str | Path, like: Dataset) -> Further:
    """The examples of a file, or the images of a folder, of the form of a data set.

    Args:
        path: ``FILE.csv`` with the columns of the data set, beside which others are left out;
            ``FILE.npz`` with an array ``x``; or a folder of images, however deep they lie.
        like: The data set, whose examples may be missing.

    Raises:
        InputError: If there is no such file, it is broken, or has no examples of this form.
    """
    path = Path(path)
    if is_folder(str(path)):
        return _images(path, like)
    if not path.is_file() or not files.is_file(path.name):
        raise InputError(
            f"{path}: expected a file of examples, FILE.csv or FILE.npz, or a folder of images, got"
            f" {'a file of another name' if path.exists() else 'none there'}"
        )
    if path.suffix.lower() == ".csv":
        return Further(_frame(path, like.columns) if like.columns else _rows(path))
    if like.columns is not None:
        raise InputError(f"{path}: expected a table FILE.csv, for the pair was trained on the"
                         f" columns of one, got arrays")
    arrays = files.arrays_in(path)
    if "x" not in arrays:
        raise InputError(f"{path}: expected an array x, got {', '.join(sorted(arrays)) or 'none'}")
    return Further(arrays["x"])


def _frame(path: Path, columns: Columns) -> Any:
    """A table, whose categories are texts as they stand there, where they are levels."""
    categories = {c.name: set(c.levels) for c in columns.columns if c.kind == "category"}
    there = [name for name in files.header(path) if name in categories]
    parsed = files.table_in(path)
    if not there:
        return parsed
    frame = files.table_in(path, there)
    return frame.assign(**{
        name: frame[name].where(frame[name].isin(categories[name]), parsed[name])
        for name in there
    })


def _rows(path: Path) -> Any:
    """A table of numbers without its first line, which names the columns."""
    names = files.header(path)
    if all(map(_is_number, names)) and names != [str(place) for place in range(len(names))]:
        raise InputError(
            f"{path}: expected the names of the columns in the first line, got the numbers"
            f" {', '.join(names):.60}; write a line above it, such as"
            f" {','.join(str(place) for place in range(len(names))):.40}"
        )
    return files.table_in(path).to_numpy()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def decoded(x: Tensor, like: Dataset) -> Any:
    """Examples (N, ...) of a data set in the user's terms: an array, or a data frame.

    Images have their channels where they were, and pixels are scaled as they were.
    """
    x = x.detach().cpu()
    if like.columns is None:
        return channels_last((x * like.divisor).numpy(), like.channels)
    import pandas

    values, observed = like.columns.split(x)
    table: dict[str, Any] = {}
    for column, there in zip(like.columns.columns, observed.unbind(-1)):
        own = values[:, like.columns.places[column.name]]
        if column.kind == "category":
            entries = np.array(column.levels, dtype=object)[own.argmax(-1).numpy()]
            entries[~there.numpy()] = None
        else:
            numbers = own.squeeze(-1).double() * column.scale + column.loc
            entries = torch.where(there, numbers, torch.nan).numpy()
        table[column.name] = entries
    return pandas.DataFrame(table)


def _images(folder: Path, like: Dataset) -> Further:
    if not like.images or like.shape[0] not in image_files.MODES:
        raise InputError(f"{folder}: expected a file of examples of shape {like.shape}, got a"
                         " folder of images")
    paths = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in image_files.SUFFIXES
    )
    if not paths:
        raise InputError(f"{folder}: expected images, got none")
    images = [_image(path, like.shape) for path in paths]
    scaled = np.stack(images).astype(np.float32) / LARGEST_BYTE
    if like.channels == "last":
        scaled = np.moveaxis(scaled, 1, 3)
    return Further(scaled, [str(path.relative_to(folder)) for path in paths])


def _image(path: Path, shape: tuple[int, ...]) -> Any:
    """An image (C, H, W), brought to the size of a square where it has another one."""
    channels, height, width = shape
    header = image_files.header(path)
    if (header.height, header.width) == (height, width):
        return image_files.pixels(path, channels, None)
    if height != width:
        raise InputError(
            f"{path}: expected an image of {height} x {width} pixels as in the training data, got"
            f" {header.height} x {header.width}"
        )
    return image_files.pixels(path, channels, height)
