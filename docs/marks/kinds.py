"""Tables and pictures in README.md and docs/ that are made, not written: from headers, an
experiment's claims, its record, the table of measures.

`<!-- made: verdicts gated-sae -->` and `<!-- end -->` enclose what is made and committed; a test
holds the pages to it. Write it again, after a record or a claim changed, with: python docs/marks
README.md docs/*.md

Where nothing but a word or two is made, both marks stand in one line.

`<!-- site: full gated-sae -->` and `<!-- end -->` enclose a sentence for readers of the files, in
whose place the site has what is too long for them: `make site` makes it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from msgspec import structs

import assay
from assay.core import syntax
from assay.core.claims import Claim, Estimate, Exact
from assay.core.experiment import Experiment
from assay.core.nouns import counted
from assay.core.results import Estimated, Judged, ResultData
from assay.dictionaries.measuring import measures
from assay.features.index.schema import TABLES
from assay.lab import catalogue
from assay.lab.judge import looks
from assay.lab.records import contests, records
from assay.report import statements, tables
from assay.report.bundle import checking
from assay.report.questions import GROUPS, by_group
from assay_catalogue.verbs.challenge_claim import interval
from marks import bar, closed, confirmatory, first, gym, listings, markdown, pictures, sections
from marks import vectors as referee
from marks.sections import SPACE

DOCS = Path(__file__).parents[2] / "catalogue/docs"
"""Where the pages are."""
S = TypeVar("S", Judged, Estimated)
BLOCK = re.compile(
    r"(<!-- (?P<where>made|site): (?P<kind>[a-z]+)(?: (?P<name>[a-z0-9.-]+))? -->\n?)"
    r".*?(<!-- end -->)",
    re.DOTALL,
)


def experiments() -> str:
    """The catalogue in one line an experiment: how its claims came out, whether they were frozen
    first, and the time it takes."""
    rows: list[Sequence[str]] = []
    for group, entries in by_group(catalogue.entries()).items():
        rows.append((f"**{markdown.cell(GROUPS.get(group, group))}**", "", "", ""))
        rows += [(_linked(e.name), *_came_out(e)) for e in entries]
    return markdown.table(("experiment", "claims", "frozen first?", "time"), rows)


def index() -> str:
    """Links to the page of each experiment, by what its group asks."""
    return (
        "\n\n".join(
            f"**{GROUPS.get(group, group)}**\n"
            + " ·\n".join(_linked(e.name) for e in entries)
            + "."
            for group, entries in by_group(catalogue.entries()).items()
        )
        + "\n"
    )


def files() -> dict[str, str]:
    """Read the first sentence of each file of the package, by its path."""
    package, found = Path(assay.__file__).parent, {}
    for path in sorted(package.rglob("*.py")):
        text = syntax.docstring(path.read_text("utf-8"), path.name) or ""
        sentence = re.split(r"\n\n|(?<=\.)\s", text)[0].replace("\n", " ")
        found[path.relative_to(package).as_posix()] = sentence
    return found


def tree() -> str:
    """List each file of the package with its first sentence, folded away by package."""
    rows: dict[str, list[tuple[str, str]]] = {}
    for path, sentence in files().items():
        folder, _, name = path.rpartition("/")
        rows.setdefault(folder or "assay", []).append((f"`{name}`", markdown.cell(sentence)))
    return "\n".join(
        markdown.folded(f"<code>{folder}</code>", markdown.table(("file", "what it holds"), each))
        for folder, each in rows.items()
    )


def columns() -> str:
    """Every column of the tables of an index: its type, unit and meaning, folded away by table."""
    parts = []
    for name, listed in TABLES.items():
        rows = [(f"`{c.name}`", c.type, c.unit, markdown.cell(c.words)) for c in listed]
        table = markdown.table(("column", "type", "unit", "what it says"), rows)
        parts.append(markdown.folded(f"Table <code>{name}</code>", table))
    return "\n".join(parts)


def arms(name: str) -> str:
    """Each arm of an experiment: what it is, and how many runs it has in the default preset."""
    experiment = catalogue.find(name)
    rows = []
    for arm, a in experiment.arms.items():
        runs = (
            "derived" if a.train is None else str(len(experiment.specs_of(arm, experiment.default)))
        )
        after = f", built on `{a.after}`" if a.after else ""
        rows.append((f"`{arm}`", f"{markdown.cell(a.note)}{after}", runs))
    return markdown.table(("arm", "what it is", "runs"), rows)


def claims(name: str) -> str:
    """Each claim of an experiment: the arm it is about, its threshold and where that comes from,
    units, and controls.

    Of an experiment that makes none: its exact statements, what each number has to be, and why.
    """
    experiment = looks.marked(catalogue.find(name))
    if not _select_statements(experiment, Claim):
        return exact_statements(name)
    return markdown.folded(
        "Threshold, where it comes from, units and controls of each claim",
        sections.before(_select_statements(experiment, Claim)),
    )


def exact_statements(name: str) -> str:
    """Each exact statement of an experiment: what its numbers have to be, and what they follow
    from."""
    rows = []
    for i, e in enumerate(_select_statements(catalogue.find(name), Exact), 1):
        expected = ", ".join(f"{x:.6g}" for x in np.ravel(e.expected))
        due = f"{expected} ± {e.tolerance:.2g} {e.unit if e.unit != '1' else ''}".rstrip()
        rows.append([tables.minus(markdown.cell(x)) for x in (str(i), e.text, due, e.source)])
    heads = ("", "exact statement", "has to be", "follows from")
    return f"{tables.ONLY_EXACT}\n\n{markdown.table(heads, rows)}"


def verdicts(name: str) -> str:
    """Whether an experiment's record is confirmatory, and its statements in a short table; or that
    there is no record yet."""
    if (record := _record(name)) is None:
        return _absent(name)
    data = _data(name, record)
    inference, why = _standing(name, record)
    head = f"*{inference.capitalize()}*: {why}.\n\n" if data.verdicts else ""
    return head + "\n".join((sections.brief(data, _turned(name)), *_contests(name)))


def claim(name: str) -> str:
    """How one claim came out, for the middle of a sentence: sign, estimate and interval.

    Args:
        name: of the record, then the claim's number and the outcome of which the sentence speaks:
            `gated-sae.gemma.5.fails`.
    Raises: ValueError where the record says otherwise, so that the sentence has to be written anew.
    """
    recorded, number, outcome = name.rsplit(".", 2)
    if (record := _record(recorded)) is None:
        raise ValueError(f"{name}: {recorded} has no record")
    verdict = _data(recorded, record).verdicts[int(number) - 1]
    if verdict.outcome != outcome:
        raise ValueError(f"{name}: the record says {verdict.outcome}; write the sentence anew")
    row = tables.row(verdict)
    return tables.minus(f"{row.sign} {row.estimate} {row.interval}").replace(" ", SPACE)


def estimate(name: str) -> str:
    """An estimate of a record with its interval, for the middle of a sentence.

    Args:
        name: of the record, then the first words of the estimate that name it alone, joined by
            dashes: `path-split.direct-share-of-the-direct-half`.
    Raises: ValueError where no estimate begins so, or several do.
    """
    recorded, _, words = name.rpartition(".")
    if (record := _record(recorded)) is None:
        raise ValueError(f"{name}: {recorded} has no record")
    slugs = {re.sub(r"\W+", "-", f.text.lower()): f for f in _data(recorded, record).findings}
    found = [f for slug, f in slugs.items() if slug.startswith(words)]
    if len(found) != 1:
        raise ValueError(f"{name}: {len(found)} estimates of {recorded} begin so")
    row = tables.row(found[0])
    return tables.minus(f"{row.estimate} {row.interval}").replace(" ", SPACE)


def unmet() -> str:
    """The entries that do not meet the catalogue's bar, and why."""
    return bar.unmet(_linked)


