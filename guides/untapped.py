from __future__ import annotations

import pyro
from pyro.distributions import Distribution
from pyro.distributions.transforms import AffineTransform, SigmoidTransform
from pyro.nn import PyroModule
from torch import Tensor

from pyro_ssvae import models, nn
from pyro_ssvae.contract import Batch
from pyro_ssvae.errors import not_negative
from pyro_ssvae.inference.reverse import Gradient, ReverseBound, ReverseBoundOfGiven, checked
from pyro_ssvae.inference.terms import Scalar, Term
from pyro_ssvae.labels import Inference, LabelInference, Relaxed


class Untapped(PyroModule):
    """q(y, z | x) = q(y | x) q(z | x, y)

    Gemp et al. (2017), Inverting VAEs for Improved Generative Accuracy, eq. 2 and appendix A.

    q(z | x, y) is a normal pushed into the cube by a sigmoid. (The paper's eqs. 14 to 16 apply the
    sigmoid twice; its log-determinant is log (b - a) s(z) (1 - s(z)) for each dimension.)

    Labels without images are learned from in reverse: see :mod:`pyro_ssvae.inference.reverse`.

    Args:
        model: The model whose sizes this guide takes, and whose part it takes in reverse.
        hidden: The sizes of the hidden layers, of the classifier and of the encoder.
        network, classifier, encoder: The body of the networks, and of one alone: ``mlp``, ``conv``,
            ``wrn-28-2`` or one of your own, see :func:`pyro_ssvae.nn.network`.
        label_inference: The way to infer unknown labels, such as ``Enumerated()``; as text
            ``enumerated``, ``enumerated:3`` for the three likeliest, ``relaxed:0.67`` or
            ``straight-through:0.67``. See :mod:`pyro_ssvae.labels.inference`.
        unfeatured: The number of labels without images in an update. All classes come equally
            often. Where K does not divide the number, each update draws which classes come once
            more.
        certainty: The probability of such a label's class. The rest is spread over the others.
        reverse: The weight of the reverse bound. With 0 labels without images are left out.
        gradient: What the reverse bound teaches the decoder: ``"relaxed"`` sends it the
            straight-through gradient, ``"sleep"`` none, as in wake-sleep.
        image: The weight of the squared error of decoded labelled images.
        given: The labels (M, K) and the latents (M, J) that came without images, where there are
            such: probabilities of the classes, and places inside the cube. Of them an update takes
            ``unfeatured`` rows, in place of labels and latents that it draws.
    """

    def __init__(
        self,
        model: models.Untapped,
        *,
        hidden: tuple[int, ...] = (50, 50),
        network: nn.Body = "mlp",
        label_inference: Inference = Relaxed(1.0),
        unfeatured: int = 100,
        certainty: float = 0.95,
        reverse: float = 1.0,
        gradient: Gradient = "relaxed",
        image: float = 0.1,
        given: tuple[Tensor, Tensor] | None = None,
        classifier: nn.Body | None = None,
        encoder: nn.Body | None = None,
    ) -> None:
        super().__init__("guide")
        not_negative(reverse=reverse, image=image)
        bound: ReverseBound | ReverseBoundOfGiven = ReverseBound(unfeatured, certainty, gradient)
        if given is not None:
            given_y, given_z = checked(given, model)
            self.register_buffer("given_y", given_y)
            self.register_buffer("given_z", given_z)
            bound = ReverseBoundOfGiven(unfeatured, gradient)
        self.terms = {
            "reverse": Term(bound, weight=reverse, over="whole"),
            "image": Term(squared_error, weight=image, over="labelled"),
        }
        x_shape, y_dim, z_dim = model.x_shape, model.y_dim, model.z_dim
        self.classifier = nn.network(
            classifier or network, nn.OneHots(), [x_shape], y_dim, hidden  # of soft labels too
        )
        into_cube = [SigmoidTransform(), AffineTransform(-model.bound, 2 * model.bound)]
        normal = nn.posterior(encoder or network, [x_shape, y_dim], z_dim, hidden)
        self.encoder = nn.Flow(normal, into_cube)
        self.labels = LabelInference(label_inference, every=True)

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        """x: (N, *x_shape); y: one-hot (N, K), or None where the labels are unknown."""
        with pyro.plate("data", len(x)):
            if y is None:
                y = pyro.sample("y", self.labels(self.classify(x)), infer=self.labels.infer)
            pyro.sample("z", self.encoder(x, y))

    def classify(self, x: Tensor) -> Distribution:
        """q(y | x) over one-hot (N, K), from x: (N, *x_shape)."""
        return self.classifier(x)


def squared_error(model: models.Untapped, guide: Untapped, batch: Batch, epoch: Scalar) -> Tensor:
    """The squared error of labelled images, the paper's discriminative loss of x: no bound."""
    z = guide.encoder(batch.x, batch.y).rsample()
    return (batch.x - model.decoder(z, batch.y).mean).square().flatten(1).sum(-1).mean()
