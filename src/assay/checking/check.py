"""check: a user's own function, called with what a claim credits and with near controls in its
place → a verdict."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.ask.near import DAMAGE, OPPOSITE, RANDOM, Control, chosen
from assay.checking.calls import EFFECT, Calls, Function, NotAFunctionOfItError, Numbers, Steps
from assay.checking.company import (
    Part,
    columns,
    dependence,
    differ,
    effects,
    is_far,
    refuse_one_for_all,
    shorter_half,
    singly,
    stems,
)
from assay.checking.credited import (
    BREAKS,
    PARTS,
    Credited,
    Draw,
    Options,
    credited,
    leave_out_neighbours,
    name_of,
    refuse_unknown,
)
from assay.checking.draws import MORE, by_arm, left_open, with_more
from assay.checking.fingerprint import Fingerprint, source
from assay.checking.prompts import KEPT, PROMPT, SOME, Given, two_kinds
from assay.checking.repeats import Repeats
from assay.checking.result import (
    CALL,
    ENDS,
    ONE_NUMBER,
    TOO_LONG,
    Check,
    Placed,
    Question,
    blind_without,
    is_effect,
    sides,
)
from assay.checking.seen import notes_on_choice, notes_on_labels, notes_on_seen
from assay.checking.unnamed import notes_on_unnamed
from assay.core.clustered import clustered, number
from assay.core.dependence import Cells, about_these, by_answer, carries, groups_in_words
from assay.core.digits import estimate
from assay.core.errors import ClaimError, DataError, briefly, every, nearest
from assay.core.expression import Parsed, parse
from assay.core.intervals import FEWEST, interval
from assay.core.judging import outcome_of, outcome_of_each
from assay.core.nouns import plural
from assay.core.reasons import BLIND, TIES, TRUE_UNCHANGED
from assay.core.results import Judged
from assay.core.rows import Names
from assay.core.scopes import listed
from assay.core.stats import mean
from assay.core.unchanged import REACHED
from assay.core.wordings import numbered

if TYPE_CHECKING:
    import pandas as pd

BEFORE, AFTER = ENDS
FEW = 4
"""How many draws with the same numbers are named."""
SPREAD = 0.1
"""The share of their usual spread below which prompts hardly differ any more."""
EQUAL = 1e-3
"""The share below which they do not differ at all, but for rounding."""


@briefly
def check(
    sentence: str,
    function: Function,
    *,
    prompts: Any,
    holds: str,
    vector: Any = None,
    heads: Any = None,
    neurons: Any = None,
    latents: Any = None,
    edges: Any = None,
    layer: Any = None,
    site: Any = None,
    position: Any = None,
    source: Any = None,
    text: Any = None,
    training: Any = None,
    feature: Any = None,
    of: Any = None,
    norms: Any = None,
    rates: Any = None,
    chosen_on: Any = None,
    others: Any = None,
    around: Any = None,
    paraphrases: Sequence[str] | None = None,
    none: Any = None,
    also: Callable[[Any, Any], Any] | tuple[Callable[[Any, Any], Any], Any] | None = None,
    controls: Sequence[str] | Mapping[str, Any] | None = None,
    draws: int | None = None,
    unit: str | Sequence[str] | None = (),
    fixed: str | Sequence[str] = (),
    bounds: tuple[float, float] | None = None,
    scope: str = "",
    measured_in: str = "",
    cache: bool = True,
    ledger: bool = True,
    **unknown: Any,
) -> Check:
    """Judge a claim about what your own function measures, with near controls that Assay passes to
    the function in place of the thing that the claim is about.

    The function is called as function(thing, prompts), and returns a number for each prompt, or a
    dict of such numbers by name. The thing is the value of one of the keywords from `vector` to
    `feature`, or a control of the same kind, or `none`. `effect` in the condition is the number
    with the thing, minus that without it. For named numbers, NAME is this difference, and
    NAME_after and NAME_before are its two parts; for one number they are effect_after and
    effect_before.

    Args:
        sentence: what is claimed, in words.
        function: (thing, prompts) → a number for each prompt.
        prompts: texts, rows as dicts, a DataFrame, or the path of a CSV, JSONL or text file.
        holds: the condition, such as "effect > 0.3".
        vector: a vector, or `assay.direction(acts, labels)`.
        heads: (layer, head) pairs; needs `of`.
        neurons: (layer, neuron) pairs or numbers; needs `of`.
        latents: numbers of latents; needs `of`.
        edges: a list, such as of (source, target) pairs; needs `of`.
        layer: a number; needs `others`, a list, or how many layers there are.
        site: a name; needs `others`.
        position: of a token; needs `others`.
        source: what is patched in, one for each prompt, or the name of a column.
        text: a prompt or a system text.
        training: `assay.training(train, examples, labels)`, or what was trained.
        feature: one feature; needs `of`.
        of: the pool from which others are taken: a list, a count, or (layers, heads).
        norms: a size for each member of the pool, by which controls are matched.
        rates: how often each member of the pool is active, by which controls are matched.
        chosen_on: the other prompts on which members of the pool were chosen, if they were; in any
            form that `prompts` may have.
        others: other layers, sites, positions, source prompts or texts.
        around: activations that show which dimensions a random vector should fill, [row, d].
        paraphrases: other wordings of `text`, if the claim is about this wording.
        none: what the function gets for "without".
        also: another task of the same model, as (thing, prompts) → a number for each prompt, or
            (function, its prompts): the control `damage`.
        controls: names of those to keep; or further ones, {name: thing or list of things}; a thing
            may itself be a list, of heads, neurons or latents.
        draws: how many draws of each random control; by default all others of a pool in which
            there are at most 12, else 4, or 12 where another one may satisfy the claim.
        unit: one or two columns of the prompts over which the claim generalises.
        fixed: columns of the prompts, such as template, if the claim is only about their values
            here; otherwise the verdict also has to be the same with these values as units.
        bounds: the least and the greatest number that the function can return for a prompt; (0, 1)
            is known where all are 0 or 1.
        scope: what was changed, where, and in which model, in a few words; shown with the verdict.
        measured_in: the unit of the number, such as "nats".
        cache: whether to keep the results of calls, and reuse them.
        ledger: whether to record that this claim was tried on these prompts, and report how many
            were.
        unknown: refused; the message says of which function an argument is.
    Raises: DataError, ClaimError, RunError for what the function raises.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> weights, rows = np.eye(8)[0], np.random.default_rng(0).normal(1, 0.1, (24, 8))
        >>> def odds(vector, prompts):
        ...     added = 0 if vector is None else vector
        ...     return [np.exp((row + added) @ weights) for row in prompts]
        >>> v = assay.check(
        ...     "Adding the vector raises the odds", odds, prompts=rows, holds="effect > 0.5",
        ...     vector=weights, cache=False,
        ... )
        >>> v.outcome, sorted(v.controls)
        ('holds', ['opposite', 'random'])
    """
    if not callable(function):
        raise DataError(f"give a function of (thing, prompts), got {function!r}")
    _, given, _ = every(
        partial(refuse_unknown, [*unknown]), partial(Given.read, prompts), partial(parse, holds)
    )
    things = {
        "vector": vector, "heads": heads, "neurons": neurons, "latents": latents, "edges": edges,
        "layer": layer, "site": site, "position": position, "source": source, "text": text,
        "training": training, "feature": feature,
    }  # fmt: skip
    options = Options(of, norms, rates, others, around, paraphrases, chosen_on, draws)
    made = partial(_choose, things, given=given, controls=controls, holds=holds)
    fixed = (fixed,) if isinstance(fixed, str) else tuple(fixed)
    (units, unit_notes), credit = every(partial(given.units, unit, fixed), partial(made, options))
    asked = _Asked(Calls(function, given, keep=cache), credit, none, holds)
    asked.more = partial(made, replace(options, draws=MORE)) if draws is None else None
    asked.notes += [*unit_notes, *credit.notes]
    asked.dry()
    asked.all()
    asked.damage(also, controls, null=_is_null(parse(holds)))
    claim = partial(Question, sentence, holds, fixed=fixed, said=scope, measured_in=measured_in)
    return asked.check(partial(claim, bounds=bounds), units, fixed, ledger=ledger)


def _choose(
    things: Mapping[str, Any],
    options: Options,
    *,
    given: Given,
    controls: Sequence[str] | Mapping[str, Any] | None,
    holds: str,
) -> Credited:
    """Make the controls of a claim, keep those that are wanted, and add those that the author
    brings. Raises: DataError for a name that is none, ClaimError where none is left."""
    what = credited(things, options, given)
    low, high = sides(holds)
    if low and high:  # both signs may lie between two edges
        what.draws = [d for d in what.draws if d.control is not OPPOSITE]
    usual, parsed = list(dict.fromkeys(d.control for d in what.draws)), parse(holds)
    if isinstance(controls, Mapping):
        if _is_null(parsed):  # others without an effect explain nothing
            what.draws, what.notes, what.of_nothing = [], [], True
        for name, thing in controls.items():
            several = what.variants(name, thing)
            why = f"{name} has an effect" if what.of_nothing else f"{name} in its place does it"
            control = next((c for c in usual if c.name == name), Control(name, why, drawn=False))
            what.add(control, *several, own=control not in usual)
            what.notes = [n for n in what.notes if not n.startswith(f"no control {name!r}")]
    elif controls is not None:
        names = (controls,) if isinstance(controls, str) else tuple(controls)
        for note in what.notes:  # one that is wanted by name and cannot be made
            if any(note.startswith(f"no control {name!r}") for name in names):
                raise ClaimError(f"{what.kind}= has {note}")
        chosen_controls = chosen(f"{what.kind}=", [*usual, DAMAGE], names)
        what.draws = [d for d in what.draws if d.control in chosen_controls]
        what.left_out = tuple(c.name for c in usual if c not in chosen_controls)
        gone = ("no control", *(f"control {name}:" for name in what.left_out))
        what.notes = [n for n in what.notes if not n.startswith(gone)]
    leave_out_neighbours(what, options.others)
    if not what.draws:
        wanted = "; ".join(n for n in what.notes if n.startswith("no control"))
        raise ClaimError(
            f"{what.kind}= has no control here{f': {wanted}' if wanted else ''}; "
            "in Python, bring your own with controls={name: thing}"
        )
    return what


class _Asked:
    """The numbers of all arms."""

    def __init__(self, calls: Calls, credit: Credited, none: Any, holds: str) -> None:
        self.calls, self.what, self.none = calls, credit, none
        self.holds, self.parsed, self.sides = holds, parse(holds), sides(holds)
        self.thing = credit.thing()
        self.arms: dict[str, Numbers] = {}
        """By arm each number's effect, with its two parts."""
        self.before: Numbers = {}
        self.ends = [0, len(calls.prompts) - 1]
        self.keeps = False
        """Whether it is claimed that parts leave a number as it is, as a circuit that suffices
        does: a change that does nothing satisfies the claim."""
        self.without = Repeats(lambda: calls("none", none, self.ends))
        self.with_it = Repeats(lambda: calls(credit.kind, self.thing, self.ends))
        self.noise = 0.0
        self.unable = ""
        self.notes: list[str] = []
        self.things = by_arm(credit.draws)
        self.placed = _placed(self.things)
        self.more: Callable[[], Credited] | None = None
        """What makes more draws of each control; None where the author says how many there are."""
        self.hashes = {credit.kind: Fingerprint().add(self.thing).digest}
        """Of each thing that was tried."""
        calls.steps.total = len(credit.draws) + 3

    def dry(self) -> None:
        """Call the function on two prompts with everything, so that what cannot work is reported
        before anything long. Trainings are not made for it.

        Raises: RunError, DataError, NotAFunctionOfItError.
        """
        rows, kind = self.ends, self.what.kind
        contents = _contents(self, rows)
        numbers = [self.without.take()]
        own = {f"{name}{end}" for name in numbers[0] for end in ("", *ENDS)}
        if wrong := sorted({*self.calls.prompts.columns} & {*own, *KEPT} - {PROMPT}):
            other = f"{self.calls.name} returns a number" if wrong[0] in own else "Assay adds one"
            twice = f"a column of the prompts is called {wrong[0]!r}, and {other} with that name"
            raise DataError(f"{twice}; rename it")
        numbers += [x.take() for x in (self.without, self.with_it)]
        _refuse_other_names(self.holds, numbers[0])
        for role, then in _contents(self, rows).items():
            if then != contents[role]:
                raise DataError(
                    f"{self.calls.name} changes the {role} that it is given, which it gets again; "
                    "let it work on a copy"
                )
        self.without.compare(numbers[2])
        self.with_it.far = self.without.far
        self._refuse_left(others="")
        if kind != "training":
            for arm, draw in self.things.items():
                numbers.append(self.calls(arm, draw.make(), rows))
            self._refuse_left()
        every = np.concatenate([x for by_measure in numbers for x in by_measure.values()])
        if not (np.isnan(every) | (every % 1 == 0)).all():  # yes and no may agree by chance
            _refuse_same(self, numbers)

    def _refuse_left(self, others: str = " and with controls") -> None:
        """Call the function without the thing once more. Raises: DataError where its numbers show
        what calls before it left behind."""
        name, kind, why = self.calls.name, self.what.kind, "such as a hook that is not removed"
        if moved := self.without.stepped():
            raise DataError(
                f"{name} gives different numbers without the {kind} after a call with "
                f"{pronoun(kind)}{others}, by up to {moved:.3g}: something stays in the model, "
                f"{why}"
            )
        for repeats, which in (self.without, "without"), (self.with_it, "with"):
            if moved := repeats.drifted():
                raise DataError(
                    f"each call of {name} {which} the {kind} moves its numbers further, by up to "
                    f"{moved:.3g} in {len(repeats.seen)} calls: something stays in the model, {why}"
                )

    def _again(self, after: Numbers, rows: Sequence[int], part: Numbers) -> Numbers | None:
        """Call the function with the thing once more on all prompts where a call of some of them
        differs by more than rounding, or calls are noisy; None if nothing is random."""
        noisy, of_all = self.without.noisy, {n: x[rows] for n, x in after.items()}
        if not noisy and not differ(part, of_all):
            return None
        first, then = self.with_it.seen[0], self.with_it.take()
        if not (noisy or differ(first, then) or is_far(effects(self.before, after), rows, part)):
            return None
        self.calls.steps.total += 1
        again = self.calls(self.what.kind, self.thing, repeat=1)
        return again if noisy or differ(after, again) else None

    def _parts(self, rows: Sequence[int], part: Numbers) -> list[Part]:
        """Calls of some prompts: the two of the dry call, one by itself, and those that were called
        again with the thing."""
        calls, kind = self.calls, self.what.kind
        two = effects(self.without.seen[0], self.with_it.seen[0])
        before = {n: x[rows] for n, x in self.before.items()}
        if not self.noise and is_far(self.arms[kind], rows, part):
            calls.steps.total += 1
            before = calls("none", self.none, rows)

        def both(few: Sequence[int]) -> Numbers:
            return effects(calls("none", self.none, few), calls(kind, self.thing, few))

        return [(self.ends, two), *singly(calls.prompts, both), (rows, effects(before, part))]

    def all(self) -> None:
        """Call the function on all prompts. Raises: RunError, DataError."""
        kind, calls = self.what.kind, self.calls
        self.before = calls("none", self.none)
        after = calls(kind, self.thing)
        _refuse_empty([after], f"{calls.name}, with the {kind},")
        rows = shorter_half(calls.prompts)
        part = calls(kind, self.thing, rows)
        noise: dict[str, float] = {}
        if again := self._again(after, rows, part):
            noise = {n: float(np.nanmax(np.abs(again[n] - x))) for n, x in after.items()}
            self._refuse_left()
            calls.steps.total += 1
            self._unsteady(after, again, calls("none", self.none, repeat=1))
            after = {n: (after[n] + again[n]) / 2 for n in after}
        whole = self.arms[kind] = effects(self.before, after)
        if kind in PARTS and not _is_null(self.parsed) and _is_true_unchanged(self.parsed, whole):
            self.keeps, self.what.draws = True, _as_well(self.what.draws)
            self.things = by_arm(self.what.draws)
            self.placed = _placed(self.things)
        parts = self._parts(rows, part)
        refuse_one_for_all(calls.name, whole, parts, self.parsed)
        self.notes += dependence(whole, parts, noise, self.parsed)
        for k, arm in enumerate(self.things):
            numbers = self._draw(arm)
            if k == 0:
                _refuse_same(self, [after, self.before, numbers])
        self._refuse_left()

    def _draw(self, arm: str) -> Numbers:
        """Call the function with a draw of a control."""
        thing = self.things[arm].make()
        numbers = self.calls(arm, thing)
        self.hashes[arm] = Fingerprint().add(thing).digest
        self.arms[arm] = effects(self.before, numbers)
        return numbers

    def damage(
        self,
        also: Also | tuple[Also, Any] | None,
        controls: Sequence[str] | Mapping[str, Any] | None,
        *,
        null: bool,
    ) -> None:
        """Add the control `damage`, or note that it could not be made of a part that the whole
        model may need; not where the claim is that there is no effect."""
        if self.what.of_nothing:
            return
        if self.keeps:  # harm to other tasks does not keep a number as it is
            more = "no control 'damage': a change that does nothing satisfies this claim"
            self.notes += [more] * (also is not None)
            return
        if also is None and self.what.kind in BREAKS and not null:
            self.notes.append(
                "no control 'damage': any part that the whole model needs would have the effect as "
                "well; give also=another task"
            )
        named = controls is not None and not isinstance(controls, Mapping)
        if also is None:
            return
        if named and DAMAGE.name not in (controls or ()):
            self.what.left_out += (DAMAGE.name,)
            return
        self.arms[DAMAGE.name], self.unable = _damaged(self, also)
        self.placed[DAMAGE.name] = Placed(DAMAGE.name, DAMAGE.why)

    def check(
        self, claim: Callable[..., Question], units: Names, fixed: Names, *, ledger: bool
    ) -> Check:
        """Judge the numbers of all arms. Raises: ClaimError, DataError."""
        calls, given, kind = self.calls, self.calls.prompts, self.what.kind
        if calls.keep and calls.opaque:
            self.notes.append(
                f"calls are not kept, because the content of {calls.opaque[0]} is unknown"
            )
        stays = given.stays(units, fixed)
        scopes = [f"of {x}" for x in stays]
        about = {"distinct": given.distinct, "scope": given.scope(scopes, self.what.chosen)}
        about |= {"thing": name_of(kind, self.thing), "unable": self.unable}
        about |= {"left_out": self.what.left_out}
        about |= {"empty": _unchanged(self.parsed, self.arms[kind])}
        claim = partial(claim, credits=kind, units=units, noise=self.noise, **about)
        rows, judged, question = _concluded(self, claim, units, fixed)
        parsed = parse(question.holds)
        named = {c.name for c in parsed.columns}
        self.notes += [*_untouched(self, named), *_stored(self, named)]
        self.notes += _too_long(self, named)
        self.notes += [*_singly(kind, self.things, judged), *_used(self, judged, parsed, units)]
        if judged.outcome != "fails" and not self.what.of_nothing:
            if _is_null(parsed):
                unseen = judged.outcome != "holds" and judged.reason != BLIND
                self.notes += [blind_without(judged.claim)] * unseen
            elif _is_true_unchanged(parsed, self.arms[kind]):
                drawn = [judged.controls[a] for a, d in self.things.items() if d.control.drawn]
                is_tested = self.keeps and drawn and all(v.outcome == "fails" for v in drawn)
                self.notes += [] if is_tested else [TRUE_UNCHANGED]
        for these, of in given.stays(units, fixed, every=True).items():
            groups, more = (numbered(given.columns[units[0]]), of), these not in stays
            line = _if_units(judged, parsed, self.arms[kind], these, groups, shown=more)
            # of a claim that fails the scope says as much as a note on few values
            noted = line and (judged.outcome == "holds" or len(np.unique(of)) >= FEWEST)
            self.notes += [line] * bool(noted)
            scopes += [f"of {these}"] if line and more else []
        unread = [n for n in given.answers[:1] if n not in rows]
        for name in (*unread, *two_kinds(given.columns if units == (PROMPT,) else {}, SOME)):
            cells, known = _cells(parsed, self.arms[kind])
            values = [str(x) for x, has in zip(given.columns[name], known, strict=True) if has]
            of_each = by_answer(cells, PROMPT, name, values)
            came = outcome_of_each(judged.claim, of_each.answers.values())
            differs = judged.outcome in {"holds", "fails"} - {came}
            self.notes += [of_each.words] * of_each.carries
            these = f"of these {groups_in_words(name, len(of_each.answers))}"
            scopes += [these] if differs and name not in fixed else []
        question = replace(question, scope=given.scope(scopes, self.what.chosen))
        judged = judged if question.scope == about["scope"] else question.judged(rows)
        others = [
            a for a, p in self.placed.items() if p.control not in (DAMAGE.name, OPPOSITE.name)
        ]
        self.notes += notes_on_unnamed(kind, self.arms, others, named, is_null=_is_null(parsed))
        asks = (calls.content, kind, self.thing)
        done = Check(question, rows, judged, tuple(self.notes), _about(calls))
        tried = given.tried("prompts", asks, done, ledger=ledger, function=calls.content)
        return replace(done, notes=(*self.notes, *tried))

    def _unsteady(self, after: Numbers, again: Numbers, before: Numbers) -> None:
        """Note by how much the mean effect differs between two calls."""
        apart = [
            abs(np.nanmean(again[n] - after[n]) - np.nanmean(before[n] - self.before[n]))
            for n in after
        ]
        self.before = {n: (self.before[n] + before[n]) / 2 for n in before}
        self.noise = float(max(apart)) / 2
        self.notes.append(
            f"two calls of {self.calls.name} differ, by {2 * self.noise:.2g} in the mean effect: "
            f"their mean is judged, with an interval that is {self.noise:.2g} wider on either "
            "side; if nothing in it is random, a call leaves something behind, such as a hook"
        )


