"""A function of many items, in several processes: of this machine, or of a cluster."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, get_args

import joblib
import torch

from pyro_ssvae.errors import InputError, NonFiniteLossError, one_of, positive
from pyro_ssvae.system import memory

Backend = Literal["loky", "dask", "ray"]
PACKAGES = {"dask": "'dask[distributed]'", "ray": "ray"}
WATCH = 0.1  # seconds between two looks at whether the process that asked is still there
REACH = 20  # seconds to wait for a cluster
# What loky, dask and ray raise when a process of theirs was killed, by name: they are extras.
KILLED = {
    "TerminatedWorkerError", "BrokenProcessPool", "KilledWorker", "WorkerCrashedError",
    "ActorDiedError", "RayActorError",
}

Failure = InputError | NonFiniteLossError


def unordered(
    function: Callable[..., Any],
    items: Sequence[Any],
    *,
    jobs: int = 1,
    backend: Backend = "loky",
    address: str | None = None,
) -> Iterator[tuple[int, Any]]:
    """The results of a function of every item, each as soon as it is there.

    With one job everything is computed in this process. Several processes share the cores, and
    end with this one, however it ends.

    Args:
        function: A function at the top of a module, which takes an item.
        items: The items.
        jobs: The number of processes.
        backend: What the processes are of: ``"loky"`` of this machine, ``"dask"`` or ``"ray"`` of a
            cluster, whose machines see the same folders.
        address: The address of the cluster's scheduler. None starts one of this machine.

    Returns:
        Pairs of an item's place and its result. Where the function raised :class:`InputError` or
        :class:`NonFiniteLossError`, that is the result.

    Raises:
        InputError: If the cluster cannot be reached, or a process was killed.
    """
    check(jobs, backend, address)
    if jobs == 1 and backend == "loky":
        yield from ((i, _outcome(function, item)) for i, item in enumerate(items))
        return
    threads = max(1, cores() // jobs)
    parent = os.getpid() if backend == "loky" else None
    with _processes(backend, jobs, threads, address):
        calls = (
            joblib.delayed(_in_worker)(function, i, item, threads, parent)
            for i, item in enumerate(items)
        )
        # Ray's backend has all results at once.
        given = "list" if backend == "ray" else "generator_unordered"
        parallel = joblib.Parallel(return_as=given, max_nbytes=None)
        try:
            yield from parallel(calls)
        except Exception as error:
            if type(error).__name__ not in KILLED:
                raise
            raise InputError(
                "expected processes that end by themselves, got one that was killed, perhaps for"
                f" want of memory ({_line(error):.80}); what has ended is kept: give fewer jobs,"
                " and go on"
            ) from None


def check(jobs: int, backend: Backend, address: str | None) -> None:
    """Raise :class:`InputError` unless these are usable arguments of :func:`unordered`."""
    positive(jobs=jobs)
    one_of("backend", backend, get_args(Backend))
    if address is not None and backend == "loky":
        raise InputError(f"expected an address of dask or ray alone, got {address!r} of loky")


def cores() -> int:
    """The number of cores that this process may use."""
    return joblib.cpu_count()


def _outcome(function: Callable[..., Any], item: Any) -> Any:
    try:
        return function(item)
    except (InputError, NonFiniteLossError) as error:
        return error


def _in_worker(
    function: Callable[..., Any], place: int, item: Any, threads: int, parent: int | None
) -> tuple[int, Any]:
    if parent is not None:
        _end_with(parent)
    torch.set_num_threads(threads)
    memory.keep_freed()
    return place, _outcome(function, item)


_watched: set[int] = set()


def _end_with(parent: int) -> None:
    """Have this process end when its parent does, however that ends."""
    if parent in _watched or os.getpid() == parent:
        return
    _watched.add(parent)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _processes(
    backend: Backend, jobs: int, threads: int, address: str | None
) -> Iterator[None]:
    """Have joblib use these processes within the block."""
    with ExitStack() as stack:
        if backend != "loky":
            connect = {"dask": _dask, "ray": _ray}[backend]
            try:
                if address is not None:
                    _reach(address)
                connect(stack, jobs, address)
            except ImportError:
                raise InputError(
                    f"expected the package {backend}, got none; install it:"
                    f" pip install {PACKAGES[backend]}"
                ) from None
            except (OSError, ValueError, RuntimeError) as error:
                raise InputError(
                    f"expected a cluster of {backend} at {address or 'this machine'}, got none"
                    f" that answers: {_line(error):.100}"
                ) from None
        within = {"inner_max_num_threads": threads} if backend == "loky" else {}
        stack.enter_context(joblib.parallel_config(backend, n_jobs=jobs, **within))
        yield


def _reach(address: str) -> None:
    """Raise OSError or ValueError unless something answers at an address such as ``HOST:PORT``."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    socket.create_connection((host, int(port)), timeout=REACH).close()


def _dask(stack: ExitStack, jobs: int, address: str | None) -> None:
    from dask.distributed import Client, LocalCluster

    if address is None:
        local = LocalCluster(
            n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address=None
        )
        address = stack.enter_context(local).scheduler_address
    stack.enter_context(Client(address, timeout=REACH))


def _ray(stack: ExitStack, jobs: int, address: str | None) -> None:
    import ray
    from ray.util.joblib import register_ray

    started = {"num_cpus": jobs, "include_dashboard": False} if address is None else {}
    ray.init(address=address, log_to_driver=False, configure_logging=False, **started)
    stack.callback(ray.shutdown)
    register_ray()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
