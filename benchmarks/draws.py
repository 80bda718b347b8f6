"""How often a claim holds whose controls are independent draws, by three rules.

    python benchmarks/draws.py [--worlds 1000]

The effects of random draws have spread 1. In *null* worlds the method is itself such a draw, so
every *holds* is wrong; the claim's threshold is the one that a lucky method would ask for. In the
others the method's effect is 1, 2 or 3 spreads, and the claim asks for half of it, or
for four fifths. Numbers of 24
units vary around each effect by one spread.

Rules: *count*, none of 20 draws satisfies the claim by its estimate, or one of 40; *every 20* and
*every 4*, each draw is beaten by its intervals. Prints shares of claims that hold, in percent, and
as undecided or unspecific where they do not.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter

import numpy as np

from assay.verdicts.rule import DRAWS, Control, Hypothesis, Sample, Verdict, judge

UNITS = 24
THRESHOLDS = (0.0, 0.5, 1.0, 1.5, 2.0)
EFFECTS = (1.0, 2.0, 3.0)
RULES = ("count", "every 20", "every 4")


def sample(rng: np.random.Generator, effect: float) -> Sample:
    """Numbers of units around an effect."""
    numbers = effect + rng.normal(size=(UNITS, 1))
    return Sample(numbers, {"prompt": np.arange(UNITS)})


def verdict(rng: np.random.Generator, rule: str, effect: float | None, threshold: float) -> Verdict:
    """Judge one world; `effect` None draws the method from the family of its controls."""
    own = rng.normal() if effect is None else effect
    draws = [sample(rng, x) for x in rng.normal(size=2 * DRAWS)]
    samples = {"main": sample(rng, own)} | {f"random {k}": x for k, x in enumerate(draws)}
    count = 4 if rule == "every 4" else DRAWS

    def judged(count: int) -> Verdict:
        arms = tuple(f"random {k}" for k in range(count))
        control = Control("random", arms, noise=rule == "count")
        return judge(Hypothesis(low=threshold, controls=(control,)), samples)

    v = judged(count)
    again = rule == "count" and v.controls["random"].satisfied == 1
    return judged(2 * DRAWS) if again else v


def main() -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    ask.add_argument("--worlds", type=int, default=1000)
    worlds = ask.parse_args().worlds
    rows = [(f"null, threshold {t:g}", None, t) for t in THRESHOLDS]
    rows += [(f"effect {m:g}, threshold {m / 2:g}", m, m / 2) for m in EFFECTS]
    rows += [(f"effect {m:g}, threshold {0.8 * m:g}", m, 0.8 * m) for m in EFFECTS]
    print("world".ljust(28), *(rule.rjust(24) for rule in RULES))
    for row, (name, effect, threshold) in enumerate(rows):
        cells = []
        for rule in RULES:
            rng = np.random.default_rng([row, 7])  # the same worlds for every rule
            of = Counter(verdict(rng, rule, effect, threshold).outcome for _ in range(worlds))
            shares = [100 * of[x] / worlds for x in ("holds", "unspecific", "undecided", "fails")]
            cells.append(" / ".join(f"{x:.1f}" for x in shares))
        print(name.ljust(28), *(cell.rjust(24) for cell in cells), flush=True)
    error = 100 * math.sqrt(0.025 * 0.975 / worlds)
    print(f"holds / unspecific / undecided / fails, %; ±{error:.1f} at 2.5")


if __name__ == "__main__":
    main()
