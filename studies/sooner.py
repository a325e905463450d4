"""What makes M2 learn sooner on MNIST with 100 labels: `python studies/sooner.py FOLDER`.

M2 as in table 1 of Jurasinski (2019), at alpha = 1 and with a sigma^2 of 1, and with one thing or
two changed at a time: the steps, the composition of batches, the weight of the labels, the
likelihood, the classes that are summed over, a warm-up, the beginning. Prints the accuracy on
validation images after a few epochs, and what each change adds, draw by draw: test images are left
alone. What is done is kept in FOLDER, and is not done again.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pyro_ssvae import data, fit, pair
from pyro_ssvae.reproduce import images
from pyro_ssvae.reproduce.draws import counted, difference
from pyro_ssvae.reproduce.thesis_table_1 import LABELS
from pyro_ssvae.reproduce.work import Work

DATA, EPOCHS, DRAWS, ALONE = "mnist", 5, 2, 3
THESIS = {"likelihood": "normal:1.0", "alpha": 1.0, "lr": 1e-3}
# The options, the sizes of batches, and whether the classifier begins as that of the labels alone.
ARMS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, int], bool]] = {
    "as in the thesis": ({}, {}, False),
    "learning rate 0.003": ({"lr": 3e-3}, {}, False),
    "learning rate 0.0003": ({"lr": 3e-4}, {}, False),
    "500 unlabelled images a batch": ({}, {"batch_unlabelled": 500}, False),
    "500, learning rate 0.003": ({"lr": 3e-3}, {"batch_unlabelled": 500}, False),
    "20 labelled images a batch": ({}, {"batch_labelled": 20}, False),
    "alpha = 100": ({"alpha": 100.0}, {}, False),
    "sigma^2 = 0.25": ({"likelihood": "normal:0.5"}, {}, False),
    "sigma^2 = 0.25, learning rate 0.003": ({"likelihood": "normal:0.5", "lr": 3e-3}, {}, False),
    "sigma^2 = 0.09": ({"likelihood": "normal:0.3"}, {}, False),
    "Bernoulli likelihood": ({"likelihood": "bernoulli"}, {}, False),
    "warm-up of the KL divergence": ({"warmup": float(EPOCHS)}, {}, False),
    "the three likeliest classes": ({"label_inference": "enumerated:3"}, {}, False),
    "averaged weights": ({"average": 0.99}, {}, False),
    "begun at the classifier of the labels": ({}, {}, True),
}


def followed(arm: str, seed: int, data_name: str, epochs: int) -> dict[str, Any]:
    """The validation accuracy after each epoch, in %, and the seconds of all of them."""
    options, sizes, begun = ARMS[arm]
    split = data.load(data_name).split(LABELS, seed=seed)
    torch.manual_seed(seed)
    objective, how = pair("m2").on(split, **{**THESIS, **options})
    if begun:
        alone = images.trained("supervised", split, ALONE)
        objective.guide.classifier.load_state_dict(alone.guide.classifier.state_dict())
    found = list(fit(objective, split, epochs=epochs, seed=seed, **{**how, **sizes}))
    return {
        "accuracy": [100 * epoch.validation["accuracy"] for epoch in found],
        "seconds": sum(epoch.seconds for epoch in found),
    }


def main(folder: Path, *, data_name: str, epochs: int, draws: int, jobs: int) -> None:
    """Measure and print."""
    items = [
        {"arm": arm, "seed": seed, "data_name": data_name, "epochs": epochs}
        for seed in range(draws) for arm in ARMS
    ]
    results = Work(folder, jobs=jobs).each(followed, items)
    found = {
        arm: [result for item, result in zip(items, results) if item["arm"] == arm] for arm in ARMS
    }
    last = {arm: [result["accuracy"][-1] for result in of_arm] for arm, of_arm in found.items()}
    base, *_ = last.values()
    length = counted(epochs, "epoch")
    print(f"M2 on {data_name}, {LABELS} labels, {length}, validation accuracy in %\n")
    print("| | accuracy | added, points | seconds |\n|:---|---:|---:|---:|")
    for arm, values in last.items():
        seconds = statistics.fmean(result["seconds"] for result in found[arm])
        added = "" if values is base else difference(values, base)
        print(f"| {arm} | {statistics.fmean(values):.1f} | {added} | {seconds:.0f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--data", dest="data_name", default=DATA)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--draws", type=int, default=DRAWS, help="of labels, weights and batches")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    main(**vars(parser.parse_args()))
