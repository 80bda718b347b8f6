"""The pages of this repository as a site that works from a folder: README.md and docs/, with all
that is too long for files that people read, and a reference from docstrings.

    sphinx-build -W --keep-going -c site . build/site

Sources stay where people read them. In place of a sentence between `<!-- site: … -->` and
`<!-- end -->` a page gets what the mark asks for: of `KINDS` in docs/marks/kinds.py, or of `KINDS`
here, which know the command line.
"""

from __future__ import annotations

import json
import posixpath
import re
import shutil
import sys
from importlib import import_module
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.search.en import SearchEnglish

from assay.cli.main import app as commands
from assay.cli.main import example

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))
import gallery  # noqa: E402
from marks import kinds  # noqa: E402

project, author, version = "Assay", "The Assay authors", installed("interp-assay")
project_copyright = f"2026 {author}"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
root_doc = "README"
source_suffix = {".md": "markdown", ".ipynb": "markdown"}
PAGES = ("tutorials", "how-to", "explanation", "reference")
"""Folders of docs, by what a reader wants."""
BESIDE = [
    "CHANGELOG",
    "CONTRIBUTING",
    "SECURITY",
    "benchmarks/coverage/README",
    "benchmarks/device/README",
    "benchmarks/records",
    "catalogue/README",
    "referee/README",
    "tests/fixtures/formats/README",
]
"""Pages outside docs/ to which its pages link."""
include_patterns = [
    "README.md",
    "docs/*.md",
    *(f"docs/{kind}/*.md" for kind in PAGES),
    "docs/tables/*.md",
    "docs/decisions/*.md",
    "docs/notebooks/*.ipynb",
    "catalogue/README.md",
    "catalogue/docs/*.md",
    "catalogue/records/*.md",
    "referee/README.md",
    "referee/docs/*.md",
    "site/claims.md",
    "site/reference.md",
    *(f"{page}.md" for page in BESIDE),
]
exclude_patterns = ["build", ".venv"]

myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]
copybutton_prompt_text = "$ "
autodoc_member_order = "bysource"
autodoc_typehints = "none"
"""Shapes are in the signatures of the source; in a page's line they would be longer than what they
explain."""
nitpicky = False

html_theme = "furo"
html_title = "Assay"
html_static_path = ["style"]
html_css_files = ["tables.css"]
html_search_scorer = str(ROOT / "site/scorer.js")
html_show_sourcelink = False
html_copy_source = False

RESULTS = "Results"
PARTS = {
    "Start": (),
    "A hook of your own": ("Check a claim about your own hook",),
    "A question": ("Ask a model",),
    "A dictionary": ("Measure your own dictionary",),
    "A table of results": ("Judge your own table",),
    "Understand": ("Understand a verdict",),
    "Share": ("Share a result",),
    "Shell, cluster, agents": ("Run it from a shell, on a cluster or through an agent",),
    "Learn": ("Learn it",),
    "Reference": (),
    RESULTS: ("Results of our experiments",),
    "Why to believe it": ("How far to trust it",),
    "How it is built": ("Extend it",),
    "Other files": (),
}
"""Headings of the site's contents → the sections of docs/README.md whose pages are under them;
results go by the short names they have there, which are what one types."""
TABLES = [
    "model",
    "prompts",
    "read",
    "internals",
    "weights",
    "direction",
    "subspaces",
    "intervene",
    "probe",
    "train",
    "diff",
    "claim",
    "parts",
    "functions",
    "controls",
]
"""Pages of docs/tables, in the order in which a study is written."""
FIRST = {
    "Start": [
        "docs/README",
        *(f"docs/notebooks/{path.stem}" for path in gallery.NOTEBOOKS),
        "docs/first-claim",
    ],
    RESULTS: ["catalogue/docs/catalogue", "site/claims"],
    "Reference": [
        "docs/asking-tables",
        *(f"docs/tables/{page}" for page in TABLES),
        "docs/cli",
        "site/reference",
        "docs/metrics",
        "docs/architectures",
        "docs/glossary",
    ],
    "Other files": BESIDE,
}
"""Pages that come first under a heading, by their own titles, wherever docs/README.md has them."""


