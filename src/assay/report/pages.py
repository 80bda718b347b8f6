"""Pages: one self-contained HTML file for an experiment, and an index over several. No network,
works from file://.

Everything is passed as it is stored (the result, figures, cards), so a page needs neither store
nor model."""

from __future__ import annotations

import base64
import functools
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape

from assay.ask.near import in_words, instead
from assay.core import reasons
from assay.core.compute import cpu_in_words
from assay.core.errors import DataError
from assay.core.figures import Figure
from assay.core.judging import percent
from assay.core.nouns import plural
from assay.core.plain import as_json, plain
from assay.core.results import Judged, Published, ResultData
from assay.core.scopes import scopes_of
from assay.features.card import Example, FeatureCard
from assay.report import draw, export, noted, palette, statements, tables
from assay.report.interval_plot import interval_plot
from assay.verdicts.digits import with_interval
from assay.verdicts.result import Result

if TYPE_CHECKING:
    from assay.ask.shown import Shown

OPEN = 5
"""So many cards and estimates are open; the others fold out."""
UNITED = re.compile(r"(?<=[\d\]]) (?=(%|nats?|logits?|bits?|s|GB)(?![\w/-]))")
"""The space between a number or its interval and a unit, where no line may break."""
CONTROLS = ("control", "draws", "estimate [95%]", "satisfies the claim", "alternative explanation")
"""The columns of a table of controls."""
RIVAL = re.compile(r"a control for another explanation: ([^(;]*[^(; ])")
"""What a note on a control has of its explanation."""
WORDS = {o: o for o in tables.SIGNS} | {"finding": "estimate without a verdict"}
PLURAL = WORDS | {"holds": "hold", "fails": "fail", "finding": "estimates without a verdict"}


@functools.cache
def environment() -> Environment:
    """The templates, with the signs and filters that pages use."""
    env = Environment(
        loader=PackageLoader("assay.report"),
        autoescape=True,
        finalize=_sanitize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals |= {
        "signs": tables.SIGNS,
        "checked": tables.checked,
        "given": reasons.GIVEN,
        "open": OPEN,
        "outcome_words": WORDS,
        "kinds": tables.KINDS,
        "plural_words": PLURAL,
        "interval_plot": interval_plot,
        "control_table": control_table,
        "frozen_lines": statements.frozen_lines,
        "frozen_others": statements.frozen_others,
        "style": Markup(palette.css() + palette.styles("intervals.css", "style.css")),
    }
    env.filters |= {
        "minus": lambda text: UNITED.sub("\N{NO-BREAK SPACE}", tables.minus(str(text))),
        "prose": prose,
        "power": tables.power,
        "explanation": in_words,
        "origin": lambda text: f", {text}" if text == reasons.GIVEN else f" ({text})",
        "tallied": lambda data: tables.tallied(data.verdicts),
        "plural": plural,
        "cpu_in_words": cpu_in_words,
        "sentence": _sentence,
        "note": note,
        "clause": noted.clause,
        "coded": coded,
        "of": lambda text, arm: (
            re.sub(rf"(?<![\w/.-]){re.escape(arm)}/", "", text) if arm else text
        ),
        "words": words,
        "token": token,
        "context": context,
        "histogram": histogram,
        "data_uri": _data_uri,
        "plainly": _plainly,
        "percent": percent,
    }
    return env


def _sanitize(value: Any) -> Any:
    """What a page shows of a value: no text or markup in it turns the direction of writing, or
    cannot be encoded."""
    return type(value)(plain(value)) if isinstance(value, str) else value


def _sentence(text: str) -> str:
    """The text with a capital, unless it begins with γ or with a name, as an arm's."""
    is_name = re.match(r"\S+[/_.]\w", text) is not None
    return text[:1].upper() + text[1:] if text[:1].isascii() and not is_name else text


def coded(text: str) -> Markup:
    """Words in which what is between backticks is code."""
    return Markup(re.sub("`([^`\n]+)`", r"<code>\1</code>", str(escape(text))))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> Markup:
    """Words as an HTML table without empty columns, whose rows are cards on a small screen; nothing
    where there are no rows."""
    macros: Any = environment().get_template("tables.html").module
    columns = [c for c in zip(heads, *rows, strict=True) if any(c[1:])]
    heads, *rows = zip(*columns, strict=True) if columns else [()]
    cells = [tuple(map(tables.minus, row)) for row in rows]
    return Markup(macros.table(heads, cells, kind) if rows else "")


def control_table(rows: Sequence[Sequence[str]], draws: Sequence[str] = ()) -> Markup:
    """Controls with their numbers, whether they satisfy the claim, and what would then explain it;
    with their draws, if some have several."""
    counts = draws if {*draws} - {"1"} else [""] * len(rows)
    listed = [(name, n, *words) for (name, *words), n in zip(rows, counts, strict=True)]
    return table(CONTROLS, listed, "controls")


def note(text: str, names: Iterable[str] = ()) -> Markup:
    """A note as a sentence, without the tables of a study that it gives as an example; the name
    that it begins with, of an arm, of what is learned or one of these, stays as it is spelt."""
    text = text.partition(", such as [[")[0]
    columns = "|".join(re.escape(n) for n in names if n != "a") or "(?!)"  # "a study on …"
    if named := re.match(rf"([\w-]+(?:/[\w./-]+)?)(: | is learned )|({columns})( )", text):
        name, rest = filter(None, named.groups())
        return Markup("<code>{}</code>{}").format(name, rest) + coded(text[named.end() :])
    return coded(_sentence(text))


def _data_uri(content: str, kind: str) -> str:
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(content.encode()).decode()}"


