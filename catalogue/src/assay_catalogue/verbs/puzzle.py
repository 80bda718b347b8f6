"""Puzzle: a planted circuit, written to a folder without the answer, and answers scored
blind."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from assay.core.errors import AssayError, DataError
from assay.lab.store import atomic
from assay.lab.store.store import Store
from assay.verbs.parts import AnswerPart
from assay.verbs.parts import Line as Text
from assay.verbs.verb import HERE, Answer, Flat, Place, verb
from assay_catalogue.circuits.files import load
from assay_catalogue.circuits.verify.score import score
from assay_catalogue.verbs.score_circuit import (
    Explained,
    Hard,
    Line,
    Trials,
    against,
    effort,
    line,
)
from assay_catalogue.verbs.score_circuit import words as explained_in_words

Kind = Literal["brackets", "induction", "modular_sum", "redundant", "sorting", "two_hops"]
"""What can be planted."""
TRIED = Trials()


@dataclass(frozen=True)
class Given:
    """A challenge that was created."""

    folder: str
    name: str
    """The beginning of its commitment."""
    commitment: str
    """The hash of kind, seed, salt and files, which is in the folder."""
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
    """Its own quality on the same inputs."""


@dataclass(frozen=True)
class Answered:
    """An answer to a challenge, scored; and then what was planted."""

    challenge: str
    before: int
    """How many answers had been scored before; after the first, the planted circuit is known."""
    found: Explained
    planted: Revealed


@verb("a planted circuit to explain; or the score of an explanation of it")
def puzzle(
    what: Literal["new", "score"],
    folder: Path,
    answer: Path | None = None,
    /,
    *,
    seed: int | None = None,
    kind: Kind | None = None,
    trials: Annotated[Trials, Flat] = TRIED,
    place: Place = HERE,
) -> Answer[Given | Answered]:
    """Practise on a hidden circuit in a small model. It is planted at random, and your explanation
    of it is scored blind.

    Parameters
    ----------
    what
        new: plant a circuit in a new folder; score: score an answer to it.
    folder
        The challenge: a folder to create, or one that was created by new.
    answer
        With score: your explanation, a TOML file.
    seed
        With new: the seed of the circuit, which is random by default. With score: the seed of the
        inputs, 1000 by default.
    kind
        With new: which circuit is planted; by default the seed decides.

    Examples
    --------
    assay puzzle new hidden
    assay puzzle score hidden hidden/my_explanation.toml
    """
    if what == "new":
        if answer is not None:
            raise AssayError(
                f"a new challenge takes no answer, got {answer}; to score one, type assay "
                f"puzzle score {folder} {answer}"
            )
        given = plant_challenge(folder, place.root, seed, kind)
        return Answer(given, invitation(given))
    if answer is None:
        raise AssayError(
            f"name an answer: assay puzzle score {folder} {folder / 'my_explanation.toml'}"
        )
    if kind is not None:
        raise AssayError("--kind only goes with new; the kind of this challenge is in its key")
    scored = answered(folder, answer, place.root, trials, 1000 if seed is None else seed)
    return Answer(scored, words(scored))


def invitation(given: Given) -> Iterator[AnswerPart]:
    """Report where a challenge is, and what to do next."""
    yield f"Challenge {given.name} is in {given.folder}; start with its README.md."
    yield f"The key to the planted circuit is {given.key}; do not open it."
    yield "Write your answer into its my_explanation.toml, then:"
    yield Text(f"assay puzzle score {given.folder} {given.folder}/my_explanation.toml")


def words(outcome: Answered) -> Iterator[AnswerPart]:
    """Report the score of an answer, and then what was planted."""
    yield from explained_in_words(outcome.found)
    yield ""
    times = (
        f"{outcome.before} answer{'s'[: outcome.before != 1]} had been scored before, which showed "
        "what was planted, so this one is not blind."
    )
    first = "the first answer, scored blind."
    yield f"Challenge {outcome.challenge}: {times if outcome.before else first}"
    yield (
        f"The planted circuit was {outcome.planted.kind}, from seed {outcome.planted.seed}; its "
        f"explanation scores {outcome.planted.quality.estimate:.3f}:"
    )
    yield ""
    yield Text(outcome.planted.explanation)


def plant_challenge(
    folder: Path, root: Path, seed: int | None = None, kind: Kind | None = None
) -> Given:
    """Plant a circuit from a seed, which is random by default, and write it without its answer.

    Raises: DataError if the folder exists already or contains the store; StoreError if nothing can
    be written."""
    from assay_catalogue.circuits.challenge import folder as files
    from assay_catalogue.circuits.challenge.folder import Key, written
    from assay_catalogue.circuits.challenge.planted import plant

    if folder.exists() or folder.is_symlink():
        raise DataError(f"{folder} exists already; name a new folder")
    if folder.resolve() in (root.resolve(), *root.resolve().parents):
        raise DataError(
            f"the store {root} is inside {folder}, but the key of a challenge has to be outside "
            "its folder; name another store with --root"
        )
    planted = plant(secrets.randbits(64) if seed is None else seed, kind)
    data = files.files(planted.problem, planted.seed)
    key = Key.of(planted, secrets.token_hex(16), data)
    data[files.SEAL] = (json.dumps({"commitment": key.commitment}) + "\n").encode()
    path = _key(Store(root).prepare().root, key.commitment)
    with atomic.explained(path.parent):
        path.parent.mkdir(exist_ok=True)
        atomic.write(path, written(key, []))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_folder(folder, data, folder.parent)
    except OSError as e:
        path.unlink()
        raise DataError(f"cannot write the folder {folder}: {e.strerror}") from e
    return Given(str(folder), key.name, key.commitment, tuple(data), str(path))


def answered(folder: Path, file: Path, root: Path, trials: Trials, seed: int = 1000) -> Answered:
    """Score an answer to a challenge, and then reveal what was planted. An answer is data, because
    code could read the key.

    Raises: DataError for a folder that was changed, or whose key is not in this store; also
    whatever `explain.check` raises."""
    from assay_catalogue.circuits.challenge import folder as files

    if file.suffix != ".toml":
        raise DataError(
            f"{file} is not an answer to a challenge; answers are .toml files, because code could "
            "read the key"
        )
    commitment = files.sealed(folder)
    path = _key(root, commitment)
    key, scored = files.read(path, commitment)
    planted, problem = files.unsealed(folder, key)
    answer, rival, hard = load(file), planted.explained(rival=True), effort(trials)
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
