"""What a check calls, refuses, keeps and judges."""

import json

import numpy as np
import pandas as pd
import pytest

from assay.checks.check import check
from assay.controls.material import Patch, Text
from assay.controls.things import Heads, Latents, Neurons, Place, Vector
from assay.errors import AssayError, ClaimError, DataError, RunError

DRAW = np.random.default_rng(7)
TRUE, OTHER = np.linalg.qr(DRAW.normal(size=(32, 2)))[0].T
ROWS = [{"text": f"prompt {i}", "right": f"city {i % 12}"} for i in range(24)]
NOISE = {row["text"]: x for row, x in zip(ROWS, DRAW.uniform(-0.1, 0.1, 24), strict=True)}
VECTOR = Vector(2 * TRUE)


def share(vector, prompts):
    """A user's hook: the share of one direction, with a bend, and a little unlike on each
    prompt."""
    at = 0.0 if vector is None else float(np.asarray(vector) @ TRUE)
    moved = at + 0.1 * at**2
    return np.array([moved * (1 + NOISE[p["text"]]) + NOISE[p["text"]] for p in prompts])


def ask(function=share, prompts=ROWS, holds="effect > 0.5", thing=VECTOR, **options):
    return check("It moves", function, prompts, holds, thing, **{"draws": 2} | options)


def code(error, *args, **options):
    with pytest.raises(error) as raised:
        ask(*args, **options)
    assert "\n" not in str(raised.value)
    return raised.value.code


def codes(result):
    return {note.code for note in result.notes}


# ---- the number and its interval -----------------------------------------------------------------


def test_the_effect_is_the_mean_difference():
    """With Student's t of 23 degrees of freedom."""
    result, each = ask(), share(VECTOR.value, ROWS) - share(None, ROWS)
    assert result.estimate == pytest.approx(each.mean(), abs=1e-12)
    half = 2.0687 * each.std(ddof=1) / 24**0.5
    assert result.low <= each.mean() - 0.99 * half and result.high >= each.mean() + 0.99 * half
    other = ask(holds="effect_after - effect_before > 0.5")
    assert other.estimate == pytest.approx(result.estimate)


def test_several_numbers_are_named():
    def both(vector, prompts):
        x = share(vector, prompts)
        return {"logit": x, "loss": -x}

    one = ask(both, holds="logit > 0.5").estimate
    assert ask(both, holds="logit - loss > 1").estimate == pytest.approx(2 * one)
    assert ask(both, holds="mean(logit) - mean(loss) > 1").outcome == "holds"


def test_effect_names_the_only_number():
    def lead(vector, prompts):
        return {"lead": share(vector, prompts)}

    assert ask(lead).estimate == ask(lead, holds="lead > 0.5").estimate == ask().estimate


def test_answers_of_yes_and_no_are_exact():
    """Nobody of 24 disagrees: at least Gaffke's limit for differences of shares of -1 to 1."""

    def refuses(vector, prompts):
        moved = 0.0 if vector is None else float(vector @ TRUE)
        return [float(moved + NOISE[p["text"]] > 1) for p in prompts]

    result = ask(refuses)
    assert result.outcome == "holds" and result.estimate == result.high == 1
    assert result.low == pytest.approx(2 * 0.025 ** (1 / 24) - 1, abs=0.03)
    assert ask(refuses, holds="effect > 0.9").outcome == "undecided"


@pytest.mark.parametrize(
    ("before", "thing", "opposite", "holds"),
    [(0, 0, 1, "effect < -0.2"), (1, 1, 0, "effect > 0.1"), (1 / 8, 0, 1, "effect < -0.2")],
)
def test_no_room_for_the_effect_leaves_it_undecided(before, thing, opposite, holds):
    """Shares of 0 cannot fall, of 1 cannot rise, and of an eighth cannot fall by a fifth."""

    def refuses(vector, prompts):
        at = 0 if vector is None else round(float(vector @ TRUE))
        share = {2: thing, -2: opposite}.get(at, before)
        return [float(int(p["text"].split()[1]) < share * 24) for p in prompts]

    result = ask(refuses, holds=holds)
    assert (result.outcome, result.verdict.reason) == ("undecided", "gate")


