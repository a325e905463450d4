"""MNIST's files, made small: found wherever they may lie, and checked."""

import gzip
import re
import struct
import tracemalloc
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from pyro_ssvae.data import downloads, load
from pyro_ssvae.data.mnist import data_root, read_mnist
from pyro_ssvae.errors import InputError

TRAIN, TEST = 30, 20
TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
PIXELS = np.random.default_rng(0).integers(256, size=(TRAIN + TEST, 28, 28), dtype=np.uint8)
LABELS = (np.arange(TRAIN + TEST) % 10).astype(np.uint8)


def idx(array: np.ndarray, *, magic: int | None = None) -> bytes:
    """An array of bytes in LeCun's idx format."""
    magic = 0x0800 + array.ndim if magic is None else magic
    return struct.pack(f">{1 + array.ndim}i", magic, *array.shape) + array.tobytes()


def contents() -> dict[str, bytes]:
    return {
        TRAIN_IMAGES: idx(PIXELS[:TRAIN]),
        TRAIN_LABELS: idx(LABELS[:TRAIN]),
        TEST_IMAGES: idx(PIXELS[TRAIN:]),
        TEST_LABELS: idx(LABELS[TRAIN:]),
    }


def write(folder: Path, *, packed: bool = False, **changes: bytes) -> None:
    """Write the four files, with the contents of some changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {**contents(), **changes}.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def refused(path: Path, reason: str) -> AbstractContextManager[pytest.ExceptionInfo[InputError]]:
    """Expect an InputError that names the path and goes on with the reason, a pattern."""
    return pytest.raises(InputError, match=re.escape(str(path)) + reason)


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test fail that would reach for the network."""
    def download(*args: object, **kwargs: object) -> None:
        raise AssertionError("a download was begun")

    monkeypatch.setattr(downloads, "fetch", download)
    monkeypatch.delenv("PYRO_SSVAE_DATA", raising=False)


def assert_read(came: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    x, y, test = came
    assert (x.dtype, y.dtype, test.dtype) == (torch.float32, torch.int64, torch.int64)
    expected = PIXELS[:, None].astype(np.float32) / np.float32(255)
    assert np.array_equal(x.numpy(), expected)
    assert np.array_equal(y.numpy(), LABELS)
    assert test.tolist() == list(range(TRAIN, TRAIN + TEST))


# Found and read


@pytest.mark.parametrize("packed", [False, True], ids=["idx", "gz"])
@pytest.mark.parametrize("folder", [".", "mnist", "MNIST/raw"])
def test_files_are_read_wherever_they_may_lie(tmp_path: Path, folder: str, packed: bool) -> None:
    write(tmp_path / folder, packed=packed)
    assert_read(read_mnist(tmp_path))


def test_some_files_may_be_packed_and_others_not(tmp_path: Path) -> None:
    write(tmp_path, packed=True)
    for name in (TRAIN_IMAGES, TEST_LABELS):
        (tmp_path / f"{name}.gz").unlink()
        (tmp_path / name).write_bytes(contents()[name])
    assert_read(read_mnist(tmp_path))


def test_the_root_may_be_a_string(tmp_path: Path) -> None:
    write(tmp_path)
    assert_read(read_mnist(str(tmp_path)))


def test_black_is_0_and_white_is_1(tmp_path: Path) -> None:
    pixels = np.zeros((TRAIN, 28, 28), dtype=np.uint8)
    pixels[0, 0, 1] = 255
    write(tmp_path, **{TRAIN_IMAGES: idx(pixels)})
    x, _, _ = read_mnist(tmp_path)
    assert (x[0, 0, 0, 0], x[0, 0, 0, 1]) == (0, 1)


def test_reading_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, packed=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*")}
    read_mnist(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_the_data_set_has_10_classes_of_28_by_28_images(tmp_path: Path) -> None:
    write(tmp_path)
    data = load("mnist", tmp_path)
    assert_read((data.x, data.y, data.test))
    assert (data.name, len(data.target.names), data.shape) == ("mnist", 10, (1, 28, 28))
    assert data.validation == 10_000


def test_a_label_above_9_is_refused(tmp_path: Path) -> None:
    labels = LABELS[:TRAIN].copy()
    labels[5] = 17
    write(tmp_path, **{TRAIN_LABELS: idx(labels)})
    with pytest.raises(InputError, match=r"mnist: expected labels in 0\.\.9, or -1 .*, got .* 17"):
        load("mnist", tmp_path)


# The folder


def test_the_environment_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "elsewhere" / "mnist")
    monkeypatch.setenv("PYRO_SSVAE_DATA", str(tmp_path / "elsewhere"))
    assert_read(read_mnist())


def test_a_root_that_is_given_counts_more_than_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "given")
    monkeypatch.setenv("PYRO_SSVAE_DATA", str(tmp_path / "empty"))
    assert_read(read_mnist(tmp_path / "given"))


