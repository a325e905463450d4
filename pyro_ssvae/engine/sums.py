"""Losses and gradients of a whole batch, from those of the shares that processes have of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_ssvae.errors import InputError
from pyro_ssvae.inference import shares
from pyro_ssvae.inference.objective import Loss
from pyro_ssvae.system import processes


def summed(loss: Loss, gradients: Sequence[Tensor]) -> Loss:
    """The loss that the shares add up to; the gradients, in place, are what theirs add up to.

    All of it is one sum over the processes, and the same in each of them to the last bit. Where a
    batch is whole, so are its loss and gradients.
    """
    if shares.current() is None:
        return loss
    if any(gradient.is_sparse for gradient in gradients):
        raise InputError(
            "expected dense gradients in several processes, got a sparse one: use sparse=False, or"
            " train in one process"
        )
    numbers = [loss.total.detach(), *loss.terms.values()]
    whole = torch.cat([tensor.reshape(-1) for tensor in (*gradients, *numbers)])
    processes.add(whole)
    sizes = [tensor.numel() for tensor in (*gradients, *numbers)]
    pieces = whole.split(sizes)
    for gradient, piece in zip(gradients, pieces):
        gradient.copy_(piece.view(gradient.shape))
    total, *terms = (piece.view(()) for piece in pieces[len(gradients):])
    return Loss(total, dict(zip(loss.terms, terms)))
