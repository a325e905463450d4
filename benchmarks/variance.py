"""Noise of the ELBO's gradient, sampled and analytic: `python benchmarks/variance.py`.

M2 on digits with 50 labels, at several stages of training: the gradient of both bounds on one
batch, drawn again and again, with KL divergences sampled, which is the estimate of Pyro's
TraceEnum_ELBO, and in closed form. Both see the same noise: the decoder, which no KL divergence
depends on, has the same gradients. Variances are summed over parameters, sampled / analytic; the
last column is how far the means are apart along the gradient, in standard errors.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import torch
from matplotlib.figure import Figure
from measure import machine
from results import Row, Rows, Section, record, table
from torch import Tensor

from pyro_ssvae import Objective, data, fit, guides, models
from pyro_ssvae.contract import Batch

STAGES = (0, 1, 5, 20, 50)  # epochs of training
DRAWS = 200
RATIO, APART = "ratio of all", "means apart, s.e."


def gradients(objective: Objective, batch: Batch, seed: int, draws: int) -> dict[str, Tensor]:
    """Draws of the gradient by part of an M2, (draws, parameters) each."""
    torch.manual_seed(seed)
    model, guide = objective.model, objective.guide
    parts = {
        "q(y | x)": guide.classifier, "q(z | x, y)": guide.encoder, "p(x | y, z)": model.decoder,
    }
    drawn: dict[str, list[Tensor]] = {name: [] for name in parts}
    for _ in range(draws):
        objective.zero_grad()
        objective(batch).total.backward()
        for name, part in parts.items():
            drawn[name].append(torch.cat([p.grad.flatten() for p in part.parameters()]))
    by_part = {name: torch.stack(rows).double() for name, rows in drawn.items()}
    return {"all": torch.cat(list(by_part.values()), dim=1), **by_part}


def stage(epoch: int, model: models.M2, guide: guides.M2, batch: Batch, draws: int) -> Row:
    """The noise of the two estimates at the present weights, after so many epochs."""
    sampled = gradients(Objective(model, guide, kl="sampled"), batch, epoch, draws)
    analytic = gradients(Objective(model, guide, kl="analytic"), batch, epoch, draws)
    variances = {
        name: (sampled[name].var(0).sum().item(), analytic[name].var(0).sum().item())
        for name in sampled
    }
    along = (sampled["all"] - analytic["all"]) @ analytic["all"].mean(0)
    apart = (along.mean() / along.std() * draws ** 0.5).item()
    ratio = variances["all"][0] / variances["all"][1]
    return {"epochs": epoch, "variances": variances, RATIO: ratio, APART: apart}


def stages(draws: int) -> Iterator[Row]:
    """Train an M2, and stop at each stage."""
    torch.manual_seed(0)
    split = data.load("digits").split(50, seed=0)
    model = models.M2(split.dataset.shape, 10, z_dim=16, hidden=(128,))
    guide = guides.M2(model, hidden=(128,))
    batch = next(data.batches(split))
    yield stage(0, model, guide, batch, draws)
    for done in fit(Objective(model, guide, alpha=10.0), split, epochs=STAGES[-1]):
        if done.epoch in STAGES:
            yield stage(done.epoch, model, guide, batch, draws)


def tables(rows: Rows) -> str:
    """The variances, sampled and analytic."""
    names = list(rows[0]["variances"])
    shown = [
        {**row, **{name: "{:#.3g} / {:#.3g}".format(*row["variances"][name]) for name in names}}
        for row in rows
    ]
    forms = {"epochs": "d", **dict.fromkeys(names, ""), RATIO: ".1f", APART: ".1f"}
    ratios = [row[RATIO] for row in rows]
    return (
        f"{table(shown, forms)}\n\nOf all parameters together it is {min(ratios):.0f} to"
        f" {max(ratios):.0f} times less with closed forms; where one part is noisier with them, the"
        " second of its two numbers is the larger."
    )


def drawn(rows: Rows) -> Figure:
    """The variances, part by part."""
    picture = Figure(figsize=(8.4, 3.0), layout="constrained")
    names = [name for name in rows[0]["variances"] if name != "all"]
    panels = picture.subplots(1, len(names), sharey=True)
    epochs = [str(row["epochs"]) for row in rows]
    for axes, name in zip(panels, names):
        sampled, analytic = zip(*(row["variances"][name] for row in rows))
        axes.plot(epochs, sampled, "s-", markersize=8, label="sampled (Pyro)")
        axes.plot(epochs, analytic, "o-", markersize=4, label="analytic")
        axes.set(title=name, xlabel="epochs", yscale="log")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("variance of the gradient")
    panels[0].legend(frameon=False)
    return picture


TITLE = "Variance of the gradient, `variance.py`"
SECTION = Section("variance", TITLE, str(__doc__), tables, drawn)


def main(draws: int) -> None:
    """Measure, print and record."""
    print(machine(), flush=True)
    rows = list(stages(draws))
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--draws", type=int, default=DRAWS, help="of the noise")
    main(parser.parse_args().draws)
