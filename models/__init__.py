"""Generative models, one file each; ``models.NAME`` goes with ``guides.NAME``."""

from pyro_ssvae.models.adgm import ADGM
from pyro_ssvae.models.dirichlet_m2 import DirichletM2
from pyro_ssvae.models.gaussian_mixture import GaussianMixture
from pyro_ssvae.models.latent_classifier import LatentClassifier
from pyro_ssvae.models.m2 import M2
from pyro_ssvae.models.sdgm import SDGM
from pyro_ssvae.models.supervised import Supervised
from pyro_ssvae.models.vae import VAE

__all__ = [
    "ADGM", "DirichletM2", "GaussianMixture", "LatentClassifier", "M2", "SDGM", "Supervised", "VAE",
]
