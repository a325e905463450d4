"""Reads rows for a device, ahead of time by processes that do nothing else."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pickle import PicklingError
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pyro_ssvae.data.rows import Rows
from pyro_ssvae.errors import InputError, not_negative

WORKERS = 2  # that read unless told otherwise
DIED = re.compile(r"DataLoader worker .* (exited unexpectedly|killed by signal)", re.DOTALL)


class Reader:
    """Rows that are read for a device; itself such rows, it stands where they would.

    The pixels are bytes until they are on the device.

    Args:
        rows: The rows.
        device: The device that they are wanted on.
        workers: The number of processes that read a stream. With 0 this process reads it.
    """

    dtype = torch.float32

    def __init__(
        self, rows: Rows, device: torch.device | str = "cpu", workers: int = WORKERS
    ) -> None:
        not_negative(workers=workers)
        self.rows, self.device, self.workers = rows, torch.device(device), workers
        self.shape, self.fingerprint = rows.shape, rows.fingerprint
        self.brightest = torch.tensor(255.0, device=device)  # a number would be inverted on a GPU

    def __len__(self) -> int:
        """See :class:`Rows`."""
        return len(self.rows)

    def read(self, index: int) -> Tensor:
        """See :class:`Rows`."""
        return self.rows.read(index)

    def __getitem__(self, index: Tensor) -> Tensor:
        """The examples at int64 indices (...), (..., C, H, W) in [0, 1], read now."""
        return self._placed(_bytes(self.rows, index.cpu().numpy()))

    def to(self, device: torch.device | str, workers: int) -> Reader:
        """The same rows for another device, read by another number of processes."""
        return Reader(self.rows, device, workers)

    def stream(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """The examples at int64 indices, (...) each, one after the other, and read ahead.

        The number of workers changes nothing else, and the global random state stays as it is.

        Raises:
            InputError: If a file is missing or broken, or a worker dies.
        """
        with _dying(self.rows):
            came = self._begun(batches)
        try:
            while True:
                with _dying(self.rows):
                    pixels = next(came, None)
                if pixels is None:
                    return
                if isinstance(pixels, str):
                    raise InputError(pixels)
                yield self._placed(pixels)
        finally:
            del came  # ends the workers, which an error's traceback would keep

    def _begun(self, batches: Sequence[Tensor]) -> Iterator[Any]:
        workers = min(self.workers, len(batches)) if len(batches) > 1 else 0
        try:
            with _main_apart(self.rows), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Got pickle error")  # an error follows
                warnings.filterwarnings("ignore", "This DataLoader will create")  # as asked for
                return iter(DataLoader(
                    _Bytes(self.rows), batch_size=None, collate_fn=_as_they_are,
                    sampler=[batch.cpu().numpy() for batch in batches],
                    generator=torch.Generator(), num_workers=workers,
                    worker_init_fn=_begun_worker,
                    multiprocessing_context=_context() if workers else None,
                    pin_memory=self.device.type == "cuda",
                ))
        except (PicklingError, AttributeError, TypeError) as error:
            raise InputError(
                f"expected rows that can be sent to another process, got {error}; workers=0 reads"
                " them in this one"
            ) from None

    def _placed(self, pixels: Tensor) -> Tensor:
        there = pixels.to(self.device, non_blocking=True)
        return there.to(self.dtype).div_(self.brightest)


class _Bytes(Dataset[Any]):
    """What a worker has: rows, and what it makes of the indices of a batch."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __getitem__(self, index: np.ndarray[Any, Any]) -> Tensor | str:
        """The pixels of a batch, or what is wrong with one of its files."""
        try:
            return _bytes(self.rows, index)
        except InputError as error:  # torch would add the worker's traceback to the message
            return str(error)


def _bytes(rows: Rows, index: np.ndarray[Any, Any]) -> Tensor:
    """The pixels at indices (...), (..., C, H, W) uint8."""
    shape = rows.shape[1:]
    pixels = torch.empty(index.size, *shape, dtype=torch.uint8)
    for place, row in enumerate(index.ravel().tolist()):
        image = rows.read(row)
        if image.dtype != torch.uint8 or image.shape != shape:
            raise InputError(
                f"expected example {row} as uint8 of shape {tuple(shape)}, got {image.dtype} of"
                f" shape {tuple(image.shape)}"
            )
        pixels[place] = image
    return pixels.view(*index.shape, *shape)


def _as_they_are(pixels: Any) -> Any:
    return pixels


def _begun_worker(worker: int) -> None:
    """Leave Ctrl-C, which all processes get, to the one that trains, and end where that one ends.

    It finishes an update first. Where it is killed nothing would be left to end a worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=[multiprocessing.parent_process()], daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _context() -> Any:
    """How workers start: each as a copy of a process that has done nothing but import.

    A copy of this process would have the locks of torch's threads as they happened to be, with no
    thread to open them, and CUDA's state, which it must not touch.
    """
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload([__name__])
    return context


@contextmanager
def _main_apart(rows: Rows) -> Iterator[None]:
    """Have workers not import the script that runs, which would run it, unless rows are of it."""
    main = sys.modules["__main__"]
    if type(rows).__module__ != "__main__":
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _dying(rows: Rows) -> Iterator[None]:
    """Say in a line that a worker has died."""
    try:
        yield
    except RuntimeError as error:
        if not DIED.search(str(error)):
            raise
        hint = "smaller batches and fewer workers need less memory"
        if type(rows).__module__ == "__main__":
            hint = ("a script that has rows of its own trains under if __name__ =="
                    ' "__main__", and those of a notebook belong into a module')
        raise InputError(
            f"expected workers that read to the end, got one that died or was killed; {hint},"
            " and workers=0 reads in this process"
        ) from None
