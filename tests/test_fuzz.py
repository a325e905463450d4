"""Damaged files: every reader gives an InputError, or what the file still holds.

Each reader sees 2,000 mutations of a small valid file. ``make soak`` shows it 100,000 and writes
what came of them to ``soak.json``.
"""

from __future__ import annotations

import bz2
import fcntl
import gzip
import io
import itertools
import json
import math
import os
import shutil
import struct
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import image_sources
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from pyro_ssvae import InputError, data
from pyro_ssvae.data import Dataset, Split, adult, elpv, idx, mediamill, mulan, svhn
from pyro_ssvae.experiments import checkpoint, folder, machine, prepared, recorded, runs

MUTATIONS = int(os.environ.get("SOAK", 2_000))
RESULT = os.environ.get("SOAK_RESULT")  # a file to add the counts to

Read = Callable[[Path], object]

# What files of these kinds are made of, among it what has broken readers.
WORDS = [
    b"0", b"1", b"-1", b"1e400", b"nan", b"Infinity", b"-Infinity", b"null", b"true", b"?", b"",
    b"99999999999999999999999", b"[", b"]", b"{", b"}", b'"', b",", b":", b"\n", b"\r", b"\x00",
    b"\xff\xff\xff\xff", b"\x80", b"<", b">", b"&", b"<?xml version='1.0' encoding='klingon'?>",
    b"@attribute", b"@data", b"numeric", b"string", b"{0,1}", b"%", b"'", b"[" * 3_000,
]


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with one to four faults."""
    result = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        start, end = sorted(rng.integers(0, len(result) + 1, size=2).tolist())
        end = min(end, start + int(rng.integers(1, 65)))
        match rng.integers(8):
            case 0 if result:  # a bit
                result[min(start, len(result) - 1)] ^= 1 << int(rng.integers(8))
            case 1 if result:  # a byte
                result[min(start, len(result) - 1)] = int(rng.integers(256))
            case 2:  # an end
                del result[start:]
            case 3:  # a gap
                del result[start:end]
            case 4:  # a word
                result[start:start] = WORDS[rng.integers(len(WORDS))]
            case 5:  # a word in place of others
                result[start:end] = WORDS[rng.integers(len(WORDS))]
            case 6:  # a part twice
                result[start:start] = result[start:end]
            case 7:  # a part elsewhere
                place = int(rng.integers(0, len(result) + 1))
                result[place:place + end - start] = result[start:end]
    return bytes(result)


def check(
    path: Path, read: Read, content: Callable[[np.random.Generator], bytes], name: str = "",
    times: int = MUTATIONS,
) -> None:
    """Read mutations of a file, and raise the first exception that is no InputError.

    The file itself is read first: it is valid.
    """
    read(path)
    rng, refused, broken = np.random.default_rng(0), 0, []
    began = time.perf_counter()
    for number in range(times):
        mutation = content(rng)
        path.write_bytes(mutation)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(path)
        except InputError:
            refused += 1
        except Exception as error:
            error.add_note(f"mutation {number} of {name or path.name}: {mutation[:300]!r}")
            broken.append(error)
    if RESULT:
        record(name or path.name, times, refused, len(broken), time.perf_counter() - began)
    if broken:
        raise broken[0]
    assert refused


def record(name: str, times: int, refused: int, failures: int, seconds: float) -> None:
    """Add what came of a reader's mutations to the file of results, which tests share."""
    with open(str(RESULT), "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        result = json.loads(file.read() or '{"readers": {}}')
        result["versions"] = machine.versions()
        result["readers"][name] = {
            "mutations": times, "refused": refused, "failures": failures,
            "seconds": round(seconds, 1),
        }
        file.truncate(0)
        file.write(json.dumps(result, indent=2, sort_keys=True) + "\n")


def mutations(path: Path) -> Callable[[np.random.Generator], bytes]:
    content = path.read_bytes()
    return lambda rng: mutated(content, rng)


# Data


@pytest.mark.parametrize("packed", [False, True], ids=["idx", "gz"])
@pytest.mark.parametrize("name, header, size", [
    ("train-images-idx3-ubyte", (2051, 2, 28, 28), 2 * 784),
    ("train-labels-idx1-ubyte", (2049, 20), 20),
], ids=["images", "labels"])
def test_mnist(
    name: str, header: tuple[int, ...], size: int, packed: bool, tmp_path: Path
) -> None:
    content = struct.pack(f">{len(header)}i", *header) + bytes(range(10)) * (size // 10 + 1)
    content = content[:4 * len(header) + size]
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)
    check(path, lambda _: idx.read(tmp_path, name), mutations(path))


@pytest.fixture
def emotions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two files in Mulan's format, of 12 examples, two features and two labels."""
    monkeypatch.setitem(mulan.SHAPES, "emotions", (12, 2, 2))
    rows = [f"{i / 7},{i * -3.5},{i % 2},{i // 6}" for i in range(12)]
    (tmp_path / "emotions.arff").write_text("\n".join([
        "@relation music", "@attribute a numeric", "@attribute b numeric",
        "@attribute calm {0,1}", "@attribute sad {0,1}", "@data", *rows, "",
    ]))
    (tmp_path / "emotions.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<labels xmlns="http://mulan.sourceforge.net">\n'
        '<label name="calm"></label><label name="sad"></label></labels>\n'
    )
    return tmp_path


@pytest.mark.parametrize("name", ["emotions.arff", "emotions.xml"])
def test_mulan(name: str, emotions: Path) -> None:
    check(emotions / name, lambda path: data.load("emotions", emotions), mutations(emotions / name))


@pytest.fixture
def frames_of_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with mediamill's two files, of 6 and 3 examples, two features and two labels."""
    sizes = {"mediamill-train.dump.bz2": 6, "mediamill-test.dump.bz2": 3}
    for name, value in (("EXAMPLES", sizes), ("FEATURES", 2), ("LABELS", 2)):
        monkeypatch.setattr(mediamill, name, value)
    for name, number in sizes.items():
        x = np.linspace(0, 1, 2 * number).reshape(number, 2)
        y = np.arange(2 * number).reshape(number, 2) % 2
        parts = b"".join(
            b"S'%s'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n"
            b"(I%d\nI2\ntcnumpy\ndtype\n(S'%s'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
            b"S%s\ntbs" % (key, number, code, repr(array.tobytes())[1:].encode())
            for key, code, array in ((b"y", b"i8", y), (b"X", b"f8", x))
        )
        (tmp_path / name).write_bytes(bz2.compress(b"(dp0\n" + parts + b"."))
    return tmp_path


def test_mediamill(frames_of_news: Path) -> None:
    path = frames_of_news / "mediamill-train.dump.bz2"
    check(path, lambda _: data.load("mediamill", frames_of_news), mutations(path))


def test_pickle_of_mediamill(frames_of_news: Path) -> None:
    """Faults in the pickle alone, with the checksums put right."""
    path = frames_of_news / "mediamill-train.dump.bz2"
    pickled = bz2.decompress(path.read_bytes())
    check(
        path, lambda _: data.load("mediamill", frames_of_news),
        lambda rng: bz2.compress(mutated(pickled, rng)), "mediamill's pickle",
    )


@pytest.mark.parametrize("file", ["cifar-100-binary/test.bin", "cifar-100-python/test"])
def test_cifar(file: str, tmp_path: Path) -> None:
    folder = tmp_path / Path(file).parent
    folder.mkdir()
    names, pixels = [f"class {k}" for k in range(100)], image_sources.bytes_of(2, 3072)
    for part in ("train", "test"):
        content = {"data": pixels, "fine_labels": [7, 99]}
        (folder / part).write_bytes(image_sources.python_2(content))
        (folder / f"{part}.bin").write_bytes(b"".join(b"\0\7" + row.tobytes() for row in pixels))
    (folder / "meta").write_bytes(image_sources.python_2({"fine_label_names": names}))
    (folder / "fine_label_names.txt").write_text("\n".join(names))
    path = tmp_path / file
    check(path, lambda _: data.load("cifar100", tmp_path), mutations(path), times=MUTATIONS // 4)


def test_svhn(tmp_path: Path) -> None:
    for name in svhn.FILES:
        savemat(tmp_path / name, {
            "X": image_sources.bytes_of(32, 32, 3, 2), "y": np.array([[1], [10]], np.uint8),
        })
    path = tmp_path / svhn.FILES[0]
    check(path, lambda _: data.load("svhn", tmp_path), mutations(path), times=MUTATIONS // 4)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_images_of_a_folder(suffix: str, tmp_path: Path) -> None:
    for label in ("train/cat", "train/dog", "test/cat"):
        image_sources.image(tmp_path / label / f"0.{suffix}", image_sources.bytes_of(12, 8, 3))
    path = tmp_path / "train" / "cat" / f"0.{suffix}"
    check(path, lambda _: data.load(str(tmp_path)), mutations(path), times=MUTATIONS // 4)


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table of 4 solar cells and their images."""
    monkeypatch.setattr(elpv, "CELLS", 4)
    (tmp_path / "images").mkdir()
    pixels = np.arange(90_000).reshape(300, 300) // 600
    for number in range(4):
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"images/cell{number}.png")
    rows = [f"images/cell{i}.png  {i % 2}.0  {('mono', 'poly')[i // 2]}" for i in range(4)]
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_elpv(cells: Path) -> None:
    check(cells / "labels.csv", lambda _: elpv.read_elpv(cells), mutations(cells / "labels.csv"))


def test_image_of_elpv(cells: Path) -> None:
    path = cells / "images/cell2.png"
    check(path, lambda path: elpv._shrunk(path), mutations(path))


@pytest.mark.parametrize("name", ["adult.data", "adult.test"])
def test_adult(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adult, "EXAMPLES", {"adult.data": 12, "adult.test": 12})
    for file, dot in (("adult.data", ""), ("adult.test", ".")):
        rows = [
            f"{20 + i}, Private, {i}, {i % 5 + 5}th, {i}, {'??ABC'[i % 5]}, Sales, Wife, White,"
            f" Male, 0, {i * i}, 40, Cuba, {('<=50K', '>50K')[i % 2]}{dot}\n" for i in range(12)
        ]
        (tmp_path / file).write_text("|1x3 Cross validator\n" * bool(dot) + "".join(rows) + "\n")
    check(tmp_path / name, lambda _: data.load("adult", tmp_path), mutations(tmp_path / name))


def test_arrays_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, x=np.arange(60, dtype=np.uint8).reshape(20, 3), y=np.array(["a", "b"] * 10))
    check(path, lambda path: data.load(str(path)), mutations(path))


def test_table_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    rows = [f"{i},{['oslo', 'rome', ''][i % 3]},{['a', 'b'][i % 2]}" for i in range(20)]
    path.write_text("\n".join(["age,city,y", *rows]) + "\n")
    check(path, lambda path: data.load(str(path), target="y"), mutations(path))


# Runs


@pytest.fixture(scope="module")
def toy() -> Dataset:
    rng = np.random.default_rng(0)
    return data.from_arrays(rng.random((40, 3)), np.arange(40) % 2, name="toy")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy: Dataset) -> Path:
    out = tmp_path_factory.mktemp("fuzz") / "run"
    train(toy, out)
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a run of two epochs."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def train(toy: Dataset, out: Path) -> object:
    return runs.train(
        "supervised", toy.split(4, seed=0), out, options={"hidden": (2,)}, epochs=2, patience=3,
        device="cpu",
    )


@pytest.mark.parametrize("name, read", [
    ("history.csv", folder.read_history), ("metrics.json", folder.read_metrics),
    ("data.json", recorded.read_description),
])
def test_results(name: str, read: Read, run: Path) -> None:
    check(run / name, lambda path: read(path.parent), mutations(run / name))


def test_split(run: Path, toy: Dataset) -> None:
    check(run / "split.json", lambda path: Split.load(path, toy), mutations(run / "split.json"))


def test_checkpoint(run: Path, toy: Dataset) -> None:
    path = run / "checkpoint.pt"
    check(path, lambda _: runs.load(run, dataset=toy, device="cpu"), mutations(path))


def test_pickle_of_a_checkpoint(run: Path) -> None:
    """Faults in the pickle alone, with the checksums put right."""
    path = run / "checkpoint.pt"
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in records if name.endswith("data.pkl"))

    def content(rng: np.random.Generator) -> bytes:
        result = io.BytesIO()
        with zipfile.ZipFile(result, "w") as archive:
            for name, record in records.items():
                archive.writestr(name, mutated(record, rng) if name == pickled else record)
        return result.getvalue()

    check(path, lambda _: checkpoint.read(run, torch.device("cpu")), content, "data.pkl")


def test_parts_of_a_checkpoint(run: Path, toy: Dataset) -> None:
    """Values of other types and sizes anywhere in what a checkpoint holds.

    They are a quarter of the mutations, for here a pair is built for each.
    """
    path = run / "checkpoint.pt"
    saved = torch.load(path, weights_only=True)

    def content(rng: np.random.Generator) -> bytes:
        result = io.BytesIO()
        torch.save(replaced(saved, rng), result)
        return result.getvalue()

    turn = itertools.cycle([
        lambda: runs.load(run, dataset=toy, device="cpu"),
        lambda: prepared.prepare(
            "supervised", toy.split(4, seed=0), run, options={"hidden": (2,)}, epochs=3,
            patience=3, device="cpu", resume=True,
        ),
    ])

    def read(path: Path) -> None:
        next(turn)()

    check(path, read, content, "checkpoint.pt (parts)", times=MUTATIONS // 4)


VALUES = [
    None, True, 0, -1, 7, 10**30, 0.5, math.nan, math.inf, "", "m2", "toy", [], [1], [[1]], {},
    {"a": 1}, {1: 2}, (), (1, 2), torch.zeros(()), torch.zeros(2, 2), torch.tensor([math.nan]),
    torch.zeros(0), torch.ones(1).expand(10**9), torch.ones(2, dtype=torch.int64),
]


def replaced(content: Any, rng: np.random.Generator) -> Any:
    """A copy in which one value, however deep, is another, missing or there under another name."""
    inner = isinstance(content, (dict, list, tuple)) and len(content)
    if not inner or rng.random() < 0.1:
        return VALUES[rng.integers(len(VALUES))]
    if isinstance(content, dict):
        name = list(content)[rng.integers(len(content))]
        others = {key: value for key, value in content.items() if key != name}
        if rng.random() < 0.1:
            return others
        if rng.random() < 0.1:
            return others | {[7, "other", None][rng.integers(3)]: content[name]}
        return content | {name: replaced(content[name], rng)}
    place = int(rng.integers(len(content)))
    return type(content)(
        replaced(value, rng) if i == place else value for i, value in enumerate(content)
    )
