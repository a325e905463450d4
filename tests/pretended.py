"""A GPU that is none: tensors on it have shapes, and no values. For tests where no GPU is."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pyro
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode


def on_gpu(x: Tensor | None) -> Tensor | None:
    """A tensor on the GPU, of the shape and the type of x; within :func:`gpu`."""
    return x if x is None else torch.empty(x.shape, dtype=x.dtype, device="cuda")


@contextmanager
def gpu(*modules: nn.Module) -> Iterator[None]:
    """Within, there is a GPU, and modules are on it, with the tensors that ``to`` would move.

    An operation on tensors of both devices raises, as it would on a GPU. The modules are not put
    back.
    """
    with FakeTensorMode(), pyro.validation_enabled(False):
        for part in (part for module in modules for part in module.modules()):
            for tensors in (part._parameters, part._buffers):
                tensors.update({name: on_gpu(value) for name, value in tensors.items()})
        yield


class Waiting(TorchDispatchMode):
    """Brings a number to the host wherever one is asked for: 1, for there are no values."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            return 1.0 if args[0].is_floating_point() else 1
        if func is torch.ops.aten._standard_gamma.default:  # torch 2.11 cannot tell its shape
            return torch.empty_like(args[0])
        return func(*args, **(kwargs or {}))


@contextmanager
def unseeded() -> Iterator[None]:
    """Within, the noise of the GPU is not seeded, nor put back: that takes a GPU's driver."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.random, "fork_rng", lambda devices: nullcontext())
        patch.setattr(torch.cuda, "manual_seed", lambda seed: None)
        patch.setattr(torch.cuda, "device", nullcontext)
        yield
