"""Reads of next tokens: of what the model gives, of what it writes, and of what the residual stream
would give if it ended earlier. Each makes a read ready for a prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.ask.seen import Context, Prompt, Ready, Seen, Want, each, positions
from assay.ask.tables import Read
from assay.core.errors import DataError
from assay.subjects.folder import most_tokens
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes


def texts_of(text: str | tuple[str, ...]) -> tuple[str, ...]:
    """One text or several, as several."""
    return (text,) if isinstance(text, str) else text


def _follow(read: Read, prompt: Prompt, texts: Sequence[str]) -> list[tuple[Want, ...]]:
    """What the log-probabilities of texts need. Raises: DataError where two of them are the same in
    this row."""
    filled = [prompt.row.fill(text) for text in texts]
    for i, text in enumerate(filled):
        if text in filled[:i]:
            raise DataError(f"{prompt.row.place}: {read.name} compares {text!r} with itself there")
    return [prompt.wants(text) for text in texts]


Notes = tuple[tuple[str, str], ...]


def _notes(prompt: Prompt, texts: Sequence[str], several: str) -> Notes:
    """What to know of the tokens of texts; `several` says what becomes of more than one."""
    filled = [prompt.row.fill(text) for text in texts]
    tokens = [prompt.continuation(text) for text in texts]
    end = prompt.row.text[-1:]
    notes = [
        (f"an answer of several tokens, {several}", text)
        for text, t in zip(filled, tokens, strict=True)
        if len(t) > 1
    ]
    if len({t[0] for t in tokens}) < len(tokens):
        notes.append(("answers that begin with the same token", filled[0]))
    notes += [
        ("an answer that follows a letter or number without a space", text)
        for text in filled
        if end.isalnum() and text[:1].isalnum()
    ]
    return tuple(dict.fromkeys(notes))


ALL, FIRST = "whose log-probabilities are added up", "of which the first is looked at"


def log_prob(read: Read, prompt: Prompt, context: Context) -> Ready:
    """log P of a text behind the prompt; of two texts the first less the second.

    Formula: Σ log P(token | prompt, tokens before it)
    """
    texts = texts_of(read.log_prob)
    wants = _follow(read, prompt, texts)
    signs = (1.0, -1.0)

    def number(seen: Seen) -> float:
        sums = [sum(seen.numbers[w] for w in some) for some in wants]
        return sum(sign * x for sign, x in zip(signs, sums, strict=False))

    flat = tuple(w for some in wants for w in some)
    return Ready(each(number), flat, notes=_notes(prompt, texts, ALL))


def accuracy(read: Read, prompt: Prompt, context: Context) -> Ready:
    """1 where the first text is the most probable of all, over all of its tokens; ties share. What
    is the same in a row counts once, so that a list of all answers may contain the right one."""
    by_answer: dict[str, str] = {}
    for text in read.accuracy:
        by_answer.setdefault(prompt.row.fill(text), text)
    texts = tuple(by_answer.values())
    if len(texts) < 2:
        raise DataError(f"{prompt.row.place}: {read.name} has no other answer than the right one")
    wants = [prompt.wants(text) for text in texts]

    def number(seen: Seen) -> float:
        scores = [sum(seen.numbers[w] for w in some) for some in wants]
        best = [s == max(scores) for s in scores]
        return best[0] / sum(best)

    flat = tuple(w for some in wants for w in some)
    return Ready(each(number), flat, notes=_notes(prompt, texts, ALL))


def _stream(read: Read, prompt: Prompt) -> Site | None:
    """Where a read of next tokens takes the stream from; None: at its end. Raises: DataError."""
    if not read.site:
        return None
    site = Site.parse(read.site)
    width = (read_sizes(prompt.folder.config)["d"],)
    if site.kind == "final_norm" or prompt.folder.shape(site) != width:
        raise DataError(
            f"{read.name}: through final norm and unembedding goes the residual stream, such as "
            f"blocks.{prompt.folder.layers - 1}.hook_resid_post; {site} is none of it"
        )
    return site


def _of_next(read: Read, prompt: Prompt, wants: Sequence[Want], **more: Any) -> Ready:
    """The mean of what is wanted of next tokens."""
    sites = tuple({w.site: None for w in wants if w.site})
    number = each(lambda seen: float(np.mean([seen.numbers[w] for w in wants])))
    return Ready(number, tuple(wants), sites, **more)


def rank(read: Read, prompt: Prompt, context: Context) -> Ready:
    """1 + how many tokens are more probable than the first one of the text."""
    tokens = prompt.continuation(read.rank)
    want = Want("rank", prompt.at(read.position), tokens[0], site=_stream(read, prompt))
    return _of_next(read, prompt, [want], notes=_notes(prompt, [read.rank], FIRST))


def entropy(read: Read, prompt: Prompt, context: Context) -> Ready:
    """Entropy of the next token.

    Formula: −Σ p log p
    """
    site = _stream(read, prompt)
    wants = [Want("entropy", n, site=site) for n in positions(read, prompt)]
    return _of_next(read, prompt, wants)


def kl(read: Read, prompt: Prompt, context: Context) -> Ready:
    """KL divergence of the next token from what the untouched model gives.

    Formula: Σ p (log p − log q), p untouched
    """
    site = _stream(read, prompt)
    return _of_next(read, prompt, [Want("kl", n, site=site) for n in positions(read, prompt)])


def loss(read: Read, prompt: Prompt, context: Context) -> Ready:
    """Mean of −log P over the tokens of the text."""
    # the opening predicts the first token of the text; without one nothing does
    targets = [n for n in prompt.own if n]
    if not targets:
        raise DataError(f"{prompt.row.place} is one token, which nothing predicts; it has no loss")
    wants = [Want("log_prob", n - 1, prompt.tokens[n]) for n in targets]
    mean = _of_next(read, prompt, wants)
    return Ready(lambda seen: [-x for x in mean.numbers(seen)], mean.wants)


def generates(read: Read, prompt: Prompt, context: Context) -> Ready:
    """1 where what the model writes contains one of the texts, else 0; the token that ends a text
    is no part of it."""
    most, length = most_tokens(prompt.folder), len(prompt.tokens) + read.tokens
    if length > most:
        raise DataError(
            f"{prompt.row.place}: its {len(prompt.tokens)} tokens and {read.tokens} to be written "
            f"are {length}, {prompt.folder.name} reads {most}; write tokens = "
            f"{max(1, most - len(prompt.tokens))} or fewer"
        )
    texts = [whole(prompt.row.fill(text)) for text in read.generates]
    ends = set(prompt.folder.ends)

    def number(seen: Seen) -> float:
        new = [t for t in seen.written[: read.tokens] if t not in ends]
        written = prompt.folder.tokenizer.decode(new)
        return float(any(text.search(written) for text in texts))

    return Ready(each(number), writes=read.tokens)


def whole(text: str) -> re.Pattern[str]:
    """Match a text by itself, in large and small letters alike: "no" is not in "know"."""
    text = text.strip()
    before = r"(?<!\w)" if text[:1].isalnum() else ""
    after = r"(?!\w)" if text[-1:].isalnum() else ""
    return re.compile(before + re.escape(text) + after, re.IGNORECASE)


def logit_lens(read: Read, prompt: Prompt, context: Context) -> Ready:
    """log P of first tokens by final norm and unembedding of the stream at a site."""
    if not read.site:
        raise DataError(
            f'{read.name} needs the site that it reads, such as site = "blocks.0.hook_resid_post"'
        )
    texts = texts_of(read.logit_lens)
    tokens = [prompt.continuation(text) for text in texts]
    filled = [prompt.row.fill(text) for text in texts]
    if len(tokens) > 1 and tokens[0][0] == tokens[1][0]:
        raise DataError(
            f"{prompt.row.place}: {filled[0]!r} and {filled[1]!r} begin with the same token, so "
            "their logit lens is 0 whatever the model does; choose texts that begin differently"
        )
    position, site = prompt.at(read.position), _stream(read, prompt)
    wants = [Want("log_prob", position, t[0], site=site) for t in tokens]

    def number(seen: Seen) -> float:
        return sum(s * seen.numbers[w] for s, w in zip((1.0, -1.0), wants, strict=False))

    assert site is not None
    return Ready(each(number), tuple(wants), (site,), notes=_notes(prompt, texts, FIRST))
