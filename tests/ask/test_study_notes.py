"""What a plan says to the author of a study that asks models: each note where it applies, and
nowhere else."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs
from test_study_asks import MOOD, SPEAKER, capitals, folder, planned, planted, study  # noqa: F401 (a fixture)

from assay.ask import contents
from assay.ask.measure.prompts import AT_END, load, remarks, spellings
from assay.ask.missing import find_gaps, idle_arms
from assay.ask.objections import text_differs
from assay.ask.tables import Intervention, Prompts
from assay.core.errors import DataError, ExperimentError
from assay.core.figures import figures_of
from assay.core.reasons import NO_LEAD
from assay.core.results import ResultData
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.report.noted import doubts_number, notes_in_order

PATCHED = capitals('patch = "corrupted"\nheads = ["1.1"]\nposition = -1')
SETTLED = capitals('patch = "corrupted"\nsite = "blocks.3.hook_resid_post"\nposition = -1')
BROUGHT = PATCHED.replace("{who} went to {other} the", "{foil} went to {other} the")
OF_ANSWER = "so the patch copies the answer of the other text, as it would in any model"
CUT = capitals('ablate = "zero"\nheads = ["1.1"]')
KEPT = CUT.replace('ablate = "zero"\nheads = ["1.1"]', 'keep = "most"') + (
    '\n[[direction]]\nname = "most"\ncomponents = 3\nposition = "all"\n'
    'site = "blocks.1.hook_resid_pre"\n'
)
FALLS = "claim 1: any other prompt's activations may make 'right' fall; to claim that the"
HABIT = "claim 1: ' good' is right after every prompt, so a habit of saying it is enough"
ANY = "claim 1: any change at all satisfies"
EACH = 'unit = "prompt"\n'
SHARED = (
    "the 24 prompts are combinations (8 of country × 3 of who), so the verdict has to be "
    "the same with each of these as units, and with both crossed"
)
ONE_SHARED = "the 24 prompts share values (8 of country), so the verdict has to be the same"
UNIQUE = CUT.replace(EACH, "").replace("capitals.csv", "pairs.csv")
NOTHING = "claim 1: the claim is also true if nothing happens"
CANNOT = "claim 1: a model that learned nothing satisfies it too"
COPIED = "24 of 24 prompts contain the answer ' {city}' of right, and not the others"
TOLD = CUT.replace("{country} the capital", "{country} {city} the capital")
MISLED = CUT.replace("{country} the capital", "{country} {foil} the capital")
BY_DEFINITION = "mood is the unembedding of ' good', of which good is a function"
UNEMBEDDED = MOOD.replace(
    'prompts = "moody"\nsite = "blocks.2.hook_resid_pre"\ndifference = ["nice", "nasty"]',
    'unembedding = " good"',
).replace('add = "mood"', 'add = "mood"\nstrength = 4\nsite = "blocks.2.hook_resid_post"')
BREAKS = """
[[intervene]]
name = "broken"
ablate = "zero"
heads = ["1.1", "1.2"]
"""
CHOSEN = """
[[intervene]]
name = "best"
ablate = "zero"
top = { n = 1, of = "heads", by = "right", score = "gradient" }
"""
HALVED = "judged on 12 of 24 prompts, because parts are chosen by top on the others"
ROUNDED = """
[[model]]
name = "./planted"
label = "rounded"
weights = { bits = 8, per = "channel" }
"""
SINK = """
[[read]]
name = "sink"
pattern = "1.0"
to = {to}
"""
LENS = (
    CUT
    + """
[[read]]
name = "lens"
logit_lens = [" {city}", " {foil}"]
site = "blocks.{layer}.hook_resid_post"
sweep = { layer = [0, 1, 2] }
"""
)
LOGITS = (
    CUT
    + """
[[read]]
name = "one"
logit = " {city}"
[[read]]
name = "two"
logit = " {foil}"
"""
)
SINGLE = "one is a single logit, which also moves when all logits move"
FEWER = (
    CUT
    + """
[[read]]
name = "short"
log_prob = [" {city}", " {foil} the"]
"""
)
FEWER_TOKENS = "24 of 24 prompts, ' {city}' has fewer tokens than ' {foil} the', and so fewer"
EARLIER = (
    CUT
    + """
