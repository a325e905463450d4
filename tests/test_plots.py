from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import small
import torch
from matplotlib.figure import Figure
from torch.nn import functional as F

from pyro_ssvae import Objective, data, guides, models
from pyro_ssvae.data import Split
from pyro_ssvae.inference import query
from pyro_ssvae.inference.programs import evaluating
from pyro_ssvae.labels import OneHots
from pyro_ssvae.report import names, plots
from pyro_ssvae.targets import Classes

HISTORY = [
    {"epoch": e, "updates": 12 * e, "seconds": 0.5, "loss": 9.0 / e, "labelled": 5.0 / e,
     "unlabelled": 4.0 / e, "classification": 2.0 / e, "val_accuracy": 0.2 * e,
     "val_nll": 2.0 / e, "val_elbo": -4.0 / e}
    for e in (1, 2, 3)
]


def build(name: str, split: Split, **options: Any) -> Objective:
    with torch.random.fork_rng():
        return small.objective(name, split, **options)


@pytest.fixture(scope="module")
def moons_split() -> Split:
    return data.load("moons").split(50, seed=0)


@pytest.fixture(scope="module")
def digits_m2(digits_split: Split) -> Objective:
    return build("m2", digits_split)


@pytest.fixture(autouse=True)
def same_noise() -> Iterator[None]:
    with evaluating():
        yield


def images(figure: Figure) -> np.ndarray[Any, Any]:
    """The 8 x 8 images of a figure, row by row."""
    (axes,) = figure.axes
    canvas = np.asarray(axes.images[0].get_array())
    return np.stack([
        canvas[top:top + 8, left:left + 8]
        for top in range(0, len(canvas), 9) for left in range(0, canvas.shape[1], 9)
    ])


def titles(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_xticklabels()]


def points(axes: Any) -> dict[str, np.ndarray[Any, Any]]:
    """The points of a scatter plot by label."""
    return {c.get_label(): np.asarray(c.get_offsets()) for c in axes.collections}


CLASSIFIER = {"confusion", "reliability", "mistakes"}


@pytest.mark.parametrize("name, on_digits, on_moons", [
    ("m2", {"learning_curves", "samples", "analogies", "latent"} | CLASSIFIER,
     {"learning_curves", "samples", "latent"} | CLASSIFIER),
    ("vae", {"learning_curves", "samples", "latent"}, {"learning_curves", "samples", "latent"}),
    ("supervised", {"learning_curves"} | CLASSIFIER, {"learning_curves"} | CLASSIFIER),
])
def test_a_pair_gets_the_figures_that_its_sites_and_its_data_allow(
    name: str, on_digits: set[str], on_moons: set[str], digits_split: Split, moons_split: Split
) -> None:
    for split, expected in ((digits_split, on_digits), (moons_split, on_moons)):
        drawn = plots.figures(build(name, split), split, HISTORY)
        assert set(drawn) == expected <= set(names.FIGURES)
        assert all(isinstance(figure, Figure) for figure in drawn.values())


def test_nothing_is_registered_with_pyplot(digits_split: Split, digits_m2: Objective) -> None:
    before = plt.get_fignums()
    plots.figures(digits_m2, digits_split, HISTORY)
    assert plt.get_fignums() == before


@pytest.mark.filterwarnings("error")
def test_drawing_gives_no_warning(digits_split: Split, digits_m2: Objective) -> None:
    x, _ = digits_split.part("test")
    plots.samples(digits_m2.model, digits_split, rows=1)
    plots.analogies(digits_m2.model, digits_m2.guide, x[:1], digits_split)


def test_figures_are_the_same_every_time(digits_split: Split, digits_m2: Objective) -> None:
    one, other = (plots.figures(digits_m2, digits_split, HISTORY) for _ in range(2))
    assert np.array_equal(images(one["samples"]), images(other["samples"]))
    for label, shown in points(one["latent"].axes[0]).items():
        assert np.array_equal(shown, points(other["latent"].axes[0])[label])


def test_the_confusion_matrix_of_a_pair_counts_the_test_part(
    digits_split: Split, digits_m2: Objective
) -> None:
    (axes,) = plots.figures(digits_m2, digits_split, HISTORY)["confusion"].axes
    assert sum(int(text.get_text()) for text in axes.texts) == len(digits_split.test)


