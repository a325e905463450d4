"""Training told to TensorBoard, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pyro_ssvae.errors import InputError
from pyro_ssvae.inference.objective import Objective
from pyro_ssvae.inference.terms import Term
from pyro_ssvae.training.epoch import Epoch
from pyro_ssvae.training.loop import Training

EVENTS = "events.out.tfevents.*"  # how TensorBoard's files are called


def tensorboard(
    training: Training[Epoch],
    folder: str | Path,
    hyperparameters: Mapping[str, Any] | None = None,
) -> Iterator[Epoch]:
    """The epochs of a training, each of which is written to TensorBoard's files as it ends::

        for epoch in tensorboard(fit(objective, split), "runs/m2"):
            ...

    ``tensorboard --logdir runs`` shows what is in all folders below ``runs``. An epoch is in the
    files before it is given. A training that goes on from an earlier state takes the place of what
    the files have of the epochs that it does again.

    Args:
        training: The training of one objective.
        folder: The folder to write the files to.
        hyperparameters: The values, by name, that TensorBoard's table of hyperparameters shows
            beside the metrics of the last epoch. They are written once, with the first epoch.

    Raises:
        InputError: If TensorBoard is not installed.
    """
    check_tensorboard()
    return _written(training, Path(folder), hyperparameters or {})


def scalars(epoch: Epoch, objective: Objective) -> dict[str, float]:
    """What TensorBoard shows of an epoch, by names such as ``validation/accuracy``.

    Losses are ``loss/NAME``, unweighted but for ``loss/total``. The weights that they, and
    ``beta``, have at the end of the epoch are ``weight/NAME``.
    """
    losses = {f"loss/{_shown(name)}": value for name, value in epoch.losses.items()}
    weights = {f"weight/{name}": value for name, value in _weights(objective, epoch.epoch).items()}
    validation = {f"validation/{name}": value for name, value in epoch.validation.items()}
    skipped = {"updates/skipped": float(epoch.skipped)} if epoch.skipped else {}
    return losses | weights | validation | {"seconds": epoch.seconds} | skipped


def check_tensorboard() -> None:
    """Raise :class:`InputError` unless TensorBoard is installed."""
    if find_spec("tensorboard") is None:
        raise InputError(
            "expected the package tensorboard, which --log tensorboard needs, got none; install"
            " it: pip install tensorboard"
        )


def _written(
    training: Training[Epoch], folder: Path, hyperparameters: Mapping[str, Any]
) -> Iterator[Epoch]:
    from torch.utils.tensorboard import SummaryWriter

    (learner,), writer = training.learners, None
    try:
        for epoch in training:
            if writer is None:  # TensorBoard forgets what it has of this epoch and later ones
                writer = SummaryWriter(str(folder), purge_step=epoch.epoch)
            shown = scalars(epoch, learner.objective)
            for name, value in shown.items():
                writer.add_scalar(name, value, epoch.epoch)
            if epoch.epoch == 1 and hyperparameters:
                _table(writer, hyperparameters, shown)
            writer.flush()
            yield epoch
    finally:
        if writer is not None:
            writer.close()


def _table(writer: Any, hyperparameters: Mapping[str, Any], shown: Mapping[str, float]) -> None:
    """Write the row of TensorBoard's table of hyperparameters: it takes the metrics by name."""
    from torch.utils.tensorboard.summary import hparams

    plain = {
        name: value if isinstance(value, (bool, int, float)) else str(value)
        for name, value in hyperparameters.items()
    }
    metrics = {name: value for name, value in shown.items() if name.startswith("validation/")}
    for summary in hparams(plain, metrics):
        writer.file_writer.add_summary(summary)


def _shown(name: str) -> str:
    return "total" if name == "loss" else name


def _weights(objective: Objective, epoch: int) -> dict[str, float]:
    """The weights of an objective after so many epochs."""
    scheduled = {
        name: float(part.scheduled(objective.weights[name], epoch))
        for name, part in objective.terms.items() if isinstance(part, Term)
    }
    return {**objective.weights, **scheduled, "beta": float(objective.kl_weight(epoch))}
