"""check_probe: activations and labels from anywhere → how well a linear probe separates them,
next to everything that separates them without what the probe is about."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from msgspec import structs

from assay.ask.measure.probe_fits import shuffled_rows
from assay.checking import reading, related, saved
from assay.checking.calls import Steps
from assay.checking.credited import labels_of
from assay.checking.prompts import Given
from assay.checking.reading import Kernel, Parts
from assay.checking.related import ADDED, DIFFERS, THE_MODELS
from assay.checking.result import CONTROL, HEADS, Concluded, printed, satisfied_before
from assay.controls import texts as text_counts
from assay.controls.table import (
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
from assay.core import power
from assay.core.arrays import Array, as_numpy
from assay.core.bounded import bounded_mean
from assay.core.dependence import combinations_in_words, crossed
from assay.core.digits import number
from assay.core.display import by_weight
from assay.core.errors import ClaimError, DataError, briefly, nearest
from assay.core.expression import parse, range_of
from assay.core.heavy import scipy
from assay.core.intervals import FEWEST, FEWEST_FOLDS, FOLD, interval
from assay.core.judging import rename_unit
from assay.core.nouns import counted, plural
from assay.core.outlying_units import find_outliers
from assay.core.reasons import TIES
from assay.core.results import Judged, Price, Verdict
from assay.core.scopes import listed
from assay.core.stats import mean
from assay.core.table import judge, within, wrong_at_most
from assay.core.wordings import numbered, shared_words
from assay.features.linear_probe import stratified_folds

if TYPE_CHECKING:
    import pandas as pd

PROBE, GROUP = "probe", "group"
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
HUGE, BLOCK = 30, 4
"""How many times as far from the median row as is usual from which a row is reported; so many
groups on average have the same label as those next to them where labels come in blocks."""
NAMED = 4
"""How many groups a warning names."""
NO_TEST = "below chance, no test"
"""What is said of a control that is judged by what was learned from near-copies of the other label:
that it does not satisfy the claim excludes nothing."""
LEAST_GROUPS = 3
"""Groups at least: to train on, to tune on and to judge."""
DEALINGS, FEW_ROWS = 5, 500
"""In how many ways groups are dealt out to folds, and of how many rows at most: with one way, what
the groups are called decides which learn from which, and that moves the measures of few rows."""
SHUFFLED = 40
"""Number of shuffles of the labels that are averaged, so that chance moves them little from 0.5."""
SORTED = "the rows come in blocks of one label"
WITHIN, CLEARLY = "the AUROC between rows of the same group", 0.05
"""What is said of an AUROC that is higher where only rows of one group are compared; by how much it
is at least."""
INDEPENDENT = (
    "no groups= are given, so rows count as independent: give rows of one source, such as an "
    "author, a session or a document, one group"
)
MOST, EQUAL = 5000, 1e-6
"""Rows at most, whose inner products are kept; and by how much of the largest number rows differ
through rounding."""


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
            return arms, verdict
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
        """Give the verdict, undecided where it would hold of rows that are doubtful; with a reserve
        where no more can be done."""
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
        ):
            found = any(words in note for note in self.notes) and words not in self.reason
            given += f"{sentence.format(words)}\n" * found
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
        return [c for c in _HOW if any(n.startswith(_without(c)) for n in self.notes)]

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
        lacks = ["texts="] * (_NO_TEXTS in self.notes) + [self._absent_ones] * bool(self.absent)
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
        notes, several = self.notes, self._missing[1:] and self._missing
        if several:
            with_model = " and ".join(_WITH[c] for c in several if c in _WITH)
            how = f"give model= with {with_model}, or {listed(_NUMBERS[c] for c in several)}"
            notes = tuple(n for n in notes if not n.startswith(tuple(map(_without, several))))
            notes += (f"no controls {listed(c.name for c in several)}: {how}",)
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


@briefly
def check_probe(
    X: Array,
    y: Sequence[Any] | Array,
    *,
    groups: Sequence[Any] | None = None,
    texts: Sequence[str] | None = None,
    folds: int = 0,
    sentence: str = "",
    holds: str = "",
    embeddings: Array | None = None,
    untrained: Array | None = None,
    asked: Sequence[float] | Array | None = None,
    controls: Mapping[str, Sequence[Any] | Array] | None = None,
    model: Any = None,
    tokenizer: Any = None,
    site: str = "",
    position: int | str = -1,
    question: str = "",
    answers: tuple[str, str] = (" yes", " no"),
    ledger: bool = True,
) -> ProbeCheck:
    """Train a linear probe on activations, and compare it with controls that do not read these
    activations.

    The probe is a ridge regression whose penalty is chosen on its training rows. Each row is judged
    by a probe that was trained on other groups. Controls are trained in the same way: on a bag of
    words, lengths, words by position, embeddings, an untrained model's activations, or shuffled
    labels; `asked` is not trained.

    Args:
        X: activations, [row, d], from anywhere.
        y: one of two labels for each row; the larger one, such as True or 1, is the positive.
        groups: which rows belong together, so that none is both trained on and judged.
        texts: of each row, for the controls that read words.
        folds: such as 5, to judge the folds of a cross-validation instead of groups. The interval
            is then also about probes that learn from other rows, and it is wide, because folds
            share training data (Nadeau and Bengio 2003).
        sentence: what is claimed, in words, as `check` takes it.
        holds: a condition such as "auroc > 0.8", which should be false of every control.
        embeddings: of each row, [row, d]; with a model they are read off it.
        untrained: an untrained model's activations, [row, d]; with a model they are measured.
        asked: a score for each row, above 0 for yes, from asking the model in words.
        controls: what else is known of each row, such as {"session": session}: words, numbers, or
            [row, d]. On each, a probe is trained in the same way.
        model: a name, a folder, or a model of transformers, for embeddings, `untrained` and
            `asked`.
        tokenizer: that of a model in memory.
        site: where the activations are from, such as "blocks.9.hook_resid_post".
        position: of which token, or "mean".
        question: asked of the model, with {text} in it, such as "{text}\\nTrue? Answer yes or no:".
        answers: its answer for the positive label, and for the other.
        ledger: whether to record that this condition was tried on these texts (or rows), and report
            how many were.
    Raises: DataError, ClaimError, ModelError.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> draw, y = np.random.default_rng(0), np.arange(60) % 2
        >>> X = draw.normal(size=(60, 8)) + 3 * np.outer(y, np.eye(8)[0])
        >>> p = assay.check_probe(X, y, holds="auroc > 0.8")
        >>> p.outcome, list(p.controls)
        ('holds', ['permuted'])
    """
    texts = None if texts is None else [*map(str, texts)]
    rows = _Rows.read(X, y, groups, texts, folds)
    given: dict[Control, Any] = {EMBEDDING: embeddings, UNTRAINED: untrained, ASKED: asked}
    if model is not None:
        asking = site, position, question, answers
        more = rows.of_model(model, tokenizer, texts, *asking)
        given = {**more, **{k: v for k, v in given.items() if v is not None}}
    own = {THE_MODELS: given.pop(THE_MODELS)} if THE_MODELS in given else {}
    given |= _own(controls or {}, len(rows.x))
    readers = {**rows.of_texts(texts), **rows.of_others(given)}
    in_texts = {c: words for c, words in IN_TEXTS.items() if c not in given}
    why = {c.name: in_texts.get(c, c.why) for c in (*readers, PERMUTED)}
    tested = _tested(rows.positive[rows.held], rows.group[rows.held])
    claim = Question(
        sentence=sentence, holds=holds, unit=rows.unit, why=why, tested=tested, scope=rows.scope
    )
    names, words = _names_of(rows.group, groups), (BAG, PLACES, SPELLING, PAIRS, EMBEDDING)
    claim = replace(claim, groups=names, reads_words=tuple(c.name for c in words if c in readers))
    scored = _scored(rows, {**rows.of_others(own), **readers})
    rows.notes.extend(_in_order(np.mean(scored[PROBE][0], axis=0), rows.positive, rows.group))
    numbers, added = _without_equal(_numbers(rows, scored), rows.unit)
    rows.notes.extend([*added, *_within_groups(rows, scored[PROBE][0], numbers)])
    arms, verdict = claim.compared(numbers)
    warnings = rows.warnings(arms, readers, texts, groups, is_models=bool(own))
    claim = replace(claim, doubts=_doubts([*warnings, *rows.notes], controls or {}))
    verdict = verdict and claim.doubted(verdict)
    named = _alone([c for c in in_texts if c in readers], texts, rows.positive, arms, verdict)
    claim = replace(claim, alone=named | rows.most_frequent(holds))
    if verdict:
        on, given_rows = ("rows", Given(rows.x)) if texts is None else ("texts", Given(texts))
        asks = (rows.x, rows.positive, *([folds] if folds else []))
        rows.notes.extend([*verdict.warnings, *verdict.notes])
        done = ProbeCheck(claim, arms, numbers, verdict, ())
        rows.notes.extend(given_rows.tried(on, asks, done, ledger=ledger))
    notes = tuple(dict.fromkeys((*warnings, *rows.notes)))
    if groups is None and not any("groups=" in note for note in notes):
        notes += (INDEPENDENT,)
    return ProbeCheck(claim, arms, numbers, verdict, notes)


def _doubts(notes: Sequence[str], controls: Mapping[str, Any]) -> dict[str, str]:
    """By what is doubtful what would decide it; "" where the author gave what may be the cause, or
    the label itself may be it."""
    found = {words: x for words, x in related.DOUBTS.items() if any(words in n for n in notes)}
    unexplained = [n for n in notes if related.UNEXPLAINED in n]
    if unexplained and (controls or all(related.BY_LABEL in n for n in unexplained)):
        known = listed([*map(str, controls)]) if controls else "the label"
        found[related.UNEXPLAINED] = f"something other than {known} causes the clusters", ""
    return dict(found.values())


class Dealt(NamedTuple):
    """How groups are dealt out to folds."""

    group: np.ndarray
    """The group of each row, by a number that the order of the rows does not change."""
    ways: list[Parts]
    """Several ways of dealing them out, over which measures are averaged."""

    def fold_of(self, way: int) -> np.ndarray:
        """The fold of each row, from 1."""
        of = np.empty_like(self.group)
        for k, (_, judged) in enumerate(self.ways[way], 1):
            of[judged] = k
        return of


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of a probe, and which of them are learned from and judged together."""

    x: np.ndarray
    positive: np.ndarray
    group: np.ndarray
    dealt: Dealt
    unit: str
    """What is generalised over: group, or fold."""
    units: np.ndarray
    """The unit of each row, by its number."""
    notes: list[str]
    labels: Sequence[Any]
    """The negative and the positive one."""
    of_texts_alone: Dealt
    """By what controls of texts are judged: without what is joined for the activations alone, as
    texts would then be judged by chance."""

    @classmethod
    def read(
        cls,
        X: Array,
        y: Any,
        groups: Any,
        texts: Sequence[str] | None,
        folds: int,
    ) -> _Rows:
        """Read and check them. Raises: DataError."""
        x = _matrix("X", X, None)
        positive, names = _labels(y, len(x))
        stated = _groups(groups, len(x))
        if texts is not None and len(texts) != len(x):
            raise DataError(f"texts has length {len(texts)} for {len(x)} rows of X")
        group, same = related.with_same_texts(stated, texts)
        for find in (related.with_same_rows, related.with_mirrored_rows):
            group, equal = find(x, group)
            same += equal
        if (count := int(group.max()) + 1) < LEAST_GROUPS:
            of = f"{same[0]}. Here " if count <= int(stated.max()) else ""
            raise DataError(
                f"{of}there {'is' if count == 1 else 'are'} {count} {plural('group', count)}; a "
                "probe is trained and tuned on some and judged on others, which takes three, and a "
                f"verdict takes {FEWEST}; what rows share can be a control: controls="
                '{"session": …}'
            )
        own = group
        group, joined = related.with_overlaps(x, group, texts)
        in_texts = True
        if not joined:
            group, in_texts, joined = related.with_near_copies(x, positive, group, texts)
        examples = [] if groups is None else related.merged(list(map(str, groups)), stated, group)
        joined = [*same, *joined, *examples, *_suspicious(x, positive)]
        notes = [f"the positive label is {names[1]!r}, the negative one {names[0]!r}"]
        notes *= names not in ([0, 1], [-1, 1])  # and False and True, which equal 0 and 1
        order = reading.order_of(stated if groups is not None else 0 * stated, x, positive, texts)
        dealt = _dealt(group, positive, order, folds)
        alone = dealt if in_texts or folds else _dealt(own, positive, order)
        unit, units = (FOLD, dealt.fold_of(0)) if folds else (GROUP, group)
        return cls(x, positive, group, dealt, unit, units, [*notes, *joined], names, alone)

    @property
    def held(self) -> np.ndarray:
        """The rows that are judged."""
        return np.concatenate([judged for _, judged in self.dealt.ways[0]])

    @property
    def scope(self) -> str:
        """Say how many rows are judged, and over what intervals are."""
        words = f"{len(self.held):,} rows of {len(np.unique(self.group[self.held])):,} groups"
        where = f", in {len(self.dealt.ways[0])} folds of whole groups" if self.unit == FOLD else ""
        return f"{words}{where}; intervals are over {self.unit}s"

    def warnings(
        self,
        arms: pd.DataFrame,
        readers: Mapping[Control, Any],
        texts: Sequence[str] | None,
        groups: Any,
        *,
        is_models: bool,
    ) -> list[str]:
        """Say what makes the numbers of the probe, or of controls that read texts, doubtful. Where
        the model's own activations are known to be the same, clusters have their cause in it."""
        shared, (alone, _) = shared_words(texts) if texts else {}, self.of_texts_alone
        found = related.recognised(self.positive, self.group, texts or (), shared) or [
            *related.of_other_labels(below_chance(arms), self.positive, alone, readers, texts),
            *_combined(shared, groups),
        ]
        auroc = dict(zip(arms["arm"], arms["auroc"], strict=True))
        found = [*self.of_codes(auroc[PROBE]), *found]
        best = max((auroc[c.name] for c in (*IN_TEXTS, EMBEDDING) if c in readers), default=1)
        if is_models and not any(x in note for note in self.notes for x in (DIFFERS, ADDED)):
            self.notes[:] = [note.replace(related.WITHOUT_CAUSE, "") for note in self.notes]
            return found
        if texts is None or best >= (0.5 + auroc[PROBE]) / 2:
            return found
        labels = _label_of_each(self.positive.astype(float), self.positive, self.group)[1]
        mixed = _in_blocks(labels) is None
        return [*related.in_two_clusters(self.x, self.positive, mixed=mixed), *found]

    def of_codes(self, auroc: float) -> list[str]:
        """Say that one column alone does better than the probe, where X looks like the codes of a
        dictionary, most of which are 0: a ridge regression heeds the noise of all others."""
        if (zeros := float((self.x == 0).mean())) < 0.5:
            return []
        ways = self.dealt.ways
        scores = [reading.scores_of_one_column(self.x, self.positive, way) for way in ways]
        of = [self.dealt.fold_of(k) for k in range(len(ways))]
        alone = reading.measures(np.array(scores), self.positive, np.array(of))[1]
        if alone <= auroc:
            return []
        return [
            f"{zeros:.0%} of X is 0, as in the codes of a dictionary, and the one column that is "
            f"best on the rows that are learned from has AUROC {alone:.3f} on the others, more "
            f"than the probe of all columns, {auroc:.3f}: choose a few columns on other rows, and "
            "give these"
        ]

    def most_frequent(self, holds: str) -> dict[str, str]:
        """Say what a claim about accuracy compares with: always giving the more frequent label."""
        y = self.positive[self.held]
        share = max(y.mean(), 1 - y.mean())
        if share == 0.5 or not holds or "accuracy" not in {c.name for c in parse(holds).columns}:
            return {}
        name = self.labels[int(y.mean() > 0.5)]
        return {PERMUTED.name: f"always giving the label {name!r}: accuracy {share:.3f}"}

    def of_texts(self, texts: Sequence[str] | None) -> dict[Control, Kernel]:
        """Read what the controls read that see words alone."""
        if texts is None:
            self.notes.append(_NO_TEXTS)
            return {}
        lengths = reading.of_columns(text_counts.lengths(texts))
        return {
            **{BAG: reading.bag(texts), LENGTHS: lengths, PLACES: reading.places(texts)},
            SPELLING: reading.of_counts(text_counts.spellings(texts)),
            PAIRS: reading.of_counts(text_counts.pairs(texts)),
        }

    def of_model(
        self, model: Any, tokenizer: Any, texts: Sequence[str] | None, *asking: Any
    ) -> dict[Control, Any]:
        """Read what a model gives, and note how its activations differ. Raises: DataError."""
        from assay.checking import of_model

        if texts is None:
            raise DataError("with model= the texts are needed: texts=")
        given, differ = of_model.read(self.x, model, tokenizer, texts, *asking)
        self.notes.extend(differ)
        return given

    def of_others(self, given: Mapping[Control, Any]) -> dict[Control, Kernel | np.ndarray]:
        """Read what the author, or a model, gives for controls, and note what is missing."""
        readers: dict[Control, Kernel | np.ndarray] = {}
        for control, values in given.items():
            if values is None:
                self.notes.append(f"{_without(control)} {_HOW[control]}")
            elif control is ASKED:
                score = _matrix("asked", values, len(self.x), columns=False)[:, 0]
                if reversed_ := reading.measures(score, self.positive)[1] < 0.5:
                    self.notes.append(
                        "the control asked is lower for positive rows than for negative ones: its "
                        "sign is reversed"
                    )
                readers[control] = -score if reversed_ else score
            else:
                readers[control] = reading.of_columns(_matrix(control.name, values, len(self.x)))
        return readers


