"""Pairs by name, by place or of classes; their recipes, their options and their building."""

from __future__ import annotations

import csv
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch

from pyro_ssvae import InputError, data, fit, guides, models, nn, pair, recipes
from pyro_ssvae.experiments import pairs
from pyro_ssvae.experiments.compare import compare
from pyro_ssvae.inference.terms import Term


def test_names_are_the_model_classes_in_lower_case_and_alphabetical_order() -> None:
    assert pairs.names() == sorted(name.lower() for name in models.__all__)
    assert {"m2", "supervised", "vae"} <= set(pairs.names())


def test_every_model_has_a_guide_of_the_same_name() -> None:
    assert sorted(guides.__all__) == sorted(models.__all__)


@pytest.mark.parametrize("name", models.__all__)
def test_a_pair_is_found_by_its_name_in_lower_case(name: str) -> None:
    found = pair(name.lower())
    assert (found.name, found.model, found.guide) == (
        name.lower(), getattr(models, name), getattr(guides, name)
    )


@pytest.mark.parametrize("name", models.__all__)
def test_model_and_guide_take_the_same_arguments(name: str) -> None:
    found = pair(name.lower())
    programs = found.model, found.guide
    of_model, of_guide = (inspect.signature(each.forward).parameters for each in programs)
    assert list(of_model) == list(of_guide)
    assert of_model["y"].default is None


@pytest.mark.parametrize("name", models.__all__)
def test_a_pair_is_described_by_both_factorisations_and_a_source(name: str) -> None:
    found = pair(name.lower())
    model, guide = found.factorisation.split(";  ")
    assert model.startswith("p(") and guide.startswith("q(")
    assert found.source and "\n" not in found.source


def test_the_factorisation_and_the_paper_of_m2() -> None:
    found = pair("m2")
    assert found.factorisation == (
        "p(x, y, z) = p(y) p(z) p(x | y, z);  q(y, z | x) = q(y | x) q(z | x, y)"
    )
    assert found.source.startswith("Kingma et al. (2014), Semi-supervised Learning")


def test_options_are_those_of_model_guide_objective_and_optimizer() -> None:
    owners = {option.name: option.owner for option in pair("m2").options.values()}
    assert owners.items() >= {
        "z_dim": "model", "hidden": "model", "learn_prior": "model", "likelihood": "model",
        "flows": "guide", "label_inference": "guide", "alpha": "objective", "beta": "objective",
        "smoothing": "objective", "lr": "training",
    }.items()
    assert set(owners.values()) == {"model", "guide", "objective", "training"}


@pytest.mark.parametrize("name", models.__all__)
def test_every_option_has_a_meaning_in_plain_words(name: str) -> None:
    for option in pair(name.lower()).options.values():
        assert re.fullmatch(r".* .*\.", option.meaning), option.name
        assert not re.search(r"`|:\w+:", option.meaning), option.name


def test_an_option_of_both_programs_has_the_meaning_for_both() -> None:
    hidden = pair("m2").options["hidden"].meaning
    assert "the decoder" in hidden and "the classifier" in hidden and "the encoder" in hidden


def test_a_pair_takes_the_meaning_from_the_class_that_it_derives_from() -> None:
    assert pair("m1").options["z_dim"].meaning == "J, the number of latent dimensions."


@pytest.mark.parametrize("name, near", [("m3", "m2"), ("M2", "m2"), ("supervise", "supervised")])
def test_an_unknown_pair_is_refused_with_the_nearest_name(name: str, near: str) -> None:
    with pytest.raises(InputError, match=f"unknown model '{name}'.*did you mean '{near}'"):
        pair(name)


@pytest.mark.parametrize("sizes, largest", [
    ({"z_dim": 2**31 - 1, "hidden": (2**31 - 2,)}, "z_dim"),
    ({"z_dim": 2**31 - 2, "hidden": (2**31 - 1, 5)}, "hidden"),
], ids=["z_dim", "hidden"])
def test_a_pair_that_no_memory_holds_is_refused_by_its_largest_size(
    sizes: dict[str, Any], largest: str, digits: data.Dataset
) -> None:
    options = pair("m2").resolve(digits, {"label_inference": "enumerated:3", **sizes})
    with pytest.raises(InputError, match=f"for which there is memory, got {largest}={2**31 - 1};"):
        pair("m2").build(digits, options)