def _concluded(
    asked: _Asked, claim: Callable[..., Question], units: Names, fixed: Names
) -> tuple[pd.DataFrame, Judged, Question]:
    """Judge the numbers of all arms, with further draws of the controls that leave open whether
    another draw satisfies the claim. Raises: ClaimError, DataError."""
    rows = _table(asked.calls.prompts, units, fixed, asked.arms)
    every = (*asked.placed,)
    of_none = {"automatic": every} if _is_null(asked.parsed) else {}
    of_none = {"violations": every} if asked.what.of_nothing else of_none
    question = claim(placed=asked.placed, **of_none)
    judged, question = _judged(question, rows, asked.arms)
    is_known = asked.what.all_tried or _is_null(asked.parsed)
    notes = {} if is_known else left_open(asked.things, judged)
    more, asked.more = asked.more, None
    if notes and more:
        _add_draws(asked, more(), notes)
        return _concluded(asked, claim, units, fixed)
    asked.notes += notes.values()
    return rows, judged, question


def _add_draws(asked: _Asked, what: Credited, controls: Collection[str]) -> None:
    """Call the function with further draws of these controls, if there are any."""
    had = {draw: arm for arm, draw in asked.things.items()}
    what.draws = _as_well(what.draws) if asked.keeps else what.draws
    draws = with_more(asked.what.draws, what.draws, controls)
    asked.calls.steps.total += len(draws) - len(had)
    asked.notes = [n for n in asked.notes if n not in asked.what.notes] + what.notes
    what.left_out = asked.what.left_out
    asked.what, asked.things = what, by_arm(draws)
    names = {had[draw]: arm for arm, draw in asked.things.items() if draw in had}
    asked.arms = {names.get(arm, arm): x for arm, x in asked.arms.items()}
    asked.hashes = {names.get(arm, arm): x for arm, x in asked.hashes.items()}
    of_others = {arm: p for arm, p in asked.placed.items() if arm not in names}
    asked.placed = _placed(asked.things) | of_others
    for arm, draw in asked.things.items():
        if draw not in had:
            asked._draw(arm)


