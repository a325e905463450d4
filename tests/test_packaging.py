from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import pytest
import yaml

import pyro_ssvae

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTIONS = {
    "PIL": "pillow", "opt_einsum": "opt-einsum", "pyro": "pyro-ppl", "sklearn": "scikit-learn",
}


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def python(code: str) -> str:
    """What a fresh interpreter prints, away from the checkout."""
    result = subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", code],
        capture_output=True, text=True, cwd="/",
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_the_version_is_in_one_place(pyproject: dict[str, Any]) -> None:
    assert pyro_ssvae.__version__ == metadata.version("pyro-ssvae")
    assert "version" in pyproject["project"]["dynamic"]
    attribute = pyproject["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert attribute == "pyro_ssvae.__version__"


def test_the_citation_is_of_this_version_and_licence(pyproject: dict[str, Any]) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == pyro_ssvae.__version__
    assert citation["license"] == pyproject["project"]["license"]
    assert all(citation[key] for key in ("message", "title", "authors"))  # which CFF asks for


def test_every_package_of_the_map_is_where_python_finds_it(pyproject: dict[str, Any]) -> None:
    folders = pyproject["tool"]["setuptools"]["package-dir"]
    for name in pyproject["tool"]["setuptools"]["packages"]:
        mapped = ROOT / folders.get(name, name.replace(".", "/"))
        found = importlib.import_module(name).__file__
        assert found is not None
        assert Path(found).resolve() == (mapped / "__init__.py").resolve()


def test_models_and_guides_are_mapped_and_linked(pyproject: dict[str, Any]) -> None:
    folders = pyproject["tool"]["setuptools"]["package-dir"]
    assert folders == {"pyro_ssvae.models": "models", "pyro_ssvae.guides": "guides"}
    for name in ("models", "guides"):
        link = ROOT / "pyro_ssvae" / name
        assert link.is_symlink() and not link.readlink().is_absolute()
        assert link.resolve() == ROOT / name


def test_every_package_on_disk_is_in_the_distribution(pyproject: dict[str, Any]) -> None:
    inits = (ROOT / "pyro_ssvae").glob("*/__init__.py")
    on_disk = {"pyro_ssvae", *(f"pyro_ssvae.{path.parent.name}" for path in inits)}
    assert set(pyproject["tool"]["setuptools"]["packages"]) == on_disk


def test_the_package_is_marked_as_typed(pyproject: dict[str, Any]) -> None:
    assert resources.files("pyro_ssvae").joinpath("py.typed").is_file()
    assert "py.typed" in pyproject["tool"]["setuptools"]["package-data"]["pyro_ssvae"]


def test_the_style_of_reports_is_in_the_distribution(pyproject: dict[str, Any]) -> None:
    assert resources.files("pyro_ssvae.report").joinpath("report.css").is_file()
    assert "report.css" in pyproject["tool"]["setuptools"]["package-data"]["pyro_ssvae.report"]


def test_everything_imported_is_a_declared_dependency(pyproject: dict[str, Any]) -> None:
    imported = set()
    folders = ("pyro_ssvae", "models", "guides")
    for path in (path for folder in folders for path in ROOT.glob(f"{folder}/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    imported -= {"pyro_ssvae", *sys.stdlib_module_names}
    declared = {
        requirement.split(">")[0] for requirement in pyproject["project"]["dependencies"]
    }
    extras = {
        re.split(r"[>\[]", requirement)[0]
        for extra, requirements in pyproject["project"]["optional-dependencies"].items()
        if extra not in ("bench", "dev") for requirement in requirements
    }
    assert {DISTRIBUTIONS.get(name, name) for name in imported} - extras == declared


@pytest.mark.parametrize("module", [
    "pyro_ssvae", "pyro_ssvae.data", "pyro_ssvae.models", "pyro_ssvae.guides",
])
def test_public_names_exist_and_are_documented(module: str) -> None:
    package = importlib.import_module(module)
    assert package.__all__ and len(set(package.__all__)) == len(package.__all__)
    for name in package.__all__:
        value = getattr(package, name)
        assert not callable(value) or value.__doc__


def test_the_command_is_installed(pyproject: dict[str, Any]) -> None:
    (entry,) = metadata.entry_points(group="console_scripts", name="pyro-ssvae")
    assert entry.value == pyproject["project"]["scripts"]["pyro-ssvae"]
    assert callable(entry.load())
    assert (Path(sys.executable).parent / "pyro-ssvae").is_file()


HEAVY = ("torch", "pyro", "numpy", "scipy", "sklearn", "matplotlib", "torchvision")


@pytest.mark.parametrize("code, needed", [
    ("import pyro_ssvae; dir(pyro_ssvae); pyro_ssvae.__version__", []),
    ("from pyro_ssvae import InputError", []),
    ("from pyro_ssvae.cli import main; main(['--help'], standalone_mode=False)", []),
    ("from pyro_ssvae.cli import main; main(['train', '--help'], standalone_mode=False)", []),
    ("from pyro_ssvae.cli import main; main(['--version'], standalone_mode=False)", []),
    ("from pyro_ssvae import Objective, data, evaluate, fit, guides, models",
     ["torch", "pyro", "numpy"]),
    # What draws and what calibrates is imported where that is done.
    ("from pyro_ssvae.experiments import export, predictor, runs", ["torch", "pyro", "numpy"]),
], ids=["package", "error", "help", "help of train", "version", "library", "predictor"])
def test_importing_takes_what_is_needed(code: str, needed: list[str]) -> None:
    printed = python(f"{code}; import sys; print([m for m in {HEAVY} if m in sys.modules])")
    assert printed.splitlines()[-1] == str(needed)


def test_what_the_package_names_is_that_of_its_modules() -> None:
    from pyro_ssvae.experiments.pairs import pair
    from pyro_ssvae.inference.objective import Objective
    from pyro_ssvae.training.fit import fit

    assert (pyro_ssvae.Objective, pyro_ssvae.fit, pyro_ssvae.pair) == (Objective, fit, pair)
    assert set(pyro_ssvae.__all__) <= set(dir(pyro_ssvae))


def test_the_package_has_nothing_else() -> None:
    with pytest.raises(AttributeError, match="module 'pyro_ssvae' has no attribute 'Objektive'"):
        pyro_ssvae.Objektive
    with pytest.raises(ImportError, match="cannot import name 'Objektive'"):
        from pyro_ssvae import Objektive  # noqa: F401


def test_the_core_does_not_import_the_pairs() -> None:
    assert python(
        "import sys, pyro_ssvae, pyro_ssvae.data, pyro_ssvae.nn, pyro_ssvae.evaluation\n"
        "rooms = ('models', 'guides', 'experiments')\n"
        "print([room for room in rooms if f'pyro_ssvae.{room}' in sys.modules])"
    ) == "[]"


STATE = """
import random, warnings
import matplotlib, numpy, pyro, torch
from pyro.infer.util import is_validation_enabled
matplotlib.use("svg")

def state():
    return {
        "dtype": torch.get_default_dtype(), "device": torch.get_default_device(),
        "threads": torch.get_num_threads(), "grad": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch": torch.get_rng_state().tolist(), "python": random.getstate(),
        "numpy": [str(part.tolist() if hasattr(part, "tolist") else part)
                  for part in numpy.random.get_state()],
        "validation": (is_validation_enabled(), pyro.distributions.is_validation_enabled(),
                       torch.distributions.Distribution._validate_args),
        "store": list(pyro.get_param_store().keys()),
        "style": dict(matplotlib.rcParams), "backend": matplotlib.get_backend(),
        "print": vars(torch._tensor_str.PRINT_OPTS).copy(), "errors": numpy.geterr(),
    }

before = state()
"""


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What importing has changed, whether it imports pyplot, and what a run has changed."""
    changes = "after = state(); print([name for name in before if before[name] != after[name]])\n"
    return python(
        STATE + "import pyro_ssvae, pyro_ssvae.cli, sys\n" + changes
        + "print('matplotlib.pyplot' in sys.modules)\n"
        "from pyro_ssvae import data\nfrom pyro_ssvae.experiments import runs\n"
        "x, y = numpy.linspace(0, 1, 360).reshape(90, 4), numpy.arange(90) % 3\n"
        "split = data.from_arrays(x, y).split(6)\n"
        "options = {'hidden': (4,), 'z_dim': 2}\n"
        f"out = {str(tmp_path_factory.mktemp('run'))!r}\n"
        "runs.train('vae', split, out, epochs=1, options=options)\n" + changes
    ).splitlines()


def test_importing_changes_no_global_state(changed: list[str]) -> None:
    assert changed[:2] == ["[]", "False"]


def test_training_and_drawing_change_no_global_state(changed: list[str]) -> None:
    assert changed[2:] == ["[]"]
