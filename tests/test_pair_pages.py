"""The pages of the pairs say what the programs, the recipes and the README say, and they run."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import warnings
from dataclasses import replace
from pathlib import Path

import pyro
import pytest
import torch
from small import split_for

from pyro_ssvae import data, recipes
from pyro_ssvae.cli.values import shown
from pyro_ssvae.experiments import pairs
from pyro_ssvae.inference.bounds import elbo_terms
from pyro_ssvae.reproduce import kingma_mnist, leaderboard, thesis_table_1
from pyro_ssvae.system.docstrings import paragraph

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "pairs"
HEADINGS = [
    "Preliminaries", "Generative process", "Inference", "Training details", "Tasks",
    "Published and measured numbers", "Limits and when not to use it",
]
MEASURED = "".join(path.read_text(encoding="utf-8") for path in [
    ROOT / "README.md", ROOT / "docs/results.md", ROOT / "benchmarks/README.md",
    *sorted(ROOT.glob("studies/*/README.md")),
])
PUBLISHED = {
    f"{mean:.{digits}f} ± {deviation:.{digits}f}"
    for paper in (kingma_mnist, leaderboard, thesis_table_1)
    for mean, deviation, *_ in paper.PUBLISHED.values() if deviation is not None
    for digits in (1, 2)
} | {"93.2 ± 0.6"}  # of Pyro's tutorial, which no reproduction has
each_pair = pytest.mark.parametrize("name", pairs.names())


def text_of(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    return re.split(r"^## ", text_of(name), flags=re.MULTILINE)[1 + HEADINGS.index(heading)]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables' rows, their headings too."""
    lines = re.findall(r"^\| (.*) \|$", text, flags=re.MULTILINE)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]


