"""Reads: numbers of a prompt as a model read it. `KINDS` is the table of kinds, each with its
function, its description, its unit and its range; the functions at the top describe a read in
words, those after the table answer questions about a read, and `check` refuses impossible ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from keyword import iskeyword
from typing import Any

from assay.ask.measure import (
    across_prompts,
    activations,
    attribution,
    directions,
    gradients,
    interventions,
    next_tokens,
    similarity,
    weights,
)
from assay.ask.measure.heads import head_of
from assay.ask.measure.prompts import SLOT, PromptSet
from assay.ask.measure.tokenized import Context, Prompt, Ready, range_ends, texts_of, whole_slot
from assay.ask.tables import Answer, Direction, Intervention, Plain, Read
from assay.core.errors import AssayError, DataError, nearest
from assay.core.measures import taken_names
from assay.core.nouns import counted
from assay.subjects.site import Site


@dataclass(frozen=True)
class Kind:
    """A kind of read."""

    ready: Callable[[Read, Prompt, Context], Ready]
    words: Callable[[Read], str]
    """A description of the number."""
    _: KW_ONLY
    unit: str = "1"
    worse: str | Callable[[Read], str] = ""
    """Whether it "rises" or "falls" if a model gets worse; "" if it moves towards 0."""
    natural: Callable[[Read], tuple[float | None, float | None]] = lambda read: (None, None)
    """The smallest and the largest possible number."""
    better: str = ""
    """Which way is better, "higher" or "lower", if one is."""
    fields: tuple[str, ...] = ()
    """The fields that it uses besides its own."""
    places: tuple[str, ...] = ()
    """The words that its `position` may be, besides a single token."""
    skips_first: bool = False
    """Whether its mean over tokens leaves out the first token if the model reads no BOS."""
    same: float | None = None
    """For comparisons of a changed model with the unchanged one, or of two models: the value
    without a change."""


FEW = 4
"""Up to this many levels of a sweep are written out."""


def _quoted(texts: str | tuple[Answer, ...]) -> str:
    return ", ".join(map(_answer, (texts,) if isinstance(texts, str) else texts))


def _answer(answer: Answer) -> str:
    texts = [json.dumps(text, ensure_ascii=False) for text in texts_of(answer)]
    return f"any of {', '.join(texts)}" if texts[1:] else texts[0]


def _less(quantity: str, texts: bool | str | tuple[Answer, ...], read: Read) -> str:
    if isinstance(texts, bool):
        return f"{quantity} of {next_tokens.own_in_words(read)}"
    answers = (texts,) if isinstance(texts, str) else texts
    return " − ".join(f"{quantity}({_answer(answer)})" for answer in answers)


def _where(read: Read) -> str:
    """The token and the site, in words."""
    usual = read.position == -1 and isinstance(read.position, int)
    several = (
        isinstance(read.position, tuple) or whole_slot(read.position) or range_ends(read.position)
    )
    token = {"mean": ", mean over tokens", "all": ", highest over tokens"}.get(
        str(read.position), f" at token {read.position}"
    )
    if several:
        token = f" at {interventions.token_in_words(read.position)}"
    site = f" at {read.site}" if read.site else ""
    site += f" and at {read.other_site}" if read.other_site else ""
    return f"{site}{'' if usual else token}"


def _lens(read: Read) -> str:
    """The logit lens and the position of a next token, in words."""
    return f"{', by the logit lens' if read.site else ''}{_where(read)}"


def _at_most_0(read: Read) -> tuple[float | None, float | None]:
    texts = read.log_prob or read.logit_lens
    return (None, None) if isinstance(texts, tuple) and texts[1:] else (None, 0.0)


def _answer_falls(read: Read) -> str:
    """ "falls" for one answer; a difference of two moves towards 0."""
    texts = read.log_prob or read.prob or read.logit
    return "" if isinstance(texts, tuple) and texts[1:] else "falls"


def _parts(read: Read, names: str) -> str:
    """The parts of a read, by name or by the way they are chosen."""
    place = "all" if read.position == "mean" else read.position
    return interventions.top_in_words(read.top, read.site, place) if read.top else names


def _named_parts(read: Read) -> str:
    names = ", ".join(map(str, read.heads or read.neurons or read.feature or ()))
    return f"head{'s' * bool(read.heads[1:])} {names}" if read.heads else names


def _writing(read: Read) -> str:
    """What heads or sites write, in words; a name with a slot means several."""
    places = read.heads or read.sites or (read.site,)
    several = bool(read.top or places[1:]) or "{" in places[0]
    noun = f"head{'s' * several} " if read.heads else ""
    names = _parts(read, f"{noun}{', '.join(places)}")
    return f"what {names} write{'s' * (not several)}"


def _some(words: Sequence[str]) -> str:
    """A list of words, shortened if it is long."""
    more = f" and {len(words) - FEW:,} others" if len(words) > FEW else ""
    return _quoted(tuple(words[:FEW])) + more


def _written_on(read: Read) -> str:
    if read.temperature or "temperature" in read.sweep:
        return (
            f"the next {counted(read.tokens, 'token')}, sampled at temperature {read.temperature:g}"
        )
    return f"the next {counted(read.tokens, 'likeliest token')}"


def _pattern_words(read: Read) -> str:
    targets = {
        "previous": "the token before",
        "self": "itself",
        "induction": "the token after the last earlier occurrence of the same token",
    }
    to = targets.get(str(read.to), f"token {read.to}")
    start = "a token pays, mean over tokens," if read.position == "mean" else ""
    start = start or f"token {read.position} pays"
    heads = f"head {read.pattern}" if read.pattern else f"heads {', '.join(read.heads)}"
    return f"share of attention that {start} to {to} in {_parts(read, heads)}"


def _column(read: Read, prompt: Prompt, context: Context) -> Ready:
    """A number of the prompt's row, whatever the model does, or of a level of the sweep."""
    name, label = read.column if isinstance(read.column, tuple) else (read.column, None)
    columns = {str(level): str(level) for levels in read.sweep.values() for level in levels}
    columns |= prompt.row.columns
    if name not in columns:
        hint = nearest(name, prompt.row.columns)
        raise DataError(f"{prompt.row.place}: {read.name} reads no column {name!r}; {hint}")
    value = columns[name]
    try:
        number = float(value) if label is None else float(value == label)
    except ValueError:
        raise DataError(
            f"{prompt.row.place}: {name} = {value!r} is not a number; of a label write column = "
            f'["{name}", "{value}"]'
        ) from None
    return Ready(lambda outputs: [number for _ in outputs])


