"""A feature: what ablating it does and where it fires in two sentences, then its contexts, what it
writes, and its relatives."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.datastructures import QueryParams

from assay.core.errors import AssayError
from assay.evaluation import one_ablated
from assay.explorer import commands, figures, shading
from assay.explorer.library import Library, Making
from assay.explorer.live import Live, Loaded
from assay.explorer.problems import UNKNOWN, Problem
from assay.explorer.render import Shown, doubt, estimated, percent
from assay.features.index.about import About
from assay.features.index.blocks import LEAST
from assay.features.index.names import Name
from assay.features.index.reader import Index
from assay.features.index.schema import ANTIPODAL, BINS, FEATURES, MATCHED, Context, Feature, Row
from assay.features.live.ablation import ablate_features, attribute
from assay.features.live.reader import Reader

OPEN = 10
"""Contexts of a list that are shown before it is unfolded."""
QUARTERS = ("strongest quarter", "second quarter", "third quarter", "weakest quarter")
MOSTLY, OFTEN = 0.5, 0.2
"""Shares of its firings from which a feature is said to fire mostly, and often, on its commonest
token."""
UNTOLD = "cannot be distinguished from no effect."
Piece = str | Mapping[str, str]
"""A part of a sentence: words, or a token of the text."""


def page(library: Library, path_params: Mapping[str, Any], query: QueryParams) -> Shown:
    """Show a feature, and where it is on in a text of the reader's, if one is asked about; what
    cannot be read is said there in one line. Raises: Problem for a feature that is not there."""
    index = library.index(path_params["model"], path_params["dictionary"])
    text, number = query.get("text", ""), int(path_params["number"])
    if not 0 <= number < index.about.d_sae:
        raise Problem(
            UNKNOWN,
            f"features of {index.about.name} are numbered 0 to {index.about.d_sae - 1:,}; "
            f"there is no {number}",
        )
    asked: dict[str, Any] = {"text": text, "own": None, "problem": "", "loading": False}
    asked |= {"ablating": "ablate" in query and not text, "measured": None, "outdated": False}
    if text or asked["ablating"]:
        try:
            loaded = library.live.loaded(index)
            if loaded is not None and text:
                asked["own"] = loaded.ask(
                    ("own", number, text), lambda reader: own_text(reader, number, text)
                )
            elif loaded is not None and not _is_ablated(index, number):
                asked["measured"] = _ablate(library.live, loaded, index, number)
                index = library.index(path_params["model"], path_params["dictionary"])
            asked["loading"] = loaded is None
        except (AssayError, ImportError) as error:
            outdated = isinstance(error, one_ablated.Outdated)
            asked |= {"problem": str(error), "outdated": outdated}
    base = f"{path_params['model']}/{path_params['dictionary']}"
    return _page(index, number, base, asked, library.growing(base))


def _is_ablated(index: Index, number: int) -> bool:
    return number in index.ablated or not np.isnan(index.glances["importance"][number])


def _ablate(live: Live, loaded: Loaded, index: Index, number: int) -> dict[str, Any] | None:
    """Have a feature ablated in the background, and say how far that is; None once it is done.
    Raises: AssayError where it cannot be."""

    def measure(tick: Callable[[int, int], None]) -> None:
        one_ablated.ablate(index, number, loaded.reader, loaded.turn, tick)

    measurement = live.measure((index.folder, number), measure)
    if measurement.future.done():
        return None
    return {"done": measurement.done, "total": measurement.total, "left": measurement.left}


@dataclass(frozen=True)
class OwnText:
    """A feature on a text of the reader's: its activation at each token, and what the loss would be
    without it."""

    tokens: tuple[str, ...]
    activations: tuple[float, ...]
    effects: tuple[float, ...]
    """Rise of the loss of all later tokens, in nats and to first order, if the feature were taken
    out at that token."""
    removed: float
    """Rise of the whole text's loss, in nats, when it is ablated wherever it is on."""


def own_text(reader: Reader, number: int, text: str) -> OwnText:
    """Read a text and ask one feature. Raises: DataError for a text that is too long or short."""
    reading = reader.read(text)
    firings = attribute(reader, reading)
    mask = firings.firings.feature == number
    activations, effects = (np.zeros(len(reading)) for _ in range(2))
    activations[firings.firings.position[mask]] = firings.firings.value[mask]
    effects[firings.firings.position[mask]] = firings.value[mask]
    removed = (
        float(ablate_features(reader, reading, [number]).delta[0].sum()) if mask.any() else 0.0
    )
    return OwnText(reading.words, tuple(activations.tolist()), tuple(effects.tolist()), removed)


