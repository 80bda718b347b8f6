"""The frame from which concepts are drawn by lot: what Python's grammar and the next token say of
every token of a text.

Nobody chooses a concept. A token lies in a *place*, a field of a class of Python's grammar
("If.test"), at any depth; the *next token* is one of the commonest; or it is of a *kind* of token
text. In the frame is whatever has enough tokens and files on both sides. Its order is by lot, and
each lot is a different piece of it: one for pilots, another for what is judged."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from assay.core import Bench, Spec, SpecError, rng, syntax
from assay.core.hashes import sha256
from assay.data import corpus as corpora
from assay.data.harvest import Harvest, HarvestSpec
from assay.features.labels import first_character
from assay.features.predicates import common, kinds
from assay.subjects.folder import find

COMMONEST = 200
"""How many of the commonest tokens may be the next."""
PASSAGE = 8
"""Tokens of a passage, the one that is asked about the last: what methods without a model read."""


def places(source: str) -> dict[str, Bool[np.ndarray, "character"]]:
    """Which characters lie in each place of Python's grammar, such as "If.test"; nothing of what
    does not parse."""
    try:
        tree = syntax.module(source)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    if "\r" in source:  # the parser counts such lines differently
        return {}
    lines = source.split("\n")
    starts = np.cumsum([0, *(len(line) + 1 for line in lines)])
    inside: dict[str, np.ndarray] = {}
    for node in ast.walk(tree):
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if not isinstance(child, ast.AST) or not hasattr(child, "lineno"):
                    continue
                name = f"{type(node).__name__}.{field}"
                if name not in inside:
                    inside[name] = np.zeros(len(source), bool)
                at: Any = child
                ends = (at.lineno, at.col_offset), (at.end_lineno, at.end_col_offset)
                begin, end = (  # the parser counts bytes
                    starts[i - 1]
                    + (n if lines[i - 1].isascii() else len(lines[i - 1].encode()[:n].decode()))
                    for i, n in ends
                )
                inside[name][begin:end] = True
    return inside


@dataclass(frozen=True, eq=False)
class Marked:
    """Tokens that may be asked about, by their rows in a harvest, and what each concept says of
    them."""

    rows: Int[np.ndarray, "token"]
    true: Bool[np.ndarray, "token concept"]


def askable(part: Harvest) -> Bool[np.ndarray, "window s"]:
    """Where a token has a whole passage before it and a token behind it in its window."""
    inside = np.zeros(part.tokens.shape, bool)
    inside[:, PASSAGE - 1 : -1] = True
    return inside


def usable(part: Harvest) -> Int[np.ndarray, "token"]:
    """The rows of these tokens, outliers left out."""
    return np.flatnonzero(askable(part) & part.keep)


def marks(
    part: Harvest, tokenizer: Any, known: Sequence[int]
) -> dict[str, Bool[np.ndarray, "window s"]]:
    """What every concept of a text says of every token of its windows."""
    tokens, windows = part.tokens, part.windows
    text = tokenizer.token_text(range(len(tokenizer)))
    after = np.concatenate([tokens[:, 1:], tokens[:, :1]], 1)  # the last is not asked about
    marked = {f"next token {text[t]!r}": after == t for t in known}
    marked |= {
        f"next kind: {name}": is_kind[after] for name, is_kind in kinds(tokens, text).items()
    }
    corpus = corpora.load(part.spec.corpus)
    for document in np.unique(windows.document).tolist():
        source = corpus.text(document)
        inside = places(source)
        spans = tokenizer.inner.encode(source, add_special_tokens=False).offsets
        at = np.array([first_character(source, a, b) for a, b in spans], int)
        for w in np.flatnonzero(windows.document == document):
            start = int(windows.offset[w])
            first = max(0, -start)  # before the text stands what a model's text begins with
            for name, mask in inside.items():
                if name not in marked:
                    marked[name] = np.zeros(tokens.shape, bool)
                marked[name][w, first:] = mask[at[start + first : start + tokens.shape[1]]]
    return marked


@dataclass(frozen=True, kw_only=True)
class FrameSpec(Spec):
    """The concepts that a frame has, and what each says of the tokens of two harvests."""

    model: str
    """Hash of the model whose tokenizer is read."""
    corpus: str
    """Fingerprint of the text."""
    train: HarvestSpec
    """The harvest on which probes are trained."""
    test: HarvestSpec
    """The harvest on which they are judged."""
    least: tuple[int, int]
    """Tokens that a concept has on either side, in training and in test."""
    files: int
    """Files that they come from, at least."""
    version: int = 1
    """Counted up when the frame changes."""


def frame(
    data: Harvest, test: Harvest, least: tuple[int, int], files: int, bench: Bench
) -> tuple[tuple[str, ...], tuple[Marked, Marked]]:
    """The names of all concepts in the order of their lots, and what they say in both harvests."""
    folder = find(data.spec.subject)

    def build(path: Path) -> None:
        known = common(data.tokens, COMMONEST)
        marked = [marks(part, folder.tokenizer, known) for part in (data, test)]
        names = [
            name
            for name in sorted(marked[0].keys() & marked[1].keys())
            if all(
                common_enough(part, marked_part[name], n, files)
                for part, marked_part, n in zip((data, test), marked, least, strict=True)
            )
        ]
        names = [names[i] for i in rng.generator(0, "streetlight.frame").permutation(len(names))]
        np.save(path / "names.npy", np.array(names, str))
        for i in (0, 1):
            true = [marked[i][name].ravel() for name in names]
            np.save(path / f"{i}.npy", np.array(true, bool).reshape(len(names), -1).T)

    plain = [
        part.spec.replace(subject="", site="blocks.0.hook_resid_pre") for part in (data, test)
    ]  # a frame is about text alone
    fields: dict[str, Any] = {
        "model": sha256(folder.path / "tokenizer.json"),
        "corpus": data.trained_on["corpus"],
    }
    spec = FrameSpec(train=plain[0], test=plain[1], least=least, files=files, **fields)
    where = bench.artefact(spec, build)
    train, judged = (
        Marked(usable(part), np.load(where / f"{i}.npy")[usable(part)])
        for i, part in enumerate((data, test))
    )
    return tuple(np.load(where / "names.npy").tolist()), (train, judged)


def common_enough(
    part: Harvest, true: Bool[np.ndarray, "window s"], least: int, files: int
) -> bool:
    """Whether both answers have so many tokens, in so many files."""
    inside = askable(part).ravel()
    yes = true.ravel()[inside]
    return all(
        side.sum() >= least and len(np.unique(part.document[inside][side])) >= files
        for side in (yes, ~yes)
    )


def lot(names: Sequence[str], number: int, count: int) -> slice:
    """Which concepts of a frame are in a lot. Raises: SpecError where nothing is left for it."""
    if number * count >= len(names):
        raise SpecError(
            f"the frame has {len(names)} concepts, and lot {number} of {count} begins behind them; "
            "give more windows, or ask for fewer concepts"
        )
    return slice(number * count, (number + 1) * count)


def passages(
    marked: tuple[Marked, Marked], sizes: Sequence[int], seed: int
) -> tuple[tuple[Int[np.ndarray, "q row"], ...], Bool[np.ndarray, "q row"], np.ndarray]:
    """The rows of each concept's passages, drawn anew for each seed: of the harvest that trains, of
    that which judges; their answers, and the parts they are for (0 training, 1 validation,
    2 test). Where outliers, which are a model's, leave too few, the first are taken once more."""
    halves = np.array(sizes) // 2
    counts = (int(halves[:2].sum()), int(halves[2]))
    rows: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for concept in range(marked[0].true.shape[1]):
        draw = rng.generator(seed, "streetlight.passages", concept)
        for i, (part, count) in enumerate(zip(marked, counts, strict=True)):
            sides = (part.true[:, concept], ~part.true[:, concept])
            rows[i].append(
                np.concatenate(
                    [
                        part.rows[np.resize(draw.permutation(np.flatnonzero(s)), count)]
                        for s in sides
                    ]
                )
            )
    label = np.concatenate([np.repeat([True, False], count) for count in counts])
    parts = np.concatenate([np.tile(np.repeat([0, 1], halves[:2]), 2), np.full(2 * counts[1], 2)])
    q = marked[0].true.shape[1]
    return (
        tuple(np.stack(lists) for lists in rows),
        np.tile(label, (q, 1)),
        np.tile(parts, (q, 1)),
    )
