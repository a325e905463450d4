"""What a pair may have is asked for in one place, and of programs of any make."""

import ast
from pathlib import Path

import pytest
import torch
from by_hand import Fixed

import pyro_ssvae
from pyro_ssvae import guides, models
from pyro_ssvae.contract import classifies, fits_classifier, prior_of, terms_of, turns_of

PACKAGE = Path(pyro_ssvae.__file__).parent
SOURCES = sorted(PACKAGE.glob("*/*.py"))


def questions(tree: ast.AST) -> set[str]:
    """The names that a file looks up where they may be missing."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    asking = [
        call for call in calls
        if isinstance(call.func, ast.Name) and len(call.args) > 1
        and (call.func.id == "hasattr" or call.func.id == "getattr" and len(call.args) == 3)
    ]
    return {call.args[1].value for call in asking if isinstance(call.args[1], ast.Constant)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_nothing_but_the_contract_asks_what_a_pair_has(path) -> None:
    asked = questions(ast.parse(path.read_text()))
    assert not asked & {"classify", "fit_classifier", "terms", "turns", "prior"}


def test_questions_are_found() -> None:
    assert questions(ast.parse("hasattr(g, 'classify') or getattr(m, 'prior', None)")) == {
        "classify", "prior",
    }


def test_a_submodule_is_a_prior_and_a_plain_module_has_nothing() -> None:
    model = models.M2(4, 3, z_dim=2, hidden=())
    assert prior_of(model) is model.prior and "prior" in model._modules
    plain = torch.nn.Linear(2, 2)
    assert prior_of(plain) is None and not classifies(plain) and not fits_classifier(plain)
    assert not terms_of(plain) and not turns_of(plain)


def test_a_program_that_passes_questions_on_has_what_is_within() -> None:
    model = models.AdversarialM2(4, 3, z_dim=2, hidden=())
    guide = guides.AdversarialM2(model, hidden=(), game="alternating")
    around = Fixed(guide)
    assert classifies(around) and terms_of(around) is guide.terms
    assert list(turns_of(around)) == ["adversary"]


def test_a_class_of_guides_classifies_as_its_guides_do() -> None:
    assert classifies(guides.M2) and not classifies(guides.VAE) and fits_classifier(guides.M1)