def next_look() -> str:
    """The claims that say little, and what becomes of them at their next look."""
    return bar.next_look(_linked)


def standing() -> str:
    """How many of all recorded verdicts are confirmatory, presets elsewhere counted too."""
    counts: Counter[str] = Counter()
    for e in catalogue.entries():
        for name in (e.name, *(f"{e.name}.{p}" for p in records.elsewhere(e.name, e.origin))):
            if (record := _record(name)) is not None:
                counts[_standing(name, record).inference] += len(record["verdicts"])
    page = "docs/preregister.md#confirmatory-or-exploratory"
    frozen = counts["confirmatory"] + counts["frozen without inputs"]
    return (
        f"Of {counts.total()} recorded verdicts, {counts['confirmatory']} are "
        f"[confirmatory]({page}): the claim and all of its inputs were frozen before anyone saw a "
        f"result. Another {counts['frozen without inputs']} were also frozen in advance, but "
        "without hashes of the models or texts that were used. The other "
        f"{counts.total() - frozen} are exploratory.\n"
    )


def full(name: str) -> str:
    """All that the record of an experiment, or of its preset, has: claims, exact statements and
    estimates in full, then what was fixed before the run, arms and cost; or that there is none."""
    record = _record(name)
    if record is None:
        return _absent(name)
    experiment = name.partition(".")[0]
    parts = [sections.full(_data(name, record), _turned(name)), budget(name)]
    if name == experiment:
        parts[1:1] = [claims(name), markdown.folded("The arms", arms(name))]
    return "\n".join(parts)


