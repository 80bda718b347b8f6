"""Every experiment has an entry point, imports only what Assay makes public, and says what its
fields mean."""

import ast
import re
import tomllib
from pathlib import Path

from everywhere import everywhere
from parsed import nodes, tree

HERE = Path(__file__).parents[2]
EXPERIMENTS = HERE / "src/assay_catalogue/experiments"
PUBLIC = HERE.parent / "docs/extend.md"


def name(path: Path) -> str:
    return path.relative_to(HERE).as_posix()


def test_every_experiment_has_an_entry_point_and_no_other_has() -> None:
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    stems = {p.stem for p in EXPERIMENTS.glob("*") if p.stem[0] != "_"}
    assert project["entry-points"]["assay.experiments"] == {
        stem.replace("_", "-"): f"assay_catalogue.experiments.{stem}" for stem in stems
    }


ROOMS = ("core", "train", "data", "subjects", "dictionaries", "features")
"""Rooms of which every module is public."""


def public() -> set[str]:
    """The modules and packages of Assay that docs/extend.md calls public."""
    part = PUBLIC.read_text().partition("## What is public")[2].partition("\n## ")[0]
    return set(re.findall(r"`(assay(?:\.[a-z_]+)*)`", part))


@everywhere(sorted((HERE / "src/assay_catalogue").rglob("*.py")))
def test_only_what_is_public_is_imported(path: Path) -> None:
    allowed = public()
    assert {f"assay.{room}" for room in ROOMS} <= allowed
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "assay":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                known = {node.module, whole} & allowed or whole.split(".")[1] in ROOMS
                assert known, f"{name(path)}: {whole} is not public; docs/extend.md has what is"


@everywhere(sorted(EXPERIMENTS.rglob("*.py")))
def test_spec_fields_say_what_they_mean(path: Path) -> None:
    for spec in (node for node in tree(path).body if isinstance(node, ast.ClassDef)):
        if not any(isinstance(base, ast.Name) and base.id.endswith("Spec") for base in spec.bases):
            continue
        for field, after in zip(spec.body, [*spec.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign):
                documented = (
                    isinstance(after, ast.Expr)
                    and isinstance(after.value, ast.Constant)
                    and isinstance(after.value.value, str)
                )
                assert documented, (
                    f"{name(path)}:{field.lineno}: {ast.unparse(field.target)} needs one line "
                    "under it: meaning, unit"
                )
