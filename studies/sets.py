"""What coarse labels are worth: `python studies/sets.py [--draws 10]`.

M2 on scikit-learn's digits with 20 labels, where of 500 other images it is only known whether the
digit is odd or even; and with these 500 thrown back among the unlabelled ones. The same splits,
weights and epochs for both. Prints the test accuracy of every draw, and its mean and deviation.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
import torch
from sklearn.datasets import load_digits

from pyro_ssvae import data, fit, pair

LABELS, COARSE, EPOCHS = 20, 500, 100


def accuracy(seed: int, coarse: int, name: str = "m2") -> float:
    """The test accuracy of a pair trained with so many coarse labels.

    Args:
        seed: The seed of the labels that are kept, of the weights and of the batches.
        coarse: The number of images whose digit is known to be odd or even.
        name: The name of the pair.
    """
    x, digits = load_digits(return_X_y=True)
    whole = data.load("digits").split(LABELS, seed=seed)
    known = np.concatenate([getattr(whole, part) for part in ("labelled", "validation", "test")])
    y = np.full(len(digits), None, dtype=object)
    y[known] = [{int(digit)} for digit in digits[known]]
    some = np.random.default_rng(seed).permutation(whole.unlabelled.numpy())[:coarse]
    y[some] = [set(range(int(digit) % 2, 10, 2)) for digit in digits[some]]
    given = data.from_arrays(
        x / 16, y, kind="digits", test=None, classes=range(10)
    )
    split = data.Split(given, whole.labelled, whole.unlabelled, whole.validation, seed)
    torch.manual_seed(seed)
    objective, how = pair(name).on(split)
    for _ in fit(objective, split, epochs=EPOCHS, seed=seed, **how):
        pass
    test = torch.from_numpy(x[whole.test] / 16).float()
    with torch.no_grad():
        predicted = objective.guide.eval().classify(test).probs.argmax(-1).numpy()
    return float((predicted == digits[whole.test]).mean())


def main(draws: int) -> None:
    """Measure and print."""
    print(f"M2 on digits, {LABELS} labels, {EPOCHS} epochs, test accuracy in %\n")
    print("| draw | odd or even of 500 | thrown away |\n|---:|---:|---:|")
    rows = []
    for seed in range(draws):
        rows.append([100 * accuracy(seed, COARSE), 100 * accuracy(seed, 0)])
        print(f"| {seed} | {rows[-1][0]:.1f} | {rows[-1][1]:.1f} |", flush=True)
    means = [
        f"{statistics.fmean(column):.1f} ± {statistics.stdev(column):.1f}" for column in zip(*rows)
    ]
    print(f"| mean | {' | '.join(means)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--draws", type=int, default=10, help="of labels, weights and batches")
    main(parser.parse_args().draws)
