"""Near controls: which there are, what they keep alike, and that with them a planted effect holds
where a placebo does not."""

import re
import string
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from naive_asking import Naive, direction, intervention, make, measured, rows_of
from safetensors.torch import load_file, save_file

import assay
from assay.ask import near as table_of_controls
from assay.ask.measure import activations, controls, dictionaries, interventions, models
from assay.ask.measure.changes import Editing
from assay.ask.measure.directions import Learner
from assay.ask.measure.tasks import Task
from assay.ask.measure.tokenized import prompt
from assay.ask.near import BAG, EMBEDDING, PERMUTED, PLACES, UNTRAINED, satisfies
from assay.ask.tables import Block, Model
from assay.ask.verdict_notes import _levels_with, _say_blocks
from assay.core.errors import DataError, ExperimentError
from assay.dictionaries.formats.writing import write
from assay.features import effects
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.subjects.site import Site

STREAM, MLP = "blocks.1.hook_resid_pre", "blocks.1.hook_mlp_out"
GOOD = string.ascii_uppercase[0:26:2]


def planted(folder):
    """A llama of which the truth is known: number 0 of the stream is +3 at good letters, −3 at bad
    ones, and says how much more likely " a" is than " b". Number 2 does so for " x" and " y": head
    1.2 alone writes to it, as much at every token; head 1.0 writes nothing at all."""
    path = make(folder, "llama") / "model.safetensors"
    w = load_file(path)
    tokenizer = Naive(folder).tokenizer
    embedding = w["model.embed_tokens.weight"]
    embedding *= 3
    embedding[:, :3] = torch.tensor([0.0, 3.0, 0.0])
    for letter in string.ascii_uppercase:
        embedding[tokenizer.encode(letter)[0], 0] = 3 if letter in GOOD else -3
    for name, weight in w.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight[:3] = 0
        if "norm" in name:
            weight[:] = 1
    block = "model.layers.1.self_attn."
    # what heads 2 and 3 read: number 1, the same everywhere
    w[block + "v_proj.weight"][6:] = 0
    w[block + "v_proj.weight"][6:, 1] = 1
    w[block + "o_proj.weight"][2, 12:18] = 1
    w[block + "o_proj.weight"][:, :6] = 0
    for number, texts in ((0, (" a", " b")), (2, (" x", " y"))):
        first, second = (tokenizer.encode(text)[0] for text in texts)
        w["lm_head.weight"][first] = 2 * torch.eye(24)[number]
        w["lm_head.weight"][second] = 0
    save_file(w, path, {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return planted(tmp_path_factory.mktemp("asked") / "planted")


def coin(letter, n):
    """A label that tells nothing."""
    order = np.random.default_rng(n).permutation(26)
    return "heads" if order[ord(letter) - ord("A")] < 13 else "tails"


HEAD = """
question = "Is it so?"
[[model]]
name = "{model}"
[[prompts]]
text = "sum of {{letter}} and {{again}} ="
rows = [{rows}]
[[read]]
name = "r"
log_prob = [" a", " b"]
[[read]]
name = "h"
log_prob = [" x", " y"]
"""
ROWS = ", ".join(
    f'{{letter = "{x}", again = "{x}", tone = "{"good" if x in GOOD else "bad"}", '
    + ", ".join(f'coin{n} = "{coin(x, n)}"' for n in range(8))
    + "}"
    for x in string.ascii_uppercase
)


def verdict(folder, tmp_path, text):
    """The judging of the one claim of a study."""
    path = tmp_path / "asks.toml"
    path.write_text(HEAD.format(model=folder, rows=ROWS) + text)
    (judged,) = Lab(tmp_path / "store", Inline()).run(catalogue.find(str(path))).judged
    return judged


STEERED = """
[[direction]]
name = "d"
site = "blocks.1.hook_resid_pre"
position = "{{again}}"
label = "{label}"
{way} = ["{first}", "{second}"]
[[intervene]]
name = "steered"
add = "d"
strength = {strength}
[[claim]]
text = "Adding it makes a likelier than b"
holds = "steered.r - main.r > 1"
threshold = "plan: a nat"
"""


@pytest.mark.parametrize(("way", "strength"), [("difference", 1), ("probe", 9)])
def test_a_planted_direction_holds_against_all_of_its_controls(folder, tmp_path, way, strength):
    text = STEERED.format(way=way, label="tone", first="good", second="bad", strength=strength)
    judged = verdict(folder, tmp_path, text)
    assert judged.outcome == "holds", judged.verdict
    assert {*judged.controls} == {"steered/random", "steered/shuffled", "steered/layer"}
    assert {c.outcome for c in judged.controls.values()} == {"fails"}


@pytest.mark.parametrize("n", range(2))
def test_a_direction_of_a_label_that_tells_nothing_does_not_hold(folder, tmp_path, n):
    text = STEERED.format(
        way="difference", label=f"coin{n}", first="heads", second="tails", strength=3
    )
    assert verdict(folder, tmp_path, text).outcome != "holds"


def test_a_control_that_does_nothing_is_refused(folder, tmp_path):
    idle = '[[intervene]]\nname = "idle"\nadd = "d"\nstrength = 0\n'
    text = STEERED.format(way="difference", label="tone", first="good", second="bad", strength=1)
    with pytest.raises(ExperimentError, match="a direction with strength 0, so it always fails"):
        verdict(folder, tmp_path, f'{text}control = ["idle"]\n{idle}')


ABLATED = """
[[intervene]]
name = "without"
ablate = "{how}"
heads = ["{head}"]
[[claim]]
text = "Without it x is less likely beside y"
holds = "without.h - main.h < -1"
threshold = "plan: a nat"
"""


def test_the_planted_head_holds_against_other_heads_and_another_head_does_not(folder, tmp_path):
    judged = verdict(folder, tmp_path, ABLATED.format(how="zero", head="1.2"))
    assert judged.outcome == "holds", (judged.verdict, judged.controls)
    assert judged.controls["without/heads"].outcome == "fails"
    assert verdict(folder, tmp_path, ABLATED.format(how="zero", head="1.3")).outcome == "fails"


CLAMPED = """
[[intervene]]
name = "set"
clamp = ["it.safetensors", {latent}]
value = 9
[[claim]]
text = "Setting it makes a likelier than b"
holds = "set.r - main.r > 1"
threshold = "plan: a nat"
"""


def with_one_writer(path, latent=3):
    """A dictionary beside the study, of which this latent alone writes to number 0."""
    draw = torch.Generator().manual_seed(0)
    w_dec = torch.randn(1, 12, 24, generator=draw)
    w_dec[:, :, 0] = 0
    w_dec[0, latent] = 3 * torch.eye(24)[0]
    of = assay.Dictionary(
        0.1 * torch.randn(1, 24, 12, generator=draw),
        torch.full((1, 12), 2.0),
        w_dec,
        torch.zeros(1, 24),
        assay.dictionaries.ReLU(),
        sites=(STREAM,),
    )
    of.save(path)


def test_the_planted_feature_holds_against_other_features_and_another_does_not(folder, tmp_path):
    with_one_writer(tmp_path / "it.safetensors")
    judged = verdict(folder, tmp_path, CLAMPED.format(latent=3))
    assert judged.outcome == "holds"
    assert judged.controls["set/random"].outcome == "fails"
    assert verdict(folder, tmp_path, CLAMPED.format(latent=4)).outcome != "holds"


AFTERWARDS = """
[[intervene]]
name = "set"
clamp = ["it.safetensors", 3]
value = 9
[[intervene]]
name = "then"
ablate = "zero"
heads = ["1.0"]
after = "set"
[[claim]]
text = "Setting it, and then taking out a head that writes nothing, makes a likelier than b"
holds = "then.r - main.r > 1"
threshold = "plan: a nat"
control = []
"""


def test_another_dictionary_in_the_change_before_is_measured_anew(folder, tmp_path):
    sizes = []
    for writer in (3, 4, 3):
        with_one_writer(tmp_path / "it.safetensors", writer)
        sizes.append(verdict(folder, tmp_path, AFTERWARDS).verdict.estimate)
    assert sizes[0] > 1 and abs(sizes[1]) < 1
    assert sizes[2] == sizes[0]


# which there are ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ({"add": "difference"}, ["random", "shuffled", "layer"]),
        ({"project_out": "probe"}, ["random", "shuffled", "layer", "damage"]),
        ({"add": "component"}, ["random", "layer"]),
        ({"add": "embedded"}, ["random", "shuffled"]),
        ({"add": "feature"}, ["random"]),
        ({"add": "token"}, ["random", "tokens"]),
        ({"add": "mean"}, ["random", "layer"]),
        ({"clamp": ("it", 1)}, ["random", "damage"]),
        ({"reconstruct": "it"}, ["mean"]),
        (
            {"ablate": "mean", "site": STREAM, "position": -1, "source": "b"},
            ["own", "token", "damage"],
        ),
        ({"patch": "corrupted", "site": STREAM}, ["unrelated", "layer"]),
        ({"patch": "corrupted", "site": STREAM, "position": -1}, ["unrelated", "token"]),
        ({"patch": "corrupted", "site": MLP, "position": -1}, ["unrelated", "layer"]),
        ({"patch": "other", "heads": ["1.0"]}, ["heads", "damage"]),
        ({"ablate": "mean", "heads": ["1.0"], "position": -1}, ["heads", "damage"]),
        ({"ablate": "zero", "site": MLP}, ["layer", "damage"]),
        ({"scale": 0.5, "heads": ["1.0"]}, ["heads", "damage"]),
        ({"ablate": "zero", "site": "ln_final.hook_normalized"}, ["damage"]),
        ({"add": "token", "sweep": {"add": ("token", "difference")}}, ["random"]),
        ({"add": "difference", "controls": ["shuffled"]}, ["shuffled"]),
        ({"add": "difference", "controls": []}, []),
    ],
    ids=str,
)
def test_every_kind_has_its_near_controls(table, names):
    tables = [
        direction("difference", difference=("a", "b")),
        direction("probe", probe=("a", "b")),
        direction("component", component=1),
        direction("mean", mean=True),
        direction("embedded", site="hook_embed", difference=("a", "b")),
        direction("feature", feature=("it", 1)),
        direction("token", unembedding=" a"),
    ]
    got = controls.of_intervention(intervention(**table), tables)
    assert [c.name for c in got] == names and all(c.why for c in got)


