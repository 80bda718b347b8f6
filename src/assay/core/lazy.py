"""Modules that are loaded when they are typed, and the place of a name that was typed elsewhere."""

import pkgutil
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from assay.core.errors import nearest


def modules(package: str, path: Sequence[str]) -> tuple[Callable[[str], ModuleType], Callable[[], list[str]]]:
    """Give a package's `__getattr__` and `__dir__`, which find its modules by being there."""

    def names() -> list[str]:
        return sorted(file.name for file in pkgutil.iter_modules(path))

    def load(name: str) -> ModuleType:
        if name.startswith("_") or name not in names():
            raise AttributeError(f"{package} has no {name}" + ("" if name.startswith("_") else f"; {nearest(name, names())}"))
        return import_module(f"{package}.{name}")

    return load, names


def homes(name: str, package: str, root: Path) -> list[str]:
    """Find the modules below a package that are called `name` or define it at their top, the shortest names first; reads files, imports none."""
    defined = re.compile(rf"^(?:def|class) {re.escape(name)}\b|^{re.escape(name)}(?::[^=\n]*)? = ", re.MULTILINE)
    found = []
    for file in root.rglob("*.py"):
        place = file.relative_to(root).with_suffix("").parts
        place = place[:-1] if place[-1] == "__init__" else place
        if place and place[-1] == name:
            found.append(".".join((package, *place)))
        elif defined.search(file.read_text(encoding="utf-8")):
            found.append(".".join((package, *place, name)))
    return sorted(found, key=lambda dotted: (dotted.count("."), dotted))
