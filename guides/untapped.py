from __future__ import annotations

from typing import Literal

import pyro
from pyro.distributions import Distribution
from pyro.distributions.transforms import AffineTransform, SigmoidTransform
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.errors import InputError, one_of, positive
from pyro_ssvae.inference import reverse
from pyro_ssvae.labels import Inference, LabelInference


class Untapped(PyroModule):
    """q(y, z | x) = q(y | x) q(z | x, y)

    Gemp et al. (2017), Inverting VAEs for Improved Generative Accuracy, eq. 2 and appendix A.

    q(z | x, y) is a normal pushed into the cube by a sigmoid. (The paper's eqs. 14 to 16 apply the
    sigmoid twice; its log-determinant is log (b - a) s(z) (1 - s(z)) for each dimension.)

    Labels without images are learned from in reverse: see :mod:`pyro_ssvae.inference.reverse`.

    Args:
        model: The model whose sizes this guide takes, and whose part it takes in reverse.
        hidden: The sizes of the hidden layers, of the classifier and of the encoder.
        label_inference: The way to infer unknown labels, ``"relaxed"``, ``"straight-through"`` or
            ``"enumerated"``: see :class:`pyro_ssvae.labels.LabelInference`.
        temperature: The temperature of relaxed labels.
        unfeatured: The number of labels without images in an update. All classes come equally
            often; where they do not divide the number, those that come once more are drawn anew.
        certainty: The probability of such a label's class. The rest is spread over the others.
        reverse: The weight of the reverse bound. With 0 labels without images are left out.
        gradient: What the reverse bound teaches the decoder: ``"relaxed"`` sends it the
            straight-through gradient, ``"sleep"`` none, as in wake-sleep.
        image: The weight of the squared error of decoded labelled images.
    """

    def __init__(
        self,
        model: models.Untapped,
        *,
        hidden: tuple[int, ...] = (50, 50),
        label_inference: Inference = "relaxed",
        temperature: float = 1.0,
        unfeatured: int = 100,
        certainty: float = 0.95,
        reverse: float = 1.0,
        gradient: Literal["relaxed", "sleep"] = "relaxed",
        image: float = 0.1,
    ) -> None:
        super().__init__("guide")
        one_of("gradient", gradient, ("relaxed", "sleep"))
        positive(unfeatured=unfeatured, certainty=certainty)
        if min(reverse, image) < 0 or certainty > 1:
            raise InputError(
                "expected reverse >= 0, image >= 0 and certainty <= 1, got"
                f" {reverse}, {image} and {certainty}"
            )
        self.model = (model,)  # in a tuple, for its parameters are not the guide's
        self.unfeatured, self.certainty, self.gradient = unfeatured, certainty, gradient
        self.reverse, self.image = reverse, image
        self.classifier = nn.OneHots(model.x_dim, hidden, (model.y_dim,))  # of soft labels too
        into_cube = [SigmoidTransform(), AffineTransform(-model.bound, 2 * model.bound)]
        normal = nn.Normal((model.x_dim, model.y_dim), hidden, model.z_dim)
        self.encoder = nn.Flow(normal, into_cube)
        self.labels = LabelInference(label_inference, temperature)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, D); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            if y is None:
                y = pyro.sample("y", self.labels(self.classify(x)), infer=self.labels.infer)
            pyro.sample("z", self.encoder(x, y))

    def classify(self, x: Tensor) -> Distribution:
        """q(y | x) over one-hot (N, K), from x: (N, D)."""
        return self.classifier(x)

    def named_terms(self, x: Tensor, y: Tensor, u: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Minus the reverse bound, eq. 17, and the squared error of labelled images.

        The first bounds log q(y, z), another model's evidence; the second is the paper's
        discriminative loss of x, and part of no bound.
        """
        model, terms = self.model[0], {}
        if self.reverse > 0:
            free_y = reverse.soft_labels(self.unfeatured, model.y_dim, self.certainty, x)
            free_z = model.cube(x).sample((self.unfeatured,))
            bound = reverse.negative_elbo(model, self, free_y, free_z, x, self.gradient)
            terms["reverse"] = self.reverse, bound
        if self.image > 0:
            decoded = model.decoder(self.encoder(x, y).rsample(), y).mean
            terms["image"] = self.image, (x - decoded).square().sum(-1).mean()
        return terms
