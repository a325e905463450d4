"""Guides, one file each; ``guides.NAME`` goes with ``models.NAME``."""

from pyro_ssvae.guides.adgm import ADGM
from pyro_ssvae.guides.dirichlet_m2 import DirichletM2
from pyro_ssvae.guides.gaussian_mixture import GaussianMixture
from pyro_ssvae.guides.latent_classifier import LatentClassifier
from pyro_ssvae.guides.m2 import M2
from pyro_ssvae.guides.sdgm import SDGM
from pyro_ssvae.guides.supervised import Supervised
from pyro_ssvae.guides.vae import VAE

__all__ = [
    "ADGM", "DirichletM2", "GaussianMixture", "LatentClassifier", "M2", "SDGM", "Supervised", "VAE",
]
