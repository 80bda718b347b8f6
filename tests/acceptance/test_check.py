"""What a check calls, keeps and gives back."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import assay
from planted_worlds import ACTS, LABELS, ROWS, TRUE, function, noise

V = assay.direction(ACTS, LABELS)
HOLDS = "effect > 0.5"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def share(vector, prompts):
    """A user's hook: the share of one direction, and noise."""
    moved = 0.0 if vector is None else float(vector @ TRUE)
    return np.array([moved + noise(p["text"], round(moved, 6)) for p in prompts])


def check(fn=share, **options):
    return assay.check("It moves", fn, **{"prompts": ROWS, "holds": HOLDS, "vector": V} | options)


@pytest.mark.parametrize("form", [torch.Tensor.float, np.float32, np.float16, list])
@pytest.mark.parametrize("is_learned", [True, False])
def test_a_vector_and_its_controls_come_in_the_form_in_which_it_was_given(form, is_learned):
    """A list of activations is learned from as an array."""
    acts, seen = form(torch.from_numpy(ACTS) if form is torch.Tensor.float else ACTS), []

    def hook(vector, prompts):
        seen.append(vector)
        return share(None if vector is None else np.array(vector, float), prompts)

    given = assay.direction(acts, LABELS) if is_learned else form(5 * (acts[0] * 0 + TRUE))
    own = {"mine": [[x] * 32 for x in (0.01, 0.02)]}
    v = check(hook, vector=given, cache=False, draws=2, controls=own)
    assert v.outcome == "holds" and {"random", "mine", "opposite"} <= {*v.controls}
    kinds = {(type(x), getattr(x, "dtype", None)) for x in seen if x is not None}
    like = given.vector if is_learned else given
    assert kinds == {(type(like), getattr(like, "dtype", None))}
    assert not is_learned or form is list or given.vector.dtype == acts.dtype


@pytest.mark.parametrize("form", ["frame", "csv", "jsonl", "texts"])
def test_prompts_are_handed_on_in_the_form_in_which_they_were_given(form, tmp_path):
    kinds = set()

    def hook(vector, prompts):
        kinds.add(type(prompts))
        texts = prompts["text"] if form == "frame" else prompts
        return share(vector, [{"text": t} if isinstance(t, str) else t for t in texts])

    given = {"frame": pd.DataFrame(ROWS), "texts": [r["text"] for r in ROWS]}.get(form)
    if given is None:
        given = tmp_path / f"rows.{form}"
        lines = [json.dumps(r) for r in ROWS] if form == "jsonl" else ["text,right"]
        lines += [] if form == "jsonl" else [f"{r['text']},{r['right']}" for r in ROWS]
        given.write_text("\n".join(lines))
    assert check(hook, prompts=given).estimate == pytest.approx(check().estimate)
    assert kinds == {pd.DataFrame if form == "frame" else list}


def test_what_was_interrupted_goes_on_where_it_stopped():
    """Each control is asked once, however often the check is interrupted."""
    calls, broken = [], [True]

    def ask(vector, prompts):
        whole = len(prompts) > 2
        if whole and len(calls) == 5 and broken[0]:
            raise KeyboardInterrupt
        calls.extend([1] * whole)
        return share(vector, prompts)

    def hook(vector, prompts):
        return run(vector, prompts)

    run = _Unseen(ask)
    with pytest.raises(KeyboardInterrupt):
        check(hook)
    assert len(calls) == 5
    broken[0] = False
    v = check(hook)
    # none, twice the vector, and nine controls
    assert len(calls) == v.about["calls"] == 12
    check(hook)
    assert len(calls) == 12
    check(hook, cache=False)
    assert len(calls) == 24


@pytest.mark.parametrize(
    "about", [{"heads": [(1, 2)], "of": (2, 4)}, {"layer": 2, "others": [1, 3]}, {"vector": TRUE}]
)
def test_a_control_is_kept_by_the_name_by_which_it_is_printed(about):
    def effect(thing, prompts):
        size = 0.0 if thing is None else float(np.sum(thing))
        return [size + noise(p["text"], size) / 10 for p in prompts]

    asked = {"vector": None, "ledger": False, "holds": "effect > 9", **about}
    for name in check(effect, **asked).controls:
        v = check(effect, **asked, controls=[name])
        assert [*v.controls] == [name] and f"\n{name} " in repr(v)


@pytest.mark.thorough
def test_all_of_a_small_pool_are_tried_unless_draws_says_how_many():
    """The fall is that of two heads of 13, so that any choice of fewer others may miss one."""
    for other in range(13):

        def effect(heads, prompts, other=other):
            size = 2.0 if heads and heads[0] in (0, other) else 0.1 * bool(heads)
            return [size + noise(p["text"], size) / 10 for p in prompts]

        one = {"vector": None, "neurons": [0], "ledger": False}
        v = check(effect, of=13, **one)
        assert len(v.judged.controls) == 12 and (v.outcome == "unspecific") == (other > 0)
    assert len(check(effect, of=13, draws=4, **one).judged.controls) == 4
    assert len(check(effect, of=14, **one).judged.controls) == 4


