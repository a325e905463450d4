"""The data sets that are known by name, each in a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pyro_ssvae.data import files, folder
from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.root import data_root
from pyro_ssvae.errors import InputError, unknown

# The module of each, whose ``load(name, root)`` makes it; some take seconds to import.
SOURCES = {
    "digits": "digits", "mnist": "mnist", "fashion-mnist": "mnist", "cifar10": "cifar",
    "cifar100": "cifar", "svhn": "svhn", "chexpert": "chexpert", "moons": "plane",
    "circles": "plane", "yeast": "mulan", "scene": "mulan", "emotions": "mulan",
    "mediamill": "mediamill", "elpv": "elpv", "adult": "adult", "diabetes": "diabetes",
}


def load(
    name: str,
    root: str | Path | None = None,
    *,
    target: str | None = None,
    labels_are: files.LabelsAre | None = None,
    ignore: Sequence[str] = (),
    test: float | None = None,
    size: int | None = None,
    corrupt: Literal["error", "skip"] = "error",
) -> Dataset:
    """Load a data set by name, or from a file or a folder of one's own.

    Args:
        name: The name. Of images in grey: ``"digits"`` (1,797 of 8 x 8 pixels, part of
            scikit-learn), ``"mnist"``, ``"fashion-mnist"`` (Xiao et al. 2017), or ``"elpv"`` (2,624
            solar cells of 30 x 30 pixels, which are functional, defective or, the unlabelled ones,
            perhaps defective; Deitsch et al. 2019). Of images of 32 x 32 pixels in colour:
            ``"cifar10"``, ``"cifar100"`` (Krizhevsky 2009) or ``"svhn"`` (Netzer et al. 2011). Of
            radiographs with several labels: ``"chexpert"`` (Irvin et al. 2019). Of points in
            the plane, in two classes: ``"moons"`` or ``"circles"``. Of columns of two types with
            gaps: ``"adult"`` (Kohavi 1996). With several labels an example, features of
            mean 0 and variance 1: ``"yeast"`` (Elisseeff and Weston 2001), ``"scene"`` (Boutell et
            al. 2004), ``"emotions"`` (Trohidis et al. 2008) or ``"mediamill"`` (Snoek et al. 2006).
            With a real number: ``"diabetes"`` (442 patients, 10 standardised features and the
            progression of the disease, part of scikit-learn). Or the path of a file, see
            :func:`pyro_ssvae.data.files.load`, or of a folder of images by class, see
            :func:`pyro_ssvae.data.folder.load`; ``"./cifar10"`` is a folder of that name.
        root: The folder to find files in. None takes ``$PYRO_SSVAE_DATA``, or a cache folder in the
            home directory. MNIST, Fashion-MNIST, CIFAR and SVHN are downloaded into it. The files
            of the other data sets have to be there, see :func:`pyro_ssvae.data.mulan.read_mulan`,
            :func:`pyro_ssvae.data.mediamill.read_mediamill`,
            :func:`pyro_ssvae.data.elpv.read_elpv`, :func:`pyro_ssvae.data.adult.read_adult` and
            :func:`pyro_ssvae.data.chexpert.read_chexpert`; digits and points need none. How their
            uncertain labels are read is an argument of :func:`pyro_ssvae.data.chexpert.load` and of
            :func:`pyro_ssvae.data.elpv.load`.
        target: The name of the column of labels in a file ``.csv``.
        labels_are: What the labels in a file are, ``"classes"`` or a real ``"number"``. None has
            the values decide.
        ignore: The names of columns of a file ``.csv`` that are left out.
        test: The share of the labelled examples of a file that is set aside for testing. None takes
            the test set of the file, or a fifth.
        size: The height and width that images of a folder, or of CheXpert, are brought to. None
            leaves those of a folder as they are.
        corrupt: What to do about broken images of a folder, or of CheXpert: ``"error"`` names the
            first, and ``"skip"`` leaves them out and counts them in the notes.

    Raises:
        InputError: if the name is unknown, or a file is missing, corrupt or truncated.

    Example:
        >>> from pyro_ssvae import data
        >>> print(data.load("digits"))
        digits:
          1,797 examples, 1,797 of them with a known label, of which 360 for testing
          10 classes: 0 178, 1 182, 2 177, 3 183, 4 181, 5 182, 6 181, 7 179, 8 174, 9 180
          images of 8 x 8 pixels with 1 channel, from 0 to 1
    """
    ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    own = folder.is_folder(name) and name not in SOURCES
    if not own and not files.is_file(name) and name not in SOURCES and files.is_path(name):
        what = "a file of another form" if Path(name).exists() else "none of them there"
        raise InputError(f"{name}: expected {files.FORMS}, got {what}")
    reading: dict[str, Any] = {} if corrupt == "error" else {"corrupt": corrupt}
    if size is not None:
        reading["size"] = size
    if reading and not own and name != "chexpert":
        raise InputError(
            f"expected {' and '.join(reading)} of a folder of images or of chexpert alone, got"
            f" {name!r}"
        )
    if files.is_file(name):
        return files.load(name, target, ignore=ignore, labels_are=labels_are, test=test)
    asked = {"a target": target, "what labels are": labels_are,
             "columns to ignore": ", ".join(ignore) or None, "a share for testing": test}
    for what, came in asked.items():
        if came is not None:
            raise InputError(
                f"expected {what} of a file of one's own alone, got {came!r} of {name!r}"
            )
    if own:
        return folder.load(name, **reading)
    if name not in SOURCES:
        raise unknown("data set", name, SOURCES)
    place = None if root is None else data_root(root)
    return import_module(f"pyro_ssvae.data.{SOURCES[name]}").load(name, place, **reading)