def test_controls_of_one_name_agree_on_whether_a_seed_draws():
    drawn = {}
    for control in (
        x for x in vars(table_of_controls).values() if isinstance(x, table_of_controls.Control)
    ):
        assert drawn.setdefault(control.name, control.drawn) == control.drawn, control.name
    assert {name for name, draws in drawn.items() if draws} == table_of_controls.DRAWN


def test_what_satisfies_a_claim_of_little_is_not_said_to_predict_anything():
    """A probe at chance is right in less than 99 % of rows, and predicts nothing."""
    for control in (BAG, EMBEDDING, PLACES, UNTRAINED, PERMUTED):
        above, below = satisfies(control.why), satisfies(control.why, at_most=True)
        assert "predict it" in above or "right equally often" in above
        assert "predict" not in below and "right" not in below
        assert "satisfies the claim" in below


def test_what_a_control_has_instead_makes_no_statement_of_an_effect():
    """The description of an arm says what it is, not what would follow if it satisfied a claim."""
    every = [
        x for x in vars(table_of_controls).values() if isinstance(x, table_of_controls.Control)
    ]
    for words in (table_of_controls.instead(control.why) for control in every):
        assert words.startswith("whether ") or not re.search(
            r"the effect|predict|as well|as much$|as much of|alike$|often$", words
        ), words
    assert table_of_controls.instead(BAG.why) == "a probe of the tokens up to there, in any order"