[[read]]
name = "size"
norm = true
site = "blocks.{layer}.hook_resid_post"
sweep = { layer = [0, 1] }
"""
)
UNREACHED = "size is read at blocks.0.hook_resid_post, which the change of changed cannot reach"
AGAIN = (
    '\n[[prompts]]\nunit = "prompt"\ntext = "{adjective}: the {thing}"\nfile = "moods.csv"\n'
    + MOOD[MOOD.index('[[prompts]]\nname = "moody"') :]
)
PROBED = """
[[prompts]]
text = "the {thing} was {adjective} and it is"
file = "moods.csv"
[[probe]]
name = "p"
label = "label"
site = "blocks.1.hook_resid_post"
"""
ERASED = """
intervention = "erased"
[[direction]]
name = "mood"
site = "blocks.1.hook_resid_post"
label = "label"
difference = ["nice", "nasty"]
[[intervene]]
name = "erased"
erase = "mood"
"""
CHANCE = "a probe at chance satisfies it too, as its controls are"
NOTED = {
    "parts chosen for another claim": (CUT + CHOSEN, "main.right - changed.right > 2", HALVED),
    "the right answer falls": (PATCHED, "changed.right - main.right < -1", FALLS),
    "few countries": (CUT.replace(EACH, ""), "main.known > 0.8", SHARED),
    "a slot next to unique ones": (UNIQUE, "main.known > 0.8", ONE_SHARED),
    "a slot of two values": (
        MOOD.replace(EACH, ""),
        "main.good > 0",
        "the 2 values of verb and the 3 values of when and the 4 values of who make the interval",
    ),
    "combinations of few": (
        MOOD.replace(EACH, ""),
        "main.good > 0",
        "(2 of verb × 3 of when × 4 of who), so the verdict has to be the same with each",
    ),
    "one answer": (MOOD, "main.good > 0", HABIT),
    "any size": (CUT, "abs(changed.right - main.right) > 0", ANY),
    "no change": (CUT, "-0.1 < changed.right - main.right < 0.1", NOTHING),
    "weights that change nothing": (ROUNDED + CUT, "rounded.right - main.right > -1", NOTHING),
    "no change of means": (CUT, "-1 < mean(changed.right) - mean(main.right) < 1", NOTHING),
    "a twin at the threshold": (CUT, "main.right > 0", "main/untrained has no preference"),
    "of each unit": (LENS, "max(main.lens, over=layer) > 1", "mean(…) inside"),
    "it cannot": (CUT, "main.known < 0.6", CANNOT),
    "where it is learned": (
        MOOD,
        "steered.good > 0",
        "mood is learned from 20 prompts of moody, at the last token of blocks.2.hook_resid_pre; "
        "steered: added at every token",
    ),
    "measured where it is learned": (
        AGAIN,
        "steered.good > 0",
        "steered: 20 of the 20 prompts of prompts have the columns of rows from which mood is",
    ),
    "a probe that may know nothing": (PROBED, "p.accuracy < 0.99", CHANCE),
    "learned at a slot": (SPEAKER, "steered.good > 0", "at the last token of {who} of"),
    "the first token": (
        CUT + SINK.format(to=0),
        "main.sink > 0.5",
        "sink: the first token is 'anna', of capitals.csv line 2: the model reads no BOS",
    ),
    "the first token's own attention": (
        CUT + SINK.format(to=0).replace("to = 0", 'to = 0\nposition = "mean"'),
        "main.sink > 0.5",
        "sink: the mean over tokens counts the attention of the first token to itself",
    ),
    "an answer in the prompt": (TOLD, "main.right > 1", COPIED),
    "its lead that a change takes away": (TOLD, "main.right - changed.right > 1", COPIED),
    "the wrong answer in the prompt": (MISLED, "main.right < -1", COPIED.replace("city", "foil")),
    "the wrong answer, which a change may bring": (
        MISLED,
        "main.right - changed.right > 1",
        COPIED.replace("city", "foil"),
    ),
    "the other answer in the texts to patch from": (
        BROUGHT,
        "changed.right < -2",
        "24 of 24 texts to patch from contain the answer ' {foil}' of right, and not the others",
    ),
    "the stream from which the answer is read": (SETTLED, "changed.right < -2", OF_ANSWER),
    "the same change twice": (
        CUT + BREAKS.replace('heads = ["1.1", "1.2"]', 'position = "all"\nheads = ["1.1"]'),
        "main.right - changed.right > main.right - broken.right",
        "changed and broken make the same change",
    ),
    "the unembedding of an answer": (UNEMBEDDED, "steered.good - main.good > 1", BY_DEFINITION),
    "a single logit under a change": (LOGITS, "main.one - changed.one > 2", SINGLE),
    "a share of a single logit": (LOGITS, "changed.one / main.one < 0.5", SINGLE),
    "fewer tokens": (FEWER, "main.short > 1", FEWER_TOKENS),
    "a read before the change": (
        EARLIER,
        "main.size[layer=0] - changed.size[layer=0] > 1",
        UNREACHED,
    ),
    "a slot without braces": (
        CUT.replace("{who} went to {country}", "who went to [country]"),
        "main.right > 1",
        "all 24 prompts are the same text",
    ),
}
SILENT = {
    "parts chosen for this claim": (CUT + CHOSEN, "main.right - best.right > 2", HALVED),
    "two single logits": (
        LOGITS,
        "(main.one - changed.one) - (main.two - changed.two) > 2",
        "single logit",
    ),
    "a single logit without a change": (LOGITS, "main.one > 2", "single logit"),
    "fewer tokens of what is claimed to be behind": (FEWER, "main.short < 1", "fewer tokens"),
    "a read after the change": (
        EARLIER,
        "main.size[layer=1] - changed.size[layer=1] > 1",
        "cannot reach",
    ),
    "reads before and after the change": (
        EARLIER,
        "max(main.size - changed.size, over=layer) > 1",
        "cannot reach",
    ),
    "the answer follows": (PATCHED, "changed.right < -2", FALLS),
    "a size": (CUT, "abs(changed.right - main.right) > 1", ANY),
    "an ablation": (CUT, "changed.right - main.right < -1", FALLS),
    "the other answer, which speaks against": (BROUGHT, "changed.right > 2", "texts to patch"),
    "the other answer behind the patched token": (
        BROUGHT.replace("to {country} the", "to {country} and {city} the")
        .replace("{foil} went to {other} the", "{who} went to {other} and {foil} the")
        .replace("position = -1", 'position = "{country}"'),
        "changed.right < -2",
        "texts to patch",
    ),
    "no effect on the answer": (
        SETTLED + BREAKS,
        '-0.1 < changed.right - main.right < 0.1"\nviolations = ["broken"]  # ',
        OF_ANSWER,
    ),
    "two answers": (CUT, "main.right > 0", HABIT),
    "against the one answer": (MOOD, "main.good < 0", HABIT),
    "no change, with what breaks it": (
        CUT + BREAKS,
        '-0.1 < changed.right - main.right < 0.1"\nviolations = ["broken"]  # ',
        NOTHING,
    ),
    "as good as before, of what is kept": (KEPT, "changed.right - main.right > -1", NOTHING),
    "a change": (CUT, "changed.right - main.right < -0.1", NOTHING),
    "a probe after an erasure": (PROBED + ERASED, "p.accuracy < 0.6", CHANCE),
    "the wrong answer alone": (MISLED, "main.right > 1", COPIED.replace("city", "foil")),
    "two changes": (
        CUT + BREAKS,
        "main.right - changed.right > main.right - broken.right",
        "make the same change",
    ),
    "the wrong answer as well": (
        TOLD.replace("{city} the", "{city} and {foil} the"),
        "main.right > 1",
        COPIED,
    ),
    "the unembedding of another word": (
        UNEMBEDDED.replace('unembedding = " good"', 'unembedding = " nice"'),
        "steered.good - main.good > 1",
        BY_DEFINITION,
    ),
}


@pytest.mark.parametrize("case", [*NOTED, *SILENT])
def test_a_note_is_where_it_applies_and_nowhere_else(case, folder):  # noqa: F811
    tables, holds, note = (NOTED | SILENT)[case]
    remarks = planned(folder, f"note {case}", tables, holds).remarks
    assert any(note in remark for remark in remarks) == (case in NOTED), remarks
    assert note != HABIT or doubts_number(note, "holds")
    assert all("\n" not in remark for remark in remarks)
    assert len(set(remarks)) == len(remarks)


@pytest.mark.parametrize(
    ("first", "second", "holds", "is_noted"),
    [
        ("anna saw the room", "it was here", "", True),
        ("anna saw the room", "anna saw the meal", "", False),
        ("anna saw the room", "it was here", '"\ncontrol = ["main/untrained"]  # ', False),
    ],
)
def test_losses_of_texts_with_few_words_in_common_are_compared_with_a_note(
    first,
    second,
    holds,
    is_noted,
    folder,  # noqa: F811
):
    rows = [
        f'{{ text = "{words} {name}", label = "{label}", pair = "{name}" }}'
        for name in planted.NAMES
        for label, words in (("a", first), ("b", second))
    ]
    tables = (
        f'[[prompts]]\nunit = "pair"\nlevels = "label"\nrows = [{", ".join(rows)}]\n'
        '[[read]]\nname = "surprise"\nloss = true\n'
    )
    condition = f"main.surprise[label=b] - main.surprise[label=a] > 0.3{holds}"
    remarks = planned(folder, f"few words {is_noted} {len(holds)}", tables, condition).remarks
    count = len(planted.NAMES)
    words = f"claim 1: in {count} of {count} pairs, the texts share fewer than half of their words"
    assert any(note.startswith(words) for note in remarks) == is_noted


def test_of_prompts_that_are_combinations_an_estimate_has_no_verdict_to_be_the_same(folder):  # noqa: F811
    path = study(folder, "estimated", CUT.replace(EACH, ""), "main.right > 0")
    text = path.read_text().partition("[[claim]]")[0]
    path.write_text(f'{text}[[estimate]]\ntext = "Lead"\nvalue = "main.right"\n')
    remarks = " ".join(catalogue.find(str(path)).remarks)
    assert "so the interval allows for each of these as units, and for both crossed" in remarks
    assert "verdict has to be the same" not in remarks


TWO_PLACES = capitals('patch = "corrupted"\nsite = "blocks.1.hook_resid_pre"\nposition = 3') + (
    '[[intervene]]\nname = "other"\npatch = "corrupted"\nsite = "blocks.1.hook_resid_pre"\n'
    "position = 4\n"
)


@pytest.mark.parametrize(
    ("holds", "twins"),
    [
        # at two other tokens it does equally much, which satisfies the first claim, not the second
        ("(main.right - changed.right) - 0.5 * (main.right - other.right) >= 0", []),
        ("(main.right - changed.right) - (main.right - other.right) > 1", ["other/token"]),
    ],
)
def test_a_control_at_another_token_leaves_the_rivals_token_alone(folder, holds, twins):  # noqa: F811
    experiment = planned(folder, f"places {len(twins)}", TWO_PLACES, holds)
    [claim] = experiment.claims
    assert [*claim.twins.get("changed/token", ())] == twins
    (said,) = [r for r in experiment.remarks if r.startswith("changed/token makes the same")]
    assert "never at token 4" in said
    assert "(token 4)" not in said
    assert "(token 3)" not in said


EVERY_HEAD = 'heads = ["1.{head}"]\nsweep = { head = [0, 1, 2, 3] }\n'
EVERY_MLP = 'site = "blocks.{layer}.hook_mlp_out"\nsweep = { layer = [0, 1, 2, 3] }\n'
COUNTED = "count(main.right - changed.right > 2, over={}) > 0.5"
LOSS = '\n[[read]]\nname = "nats"\nloss = true\n'
PROPOSED = {
    "ablated heads": (capitals('ablate = "zero"\n' + EVERY_HEAD), COUNTED.format("head")),
    "patched heads": (
        capitals('patch = "corrupted"\nposition = -1\n' + EVERY_HEAD),
        COUNTED.format("head"),
    ),
    "patched MLPs": (
        capitals('patch = "corrupted"\nposition = -1\n' + EVERY_MLP),
        COUNTED.format("layer"),
    ),
    "blocked layers": (
        capitals(
            'block = { from = -1, to = "{country}", layers = ["{layer}"] }\n'
            "sweep = { layer = [0, 1, 2, 3] }\n"
        ),
        COUNTED.format("layer"),
    ),
    "the loss of a change of every token": (
        capitals('scale = 0.5\nsite = "hook_embed"\n') + LOSS + BREAKS,
        "changed.nats - main.nats > 0.1",
    ),
    "the loss of an ablation": (CUT + LOSS, "changed.nats - main.nats > 0.1"),
    "a probe at chance": (
        PROBED + PROBED[PROBED.index("[[probe]]") :].replace('"p"', '"own"').replace("1.", "2."),
        "p.accuracy < 0.99",
    ),
}


@pytest.mark.parametrize("case", PROPOSED)
def test_the_controls_that_a_note_proposes_are_accepted_there(case, folder):  # noqa: F811
    tables, holds = PROPOSED[case]
    remarks = planned(folder, f"proposes {case}", tables, holds).remarks
    (note,) = [r for r in remarks if "write controls = " in r or "or write controls" in r]
    words, name = re.search(r"(controls = \[.*?\]) under (\w+)", note).groups()
    tables = tables.replace(f'name = "{name}"\n', f'name = "{name}"\n{words}\n')
    if "under the claim" in note:
        own = "own" if "own" in note else "broken"
        holds += f'"\ncontrol = ["{own}"]  # "'
    experiment = planned(folder, f"follows {case}", tables, holds)
    assert note not in experiment.remarks and experiment.claims[0].must_fail


@pytest.mark.parametrize(
    ("holds", "proposed"),
    [
        ("main.known < 0.6", "main.easy - main.known > 0.2"),
        ("main.place > 3", "main.place - main.easy > 0.2"),
        (
            "first(main.lens <= 10, over=layer) > 1",
            "1 < median(first(main.lens <= 10, over=layer)) < 3",
        ),
    ],
)
def test_a_claim_that_a_model_that_learned_nothing_satisfies_is_proposed_anew(
    folder,  # noqa: F811
    holds,
    proposed,
):
    ranks = '\n[[read]]\nname = "{}"\nrank = " {{city}}"\n'
    tables = (
        CUT
        + ranks.format("place")
        + ranks.format("lens")
        + ('site = "blocks.{layer}.hook_resid_post"\nsweep = { layer = [0, 1, 2] }\n')
    )
    tables += '[[read]]\nname = "easy"\naccuracy = [" {city}", " {other}"]\n'
    remarks = planned(folder, "late", tables, holds).remarks
    assert any(CANNOT in r and proposed in r for r in remarks), remarks
    remarks = planned(folder, "both ends", tables, proposed).remarks
    assert not any(CANNOT in r for r in remarks)


@pytest.mark.parametrize(
    ("text", "value", "remark"),
    [
        ("in { city }", "Rome", "the text '{ city }', which is no slot"),
        ("in {{city}}", "Rome", "the text '{{city}}', which is no slot"),
        ("in {city.name}", "Rome", "the text '{city.name}', which is no slot"),
        ("in {city}", "Rome ", "extra spaces in {city}"),
        ("in {city} ", "Rome", AT_END),
        ("in {city}:\n", "Rome", ""),
        ("in {city}", "nan", "nan in {city}"),
        ("in {city}", "", "nothing in {city}"),
        ("in {city}, {x} is {1}", "New York", ""),
    ],
)
def test_what_is_hard_to_see_in_prompts_is_said(text, value, remark):
    said = remarks(load(Prompts(text=text, rows=({"city": value, "x": "y"},)), None))
    assert said == ([f"prompts: 1 of 1 prompt has {remark} (prompts, row 1)"] if remark else [])


@pytest.mark.parametrize(
    ("position", "rows", "differ"),
    [
        ("{noun}", [("king", "kings"), ("kings", "king")], True),  # one word begins the other
        ("{noun}", [("king", "queen"), ("queen", "king")], True),
        ("{place}", [("king", "kings"), ("queen", "king")], False),  # the text before it differs
        ("{noun}", [("king", "king"), ("queen", "queen")], False),
    ],
)
def test_a_patch_where_the_two_texts_differ_is_seen_in_each_of_them(position, rows, differ):
    named = tuple({"noun": a, "other": b, "place": "inside"} for a, b in rows)
    table = Prompts(text="The {noun} {place}", corrupted="The {other} {place}", rows=named)
    site = "blocks.1.hook_resid_pre"
    change = Intervention(name="patched", patch="corrupted", site=site, position=position)
    assert text_differs(change, load(table, None)) == differ


@pytest.mark.parametrize(("position", "differ"), [("{a}", True), ("{who}", False), ("{b}", True)])
def test_what_is_between_two_words_that_are_swapped_does_not_differ(position, differ):
    rows = tuple({"a": a, "b": b, "who": "Ann"} for a, b in (("tea", "milk"), ("rain", "snow")))
    text, corrupted = "After {a} comes {who} with {b}", "After {b} comes {who} with {a}"
    table = Prompts(text=text, corrupted=corrupted, rows=rows)
    site = "blocks.1.hook_resid_pre"
    change = Intervention(name="patched", patch="corrupted", site=site, position=position)
    assert text_differs(change, load(table, None)) == differ


def test_slots_stand_next_to_the_columns_of_each_row():
    rows = ({"who": "anna"}, {"who": "ben"})

    def texts(**slots):
        table = Prompts(text="{who} is {how} {when}", rows=rows, slots={"when": ("now",), **slots})
        return [row.text for row in load(table, None).rows]

    assert texts(how=("here",)) == ["anna is here now", "ben is here now"]
    both = ["anna is in now", "anna is out now", "ben is in now", "ben is out now"]
    assert texts(how=("in", "out")) == both
    with pytest.raises(DataError, match="row 1 has a column who, which is one of slots, too"):
        texts(who=("carla",), how=("in",))


@pytest.mark.parametrize(
    ("more", "told"),
    [("", True), ("strength = 1", False), ("sweep = { strength = [1, 2] }", False)],
)
def test_a_strength_that_is_not_given_is_told_with_what_it_is(folder, more, told):  # noqa: F811
    tables = MOOD.replace('add = "mood"', f'add = "mood"\n{more}')
    holds = "steered.good" if "sweep" not in more else "max(steered.good, over=strength)"
    path = study(folder, f"strength {more[:3]}", tables, f"{holds} > 0.5")
    gaps = find_gaps(path, catalogue.find(str(path))).gaps
    assert [g.default[:2] for g in gaps if g.where == "steered: strength"] == ["1:"] * told


def test_a_unit_that_says_what_another_says_is_one_with_it():
    asked = ("Is it Rome?", "is it  rome", "Is it Bonn?", "Is it Rome?")
    rows = tuple({"q": q, "id": f"{i}", "city": "abba"[i]} for i, q in enumerate(asked))
    table = Prompts(text="{q}", rows=rows, unit="id")
    every = range(4)
    assert spellings(load(table, None, '"id"'), every) == {"0": "0", "1": "0", "2": "2", "3": "0"}
    # what is asked of them is another answer
    by_city = load(table, None, '"id" {city}')
    assert spellings(by_city, every) == {"0": "0", "1": "1", "2": "2", "3": "0"}
    assert spellings(load(structs.replace(table, unit="prompt"), None, ""), every) == {}


def test_a_verdict_is_the_same_with_copies_as_one_unit_and_none_where_most_are_copies(folder):  # noqa: F811
    lines = (folder / "capitals.csv").read_text().splitlines()
    head = CUT.replace(EACH, 'unit = "id"\n').replace("capitals.csv", "copies.csv")
    for copies, refused in ((4, False), (40, True)):
        rows = [*lines[1:], *([lines[1]] * copies)]
        numbered = [f"{row},{i}" for i, row in enumerate(rows)]
        (folder / "copies.csv").write_text("\n".join([f"{lines[0]},id", *numbered]))
        path = str(study(folder, "copies", head, "main.right > 1"))
        if refused:
            with pytest.raises(ExperimentError, match="64 ids of prompts, 40 repeat the text"):
                catalogue.find(path)
            continue
        experiment = catalogue.find(path)
        said = "the 28 ids say only 24 different things"
        assert sum(said in remark for remark in experiment.remarks) == 1
        texts = experiment.claims[0].groups["id"]["text"]
        assert {i for i, text in texts.items() if text == "0"} == {"0", "24", "25", "26", "27"}


def test_prompts_that_are_patched_from_each_other_are_one_unit_by_pairs(folder):  # noqa: F811
    """In a claim about the patch, and in no other; three that are patched in a ring are no pair."""
    names, others = list(planted.CAPITALS), (1, 0, 3, 2, 5, 6, 4, 7)
    rows = ["who,country,other,city,foil"]
    for who in planted.NAMES[:3]:
        for country, other in ((names[i], names[k]) for i, k in enumerate(others) if i != k):
            cities = f"{planted.CAPITALS[country]},{planted.CAPITALS[other]}"
            rows.append(f"{who},{country},{other},{cities}")
    (folder / "mirrored.csv").write_text("\n".join(rows))
    head = PATCHED.replace(EACH, "").replace("capitals.csv", "mirrored.csv")
    patched = catalogue.find(str(study(folder, "mirrored", head, "changed.right < -2")))
    pairs = {str(7 * k + i): str(7 * k + i - i % 2) for k in range(3) for i in range(4)}
    assert patched.claims[0].groups["prompt"]["pair"] == pairs
    assert sum("12 prompts are 6 mirrored pairs" in r for r in patched.remarks) == 1
    plain = catalogue.find(str(study(folder, "unmirrored", head, "main.right > 1")))
    assert "pair" not in plain.claims[0].groups["prompt"]
    assert not any("mirrored" in r for r in plain.remarks)


PROBE = """
[[prompts]]
name = "known"
text = "{{who}} says the {{thing}} is"
file = "speakers.csv"
split = "who"
[[prompts]]
name = "new"
text = "{{who}} says so the {{thing}} is"
rows = [{rows}]
[[probe]]
name = "speaker"
prompts = "known"
{test}
site = "blocks.2.hook_resid_pre"
"""


def probe(test, folder):  # noqa: F811
    names, things = ("finn", "greta"), ("day", "book", "trip")
    rows = ", ".join(
        f'{{ who = "{w}", thing = "{t}", label = "{("first", "second")[k]}" }}'
        for k, w in enumerate(names)
        for t in things
    )
    whole = [
        f"{name},{thing},{('first', 'second')[k % 2]}"
        for k, name in enumerate(("anna", "ben", "carla", "dan", "eva", "hugo"))
        for thing in ("room", "meal")
    ]
    (folder / "known.csv").write_text("\n".join(["who,thing,label", *whole]))
    tables = PROBE.format(rows=rows, test=test).replace("speakers.csv", "known.csv")
    return study(folder, "probe", tables, "speaker.accuracy > 0.9")


def test_prompts_that_are_judged_need_no_column_by_which_others_are_split(folder):  # noqa: F811
    path = probe('test = "new"', folder)
    path.write_text(re.sub(r'{ who = "(\w+)", ', r'{ name = "\1", ', path.read_text()))
    path.write_text(path.read_text().replace("{who} says so", "{name} says so"))
    experiment = catalogue.find(str(path))
    assert experiment.arms["speaker"].levels == {"prompt": 6}


def test_what_a_probe_is_judged_on_has_the_units_of_what_it_learns_from(folder):  # noqa: F811
    """Six rows of two names are two units."""
    experiment = catalogue.find(str(probe('test = "new"', folder)))
    assert experiment.claims[0].units[-1] == "who"
    assert experiment.arms["speaker"].levels == {"who": 2}


LOOKS = """
[[read]]
name = "looks"
pattern = "1.{head}"
to = "{{country}}"
"""


def run(path, tmp_path):
    return Lab(tmp_path, Inline()).run(catalogue.find(str(path)))


@pytest.mark.parametrize(
    ("strength", "told"),
    [
        (0.001, "weak should break the claim, but its 0.0"),
        (50, "weak breaks the claim by far, at "),
    ],
)
def test_what_is_to_break_a_claim_of_no_effect_is_told_how_strong_to_be(
    folder,  # noqa: F811
    tmp_path,
    strength,
    told,
):
    """Taking out a direction that nothing reads does nothing; adding one that is read may."""
    weak = f'[[intervene]]\nname = "weak"\nadd = "mood"\nstrength = {strength}\n'
    idle = '[[intervene]]\nname = "idle"\nadd = "mood"\nstrength = 0\n'
    holds = '-0.5 < idle.good - main.good < 0.5"\nviolations = ["weak"]  # '
    result = run(study(folder, f"breaks {strength}", MOOD + weak + idle, holds), tmp_path)
    (judged,) = result.judged
    assert set(judged.controls) == {"weak"} and judged.outcome != "holds"
    assert any(told in note and "aim between 0.5 and 1" in note for note in result.notes)


def test_a_run_names_the_changes_that_nothing_reads_and_the_result_which_mean_was_taken(
    folder,  # noqa: F811
    tmp_path,
):
    tables = CUT.replace('ablate = "zero"', 'ablate = "mean"') + BREAKS
    path = study(folder, "idle", tables, "main.right - changed.right > 1")
    experiment = catalogue.find(str(path))
    assert "broken" not in experiment.arms
    assert idle_arms(experiment) == ["broken is not run, because no claim or estimate reads it"]
    (note,) = [n for n in run(path, tmp_path).notes if n.startswith("changed: the mean is taken")]
    assert "over all tokens of these prompts together, except for the first token" in note


def test_a_curve_of_a_median_is_refused_with_the_read_of_the_study(folder):  # noqa: F811
    path = study(folder, "middle", LENS, "main.right > 1")
    curve = '[[estimate]]\ntext = "E"\nvalue = "median(main.lens)"\nover = "layer"\n'
    path.write_text(f"{path.read_text()}\n{curve}")
    with pytest.raises(ExperimentError, match=r"as in main\.lens\[layer=LEVEL\]"):
        catalogue.find(str(path))


def test_other_heads_are_a_control_of_what_one_looks_at(folder, tmp_path):  # noqa: F811
    """Head 1.1 looks at the country, wherever it stands; no other does."""
    tables = CUT + LOOKS.format(head=1)
    result = run(study(folder, "looks", tables, "main.looks > 0.8"), tmp_path)
    (judged,) = result.judged
    assert judged.outcome == "holds"
    assert judged.controls["main/heads"].outcome == "fails"
    (note,) = [n for n in result.notes if n.startswith("main/heads: 0 of 3 other heads satisfy")]
    assert all(f"head 1.{h}: 0." in note for h in (0, 2, 3))
    assert not doubts_number(note, "holds")
    result = run(
        study(folder, "looks wrong", tables.replace("1.1", "1.2"), "main.looks > 0.8"), tmp_path
    )
    assert result.judged[0].outcome == "fails"
    (note,) = [n for n in result.notes if n.startswith("main/heads: ")]
    assert "1 of 3 other heads satisfies the claim: " in note
    assert "head 1.1: 1, satisfies it" in note
    assert doubts_number(note, "holds")
    two = CUT.replace('"1.1"', '"1.1", "1.2"')
    result = run(study(folder, "pairs", two, "main.right - changed.right > 1"), tmp_path)
    (note,) = [n for n in result.notes if "draws of other heads" in n]
    # the two others of that block are always the same
    count = r"changed/heads: 0 of 8 draws of other heads satisfy the claim "
    assert re.fullmatch(count + r"\(\S+; only 1 different draw\)", note)


def test_the_level_of_an_extreme_is_next_to_its_number(folder, tmp_path):  # noqa: F811
    result = run(study(folder, "top", LENS, "max(mean(main.lens), over=layer) < 1e3"), tmp_path)
    means = result.arms["main"].lens.mean(["run", "prompt"])
    (highest,) = result.judged
    assert highest.estimate == pytest.approx(float(means.max()))
    assert highest.at == f"at layer {int(means.values.argmax())}"
    assert f"{highest.measured_in} at layer {int(means.values.argmax())}, " in str(result)
    assert next(iter(highest.to_pandas()["at"])) == highest.at
    assert not any("highest at" in n for n in result.notes), result.notes
    (lowest,) = run(
        study(folder, "low", LENS, "min(mean(main.lens), over=layer) < 1e3"), tmp_path
    ).judged
    assert lowest.estimate == pytest.approx(float(means.min()))
    assert lowest.at == f"at layer {int(means.values.argmin())}"
    curve = '[[estimate]]\ntext = "curve"\nvalue = "main.lens"\nover = "layer"\n'
    beside = run(
        study(folder, "beside", curve + LENS, "min(mean(main.lens), over=layer) < 1e3"), tmp_path
    )
    end = "(the interval is of whichever is lowest)"
    assert beside.judged[0].at == f"{lowest.at} {end}", "not the interval of that level"
    each = run(study(folder, "each", LENS, "max(main.lens, over=layer) < 1e3"), tmp_path)
    assert each.judged[0].at == "at each prompt's own layer"
    where = f"highest at layer {int(means.values.argmax())}, "
    assert any(where in n for n in each.notes), each.notes
    both = "max(changed.lens, over=layer) - main.lens[layer=2] > -1e3"
    sides = run(study(folder, "both", LENS, both), tmp_path).judged[0].sides
    assert sides["main.lens[layer=2]"] == pytest.approx(float(means[2]))
    assert [*sides] == ["max(changed.lens, over=layer)", "main.lens[layer=2]"]
    with pytest.raises(ExperimentError, match=r"max\(mean\(a.x\) / mean\(b.x\)"):
        planned(folder, "r", LENS, "max(main.lens / main.right, over=layer) > 1")


@pytest.mark.parametrize(
    "holds",
    [
        "changed.right - main.right < -2",
        pytest.param("main.right - changed.right > 2", marks=pytest.mark.thorough),
    ],
)
def test_a_fall_of_a_lead_that_was_never_there_is_reported(holds, folder, tmp_path):  # noqa: F811
    """The planted model says nothing of moods after a prompt about a country, but names its city,
    whose lead head 1.1 carries and head 1.2 does not."""
    other = CUT.replace("1.1", "1.2")
    guesses = CUT.replace('[" {city}", " {foil}"]', '[" good", " bad"]', 1)
    for tables, none in ((guesses, True), (other, False)):
        judged = run(study(folder, "lead", tables, holds), tmp_path).judged[0]
        assert judged.outcome == ("undecided" if none else "fails")
        assert (judged.verdict.reason == NO_LEAD) == none
        assert ("main.right without the change is" in str(judged.price)) == none
    for tables, none in ((guesses, True), (other, False)):
        added = tables.replace('ablate = "zero"', "scale = 2.0")
        result = run(study(folder, "lead", added, holds), tmp_path)
        assert result.judged[0].outcome == "fails"
        said = [n for n in result.notes if "the unchanged model has no lead to lose" in n]
        assert bool(said) == none and all("main.right is " in n for n in said)
    # a word of the prompt leads no city that is not asked for, and falls behind what is patched in
    further = PATCHED.replace('[" {city}", " {foil}"]', '[" to", " {foil}"]', 1)
    result = run(study(folder, "none to lose", further, holds), tmp_path)
    assert result.judged[0].outcome == "holds"
    assert any("the unchanged model has no lead to lose" in n for n in result.notes)


def test_a_lead_that_is_missing_is_reported_before_the_changes_are_measured(folder, monkeypatch):  # noqa: F811
    """The planted model names the city by a lead, and says nothing of moods."""
    monkeypatch.setattr(contents, "LONG", 0.0)
    monkeypatch.setattr(contents.model_study, "seconds", lambda *_: {"main": 1.0, "changed": 99.0})
    guesses = CUT.replace('[" {city}", " {foil}"]', '[" good", " bad"]', 1)
    for tables, none in ((guesses, True), (CUT, False)):
        said = []
        lead = catalogue.find(str(study(folder, "lead", tables, "main.right - changed.right > 2")))
        lead.materials.rehearse({"main", "changed"}, {1000000}, "cpu", said.append)
        shown = [x for x in said if x.startswith("main.right without the change is ")]
        assert bool(shown) == none == (len(said) == 3), said
        assert all(said.index(x) == 1 and " on these 24 prompts: there is no" in x for x in shown)


def test_the_plan_says_what_of_its_prompts_a_study_changed(folder, tmp_path):  # noqa: F811
    lab, path = Lab(tmp_path, Inline()), study(folder, "unit", CUT, "main.right > 1")
    lab.run(catalogue.find(str(path)))
    path.write_text(re.sub('(?m)^unit = ".*"$', 'unit = "country"', path.read_text(), count=1))
    assert {row.why for row in lab.plan(catalogue.find(str(path))).missing} == {
        "other inputs: prompts with another row, column, text, unit or split"
    }


@pytest.mark.parametrize("known", [True, False])
def test_the_number_at_each_of_two_answers_is_noted_and_first_where_it_contradicts(
    known,
    folder,  # noqa: F811
    tmp_path,
):
    """The planted model names the city of a country; of half of the rows another is asked for, of
    which it says nothing: there a lead of the city that is called right is not to be found."""
    a, b, c = [*planted.CAPITALS][:3]
    cities = planted.CAPITALS[a], planted.CAPITALS[b]
    pairs = [f"{x} and {y}" for x in planted.NAMES for y in planted.NAMES if x != y][:24]
    lines = ["who,country,other,city,foil"]
    for i, who in enumerate(pairs):
        right, wrong = cities if i % 2 else cities[::-1]
        lines.append(f"{who},{a if i % 2 else b if known else c},{b},{right},{wrong}")
    (folder / "two.csv").write_text("\n".join(lines))
    tables = CUT.replace("capitals.csv", "two.csv")
    path = study(folder, f"two answers {known}", tables, "main.right > 1.5")
    result = run(path, tmp_path)
    shown = notes_in_order(result.data.notes, 1)
    contradicts = f"the claim is not true where the answer is “{cities[1]}”: the number is "
    assert result.judged[0].outcome == "holds"
    assert shown[0].startswith(contradicts) == (not known)
    eight = run(study(folder, "eight answers", CUT, "main.right > 1.5"), tmp_path)
    assert not any("where the answer is" in n for n in eight.notes)


@pytest.mark.parametrize(
    ("fall", "outcome", "said"),
    [(2, "unspecific", "activations make 'right' fall"), (12, "holds", ""), (30, "fails", "")],
)
def test_what_else_may_make_a_claim_true_is_said_until_a_control_or_the_verdict_shows_it(
    fall,
    outcome,
    said,
    folder,  # noqa: F811
    tmp_path,
):
    """Head 1.1 of the planted model carries the country: with that of the pair, the lead of the
    city turns round, and with that of another prompt it is only lost."""
    path = study(folder, f"falls by {fall}", PATCHED, f"main.right - changed.right > {fall}")
    assert any(FALLS in remark for remark in catalogue.find(str(path)).remarks)
    result = run(path, tmp_path)
    [judged] = result.judged
    assert judged.outcome == outcome
    assert judged.controls["changed/unrelated"].outcome == ("holds" if said else "fails")
    notes = [n for n in result.notes if "'right' fall" in n]
    assert len(notes) == bool(said) and all(said in n for n in notes)


def test_a_claim_of_no_effect_that_fails_has_no_note_on_how_it_may_be_true(folder, tmp_path):  # noqa: F811
    path = study(folder, "no effect", CUT, "-0.1 < changed.right - main.right < 0.1")
    assert any(NOTHING in remark for remark in catalogue.find(str(path)).remarks)
    result = run(path, tmp_path)
    assert result.judged[0].outcome == "fails"
    assert not any("true if nothing happens" in note for note in result.notes)


@pytest.mark.parametrize(
    ("holds", "size"),
    [
        ("main.right - changed.right < 2", "between 2 and 4, its interval beyond 2"),
        ("changed.right - main.right > -2", "between -2 and -4, its interval beyond -2"),
    ],
)
@pytest.mark.thorough
def test_the_small_effect_that_a_claim_of_no_effect_needs_can_be_made_as_its_note_says(
    holds,
    size,
    folder,  # noqa: F811
    tmp_path,
):
    """A twentieth of head 1.1 of the planted model is hardly any of the city's lead; noise in all
    that the last token has takes more of it, the more there is."""
    tables = CUT.replace('ablate = "zero"', "scale = 0.95")
    [note] = [r for r in planned(folder, "no effect", tables, holds).remarks if NOTHING in r]
    made = re.search(r'(name = "small"), (site = "\S+"), (position = -1), noise = 0.3', note)
    swept = re.search(r"write (sweep = {.*?}) instead of noise", note)[1]
    value = re.search(r'(value = ".*?"), (over = "noise")', note)
    assert f" is {size}; to find it, " in note and value[1].count("small.right") == 1
    small = "\n[[intervene]]\n" + "\n".join(made.groups())
    path = study(folder, "doses", f"{tables}{small}\n{swept}\n", holds)
    estimate = "\n".join(["[[estimate]]", 'text = "Doses"', *value.groups()])
    path.write_text(f"{path.read_text()}\n{estimate}\n")
    curve = run(path, tmp_path).findings[0].curve
    assert (np.diff(np.abs(curve.estimate)) > 0).all(), "the more noise, the larger the effect"
    asked = f'{holds}"\nviolations = ["small"]  # "'
    path = study(folder, "with a dose", f"{tables}{small}\nnoise = 7\n", asked)
    [judged] = run(path, tmp_path).judged
    assert judged.outcome == "holds" and 2 < abs(judged.violations["small"].estimate) < 4


HALVED = """
[[prompts]]
text = "the {thing} was {adjective} and it is"
file = "moods.csv"
[[direction]]
name = "mood"
label = "label"
site = "blocks.2.hook_resid_pre"
difference = ["nice", "nasty"]
[[intervene]]
name = "erased"
project_out = "mood"
[[read]]
name = "good"
log_prob = " good"
"""
"""Rows of two moods, one half of which a direction is learned from."""


@pytest.mark.thorough
def test_labels_that_the_mean_describes_none_of_are_claimed_one_by_one(folder, tmp_path):  # noqa: F811
    """Without the mood, the planted model says good less often after a nice word and more often
    after a nasty one. The advice is then followed, with a column that pairs the rows."""
    holds = "erased.good - main.good < -0.1"
    result = run(study(folder, "labels", HALVED, holds), tmp_path)
    [judged] = result.judged
    (note,) = [n for n in result.notes if "where label is" in n]
    numbers = {k: float(x) for x, k in re.findall(r"(\S+) where \w+ is “(\w+)”", note)}
    assert numbers["nice"] < -0.1 < 0.1 < numbers["nasty"] and note.endswith("describes neither")
    assert judged.outcome == "undecided" and "more prompts do not help" in judged.price.text
    words = re.search(
        r"(split = .*?) and (levels = .*?) under prompts.* as in (\S+)$", str(judged.price.text)
    )
    rows = (folder / "moods.csv").read_text().splitlines()[1:]
    pairs = [f"{row},{i % (len(rows) // 2)}" for i, row in enumerate(rows)]
    (folder / "labelled.csv").write_text("\n".join(["thing,adjective,label,pair", *pairs]))
    tables = HALVED.replace('moods.csv"', f'labelled.csv"\n{words[1]}\n{words[2]}')
    alone = holds.replace("erased.good", words[3]).replace("main.good", "main.good[label=nice]")
    [of_nice] = run(study(folder, "of one label", tables, alone), tmp_path).judged
    assert of_nice.estimate < -0.1 and words[3] == "erased.good[label=nice]"
    assert of_nice.outcome != "undecided" or "do not help" not in of_nice.price.text
    far = run(study(folder, "far", HALVED, holds.replace("-0.1", "-100")), tmp_path)
    assert far.judged[0].outcome == "fails" and not any("where label is" in n for n in far.notes)


def test_the_price_counts_the_rows_that_are_only_learned_from(folder, tmp_path):  # noqa: F811
    """Things differ from prompt to prompt, and the effect does not depend on them."""
    of_things = HALVED.replace('"label"', '"thing"').replace('"nice", "nasty"', '"room", "meal"')
    tables = of_things.replace('moods.csv"', 'moods.csv"\nunit = "prompt"\nlearn = 0.6')
    [judged] = run(study(folder, "0.6", tables, "erased.good - main.good < -0.3"), tmp_path).judged
    counts = re.search(r"more prompts, (\d+) in all, (\d+) with the 60%", judged.price.text)
    assert int(counts[2]) == math.ceil(2.5 * int(counts[1]))
    assert int(counts[1]) == judged.n["prompt"] + judged.price.more


@pytest.mark.parametrize(("end", "of_nothing"), [("> 2", True), ("< 2", False)])
def test_a_claim_that_is_true_without_any_change_says_so(end, of_nothing, folder, tmp_path):  # noqa: F811
    """The planted model names the city by a lead of about 7, with or without its head 1.2."""
    other = CUT.replace("1.1", "1.2") if of_nothing else CUT
    result = run(study(folder, f"as before {of_nothing}", other, f"changed.right {end}"), tmp_path)
    assert result.judged[0].outcome != "fails"
    words = "a change that does nothing satisfies this claim, so its controls say little"
    assert any(words in note for note in result.notes) == of_nothing


def test_another_slot_with_the_same_words_is_named_until_an_arm_changes_it(folder, tmp_path):  # noqa: F811
    """Any other country is as close a rival as there is."""
    hidden = capitals('block = { to = "{country}" }')
    hidden = hidden.replace("{country} the capital", "{other} {country} the capital")
    other = '[[intervene]]\nname = "other"\nblock = { to = "{other}" }\n'
    for more, named in (("", True), (f"\n{other}", False)):
        path = study(folder, f"rival {named}", hidden + more, "main.right - changed.right > 0.5")
        if more:
            path.write_text(path.read_text() + 'control = ["other"]\n')
        result = run(path, tmp_path)
        assert ("other" in result.judged[0].controls) == bool(more)
        words = "the columns {other} and {country} share words, and no control changes {other}"
        assert any(words in note for note in result.notes) == named, result.notes


SHARES = {
    "changed.right - 0.5 * main.right < 0": True,
    "main.right - 2 * changed.right > 0": True,
    "mean(changed.right) / mean(main.right) < 0.5": True,
    "(main.right - changed.right) - 0.5 * main.right > 0": True,
    "changed.right - 0.5 * main.right > 0": False,
    "changed.right - 0.5 * main.right < 9": None,
}
"""Claims about the share that is left of a lead, and whether they hold where all of it is lost; the
threshold of the last lies beyond any lead of the planted model, so that its number always does."""


@pytest.mark.parametrize(
    ("holds", "if_lost"),
    [
        pytest.param(*case, marks=[pytest.mark.thorough] * (i > 0 and case[1] is not False))
        for i, case in enumerate(SHARES.items())
    ],
)
def test_no_share_of_a_lead_that_was_never_there_is_left(holds, if_lost, folder, tmp_path):  # noqa: F811
    """The planted model names the city, by head 1.1 and not 1.2, and says nothing of moods. Without
    a lead nothing holds; with one, it is as the arithmetic of what the head carries has it."""
    guesses = CUT.replace('[" {city}", " {foil}"]', '[" good", " bad"]', 1)
    none, all_of_it, nothing = (
        run(study(folder, f"share-{i}", tables, holds), tmp_path).judged[0]
        for i, tables in enumerate((guesses, CUT, CUT.replace("1.1", "1.2")))
    )
    assert (none.outcome, none.verdict.reason) == ("undecided", NO_LEAD)
    assert "main.right without the change is" in str(none.price)
    assert NO_LEAD not in (all_of_it.verdict.reason, nothing.verdict.reason)
    if if_lost is not None:
        low, high = all_of_it.range
        assert (low <= all_of_it.estimate <= high) == if_lost
        assert (low <= nothing.estimate <= high) != if_lost
    added = guesses.replace('ablate = "zero"', "scale = 2.0")
    assert run(study(folder, "put-in", added, holds), tmp_path).judged[0].verdict.reason != NO_LEAD


def test_a_change_of_the_attention_sink_is_reported_with_the_verdict(folder, tmp_path):  # noqa: F811
    """Without a BOS, the first token of "France …" is that of the country; "is" is a later one."""
    idle = '[[intervene]]\nname = "idle"\nblock = { from = -1, to = 0 }\n'
    for to, warned in (("0", True), ("2", False)):
        blocked = capitals(f"block = {{ from = -1, to = {to} }}") + idle
        path = study(folder, f"sink-{to}", blocked, "changed.right - main.right < -2")
        result = run(path, tmp_path)
        notes = [n for n in result.notes if "(an attention sink)" in n]
        assert [n.partition(":")[0] for n in notes] == ["changed"] * warned
        assert ("(an attention sink)" in str(result)) == warned


@pytest.mark.parametrize(
    ("block", "holds", "told"),
    [
        ('to = "{who}"', "main.right - changed.right > 2", "it may fail because only the last"),
        ('to = "{country}"', "main.right - changed.right > 2", "only the last"),
        ('from = -1, to = "{who}"', "main.right - changed.right > 2", ""),
        ('from = "all", to = "{who}"', "main.right - changed.right > 2", ""),
        ('to = "{who}", layers = [1]', "main.right - changed.right > 2", ""),
    ],
)
def test_what_is_hidden_from_the_last_token_alone_may_be_passed_on(
    block,
    holds,
    told,
    folder,  # noqa: F811
    tmp_path,
):
    """The planted head 1.1 reads the country at the last token, and no head the speaker."""
    path = study(folder, "passed on", capitals(f"block = {{ {block} }}"), holds)
    planned_words = [r for r in catalogue.find(str(path)).remarks if "only the last token" in r]
    assert [r.startswith("changed: only the last token cannot") for r in planned_words] == (
        [True] * bool(told)
    )
    result = run(path, tmp_path)
    notes = [n for n in result.notes if "only the last token" in n]
    assert [n.startswith(told) for n in notes] == [True] * bool(told)
    assert ("※ it may" in str(result)) == told.startswith("it may")


def test_a_patch_at_all_tokens_is_planned(folder):  # noqa: F811
    change = 'patch = "corrupted"\nsite = "blocks.1.hook_resid_pre"'
    path = study(folder, "all tokens", capitals(change), "changed.right < -2")
    remarks = catalogue.find(str(path)).remarks
    assert not any("the two texts are the same" in r for r in remarks)


@pytest.mark.parametrize(("position", "is_idle"), [(1, True), (3, False)])
def test_a_patch_up_to_which_both_texts_are_the_same_changes_nothing(
    position,
    is_idle,
    folder,  # noqa: F811
    tmp_path,
):
    """A model reads from left to right, and the country is the fourth word."""
    change = f'patch = "corrupted"\nsite = "blocks.1.hook_resid_pre"\nposition = {position}'
    path = study(folder, f"idle {position}", capitals(change), "main.right - changed.right > 2")
    words = "the two texts are the same up to token 1 in 24 of 24 prompts, such as capitals.csv"
    planned_words = [r for r in catalogue.find(str(path)).remarks if "the two texts are" in r]
    assert [r.startswith(f"changed: {words}") for r in planned_words] == [True] * is_idle
    result = run(path, tmp_path)
    notes = [n for n in result.notes if "the two texts are" in n]
    assert [n.startswith(f"it may fail because {words}") for n in notes] == [True] * is_idle
    assert any("changes nothing in this read" in n for n in result.notes) == is_idle


NAMES = {"one": ("anna", "ben"), "both": ("anna", "ben carla"), "two": ("anna carla", "ben carla")}
"""Names of one word and of two, of which a word is a token."""
AT_NAME = """
[[prompts]]
unit = "prompt"
text = "{{who}} saw the room now and it was"
corrupted = "{{other}} saw the room now and it was"
rows = [{{ who = "{0}", other = "{1}" }}, {{ who = "{1}", other = "{0}" }}]
[[read]]
name = "good"
log_prob = [" good", " bad"]
[[intervene]]
name = "changed"
position = "{{who}}"
{2}
"""
COPIES = (
    "changed: in 2 of 2 prompts, such as prompts, row 1, the change copies from the first token"
)
MIXES = "changed: the first token that the model reads is changed in 1 of 2 prompts, such as"
STREAM = 'site = "blocks.1.hook_resid_pre"\n'


@pytest.mark.parametrize(
    ("what", "words"),
    {'patch = "corrupted"': COPIES, 'patch = "other"': MIXES, 'ablate = "zero"': MIXES}.items(),
)
def test_a_copy_between_the_first_token_and_a_later_one_is_reported(what, words, folder):  # noqa: F811
    """A name ends at token 0 if it has one word, and at token 1 if it has two."""
    for kind, names in NAMES.items():
        tables = AT_NAME.format(*names, STREAM + what)
        experiment = planned(folder, f"at {kind}", tables, "main.good - changed.good > 0.5")
        sinks = [r for r in experiment.remarks if "(an attention sink)" in r]
        assert [r.startswith(words) for r in sinks] == [True] * (kind == "both")


def test_a_position_by_number_that_is_within_a_name_of_some_prompts_is_reported(folder):  # noqa: F811
    """The first token is a whole name, or the first of a name's two words."""
    joined = {kind: tuple(n.replace(" ", "-") for n in names) for kind, names in NAMES.items()}
    for kind, names in joined.items():
        for place in ("0", '"{{who}}"'):
            tables = AT_NAME.replace('"{{who}}"', place).format(*names, STREAM + 'ablate = "mean"')
            remarks = planned(folder, f"in {kind}", tables, "main.good - changed.good > 0").remarks
            said = [r for r in remarks if r.startswith("changed: position 0 is the last token")]
            assert bool(said) == (kind == "both" and place == "0"), (kind, place, said)
            assert all(
                "of {who} in 1 of 2 prompts, but only 'ben' of 'ben-carla' in prompts, row 2; "
                'write position = "{who}"' in r
                for r in said
            )


