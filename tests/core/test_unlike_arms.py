"""Arms that were not measured alike are named where a claim about their difference would hold."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

import assay
from assay.core.errors import DataError


def table(unit="prompt", name="lead", **columns):
    """Two arms on 40 units; each column has the numbers of `mine` and of `base`."""
    mine, base = columns.pop("numbers")
    frames = [
        pd.DataFrame({"arm": arm, unit: range(len(mine)), name: x})
        for arm, x in (("mine", mine), ("base", base))
    ]
    for column, values in columns.items():
        for frame, x in zip(frames, values, strict=True):
            frame[column] = x
    return pd.concat(frames)


def judged(rows, threshold="> 0.2", unit="prompt", name="lead"):
    claim = f"mine.{name} - base.{name} {threshold}"
    return assay.judge(rows, claim=claim, unit=unit, about="mine", distinct=True)


def test_the_best_of_several_layers_for_each_prompt_is_named():
    """No layer has an effect, and the maximum of eight draws lies above one draw."""
    rng = np.random.default_rng(0)
    each = rng.normal(0, 1, (40, 1)) + rng.normal(0, 0.5, (40, 9))
    chosen = {"numbers": (each[:, :8].max(1), each[:, 8])}
    rows = table(**chosen, layer=(each[:, :8].argmax(1), 12))
    verdict = judged(rows)
    assert verdict.outcome == "holds"
    assert verdict.unless == "layer was chosen for each prompt by its result"
    # held fixed, the layers that are chosen most often are as chosen as before
    often = rows.assign(layer=rows["layer"].where(rows["layer"] > 3, 3))
    assert judged(often).unless == "layer was chosen for each prompt by its result"
    # the same layers in both arms are no choice of one of them
    assert not judged(table(**chosen, layer=(each[:, :8].argmax(1),) * 2)).unless
    # nor does it matter how many units there are
    cells = pd.concat([rows.assign(seed=k) for k in range(6)])
    cells["lead"] += rng.normal(0, 0.1, len(cells))
    cells["layer"] = np.where(cells["arm"] == "mine", (cells["layer"] + cells["seed"]) % 8, 12)
    claim = "mine.lead - base.lead > 0.2"
    both = assay.judge(cells, claim=claim, unit=["prompt", "seed"], about="mine", distinct=True)
    assert both.unless == "layer was chosen for each prompt and seed by its result"
    # one that follows from what kind of prompt it is was known before
    kinds = (each[:, :8].argmax(1) // 2,) * 2
    known = table(**chosen, layer=(each[:, :8].argmax(1) // 2 * 2, 12), kind=kinds)
    assert not judged(known).unless
    # of a claim about one arm, the other arms of the table are looked at
    ask = {"unit": "prompt", "about": "mine", "control": "base", "distinct": True}
    of_one = partial(assay.judge, claim="mine.lead > 0.2", **ask)
    assert of_one(rows).unless == verdict.unless
    assert not of_one(rows.assign(layer=12)).unless
    # and a column that is no setting may be a result
    assert not judged(table(**chosen, hits=(each[:, :8].argmax(1), 12))).unless


def test_the_best_epoch_of_each_seed_of_one_arm_is_named():
    """The maximum of ten draws lies above the last one, of which it may be one as well."""
    each = np.random.default_rng(5).normal(0.7, 0.03, (12, 10))
    best = each.argmax(1)
    best[0] = 9
    rows = table("seed", numbers=(each[np.arange(12), best], each[:, 9] - 0.1), epoch=(best, 9))
    verdict = judged(rows, "> 0.05", unit="seed")
    assert verdict.unless == "epoch was chosen for each seed by its result"
    both = rows.assign(epoch=np.resize(best, 24))
    assert not judged(both, "> 0.05", unit="seed").unless


@pytest.mark.parametrize(("number", "named"), [(0.4171, True), (0.25, False), (0.333, False)])
def test_one_number_for_all_seeds_of_an_arm_is_named_if_it_is_not_of_chance(number, named):
    mine = np.random.default_rng(1).normal(0.8, 0.02, 8)
    rows = table("seed", numbers=(mine, np.full(8, number)))
    verdict = judged(rows, unit="seed")
    assert verdict.outcome == "holds"
    assert verdict.unless == ("lead of base was copied from one seed to others" if named else "")


def test_three_runs_that_are_used_for_twelve_seeds_are_named():
    rng = np.random.default_rng(1)
    mine, base = rng.normal(0.8, 0.02, 12), np.tile(rng.normal(0.4, 0.02, 3), 4)
    verdict = judged(table("seed", numbers=(mine, base)), unit="seed")
    assert verdict.unless == "lead of base was copied from one seed to others"
    assert any("base has 3 different numbers in 12 seeds" in note for note in verdict.notes)
    # numbers that both arms round are no copies
    rounded = table("seed", numbers=(mine.round(1), base.round(1)))
    assert not judged(rounded, unit="seed").unless


def test_losses_of_opposite_signs_are_refused():
    loss = np.random.default_rng(2).gamma(4, 0.5, 40)
    rows = table(name="nll", numbers=(-loss, loss))
    with pytest.raises(DataError, match="negative in all rows of mine and in none of base"):
        judged(rows, "< -0.5", name="nll")
    changes = table(name="nll_change", numbers=(-loss, loss))
    assert judged(changes, "< -0.5", name="nll_change").outcome == "holds"


def test_a_control_whose_intervention_is_weaker_is_named():
    """The control adds a vector an eighth as long as that of the arm under judgement."""
    rng = np.random.default_rng(3)
    numbers = {a: rng.normal(m, 0.3, 40) for a, m in (("mine", 2), ("base", 0), ("random", 0.1))}
    rows = table(numbers=(numbers["mine"], numbers["base"]), coef=(8, 0))
    control = pd.DataFrame({"arm": "random", "prompt": range(40), "lead": numbers["random"]})
    ask = {"claim": "mine.lead - base.lead > 0.5", "unit": "prompt", "about": "mine"}
    for coef, unless in ((1, "the coef of random is too low"), (8, "")):
        every = pd.concat([rows, control.assign(coef=coef)])
        verdict = assay.judge(every, control="random", distinct=True, **ask)
        assert (verdict.outcome, verdict.unless) == ("holds", unless)
    # a shorter vector that is multiplied by more is as strong
    every = pd.concat([rows.assign(vector_norm=1.0), control.assign(coef=1, vector_norm=8.0)])
    assert not assay.judge(every, control="random", distinct=True, **ask).unless


def with_control(control, **columns):
    """Three arms on 40 units, of which the control is as the baseline; each column has the numbers
    of `mine`, of `base` and of the control."""
    rng, frames = np.random.default_rng(3), list[pd.DataFrame]()
    for k, (arm, mean) in enumerate((("mine", 2), ("base", 0), (control, 0.1))):
        frames.append(pd.DataFrame({"arm": arm, "prompt": range(40)}))
        frames[-1]["lead"] = rng.normal(mean, 0.3, 40)
        for column, values in columns.items():
            frames[-1][column] = values[k]
    ask = {"claim": "mine.lead - base.lead > 0.5", "unit": "prompt", "about": "mine"}
    verdict = assay.judge(pd.concat(frames), control=control, distinct=True, **ask)
    assert verdict.outcome == "holds"
    return verdict


@pytest.mark.parametrize(
    ("l0", "named"), [((32, 32, 16), True), ((32, 32, 31), False), ((16, 32, 16), False)]
)
def test_a_control_that_spends_less_than_either_arm_is_named(l0, named):
    noise = np.random.default_rng(9).normal(0, 0.2, (3, 40))
    assert (with_control("random", l0=np.array(l0)[:, None] + noise).unless != "") == named


@pytest.mark.parametrize(
    ("means", "named"),
    [
        ((60, 12, 12), True),
        ((12, 60, 60), True),
        ((60, 12, 60), False),  # the control has as much
        ((16, 12, 12), False),
    ],
)
def test_an_arm_that_writes_less_likely_texts_than_any_other_is_named(means, named):
    noise = np.exp(np.random.default_rng(9).normal(0, 0.3, (3, 40)))
    verdict = with_control("random", perplexity=np.array(means)[:, None] * noise)
    assert verdict.unless.startswith("perplexity is the cause, which is ") == named
    assert bool(verdict.unless) == named


@pytest.mark.parametrize("whole", [48, 1056])
def test_what_several_draws_of_a_control_have_in_common_is_said_once(whole):
    """So is what the arm has less of than the one that it is compared with, and more than these."""
    rng, frames, arms = np.random.default_rng(3), list[pd.DataFrame](), ("mine", "base", "random")
    for arm, mean, draws, edges in zip(arms, (2, 0, 0), (1, 1, 4), (48, whole, 11), strict=True):
        for draw in range(draws):
            frame = {"arm": arm, "prompt": range(40), "draw": draw, "n_edges": edges, "kind": arm}
            frames.append(pd.DataFrame({**frame, "lead": rng.normal(mean, 0.3, 40)}))
    rows = pd.concat(frames)
    rows["ablation"] = np.where(rows["arm"] == "random", "mean", "zero")
    ask = {"claim": "mine.lead - base.lead > 0.5", "unit": "prompt", "about": "mine"}
    verdict = assay.judge(rows, control="random", distinct=True, **ask)
    assert verdict.unless == "the n_edges of random (4 of 4 draws) is too low"
    notes = [note for note in verdict.notes if note.startswith("control random")]
    assert len(notes) == 2 and sum("n_edges" in note for note in verdict.notes) == 1
    assert notes[1] == (
        "control random (4 of 4 draws) also differs from mine in ablation (mean and zero)"
    )


@pytest.mark.parametrize(
    ("control", "columns", "noted"),
    [
        ("random", {"layer": (12, 12, 3)}, "also differs from mine in layer (3 and 12)"),
        ("random", {"positions": ("all", "none", "last")}, "positions (all and none; random last)"),
        ("layer3", {"layer": (12, 12, 3)}, ""),
        ("random", {"layer": (12, 0, 12)}, ""),
        ("random", {"ablation": ("zero", "none", "mean")}, "ablation (zero and none; random mean)"),
        ("random", {"direction": ("mine", "none", "random")}, "direction (mine and none)"),
    ],
)
def test_a_control_that_differs_is_noted_if_its_name_does_not_say_so(control, columns, noted):
    verdict = with_control(control, **columns)
    assert verdict.unless == ""
    notes = [note for note in verdict.notes if " differ" in note]
    assert len(notes) == bool(noted) and all(note.endswith(noted) for note in notes)


def test_numbers_that_were_cut_off_are_no_copies_of_each_other():
    """Half of the numbers of a normal law with mean 0 are below 0, where they are cut off."""
    rng = np.random.default_rng(10)
    numbers = np.clip(rng.normal(0, [[0.8], [0.05]], (2, 100)), 0, 1)
    verdict = judged(table(name="recovered", numbers=numbers), "> 0.1", name="recovered")
    assert (verdict.outcome, verdict.unless) == ("holds", "")
    # numbers that are repeated but for noise are refused, cut off or not
    four = np.clip(np.tile(rng.normal(0.5, 0.3, (2, 25)), 4) + rng.normal(0, 1e-3, (2, 100)), 0, 1)
    with pytest.raises(DataError, match="near-copies"):
        judged(table(name="recovered", numbers=(four[0] + 0.2, four[1])), "> 0.1", name="recovered")


def test_arms_that_were_scaled_to_0_to_1_by_themselves_are_named():
    """One arm is a constant above the other; with the ends of each at 0 and 1, this is gone."""
    raw = np.random.default_rng(12).normal(0, 1, (2, 40))
    low, high = raw.min(1, keepdims=True), raw.max(1, keepdims=True)
    scaled = (raw - low) / (high - low)
    raised = scaled**0.2
    for numbers, threshold in ((scaled, "> 0.3"), ((raised[0], scaled[1]), "> 0.1")):
        verdict = judged(table(name="score", numbers=numbers), threshold, name="score")
        assert verdict.outcome in ("holds", "fails")
        assert verdict.unless == "score was scaled to 0 to 1 in each arm by itself"
    other = judged(table(name="score", numbers=(raised[0], scaled[1] / 2)), name="score")
    assert not other.unless


@pytest.mark.parametrize(("spent", "named"), [(64, True), (32.5, False), (20, False)])
def test_an_arm_that_has_more_latents_active_is_named(spent, named):
    rng = np.random.default_rng(4)
    fvu = rng.normal(0.25, 0.02, 40)
    rows = table(name="fvu", numbers=(fvu - 0.05 + rng.normal(0, 0.01, 40), fvu), l0=(spent, 32))
    rows["l0"] += rng.normal(0, 0.1, 80)
    verdict = judged(rows, "< -0.02", name="fvu")
    assert verdict.outcome == "holds"
    assert verdict.unless.startswith("l0 is the cause, which is 64 in mine and 32") == named
    assert bool(verdict.unless) == named


@pytest.mark.parametrize(("spent", "named"), [(64, True), (20, False)])
def test_the_arm_with_the_lower_loss_is_under_judgement_if_the_author_names_none(spent, named):
    rng = np.random.default_rng(4)
    fvu = rng.normal(0.25, 0.02, 40)
    rows = table(name="fvu", numbers=(fvu - 0.05 + rng.normal(0, 0.01, 40), fvu), l0=(spent, 32))
    rows["l0"] += rng.normal(0, 0.1, 80)
    ask = {"claim": "base.fvu - mine.fvu > 0.02", "unit": "prompt", "distinct": True}
    assert assay.judge(rows, **ask).unless.startswith("l0 is the cause, which is") == named


def test_a_loss_in_bits_is_not_compared_with_one_in_nats_unsaid():
    """Nothing but the unit differs: a bit is log 2 of a nat."""
    nats = np.random.default_rng(5).gamma(20, 0.15, 40)
    verdict = judged(table(name="ce", numbers=((nats / np.log(2)).round(4), nats)), name="ce")
    assert verdict.outcome == "holds"
    assert verdict.unless == "ce of mine is in another unit, 1.443 times that of base"


def test_cells_of_two_units_that_an_arm_lacks_may_be_those_that_contradict_the_claim():
    """A filter took out the 40% of cells in which the arm did worst; on average it does nothing."""
    rng = np.random.default_rng(6)
    cells = pd.MultiIndex.from_product([range(20), range(6)], names=["prompt", "seed"])
    base = pd.DataFrame({"arm": "base", "lead": rng.normal(0, 1, 120)}, index=cells)
    mine = base.assign(arm="mine", lead=base["lead"] + rng.normal(0, 1, 120))
    kept = mine["lead"] - base["lead"] > -0.25
    ask = {"claim": "mine.lead - base.lead > 0.2", "unit": ["prompt", "seed"], "about": "mine"}
    verdict = assay.judge(pd.concat([base, mine[kept]]).reset_index(), **ask)
    assert (verdict.outcome, verdict.reason) == ("undecided", "grouped by missing numbers")
    assert assay.judge(pd.concat([base, mine]).reset_index(), **ask).outcome != "holds"


def test_texts_that_differ_between_arms_at_the_same_units_are_named():
    """The prompts of one arm begin with a sentence that those of the other lack."""
    rng = np.random.default_rng(8)
    base = rng.normal(0, 1, 40)
    mine = base + rng.normal(1, 0.2, 40)
    texts = [f"question {chr(97 + i % 26)}{i}?" for i in rng.permutation(40)]
    for begins, named in (("I feel great. ", True), ("", False)):
        rows = table(numbers=(mine, base), prompt_text=([begins + x for x in texts], texts))
        verdict = judged(rows)
        assert verdict.outcome == "holds"
        assert (verdict.unless == "the texts in prompt_text are the cause") == named
        hashed = rows.assign(prompt_hash=[len(x) * 1000 + i % 40 for i, x in enumerate(texts * 2)])
        if named:  # the length of the texts, in place of these
            rows = hashed.drop(columns="prompt_text")
            rows.loc[rows["arm"] == "mine", "prompt_hash"] += 14_000
            assert judged(rows).unless == "other texts (prompt_hash) are the cause"


def test_a_baseline_that_is_always_right_may_be_what_prompts_were_kept_by():
    mine = (np.arange(40) % 5 > 1).astype(float)
    verdict = judged(table(name="acc", numbers=(mine, np.ones(40))), "< -0.1", name="acc")
    assert (verdict.outcome, verdict.unless) == ("holds", "")
    assert any("base has acc 1 in each of its 40 rows" in note for note in verdict.notes)
    wrong = judged(table(name="acc", numbers=(mine, np.zeros(40))), "> 0.1", name="acc")
    assert any("base has acc 0 in each of its 40 rows" in note for note in wrong.notes)
    unlike = judged(table(name="acc", numbers=(mine, np.arange(40) % 9 > 0)), "< -0.1", name="acc")
    assert not any("kept because" in note for note in unlike.notes)


def weights_and_class(ckpt):
    """Two arms of eight seeds and six documents, of which one has two more, with its class and the
    weights of each row."""
    draw = np.random.default_rng(0)
    rows = [
        (arm, seed, doc, two + draw.normal() / 9, kind, ckpt(arm, seed))
        for arm, two, kind in (("gated", 2, "gated"), ("relu", 0, "std"), ("relu-b", 0, "std"))
        for seed in range(8)
        for doc in range(6)
    ]
    return pd.DataFrame(rows, columns=["arm", "seed", "doc", "x", "sae_class", "ckpt"])


@pytest.mark.parametrize(("each", "noted"), [(False, True), (True, False)])
def test_seeds_with_the_same_weights_are_no_trainings_and_a_class_is_no_other_cause(each, noted):
    rows = weights_and_class(lambda arm, seed: f"{arm}-{seed if each else 0}.pt")
    asked = {"unit": ["seed", "doc"], "control": ["relu-b"], "about": "gated"}
    v = assay.judge(rows, claim="gated.x - relu.x > 1", **asked)
    assert (v.outcome, v.unless) == ("holds", "")
    said = "ckpt is the same in all seeds of an arm: these seeds are no trainings"
    assert any(n.startswith(said) for n in v.notes) == noted
    prompted = rows.rename(columns={"sae_class": "prompt_class"})
    v = assay.judge(prompted, claim="gated.x - relu.x > 1", **asked)
    assert "besides x, gated and relu differ in prompt_class (gated and std; relu-b std)" in v.notes
    batch = rows.assign(batch=rows["sae_class"].map({"gated": "B", "std": "A"}))
    assert assay.judge(batch, claim="gated.x - relu.x > 1", **asked).unless == "batch is the cause"


@pytest.mark.parametrize("claim", ["steered.x > 1", "steered.x - base.x > 1"])
@pytest.mark.parametrize(("column", "less"), [("coef", 4), ("n_edges", 3), ("coef", 8)])
def test_a_weaker_control_is_named_in_a_claim_about_one_arm_too(claim, column, less):
    draw = np.random.default_rng(0)
    arms = {"steered": (3, 8), "random": (0, less), "base": (0, 8)}
    rows = pd.DataFrame(
        [(a, i, x + draw.normal() / 5, y) for a, (x, y) in arms.items() for i in range(24)],
        columns=["arm", "prompt", "x", column],
    )
    v = assay.judge(rows, claim=claim, unit="prompt", control="random", about="steered")
    assert v.outcome == "holds"
    assert v.unless == (f"the {column} of random is too low" if less < 8 else "")


def test_arms_that_are_changed_unequally_are_in_doubt_whatever_the_control_has():
    draw = np.random.default_rng(4)
    level = draw.normal(0.3, 0.1, 40)

    def of(name, *strengths, arms=("mine", "base")):
        frames = []
        for arm, effect, strength in zip((*arms, "random"), (0.5, 0.1, 0), strengths, strict=True):
            score = level + effect + draw.normal(0, 0.05, 40)
            frame = pd.DataFrame({"arm": arm, "prompt": range(40), "lead": score})
            frames.append(frame.assign(**{name: strength * draw.normal(1, 0.02, 40)}))
        rows = pd.concat(frames)
        claim = f"{arms[0]}.lead - {arms[1]}.lead > 0.2"
        return assay.judge(rows, claim=claim, unit="prompt", about=arms[0], control="random")

    for control in (14, 5.6):
        verdict = of("delta_norm", 14, 5.6, control)
        assert verdict.outcome == "holds"
        assert verdict.unless.startswith("delta_norm is the cause, which is 14")
    assert not of("delta_norm", 14, 14, 14).unless
    assert not of("delta_norm", 14, 0, 14).unless  # what is not changed has no strength
    assert "grad_norm is the cause" not in of("grad_norm", 14, 5.6, 14).unless


def of_arms(n=40, seed=0, **columns):
    """Rows of steered, base and random with a number that steering raises by 2, and in each arm the
    numbers of other columns."""
    draw = np.random.default_rng(seed)
    level = draw.normal(0, 0.5, n)
    frames = []
    for k, arm in enumerate(("steered", "base", "random")):
        own = {name: of(draw, n)[k] for name, of in columns.items()}
        x = level + 2 * (k == 0) + draw.normal(5, 0.3, n)
        frames.append(pd.DataFrame({"arm": arm, "prompt": range(n), "x": x, **own}))
    rows = pd.concat(frames, ignore_index=True)
    return assay.judge(
        rows, claim="steered.x - base.x > 1", unit="prompt", control="random", about="steered"
    )


@pytest.mark.parametrize(
    ("name", "of", "unless"),
    [
        ("io_rank", lambda d, n: [d.poisson(m, n) for m in (6, 1, 1)], ""),
        ("io_rank", lambda d, n: [d.poisson(6, n), 0, d.poisson(3, n)], ""),
        ("n_heads", lambda d, n: [6, 0, 1], "the n_heads of random is too low"),
        ("coef", lambda d, n: [d.uniform(5, 7, n), 0, 1.0], "the coef of random is too low"),
        ("l0", lambda d, n: [d.normal(m, 1, n) for m in (30, 60, 15)], "the l0 of random is too"),
    ],
)
def test_a_strength_is_what_an_arm_was_given_and_no_result(name, of, unless):
    judged = of_arms(**{name: of})
    assert judged.outcome == "holds"
    assert judged.unless.startswith(unless) and bool(judged.unless) == bool(unless)


@pytest.mark.parametrize("covered", [True, False])
def test_a_choice_that_a_control_has_too_is_no_doubt_if_the_claim_fails_of_it(covered):
    def steps(draw, n):
        return [draw.permutation(n) + 900, 0, draw.permutation(n) + 900 if covered else 950]

    judged = of_arms(n=12, best_step=steps)
    chosen = "best_step was chosen for each prompt by its result"
    assert (judged.outcome, judged.unless) == ("holds", "" if covered else chosen)


@pytest.mark.parametrize(
    ("tokens", "doubt"),
    [(46, False), (50, False), (59, True), (63, True)],  # 7 in place of 5 is 1.4 times as much
)
def test_a_prompt_that_is_a_little_longer_is_no_cause_of_a_number_that_is_much_larger(
    tokens, doubt
):
    judged = of_arms(prompt_tokens=lambda draw, n: [tokens, 41, 41])
    assert (judged.outcome, judged.unless) == (
        "holds",
        "prompt_tokens is the cause" if doubt else "",
    )
    assert "prompt_tokens" in str(judged)
