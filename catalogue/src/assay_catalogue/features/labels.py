"""Yes-or-no questions about tokens of Python source whose answers the source itself gives: what
probes are asked to read.

Nothing is annotated by hand or by a model: Python's own tokenizer and parser say where a string
ends and a loop begins. A file that does not parse gives no labels, which is not the same as the
label no."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from assay.core import syntax
from assay.data.corpus import Corpus, Windows

TASKS: Mapping[str, str] = {
    "string": "inside a string literal",
    "comment": "inside a comment",
    "signature": "inside the signature of a function, from def to its colon",
    "loop": "inside the body of a for or while loop",
    "newline": "the next token holds a line break",
}
_STRINGS = {
    getattr(tokenize, name)
    for name in (
        "STRING",
        *(f"{kind}STRING_{part}" for kind in "FT" for part in ("START", "MIDDLE", "END")),
    )
    if hasattr(tokenize, name)
}


def characters(source: str) -> dict[str, Bool[np.ndarray, " character"]] | None:
    """For every task but "newline" which characters of the source are inside; None where it does
    not parse."""
    try:
        tree = syntax.module(source)
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, ValueError, tokenize.TokenError, RecursionError):
        return None
    if "\r" in source:  # the parser and the tokenizer count such lines differently
        return None
    lines = source.split("\n")
    starts = np.cumsum([0, *(len(line) + 1 for line in lines), 0])
    inside = {name: np.zeros(len(source), bool) for name in TASKS if name != "newline"}

    def mark(name: str, begin: tuple[int, int], end: tuple[int, int]) -> None:
        inside[name][starts[begin[0] - 1] + begin[1] : starts[end[0] - 1] + end[1]] = True

    since: tuple[int, int] | None = None
    depth = 0
    for token in tokens:
        if token.type in _STRINGS:
            mark("string", token.start, token.end)
        elif token.type == tokenize.COMMENT:
            mark("comment", token.start, token.end)
        elif token.type == tokenize.NAME and token.string == "def":
            since, depth = token.start, 0
        elif token.type == tokenize.OP and since is not None:
            depth += (token.string in "([{") - (token.string in ")]}")
            if token.string == ":" and depth == 0:
                mark("signature", since, token.end)
                since = None
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.AsyncFor | ast.While):
            before = (
                lines[node.body[0].lineno - 1].encode()[: node.body[0].col_offset].decode()
            )  # the parser counts bytes
            mark(
                "loop",
                (node.body[0].lineno, len(before) if before.strip() else 0),
                ((node.body[-1].end_lineno or node.lineno) + 1, 0),
            )
    return inside


def token_labels(
    source: str, spans: Int[np.ndarray, "token 2"]
) -> dict[str, Bool[np.ndarray, " token"]] | None:
    """The answer of every task for tokens that cover these characters of the source; None where it
    does not parse.

    A token is inside where its first character that is no blank is; one of blanks alone goes by its
    last character."""
    inside = characters(source)
    if inside is None:
        return None
    place = np.array([first_character(source, int(a), int(b)) for a, b in spans], np.int64)
    labels = {
        name: mask[place] if len(mask) else np.zeros(len(place), bool)
        for name, mask in inside.items()
    }
    breaks = np.array(["\n" in source[a:b] for a, b in spans], bool)
    return {**labels, "newline": np.append(breaks[1:], False)}


def window_labels(
    corpus: Corpus, windows: Windows, tokenizer: Any
) -> tuple[dict[str, Bool[np.ndarray, "window s"]], Bool[np.ndarray, "window s"]]:
    """The answers for every token of windows of a corpus, and where they are known.

    `tokenizer` is a model folder's: its `inner` gives the characters that each token covers.
    """
    shape = windows.tokens.shape
    labels, known = {name: np.zeros(shape, bool) for name in TASKS}, np.zeros(shape, bool)
    for document in np.unique(windows.document).tolist():
        source = corpus.text(document)
        spans = np.array(
            tokenizer.inner.encode(source, add_special_tokens=False).offsets, np.int64
        ).reshape(-1, 2)
        document_labels = token_labels(source, spans)
        if document_labels is None:
            continue
        for w in np.flatnonzero(windows.document == document):
            start = int(windows.offset[w])
            first = max(0, -start)  # before the text stands what a model's text begins with
            known[w, first:] = True
            for name, values in document_labels.items():
                labels[name][w, first:] = values[start + first : start + shape[1]]
    return labels, known


def first_character(source: str, a: int, b: int) -> int:
    """Where a token from a to b is: its first character that is no blank, or the last of blanks
    alone."""
    text = source[a:b]
    return min(
        a + len(text) - len(text.lstrip()) if text.strip() else max(a, b - 1), len(source) - 1
    )
