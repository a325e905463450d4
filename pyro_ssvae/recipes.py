"""What pairs are trained with unless told otherwise: by pair, by kind of data, and by both.

An option of a pair has the value of the last of these that says something about it:

1. the default of the constructor that takes it, and ``likelihood="normal:1.0"`` where x is not in
   [0, 1];
2. the kind of data, :data:`KINDS`;
3. the pair, :data:`PAIRS`;
4. the pair on this kind of data, :data:`PAIRS_ON`;
5. the ``recipe`` of a pair of one's own;
6. ``likelihood="mixed:0.5"`` where x is a data frame;
7. what is given.

This imports neither torch nor Pyro, for the command line names data sets before it needs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Values = Mapping[str, Any]

# The kind of each data set that is known by name.
KIND_OF: Mapping[str, str] = {
    "digits": "digits", "mnist": "mnist", "fashion-mnist": "mnist", "cifar10": "images",
    "cifar100": "images", "svhn": "images", "chexpert": "images", "moons": "plane",
    "circles": "plane", "yeast": "features", "scene": "features", "emotions": "features",
    "mediamill": "features", "elpv": "digits", "adult": "frame", "diabetes": "standardised",
}

KINDS: Mapping[str, Values] = {
    "": {},
    "digits": {"hidden": (128,), "z_dim": 16, "lr": 3e-3},
    "mnist": {"hidden": (500,), "z_dim": 50},
    # Images of 32 x 32 pixels in colour, or larger ones.
    "images": {"network": "conv", "hidden": (256,), "z_dim": 64, "lr": 1e-3},
    "plane": {"hidden": (50, 50), "z_dim": 1, "likelihood": "normal:0.1"},
    # Features of mean 0 and variance 1, with several labels.
    "features": {"likelihood": "normal:1.0", "hidden": (128,), "z_dim": 16, "lr": 3e-3},
    # Data frames, whose numbers are standardised.
    "frame": {"likelihood": "mixed:0.5", "hidden": (128,), "z_dim": 8, "lr": 3e-3},
    # Features of mean 0 and variance 1.
    "standardised": {"likelihood": "normal:1.0", "hidden": (64,), "z_dim": 4, "lr": 3e-3},
}

PAIRS: Mapping[str, Values] = {
    "adgm": {"alpha": 10.0, "warmup": 25.0},
    "adversarialm2": {"alpha": 10.0},
    "dirichletm2": {"temper": 10.0},
    # Eq. 13 is alpha = 1 without smoothing; both were chosen on validation data.
    "factored": {"alpha": 10.0, "smoothing": 0.1, "swap": 1.0},
    "gaussianmixture": {"lr": 3e-2},
    # A z that holds more of x tells more of its class; chosen on validation data.
    "m1": {"labelled": 0.0, "beta": 0.1},
    "m1m2": {"alpha": 10.0, "stacked": False, "warmup": 25.0},
    "m2": {"alpha": 10.0},
    # A larger beta keeps q(y | x) from being too sure; both were chosen on validation data.
    "regression": {"alpha": 10.0, "beta": 3.0},
    "sdgm": {"alpha": 10.0, "warmup": 25.0},
    "supervised": {"unlabelled": 0.0},
    "untapped": {"alpha": 10.0, "z_dim": 2},
    "vade": {
        "alpha": 10.0, "alignment": 10.0, "z_dim": 10, "hidden": (256, 128), "decay": True,
    },
    # The few labelled images would make up half of every update.
    "vae": {"labelled": 0.0},
}

# What a classifier of images learns beside the bound; chosen on validation data of MNIST.
CONFIDENT: Values = {
    "alpha": 20.0, "pseudolabels": 20.0, "alignment": 0.0, "bounded": 0.25, "average": 0.999,
    "lr": 2e-3,
}

PAIRS_ON: Mapping[tuple[str, str], Values] = {
    # By the mAP of validation data of scene, yeast and emotions, a tenth and half of them labelled.
    ("factored", "features"): {"alpha": 100.0, "smoothing": 0.0, "penalty": 10.0},
    ("m2", "frame"): {"alpha": 1.0},  # by the NLL of validation data
    ("vade", "digits"): {"views": "digits", "consistency": 5.0},
    ("vade", "mnist"): {**CONFIDENT, "alignment": 10.0, "views": "characters"},
    ("vade", "images"): {**CONFIDENT, "views": "objects"},
}


def recipe(pair: str, kind: str) -> dict[str, Any]:
    """The options of 2 to 4 for a pair of the library, by name, on a kind of data."""
    return {**KINDS[kind], **PAIRS.get(pair, {}), **PAIRS_ON.get((pair, kind), {})}
