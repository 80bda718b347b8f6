"""The page on how it is built names every package, and the lock file has the constraints."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-it-is-built.md"


def packages(root):
    """The packages below a folder by their dotted names."""
    found = {".".join(p.parent.relative_to(root).parts) for p in root.rglob("__init__.py")}
    return found - {""}


def test_the_page_names_every_package_and_no_other():
    rows = re.findall(r"^\| [\w ]+ \| (`[a-z_.]+`(?:, `[a-z_.]+`)*) \|", PAGE.read_text(), re.M)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    here = packages(ROOT / "src/assay")
    assert not here - named, f"docs/how-it-is-built.md lacks {sorted(here - named)}"
    assert not named - here, f"docs/how-it-is-built.md has {sorted(named - here)}, not there"


def test_the_lock_file_has_the_constraints_with_hashes():
    """Whoever installs from the lock file gets the versions that the tests were run with."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = [line.removesuffix(" \\") for line in lines if re.match(r"\w", line)]
    plain = [re.sub(r"\[.*?\]", "", line).lower().replace("_", "-") for line in locked]
    pinned = [
        line.lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    ]
    assert sorted(plain) == sorted(pinned)
    hashed = "\n".join(lines).split("\n    --hash=sha256:")
    assert len(hashed) > len(locked)


def test_no_tracked_file_has_the_mark_of_a_conflict():
    git = ["git", "-C", ROOT, "grep", "-lIE", "^(<{7}|>{7}) "]
    assert not subprocess.run(git, capture_output=True, text=True).stdout