def test_bounds_are_those_of_the_number():
    def chance(vector, prompts):
        x = np.array([0.02 + 0.01 * abs(NOISE[p["text"]]) for p in prompts])
        return x * (1 if vector is None or vector @ TRUE < 1 else 0.5)

    result = ask(chance, holds="effect < -0.2", bounds=(0, 1))
    assert (result.outcome, result.verdict.reason) == ("undecided", "gate")
    assert ask(chance, holds="effect < -0.2").outcome == "fails"
    assert code(ClaimError, chance, holds="effect < -0.2", bounds=(0.5, 1)) == "beyond-bounds"


@pytest.mark.parametrize(
    ("given", "reason"), [("effect_before > -1", ""), ("effect_before > 1", "gate")]
)
def test_a_precondition_decides_whether_it_is_decided(given, reason):
    assert ask(given=given).verdict.reason == reason


def test_fixed_columns_weigh_equally():
    """Of eight things, each with three templates, one of which comes twice: the number of a thing
    is the mean over its templates."""
    rows = [{"thing": t, "template": k, "text": f"{k} {t}"} for t in "abcdefgh" for k in "xyz"]
    rows += [row | {"text": f"{row['text']} again"} for row in rows if row["template"] == "z"]
    size = dict(zip("xyz", (1.0, 2.0, 6.0), strict=True))

    def moved(layer, prompts):
        by = {None: 0, 3: 0.01, 12: 1}[layer]
        return [by * (size[p["template"]] + ord(p["thing"]) / 100) for p in prompts]

    asked = moved, rows, "effect > 1", Place(12, [3])
    result = ask(*asked, unit="thing", fixed="template")
    assert result.outcome == "holds" and dict(result.n) == {"thing": 8}
    assert result.estimate == pytest.approx(3 + np.mean([ord(t) for t in "abcdefgh"]) / 100)
    assert code(DataError, *asked, unit="thing", fixed="templat") == "unknown-column"


def test_copies_of_one_prompt_are_one_unit():
    result = ask(prompts=[ROWS[0]] * 24)
    assert dict(result.n) == {"prompt": 1} and result.outcome == "undecided"
    assert "same-prompts" in codes(result)


# ---- prompts, things and controls ----------------------------------------------------------------


@pytest.mark.parametrize("form", ["frame", "csv", "jsonl", "txt", "texts"])
def test_prompts_reach_the_function_in_their_form(form, tmp_path):
    kinds = set()

    def hook(vector, prompts):
        kinds.add(type(prompts))
        texts = prompts["text"] if form == "frame" else prompts
        return share(vector, [{"text": t} if isinstance(t, str) else t for t in texts])

    texts = [r["text"] for r in ROWS]
    given = {"frame": pd.DataFrame(ROWS), "texts": texts}.get(form)
    if given is None:
        given = tmp_path / f"rows.{form}"
        lines = [json.dumps(r) for r in ROWS] if form == "jsonl" else texts
        lines = (
            ["text,right", *(f"{r['text']},{r['right']}" for r in ROWS)] if form == "csv" else lines
        )
        given.write_text("\n".join(lines))
    assert ask(hook, given).estimate == pytest.approx(ask().estimate)
    assert kinds == {pd.DataFrame if form == "frame" else list}


@pytest.mark.parametrize("form", ["float32", "list", "torch"])
def test_vectors_stay_what_they_are(form):
    """The function gets the vector, its draws and controls of one's own in one form."""
    torch, seen = pytest.importorskip("torch"), set()
    value = {
        "float32": np.float32(2 * TRUE),
        "list": [*(2 * TRUE)],
        "torch": torch.tensor(2 * TRUE),
    }

    def hook(vector, prompts):
        seen.add((type(vector), getattr(vector, "dtype", None)))
        return share(vector, prompts)

    own = {"mine": [[x] * 32 for x in (0.01, 0.02)]}
    result = ask(hook, thing=Vector(value[form]), controls=own)
    assert result.outcome == "holds" and len(seen) == 2
    assert result.controls["mine"].draws == 2


def test_one_list_of_numbers_is_one_vector():
    result = ask(controls={"mine": [0.2 * float(x) for x in TRUE]})
    assert result.controls["mine"].draws == 1
    assert result.controls["mine"].estimate == pytest.approx(0.2, abs=0.02)


