"""An evaluation as words, rows and a page, and a look at one text as rows, made from their
JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, PackageLoader
from markupsafe import escape

from assay.core import digits, foreign
from assay.core.errors import AssayError
from assay.core.figures import Figure
from assay.core.nouns import counted, plural
from assay.core.plain import as_json
from assay.dictionaries.measuring import measures
from assay.evaluation.result import Evaluation
from assay.report import draw, export, pages, tables

JSON = Mapping[str, Any]
BASELINES = ("dictionary", "random", "pca", "mean")
"""What is compared, in the order in which tables have it."""
RANDOM = "random directions"
COMPARED = ("l0", "fvu", "loss_recovered_mean")
"""In which measures."""
EQUAL = 1.05
"""L0s that differ by less than this factor count as equal."""
REPEATED = 4
"""A reason that so many numbers of a page have is given once, above their table."""
SATURATED = 0.95
"""Where a dictionary and a baseline recover a larger share of the loss, the share says little."""
NAMED = 4
"""So many measures are named in a sentence, of more their number."""
TOO_FEW = re.compile(r"too few documents: (\d+), an interval needs (\d+)")
PAGE = "evaluation.html"
"""The page of an evaluation, in whichever folder."""
TABLE = "documents.csv"
"""The sums over each document, a row for each dictionary and document."""
GROUPS = {
    "Sparsity": ("l0",),
    "Fidelity": ("fvu", "explained_variance", "mse", "gamma", "norm_ratio"),
    "Loss": ("ce_", "loss_", "kl_"),
    "Health": ("dead", "ultra_rare", "rare", "ordinary", "dense", "twins"),
}
"""How the names of the measures of each group begin; what is in none comes last."""
ABLATED = {m.name for m in measures.TABLE if any(t.startswith("a_") for t in m.terms)}
"""The measures for which the site is ablated, which may be in part of the text alone."""
LEADING = ("l0", "fvu", "gamma", "ce_increase", "loss_recovered_mean", "loss_recovered_zero")
"""What the table of more than three dictionaries shows; the rest is in --json and in the report."""
LEFT_OUT = re.compile(
    r"explained_variance|mse|gamma_raw|norm_ratio.*|kl_.*|ce_(zero|mean|resample)"
    r"|loss_recovered_resample|(ultra_)?rare|ordinary"
)
"""What no table shows: variants of what it does, and what they are made of."""
DIGITS = 3
"""Significant digits of L0, at most: of a TopK dictionary, its interval supports more."""
SHARE = "share of features"
HEADLINE = ("l0", "fvu", "loss_recovered_zero", "loss_recovered_mean", "dead")


@dataclass(frozen=True)
class Row:
    """One measure in words."""

    name: str
    label: str
    estimate: str
    interval: str
    unit: str
    why: str
    on: str = ""
    """On how many tokens it was measured, where other rows were measured on more."""


class Turn(Enum):
    """Whether a dictionary is reported alone, or first or later among several."""

    ALONE = "alone"
    FIRST = "first"
    LATER = "later"


@cache
def _sentences() -> Any:
    """The sentences of templates/evaluation.txt, as functions."""
    env = Environment(loader=PackageLoader("assay.report"), trim_blocks=True, lstrip_blocks=True)
    env.filters |= {
        "count": "{:,}".format,
        "several": counted,
        "digits": lambda x, n: f"{x:.{n}g}",
        "difference": difference,
    }
    return env.get_template("evaluation.txt").module


def said(sentence: str, *facts: Any) -> str:
    """Write a sentence of templates/evaluation.txt about these facts."""
    return re.sub(r"[ \n]+", " ", getattr(_sentences(), sentence)(*facts)).strip()


def labels() -> dict[str, str]:
    """What every measure is called."""
    return {m.name: m.label for m in measures.TABLE}


def row(name: str, measure: JSON, on: str = "") -> Row:
    """One measure to the digits that its interval supports, with what it was measured on."""
    units = {m.name: m.unit for m in measures.TABLE}
    value, interval = (
        re.sub(r"(?<![\d.])\d{4,}", lambda whole: f"{int(whole[0]):,}", number)
        for number in digits.estimate(measure["estimate"], measure["low"], measure["high"])
    )
    if measure["low"] is not None and measure["low"] == measure["high"]:
        interval = f"[{value}, {value}]"
    elif measure["estimate"] and name == "l0":
        value, interval = _at_most(DIGITS, measure, value, interval)
    elif measure["estimate"] and measure["low"] is None and units[name] == SHARE:
        value = f"{measure['estimate']:.2g}"
    elif measure["estimate"] and measure["low"] is None and units[name] == "nats":
        value = f"{measure['estimate']:#.4g}"  # with its zeros: two losses are compared
    unit = {"1": "", SHARE: "of the features"}.get(units[name], units[name])
    return Row(
        name, labels()[name], value, interval.removeprefix("no interval"), unit, measure["why"], on
    )


def _at_most(most: int, measure: JSON, value: str, interval: str) -> tuple[str, str]:
    """An estimate with its interval, as they are written or with so many significant digits of the
    estimate, if these are fewer."""
    places = max(0, most - 1 - math.floor(math.log10(measure["estimate"])))
    if places >= len(value.partition(".")[2]):
        return value, interval
    value, low, high = (digits.number(measure[x], places) for x in ("estimate", "low", "high"))
    return value, f"[{low}, {high}]" if measure["low"] is not None else interval


def row_of(entry: JSON, name: str) -> Row:
    """One measure of an entry; with an ablation, and where that was made in part of the text
    alone, on which; dead features without an interval with the tokens on which they are."""
    measure = entry["measures"][name]
    on = _ablated_on(entry) if name in ABLATED else ""
    if name == "dead" and measure["low"] is None and "tokens" in entry:
        on = f"on {entry['tokens']:,} tokens"
    return row(name, measure, on)


def _ablated_on(entry: JSON) -> str:
    """Say on which part of the text the site was ablated; "" where that is all of it."""
    if entry.get("tokens_ablated", 0) >= entry.get("tokens_read", 0):
        return ""
    if compared := entry.get("compared"):
        return f"on {compared['tokens']:,} tokens"
    windows = entry["tokens_ablated"] // entry["context"]
    return f"on {windows:,} of {entry['windows']:,} windows"


def grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Sort measures into their groups; a group without any is left out."""
    distinct = list(dict.fromkeys(names))
    groups = {title: [n for n in distinct if n.startswith(of)] for title, of in GROUPS.items()}
    groups["Further"] = [n for n in distinct if not any(map(n.startswith, GROUPS.values()))]
    return {title: of for title, of in groups.items() if of}


