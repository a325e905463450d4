"""What a data set is, without its examples: for predictions where the data are not at hand."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.nn import Column, Columns
from pyro_ssvae.targets import Classes, ClassSets, Number, SeveralLabels, Target

Content = dict[str, Any]
TARGETS: dict[str, type[Any]] = {
    "classes": Classes, "sets": ClassSets, "labels": SeveralLabels, "number": Number,
}


def described(dataset: Dataset, target: Target) -> Content:
    """What there is to know of a data set to predict with it, as plain data.

    Args:
        dataset: The data set.
        target: What its labels are, a real number's as it is standardised.
    """
    kind = next(name for name, made in TARGETS.items() if type(target) is made)
    columns = None if dataset.columns is None else asdict(dataset.columns)["columns"]
    return {
        "name": dataset.name, "shape": list(dataset.shape), "target": kind,
        "labels": asdict(target),  # type: ignore[call-overload]
        "columns": columns, "divisor": dataset.divisor, "channels": dataset.channels,
        "extent": None if columns is not None else dataset.extent,
    }


def without_examples(content: Any) -> Dataset:
    """The data set of :func:`described`, with no examples.

    Raises:
        ValueError: If it is no such content.
    """
    try:
        target = _target(content["target"], content["labels"])
        columns = content["columns"]
        shape, divisor = map(_number, content["shape"]), _number(content["divisor"])
        return Dataset(
            name=str(content["name"]),
            x=torch.empty(0, *shape),
            y=_no_labels(target),
            target=target,
            test=torch.empty(0, dtype=torch.int64),
            validation=0,
            columns=None if columns is None else Columns(tuple(map(_column, columns))),
            divisor=divisor,
            channels="last" if content["channels"] == "last" else "first",
            known_extent=_extent(content.get("extent")),
        )
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"no description of data: {error!r}") from None


def _number(value: Any) -> int:
    if type(value) is not int or not 1 <= value < 2**31:
        raise ValueError(f"expected a whole number above 0, got {value!r:.60}")
    return value


def _extent(value: Any) -> tuple[float, float] | None:
    """The smallest and the largest number; a description that is older has none."""
    if value is None:
        return None
    low, high = map(_finite, value)
    return low, high


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {value!r:.60}")
    return value


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
        raise ValueError(f"expected a finite number, got {value!r:.60}")
    return float(value)


def _target(kind: Any, labels: Any) -> Target:
    if TARGETS[kind] is Number:
        scale = _finite(labels["scale"])
        if scale <= 0:
            raise ValueError(f"expected a scale above 0, got {scale}")
        return Number(_text(labels["name"]), _finite(labels["loc"]), scale)
    return TARGETS[kind](tuple(map(_text, labels["names"])))


def _no_labels(target: Target) -> torch.Tensor:
    if isinstance(target, Number):
        return torch.empty(0)
    if isinstance(target, ClassSets):
        return torch.empty(0, target.width, dtype=torch.bool)
    several = isinstance(target, SeveralLabels)
    return torch.empty(0, *([len(target.names)] if several else []), dtype=torch.int64)


def _column(content: Any) -> Column:
    kinds = ("number", "binary", "category")
    if content["kind"] not in kinds:
        raise ValueError(f"expected a column of {', '.join(kinds)}, got {content['kind']!r:.60}")
    return Column(
        _text(content["name"]), content["kind"], tuple(map(_text, content["levels"])),
        _finite(content["loc"]), _finite(content["scale"]),
    )
