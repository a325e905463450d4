"""TraceEnumKL_ELBO against Pyro's own TraceEnum_ELBO, on many kinds of models, and by hand."""

import math
import warnings
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import opt_einsum
import pyro
import pytest
import torch
from by_hand import dense, inference, log_softmax, normal_parameters, one_hot
from pyro import distributions as dist
from pyro import poutine
from pyro.infer import SVI, TraceEnum_ELBO
from torch import Tensor
from torch.distributions import constraints
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from pyro_ssvae import InputError, guides, models
from pyro_ssvae.inference.elbo import SiteTerm, TraceEnumKL_ELBO

N, K = 4, 3
X = torch.tensor([0.3, -1.2, 2.0, 0.7], dtype=torch.float64)
PARALLEL, SEQUENTIAL = {"enumerate": "parallel"}, {"enumerate": "sequential"}
HALF = torch.tensor([True, False, True, False])
SCALES = torch.tensor([0.5, 2.0, 1.0, 3.0], dtype=torch.float64)


@pytest.fixture(autouse=True)
def double_precision_and_a_store_of_its_own():
    torch.set_default_dtype(torch.float64)
    with pyro.get_param_store().scope():
        yield
    torch.set_default_dtype(torch.float32)


# Programs: ordinary Pyro, parameters in the global store.


class Program(NamedTuple):
    model: Callable[..., Any]
    guide: Callable[..., Any]
    nesting: int = 1


def real(name: str, *shape: int) -> Tensor:
    numbers = torch.linspace(-0.8, 1.0, torch.Size(shape).numel()).reshape(shape)
    return pyro.param(name, numbers)


def positive(name: str, *shape: int) -> Tensor:
    numbers = torch.linspace(0.6, 1.3, torch.Size(shape).numel()).reshape(shape)
    return pyro.param(name, numbers, constraint=constraints.positive)


def simplex(name: str, *shape: int) -> Tensor:
    return pyro.param(name, real(name + "0", *shape).softmax(-1), constraint=constraints.simplex)


def data(**options: Any) -> pyro.plate:
    return pyro.plate("data", N, **options)


def q_z(*shape: int, at: Any = ..., name: str = "z") -> Tensor:
    loc, scale = real(f"loc_{name}", *shape), positive(f"scale_{name}", *shape)
    return pyro.sample(name, dist.Normal(loc[at], scale[at]))


def p_z(name: str = "z") -> Tensor:
    return pyro.sample(name, dist.Normal(real("prior_loc"), positive("prior_scale")))


def p_x(loc: Tensor, at: Any = ..., name: str = "x") -> None:
    pyro.sample(name, dist.Normal(loc, positive("noise")), obs=X[at])


def q_y(infer: dict[str, str], name: str = "y") -> Tensor:
    return pyro.sample(name, dist.Categorical(simplex(f"q_{name}", N, K)), infer=infer)


def p_y(infer: dict[str, str] | None = None, name: str = "y") -> Tensor:
    return pyro.sample(name, dist.Categorical(simplex(f"p_{name}", K)), infer=infer)


def continuous() -> Program:
    def model():
        with data():
            p_x(2 * p_z())

    def guide():
        with data():
            q_z(N)
    return Program(model, guide)


def guide_enumerated(infer=PARALLEL) -> Program:
    def model():
        with data():
            y = p_y()
            p_x(p_z() + real("means", K)[y])

    def guide():
        with data():
            y = q_y(infer)
            q_z(N, K, at=(torch.arange(N), y))
    return Program(model, guide)


def mixture_of_priors() -> Program:
    def model():
        with data():
            p_x(pyro.sample("z", dist.Normal(real("centres", K)[p_y()], positive("spread"))))
    return Program(model, guide_enumerated().guide)


def model_enumerated() -> Program:
    def model():
        with data():
            y = p_y(PARALLEL)
            p_x(p_z() + real("means", K)[y])

    def guide():
        with data():
            q_z(N)
    return Program(model, guide)


def both_enumerated() -> Program:
    def model():
        with data():
            y = p_y()
            w = pyro.sample("w", dist.Bernoulli(simplex("of_w", K)[y]), infer=PARALLEL)
            p_x(p_z() + real("means", 2, K)[w.long(), y])

    def guide():
        with data():
            y = q_y(PARALLEL)
            q_z(N, K, at=(torch.arange(N), y))
    return Program(model, guide)


def several_enumerated(first=PARALLEL, second=PARALLEL) -> Program:
    def model():
        with data():
            y = p_y()
            w = pyro.sample("w", dist.Categorical(simplex("transition", K, K)[y]))
            p_x(p_z() * real("means", K, K)[y, w])

    def guide():
        with data():
            y = q_y(first)
            pyro.sample("w", dist.Categorical(simplex("q_w", K, K)[y]), infer=second)
            q_z(N)
    return Program(model, guide)


def batch_shapes_that_broadcast() -> Program:
    # q(a | y) has the enumeration dimension of y, p(a) has not.
    def model():
        with data():
            y = p_y()
            a = pyro.sample("a", dist.Bernoulli(0.4))
            p_x(a + real("means", K)[y])

    def guide():
        with data():
            pyro.sample("a", dist.Bernoulli(simplex("of_a", K)[q_y(PARALLEL)]))
    return Program(model, guide)


def sampled_before_a_sequence() -> Program:
    # The traces of the sequence have z, and its graph, in common.
    def guide():
        with data():
            logits = q_z(N)[..., None] * real("slopes", K)
            pyro.sample("y", dist.Categorical(logits=logits), infer=SEQUENTIAL)
    return Program(guide_enumerated().model, guide)


