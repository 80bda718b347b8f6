"""Checking: a claim about a function in the workspace, checked by `assay check` in a process of its
own: the function is a program, and what it does must not be done to the server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from assay.agents import answers, basis
from assay.agents.answers import Answer
from assay.agents.asking import Bounds, most
from assay.core.errors import AssayError, DataError, nearest
from assay.core.results import Judged
from assay.jobs.process import Limits, spawn

FILES = ("vector", "acts", "labels", "elsewhere", "around", "norms", "rates")
"""Options that name a file."""
WORDS = (
    *("heads", "neurons", "latents", "layer", "site", "position", "source", "text", "feature"),
    *("edge", "of", "others", "also", "draws", "unit", "beats", "scope", "batch"),
)
"""The other options of `assay check` that say what is credited and how it is judged."""
PROMPTS = 20_000
Plain = bool | int | float | str


def check_claim(
    bounds: Bounds,
    file: str,
    function: str,
    sentence: str,
    holds: str,
    prompts: Sequence[Mapping[str, Any]] | str,
    credits: Mapping[str, Plain],
    seconds: float,
) -> Answer:
    """Check a claim about a function, and answer with its verdict. Raises: AssayError."""
    path = bounds.code_file(file, "file")
    if not function.isidentifier():
        raise DataError(f"function: {function[:80]!r} is not a name")
    with TemporaryDirectory(prefix="assay-") as folder:
        place = Path(folder)
        words = [f"{path}:{function}", f"--sentence={sentence}", f"--holds={holds}"]
        words += [f"--prompts={_prompts(prompts, place)}", *_options(bounds, credits)]
        out, log = place / "out.json", place / "log.txt"
        words = ["check", *words, "--json"]
        process, start = spawn(words, path.parent, out, log, Limits(seconds=seconds))
        with start:
            start.write(b".")
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
            raise AssayError(
                f"it took more than {seconds:g} s; finished calls are kept: call "
                "check_claim again with the same arguments"
            ) from None
        text = out.read_text()
        if process.returncode or not text.strip():
            lines = log.read_text(errors="replace").strip().splitlines()
            raise DataError(lines[-1] if lines else "the check ended without an answer")
    judged = Judged.from_json(json.loads(text))
    return answers.checked(judged, basis.of_table(sum(judged.n.values()), text))


def _options(bounds: Bounds, credits: Mapping[str, Plain]) -> list[str]:
    words = []
    for name, value in credits.items():
        if name not in (*FILES, *WORDS):
            raise DataError(
                f"credits: {name[:80]!r} is not an option; {nearest(name, (*FILES, *WORDS))}"
            )
        if name in FILES:
            value = str(bounds.place(str(value), f"credits.{name}"))
        words.append(f"--{name}={value}")
    return words


def _prompts(prompts: Sequence[Mapping[str, Any]] | str, folder: Path) -> Path:
    """Write the prompts to a file. Raises: DataError."""
    path = folder / "prompts.csv"
    if isinstance(prompts, str):
        most(len(prompts.splitlines()), PROMPTS, "prompts")
        path.write_text(prompts, encoding="utf-8", errors="replace")
        return path
    most(len(prompts), PROMPTS, "prompts")
    if not prompts or len({tuple(row) for row in prompts}) > 1:
        raise DataError('prompts: give rows with the same columns, such as {text: "…"}')
    path = folder / "prompts.jsonl"
    with path.open("w", encoding="utf-8", errors="replace") as lines:
        for row in prompts:
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path
