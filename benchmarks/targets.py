"""What an update of M2 is to take, of its peers' time and of its matrix products'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from results import Row, Rows, table

EAGER, CAPTURED = "pyro-ssvae, eager", "pyro-ssvae, captured"
TRACED = "pyro-ssvae, traced"
BF16, TOP3 = f"{CAPTURED}, bf16", f"{CAPTURED}, 3 classes"
BF16_TOP3 = f"{BF16}, 3 classes"
IN_BF16 = (BF16, BF16_TOP3)
PYRO, TORCH, COMPILED, NUMPYRO = "Pyro's recipe", "eager torch", "torch.compile", "NumPyro"
PEERS = (PYRO, TORCH, COMPILED, NUMPYRO)
FLOOR = "matrix products"
# FLOOR is that of all others.
FLOORS = {way: way.replace(CAPTURED, FLOOR) for way in (BF16, TOP3, BF16_TOP3)}

# The ratio of a way's time to a peer's or to its own matrix products', at most.
TARGETS: dict[tuple[str, str], dict[str, float]] = {
    ("thesis", CAPTURED): {PYRO: 0.5, TORCH: 0.7, NUMPYRO: 0.95, FLOOR: 1.12},
    ("thesis", BF16): {PYRO: 0.33, TORCH: 0.5, NUMPYRO: 0.7, FLOOR: 1.3},
    ("thesis", TOP3): {PYRO: 0.2, TORCH: 0.3, NUMPYRO: 0.5, FLOOR: 1.2},
    ("thesis", BF16_TOP3): {FLOOR: 1.2},
    ("digits", CAPTURED): {PYRO: 0.25, TORCH: 0.5, NUMPYRO: 1.0, FLOOR: 1.8},
    ("hundred", CAPTURED): {FLOOR: 1.4},
}


def verdicts(rows: Rows) -> list[Row]:
    """A row for each target of which something was measured.

    Args:
        rows: Of each workload and way the ratios, by peer, and by :data:`FLOOR`.

    Returns:
        The target and what was measured, whether it is a hit, and the share of the peer's time that
        the way's own matrix products take: less than that no update can.
    """
    ratios = {(row["workload"], row["way"]): row["ratio"] for row in rows}
    found = []
    for (workload, way), targets in TARGETS.items():
        alone: Mapping[str, Any] = ratios.get((workload, FLOORS.get(way, FLOOR)), {})
        for peer, target in targets.items():
            measured = ratios.get((workload, way), {}).get(peer)
            if measured is not None:
                verdict = "hit" if measured <= target else "miss"
                if way in IN_BF16 and not alone:
                    verdict = "no instructions"
                found.append({
                    "workload": workload, "way": way, "to": peer, "target": target,
                    "measured": measured, "": verdict, "the products alone": alone.get(peer),
                })
    return found


def misses(rows: Rows) -> list[tuple[str, str]]:
    """The workloads and ways that miss a target."""
    missed = [(row["workload"], row["way"]) for row in verdicts(rows) if row[""] == "miss"]
    return list(dict.fromkeys(missed))


def told(rows: Rows) -> str:
    """The targets, in Markdown."""
    return table(verdicts(rows), {
        "workload": "", "way": "", "to": "", "target": ".2f", "measured": ".3f", "": "",
        "the products alone": ".2f",
    })