def shortened(entries: Sequence[JSON]) -> list[dict[str, Any]]:
    """Entries without the measures that a table of so many dictionaries leaves out."""

    def is_kept(name: str) -> bool:
        return name in LEADING if len(entries) > 3 else not LEFT_OUT.fullmatch(name)

    return [
        {**e, "measures": {n: m for n, m in e["measures"].items() if is_kept(n)}} for e in entries
    ]


def setting(data: JSON) -> list[str]:
    """What was measured on, in sentences: model and text, positions, losses; once for all
    dictionaries that share it."""
    settings = data["setting"]
    lines: dict[str, list[str]] = {}
    for e in data["dictionaries"]:
        lines.setdefault(said("measured_on", data, e), []).append(e["name"])
    sentences = [
        line if len(lines) == 1 else f"{', '.join(names)}: {line}" for line, names in lines.items()
    ]
    dead = any(e["measures"].get("dead", {}).get("estimate") for e in data["dictionaries"])
    left_out = settings["skip_first"], settings["outlier"]
    without = said("measured_without", *left_out, len(data["dictionaries"]))
    openings = {(e["context"], e["opening"]) for e in data["dictionaries"] if "opening" in e}
    if len({opening for _, opening in openings}) > 1:
        without += f" {said('openings')}"
    return [*sentences, without, *([said("dead")] if dead else [])]


def answers(entries: Sequence[JSON]) -> dict[str, str]:
    """Whether each dictionary is any good, by its name, with which the sentence begins. Of several,
    the words that they share come with the first, and principal components only where a dictionary
    is better than one of the two baselines and worse than the other."""
    compared = {e["name"]: e["compared"] for e in entries if e.get("compared")}
    lines: dict[str, str] = {}
    first_tokens = None
    for name, numbers in compared.items():
        same = numbers["tokens"] == first_tokens
        turn = Turn.ALONE if len(entries) == 1 else Turn.LATER if same else Turn.FIRST
        lines[name] = baselines(numbers, "", turn)
        first_tokens = first_tokens or numbers["tokens"]
    return lines


