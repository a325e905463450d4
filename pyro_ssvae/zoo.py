"""The pairs by name, and the options their signatures declare."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Union, get_args, get_origin

from pyro_ssvae import guides, models
from pyro_ssvae.data import Dataset
from pyro_ssvae.errors import InputError, one_of, unknown
from pyro_ssvae.objective import Objective
from pyro_ssvae.schedule import learning_rate


@dataclass(frozen=True)
class Option:
    """A keyword of a pair: its name, its type, its default value, and what it belongs to."""

    name: str
    type: Any
    default: Any
    owner: str


@dataclass(frozen=True)
class Pair:
    """A model and its guide.

    Attributes:
        name: the class name in lower case.
        model, guide: the two classes.
    """

    name: str
    model: type[Any]
    guide: type[Any]

    @property
    def recipe(self) -> dict[str, Any]:
        """What the pair is trained with unless told otherwise, where defaults do not suit it."""
        return dict(getattr(self.model, "recipe", {}))

    @property
    def factorisation(self) -> str:
        """How the model and the guide factorise: the first lines of their docstrings."""
        return f"{_paragraph(self.model, 0)};  {_paragraph(self.guide, 0)}"

    @property
    def source(self) -> str:
        """Where the pair comes from: the second paragraph of the model's docstring."""
        return _paragraph(self.model, 1)

    def takes(self, option: str) -> bool:
        """Whether an option is of use to the pair: ``alpha`` needs a guide that classifies."""
        return option in self.options and (option != "alpha" or hasattr(self.guide, "classify"))

    @cached_property
    def options(self) -> dict[str, Option]:
        """The keywords of the model, the guide, the objective and the optimizer."""
        owners: dict[str, Callable[..., Any]] = {
            "model": self.model, "guide": self.guide, "objective": Objective,
            "optimizer": learning_rate,
        }
        result: dict[str, Option] = {}
        for owner, function in owners.items():
            for name, (kind, default) in _keywords(function).items():
                default = self.recipe.get(name, default)
                result.setdefault(name, Option(name, kind, default, owner))
        return result


def names() -> list[str]:
    """The names of the pairs, in alphabetical order."""
    return sorted(name.lower() for name in models.__all__)


def pair(name: str) -> Pair:
    """The pair of this name; :class:`InputError` where there is none."""
    classes = {class_name.lower(): class_name for class_name in models.__all__}
    if name not in classes:
        raise unknown("model", name, classes)
    return Pair(name, getattr(models, classes[name]), getattr(guides, classes[name]))


def parse(settings: Iterable[str], known: Mapping[str, Option]) -> dict[str, Any]:
    """Read settings of the form ``NAME=VALUE`` as the options' types ask.

    Raises:
        InputError: if a setting has no such form, an unknown name, or a value of another type.
    """
    result: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"expected an option as NAME=VALUE, got {setting!r}")
        if name not in known:
            raise unknown("option", name, known)
        kind = known[name].type
        if get_origin(kind) is Literal:
            one_of(name, text, get_args(kind))
        try:
            result[name] = _value(text, kind)
        except ValueError:
            wanted = inspect.formatannotation(kind)
            raise InputError(f"expected {wanted} for option {name}, got {text!r}") from None
    return result


def resolve(name: str, dataset: Dataset, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all options of a pair: given, else its recipe's, the data's, or the default."""
    both = pair(name)
    known = both.options
    for option in given:
        if option not in known:
            raise unknown(f"option of {name}", option, known)
    defaults = {option.name: option.default for option in known.values()}
    from_data = {key: value for key, value in dataset.defaults.items() if key in known}
    return defaults | from_data | both.recipe | dict(given)


def build(name: str, dataset: Dataset, options: Mapping[str, Any]) -> Objective:
    """The objective of a pair on a data set, its weights drawn from torch's random state."""
    both = pair(name)
    sizes = {
        "x_dim": dataset.x.shape[1], "y_dim": dataset.classes, "y_dims": tuple(dataset.sizes),
        "image_shape": dataset.image_shape,
    }
    if len(dataset.sizes) > 1 and "y_dim" in inspect.signature(both.model).parameters:
        raise InputError(
            f"{name} has one label an example, got {dataset.name} with {len(dataset.sizes)} labels;"
            " use factored"
        )
    model = _call(both.model, sizes | dict(options))
    guide = _call(both.guide, {"model": model, **options})
    return _call(Objective, {"model": model, "guide": guide, **options})


def _call(function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    wanted = inspect.signature(function).parameters
    return function(**{name: value for name, value in values.items() if name in wanted})


def _keywords(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    return {
        p.name: (p.annotation, p.default) for p in parameters if p.default is not p.empty
    }


def _paragraph(documented: Any, number: int) -> str:
    return " ".join((inspect.getdoc(documented) or "").split("\n\n")[number].split())


def _value(text: str, kind: Any) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return text
    if origin in (Union, types.UnionType):
        if text.lower() == "none" and type(None) in args:
            return None
        return _value(text, next(arg for arg in args if arg is not type(None)))
    if origin is tuple:
        return tuple(_value(part, args[0]) for part in text.split(",") if part)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    return kind(text)
