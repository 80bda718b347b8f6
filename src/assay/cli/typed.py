"""Typed: the commands that hints name, as they work in the shell that called, with the program's
path where `assay` alone is not found."""

from __future__ import annotations

import functools
import os
import re
import shlex
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

COMMAND = re.compile(r"(?<![\w./\\-])(?<!-m )assay (?=[a-z]+\b)")
MEANT = re.compile(r"did you mean \"?(?P<right>[^\s?\"]+)\"?\?", re.IGNORECASE)


@functools.cache
def program() -> str:
    """Say how to call this very program: `assay` where PATH leads to it, else as it was called."""
    on_path = (Path(folder, "assay") for folder in os.get_exec_path())
    executable = next((file for file in on_path if os.access(file, os.X_OK)), None)
    if (
        executable is not None
        and executable.resolve().parent == Path(sys.executable).parent.resolve()
    ):
        return "assay"
    if Path(sys.argv[0]).stem == "assay":
        return shlex.quote(sys.argv[0])
    called = sys.orig_argv  # python -m assay, python -X utf8 -m assay
    return shlex.join(
        called[: called.index("-m") + 2] if "-m" in called else [sys.executable, "-m", "assay"]
    )


def runnable(text: str) -> str:
    """Have each command of a text call this very program."""
    return COMMAND.sub(lambda _: f"{program()} ", text) if program() != "assay" else text


def meant(text: str, words: Sequence[str]) -> str:
    """End a "did you mean …?" with the whole command, where the mistaken word is one of those that
    were typed."""
    match = MEANT.search(text)
    wrong = next(
        (
            word
            for word in words
            if any(quoted in text for quoted in (f"'{word}'", f'"{word}"', f"option: {word}."))
        ),
        None,
    )
    if match is None or wrong is None:
        return text
    right = [match["right"] if word == wrong else word for word in words]
    return f"{text[: match.end()]} Type: {program()} {shlex.join(right)}"


def placed(text: str, words: Sequence[str]) -> str:
    """Have the command at the end of an error name the file and the store that were typed."""
    for path in (word for word in words if Path(word).name != word and not word.startswith("-")):
        pattern = re.compile(rf"(?<=assay run ){re.escape(Path(path).name)}(?![\w-])")
        text = pattern.sub(lambda _, path=path: shlex.quote(path), text)  # type: ignore[misc]
    root = next((after for word, after in pairwise(words) if word == "--root"), "")
    return (
        f"{text} --root {shlex.quote(root)}"
        if root and re.search(r"assay run [^;`,]*$", text)
        else text
    )