def test_a_number_of_the_unchanged_model_has_no_level_of_the_sweep_of_a_change(
    folder,  # noqa: F811
    tmp_path,
):
    """It is named as a condition can name it, which a level would make impossible."""
    swept = capitals(
        'patch = "corrupted"\nsite = "blocks.{layer}.hook_resid_pre"\nposition = -1\n'
        "sweep = { layer = [1, 2] }"
    )
    curve = '\n[[estimate]]\ntext = "By layer"\nvalue = "changed.right"\nover = "layer"\n'
    lowest = '\n[[claim]]\ntext = "Low"\nholds = "min(mean(changed.right), over=layer) < -2"\n'
    path = study(folder, "named", swept, "changed.right[layer=2] < -2")
    path.write_text(path.read_text() + lowest + curve)
    result = run(path, tmp_path)
    sides = result.judged[0].sides
    assert [*sides] == ["changed.right[layer=2]", "main.right"]
    unchanged = {"main.right": pytest.approx(float(result.arms["main"].right.mean()))}
    assert sides["main.right"] == unchanged["main.right"]
    assert result.judged[1].sides == result.findings[0].sides == unchanged
    assert ResultData.from_json(result.data.to_json()).findings[0].sides == unchanged
    assert any("main.right" in words for _, words in result.figures[0].rules)
    over_layers, difference = result.findings[0], "main.right - changed.right"
    fall = structs.replace(
        over_layers, statement=replace(over_layers.statement, condition=difference)
    )
    assert not any("main.right" in words for _, words in figures_of([fall])[0].rules)
    assert str(result).count("for comparison, main.right ") == 2
    planned(folder, "typed", swept, "main.right > 1")
    with pytest.raises(ExperimentError, match="no dimension 'layer'"):
        planned(folder, "refused", swept, "main.right[layer=2] > 1")


