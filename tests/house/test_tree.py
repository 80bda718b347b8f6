"""The lock file has the constraints, and no file the mark of a conflict."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


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
