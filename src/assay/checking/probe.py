"""check_probe: activations and labels from anywhere → how well a linear probe separates them,
next to everything that separates them without what the probe is about."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.ask import telling as text_counts
from assay.ask.measure.probe_fits import shuffled_rows
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
)
from assay.checking import reading, related
from assay.checking.calls import Steps
from assay.checking.credited import labels_of
from assay.checking.probe_result import (
    CLEARLY,
    IN_TEXTS,
    MEASURES,
    NAMED,
    NO_TEXTS,
    NUMBERS,
    ONE_COLUMN,
    POOLED,
    PROBE,
    WITHIN,
    ProbeCheck,
    Question,
    below_chance,
    estimated,
    lacking,
    outcome_alone,
    over_all_rows,
)
from assay.checking.probe_rows import (
    GROUP,
    Dealt,
    Rows,
    in_blocks,
    in_order,
    label_of_each,
    matrix,
    names_of,
)
from assay.checking.prompts import Given
from assay.checking.reading import Kernel
from assay.checking.related import ADDED, DIFFERS, THE_MODELS
from assay.core.arrays import Array
from assay.core.dependence import combinations_in_words, crossed
from assay.core.errors import DataError, briefly
from assay.core.expression import parse
from assay.core.intervals import FEWEST, FOLD
from assay.core.results import Judged
from assay.core.scopes import listed
from assay.core.wordings import shared_words

if TYPE_CHECKING:
    import pandas as pd

SHUFFLED = 40
"""Number of shuffles of the labels that are averaged, so that chance moves them little from 0.5."""
FOLDS_WIDER = 1.5
"""How many times as wide as of independent units an interval of five folds is."""
READ_WORDS = (BAG, PLACES, SPELLING, PAIRS, EMBEDDING)
INDEPENDENT = (
    "no groups= are given, so rows count as independent: give rows of one source, such as an "
    "author, a session or a document, one group"
)


@briefly
def check_probe(
    X: Array,
    y: Sequence[Any] | Array,
    *,
    groups: Sequence[Any] | None = None,
    texts: Sequence[str] | None = None,
    k: int | None = None,
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

    The probe is a ridge regression whose penalty is chosen on its training rows; so are its columns
    if `k` is given. Each row is judged by a probe that was trained on other groups. Controls are
    trained in the same way: on a bag of words, lengths, words by position, embeddings, an untrained
    model's activations, or shuffled labels; `asked` is not trained.

    Args:
        X: activations, [row, d], from anywhere.
        y: one of two labels for each row; the larger one, such as True or 1, is the positive.
        groups: which rows belong together, so that none is both trained on and judged.
        texts: of each row, for the controls that read words.
        k: how many columns the probe reads, for sparse codes such as a dictionary's latents: those
            that correlate most with the label in the training rows, chosen anew in each fold, and
            for each shuffle of the labels. By default it reads all.
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
    Source: Gurnee et al., Finding neurons in a haystack (2023), for `k`.
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
    rows = Rows.read(X, y, groups, texts, folds, k)
    given: dict[Control, Any] = {EMBEDDING: embeddings, UNTRAINED: untrained, ASKED: asked}
    if model is not None:
        asking = site, position, question, answers
        more = _of_model(rows, model, tokenizer, texts, *asking)
        given = more | {c: x for c, x in given.items() if x is not None}
    own = {THE_MODELS: given.pop(THE_MODELS)} if THE_MODELS in given else {}
    given |= _own(controls or {}, len(rows.x))
    readers = {**_of_texts(rows, texts), **_of_others(rows, given)}
    in_texts = {c: words for c, words in IN_TEXTS.items() if c not in given}
    why = {c.name: in_texts.get(c, c.why) for c in (*readers, PERMUTED)}
    tested, words = _tested(rows), tuple(c.name for c in READ_WORDS if c in readers)
    claim = Question(
        sentence=sentence, holds=holds, unit=rows.unit, why=why, tested=tested, scope=rows.scope
    )
    claim = replace(claim, groups=names_of(rows.group, groups), reads_words=words)
    scored = _scored(rows, {**_of_others(rows, own), **readers})
    numbers, added = _without_equal(_numbers(rows, scored), rows.unit)
    rows.notes.extend([*added, *_about_scores(rows, scored[PROBE][0], numbers)])
    claim = replace(claim, regrouped=_regrouped(rows, holds, numbers, named=groups is not None))
    arms, verdict = claim.compared(numbers)
    warnings = _warnings(rows, arms, readers, texts, groups, is_models=bool(own))
    claim = replace(claim, doubts=_doubts([*warnings, *rows.notes], controls or {}))
    verdict = verdict and claim.doubted(verdict)
    named = _alone([c for c in in_texts if c in readers], texts, rows.positive, arms, verdict)
    claim = replace(claim, alone=named | _most_frequent(rows, holds))
    if verdict:
        on, asked_of = ("rows", Given(rows.x)) if texts is None else ("texts", Given(texts))
        asks = rows.x, rows.positive, *([folds] * bool(folds)), *([f"k={k}"] * bool(k))
        done = ProbeCheck(claim, arms, numbers, verdict, ())
        tried = asked_of.tried(on, asks, done, ledger=ledger)
        rows.notes.extend([*verdict.warnings, *verdict.notes, *tried])
    notes = tuple(dict.fromkeys((*warnings, *rows.notes)))
    said = bool(rows.alike[0]) or any("groups=" in note for note in notes)
    notes += (INDEPENDENT,) * (groups is None and not said)
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


def _warnings(
    rows: Rows,
    arms: pd.DataFrame,
    readers: Mapping[Control, Any],
    texts: Sequence[str] | None,
    groups: Any,
    *,
    is_models: bool,
) -> list[str]:
    """Say what makes the numbers of the probe, or of controls that read texts, doubtful. Where
    the model's own activations are known to be the same, clusters have their cause in it."""
    shared, (alone, _) = shared_words(texts) if texts else {}, rows.of_texts_alone
    found = related.recognised(rows.positive, rows.group, texts or (), shared) or [
        *related.of_other_labels(below_chance(arms), rows.positive, alone, readers, texts),
        *_combined(shared, groups),
    ]
    auroc = dict(zip(arms["arm"], arms["auroc"], strict=True))
    best = max((auroc[c.name] for c in (*IN_TEXTS, EMBEDDING) if c in readers), default=1)
    if is_models and not any(x in note for note in rows.notes for x in (DIFFERS, ADDED)):
        rows.notes[:] = [note.replace(related.WITHOUT_CAUSE, "") for note in rows.notes]
        return found
    if texts is None or best >= (0.5 + auroc[PROBE]) / 2:
        return found
    labels = label_of_each(rows.positive.astype(float), rows.positive, rows.group)[1]
    mixed = in_blocks(labels) is None
    return [*related.in_two_clusters(rows.x, rows.positive, mixed=mixed), *found]


