"""CIFAR's files, made small: binary ones and pickles."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_sources import bytes_of, python_2, python_3

from pyro_ssvae.data import downloads, load
from pyro_ssvae.data.cifar import KNOWN, read_cifar
from pyro_ssvae.errors import InputError

pytestmark = pytest.mark.usefixtures("no_download")

N = 4  # images a file
NAMES = {name: [f"class {k}" for k in range(known.classes)] for name, known in KNOWN.items()}
PIXELS = {name: [bytes_of(N, 3072) for _ in known.parts] for name, known in KNOWN.items()}
LABELS = {
    "cifar10": [(np.arange(N) + k) % 10 for k in range(6)],
    "cifar100": [np.array([99, 0, 50, 7]), np.array([1, 2, 3, 98])],
}
BOTH = pytest.mark.parametrize("name", list(KNOWN))


def binary(root: Path, name: str) -> Path:
    """The folder of binary files: before its pixels an image has its label, or a coarse and a fine
    one."""
    known = KNOWN[name]
    folder = root / known.binary
    folder.mkdir(parents=True)
    for part, pixels, labels in zip(known.parts, PIXELS[name], LABELS[name]):
        before = [labels[:, None]] if name == "cifar10" else [labels[:, None] % 20, labels[:, None]]
        rows = np.concatenate([*before, pixels], axis=1).astype(np.uint8)
        (folder / f"{part}.bin").write_bytes(rows.tobytes())
    (folder / known.names[0]).write_text("\n".join([*NAMES[name], "", ""]))
    return folder


def pickles(
    root: Path, name: str, write: Callable[[dict[str, Any]], bytes] = python_2,
    order: str = "C",
) -> Path:
    """torchvision's folder, with what else the pickles hold."""
    known = KNOWN[name]
    folder = root / known.python
    folder.mkdir(parents=True)
    for part, pixels, labels in zip(known.parts, PIXELS[name], LABELS[name]):
        (folder / part).write_bytes(write({
            "batch_label": f"batch {part}", "filenames": [f"{k}.png" for k in range(N)],
            "data": np.array(pixels, order=order), known.keys[0]: labels.tolist(),  # type: ignore
            "coarse_labels": [0] * N,
        }))
    (folder / known.names[1]).write_bytes(write({
        "num_cases_per_batch": N, known.keys[1]: NAMES[name], "coarse_label_names": ["a", "b"],
    }))
    return folder


def refused(root: Path, name: str = "cifar10") -> str:
    """The line with which the data are refused."""
    with pytest.raises(InputError) as error:
        load(name, root)
    assert "\n" not in str(error.value)
    return str(error.value)


# Read


@BOTH
def test_pixels_are_colours_row_by_row_and_labels_the_fine_ones(tmp_path: Path, name: str) -> None:
    binary(tmp_path, name)
    x, y, test, names = read_cifar(tmp_path, name)
    assert (x.dtype, y.dtype, test.dtype) == (torch.float32, torch.int64, torch.int64)
    expected = np.concatenate(PIXELS[name]).reshape(-1, 3, 32, 32).astype(np.float32) / 255
    assert np.array_equal(x.numpy(), expected)
    assert np.array_equal(y.numpy(), np.concatenate(LABELS[name]))
    assert test.tolist() == list(range(len(x) - N, len(x)))
    assert names == tuple(NAMES[name])


@BOTH
@pytest.mark.parametrize("write", [python_2, python_3])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_two_formats_give_equal_data(
    tmp_path: Path, name: str, write: Callable[[dict[str, Any]], bytes], order: str
) -> None:
    binary(tmp_path / "one", name)
    pickles(tmp_path / "other", name, write, order)
    one, other = load(name, tmp_path / "one"), load(name, tmp_path / "other")
    assert one.fingerprint == other.fingerprint
    assert torch.equal(one.x, other.x) and torch.equal(one.test, other.test)


@BOTH
def test_the_data_set_is_of_images_in_colour_with_5000_for_validation(
    tmp_path: Path, name: str
) -> None:
    binary(tmp_path, name)
    data = load(name, tmp_path)
    assert (data.name, data.kind, data.validation) == (name, "images", 5_000)
    assert data.shape == (3, 32, 32) and data.images
    assert data.target.names == tuple(NAMES[name])


# Refused


