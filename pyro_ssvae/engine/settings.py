"""The settings of a module: all but its weights that makes it the program that it is."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, is_dataclass
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pyro_ssvae.engine import sources
from pyro_ssvae.inference.terms import Part

PLAIN = (
    bool, int, float, complex, str, bytes, type(None), type(...), torch.dtype, torch.device,
    torch.Size, range, slice, CodeType, BuiltinFunctionType, ModuleType, np.generic,
)
OWN = (frozenset(vars(nn.Module())) - {"training"}) | {"_inv"}  # torch's, of any module, transform
# Prefixes of what Pyro and its transforms remember of a call, and what no update depends on.
CACHES = ("_pyro_", "_cached_", "_fitted")
ELSEWHERE = ("sklearn", "logging")  # packages on whose objects no tensor operation depends


@dataclass(frozen=True)
class Described:
    """What stands for a value that has no equality of its own.

    Attributes:
        label: The words that stand for it in messages.
        parts: What it is made of. Equal values have equal parts.
    """

    label: str
    parts: Any = field(repr=False)

    def __repr__(self) -> str:
        return self.label


@dataclass(frozen=True, eq=False)
class Itself:
    """What stands for a value that can be compared with nothing but itself."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def settings(module: nn.Module) -> dict[str, Any]:
    """The settings of a module by name: two modules with equal ones differ in weights alone.

    Settings are all attributes of the module and of its submodules: numbers, strings, functions,
    tensors that are neither parameters nor buffers, lists and dictionaries of these, and objects
    by their own attributes. Functions and classes of a user are their code and what it reads, so
    that one that is edited is another. Of parameters and buffers they have the shape and the type,
    of the parts of a loss all but the weight. What cannot be compared, such as a compiled object,
    equals itself alone.
    """
    return _Describe(module).module(module)


class _Describe:
    """Turns values into ones that compare by what they hold."""

    def __init__(self, root: nn.Module) -> None:
        known = root.named_modules(), root.named_parameters(), root.named_buffers()
        self.names = {id(value): name for values in known for name, value in values}
        self.within: list[int] = []  # what is being described: a value may hold itself
        self.done: dict[int, Any] = {}

    def module(self, module: nn.Module) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for path, part in module.named_modules():
            result[path or "objective"] = self(type(part))
            for name, value in self._attributes(part).items():
                result[f"{path}.{name}".lstrip(".")] = value
        for name, parameter in module.named_parameters():
            result[f"whether {name} is trained"] = parameter.requires_grad
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            result[f"the shape of {name}"] = tuple(tensor.shape)
            result[f"the type of {name}"] = tensor.dtype
        return result

    def __call__(self, value: Any) -> Any:
        if isinstance(value, float) and value != value:
            return "nan"
        if isinstance(value, PLAIN):
            return value
        key = id(value)
        if key in self.names:
            return Described(f"{self.names[key]} of the module", self.names[key])
        if key in self.within:
            return Described("what holds it", self.within.index(key))
        if key not in self.done:
            self.within.append(key)
            self.done[key] = self._parts(value)
            self.within.pop()
        return self.done[key]

    def _parts(self, value: Any) -> Any:
        match value:
            case Tensor():
                return self._tensor(value)
            case np.ndarray() if value.dtype != object:
                parts = value.dtype, value.shape, value.tobytes()
                return Described(f"an array {value.shape}", parts)
            case Mapping():
                return {self._key(key): self(part) for key, part in value.items()}
            case list() | np.ndarray():
                return [self(part) for part in value]
            case tuple():
                return tuple(self(part) for part in value)
            case AbstractSet():
                return Described(str(value), sorted((self(part) for part in value), key=repr))
            case FunctionType():
                return self._function(value)
            case staticmethod() | classmethod():
                return self(value.__func__)
            case property():
                return [self(part) for part in (value.fget, value.fset)]
            case MethodType():
                return Described(value.__qualname__, (self(value.__func__), self(value.__self__)))
            case partial():
                parts = self(value.func), self(value.args), self(value.keywords)
                return Described(str(value), parts)
            case type():
                return self._class(value)
        return self._object(value)

    def _key(self, key: Any) -> Any:
        return key if isinstance(key, (*PLAIN, tuple)) else Itself(key)

    def _tensor(self, tensor: Tensor) -> Described:
        label = f"a tensor of shape {tuple(tensor.shape)}"
        if tensor.layout != torch.strided:
            return Described(label, Itself(tensor))
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        digest = hashlib.sha1(values.tobytes(), usedforsecurity=False).hexdigest()
        parts = tensor.dtype, tensor.device, tuple(tensor.shape), digest
        return Described(f"{label} with digest {digest[:8]}", parts)

    def _function(self, function: FunctionType) -> Described:
        given = function.__defaults__, function.__kwdefaults__
        held = [self(part) for part in (*sources.closure_of(function), *given)]
        read = self._each(sources.globals_of(function))
        return Described(f"function {function.__qualname__}", (function.__code__, held, read))

    def _class(self, kind: type) -> Any:
        name = f"{kind.__module__}.{kind.__qualname__}"
        bound = getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind
        if bound and not sources.editable(kind.__module__):
            return name
        # Written by a user, or made at run time, perhaps once for each of several modules.
        bases = [self(base) for base in kind.__bases__]
        return Described(name, (self._each(sources.members(kind)), bases))

    def _each(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self(value) for name, value in values.items()}

    def _object(self, value: Any) -> Any:
        kind = type(value)
        label = f"a {kind.__qualname__}"
        if kind.__module__.split(".")[0] in ELSEWHERE:
            return Described(label, ())
        if not hasattr(value, "__dict__"):
            return Described(f"{label} that cannot be compared", Itself(value))
        held = self.module(value) if isinstance(value, nn.Module) else self._attributes(value)
        if isinstance(value, Part):
            del held["weight"]
        if is_dataclass(value):
            label = f"{kind.__qualname__}({', '.join(f'{k}={v!r}' for k, v in held.items())})"
        return Described(label, (self(kind), held))

    def _attributes(self, value: Any) -> dict[str, Any]:
        result = {
            name: self(part) for name, part in vars(value).items()
            if name not in OWN and not name.startswith(CACHES)
        }
        for name in OWN & vars(value).keys():
            if name.endswith("_hooks") and vars(value)[name]:  # their numbers count all ever made
                result[name] = [self(hook) for hook in vars(value)[name].values()]
        return result
