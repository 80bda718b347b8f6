"""docs/how-it-is-built.md names the packages that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-it-is-built.md"


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
