from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any, Literal, Optional

import pytest
import torch

from pyro_ssvae import InputError, data, guides, models, zoo
from pyro_ssvae.zoo import Option


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits")


def test_names_are_the_model_classes_in_lower_case_and_alphabetical_order() -> None:
    assert zoo.names() == sorted(name.lower() for name in models.__all__)
    assert {"m2", "supervised", "vae"} <= set(zoo.names())


def test_every_model_has_a_guide_of_the_same_name() -> None:
    assert sorted(guides.__all__) == sorted(models.__all__)


@pytest.mark.parametrize("name", models.__all__)
def test_a_pair_is_found_by_its_name_in_lower_case(name: str) -> None:
    pair = zoo.pair(name.lower())
    assert (pair.name, pair.model, pair.guide) == (
        name.lower(), getattr(models, name), getattr(guides, name)
    )


@pytest.mark.parametrize("name", models.__all__)
def test_model_and_guide_take_the_same_arguments(name: str) -> None:
    pair = zoo.pair(name.lower())
    of_model, of_guide = (inspect.signature(c.forward).parameters for c in (pair.model, pair.guide))
    assert list(of_model) == list(of_guide)
    assert of_model["y"].default is None


@pytest.mark.parametrize("name", models.__all__)
def test_a_pair_is_described_by_both_factorisations_and_a_source(name: str) -> None:
    pair = zoo.pair(name.lower())
    model, guide = pair.factorisation.split(";  ")
    assert model.startswith("p(") and guide.startswith("q(")
    assert pair.source and "\n" not in pair.source


def test_the_factorisation_and_the_paper_of_m2() -> None:
    pair = zoo.pair("m2")
    assert pair.factorisation == (
        "p(x, y, z) = p(y) p(z) p(x | y, z);  q(y, z | x) = q(y | x) q(z | x, y)"
    )
    assert pair.source.startswith("Kingma et al. (2014), Semi-supervised Learning")


def test_options_are_those_of_model_guide_objective_and_optimizer() -> None:
    owners = {option.name: option.owner for option in zoo.pair("m2").options.values()}
    assert owners.items() >= {
        "z_dim": "model", "hidden": "model", "learn_prior": "model", "likelihood": "model",
        "flows": "guide", "label_inference": "guide", "alpha": "objective", "beta": "objective",
        "capacity_z": "objective", "lr": "optimizer",
    }.items()
    assert set(owners.values()) == {"model", "guide", "objective", "optimizer"}


@pytest.mark.parametrize("name, near", [("m3", "m2"), ("M2", "m2"), ("supervise", "supervised")])
def test_an_unknown_pair_is_refused_with_the_nearest_name(name: str, near: str) -> None:
    with pytest.raises(InputError, match=f"unknown model '{name}'.*did you mean '{near}'"):
        zoo.pair(name)


@pytest.mark.parametrize("kind, text, value", [
    (int, "12", 12),
    (int, "-3", -3),
    (float, "0.5", 0.5),
    (float, "1e-3", 0.001),
    (float, "2", 2.0),
    (str, "normal", "normal"),
    (bool, "true", True),
    (bool, "False", False),
    (tuple[int, ...], "500", (500,)),
    (tuple[int, ...], "500,50", (500, 50)),
    (tuple[int, ...], "", ()),
    (tuple[float, ...], "0.5,1", (0.5, 1.0)),
    (Literal["one", "two"], "two", "two"),
    (Optional[int], "none", None),
    (Optional[int], "None", None),
    (int | None, "7", 7),
    (tuple[int, ...] | None, "8,4", (8, 4)),
])
def test_a_setting_is_read_as_the_type_of_its_option(kind: Any, text: str, value: Any) -> None:
    parsed = zoo.parse([f"size={text}"], {"size": Option("size", kind, None, "model")})["size"]
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize("kind, text, wanted", [
    (int, "x", "int"),
    (int, "1.5", "int"),
    (int, "", "int"),
    (float, "much", "float"),
    (bool, "maybe", "bool"),
    (bool, "", "bool"),
    (tuple[int, ...], "4,x", "tuple"),
    (Optional[int], "x", "int"),
])
def test_a_setting_of_another_type_is_refused_with_the_type(
    kind: Any, text: str, wanted: str
) -> None:
    with pytest.raises(InputError, match=f"expected .*{wanted}.* for option size, got '{text}'"):
        zoo.parse([f"size={text}"], {"size": Option("size", kind, None, "model")})


def test_several_settings_are_read_into_one_dictionary() -> None:
    parsed = zoo.parse(["z_dim=3", "hidden=16,8", "lr=0.01"], zoo.pair("m2").options)
    assert parsed == {"z_dim": 3, "hidden": (16, 8), "lr": 0.01}


