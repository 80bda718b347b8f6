"""Challenge: a planted circuit given out as a folder without the answer, and answers scored
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
from assay.verbs.options import HERE, Flat, Place
from assay.verbs.verb import Answer, Part, verb
from assay.verbs.verb import Line as Text
from assay_catalogue.circuits.files import load
from assay_catalogue.circuits.verify.score import score
from assay_catalogue.verbs.explain import (
    Explained,
    Hard,
    Line,
    Trials,
    against,
    effort,
    line,
)
from assay_catalogue.verbs.explain import words as explained_in_words

Kind = Literal["brackets", "induction", "modular_sum", "redundant", "sorting", "two_hops"]
"""What can be planted."""
TRIED = Trials()


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


@verb("a planted circuit given out without its answer; an explanation of it scored")
def challenge(
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
    """Practise: a circuit that nobody has seen, planted in a small model, and your explanation of
    it scored blind.

    Parameters
    ----------
    what
        new: plant a circuit and write it; score: hold an answer to it.
    folder
        The challenge: a new folder, or one that was made so.
    answer
        With score: your explanation, a TOML file.
    seed
        With new: plants the same again; without it the operating system draws one. With score:
        draws the inputs, else 1000.
    kind
        With new: what is planted; without it the seed decides.

    Examples
    --------
    assay challenge new puzzle
    assay challenge score puzzle puzzle/my_explanation.toml
    """
    if what == "new":
        if answer is not None:
            raise AssayError(
                f"a new challenge has no answer yet, got {answer}; scoring one is assay "
                f"challenge score {folder} {answer}"
            )
        given = plant_challenge(folder, place.root, seed, kind)
        return Answer(given, invitation(given))
    if answer is None:
        raise AssayError(
            f"which answer? assay challenge score {folder} {folder / 'my_explanation.toml'}"
        )
    if kind is not None:
        raise AssayError(
            "--kind says what a new challenge is to be; the key of this one knows what it is"
        )
    scored = answered(folder, answer, place.root, trials, 1000 if seed is None else seed)
    return Answer(scored, words(scored))


def invitation(given: Given) -> Iterator[Part]:
    """Tell where a challenge is, and what to do next."""
    yield f"Challenge {given.name} is in {given.folder}; begin with its README.md."
    yield f"What was planted is sealed: {given.key}. Do not look."
    yield "Write your answer into its my_explanation.toml, then:"
    yield Text(f"assay challenge score {given.folder} {given.folder}/my_explanation.toml")


def words(outcome: Answered) -> Iterator[Part]:
    """Tell what an answer reaches, and then what was planted."""
    yield from explained_in_words(outcome.found)
    yield ""
    times = (
        f"{outcome.before} answer{'s'[: outcome.before != 1]} had been scored before, and what was "
        "planted shown: this one is not blind."
    )
    first = "the first answer, scored blind."
    yield f"Challenge {outcome.challenge}: {times if outcome.before else first}"
    yield (
        f"Planted was {outcome.planted.kind}, from seed {outcome.planted.seed}; its explanation "
        f"reaches {outcome.planted.quality.estimate:.3f}:"
    )
    yield ""
    yield Text(outcome.planted.explanation)


def plant_challenge(
    folder: Path, root: Path, seed: int | None = None, kind: Kind | None = None
) -> Given:
    """Plant a circuit from a seed, which the operating system draws where none is
    given, and write it without its answer.

    Raises: DataError where the folder is there already or holds the store; StoreError where nothing
    can be written."""
    from assay_catalogue.circuits.challenge import folder as files
    from assay_catalogue.circuits.challenge.folder import Key, written
    from assay_catalogue.circuits.challenge.planted import plant

    if folder.exists() or folder.is_symlink():
        raise DataError(f"{folder} is there already; name a folder that is not")
    if folder.resolve() in (root.resolve(), *root.resolve().parents):
        raise DataError(
            f"the store {root} is inside of {folder}; what opens a challenge is kept outside "
            "of it: name another store with --root"
        )
    planted = plant(secrets.randbits(64) if seed is None else seed, kind)
    data = files.files(planted.problem, planted.seed)
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
    from assay_catalogue.circuits.challenge import folder as files

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
