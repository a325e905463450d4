"""The place that a reproduction works in: what is computed there is kept, and not done again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pyro_ssvae.data.root import VARIABLE
from pyro_ssvae.errors import InputError, NonFiniteLossError, positive
from pyro_ssvae.experiments.job import jobs_of, once
from pyro_ssvae.experiments.parallel import unordered
from pyro_ssvae.experiments.plan import silent
from pyro_ssvae.experiments.setting import Setting
from pyro_ssvae.experiments.study import carried_out
from pyro_ssvae.system.files import write_text
from pyro_ssvae.system.progress import Progress


@dataclass(frozen=True)
class Work:
    """Where a reproduction computes, and how much of it.

    Attributes:
        out: The folder.
        scale: The share of the epochs and of the draws, in (0, 1].
        scales: The share on single data sets, by their names, for a study on several.
        jobs: The number of processes.
        number: The number of draws or trials. None takes the share of those at full scale.
        numbers: The number of draws or trials on single data sets, by their names.
        root: The folder of data files, as for :func:`pyro_ssvae.data.load`.
        svg: Whether its pictures are kept as SVG too, beside the PNG that its page shows.
        together: The number of runs, at most, that are trained side by side, as for
            :func:`pyro_ssvae.experiments.study.study`.
        progress: Whether to show the progress and the time left.
        log: A function that takes a line as each run ends.
    """

    out: Path
    scale: float = 1.0
    jobs: int = 1
    number: int | None = None
    root: str | Path | None = None
    svg: bool = False
    together: int = 1
    progress: bool = False
    log: Callable[[str], None] = field(default=silent, repr=False)
    scales: Mapping[str, float] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for scale in (self.scale, *self.scales.values()):
            if not 0 < scale <= 1:
                raise InputError(f"expected scale in (0, 1], got {scale}")
        for number in (self.number, *self.numbers.values()):
            if number is not None:
                positive(draws=number)
        positive(jobs=self.jobs, together=self.together)

    @property
    def full(self) -> bool:
        """Whether this is the full scale, on every data set."""
        of_all = self.scale == 1 and self.number is None
        return of_all and not self.numbers and all(each == 1 for each in self.scales.values())

    def on(self, data: str) -> Work:
        """The same place, with the scale and the number of draws of one data set.

        Args:
            data: The name of the data set, or ``""``, which gives them all as they are.
        """
        return self if not data else replace(
            self, scale=self.scales.get(data, self.scale), scales={},
            number=self.numbers.get(data, self.number), numbers={},
        )

    def epochs(self, full: int) -> int:
        """The number of epochs to train for, of ``full`` at full scale."""
        return max(1, round(self.scale * full))

    def draws(self, full: int) -> range:
        """The seeds of the draws or trials, of ``full`` at full scale."""
        return range(max(1, round(self.scale * full)) if self.number is None else self.number)

    def train(self, settings: Sequence[Setting]) -> list[dict[str, Any]]:
        """Train a run for each setting, and return what ``metrics.json`` holds of each."""
        asked = jobs_of(settings, self.out, self.root, processes=self.jobs)
        todo = once(asked)
        with Progress("training", len(todo), "runs", show=self.progress) as done:
            found = carried_out(
                todo, done, jobs=self.jobs, together=self.together, log=self.log
            )
        return [found[job.folder] for job in asked]

    def folder(self, setting: Setting) -> Path:
        """The folder of the run of a setting."""
        (job,) = jobs_of([setting], self.out, self.root)
        return job.folder

    def each(
        self, function: Callable[..., dict[str, Any]], items: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """A function of every item, each of which is computed once and kept.

        Args:
            function: A function at the top of a module. It takes the item's values as keyword
                arguments, which are all that its result depends on, and returns plain data.
            items: The arguments of each call, as plain data, or as paths in this place. What is
                kept goes along to another machine: neither where this place lies nor where data
                files lie, ``root``, makes another item of it.

        Returns:
            The results, in the order of the items.

        Raises:
            InputError: If the function has raised it, or a file of a result is broken.
        """
        paths = [self._path(function, item) for item in items]
        todo = {path: dict(item) for path, item in zip(paths, items) if not path.exists()}
        name = function.__name__.replace("_", " ")
        with Progress(name, len(todo), "parts", show=self.progress) as done:
            calls = [(function, item, self.root) for item in todo.values()]
            for place, result in unordered(_called, calls, jobs=self.jobs):
                if isinstance(result, (InputError, NonFiniteLossError)):
                    raise result
                path = list(todo)[place]
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, json.dumps(result) + "\n")
                done.advance()
        return [_read(path) for path in paths]

    def _path(self, function: Callable[..., Any], item: Mapping[str, Any]) -> Path:
        what = {
            name: value.relative_to(self.out).as_posix() if isinstance(value, Path) else value
            for name, value in item.items() if name != "root"
        }
        text = json.dumps([function.__name__, what], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self.out / "parts" / f"{function.__name__}-{digest}.json"


Call = tuple[Callable[..., dict[str, Any]], dict[str, Any], str | Path | None]


def _called(call: Call) -> dict[str, Any]:
    """The result of a function of an item, which finds data files in the folder of the work."""
    function, item, root = call
    before = os.environ.get(VARIABLE)
    try:
        if root is not None:
            os.environ[VARIABLE] = str(root)
        return function(**item)
    finally:
        if root is not None and before is None:
            del os.environ[VARIABLE]
        elif before is not None:
            os.environ[VARIABLE] = before


def _read(path: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path}: expected a result that was kept, got a broken file ({error}); delete it, and"
            " it is computed anew"
        ) from None
    return result
