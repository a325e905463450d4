"""Options as text, NAME=VALUE."""

from __future__ import annotations

from typing import Any, Literal, Optional

import pytest

from pyro_ssvae import InputError, models
from pyro_ssvae.cli import values
from pyro_ssvae.experiments import pairs
from pyro_ssvae.experiments.options import Option, as_declared


@pytest.mark.parametrize("kind, text, value", [
    (int, "12", 12),
    (int, "-3", -3),
    (float, "0.5", 0.5),
    (float, "1e-3", 0.001),
    (float, "2", 2.0),
    (str, "normal", "normal"),
    (bool, "true", True),
    (bool, "False", False),
    (tuple[int, ...], "500", (500,)),
    (tuple[int, ...], "500,50", (500, 50)),
    (tuple[int, ...], "", ()),
    (tuple[float, ...], "0.5,1", (0.5, 1.0)),
    (Literal["one", "two"], "two", "two"),
    (Optional[int], "none", None),
    (Optional[int], "None", None),
    (int | None, "7", 7),
    (tuple[int, ...] | None, "8,4", (8, 4)),
])
def test_a_setting_is_read_as_the_type_of_its_option(kind: Any, text: str, value: Any) -> None:
    parsed = values.of_pair([f"size={text}"], {"size": Option("size", kind, None, "model")})["size"]
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize("text, number, on_data", [
    ("0.1", 0.1, {}), ("1", 1.0, {}), ("", None, {}), ("mnist=0.1", None, {"mnist": 0.1}),
    ("1,mnist=0.1", 1.0, {"mnist": 0.1}), ("mnist=0.1,1,digits=0.5", 1.0,
                                           {"mnist": 0.1, "digits": 0.5}),
])
def test_a_number_may_be_told_for_one_data_set(text: str, number: Any, on_data: Any) -> None:
    assert values.by_data("--scale", text, float) == (number, on_data)


@pytest.mark.parametrize("text", ["x", "1,2", "mnist=", "mnist=1,mnist=2", "=1", ",", "1,"])
def test_a_number_for_one_data_set_is_told_once(text: str) -> None:
    with pytest.raises(InputError, match=f"expected --scale as a number, or .*, got '{text}'"):
        values.by_data("--scale", text, float)


@pytest.mark.parametrize("kind, text, wanted", [
    (int, "x", "a whole number"),
    (int, "1.5", "a whole number"),
    (int, "", "a whole number"),
    (int, "1" * 5_000, "a whole number"),
    (float, "much", "a number"),
    (bool, "maybe", "true or false"),
    (bool, "", "true or false"),
    (tuple[int, ...], "4,x", "whole numbers separated by commas, such as 256,128"),
    (tuple[float, ...] | None, "4,x", "numbers separated by commas, such as 0.5,0.5, or none"),
    (Optional[int], "x", "a whole number, or none"),
    (float | None, "x", "a number, or none"),
])
def test_a_setting_of_another_type_is_refused_in_words(
    kind: Any, text: str, wanted: str
) -> None:
    with pytest.raises(InputError, match=f"option size: expected {wanted}, got '{text}'"):
        values.of_pair([f"size={text}"], {"size": Option("size", kind, None, "model")})


@pytest.mark.parametrize("name", models.__all__)
def test_a_value_is_shown_as_a_setting_reads_it(name: str) -> None:
    options = pairs.pair(name.lower()).known
    settings = [f"{name}={values.shown(option.default)}" for name, option in options.items()]
    assert values.of_pair(settings, options) == {
        key: as_declared(option.default, option.type) for key, option in options.items()
    }


def test_several_settings_are_read_into_one_dictionary() -> None:
    parsed = values.of_pair(["z_dim=3", "hidden=16,8", "lr=0.01"], pairs.pair("m2").known)
    assert parsed == {"z_dim": 3, "hidden": (16, 8), "lr": 0.01}


def test_a_setting_that_comes_twice_is_refused() -> None:
    with pytest.raises(InputError, match="expected one value of z_dim, got it twice"):
        values.of_pair(["z_dim=3", "lr=0.1", "z_dim=4"], pairs.pair("m2").known)


def test_a_value_may_contain_an_equals_sign() -> None:
    assert values.of_pair(["s=a=b"], {"s": Option("s", str, "", "model")}) == {"s": "a=b"}


@pytest.mark.parametrize("setting", ["z_dim", "", "z_dim 3"])
def test_a_setting_without_equals_sign_is_refused(setting: str) -> None:
    with pytest.raises(InputError, match=f"NAME=VALUE, got '{setting}'"):
        values.of_pair([setting], pairs.pair("m2").known)


def test_an_unknown_setting_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="unknown option 'z_dims'.*did you mean 'z_dim'"):
        values.of_pair(["z_dims=3"], pairs.pair("m2").known)


def test_a_choice_that_is_none_of_the_literals_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown likelihood 'normall'.*did you mean 'normal'"):
        values.of_pair(["likelihood=normall"], pairs.pair("m2").known)


@pytest.mark.parametrize("kind", [dict, list[int], object], ids=str)
def test_a_value_that_has_no_text_is_left_to_python(kind: Any) -> None:
    with pytest.raises(InputError, match="option f: expected a value that only Python can give"):
        values.of_pair(["f=1"], {"f": Option("f", kind, None, "model")})


# For one program, and for one pair of several


def of_comparison(*settings: str) -> dict[str, Any]:
    return values.of_comparison(settings, [pairs.pair(name) for name in ("m2", "vae")])


def test_a_setting_can_be_for_the_guide_alone() -> None:
    known = pairs.pair("m2").known
    parsed = values.of_pair(["hidden=16", "guide.hidden=50,50"], known)
    assert parsed == {"hidden": (16,), "guide.hidden": (50, 50)}


def test_a_setting_of_a_comparison_can_be_for_one_pair() -> None:
    assert of_comparison("z_dim=3", "m2.beta=2", "m2.guide.hidden=5,4", "guide.hidden=7") == {
        "z_dim": 3, "guide.hidden": (7,), "m2": {"beta": 2.0, "guide.hidden": (5, 4)},
    }


@pytest.mark.parametrize("setting, message", [
    ("guide.hiden=5", "unknown option 'guide.hiden': .* did you mean 'guide.hidden'"),
    ("guid.hidden=5", "unknown model of this comparison 'guid': .* did you mean 'guide'"),
    ("m3.beta=2", "unknown model of this comparison 'm3': .* did you mean 'm2'"),
    ("m2.betas=2", "unknown option of m2 'betas': .* did you mean 'beta'"),
    ("m2.guide.hiden=2", "unknown option of m2 'guide.hiden': .* did you mean 'guide.hidden'"),
    ("vae.alpha_=2", "unknown option of vae 'alpha_': .* did you mean 'alpha'"),
    ("m2.beta=much", "option beta: expected a number, got 'much'"),
])
def test_misspelt_settings_are_refused_with_the_nearest_on_every_level(
    setting: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        of_comparison(setting)


def test_a_pair_of_ones_own_is_named_by_its_place() -> None:
    own = pairs.pair(models.M2, pairs.pair("m2").guide)
    placed = pairs.Pair("package.module:Mine", own.model, own.guide)
    parsed = values.of_comparison(["package.module:Mine.beta=2"], [placed])
    assert parsed == {"package.module:Mine": {"beta": 2.0}}