# what they keep alike -----------------------------------------------------------------------------

LETTERS = rows_of(
    *({"letter": x, "pair": string.ascii_uppercase[i - 1]} for i, x in enumerate("ABCDEFGH")),
    text="sum of {letter} =",
    corrupted="sum of {pair} =",
)


def editing(folder, table, control, *tables, store=None):
    """What a control does, before it is put into edits."""
    model = models.opened(str(folder), "cpu", "")
    learner = Learner(
        model,
        LETTERS,
        {"prompts": LETTERS},
        partial(activations.activations, model, model.fingerprint),
        partial(dictionaries.opened, folder=Path(), root=store or Path("none")),
    )
    prompts = [prompt(model.folder, row) for row in LETTERS.rows]
    task = Task(Model(name="m"), LETTERS, (), table, control, tables)
    return Editing(model, prompts, task, learner)


def places(of, table, seed):
    return of.elsewhere.places(table, seed)


@pytest.mark.parametrize("table", [{"ablate": "zero"}, {"ablate": "mean"}, {"patch": "corrupted"}])
def test_each_other_head_that_writes_anything_is_asked_in_turn(folder, table):
    table = intervention(heads=["1.2"], **table)
    of = editing(folder, table, "heads")
    drawn = [places(of, table, seed) for seed in range(20)]
    # of the three others one writes nothing, and where prompts are patched two write alike anywhere
    asked = {(str(s), *h) for d in drawn for s, h in d}
    assert asked <= {("blocks.1.attn.hook_z", 1), ("blocks.1.attn.hook_z", 3)}
    assert table.ablate != "zero" or len(asked) == 2
    assert {str(d) for d in drawn[: len(asked)]} == {str(d) for d in drawn}
    assert all(drawn[k] == drawn[k + len(asked)] for k in range(10))
    table = intervention(ablate="zero", heads=["1.1", "1.2", "1.3"])
    ((site, heads), *more) = places(editing(folder, table, "heads"), table, 0)
    count = len(heads) + sum(len(h) for _, h in more)
    assert count == 3 and not {(1, 1), (1, 2), (1, 3)} & {
        (s.layer, h) for s, hs in [(site, heads), *more] for h in hs
    }
    table = intervention(ablate="zero", heads=[f"{n}.{h}" for n in range(3) for h in range(3)])
    with pytest.raises(DataError, match="not have as many other heads"):
        places(editing(folder, table, "heads"), table, 0)


