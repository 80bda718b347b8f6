"""Studies that ask models whose truth was put into their weights: what is so holds, what is not
fails, and what anything would show is unspecific."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from assay.ask import annotated, missing
from assay.core.errors import ExperimentError
from assay.core.reasons import OUT_OF_REACH
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.report.tables import row, text
from planted_folder import folder, planted

__all__ = ["folder", "planted"]

MOOD = """
[[prompts]]
name = "neutral"
unit = "prompt"
text = "{who} {verb} the {thing} {when} and it was"
[prompts.slots]
who = ["anna", "ben", "carla", "dan"]
verb = ["saw", "bought"]
when = ["now", "then", "here"]
thing = ["room"]
[[prompts]]
name = "moody"
text = "the {thing} was {adjective} and it is"
file = "moods.csv"
[[direction]]
name = "mood"
prompts = "moody"
site = "blocks.2.hook_resid_pre"
difference = ["nice", "nasty"]
[[intervene]]
name = "steered"
add = "mood"
[[read]]
name = "good"
log_prob = [" good", " bad"]
"""
SPEAKER = """
[[prompts]]
name = "neutral"
unit = "prompt"
text = "the {thing} {verb} {when} and it was"
[prompts.slots]
thing = ["room", "meal", "film", "town"]
verb = ["is", "was", "in"]
when = ["now", "then", "here"]
[[prompts]]
name = "speakers"
text = "{who} says the {thing} is"
file = "speakers.csv"
[[direction]]
name = "speaker"
prompts = "speakers"
position = "{who}"
site = "blocks.2.hook_resid_pre"
difference = ["first", "second"]
[[intervene]]
name = "steered"
add = "speaker"
[[read]]
name = "good"
log_prob = [" good", " bad"]
"""
CAPITALS = """
[[prompts]]
unit = "prompt"
text = "{{who}} went to {{country}} the capital is"
corrupted = "{{who}} went to {{other}} the capital is"
file = "capitals.csv"
[[intervene]]
name = "changed"
{what}
[[read]]
name = "right"
log_prob = [" {{city}}", " {{foil}}"]
[[read]]
name = "known"
accuracy = [" {{city}}", " {{foil}}"]
"""


def capitals(what):
    return CAPITALS.format(what=what)


STEERED = "steered.good - main.good > 0.5"
CASES = {
    "mood steers": (MOOD, STEERED, "holds"),
    "who speaks does not": (SPEAKER, STEERED, "fails"),
    "the head that carries the country": (
        capitals('ablate = "zero"\nheads = ["1.1"]'),
        "main.right - changed.right > 2",
        "holds",
    ),
    "another head": (
        capitals('ablate = "zero"\nheads = ["1.2"]'),
        "main.right - changed.right > 2",
        "fails",
    ),
    "the answer follows the head": (
        capitals('patch = "corrupted"\nheads = ["1.1"]\nposition = -1'),
        "changed.right < -2",
        "holds",
    ),
    "any other country takes it away": (
        capitals('patch = "corrupted"\nheads = ["1.1"]\nposition = -1'),
        "main.right - changed.right > 2",
        "unspecific",
    ),
    "it does not follow the head of mood": (
        capitals('patch = "corrupted"\nheads = ["1.0"]\nposition = -1'),
        "changed.right < -2",
        "fails",
    ),
}


def study(folder, name, tables, holds, **more):
    text = f"""
