"""ELPV's table of labels and its images, made small in number."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pyro_ssvae.data import elpv, load
from pyro_ssvae.data.elpv import read_elpv
from pyro_ssvae.errors import InputError

# Eight cells for each of the eight kinds of line.
PROBABILITIES = ["0.0", "1.0", "0.3333333333333333", "0.6666666666666666"] * 16
TYPES = ["mono"] * 32 + ["poly"] * 32
CELLS = len(TYPES)
PIXELS = np.random.default_rng(0).integers(256, size=(CELLS, 300, 300), dtype=np.uint8)
NAMES = [f"images/cell{number:04}.png" for number in range(1, CELLS + 1)]
LINES = [f"{n}  {p:18}  {t}\n" for n, p, t in zip(NAMES, PROBABILITIES, TYPES)]


def png(pixels: np.ndarray[Any, Any], kind: str = "PNG") -> bytes:
    result = io.BytesIO()
    Image.fromarray(pixels).save(result, kind, compress_level=0)
    return result.getvalue()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("elpv"))


def write(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "labels.csv").write_text("".join(LINES))
    for name, pixels in zip(NAMES, PIXELS):
        (folder / name).write_bytes(png(pixels))
    return folder


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """The same files, of which one can be put in another's place."""
    (tmp_path / "images").mkdir()
    for name in ("labels.csv", *NAMES):
        (tmp_path / name).symlink_to(whole / name)
    return tmp_path


def put(root: Path, name: str, content: bytes | str) -> Path:
    (root / name).unlink(missing_ok=True)
    (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elpv, "CELLS", CELLS)


def refused(root: Path) -> str:
    """The line with which the data are refused."""
    with pytest.raises(InputError) as error:
        load("elpv", root)
    assert "\n" not in str(error.value)
    return str(error.value)


# Read


@pytest.mark.parametrize("folder", [".", "elpv"])
def test_files_are_read_wherever_they_may_lie(
    whole: Path, tmp_path: Path, folder: str
) -> None:
    place = tmp_path / folder
    place.mkdir(exist_ok=True)
    for name in ("labels.csv", "images"):
        (place / name).symlink_to(whole / name)
    x, probability, types = read_elpv(tmp_path)
    assert x.shape == (CELLS, 1, 30, 30)
    assert types.tolist() == TYPES
    assert probability.tolist() == [0, 1, 1 / 3, 2 / 3] * 16


def test_a_pixel_is_the_mean_of_10_by_10_and_white_is_1(whole: Path) -> None:
    x, _, _ = read_elpv(whole)
    assert x.dtype == np.float32
    for image, row, column in ((0, 0, 0), (5, 3, 29), (CELLS - 1, 29, 7)):
        block = PIXELS[image, 10 * row:10 * row + 10, 10 * column:10 * column + 10]
        assert x[image, 0, row, column] == pytest.approx(block.mean() / 255, abs=1e-6)


def test_black_is_0_and_white_is_1(root: Path) -> None:
    pixels = np.zeros((300, 300), dtype=np.uint8)
    pixels[:, 150:] = 255
    put(root, NAMES[0], png(pixels))
    image = load("elpv", root).x[0].reshape(30, 30)
    assert image[:, :15].unique().tolist() == [0]
    assert image[:, 15:].unique().tolist() == [1]


def test_cells_of_an_uncertain_state_are_unlabelled(whole: Path) -> None:
    data = load("elpv", whole)
    assert data.y.tolist() == [0, 1, -1, -1] * 16
    assert data.target.names == ("functional", "defective")
    assert "32 cells of an uncertain state are unlabelled" in str(data)
    assert "32 monocrystalline cells, 32 polycrystalline cells" in str(data)


def test_they_may_have_the_nearest_class_and_are_never_tested_on(whole: Path) -> None:
    data = elpv.load("elpv", whole, uncertain="nearest")
    assert data.y.tolist() == [0, 1, 0, 1] * 16
    assert torch.equal(data.test, load("elpv", whole).test)
    assert "32 cells of an uncertain state have the nearest class as their label" in str(data)


