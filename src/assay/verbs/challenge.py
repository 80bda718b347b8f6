"""Challenge: a planted circuit, or planted features, given out as a folder without the answer, and
answers scored blind."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assay.core.errors import DataError
from assay.lab.store import atomic
from assay.verbs.explain import Explained, Hard, Line, Trials, against, effort, line, to_explained

Kind = Literal[
    "brackets", "features", "induction", "modular_sum", "redundant", "sorting", "two_hops"
]
"""What can be planted."""


@dataclass(frozen=True)
class Given:
    """A challenge that was given out."""

    folder: str
    name: str
    """The beginning of its commitment."""
    commitment: str
    """The hash of kind, seed, salt and files, which stands in the folder."""
    files: tuple[str, ...]
    key: str
    """The file, outside of the folder, that opens it."""


@dataclass(frozen=True)
class Revealed:
    """What was planted."""

    kind: str
    seed: int
    salt: str
    explanation: str
    """The explanation that is true by construction, as a file."""
    quality: Line
    """What it reaches itself, on the same inputs."""


@dataclass(frozen=True)
class Answered:
    """An answer to a challenge, scored; and then what was planted."""

    challenge: str
    before: int
    """How many answers had been scored: after the first, what was planted had been shown."""
    found: Explained
    planted: Revealed


def plant_challenge(
    folder: Path, root: Path, seed: int | None = None, kind: Kind | None = None
) -> Given:
    """Plant a circuit or features from a seed, which the operating system draws where none is
    given, and write it without its answer.

    Raises: DataError where the folder is there already or holds the store; StoreError where nothing
    can be written."""
    from assay.circuits.challenge import folder as files
    from assay.circuits.challenge.folder import Key, written
    from assay.circuits.challenge.planted import plant

    if folder.exists() or folder.is_symlink():
        raise DataError(f"{folder} is there already; name a folder that is not")
    if folder.resolve() in (root.resolve(), *root.resolve().parents):
        raise DataError(
            f"the store {root} is inside of {folder}; what opens a challenge is kept outside "
            "of it: name another store with --root"
        )
    planted = plant(secrets.randbits(64) if seed is None else seed, kind)
    data = files.files(planted.problem, planted.seed, planted.features)
    key = Key.of(planted, secrets.token_hex(16), data)
    data[files.SEAL] = (json.dumps({"commitment": key.commitment}) + "\n").encode()
    path = _key(root, key.commitment)
    with atomic.explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, written(key, []))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_folder(folder, data, folder.parent)
    except OSError as e:
        path.unlink()
        raise DataError(f"cannot write the folder {folder}: {e.strerror}") from e
    return Given(str(folder), key.name, key.commitment, tuple(data), str(path))


def answered(folder: Path, file: Path, root: Path, trials: Trials, seed: int = 1000) -> Answered:
    """Score an answer to a challenge, and then tell what was planted. An answer is data: code could
    read the key.

    Raises: DataError for a folder that was changed, or whose key is not in this store; and what
    `explain.check` raises."""
    from assay.circuits.challenge import folder as files
    from assay.circuits.files import load
    from assay.circuits.verify import features
    from assay.circuits.verify.score import score

    if file.suffix != ".toml":
        raise DataError(
            f"{file} is no answer to a challenge; answers are .toml files, which are data, "
            "since code could read what is sealed"
        )
    commitment = files.sealed(folder)
    path = _key(root, commitment)
    key, scored = files.read(path, commitment)
    planted, problem = files.unsealed(folder, key)
    answer, rival, hard = load(file), planted.explained(rival=True), effort(trials)
    if planted.features:
        outcome = to_explained(
            file,
            answer,
            problem,
            features.table(answer, rival, problem, planted.features, seed, hard),
        )
        planted_score = features.score(planted.explained(), problem, planted.features, seed, hard)
    else:
        outcome = against(file, answer, problem, rival, Hard(**vars(trials), seed=seed))
        planted_score = score(planted.explained(), problem, seed, hard)
    timestamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with atomic.explained(path.parent):
        atomic.write(
            path,
            files.written(
                key,
                [
                    *scored,
                    {"at": timestamp, "name": outcome.name, "quality": outcome.quality.estimate},
                ],
            ),
        )
    revealed = Revealed(key.kind, key.seed, key.salt, planted.answer, line(planted_score.quality))
    return Answered(key.name, len(scored), outcome, revealed)


def _key(root: Path, commitment: str) -> Path:
    """Where a challenge's key is kept."""
    return root / "challenges" / f"{commitment[:12]}.json"
