"""What `make check` runs: the tests that a change touches, the nearest first."""

import pytest

from touched import nearest

TREE = {
    "src/assay/core/ideas.py": "",
    "src/assay/core/words.py": "from assay.core import ideas\n",
    "src/assay/report/pages.py": "def made():\n    from assay.core.words import Word\n",
    "src/assay/report/templates/page.html": "",
    "src/assay/report/alone.py": "",
    "src/assay/ask/shapes.py": "",
    "tests/core/test_drawn.py": "from assay.ask import shapes\n",
    "tests/ask/test_shapes.py": "from assay.ask import shapes\n",
    "tests/conftest.py": "",
    "tests/core/test_words.py": "import assay.core.words\n",
    "tests/core/helper.py": "from assay.core.ideas import one\n",
    "tests/core/test_helped.py": "import helper\n",
    "tests/report/test_pages.py": "from assay.report import pages\n",
    "tests/report/test_other.py": "",
    "tests/report/conftest.py": "from assay.report import alone\n",
    "tests/house/test_rule.py": "",
    "tests/docs/test_docs.py": "",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    for name, text in TREE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "docs").mkdir()
    return root


@pytest.mark.parametrize(
    ("changed", "touched"),
    [
        (
            ["src/assay/core/ideas.py"],
            ["core/test_helped.py", "core/test_words.py", "report/test_pages.py"],
        ),
        (["src/assay/core/words.py"], ["core/test_words.py", "report/test_pages.py"]),
        (
            ["src/assay/report/templates/page.html"],
            ["report/test_pages.py", "report/test_other.py"],
        ),
        (["src/assay/report/alone.py"], ["report/test_other.py", "report/test_pages.py"]),
        (["tests/core/helper.py"], ["core/test_helped.py"]),
        (
            ["tests/report/test_other.py", "tests/core/test_words.py"],
            ["core/test_words.py", "report/test_other.py"],
        ),
        (["docs/page.md"], ["docs/test_docs.py"]),
        (["Makefile"], ["house/test_rule.py"]),
        ([], []),
    ],
)
def test_imports_are_followed_backwards(tree, changed, touched):
    found = nearest([tree / name for name in changed], tree)
    assert [str(path.relative_to(tree / "tests")) for path in found] == touched


def test_a_layer_comes_before_others_that_are_as_far(tree):
    found = nearest([tree / "src/assay/ask/shapes.py"], tree)
    assert [str(path.relative_to(tree / "tests")) for path in found] == [
        "ask/test_shapes.py",
        "core/test_drawn.py",
    ]
