"""The commands for what is trained, on runs of small pairs: predict, sample, calibrate, export."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small
import torch
from click.testing import CliRunner, Result
from matplotlib.image import imread
from PIL import Image

from pyro_ssvae import data, guides
from pyro_ssvae.cli import main
from pyro_ssvae.errors import InputError
from pyro_ssvae.evaluation.temperature import tempered
from pyro_ssvae.experiments import calibration, predictor, runs
from pyro_ssvae.experiments.calibrate import calibrate
from pyro_ssvae.experiments.export import export
from pyro_ssvae.experiments.predictor import encoded_label
from pyro_ssvae.labels import OneHots
from pyro_ssvae.targets import Number

RNG = np.random.default_rng(0)
KIND = RNG.integers(2, size=120)
FRAME = pd.DataFrame({
    "age": np.where(RNG.random(120) < 0.2, np.nan, 30 + 20 * KIND + RNG.normal(0, 12, 120)),
    "city": np.array(["oslo", "rome", None], dtype=object)[RNG.integers(3, size=120)],
    "member": RNG.random(120) < 0.3 + 0.4 * KIND,
})
IMAGES = RNG.integers(256, size=(120, 6, 6, 3), dtype=np.uint8)
Y: dict[str, Any] = {
    "frame": np.where(RNG.random(120) < 0.2, 1 - KIND, KIND).astype(str),
    "images": np.array(["cat", "dog"])[KIND],
    "labels": np.stack([KIND, RNG.integers(2, size=120)], 1),
    "number": KIND + RNG.normal(0, 3.0, 120),
}
X: dict[str, Any] = {
    "frame": FRAME, "images": IMAGES, "labels": RNG.random((120, 4)), "number": RNG.random((120, 4))
}
OPTIONS = {**small.SIZES, "lr": 0.03}
PAIRS = {"frame": "m2", "images": "m2", "labels": "factored", "number": "regression"}


def dataset(kind: str) -> data.Dataset:
    return data.from_arrays(X[kind], Y[kind], name="mine", validation=0.4)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of runs that nobody changes, by what they were trained on."""
    result = {}
    for each, name in PAIRS.items():
        result[each] = tmp_path_factory.mktemp("trained") / each
        with small.few_figures():
            runs.train(
                name, dataset(each).split(40), result[each],
                options=OPTIONS | {"likelihood": "mixed" if each == "frame" else "normal:1"},
                epochs=5, batch_unlabelled=10, device="cpu",
            )
    return result


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def printed(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refusal(*arguments: object) -> str:
    """The one line that a command says where it refuses its input."""
    result = call(*arguments)
    assert result.exit_code == 2 and result.stdout == "", result.output
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    return line


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def copied(folder: Path, out: Path) -> Path:
    out.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (out / path.name).write_bytes(path.read_bytes())
    return out


# predict


def test_a_table_is_predicted_with_the_label_and_the_probability_of_every_class(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    FRAME.assign(other=1).head(7).to_csv(tmp_path / "new.csv", index=False)
    rows = table(printed("predict", folders["frame"], tmp_path / "new.csv", "--device", "cpu"))
    trained = predictor.load(folders["frame"], device="cpu")
    assert list(rows[0]) == ["predicted", "p(0)", "p(1)"] and len(rows) == 7
    assert [row["predicted"] for row in rows] == trained.predict(FRAME[:7])
    given = np.array([[float(row["p(0)"]), float(row["p(1)"])] for row in rows])
    np.testing.assert_allclose(given, trained.probabilities(FRAME[:7]), rtol=1e-6)


@pytest.mark.parametrize(("kind", "columns"), [
    ("labels", ["predicted", "p(0)", "p(1)"]), ("number", ["predicted", "standard_deviation"]),
])
def test_arrays_are_predicted_from_a_file_or_a_table_to_a_file(
    folders: dict[str, Path], tmp_path: Path, kind: str, columns: list[str]
) -> None:
    np.savez(tmp_path / "new.npz", x=X[kind][:5])
    pd.DataFrame(X[kind][:5]).to_csv(tmp_path / "new.csv", index=False)
    text = printed("predict", folders[kind], tmp_path / "new.npz")
    said = printed("predict", folders[kind], tmp_path / "new.csv", "--out", tmp_path / "out.csv")
    assert said == f"5 rows; written to {tmp_path / 'out.csv'}\n"
    rows, trained = table(text), predictor.load(folders[kind])
    from_table = pd.read_csv(tmp_path / "out.csv")
    pd.testing.assert_frame_equal(from_table, pd.read_csv(io.StringIO(text)), rtol=1e-5)
    assert list(rows[0]) == columns
    labels = trained.predict(X[kind][:5])
    if kind == "number":
        moments = np.array([[float(value) for value in row.values()] for row in rows])
        np.testing.assert_allclose(moments, trained.probabilities(X[kind][:5]), rtol=1e-6)
        np.testing.assert_allclose(moments[:, 0], labels, rtol=1e-6)
    else:
        assert [row["predicted"] for row in rows] == [";".join(names) for names in labels]


def test_a_folder_of_images_is_predicted_file_by_file(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "new" / "deep").mkdir(parents=True)
    for place, name in enumerate(("b.png", "deep/a.png")):
        Image.fromarray(IMAGES[place]).save(tmp_path / "new" / name)
    rows = table(printed("predict", folders["images"], tmp_path / "new"))
    assert [row["file"] for row in rows] == ["b.png", "deep/a.png"]
    expected = predictor.load(folders["images"]).probabilities(IMAGES[:2])
    np.testing.assert_allclose(
        [[float(row["p(cat)"]), float(row["p(dog)"])] for row in rows], expected, rtol=1e-5
    )


def test_predictions_and_draws_are_printed_as_json_too(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    FRAME.head(3).to_csv(tmp_path / "new.csv", index=False)
    arguments = ("predict", folders["frame"], tmp_path / "new.csv")
    rows = json.loads(printed(*arguments, "--json"))
    assert [row["predicted"] for row in rows] == predictor.load(folders["frame"]).predict(FRAME[:3])
    assert all(row["p(0)"] + row["p(1)"] == pytest.approx(1) for row in rows)
    out = tmp_path / "out.csv"
    assert json.loads(printed(*arguments, "--out", out, "--json")) == {"rows": 3, "file": str(out)}
    drawn = json.loads(printed("sample", folders["number"], "--number", 2, "--json"))
    assert [list(row) for row in drawn] == [["x1", "x2", "x3", "x4"]] * 2
    grid = ("sample", folders["images"], "--number", 2, "--out", tmp_path / "grid.png", "--json")
    assert json.loads(printed(*grid)) == {"images": 2, "file": str(tmp_path / "grid.png")}


def test_files_that_do_not_go_with_the_run_are_refused_in_a_line(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    def file(name: str, **arrays: Any) -> Path:
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    frame, images, labels = (folders[each] for each in ("frame", "images", "labels"))
    FRAME.drop(columns="city").to_csv(tmp_path / "columns.csv", index=False)
    FRAME.assign(city="lima").to_csv(tmp_path / "levels.csv", index=False)
    FRAME.to_csv(tmp_path / "text.csv", index=False)
    (tmp_path / "empty").mkdir()
    for run, given, message in (
        (tmp_path / "empty", tmp_path / "text.csv", "a folder written by train, got no checkpoint"),
        (frame, tmp_path / "none.csv", "none.csv: expected a file of examples, .*got none there"),
        (frame, tmp_path / "columns.csv", "columns.csv: .*got a frame without city"),
        (frame, tmp_path / "levels.csv", "levels.csv: column 'city': expected one of .*'lima'"),
        (frame, file("x.npz", x=X["labels"]), "x.npz: expected a table FILE.csv"),
        (labels, file("y.npz", y=X["labels"]), "y.npz: expected an array x, got y"),
        (labels, file("wide.npz", x=np.ones((2, 9))), "wide.npz: .*4 columns .*, got 9 columns"),
        (labels, tmp_path / "text.csv", "text.csv: expected x as an array"),
        (images, tmp_path / "empty", "empty: expected images, got none"),
        (labels, tmp_path / "empty", r"empty: .* of shape \(4,\), got a folder of images"),
        (labels, labels / "metrics.json", "metrics.json: .*got a file of another name"),
    ):
        assert re.search(message, line := refusal("predict", run, given)), line


# sample


def test_rows_of_a_frame_are_drawn_for_every_label(folders: dict[str, Path]) -> None:
    text = printed("sample", folders["frame"], "--label", 1, "--label", 0, "--number", 5)
    rows = pd.read_csv(io.StringIO(text))
    assert rows.label.tolist() == [1] * 5 + [0] * 5
    assert set(rows.columns) == {"label", *FRAME.columns}
    assert set(rows.city) <= {"oslo", "rome"} and set(rows.member) <= {0, 1}
    assert -100 < rows.age.mean() < 200  # in years, and not standardised
    again = printed("sample", folders["frame"], "--label", 1, "--label", 0, "--number", 5)
    assert again == text
    assert printed("sample", folders["frame"], "--seed", 1) != printed("sample", folders["frame"])


def test_images_are_drawn_in_a_grid_with_a_column_for_each_label(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    run = copied(folders["images"], tmp_path / "run")
    said = printed("sample", run, "--label", "dog", "--number", 6)
    assert said == f"6 images; written to {run / 'samples.png'}\n"
    assert imread(run / "samples.png").shape[0] > 50
    out = tmp_path / "both.svg"
    said = printed("sample", run, "--label", "dog", "--label", "cat", "--number", 2, "--out", out)
    assert said.startswith("4 images") and "<svg" in out.read_text()


def test_drawn_images_have_the_form_of_those_that_were_given(folders: dict[str, Path]) -> None:
    trained = predictor.load(folders["images"])
    images, encoded = trained.sample("dog", 3), trained.sampled("dog", 3)
    assert images.shape == (3, 6, 6, 3) and encoded.shape == (3, 3, 6, 6)
    np.testing.assert_allclose(images, 255 * encoded.movedim(1, 3), rtol=1e-6)


def test_numbers_and_several_labels_are_drawn_too(folders: dict[str, Path]) -> None:
    rows = table(printed("sample", folders["number"], "--label", 2.5, "--number", 3))
    assert [list(row) for row in rows] == [["label", "x1", "x2", "x3", "x4"]] * 3
    assert len(table(printed("sample", folders["labels"], "--label", "1"))) == 16
    assert list(table(printed("sample", folders["labels"]))[0]) == ["x1", "x2", "x3", "x4"]


def test_a_label_is_encoded_as_the_pair_knows_it() -> None:
    assert encoded_label(small.classes(3), 2).tolist() == [0, 0, 1]
    several = encoded_label(small.several(2), "1")
    assert several[:2].isnan().all() and several[2:].tolist() == [0, 1]
    assert encoded_label(Number("y", loc=1.0, scale=2.0), "5").tolist() == [2]


def test_what_cannot_be_drawn_is_refused_in_a_line(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    for arguments, message in (
        ((folders["images"], "--label", "bird"), "label 'bird': expected one of cat, dog"),
        ((folders["number"], "--label", "tall"), "a real number as the label, got 'tall'"),
        ((folders["images"], "--number", 0), "expected number > 0, got 0"),
        ((folders["frame"], "--seed", 2**64), f"a seed of at most 64 bits, .* got {2**64}"),
        ((folders["images"], "--seed", -1), "a seed of at most 64 bits, .* got -1"),
        ((folders["images"], "--out", tmp_path / "a.csv"), "FILE.png or FILE.svg for images"),
        ((folders["frame"], "--out", tmp_path / "a.png"), "expected a file FILE.csv for a table"),
        ((folders["frame"], "--out", tmp_path / "no" / "a.csv"), "a file in a folder that is the"),
        ((tmp_path,), "expected a folder written by train, got no checkpoint.pt"),
    ):
        assert re.search(message, line := refusal("sample", *arguments)), line
    assert not list(tmp_path.iterdir())


# calibrate


def test_a_calibrated_run_predicts_at_its_temperature_until_it_is_trained_on(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    run, own = copied(folders["frame"], tmp_path / "run"), dataset("frame")
    before = predictor.load(run).predicted(FRAME)
    result = calibrate(run, dataset=own, device="cpu")
    assert result.after["nll"] < result.before["nll"] and result.examples == 48
    after = tempered(before, [2], result.temperatures)
    for again in (predictor.load(run), runs.load(run, dataset=own).predictor):
        assert again.temperatures == result.temperatures
        torch.testing.assert_close(again.predicted(FRAME), after)
    with small.few_figures():
        runs.train(
            "m2", own.split(40), run, options=OPTIONS | {"likelihood": "mixed"}, epochs=6,
            batch_unlabelled=10, device="cpu", resume=True,
        )
    assert not (run / "calibration.json").exists() and not predictor.load(run).temperatures


def test_the_test_part_has_no_part_in_a_calibration(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def part(self: data.Split, name: str, part: Any = data.Split.part) -> Any:
        asked.append(name)
        return part(self, name)

    monkeypatch.setattr(data.Split, "part", part)
    calibrate(copied(folders["number"], tmp_path / "run"), dataset=dataset("number"), device="cpu")
    assert asked == ["validation"]


def test_a_temperature_of_few_examples_is_warned_of(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyro_ssvae.experiments.calibrate.FEW", 49)
    run = copied(folders["frame"], tmp_path / "run")
    with pytest.warns(UserWarning, match="a temperature of 48 validation examples is hardly known"):
        calibrate(run, dataset=dataset("frame"), device="cpu")


def test_calibrate_shows_the_scores_before_and_after(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    FRAME.assign(kind=Y["frame"]).to_csv(tmp_path / "own.csv", index=False)
    split = data.load(str(tmp_path / "own.csv"), target="kind").split(40, validation=40)
    with small.few_figures():
        runs.train("m2", split, tmp_path / "run", options=OPTIONS, epochs=5, device="cpu",
                   batch_unlabelled=10)
    own = ("--data", tmp_path / "own.csv", "--target", "kind")
    said = printed("calibrate", tmp_path / "run", *own)
    assert said.split()[:2] == ["before", "after"] and "\nnll " in said and "\nece " in said
    kept = json.loads((tmp_path / "run" / "calibration.json").read_text())
    assert f"temperature {kept['temperatures'][0]:.4g}, of 40 validation examples" in said
    again = json.loads(printed("calibrate", tmp_path / "run", *own, "--json"))
    assert again == {"folder": str(tmp_path / "run"), **kept}


@pytest.mark.parametrize("option", [
    ("--target", "income"), ("--size", "8"), ("--corrupt", "skip"),
], ids=" ".join)
@pytest.mark.parametrize("command", ["evaluate", "calibrate"])
def test_how_data_are_read_is_refused_without_their_name(
    command: str, option: tuple[str, str], folders: dict[str, Path]
) -> None:
    assert f"expected {option[0]} beside --data alone" in refusal(
        command, folders["frame"], *option
    )


def test_calibrate_says_how_data_are_named_on_the_command_line(folders: dict[str, Path]) -> None:
    said = refusal("calibrate", folders["frame"])
    assert said.endswith("runs.load(FOLDER, dataset=...), or --data FILE on the command line")


def test_scores_that_are_not_finite_are_null_in_the_file(tmp_path: Path) -> None:
    scores = {"nll": float("inf")}
    calibration.write(tmp_path, calibration.Calibration((1.5,), 3, scores, scores))
    text = (tmp_path / "calibration.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["before"] == {"nll": None}


@pytest.mark.parametrize(("content", "message"), [
    ("{", "calibration.json: expected temperatures as calibrate writes them, got: "),
    ('{"temperatures": [-1]}', "where 1 numbers above 0 are wanted"),
    ('{"temperatures": [1, 2]}', "where 1 numbers above 0 are wanted"),
])
def test_a_broken_calibration_is_refused(
    folders: dict[str, Path], tmp_path: Path, content: str, message: str
) -> None:
    run = copied(folders["frame"], tmp_path / "run")
    (run / "calibration.json").write_text(content)
    with pytest.raises(InputError, match=message):
        predictor.load(run)


# export


def test_an_exported_classifier_runs_without_this_library_and_without_pyro(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    places = {"city": ["oslo", "rome"]}
    codes = FRAME.assign(city=FRAME.city.map(places["city"].index, na_action="ignore"))
    expected, given = {}, {}
    for kind in PAIRS:
        run = copied(folders[kind], tmp_path / kind)
        if kind in ("frame", "number"):
            calibrate(run, dataset=dataset(kind), device="cpu")
        order = []
        if kind == "images":
            said = printed("export", run, "--out", tmp_path / "images.pt2")
            about = json.loads(printed("export", run, "--out", tmp_path / "images.pt2", "--json"))
            assert about["file"] == str(tmp_path / "images.pt2") and not about["columns"]
        else:
            about = export(run, tmp_path / f"{kind}.pt2")
            order = [column["name"] for column in about["columns"]]
        given[kind] = codes[order].to_numpy(float) if order else X[kind].astype(np.float32)
        expected[kind] = predictor.load(run, device="cpu").probabilities(X[kind]).numpy()
    np.savez(tmp_path / "given.npz", **given)
    code = (
        "import sys\n"
        "sys.modules['pyro_ssvae'] = sys.modules['pyro'] = None\n"
        "import json, numpy, torch\n"
        "given, out = numpy.load('given.npz'), {}\n"
        "for kind in given.files:\n"
        "    extra = {'metadata.json': ''}\n"
        "    program = torch.export.load(f'{kind}.pt2', extra_files=extra).module()\n"
        "    out[kind] = program(torch.from_numpy(given[kind])).numpy()\n"
        "    one = program(torch.from_numpy(given[kind][:1])).numpy()\n"
        "    numpy.testing.assert_allclose(one, out[kind][:1], atol=1e-6)\n"
        "    print(json.loads(extra['metadata.json'])['outputs'])\n"
        "numpy.savez('out.npz', **out)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "['0', '1']", "['cat', 'dog']", "['0', '1']", "['mean', 'standard_deviation']",
    ]
    assert said.splitlines() == [
        "from x (n, 6, 6, 3) float32 to cat, dog; names and columns are in metadata.json",
        f"written to {tmp_path / 'images.pt2'}",
    ]
    out = np.load(tmp_path / "out.npz")
    for kind in PAIRS:
        np.testing.assert_allclose(out[kind], expected[kind], rtol=1e-5, atol=1e-6)


def test_a_classifier_that_averages_over_samples_is_exported(tmp_path: Path) -> None:
    stripes = small.stripes()
    with small.few_figures():
        runs.train("latentclassifier", stripes.split(20), tmp_path / "run", options=small.SIZES,
                   epochs=1, device="cpu")
    export(tmp_path / "run", tmp_path / "c.pt2")
    program = torch.export.load(tmp_path / "c.pt2").module()
    x = stripes.x[:9]
    expected = predictor.load(tmp_path / "run", device="cpu").probabilities(x.numpy())
    torch.testing.assert_close(program(x), expected.float(), rtol=0, atol=1e-6)


def drawn(guide: Any, x: torch.Tensor) -> OneHots:
    """A classifier that draws: what it says of x is another thing each time."""
    return OneHots(guide.classifier(guide.encoder(x).rsample((4,))).logits.logsumexp(0))


def test_what_cannot_be_exported_is_refused_in_a_line(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guides.LatentClassifier, "classify", drawn)
    with small.few_figures():
        for name in ("latentclassifier", "vae"):
            runs.train(name, small.stripes().split(20), tmp_path / name, options=small.SIZES,
                       epochs=1, device="cpu")
    out = tmp_path / "c.pt2"
    for arguments, message in (
        ((tmp_path / "latentclassifier", "--out", out), "LatentClassifier's, which averages over"),
        ((tmp_path / "vae", "--out", out), "expected a pair that predicts labels, got vae"),
        ((folders["frame"], "--out", tmp_path / "c.onnx"), "the name of a program, FILE.pt2"),
        ((folders["frame"], "--out", tmp_path / "no" / "c.pt2"), "in a folder that is th"),
        ((tmp_path / "nothing", "--out", out), "expected a folder written by train"),
    ):
        assert re.search(message, line := refusal("export", *arguments)), line
    assert not out.exists()
    with pytest.raises(InputError, match="expected a pair that predicts labels, got vae"):
        calibrate(tmp_path / "vae", dataset=small.stripes(), device="cpu")
    assert len(predictor.restored(tmp_path / "vae").sample(number=2)) == 2


def test_a_classifier_that_torch_cannot_trace_is_refused_in_silence(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def classify(self: guides.M2, x: torch.Tensor) -> Any:
        return self.classifier(x if x.sum() > 0 else -x)

    monkeypatch.setattr(guides.M2, "classify", classify)
    with pytest.raises(InputError, match="expected a classifier that torch.export can trace, got"):
        export(folders["frame"], tmp_path / "c.pt2")
    assert capfd.readouterr() == ("", "")


def test_a_classifier_of_one_number_of_rows_is_refused_with_what_to_write(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def classify(self: guides.M2, x: torch.Tensor) -> Any:
        return self.classifier(x.reshape(len(x), -1))

    monkeypatch.setattr(guides.M2, "classify", classify)
    with pytest.raises(InputError, match=r"x.flatten\(1\) or x.shape\[0\] in place of len\(x\)$"):
        export(folders["frame"], tmp_path / "c.pt2")
