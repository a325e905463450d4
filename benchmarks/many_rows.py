"""A fit of 697,000 rows, where LabelSpreading runs out of memory: `python benchmarks/many_rows.py`.

The rows are 20 float32 numbers each, of three classes, and 1,000 of them are labelled. What is
measured is the processor's time, and the peak of the resident memory above that before.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np
from sklearn.semi_supervised import LabelSpreading

from pyro_ssvae import SemiSupervisedVAEClassifier

ROWS, COLUMNS, LABELLED = 697_000, 20, 1_000


def peak_mb() -> float:
    """The peak of the resident memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KB


def measured(what: str, call: Callable[[], object]) -> None:
    before, began = peak_mb(), time.process_time()
    call()
    print(f"{what}: {time.process_time() - began:.0f} s, {peak_mb() - before:.0f} MB more")


def main() -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(3, size=ROWS)
    x = rng.standard_normal((ROWS, COLUMNS), dtype=np.float32)
    x[np.arange(ROWS), classes] += 2
    y = np.where(np.arange(ROWS) < LABELLED, classes, -1)
    try:
        LabelSpreading().fit(x, y)
    except MemoryError as error:
        print(f"LabelSpreading: {error}")
    # A warm-up, so that what is loaded once does not count.
    SemiSupervisedVAEClassifier(epochs=1).fit(x[:2_000], y[:2_000]).score_samples(x[:100])
    model = SemiSupervisedVAEClassifier(epochs=1, batch_unlabelled=1_000, random_state=0)
    print(f"x: {x.nbytes / 2**20:.0f} MB")
    measured("fit, one epoch of 697 updates", lambda: model.fit(x, y))
    measured("predict_proba of all rows", lambda: model.predict_proba(x))
    measured("score_samples of all rows", lambda: model.score_samples(x))
    print(f"accuracy {100 * np.mean(model.predict(x) == classes):.1f} %")


if __name__ == "__main__":
    main()