def nested() -> Program:
    outer, inner = pyro.plate("outer", 2, dim=-2), pyro.plate("inner", N, dim=-1)

    def model():
        with outer:
            y = pyro.sample("y", dist.Categorical(simplex("p_y", K)))
            with inner:
                p_x(p_z() + real("means", K)[y])

    def guide():
        with outer:
            y = pyro.sample("y", dist.Categorical(simplex("q_y", 2, 1, K)), infer=PARALLEL)
            with inner:
                q_z(K, N, at=(y, torch.arange(N)))
    return Program(model, guide, nesting=2)


def nested_in_the_model() -> Program:
    outer, inner = pyro.plate("outer", 2, dim=-2), pyro.plate("inner", N, dim=-1)

    def model():
        with outer:
            y = pyro.sample("y", dist.Categorical(simplex("p_y", K)), infer=PARALLEL)
            with inner:
                p_x(p_z() + real("means", K)[y])

    def guide():
        with outer, inner:
            q_z(2, N)
    return Program(model, guide, nesting=2)


def global_and_local(infer=PARALLEL) -> Program:
    def model():
        weight = pyro.sample("weight", dist.Gamma(2.0, positive("rate")))
        with data():
            p_x(weight * real("means", K)[p_y()])

    def guide():
        pyro.sample("weight", dist.Gamma(positive("shape"), 3.0))
        with data():
            q_y(infer)
    return Program(model, guide)


def global_class_and_local_in_sequence() -> Program:
    def model():
        w = pyro.sample("w", dist.Categorical(simplex("p_w", K)))
        with data():
            p_x(real("means", K, K)[w, p_y()])

    def guide():
        pyro.sample("w", dist.Categorical(simplex("q_w", K)))
        with data():
            q_y(SEQUENTIAL)
    return Program(model, guide)


def subsampled() -> Program:
    def model():
        with data(subsample_size=2) as rows:
            p_x(p_z() + real("means", K)[p_y()], at=rows)

    def guide():
        with data(subsample_size=2) as rows:
            pyro.sample("y", dist.Categorical(simplex("q_y", N, K)[rows]), infer=PARALLEL)
            q_z(N, at=rows)
    return Program(model, guide)


def within(context: Callable[[], Any], program: Callable[[], Program]) -> Callable[[], Program]:
    """The program, model and guide each in a context."""
    def wrapped() -> Program:
        model, guide, nesting = program()
        return Program(context()(model), context()(guide), nesting)
    return wrapped


def hidden_markov() -> Program:
    def model():
        with data():
            s, level = p_y(PARALLEL, name="s0"), p_z()
            for t in pyro.markov(range(1, 4)):
                s = pyro.sample(
                    f"s{t}", dist.Categorical(simplex("transition", K, K)[s]), infer=PARALLEL
                )
                p_x(level + real("means", K)[s], name=f"x{t}")

    def guide():
        with data():
            q_z(N)
    return Program(model, guide)


def observed_only() -> Program:
    def model():
        with data():
            p_x(real("mean"))

    return Program(model, lambda: None)


def factor_of_the_model() -> Program:
    def model():
        with data():
            z = p_z()
            pyro.factor("penalty", -real("weight").exp() * z**4)

    def guide():
        with data():
            q_z(N)
    return Program(model, guide)


def factor_of_the_guide() -> Program:
    def guide():
        with data():
            z = q_z(N)
            pyro.factor("correction", real("weight") * z, has_rsample=True)
    return Program(continuous().model, guide)


def deterministic_site() -> Program:
    def model():
        with data():
            p_x(pyro.deterministic("twice", 2 * p_z()))
    return Program(model, continuous().guide)


def in_turn() -> Program:
    def model():
        for i in pyro.plate("rows", 2):
            p_x(p_z(f"z{i}"), at=i, name=f"x{i}")

    def guide():
        for i in pyro.plate("rows", 2):
            q_z(N, at=i, name=f"z{i}")
    return Program(model, guide, nesting=0)


def point_mass() -> Program:
    def guide():
        with data():
            pyro.sample("z", dist.Delta(real("point", N)))
    return Program(continuous().model, guide)


def auxiliary_of_the_guide() -> Program:
    def guide():
        with data():
            u = pyro.sample("u", dist.Normal(real("loc"), 1.0), infer={"is_auxiliary": True})
            pyro.sample("z", dist.Normal(u, positive("scale")))
    return Program(continuous().model, guide)


# Those in which a closed form would be wrong for site z, or might be.


def prior_depends_on_what_the_guide_draws_later() -> Program:
    # As in SDGM: the guide draws z, then a given z; the model a, then z given a.
    def model():
        with data():
            a = p_z("a")
            z = pyro.sample("z", dist.Normal(real("slope") * a + 1.0, positive("prior_scale_z")))
            p_x(a - z)

    def guide():
        with data():
            z = q_z(N)
            pyro.sample("a", dist.Normal(2 * z, positive("scale_a")))
    return Program(model, guide)


def prior_depends_on_what_the_guide_enumerates_later() -> Program:
    def guide():
        with data():
            logits = q_z(N)[..., None] * real("slopes", K)
            pyro.sample("y", dist.Categorical(logits=logits), infer=PARALLEL)
    return Program(mixture_of_priors().model, guide)


def prior_depends_on_what_the_model_enumerates() -> Program:
    def model():
        with data():
            y = p_y(PARALLEL)
            p_x(pyro.sample("z", dist.Normal(3 * real("centres", K)[y], positive("spread"))))
    return Program(model, continuous().guide)


