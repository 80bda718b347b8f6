"""Links of the pages lead somewhere, the README's table is judged as typed, and blocks run with the
models that they name."""

import contextlib
import linecache
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from forks import Ended

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(
        page
        for folder in ("tutorials", "how-to", "explanation", "reference", "tables")
        for page in sorted((ROOT / "docs" / folder).glob("*.md"))
    ),
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page):
    text = page.read_text().partition("\n## Exercises\n")[0]
    return [(kind, code) for kind, code in BLOCK.findall(text) if kind in {"bash", "python"}]


@pytest.mark.model
@pytest.mark.thorough
@pytest.mark.parametrize("page", [ROOT / "docs/models.md"], ids=["models.md"])
def test_code_blocks_run_with_the_models_that_they_name(page, commands, tmp_path):
    run_blocks(page, commands, tmp_path)


def run_blocks(page, commands, folder):
    """Run the blocks of a page in the order of the page, in one folder."""
    ours = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {key: value for key, value in os.environ.items() if key != "ASSAY_ROOT"} | {"PATH": ours}
    with contextlib.chdir(folder):
        for kind, code in blocks(page):
            if kind == "bash":
                done = typed(code, commands, folder, env)
                assert done.code == 0, f"{page.name}:\n{code}\n{done.out}{done.err}"
            else:
                # what inspect reads as the source of the block's functions
                lines = code.splitlines(keepends=True)
                linecache.cache[page.name] = (len(code), None, lines, page.name)
                exec(compile(code, page.name, "exec"), {"__name__": "__main__"})


def test_the_readmes_table_is_judged_as_typed(commands, tmp_path):
    (code,) = [c for _, c in BLOCK.findall((ROOT / "README.md").read_text()) if "assay judge" in c]
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = typed(code.removeprefix("$ "), commands, tmp_path, dict(os.environ))
    assert done.code == 0 and "● holds: " in done.out


def typed(code, commands, cwd, env):
    """What a shell says to a block. A plain line that starts with `assay` is run in this
    process."""
    out = err = ""
    for line in code.replace("\\\n", " ").splitlines():
        redirected = re.fullmatch(r"(.*) > ([\w./-]+)", line)
        command, file = redirected.groups() if redirected else (line, "")
        if command.startswith("assay ") and not re.search(r"[|&;$`]", line):
            verb, *words = shlex.split(command)[1:]
            done = commands.run(
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


@cache
def anchors(page):
    """The names of a page's headings, as GitHub and the site make them."""
    heads = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head) for head in heads)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", BLOCK.sub("", page.read_text()))
    dead = [link for link, _ in links if not (page.parent / link).exists()]
    assert not dead, f"{page.name} links to {dead}"
    places = [(page.parent / link if link else page, place) for link, place in links if place]
    dead = [f"{to.name}#{it}" for to, it in places if to.suffix == ".md" and it not in anchors(to)]
    assert not dead, f"{page.name} links to {dead}"