def contents() -> str:
    """Write the hidden contents: every page that docs/README.md links to, once, in its order;
    a link to a section gives its page no place."""
    sections = dict(
        re.findall(
            r"^## (.+?)\n(.*?)(?=^## |\Z)",
            (ROOT / "docs" / "README.md").read_text("utf-8"),
            re.M | re.S,
        )
    )
    if left := set(sections) - {name for names in PARTS.values() for name in names}:
        raise ValueError(
            "sections of docs/README.md that have no place on the site: "
            f"{', '.join(sorted(left))}; name them in PARTS"
        )
    listed = (ROOT / "catalogue/docs/catalogue.md").read_text("utf-8")
    sections["Results of our experiments"] += " ".join(
        f"[{name}](../catalogue/docs/{page})"
        for name, page in re.findall(r"^\| \[([^]]+)\]\(([\w-]+\.md)", listed, re.M)
    )
    seen, parts = {page for pages in FIRST.values() for page in pages}, []
    for part, names in PARTS.items():
        lines = list(FIRST.get(part, ()))
        for text, page in (
            link
            for name in names
            for link in re.findall(r"\[([^]]+)\]\(([\w./-]+)\.md\)", sections[name])
        ):
            place = posixpath.normpath(f"docs/{page}")
            if place not in seen:
                seen.add(place)
                lines.append(f"{text} <{place}>" if part == RESULTS else place)
        parts.append(
            "\n".join(["```{toctree}", ":hidden:", f":caption: {part}", "", *lines, "```"])
        )
    return "\n\n".join(parts)


def reference() -> str:
    """Write one section for each module whose names `import assay` offers, with what the docstrings
    say."""
    import assay

    values = {name: getattr(assay, name) for name in assay.__all__ if not name.startswith("_")}
    packages = {name: value for name, value in values.items() if hasattr(value, "__path__")}
    modules = {
        name: value
        for name, value in values.items()
        if hasattr(value, "__file__") and name not in packages
    }
    plain = {
        name: value
        for name, value in values.items()
        if name not in packages and name not in modules
    }
    rows = ["## `assay`", ""]
    for name, value in sorted(plain.items()):
        home = getattr(value, "__module__", "")
        if not home.startswith("assay"):
            continue
        kind = "class" if isinstance(value, type) else "function" if callable(value) else ""
        if kind and getattr(import_module(home), name, None) is value:
            members = "\n   :members:" if kind == "class" else ""
            rows += ["```{eval-rst}", f".. auto{kind}:: assay.{name}{members}", "```", ""]
    for name, module in sorted(modules.items()):
        rows += [
            f"## `assay.{name}`",
            "",
            "```{eval-rst}",
            f".. automodule:: {module.__name__}",
            "   :members:",
            "```",
            "",
        ]
    return "\n".join(rows)


def verbs() -> str:
    """The help of every verb, its example at the end."""
    text = commands.generate_docs(output_format="markdown", usage_name="assay")
    text = text[text.index("**Measure your own**") :].replace("\n        ", " ")
    # `assay --help` names this option, which is no verb
    text = re.sub(r"(?ms)^\*\*Options\*\*:.*?(?=^## assay [a-z])", "", text, count=1)
    return re.sub(r"(?ms)^(## assay (\S+)\n.*?)(?=^## |\Z)", _exemplified, text)


def _exemplified(section: re.Match[str]) -> str:
    lines = [line[2:] for line in example(section[2]).splitlines()[1:]]
    shown = ["**Example**:", "", "```console", *lines, "```", ""] if lines else []
    return "\n".join([f"#{section[1].rstrip()}", "", *shown, ""])


KINDS = {**kinds.KINDS, "names": reference, "verbs": verbs}
"""What a page can ask for."""


