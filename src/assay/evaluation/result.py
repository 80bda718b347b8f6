"""Evaluation: what was measured of each dictionary, as plain values, a table, figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core.display import Shown
from assay.core.errors import DataError, nearest
from assay.core.figures import Figure, columns
from assay.core.nouns import counted
from assay.core.schema import OPTIONAL
from assay.dictionaries.measuring import measures

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Evaluation(Shown):
    """The result of `evaluate`. `data` is plain JSON; `entry["measures"]["fvu"]` has estimate, low,
    high, n, and why there is no interval.

    Example:
        >>> import assay
        >>> fvu = {"estimate": 0.233, "low": 0.226, "high": 0.241, "n": {"document": 40}}
        >>> assay.Evaluation({"dictionaries": [{"name": "sae", "measures": {"fvu": fvu}}]})
        <Evaluation of 1 dictionary: sae FVU 0.233; to_pandas() has the table>
    """

    data: Mapping[str, Any]
    sums: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict, repr=False)
    """Of each dictionary: the sums that its measures are made of, document by document, and the
    names of the documents."""

    @property
    def dictionaries(self) -> Sequence[Mapping[str, Any]]:
        """Give an entry for each dictionary, in the order in which they were named."""
        return self.data["dictionaries"]  # type: ignore[no-any-return]

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        """The measures of one dictionary, by its name. Raises: DataError for another name."""
        for entry in self.dictionaries:
            if entry["name"] == name:
                return entry["measures"]  # type: ignore[no-any-return]
        raise DataError(
            f"no dictionary {name!r} here; {nearest(name, [e['name'] for e in self.dictionaries])}"
        )

    def __iter__(self) -> Iterator[str]:
        return (entry["name"] for entry in self.dictionaries)

    def __repr__(self) -> str:
        def summarise(entry: Mapping[str, Any]) -> str:
            estimates = {
                name: entry["measures"].get(name, {}).get("estimate") for name in ("l0", "fvu")
            }
            return f"{entry['name']} " + ", ".join(
                f"{k.upper()} {v:.3g}" for k, v in estimates.items() if v is not None
            )

        count = len(self.dictionaries)
        listed = "; ".join(map(summarise, self.dictionaries[:3])) + "; …" * (count > 3)
        of = counted(count, "dictionary")
        return f"<Evaluation of {of}: {listed}; to_pandas() has the table>"

    def __str__(self) -> str:
        return "\n".join((repr(self), *self.notes))

    @property
    def notes(self) -> list[str]:
        """List what was assumed and what cannot be known, each once, with the dictionaries of which
        it is true."""
        names_by_note: dict[str, list[str]] = {}
        for entry in self.dictionaries:
            for note in entry["notes"]:
                names_by_note.setdefault(note, []).append(entry["name"])
        return [
            f"{'each of ' if len(names) > 1 else ''}{', '.join(names)}: {note}"
            for note, names in names_by_note.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """Give everything as plain values, with the definition of every measure."""
        definitions = {
            m.name: {"unit": m.unit, "better": m.better, "formula": m.formula}
            for m in measures.TABLE
        }
        return {**self.data, "notes": self.notes, "definitions": definitions}

    def to_pandas(self) -> pd.DataFrame:
        """Give a row for each dictionary and measure: estimate, limits of its 95% interval, unit,
        documents; NaN without an interval."""
        import pandas as pd

        units = {m.name: m.unit for m in measures.TABLE}
        rows = [
            {
                "dictionary": e["name"],
                "site": e["site"],
                "measure": name,
                **{k: m[k] for k in ("estimate", "low", "high")},
                "unit": units[name],
                "documents": m["n"]["document"],
                "why": m["why"],
            }
            for e in self.dictionaries
            for name, m in e["measures"].items()
        ]
        frame = pd.DataFrame(rows)
        return frame.astype(dict.fromkeys(("estimate", "low", "high"), "float64"))

    @property
    def documents(self) -> pd.DataFrame:
        """Give a row for each dictionary and document, as `judge` takes it: its name as `arm`, and
        the sums over the document's tokens; NaN where it has nothing of a kind."""
        import pandas as pd

        frames = [
            pd.DataFrame({"arm": name, "document": sums["document"], **sums})
            for name, sums in self.sums.items()
        ]
        return pd.concat(frames, ignore_index=True)

    @property
    def figure(self) -> Figure:
        """Draw FVU over L0, a point for each dictionary."""
        return self.figures[0]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Draw FVU over L0; the loss recovered over L0 where losses were measured; and how often
        features fire, of up to four."""
        title = "What is left unexplained, by how many features are on"
        figure_list = [_pareto(self.dictionaries, "fvu", "FVU", title)]
        recovered = "loss_recovered_zero"
        if all(
            recovered in e["measures"] and e["measures"][recovered]["estimate"] is not None
            for e in self.dictionaries
        ):
            title = "Loss recovered, against zero ablation"
            figure_list.append(
                _pareto(self.dictionaries, recovered, "share of the loss recovered", title)
            )
        return tuple(figure_list + _firing(self.dictionaries[:4]))


def _firing(entries: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """Draw how many features fire how often, of several dictionaries with the same axes; nothing
    where no feature fires."""
    # no share is above 1
    bins = [
        {x: n for x, n in zip(*e["histogram"].values(), strict=True) if x <= 0} for e in entries
    ]
    middles = sorted({x for of in bins for x in of})
    shown = [(e, of) for e, of in zip(entries, bins, strict=True) if sum(of.values())]
    cells = ((e["name"], x, of.get(x, 0)) for e, of in shown for x in middles)
    rows = ((name, float(f"{100 * 10**x:.2g}"), x, n) for name, x, n in cells)
    if not shown:
        return []
    several, whose = len(shown) > 1, f"of {shown[0][0]['name']} "
    named = [f"{e['name']}: {_never_firing(e)}" if several else _never_firing(e) for e, _ in shown]
    return [
        Figure(
            f"How often the features {'' if several else whose}fire",
            columns(("dictionary", "share", "density", "features"), rows),
            "bars",
            x="share",
            y="features",
            facet="dictionary" if several else None,
            x_title="share of tokens in %, middle of each bin",
            note=" ".join(named),
        )
    ]


def _never_firing(entry: Mapping[str, Any]) -> str:
    """How many features a histogram of firing leaves out."""
    width, tokens = entry["width"], f"{entry['tokens']:,} tokens"
    if not (dead := round(entry["measures"]["dead"]["estimate"] * width)):
        return f"All {width:,} features fire on these {tokens}."
    return f"{dead:,} of {width:,} features never fire on these {tokens} and are left out."


def _pareto(entries: Sequence[Mapping[str, Any]], y: str, y_title: str, title: str) -> Figure:
    table: dict[str, list[Any]] = {
        name: [] for name in ("dictionary", "site", "L0", y, "low", "high")
    }
    for e in entries:
        l0, value = e["measures"]["l0"]["estimate"], e["measures"][y]
        row = (e["name"], e["site"], l0, value["estimate"], value["low"], value["high"])
        for column, cell in zip(table.values(), row, strict=True):
            column.append(float("nan") if cell is None else cell)
    several = len(set(table["site"])) > 1
    return Figure(
        title,
        table,
        "points",
        x="L0",
        y=y,
        color="dictionary",
        facet="site" if several else None,
        band=("low", "high"),
        x_log=True,
        x_title="L0 (features on per token)",
        y_title=y_title,
        note="Bars are 95% intervals over documents."
        if any(map(math.isfinite, table["low"]))
        else "",
    )


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What was measured of each dictionary, what it was measured on, and the files that were
    written."""

    model: str | None = field(default=None, metadata=OPTIONAL)
    model_sha256: str | None = field(default=None, metadata=OPTIONAL)
    text: str | None = field(default=None, metadata=OPTIONAL)
    corpus: str | None = field(default=None, metadata=OPTIONAL)
    setting: Mapping[str, Any]
    provenance: Mapping[str, Any]
    """Empty where every number was stored before."""
    dictionaries: tuple[Mapping[str, Any], ...]
    """One entry for each, in the order they were named; `measures` has estimate, low, high and n by
    the measure's name; `compared` has leading measures of random directions, principal components
    and the mean, or is null."""
    notes: tuple[str, ...]
    definitions: Mapping[str, Mapping[str, str]]
    """Unit, better direction and formula of every measure."""
    written: tuple[Path, ...]
