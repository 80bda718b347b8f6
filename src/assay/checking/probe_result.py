"""What comes of a probe: the verdict on its numbers, and how it is said and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import structs

from assay.ask.near import (
    ASKED,
    BAG,
    EMBEDDING,
    LENGTHS,
    PAIRS,
    PERMUTED,
    PLACES,
    SPELLING,
    UNTRAINED,
    Control,
    in_words,
)
from assay.checking import related, saved
from assay.checking.probe_rows import GROUP, SORTED
from assay.checking.related import ADDED, DIFFERS, THE_MODELS
from assay.checking.result import CONTROL, HEADS, Concluded, printed, satisfied_before
from assay.core import power
from assay.core.bounded import bounded_mean
from assay.core.digits import number
from assay.core.display import by_weight
from assay.core.errors import ClaimError, nearest
from assay.core.expression import parse, range_of
from assay.core.intervals import FOLD, interval
from assay.core.judging import rename_unit
from assay.core.nouns import counted, plural
from assay.core.outlying_units import find_outliers
from assay.core.reasons import TIES
from assay.core.results import Judged, Price, Verdict
from assay.core.scopes import listed
from assay.core.stats import mean
from assay.core.table import judge, within, wrong_at_most

if TYPE_CHECKING:
    import pandas as pd

PROBE = "probe"
MEASURES = ("accuracy", "auroc")
"""Those that a condition can name; the rate of true positives has no number for each group."""
POOLED = "_pooled"
"""The end of the name of a measure over all rows together, which is its estimate where groups are
judged; files of older versions do not have it."""
IN_TEXTS: Mapping[Control, str] = {
    BAG: "the words of the text predict it, in any order",
    PLACES: "the words, each at its position, or the length of the text predict it",
    **{control: control.why for control in (LENGTHS, SPELLING, PAIRS)},
}
"""What the controls explain that read the text alone, and no embeddings."""
EMBEDDED = [in_words(control.why) for control in (EMBEDDING, PLACES)]
"""What those explain that read the embeddings of the tokens."""
EXACT = "; all groups are separated perfectly, so the limits are exact"
"""What is added to a control that is undecided although its AUROC is 1."""
NAMED = 4
"""How many groups a warning names."""
NO_TEST = "below chance, no test"
"""What is said of a control that is judged by what was learned from near-copies of the other label:
that it does not satisfy the claim excludes nothing."""
ONE_COLUMN = "one column alone tells the label better than the probe of all columns (give k=1)"
WITHIN, CLEARLY = "the AUROC between rows of the same group", 0.05
"""What is said of an AUROC that is higher where only rows of one group are compared; by how much it
is at least."""
NUMBERS = {EMBEDDING: "embeddings=", UNTRAINED: "untrained=", ASKED: "asked="}
_WITH = {UNTRAINED: "site=", ASKED: 'question="… {text} …"'}
"""The argument that has the numbers of a control, and what a model needs to give them."""
NO_TEXTS = (
    "no controls of words and spelling, which show if a word gives the label away: give texts="
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is judged: everything but the numbers."""

    holds: str
    unit: str
    """What is generalised over: group, or fold."""
    why: Mapping[str, str]
    """By control what it would explain, if it did as well."""
    tested: Mapping[str, int]
    """How many independent trials are behind each measure."""
    scope: str
    sentence: str = ""
    """What is claimed, in words; "" where nothing was said, and in files of older versions."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """By a group's number in the table its name; empty in files of older versions."""
    reads_words: Sequence[str] = ()
    """The controls that read words, one of which at least must be a test; empty in files of older
    versions."""
    alone: Mapping[str, str] = field(default_factory=dict)
    """By a control that reads texts and is not beaten, what of them tells the label by itself, and
    by that of shuffled labels what the more frequent one is right for; empty in files of older
    versions."""

    doubts: Mapping[str, str] = field(default_factory=dict)
    """By what is doubtful of the rows, for which a claim that would hold is undecided, what would
    decide it; "" where it holds with that reserve; empty in files of older versions."""
    regrouped: Mapping[str, str] = field(default_factory=dict)
    """Of rows that were found to be alike: what is said of the number without these groups (or, if
    `groups` keeps such rows apart, with them), the outcome then, and what would decide it where
    that is another one, or the `reserve`; empty elsewhere, and in files of older versions."""

    @property
    def words(self) -> str:
        """The sentence with its condition, or the condition alone."""
        return f"{self.sentence} ({self.holds})" if self.sentence else self.holds

    def judged(self, rows: pd.DataFrame) -> Judged | None:
        """Judge the numbers; None without a condition. Raises: ClaimError, DataError."""
        if not self.holds:
            return None
        rows = rows[rows["arm"] != THE_MODELS.name]
        verdict = _judged(rows, self.unit, self.holds, self.why, self.tested)
        warning = rename_unit(verdict.warning, GROUP, self.groups)
        if "outlier" in warning and self.unit == GROUP:
            first, *others = warning.split("; ")
            warning = "; ".join([f"{first}: {self._outliers(rows, verdict)}", *others])
        return _with_pooled(structs.replace(verdict, warning=warning), self.holds, rows)

    def compared(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, Judged | None]:
        """Give the table of arms, and the verdict: undecided where it would hold, but not of the
        model's own activations, or where no control that reads words is a test. Raises: ClaimError,
        DataError."""
        verdict = self.judged(rows)
        arms = _compared(rows, self, verdict)
        if verdict is None or verdict.outcome != "holds":
            return arms, verdict and self.doubted(verdict)
        if not self._is_of_the_model(rows):
            return arms, _undecided(
                verdict, ADDED, "more groups do not help: compute X of all rows in one way"
            )
        below = below_chance(arms)
        others = [name for name in self.reads_words if name not in below]
        # what is 0.5 in every group has read nothing that comes twice
        silent = (rows.loc[rows["arm"].isin(others), "auroc"] == 0.5).all()
        tested = len(others) == len(self.reads_words) or not silent
        if not tested:
            reason = "no control that reads words is a test: none is above chance"
            how = f"{related.ONE_GROUP} or, if too few groups are left, {related.SWAPPED}"
            return arms, _undecided(verdict, reason, f"more groups do not help: {how}")
        return arms, self.doubted(verdict)

    def doubted(self, verdict: Judged) -> Judged:
        """Give the verdict, undecided where it depends on groups that were only found, or would
        hold of rows that are doubtful; with a reserve where no more can be done."""
        other = self.regrouped.get("outcome") or verdict.outcome
        if verdict.outcome in ("holds", "fails") and other != verdict.outcome:
            if remedy := self.regrouped["remedy"]:
                would = (
                    "hold" if other == "holds" else "fail" if other == "fails" else f"be {other}"
                )
                return _undecided(verdict, f"{self.regrouped['how']}, it would {would}", remedy)
            if verdict.outcome == "holds" and not any(self.doubts.values()):
                return structs.replace(verdict, unless=self.regrouped["reserve"])
        if verdict.outcome != "holds" or not self.doubts:
            return verdict
        # what can be settled comes before what cannot
        reason, remedy = min(self.doubts.items(), key=lambda doubt: not doubt[1])
        if not remedy:
            return structs.replace(verdict, unless=reason)
        return _undecided(verdict, reason, remedy)

    def _is_of_the_model(self, rows: pd.DataFrame) -> bool:
        """Whether the claim holds of the model's own activations too, if these tell less."""
        if not (rows["arm"] == THE_MODELS.name).any():
            return True
        own = rows[rows["arm"].isin([THE_MODELS.name, PERMUTED.name])]
        own, why = own.replace({"arm": {THE_MODELS.name: PROBE}}), {PERMUTED.name: PERMUTED.why}
        return _judged(own, self.unit, self.holds, why, self.tested).outcome == "holds"

    def _outliers(self, rows: pd.DataFrame, verdict: Judged) -> str:
        """Which groups are outliers, what to do about them, and what the outcome is without."""
        numbers = rows[rows["arm"] == PROBE].set_index(GROUP)
        value = parse(self.holds).columns[0].name
        few = find_outliers(numbers[value].to_numpy())
        apart = [k for k, x in numbers[value].items() if x in few]
        if not apart or len({c.name for c in parse(self.holds).columns}) > 1:
            return "look at the rows of these groups"
        names = [self.groups.get(str(k), f"group {k}") for k in apart]
        more = [f"{len(names) - NAMED} more"] * (len(names) > NAMED)
        other_rows = rows[~rows[GROUP].isin(apart)]
        without = _judged(other_rows, self.unit, self.holds, self.why, self.tested)
        them = "them" if names[1:] else "it"
        same = "is also" if without.outcome == verdict.outcome else "would be"
        return (
            f"{listed([*names[:NAMED], *more])}. Look at {'their' if names[1:] else 'its'} rows, "
            "which may have a wrong label or be of another kind. "
            f"Without {them}, the verdict {same} {without.outcome}"
        )