def baselines(compared: JSON, subject: str = "It", turn: Turn = Turn.ALONE) -> str:
    """Whether a dictionary is any good, in a sentence about the variance that it explains and one
    about the loss that it recovers, each next to what baselines do on the same tokens."""
    names = [name for name in BASELINES[:-1] if name in compared]  # the mean explains nothing

    def known(measure: str) -> dict[str, JSON]:
        found = {name: compared[name].get(measure, {}) for name in names}
        return {name: m for name, m in found.items() if m.get("estimate") is not None}

    explained, recovered = known("explained_variance"), known("loss_recovered_mean")
    if "dictionary" not in explained:
        return said("undefined", compared["tokens"], subject)
    ahead = compared["ahead"]
    lead = {name: _lead(explained["dictionary"], explained.get(name, {})) for name in names[1:]}
    if ahead["low"] is not None:
        lead["random"] = 0.0 if ahead["low"] <= 0 <= ahead["high"] else ahead["estimate"]
    in_left = min(m["estimate"] for m in explained.values()) < 0
    shown = [amounts(known("fvu") if in_left else explained, in_left=in_left), amounts(recovered)]
    shares = [m["estimate"] for m in recovered.values()]
    alike = len(shares) > 1 and min(shares[0], max(shares[1:])) > SATURATED
    rest = alike, lead, in_left, components(compared), turn.value
    return said("baselines", compared, subject, *shown, *rest)


def _lead(one: JSON, other: JSON) -> float:
    """By how much a measure is above another; 0 where their intervals overlap."""
    ends: Any = ([m.get(end) for m in (one, other)] for end in ("low", "high"))
    lows, highs = ends
    overlap = None not in (*lows, *highs) and max(lows) <= min(highs)
    return 0.0 if overlap or not other else float(one["estimate"] - other["estimate"])


def unequal_l0(l0s: Sequence[float | None]) -> str:
    """What a reader who compares dictionaries has to know where they are not equally sparse; empty
    where they are, to a twentieth."""
    positive = [l0 for l0 in l0s if l0]
    if len(positive) < 2 or max(positive) <= EQUAL * min(positive):
        return ""
    first, *others = (f"{l0:.3g}" for l0 in positive)
    pair = len(positive) == 2  # in their order, as both are named
    ends = f"{first} and {others[0]}" if pair else f"{min(positive):.3g} to {max(positive):.3g}"
    return said("unequal_l0", ends)


def _places(measure: JSON, others: Sequence[float]) -> int:
    """The decimals of a share in percent: one, or as many as tell it from the other numbers, 0 and
    1, but no more than its interval warrants."""
    share, low, high = (cast(Any, measure.get(name)) for name in ("estimate", "low", "high"))
    open_ends = low is None or high is None
    apart = [x for x in (*others, 0.0, 1.0) if x != share and (open_ends or not low <= x <= high)]
    most = (digits.decimals(low, high) or 4) - 2
    enough = (p for p in range(1, 6) if all(_at(p, x) != _at(p, share) for x in apart))
    return max(0, min(next(enough, 6), most))


def _at(places: int, share: float) -> str:
    return f"{100 * share:.{places}f}"


def difference(ahead: JSON) -> str:
    """By how much a share differs from another, with its interval, in percent."""
    sign = -1 if ahead["high"] < 0 else 1
    low, high = sorted((sign * ahead["low"], sign * ahead["high"]))
    of_100 = (100 * x for x in (sign * ahead["estimate"], low, high))
    return tables.minus(re.sub(r"(\d)(?=[], ]|$)", r"\1%", " ".join(digits.estimate(*of_100))))


