"""Features as a challenge: a crowd of a seed's own sizes, what is true of it after a disguise, and
what is only nearly so, as files."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from assay_catalogue.circuits.challenge.disguise import Disguised
from assay_catalogue.circuits.verify.features import Known
from assay_catalogue.worlds.algorithms.built import crowded
from assay_catalogue.worlds.algorithms.built.circuit import Circuit
from assay_catalogue.worlds.algorithms.built.crowded import SITE, Crowd

KIND = "features"
DECOYS = 2


def draw_circuit(generator: np.random.Generator) -> tuple[Circuit, Crowd]:
    """Draw sizes and features, and build the circuit."""
    read = int(generator.integers(6, 9))
    less = int(generator.integers(2)) * (
        read > 6
    )  # six in five dimensions are hardly ever told apart
    crowd = crowded.crowd(
        generator,
        tokens=int(generator.integers(13, 16)),
        read=read,
        decoys=DECOYS,
        room=read - less,
        classes=5,
        back=int(generator.integers(1, 3)),
    )
    return crowded.crowded(crowd, int(generator.integers(8, 11)), generator), crowd


def known(crowd: Crowd, circuit: Circuit, to: Disguised) -> Known:
    """Tell what is to be found in the disguised model: the features that are read."""
    rows, old, n = (
        _rotate(crowded.directions(crowd, circuit.shape.d, circuit.task.length), to),
        np.argsort(to.tokens),
        len(crowd.raises),
    )

    def on(tokens: Int[np.ndarray, "b s"]) -> Bool[np.ndarray, "b s n"]:
        return crowd.on(old[tokens])[..., :n]

    return Known(SITE, rows[:n], on, crowd.rows.shape[1])


def text(
    crowd: Crowd, circuit: Circuit, to: Disguised | None = None, *, rival: bool = False
) -> str:
    """Write the file of the explanation that is true by construction; as a rival with the
    directions along which features are read."""
    n, d, length = len(crowd.raises), circuit.shape.d, circuit.task.length
    rows = (
        crowded.read_along(crowd, d, length) if rival else crowded.directions(crowd, d, length)[:n]
    )
    tokens, answers = (
        (np.arange(crowd.here.shape[1]), np.arange(len(crowd.offsets)))
        if to is None
        else (to.tokens, to.answers)
    )
    name = (
        "features are along the directions in which they are read"
        if rival
        else "features in superposition"
    )
    back = f'is = "last(token, there(place) == place - {crowd.back})"'
    lines = ['of = "challenge"', f'name = "{name}"', "", "[variables.before]", back]
    for i, row in enumerate(rows if to is None else _rotate(rows, to)):
        rule = _among("token", tokens[crowd.here[i]])
        if not crowd.before[i].all():
            rule = f"({rule}) and ({_among('before', tokens[crowd.before[i]])})"
        lines += [
            "",
            f"[variables.feature{i}]",
            f'at = "{SITE}"',
            f"along = [[{', '.join(f'{x:.5g}' for x in row)}]]",
            f'is = "{rule}"',
        ]
    lines += [
        "",
        "[logits]",
        f"are = {json.dumps([_logit(crowd, c) for c in np.argsort(answers)])}",
    ]
    return "\n".join(lines) + "\n"


def _rotate(rows: Float[np.ndarray, "f d"], to: Disguised) -> Float[np.ndarray, "f wide"]:
    """Directions of the circuit's stream where they are now."""
    return rows @ to.turn.numpy()


def _among(name: str, tokens: Sequence[int] | Int[np.ndarray, " t"]) -> str:
    return " or ".join(f"{name} == {int(t)}" for t in sorted(tokens))


def _logit(crowd: Crowd, c: int) -> str:
    return " + ".join(
        [
            f"{crowd.offsets[c]:g}",
            *(f"{x:g} * feature{i}" for i, x in enumerate(crowd.raises[:, c]) if x),
        ]
    )
