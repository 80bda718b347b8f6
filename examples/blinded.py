"""Rate features of two dictionaries without knowing whose they are, and judge the scores.

    python examples/blinded.py write TRAINED OTHER ratings.csv key.csv [FEATURES]
    python examples/blinded.py join ratings.csv key.csv judged.csv
    assay judge judged.csv --claim 'trained.score - other.score > 0.2' --unit match \
        --control other-again --about trained --bounds -1 1

TRAINED and OTHER are folders of indexes (`assay export --format index`), made on the same model
and text; OTHER is what you compare with, such as a dictionary whose decoder was never learned. The
first command writes a row for each feature, in random order: tokens where it fires, each marked by
⟦ ⟧ and its strength. Fill in `score`: 1 one meaning, 0.5 partly, 0 none. Only key.csv says whose
each row is.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from assay.features.index.reader import Index

RAREST, COMMONEST, HALF = 20, 0.25, 4


def draw(index: Index, count: int, rng: np.random.Generator) -> list[int]:
    """Draw features evenly by how often they fire, those that fire most often first."""
    columns = index.columns(("firings", "density"))
    fit = np.flatnonzero((columns["firings"] >= RAREST) & (columns["density"] <= COMMONEST))
    if len(fit) < count:
        sys.exit(f"{index.folder} has {len(fit)} features to draw from, and {count} are needed")
    groups = np.array_split(fit[np.argsort(-columns["firings"][fit], kind="stable")], count)
    return [int(rng.choice(group)) for group in groups]


def passages(index: Index, number: int) -> str:
    """Write the strongest places at which a feature fires, and as many spread over all others."""
    top, even = index.contexts(number, "top")[:HALF], index.contexts(number, "even")
    lines = []
    for context in (*top, *even[:: max(1, len(even) // HALF)][:HALF]):
        tokens = list(context.tokens)
        tokens[context.at] = f"⟦{tokens[context.at]}⟧{context.value / top[0].value:.0%}"
        lines.append("".join(tokens).replace("\n", "⏎"))
    return "\n".join(lines)


def write(trained: str, other: str, ratings: str, key: str, features: str = "30") -> None:
    """Write the blinded table and its key."""
    rng, count, rows = np.random.default_rng(), int(features), []
    a, b = Index(Path(trained)), Index(Path(other))
    drawn = draw(b, 2 * count, rng)  # neighbours fire about as often
    arms = [("trained", a, draw(a, count, rng)), ("other", b, drawn[::2])]
    for arm, index, numbers in [*arms, ("other-again", b, drawn[1::2])]:
        for match, number in enumerate(numbers):
            rows.append((arm, match, number, passages(index, number)))
    order = rng.permutation(len(rows))
    with Path(ratings).open("w", newline="") as blinded, Path(key).open("w", newline="") as names:
        csv.writer(blinded).writerows([("item", "contexts", "score")])
        csv.writer(blinded).writerows((n, rows[i][3], "") for n, i in enumerate(order))
        csv.writer(names).writerows([("item", "arm", "match", "feature")])
        csv.writer(names).writerows((n, *rows[i][:3]) for n, i in enumerate(order))


def join(ratings: str, key: str, judged: str) -> None:
    """Write a table of scores by arm, for `assay judge`."""
    with Path(ratings).open(newline="") as blinded, Path(key).open(newline="") as names:
        scores = {row["item"]: row["score"] for row in csv.DictReader(blinded)}
        rows = [{**row, "score": scores[row["item"]]} for row in csv.DictReader(names)]
    with Path(judged).open("w", newline="") as file:
        table = csv.DictWriter(file, ["arm", "match", "feature", "score"], extrasaction="ignore")
        table.writeheader()
        table.writerows(row for row in rows if row["score"])


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[1] not in ("write", "join"):
        sys.exit(__doc__)
    {"write": write, "join": join}[sys.argv[1]](*sys.argv[2:])
