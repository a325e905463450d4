"""The study of digits without labels: its arithmetic by hand, and the whole at a tiny scale."""

import math

import numpy as np
import pytest
import torch
from made import make_mnist

from pyro_ssvae.reproduce import digits_without_labels as task
from pyro_ssvae.reproduce import untapped_mnist as study
from pyro_ssvae.reproduce.work import Work
