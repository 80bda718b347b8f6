"""Steer: a prompt continued as the model is and with features changed, side by side, and what the
change cost."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from starlette.datastructures import QueryParams

from assay.core.errors import DataError
from assay.explorer import query_args
from assay.explorer.library import Library
from assay.explorer.live import LONGEST, TOKENS, Loaded, Writing
from assay.explorer.pages.prompt import checked
from assay.explorer.problems import ASKED, Problem
from assay.explorer.query_args import Wanted
from assay.explorer.render import Moved, Shown
from assay.features.index.reader import Index
from assay.features.live.steering import steer

NEW, MOST = 40, 120
"""Tokens that are written where nothing else is asked, and at most."""
HOTTEST = 5.0
LEADS, PUREST, START = 4, 60, "The first thing to do is"
"""Features that are proposed to whoever names none, among how many of the purest, and a prompt for
whoever types none."""


@dataclass(frozen=True)
class Question:
    """What the query string says."""

    base: str
    text: str
    new: int
    temperature: float
    seed: int
    wanted: tuple[Wanted, ...]

    @property
    def same(self) -> Hashable:
        """What the text that is written depends on; how much of it is asked for is not in it."""
        return self.text, self.temperature, self.seed, self.wanted

    def link(self, **changed: Any) -> str:
        """The page's address with some of it changed."""
        updated = replace(self, **changed)
        new, temperature, seed = (
            None if value == usual else f"{value:g}"
            for value, usual in ((updated.new, NEW), (updated.temperature, 0), (updated.seed, 0))
        )
        state = [
            ("text", updated.text),
            *query_args.format_changes(updated.wanted),
            ("new", new),
            ("temperature", temperature),
            ("seed", seed),
        ]
        return query_args.link(f"/{updated.base}/steer", state)


def question(query: QueryParams, base: str, index: Index) -> Question:
    """Read the query string. Raises: Problem for what cannot be asked."""
    text = query.get("temperature", "") or "0"
    try:
        temperature = float(text)
    except ValueError:
        temperature = float("nan")
    if not 0 <= temperature <= HOTTEST:
        raise Problem(ASKED, f"temperature is a number from 0 to {HOTTEST:g}, got {text[:40]!r}")
    return Question(
        base,
        checked(query.get("text", "")),
        query_args.number(query, "new", NEW, 1, MOST),
        temperature,
        query_args.number(query, "seed", 0, 0, 2**31 - 1),
        query_args.read_changes(query, index.about.d_sae),
    )


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown | Moved:
    """Show as much of both continuations as there is by now. Raises: Problem for what cannot be
    read or asked."""
    index = library.index(path_params["model"], path_params["dictionary"])
    q = question(query, f"{path_params['model']}/{path_params['dictionary']}", index)
    if "sent" in query:
        return Moved(q.link())
    hints = index.hints([w.feature for w in q.wanted])
    values: dict[str, Any] = {
        "dictionary": q.base,
        "about": index.about,
        "text": q.text,
        "changes": q.wanted,
        "new": q.new,
        "temperature": q.temperature,
        "seed": q.seed,
        "state": "empty",
        "known": {
            k: {"fires_on": on, "promotes": up, "maximum": float(index.maxima[k])}
            for k, (on, up) in hints.items()
        },
    }
    drawings = {
        "q": q,
        "ways": query_args.WAYS,
        "without": query_args.without,
        "most": MOST,
        "limit": TOKENS,
        "longest": LONGEST,
    }
    if not q.text.strip() or not q.wanted:
        return Shown(
            "steer.html", values, drawings | {"leads": [] if q.wanted else _leads(index, q)}
        )
    loaded = library.live.loaded(index)
    if loaded is None:
        return Shown("steer.html", values | {"state": "loading"}, drawings)
    room = min(
        MOST,
        loaded.reader.limit
        - len(loaded.ask(("encode", q.text), lambda reader: reader.encode(q.text))),
    )
    if room < q.new:
        raise Problem(
            ASKED,
            (
                f"the prompt leaves room for {max(0, room)} new tokens of the "
                f"{loaded.reader.limit} that are read; shorten it"
            ),
        )
    writing = _writing(loaded, q, room)
    if "stop" in query:
        return Moved(q.link(new=max(1, min(q.new, len(writing.steps)))))
    try:
        writing.go_on(loaded.turn, q.new)
    except DataError as error:
        raise Problem(ASKED, str(error)) from error
    return Shown("steer.html", values | describe_writing(writing, q.new) | {"room": room}, drawings)


def _leads(index: Index, q: Question) -> list[tuple[Wanted, str, str]]:
    """Strong ones of the purest features, each of another token, and a link that sets it to twice
    its maximum."""
    purest = index.features(order="purity", limit=PUREST).rows
    by_token = {
        row["token_text"]: row["feature"]
        for row in sorted(purest, key=lambda row: row["maximum"] or 0.0)
        if row["token_text"]
    }
    text = q.text if q.text.strip() else START
    leads = [
        (Wanted(k, "clamp", round(2 * float(index.maxima[k]), 3)), token)
        for token, k in by_token.items()
    ]
    return [
        (change, token, q.link(text=text, wanted=(change,)))
        for change, token in sorted(leads, key=lambda lead: -lead[0].amount)[:LEADS]
    ]


def _writing(loaded: Loaded, q: Question, room: int) -> Writing:
    def begin() -> Any:
        return steer(
            loaded.reader,
            q.text,
            [w.change for w in q.wanted],
            new=room,
            temperature=q.temperature,
            seed=q.seed,
        )

    return loaded.writings.find(q.same, begin)


def describe_writing(writing: Writing, new: int) -> dict[str, Any]:
    """What there is of both texts, and what the change cost."""
    steps = list(writing.steps)[:new]
    kl = [step.kl for step in steps if step.after_id is not None]
    last = steps[-1] if steps else None
    return {
        "state": "written" if len(steps) == new or writing.ended else "writing",
        "steps": len(steps),
        "kl": kl,
        "mean_kl": float(np.mean(kl)) if kl else None,
        "total_kl": float(np.sum(kl)),
        "before": last.before if last else "",
        "after": last.after if last else "",
        "late": writing.late and len(steps) < new,
    }
