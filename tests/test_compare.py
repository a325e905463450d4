from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small

from pyro_ssvae import InputError, data
from pyro_ssvae.data import Dataset, Split
from pyro_ssvae.evaluation.references import evaluate_reference
from pyro_ssvae.experiments import runs
from pyro_ssvae.experiments.compare import Comparison, compare
from pyro_ssvae.system.files import locked

REFERENCES = ("LabelSpreading", "SelfTraining")
PAIRS = ("m2", "vae", "supervised")
DIGEST = 12 * "0"
METRICS = ("accuracy", "nll", "brier", "ece", "elbo", "iwae", "leakage")


@pytest.fixture(scope="module")
def stripes() -> Dataset:
    return small.stripes()


def run(dataset: Dataset, out: Path, *names: str, **arguments: Any) -> Comparison:
    options = {"hidden": (4,)} if names == ("supervised",) else {"hidden": (4,), "z_dim": 2}
    arguments = {"labels": 6, "seeds": 2, "epochs": 1, "options": options, **arguments}
    return compare(names, dataset, out, device="cpu", **arguments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, stripes: Dataset) -> Path:
    out = tmp_path_factory.mktemp("finished") / "out"
    with small.few_figures():
        run(stripes, out, "supervised", "vae")
    return out


@pytest.fixture(autouse=True)
def few_figures() -> Iterator[None]:
    with small.few_figures():
        yield


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of a comparison of supervised and vae, to change."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


def table(out: Path) -> dict[str, dict[str, str]]:
    with (out / "table.csv").open(newline="") as file:
        return {row["model"]: row for row in csv.DictReader(file)}


def table_lines(out: Path) -> list[str]:
    """The lines of the table in Markdown, without its footnotes."""
    return [line for line in (out / "table.md").read_text().splitlines() if line.startswith("|")]


def without_seconds(out: Path) -> dict[str, dict[str, str]]:
    return {
        name: {key: value for key, value in row.items() if not key.startswith("seconds")}
        for name, row in table(out).items()
    }


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def test_a_comparison_leaves_its_tables_its_report_and_its_runs(comparison: Path) -> None:
    assert {path.name for path in comparison.iterdir()} == {
        "table.md", "table.csv", "runs.csv", "report.html", "runs"
    }
    assert set((comparison / "runs").iterdir()) == {
        small.run_of(comparison, name, seed) for name in PAIRS for seed in (0, 1)
    }


def test_rows_are_the_pairs_as_named_and_then_the_references(comparison: Path) -> None:
    assert list(table(comparison)) == [*PAIRS, "LabelSpreading", "SelfTraining"]
    lines = table_lines(comparison)[2:]
    assert [line.split("|")[1].strip() for line in lines] == list(table(comparison))


def test_every_model_sees_the_same_splits(comparison: Path) -> None:
    for seed in (0, 1):
        splits = [read(small.run_of(comparison, n, seed), "split.json") for n in PAIRS]
        assert splits[0] == splits[1] == splits[2]
        assert splits[0]["seed"] == seed


def test_every_seed_draws_other_labels_from_the_same_training_part(comparison: Path) -> None:
    zero, one = (read(small.run_of(comparison, "m2", s), "split.json") for s in (0, 1))
    assert zero["labelled"] != one["labelled"]
    assert zero["test"] == one["test"]


def test_the_splits_are_those_of_the_data_set(comparison: Path) -> None:
    for seed in (0, 1):
        kept = read(small.run_of(comparison, "m2", seed), "split.json")
        split = data.load("digits").split(50, seed=seed)
        assert kept["labelled"] == split.labelled.tolist()
        assert kept["validation"] == split.validation.tolist()


@pytest.mark.parametrize("name", PAIRS)
def test_means_and_deviations_are_those_of_the_runs(name: str, comparison: Path) -> None:
    metrics = [read(small.run_of(comparison, name, s), "metrics.json") for s in (0, 1)]
    row = table(comparison)[name]
    for metric in METRICS:
        values = [m["test"][metric] for m in metrics]
        if None in values:
            assert row[f"{metric}_mean"] == row[f"{metric}_std"] == ""
        else:
            assert float(row[f"{metric}_mean"]) == pytest.approx(np.mean(values), rel=1e-12)
            assert float(row[f"{metric}_std"]) == pytest.approx(np.std(values, ddof=1), rel=1e-9)
    seconds = [m["seconds"] for m in metrics]
    assert float(row["seconds_mean"]) == pytest.approx(np.mean(seconds), rel=1e-12)