def test_of_many_heads_the_half_that_writes_most_is_asked_without_putting_back(tmp_path):
    model = make(tmp_path / "wide", "llama", hidden_size=48, num_attention_heads=12)
    table = intervention(ablate="zero", heads=["1.2"])
    of = editing(model, table, "heads")
    drawn = [places(of, table, seed)[0][1][0] for seed in range(12)]
    assert len(set(drawn[:6])) == 6 and drawn[:6] == drawn[6:] and 2 not in drawn


def test_the_blocks_in_which_the_control_layer_makes_a_change_are_measured(tmp_path):
    """The number is that of the model without the MLP of the block that is named, at each level."""
    model = make(tmp_path / "deep", "llama", num_hidden_layers=5)
    sites = "blocks.{layer}.hook_mlp_out"
    table = intervention(ablate="zero", site=sites, sweep={"layer": (0, 3)})
    got, levels = measured(model, LETTERS, table, control="layer")
    naive, blocks = Naive(model), got["other_blocks"][0, :, 0].astype(int)
    assert levels["other_block"] == [0] and len(blocks) == 2
    for k, (own, other) in enumerate(zip((0, 3), blocks, strict=True)):
        assert own != other
        edits = {f"blocks.{other}.hook_mlp_out": torch.zeros_like}
        expected = [naive.reads(row.text, edits)[0] for row in LETTERS.rows]
        np.testing.assert_allclose(got["one"][0, k], expected, atol=2e-4)
    used = xr.DataArray([[[1.0], [2.0]]], dims=("run", "layer", "other_block"))
    used = used.assign_coords(layer=[0, 3])
    made = "the control cut/layer makes the change in block 1"
    why, near = (
        "away, on the side where it is larger",
        "next to its own, which may do nearly the same",
    )
    swept = f"{made} (for layer 0); block 2 (for layer 3): 1 block {why}"
    assert [*_say_blocks("cut/layer", used, table)] == [f"{swept}, {near}"]
    at = [intervention(ablate="zero", site=f"blocks.{n}.hook_mlp_out") for n in (2, 3)]
    next_door = f"{made}: 1 block {why}, {near}"
    for table, said in ((at[1], f"{made}: 2 blocks {why}"), (at[0], next_door)):
        assert [*_say_blocks("cut/layer", used[:, 0], table)] == [said]
    assert _levels_with(used[..., 0] == 2) == " at layer 3"
    assert _levels_with(used[..., 0] > 0) == " at layer 0 and layer 3"
    assert _levels_with(used[:, 0, 0] == 1) == ""
    table = intervention(
        block=Block(from_=-1, to="{letter}", layers=("{at}",)),
        window=(-1, 1),
        sweep={"at": (6, 22)},
    )
    used = xr.DataArray([[[16, 17, 18], [27, 28, 29]]], dims=("run", "at", "other_block"))
    [said] = _say_blocks("cut/layer", used.assign_coords(at=[6, 22]), table)
    assert "blocks 27, 28, 29 (for at = 22): 6 to 11 blocks away, on the side where the" in said
    table = intervention(block=Block(from_=-1, to="{letter}", layers=range(5)))
    used = xr.DataArray([[7, 9, 10, 11, 12, 13]], dims=("run", "other_block"))
    [said] = _say_blocks("cut/layer", used, table)
    assert "in blocks 7, 9 to 13: " in said
    assert "blocked in blocks 0 to 4" in interventions.in_words(table)


