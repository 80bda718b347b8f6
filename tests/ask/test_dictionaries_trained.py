"""Dictionaries that a study trains: they find what was planted, do it alike alone and with others,
stand wherever a file can stand, and are judged beside what reaches as much without learning."""

import contextlib
import hashlib
import shutil
import string
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny_models
from assay.ask.measure import sae_arms
from assay.ask.measure.saes import Learning
from assay.core.errors import ExperimentError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.recovery import mcc
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.subjects.pretrained import fast_dtype
from assay.train.rng import normal

LETTERS = string.ascii_uppercase.replace("P", "")  # "Point" is in the tokenizer's text
CONTEXT, GROUPS = 16, 6
FILES = 300


def planted(folder):
    """A llama whose embeddings of letters are six directions, each of several letters: what its
    training is to have put there, and no untrained one has."""
    path = tiny_models.make(folder, "llama") / "model.safetensors"
    w = load_file(path)
    truth = torch.nn.functional.normalize(
        torch.randn(GROUPS, 24, generator=torch.Generator().manual_seed(1)), dim=1
    )
    for n, letter in enumerate(LETTERS):
        w["model.embed_tokens.weight"][ids(folder, letter)[0]] = 5 * truth[n % GROUPS]
    save_file(w, path, {"format": "pt"})
    return truth


def ids(folder, text):
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The folder of a planted model and a text, and the directions."""
    here = tmp_path_factory.mktemp("dictionaries")
    truth = planted(here / "model")
    draw = np.random.default_rng(0)
    (here / "texts").mkdir()
    for n in range(FILES):
        (here / "texts" / f"{n}.txt").write_text("".join(draw.choice([*LETTERS], CONTEXT)))
    return here, truth


@pytest.fixture
def here(world, tmp_path, monkeypatch):
    """A folder with the model and the text, and an empty store."""
    for name in ("model", "texts"):
        (tmp_path / name).symlink_to(world[0] / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def trained(world):
    """A store in which the dictionary and its three controls are trained and measured."""
    with contextlib.chdir(world[0]):
        run(world[0], HEAD + SAE + CLAIM)
    return world[0] / "store"


@pytest.fixture
def ready(here, trained):
    """A folder with the model and the text, and a copy of that store."""
    shutil.copytree(trained, here / "store")
    return here


HEAD = """
question = "Is it so?"
seeds = "1000:1006"

[[model]]
name = "./model"
"""
SAE = """
[[train]]
name = "sae"
site = "hook_embed"
d_sae = 8
k = 1
text = "./texts"
context = 16
tokens = 3000
steps = 300
batch = 128
lr = 1e-2
seed = 1
"""
CLAIM = """
[[claim]]
text = "Little is left"
holds = "sae.fvu < 0.1"
threshold = "plan: a tenth"
"""
ASKED = """
[[prompts]]
rows = [{rows}]

[[read]]
name = "on"
feature = ["{sae}", 3]
position = "mean"

[[direction]]
name = "row"
feature = ["{sae}", 3]

[[intervene]]
name = "added"
add = "row"
strength = 2

[[intervene]]
name = "clamped"
clamp = ["{sae}", 3]
value = 1.5

[[intervene]]
name = "then"
add = "row"
site = "blocks.0.hook_resid_post"
after = "clamped"

[[probe]]
name = "early"
label = "early"
dictionary = "{sae}"
site = "hook_embed"

[[estimate]]
text = "as it is"
value = "main.on"

[[estimate]]
text = "added"
value = "added.on"

[[estimate]]
text = "clamped"
value = "clamped.on"

[[estimate]]
text = "clamped, then added"
value = "then.on"

