"""What `assay show NAME 1` prints: one claim in full, with its threshold, units, controls,
published value, and where its figure is."""

from __future__ import annotations

from assay.cli.printing import draw, grid
from assay.core.results import Judged
from assay.report import tables

MUST = {
    "near": "near control, must fail",
    "control": "must fail",
    "planted": "must hold",
    "violation": "planted violation, must fail",
    "also": "may hold too",
    "true": "also true of it",
    "unnamed": "holds too",
}


def show(judged_claim: Judged, number: int, page: str) -> None:
    """Print all that is known of one claim, a line for each thing; `page` says where its figure
    is."""
    claim, row = judged_claim.claim, tables.row(judged_claim)
    why = row.why.removeprefix(f"{row.outcome}: ")
    table = grid("", "")
    table.show_header, table.columns[1].ratio = False, 1
    lines = [
        (f"claim {number}", claim.text),
        ("verdict", f"{row.sign} {row.outcome}, {claim.kind}" + (f"; {why}" if why else "")),
        ("estimate", " ".join(filter(None, (row.estimate, row.interval, row.unit)))),
        ("interval", "; ".join(filter(None, (judged_claim.method, row.agreed)))),
        ("threshold", f"{claim.threshold}, from {claim.threshold_from}"),
        (
            "units",
            f"{row.n} of {claim.of}: " + ", ".join(map(tables.number, judged_claim.points)),
        ),
        *((c.arm, control_to_text(c, judged_claim)) for c in row.controls),
        (
            "gates",
            ", ".join(
                f"{name} {'met' if met else 'not met'}" for name, met in judged_claim.gates.items()
            ),
        ),
        ("power", "" if "would be found" in row.why else tables.describe_detectable(judged_claim)),
        ("published", published(judged_claim)),
        ("source", claim.source),
        ("scope", judged_claim.scope),
        ("figure", page),
    ]
    for name, words in lines:
        if words:
            table.add_row(name, words)
    draw(table)


def control_to_text(control: tables.Control, judged_claim: Judged) -> str:
    """Write a control: how it came out, its number, its role, and why the author names it."""
    why = {**judged_claim.claim.near, **judged_claim.claim.may_hold}.get(control.arm, "")
    came = control.outcome if control.role in ("near", "control", "planted", "violation") else ""
    role = ", ".join(filter(None, (MUST.get(control.role, control.role), came)))
    return f"{control.sign} {control.estimate} {control.interval}: {role}".lstrip() + (
        f" ({why})" if why else ""
    )


def published(judged_claim: Judged) -> str:
    """Write what a paper prints of the same quantity, where it stands, and how far it compares."""
    paper = judged_claim.claim.published
    if paper is None or isinstance(paper, str):
        return "new: no paper that we know prints it" if paper else ""
    note = f"; {paper.note}" if paper.note else ""
    return f"{paper.number:g}, {paper.source} ({paper.at}), {paper.set_up}{note}"
