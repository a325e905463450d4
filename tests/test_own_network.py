"""Networks of one's own: trained, saved, read back in a new process, captured and side by side."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import small
import torch
from torch import Tensor, nn

import pyro_ssvae
from pyro_ssvae import data, fit, fit_ensemble, guides, pair
from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments import predictor, runs

NETWORKS = '''
import torch
from torch import nn

def classifier(inputs, out):
    (channels, height, width), = inputs
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, *out),
    )

class Encoder(nn.Module):
    def __init__(self, inputs, out):
        super().__init__()
        (channels, height, width), (classes,) = inputs
        self.trunk = nn.Sequential(nn.Conv2d(channels, 4, 3, stride=4), nn.ReLU(), nn.Flatten())
        self.join = nn.Linear(4 * 8 * 8 + classes, *out)

    def forward(self, x, y):
        return self.join(torch.cat([self.trunk(x), y], dim=-1))
'''
TRAIN = '''
import numpy as np
from networks import Encoder, classifier
from pyro_ssvae import data
from pyro_ssvae.experiments import runs

rng = np.random.default_rng(0)
y = rng.choice(["red", "green", "blue"], size=200)
x = rng.uniform(0, 0.5, size=(200, 3, 32, 32))
for channel, colour in enumerate(["red", "green", "blue"]):
    x[y == colour, channel] += 0.5
split = data.from_arrays(x, y, name="colours").split(labels=30)
networks = {"classifier": classifier, "encoder": Encoder, "lr": 0.01}
options = {"hidden": (20,), "z_dim": 4, **networks}
runs.train("m2", split, "run", options=options, epochs=6, figures=False)
'''
PREDICT = '''
import numpy as np
from pyro_ssvae.experiments import predictor

x = np.full((3, 3, 32, 32), 0.25)
x[[0, 1, 2], [0, 1, 2]] += 0.5
print(predictor.load("run").predict(x))
'''


def run(folder: Path, code: str) -> str:
    """What a program prints, run in a process of its own."""
    root = Path(pyro_ssvae.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{folder}"},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_network_of_ones_own_on_colour_images_is_trained_and_read_back(tmp_path: Path) -> None:
    (tmp_path / "networks.py").write_text(NETWORKS)
    run(tmp_path, TRAIN)
    assert run(tmp_path, PREDICT).strip() == "['red', 'green', 'blue']"
    (tmp_path / "networks.py").unlink()
    with pytest.raises(InputError, match="networks:classifier: expected a module that can be") as e:
        predictor.load(tmp_path / "run")
    assert "\n" not in str(e.value)


@pytest.fixture
def split() -> data.Split:
    torch.manual_seed(0)
    y = torch.arange(90) % 3
    x = 0.5 * torch.rand(90, 3, 8, 8)
    x[torch.arange(90), y] += 0.5
    return data.from_arrays(x, y).split(30)


class Classifier(nn.Module):
    """A convolution with batch normalisation, and the mean over the image."""

    def __init__(self, inputs: tuple[tuple[int, ...], ...], out: tuple[int, ...]) -> None:
        super().__init__()
        ((channels, *_),) = inputs
        self.layers = nn.Sequential(
            nn.Conv2d(channels, out[0], 3, bias=False), nn.BatchNorm2d(out[0]), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).mean((-2, -1))


OPTIONS = {"hidden": (5,), "z_dim": 2, "classifier": Classifier, "lr": 1e-2}


def weights(module: nn.Module) -> list[Tensor]:
    return [value.detach().clone() for value in module.state_dict().values()]


def test_it_is_captured_and_trained_side_by_side_as_alone(split: data.Split) -> None:
    def made(seed: int):
        torch.manual_seed(seed)
        return pair("m2").on(split, **OPTIONS)[0]

    alone = made(1)
    for _ in fit(alone, split, epochs=2, batch_unlabelled=20, seed=5, capture=True):
        pass
    together = [made(0), made(1)]
    both = {"seeds": [4, 5], "epochs": 2, "batch_unlabelled": 20, "compile": False}
    for _ in fit_ensemble(together, [split] * 2, **both):
        pass
    for one, other in zip(weights(alone), weights(together[1]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_class_is_recorded_by_its_place_and_a_module_is_refused(
    split: data.Split, tmp_path: Path
) -> None:
    with small.few_figures():
        metrics = runs.train("m2", split, tmp_path / "class", options=OPTIONS, epochs=1)
    assert metrics["options"]["classifier"] == f"{__name__}:Classifier"
    assert isinstance(
        runs.load(tmp_path / "class", dataset=split.dataset).objective.guide.classifier.body.body,
        Classifier,
    )
    made = Classifier([(3, 8, 8)], (3,))
    with pytest.raises(InputError, match="option classifier: .* of a network give the class"):
        runs.train("m2", split, tmp_path / "module", options={"classifier": made}, epochs=1)
    assert not (tmp_path / "module").exists()
    with pytest.raises(InputError, match="a class or function of a module that can be imported"):
        runs.train(
            "m2", split, tmp_path / "here", options={"classifier": lambda i, o: made}, epochs=1
        )


class Drawn(nn.Module):
    """Features of random frequencies, which are no parameters, and a state that is no tensor."""

    def __init__(self, inputs: tuple[tuple[int, ...], ...], out: tuple[int, ...]) -> None:
        super().__init__()
        self.plain = torch.randn(192, 8)
        self.register_buffer("kept_aside", torch.randn(8), persistent=False)
        self.last = nn.Linear(8, *out)
        self.scale = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.last((x.flatten(1) @ self.plain + self.kept_aside).cos() * self.scale)

    def get_extra_state(self) -> float:
        return self.scale

    def set_extra_state(self, state: float) -> None:
        self.scale = state


def test_what_a_network_draws_and_keeps_beside_its_weights_is_read_back(
    split: data.Split, tmp_path: Path
) -> None:
    plan = {"epochs": 3, "patience": 2, "figures": False}
    metrics = runs.train("m2", split, tmp_path, options=OPTIONS | {"classifier": Drawn}, **plan)
    torch.rand(5)  # the random state is another one by then
    run = runs.load(tmp_path, dataset=split.dataset)
    assert runs.test_metrics(run)["accuracy"] == metrics["test"]["accuracy"]
    x, _ = split.part("test")
    again = predictor.load(tmp_path).table(x.numpy())
    assert again.equals(run.predictor.table(x.numpy()))


BROKEN = '''
import pyro
from pyro import distributions as dist
from pyro_ssvae import guides, models

class Model(models.M2):
    def forward(self, x, y=None):
        pyro.sample("everywhere", dist.Delta(x.new_zeros(())))
        super().forward(x, y)
'''


def test_a_pair_of_ones_own_is_checked_before_it_is_trained(
    split: data.Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_pair.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    import broken_pair

    mine = pair(broken_pair.Model, guides.M2, name="mine")
    wrong = "check would refuse the pair: site 'everywhere' of the model: expected one in a plate"
    with pytest.warns(UserWarning, match=wrong):
        next(fit(mine.on(split)[0], split, epochs=1))
