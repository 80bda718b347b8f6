"""Prompt: which features are on in a text, which of them matter to one prediction, and what the
model says with some ablated or set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import numpy as np
from starlette.datastructures import QueryParams

from assay.explorer import query_args
from assay.explorer.library import Library
from assay.explorer.live import Loaded
from assay.explorer.problems import ASKED, Problem
from assay.explorer.query_args import Wanted
from assay.explorer.render import Moved, Shown
from assay.features.index.reader import Index
from assay.features.live.ablation import Attribution, Matters, ablate_features, attribute, matters
from assay.features.live.edits import Chance, change, likely, outlook
from assay.features.live.reader import Reader, Reading

COUNT, MORE, ROWS = 10, 40, 16
"""Features listed as mattering; listed after them to first order alone; rows of
the heat map."""
DRAWS = 2
"""Random directions ablated in the place of each feature: by luck the furthest of ten features
and these twenty is a feature at one prompt in three, which the page says; more would double the
wait."""
LINK = 6000
"""Bytes that a text may take in a link."""
ORDERS = {
    "effect": "effect on the chosen prediction, to first order",
    "share": "strongest, as a share of each feature's maximum in the index",
    "size": "largest activation",
}
"""Which features the heat map shows; the first is usual."""
EXAMPLES = (
    "import numpy as",
    "The capital of France is",
    "def __init__(self",
    "for i in range(10):\n    print(",
)


@dataclass(frozen=True)
class Question:
    """What the query string says; everything on the page follows from it."""

    base: str
    text: str
    at: int | None
    """Number of the token whose prediction is asked about; None: what comes after the text."""
    then: int | None
    """Id of the token asked about there; None: the text's own, or after the text the most
    probable."""
    rows: str
    exact: bool
    """Whether features are really ablated, which takes longer than the first-order estimate."""
    wanted: tuple[Wanted, ...]

    def link(self, **changed: Any) -> str:
        """The page's address with some of it changed."""
        updated = replace(self, **changed)
        return query_args.link(f"/{updated.base}/prompt", updated.state)

    @property
    def steer(self) -> str:
        """The address of the page that writes on with these changes."""
        return query_args.link(
            f"/{self.base}/steer", [("text", self.text), *query_args.format_changes(self.wanted)]
        )

    @property
    def state(self) -> list[tuple[str, Any]]:
        """The query string in parts, without what is as usual."""
        rows = None if self.rows == "effect" else self.rows
        exact = 1 if self.exact else None
        return [
            ("text", self.text),
            ("at", self.at),
            ("then", self.then),
            ("rows", rows),
            ("exact", exact),
            *query_args.format_changes(self.wanted),
        ]


def question(query: QueryParams, base: str, index: Index) -> Question:
    """Read the query string. Raises: Problem for what cannot be asked."""
    return Question(
        base,
        checked(query.get("text", "")),
        query_args.number(query, "at", -1, 1, 10**6) if query.get("at") else None,
        query_args.number(query, "then", -1, 0, 2**31 - 1) if query.get("then") else None,
        query_args.choice(query, "rows", list(ORDERS), "effect"),
        query.get("exact") == "1",
        query_args.read_changes(query, index.about.d_sae),
    )


def checked(text: str) -> str:
    """A text as a link carries it: line ends are one character. Raises: Problem for one too long
    for a link."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if (size := len(quote(text))) > LINK:
        raise Problem(
            ASKED,
            (
                f"the text takes {size:,} bytes in a link, at most {LINK:,} can be asked about; "
                "shorten it"
            ),
        )
    return text


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown | Moved:
    """Show a text's features and what matters to one prediction. Raises: Problem for what cannot be
    read or asked, said on the page itself."""
    index = library.index(path_params["model"], path_params["dictionary"])
    base = f"{path_params['model']}/{path_params['dictionary']}"
    typed = Question(base, query.get("text", ""), None, None, "effect", False, ())
    with kept("prompt.html", *_begin(index, typed)):
        q = question(query, base, index)
    if "sent" in query:
        return Moved(q.link())
    values, drawings = _begin(index, q)
    if not q.text:  # white space is a prompt like any other
        examples = [(text, q.link(text=text)) for text in EXAMPLES]
        return Shown("prompt.html", values, drawings | {"examples": examples})
    loaded = library.live.loaded(index)
    if loaded is None:
        return Shown("prompt.html", values | {"state": "loading"}, drawings)
    with kept("prompt.html", values, drawings):
        values |= {"state": "read"} | answers(index, loaded, q)
    return Shown("prompt.html", values, drawings)


@contextmanager
def kept(template: str, values: dict[str, Any], drawings: dict[str, Any]) -> Iterator[None]:
    """Say what cannot be asked on the page itself, with what was typed."""
    try:
        yield
    except Problem as problem:
        fault = {"state": "problem", "problem": problem.words}
        problem.page = template, values | fault, drawings
        raise


def _begin(index: Index, q: Question) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the page says, and draws, before the text is read."""
    return {
        "dictionary": q.base,
        "about": index.about,
        "text": q.text,
        "rows": q.rows,
        "exact": q.exact,
        "changes": q.wanted,
        "state": "empty",
    }, {
        "q": q,
        "orders": ORDERS,
        "ways": query_args.WAYS,
        "Wanted": Wanted,
        "instead": query_args.instead,
        "without": query_args.without,
        "examples": (),
    }


