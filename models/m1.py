from __future__ import annotations

from pyro_ssvae.models.vae import VAE


class M1(VAE):
    """p(x, z) = p(z) p(x | z)

    Kingma et al. (2014), Semi-supervised Learning with Deep Generative Models, eq. 1.

    A VAE of the images, trained without labels, whose z are features for a classifier.
    """
