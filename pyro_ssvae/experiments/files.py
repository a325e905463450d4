"""Studies as Python files: the settings that a file calls ``study``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyro_ssvae.errors import InputError
from pyro_ssvae.experiments.setting import Setting

NAME = "study"


def settings_in(file: str | Path) -> list[Setting]:
    """The settings of a study that a Python file describes.

    It has them as a list ``study``, or as a function of this name that returns one. What else it
    imports from its folder, such as pairs of one's own, is found.

    Args:
        file: The file.

    Raises:
        InputError: If there is no such file, it cannot be run, or has no settings.
    """
    path = Path(file)
    if not path.is_file():
        raise InputError(f"{path}: expected a Python file that describes a study, got no file")
    found = _run(path)
    if not isinstance(found, Sequence) or not all(isinstance(each, Setting) for each in found):
        raise InputError(
            f"{path}: expected a list of settings named {NAME}, such as study = grid([\"m2\"]), got"
            f" {type(found).__name__}"
        )
    if not found:
        raise InputError(f"{path}: expected a setting or more in {NAME}, got an empty list")
    return list(found)


def _run(path: Path) -> Any:
    """What a file calls ``study``. The file is a module, found by its name from then on."""
    folder, name = str(path.parent.resolve()), path.stem
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: expected a Python file, with the ending .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    try:
        spec.loader.exec_module(module)
        found = getattr(module, NAME, None)
        return found() if callable(found) else found
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the file is anybody's code
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{path}: expected a file that runs, got {reason}") from None
