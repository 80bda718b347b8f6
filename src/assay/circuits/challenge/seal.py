"""Seal: what a challenge was planted from, kept away from its folder, and the hash that binds
it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.circuits.challenge.folder import SEAL, SEALED, opened
from assay.circuits.challenge.planted import Planted, plant
from assay.circuits.problem import Problem
from assay.core import foreign
from assay.core.errors import DataError
from assay.core.heavy import torch


@dataclass(frozen=True)
class Key:
    """What opens a challenge."""

    kind: str
    seed: int
    salt: str
    """Random, so that nobody finds the seed by trying seeds against the commitment."""
    files: Mapping[str, str]
    """The SHA-256 of each sealed file."""

    @classmethod
    def of(cls, planted: Planted, salt: str, files: Mapping[str, bytes]) -> Key:
        """Seal a challenge."""
        return cls(planted.kind, planted.seed, salt, {name: _hash(files[name]) for name in SEALED})

    @property
    def commitment(self) -> str:
        """The hash of all of it, which stands in the folder."""
        return _hash(
            json.dumps([self.kind, self.seed, self.salt, sorted(self.files.items())]).encode()
        )

    @property
    def name(self) -> str:
        """What the challenge is called: the beginning of that hash."""
        return self.commitment[:12]


def sealed(folder: Path) -> str:
    """Read the commitment of a challenge's folder. Raises: DataError where it is none."""
    commitment = foreign.json_object(folder / SEAL).get("commitment")
    if (
        not isinstance(commitment, str)
        or len(commitment) != 64
        or not set(commitment) <= set("0123456789abcdef")
    ):
        raise DataError(f"{folder / SEAL} has no commitment, which is 64 hexadecimal digits")
    return commitment


def read(path: Path, commitment: str) -> tuple[Key, list[dict[str, Any]]]:
    """Read a key and how often the challenge was scored. Raises: DataError where there is none, or
    it is another challenge's."""
    if not path.exists():
        raise DataError(
            f"the key of challenge {commitment[:12]} is not at {path}; it is in the store in "
            "which the challenge was made, see --root"
        )
    record = foreign.json_object(path)
    try:
        key = Key(
            str(record["kind"]), int(record["seed"]), str(record["salt"]), dict(record["files"])
        )
        scored = list(record["scored"])
    except (KeyError, TypeError, ValueError) as e:
        raise DataError(f"{path} is no key of a challenge: {type(e).__name__} {e}") from None
    if key.commitment != commitment:
        raise DataError(
            f"{path} is not the key of this challenge: kind, seed, salt and files in it do "
            "not give its hash"
        )
    return key, scored


def written(key: Key, scored: list[dict[str, Any]]) -> bytes:
    """Give the key's file."""
    record = {
        "kind": key.kind,
        "seed": key.seed,
        "salt": key.salt,
        "files": dict(key.files),
        "scored": scored,
    }
    return (json.dumps(record, indent=1) + "\n").encode()


def unsealed(folder: Path, key: Key) -> tuple[Planted, Problem]:
    """Plant a challenge again, and give the model that stands in its folder together with the true
    task.

    Raises: DataError where a file of the folder was changed, or this version of Assay plants
    something else."""
    for name in SEALED:
        if _hash(foreign.read(folder / name, "a file of the challenge", 2**26)) != key.files.get(
            name
        ):
            raise DataError(
                f"{folder / name} was changed since the challenge was made; no answer to it "
                "is scored"
            )
    planted, folder_problem = plant(key.seed, key.kind), opened(folder)
    same_params = planted.problem.params.keys() == folder_problem.params.keys() and all(
        x.shape == folder_problem.params[name].shape
        and torch.allclose(
            x, folder_problem.params[name], rtol=1e-3, atol=1e-3 * float(x.square().mean().sqrt())
        )
        for name, x in planted.problem.params.items()
    )
    if not same_params:
        raise DataError(
            f"{folder} was made by another version of Assay, which planted something else "
            "from the same seed"
        )
    return planted, Problem(planted.problem.task, folder_problem.params, folder_problem.activation)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