[[estimate]]
text = "probed"
value = "early.accuracy"
"""
ROWS = ", ".join(f'{{text = "A{x}B{x}", early = "{x < "M"}"}}' for x in LETTERS)


def run(here, text, store="store", name="study.toml"):
    (here / name).write_text(text)
    result = Lab(here / store, Inline()).run(catalogue.find(str(here / name)))
    assert not result.failed, result.failed
    return result


def quantity(arm, above, below):
    """A ratio of sums over all documents, of each run."""
    sums = [arm[name].sum([d for d in arm[name].dims if d != "run"]) for name in (above, below)]
    return (sums[0] / sums[1]).values


def files(here, store="store"):
    return sorted((here / store).rglob("dictionary.safetensors"))


def test_planted_directions_are_recovered_and_no_control_reaches_as_much(ready, world):
    result = run(ready, HEAD + SAE + CLAIM)
    judged = result.judged[0]
    assert judged.verdict.outcome == "holds"
    assert set(judged.controls) == {"sae/random", "sae/frozen", "sae/untrained"}
    fvu = {name: quantity(arm, "error", "variance")[0] for name, arm in result.arms.items()}
    assert fvu["sae"] < 0.01
    assert min(v for name, v in fvu.items() if name != "sae") > 0.1
    # the mean activation explains nothing
    assert fvu["main"] == pytest.approx(1, abs=0.02)
    found = [mcc(world[1].numpy(), Dictionary.load(p).W_dec[0].numpy()) for p in files(ready)]
    best, *controls = sorted(found, reverse=True)
    assert best > 0.9
    assert max(controls) < 0.7


def test_its_measures_are_those_of_the_documents_that_it_did_not_learn_from(ready):
    """Each document is one window, so that all of its tokens but the first count."""
    arm = run(ready, HEAD + SAE + CLAIM + 'control = ["sae/frozen"]\n').arms["sae/frozen"]
    (dictionary,) = (d for d in map(Dictionary.load, files(ready)) if d.origin.get("frozen"))
    weights = load_file(ready / "model" / "model.safetensors")["model.embed_tokens.weight"]
    names = arm.document.values.tolist()
    texts = [(ready / "texts" / name).read_text() for name in names]
    x = torch.stack([weights[ids(ready / "model", text)[1:]] for text in texts])
    error = (dictionary.reconstruct(x.flatten(0, 1)) - x.flatten(0, 1)).square().sum(1)
    by_document = error.reshape(len(names), -1).sum(1).numpy()
    # harvested in bfloat16
    assert arm.error.values[0] == pytest.approx(by_document, rel=1e-2)
    variance = float((x - x.flatten(0, 1).mean(0)).square().sum())
    assert float(arm.variance.values[0].sum()) == pytest.approx(variance, rel=1e-2)
    assert (arm.tokens.values == CONTEXT - 1).all()
    assert (quantity(arm, "active", "tokens") <= 1).all()
    learned = {str(n) for n in dictionary.origin["trained_on"]["documents"]}
    assert not learned & {hashlib.sha256(t.encode()).hexdigest()[:12] for t in texts}


def test_dead_is_asked_of_a_dictionary_of_each_seed(here):
    dead = CLAIM.replace("sae.fvu < 0.1", "sae.dead < 0.2")
    found = {}
    for each in ("", "per_seed = true\n"):
        result = run(here, HEAD + SAE.replace("steps = 300", f"{each}steps = 20") + dead)
        found[each] = result.arms["sae"].dead.values
    assert found[""].shape == (6,) and np.array_equal(*found.values())
    rows = [
        {"text": f"{a} {a} {b}", "label": "ab"[n % 2]}
        for n, (a, b) in enumerate(zip(LETTERS, reversed(LETTERS), strict=True))
    ]
    (here / "rows.csv").write_text(
        "\n".join(["text,label", *(f"{r['text']},{r['label']}" for r in rows)])
    )
    study = (
        HEAD
        + SAE.replace("steps = 300", "steps = 20")
        + dead
        + """
[[prompts]]
file = "rows.csv"
[[read]]
name = "best"
feature = ["sae", []]
position = "mean"
top = { n = 1, of = "latents", by = ["a", "b"] }
[[estimate]]
text = "the latent of the one that seed trains"
value = "main.best"
"""
    )
    both = run(here, study)
    assert np.array_equal(both.arms["sae"].dead.values, found[""])
    assert len({*both.arms["main"]["chosen_parts_for_best"].values.ravel()}) == 1


def test_a_transcoder_of_a_linear_map_leaves_little(here):
    """A block's last matrix takes hook_post to hook_mlp_out; a frozen decoder cannot follow."""
    table = """
[[train]]
name = "coder"
site = "blocks.0.mlp.hook_post"
site_out = "blocks.0.hook_mlp_out"
dictionary = "relu"
penalty = 0
d_sae = 128
text = "./texts"
context = 16
tokens = 3000
steps = 600
lr = 5e-3
"""
    claim = CLAIM.replace("sae.fvu", "coder.fvu")
    result = run(here, HEAD + table + claim)
    fvu = {name: quantity(arm, "error", "variance")[0] for name, arm in result.arms.items()}
    assert fvu["coder"] < 0.02
    assert fvu["coder/random"] > 2 * fvu["coder"]
    assert result.judged[0].verdict.estimate == pytest.approx(fvu["coder"], rel=1e-6)
    (path,) = (p for p in files(here) if Dictionary.load(p).origin.get("frozen"))
    assert Dictionary.load(path).sites_out == ("blocks.0.hook_mlp_out",)


