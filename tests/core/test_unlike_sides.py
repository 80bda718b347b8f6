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


def gains(before, after, own=False):
    """Gains of three arms over baselines, with the numbers before and after; of `own` items if each
    arm has its own."""
    draw, rows = np.random.default_rng(2), []
    for arm, x, y in zip(("mine", "base", "random"), before, after, strict=True):
        for item in range(30):
            start = x + draw.normal(0, 0.03) * (x > 0)
            end = y + draw.normal(0, 0.03)
            of = {"arm": arm, "item": f"{arm}{item}" if own else item}
            rows.append({**of, "before": start, "after": end, "gain": end - start})
    return pd.DataFrame(rows)


def test_a_gain_over_a_lower_baseline_is_given_over_the_same_one():
    """Both arms end at 0.9, from 0.2 and 0.6."""
    ask = {"claim": "mine.gain - base.gain > 0.1", "unit": "item", "about": "mine"}
    ask |= {"control": "random", "distinct": True}
    rows = gains((0.2, 0.6, 0.6), (0.9, 0.9, 0.6))
    verdict = assay.judge(rows, **ask)
    assert verdict.outcome == "holds"
    assert verdict.unless == "before is an unequal baseline"
    (note,) = (n for n in verdict.notes if n.startswith("gain is after − before in each row"))
    mean = rows.groupby("arm")["after"].mean()
    assert abs(float(note.rpartition("is ")[2].split()[0]) - (mean["mine"] - mean["base"])) < 1e-3
    ratio = rows.assign(gain=rows["after"] / rows["before"])
    assert assay.judge(ratio, **ask).unless == "before is an unequal baseline"
    # a loss on other data, which arms change, is a note
    gap = rows.rename(columns={"before": "loss_test", "after": "loss_train"})
    verdict = assay.judge(gap, **ask)
    assert not verdict.unless
    assert any(n.startswith("gain is loss_train − loss_test in each row") for n in verdict.notes)
    # the same baseline, and a gain that is there with the same one, too
    assert not assay.judge(gains((0.2, 0.2, 0.2), (0.9, 0.6, 0.2)), **ask).unless
    assert not assay.judge(gains((0.2, 0.3, 0.3), (0.9, 0.6, 0.3)), **ask).unless


def test_what_a_baseline_was_subtracted_from_is_no_cause_of_the_gain():
    """Two columns say the same of other items in each arm."""
    rows = gains((0.2, 0.2, 0.2), (0.9, 0.6, 0.2), own=True)
    claim = "mine.gain - base.gain > 0.1"
    verdict = assay.judge(rows, claim=claim, unit="item", control="random", about="mine")
    assert (verdict.outcome, verdict.unless) == ("holds", "")


def test_an_empty_column_is_no_part_of_another():
    """x − NaN is nothing, and no other column is x."""
    rows = gains((0.2, 0.6, 0.6), (0.9, 0.9, 0.6)).assign(before=np.nan)
    claim = "mine.gain - base.gain > 0.1"
    verdict = assay.judge(rows, claim=claim, unit="item", control="random", about="mine")
    assert not any("in each row" in note for note in verdict.notes)


def losses(own, total="n_tokens"):
    """Losses a token of 40 documents whose totals are equal in both arms, and which have 1.4 times
    as many tokens in one of them if each has its `own`."""
    draw, rows = np.random.default_rng(3), []
    for doc in range(40):
        n = draw.integers(400, 900)
        whole = 3.0 * n * draw.normal(1, 0.02)
        for arm, times in {"mine": 1.4, "base": 1.0, "random": 1.0}.items():
            count = n * (times if own else 1.0) + draw.integers(0, 9)
            nll = (whole if own else whole / times) * draw.normal(1, 0.005)
            rows.append({"arm": arm, "doc": doc, "nll": nll, total: count, "loss": nll / count})
    return pd.DataFrame(rows)


def test_a_ratio_over_unequal_denominators_holds_with_that_reserve_first():
    ask = {"claim": "mine.loss - base.loss < -0.3", "unit": "doc", "about": "mine"}
    ask |= {"control": "random", "distinct": True}
    rows = losses(own=True).assign(vocab=lambda x: 64 + 64 * (x["arm"] != "mine"))
    verdict = assay.judge(rows, **ask)
    assert (verdict.outcome, verdict.unless) == ("holds", "n_tokens is an unequal denominator")
    note = next(n for n in verdict.notes if "alone may give" in n)
    assert abs(float(note.rpartition("the number is ")[2].split()[0])) < 0.05  # the same totals
    # fewer losses on the same tokens
    assert assay.judge(losses(own=False), **ask).unless == ""
    # tokens a second are what is claimed, and how long each arm takes is no other cause
    rate = {**ask, "claim": "mine.loss - base.loss < -0.3"}
    verdict = assay.judge(losses(own=True, total="seconds"), **rate)
    assert "denominator" not in verdict.unless


def test_other_columns_are_compared_in_the_rows_that_the_claim_reads():
    """Both arms begin with one learning rate, and end with others."""
    draw, rows = np.random.default_rng(4), []
    for arm, gain, rates in (("mine", 0.3, (8, 1)), ("base", 0, (8, 4)), ("random", 0, (8, 4))):
        for seed in range(10):
            for step, rate in zip((1, 2), rates, strict=True):
                loss = 3 - gain + draw.normal(0, 0.02)
                rows.append({"arm": arm, "seed": seed, "step": step, "rate": rate, "loss": loss})
    ask = {"unit": "seed", "control": "random", "about": "mine"}
    at = "mine.loss[step={0}] - base.loss[step={0}] < -0.1"
    verdicts = [assay.judge(pd.DataFrame(rows), claim=at.format(step), **ask) for step in (1, 2)]
    assert [v.unless for v in verdicts] == ["", "rate is the cause"]
