"""A challenge as a folder: model, configuration, inputs, a page of text and an empty answer, and no
word of what was planted.

model.safetensors has the decoder's parameters under their names, [1, …], 64 bits; config.json its
sizes, the names of tokens and answers, and the positions at which something is asked;
inputs.safetensors `tokens` [n, s].

Seal: what a challenge was planted from, kept away from its folder, and the hash that binds
it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from safetensors import SafetensorError
from safetensors.torch import load, save

from assay.core import foreign
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.decoder import Shape
from assay_catalogue.circuits.challenge.planted import Planted, plant
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.worlds.algorithms.task import Task, has_answer, unasked

SEALED = ("model.safetensors", "config.json", "inputs.safetensors")
"""The files that an answer speaks of: a challenge in which one was changed is not scored."""
ANSWER, SEAL = "my_explanation.toml", "challenge.json"
INPUTS = 4_000
"""Inputs that are given out. Answers are held to others."""
_LARGEST = 64 * 2**20


def files(problem: Problem, seed: int) -> dict[str, bytes]:
    """Give the files of a challenge, but for its seal."""
    tokens = problem.task.draw(seed, 0, INPUTS)
    places = np.flatnonzero(has_answer(problem.task.answer(tokens)).any(0)).tolist()
    shape = _shape(problem)
    config = {
        "format": "assay-challenge-1",
        "decoder": dataclasses.asdict(shape),
        "tokens": problem.task.tokens,
        "answers": problem.task.answers,
        "length": problem.task.length,
        "asked": places,
    }
    return {
        "model.safetensors": save({name: x.contiguous() for name, x in problem.params.items()}),
        "config.json": (json.dumps(config, indent=1) + "\n").encode(),
        "inputs.safetensors": save({"tokens": torch.from_numpy(tokens.astype(np.int16))}),
        "README.md": _page(problem, shape, tokens, places).encode(),
        ANSWER: _EMPTY.encode(),
    }


def opened(folder: Path) -> Problem:
    """Open a challenge as a problem: its inputs are drawn from those in the folder, and the right
    answers are the model's own.

    Raises: DataError, one line that names the file.
    """
    config = foreign.json_object(folder / "config.json")
    try:
        shape = Shape(**config["decoder"])
        names, answers = tuple(map(str, config["tokens"])), tuple(map(str, config["answers"]))
        length, places = int(config["length"]), [int(i) for i in config["asked"]]
        expected_shapes = {name: (1, *size) for name, size in shape.parameters().items()}
    except (KeyError, TypeError, ValueError) as e:
        raise DataError(
            f"{folder / 'config.json'} is not the configuration of a challenge: "
            f"{type(e).__name__} {e}"
        ) from None
    params, pool = (
        _tensors(folder / "model.safetensors"),
        _tensors(folder / "inputs.safetensors").get("tokens"),
    )
    if {name: tuple(x.shape) for name, x in params.items()} != expected_shapes:
        raise DataError(
            f"{folder / 'model.safetensors'} does not have the parameters that config.json lists"
        )
    if (
        pool is None
        or pool.ndim != 2
        or pool.shape[1] != length
        or not len(pool)
        or pool.min() < 0
        or pool.max() >= len(names)
    ):
        raise DataError(
            f"{folder / 'inputs.safetensors'} does not have rows of {length} tokens below "
            f"{len(names)} as `tokens`"
        )
    rows = pool.long().numpy()

    def draw(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        return rows[generator.integers(len(rows), size=n)]

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        out[:, places] = problem.logits(tokens).argmax(-1)[:, places]
        return out

    problem = Problem(
        Task("challenge", names, answers, length, draw, answer), params, shape.activation
    )
    return problem


def _shape(problem: Problem) -> Shape:
    p = problem.params
    _, layers, d, _, heads, e = p["W_QKV"].shape
    m = p["W_in"].shape[-1] if "W_in" in p else 0
    return Shape(
        layers=layers,
        d=d,
        heads=heads,
        m=m,
        context=p["W_pos"].shape[1],
        vocab=p["W_E"].shape[1],
        norm="none",
        d_head=e,
        answers=p["W_U"].shape[-1],
        activation=problem.activation,
    )


def _tensors(path: Path) -> dict[str, Any]:
    try:
        return load(foreign.read(path, "a safetensors file", _LARGEST))
    except SafetensorError as e:
        raise DataError(f"{path} is not a safetensors file: {e}") from None


def _page(problem: Problem, shape: Shape, tokens: Int[np.ndarray, "n s"], places: list[int]) -> str:
    """The page that describes the task without its answer."""
    task, answers_are_tokens = problem.task, set(problem.task.answers) <= set(problem.task.tokens)
    fixed = [
        f"position {i} is always {task.tokens[int(column[0])]}"
        for i, column in enumerate(tokens.T)
        if (column == column[0]).all()
    ]
    mlp = f" and an MLP of {shape.m} neurons ({shape.activation})" if shape.m else ""
    examples = "\n".join(
        f"    {task.said(row)}   →   {_answered(problem, row, places)}" for row in tokens[:5]
    )
    return f"""# A challenge