_SHARE, _FROM_0, _COSINE = (lambda _: (0.0, 1.0)), (lambda _: (0.0, None)), (lambda _: (-1.0, 1.0))
_AT = ("position", "site")
_WRITTEN = {
    "loss": ("mean loss in nats, without any change,", (0.0, None), "rises"),
    "perplexity": ("perplexity, without any change,", (1.0, None), "rises"),
    "words": ("number of words", (0.0, None), "falls"),
    "distinct": ("share of different pairs of words", (0.0, 1.0), "falls"),
    "repeated": ("share of repeated runs of {ngram} tokens", (0.0, 1.0), "rises"),
    "loops": ("occurrences of the most frequent run of {ngram} tokens", (0.0, None), "rises"),
    "uppercase": ("share of upper-case letters", (0.0, 1.0), ""),
    "tokens": ("number of tokens", (0.0, None), ""),
    "share": ("share of words that are among {words},", (0.0, 1.0), ""),
    "function": ("what {function} returns", (None, None), ""),
}
"""Numbers of written text: a description, the range, and the direction in a worse model."""
_COORDINATES = {
    "kurtosis": ("excess kurtosis of the coordinates", (-2.0, None)),
    "max": ("largest coordinate over the median one, in magnitude,", (1.0, None)),
    "participation": ("participation ratio of the coordinates", (1.0, None)),
    "hoyer": ("Hoyer sparsity of the coordinates", (0.0, 1.0)),
}
"""How unequal coordinates are: a description and the range."""