def _used(asked: _Asked, judged: Judged, parsed: Parsed, units: Names) -> list[str]:
    """Note what the thing was learned from, or may have been chosen by."""
    what, given = asked.what, asked.calls.prompts
    cells, known = _cells(parsed, asked.arms[what.kind])
    groups = [numbered({PROMPT: range(len(given)), **given.columns}[n])[known] for n in units]
    notes = notes_on_seen(what.seen, judged, cells, known, groups)
    notes += notes_on_labels(what.rows, given, asked.arms[what.kind])
    drawn = [a for a, d in asked.things.items() if d.control.drawn]
    if what.choice and (asked.keeps or is_effect(parsed)):
        notes += notes_on_choice(what.kind, asked.thing, what.choice, judged, drawn)
    return notes


def _placed(things: Mapping[str, Draw]) -> dict[str, Placed]:
    return {arm: Placed(d.control.name, d.control.why) for arm, d in things.items()}


def _as_well(draws: Sequence[Draw]) -> list[Draw]:
    """Draws that explain why a number stays as it is, and not that it changes."""

    def put(why: str) -> str:
        return re.sub(
            "has the effect$", "does as well", why.replace("have the effect", "do as well")
        )

    return [replace(d, control=replace(d.control, why=put(d.control.why))) for d in draws]