question = "Is it so?"
[[model]]
name = "./planted"
{tables}
[[claim]]
text = "It is so"
holds = "{holds}"
threshold = "plan: by construction"
"""
    path = folder / f"{name.replace(' ', '_')}.toml"
    path.write_text(text)
    return path


def planned(folder, name, tables, holds):
    """The experiment of such a study."""
    return catalogue.find(str(study(folder, name, tables, holds)))


@pytest.mark.parametrize("case", CASES)
def test_what_was_planted_is_what_comes_out(case, folder, tmp_path):
    tables, holds, outcome = CASES[case]
    experiment = planned(folder, case, tables, holds)
    result = Lab(tmp_path, Inline()).run(experiment)
    [verdict] = [judged.verdict for judged in result.judged]
    assert verdict.outcome == outcome, verdict


def test_a_control_at_a_token_that_both_texts_share_changes_nothing(folder, tmp_path):
    """Before the first block nothing but the token itself is there."""
    patch = 'patch = "corrupted"\nsite = "blocks.0.hook_resid_pre"\nposition = "{country}"'
    path = study(folder, "idle", capitals(patch), "main.right - changed.right > 1")
    result = Lab(tmp_path, Inline()).run(catalogue.find(str(path)))
    [judged] = result.judged
    assert "changed/token" in judged.controls and judged.idle == ("changed/token",)
    assert np.abs(judged.controls["changed/token"].points).max() < 1e-5
    (shown,) = [c for c in row(judged).controls if c.arm == "changed/token"]
    assert shown.estimate == "0" and "excludes nothing" in shown.explains
    alone = capitals(f'{patch}\ncontrols = ["token"]')
    path = study(folder, "idle alone", alone, "main.right - changed.right > 1")
    only = Lab(tmp_path, Inline()).run(catalogue.find(str(path)))
    for each, is_said in ((result, False), (only, True)):
        assert any("none of its controls is a test" in n for n in each.data.notes) == is_said
        headline = "● holds ※, but none of its controls is a test: It is so"
        assert text(each.data).startswith(headline) == is_said


def test_a_control_of_two_patches_that_moves_both_to_one_token_is_no_test(folder, tmp_path):
    patch = 'ablate = "zero"\nsite = "blocks.0.hook_resid_pre"\nposition = '
    tables = capitals(f"{patch}3") + f'[[intervene]]\nname = "other"\n{patch}1\n'
    path = study(folder, "one token", tables, "other.right - changed.right > 1")
    [judged] = Lab(tmp_path, Inline()).run(catalogue.find(str(path))).judged
    assert {*judged.controls["other/token"].points} == {0.0}, "the same change on both sides"
    why = "both sides use the same token here, so it is 0 whatever the model does"
    assert judged.no_test("other/token") == why


@pytest.mark.parametrize("chosen", ["", 'controls = ["heads"]', "controls = []"])
def test_a_control_that_cannot_be_made_is_left_out_and_said(chosen, folder, tmp_path):
    """Where all heads are cut, no other heads can stand in for them."""
    heads = [f"{layer}.{head}" for layer in range(4) for head in range(4)]
    cut = f'ablate = "zero"\nheads = {json.dumps(heads)}\n{chosen}'
    holds = "main.right - changed.right > 1"
    if chosen == "controls = []":
        holds = 'changed.right < 2"\ncontrol = ["main"] # '
    path = study(folder, "all heads", capitals(cut), holds)
    result = Lab(tmp_path, Inline()).run(catalogue.find(str(path)))
    [judged] = result.judged
    notes = " ".join(result.data.notes)
    assert "changed/heads" not in judged.controls
    assert ("changed/heads" in notes and "is left out" in notes) == (chosen != "controls = []")
    assert ("controls = [] under changed" in notes) == (chosen == "controls = []")
    lacking = 'controls = ["heads"] under changed leaves out damage'
    assert (lacking in notes) == (chosen == 'controls = ["heads"]')
    # nor `damage`, since these models can only guess on unrelated text
    assert set(judged.controls) == ({"main"} if chosen == "controls = []" else set())
    if chosen != "controls = []":
        assert judged.outcome == "undecided"
        assert judged.reason == "no control could be made"


REFUSED = {
    "a kind that there is not": (
        capitals('ablate = "zeros"\nheads = ["1.1"]'),
        "did you mean zero",
    ),
    "a pair of other lengths": (
        capitals('patch = "corrupted"\nheads = ["1.1"]').replace(
            'corrupted = "{who} went', 'corrupted = "now {who} went'
        ),
        "capitals.csv line 2 to 25: the other text of its pair "
        "has another number of tokens: to patch all positions, write pairs of equal length",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_one_line_with_its_place_before_anything_runs(case, folder):
    tables, words = REFUSED[case]
    path = study(folder, case, tables, f"main.{'right' if 'right' in tables else 'good'} > 0")
    with pytest.raises(ExperimentError) as refused:
        catalogue.find(str(path))
    message = str(refused.value)
    assert words in message and f"{path} line" in message and "\n" not in message


def test_a_column_of_the_prompts_that_is_no_dimension_says_how_it_becomes_one(folder):
    path = plain(folder, "by who", "main.known[who=Ann] - main.known[who=Bob] > 0")
    with pytest.raises(ExperimentError) as refused:
        catalogue.find(str(path))
    assert "main.known has no dimension 'who', which is a column of the prompts" in str(
        refused.value
    )
    assert 'levels = "who" under [[prompts]]' in str(refused.value)


def plain(folder, name, holds):
    """A study about what a model answers to each of 24 prompts, all of them right."""
    tables = capitals('ablate = "zero"\nheads = ["1.2"]').replace("corrupted =", "# corrupted =")
    path = study(folder, name, tables, holds)
    path.write_text(path.read_text() + '[[estimate]]\ntext = "share known"\nvalue = "main.known"\n')
    return path


def test_what_so_few_prompts_cannot_show_is_said_before_they_are_asked(folder, tmp_path):
    """24 of 24 begin at .025^(1/24) = .857, and 36 are the first to begin above .9."""
    path = plain(folder, "few", "main.known > 0.9")
    [reach] = missing.of_claims(catalogue.find(str(path)))
    assert "24 prompts" in reach.default and "begin at 0.86" in reach.default
    assert "about 36 prompts," in reach.text and reach.where == "claim 1: units"
    within = plain(folder, "within", "main.known > 0.8")
    assert missing.of_claims(catalogue.find(str(within))) == []
    drawn = study(folder, "drawn", MOOD, "steered.good - main.good > 0")
    [direction] = missing.of_claims(catalogue.find(str(drawn)))
    assert "its threshold is 0" in direction.default
    shares = MOOD.replace("log_prob", "accuracy")
    both = study(folder, "both", shares, "steered.good > 0.9")
    [reach] = missing.of_claims(catalogue.find(str(both)))
    assert "8 seeds × 24 prompts" in reach.default and "begin at 0.63" in reach.default
    assert 'about 36 seeds and 36 prompts (seeds = "1000000:1000036"),' in reach.text
    [reach] = missing.of_claims(
        catalogue.find(str(study(folder, "fewer", shares, "steered.good > 0.75")))
    )
    assert "about 13 seeds (" in reach.text  # .025^(1/13) = .753, and 24 prompts are more


TWO = """
[[model]]
name = "./{second}"
label = "second"
[[prompts]]
text = "{{who}} went to {{country}} the capital is"
file = "capitals.csv"
[[read]]
name = "right"
log_prob = [" {{city}}", " {{foil}}"]
[[read]]
name = "known"
accuracy = [" {{city}}", " {{foil}}"]
[[diff]]
name = "change"
models = ["main", "second"]
[[estimate]]
text = "of the first"
value = "main.right"
[[estimate]]
text = "of the second"
value = "second.known"
"""


@pytest.mark.parametrize(
    "holds",
    [
        pytest.param("change.known > 0.1", marks=pytest.mark.thorough),
        "second.known - main.known > 0.1",
    ],
)
def test_two_models_that_are_right_of_everything_leave_no_room_for_a_difference(
    holds, folder, tmp_path
):
    for second, says in (("tuned", True), ("before", False)):
        path = study(folder, f"room{len(holds)}{second}", TWO.format(second=second), holds)
        [judged] = Lab(tmp_path, Inline()).run(catalogue.find(str(path))).judged
        words = "both are at the bound of known: no difference could show"
        assert (words in judged.warning) == says


def test_a_control_that_a_condition_names_is_made_without_more(folder, tmp_path):
    cut = capitals('ablate = "zero"\nheads = ["1.1"]')
    path = study(folder, "said", cut, "'changed/random-heads'.right - changed.right > 1")
    experiment = catalogue.find(str(path))
    assert "changed/random-heads" in experiment.arms
    assert set(experiment.claims[0].must_fail) == {"changed/heads", "changed/damage"}


def test_a_condition_that_names_a_control_which_cannot_be_made_says_why(folder, tmp_path):
    every = [f"{layer}.{head}" for layer in range(4) for head in range(4)]
    cut = capitals(f'ablate = "zero"\nheads = {json.dumps(every)}')
    path = study(folder, "unmade", cut, "'changed/heads'.right - changed.right > 1")
    [lost] = Lab(tmp_path, Inline()).run(catalogue.find(str(path))).data.failed
    assert lost.reason.startswith("changed/heads cannot be made: ")


def test_a_pair_of_controls_of_which_one_cannot_be_made_is_left_out(folder, tmp_path):
    """Where all heads are cut, no other heads can stand in for them, nor for another cut next to
    them. Models that can only guess on unrelated text have no `damage` there either."""
    every = [f"{layer}.{head}" for layer in range(4) for head in range(4)]
    one = capitals('ablate = "zero"\nheads = ["1.1"]')
    tables = f"""{one}
