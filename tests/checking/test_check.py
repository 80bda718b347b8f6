"""What a check calls, keeps, reports and gives back."""

import ast
import json
import math
import re
import shlex
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import assay
from acceptance.test_check import (
    HOLDS,
    V,
    about_no_effect,
    check,
    features_with,
    lines_of,
    own_cache,
    share,
)
from assay.checking.fingerprint import source
from assay.checking.result import Check
from assay.cli.main import main
from assay.core.errors import AssayError, ClaimError, DataError, RunError
from assay.report.checks import page
from assay.verbs.check import words
from assay.verbs.credited import Credited, refuse_python
from planted_worlds import ACTS, ELSEWHERE, LABELS, ROWS, TRUE, noise

__all__ = ["own_cache"]
NAMED = {"unit": (), "fixed": ()}


def flat(v):
    """What is printed, as one line."""
    return " ".join(repr(v).split())


def test_the_effect_is_the_plain_mean_of_with_less_without():
    v = check()
    each = share(V.vector, ROWS) - share(None, ROWS)
    assert v.estimate == pytest.approx(each.mean(), abs=1e-12)
    half = 2.0687 * each.std(ddof=1) / 24**0.5  # Student's t with 23 degrees of freedom
    low, high = v.interval
    assert low <= each.mean() - 0.99 * half and high >= each.mean() + 0.99 * half
    assert v.outcome == "holds" and v.controls["random"].outcome == "fails"
    assert check(holds="effect_after - effect_before > 0.5").estimate == pytest.approx(v.estimate)


def test_what_a_direction_is_and_where_it_points():
    mask = np.array(LABELS)
    wanted = ACTS[mask].mean(0) - ACTS[~mask].mean(0)
    np.testing.assert_allclose(V.vector, wanted, atol=1e-12)
    names = ["yes" if x else "no" for x in LABELS]
    np.testing.assert_allclose(assay.direction(ACTS, names, toward="no").vector, -wanted)
    own = assay.direction(ACTS, LABELS, learn=lambda a, b: (a.mean(0) - b.mean(0)) / 2)
    np.testing.assert_allclose(own.vector, wanted / 2)
    with pytest.raises(DataError, match="two labels, got 3"):
        assay.direction(ACTS[:3], [1, 2, 3])
    narrow = ACTS[:, :-1]
    with pytest.raises(DataError, match=rf"elsewhere= has rows of {narrow.shape[1]} numbers"):
        assay.direction(ACTS, LABELS, elsewhere=[ACTS, narrow])


def counted(v):
    """What a check says of the claims that were tried before."""
    begins = "the same measure", "the same claim", "also judged:"
    return [n for n in v.notes if "tried on" in n or n.startswith(begins)]