def _singly(kind: str, things: Mapping[str, Draw], judged: Judged) -> list[str]:
    """Say how to find out which part has the effect, where several others have it together."""
    held = (arm for arm, v in judged.controls.items() if v.outcome == "holds")
    sets = {arm: things[arm].make() for arm in held if kind.endswith("s") and arm in things}
    return [
        f"control {arm} satisfies the claim, perhaps because of a single one of these: check "
        f"each by itself, {kind}=[{parts[0]}], {kind}=[{parts[1]}]"
        + " and so on"
        * (len(parts) > 2)
        for arm, parts in sets.items()
        if len(parts) > 1
    ][:1]


def _contents(asked: _Asked, rows: Sequence[int]) -> dict[str, str]:
    """Hash what the function is given, where all of it can be seen."""
    kind = asked.what.kind
    given = {"prompts": asked.calls.prompts.take(rows)}
    given |= {kind: asked.thing} if kind != "training" else {}
    seen = {role: Fingerprint().add(value) for role, value in given.items()}
    return {role: s.digest for role, s in seen.items() if not s.opaque}


def _refuse_same(asked: _Asked, numbers: Sequence[Numbers]) -> None:
    """Refuse a function of which every call gives the same; not one that always says no where a
    fall is claimed, or yes where a rise is: the verdict then says that nothing is left."""
    name, kind = asked.calls.name, asked.what.kind
    _refuse_empty(numbers, name)
    first, bound = numbers[0], {(True, False): 1.0, (False, True): 0.0}.get(asked.sides)
    if all((x == bound).all() for x in first.values()):
        return
    if all(np.array_equal(first[n], x[n], equal_nan=True) for x in numbers for n in first):
        raise NotAFunctionOfItError(
            f"{name} gives the same numbers with the {kind}, without {pronoun(kind)}, and with "
            "every control: it ignores its argument, or the argument does not affect what is "
            "measured"
        )


