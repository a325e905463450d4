"""CheXpert's tables and images, made small."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_sources import bytes_of, image

from pyro_ssvae.data import Dataset, chexpert, load
from pyro_ssvae.data.chexpert import LABELS, read_chexpert
from pyro_ssvae.data.reading import Reader
from pyro_ssvae.errors import InputError

NAME = "CheXpert-v1.0-small"
# Labels of the tables, by the place of the label; those that are not here are blank.
TRAIN = [{0: "1.0"}, {10: "1.0", 5: "-1.0"}, {10: "0.0", 1: "0.0"}, {}, {10: "-1.0"}, {13: "1.0"}]
VALID = [{k: "0.0" for k in range(14)} | {10: "1.0"}, {k: "1.0" for k in range(14)}]
VIEWS = ["frontal", "frontal", "lateral", "frontal", "frontal", "frontal"]


def paths(part: str, number: int) -> list[str]:
    return [
        f"{part}/patient{k:05d}/study1/view1_{view}.jpg"
        for k, view in zip(range(number), VIEWS)
    ]


def write(
    folder: Path, *, prefix: str = f"{NAME}/", underscores: bool = False, view_column: bool = True,
    train: list[dict[int, str]] = TRAIN,
) -> Path:
    """The folder, its two tables and its images of 40 x 32 pixels."""
    names = [label.replace(" ", "_") if underscores else label for label in LABELS]
    for part, rows in (("train", train), ("valid", VALID)):
        about = ["Sex", "Age", "Frontal/Lateral", "AP/PA"] if view_column else ["Sex", "Age"]
        lines = [",".join(["Path", *about, *names])]
        for path, row in zip(paths(part, len(rows)), rows):
            image(folder / path, bytes_of(40, 32))
            view = ["Lateral" if "lateral" in path else "Frontal", "AP"] if view_column else []
            values = [row.get(place, "") for place in range(14)]
            lines.append(",".join([f"{prefix}{path}", "Female", "68", *view, *values]))
        (folder / f"{part}.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / NAME)
    return tmp_path


def made(root: Path, **options: Any) -> Dataset:
    return chexpert.load("chexpert", root, **options)


def refused(root: Path, **options: Any) -> str:
    """The line with which the data are refused."""
    with pytest.raises(InputError) as error:
        made(root, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# Read


def test_both_kinds_of_unknown_are_kept_apart(root: Path) -> None:
    data = read_chexpert(root, view="both")
    assert data.labels.dtype == np.int8 and data.labels.shape == (8, 14)
    expected = np.full((8, 14), chexpert.BLANK)
    for row, values in enumerate([*TRAIN, *VALID]):
        for place, value in values.items():
            expected[row, place] = {"1.0": 1, "0.0": 0, "-1.0": chexpert.UNCERTAIN}[value]
    assert np.array_equal(data.labels, expected)
    assert data.test.tolist() == [6, 7] and data.missing == []


@pytest.mark.parametrize("uncertain, as_uncertain", [
    ("unknown", -1), ("positive", 1), ("negative", 0),
])
@pytest.mark.parametrize("blank, as_blank", [("unknown", -1), ("negative", 0)])
def test_what_becomes_of_either_kind_is_chosen(
    root: Path, uncertain: str, as_uncertain: int, blank: str, as_blank: int
) -> None:
    data = made(root, uncertain=uncertain, blank=blank, view="both")
    labels = read_chexpert(root, view="both").labels
    y = data.y.numpy()
    assert (y[labels == 1] == 1).all() and (y[labels == 0] == 0).all()
    assert (y[labels == chexpert.UNCERTAIN] == as_uncertain).all()
    assert (y[labels == chexpert.BLANK] == as_blank).all()


def test_valid_csv_is_the_test_part_and_images_are_grey_and_of_the_size_asked_for(
    root: Path
) -> None:
    data = load("chexpert", root)
    assert data.test.tolist() == [5, 6]  # without the lateral one
    assert (data.name, data.shape, data.target.names) == ("chexpert", (1, 64, 64), LABELS)
    small = made(root, size=8)
    x = small.x[torch.tensor([0, 6])]
    assert x.shape == (2, 1, 8, 8) and x.dtype == torch.float32 and 0 <= x.min() <= x.max() <= 1
    split = data.split(labels="all", validation=1)
    assert split.unlabelled.tolist() == [2, 3]  # all labels blank, or all but an uncertain one


def test_the_notes_count_both_kinds_for_every_label(root: Path) -> None:
    notes = "\n".join(made(root, view="both", blank="negative").notes)
    assert "uncertain labels are unknown, labels not mentioned are absent:" in notes
    assert "Pleural Effusion: 3 present, 1 absent, 1 uncertain, 3 not mentioned" in notes
    assert "Edema: 1 present, 1 absent, 1 uncertain, 5 not mentioned" in notes


@pytest.mark.parametrize("view, number", [("frontal", 7), ("lateral", 1), ("both", 8)])
@pytest.mark.parametrize("column", [True, False])
def test_views_are_told_by_their_column_or_else_by_the_names_of_the_files(
    tmp_path: Path, view: chexpert.View, number: int, column: bool
) -> None:
    rows = [*VALID, VALID[0]]  # the third is lateral: in both tables there is one then
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "VALID", rows if view == "lateral" else VALID)
        write(tmp_path / NAME, view_column=column)
    data = read_chexpert(tmp_path, view=view)
    assert len(data.x) == number + (view == "lateral")
    shown = {data.x.path(k).name for k in range(len(data.x))}
    wanted = {"view1_frontal.jpg", "view1_lateral.jpg"} if view == "both" else {f"view1_{view}.jpg"}
    assert shown == wanted


@pytest.mark.parametrize("underscores", [False, True])
def test_names_of_labels_may_have_spaces_or_underscores(tmp_path: Path, underscores: bool) -> None:
    write(tmp_path / NAME, underscores=underscores)
    data = made(tmp_path, view="both")
    assert data.target.names == LABELS
    assert data.y[1, LABELS.index("Pleural Effusion")] == 1


@pytest.mark.parametrize("folder, prefix", [
    (NAME, f"{NAME}/"), (NAME, ""), ("chexpert", f"{NAME}/"), (".", f"{NAME}/"),
], ids=["beside", "below", "renamed", "root"])
def test_images_are_found_below_the_folder_however_it_is_called(
    tmp_path: Path, folder: str, prefix: str
) -> None:
    write(tmp_path / folder, prefix=prefix)
    assert Reader(read_chexpert(tmp_path).x)[torch.tensor([0])].shape == (1, 1, 64, 64)


def test_images_may_lie_beside_the_folder_of_the_tables(tmp_path: Path) -> None:
    folder = write(tmp_path / NAME, prefix="images/")
    for part in ("train", "valid"):
        shutil.move(folder / part, tmp_path / "images" / part)
    assert Reader(read_chexpert(tmp_path).x)[torch.tensor([0])].shape == (1, 1, 64, 64)


def test_missing_images_are_left_out_with_their_labels_and_counted(root: Path) -> None:
    (root / NAME / paths("train", 1)[0]).unlink()
    whole = read_chexpert(root, view="both")
    assert len(whole.x) == 7 and whole.labels[0, 10] == 1  # the second row of the table
    assert whole.test.tolist() == [5, 6]
    assert (
        f"1 of 8 images are missing and left out, the first {paths('train', 1)[0]}"
        in made(root, view="both").notes
    )


def test_broken_images_are_an_error_when_read_or_left_out_with_their_labels_and_counted(
    root: Path
) -> None:
    path = root / NAME / paths("train", 2)[1]
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match="patient00001/.*expected an image, got a broken file"):
        made(root).x[torch.tensor([1])]
    data = read_chexpert(root, view="both", corrupt="skip")
    assert data.broken == [paths("train", 2)[1]] and data.test.tolist() == [5, 6]
    assert data.labels[1, 1] == 0  # the third row of the table
    assert Reader(data.x)[torch.arange(7)].shape == (7, 1, 64, 64)
    note = f"1 broken images are left out: {paths('train', 2)[1]}"
    assert note in made(root, view="both", corrupt="skip").notes


# Refused


def test_missing_tables_are_answered_with_where_to_put_them(tmp_path: Path) -> None:
    message = refused(tmp_path)
    for said in ("train.csv", "valid.csv", NAME, "stanfordmlgroup", "--data-root"):
        assert said in message


def test_a_table_without_any_of_its_images_is_refused(root: Path) -> None:
    shutil.rmtree(root / NAME / "valid")
    message = refused(root)
    assert "valid.csv: expected the images that it names, got none of 2 frontal images" in message
    assert "view1_frontal.jpg" in message


def test_a_view_that_a_table_has_none_of_is_refused(root: Path) -> None:
    assert "got no lateral image" in refused(root, view="lateral")


def test_a_table_without_a_label_is_refused(root: Path) -> None:
    path = root / NAME / "train.csv"
    path.write_text(path.read_text().replace("Edema", "Oedema"))
    message = refused(root)
    assert "train.csv, which lacks it, 'Edema'" in message and "did you mean 'Oedema'" in message


@pytest.mark.parametrize("value", ["2.0", "0.5", "yes", "inf"])
def test_a_label_of_another_value_is_named_with_its_line(tmp_path: Path, value: str) -> None:
    write(tmp_path / NAME, train=[*TRAIN[:2], {5: value}, *TRAIN[3:]])
    message = refused(tmp_path)
    assert "train.csv: expected 1, 0, -1 or nothing as Edema in line 4, got" in message
    assert value in message


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b'Path\n"', b"Path,Edema\na,b,c,d\n"])
def test_a_broken_table_is_refused(root: Path, content: bytes) -> None:
    (root / NAME / "train.csv").write_bytes(content)
    assert refused(root).find("train.csv") > 0


@pytest.mark.parametrize("options, said", [
    ({"uncertain": "ones"}, "unknown policy for uncertain labels 'ones'"),
    ({"blank": "positive"}, "unknown policy for labels not mentioned 'positive'"),
    ({"view": "side"}, "unknown view 'side'"), ({"size": 0}, "expected size > 0, got 0"),
])
def test_options_of_other_values_are_refused(
    root: Path, options: dict[str, Any], said: str
) -> None:
    assert said in refused(root, **options)
