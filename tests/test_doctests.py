"""The examples in docstrings print what they say they do."""

import doctest
import importlib
from pathlib import Path

import pyro
import pytest
import torch

ROOT = Path(__file__).parent.parent
FILES = [
    path for folder in ("pyro_ssvae", "models", "guides")
    for path in sorted((ROOT / folder).glob("**/*.py")) if ">>> " in path.read_text()
]


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts if parts[0] == "pyro_ssvae" else ("pyro_ssvae", *parts))


@pytest.mark.parametrize("name", sorted({module(path) for path in FILES}))
def test_examples_of_a_module_print_what_they_say(name, capsys) -> None:
    with pyro.get_param_store().scope(), torch.random.fork_rng():
        result = doctest.testmod(importlib.import_module(name))
    assert result.attempted and not result.failed, capsys.readouterr().out


def test_what_most_begin_with_has_an_example() -> None:
    from pyro_ssvae import data, evaluate, fit, guides, models, pair

    for documented in (
        data.from_arrays, data.load, data.Dataset.split, evaluate, fit, guides.M2, models.M2, pair,
    ):
        assert ">>> " in documented.__doc__