_at_tokens = partial(Kind, fields=_AT, places=("mean",))
"""A read at a token, or its mean over tokens."""
_of_activation = partial(_at_tokens, skips_first=True)
_of_written = partial(
    Kind, next_tokens.generates, worse="falls", natural=_SHARE, fields=("tokens", "temperature")
)
"""Whether what the model writes contains, or begins with, one of several texts."""
KINDS: Mapping[str, Kind] = {
    "log_prob": Kind(
        next_tokens.log_prob,
        lambda r: f"{_less('log P', r.log_prob, r)} after the prompt, over all tokens",
        unit="nats",
        worse=_answer_falls,
        natural=_at_most_0,
        fields=("token_site",),
    ),
    "prob": Kind(
        next_tokens.prob,
        lambda r: f"{_less('P', r.prob, r)} after the prompt, over all tokens",
        worse=_answer_falls,
        natural=lambda r: (-1.0 if isinstance(r.prob, tuple) and r.prob[1:] else 0.0, 1.0),
        fields=("token_site",),
    ),
    "accuracy": Kind(
        next_tokens.accuracy,
        lambda r: (
            f"whether {_answer(r.accuracy[0])} is more probable than {_quoted(r.accuracy[1:])}"
            if r.accuracy[1:]
            else f"whether {_answer(r.accuracy[0])} is the most probable text"
        ),
        worse="falls",
        natural=_SHARE,
        better="higher",
    ),
    "rank": _at_tokens(
        next_tokens.rank,
        lambda r: (
            f"rank of the first token of {_quoted(r.rank)}{_where(r)}, 1 the most probable"
            if isinstance(r.rank, str)
            else f"rank of {next_tokens.own_in_words(r)}{_lens(r)}, 1 the first"
        ),
        unit="rank",
        worse="rises",
        natural=lambda r: (1.0, None),
        fields=(*_AT, "token_site"),
        same=1.0,
    ),
    "entropy": _at_tokens(
        next_tokens.entropy,
        lambda r: f"entropy of the next token{_where(r)}",
        unit="nats",
        worse="rises",
        natural=_FROM_0,
    ),
    "kl": _at_tokens(
        next_tokens.kl,
        lambda r: f"KL divergence of the next token from the untouched model's{_lens(r)}",
        unit="nats",
        worse="rises",
        natural=_FROM_0,
        same=0.0,
    ),
    "agrees": _at_tokens(
        next_tokens.agrees,
        lambda r: (
            "whether the most probable next token is "
            + (next_tokens.own_in_words(r) if r.token_site else "the untouched model's")
            + _lens(r)
        ),
        worse="falls",
        natural=_SHARE,
        fields=(*_AT, "token_site"),
        same=1.0,
    ),
    "loss": Kind(
        next_tokens.loss,
        lambda r: (
            "mean loss over the prompt's own tokens" if r.position == -1 else f"loss{_where(r)}"
        ),
        unit="nats",
        worse="rises",
        natural=_FROM_0,
        better="lower",
        fields=("position",),
    ),
    "generates": _of_written(lambda r: f"whether {_written_on(r)} contain {_quoted(r.generates)}"),
    "begins": _of_written(lambda r: f"whether {_written_on(r)} begin with {_quoted(r.begins)}"),
    "written": Kind(
        next_tokens.written,
        lambda r: (
            _WRITTEN[r.written][0].format(ngram=r.ngram, function=r.function, words=_some(r.words))
            + f" of {_written_on(r)}"
        ),
        worse=lambda r: _WRITTEN[r.written][2],
        natural=lambda r: _WRITTEN[r.written][1],
        fields=("tokens", "temperature", "ngram", "words", "function"),
    ),
    "logit_lens": Kind(
        next_tokens.logit_lens,
        lambda r: f"{_less('log P', r.logit_lens, r)} by the logit lens{_where(r)}, first tokens",
        unit="nats",
        natural=_at_most_0,
        fields=(*_AT, "token_site"),
    ),
    "logit": Kind(
        next_tokens.logit,
        lambda r: f"{_less('logit', r.logit, r)}{_where(r)}, first tokens",
        unit="logit",
        worse=_answer_falls,
        fields=(*_AT, "token_site"),
    ),
    "direct": Kind(
        attribution.direct,
        lambda r: (
            f"{_writing(r)} directly to {_less('logit', r.direct, r)}, first tokens"
            + ("" if r.attends == "" else f", attending to token {r.attends} alone")
        ),
        unit="logit",
        fields=(*_AT, "sites", "heads", "top", "attends", "token_site"),
    ),
    "gradient": Kind(
        gradients.gradient,
        lambda r: (
            f"gradient of {r.gradient} times the {'change of the ' if r.patch else ''}activation"
            f"{f' of {of}' if (of := _parts(r, _named_parts(r))) else ''}{_where(r)}"
            f"{' by a patch from the pair' if r.patch else ''}"
            f"{f', integrated over {r.steps} steps' if r.steps > 1 else ''}"
        ),
        fields=(*_AT, "heads", "neurons", "feature", "top", "steps", "patch"),
        places=("all",),
    ),
    "weights": Kind(
        weights.weights,
        weights.words,
        natural=lambda r: weights.RANGES.get(r.weights, (None, None)),
        fields=("heads", "neurons", "direction", "token", "onto", "site", "token_site", "to"),
    ),
    "pattern": Kind(
        activations.pattern,
        _pattern_words,
        natural=_SHARE,
        fields=("position", "to", "heads", "top"),
        places=("mean",),
    ),
    "projection": _of_activation(
        activations.projection,
        lambda r: f"activation along {r.projection}{_where(r)}, over its length",
        unit="activation",
    ),
    "feature": Kind(
        activations.feature,
        lambda r: (
            f"activation of {_parts(r, f'latent {r.feature[1]}')} of {r.feature[0]}{_where(r)}"
            if r.feature
            else ""
        ),
        unit="activation",
        fields=(*_AT, "top"),
        places=("mean", "all"),
    ),
    "norm": _of_activation(
        activations.norm,
        lambda r: f"length of the activation{_where(r)}",
        unit="activation",
        natural=_FROM_0,
    ),
    "distance": _of_activation(
        activations.distance,
        lambda r: f"distance of the activation{_where(r)} from {r.distance}",
        unit="activation",
        natural=_FROM_0,
    ),
    "cosine": _of_activation(
        activations.cosine,
        lambda r: (
            f"cosine of {' and '.join(r.cosine)}"
            if isinstance(r.cosine, tuple)
            else f"cosine of the activation{_where(r)} and {r.cosine}"
        ),
        unit="cosine",
        natural=_COSINE,
    ),
    "neurons": _of_activation(
        activations.neurons,
        lambda r: (
            "mean activation of "
            f"{_parts(r, 'neurons ' + ', '.join(map(str, r.neurons)))}{_where(r)}"
        ),
        unit="activation",
        fields=(*_AT, "top"),
        places=("mean", "all"),
    ),
    "active": _of_activation(
        activations.active,
        lambda r: (
            "share of the neurons that are above "
            f"{'each level' if r.active is None else f'{r.active:g}'}{_where(r)}"
        ),
        natural=_SHARE,
    ),
    "coordinates": _of_activation(
        activations.coordinates,
        lambda r: f"{_COORDINATES[r.coordinates][0]} of the activation{_where(r)}",
        natural=lambda r: _COORDINATES[r.coordinates][1],
    ),
    "l0": _at_tokens(
        activations.l0,
        lambda r: f"latents of {r.l0} that are on{_where(r)}",
        unit="latents",
        natural=_FROM_0,
    ),
    "fvu": Kind(
        activations.fvu,
        lambda r: f"share of the variance that {r.fvu} does not explain{_where(r)}",
        natural=_FROM_0,
        better="lower",
        fields=("site",),
    ),
    "anisotropy": Kind(
        activations.anisotropy,
        lambda r: f"mean cosine of the activations of each two tokens{_where(r)}",
        unit="cosine",
        natural=_COSINE,
        fields=("site",),
        skips_first=True,
    ),
    "across": _of_activation(
        across_prompts.across,
        lambda r: (
            f"{across_prompts.words(r)} the activations{_where(r)} on all prompts"
            f"{f' and on {r.other_text}' if r.other_text else ''}"
            f"{', with and without the change' if same(r) is not None else ''}"
        ),
        fields=(*_AT, "components", "labels", "label", "other_site", "other_text"),
    ),
    "cka": Kind(
        similarity.cka,
        lambda r: (
            f"linear CKA of its tokens{_where(r)}"
            f"{'' if r.other_site else ' and without the change'}"
        ),
        worse="falls",
        natural=_SHARE,
        fields=("site", "other_site"),
        same=1.0,
    ),
    "jaccard": Kind(
        activations.jaccard,
        lambda r: f"latents of {r.jaccard} that are on with and without the change{_where(r)}",
        worse="falls",
        natural=_SHARE,
        fields=_AT,
        places=("all",),
        same=1.0,
    ),
    "similarity": _of_activation(
        similarity.similarity,
        lambda r: similarity.words(r, _where(r)),
        natural=similarity.ends,
        fields=(*_AT, "heads", "other_text", "other_site"),
        places=("mean", "all"),
    ),
    "column": Kind(
        _column,
        lambda r: (
            f"whether {r.column[0]} is {r.column[1]}"
            if isinstance(r.column, tuple)
            else f"the column {r.column}"
        ),
    ),
    "function": Kind(
        activations.function,
        lambda r: f"what {r.function} returns{_where(r)}",
        fields=("site", "sites"),
    ),
}
PAIRS = ("log_prob", "prob", "logit_lens", "logit", "direct")
"""Kinds of one text, or of two whose difference is taken."""
OF_OWN = (*PAIRS, "rank")
"""Kinds that can be of the model's own most probable token instead of a text."""
ANSWERS = (*PAIRS, "accuracy", "rank", "generates", "begins")
"""Kinds that name texts."""
_USUAL: dict[str, Any] = {f: getattr(Read(name=""), f) for f in Read.__struct_fields__}


