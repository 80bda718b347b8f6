"""Libraries that take long to import: each is loaded when it is first used. Which
packages are optional, and the one line for anyone who lacks one.

Files import them from here, at their top; a command pays for none that it does not need:

    from assay.core.heavy import torch, xr"""

import ast
import functools
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from assay.core import syntax
from assay.core.errors import AssayError

if TYPE_CHECKING:
    import httpx as httpx
    import scipy as scipy
    import torch as torch
    import xarray as xr
else:
    SHORT = {"xarray": "xr"}

    class _Deferred(ModuleType):
        """A placeholder for a module of the same name. One in `sys.modules`, as
        `importlib.util.LazyLoader` leaves, would be loaded by every library that asks whether torch
        is there, and threads that meet in it see half a module."""

        def __getattr__(self, name: str) -> Any:
            # Import takes the lock of the module, so that no thread sees half of it. From then on
            # the file that asked has the module itself: a look through here takes 4 µs, and a step
            # of a toy looks some sixteen times.
            module = import_module(self.__name__)
            names = sys._getframe(1).f_globals
            short = SHORT.get(self.__name__, self.__name__)
            if names.get(short) is self:
                names[short] = module
            return getattr(module, name)

        def __dir__(self) -> list[str]:
            return dir(import_module(self.__name__))

    httpx = _Deferred("httpx")
    scipy = _Deferred("scipy")
    torch = _Deferred("torch")
    xr = _Deferred("xarray")


@functools.cache
def offered() -> Any:
    """The entry points of all installed distributions. A process looks once: it reads the metadata
    of every package there is."""
    from importlib.metadata import entry_points

    return entry_points()


EXTRAS = ("report", "train", "models", "explore", "agents", "ray", "slurm")
"""Each includes those before it, except the last two, which are independent."""
EXTRA = {
    "vl_convert": "report",
    "torch": "train",
    "transformers": "models",
    "tokenizers": "models",
    "gguf": "models",
    "huggingface_hub": "models",
    "sklearn": "models",
    "yaml": "models",
    "duckdb": "explore",
    "pyarrow": "explore",
    "starlette": "explore",
    "uvicorn": "explore",
    "mcp": "agents",
    "ray": "ray",
    "grpc": "ray",
    "submitit": "slurm",
}
"""Module of an optional package → the smallest extra that brings it."""


def need(error: ModuleNotFoundError, extra: str = "train") -> str:
    """Say what to install, at least this extra, where a module of an optional package was not
    found; "" where it is no optional one."""
    module = (error.name or "").partition(".")[0]
    return (
        _line(module, max(extra, EXTRA[module], key=EXTRAS.index))
        if module in EXTRA and missing(module)
        else ""
    )


def missing(module: str) -> str:
    """Say what to install where this optional module is not installed; "" where it is."""
    return _line(module, EXTRA[module]) if find_spec(module) is None else ""


def require(module: str) -> None:
    """Refuse to go on without this optional module. Raises: AssayError."""
    if message := missing(module):
        raise AssayError(message)


def _line(module: str, extra: str) -> str:
    return f"needs {module}: pip install 'interp-assay[{extra}]'"


def lazy(
    package: str, first: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Give a package's `__getattr__`, `__dir__` and `__all__`: the names that its file imports for
    type checkers; `first` are the names that are listed, all by default."""
    module = sys.modules[package]
    homes = imported(Path(str(module.__file__)).read_text(encoding="utf-8"))
    names = sorted(homes)
    module.__class__ = _Package

    def load(name: str) -> Any:
        if name == "__version__" and package == "assay":
            from importlib import metadata  # takes longer than everything else here

            return metadata.version("interp-assay")
        home, attribute = homes.get(name, (package, name))
        if home != package:
            return getattr(__import__(home, fromlist=(attribute,)), attribute)
        if not name.startswith("_") and find_spec(f"{package}.{attribute}"):
            return import_module(f"{package}.{attribute}")
        from assay.core.errors import nearest

        raise AttributeError(f"{package} has no public name {name}; {nearest(name, names)}")

    listed = first.split() or names
    return load, lambda: listed, names


def imported(source: str) -> Mapping[str, tuple[str, str]]:
    """Read which names a file imports for type checkers: the module that each lives in, and its
    name there."""
    blocks = [
        node
        for node in syntax.module(source).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    lines = [line for block in blocks for line in block.body if isinstance(line, ast.ImportFrom)]
    return {
        alias.asname or alias.name: (line.module or "", alias.name)
        for line in lines
        for alias in line.names
    }


class _Package(ModuleType):
    """Keeps what a package gives: importing core/fit.py would otherwise put the module in the place
    of the function `fit`."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in self.__dict__.get("__all__", ())):
            super().__setattr__(name, value)