def scales_differ(one: Any, other: Any) -> Callable[[], Program]:
    def program() -> Program:
        model, guide, _ = guide_enumerated()
        return Program(poutine.scale(model, one), poutine.scale(guide, other))
    return program


def masks_differ() -> Program:
    model, guide, _ = guide_enumerated()
    return Program(poutine.mask(model, HALF), poutine.mask(guide, ~HALF))


def no_closed_form() -> Program:
    def model():
        with data():
            p_x(pyro.sample("z", dist.StudentT(3.0, real("prior_loc"))))
    return Program(model, continuous().guide)


ORDINARY = {
    "continuous": continuous,
    "guide enumerated": guide_enumerated,
    "mixture of priors": mixture_of_priors,
    "guide enumerated sequentially": lambda: several_enumerated(SEQUENTIAL, SEQUENTIAL),
    "sequentially then in parallel": lambda: several_enumerated(SEQUENTIAL, PARALLEL),
    "model enumerated": model_enumerated,
    "both enumerated": both_enumerated,
    "several enumerated": several_enumerated,
    "sampled discrete site": lambda: guide_enumerated({}),
    "sampled then enumerated": lambda: several_enumerated({}, PARALLEL),
    "enumerated then sampled": lambda: several_enumerated(PARALLEL, {}),
    "batch shapes that broadcast": batch_shapes_that_broadcast,
    "sampled before a sequence": sampled_before_a_sequence,
    "nested plates": nested,
    "nested plates, model enumerated": nested_in_the_model,
    "global and local": global_and_local,
    "global, and local sequentially": lambda: global_and_local(SEQUENTIAL),
    "global class, and local sequentially": global_class_and_local_in_sequence,
    "subsampled": subsampled,
    "scaled by a number": within(lambda: poutine.scale(scale=0.3), guide_enumerated),
    "scaled by a tensor": within(lambda: poutine.scale(scale=SCALES), guide_enumerated),
    "model enumerated, scaled": within(lambda: poutine.scale(scale=0.3), model_enumerated),
    "masked": within(lambda: poutine.mask(mask=HALF), guide_enumerated),
    "model enumerated, masked": within(lambda: poutine.mask(mask=HALF), model_enumerated),
    "hidden Markov": hidden_markov,
    "observed only": observed_only,
    "factor of the model": factor_of_the_model,
    "factor of the guide": factor_of_the_guide,
    "deterministic site": deterministic_site,
    "plate in turn": in_turn,
    "point mass": point_mass,
    "auxiliary of the guide": auxiliary_of_the_guide,
}
FALLING_BACK = {
    "prior depends on a later site": prior_depends_on_what_the_guide_draws_later,
    "prior depends on a site enumerated later": prior_depends_on_what_the_guide_enumerates_later,
    "prior depends on a site enumerated in the model": prior_depends_on_what_the_model_enumerates,
    "scales differ": scales_differ(0.5, 2.0),
    "scales differ by tensors": scales_differ(SCALES, SCALES.flip(0)),
    "masks differ": masks_differ,
    "no closed form": no_closed_form,
}
ALL = ORDINARY | FALLING_BACK


def programs(which: dict[str, Callable[[], Program]]) -> Any:
    return pytest.mark.parametrize("program", which.values(), ids=which.keys())


