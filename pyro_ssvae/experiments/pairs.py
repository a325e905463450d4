"""The pairs, by name or made of classes, and the options that their signatures declare."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, overload

from pyro_ssvae import guides, models, recipes
from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.errors import InputError, enough_memory, unknown
from pyro_ssvae.experiments import code, suited
from pyro_ssvae.experiments.building import called, noted, of_owner
from pyro_ssvae.experiments.options import (
    SIZES,
    Option,
    as_declared,
    checked,
    fits,
    keywords,
    layered,
    plain,
)
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.system.docstrings import arguments, paragraph
from pyro_ssvae.system.places import checked_class, imported, is_place
from pyro_ssvae.targets import ClassSets
from pyro_ssvae.training.average import Averaging
from pyro_ssvae.training.schedule import learning_rate


@dataclass(frozen=True)
class Pair:
    """A model and its guide, as :func:`pair` gives them.

    Attributes:
        name: The name that folders, tables and the command line know it by.
        model: The class of the model.
        guide: The class of the guide.
        recipe: The options that it is trained with unless told otherwise, beside those of
            :mod:`pyro_ssvae.recipes`.
    """

    name: str
    model: type[Any]
    guide: type[Any]
    recipe: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def on(
        self, data: Dataset | Split, /, **options: Any
    ) -> tuple[Objective, dict[str, Any]]:
        """The objective of the pair on data, and how to train it: ``fit(objective, split, **how)``.

        The weights are drawn from torch's random state. What is not given is as
        :mod:`pyro_ssvae.recipes` says: the same as on the command line.

        Args:
            data: The data set, or a split of it.
            options: The values of options. One that model and guide share is set for one of them
                by a name such as ``"guide.hidden"``.

        Returns:
            The objective, and the keyword arguments of :func:`pyro_ssvae.fit`.

        Raises:
            InputError: If there is no such option, or a value is not usable.
        """
        dataset = data.dataset if isinstance(data, Split) else data
        values = self.resolve(dataset, options)
        how = {name: values[name] for name, o in self.options.items() if o.owner == "training"}
        return self.build(dataset, values), how

    @property
    def factorisation(self) -> str:
        """How the model and the guide factorise: the first lines of their docstrings."""
        return f"{paragraph(self.model, 0)};  {paragraph(self.guide, 0)}"

    @property
    def source(self) -> str:
        """Where the pair comes from: the second paragraph of the model's docstring."""
        return paragraph(self.model, 1)

    @cached_property
    def code(self) -> str:
        """The fingerprint of the files that a pair of one's own is written in, else ``""``."""
        return code.fingerprint(self.model, self.guide)

    @property
    def has_classes(self) -> bool:
        """Whether the model has a y: that of M1 and of the VAE has x and z alone."""
        return not {"y_dim", "y_dims"}.isdisjoint(inspect.signature(self.model).parameters)

    def takes(self, option: str) -> bool:
        """Whether an option is of use to the pair."""
        return option in self.known and option not in suited.useless(self.guide)

    @cached_property
    def options(self) -> dict[str, Option]:
        """The keywords of the model, the guide, the objective and the optimizer."""
        result: dict[str, Option] = {}
        for owner, function in self._owners:
            described = arguments(function)
            for name, (kind, default) in keywords(function).items():
                option = result.setdefault(name, Option(name, kind, default, owner))
                meaning = described.get(name, "")
                if meaning not in option.meaning:
                    meaning = f"{option.meaning} {meaning}".strip()
                    result[name] = replace(option, meaning=meaning)
        return result

    @cached_property
    def shared(self) -> dict[str, Option]:
        """Options that several take, by the owner and the name: ``"guide.hidden"``."""
        everything = [
            Option(name, kind, default, owner, arguments(function).get(name, ""))
            for owner, function in self._owners
            for name, (kind, default) in keywords(function).items()
        ]
        names = [option.name for option in everything]
        return {f"{o.owner}.{o.name}": o for o in everything if names.count(o.name) > 1}

    @property
    def known(self) -> dict[str, Option]:
        """All names that a value can be given under."""
        return self.options | self.shared

    def values(
        self, kind: str, within_unit: bool = True, sets: bool = False
    ) -> dict[str, Any]:
        """The values of all options on a kind of data, where none is given.

        Args:
            kind: The kind, one of :data:`pyro_ssvae.recipes.KINDS`.
            within_unit: Whether every x lies in [0, 1].
            sets: Whether sets of classes are known of unlabelled examples, from which a classifier
                alone learns too.
        """
        defaults = {
            name: as_declared(option.default, option.type)
            for name, option in self.options.items() if option.textual
        }
        defaults |= {
            name: default for name, option in self.shared.items()
            if (default := as_declared(option.default, option.type)) != defaults.get(option.name)
        }
        if not within_unit and "likelihood" in defaults:
            defaults["likelihood"] = "normal:1.0"
        usual = self._usual(kind)
        if sets and usual.get("unlabelled") == 0:
            del usual["unlabelled"]
        return layered({k: v for k, v in defaults.items() if plain(v)}, usual, self.recipe)

    def resolve(self, dataset: Dataset, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values of all options on a data set.

        Raises:
            InputError: If one is given that the pair does not have.
        """
        sets = isinstance(dataset.target, ClassSets)
        return layered(
            self.values(dataset.kind, dataset.within_unit, sets),
            suited.by_columns(self, dataset),
            self.checked(given),
        )

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Values as the options' types have them; :class:`InputError` of others, or no option."""
        for name in given:
            if name not in self.known:
                raise unknown(f"option of {self.name}", name, self.known)
        return {name: checked(value, self.known[name].type, name) for name, value in given.items()}

    def build(self, dataset: Dataset, values: Mapping[str, Any]) -> Objective:
        """The objective on a data set, its weights drawn from torch's random state.

        Args:
            dataset: The data, of which the pair has the sizes.
            values: The values of options, as :meth:`resolve` gives them.
        """
        suited.warn_of_scale(dataset, values)
        values, target = suited.values_on(self, dataset, values), dataset.target
        sizes = {"x_shape": dataset.shape, "y_dim": target.width, "y_dims": target.sizes}
        of_programs = {name for name, o in self.known.items() if o.owner in ("model", "guide")}
        own = {name: value for name, value in values.items() if name in of_programs}
        usual = self._usual(dataset.kind)
        with noted(self.name, own, dataset.kind, usual), enough_memory(**values):
            model = called(self.model, sizes | of_owner("model", values))
            suited.check_columns(self, dataset, model)
            guide = called(self.guide, {"model": model} | of_owner("guide", values))
        return called(Objective, {"model": model, "guide": guide} | of_owner("objective", values))

    @property
    def _owners(self) -> list[tuple[str, Callable[..., Any]]]:
        return [
            ("model", self.model), ("guide", self.guide), ("objective", Objective),
            ("training", learning_rate), ("training", Averaging),
        ]

    def _usual(self, kind: str) -> dict[str, Any]:
        """What the recipe of a kind of data says of options that take such values."""
        return {
            name: value for name, value in recipes.recipe(self._library_name, kind).items()
            if self.takes(name) and fits(value, self.known[name].type)
        }

    @property
    def _library_name(self) -> str:
        """The name of the library's model that this one is or derives from."""
        library = {getattr(models, name): name.lower() for name in models.__all__}
        return next((library[base] for base in self.model.__mro__ if base in library), "")


def names() -> list[str]:
    """The names of the library's pairs, in alphabetical order."""
    return sorted(name.lower() for name in models.__all__)


@overload
def pair(model: str) -> Pair: ...


@overload
def pair(
    model: type[Any], guide: type[Any], *, name: str | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> Pair: ...


def pair(
    model: str | type[Any],
    guide: type[Any] | None = None,
    *,
    name: str | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> Pair:
    """A pair, by name or of classes of one's own.

    Args:
        model: The name of a pair of the library, such as ``"vade"``; or the place of one that is
            made by this function, ``"mypackage.module:mine"``; or the class of a model.
        guide: The class of its guide, where the model is a class.
        name: The name of a pair of classes: ``"mine"``, or the place where it is found. None takes
            the model's class name in lower case.
        recipe: The options that a pair of classes is trained with unless told otherwise. Models of
            the library, and those that derive from one, bring the library's.

    Raises:
        InputError: If there is no such pair, it cannot be imported, or the classes make none.

    Example:
        >>> from pyro_ssvae import data, fit, pair
        >>> split = data.load("digits").split(labels=50, seed=0)
        >>> objective, how = pair("m2").on(split, hidden=(16,), z_dim=2)
        >>> [epoch.epoch for epoch in fit(objective, split, epochs=2, **how)]
        [1, 2]
    """
    if isinstance(model, str):
        if guide is not None or name is not None or recipe is not None:
            raise InputError(
                f"expected pair({model!r}) alone, or pair(MODEL, GUIDE, name=..., recipe=...) of"
                " two classes, got a name and more"
            )
        if ":" not in model:
            return _of_library(model)
        return replace(imported(model, Pair, "pair"), name=model)
    programs = checked_class(model, SIZES), checked_class(guide, ("model",))
    result = Pair(model.__name__.lower() if name is None else name, *programs)
    _check_name(result)
    return replace(result, recipe=result.checked(recipe or {}))


def chosen(which: str | Pair) -> Pair:
    """A pair, as it is or by its name."""
    return which if isinstance(which, Pair) else pair(which)


def taken(pairs: Iterable[Pair]) -> dict[str, Option]:
    """The options that are of use to one of the pairs or more."""
    return {
        name: option for each in pairs for name, option in each.known.items() if each.takes(name)
    }


def _of_library(name: str) -> Pair:
    classes = {class_name.lower(): class_name for class_name in models.__all__}
    if name not in classes:
        raise unknown("model", name, classes)
    return Pair(name, getattr(models, classes[name]), getattr(guides, classes[name]))


def _check_name(made: Pair) -> None:
    if not (made.name.isidentifier() or is_place(made.name)):
        raise InputError(
            f"expected the name of a pair as letters, digits and underscores, or as"
            f" MODULE:ATTRIBUTE, got {made.name!r}"
        )
    if made.name in names():
        library = _of_library(made.name)
        if (made.model, made.guide) != (library.model, library.guide):
            raise InputError(
                f"expected a name that no pair of the library has, got {made.name!r}; give another"
                " one by name="
            )