def _own(controls: Mapping[str, Any], count: int) -> dict[Control, np.ndarray]:
    """By each of the author's own controls what is known of each row. Raises: DataError."""
    if not isinstance(controls, Mapping):
        raise DataError(
            'controls= is what is known of each row by name, such as {"session": session}, got '
            f"{type(controls).__name__}"
        )
    for name in controls:
        if name in (PROBE, PERMUTED.name, THE_MODELS.name, *(c.name for c in (*IN_TEXTS, *_HOW))):
            raise DataError(f"controls= names {name!r}, which Assay calls its own; rename it")
    return {
        Control(str(name), f"{name} alone predicts it", drawn=False): _known(name, values, count)
        for name, values in controls.items()
    }


def _known(name: str, values: Any, count: int) -> np.ndarray:
    """What is known of each row, as columns: numbers as they are, and one column for each word; so
    too for each number where each comes twice on average, as these may be names. Raises:
    DataError."""
    values = values.to_numpy() if hasattr(values, "to_numpy") else values  # a table or a column
    things = labels_of(values) if hasattr(values, "__iter__") else []
    if len(things) != count:
        raise DataError(f"the control {name!r} has length {len(things)} for {count} rows of X")
    words = isinstance(things[0], str)
    for row, x in enumerate(things):
        if isinstance(x, str) != words or x is None or (np.ndim(x) == 0 and x != x):
            raise DataError(f"the control {name!r} has {x!r} for row {row}; give words or numbers")
    columns = np.empty((count, 0)) if words else _matrix(name, values, count, columns=False)
    if columns.shape[1] < 2:
        names, of = np.unique(np.array(things).reshape(count), return_inverse=True)
        if 2 * len(names) <= count:
            columns = np.hstack([columns, np.eye(len(names))[of]])
        elif words:
            raise DataError(
                f"the control {name!r} has {len(names)} words for {count} rows; a probe can only "
                "learn of words that come again"
            )
    return columns


