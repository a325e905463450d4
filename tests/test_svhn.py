"""SVHN's two files, made small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_sources import bytes_of
from scipy.io import savemat

from pyro_ssvae.data import downloads, load
from pyro_ssvae.data.svhn import FILES, read_svhn
from pyro_ssvae.errors import InputError

pytestmark = pytest.mark.usefixtures("no_download")

TRAIN, TEST = 12, 10
X = {FILES[0]: bytes_of(32, 32, 3, TRAIN), FILES[1]: bytes_of(32, 32, 3, TEST)}
Y = {
    FILES[0]: np.arange(TRAIN, dtype=np.uint8)[:, None] % 10 + 1,
    FILES[1]: np.arange(TEST, dtype=np.uint8)[:, None] % 10 + 1,
}


def write(folder: Path, **changes: Any) -> Path:
    """The two files; ``X`` and ``y`` are other contents of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        content = {"X": X[name], "y": Y[name]}
        if name == FILES[0]:
            content = {k: v for k, v in (content | changes).items() if v is not None}
        savemat(folder / name, content, do_compression=True)
    return folder


def refused(root: Path) -> str:
    """The line with which the data are refused."""
    with pytest.raises(InputError) as error:
        load("svhn", root)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("folder", [".", "svhn"])
def test_channels_come_first_and_ten_is_the_digit_0(tmp_path: Path, folder: str) -> None:
    write(tmp_path / folder)
    x, y, test = read_svhn(tmp_path)
    for i in range(TRAIN + TEST):
        file, place = (FILES[0], i) if i < TRAIN else (FILES[1], i - TRAIN)
        assert np.array_equal(
            x[i, 2, 5, 7].item(), np.float32(X[file][5, 7, 2, place]) / np.float32(255)
        )
        assert y[i] == {10: 0}.get(int(Y[file][place, 0]), int(Y[file][place, 0]))
    assert x.shape == (TRAIN + TEST, 3, 32, 32) and x.dtype == torch.float32
    assert test.tolist() == list(range(TRAIN, TRAIN + TEST))


def test_the_data_set_is_of_images_in_colour_of_ten_digits(tmp_path: Path) -> None:
    data = load("svhn", write(tmp_path))
    assert (data.name, data.kind, data.validation) == ("svhn", "images", 5_000)
    assert data.target.names == tuple("0123456789") and data.shape == (3, 32, 32)


@pytest.mark.parametrize("changes", [
    {"X": None}, {"y": None}, {"X": bytes_of(3, 32, 32, TRAIN)}, {"X": bytes_of(32, 32, 3)},
    {"X": X[FILES[0]].astype(float)}, {"y": Y[FILES[0]][1:]},
], ids=["no X", "no y", "channels first", "one image", "type", "labels"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    write(tmp_path, **changes)
    assert refused(tmp_path).startswith(f"{tmp_path / FILES[0]}: expected a file of MATLAB's")


@pytest.mark.parametrize("digit", [0, 11])
def test_a_digit_of_another_value_is_named(tmp_path: Path, digit: int) -> None:
    y = Y[FILES[0]].copy()
    y[3] = digit
    write(tmp_path, y=y)
    assert refused(tmp_path).endswith(f"expected digits of 1 to 9, and 10 for 0, got {digit}")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file_is_named(tmp_path: Path, share: float) -> None:
    write(tmp_path)
    content = (tmp_path / FILES[1]).read_bytes()
    (tmp_path / FILES[1]).write_bytes(content[:int(share * len(content))])
    assert refused(tmp_path).startswith(f"{tmp_path / FILES[1]}: expected a file of MATLAB's")


def test_one_file_without_the_other_is_named(tmp_path: Path) -> None:
    (write(tmp_path) / FILES[1]).unlink()
    assert refused(tmp_path).endswith(f"expected the two files of SVHN; missing {FILES[1]}")


def test_both_files_are_downloaded_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(what: str, folder: Path, splits: tuple[str, ...]) -> None:
        assert (what, splits) == ("SVHN", ("train", "test"))
        write(folder)

    assert "download failed (no network)" in refused(tmp_path)
    monkeypatch.setattr(downloads, "fetch", fetch)
    assert len(load("svhn", tmp_path).x) == TRAIN + TEST
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
