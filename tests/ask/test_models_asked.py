"""Studies that ask several models: their numbers are those of the forward passes written out in
NumPy, and what is measured once is not measured again."""

import functools
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny_models
from assay.ask.measure import measuring, models
from assay.ask.measure import prompts as asked_prompts
from assay.ask.missing import undecidable
from assay.ask.tables import Model, Prompts, Read
from assay.core.errors import ExperimentError
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.subjects.pretrained import load

WORDS = ("def", "return", "class", "Point", "sum", "add", "self", "None")
HEAD = """
question = "What do these models say?"
seeds = "1000:1006"

[[model]]
name = "./base"
"""
CUT = """
[[intervene]]
name = "cut"
ablate = "zero"
site = "blocks.1.hook_mlp_out"
"""
PROMPTS = """
[[prompts]]
text = "the word {word} is"
rows = [{rows}]

[[read]]
name = "said"
log_prob = [" {{answer}}", " {{other}}"]

[[read]]
name = "constant"
log_prob = " x"
"""


def prompts(count):
    """Rows whose answers are one byte each, so that they are one token behind the space or not."""
    letters = "qzjkvw"
    rows = [
        f'{{ word = "{WORDS[i % 8]}{i}", answer = "{letters[i % 6]}", '
        f'other = "{letters[(i + 1) % 6]}" }}'
        for i in range(count)
    ]
    return PROMPTS.replace("{rows}", ", ".join(rows)).replace("{{", "{").replace("}}", "}")


def claim(holds, extra=""):
    return f"""
[[claim]]
text = "A sentence about it"
holds = '{holds}'
threshold = "plan: a test"
{extra}
"""


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A base model, one tuned from it, two checkpoints, a smaller one, and one with other
    tokens and a BOS."""
    root = tmp_path_factory.mktemp("asked_models")
    tiny_models.make(root / "base", "llama")
    tiny_models.make(root / "small", "llama", num_hidden_layers=1)
    with pytest.MonkeyPatch.context() as other:
        other.setattr(tiny_models, "TEXT", "the word is the other word of the kings\n" * 4)
        tiny_models.make(
            root / "gemma", "gemma3_text", head_dim=6, bos_token_id=2, sliding_window=8
        )
    for name, by in (("tuned", 0.05), ("step-100", 0.02), ("step-200", 0.04)):
        target = root / name
        target.mkdir()
        for file in ("config.json", "tokenizer.json"):
            (target / file).write_bytes((root / "base" / file).read_bytes())
        draw = torch.Generator().manual_seed(len(name))
        weights = load_file(root / "base" / "model.safetensors")
        changed = {n: w + by * torch.randn(w.shape, generator=draw) for n, w in weights.items()}
        save_file(changed, target / "model.safetensors", {"format": "pt"})
    return root


@pytest.fixture
def here(folders, tmp_path, monkeypatch):
    for name in ("base", "tuned", "small", "gemma", "step-100", "step-200"):
        (tmp_path / name).symlink_to(folders / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def study(here, text, name="asks.toml"):
    (here / name).write_text(text)
    return catalogue.find(str(here / name))


def run(here, text, name="asks.toml"):
    result = Lab(here / "store", Inline()).run(study(here, text, name))
    assert not result.failed, result.failed
    return result


model_of = functools.cache(load)


@functools.cache
def logs(folder, tokens):
    """log P of each token behind these, float64."""
    logits, _ = tiny_models.naive(folder, np.array([tokens]))
    last = logits[0] - logits[0].max(-1, keepdims=True)
    return last - np.log(np.exp(last).sum(-1, keepdims=True))


def log_probs(folder, text):
    """log P of the next token behind a text."""
    folder = folder.resolve()
    return logs(folder, tuple(model_of(str(folder)).encode(text)))[-1]


def said(folder, text, answer):
    """log P of an answer behind a text, over all of its tokens."""
    folder = folder.resolve()
    before, whole = (tuple(model_of(str(folder)).encode(t)) for t in (text, text + answer))
    assert whole[: len(before)] == before
    table = logs(folder, whole[:-1])
    return sum(table[i - 1, whole[i]] for i in range(len(before), len(whole)))


def rows(count):
    letters = "qzjkvw"
    return [
        (f"the word {WORDS[i % 8]}{i} is", f" {letters[i % 6]}", f" {letters[(i + 1) % 6]}")
        for i in range(count)
    ]


def test_an_untouched_model_gets_a_twin_and_answers_behind_other_prompts(here):
    result = run(here, HEAD + prompts(8) + claim("main.said > 90"))
    assert set(result.arms) == {"main", "main/untrained", "main/unrelated"}
    by_hand = [said(here / "base", t, a) - said(here / "base", t, b) for t, a, b in rows(8)]
    for n in range(result.arms["main"].sizes["run"]):
        ours = result.arms["main"].said.isel(run=n).values
        assert ours == pytest.approx(by_hand, abs=1e-4)
    twins = result.arms["main/untrained"].said.values
    # each seed draws weights of its own
    assert len({tuple(x) for x in twins.round(9)}) == 6
    assert set(result.judged[0].controls) == {"main/untrained", "main/unrelated"}


def test_a_plan_says_that_no_other_prompt_can_replace_a_row_and_the_control_does_not_run(here):
    """Of two rows that are each other's pair, neither can stand in for the other; of three in a
    ring, one is left for each."""
    read = '[[read]]\nname = "by"\ngradient = "said"\npatch = "corrupted"\nheads = ["1.2"]\n'
    for words, is_left in (("ab", False), ("abx", True)):
        rows = ", ".join(
            f'{{ a = "{a}", b = "{b}" }}' for a, b in zip(words, words[1:] + words[0], strict=True)
        )
        text = f"""[[prompts]]
