"""The record of a run: what it was started with, and what may go on with it."""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import shutil
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch
from small import stripes
from torch import Tensor, nn

from pyro_ssvae import InputError, fit, guides, models, pair
from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.experiments import predictor, prepared, record, runs, underway
from pyro_ssvae.experiments.compare import compare
from pyro_ssvae.experiments.plan import DEFAULTS, Plan, completed
from pyro_ssvae.experiments.record import Record
from pyro_ssvae.report import plots
from pyro_ssvae.training import how


@pytest.fixture(scope="module", autouse=True)
def no_figures() -> Iterator[None]:
    """Draw no figures: they take longer than the training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "figures", lambda objective, split, history: {})
        yield


def reversed_rows(dataset: Dataset) -> Dataset:
    """The same examples in another order, under the same name."""
    return replace(dataset, x=dataset.x.flip(0), y=dataset.y.flip(0))


def train(out: Path, split: Split, **arguments: Any) -> dict[str, Any]:
    options = {"hidden": (4,), **arguments.pop("options", {})}
    arguments = {"epochs": 1, "batch_unlabelled": 20, "device": "cpu", **arguments}
    return runs.train("supervised", split, out, options=options, **arguments)


def started(split: Split, **arguments: Any) -> Record:
    """The record of a run that would start so."""
    options = {"hidden": (4,), **arguments.pop("options", {})}
    return prepared.prepare(
        "supervised", split, "nowhere", options=options, device="cpu", **arguments
    ).record


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of an epoch on stripes that nobody changes."""
    out = tmp_path_factory.mktemp("finished") / "run"
    train(out, stripes().split(6))
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the run, to change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(checkpoint(folder)["objective"])


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


# What is recorded