def contests_table() -> str:
    """Every committed contest: the claim, the arm and its number, and what came of it."""
    rows: list[Sequence[str]] = []
    for entry in catalogue.entries():
        for name in (entry.name, *(f"{entry.name}.{p}" for p in records.elsewhere(entry.name))):
            for c in contests.of_record(name, entry.origin):
                page = _linked(entry.name, "../catalogue/docs/")
                rows.append(
                    (
                        tables.SIGNS[c.after],
                        f"{page} {c.number}: {markdown.cell(c.text)}",
                        f"`{c.arm}`: {markdown.cell(c.note)}",
                        tables.minus(interval(c)),
                        contests.WORDS[c.effect],
                    )
                )
    return markdown.table(("", "claim", "arm", "its number", "what came of it"), rows)


def _contests(name: str) -> list[str]:
    """Say of each contested claim of a record what came of its contests."""
    return [f"{line[0].upper()}{line[1:]}.\n" for line in contests.lines(_past(name))]


def _past(name: str) -> tuple[contests.Contest, ...]:
    """The contests of a record."""
    return contests.of_record(name, catalogue.entry(name.partition(".")[0]).origin)


def _turned(name: str) -> Mapping[str, str]:
    """The outcome now of each claim of a record that a contest turned, by its text."""
    return contests.turned(_past(name))


def compare_presets(name: str) -> str:
    """Each claim of an experiment as its default preset and those that lie elsewhere came out, side
    by side, estimates folded away; of `NAME.PRESET` the claims of these two alone, in short."""
    name, _, only = name.partition(".")
    names = {
        p: name if p == "default" else f"{name}.{p}"
        for p in ("default", *([only] if only else catalogue.find(name).elsewhere))
    }
    records_by_preset = {p: record for p, n in names.items() if (record := _record(n)) is not None}
    if missing := [n for p, n in names.items() if p not in records_by_preset]:
        return "".join(map(_absent, missing))
    results = {p: _data(names[p], record) for p, record in records_by_preset.items()}

    def table(kind: str) -> str:
        rows = {
            p: {
                r.text: r
                for r in tables.rows(data, _turned(names[p]))
                if (r.outcome == "finding") == (kind == "findings") and r.kind != "exact"
            }
            for p, data in results.items()
        }
        lines = []
        heads = sections.heads(list(rows["default"])) if only else list(rows["default"])
        for text, head in zip(rows["default"], heads, strict=True):
            cells = [
                f"{r.came_out.replace(' ', SPACE)}<br>" * (kind == "verdicts")
                + f"{r.estimate} {r.interval.replace(' ', SPACE)}"
                for r in (preset_rows[text] for preset_rows in rows.values())
            ]
            lines.append(list(map(tables.minus, (markdown.cell(head), *cells))))
        return markdown.table(("", *(f"`{p}`" for p in rows)), lines)

    if only:
        return table("verdicts")
    estimates = markdown.folded(f"Estimates: {len(results['default'].findings)}", table("findings"))
    return f"{table('verdicts')}\n{estimates}"


def budget(name: str) -> str:
    """Runs × CPU-seconds of each arm, and units of each claim and control, as recorded; or that
    there is no record yet."""
    record = _record(name)
    if record is None:
        return _absent(name)
    runs = {arm: len(a["specs"]) for arm, a in record["arms"].items()}
    rows = [
        (f"`{arm}`", str(runs[arm]), f"{seconds:.2f}", f"{seconds * runs[arm]:.0f}")
        for arm, seconds in record["cost"].items()
    ]
    total = sum(runs.values())
    rows.append(("**all**", str(total), "", f"**{record['cpu_seconds']:.0f}**"))
    about = record["provenance"].get("machine", {})
    where = f" on {about['cores']} cores" if isinstance(about, Mapping) and "cores" in about else ""
    units = [
        (
            markdown.cell(v.text),
            tables.units(v.n),
            "; ".join(f"`{arm}` {tables.units(c.n)}" for arm, c in v.controls.items()),
        )
        for v in _data(name, record).verdicts
    ]
    parts = [
        markdown.table(("arm", "runs", "CPU-s a run", "CPU-s"), rows),
        f"Wall time {record['seconds']:.0f} s{where}.\n",
        markdown.table(("claim", "its units", "units of its controls"), units) if units else "",
    ]
    return markdown.folded(f"{total} runs by arm, and the units of each claim", "\n".join(parts))


