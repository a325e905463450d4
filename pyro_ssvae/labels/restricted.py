"""Labels of which a set of classes is known: programs restricted to the set."""

from __future__ import annotations

from typing import Any

from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyro_ssvae.errors import InputError
from pyro_ssvae.labels.dirichlet import Label
from pyro_ssvae.labels.onehots import OneHots, masked


class Restricted(Messenger):
    """Runs a program with the unobserved site ``"y"`` known to be in a set of classes.

    An effect handler, so that no pair has to know of sets. A model becomes p(x, y, ...) 1[y in S],
    which is not renormalised: its evidence is p(x, y in S). A guide becomes q(y | ..., y in S),
    renormalised within the set, so that every sum over y is one over the set alone.

    Args:
        possible: The sets, (N, K), 1 where an example may be of the class, else 0. No row is 0
            throughout.
        guide: Whether the program is a guide.
    """

    def __init__(self, possible: Tensor, *, guide: bool) -> None:
        super().__init__()
        self.possible, self.guide = possible, guide

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] != "y" or msg["is_observed"]:
            return
        labels = msg["fn"]
        if not hasattr(labels, "logits"):
            raise InputError(
                "sets of classes need a y that is a class with log-probabilities, got a site of"
                f" {type(labels).__name__}"
            )
        if self.guide:
            known = labels if hasattr(labels, "within") else OneHots(labels.logits)
            msg["fn"] = known.within(self.possible)
        else:
            msg["fn"] = Label(masked(labels.logits, self.possible))


def set_divergence(q: Any, possible: Tensor) -> Tensor:
    """-log q(y in S), (N,): what a classifier loses on sets (N, K) of classes.

    Of a set of one class it is the classification loss, of all classes 0.
    """
    return -masked(q.logits, possible).logsumexp(-1)
