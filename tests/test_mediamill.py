"""Mediamill's two files: pickles of arrays that Python 2 wrote, packed by bzip2."""

from __future__ import annotations

import bz2
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyro_ssvae.data import load, mediamill
from pyro_ssvae.data.mediamill import read_mediamill
from pyro_ssvae.errors import InputError

TRAIN, TEST = "mediamill-train.dump.bz2", "mediamill-test.dump.bz2"
N, T, D, L = 12, 6, 4, 3
RNG = np.random.default_rng(0)
X, TEST_X = RNG.normal(size=(N, D)), RNG.normal(size=(T, D))
Y, TEST_Y = RNG.integers(2, size=(N, L)), RNG.integers(2, size=(T, L))


def array(values: np.ndarray[Any, Any], functions: bytes, dtype: bytes) -> bytes:
    """An array in pickle's protocol 0: what makes an empty one, and what its state is."""
    rows, columns = values.shape
    return (
        functions + b"(I1\n(I%d\nI%d\nt" % (rows, columns) + dtype
        + b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS" + repr(values.tobytes())[1:].encode() + b"\ntb"
    )


def pickled(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> bytes:
    """``{"X": x, "y": y}`` as Python 2 wrote it; the second array names what the first one did."""
    first = array(
        y, b"cnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\n"
        b"tp6\nRp7\n", b"cnumpy\ndtype\np9\n(S'i8'\np10\nI0\nI1\ntp11\nRp12\n",
    )
    second = array(x, b"g2\n(g3\n(I0\ntg5\ntR", b"g9\n(S'f8'\nI0\nI1\ntR")
    return b"(dp0\nS'y'\np1\n" + first + b"sS'X'\np17\n" + second + b"s."


GOOD = {TRAIN: pickled(X, Y), TEST: pickled(TEST_X, TEST_Y)}


def write(folder: Path, **changes: bytes) -> Path:
    """The two files; ``train`` and ``test`` are other contents of theirs, before packing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(("train", "test"), GOOD.values()):
        packed = bz2.compress(changes.get(name, content))
        (folder / f"mediamill-{name}.dump.bz2").write_bytes(packed)
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mediamill, "EXAMPLES", {TRAIN: N, TEST: T})
    monkeypatch.setattr(mediamill, "FEATURES", D)
    monkeypatch.setattr(mediamill, "LABELS", L)


def refused(folder: Path) -> str:
    """The line with which the data are refused."""
    with pytest.raises(InputError) as error:
        load("mediamill", folder)
    assert "\n" not in str(error.value)
    return str(error.value)


# Read


@pytest.mark.parametrize("folder", [".", "multilabel"])
def test_files_are_read_wherever_they_may_lie(tmp_path: Path, folder: str) -> None:
    write(tmp_path / folder)
    for came, (x, y) in zip(read_mediamill(tmp_path), [(X, Y), (TEST_X, TEST_Y)], strict=True):
        assert np.array_equal(came[0], x) and np.array_equal(came[1], y)
        assert (came[0].dtype, came[1].dtype) == (np.float64, np.int64)


def test_the_test_file_is_the_test_part(tmp_path: Path) -> None:
    data = load("mediamill", write(tmp_path))
    assert data.test.tolist() == list(range(N, N + T))
    assert np.array_equal(data.y, np.concatenate([Y, TEST_Y]))


def test_features_have_mean_0_and_variance_1_in_the_training_file(tmp_path: Path) -> None:
    data = load("mediamill", write(tmp_path))
    expected = (np.concatenate([X, TEST_X]) - X.mean(axis=0)) / X.std(axis=0)
    assert data.x.dtype == torch.float32
    assert np.allclose(data.x, expected, atol=1e-5)


def test_the_data_set_has_labels_by_number_and_the_kind_of_features(tmp_path: Path) -> None:
    data = load("mediamill", write(tmp_path))
    assert (data.name, data.kind, data.validation) == ("mediamill", "features", 1)
    assert data.target.names == ("0", "1", "2")
    assert data.target.sizes == (2, 2, 2)


# Refused


def test_missing_files_are_answered_with_where_to_put_them_and_where_they_are_from(
    tmp_path: Path
) -> None:
    message = refused(tmp_path)
    for part in (TRAIN, TEST, str(tmp_path / "multilabel"), "got neither", "scikit-multilearn",
                 "0.0.1", "--data-root", "$PYRO_SSVAE_DATA"):
        assert part in message


def test_one_file_without_the_other_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / TEST).unlink()
    assert f"got {tmp_path / TRAIN} alone; put both there" in refused(tmp_path)


def test_nothing_that_a_pickle_names_is_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    write(tmp_path, test=b"cos\nmkdir\n(S'%s'\ntR." % bytes(made))
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path / TEST}: expected a pickle of two arrays")
    assert "names os.mkdir" in message
    assert not made.exists()


@pytest.mark.parametrize("name", [
    b"numpy\nload", b"numpy.core.multiarray\nfromfile", b"numpy\ndtype.type", b"builtins\neval",
    b"pyro_ssvae.data.pickled\nPiece",
])
def test_only_what_makes_an_array_may_be_named(tmp_path: Path, name: bytes) -> None:
    write(tmp_path, train=GOOD[TRAIN].replace(b"numpy\ndtype", name))
    assert "names " in refused(tmp_path)


@pytest.mark.parametrize("content", [
    b"", b".", b"hello", b"\x80\x05", b"(d.", b"I1\n.", b"(lp0\n.", b"N.",
    pickle.dumps({"X": X, "y": Y}), pickle.dumps({b"X": [1.0], b"y": [1]}),
    GOOD[TRAIN].replace(b"S'<'", b"S'>'"),
    GOOD[TRAIN].replace(b"S'i8'", b"S'i4'"),
    GOOD[TRAIN].replace(b"S'f8'", b"S'O8'"),
    GOOD[TRAIN].replace(b"S'X'", b"S'Z'"),
    GOOD[TRAIN].replace(b"I%d\n" % N, b"I%d\n" % (N + 1)),
    GOOD[TRAIN].replace(b"I%d\n" % N, b"I%d\n" % 10**12),
], ids=lambda content: repr(content)[-40:])
def test_a_pickle_of_something_else_is_refused_in_one_line(
    tmp_path: Path, content: bytes
) -> None:
    assert content != GOOD[TRAIN]
    write(tmp_path, train=content)
    assert refused(tmp_path).startswith(f"{tmp_path / TRAIN}: expected a pickle of two arrays")


@pytest.mark.parametrize("content", [b"", b"BZh9", b"\x1f\x8b\x08", GOOD[TRAIN]])
def test_a_file_that_is_not_packed_by_bzip2_is_refused(tmp_path: Path, content: bytes) -> None:
    write(tmp_path)
    (tmp_path / TRAIN).write_bytes(content)
    assert refused(tmp_path).startswith(f"{tmp_path / TRAIN}: expected a pickle of two arrays")


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    write(tmp_path)
    content = (tmp_path / TEST).read_bytes()
    (tmp_path / TEST).write_bytes(content[:int(share * len(content))])
    assert refused(tmp_path).startswith(f"{tmp_path / TEST}: expected a pickle of two arrays")


def test_a_file_that_unpacks_to_more_than_any_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mediamill, "LARGEST", 10_000)
    write(tmp_path, train=bytes(100_000))
    assert "more than 10000 bytes" in refused(tmp_path)


def test_other_numbers_of_examples_features_or_labels_are_refused(tmp_path: Path) -> None:
    for x, y in ((X[:-1], Y[:-1]), (X[:, 1:], Y), (X, Y[:, 1:]), (X[:-1], Y)):
        write(tmp_path, train=pickled(x, y))
        assert refused(tmp_path) == (
            f"{tmp_path / TRAIN}: expected arrays of shapes (12, 4) and (12, 3),"
            f" got {x.shape} and {y.shape}"
        )


def test_the_two_files_may_not_change_places(tmp_path: Path) -> None:
    write(tmp_path, train=GOOD[TEST], test=GOOD[TRAIN])
    assert "expected arrays of shapes (12, 4) and (12, 3), got (6, 4)" in refused(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_not_finite_is_named(tmp_path: Path, value: float) -> None:
    x = X.copy()
    x[7, 2] = value
    write(tmp_path, train=pickled(x, Y))
    assert f"expected finite features, got {value} in the example at index 7" in refused(tmp_path)


@pytest.mark.parametrize("value", [-1, 2, 2**40])
def test_a_label_of_another_value_is_named(tmp_path: Path, value: int) -> None:
    y = TEST_Y.copy()
    y[3, 1] = value
    write(tmp_path, test=pickled(TEST_X, y))
    assert f"{TEST}: expected labels of 0 and 1, got {value}" in refused(tmp_path)