@pytest.mark.parametrize("value", [None, ""])
def test_without_either_the_folder_is_a_cache_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    if value is not None:
        monkeypatch.setenv("PYRO_SSVAE_DATA", value)
    assert data_root() == tmp_path / ".cache" / "pyro_ssvae"


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("data", "other"):
        (tmp_path / name).mkdir()
    assert data_root("~/data") == tmp_path / "data"
    monkeypatch.setenv("PYRO_SSVAE_DATA", "~/other")
    assert data_root() == tmp_path / "other"


# Files that cannot be used


@pytest.mark.parametrize("name", sorted(contents()))
def test_one_missing_file_of_the_four_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path / "mnist")
    (tmp_path / "mnist" / name).unlink()
    with refused(tmp_path / "mnist", f": expected MNIST's four files.* missing {name}$"):
        read_mnist(tmp_path)


@pytest.mark.parametrize("name", sorted(contents()))
@pytest.mark.parametrize("kept", [0, 5, -1], ids=["empty", "in the header", "but one byte"])
def test_a_truncated_gzip_file_is_named(tmp_path: Path, name: str, kept: int) -> None:
    write(tmp_path, packed=True)
    path = tmp_path / f"{name}.gz"
    path.write_bytes(path.read_bytes()[:kept])
    with refused(path, ": (corrupt or truncated gzip file|expected an idx header)"):
        read_mnist(tmp_path)


def test_a_gzip_file_that_was_cut_is_said_to_be_so(tmp_path: Path) -> None:
    write(tmp_path, packed=True)
    path = tmp_path / f"{TRAIN_IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:1_000])
    with refused(path, ": corrupt or truncated gzip file"):
        read_mnist(tmp_path)


@pytest.mark.parametrize("position", [0, 10, 1_000, -8], ids="magic block data checksum".split())
def test_a_gzip_file_with_a_flipped_byte_is_refused(tmp_path: Path, position: int) -> None:
    write(tmp_path, packed=True)
    path = tmp_path / f"{TRAIN_IMAGES}.gz"
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)
    with refused(path, ": corrupt or truncated gzip file"):
        read_mnist(tmp_path)


def test_a_web_page_in_place_of_a_gzip_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, packed=True)
    path = tmp_path / f"{TEST_LABELS}.gz"
    path.write_text("<html>404 Not Found</html>")
    with refused(path, ": corrupt or truncated gzip file"):
        read_mnist(tmp_path)


@pytest.mark.parametrize("packed", [False, True], ids=["idx", "gz"])
@pytest.mark.parametrize(
    ("name", "size"), [(TRAIN_IMAGES, 16 + 784 * TRAIN), (TEST_LABELS, 8 + TEST)]
)
def test_an_idx_file_that_is_too_short_is_named(
    tmp_path: Path, name: str, size: int, packed: bool
) -> None:
    write(tmp_path, packed=packed, **{name: contents()[name][:-1]})
    with refused(tmp_path / name, rf".*: expected {size} bytes for the shape .*, got {size - 1}$"):
        read_mnist(tmp_path)


def test_an_idx_file_that_is_too_long_is_named(tmp_path: Path) -> None:
    write(tmp_path, **{TEST_LABELS: contents()[TEST_LABELS] + b"\0"})
    with refused(tmp_path / TEST_LABELS, r": expected 28 bytes.* got more$"):
        read_mnist(tmp_path)


@pytest.mark.parametrize(("name", "header"), [(TRAIN_IMAGES, 16), (TRAIN_LABELS, 8)])
@pytest.mark.parametrize("kept", [0, 7])
def test_an_idx_file_without_a_whole_header_is_named(
    tmp_path: Path, name: str, header: int, kept: int
) -> None:
    write(tmp_path, **{name: contents()[name][:kept]})
    with refused(tmp_path / name, f": expected an idx header of {header} bytes, got {kept}"):
        read_mnist(tmp_path)


