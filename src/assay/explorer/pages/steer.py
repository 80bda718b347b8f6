"""Steer: a prompt continued as the model is and with features changed, side by side, and what the
change cost."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from starlette.datastructures import QueryParams

from assay.explorer import query_args
from assay.explorer.library import Library
from assay.explorer.live import LONGEST, TOKENS, Loaded, Writing
from assay.explorer.pages.prompt import checked, kept
from assay.explorer.problems import ASKED, Problem
from assay.explorer.query_args import Wanted
from assay.explorer.render import Moved, Shown
from assay.features.index.names import Name
from assay.features.index.reader import Index
from assay.features.live.steering import Compared, compare, steer

NEW, MOST = 40, 120
"""Tokens that are written where nothing else is asked, and at most."""
HOTTEST = 5.0
DRAWS = 8
"""Random directions whose cost is shown next to that of the change."""
LEADS, START = 4, "The first thing to do is"
"""Features that are proposed where the request names none, and a prompt where no text is at
hand."""
REPEATED, SHORTEST = 4, 16
"""So often, and over so many letters, a text ends in the same words if it is called repetitive."""
BEGUN = re.compile(r"(?:[.!?]\s+|\n\s*)([A-Z][^.!?\n`|]{15,})\Z")
"""The beginning of a sentence, at the end of a text."""


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
        words = f"temperature is a number from 0 to {HOTTEST:g}, got {text[:40]!r}"
        raise Problem(ASKED, words, field="temperature")
    return Question(
        base,
        checked(query.get("text", "")),
        query_args.number(query, "new", NEW, 1, MOST),
        temperature,
        query_args.number(query, "seed", 0, 0, 2**31 - 1),
        query_args.read_changes(query, index.maxima),
    )


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown | Moved:
    """Show as much of both continuations as there is by now. Raises: Problem for what cannot be
    read or asked, said on the page itself."""
    index = library.index(path_params["model"], path_params["dictionary"])
    base = f"{path_params['model']}/{path_params['dictionary']}"
    typed = query_args.askable(query, lambda asked: question(asked, base, index))
    typed = typed or Question(base, "", NEW, 0.0, 0, ())
    typed = replace(typed, text=query.get("text", ""))
    with kept("steer.html", *_begin(index, typed), query_args.sent_fields(query)):
        q = question(query, base, index)
    if "sent" in query:
        return Moved(q.link())
    values, drawings = _begin(index, q)
    values["provisional"] = library.provisional(base)
    if not q.text or not q.wanted:
        library.live.begin(index)  # while the rest is typed
        leads = [] if q.wanted else _leads(index, q)
        return Shown("steer.html", values, drawings | {"leads": leads})
    loaded = library.live.loaded(index)
    if loaded is None:
        return Shown("steer.html", values | {"state": "loading"}, drawings)
    with kept("steer.html", values, drawings):
        length = len(loaded.ask(("encode", q.text), lambda reader: reader.encode(q.text)))
        room = min(MOST, loaded.reader.limit - length)
        if room < q.new:
            raise Problem(
                ASKED,
                f"the prompt leaves room for {max(0, room)} more of the "
                f"{loaded.reader.limit} tokens that are read; shorten it",
                field="text",
            )
        writing = _writing(loaded, q, room)
        if "stop" in query:
            return Moved(q.link(new=max(1, min(q.new, len(writing.steps)))))
        writing.go_on(loaded.turn, q.new)
        written = describe_writing(writing, q.new)
        if written["state"] == "written" and any(written["kl"]):
            written |= _compared(loaded, index, q, writing)
    return Shown("steer.html", values | written | {"room": room}, drawings)


def _begin(index: Index, q: Question) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the page says, and draws, before anything is written."""
    name_of = index.names([w.feature for w in q.wanted])
    last = q.wanted[-1] if q.wanted else Wanted(-1, "")
    return {
        "dictionary": q.base,
        "about": index.about,
        "text": q.text,
        "changes": q.wanted,
        "new": q.new,
        "temperature": q.temperature,
        "seed": q.seed,
        "state": "empty",
        "known": {
            k: {"name": name, "maximum": float(index.maxima[k])} for k, name in name_of.items()
        },
    }, {
        "q": q,
        "ways": query_args.WAYS,
        "without": query_args.without,
        "most": MOST,
        "limit": TOKENS,
        "longest": LONGEST,
        "draws": DRAWS,
        "leads": [],
        "form": {
            "feature": last.feature if last.way else "",
            "way": last.way,
            "amount": f"{last.amount:.6g}" if last.way in ("clamp", "scale") else "",
            "new": q.new,
            "temperature": f"{q.temperature:g}",
            "seed": q.seed,
        },
        "fault": "",
    }


