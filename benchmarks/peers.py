"""One update of M2 as it is written elsewhere, for `python benchmarks/updates.py` to compare with.

Kingma et al. (2014), Semi-supervised Learning with Deep Generative Models, eqs. 6 to 9: the bound
of labelled rows, that of unlabelled rows with all K classes summed over, and ``ALPHA`` times the
classification loss, lowered by Adam. A step of a peer returns the three losses, in nats per row,
as they were before it moved a weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pyro
import torch
from measure import DEVICE
from pyro import distributions as dist
from pyro.infer import SVI, Trace_ELBO, TraceEnum_ELBO, config_enumerate
from torch import Tensor, nn
from torch.nn import functional as F

from pyro_ssvae.contract import Batch

ALPHA, LR = 10.0, 1e-3


class Workload(NamedTuple):
    """Sizes of M2 and of its batches.

    Attributes:
        rows: The number of rows of each kind, labelled and unlabelled.
    """

    name: str
    x_dim: int
    hidden: int
    z_dim: int
    classes: int
    rows: int = 100


class Losses(NamedTuple):
    """In nats per row: minus the two bounds, and the classification loss, unweighted."""

    labelled: Any
    unlabelled: Any
    classification: Any


class Networks(nn.Module):
    """The networks of q(y | x), q(z | x, y) and p(x | z, y), over concatenated inputs."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        _, x_dim, hidden, self.z_dim, self.classes, _ = workload
        self.classifier = _perceptron(x_dim, hidden, self.classes)
        self.encoder = _perceptron(x_dim + self.classes, hidden, 2 * self.z_dim)
        self.decoder = _perceptron(self.z_dim + self.classes, hidden, x_dim)


class Recipe(Networks):
    """The programs of Pyro's example `ss_vae_M2.py`."""

    def model(self, x: Tensor, y: Tensor | None = None) -> None:
        pyro.module("ss_vae", self)
        with pyro.plate("data"):
            loc, scale = x.new_zeros(len(x), self.z_dim), x.new_ones(len(x), self.z_dim)
            z = pyro.sample("z", dist.Normal(loc, scale).to_event(1))
            probs = x.new_ones(len(x), self.classes) / self.classes
            y = pyro.sample("y", dist.OneHotCategorical(probs), obs=y)
            pixels = self.decoder(_tiled(z, y)).sigmoid()
            pyro.sample("x", dist.Bernoulli(pixels, validate_args=False).to_event(1), obs=x)

    def guide(self, x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data"):
            if y is None:
                y = pyro.sample("y", dist.OneHotCategorical(self.classifier(x).softmax(-1)))
            loc, log_scale = self.encoder(_tiled(x, y)).chunk(2, dim=-1)
            pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))

    def model_classify(self, x: Tensor, y: Tensor) -> None:
        pyro.module("ss_vae", self)
        with pyro.plate("data"), pyro.poutine.scale(scale=ALPHA):
            pyro.sample("y_aux", dist.OneHotCategorical(self.classifier(x).softmax(-1)), obs=y)

    def guide_classify(self, x: Tensor, y: Tensor) -> None:
        pass


def pyro_recipe(workload: Workload) -> Callable[[Batch], Losses]:
    """Pyro's example: one SVI for the bounds, another for the classification loss.

    An update is three steps, labelled, classification and unlabelled, and each loss is of the
    weights as the steps before it left them. They are the example's sums over rows, a constant
    factor that Adam all but ignores, and q(z | x, y) has its exponential deviations. Kinder than
    the example: Pyro's validation is off, mean and deviation of z come of one product, and the
    second SVI leaves unlabelled batches alone, for which it has no loss.
    """
    recipe = Recipe(workload).to(DEVICE)
    store: dict[str, Any] = {"params": {}, "constraints": {}}
    adam = pyro.optim.Adam({"lr": LR})
    guide = config_enumerate(recipe.guide, "parallel")
    bounds = SVI(recipe.model, guide, adam, loss=TraceEnum_ELBO(max_plate_nesting=1))
    classification = SVI(recipe.model_classify, recipe.guide_classify, adam, loss=Trace_ELBO())

    def step(batch: Batch) -> Losses:
        x, y, u = batch.tensors
        with pyro.validation_enabled(False), pyro.get_param_store().scope(store):
            labelled = bounds.step(x, y) / len(x)
            classified = classification.step(x, y) / len(x) / ALPHA
            return Losses(labelled, bounds.step(u) / len(u), classified)

    return step


