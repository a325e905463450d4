"""The data sets known by name, and those made from arrays."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch
from sklearn.datasets import load_digits

from pyro_ssvae.data import PARTS, SOURCES, Dataset, from_arrays, load
from pyro_ssvae.data.root import data_root
from pyro_ssvae.errors import InputError
from pyro_ssvae.recipes import KIND_OF, KINDS
from pyro_ssvae.targets import Classes


def arrays(n: int = 100, classes: int = 4, **changes: Any) -> dict[str, Any]:
    """Good arguments of from_arrays, with changes."""
    x = np.random.default_rng(0).random((n, 6))
    return {"x": x, "y": np.arange(n) % classes, **changes}


# By name


def test_the_names_are_these_sixteen() -> None:
    assert sorted(SOURCES) == [
        "adult", "chexpert", "cifar10", "cifar100", "circles", "diabetes", "digits", "elpv",
        "emotions", "fashion-mnist", "mediamill", "mnist", "moons", "scene", "svhn", "yeast",
    ]


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        InputError,
        match="unknown data set 'minst': expected one of adult, chexpert, cifar10, cifar100,"
        " circles, diabetes, digits, elpv, emotions, fashion-mnist, mediamill, mnist, moons, scene,"
        r" svhn, yeast; did you mean 'mnist'\?",
    ):
        load("minst")


def test_digits_are_scikit_learns_images_scaled_to_0_to_1(digits: Dataset) -> None:
    images, labels = load_digits().images, load_digits().target
    assert digits.x.shape == (1797, 1, 8, 8)
    assert digits.x.dtype == torch.float32
    assert (digits.x.min(), digits.x.max()) == (0, 1)
    assert np.array_equal(digits.x.squeeze(1).numpy() * 16, images)
    assert np.array_equal(digits.y.numpy(), labels)


def test_digits_are_images_of_8_by_8_pixels_of_10_classes(digits: Dataset) -> None:
    assert (digits.name, digits.target) == ("digits", small.classes(10))
    assert digits.images and digits.shape == (1, 8, 8)


def test_digits_set_a_fifth_aside_for_testing_and_200_for_validation(digits: Dataset) -> None:
    split = digits.split(100)
    assert [len(getattr(split, name)) for name in PARTS] == [100, 1797 - 360 - 300, 200, 360]


def test_the_classes_of_digits_are_in_proportion_in_the_test_part(digits: Dataset) -> None:
    expected = digits.y.bincount() * 360 / 1797
    assert (digits.y[digits.test].bincount() - expected).abs().max() < 1


@pytest.mark.parametrize("name", ["moons", "circles"])
def test_the_plane_has_10000_points_to_train_on_1000_to_validate_and_2000_to_test(
    name: str,
) -> None:
    data = load(name)
    split = data.split(10)
    assert (data.x.shape, data.target, data.images) == ((13_000, 2), small.classes(2), False)
    assert len(split.labelled) + len(split.unlabelled) == 10_000
    assert len(split.validation) == 1_000
    assert len(split.test) == 2_000
    assert data.y.bincount().tolist() == [6_500, 6_500]
    assert data.y[data.test].bincount().tolist() == [1_000, 1_000]


def test_circles_lie_around_each_other() -> None:
    data = load("circles")
    radius = data.x.norm(dim=1)
    outer, inner = radius[data.y == 0], radius[data.y == 1]
    assert outer.mean().item() == pytest.approx(1, abs=0.005)
    assert inner.mean().item() == pytest.approx(0.5, abs=0.005)


def test_moons_are_half_circles_that_reach_into_each_other() -> None:
    data = load("moons")
    centre = torch.stack([data.y * 1.0, data.y * 0.5], dim=1)
    radius = (data.x - centre).norm(dim=1)
    assert radius.mean().item() == pytest.approx(1, abs=0.01)
    assert (data.x - centre)[data.y == 0, 1].mean() > 0.5
    assert (data.x - centre)[data.y == 1, 1].mean() < -0.5


@pytest.mark.parametrize("name", ["digits", "moons", "circles"])
def test_a_data_set_is_the_same_every_time(name: str) -> None:
    one, other = load(name), load(name)
    assert torch.equal(one.x, other.x)
    assert torch.equal(one.y, other.y)
    assert torch.equal(one.test, other.test)


@pytest.mark.parametrize(
    ("name", "kind"), [("digits", "digits"), ("moons", "plane"), ("circles", "plane")]
)
def test_a_data_set_is_of_a_kind(name: str, kind: str) -> None:
    assert load(name).kind == kind


def test_every_data_set_has_a_kind_and_every_kind_has_options() -> None:
    assert list(KIND_OF) == list(SOURCES)
    assert {*KIND_OF.values(), ""} == set(KINDS)


# The folder of data files


def test_a_folder_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("digits", "mnist", "yeast", "mediamill", "elpv", "adult"):
        with pytest.raises(InputError, match="expected the data root to be a folder that is there"):
            load(name, tmp_path / "missing")
        with pytest.raises(InputError, match="folder that is there, got a file at .*file"):
            load(name, str(tmp_path / "file"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_empty_name_is_no_folder() -> None:
    with pytest.raises(InputError, match="expected the data root to be a folder that is there"):
        data_root("")


def test_a_folder_that_the_environment_names_has_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYRO_SSVAE_DATA", str(tmp_path / "missing"))
    with pytest.raises(InputError, match=r"expected \$PYRO_SSVAE_DATA to be a folder .*missing"):
        data_root()
    assert data_root(tmp_path) == tmp_path
    assert len(load("digits").x) == 1797  # needs no files


def test_only_the_cache_folder_need_not_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYRO_SSVAE_DATA", "")
    assert data_root() == tmp_path / ".cache" / "pyro_ssvae"
    assert data_root("~") == tmp_path


# From arrays


def test_arrays_become_a_data_set() -> None:
    given = arrays(n=100, classes=4)
    data = from_arrays(**given, name="mine", class_names=[*"abcd"])
    assert (data.name, data.images) == ("mine", False)
    assert data.target == Classes(("a", "b", "c", "d"))
    assert (data.x.dtype, data.y.dtype) == (torch.float32, torch.int64)
    assert np.array_equal(data.x.numpy(), given["x"].astype(np.float32))
    assert np.array_equal(data.y.numpy(), given["y"])


def test_a_fifth_is_set_aside_for_testing_class_by_class_and_a_tenth_for_validation() -> None:
    data = from_arrays(**arrays(n=100, classes=4))
    assert data.y[data.test].bincount().tolist() == [5, 5, 5, 5]
    assert len(data.test.unique()) == 20
    assert data.validation == 10


def test_the_parts_may_have_other_sizes() -> None:
    data = from_arrays(**arrays(n=100, test=0.4, validation=0.25))
    assert len(data.test) == 40
    assert data.validation == 25


def test_the_test_part_is_the_same_every_time() -> None:
    one, other = from_arrays(**arrays()), from_arrays(**arrays())
    assert torch.equal(one.test, other.test)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_labels_may_be_integers_of_any_size(dtype: type) -> None:
    data = from_arrays(**arrays(y=(np.arange(100) % 4).astype(dtype)))
    assert data.y.tolist() == [i % 4 for i in range(100)]


def test_lists_and_tensors_are_arrays_too() -> None:
    given = arrays()
    learnt = torch.tensor(given["x"], requires_grad=True)
    for x in (given["x"].tolist(), learnt):
        data = from_arrays(x, torch.from_numpy(given["y"]))
        assert np.array_equal(data.x.numpy(), given["x"].astype(np.float32))


def test_the_data_set_is_a_copy_of_the_arrays() -> None:
    given = arrays(x=np.zeros((100, 6), dtype=np.float32))
    data = from_arrays(**given)
    given["x"][:] = 1
    given["y"][:] = 0
    assert data.x.max() == 0
    assert data.y.max() == 3


@pytest.mark.parametrize(
    ("low", "high", "within"), [(0, 1, True), (0.2, 0.8, True), (-0.1, 1, False), (0, 1.1, False)],
)
def test_a_data_set_knows_whether_its_values_are_within_0_to_1(
    low: float, high: float, within: bool
) -> None:
    data = from_arrays(**arrays(x=np.linspace(low, high, 600).reshape(100, 6)))
    assert data.within_unit is within


def test_data_of_ones_own_are_of_no_kind_unless_said_otherwise() -> None:
    assert from_arrays(**arrays()).kind == ""
    assert from_arrays(**arrays(), kind="plane").kind == "plane"
    with pytest.raises(InputError, match="unknown kind of data 'plain'.*did you mean 'plane'"):
        from_arrays(**arrays(), kind="plain")


@pytest.mark.parametrize(("x", "y", "message"), [
    ((100, 6), (99,), "a label for each example, got 100 examples and 99 labels"),
    ((100,), (100,), r"x of shape \(N, D\), or images \(N, C, H, W\), .*, got \(100,\)"),
    ((9, 1, 2, 3, 4), (9,), r"x of shape \(N, D\), or images .*, got \(9, 1, 2, 3, 4\)"),
    ((100, 6), (99, 4), "a label for each example, got 100 examples and 99 labels"),
    ((100, 6), (100, 4, 2), r"y of shape \(N,\) or \(N, L\), got \(100, 4, 2\)"),
])
def test_shapes_that_disagree_are_refused(
    x: tuple[int, ...], y: tuple[int, ...], message: str
) -> None:
    labels = np.arange(math.prod(y)).reshape(y) % 2
    with pytest.raises(InputError, match=f"arrays: expected {message}"):
        from_arrays(np.zeros(x), labels)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    x = arrays()["x"]
    x[42, 3] = value
    with pytest.raises(InputError, match="mine: expected finite x.* index 42"):
        from_arrays(**arrays(x=x), name="mine")


@pytest.mark.parametrize(
    "x", [[["a"]] * 100, [[None]] * 100, [[1j]] * 100], ids=["text", "None", "complex"]
)
def test_an_x_of_something_else_than_numbers_is_refused(x: list[list[Any]]) -> None:
    with pytest.raises(InputError, match="mine: expected .*x"):
        from_arrays(**arrays(x=x), name="mine")


def test_rows_of_unequal_length_are_refused() -> None:
    with pytest.raises(InputError, match="mine: expected x"):
        from_arrays([[1.0, 2.0], [3.0]] * 50, np.arange(100) % 4, name="mine")


@pytest.mark.parametrize("test", [0.0, 1.0, -0.1, 1.5, 7])
def test_a_test_part_is_a_fraction(test: float) -> None:
    with pytest.raises(InputError, match=f"mine: expected test as a share .*, got {test}"):
        from_arrays(**arrays(test=test), name="mine")


def test_a_test_part_that_cannot_be_set_aside_is_refused() -> None:
    with pytest.raises(InputError, match="mine: cannot set a test part of 0.001 aside"):
        from_arrays(**arrays(test=0.001), name="mine")


def test_a_class_of_one_example_is_refused() -> None:
    with pytest.raises(InputError, match="mine: cannot set a test part of 0.2 aside"):
        from_arrays(**arrays(y=np.minimum(np.arange(100), 1)), name="mine")


def test_no_examples_are_refused() -> None:
    with pytest.raises(InputError, match="mine: "):
        from_arrays(np.zeros((0, 6)), np.zeros(0, dtype=int), name="mine")


def test_further_images_are_read_as_those_of_the_data_set() -> None:
    x = np.random.default_rng(0).integers(256, size=(40, 3, 6, 6), dtype=np.uint8)
    mine = from_arrays(x, np.arange(40) % 2)
    for further in (x[:5], np.moveaxis(x[:5], 1, 3)):  # their channels first, and last
        assert torch.equal(mine.encoded(further), mine.x[:5])
    with pytest.raises(InputError, match=r"of images \(3, 6, 6\) .*, got images \(3, 5, 6\)"):
        mine.encoded(x[:5, :, :5])
