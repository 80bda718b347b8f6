"""A checked claim or probe as HTML: in a notebook, and as a page of a file that it was saved to."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from markupsafe import Markup, escape
from msgspec import structs

from assay.checking import result, saved
from assay.checking.of_table import JudgedTable
from assay.checking.probe_result import NO_TEST, ProbeCheck, below_chance
from assay.checking.result import CONTROL, HEADS, Check
from assay.core import reasons
from assay.core.across import OfAll
from assay.core.expression import parse
from assay.core.figures import Figure
from assay.core.nouns import joined
from assay.core.plain import as_json
from assay.core.results import Judged, Verdict, narrower_level
from assay.core.rows import is_text
from assay.report import export
from assay.report.draw import svg
from assay.report.interval_plot import axis_title, interval_plot
from assay.report.noted import doubts_number
from assay.report.pages import control_table, environment, note, table
from assay.report.statements import with_flags
from assay.report.tables import AGAIN, SIGNS, again, minus, opposite, quantity, row, units

Saved: TypeAlias = Check | ProbeCheck | JudgedTable


def load(path: Path) -> Saved:
    """Read a saved check of any kind, and judge its numbers again. Raises: DataError where they do
    not give the verdict that the file states."""
    content, _ = saved.read(path)
    if saved.TABLE in content:  # which only a command writes
        judged = JudgedTable.load(path)
        return replace(judged, judged=with_flags(judged.judged))
    return (ProbeCheck if saved.PROBE in content else Check).load(path)


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


def shown(value: Saved) -> Any:
    """The verdict, if any, with its condition, the strongest draw of each control and those that
    satisfy the claim; of a probe without the groups' parts, which are no AUROCs."""
    if isinstance(value, JudgedTable):
        of_rows = value.judged
        is_alone = of_rows.arm == "main" and value.rows["arm"].nunique() == 1
        arm = "the table" if is_alone else of_rows.arm
        if not isinstance(parse(value.question.holds).statistic, OfAll):
            return structs.replace(of_rows, arm=arm)
        # what a unit adds to a correlation is no correlation
        bare = {a: structs.replace(v, points=()) for a, v in of_rows.controls.items()}
        return structs.replace(of_rows, arm=arm, points=(), controls=bare)
    if isinstance(value, Check):
        says = value.question.texts(value.rows)

        def named(verdict: Any, **changed: Any) -> Any:
            levels = (f"{x} ({says[str(x)]})" if str(x) in says else x for x in verdict.levels)
            return structs.replace(verdict, levels=tuple(levels), **changed)

        strongest = {v.arm for v in value.controls.values()}
        of = value.judged.controls.items()
        shows = {a: named(v) for a, v in of if a in strongest or v.outcome == "holds"}
        idle = tuple(value.controls[name].arm for name in value.idle)
        arm = value.question.thing or f"the {value.judged.arm}"
        drawn = {"controls": shows, "idle": idle, "arm": arm}
        return named(value.judged, condition=value.question.holds, **drawn)
    below, bare = below_chance(value.arms), dict[str, Verdict]()
    for name, verdict in value.controls.items():
        no_test = {"outcome": "undecided"} if name in below else {}
        shown_name = f"{name} ({NO_TEST})" if no_test else name
        bare[shown_name] = structs.replace(verdict, points=(), **no_test)
    if not (judged := value.judged):
        return None
    return structs.replace(judged, condition=value.question.holds, points=(), controls=bare)


def check(value: Check | ProbeCheck) -> Markup:
    """The outcome of what was checked with its number, its controls, and what is noted."""
    return Markup(environment().get_template("checked.html").render(**_parts(value)))


def page(path: Path, value: Saved) -> str:
    """The page of a saved check, as HTML."""
    numbers = export.table_csv(value.rows)
    stated = None
    if (judged := shown(value)) is not None:
        text = value.question.sentence or judged.text
        also_true = value.also_true if isinstance(value, ProbeCheck) else ""
        caveat = [also_true or value.caveat]
        more = [x for x in value.remarks if AGAIN.fullmatch(x) or doubts_number(x, value.outcome)]
        claimed = structs.replace(judged, text=text, notes=(*filter(None, caveat), *more))
        stated = Markup(as_json(claimed.to_json()).replace("<", "\\u003c"))
    template = environment().get_template("check.html")
    return template.render(file=path.name, numbers=numbers, stated=stated, **_parts(value))


def _parts(value: Saved) -> dict[str, Any]:
    """What a notebook and a page show of it."""
    judged = shown(value)
    doubts = [x for x in value.remarks if doubts_number(x, value.outcome)]
    columns = [*map(str, value.rows)]
    drawn = row(judged) if judged else None
    if drawn and (first := "".join(doubts[:1]) or value.caveat * (drawn.outcome == "holds")):
        drawn = replace(drawn, doubt=first)
    said = f"{drawn.headline}{f' ({value.reason})' * bool(value.reason)}" if drawn else ""
    return {
        "value": value,
        "judged": judged,
        "row": drawn,
        "headline": ", ".join(filter(None, (said, value.caveat))),
        "changes": changes(value),
        "again": again(judged.outcome, value.remarks) if judged else "",
        "claimed": value.question.sentence or value.question.holds,
        "prompt": first_prompt(value),
        "probe": isinstance(value, ProbeCheck),
        "lines": number_lines(value),
        "drawing": interval_plot(judged) if judged else figure(of_check(value), False),
        "scatter": scatter(value) if isinstance(value, JudgedTable) else "",
        "controls": controls(value),
        "draws": draws(value),
        "doubts": [note(minus(words), columns) for words in doubts],
        "notes": noted((x for x in value.remarks if x not in doubts), columns),
    }


