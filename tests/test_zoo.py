from __future__ import annotations

import inspect
import re
from dataclasses import replace
from typing import Any, Literal, Optional

import pytest
import torch

from pyro_ssvae import InputError, data, guides, models
from pyro_ssvae.experiments import zoo
from pyro_ssvae.experiments.zoo import Option
from pyro_ssvae.recipes import PRESETS


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
        "smoothing": "objective", "lr": "training",
    }.items()
    assert set(owners.values()) == {"model", "guide", "objective", "training"}


@pytest.mark.parametrize("name", models.__all__)
def test_every_option_has_a_meaning_in_plain_words(name: str) -> None:
    for option in zoo.pair(name.lower()).options.values():
        assert re.fullmatch(r".* .*\.", option.meaning), option.name
        assert not re.search(r"`|:\w+:", option.meaning), option.name


def test_an_option_of_both_programs_has_the_meaning_for_both() -> None:
    hidden = zoo.pair("m2").options["hidden"].meaning
    assert "the decoder" in hidden and "the classifier" in hidden and "the encoder" in hidden


def test_a_pair_takes_the_meaning_from_the_class_that_it_derives_from() -> None:
    assert zoo.pair("m1").options["z_dim"].meaning == "J, the number of latent dimensions."


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
    (int, "x", "a whole number"),
    (int, "1.5", "a whole number"),
    (int, "", "a whole number"),
    (int, "1" * 5_000, "a whole number"),
    (float, "much", "a number"),
    (bool, "maybe", "true or false"),
    (bool, "", "true or false"),
    (tuple[int, ...], "4,x", "whole numbers separated by commas, such as 256,128"),
    (tuple[float, ...] | None, "4,x", "numbers separated by commas, such as 0.5,0.5, or none"),
    (Optional[int], "x", "a whole number, or none"),
    (float | None, "x", "a number, or none"),
])
def test_a_setting_of_another_type_is_refused_in_words(
    kind: Any, text: str, wanted: str
) -> None:
    with pytest.raises(InputError, match=f"option size: expected {wanted}, got '{text}'"):
        zoo.parse([f"size={text}"], {"size": Option("size", kind, None, "model")})


@pytest.mark.parametrize("name", models.__all__)
def test_a_value_is_shown_as_a_setting_reads_it(name: str) -> None:
    options = zoo.pair(name.lower()).options
    settings = [f"{option.name}={zoo.shown(option.default)}" for option in options.values()]
    assert zoo.parse(settings, options) == {key: o.default for key, o in options.items()}


@pytest.mark.parametrize("sizes, largest", [
    ({"z_dim": 2**31 - 1, "hidden": (2**31 - 2,)}, "z_dim"),
    ({"z_dim": 2**31 - 2, "hidden": (2**31 - 1, 5)}, "hidden"),
], ids=["z_dim", "hidden"])
def test_a_pair_that_no_memory_holds_is_refused_by_its_largest_size(
    sizes: dict[str, Any], largest: str, digits: data.Dataset
) -> None:
    options = zoo.resolve("m2", digits, {"top_classes": 3, **sizes})
    with pytest.raises(InputError, match=f"for which there is memory, got {largest}={2**31 - 1};"):
        zoo.build("m2", digits, options)


@pytest.mark.parametrize("size", [2**31, 10**11, 10**22])
@pytest.mark.parametrize("option", ["z_dim", "hidden", "top_classes"])
def test_a_size_that_is_none_is_refused(option: str, size: int, digits: data.Dataset) -> None:
    value = (5, size) if option == "hidden" else size
    options = zoo.resolve("m2", digits, {option: value})
    with pytest.raises(InputError, match=f"expected {option}.* <= {2**31 - 1}, got {size}"):
        zoo.build("m2", digits, options)


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


@pytest.mark.parametrize("name", ["digits", "moons"])
def test_the_values_on_a_data_set_are_known_without_loading_it(name: str) -> None:
    assert zoo.pair("vade").values(PRESETS[name]) == zoo.resolve("vade", data.load(name), {})


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
    assert objective.weights == {
        "labelled": 0.1, "unlabelled": 0.2, "classification": 0.3, "beta": 0.4,
    }
    assert objective.warmup == 5.0


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
