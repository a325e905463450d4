"""Files are written whole or not at all."""

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pyro_ssvae import InputError
from pyro_ssvae.experiments import checkpoint
from pyro_ssvae.system.files import locked, replacing, write_text


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_text_is_written_as_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "σ = 1\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xcf\x83 = 1\n"


def test_a_file_may_be_named_by_a_string(tmp_path: Path) -> None:
    write_text(str(tmp_path / "a.txt"), "text")
    assert (tmp_path / "a.txt").read_text() == "text"


def test_a_file_that_is_there_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a longer old text")
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert names(tmp_path) == {"a.txt"}


def test_the_temporary_is_beside_the_file_and_ends_like_it(tmp_path: Path) -> None:
    with replacing(tmp_path / "figure.png") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        assert temporary.name != "figure.png"


def test_the_file_appears_only_when_the_block_is_done(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("text")
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_text() == "text"


@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)], ids=oct)
def test_the_umask_says_who_may_read_a_new_file(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        with replacing(tmp_path / "a.txt") as temporary:
            assert temporary.stat().st_mode & 0o777 == mode  # from the beginning
            temporary.write_text("text")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666], ids=oct)
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "a.txt").chmod(mode)
    with replacing(tmp_path / "a.txt") as temporary:
        assert temporary.stat().st_mode & 0o777 & ~(mode | 0o200) == 0
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(error), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half of the ne")
        raise error
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


def test_a_failure_where_no_file_was_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert names(tmp_path) == set()


def test_text_that_cannot_be_encoded_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "lone surrogate \ud800")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


def test_a_file_that_cannot_be_replaced_leaves_no_temporary(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_text(tmp_path / "folder", "text")
    assert names(tmp_path) == {"folder"}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        write_text(tmp_path / "missing" / "a.txt", "text")
    assert names(tmp_path) == set()


# A full disk


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file grow above 10 kB, which to a process is as a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


def test_text_without_room_leaves_the_old_file_and_one_line_says_so(
    tmp_path: Path, small_files: None
) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(InputError, match=r"a\.txt: expected room to write it, got: File too large"):
        write_text(tmp_path / "a.txt", "long" * 5_000)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


def test_a_checkpoint_without_room_leaves_the_old_one_and_one_line_says_so(
    tmp_path: Path, small_files: None
) -> None:
    (tmp_path / "checkpoint.pt").write_text("old")
    with pytest.raises(InputError, match=r"checkpoint\.pt: expected room to write it, got: File"):
        checkpoint.save(tmp_path, {"weights": torch.zeros(10_000)})
    assert (tmp_path / "checkpoint.pt").read_text() == "old"
    assert names(tmp_path) == {"checkpoint.pt"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_from_other_errors(tmp_path: Path, number: int) -> None:
    with pytest.raises(InputError) as error, replacing(tmp_path / "a.txt"):
        raise OSError(number, "of the system")
    assert f"{tmp_path / 'a.txt'}: expected room to write it, got: {os.strerror(number)}" in str(
        error.value
    )
    with pytest.raises(PermissionError), replacing(tmp_path / "a.txt"):
        raise PermissionError(errno.EACCES, "of the system")
    assert names(tmp_path) == set()


# Locks

HOLDER = """
import sys
from pathlib import Path
from pyro_ssvae.system.files import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has locked the folder ``out``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "out")], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def test_a_folder_that_another_process_writes_to_is_refused(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(InputError, match=rf"out: .* process {holder.pid} is writing to"):
        with locked(tmp_path / "out"):
            raise AssertionError("two processes have the lock")


def test_the_lock_goes_with_its_owner_though_that_is_killed(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.wait()
    with locked(tmp_path / "out"):
        assert (tmp_path / "out" / ".lock").read_text() == f"{os.getpid()}\n"
    assert names(tmp_path / "out") == set()


def test_a_folder_is_free_again_after_the_block(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locked(tmp_path / "out"):
            raise ZeroDivisionError
    assert names(tmp_path / "out") == set()


def test_a_folder_made_for_the_lock_is_left_only_where_something_is_in_it(tmp_path: Path) -> None:
    with locked(tmp_path / "deep" / "empty"):
        pass
    assert names(tmp_path) == set()
    with locked(tmp_path / "deep" / "used"):
        write_text(tmp_path / "deep" / "used" / "a.txt", "text")
    assert names(tmp_path / "deep" / "used") == {"a.txt"}


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with locked(tmp_path / "mine"):
        pass
    assert names(tmp_path) == {"mine"}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: expected a folder to write to, got a file"):
        with locked(tmp_path / "file"):
            raise AssertionError("a file was locked")