@dataclass(frozen=True, eq=False)
class ProbeCheck(Concluded):
    """What comes of `assay.check_probe`.

    Example:
        >>> import numpy as np
        >>> import assay
        >>> draw, y = np.random.default_rng(0), np.arange(40) % 2
        >>> p = assay.check_probe(draw.normal(size=(40, 4)) + 9 * y[:, None], y)
        >>> p.to_pandas()["arm"].tolist(), float(p.arms["auroc"][0])
        (['probe', 'permuted'], 1.0)
    """

    question: Question
    arms: pd.DataFrame
    """A row for the probe and for each control: each measure with its interval, and by how much the
    probe's AUROC is larger."""
    rows: pd.DataFrame
    """For each arm and group its part in accuracy and AUROC; for each fold both in it."""
    judged: Judged | None
    """The verdict on the condition; None where none was given."""
    notes: tuple[str, ...]

    def to_pandas(self) -> pd.DataFrame:
        """One row for the probe and for each control; with a condition also the columns that a
        check has: outcome, reason, and the number that is judged."""
        if self.judged is None:
            return self.arms
        verdicts = self.judged.to_pandas().drop(columns=["claim", "role", "unit"])
        verdicts.loc[verdicts["arm"].isin(below_chance(self.arms)), "reason"] = NO_TEST
        return verdicts.merge(self.arms, on="arm")

    def cells(self) -> list[tuple[str, ...]]:
        """Say of each arm its measures, with intervals."""
        lines = []
        for row in self.arms.to_dict("records"):
            verdict, numbers = self.controls.get(row["arm"]), []
            for m in MEASURES:
                (low, high), level = (row[f"{m}_low"], row[f"{m}_high"]), ""
                if verdict and verdict.interval == (low, high):  # it is judged by this measure
                    (low, high), level = verdict.shown, self.level(row["arm"])
                numbers.append(f"{row[m]:.3f} [{low:.3f}, {high:.3f}]{level}")
            lead = ""
            if row["arm"] != PROBE:
                value, *ends = (_signed(row[x]) for x in ("lead", "lead_low", "lead_high"))
                lead = f"{value} [{', '.join(ends)}]"
            says = NO_TEST if row["arm"] in below_chance(self.arms) else ""
            says = says or (CONTROL[verdict.outcome] if verdict else "")
            if row["arm"] == PERMUTED.name and row["auroc_high"] < 0.5:
                says += f"{', ' * bool(says)}below chance"
            satisfies = [says] * bool(self.judged)
            perfect = verdict and verdict.outcome == "undecided" and row["auroc"] >= 1
            alone = self.question.alone.get(row["arm"], "")
            why = f"{row['why']}{'; ' * bool(alone)}{alone}{EXACT if perfect else ''}"
            lines.append((row["arm"], *numbers, lead, *satisfies, why))
        return lines

    @property
    def heads(self) -> tuple[str, ...]:
        """Name the columns of `cells`; whether a control satisfies the claim only where there is
        one."""
        *_, satisfies, explanation = HEADS
        column = [satisfies] * bool(self.judged)
        return ("", "accuracy [95%]", "AUROC", "probe's lead in AUROC", *column, explanation)

    def headline(self) -> str:
        """Say whether the text alone gives each label away, and then the verdict, or that nothing
        was claimed."""
        perfect = self.arms[self.arms["auroc"] >= 1]
        given = ""
        for sentence, reasons in (
            ("the text alone separates", [*map(in_words, IN_TEXTS.values())]),
            ("the embeddings of the tokens alone separate", EMBEDDED),
        ):
            if names := ", ".join(perfect["arm"][perfect["why"].isin(reasons)]):
                given += f"{sentence} the labels of these rows: AUROC 1 for {names}\n"
        for sentence, words in (
            ("the activations fall into clusters, and {}", related.UNEXPLAINED),
            ("{}, and the probe's score drifts along them", SORTED),
            ("{}", DIFFERS),
            ("{}", ADDED),
            ("{}", ONE_COLUMN),
        ):
            found = any(words in note for note in self.notes) and words not in self.reason
            given += f"{sentence.format(words)}\n" * found
        if says := self.question.regrouped.get("says"):
            given += f"{says}\n"
        if self.judged is None:
            about = f"{self.question.sentence}: " if self.question.sentence else ""
            return f"{given}{about}no condition was given: holds='auroc > 0.8' would be judged"
        why = f" ({self.reason})" * bool(self.reason)
        unless = f"unless {self.judged.unless}" * bool(self.judged.unless)
        outcome = ", ".join(filter(None, (self.outcome, unless, self.caveat)))
        verdict = f"{given}{outcome}{why}: {self.question.words}"
        if _sole(self.question.holds):  # whose number is in the table
            return verdict
        low, high = self.interval
        return f"{verdict}\njudged: {self.estimate:.3f} [{low:.3f}, {high:.3f}]"

    @property
    def reason(self) -> str:
        """Say why it is unspecific or undecided, and which controls satisfy a claim that is open or
        fails; "" otherwise."""
        return "; ".join(filter(None, (super().reason, self.also_true)))

    @property
    def also_true(self) -> str:
        """Say which controls satisfy a claim that is open or fails; "" where none does."""
        too = self._satisfying
        satisfy = "satisfy" if too[1:] else "satisfies"
        return f"{plural('control', len(too))} {listed(too)} {satisfy} the claim" * bool(too)

    @property
    def absent(self) -> list[str]:
        """Name the controls of the model that are missing."""
        return [c.name for c in self._missing if c is not ASKED]

    @property
    def _missing(self) -> list[Control]:
        return [c for c in NUMBERS if any(_lacks(c, n) for n in self.notes)]

    @property
    def _satisfying(self) -> list[str]:
        """Name the controls that satisfy a claim which is open or fails; it can then never hold."""
        names = [name for name, v in self.controls.items() if v.outcome == "holds"]
        return names if self.outcome != "unspecific" else []

    @property
    def caveat(self) -> str:
        """Say what an outcome lacks that may change it, texts before the controls of a model; "" of
        another."""
        may_change = self.outcome in ("holds", "undecided") and not self._satisfying
        lacks = ["texts="] * (NO_TEXTS in self.notes) + [self._absent_ones] * bool(self.absent)
        without = [f"without {' and '.join(lacks)}"] * bool(lacks and may_change)
        if self.outcome == "holds" and UNTRAINED.name in self.absent:
            without.append("and nobody checked where X comes from")
        return ", ".join([*satisfied_before(self.outcome, self.notes), *without])

    @property
    def _absent_ones(self) -> str:
        return f"the {plural('control', len(self.absent))} {' and '.join(self.absent)}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """List what a reader should know next to the number, as a check does."""
        missing = self._missing
        notes = [n for n in self.notes if not any(_lacks(c, n) for c in missing)]
        notes += [lacking(*missing)] * bool(missing)
        return by_weight((*self.judged_narrower, *notes))

    @property
    def reach(self) -> tuple[str, ...]:
        """Say what is judged, and what would decide the condition where that is open."""
        remedies = [self.judged.remedy[0]] if self.judged else []
        open_ = self.outcome == "undecided"
        if open_ and self._satisfying:
            words = f"more {self.question.unit}s cannot make it hold: choose rows whose label"
            remedies = [f"{words} is not predicted by {listed(self._satisfying)}"]
        if self.judged and open_ and self.judged.unbeaten and not remedies[0]:
            them = "the control is" if len(self.judged.unbeaten) == 1 else "the controls are"
            remedies = [f"to decide it: more {self.question.unit}s, until {them} outside the range"]
        few = self.reason.startswith("too few units")  # with which no control helps
        grows = self.judged and self.judged.price is not None and self.judged.price.more
        if chance := self._by_chance:
            remedies.insert(0, chance)
        elif grows and self.absent and open_ and not few and not self._satisfying:
            options = ["texts="] * (BAG.name not in self.controls) + ["model="]
            options += ["site="] * (UNTRAINED.name in self.absent)
            words = f"first: give {listed(options)} for {self._absent_ones}"
            remedies.insert(0, f"{words}; the claim may be unspecific")
        return (f"scope: {self.question.scope}", *filter(None, remedies))

    @property
    def _by_chance(self) -> str:
        """Say that nothing was learned, or may have been; "" where the probe is clearly better than
        chance."""
        value, low, high = (self.arms[f"auroc{end}"].iloc[0] for end in ("", "_low", "_high"))
        number = f"(AUROC {value:.3f} [{low:.3f}, {high:.3f}])"
        if low > 0.5 or any(WITHIN in note for note in self.notes):
            return ""
        if high < 0.5:
            learned = "what it learned is not true of other groups"
            return f"the probe is worse than chance {number}: {learned}"
        if value <= 0.5:
            return f"the probe is no better than chance {number}: nothing was learned"
        return f"the probe may be no better than chance {number}: nothing shows that it learned"

    def __repr__(self) -> str:
        shown, missed = [], list[str]()
        for row in self.cells():
            name, is_clear = row[0], self.judged and row[-2] == CONTROL["fails"]
            if is_clear and not self.level(name) and name not in self.question.alone:
                missed.append(f"{name} {self.controls[name].estimate:.3f}")
            else:
                shown.append(row)
        do = "does" if len(missed) == 1 else "do"
        words = f"{counted(len(missed), 'control')} {do} not satisfy the claim: {', '.join(missed)}"
        width = len(self.heads) if shown[1:] else 3  # the rest is about controls
        table = [row[:width] for row in (self.heads, *shown)]
        return printed(self, [self.headline()], table, words * bool(missed))

    def save(self, path: str | Path) -> Path:
        """Write it as one file: the question, the numbers and the verdict, which `ProbeCheck.load`
        judges again.

        Args:
            path: such as "agent.assay"; a zip archive.
        """
        verdict = self.judged.to_json() if self.judged else {"outcome": ""}
        content = {saved.PROBE: vars(self.question), "notes": self.notes, "verdict": verdict}
        return saved.write(path, content, self.rows, repr(self))

    @classmethod
    def load(cls, path: str | Path) -> ProbeCheck:
        """Read a saved verdict on a probe, and judge its numbers again.

        Args:
            path: that `save` wrote.
        Raises: DataError for another file, and where the verdict on its numbers is not the one that
            it states.
        """
        content, rows = saved.read(path := Path(path))
        try:
            question = Question(**content[saved.PROBE])
            stated, notes = content["verdict"]["outcome"], tuple(content["notes"])
        except (KeyError, TypeError) as e:
            raise saved.wrong(path, e) from e
        arms, judged = question.compared(rows)
        saved.refuse_changed(path, stated, judged.outcome if judged else "")
        return cls(question, arms, rows, judged, notes)


def _lacks(control: Control, note: str) -> bool:
    return note.startswith(f"no control {control.name}:")


def lacking(*controls: Control) -> str:
    """Say that controls are missing, and what makes them."""
    names, numbers = (listed(x) for x in ([c.name for c in controls], map(NUMBERS.get, controls)))
    with_model = " and ".join(_WITH[c] for c in controls if c in _WITH)
    how = f"model={' with ' * bool(with_model)}{with_model}, or {numbers}"
    return f"no {plural('control', len(controls))} {names}: give {how}"


def _undecided(verdict: Judged, reason: str, remedy: str) -> Judged:
    """The verdict, undecided for a reason that no number of groups takes away."""
    return structs.replace(verdict, outcome="undecided", reason=reason, price=Price(remedy))


def _signed(x: float) -> str:
    """A difference with its sign; none of what is printed as 0."""
    text = number(x, 3)
    return text if float(text) <= 0 else f"+{text}"


def below_chance(arms: pd.DataFrame) -> list[str]:
    """Name the controls that are surely below chance, as nothing that was learned should be, unless
    it is as frequent with both labels on purpose, as what an author brings may be."""
    learned = [c.name for c in (*IN_TEXTS, EMBEDDING, UNTRAINED)]
    below = (arms["auroc_high"] < 0.5) & arms["arm"].isin(learned)
    return [*map(str, arms.loc[below, "arm"])]


def _compared(numbers: pd.DataFrame, question: Question, verdict: Judged | None) -> pd.DataFrame:
    """The table of arms: each measure, and the probe's lead over each control. The measure that is
    judged has the interval by which it is judged."""
    import pandas as pd

    sole = _sole(question.holds) if verdict else ""
    judged = {PROBE: verdict, **verdict.controls} if verdict else {}
    of = {str(arm): part for arm, part in numbers.groupby("arm", sort=False)}
    lines = list[dict[str, Any]]()
    for arm in of:
        line: dict[str, Any] = {"arm": arm}
        for measure in MEASURES:
            x = of[arm][measure].to_numpy()
            line |= estimated(measure, x, question.unit, over_all_rows(of[arm], measure))
            if question.unit == FOLD and (x == 1).all():
                line[f"{measure}_low"] = 1 - wrong_at_most(question.tested[measure], len(x))
            if measure == sole and arm in judged:
                line |= {f"{sole}_low": judged[arm].low, f"{sole}_high": judged[arm].high}
        if arm != PROBE:
            lead = of[PROBE]["auroc"].to_numpy() - of[arm]["auroc"].to_numpy()
            line |= estimated("lead", lead, question.unit, lines[0]["auroc"] - line["auroc"])
            # An AUROC lies between 0 and 1, and the control's where its interval says.
            line["lead_low"] = max(line["lead_low"], -line["auroc_high"])
            line["lead_high"] = min(line["lead_high"], 1 - line["auroc_low"])
        why = {**question.why, THE_MODELS.name: THE_MODELS.why}
        lines.append({**line, "why": in_words(why.get(arm, ""))})
    return pd.DataFrame(lines)


def _sole(holds: str) -> str:
    """The measure that a condition names, where it is that measure alone; else ""."""
    parsed = parse(holds)
    names = {c.name for c in parsed.columns}
    return min(names) if parsed.plain and len(names) == 1 else ""


def outcome_alone(holds: str, rows: pd.DataFrame, unit: str) -> str:
    """The outcome for an arm by itself, without controls; "" unless the condition is one measure
    alone."""
    if not (measure := _sole(holds) if holds else ""):
        return ""
    found = estimated(measure, rows[measure].to_numpy(), unit, over_all_rows(rows, measure))
    parsed, low, high = parse(holds), found[f"{measure}_low"], found[f"{measure}_high"]
    if parsed.low < low and high < parsed.high:
        return "holds"
    return "fails" if high < parsed.low or parsed.high < low else "undecided"


def over_all_rows(rows: pd.DataFrame, measure: str) -> float:
    """A measure of an arm over all rows together; the mean of folds, and of the groups' parts in
    files of older versions."""
    column = f"{measure}{POOLED}"
    return float(rows[column if column in rows else measure].mean())


def _with_pooled(verdict: Judged, holds: str, rows: pd.DataFrame) -> Judged:
    """The verdict with the measure over all rows as the estimate of each arm: the mean of the
    groups' parts is corrected for bias, which no reader would compute."""
    arms, measure = rows.groupby("arm"), _sole(holds)
    if not measure or f"{measure}{POOLED}" not in rows:
        return verdict

    def pooled(v: Verdict) -> dict[str, Any]:
        value = over_all_rows(arms.get_group(v.arm), measure)
        narrower = (min(*v.narrower, value), max(*v.narrower, value)) if v.narrower else ()
        low, high = min(v.low, value), max(v.high, value)
        return {"estimate": value, "low": low, "high": high, "narrower": narrower}

    controls = {k: structs.replace(v, **pooled(v)) for k, v in verdict.controls.items()}
    return structs.replace(verdict, **pooled(verdict), controls=controls)


