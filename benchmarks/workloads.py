"""What is updated: pairs of a size, on made-up batches, in the ways in which they are trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peers
import pyro
import torch
from measure import DEVICE
from peers import Workload

import pyro_ssvae
from pyro_ssvae import Objective, guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.data import from_arrays
from pyro_ssvae.engine.precision import Precision
from pyro_ssvae.labels import Enumerated
from pyro_ssvae.training.capturing import Capturing, Way
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager

THESIS = Workload("thesis", x_dim=784, hidden=500, z_dim=50, classes=10)
DIGITS = Workload("digits", x_dim=64, hidden=128, z_dim=16, classes=10)
HUNDRED = Workload("hundred", x_dim=64, hidden=128, z_dim=16, classes=100)
WORKLOADS = (THESIS, DIGITS, HUNDRED)
NOW = Moment(0, 0, 1)

Step = Callable[[Batch], object]


def described(workload: Workload) -> str:
    """Its name and its sizes."""
    name, x_dim, hidden, z_dim, classes, rows = workload
    return f"{name}: {x_dim}-{hidden}-{z_dim}, K = {classes}, {rows} + {rows} rows"


def made_up(workload: Workload) -> Batch:
    """A batch of grey pixels, its labels in turn."""
    generator = torch.Generator().manual_seed(0)
    x, u = torch.rand(2, workload.rows, workload.x_dim, generator=generator)
    y = torch.eye(workload.classes)[torch.arange(workload.rows) % workload.classes]
    return Batch(*(part.to(DEVICE) for part in (x, y, u)))


def m2(workload: Workload, top: int | None = None) -> Objective:
    """M2, whose unknown labels are summed over all classes or over the likeliest."""
    hidden = (workload.hidden,)
    model = models.M2(workload.x_dim, workload.classes, z_dim=workload.z_dim, hidden=hidden)
    guide = guides.M2(model, hidden=hidden, label_inference=Enumerated(top))
    return Objective(model, guide, alpha=peers.ALPHA).to(DEVICE)


def pair_on(name: str, workload: Workload, **options: Any) -> Objective:
    """A pair by name, with the options that it has on digits unless they are given."""
    x, y, _ = made_up(workload).tensors
    data = from_arrays(x.cpu().numpy(), y.argmax(1).tolist(), test=None, kind="digits")
    sizes = {"z_dim": workload.z_dim, "hidden": (workload.hidden,)}
    return pyro_ssvae.pair(name).on(data, **{**sizes, **options})[0].to(DEVICE)


def step(objective: Objective, way: Way = "on", precision: Precision = "fp32") -> Step:
    """An update as training makes it."""
    eager = Eager(objective, adam(objective, peers.LR), precision=precision)
    update = eager if way == "off" else Capturing(eager, compile=way == "on")

    def call(batch: Batch) -> object:
        with pyro.validation_enabled(False):
            return update(batch, NOW)

    return call
