"""The convolutional classifier."""

import pytest
import torch

from pyro_ssvae.nn import ConvolutionalClassifier


@pytest.mark.parametrize("shape", [(8, 8), (5, 7), (28, 28)])
def test_the_convolutional_classifier_takes_images_of_any_shape(shape) -> None:
    classifier = ConvolutionalClassifier(shape, 4)
    probs = classifier(torch.rand(3, shape[0] * shape[1])).probs
    assert probs.shape == (3, 4)
    torch.testing.assert_close(probs.sum(-1), torch.ones(3))