def kind_of(read: Read) -> str:
    """The kind of a read. Raises: DataError if it has none or several."""
    stated = [name for name in KINDS if getattr(read, name) != _USUAL[name] or name in read.sweep]
    for name in ("gradient", "weights", "written"):  # whose fields include other kinds
        if getattr(read, name):
            stated = [kind for kind in stated if kind not in KINDS[name].fields]
    if not stated:  # the named parts imply the kind
        parts = {"heads": "pattern", "neurons": "neurons"}
        part = read.top.of if read.top else "heads" if read.heads or "heads" in read.sweep else ""
        stated = [parts[part]] if part in parts else []
    if len(stated) != 1:
        got = " and ".join(stated) or "none of them"
        raise DataError(f"give one of {', '.join(KINDS)} for the read {read.name!r}, got {got}")
    return stated[0]


def directions_of(read: Read) -> tuple[str, ...]:
    """The names of the directions of a read."""
    if isinstance(read.cosine, tuple):
        return read.cosine
    name = read.projection or read.cosine or read.distance or read.direction
    return (name,) if name else ()


def natural(read: Read) -> tuple[float | None, float | None]:
    """Give the smallest and the largest value of a read; None if unbounded."""
    return KINDS[kind_of(read)].natural(read)


def worse(read: Read) -> str:
    """The direction of a read if a model gets worse: "rises" or "falls"; "" if towards 0."""
    way = KINDS[kind_of(read)].worse
    return way if isinstance(way, str) else way(read)