text = "def {{a}}(b):"
corrupted = "def {{b}}(b):"
rows = [{rows}]

[[read]]
name = "said"
logit = [" {{a}}", " {{b}}"]

{read}"""
        asked = study(here, HEAD + text + claim("main.by > 0.5"), f"{words}.toml")
        assert ("main/unrelated" in asked.arms) == is_left
        why = "main/unrelated: prompts, row 1: no other prompt can replace it: both texts"
        assert any(why in r and r.endswith("left out") for r in asked.remarks) != is_left


def test_unrelated_asks_for_a_rows_answers_behind_another_rows_prompt(here):
    text = HEAD + prompts(8) + claim("main.said > 90")
    result = run(here, text)
    values = result.arms["main/unrelated"].said.values
    every = rows(8)
    for i, (own, a, b) in enumerate(every):
        others = [
            said(here / "base", t, a) - said(here / "base", t, b) for t, _, _ in every if t != own
        ]
        for drawn in values[:, i]:
            assert np.min(np.abs(np.array(others) - drawn)) < 1e-4, own
    assert len({tuple(x) for x in values.round(6)}) > 1


def test_a_difference_is_the_second_models_numbers_less_the_firsts(here):
    pair = """
[[model]]
name = "./tuned"
label = "tuned"

[[diff]]
name = "gained"
models = ["main", "tuned"]

[[read]]
name = "moved"
kl = true

