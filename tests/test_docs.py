"""The Python of the site's pages runs as pasted."""

import gc
import re
import sys
import warnings
from pathlib import Path

import pyro
import pytest

ROOT = Path(__file__).parent.parent
# tests/test_log.py runs logging.md, beside what stands for MLflow and W&B.
PAGES = {
    page.stem: page for page in sorted((ROOT / "docs").glob("*.md")) if page.stem != "logging"
}


def python(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if python(page)])
def test_the_python_of_a_page_runs_as_pasted(name, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    unraised = []  # such as the warning of a training that is dropped, and never iterated over
    monkeypatch.setattr(sys, "unraisablehook", lambda found: unraised.append(found.exc_value))
    code = re.sub(r"epochs=(\d\d+|[35])", "epochs=1", "\n".join(python(PAGES[name])))
    with pyro.get_param_store().scope(), warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(code, f"{name}.md", "exec"), {})
        gc.collect()
    assert unraised == []
