from __future__ import annotations

from typing import Any, Literal

import torch
from pyro import distributions as dist
from torch import Tensor

from pyro_ssvae import models, query
from pyro_ssvae.errors import InputError, one_of
from pyro_ssvae.guides.vae import VAE


class M1(VAE):
    """q(z | x)

    Kingma et al. (2014), Semi-supervised Learning with Deep Generative Models, eq. 3.

    The posterior means of the labelled examples are the features of a classifier, fitted after
    the VAE: it has no part in the bound, and no gradient passes through it.

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the encoder's hidden layers.
        flows: The number of normalizing flows in q(z | x).
        classifier: The classifier of the features: ``"logistic"`` regression, or the nearest
            ``"neighbour"``.
    """

    def __init__(
        self,
        model: models.M1,
        *,
        hidden: tuple[int, ...] = (500,),
        flows: int = 0,
        classifier: Literal["logistic", "neighbour"] = "logistic",
    ) -> None:
        super().__init__(model, hidden=hidden, flows=flows)
        one_of("classifier", classifier, ("logistic", "neighbour"))
        self.kind, self.classes = classifier, 0
        self.classifier: Any = None

    def fit_classifier(self, x: Tensor, y: Tensor, classifier: Any = None) -> None:
        """Fit a classifier on the features of labelled examples; training and evaluation do so.

        Args:
            x: (L, D) labelled examples.
            y: (L, K) their one-hot labels.
            classifier: any of scikit-learn's that has ``predict_proba``, in place of the guide's.

        Raises:
            InputError: if the labels are all of one class.
        """
        # Here, for they take two seconds to import, and no other guide needs them.
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if (seen := int((y.sum(0) > 0).sum())) < 2:
            raise InputError(f"M1: expected labels of at least 2 classes to tell apart, got {seen}")
        own = {
            "logistic": LogisticRegression(max_iter=1_000),
            "neighbour": KNeighborsClassifier(1),
        }[self.kind]
        self.classifier = make_pipeline(StandardScaler(), own if classifier is None else classifier)
        self.classifier.fit(self._features(x), y.argmax(-1).cpu().numpy())
        self.classes = y.shape[-1]

    def classify(self, x: Tensor) -> dist.Distribution:
        """What the fitted classifier says of E[z | x], over one-hot (N, K), from x: (N, D)."""
        if self.classifier is None:
            raise InputError(
                "M1: expected fit_classifier(x, y) with labelled examples before classify(x)"
            )
        found = torch.from_numpy(self.classifier.predict_proba(self._features(x))).to(x)
        probs = x.new_zeros(len(x), self.classes)
        probs[:, self.classifier.classes_] = found  # a class without a label has probability 0
        return dist.OneHotCategorical(probs=probs)

    def _features(self, x: Tensor) -> Any:
        return query.posterior_mean(self, x).cpu().numpy()
