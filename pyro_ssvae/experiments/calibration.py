"""The temperatures that a run was calibrated with, as its folder keeps them."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments.folder import CALIBRATION
from pyro_ssvae.system.files import write_text
from pyro_ssvae.system.numbers import finite
from pyro_ssvae.targets import Target


@dataclass(frozen=True)
class Calibration:
    """What a run was calibrated with, and what came of it.

    Attributes:
        temperatures: The temperatures, one for each label; of a real number the factor of the
            standard deviation.
        examples: The number of validation examples that they were fitted to.
        before: The scores of the validation part without them, by name.
        after: The scores of the same part with them.
    """

    temperatures: tuple[float, ...]
    examples: int
    before: dict[str, float]
    after: dict[str, float]


def write(folder: Path, calibration: Calibration) -> None:
    """Write ``calibration.json``, which goes when the run is trained on."""
    write_text(folder / CALIBRATION, json.dumps(finite(asdict(calibration)), indent=2) + "\n")


def temperatures_of(folder: Path, target: Target) -> tuple[float, ...]:
    """The temperatures in a run's folder, none where it has not been calibrated.

    Raises:
        InputError: If the file is broken, or of another target.
    """
    path = folder / CALIBRATION
    if not path.exists():
        return ()
    number = max(1, len(target.sizes))
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["temperatures"]
        if not (isinstance(found, list) and len(found) == number and all(map(_usable, found))):
            raise ValueError(f"{found!r:.60}, where {number} numbers above 0 are wanted")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: expected temperatures as calibrate writes them, got: {error!s:.200}; run"
            " calibrate again, or delete the file"
        ) from None
    return tuple(map(float, found))


def _usable(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf  # type: ignore[operator]