[[read]]
name = "own"
log_prob = true
"""
    every = [claim(f"gained.{x} > {n}") for x, n in (("said", 90), ("moved", 9), ("own", 9))]
    result = run(here, HEAD + pair + prompts(8) + "".join(every))
    gained = result.arms["gained"]
    for i, (text, a, b) in enumerate(rows(8)):
        one, other = (
            said(here / name, text, a) - said(here / name, text, b) for name in ("base", "tuned")
        )
        assert gained.said.values[0, i] == pytest.approx(other - one, abs=1e-4)
        p, q = (log_probs(here / name, text) for name in ("base", "tuned"))
        assert gained.moved.values[0, i] == pytest.approx((np.exp(p) * (p - q)).sum(), abs=1e-4)
        top = p.argmax()  # the token that the first model predicts, in both
        assert gained.own.values[0, i] == pytest.approx(q[top] - p[top], abs=1e-4)
    by_text = {j.claim.condition: set(j.controls) for j in result.judged}
    assert by_text == {
        "gained.said > 90": {"gained/shuffled", "gained/unrelated"},
        "gained.moved > 9": {"gained/shuffled"},  # answers have no part in it
        "gained.own > 9": {"gained/shuffled"},
    }
    assert "tuned" not in result.arms  # nobody names it


@pytest.mark.parametrize(
    ("read", "ends"),
    [
        ({"accuracy": (" a", " b")}, (-1.0, 1.0)),
        ({"generates": ("a",)}, (-1.0, 1.0)),
        ({"loss": True}, (None, None)),
        ({"log_prob": " a"}, (None, None)),
        ({"kl": True}, (0.0, None)),  # a divergence between the two, and no difference
    ],
)
def test_a_difference_of_two_shares_lies_between_minus_1_and_1(tmp_path, read, ends):
    shown = asked_prompts.load(Prompts(text=("one", "two")), tmp_path)
    less, model = Model(name="first"), Model(name="second")
    task = measuring.Task(model, shown, (Read(name="x", **read),), less=less)
    assert task.range_of("x") == ends


def test_a_shuffled_change_is_as_large_and_of_the_same_singular_values(here):
    first, second = (models.as_it_is(n, "cpu", Model(name=n)) for n in ("./base", "./tuned"))
    control = models.changed(first, second, seed=5)
    ours = dict(first.model.named_parameters())
    theirs = dict(second.model.named_parameters())
    new = dict(control.model.named_parameters())
    for name, weight in ours.items():
        true, shuffled = theirs[name] - weight, new[name] - weight
        assert not torch.equal(true, shuffled)
        if weight.ndim == 2:
            values = [torch.linalg.svdvals(x.detach().double()) for x in (true, shuffled)]
            torch.testing.assert_close(values[0], values[1], atol=1e-5, rtol=1e-4)
        else:
            torch.testing.assert_close(
                true.sort().values, shuffled.sort().values, atol=1e-6, rtol=0
            )
    # what is of a token stays the token's
    rows_of = [
        (m["model.embed_tokens.weight"] - ours["model.embed_tokens.weight"]).norm(dim=1)
        for m in (theirs, new)
    ]
    torch.testing.assert_close(*rows_of, atol=1e-5, rtol=1e-4)
    again = models.changed(first, second, seed=5)
    assert all(torch.equal(p, new[n]) for n, p in again.model.named_parameters())


ORDER = """
[[prompts]]
name = "turned"
text = "is {word} word the"
rows = [ROWS]