@BOTH
@pytest.mark.parametrize("write", [binary, pickles])
def test_a_missing_file_is_named(
    tmp_path: Path, name: str, write: Callable[[Path, str], Path]
) -> None:
    for path in sorted(write(tmp_path, name).iterdir()):
        content = path.read_bytes()
        path.unlink()
        assert refused(tmp_path, name).endswith(f"missing {path.name}")
        path.write_bytes(content)


@BOTH
@pytest.mark.parametrize("kept", [0, 1, -1])
def test_a_truncated_binary_file_is_named(tmp_path: Path, name: str, kept: int) -> None:
    path = binary(tmp_path, name) / f"{KNOWN[name].parts[-1]}.bin"
    path.write_bytes(path.read_bytes()[:kept])
    message = refused(tmp_path, name)
    assert message.startswith(f"{path}: expected {3072 + KNOWN[name].bytes} bytes an image")
    assert "truncated" in message


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_pickle_is_named(tmp_path: Path, share: float) -> None:
    path = pickles(tmp_path, "cifar10") / "data_batch_3"
    content = path.read_bytes()
    path.write_bytes(content[:int(share * len(content))])
    assert refused(tmp_path).startswith(f"{path}: expected a pickle of pixels (N, 3072)")


@pytest.mark.parametrize("file", ["data_batch_1", "batches.meta"])
def test_nothing_that_a_pickle_names_is_run(tmp_path: Path, file: str) -> None:
    class Made:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "made"),)

    path = pickles(tmp_path, "cifar10") / file
    path.write_bytes(python_3({"data": Made(), "labels": Made(), "label_names": Made()}))
    assert "mkdir" in refused(tmp_path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [
    {"data": bytes_of(N, 3072), "labels": [0] * (N - 1)},
    {"data": bytes_of(N, 3071), "labels": [0] * N},
    {"data": bytes_of(N, 3072).astype(float), "labels": [0] * N},
    {"data": bytes_of(0, 3072), "labels": []},
    {"data": [1, 2], "labels": [0] * N},
    {"labels": [0] * N},
], ids=["labels", "pixels", "type", "none", "list", "no data"])
def test_a_pickle_of_something_else_is_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    path = pickles(tmp_path, "cifar10") / "test_batch"
    path.write_bytes(python_3(content))
    assert refused(tmp_path).startswith(f"{path}: expected a pickle of pixels (N, 3072)")


@BOTH
def test_a_label_of_no_class_is_named(tmp_path: Path, name: str) -> None:
    path = binary(tmp_path, name) / f"{KNOWN[name].parts[0]}.bin"
    content = bytearray(path.read_bytes())
    content[KNOWN[name].bytes - 1] = 200
    path.write_bytes(content)
    classes = KNOWN[name].classes
    assert refused(tmp_path, name) == f"{path}: expected labels in 0..{classes - 1}, got 200"


@pytest.mark.parametrize("write", [binary, pickles])
def test_names_of_other_classes_are_refused(
    tmp_path: Path, write: Callable[[Path, str], Path]
) -> None:
    path = write(tmp_path, "cifar10") / KNOWN["cifar10"].names[write is pickles]
    text = "a\nb\n".encode() if write is binary else python_2({"label_names": ["a", "b"]})
    path.write_bytes(text)
    assert refused(tmp_path).startswith(f"{path}: expected the names of 10 classes")


# The download


@BOTH
def test_pickles_are_downloaded_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fetch(what: str, folder: Path, splits: tuple[str, ...]) -> None:
        assert (what, splits) == (KNOWN[name].title, ())
        pickles(folder, name)
        (folder / "archive.tar.gz").write_bytes(b"large")

    monkeypatch.setattr(downloads, "fetch", fetch)
    assert len(load(name, tmp_path).x) == N * len(KNOWN[name].parts)
    assert [path.name for path in tmp_path.iterdir()] == [KNOWN[name].python]


def test_a_download_that_breaks_off_leaves_nothing_and_says_where_files_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(what: str, folder: Path, splits: tuple[str, ...]) -> None:
        (pickles(folder, "cifar10") / "data_batch_2").unlink()
        raise ConnectionError("the line\nwas cut")

    monkeypatch.setattr(downloads, "fetch", fetch)
    message = refused(tmp_path)
    for said in ("the line was cut", str(tmp_path / "cifar-10-batches-bin"), "--data-root"):
        assert said in message
    assert list(tmp_path.iterdir()) == []