def amounts(shares: JSON, *, in_left: bool = False) -> dict[str, str]:
    """Shares of a whole in percent, all to as many decimals as tell the first from the others, and
    none rounded to the whole; of shares that are left, one above the whole in times."""
    if not shares:
        return {}
    every = [m["estimate"] for m in shares.values()]
    own = [_places(m, every) for m in shares.values()]

    def is_enough(places: int) -> bool:
        texts = [_at(places, x) for x in every]
        whole = any(x < 1 and t == _at(places, 1) for x, t in zip(every, texts, strict=True))
        none = any(t == _at(places, 0) and places < p for t, p in zip(texts, own, strict=True))
        alike = texts.count(texts[0]) > 1 and places < max(own)
        return not (whole or none or alike)

    places = next(filter(is_enough, range(min(own), 6)), 6)
    return {
        name: f"{x:#.3g} times" if in_left and x > 1 else f"{tables.minus(_at(places, x))}%"
        for name, x in zip(shares, every, strict=True)
    }


def components(compared: JSON) -> str:
    """Count the principal components with which a dictionary is compared: "32 principal
    components"."""
    return f"{compared['rank']} {plural('principal component', compared['rank'])}"


def baseline_rows(compared: JSON) -> list[tuple[str, ...]]:
    """A row for a dictionary and for each baseline: L0, FVU, and the share of the loss recovered
    where there is a model."""
    called = {"random": RANDOM, "pca": components(compared)}
    rows = []
    for name in (n for n in BASELINES if n in compared):
        cells = [row(m, compared[name][m]) for m in COMPARED if m in compared[name]]
        texts = [f"{r.estimate} {r.interval}".strip() for r in cells]
        if name == "pca":  # signed codes, all of which are on
            texts[0] = str(compared["rank"])
        rows.append((called.get(name, name), *texts))
    return rows


def baseline_heads(compared: JSON) -> tuple[str, ...]:
    """What the columns of `baseline_rows` are called."""
    measures = (m for m in COMPARED if m in compared["dictionary"])
    return f"on {compared['tokens']:,} tokens", *(labels()[m] for m in measures)


def baseline_tables(entries: Sequence[JSON]) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """The heads and the rows of a table for each dictionary and its baselines. Dictionaries with
    the same row of the mean share a table, in which a row that several have comes once, at the
    end."""
    compared = [e for e in entries if e.get("compared")]
    tables: dict[Any, list[tuple[str, list[tuple[str, ...]]]]] = {}
    for e in compared:
        rows = baseline_rows(e["compared"])
        tables.setdefault((baseline_heads(e["compared"]), rows[-1]), []).append((e["name"], rows))
    return [(heads, _joined(several)) for (heads, _), several in tables.items()]


def _joined(several: Sequence[tuple[str, Sequence[tuple[str, ...]]]]) -> list[tuple[str, ...]]:
    """The rows of one table of baselines: each dictionary and what is random in its place, then the
    other baselines."""
    own_rows: list[tuple[str, ...]] = []
    others: dict[tuple[str, ...], None] = {}
    for name, ((_, *cells), *rows) in several:
        own_rows.append((name, *cells))
        for label, *numbers in rows:
            if label == RANDOM:
                own_rows.append((label if len(several) == 1 else f"{label} for {name}", *numbers))
            else:
                others[(label, *numbers)] = None
    return [*own_rows, *sorted(others, key=lambda row: row[0] == "mean")]


def side_by_side(entries: Sequence[JSON]) -> list[tuple[str, ...]]:
    """A line for each measure: what it is called, and its number with the interval of each
    dictionary."""
    lines = []
    for name, each in _by_measure(entries).items():
        some = " or ".join(sorted({r.on for r in each if r and r.on}))
        nats = "(nats)" * any(r and r.unit == "nats" for r in each)
        cells = (f"{r.estimate} {r.interval}".strip() if r else "" for r in each)
        lines.append((" ".join(filter(None, (labels()[name], nats, some))), *cells))
    return lines


