"""What a check calls, keeps and gives back."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import assay
from assay.controls.things import Heads, Latents, Neurons, Place, Vector
from assay.errors import DataError
from planted_worlds import ACTS, LABELS, ROWS, TRUE, function, noise

V = Vector.learned(ACTS, LABELS)


def share(vector, prompts):
    """A user's hook: the share of one direction, and noise."""
    moved = 0.0 if vector is None else float(vector @ TRUE)
    return np.array([moved + noise(p["text"], round(moved, 6)) for p in prompts])


def check(fn=share, prompts=ROWS, holds="effect > 0.5", thing=V, **options):
    return assay.check("It moves", fn, prompts, holds, thing, **options)


@pytest.mark.parametrize("form", [torch.Tensor.float, np.float32, np.float16, list])
@pytest.mark.parametrize("is_learned", [True, False])
def test_a_vector_and_its_controls_come_in_the_form_in_which_it_was_given(form, is_learned):
    """A list is read as an array."""
    acts, seen = form(torch.from_numpy(ACTS) if form is torch.Tensor.float else ACTS), []

    def hook(vector, prompts):
        seen.append(vector)
        return share(None if vector is None else np.array(vector, float), prompts)

    given = 5 * (acts[0] * 0 + TRUE)
    thing = Vector.learned(acts, LABELS) if is_learned else Vector(form(given))
    own = {"mine": [[x] * 32 for x in (0.01, 0.02)]}
    v = check(hook, thing=thing, draws=2, controls=own)
    assert v.outcome == "holds" and {"random", "mine", "opposite"} <= {*v.controls}
    kinds = {(type(x), x.dtype) for x in seen if x is not None}
    assert kinds == {(type(thing.value), thing.value.dtype)}
    assert form is list or thing.value.dtype == acts.dtype


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


def test_what_was_interrupted_goes_on_where_it_stopped(tmp_path):
    """Each control is asked once, however often the check is interrupted."""
    calls, broken = [], [True]

    def ask(vector, prompts):
        whole = len(prompts) > 2
        if whole and len(calls) == 5 and broken[0]:
            raise KeyboardInterrupt
        calls.extend([1] * whole)
        return share(vector, prompts)

    def kept():
        return check(ask, save=tmp_path / "calls.jsonl", draws=9)

    with pytest.raises(KeyboardInterrupt):
        kept()
    assert len(calls) == 5
    broken[0] = False
    v = kept()
    once = len(calls)
    assert once > 10 and str(kept()) == str(v) and len(calls) == once
    assert str(check(ask, draws=9)) == str(v) and len(calls) == 2 * once


@pytest.mark.parametrize("thing", [Heads([(1, 2)], (2, 4)), Place(2, [1, 3]), Vector(TRUE)])
def test_a_control_is_kept_by_the_name_by_which_it_is_printed(thing):
    def effect(thing, prompts):
        size = 0.0 if thing is None else float(np.sum(thing))
        return [size + noise(p["text"], size) / 10 for p in prompts]

    asked = {"thing": thing, "holds": "effect > 9"}
    for name in check(effect, **asked).controls:
        v = check(effect, **asked, controls=[name])
        assert [*v.controls] == [name] and f": {name} " in str(v)


@pytest.mark.thorough
def test_all_of_a_small_pool_are_tried_unless_draws_says_how_many():
    """The fall is that of two heads of 13, so that any choice of fewer others may miss one."""
    for other in range(13):

        def effect(neurons, prompts, other=other):
            size = 2.0 if neurons and neurons[0] in (0, other) else 0.1 * bool(neurons)
            return [size + noise(p["text"], size) / 10 for p in prompts]

        v = check(effect, thing=Neurons([0], 13))
        assert v.controls["neurons"].draws == 12 and (v.outcome == "unspecific") == (other > 0)
    assert check(effect, thing=Neurons([0], 13), draws=4).controls["neurons"].draws == 4
    assert check(effect, thing=Neurons([0], 14)).controls["neurons"].draws == 4