def answers(index: Index, loaded: Loaded, q: Question) -> dict[str, Any]:
    """All numbers of the page. Raises: Problem for what cannot be read or asked."""
    reader = loaded.reader
    ids = loaded.ask(("encode", q.text), lambda reader: reader.encode(q.text))
    missing = reader.skip_first + 2 - len(ids)
    text = loaded.ask(("read", q.text), lambda reader: reader.read_ids(_padded(reader, ids)))
    target_position = len(text) if q.at is None else q.at
    if not 1 <= target_position <= len(text):
        raise Problem(
            ASKED,
            (
                f"predictions of this text's tokens are 1 to {len(text) - 1}, and {len(text)} of "
                f"what comes after; got {target_position}"
            ),
        )
    likeliest, target_id, reading = _predicted(loaded, q, text, target_position)
    key = q.text, target_position, target_id
    first = loaded.ask(
        ("attribute", *key), lambda reader: attribute(reader, reading, target_position - 1)
    )
    mattering, exact_summary = _mattering(loaded, key, reading, first, q.exact)
    further = [
        {"feature": int(k), "first_order": float(v)}
        for k, v in list(zip(*first.by_feature(), strict=True))[COUNT : COUNT + MORE]
        if v != 0
    ]
    heat = _heat(index, text, first, q.rows)
    listed = {int(row["feature"]) for row in (*mattering, *further, *heat["features"])}
    loss = first.loss
    return {
        "padded": missing > 0,
        "tokens": [
            {
                "text": word,
                "loss": float(text.loss[i - 1]) if i else None,
                "counts": bool(text.keep[i]),
                "link": q.link(at=i or None, then=None),
            }
            for i, word in enumerate(text.words)
        ],
        "after": q.link(at=None, then=None),
        "at": target_position,
        "end": target_position == len(text),
        "then": {
            "id": target_id,
            "text": reading.words[target_position],
            "probability": float(np.exp(-loss)),
            "loss": loss,
        },
        "likely": [_chance(c) | {"link": q.link(then=c.id)} for c in likeliest],
        "matters": mattering,
        "further": further,
        "of": len(reading.cut(target_position + 1).on),
        "found": exact_summary,
        "first_order": {"features": float(first.value.sum()), "error": float(first.error.sum())},
        "heat": heat,
        "changed": _changed(loaded, key, text, reading, q.wanted) if q.wanted else None,
        "known": _known(index, sorted(listed | {w.feature for w in q.wanted})),
    }


def _predicted(
    loaded: Loaded, q: Question, text: Reading, target_position: int
) -> tuple[Sequence[Chance], int, Reading]:
    """The likeliest tokens at a position, the one that is asked about, and the text with it."""
    likeliest = loaded.ask(
        ("likely", q.text, target_position),
        lambda reader: likely(reader, text, target_position - 1, COUNT),
    )
    own_id = text.ids[target_position] if target_position < len(text) else None
    target_id = q.then if q.then is not None else own_id if own_id is not None else likeliest[0].id
    if target_id >= (known := loaded.reader.subject.model.config.vocab_size):
        raise Problem(ASKED, f"the model's tokens are numbered 0 to {known - 1:,}, got {target_id}")
    reading = (
        text
        if target_id == own_id
        else loaded.ask(
            ("read", q.text, target_position, target_id),
            lambda reader: reader.read_ids(text.ids[:target_position], target_id),
        )
    )
    return likeliest, target_id, reading


def _padded(reader: Reader, ids: list[int]) -> list[int]:
    """Tokens of a text with line breaks before them, where they alone are too few to be read."""
    missing = reader.skip_first + 2 - len(ids)
    first = len(reader.subject.folder.beginning(reader.bos))
    return [*ids[:first], *reader.encode("\n")[-1:] * missing, *ids[first:]]