def test_the_strongest_of_several_is_shown():
    result = ask(controls={"prompt": [0.2 * TRUE, 0.9 * TRUE]})
    assert result.outcome == "unspecific" and result.controls["prompt"].draws == 2
    assert result.controls["prompt"].estimate == pytest.approx(0.9, abs=0.1)


def test_named_controls_are_kept_and_others_noted():
    result = ask(controls=["opposite"])
    assert [*result.controls] == ["opposite"] and "dropped-control" in codes(result)
    assert code(ClaimError, controls=["oposite"]) == "unknown-control"


ATOMS = {(0, 0): 0.001, (0, 1): 0.02, (1, 0): 0.15, (1, 1): -0.15, (1, 2): 3.0}
"""By head by how much the number of each prompt rises without it."""
LINES = ["x" * n for n in range(1, 25)]


def about_no_effect(thing=None, **options):
    def without(heads, prompts):
        moved = [sum(ATOMS[h] * (1 + len(p) / 99) for h in heads or ()) for p in prompts]
        return [len(p) % 7 + x for p, x in zip(prompts, moved, strict=True)]

    thing = thing or Heads([(0, 0)], [*ATOMS])
    return ask(without, LINES, **{"holds": "-0.1 < effect < 0.1", "thing": thing} | options)


@pytest.mark.parametrize(
    ("known", "outcome"),
    [
        ([(1, 0)], "holds"),
        ([[(1, 0)]], "holds"),
        ([(0, 1), (1, 0)], "holds"),  # both at once
        ([[(1, 1)], [(1, 0)]], "holds"),
        ([(0, 1)], "undecided"),
        ([(1, 2)], "undecided"),
    ],
)
def test_no_effect_needs_a_known_small_one(known, outcome):
    """Beyond the threshold, and at most twice as far."""
    result = about_no_effect(known={"known": known})
    assert result.outcome == outcome
    assert result.verdict.reason == ("" if outcome == "holds" else "blind")


def test_no_effect_does_not_hold_by_others_without():
    result = about_no_effect()
    assert result.outcome != "holds" and "no-control" in codes(result)


@pytest.mark.parametrize("own", [[], [[]], (1, 0), [1], "x", [(1, 0), [(1, 1)]], [(1, 0, 0)]])
def test_what_is_no_list_of_heads_is_refused(own):
    with pytest.raises(DataError) as error:
        about_no_effect(controls={"mine": own})
    assert error.value.code == "wrong-part"


def test_the_thing_itself_is_no_control():
    assert code(DataError, controls={"mine": 2 * TRUE}) == "same-thing"


def test_patches_follow_their_prompts():
    """A control of one's own has a part for each prompt as well."""
    rows = [{**row, "there": f"there {i}", "mine": f"mine {i}"} for i, row in enumerate(ROWS)]
    mine = [row["mine"] for row in rows]

    def patch(parts, prompts):
        assert parts is None or len(parts) == len(prompts)
        own = [parts is not None and parts[i] == p["there"] for i, p in enumerate(prompts)]
        some = [0.01 * len(str(parts and parts[i])) for i in range(len(prompts))]
        each = zip(own, some, prompts, strict=True)
        return [x + (1 + x) * y + (1 + x) * NOISE[p["text"]] for x, y, p in each]

    for own, draws in ((mine, 1), ("mine", 1), ([mine, mine[::-1]], 2)):
        result = ask(patch, rows, thing=Patch("there"), controls={"mine": own})
        assert result.outcome == "holds" and result.controls["mine"].draws == draws
    assert (
        code(DataError, patch, rows, thing=Patch("there"), controls={"mine": ["one"]})
        == "wrong-length"
    )


def test_prompts_it_was_chosen_on_are_refused():
    def lost(latents, prompts):
        return [-float(latents == [1]) * (2 + NOISE[p["text"]]) for p in prompts]

    about = {"holds": "effect < -1"}
    chosen = Latents([1], 40, chosen_on=[*ROWS[:2], {"text": "other", "right": "x"}])
    assert code(DataError, lost, thing=chosen, **about) == "chosen-on"
    assert "selection" in codes(ask(lost, thing=Latents([1], 40), **about))


# ---- controls that test nothing ------------------------------------------------------------------