def changes(value: Saved) -> str:
    """Say of a check that a number that its condition names by itself is a change; "" where none
    is."""
    names = result.changes(value) if isinstance(value, Check) else []
    are = "are changes" if names[1:] else "is the change"
    return f", where {joined(names)} {are}, after minus before" if names else ""


def scatter(value: JudgedTable) -> Markup:
    """The units of a correlation of two columns, each a point with its name; nothing of any other
    claim."""
    parsed, named = parse(value.question.holds), value.asked["unit"]
    pair, unit = parsed.columns, [named] if isinstance(named, str) else [*named]
    ways = [f"{by}({', '.join(map(str, pair))})" for by in ("corr", "spearman")]
    if parsed.quantity not in ways or len(unit) > 1 or any(c.levels for c in pair):
        return Markup("")
    own = value.rows[value.rows["arm"].astype(str) == value.judged.arm]
    x, y = names = [c.name for c in pair]
    means = own.groupby(unit[0])[names].mean().dropna()
    columns = {name: means[name].tolist() for name in names}
    drawn = svg(Figure(value.question.holds, columns, "points", x, y), titled=False)
    says = iter(means.index.astype(str))
    titled = re.sub(
        r'(<path transform="[^>]*)/>',
        lambda point: f"{point[1]}><title>{escape(next(says, ''))}</title></path>",
        drawn,
    )
    return Markup('<div class="figure">{}</div>').format(Markup(titled))


def first_prompt(value: Saved) -> dict[str, str]:
    """What a check has of its first prompt: its texts, by their columns."""
    if not isinstance(value, Check):
        return {}
    own = value.rows[value.rows["arm"] == value.question.credits]
    return {str(c): str(own[c].iloc[0]) for c in own if c != "arm" and is_text(own[c])}


def number_lines(value: Saved) -> list[str]:
    """The number that was judged, and what to know of it, in lines."""
    lines: list[str] = []
    if isinstance(value, ProbeCheck):
        lines = [minus(x) for x in value.headline().split("\n")]
        lines = [x for x in lines if not (value.outcome and x.startswith(value.outcome))]
    if (j := value.judged) and not any(x.startswith("judged:") for x in lines):
        rates = value.base_rates if isinstance(value, Check) else ""
        what = quantity(structs.replace(j, condition=value.question.holds))
        lines.insert(
            0, minus(f"{what}: {value.own_number}{value.in_unit}, {units(j.n, j.over)}{rates}")
        )
        if isinstance(value, JudgedTable) and (sides := row(j).sides):
            lines[0] += f"; {minus(sides)}"
        lines += [f"{words[0].upper()}{words[1:]}." for words in [opposite(j)] if words]
    return lines


def controls(value: Saved) -> Markup:
    """The controls as a table: of a check and of a judged table each with its number, of a probe
    each with all measures, the probe's own first."""
    if not isinstance(value, Check):
        return table(value.heads, value.cells(), "controls" * (not isinstance(value, ProbeCheck)))
    rows = [value.row(name) for name in value.controls]
    return control_table([(name, *words) for name, _, *words in rows], [row[1] for row in rows])


def draws(value: Saved) -> Markup:
    """The table of every draw of the controls that have several; nothing where none has."""
    if not isinstance(value, Check):
        return Markup("")
    rows = []
    for arm, v in value.judged.controls.items():
        placed = value.question.placed[arm]
        if value.draws(placed.control) > 1:
            level = f" ({narrower})" if (narrower := narrower_level(v)) else ""
            came = reasons.NO_TEST if value.judged.no_test(arm) else CONTROL[v.outcome]
            rows.append((arm, placed.control, value.number(v.estimate, *v.shown) + level, came))
    heads = ("draw", HEADS[0], "estimate [95%]", HEADS[3])
    return table(heads, rows) if rows else Markup("")


def of_check(value: Saved) -> Figure:
    """What was claimed with its controls; of a probe where nothing was the AUROC of each arm."""
    if (judged := shown(value)) or not isinstance(value, ProbeCheck):
        return of_claim(judged)
    arms = value.arms.to_dict("list")
    columns = {name: arms[name] for name in ("arm", "auroc", "auroc_low", "auroc_high")}
    columns["role"] = ["the probe", *["control"] * (len(arms["arm"]) - 1)]
    ends = ("auroc_low", "auroc_high")
    of = Figure("The AUROC of a probe and of its controls", columns, "points", "arm", "auroc")
    of = replace(of, color="role", band=ends, x_title=" ", y_title="AUROC")
    return replace(of, rules=((0.5, "chance"),))


def noted(notes: Iterable[str], names: Iterable[str] = ()) -> Markup:
    """Notes as a list, in which such a name stays as it is; nothing where there are none."""
    macros: Any = environment().get_template("tables.html").module
    return Markup(macros.listed(note(minus(words), names) for words in notes))
