"""Reads of next tokens: of the model's output, of what it writes, and of the residual stream by the
logit lens. Each makes a read ready for a prompt."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from assay.ask.measure import own_code
from assay.ask.measure.tokenized import (
    AnyOf,
    Behind,
    Context,
    PassOutput,
    Prompt,
    Ready,
    Want,
    each,
    positions,
    texts_of,
)
from assay.ask.tables import Answer, Read
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes

Notes = tuple[tuple[str, str], ...]


def notes(prompt: Prompt, answers: Sequence[Sequence[Behind]], several: str) -> Notes:
    """Clauses on the tokens of answers; `several` says how an answer of several tokens is used."""
    filled = [text.filled for texts in answers for text in texts]
    firsts = [{text.tokens[0] for text in texts} for texts in answers]
    end = prompt.row.text[-1:]
    remarks = [
        (f"an answer has several tokens; {several}", text.filled)
        for texts in answers
        for text in texts
        if len(text.tokens) > 1
    ]
    remarks += [
        ("an answer has extra spaces", text)
        for text in filled
        if text != text.rstrip() or text.startswith("  ")
    ]
    if len({text.strip()[0].isupper() for text in filled if text.strip()[:1].isalpha()}) > 1:
        remarks.append(("only some answers begin with a capital letter", filled[0]))
    if any(a & b for a, b in itertools.combinations(firsts, 2)):
        remarks.append(("answers begin with the same token", filled[0]))
    remarks += [
        ("an answer follows a letter or number without a space", text)
        for text in filled
        if end.isalnum() and text[:1].isalnum()
    ]
    return tuple(dict.fromkeys(remarks))


ALL, FIRST = "their log probabilities are added", "only the first is used"


def log_prob(read: Read, prompt: Prompt, context: Context) -> Ready:
    """log P of a text after the prompt; for two texts the first minus the second.

    Formula: Σ log P(token | prompt, tokens before it), of several texts log Σ P(text | prompt)
    """
    if isinstance(read.log_prob, bool):
        return _of_first(read, prompt, "log_prob", True, "log_prob")
    return _behind(read, read.log_prob, prompt, AnyOf.log_prob)


def prob(read: Read, prompt: Prompt, context: Context) -> Ready:
    """P of a text after the prompt, over all of its tokens; for two texts the first minus the
    second."""
    if isinstance(read.prob, bool):
        of_own = _of_first(read, prompt, "log_prob", True, "prob")
        return replace(of_own, numbers=lambda output: np.exp(of_own.numbers(output)).tolist())
    return _behind(read, read.prob, prompt, lambda x, output: math.exp(x.log_prob(output)))


def _behind(
    read: Read,
    answer_texts: str | tuple[Answer, ...],
    prompt: Prompt,
    number_of: Callable[[AnyOf, PassOutput], float],
) -> Ready:
    """A number of what follows the prompt; for two answers the difference."""
    texts = texts_of(answer_texts)
    answers = [AnyOf(prompt, variants) for variants in texts]
    first, *second = ({text.filled for text in answer.texts} for answer in answers)
    if second and (both := sorted(first & second[0])):
        reason = f"{read.name} compares {both[0]!r} with itself there"
        raise DataError(f"{prompt.row.place}: {reason}")
    signs = (1.0, -1.0)

    def number(reading: PassOutput) -> float:
        return sum(sign * number_of(x, reading) for sign, x in zip(signs, answers, strict=False))

    return _of_answers(number, prompt, answers)


def _of_answers(
    number: Callable[[PassOutput], float], prompt: Prompt, answers: Sequence[AnyOf]
) -> Ready:
    """A number computed from the probabilities of answers."""
    wants = tuple(w for answer in answers for wants in answer.wants for w in wants)
    return Ready(each(number), wants, notes=notes(prompt, [x.texts for x in answers], ALL))


def accuracy(read: Read, prompt: Prompt, context: Context) -> Ready:
    """1 if the first text is the most probable of all, over all of its tokens; ties share. Equal
    answers of a row count once, so that a list of all answers may contain the right one. For a
    single text: 1 if each of its tokens is the most probable token."""
    if len(read.accuracy) == 1:
        return _greedy(read, prompt)
    by_answer: dict[tuple[str, ...], Answer] = {}
    for options in texts_of(read.accuracy):
        by_answer.setdefault(tuple(prompt.row.fill(text) for text in texts_of(options)), options)
    texts = list(by_answer.values())
    if len(texts) < 2:
        raise DataError(f"{prompt.row.place}: {read.name} has no other answer than the right one")
    answers = [AnyOf(prompt, options) for options in texts]

    def number(reading: PassOutput) -> float:
        scores = [answer.log_prob(reading) for answer in answers]
        best = [s == max(scores) for s in scores]
        return best[0] / sum(best)

    return _of_answers(number, prompt, answers)


def _greedy(read: Read, prompt: Prompt) -> Ready:
    """1 if the model writes the text by itself with the likeliest tokens."""
    texts = [prompt.behind(text) for text in texts_of(read.accuracy[0])]
    wants = [[replace(w, what="rank") for w in prompt.wants(text)] for text in texts]

    def number(reading: PassOutput) -> float:
        return float(any(all(reading.numbers[w] == 1 for w in text_wants) for text_wants in wants))

    remarks = notes(prompt, [texts], "each has to be the likeliest")
    return Ready(each(number), tuple(itertools.chain.from_iterable(wants)), notes=remarks)


def own_token(read: Read, prompt: Prompt, position: int) -> Want:
    """The number of the most probable token of the unchanged model after a position: at its output,
    or by the logit lens at the read's `token_site`. Raises: DataError."""
    site = _stream(read, prompt, read.token_site)
    return Want("token", position, untouched_site=site)


