"""Networks: bodies, heads that return Pyro distributions, flows, and random views of images."""

from pyro_ssvae.nn.augment import Affine, Colour, Crop, Erase, Flip, Views, views
from pyro_ssvae.nn.columns import Column, Columns
from pyro_ssvae.nn.fixed import reverse_gradient, standard_normal, uniform_classes
from pyro_ssvae.nn.flows import Flow, posterior
from pyro_ssvae.nn.heads import (
    MIN_SCALE,
    Bernoulli,
    Categorical,
    GreyBernoulli,
    Normal,
    OneHots,
    Point,
    Tokens,
)
from pyro_ssvae.nn.images import ConvolutionalClassifier
from pyro_ssvae.nn.likelihoods import Likelihood, likelihood
from pyro_ssvae.nn.mixed import Mixed, MixedColumns
from pyro_ssvae.nn.mlp import MLP, BatchNorm, Layers

__all__ = [
    "MIN_SCALE", "MLP", "Affine", "BatchNorm", "Bernoulli", "Categorical", "Colour", "Column",
    "Columns", "ConvolutionalClassifier", "Crop", "Erase", "Flip", "Flow", "GreyBernoulli",
    "Layers", "Likelihood", "Mixed", "MixedColumns", "Normal", "OneHots", "Point", "Tokens",
    "Views", "likelihood", "posterior", "reverse_gradient", "standard_normal", "uniform_classes",
    "views",
]
