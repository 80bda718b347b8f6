"""How often the whole rule decides, and how often wrongly: many tables at once, by an own account
of the rule, which test_contrasts.py compares with the engine. Printed with the intervals.

A table has a method and a control, both as distances from a baseline that they share; the claim is
that the distance is at least MARGIN."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

from assay.core.bounded import bounded_mean

MARGIN = 0.05
SPREAD = 0.02
"""Standard deviation of the units of each arm; of documents, where there are some, DOCUMENTS."""
DOCUMENTS = 0.045
TABLES, CROSSED = 20_000, 6_000
EFFECTS = {
    "no effect": (0, 0),
    "on the threshold": (1, 0),
    "twice the margin": (2, 0),
    "twice, control .8 of the margin": (2, 0.8),
    "twice, control on the threshold": (2, 1),
    "twice, control 1.5 times beyond": (2, 1.5),
    "twice, control with the same": (2, 2),
}
"""What the method and the control have, in margins."""
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


class Decided(NamedTuple):
    """Shares of tables, 0 to 1."""

    holds: float
    fails: float
    unspecific: float
    undecided: float


def limits(x, level=0.95):
    """The hull of t and of Hall's t for means of x [table, a, b]; b = 1 for one factor."""
    _, a, b = x.shape
    theta, variance, third = x.mean((1, 2)), [], 0
    for means, n in ((x.mean(2), a), (x.mean(1), b)):
        off = means - means.mean(1, keepdims=True)
        if n > 1:  # leaving out level l moves the mean by off_l / (n − 1)
            variance.append((off**2).sum(1) / (n * (n - 1)))
            third += ((n - 1) / n) ** 1.5 * (off**3).sum(1) / (n - 1) ** 3
    nu, total = a - 1, variance[0]
    if b > 1:
        cells = x.reshape(len(x), -1).var(1, ddof=1) / (a * b)
        total = np.maximum(sum(variance) - cells, np.maximum(*variance))
        parts = variance[0] ** 2 / (a - 1) + variance[1] ** 2 / (b - 1)
        nu = total**2 / np.maximum(parts, 1e-300) + (min(a, b) - 1) * (parts == 0)
    t, error = stats.t.ppf((1 + level) / 2, nu), np.sqrt(total)
    c = third / np.maximum(total, 1e-200) ** 1.5  # 0 where all are alike

    def h(q):
        flat = np.abs(c) < 1e-6
        turned = np.maximum(1 + c * (q - c / 6), 0)
        bent = 3 / np.where(flat, 1, c) * (np.cbrt(turned) - 1)
        return np.where(flat, q, np.clip(bent, -2 * abs(q), 2 * abs(q)))

    return theta - error * np.maximum(t, h(t)), theta + error * np.maximum(t, -h(-t))


def decided(method, control, threshold):
    """What the rule says of many tables whose claim is "at least threshold"."""
    low, high = limits(method)
    varied = np.ptp(method, axis=(1, 2)) > 0  # units that agree decide nothing
    would_hold = varied & (low >= threshold)
    control_holds = limits(control)[0] >= threshold
    outside = limits(control, 0.8)[1] < threshold
    above = limits(method - control)[0] > 0
    holds = would_hold & ~control_holds & outside & above
    fails, unspecific = varied & (high < threshold), would_hold & control_holds
    shares = [float(x.mean()) for x in (holds, fails, unspecific)]
    return Decided(*shares, 1 - sum(shares))


def normal(rng, shape):
    """Units of mean 0 and standard deviation 1."""
    return rng.normal(size=shape)


def _kinds(lower, noise):
    return lambda rng, shape: (
        (noise * rng.normal(size=shape) - lower * ((rng.random(shape) < 0.1) - 0.1))
        * (MARGIN / SPREAD)
    )


LAWS = {
    "normal": normal,
    "t with 3 degrees": lambda rng, shape: rng.standard_t(3, size=shape) / np.sqrt(3),
    "exponential, tail to the right": lambda rng, shape: rng.exponential(size=shape) - 1,
    "exponential, tail to the left": lambda rng, shape: 1 - rng.exponential(size=shape),
    "log-normal, σ = .5": lambda rng, shape: rng.lognormal(0, 0.5, shape) - np.exp(0.125),
    "log-normal, σ = 1": lambda rng, shape: rng.lognormal(0, 1, shape) - np.exp(0.5),
    "log-normal to the left, σ = 1": lambda rng, shape: np.exp(0.5) - rng.lognormal(0, 1, shape),
    "one in ten lower by 1.5 margins, noise .3": _kinds(1.5, 0.3),
    "one in ten lower by 2 margins, noise .02": _kinds(2, 0.02),
}