def test_a_value_may_contain_an_equals_sign() -> None:
    assert zoo.parse(["s=a=b"], {"s": Option("s", str, "", "model")}) == {"s": "a=b"}


@pytest.mark.parametrize("setting", ["z_dim", "", "z_dim 3"])
def test_a_setting_without_equals_sign_is_refused(setting: str) -> None:
    with pytest.raises(InputError, match=f"NAME=VALUE, got '{setting}'"):
        zoo.parse([setting], zoo.pair("m2").options)


def test_an_unknown_setting_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="unknown option 'z_dims'.*did you mean 'z_dim'"):
        zoo.parse(["z_dims=3"], zoo.pair("m2").options)


def test_a_given_option_wins_over_the_data_the_recipe_and_the_signature(
    digits: data.Dataset
) -> None:
    dataset = replace(digits, defaults={"alpha": 3.0})
    assert zoo.resolve("m2", dataset, {"alpha": 2.0})["alpha"] == 2.0


def test_the_recipe_wins_over_the_data_and_the_data_over_the_signature(
    digits: data.Dataset,
) -> None:
    dataset = replace(digits, defaults={"alpha": 3.0, "z_dim": 7})
    values = zoo.resolve("m2", dataset, {})
    assert (values["alpha"], values["z_dim"]) == (models.M2.recipe["alpha"], 7)


def test_the_recipe_of_a_pair_wins_over_the_signature(digits: data.Dataset) -> None:
    dataset = replace(digits, defaults={})
    assert zoo.resolve("m2", dataset, {})["alpha"] == models.M2.recipe["alpha"] == 10.0
    assert zoo.resolve("vae", dataset, {})["labelled"] == models.VAE.recipe["labelled"] == 0.0


def test_the_signature_gives_what_nothing_else_gives(digits: data.Dataset) -> None:
    values = zoo.resolve("m2", replace(digits, defaults={}), {})
    signature = inspect.signature(models.M2).parameters
    assert values["z_dim"] == signature["z_dim"].default
    assert values["hidden"] == signature["hidden"].default


def test_options_of_the_data_that_a_pair_lacks_are_left_out(digits: data.Dataset) -> None:
    dataset = replace(digits, defaults={"z_dim": 7})
    assert zoo.resolve("supervised", dataset, {}).keys() == zoo.pair("supervised").options.keys()


def test_a_given_option_that_the_pair_lacks_is_refused(digits: data.Dataset) -> None:
    with pytest.raises(InputError, match="unknown option of supervised 'z_dim'"):
        zoo.resolve("supervised", digits, {"z_dim": 2})


@pytest.mark.parametrize("name, pixels, classes", [("digits", 64, 10), ("moons", 2, 2)])
def test_a_pair_is_built_with_the_sizes_of_the_data(name: str, pixels: int, classes: int) -> None:
    dataset = data.load(name)
    objective = zoo.build("m2", dataset, zoo.resolve("m2", dataset, {"z_dim": 3, "hidden": (5,)}))
    x, y = dataset.x[:4], torch.eye(classes)[[0, 1, 0, 1]]
    decoded = objective.model.decoder(torch.zeros(4, 3), y)
    encoded = objective.guide.encoder(x, y)
    assert decoded.event_shape == (pixels,)
    assert encoded.event_shape == (3,)
    assert objective.guide.classify(x).event_shape == (classes,)


def test_hidden_layers_are_those_asked_for(digits: data.Dataset) -> None:
    objective = zoo.build("vae", digits, {"z_dim": 2, "hidden": (6, 5)})
    encoder = [tuple(p.shape) for p in objective.guide.parameters() if p.dim() == 2]
    decoder = [tuple(p.shape) for p in objective.model.parameters() if p.dim() == 2]
    assert encoder == [(6, 64), (5, 6), (4, 5)]
    assert decoder == [(6, 2), (5, 6), (64, 5)]


def test_the_objective_is_built_with_the_weights_asked_for(digits: data.Dataset) -> None:
    weights = {"labelled": 0.1, "unlabelled": 0.2, "alpha": 0.3, "beta": 0.4, "warmup": 5.0}
    objective = zoo.build("m2", digits, zoo.resolve("m2", digits, weights))
    assert {name: getattr(objective, name) for name in weights} == weights


@pytest.mark.parametrize("name", [name.lower() for name in models.__all__])
def test_weights_are_drawn_from_torchs_random_state(name: str, digits: data.Dataset) -> None:
    drawn = []
    for seed in (0, 0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            objective = zoo.build(name, digits, zoo.resolve(name, digits, {}))
        drawn.append(torch.nn.utils.parameters_to_vector(objective.parameters()))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_choice_that_is_none_of_the_literals_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown likelihood 'normall'.*did you mean 'normal'"):
        zoo.parse(["likelihood=normall"], zoo.pair("m2").options)