def test_a_linear_function_is_no_test():
    """What lies across the direction changes nothing, and its opposite does the opposite."""

    def reads(vector, prompts):
        at = 0.0 if vector is None else float(vector @ TRUE)
        return [(2 + NOISE[p["text"]]) * at for p in prompts]

    result = ask(reads, thing=Vector(TRUE))
    assert (result.outcome, result.verdict.reason) == ("undecided", "no-test")
    curved = ask(lambda v, p: np.exp(reads(v, p)), thing=Vector(TRUE))
    assert curved.outcome == "holds" and "idle" in codes(curved)
    assert ask(reads, thing=Vector(TRUE), holds="effect > -1").outcome == "unspecific"


def test_idle_controls_of_counts_are_tests():
    """A count may hide a small change: twice as loud, and nothing for other words."""

    def loud(text, prompts):
        return [int(p) * (2 if text == "be loud" else 1) for p in prompts]

    result = ask(
        loud,
        ["5", "11", "2", "8", "12", "1", "9", "4", "7", "3", "10", "6"],
        "effect > 3",
        Text("be loud"),
    )
    assert result.outcome == "holds" and "idle" not in codes(result)
    assert result.controls["words"].estimate == 0


def test_the_other_answer_is_no_test():
    """With yes and with no, the numbers of each prompt add up to 1."""
    yes = {f"prompt {i}": x for i, x in enumerate(np.random.default_rng(0).uniform(0.7, 0.9, 24))}

    def probability(latents, prompts):
        own = np.array([yes[p] for p in prompts])
        what = latents[0] if latents else None
        return {"yes": own, "no": 1 - own, "maybe": own / 9, None: own**2 / 2}[what]

    asked = probability, [*yes], "effect > 0.2"
    assert ask(*asked, Latents(["yes"], ["yes", "no"])).verdict.reason == "no-test"
    assert ask(*asked, Latents(["yes"], ["yes", "no", "maybe"])).outcome == "holds"


@pytest.mark.parametrize("lead", [-0.007, 0.5, -9.0])
def test_damage_needs_a_task_that_can_be_done(lead):
    """A lead of about 0 has nothing to lose; log-probabilities are always below 0."""

    def falls(heads, prompts):
        own = heads == [(0, 1)]
        return [3 + NOISE[p["text"]] * (1 + (heads is not None)) - 2 * own for p in prompts]

    def other(heads, prompts):
        return [lead + NOISE[p["text"]] - 0.001 * (heads is not None) for p in prompts]

    result = ask(falls, holds="effect < -1", thing=Heads([(0, 1)], (2, 4)), damage=other)
    said = {note.data["control"] for note in result.notes if note.code == "idle"}
    assert result.outcome == "holds" and result.controls["damage"].outcome == "beaten"
    assert ("damage" in said) == (lead == -0.007)


def test_damage_that_does_nothing_is_a_test():
    result = ask(damage=lambda vector, prompts: [NOISE[p["text"]] for p in prompts])
    said = {note.data["control"] for note in result.notes if note.code == "idle"}
    assert result.controls["damage"].estimate == 0 and "damage" not in said


# ---- how many draws ------------------------------------------------------------------------------


def test_all_of_a_small_pool_are_tried():
    """The fall is that of two neurons of 13, so that any choice of fewer may miss one."""

    def effect(neurons, prompts):
        size = 2.0 if neurons and neurons[0] in (0, 7) else 0.1 * bool(neurons)
        return [size * (1 + NOISE[p["text"]]) for p in prompts]

    result = ask(effect, thing=Neurons([0], 13), draws=0)
    assert result.outcome == "unspecific" and result.controls["neurons"].draws == 12
    assert ask(effect, thing=Neurons([0], 14), draws=0).controls["neurons"].draws == 4


@pytest.mark.parametrize(
    ("hits", "outcome", "draws"), [(0, "holds", 20), (1, "holds", 40), (2, "undecided", 20)]
)
def test_noise_is_drawn_until_it_decides(hits, outcome, draws):
    """None of 20 satisfies the claim, or one of 40; two of 20 leave it open."""
    lucky, seen = range(5, 5 + hits), []

    def hook(vector, prompts):
        key = None if vector is None else np.asarray(vector).tobytes()
        if key not in seen:
            seen.append(key)
        at = seen.index(key) - 2  # after none and the thing
        size = {None: 0.0, VECTOR.value.tobytes(): 2.0}.get(key, 2.0 if at in lucky else 0.1)
        return [size * (1 + NOISE[p["text"]]) for p in prompts]

    result = ask(hook, controls=["random"], draws=0)
    assert result.outcome == outcome and result.controls["random"].draws == draws
    assert result.controls["random"].satisfied == hits