def test_another_source_or_prompt_is_another_check(tmp_path):
    """What was kept is taken for nothing else."""
    path = tmp_path / "calls.jsonl"

    def more(vector, prompts):
        return 1.5 * share(vector, prompts)

    check(draws=4, save=path)
    first = path.read_bytes()
    check(draws=4, save=path)
    assert path.read_bytes() == first
    longer = {"prompts": [*ROWS, {"text": "one more", "right": "x"}]}
    for options in ({"fn": more}, longer, {"thing": Vector(TRUE)}, {"holds": "effect > 0.4"}):
        with pytest.raises(DataError) as error:
            check(**options, draws=4, save=path)
        assert error.value.code == "other-check" and path.read_bytes() == first


def test_a_claim_of_no_effect_needs_more_than_what_changes_nothing():
    """By the new rule a number that is the same for half of the prompts decides nothing, so that
    here each prompt is moved by a little more or less."""

    def reads(vector, prompts):
        moved = 0.0 if vector is None else vector @ TRUE
        return [(1 + moved) * noise(p["text"]) + moved for p in prompts]

    asked = {"thing": Vector(0.01 * TRUE), "holds": "-0.3 < effect < 0.3"}
    assert check(reads, known={"known": 0.4 * TRUE}, **asked).outcome == "holds"
    assert check(reads, known={"known": 0.0 * TRUE}, **asked).outcome != "holds"


def test_another_task_that_is_left_as_it_is_is_a_test():
    v = check(damage=lambda vector, prompts: [noise(p["text"]) for p in prompts])
    assert v.controls["damage"].estimate == 0
    assert not any(note.data.get("control") == "damage" for note in v.notes)


def test_a_list_of_numbers_is_one_vector():
    v = check(controls={"mine": [0.2 * float(x) for x in TRUE]}).controls["mine"]
    assert v.draws == 1 and v.estimate == pytest.approx(0.2, abs=0.1)


def test_a_control_of_ones_own_stands_next_to_the_others_best_of_several():
    v = check(controls={"prompt": [0.2 * TRUE, 0.9 * TRUE]})
    assert v.outcome == "unspecific" and v.controls["prompt"].draws == 2
    assert v.controls["prompt"].estimate == pytest.approx(0.9, abs=0.1)
    only = check(controls=["opposite"])
    assert set(only.controls) == {"opposite"}


ATOMS = {(0, 0): 0.001, (0, 1): 0.02, (1, 0): 0.15, (1, 1): -0.15, (1, 2): 3.0}
"""By head by how much the number of each prompt rises without it."""


def without_heads(heads, prompts):
    return [len(p) % 7 + sum(ATOMS[h] * (1 + len(p) / 99) for h in heads or ()) for p in prompts]


@pytest.mark.parametrize(
    ("known", "draws", "outcome"),
    [
        ([(1, 0)], 1, "holds"),
        ([[(1, 0)]], 1, "holds"),
        ([(0, 1), (1, 0)], 1, "holds"),  # both at once; one of them has hardly an effect
        ([[(0, 1)], [(1, 0)]], 2, "holds"),
        ([[(1, 1)], [(1, 0)]], 2, "holds"),
    ],
)
def test_a_list_of_heads_is_one_control_and_a_list_of_lists_several(known, draws, outcome):
    """By the new rule one known effect that is found is enough."""
    asked = {"thing": Heads([(0, 0)], [*ATOMS]), "holds": "-0.1 < effect < 0.1"}
    prompts = ["x" * n for n in range(1, 25)]
    v = check(without_heads, prompts, known={"known": known}, **asked)
    assert (v.outcome, v.rows["arm"].nunique() - 1) == (outcome, draws)


def test_progress_goes_to_standard_error_alone(capsys):
    check(function(lambda t, p: float(t @ TRUE)))
    assert capsys.readouterr().out == ""


def test_all_others_of_a_pool_leave_no_draw_open():
    """The effect of latent 0 is 40; those of the others are small."""

    def effect(latents, prompts):
        size = 0.0 if not latents else 40.0 if latents == [0] else latents[0] % 4 * 2 - 3.0
        return [size + noise(p["text"], size) / 10 for p in prompts]

    v = check(effect, ROWS[:12], "effect > 4", Latents([0], 13))
    assert (v.outcome, v.controls["latents"].draws) == ("holds", 12)
    assert not any(note.doubt or note.code == "few-draws" for note in v.notes)