def _page(
    index: Index, number: int, base: str, asked: Mapping[str, Any], growing: Making | None
) -> Shown:
    """Show a feature of an index that has the address `base`, to which more is added where it is
    `growing`, and what was asked about it."""
    feature = index.feature(number)
    n = feature.numbers
    values = {
        "address": f"{base}/{number}",
        "dictionary": base,
        "feature": number,
        "features": index.about.d_sae,
        "previous": number - 1 if number else None,
        "next": number + 1 if number + 1 < index.about.d_sae else None,
        "random": another(index, number),
        "about": index.about,
        "name": index.names([number])[number],
        "sentence": sentence(feature, index, growing is not None),
        "provisional": growing is not None and not growing.lacks,
        "numbers": n,
        "contexts": feature.contexts,
        "promoted": feature.promoted,
        "suppressed": feature.suppressed,
        "tokens": feature.tokens,
        "neighbours": _neighbours(feature, index),
        "seeds": _seeds(n, index),
        **asked,
    }
    drawings = _draw_feature(feature, index) | {
        "will_ablate": growing and growing.ablate and growing.lacks != "baselines"
    }
    if (user_text := asked["own"]) is not None:
        maximum = max(n["maximum"] or 0.0, *user_text.activations)
        effects = user_text.effects if index.about.reliable else None
        drawings["own_tokens"] = shading.tokens(
            user_text.tokens, user_text.activations, effects, maximum
        )
    return Shown("feature.html", values, drawings)


def another(index: Index, number: int) -> int | None:
    """A feature that fires, far from this one: following it again and again visits each that fires
    once, in the same order for all."""
    alive = index.alive
    if not len(alive):
        return None
    step = max(1, round(len(alive) * 0.618))
    while math.gcd(step, len(alive)) > 1:
        step += 1
    return int(alive[(int(alive.searchsorted(number)) + step) % len(alive)])


def sentence(feature: Feature, index: Index, growing: bool = False) -> list[Piece]:
    """Say in words what the numbers say: how often it fires and on what, what it writes, and what
    the loss is without it, which comes first where an ablation could tell."""
    n = feature.numbers
    if not n["firings"]:
        return [
            f"It fired on none of the {index.about.tokens:,} tokens of this text: dead here, "
            "though perhaps not on another text."
        ]
    worth = _worth(n, index.about, growing)
    first = n["importance_low"] is not None and UNTOLD not in worth
    fires = f"It fires on {percent(n['density'])} of tokens"
    pieces: list[Piece] = [f"{worth} {fires}" if first else fires]
    name = index.names([n["feature"]])[n["feature"]]
    is_rule = name.kind == "rule"  # whose tokens are the title of the page
    share = name.precision or 0.0 if is_rule else n["token_share"]
    tokens = name.tokens if is_rule else (n["token_text"] or "",)
    begins = ", on many different ones, such as "
    if share >= OFTEN:
        begins = ", mostly on " if share >= MOSTLY else ", often on "
    pieces += [begins, *_any(tokens), f" ({percent(share, 2)} of its firings)"]
    if name.kind == "promoted":
        pieces.append(f"; {percent(name.precision, 2)} of its firings come right before ")
        pieces += [*_any(name.tokens), ", which it promotes"]
    pieces += [] if name.mixed else _strongest(feature, name)
    return [*pieces, "." if first else f". {worth}"]


def _any(tokens: Sequence[str]) -> list[Piece]:
    """Tokens, any of which is meant."""
    pieces = list[Piece]()
    for text in tokens:
        pieces += [" or ", {"token": text}]
    return pieces[1:]


def uncovered(feature: Feature, name: Name, context: Context) -> dict[str, Any] | None:
    """The token of a context by which a name does not explain it, with the share of all firings
    that is on it, where this is stored; None where the name explains it."""
    if name.kind not in ("rule", "promoted"):
        return None
    place = context.at + (name.kind == "promoted")
    text = next(iter(context.tokens[place:]), None)
    if text is None or text in name.tokens:
        return None
    shares = {row["text"]: row["share"] for row in feature.tokens if name.kind == "rule"}
    return {"text": text, "share": shares.get(text)}


def _strongest(feature: Feature, name: Name) -> list[Piece]:
    """Say on which token its strongest firings are, if several are on one that its name, which is
    about all firings, does not have; and which share of all that is."""
    each = [uncovered(feature, name, c) for c in feature.contexts if c.kind == "top"]
    count = sum(1 for _ in itertools.takewhile(lambda token: token == each[0], each))
    if count < 2 or (first := each[0]) is None:
        return []
    share = first["share"]
    of_all = "" if share is None else f" ({percent(share, 2)} of its firings)"
    before = "right before" if name.kind == "promoted" else "on"
    return [f"; its {count} strongest contexts are {before} ", {"token": first["text"]}, of_all]


