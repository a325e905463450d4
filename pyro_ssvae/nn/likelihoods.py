"""The likelihoods that p(x | ...) can have: heads that text can name."""

from __future__ import annotations

from pyro_ssvae.nn.heads import Bernoulli, Categorical, Normal
from pyro_ssvae.nn.logistics import Logistics
from pyro_ssvae.nn.mixed import Mixed

Likelihood = Bernoulli | Normal | Categorical | Logistics | Mixed
