"""Captured updates are the eager ones: the same losses, gradients and noise, from one graph."""

import copy
import itertools
import warnings
from collections.abc import Sequence

import numpy as np
import pretended
import pyro
import pytest
import small
import torch
from torch import Tensor
from torch._dynamo.utils import counters
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pyro_ssvae import (
    InputError,
    NonFiniteLossError,
    Objective,
    fit,
    guides,
    labels,
    models,
    nn,
    private,
)
from pyro_ssvae.contract import Batch
from pyro_ssvae.data import batches, from_arrays
from pyro_ssvae.engine import graphs
from pyro_ssvae.engine.capture import Captured
from pyro_ssvae.engine.graphs import Function, Recorded, compiled
from pyro_ssvae.engine.program import CaptureError
from pyro_ssvae.engine.shared import Programs
from pyro_ssvae.evaluation.evaluate import fit_classifier
from pyro_ssvae.experiments import pairs
from pyro_ssvae.inference.feng import Capacity
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.inference.terms import Classification, Ramp, Term
from pyro_ssvae.labels import Relaxed
from pyro_ssvae.training.capturing import (
    WORTH_TRACING,
    WORTH_UPDATES,
    Capturing,
    decided,
    worth_compiling,
)
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager


def eager(objective: Objective, batch: Batch, epoch: float) -> tuple[Tensor, list[Tensor | None]]:
    objective.zero_grad()
    total = objective(batch, epoch).total
    total.backward()
    return total.detach(), [parameter.grad for parameter in objective.parameters()]


def sgd(objective: Objective) -> torch.optim.Optimizer:
    """An optimizer whose step is no part of a captured update."""
    return torch.optim.SGD(objective.parameters(), lr=0.1)


@pytest.fixture(scope="module", params=pairs.names())
def captured(request) -> Captured:
    """Each pair in turn, traced once."""
    split = small.split_for(request.param)
    objective = small.objective(request.param, split, warmup=4.0)
    return Captured(objective, sgd(objective), next(batches(split, 10, 20)), compile=False)


def batch_of(objective: Objective) -> Batch:
    """A batch as the pair of an objective takes it."""
    return next(batches(small.split_for(type(objective.model).__name__.lower()), 10, 20))


def test_every_pair_is_captured_to_the_bit_at_any_epoch(captured) -> None:
    objective, batch = captured.objective, batch_of(captured.objective)
    with pyro.validation_enabled(False):
        for epoch in (1.0, 3.0):
            torch.manual_seed(2)
            loss = captured(batch, epoch)
            gradients = [parameter.grad for parameter in objective.parameters()]
            torch.manual_seed(2)
            total, expected = eager(objective, batch, epoch)
            assert loss.total == total
            for a, b in zip(gradients, expected, strict=True):
                assert (a is None) == (b is None)
                assert a is None or torch.equal(a, b)


def test_no_captured_operation_brings_a_value_to_the_host(captured) -> None:
    # Each would wait for a GPU, and cannot be recorded there.
    waits = torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape
    for node in captured.program.graph.graph.nodes:
        assert not set(waits) & set(getattr(node.target, "tags", ())), node