class Eager(Networks):
    """M2's losses written out in torch."""

    def forward(self, batch: Batch) -> Losses:
        x, y, u = batch.tensors
        log_q = self.classifier(u).log_softmax(-1).T
        every = torch.eye(self.classes, device=u.device).unsqueeze(1)
        unlabelled = (log_q.exp() * (self.negative_elbo(u, every) + log_q)).sum(0)
        classification = F.cross_entropy(self.classifier(x), y)
        return Losses(self.negative_elbo(x, y).mean(), unlabelled.mean(), classification)

    def negative_elbo(self, x: Tensor, y: Tensor) -> Tensor:
        """Of x (N, D) and one-hot y (..., N, K), broadcast, by row: (..., N)."""
        loc, raw = self.encoder(_tiled(x, y)).chunk(2, dim=-1)
        scale = F.softplus(raw) + 1e-5
        z = loc + scale * torch.randn_like(loc)
        logits = self.decoder(_tiled(z, y.expand(*z.shape[:-1], -1)))
        pixels = F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
        kl = 0.5 * (loc**2 + scale**2 - 1) - scale.log()
        return pixels.sum(-1) + kl.sum(-1) + math.log(self.classes)


def eager_torch(workload: Workload, *, compile: bool = False) -> Callable[[Batch], Losses]:
    """Torch without Pyro or a compiler: one module, one backward pass, one optimizer.

    With ``compile`` torch compiles the losses and their gradients, which a GPU records as CUDA
    graphs, and Adam's step is torch's fused one.
    """
    return trained(Eager(workload).to(DEVICE), compile=compile)


def trained(networks: Eager, *, compile: bool = False) -> Callable[[Batch], Losses]:
    """An update of M2 by hand, see :func:`eager_torch`."""
    adam = torch.optim.Adam(networks.parameters(), lr=LR, fused=compile)
    run = torch.compile(networks, mode="reduce-overhead") if compile else networks

    def step(batch: Batch) -> Losses:
        if compile:
            torch.compiler.cudagraph_mark_step_begin()
        losses = run(batch)
        adam.zero_grad()
        (losses.labelled + losses.unlabelled + ALPHA * losses.classification).backward()
        adam.step()
        return Losses(*(loss.detach() for loss in losses))

    return step


class Jitted:
    """An update that JAX has compiled, with its state."""

    def __init__(self, compiled: Any, state: Any) -> None:
        self.compiled, self.state = compiled, state

    def __call__(self, batch: Batch) -> Losses:
        import jax

        self.state, losses = jax.block_until_ready(
            self.compiled(self.state, *map(_as_jax, batch.tensors))
        )
        return losses

    def peak_mb(self) -> float:
        """The most memory, in 10^6 bytes, that an update takes beyond its arguments."""
        use = self.compiled.memory_analysis()
        new = use.output_size_in_bytes - use.alias_size_in_bytes
        return (use.temp_size_in_bytes + new) / 1e6