def _leads(index: Index, q: Question) -> list[tuple[Wanted, Name, str]]:
    """The first features of "start here" that are named by words, each with a link that sets it to
    its maximum after the beginning of a sentence of the indexed text, at whose end it is hardly
    on."""
    names = index.names([k for k, _ in index.start])
    in_words = {k: n for k, n in names.items() if re.search(r"[^\W_]", n.words + "".join(n.tokens))}
    leads = []
    for k, name in list((in_words or names).items())[:LEADS]:
        weak = [c for c in reversed(index.contexts(k, "even")) if c.tokens[c.at][:1] == " "]
        begun = (BEGUN.search("".join(c.tokens[: c.at])) for c in weak)
        text = q.text or next((found[1] for found in begun if found), "")
        change = Wanted(k, "clamp", round(float(index.maxima[k]), 3))
        leads.append((change, name, q.link(text=text or START, wanted=(change,))))
    return leads


def _writing(loaded: Loaded, q: Question, room: int) -> Writing:
    def begin() -> Any:
        changes, heat = [w.change for w in q.wanted], q.temperature
        return steer(loaded.reader, q.text, changes, new=room, temperature=heat, seed=q.seed)

    return loaded.writings.find(q.same, begin)


def _compared(loaded: Loaded, index: Index, q: Question, writing: Writing) -> dict[str, Any]:
    """What random directions cost per token on what the changed model wrote, as far as they are
    measured by now, and how likely the tokens that each changed feature promotes are there: as the
    model is, with the change, and with each random direction."""
    changes = [w.change for w in q.wanted]
    tokens: dict[int, list[int]] = {w.feature: [] for w in q.wanted}
    for row in index.query(
        "SELECT feature, token FROM logits WHERE sign = 1 AND feature IN "
        f"({', '.join('?' * len(tokens))})",
        [*tokens],
    ):
        tokens[row["feature"]].append(row["token"])
    sets = {feature: promoted for feature, promoted in tokens.items() if promoted}

    def begin() -> Iterator[Compared]:
        ids = loaded.reader.encode(q.text)
        whole = [*ids, *(s.after_id for s in writing.steps[: q.new] if s.after_id is not None)]
        changed = [*sets.values()]
        return compare(loaded.reader, whole, changes, changed, first=len(ids), draws=DRAWS)

    comparing = loaded.writings.find(("compare", q.same, q.new), begin)
    comparing.go_on(loaded.turn, DRAWS)
    found = comparing.steps
    if not (comparing.ended or len(found) == DRAWS):
        return {"state": "comparing", "compared": [c.cost for c in found]}
    rows = zip(sets.items(), np.transpose([c.chances for c in found], (2, 0, 1)), strict=True)
    return {
        "random_kl": [c.cost for c in found],
        "length": found[0].length,
        "promoted": [
            {
                "feature": k,
                "tokens": len(promoted),
                "before": float(of_draw[0, 0]),
                "after": float(of_draw[0, 1]),
                "random": of_draw[:, 2].tolist(),
            }
            for (k, promoted), of_draw in rows
        ],
    }


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
        "off": last is not None and not last.on and not any(kl),
        "compared": [],
        "random_kl": None,
        "promoted": [],
        "before": last.before if last else "",
        "after": last.after if last else "",
        "late": writing.late and len(steps) < new,
        "loops": [repeated(x) for x in ((last.before, last.after) if last else ("", ""))],
    }


def repeated(text: str) -> str:
    """The letters that a text repeats up to its end, from a space on where they have one; "" where
    it ends otherwise."""
    for n in range(1, len(text) // REPEATED + 1):
        count = max(REPEATED * n, SHORTEST)
        if count <= len(text) and text[n - count :] == text[-count:-n]:
            part = text[-n:]
            start = max(0, part.find(" "))
            return part[start:] + part[:start]
    return ""