def test_another_token_is_one_at_which_a_patch_changes_something(folder):
    """Before the letter both texts of a pair are alike; behind it they differ."""
    table = intervention(patch="corrupted", site=STREAM, position="{letter}")
    of = editing(folder, table, "token")
    assert of.elsewhere.shift(table, Site.parse(STREAM), 0) == 1
    got, _ = measured(folder, LETTERS, table, control="token")
    naive = Naive(folder)
    for i, row in enumerate(LETTERS.rows):
        source = naive.acts(LETTERS.table.corrupted.replace("{pair}", row.columns["pair"]), STREAM)
        place = len(naive.tokens(f"sum of {row.columns['letter']}"))

        def put(x, place=place, source=source):
            x[0, place] = source[place]
            return x

        np.testing.assert_allclose(
            got["one"][0, i], naive.reads(row.text, {STREAM: put})[0], atol=2e-4
        )


def test_another_token_is_none_that_another_arm_of_the_claim_changes(folder):
    """Behind the letter stands the sign alone; with this taken, the words before it are left, and
    with all of them none."""
    table = intervention(patch="corrupted", site=STREAM, position="{letter}")
    of = editing(folder, table, "token")

    def shift(*avoids):
        task = replace(of.task, avoids=avoids)
        return replace(of, task=task).elsewhere.shift(table, Site.parse(STREAM), 0)

    assert shift() == 1 and shift(-1) < 0
    free = [n for n in range(-9, 9) if n and of.prompts[0].at("{letter}") + n > 0]
    before = [n for n in free if n < 0]
    taken = tuple(of.prompts[0].at("{letter}") + n for n in before)
    with pytest.raises(DataError, match=r"but for .*which the claim compares it with"):
        shift(-1, *taken)