@pytest.mark.parametrize("kind", ["k = 1", 'dictionary = "relu"\npenalty = 0.02'])
def test_a_crosscoder_reads_sites_side_by_side_and_none_outweighs_another(here, world, kind):
    """Before the first block the stream is the embedding, so that both sites have the same."""
    sites = 'site = ["hook_embed", "blocks.0.hook_resid_pre"]'
    table = SAE.replace('site = "hook_embed"', sites).replace("k = 1", kind)
    result = run(here, HEAD + table + "controls = []\n" + CLAIM + 'control = ["main"]\n')
    arm, (path,) = result.arms["sae"], files(here)
    dictionary = Dictionary.load(path)
    assert dictionary.sites == ("hook_embed", "blocks.0.hook_resid_pre")
    weights = load_file(here / "model" / "model.safetensors")["model.embed_tokens.weight"]
    texts = [(here / "texts" / name).read_text() for name in arm.document.values]
    one = torch.cat([weights[ids(here / "model", text)[1:]] for text in texts])
    one = one.to(getattr(torch, fast_dtype())).half().float()  # as activations are kept
    x, width = torch.cat([one, one], 1), one.shape[1]
    assert dictionary.scale.shape == (1, 2 * width)
    assert dictionary.scale[0, 0] == pytest.approx(float(dictionary.scale[0, width]))
    missed = (dictionary.reconstruct(x) - x) * dictionary.scale[0]
    assert float(arm.error.values[0].sum()) == pytest.approx(
        float(missed.square().sum()), rel=1e-3, abs=1e-8
    )
    assert quantity(arm, "error", "variance")[0] < 0.1
    assert quantity(result.arms["main"], "error", "variance")[0] == pytest.approx(1, abs=0.02)
    rows = dictionary.W_dec[0]
    assert min(mcc(world[1].numpy(), part.numpy()) for part in rows.split(width, 1)) > 0.8


def test_alone_and_with_others_it_is_the_same_bit_for_bit(here):
    bare = SAE + "controls = []\n"
    other = bare.replace('"sae"', '"other"').replace("k = 1", "k = 2")
    alone = CLAIM + 'control = ["main"]\n'
    run(here, HEAD + bare + alone, "first")
    run(here, HEAD + other + bare + alone, "second")
    each = HEAD.replace("1000:1006", "1000:1002") + bare + "per_seed = true\n" + alone
    several = run(here, each, "third").arms["sae"]
    single = run(here, each.replace("1000:1002", "1001:1002"), "fourth").arms["sae"]
    (first,) = files(here, "first")
    assert first.read_bytes() in [p.read_bytes() for p in files(here, "second")]
    assert np.array_equal(several.error.values[1:], single.error.values)
    assert not np.array_equal(several.error.values[0], several.error.values[1])
    assert set(several.dead.dims) == {"run"}
    assert ((several.dead >= 0) & (several.dead < 1)).all()


