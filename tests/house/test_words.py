"""Pages, messages and templates are in plain words: those that readers stumbled over are rare."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAIN = {
    "told": "reported, printed, known",
    "mend": "fix",
    "mended": "fixed",
    "beside": "next to, with",
    "whoever": "anyone who, the user",
    "nobody": "no one, nothing",
    "somebody": "someone, the user",
    "as it must": "as it should",
    "must fail": "should fail",
    "by lot": "at random",
    "goes on where": "resumes",
    "unasked": "automatically",
    "from nothing": "from scratch",
    "stands": "is in",
    "hands out": "gives",
    "asked for": "needed",
}
"""A word of ours → plain ones."""
MOST = 5
BLOCKS = re.compile(r"^```.*?^```|<!-- made:.*?<!-- end -->|`[^`\n]*`", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"\{[{%#].*?[}%#]\}|\{[^{}]*\}|<[^>]*>", re.DOTALL)


def texts():
    """Every page but the changelog, every message in the source, every template; without code."""
    folders = ("", "docs/", "docs/tables/", "skills/**/", "catalogue/", "referee/")
    pages = [f"{folder}*.md" for folder in folders]
    for path in (path for pattern in pages for path in ROOT.glob(pattern)):
        if path.name != "CHANGELOG.md":
            yield BLOCKS.sub("", path.read_text("utf-8"))
    for path in (ROOT / "src/assay").rglob("*.html"):
        yield CODE.sub("", path.read_text("utf-8"))
    for path in (ROOT / "src/assay").rglob("*.py"):
        yield from messages(ast.parse(path.read_text("utf-8")))


def messages(tree):
    """The strings of a module that are sentences, its docstrings left out."""
    bodies = (body for node in ast.walk(tree) if isinstance(body := getattr(node, "body", 0), list))
    documented = {id(s.value) for body in bodies for s in body if isinstance(s, ast.Expr)}
    for node in ast.walk(tree):
        said = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if said and " " in node.value and id(node) not in documented:
            yield CODE.sub("", node.value)


@pytest.fixture(scope="module")
def counted():
    words = re.compile(rf"\b({'|'.join(PLAIN)})\b", re.IGNORECASE)
    return Counter(match.lower() for text in texts() for match in words.findall(text))


@pytest.mark.parametrize("word", PLAIN)
def test_a_word_that_readers_stumbled_over_is_rare(word, counted):
    assert counted[word] <= MOST, f"{word!r}: write {PLAIN[word]}"
