"""What a user calls says what it takes, and shows one use that is run and gives what stands there.

The names come from the packages themselves, so a new public name is held to this by being there."""

import doctest
import inspect
import io
import re
from pathlib import Path

import pytest

import assay

HOMES = {
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
    "assay.look": "reads a language model; an example stands there and is not run",
    "assay.subjects.Pretrained": "is a language model",
    "assay.subjects.fast_dtype": "reads what this CPU can do",
    "assay.subjects.fetch_model": "downloads a language model",
    "assay.model": "reads a language model",
    "assay.run": "runs a study that asks a language model; an example stands there and is not run",
    "assay.subjects.run_many": "runs a language model",
    "assay.Verdict": "is a part of the result of an experiment",
    "assay.Activations": "holds activations of a language model",
    "assay.data.Harvest": "holds activations of a language model",
    "assay.data.harvest": "reads a language model",
}
"""Public names without an example that is run, and why."""
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def public(home):
    """Each name that a package gives, with the function or class whose docstring a user reads; a
    callable value has that of its class, and an alias of a type has none."""
    for name in getattr(home, "__all__", None) or [n for n in vars(home) if not n.startswith("_")]:
        value = getattr(home, name)
        if not (inspect.isfunction(value) or inspect.isclass(value)):
            value = type(value) if callable(value) else None
        module = getattr(value, "__module__", "")
        if module.startswith("assay.") and (hasattr(home, "__all__") or module == home.__name__):
            yield name, value


NAMES = {}
for place, home in HOMES.items():
    for name, value in public(home):
        if value not in NAMES.values():
            NAMES[f"{place}.{name}"] = value
PARTS = {
    f"{name}.{part}": value
    for name, kind in NAMES.items()
    if inspect.isclass(kind)
    for part, value in vars(kind).items()
}
"""Methods and the like of the public classes, whose examples are run where they have any."""
EXAMPLES = {
    name: inspect.cleandoc(value.__doc__)
    for name, value in (NAMES | PARTS).items()
    if ">>>" in (value.__doc__ or "")
}


def arguments(text):
    """The names under `Args:` of a docstring, without stars; `x, x_hat: …` is two."""
    section = re.search(r"^Args:\n((?: .*\n?|\n(?= ))*)", text, re.MULTILINE)
    lines = re.findall(r"^ {4}([*\w][*\w, ]*):", section[1], re.MULTILINE) if section else []
    return [name.lstrip("*") for names in lines for name in names.split(", ")]


def shows(value):
    """Whether a docstring has an example of which an outcome is checked."""
    text = inspect.cleandoc(value.__doc__ or "")
    return bool(re.search(r"^Example:$", text, re.MULTILINE)) and any(
        line.want and not line.options.get(doctest.SKIP)
        for line in doctest.DocTestParser().get_examples(text)
    )


@pytest.mark.parametrize("name", [n for n, value in NAMES.items() if inspect.isfunction(value)])
def test_it_says_what_it_takes(name):
    text = inspect.cleandoc(NAMES[name].__doc__ or "")
    assert arguments(text) == list(inspect.signature(NAMES[name]).parameters), (
        f"{name}: Args: and signature name other things"
    )


PAGES = "\n".join(p.read_text() for p in (Path(__file__).parents[2] / "docs").glob("*/*.md"))
"""The tutorials, guides and the like, whose blocks are run."""


@pytest.mark.parametrize("name", [n for n in NAMES if n not in EXEMPT])
def test_it_shows_a_use(name):
    on_a_page = re.search(rf"\b{re.escape(name)}[(.]", PAGES)
    assert on_a_page or shows(NAMES[name]), f"{name}: no example of which an outcome is checked"


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_example_gives_what_stands_there(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variables, parser = {"__name__": "__main__"}, doctest.DocTestParser()
    test = parser.get_doctest(EXAMPLES[name], variables, name, None, None)
    report = io.StringIO()
    assert not doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.write).failed, (
        report.getvalue()
    )


def test_exemptions_are_needed():
    assert EXEMPT.keys() <= NAMES.keys(), f"no public names: {EXEMPT.keys() - NAMES.keys()}"
    assert not [name for name in EXEMPT if shows(NAMES[name])], "they need no exemption"