[[diff]]
name = "order"
prompts = ["prompts", "turned"]
"""


def ordered(count, turned=None, step=1):
    numbers = range(turned or count)[::step]
    rows_of = ", ".join(f'{{ word = "{WORDS[i % 8]}{i}" }}' for i in numbers)
    return prompts(count) + ORDER.replace("ROWS", rows_of)


def test_a_difference_of_prompts_is_the_second_rows_number_less_the_firsts(here):
    """Of another length, in other words, row by row; in each model, and under an intervention."""
    cut = CUT + '\n[[diff]]\nname = "cut_order"\nprompts = ["prompts", "turned"]\n'
    tables = ordered(8) + cut + 'intervention = "cut"\n\n[[model]]\nname = "./tuned"\nlabel = "t"\n'
    asks = [f'"{arm}".constant > 90' for arm in ("order", "t/order", "cut_order")]
    result = run(
        here, HEAD + tables + "".join(claim(x).replace("about", str(i)) for i, x in enumerate(asks))
    )
    for arm, name in (("order", "base"), ("t/order", "tuned")):
        by_hand = [
            said(here / name, f"is {WORDS[i]}{i} word the", " x")
            - said(here / name, f"the word {WORDS[i]}{i} is", " x")
            for i in range(8)
        ]
        assert result.arms[arm].constant.values[0] == pytest.approx(by_hand, abs=1e-4)
    assert not np.allclose(result.arms["cut_order"].constant, result.arms["order"].constant)
    controls = [set(j.controls) for j in result.judged]
    # no `damage`: these models are random, and can only guess on unrelated text
    assert controls == [{"order/untrained"}, {"t/order/untrained"}, {"cut_order/layer"}]


@pytest.mark.parametrize(
    ("told", "tables"),
    {
        "prompts and turned are compared row by row, and they have 8 and 7": ordered(8, 7),
        "the same word in another order; put their rows in the same order": ordered(8, step=-1),
        "are the same prompts": ordered(8).replace('", "turned"', '", "prompts"'),
        "there are no prompts 'other'": ordered(8).replace('", "turned"', '", "other"'),
        "give two models, or two prompts": ordered(8) + 'models = ["main", "main"]\n',
    }.items(),
)
def test_prompts_that_cannot_be_compared_are_refused(here, tables, told):
    with pytest.raises(ExperimentError, match=told) as e:
        study(here, HEAD + tables + claim("order.constant > 1"))
    assert "line" in str(e.value) and "\n" not in str(e.value)


def test_a_change_of_weights_is_compared_with_its_own_controls(here):
    """Both sides are untrained, or asked behind another prompt; by weights drawn and scaled here.
    A loss that the change raises is no damage by the way."""
    scaled = '\n[[model]]\nname = "./base"\nlabel = "less"\n'
    scaled += 'weights = { scale = 0.5, of = "layers.0.mlp" }\n'
    loss = '\n[[read]]\nname = "loss"\nloss = true\n'
    claims = claim("less.said - main.said > 90")
    claims += claim("less.loss - main.loss > 90").replace("about", "of")
    result = run(here, HEAD + scaled + prompts(8) + loss + claims)
    of_said, of_loss = (j.controls for j in result.judged)
    assert set(of_said) == {f"less/{c}" for c in ("untrained", "unrelated", "layer")}
    assert set(of_loss) == {"less/untrained", "less/layer"}
    for name in ("untrained", "unrelated"):
        less, main = (float(result.arms[f"{arm}/{name}"].said.mean()) for arm in ("less", "main"))
        assert of_said[f"less/{name}"].estimate == pytest.approx(less - main, abs=1e-6)
    drawn = torch.Generator().manual_seed(int(result.arms["less/untrained"].seed[0]))
    spread = load(str(here / "base")).model.config.initializer_range
    names = [n for n, _ in load(str(here / "base")).model.named_parameters()]
    shapes = {n: w.shape for n, w in load_file(here / "base" / "model.safetensors").items()}
    twin = {
        n: torch.empty(shapes[n]).normal_(0, spread, generator=drawn)
        if len(shapes[n]) == 2
        else torch.ones(shapes[n])
        for n in names
    }
    for block, arm in ((None, "main/untrained"), (0, "less/untrained")):
        target = here / f"drawn{block}"
        target.mkdir()
        for file in ("config.json", "tokenizer.json"):
            (target / file).write_bytes((here / "base" / file).read_bytes())
        half = {n: w * (0.5 if f"layers.{block}.mlp" in n else 1) for n, w in twin.items()}
        save_file(half, target / "model.safetensors", {"format": "pt"})
        texts = [text for text, _, _ in rows(8)]
        expected = [said(target, text, " x") for text in texts]
        np.testing.assert_allclose(result.arms[arm].constant.values[0], expected, atol=1e-4)


@pytest.mark.parametrize(("other", "paired"), [("small", True), ("tuned", False)])
def test_twins_stand_on_both_sides_unless_they_are_the_same_weights(here, other, paired):
    """Of one shape they are equal, so that two of them would be a control that cannot but fail."""
    pair = f'\n[[model]]\nname = "./{other}"\nlabel = "other"\n'
    result = run(here, HEAD + pair + prompts(8) + claim("other.constant - main.constant > 90"))
    number = {arm: float(data.constant.mean()) for arm, data in result.arms.items()}
    control = result.judged[0].controls["other/untrained"]
    beside = number["main/untrained"] if paired else number["main"]
    assert control.estimate == pytest.approx(number["other/untrained"] - beside, abs=1e-6)
    assert abs(control.estimate) > 1e-6


def test_models_of_other_tokens_are_compared_in_their_own(here):
    """A model with a BOS and another shape: no KL divergence, and two untrained twins as
    control."""
    pair = """
[[model]]
name = "./gemma"
label = "gemma"

[[diff]]
name = "gained"
models = ["main", "gemma"]

