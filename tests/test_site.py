"""The site is built without a warning, and has every public name."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sphinx.util.inventory import InventoryFile

ROOT = Path(__file__).parent.parent
SOURCES = [
    *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tutorials/*.ipynb"),
    *ROOT.glob("benchmarks/*.md"), *ROOT.glob("studies/**/*.md"),
]
PACKAGES = ("", ".data", ".guides", ".labels", ".models", ".nn", ".targets")
NO_OBJECTS = (
    "FOREIGN", "Kind", "MAX_COMBINATIONS", "MIN_SCALE", "PARTS", "SOURCES",
    "data", "guides", "models", "nn",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site") / "html"
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-c", "docs", ".", out],
        cwd=ROOT, capture_output=True, text=True,
    )
    assert built.returncode == 0, built.stderr
    return out


def test_pages_begin_at_the_root(site) -> None:
    (target,) = re.findall(r"url=([^\"]+)", (site / "index.html").read_text())
    assert (site / target).is_file() and (site / "search.html").is_file()


def test_the_reference_has_every_public_name(site) -> None:
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="").data
    there = {name for kind, named in inventory.items() if kind.startswith("py:") for name in named}
    for package in (importlib.import_module(f"pyro_ssvae{name}") for name in PACKAGES):
        for name in set(package.__all__) - set(NO_OBJECTS):
            value = getattr(package, name)
            home = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
            assert {f"{package.__name__}.{name}", home} & there, f"{package.__name__}.{name}"


def test_formulas_need_no_network(site) -> None:
    page = (site / "docs" / "metrics.html").read_text()
    assert "<math" in page and "\\log" not in page
    for html in site.glob("**/*.html"):
        assert not re.search(r"<(script|link)[^>]+(src|href)=\"https?:", html.read_text()), html


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_other_places_are_addresses(source) -> None:
    for address in re.findall(r"\]\((https?:[^)]*)\)", source.read_text(encoding="utf-8")):
        parts = urlsplit(address)
        assert parts.scheme == "https" and re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.netloc), address
        assert " " not in address
