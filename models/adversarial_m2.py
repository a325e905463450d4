from __future__ import annotations

from pyro_ssvae.models.m2 import M2


class AdversarialM2(M2):
    """p(x, y, z) = p(y) p(z) p(x | y, z)

    Jurasinski (2019), Towards deeper understanding of SSL with VAEs, appendix E.

    M2's model; the guide's adversary keeps the class out of z.
    """
