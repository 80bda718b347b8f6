"""The pages as a site: every link leads somewhere, every page is there, and nothing is loaded from
a network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_site_is_whole_and_needs_no_network(tmp_path: Path) -> None:
    made = tmp_path / "site"
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-q",
            "-W",
            "--keep-going",
            "-d",
            tmp_path / "trees",
            "-c",
            ROOT / "site",
            ROOT,
            made,
        ],
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    for page in (*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "decisions").glob("*.md")):
        assert (made / page.relative_to(ROOT).with_suffix(".html")).is_file()
    for page in made.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|img|source|iframe)[^>]*?(?:src|srcset)="([^"]+)"|<link[^>]*?href="([^"]+)"',
            page.read_text("utf-8"),
        )
        away = [a or b for a, b in loaded if re.match(r"(?:https?:)?//", a or b)]
        assert not away, f"{page.name} loads {away}"
        here = [a or b for a, b in loaded if not (a or b).startswith("data:")]
        missing = [
            link
            for link in here
            if not (page.parent / link.partition("?")[0].partition("#")[0]).exists()
        ]
        assert not missing, f"{page.relative_to(made)} lacks {missing}"