@pytest.fixture
def dictionary(tmp_path):
    """Ten latents over the stream, of which 5 to 9 are never on."""
    draw = torch.Generator().manual_seed(0)
    w_enc, w_dec = (torch.randn(1, *s, generator=draw) for s in ((24, 10), (10, 24)))
    b_enc = torch.where(torch.arange(10) < 5, 3.0, -1e6)[None]
    of = assay.Dictionary(
        w_enc, b_enc, w_dec, torch.zeros(1, 24), assay.dictionaries.ReLU(), sites=(STREAM,)
    )
    write(of, tmp_path / "it.safetensors", "assay")
    return str(tmp_path / "it.safetensors"), of


def test_another_feature_is_on_and_changes_as_much(folder, dictionary):
    name, of = dictionary
    table = intervention(clamp=(name, 2), value=4.0)
    x = torch.randn(1, 6, 24, generator=torch.Generator().manual_seed(1))
    site = Site.parse(STREAM)
    own = editing(folder, table, "").steering.feature(table, site, 0)(x) - x
    rows = effects.directions(of, range(10))
    seen = set()
    for seed in range(12):
        other = editing(folder, table, "random").steering.feature(table, site, seed)(x) - x
        torch.testing.assert_close(other.norm(dim=-1), own.norm(dim=-1))
        along = (other[0] @ rows.T).abs() / rows.norm(dim=1)
        seen |= {int(k) for k in (along / other[0].norm(dim=1, keepdim=True)).argmax(1)}
    assert seen == {0, 1, 3, 4}
    d = direction(site="", feature=(name, 2))
    of_direction = editing(folder, intervention(add="d"), "random", d)
    vectors = torch.stack([of_direction.steering.vector(d, site, seed) for seed in range(12)])
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(12))
    assert {int(k) for k in (vectors @ rows.T / rows.norm(dim=1)).argmax(1)} == {0, 1, 3, 4}


@pytest.mark.parametrize("control", ["random", "shuffled", "layer"])
def test_a_directions_stand_in_is_as_long_and_another(folder, control):
    """But a difference of shuffled labels, which is as long as learning it makes it."""
    d = direction(difference=("A", "B"), label="letter", position="{letter}", prompts="learnt")
    rows = rows_of(
        *({"letter": "AB"[i % 2], "n": str(i)} for i in range(12)),
        name="learnt",
        text="sum of {n} and {letter} =",
    )
    model = models.opened(str(folder), "cpu", "")
    learner = Learner(
        model,
        LETTERS,
        {"learnt": rows},
        partial(activations.activations, model, model.fingerprint),
        None,
    )
    prompts = [prompt(model.folder, row) for row in LETTERS.rows]
    site = Site.parse(STREAM)
    for seed in (0, 1):
        true, other = (
            of.steering.vector(d, site, seed)
            for of in (
                Editing(
                    model, prompts, Task(m, LETTERS, (), intervention(add="d"), c, (d,)), learner
                )
                for m in [Model(name="m")]
                for c in ("", control)
            )
        )
        if control == "shuffled":  # here letters tell prompts apart, and n hardly does
            assert 0 < float(other.norm()) < float(true.norm()) / 2
        else:
            assert float(other.norm()) == pytest.approx(float(true.norm()), rel=1e-5)
        assert abs(float(other @ true / true.norm() ** 2)) < (
            0.5 if control == "shuffled" else 1e-4
        )


