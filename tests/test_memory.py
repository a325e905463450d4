"""Memory that is freed is kept by processes that say so, and by no others."""

import ctypes
import os
import subprocess
import sys

import pytest

from pyro_ssvae.system import memory

ROUNDS = 20
PAGES = ROUNDS * 5 * 5_000_000 // 4096
ASKED = f"""
import resource
import torch
from pyro_ssvae.system import memory

def update():
    kept = [torch.zeros(5_000_000, dtype=torch.uint8) for _ in range(5)]

memory.keep_freed()
for _ in range(3):
    update()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({ROUNDS}):
    update()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


ALIGNED = """
from pyro_ssvae.system import memory

memory.keep_freed()
import torch

print(*(torch.zeros(5_000_000, dtype=torch.uint8).data_ptr() % 4096 for _ in range(5)))
"""
glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")


@glibc
def test_what_is_freed_is_not_asked_for_again() -> None:
    result = subprocess.run(
        [sys.executable, "-c", ASKED], check=True, capture_output=True, text=True
    )
    assert int(result.stdout) < PAGES / 100


@glibc
def test_large_tensors_begin_at_a_page() -> None:
    result = subprocess.run(
        [sys.executable, "-c", ALIGNED], check=True, capture_output=True, text=True
    )
    assert result.stdout.split() == ["0"] * 5


def test_another_c_library_is_left_alone(monkeypatch) -> None:
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not memory.keep_freed()
    assert "THP_MEM_ALLOC_ENABLE" not in os.environ