def tables(effects, shape, draw=normal, of=TABLES, seed=0):
    """Draw the distances of method and control from a baseline, [table, seed, document] each. Other
    laws than the normal are the method's own; its arms then share nothing."""
    rng, (a, b) = np.random.default_rng([seed, *shape]), shape

    def arm():
        documents = DOCUMENTS * rng.normal(size=(of, 1, b)) if b > 1 else 0
        return SPREAD * rng.normal(size=(of, a, 1)) + documents

    base = arm()
    method, control = (
        (arm() - base, arm() - base)
        if draw is normal
        else (SPREAD * draw(rng, (of, a, b)), SPREAD * rng.normal(size=(of, a, b)))
    )
    return effects[0] * MARGIN + method, effects[1] * MARGIN + control


def answers(shares, spreads, of=CROSSED, seed=0):
    """Draw whether 6 seeds answer 24 documents rightly, of method and control; seeds and documents
    vary on the scale of log-odds, around medians that give these shares."""
    rng = np.random.default_rng([seed, 24])
    documents = spreads[1] * rng.normal(size=(of, 1, 24))
    arms = (
        centre(share, spreads) + spreads[0] * rng.normal(size=(of, 6, 1)) + documents
        for share in shares
    )
    method, control = (1.0 * (rng.random(x.shape) < 1 / (1 + np.exp(-x))) for x in arms)
    return method, control


def centre(share, spreads):
    """The log-odds around which seeds and documents vary so that this share is right on average."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    spread, low, high = np.hypot(*spreads), -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        average = weights @ (1 / (1 + np.exp(-middle - spread * nodes))) / weights.sum()
        low, high = (middle, high) if average < share else (low, middle)
    return low


GOALS = (
    ("twice the margin", "holds", ((8, 1), 0.92), ((6, 1), 0.75), ((6, 24), 0.70)),
    ("on the threshold", "holds", ((8, 1), -0.025), ((6, 1), -0.025), ((6, 24), -0.025)),
    (
        "twice, control with the same",
        "holds",
        ((8, 1), -0.005),
        ((6, 1), -0.005),
        ((6, 24), -0.005),
    ),
    ("twice, control with the same", "unspecific", ((8, 1), 0.85), ((6, 1), 0.65), ((6, 24), 0.60)),
    ("twice, control on the threshold", "holds", ((8, 1), -0.1), ((6, 1), -0.1), ((6, 24), -0.1)),
    (
        "twice, control 1.5 times beyond",
        "holds",
        ((8, 1), -0.01),
        ((6, 1), -0.01),
        ((6, 24), -0.01),
    ),
)
"""What was asked of the rule before it was written: at least so much, or (negative) at most."""
BINARY = ((0.95, 0.5, "holds", 0.85), (0.7, 0.5, "holds", -0.025), (0.95, 0.95, "holds", -0.005))
SEEDS_AND_DOCUMENTS = (0.3, 0.8)


def goals():
    """Each goal: the world, the outcome, the share that was found, and the goal."""
    for effects, outcome, *designs in GOALS:
        for shape, goal in designs:
            of = TABLES if shape[1] == 1 else CROSSED
            found = decided(*tables(EFFECTS[effects], shape, of=of), MARGIN)
            units = f"{shape[0]} seeds" if shape[1] == 1 else f"{shape[0]} × {shape[1]}"
            yield f"{units}, {effects}", outcome, getattr(found, outcome), goal
    for method, control, outcome, goal in BINARY:
        found = decided(*answers((method, control), SEEDS_AND_DOCUMENTS), 0.7)
        world = f"6 × 24 right answers, {method:g} against {control:g} where .7 is asked"
        yield world, outcome, getattr(found, outcome), goal


def page():
    """The lines of catalogue/records/coverage.md about the whole rule."""
    asked = list(goals())
    missed = [
        f"{outcome} of {world}: {found:.1%}"
        for world, outcome, found, goal in asked
        if (found < goal if goal > 0 else found > -goal)
    ]
    told = f"missed {', '.join(missed)}" if missed else "met"
    yield f"""## How often the whole rule decides

