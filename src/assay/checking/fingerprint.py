"""Fingerprints: what decides the numbers that a function gives, by its content: its source, what it
closes over, and the module's values that it reads."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import math
import sys
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from assay.core.arrays import is_tensor

SAMPLE = 1024
"""Numbers of each parameter of a network that are read, spread over all of it."""
DEEPEST = 8
"""Levels of nested values; deeper ones are not read."""
LONGEST = 100_000
"""Entries of a container."""
PLAIN = (type(None), bool, int, float, complex, str, bytes)


class Fingerprint:
    """A hash over values, and the types of those that could not be seen into."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._seen: set[int] = set()
        self.opaque: list[str] = []
        """What may change without a change of the hash: where there is any, nothing is kept."""

    @property
    def digest(self) -> str:
        """64 hex digits."""
        return self._hash.hexdigest()

    def add(self, value: Any, depth: int = 0) -> Fingerprint:
        """Take in a value."""
        for part in self._parts(value, depth):
            self._hash.update(part)
            self._hash.update(b"\0")
        return self

    def _parts(self, value: Any, depth: int) -> Iterator[bytes]:
        yield type(value).__qualname__.encode()
        if isinstance(value, PLAIN):
            yield value if isinstance(value, bytes) else repr(value).encode()
        elif isinstance(value, np.ndarray | np.generic) and value.dtype != object:
            yield f"{value.dtype} {value.shape}".encode()
            yield np.ascontiguousarray(value).tobytes()
        elif is_tensor(value):
            yield f"{value.dtype} {tuple(value.shape)}".encode()
            yield numbers_of(value).tobytes()
        elif id(value) in self._seen:
            yield b"seen"
        else:
            self._seen.add(id(value))
            yield from self._compound(value, depth)

    def _compound(self, value: Any, depth: int) -> Iterator[bytes]:
        if depth > DEEPEST:
            self._miss(value)
        elif isinstance(value, Mapping):
            for key, x in value.items():
                self.add(key, depth + 1).add(x, depth + 1)
        elif isinstance(value, list | tuple | set | frozenset) and len(value) <= LONGEST:
            for x in sorted(value, key=repr) if isinstance(value, set | frozenset) else value:
                self.add(x, depth + 1)
        elif isinstance(value, ModuleType):
            yield f"{value.__name__} {getattr(value, '__version__', '')}".encode()
        elif isinstance(value, Path):
            yield str(value).encode()
            if value.exists():
                state = value.stat()
                yield f"{state.st_size} {state.st_mtime_ns}".encode()
        elif isinstance(value, MethodType):
            self.add(value.__func__, depth + 1).add(value.__self__, depth + 1)
        elif isinstance(value, FunctionType):
            yield from self._function(value, depth)
        else:
            yield from self._object(value, depth)

    def _function(self, function: FunctionType, depth: int) -> Iterator[bytes]:
        yield f"{function.__module__}.{function.__qualname__}".encode()
        if _is_library(function.__module__):
            return
        yield _source(function)
        self.add(function.__defaults__, depth + 1).add(function.__kwdefaults__, depth + 1)
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            try:
                self.add(name).add(cell.cell_contents, depth + 1)
            except ValueError:  # a name that has no value yet
                yield b"empty"
        for name in sorted(_names(function.__code__)):
            if name in function.__globals__:
                self.add(name).add(function.__globals__[name], depth + 1)

    def _object(self, value: Any, depth: int) -> Iterator[bytes]:
        kind = value if isinstance(value, type) else type(value)
        yield f"{kind.__module__}.{kind.__qualname__}".encode()
        if isinstance(value, type):
            if not _is_library(kind.__module__):
                yield _source(value)
        elif hasattr(value, "get_vocab"):  # a tokenizer
            yield f"{getattr(value, 'name_or_path', '')} {len(value.get_vocab())}".encode()
        elif hasattr(value, "state_dict") and hasattr(value, "named_parameters"):
            yield str(getattr(value, "training", "")).encode()
            for name, x in value.state_dict().items():
                self.add(name)
                yield f"{x.dtype} {tuple(x.shape)}".encode()
                yield numbers_of(x, SAMPLE).tobytes()
        elif hasattr(value, "to_csv"):
            yield value.to_csv().encode()
        elif isinstance(value, BuiltinFunctionType | np.ufunc):
            yield value.__name__.encode()
        elif isinstance(getattr(value, "__dict__", None), dict):
            if not _is_library(kind.__module__):
                yield _source(kind)
            self.add(vars(value), depth + 1)
        else:
            self._miss(value)

    def _miss(self, value: Any) -> None:
        kind = type(value)
        self.opaque.append(f"{kind.__module__}.{kind.__qualname__}")


def numbers_of(x: Any, most: int = 0) -> np.ndarray:
    """Give a tensor's bytes, or so many of its numbers at most, spread over all of it."""
    flat = x.detach().reshape(-1)
    if most and len(flat) > most:
        flat = flat[:: math.ceil(len(flat) / most)]
    torch = sys.modules["torch"]
    return np.asarray(flat.cpu().contiguous().view(torch.uint8).numpy())


def source(function: Any) -> str:
    """Read the text of a function; empty where there is none, or where its file has changed since
    it was imported and what is there now breaks off."""
    with contextlib.suppress(OSError, TypeError, SyntaxError, tokenize.TokenError):
        return inspect.getsource(function)
    return ""


def _source(value: Any) -> bytes:
    if text := source(value):
        return text.encode()
    code = getattr(value, "__code__", None)
    return b"" if code is None else code.co_code


def _is_library(module: str | None) -> bool:
    """Whether a module is an installed one, identified by its version instead of its text."""
    file = getattr(sys.modules.get((module or "").partition(".")[0]), "__file__", None) or ""
    name = (module or "").partition(".")[0]
    return "site-packages" in file or name in sys.stdlib_module_names or name == "assay"


def _names(code: CodeType) -> set[str]:
    """The names that a function and those within it read from their module."""
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    return {*code.co_names}.union(*map(_names, inner))