@pytest.mark.parametrize("size", [2**31, 10**11, 10**22])
@pytest.mark.parametrize("option", ["z_dim", "hidden", "top"])
def test_a_size_that_is_none_is_refused(option: str, size: int, digits: data.Dataset) -> None:
    options: dict[str, Any] = {
        "z_dim": {"z_dim": size}, "hidden": {"hidden": (5, size)},
        "top": {"label_inference": f"enumerated:{size}"},
    }[option]
    with pytest.raises(InputError, match=f"expected .*{option}.* <= {2**31 - 1}, got {size}"):
        pair("m2").on(digits, **options)


# Recipes


def test_a_given_option_wins_over_all_else(digits: data.Dataset) -> None:
    assert pair("m2").resolve(digits, {"alpha": 2.0})["alpha"] == 2.0


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes of m2 that say different things on each level: the last has z_dim alone."""
    monkeypatch.setitem(recipes.KINDS, "digits", {"beta": 2.0, "z_dim": 2, "alpha": 2.0})
    monkeypatch.setitem(recipes.PAIRS, "m2", {"z_dim": 3, "alpha": 3.0})
    monkeypatch.setitem(recipes.PAIRS_ON, ("m2", "digits"), {"alpha": 4.0})


@pytest.mark.usefixtures("layers")
def test_the_data_win_over_the_signature_the_pair_over_both_and_the_pair_on_the_data_over_all(
    digits: data.Dataset,
) -> None:
    values = pair("m2").resolve(digits, {})
    signature = inspect.signature(models.M2).parameters
    assert values["hidden"] == signature["hidden"].default
    assert (values["beta"], values["z_dim"], values["alpha"]) == (2.0, 3, 4.0)


@pytest.mark.usefixtures("layers")
def test_a_recipe_of_ones_own_wins_over_the_librarys(digits: data.Dataset) -> None:
    own = pair(models.M2, guides.M2, recipe={"alpha": 5.0})
    values = own.resolve(digits, {})
    assert (values["z_dim"], values["alpha"]) == (3, 5.0)


def test_vade_sees_views_of_images_as_suits_their_kind_and_none_of_other_data() -> None:
    vade = pair("vade")
    views = {kind: vade.values(kind)["views"] for kind in ("digits", "mnist", "images", "plane")}
    assert views == {
        "digits": "digits", "mnist": "characters", "images": "objects", "plane": "none",
    }
    assert vade.values("mnist")["pseudolabels"] > 0 == vade.values("digits")["pseudolabels"]


def test_a_model_has_no_recipe_of_its_own() -> None:
    assert not any(hasattr(getattr(models, name), "recipe") for name in models.__all__)


@pytest.mark.parametrize("name", pairs.names())
def test_every_option_of_a_recipe_is_one_of_the_pair(name: str) -> None:
    named = [recipe for key, recipe in recipes.PAIRS.items() if key == name]
    named += [recipe for (key, _), recipe in recipes.PAIRS_ON.items() if key == name]
    for recipe in named:
        assert recipe.keys() <= pair(name).known.keys()


def test_every_recipe_is_of_a_pair_and_of_a_kind() -> None:
    assert recipes.PAIRS.keys() <= set(pairs.names())
    assert {key for key, _ in recipes.PAIRS_ON} <= set(pairs.names())
    assert {kind for _, kind in recipes.PAIRS_ON} <= recipes.KINDS.keys()


@pytest.mark.parametrize("name", ["digits", "moons"])
def test_the_values_on_a_data_set_are_known_without_loading_it(name: str) -> None:
    vade = pair("vade")
    assert vade.values(recipes.KIND_OF[name]) == vade.resolve(data.load(name), {})


def own_data(low: float, high: float) -> data.Dataset:
    return data.from_arrays(np.linspace(low, high, 240).reshape(60, 4), np.arange(60) % 3)


@pytest.mark.parametrize("low, high, likelihood", [
    (0, 1, "bernoulli"), (-0.1, 1, "normal:1.0"), (0, 1.1, "normal:1.0"),
])
def test_data_outside_0_to_1_have_a_normal_likelihood_unless_told_otherwise(
    low: float, high: float, likelihood: str
) -> None:
    dataset = own_data(low, high)
    assert pair("m2").resolve(dataset, {})["likelihood"] == likelihood
    given = {"likelihood": "bernoulli"}
    assert pair("m2").resolve(dataset, given)["likelihood"] == "bernoulli"


def test_options_of_the_data_that_a_pair_lacks_are_left_out(digits: data.Dataset) -> None:
    assert "z_dim" in recipes.KINDS[digits.kind]
    supervised = pair("supervised")
    wanted = {name for name, option in supervised.options.items() if option.textual}
    assert supervised.resolve(digits, {}).keys() == wanted


def test_what_only_python_can_give_reaches_the_objective(digits: data.Dataset) -> None:
    terms = {"mine": Term(lambda *_: torch.zeros(()), 0.5)}
    assert not pair("m2").options["terms"].textual
    assert pair("m2").on(digits, terms=terms)[0].weights["mine"] == 0.5


# Options


def test_an_option_that_both_programs_take_can_be_set_for_one(digits: data.Dataset) -> None:
    def widths(program: torch.nn.Module) -> set[int]:
        return {p.shape[0] for name, p in program.named_parameters() if p.dim() == 2}

    objective, _ = pair("m2").on(digits, z_dim=2, hidden=(7,), **{"guide.hidden": (9, 8)})
    assert 7 in widths(objective.model) and not {8, 9} & widths(objective.model)
    assert {8, 9} <= widths(objective.guide) and 7 not in widths(objective.guide)


def test_an_option_for_both_takes_the_place_of_a_recipe_for_one(digits: data.Dataset) -> None:
    own = pair(models.M2, guides.M2, recipe={"guide.hidden": (9,)})
    assert own.resolve(digits, {})["guide.hidden"] == (9,)
    assert "guide.hidden" not in own.resolve(digits, {"hidden": (7,)})


def test_a_guide_keeps_its_own_default_where_nothing_else_is_said() -> None:
    values = pair("untapped").resolve(own_data(0, 1), {})
    defaults = [inspect.signature(c).parameters["hidden"].default
                for c in (models.Untapped, guides.Untapped)]
    assert defaults[0] != defaults[1]
    assert [values["hidden"], values["guide.hidden"]] == defaults


@pytest.mark.parametrize("option, near", [
    ("z_dims", "z_dim"), ("guide.hiden", "guide.hidden"), ("model.hiden", "model.hidden"),
])
def test_a_misspelt_option_is_refused_with_the_nearest(
    option: str, near: str, digits: data.Dataset
) -> None:
    with pytest.raises(InputError, match=f"unknown option of m2 '{option}'.*mean '{near}'"):
        pair("m2").on(digits, **{option: 3})


def test_whole_numbers_and_lists_are_taken_as_the_options_have_them(digits: data.Dataset) -> None:
    values = pair("m2").resolve(digits, {"alpha": 2, "hidden": [6, 5]})
    assert type(values["alpha"]) is float
    assert values["hidden"] == (6, 5)


def test_a_number_is_a_layer_and_a_whole_one_may_be_a_float(digits: data.Dataset) -> None:
    values = pair("m2").resolve(digits, {"hidden": 64, "z_dim": np.linspace(2, 8, 4)[-1]})
    assert (values["hidden"], values["z_dim"]) == ((64,), 8)
    assert type(values["z_dim"]) is int


@pytest.mark.parametrize("given, message", [
    ({"hidden": "64"}, r"hidden as whole numbers such as \(256, 128\), got '64'"),
    ({"guide.hidden": (8, 0.5)}, r"guide.hidden as whole numbers such as .*, got \(8, 0.5\)"),
    ({"alpha": "10"}, "alpha as a number, got '10'"),
    ({"lr": "1e-3"}, "lr as a number, got '1e-3'"),
    ({"beta": None}, "beta as a number, got None"),
    ({"z_dim": 8.5}, "z_dim as a whole number, got 8.5"),
    ({"z_dim": True}, "z_dim as a whole number, got True"),
    ({"decay": 1}, "decay as True or False, got 1"),
    ({"likelihood": 3}, "likelihood as a text such as bernoulli, got 3"),
])
def test_a_value_of_another_type_is_refused_in_words(
    given: dict[str, Any], message: str, digits: data.Dataset
) -> None:
    with pytest.raises(InputError, match=f"^expected {message}$"):
        pair("m2").on(digits, **given)


@pytest.mark.parametrize("given", [nn.Normal(1), nn.Normal(1.0), "normal:1", "normal:1.0"])
def test_a_likelihood_is_kept_as_one_text_however_it_is_given(
    given: nn.Normal | str, digits: data.Dataset
) -> None:
    assert pair("m2").resolve(digits, {"likelihood": given})["likelihood"] == "normal:1.0"
    objective, _ = pair("m2").on(digits, likelihood=given)
    assert objective.model.decoder.head == nn.Normal(1.0)


def test_a_given_option_that_the_pair_lacks_is_refused(digits: data.Dataset) -> None:
    with pytest.raises(InputError, match="unknown option of supervised 'z_dim'"):
        pair("supervised").resolve(digits, {"z_dim": 2})


@pytest.mark.parametrize("name, shape, classes", [("digits", (1, 8, 8), 10), ("moons", (2,), 2)])
def test_a_pair_is_built_with_the_sizes_of_the_data(
    name: str, shape: tuple[int, ...], classes: int
) -> None:
    dataset = data.load(name)
    objective = pair("m2").on(dataset, z_dim=3, hidden=(5,))[0]
    x, y = dataset.x[:4], torch.eye(classes)[[0, 1, 0, 1]]
    decoded = objective.model.decoder(torch.zeros(4, 3), y)
    encoded = objective.guide.encoder(x, y)
    assert decoded.event_shape == shape
    assert encoded.event_shape == (3,)
    assert objective.guide.classify(x).event_shape == (classes,)


def test_hidden_layers_are_those_asked_for(digits: data.Dataset) -> None:
    objective = pair("vae").on(digits, z_dim=2, hidden=(6, 5))[0]
    encoder = [tuple(p.shape) for p in objective.guide.parameters() if p.dim() == 2]
    decoder = [tuple(p.shape) for p in objective.model.parameters() if p.dim() == 2]
    assert encoder == [(6, 64), (5, 6), (4, 5)]
    assert decoder == [(6, 2), (5, 6), (64, 5)]


def test_the_objective_is_built_with_the_weights_asked_for(digits: data.Dataset) -> None:
    weights = {"labelled": 0.1, "unlabelled": 0.2, "alpha": 0.3, "beta": 0.4, "warmup": 5.0}
    objective = pair("m2").on(digits, **weights)[0]
    assert objective.weights == {
        "labelled": 0.1, "unlabelled": 0.2, "classification": 0.3, "beta": 0.4,
    }
    assert objective.warmup == 5.0


@pytest.mark.parametrize("name", [name.lower() for name in models.__all__])
def test_weights_are_drawn_from_torchs_random_state(name: str) -> None:
    drawn = []
    for seed in (0, 0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            objective = pair(name).on(small.data_for(name))[0]
        drawn.append(torch.nn.utils.parameters_to_vector(objective.parameters()))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


# The shortest way to what the table has


def test_what_compare_trains_is_what_the_front_door_gives_loss_for_loss(
    digits: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyro_ssvae.report.plots.figures", lambda *_: {})
    compare(["vade"], digits, tmp_path / "out", seeds=1, epochs=2, device="cpu")
    with (small.run_of(tmp_path / "out", "vade", 0) / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    split = digits.split(50, seed=0)
    torch.manual_seed(0)
    objective, how = pair("vade").on(split)
    for row, epoch in zip(rows, fit(objective, split, epochs=2, **how), strict=True):
        for name, value in epoch.losses.items():
            assert float(row[name]) == pytest.approx(value, rel=1e-6)
        assert float(row["val_accuracy"]) == epoch.validation["accuracy"]


def test_the_front_door_says_how_to_train(digits: data.Dataset) -> None:
    assert pair("vade").on(digits)[1] == {"lr": 3e-3, "decay": True, "average": 0.0}
    assert pair("vade").on(digits, lr=0.1, decay=False)[1] == {
        "lr": 0.1, "decay": False, "average": 0.0,
    }


def test_the_front_door_builds_m1m2_as_its_row_of_the_table_has_it(digits: data.Dataset) -> None:
    objective, _ = pair("m1m2").on(digits)
    assert objective.model.stacked is False and objective.warmup == 25.0


# Pairs of one's own


class Mine(models.M2):
    """p(x, y, z), mine"""


class MyGuide(guides.M2):
    def __init__(self, model: Mine, *, hidden: tuple[int, ...] = (5,), depth: int = 1) -> None:
        super().__init__(model, hidden=hidden)


def test_a_pair_of_classes_has_their_options_and_the_recipe_of_what_they_derive_from(
    digits: data.Dataset,
) -> None:
    mine = pair(Mine, MyGuide)
    assert (mine.name, mine.model, mine.guide) == ("mine", Mine, MyGuide)
    assert mine.resolve(digits, {"depth": 2}).items() >= {
        "depth": 2, "hidden": (128,), "alpha": recipes.PAIRS["m2"]["alpha"],
    }.items()
    objective, how = mine.on(digits, hidden=(6,), z_dim=2)
    assert isinstance(objective.model, Mine) and isinstance(objective.guide, MyGuide)
    assert how == {"lr": 3e-3, "decay": False, "average": 0.0}


def test_a_pair_of_classes_may_have_a_name_and_a_recipe(digits: data.Dataset) -> None:
    mine = pair(Mine, MyGuide, name="narrow", recipe={"hidden": (3,), "alpha": 1})
    assert mine.name == "narrow"
    values = mine.resolve(digits, {})
    assert (values["hidden"], values["alpha"]) == ((3,), 1.0)


def test_two_classes_of_the_library_are_its_pair(digits: data.Dataset) -> None:
    both = pair(models.VaDE, guides.VaDE)
    assert both == pair("vade")
    assert both.resolve(digits, {}) == pair("vade").resolve(digits, {})


def test_options_without_a_description_have_no_meaning() -> None:
    mine = pair(Mine, MyGuide)
    assert mine.options["depth"].meaning == ""
    assert (mine.factorisation.split(";  ")[0], mine.source) == ("p(x, y, z), mine", "")


class Sized(models.M2):
    def __init__(self, x_shape: nn.Shape, y_dim: int, pixels: int) -> None:
        super().__init__(x_shape, y_dim)


class Unreadable(models.M2):
    def __init__(self, x_shape: nn.Shape, y_dim: int, z_dim: Nowhere = 3) -> None:  # noqa: F821
        super().__init__(x_shape, y_dim)


@pytest.mark.parametrize("arguments, keywords, message", [
    ((Mine, guides.M2), {"name": "m2"}, "a name that no pair of the library has, got 'm2'"),
    ((models.M2, MyGuide), {}, "a name that no pair of the library has, got 'm2'; .*name="),
    ((Mine, MyGuide), {"name": "../mine"}, "letters, digits and underscores, .*got '../mine'"),
    ((Mine, MyGuide), {"name": ""}, "letters, digits and underscores, .*got ''"),
    ((Mine, MyGuide), {"recipe": {"depht": 1}}, "option of mine 'depht'.* mean 'depth'"),
    ((Mine, None), {}, "expected the classes of a model and a guide, got None"),
    ((Mine, "m2"), {}, "expected the classes of a model and a guide, got 'm2'"),
    ((Sized, MyGuide), {}, "Sized: expected no arguments without a default but .*, got pixels"),
    ((Unreadable, MyGuide), {}, "Unreadable: expected annotations .* NameError: .*Nowhere"),
    (("m2", guides.M2), {}, "expected pair.'m2'. alone"),
    (("m2",), {"recipe": {"alpha": 1.0}}, "expected pair.'m2'. alone"),
])
def test_what_makes_no_pair_is_refused(
    arguments: tuple[Any, ...], keywords: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pair(*arguments, **keywords).options


class Plain(models.M2):
    """p(x, y, z)"""

    def __init__(self, x_shape: nn.Shape, y_dim: int, z_dim=5, hidden=32) -> None:
        self.layer = None
        if z_dim > 20:
            raise TypeError("too wide")
        super().__init__(x_shape, y_dim, z_dim=z_dim, hidden=(hidden,))


def test_the_kind_of_the_data_changes_no_option_to_another_type(digits: data.Dataset) -> None:
    mine = pair(Plain, MyGuide)
    values = mine.resolve(digits, {})
    assert values["hidden"] == 32 and values["z_dim"] == recipes.recipe("", "digits")["z_dim"] != 5


def test_what_a_program_raises_has_a_note_of_the_values_it_was_built_with(
    digits: data.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TypeError, match="^too wide\n") as raised:
        pair(Plain, MyGuide).on(digits, z_dim=21)
    (note,) = raised.value.__notes__
    assert note.startswith("plain was built with z_dim=21, hidden=32") and "kind" not in note
    monkeypatch.setitem(recipes.KINDS["digits"], "z_dim", 30)
    with pytest.raises(TypeError) as raised:
        pair(Plain, MyGuide).on(digits)
    assert raised.value.__notes__[0].endswith(", of which z_dim is that of the kind digits")


MODULE = """
from pyro_ssvae import guides, models, pair
class Model(models.M2):
    pass