def _scored(
    rows: _Rows, readers: Mapping[Control, Kernel | np.ndarray]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Score every row by what was learned from other groups: by the probe and by each control, by
    the shuffled labels several times; and the fold of each row, both as [way, row]."""
    probe = reading.of_columns(rows.x)
    steps = Steps("probes", 2 + len(readers))

    def score(arm: str, reader: Kernel | np.ndarray, shuffles: int = 0) -> Any:
        started, of_texts = time.monotonic(), arm in (c.name for c in (*IN_TEXTS, EMBEDDING))
        dealt = rows.of_texts_alone if of_texts else rows.dealt
        if isinstance(reader, np.ndarray):  # nothing is learned
            steps.take(arm)
            return reader[None], np.zeros((1, len(reader)), dtype=np.int64)
        way = rows.positive, dealt.group
        scores = [
            np.atleast_2d(reading.scores(reader, *way, parts, k, partial(whose, k, shuffles)))
            for k, parts in enumerate(dealt.ways)
        ]
        steps.take(arm, time.monotonic() - started)
        of = [dealt.fold_of(k) for k, part in enumerate(scores) for _ in part]
        return np.concatenate(scores), np.array(of)

    def whose(dealing: int, shuffles: int, train: np.ndarray) -> np.ndarray:
        if not shuffles:
            return train
        group, y, first = rows.dealt.group[train], rows.positive.astype(int), dealing * shuffles
        deals = range(first, first + shuffles)
        return np.array([shuffled_rows(y, train, group, 0, deal) for deal in deals])

    arms = {PROBE: probe, **{control.name: reader for control, reader in readers.items()}}
    scored = {arm: score(arm, reader) for arm, reader in arms.items()}
    return {**scored, PERMUTED.name: score(PERMUTED.name, probe, SHUFFLED // len(rows.dealt.ways))}


_HOW: Mapping[Control, str] = {
    EMBEDDING: "give embeddings= of each row, or model=",
    UNTRAINED: "give untrained=, an untrained model's activations, or model= and site=",
    ASKED: 'give asked=, a score for each row, or model= and question="… {text} …"',
}


_NUMBERS = {EMBEDDING: "embeddings=", UNTRAINED: "untrained=", ASKED: "asked="}
_WITH = {UNTRAINED: "site=", ASKED: 'question="… {text} …"'}
"""The argument that has the numbers of a control, and what a model needs to give them."""
_NO_TEXTS = (
    "no controls of words and spelling, which show if a word gives the label away: give texts="
)


def _without(control: Control) -> str:
    """How the note begins that says why a control is missing."""
    return f"no control {control.name}:"


def _numbers(rows: _Rows, scored: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """The part of each group, or of each fold, in the measures of each arm. Raises: DataError."""
    import pandas as pd

    y, units, frames = rows.positive, rows.units, []
    for arm, (scores, of) in scored.items():
        if rows.unit == FOLD:
            values = np.mean([reading.of_folds(s, y, units) for s in scores], axis=0)
        else:
            values = reading.pseudo_values(scores, y, units, of)
        columns = dict(zip(MEASURES, values.T, strict=True))
        if rows.unit == GROUP:
            whole = reading.measures(scores, y, of)
            columns |= {f"{m}{POOLED}": x for m, x in zip(MEASURES, whole, strict=True)}
        frames.append(pd.DataFrame({"arm": arm, rows.unit: np.unique(units), **columns}))
    numbers = pd.concat(frames, ignore_index=True)
    if numbers[list(MEASURES)].isna().any(axis=None):
        raise DataError("without one of the groups only one label is left; give more groups")
    return numbers


def _within_groups(rows: _Rows, scores: np.ndarray, numbers: pd.DataFrame) -> list[str]:
    """Note that rows of one group are separated clearly better than those of different ones, as in
    groups that have other levels."""
    if rows.unit == FOLD:
        return []
    group = np.broadcast_to(rows.group, scores.shape)
    inside = reading.measures(scores, rows.positive, group)[1]
    own = reading.pseudo_values(scores, rows.positive, rows.group, group)[:, 1]
    probe = numbers[numbers["arm"] == PROBE]
    across = _pooled(probe, "auroc")
    if np.isnan(own).any() or inside < across + CLEARLY:
        return []
    lead = _estimated("lead", own - probe["auroc"].to_numpy(), GROUP, inside - across)
    return [
        f"{WITHIN} is {inside:.3f}, and between rows of different groups it is lower, as where "
        "groups have other levels: if the claim is about rows of one group, subtract the mean of "
        "each group from its rows of X"
        for _ in range(lead["lead_low"] > 0)
    ]


def _without_equal(numbers: pd.DataFrame, unit: str) -> tuple[pd.DataFrame, list[str]]:
    """The numbers without those of the model's own activations, unless X clearly tells the label
    better; and a note if so."""
    of = dict([*numbers.groupby("arm")])
    if THE_MODELS.name not in of:
        return numbers, []
    (x, whole), (own, less) = (
        (of[arm]["auroc"].to_numpy(), _pooled(of[arm], "auroc")) for arm in (PROBE, THE_MODELS.name)
    )
    if _estimated("lead", x - own, unit, whole - less)["lead_low"] <= 0:
        return numbers[numbers["arm"] != THE_MODELS.name], []
    return numbers, [
        f"{ADDED} (AUROC {whole:.3f} and {less:.3f}): something was added to it, or taken from it, "
        "that goes with the label, such as a shift of a session or batch; compute X of all rows in "
        "one way"
    ]


def _alone(
    controls: Sequence[Control],
    texts: Sequence[str] | None,
    y: np.ndarray,
    arms: pd.DataFrame,
    verdict: Judged | None,
) -> dict[str, str]:
    """By control what of the texts tells the label by itself, at least halfway from chance to what
    the control does; not of those that do not satisfy the claim."""
    known, said = dict(zip(arms["arm"], arms["auroc"], strict=True)), {}
    for control in controls:
        if verdict is None or verdict.controls[control.name].outcome != "fails":
            least = (0.5 + known[control.name]) / 2
            if found := text_counts.find_telling(control, texts or (), y, least):
                said[control.name] = f"{found[0]} alone: AUROC {found[1]:.3f}"
    return said


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


def _combined(shared: Mapping[str, np.ndarray], groups: Sequence[Any] | None) -> list[str]:
    """A note where texts are combinations, such as of four beginnings and six endings, and each is
    judged by a probe that has learned from both of its parts."""
    if groups is not None:
        return []
    ways = {f"{way} of text": of for way, of in shared.items()}
    counts = {name: int(of.max()) + 1 for name, of in ways.items()}
    enough = " or by ".join(name for name, n in counts.items() if n >= FEWEST)
    return [
        f"{combinations_in_words('row', counts)}, and each is judged by a probe that learned from "
        f"rows that share a part with it: give groups= by {enough}"
        for _ in crossed(ways)
        if enough
    ]


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
            line |= _estimated(measure, x, question.unit, _pooled(of[arm], measure))
            if question.unit == FOLD and (x == 1).all():
                line[f"{measure}_low"] = 1 - wrong_at_most(question.tested[measure], len(x))
            if measure == sole and arm in judged:
                line |= {f"{sole}_low": judged[arm].low, f"{sole}_high": judged[arm].high}
        if arm != PROBE:
            lead = of[PROBE]["auroc"].to_numpy() - of[arm]["auroc"].to_numpy()
            line |= _estimated("lead", lead, question.unit, lines[0]["auroc"] - line["auroc"])
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


def _pooled(rows: pd.DataFrame, measure: str) -> float:
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
        value = _pooled(arms.get_group(v.arm), measure)
        narrower = (min(*v.narrower, value), max(*v.narrower, value)) if v.narrower else ()
        low, high = min(v.low, value), max(v.high, value)
        return {"estimate": value, "low": low, "high": high, "narrower": narrower}

    controls = {k: structs.replace(v, **pooled(v)) for k, v in verdict.controls.items()}
    return structs.replace(verdict, **pooled(verdict), controls=controls)


def _estimated(name: str, x: np.ndarray, unit: str, value: float) -> dict[str, float]:
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


def _tested(y: np.ndarray, group: np.ndarray) -> dict[str, int]:
    """How many independent trials are behind a measure: groups, and pairs of a positive and a
    negative row from groups of their own."""
    count = len(np.unique(group))
    pairs = min(len(np.unique(group[y])), len(np.unique(group[~y])), count // 2)
    return {"accuracy": count, "auroc": pairs}


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


def _matrix(name: str, value: Array, count: int | None, *, columns: bool = True) -> np.ndarray:
    """Numbers as [row, column]. Raises: DataError."""
    if hasattr(value, "float") and hasattr(value, "detach"):
        value = value.detach().float()
    x = as_numpy(value).astype(float)
    x = x.reshape(len(x), -1) if x.ndim == 1 and not columns else x
    if x.ndim != 2 or (count is not None and len(x) != count):
        rows = "a row for each label" if count is None else f"{count} rows, as X has"
        raise DataError(f"{name} has the shape {x.shape}; give [row, column] with {rows}")
    if not np.isfinite(x).all():
        row = int(np.argwhere(~np.isfinite(x))[0, 0])
        raise DataError(f"{name} has a number that is not finite, in row {row}")
    if columns and np.ptp(x, axis=0).max() <= EQUAL * np.abs(x).max():
        raise DataError(
            f"{name} has the same numbers in every row, but for rounding, so nothing can be read "
            "from it"
        )
    if len(x) > MOST:
        raise DataError(f"{name} has {len(x):,} rows; at most {MOST:,} are compared")
    return x


def _labels(y: Any, count: int) -> tuple[np.ndarray, list[Any]]:
    names = labels_of(y)
    if len(names) != count:
        raise DataError(
            f"y has length {len(names)}, and X has length {count}; X is [row, column], with a row "
            "for each label"
        )
    if empty := [i for i, name in enumerate(names) if name is None or name != name]:
        raise DataError(f"y has no label for row {empty[0]}; leave such rows out")
    if len(kinds := sorted(set(names))) != 2:
        raise DataError(f"y must have labels of two kinds, got {len(kinds)}")
    return np.array([n == kinds[1] for n in names]), kinds


def _groups(groups: Any, count: int) -> np.ndarray:
    if groups is None:
        return np.arange(count)
    names = [str(g) for g in groups]
    if len(names) != count:
        raise DataError(f"groups has length {len(names)} for {count} rows of X")
    return np.asarray(np.unique(np.array(names), return_inverse=True)[1])


def _names_of(group: np.ndarray, groups: Sequence[Any] | None) -> dict[str, str]:
    """By the number of each group its author's name for it, of merged ones the first; or its first
    row where none were named."""
    numbers, first = np.unique(group, return_index=True)
    names = [f"group {str(g)!r}" for g in (() if groups is None else groups)] or [
        f"row {i}" for i in range(len(group))
    ]
    return {str(number): names[i] for number, i in zip(numbers, first, strict=True)}


def _dealt(group: np.ndarray, y: np.ndarray, order: np.ndarray, folds: int = 0) -> Dealt:
    """Deal whole groups out to folds, in several ways or into so many folds, by the order of their
    rows. Raises: DataError."""
    numbers = np.empty_like(group)
    numbers[order] = numbered(group[order].tolist())
    if folds:
        of = _folds(folds, numbers, y)
        every = [[(np.flatnonzero(of != k), np.flatnonzero(of == k)) for k in range(folds)]]
    else:
        ways = DEALINGS if len(y) <= FEW_ROWS else 1
        every = [reading.parts_of(list(numbers), y, k) for k in range(ways)]
    ordered = [[(order[np.isin(order, a)], judged) for a, judged in parts] for parts in every]
    return Dealt(numbers, ordered)


def _folds(count: int, group: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The fold of each row, by whole groups, with as many groups of each label in each. Raises:
    DataError."""
    if (groups := len(np.unique(group))) < count or count < FEWEST_FOLDS:
        raise DataError(
            f"folds= is a number from {FEWEST_FOLDS}, since fewer folds decide nothing, to the "
            f"number of groups, {groups}; got {count}"
        )
    of = stratified_folds(group, y.astype(int), count)
    if any(len(np.unique(y[of == k])) < 2 for k in range(count)):
        raise DataError(
            f"a fold would have rows of one label alone; give fewer folds than {count}, or more "
            "groups of the rarer label"
        )
    return of


def _suspicious(x: np.ndarray, y: np.ndarray) -> list[str]:
    """Notes on activations that are none: a column that is the label, and rows far larger than the
    others."""
    notes = []
    low, high = x[~y], x[y]
    if (
        same := (np.ptp(low, axis=0) == 0) & (np.ptp(high, axis=0) == 0) & (low[0] != high[0])
    ).any():
        notes.append(
            f"column {int(same.argmax())} of X has one number for each label, as the label itself "
            "has: leave it out if it is no activation"
        )
    varies = np.ptp(x, axis=0) > 0
    apart = np.abs(high.mean(0) - low.mean(0))[varies]
    if (apart <= EQUAL * x.std(0)[varies]).all():
        notes.append(
            "both labels have the same mean in every column of X, as if the rows of each label "
            "were centred by themselves, which takes away what a linear probe reads: centre all "
            "rows together"
        )
    off = np.abs(x - np.median(x, axis=0)).max(1)
    if len(far := np.flatnonzero(off > HUGE * np.median(off))):
        notes.append(
            f"{len(far)} of {len(x):,} rows, such as row {far[0]}, are more than {HUGE} times as "
            "far from the median row as is usual, and the probe follows them: a BOS token, a "
            "mean over tokens that includes the first one, or an overflow?"
        )
    return notes


def _label_of_each(score: np.ndarray, y: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The mean score and the label of each group that has one label, in the order of the rows."""
    names = dict.fromkeys(group.tolist())  # in the order of their first rows
    points = [(score[group == k].mean(), y[group == k].mean()) for k in names]
    return np.array([p for p in points if p[1] in (0, 1)]).reshape(-1, 2).T


def _in_blocks(labels: np.ndarray) -> np.ndarray | None:
    """The block of one label that each group is in; None where labels are mixed along the rows."""
    block = np.cumsum(np.diff(labels, prepend=labels[:1]) != 0)
    return block if 0 < BLOCK * len(np.unique(block)) <= len(block) else None


def _in_order(score: np.ndarray, y: np.ndarray, group: np.ndarray) -> list[str]:
    """A note where the labels come in blocks, and within those of either label the score of a group
    moves with its place: by Spearman's rank correlation, at the 1% level for each label."""
    values, labels = _label_of_each(score, y, group)
    block = _in_blocks(labels)
    if block is None:
        return []
    both = np.stack([values, np.arange(len(block), dtype=float)])
    inside = both.copy()
    for k in np.unique(block):
        inside[:, block == k] -= inside[:, block == k].mean(1, keepdims=True)
    few = min((labels == k).sum() for k in (0, 1)) < 2 * FEWEST
    if few or any(np.ptp(x[labels == k]) == 0 for k in (0, 1) for x in inside):
        return []
    found = [scipy.stats.spearmanr(*inside[:, labels == k]) for k in (0, 1)]
    if max(x.pvalue for x in found) >= 0.01 or found[0].statistic * found[1].statistic < 0:
        return []
    apart, of_places = both[:, labels == 1].mean(1) - both[:, labels == 0].mean(1)
    explained = of_places * (inside[0] @ inside[1]) / np.square(inside[1]).sum()
    share = f" {related.ENOUGH}" * bool(explained >= apart / 2)
    return [
        f"{SORTED}, and among those of one label the probe's score drifts along the rows{share}: "
        "if X depends on when or in which batch a row was computed, that alone separates the "
        'labels; compute X in mixed order, or give controls={"batch": …} of each row'
    ]
