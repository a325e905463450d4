"""Ensembles: replicas of a pair trained together, as one program of batched tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.adam import BatchedAdam
from pyro_ssvae.engine.graphs import Function, Recorded, compiled, replayed
from pyro_ssvae.engine.precision import Precision
from pyro_ssvae.engine.program import Program, constants, inputs, scalars
from pyro_ssvae.engine.shared import PROGRAMS
from pyro_ssvae.engine.vectorised import vectorised
from pyro_ssvae.errors import InputError
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.training.elementwise import Elementwise, Make
from pyro_ssvae.training.finite import Checked, Guard, OnNonFinite, copies, put_back
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.noise import Noise
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.replicas import check_programs
from pyro_ssvae.training.schedule import learning_rate
from pyro_ssvae.training.steps import Losses


class Ensemble:
    """Updates of replicas as one graph: the update of one, vectorised by ``torch.func.vmap``.

    Args:
        objectives: The replicas, as for :func:`pyro_ssvae.fit_ensemble`.
        rates: The learning rates of Adam, one for each.
        precision: The precision of matrix products.
        compile: Whether to compile the graph.
        optimizer: The function that gives an optimizer in place of Adam, as for
            :func:`pyro_ssvae.fit_ensemble`.
        on_nonfinite: What to do about an update that is not finite, ``"stop"`` or ``"skip"``.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        rates: Sequence[float],
        *,
        precision: Precision = "fp32",
        compile: bool = True,
        optimizer: Make | None = None,
        on_nonfinite: OnNonFinite = "stop",
    ) -> None:
        self.objectives, self.precision, self.compile = objectives, precision, compile
        self.lr = list(rates)
        like = next(objectives[0].parameters())
        self.device = like.device
        self.rates = torch.tensor(rates, dtype=like.dtype).to(like.device)
        self.weights: list[Tensor] = []
        self.constants: dict[str, Any] = {}
        self.epochs, self.share = scalars(2, like)
        self.share.fill_(1.0)
        self.generators = [torch.Generator(self.device) for _ in objectives]
        self.functions: dict[Any, tuple[Function, Program]] = {}
        self.names = {id(p): name for name, p in objectives[0].named_parameters()}
        self.members: list[list[Tensor]] = []
        self.state: list[Tensor] = []
        self.learnt: list[str] = []
        self.make = optimizer
        self.optimizer: BatchedAdam | Elementwise | None = None
        self.progress: float | None = None
        self.saved: dict[str, Any] | None = None  # the optimizer's state, until there is one
        self.guards = [
            Guard(objective, on_nonfinite, f"replica {i}: ")
            for i, objective in enumerate(objectives)
        ]
        self.checked: list[Checked] = []
        self.left: set[int] = set()

    @contextmanager
    def epoch(
        self, seeds: Sequence[int], noise: Mapping[str, Tensor]
    ) -> Iterator[Callable[[], Noise]]:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        check_programs(self.objectives)
        self.begin(seeds)
        for name, state in noise.items():
            generator = self.generators[int(name)]
            if state.shape == generator.get_state().shape:  # else it is of another kind of device
                generator.set_state(state.cpu())
        yield lambda: {str(i): g.get_state() for i, g in enumerate(self.generators)}

    def begin(self, seeds: Sequence[int]) -> None:
        """Begin an epoch, with the objectives' settings as they are and noise of these seeds."""
        first = self.objectives[0]
        if (now := constants(first)) != self.constants:
            self.constants = now
            self.functions.clear()  # what was captured is another program
        self.weights = [
            self.rates.new_tensor([o.weights[name] for o in self.objectives])
            for name in inputs(first)
        ]
        for generator, seed in zip(self.generators, seeds):
            generator.manual_seed(seed)

    def __call__(self, batch: Batch, now: Moment) -> Losses:
        """One update of all replicas.

        Args:
            batch: The batches side by side, (R, L, D), (R, L, K) and (R, U, D) of R replicas.
            now: The moment.

        Returns:
            The losses and their terms by name, (R,) each.
        """
        self.epochs.fill_(now.epochs)
        shapes = tuple(part.shape for part in batch.tensors)
        if shapes not in self.functions:
            self.functions[shapes] = self._function(batch)
        function, program = self.functions[shapes]
        before = copies(buffers := self._at_risk())
        outcome, gradients, broken = program.split(function(*self._tensors(batch)))
        if isinstance(self.optimizer, Elementwise):
            self.optimizer(gradients, broken, self.progress)
        put_back(buffers, before, broken)
        self.checked.append(Checked(outcome, now, self.learnt))
        return outcome.losses

    def decay(self, progress: float) -> None:
        """Have the learning rates be those after a share ``progress`` of the training."""
        self.share.fill_(learning_rate(progress, 1.0, decay=True))
        self.progress = progress

    def leave(self, i: int) -> None:
        """Have replica i, from 0, take no further part: its weights are not written any more."""
        self.left.add(i)

    def settle(self) -> None:
        """See :class:`pyro_ssvae.training.steps.Step`; the replicas' weights are written."""
        self.write()
        checked, self.checked = self.checked, []
        if not checked:
            return
        fine = torch.stack([each.outcome.finite.all(-1) for each in checked], 1).tolist()  # (R, U)
        for i, guard in self._staying():
            broken = [each for each, is_fine in zip(checked, fine[i]) if not is_fine]
            guard.count(sum(fine[i]), [each.of_replica(i) for each in broken])

    def end(self) -> list[int]:
        """See :class:`pyro_ssvae.training.steps.Step`; the replicas' weights are written."""
        self.settle()
        skipped = [0] * len(self.guards)
        for i, guard in self._staying():
            skipped[i] = guard.end()
        return skipped

    def tensors(self) -> list[dict[str, Tensor]]:
        """See :class:`pyro_ssvae.training.steps.Step`; after the first update."""
        names = [*self.learnt, *(name for name, _ in self.objectives[0].named_buffers())]
        return [
            {name: stacked[i] for name, stacked in zip(names, self.state, strict=True)}
            for i in range(len(self.objectives))
        ]

    def state_dict(self) -> dict[str, Any]:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        optimizer = self.saved if self.optimizer is None else self.optimizer.state_dict()
        return {"optimizer": optimizer, "guards": [guard.state_dict() for guard in self.guards]}

    def state_of(self, i: int) -> dict[str, Any]:
        """See :class:`pyro_ssvae.training.steps.Step`; of replicas that Adam trains.

        Raises:
            InputError: If another optimizer trains them.
        """
        if not isinstance(self.optimizer, BatchedAdam):
            raise InputError("expected replicas that Adam has trained, got another optimizer")
        objective = self.objectives[i]
        parameters = dict(objective.named_parameters())
        alone = adam(objective, self.lr[i])
        for name, averages in zip(self.learnt, self.optimizer.of_replica(i), strict=True):
            alone.state[parameters[name]] = averages
        return {"optimizer": alone.state_dict(), "guards": [self.guards[i].state_dict()]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`pyro_ssvae.training.steps.Step`."""
        self.saved, self.optimizer = state["optimizer"], None
        for guard, own in zip(self.guards, state["guards"], strict=True):
            guard.load_state_dict(own)
        self.functions.clear()

    def write(self) -> None:
        """Write the weights of replicas that take part into their objectives."""
        for i, tensors in enumerate(self.members):
            for tensor, stacked in zip(tensors, self.state if i not in self.left else ()):
                tensor.copy_(stacked[i])

    def _at_risk(self) -> list[Tensor]:
        """The buffers side by side, as :meth:`Guard.at_risk` has those of one replica."""
        return self.state[len(self.learnt):] if self.guards[0].at_risk() else []

    def _staying(self) -> list[tuple[int, Guard]]:
        return [(i, guard) for i, guard in enumerate(self.guards) if i not in self.left]

    def _tensors(self, batch: Batch) -> list[Tensor]:
        return [*self.state, *batch.tensors, self.epochs, *self.weights, self.share]

    def _function(self, batch: Batch) -> tuple[Function, Program]:
        one = Batch(*(part[0] for part in batch.tensors))
        program = PROGRAMS.program(self.objectives[0], one, precision=self.precision)
        # The last batch of an epoch is smaller: it is rare, and not worth a compiler's time.
        compile = self.compile and not self.functions
        learnt = [self.names[id(p)] for p in program.learnt]
        if self.optimizer is None:
            self.learnt = learnt
            self._stack()
            self.optimizer = self._optimizer(compile=compile)
        if learnt != self.learnt:
            changed = sorted({*learnt} ^ {*self.learnt})
            raise InputError(
                "expected replicas to train the same parameters in every epoch, got a change of"
                f" {', '.join(changed)}: train in two calls of fit_ensemble"
            )
        function = self._batched(program, batch, compile=compile)
        state = self.state
        if isinstance(self.optimizer, BatchedAdam):
            function = self._with_adam(function, program, self.optimizer)
            state = [*state, *self.optimizer.state]
        if self.device.type == "cuda":
            function = Recorded(function, self._tensors(batch), state, generators=self.generators)
        return function, program

    def _optimizer(self, *, compile: bool) -> BatchedAdam | Elementwise:
        parameters = self.state[:len(self.learnt)]
        optimizer: BatchedAdam | Elementwise
        if self.make is None:
            optimizer = BatchedAdam(parameters, compile=compile)
        else:
            optimizer = Elementwise(self.make, parameters)
        if self.saved is not None:
            optimizer.load_state_dict(self.saved)
        return optimizer

    def _with_adam(self, gradients: Function, program: Program, adam: BatchedAdam) -> Function:
        """Gradients and Adam's step, which leaves none of them."""
        def update(*tensors: Tensor) -> list[Tensor]:
            outcome, slopes, broken = program.split(gradients(*tensors))
            adam(slopes, lr=self.rates * tensors[-1], broken=broken)
            return [outcome.total, *outcome.terms.values(), outcome.finite, broken]

        return update

    def _stack(self) -> None:
        self.members = []
        for objective in self.objectives:
            parameters = dict(objective.named_parameters())
            learnt = [parameters[name].detach() for name in self.learnt]
            self.members.append(learnt + list(objective.buffers()))
        self.state = [torch.stack(tensors) for tensors in zip(*self.members)]

    def _batched(self, program: Program, batch: Batch, *, compile: bool) -> Function:
        """The program for all replicas, each with noise of its own."""
        given = self._tensors(batch)[:-1]  # all but the share of the learning rates
        epoch = len(self.state) + len(batch.tensors)
        graph, noises = vectorised(program.graph, given, of_all={epoch})
        noise = [each.empty(len(self.members)) for each in noises]
        run = (compiled if compile else replayed)(graph, [*given, *noise])

        def function(*tensors: Tensor) -> Sequence[Tensor]:
            for i, generator in enumerate(self.generators):
                for each, drawn in zip(noises, noise):
                    each.fill(drawn[i], generator)
            return run(*tensors[:-1], *noise)

        return function