def test_controls_are_spared_where_none_matters():
    """A claim that fails by itself fails beside any control: one of each is called."""
    result = ask(holds="effect > 5", draws=0)
    assert result.outcome == "fails" and {t.draws for t in result.controls.values()} == {1}


# ---- calls ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gives", "wanted"),
    [
        (lambda v, p: 1.0, "no-numbers"),
        (lambda v, p: [[1.0]] * len(p), "no-numbers"),
        (lambda v, p: ["1"] * len(p), "no-numbers"),
        (lambda v, p: [np.inf] * len(p), "infinite"),
        (lambda v, p: {"a b": [1.0] * len(p), "c": [1.0] * len(p)}, "name"),
        (lambda v, p: {}, "names"),
        (lambda v, p: {x: [1.0] * len(p) for x in ("z", "x" if v is None else "y")}, "names"),
        (lambda v, p: {x: [1.0] * len(p) for x in ("z", "y")}, "unknown-column"),
        (lambda v, p: {"right": share(v, p)}, "same-name"),
    ],
)
def test_what_is_no_number_is_refused(gives, wanted):
    holds = {"holds": "right > 1"} if wanted == "same-name" else {}
    assert code(AssayError, gives, **holds) == wanted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"holds": "efect > 1"}, "unknown-column"),
        ({"prompts": ["a"]}, "few-prompts"),
        ({"unit": "colour"}, "unknown-column"),
        (
            {"function": lambda text, p: [len(text or "")] * len(p), "thing": Text("word")},
            "no-control",
        ),
    ],
)
def test_impossible_questions_are_refused_in_one_line(options, wanted):
    assert code(AssayError, **options) == wanted


def test_an_error_names_the_control_and_the_prompt():
    def hook(vector, prompts):
        if vector is not None and vector @ TRUE < -1:
            for p in prompts:
                if p["text"] == "prompt 13":
                    raise ValueError("no such token")
        return share(vector, prompts)

    with pytest.raises(RunError) as error:
        ask(hook)
    assert error.value.at == "prompt 14" and error.value.message.endswith("given opposite")
    assert isinstance(error.value.__cause__, ValueError)


def test_none_is_what_the_author_says():
    def needs(vector, prompts):
        return share(vector * 1.0, prompts)

    with pytest.raises(RunError) as error:
        ask(needs)
    assert error.value.message.endswith("given none=None")
    assert ask(needs, none=0 * TRUE).outcome == "holds"


def test_an_interrupted_check_goes_on(tmp_path):
    """Each arm is called on all prompts once, however often the check is interrupted."""
    calls, left = [], [3]

    def hook(vector, prompts):
        if len(prompts) == 24:
            if len(calls) == left[0]:
                raise KeyboardInterrupt
            calls.append(1)
        return share(vector, prompts)

    path = tmp_path / "moves.jsonl"
    with pytest.raises(KeyboardInterrupt):
        ask(hook, save=path)
    with path.open("a") as file:
        file.write('{"call": ["torn')
    left[0] = 99
    first = ask(hook, save=path)
    assert len(calls) == 2 + 3 and ask(hook, save=path).estimate == first.estimate
    assert len(calls) == 5
    assert code(DataError, hook, holds="effect > 0.6", save=path) == "other-check"
    path.write_text("no")
    assert code(DataError, hook, save=path) == "not-a-record"


def test_progress_goes_to_standard_error(capsys, monkeypatch):
    monkeypatch.setattr("assay.checks.calls.QUIET", -1.0)
    ask()
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") >= 5 and "left" in err


def test_rows_have_every_arm_and_prompt():
    rows = ask().rows
    assert {*rows.columns} == {
        "arm",
        "prompt",
        "text",
        "right",
        "effect",
        "effect_before",
        "effect_after",
    }
    assert len(rows) == 24 * rows["arm"].nunique() == 24 * 4
