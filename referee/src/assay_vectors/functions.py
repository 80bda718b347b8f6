"""A library's own functions, named in its own code, as answers to vectors.

`assay_functions` is a mapping, or a function without arguments that gives one: the name of an
operation, of one quantity of it ("metrics.mse") or of a usual word for that ("fvu"), and what to
call. A function is called with the vector's inputs by name, nested lists as NumPy arrays; what it
gives is a number or an array where the vector asks for one quantity, else quantities by name. Under
"array" may stand what every array goes through first, such as torch.from_numpy."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.errors import AssayError, nearest
from assay_vectors.adapters import protocol
from assay_vectors.adapters.protocol import NotOffered
from assay_vectors.outcomes import Outcome, judge
from assay_vectors.vectors import LATEST, WHOLE, Vector, load

ATTRIBUTE = "assay_functions"
"""What a conftest.py calls its functions."""
WORDS: Mapping[str, tuple[str, str]] = {
    "fvu": ("metrics", "ev"),
    "explained_variance": ("metrics", "ev"),
    "mse": ("metrics", "mse"),
    "l0": ("sparsity", "l0"),
    "feature_density": ("sparsity", "density"),
    "dead": ("sparsity", "dead"),
    "gamma": ("shrinkage", "gamma"),
    "loss_recovered": ("ce_recovered", "score"),
    "training_step": ("gradients", ""),
    "loader": ("load", ""),
}
"""Usual word → operation and quantity; FVU is 1 − ev."""


@dataclass(frozen=True)
class Functions:
    """What a library named."""

    peer: str
    version: str
    named: Mapping[str, Callable[..., Any]]
    array: Callable[[np.ndarray], Any] = lambda x: x

    def serving(self, vector: Vector) -> dict[str, Callable[..., Any]]:
        """Give the functions that this vector asks for, by the name under which they stand."""
        wanted = vector.cases[0].expected
        out = {}
        for name, function in self.named.items():
            operation, quantity = parts(name)
            if operation == vector.operation and (not quantity or quantity in wanted):
                out[name] = function
        return out

    def judge(self, vector: Vector) -> Outcome:
        """Put one vector to the library."""
        return judge(vector, [self._answer(vector, case.inputs) for case in vector.cases])

    def _answer(self, vector: Vector, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        def together(**given: Any) -> dict[str, Any]:
            arguments = arrays(given, self.array)
            arguments.pop("dtype", None)
            out: dict[str, Any] = {}
            for name, function in self.serving(vector).items():
                value = protocol.plain(_called(function, arguments))
                quantity = parts(name)[1] or _single(vector)
                if quantity and not isinstance(value, Mapping):
                    value = {quantity: 1 - value if name == "fvu" else value}
                out |= value
            return out

        operation = vector.operation
        case = {"operation": operation, "inputs": inputs}
        return protocol.answer(case, {operation: together} if self.serving(vector) else {})

    def place(self, vector: Vector) -> tuple[Path, int] | None:
        """Say in which file and line the first function that answers this vector starts."""
        for function in self.serving(vector).values():
            code = getattr(inspect.unwrap(function), "__code__", None)
            if code is not None:
                return Path(code.co_filename), code.co_firstlineno
        return None


def parts(name: str) -> tuple[str, str]:
    """Split a name into operation and quantity, "" for all."""
    operation, _, quantity = name.partition(".")
    return WORDS.get(name, (operation, quantity))


@dataclass(frozen=True)
class Name:
    """What may stand in `assay_functions`: inputs and quantities of all its vectors."""

    operation: str
    words: tuple[str, ...]
    """Usual words for the operation or one quantity of it."""
    inputs: tuple[str, ...]
    quantities: tuple[str, ...]
    ids: tuple[str, ...]


def names() -> list[Name]:
    """List the operations that vectors ask for, in their order."""
    out = []
    for operation in dict.fromkeys(v.operation for v in load(LATEST)):
        asked = [v for v in load(LATEST) if v.operation == operation]
        cases = [case for v in asked for case in v.cases]
        inputs = dict.fromkeys(name for case in cases for name in case.inputs)
        quantities = dict.fromkeys(name for case in cases for name in case.expected)
        words = tuple(word for word, (whole, _) in WORDS.items() if whole == operation)
        ids = tuple(v.id for v in asked)
        out.append(Name(operation, words, tuple(inputs), tuple(quantities), ids))
    return out


def of(value: Any, peer: str) -> Functions:
    """Read a mapping of functions, or what gives one. Raises: AssayError for anything else, and for
    a name that no vector asks for."""
    named = value() if callable(value) else value
    if not isinstance(named, Mapping):
        raise AssayError(
            f"{ATTRIBUTE} must be a mapping from names to functions, not {type(named).__name__}"
        )
    named = dict(named)
    array = named.pop("array", lambda x: x)
    known = {v.operation for v in load(LATEST)}
    known |= {f"{v.operation}.{q}" for v in load(LATEST) for q in v.cases[0].expected} | set(WORDS)
    for name, function in named.items():
        if name not in known:
            raise AssayError(f"no vector asks for {name!r}; {nearest(str(name), known)}")
        if not callable(function):
            raise AssayError(f"{name} must be a function, not {type(function).__name__}")
    return Functions(peer, _version(peer), named, array)


def imported(reference: str) -> Functions:
    """The functions of "module:name", from here or what is installed. Raises: AssayError."""
    module, _, name = reference.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        value = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise AssayError(f"cannot import {reference} ({error})") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    return of(value, module.partition(".")[0])


def arrays(
    inputs: Mapping[str, Any], array: Callable[[np.ndarray], Any] = lambda x: x
) -> dict[str, Any]:
    """Inputs with lists of numbers as arrays, in the precision that `dtype` says: null is NaN,
    whole numbers stay whole only where an input means them so."""
    dtype = inputs.get("dtype", "float64")

    def read(value: Any, name: str) -> Any:
        if isinstance(value, Mapping):
            return {key: read(part, key) for key, part in value.items()}
        if not isinstance(value, list):
            return value
        leaf: Any = value
        while isinstance(leaf, list):
            leaf = next(iter(leaf), 0)
        kind = bool if isinstance(leaf, bool) else np.int64 if name in WHOLE else dtype
        try:
            return array(np.array(value, kind))
        except (TypeError, ValueError):  # texts, mappings, rows of different lengths
            return [read(part, name) for part in value]

    return {name: read(value, name) for name, value in inputs.items()}


def _called(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise NotOffered(f"it takes other arguments: {error}") from None
    except ValueError:  # a builtin that does not say what it takes
        pass
    return function(**arguments)


def _single(vector: Vector) -> str:
    """The quantity that a plain number is: that which all vectors of the operation ask for, if they
    ask for no other."""
    names = {
        q for v in load(LATEST) if v.operation == vector.operation for q in v.cases[0].expected
    }
    return names.pop() if len(names) == 1 else ""


def _version(peer: str) -> str:
    distributions = metadata.packages_distributions().get(peer, [])
    return metadata.version(distributions[0]) if distributions else ""
