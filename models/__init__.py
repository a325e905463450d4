"""Generative models, one file each; ``models.NAME`` goes with ``guides.NAME``."""

from pyro_ssvae.models.adgm import ADGM
from pyro_ssvae.models.adversarial_m2 import AdversarialM2
from pyro_ssvae.models.dirichlet_m2 import DirichletM2
from pyro_ssvae.models.factored import Factored
from pyro_ssvae.models.gaussian_mixture import GaussianMixture
from pyro_ssvae.models.latent_classifier import LatentClassifier
from pyro_ssvae.models.m1 import M1
from pyro_ssvae.models.m1m2 import M1M2
from pyro_ssvae.models.m2 import M2
from pyro_ssvae.models.regression import Regression
from pyro_ssvae.models.sdgm import SDGM
from pyro_ssvae.models.split_latent import SplitLatent
from pyro_ssvae.models.supervised import Supervised
from pyro_ssvae.models.untapped import Untapped
from pyro_ssvae.models.vade import VaDE
from pyro_ssvae.models.vae import VAE

__all__ = [
    "ADGM", "AdversarialM2", "DirichletM2", "Factored", "GaussianMixture", "LatentClassifier",
    "M1", "M1M2", "M2", "Regression", "SDGM", "SplitLatent", "Supervised", "Untapped", "VAE",
    "VaDE",
]
