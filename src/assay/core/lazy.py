"""Names that are loaded when they are first used, and the place of a name that was typed elsewhere.

A package says once which names it gives, as imports for type checkers; editors and the running
program read the same lines:

    if TYPE_CHECKING:
        from assay.core.spec import Spec, key
    else:
        __getattr__, __dir__, __all__ = lazy(__name__)
"""

import ast
import re
import sys
from collections.abc import Callable, Mapping, Sequence
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
        raise AttributeError(
            f"{package} has no " + ("public name " if homes else "") + _elsewhere(name, names)
        )

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


def _elsewhere(name: str, names: Sequence[str]) -> str:
    """The end of a search for a name that is not here: the modules where it lives, or what is
    called nearly the same."""
    from assay.core.errors import nearest

    locations = [] if name.startswith("_") else homes(name, "assay", Path(__file__).parents[1])
    return f"{name}; " + (
        f"it lives in {' and '.join(locations[:3])}" if locations else nearest(name, names)
    )


def homes(name: str, package: str, root: Path) -> list[str]:
    """Find the modules below a package that are called `name` or define it at their top, the
    shortest names first; reads files, imports none."""
    defined = re.compile(
        rf"^(?:def|class) {re.escape(name)}\b|^{re.escape(name)}(?::[^=\n]*)? = ", re.MULTILINE
    )
    modules = []
    for file in root.rglob("*.py"):
        place = file.relative_to(root).with_suffix("").parts
        place = place[:-1] if place[-1] == "__init__" else place
        if place and place[-1] == name:
            modules.append(".".join((package, *place)))
        elif defined.search(file.read_text(encoding="utf-8")):
            modules.append(".".join((package, *place, name)))
    return sorted(modules, key=lambda dotted: (dotted.count("."), dotted))
