"""Damaged files: every reader gives an InputError, or what the file still holds.

Each reader sees 2,000 mutations of a small valid file. ``make soak`` shows it 100,000 and writes
what came of them to ``soak.json``.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import platform
import struct
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyro_ssvae import InputError, data, folder, runs
from pyro_ssvae.data import Dataset, Split, mnist, mulan

MUTATIONS = int(os.environ.get("SOAK", 2_000))
RESULT = os.environ.get("SOAK_RESULT")  # a file to add the counts to
SEED = 0

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


def failures(path: Path, read: Read, contents: Callable[[np.random.Generator], bytes]) -> int:
    """How many contents of a file give an exception that is no InputError; the first is raised."""
    rng, refused, broken = np.random.default_rng(SEED), 0, []
    began = time.perf_counter()
    for number in range(MUTATIONS):
        content = contents(rng)
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(path)
        except InputError as error:
            assert str(path.parent) in str(error) or "expected" in str(error)
            refused += 1
        except Exception as error:
            error.add_note(f"mutation {number} of {path.name}: {content[:200]!r}")
            broken.append(error)
    if RESULT:
        record(path.name, MUTATIONS, refused, len(broken), time.perf_counter() - began)
    if broken:
        raise broken[0]
    return refused