def _worth(n: Row, about: About, growing: bool = False) -> str:
    """What taking the feature out does to the loss, in words that an interval supports: as it was
    measured by ablating it where that was done, else to first order, if the ablations of other
    features support such estimates."""
    measured = _describe_effect(
        "Ablating it", n["importance"], n["importance_low"], n["importance_high"]
    )
    if not measured and (doubtful := doubt(about)):
        lacks = "was not ablated" if n["importance"] is None else "was ablated in too few documents"
        estimates = doubtful.partition(" here:")[0] + " here" * about.unreliable
        return f"Its effect on the loss is unknown: it {lacks}, and {estimates}."
    first_order = _describe_effect(
        "To first order, on all of the text, ablating it",
        *(n[f"gradient_{end}"] for end in ("active", "low", "high")),
    )
    if not measured and not first_order:
        if n["importance"] is None and not about.gradients:
            done = "has not been measured yet" if growing else "was not measured"
            return f"What it does to the loss {done}."
        many = n["documents"]
        if many < LEAST:
            why = f"it fires in {many} document{'s' * (many != 1)}, too few for an interval"
        elif about.gradients:
            why = "this index is older than intervals of it"
        else:
            why = "it was ablated in too few documents for an interval"
        return f"Its effect on the loss is unknown: {why}."
    return measured or first_order


def _describe_effect(
    begins: str, value: float | None, low: float | None, high: float | None
) -> str:
    if value is None or low is None or high is None:
        return ""
    sign, way, word = (-1, "lowers", "it hurts") if high < 0 else (1, "raises", "it helps")
    if low <= 0 <= high:
        way, word = "changes", ""
    ends = sorted((sign * low, sign * high))
    nats = f"{estimated(sign * value, *ends)}\N{NO-BREAK SPACE}nats where it is on"
    ends_with = f": {word}." if word else f", which {UNTOLD}"
    return f"{begins} {way} the loss by {nats}{ends_with}"


def quarters(contexts: Sequence[Context]) -> list[tuple[str, list[Context]]]:
    """The even sample in quarters of the feature's firings by rank, strongest first, without those
    that are among the strongest; a quarter without any is left out."""
    parts: list[list[Context]] = [[] for _ in QUARTERS]
    top = {(c.window, c.position) for c in contexts if c.kind == "top"}
    for context in contexts:
        if context.kind == "even" and (context.window, context.position) not in top:
            parts[min(3, int(4 * (1 - context.share)))].append(context)
    return [(name, part) for name, part in zip(QUARTERS, parts, strict=True) if part]


def _neighbours(feature: Feature, index: Index) -> dict[str, list[dict[str, Any]]]:
    """Relatives by kind; other features with their commonest token and density."""
    by_kind: dict[str, list[dict[str, Any]]] = {
        kind: [] for kind in ("antipode", "decoder", "feature")
    }
    other_features = {
        row["other"] for row in feature.neighbours if row["kind"] in ("decoder", "feature")
    }
    antipode = feature.numbers["antipode"]
    glances = index.glance(sorted(other_features | ({antipode} if antipode is not None else set())))
    for row in feature.neighbours:
        if row["kind"] in by_kind:  # older indexes have neurons as well
            by_kind[row["kind"]].append({**row, "of": glances[row["other"]]})
    if antipode is not None:
        by_kind["antipode"] = [{"other": antipode, "of": glances[antipode]}]
    return by_kind


def _seeds(n: Row, index: Index) -> list[dict[str, Any]]:
    """The other dictionaries, each with the best cosine."""
    names = index.about.seeds
    if not names or n["seed_cosines"] is None:
        return []
    return [
        {"name": name, "cosine": cosine, "recurs": cosine >= MATCHED}
        for name, cosine in zip(names, n["seed_cosines"], strict=True)
    ]


def _draw_feature(feature: Feature, index: Index) -> dict[str, Any]:
    """What the template draws from the values: figures, shaded contexts, widths of bars."""
    n = feature.numbers
    maximum = n["maximum"] or 0.0
    doubted = not index.about.reliable
    top = [shading.line(c, maximum, doubted) for c in feature.contexts if c.kind == "top"]
    edges = [maximum * i / BINS for i in range(BINS + 1)]
    measured = n["importance"] is not None and n["importance_low"] is not None
    return {
        "command": commands.writer(index),
        "ablated_count": int(np.isfinite(index.glances["importance"]).sum()),
        "open": OPEN,
        "top": top,
        "quarters": [
            (name, [shading.line(c, maximum, doubted) for c in part])
            for name, part in quarters(feature.contexts)
        ],
        "even": sum(c.kind == "even" for c in feature.contexts),
        "linear": figures.histogram(n["histogram"] or [], edges, "activations above 0")
        if n["firings"]
        else "",
        "vocabulary": figures.histogram(
            n["logit_histogram"] or [],
            feature.logit_edges,
            "unnormalised logits of the vocabulary's tokens",
            "vocabulary token",
        ),
        "logit_edges": feature.logit_edges,
        "first_order": ""
        if n["gradient_low"] is None
        else estimated(n["gradient_active"], n["gradient_low"], n["gradient_high"]),
        "importance": estimated(n["importance"], n["importance_low"], n["importance_high"])
        if measured
        else "",
        "bar": figures.interval(
            n["importance"],
            n["importance_low"],
            n["importance_high"],
            "importance with its interval",
        )
        if measured
        else "",
        "strongest": max((abs(v) for _, v in (*feature.promoted, *feature.suppressed)), default=1.0)
        or 1.0,
        "columns": FEATURES,
        "bounds": {"antipodal": ANTIPODAL, "matched": MATCHED},
    }