def without_interval(entries: Sequence[JSON], fewest: int = 1) -> dict[str, str]:
    """Say why measures have no interval or no number: by the reason, a sentence where so many
    have it; of too few documents, one sentence for all."""
    measured = _by_measure(entries)
    reasons: dict[str, list[str]] = {}
    for r in (r for each in measured.values() for r in each if r and r.why):
        reasons.setdefault(r.why, []).append(r.label)
    few = {why: found[0] for why in reasons if (found := re.findall(TOO_FEW, why))}
    too_few = [label for why in few for label in reasons[why]]
    lines, called = {}, [labels()[name] for name in measured]
    for why, same in reasons.items():
        distinct = dict.fromkeys(too_few if why in few else same)
        if len(too_few if why in few else same) < fewest:
            continue
        if why in few:
            most = max(int(n) for n, _ in few.values())
            there = "there is 1" if most == 1 else f"there are {most}"
            cause = f"at least {few[why][1]} documents are needed, and {there}"
        else:
            cause = why.removeprefix("no interval: ")
        values = [r for each in measured.values() for r in each if r and r.label in distinct]
        unknown = all(r.estimate == "not estimated" for r in values)
        if not {*called} - {*distinct}:
            which = "No measure has an interval"
        elif len(distinct) <= NAMED:
            which = f"No {'estimate' if unknown else 'interval'} of {', '.join(distinct)}"
        else:
            lack = "are not estimated" if unknown else "have no interval"
            which = f"{len(distinct)} of the {len(called)} measures {lack}"
        lines[why] = f"{which}: {cause}"
    return lines


def shown_figures(figures: Sequence[Figure], dictionaries: int) -> list[Figure]:
    """The figures of a report; of one dictionary, a point against another says nothing."""
    return [f for f in figures if dictionaries > 1 or f.mark == "bars"]


def _by_measure(entries: Sequence[JSON]) -> dict[str, list[Row | None]]:
    """The measures in the order of their groups, each of all dictionaries; None of one that lacks
    it."""
    groups = grouped(name for e in entries for name in e["measures"])
    return {
        name: [row_of(e, name) if name in e["measures"] else None for e in entries]
        for names in groups.values()
        for name in names
    }


def page(data: JSON, figures: Sequence[Figure]) -> str:
    """The whole report of an evaluation as one HTML file."""
    entries = data["dictionaries"]
    measured = _by_measure(entries)
    body = [
        (title, [(labels()[n], data["definitions"][n], measured[n]) for n in names])
        for title, names in grouped(measured).items()
    ]
    alone = len(entries) == 1
    if alone:  # in two columns, of which the longest group fills one
        body.sort(key=lambda group: group[0] == "Loss")
    fewest = REPEATED if alone else 1  # in narrow columns, no reason has room
    alarms = [f"{e['name']}: {text}" for e in entries for text in e["warnings"]]
    template = pages.environment().get_template("evaluation.html")
    return template.render(
        data=data,
        figures=pages.render_figures(figures),
        body=body,
        setting=setting(data),
        alone=alone,
        answers=answers(entries),
        headline=headline(entries[0]) if alone else "",  # of several, their table says it
        warnings=sentences_once(alarms),
        unequal=unequal_l0([e["measures"]["l0"]["estimate"] for e in entries]),
        without_interval=without_interval(entries, fewest),
        baseline_tables=baseline_tables(entries),
    )


def sentences_once(lines: Iterable[str]) -> list[str]:
    """Lines without the sentences, but for the first of each, that an earlier line has."""
    said_before: set[str] = set()
    shortened_lines = []
    for first, *more in (line.split(". ") for line in lines):
        shortened_lines.append(". ".join([first, *(s for s in more if s not in said_before)]))
        said_before.update(more)
    return shortened_lines


def headline(entry: JSON) -> str:
    """What most readers look for first, on one line: how many features are on, and what they leave
    unexplained and unrecovered."""
    names = [name for name in HEADLINE if name in entry["measures"]]
    measure_rows = [row_of(entry, name) for name in names]
    estimated = [r for r in measure_rows if r.estimate != "not estimated"]
    # what was too uncertain for an interval is no headline next to what has one
    shown_rows = [r for r in estimated if r.interval] or estimated
    on = {"fvu": f" on {entry['tokens']:,} tokens"}  # baselines are measured on some of them
    return ", ".join(f"{r.label} {r.estimate}{on.get(r.name, '')}" for r in shown_rows)


def evaluated_in(out: Path) -> tuple[str, ...]:
    """Name the dictionaries whose evaluation a folder holds; none where it holds none that can be
    read."""
    try:
        data = foreign.json_object(out / "evaluation.json")
        return tuple(str(entry["name"]) for entry in data["dictionaries"])
    except (OSError, ValueError, LookupError, TypeError, AssayError):
        return ()


