"""Data that are read from files train and are measured as those in memory, and stay in files."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import made
import pytest
import small
import torch

from pyro_ssvae import AggressiveInference, InputError, Objective, evaluate, fit, fit_ensemble
from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Split, batches
from pyro_ssvae.data.reading import Reader
from pyro_ssvae.engine.capture import Captured
from pyro_ssvae.evaluation import evaluate as evaluation
from pyro_ssvae.evaluation import latents, probes
from pyro_ssvae.evaluation.probes import mutual_information
from pyro_ssvae.evaluation.references import evaluate_reference, references
from pyro_ssvae.evaluation.validation import check_support, validate
from pyro_ssvae.experiments import prepared, runs
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.report import plots
from pyro_ssvae.training import aggressive
from pyro_ssvae.training.aggressive import fresh_batches
from pyro_ssvae.training.capturing import decided
from pyro_ssvae.training.optimizers import adam

N, D = 200, 6
SIZES: dict[str, Any] = {"batch_labelled": 4, "batch_unlabelled": 30}  # five updates an epoch


def from_files(rows: Callable[..., made.Rows] = made.Rows, workers: int = 0) -> Split:
    return made.dataset(rows(N, D)).split(9).to("cpu", workers)


def from_memory() -> Split:
    return made.in_memory(made.dataset(made.Rows(N, D))).split(9)


def m2(seed: int = 0) -> Objective:
    return small.m2(D, 3, seed)


def weights(objective: Objective) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in objective.parameters()])


def told(epochs: Any) -> list[tuple[Any, Any]]:
    return [(epoch.losses, epoch.validation) for epoch in epochs]


@pytest.fixture
def most() -> Iterator[Callable[[], int]]:
    """A function that says how many examples were held at once."""
    placed, numbers = Reader._placed, [0]

    def counted(reader: Reader, pixels: torch.Tensor) -> torch.Tensor:
        numbers.append(pixels.numel() // D)
        return placed(reader, pixels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reader, "_placed", counted)
        for module in (evaluation, probes, latents):
            patch.setattr(module, "CHUNK", 7)
        patch.setattr(evaluation, "STEP", 7)
        yield lambda: max(numbers)


# The data set


def test_a_data_set_of_rows_is_made_split_and_told_without_reading_one() -> None:
    data = made.dataset(made.Rows(N, 3, 4, 5))
    split = data.split(9)
    assert split.part("test")[0].shape == (40, 3, 4, 5)
    assert data.shape == (3, 4, 5) and data.images
    assert "images of 4 x 5 pixels with 3 channels, read when they are wanted" in str(data)
    assert data.within_unit
    assert data.x.rows.seen == []


def test_rows_are_told_apart_by_their_fingerprint_and_their_labels() -> None:
    data = made.dataset(made.Rows(N, D))
    others = made.dataset(made.Rows(N, D, fingerprint="others"))
    object.__setattr__(changed := made.dataset(made.Rows(N, D)), "y", data.y.flip(0))
    assert data.fingerprint == made.dataset(made.Rows(N, D)).fingerprint
    assert len({data.fingerprint, others.fingerprint, changed.fingerprint}) == 3


def test_rows_stay_where_they_are_when_the_data_move() -> None:
    data = made.dataset(made.Rows(N, D))
    moved = data.to("cpu", 1)
    assert moved.x.rows is data.x.rows
    assert moved.x.workers == 1


def test_examples_that_are_new_take_the_form_of_rows() -> None:
    data = made.dataset(made.Rows(N, 1, 2, 2))
    assert data.encoded(torch.rand(5, 1, 2, 2)).shape == (5, 1, 2, 2)
    with pytest.raises(InputError, match=re.escape("of images (1, 2, 2)")):
        data.encoded(torch.rand(5, 1, 3, 3))


def test_the_y_and_x_of_a_part_belong_together() -> None:
    split = from_files()
    x, y = split.part("validation")
    assert torch.equal(x[:], made.Rows(N, D)[split.validation])
    assert torch.equal(y.argmax(-1), split.dataset.y[split.validation])


# Training


@pytest.mark.parametrize("workers", [0, 2])
def test_training_is_that_on_the_same_data_in_memory(workers: int) -> None:
    mine, theirs = m2(), m2()
    expected = told(fit(theirs, from_memory(), epochs=1, **SIZES))
    assert told(fit(mine, from_files(), epochs=1, workers=workers, **SIZES)) == expected
    assert torch.equal(weights(mine), weights(theirs))


def test_training_goes_on_within_an_epoch_and_reads_what_is_left_of_it() -> None:
    whole, resumed, split = m2(), m2(), from_files()
    list(fit(whole, split, epochs=1, workers=0, **SIZES))
    first = fit(resumed, split, epochs=1, workers=0, pause=iter([False, True]).__next__, **SIZES)
    assert list(first) == [] and first.paused
    second = fit(resumed, split, epochs=1, workers=0, **SIZES)
    second.load_state_dict(first.state_dict())
    split.dataset.x.rows.seen.clear()
    list(second)
    assert torch.equal(weights(resumed), weights(whole))
    unlabelled = set(split.unlabelled.tolist())
    assert sum(i in unlabelled for i in split.dataset.x.rows.seen) == len(unlabelled) - 2 * 30


def test_aggressive_training_is_that_on_the_same_data_in_memory(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aggressive, "INNER_STEPS", 2)
    found = []
    for split in (from_files(), from_memory()):
        objective = m2()
        epochs = fit(
            objective, split, epochs=1, workers=0, aggressive=AggressiveInference(), **SIZES
        )
        found.append((told(epochs), weights(objective)))
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])


def test_fresh_batches_begin_where_they_were_left_and_read_no_others() -> None:
    split = from_files()
    every = fresh_batches(split, 4, 30, seed=1, epoch=2)
    seventh = [next(every) for _ in range(8)][7]
    split.dataset.x.rows.seen.clear()
    came = next(fresh_batches(split, 4, 30, seed=1, epoch=2, start=7))
    assert all(torch.equal(a, b) for a, b in zip(came.tensors, seventh.tensors, strict=True))
    assert len(split.dataset.x.rows.seen) == 34


@pytest.mark.usefixtures("traced_once")
def test_replicas_are_trained_as_on_the_same_data_in_memory() -> None:
    found = []
    for data in (made.dataset(made.Rows(N, D)), made.in_memory(made.dataset(made.Rows(N, D)))):
        objectives = [m2(seed) for seed in range(2)]
        splits = [data.split(9, seed=seed) for seed in range(2)]
        epochs = fit_ensemble(
            objectives, splits, epochs=1, compile=False, workers=0, **SIZES
        )
        found.append((told(sum(epochs, [])), [weights(each) for each in objectives]))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(a, b) for a, b in zip(found[0][1], found[1][1], strict=True))


def test_replicas_on_other_rows_are_refused() -> None:
    others = made.dataset(made.Rows(N, D, fingerprint="others")).split(9)
    with pytest.raises(InputError, match="splits of one data set, got another in replica 1"):
        fit_ensemble([m2(0), m2(1)], [from_files(), others])


def test_a_captured_update_takes_batches_of_files() -> None:
    split = from_files()

    def captured(batch: Batch) -> tuple[float, torch.Tensor]:
        objective = m2()
        torch.manual_seed(3)
        update = Captured(objective, adam(objective), batch, compile=False)
        return update(batch, 1.0).losses["loss"].item(), weights(objective)

    one, other = (captured(next(batches(s, 4, 30))) for s in (split, from_memory()))
    assert one[0] == other[0] and torch.equal(one[1], other[1])


def test_capture_asks_for_the_device_of_the_labels() -> None:
    few = from_files()
    assert decided("auto", 1, few, few.dataset.y.device) == "off"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_ends_training_in_a_line_with_its_name(workers: int) -> None:
    with pytest.raises(InputError, match="^patient7/view1.jpg: expected an image, got .* file$"):
        list(fit(m2(), from_files(made.Broken), epochs=1, workers=workers, **SIZES))


def test_a_likelihood_that_forbids_pixels_is_refused_and_reads_one_example() -> None:
    split = from_files()
    check_support(m2(), split)
    assert len(split.dataset.x.rows.seen) == 1


# Measures and figures


def test_validation_is_that_on_the_same_data_in_memory() -> None:
    found = []
    for split in (from_files(), from_memory()):
        torch.manual_seed(0)
        found.append(validate(m2(), split))
    assert found[0] == found[1]


def test_every_measure_is_that_on_the_same_data_in_memory() -> None:
    found = []
    for split in (from_files(workers=2), from_memory()):
        objective = m2()
        torch.manual_seed(0)
        found.append(evaluate(objective.model, objective.guide, split))
    assert found[0] == found[1]
    assert None not in found[0].values()


def test_the_mutual_information_of_parts_is_that_of_the_whole_but_for_noise(
    most: Callable[[], int]
) -> None:
    found, objective = [], m2()
    for split in (from_files(), from_memory()):
        torch.manual_seed(0)
        with evaluating(objective):
            found.append([
                mutual_information(objective.guide, split.part("unlabelled")[0])
                for _ in range(20)
            ])
    (mine, theirs) = (torch.tensor(values) for values in found)
    error = (mine.var() + theirs.var()).div(20).sqrt()
    assert abs(mine.mean() - theirs.mean()) < 4 * error
    assert most() == 7


def test_measures_hold_a_few_examples_at_a_time(most: Callable[[], int]) -> None:
    objective, split = m2(), from_files()
    validate(objective, split)
    evaluate(objective.model, objective.guide, split)
    assert most() == 7


def test_a_latent_figure_holds_a_few_examples_at_a_time(most: Callable[[], int]) -> None:
    objective, split = m2(), from_files()
    x, y = split.part("test")
    with evaluating(objective):
        plots.latent(objective.guide, x, y, split.target)
    assert most() == 7


def test_a_latent_figure_shows_what_it_does_in_memory(most: Callable[[], int]) -> None:
    points = []
    for split in (from_files(), from_memory()):
        objective = m2()
        with evaluating(objective):
            figure = plots.latent(objective.guide, *split.part("test"), split.target)
        points.append([c.get_offsets().data.tolist() for c in figure.axes[0].collections])
    for mine, theirs in zip(*points, strict=True):
        assert torch.allclose(torch.tensor(mine), torch.tensor(theirs), atol=1e-5)


def test_a_classifier_is_fitted_to_features_of_a_few_examples_at_a_time(
    most: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latents, "CHUNK", 7)
    found = []
    for data in (made.dataset(made.Rows(N, D)), made.in_memory(made.dataset(made.Rows(N, D)))):
        found.append(validate(small.objective("m1", data), data.split(30).to("cpu", 0)))
    assert found[0]["accuracy"] == found[1]["accuracy"]
    assert found[0]["nll"] == pytest.approx(found[1]["nll"], rel=1e-4)
    assert most() == 7


def test_references_want_data_in_memory() -> None:
    split = from_files()
    assert references(split.dataset) == ()
    with pytest.raises(InputError, match="^SelfTraining: expected examples in memory, got .* made"):
        evaluate_reference("SelfTraining", split)


# Runs


def test_the_number_of_workers_is_no_part_of_a_runs_record(tmp_path: Path) -> None:
    split = made.dataset(made.Rows(N, D)).split(9)
    one, other = (
        prepared.prepare("m2", split, tmp_path / "out", options=small.SIZES, workers=workers)
        for workers in (0, 3)
    )
    assert one.record == other.record
    assert (one.split.dataset.x.workers, other.split.dataset.x.workers) == (0, 3)


def test_a_run_on_files_is_trained_and_read_back(tmp_path: Path) -> None:
    data = made.dataset(made.Rows(N, D))
    plan = {**SIZES, "epochs": 1, "workers": 0, "device": "cpu"}
    metrics = runs.train("m2", data.split(9), tmp_path, options=small.SIZES, **plan)
    run = runs.load(tmp_path, dataset=data, device="cpu")
    assert runs.test_metrics(run)["accuracy"] == metrics["test"]["accuracy"]
