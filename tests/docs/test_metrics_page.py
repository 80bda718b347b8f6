"""docs/metrics.md names every public measure, and no measure that does not exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/metrics.md").read_text()
HOMES = [
    "dictionaries/measuring/metrics",
    "dictionaries/measuring/rarity",
    "dictionaries/measuring/redundancy",
    "dictionaries/measuring/recovery",
]
HOMES += ["features/importance", "dictionaries/measuring/ablation"]
HOMES += ["dictionaries/measuring/sums"]


def functions(home):
    tree = ast.parse((ROOT / f"src/assay/{home}.py").read_text())
    found = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    return {node.name: ast.get_docstring(node) or "" for node in found}


def test_every_measure_is_on_the_page():
    missing = [
        name
        for home in HOMES
        for name, text in functions(home).items()
        if "Range: " in text and f"`{name}`" not in PAGE
    ]
    assert not missing, f"docs/metrics.md lacks {missing}"


def test_what_the_page_names_is_there():
    rows = re.findall(
        r"^\| `(\w+)`[^|]*\|.*\| (dictionaries|features)\.([\w.]+) \|", PAGE, re.MULTILINE
    )
    assert len(rows) >= 20
    for name, layer, module in rows:
        source = (ROOT / f"src/assay/{layer}/{module.replace('.', '/')}.py").read_text()
        assert re.search(rf"\b{name}\b", source), (
            f"docs/metrics.md says {layer}.{module} has {name}"
        )