def write(evaluation: Evaluation, out: Path) -> list[Path]:
    """Write into a folder the report, every measure as CSV and JSON, the sums over each document,
    which `assay judge` reads, and each figure as SVG with its data."""

    out.mkdir(parents=True, exist_ok=True)
    figures = shown_figures(evaluation.figures, len(evaluation.dictionaries))
    files = {PAGE: page(evaluation.to_json(), figures)}
    files["evaluation.csv"] = export.table_csv(evaluation.to_pandas())
    files[TABLE] = export.table_csv(evaluation.documents)
    files["evaluation.json"] = as_json(evaluation.to_json(), indent=1)
    for name, figure in zip(export.names(figures), figures, strict=True):
        files |= {f"{name}.svg": draw.svg(figure), f"{name}.csv": export.figure_csv(figure)}
    for name, content in files.items():
        (out / name).write_text(content, encoding="utf-8")
    link_index(out)
    return [out / name for name in files]


def link_index(out: Path) -> None:
    """Link the evaluation that a folder holds and the index over its results with each other,
    whichever of the two was written last."""
    page, index = out / PAGE, out / "index.html"
    if not ((names := evaluated_in(out)) and page.exists() and index.exists()):
        return
    home = '<span id="home"><a href="index.html">all results</a> · </span>'
    link = f'<a href="{PAGE}">an evaluation of {escape(", ".join(names))}</a>'
    line = f'<p class="quiet" id="evaluated">This folder also holds {link}.</p>'
    replaced = r'<span id="home">.*?</span>', r'<p class="quiet" id="evaluated".*?</p>'
    for file, old, new in zip((page, index), replaced, (home, line), strict=True):
        text = file.read_text(encoding="utf-8")
        text = re.sub(old, new.replace("\\", r"\\"), text, count=1)  # \1 in a name is no group
        file.write_text(text, encoding="utf-8")


# a look at one text

NAMED_TOKENS = 6
"""So many of the tokens that are left out are named, at each cause."""


def left_out(data: Mapping[str, Any]) -> str:
    """Which tokens are neither counted nor ablated, and why, as a sentence."""
    skip, words = data["skip_first"], data["tokens"]

    def named(places: Sequence[int]) -> str:
        """Some of these tokens, without line breaks inside one."""
        names = (quoted(words[i]).replace(" ", "\xa0") for i in places[:NAMED_TOKENS])
        more = f" and {len(places) - NAMED_TOKENS} more" if len(places) > NAMED_TOKENS else ""
        return f"{', '.join(names)}{more}"

    first = [i for i in data["left_out"] if i < skip]
    longer = [i for i in data["left_out"] if i >= skip]
    return said("left_out", named(first), named(longer), skip, data["outlier"])


def strongest(token: Mapping[str, Any]) -> str:
    """A token's strongest features with their activations; a dash where none is on."""
    return "   ".join(f"#{f['feature']} {f['activation']:.3g}" for f in token["features"]) or "–"


def nats(token: Mapping[str, Any]) -> str:
    """The loss at predicting a token; empty for the first, which nothing predicts."""
    return "" if token["loss"] is None else f"{token['loss']:.2f}"


def plain(token: str) -> str:
    """A token on one line: line ends and tabs as marks."""
    return "".join(pages.mark(c) if c != " " and not c.isprintable() else c for c in token)


def quoted(token: str) -> str:
    """A token by itself, its spaces seen."""
    return f'"{plain(token)}"'


def logits(pairs: Sequence[Sequence[Any]]) -> str:
    """Write tokens with what a feature adds to their logits."""
    return ", ".join(f"{quoted(token)} {value:+.2f}" for token, value in pairs)


def token_rows(tokens: Sequence[JSON], second: str) -> list[tuple[str, ...]]:
    """List tokens downwards, each with its strongest features; `second` is loss, or length in
    medians."""
    return [
        (
            quoted(t["token"]),
            nats(t) if second == "loss" else f"{t['length']:.1f} medians",
            str(t["on"]),
            strongest(t),
        )
        for t in tokens
    ]
