"""Prompt: which features are on in a text, which of them matter to one prediction, and what the
model says with some ablated or set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import numpy as np
from starlette.datastructures import QueryParams

from assay.explorer import commands, query_args
from assay.explorer.library import Library
from assay.explorer.live import Loaded
from assay.explorer.problems import ASKED, Problem
from assay.explorer.query_args import Wanted
from assay.explorer.render import Moved, Shown
from assay.features.index import searching
from assay.features.index.reader import Index
from assay.features.live.edits import Chance, Changed, Outlook
from assay.features.live.prompts import (
    COUNT,
    DRAWS,
    Ablated,
    Prediction,
    ablate_each,
    change_features,
    first_order,
    predict,
    to_ablate,
)
from assay.features.live.reader import Reading

MORE, ROWS = 40, 16
"""Features listed after those that matter most; rows of the heat map."""
LINK = 6000
"""Bytes that a text may take in a link."""
ORDERS = {
    "effect": "effect on the chosen prediction: by ablation, where that is done",
    "share": "strongest, as a share of each feature's maximum in the index",
    "size": "largest activation",
}
"""Which features the heat map shows; the first is usual."""


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
        query_args.read_changes(query, index.maxima),
    )


def checked(text: str) -> str:
    """A text as a link carries it: line ends are one character. Raises: Problem for one too long
    for a link."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if (size := len(quote(text))) > LINK:
        raise Problem(
            ASKED,
            f"the text takes {size:,} bytes in a link, at most {LINK:,} can be asked about; "
            "shorten it",
            field="text",
        )
    return text


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown | Moved:
    """Show a text's features and what matters to one prediction. Raises: Problem for what cannot be
    read or asked, said on the page itself."""
    index = library.index(path_params["model"], path_params["dictionary"])
    base = f"{path_params['model']}/{path_params['dictionary']}"
    typed = query_args.askable(query, lambda asked: question(asked, base, index))
    typed = typed or Question(base, "", None, None, "effect", False, ())
    typed = replace(typed, text=query.get("text", ""))
    with kept("prompt.html", *_begin(index, typed), query_args.sent_fields(query)):
        q = question(query, base, index)
    if "sent" in query:
        return Moved(q.link())
    values, drawings = _begin(index, q)
    values["provisional"] = library.provisional(base)
    if not q.text:  # white space is a prompt like any other
        library.live.begin(index)  # while it is typed
        examples = [(text, q.link(text=text)) for text in searching.beginnings(index)]
        return Shown("prompt.html", values, drawings | {"examples": examples})
    loaded = library.live.loaded(index)
    if loaded is None:
        return Shown("prompt.html", values | {"state": "loading"}, drawings)
    with kept("prompt.html", values, drawings):
        values |= {"state": "read"} | answers(index, loaded, q)
    return Shown("prompt.html", values, drawings)


@contextmanager
def kept(
    template: str,
    values: dict[str, Any],
    drawings: dict[str, Any],
    typed: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[None]:
    """Say what cannot be asked on the page itself, at the field that it is about, with what was
    typed."""
    try:
        yield
    except Problem as problem:
        fault = {"state": "problem", "problem": problem.words}
        form = {**drawings["form"], **typed}
        problem.page = template, values | fault, drawings | {"form": form, "fault": problem.field}
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
        "command": commands.writer(index)("serve"),
        "instead": query_args.instead,
        "without": query_args.without,
        "examples": (),
        "form": {"feature": "", "way": "", "amount": ""},
        "fault": "",
    }


