"""The rooms of the library: each says its job, and imports what is below it only."""

import ast
import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pyro_ssvae"
# From the ground up. A room may import from itself and from those before it.
FLOORS = (
    "errors", "recipes", "private", "contract", "system", "labels", "nn", "targets", "inference",
    "data", "evaluation", "models", "guides", "engine", "training", "statistics", "report",
    "experiments", "estimators", "reproduce", "cli",
)
LINES = 310

drawing = importlib.util.spec_from_file_location("draw", ROOT / "docs" / "draw.py")
draw = importlib.util.module_from_spec(drawing)
drawing.loader.exec_module(draw)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = [path for path in draw.files() if room(path) not in ("__init__", "__main__")]


def test_every_room_and_every_file_beside_them_has_a_floor() -> None:
    assert {room(path) for path in FILES} == set(FLOORS)


def test_imports_go_down() -> None:
    for path in FILES:
        own = FLOORS.index(room(path))
        for imported in draw.imports(path):
            assert imported in FLOORS[:own + 1], f"{path}: {room(path)} imports {imported}"


def test_imports_within_a_room_have_no_circle() -> None:
    def below(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, f"a circle of imports: {' -> '.join([*above, module])}"
        if module not in seen:
            for name in graph.get(module, ()):
                below(name, (*above, module))
            seen.add(module)

    seen: set[str] = set()
    graph = {draw.name(path): draw.modules(path) for path in draw.files()}
    for module in graph:
        below(module, ())


def test_a_room_says_its_job_in_a_line() -> None:
    for name in draw.rooms():
        documentation = ast.get_docstring(ast.parse((PACKAGE / name / "__init__.py").read_text()))
        assert documentation and "\n" not in documentation and documentation.endswith("."), name


def test_a_file_is_no_longer_than_can_be_read_at_once() -> None:
    for path in FILES:
        lines = len(path.read_text().splitlines())
        assert lines <= LINES, f"{path}: {lines} lines"


def test_the_picture_is_of_the_rooms_as_they_are() -> None:
    drawn = (ROOT / "docs" / "architecture.svg").read_text()
    for name in draw.rooms():
        assert name in drawn and draw.wrapped(draw.job(name)).splitlines()[0] in drawn
