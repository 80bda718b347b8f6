"""The file tree in docs/how-it-is-built.md is the folder, with one line for each file."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def drawn() -> dict[str, str]:
    """Path below src/assay → its line in the page's tree; a folder with a line of its own stands
    for what is in it."""
    page = (ROOT / "docs/how-it-is-built.md").read_text()
    tree = re.search(r"^src/assay/\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert tree, "docs/how-it-is-built.md shows no tree of src/assay/"
    found, folders = {}, []
    for line in tree[1].splitlines():
        indent, name, words = re.fullmatch(r"( *)(\S+)\s*(.*)", line).groups()
        folders[len(indent) // 2 - 1 :] = [name]
        if not name.endswith("/") or words:
            assert "".join(folders) not in found, (
                f"docs/how-it-is-built.md shows {''.join(folders)} twice"
            )
            found["".join(folders)] = words
    return found


def test_the_tree_is_the_folder() -> None:
    files = [
        p.relative_to(ROOT / "src/assay").as_posix()
        for p in (ROOT / "src/assay").rglob("*")
        if p.is_file()
    ]
    here = {
        p
        for p in files
        if "__pycache__" not in p and (not p.endswith("__init__.py") or p == "__init__.py")
    }
    tree = drawn()
    whole = tuple(path for path in tree if path.endswith("/"))
    missing = sorted(path for path in here if path not in tree and not path.startswith(whole))
    gone = sorted(
        path
        for path in tree
        if path not in here and not any(p.startswith(path) for p in here if path.endswith("/"))
    )
    assert not missing, f"docs/how-it-is-built.md lacks {missing}"
    assert not gone, f"docs/how-it-is-built.md shows what is not there: {gone}"


def test_every_file_has_its_line() -> None:
    assert not [path for path, words in drawn().items() if not words]