def test_drawing_leaves_the_modules_in_training_mode(
    digits_split: Split, digits_m2: Objective
) -> None:
    plots.figures(digits_m2.train(), digits_split, HISTORY)
    assert digits_m2.training and digits_m2.model.training


def test_a_pair_on_several_labels_has_figures_of_labels_and_none_of_classes() -> None:
    rng = np.random.default_rng(0)
    dataset = data.from_arrays(rng.random((90, 4)), rng.integers(2, size=(90, 3)), name="three")
    split = dataset.split(20, seed=0)
    drawn = plots.figures(build("factored", split), split, HISTORY)
    assert set(drawn) == {"learning_curves", "latent", "labels", "reliability"}
    assert set(drawn) <= set(names.FIGURES)


def test_a_single_epoch_has_a_single_tick() -> None:
    for axes in plots.learning_curves(HISTORY[:1]).axes:
        assert axes.get_xticks().tolist() == [1]
        assert [text.get_text() for text in axes.get_xticklabels()] == ["1"]


def test_ticks_are_whole_epochs() -> None:
    for axes in plots.learning_curves(HISTORY[:2]).axes:
        low, high = axes.get_xlim()
        shown = [tick for tick in axes.get_xticks().tolist() if low <= tick <= high]
        assert shown == [1, 2]


def test_every_named_term_has_a_line_of_its_own_however_many_there_are() -> None:
    terms = {f"term {i}": float(i) for i in range(9)}
    (axes,) = plots.learning_curves([{"epoch": 1, "updates": 1, "seconds": 1.0} | terms]).axes
    assert [line.get_label() for line in axes.lines] == list(terms)


def test_learning_curves_have_a_panel_for_each_quantity() -> None:
    axes = plots.learning_curves(HISTORY).axes
    assert [panel.get_title() for panel in axes] == [
        "validation accuracy", "validation ELBO (nats)", "validation NLL (nats)",
        "training: -ELBO (nats)", "training: classification (nats)",
    ]
    assert {panel.get_xlabel() for panel in axes} == {"epoch"}


@pytest.mark.parametrize("absent, panels", [
    (("val_accuracy", "val_nll", "labelled", "classification"), 2),
    (("val_elbo", "unlabelled", "classification"), 3),
])
def test_quantities_that_history_lacks_have_no_panel(absent: tuple[str, ...], panels: int) -> None:
    rows = [{key: value for key, value in row.items() if key not in absent} for row in HISTORY]
    assert len(plots.learning_curves(rows).axes) == panels


def test_learning_curves_show_the_history() -> None:
    lines = {
        line.get_label(): line
        for panel in plots.learning_curves(HISTORY).axes for line in panel.lines
    }
    expected = {
        name: name
        for name in (
            "val_accuracy", "val_elbo", "val_nll", "labelled", "unlabelled", "classification",
        )
    }
    assert lines.keys() == expected.keys()
    for label, column in expected.items():
        assert list(lines[label].get_xdata()) == [1, 2, 3]
        assert list(lines[label].get_ydata()) == [row[column] for row in HISTORY]


@pytest.mark.parametrize("rows", [1, 3])
def test_samples_of_images_are_a_grid_with_a_column_for_each_class(
    rows: int, digits_split: Split, digits_m2: Objective
) -> None:
    figure = plots.samples(digits_m2.model, digits_split, rows)
    assert images(figure).shape == (10 * rows, 8, 8)
    assert titles(figure) == [*"0123456789"]


