"""The wheel and the source distribution: what is in them, and that the wheel alone works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

import pyro_ssvae

ROOT = Path(__file__).resolve().parents[1]
NAME = f"pyro_ssvae-{pyro_ssvae.__version__}"
PACKAGES = ("pyro_ssvae", "models", "guides")
FILES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff")
# Without what leads to the checkout: its path, and what an editable install looks at.
OUTSIDE = {name: v for name, v in os.environ.items() if not name.startswith("PYTHON")}


def run(*words: object, cwd: Path) -> str:
    result = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, cwd=cwd, env=OUTSIDE,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def sources(folder: Path) -> set[str]:
    """The files of a folder that belong to the library, and not to a run of it."""
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a source distribution, and of the wheel that was built from it alone."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in PACKAGES:
        shutil.copytree(
            ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"),
        )
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    (copy / "tests").mkdir()
    (copy / "tests" / "test_nothing.py").write_text("")
    run(sys.executable, "-m", "build", "--no-isolation", ".", cwd=copy)
    return copy / "dist"


@pytest.fixture(scope="module")
def environment(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an empty environment with the wheel, and what it needs from around it.

    The packages that it needs are found by their path alone: an editable install of the library
    there, which is a hook of that folder's own, does not take part.
    """
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    (wheel,) = dist.glob("*.whl")
    programs = folder / "bin"
    run(sys.executable, "-m", "pip", "--python", programs / "python", "install", "--quiet",
        "--no-deps", "--no-index", wheel, cwd=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "around.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return programs


def test_the_wheel_has_the_library_and_nothing_else(dist: Path) -> None:
    (path,) = dist.glob("*.whl")
    assert path.name == f"{NAME}-py3-none-any.whl"
    with zipfile.ZipFile(path) as wheel:
        found = {name for name in wheel.namelist() if f"{NAME}.dist-info" not in name}
    expected = {
        f"pyro_ssvae/{name}" for name in sources(ROOT / "pyro_ssvae")
        if PurePosixPath(name).parts[0] not in ("models", "guides")
    }
    for name in ("models", "guides"):
        expected |= {f"pyro_ssvae/{name}/{file}" for file in sources(ROOT / name)}
    assert found == expected
    assert {"pyro_ssvae/py.typed", "pyro_ssvae/report/report.css", "pyro_ssvae/models/m2.py",
            "pyro_ssvae/guides/m2.py"} <= found


def test_the_source_distribution_has_each_file_once_and_no_tests(dist: Path) -> None:
    with tarfile.open(dist / f"{NAME}.tar.gz") as archive:
        members = archive.getmembers()
    names = [member.name.removeprefix(f"{NAME}/") for member in members if member.isfile()]
    assert not any(member.issym() for member in members)
    made = {name for name in names if ".egg-info/" in name or name in ("PKG-INFO", "setup.cfg")}
    assert {*names} - made == {
        *FILES, *(f"models/{name}" for name in sources(ROOT / "models")),
        *(f"guides/{name}" for name in sources(ROOT / "guides")),
        *(f"pyro_ssvae/{name}" for name in sources(ROOT / "pyro_ssvae")
          if PurePosixPath(name).parts[0] not in ("models", "guides")),
    }


def test_what_is_imported_is_the_wheels(environment: Path, tmp_path: Path) -> None:
    code = (
        "import importlib.util, pyro_ssvae\nfrom importlib import metadata\n"
        "for name in ('pyro_ssvae', 'pyro_ssvae.models', 'pyro_ssvae.guides'):\n"
        "    print(importlib.util.find_spec(name).origin)\n"
        "print(metadata.version('pyro-ssvae'), pyro_ssvae.__version__)\n"
    )
    *origins, versions = run(environment / "python", "-c", code, cwd=tmp_path).splitlines()
    assert versions == f"{pyro_ssvae.__version__} {pyro_ssvae.__version__}"
    for origin in origins:
        assert Path(origin).is_relative_to(environment.parent / "lib"), origin


def test_the_command_of_the_wheel_compares(environment: Path, tmp_path: Path) -> None:
    printed = run(
        environment / "pyro-ssvae", "compare", "m2", "--data", "moons", "--labels", "6", "--seeds",
        "1", "--epochs", "1", "--device", "cpu", "--set", "hidden=4", "--out", "out", cwd=tmp_path,
    )
    assert "| m2 " in printed and f"The report is {tmp_path}/out/report.html" in printed
    style = (ROOT / "pyro_ssvae" / "report" / "report.css").read_text()
    assert style in (tmp_path / "out" / "report.html").read_text()
