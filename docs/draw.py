"""Draw docs/architecture.svg from the imports between the rooms: ``python docs/draw.py``."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pyro_ssvae"
BESIDE = ("errors", "contract", "recipes", "private")  # files that stand beside the rooms


def files() -> list[Path]:
    """All Python files of the package."""
    folders = [PACKAGE, *(path for path in sorted(PACKAGE.iterdir()) if path.is_dir())]
    return [path for folder in folders for path in sorted(folder.glob("*.py"))]


def name(path: Path) -> str:
    """The name of a file's module within the package, such as ``"data.dataset"``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def modules(path: Path) -> set[str]:
    """The modules of the package that a file imports when it is imported itself."""
    known = {name(other) for other in files()} - {""}
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pyro_ssvae":
            module = (node.module or "").removeprefix("pyro_ssvae").strip(".")
            for alias in node.names:
                full = f"{module}.{alias.name}".strip(".")
                found.add(full if full in known else module)
    return found - {"", name(path)}


def imports(path: Path) -> set[str]:
    """The rooms, and the files beside them, that a file imports anywhere."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pyro_ssvae":
            _, _, module = (node.module or "").partition(".")
            names = [module] if module else [alias.name for alias in node.names]
            rooms |= {each.split(".")[0] for each in names}
    return rooms & {each.stem if each.suffix else each.name for each in PACKAGE.iterdir()}


def rooms() -> dict[str, set[str]]:
    """The rooms by name, each with the rooms that it imports from."""
    result: dict[str, set[str]] = {}
    for path in files():
        parts = path.relative_to(PACKAGE).parts
        if len(parts) > 1:
            result.setdefault(parts[0], set()).update(imports(path) - {parts[0], *BESIDE})
    return result


def floors(below: dict[str, set[str]]) -> dict[str, int]:
    """The floor of every room: one above the highest that it imports from.

    Raises:
        graphlib.CycleError: If rooms import from each other.
    """
    result: dict[str, int] = {}
    for room in TopologicalSorter(below).static_order():
        result[room] = 1 + max((result[other] for other in below[room]), default=-1)
    return result


def job(room: str) -> str:
    """What a room's ``__init__`` says it is for."""
    text = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
    return (text or "").replace("`", "").rstrip(".")


def draw() -> Figure:
    """The rooms, floor by floor, with an arrow for each import that no other path explains."""
    below = rooms()
    floor = floors(below)
    rows = [
        [room for room in sorted(floor) if floor[room] == i] for i in range(max(floor.values()) + 1)
    ]
    figure = Figure(figsize=(9, 1.1 * len(rows)), layout="constrained")
    axes = figure.subplots()
    place = {}
    for i, row in enumerate(rows):
        for j, room in enumerate(row):
            place[room] = (10 * (j + 0.5) / len(row), float(i))
    for room, others in below.items():
        for other in others:
            if any(other in reached(third, below) for third in others - {other}):
                continue
            (x, y), (x_below, y_below) = place[room], place[other]
            axes.annotate("", (x_below, y_below + 0.3), (x, y - 0.3), arrowprops={
                "arrowstyle": "->", "color": "#94a3b8", "shrinkA": 0, "shrinkB": 0,
            })
    for room, (x, y) in place.items():
        axes.text(x, y, f"$\\bf{{{room}}}$\n{wrapped(job(room))}", ha="center", va="center",
                  fontsize=7, bbox={"boxstyle": "round", "fc": "white", "ec": "#475569"})
    axes.set(xlim=(0, 10), ylim=(-0.6, len(rows) - 0.4))
    axes.axis("off")
    return figure


def reached(room: str, below: dict[str, set[str]]) -> set[str]:
    """All rooms that a room rests on."""
    return below[room].union(*(reached(other, below) for other in below[room]))


def wrapped(text: str, width: int = 34) -> str:
    """A text in lines of about this many characters."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


if __name__ == "__main__":
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "pyro_ssvae"}):
        draw().savefig(ROOT / "docs" / "architecture.svg", metadata={"Date": None})