def _about_columns(rows: Rows, numbers: pd.DataFrame) -> list[str]:
    """Say which columns the probe reads, if only a few; or that one alone does clearly better than
    all, where X looks like the codes of a dictionary, most of which are 0: a ridge regression heeds
    the noise of all others."""
    if rows.k:
        trains = [train for way in rows.dealt.ways for train, _ in way]
        signs = np.where(rows.positive, 1.0, -1.0)
        z = reading.Columns(rows.x)
        chosen = [reading.best_columns(z.scaled(t)[t], signs[None, t], rows.k)[0] for t in trains]
        counts = np.bincount(np.concatenate(chosen))
        often = np.argsort(-counts, kind="stable")[: min(NAMED, np.count_nonzero(counts))]
        found = listed([f"column {i} in {counts[i]}" for i in often])
        return [f"columns are chosen {len(trains)} times, once for each fold: {found}"]
    if (zeros := float((rows.x == 0).mean())) < 0.5:
        return []
    alone = _numbers(rows, {PROBE: _probed(replace(rows, k=1), rows.dealt)})
    whole = numbers[numbers["arm"] == PROBE]
    if not _is_ahead(alone, whole, rows.unit):
        return []
    better, less = (over_all_rows(x, "auroc") for x in (alone, whole))
    return [
        f"{ONE_COLUMN}: AUROC {better:.3f} and {less:.3f}, the column chosen on the rows that are "
        f"learned from; {zeros:.0%} of X is 0, as in the codes of a dictionary"
    ]


