"""The pages as a site: what the files leave to it is there, every link leads somewhere, and nothing
is loaded from a network."""

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from assay.lab import catalogue, documentation
from marks import kinds

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def anchors(page: str) -> set[str]:
    """What links to the headings of a page end in."""
    heads = re.findall(
        r"^#{1,4} (.+?) *$", re.sub(r"^```.*?^```", "", page, flags=re.M | re.S), re.M
    )
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", head).lower() for head in heads)
    return {re.sub(r"[ -]+", "-", re.sub(r"[^\w\- ]", "", head)) for head in plain}


def configuration() -> Any:
    """The site's own configuration, as a module."""
    spec = spec_from_file_location("conf", ROOT / "site/conf.py")
    assert spec is not None and spec.loader is not None
    site = module_from_spec(spec)
    spec.loader.exec_module(site)
    return site


def test_every_link_leads_somewhere_once_the_site_has_filled_its_pages() -> None:
    site = configuration()
    files = [file for pattern in site.include_patterns for file in ROOT.glob(pattern)]
    pages = {file: kinds.filled(file.read_text(), "site", site.KINDS) for file in files}
    heads = {file: anchors(page) for file, page in pages.items()}
    dead = []
    for file, page in pages.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", page)):
            if "://" in link:
                continue
            path, _, anchor = link.partition("#")
            there = (file.parent / path).resolve() if path else file
            if not there.exists() or (anchor and anchor not in heads.get(there, {anchor})):
                dead.append((file.name, link))
    assert not dead
    for entry in catalogue.entries():
        page = documentation.documented(ROOT / "catalogue/docs", entry.name)
        assert page is not None, entry.name
        text = kinds.filled(page.text, "site", site.KINDS)
        lacking = [arm for arm in catalogue.find(entry.name).arms if f"| `{arm}` | " not in text]
        assert not lacking, entry.name
    verbs = [name for name in site.commands.resolved_commands() if not name.startswith("-")]
    assert all(f"assay-{verb}" in heads[ROOT / "docs/cli.md"] for verb in verbs)


def test_cells_of_many_columns_are_named_for_a_phone_and_few_or_very_many_are_left() -> None:
    def table(columns: int) -> str:
        heads = "".join(f'<th class="head"><p>h{i}</p></th>' for i in range(columns))
        cells = "<td><p>c</p></td>" * columns
        return f'<table class="docutils"><tr>{heads}</tr><tr>{cells}</tr></table>'

    site = configuration()
    context = {"body": "".join(map(table, (3, 4, 9)))}
    site.stack(None, "", "", context, None)
    few, four, many = context["body"].split("</table>")[:3]
    assert (few + "</table>", many + "</table>") == (table(3), table(9))
    assert four.startswith('<table class="stack docutils">')
    assert re.findall(r'<td data-name="(\w+)">', four) == ["h0", "h1", "h2", "h3"]


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
