"""Claims that parts suffice: a function that runs only the parts that it is given; sets of edges;
where parts were chosen."""

import itertools

import numpy as np
import pandas as pd
import pytest

from acceptance.test_circuits import (
    CIRCUIT,
    CUT,
    DRAW,
    EVERY,
    NAMES,
    OWN,
    PROMPTS,
    WHOLE,
    check,
    kept,
    lead_of,
    with_whole,
    without,
)
from assay.core.errors import DataError
from assay.core.reasons import TRUE_UNCHANGED


def test_a_circuit_that_suffices_holds_and_its_control_is_that_others_do_as_well():
    v = check()
    assert str(v).splitlines()[0] == "holds: It suffices"
    assert v.estimate == pytest.approx(OWN.mean() / WHOLE.mean())
    assert {p.why for p in v.question.placed.values()} == {
        "equally many other heads of these blocks do as well"
    }
    assert not any("damage" in n or n == TRUE_UNCHANGED for n in v.remarks)
    assert check(heads=[(0, 0), (1, 1), (2, 2)]).outcome == "fails"


def test_where_other_heads_suffice_as_well_the_claim_is_unspecific():
    def easy(heads, prompts):
        return {"lead": [10 + x for x in kept(heads, prompts)["lead"]]}

    v = check(easy, holds="lead_after / lead_before > 0.5")
    assert v.outcome == "unspecific" and TRUE_UNCHANGED in v.remarks


def test_harm_to_another_task_does_not_explain_that_a_circuit_suffices():
    v = check(also=lambda heads, prompts: [float(heads is None)] * len(prompts))
    assert (v.outcome, {*v.controls}) == ("holds", {"other heads"})
    assert any(n.startswith("no control 'damage'") for n in v.remarks)


def test_a_change_that_does_not_reach_a_number_is_still_said():
    def half(heads, prompts):
        """With the circuit, the lead is what it is without any head; with others it is not."""
        return {
            "lead": lead_of([] if heads == CIRCUIT else heads or [], prompts),
            "full": lead_of(EVERY, prompts),
        }

    def stuck(heads, prompts):
        given = with_whole(heads, prompts)
        return {"loss": given["lead"], "lead": given["full"]}

    for function, holds in ((half, "lead_after - full_after > -9"), (stuck, "loss - lead > 1")):
        v = check(function, holds=holds, none=[], prompts=PROMPTS)
        assert "24 of 24 prompts have exactly the same number" in " ".join(v.remarks)


@pytest.mark.parametrize("edges", [NAMES[0], [tuple(CUT)], ["a0.0"], []])
def test_edges_of_another_form_than_their_pool_are_refused(edges):
    with pytest.raises(DataError, match=r"not of the form|is empty"):
        check(without, heads=None, edges=edges, of=NAMES, holds="effect < -2")


NOISE = {f"town {i} is big": x for i, x in enumerate(DRAW.normal(0, 1, (24, 200)))}
LUCKY = [int(k) for k in np.argsort(-np.mean([*NOISE.values()], axis=0))[:4]]


def by_luck(latents, prompts):
    return {"lead": [10.0 if latents is None else NOISE[p][latents].sum() for p in prompts]}


def of_luck(**options):
    about = {"prompts": [*NOISE], "heads": None, "latents": LUCKY, "of": 200}
    return check(by_luck, holds="lead_after > 0.8", **about | options)


def test_a_circuit_that_may_be_the_best_by_luck_says_so():
    """No latent has any lead: the four best of 200 have one on these prompts by luck alone."""
    v = of_luck()
    assert (v.outcome, v.caveat) == (
        "holds",
        "unless these 4 latents were chosen as the best of 200",
    )


def test_where_parts_were_chosen_is_in_the_scope_in_place_of_the_doubt(tmp_path):
    others = [f"no town {i} at all" for i in range(30)]
    (path := tmp_path / "others.txt").write_text("\n".join(others))
    for given in (others, path):
        v = of_luck(chosen_on=given)
        assert (v.outcome, v.caveat) == ("holds", "")
        assert v.judged.scope.endswith("latents chosen on 30 other prompts")
    alike = of_luck(chosen_on=[f"town {i} is big" for i in range(24, 64)])
    assert alike.judged.scope.endswith("latents chosen on 40 other prompts of the same wording")