def _plainly(value: Any) -> str:
    """A leaf of the provenance as a reader wants it: numbers short, lists joined."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plainly, value))
    return "none" if value is None or value == "" else str(value)


@functools.cache
def _markdown() -> Any:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image"])


def prose(text: str) -> Markup:
    """Markdown as HTML; HTML inside it is shown, not obeyed, and images are not loaded."""
    return Markup(
        _markdown()
        .render(text)
        .replace("<table>", '<div class="scroll"><table>')
        .replace("</table>", "</table></div>")
    )


def page(
    data: ResultData,
    *,
    figures: Sequence[Figure] = (),
    cards: Sequence[FeatureCard] = (),
    header: Any = None,
    text: str = "",
    notes: Mapping[str, str] | None = None,
    looks: Sequence[Mapping[str, Any]] = (),
    specs: Mapping[str, Sequence[str]] | None = None,
    home: str = "index.html",
    turned: Mapping[str, str] = MappingProxyType({}),
    study: Shown | None = None,
    drawn: Sequence[Judged] = (),
) -> str:
    """The whole page of one experiment's result, as HTML.

    `data` is the result, `header` the experiment's header block, `text` its prose in
    Markdown, `notes` a line on each arm, `looks` the recorded judgings, `specs` each arm's specs as
    JSON, `home` the address of the index, if there is one, `turned` the outcome now of claims that
    contests of the record turned, `study` what a study says of itself, `drawn` the claims with the
    points to draw, if these are others than those that are kept."""
    claims, findings = data.verdicts, data.findings
    doubts, others = noted.parted(data)
    shared, notes_of_arms = _arms(notes or {})
    listed = tables.rows(data, turned)
    estimates = listed[len(data.statements) - len(findings) + bool(lead := _lead(data)) :]
    answers = len(estimates) + len(claims)
    sections: dict[str, Any] = {"intervals": answers, "figures": figures, "notes": others}
    sections |= {"about": text or study, "features": cards}
    template = environment().get_template("page.html")
    return template.render(
        data=data,
        lead=lead,
        estimates=estimates,
        header=header,
        text=text,
        looks=looks,
        home=home,
        specs=_specs(specs or {}),
        notes=notes_of_arms,
        shared=shared,
        scopes=_scopes(data),
        doubts=doubts,
        notes_of_all=others,
        changed=[c for c in data.changed if not c.startswith(statements.OF_OTHERS)],
        also_judged=[c for c in data.changed if c.startswith(statements.OF_OTHERS)],
        tally=tables.tally(listed),
        parts=_contents(data, sections),
        rows=_compared(listed, data, header),
        study=study,
        claims=claims,
        drawn_claims=drawn or claims,
        alike=_alike(claims),
        findings=findings,
        table_csv=export.verdicts_csv(data),
        points_csv=export.points_csv(drawn or claims),
        figures=render_figures(figures, notes_of_arms),
        drawn=[c for c in cards if c.drawn],
        browse=[c for c in cards if not c.drawn],
        whole=as_json(data.to_json(), indent=1, default=str),
    )


def _contents(data: ResultData, sections: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The anchors and titles of the sections that exist."""
    numbers = any(e.curve is None for e in data.findings)
    answers = sections["intervals"]
    titles: dict[str, tuple[str, Any]] = {
        "intervals": ("Answers" if answers > 1 else "Answer", answers),
        "notes": ("Notes", sections["notes"]),
        "figures": ("Figures", sections["figures"]),
        "verdicts": ("Table", True),
        "findings": ("Estimates", numbers),
        "about": ("About", sections["about"]),
        "features": ("Features", sections["features"]),
        "scope": ("Method", True),
    }
    return [(anchor, title) for anchor, (title, present) in titles.items() if present]


