"""Targets: what the labels of a data set are, how they are encoded, scored and named."""

from pyro_ssvae.targets.classes import Classes
from pyro_ssvae.targets.number import Number
from pyro_ssvae.targets.reading import FOREIGN, Kind, read, read_as
from pyro_ssvae.targets.sets import ClassSets
from pyro_ssvae.targets.several import SeveralLabels
from pyro_ssvae.targets.target import Target

__all__ = [
    "FOREIGN", "ClassSets", "Classes", "Kind", "Number", "SeveralLabels", "Target",
    "read", "read_as",
]
