"""Generative models, one file each; ``models.NAME`` goes with ``guides.NAME``."""

from pyro_ssvae.models.m2 import M2
from pyro_ssvae.models.supervised import Supervised
from pyro_ssvae.models.vae import VAE

__all__ = ["M2", "Supervised", "VAE"]