def lensed(model: Pretrained, stream: Float[torch.Tensor, "v d"]) -> Float[torch.Tensor, "v d"]:
    """What the unembedding would read if the residual stream ended here."""
    with torch.no_grad():
        final: torch.Tensor = model.final_norm(stream)
    return final.to(model.model.get_output_embeddings().weight.dtype)


def own_numbers(
    model: Pretrained, wants: Sequence[Want], acts: Mapping[Site, torch.Tensor]
) -> dict[Want, float]:
    """The numbers of the most probable tokens, from the streams of an unchanged pass."""
    last = Site("resid_post", model.layers - 1)
    streams = {w: acts[w.untouched_site or last][w.position][None] for w in wants}
    with torch.no_grad():
        return {w: float(model.head(lensed(model, x)).argmax()) for w, x in streams.items()}


def own_in_words(read: Read) -> str:
    """The most probable token of the unchanged model, in words."""
    if read.token_site:
        return f"the token on top at {read.token_site} in the untouched model"
    return "the next token that the untouched model predicts"


def _stream(read: Read, prompt: Prompt, name: str) -> Site | None:
    """A site of the residual stream by its name; None without a name, for its end. Raises:
    DataError."""
    if not name:
        return None
    site = Site.parse(name)
    width = (read_sizes(prompt.folder.config)["d"],)
    if site.kind == "final_norm" or prompt.folder.shape(site) != width:
        raise DataError(
            f"{read.name}: through final norm and unembedding goes the residual stream, such as "
            f"blocks.{prompt.folder.layers - 1}.hook_resid_post; {site} is not part of it"
        )
    return site


def _of_next(wants: Sequence[Want], **more: Any) -> Ready:
    sites = tuple({s: None for w in wants for s in (w.site, w.untouched_site) if s})
    number = each(lambda reading: float(np.mean([reading.numbers[w] for w in wants])))
    return Ready(number, tuple(wants), sites, **more)


def rank(read: Read, prompt: Prompt, context: Context) -> Ready:
    """1 + the number of tokens that are more probable than the first one of the text, or than the
    most probable one of the unchanged model, or of the first of two models."""
    site, tokens = _stream(read, prompt, read.site), positions(read, prompt)
    if not isinstance(read.rank, str):
        top_tokens = [own_token(read, prompt, n) for n in tokens]
        return _of_next([replace(w, what="rank", site=site) for w in top_tokens])
    text = prompt.behind(read.rank)
    wants = [Want("rank", n, text.tokens[0], site=site) for n in tokens]
    return _of_next(wants, notes=notes(prompt, [[text]], FIRST))


def entropy(read: Read, prompt: Prompt, context: Context) -> Ready:
    """Entropy of the next token.

    Formula: −Σ p log p
    """
    site = _stream(read, prompt, read.site)
    return _of_next([Want("entropy", n, site=site) for n in positions(read, prompt)])


def kl(read: Read, prompt: Prompt, context: Context) -> Ready:
    """KL divergence of the next token from that of the unchanged model; at a site, by the logit
    lens.

    Formula: Σ p (log p − log q), p untouched
    """
    site = _stream(read, prompt, read.site)
    return _of_next([Want("kl", n, site=site) for n in positions(read, prompt)])