def test_metrics_and_checkpoint_hold_the_same_record(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    kept = checkpoint(finished)["record"]
    assert kept.keys() == {field.name for field in fields(Record)}
    assert {name: metrics[name] for name in kept} == kept
    assert record.read(metrics) == record.read(kept)


def test_a_record_has_what_the_run_was_started_with() -> None:
    split = stripes().split(6, seed=2)
    options = {"hidden": (4, 3), "lr": 1e-2}
    came = started(split, options=options, seed=5, patience=3, batch_unlabelled=20).as_dict()
    expected = {
        "model": "supervised", "data": "stripes", "data_fingerprint": split.dataset.fingerprint,
        "labels": 6, "hidden_labels": 0, "seed": 5, "split_seed": 2,
        "split_fingerprint": split.fingerprint, "epochs": 50, "batch_labelled": 100,
        "batch_unlabelled": 20, "patience": 3, "aggressive": False, "capture": "traced",
        "precision": "fp32", "selections": False, "code": "",
    }
    resolved = pair("supervised").resolve(split.dataset, options)
    assert came == {**expected, "options": {**resolved, "hidden": [4, 3]}}


def test_the_digest_is_that_of_the_record_but_for_how_updates_are_computed(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    plain = {field.name: metrics[field.name] for field in fields(Record)}
    del plain["capture"], plain["code"]
    text = json.dumps(plain, sort_keys=True)
    assert metrics["digest"] == hashlib.sha256(text.encode()).hexdigest()
    assert not {"versions", "device", "seconds"} & plain.keys()


def test_a_captured_run_is_the_same_run() -> None:
    split = stripes().split(6)
    assert started(split, capture="on").capture == "on" and started(split).capture == "off"
    assert started(split, capture="on").digest == started(split).digest


@pytest.mark.parametrize("changes", [
    {"seed": 1}, {"batch_labelled": 3}, {"options": {"beta": 0.5}}, {"patience": 2},
    {"epochs": 2}, {"selections": True},
], ids=str)
def test_other_settings_have_another_digest(changes: dict[str, Any]) -> None:
    split = stripes().split(6)
    assert started(split).digest == started(split).digest != started(split, **changes).digest


def test_other_data_and_another_split_have_another_digest() -> None:
    split = stripes().split(6)
    others = [
        split, replace(split, dataset=reversed_rows(split.dataset)),
        replace(split, validation=split.validation[:-1]),
    ]
    assert len({started(other).digest for other in others}) == 3


def test_a_number_has_one_digest_however_it_is_written() -> None:
    split = stripes().split(6)
    assert len({started(split, options={"beta": beta}).digest for beta in (2, 2.0)}) == 1


@pytest.mark.parametrize("field", [field.name for field in fields(Record)])
@pytest.mark.parametrize("value", [None, b"1", {1: 2}, [{}], -1.5], ids=str)
def test_a_record_of_other_kinds_is_not_read(field: str, value: Any) -> None:
    good = {
        "model": "m2", "data": "d", "data_fingerprint": "f", "labels": 1, "hidden_labels": 0,
        "seed": 0, "split_seed": 0, "split_fingerprint": "f", "epochs": 1, "batch_labelled": 1,
        "batch_unlabelled": 1, "patience": 2, "aggressive": False, "capture": "on",
        "precision": "fp32", "options": {"hidden": [1, 2]}, "selections": True, "code": "c",
    }
    assert record.read(good).as_dict() == good
    if (field, value) == ("patience", None):
        return
    with pytest.raises(ValueError, match=field.rstrip("s").split("_")[0]):
        record.read(good | {field: value})


# Two seeds


def test_the_seed_of_training_is_the_splits_unless_it_is_given(tmp_path: Path) -> None:
    split = stripes().split(6, seed=3)
    same, alike, other = (
        train(tmp_path / str(seed), split, seed=seed) for seed in (None, 3, 4)
    )
    assert (same["seed"], other["seed"], other["split_seed"]) == (3, 4, 3)
    assert same["digest"] == alike["digest"]
    assert equal(weights(tmp_path / "None"), weights(tmp_path / "3"))
    assert not equal(weights(tmp_path / "None"), weights(tmp_path / "4"))
    assert same["split_fingerprint"] == other["split_fingerprint"]


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_is_none_is_refused(seed: int) -> None:
    with pytest.raises(InputError, match=f"a seed of at most 64 bits, .* got {seed}"):
        started(stripes().split(6), seed=seed)


# Going on


def test_reversed_rows_do_not_resume_a_run(run: Path) -> None:
    before = (run / "checkpoint.pt").read_bytes()
    with pytest.raises(InputError, match="was trained on other data named 'stripes'"):
        train(run, reversed_rows(stripes()).split(6), epochs=2, resume=True)
    assert (run / "checkpoint.pt").read_bytes() == before


def test_another_split_with_the_same_seed_does_not_resume_a_run(run: Path) -> None:
    split = stripes().split(6)
    other = replace(split, validation=split.validation[:-1])
    with pytest.raises(InputError, match="was trained on another split of the data"):
        train(run, other, epochs=2, resume=True)


def test_a_run_is_prolonged_and_its_record_with_it(run: Path, tmp_path: Path) -> None:
    split = stripes().split(6)
    longer = train(run, split, epochs=3, resume=True)
    whole = train(tmp_path / "whole", split, epochs=3)
    assert longer["digest"] == whole["digest"]
    assert checkpoint(run)["record"]["epochs"] == 3
    assert equal(weights(run), weights(tmp_path / "whole"))


def test_a_run_whose_rate_decays_is_not_prolonged(tmp_path: Path) -> None:
    split = stripes().split(6)
    train(tmp_path / "run", split, options={"decay": True})
    with pytest.raises(InputError, match="decay=True and epochs=1, .* got epochs=2"):
        train(tmp_path / "run", split, options={"decay": True}, epochs=2, resume=True)


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What training is told of capture, time by time; nothing is compiled, which takes long."""
    told: list[str] = []

    def eager(*args: Any, capture: str, **options: Any) -> Any:
        told.append(capture)
        return fit(*args, capture="off", **options)

    monkeypatch.setattr(underway, "fit", eager)
    return told


def test_a_run_that_is_prolonged_stays_eager(
    run: Path, tmp_path: Path, captured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    split = stripes().split(6)
    monkeypatch.setattr(prepared, "decided", lambda *_: "on")
    assert train(tmp_path / "new", split, resume=True)["capture"] == "on"
    assert train(run, split, epochs=2, resume=True)["capture"] == "off"
    assert captured == ["on", "off"]


def test_a_run_that_is_prolonged_stays_captured(tmp_path: Path, captured: list[str]) -> None:
    split = stripes().split(6)
    train(tmp_path / "run", split, capture="on")
    longer = train(tmp_path / "run", split, epochs=2, resume=True)
    assert longer["capture"] == "on" and captured == ["on", "on"]


@pytest.mark.usefixtures("captured")
def test_a_run_does_not_go_on_in_another_way_than_it_began(run: Path) -> None:
    with pytest.raises(InputError, match="has capture=off, got capture=on"):
        train(run, stripes().split(6), epochs=2, capture="on", resume=True)
    assert train(run, stripes().split(6), epochs=2, capture="off", resume=True)["epochs"] == 2


# Read back


def test_a_run_on_data_of_ones_own_is_read_with_them(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    run = runs.load(finished, dataset=stripes(), device="cpu")
    assert runs.test_metrics(run) == metrics["test"]
    assert run.record.digest == metrics["digest"]


def test_a_run_on_data_of_ones_own_is_not_read_without_them(finished: Path) -> None:
    with pytest.raises(InputError, match=r"data named 'stripes', .* runs.load\(FOLDER, dataset="):
        runs.load(finished)


@pytest.mark.parametrize(
    "other", [reversed_rows(stripes()), stripes(shift=0.01)], ids=["reversed", "shifted"]
)
def test_a_run_is_not_read_with_other_data(other: Dataset, finished: Path) -> None:
    with pytest.raises(InputError, match="the data named 'stripes' .* got other data"):
        runs.load(finished, dataset=other)


def test_data_of_ones_own_named_digits_are_not_taken_for_scikit_learns(tmp_path: Path) -> None:
    dataset = stripes("digits")
    metrics = train(tmp_path / "run", dataset.split(6))
    with pytest.raises(InputError, match="the data named 'digits' .* got other data"):
        runs.load(tmp_path / "run")
    run = runs.load(tmp_path / "run", dataset=dataset, device="cpu")
    assert runs.test_metrics(run) == metrics["test"]


@pytest.mark.parametrize("classes", [("0", "2"), ("2", "0", "1")], ids=str)
def test_a_run_of_some_classes_of_its_data_is_read_with_all_of_them(classes, tmp_path) -> None:
    metrics = train(tmp_path / "run", stripes().only(*classes).split(6))
    run = runs.load(tmp_path / "run", dataset=stripes(), device="cpu")
    assert run.split.target.names == classes
    assert runs.test_metrics(run) == metrics["test"]
    with pytest.raises(InputError, match="got other data"):
        runs.load(tmp_path / "run", dataset=stripes(shift=0.01))


def test_a_split_that_was_changed_is_not_read(run: Path) -> None:
    path = run / "split.json"
    content = json.loads(path.read_text())
    content["validation"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="split.json: expected the split that the run was trained"):
        runs.load(run, dataset=stripes())


def test_rows_of_other_data_are_not_kept_in_a_table(tmp_path: Path) -> None:
    dataset = stripes()
    small: dict[str, Any] = {
        "labels": 6, "seeds": 1, "epochs": 1, "device": "cpu", "options": {"hidden": (4,)},
    }
    compare(["supervised"], dataset, tmp_path / "out", **small)
    with pytest.raises(InputError, match="the run to keep in the table has data_fingerprint="):
        compare(["m2"], reversed_rows(dataset), tmp_path / "out", resume=True, **small)


# Pairs of one's own


class Mine(models.M2):
    """p(x, y, z), mine"""


MINE = pair(Mine, guides.M2, recipe={"hidden": (4,), "z_dim": 2})


def test_a_pair_that_has_no_place_is_trained_and_read_by_itself(tmp_path: Path) -> None:
    dataset = stripes()
    metrics = runs.train(MINE, dataset.split(6), tmp_path / "run", epochs=1, device="cpu")
    assert metrics["model"] == "mine"
    run = runs.load(tmp_path / "run", pair=MINE, dataset=dataset, device="cpu")
    assert isinstance(run.objective.model, Mine)
    assert runs.test_metrics(run) == metrics["test"]
    with pytest.raises(InputError, match=r"unknown model 'mine'.*runs.load\(FOLDER, pair="):
        runs.load(tmp_path / "run", dataset=dataset)
    with pytest.raises(InputError, match="expected the pair mine, got m2"):
        runs.load(tmp_path / "run", pair=pair("m2"), dataset=dataset)


def test_pairs_of_ones_own_are_compared_and_cleared_away(tmp_path: Path) -> None:
    plan: dict[str, Any] = {"labels": 6, "seeds": 1, "epochs": 1, "device": "cpu"}
    own = {"supervised": {"hidden": (3,)}}
    result = compare([MINE, "supervised"], stripes(), tmp_path / "out", options=own, **plan)
    assert list(result.results)[:2] == ["mine", "supervised"]
    assert result.results["mine"][0]["options"]["hidden"] == [4]
    assert result.results["supervised"][0]["options"]["hidden"] == [3]
    assert "p(x, y, z), mine" in result.report.read_text()
    other = tmp_path / "out" / "runs" / f"other-seed-0-{12 * '0'}"
    other.mkdir()
    (other / "history.csv").write_text("of another origin")
    compare(["supervised"], stripes(), tmp_path / "out", options=own, overwrite=True, **plan)
    kept = {path.name for path in (tmp_path / "out" / "runs").iterdir()}
    assert kept == {small.run_of(tmp_path / "out", "supervised", 0).name, other.name}


@pytest.mark.parametrize("place, message", [
    ("os:path", "os:path: expected a pair, got module of that name"),
    ("nothing_of_this_name:Mine", "nothing_of_this_name:Mine: .* ModuleNotFoundError"),
    ("../../mine:Mine", "expected the place of a pair as MODULE:ATTRIBUTE"),
])
def test_a_record_that_names_no_pair_is_refused(place: str, message: str, run: Path) -> None:
    saved = checkpoint(run)
    saved["record"]["model"] = place
    torch.save(saved, run / "checkpoint.pt")
    with pytest.raises(InputError, match=message):
        runs.load(run, dataset=stripes())


def test_a_value_that_is_no_plain_data_is_not_recorded() -> None:
    with pytest.raises(InputError, match=r"expected beta as a number, got tensor\(1\.\)"):
        started(stripes().split(6), options={"beta": torch.ones(())})


@pytest.mark.parametrize("plan, message", [
    ({"epochs": 1.5}, "epochs as a whole number, got 1.5"),
    ({"patience": 2.5}, "patience as a whole number, got 2.5"),
    ({"selections": 1}, "selections as True or False, got 1"),
    ({"options": {"average": 1.0}}, r"average in \[0, 1\), got 1.0"),
], ids=str)
def test_what_training_would_refuse_is_refused_before(plan: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        started(stripes().split(6), **plan)


def test_numbers_of_numpy_are_recorded_as_pythons_and_read_back(tmp_path: Path) -> None:
    split, options = stripes().split(6), {"lr": np.logspace(-3, -2, 2)[0], "hidden": (np.int64(4),)}
    metrics = train(tmp_path / "run", split, options=options, epochs=np.int64(1), seed=np.int64(2))
    run = runs.load(tmp_path / "run", dataset=split.dataset, device="cpu")
    assert run.record.digest == metrics["digest"]
    assert started(split, options={"lr": 1e-3}, epochs=1, batch_unlabelled=20, seed=2).digest == (
        metrics["digest"]
    )


# Buffers


class Masked(nn.Module):
    """A body with a mask of minus infinity, as attention has one."""

    def __init__(self, inputs: Any, out: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(4, out[0])
        self.register_buffer("mask", torch.tensor([0.0, 0.0, 0.0, -torch.inf]))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(x.flatten(1) * torch.exp(self.mask))
        return logits


MASKED: dict[str, Any] = {"options": {"classifier": Masked}, "selections": True, "patience": 3}


def test_a_buffer_may_hold_what_is_not_finite(tmp_path: Path) -> None:
    split = stripes().split(6)
    assert train(tmp_path / "run", split, **MASKED)["selected"].keys() >= {"last", "nll"}
    longer = train(tmp_path / "run", split, epochs=2, resume=True, **MASKED)
    run = runs.load(tmp_path / "run", dataset=split.dataset, device="cpu")
    assert runs.test_metrics(run) == longer["test"]
    assert not all(buffer.isfinite().all() for buffer in run.objective.buffers())


@pytest.mark.parametrize("where", ["objective", "stopping", "selections"])
def test_a_parameter_that_is_not_finite_is_a_broken_file(where: str, tmp_path: Path) -> None:
    split = stripes().split(6)
    train(tmp_path / "run", split, **MASKED)
    saved = checkpoint(tmp_path / "run")
    saved = copy.deepcopy(saved)
    weights = {
        "objective": saved["objective"], "stopping": saved["training"]["stopping"][0]["weights"],
        "selections": saved["selections"]["nll"]["weights"],
    }[where]
    name = next(name for name in weights if name.endswith("linear.weight"))
    weights[name] = torch.full_like(weights[name], torch.nan)
    torch.save(saved, tmp_path / "run" / "checkpoint.pt")
    message = "a broken file .*linear.weight has values that are not finite"
    with pytest.raises(InputError, match=message):
        runs.load(tmp_path / "run", dataset=split.dataset, device="cpu")
    with pytest.raises(InputError, match=message):
        predictor.load(tmp_path / "run", device="cpu")
    with pytest.raises(InputError, match=message):
        train(tmp_path / "run", split, epochs=2, resume=True, **MASKED)


# The plan


def test_the_defaults_of_a_plan_are_those_of_fit() -> None:
    of_fit = how.DEFAULTS | {
        name: parameter.default for name, parameter in inspect.signature(fit).parameters.items()
    }
    shared = DEFAULTS.keys() & of_fit.keys() - {"seed", "aggressive"}
    assert shared >= {"epochs", "batch_labelled", "batch_unlabelled", "capture", "precision"}
    assert {name: DEFAULTS[name] for name in shared} == {name: of_fit[name] for name in shared}


def test_every_key_of_a_plan_has_a_default_and_a_description() -> None:
    assert DEFAULTS.keys() == Plan.__annotations__.keys()
    assert all(f"        {name}: " in (Plan.__doc__ or "") for name in DEFAULTS)


def test_a_misspelt_key_of_a_plan_is_refused_with_the_nearest(tmp_path: Path) -> None:
    assert completed({})["epochs"] == DEFAULTS["epochs"]
    for call in (runs.train, prepared.prepare):
        with pytest.raises(InputError, match="unknown argument 'epoch'.*did you mean 'epochs'"):
            call("m2", stripes().split(6), tmp_path / "run", epoch=2)
    assert list(tmp_path.iterdir()) == []
