"""The figures of grokking-frequencies."""

import numpy as np

from assay.core import Figure, summary
from assay.experiments.grokking_frequencies.claims import chosen, more_chosen, size_of
from assay.worlds.modular import interference


def pairs(arms):
    """Columns: predicted and actual size of each network, and where they would be equal."""
    columns: dict[str, list] = {"predicted": [], "actual": [], "networks": []}
    for name, label in (("confined", "confined"), ("natural", "as they come")):
        columns["predicted"] += np.exp(arms[name].log_predicted.values).tolist()
        columns["actual"] += np.exp(size_of(arms[name]).values).tolist()
        columns["networks"] += [label] * arms[name].sizes["run"]
    known = [
        size for pair in zip(columns["predicted"], columns["actual"], strict=True) if np.isfinite(pair).all() for size in pair
    ]
    equal = np.linspace(min(known), max(known), 25).tolist() if known else []
    columns["predicted"] += equal
    columns["actual"] += equal
    columns["networks"] += ["if equal"] * len(equal)
    return columns


def shares(arms):
    """Columns: share of networks, or of sampled sets, below a size."""
    columns: dict[str, list] = {"size": [], "share": [], "which": []}
    told = {"actual, first pairs": arms["natural"].log_size.isel(part=0), "actual, other pairs": arms["natural"].log_size.isel(part=1),
            "predicted by own sets": arms["natural"].log_predicted, "predicted by sampled sets": arms["sampled"].log_predicted}  # fmt: skip
    for which, logs_of in told.items():
        known = np.sort(np.exp(logs_of.values.ravel()))
        known = known[~np.isnan(known)]
        columns["size"] += known.tolist()
        columns["share"] += ((np.arange(len(known)) + 0.5) / max(len(known), 1)).tolist()
        columns["which"] += [which] * len(known)
    return columns


def rates(arms):
    """Columns: share of five random frequencies that is used, by what was done to them at the start."""
    columns: dict[str, list] = {"start": [], "mean": [], "low": [], "high": []}
    untouched = chosen(arms["doubled"], arms) - more_chosen(arms["doubled"], arms)
    halved, doubled, turned = (chosen(arms[name], arms) for name in ("halved", "doubled", "turned"))
    for label, share in (("halved", halved), ("as it was", untouched), ("turned in phase", turned), ("doubled", doubled)):
        for name, cell in zip(columns, (label, *summary(share.values)), strict=True):
            columns[name].append(cell)
    return columns


def waves_of(arms):
    """Columns: logit of each wrong answer below the right one, for the first seed's good and bad set at amplitude 2."""
    columns: dict[str, list] = {"difference": [], "logit": [], "set": []}
    for kind in ("good", "bad"):
        mask, p = arms[f"free-{kind}"].imposed.values[:1], arms[f"free-{kind}"].attrs["p"]
        logits = interference.profile(2.0 * mask, p)[0]
        columns["difference"] += list(range(1, p))
        columns["logit"] += (logits[1:] - logits[0]).tolist()
        columns["set"] += [f"{kind}: {', '.join(map(str, interference.sets_of(mask)[0]))}"] * (p - 1)
    return columns


def figures(arms):
    return [
        Figure("Distributions of critical sizes: actual, predicted by sampled sets, predicted by own sets", shares(arms), "line", x="size",
               y="share", color="which", x_title="training pairs", y_title="share below",
               note="Actual sizes are those at which networks as they come forget, each on two parts of its pairs."),
        Figure("Size at which networks forget, against that predicted from their frequencies alone", pairs(arms), "points",
               x="predicted", y="actual", color="networks", x_title="predicted, training pairs", y_title="actual, training pairs",
               note="A circle or a square is a network, confined to a random set or as it comes. "
                    "Predicted from the interference of its set, the memoriser's law and the norm law."),
        Figure("What a push at the start does to five random frequencies", rates(arms), "bars", x="start", y="mean", band=("low", "high"),
               x_title="the five at the start", y_title="share of the five that is used"),
        Figure("Interference: logits of wrong answers for a good and a bad set, at equal amplitudes", waves_of(arms), "line",
               x="difference", y="logit", color="set", x_title="how far the answer is off, mod p", y_title="logit below that of the right answer",
               note="The first seed's sets, every amplitude 2, so that both have one norm. A wrong answer near 0 costs."),
    ]  # fmt: skip
