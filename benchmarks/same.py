"""How often a check holds of something that is like its controls, and how often of a true effect.

    python benchmarks/same.py [--worlds 200] [--power]

In the A/A test the thing is one of the family that its controls are drawn from: a random vector, or
a random head or latent of the pool. No claim about it should hold, at any threshold. Effects of the
family have spread 1, and vary between 24 prompts by as much.

With --power the thing has an effect of 1 to 4 spreads, and the claim asks for half of it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

import assay

D, PROMPTS = 64, 24
THRESHOLDS, EFFECTS = (0.0, 0.5, 1.0, 1.5), (1.0, 2.0, 3.0, 4.0)
POOL = [(layer, head) for layer in range(4) for head in range(6)]
World = tuple[Callable[[Any, Any], list[float]], Any]
"""The number of each prompt with a thing, and the thing."""


def of_vectors(rng: np.random.Generator, effect: float | None) -> World:
    """A direction that the answer is read from, other for each prompt."""
    read = rng.normal(size=D) + rng.normal(size=(PROMPTS, D))
    mean, acts = read.mean(0), rng.normal(size=(200, D))
    v = rng.normal(size=D) / np.sqrt(D)
    if effect is not None:
        v += (effect - v @ mean) * mean / (mean @ mean)
    return lambda x, p: [0.0 if x is None else float(x @ read[i]) for i in p], assay.Vector(v, acts)


def of_parts(rng: np.random.Generator, effect: float | None, kind: Any, pool: list[Any]) -> World:
    """Parts of a pool, each with an effect of its own."""
    does = dict(
        zip(
            pool,
            rng.normal(size=(len(pool), 1)) + rng.normal(size=(len(pool), PROMPTS)),
            strict=True,
        )
    )
    one = pool[int(rng.integers(len(pool)))]
    if effect is not None:
        does[one] += effect - does[one].mean()
    return lambda x, p: [sum(does[k][i] for k in x or ()) for i in p], kind([one], of=pool)


FAMILIES: dict[str, Callable[[np.random.Generator, float | None], World]] = {
    "vector": of_vectors,
    "head of 24": lambda rng, effect: of_parts(rng, effect, assay.Heads, POOL),
    "latent of 512": lambda rng, effect: of_parts(rng, effect, assay.Latents, list(range(512))),
}


def outcome(family: str, world: int, effect: float | None, threshold: float) -> str:
    """Check one world."""
    rng = np.random.default_rng([world, list(FAMILIES).index(family)])
    function, thing = FAMILIES[family](rng, effect)
    rows = [{"n": i} for i in range(PROMPTS)]
    hook = lambda x, prompts: function(x, [row["n"] for row in prompts])  # noqa: E731
    return str(assay.check("it has the effect", hook, rows, f"effect > {threshold}", thing).outcome)


def main() -> None:
    """Print the shares of checks that hold, in percent."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--power", action="store_true")
    asked = parser.parse_args()
    asks = EFFECTS if asked.power else THRESHOLDS
    names = [f"{x:g} spreads" if asked.power else f"threshold {x:g}" for x in asks]
    print("  ".join(f"{x:>14}" for x in ("thing", *names)))
    for family in FAMILIES:
        shares = []
        for x in asks:
            known = (x, x / 2) if asked.power else (None, x)
            came = Counter(outcome(family, world, *known) for world in range(asked.worlds))
            shares.append(f"{100 * came['holds'] / asked.worlds:.1f}%")
        print("  ".join(f"{x:>14}" for x in (family, *shares)), flush=True)


if __name__ == "__main__":
    main()