This transformer does one task correctly. Which task is it, and which parts do it?

- {shape.layers} block{"s"[: shape.layers != 1]} of {shape.heads} heads{mlp}; {shape.d} directions, no norms, learned positions.
- There are {len(task.tokens)} tokens, {task.tokens[0]} to {task.tokens[-1]}; an input has {task.length}{"".join(f"; {note}" for note in fixed)}.
- The answer is read at position{"s"[: len(places) != 1]} {", ".join(map(str, places))}; answers are {task.answers[0]} to {task.answers[-1]}\
{", the same as the tokens" if answers_are_tokens else ""}.
- {len(tokens):,} inputs are in `inputs.safetensors`; your answer is tested on others from the same distribution.

Some inputs, and what the model answers:

{examples}

Open it in Python:

    from pathlib import Path
    from assay_catalogue.circuits.challenge.folder import opened
    problem = opened(Path("."))                # "." is this folder
    inputs = problem.task.draw(0, 0, 100)      # 100 of the inputs, by seed and index
    pass_ = problem.run(inputs)                # logits, the output of each part, attention patterns, neurons

Write your explanation into `{ANSWER}`; docs/explanations.md in Assay's catalogue describes the language. Some heads, neurons and directions are idle.
`{SEAL}` contains a hash that commits to what was planted: it can be recomputed from the kind, seed and salt, which are printed after scoring.
"""  # noqa: E501


def _answered(problem: Problem, row: Int[np.ndarray, " s"], places: list[int]) -> str:
    predictions = problem.logits(row[None])[0].argmax(-1)
    return " ".join(problem.task.answers[int(predictions[i])] for i in places)


_EMPTY = """\
of = "challenge"
name = "nothing is explained yet"

# What the model computes, where, and from what. This example only shows the format and is not true of the model:
#
# [variables.often]
# at = "a0.0"
# is = "count(there(token) == token)"
# reads = ["token"]
#
# [answer]
# is = "often"
# margin = 10
"""  # noqa: E501


@dataclass(frozen=True)
class Key:
    """The key of a challenge."""

    kind: str
    seed: int
    salt: str
    """Random, so that the seed cannot be found by trying seeds against the commitment."""
    files: Mapping[str, str]
    """The SHA-256 of each sealed file."""

    @classmethod
    def of(cls, planted: Planted, salt: str, files: Mapping[str, bytes]) -> Key:
        """Seal a challenge."""
        return cls(planted.kind, planted.seed, salt, {name: _hash(files[name]) for name in SEALED})

    @property
    def commitment(self) -> str:
        """The hash of all of it, which is in the folder."""
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
        raise DataError(f"{path} is not the key of a challenge: {type(e).__name__} {e}") from None
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
                f"{folder / name} was changed since the challenge was made, so no answer to it can "
                "be scored"
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
