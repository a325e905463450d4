"""What functions and classes are made of, where they may be edited while a process runs."""

from __future__ import annotations

import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any

# Their code is taken to stay as it is, as that of Python's own modules.
LIBRARIES = ("builtins", "numpy", "pyro", "pyro_ssvae", "torch", "torchvision")


def editable(module: str | None) -> bool:
    """Whether a module, by its name, may hold other code later: a notebook's cells, for one."""
    root = (module or "").partition(".")[0]
    return root not in LIBRARIES and root not in sys.stdlib_module_names


def globals_of(function: FunctionType) -> dict[str, Any]:
    """The global values that the code of an editable function may read, by name.

    Of editable modules among them these are the attributes that it names: ``helpers.scale``. An
    attribute of something else may have the name of a global, which is then one too many.
    """
    if not editable(function.__module__):
        return {}
    names = _names(function.__code__)
    found: dict[str, Any] = {}
    for name in sorted(names & function.__globals__.keys()):
        value = function.__globals__[name]
        if isinstance(value, ModuleType) and editable(value.__name__):
            held = vars(value)
            found |= {f"{name}.{key}": held[key] for key in sorted(names & held.keys())}
        else:
            found[name] = value
    return found


def closure_of(function: FunctionType) -> list[Any]:
    """The values that a function has closed over, of which one may not be there yet."""
    return [_content(cell) for cell in function.__closure__ or ()]


def members(kind: type) -> dict[str, Any]:
    """The functions and the values of a class by name, but for what Python keeps there itself."""
    return {
        name: value for name, value in vars(kind).items()
        if isinstance(value, FunctionType) or not name.startswith(("__", "_abc_"))
    }


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # Python's, of an empty one
        return "nothing yet"


def _names(code: CodeType) -> set[str]:
    """The names of globals and attributes in code, and in the functions written within it."""
    inner = (_names(part) for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*inner)
