"""Networks: bodies, heads that make distributions, flows, and random views of images."""

from pyro_ssvae.nn.augment import Affine, Colour, Crop, Erase, Flip, Views, views
from pyro_ssvae.nn.columns import Column, Columns
from pyro_ssvae.nn.conv import Conv
from pyro_ssvae.nn.fixed import reverse_gradient, standard_normal, uniform_classes
from pyro_ssvae.nn.flows import Flow, posterior
from pyro_ssvae.nn.heads import (
    MIN_SCALE,
    Bernoulli,
    Categorical,
    GreyBernoulli,
    Head,
    Normal,
    OneHots,
    Point,
    Tokens,
)
from pyro_ssvae.nn.likelihoods import Likelihood
from pyro_ssvae.nn.logistics import Logistics, MixedLogistics
from pyro_ssvae.nn.mixed import Mixed, MixedColumns
from pyro_ssvae.nn.mlp import MLP, BatchNorm, Layers
from pyro_ssvae.nn.network import Body, Network, network
from pyro_ssvae.nn.samples import drawn, noise
from pyro_ssvae.nn.shapes import Shape, as_shape, is_image, number
from pyro_ssvae.nn.wide_resnet import WideResNet

__all__ = [
    "MIN_SCALE", "MLP", "Affine", "BatchNorm", "Bernoulli", "Body", "Categorical", "Colour",
    "Column", "Columns", "Conv", "Crop", "Erase", "Flip", "Flow", "GreyBernoulli", "Head", "Layers",
    "Likelihood", "Logistics", "Mixed", "MixedColumns", "MixedLogistics", "Network", "Normal",
    "OneHots", "Point", "Shape", "Tokens", "Views", "WideResNet", "as_shape", "drawn", "is_image",
    "network", "noise", "number", "posterior", "reverse_gradient", "standard_normal",
    "uniform_classes", "views",
]
