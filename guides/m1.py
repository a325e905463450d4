from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.data import Part
from pyro_ssvae.errors import InputError, one_of
from pyro_ssvae.evaluation.latents import posterior_means
from pyro_ssvae.guides.vae import VAE
from pyro_ssvae.labels import OneHots


class M1(VAE):
    """q(z | x)

    Kingma et al. (2014), Semi-supervised Learning with Deep Generative Models, eq. 3.

    The posterior means of the labelled examples are the features of a classifier, fitted after
    the VAE: it has no part in the bound, and no gradient passes through it. Each of several labels
    has one of its own, fitted to the examples where it is known.

    Args:
        model: The model whose sizes this guide takes.
        hidden: The sizes of the encoder's hidden layers.
        network, encoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        flows: The number of normalizing flows in q(z | x).
        classifier: The classifier of the features, ``"logistic"`` or the nearest ``"neighbour"``.
    """

    def __init__(
        self,
        model: models.M1,
        *,
        hidden: tuple[int, ...] = (500,),
        network: nn.Body = "mlp",
        flows: int = 0,
        classifier: Literal["logistic", "neighbour"] = "logistic",
        encoder: nn.Body | None = None,
    ) -> None:
        super().__init__(model, hidden=hidden, network=network, flows=flows, encoder=encoder)
        one_of("classifier", classifier, ("logistic", "neighbour"))
        self.kind = classifier
        self._fitted: list[tuple[Any, int]] = []  # of each label, and its number of classes

    def fit_classifier(
        self, x: Part, y: Tensor, classifier: Any = None, sizes: Sequence[int] | None = None
    ) -> None:
        """Fit classifiers on the features of labelled examples; training and evaluation do so.

        Args:
            x: The labelled examples, (L, D), which need not be in memory.
            y: Their one-hot labels, (L, K): of several labels one-hot blocks side by side, NaN
                where a label is unknown.
            classifier: Any of scikit-learn's that has ``predict_proba``, in place of the guide's;
                it is left as it is, and a copy fitted.
            sizes: The sizes of the blocks, which sum to K; None stands for a single label.

        Raises:
            InputError: if the examples have a single label, and all the same.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        from pyro_ssvae.evaluation.references import fit_label

        sizes = (y.shape[-1],) if sizes is None else tuple(sizes)
        if classifier is None:
            logistic = self.kind == "logistic"
            classifier = LogisticRegression(max_iter=1_000) if logistic else KNeighborsClassifier(1)
        pipeline = make_pipeline(StandardScaler(), classifier)
        features, self._fitted = self._features(x), []
        for block in y.cpu().split(sizes, dim=-1):
            known = ~block.isnan().any(-1)
            labels = block[known].argmax(-1).numpy()
            if len(sizes) == 1 and (seen := len(set(labels.tolist()))) < 2:
                raise InputError(f"M1: expected labels of at least 2 classes, got {seen}")
            fitted = fit_label(pipeline, features[known.numpy()], labels, block.shape[-1])
            self._fitted.append((fitted, block.shape[-1]))

    def classify(self, x: Tensor) -> OneHots:
        """What the fitted classifiers say of E[z | x], over one-hot (N, K); x: (N, *x_shape)."""
        if not self._fitted:
            raise InputError("M1: expected fit_classifier(x, y) before classify(x), got none")
        features = self._features(x)
        sizes = [classes for _, classes in self._fitted]
        probs = x.new_zeros(len(x), sum(sizes))
        for block, (classifier, _) in zip(probs.split(sizes, dim=-1), self._fitted):
            predicted = torch.from_numpy(classifier.predict_proba(features)).to(x)
            block[:, classifier.classes_] = predicted  # a class without a label has probability 0
        return OneHots(probs.log(), sizes)

    def _features(self, x: Part) -> Any:
        return posterior_means(self, x).cpu().numpy()
