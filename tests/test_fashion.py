"""Fashion-MNIST's files, made small: those of MNIST's format and names, in folders of their own."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from image_sources import bytes_of, idx

from pyro_ssvae.data import downloads, load
from pyro_ssvae.data.mnist import FILES
from pyro_ssvae.errors import InputError

pytestmark = pytest.mark.usefixtures("no_download")

TRAIN, TEST = 12, 10
PIXELS = {"train": bytes_of(TRAIN, 28, 28), "test": bytes_of(TEST, 28, 28)}
LABELS = {"train": np.arange(TRAIN) % 10, "test": np.arange(TEST) % 10}


def write(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for part, (images, labels) in FILES.items():
        (folder / f"{images}.gz").write_bytes(gzip.compress(idx(PIXELS[part])))
        (folder / f"{labels}.gz").write_bytes(gzip.compress(idx(LABELS[part].astype(np.uint8))))
    return folder


@pytest.mark.parametrize("folder", ["fashion-mnist", "FashionMNIST/raw"])
def test_files_are_read_in_their_original_split(tmp_path: Path, folder: str) -> None:
    write(tmp_path / folder)
    data = load("fashion-mnist", tmp_path)
    pixels = np.concatenate([PIXELS["train"], PIXELS["test"]])[:, None]
    assert np.array_equal(data.x.numpy(), pixels.astype(np.float32) / 255)
    assert np.array_equal(data.y.numpy(), np.concatenate([LABELS["train"], LABELS["test"]]))
    assert data.test.tolist() == list(range(TRAIN, TRAIN + TEST))


def test_the_ten_classes_are_pieces_of_clothing(tmp_path: Path) -> None:
    write(tmp_path / "fashion-mnist")
    data = load("fashion-mnist", tmp_path)
    assert data.target.names == (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    )
    assert (data.name, data.kind, data.validation) == ("fashion-mnist", "mnist", 10_000)


def test_files_of_mnist_are_not_taken_for_those_of_fashion_mnist(tmp_path: Path) -> None:
    for folder in ("here", "mnist"):
        write(tmp_path / folder)
    for root in (tmp_path / "here", tmp_path):
        with pytest.raises(InputError, match="no files of FashionMNIST under .*no network.*put"):
            load("fashion-mnist", root)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (write(tmp_path / "fashion-mnist") / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match="FashionMNIST's four files.*missing t10k-labels-idx1-ub"):
        load("fashion-mnist", tmp_path)


def test_files_are_downloaded_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(what: str, folder: Path, splits: tuple[str, ...]) -> None:
        assert what == "FashionMNIST"
        write(folder / "FashionMNIST" / "raw")

    monkeypatch.setattr(downloads, "fetch", fetch)
    assert len(load("fashion-mnist", tmp_path).x) == TRAIN + TEST
    assert (tmp_path / "FashionMNIST" / "raw").is_dir()