def test_another_policy_is_answered_with_the_two(whole: Path) -> None:
    with pytest.raises(InputError, match="'ones': expected one of nearest, unknown"):
        elpv.load("elpv", whole, uncertain="ones")  # type: ignore[arg-type]


def test_a_fifth_of_the_certain_cells_is_for_testing_in_all_proportions(whole: Path) -> None:
    data = load("elpv", whole)
    assert len(data.test) == 7  # a fifth of 32, rounded up
    kinds = [(PROBABILITIES[i], TYPES[i]) for i in data.test.tolist()]
    counts = [kinds.count((p, t)) for p in ("0.0", "1.0") for t in ("mono", "poly")]
    assert sum(counts) == 7
    assert sorted(counts) == [1, 2, 2, 2]


def test_the_data_set_has_images_of_30_by_30_pixels(whole: Path) -> None:
    data = load("elpv", whole)
    assert (data.name, data.shape, data.kind) == ("elpv", (1, 30, 30), "digits")
    assert (data.x.shape, data.validation) == ((CELLS, 1, 30, 30), 3)


# Refused


def test_missing_files_are_answered_with_where_to_put_them_and_where_they_are_from(
    tmp_path: Path
) -> None:
    message = refused(tmp_path)
    for part in ("labels.csv and images", str(tmp_path / "elpv"), "got neither", "elpv-dataset",
                 "--data-root", "$PYRO_SSVAE_DATA"):
        assert part in message


def test_labels_without_images_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "labels.csv", "".join(LINES))
    assert f"got {tmp_path / 'labels.csv'} alone; put both there" in refused(tmp_path)


def test_a_missing_image_is_named(root: Path) -> None:
    (root / NAMES[9]).unlink()
    assert refused(root).startswith(f"{root / NAMES[9]}: expected a grey PNG image of 300 x 300")


@pytest.mark.parametrize(("line", "number"), [
    ("images/cell0001.png 0.5 mono\n", 1),
    ("images/cell0001.png 0.0\n", 1),
    ("images/cell0001.png 0.0 thin\n", 1),
    ("images/cell0001.png nan mono\n", 1),
    ("../cell0001.png 0.0 mono\n", 1),
    ("/images/cell0001.png 0.0 mono\n", 1),
    (LINES[0] + "\n", 2),
    (LINES[0] + LINES[1][:19], 2),
    ("path,probability,type\n", 1),
])
def test_a_line_of_another_form_is_shown_with_its_number(
    root: Path, line: str, number: int
) -> None:
    put(root, "labels.csv", line + "".join(LINES[2:]))
    message = refused(root)
    assert message.startswith(f"{root / 'labels.csv'}: expected the path of an image, ")
    assert f"in line {number}, got" in message


def test_missing_lines_and_an_image_that_stands_twice_are_refused(root: Path) -> None:
    put(root, "labels.csv", "".join(LINES[:40]))
    assert "labels.csv: expected 64 images, each once, got 40 in 40 lines" in refused(root)
    put(root, "labels.csv", "".join([*LINES[:-1], LINES[0]]))
    assert "labels.csv: expected 64 images, each once, got 63 in 64 lines" in refused(root)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"\x89PNG"])
def test_a_file_that_is_no_table_of_labels_is_refused(root: Path, content: bytes) -> None:
    put(root, "labels.csv", content)
    assert refused(root).startswith(f"{root / 'labels.csv'}: expected ")


@pytest.mark.parametrize("content", [
    b"", b"hello", png(PIXELS[0, :299]), png(np.stack([PIXELS[0]] * 3, axis=2)),
    png(PIXELS[0].astype(np.uint16)), png(PIXELS[0], "BMP"), png(PIXELS[0])[:50],
    png(PIXELS[0])[:1000], png(PIXELS[0])[:50_000],
], ids=["empty", "text", "small", "colour", "deep", "bmp", "50", "1000", "50000"])
def test_an_image_of_another_form_or_a_truncated_one_is_named(
    root: Path, content: bytes
) -> None:
    put(root, NAMES[3], content)
    message = refused(root)
    assert message.startswith(f"{root / NAMES[3]}: expected a grey PNG image of 300 x 300 pixels,")