class FromTheCPU(TorchDispatchMode):
    """Notes operations that bring values from the CPU to a GPU, or draw noise for it there."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        taken, given = (
            {value.device.type for value in tree_leaves(values) if isinstance(value, Tensor)}
            for values in ((args, kwargs), result)
        )
        drawn = torch.Tag.nondeterministic_seeded in func.tags
        # What is put at the places of a mask is an argument of the kernel, as a number is.
        masked = func is torch.ops.aten.index_put_.default and args[2].dim() == 0
        if "cpu" in taken and "cuda" in taken | given and not masked:
            self.found.append(str(func))
        if drawn and "cuda" not in given:
            self.found.append(str(func))
        return result


@pytest.mark.parametrize("name, options", [
    *((name, {}) for name in pairs.names()),
    *(("m2", options) for options in (
        {"label_inference": "enumerated:2"}, {"label_inference": "relaxed"},
        {"label_inference": "straight-through"}, {"flows": 1},
    )),
    *(("factored", options) for options in ({"label_inference": "enumerated"},
                                            {"interpolation": 1.0}, {"capacity_y": 0.5})),
    ("vade", {"label_inference": "enumerated:2"}), ("sdgm", {"batch_norm": True}),
    ("dirichletm2", {"bound": "exact"}),
])
def test_nothing_is_made_on_the_cpu_for_data_on_a_gpu(name, options) -> None:
    # A CUDA graph can record no such copy.
    split = small.split_for(name)
    objective = small.objective(name, split, **options)
    batch = next(batches(split, 10, 20))
    with pretended.gpu(objective), FromTheCPU() as mode:
        objective(Batch(*map(pretended.on_gpu, batch)), 1.0)
    assert not mode.found


def test_compiled_code_is_kept_for_the_next_run() -> None:
    # A number that no run before has compiled. A folder of its own would compile torch's headers.
    number, x = float(np.random.default_rng().random()), torch.rand(4)
    counters["inductor"].clear()
    for hits in (0, 1):
        graph = make_fx(lambda x: [x.exp() + number])(x)
        assert torch.allclose(compiled(graph, [x])(x)[0], x.exp() + number)
        assert counters["inductor"]["fxgraph_cache_hit"] == hits


@pytest.mark.usefixtures("traced_once")
def test_noise_is_new_at_every_call() -> None:
    objective, batch = small.m2(), small.batch()
    captured = Captured(objective, sgd(objective), batch, compile=False)
    assert captured(batch, 1.0).total != captured(batch, 1.0).total


def test_capturing_leaves_buffers_and_random_state_as_they_were(split) -> None:
    objective = small.objective("sdgm", split, batch_norm=True)
    before = {name: buffer.clone() for name, buffer in objective.named_buffers()}
    assert before
    state = torch.get_rng_state()
    Captured(objective, adam(objective), next(batches(split, 10, 20)), compile=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(buffer, before[name]) for name, buffer in objective.named_buffers())


@pytest.mark.usefixtures("traced_once")
def test_captured_statistics_of_batch_normalisation_move_as_eager_ones(split) -> None:
    batch = next(batches(split, 10, 20))
    statistics = []
    for captured in (True, False):
        objective = small.objective("sdgm", split, batch_norm=True)
        run = objective
        if captured:
            run = Captured(objective, sgd(objective), batch, compile=False)
        torch.manual_seed(3)
        for _ in range(3):
            run(batch, 1.0)
        statistics.append([buffer.clone() for buffer in objective.buffers()])
    assert all(torch.equal(a, b) for a, b in zip(*statistics, strict=True))


@pytest.mark.usefixtures("traced_once")
def test_noise_is_drawn_in_the_programs_order_whatever_a_compiler_does(monkeypatch) -> None:
    def backwards(graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Function:
        # As inductor may: what does not depend on another draw is drawn before it.
        nodes = graph.graph
        draws = [n for n in nodes.nodes if n.target is torch.ops.aten.normal_.default]
        with nodes.inserting_before(draws[0] if draws else None):
            for draw in draws[1:]:
                made = nodes.node_copy(draw.args[0])
                draw.replace_all_uses_with(nodes.call_function(draw.target, (made,)))
                nodes.erase_node(draw)
        graph.recompile()
        return graph

    monkeypatch.setattr("pyro_ssvae.engine.shared.compiled", backwards)
    monkeypatch.setattr("pyro_ssvae.engine.capture.PROGRAMS", Programs())
    objective, batch = small.m2(), small.batch()
    captured = Captured(objective, sgd(objective), batch)
    torch.manual_seed(2)
    loss = captured(batch, 1.0)
    torch.manual_seed(2)
    assert loss.total == eager(objective, batch, 1.0)[0]


@pytest.fixture(scope="module")
def compiled_and_eager(split) -> list[tuple[list[dict[str, float]], dict[str, Tensor]]]:
    results = []
    for mode in ("on", "off"):
        objective = small.objective("m2", split, warmup=2.0)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            epochs = list(fit(objective, split, epochs=2, batch_unlabelled=500, capture=mode))
        results.append(([epoch.losses for epoch in epochs], objective.state_dict()))
    return results


def test_compiled_training_gives_the_parameters_of_eager_training(
    compiled_and_eager, split
) -> None:
    # An epoch ends with a batch that is smaller than the others. Adam's first steps are of the
    # size of the learning rate, with the sign of the gradient: of rounding, where that is near 0.
    (_, compiled), (_, plain) = compiled_and_eager
    objective = small.objective("m2", split, warmup=2.0)
    _, gradients = eager(objective, next(batches(split, 100, 500)), 1.0)
    for (name, parameter), gradient in zip(objective.named_parameters(), gradients, strict=True):
        clear = (gradient == 0) | (gradient.abs() > 1e-4)
        assert clear.float().mean() > 0.9
        torch.testing.assert_close(compiled[name][clear], plain[name][clear], rtol=1e-4, atol=1e-5)
        assert not torch.equal(plain[name], parameter)


def test_compiled_gradients_are_the_eager_ones(split) -> None:
    objective = small.objective("m2", split, warmup=2.0)
    captured = Captured(objective, sgd(objective), next(batches(split, 100, 500)))
    for epoch, batch in enumerate(itertools.islice(batches(split, 100, 500, seed=1), 2)):
        torch.manual_seed(epoch)
        loss = captured(batch, epoch)
        gradients = [parameter.grad for parameter in objective.parameters()]
        torch.manual_seed(epoch)
        total, expected = eager(objective, batch, epoch)
        torch.testing.assert_close(loss.total, total, rtol=1e-5, atol=0)
        torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-5)


def test_compiled_training_reports_the_losses_of_eager_training(compiled_and_eager) -> None:
    (compiled, _), (plain, _) = compiled_and_eager
    for one, other in zip(compiled, plain, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


class Branching(models.M2):
    """p(x, y, z)"""

    def forward(self, x: Tensor, y: Tensor | None = None) -> None:
        super().forward(x, y)
        if x.mean() > 0.5:
            pyro.sample("late", pyro.distributions.Delta(x.mean()), obs=x.mean())


def branching() -> Objective:
    model = Branching(4, 3, z_dim=2, hidden=(5,))
    return Objective(model, guides.M2(model, hidden=(5,)))


def test_a_program_that_branches_on_values_is_refused_with_the_last_site() -> None:
    with pytest.raises(CaptureError, match=r"branches on the values.*after site 'x'"):
        Captured(objective := branching(), adam(objective), small.batch())


def test_a_failed_capture_leaves_the_parameters_in_place() -> None:
    objective = branching()
    before = [id(parameter) for parameter in objective.parameters()]
    with pytest.raises(CaptureError):
        Captured(objective, adam(objective), small.batch())
    assert [id(parameter) for parameter in objective.parameters()] == before


def test_what_cannot_be_captured_is_trained_eagerly_with_one_warning() -> None:
    objective = branching()
    step = Capturing(Eager(objective, adam(objective)))
    with pytest.warns(UserWarning, match="goes on without capture: .*branches") as caught:
        losses = [step(small.batch(), Moment(0, number, 3)) for number in range(3)]
    assert len([w for w in caught if "capture" in str(w.message)]) == 1
    assert all(loss["loss"].isfinite() for loss in losses)


@pytest.mark.usefixtures("traced_once")
def test_without_a_compiler_a_graph_is_replayed_as_traced(monkeypatch) -> None:
    monkeypatch.setattr(graphs.shutil, "which", lambda name: None)
    objective = small.m2()
    step = Capturing(Eager(objective, adam(objective)))
    with pytest.warns(UserWarning, match="not compiled: there is no C\\+\\+ compiler"):
        step(small.batch(), Moment(0, 0, 1))
    assert step.captured is not None and step.captured.lasts()


def test_what_a_gpu_cannot_record_is_refused_and_leaves_all_as_it_was(monkeypatch) -> None:
    def failing(function, generators, stream) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nand so on")

    def function(x: Tensor) -> list[Tensor]:
        x += torch.rand(3)
        return [x]

    monkeypatch.setattr(Recorded, "_warm_up", lambda self, function, _: function(*self.tensors))
    monkeypatch.setattr(Recorded, "_record", lambda self, *arguments: failing(*arguments))
    x, random = torch.ones(3), torch.get_rng_state()
    with pytest.raises(CaptureError, match=r"the GPU cannot record it: .* is capturing$"):
        Recorded(function, [x], [x])
    assert torch.equal(x, torch.ones(3))
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("can, told", [
    ([{"compile": True}], None),
    ([{"compile": False}], "with a graph that is not compiled: no compiler"),
    ([{"compile": False, "record": False}], "neither compiled nor recorded: no compiler"),
    ([], "without capture: no compiler"),
], ids=str)
def test_a_gpu_records_what_is_not_compiled_too(monkeypatch, can, told: str | None) -> None:
    class OnGpu:
        is_cuda = True

    def made(self: Capturing, batch: Batch, **how: bool) -> object:
        if how not in can:
            raise CaptureError("no compiler" if how["compile"] else "no recording")
        return how

    monkeypatch.setattr(Capturing, "_made", made)
    objective = small.m2()
    step = Capturing(Eager(objective, adam(objective)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert step._first(small.batch()._replace(x=OnGpu())) == next(iter(can), None)
    assert step.possible == bool(can)
    (message,) = [str(w.message) for w in caught] or [None]
    assert (told is None and message is None) or message.endswith(told)


def build_encoder() -> torch.nn.Module:
    torch.manual_seed(4)
    return nn.network("mlp", nn.Normal(), [(1, 8, 8), 10], 2, (5,))


def clearer(module, inputs, output: pyro.distributions.Distribution):
    return nn.GreyBernoulli(logits=2 * output.base_dist.logits).to_event(3)


@pytest.mark.parametrize("name, options, change", [
    ("factored", {"capacity_z": 1.0},
     lambda o: o.terms.update(capacity_z=Capacity("z", 1.0, schedule=Ramp(3.0)))),
    ("factored", {}, lambda o: setattr(o.guide.labels, "how", Relaxed(0.1))),
    ("vade", {"consistency": 5.0}, lambda o: o.weights.update(consistency=0.0)),
    ("vade", {"views": "digits"}, lambda o: setattr(o.views.weak, "turn", 0.1)),
    ("m2", {"alpha": 1.0}, lambda o: o.terms.update(classification=Term(Classification(0.3)))),
    ("m2", {"alpha": 0.0}, lambda o: o.weights.update(classification=2.0)),
    ("m2", {"warmup": 2.0}, lambda o: setattr(o, "warmup", 20.0)),
    ("m2", {"likelihood": "normal:1.0"},
     lambda o: setattr(o.model.decoder, "head", nn.Normal(2.0))),
    ("m2", {}, lambda o: setattr(o.guide, "encoder", build_encoder())),
    ("m2", {}, lambda o: o.guide.encoder.requires_grad_(False)),
    ("m2", {}, lambda o: o.model.decoder.register_forward_hook(clearer)),
])
@pytest.mark.usefixtures("traced_once")
def test_a_setting_changed_between_epochs_has_effect(name, options, change, split) -> None:
    # The captured loss of the next epoch is the eager one under the new setting.
    batch = next(batches(split, 10, 20))
    objective = small.objective(name, split, **options)
    with pyro.validation_enabled(False):
        eager_step = Eager(objective, sgd(objective))
        step = Capturing(eager_step)
        step.captured = old = Captured(objective, eager_step.optimizer, batch, compile=False)
        with step.epoch([1], {}):
            step(batch, Moment(0, 0, 1))
        change(objective)
        captures = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pyro_ssvae.training.capturing.Captured", uncompiled(captures))
            torch.manual_seed(2)
            expected, gradients = eager(objective, batch, 2.0)
            with step.epoch([2], {}):
                found = step(batch, Moment(1, 0, 1))
                step(batch, Moment(1, 1, 2))
            with step.epoch([3], {}):
                step(batch, Moment(2, 0, 1))
    assert found["loss"] == expected
    assert step.captured is not old and len(captures) == 1


def uncompiled(made: list[Captured]):
    def capture(*arguments, **options) -> Captured:
        made.append(Captured(*arguments, **options | {"compile": False}))
        return made[-1]
    return capture


@pytest.mark.parametrize("name, options, weights", [
    ("factored", {"interpolation": 1.0, "capacity_z": 1.0},
     ["interpolation", "swap", "capacity_z"]),
    ("vade", {"warmup": 4.0}, ["consistency", "alignment"]),
    ("untapped", {"warmup": 4.0}, ["reverse"]), ("adversarialm2", {"warmup": 4.0}, ["adversary"]),
])
@pytest.mark.usefixtures("traced_once")
def test_a_weight_changed_within_an_epoch_has_effect_at_the_next_update(
    name, options, weights, split
) -> None:
    batch = next(batches(split, 10, 20))
    objective = small.objective(name, split, **options)
    with pyro.validation_enabled(False):
        step = Capturing(Eager(objective, optimizer := sgd(objective)))
        step.captured = captured = Captured(objective, optimizer, batch, compile=False)
        step(batch, Moment(0, 0, 2))
        for weight in weights:
            losses = []
            for value in (objective.weights[weight], 3 * objective.weights[weight]):
                objective.weights[weight] = value
                torch.manual_seed(2)
                losses.append(eager(objective, batch, 1.0)[0])
            torch.manual_seed(2)
            computed = step(batch, Moment(0, 1, 2))
            assert computed["loss"] == losses[1] != losses[0], weight
    assert step.captured is captured


def test_a_program_lasts_while_nothing_but_weights_changes(captured) -> None:
    objective, batch = captured.objective, batch_of(captured.objective)
    optimizer = adam(objective)
    with_adam = Captured(objective, optimizer, batch, compile=False)
    with_adam(batch, 1.0)
    optimizer.param_groups[0]["lr"] = 1e-4
    objective.weights.update({name: 0.7 * w for name, w in objective.weights.items()})
    with pyro.validation_enabled(False), evaluating(objective):
        objective(batch, 2.0)
    assert captured.lasts() and with_adam.lasts()


def test_a_program_lasts_when_a_classifier_is_fitted_to_its_features(split) -> None:
    objective = small.objective("m1", split)
    captured = Captured(objective, sgd(objective), next(batches(split, 10, 20)), compile=False)
    fit_classifier(objective.guide, split)
    assert captured.lasts()


@pytest.mark.usefixtures("traced_once")
def test_a_program_lasts_whatever_an_optimizer_of_another_kind_remembers() -> None:
    objective = small.m2()
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.1, momentum=0.9)
    step = Capturing(Eager(objective, optimizer))
    step.captured = captured = Captured(objective, optimizer, small.batch(), compile=False)
    for epoch in range(3):
        with step.epoch([epoch], {}):
            step(small.batch(), Moment(epoch, 0, 1))
    assert step.captured is captured


@pytest.mark.usefixtures("traced_once")
def test_another_state_or_options_of_the_optimizer_need_another_program(split) -> None:
    objective = small.m2()
    optimizer = adam(objective)
    captured = Captured(objective, optimizer, small.batch(), compile=False)
    captured(small.batch(), 1.0)
    assert captured.lasts()
    optimizer.param_groups[0]["betas"] = (0.5, 0.9)
    assert not captured.lasts()
    captured = Captured(objective, optimizer, small.batch(), compile=False)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert not captured.lasts()


@pytest.mark.usefixtures("traced_once")
@pytest.mark.parametrize("hook", ["register_step_pre_hook", "register_step_post_hook"])
def test_hooks_of_an_optimizer_are_called_in_captured_training_too(hook: str) -> None:
    objective, called = small.m2(), []
    optimizer = adam(objective)
    step = Capturing(Eager(objective, optimizer), compile=False)
    step(small.batch(), Moment(0, 0, 1))
    assert step.captured.adam is not None
    getattr(optimizer, hook)(lambda *given: called.append("the hook"))
    for epoch in (1, 2):
        with step.epoch([epoch], {}):
            step(small.batch(), Moment(epoch, 0, 1))
    assert step.captured.adam is None and called == 2 * ["the hook"]


@pytest.mark.parametrize("hook", ["register_hook", "register_post_accumulate_grad_hook"])
def test_a_parameter_with_a_hook_is_trained_eagerly_with_a_warning(hook: str) -> None:
    objective, called = small.m2(), []
    name, parameter = next(objective.named_parameters())
    getattr(parameter, hook)(lambda given: called.append("the hook"))
    step = Capturing(Eager(objective, adam(objective)), compile=False)
    with pytest.warns(UserWarning, match=f"without capture: {name} has a hook"):
        step(small.batch(), Moment(0, 0, 1))
    assert called == ["the hook"]


@pytest.mark.usefixtures("traced_once")
def test_a_hook_of_a_parameter_that_comes_later_is_called_too() -> None:
    objective, called = small.m2(), []
    step = Capturing(Eager(objective, adam(objective)), compile=False)
    step(small.batch(), Moment(0, 0, 1))
    next(objective.parameters()).register_hook(lambda gradient: called.append("the hook"))
    with pytest.warns(UserWarning, match="has a hook"), step.epoch([1], {}):
        step(small.batch(), Moment(1, 0, 1))
    assert called == ["the hook"]


def test_what_reads_tokens_and_draws_labels_is_noted_down() -> None:
    def read(x: torch.Tensor) -> list[torch.Tensor]:
        tokens = nn.Tokens(3)(x)
        return [tokens, labels.OneHots(tokens, (3, 3)).sample()]

    x = torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    with pyro.validation_enabled(False):
        graph = private.traced(read, [x])
    torch.manual_seed(0)
    drawn = graph(x)
    torch.manual_seed(0)
    expected = read(x)
    assert all(torch.equal(*pair) for pair in zip(drawn, expected, strict=True))


def test_players_in_turns_are_not_captured(split) -> None:
    objective = small.objective("adversarialm2", split, game="alternating")
    step = Capturing(Eager(objective, adam(objective)))
    with pyro.validation_enabled(False):
        step(next(batches(split, 10, 20)), Moment(0, 0, 1))
    assert step.captured is None


@pytest.mark.usefixtures("traced_once")
def test_a_loss_that_is_not_finite_is_found_in_captured_training_too() -> None:
    objective = small.m2()
    optimizer = adam(objective)
    step = Capturing(Eager(objective, optimizer))
    step.captured = Captured(objective, optimizer, small.batch(), compile=False)
    broken = small.batch()
    broken.u[0, 0] = torch.nan
    before = [parameter.clone() for parameter in objective.parameters()]
    with pytest.raises(NonFiniteLossError, match=r"epoch 3, update 2 of 7 \(unlabelled = nan\)"):
        step(broken, Moment(2, 1, 7))
    assert all(torch.equal(a, b) for a, b in zip(before, objective.parameters()))


def test_auto_captures_where_a_run_is_long_and_says_the_same_after_a_resume(split) -> None:
    cpu, worth = torch.device("cpu"), worth_compiling(split)
    assert decided("auto", WORTH_TRACING - 1, split, cpu) == "off"
    assert decided("auto", worth - 1, split, cpu) == "traced"
    assert decided("auto", worth, split, cpu) == decided("on", 1, split, cpu) == "on"
    gpu = torch.device("cuda")
    assert decided("auto", 1, split, gpu) == decided("auto", worth - 1, split, gpu) == "traced"
    assert decided("auto", worth, split, gpu) == "on"
    for way in ("traced", "off"):
        assert decided(way, 10**9, split, cpu) == way
    assert decided(True, 1, split, cpu) == "on" and decided(False, 10**9, split, cpu) == "off"


def test_a_compiler_pays_sooner_where_examples_are_large() -> None:
    small_ones, large_ones = (
        from_arrays(np.zeros((6, size)), [0, 1] * 3, test=None).split(2) for size in (255, 256)
    )
    assert worth_compiling(large_ones) == WORTH_UPDATES < worth_compiling(small_ones)


def test_traced_training_is_eager_training_but_for_rounding(split) -> None:
    # Batches of 100, and a smaller one at the end of each epoch, by graphs that share Adam's step.
    state, steps = {}, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "pyro_ssvae.training.fit.Capturing",
            lambda *arguments, **how: steps.append(Capturing(*arguments, **how)) or steps[-1],
        )
        for way in ("traced", "off"):
            objective = small.objective("m2", split)
            epochs = list(fit(objective, split, epochs=2, batch_unlabelled=500, capture=way))
            state[way] = objective.state_dict()
    (step,) = steps
    assert step.other is not None and step.other.adam is step.captured.adam is not None
    assert step.other.program.shapes != step.captured.program.shapes
    assert [int(count) for count in set(step.captured.adam.counts.tolist())] == [epochs[-1].updates]
    torch.testing.assert_close(state["traced"], state["off"], rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("traced_once")
def test_batches_of_a_third_shape_are_computed_eagerly() -> None:
    objective = small.m2()
    step = Capturing(Eager(objective, adam(objective)), compile=False)
    batch, eagerly = small.batch(), []
    with pytest.MonkeyPatch.context() as patch, pyro.validation_enabled(False):
        patch.setattr(Eager, "__call__", lambda self, batch, now: eagerly.append(len(batch.u)))
        for number, rows in enumerate((len(batch.u), 2, 1, 2)):
            step(batch._replace(u=batch.u[:rows]), Moment(0, number, 4))
    assert eagerly == [1]


def test_what_torchs_interpreter_does_not_know_is_replayed_by_python() -> None:
    def failing(*arguments, **options) -> None:
        raise RuntimeError("Found an unsupported argument type in the JIT tracer")

    graph = torch.fx.symbolic_trace(lambda x: (x + 1,))
    x = torch.ones(2)
    assert graphs.replayed(graph, [x]) is not graph
    assert graphs.replayed(graph, [x])(x)[0].tolist() == [2, 2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.jit, "trace", failing)
        assert graphs.replayed(graph, [x]) is graph


def test_an_unknown_mode_is_refused(split) -> None:
    with pytest.raises(InputError, match="unknown capture 'yes'"):
        next(fit(small.objective("m2", split), split, capture="yes"))