def _is_ahead(one: pd.DataFrame, other: pd.DataFrame, unit: str) -> bool:
    """Whether the AUROC of one arm is clearly higher than that of another."""
    whole, less = (over_all_rows(x, "auroc") for x in (one, other))
    lead = one["auroc"].to_numpy() - other["auroc"].to_numpy()
    return bool(estimated("lead", lead, unit, whole - less)["lead_low"] > 0)


def _regrouped(rows: Rows, holds: str, numbers: pd.DataFrame, *, named: bool) -> dict[str, str]:
    """What is said of rows that were found to be alike, and are taken as one group or kept apart:
    the number and the outcome if it were the other way. Nothing where these are the same."""
    if not rows.alike[0]:
        return {}
    what, line = rows.alike
    is_kept = rows.other.group.max() < rows.dealt.group.max()
    units = rows.other.fold_of(0) if rows.unit == FOLD else rows.other.group
    others = replace(rows, group=rows.other.group, dealt=rows.other, units=units)
    found = _numbers(others, {PROBE: _probed(rows, rows.other)})
    own = numbers[numbers["arm"] == PROBE]
    outcome, other = (outcome_alone(holds, x, rows.unit) for x in (own, found))
    one, apart = (over_all_rows(x, "auroc") for x in ((found, own) if is_kept else (own, found)))
    if outcome == other and abs(one - apart) < CLEARLY:
        return {}
    how = "in the groups that groups= names" if named and not is_kept else "by rows"
    every = f"groups=range({len(rows.x)})"
    give = f"groups={line} if the claim is about rows of other sets, or {every} if such rows are "
    give = "near-copies one name in groups=" if named else f"{give}independent"
    return {
        "says": f"AUROC {one:.3f} with {what} kept together, {apart:.3f} {how}"
        + f" ({every})" * (not named),
        "outcome": other,
        "how": how,
        "remedy": f"more rows like these do not help: give {give}" * (not is_kept),
        "reserve": f"{what} belong together",
    }


def _most_frequent(rows: Rows, holds: str) -> dict[str, str]:
    """Say what a claim about accuracy compares with: always giving the more frequent label."""
    y = rows.positive[rows.held]
    share = max(y.mean(), 1 - y.mean())
    if share == 0.5 or not holds or "accuracy" not in {c.name for c in parse(holds).columns}:
        return {}
    name = rows.labels[int(y.mean() > 0.5)]
    return {PERMUTED.name: f"always giving the label {name!r}: accuracy {share:.3f}"}


def _of_texts(rows: Rows, texts: Sequence[str] | None) -> dict[Control, Kernel]:
    """Read what the controls read that see words alone."""
    if texts is None:
        rows.notes.append(NO_TEXTS)
        return {}
    lengths = reading.Columns(text_counts.lengths(texts))
    return {
        **{BAG: reading.bag(texts), LENGTHS: lengths, PLACES: reading.places(texts)},
        SPELLING: reading.of_counts(text_counts.spellings(texts)),
        PAIRS: reading.of_counts(text_counts.pairs(texts)),
    }


def _of_model(
    rows: Rows, model: Any, tokenizer: Any, texts: Sequence[str] | None, *asking: Any
) -> dict[Control, Any]:
    """Read what a model gives, and note how its activations differ. Raises: DataError."""
    from assay.checking import of_model

    if texts is None:
        raise DataError("with model= the texts are needed: texts=")
    given, differ = of_model.read(rows.x, model, tokenizer, texts, *asking)
    rows.notes.extend(differ)
    return given


def _of_others(rows: Rows, given: Mapping[Control, Any]) -> dict[Control, Kernel | np.ndarray]:
    """Read what the author, or a model, gives for controls, and note what is missing."""
    readers: dict[Control, Kernel | np.ndarray] = {}
    for control, values in given.items():
        if values is None:
            rows.notes.append(lacking(control))
        elif control is ASKED:
            score = matrix("asked", values, len(rows.x), columns=False)[:, 0]
            if reversed_ := reading.measures(score, rows.positive)[1] < 0.5:
                rows.notes.append(
                    "the control asked is lower for positive rows than for negative ones: its "
                    "sign is reversed"
                )
            readers[control] = -score if reversed_ else score
        else:
            readers[control] = reading.Columns(matrix(control.name, values, len(rows.x)))
    return readers