def given_things(names, templates):
    things = ["ball", "book", "cake", "coin", "drum"]
    for i, (a, b) in enumerate(itertools.permutations(names, 2)):
        template = templates[i % len(templates)]
        text = template.format(a=a, b=b, thing=things[i // 2 % 5])
        yield {"text": text, "template": f"t{templates.index(template)}", "who": a}


def test_where_parts_were_chosen_says_if_the_templates_are_the_same():
    """Templates with two names and a thing in four places."""
    first = "When {a} and {b} went to the shop, {a} gave the {thing} to"
    second = "After {a} had talked with {b} for so long, {a} also handed {b} a {thing} as"
    third = "On Monday {a} wrote that {b} would never like the {thing}, which {a} had bought for"
    old, new = ["Ann", "Bob", "Eve", "Ian", "Joe"], ["Liz", "Max", "Pam", "Ron", "Sue"]

    def fall(latents, prompts):
        return [float(latents == [1]) * (2 + len(p["text"]) / 70) for p in prompts]

    def scope(others, drop=()):
        rows = [{n: x for n, x in r.items() if n not in drop} for r in mine]
        about = {"heads": None, "latents": [1], "of": 40, "holds": "effect > 1", "prompts": rows}
        said = check(fall, chosen_on=[*others], **about).judged.scope
        return said.partition("chosen on 20 other prompts")[2].strip()

    mine = [*given_things(new, (first, second))]
    assert scope(given_things(old, (first, second))) == "of the same wording"
    assert scope(given_things(old, (second, third)), ["template"]) == ""
    assert scope(given_things(old, (third, second))) == "with the same values of template"
    assert scope(given_things(old, (third,))) == ""


@pytest.mark.parametrize(
    ("others", "why"),
    [
        (["town 99 is big", "Town 3  is big."], "1 of the 24 prompts .* such as prompt 4 "),
        (pd.DataFrame({"words": ["a b c", "d e f"]}), "cannot be compared"),
        (["only one"], "chosen_on= has length 1"),
    ],
)
def test_prompts_that_were_chosen_on_as_well_are_refused(others, why):
    with pytest.raises(DataError, match=why):
        of_luck(chosen_on=others)


def test_rows_of_the_same_columns_are_the_same_prompt():
    rows = [{"name": f"n{i}", "place": f"p{i % 5}"} for i in range(24)]
    others = [{"name": f"m{i}", "place": f"p{i}", "more": "x"} for i in range(9)]

    def fall(latents, prompts):
        return [float(latents == [1]) * (2 + len(p["name"]) / 7) for p in prompts]

    given = {"heads": None, "latents": [1], "of": 40, "holds": "effect > 1", "prompts": rows}
    assert "9 other prompts" in check(fall, chosen_on=others, **given).judged.scope
    with pytest.raises(DataError, match="1 of the 24 prompts"):
        check(fall, chosen_on=[*others, {"name": "N7", "place": "p2", "more": "y"}], **given)


def test_the_closest_control_is_named_for_an_effect_that_is_written_by_its_parts():
    def size(text, prompts):
        given = {None: 0.0, "be very loud": 4.0}
        return {
            "good": [
                given.get(text, 2.0) + len(p["text"]) / 9 * len(text or "")
                for p in PROMPTS[: len(prompts)]
            ]
        }

    given = {"heads": None, "of": None, "text": "be very loud", "prompts": PROMPTS}
    one, two = (
        check(size, holds=holds, **given) for holds in ("good > 1", "good_after - good_before > 1")
    )
    said = [n for n in one.remarks if n.startswith("the text minus control")]
    assert one.outcome == two.outcome == "unspecific"
    assert said and said == [n for n in two.remarks if n.startswith("the text minus control")]


def test_a_mean_over_the_call_is_no_vector_that_is_too_long():
    states = DRAW.normal(0, 1, (24, 8))
    vector = np.eye(8)[0] * 2

    def score(vector, prompts):
        rows = states[[int(p["text"].split()[1]) for p in prompts]]
        return [*(rows if vector is None else 0 * rows + rows.mean(0) + vector)[:, 0]]

    v = check(score, heads=None, of=None, vector=vector, holds="effect > 1")
    assert v.outcome == "holds"
    assert v.caveat == "unless the other prompts in the call are the cause"
