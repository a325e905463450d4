"""Programs are shared by objectives that differ in their numbers, and by no others."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import small
import torch

from pyro_ssvae.contract import Batch
from pyro_ssvae.data import batches
from pyro_ssvae.engine import shared
from pyro_ssvae.engine.program import CaptureError, trace
from pyro_ssvae.engine.shared import Programs
from pyro_ssvae.experiments import pairs
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.training.fit import fit


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[Objective]:
    """The objectives that were traced."""
    traced: list[Objective] = []

    def noted(objective: Objective, *arguments: Any, **options: Any) -> Any:
        traced.append(objective)
        return trace(objective, *arguments, **options)

    monkeypatch.setattr(shared, "trace", noted)
    return traced


def m2(seed: int = 0, **options: Any) -> Objective:
    return small.objective("m2", small.split(), seed, **options)


def batch_for(name: str = "m2") -> Batch:
    return next(batches(small.split_for(name), 10, 20))


def take(programs: Programs, objective: Objective, batch: Batch | None = None) -> Any:
    batch = batch_for() if batch is None else batch
    return programs.function(objective, batch, precision="fp32", compile=False)


@pytest.mark.parametrize("name", pairs.names())
def test_a_shared_program_computes_what_the_objectives_own_would(name: str) -> None:
    split = small.split_for(name)
    programs, batch = Programs(), batch_for(name)
    for seed in (0, 1):
        objective = small.objective(name, split, seed)
        program, function = take(programs, objective, batch)
        own = trace(objective, batch)
        assert [id(p) for p in program.learnt] == [id(p) for p in own.learnt]
        assert [id(b) for b in program.buffers] == [id(b) for b in own.buffers]
        numbers = [batch.x.new_tensor(v) for v in (1.0, *map(objective.weights.get, own.weights))]
        results = []
        for run, state in ((function, program.state), (own.graph, own.state)):
            torch.manual_seed(7)
            state = [tensor.clone() for tensor in state]  # buffers change
            results.append(run(*state, *batch.tensors, *numbers))
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert len(programs.kept) == 1


def test_objectives_that_differ_in_weights_and_parameters_are_traced_once(traces) -> None:
    programs = Programs()
    for seed, alpha in ((0, 1.0), (1, 10.0), (2, 100.0)):
        take(programs, m2(seed, alpha=alpha))
    assert len(traces) == 1


@pytest.mark.parametrize("options", [
    {"alpha": 0.0}, {"hidden": (7,)}, {"z_dim": 3}, {"likelihood": "normal:0.1"}, {"warmup": 3.0},
])
def test_other_settings_are_another_program(options: dict[str, Any], traces) -> None:
    programs = Programs()
    take(programs, m2())
    take(programs, m2(**options))
    assert len(traces) == 2


CELL = """
from pyro_ssvae import Objective, guides, models
import helpers

SCALE = 1.0

def scaled(x):
    return SCALE * helpers.halved(x)

class Guide(guides.M2):
    offset = 0.0

    @staticmethod
    def moved(x):
        return x + 0.5

    def classify(self, x):
        return super().classify(scaled(self.moved(x)) + self.offset)

def made():
    model = models.M2((1, 8, 8), 10, z_dim=2, hidden=(5,))
    return Objective(model, Guide(model, hidden=(5,)), alpha=1.0)
"""


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What cells run in, with a module beside it."""
    notebook, helpers = ModuleType("notebook"), ModuleType("helpers")
    monkeypatch.setitem(sys.modules, "notebook", notebook)
    monkeypatch.setitem(sys.modules, "helpers", helpers)
    exec("def halved(x):\n    return x / 2", vars(helpers))
    return notebook


def run(notebook: ModuleType, cell: str) -> Objective:
    exec(cell, vars(notebook))
    objective: Objective = notebook.made()
    return objective


def test_a_cell_that_runs_again_is_the_same_program(notebook, traces) -> None:
    programs = Programs()
    for _ in range(2):
        take(programs, run(notebook, CELL))
    assert len(traces) == 1


@pytest.mark.parametrize(("old", "new"), [
    ("SCALE = 1.0", "SCALE = 2.0"),
    ("return SCALE * helpers", "return 2 * SCALE * helpers"),
    ("offset = 0.0", "offset = 1.0"),
    ("return x + 0.5", "return x + 0.6"),
    ("+ self.offset)", "- self.offset)"),
])
def test_a_cell_that_was_edited_is_another_program(old, new, notebook, traces) -> None:
    programs = Programs()
    assert old in CELL
    for cell in (CELL, CELL.replace(old, new)):
        take(programs, run(notebook, cell))
    assert len(traces) == 2


def test_a_module_that_was_loaded_anew_is_another_program(notebook, traces) -> None:
    programs = Programs()
    take(programs, objective := run(notebook, CELL))
    exec("def halved(x):\n    return x / 3", vars(sys.modules["helpers"]))
    take(programs, objective)
    assert len(traces) == 2


def test_what_cannot_be_read_cannot_be_captured() -> None:
    class Closed:
        @property
        def __dict__(self) -> dict[str, Any]:
            raise RuntimeError("closed")

    objective = m2()
    objective.guide.connection = Closed()
    with pytest.raises(CaptureError, match="its settings cannot be read: RuntimeError: closed"):
        take(Programs(), objective)


def test_another_batch_or_frozen_parameters_are_another_program(traces) -> None:
    programs, objective = Programs(), m2()
    take(programs, objective)
    batch = batch_for()
    take(programs, objective, Batch(batch.x, batch.y, batch.u[:-1]))
    next(objective.model.parameters()).requires_grad_(False)
    take(programs, objective)
    assert len(traces) == 3


def test_the_programs_of_late_are_kept(traces) -> None:
    programs = Programs(number=2)
    one, two, three = m2(), m2(hidden=(7,)), m2(hidden=(6,))
    for objective in (one, two, one, three, one, two):
        take(programs, objective)
    assert traces == [one, two, three, two]


def test_no_weights_are_kept() -> None:
    programs = Programs()
    take(programs, m2())
    (kept,) = programs.kept
    assert kept.program.learnt == kept.program.buffers == []


def test_runs_that_share_a_program_train_as_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    split, together, alone = small.split(), [], []
    for found, fresh in ((together, False), (alone, True)):
        programs = Programs()
        for seed, alpha in ((0, 1.0), (1, 5.0)):
            programs = Programs() if fresh else programs
            monkeypatch.setattr("pyro_ssvae.engine.capture.PROGRAMS", programs)
            objective = m2(seed, alpha=alpha)
            list(fit(objective, split, epochs=2, batch_unlabelled=20, seed=seed, capture="traced"))
            found.append([p.detach().clone() for p in objective.parameters()])
        assert len(programs.kept) == 2  # the last batch of an epoch is smaller
    for one, other in zip(together, alone, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
