"""The reproductions by name, and how one is run into a folder."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

import pyro_ssvae
from pyro_ssvae.errors import InputError, named_folder, one_of
from pyro_ssvae.experiments import machine
from pyro_ssvae.experiments.earlier import clear_runs
from pyro_ssvae.experiments.folder import check_free
from pyro_ssvae.reproduce import writing
from pyro_ssvae.reproduce.findings import Findings
from pyro_ssvae.reproduce.work import Work
from pyro_ssvae.system.files import locked, write_text

# What each is about. Its module, of a name with underscores, has a function ``reproduce(work)``.
# One on several data sets whose scales may differ names them, as ``DATA_SETS``.
NAMES = {
    "thesis-table-1": "M2 and latent classifiers by their weights, MNIST with 100 labels",
    "thesis-pretraining": "what is left of a classifier after pretraining without it",
    "thesis-optimum": "whether M2 stays where its classifier is best",
    "thesis-leakage": "what z tells of the class",
    "thesis-circles": "circles: the likelihood's variance, accuracy and reconstructions",
    "thesis-batches": "the make-up of batches",
    "thesis-moons": "moons: warm-up, the classifier by reconstruction, vector fields",
    "thesis-selection": "the best epoch by validation accuracy and by loss",
    "thesis-analogies": "analogies of digits",
    "thesis-adversarial": "M2 with an adversary that keeps the class out of z",
    "untapped-mnist": "digits that are found without labels, by labels without images",
    "kingma-mnist": "M1, M2 and M1+M2 on MNIST with 100 to 3,000 labels",
    "feng-labels": "cost and quality in the number of labels of an example",
    "dirichlet-alpha": "which part of alpha a Dirichlet prior derives",
    "lecture-em": "EM and variational inference on mixtures; elimination on a chain",
    "lecture-collapse": "posterior collapse, and what helps",
    "lecture-autoencoder": "autoencoder and VAE: samples, p(x), latent spaces",
    "bound": "what the bound adds to a classifier that learns from changed images",
    "leaderboard": "every pair beside scikit-learn's methods",
}

SECONDS, BEGUN = "seconds.txt", "begun.json"


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
    _check_data(name, work, getattr(module, "DATA_SETS", ()))
    out = named_folder(work.out)
    with locked(out):
        check_free(out, writing.FINDINGS, "runs", "parts", resume=resume, overwrite=overwrite)
        if overwrite:
            clear_runs(out)
            written = [out / each for each in (BEGUN, *writing.WRITTEN)]
            for path in (*(out / "parts").glob("*.json"), *written):
                path.unlink(missing_ok=True)
        own = {"name": name, "version": pyro_ssvae.__version__}
        _check_begun(out / BEGUN, own)
        seconds = spent(out) if resume else {}
        here, began = machine.hardware(), time.perf_counter()
        try:
            findings: Findings = module.reproduce(work)
        finally:  # however it ends, a run that goes on adds to it
            seconds[here] = seconds.get(here, 0.0) + time.perf_counter() - began
            if out.is_dir():
                lines = [f"{number:.1f} {where}\n" for where, number in seconds.items()]
                write_text(out / SECONDS, "".join(lines))
                write_text(out / BEGUN, json.dumps(own) + "\n")
        writing.write(name, work, findings, seconds=seconds)
    return findings


def _check_begun(path: Path, own: Mapping[str, str]) -> None:
    """Refuse to go on with another study, or with one of another version.

    Args:
        path: The file that says what was begun, if anything was.
        own: What is to be begun or gone on with: its name, and the version.
    """
    if not path.exists():
        return
    hint = "give another folder, or --overwrite to start anew"
    try:
        before = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: expected the file of a study, got: {error}; {hint}") from None
    for what in own:
        if before.get(what) != own[what]:
            raise InputError(
                f"{path}: expected the study to go on with, got the {what} {before.get(what)!r},"
                f" not {own[what]!r}; {hint}"
            )


def _check_data(name: str, work: Work, known: Sequence[str]) -> None:
    """Refuse a scale or a number of draws for a data set that a study has none for."""
    for data in (*work.scales, *work.numbers):
        if not known:
            raise InputError(
                f"expected one scale and one number of draws for all of {name}, got one for"
                f" {data!r}"
            )
        one_of(f"data set of {name}", data, known)


def spent(out: Path) -> dict[str, float]:
    """The seconds that were spent in a folder before, by the machine; none where not known."""
    try:
        lines = (out / SECONDS).read_text(encoding="utf-8").splitlines()
        parts = [line.partition(" ") for line in lines]
        return {where: float(number) for number, _, where in parts}
    except (OSError, ValueError):
        return {}
