"""Unnamed: what the numbers of a function that its condition does not name say of a claim: that as
much else changes, that the controls are too weak to be substitutes, or that nothing else moves."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from assay.checking.calls import Numbers
from assay.checking.company import columns, stems
from assay.core.digits import told_apart
from assay.core.heavy import scipy
from assay.core.scopes import listed

MOVED, HARDLY = 2.0, 0.1
"""Standard deviations of prompts from which a number moves that much is said of it; and below which
it hardly moves."""
SHARE, SCALE = 0.75, 2.0
"""The part of the share by which the claim's number moves from which another moves as much; how
many times as far, or less far, it moves on the same scale."""
CLEAR = 4.0
"""Standard errors from which a mean is clearly not 0."""
ALIKE, MOST = 0.8, 0.8
"""A rank correlation over prompts up to which two numbers may measure different things, with its
error; the share of prompts with one value from which a number has too few others for it."""
WEAK = 1e-3
"""The share of a change below which that of a control is too weak to take its place."""
OPPOSITES = (
    *({"yes", "no"}, {"true", "false"}, {"correct", "incorrect"}, {"right", "wrong"}),
    *({"positive", "negative"}, {"pos", "neg"}, {"good", "bad"}, {"agree", "disagree"}),
)
"""Words by which the names of two numbers say that they are about opposite answers."""
SAME = 1e-3
"""The share by which an effect differs at most from another in another unit."""


def notes_on_unnamed(
    kind: str,
    arms: Mapping[str, Numbers],
    others: Sequence[str],
    named: set[str],
    *,
    is_null: bool,
) -> list[str]:
    """Say what the numbers that the condition does not name do.

    Args:
        kind: what is credited, which is the name of its arm.
        arms: by arm each number's effect, with its two parts.
        others: the arms of what takes its place.
        named: what the condition names.
        is_null: whether it is that there is no effect, with which nothing else is compared.
    """
    own, notes, rest = arms[kind], list[str](), list[str]()
    read = [stem for stem in stems(own) if named & {*columns(stem)}]
    claimed = read[0] if len(read) == 1 and not is_null else ""
    for stem in stems(own):
        if stem in read or np.isnan(own[stem]).all():  # which says nothing
            continue
        doubt = _as_much(own, stem, claimed) if claimed else ""
        if claimed and _are_opposite(stem, claimed):
            doubt = _both(own, stem, claimed)
        if claimed and others and not doubt:
            doubt = _too_weak(kind, arms, others, stem, claimed)
        notes += [doubt] * bool(doubt)
        rest += [stem] * (not doubt)
    s = "" if kind.endswith("s") else "s"
    for verb, ways in (f"also move{s}", _moves(own, rest)), (f"hardly move{s}", _stays(own, rest)):
        words = f"the {kind} {verb} {listed(ways)}, which the condition does not name"
        notes += [words] * bool(ways)
    return notes


def _moves(numbers: Numbers, of: Sequence[str]) -> list[str]:
    """Say which numbers move by more than prompts differ, as a thing may do more than is
    claimed; one that is 0 without it, such as a KL divergence, moves with any change."""
    of = [name for name in of if np.any(numbers[columns(name)[1]])]
    means = {name: [float(np.nanmean(numbers[c])) for c in columns(name)] for name in of}
    far = (n for n in of if abs(means[n][0]) > MOVED * np.nanstd(numbers[columns(n)[1]]))
    return [f"{name} (from {' to '.join(told_apart(*means[name][1:]))})" for name in far]


def _stays(numbers: Numbers, of: Sequence[str]) -> list[str]:
    """Say which numbers hardly move."""
    ways = []
    for name in of:
        effect, before, _ = (numbers[c] for c in columns(name))
        by = float(np.nanmean(effect))
        if abs(by) <= HARDLY * np.nanstd(before):
            ways.append(f"{name} (by {by:.2g}, from {float(np.nanmean(before)):.3g})")
    return ways


def _as_much(numbers: Numbers, stem: str, claimed: str) -> str:
    """Say that another number of the same kind and scale moves as much as the claim's, and by as
    large a share of what it is without the thing, and that it is no second measure of the same
    thing: over prompts, the ranks of the two are not alike; "" otherwise."""
    share, own = _share(numbers, stem), _share(numbers, claimed)
    by, start, of_by, of = (
        float(np.nanmean(numbers[c])) for name in (stem, claimed) for c in columns(name)[:2]
    )
    whole = [bool((numbers[columns(name)[2]] % 1 == 0).all()) for name in (stem, claimed)]
    is_as_much = share * own > 0 and abs(share) >= SHARE * abs(own)
    is_of_scale = whole[0] == whole[1] and abs(of_by) <= SCALE * abs(by) <= SCALE**2 * abs(of_by)
    if not (is_as_much and is_of_scale) or _may_be_alike(numbers, stem, claimed):
        return ""
    return (
        f"{stem}, which the condition does not name, {'rises' if by > 0 else 'falls'} as much: by "
        f"{abs(share):.0%} from {start:.3g}, and {claimed} by {abs(own):.0%} from {of:.3g}"
    )


def _are_opposite(stem: str, other: str) -> bool:
    """Whether two names differ in one word, which is the opposite in the other, such as yes_logit
    and no_logit."""
    words, others = (re.findall(r"[a-z]+|[^a-z]+", name.lower()) for name in (stem, other))
    if len(words) != len(others):
        return False
    unlike = [{a, b} for a, b in zip(words, others, strict=True) if a != b]
    return len(unlike) == 1 and unlike[0] in OPPOSITES


def _both(numbers: Numbers, stem: str, claimed: str) -> str:
    """Say that the number of the opposite answer moves as much as the claim's, wherever both are
    without the thing; "" otherwise. Being about opposite answers, they measure two things."""
    (by, start), (of_by, of) = (
        [float(np.nanmean(numbers[c])) for c in columns(name)[:2]] for name in (stem, claimed)
    )
    effect = numbers[columns(stem)[0]]
    error = float(np.nanstd(effect)) / math.sqrt(max(1, np.isfinite(effect).sum()))
    if by * of_by <= 0 or abs(by) < SHARE * abs(of_by) or abs(by) <= CLEAR * error:
        return ""
    return (
        f"{stem}, which the condition does not name, {'rises' if by > 0 else 'falls'} as much: by "
        f"{abs(by):.3g} from {start:.3g}, and {claimed} by {abs(of_by):.3g} from {of:.3g}"
    )


def _share(numbers: Numbers, stem: str) -> float:
    """By which share of what it is without the thing a number moves; 0 where either may be 0, or
    where numbers of both signs are common, so that there is no such share."""
    effect, before, _ = (numbers[c] for c in columns(stem))
    known = np.isfinite(effect)
    x, y = before[known], effect[known]
    is_far = all(abs(z.mean()) > CLEAR * z.std() / math.sqrt(len(z)) for z in (x, y) if len(z))
    one_sign = (x >= 0).all() or (x <= 0).all() or abs(x.mean()) > x.std()
    return float(y.mean() / x.mean()) if len(x) and is_far and one_sign else 0.0


def _may_be_alike(numbers: Numbers, stem: str, other: str) -> bool:
    """Whether two numbers may measure the same thing: the ranks of prompts are alike with the
    thing, without it, or in the effect, or may be so by the error of the largest correlation."""
    found = list[float]()
    for pair in zip(columns(stem), columns(other), strict=True):
        x, y = (numbers[c] for c in pair)
        known = np.isfinite(x) & np.isfinite(y)
        ranks = [scipy.stats.rankdata(z[known]) for z in (x, y)]
        most = max(np.unique(r, return_counts=True)[1].max(initial=0) for r in ranks)
        if known.sum() > 3 and most <= MOST * known.sum():
            found.append(abs(float(np.corrcoef(*ranks)[0, 1])))
    if not found:
        return True
    error = 2 / math.sqrt(np.isfinite(numbers[stem]).sum() - 3)
    return bool(math.atanh(min(max(found), 1 - SAME)) + error > math.atanh(ALIKE))


def _too_weak(
    kind: str, arms: Mapping[str, Numbers], others: Sequence[str], stem: str, claimed: str
) -> str:
    """Say that no control changes anything by as much as a thousandth of what the thing does, by a
    measure of change: it is 0 in every prompt without the thing and above 0 with it, as a KL
    divergence or the norm of a difference is, and not the claim's effect in another unit; ""
    otherwise."""
    effect, before, after = (arms[kind][c] for c in columns(stem))
    by = float(np.nanmean(effect))
    small = WEAK * by
    if by <= 0 or np.nanmax(np.abs(before)) > small or np.nanmin(after) < -small:
        return ""
    own, of = effect * np.nanmean(arms[kind][claimed]), by * arms[kind][claimed]
    is_same = np.nanmax(np.abs(own - of)) <= SAME * np.nanmax(np.abs(own))
    moved = (x for x in (arms[arm][stem] for arm in others) if not np.isnan(x).all())
    most = max((abs(float(np.nanmean(x))) for x in moved), default=math.inf)
    if most > small or is_same or (after % 1 == 0).all():
        return ""
    return (
        f"the controls may be too weak: they move {stem} by at most {most:.2g}, the {kind} by "
        f"{by:.3g}; give controls= that change as much"
    )