def compares(read: Read) -> bool:
    """Whether a read compares a changed model with the unchanged one, or two models."""
    return same(read) is not None


def same(read: Read) -> float | None:
    """The value without a change, for comparisons of a changed model with the unchanged one, or of
    two models; None for any other read, such as the rank of a text."""
    kind = kind_of(read)
    if read.other_site or read.other_text or (kind == "rank" and not of_own_token(read)):
        return None
    return 1.0 if read.across in across_prompts.PAIRED else KINDS[kind].same


def is_fixed(read: Read) -> bool:
    """Whether a read depends on the weights alone, with the same value for every prompt."""
    if read.direction:
        return isinstance(read.token, str) and not SLOT.search(read.token)
    return bool(read.weights) and read.weights not in weights.OF_TOKENS


def of_own_token(read: Read) -> bool:
    """Whether a read is of the most probable token of the unchanged model, or of the first of two,
    instead of a text."""
    kind = kind_of(read)
    return read.token is True or (kind in OF_OWN and getattr(read, kind) is True)


def uses_lens(read: Read) -> bool:
    """Whether a read compares the logit lens at a site with the unchanged model's prediction, from
    which it differs even without a change."""
    return bool(read.site) and kind_of(read) in ("kl", "agrees", "rank") and compares(read)


