"""How results look in a notebook: figures as pictures, results, verdicts and dictionaries as
tables, long work as a bar.

Everything sets its own text colour, light or dark as the notebook is, and its background unless the
page says which it is, so that it can be read on any page."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from assay.core.errors import AssayError
from assay.core.figures import Figure, figures_of
from assay.core.plain import plain_all
from assay.core.results import Estimated, Judged, ResultData
from assay.lab.work import events
from assay.report import palette, statements, tables
from assay.report.draw import svg
from assay.report.evaluations import (
    baseline_heads,
    baseline_rows,
    baselines,
    setting,
    shortened,
    shown_figures,
    side_by_side,
    without_interval,
    write,  # noqa: F401  # what `display` asks for
)
from assay.report.interval_plot import axis_title, interval_plot
from assay.report.pages import environment, table
from assay.report.tables import SIGNS, minus, rows
from assay.report.vega import vega

NIGHT = (
    '[data-jp-theme-light="false"]',
    ".vscode-dark",
    ".vscode-high-contrast",
    '[theme="dark"]',
    '[data-theme="dark"]',
    ".dark",
)
"""What a notebook's page says when it is dark: JupyterLab, VS Code twice, Colab, others."""
DAY = ('[data-jp-theme-light="true"]', ".vscode-light", '[theme="light"]', '[data-theme="light"]')
"""What it says when it is light, whatever the reader's system prefers."""
EVERY = 0.25
"""Seconds between two drawings of a bar."""


def html(value: Any) -> Markup:
    """Draw a value of Assay's, or of a class made from one, with the style it needs."""
    draw = next(DRAWN[kind.__name__] for kind in type(value).__mro__ if kind.__name__ in DRAWN)
    return Markup('<div class="assay" style="overflow-x:auto"><style>{}</style>{}</div>').format(
        Markup(_style()), draw(value)
    )


def text(value: Any) -> str:
    """What a terminal prints of a result, a claim or an estimate."""
    claims = (value,) if isinstance(value, Judged) else ()
    numbers = (value,) if isinstance(value, Estimated) else ()
    data = ResultData(verdicts=claims, findings=numbers) if claims or numbers else value.data
    return "\n".join([tables.text(data).rstrip("\n"), *map(tables.filled, _after(value))])


def _after(value: Any, *, all_of_it: bool = False) -> tuple[str, ...]:
    """Say what there is to know of a result, a claim or an estimate: its scope, notes, and whether
    it was frozen."""
    if isinstance(value, Judged | Estimated):
        return tuple(statements.known(value, all_of_it=all_of_it))
    data = value.data
    notes = (*value.speaks, *statements.below(data), *statements.frozen_lines(data))
    return (*statements.doubted(data), *notes)


def _remarks(value: Any, meanings: Iterable[str] = ()) -> Markup:
    """The notes on a result, a claim or an estimate as a list, and in smaller letters below them
    what its numbers are about and how they were made."""
    is_one = isinstance(value, Judged | Estimated)
    of_result = () if is_one else (*statements.doubted(value.data), *statements.below(value.data))
    notes: Iterable[str] = statements.noted(value) if is_one else of_result
    about = [line for line in _after(value, all_of_it=True) if line not in (*notes,)]
    note = environment().filters["note"]
    macros: Any = environment().get_template("tables.html").module
    listed = macros.listed([note(minus(x.removeprefix("note: "))) for x in notes])
    lines = Markup("<br>").join(map(minus, (*about, *meanings)))
    return Markup(listed) + Markup('<p class="quiet">{}</p>').format(lines)


def chart(value: Any, number: int) -> Any:
    """Draw a figure of a value as an Altair chart. Raises: AssayError without altair, and for what
    has no such figure."""
    kinds = [kind.__name__ for kind in type(value).__mro__ if kind.__name__ in FIGURES]
    drawn = list(FIGURES[kinds[0]](value)) if kinds else []
    if not 0 <= number < len(drawn):
        listed = f"it has {len(drawn)}, from 0" if drawn else "it has none"
        raise AssayError(f"{type(value).__name__} has no figure {number}; {listed}")
    try:
        import altair
    except ImportError as error:
        raise AssayError("charts need altair: pip install altair") from error
    spec = plain_all(vega(drawn[number]))
    spec["config"].pop("background")  # none, which Altair does not take
    return altair.Chart.from_dict(spec)


def result(value: Any) -> Markup:
    """The tally and the verdict table, the findings folded, the picture of a single claim, the
    other figures, and what there is to know."""
    judged = value.data.verdicts
    first = interval_plot(judged[0]) if len(judged) == 1 else Markup("")
    figures = first + Markup("").join(map(figure, value.figures))
    present = {row.kind for row in rows(value.data)}
    kinds = (f"{m} {k}: {words}" for k, (m, words) in tables.KINDS.items() if k in present)
    return _statements(value.data) + figures + _remarks(value, kinds)