class _Unseen:
    """Calls a function whose state is no part of what it is."""

    __slots__ = ()
    made = None

    def __init__(self, ask):
        type(self).made = staticmethod(ask)

    def __call__(self, *given):
        return type(self).made(*given)

    @property
    def __dict__(self):
        return {}


def test_another_source_closure_or_prompt_is_another_call(own_cache):
    def count():
        return len(list(own_cache.rglob("*.json")))

    def made(scale):
        return lambda vector, prompts: scale * share(vector, prompts)

    check(made(1.0), draws=4)
    first = count()
    check(made(1.0), draws=4)
    assert count() == first == 12
    check(made(1.5), draws=4)
    assert count() == 2 * first
    check(made(1.0), draws=4, prompts=[*ROWS, {"text": "one more", "right": "x"}])
    assert count() == 3 * first


def test_a_claim_of_no_effect_needs_more_than_what_changes_nothing():
    def reads(vector, prompts):
        return [noise(p["text"]) + (0.0 if vector is None else vector @ TRUE) for p in prompts]

    asked = {"vector": 0.01 * TRUE, "holds": "-0.3 < effect < 0.3", "cache": False}
    assert check(reads, controls={"known": 0.4 * TRUE}, **asked).outcome == "holds"
    assert check(reads, controls={"known": 0.0 * TRUE}, **asked).outcome != "holds"


def test_another_task_that_is_left_as_it_is_is_a_test():
    v = check(also=lambda vector, prompts: [noise(p["text"]) for p in prompts], cache=False)
    assert v.controls["damage"].estimate == 0
    assert not v.no_test("damage") and v.row("damage")[3] == "no"


def test_a_list_of_numbers_is_one_vector():
    v = check(controls={"mine": [0.2 * float(x) for x in TRUE]}, cache=False)
    assert v.draws("mine") == 1 and v.controls["mine"].estimate == pytest.approx(0.2, abs=0.1)


def test_a_control_of_ones_own_stands_next_to_the_others_best_of_several():
    v = check(controls={"prompt": [0.2 * TRUE, 0.9 * TRUE]})
    assert v.outcome == "unspecific" and v.draws("prompt") == 2
    assert v.controls["prompt"].estimate == pytest.approx(0.9, abs=0.1)
    only = check(controls=["opposite"])
    assert set(only.controls) == {"opposite"}


ATOMS = {(0, 0): 0.0, (0, 1): 0.02, (1, 0): 0.15, (1, 1): -0.15, (1, 2): 3.0}
"""By head by how much the number of each prompt rises without it."""


def without_heads(heads, prompts):
    return [len(p) % 7 + sum(ATOMS[h] * (1 + len(p) / 99) for h in heads or ()) for p in prompts]


def about_no_effect(**given):
    prompts = ["x" * n for n in range(1, 25)]
    given = {"heads": [(0, 0)], "of": [*ATOMS], "cache": False, "ledger": False} | given
    about = {"prompts": prompts, "holds": "-0.1 < effect < 0.1"}
    return assay.check("It does nothing", without_heads, **about | given)


@pytest.mark.parametrize(
    ("known", "draws", "outcome"),
    [
        ([(1, 0)], 1, "holds"),
        ([[(1, 0)]], 1, "holds"),
        ([(0, 1), (1, 0)], 1, "holds"),  # both at once; one of them has hardly an effect
        ([[(0, 1)], [(1, 0)]], 2, "unspecific"),
        ([[(1, 1)], [(1, 0)]], 2, "holds"),
    ],
)
def test_a_list_of_heads_is_one_control_and_a_list_of_lists_several(known, draws, outcome):
    v = about_no_effect(controls={"known": known})
    assert (v.outcome, v.draws("known")) == (outcome, draws)


def test_progress_goes_to_standard_error_alone(capsys):
    check(function(lambda t, p: float(t @ TRUE)), cache=False)
    assert capsys.readouterr().out == ""


def lines_of(count, **columns):
    return [
        {"text": f"{'x' * i}", **{k: v[i % len(v)] for k, v in columns.items()}}
        for i in range(count)
    ]


def features_with(effects, **options):
    """A check of feature 0 of 100, whose effect is 40, where those that are drawn have these."""
    drawn: list[int] = []

    def effect(feature, prompts):
        if feature and feature not in drawn:
            drawn.append(feature)
        size = 40.0 if feature == 0 else effects[drawn.index(feature) % 4] if feature else 0.0
        return [size + noise(p["text"], size) / 10 for p in prompts]

    about = {"vector": None, "feature": 0, "of": 100, "prompts": lines_of(12), "cache": False}
    return check(effect, ledger=False, **about | options)


def test_all_others_of_a_pool_leave_no_draw_open():
    v = features_with([-3, -1, 1, 3], holds="effect > 4", of=13)
    assert (v.outcome, v.draws("random"), v.caveat) == ("holds", 12, "")