def _mattering(
    loaded: Loaded, key: tuple[Any, ...], reading: Reading, first: Attribution, exact: bool
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The features that matter most to the prediction to first order, and what ablating each
    really does, where that was asked."""
    target_position, features, sums = key[1], *first.by_feature()
    chosen = [
        (int(k), float(v)) for k, v in zip(features[:COUNT], sums[:COUNT], strict=True) if v != 0
    ]
    rows: list[dict[str, Any]] = []
    for k, value in chosen:
        indices = np.flatnonzero(
            (first.firings.feature == k) & (first.firings.position < target_position)
        )
        top = indices[np.argmax(np.abs(first.value[indices]))]
        position = int(first.firings.position[top])
        rows.append(
            {
                "feature": k,
                "first_order": value,
                "exact": None,
                "beyond": None,
                "probability": None,
                "firings": len(indices),
                "token": position,
                "word": reading.words[position],
                "activation": float(first.firings.value[top]),
            }
        )
    if not exact or not rows:
        return rows, None
    whole = loaded.ask(("matters", *key), lambda reader: _really(loaded, reading, target_position))
    for row, delta in zip(rows, whole["matters"].delta, strict=True):
        row |= {
            "exact": float(delta),
            "beyond": bool(abs(delta) > whole["chance"]),
            "probability": float(np.exp(-first.loss - delta)),
        }
    agreement = whole["matters"].agreement
    return rows, {
        "correlation": agreement.correlation,
        "same_sign": agreement.same_sign,
        "n": agreement.n,
        "chance": whole["chance"],
        "random": DRAWS * agreement.n,
        "together": whole["together"],
        "probability_together": float(np.exp(-first.loss - whole["together"])),
    }


def _really(loaded: Loaded, reading: Reading, target_position: int) -> dict[str, Any]:
    """What ablation says of the features that matter most, of all of them at once, and of
    random directions in their places."""
    reader, before = loaded.reader, target_position - 1
    mattering: Matters = matters(reader, reading, before, count=COUNT)
    features = [int(k) for k in mattering.feature]
    text = reading.cut(target_position + 1)
    together = float(ablate_features(reader, text, [features]).on(before)[0])
    random = [ablate_features(reader, text, features, random=i).on(before) for i in range(DRAWS)]
    chance = float(np.abs(random).max())
    return {"matters": mattering, "chance": chance, "together": together}


def _heat(index: Index, text: Reading, first: Attribution, order: str) -> dict[str, Any]:
    """The features that are on in the text as rows, its tokens as columns."""
    on, back = np.unique(text.firings.feature, return_inverse=True)
    size, maxima = np.zeros(len(on)), index.maxima
    np.maximum.at(size, back, np.abs(text.firings.value))
    if order == "effect":
        features, sums = first.by_feature()
        ranked = [int(k) for k, v in zip(features, sums, strict=True) if v != 0]
    else:
        by = size if order == "size" else _share(size, maxima[on])
        ranked = [int(k) for k in on[np.argsort(-by, kind="stable")]]
    rows = ranked[:ROWS]
    activations = text.firings.columns(rows, len(text)).T
    return {
        "on": len(on),
        "hidden": len(on) - len(rows),
        "features": [
            {
                "feature": k,
                "maximum": float(maxima[k]),
                "activations": a.tolist(),
                "shares": _share(np.abs(a), maxima[k]).tolist(),
            }
            for k, a in zip(rows, activations, strict=True)
        ],
    }


def _share(value: np.ndarray, maximum: Any) -> np.ndarray:
    """Activation as a share of the feature's maximum in the index; one that never fired there
    counts as at its maximum."""
    return np.where(
        value > 0,
        np.divide(
            value, maximum, out=np.ones_like(value, dtype=float), where=np.asarray(maximum) > 0
        ),
        0.0,
    )


def _changed(
    loaded: Loaded, key: tuple[Any, ...], text: Reading, reading: Reading, edits: Sequence[Wanted]
) -> dict[str, Any]:
    """The next token's distribution and the text's losses, before and after the changes."""
    target_position = key[1]
    edited = loaded.ask(
        ("change", *key, tuple(edits)),
        lambda reader: change(reader, reading, [w.change for w in edits]),
    )
    view = loaded.ask(
        ("outlook", *key, tuple(edits)),
        lambda reader: outlook(reader, reading, edited, target_position - 1, COUNT),
    )
    prediction_count = len(text) - 1 if reading is text else target_position - 1
    both = {c.id: c for c in (*view.before, *view.after)}
    return {
        "kl": view.kl,
        "before": float(edited.before[target_position - 1]),
        "after": float(edited.after[target_position - 1]),
        "probability": float(np.exp(-edited.after[target_position - 1])),
        "text_before": float(edited.before[:prediction_count].sum()),
        "text_after": float(edited.after[:prediction_count].sum()),
        "predictions": prediction_count,
        "deltas": [None, *(float(d) for d in edited.delta[:prediction_count])],
        "chances": [
            _chance(c)
            for c in sorted(both.values(), key=lambda c: -max(c.before, c.after))[: COUNT + 2]
        ],
        "rose": [_chance(c) for c in view.rose[:5]],
        "fell": [_chance(c) for c in view.fell[:5]],
    }


def _chance(chance: Chance) -> dict[str, Any]:
    return {"id": chance.id, "text": chance.text, "before": chance.before, "after": chance.after}


def _known(index: Index, features: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What links to these features say of them."""
    return {
        k: {"name": name, "maximum": float(index.maxima[k])}
        for k, name in index.names(features).items()
    }
