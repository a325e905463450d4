"""The runs of a study: their settings, what these resolve to, and the folders of their digests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from pyro_ssvae.data import Dataset, Split, steps_per_epoch
from pyro_ssvae.errors import InputError, enough_memory
from pyro_ssvae.evaluation.validation import check_support
from pyro_ssvae.experiments import folder as folders
from pyro_ssvae.experiments import prepared
from pyro_ssvae.experiments.machine import choose_device
from pyro_ssvae.experiments.plan import completed
from pyro_ssvae.experiments.record import OF_A_RUN, Record, started
from pyro_ssvae.experiments.setting import Setting
from pyro_ssvae.statistics.table import names
from pyro_ssvae.system.numbers import in_python
from pyro_ssvae.training.capturing import decided


@dataclass(frozen=True)
class Job:
    """A run to train.

    Attributes:
        setting: The setting.
        record: What the run is started with.
        folder: The folder of the run.
        root: The folder of data files, as for :func:`pyro_ssvae.data.load`.
        unlabelled: The number of unlabelled examples.
        figures: Whether its figures are drawn.
        title: The name of its row: the pair, and the settings in which its runs in the study
            differ. It is empty where there is but one run.
    """

    setting: Setting
    record: Record
    folder: Path
    root: Path | None
    unlabelled: int
    figures: bool
    title: str = ""

    @property
    def name(self) -> str:
        """The name of the run for people: that of its row, and the seeds."""
        record = self.record
        own = "" if record.seed == record.split_seed else f", trained with seed {record.seed}"
        return f"{self.title or record.model}, seed {record.split_seed}{own}"

    def split(self) -> Split:
        """The data of the run.

        Raises:
            InputError: If they are not those that it was asked for on.
        """
        split = self.setting.split(self.root)
        wanted, came = self.record.data_fingerprint, split.dataset.fingerprint
        if came != wanted:
            raise InputError(
                f"{self.record.data}: expected the data that the study began with (of"
                f" data_fingerprint {wanted:.12}), got other data ({came:.12}): leave their files"
                " alone meanwhile, and begin anew"
            )
        return split


def jobs_of(
    settings: Iterable[Setting], out: Path, root: str | Path | None = None, *, processes: int = 1
) -> list[Job]:
    """The runs of a study, all of which can be trained.

    Whether their updates are captured is decided for runs of one program together, for these
    share it: by the settings of the whole study, so that a study that goes on decides alike. Of
    runs that differ in their seeds alone, the first has figures.

    Args:
        settings: The settings.
        out: The folder of the study.
        root: The folder of data files, as for :func:`pyro_ssvae.data.load`.
        processes: The number of processes that train them, each of which compiles what it needs.

    Returns:
        The run of each setting: of those that come to the same, one and the same.

    Raises:
        InputError: If a setting is not usable.
    """
    place = None if root is None else Path(root)
    splits: dict[Any, Split] = {}
    resolved = [_resolved(setting, place, splits) for setting in settings]
    records = {each.record.digest: each.record for each in resolved}
    sharing = Counter(map(program_of, records.values()))
    jobs: dict[str, Job] = {}
    seen: set[str] = set()
    for title, (setting, record, split) in zip(_titles(resolved), resolved):
        if record.digest in jobs:
            continue
        kind = but_seeds(record)
        if first := kind not in seen:
            _check(setting, split, out)
        seen.add(kind)
        runs_of_a_process = -(-sharing[program_of(record)] // processes)
        updates = record.epochs * steps_per_epoch(split, record.batch_unlabelled)
        plan = completed(setting.plan)
        capture = decided(
            plan["capture"], runs_of_a_process * updates, split, choose_device(plan["device"])
        )
        folder = folders.run_folder(out, record.model, record.split_seed, record.digest)
        jobs[record.digest] = Job(
            setting, record.captured(capture), folder, place, len(split.unlabelled), first, title
        )
    return [jobs[each.record.digest] for each in resolved]


def once(jobs: Iterable[Job]) -> list[Job]:
    """Each of the runs once."""
    return list({job.folder: job for job in jobs}.values())


class _Resolved(NamedTuple):
    setting: Setting
    record: Record
    split: Split


def _resolved(setting: Setting, root: Path | None, splits: dict[Any, Split]) -> _Resolved:
    """A setting with what it comes to."""
    pair, split = setting.pair, _split(setting, root, splits)
    values = pair.resolve(split.dataset, setting.options)
    seed = in_python(setting.split_seed if setting.seed is None else setting.seed)
    record = started(
        pair.name, values, split, completed(setting.plan), seed=seed, capture="off", code=pair.code
    )
    return _Resolved(setting, record, split)


def _titles(resolved: Sequence[_Resolved]) -> list[str]:
    """The names of the rows of runs, as the titles of a table have them."""
    rows = [
        {name: value for name, value in each.record.row().items() if name not in OF_A_RUN}
        | {f"drawing.{name}": value for name, value in each.setting.drawing.items()}
        | each.setting.by_class
        for each in resolved
    ]
    return names(rows, list(dict.fromkeys(chain.from_iterable(rows))))


def _split(setting: Setting, root: Path | None, splits: dict[Any, Split]) -> Split:
    """The split of a setting, which others may have had."""
    data = setting.data
    which = id(data) if isinstance(data, Dataset) else data
    key = which, repr(setting.labels), repr(sorted(setting.drawing.items())), setting.split_seed
    if key not in splits:
        splits[key] = setting.split(root)
    return splits[key]


def _check(setting: Setting, split: Split, out: Path) -> None:
    """Raise :class:`InputError` unless a run of this setting can be trained."""
    with enough_memory(**setting.options):
        run = prepared.prepare(
            setting.pair, split, out, options=setting.options, **setting.whole_plan
        )
    check_support(run.objective, run.split)


def but_seeds(record: Record) -> str:
    """What runs have in common that differ in their seeds alone."""
    seeds = {"seed", "split_seed", "split_fingerprint", "capture"}
    return repr({name: v for name, v in record.as_dict().items() if name not in seeds})


def program_of(record: Record) -> str:
    """What runs have in common that, as far as can be told here, share a program.

    A number that weighs a part of the loss is an input of it, unless it is 0.
    """
    def kind(value: Any) -> Any:
        return bool(value) if isinstance(value, float) else value

    options: Mapping[str, Any] = record.options
    batches = record.batch_labelled, record.batch_unlabelled, record.precision
    values = {name: kind(value) for name, value in options.items()}
    return repr((record.model, record.data_fingerprint, batches, values))