def agrees(read: Read, prompt: Prompt, context: Context) -> Ready:
    """1 if the most probable next token is that of the unchanged model, or of the first of two
    models; for several tokens the share; at a site, by the logit lens."""
    site = _stream(read, prompt, read.site)
    top_tokens = [own_token(read, prompt, n) for n in positions(read, prompt)]
    return _of_next([replace(w, what="agrees", site=site) for w in top_tokens])


def loss(read: Read, prompt: Prompt, context: Context) -> Ready:
    """Mean of −log P over the tokens of the text, or over those at a position."""
    # the opening predicts the first token of the text; without one nothing does
    whole = isinstance(read.position, int) and read.position == -1
    targets = [n for n in (prompt.own if whole else prompt.all_at(read.position)) if n]
    if not targets:
        raise DataError(f"{prompt.row.place} is one token, which nothing predicts; it has no loss")
    wants = [Want("log_prob", n - 1, prompt.tokens[n]) for n in targets]
    mean = _of_next(wants)
    return Ready(lambda reading: [-x for x in mean.numbers(reading)], mean.wants)


def generates(read: Read, prompt: Prompt, context: Context) -> Ready:
    """1 if what the model writes contains one of the texts, or begins with it, otherwise 0; end
    tokens are ignored."""
    _refuse_longer(read, prompt)
    stated = read.generates or read.begins
    filled = [prompt.row.fill(text) for text in stated]
    if empty := [text for text, f in zip(stated, filled, strict=True) if not f.strip()]:
        raise DataError(
            f"{prompt.row.place}: {empty[0]!r} is empty there, and whatever is written has that"
        )
    texts = [whole(text) for text in filled]
    matches = re.Pattern.search if read.generates else re.Pattern.match
    ends = set(prompt.folder.ends)

    def number(reading: PassOutput) -> float:
        new = [t for t in reading.written[read.temperature][: read.tokens] if t not in ends]
        written = prompt.folder.tokenizer.decode(new).lstrip()
        return float(any(matches(text, written) for text in texts))

    return Ready(each(number), writes=read.tokens, temperature=read.temperature)


def _refuse_longer(read: Read, prompt: Prompt) -> None:
    """Refuse to write more tokens than fit into the model's context. Raises: DataError."""
    limit, length = prompt.folder.most_tokens, len(prompt.tokens) + read.tokens
    if length > limit:
        raise DataError(
            f"{prompt.row.place}: its {len(prompt.tokens)} tokens and {read.tokens} to be written "
            f"are {length}, {prompt.folder.name} reads {limit}; write tokens = "
            f"{max(1, limit - len(prompt.tokens))} or fewer"
        )


def written(read: Read, prompt: Prompt, context: Context) -> Ready:
    """A number of the text that the model writes.

    Formula: loss −Σ log P(token | prompt, tokens before it) / tokens, by the model without a change
    and with the token that ends a text; perplexity its exponential; distinct the different pairs of
    neighbouring words over all, 1 where there is no pair; repeated 1 less the different runs of
    tokens over all, 0 where there is no run; uppercase the upper-case letters over all letters, 0
    where there is none; share the words that are in the list over all words, likewise
    """
    _refuse_longer(read, prompt)
    ends, heat = set(prompt.folder.ends), read.temperature
    scored = read.written in ("loss", "perplexity")
    code = context.code(read.function) if read.written == "function" else None
    parameters = own_code.parameters(code, own_code.TEXT, read.function) if code else ()
    listed = _listed(read, prompt)

    def loss(reading: PassOutput) -> float:
        return float(np.mean(reading.losses[heat][: read.tokens]))

    def number(reading: PassOutput) -> float:
        if scored:
            return loss(reading) if read.written == "loss" else math.exp(loss(reading))
        new = [t for t in reading.written[heat][: read.tokens] if t not in ends]
        if read.written in OF_TOKENS:
            return float(OF_TOKENS[read.written](new, read.ngram))
        text = prompt.folder.tokenizer.decode(new)
        if read.written == "share":
            return float(np.mean([float(word in listed) for word in _words(text)] or [0.0]))
        if code is None:
            return float(OF_TEXT[read.written](text))
        offered: dict[str, Any] = {"text": text, "columns": dict(prompt.row.columns)}
        arguments = {name: offered[name] for name in parameters}
        (result,) = own_code.numbers(
            read.function, lambda **values: [code(**values)], arguments, 1, prompt.row.place
        )
        return result

    return Ready(each(number), writes=read.tokens, temperature=heat, scored=scored)