def judged(value: Any) -> Markup:
    """The verdict table of one claim, its picture, and what there is to know."""
    table = _statements(ResultData(verdicts=(value,)))
    return table + interval_plot(value) + _remarks(value)


def of_estimate(value: Any) -> tuple[Figure, ...]:
    """The curve of an estimate with its band, or its number with its interval."""
    if value.curve is not None:
        return figures_of((value,))
    columns = {"of": [value.text], **{k: [getattr(value, k)] for k in ("estimate", "low", "high")}}
    of = Figure(value.text, columns, "points", x="of", y="estimate", band=("low", "high"))
    return (replace(of, x_title=" ", y_title=axis_title(value) or "estimate"),)


def estimated(value: Any) -> Markup:
    """The row of an estimate, its figures, and what there is to know."""
    figures = Markup("").join(figure(f, titled=False) for f in of_estimate(value))
    return _statements(ResultData(findings=(value,))) + figures + _remarks(value)


def verdict(value: Any) -> Markup:
    """The table of a verdict by itself, which has no controls."""
    fields = {name: getattr(value, name) for name in value.__struct_fields__}
    return _statements(ResultData(verdicts=(Judged(**fields),)))


def evaluation(value: Any) -> Markup:
    """How each dictionary compares with its baselines, the main measures of all side by side, what
    they were measured on, with notes, and the figures."""
    entries, parts = value.dictionaries, []
    compared = [e for e in entries if e.get("compared")]
    for e in compared:
        parts += [Markup("<p>{}</p>").format(baselines(e["compared"], e["name"]))]
        head, *heads = baseline_heads(e["compared"])
        first, *others = ([*map(minus, cells)] for cells in baseline_rows(e["compared"]))
        parts += [table((head, *heads), [[e["name"], *first[1:]], *others])]
    shown = shortened(entries)
    lines = ((name, *map(minus, numbers)) for name, *numbers in side_by_side(shown))
    parts += [table(("measure", *(e["name"] for e in entries)), lines)]
    notes = dict.fromkeys((*without_interval(shown).values(), *value.notes, *setting(value.data)))
    figures = map(figure, shown_figures(value.figures, len(entries)))
    return Markup("").join([*parts, noted(notes), *figures])


def figure(value: Any, titled: bool = True) -> Markup:
    """The figure as inline SVG, with its note."""
    note = Markup('<p class="quiet">{}</p>').format(minus(value.note)) if value.note else ""
    drawn = Markup(svg(value, titled=titled))
    return Markup('<div class="figure">{}{}</div>').format(drawn, note)


def of_claim(judged: Judged) -> Figure:
    """The number of a claim and those of its controls, each with its interval, and the
    thresholds."""
    arms = {judged.arm: judged, **judged.controls}
    columns: dict[str, list[Any]] = {"arm": list(arms)}
    columns["role"] = ["the claim", *["control"] * len(judged.controls)]
    columns["estimate"] = [v.estimate for v in arms.values()]
    columns["low"], columns["high"] = map(list, zip(*(v.shown for v in arms.values()), strict=True))
    rules = [(edge, "threshold") for edge in judged.range if math.isfinite(edge)]
    return Figure(
        f"{SIGNS[judged.outcome]} {judged.outcome}: {judged.text}",
        columns,
        "points",
        x="arm",
        y="estimate",
        color="role",
        band=("low", "high"),
        x_title=" ",
        y_title=axis_title(judged) or "estimate",
        rules=tuple(rules),
    )


def noted(notes: Iterable[str], names: Iterable[str] = ()) -> Markup:
    """Notes as a list, in which such a name stays as it is; nothing where there are none."""
    macros: Any = environment().get_template("tables.html").module
    note = environment().filters["note"]
    return Markup(macros.listed(note(minus(words), names) for words in notes))


def dictionary(value: Any) -> Markup:
    """What a dictionary is: its shape, its kind, its place, where it comes from."""
    d_in, d_out = value.W_enc.shape[1], value.W_dec.shape[-1]
    facts = [
        (
            "features",
            f"{value.width:,} of {d_in:,} dimensions"
            + (f", to {d_out:,}" if d_out != d_in else ""),
        ),
        ("nonlinearity", type(value.nonlinearity).__name__),
        ("runs", str(len(value)) if len(value) > 1 else ""),
        ("reads at", ", ".join(value.sites)),
        ("writes at", ", ".join(value.sites_out)),
        ("format", str(value.origin.get("format", ""))),
        ("weights", f"{value.W_dec.dtype} on {value.W_dec.device}".removeprefix("torch.")),
    ]
    return table(("Dictionary", ""), [fact for fact in facts if fact[1]])


