"""docs/how-it-is-built.md names the packages that are there and stays short; each file says what
it holds."""

import re
from pathlib import Path

from marks import kinds

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-it-is-built.md"
MOST = 2500
"""Words of the page."""


def packages(root: Path) -> set[str]:
    """The packages below a folder by their dotted names."""
    found = {".".join(p.parent.relative_to(root).parts) for p in root.rglob("__init__.py")}
    return found - {""}


def test_the_page_names_every_package_and_no_other() -> None:
    rows = re.findall(r"^\| (`[a-z_.]+`(?:, `[a-z_.]+`)*) \|", PAGE.read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    here = packages(ROOT / "src/assay")
    assert not here - named, f"docs/how-it-is-built.md lacks {sorted(here - named)}"
    assert not named - here, f"docs/how-it-is-built.md has {sorted(named - here)}, not there"


def test_every_file_says_what_it_holds() -> None:
    lines = kinds.files()
    assert not sorted(path for path, line in lines.items() if not line)
    here = {p.relative_to(ROOT / "src/assay").as_posix() for p in ROOT.glob("src/assay/**/*.py")}
    assert set(lines) == here


def test_the_page_is_short() -> None:
    assert len(PAGE.read_text().split()) <= MOST
