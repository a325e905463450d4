from __future__ import annotations

from pyro_ssvae.guides.adgm import ADGM


class SDGM(ADGM):
    """q(a, y, z | x) = q(a | x) q(y | a, x) q(z | a, y, x)

    Maaløe et al. (2016), Auxiliary Deep Generative Models, eq. 4: that of ADGM.
    """
