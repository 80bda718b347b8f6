"""What the pages say is true of the program.

The rule for code blocks in README.md and docs/*.md: a block marked `bash` or `python` is run, in
the order of its page, in one empty folder per page; any other block (`console` for what takes
minutes or a network, `text`) is only read. Every verb and option of `assay`, and every target of
`make`, must exist wherever code is shown. Exercises are run by test_exercises.py, and the files of
extend.md, its blocks marked `py`, by test_extend.py."""

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from forks import Ended, Forks

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    text = page.read_text().partition("\n## Exercises\n")[0]
    return [(kind, code) for kind, code in BLOCK.findall(text) if kind in {"bash", "python"}]


def shown(page: Path) -> list[str]:
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
DEAR = ("preregister.md", "first-claim.md", "studies.md", "reproducing.md", "train-one.md")
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
def test_code_blocks_run(page: Path, forks: Forks, tmp_path: Path) -> None:
    ours = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {key: value for key, value in os.environ.items() if key != "ASSAY_ROOT"} | {"PATH": ours}
    for kind, code in blocks(page):
        done = (
            typed(code, forks, tmp_path, env)
            if kind == "bash"
            else forks.execute(code, tmp_path, env)
        )
        assert done.code == 0, f"{page.name}:\n{code}\n{done.out}{done.err}"


def typed(code: str, forks: Forks, cwd: Path, env: dict[str, str]) -> Ended:
    """What a shell says to a block. A plain line that starts with `assay` costs a fork, and trains
    in that process."""
    out = err = ""
    for line in code.replace("\\\n", " ").splitlines():
        command, _, file = line.partition(" > ")
        if command.startswith("assay ") and not re.search(r"[|&;$`]", line):
            verb, *words = shlex.split(command)[1:]
            done = forks.run(
                [verb, *words, *(["--executor", "inline"] if verb == "run" else [])], cwd, env
            )
            if file:
                (cwd / file).write_text(done.out)
        else:
            ran = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", line],
                capture_output=True,
                text=True,
                cwd=cwd,
                env=env,
                check=False,
            )
            done = Ended(ran.returncode, ran.stdout, ran.stderr)
        out, err = out + done.out, err + done.err
        if done.code:
            break
    return Ended(done.code, out, err)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_typed_exists(page: Path) -> None:
    from assay.cli.main import app

    verbs = {name for name in app.resolved_commands() if not name.startswith("-")}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in shown(page):
        for verb, rest in re.findall(
            r"(?:^|[\s;&|$(])assay ([a-z]+(?:-[a-z]+)*)\b([^;|&#]*)", line
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
def usage(verb: str) -> str:
    from assay.cli.main import app

    return app[verb].generate_docs(output_format="markdown", usage_name="assay")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", BLOCK.sub("", page.read_text()))
    dead = [link for link in links if not (page.parent / link).exists()]
    assert not dead, f"{page.name} links to {dead}"


def test_every_environment_variable_is_documented() -> None:
    read = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"ASSAY_[A-Z0-9_]+", path.read_text())
    }
    page = (ROOT / "docs/cli.md").read_text()
    documented = set(re.findall(r"^\| `(ASSAY_\w+)` \|", page, re.MULTILINE))
    assert documented == read