def formulas(text: str) -> list[str]:
    prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    blocks = re.findall(r"^\$\$\n(.*?)^\$\$$", prose, flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^\$\$\n.*?^\$\$$", "", prose, flags=re.DOTALL | re.MULTILINE)
    return blocks + re.findall(r"\$([^$]+)\$", prose)


def program(owner: type) -> str | None:
    """The source of a class's own ``forward`` without its docstring; None if there is no more."""
    if "forward" not in vars(owner):
        return None
    source = textwrap.dedent(inspect.getsource(owner.forward))  # type: ignore[attr-defined]
    documented, *body = ast.parse(source).body[0].body  # type: ignore[attr-defined]
    lines = source.splitlines()
    code = "\n".join(lines[:documented.lineno - 1] + lines[documented.end_lineno:])
    return code if body else None


def anchors(path: Path) -> set[str]:
    """What a link into a page can name: its headings, as GitHub and MyST write them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


# The pages.


def test_every_pair_has_a_page_and_there_is_no_other() -> None:
    assert sorted(page.stem for page in PAGES.glob("*.md")) == sorted([*pairs.names(), "index"])


@each_pair
def test_a_page_has_the_sections_of_all_pages_in_their_order(name) -> None:
    assert re.findall(r"^## (.*)$", text_of(name), flags=re.MULTILINE) == HEADINGS


@each_pair
def test_the_factorisation_is_that_of_the_docstrings(name) -> None:
    model, guide = pairs.pair(name).model, pairs.pair(name).guide
    expected = f"```text\nmodel  {paragraph(model, 0)}\nguide  {paragraph(guide, 0)}\n```"
    assert expected in text_of(name)


@each_pair
def test_the_programs_that_are_shown_are_those_of_the_library(name) -> None:
    pair = pairs.pair(name)
    programs = [program(pair.model), program(pair.guide)]
    expected = [code.rstrip() for code in programs if code is not None]
    blocks = re.findall(r"```py\n(.*?)\n```", text_of(name), flags=re.DOTALL)
    assert blocks == expected


@each_pair
def test_the_table_of_sites_says_what_is_exact(name) -> None:
    table = [row for row in rows(section(name, "Inference")) if len(row) == 3][1:]
    if not table:  # the programs are another pair's, and its page has the table
        assert "forward" not in vars(pairs.pair(name).model)
        return
    told = {row[0].strip("`"): row[1:] for row in table}
    split = split_for(name)
    torch.manual_seed(0)
    objective, _ = pairs.pair(name).on(split)
    x, y = split.part("labelled")
    found = set()
    for column, label in enumerate((y, None)):
        for site, term in elbo_terms(objective.model, objective.guide, x, label).items():
            found |= set(site.split("+"))
            if term.latent:
                cell = told[site][column] if "the same" not in told[site][1] else told[site][0]
                assert cell.startswith(("closed form", "sum")) == term.analytic, (site, cell)
    assert set(told) == found


@each_pair
def test_options_have_the_values_of_the_constructors_and_of_the_recipes(name) -> None:
    heading, *table = rows(section(name, "Training details"))
    assert heading[:3] == ["option", "default", "recipe"] and heading[-1] == "what it does"
    options = pairs.pair(name).options
    by_kind = {kind.removeprefix("on ").strip("`"): {} for kind in heading[3:-1]}
    assert set(by_kind) == {kind for pair, kind in recipes.PAIRS_ON if pair == name}
    usual: dict[str, str] = {}
    for row in table:
        option = row[0].strip("`")
        assert row[1] == shown(pairs.as_declared(options[option].default, options[option].type))
        for values, cell in zip((usual, *by_kind.values()), row[2:-1], strict=True):
            if cell:
                values[option] = cell
    assert usual == {key: shown(value) for key, value in recipes.PAIRS.get(name, {}).items()}
    for kind, values in by_kind.items():
        expected = recipes.PAIRS_ON[name, kind]
        assert values == {key: shown(value) for key, value in expected.items()}


@each_pair
def test_the_accuracy_on_digits_is_that_of_the_readme(name) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (accuracy,) = re.findall(rf"^\| `{name}` \|.*\| ([^|]*)\|$", readme, flags=re.MULTILINE)
    measured = re.findall(r"^\| digits, 50 labels.*?, 5 draws \| (.*?)(?: %.*?)? \|",
                          section(name, "Published and measured numbers"), flags=re.MULTILINE)
    assert measured[:1] == [accuracy.strip()][:bool(accuracy.strip())]


@each_pair
def test_numbers_were_measured_or_published(name) -> None:
    measured = False  # whether the table is of what was measured here
    for row in rows(section(name, "Published and measured numbers")):
        if row[-1] in ("source", "command", "90 % interval holds"):
            measured = row[-1] != "source"
        elif measured:
            for number in re.findall(r"\d+\.\d+", " ".join(row[1:])):
                assert number in MEASURED, number
    for number in re.findall(r"\d+\.\d+ ± \d+\.\d+", text_of(name)):
        assert number in MEASURED or number in PUBLISHED, number


@pytest.mark.parametrize("name", [*pairs.names(), "index"])
def test_links_lead_to_what_is_there(name) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", text_of(name))
    assert links
    for link in links:
        if link.startswith("http"):
            continue
        target, _, anchor = link.partition("#")
        path = (PAGES / target).resolve() if target else PAGES / f"{name}.md"
        assert path.is_file(), link
        assert not anchor or anchor in anchors(path), link


@pytest.mark.parametrize("name", [*pairs.names(), "index"])
def test_formulas_read_on_github_too(name) -> None:
    # There Markdown comes first: it takes a backslash before punctuation for an escape, an
    # underscore behind punctuation for emphasis, and a sign at the beginning of a line for a list.
    assert text_of(name).count("$$") % 2 == 0
    for formula in formulas(text_of(name)):
        assert not re.search(r"\\[^\w\s]|[^\w\s]_|\*|<|^[-+=#>]", formula, flags=re.MULTILINE)


def few_digits(load=data.load):
    """Digits of which there are 500: an epoch on them is a few updates."""
    digits = load("digits")
    return replace(
        digits, x=digits.x[:500], y=digits.y[:500], test=torch.arange(400, 500), validation=50
    )


@each_pair
def test_the_python_of_a_page_runs_from_top_to_bottom(name, monkeypatch, capsys) -> None:
    digits = few_digits()
    load = data.load
    monkeypatch.setattr(data, "load", lambda name: digits if name == "digits" else load(name))
    blocks = re.findall(r"```python\n(.*?)```", section(name, "Tasks"), flags=re.DOTALL)
    assert len(blocks) == text_of(name).count("```python") > 0
    code, shortened = re.subn(r"epochs=\d+", "epochs=1", "\n".join(blocks))
    assert shortened
    with pyro.get_param_store().scope(), warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(code, f"{name}.md", "exec"), {})
    assert capsys.readouterr().out


# The index.


def test_the_index_has_the_rows_of_the_readme_and_links_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    zoo = [row for row in rows(readme) if len(row) == 5 and row[0].startswith("`")]
    expected = [[f"[{row[0]}]({row[0].strip('`')}.md)", *row[1:4]] for row in zoo]
    table = [row for row in rows(text_of("index")) if row[0].startswith("[")]
    assert table == expected
    (toctree,) = re.findall(r"```\{toctree\}\n:hidden:\n\n(.*?)\n```", text_of("index"), re.DOTALL)
    assert toctree.split() == [row[0][2:].partition("`")[0] for row in table]


def test_the_index_has_the_values_of_every_kind_of_data() -> None:
    heading, *table = [row for row in rows(text_of("index")) if len(row) == 7]
    for row, kind in zip(table, [kind for kind in recipes.KINDS if kind], strict=True):
        sets = [f"`{each}`" for each, of in recipes.KIND_OF.items() if of == kind]
        values = {name.strip("`"): cell for name, cell in zip(heading[2:], row[2:]) if cell}
        assert row[:2] == [f"`{kind}`", ", ".join(sets)]
        assert values == {name: shown(value) for name, value in recipes.KINDS[kind].items()}