def test_every_claim_on_the_same_prompts_counts_whatever_the_function(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert counted(check()) == counted(check()) == [], "the same claim twice is one"
    assert counted(check(holds="effect > 0.6")) == [
        "2 claims were tried on these prompts with this function",
        "the same measure was judged before on this machine: “effect > 0.5” (holds)",
    ]
    turned = assay.direction(ACTS, np.roll(LABELS, 3))
    assert counted(check(vector=turned, prompts=ROWS[::-1][:16]))[0] == (
        "3 claims were tried on these prompts with this function"
    )

    def rescaled(vector, prompts):
        return 2 * share(vector, prompts.to_dict("records"))

    frame = pd.DataFrame(ROWS).assign(more=1)
    assert counted(check(rescaled, prompts=frame)) == [
        "4 claims were tried on these prompts, 1 of them with this same function (code and values)",
    ], "those with another function are counted alone"
    assert counted(check(vector=turned))[-1] == "also judged: “It moves” (holds)"
    assert counted(check(prompts=[{**r, "text": f"other {r['text']}"} for r in ROWS])) == []
    off = check(ledger=False)
    assert counted(off) == [
        "not counted (the ledger is off): how many claims were tried on these prompts"
    ]
    off.save(tmp_path / "x.assay")
    assert counted(assay.Check.load(tmp_path / "x.assay")) == counted(off)


def test_claims_of_one_text_are_quoted_once_with_all_that_came_of_them(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    labels = LABELS, *(np.random.default_rng(k).permutation(LABELS) for k in range(3))
    vectors = [assay.direction(ACTS, of) for of in labels]
    *came, last = [check(vector=v) for v in vectors]
    (said,) = [n for n in counted(last) if n.startswith("also judged:")]
    counts = Counter(v.outcome for v in came)
    each = ", ".join(f"{n} × {x}" if n > 1 else x for x, n in counts.items())
    assert said == f"also judged: “It moves” (with other data or options: {each})"


def test_more_draws_that_refute_a_claim_are_not_forgotten_by_fewer(tmp_path, monkeypatch):
    """One of 15 other heads has the effect, and is not among the four that are tried by default."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    culprit = None

    def effect(heads, prompts):
        size = 2.0 if heads and heads[0] in ((0, 2), culprit) else 0.1 * bool(heads)
        return [size + noise(p["text"], size) / 10 for p in prompts]

    head = {"vector": None, "heads": [(0, 2)], "of": (4, 4)}
    drawn = check(effect, ledger=False, **head)
    untried = {f"head {b}.{h}" for b in range(4) for h in range(4)} - {*drawn.judged.controls}
    name = min(untried - {"head 0.2"})
    culprit = int(name[-3]), int(name[-1])
    every = check(effect, draws=15, **head)
    assert every.outcome == "unspecific" and "all 15 others in of= were tried" in every.notes
    four = check(effect, **head)
    assert four.outcome == "holds" and len(four.judged.controls) == 4
    assert "4 of the 15 others in of= were tried; draws=15 tries all" in four.notes
    before = (
        "the same claim was judged before on this machine, with other options or another function"
    )
    assert f"{before}: unspecific" in four.notes


def test_a_ledger_that_cannot_be_written_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "state").write_text("no folder")
    assert check().outcome == "holds"
    assert "is not known: " in counted(check())[0]


def test_what_cannot_be_seen_into_is_not_kept(own_cache):
    lines = iter(range(10**6))

    def hook(vector, prompts):
        next(lines)
        return share(vector, prompts)

    v = check(hook)
    assert not list(own_cache.rglob("*.json"))
    assert any("not kept" in n and "range_iterator" in n for n in v.notes)


def test_a_function_that_ignores_what_it_is_handed_is_reported_at_once():
    calls = []

    def ignores(vector, prompts):
        calls.append(len(prompts))
        return [noise(p["text"]) for p in prompts]

    with pytest.raises(DataError, match="ignores gives the same numbers with the vector"):
        check(ignores, cache=False)
    assert max(calls) == 2

    def says_no(vector, prompts):  # two prompts may well agree by chance
        calls.append(len(prompts))
        return [0.0 for p in prompts]

    calls.clear()
    with pytest.raises(DataError, match="the same numbers"):
        check(says_no, cache=False)
    assert [n for n in calls if n > 2] == [24, 24, 12, 24]  # none, the vector twice, a control


def test_an_error_names_the_control_and_the_prompt():
    def hook(vector, prompts):
        if vector is not None and vector @ TRUE < -1:
            for p in prompts:
                if p["text"] == "prompt 13":
                    raise ValueError("no such token")
        return share(vector, prompts)

    with pytest.raises(RunError, match=r"hook raised ValueError: no such token under opposite"):
        check(hook, cache=False)
    with pytest.raises(RunError, match=r"at prompt 14 \({'text': 'prompt 13'"):
        check(hook, cache=False)

    def needs(vector, prompts):
        return share(vector * 1.0, prompts)

    with pytest.raises(RunError, match="called with None for `without`"):
        check(needs, cache=False)
    assert check(needs, none=0 * TRUE).outcome == "holds"
    with pytest.raises(RunError) as other:
        check(lambda vector, prompts: [p["txet"] for p in prompts], cache=False)
    assert "KeyError: 'txet'" in str(other.value) and "None" not in str(other.value)


def test_what_is_given_wrongly_has_a_short_traceback_and_the_users_own_error_its_cause():
    def fails(vector, prompts):
        raise ValueError("no such token")

    with pytest.raises(DataError, match=r"no file missing\.csv") as given:
        check(prompts="missing.csv")
    assert [frame.path.name for frame in given.traceback][2:] == ["errors.py"]
    with pytest.raises(RunError) as own:
        check(fails, cache=False)
    assert isinstance(own.value.__cause__, ValueError)


def test_a_condition_about_no_number_of_the_function_is_answered_with_what_its_names_mean():
    """The function gives named numbers, of which none is called effect."""
    means = "lead is the effect (after minus before); its two parts are lead_after and lead_before"
    for holds, said in (
        ("effect < -2", "write 'lead < -2'"),
        ("effect_after > 0.5 * effect_before", "write 'lead_after > 0.5 * lead_before'"),
        ("leads < -2", "did you mean lead?"),
    ):
        with pytest.raises(ClaimError) as given:
            check(lambda v, p: {"lead": [float(v is None)] * len(p)}, holds=holds, cache=False)
        assert f"{said}. {means}" in str(given.value)


@pytest.mark.parametrize(
    ("gives", "why"),
    [
        (lambda v, p: 1.0, "gave numbers of shape"),
        (lambda v, p: [[1.0]] * len(p), "one number for each prompt"),
        (lambda v, p: ["a"] * len(p), "numbers are needed"),
        (lambda v, p: [np.inf] * len(p), "infinite number at prompt 1"),
        (lambda v, p: {"a b": [1.0] * len(p)}, "'a b', which is not a name"),
        (lambda v, p: {}, "gave no numbers"),
        (lambda v, p: {"x" if v is None else "y": [1.0] * len(p)}, "other names of numbers"),
    ],
)
def test_what_is_no_number_a_prompt_is_refused(gives, why):
    with pytest.raises(DataError, match=why):
        check(gives, cache=False)


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"vector": None}, DataError, "name what the claim is about"),
        ({"layer": 3}, DataError, "got vector= and layer="),
        ({"of": 7}, DataError, "vector= has no option of="),
        ({"vector": None, "layer": 3}, DataError, "layer= needs others="),
        ({"vector": None, "heads": [(0, 1)]}, DataError, "heads= needs of="),
        ({"vector": np.zeros(3)}, DataError, "length 0"),
        ({"vector": None, "heads": [(0, 9)], "of": (2, 4)}, DataError, r"names \(0, 9\), which"),
        (
            {"vector": None, "latents": [1], "of": 4, "norms": [1, 2, math.nan, 1]},
            DataError,
            "nan for",
        ),
        ({"vector": None, "latents": [1], "of": 4, "norms": {2: 1.0}}, DataError, "1 has no size"),
        ({"holds": "effect"}, ClaimError, "compares nothing"),
        ({"holds": "efect > 1"}, ClaimError, "did you mean effect"),
        ({"prompts": ["a"]}, DataError, "has length 1;"),
        ({"unit": "colour"}, DataError, "no column 'colour'"),
        ({"draws": 0}, DataError, "1 or more"),
        ({"vector": None, "training": "a"}, ClaimError, "no control here"),
        ({"vector": None, "source": ["a"]}, DataError, "has length 1 for 24 prompts"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_in_one_line(options, error, why):
    with pytest.raises(error, match=why) as e:
        check(cache=False, **options)
    assert "\n" not in str(e.value) and isinstance(e.value, AssayError)


def test_a_control_that_changes_nothing_is_said_to_exclude_nothing():
    """The function reads one dimension; what lies across it changes no number, but by rounding."""

    def reads(vector, prompts):
        moved = 0.0 if vector is None else float(vector @ TRUE)
        return [noise(p["text"]) + moved for p in prompts]

    still = [1e-9 * TRUE, 2e-9 * TRUE]
    v = check(reads, controls={"across": still, "half": [0.4 * TRUE, still[0]]}, cache=False)
    assert v.idle == ("across",) and v.controls["across"].estimate != 0
    assert v.outcome == "holds" and v.no_test("across") and not v.no_test("half")
    assert v.row("across")[2] == "0 [0, 0]" and v.row("half")[2] != "0 [0, 0]"
    (note,) = [n for n in v.remarks if "excludes nothing" in n]
    assert note.startswith("control across changes nothing here") and note in flat(v)
    assert "excludes nothing" in v._repr_html_()
    counts = check(lambda v, p: np.round(reads(v, p)), controls={"across": still}, cache=False)
    assert not counts.idle, "a count may hide a small change"


@pytest.mark.parametrize("slope", [lambda p: p["x"], lambda p: 1.2345678])
def test_a_linear_function_is_no_test_of_its_own_direction(slope):
    """What lies across the direction changes nothing, from a number that is 0 in every prompt, and
    the opposite direction does the opposite, even where all prompts have one effect."""

    def reads(vector, prompts):
        return [0.0 if vector is None else slope(p) * float(vector @ TRUE) for p in prompts]

    prompts = [{"text": f"word{i}", "x": 2 + noise(f"word{i}")} for i in range(24)]
    asked = {"prompts": prompts, "vector": TRUE, "holds": "effect > 1", "cache": False}
    v = check(reads, ledger=False, **asked)
    assert (v.outcome, v.reason) == ("undecided", "no control is a test")
    assert v.idle == ("random",) and v.row("random")[2:4] == ("0 [0, 0]", "no test")
    assert v.row("opposite")[3] == "no test"
    curved = check(lambda v, p: np.exp(reads(v, p)), ledger=False, **asked)
    assert curved.outcome == "holds" and not curved.no_test("opposite")
    # that it changes nothing speaks against a claim of which this is true, too
    either = check(reads, ledger=False, **asked | {"holds": "effect > -1"})
    assert either.outcome == "unspecific" and not either.no_test("random")


@pytest.mark.parametrize("lead", [-0.007, 0.5, -9.0])
def test_a_task_that_the_model_cannot_do_is_no_test_of_damage(lead):
    """A lead of about 0 has nothing to lose; log-probabilities are always below 0."""

    def falls(heads, prompts):
        own = heads == [(0, 1)]
        return [3 + noise(p["text"]) * (1 + (heads is not None)) - 2 * own for p in prompts]

    def other(heads, prompts):
        return [lead + noise(p["text"]) - 0.001 * (heads is not None) for p in prompts]

    asked = {"vector": None, "heads": [(0, 1)], "of": (2, 4), "holds": "effect < -1"}
    v = check(falls, **asked, also=other, cache=False, ledger=False)
    nothing = [n for n in v.remarks if "the model cannot do the other task" in n]
    assert v.outcome == "holds" and v.controls["damage"].outcome == "fails"
    assert bool(nothing) == (v.row("damage")[3] == "no test") == (lead == -0.007)
    assert all("nothing could be lost" in n and n == v.remarks[0] for n in nothing)


@pytest.mark.parametrize(
    ("thing", "why"),
    [
        ({"text": "be"}, "'words': the words of 'be' cannot"),
        ({"text": "be be"}, "'words': the words of 'be be' cannot"),
        ({"latents": [1, 2], "of": 3}, "'other latents': of= leaves 1 to choose from, and 2"),
        ({"layer": 0, "others": 1}, "'other layer': the model has 1 layer"),
        ({"source": ["s"] * 24}, "'unrelated': all rows are the same"),
    ],
)
def test_a_control_that_cannot_be_made_is_noted_and_the_others_are_judged(thing, why):
    own = [0] if "latents" in thing else ["mine"] * 24 if "source" in thing else "mine"

    def moved(thing, prompts):
        up = 0.0 if thing is None else 0.1 if thing in (own, ["mine"] * len(prompts)) else 1.0
        return [up + 0.1 * noise(p["text"]) * (1 + up) for p in prompts]

    v = check(moved, vector=None, holds="effect > 0.5", controls={"own": [own]}, **thing)
    assert v.outcome == "holds" and "own" in v.controls
    assert sum(f"no control {why}" in note for note in v.notes) == 1, v.notes
    with pytest.raises(ClaimError, match=r"bring your own with controls="):
        check(moved, vector=None, holds="effect > 0.5", **thing)


@pytest.mark.parametrize("several", [False, True])
def test_a_source_of_ones_own_has_a_part_for_each_prompt(several):
    """A list like that of the claim is one control, a column of the prompts as well, and a list of
    such lists has several variants."""
    rows = [{**row, "there": f"there {i}", "mine": f"mine {i}"} for i, row in enumerate(ROWS)]
    mine = [row["mine"] for row in rows]

    def patch(parts, prompts):
        assert parts is None or len(parts) == len(prompts)
        own = [0.0 if parts is None else parts[i] == p["there"] for i, p in enumerate(prompts)]
        return [x + noise(p["text"], x) / 10 for x, p in zip(own, prompts, strict=True)]

    given = {"vector": None, "prompts": rows, "source": "there", "cache": False}
    for own in [[mine, mine[::-1]]] if several else [mine, "mine"]:
        v = check(patch, controls={"mine": own}, **given)
        assert v.outcome == "holds" and v.draws("mine") == 1 + several
    with pytest.raises(DataError, match="a source has length 1 for 24 prompts"):
        check(patch, controls={"mine": ["one"]}, **given)


def test_two_calls_that_differ_make_the_interval_wider():
    """Noise that all prompts of a call share is not seen between prompts."""
    state = np.random.default_rng(0)

    def drifting(vector, prompts):
        return share(vector, prompts) + state.normal(0, 0.2)

    v, plain = check(drifting), check()
    width = v.interval[1] - v.interval[0]
    assert v.question.noise > 0.01
    assert any("two calls of drifting differ" in n for n in v.notes)
    assert width > 2 * v.question.noise and plain.question.noise == 0


def test_yes_and_no_get_the_exact_interval_of_a_difference_of_shares():
    def refuses(vector, prompts):
        moved = 0.0 if vector is None else float(vector @ TRUE)
        return [float(moved + noise(p["text"]) > 1) for p in prompts]

    v = check(refuses)
    assert v.outcome == "holds" and v.estimate == 1 and v.judged.bounds == (-1, 1)
    # nobody of 24 disagrees: twice Clopper-Pearson's lower limit, less one
    assert v.interval[0] >= 2 * 0.025 ** (1 / 24) - 1 - 0.03 and v.interval[1] == 1
    assert check(refuses, holds="effect > 0.9").outcome == "undecided"


@pytest.mark.parametrize(
    ("before", "holds", "reach"),
    [
        (0, "effect < -0.2", "0.00, so an effect can only be from 0 to 1"),
        (1, "effect > 0.1", "1.00, so an effect can only be from -1 to 0"),
        (0.125, "effect < -0.2", "0.12, so an effect can only be from -0.125 to 0.875"),
    ],
)
def test_what_cannot_fall_or_rise_as_far_is_undecided(before, holds, reach, tmp_path):
    """The three on which it could fall do, or nothing changes: either is all that could happen."""

    def refuses(vector, prompts):
        low = 0 if vector is not None and before == 0.125 else before
        return [float(texts.index(p["text"]) < low * len(texts)) for p in prompts]

    texts = [p["text"] for p in ROWS]
    v = check(refuses, holds=holds, cache=False)
    assert v.outcome == "undecided" and reach in flat(v), v
    assert reach in flat(assay.Check.load(v.save(tmp_path / "v.assay")))
    least, greatest = map(float, reach.rpartition("from ")[2].split(" to "))
    assert least <= v.interval[0] <= v.estimate <= v.interval[1] <= greatest
    other = "effect > 0.3" if before == 0 else "effect < -0.3"
    if before != 0.125:  # that may as well be a function that ignores what it is handed
        with pytest.raises(DataError, match="the same numbers"):
            check(refuses, holds=other, cache=False)


def test_bounds_are_those_of_the_function_and_say_what_an_effect_can_be():
    def chance(vector, prompts):
        return [0.02 + 0.01 * noise(p["text"]) % 0.01 for p in prompts]

    def moved(vector, prompts):
        return [x * (vector is None or 0.5) for x in chance(vector, prompts)]

    v = check(moved, holds="effect < -0.2", bounds=(0, 1), cache=False)
    assert v.outcome == "undecided" and "effect_before is 0.0" in repr(v)
    assert check(moved, holds="effect < -0.2", cache=False).outcome == "fails"
    with pytest.raises(ClaimError, match="bounds= are those of effect itself"):
        check(moved, holds="effect < -0.2", bounds=(0.5, 1), cache=False)


def test_numbers_that_the_condition_does_not_name_are_no_groups_of_prompts():
    """Answers of yes and no after a change are not two groups of what changed."""

    def mixed(vector, prompts):
        yes = [float(i % 2) for i, _ in enumerate(prompts)]
        return {"won": [1.0 if vector is not None else y for y in yes], "loss": yes}

    v = check(mixed, holds="won > 0.2", cache=False)
    assert not any("of 2 " in n for n in v.remarks), v


def test_several_numbers_are_named():
    def both(vector, prompts):
        x = share(vector, prompts)
        return {"logit": x, "loss": -x}

    v = check(both, holds="logit > 0.5")
    assert v.estimate == pytest.approx(check().estimate)
    assert check(both, holds="logit - loss > 1").estimate == pytest.approx(2 * v.estimate)
    assert check(both, holds="mean(logit) - mean(loss) > 1").outcome == "holds"


def test_units_are_columns_and_a_product_of_columns_is_noticed():
    rows = [{"text": f"{t} {c}", "template": t, "city": c} for t in "ab" for c in range(12)]
    v = check(prompts=rows)
    assert v.judged.n == {"city": 12}
    made = "the 24 prompts are combinations (2 of template × 12 of city), so the unit is city"
    assert any(made in n for n in v.notes)
    assert "over 12 cities; of these 2 templates" in v.judged.scope
    numbered = [{**row, "template": "ab".index(row["template"])} for row in rows]
    assert "over 12 cities; of these 2 templates" in check(prompts=numbered).judged.scope
    assert check(prompts=rows, unit="prompt").judged.n == {"prompt": 24}
    few = check(prompts=rows, unit="template")
    assert few.outcome == "undecided" and "too few" in few.judged.reason


def test_it_is_saved_and_judged_again(tmp_path):
    v = check()
    path = v.save(tmp_path / "moves.assay")
    again = assay.Check.load(path)
    assert again.outcome == v.outcome
    assert again.estimate == v.estimate
    assert again.interval == v.interval
    assert repr(again) == repr(v) and again.about["function"] == "share"
    with zipfile.ZipFile(path) as z, zipfile.ZipFile(tmp_path / "x.assay", "w") as out:
        for name in z.namelist():
            text = z.read(name).decode()
            if name == "numbers.csv":
                text = text.replace("vector,", "random,").replace("random,1,", "vector,1,", 1)
            out.writestr(name, text)
    with pytest.raises(AssayError):
        assay.Check.load(tmp_path / "x.assay")
    (tmp_path / "y.assay").write_text("no")
    with pytest.raises(DataError, match="is not a file that a check was saved to"):
        assay.Check.load(tmp_path / "y.assay")


def test_it_is_a_table_in_a_terminal_a_frame_and_html():
    v = check()
    assert repr(v).startswith("holds: It moves\neffect > 0.5: ")
    assert "satisfies the claim" in repr(v)
    frame = v.to_pandas()
    assert len(frame) == 10
    assert set(frame["control"]) == {"", "random", "shuffled", "opposite"}
    assert frame.loc[0, "estimate"] == v.estimate
    html = v._repr_html_()
    assert "a random vector of this length" in html
    assert "It moves" in html
    assert "<script" not in html
    strongest = max(x.estimate for a, x in v.judged.controls.items() if a.startswith("random"))
    assert v.controls["random"].estimate == strongest


@pytest.mark.parametrize(
    ("known", "outcome"), [(0.15, "holds"), (3.0, "undecided"), (0.05, "unspecific")]
)
def test_no_effect_is_shown_by_a_thing_that_has_a_small_one(known, outcome):
    """Beyond the threshold of 0.1, and at most twice as far."""

    def moved(vector, prompts):
        return [len(p) % 7 + 0.1 * (0.0 if vector is None else vector[0]) for p in prompts]

    given = {"vector": np.eye(8)[1], "prompts": ["x" * n for n in range(1, 25)], "cache": False}
    given |= {"holds": "-0.1 < effect < 0.1", "ledger": False}
    alone = assay.check("It does nothing", moved, **given)
    assert alone.outcome in ("undecided", "unspecific")
    v = assay.check(
        "It does nothing", moved, controls={"known": np.eye(8)[0] * known * 10}, **given
    )
    assert v.outcome == outcome and [*v.controls] == ["known"]
    asks = 'give controls={"known": thing}, a thing with an effect between -0.1 and -0.2 or between'
    assert (asks in flat(v)) == (outcome == "undecided") and asks in flat(alone)


@pytest.mark.parametrize("known", [[], [[]], (1, 0), [1], "x", [(1, 0), [(1, 1)]], [(1, 0, 0)]])
def test_a_control_that_is_no_list_of_heads_is_refused(known):
    words = r"'known' is a list of heads, such as \[\(0, 0\)\], or a list of several such lists"
    with pytest.raises(DataError, match=words):
        about_no_effect(controls={"known": known})


def test_a_claim_of_no_effect_says_what_would_show_that_an_effect_is_found():
    """That everything else has no effect either needs no other task of the model."""
    alone = about_no_effect(draws=1)
    wanted = (
        'controls={"known": thing}, a thing with an effect between -0.1 and -0.2 or between 0.1'
    )
    assert (
        wanted in flat(alone) and "damage" not in flat(alone) and "claim a dif" not in flat(alone)
    )
    assert "'damage'" in flat(about_no_effect(holds="effect > 1"))
    missed = about_no_effect(controls={"known": [(1, 0)]}, holds="-0.17 < effect < 0.17")
    assert missed.outcome == "undecided" and "violation an arm" not in flat(missed)
    assert "with an effect between -0.17 and -0.34 or between 0.17 and 0.34" in flat(missed)


@pytest.mark.parametrize("before", [5.0, 0.0])
def test_a_range_around_0_is_true_of_the_unchanged_number_or_claims_an_effect(before):
    """A change that does nothing, at 5, fails the claim; at 0 it satisfies it, as a note says."""

    def hook(source, prompts):
        if source is None:
            return [before + noise(p["text"]) for p in prompts]
        return [
            (-4.0 if x == p["right"] else 5.0) + noise(p["text"], x)
            for x, p in zip(source, prompts, strict=True)
        ]

    rows = [{"text": f"prompt {i}", "right": f"right {i}"} for i in range(24)]
    asked = {"prompts": rows, "vector": None, "source": "right", "holds": "effect_after < 1"}
    v = check(hook, **asked)
    assert v.outcome == "holds"  # while patches from other prompts, the control, do not
    assert ("a change that does nothing satisfies" in flat(v)) == (before == 0)
    own = check(hook, **asked, controls={"own": ["other"] * 24})  # next to the automatic one
    assert {*own.controls} == {"unrelated", "own"}


@pytest.mark.parametrize(("strength", "is_long"), [(1.0, False), (100.0, True)])
def test_a_vector_so_long_that_no_prompt_is_read_any_more_is_noted(strength, is_long):
    """The stream is divided by its length: with a vector of 100 times the length of a prompt's, all
    prompts are this vector but for about 1%."""
    stream = {p["text"]: np.random.default_rng(i).normal(size=32) / 6 for i, p in enumerate(ROWS)}

    def normed(vector, prompts):
        x = np.array([stream[p["text"]] for p in prompts]) + (0 if vector is None else vector)
        return x / np.linalg.norm(x, axis=1, keepdims=True) @ TRUE

    v = check(normed, vector=strength * TRUE, holds="effect > 0.4")
    assert v.outcome == "holds" and is_long == ("holds, unless the vector breaks" in flat(v))


def test_a_lead_that_is_smaller_than_the_fall_that_is_claimed_is_noted():
    about = {"holds": "effect < -9", "heads": [(1, 1)]}
    (note,) = [n for n in about_no_effect(**about).remarks if "would not satisfy" in n]
    assert note.startswith("effect_before is ") and "the loss of all of it" in note
    for holds in ("effect < -1", "effect > 9"):
        assert not any("loss of" in n for n in about_no_effect(**about | {"holds": holds}).remarks)


def test_a_function_with_parts_for_each_prompt_gets_those_of_its_rows():
    def hook(source, prompts):
        assert source is None or len(source) == len(prompts)
        return [
            noise(p["text"], str(source)) + (source is not None and source[i] == p["right"])
            for i, p in enumerate(prompts)
        ]

    v = assay.check("Its own city", hook, prompts=ROWS, holds=HOLDS, source="right")
    assert v.outcome == "holds"


def test_a_function_that_moves_every_prompt_alike_is_judged_by_its_median():
    """Of n alike the least and the greatest are limits of the median with 1 − 2^(1−n), and up to
    1 − .025^(1/n) of all may be of another kind (Clopper and Pearson): 14% at 24. Copies of one
    prompt are one unit, and decide nothing."""

    def alike(vector, prompts):
        return [0.1 + (0.0 if vector is None else float(vector @ TRUE)) for _ in prompts]

    v = check(alike)
    assert v.outcome == "holds"
    assert v.interval == pytest.approx((v.estimate,) * 2, abs=1e-11)
    assert any("median" in n and "up to 14% of all prompts" in n for n in v.judged.notes)
    assert check(alike, holds="effect > 5").outcome == "fails"
    on_the_edge = check(alike, holds=f"effect > {v.estimate!r}")
    assert on_the_edge.outcome == "undecided"
    assert "rounding" not in on_the_edge.judged.price.text
    same = check(alike, prompts=[{"text": "one"}] * 24)
    assert same.outcome == "undecided" and same.judged.reason == "units agree"


@pytest.mark.parametrize(("alike", "said"), [(True, False), (False, True)])
def test_an_effect_with_one_of_four_speakers_is_said_to_be_of_these_alone(alike, said):
    """Its interval over things is narrow, and over other speakers nothing is known."""
    draw, things = np.random.default_rng(0), "abcdefgh"
    rows = [{"text": f"{s} saw {t}", "thing": t, "speaker": s} for t in things for s in "ABCD"]
    noise = {row["text"]: draw.normal(0, 0.05) for row in rows}

    def logit(vector, prompts):
        size = 0.0 if vector is None else float(vector @ TRUE)
        share = [0.5 if alike else 2.0 * (p["speaker"] == "A") for p in prompts]
        return [size * (x + noise[p["text"]]) for x, p in zip(share, prompts, strict=True)]

    v = check(logit, prompts=rows, holds="effect > 0.3")
    assert v.outcome == "holds" and "8 things" in repr(v)
    notes = [n for n in v.remarks if "about these 4 speakers only" in n]
    assert bool(notes) == said and all("with so few of them" in n for n in notes)


@pytest.mark.parametrize("whole", [False, True], ids=["random pairs", "kinds of the unit"])
@pytest.mark.parametrize("differ", [True, False])
def test_a_column_that_decides_without_a_unit_is_named_with_one(whole, differ):
    """Four places, of which two have a small effect: with an animal as the unit, whether each comes
    with some places only or lives in one, the claim is about these places alone."""
    draw = np.random.default_rng(1)
    rows = [
        {"animal": f"animal{i % 8}", "r2": "ADBCCABD"[i % 8 if whole else draw.integers(8)], "x": x}
        for i, x in enumerate(draw.normal(0, 0.3, 40))
    ]
    of = dict(zip("ABCD", (-8.0, -6.4, -2.8, -3.5) if differ else (-5, -5, -5, -5), strict=True))

    def logit(heads, prompts):
        own = heads == [(0, 1)]
        moves = (of[p["r2"]] + p["x"] if own else p["x"] / 9 for p in prompts)
        return [
            9 + p["x"] + (0 if heads is None else m) for p, m in zip(prompts, moves, strict=True)
        ]

    asked = {"vector": None, "heads": [(0, 1)], "of": (2, 4), "holds": "effect < -3"}
    asked |= {"prompts": rows, "ledger": False}
    assert check(logit, **asked).outcome == ("undecided" if differ else "holds")
    v = check(logit, **asked, unit="animal")
    notes = [n for n in v.remarks if "these 4 values of r2 only" in n]
    assert v.outcome == "holds" and v.judged.n == {"animal": 8}
    assert bool(notes) == ("of these 4 values of r2" in v.judged.scope) == differ
    assert not differ or v.remarks[0] == notes[0]
    if differ and not whole:
        price = check(logit, **asked).judged.price.text
        assert price.endswith('of r2, or say unit="animal" if the claim is about these values only')


def test_other_heads_that_have_the_effect_together_are_to_be_checked_one_by_one():
    """One of the pair does everything, and nothing but a check of each shows that."""

    def lead(heads, prompts):
        size = {(0, 2): 2.0, (0, 0): 1.0, (0, 1): 1.0}
        return [(9 - sum(size.get(h, 0.0) for h in heads or ())) * p["x"] for p in prompts]

    rows = [{"x": x} for x in np.random.default_rng(0).uniform(1, 2, 24)]
    about = {"heads": [(0, 0), (0, 1)], "of": (1, 4), "holds": "effect < -1"}
    v = assay.check("It falls", lead, prompts=rows, **about, cache=False, ledger=False)
    assert v.outcome == "unspecific"
    (note,) = [n for n in v.remarks if "check each by itself" in n]
    assert "heads=[(0, 2)]" in note and "heads=[(0, 3)]" in note


@pytest.mark.parametrize("holds", ["effect < -1", "effect_before - effect_after > 1"])
@pytest.mark.parametrize(
    ("level", "outcome"), [(0.0, "undecided"), (3.0, "fails"), (-9.0, "fails")]
)
def test_a_lead_that_is_not_there_cannot_be_lost(holds, level, outcome):
    """That it does not fall then says nothing about the parts that were taken out. What is always
    below 0 may be a log-probability, which can fall."""
    at = np.random.default_rng(0).normal(0, 0.5, 24)

    def lead(heads, prompts):
        return [level + 0.2 * len(heads or ()) * at[p["i"]] + at[p["i"]] for p in prompts]

    rows = [{"i": i} for i in range(24)]
    about = {"heads": [(0, 0)], "of": (2, 4), "holds": holds, "prompts": rows}
    v = assay.check("It falls", lead, **about, cache=False, ledger=False)
    assert v.outcome == outcome and ("no lead to lose" in v.reason) == (outcome == "undecided")
    assert not [n for n in v.remarks if "none to lose" in n]


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (0.0, "not clearly above 0: if it is a lead"),
        (-5.95, "if it is a log-probability, the probability is 0.0026"),
        (-0.3, ""),
        (3.0, ""),
    ],
)
def test_a_model_that_cannot_do_the_task_is_said_to_where_the_claim_holds(level, said):
    """A log-probability of -5.95 is worse than a guess among five letters, of ln 5 = 1.61."""
    at = np.random.default_rng(0).normal(0, 0.05, 24)

    def number(heads, prompts):
        fall = {None: 0.0, (0, 0): 2.0}.get(heads and heads[0], 0.1)
        return [level + at[p["i"]] - fall * (1 + at[p["i"]]) for p in prompts]

    about = {"heads": [(0, 0)], "of": (2, 4), "holds": "effect < -1", "ledger": False}
    v = assay.check("It falls", number, prompts=[{"i": i} for i in range(24)], cache=False, **about)
    assert v.outcome == "holds"
    notes = [n for n in v.remarks if n.startswith("effect_before is ")]
    assert [said in n for n in notes] == ([True] if said else [])


@pytest.mark.parametrize(
    ("name", "level", "said"),
    [
        ("number", -5.95, "if it is a lead, and no log-probability, the"),
        ("lead", -0.3, "in every prompt: the unchanged model has no lead to lose"),
        ("logit_diff", -5.95, "in every prompt: the unchanged model has no lead to lose"),
        ("margin", 0.0, "not clearly above 0: there was no lead to lose"),
        ("logp", -5.95, "in every prompt: the probability is 0.0026, perhaps no more than"),
        ("answer_log_prob", -3.0, ""),
        ("log_probability", 0.0, ""),
        ("nll", -5.95, ""),
        ("loss", 0.0, ""),
    ],
)
def test_a_number_whose_name_says_what_it_is_is_doubted_as_that_alone(name, level, said):
    at = np.random.default_rng(0).normal(0, 0.05, 24)

    def number(heads, prompts):
        fall = {None: 0.0, (0, 0): 2.0}.get(heads and heads[0], 0.1)
        return {name: [level + at[p["i"]] - fall * (1 + at[p["i"]]) for p in prompts]}

    about = {"heads": [(0, 0)], "of": (2, 4), "holds": f"{name} < -1", "ledger": False}
    v = assay.check("It falls", number, prompts=[{"i": i} for i in range(24)], cache=False, **about)
    notes = [n for n in v.remarks if n.startswith(f"{name}_before is ")]
    assert v.outcome == "holds" and [said in n for n in notes] == ([True] if said else [])
    assert all(n.count(" if it is") + n.count("a lead") < 2 for n in notes if name != "number")


def test_a_control_that_is_not_beaten_is_the_reason_and_a_missing_lead_a_note():
    """Other heads lower the number by as much on average, in some prompts alone."""
    at = np.random.default_rng(0).normal(0, 0.3, 24)

    def lead(heads, prompts):
        falls = {(0, 0): lambda i: 1.5, None: lambda i: 0.0}
        fall = falls.get(heads and heads[0], lambda i: 2.0 * (i % 2))
        return [at[p["i"]] * (1 + 0.1 * len(heads or ())) - fall(p["i"]) for p in prompts]

    about = {"heads": [(0, 0)], "of": (2, 4), "holds": "effect < -1", "cache": False}
    v = assay.check("It falls", lead, prompts=[{"i": i} for i in range(24)], **about, ledger=False)
    assert v.outcome == "undecided" and "not beaten" in v.reason
    assert sum("none to lose" in n for n in v.remarks) == 1


def test_other_heads_are_of_these_blocks_only_where_all_are():
    def lead(heads, prompts):
        return [3 - 0.1 * len(heads or ()) + noise(p["text"]) for p in prompts]

    for of, where in ((1, 8), " of these blocks"), ((3, 4), ""):
        two = {"vector": None, "heads": [(0, 0), (0, 1)], "of": of, "holds": "effect < -1"}
        v = check(lead, **two, cache=False, ledger=False)
        (why,) = {placed.why for placed in v.question.placed.values()}
        assert why == f"equally many other heads{where} have the effect"


def test_what_is_put_in_could_have_lowered_a_number_of_0():
    at = np.random.default_rng(0).normal(0, 0.5, 24)

    def lead(vector, prompts):
        return [at[p["i"]] * (1.0 if vector is None else 1.2) for p in prompts]

    v = check(lead, prompts=[{"i": i} for i in range(24)], holds="effect < -1")
    assert v.outcome == "fails" and sum("none to lose" in n for n in v.remarks) == 1


def test_the_order_of_a_file_is_a_note_and_that_of_a_time_decides(tmp_path):
    rows = [{"text": "x" * n} for n in range(1, 40)]

    def longer(vector, prompts):
        share = 0.0 if vector is None else float(vector @ TRUE)
        return [len(p["text"]) * (0.05 + 0.02 * share) + 0.7 * share for p in prompts]

    v = check(longer, prompts=rows, holds="effect > 1")
    assert v.outcome == "holds" and sum("similar numbers" in n for n in v.judged.notes) == 1
    said = [part for part in words(v) if isinstance(part, str) and part.startswith("note: ")]
    assert said == [f"note: {remark}" for remark in v.remarks]
    loaded = assay.Check.load(v.save(tmp_path / "v.assay"))
    assert loaded.outcome == "holds"
    timed = [{**r, "day": i} for i, r in enumerate(rows)]
    v = check(longer, prompts=timed, holds="effect > 1")
    assert v.outcome == "undecided" and v.judged.reason == "grouped by order"


def test_prompts_that_say_no_number_may_be_those_that_speak_against_the_claim():
    """A hook that gives no number where the effect is small."""

    def some(vector, prompts):
        x = share(vector, prompts)
        lost = [int(p["text"].split()[-1]) % 24 < count for p in prompts]
        return np.where(np.array(lost) & (vector is not None), np.nan, x)

    count = 0
    assert check(some).outcome == "holds"
    count = 1  # the others' lowest in its place changes nothing
    assert check(some, cache=False).outcome == "holds"
    count = 8
    v = check(some, cache=False)
    assert (v.outcome, v.judged.reason) == ("undecided", "grouped by missing numbers")


def test_what_texts_have_in_common_is_found_without_a_column():
    """Three wordings of sixteen things, and an effect that each wording has by itself."""
    ways = ("The capital of {} is", "I once went to {} and saw", "We know {} for its fine")
    texts = [way.format(f"land{chr(97 + i)}") for i in range(16) for way in ways]

    def by_wording(vector, prompts):
        moved = 0.0 if vector is None else float(vector @ TRUE)
        first = {"The": 0.6, "I": 0.95, "We": 0.3}
        return [moved * first[p.split()[0]] + noise(p, round(moved, 6)) / 10 for p in prompts]

    v = check(by_wording, prompts=texts, holds="effect > 1")
    assert (v.outcome, v.judged.reason) == ("undecided", "grouped by wording of text")
    assert "prompts of at least 6 wordings of text" in v.judged.price.text
    assert "--" not in repr(v)


def test_a_patch_that_says_the_answer_is_noted():
    def copied(sources, prompts):
        some = sources or [""] * len(prompts)
        return [(p["right"] in s) + noise(p["text"], s) for s, p in zip(some, prompts, strict=True)]

    saying = [f"It is {row['right']}" for row in ROWS]
    notes = check(copied, vector=None, source=saying).notes
    assert any("contains the prompt's own right" in n for n in notes)
    assert not any("own right" in n for n in check(copied, vector=None, source=saying[::-1]).notes)
    others = [f"We see {row['right']} there" for row in ROWS]
    notes = check(copied, vector=None, source=saying, others=others).notes
    assert not any("own right" in n for n in notes)


class Leak:
    """A model whose hook stays, from one call to the next."""

    def __init__(self) -> None:
        self.added = 0.0

    def __call__(self, vector, prompts):
        self.added = self.added if vector is None else float(vector[0])
        return [0.01 * p["x"] + self.added for p in prompts]


def test_what_a_function_leaves_behind_is_refused_and_what_it_misses_is_noted():
    """A hook that stays, an argument or prompts that are changed, padding that counts, prompts that
    the change does not reach, and no number at all; none of it is a finding."""
    rows = [{"x": float(i)} for i in range(24)]

    def changes(vector, prompts):
        if vector is not None:
            vector *= 2
        return [0.01 * p["x"] + (0 if vector is None else vector[0]) for p in prompts]

    def writes(vector, prompts):
        for p in prompts:
            p["x"] += 0.5
        return changes(None if vector is None else vector.copy(), prompts)

    def padded(vector, prompts):
        return np.array(changes(None if vector is None else vector.copy(), prompts)) + len(prompts)

    def some(vector, prompts):
        reached = 0 if vector is None else vector[0]
        return [0.01 * p["x"] + (reached if p["x"] % 3 else 0) for p in prompts]

    def ask(hook, vector=(1, 0, 0, 0)):
        given = [dict(row) for row in rows]
        v = np.array(vector, float)
        options = {"prompts": given, "holds": "effect > 0.1", "vector": v}
        return check(hook, cache=False, ledger=False, **options)

    for hook, why in (
        (Leak(), "something stays in the model"),
        (changes, "changes the vector that it is given"),
        (writes, "changes the prompts that it is given"),
        (lambda v, p: [math.nan] * len(p), "no number, but NaN, for every prompt"),
    ):
        with pytest.raises(DataError, match=why):
            ask(hook)
    assert any("which others are in the call, by up to 23" in n for n in ask(padded).notes)
    told = ask(some).notes
    assert any("8 of 24 prompts have exactly the same number" in n for n in told)
    still = ask(lambda v, p: {"loss": [0.5 + x["x"] / 7 for x in p], "effect": some(v, p)})
    assert [n for n in still.notes if "exactly the same number" in n] == [
        n for n in told if "exactly the same number" in n
    ], "of a number that the condition does not name nothing is said"
    assert not any("others are in the call" in n for n in told)
    with pytest.raises(DataError, match="not finite"):
        ask(some, np.full(4, math.nan))

    def breaks(vector, prompts):
        return {
            "effect": some(vector, prompts),
            "loss": [p["x"] * 0.1 + 9 * (vector is not None) for p in prompts],
        }

    def right(vector, prompts):  # effects of 0, 1 and -1 by a name of shares
        return {"correct": [(p["x"] + (vector is not None)) % 7 < 3 for p in prompts]}

    of_right = {"prompts": rows, "holds": "correct > 0.5", "vector": np.eye(4)[0]}
    assert check(right, cache=False, ledger=False, **of_right).outcome != "holds"
    assert any("also moves loss" in n and "1.15 to 10.2" in n for n in ask(breaks).notes)
    with pytest.raises(DataError, match="called 'arm'; rename"):
        ask(lambda v, p: {"arm": some(v, p)})


def attends(texts, side, masked):
    """A network of one head over the characters of padded texts: a number at each place, and which
    places are no padding."""
    rng, size = np.random.default_rng(0), max(map(len, texts))
    embed, places, w = (rng.normal(size=n).astype("f") for n in ((128, 8), (64, 8), 8))
    pads = [size - len(t) if side == "left" else 0 for t in texts]
    real = np.array(
        [[0 <= i - p < len(t) for i in range(size)] for t, p in zip(texts, pads, strict=True)]
    )
    ids = np.array([[*map(ord, t.rjust(size) if side == "left" else t.ljust(size))] for t in texts])
    at = np.maximum(np.cumsum(real, 1) - 1, 0) if masked else np.arange(size)[None]
    x = embed[ids] + places[at]
    sees = np.tri(size, dtype=bool)[None] & (
        real[:, None] | (not masked) | np.eye(size, dtype=bool)
    )
    scores = np.where(sees, np.exp(np.einsum("bid,bjd->bij", x, x) / 8), 0)
    return (x + scores / scores.sum(2, keepdims=True) @ x) @ w, real


@pytest.mark.parametrize("least", [1, 2])
@pytest.mark.parametrize(
    ("side", "masked", "reads", "noted"),
    [
        ("right", True, "end", True),  # the short ones are read at a pad
        ("left", False, "end", True),  # pads are attended to, and shift positions
        ("right", True, "all", True),  # a mean over pads
        ("right", True, "own", False),
        ("left", True, "end", False),
        ("right", False, "own", False),  # pads come later, where nothing looks at them
    ],
)
def test_padding_that_counts_is_noted_though_the_ends_are_padded_alike(
    side, masked, reads, noted, least
):
    """The first prompt is the shortest and the last one the longest, so that both together are
    padded as all are; not every function takes one prompt alone."""

    def read(vector, prompts):
        if len(prompts) < least:
            raise ValueError("a batch of one")
        x, real = attends(prompts, side, masked)
        last = [np.flatnonzero(r)[-1] for r in real]
        of_end = x[range(len(x)), last] if reads == "own" else x[:, -1]
        numbers = x.mean(1) if reads == "all" else of_end
        return numbers + (0 if vector is None else vector[0])

    texts = [f"This is {'abcdefghijklmnopqrstuvwxyz'[i:] + 'no' * i}" for i in range(24)]
    asked = {"vector": np.eye(4)[0], "prompts": texts, "holds": "effect > 0.5", "cache": False}
    notes = check(read, ledger=False, **asked).notes
    assert any("is padding masked?" in n for n in notes) == noted


def test_what_is_left_behind_by_several_heads_is_said_of_them():
    left = []

    def hook(heads, prompts):
        left.extend(heads or ())
        return [0.1 * len(p) + len(left) for p in prompts]

    prompts = ["x" * n for n in range(3, 20)]
    asked = {"vector": None, "heads": [(1, 2), (1, 3)], "of": (4, 6), "prompts": prompts}
    with pytest.raises(DataError, match="without the heads after a call with them, by up to"):
        check(hook, cache=False, ledger=False, **asked)


def test_a_control_that_returns_minus_the_claims_number_is_no_test():
    """Both rows of a pair have the other one's answers, so the change at token 5 is the change at
    token 3 with its sign turned round; the change at token 7 does nothing of the kind."""
    prompts = [{"text": f"word{i}", "x": 2 + noise(f"word{i}")} for i in range(24)]
    sign = {None: 0, 3: 1, 5: -1, 7: 0.1}

    def moved(position, prompts):
        return [3 + sign[position] * p["x"] for p in prompts]

    asked = {"vector": None, "prompts": prompts, "holds": "effect > 1", "position": 3}
    v = check(moved, others=[5], cache=False, ledger=False, **asked)
    assert (v.outcome, v.reason) == ("undecided", "no control is a test")
    assert v.row("token")[3] == "no test"
    assert "the same measurement" in " ".join(repr(v).split())  # wherever its lines end
    v = check(moved, others=[5, 7], cache=False, ledger=False, **asked)
    assert v.outcome == "holds" and v.row("token")[3] == "no (strongest: position 7)"


def test_the_layers_that_were_changed_are_named_and_counted():
    asked = {"vector": None, "holds": "effect > 0.3", "layer": 5, "others": 9, "cache": False}
    prompts = [{"x": 1 + 0.01 * i} for i in range(24)]
    notes = check(at_layer, prompts=prompts, **asked).notes
    assert any(
        "others=9 says how many layers there are: the change is also made at 2 of the 8 other "
        "layers: 2 and 8, a third of the model away" in n
        for n in notes
    )
    notes = check(at_layer, prompts=prompts, **asked | {"others": [2, 3]}).notes
    assert not any("other layers" in n for n in notes)


@pytest.mark.parametrize(
    ("others", "untried"),
    [(9, "layers 4 and 6"), ([0, 8], "layers 4 and 6"), ([4, 8], "layer 6"), ([3], "layer 4"),
     ([4, 6], ""), ([4], "")],
)  # fmt: skip
def test_layers_next_to_the_claimed_one_are_named_unless_they_are_tried(others, untried):
    prompts = [{"x": 1 + 0.01 * i} for i in range(24)]
    asked = {"vector": None, "holds": "effect > 0.3", "layer": 5, "cache": False}
    notes = check(at_layer, prompts=prompts, others=others, **asked).notes
    found = [n.partition(", next to layer 5, w")[0] for n in notes if "next to layer 5" in n]
    assert found == [untried] * bool(untried)


def test_sources_of_which_none_is_unrelated_are_noted():
    def read(source, prompts):
        return [
            3.0 * (s == p["own"]) + p["x"]
            for s, p in zip(source or [p["own"] for p in prompts], prompts, strict=True)
        ]

    for kinds in (2, 4):
        rows = [{"own": f"w{i % kinds}", "x": 0.01 * i} for i in range(24)]
        other = [f"w{(i + 1) % kinds}" for i in range(24)]
        v = check(read, prompts=rows, holds="effect < -2", vector=None, source=other)
        assert any("2 different sources" in n for n in v.notes) == (kinds == 2)


def test_prompts_that_say_the_same_in_several_wordings_are_noted_by_what_they_say():
    names = ("Anna", "Bob", "Carl", "Dora", "Emil", "Fay")
    forms = ("{} went to the shop", "I saw that {} left", "nobody met {} today", "so says {} now")
    size = dict(zip(names, np.random.default_rng(0).normal(0, 2, 6), strict=True))

    def by_name(vector, prompts):
        found = [next(n for n in names if n in p) for p in prompts]
        moved = [size[n] + 0.01 * len(p) ** 1.3 for n, p in zip(found, prompts, strict=True)]
        return [0 if vector is None else x for x in moved]

    prompts = [f.format(n) for f in forms for n in names]
    v = check(by_name, prompts=prompts, holds="effect > 9", vector=np.ones(4), cache=False)
    told = "the 24 prompts are combinations (4 wordings of text × 6 groups with similar text)"
    assert any(told in n for n in v.remarks), v


SPEAKERS = ("Anna", "My brother", "The teacher", "A friend")
THINGS = ("film", "meal", "book", "hotel", "trip", "song")


def by_speaker(of_speaker, noise=0.2):
    """Four beginnings of six things; the effect of layer 5 depends on who speaks."""
    draw = np.random.default_rng(0)
    return [
        {"text": f"{who} told me of the {what}. The {what} was", "thing": what, "x": x}
        for who, size in zip(SPEAKERS, of_speaker, strict=True)
        for what, x in zip(THINGS, size + draw.normal(0, noise, 6), strict=True)
    ]


def at_layer(layer, prompts):
    return [p["x"] * {None: 0.0, 5: 1.0, 2: 0.95}.get(layer, 0.1) for p in prompts]


def test_prompts_that_repeat_their_beginnings_are_one_note_with_advice_that_can_decide():
    asked = {"vector": None, "layer": 5, "others": [0, 1, 3], "holds": "effect > 3.5"}
    v = check(at_layer, prompts=by_speaker([2.9, 4.1, 4.3, 5.5]), **asked)
    assert v.outcome == "undecided"
    (note,) = (n for n in v.remarks if "combinations" in n or "belong" in n)
    assert "the 24 prompts are combinations (4 beginnings of text × 6 of thing)" in note
    assert note.endswith("], with which the claim would hold")
    decides = "give prompts of at least 6 beginnings of text, or name thing as the unit if the "
    assert f"{decides}claim is about these 4 beginnings of text only" in v.judged.price.text
    named = check(at_layer, prompts=by_speaker([2.9, 4.1, 4.3, 5.5]), unit="thing", **asked)
    assert (named.outcome, named.judged.n) == ("holds", {"thing": 6})
    assert "over 6 things; of these 4 beginnings of text" in named.judged.scope
    assert not any("combinations" in n for n in named.remarks)


def test_an_unspecific_check_says_which_interval_was_judged_and_what_the_other_would_decide():
    rows = by_speaker([4.0, 5.0, 6.0, 7.0])
    v = check(at_layer, prompts=rows, vector=None, layer=5, others=[2], holds="effect > 3.5")
    assert v.outcome == "unspecific"
    (note,) = (n for n in v.remarks if "combinations" in n)
    assert ", and the outcome would be undecided: " in note
    assert v.judged.scope == "over 24 prompts; of these 4 beginnings of text"


def test_a_function_whose_file_is_edited_while_it_is_in_use_is_measured(tmp_path, monkeypatch):
    """An editor saved half of a call: what is on disk now cannot be read as Python."""
    path = tmp_path / "edited_since.py"
    path.write_text("def measured(text):\n    return float(\n        len(text)\n    )\n")
    monkeypatch.syspath_prepend(tmp_path)
    import edited_since

    path.write_text("def measured(text):\n    return float(\n        len(\n")
    assert source(edited_since.measured) == ""


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--acts", "acts.npy", "--labels", "labels.npy", "--elsewhere", "narrow.npy"], "rows of"),
        (["--vector", "labels.npy", "--elsewhere", "acts.npy"], "needs --acts and --labels"),
        (["--vector", "none.npy"], "no file none.npy"),
        (["--vector", "labels.npy", "--prompts", "none.csv"], "no file none.csv"),
        (["--vector", "labels.npy", "--holds", "effect"], "compares nothing"),
        (["--vector", "labels.npy", "--bounds", "(0,1)"], "as in --bounds 0 1"),
        (["--text", "a", "--also", "(other, rows)"], "write --also other"),
        (["--text", "a", "--control", "['my own', 'words']"], "--control 'my own' --control words"),
    ],
)
def test_a_shell_refuses_a_wrong_question_before_it_runs_the_users_file(
    tmp_path, monkeypatch, capsys, words, why
):
    """The file may load a model, which takes minutes."""
    monkeypatch.chdir(tmp_path)
    Path("hook.py").write_text("raise RuntimeError('this file was run')\n")
    Path("prompts.csv").write_text("text\n" + "".join(f"{'a' * n}\n" for n in range(1, 25)))
    for name, x in {
        "acts": ACTS,
        "narrow": ACTS[:, :-1],
        "labels": np.array(LABELS, float),
    }.items():
        np.save(f"{name}.npy", x)
    asked = {"--prompts": "prompts.csv", "--holds": "effect > 1"} | dict(
        zip(words[::2], words[1::2], strict=True)
    )
    assert main(["check", "hook.py:f", *(w for pair in asked.items() for w in pair)]) == 2
    assert why in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("option", "typed"),
    [
        ("heads", "[(1, 2)]"),
        ("heads", "[[1, 2], [3, 4],]"),
        ("neurons", "[7, 8]"),
        ("neurons", "[(1, 2), (3, 4)]"),
        ("latents", "(5, 6)"),
        ("of", "(4, 6)"),
        ("of", "[(1, 2), (3, 4)]"),
        ("others", "[1, 2, 3]"),
        ("others", "['a', \"b\"]"),
    ],
)
def test_a_list_that_is_typed_as_in_python_is_refused_with_the_same_list_as_a_shell_writes_it(
    option, typed
):
    options = {**vars(Credited(**{option: typed})), "also": "", "control": ()} | NAMED
    with pytest.raises(DataError, match=r"is written as in Python; in a shell, write --\w+") as e:
        refuse_python(options)
    name, value = shlex.split(str(e.value).partition(" write ")[2])
    pairs = {} if option == "heads" else {"heads": "1.2"}  # which decide how --of is read
    read = Credited(**pairs, **{name.removeprefix("--"): value}).read()[option]
    same = json.loads(json.dumps(ast.literal_eval(typed)))
    assert json.loads(json.dumps(read)) == same


@pytest.mark.parametrize(
    ("option", "typed", "same"),
    [("others", "range(1, 4)", [1, 2, 3]), ("latents", "range(2)", [0, 1]), ("of", "range(9)", 9)],
)
def test_a_range_as_in_python_is_refused_with_its_numbers(option, typed, same):
    options = {**vars(Credited(**{option: typed})), "also": "", "control": ()} | NAMED
    with pytest.raises(DataError, match="written as in Python") as e:
        refuse_python(options)
    assert Credited(**{option: str(e.value).rpartition(" ")[2]}).read()[option] == same


def test_a_pool_of_single_numbers_is_no_pool_of_heads():
    with pytest.raises(DataError, match=r"of= lists 4, which is not of the form of heads=\(1, 2\)"):
        check(vector=None, heads=[(1, 2)], of=[4, 4], cache=False)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_unspecific_claim_says_by_how_much_it_is_ahead_and_the_claim_that_holds_of_new_prompts(
    sign,
):
    """The words in another order have two thirds of the effect."""

    def moved(text, prompts):
        size = {None: 0.0, "be loud now": 6.0}.get(text, 4.0)
        return [sign * (size + noise(p["text"], str(text))) for p in prompts]

    about = {"vector": None, "text": "be loud now", "ledger": False}
    v = check(moved, holds="effect > 2" if sign > 0 else "effect < -2", **about)
    assert v.outcome == "unspecific"
    ours = v.rows[v.rows["arm"] == "text"]["effect"].to_numpy()
    rest = v.rows[v.rows["arm"] == "words (draw 1 of 4)"]["effect"].to_numpy()
    (said,) = [x for x in v.remarks if x.startswith("the text minus control words")]
    assert float(re.search(r": (-?[0-9.]+) \[", said)[1]) == pytest.approx(
        np.mean(ours - rest), abs=0.05
    )
    condition = re.search(r'holds="(.*?)"', said)[1]
    fresh = [{"text": f"new {i}"} for i in range(24)]
    again = check(moved, prompts=fresh, holds=condition, none="now be loud", **about)
    assert again.outcome == "holds" and again.controls["words"].outcome == "fails"


def test_a_lead_far_below_what_was_claimed_is_no_claim_to_test():
    """Words in another order have 98% of the effect."""

    def moved(text, prompts):
        size = {None: 0.0, "be loud now": 6.0}.get(text, 5.9)
        return [size + noise(p["text"], str(text)) / 100 for p in prompts]

    v = check(moved, holds="effect > 2", vector=None, text="be loud now", ledger=False)
    (said,) = [x for x in v.remarks if x.startswith("the text minus control words")]
    assert v.outcome == "unspecific" and "holds=" not in said


@pytest.mark.parametrize("kinds", [(0, 1), ("one", "many")])
@pytest.mark.parametrize("seed", [21, 27])
def test_a_label_of_two_values_is_a_difference_and_no_unit(kinds, seed):
    """Half of the prompts are of either kind, which moves the number by a half: an interval over
    two units would have the 12.7 of Student's t with one degree of freedom."""
    draw = np.random.default_rng(seed)
    noun = draw.integers(0, 8, 24)
    own, shared = draw.normal(size=24), draw.normal(size=8)
    falls = {f"r{i}": 2 + own[i] / 2 + shared[noun[i]] + 0.5 * (i % 2) for i in range(24)}
    rows = [{"noun": f"n{noun[i]}", "kind": kinds[i % 2], "row": f"r{i}"} for i in range(24)]

    def without(heads, prompts):
        return [-falls[p["row"]] + 0.2 * (heads != [(0, 1)]) if heads else 0.0 for p in prompts]

    about = {"vector": None, "heads": [(0, 1)], "of": (2, 2), "ledger": False}
    v = check(without, prompts=rows, holds="effect < -1", **about)
    means = [np.mean([-falls[f"r{i}"] for i in range(k, 24, 2)]) for k in (0, 1)]
    said = " ".join(x for x in v.remarks if "kind" in x)
    assert said == (
        f"the number is {means[0]:.3g} where kind is “{kinds[0]}”, {means[1]:.3g} where it is "
        f"“{kinds[1]}”"
    )
    assert v.outcome == "unspecific"


@pytest.mark.parametrize("order", ["xyz", "yxz", "zyx"])
def test_the_strongest_of_several_draws_that_satisfy_a_claim_is_the_largest(order):
    size = {"a b": 2.0, "b a": 0.1, "x": 1.0, "y": 3.0, "z": 1.5}

    def answer(text, prompts):
        return [float(len(p)) / 10 + size.get(text, 0.0) for p in prompts]

    trees = ("ash", "oak", "elm", "fir", "yew", "box")
    prompts = [f"{word} and {'more ' * n}" for n, word in enumerate(trees)]
    asked = {"vector": None, "text": "a b", "controls": {"mine": [*order]}}
    v = check(answer, prompts=prompts, cache=False, **asked)
    assert v.outcome == "unspecific"
    assert v.controls["mine"].estimate == pytest.approx(3.0)
    assert v.row("mine")[3] == "YES, 3 of 3"


@pytest.mark.parametrize(
    ("named", "others", "culprit"),
    [
        (
            {"layer": 12, "others": [3, 7, 20, 25]},
            ["layer 3", "layer 7", "layer 20", "layer 25"],
            25,
        ),
        ({"position": -1, "others": [-2, -4]}, ["position -2", "position -4"], -4),
    ],
)
def test_a_draw_is_named_by_what_it_is(named, others, culprit, tmp_path):
    kind = next(iter(named))

    def effect(thing, prompts):
        size = {None: 0.0, named[kind]: 5.0, culprit: 5.5}.get(thing, 0.1)
        return [size + noise(p["text"], size) / 10 for p in prompts]

    v = check(effect, vector=None, prompts=lines_of(12), holds="effect > 3", **named)
    assert v.reason == f"control {kind} {culprit} satisfies it too"
    assert f"YES, 1 of {len(others)}: {kind} {culprit}" in repr(v)
    assert v.to_pandas()["arm"].tolist() == [kind, *others]
    assert [*Check.load(v.save(tmp_path / "v.assay")).judged.controls] == others


def test_the_advice_names_what_does_better_and_the_claims_own_layer():
    """More prompts can only make it fail, as the control satisfies the claim and it does not."""

    def effect(layer, prompts):
        size = {None: 0.0, 27: 0.31, 9: 0.42}.get(layer, 0.1)
        return [size * (1 + 12 * noise(p["text"])) for p in prompts]

    v = check(
        effect, vector=None, layer=27, others=[9, 3], prompts=lines_of(24), holds="effect > .35"
    )
    assert v.outcome == "undecided"
    assert v.reach[-1].startswith(
        "more prompts can only make it fail or become unspecific: the con"
    )
    assert "the control layer 9, at 0." in v.reach[-1] and "than layer 27, at 0." in v.reach[-1]
    number, advice = repr(v).split("\n")[1:3]  # what would decide it is next to the number
    assert number.startswith("effect > .35: ") and v.reach[-1].startswith(advice)
    assert not repr(v).endswith(advice) and words(v)[2] == v.reach[-1]


def test_a_vector_that_has_the_effect_of_its_opposite_may_break_the_model():
    """What goes down whichever way the model is pushed; a number that goes both ways has no such
    note, nor one that is judged after the change, which is above 0 with either."""

    def broken(vector, prompts):
        along = 0.0 if vector is None else float(vector @ V.vector) / float(V.vector @ V.vector)
        moved = -10 * along**2 - along  # -11 and -9, and 0 of what is orthogonal
        return [20 + moved + noise(p["text"], round(moved, 3)) / 10 for p in prompts]

    v = check(broken, holds="effect > -5")
    assert v.outcome == "fails" and v.controls["random"].outcome == "holds"
    assert "the vector and its opposite move the number the same way (-" in flat(v)
    assert "it breaks the model; try a smaller strength" in flat(v)
    assert "can be had here" not in flat(v)
    for hook, holds in ((share, "effect > 3"), (broken, "effect_after > 15")):
        assert "the same way" not in flat(check(hook, holds=holds))


def test_a_control_that_satisfies_a_claim_which_fails_is_explained():
    """The effect is at the other layer's direction alone; of a claim of no effect, whose control
    has none either, nothing is said."""
    v = assay.direction(ACTS, LABELS, elsewhere=ELSEWHERE)
    note = (
        "control layer satisfies the claim, which fails: the effect can be had here, but not with "
        "this vector"
    )
    other = v.elsewhere[0][0].mean(0) - v.elsewhere[0][1].mean(0)
    other -= (other @ v.vector) / (v.vector @ v.vector) * v.vector

    def effect(vector, prompts):
        moved = 0.0 if vector is None else float(vector @ other) / np.linalg.norm(other)
        return [moved + noise(p["text"], round(moved, 6)) / 10 for p in prompts]

    fails = check(effect, vector=v)
    assert fails.outcome == "fails" and note in fails.remarks
    assert note[1:] in fails._repr_html_()
    none = check(vector=v, holds="-0.1 < effect < 0.1")
    assert none.outcome == "fails" and not any("can be had" in x for x in none.remarks)


def test_a_direction_that_has_to_be_stretched_is_noted():
    """Of labels that other layers hardly tell apart, the difference of means is short."""
    for scale, noted in ((0.1, True), (10.0, False)):
        v = assay.direction(ACTS, LABELS, elsewhere=scale * np.roll(ACTS, 1, axis=1))
        x, y = v.elsewhere[0]
        short = x.mean(0) - y.mean(0)
        short -= (short @ v.vector) / (v.vector @ v.vector) * v.vector
        times = np.linalg.norm(v.vector) / np.linalg.norm(short)
        notes = [x for x in check(vector=v).notes if x.startswith("control layer:")]
        assert (times >= 2) == noted == bool(notes)
        if notes:
            assert f"it is scaled {times:.2g} times" in notes[0] and "noise" in notes[0]
            without = check(vector=v, controls=["random"])
            assert not any(x.startswith("control layer:") for x in without.notes)


def test_controls_that_are_left_out_are_named_and_what_they_did_before(tmp_path, monkeypatch):
    """Whatever the order of the words, the text has the effect, and another text has not."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def loud(text, prompts):
        moved = 2.0 if "loud" in (text or "") else 0.1 * bool(text)
        return [moved + noise(p["text"], moved) / 10 for p in prompts]

    told = {"vector": None, "text": "be loud now", "others": ["a b c", "d e f"]}
    alone = check(loud, **told, controls=["length"], ledger=False)
    assert repr(alone).startswith("holds, without the control words: It moves\n")
    assert check(loud, **told).outcome == "unspecific"
    again = check(loud, **told, controls=["length"])
    said = "control words, which is left out here, satisfied the claim in an earlier check"
    assert again.outcome == "holds" and said in again.remarks and said not in alone.remarks
    first = "holds, although control words satisfied the claim in an earlier check: It moves\n"
    assert repr(again).startswith(first)
    read = Check.load(again.save(tmp_path / "v.assay"))
    assert repr(read) == repr(again) and read.question.left_out == ("words",)


def test_heads_are_named_by_block_and_number_and_random_draws_are_counted():
    def effect(heads, prompts):
        size = 0.0 if heads is None else 5.0 * ((1, 2) in heads)
        return [size + noise(p["text"], size) / 10 for p in prompts]

    options = {"vector": None, "prompts": lines_of(12), "holds": "effect > 3"}
    one = check(effect, heads=[(1, 2)], of=[(1, 2), (1, 3), (5, 3)], **options)
    assert {*one.judged.controls} == {"head 1.3", "head 5.3"}
    two = check(effect, heads=[(1, 2), (0, 1)], of=[(1, 2), (0, 1), (3, 4), (5, 6)], **options)
    (name,) = two.judged.controls
    assert sorted(name.removeprefix("heads ").split(" + ")) == ["3.4", "5.6"]
    drawn = [a for a in check().judged.controls if a.startswith("random")]
    assert drawn == [f"random (draw {k} of 4)" for k in (1, 2, 3, 4)]
    own = check(controls={"mine": [TRUE, -TRUE]}).judged.controls
    assert {"mine (draw 1 of 2)", "mine (draw 2 of 2)"} <= {*own}


@pytest.mark.parametrize(("threshold", "count"), [(6.9, 4), (6.7, 12)])
def test_four_draws_decide_if_another_one_reaches_the_claim_in_a_twentieth_of_cases(
    threshold, count
):
    """Of −3, −1, 1 and 3 the standard deviation is √(20/3), and Student's t with 3 degrees of
    freedom exceeds 2.353 in 5% of cases (any table): another draw exceeds 2.353 √(20/3 · 5/4)."""
    v = features_with([-3, -1, 1, 3], holds=f"effect > {threshold}")
    assert 2.353 * math.sqrt(20 / 3 * 5 / 4) == pytest.approx(6.793, abs=1e-3)
    assert (v.outcome, v.draws("random"), v.caveat) == ("holds", count, "")
    open_ = features_with([-3, -1, 1, 3], holds=f"effect > {threshold}", draws=4)
    assert (open_.outcome, open_.draws("random")) == ("holds", 4)
    unless = "unless another feature has the effect"
    assert open_.caveat == (unless if count == 12 else "")
    assert sum("about 5% of such draws would" in n for n in open_.remarks) == (count == 12)


def test_the_first_line_counts_sets_of_heads_which_the_draws_name():
    def lost(heads, prompts):
        size = sum(10 * (layer == 5) + head % 2 for layer, head in heads or ())
        return [-size + noise(p["text"], size) / 10 for p in prompts]

    heads = [(5, k) for k in range(5)]
    about = {"vector": None, "heads": heads, "of": (9, 9), "holds": "effect < -1", "draws": 3}
    v = check(lost, prompts=lines_of(12), cache=False, ledger=False, **about)
    held = [arm for arm, c in v.judged.controls.items() if c.outcome == "holds"]
    assert v.outcome == "unspecific" and len(held) > 1
    assert v.reason == f"control other heads ({len(held)} of 3 draws) satisfies it too"
    assert all(
        re.fullmatch(r"other heads \(draw . of 3: heads .\..( \+ .\..){4}\)", a) for a in held
    )


def test_a_file_whose_draws_have_the_names_of_older_versions_is_read(tmp_path):
    """Older versions called the second draw `random 2`."""
    old, path = check(), tmp_path / "old.assay"
    with zipfile.ZipFile(old.save(path)) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    for k in (1, 2, 3, 4):
        older = "random" if k == 1 else f"random {k}"
        parts = {n: x.replace(f"random (draw {k} of 4)", older) for n, x in parts.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    read = Check.load(path)
    assert (read.outcome, read.draws("random")) == (old.outcome, 4)
    assert "random 2" in read.judged.controls


def by_verb(layer, prompts):
    """Rows of is and are differ, and all else is noise."""
    size = {None: 0.0, 12: 9.0}.get(layer, 0.1)
    each = (size + 1.2 * (p["verb"] == "is") * (layer is not None) for p in prompts)
    return [x + noise(p["text"], size) / 5 for x, p in zip(each, prompts, strict=True)]


VERBS = {"noun": ("cat", "dog", "key", "boy", "car", "tree"), "verb": ("is",) * 6 + ("are",) * 6}
VERBS |= {"much": ("one",) * 6 + ("many",) * 6}


def test_columns_that_split_the_prompts_alike_are_one_note():
    v = check(
        by_verb,
        vector=None,
        layer=12,
        others=[3],
        prompts=lines_of(24, **VERBS),
        holds="effect > 9.2",
    )
    assert v.judged.reason == "grouped by verb"
    (note,) = [n for n in v.judged.notes if "verb" in n]
    assert "much" in note.partition("(grouping by ")[2].partition(" gives the same)")[0]
    # what is printed is the interval of two groups, which decided, and not that of 24 prompts
    low, high = (float(x) for x in note.partition("is [")[2].partition("]")[0].split(", "))
    assert v.interval == pytest.approx((low, high), rel=0.01)
    assert low < v.judged.t_low < v.judged.t_high < high
    assert v.judged.over == "2 verbs" and "24 prompts, over 2 verbs" in repr(v)


@pytest.mark.parametrize("unit", [(), "pair", "noun"], ids=["prompt", "each", "crossed"])
@pytest.mark.parametrize("holds", ["effect > 8", "effect > 9.3", "effect > 11"])
def test_all_possible_answers_are_no_sample_of_answers(unit, holds):
    """Without noise, rows whose answer is `is` have 10.2 and others 9: each of the two is in the
    range, one of them, or none."""
    nouns = ("cat", "dog", "key", "boy", "car", "tree", "cup", "hat", "bed", "fig", "pen", "owl")
    rows = [
        {"text": f"{n} {a}", "noun": n, "pair": f"{n} {a}", "right": a, "wrong": b, "verb": a}
        for n in nouns
        for a, b in (("is", "are"), ("are", "is"))
    ]
    rows = [{k: x for k, x in r.items() if unit or k != "pair"} for r in rows]
    rows = [{k: x for k, x in r.items() if unit == "noun" or k != "noun"} for r in rows]
    options = {"vector": None, "layer": 12, "others": [3], "prompts": rows, "unit": unit}
    v = check(by_verb, **options, holds=holds)
    (note,) = [n for n in v.remarks if n.startswith("the number is ")]
    numbers = re.findall(r"([\d.]+) where (?:right|it) is (\S+?)[,;]?(?= |$)", note)
    assert {k: round(float(x)) for x, k in numbers} == {"“is”": 10, "“are”": 9}
    assert note.endswith("describes neither"), "each has one number, and the mean neither"
    one_of_them = holds == "effect > 9.3"
    if one_of_them and unit != "noun":
        assert v.outcome == "undecided" and "with right “are”, the number is " in v.reason
    else:
        assert v.outcome == ("fails" if holds == "effect > 11" else "holds")
        assert ("of these 2 values of right" in v.judged.scope) == one_of_them
    assert not any("wrong" in n or "2 values" in n for n in v.remarks)
    assert "similar number" not in repr(v), "the answers come in turn"
    of_table = assay.judge(
        v.rows,
        claim=holds.replace("effect", "layer.effect"),
        unit=v.question.units,
        control=[*v.judged.controls],
        copies=False,
        distinct=True,
    )
    assert of_table.outcome == v.outcome


def test_a_saved_check_gives_the_advice_of_check_wherever_it_is_read(tmp_path, capsys):
    v = check(
        by_verb,
        vector=None,
        layer=12,
        others=[3],
        prompts=lines_of(24, **VERBS),
        holds="effect > 9.2",
    )
    advice = (
        "more prompts of the same groups do not help: check the prompts of each value of verb by "
        'itself, or say unit="noun" if the claim is about these values only'
    )
    path = v.save(tmp_path / "v.assay")
    assert v.judged.price.text == Check.load(path).judged.price.text == advice
    assert main(["verify", str(path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert advice in printed and "COLUMN" not in printed and "--unit" not in printed
    assert "COLUMN" not in page(path, v) and "--unit" not in page(path, v)


def test_advice_on_ties_and_on_two_values_is_that_of_check():
    """A change that reaches every fourth prompt, as a column of true and false says."""
    rows = [{"text": f"prompt {i}", "on": i % 4 == 0} for i in range(40)]

    def moved(layer, prompts):
        at = [noise(p["text"]) for p in prompts]
        by = {None: 0, 3: 0.02, 12: 4}[layer]
        return [x + by * (1 + x) * p["on"] for x, p in zip(at, prompts, strict=True)]

    given = {"vector": None, "layer": 12, "others": [3], "ledger": False}
    v = check(moved, prompts=rows, holds="effect > 0.5", **given)
    assert v.outcome == "undecided" and "6 or more" not in repr(v)
    assert 'or say fixed="on" if' in v.judged.price.text
    assert any(re.match("the number is 4.* where on is “True”, 0 where", n) for n in v.remarks)
    ties = check(moved, prompts=rows, holds="effect > 0.2", **given)
    assert "give bounds=(LOW, HIGH)" in ties.judged.price.text


@pytest.mark.parametrize(
    ("about", "what"),
    [
        ({"text": "be rude", "paraphrases": ["Be rude."], "others": ["be kind"]}, "'paraphrase'"),
        ({"text": "be rude", "others": ["be rude", "be kind"]}, "'length'"),
        ({"heads": [(0, 0), (0, 1)], "of": (2, 2), "controls": {"m": [(0, 1), (0, 0)]}}, "'m'"),
        ({"vector": TRUE, "controls": {"copy": 1.0001 * TRUE}}, "'copy'"),
    ],
)
def test_a_control_that_is_the_thing_itself_is_refused(about, what):
    with pytest.raises(DataError, match=f"{what} has the .* of the claim itself"):
        check(lambda x, p: [1.0] * len(p), **{"vector": None} | about, holds="effect > 1")


def test_a_change_that_leaves_no_number_is_refused():
    def broken(layer, prompts):
        return [math.nan if layer == 12 else noise(p["text"], str(layer)) for p in prompts]

    with pytest.raises(DataError, match="with the layer, gives no number, but NaN"):
        check(broken, vector=None, layer=12, others=[3], holds="effect > 1", ledger=False)


@pytest.mark.parametrize("is_scaled", [True, False])
def test_numbers_that_depend_on_the_other_prompts_are_a_doubt_in_the_first_line(is_scaled):
    """As of a function that divides by the spread over the prompts of the call."""

    def score(layer, prompts):
        by = {None: 0, 12: 0.1}.get(layer, 0.02)
        x = np.array([by * (1 + noise(p)) + noise(p, "own") for p in prompts])
        return x / (max(np.std(x), 0.01) if is_scaled else 0.06)

    given = {"vector": None, "layer": 12, "others": [3, 11], "ledger": False, "cache": False}
    v = check(score, prompts=[f"prompt {i}" for i in range(24)], holds="effect > 0.8", **given)
    first = (
        "holds, unless the other prompts in the call are the cause: " if is_scaled else "holds: "
    )
    assert repr(v).startswith(first)


@pytest.mark.parametrize("share", [2, 4])
def test_a_label_of_two_values_that_decides_has_advice_that_can_be_followed(share, tmp_path):
    """Of two kinds, one has an effect of 0.4 and the other one of 2: there are no six of them."""
    draw = np.random.default_rng(0)
    rows = [{"text": f"prompt {i}", "kind": ["a", "b"][i % share == 0]} for i in range(40)]
    effects = {r["text"]: (0.4 if r["kind"] == "a" else 2.0) + draw.normal(0, 0.2) for r in rows}

    def moved(layer, prompts):
        return [effects[p["text"]] * {None: 0, 3: 0.02, 12: 1}[layer] for p in prompts]

    def of(prompts, **more):
        given = {"vector": None, "layer": 12, "others": [3], "ledger": False} | more
        return check(moved, prompts=prompts, holds="effect > 0.5", **given)

    open_ = of(rows)
    assert open_.outcome == "undecided" and "6 or more" not in repr(open_)
    assert open_.judged.price.text == (
        "more prompts of the same groups do not help: check the prompts of each value of kind by "
        'itself, or say fixed="kind" if the claim is about these values only'
    )
    followed = [[r for r in rows if r["kind"] == k] for k in "ab"]
    followed.append([{"text": r["text"]} for r in rows])
    assert [of(prompts).outcome for prompts in followed] == ["fails", "holds", "holds"]
    fixed = of(rows, fixed="kind")
    assert fixed.outcome == "holds" and fixed.judged.scope == "over 40 prompts; of these 2 kinds"
    assert fixed.estimate == pytest.approx(np.mean([*effects.values()]))
    assert any("the mean describes neither" in n for n in fixed.remarks)
    path = fixed.save(tmp_path / "fixed.assay")
    assert Check.load(path).question.fixed == ("kind",)


def test_a_shell_is_advised_of_the_option_that_it_has(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = [f'{{"text": "{i}", "kind": "{"ab"[i % 2]}"}}' for i in range(24)]
    Path("p.jsonl").write_text("\n".join(lines))
    Path("h.py").write_text(
        "def f(layer, prompts):\n"
        "    by = {None: 0, 3: 0.02, 4: 0.01, 12: 1}[layer]\n"
        "    return [by * (1 + (p['kind'] == 'b') * 4 + int(p['text']) / 40) for p in prompts]\n"
    )
    words = ["check", "h.py:f", "--prompts", "p.jsonl", "--holds", "effect > 2", "--layer", "12"]
    words += ["--others", "3,4", "--no-ledger", "--fresh"]
    main(words)
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("undecided") and "or say --fixed kind if" in said
    assert main([*words, "--fixed", "kind"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("holds") and "of these 2 kinds" in said


def test_a_fixed_column_is_averaged_with_equal_weights_and_is_no_unit():
    """Of eight things, each with three templates: the unit is the thing, and the number of each is
    the mean over its templates, though one of them comes twice."""
    rows = [{"thing": t, "template": k, "text": f"{k} {t}"} for t in "abcdefgh" for k in "xyz"]
    rows += [row | {"text": f"{row['text']} again"} for row in rows if row["template"] == "z"]
    size = dict(zip("xyz", (1.0, 2.0, 6.0), strict=True))

    def moved(layer, prompts):
        by = {None: 0, 3: 0.01, 12: 1}[layer]
        return [by * (size[p["template"]] + ord(p["thing"]) / 100) for p in prompts]

    given = {"vector": None, "layer": 12, "others": [3], "ledger": False, "prompts": rows}
    v = check(moved, holds="effect > 1", unit="thing", fixed="template", **given)
    assert v.outcome == "holds" and v.judged.scope == "over 8 things; of these 3 templates"
    assert v.estimate == pytest.approx(3 + np.mean([ord(t) for t in "abcdefgh"]) / 100)
    for wrong, why in (("templat", "no column 'templat'"), ("thing", "both name 'thing'")):
        with pytest.raises(DataError, match=why):
            check(moved, holds="effect > 1", unit="thing", fixed=wrong, **given)


def test_the_probability_of_the_other_answer_is_no_test_of_an_effect():
    """With yes and with no, the numbers of each prompt add up to 1, and without both is another."""
    yes = {f"prompt {i}": x for i, x in enumerate(np.random.default_rng(0).uniform(0.7, 0.9, 24))}

    def probability(feature, prompts):
        own = np.array([yes[p] for p in prompts])
        return {"yes": own, "no": 1 - own, "maybe": own / 9, None: own**2 / 2}[feature]

    given = {"vector": None, "feature": "yes", "holds": "effect > 0.2", "ledger": False}
    given |= {"prompts": [*yes]}
    v = check(probability, of=["yes", "no"], **given)
    assert v.outcome == "undecided" and v.judged.reason == "no control is a test"
    assert "add up to 1 on every prompt" in " ".join(repr(v).split())
    assert check(probability, of=["yes", "no", "maybe"], **given).outcome == "holds"


def test_a_warning_about_one_prompt_says_what_it_says():
    def effect(vector, prompts):
        far = {f"{'x' * 7}": -6.0}
        moved = 0.0 if vector is None else float(vector @ TRUE)
        return [moved * (1 + far.get(p["text"], noise(p["text"], 1.0))) for p in prompts]

    v = check(effect, prompts=lines_of(12), holds="effect > 0.3")
    assert "without prompt 8 (xxxxxxx), the claim's own interval would be" in v.judged.warning, (
        v.judged.warning
    )


def test_a_check_is_written_to_the_digits_that_its_interval_supports_in_a_terminal_and_on_a_page():
    """Half-widths near 0.3 and 0.4 have one decimal; the numbers are the ones the page shows."""
    draw = np.random.default_rng(0)
    own = draw.normal(3, 0.8, 24)

    def moved(text, prompts):
        return [{"right now": own[p["i"]]}.get(text, 0.0) for p in prompts]

    prompts = [{"text": f"prompt {i}", "i": i} for i in range(24)]
    asked = {"holds": "effect > 1", "text": "right now", "ledger": False}
    v = assay.check("It moves", moved, prompts=prompts, **asked)
    half = (v.interval[1] - v.interval[0]) / 2
    assert 0.2 < half < 1
    number = f"{v.estimate:.1f} [{v.interval[0]:.1f}, {v.interval[1]:.1f}]"
    assert f"effect > 1: {number}, 24 prompts" in repr(v)
    assert f"effect: {number}, 24 prompts" in v._repr_html_()


def of_heads():
    """The check of one of five heads, and the level of the prompt that it moves farthest."""
    moved = {(0, 0): 1.0, (0, 1): 0.1, (0, 2): 0.2, (0, 3): 0.3, (1, 1): 0.15}

    def lead(heads, prompts):
        total = sum(moved[head] for head in heads or [])
        return [total * (3 if p["text"] == "odd" else 1 + 0.01 * p["i"]) for p in prompts]

    v = assay.check(
        "Head 0.0 moves it",
        lead,
        prompts=[{"text": "odd" if i == 7 else f"word {i}", "i": i} for i in range(24)],
        **{"holds": "effect > 0.5", "heads": [(0, 0)], "of": [*moved]},
        **{"ledger": False, "cache": False},
    )
    (level,) = v.rows.loc[v.rows["text"] == "odd", "prompt"].unique()
    return v, level


def test_every_draw_of_a_control_and_every_prompt_far_from_the_estimate_is_on_the_page(tmp_path):
    v, level = of_heads()
    shown = page(tmp_path / "v.assay", v)
    table = shown.partition("<summary>every draw</summary>")[2].partition("</details>")[0]
    draws = v.judged.controls
    assert len(draws) > 1 and all(f'<th scope="row">{arm}</th>' in table for arm in draws)
    assert f"<title>prompt {level} (odd): 3</title>" in shown


@pytest.mark.parametrize("columns", [70, 160])
def test_a_saved_check_has_the_printed_table_in_the_width_of_the_terminal(
    tmp_path, capsys, monkeypatch, columns
):
    path = of_heads()[0].save(tmp_path / "v.assay")
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["verify", str(path)]) == 0
    lines = capsys.readouterr().out.split("\n")
    printed = repr(Check.load(path)).split("\n")
    table = printed[printed.index("") + 1 : printed.index("", printed.index("") + 1)]
    assert set(table) <= set(lines) and max(map(len, printed[2:])) <= columns
    assert (max(map(len, table)) > 100) == (columns > 100)


def test_a_column_with_the_name_of_a_number_is_refused_after_the_first_call():
    calls = []

    def plural(vector, prompts):
        calls.append(len(prompts))
        return {"plural": [0.1 for _ in prompts]}

    rows = [{"text": f"word{i}", "plural": "yes"} for i in range(24)]
    with pytest.raises(DataError, match=r"'plural', and plural returns a number with that name"):
        check(plural, prompts=rows, holds="plural > 1", cache=False)
    assert calls == [2]
    rows = [{"text": f"word{i}", "arm": "yes"} for i in range(24)]
    with pytest.raises(DataError, match=r"called 'arm', and Assay adds one with that name"):
        check(plural, prompts=rows, holds="plural > 1", cache=False)