DRAWN: dict[str, Callable[[Any], Markup]] = {
    "Figure": figure,
    "Result": result,
    "Judged": judged,
    "Estimated": estimated,
    "Verdict": verdict,
    "Evaluation": evaluation,
    "Dictionary": dictionary,
}


FIGURES: dict[str, Callable[[Any], Iterable[Figure]]] = {
    "Figure": lambda value: (value,),
    "Result": lambda value: (*map(of_claim, value.judged), *value.figures),
    "Judged": lambda value: (of_claim(value),),
    "Estimated": of_estimate,
    "Evaluation": lambda value: value.figures,
}


def lines(name: str) -> Callable[..., None]:
    """Give what prints the progress of a run as `assay run` does."""
    from assay.cli.progress import Display

    return Display(name)


class Progress:
    """A bar under the cell: takes `progress(done, total)` of an evaluation, and the events of a
    lab's run."""

    def __init__(self) -> None:
        self.began, self.drawn = time.monotonic(), 0.0
        self.done, self.total, self.words = 0, 0, ""
        self.handle: Any = None

    def __call__(self, *arguments: Any) -> None:
        """Take what happened, and draw it unless that was done just now: how much is done of how
        much, with what is counted (tokens, where nothing is said), or an event of a lab."""
        if len(arguments) > 1:
            self.done, self.total, self.words = (*arguments, "tokens")[:3]
        elif not self._take(arguments[0]):
            return
        clock = time.monotonic()
        if self.handle is None or clock - self.drawn >= EVERY or self.done >= self.total:
            self.drawn = clock
            self._draw()

    def __repr__(self) -> str:
        return (
            f"{self.done:,} of {self.total:,} {self.words}, {time.monotonic() - self.began:.0f} s"
        )

    def _repr_html_(self) -> str:
        bar = Markup('<progress value="{}" max="{}"></progress> {}').format(
            self.done, max(1, self.total), repr(self)
        )
        return str(Markup('<div style="font-variant-numeric:tabular-nums">{}</div>').format(bar))

    def _take(self, event: Any) -> bool:
        """Note an event of the lab, and say whether there is something to draw."""
        match event:
            case events.Planned() if event.plan.missing:
                self.total = len(event.plan.rows)
                self.done, self.words = self.total - len(event.plan.missing), "runs stored"
            case events.Saved():
                self.done, self.total, self.words = event.done, event.total, "runs stored"
            case events.Progress():
                self.words = (
                    f"runs stored; {', '.join(event.arms)}: {event.done:,} of {event.total:,}"
                )
            case events.Failed():
                self.words = f"runs stored; {', '.join(event.arms)} failed"
            case _:
                return False
        return True

    def _draw(self) -> None:
        if self.handle is None:
            from IPython.display import display

            self.handle = display(self, display_id=True)
        else:
            self.handle.update(self)


def _statements(data: ResultData) -> Markup:
    """The verdict table of a result, as its page has it, without links."""
    listed = rows(data)
    return Markup(
        environment()
        .get_template("notebook.html")
        .render(
            data=data,
            rows=listed,
            stated=(*data.verdicts, *data.exact),
            findings=data.findings,
            tally=tables.tally(listed),
        )
    )


def _style() -> str:
    """The style of what is shown. On a page that says whether it is dark, it has that page's
    background; on any other it has the colour scheme that the page declares, which is light where
    there is none, whatever the reader's system prefers."""
    day, night = (f"{{{palette.variables(dark=dark)}}}" for dark in (False, True))
    declared = f":root:not({(marks := ','.join((*NIGHT, *DAY)))}):not(:has({marks})) .assay"
    marked = ",".join(f"{mark} .assay" for mark in (*NIGHT, *DAY))
    intervals = palette.styles("intervals.css").replace(".intervals", ".assay .intervals")
    return (
        f".assay{day}"
        "@supports (color:light-dark(#fff,#000))"
        f"{{{declared}{{{palette.variables_by_scheme()}}}}}"
        f"{','.join(f'{mark} .assay' for mark in NIGHT)}{night}"
        f"{palette.repaint('.assay svg')}{intervals}{palette.styles('notebook.css')}"
        f"{','.join(f'{mark} .assay' for mark in NIGHT)}{{color-scheme:dark}}"
        f"{','.join(f'{mark} .assay' for mark in DAY)}{{color-scheme:light}}"
        f"{marked}{{background:none}}"
    )
