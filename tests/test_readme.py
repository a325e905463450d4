"""The README's Python runs as pasted, and its table says what the pairs' docstrings say."""

import re
import warnings
from pathlib import Path

import pyro
import pytest

from pyro_ssvae.experiments import pairs

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
ROWS = {
    name: [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", rest)]
    for name, rest in re.findall(r"^\| `(\w+)` \|(.*)\|$", README, flags=re.MULTILINE)
}


def test_python_runs_as_pasted(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    for module in ("pyro_ssvae.engine.adam", "pyro_ssvae.training.ensemble"):
        monkeypatch.setattr(f"{module}.compiled", lambda graph, tensors: graph)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    code, shortened = re.subn(r"epochs=\d+", "epochs=2", "\n".join(blocks))
    assert shortened == 7
    with pyro.get_param_store().scope(), warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "accuracy" in printed
    assert "3 classes: high " in printed and "of 1,000 labels unknown" in printed
    names = "'(?:low|middle|high)'"
    assert re.search(rf"^\[{names}(?:, {names}){{4}}\]$", printed, flags=re.MULTILINE)


def test_the_table_has_a_row_for_every_pair() -> None:
    assert sorted(ROWS) == pairs.names()


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_row_says_how_the_pair_factorises_and_when_to_choose_it(name) -> None:
    factorisation, source, choice, accuracy = ROWS[name]
    sides = [side.split(" = ")[-1] for side in pairs.pair(name).factorisation.split(";  ")]
    assert factorisation == "; ".join(sides)
    assert source and choice
    assert re.fullmatch(r"\d\d\.\d ± \d\.\d", accuracy) or name in ("regression", "vae")