def _runs(tokens: Sequence[int], length: int) -> Counter[tuple[int, ...]]:
    starts = range(len(tokens) - length + 1)
    return Counter(tuple(tokens[i : i + length]) for i in starts)


def _repeated(tokens: Sequence[int], length: int) -> float:
    counts = _runs(tokens, length)
    return 1 - len(counts) / counts.total() if counts else 0.0


OF_TOKENS: Mapping[str, Callable[[Sequence[int], int], float]] = {
    "tokens": lambda tokens, length: len(tokens),
    "repeated": _repeated,
    "loops": lambda tokens, length: max(_runs(tokens, length).values(), default=0),
}
"""Numbers of the written tokens, and of their runs of a given length."""


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _listed(read: Read, prompt: Prompt) -> frozenset[str]:
    """The words whose share is read, in lower case. Raises: DataError for an entry that is not a
    single word."""
    words = [prompt.row.fill(word) if "{" in word else word for word in read.words]
    if several := [word for word in words if len(_words(word)) != 1]:
        count = "no word" if not _words(several[0]) else f"{len(_words(several[0]))} words"
        raise DataError(
            f"{read.name}: the text is compared word by word, and {several[0]!r} is {count}; "
            "write each of them by itself"
        )
    return frozenset(word for entry in words for word in _words(entry))


def _distinct(text: str) -> float:
    pairs = [*itertools.pairwise(_words(text))]
    return len({*pairs}) / len(pairs) if pairs else 1.0


def _uppercase(text: str) -> float:
    letters = [sign for sign in text if sign.isalpha()]
    return sum(sign.isupper() for sign in letters) / len(letters) if letters else 0.0


OF_TEXT: Mapping[str, Callable[[str], float]] = {
    "words": lambda text: len(_words(text)),
    "distinct": _distinct,
    "uppercase": _uppercase,
}
"""Numbers of the written text."""


def whole(text: str) -> re.Pattern[str]:
    """Match a text as whole words, ignoring case: "no" is not in "know"."""
    text = text.strip()
    left = r"(?<!\w)" if text[:1].isalnum() else ""
    right = r"(?!\w)" if text[-1:].isalnum() else ""
    return re.compile(left + re.escape(text) + right, re.IGNORECASE)


def logit_lens(read: Read, prompt: Prompt, context: Context) -> Ready:
    """log P of first tokens by final norm and unembedding of the stream at a site."""
    if not read.site:
        raise DataError(
            f'{read.name} needs the site that it reads, such as site = "blocks.0.hook_resid_post"'
        )
    return _of_first(read, prompt, "log_prob", read.logit_lens, "logit lens")


def logit(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The logit of a text's first token, or of the unchanged model's most probable one; for two
    texts the first minus the second."""
    return _of_first(read, prompt, "logit", read.logit, "difference of logits")


def _of_first(
    read: Read,
    prompt: Prompt,
    quantity: Literal["log_prob", "logit"],
    stated: bool | str | tuple[str, str],
    called: str,
) -> Ready:
    """A number of the first token of one text, of two texts the difference, or of the model's own
    token."""
    if isinstance(stated, bool):
        site = _stream(read, prompt, read.site)
        top_tokens = [own_token(read, prompt, n) for n in prompt.all_at(read.position)]
        return _of_next([replace(w, what=quantity, site=site) for w in top_tokens])
    texts = [prompt.behind(text) for text in texts_of(stated)]
    if len(texts) > 1 and texts[0].tokens[0] == texts[1].tokens[0]:
        raise DataError(
            f"{prompt.row.place}: {texts[0].filled!r} and {texts[1].filled!r} begin with the same "
            f"token, so their {called} is 0 whatever the model does; choose texts that begin "
            "differently"
        )
    positions, site = prompt.all_at(read.position), _stream(read, prompt, read.site)
    wants = [[Want(quantity, n, text.tokens[0], site=site) for text in texts] for n in positions]

    def difference(reading: PassOutput, pair: Sequence[Want]) -> float:
        return sum(s * reading.numbers[w] for s, w in zip((1.0, -1.0), pair, strict=False))

    def number(reading: PassOutput) -> float:
        return sum(difference(reading, pair) for pair in wants) / len(wants)

    return Ready(
        each(number),
        tuple(itertools.chain.from_iterable(wants)),
        (site,) if site else (),
        notes=notes(prompt, [[text] for text in texts], FIRST),
    )
