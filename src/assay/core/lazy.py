"""Names that are loaded when they are first used.

A package says once which names it gives, as imports for type checkers; editors and the running
program read the same lines:

    if TYPE_CHECKING:
        from assay.core.spec import Spec, key
    else:
        __getattr__, __dir__, __all__ = lazy(__name__)
"""

import ast
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from assay.core import syntax


def lazy(
    package: str, first: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Give a package's `__getattr__`, `__dir__` and `__all__`: the names that its file imports for
    type checkers, and the modules in it; `first` are the names that are listed, all by default."""
    module = sys.modules[package]
    file = Path(str(module.__file__))
    homes = imported(file.read_text(encoding="utf-8"))
    names = sorted(homes) or sorted(
        {p.stem for p in file.parent.glob("[!_]*") if p.is_dir() or p.suffix == ".py"}
    )
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

        kind = "public name " if homes else ""
        raise AttributeError(f"{package} has no {kind}{name}; {nearest(name, names)}")

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