def test_no_damage_is_no_explanation_of_no_effect(folder):  # noqa: F811
    """A change without an effect does no damage either; a change with one might."""
    small, falls = (
        catalogue.find(str(study(folder, name, CUT, holds))).claims[0].must_fail
        for name, holds in (
            ("small", "-0.5 < changed.right - main.right < 0.5"),
            ("falls", "changed.right - main.right < -0.5"),
        )
    )
    assert set(falls) - set(small) == {"changed/damage"}
    assert "changed/heads" in small


SCAN = capitals(
    'ablate = "zero"\nheads = ["1.{head}"]\nposition = -1\nsweep = { head = [0, 1, 2] }'
)


def test_a_notebook_says_all_that_the_command_does_of_what_a_result_is_about(folder, tmp_path):  # noqa: F811
    """Two scopes, of a result for which nothing is kept, as of one that was frozen."""
    seen = '\n[[estimate]]\ntext = "How good"\nvalue = "main.right"\n'
    path = study(folder, "scopes", CUT, "main.right - changed.right > 1")
    path.write_text(path.read_text() + seen)
    experiment = catalogue.find(str(path))
    Lab(tmp_path, Inline()).run(experiment)
    result = Lab(tmp_path, Inline()).judge(experiment)
    assert result.kept is None
    for shown in (str(result), result._repr_html_()):
        assert shown.count("scope: ") == 1 and "; claim 1: changed at" in shown, shown
    (judged,), (seen,) = result.judged, result.findings
    for s in (judged, seen, *judged.controls.values()):
        assert "for this model and prompts like these" in s.scope and "trained" not in s.scope


