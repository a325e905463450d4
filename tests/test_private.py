"""What is used of Pyro and torch beside their public interfaces still does what it did.

Each failure names the version it was met with: that version moved something.
"""

import ast
import inspect
from pathlib import Path

import pyro
import pytest
import torch
from pyro import distributions as dist
from pyro import poutine
from pyro.infer import TraceEnum_ELBO
from pyro.infer.util import Dice
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_ssvae import private

ROOT = Path(__file__).resolve().parents[1]
PYRO, TORCH = f"pyro {pyro.__version__}", f"torch {torch.__version__}"


def private_names(path: Path) -> set[str]:
    """Names with an underscore that a file takes from torch or Pyro, by import or by attribute."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("torch", "pyro.")):
            names |= {alias.name for alias in node.names if alias.name.startswith("_")}
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            if ast.unparse(node.value).split(".")[0] in ("torch", "pyro", "dice"):
                names.add(node.attr)
    return {name for name in names if not name.startswith("__")}


def test_nothing_private_is_used_elsewhere() -> None:
    files = [*ROOT.glob("pyro_ssvae/**/*.py"), *ROOT.glob("models/*.py"), *ROOT.glob("guides/*.py")]
    used = {path.name: private_names(path) for path in files}
    assert {name for name, names in used.items() if names} == {"private.py"}
    assert private_names(ROOT / "pyro_ssvae" / "private.py") >= {
        "_compute_model_factors", "_fused_adam_", "_get_log_factors", "_inductor",
    }


def test_operations_are_noted_as_torch_notes_them_and_in_one_mode() -> None:
    def function(x: Tensor) -> list[Tensor]:
        torch.rand(2)  # nothing depends on it but what is drawn after it
        return [x * torch.randn_like(x)]

    graph = private.traced(function, [torch.ones(3)])
    assert graph.code == make_fx(function)(torch.ones(3)).code, TORCH
    values = [node.meta["val"] for node in graph.graph.nodes if "val" in node.meta]
    assert len(values) > 3 and len({value.fake_mode for value in values}) == 1, TORCH


def traces() -> tuple[poutine.Trace, poutine.Trace]:
    """Those of a y that the guide enumerates and an x that depends on it, for three rows."""
    x = torch.tensor([0.0, 1.0, 2.0])

    def model() -> None:
        with pyro.plate("data", 3):
            y = pyro.sample("y", dist.Bernoulli(0.3))
            pyro.sample("x", dist.Normal(y, 1.0), obs=x)

    def guide() -> None:
        with pyro.plate("data", 3):
            pyro.sample("y", dist.Bernoulli(0.6), infer={"enumerate": "parallel"})

    elbo = TraceEnum_ELBO(max_plate_nesting=1)
    return next(iter(elbo._get_traces(model, guide, (), {})))


def test_factors_of_a_model_are_its_log_probabilities_by_plate() -> None:
    model_trace, guide_trace = traces()
    costs, factors, plates, summed, scale = private.model_factors(model_trace, guide_trace)
    values = [cost for of_plates in costs.values() for cost in of_plates]
    expected = [model_trace.nodes[name]["packed"]["log_prob"] for name in ("y", "x")]
    assert all(any(cost is one for one in expected) for cost in values), PYRO
    assert len(values) == 2 and not factors and not summed and scale == 1.0, PYRO
    assert set(plates) >= {"x", "y"}, PYRO


def test_log_factors_of_an_enumerated_site_are_its_log_probability() -> None:
    model_trace, guide_trace = traces()
    *_, plates, _, _ = private.model_factors(model_trace, guide_trace)
    factors = private.log_factors(Dice(guide_trace, plates), plates["y"])
    (factor,) = [f for f in factors if isinstance(f, Tensor)]
    expected = torch.tensor([0.4, 0.6]).log().unsqueeze(-1)
    torch.testing.assert_close(factor.reshape(2, -1)[:, :1], expected, msg=PYRO)


def noisy(x: Tensor) -> list[Tensor]:
    return [x * torch.randn_like(x)]


def test_compiled_graphs_draw_the_noise_of_eager_ones() -> None:
    x = torch.arange(5.0)
    run = private.compiled_by_inductor(make_fx(noisy)(x), [x])
    torch.manual_seed(0)
    expected = noisy(x)
    torch.manual_seed(0)
    assert torch.equal(run(x)[0], expected[0]), TORCH


@pytest.mark.parametrize("dtype, apart", [(torch.float32, True), (torch.float64, False)])
def test_a_bias_is_added_after_the_product_in_float32(dtype, apart) -> None:
    x, weight, bias = (torch.randn(size, dtype=dtype) for size in ((6, 4), (3, 4), (3,)))
    graph = make_fx(torch.nn.functional.linear)(x, weight, bias)
    before = graph(x, weight, bias)
    private._bias_after_product()(graph.graph)
    graph.recompile()
    names = {str(node.target) for node in graph.graph.nodes}
    assert ("aten.addmm.default" not in names) is apart, TORCH
    torch.testing.assert_close(graph(x, weight, bias), before)


@pytest.mark.parametrize("broken", [0.0, 1.0])
def test_fused_adam_is_the_optimizers_unless_told_to_skip(broken) -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    parameter.grad = torch.tensor([0.5, 3.0])
    state = [parameter.detach().clone()], [parameter.grad.clone()]
    averages = [[torch.zeros(2)] for _ in range(2)]
    count = torch.tensor(1.0)
    torch.optim.Adam([parameter], lr=0.1, fused=True).step()
    before = state[0][0].clone()
    private.fused_adam(
        *state, *averages, [count], found_inf=torch.tensor(broken), lr=0.1, beta1=0.9,
        beta2=0.999, eps=1e-8, weight_decay=0.0, maximize=False,
    )
    assert torch.equal(state[0][0], before if broken else parameter), TORCH


def test_largest_absolute_values_show_what_is_not_finite() -> None:
    tensors = [torch.tensor([1.0, -3.0]), torch.tensor([0.0, torch.nan]), torch.tensor([torch.inf])]
    one, two, three = private.largest(tensors)
    assert one == 3 and two.isnan() and three.isinf(), TORCH


def test_gamma_samples_have_gradients() -> None:
    concentration = torch.full((1_000,), 2.0, requires_grad=True)
    samples = private.standard_gamma(concentration)
    assert abs(samples.mean().item() - 2) < 0.3, TORCH
    samples.sum().backward()
    assert (concentration.grad > 0).all(), TORCH


def test_fused_optimizers_can_be_told_to_skip_a_step() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    fused = torch.optim.Adam([parameter], fused=True)
    assert private.can_skip(fused), TORCH
    assert not private.can_skip(torch.optim.SGD([parameter], lr=1.0, fused=False)), TORCH
    with private.skipping(fused, torch.tensor(1.0)):
        assert fused.found_inf == 1
    assert not hasattr(fused, "found_inf")


def test_every_function_of_the_module_is_documented() -> None:
    functions = [f for _, f in inspect.getmembers(private, inspect.isfunction)
                 if f.__module__ == private.__name__]
    assert len(functions) >= 7 and all(f.__doc__ for f in functions)
