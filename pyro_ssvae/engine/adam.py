"""Adam as a part of captured updates. Kingma and Ba (2015), algorithm 1, as torch rounds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pyro_ssvae import private
from pyro_ssvae.engine.graphs import compiled, replayed

UNKNOWN = ("amsgrad", "decoupled_weight_decay")  # options of torch's Adam that are not taken here
BETAS, EPS = (0.9, 0.999), 1e-8  # torch's


class FusedAdam:
    """Torch's fused Adam on an optimizer's own state, without its Python.

    Args:
        optimizer: An Adam with one group of parameters.
        parameters: The parameters to move.
    """

    def __init__(self, optimizer: torch.optim.Adam, parameters: Sequence[nn.Parameter]) -> None:
        self.options = optimizer.param_groups[0]
        for p in parameters:
            optimizer.state[p] = optimizer.state[p] or {
                "step": torch.zeros((), dtype=torch.float32, device=p.device),
                "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p),
            }
        states = [optimizer.state[p] for p in parameters]
        self.means, self.squares = ([s[name] for s in states] for name in ("exp_avg", "exp_avg_sq"))
        self.counts = torch.stack([state["step"] for state in states])  # one addition for all
        for state, count in zip(states, self.counts):
            state["step"] = count

    @classmethod
    def of(
        cls, optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter]
    ) -> FusedAdam | None:
        """The step of an optimizer that is a plain fused Adam of these parameters, else None.

        One that has hooks is not plain: they are called with the optimizer's own step.
        """
        if type(optimizer) is not torch.optim.Adam or len(optimizer.param_groups) != 1:
            return None
        if private.has_hooks(optimizer):
            return None
        group = optimizer.param_groups[0]
        known = {id(p) for p in group["params"]}
        plain = group["fused"] and all(not group.get(name) for name in UNKNOWN)
        if not plain or any(id(p) not in known for p in parameters):
            return None
        return cls(optimizer, parameters)

    @property
    def state(self) -> list[Tensor]:
        """What changes beside the parameters."""
        return [*self.means, *self.squares, self.counts]

    def __call__(
        self, parameters: list[Tensor], gradients: list[Tensor], *, lr: Tensor, broken: Tensor
    ) -> None:
        """Move the parameters, unless ``broken`` is 1."""
        beta1, beta2 = self.options["betas"]
        self.counts += 1.0 - broken
        private.fused_adam(
            parameters, gradients, self.means, self.squares, list(self.counts), found_inf=broken,
            lr=lr, beta1=beta1, beta2=beta2, eps=self.options["eps"],
            weight_decay=self.options["weight_decay"], maximize=self.options["maximize"],
        )


class BatchedAdam:
    """Adam for replicas side by side, each with its own learning rate.

    Args:
        parameters: The parameters, (R, ...) each, which are moved in place.
        compile: Whether to compile it.
    """

    def __init__(self, parameters: list[Tensor], *, compile: bool) -> None:
        self.parameters = parameters
        self.means, self.squares = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
        self.count = torch.zeros(len(parameters[0]), dtype=torch.float64).to(parameters[0].device)
        zeros = [torch.zeros_like(p) for p in parameters]
        number = torch.zeros_like(self.count, dtype=parameters[0].dtype)
        numbers = [number, number, number.float()]
        given = [*parameters, *zeros, *self.means, *self.squares, *numbers]
        make = compiled if compile else replayed
        self.move = make(private.traced(_adam, given), given)

    @property
    def state(self) -> list[Tensor]:
        """What changes beside the parameters."""
        return [*self.means, *self.squares, self.count]

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` goes on from, by torch's names."""
        return {"exp_avg": self.means, "exp_avg_sq": self.squares, "step": self.count}

    def of_replica(self, i: int) -> list[dict[str, Tensor]]:
        """The state that torch's Adam would have of the parameters of replica i, from 0."""
        return [
            {"step": self.count[i].float(), "exp_avg": mean[i].clone(),
             "exp_avg_sq": square[i].clone()}
            for mean, square in zip(self.means, self.squares)
        ]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken.

        Raises:
            ValueError: If it is not the state of an Adam of such parameters.
        """
        saved = [*state["exp_avg"], *state["exp_avg_sq"], state["step"]]
        if [tensor.shape for tensor in saved] != [tensor.shape for tensor in self.state]:
            raise ValueError("the averages are of other parameters")
        for tensor, value in zip(self.state, saved):
            tensor.copy_(value)

    def __call__(self, gradients: Sequence[Tensor], *, lr: Tensor, broken: Tensor) -> None:
        """Move the replicas of which ``broken`` is 0; ``lr`` and ``broken`` are (R,)."""
        self.count += 1.0 - broken
        beta1, beta2 = BETAS
        rate = (lr / (1 - beta1**self.count)).to(lr.dtype)
        scale = (1 - beta2**self.count).sqrt().to(lr.dtype)
        self.move(
            *self.parameters, *gradients, *self.means, *self.squares, rate, scale, broken
        )


def _adam(*tensors: Tensor) -> list[Tensor]:
    *tensors_of_all, rate, scale, broken = tensors
    number = len(tensors_of_all) // 4
    groups = [tensors_of_all[i * number:(i + 1) * number] for i in range(4)]
    for parameter, gradient, mean, square in zip(*groups):
        of_replica = (-1, *(1,) * (parameter.dim() - 1))
        first = mean.lerp(gradient, 1 - BETAS[0])
        second = BETAS[1] * square + (1 - BETAS[1]) * gradient * gradient
        step = rate.view(of_replica) * first / (second.sqrt() / scale.view(of_replica) + EPS)
        kept = broken.view(of_replica) > 0
        parameter.copy_(torch.where(kept, parameter, parameter - step))
        mean.copy_(torch.where(kept, mean, first))
        square.copy_(torch.where(kept, square, second))
    return [broken]