def describe(read: Read) -> str:
    """Describe a read in one line: what it is, its unit, its range, and which way is better.

    Example:
        >>> from assay.ask.measure import reads
        >>> from assay.ask.tables import Read
        >>> reads.describe(Read(name="good", log_prob=(" good", " bad")))
        'good: log P(" good") − log P(" bad") after the prompt, over all tokens (nats)'
        >>> reads.describe(Read(name="prev", pattern="4.7", position="mean", to="previous"))
        'prev: share of attention that a token pays, mean over tokens, to the token before in head \
4.7 (0 to 1)'
    """
    kind = KINDS[kind_of(read)]
    low, high = natural(read)
    if low is None:
        span = "" if high is None else f"at most {high:g}"
    else:
        span = f"{low:g} or more" if high is None else f"{low:g} to {high:g}"
    unit = kind.unit if kind.unit not in ("1", "rank") else ""
    better = f"{kind.better} is better" if kind.better else ""
    every = {slot: ", ".join(interventions.in_rows(x)) for slot, x in read.sweep.items()}
    levels = " and ".join(map(" ".join, every.items()))
    about = ", ".join(part for part in (unit, span, better) if part)
    return f"{read.name}: {kind.words(read)}{f' ({about})' if about else ''}" + (
        f"; for {levels}" if levels else ""
    )


def check(read: Read, tables: Sequence[Direction] = ()) -> None:
    """Refuse a read that is impossible for any prompt. Raises: DataError.

    Args:
        read: as it was written, sweep and all.
        tables: the directions of the study.
    """
    name = kind_of(read)
    kind = KINDS[name]
    _check_name(read)
    optional = dict.fromkeys(field for k in KINDS.values() for field in k.fields)
    for other in optional:
        if getattr(read, other) != _USUAL[other] and other not in (*kind.fields, name):
            users = ", ".join(k for k, user in KINDS.items() if other in user.fields)
            raise DataError(f"{read.name}: {name} reads no `{other}`; that is for {users}")
    texts = getattr(read, name)
    if name == "accuracy" and len(set(read.accuracy)) < len(read.accuracy) == 2:
        raise DataError(f"{read.name}: accuracy takes the right text first, then other ones")
    pair = name in PAIRS and isinstance(texts, tuple)
    if pair and len(set(texts)) < len(texts):
        raise DataError(f"{read.name}: {texts[0]!r} minus itself is 0 whatever the model does")
    if False in (texts, read.token) and name in (*OF_OWN, "weights"):
        raise DataError(f"{read.name}: write a text, or true for the model's own best token")
    if read.token_site and name != "agrees" and not of_own_token(read):
        raise DataError(
            f"{read.name}: token_site is where the model's own token is on top, and this is of a "
            f"text; write {'token' if name == 'weights' else name} = true in its place"
        )
    if name in ANSWERS and name not in read.sweep and texts is not True:
        every = (texts,) if isinstance(texts, str) else texts
        if not all(answer and all(texts_of(answer)) for answer in every):
            raise DataError(f"{read.name}: {name} takes texts, and one of them is empty")
    if read.top is not None:
        _check_top(read, read.top.of, name)
    along = [directions.find(tables, name) for name in directions_of(read)]
    if several := [d.name for d in along if not directions.is_one(d)]:
        raise DataError(
            f"{read.name}: {several[0]!r} is not one direction, but several, by its rank, its "
            "labels or iterations, or at all positions; a read is along one"
        )
    if read.distance and (way := directions.way_of(along[0])) not in directions.POINTS:
        raise DataError(
            f"{read.name}: a distance is from a vector that keeps its length, such as a mean or a "
            f"mean_row, and {read.distance!r} ({way}) has length 1; read its cosine or projection"
        )
    if len(along) > 1 and along[0] is along[1]:
        raise DataError(f"{read.name}: the cosine of {read.cosine[0]!r} and itself is 1")
    if read.across and (read.across == "distance") != (read.labels is not None):
        raise DataError(
            f'{read.name}: distance is of two groups of rows; write across = "distance" with '
            'labels = ["code", "prose"]'
        )
    paired = read.across in ("", *across_prompts.PAIRED)
    if read.other_site and not (paired and read.other_site != read.site):
        raise DataError(
            f"{read.name}: other_site is another site than {read.site}, for similarity, cka = true "
            'or across = "cka" or "rsa"'
        )
    if read.other_text and not paired:
        raise DataError(f'{read.name}: other_text is for across = "cka" or "rsa", and similarity')
    if read.weights:
        weights.check(read)
    _check_written(read)
    _check_sweep(read, along)
    for point in interventions.points(read):
        _check_point(interventions.swept(read, point), kind, along, point)