def test_a_cell_is_empty_exactly_where_the_pair_has_no_such_metric(comparison: Path) -> None:
    def shown(name: str) -> set[str]:
        return {metric for metric in METRICS if table(comparison)[name][f"{metric}_mean"]}

    assert shown("m2") == set(METRICS)
    assert shown("vae") == {"elbo", "iwae", "leakage"}
    for classifier in ("supervised", *REFERENCES):
        assert shown(classifier) == {"accuracy", "nll", "brier", "ece"}


def test_the_reference_rows_are_scored_on_the_splits_of_the_runs(comparison: Path) -> None:
    digits = data.load("digits")
    scores = [
        evaluate_reference("LabelSpreading", Split.load(
            small.run_of(comparison, "m2", seed) / "split.json", digits
        ))["test"] for seed in (0, 1)
    ]
    row = table(comparison)["LabelSpreading"]
    for metric in ("accuracy", "nll", "brier", "ece"):
        expected = np.mean([score[metric] for score in scores])
        assert float(row[f"{metric}_mean"]) == pytest.approx(expected, rel=1e-12)


def test_both_tables_show_the_same_numbers(comparison: Path) -> None:
    head, _, *lines = (
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table_lines(comparison)
    )
    assert head == [
        "model", "accuracy %", "NLL", "Brier", "ECE %", "ELBO", "IWAE", "leakage %", "seconds"
    ]
    formats = {"accuracy": (100, 1), "nll": (1, 3), "brier": (1, 3), "ece": (100, 1),
               "elbo": (1, 2), "iwae": (1, 2), "leakage": (100, 1), "seconds": (1, 1)}
    for name, *cells in lines:
        row = table(comparison)[name]
        for cell, (metric, (factor, decimals)) in zip(cells, formats.items(), strict=True):
            pair = [row[f"{metric}_mean"], row[f"{metric}_std"]]
            numbers = [f"{factor * float(number):.{decimals}f}" for number in pair if number]
            assert cell.removesuffix(" †") == (" ± ".join(numbers) or "–")


def test_every_run_has_a_row_with_its_metrics_and_what_it_took(comparison: Path) -> None:
    with (comparison / "runs.csv").open(newline="") as file:
        rows = {(row["model"], row["seed"]): row for row in csv.DictReader(file)}
    assert list(rows) == [
        (name, seed) for name in (*PAIRS, *REFERENCES) for seed in ("0", "1")
    ]
    for name, seed in ((name, seed) for name in PAIRS for seed in ("0", "1")):
        metrics = read(small.run_of(comparison, name, seed), "metrics.json")
        row = rows[name, seed]
        for key in ("epochs_done", "updates", "seconds"):
            assert float(row[key]) == metrics[key]
        for key, value in metrics["test"].items():
            assert row[key] == ("" if value is None else str(value))
        assert json.loads(row["options"]) == metrics["options"]
    for name in REFERENCES:
        mean = np.mean([float(rows[name, seed]["accuracy"]) for seed in ("0", "1")])
        assert float(table(comparison)[name]["accuracy_mean"]) == pytest.approx(mean, rel=1e-12)
        assert rows[name, "0"]["updates"] == rows[name, "0"]["elbo"] == ""
        assert "=" in json.loads(rows[name, "0"]["options"])


def test_an_option_goes_to_every_pair_that_has_it(finished: Path) -> None:
    supervised, vae = (
        read(small.run_of(finished, name, 0), "metrics.json")["options"]
        for name in ("supervised", "vae")
    )
    assert vae["z_dim"] == 2 and "z_dim" not in supervised
    assert vae["hidden"] == supervised["hidden"] == [4]


def test_a_line_is_logged_for_each_run_and_each_reference(stripes: Dataset, tmp_path: Path) -> None:
    lines: list[str] = []
    run(stripes, tmp_path / "out", "supervised", "vae", log=lines.append)
    assert [line.split(":")[0] for line in lines] == [
        f"{name}, seed {seed}"
        for name in ("supervised", "vae", *REFERENCES) for seed in (0, 1)
    ]
    assert "accuracy" in lines[0] and "ELBO" in lines[2]