def _own(controls: Mapping[str, Any], count: int) -> dict[Control, np.ndarray]:
    """By each of the author's own controls what is known of each row. Raises: DataError."""
    if not isinstance(controls, Mapping):
        raise DataError(
            'controls= is what is known of each row by name, such as {"session": session}, got '
            f"{type(controls).__name__}"
        )
    for name in controls:
        if name in (
            PROBE,
            PERMUTED.name,
            THE_MODELS.name,
            *(c.name for c in (*IN_TEXTS, *NUMBERS)),
        ):
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
    columns = np.empty((count, 0)) if words else matrix(name, values, count, columns=False)
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
    rows: Rows, readers: Mapping[Control, Kernel | np.ndarray]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Score every row by what was learned from other groups: by the probe and by each control, by
    the shuffled labels several times; and the fold of each row, both as [way, row]."""
    steps = Steps("probes", 2 + len(readers))

    def score(arm: str, reader: Kernel | np.ndarray, shuffles: int = 0) -> Any:
        started, of_texts = time.monotonic(), arm in (c.name for c in (*IN_TEXTS, EMBEDDING))
        if isinstance(reader, np.ndarray):  # nothing is learned
            steps.take(arm)
            return reader[None], np.zeros((1, len(reader)), dtype=np.int64)
        dealt = rows.of_texts_alone if of_texts else rows.dealt
        alone = arm in (PROBE, PERMUTED.name, THE_MODELS.name)
        found = _probed(rows, dealt, reader, shuffles, alone=alone)
        steps.take(arm, time.monotonic() - started)
        return found

    arms = {PROBE: reading.Columns(rows.x), **{c.name: reader for c, reader in readers.items()}}
    scored = {arm: score(arm, reader) for arm, reader in arms.items()}
    shuffles = SHUFFLED // len(rows.dealt.ways)
    return {**scored, PERMUTED.name: score(PERMUTED.name, arms[PROBE], shuffles)}


def _probed(
    rows: Rows,
    dealt: Dealt,
    reader: Kernel | None = None,
    shuffles: int = 0,
    *,
    alone: bool = True,
    whose: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Score every row by a probe, or by a control that also reads all of its columns, if that is
    better on the rows that it learns from, and not the best of them `alone`; and the fold of each
    row, both as [way, row]. Each row has its label, that of another one by several shuffles of the
    rows that are learned from, or that of the row that `whose` [way, row] names."""

    def whose_of(dealing: int, train: np.ndarray) -> np.ndarray:
        if whose is not None:
            return whose[:, train]
        if not shuffles:
            return train
        group, y, first = dealt.group[train], rows.positive.astype(int), dealing * shuffles
        deals = range(first, first + shuffles)
        return np.array([shuffled_rows(y, train, group, 0, deal) for deal in deals])

    reader = reader or reading.Columns(rows.x)
    how: dict[str, Any] = {"best": rows.k, "alone": alone and bool(rows.k)}
    scores = [
        np.atleast_2d(
            reading.scores(
                reader, rows.positive, dealt.group, parts, i, partial(whose_of, i), **how
            )
        )
        for i, parts in enumerate(dealt.ways)
    ]
    of = [dealt.fold_of(i) for i, part in enumerate(scores) for _ in part]
    return np.concatenate(scores), np.array(of)