A claim that a method is better than a baseline by a margin of {MARGIN:g}, with one control; both share the baseline, and the seeds of each arm
have a standard deviation of {SPREAD:g} (in 6 × 24, documents {DOCUMENTS:g} in each arm). {TABLES:,} tables each, crossed {CROSSED:,}; standard errors at most .4 and .7 %.
Made by `benchmarks/coverage/rule_worlds.py`. Its {len(asked)} goals (GOALS, BINARY) are {told}.
"""  # noqa: E501
    yield "Every effect and design, *holds*/*fails*/*unspecific*:"
    yield ""
    shapes = ((8, 1), (6, 1), (12, 1), (6, 24), (8, 40))
    yield f"| | {' | '.join(f'{a} seeds' if b == 1 else f'{a} × {b}' for a, b in shapes)} |"
    yield "|---" * (len(shapes) + 1) + "|"
    for name, effects in EFFECTS.items():
        cells = (
            decided(*tables(effects, s, of=TABLES if s[1] == 1 else CROSSED, seed=1), MARGIN)
            for s in shapes
        )
        told = " | ".join("/".join(f"{x:.1%}" for x in cell[:3]) for cell in cells)
        yield f"| {name} | {told} |"
    yield ""
    yield (
        "Right answers of 6 seeds to 24 documents where .7 is asked; a control has .5, or what is "
        "said:"
    )
    yield ""
    yield "| seeds, documents (standard deviation of log-odds) | .7 | .95 | .95, control .7 | .95, control .85 | .95, control .95 |"  # noqa: E501
    yield "|---|---|---|---|---|---|"
    for spreads in ((0, 0), SEEDS_AND_DOCUMENTS, (1, 1)):
        pairs = ((0.7, 0.5), (0.95, 0.5), (0.95, 0.7), (0.95, 0.85), (0.95, 0.95))
        cells = (decided(*answers(pair, spreads, seed=1), 0.7) for pair in pairs)
        told = " | ".join("/".join(f"{x:.1%}" for x in cell[:3]) for cell in cells)
        yield f"| {spreads[0]:g}, {spreads[1]:g} | {told} |"
    yield ""
    yield from by_law()
    yield ""
    yield from of_shares()


def by_law():
    """What skewed units, and rare ones of another kind, do to a verdict."""
    yield "False *holds* and false *fails* where the truth is the threshold, then *holds* at twice the margin, by the law of the units (control without effect):"  # noqa: E501
    yield ""
    sizes = (6, 8, 12, 20)
    yield f"| law | {' | '.join(f'{n} seeds' for n in sizes)} |"
    yield "|---" * (len(sizes) + 1) + "|"
    for name, draw in LAWS.items():
        cells = []
        for n in sizes:
            threshold, twice = (
                decided(*tables((effect, 0), (n, 1), draw, seed=2), MARGIN) for effect in (1, 2)
            )
            cells.append(f"{threshold.holds:.1%}/{threshold.fails:.1%}/{twice.holds:.1%}")
        yield f"| {name} | {' | '.join(cells)} |"


def of_shares():
    """How often a claim about right and wrong answers holds, by its exact interval alone."""
    yield "How often a claim that a share is at least .6, or that a difference of two is, *holds* by its exact interval, by the truth; of a difference the other arm is right in .05:"  # noqa: E501
    yield ""
    sizes, truths = (12, 24, 48, 96, 200), (0.6, 0.7, 0.8, 0.9)
    yield f"| asked of | true | {' | '.join(f'{n} units' for n in sizes)} |"
    yield "|---" * (len(sizes) + 2) + "|"
    for truth in truths:
        cells = " | ".join(f"{_share_holds(truth, n, 0.6):.1%}" for n in sizes)
        yield f"| a share | {truth:g} | {cells} |"
    for truth in truths:
        cells = " | ".join(f"{_difference_holds(truth, n, 0.6):.1%}" for n in sizes)
        yield f"| a difference | {truth:g} | {cells} |"


def _share_holds(truth, n, asked):
    """Exact: Clopper and Pearson's lower limit lies at the number asked or above."""
    k = np.arange(n + 1)
    low = np.where(k > 0, stats.beta.ppf(0.025, np.maximum(k, 1), n - k + 1), 0.0)
    return float(stats.binom.pmf(k, n, truth)[low >= asked].sum())


def _difference_holds(truth, n, asked, worlds=2_000):
    """By the limit that judges, of units between -1 and 1; equal counts have equal limits."""
    rng = np.random.default_rng([n, round(100 * truth)])
    known = dict[tuple[int, int], bool]()
    x = 1 * (rng.random((worlds, n)) < truth + 0.05) - 1 * (rng.random((worlds, n)) < 0.05)
    counts = [((row > 0).sum().item(), (row < 0).sum().item()) for row in x]
    for up, down in set(counts):
        units = np.repeat([1.0, -1.0, 0.0], [up, down, n - up - down])
        low = bounded_mean([units], float(units.mean()), (-1, 1)).low
        known[up, down] = low >= asked
    return float(np.mean([known[c] for c in counts]))


if __name__ == "__main__":
    print("\n".join(page()))
