"""Time and memory of an update of M2, and of its peers: `python benchmarks/updates.py`.

Three sizes of M2 on made-up data, 100 labelled and 100 unlabelled rows each; the peers are those
of `peers.py`. Prints tables of medians and of ratios to the peers, round by round, and writes
`results.json` and `updates.png` beside this file.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import peers
import pyro
import torch
from matplotlib.figure import Figure
from measure import alternating, machine, matrix_products, peak_mb, ratios
from peers import Workload

from pyro_ssvae import Objective, guides, models
from pyro_ssvae.contract import Batch
from pyro_ssvae.engine.precision import Precision
from pyro_ssvae.labels import Enumerated
from pyro_ssvae.system.files import replacing, write_text
from pyro_ssvae.training.capturing import Capturing, Way
from pyro_ssvae.training.moments import Moment
from pyro_ssvae.training.optimizers import adam
from pyro_ssvae.training.steps import Eager

WORKLOADS = (
    Workload("thesis", x_dim=784, hidden=500, z_dim=50, classes=10),
    Workload("digits", x_dim=64, hidden=128, z_dim=16, classes=10),
    Workload("hundred", x_dim=64, hidden=128, z_dim=16, classes=100),
)
EAGER, CAPTURED = "pyro-ssvae, eager", "pyro-ssvae, captured"
TRACED = "pyro-ssvae, traced"
BF16, TOP3 = f"{CAPTURED}, bf16", f"{CAPTURED}, 3 classes"
PYRO, TORCH, NUMPYRO, FLOOR = "Pyro's recipe", "eager torch", "NumPyro", "matrix products"
FLOOR3 = f"{FLOOR}, 3 classes"
TARGETS = {  # ratios to PYRO, TORCH and NUMPYRO
    ("thesis", CAPTURED): (0.5, 0.7, 0.95),
    ("thesis", BF16): (0.33, 0.5, 0.7),
    ("thesis", TOP3): (0.2, 0.3, 0.5),
    ("digits", CAPTURED): (0.25, 0.5, 1.0),
}
BURST = 5  # counted updates in a round
SLOW_ROUNDS = 3  # of bfloat16 where the processor has no instructions for it
FOLDER = Path(__file__).parent

Step = Callable[[Batch], object]


class Result(NamedTuple):
    """What was measured of one way to update.

    Attributes:
        median_ms: The median time of an update, in milliseconds.
        peak_mb: The most memory that an update takes, in 10^6 bytes.
        ratio: The ratio of its time to that of each peer.
    """

    workload: str
    way: str
    median_ms: float
    peak_mb: float
    ratio: dict[str, float]


def made_up(workload: Workload) -> Batch:
    """A batch of grey pixels, its labels in turn."""
    generator = torch.Generator().manual_seed(0)
    x, u = torch.rand(2, workload.rows, workload.x_dim, generator=generator)
    return Batch(x, torch.eye(workload.classes)[torch.arange(workload.rows) % workload.classes], u)


def ours(
    workload: Workload,
    *,
    way: Way = "on",
    precision: Precision = "fp32",
    top: int | None = None,
) -> Step:
    """An update as training makes it."""
    hidden = (workload.hidden,)
    model = models.M2(workload.x_dim, workload.classes, z_dim=workload.z_dim, hidden=hidden)
    guide = guides.M2(model, hidden=hidden, label_inference=Enumerated(top))
    objective = Objective(model, guide, alpha=peers.ALPHA)
    eager = Eager(objective, adam(objective, peers.LR), precision=precision)
    update = eager if way == "off" else Capturing(eager, compile=way == "on")

    def step(batch: Batch) -> object:
        with pyro.validation_enabled(False):
            return update(batch, Moment(0, 0, 1))

    return step


def ways(workload: Workload, batch: Batch) -> dict[str, Step]:
    """All ways to update, by name; NumPyro's only where it is installed."""
    steps: dict[str, Step] = {
        EAGER: ours(workload, way="off"),
        TRACED: ours(workload, way="traced"),
        CAPTURED: ours(workload),
        BF16: ours(workload, precision="bf16"),
        TOP3: ours(workload, top=3),
        PYRO: peers.pyro_recipe(workload),
        TORCH: peers.eager_torch(workload),
    }
    try:
        steps[NUMPYRO] = peers.numpyro_jit(workload)
    except ImportError as error:
        print(f"Without NumPyro: {error}; pip install 'pyro-ssvae[bench]'\n")
    products = matrix_products(partial(steps[EAGER], batch))
    few = matrix_products(partial(ours(workload, way="off", top=3), batch))
    return {**steps, FLOOR: lambda batch: products(), FLOOR3: lambda batch: few()}


