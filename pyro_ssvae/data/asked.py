"""Whether what is given is the split that is asked for."""

from __future__ import annotations

from pyro_ssvae.data.dataset import Dataset
from pyro_ssvae.data.split import Split
from pyro_ssvae.errors import InputError


def check_split(given: object) -> None:
    """Raise :class:`InputError` unless this is a split, and say how a data set becomes one."""
    if isinstance(given, Split):
        return
    if isinstance(given, Dataset):
        name = given.name if given.name.isidentifier() else "dataset"
        raise InputError(f"expected a split, got a data set: use {name}.split(labels=...)")
    if isinstance(given, str):
        raise InputError(
            f"expected a split, got {given!r:.60}: use"
            f" pyro_ssvae.data.load({given!r:.60}).split(labels=...)"
        )
    raise InputError(
        f"expected a split, got {given!r:.60}: use that of a data set, dataset.split(labels=...)"
    )
