"""The README's Python runs as pasted, and its table has every pair."""

import re
import warnings
from pathlib import Path

import pyro

from pyro_ssvae.experiments import pairs

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_python_runs_as_pasted(capsys) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    with pyro.get_param_store().scope(), warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile("\n".join(blocks), "README.md", "exec"), {})
    assert "accuracy" in capsys.readouterr().out


def test_zoo_has_a_row_for_every_pair() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", README, flags=re.MULTILINE)
    assert sorted(rows) == pairs.names()