def measured(workload: Workload, rounds: int) -> list[Result]:
    """The results of all ways for one workload."""
    torch.manual_seed(0)
    batch = made_up(workload)
    steps = ways(workload, batch)
    calls = {name: partial(step, batch) for name, step in steps.items()}
    for call in calls.values():
        call()
    rivals = [name for name in (PYRO, TORCH, NUMPYRO) if name in calls]
    slow = () if bf16_instructions() else (BF16,)
    quick = alternating({n: c for n, c in calls.items() if n not in slow}, rounds, BURST)
    late = alternating({n: calls[n] for n in (*slow, *rivals)}, SLOW_ROUNDS, 1) if slow else {}
    results = []
    for name, step in steps.items():
        times = late if name in slow else quick
        peak = step.peak_mb() if isinstance(step, peers.Jitted) else peak_mb(calls[name])
        median, ratio = statistics.median(times[name]), ratios(times, name, rivals)
        results.append(Result(workload.name, name, median, peak, ratio))
    return results


def bf16_instructions() -> bool:
    """Whether the processor multiplies matrices of bfloat16 itself."""
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def table(results: Iterable[Result]) -> str:
    """One workload's results, in Markdown."""
    rows = ["| way | ms | MB | to Pyro's recipe | to eager torch | to NumPyro |",
            "|:---|---:|---:|---:|---:|---:|"]
    for _, way, median, peak, ratio in results:
        cells = [f"{ratio[peer]:.2f}" if peer in ratio else "" for peer in (PYRO, TORCH, NUMPYRO)]
        rows.append(f"| {' | '.join([way, f'{median:.2f}', f'{peak:.1f}', *cells])} |")
    return "\n".join(rows)


def targets(results: Iterable[Result]) -> str:
    """What was aimed at, and what came, in Markdown."""
    rows = ["| workload | way | to | target | measured | |", "|:---|:---|:---|---:|---:|:---|"]
    for workload, way, _, _, ratio in results:
        for peer, target in zip((PYRO, TORCH, NUMPYRO), TARGETS.get((workload, way), ())):
            if peer in ratio:
                verdict = "hit" if ratio[peer] <= target else "miss"
                if way == BF16 and not bf16_instructions():
                    verdict = "no instructions"
                cells = [workload, way, peer, f"{target:.2f}", f"{ratio[peer]:.3f}", verdict]
                rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def drawn(results: list[Result]) -> Figure:
    """A panel for each workload: medians as bars, the matrix products alone as lines.

    Without bfloat16 where the processor has no instructions for it.
    """
    names = list(dict.fromkeys(result.workload for result in results))
    picture = Figure(figsize=(4.2 * len(names), 3.0), layout="constrained")
    panels = picture.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, workload in zip(panels, names):
        median = {way: ms for name, way, ms, *_ in results if name == workload}
        floor, few = median.pop(FLOOR), median.pop(FLOOR3)
        if not bf16_instructions():
            del median[BF16]
        colors = ["tab:gray" if way in (PYRO, TORCH, NUMPYRO) else "tab:blue" for way in median]
        bars = axes.barh(list(median), list(median.values()), color=colors)
        axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
        lines = [axes.axvline(floor, color="black", linestyle="--", linewidth=1),
                 axes.axvline(few, color="black", linestyle=":", linewidth=1)]
        axes.set(title=workload, xlabel="update (ms)")
        axes.margins(x=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()
    labels = [f"the {FLOOR} alone, all classes", "and 3 classes"]
    picture.legend(lines, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return picture


def main(rounds: int) -> None:
    """Measure, print, write and draw."""
    print(machine())
    if not bf16_instructions():
        print(f"This processor has no instructions for bfloat16: {SLOW_ROUNDS} rounds of it.")
    results: list[Result] = []
    for workload in WORKLOADS:
        _, x_dim, hidden, z_dim, classes, rows = workload
        print(f"\n{workload.name}: {x_dim}-{hidden}-{z_dim}, K = {classes}, {rows} + {rows} rows\n")
        results += measured(workload, rounds)
        print(table(result for result in results if result.workload == workload.name), flush=True)
    print(f"\n{targets(results)}")
    written = json.dumps([result._asdict() for result in results], indent=1)
    write_text(FOLDER / "results.json", written + "\n")
    with replacing(FOLDER / "updates.png") as temporary:
        drawn(results).savefig(temporary, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--rounds", type=int, default=12, help="of each way and workload")
    main(parser.parse_args().rounds)
