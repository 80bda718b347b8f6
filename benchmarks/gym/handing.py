"""Handing: a world whose truth is planted, given out as a table or played by an agent by rule, and
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

import numpy as np
from desks import BUDGET, FIRST, Judged, Plain
from worlds import World

from agents import AGENTS
from assay.core import foreign
from assay.core.errors import AssayError, DataError
from assay.core.spec import canonical_json
from assay.lab.store import atomic

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


def play(agent: str, world: World, desk: str) -> Scored:
    """Let an agent by rule look for what was planted in a world."""
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        at = Plain(world) if desk == "plain" else Judged(world, root=Path(folder) / "store")
        reported = {(r.candidate, r.group) for r in AGENTS[agent](at, world.seed)}
        return _scored(world, reported, at.looks)


def hand_out(folder: Path, world: World, keys: Path) -> Handed:
    """Write a world as a table of effects, and its key into another folder. Raises: AssayError
    where the folder exists."""
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
    key_file = keys / f"{commitment[:16]}.json"
    for file, data in (
        (folder / TABLE, text.getvalue()),
        (folder / SEAL, json.dumps({"commitment": commitment, "question": world.about.question})),
        (key_file, json.dumps(key)),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(file, data.encode())
    return Handed(folder, commitment, key_file)


def score(folder: Path, answers: Path, keys: Path) -> Scored:
    """Score a file of discoveries. Raises: DataError where the world, its key or the file is not as
    it should be."""
    commitment = str(foreign.json_object(folder / SEAL).get("commitment", ""))
    key_file = keys / f"{commitment[:16]}.json"
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
