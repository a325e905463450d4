"""Multi-label data from ARFF files in Mulan's format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyro_ssvae.data import load
from pyro_ssvae.data.mulan import SHAPES, read_mulan
from pyro_ssvae.errors import InputError

N, D, L = SHAPES["emotions"]
LABELS = [f"mood-{k}" for k in range(L)]
RNG = np.random.default_rng(0)
X = RNG.normal(scale=50.0, size=(N, D)).round(4)
X[:, 3] = 7.0  # a feature that is the same everywhere
Y = RNG.integers(2, size=(N, L))


def write(
    folder: Path,
    x: np.ndarray[Any, Any] = X,
    y: np.ndarray[Any, Any] = Y,
    *,
    name: str = "emotions",
    labels: Sequence[str] = LABELS,
    named: Sequence[str] | None = None,
    first: bool = False,
) -> None:
    """A data set's two files; ``first`` puts the labels before the features."""
    head = [f"@attribute Att{j + 1} numeric" for j in range(x.shape[1])]
    tail = [f"@attribute {label} {{0,1}}" for label in labels]
    values = [[repr(float(v)) for v in row] for row in x]
    marks = [["?" if v < 0 else str(int(v)) for v in row] for row in y]
    rows = [",".join(b + a if first else a + b) for a, b in zip(values, marks)]
    attributes = tail + head if first else head + tail
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(["@relation music", "", *attributes, "", "@data", "", *rows])
    (folder / f"{name}.arff").write_text(text + "\n")
    tags = "".join(f'<label name="{label}"></label>\n' for label in named or labels)
    (folder / f"{name}.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<labels xmlns="http://mulan.sourceforge.net/labels">\n{tags}</labels>\n'
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mulan")
    write(folder)
    return folder


def damaged(root: Path, folder: Path, name: str, content: bytes | None) -> Path:
    """A copy of the root in which one file has other content, or is not there."""
    for path in root.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    return folder


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


# Found and read


@pytest.mark.parametrize("folder", [".", "multilabel"])
def test_files_are_read_wherever_they_may_lie(tmp_path: Path, folder: str) -> None:
    write(tmp_path / folder)
    x, y, names = read_mulan("emotions", tmp_path)
    assert np.array_equal(x, X) and np.array_equal(y, Y) and names == LABELS
    assert (x.dtype, y.dtype) == (np.float64, np.int64)


def test_the_root_may_be_a_string_or_in_the_environment(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert np.array_equal(read_mulan("emotions", str(root))[1], Y)
    monkeypatch.setenv("PYRO_SSVAE_DATA", str(root))
    assert np.array_equal(read_mulan("emotions")[1], Y)


def test_the_labels_are_the_attributes_that_the_xml_file_names_in_the_arff_files_order(
    tmp_path: Path
) -> None:
    write(tmp_path, named=LABELS[::-1], first=True)
    x, y, names = read_mulan("emotions", tmp_path)
    assert np.array_equal(x, X) and np.array_equal(y, Y)
    assert names == LABELS


def test_the_data_set_has_the_names_of_its_labels(root: Path) -> None:
    assert load("emotions", root).target.names == tuple(LABELS)


def test_a_question_mark_is_an_unknown_label(tmp_path: Path) -> None:
    y = np.where(RNG.random(Y.shape) < 0.2, -1, Y)
    write(tmp_path, y=y)
    assert np.array_equal(read_mulan("emotions", tmp_path)[1], y)


def test_features_have_mean_0_and_variance_1(root: Path) -> None:
    data = load("emotions", root)
    varying = [j for j in range(D) if j != 3]
    assert data.x.dtype == torch.float32
    expected = (X - X.mean(0))[:, varying] / X.std(0)[varying]
    assert np.allclose(data.x[:, varying], expected, atol=1e-6)
    assert data.x[:, 3].unique().tolist() == [0]


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_data_set_has_its_sizes_and_a_normal_likelihood(tmp_path: Path, name: str) -> None:
    n, d, labels = SHAPES[name]
    y = np.arange(n * labels).reshape(n, labels) // labels % 2
    x = np.arange(n * d).reshape(n, d) % 7
    write(tmp_path, x, y, name=name, labels=[f"L{k}" for k in range(labels)])
    data = load(name, tmp_path)
    assert (data.name, data.target.exclusive, data.target.sizes) == (name, False, (2,) * labels)
    assert (tuple(data.x.shape), tuple(data.y.shape)) == ((n, d), (n, labels))
    assert (len(data.test), data.validation) == (-(-n // 5), round(n / 10))
    assert data.kind == "features"


def test_a_data_set_is_the_same_every_time(root: Path) -> None:
    one, other = load("emotions", root), load("emotions", root)
    assert torch.equal(one.x, other.x)
    assert torch.equal(one.test, other.test)


# Refused


def test_missing_files_are_answered_with_where_to_put_them_and_where_they_are_from(
    tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        load("yeast", tmp_path)
    message = one_line(error)
    for part in ("yeast.arff", "yeast.xml", f"{tmp_path / 'multilabel'}", "got neither",
                 "mulan.sourceforge.net", "--data-root", "$PYRO_SSVAE_DATA"):
        assert part in message


@pytest.mark.parametrize(("gone", "left"), [("arff", "xml"), ("xml", "arff")])
def test_one_file_without_the_other_is_named(
    root: Path, tmp_path: Path, gone: str, left: str
) -> None:
    folder = damaged(root, tmp_path, f"emotions.{gone}", None)
    with pytest.raises(InputError) as error:
        load("emotions", folder)
    assert f"got {folder / f'emotions.{left}'} alone; put both there" in one_line(error)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"hello", b"\x00\x01\x02", b"\xff\xfe", b"PK\x03\x04",
        b"@relation x\n", b"@relation x\n@attribute a numeric\n", b"@relation x\n@attribute a",
        b"@relation x\n@attribute a numeric\n@attribute a numeric\n@data\n1,2\n",
        b"@relation x\n@attribute a string\n@data\nfoo\n",
        b"@relation x\n@attribute a numeric\n@data\n{0 1}\n",
        b"@relation x\n@attribute a numeric\n@data\nfoo\n",
        b"@relation x\n@attribute a numeric\n@attribute b {0,1}\n@data\n1,2\n",
    ],
    ids=lambda content: repr(content)[:40],
)
def test_a_file_that_is_no_arff_file_is_refused_in_one_line(
    root: Path, tmp_path: Path, content: bytes
) -> None:
    folder = damaged(root, tmp_path, "emotions.arff", content)
    with pytest.raises(InputError) as error:
        load("emotions", folder)
    assert one_line(error).startswith(f"{folder / 'emotions.arff'}: ")


@pytest.mark.parametrize("share", [0.0001, 0.001, 0.003, 0.01, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_a_truncated_arff_file_is_refused_in_one_line(
    root: Path, tmp_path: Path, share: float
) -> None:
    content = (root / "emotions.arff").read_bytes()
    folder = damaged(root, tmp_path, "emotions.arff", content[:int(share * len(content))])
    with pytest.raises(InputError) as error:
        load("emotions", folder)
    assert one_line(error).startswith(f"{folder / 'emotions.arff'}: ")


def test_an_arff_file_cut_off_after_a_whole_line_is_refused(tmp_path: Path) -> None:
    write(tmp_path, X[:400], Y[:400])
    with pytest.raises(InputError) as error:
        load("emotions", tmp_path)
    assert "expected 593 examples of 72 features and 6 labels, got 400 of 72 and 6" in one_line(
        error
    )


def test_other_numbers_of_features_or_labels_are_refused(tmp_path: Path) -> None:
    write(tmp_path, X, Y[:, :4], labels=LABELS[:4])
    with pytest.raises(InputError, match=r"emotions\.arff: expected .* got 593 of 72 and 4"):
        load("emotions", tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"hello", b"<labels>", b"<labels/>", b"\xff\xfe\x00", b"<a><b name='x'/></a>",
        b"<?xml version='1.0' encoding='klingon'?><labels><label name='x'/></labels>",
    ],
)
def test_a_file_that_names_no_labels_is_refused_in_one_line(
    root: Path, tmp_path: Path, content: bytes
) -> None:
    folder = damaged(root, tmp_path, "emotions.xml", content)
    with pytest.raises(InputError) as error:
        load("emotions", folder)
    assert one_line(error).startswith(f"{folder / 'emotions.xml'}: expected ")


def test_a_truncated_xml_file_is_refused(root: Path, tmp_path: Path) -> None:
    content = (root / "emotions.xml").read_bytes()
    folder = damaged(root, tmp_path, "emotions.xml", content[:len(content) // 2])
    with pytest.raises(InputError, match=r"emotions\.xml: expected an XML file of label names"):
        load("emotions", folder)


def test_a_label_without_an_attribute_is_named(tmp_path: Path) -> None:
    write(tmp_path, named=[*LABELS[1:], "mood-9"])
    with pytest.raises(InputError, match=r"emotions\.arff: .* for every label, .* for 'mood-9'"):
        load("emotions", tmp_path)


def test_a_feature_that_is_no_number_is_named(tmp_path: Path) -> None:
    write(tmp_path, named=LABELS[1:])
    with pytest.raises(InputError, match=r"emotions\.arff: .*numeric .* got nominal 'mood-0'"):
        load("emotions", tmp_path)


def test_a_label_of_other_values_is_named(root: Path, tmp_path: Path) -> None:
    text = (root / "emotions.arff").read_text().replace("mood-2 {0,1}", "mood-2 {0,1,2}")
    head, _, last = text.rstrip("\n").rpartition("\n")
    values = last.split(",")
    values[D + 2] = "2"
    content = "\n".join([head, ",".join(values)]).encode()
    folder = damaged(root, tmp_path, "emotions.arff", content)
    with pytest.raises(InputError, match=r"emotions\.arff: expected label 'mood-2' as 0 or 1,"):
        load("emotions", folder)


def test_an_unknown_feature_is_refused(root: Path, tmp_path: Path) -> None:
    text = (root / "emotions.arff").read_text().replace(repr(float(X[42, 5])), "?", 1)
    folder = damaged(root, tmp_path, "emotions.arff", text.encode())
    with pytest.raises(InputError, match="emotions: expected finite x.* index 42"):
        load("emotions", folder)


@pytest.mark.parametrize("value", ["1e400", "-1e400", "inf"])
def test_an_infinite_feature_is_named(root: Path, tmp_path: Path, value: str) -> None:
    text = (root / "emotions.arff").read_text().replace(repr(float(X[42, 5])), value, 1)
    folder = damaged(root, tmp_path, "emotions.arff", text.encode())
    with pytest.raises(InputError, match=r"arff: expected finite features, got -?inf as 'Att6'"):
        load("emotions", folder)