def test_the_scope_says_which_values_every_unit_is_combined_with(folder, tmp_path):  # noqa: F811
    scopes = {}
    for unit in ("country", "prompt"):
        head = CUT.replace(EACH, f'unit = "{unit}"\n')
        path = study(folder, f"by-{unit}", head, "main.right > 1")
        (judged,) = Lab(tmp_path, Inline()).run(catalogue.find(str(path))).judged
        scopes[unit] = judged.scope
    assert "with these 3 values of who" in scopes["country"]
    assert "these 3" not in scopes["prompt"]


def test_a_column_that_is_missing_is_named_with_those_of_the_file_in_their_order(folder):  # noqa: F811
    """Also where the read is left out of an arm for want of it."""
    columns = "capitals.csv has no column 'town'; its columns are who, country, other, city, foil"
    with pytest.raises(ExperimentError, match=columns):
        catalogue.find(
            str(study(folder, "town", CUT.replace("{city}", "{town}"), "main.right > 1"))
        )
    other = (
        CUT
        + '\n[[prompts]]\nname = "others"\ntext = "{country} the capital"\nfile = "capitals.csv"\n'
        + '[[read]]\nname = "lost"\nprompts = "others"\nlog_prob = " {town}"\n'
    )
    with pytest.raises(ExperimentError, match=columns):
        catalogue.find(str(study(folder, "lost", other, "others.lost > -1")))


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("modiy", "did you mean moody?"),
        ("xyz", "known: main, "),
    ],
)
def test_an_arm_that_no_statement_has_named_yet_is_proposed(written, hint, folder):  # noqa: F811
    """The second table of prompts is an arm as soon as a claim names it."""
    planned(folder, "named", MOOD, "moody.good > 0")
    with pytest.raises(ExperimentError, match=f"no arm '{written}'; {hint}") as refused:
        planned(folder, "misspelt", MOOD, f"{written}.good > 0")
    assert "moody" in str(refused.value)


