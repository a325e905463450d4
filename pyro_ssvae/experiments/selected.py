"""The test metrics of weights that were selected on validation data."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from pyro_ssvae.data import Split
from pyro_ssvae.evaluation.evaluate import fit_classifier
from pyro_ssvae.evaluation.validation import validate
from pyro_ssvae.experiments import checkpoint
from pyro_ssvae.experiments.folder import CHECKPOINT
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.training.selections import Selections

LAST = "last"  # the selection that looks at nothing


def measured(
    objective: Objective, split: Split, selections: Selections, folder: Path
) -> dict[str, dict[str, Any]]:
    """What each selection comes to on the test part. The objective is left as it was.

    Args:
        objective: The pair.
        split: The data.
        selections: What the measures of validation have selected.
        folder: The folder of the run, of which the checkpoint has the last weights.

    Returns:
        The ``epoch`` and the ``test`` metrics of ``"last"`` and of each measure by its name, the
        same metrics as validation has after every epoch; none where there is no test part.

    Raises:
        InputError: If the checkpoint, or weights that were read from it, are not of this pair.
    """
    saved = checkpoint.read(folder, split.dataset.y.device)
    last = len(saved["history"]), saved["objective"]
    chosen = {LAST: last} | {name: (s.epoch, s.weights) for name, s in selections.by.items()}
    own = copy.deepcopy(objective.state_dict())
    tests: dict[int, dict[str, float]] = {}
    for epoch, weights in chosen.values():
        if epoch not in tests:
            with checkpoint.reading(folder / CHECKPOINT):
                objective.load_state_dict(weights)
            tests[epoch] = validate(objective, split, "test") if len(split.test) else {}
    objective.load_state_dict(own)
    fit_classifier(objective.guide, split)
    return {name: {"epoch": epoch, "test": tests[epoch]} for name, (epoch, _) in chosen.items()}