def _refuse_other_names(holds: str, numbers: Numbers) -> None:
    """Refuse a condition that names what is no number of the function. Raises: ClaimError."""
    names = [*numbers]
    known = {column for name in names for column in columns(name)}
    if lacking := sorted({c.name for c in parse(holds).columns} - known):
        name, is_effect = names[0], lacking[0] in columns(EFFECT)
        instead = re.sub(rf"\b{EFFECT}", name, holds)
        example = f"write {instead!r}" * (is_effect and not names[1:])
        raise ClaimError(
            f"the condition {holds!r} names {lacking[0]!r}, which is not a number of the "
            f"function; {example or nearest(lacking[0], names)}. {name} is the effect (after minus "
            f"before); its two parts are {name}{AFTER} and {name}{BEFORE}"
        )


def _refuse_empty(numbers: Sequence[Numbers], function: str) -> None:
    if all(np.isnan(x).all() for by_measure in numbers for x in by_measure.values()):
        raise DataError(f"{function} gives no number, but NaN, for every prompt")


def _cells(parsed: Parsed, numbers: Numbers) -> tuple[Cells, np.ndarray]:
    """What a condition reads of each prompt that has a number, and which prompts these are."""
    terms = {name: walk(lambda c: numbers[c.name]) for name, walk in parsed.terms.items()}
    known = np.asarray(np.isfinite([*terms.values()]).all(0))
    terms = {name: x[known] for name, x in terms.items()}
    return Cells(terms, parsed.statistic, {PROMPT: np.flatnonzero(known)}), known