def estimated(name: str, x: np.ndarray, unit: str, value: float) -> dict[str, float]:
    """A measure's value with the interval of a mean over units; the exact one of groups' shares
    that lie between 0 and 1, which folds and leads have only where all agree."""
    ends = (0.0, 1.0) if name in MEASURES else (-1.0, 1.0)
    exact_for = len(np.unique(x)) == 1 or (name in MEASURES and unit != FOLD)
    if exact_for and ((x >= ends[0]) & (x <= ends[1])).all():
        exact = bounded_mean([x], float(x.mean()), ends)
        low, high = exact.low, exact.high
    else:
        i = interval({"value": x}, mean, units=(unit,))
        low, high = max(ends[0], i.low), min(ends[1], i.high)
    return {name: value, f"{name}_low": min(low, value), f"{name}_high": max(high, value)}


def _judged(
    rows: pd.DataFrame,
    unit: str,
    holds: str,
    why: Mapping[str, str],
    tested: Mapping[str, int],
) -> Judged:
    """The verdict on a condition; so many trials are behind each measure. Raises: ClaimError,
    DataError."""
    parsed = parse(holds)
    columns = {c.name for c in parsed.columns}
    if wrong := sorted(columns - {*MEASURES}):
        raise ClaimError(
            f"a condition names accuracy or auroc, got {wrong[0]!r}; {nearest(wrong[0], MEASURES)}"
        )
    plain = bool(_sole(holds))
    rows = rows[["arm", unit, *sorted(columns)]]  # the other measure says nothing of units
    shares = plain and bool(rows[list(columns)].apply(lambda x: x.between(0, 1)).all(axis=None))

    # Parts in a measure take few values, which are no copies; near-copies are sought among rows.
    decide = partial(judge, claim=holds, unit=unit, control=why, empty=0.5, copies=False)
    if unit == FOLD and plain:
        decide = partial(decide, tested=tested[min(columns)])
    judged = within(decide(rows), range_of(parsed, 0.0, 1.0))
    if not plain:
        return judged
    # a mean over many shuffles has no need of exact limits, which are wide for few groups
    means = {
        arm: v
        for arm, v in judged.controls.items()
        if arm == PERMUTED.name and (unit, columns) == (GROUP, {"auroc"}) and v.low < v.high
    }
    other = rows.copy()
    for arm, v in means.items():  # out of the way, so that the verdict is on all others
        other.loc[other["arm"] == arm, "auroc"] = float(v.estimate > judged.estimate)
    if shares:
        exact = within(decide(other, bounds=(0.0, 1.0)), range_of(parsed, 0.0, 1.0))
        return _with_controls(exact, {**exact.controls, **means}) if means else exact
    # Cut off at 0 and 1, parts have exact limits: of nearly perfect arms most are a little above 1.
    clipped = other.assign(**{name: other[name].clip(0, 1) for name in columns})
    exact = decide(clipped, bounds=(0.0, 1.0))
    inside = {arm for arm, x in rows.groupby("arm")[min(columns)] if x.between(0, 1).all()}
    inside -= {*means}
    controls = {
        name: structs.replace(exact.controls[name], contrast=v.contrast) if name in inside else v
        for name, v in judged.controls.items()
    }
    by_itself = exact if judged.reason == TIES or PROBE in inside else judged
    return _with_controls(by_itself, controls)


def _with_controls(exact: Judged, controls: Mapping[str, Verdict]) -> Judged:
    """A verdict with the controls as they are by themselves: parts that are cut off at 0 and 1 have
    less than their AUROC, and would be beaten too easily."""
    exact = structs.replace(exact, controls=controls)
    if exact.outcome == "fails" or (exact.outcome == "undecided" and "control" not in exact.reason):
        return exact
    too = [name for name, v in controls.items() if v.outcome == "holds"]
    beaten = {
        name
        for name, v in controls.items()
        if v.outcome == "fails" and v.contrast and (v.contrast.low > 0 or v.contrast.high < 0)
    }
    left = [name for name in controls if name not in beaten]
    if too:
        reason = f"control {', '.join(too)} satisfies it too"
        return structs.replace(exact, outcome="unspecific", reason=reason, price=None)
    if left:
        reason = f"control {left[0]} not beaten"
        price = power.price_of_arm(left[0], controls[left[0]].price)
        return structs.replace(exact, outcome="undecided", reason=reason, price=price)
    return exact  # never better than by itself: what else speaks against it was asked of it alone
