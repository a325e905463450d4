"""Ensembles: replicas of a pair trained together, as one program of batched tensors."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, get_args

import torch
from torch import Tensor
from torch.func import vmap
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_ssvae.contract import Batch
from pyro_ssvae.data import Dataset, Split, steps_per_epoch
from pyro_ssvae.data.batches import order
from pyro_ssvae.engine.adam import BatchedAdam
from pyro_ssvae.engine.graphs import Function, Recorded, compiled
from pyro_ssvae.engine.noise import lifted
from pyro_ssvae.engine.outcome import Outcome
from pyro_ssvae.engine.precision import Precision
from pyro_ssvae.engine.program import (
    CaptureError,
    Program,
    constants,
    inputs,
    reason,
    scalars,
    trace,
)
from pyro_ssvae.errors import InputError, NonFiniteLossError, one_of, positive
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.system.progress import Progress
from pyro_ssvae.training.finite import Checked, OnNonFinite, judge
from pyro_ssvae.training.loop import Epoch, check_support, mean_losses, noise_seed, validate
from pyro_ssvae.training.schedule import learning_rate
from pyro_ssvae.training.updates import Moment


def fit_ensemble(
    objectives: Sequence[Objective],
    splits: Split | Sequence[Split],
    *,
    epochs: int = 50,
    lr: float | Sequence[float] = 1e-3,
    decay: bool = False,
    batch_labelled: int = 100,
    batch_unlabelled: int = 100,
    seeds: Sequence[int] | None = None,
    precision: Precision = "fp32",
    compile: bool = True,
    on_nonfinite: OnNonFinite = "stop",
    progress: bool = False,
) -> Iterator[list[Epoch]]:
    """Train replicas of one pair together, one epoch of all for each item taken from it.

    Replicas may differ in their parameters to begin with, in their split of one data set, in their
    seed, in ``lr`` and in any of ``Objective.weights``, of which each but ``beta`` is zero in all
    of them or in none. Each is trained as :func:`pyro_ssvae.fit` would train it alone, with the
    same noise: equal up to the rounding of batched products.

    Args:
        objectives: the replicas, of one device; their weights are written after every epoch.
        splits: one for all, or one for each.
        lr: learning rate of Adam, one for all or one for each.
        seeds: of the batches and the noise, one for each; 0, 1, ... by default.
        compile: False replays the batched program as traced, which costs no compiler.
        epochs, decay, batch_labelled, batch_unlabelled, precision, on_nonfinite, progress: as for
            :func:`pyro_ssvae.fit`; a replica's update that is skipped leaves the others' alone.

    Yields:
        What :func:`pyro_ssvae.fit` gives for an epoch, of each replica; ``seconds`` is the time of
        all together.

    Raises:
        InputError: if the replicas cannot be one program, or data or sizes are not usable.
        CaptureError: if the pair cannot be captured, or draws noise that depends on parameters.
        NonFiniteLossError: at the end of an epoch in which a replica's loss or gradient was NaN or
            infinite; such an update has moved nothing. With ``on_nonfinite="skip"``, where all
            updates of a replica were such.
    """
    replicas = len(objectives)
    one_of("precision", precision, get_args(Precision))
    one_of("on_nonfinite", on_nonfinite, get_args(OnNonFinite))
    positive(replicas=replicas, epochs=epochs)
    splits = _each("splits", splits if isinstance(splits, Sequence) else [splits], replicas)
    rates = _each("lr", lr if isinstance(lr, Sequence) else [lr], replicas)
    seeds = _each("seeds", range(replicas) if seeds is None else seeds, replicas)
    positive(**{f"lr[{i}]": rate for i, rate in enumerate(rates)})
    check_replicas(objectives, splits)
    device = next(objectives[0].parameters()).device
    dataset = splits[0].dataset.to(device)  # once: the splits are of one
    splits = [replace(split.to(device), dataset=dataset) for split in splits]
    check_support(objectives[0], splits[0])
    ensemble = Ensemble(objectives, rates, precision=precision, compile=compile)
    steps = steps_per_epoch(splits[0], batch_unlabelled)
    what = f"training {replicas} replicas of {type(objectives[0].model).__name__}"
    with Progress(what, epochs * steps, "updates", show=progress) as bar:
        for epoch in range(epochs):
            began = time.perf_counter()
            check_replicas(objectives, splits)
            ensemble.begin([noise_seed(seed, epoch) for seed in seeds])
            checked = []
            sizes = batch_labelled, batch_unlabelled
            for step, batch in enumerate(_batches(splits, *sizes, seeds=seeds, epoch=epoch)):
                share = learning_rate((epoch * steps + step) / (epochs * steps), 1.0, decay)
                now = Moment(epoch, step, steps)
                outcome, names = ensemble(batch, now, share)
                checked.append(Checked(outcome, now, names))
                bar.advance()
            ensemble.write()
            apart = [[_of_replica(one, i) for one in checked] for i in range(replicas)]
            skipped = [_judged(of_one, i, on_nonfinite) for i, of_one in enumerate(apart)]
            losses = [mean_losses([one.outcome.losses for one in of_one]) for of_one in apart]
            found = [validate(*pair) for pair in zip(objectives, splits)]
            seconds = time.perf_counter() - began
            done = epoch + 1, (epoch + 1) * steps, seconds
            yield [Epoch(*done, *of_one) for of_one in zip(losses, found, skipped)]


def _of_replica(checked: Checked, i: int) -> Checked:
    total, terms, finite = checked.outcome
    terms = {name: value[i] for name, value in terms.items()}
    return checked._replace(outcome=Outcome(total[i], terms, finite[i]))


def _judged(checked: Sequence[Checked], i: int, on_nonfinite: OnNonFinite) -> int:
    try:
        return judge(checked, on_nonfinite)
    except NonFiniteLossError as error:
        raise NonFiniteLossError(f"replica {i}: {error}") from None


class Ensemble:
    """Updates of replicas as one graph: the update of one, vectorised by ``torch.func.vmap``.

    Args:
        objectives: the replicas, as for :func:`fit_ensemble`.
        rates: learning rates, one for each.
        precision, compile: as for :func:`fit_ensemble`.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        rates: Sequence[float],
        *,
        precision: Precision = "fp32",
        compile: bool = True,
    ) -> None:
        self.objectives, self.precision, self.compile = objectives, precision, compile
        like = next(objectives[0].parameters())
        self.device = like.device
        self.rates = torch.tensor(rates, dtype=like.dtype).to(like.device)
        self.weights: list[Tensor] = []
        self.constants: dict[str, Any] = {}
        self.epoch, self.share = scalars(2, like)
        self.generators = [torch.Generator(self.device) for _ in objectives]
        self.functions: dict[Any, tuple[Function, Program]] = {}
        self.names = {id(p): name for name, p in objectives[0].named_parameters()}
        self.members: list[list[Tensor]] = []
        self.state: list[Tensor] = []
        self.learnt: list[str] = []
        self.adam: BatchedAdam | None = None

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

    def __call__(
        self, batch: Batch, now: Moment, share: float = 1.0
    ) -> tuple[Outcome, list[str]]:
        """One update of all replicas, with this share of their learning rates.

        Args:
            batch: (R, L, D), (R, L, K) and (R, U, D), R replicas.

        Returns:
            The outcomes, their losses (R,) each and ``finite`` (R, 1 + P), and the names of the P
            parameters.
        """
        self.epoch.fill_(now.epochs)
        self.share.fill_(share)
        shapes = tuple(part.shape for part in batch)
        if shapes not in self.functions:
            self.functions[shapes] = self._function(batch)
        function, program = self.functions[shapes]
        outcome, _, _ = program.split(function(*self._tensors(batch)))
        return outcome, self.learnt

    def write(self) -> None:
        """Write the replicas' weights into their objectives."""
        for i, tensors in enumerate(self.members):
            for tensor, stacked in zip(tensors, self.state):
                tensor.copy_(stacked[i])

    def _tensors(self, batch: Batch) -> list[Tensor]:
        return [*self.state, *batch, self.epoch, *self.weights, self.share]

    def _function(self, batch: Batch) -> tuple[Function, Program]:
        one = Batch(*(part[0] for part in batch))
        program = trace(self.objectives[0], one, precision=self.precision)
        # The last batch of an epoch is smaller: it is rare, and not worth a compiler's time.
        compile = self.compile and not self.functions
        learnt = [self.names[id(p)] for p in program.learnt]
        if self.adam is None:
            self.learnt = learnt
            self._stack()
            self.adam = BatchedAdam(self.state[:len(learnt)], compile=compile)
        if learnt != self.learnt:
            changed = sorted({*learnt} ^ {*self.learnt})
            raise InputError(
                "expected replicas to train the same parameters in every epoch, got a change of"
                f" {', '.join(changed)}: train in two calls of fit_ensemble"
            )
        adam = self.adam
        gradients = self._batched(program, batch, compile=compile)

        def update(*tensors: Tensor) -> list[Tensor]:
            outcome, slopes, broken = program.split(gradients(*tensors[:-1]))
            adam(slopes, lr=self.rates * tensors[-1], broken=broken)
            return [outcome.total, *outcome.terms.values(), outcome.finite, broken]

        function: Function = update
        if self.compile and self.device.type == "cuda":
            state = [*self.state, *adam.state]
            function = Recorded(update, self._tensors(batch), state, generators=self.generators)
        return function, program

    def _stack(self) -> None:
        for objective in self.objectives:
            parameters = dict(objective.named_parameters())
            learnt = [parameters[name].detach() for name in self.learnt]
            self.members.append(learnt + list(objective.buffers()))
        self.state = [torch.stack(tensors) for tensors in zip(*self.members)]

    def _batched(self, program: Program, batch: Batch, *, compile: bool) -> Function:
        """The program for all replicas, each with noise of its own."""
        graph, noises = lifted(program.graph)
        noise = [of_one.empty(len(self.members)) for of_one in noises]
        given = [*self._tensors(batch)[:-1], *noise]
        shared: list[int | None] = [0] * len(given)
        shared[len(self.state) + len(batch)] = None  # the epoch
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "There is a performance drop")  # while tracing
                batched = make_fx(vmap(graph, in_dims=tuple(shared)))(*map(torch.clone, given))
        except Exception as error:
            raise CaptureError(f"this pair cannot be vectorised: {reason(error)}") from error
        run: Function = compiled(batched, given) if compile else batched

        def function(*tensors: Tensor) -> Sequence[Tensor]:
            for i, generator in enumerate(self.generators):
                for of_one, drawn in zip(noises, noise):
                    of_one.fill(drawn[i], generator)
            return run(*tensors, *noise)

        return function