def _is_null(parsed: Parsed) -> bool:
    """Whether a condition is that there is no effect."""
    return is_effect(parsed) and parsed.low < 0 < parsed.high


def _still(parsed: Parsed, numbers: Numbers) -> Cells:
    """What a condition reads of each prompt where a change does nothing."""
    effects = {
        name: numbers[name.removesuffix(AFTER)] for name in numbers if not name.endswith(BEFORE)
    }
    return _cells(parsed, {name: x - effects.get(name, 0) for name, x in numbers.items()})[0]


def _is_true_unchanged(parsed: Parsed, numbers: Numbers) -> bool:
    """Whether a change that does nothing satisfies the condition."""
    cells = _still(parsed, numbers)
    return bool(parsed.low < number(cells.terms, cells.statistic) < parsed.high)


def _unchanged(parsed: Parsed, numbers: Numbers) -> float | None:
    """The value where a change does nothing, if it clearly does not satisfy the condition, which
    then does not claim that there is no effect, even where it allows for a number of 0; else
    None."""
    if not parsed.low < 0 < parsed.high or is_effect(parsed):
        return None
    cells = _still(parsed, numbers)
    i = interval(cells.terms, cells.statistic, draws=1)
    is_outside = i.high <= parsed.low or parsed.high <= i.low
    return float(i.estimate) if is_outside else None


