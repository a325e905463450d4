"""The data sets that :func:`load` knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.root import data_root
from pyro_ssvae.errors import InputError, unknown
from pyro_ssvae.presets import PRESETS

# scikit-learn is imported in the functions that need it, for it takes two seconds.


def load(name: str, root: str | Path | None = None) -> Dataset:
    """Load a data set by name.

    Args:
        name: ``"digits"`` (1,797 images of 8 x 8 pixels, part of scikit-learn), ``"mnist"``,
            ``"moons"`` or ``"circles"`` (two classes in the plane); with several labels an
            example, features scaled to [0, 1] one by one, ``"yeast"`` (Elisseeff and Weston 2001),
            ``"scene"`` (Boutell et al. 2004) or ``"emotions"`` (Trohidis et al. 2008).
        root: folder to find files in; None takes ``$PYRO_SSVAE_DATA``, or a cache folder in the
            home directory. MNIST is downloaded into it; the files of the three multi-label sets
            (see :func:`pyro_ssvae.data.mulan.read_mulan`) have to be there.

    Raises:
        InputError: if the name is unknown, or a file is missing, corrupt or truncated.
    """
    if name not in SOURCES:
        raise unknown("data set", name, SOURCES)
    return SOURCES[name](None if root is None else data_root(root))


def from_arrays(
    x: Any,
    y: Any,
    *,
    name: str = "arrays",
    test: float = 0.2,
    validation: float = 0.1,
    image_shape: tuple[int, int] | None = None,
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """A data set of your own.

    Args:
        x: (N, D) array of finite numbers; scale pixels to [0, 1] for a Bernoulli likelihood.
        y: (N,) array of class indices 0..K-1; or for L labels that each are there or not (N, L)
            of 1 (present), 0 (absent) and -1 (unknown). One-hot classes are ``y.argmax(1)``.
        name: what to call it.
        test: fraction of the examples set aside for testing: class by class, and of multi-label
            data, where that cannot be, at random.
        validation: fraction of them that a split sets aside for validation.
        image_shape: (height, width), for the figures.
        class_names: the names of the K classes, or of the L labels, for the figures.

    Raises:
        InputError: if shapes disagree, x is not finite, y are no class indices or, in two
            dimensions, other than -1, 0 and 1, or there is another number of names.
    """
    from sklearn.model_selection import train_test_split

    try:
        images, labels = np.asarray(x), np.asarray(y)
        numbers = np.issubdtype(images.dtype, np.number) or images.dtype == bool
    except ValueError:
        numbers = False
    if not numbers or np.iscomplexobj(images):
        raise InputError(f"{name}: expected x as an array (N, D) of real numbers, got {x!r:.60}")
    if not 0 < test < 1:
        raise InputError(f"{name}: expected test as a fraction between 0 and 1, got {test}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{name}: expected integer labels, got {labels.dtype}")
    if images.ndim != 2 or labels.ndim not in (1, 2) or len(labels) != len(images):
        raise InputError(
            f"{name}: expected x of shape (N, D) and y of shape (N,) or, multi-label, (N, L),"
            f" got {images.shape} and {labels.shape}"
        )
    try:
        _, test_index = train_test_split(
            np.arange(len(labels)), test_size=test, random_state=0,
            stratify=labels if labels.ndim == 1 else None,
        )
    except ValueError as error:
        raise InputError(f"{name}: cannot set a test part of {test} aside: {error}") from None
    return Dataset(
        name=name,
        x=torch.from_numpy(images.astype(np.float32)),
        y=torch.from_numpy(labels.astype(np.int64)),
        classes=int(labels.max()) + 1 if labels.ndim == 1 else 2,
        test=torch.from_numpy(np.sort(test_index)),
        validation=round(validation * len(labels)),
        image_shape=image_shape,
        defaults={"likelihood": "normal"} if images.min() < 0 or images.max() > 1 else {},
        class_names=None if class_names is None else tuple(map(str, class_names)),
    )


def _digits(root: str | Path | None) -> Dataset:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    dataset = from_arrays(images / 16.0, labels, name="digits", image_shape=(8, 8))
    return _preset(dataset, validation=200)


def _mnist(root: str | Path | None) -> Dataset:
    # Here, for importing torchvision takes a second and 150 MB.
    from pyro_ssvae.data.mnist import read_mnist

    images, labels, test = read_mnist(root)
    return Dataset(
        name="mnist", x=images, y=labels, classes=10, test=test, validation=10_000,
        image_shape=(28, 28), defaults=dict(PRESETS["mnist"]),
    )


def _plane(name: str, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> Dataset:
    # 10,000 training points as in Jurasinski (2019), 1,000 to validate and 2,000 to test.
    dataset = from_arrays(x, y, name=name, test=2_000 / len(x))
    return _preset(dataset, validation=1_000)


def _moons(root: str | Path | None) -> Dataset:
    from sklearn.datasets import make_moons

    return _plane("moons", *make_moons(13_000, noise=0.1, random_state=0))


def _circles(root: str | Path | None) -> Dataset:
    from sklearn.datasets import make_circles

    return _plane("circles", *make_circles(13_000, noise=0.05, factor=0.5, random_state=0))


def _multilabel(name: str) -> Callable[[str | Path | None], Dataset]:
    def source(root: str | Path | None) -> Dataset:
        from sklearn.preprocessing import MinMaxScaler

        # Here, for only these data need scipy's parser.
        from pyro_ssvae.data.mulan import read_mulan

        x, y, names = read_mulan(name, root)
        x = MinMaxScaler(clip=True).fit_transform(x)
        dataset = from_arrays(x, y, name=name, class_names=names)
        return _preset(dataset, validation=dataset.validation)

    return source


def _preset(dataset: Dataset, *, validation: int) -> Dataset:
    return replace(dataset, validation=validation, defaults=dict(PRESETS[dataset.name]))


SOURCES: dict[str, Callable[[str | Path | None], Dataset]] = {
    "digits": _digits, "mnist": _mnist, "moons": _moons, "circles": _circles,
    **{name: _multilabel(name) for name in ("yeast", "scene", "emotions")},
}
