"""What the pages say is true of the program.

The rule for code blocks in README.md and docs/: a block marked `bash` or `python` is run, in the
order of its page, in one empty folder per page; any other block (`console` for what takes minutes
or a network, `text`) is only read. Every verb and option of `assay`, and every target of `make`,
must exist wherever code is shown. Exercises are run by test_exercises.py, and the files of
extend.md, its blocks marked `py`, by test_extend.py."""

import re
from functools import cache

import pytest

import stand_ins
from acceptance.test_docs import BLOCK, PAGES, ROOT, blocks, run_blocks
from assay.subjects import fetch


def shown(page):
    """The lines of all code blocks that are no Python, and all inline code."""
    text = page.read_text()
    inside = [
        line
        for kind, code in BLOCK.findall(text)
        if kind != "python"
        for line in code.replace("\\\n", " ").splitlines()
    ]
    return [*inside, *re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))]


SLOW = ("challenge.md", "mamba.md")
DEAR = (
    "architectures.md",
    "agents.md",
    "preregister.md",
    "first-claim.md",
    "studies.md",
    "reproducing.md",
    "train-one.md",
)
RUN = [
    pytest.param(
        page,
        marks=[pytest.mark.slow] * (page.name in SLOW)
        + [pytest.mark.thorough] * (page.name in DEAR),
        id=page.name,
    )
    for page in PAGES
    if blocks(page)
]


@pytest.mark.parametrize("page", RUN)
def test_code_blocks_run(page, commands, tmp_path, monkeypatch):
    """Where a page names a packaged model, a tiny one stands in for it."""
    (tmp_path / "models").mkdir()
    if "smollm2" in "".join(code for _, code in blocks(page)):
        tiny = stand_ins.make(tmp_path / "models", [page])
        monkeypatch.setattr(fetch.PackagedModel, "find", lambda packaged: tiny[packaged.name])
    run_blocks(page, commands, tmp_path)


def test_the_files_that_the_readme_names_are_there():
    """All but what its commands write: a reader types them in the repository's root."""
    words = [word for line in shown(ROOT / "README.md") for word in line.split()]
    named = {w.strip("'\"`,") for w in words if re.search(r"\w\.(py|csv|toml)\W?$", w)}
    there = {f.name for f in (ROOT / "examples").iterdir()}
    missing = [w for w in named if not (ROOT / w).exists() and w not in there]
    assert len(named) > 4 and not missing, f"README.md names {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_typed_exists(page):
    from assay.cli.main import app

    verbs = {name for name in app.resolved_commands() if not name.startswith("-")}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in shown(page):
        for verb, rest in re.findall(
            r"(?:^|[\s;&|$(])(?<!from )assay ([a-z]+(?:-[a-z]+)*)\b([^;|&#]*)", line
        ):
            assert verb in verbs, f"{page.name}: no verb {verb!r} in {line!r}"
            known = set(re.findall(r"--[a-z-]+", usage(verb)))
            unknown = set(re.findall(r"(?<!\S)--[a-z-]+", rest)) - known
            assert not unknown, (
                f"{page.name}: {sorted(unknown)} are no options of {verb} in {line!r}"
            )
        for target in re.findall(r"(?:^|[\s;&|])make ([a-z]+)\b", line):
            assert target in targets or line != line.strip(), (
                f"{page.name}: no target {target!r} in {line!r}"
            )


@cache
def usage(verb):
    from assay.cli.main import app

    return app[verb].generate_docs(output_format="markdown", usage_name="assay")


def test_every_environment_variable_is_documented():
    read = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"ASSAY_[A-Z0-9_]+", path.read_text())
    }
    page = (ROOT / "docs/cli.md").read_text()
    documented = set(re.findall(r"^\| `(ASSAY_\w+)` \|", page, re.MULTILINE))
    assert documented == read
