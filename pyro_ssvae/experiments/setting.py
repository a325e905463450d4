"""The setting of a run: all that it depends on, as plain data and a digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pyro_ssvae import data as sources
from pyro_ssvae.data import Dataset, Drawing, Split
from pyro_ssvae.data.draws import Labels
from pyro_ssvae.experiments.pairs import Pair, chosen
from pyro_ssvae.experiments.plan import Plan, check_of_runs
from pyro_ssvae.system.numbers import in_python


@dataclass(frozen=True)
class Setting:
    """What one run is started with.

    Attributes:
        model: The pair, or its name.
        data: The data set, or its name, as :func:`pyro_ssvae.data.load` takes it.
        labels: The number of labelled examples, as :meth:`Dataset.split` takes it.
        drawing: The further arguments of :meth:`Dataset.split`.
        split_seed: The seed of the split.
        seed: The seed of the weights, the batches and the noise. None takes that of the split.
        options: The values of the pair's options by name.
        plan: How to train, see :class:`pyro_ssvae.experiments.plan.Plan`, but for what concerns
            the study as a whole: :data:`pyro_ssvae.experiments.plan.OF_A_STUDY`.

    Raises:
        InputError: If the plan has a key that is unknown, or the study's.
    """

    model: str | Pair
    data: str | Dataset = "digits"
    labels: Labels = 50
    drawing: Drawing = field(default_factory=lambda: Drawing())
    split_seed: int = 0
    seed: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    plan: Plan = field(default_factory=lambda: Plan())

    def __post_init__(self) -> None:
        check_of_runs(self.plan, "it to Setting itself, or seeds= to grid")

    @property
    def pair(self) -> Pair:
        """The pair."""
        return chosen(self.model)

    @property
    def whole_plan(self) -> Plan:
        """How to train, with the seed."""
        return Plan(**{**self.plan, "seed": self.seed})

    @property
    def by_class(self) -> dict[str, str]:
        """The numbers of labels by class as a column of a table, of a setting that has them."""
        if not isinstance(self.labels, Mapping):
            return {}
        return {"drawing.labels": ", ".join(f"{k}: {n}" for k, n in self.labels.items())}

    def split(self, root: str | Path | None = None) -> Split:
        """The data of the run.

        Args:
            root: The folder of data files, as for :func:`pyro_ssvae.data.load`.
        """
        dataset = self.data if isinstance(self.data, Dataset) else loaded(self.data, root)
        labels, seed = in_python(self.labels), in_python(self.split_seed)
        return dataset.split(labels, seed=seed, **self.drawing)


def loaded(name: str, root: str | Path | None) -> Dataset:
    """A data set by name, which a process reads once, and again where its files have changed."""
    return _loaded(name, root, () if name in sources.SOURCES else _state(Path(name)))


State = tuple[tuple[Path, int, int], ...]


@lru_cache(maxsize=4)
def _loaded(name: str, root: str | Path | None, state: State) -> Dataset:
    return sources.load(name, root)


def _state(path: Path) -> State:
    """What tells a file from another, or all in a folder: places, times of writing and sizes.

    There are none of what is not there.
    """
    try:
        place = path.resolve()
        found = {each: each.stat() for each in (place, *sorted(place.rglob("*")))}
    except OSError:
        return ()
    return tuple((each, state.st_mtime_ns, state.st_size) for each, state in found.items())