def _check_written(read: Read) -> None:
    """Refuse a function, or a list of words, without the matching kind of `written`, and vice
    versa."""
    if read.written and (read.written == "function") != bool(read.function):
        raise DataError(
            f"{read.name}: a function of your own of what the model writes has "
            'written = "function" and function = "FILE.py:NAME"'
        )
    if (read.written == "share") != bool(read.words):
        raise DataError(
            f'{read.name}: the share of words that are in a list has written = "share" and '
            'words = ["le", "la", "les"], or a text file with a word on each line'
        )


def _check_name(read: Read) -> None:
    """Refuse a name that claims or tables of measures cannot use."""
    if not read.name.isidentifier():
        raise DataError(f"a read needs a name of letters, digits and _, got {read.name!r}")
    if iskeyword(read.name):
        raise DataError(
            f"a read cannot be called {read.name!r}, a word that has a meaning of its own in a "
            f'claim; choose another, such as "{read.name}_right"'
        )
    if read.name in taken_names():
        raise DataError(
            f"a read cannot be called {read.name!r}, because Assay uses this name itself; "
            f'choose another, such as "{read.name}_of_answer"'
        )


def _check_top(read: Read, chosen: str, name: str) -> None:
    """Refuse parts that cannot be chosen for this kind of read."""
    if read.top is not None and read.top.within:
        raise DataError(f"{read.name}: only an [[intervene]] chooses parts for each prompt")
    allowed: tuple[str, ...] = {"neurons": ("neurons",), "feature": ("latents",)}.get(
        name, ("heads",)
    )
    if name == "gradient":
        allowed = ("latents",) if read.feature else ("heads", "neurons")
    if chosen not in allowed:
        raise DataError(
            f"{read.name}: {name} is of {' or '.join(allowed)}, got top with of = {chosen!r}"
        )
    if stated := [f for f in ("heads", "pattern", "neurons") if getattr(read, f)]:
        raise DataError(
            f"{read.name}: top chooses the {chosen}, so leave out {stated[0]}, which names them"
        )


def check_sweeps(
    study_reads: Sequence[Read], taken_dims: Mapping[str, str], changes: Sequence[Intervention] = ()
) -> None:
    """Refuse a dimension with two meanings. Raises: DataError.

    Args:
        study_reads: all reads of a study.
        taken_dims: dimensions of other tables, with the table in words.
        changes: interventions; a read may share a dimension with them if the levels are equal.
    """
    swept = [(change.name, n, levels) for change in changes for n, levels in change.sweep.items()]
    first_reads: dict[str, Read] = {}
    for read in study_reads:
        for name, levels in read.sweep.items():
            other = first_reads.setdefault(name, read)
            if name in taken_dims:
                raise DataError(
                    f"{read.name} sweeps {name}, and {taken_dims[name]} has a dimension of that "
                    f"name; call the slot something else, such as {{{name}_read}}"
                )
            both = [(other.name, name, other.sweep[name]), *swept]
            for rival, slot, other_levels in both:
                if slot == name and tuple(other_levels) != tuple(levels):
                    raise DataError(
                        f"{rival} and {read.name} sweep {name} over different levels; give both "
                        f"the same, or call a slot something else, such as {{{name}_2}}"
                    )


def fits(read: Read, columns: Collection[str]) -> bool:
    """Whether prompts with these columns fill every slot of a read."""
    return all(s in columns or s in read.sweep for t in _plain(read) for s in SLOT.findall(t))


def require_columns(read: Read, prompts: PromptSet) -> None:
    """Refuse prompts that lack a column for a slot of a read. Raises: DataError."""
    for slot in (s for t in _plain(read) for s in SLOT.findall(t) if s not in read.sweep):
        prompts.column(slot)


