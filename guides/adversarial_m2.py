from __future__ import annotations

from typing import Literal

from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.contract import Batch
from pyro_ssvae.errors import one_of, positive
from pyro_ssvae.guides.m2 import M2
from pyro_ssvae.inference.terms import Scalar, Term
from pyro_ssvae.labels import Enumerated, Inference


class AdversarialM2(M2):
    """q(y, z | x) = q(y | x) q(z | x, y)

    Jurasinski (2019), Towards deeper understanding of SSL with VAEs, appendix E.

    An adversary f(y | z) learns to read the class off z, and the encoder to leave it nothing:
    min over f, max over all else of J + E_q(z | x, y)[-log f(y | z)].

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the hidden layers of each network.
        network, classifier, encoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        adversary: The weight of the adversary's loss.
        game: The order of the moves. ``"reversal"`` moves both players at once, the encoder by the
            reversed gradient; in ``"alternating"`` the adversary moves first and the others answer.
        flows: The number of normalizing flows in q(z | x, y).
        label_inference: The way to infer unknown labels, such as ``Enumerated()``; as text
            ``enumerated``, ``enumerated:3`` for the three likeliest, ``relaxed:0.67`` or
            ``straight-through:0.67``. See :mod:`pyro_ssvae.labels.inference`.
    """

    def __init__(
        self,
        model: models.AdversarialM2,
        *,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        adversary: float = 1.0,
        game: Literal["reversal", "alternating"] = "reversal",
        flows: int = 0,
        label_inference: Inference = Enumerated(),
        classifier: nn.Body | None = None,
        encoder: nn.Body | None = None,
    ) -> None:
        super().__init__(
            model, hidden=hidden, network=network, flows=flows, label_inference=label_inference,
            classifier=classifier, encoder=encoder,
        )
        one_of("game", game, ("reversal", "alternating"))
        positive(adversary=adversary)
        self.game = game
        self.adversary = nn.network(network, nn.OneHots(), model.z_dim, model.y_dim, hidden)
        self.terms = {"adversary": Term(adversary_loss, adversary, over="labelled")}

    @property
    def turns(self) -> list[str]:
        """Submodules that move in a turn of their own, before all others."""
        return ["adversary"] if self.game == "alternating" else []


def adversary_loss(
    model: models.AdversarialM2, guide: AdversarialM2, batch: Batch, epoch: Scalar
) -> Tensor:
    """The adversary's loss E_q(z | x, y)[-log f(y | z)] on labelled data.

    It is no part of a bound: the two players pull it in opposite directions. What the encoder gets
    is its gradient reversed.
    """
    z = nn.reverse_gradient(guide.encoder(batch.x, batch.y).rsample())
    return -guide.adversary(z).log_prob(batch.y).mean()
