"""Memory that is freed, kept for what is allocated next."""

from __future__ import annotations

import ctypes
import os

KEPT = 2**28  # bytes at most that are kept
SMALL = 2**25  # bytes up to which memory is of that kind: the most that glibc takes
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h


def keep_freed() -> bool:
    """Have this process keep memory that it frees, for it will soon ask for as much again.

    An update of a training asks for the same megabytes as the one before, and frees them. The C
    library would hand them back, and the kernel would fill every page with zeros before it gives
    them out again: a tenth of an update of some megabytes. What is kept can be too small by the few
    bytes that it takes to align the next tensor, and so a training may come to keep a gigabyte of
    gaps. Torch is therefore asked to put tensors of two megabytes and more on pages of their own,
    huge ones where the kernel has them. It heeds that if it has made no tensor yet, which the
    import of Pyro does.

    It is for the whole process, so the command line and the processes of studies do it, and
    :func:`pyro_ssvae.fit` does not.

    Returns:
        Whether the C library can be told so: glibc can. Elsewhere nothing is changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    return bool(mallopt(_MMAP_THRESHOLD, SMALL)) and bool(mallopt(_TRIM_THRESHOLD, KEPT))
