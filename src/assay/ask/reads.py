"""Reads: numbers that are read off a prompt as a model saw it, by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.ask.seen import Prompt, Seen, Want, wants
from assay.ask.tables import Read
from assay.core.errors import DataError, nearest
from assay.subjects.site import Site


@dataclass(frozen=True)
class Kind:
    """A kind of read: what it needs of a pass, and its number."""

    value: Callable[[Read, Seen], float]
    unit: str
    words: str
    """What the number is, in words."""
    wants: Callable[[Read, Prompt], list[Want]] = lambda read, prompt: []
    sites: Callable[[Read], list[Site]] = lambda read: []
    natural: tuple[float | None, float | None] = (None, None)
    """The least and the greatest number that there can be."""
    better: str = ""
    """Which way is better, "higher" or "lower", where one is."""
    losses: bool = False
    """Whether it needs the loss of every token."""
    writes: bool = False
    """Whether the model has to write on."""


def _pair(text: str | tuple[str, str]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else text


def _signed(text: str | tuple[str, str]) -> list[tuple[float, str]]:
    return list(zip((1.0, -1.0), _pair(text), strict=False))


def _log_prob(read: Read, seen: Seen) -> float:
    return sum(
        sign * seen.log_prob(seen.prompt.continuation(text))
        for sign, text in _signed(read.log_prob)
    )


def _accuracy(read: Read, seen: Seen) -> float:
    scores = [seen.log_prob(seen.prompt.continuation(text)) for text in read.accuracy]
    best = [s == max(scores) for s in scores]
    return best[0] / sum(best)


def _rank(read: Read, seen: Seen) -> float:
    token = seen.prompt.continuation(read.rank)[0]
    logs = seen.next(seen.prompt.at(read.position))
    return 1.0 + float((logs > logs[token]).sum())


def _entropy(read: Read, seen: Seen) -> float:
    logs = seen.next(seen.prompt.at(read.position)).double()
    return float(-(logs.exp() * logs).sum())


def _kl(read: Read, seen: Seen) -> float:
    if seen.clean is None:
        return 0.0
    position = seen.prompt.at(read.position)
    before, after = (s.next(position).double() for s in (seen.clean, seen))
    return float((before.exp() * (before - after)).sum())


def _loss(read: Read, seen: Seen) -> float:
    assert seen.losses is not None
    # the opening predicts the first token of the text
    return float(seen.losses[max(0, seen.prompt.opening - 1) :].double().mean())


def _generates(read: Read, seen: Seen) -> float:
    text = seen.written.lower()
    return float(any(seen.prompt.row.fill(t).lower() in text for t in read.generates))


def _continuations(texts: Callable[[Read], Sequence[str]]) -> Callable[[Read, Prompt], list[Want]]:
    return lambda read, prompt: [
        want for text in texts(read) for want in wants(prompt.continuation(text), prompt)
    ]


def _here(read: Read, prompt: Prompt) -> list[Want]:
    return [((), prompt.at(read.position))]


NATS, SHARE, COUNT = "nats", "1", "tokens"
KINDS: Mapping[str, Kind] = {
    "log_prob": Kind(
        _log_prob, NATS, "log-probability", wants=_continuations(lambda r: _pair(r.log_prob))
    ),
    "accuracy": Kind(
        _accuracy,
        SHARE,
        "share of prompts whose first choice is the most probable",
        wants=_continuations(lambda r: r.accuracy),
        natural=(0.0, 1.0),
        better="higher",
    ),
    "rank": Kind(_rank, COUNT, "rank of the token", wants=_here, natural=(1.0, None)),
    "entropy": Kind(_entropy, NATS, "entropy of the next token", wants=_here, natural=(0.0, None)),
    "kl": Kind(
        _kl,
        NATS,
        "KL divergence of the next token from the untouched model's",
        wants=_here,
        natural=(0.0, None),
    ),
    "loss": Kind(
        _loss, NATS, "mean loss a token", natural=(0.0, None), better="lower", losses=True
    ),
    "generates": Kind(
        _generates,
        SHARE,
        "share of prompts behind which one of the texts is written",
        natural=(0.0, 1.0),
        writes=True,
    ),
}


def kind_of(read: Read) -> str:
    """The kind of a read. Raises: DataError where it says none or several."""
    empty: dict[str, Any] = {f: getattr(Read(name=""), f) for f in Read.__struct_fields__}
    said = [name for name in KINDS if getattr(read, name) != empty[name]]
    if len(said) != 1:
        got = " and ".join(said) or "none of them"
        raise DataError(f"say one of {', '.join(KINDS)} of the read {read.name!r}, got {got}")
    return said[0]


def check(read: Read) -> None:
    """Refuse a read that no prompt could answer. Raises: DataError."""
    kind = kind_of(read)
    if read.name in dir(np.ndarray) or not read.name.isidentifier():
        raise DataError(f"a read needs a name of letters, digits and _, got {read.name!r}")
    texts = getattr(read, kind)
    if kind == "accuracy" and len(set(read.accuracy)) < 2:
        raise DataError(f"{read.name}: accuracy takes the right text first, then others")
    if kind == "log_prob" and not isinstance(texts, str) and texts[0] == texts[1]:
        raise DataError(f"{read.name}: {texts[0]!r} less itself is 0 whatever the model does")


def by_name(reads: Sequence[Read], name: str) -> Read:
    """The read of this name. Raises: DataError."""
    names = [r.name for r in reads]
    if name not in names:
        raise DataError(f"there is no read {name!r}; {nearest(name, names)}")
    return reads[names.index(name)]
