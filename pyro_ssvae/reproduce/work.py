"""The place that a reproduction works in: what is computed there is kept, and not done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyro_ssvae.experiments import runs
from pyro_ssvae.experiments.setting import Setting
from pyro_ssvae.system.files import write_text


@dataclass(frozen=True)
class Work:
    """Where a reproduction computes, and how much of it.

    Attributes:
        out: The folder.
        scale: The share of the epochs and of the draws, in (0, 1].
        jobs: The number of processes.
        root: The folder of data files, as for :func:`pyro_ssvae.data.load`.
    """

    out: Path
    scale: float = 1.0
    jobs: int = 1
    root: str | Path | None = None

    def epochs(self, full: int) -> int:
        """The number of epochs to train for, of ``full`` at full scale."""
        return max(1, round(self.scale * full))

    def draws(self, full: int) -> range:
        """The seeds of the draws or trials, of ``full`` at full scale."""
        return range(max(1, round(self.scale * full)))

    def train(self, settings: Sequence[Setting]) -> list[dict[str, Any]]:
        """Train a run for each setting, and return what ``metrics.json`` holds of each."""
        return [
            runs.train(
                setting.pair, setting.split(self.root), self.folder(setting),
                options=setting.options, **setting.plan, resume=True,
            )
            for setting in settings
        ]

    def run(self, setting: Setting) -> runs.Run:
        """A run that :meth:`train` has trained, with its weights and its data."""
        dataset = setting.split(self.root).dataset
        return runs.load(self.folder(setting), pair=setting.pair, dataset=dataset)

    def folder(self, setting: Setting) -> Path:
        """The folder of the run of a setting."""
        text = repr(setting)
        return self.out / "runs" / hashlib.sha256(text.encode()).hexdigest()[:16]

    def each(
        self, function: Callable[..., dict[str, Any]], items: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """A function of every item, each of which is computed once and kept.

        Args:
            function: A function at the top of a module. It takes the item's values as keyword
                arguments, which are all that its result depends on, and returns plain data.
            items: The arguments of each call, as plain data.

        Returns:
            The results, in the order of the items.
        """
        results = []
        for item in items:
            text = json.dumps([function.__name__, dict(item)], sort_keys=True)
            digest = hashlib.sha256(text.encode()).hexdigest()[:16]
            path = self.out / "parts" / f"{function.__name__}-{digest}.json"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, json.dumps(function(**item)) + "\n")
            results.append(json.loads(path.read_text()))
        return results
