"""Rate: one feature's contexts at a time, blinded, answered by a key; the only page that keeps
anything, and the only one beside no other."""

from __future__ import annotations

import hmac
import secrets
import shlex
import threading
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams

from assay.evaluation.rating import Rating
from assay.explorer import query_args, shading
from assay.explorer.problems import ASKED, Problem
from assay.explorer.render import Moved, Shown
from assay.features.rating import MEANINGS

KEYS = dict(zip("123", MEANINGS, strict=True))
"""The keys of `assay rate` in the terminal, and their scores."""
LONGEST = 200
"""Characters of a rater's words."""


class Sheet:
    """A rating and who rates, behind one server; `form` is what a form of this server's own brings
    back."""

    def __init__(self, rating: Rating):
        self._rating, self._lock = rating, threading.Lock()
        self.form = secrets.token_urlsafe(16)

    def now(self) -> Rating:
        """The rating with the answers that there are by now, the terminal's among them."""
        with self._lock:
            return self._rating.fresh()

    def add(self, place: int, score: float, words: str) -> int:
        """Keep an answer as the terminal does, and give the place that is asked about next. Raises:
        DataError where none counts any more."""
        with self._lock:
            rating = self._rating.fresh()
            rating.answers.add(rating.items[place].hash, score, words)
            return rating.following(place)


def home(sheet: Sheet, path_params: Mapping[str, str], query: QueryParams) -> Moved:
    """Lead to the one page that there is."""
    return Moved("/rate")


def page(sheet: Sheet, path_params: Mapping[str, str], query: QueryParams) -> Shown:
    """Show the item asked for, else the first without an answer: its passages, and nothing that
    says whose it is. Raises: Problem."""
    rating = sheet.now()
    count, remaining = len(rating.items), rating.left
    place = query_args.number(query, "item", (remaining or [count])[0] + 1, 1, count + 1) - 1
    values: dict[str, Any] = {
        "place": place,
        "of": count,
        "left": len(remaining),
        "rater": rating.answers.rater,
        "passages": [],
        "given": None,
    }
    drawings: dict[str, Any] = {
        "form": sheet.form,
        "keys": {key: MEANINGS[score] for key, score in KEYS.items()},
        "longest": LONGEST,
    }
    if place == count:
        words = (
            "assay",
            "rate",
            rating.plan["asked"]["dictionary"],
            "--folder",
            str(rating.folder),
            "--results",
        )
        return Shown(
            "rate.html",
            values,
            drawings | {"lines": [], "then": shlex.join(words), "others": rating.others_go_on},
        )
    item = rating.items[place]
    if (stored_answer := rating.answers.answers.get(item.hash)) is not None:
        values["given"] = {
            "score": stored_answer.score,
            "words": stored_answer.words,
            "key": next(key for key, score in KEYS.items() if score == stored_answer.score),
        }
    values["passages"] = [
        {"tokens": p.tokens, "shades": p.shades, "at": p.at} for p in item.passages
    ]
    return Shown(
        "rate.html",
        values,
        drawings | {"lines": [shading.shades(p.tokens, p.shades, p.at) for p in item.passages]},
    )


def answer(sheet: Sheet, path_params: Mapping[str, str], query: QueryParams) -> Moved:
    """Keep what was answered about an item, and go on to the next. Raises: Problem for what this
    page did not ask."""
    if not hmac.compare_digest(query.get("form", "").encode(), sheet.form.encode()):
        raise Problem(
            403,
            (
                "this answer is from another run of the server; go back, load the page again and "
                "answer there"
            ),
        )
    place = query_args.number(query, "item", 0, 1, len(sheet.now().items)) - 1
    key, words = query_args.choice(query, "score", list(KEYS), ""), query.get("words", "").strip()
    if len(words) > LONGEST:
        raise Problem(ASKED, f"words have at most {LONGEST} characters, got {len(words):,}")
    return Moved(f"/rate?item={sheet.add(place, KEYS[key], words) + 1}")