def test_a_comparison_returns_its_results_its_table_and_the_path_of_its_report(
    folder: Path, stripes: Dataset
) -> None:
    result = run(stripes, folder, "vae", resume=True)
    assert result.report == folder / "report.html"
    assert result.table == (folder / "table.md").read_text()
    metrics = [read(small.run_of(folder, "vae", seed), "metrics.json") for seed in (0, 1)]
    assert result.results["vae"] == metrics
    assert list(result.results) == list(table(folder))


def test_a_comparison_is_not_replaced_unless_asked_to(folder: Path, stripes: Dataset) -> None:
    before = (folder / "table.md").stat().st_mtime_ns
    with pytest.raises(InputError, match="already holds a run; --resume .* --overwrite"):
        run(stripes, folder, "vae")
    assert (folder / "table.md").stat().st_mtime_ns == before


def test_an_interrupted_comparison_goes_on_where_it_stopped(
    finished: Path, stripes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, log = tmp_path / "out", []

    def interrupted(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(stripes, out, "supervised", "vae", log=interrupted)
    assert [path.name for path in out.iterdir()] == ["runs"]
    kept = (small.run_of(out, "supervised", 0) / "checkpoint.pt").read_bytes()
    run(stripes, out, "supervised", "vae", resume=True, log=log.append)
    assert (small.run_of(out, "supervised", 0) / "checkpoint.pt").read_bytes() == kept
    assert without_seconds(out) == without_seconds(finished)


def test_overwriting_leaves_the_runs_of_the_new_table_only(folder: Path, stripes: Dataset) -> None:
    run(stripes, folder, "supervised", overwrite=True, seeds=1)
    assert list((folder / "runs").iterdir()) == [small.run_of(folder, "supervised", 0)]
    assert list(table(folder)) == ["supervised", *REFERENCES]


def test_overwriting_deletes_nothing_but_runs_of_comparisons(
    folder: Path, stripes: Dataset
) -> None:
    (folder / "runs" / "mine").mkdir()
    (folder / "runs" / "mine" / "checkpoint.pt").write_text("mine")
    run(stripes, folder, "supervised", overwrite=True, seeds=1)
    assert (folder / "runs" / "mine" / "checkpoint.pt").read_text() == "mine"


def test_a_table_never_stands_beside_runs_of_another_comparison(
    folder: Path, stripes: Dataset
) -> None:
    def interrupted(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(stripes, folder, "supervised", "vae", overwrite=True, labels=9, log=interrupted)
    assert read(small.run_of(folder, "supervised", 0), "metrics.json")["labels"] == 9
    tables = ("table.md", "table.csv", "runs.csv", "report.html")
    assert not any((folder / name).exists() for name in tables)


def test_overwriting_deletes_by_known_names_and_never_through_a_link(
    folder: Path, stripes: Dataset, tmp_path: Path
) -> None:
    vae = small.run_of(folder, "vae", 0).name
    others = {
        f"mine-seed-0-{DIGEST}/checkpoint.pt", "m2-seed-0/checkpoint.pt",
        f"vae-seed-01-{DIGEST}/checkpoint.pt", f"{vae}/notes.txt", f"{vae}/figures/mine.png",
    }
    for name in others:
        (folder / "runs" / name).parent.mkdir(exist_ok=True)
        (folder / "runs" / name).write_text("mine")
    shutil.copytree(small.run_of(folder, "vae", 1), tmp_path / "elsewhere")
    (folder / "runs" / f"vae-seed-7-{DIGEST}").symlink_to(tmp_path / "elsewhere")
    before = {path: path.read_bytes() for path in (tmp_path / "elsewhere").rglob("*.*")}
    run(stripes, folder, "supervised", overwrite=True, seeds=1)
    left = {
        str(path.relative_to(folder / "runs")) for path in (folder / "runs").rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    assert {name for name in left if not name.startswith("supervised-seed-0")} == others | {
        f"vae-seed-7-{DIGEST}"
    }
    assert {path: path.read_bytes() for path in (tmp_path / "elsewhere").rglob("*.*")} == before


@pytest.mark.parametrize("whole", [True, False], ids=["all runs", "one run"])
def test_a_link_is_not_overwritten(
    whole: bool, folder: Path, stripes: Dataset, tmp_path: Path
) -> None:
    linked = folder / "runs" if whole else small.run_of(folder, "supervised", 0)
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    message = f"{linked.name}: expected a folder to overwrite, got a symbol"
    with pytest.raises(InputError, match=message):
        run(stripes, folder, "supervised", overwrite=True)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.*") if p.is_file()} == before


def test_a_comparison_that_another_process_writes_is_refused(
    folder: Path, stripes: Dataset
) -> None:
    for place in (folder, small.run_of(folder, "supervised", 1)):
        with locked(place), pytest.raises(InputError, match=f"{place.name}: .*no other process"):
            run(stripes, folder, "supervised", "vae", overwrite=True)


# Fewer models than before


def test_resuming_with_fewer_models_keeps_the_rows_of_the_others(
    folder: Path, stripes: Dataset
) -> None:
    before, lines = without_seconds(folder), []
    kept = (small.run_of(folder, "vae", 0) / "metrics.json").read_bytes()
    run(stripes, folder, "supervised", resume=True, log=lines.append)
    assert without_seconds(folder) == before
    assert (small.run_of(folder, "vae", 0) / "metrics.json").read_bytes() == kept
    assert lines[0] == "vae: kept from before, 2 seeds"
    assert "vae</h2>" in (folder / "report.html").read_text()


def test_another_model_joins_those_that_are_there(folder: Path, stripes: Dataset) -> None:
    before = without_seconds(folder)
    run(stripes, folder, "m2", resume=True)
    assert list(table(folder)) == ["m2", "supervised", "vae", *REFERENCES]
    assert {name: row for name, row in without_seconds(folder).items() if name != "m2"} == before


def test_a_row_that_is_kept_covers_the_seeds_of_the_new_table(
    folder: Path, stripes: Dataset
) -> None:
    run(stripes, folder, "supervised", seeds=1, resume=True)
    expected = read(small.run_of(folder, "vae", 0), "metrics.json")["test"]["elbo"]
    assert float(table(folder)["vae"]["elbo_mean"]) == expected


def test_a_model_of_which_no_run_has_ended_has_no_row(folder: Path, stripes: Dataset) -> None:
    for seed in (0, 1):
        (small.run_of(folder, "vae", seed) / "metrics.json").unlink()
    run(stripes, folder, "supervised", resume=True)
    assert list(table(folder)) == ["supervised", *REFERENCES]


@pytest.mark.parametrize("arguments, message", [
    ({"seeds": 3}, "expected runs that have ended of vae .* got none for seed 2; name vae too"),
    ({"epochs": 2}, "vae-seed-0-.*: .* has epochs=1, got epochs=2; name vae too"),
])
def test_rows_that_would_not_compare_are_refused_before_any_training(
    arguments: dict[str, Any], message: str, folder: Path, stripes: Dataset
) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    with pytest.raises(InputError, match=message):
        run(stripes, folder, "supervised", resume=True, **arguments)
    assert {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()} == before


@pytest.mark.parametrize("key, value", [
    ("labels", 7), ("batch_labelled", 3), ("data", "digits"), ("precision", "bf16"),
    ("aggressive", True), ("patience", 4), ("hidden_labels", 1), ("model", "m2"),
])
def test_a_run_with_other_settings_has_no_row(
    key: str, value: Any, folder: Path, stripes: Dataset
) -> None:
    path = small.run_of(folder, "vae", 1) / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    wanted = "the folder is named by, vae, got one of m2" if key == "model" else f"{key}={value}"
    with pytest.raises(InputError, match=f"vae-seed-1-.*: .* {wanted}"):
        run(stripes, folder, "supervised", resume=True)


@pytest.mark.parametrize("name, content", [
    ("metrics.json", ""), ("metrics.json", "[1]"), ("metrics.json", "[" * 100_000),
    ("metrics.json", '{"model": "vae"}'), ("metrics.json", "\xff"),
    ("history.csv", ""), ("history.csv", "epoch,val_elbo\n1,high\n"),
    ("history.csv", "epoch,val_elbo\n1\n"), ("history.csv", "\xff\x00"), ("history.csv", None),
], ids=lambda value: repr(value)[:20])
def test_a_broken_file_of_a_run_that_is_kept_is_named(
    name: str, content: str | None, folder: Path, stripes: Dataset
) -> None:
    path = small.run_of(folder, "vae", 0) / name
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=f"{name}: expected .* of train"):
        run(stripes, folder, "supervised", resume=True)


@pytest.mark.parametrize("changes", [
    {"seconds": "long"}, {"seconds": 1e400}, {"options": []}, {"epochs": "all"},
    {"test": {"accuracy": "high"}}, {"test": {}}, {"test": {"accuracy": math.nan}},
    {"test": {"accuracy": 10**400}},
], ids=lambda changes: str(changes)[:40])
def test_metrics_of_another_kind_are_refused(
    changes: dict[str, Any], folder: Path, stripes: Dataset
) -> None:
    path = small.run_of(folder, "vae", 0) / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match="vae-seed-0-.*/metrics.json: expected "):
        run(stripes, folder, "supervised", resume=True)


@pytest.mark.parametrize("names, arguments, message", [
    (("vae", "vae"), {}, "expected different models to compare, got vae vae"),
    ((), {}, "expected different models to compare, got none"),
    (("vae", "m3"), {}, "unknown model 'm3'.*did you mean 'm2'"),
    (("supervised",), {"options": {"z_dim": 2}}, "unknown option 'z_dim'"),
    (("vae",), {"options": {"betas": 2}}, "unknown option 'betas'.*did you mean 'beta'"),
    (("vae",), {"options": {"alpha": 2}}, "unknown option 'alpha'"),
    (("supervised", "vae"), {"options": {"z_dim": 0}}, "> 0, got 0"),
    (("supervised", "vae"), {"options": {"likelihood": "poisson"}}, "unknown likelihood 'poisson'"),
    (("vae",), {"options": {"vea": {"beta": 2}}}, "model of this comparison 'vea'.*mean 'vae'"),
    (("vae",), {"options": {"vae": {"betas": 2}}}, "unknown option of vae 'betas'.*mean 'beta'"),
    (("vae",), {"options": {"guide.hiden": 2}}, "unknown option 'guide.hiden'.*'guide.hidden'"),
    (("vae",), {"epoch": 2}, "unknown argument 'epoch'.*did you mean 'epochs'"),
    (("supervised",), {"seeds": 0}, "seeds > 0, got 0"),
    (("supervised",), {"labels": 2}, "each of 3 classes, got labels=2"),
    (("supervised",), {"epochs": 0}, "epochs > 0, got 0"),
    (("supervised",), {"patience": 0}, "patience > 0, got 0"),
    (("supervised",), {"batch_labelled": 0}, "> 0, got 0"),
])
def test_bad_input_is_refused_and_leaves_no_folder(
    names: tuple[str, ...], arguments: dict[str, Any], message: str, stripes: Dataset,
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=message):
        run(stripes, tmp_path / "out", *names, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_data_that_one_pair_cannot_take_are_refused_before_any_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dataset = data.from_arrays(rng.normal(size=(90, 4)), np.arange(90) % 3, name="wide")
    options = {"hidden": (4,), "z_dim": 2, "likelihood": "bernoulli"}
    with pytest.raises(InputError, match="expected x within"):
        run(dataset, tmp_path / "out", "supervised", "vae", options=options)
    assert list(tmp_path.iterdir()) == []


def test_a_row_of_fewer_epochs_is_refused_before_any_training(
    folder: Path, stripes: Dataset
) -> None:
    before = (small.run_of(folder, "supervised", 0) / "checkpoint.pt").read_bytes()
    options = {"hidden": (4,), "z_dim": 3}
    with pytest.raises(InputError, match="vae-seed-0-.*: the run to keep .* has epochs=1"):
        run(stripes, folder, "supervised", "vae", options=options, epochs=2, resume=True)
    assert (small.run_of(folder, "supervised", 0) / "checkpoint.pt").read_bytes() == before


def test_runs_go_on_for_more_epochs(folder: Path, stripes: Dataset, tmp_path: Path) -> None:
    before = list((folder / "runs").glob("*"))
    lines: list[str] = []
    run(stripes, folder, "supervised", "vae", epochs=3, resume=True, log=lines.append)
    assert "supervised, seed 0: going on after epoch 1 of 3" in lines
    assert not any(path.exists() for path in before)
    run(stripes, tmp_path / "once", "supervised", "vae", epochs=3)
    assert without_seconds(folder) == without_seconds(tmp_path / "once")


# Several values


def test_every_value_has_a_row(stripes: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = {"hidden": (4,), "m2": {"z_dim": 2, "alpha": [1, 10.0]}}
    lines: list[str] = []
    result = run(
        stripes, out, "supervised", "m2", options=options, labels=[6, 9], seeds=[4, 2],
        log=lines.append,
    )
    assert {line.split(":")[0] for line in lines} == {
        f"{name}, seed {seed}" for name in result.results for seed in (4, 2)
    }
    assert list(result.results) == [
        f"{name}, labels={labels}{alpha}" for name, alphas in (
            ("supervised", [""]), ("m2", [", alpha=1", ", alpha=10"]),
        ) for labels in (6, 9) for alpha in alphas
    ] + [f"{name}, labels={labels}" for name in REFERENCES for labels in (6, 9)]
    for name, metrics in result.results.items():
        assert [run["split_seed"] for run in metrics] == [4, 2]
        assert f"labels={metrics[0].get('labels', 6)}" in name or name.startswith(REFERENCES)
    assert "m2, labels=6, alpha=1</h2>" in (out / "report.html").read_text()


def test_references_of_equally_many_labels_are_told_apart_by_their_classes(
    stripes: Dataset, tmp_path: Path
) -> None:
    names = stripes.target.names
    labels = [dict(zip(names, numbers)) for numbers in ((3, 3, 3), (1, 4, 4))]
    result = run(stripes, tmp_path / "out", "supervised", labels=labels, seeds=[0])
    for name in REFERENCES:
        assert {f"{name}, labels=3+3+3", f"{name}, labels=1+4+4"} <= set(result.results)


def test_another_value_joins_those_that_are_there(folder: Path, stripes: Dataset) -> None:
    run(stripes, folder, "vae", options={"hidden": (4,), "z_dim": 3}, resume=True)
    assert list(table(folder)) == ["vae, z_dim=3", "supervised", "vae, z_dim=2", *REFERENCES]


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_are_different_ones(seeds: list[int], stripes: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected different seeds, got"):
        run(stripes, tmp_path / "out", "vae", seeds=seeds)


def test_several_processes_train_the_same_runs(
    finished: Path, stripes: Dataset, tmp_path: Path
) -> None:
    run(stripes, tmp_path / "out", "supervised", "vae", jobs=2)
    assert without_seconds(tmp_path / "out") == without_seconds(finished)


def test_runs_of_a_comparison_are_runs_like_any_other(comparison: Path) -> None:
    folder = small.run_of(comparison, "m2", 1)
    metrics = read(folder, "metrics.json")
    assert runs.test_metrics(runs.load(folder, device="cpu")) == metrics["test"]


@pytest.mark.parametrize("name, figures", [
    ("m2", {"learning_curves", "samples", "analogies", "latent", "confusion", "reliability",
            "mistakes"}),
    ("vae", {"learning_curves", "samples", "latent"}),
    ("supervised", {"learning_curves", "confusion", "reliability", "mistakes"}),
])
def test_the_first_run_of_a_row_has_the_figures_of_its_pair(
    name: str, figures: set[str], comparison: Path
) -> None:
    assert not (small.run_of(comparison, name, 1) / "figures").exists()
    folder = small.run_of(comparison, name, 0) / "figures"
    assert {path.name for path in folder.iterdir()} == {f"{figure}.png" for figure in figures}


def test_an_option_goes_to_the_pairs_that_take_it(stripes: Dataset, tmp_path: Path) -> None:
    run(stripes, tmp_path / "out", "m2", "vae", seeds=1, options={"alpha": 3, "hidden": (4,)})
    folders = [small.run_of(tmp_path / "out", name, 0) for name in ("m2", "vae")]
    metrics = [read(folder, "metrics.json") for folder in folders]
    assert [m["options"]["alpha"] for m in metrics] == [3.0, 0.0]
    assert [m["options"]["hidden"] for m in metrics] == [[4], [4]]


def test_label_draws_of_other_numbers_by_class_have_rows_of_their_own(
    stripes: Dataset, tmp_path: Path
) -> None:
    labels = [{"0": 1, "1": 2, "2": 3}, {"0": 3, "1": 2, "2": 1}]
    lines: list[str] = []
    found = run(
        stripes, tmp_path / "out", "supervised", labels=labels, seeds=1, log=lines.append
    )
    assert sum("0: 3, 1: 2, 2: 1" in line for line in lines) == 1
    own = [name for name in found.results if name.startswith("supervised")]
    assert len(own) == 2 and "0: 1, 1: 2, 2: 3" in own[0]
    assert all(len(found.results[name]) == 1 for name in own)