def _alike(claims: Sequence[Judged]) -> list[int]:
    """Give the number of the first claim whose picture and controls differ from each claim's own in
    the threshold alone."""
    numbers = []
    for v, r in zip(claims, map(tables.row, claims), strict=True):
        controls = [(c.named, c.estimate, c.interval, c.satisfies) for c in r.checked]
        own = (r.quantity or v.text, r.estimate, r.interval, r.unit)
        numbers.append((v.arm, *own, v.points, controls))
    return [numbers.index(one) + 1 for one in numbers]


def _arms(notes: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """What the notes on all arms have in common, and what is left of each."""
    words = {a: "; ".join(map(in_words, note.split("; "))) for a, note in notes.items() if note}
    shared, left = _shared(words)
    return shared, {arm: _as_its_arm(arm, left) for arm in left}


def _as_its_arm(arm: str, notes: Mapping[str, str]) -> str:
    """The note on an arm; of a control, what it has in place of what its own arm's note says, at
    whichever levels."""
    of = arm.rpartition("/")[0]
    said, given = notes[arm] + "; ", notes.get(of, "") + "; "
    is_same = of in notes and said.startswith(given)
    change, at, _ = given.partition(" at ")
    if at and not is_same and said.startswith(change + at) and RIVAL.search(said):
        said = said.partition("; ")[2]
    left = said.removeprefix(given * is_same).removesuffix("; ")
    words = RIVAL.sub(lambda m: f"a control of {of}: {instead(m[1])}", left)
    return f"as {of}; {left}".removesuffix("; ") if is_same and words == left else words


def _shared(notes: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """What the notes on all arms begin with, up to a comma, and what is left of each."""
    if len(notes) < 2:
        return "", dict(notes)
    parts = [note.split(", ") for note in notes.values()]
    same = 0
    while all(len(p) > same + 1 and p[same] == parts[0][same] for p in parts):
        same += 1
    left = (", ".join(p[same:]) for p in parts)
    return ", ".join(parts[0][:same]), dict(zip(notes, left, strict=True))


def _scopes(data: ResultData) -> list[str]:
    """What claims and estimates are about, what all of them share first."""
    every = scopes_of([v.scope for v in data.verdicts], [e.scope for e in data.findings])
    return [": ".join(filter(None, scope)) for scope in every]


def _lead(data: ResultData) -> str:
    """Say the first number of a result that has no claims; nothing of a curve, which is among the
    answers, and of a result that has claims or no estimate."""
    if data.verdicts or not data.findings or (e := data.findings[0]).curve is not None:
        return ""
    return " ".join(filter(None, (f"{e.text}:", *tables.estimate_of(e), tables.row(e).unit)))


def _compared(rows: Sequence[tables.Row], data: ResultData, header: Any) -> list[tables.Row]:
    """The rows without "new" where neither header nor statements name a paper, so that no paper was
    searched for a number."""
    of_papers = any(isinstance(getattr(s, "published", None), Published) for s in data.statements)
    if getattr(header, "paper", "") or of_papers or any(s.source for s in data.statements):
        return [*rows]
    return [replace(r, published="") for r in rows]


def render_figures(
    figures: Sequence[Figure], notes: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Each figure drawn, with its data as CSV and what the arms in its legend are."""
    rendered = []
    for name, f, lone in zip(export.names(figures), figures, _lone(figures), strict=True):
        names = dict.fromkeys(
            str(v) for column in (f.color, f.facet, f.x) if column for v in f.columns[column]
        )
        words = {word: (notes or {})[word] for word in names if word in (notes or {})}
        rendered.append(
            {
                "figure": f,
                "svg": Markup(draw.svg(f, titled=False)),
                "name": name,
                "csv": export.figure_csv(f),
                "words": words,
                "lone": lone,
            }
        )
    return rendered


def _lone(figures: Sequence[Figure]) -> list[bool]:
    """Which figures have a row of two to themselves: the last before one that fills a row or that
    begins the next, as a heat map does, whose largest cells are the figure after it."""
    lone, left = [False] * len(figures), -1
    for i, f in enumerate(figures):
        if left >= 0 and (f.facet or f.mark == "heatmap"):
            lone[left], left = True, -1
        left = -1 if f.facet or left >= 0 else i
    return [alone or i == left for i, alone in enumerate(lone)]


def _specs(specs: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Each arm's fields as indented JSON: one value where its runs agree, a list of the distinct
    values where they differ."""
    merged: dict[str, str] = {}
    for arm, texts in specs.items():
        runs = [json.loads(t) for t in texts]
        if {r.pop("_", "") for r in runs} == {"AskedSpec"}:  # the study is JSON in a string
            runs = [r | {"asked": json.loads(r["asked"])} for r in runs]
        fields: dict[str, Any] = {"runs": len(runs)}
        for k in runs[0] if runs else {}:
            values = [*{json.dumps(r.get(k)): r.get(k) for r in runs}.values()]
            fields[k] = values if len(values) > 1 else values[0]
        lines = as_json(fields, indent=2, sort_keys=True)
        # seeds and other plain lists in a line each
        merged[arm] = re.sub(r"\[\n[^][{}]*]", lambda x: re.sub(r"\s*\n\s*", " ", x[0]), lines)
    return merged


def index(
    entries: Sequence[Mapping[str, Any]],
    saved: Sequence[Saved] = (),
    elsewhere: Sequence[str] = (),
) -> str:
    """The page over several results, every claim of each; an entry has `data`, `href`, `title` and
    optionally `header` and `turned`, as `page` has it, and `since`, when its page was written.
    `elsewhere` names folders next to its own that have such a page."""
    listed = [{"header": None, **e, **listing(e["data"], e.get("turned", {}))} for e in entries]
    listed = [{**e, "rows": _compared(e["rows"], e["data"], e["header"])} for e in listed]
    verdicts = [v for e in listed for v in e["data"].verdicts]
    template = environment().get_template("index.html")
    return template.render(
        entries=listed,
        saved=saved,
        elsewhere=elsewhere,
        named=[(f"result-{Path(e['href']).stem}", Path(e["href"]).stem) for e in listed],
        tally=tables.tally([r for e in listed for r in e["every"]]),
        rows=[row for e in listed for row in e["rows"]],
        errors=statements.errors(verdicts) if verdicts else "",
    )


RESULT = re.compile(
    '<a download="[^"]*" href="data:application/json;charset=utf-8;base64,([^"]*)">the whole result'
)
"""The link of a page that has its whole result."""


def result_of(page: str) -> ResultData:
    """Read the result that an experiment's page has. Raises: DataError where it has none."""
    try:
        [whole] = RESULT.findall(page)
        return ResultData.from_json(json.loads(base64.b64decode(whole)))
    except ValueError as e:
        raise DataError("it has no result that can be read; write this page again") from e


def title_of(page: str) -> str:
    """Read the title of an experiment's page, which for a study is its question."""
    match = re.search(r"<title>(.*?) · Assay</title>", page)
    return html.unescape(match[1]) if match else ""


class Saved(NamedTuple):
    """A saved result in the index."""

    href: str
    result: Result

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """For each claim its outcome, its condition and its number."""
        judged = ((c, c.verdict) for c in self.result.claims)
        limits = ((c, v.outcome, with_interval(v.estimate, v.low, v.high)) for c, v in judged)
        return [(outcome, c.text, number) for c, outcome, number in limits]


def listing(data: ResultData, turned: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """What a page over several results shows of one: claims and exact statements, how they came
    out, the estimates, and the cost."""
    stated: tuple[tables.Statement, ...] = (*data.verdicts, *data.exact)
    rows = tables.rows(data, turned)
    return {
        "statements": stated,
        "rows": rows[: len(stated)],
        "estimates": rows[len(stated) + bool(_lead(data)) :],
        "every": rows,
        "tally": tables.tally(rows),
        "cost": statements.cost(data),
        "lead": _lead(data),
    }


def write(folder: Path, pages: Mapping[str, str]) -> list[Path]:
    """The paths of the pages written into `folder`, by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pages.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in pages]


# tokens: white space by quiet marks, activation as shading, the firing token outlined

BARS = 24
_MARKS = {"\n": "↵", "\t": "⇥", "\r": "\\r", " ": "·"}
_SPACE = re.compile(r"[\n\t\r]| {2,}|^ +$|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def mark(character: str) -> str:
    """What is shown of a white space, or of a character that cannot be seen: its escape."""
    escaped = character.encode("unicode_escape").decode()
    return _MARKS.get(character, "␣" if character.isspace() else escaped)


def words(text: str) -> Markup:
    """Running text on one line: line ends, tabs, control characters and runs of spaces become
    marks, single spaces stay."""
    marked = _SPACE.sub(lambda m: f'<i class="ws">{"".join(map(mark, m[0]))}</i>', escape(text))
    return Markup(marked)


def token(text: str) -> Markup:
    """A token by itself: every white space and every other character that cannot be seen is marked,
    and nothing breaks the line."""
    hidden = {c: f'<i class="ws">{mark(c)}</i>' for c in text if c == " " or not c.isprintable()}
    marked = "".join(hidden.get(c, c) for c in str(escape(text)))
    return Markup(marked or '<i class="ws">empty</i>')


def context(example: Example, maximum: float) -> Markup:
    """An example's tokens; shading is linear in activation / the feature's maximum, as sae_vis and
    Neuronpedia have it."""
    parts: list[str] = []
    plain = ""
    for i, (text, activation) in enumerate(zip(example.tokens, example.activations, strict=True)):
        if activation <= 0 and i != example.at:
            plain += text
            continue
        share = min(1.0, max(0.0, activation / maximum)) if maximum > 0 else 0.0
        fires = f' class="fires{" long" if len(text) > 20 else ""}"' if i == example.at else ""
        parts.append(
            f'{words(plain)}<b{fires} style="--a:{share:.2f}" '
            f'title="{activation:.3g}">{words(text)}</b>'
        )
        plain = ""
    return Markup("".join([*parts, words(plain)]))


def histogram(card: FeatureCard) -> Markup:
    """The histogram of log activation as a small SVG that fills its column, in at most 24 bars; the
    counts are in its label."""
    step = -(-len(card.counts) // BARS)
    counts = [sum(card.counts[i : i + step]) for i in range(0, len(card.counts), step or 1)]
    highest, width = max(counts, default=1) or 1, 100 * step / max(1, len(card.counts))
    bars = Markup("").join(
        Markup('<rect x="{:.2f}%" width="{:.2f}%" y="{:.1f}" height="{:.1f}"/>').format(
            i * width, 0.9 * width, 60 - h, h
        )
        for i, h in enumerate(60 * c / highest for c in counts)
    )
    label = (
        f"firings by activation from {card.edges[0]:.2g} to {card.edges[-1]:.2g}, logarithmic: "
        f"{', '.join(map(str, counts))}"
    )
    return Markup(
        '<svg class="histogram" width="100%" height="60" role="img" aria-label="{}">{}</svg>'
    ).format(label, bars)
