"""Every global name that a function of an experiment reads exists when it runs: shape strings keep
linters from telling there."""

import builtins
import dis
import importlib
import pkgutil
from pathlib import Path
from types import CodeType

from everywhere import everywhere

from assay_catalogue import experiments

MODULES = sorted(
    m.name for m in pkgutil.walk_packages(experiments.__path__, "assay_catalogue.experiments.")
)


def read_globals(code: CodeType) -> dict[str, int]:
    """Give the names that this code, and all code inside it, looks up in the module, with a line of
    each."""
    found, line = {}, code.co_firstlineno
    for step in dis.get_instructions(code):
        line = step.starts_line or line
        if step.opname == "LOAD_GLOBAL":
            found.setdefault(step.argval, line)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found = read_globals(inner) | found
    return found


@everywhere(MODULES)
def test_functions_read_names_that_exist(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    code = compile(Path(module.__file__).read_text(encoding="utf-8"), module.__file__, "exec")
    lazy = getattr(module, "__getattr__", None)
    unknown = {
        n: line
        for n, line in read_globals(code).items()
        if n not in vars(module) and not hasattr(builtins, n)
    }
    assert not unknown or lazy is not None, f"{name} reads names that nothing defines: {unknown}"


def test_an_undefined_name_is_told() -> None:
    code = compile(
        "import json\ndef f():\n    return [json.loads(x) for x in there]\n", "made", "exec"
    )
    assert set(read_globals(code)) == {"json", "there"}
