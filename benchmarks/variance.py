"""Noise of the ELBO's gradient, sampled and analytic: `python benchmarks/variance.py [FIGURE]`.

M2 on digits with 50 labels, at several stages of training: the gradient of both bounds on one
batch, drawn again and again, with KL divergences sampled, which is the estimate of Pyro's
TraceEnum_ELBO, and in closed form. Both see the same noise: the decoder, which no KL divergence
depends on, has the same gradients. Prints a table of variances, summed over parameters, and draws
it.
"""

import sys
from collections.abc import Iterator
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pyro_ssvae import Objective, data, fit, guides, models
from pyro_ssvae.contract import Batch

STAGES = (0, 1, 5, 20, 50)  # epochs of training
DRAWS = 200


class Stage(NamedTuple):
    """The noise after so many epochs.

    Attributes:
        epoch: The number of epochs of training.
        variances: The variances by part of the pair, sampled and analytic.
        apart: The sampled mean less the analytic one, along the latter, in standard errors.
    """

    epoch: int
    variances: dict[str, tuple[float, float]]
    apart: float


def gradients(objective: Objective, batch: Batch, seed: int) -> dict[str, Tensor]:
    """Draws of the gradient by part of an M2, (DRAWS, parameters) each."""
    torch.manual_seed(seed)
    model, guide = objective.model, objective.guide
    parts = {
        "q(y | x)": guide.classifier, "q(z | x, y)": guide.encoder, "p(x | y, z)": model.decoder,
    }
    draws: dict[str, list[Tensor]] = {name: [] for name in parts}
    for _ in range(DRAWS):
        objective.zero_grad()
        objective(batch).total.backward()
        for name, part in parts.items():
            draws[name].append(torch.cat([p.grad.flatten() for p in part.parameters()]))
    by_part = {name: torch.stack(rows).double() for name, rows in draws.items()}
    return {"all": torch.cat(list(by_part.values()), dim=1), **by_part}


def stage(epoch: int, model: models.M2, guide: guides.M2, batch: Batch) -> Stage:
    """The two estimates at the present weights."""
    sampled = gradients(Objective(model, guide, kl="sampled"), batch, seed=epoch)
    analytic = gradients(Objective(model, guide, kl="analytic"), batch, seed=epoch)
    variances = {
        name: (sampled[name].var(0).sum().item(), analytic[name].var(0).sum().item())
        for name in sampled
    }
    along = (sampled["all"] - analytic["all"]) @ analytic["all"].mean(0)
    return Stage(epoch, variances, (along.mean() / along.std() * DRAWS ** 0.5).item())


def stages() -> Iterator[Stage]:
    """Train an M2, and stop at each stage."""
    torch.manual_seed(0)
    split = data.load("digits").split(50, seed=0)
    model = models.M2(split.dataset.shape, 10, z_dim=16, hidden=(128,))
    guide = guides.M2(model, hidden=(128,))
    batch = next(data.batches(split))
    yield stage(0, model, guide, batch)
    for done in fit(Objective(model, guide, alpha=10.0), split, epochs=STAGES[-1]):
        if done.epoch in STAGES:
            yield stage(done.epoch, model, guide, batch)


def draw(rows: list[Stage], figure: str) -> None:
    """The variances, part by part."""
    picture = Figure(figsize=(8.4, 3.0), layout="constrained")
    names = [name for name in rows[0].variances if name != "all"]
    panels = picture.subplots(1, len(names), sharey=True)
    epochs = [str(row.epoch) for row in rows]
    for axes, name in zip(panels, names):
        sampled, analytic = zip(*(row.variances[name] for row in rows))
        axes.plot(epochs, sampled, "s-", markersize=8, label="sampled (Pyro)")
        axes.plot(epochs, analytic, "o-", markersize=4, label="analytic")
        axes.set(title=name, xlabel="epochs", yscale="log")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("variance of the gradient")
    panels[0].legend(frameon=False)
    picture.savefig(figure, dpi=120)


def main(figure: str) -> None:
    """Measure, print and draw."""
    rows = list(stages())
    names = [name.replace("|", r"\|") for name in rows[0].variances]
    print("Variance of the gradient, sampled / analytic\n")
    print(f"| epochs | {' | '.join(names)} | ratio of all | means apart, s.e. |")
    print("|---:" * (len(names) + 3) + "|")
    for epoch, variances, apart in rows:
        cells = [f"{sampled:#.3g} / {analytic:#.3g}" for sampled, analytic in variances.values()]
        sampled, analytic = variances["all"]
        print(f"| {epoch} | {' | '.join(cells)} | {sampled / analytic:.1f} | {apart:.1f} |")
    draw(rows, figure)


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["variance.png"]))
