"""docs/metrics.md names every public measure, and no measure that does not exist."""

import ast
import re
from pathlib import Path

from assay.dictionaries.measuring.measures import TABLE

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
METRICS = "dictionaries.measuring.metrics"
SAME = {"fvu": "fvu", "l0": "l0", "shrinkage": "gamma_raw", "norm_ratio": "norm_ratio_raw"}
SAME |= {"dead": "dead", "ce_recovered": "loss_recovered_mean", "twinned": "twins"}
SAME |= {"kl_recovered": "kl_recovered_mean"}
"""What `assay evaluate` calls the measure that a function computes."""


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


def rows(page):
    return [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in page.splitlines()
        if line.startswith("| `")
    ]


def test_what_the_page_names_is_there():
    """Each section names the modules that have the measures of its tables."""
    count = 0
    for section in PAGE.split("\n## ")[1:]:
        homes = re.findall(r"`(assay(?:_catalogue)?\.[\w.]+)`", section.split("\n|")[0])
        paths = [
            home.replace("assay.metrics", f"assay.{METRICS}").replace(".", "/") for home in homes
        ]
        found = [
            (ROOT / f"{'catalogue/' * path.startswith('assay_catalogue')}src/{path}.py").read_text()
            for path in paths
        ]
        for row in rows(section):
            name = re.match(r"`(\w+)`", row[0])[1]
            count += 1
            assert any(re.search(rf"\b{name}\b", source) for source in found), (name, homes)
    assert count >= 20


def test_the_two_pages_and_the_table_say_the_same_of_a_measure():
    printed = {row[0].strip("`"): row for row in rows((ROOT / "docs/evaluate.md").read_text())}
    better = {m.name: m.better for m in TABLE}
    told = {re.match(r"`(\w+)`", row[0])[1]: row for row in rows(PAGE)}
    assert {name: row[-1] for name, row in printed.items()} == better
    for function, name in SAME.items():
        assert told[function][-1] == better[name], function
        assert told[function][-2].split("; ")[1] == printed[name][-2], function