def test_parameters_decay_and_the_rate_rises_as_its_table_says(here):
    """In Adam's first step each number moves by the rate, lr / warmup, and by AdamW what decays
    loses the share rate · λ of where it started."""
    bare = SAE.replace("steps = 300", "steps = 1") + "controls = []\n"
    trained = {}
    for more in (
        "",
        "decay = 0\n",
        "warmup = 10\n",
        "warmup = 10\ndecay = { W_enc = 2 }\n",
        "warmup = 10\ndecay = 2\n",
    ):
        run(here, HEAD + bare + more + CLAIM + 'control = ["main"]\n', "of " + more)
        (path,) = files(here, "of " + more)
        trained[more] = path.parent.name, Dictionary.load(path)
    (usual, plain), (same, _), (_, sooner), (_, encoder), (_, whole) = trained.values()
    assert usual == same
    assert float(plain.b_enc.abs().max()) == pytest.approx(1e-2 / 100, rel=1e-4)
    assert float(sooner.b_enc.abs().max()) == pytest.approx(1e-2 / 10, rel=1e-4)
    start = 0.3 * torch.from_numpy(normal(np.array([1]), "dictionary", 0, (8, 24)))
    start = (start / start.norm(dim=-1, keepdim=True) * 0.3).mT
    lost = sooner.W_enc - encoder.W_enc
    assert torch.allclose(lost, 2 * 1e-2 / 10 * start, atol=1e-7)
    assert torch.equal(encoder.W_dec, sooner.W_dec)
    assert torch.equal(whole.W_enc, encoder.W_enc)
    # a bias starts at 0, of which nothing is lost
    assert torch.equal(whole.b_enc, sooner.b_enc)
    assert not torch.equal(whole.W_dec, sooner.W_dec)


def test_a_plan_counts_what_seeds_and_dictionaries_share_once(here, monkeypatch):
    """One dictionary serves all seeds, and two of the same site and text read the same
    activations; on a processor that has nothing faster than float32."""
    monkeypatch.setattr(sae_arms, "fast_dtype", lambda: "float32")

    def seconds(text):
        (here / "study.toml").write_text(text)
        return Lab(here / "store", Inline()).plan(catalogue.find("study.toml")).cpu_seconds

    read = HEAD + ASKED.replace("{rows}", ROWS).replace("{sae}", "sae")
    long = SAE.replace("steps = 300", "steps = 100_000").replace("d_sae = 8", "d_sae = 1600")
    few, many = (seconds(read.replace("1000:1006", s) + long) for s in ("1000:1004", "1000:1040"))
    trained = 100_000 * 128 * (1600 + sae_arms.ACTIVE) * 24 * sae_arms.STEP
    assert 1.2 * trained > many > few > trained
    wide = SAE.replace("tokens = 3000", "tokens = 9_000_000") + "controls = []\n"
    claim = CLAIM + 'control = ["main"]\n'
    other = wide.replace('"sae"', '"other"').replace("k = 1", "k = 2")
    one = seconds(HEAD + wide + claim)
    both = claim.replace("sae.fvu <", "other.fvu - sae.fvu <")
    assert seconds(HEAD + wide + other + both) < 1.2 * one
    apart = other.replace("context = 16", "context = 32")
    assert seconds(HEAD + wide + apart + both) > 1.7 * one


def test_an_untrained_twin_is_compared_with_the_other_ones_twin(ready):
    """Of two dictionaries: on what the model learned and on what it did not, each with its own."""
    other = SAE.replace('"sae"', '"other"').replace("k = 1", "k = 2")
    claim = CLAIM.replace("sae.fvu <", "other.fvu - sae.fvu >")
    result = run(ready, HEAD + SAE + other + claim)
    fvu = {name: quantity(arm, "error", "variance")[0] for name, arm in result.arms.items()}
    controls = result.judged[0].controls
    assert controls["other/untrained"].estimate == pytest.approx(
        fvu["other/untrained"] - fvu["sae/untrained"], abs=1e-9
    )
    assert controls["other/frozen"].estimate == pytest.approx(
        fvu["other/frozen"] - fvu["sae"], abs=1e-9
    )


def test_by_its_name_it_is_read_added_clamped_and_probed_as_its_file_is(here, monkeypatch):
    run(here, HEAD + SAE + "controls = []\n" + CLAIM + 'control = ["main"]\n')
    (path,) = files(here)
    (here / "file.safetensors").write_bytes(path.read_bytes())
    text = HEAD + ASKED.replace("{rows}", ROWS)
    by_file = run(here, text.replace("{sae}", "file.safetensors"), "other")
    monkeypatch.setattr(Learning, "_train", lambda *args: pytest.fail("trained again"))
    by_name = run(here, text.replace("{sae}", "sae") + SAE)
    for arm in ("main", "added", "clamped", "then"):
        assert np.array_equal(by_name.arms[arm].on, by_file.arms[arm].on)
    assert np.array_equal(by_name.arms["early"].accuracy, by_file.arms["early"].accuracy)
    assert not np.array_equal(by_name.arms["added"].on, by_name.arms["main"].on)