def filled(app: Sphinx, page: str, source: list[str]) -> None:
    """Put what the site alone has where the page asks for it; the contents under the README."""
    if page.startswith("docs/notebooks/"):
        source[0] = gallery.markdown(json.loads(source[0]))
    source[0] = kinds.filled(source[0], "site", KINDS)
    if page.startswith("catalogue/records/"):  # each is linked from the page whose history it is
        source[0] = f"---\norphan: true\n---\n\n{source[0]}"
    if page == root_doc:
        source[0] += f"\n\n{contents()}\n"


STACKED = range(4, 9)
"""Columns of the tables whose rows become blocks on a phone; wider ones scroll."""
PROSE = 40
"""A table of three columns fits on a phone if no cell has more letters than this."""


def stack(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Give each cell of a table the head of its column, which a phone shows before it."""
    context["body"] = re.sub(r"<table.*?</table>", _named, context.get("body", ""), flags=re.S)


def _named(table: re.Match[str]) -> str:
    heads = [_words(head) for head in re.findall(r"<th\b.*?</th>", table[0], re.S)]
    cells = re.findall(r"<td\b.*?</td>", table[0], re.S)
    is_prose = len(heads) == 3 and any(len(_words(cell)) > PROSE for cell in cells)
    if len(heads) not in STACKED and not is_prose:
        return table[0]

    def line(row: re.Match[str]) -> str:
        names = iter(heads)
        return re.sub(r"<td\b", lambda _: f'<td data-name="{next(names, "")}"', row[0])

    rows = re.sub(r"<tr\b.*?</tr>", line, table[0], flags=re.S)
    return rows.replace('class="', 'class="stack ', 1)


def _words(markup: str) -> str:
    return re.sub(r"<.*?>|[\"?]", "", markup).strip()


class Identifiers(SearchEnglish):
    """English in which a name of code is found by its parts, too: a search looks at longer words
    only where no page has the word itself."""

    def split(self, text: str) -> list[str]:
        """Split into words, and each name into its parts and its ends: of hook_resid_pre also
        hook, resid, pre and resid_pre."""
        words = []
        for word in super().split(text):
            parts = word.split("_")
            ends = ("_".join(parts[i:]) for i in range(len(parts)))
            words += filter(None, {word: 0} | dict.fromkeys((*ends, *parts)))
        return words


SECTION = re.compile(r"(Args|Formula|Range|Better|Raises|Source|Differs|Example):")


def plain(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Turn a docstring's marks into those of Sphinx: code and examples stay as they are, and every
    other sign is itself."""
    out: list[str] = []
    example = False
    for line in lines:
        example = line.strip().startswith(">>>") or (example and bool(line.strip()))
        if SECTION.match(line):
            out.append("")  # a paragraph of its own
        marked = "".join(_part(part) for part in re.split(r"(`[^`]*`)", line))
        out.append(line if example else marked)
    lines[:] = out


def _part(text: str) -> str:
    return f"`{text}`" if text[:1] == "`" and len(text) > 2 else re.sub(r"([*|\\_])", r"\\\1", text)


def pictures(app: Sphinx, error: Exception | None) -> None:
    """Put pictures where HTML in the pages looks for them, which Sphinx does not read; let the
    folder open at the README."""
    if error is None and app.builder.format == "html":
        (Path(app.outdir) / "index.html").write_text(
            f'<meta http-equiv="refresh" content="0; url={root_doc}.html">\n', "utf-8"
        )
        for folder in ("docs/pictures", "catalogue/docs/pictures"):
            shutil.copytree(ROOT / folder, Path(app.outdir) / folder, dirs_exist_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", filled)
    # before napoleon, which makes Sphinx's own marks of arguments and examples
    app.connect("autodoc-process-docstring", plain, priority=400)
    app.add_search_language(Identifiers)
    app.connect("html-page-context", stack)
    app.connect("build-finished", pictures)
    return {"parallel_read_safe": True}
