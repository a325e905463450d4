"""Guides, one file each; ``guides.NAME`` goes with ``models.NAME``."""

from pyro_ssvae.guides.m2 import M2
from pyro_ssvae.guides.supervised import Supervised
from pyro_ssvae.guides.vae import VAE

__all__ = ["M2", "Supervised", "VAE"]