def writes(read: Read) -> int:
    """The number of tokens that a read lets the model write."""
    return read.tokens if read.generates or read.begins or read.written else 0


def unembedded(read: Read, tokens: float) -> float:
    """The number of next tokens that a read needs, for a prompt of so many tokens."""
    kind, levels = kind_of(read), len(interventions.points(read))
    if KINDS[kind].ready.__module__ != next_tokens.__name__:
        return 0.0
    if writes(read):
        return float(read.tokens)
    whole = kind == "loss" or read.position == "mean"
    value = getattr(read, kind)
    return levels * (tokens if whole else 1 if value is True else len([*_texts_in(value)]))


def _check_sweep(read: Read, along: Sequence[Direction]) -> None:
    """Refuse a sweep of something that is not in the read."""
    written = str([_plain(read), read.top, *along])
    slots = dict.fromkeys(SLOT.findall(written))
    for name, levels in read.sweep.items():
        is_field = name in _USUAL and name not in ("name", "sweep")
        if not is_field and name not in slots:
            hint = f"{{{name}}}"
            raise DataError(f"{read.name} sweeps {name}, and has no slot {hint} and no such field")
        if not levels or len(set(levels)) < len(levels):
            raise DataError(f"{read.name}: each level of {name} once, and at least one")


def _plain(read: Read) -> list[str]:
    values = [getattr(read, f) for f in Read.__struct_fields__ if f != "sweep"]
    return [v for x in values for v in _texts_in(x)]


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _texts_in(part)


def _check_point(
    read: Read, kind: Kind, along: Sequence[Direction], point: Mapping[str, Plain]
) -> None:
    """Refuse a point of a sweep at which a site, a head or a position is impossible."""
    sites = read.site, read.other_site, read.token_site, *read.sites
    for text in (*sites, *(filled(d, point).site for d in along)):
        if slot := SLOT.search(text):
            raise DataError(
                f"{read.name}: site {text!r} has a slot; write sweep = {{ {slot[1]} = […] }}"
            )
        if text:
            Site.parse(text)
    later = read.weights in weights.COMPOSITIONS  # then `to` is a head, and not a token
    for head in (*read.heads, *filter(None, [read.pattern]), *([str(read.to)] * later)):
        head_of(head)
    words_of = {"position": kind.places, "to": activations.TARGETS, "attends": ()}
    if later:
        del words_of["to"]
    for field_name, words in words_of.items():
        place: Any = getattr(read, field_name)
        several = place if isinstance(place, tuple) and field_name == "position" else (place,)
        several = () if field_name == "attends" and place == "" else several
        spans = field_name == "position"
        single = [p for p in several if not (spans and (whole_slot(p) or range_ends(p)))]
        if any(isinstance(p, str) and p not in words and not SLOT.fullmatch(p) for p in single):
            allowed = " or ".join(f'"{w}"' for w in words)
            more = (
                ', a list of these, "4:10" or "1:", "all of {city}"'
                if field_name == "position"
                else ""
            )
            raise DataError(
                f"{read.name}: {field_name} is a number, a slot such as {{city}}"
                f"{more}{', ' if allowed else ''}{allowed}; got {place!r}"
            )


def filled(direction: Direction, point: Mapping[str, Plain]) -> Direction:
    """Fill the slots of a direction from the read's sweep; its own fields stay."""
    slots = {n: v for n, v in point.items() if n not in Direction.__struct_fields__}
    return interventions.swept(direction, slots)


def ready(read: Read, prompt: Prompt, context: Context) -> Ready:
    """Make a read ready for a prompt. Raises: DataError, ModelError, with the read or the prompt's
    place."""
    try:
        return KINDS[kind_of(read)].ready(read, prompt, context)
    except DataError:
        raise
    except AssayError as e:
        raise DataError(f"{read.name}: {e}") from e


def by_name(reads: Sequence[Read], name: str) -> Read:
    """The read of this name. Raises: DataError."""
    names = [r.name for r in reads]
    if name not in names:
        raise DataError(f"there is no read {name!r}; {nearest(name, names)}")
    return reads[names.index(name)]
