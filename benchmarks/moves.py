"""How many files a command goes through, how often it moves between them, and its CPU-seconds.

Counted with `sys.setprofile` in the process of the command: a file counts where one of its
functions is called, a move where a function of one file calls one of another, through other
libraries or not; what runs while a module is loaded does not count. The CPU-seconds are of a second
process that counts nothing, loading included.

Goals for examples/country.toml: `run` at most 45 files and 4,000 moves; `show` of its result at
most 15 files, 400 moves and .3 CPU-seconds, without torch and without making the study.
Run: python benchmarks/moves.py [NAME [OPTION …]]
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import assay
from assay.cli.main import main as command

HERE = Path(assay.__file__).parent
LOADED = time.process_time()
"""CPU-seconds until a command can begin."""
ABSENT = ("torch", "assay.ask.composing")
"""Modules that showing a result does without."""


class Counter:
    """Counts files and moves between them while it is the profile function."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.moves = self.loading = 0

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename
        if not file.startswith(str(HERE)) or event not in ("call", "return"):
            return
        if frame.f_code.co_name == "<module>":
            self.loading += 1 if event == "call" else -1
        elif event == "call" and not self.loading:
            caller = frame.f_back
            while caller is not None and not caller.f_code.co_filename.startswith(str(HERE)):
                caller = caller.f_back
            self.files.add(file)
            self.moves += caller is not None and caller.f_code.co_filename != file


def apart(words: Sequence[str], *, counting: bool) -> tuple[dict[str, object], float]:
    """What a process of its own counts of a command, and its CPU-seconds."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        counter = Counter()
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            if counting:
                sys.setprofile(counter)
            code = command(words)
            sys.setprofile(None)
        loaded = [name for name in ABSENT if name in sys.modules]
        counted = {"files": len(counter.files), "moves": counter.moves, "loads": loaded}
        os.write(writer, json.dumps(counted).encode())
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as answers:
        counted = json.loads(answers.read() or "{}")
    _, status, used = os.wait4(child, 0)
    assert status == 0, words
    return counted, used.ru_utime + used.ru_stime


def main() -> None:
    """Count a run and the showing of its result."""
    name, *options = sys.argv[1:] or ["examples/country.toml"]
    with tempfile.TemporaryDirectory() as folder:
        for verb in ("run", "show"):
            words = [verb, name, *options, "--root", f"{folder}/store"]
            counted, _ = apart(words, counting=True)
            _, seconds = apart(words, counting=False)
            print(json.dumps({"command": verb, **counted, "cpu_s": round(LOADED + seconds, 2)}))


if __name__ == "__main__":
    main()
