"""Names say what they hold: participles, pronouns and adverbs are no nouns; hardly any is left."""

import ast
from collections.abc import Iterator
from pathlib import Path

from parsed import nodes

ROOT = Path(__file__).parents[2]
VAGUE = """
    found at one told of own said made asked kept there given taken drawn seen shown wanted joined
    here beside along apart alone alike again now then away mine others each named done left
"""
SHARE = 0.01


def bound(path: Path) -> Iterator[tuple[str, int]]:
    """The names that a file binds: functions, classes, parameters, variables, fields."""
    for node in nodes(path):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno
            case ast.ClassDef(name=name) | ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno


def test_at_most_one_name_in_a_hundred_is_no_noun_and_no_verb() -> None:
    files = sorted((ROOT / "src/assay").rglob("*.py"))
    names = [
        (name, f"{path.relative_to(ROOT)}:{line}") for path in files for name, line in bound(path)
    ]
    vague = [f"{where} {name}" for name, where in names if name.strip("_") in VAGUE.split()]
    assert len(vague) <= SHARE * len(names), (
        f"{len(vague)} of {len(names)} names; say what a variable holds, what a function does: "
        + ", ".join(vague)
    )
