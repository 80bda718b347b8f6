"""A claim that compares arms at other levels or by other measures says so."""

import numpy as np
import pandas as pd

import assay


def probes(rng, gain=0.0):
    """The accuracy rises with the layer, equally in both arms, which have other layers, but for a
    gain."""
    layers = {"mine": range(8, 22, 2), "base": range(0, 22, 2), "random": range(0, 22, 2)}
    start = {"mine": 0.5 + gain, "base": 0.5, "random": 0.1}
    rows = [
        {"arm": arm, "seed": s, "layer": k, "acc": start[arm] + k / 60 + rng.normal(0, 0.01)}
        for arm, every in layers.items()
        for s in range(8)
        for k in every
    ]
    return pd.DataFrame(rows)


def test_a_mean_over_other_layers_is_given_over_the_layers_that_both_arms_have():
    claim = "mean(mine.acc, over=layer) - mean(base.acc, over=layer) > 0.03"
    ask = {"claim": claim, "unit": "seed", "control": "random", "about": "mine"}
    rows = probes(np.random.default_rng(0))
    verdict = assay.judge(rows, **ask)
    # the layers 8 to 20 lie four above 0 to 20, on average
    assert verdict.outcome == "holds" and abs(verdict.estimate - 4 / 60) < 0.01
    assert verdict.unless == "other levels of layer are the cause"
    (note,) = (n for n in verdict.notes if n.startswith("mine has 7 layers from 8 to 20"))
    common = rows[rows["layer"] >= 8].groupby("arm")["acc"].mean()
    number = float(note.partition("the number is ")[2].split()[0])
    assert abs(number - (common["mine"] - common["base"])) < 1e-3
    assert "of these 11 layers, of which mine has 7" in verdict.scope
    # arms of which each has levels of its own are another matter
    own = rows.assign(layer=rows["layer"] + 100 * (rows["arm"] == "mine"))
    assert assay.judge(own, **ask).unless == ""
    # a gain that is there over the common layers, too, is no matter of these
    gained = assay.judge(probes(np.random.default_rng(0), 0.2), **ask)
    assert (gained.outcome, gained.unless) == ("holds", "")


def test_another_level_and_another_measure_of_one_arm_have_a_note_with_the_same_in_both():
    rng, rows = np.random.default_rng(1), []
    for arm, more in (("new", 0.0), ("old", 0.0), ("random", 0.5)):
        for seed in range(8):
            for k, fvu in ((16, 0.4), (32, 0.3)):
                x = fvu + more + rng.normal(0, 0.005)
                rows.append({"arm": arm, "seed": seed, "k": k, "fvu": x, "fvu_val": x + 0.1})
    ask = {"unit": "seed", "control": "random", "about": "new"}
    levels = "new.fvu[k=32] - old.fvu[k=16] < -0.05"
    measures = "new.fvu[k=16] - old.fvu_val[k=16] < -0.05"
    for claim, other in ((levels, "new.fvu[k=16]"), (measures, "new.fvu_val[k=16]")):
        verdict = assay.judge(pd.DataFrame(rows), claim=claim, **ask)
        assert verdict.outcome == "holds"
        (note,) = (n for n in verdict.notes if f"with {other} in its place" in n)
        assert abs(float(note.partition("the number is ")[2].split()[0])) < 0.01
    alike = assay.judge(pd.DataFrame(rows), claim="new.fvu[k=16] - old.fvu[k=16] < 0.05", **ask)
    assert not any("in its place" in n for n in alike.notes)