[[read]]
name = "moved"
kl = true
"""
    with pytest.raises(ExperimentError, match="arm gained has no measure 'moved'"):
        study(here, HEAD + pair + prompts(8) + claim("gained.moved > 1"))
    lengths = '[[read]]\nname = "each"\nloss = true\n'
    for holds, there in (("gained.each > 1", True), ("gained.constant > 1", False)):
        remarks = study(here, HEAD + pair + lengths + prompts(8) + claim(holds)).remarks
        assert any("cut texts into different tokens" in r for r in remarks) == there
    result = run(here, HEAD + pair + prompts(8) + claim("gained.constant > 90"))
    assert set(result.judged[0].controls) == {"gained/untrained"}
    ours = result.arms["gained"].constant.values[0]
    other = run(
        here, HEAD.replace("base", "gemma") + prompts(8) + claim("main.constant > -0.1"), "b.toml"
    )
    gemma = other.arms["main"].constant.values[0]
    base = [said(here / "base", t, " x") for t, _, _ in rows(8)]
    assert ours == pytest.approx(gemma - base, abs=1e-4)


def test_checkpoints_are_levels_of_a_dimension(here):
    steps = HEAD.replace('name = "./base"', 'checkpoints = ["./step-100", "./step-200"]')
    text = steps + prompts(8) + claim("main.said[checkpoint=200] - main.said[checkpoint=100] > 90")
    result = run(here, text)
    data = result.arms["main"]
    assert data.checkpoint.values.tolist() == [100, 200]
    for k, name in enumerate(("step-100", "step-200")):
        by_hand = [said(here / name, t, a) - said(here / name, t, b) for t, a, b in rows(8)]
        assert data.said.isel(run=0, checkpoint=k).values == pytest.approx(by_hand, abs=1e-4)
    assert "main/shuffled" in result.judged[0].controls
    shuffled = result.arms["main/shuffled"].said
    # it begins so
    assert np.allclose(shuffled.sel(checkpoint=100), data.said.sel(checkpoint=100))
    assert not np.allclose(shuffled.sel(checkpoint=200), data.said.sel(checkpoint=200), atol=0.01)
    twin = result.arms["main/untrained"].said.isel(run=0)
    # drawn by the seed alone
    assert np.array_equal(twin.isel(checkpoint=0), twin.isel(checkpoint=1))


def test_checkpoints_without_steps_are_called_by_their_folders(here):
    """A hyphen in a name needs no quotes, and a wrong one is refused before anything runs."""
    for name in ("step-a", "step-b"):
        (here / name).symlink_to(here / "base")
    head = HEAD.replace('name = "./base"', 'checkpoints = ["./step-a", "./step-b"]') + prompts(8)
    result = run(here, head + claim("main.said[checkpoint=step-b] > 90"))
    assert result.arms["main"].checkpoint.values.tolist() == ["step-a", "step-b"]
    with pytest.raises(ExperimentError, match=r"main\.said has no checkpoint 'step-c'"):
        study(here, head + claim("main.said[checkpoint=step-c] > 90"))


# what is measured once ----------------------------------------------------------------------------


# refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    {
        '\n[[model]]\nname = "./tuned"\n': "line 8 column 1: a second model needs a label",
        '\n[[model]]\nlabel = "x"\n': "line 8 column 1: give one of name, like and checkpoints",
        '\n[[model]]\nname = "./tuned"\nlabel = "x"\n[[model]]\nname = "./g"\nlabel = "x"\n': (
            "line 13 column 9: the label 'x' is taken"
        ),
        '\n[[model]]\nlabel = "a"\nlike = "./base"\n[[model]]\nlabel = "b"\nlike = "a"\n': (
            "line 13 column 8: 'a' is untrained itself"
        ),
        '\n[[diff]]\nname = "d"\nmodels = ["main", "tuned"]\n': (
            "line 10 column 10: there is no model 'tuned'; known: ./base, main"
        ),
        '\n[[diff]]\nname = "d"\nmodels = ["main", "./base"]\n': "a model less itself is 0",
        (
            '\n[[model]]\nname = "./base"\nlabel = "x"\n'
            '[[diff]]\nname = "d"\nmodels = ["main", "x"]\n'
        ): "a model less itself is 0",
        '\n[[diff]]\nname = "main"\nmodels = ["main", "x"]\n': (
            "line 9 column 8: the name 'main' is taken"
        ),
    }.items(),
)
def test_what_is_wrong_with_a_model_is_one_line_with_its_place(here, text, told):
    with pytest.raises(ExperimentError) as e:
        study(here, HEAD + text + prompts(8) + claim("main.said > 1"))
    assert told in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("name", "more", "condition", "is_same"),
    [
        ("copy", "", "main.said - x.said > 1", True),
        ("copy", '[[diff]]\nname = "d"\nmodels = ["main", "x"]\n', "d.said > 1", True),
        ("tuned", "", "main.said - x.said > 1", False),
        ("copy", 'dtype = "bfloat16"\n', "main.said - x.said > 1", False),
    ],
)
def test_two_models_that_have_the_same_weights_are_reported(here, name, more, condition, is_same):
    """A copy has the same files, but for a name in its settings, and so the same numbers."""
    shutil.copytree(here / "base", here / "copy")
    config = json.loads((here / "copy" / "config.json").read_text())
    (here / "copy" / "config.json").write_text(json.dumps(config | {"_name_or_path": "mine"}))
    second = f'\n[[model]]\nname = "./{name}"\nlabel = "x"\n{more}'
    remarks = study(here, HEAD + second + prompts(8) + claim(condition)).remarks
    words = "claim 1: main and x have the same weights, so they are equal in every unit"
    assert any(note.startswith(words) for note in remarks) == is_same


def test_an_absent_model_is_told_with_its_place(here):
    text = HEAD + '\n[[model]]\nname = "./lost"\nlabel = "x"\n' + prompts(8)
    experiment = study(here, text + claim("x.said > 1"))
    with pytest.raises(ExperimentError, match=r"asks.toml line 9 column 8: .*lost"):
        Lab(here / "store", Inline()).run(experiment)


def test_a_folder_next_to_the_study_is_found_by_its_name(here, folders, monkeypatch):
    (here / "studies").mkdir()
    (here / "studies/mine").symlink_to(folders / "base")
    text = HEAD.replace("./base", "mine") + prompts(8) + claim("main.said > 1")
    experiment = study(here, text, "studies/asks.toml")
    with pytest.raises(ExperimentError, match=r"no model 'mine'; did you mean \./mine, the folder"):
        Lab(here / "store", Inline()).run(experiment)


def test_a_model_is_its_content_whatever_the_path_of_its_folder(here, folders):
    """The same folder by two paths and a copy of it are one model; another one in its place is
    another."""
    shutil.copytree(folders / "base", here / "copy")
    lab, text = Lab(here / "store", Inline()), HEAD + prompts(8) + claim("main.said > 1")
    run(here, text)
    for name in (str(here / "base"), "copy", "./copy"):
        same = text.replace("./base", name)
        assert not lab.plan(study(here, same)).missing and not run(here, same).changed
    shutil.rmtree(here / "copy")
    (here / "copy").symlink_to(folders / "tuned")
    other = text.replace("./base", "./copy")
    assert not lab.plan(study(here, other)).cached
    assert "arm changed: main" in run(here, other).changed


def test_a_site_that_one_of_the_models_lacks_is_told_with_its_label(here):
    text = HEAD + '\n[[model]]\nname = "./small"\nlabel = "small"\n' + prompts(8)
    text += '\n[[intervene]]\nname = "cut"\nablate = "zero"\nsite = "blocks.2.hook_mlp_out"\n'
    with pytest.raises(ExperimentError, match=r"column 8: model small: blocks.2.hook_mlp_out"):
        study(here, text + claim('"small/cut".said > 1'))
    # the other model has it, and this one is not asked
    study(here, text + claim("cut.said > 1"))


# what plan tells ----------------------------------------------------------------------------------


def test_what_no_data_could_decide_is_told_before_it_runs(here):
    experiment = study(here, HEAD + prompts(8) + claim("main.constant > -0.1"))
    assert undecidable(experiment) == [
        "claim 1 cannot be decided: 8 prompts; a verdict needs at least 20; add 12 more rows"
    ]
    experiment = study(here, HEAD + prompts(24) + claim("main.constant > -0.1"))
    assert undecidable(experiment) == []
    both = claim("main.constant > -0.1") + claim("main.constant > -0.2")
    [line] = undecidable(study(here, HEAD + prompts(8) + both))
    assert line.startswith("claims 1, 2 cannot be decided: 8 prompts")
