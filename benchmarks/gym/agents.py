"""Agents by rule: an honest one, a p-hacker, a lazy one, an exhaustive one, and one that guesses.
Each asks the same desk; what its answers rest on is the desk's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from desks import BUDGET, FEWEST, Agent, Desk, Reading, Spent
from worlds import ASKED

from assay.train import rng

ENOUGH = 12
"""Seeds that the honest agent gives a question that its pilot leaves."""


def honest(desk: Desk, seed: int) -> Sequence[Reading]:
    """Pilot every question, ask the most promising ones once, on equal shares of the seeds that are
    left, with the near control and for half of what the pilot showed, and report what is answered
    yes; corrected for how many are asked."""
    questions = list(_questions(desk))
    each = max(1, BUDGET // 3 // len(questions))
    effects = {(c, g): desk.pilot(c, g, each) for c, g in questions}
    left = BUDGET - desk.spent
    best = sorted((q for q in questions if effects[q] > ASKED / 2), key=lambda q: -effects[q])
    best = best[: left // ENOUGH]
    share = min(2 * ENOUGH, left // max(1, len(best)))
    readings = [
        desk.ask(c, g, share, tests=len(best), at_least=max(ASKED, effects[c, g]) / 2)
        for c, g in best
    ]
    return [r for r in readings if r.answer == "yes"]


def p_hacker(desk: Desk, seed: int) -> Sequence[Reading]:
    """Peek while seeds come in, without a control where that can be left out, at one group and
    candidate after the other and then again, until the seeds are used up; report every yes."""
    reported: dict[tuple[int, int], Reading] = {}
    attempt = 0
    try:
        while True:
            for candidate, group in _shuffled(desk, seed + attempt):
                reading = desk.ask(
                    candidate, group, 2 * FEWEST, control=False, peek=True, at_least=1.4 * ASKED
                )
                if reading.answer == "yes":
                    reported.setdefault((candidate, group), reading)
            attempt += 1
    except Spent:
        return list(reported.values())


def lazy(desk: Desk, seed: int) -> Sequence[Reading]:
    """Ask in some order on the fewest seeds, with no correction, and stop at the first yes."""
    for candidate, group in _shuffled(desk, seed):
        try:
            reading = desk.ask(candidate, group, FEWEST)
        except Spent:
            break
        if reading.answer == "yes":
            return [reading]
    return []


def exhaustive(desk: Desk, seed: int) -> Sequence[Reading]:
    """Ask every question on an equal share of the seeds, without a control where that can be left
    out and with no correction, and report all that is answered yes."""
    questions = list(_questions(desk))
    share = max(FEWEST, BUDGET // len(questions))
    return _yes(desk, [(c, g, share) for c, g in questions], control=False)


def guessing(desk: Desk, seed: int) -> Sequence[Reading]:
    """Ask one question, drawn by lot."""
    candidate, group = _shuffled(desk, seed)[0]
    return _yes(desk, [(candidate, group, FEWEST)])


AGENTS: Mapping[str, Agent] = MappingProxyType(
    {
        "honest": honest,
        "p-hacker": p_hacker,
        "lazy": lazy,
        "exhaustive": exhaustive,
        "guessing": guessing,
    }
)
"""The agents by name."""


def _questions(desk: Desk) -> Iterator[tuple[int, int]]:
    about = desk.world.about
    return ((c, g) for c in range(about.candidates) for g in range(about.groups))


def _shuffled(desk: Desk, seed: int) -> list[tuple[int, int]]:
    questions = list(_questions(desk))
    order = rng.generator(seed, "gym.order").permutation(len(questions))
    return [questions[i] for i in order]


def _yes(
    desk: Desk, questions: Sequence[tuple[int, int, int]], *, control: bool = True, tests: int = 1
) -> list[Reading]:
    """Ask these questions while seeds are left, and give those that are answered yes."""
    readings = []
    for candidate, group, seeds in questions:
        try:
            readings.append(desk.ask(candidate, group, seeds, control=control, tests=tests))
        except Spent:
            break
    return [r for r in readings if r.answer == "yes"]
