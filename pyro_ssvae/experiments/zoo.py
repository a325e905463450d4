"""The pairs by name, and the options their signatures declare."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Union, get_args, get_origin

from pyro_ssvae import guides, models
from pyro_ssvae.contract import classifies
from pyro_ssvae.data import Dataset
from pyro_ssvae.errors import InputError, enough_memory, one_of, unknown
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.system.docstrings import arguments, paragraph
from pyro_ssvae.training.schedule import learning_rate


@dataclass(frozen=True)
class Option:
    """A keyword of a pair.

    Attributes:
        name: Its name.
        type: Its type, as annotated.
        default: Its default value, the recipe's where that has one.
        owner: What it belongs to: ``"model"``, ``"guide"``, ``"objective"`` or ``"training"``.
        meaning: Its description, or those of all that take it.
    """

    name: str
    type: Any
    default: Any
    owner: str
    meaning: str = ""


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
        return f"{paragraph(self.model, 0)};  {paragraph(self.guide, 0)}"

    @property
    def source(self) -> str:
        """Where the pair comes from: the second paragraph of the model's docstring."""
        return paragraph(self.model, 1)

    @property
    def has_classes(self) -> bool:
        """Whether the model has a y: that of M1 and of the VAE has x and z alone."""
        return not {"y_dim", "y_dims"}.isdisjoint(inspect.signature(self.model).parameters)

    def takes(self, option: str) -> bool:
        """Whether an option is of use to the pair: ``alpha`` needs a guide that classifies."""
        return option in self.options and (option != "alpha" or classifies(self.guide))

    @cached_property
    def options(self) -> dict[str, Option]:
        """The keywords of the model, the guide, the objective and the optimizer."""
        owners: dict[str, Callable[..., Any]] = {
            "model": self.model, "guide": self.guide, "objective": Objective,
            "training": learning_rate,
        }
        result: dict[str, Option] = {}
        for owner, function in owners.items():
            described = arguments(function)
            for name, (kind, default) in _keywords(function).items():
                default = self.recipe.get(name, default)
                option = result.setdefault(name, Option(name, kind, default, owner))
                meaning = described.get(name, "")
                if meaning not in option.meaning:
                    meaning = f"{option.meaning} {meaning}".strip()
                    result[name] = replace(option, meaning=meaning)
        return result

    def values(self, of_data: Mapping[str, Any]) -> dict[str, Any]:
        """The values of all options on data with these defaults, where none is given."""
        defaults = {option.name: option.default for option in self.options.values()}
        from_data = {key: value for key, value in of_data.items() if key in defaults}
        return defaults | from_data | self.recipe


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
            raise InputError(f"option {name}: expected {_wanted(kind)}, got {text!r}") from None
    return result


def resolve(name: str, dataset: Dataset, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all options of a pair: given, else its recipe's, the data's, or the default."""
    both = pair(name)
    for option in given:
        if option not in both.options:
            raise unknown(f"option of {name}", option, both.options)
    return both.values(dataset.defaults) | dict(given)


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
    with enough_memory(**options):
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


def shown(value: Any) -> str:
    """A value of an option as :func:`parse` reads it."""
    if isinstance(value, tuple):
        return ",".join(map(shown, value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _wanted(kind: Any) -> str:
    """What :func:`_value` reads as this type, in words."""
    args = get_args(kind)
    if type(None) in args:
        return f"{_wanted(next(arg for arg in args if arg is not type(None)))}, or none"
    if get_origin(kind) is tuple:
        some, example = ("whole numbers", "256,128") if args[0] is int else ("numbers", "0.5,0.5")
        return f"{some} separated by commas, such as {example}"
    words = {int: "a whole number", float: "a number", bool: "true or false"}
    return words.get(kind, "text")


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
