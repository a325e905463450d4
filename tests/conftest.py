"""Data and runs that several modules read; a test that changes a folder copies it first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Tests run side by side, and torch's threads would wait for each other. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import small  # noqa: E402
from click.testing import CliRunner  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.image import imsave  # noqa: E402
from programs import Programs  # noqa: E402

from pyro_ssvae import guides, models  # noqa: E402
from pyro_ssvae.cli import main  # noqa: E402
from pyro_ssvae.contract import Batch  # noqa: E402
from pyro_ssvae.data import Dataset, Split, downloads, load  # noqa: E402
from pyro_ssvae.evaluation import evaluate  # noqa: E402

# Files of which a worker has the most to do: what comes last keeps one worker, and not the others.
LONG = (
    "test_tutorials", "test_ensemble", "test_study", "test_capture", "test_distributed",
    "test_shared", "test_own_network", "test_ensembles", "test_torchrun", "test_reading",
    "test_site", "test_runs", "test_cli", "test_fuzz", "test_elbo", "test_distribution",
    "test_compare", "test_packaging", "test_search", "test_selections", "test_training",
    "test_reproduce_tables", "test_reproduce_thesis", "test_docs", "test_readme",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    place = {name: index for index, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have torchvision download nothing."""
    def fetch(*arguments: object) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(downloads, "fetch", fetch)


@pytest.fixture(scope="session", autouse=True)
def few_classified() -> Iterator[None]:
    """Have the generative classifiers classify a few examples: they are the slowest measure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "CLASSIFIED", 20)
        yield


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load("digits")


@pytest.fixture(scope="session")
def split() -> Split:
    return small.split()


@pytest.fixture(scope="session")
def digits_split() -> Split:
    return small.split(50)


@pytest.fixture
def pair() -> tuple[models.M2, guides.M2]:
    return small.pair()


@pytest.fixture
def batch() -> Batch:
    return small.batch()


@pytest.fixture(scope="session")
def programs() -> Programs:
    return Programs()


@pytest.fixture
def traced_once(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have equal objectives be traced once: tracing takes longer than a training on little data."""
    monkeypatch.setattr("pyro_ssvae.training.ensemble.vectorised", programs.vectorise)


def save_a_pixel(figure: Figure, file: Any, savefig: Any = Figure.savefig, **options: Any) -> None:
    """Save a figure as matplotlib does, but to a path one pixel: that takes no time."""
    if isinstance(file, Path):
        imsave(file, np.zeros((1, 1, 3)))
    else:
        savefig(figure, file, **options)


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison of three pairs on two splits of digits, two epochs each.

    What the command printed is in ``stdout.txt`` beside the folder.
    """
    out = tmp_path_factory.mktemp("comparison") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", save_a_pixel)
        result = CliRunner().invoke(main, [
            "compare", "m2", "vae", "supervised", "--seeds", "2", "--epochs", "2", "--device",
            "cpu", "--set", "hidden=16", "--set", "z_dim=2", "--out", str(out),
        ])
    assert result.exit_code == 0, result.output
    (out.parent / "stdout.txt").write_text(result.stdout)
    return out
