"""Rows that are read for a device, in this process or by workers."""

import os
import runpy
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import made
import pytest
import torch
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

import pyro_ssvae
from pyro_ssvae.data.reading import Reader
from pyro_ssvae.errors import InputError

SHAPE = (40, 2, 4, 3)
BATCHES = torch.randperm(40, generator=torch.Generator().manual_seed(0)).split(9)
WORKERS = pytest.mark.parametrize("workers", [0, 1, 2])


@WORKERS
def test_a_stream_is_the_rows_at_its_indices_in_order(workers: int) -> None:
    rows = made.Rows(*SHAPE)
    came = list(Reader(rows, workers=workers).stream(BATCHES))
    for images, index in zip(came, BATCHES, strict=True):
        assert images.dtype == torch.float32
        assert torch.equal(images, rows[index])


def test_workers_read_and_this_process_does_not() -> None:
    rows = made.Rows(*SHAPE)
    list(Reader(rows, workers=2).stream(BATCHES))
    assert rows.seen == []


def test_without_workers_nothing_is_read_before_it_is_wanted() -> None:
    rows = made.Rows(*SHAPE)
    next(Reader(rows, workers=0).stream(BATCHES))
    assert rows.seen == BATCHES[0].tolist()


def test_one_batch_is_not_worth_a_worker() -> None:
    rows = made.Rows(*SHAPE)
    list(Reader(rows, workers=2).stream(BATCHES[:1]))
    assert rows.seen == BATCHES[0].tolist()


def test_no_batches_are_an_empty_stream() -> None:
    assert list(Reader(made.Rows(*SHAPE)).stream([])) == []


@pytest.mark.parametrize("index", [torch.tensor(3), torch.tensor([[3, 1], [0, 9]])])
def test_the_shape_of_the_indices_comes_first(index: torch.Tensor) -> None:
    rows = made.Rows(*SHAPE)
    reader = Reader(rows, workers=0)
    expected = rows[index.flatten()].view(*index.shape, 2, 4, 3)
    assert torch.equal(reader[index], expected)
    (came,) = reader.stream([index])
    assert torch.equal(came, expected)


@WORKERS
def test_the_global_random_numbers_are_left_as_they_are(workers: int) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    list(Reader(made.Rows(*SHAPE), workers=workers).stream(BATCHES))
    assert torch.equal(torch.rand(3), expected)


@WORKERS
def test_a_broken_file_is_named_in_a_line(workers: int) -> None:
    stream = Reader(made.Broken(*SHAPE), workers=workers).stream(BATCHES)
    message = "patient7/view1.jpg: expected an image, got a broken file"
    with pytest.raises(InputError) as error:
        list(stream)
    assert str(error.value) == message


@WORKERS
def test_an_image_of_another_size_is_refused(workers: int) -> None:
    stream = Reader(made.Uneven(*SHAPE), workers=workers).stream(BATCHES)
    with pytest.raises(InputError, match=r"^expected example 7 .* \(2, 4, 3\), .* \(2, 4, 2\)$"):
        list(stream)


def test_a_worker_that_is_killed_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    look = _MultiProcessingDataLoaderIter._try_get_data  # whether all live, every five seconds
    monkeypatch.setattr(look, "__defaults__", (0.2,))
    stream = Reader(made.Deadly(*SHAPE), workers=2).stream(BATCHES)
    with pytest.raises(InputError, match=r"^expected workers .* died or was killed.*workers=0.*$"):
        list(stream)


def test_workers_leave_interrupts_to_the_process_that_trains() -> None:
    rows = made.Interrupted(*SHAPE)
    came = torch.cat(list(Reader(rows, workers=2).stream(BATCHES)))
    assert torch.equal(came, made.Rows(*SHAPE)[torch.cat(BATCHES)])


def test_a_stream_can_be_left_and_another_read_meanwhile() -> None:
    rows = made.Rows(*SHAPE)
    reader = Reader(rows, workers=1)
    first, second = reader.stream(BATCHES), reader.stream(BATCHES[::-1])
    pairs = list(islice(zip(first, second), 2))
    first.close()
    assert torch.equal(pairs[1][0], rows[BATCHES[1]])
    assert torch.equal(pairs[1][1], rows[BATCHES[-2]])
    assert torch.equal(next(second), rows[BATCHES[-3]])


def test_rows_that_cannot_be_sent_to_a_worker_are_refused() -> None:
    class Local(made.Rows):
        pass

    with pytest.raises(InputError, match=r"^expected rows that can be sent .* workers=0"):
        list(Reader(Local(*SHAPE), workers=1).stream(BATCHES))


def test_a_negative_number_of_workers_is_refused() -> None:
    with pytest.raises(InputError, match="workers >= 0, got -1"):
        Reader(made.Rows(*SHAPE), workers=-1)


def test_a_script_without_a_guard_is_not_run_again_by_its_workers(tmp_path: Path) -> None:
    script, notes = tmp_path / "script.py", tmp_path / "notes"
    script.write_text(
        f"open({str(notes)!r}, 'a').write('once ')\n"
        "import made, torch\n"
        "from pyro_ssvae.data.reading import Reader\n"
        "stream = Reader(made.Rows(40, 1, 2, 2), workers=2).stream(torch.arange(40).split(9))\n"
        f"open({str(notes)!r}, 'a').write(str(len(list(stream))))\n"
    )
    runpy.run_path(str(script), run_name="__main__")
    assert notes.read_text() == "once 5"


def test_workers_end_with_a_process_that_is_killed() -> None:
    code = (
        "import made, multiprocessing, os, signal, torch\n"
        "from pyro_ssvae.data.reading import Reader\n"
        "stream = Reader(made.Rows(40, 1, 2, 2), workers=2).stream(torch.arange(40).split(9))\n"
        "next(stream)\n"
        "print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(pyro_ssvae.__file__).parents[1])},
    )
    workers = [Path("/proc", pid) for pid in result.stdout.split()]
    assert len(workers) == 2
    began = time.monotonic()
    while any(map(alive, workers)) and time.monotonic() < began + 30:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def alive(process: Path) -> bool:
    """Whether a process, by its folder in /proc, has not ended; a zombie has."""
    try:
        return process.joinpath("stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
