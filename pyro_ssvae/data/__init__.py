"""Data sets, splits into labelled and unlabelled parts, and batches."""

from pyro_ssvae.data.batches import Batch, batches, steps_per_epoch
from pyro_ssvae.data.dataset import PARTS, Dataset, Split
from pyro_ssvae.data.sources import SOURCES, from_arrays, load

__all__ = [
    "PARTS", "SOURCES", "Batch", "Dataset", "Split", "batches", "from_arrays", "load",
    "steps_per_epoch",
]
