"""Your own functions as answers to vectors.

`assay_functions` is a mapping, or a function without arguments that returns one. Its
keys are an operation, one quantity of it ("metrics.mse") or a common name for that
("fvu"); its values are functions. Each is called with the vector's inputs by name,
nested lists as NumPy arrays. It returns a number or an array if the vector asks for one
quantity, otherwise quantities by name. The key "array" may hold a function that every
array goes through first, such as torch.from_numpy."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np

from assay_vectors.adapters import protocol
from assay_vectors.adapters.protocol import NotOffered
from assay_vectors.errors import VectorsError, nearest
from assay_vectors.outcomes import Outcome, judge
from assay_vectors.vectors import INTEGERS, LATEST, Vector, load

ATTRIBUTE = "assay_functions"
"""The name that a conftest.py gives to its functions."""
COMMON_NAMES: Mapping[str, tuple[str, str]] = {
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
"""Common name → operation and quantity; FVU is 1 − ev."""


@dataclass(frozen=True)
class Functions:
    """Functions by the names that vectors use."""

    peer: str
    version: str
    by_name: Mapping[str, Callable[..., Any]]
    array: Callable[[np.ndarray], Any] = lambda x: x

    def serving(self, vector: Vector) -> dict[str, Callable[..., Any]]:
        """Return the functions that answer this vector, by name."""
        expected = vector.cases[0].expected
        out = {}
        for name, function in self.by_name.items():
            operation, quantity = split(name)
            if operation == vector.operation and (not quantity or quantity in expected):
                out[name] = function
        return out

    def judge(self, vector: Vector) -> Outcome:
        """Call the functions on every case of a vector and compare what they return."""
        return judge(vector, [self._answer(vector, c.inputs) for c in vector.cases])

    def _answer(self, vector: Vector, values: Mapping[str, Any]) -> Mapping[str, Any]:
        def together(**inputs: Any) -> dict[str, Any]:
            arguments = arrays(inputs, self.array)
            arguments.pop("dtype", None)
            out: dict[str, Any] = {}
            for name, function in self.serving(vector).items():
                value = protocol.plain(_call(function, arguments))
                quantity = split(name)[1] or _only_quantity(vector)
                if quantity and not isinstance(value, Mapping):
                    value = {quantity: 1 - value if name == "fvu" else value}
                out |= value
            return out

        operation = vector.operation
        case = {"operation": operation, "inputs": values}
        return protocol.answer(case, {operation: together} if self.serving(vector) else {})

    def location(self, vector: Vector) -> tuple[Path, int] | None:
        """Return the file and line where the first function for this vector starts."""
        for function in self.serving(vector).values():
            code = getattr(inspect.unwrap(function), "__code__", None)
            if code is not None:
                return Path(code.co_filename), code.co_firstlineno
        return None


def split(name: str) -> tuple[str, str]:
    """Split a name into operation and quantity, "" for all quantities."""
    operation, _, quantity = name.partition(".")
    return COMMON_NAMES.get(name, (operation, quantity))


@dataclass(frozen=True)
class Name:
    """An operation that `assay_functions` may name, with the inputs and quantities of
    all its vectors."""

    operation: str
    common: tuple[str, ...]
    """Common names for the operation or one quantity of it."""
    inputs: tuple[str, ...]
    quantities: tuple[str, ...]
    ids: tuple[str, ...]


def names() -> list[Name]:
    """List the operations of all vectors, in their order."""
    out = []
    for operation in dict.fromkeys(v.operation for v in load(LATEST)):
        vectors = [v for v in load(LATEST) if v.operation == operation]
        cases = [case for v in vectors for case in v.cases]
        inputs = dict.fromkeys(name for case in cases for name in case.inputs)
        quantities = dict.fromkeys(name for case in cases for name in case.expected)
        common = [name for name, (o, _) in COMMON_NAMES.items() if o == operation]
        ids = tuple(v.id for v in vectors)
        out.append(Name(operation, tuple(common), tuple(inputs), tuple(quantities), ids))
    return out


def read(value: Any, peer: str) -> Functions:
    """Read a mapping of functions, or call what returns one.

    Raises: VectorsError for anything else, and for a name that no vector uses."""
    by_name = value() if callable(value) else value
    if not isinstance(by_name, Mapping):
        raise VectorsError(
            f"{ATTRIBUTE} must be a mapping from names to functions, not {type(by_name).__name__}"
        )
    by_name = dict(by_name)
    array = by_name.pop("array", lambda x: x)
    if not by_name:
        raise VectorsError(f"{ATTRIBUTE} names no function")
    known = {v.operation for v in load(LATEST)} | set(COMMON_NAMES)
    known |= {f"{v.operation}.{q}" for v in load(LATEST) for q in v.cases[0].expected}
    for name, function in by_name.items():
        if name not in known:
            raise VectorsError(f"no vector asks for {name!r}; {nearest(str(name), known)}")
        if not callable(function):
            raise VectorsError(f"{name} must be a function, not {type(function).__name__}")
    return Functions(peer, _version(peer), by_name, array)


def imported(reference: str) -> Functions:
    """Import the functions of "module:name", from the working directory or what is
    installed. Raises: VectorsError."""
    module, _, name = reference.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        value = getattr(import_module(module), name)
    except Exception as error:  # a module may raise anything when it is imported
        message = f"{type(error).__name__}: {error}"
        raise VectorsError(f"cannot import {reference} ({message})") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    return read(value, module.partition(".")[0])


def arrays(
    inputs: Mapping[str, Any], array: Callable[[np.ndarray], Any] = lambda x: x
) -> dict[str, Any]:
    """Turn lists of numbers into arrays of the precision that `dtype` names: null is
    NaN, and integers stay integers only in inputs that mean them."""
    dtype = inputs.get("dtype", "float64")

    def convert(value: Any, name: str) -> Any:
        if isinstance(value, Mapping):
            return {key: convert(part, key) for key, part in value.items()}
        if not isinstance(value, list):
            return value
        leaf: Any = value
        while isinstance(leaf, list):
            leaf = next(iter(leaf), 0)
        number = np.int64 if name in INTEGERS else dtype
        try:
            return array(np.array(value, bool if isinstance(leaf, bool) else number))
        except (TypeError, ValueError):  # texts, mappings, rows of different lengths
            return [convert(part, name) for part in value]

    return {name: convert(value, name) for name, value in inputs.items()}


def _call(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise NotOffered(f"it takes other arguments: {error}") from None
    except ValueError:  # a builtin without a signature
        pass
    return function(**arguments)


def _only_quantity(vector: Vector) -> str:
    """Return the quantity of an operation that has only one, else ""."""
    vectors = (v for v in load(LATEST) if v.operation == vector.operation)
    quantities = {name for v in vectors for name in v.cases[0].expected}
    return quantities.pop() if len(quantities) == 1 else ""


def _version(peer: str) -> str:
    distributions = metadata.packages_distributions().get(peer, [])
    return metadata.version(distributions[0]) if distributions else ""
