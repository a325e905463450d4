"""Data sets, splits into labelled and unlabelled parts, and batches; one file a source."""

from pyro_ssvae.contract import Batch
from pyro_ssvae.data.arrays import from_arrays
from pyro_ssvae.data.batches import batches
from pyro_ssvae.data.dataset import Dataset, long_tail
from pyro_ssvae.data.draws import Drawing
from pyro_ssvae.data.feed import Feed, feed
from pyro_ssvae.data.order import steps_per_epoch
from pyro_ssvae.data.sources import SOURCES, load
from pyro_ssvae.data.split import PARTS, Split
from pyro_ssvae.data.view import Part

__all__ = [
    "PARTS", "SOURCES", "Batch", "Dataset", "Drawing", "Feed", "Part", "Split", "batches", "feed",
    "from_arrays", "load", "long_tail", "steps_per_epoch",
]