def numpyro_jit(workload: Workload) -> Jitted:
    """NumPyro's programs, in one jitted update of a donated state.

    TraceEnum_ELBO sums over the classes and takes the KL divergence of z in closed form.

    Raises:
        ImportError: where JAX, NumPyro or funsor is missing: the extra ``bench`` has them. Or
            where torch has a GPU that JAX has none of.
    """
    import jax
    import numpyro
    from jax import numpy as jnp
    from numpyro import distributions as dist
    from numpyro.infer import TraceEnum_ELBO

    if DEVICE.type == "cuda" and jax.default_backend() != "gpu":
        raise ImportError("JAX finds no GPU")
    _, x_dim, _, z_dim, classes, rows = workload
    adam, elbo = numpyro.optim.Adam(LR), TraceEnum_ELBO(max_plate_nesting=1)

    def network(layers: Any, *inputs: Any) -> Any:
        shape = jnp.broadcast_shapes(*(part.shape[:-1] for part in inputs))
        tiled = [jnp.broadcast_to(part, (*shape, part.shape[-1])) for part in inputs]
        first, last = layers
        hidden = jax.nn.softplus(jnp.concatenate(tiled, -1) @ first["weight"] + first["bias"])
        return hidden @ last["weight"] + last["bias"]

    def model(x: Any, y: Any = None) -> None:
        with numpyro.plate("data", len(x)):
            y = numpyro.sample("y", dist.Categorical(logits=jnp.zeros(classes)), obs=y)
            prior = dist.Normal(jnp.zeros(z_dim), 1.0).to_event(1)
            z = numpyro.sample("z", prior)
            logits = network(numpyro.param("decoder"), z, jax.nn.one_hot(y, classes))
            numpyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)

    def guide(x: Any, y: Any = None) -> None:
        with numpyro.plate("data", len(x)):
            if y is None:
                q = dist.Categorical(logits=network(numpyro.param("classifier"), x))
                y = numpyro.sample("y", q, infer={"enumerate": "parallel"})
            out = network(numpyro.param("encoder"), x, jax.nn.one_hot(y, classes))
            loc, raw = jnp.split(out, 2, -1)
            q = dist.Normal(loc, jax.nn.softplus(raw) + 1e-5).to_event(1)
            numpyro.sample("z", q, infer={"kl": "analytic"})

    def loss(params: Any, key: Any, x: Any, y: Any, u: Any) -> Any:
        keys, label = jax.random.split(key), y.argmax(-1)
        log_q = jax.nn.log_softmax(network(params["classifier"], x))
        losses = Losses(
            elbo.loss(keys[0], params, model, guide, x, label) / len(x),
            elbo.loss(keys[1], params, model, guide, u) / len(u),
            -(y * log_q).sum(-1).mean(),
        )
        return losses.labelled + losses.unlabelled + ALPHA * losses.classification, losses

    @partial(jax.jit, donate_argnums=0)
    def update(state: Any, *batch: Any) -> Any:
        key, now = jax.random.split(state[0])
        (_, losses), moved = adam.eval_and_update(lambda p: loss(p, now, *batch), state[1])
        return (key, moved), losses

    params = {
        name: [
            {"weight": jnp.array(layer.weight.detach().T), "bias": jnp.array(layer.bias.detach())}
            for layer in (layers[0], layers[-1])
        ]
        for name, layers in Networks(workload).named_children()
    }
    state = jax.random.PRNGKey(0), adam.init(params)
    shapes = [(rows, x_dim), (rows, classes), (rows, x_dim)]
    # With validation, a grey pixel has log-probability -inf; a GPU would round as torch does not.
    with numpyro.validation_enabled(False), jax.default_matmul_precision("float32"):
        lowered = update.lower(state, *(jax.ShapeDtypeStruct(shape, "float32") for shape in shapes))
    return Jitted(lowered.compile(), state)


def _as_jax(part: Tensor) -> Any:
    """A tensor as JAX takes it from where it is."""
    from jax import numpy as jnp

    return jnp.from_dlpack(part) if part.is_cuda else part.numpy()


def _perceptron(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, hidden), nn.Softplus(), nn.Linear(hidden, n_out))


def _tiled(*inputs: Tensor) -> Tensor:
    shape = torch.broadcast_shapes(*(part.shape[:-1] for part in inputs))
    return torch.cat([part.expand(*shape, -1) for part in inputs], dim=-1)
