"""What the bound adds: both arms on the same draws, and what their numbers say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pyro_ssvae.experiments.setting import Setting
from pyro_ssvae.reproduce import bound
from pyro_ssvae.reproduce.bound import DIGITS, MNIST, WITH, WITHOUT
from pyro_ssvae.reproduce.work import Work

FIVE = (0.0, 0.1, 0.2, 0.3, 0.4)


class Told(Work):
    """A place of work where the runs with the bound are a tenth of a nat and a point better."""

    def train(self, settings: Sequence[Setting]) -> list[dict[str, Any]]:
        return [
            {"test": {
                "accuracy": (98.6 + setting.split_seed / 10 - worse) / 100,
                "nll": 0.2 + 0.1 * worse, "ece": 0.01, "elbo": -100.0 - 400 * worse,
            }}
            for setting in settings for worse in [float("unlabelled" in setting.options)]
        ]


def of(nats: float, points: float) -> bound.Found:
    """Both arms, of which that with the bound is better by so much in every draw."""
    fixed = {"ece": FIVE, "elbo": FIVE}
    return {
        WITH: {"accuracy": [98.0 + points + x for x in FIVE], "nll": FIVE, **fixed},
        WITHOUT: {"accuracy": [98.0 + x for x in FIVE], "nll": [x + nats for x in FIVE], **fixed},
    }


def test_the_arms_differ_in_the_weights_of_both_bounds_alone() -> None:
    for board in (DIGITS, MNIST):
        one, other = (bound.setting(board, arm, 3, 7) for arm in (WITH, WITHOUT))
        options = {**one.options, "labelled": 0.0, "unlabelled": 0.0}
        assert other == replace(one, options=options)
        values = one.pair.resolve(other.split().dataset, other.options) if board is DIGITS else {}
        assert values.get("unlabelled", 0.0) == 0.0


@pytest.mark.parametrize(("nats", "verdict"), [(0.1, True), (-0.1, False)])
def test_a_difference_in_every_draw_decides(nats: float, verdict: bool) -> None:
    found = of(nats, points=10 * nats)
    assert [claim.holds for claim in bound.claims(DIGITS, found)] == [verdict, verdict]


def test_the_aim_is_claimed_of_mnist_alone() -> None:
    assert len(bound.claims(DIGITS, of(0.1, points=1.0))) == 2
    assert [
        [claim.holds for claim in bound.claims(MNIST, of(0.1, points))][2]
        for points in (1.5, 1.0, 0.5)  # 99.7, 99.2 and 98.7 % on average
    ] == [True, None, False]


def test_what_differs_between_draws_in_both_ways_is_not_decided() -> None:
    found = {arm: dict(measures) for arm, measures in of(0.0, points=0.0).items()}
    for measure in ("accuracy", "nll"):
        found[WITH][measure] = found[WITH][measure][::-1]
    assert [claim.holds for claim in bound.claims(DIGITS, found)] == [None, None]


def test_the_draw_by_which_options_were_chosen_is_not_scored(tmp_path: Path) -> None:
    assert MNIST.seeds(Work(tmp_path)) == [3, 4, 5, 6, 7]
    assert MNIST.seeds(Work(tmp_path, number=1)) == [3]
    assert DIGITS.seeds(Work(tmp_path)) == list(range(20))


def test_rows_are_in_percent_and_in_nats_with_the_difference_draw_by_draw(tmp_path: Path) -> None:
    findings = bound.reproduce(Told(tmp_path, number=5))
    rows = {row.what: row.found for row in findings.rows}
    assert rows["mnist, 100 labels, with the bound: accuracy, %"] == pytest.approx(
        [98.9, 99.0, 99.1, 99.2, 99.3]
    )
    points = rows["digits, 50 labels, with less without: accuracy, points"]
    assert points == pytest.approx([1.0] * 5)
    assert rows["mnist, 100 labels, with less without: bound on log p(x), nats"] == [400.0] * 5
    assert [claim.holds for claim in findings.claims] == [True, True, True, True, None]
    assert [claim.data for claim in findings.claims] == 2 * ["digits"] + 3 * ["mnist"]
    assert findings.claims[3].because == "NLL with less without: -0.100 nats [-0.100, -0.100]"


def test_both_arms_on_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bound, "BOARDS", (replace(DIGITS, epochs=1, draws=1),))
    small = {"hidden": (8,), "z_dim": 2, "classifier": "mlp"}
    monkeypatch.setattr(bound, "OPTIONS", {"digits": small})
    findings = bound.reproduce(Work(tmp_path))
    told = "digits, 50 labels, 1 epoch of 1, 1 draw. Last epochs."
    assert findings.setting == told
    assert len(findings.rows) == 12
    assert [claim.holds for claim in findings.claims] == [None, None]
