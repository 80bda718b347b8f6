"""The test files that a change touches, the nearest first: `make check` runs them in this order
until its time is up.

A change is what differs from main, or from the commit before where main itself is clean, and what
git does not know yet. From each changed file imports are followed backwards: first come the tests
that import it, then those that import what imports it, and so on. A test that starts a process
imports nothing of what that process runs; `make test` runs all."""

import ast
import subprocess
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
READERS = {
    "README.md": "docs",
    "docs": "docs",
    "tests/golden": "lab",
    "tests/fixtures": "dictionaries",
}
"""What tests read without importing it → their folder."""


def git(*words):
    """The lines that git prints; none where it refuses."""
    return subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()


def changed():
    """The files that a change touched and left."""
    (base,) = (
        git("merge-base", "HEAD", "main") or git("merge-base", "HEAD", "origin/main") or ["HEAD"]
    )
    if git("rev-parse", "HEAD") == [base] and not git("status", "--porcelain"):
        base = "HEAD~1"
    named = [*git("diff", "--name-only", base), *git("ls-files", "--others", "--exclude-standard")]
    return [ROOT / name for name in named if (ROOT / name).is_file()]


def modules(root):
    """Every file of the package, of the programs beside the docs, and of the tests but what pytest
    alone imports, by the name under which others import it."""
    package = {
        ".".join(p.relative_to(root / "src").with_suffix("").parts).removesuffix(".__init__"): p
        for p in (root / "src").rglob("*.py")
    }
    tools = {
        ".".join(p.relative_to(root / "docs").with_suffix("").parts): p
        for p in (root / "docs").rglob("*.py")
    }
    tests = {p.stem: p for p in (root / "tests").rglob("*.py") if p.name != "conftest.py"}
    return package | tools | tests


def needs(path, files):
    """The modules that a file names in its imports, wherever they stand: at the top, in functions,
    for type checkers alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom):
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (
                name if name in files else node.module
                for name in inside
                if name in files or node.module in files
            )


def users(root):
    """Who imports a file, by that file; a conftest.py is imported by every test at its side and
    below."""
    files, found = modules(root), defaultdict(set)
    for path in files.values():
        for name in needs(path, files):
            found[files[name]].add(path)
    for shared in (root / "tests").rglob("conftest.py"):
        found[shared] |= {p for p in shared.parent.rglob("*.py") if p != shared}
        for name in needs(shared, files):
            found[files[name]].add(shared)
    return dict(found)


def starts(path, root):
    """The Python files that stand for a changed one: itself, or the code around a template or a
    script; and the tests that read it."""
    folders = [
        root / "tests" / folder
        for place, folder in READERS.items()
        if path.is_relative_to(root / place)
    ]
    if path.suffix == ".py":
        yield path
    elif path.is_relative_to(root / "src/assay"):
        yield from next(found for folder in path.parents if (found := list(folder.glob("*.py"))))
    elif not folders:
        folders = [root / "tests/house"]
    yield from (test for folder in folders for test in folder.glob("test_*.py"))


def nearest(paths, root=ROOT):
    """The test files that these changes touch: by the number of imports between, then those of the
    same layer, then by name."""
    known, edge, distance = users(root), {s for p in paths for s in starts(p, root)}, {}
    layers = {
        p.relative_to(root / "src/assay").parts[0]
        for p in edge
        if p.is_relative_to(root / "src/assay")
    }
    while edge:
        distance |= dict.fromkeys(edge, max(distance.values(), default=-1) + 1)
        edge = {user for path in edge for user in known.get(path, ())} - distance.keys()
    tests = [p for p in distance if p.name.startswith("test_")]
    return sorted(
        tests, key=lambda p: (distance[p], p.relative_to(root / "tests").parts[0] not in layers, p)
    )


if __name__ == "__main__":
    print(*(path.relative_to(ROOT) for path in nearest(changed())), sep="\n")
