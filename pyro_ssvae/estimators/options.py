"""The options of a pair as parameters of an estimator."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import BaseEstimator

from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments.pairs import Pair, chosen, pair

Method = str | Pair | tuple[type[Any], type[Any]]


class WithOptions(BaseEstimator):
    """An estimator whose further keyword arguments are options of its pair.

    Those that were given are parameters as the others are, and attributes: ``get_params`` has them,
    and with it ``clone``, grids and pickles. ``set_params`` takes any, for a grid may search an
    option that the estimator was made without. Whether the pair has such an option is found out by
    ``fit``.
    """

    _options: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        options = vars(self).get("_options", {})
        if name in options:
            return options[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self).get("_options", {}):
            self._options = {**self._options, name: value}
        else:
            super().__setattr__(name, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name, with the options that were given."""
        return super().get_params(deep) | self._options

    def set_params(self, **params: Any) -> Self:
        """Set parameters and options of the pair, by name."""
        own = {name: value for name, value in params.items() if name in self._get_param_names()}
        further = {name: value for name, value in params.items() if name not in own}
        self._options = {**self._options, **further}
        return super().set_params(**own)


def pair_of(method: Any) -> Pair:
    """The pair of a method: a name, a place, a pair, or the classes of a model and a guide.

    Raises:
        InputError: If there is none.
    """
    if isinstance(method, (str, Pair)):
        return chosen(method)
    if isinstance(method, (tuple, list)) and len(method) == 2:
        return pair(*method)
    raise InputError(
        "expected method as the name of a pair, such as \"m2\", a pair, or (Model, Guide), got"
        f" {method!r:.60}"
    )