def test_it_learns_from_one_half_of_prompts_and_is_measured_on_the_other(here):
    table = SAE.replace('text = "./texts"\ncontext = 16\ntokens = 3000', 'prompts = "prompts"')
    rows = ", ".join(
        f'{{text = "{x}{y}{x}{y}{y}{x}"}}' for x in LETTERS[:10] for y in LETTERS[9:14]
    )
    prompts = f"[[prompts]]\nrows = [{rows}]\n"
    result = run(here, HEAD + prompts + table + CLAIM + 'control = ["sae/frozen"]\n')
    arm = result.arms["sae"]
    assert arm.sizes["prompt"] == 25
    assert (arm.tokens == 5).all()
    assert quantity(arm, "error", "variance")[0] < 0.1
    assert result.judged[0].verdict.outcome == "holds"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("hook_embed", "blocks.1.hook_resid", "line 10 column 8: .*blocks.1.hook_resid"),
        ("k = 1", "k = 9", "line 12 column 5: 9 of 8 latents cannot be on; lower k"),
        ("k = 1", 'dictionary = "topkk"', "line 12 column 14: .*did you mean topk?"),
        ("k = 1", 'dictionary = "relu"', "line 9 column 1|line 8 column 1: .*penalty = 0.1"),
        ("k = 1", "penalty = 0.1", "line 12 column 11: topk chooses how many latents are on"),
        ("k = 1", 'dictionary = "relu"\nk = 1\npenalty = 1', "line 13 column 5: relu does not"),
        ("k = 1", 'k = 1\nof = "base"', "line 13 column 6: there is no model 'base'"),
        ("context = 16", "context = 100", "line 10 column 8: .*reads at most 64 tokens"),
        ('"hook_embed"', '["hook_embed", "hook_embed"]', "line 10 column 8: .*reads a site twice"),
        (
            '"hook_embed"',
            '["hook_embed", "blocks.0.hook_mlp_out"]\nsite_out = "hook_embed"',
            "line 11 column 12: .*reads several sites and writes them all",
        ),
        ("k = 1\n", 'k = 1\nfrozen = "both"\n', "no half is called so"),
        (
            "k = 1\n",
            "k = 1\ndecay = { W_encoder = 1 }\n",
            "line 13 column 9: .*topk trains W_enc, W_dec, b_enc, b_dec; did you mean W_enc?",
        ),
        (
            "k = 1\n",
            'k = 1\nfrozen = "decoder"\ndecay = { W_dec = 1 }\n',
            "line 14 column 9: W_dec is frozen, so it cannot decay",
        ),
        (
            "sae.fvu",
            "sae.ce_spliced",
            r'it has .*fvu.* per_seed = true dead; .*reconstruct = "sae"',
        ),
        (
            "k = 1\n",
            'k = 1\nfrozen = "decoder"\ncontrols = ["frozen"]\n',
            "'sae' has no control 'frozen'",
        ),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(here, old, new, told):
    study = HEAD + SAE + CLAIM
    (here / "study.toml").write_text(study.replace(old, new, 1))
    with pytest.raises(ExperimentError, match=told) as e:
        Lab(here / "store", Inline()).plan(catalogue.find("study.toml"))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('clamp = ["sae", 3]', 'clamp = ["sae", -1]', "has latents 0 to 7|numbered from 0"),
        ("k = 1\n", "k = 1\nper_seed = true\n", "each seed trains its own 'sae'"),
        ("k = 1\n", 'k = 1\nsite_out = "blocks.1.hook_mlp_out"\n', "'sae' reads and writes at d"),
        (
            'site = "hook_embed"',
            'site = ["hook_embed", "blocks.0.hook_mlp_out"]',
            "'sae' reads several sites",
        ),
    ],
)
def test_a_latent_that_it_will_not_have_is_refused_before_it_is_trained(here, old, new, told):
    text = HEAD + SAE + ASKED.replace("{rows}", ROWS).replace("{sae}", "sae")
    assert old in text
    (here / "study.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ExperimentError, match=told) as e:
        catalogue.find("study.toml")
    assert "line" in str(e.value)
    assert not Path("store").exists()
