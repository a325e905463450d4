"""Values that a text says, and the texts that say values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from pyro_ssvae import InputError
from pyro_ssvae.experiments.options import as_declared
from pyro_ssvae.labels import Enumerated, Inference, Relaxed, StraightThrough
from pyro_ssvae.nn import (
    Bernoulli,
    Categorical,
    Column,
    Columns,
    Likelihood,
    Logistics,
    Mixed,
    Normal,
)
from pyro_ssvae.system import words

LIKELIHOODS, INFERENCES = words.kinds_of(Likelihood), words.kinds_of(Inference)
SAID = {
    "bernoulli": Bernoulli(),
    "normal": Normal(),
    "normal:0.1": Normal(0.1),
    "normal:1e-05": Normal(1e-5),
    "categorical:256": Categorical(256),
    "logistics": Logistics(),
    "logistics:3": Logistics(3),
    "mixed": Mixed(),
    "mixed:0.5": Mixed(0.5),
    "enumerated": Enumerated(),
    "enumerated:3": Enumerated(3),
    "relaxed": Relaxed(),
    "relaxed:1.0": Relaxed(1.0),
    "straight-through": StraightThrough(),
    "straight-through:0.4": StraightThrough(0.4),
}


def heard(text: str) -> Any:
    return words.heard(text, [*LIKELIHOODS, *INFERENCES])


@dataclass(frozen=True)
class Stretched:
    """Two numbers, of which one has no default."""

    factor: int
    offset: float | None = 0.5
    word: ClassVar[str] = "stretched"


def test_every_likelihood_and_every_inference_has_a_word_of_its_own() -> None:
    kinds = [*LIKELIHOODS, *INFERENCES]
    assert {type(value) for value in SAID.values()} == set(kinds)
    assert len({kind.word for kind in kinds}) == len(kinds)


@pytest.mark.parametrize("text", SAID)
def test_what_is_heard_is_said_by_the_same_text(text: str) -> None:
    assert heard(text) == SAID[text]
    assert words.said(SAID[text]) == text


@pytest.mark.parametrize("text, value", [
    ("normal:none", Normal(None)), ("relaxed:0.67", Relaxed()), ("relaxed:1", Relaxed(1.0)),
    ("normal: 0.1", Normal(0.1)), ("normal:1e-1", Normal(0.1)), ("enumerated:none", Enumerated()),
])
def test_numbers_may_be_written_in_several_ways(text: str, value: Any) -> None:
    assert heard(text) == value
    assert heard(words.said(value)) == value


def test_equal_values_are_said_alike() -> None:
    assert words.said(Normal(1)) == words.said(Normal(1.0)) == "normal:1.0"


@pytest.mark.parametrize("value, text", [
    (Stretched(2), "stretched:2"), (Stretched(2, 1.5), "stretched:2,1.5"),
    (Stretched(3, None), "stretched:3,none"),
])
def test_several_numbers_stand_in_their_order(value: Stretched, text: str) -> None:
    assert words.said(value) == text
    assert words.heard(text, [Stretched]) == value


def test_the_columns_of_a_frame_are_not_said() -> None:
    columns = Columns((Column("age", "number"),))
    assert words.said(Mixed(0.5, columns)) == "mixed:0.5"


@pytest.mark.parametrize("text, message", [
    ("bernouli", "unknown value 'bernouli': expected one of .*; did you mean 'bernoulli'"),
    ("", "unknown value '': expected one of bernoulli, "),
    ("normal:0.1,2", "expected normal with sigma behind a colon, got 'normal:0.1,2'"),
    ("bernoulli:0.1", "expected bernoulli with nothing behind a colon, got 'bernoulli:0.1'"),
    ("mixed:0.5,x", "expected mixed with sigma behind a colon, got 'mixed:0.5,x'"),
    ("normal:", "normal:: expected a number, got ''"),
    ("normal:wide", "normal:wide: expected a number, got 'wide'"),
    ("enumerated:2.5", "enumerated:2.5: expected a whole number, got '2.5'"),
    ("relaxed:none", "relaxed:none: expected a number, got 'none'"),
    ("normal:0", "expected sigma > 0, got 0"),
    ("normal:nan", "expected sigma > 0, got nan"),
    ("relaxed:-1", "expected temperature > 0, got -1"),
    ("enumerated:0", "expected top > 0, got 0"),
    ("categorical", "expected categorical with vocabulary behind a colon, got 'categorical'"),
])
def test_a_text_that_says_no_value_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        heard(text)
    assert "\n" not in str(raised.value)


def test_a_value_of_an_option_is_its_text_and_refused_by_the_options_name() -> None:
    assert as_declared(Relaxed(0.3), Inference) == "relaxed:0.3"
    assert as_declared("relaxed:0.67", Inference) == "relaxed"
    with pytest.raises(InputError, match="unknown label_inference 'relax'.* mean 'relaxed'"):
        as_declared("relax", Inference, "label_inference")


@pytest.mark.parametrize("annotation, kinds", [
    (Normal, [Normal]), (Normal | None, [Normal]), (int | None, []), (str, []),
    (Enumerated | Relaxed, [Enumerated, Relaxed]),
])
def test_the_kinds_of_an_annotation_are_those_with_a_word(annotation: Any, kinds: Any) -> None:
    assert words.kinds_of(annotation) == kinds