def picture(name: str) -> str:
    """The line that shows an experiment's first figure, drawn from its record, and the figure's
    note; the file is `main`'s to write."""
    figure = pictures.figure(name)
    if figure is None:
        return _absent(name)
    note = f"\n{figure.note}\n" if figure.note else ""
    return f"![{figure.title}](pictures/{pictures.path(name).name})\n{note}"


def judge() -> str:
    """The SHA-256 of judge.py as this version writes it into bundles."""
    return f"`{checking.released()}`\n"


def overview() -> str:
    """One line per recorded experiment, and how many false verdicts to expect among all their
    claims; outcomes are those after contests."""
    results = {
        name: structs.replace(data, verdicts=tuple(contests.after(data.verdicts, _past(name))))
        for name, data in _records().items()
    }
    turned = sum(len(_turned(name)) for name in results)
    pages = {name: catalogue.documented(DOCS, name) for name in results}
    links = {name: page.link for name, page in pages.items() if page is not None}
    by_kind = markdown.folded(
        "Statements by kind and outcome, and cost as measured", listings.counts(results, links)
    )
    violated = {name: confirmatory.violated(catalogue.find(name)) for name in results}
    return (
        f"{by_kind}\n"
        f"Outcomes are those after challenges, which turned {turned} of these verdicts.\n\n"
        f"{statements.errors([v for data in results.values() for v in data.verdicts])}\n\n"
        f"{sections.violations(results, violated)}\n"
    )


def everything() -> str:
    """Every claim of every recorded experiment, folded away under a heading for each: for a page
    beside docs/."""
    parts = []
    for name, data in _records().items():
        header = catalogue.entry(name).header()
        claimed = f"Claim: {header.claim.rstrip('.')}."
        about = f"{listings.about(data, header.title)}\n\n{claimed}"
        listing = listings.listed(data, _turned(name))
        claims = (
            listing if tables.only_exact(data) else markdown.folded(_tallied(name, data), listing)
        )
        parts.append(f"## {_linked(name, '../catalogue/docs/')}\n\n{about}\n\n{claims}")
    return "\n".join(parts)


def measured() -> str:
    """Every measure as a table in Markdown: what it is called in JSON and in print, its formula and
    range, and which way is better."""
    rows = []
    for m in measures.TABLE:
        printed = m.label if m.unit == "1" else f"{m.label}, {m.unit}"
        rows.append((f"`{m.name}`", *map(markdown.cell, (printed, m.formula, m.range, m.better))))
    return markdown.table(("in `--json`", "printed", "definition", "range", "better"), rows)


KINDS: Mapping[str, Callable[..., str]] = {
    **closed.KINDS,
    "beside": compare_presets,
    "claim": claim,
    "columns": columns,
    "differences": referee.differences,
    "estimate": estimate,
    "everything": everything,
    "experiments": experiments,
    "first": first.markup,
    "full": full,
    "gym": gym.table,
    "index": index,
    "judge": judge,
    "measures": measured,
    "undone": next_look,
    "operations": referee.operations,
    "outcomes": referee.outcomes,
    "overview": overview,
    "picture": picture,
    "standing": standing,
    "tree": tree,
    "unmet": unmet,
    "contests": contests_table,
    "vectors": referee.vectors,
    "verdicts": verdicts,
}


def filled(page: str, where: str = "made", kinds: Mapping[str, Callable[..., str]] = KINDS) -> str:
    """The page with every table that stands in the files made anew, or with those of the site."""

    def one(mark: re.Match[str]) -> str:
        if mark["where"] != where:
            return mark[0]
        return mark[1] + kinds[mark["kind"]](*filter(None, [mark["name"]])) + mark[5]

    return BLOCK.sub(one, page)


def _linked(name: str, folder: str = "") -> str:
    """A link to the page of an experiment, or to its section of one; by convention its own page
    where there is none yet. `folder` is where the pages are, as seen from the one that links."""
    found = catalogue.documented(DOCS, name)
    return f"[{name}]({folder}{found.link if found else f'{name}.md'})"


