"""Data sets of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.examples import as_examples
from pyro_ssvae.data.images import Channels
from pyro_ssvae.errors import InputError
from pyro_ssvae.targets import FOREIGN, Classes, Kind, Target, read, read_as


def from_arrays(
    x: Any,
    y: Any,
    *,
    name: str = "arrays",
    test: float | tuple[Any, Any] | None = 0.2,
    validation: float = 0.1,
    channels: Channels | None = None,
    kind: str = "",
    target: Kind | None = None,
    classes: Sequence[Any] | None = None,
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """A data set of your own; ``print`` it to see what was made of the input.

    Args:
        x: An array (N, D) of finite numbers; images (N, C, H, W), (N, H, W, C) or, in grey,
            (N, H, W); or a data frame, whose columns may be of several types and have gaps, see
            :mod:`pyro_ssvae.data.frames`. Integers from 0 on are scaled to [0, 1], and so are
            pixels of such values in floating point; others are taken as they are: pairs warn of
            those that are far from 0.
        y: The labels. *Classes*, (N,): any values, texts or numbers; -1, None, NaN or an empty text
            is an unknown one, and so are the texts that NumPy makes of these beside texts.
            *Several labels*, (N, L): 1 (present), 0 (absent), -1, None or NaN (unknown); a frame
            names them. *A real number*, (N,) floating point; None or NaN is an
            unknown one. *Sets of classes*, a sequence of N Python sets, of which a set of one, or a
            value alone, is a class that is known, and None one that is unknown.
        name: The name to call it by.
        test: The share of the examples with a known label that is set aside for testing, class by
            class where there are classes; or a test set of one's own (x, y), with labels; or None
            for no test part.
        validation: The share of the examples with a known label that a split sets aside for
            validation.
        channels: The place of the channels in images: ``"first"``, (N, C, H, W), or ``"last"``,
            (N, H, W, C). None takes the one that is 1, 3 or 4 long, and the first of two.
        kind: The kind of data that they are like, whose options pairs are built with unless told
            otherwise: ``"digits"``, ``"mnist"``, ``"images"``, ``"plane"``, ``"features"``,
            ``"standardised"`` or ``"frame"``, that of data frames unless another is given.
        target: What y are, ``"classes"``, ``"labels"``, ``"number"`` or ``"sets"``. None has the
            values decide.
        classes: The values of y to tell apart, in their order. Examples of other values are
            unlabelled data of foreign classes. None takes all values.
        class_names: The names of classes that are counted from 0, or of the labels.

    Raises:
        InputError: if x and y are not of these forms, their lengths differ, all labels are unknown,
            or a test set of one's own has unknown labels, other columns or other classes.

    Example:
        >>> import numpy as np
        >>> from pyro_ssvae import data
        >>> x = np.linspace(0, 1, 60).reshape(30, 2)
        >>> print(data.from_arrays(x, ["cat", "dog", None] * 10, name="pets"))
        pets:
          30 examples, 20 of them with a known label, of which 4 for testing
          2 classes: cat 10, dog 10
          10 of 30 labels unknown (33.3%)
          2 numbers an example, from 0 to 1
    """
    given = test if isinstance(test, tuple) else None
    try:
        if given is not None and len(given) != 2:
            raise InputError(f"expected test as a share or as (x, y), got {len(given)} values")
        examples = as_examples(x, *given[:1] if given else (), channels=channels)
        what, labels = read(y, target, classes, class_names)
        _same_length(x, y)
        number = len(labels)
        if given is not None:
            values = classes if classes is not None else _values(y, what, class_names)
            labels = torch.cat([labels, _test_labels(given, what, values)])
        foreign = _foreign(labels)
        labels = labels.clamp_min(-1) if foreign is not None else labels
        known = what.known(labels[:number]).numpy()
        if given is not None:
            index = np.arange(number, len(labels))
        else:
            index = test_part(test, known, what.classes(labels[:number]))
        return Dataset(
            name=name,
            x=examples.x,
            y=labels,
            target=what,
            test=torch.from_numpy(np.sort(index)),
            validation=round(validation * int(known.sum())),
            columns=examples.columns,
            divisor=examples.divisor,
            channels=examples.channels,
            foreign=foreign,
            kind=kind or ("" if examples.columns is None else "frame"),
            notes=examples.notes,
        )
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(f"{name}: ") else f"{name}: {text}") from None


def _same_length(x: Any, y: Any, of: str = "") -> None:
    if len(x) != len(y):
        raise InputError(
            f"expected a label for each example{of}, got {len(x)} examples and {len(y)} labels"
        )


def _foreign(labels: Tensor) -> Tensor | None:
    if labels.dim() != 1 or labels.is_floating_point():
        return None
    foreign = (labels == FOREIGN).nonzero().squeeze(1)
    return foreign if len(foreign) else None


def _values(y: Any, target: Target, names: Sequence[str] | None) -> Sequence[Any] | None:
    """What labels have in place of the names of classes: 0, 1, ...; None if they have names."""
    if names is None or not isinstance(target, Classes):
        return None
    named = any(isinstance(value, str) for value in np.asarray(y, dtype=object).ravel())
    return None if named else range(len(names))


def _test_labels(
    given: tuple[Any, Any], target: Target, values: Sequence[Any] | None
) -> Tensor:
    """The labels of a test set of one's own, in the terms of the training labels."""
    x, y = given
    _same_length(x, y, " of the test set")
    return read_as(y, target, values)


def test_part(share: Any, known: Any, classes: Tensor | None) -> Any:
    """The indices of the examples set aside for testing, a share of those with a known label."""
    from sklearn.model_selection import train_test_split

    if share is None:
        return np.empty(0, dtype=np.int64)
    if not isinstance(share, (int, float)) or not 0 < share < 1:
        raise InputError(f"expected test as a share between 0 and 1, (x, y) or None, got {share}")
    candidates = np.flatnonzero(known)
    try:
        _, index = train_test_split(
            candidates, test_size=share, random_state=0,
            stratify=None if classes is None else classes.numpy()[candidates],
        )
    except ValueError as error:
        raise InputError(
            f"cannot set a test part of {share} aside: {error}; give a test set, test=(x, y), or"
            " none, test=None"
        ) from None
    return index
