"""Files that are written whole or not at all, into folders that one process writes to at a time."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pyro_ssvae.errors import InputError

LOCK = ".lock"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the disk, the user's share of it, the limit


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block succeeds.

    A file that was there leaves its permissions to the one that takes its place, and a new one has
    those of the process's umask.

    Raises:
        InputError: If there is no room for the file; then ``path`` is as it was.
    """
    path = Path(path)
    temporary = None
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
        temporary = _beside(path, 0o666 if mode is None else mode)
        yield temporary
        if mode is not None:
            temporary.chmod(mode)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise InputError(
            f"{path}: expected room to write it, got: {os.strerror(error.errno or 0)}; what was"
            " there is as it was: make room, and try again"
        ) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _beside(path: Path, mode: int) -> Path:
    """A new file in the folder of another, of its kind, that the umask lets others read or not."""
    file = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    writable = mode | stat.S_IRUSR | stat.S_IWUSR
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, writable))
    return file


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_place(file: Path) -> None:
    """Raise :class:`InputError` unless a file's folder is there."""
    if not file.parent.is_dir() or file.is_dir():
        raise InputError(f"{str(file)!r}: expected the name of a file in a folder that is there")


def check_writable(folder: Path) -> None:
    """Raise :class:`InputError` unless files can be written to a folder, or it can be made."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError(f"{existing}: expected a folder to write to, got a file")
    try:
        with tempfile.TemporaryDirectory(dir=existing):
            pass
    except OSError as error:
        raise InputError(
            f"{existing}: expected a folder to write to, got one that takes nothing"
            f" ({error.strerror})"
        ) from None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to a folder as long as the block runs.

    The lock is one of the operating system (POSIX) on the file :data:`LOCK`, which goes with its
    owner, however that ends. The folder is made for it, and goes at the end if it is empty.

    Raises:
        InputError: If another process has the lock, or the folder cannot be written to.
    """
    check_writable(folder)
    made = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
    file = _lock(folder)
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        file.close()
        for path in made:
            try:
                path.rmdir()
            except OSError:  # it holds something
                break


def _lock(folder: Path) -> IO[str]:
    """The open file of a lock that is now ours."""
    import fcntl  # here, for it is POSIX's alone

    path = folder / LOCK
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8", errors="replace")
        except FileNotFoundError:  # a process that ended has removed the folder it had made
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read(20).strip() or "unknown"
            file.close()
            raise InputError(
                f"{folder}: expected a folder that no other process writes to, got one that"
                f" process {owner} is writing to; wait for it to end, or name another folder"
            ) from None
        except OSError:
            pass  # a file system without locks
        if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            return file
        file.close()  # its owner has ended, and removed it
