"""Several processes started by torchrun: what a user sees, signals, and processes that are lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import small
from click.testing import CliRunner
from ranks import assert_same, free_port

from pyro_ssvae.cli import main
from pyro_ssvae.experiments import folder as folders

EPOCHS = 20
TRAIN = (
    "train", "m2", "--data", "digits", "--labels", "20", "--unlabelled", "200", "--device", "cpu",
    "--epochs", str(EPOCHS), "--set", "hidden=5", "--set", "z_dim=2", "--batch-unlabelled", "20",
)
PATIENCE = 120.0  # seconds for a process on a busy machine to begin


@contextmanager
def started(command: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process with this environment beside the test's own, which ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def both(*arguments: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes of this library's command, as torchrun starts them."""
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = ["pyro_ssvae", *arguments]
    with started(command, RANK="0", **shared) as first, started(command, RANK="1", **shared) as two:
        yield [first, two]


def epochs_of(folder: Path) -> int:
    path = folder / folders.HISTORY
    return len(folders.read_history(folder)) if path.exists() else 0


def wait_for_epochs(folder: Path, number: int) -> None:
    until = time.monotonic() + PATIENCE
    while epochs_of(folder) < number:
        assert time.monotonic() < until, "no epochs"
        time.sleep(0.05)


def history(folder: Path) -> list[Mapping[str, float]]:
    return [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in folders.read_history(folder)
    ]


@pytest.mark.parametrize("arguments, said", [
    (("train", "m2", "--epoch", "3"), "No such option"),
    (("compare", "m2", "--out", "x"), "Error: expected one process for compare, got WORLD_SIZE=2"),
])
def test_a_mistake_is_told_by_one_process(arguments, said) -> None:
    with both(*arguments) as processes:
        outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    assert said in outputs[0][1] and outputs[1] == ("", "")


def test_what_is_lost_or_stopped_is_gone_on_with_by_any_number(tmp_path) -> None:
    folder, whole = tmp_path / "run", tmp_path / "whole"
    torchrun = ["torch.distributed.run", "--nproc-per-node", "2", "--master-port",
                str(free_port()), "-m", "pyro_ssvae", *TRAIN, "--out", str(folder)]
    with started(torchrun) as job:
        wait_for_epochs(folder, 1)
        children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        began = time.monotonic()
        _, errors = job.communicate(timeout=30)
        assert job.returncode != 0 and time.monotonic() - began < 30
    done = epochs_of(folder)
    assert 1 <= done < EPOCHS

    with both(*TRAIN, "--out", str(folder), "--resume") as processes:
        wait_for_epochs(folder, done + 1)
        processes[1].send_signal(signal.SIGTERM)  # to one of them: they stop together
        outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [128 + signal.SIGTERM] * 2
    assert outputs[1] == ("", "")
    assert f"; saved in {folder}; go on with: torchrun --nproc-per-node 2 -m pyro_ssvae train" in (
        outputs[0][1]
    )
    assert epochs_of(folder) < EPOCHS and not (folder / folders.METRICS).exists()

    for arguments in (["--out", str(folder), "--resume"], ["--out", str(whole)]):
        with small.few_figures():
            result = CliRunner().invoke(main, [*TRAIN, *arguments])
        assert result.exit_code == 0, result.output
    assert_same(history(folder), history(whole), rtol=1e-4, atol=1e-5)
    records = [folders.read_metrics(each)[0] for each in (folder, whole)]
    assert records[0].digest == records[1].digest