def test_a_read_before_its_arm_is_answered_with_both_in_their_order(folder):  # noqa: F811
    with pytest.raises(ExperimentError, match=r"and then the read: write main\.good$"):
        planned(folder, "swapped", MOOD, "good.main > 0")


def test_what_is_measured_on_further_prompts_says_on_which(folder, tmp_path):  # noqa: F811
    """A reader who has no more than the scope and the arms knows which texts are compared."""
    others = (
        '\n[[prompts]]\nname = "others"\nunit = "prompt"\ntext = "the capital {country}"\n'
        'file = "capitals.csv"\n'
    )
    experiment = planned(folder, "two texts", CUT + others, "main.right - others.right > 1")
    arms = {name: str(arm.note) for name, arm in experiment.arms.items()}
    assert "on the prompts others (“the capital {country}”), as it is" in arms["others"]
    assert all(("others" in name) == ("on the prompts others" in arms[name]) for name in arms)
    (judged,) = Lab(tmp_path, Inline()).run(experiment).judged
    assert "24 prompts of capitals.csv and 24 prompts of others (capitals.csv)" in judged.scope
    experiment = planned(folder, "one text", CUT + others, "main.right > 1")
    (judged,) = Lab(tmp_path, Inline()).run(experiment).judged
    assert "24 prompts of capitals.csv" in judged.scope and "others" not in judged.scope


def test_a_slot_that_prompts_share_groups_them_next_to_one_that_differs_in_each(folder):  # noqa: F811
    """Twenty-four speakers with one of eight countries each are eight countries."""
    claims = planned(folder, "unique speakers", UNIQUE, "main.known > 0.8").claims
    of = next(c for c in claims if c.groups).groups["prompt"]
    assert [*of] == ["country"] and len(of["country"]) == 24 and len({*of["country"].values()}) == 8


@pytest.mark.parametrize(
    "holds",
    ["-2 < changed.right - main.right < 2", "changed.right / main.right > 0.8"],
)
def test_that_other_heads_have_no_effect_is_no_other_explanation_of_hardly_any(
    holds,
    folder,  # noqa: F811
    tmp_path,
):
    """A twentieth of head 1.1 of the planted model is hardly any of the city's lead, and other
    heads have nothing to do with it: that is no reason why, but nor is it seen that an effect would
    be found."""
    tables = CUT.replace('ablate = "zero"', "scale = 0.95")
    result = run(study(folder, "hardly", tables, holds), tmp_path)
    [judged] = result.judged
    assert (judged.outcome, judged.reason, {*judged.controls}) == ("undecided", "blind", set())
    assert any(NOTHING in note for note in result.notes)
