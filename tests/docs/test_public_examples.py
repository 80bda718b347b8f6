"""What a user calls says what it takes, and shows one use that is run and gives what stands there.

The names come from the packages themselves, so a new public name is held to this by being there."""

import doctest
import inspect
import io
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import assay

HOMES: dict[str, ModuleType] = {
    "assay": assay,
    "assay.stats": assay.stats,
    "assay.metrics": assay.metrics,
    "assay.dictionaries": assay.dictionaries,
    "assay.losses": assay.losses,
    "assay.subjects": assay.subjects,
    "assay.data": assay.data,
    "assay.planted": assay.planted,
}
EXEMPT = {
    "assay.look": "reads a language model: its example stands there and is not run",
}
"""Public names whose example cannot be run, or that need none, and why."""
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def public(home: ModuleType) -> Iterator[tuple[str, Any]]:
    """Each name that a package gives, with the function or class whose docstring a user reads; a
    callable value has that of its class, and an alias of a type has none."""
    for name in getattr(home, "__all__", None) or [n for n in vars(home) if not n.startswith("_")]:
        value = getattr(home, name)
        if not (inspect.isfunction(value) or inspect.isclass(value)):
            value = type(value) if callable(value) else None
        module = getattr(value, "__module__", "")
        if module.startswith("assay.") and (hasattr(home, "__all__") or module == home.__name__):
            yield name, value


NAMES: dict[str, Any] = {}
for place, home in HOMES.items():
    for name, value in public(home):
        if value not in NAMES.values():
            NAMES[f"{place}.{name}"] = value
EXAMPLES = [name for name, value in NAMES.items() if ">>>" in (value.__doc__ or "")]


def arguments(text: str) -> list[str]:
    """The names under `Args:` of a docstring, without stars; `x, x_hat: …` is two."""
    section = re.search(r"^Args:\n((?: .*\n?|\n(?= ))*)", text, re.MULTILINE)
    lines = re.findall(r"^ {4}([*\w][*\w, ]*):", section[1], re.MULTILINE) if section else []
    return [name.lstrip("*") for names in lines for name in names.split(", ")]


def lacking(value: Any) -> str:
    """What the docstring of a public name lacks, in words; "" for nothing."""
    text = inspect.cleandoc(value.__doc__ or "")
    if inspect.isfunction(value):
        parameters = list(inspect.signature(value).parameters)
        if arguments(text) != parameters:
            return f"Args has {arguments(text)}, the signature {parameters}"
    lines = doctest.DocTestParser().get_examples(text)
    checked = [line for line in lines if line.want and not line.options.get(doctest.SKIP)]
    if not re.search(r"^Example:$", text, re.MULTILINE) or not checked:
        return "there is no Example: of which an outcome is checked"
    return ""


@pytest.mark.parametrize("name", [n for n in NAMES if n not in EXEMPT])
def test_it_says_what_it_takes_and_shows_a_use(name: str) -> None:
    assert not (missing := lacking(NAMES[name])), f"{name}: {missing}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_example_gives_what_stands_there(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = inspect.cleandoc(NAMES[name].__doc__)
    test = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, name, None, None)
    report = io.StringIO()
    assert not doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.write).failed, (
        report.getvalue()
    )


def test_exemptions_are_few_and_needed() -> None:
    assert len(EXEMPT) <= 15
    assert EXEMPT.keys() <= NAMES.keys(), f"no public names: {EXEMPT.keys() - NAMES.keys()}"
    assert not [name for name in EXEMPT if not lacking(NAMES[name])], "they need no exemption"
