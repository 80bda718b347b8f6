"""Gym: a world whose truth is planted, given out as a table or played by an agent by rule, and
discoveries scored."""

from __future__ import annotations

import csv
import io
import json
import secrets
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np

from assay.core import foreign
from assay.core.errors import AssayError, DataError, nearest
from assay.core.spec import canonical_json
from assay.gym.agents import AGENTS
from assay.gym.desks import BUDGET, FIRST, Judged, Plain
from assay.gym.worlds import LEVELS, World
from assay.lab.store import atomic
from assay.verbs.options import HERE, Place
from assay.verbs.verb import Answer, Line, verb

TABLE, SEAL = "effects.csv", "gym.json"


@dataclass(frozen=True)
class Scored:
    """What came of a world."""

    level: int
    true: int
    """Discoveries of what was planted."""
    false: int
    planted: int
    looks: int
    """By an agent by rule; 0 where a file was scored."""


@dataclass(frozen=True)
class Handed:
    """A world that was given out."""

    folder: Path
    commitment: str
    """SHA-256 of level, seed and salt, which stands in the folder."""
    key: Path
    """The file, outside of the folder, that opens it."""


@verb("a world given out, or the discoveries made in one, scored")
def gym(
    what: str,
    folder: Path | None = None,
    answers: Path | None = None,
    /,
    *,
    level: int = 3,
    seed: int | None = None,
    desk: Literal["plain", "assay"] = "assay",
    place: Place = HERE,
) -> Answer[Scored | Handed]:
    """Practise finding what was planted: new gives a world out as a table, score holds a file of
    discoveries to it, and an agent's name plays that agent.

    Parameters
    ----------
    what
        new, score, or an agent by rule: honest, p-hacker, lazy, exhaustive, guessing.
    folder
        With new and score: the world's folder.
    answers
        With score: a CSV file with columns candidate and group, a row for each discovery.
    level
        1 to 6, the harder the higher.
    seed
        Draws the world; without it the operating system does.
    desk
        Of an agent: plain, arrays and Student's t; assay, frozen claims.

    Examples
    --------
    assay gym p-hacker --level 5 --seed 7 --desk plain
    assay gym new world --level 3
    """
    if level not in LEVELS:
        raise AssayError(f"--level is 1 to {max(LEVELS)}, got {level}")
    if what in AGENTS:
        return tell(play(what, World(level, 0 if seed is None else seed), desk))
    if what not in ("new", "score") or folder is None or (answers is None) == (what == "score"):
        names = ("new FOLDER", "score FOLDER ANSWERS", *AGENTS)
        raise AssayError(f"gym takes {', '.join(names)}; {nearest(what, ['new', *AGENTS])}")
    if what == "score":
        assert answers is not None
        return tell(score(folder, answers, place.root))
    made = hand_out(
        folder, World(level, secrets.randbits(40) if seed is None else seed), place.root
    )
    return Answer(made, [f"{LEVELS[level].question}", Line(str(made.folder / TABLE))])


def tell(scored: Scored) -> Answer[Scored]:
    """Say in a line how many discoveries are true and false, and how many there are to make."""
    s = scored
    return Answer(s, [f"level {s.level}: {s.true} of {s.planted} planted, and {s.false} false"])


def play(agent: str, world: World, desk: str) -> Scored:
    """Let an agent by rule look for what was planted in a world."""
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        at = Plain(world) if desk == "plain" else Judged(world, root=Path(folder) / "store")
        reported = {(r.candidate, r.group) for r in AGENTS[agent](at, world.seed)}
        return _scored(world, reported, at.looks)


def hand_out(folder: Path, world: World, root: Path) -> Handed:
    """Write a world as a table of effects, and its key into the store. Raises: AssayError where the
    folder exists."""
    if folder.exists():
        raise AssayError(f"{folder} exists; name a new folder")
    key = {"level": world.level, "seed": world.seed, "salt": secrets.token_hex(16)}
    commitment = sha256(canonical_json(key).encode()).hexdigest()
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("arm", "candidate", "group", "seed", "effect"))
    seeds = np.arange(FIRST, FIRST + BUDGET)
    for candidate in range(world.about.candidates):
        for near in range(3):
            arm = f"near{near}-{candidate}" if near else f"own-{candidate}"
            for s, of_groups in zip(seeds, world.measure(seeds, candidate, near), strict=True):
                rows.writerows((arm, candidate, g, s, f"{x:.6g}") for g, x in enumerate(of_groups))
    key_file = root / "gym" / f"{commitment[:16]}.json"
    for file, data in (
        (folder / TABLE, text.getvalue()),
        (folder / SEAL, json.dumps({"commitment": commitment, "question": world.about.question})),
        (key_file, json.dumps(key)),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(file, data.encode())
    return Handed(folder, commitment, key_file)


def score(folder: Path, answers: Path, root: Path) -> Scored:
    """Score a file of discoveries. Raises: DataError where the world, its key or the file is not as
    it should be."""
    commitment = str(foreign.json_object(folder / SEAL).get("commitment", ""))
    key_file = root / "gym" / f"{commitment[:16]}.json"
    key = foreign.json_object(key_file)
    if sha256(canonical_json(key).encode()).hexdigest() != commitment:
        raise DataError(f"{key_file} is not the key of {folder}")
    world = World(int(key["level"]), int(key["seed"]))
    reported = set()
    text = foreign.read(answers, "a file of discoveries", 2**20).decode("utf-8-sig")
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        try:
            place = int(row["candidate"]), int(row["group"])
            world.truth[place]
        except (KeyError, TypeError, ValueError, IndexError) as e:
            raise DataError(
                f"{answers} line {number}: needs candidate 0 to {world.about.candidates - 1} and "
                f"group 0 to {world.about.groups - 1}, got {dict(row)}"
            ) from e
        reported.add(place)
    return _scored(world, reported, 0)


def _scored(world: World, reported: set[tuple[int, int]], looks: int) -> Scored:
    true = sum(bool(world.planted[place]) for place in reported)
    return Scored(world.level, true, len(reported) - true, int(world.planted.sum()), looks)