def _standing(name: str, record: Mapping[str, Any]) -> confirmatory.Standing:
    """Whether a record is confirmatory, and why."""
    return confirmatory.standing(name, record, catalogue.entry(name.partition(".")[0]).origin)


def _came_out(entry: catalogue.Entry) -> tuple[str, str, str]:
    """How an experiment's claims came out, whether they were frozen first, and the time it
    takes."""
    record = _record(entry.name)
    data = ResultData.from_json(record or {})
    first = _standing(entry.name, record).inference if record and data.verdicts else ""
    signs = _signs(entry.name, data) or "not recorded"
    time = f"{data.seconds:,.0f}{SPACE}s" if record else ""
    return signs.replace(" ", SPACE), first, time


def _signs(name: str, data: ResultData) -> str:
    """How the claims of a record stand after contests, and how many of them a contest turned; of a
    record without claims its exact statements."""
    verdicts = contests.after(data.verdicts, _past(name))
    signs = tables.signs(tables.outcomes(verdicts or data.exact))
    turned = len(_turned(name))
    return signs + (f" ({turned} by challenge)" if turned else "")


def _tallied(name: str, data: ResultData) -> str:
    """Count the outcomes of a record's claims in words: "3 claims: 2 hold, 1 unspecific"."""
    turned = len(_turned(name))
    later = f"; later challenges turned {turned} of them" if turned else ""
    count = counted(len(data.verdicts), "claim")
    return f"{count}: {tables.tallied(contests.after(data.verdicts, _past(name)))}{later}"


def _select_statements(
    experiment: Experiment, kind: type[Claim] | type[Exact] | type[Estimate]
) -> list[Any]:
    return [s for s in experiment.claims if isinstance(s, kind)]


def _record(name: str) -> Mapping[str, Any] | None:
    """The record of an experiment, `NAME.PRESET` for a preset elsewhere."""
    return records.read(name, catalogue.entry(name.partition(".")[0]).origin)


def _data(name: str, record: Mapping[str, Any]) -> ResultData:
    """The statements of a record, with what their authors say today of papers and of the least and
    the greatest number that there can be: what is found later needs no runs."""
    of, _, preset = name.partition(".")
    experiment = catalogue.find(of)
    experiment = experiment.designed(experiment.preset(preset or "default")[:1])
    today = {s.text: s for s in experiment.claims if isinstance(s, Claim | Estimate)}
    data = ResultData.from_json(record)

    def current(s: S) -> S:
        if (now := today.get(s.text)) is None:
            return s
        return structs.replace(s, published=now.published, natural=ends(now))

    def ends(now: Claim | Estimate | None) -> tuple[float, float] | None:
        if isinstance(now, Claim):
            return now.facts["natural"]  # a distance ends at 0 by itself
        return now.natural if now else None

    def judged(v: Judged) -> Judged:
        natural = ends(today.get(v.text))
        arms = {
            role: {arm: structs.replace(x, natural=natural) for arm, x in getattr(v, role).items()}
            for role in ("controls", "planted", "violations")
        }
        return structs.replace(current(v), **arms)

    return structs.replace(
        data,
        verdicts=tuple(map(judged, data.verdicts)),
        findings=tuple(map(current, data.findings)),
    )


def _records() -> dict[str, ResultData]:
    """What the record of every experiment that has one says, by name."""
    pairs = ((entry.name, _record(entry.name)) for entry in catalogue.entries())
    return {name: _data(name, record) for name, record in pairs if record is not None}


def _absent(name: str) -> str:
    experiment, _, preset = name.partition(".")
    typed = f"{experiment} --preset {preset}" if preset else experiment
    return f"*Not recorded yet: `assay run {typed}`, then `assay verify {typed} --record`.*\n"


def main(paths: Sequence[str]) -> None:
    """Make the marked tables and pictures in these pages anew."""
    for path in map(Path, paths):
        page = path.read_text(encoding="utf-8")
        for mark in BLOCK.finditer(page):
            if mark["kind"] == "picture" and (figure := pictures.figure(mark["name"])) is not None:
                pictures.write(mark["name"], figure)
            if mark["kind"] == "first":
                for file, svg in first.files().items():
                    file.write_text(svg, encoding="utf-8")
        if (new := filled(page)) != page:
            path.write_text(new, encoding="utf-8")
            print(path)