@pytest.mark.parametrize(("name", "magic"), [(TEST_IMAGES, 2051), (TEST_LABELS, 2049)])
def test_another_magic_number_is_refused(tmp_path: Path, name: str, magic: int) -> None:
    content = struct.pack(">i", 1234) + contents()[name][4:]
    write(tmp_path, **{name: content})
    with refused(tmp_path / name, f": expected idx magic number {magic}, got 1234"):
        read_mnist(tmp_path)


def test_labels_in_place_of_images_are_refused(tmp_path: Path) -> None:
    write(tmp_path, **{TRAIN_IMAGES: contents()[TRAIN_LABELS]})
    with refused(tmp_path / TRAIN_IMAGES, ": expected idx magic number 2051, got 2049"):
        read_mnist(tmp_path)


@pytest.mark.parametrize("shape", [(32, 28), (28, 32), (14, 56)])
def test_images_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, int]) -> None:
    write(tmp_path, **{TEST_IMAGES: idx(np.zeros((TEST, *shape), dtype=np.uint8))})
    came = re.escape(str(shape))
    with refused(tmp_path / TEST_IMAGES, f": expected images of 28 x 28 pixels, got {came}"):
        read_mnist(tmp_path)


def test_more_labels_than_images_are_refused(tmp_path: Path) -> None:
    write(tmp_path, **{TRAIN_LABELS: idx(LABELS)})
    came = f"30 images in {TRAIN_IMAGES} and 50 labels in {TRAIN_LABELS}"
    with refused(tmp_path, f": expected a label an image, got {came}"):
        read_mnist(tmp_path)


@pytest.mark.parametrize("count", [0, -1])
def test_a_file_of_no_images_is_refused(tmp_path: Path, count: int) -> None:
    write(tmp_path, **{TRAIN_IMAGES: struct.pack(">4i", 2051, count, 28, 28)})
    with refused(tmp_path / TRAIN_IMAGES, ": "):
        read_mnist(tmp_path)


def test_a_file_that_may_not_be_read_is_not_called_a_bad_gzip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    write(tmp_path, packed=True)
    monkeypatch.setattr(gzip, "open", denied)
    with refused(tmp_path / f"{TRAIN_IMAGES}.gz", ": .*Permission") as error:
        read_mnist(tmp_path)
    assert "gzip file" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "size"), [(TEST_IMAGES, 16 + 784 * TEST), (TEST_LABELS, 8 + TEST)]
)
def test_no_more_of_a_gzip_file_is_unpacked_than_its_header_says(
    tmp_path: Path, name: str, size: int
) -> None:
    write(tmp_path, packed=True)
    gigabyte = gzip.compress(contents()[name] + bytes(2**20)) + 2**10 * gzip.compress(bytes(2**20))
    (tmp_path / f"{name}.gz").write_bytes(gigabyte)
    tracemalloc.start()
    with refused(tmp_path / f"{name}.gz", rf": expected {size} bytes .* got more$"):
        read_mnist(tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10 * 2**20


@pytest.mark.parametrize("count", [60_001, 2**31 - 1])
def test_a_header_of_more_examples_than_mnist_has_is_refused(tmp_path: Path, count: int) -> None:
    write(tmp_path, **{TRAIN_IMAGES: struct.pack(">4i", 2051, count, 28, 28) + bytes(784)})
    with refused(tmp_path / TRAIN_IMAGES, f": expected 1 to 60000 examples, got {count}"):
        read_mnist(tmp_path)


# The download


@pytest.mark.parametrize(
    "failure",
    [RuntimeError("Error downloading"), URLError("no route"), PermissionError("read-only")],
    ids=repr,
)
def test_a_download_that_fails_says_where_to_put_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def download(*args: object, **kwargs: object) -> None:
        raise failure

    monkeypatch.setattr(downloads, "fetch", download)
    with refused(tmp_path, ", and the download failed") as error:
        read_mnist(tmp_path)
    for said in (str(failure), str(tmp_path / "mnist"), "--data-root", "$PYRO_SSVAE_DATA"):
        assert said in str(error.value)


def test_files_are_downloaded_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(what: str, root: Path, splits: tuple[str, ...]) -> None:
        assert (what, splits) == ("MNIST", ())
        write(root / "MNIST" / "raw")

    monkeypatch.setattr(downloads, "fetch", download)
    (tmp_path / "new").mkdir()
    assert_read(read_mnist(tmp_path / "new"))


def test_files_that_are_there_are_not_downloaded_again(tmp_path: Path) -> None:
    write(tmp_path / "MNIST" / "raw")  # the fixture lets no download through
    assert_read(read_mnist(tmp_path))
