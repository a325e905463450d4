"""The reproductions by name, and how one is run into a folder."""

from __future__ import annotations

import time
from importlib import import_module

from pyro_ssvae.errors import named_folder, one_of
from pyro_ssvae.experiments.folder import check_free
from pyro_ssvae.reproduce import writing
from pyro_ssvae.reproduce.findings import Findings
from pyro_ssvae.reproduce.work import Work
from pyro_ssvae.system.files import locked

# What each is about. Its module, of a name with underscores, has a function ``reproduce(work)``.
NAMES: dict[str, str] = {}


def reproduce(name: str, work: Work, *, resume: bool = False, overwrite: bool = False) -> Findings:
    """Run a reproduction, and write what it has found.

    Args:
        name: The name, one of :data:`NAMES`.
        work: The place to work in, and how much to compute.
        resume: Whether to go on with what is in the folder.
        overwrite: Whether to write over it: what was computed is computed anew.

    Raises:
        InputError: If there is no such reproduction, the folder is not free, or a run fails.
    """
    one_of("study", name, NAMES)
    module = import_module(f"pyro_ssvae.reproduce.{name.replace('-', '_')}")
    out = named_folder(work.out)
    with locked(out):
        check_free(out, writing.FINDINGS, "runs", "parts", resume=resume, overwrite=overwrite)
        began = time.perf_counter()
        findings: Findings = module.reproduce(work)
        writing.write(name, work, findings, seconds=time.perf_counter() - began)
    return findings