def _numbers(rows: Rows, scored: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """The part of each group, or of each fold, in the measures of each arm. Raises: DataError."""
    import pandas as pd

    y, frames, wider = rows.positive, [], _wider(rows) if rows.k else 1.0
    for arm, (scores, of) in scored.items():
        values = _parts(rows, scores, y, of)
        if arm in (PROBE, THE_MODELS.name):
            values = values.mean(0) + wider * (values - values.mean(0))
        columns = dict(zip(MEASURES, values.T, strict=True))
        if rows.unit == GROUP:
            whole = reading.measures(scores, y, of)
            columns |= {f"{m}{POOLED}": x for m, x in zip(MEASURES, whole, strict=True)}
        frames.append(pd.DataFrame({"arm": arm, rows.unit: np.unique(rows.units), **columns}))
    numbers = pd.concat(frames, ignore_index=True)
    if numbers[list(MEASURES)].isna().any(axis=None):
        raise DataError("without one of the groups only one label is left; give more groups")
    return numbers


def _parts(rows: Rows, scores: np.ndarray, y: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The part of each group, or of each fold, in the measures."""
    if rows.unit == FOLD:
        return np.mean([reading.of_folds(s, y, rows.units) for s in scores], axis=0)
    return reading.pseudo_values(scores, y, rows.units, of)


def _wider(rows: Rows) -> np.ndarray:
    """How many times as much each measure differs between shuffles of all labels as the parts of
    groups, or of folds, say, if the probe chooses columns: the one that happens to tell the labels
    of all rows best is chosen in most folds, and then does well in each."""
    order = np.arange(len(rows.x)), rows.dealt.group
    label = rows.positive.astype(int)
    whose = np.array([shuffled_rows(label, *order, 0, deal) for deal in range(SHUFFLED)])
    scores, of = _probed(rows, rows.dealt, whose=whose)
    found = [
        _parts(rows, scores[i::SHUFFLED], rows.positive[x], of[i::SHUFFLED])
        for i, x in enumerate(whose)
    ]
    parts = np.array(found)  # [shuffle, unit, measure]
    times = FOLDS_WIDER if rows.unit == FOLD else 1.0
    expected = times * np.sqrt(parts.var(1, ddof=1).mean(0) / parts.shape[1])
    return np.maximum(1.0, parts.mean(1).std(0, ddof=1) / np.maximum(expected, 1e-12))


def _tested(rows: Rows) -> dict[str, int]:
    """How many independent trials are behind a measure: groups, and pairs of a positive and a
    negative row from groups of their own."""
    y, group = rows.positive[rows.held], rows.group[rows.held]
    count = len(np.unique(group))
    pairs = min(len(np.unique(group[y])), len(np.unique(group[~y])), count // 2)
    return {"accuracy": count, "auroc": pairs}


def _about_scores(rows: Rows, scores: np.ndarray, numbers: pd.DataFrame) -> list[str]:
    """Notes on the scores of the probe: that they drift along the rows, are clearly better among
    rows of one group, as in groups that have other levels, or of which columns they are."""
    drift = in_order(np.mean(scores, axis=0), rows.positive, rows.group)
    if rows.unit == FOLD:
        return [*drift, *_about_columns(rows, numbers)]
    group = np.broadcast_to(rows.group, scores.shape)
    inside = reading.measures(scores, rows.positive, group)[1]
    own = reading.pseudo_values(scores, rows.positive, rows.group, group)[:, 1]
    probe = numbers[numbers["arm"] == PROBE]
    within = probe.assign(auroc=own, **{f"auroc{POOLED}": inside})
    is_better = inside >= over_all_rows(probe, "auroc") + CLEARLY and not np.isnan(own).any()
    note = (
        f"{WITHIN} is {inside:.3f}, and between rows of different groups it is lower, as where "
        "groups have other levels: if the claim is about rows of one group, subtract the mean of "
        "each group from its rows of X"
    )
    clearly = bool(is_better) and _is_ahead(within, probe, GROUP)
    return [*drift, *[note] * clearly, *_about_columns(rows, numbers)]


def _without_equal(numbers: pd.DataFrame, unit: str) -> tuple[pd.DataFrame, list[str]]:
    """The numbers without those of the model's own activations, unless X clearly tells the label
    better; and a note if so."""
    of = dict([*numbers.groupby("arm")])
    if THE_MODELS.name not in of:
        return numbers, []
    (x, whole), (own, less) = (
        (of[arm]["auroc"].to_numpy(), over_all_rows(of[arm], "auroc"))
        for arm in (PROBE, THE_MODELS.name)
    )
    if estimated("lead", x - own, unit, whole - less)["lead_low"] <= 0:
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