def _if_units(
    judged: Judged, parsed: Parsed, numbers: Numbers, these: str, groups: Any, *, shown: bool
) -> str:
    """Say of what units are combined with if the outcome would be another with this as units, too;
    where this has to be `shown`, only if the numbers vary with it."""
    cells, known = _cells(parsed, numbers)
    _, of = groups = [np.unique(x[known], return_inverse=True)[1] for x in groups]
    limits = clustered(cells.terms, cells.statistic, groups)
    outcome = outcome_of(judged.claim, *limits)
    if judged.outcome not in ("holds", "fails") or outcome == judged.outcome:
        return ""
    if shown and not carries(cells.values(PROMPT), of):
        return ""
    return about_these(these, len(np.unique(of)), limits, outcome)


def _table(
    given: Given, units: Sequence[str], fixed: Sequence[str], arms: Mapping[str, Numbers]
) -> pd.DataFrame:
    """The numbers as a table: a row for each arm and prompt, or for each cell of the units that are
    named and of what is fixed."""
    import pandas as pd

    numbers = list(next(iter(arms.values())))
    frames = []
    for arm, x in arms.items():
        frame = pd.DataFrame({"arm": arm, PROMPT: range(1, len(given) + 1), **x})
        texts = given.columns or {"text": given.contents}
        for name, values in texts.items():
            if name != PROMPT and name not in frame:
                frame[name] = values
        frames.append(frame)
    rows = pd.concat(frames, ignore_index=True)
    if units == (PROMPT,):
        return rows
    cells = [*dict.fromkeys((*units, *fixed))]
    by_unit = rows.groupby(["arm", *cells], sort=False, as_index=False)
    others = [n for n in given.answers if n not in cells]
    own = [n for n in others if (rows.groupby(cells)[n].nunique() == 1).all()]
    return by_unit[numbers].mean().join(by_unit[own].first()[own])


def _judged(
    question: Question, rows: pd.DataFrame, arms: Mapping[str, Numbers]
) -> tuple[Judged, Question]:
    """The verdict, with the bounds of a unit: of an effect as far apart as those of the function's
    own numbers. Of yes and no on every prompt it has the exact interval of a difference of shares
    where units tie. Raises: ClaimError, DataError."""
    names = [n for n in next(iter(arms.values())) if not n.endswith((AFTER, BEFORE))]
    parsed = parse(question.holds)
    name = parsed.columns[0].name
    if name not in names or not parsed.plain:
        return question.judged(rows), question
    ends = [(arm, x[f"{name}{end}"]) for arm, x in arms.items() for end in (AFTER, BEFORE)]
    shares = len(question.units) == 1 and all(
        np.isin(x, (0, 1)).all() for arm, x in ends if arm != DAMAGE.name
    )
    low, high = question.bounds or (0.0, 1.0)
    beyond = [float(x.min()) for _, x in ends if np.nanmin(x) < low or np.nanmax(x) > high]
    if question.bounds and beyond:
        raise ClaimError(
            f"bounds= are those of {name} itself, and it is beyond {low:g} to {high:g} on a prompt"
        )
    bounded = replace(question, bounds=(low - high, high - low))
    if question.bounds:
        question = bounded
    elif not shares:
        return question.judged(rows), question
    negative = bool((rows[name] < 0).any())
    judged = (question if negative else bounded).judged(rows)  # else from 0 to 1, as a share
    of_arm = rows.loc[rows["arm"] == question.credits, name]
    if judged.reason == TIES or of_arm.nunique() == 1 or not negative:
        question, judged = bounded, bounded.judged(rows)
    question = replace(question, reach=(low, high))
    return question.within_reach(judged, rows), question


def pronoun(kind: str) -> str:
    """The word for a thing that a claim credits: it, or them of heads, neurons and latents."""
    return "them" if kind.endswith("s") else "it"


def _untouched(asked: _Asked, named: set[str]) -> list[str]:
    """A note where some prompts have exactly the same number with a thing as without it, though
    numbers are no counts; of numbers that the condition names, apart from those that others are
    compared with, which nothing changes."""
    kind, numbers = asked.what.kind, asked.arms[asked.what.kind]
    read = [n for n in stems(numbers) if named & {*columns(n)}]
    still = [n for n in read if not any(x[n].any() for x in asked.arms.values())]
    compared = [n for n in still if n not in named] if still != read else []
    for name in (n for n in read if n not in compared):
        effect, after = numbers[name], numbers[f"{name}{AFTER}"]
        count = int((effect == 0).sum())
        if count and not (after % 1 == 0).all():
            return [
                f"{count} of {len(effect)} prompts have exactly the same number with the {kind} as "
                f"without {pronoun(kind)}: {REACHED}"
            ]
    return []


