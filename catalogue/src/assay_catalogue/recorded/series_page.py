"""A series, such as a run of the whole catalogue, on one page: Markdown that can be committed.

Takes the plain values of the verb's result. What it says of claims is what the docs and the index
of a report say of them, by the same code."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from assay.core.compute import Range
from assay.core.experiment import ALL
from assay.core.results import ResultData
from assay.report import statements, tables
from assay.report.amounts import duration
from assay.report.pages import together
from assay_catalogue.recorded import listings

JSON = Mapping[str, Any]
NAMES = {"assay": "Assay", "python": "Python", "numpy": "NumPy", "scipy": "SciPy"}
CROSSING = (
    "Experiments share the cores, so the seconds of an experiment are those during which at least "
    "one of its runs was in progress"
)


def results(series: JSON) -> dict[str, ResultData]:
    """The result of each experiment that has one, by name."""
    return {
        e["name"]: ResultData.from_json(e["result"])
        for e in series["experiments"]
        if e["result"] is not None
    }


def failures(series: JSON) -> dict[str, str]:
    """Why an experiment has no result, by name."""
    return {e["name"]: e["error"]["text"] for e in series["experiments"] if e["error"] is not None}


def describe_training(part: JSON) -> str:
    """Whether the command that wrote the page trained an experiment: "now", "stored before", or "12
    of 40 runs now"."""
    if not part["trained"]:
        return "stored before"
    return (
        "now"
        if part["trained"] == part["runs"]
        else f"{part['trained']} of {part['runs']} runs now"
    )


def facts(series: JSON) -> list[tuple[str, str]]:
    """When, on what and with what it was run, as (name, words); several commits or machines are all
    named."""
    provenances = [data.provenance for data in results(series).values()]
    machine = [_machine(p["machine"]) for p in provenances if p.get("machine")]
    software = [_software(p["software"]) for p in provenances if p.get("software")]
    commit = [
        p["software"]["commit"] for p in provenances if (p.get("software") or {}).get("commit")
    ]
    took = f"{duration(series['seconds'])}, {series['cpu_seconds']:,.0f} CPU-seconds"
    if series["seconds"]:
        took += f": on average {series['cpu_seconds'] / series['seconds']:.2f} cores at work"
    if series["planned_seconds"] and any(e["trained"] for e in series["experiments"]):
        planned = Range(*series["planned_seconds"]).middle
        took += f"; planned for what was missing: about {duration(planned)}"
    runs, trained = (sum(e[k] for e in series["experiments"]) for k in ("runs", "trained"))
    rows = [
        ("preset", series["preset"]),
        ("run", _when(series["began"], series["ended"])),
        ("took", took),
        (
            "runs",
            f"{runs:,}, of which {trained:,} were trained by the command that wrote this page",
        ),
        ("machine", _list_distinct(machine)),
        ("versions", _list_distinct(software)),
        ("commit", _list_distinct(commit)),
    ]
    return [(name, words) for name, words in rows if words]


def markdown(
    series: JSON,
    titles: Mapping[str, str],
    command: str,
    links: Mapping[str, str],
    names: str = ALL,
) -> str:
    """The page in Markdown; `titles` are the experiments' own, `links` the addresses of their
    documentation, where there is some."""
    results_by_name, wrong = results(series), failures(series)
    which = "the whole catalogue" if names == ALL else f"all experiments called {names}"
    lines = [
        f"# A run of {which}\n",
        f"Written by `{command}`: all experiments were run at this preset in one store and shared "
        "artefacts.\n",
    ]
    lines.append(
        tables.markdown(("", ""), ((name, tables.cell(words)) for name, words in facts(series)))
    )
    if wrong:
        lines += [
            "## Without a result\n",
            *(f"- `{name}`: {tables.cell(why)}" for name, why in wrong.items()),
            "",
        ]
    training_by_name = {e["name"]: describe_training(e) for e in series["experiments"]}
    took = series["seconds"], series["cpu_seconds"]
    lines += [
        listings.counts(results_by_name, took, training_by_name, links),
        f"{CROSSING}; the last line counts no second twice.\n",
    ]
    if claims := together(results_by_name.values()).verdicts:
        lines += ["## How many of these verdicts are wrong?\n", statements.errors(claims) + "\n"]
    lines.append("## Claim by claim\n")
    for name, data in results_by_name.items():
        heading = f"[{name}]({links[name]})" if name in links else name
        lines += [
            f"### {heading}\n",
            listings.about(data, titles.get(name, "")) + "\n",
            listings.listed(data),
        ]
    return "\n".join(lines).rstrip() + "\n"


def _when(began: float | None, ended: float | None) -> str:
    if began is None or ended is None:
        return ""
    start, stop = (datetime.datetime.fromtimestamp(t, datetime.UTC) for t in (began, ended))
    same = start.date() == stop.date()
    return f"{start:%Y-%m-%d %H:%M} to {stop:{'%H:%M' if same else '%Y-%m-%d %H:%M'}} UTC"


def _machine(m: JSON) -> str:
    return (
        f"{m['cpu']}, {m['free_cores']} of {m['cores']} cores, {m['memory_gib']:g} GiB, "
        f"{m['system']}"
    )


def _software(versions: JSON) -> str:
    return ", ".join(f"{NAMES.get(k, k)} {v}" for k, v in versions.items() if v and k != "commit")


def _list_distinct(values: Sequence[str]) -> str:
    """The values, each once; with how many experiments say so where they differ."""
    counts = {v: values.count(v) for v in dict.fromkeys(values)}
    return (
        next(iter(counts), "")
        if len(counts) <= 1
        else "; ".join(f"{v} ({n} of {len(values)})" for v, n in counts.items())
    )