[[intervene]]
name = "all"
ablate = "zero"
heads = {json.dumps(every)}
"""
    path = study(folder, "pair", tables, "changed.right - all.right > 1")
    result = Lab(tmp_path, Inline()).run(catalogue.find(str(path)))
    [judged] = result.judged
    assert not judged.controls
    words = [n for n in result.data.notes if n.startswith("changed/heads minus all/heads: ")]
    assert len(words) == 1 and words[0].endswith("; this control is left out")


@pytest.mark.thorough
def test_only_a_change_of_the_model_can_be_without_room(folder, tmp_path):
    """The model is right of every capital, so that no change can make it right more often; that
    another model is right more often is false."""
    cut = capitals('ablate = "zero"\nheads = ["1.2"]')
    for tables, holds, without in (
        (cut, "changed.known - main.known > 0.45", True),
        (TWO.format(second="tuned"), "change.known > 0.45", True),
        (TWO.format(second="before"), "second.known - main.known > 0.45", False),
    ):
        path = study(folder, f"no room {holds.split('.')[0]}", tables, holds)
        [judged] = Lab(tmp_path, Inline()).run(catalogue.find(str(path))).judged
        assert (judged.reason == OUT_OF_REACH) == without, (holds, judged.verdict)
        assert judged.outcome == ("undecided" if without else "fails"), judged.verdict


def test_a_comparison_of_two_reads_has_no_control_that_is_the_same_on_both_sides():
    twins = {"probe/places": ("main/places",)}
    claim = SimpleNamespace(condition="probe.accuracy - main.says > 0.2", twins=twins)
    arms = {
        "probe/places": xr.Dataset({"accuracy": ("seed", [0.0, 1.0])}),
        "main/places": xr.Dataset({"says": ("seed", [0.0, 1.0])}),
    }
    judged = SimpleNamespace(claim=claim, controls={"probe/places": None})
    assert [*annotated._alike(judged, arms)] == []
