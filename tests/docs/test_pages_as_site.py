"""The pages as a site: wide tables are named for a phone, and nothing is loaded from a network.
`make site` checks every link."""

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def configuration():
    """The site's own configuration, as a module."""
    spec = spec_from_file_location("conf", ROOT / "site/conf.py")
    assert spec is not None and spec.loader is not None
    site = module_from_spec(spec)
    spec.loader.exec_module(site)
    return site


def test_cells_of_many_columns_or_of_prose_are_named_for_a_phone_and_few_or_very_many_are_left():
    def table(columns, words="c"):
        heads = "".join(f'<th class="head"><p>h{i}</p></th>' for i in range(columns))
        cells = f"<td><p>{words}</p></td>" * columns
        return f'<table class="docutils"><tr>{heads}</tr><tr>{cells}</tr></table>'

    site = configuration()
    context = {"body": "".join(map(table, (3, 4, 9))) + table(3, "words " * 10)}
    site.stack(None, "", "", context, None)
    few, four, many, prose = context["body"].split("</table>")[:4]
    assert (few + "</table>", many + "</table>") == (table(3), table(9))
    assert {t.partition(">")[0] for t in (four, prose)} == {'<table class="stack docutils"'}
    assert re.findall(r'<td data-name="(\w+)">', four) == ["h0", "h1", "h2", "h3"]


def test_the_list_of_verbs_begins_with_a_verb_and_has_no_option_among_them():
    listed = re.findall(r"(?m)^### assay (.*)$", configuration().verbs())
    assert listed[0] == "check" and not [verb for verb in listed if verb.startswith("-")]


def test_the_search_finds_the_parts_and_ends_of_a_name():
    words = configuration().Identifiers({}).split("At blocks.0.hook_resid_pre, a claim")
    assert {"hook_resid_pre", "resid_pre", "hook", "resid", "pre", "claim"} <= set(words)
    assert words.count("claim") == 1 and "" not in words


@pytest.mark.slow
def test_the_site_is_whole_and_needs_no_network(tmp_path):
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
    for page in (ROOT / "docs").rglob("*.md"):
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