def value_and_gradients(
    elbo: Any, program: Program, seed: int = 0
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, and its gradients by parameter, zero where there is none."""
    pyro.clear_param_store()
    torch.manual_seed(seed)
    loss = elbo.differentiable_loss(program.model, program.guide)
    names, parameters = zip(*pyro.get_param_store().named_parameters())
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return loss.detach(), dict(zip(names, gradients))


def elbos(program: Program, **options: Any) -> tuple[TraceEnum_ELBO, TraceEnumKL_ELBO]:
    options = {"max_plate_nesting": program.nesting, **options}
    analytic = options.pop("analytic", True)
    return (
        TraceEnum_ELBO(strict_enumeration_warning=False, **options),
        TraceEnumKL_ELBO(analytic=analytic, **options),
    )


# With every term sampled it is Pyro's estimate.


@pytest.mark.filterwarnings("ignore:Found vars")
@pytest.mark.parametrize("particles", [
    {}, {"num_particles": 3}, {"num_particles": 3, "vectorize_particles": True},
], ids=["one particle", "particles", "vectorised"])
@programs(ALL)
def test_sampled_estimate_and_its_gradient_are_pyros(program, particles) -> None:
    theirs, ours = elbos(program(), **particles, analytic=False)
    expected, expected_gradients = value_and_gradients(theirs, program())
    loss, gradients = value_and_gradients(ours, program())
    assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    assert_close(gradients, expected_gradients, rtol=1e-10, atol=1e-12)
    assert any(gradient.any() for gradient in gradients.values())


# With closed forms it is the same in expectation.


def mean_and_error(elbo: Any, program: Program, runs: int) -> tuple[Tensor, Tensor]:
    """Mean and standard error of the loss and of all its gradients, one vector."""
    draws = []
    for seed in range(runs):
        loss, gradients = value_and_gradients(elbo, program, seed)
        names = sorted(gradients)
        draws.append(torch.cat([loss.reshape(1), *(gradients[n].flatten() for n in names)]))
    stacked = torch.stack(draws)
    return stacked.mean(0), stacked.std(0) / runs**0.5


@programs(ALL)
def test_closed_forms_leave_the_expectation_and_that_of_the_gradient_as_they_were(program) -> None:
    many = {"num_particles": 1_500, "vectorize_particles": True}
    theirs, ours = elbos(program(), **many)
    expected, error = mean_and_error(theirs, program(), runs=8)
    found, own_error = mean_and_error(ours, program(), runs=8)
    tolerance = 6 * (error**2 + own_error**2).sqrt() + 1e-9
    assert ((found - expected).abs() < tolerance).all(), (found - expected) / tolerance


@pytest.mark.parametrize("analytic", [True, False])
def test_a_program_that_is_masked_altogether_loses_nothing(analytic) -> None:
    program = within(lambda: poutine.mask(mask=False), guide_enumerated)()
    loss, gradients = value_and_gradients(elbos(program, analytic=analytic)[1], program)
    assert loss == 0 and not any(gradient.any() for gradient in gradients.values())


def terms(program: Program, seed: int = 0, **options: Any) -> dict[str, SiteTerm]:
    pyro.clear_param_store()
    torch.manual_seed(seed)
    elbo = TraceEnumKL_ELBO(max_plate_nesting=program.nesting, **options)
    return elbo.terms(program.model, program.guide)


@programs(FALLING_BACK)
def test_where_a_closed_form_would_be_wrong_the_term_stays_sampled(program) -> None:
    found, sampled = terms(program()), terms(program(), analytic=False)
    assert not any(term.analytic for name, term in found.items() if name == "z")
    # A site that the model enumerates takes z's prior with it, log sum_y p(y) p(z | y) p(x | z).
    assert {n: t.value for n, t in found.items()} == {
        n: t.value if n != "a" else found["a"].value for n, t in sampled.items()
    }


def test_an_impossible_class_counts_nothing() -> None:
    fit = torch.tensor([0.4, -1.0, -torch.inf])

    def model() -> None:
        y = pyro.sample("y", dist.Categorical(logits=torch.zeros(3)))
        pyro.factor("fit", fit[y])

    def guide() -> None:
        scores = torch.cat([real("scores", 2), torch.tensor([-torch.inf])])
        pyro.sample("y", dist.Categorical(logits=scores), infer=PARALLEL)

    elbo = TraceEnumKL_ELBO(max_plate_nesting=0)
    loss, gradients = value_and_gradients(elbo, Program(model, guide))
    scores = pyro.param("scores")
    log_q = log_softmax(scores)
    expected = -(log_q.exp() * (fit[:2] - torch.tensor(3.0).log() - log_q)).sum()
    assert_close(loss, expected.detach())
    assert_close(gradients["scores"], torch.autograd.grad(expected, scores)[0])


@pytest.mark.parametrize("dtype, log_q, counted", [
    (torch.float32, -70.0, True), (torch.float32, -75.0, False),
    (torch.float64, -75.0, True), (torch.float64, -670.0, True), (torch.float64, -675.0, False),
])
def test_a_class_too_unlikely_for_the_sum_counts_nothing(dtype, log_q, counted) -> None:
    scores = torch.tensor([0.0, log_q], dtype=dtype)

    def model() -> None:
        fit = pyro.param("fit", torch.tensor([0.4, -1.0], dtype=dtype))
        y = pyro.sample("y", dist.Categorical(logits=torch.zeros(2, dtype=dtype)))
        pyro.factor("fit of y", fit[y])

    def guide() -> None:
        pyro.sample("y", dist.Categorical(logits=scores), infer=PARALLEL)

    elbo = TraceEnumKL_ELBO(max_plate_nesting=0)
    loss, gradients = value_and_gradients(elbo, Program(model, guide))
    assert_close(loss, -torch.tensor(0.4 - math.log(2), dtype=dtype))
    likely, unlikely = gradients["fit"].tolist()
    assert likely == -1.0
    # Without it the gradient would be a subnormal number soon: they take processors long.
    assert unlikely == pytest.approx(-math.exp(log_q) if counted else 0.0, rel=1e-4)
    assert counted == (unlikely != 0.0)


# Less variance.


def m2(seed: int = 0) -> tuple[models.M2, guides.M2, Tensor]:
    torch.manual_seed(seed)
    model = models.M2(6, K, z_dim=5, hidden=(7,))
    return model, guides.M2(model, hidden=(7,)), torch.rand(8, 6)


@pytest.mark.parametrize("y", [None, one_hot([0, 1, 2, 0, 1, 2, 0, 1], K)])
def test_closed_forms_have_less_variance(y) -> None:
    model, guide, x = m2()
    encoder = list(guide.encoder.parameters())

    def draws(elbo: Any) -> tuple[Tensor, Tensor]:
        losses, gradients = [], []
        for seed in range(40):
            torch.manual_seed(seed)
            losses.append(elbo.differentiable_loss(model, guide, x, y))
            each = torch.autograd.grad(losses[-1], encoder)
            gradients.append(torch.cat([g.flatten() for g in each]))
        return torch.stack(losses).var(), torch.stack(gradients).var(0).sum()

    theirs, ours = map(draws, elbos(Program(model, guide)))
    assert ours[0] < 0.5 * theirs[0] and ours[1] < 0.5 * theirs[1], (ours, theirs)


# Terms.


def by_name(program: Program, **options: Any) -> dict[str, tuple[float, bool, bool, bool]]:
    return {
        name: (term.value.item(), term.latent, term.discrete, term.analytic)
        for name, term in terms(program, **options).items()
    }


def normal_kl(loc: Tensor, scale: Tensor, prior_loc: Tensor, prior_scale: Tensor) -> Tensor:
    ratio = (scale / prior_scale) ** 2
    return (ratio - 1 - ratio.log() + ((loc - prior_loc) / prior_scale) ** 2) / 2


def test_the_term_of_a_normal_is_minus_its_kl_divergence() -> None:
    loc, scale = torch.tensor([0.3, -2.0, 0.0]), torch.tensor([0.5, 1.0, 4.0])

    def model() -> None:
        with pyro.plate("data", 3):
            z = pyro.sample("z", dist.Normal(1.0, 2.0))
            pyro.sample("x", dist.Normal(z, 1.0), obs=torch.zeros(3))

    def guide() -> None:
        with pyro.plate("data", 3):
            pyro.sample("z", dist.Normal(loc, scale))

    found = terms(Program(model, guide))
    expected = -normal_kl(loc, scale, torch.tensor(1.0), torch.tensor(2.0)).sum()
    assert_close(found["z"].value, expected)
    assert found["z"] == SiteTerm(found["z"].value, latent=True, discrete=False, analytic=True)
    assert found["x"] == SiteTerm(found["x"].value, latent=False, discrete=False, analytic=False)


def test_the_term_of_a_dirichlet_is_minus_its_kl_divergence() -> None:
    a, b = torch.tensor([[0.5, 1.0, 4.0], [2.0, 2.0, 2.0]]), torch.tensor([1.0, 2.0, 3.0])

    def program(alpha: Tensor) -> Callable[[], None]:
        def sample() -> None:
            with pyro.plate("data", 2):
                pyro.sample("pi", dist.Dirichlet(alpha))
        return sample

    total = a.sum(-1, keepdim=True)
    kl = (
        total[:, 0].lgamma() - a.lgamma().sum(-1) - b.sum().lgamma() + b.lgamma().sum()
        + ((a - b) * (a.digamma() - total.digamma())).sum(-1)
    )
    assert_close(terms(Program(program(b), program(a)))["pi"].value, -kl.sum())


@pytest.mark.parametrize("infer", [PARALLEL, SEQUENTIAL, {}])
def test_the_term_of_a_class_is_minus_its_kl_divergence(infer) -> None:
    value, *flags = by_name(guide_enumerated(infer))["y"]
    q, p = (pyro.param(name).detach() for name in ("q_y", "p_y"))
    assert value == pytest.approx(-(q * (q / p).log()).sum().item())
    assert flags == [True, True, True]


def test_the_kl_divergence_of_z_is_averaged_over_the_classes() -> None:
    found = terms(guide_enumerated())["z"]
    q, loc, scale = (pyro.param(name).detach() for name in ("q_y", "loc_z", "scale_z"))
    kl = normal_kl(loc, scale, pyro.param("prior_loc"), pyro.param("prior_scale"))
    assert_close(found.value, -(q * kl).sum())


@pytest.mark.parametrize("family, prior, posteriors", [
    (dist.Bernoulli, 0.4, [0.1, 0.5, 1.0]),
    (lambda p: dist.Binomial(4, p), 0.4, [0.1, 0.5, 1.0]),
    (lambda p: dist.Beta(p, 2.0), 1.5, [0.5, 1.0, 3.0]),
    (lambda p: dist.Categorical(torch.stack([p, 1 - p], -1)), 0.4, [0.1, 0.5, 1.0]),
    (lambda p: dist.ContinuousBernoulli(p), 0.4, [0.1, 0.5, 0.9]),
    (lambda p: dist.Dirichlet(torch.stack([p, p + 1], -1)), 1.5, [0.5, 1.0, 3.0]),
    (lambda p: dist.Normal(torch.stack([p, -p], -1), 2.0).to_event(1), 0.3, [0.5, 1.0, 3.0]),
])
@pytest.mark.parametrize("enumerated", ["posterior", "prior", "both"])
def test_distributions_of_any_family_and_shapes_have_their_kl_divergence(
    family, prior, posteriors, enumerated
) -> None:
    parameters = {"q": torch.tensor(posteriors), "p": torch.full((K,), prior)}
    if enumerated != "posterior":
        parameters = {"q": parameters["p"], "p": torch.tensor(posteriors).clamp(max=0.95)}
    if enumerated == "both":
        parameters["q"] = torch.tensor([0.2, 0.5, 0.8])

    def at(which: str, y: Tensor) -> Tensor:
        constant = enumerated == {"q": "prior", "p": "posterior"}[which]
        return parameters[which][0] if constant else parameters[which][y]

    def model() -> None:
        with data():
            pyro.sample("a", family(at("p", p_y())))

    def guide() -> None:
        with data():
            pyro.sample("a", family(at("q", q_y(PARALLEL))))

    found = terms(Program(model, guide))["a"]
    one_by_one = torch.stack([
        torch.distributions.kl_divergence(family(q), family(p))
        for q, p in zip(parameters["q"], parameters["p"])
    ])
    assert found.analytic
    assert_close(found.value, -(pyro.param("q_y").detach() * one_by_one).sum())


def test_scales_and_masks_count_in_closed_forms() -> None:
    whole, scaled, masked = (
        terms(within(lambda: context, continuous)())["z"].value
        for context in (poutine.scale(scale=1), poutine.scale(scale=0.3), poutine.mask(mask=HALF))
    )
    loc, scale = pyro.param("loc_z"), pyro.param("scale_z")
    kl = normal_kl(loc, scale, pyro.param("prior_loc"), pyro.param("prior_scale"))
    assert_close(whole, -kl.sum())
    assert_close(scaled, -0.3 * kl.sum())
    assert_close(masked, -kl[HALF].sum())


def test_a_sampled_term_is_marked_as_such() -> None:
    found = terms(guide_enumerated(), analytic=False)
    assert {name: term.analytic for name, term in found.items()} == {
        "y": True, "z": False, "x": False,
    }


def hierarchical() -> Program:
    def model():
        with data():
            a = p_z("a")
            p_x(pyro.sample("z", dist.Normal(0.5 * a, 1.0)))

    def guide():
        with data():
            pyro.sample("z", dist.Normal(2 * q_z(N, name="a"), 1.0))
    return Program(model, guide)


def test_a_kl_divergence_given_a_sampled_parent_is_an_unbiased_estimate() -> None:
    found = [terms(hierarchical(), seed)["z"] for seed in range(400)]
    values = torch.stack([term.value for term in found]).detach()
    # KL[N(2 a, 1) || N(a / 2, 1)] = (3 a / 2)**2 / 2
    second_moment = pyro.param("loc_a") ** 2 + pyro.param("scale_a") ** 2
    expected = -(9 / 8 * second_moment).sum().detach()
    assert all(term.analytic for term in found)
    assert values.std() > 1
    assert_close(values.mean(), expected, rtol=0, atol=5 * values.std().item() / 400**0.5)
    # A function of it that is not linear is biased upward, where it is convex.
    assert (values - expected).abs().mean() > 1


@pytest.mark.parametrize("closed", [0, 1])
def test_a_term_is_analytic_where_it_is_so_in_every_trace(closed) -> None:
    def model() -> None:
        y = pyro.sample("y", dist.Categorical(torch.ones(2)))
        pyro.sample("z", dist.Normal(0.0, 1.0) if y == closed else dist.StudentT(3.0))
        pyro.sample("w", dist.Normal(0.0, 1.0))

    def guide() -> None:
        pyro.sample("y", dist.Categorical(torch.ones(2)), infer=SEQUENTIAL)
        for name in "zw":
            pyro.sample(name, dist.Normal(real("loc"), 1.0))

    found = terms(Program(model, guide, nesting=0))
    assert not found["z"].analytic and found["w"].analytic


def test_sites_summed_over_in_the_model_have_one_term() -> None:
    found = terms(model_enumerated())
    assert found.keys() == {"x+y", "z"}
    assert not (found["x+y"].latent or found["x+y"].discrete or found["x+y"].analytic)
    assert terms(hidden_markov()).keys() == {"s0+s1+s2+s3+x1+x2+x3", "z"}


def test_the_joint_term_is_the_log_of_the_sum() -> None:
    def model() -> None:
        with data():
            p_x(real("means", K)[p_y(PARALLEL)])

    found = terms(Program(model, lambda: None))["x+y"].value
    p, means, noise = (pyro.param(name).detach() for name in ("p_y", "means", "noise"))
    density = torch.distributions.Normal(means, noise).log_prob(X[:, None]).exp()
    assert_close(found.detach(), (p * density).sum(-1).log().sum())


@programs(ALL)
def test_terms_add_up_to_minus_the_loss(program) -> None:
    total = torch.stack([term.value for term in terms(program(), num_particles=2).values()]).sum()
    elbo = TraceEnumKL_ELBO(max_plate_nesting=program().nesting, num_particles=2)
    assert_close(total.detach(), -value_and_gradients(elbo, program())[0], rtol=1e-12, atol=1e-12)


def test_the_terms_of_m2_are_the_papers() -> None:
    model, guide, x = m2()
    found = terms(Program(lambda: model(x), lambda: guide(x)))
    log_q = log_softmax(dense(guide.classifier, x))
    kl_z = torch.stack([
        normal_kl(
            *normal_parameters(guide.encoder, x, one_hot([k] * len(x), K)),
            torch.zeros(1), torch.ones(1),
        ).sum(-1)
        for k in range(K)
    ], -1)
    assert_close(found["z"].value, -(log_q.exp() * kl_z).sum())
    assert_close(found["y"].value, -(log_q.exp() * (log_q + torch.tensor(K).log())).sum())


@pytest.mark.parametrize("how", ["relaxed", "straight-through"])
def test_the_term_of_relaxed_labels_is_that_of_the_classes(how) -> None:
    model, _, x = m2()
    guide = guides.M2(model, hidden=(7,), label_inference=inference(how))
    found = terms(Program(lambda: model(x), lambda: guide(x)))["y"]
    log_q = log_softmax(dense(guide.classifier, x))
    assert_close(found.value, -(log_q.exp() * (log_q + torch.tensor(K).log())).sum())
    assert found == SiteTerm(found.value, latent=True, discrete=True, analytic=True)


# Weights.


@pytest.mark.parametrize("weights", [{"z": 0.25}, {"y": 3.0, "z": torch.tensor(0.0)}, {}])
def test_weights_count_for_the_latent_sites_that_they_name(weights) -> None:
    value = {name: term.value for name, term in terms(guide_enumerated()).items()}
    elbo = TraceEnumKL_ELBO(max_plate_nesting=1, kl_weights=weights)
    expected = -sum(weights.get(name, 1.0) * value[name] for name in value)
    assert_close(value_and_gradients(elbo, guide_enumerated())[0], expected.detach())


def test_a_weight_of_what_is_no_site_is_refused() -> None:
    elbo = TraceEnumKL_ELBO(max_plate_nesting=1, kl_weights={"w": 0.5})
    with pytest.raises(InputError, match=r"among the sites \['x', 'y', 'z'\], got 'w'"):
        value_and_gradients(elbo, guide_enumerated())


def test_a_weight_counts_where_the_site_is_latent_only() -> None:
    # The same ELBO serves labelled and unlabelled data: x is observed here.
    weighted = TraceEnumKL_ELBO(max_plate_nesting=1, kl_weights={"x": 0.5})
    plain = TraceEnumKL_ELBO(max_plate_nesting=1)
    values = []
    for elbo in (weighted, plain):
        torch.manual_seed(0)
        values.append(value_and_gradients(elbo, guide_enumerated())[0])
    assert_close(*values)


# What a registered KL divergence leaves out.


def single(fn: Any, rows: int | None = None) -> Callable[[], None]:
    def program() -> None:
        if rows is None:
            pyro.sample("z", fn)
        else:
            with pyro.plate("data", rows):
                pyro.sample("z", fn)
    return program


def test_the_log_density_of_a_point_counts() -> None:
    point = dist.Delta(torch.tensor(0.5), log_density=torch.tensor(-3.0))
    prior = dist.Normal(torch.tensor(0.0), 1.0)
    loss = TraceEnumKL_ELBO(max_plate_nesting=0).loss(single(prior), single(point))
    assert_close(loss, (-3.0 - prior.log_prob(torch.tensor(0.5))).item())


@pytest.mark.parametrize("vector", [False, True])
def test_masks_within_distributions_count_as_they_do_in_pyro(vector) -> None:
    mask = torch.tensor([True, False])

    def normal(loc: float, mask: Tensor) -> Any:
        loc = torch.full((2, 3) if vector else (2,), loc)
        fn = dist.Normal(loc, 1.0)
        return fn.mask(mask[:, None]).to_event(1) if vector else fn.mask(mask)

    programs = single(normal(0.0, mask), 2), single(normal(2.0, ~mask), 2)
    losses = []
    for elbo in (TraceEnumKL_ELBO, TraceEnum_ELBO):
        torch.manual_seed(0)
        losses.append(elbo(max_plate_nesting=1).loss(*programs))
    assert_close(*losses)


def test_a_posterior_with_another_support_is_sampled() -> None:
    prior = dist.Uniform(torch.tensor(-100.0), torch.tensor(100.0))
    narrow = dist.Normal(torch.tensor(0.0), 0.1)
    term = TraceEnumKL_ELBO(max_plate_nesting=0).terms(single(prior), single(narrow))["z"]
    assert term.value.isfinite() and not term.analytic


def test_a_site_that_is_sampled_several_times_is_not_analytic() -> None:
    elbo = TraceEnumKL_ELBO(max_plate_nesting=0)
    normal = dist.Normal(torch.tensor(0.0), 1.0)

    def guide() -> None:
        pyro.sample("z", normal, infer={"enumerate": "parallel", "num_samples": 4})

    assert not elbo.terms(single(normal), guide)["z"].analytic


def test_a_vector_of_bernoullis_is_discrete() -> None:
    fn = dist.Bernoulli(torch.full((3,), 0.5)).to_event(1)
    assert TraceEnumKL_ELBO(max_plate_nesting=0).terms(single(fn), single(fn))["z"].discrete


# In Pyro's inference.


@pytest.mark.parametrize("make", [guide_enumerated, model_enumerated, subsampled])
def test_under_svi_sampled_terms_take_pyros_steps(make) -> None:
    def trajectory(elbo: Any) -> tuple[list[float], dict[str, Tensor]]:
        pyro.clear_param_store()
        torch.manual_seed(0)
        svi = SVI(*make()[:2], pyro.optim.Adam({"lr": 0.1}), elbo)
        losses = [svi.step() for _ in range(3)]
        return losses, {n: p.detach() for n, p in pyro.get_param_store().named_parameters()}

    theirs, ours = elbos(make(), analytic=False)
    (losses, end), (expected, expected_end) = trajectory(ours), trajectory(theirs)
    assert losses == pytest.approx(expected, rel=1e-10)
    assert_close(end, expected_end, rtol=1e-8, atol=1e-10)


def test_under_svi_closed_forms_find_the_posterior() -> None:
    def model() -> None:
        with data():
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("x", dist.Normal(z, 1.0), obs=X)

    elbo = TraceEnumKL_ELBO(max_plate_nesting=1, num_particles=20, vectorize_particles=True)
    torch.manual_seed(0)
    svi = SVI(model, continuous().guide, pyro.optim.Adam({"lr": 0.05}), elbo)
    start = svi.evaluate_loss()
    for _ in range(200):
        svi.step()
    evidence = torch.distributions.Normal(0.0, 2**0.5).log_prob(X).sum().item()
    assert svi.evaluate_loss() == pytest.approx(-evidence, abs=0.1)
    assert start > 1 - evidence
    assert_close(pyro.param("loc_z").detach(), X / 2, rtol=0, atol=0.1)
    assert_close(pyro.param("scale_z").detach(), torch.full((N,), 0.5**0.5), rtol=0, atol=0.1)


TRACES = {
    "one": (guide_enumerated, 1), "particles": (guide_enumerated, 5),
    "sequential": (ORDINARY["guide enumerated sequentially"], 1),
    "sampled before a sequence": (sampled_before_a_sequence, 2),
}


@pytest.mark.parametrize("make, particles", TRACES.values(), ids=TRACES)
def test_loss_is_the_number_that_has_the_gradient(make, particles) -> None:
    program = make()
    elbo = TraceEnumKL_ELBO(max_plate_nesting=1, num_particles=particles)
    expected, gradients = value_and_gradients(elbo, program)
    for loss in (elbo.loss, elbo.loss_and_grads):
        torch.manual_seed(0)
        assert loss(program.model, program.guide) == pytest.approx(expected.item(), rel=1e-12)
    for name, parameter in pyro.get_param_store().named_parameters():
        assert_close(parameter.grad, gradients[name] if gradients[name].any() else None)


def test_gradients_pass_through_the_arguments_of_the_programs() -> None:
    # Their graph belongs to no trace, and serves all.
    scores = torch.tensor([0.1, -0.4, 0.3, 0.0], requires_grad=True)

    def model(loc: Tensor) -> None:
        with data():
            pyro.sample("z", dist.Normal(0.0, 1.0))

    def guide(loc: Tensor) -> None:
        with data():
            pyro.sample("z", dist.Normal(loc, 1.0))

    elbo = TraceEnumKL_ELBO(max_plate_nesting=1, num_particles=3)
    loss = elbo.loss_and_grads(model, guide, scores.exp())
    # KL[N(m, 1) || N(0, 1)] = m**2 / 2 with m = exp(s): its derivative by s is m**2.
    assert loss == pytest.approx((scores.exp() ** 2 / 2).sum().item())
    assert_close(scores.grad, scores.detach().exp() ** 2)


class SavedTensors(torch.autograd.graph.saved_tensors_hooks):
    """Counts the tensors that are kept for a backward pass, and notes the most at a time."""

    class Kept:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor.detach()  # its graph would refer to itself

    def __init__(self) -> None:
        self.alive = self.most = 0
        super().__init__(self.keep, lambda kept: kept.tensor)

    def __enter__(self) -> "SavedTensors":
        super().__enter__()
        return self

    def keep(self, tensor: Tensor) -> Kept:
        kept = self.Kept(tensor)
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(kept, self.forget)
        return kept

    def forget(self) -> None:
        self.alive -= 1


def most_kept(elbo: Any, program: Program) -> int:
    with SavedTensors() as saved:
        elbo.loss_and_grads(program.model, program.guide)
    return saved.most


@pytest.mark.parametrize("analytic", [True, False])
def test_one_particles_graph_is_kept_at_a_time(analytic) -> None:
    program = guide_enumerated()
    one, many = (
        most_kept(elbos(program, num_particles=number, analytic=analytic)[1], program)
        for number in (1, 6)
    )
    assert 0 < many <= one


@pytest.mark.parametrize("make", [
    lambda: several_enumerated(SEQUENTIAL, SEQUENTIAL), sampled_before_a_sequence,
], ids=["sequential", "sampled before a sequence"])
def test_in_a_sequence_no_more_is_kept_than_by_pyro(make) -> None:
    theirs, ours = (most_kept(elbo, make()) for elbo in elbos(make(), analytic=False))
    assert 0 < ours <= theirs


def test_a_wrong_weight_is_refused_where_gradients_are_added_too() -> None:
    program = guide_enumerated()
    elbo = TraceEnumKL_ELBO(max_plate_nesting=1, num_particles=2, kl_weights={"w": 0.5})
    with pytest.raises(InputError, match=r"among the sites \['x', 'y', 'z'\], got 'w'"):
        elbo.loss_and_grads(program.model, program.guide)


def test_a_program_without_sites_loses_nothing() -> None:
    elbo = TraceEnumKL_ELBO(max_plate_nesting=0)
    assert elbo.loss_and_grads(lambda: None, lambda: None) == 0


def test_sites_of_the_same_dimensions_share_what_the_guide_gives_them(monkeypatch) -> None:
    contractions: list[str] = []

    def contract(equation: str, *tensors: Tensor, **options: Any) -> Tensor:
        contractions.append(equation)
        return opt_einsum.contract(equation, *tensors, **options)

    monkeypatch.setattr("pyro_ssvae.inference.elbo.contract", contract)
    assert terms(guide_enumerated()).keys() == {"x", "y", "z"}
    assert len(contractions) == 1


def test_marginals_of_what_the_model_enumerates_are_pyros() -> None:
    found = []
    for elbo in elbos(model_enumerated()):
        torch.manual_seed(0)
        program = model_enumerated()
        found.append(elbo.compute_marginals(program.model, program.guide)["y"].probs)
    assert_close(found[0], found[1], rtol=1e-12, atol=0)
    assert found[0].shape == (N, K)


# Nothing leaves the device.


class Waits(TorchDispatchMode):
    """Notes the operations that have a GPU wait: their results, or shapes, are values."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero"):
            self.seen.add(name)
        return func(*args, **(kwargs or {}))


def waits(elbo: Any, y: Tensor | None) -> set[str]:
    model, guide, x = m2()
    with pyro.validation_enabled(False), Waits() as mode:
        loss = elbo.differentiable_loss(model, guide, x, y)
        torch.autograd.backward(loss)
    return mode.seen


@pytest.mark.parametrize("analytic", [True, False])
@pytest.mark.parametrize("y", [None, one_hot([0, 1, 2, 0, 1, 2, 0, 1], K)])
def test_the_loss_of_m2_has_no_gpu_wait_and_pyros_does(y, analytic) -> None:
    assert not waits(TraceEnumKL_ELBO(max_plate_nesting=1, analytic=analytic), y)
    assert waits(TraceEnum_ELBO(max_plate_nesting=1), y)


def test_a_label_that_is_observed_leaves_nothing_to_enumerate_and_is_no_reason_to_warn() -> None:
    model = models.M2(4, 3, z_dim=2, hidden=(5,))
    elbo = TraceEnumKL_ELBO(max_plate_nesting=1)
    with warnings.catch_warnings(), pyro.validation_enabled():
        warnings.simplefilter("error")
        elbo.loss(model, guides.M2(model, hidden=(5,)), torch.full((3, 4), 0.5), torch.eye(3))
