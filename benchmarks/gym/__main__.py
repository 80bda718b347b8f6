"""Give a world out, score what was found in it, or let an agent by rule look for it.

    python benchmarks/gym new FOLDER [--level 3] [--seed N]
    python benchmarks/gym score FOLDER ANSWERS.csv
    python benchmarks/gym play AGENT [--level 3] [--seed N] [--desk plain]

`new` writes FOLDER/effects.csv and a question; ANSWERS.csv has columns candidate and group, a row
for each discovery. Agents by rule: honest, p-hacker, lazy, exhaustive, guessing."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from handing import TABLE, Scored, hand_out, play, score
from worlds import LEVELS, World

from agents import AGENTS
from assay.core.errors import AssayError
from assay.core.nouns import counted


def main(words: list[str] | None = None) -> int:
    """Do what was typed, and give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks/gym",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("new", "score", "play"))
    parser.add_argument("name", help="of a folder, or of an agent by rule")
    parser.add_argument("answers", nargs="?", type=Path)
    parser.add_argument("--level", type=int, default=3, choices=sorted(LEVELS))
    parser.add_argument("--seed", type=int, help="of the world; drawn without it")
    parser.add_argument("--desk", choices=("plain", "assay"), default="assay")
    parser.add_argument("--keys", type=Path, default=Path("gym-keys"), help="what opens worlds")
    asked = parser.parse_args(words)
    seed = secrets.randbits(40) if asked.seed is None else asked.seed
    if (asked.answers is None) == (asked.what == "score"):
        parser.error("score takes FOLDER ANSWERS.csv; new takes FOLDER, and play an agent")
    if asked.what == "play" and asked.name not in AGENTS:
        parser.error(f"there is no agent {asked.name!r}; there are {', '.join(AGENTS)}")
    try:
        if asked.what == "new":
            hand_out(Path(asked.name), World(asked.level, seed), asked.keys)
            print(LEVELS[asked.level].question, Path(asked.name) / TABLE, sep="\n")
        elif asked.what == "score":
            report(score(Path(asked.name), asked.answers, asked.keys))
        else:
            report(play(asked.name, World(asked.level, seed), asked.desk))
    except AssayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def report(scored: Scored) -> None:
    """Print how many discoveries are true and false, and how many there are to make."""
    s = scored
    print(
        f"level {s.level}: found {s.true} of {s.planted} planted effects and reported "
        f"{counted(s.false, 'false discovery')}"
    )


if __name__ == "__main__":
    sys.exit(main())