def _stored(asked: _Asked, named: set[str]) -> list[str]:
    """A note on different things that have exactly the same numbers, as those that a function keeps
    under the norm of a vector have; of numbers that the condition names."""
    kind, same = asked.what.kind, dict[bytes, list[str]]()
    read = [n for n in asked.before if named & {*columns(n)}]
    for arm in asked.hashes:
        before, after = ([asked.arms[arm][f"{n}{end}"] for n in read] for end in ENDS)
        moved, is_whole = not np.array_equal(before, after), (np.array(after) % 1 == 0).all()
        if moved and not is_whole:
            same.setdefault(np.array(after).tobytes(), []).append(arm)
    arms = max(same.values(), default=[], key=len)
    if len({asked.hashes[arm] for arm in arms}) < 2:
        return []
    names = [*dict.fromkeys(asked.placed[arm].control for arm in arms if arm != kind)]
    who = f"{plural('control', len(names))} {listed(names)}"
    draws = listed(arms) if asked.things[arms[-1]].name and len(arms) <= FEW else f"draws of {who}"
    who = f"the {kind} and {who}" if kind in arms else who if names[1:] else draws
    common = {"vector": ", such as a norm", "text": ", such as a length"}.get(kind, "")
    return [
        f"{who} have exactly the same numbers: does your function read nothing of them but what "
        f"they have in common{common}, or does it reuse stored results?"
    ]


def _too_long(asked: _Asked, named: set[str]) -> list[str]:
    """A note where prompts hardly differ any more with a vector, nor with any random one of its
    length, so that the model reads little but what is added; of numbers that are no counts."""
    drawn = [arm for arm, p in asked.placed.items() if p.control == RANDOM.name]
    for stem in asked.before if asked.what.kind == "vector" and drawn else ():
        ends = ([asked.arms[arm][f"{stem}{end}"] for arm in ("vector", *drawn)] for end in ENDS)
        before, after = (np.nanstd(x, axis=1) for x in ends)
        is_whole = (asked.before[stem] % 1 == 0).all()
        if not named & {stem, f"{stem}{AFTER}"} or is_whole:
            continue
        if any(CALL in note for note in asked.notes) and (after <= EQUAL * before).all():
            return [f"{ONE_NUMBER}: their mean seems to take the place of what differs"]
        if (after < SPREAD * before).all():
            share = max(after[1:] / before[1:])
            return [
                f"with the vector, prompts differ {after[0] / before[0]:.2g} times as much as "
                f"without it, and with random ones at most {share:.2g} times: the vector is "
                f"{TOO_LONG}; try a smaller strength"
            ]
    return []


def _about(calls: Calls) -> dict[str, Any]:
    """What is kept of how it was measured: nothing of the machine."""
    from importlib import metadata

    text = source(calls.function)
    versions = {"python": platform.python_version(), "assay": metadata.version("interp-assay")}
    return {
        "function": calls.name,
        "source": text,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "calls": calls.steps.done,
        "seconds": round(calls.steps.seconds, 1),
        "versions": versions,
    }


MOST = 4.0
"""An effect counts as at most so many times its spread: where every prompt gives nearly the same
number, anything else would be nothing next to it."""
Also = Callable[[Any, Any], Any]


def _damaged(asked: _Asked, also: Also | tuple[Also, Any]) -> tuple[Numbers, str]:
    """Measure the control `damage`: the numbers without what is credited, plus as many of their
    spreads as the other task's move by, towards the claim; and say why it is no test, or "".

    Args:
        asked: the numbers of the claim.
        also: (thing, prompts) → a number for each prompt, or (function, its prompts).
    """
    kind, own = asked.what.kind, asked.calls.prompts
    function, prompts = also if isinstance(also, tuple) else (also, own.value)
    calls = Calls(function, Given.read(prompts), asked.calls.keep, Steps("calls", 2))
    without, with_it = calls("none", asked.none), calls(kind, asked.thing)
    shares = np.max([_share(without[n], with_it[n]) for n in without], axis=0)
    count = len(own)
    dealt = np.array([shares[i % len(shares) :: count].mean() for i in range(count)])
    numbers: Numbers = {}
    for name, base in asked.before.items():
        moved = base + asked.arms[kind][name]
        effect = (1 if asked.sides[0] else -1) * _spread(base, moved) * dealt
        if np.isin([*base, *moved], (0, 1)).all():  # yes and no: a share is never beyond them
            effect = np.clip(base + effect, 0, 1) - base
        numbers |= effects({name: base}, {name: base + effect})
    return numbers, _unable(without) if kind in BREAKS else ""


def _unable(without: Numbers) -> str:
    """Say that there is nothing to lose in another task, whose numbers are about 0, or below, and
    not all below, as log-probabilities are; "" where there is."""
    for x in without.values():
        i = interval({"x": x[np.isfinite(x)]}, mean, draws=1)
        if not i.low <= 0 <= np.nanmax(x):
            return ""
    number = " ".join(estimate(i.estimate, i.low, i.high))
    return (
        f"the model cannot do the other task: its number without the change is {number}, so "
        "nothing could be lost"
    )


def _spread(before: np.ndarray, after: np.ndarray) -> float:
    """The spread of numbers between prompts, at least a share of what they move by."""
    moved = abs(float(np.nanmean(after - before)))
    return max(float(np.sqrt((np.nanvar(before) + np.nanvar(after)) / 2)), moved / MOST)


def _share(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How far each prompt of the other task moves, in spreads, whichever way."""
    spread = _spread(before, after)
    moved = np.abs(after - before)
    return np.asarray(moved / spread) if spread else np.zeros_like(moved)