def answers(index: Index, loaded: Loaded, q: Question) -> dict[str, Any]:
    """All numbers of the page. Raises: Problem for what cannot be read or asked."""
    key = q.text, q.at, q.then
    p = loaded.ask(("predict", *key), lambda reader: predict(reader, q.text, q.at, q.then))
    estimates, ablated, changed = dict(first_order(p)), None, None
    exact = q.exact or ("ablate", *key) in loaded.answers
    if exact and estimates:
        ablated = loaded.ask(("ablate", *key), lambda reader: ablate_each(reader, p))
    effects = _effects(estimates, ablated)
    rows = [_mattering(p, row, ablated) for row in effects[:COUNT]]
    if q.wanted:
        edits = [w.change for w in q.wanted]
        changed = loaded.ask(
            ("change", *key, q.wanted), lambda reader: change_features(reader, p, edits)
        )
    further = effects[COUNT : COUNT + MORE]
    heat = _heat(index, p.text, [row["feature"] for row in effects], q.rows)
    listed = {int(row["feature"]) for row in (*rows, *further, *heat["features"])}
    return {
        "exact": exact,
        "padded": p.padded,
        "tokens": [
            {
                "text": word,
                "loss": float(p.text.loss[i - 1]) if i else None,
                "counts": bool(p.text.keep[i]),
                "link": q.link(at=i or None, then=None),
            }
            for i, word in enumerate(p.text.words)
        ],
        "after": q.link(at=None, then=None),
        "at": p.position,
        "end": p.position == len(p.text),
        "then": {
            "id": p.target,
            "text": p.reading.words[p.position],
            "probability": float(np.exp(-p.first.loss)),
            "loss": p.first.loss,
        },
        "likely": [_chance(c) | {"link": q.link(then=c.id)} for c in p.likely],
        "matters": rows,
        "further": further,
        "ablated": len(to_ablate(p)),
        "of": len(estimates),
        "found": None if ablated is None else _found(p, ablated),
        "first_order": {
            "features": float(p.first.value.sum()),
            "error": float(p.first.error.sum()),
        },
        "heat": heat,
        "changed": None if changed is None else _changed(p, *changed),
        "known": _known(index, sorted(listed | {w.feature for w in q.wanted})),
    }


def _effects(estimates: Mapping[int, float], ablated: Ablated | None) -> list[dict[str, Any]]:
    """What each feature does to a prediction, by ablation and to first order: those that were
    ablated by the size of that, then the others by the size of the estimate."""
    exact = {} if ablated is None else ablated.delta
    features = [*exact, *(k for k in estimates if k not in exact)]
    return [{"feature": k, "first_order": estimates[k], "exact": exact.get(k)} for k in features]


def _mattering(p: Prediction, row: dict[str, Any], ablated: Ablated | None) -> dict[str, Any]:
    """A feature's effect, with what it says of the prediction and the feature's strongest
    firing."""
    firings, exact = p.first.firings, row["exact"]
    indices = np.flatnonzero((firings.feature == row["feature"]) & (firings.position < p.position))
    top = indices[np.argmax(np.abs(p.first.value[indices]))]
    position = int(firings.position[top])
    return row | {
        "beyond": None if ablated is None else bool(abs(exact) > ablated.chance),
        "probability": None if ablated is None else float(np.exp(-p.first.loss - exact)),
        "firings": len(indices),
        "token": position,
        "before": "".join(p.reading.words[max(0, position - 2) : position]),
        "word": p.reading.words[position],
        "activation": float(firings.value[top]),
    }


def _found(p: Prediction, ablated: Ablated) -> dict[str, Any]:
    """What ablating says beyond each feature: chance, these together, and all features against the
    error of the dictionary."""
    return {
        "chance": ablated.chance,
        "random": DRAWS * len(ablated.delta),
        "together": ablated.together,
        "features": ablated.features,
        "error": ablated.error,
        "probability_together": float(np.exp(-p.first.loss - ablated.together)),
    }


def _heat(index: Index, text: Reading, by_effect: list[int], order: str) -> dict[str, Any]:
    """The features that are on in the text as rows, its tokens as columns."""
    on, back = np.unique(text.firings.feature, return_inverse=True)
    size, maxima = np.zeros(len(on)), index.maxima
    np.maximum.at(size, back, np.abs(text.firings.value))
    ranked = by_effect
    if order != "effect":
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


def _changed(p: Prediction, edited: Changed, view: Outlook) -> dict[str, Any]:
    """The next token's distribution and the text's losses, before and after the changes."""
    previous = p.position - 1
    prediction_count = len(p.text) - 1 if p.reading is p.text else previous
    both = {c.id: c for c in (*view.before, *view.after)}
    return {
        "kl": view.kl,
        "before": float(edited.before[previous]),
        "after": float(edited.after[previous]),
        "probability": float(np.exp(-edited.after[previous])),
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
        k: {
            "name": name,
            "maximum": float(index.maxima[k]),
            "usual": usual_effect(index, k),
        }
        for k, name in index.names(features).items()
    }


def usual_effect(index: Index, feature: int) -> float | None:
    """The mean effect of a feature on the loss of the indexed text where it is on, as its page
    gives it; None where it is unknown or not clearly different from 0."""
    for begins, column in (("importance", "importance"), ("gradient", "gradient_active")):
        low, high = (index.glances[f"{begins}_{end}"][feature] for end in ("low", "high"))
        if not np.isnan(low) and (begins == "importance" or index.about.reliable):
            return None if low <= 0 <= high else float(index.glances[column][feature])
    return None
