"""Guides, one file each; ``guides.NAME`` goes with ``models.NAME``."""

from pyro_ssvae.guides.adgm import ADGM
from pyro_ssvae.guides.adversarial_m2 import AdversarialM2
from pyro_ssvae.guides.dirichlet_m2 import DirichletM2
from pyro_ssvae.guides.factored import Factored
from pyro_ssvae.guides.gaussian_mixture import GaussianMixture
from pyro_ssvae.guides.latent_classifier import LatentClassifier
from pyro_ssvae.guides.m1 import M1
from pyro_ssvae.guides.m1m2 import M1M2
from pyro_ssvae.guides.m2 import M2
from pyro_ssvae.guides.regression import Regression
from pyro_ssvae.guides.sdgm import SDGM
from pyro_ssvae.guides.split_latent import SplitLatent
from pyro_ssvae.guides.supervised import Supervised
from pyro_ssvae.guides.untapped import Untapped
from pyro_ssvae.guides.vade import VaDE
from pyro_ssvae.guides.vae import VAE

__all__ = [
    "ADGM", "AdversarialM2", "DirichletM2", "Factored", "GaussianMixture", "LatentClassifier",
    "M1", "M1M2", "M2", "Regression", "SDGM", "SplitLatent", "Supervised", "Untapped", "VAE",
    "VaDE",
]