Mine = pair(Model, guides.M2, recipe={"alpha": 3.0})
number = 3
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a package with modules that are good, broken and impatient."""
    name = f"package_{tmp_path.name}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "good.py").write_text(MODULE)
    (folder / "broken.py").write_text("def f(:\n")
    (folder / "raising.py").write_text("def f():\n\n    raise RuntimeError('none')\nf()\n")
    (folder / "lacking.py").write_text("import nothing_of_this_name")
    (folder / "impatient.py").write_text("import sys; sys.exit('enough')")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_pair_is_found_by_its_place(package: str, digits: data.Dataset) -> None:
    found = pair(f"{package}.good:Mine")
    assert found.name == f"{package}.good:Mine"
    assert found.model.__name__ == "Model" and found.guide is guides.M2
    assert found.resolve(digits, {})["alpha"] == 3.0


@pytest.mark.parametrize("place, message", [
    ("good:Mime", "unknown pair of .*good 'Mime': .* did you mean 'Mine'"),
    ("good:number", "expected a pair, got int of that name"),
    ("good:Model", "got a class of that name; make one: mine = pyro_ssvae.pair.Model, YourGuide"),
    ("broken:Mine", "can be imported, got SyntaxError: .*; see .*broken.py, line 1$"),
    ("raising:Mine", "can be imported, got RuntimeError: none; see .*raising.py, line 3$"),
    ("lacking:Mine", "got ModuleNotFoundError: No module named 'nothing_of_this_name'"),
    ("impatient:Mine", "got SystemExit: enough"),
    ("missing:Mine", "got ModuleNotFoundError: .* name the folder that it is in by PYTHONPATH"),
    ("good:", "expected the place of a pair as MODULE:ATTRIBUTE"),
    ("good:a.b", "expected the place of a pair as MODULE:ATTRIBUTE"),
    ("good:Mine:Mine", "expected the place of a pair as MODULE:ATTRIBUTE"),
    ("../good:Mine", "expected the place of a pair as MODULE:ATTRIBUTE"),
])
def test_a_place_without_a_pair_is_named(place: str, message: str, package: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        pair(f"{package}.{place}")
    assert package in str(error.value)
    assert ("install" in str(error.value)) is ("ModuleNotFoundError" in message)