def test_samples_in_a_column_are_those_drawn_with_its_class(
    digits_split: Split, digits_m2: Objective, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(model: Any, x: torch.Tensor) -> Any:
        y = torch.arange(len(x)) % 9  # no example of class 9
        shade = (y / 10)[:, None].expand(len(x), 64)
        return torch.distributions.Normal(shade, 1.0), F.one_hot(y, 10)

    monkeypatch.setattr(query, "draw", drawn)
    shown = images(plots.samples(digits_m2.model, digits_split, rows=2)).reshape(2, 10, 64)
    expected = torch.tensor([k / 10 for k in range(9)] + [0.0])
    assert np.allclose(shown, expected[:, None].expand(2, 10, 64))


def test_figures_call_classes_by_their_names(digits_split: Split, moons_split: Split) -> None:
    names = [f"class-{c}" for c in "abcdefghij"]
    target = Classes(tuple(names))
    on_digits = replace(digits_split, dataset=replace(digits_split.dataset, target=target))
    drawn = plots.figures(build("m2", on_digits), on_digits, HISTORY)
    assert titles(drawn["samples"]) == names
    assert titles(drawn["analogies"]) == ["x", *names]
    assert list(points(drawn["latent"].axes[0])) == names
    target = Classes(tuple(names[:2]))
    on_moons = replace(moons_split, dataset=replace(moons_split.dataset, target=target))
    drawn = plots.figures(build("m2", on_moons), on_moons, HISTORY)
    assert list(points(drawn["samples"].axes[0])) == ["data", "y = class-a", "y = class-b"]


def test_samples_of_a_model_without_classes_have_no_titles(digits_split: Split) -> None:
    figure = plots.samples(build("vae", digits_split).model, digits_split, rows=2)
    assert images(figure).shape == (20, 8, 8)
    assert titles(figure) == []


def test_samples_in_the_plane_are_points_of_each_class_over_the_data(moons_split: Split) -> None:
    (axes,) = plots.samples(build("m2", moons_split).model, moons_split).axes
    shown = points(axes)
    assert list(shown) == ["data", "y = 0", "y = 1"]
    assert len(shown["data"]) == len(shown["y = 0"]) + len(shown["y = 1"]) == 2000
    assert min(map(len, shown.values())) > 850  # the classes are drawn with equal probability
    chosen = query.some(len(moons_split.unlabelled), 2000)
    assert chosen.max() > 2000  # they are from all of the data
    u = moons_split.dataset.x[moons_split.unlabelled[chosen]]
    assert np.allclose(shown["data"], u)


def test_samples_in_the_plane_of_a_model_without_classes_name_none(moons_split: Split) -> None:
    (axes,) = plots.samples(build("vae", moons_split).model, moons_split).axes
    shown = points(axes)
    assert [len(of_label) for of_label in shown.values()] == [2000, 2000]
    assert not any("y" in label for label in shown) and "y" not in axes.get_title()


def test_analogies_show_each_image_and_then_every_class(
    digits_split: Split, digits_m2: Objective
) -> None:
    x, _ = digits_split.part("test")
    figure = plots.analogies(digits_m2.model, digits_m2.guide, x[:3], digits_split)
    assert titles(figure) == ["x", *"0123456789"]
    shown = images(figure).reshape(3, 11, 64)
    assert np.allclose(shown[:, 0], x[:3].flatten(1))


def test_analogies_decode_the_style_of_the_image_with_the_class_of_the_column(
    digits_split: Split, digits_m2: Objective
) -> None:
    x, y = digits_split.part("test")
    guide, model = digits_m2.guide, digits_m2.model
    with pytest.MonkeyPatch.context() as patch:
        z = torch.tensor([[-1.0, 0.5], [2.0, -2.0]])
        patch.setattr(query, "posterior_mean", lambda guide, x, y=None: z)
        figure = plots.analogies(model, guide, x[:2], digits_split)
    for row in range(2):
        for k in range(10):
            decoded = model.decoder(z[row], torch.eye(10)[k]).mean
            shown = images(figure).reshape(2, 11, 64)[row, k + 1]
            assert np.allclose(shown, decoded.detach().flatten(), atol=1e-6)


def test_the_latent_scatter_shows_the_posterior_means_by_true_class(digits_split: Split) -> None:
    guide = build("vae", digits_split).guide
    x, y = digits_split.part("test")
    (axes,) = plots.latent(guide, x, y, digits_split.target).axes
    z = query.posterior_mean(guide, x)
    shown = points(axes)
    assert list(shown) == [*"0123456789"]
    for k in range(10):
        assert np.allclose(shown[str(k)], z[y[:, k] == 1])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("z 1", "z 2")


def test_more_than_two_latent_dimensions_are_shown_by_their_principal_components(
    digits_split: Split
) -> None:
    guide = build("vae", digits_split, z_dim=5).guide
    x, y = digits_split.part("test")
    (axes,) = plots.latent(guide, x, y, digits_split.target).axes
    shown = np.concatenate(list(points(axes).values()))
    z = query.posterior_mean(guide, x).double().numpy()
    variances = np.sort(np.linalg.eigvalsh(np.cov(z.T)))[::-1]
    assert np.allclose(shown.var(0, ddof=1), variances[:2], rtol=1e-4)
    assert f"({variances[0] / variances.sum():.0%})" in axes.get_xlabel()


def test_one_latent_dimension_is_shown_by_a_histogram_for_each_class(digits_split: Split) -> None:
    guide = build("vae", digits_split, z_dim=1).guide
    x, y = digits_split.part("test")
    (axes,) = plots.latent(guide, x, y, digits_split.target).axes
    counted = [sum(bar.get_height() for bar in bars) for bars in axes.containers]
    assert counted == y.sum(0).tolist()


def test_analogies_are_drawn_for_a_decoder_that_reads_the_class_only(digits_split: Split) -> None:
    for simplified, drawn in ((False, True), (True, False)):
        pair = build("latentclassifier", digits_split, simplified=simplified)
        assert ("analogies" in plots.figures(pair, digits_split, HISTORY)) is drawn


# Several labels


PROBS = torch.tensor([[0.9, 0.1, 0.8, 0.2], [0.2, 0.8, 0.7, 0.3], [0.3, 0.7, 0.6, 0.4]]).double()


@pytest.mark.parametrize("z_dim", [1, 2])
def test_with_several_labels_latent_points_are_told_apart_by_the_number_present(
    z_dim: int, digits_split: Split
) -> None:
    guide = build("vae", digits_split, z_dim=z_dim).guide
    x, _ = digits_split.part("test")
    present = torch.arange(3 * len(x)).reshape(-1, 3) % 7 < 3
    y = torch.stack([~present, present], dim=2).double()
    y[5, 1] = torch.nan  # unknown: not counted
    assert present[5, 1]
    present[5, 1] = False
    number = present.sum(1).numpy()
    (axes,) = plots.latent(guide, x, y.flatten(1), small.several(3)).axes
    assert "by number of labels" in axes.get_title()
    if z_dim == 1:
        counted = [sum(bar.get_height() for bar in bars) for bars in axes.containers]
        assert counted == np.bincount(number).tolist()
    else:
        assert {k: len(v) for k, v in points(axes).items()} == {
            str(k): n for k, n in enumerate(np.bincount(number))
        }


def test_the_classes_given_to_a_guide_are_the_likeliest_of_each_block() -> None:
    class Guide:
        def classify(self, x: torch.Tensor) -> Any:
            return OneHots(PROBS.log(), (2, 2))

    y = plots._likeliest(Guide(), torch.zeros(3, 4), small.several(2))
    assert y is not None and y.tolist() == [[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0]]


def test_a_class_that_comes_last_is_in_the_latent_space_too(
    monkeypatch: pytest.MonkeyPatch, digits_split: Split, digits_m2: Objective
) -> None:
    monkeypatch.setattr(plots, "SHOWN", 40)
    test = digits_split.test
    order = digits_split.dataset.y[test].argsort()
    by_class = replace(
        digits_split, dataset=replace(digits_split.dataset, test=test[order])
    )
    figure = plots.figures(digits_m2, by_class, HISTORY)["latent"]
    shown = [len(points.get_offsets()) for points in figure.axes[0].collections]
    assert sum(shown) == 40 and shown[0] < 20 and shown[-1] > 0


@pytest.mark.parametrize("shape", [(1, 4, 40), (1, 40, 4)])
def test_tiles_have_the_proportions_of_the_images(shape: tuple[int, ...]) -> None:
    figure = plots.tiled(torch.rand(16, *shape), 4, None)
    width, height = figure.get_size_inches()
    assert width < 8 and height < 8


def test_many_classes_have_no_legend_whose_colours_come_again() -> None:
    target = Classes(tuple(map(str, range(40))))
    y = torch.eye(40)
    guide = guides.M2(models.M2(3, 40, z_dim=2, hidden=(4,)), hidden=(4,))
    figure = plots.latent(guide, torch.rand(40, 3), y, target)
    assert not figure.legends and "true class, of 40" in figure.axes[0].get_title()