def check_replicas(objectives: Sequence[Objective], splits: Sequence[Split]) -> None:
    """Raise :class:`InputError` unless the replicas differ in nothing but what they may."""
    if len({id(objective) for objective in objectives}) < len(objectives):
        raise InputError("expected one object for each replica, got the same twice")
    settings = [constants(objective) for objective in objectives]
    for i, (one, split) in enumerate(zip(settings, splits)):
        for name in sorted(settings[0].keys() | one.keys()):
            if settings[0].get(name) != one.get(name):
                raise InputError(
                    f"expected replicas that differ in weights alone, got {name} ="
                    f" {settings[0].get(name)} in replica 0 and {one.get(name)} in replica {i}"
                    "; what is no number, text, tensor or function, nor a list, a dictionary or an"
                    " object of these, must be one object for all"
                )
        if not _same(split.dataset, splits[0].dataset):
            raise InputError(f"expected splits of one data set, got another in replica {i}")
        if len(split.unlabelled) != len(splits[0].unlabelled):
            raise InputError(
                f"expected equally many unlabelled examples, got {len(splits[0].unlabelled)} in"
                f" replica 0 and {len(split.unlabelled)} in replica {i}"
            )
        if len(objectives[i].turns()) > 1:
            raise InputError(
                "expected a pair whose parameters move all at once, got one that takes turns:"
                ' train its replicas one by one, or use game="reversal"'
            )


def _same(one: Dataset, other: Dataset) -> bool:
    if one is other:
        return True
    return torch.equal(one.x, other.x) and torch.equal(one.y, other.y)


def _each(what: str, values: Sequence[Any], replicas: int) -> list[Any]:
    if len(values) == 1:
        return list(values) * replicas
    if len(values) != replicas:
        raise InputError(f"expected {what} for {replicas} replicas, got {len(values)}")
    return list(values)


def _batches(
    splits: Sequence[Split], labelled: int, unlabelled: int, *, seeds: Sequence[int], epoch: int
) -> Iterator[Batch]:
    """The replicas' batches, side by side."""
    orders = [
        order(split, labelled, unlabelled, seed=seed, epoch=epoch)
        for split, seed in zip(splits, seeds)
    ]
    seen, unseen = (torch.stack(parts) for parts in zip(*orders))
    alike = all(split.hidden is None for split in splits)
    for some, others in zip(seen.split(labelled, dim=1), unseen.split(unlabelled, dim=1)):
        if alike:
            x, y = splits[0].examples(some)
        else:
            examples = [split.examples(index) for split, index in zip(splits, some)]
            x, y = (torch.stack(parts) for parts in zip(*examples))
        yield Batch(x, y, splits[0].dataset.x[others])
