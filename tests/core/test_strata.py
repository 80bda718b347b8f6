"""Arms that have different shares of something else, such as of easy items: it is held fixed, and a
claim that it decides is undecided."""

import numpy as np
import pandas as pd


def stratified(rows):
    """The mean over kinds of the difference of means, with its standard error and Satterthwaite's
    degrees of freedom."""
    theta, parts = 0.0, []
    for _, of_kind in rows.groupby("kind"):
        for arm, sign in (("steered", 1), ("base", -1)):
            x = of_kind["lead"][of_kind["arm"] == arm].to_numpy()
            theta += sign * x.mean() / 2
            parts.append((x.var(ddof=1) / len(x) / 4, len(x) - 1))
    variance = sum(v for v, _ in parts)
    return theta, variance**0.5, variance**2 / sum(v**2 / df for v, df in parts)


def texts_of_lengths(seed, longer=10.0, effect=0.0, per_word=0.1):
    """Texts of each arm's own, scored by their length, and by what the arm does."""
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {"arm": arm, "text": f"{arm}{i}", "length": length, "lead": lead + more}
        for arm, mu, more in (("steered", 20 + longer, effect), ("base", 20, 0.0))
        for i, (length, lead) in enumerate(
            (round(x), per_word * x + draw.normal(0, 0.5)) for x in draw.normal(mu, 5, 60)
        )
    )


def own_items(seed, values, gain, n=60):
    """Items of each arm's own, of which `new` has mostly the last of these values and `old` mostly
    the first; the place of a value, and no arm, adds to the score."""
    draw, rows = np.random.default_rng(seed), []
    for arm, most in (("new", -1), ("old", 0)):
        place = np.arange(len(values))[most]
        at = np.where(draw.random(n) < 0.6, place, draw.integers(0, len(values), n))
        score = 0.5 + gain * at + draw.normal(0, 0.1, n)
        rows += [
            (arm, f"{arm}{i}", values[k], x) for i, (k, x) in enumerate(zip(at, score, strict=True))
        ]
    return pd.DataFrame(rows, columns=["arm", "item", "bos", "score"])


def levels_and_topics(seed, share, n=60, count=2, shared=False):
    """Topic follows level in this share of the rows of `steered` and in as few of `base`, so both
    have each level and each topic about equally often; a row in which it does has one more."""
    draw = np.random.default_rng(seed)
    names = ["arm", "item", "seed"]
    rows = pd.MultiIndex.from_product([("base", "steered"), range(n), range(6 if shared else 1)])
    rows = rows.set_names(names).to_frame(index=False)
    if not shared:
        rows["item"] = rows["arm"] + rows.pop("seed").astype(str) + rows["item"].astype(str)
    follows = draw.random(len(rows)) < np.where(rows["arm"] == "steered", share, 1 - share)
    level = draw.integers(0, count, len(rows))
    topic = np.where(follows, level, (level + draw.integers(1, count, len(rows))) % count)
    rows["level"], rows["topic"] = level + 1, np.array([*"abcd"])[topic]
    return rows.assign(lead=follows + draw.normal(0, 0.4, len(rows)))