def test_random_heads_come_from_the_whole_model_and_have_to_be_named(tmp_path):
    model = make(tmp_path / "deep", "llama", num_hidden_layers=6)
    table = intervention(ablate="zero", heads=["1.2", "1.3"])
    of = editing(model, table, "random-heads")
    drawn = [
        [(s.layer, h) for s, heads in places(of, table, seed) for h in heads] for seed in range(200)
    ]
    assert all(len({*some}) == 2 and not {(1, 2), (1, 3)} & {*some} for some in drawn)
    # every other head, in time
    assert len({head for some in drawn for head in some}) == 6 * 4 - 2
    names = [c.name for c in controls.of_intervention(table, ())]
    assert names == ["heads", "damage"]
    named = intervention(ablate="zero", heads=["1.2"], controls=("random-heads",))
    assert [c.name for c in controls.of_intervention(named, ())] == ["random-heads"]
    usual = intervention(ablate="zero", heads=["1.2"])
    said = controls.of_intervention(usual, (), {"random-heads", "heads"})
    assert [c.name for c in said] == ["heads", "random-heads", "damage"]
    fewer = intervention(ablate="zero", heads=["1.2"], controls=("damage",))
    said = controls.of_intervention(fewer, (), {"random-heads", "heads"})
    assert [c.name for c in said] == ["damage", "random-heads"]


def test_random_neurons_come_from_the_mlps_of_the_whole_model(tmp_path):
    model = make(tmp_path / "deep", "llama", num_hidden_layers=3)
    table = intervention(ablate="zero", site="blocks.1.mlp.hook_post", neurons=[3, 4])
    of = editing(model, table, "random-neurons")
    drawn = [of.steering.other_neurons(table, seed).neurons for seed in range(60)]
    assert all(len({*some}) == 2 and not {"1.3", "1.4"} & {*some} for some in drawn)
    assert {name[0] for some in drawn for name in some} == {"0", "1", "2"}
    numbers, _ = measured(model, LETTERS, table, control="random-neurons", seeds=(5,))
    alone, _ = measured(model, LETTERS, intervention(ablate="zero", neurons=drawn[5]))
    np.testing.assert_allclose(numbers["one"][0], alone["one"][0], atol=1e-5)


@pytest.mark.parametrize("site", ["blocks.0.mlp.hook_post", STREAM])
def test_other_neurons_are_as_many_of_the_same_site_and_the_nearest_in_size(folder, site):
    table = intervention(ablate="zero", site=site, neurons=[3, 5])
    known = [c.name for c in controls.of_intervention(table, ())]
    assert known == ["neurons", "damage"]
    of = editing(folder, table, "neurons")
    others = of.steering.other_neurons(table, 0)
    assert others.site == site and len({*others.neurons} - {3, 5}) == 2
    acts = of.source.around(Site.parse(site)).abs()
    sizes, on = acts.mean(0).clamp_min(1e-30).log(), (acts > 0).float().mean(0)
    alike = [n for n in range(acts.shape[1]) if n not in (3, 5) and on[n] == on[3]]
    if on.std() == 0:  # nothing but the size tells them apart
        gap = (sizes[alike] - sizes[3]).abs().min()
        assert float((sizes[others.neurons[0]] - sizes[3]).abs()) == pytest.approx(float(gap))


def test_random_dimensions_of_a_stream_are_of_this_stream(folder):
    table = intervention(ablate="zero", site=STREAM, neurons=[3, 5], controls=("random-neurons",))
    assert [c.name for c in controls.of_intervention(table, ())] == ["random-neurons"]
    of = editing(folder, table, "random-neurons")
    drawn = [of.steering.other_neurons(table, seed).neurons for seed in range(90)]
    assert all(len({*some}) == 2 and not {3, 5} & {*some} for some in drawn)
    assert {n for some in drawn for n in some} == {*range(24)} - {3, 5}
    numbers, _ = measured(folder, LETTERS, table, control="random-neurons", seeds=(7,))
    alone, _ = measured(folder, LETTERS, intervention(ablate="zero", site=STREAM, neurons=drawn[7]))
    np.testing.assert_allclose(numbers["one"][0], alone["one"][0], atol=1e-5)


def test_neurons_of_a_site_with_heads_are_refused(folder):
    table = intervention(ablate="zero", site="blocks.1.attn.hook_z", neurons=[3])
    with pytest.raises(DataError, match="a neuron is not one number there; change whole heads"):
        measured(folder, LETTERS, table)
