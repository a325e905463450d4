"""Folders of images by class."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from image_sources import bytes_of, image
from PIL import Image

from pyro_ssvae.data import folder as folders
from pyro_ssvae.data import from_arrays, load
from pyro_ssvae.data.image_files import ImageFiles
from pyro_ssvae.errors import InputError

Pixels = dict[str, np.ndarray]


def write(root: Path, *, number: int = 5, colour: bool = True, below: str = "") -> Pixels:
    """Images of 6 x 4 pixels of two classes; returns them by the names of their files."""
    shape = (6, 4, 3) if colour else (6, 4)
    names = [f"{below}{label}/{k}.png" for label in ("cat", "dog") for k in range(number)]
    return {name: image(root / name, bytes_of(*shape)) for name in names}


def split_by_hand(root: Path) -> Pixels:
    """A folder with training, test and unlabelled images."""
    pixels = write(root, number=10, below="train/") | write(root, number=2, below="test/")
    for k in range(3):
        name = f"train/unlabelled/{k}.png"
        pixels[name] = image(root / name, bytes_of(6, 4, 3))
    return pixels


def break_off(path: Path, share: float = 0.6) -> None:
    """Leave the first bytes of a file alone."""
    content = path.read_bytes()
    path.write_bytes(content[:int(share * len(content))])


def refused(path: Path, **options: object) -> str:
    """The line with which a folder is refused."""
    with pytest.raises(InputError) as error:
        folders.load(path, **options)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    return str(error.value)


# Read


def test_a_folder_for_each_class_is_a_data_set_with_a_fifth_for_testing(tmp_path: Path) -> None:
    pixels = write(tmp_path / "pets")
    data = load(str(tmp_path / "pets"))
    expected = np.stack([pixels[name] for name in sorted(pixels)]).transpose(0, 3, 1, 2)
    assert np.array_equal(data.x.numpy(), expected.astype(np.float32) / 255)
    assert data.y.tolist() == [0] * 5 + [1] * 5
    assert (data.name, data.kind, data.target.names) == ("pets", "images", ("cat", "dog"))
    assert data.y[data.test].tolist() == [0, 1] and data.validation == 1


def test_training_and_test_folders_are_the_parts_and_unlabelled_images_have_no_label(
    tmp_path: Path
) -> None:
    split_by_hand(tmp_path)
    data = load(str(tmp_path))
    assert data.target.names == ("cat", "dog")
    assert (data.y == -1).sum() == 3
    assert data.y[data.test].tolist() == [0, 0, 1, 1]
    assert len(data.y) == 27 and data.validation == 2
    split = data.split(labels=4)
    assert (data.y[split.unlabelled] == -1).sum() == 3


def test_a_known_name_is_not_a_folder_of_that_name_unless_it_is_written_as_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    assert load("digits").shape == (1, 8, 8)
    assert load("./digits").shape == (3, 6, 4)


def test_classes_that_are_numbers_come_in_their_order(tmp_path: Path) -> None:
    for k in (10, 9, 2):
        for i in range(5):
            image(tmp_path / str(k) / f"{i}.png", bytes_of(4, 4))
    assert folders.load(tmp_path).target.names == ("2", "9", "10")


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    pixels = write(tmp_path, colour=False)
    data = folders.load(tmp_path)
    assert data.shape == (1, 6, 4)
    assert np.array_equal(data.x[0, 0].numpy() * 255, pixels["cat/0.png"])


def test_grey_images_beside_colour_are_read_in_colour_and_that_is_said(tmp_path: Path) -> None:
    write(tmp_path)
    grey = image(tmp_path / "cat" / "0.png", bytes_of(6, 4))
    data = folders.load(tmp_path)
    assert np.array_equal(data.x[0].numpy() * 255, np.stack([grey] * 3))
    assert "1 grey images of 10 are read in colour, as the others" in data.notes


def test_transparency_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    write(tmp_path)
    pixels = bytes_of(6, 4, 4)
    Image.fromarray(pixels).save(tmp_path / "cat" / "0.png")
    data = folders.load(tmp_path)
    assert np.array_equal(data.x[0].numpy() * 255, pixels[:, :, :3].transpose(2, 0, 1))
    assert "the transparency of 1 images is left out" in data.notes


def test_files_and_folders_that_are_left_out_are_counted(tmp_path: Path) -> None:
    split_by_hand(tmp_path)
    (tmp_path / "train" / "cat" / "notes.txt").touch()
    write(tmp_path, below="val/")
    notes = folders.load(tmp_path).notes
    assert "1 files that are no images by their names are left out" in notes
    assert "folders beside train and test are left out: val" in notes


# Sizes


def test_images_of_different_sizes_are_refused_with_two_files_and_both_sizes(
    tmp_path: Path
) -> None:
    write(tmp_path)
    image(tmp_path / "dog" / "3.png", bytes_of(7, 9, 3))
    message = refused(tmp_path)
    for said in ("6 x 4 pixels in cat/0.png", "7 x 9 in dog/3.png", "size=32"):
        assert said in message


def test_the_square_in_the_middle_is_resized_to_the_size_that_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path)
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8] = np.arange(4, dtype=np.uint8)[:, None, None] // 2 * 200  # the middle: two bands
    image(tmp_path / "cat" / "0.png", wide)
    data = folders.load(tmp_path, size=4)
    assert np.array_equal(data.x[0].numpy() * 255, wide[:, 4:8].transpose(2, 0, 1))
    assert data.shape == (3, 4, 4)
    assert any("resized to 4 x 4" in note for note in data.notes)
    assert folders.load(tmp_path, size=9).shape == (3, 9, 9)


# In files


def test_many_images_stay_in_their_files_and_are_the_same(tmp_path: Path) -> None:
    split_by_hand(tmp_path)
    inside, outside = folders.load(tmp_path), folders.load(tmp_path, in_memory=10)
    assert isinstance(outside.x.rows, ImageFiles) and torch.is_tensor(inside.x)
    assert outside.x.shape == inside.x.shape and len(outside.x) == 27
    index = torch.tensor([26, 0, 7])
    assert torch.equal(outside.x[index], inside.x[index])
    assert outside.x.read(7).dtype == torch.uint8
    assert torch.equal(outside.x.read(7), (inside.x[7] * 255).round().to(torch.uint8))
    assert torch.equal(outside.y, inside.y) and torch.equal(outside.test, inside.test)
    assert "read when they are wanted" in str(outside)


def test_images_in_files_go_to_another_process_in_few_bytes(tmp_path: Path) -> None:
    names = [f"train/a class/{k:012d}.png" for k in range(2_000)]
    files = ImageFiles(tmp_path, names, [1] * 2_000, (3, 6, 4))
    content = pickle.dumps(files)
    assert len(content) < 45 * 2_000  # 31 of the name and 8 of its place
    assert pickle.loads(content).path(1_999) == tmp_path / names[-1]


def test_the_fingerprint_tells_names_sizes_and_forms_apart(tmp_path: Path) -> None:
    def of(
        names: list[str], sizes: list[int], shape: tuple[int, int, int], size: int | None = None
    ) -> str:
        return ImageFiles(tmp_path, names, sizes, shape, size).fingerprint

    made = [
        of(["a", "bc"], [1, 2], (1, 4, 4)), of(["ab", "c"], [1, 2], (1, 4, 4)),
        of(["a", "bc"], [2, 1], (1, 4, 4)), of(["a", "bc"], [1, 2], (3, 4, 4)),
        of(["a", "bc"], [1, 2], (1, 4, 4), 4),
    ]
    assert len(set(made)) == 5
    elsewhere = ImageFiles(tmp_path / "b", ["a", "bc"], [1, 2], (1, 4, 4))
    assert elsewhere.fingerprint == made[0]


def test_a_file_that_is_another_when_it_is_read_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    data = folders.load(tmp_path, in_memory=1)
    image(tmp_path / "cat" / "1.png", bytes_of(5, 5, 3))
    with pytest.raises(InputError, match="cat/1.png: expected an image of 6 x 4 .*got 5 x 5"):
        data.x[torch.tensor([1])]
    (tmp_path / "cat" / "1.png").unlink()
    with pytest.raises(InputError, match="cat/1.png: expected an image, got no such file"):
        data.x[torch.tensor([1])]


# Broken images


@pytest.mark.parametrize("share", [0.0, 0.05, 0.6])
def test_a_broken_image_is_named(tmp_path: Path, share: float) -> None:
    write(tmp_path)
    break_off(tmp_path / "dog" / "2.png", share)
    assert refused(tmp_path).startswith(f"{tmp_path}/dog/2.png: expected an image, got a broken")


def test_a_broken_image_that_stays_in_its_file_is_named_when_it_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    break_off(tmp_path / "dog" / "2.png")
    data = folders.load(tmp_path, in_memory=1)
    with pytest.raises(InputError, match="dog/2.png: expected an image, got a broken"):
        data.x[torch.tensor([7])]


@pytest.mark.parametrize("in_memory", [1, 2**20])
@pytest.mark.parametrize("share", [0.05, 0.6])
def test_broken_images_are_left_out_with_their_labels_and_counted_where_that_is_asked_for(
    tmp_path: Path, in_memory: int, share: float
) -> None:
    pixels = write(tmp_path)
    for name in ("cat/4.png", "dog/2.png"):
        break_off(tmp_path / name, share)
    data = folders.load(tmp_path, corrupt="skip", in_memory=in_memory)
    good = sorted(set(pixels) - {"cat/4.png", "dog/2.png"})
    expected = np.stack([pixels[name] for name in good]).transpose(0, 3, 1, 2)
    assert np.array_equal(data.x[torch.arange(8)].numpy(), expected.astype(np.float32) / 255)
    assert data.y.tolist() == [0] * 4 + [1] * 4
    assert "2 broken images are left out: cat/4.png, dog/2.png" in data.notes


@pytest.mark.parametrize("share", [0.05, 0.6])
def test_a_folder_of_broken_images_alone_is_refused(tmp_path: Path, share: float) -> None:
    for name in write(tmp_path):
        break_off(tmp_path / name, share)
    assert "got 10 broken files alone" in refused(tmp_path, corrupt="skip")


def test_images_of_more_than_8_bits_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    image(tmp_path / "cat" / "0.png", bytes_of(6, 4).astype(np.uint16) * 200)
    assert "expected an image of 8 bits a number, got mode I" in refused(tmp_path)


# Other folders


def test_a_folder_without_images_or_classes_is_refused(tmp_path: Path) -> None:
    assert "expected a folder of images, got none there" in refused(tmp_path / "missing")
    assert refused(tmp_path).endswith(", got none")
    image(tmp_path / "unlabelled" / "0.png", bytes_of(4, 4))
    assert "expected a folder of images for each class" in refused(tmp_path)


def test_too_few_images_for_a_test_part_are_refused_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, number=1)
    assert "test/CLASS beside train/CLASS" in refused(tmp_path)


@pytest.mark.parametrize("label", ["cow", "unlabelled"])
def test_a_test_part_with_a_class_of_its_own_is_refused(tmp_path: Path, label: str) -> None:
    split_by_hand(tmp_path)
    image(tmp_path / "test" / label / "0.png", bytes_of(6, 4, 3))
    assert f"{label!r}: expected one of cat, dog" in refused(tmp_path)


def test_options_of_other_values_are_refused(tmp_path: Path) -> None:
    assert "did you mean 'skip'" in refused(tmp_path, corrupt="skipp")
    assert "expected size > 0, got 0" in refused(tmp_path, size=0)
    with pytest.raises(InputError, match="target of a file of one's own alone"):
        load(str(tmp_path), target="class")


# Arrays


def test_arrays_of_images_of_different_sizes_are_refused() -> None:
    images = [bytes_of(6, 4, 3), bytes_of(6, 4, 3), bytes_of(6, 5, 3)]
    objects = np.empty(3, dtype=object)
    objects[:] = images
    for x in (images, tuple(images), objects):
        with pytest.raises(InputError, match=r"arrays: expected examples of one shape, got"
                                             r" \(6, 4, 3\) at index 0 and \(6, 5, 3\) at index 2"):
            from_arrays(x, [0, 1, 0])


def test_size_and_what_to_do_about_broken_images_are_given_by_name(tmp_path: Path) -> None:
    for side in range(4, 9):
        for label in ("a", "b"):
            (tmp_path / label).mkdir(exist_ok=True)
            Image.new("L", (side, side)).save(tmp_path / label / f"{side}.png")
    (tmp_path / "a" / "broken.png").write_bytes(b"none")
    data = load(str(tmp_path), size=4, corrupt="skip")
    assert data.x.shape == (10, 1, 4, 4)
    with pytest.raises(InputError, match=r"a/broken.png: expected an image"):
        load(str(tmp_path), size=4)
    with pytest.raises(InputError, match="expected corrupt and size of a folder .* got 'moons'"):
        load("moons", size=4, corrupt="skip")
