"""What a text begins with is what its tokenizer puts there, once, unless somebody says otherwise;
and it is said wherever a number is. Truth: transformers, one prompt at a time."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import tiny_models
from assay.ask.measure import measuring, prompts
from assay.ask.measure.tasks import Task
from assay.ask.tables import Direction, Intervention, Model, Prompts, Read
from assay.core.errors import ModelError
from assay.data.harvest import HarvestSpec, cut_text, windows_in
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.subjects.folder import find, otherwise
from assay.subjects.pretrained import load
from assay.subjects.untrained import untrained
from folders import change, log_prob, model_of, tokenizer_of

TEXTS = ("def add(a", "class Point", "x = 10", "a + b  # the sum")
READ = (Read(name="two", log_prob=(" a", " b")), Read(name="one", log_prob=" return"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A Llama whose tokenizer puts <s>, token 5, before every text."""
    folder = tmp_path_factory.mktemp("openings") / "llama"
    tiny_models.make(folder, "llama", bos_token_id=5)
    tiny_models.put_first(folder, 5)
    return folder


def measured(folder, reads=READ, table=None, tables=(), **model):
    rows = prompts.load(Prompts(rows=tuple({"text": t} for t in TEXTS)), Path())
    task = Task(Model(name=str(folder), **model), rows, reads, table, "", tables, {"prompts": rows})
    numbers, _ = measuring.measure(
        task, np.array([0]), Path(), "cpu", False, lambda done, total: None
    )
    return {name: array.reshape(-1) for name, (_, array, _) in numbers.items()}


def truth(folder, begin):
    """Both reads of every prompt, by transformers."""
    model = model_of(folder)

    def of(text, answer):
        prompt, both = ([*begin(t)] for t in (text, text + answer))
        return log_prob(model, prompt, both[len(prompt) :])

    return {
        "two": [of(t, " a") - of(t, " b") for t in TEXTS],
        "one": [of(t, " return") for t in TEXTS],
    }


def by_itself(folder):
    tokenizer = tokenizer_of(folder)
    return lambda text: tokenizer(text)["input_ids"]


def without(folder):
    tokenizer = tokenizer_of(folder)
    return lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]


def test_a_prompt_begins_as_its_tokenizer_has_it(llama):
    got, plain = measured(llama), measured(llama, bos=False)
    for name, numbers in truth(llama, by_itself(llama)).items():
        np.testing.assert_allclose(got[name], numbers, atol=1e-4)
        assert np.abs(got[name] - plain[name]).max() > 0.01  # it matters here
    for name, numbers in truth(llama, without(llama)).items():
        np.testing.assert_allclose(plain[name], numbers, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text"])
def test_it_is_there_once_whoever_says_so(tmp_path, family):
    folder = tiny_models.make(
        tmp_path / "m",
        family,
        bos_token_id=5,
        **({"head_dim": 8, "sliding_window": 8} if family == "gemma3_text" else {}),
    )
    own = (5,) if family == "gemma3_text" else ()
    assert find(str(folder)).opening == own
    assert find(str(folder), True).opening == (5,)
    assert find(str(folder), False).opening == ()
    tiny_models.put_first(folder, 7, 5)  # as of a GLM, which puts two
    assert [find(str(folder), bos).opening for bos in (None, True, False)] == [(7, 5), (7, 5), ()]


def test_steering_and_writing_begin_with_it_as_well(llama):
    """Adding at the last token, and four tokens written: a plain loop without a cache."""
    model, begin = model_of(llama), by_itself(llama)
    vector = model.lm_head.weight[9].detach() * model.model.norm.weight.detach()
    vector = vector / vector.norm()

    def write(text):
        ids, at = begin(text), len(begin(text)) - 1

        def add(module, args):
            x = args[0].clone()
            x[0, at] += 4 * vector
            return (x, *args[1:])

        handle = model.model.layers[1].register_forward_pre_hook(add)
        with torch.no_grad():
            for _ in range(4):
                ids = [
                    *ids,
                    int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()),
                ]
        handle.remove()
        return ids[-4:]

    opened = load(str(llama))
    words = [opened.decode(write(text)).strip() for text in TEXTS]
    reads = tuple(
        Read(name=f"r{i}", generates=(word or "x",), tokens=4) for i, word in enumerate(words)
    )
    along = Direction(name="along", site="blocks.1.hook_resid_pre", unembedding=opened.decode([9]))
    steered = Intervention(name="steered", add="along", strength=4.0, position=-1)
    got = measured(llama, reads, steered, (along,))
    for i in range(len(TEXTS)):
        assert got[f"r{i}"][i] == 1.0, words


def test_what_stands_behind_every_text_is_refused(tmp_path):
    folder = tiny_models.make(tmp_path / "m", "llama", bos_token_id=5)
    tiny_models.put_first(folder, 5)
    change(
        folder,
        "tokenizer.json",
        lambda t: t["post_processor"]["single"].append(
            {"SpecialToken": {"id": "[0]", "type_id": 0}}
        ),
    )
    with pytest.raises(ModelError, match=r"post_processor puts .* after every text"):
        assert find(str(folder)).opening
    assert find(str(folder), True).opening == (5,)
    assert find(str(folder), False).opening == ()


def test_two_tokens_that_are_both_called_bos_are_refused(tmp_path):
    folder = tiny_models.make(tmp_path / "m", "llama", bos_token_id=5)
    change(
        folder,
        "tokenizer.json",
        lambda t: t["added_tokens"].append(
            {
                "id": 6,
                "content": next(k for k, v in t["model"]["vocab"].items() if v == 6),
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
        ),
    )
    named = tokenizer_of(folder).convert_ids_to_tokens(6)
    change(folder, "tokenizer_config.json", lambda c: c.update(bos_token=named))
    assert find(str(folder)).opening == ()
    with pytest.raises(ModelError, match=r"two BOS tokens: 5 in its config\.json, 6 in its"):
        find(str(folder), True).beginning(True)
    lacking = tiny_models.make(tmp_path / "n", "llama")
    with pytest.raises(ModelError, match="has no BOS token"):
        find(str(lacking)).beginning(True)


def test_models_whose_texts_begin_as_before_are_the_same_models(tmp_path):
    """Hashes of folders, and with them all keys, move only where numbers do."""

    def old(folder):
        files = [folder / "config.json", folder / "tokenizer.json", folder / "model.safetensors"]
        digests = " ".join(hashlib.sha256(p.read_bytes()).hexdigest() for p in files)
        return hashlib.sha256(digests.encode()).hexdigest()

    window = {"head_dim": 8, "sliding_window": 8}
    same = [
        tiny_models.make(tmp_path / "llama", "llama", bos_token_id=5),
        tiny_models.make(tmp_path / "gemma", "gemma3_text", bos_token_id=5, **window),
    ]
    for folder in same:
        assert find(str(folder)).fingerprint == old(folder)
    tiny_models.put_first(same[0], 5)
    assert find(str(same[0])).fingerprint != old(same[0])


def test_a_twin_begins_its_texts_alike(llama, bench):
    for bos in (None, False):
        twin = untrained(str(llama), 2, bench)
        assert find(str(twin), bos).opening == find(str(llama), bos).opening
    spec = HarvestSpec(subject=str(llama), corpus="stdlib", windows=2, context=8)
    first = [
        windows_in(cut_text(spec.replace(bos=bos), bench)[1]).tokens[:, 0] for bos in (None, False)
    ]
    assert (first[0] == 5).all() and not (first[1] == 5).any()


STUDY = """
question = "Is it?"

[[model]]
name = "./llama"
{said}
[[prompts]]
file = "prompts.txt"

[[read]]
name = "two"
log_prob = [" a", " b"]

[[estimate]]
text = "a over b"
value = "main.two"
"""


@pytest.mark.parametrize(
    "said, words",
    [("", "with {}"), ("bos = true\n", "with {}"), ("bos = false\n", "without a BOS")],
)
def test_a_study_says_what_its_texts_begin_with(llama, tmp_path, said, words):
    (tmp_path / "llama").symlink_to(llama)
    (tmp_path / "prompts.txt").write_text("\n".join(TEXTS))
    (tmp_path / "study.toml").write_text(STUDY.format(said=said))
    experiment = catalogue.find(str(tmp_path / "study.toml"))
    result = Lab(tmp_path / "store", Inline()).run(experiment)
    [finding] = result.data.findings
    assert f", {words.format(load(str(llama)).decode([5]))}, 4 prompts" in finding.scope
    begin = without(llama) if "false" in said else by_itself(llama)
    assert finding.estimate == pytest.approx(np.mean(truth(llama, begin)["two"]), abs=1e-4)


def test_where_auto_tokenizer_cuts_otherwise_it_is_said(tmp_path):
    """Of a GPT2Tokenizer it keeps the vocabulary alone, and puts no space before a text."""
    folder = tiny_models.make(tmp_path / "gpt2", "gpt2")
    change(folder, "tokenizer.json", lambda j: j["pre_tokenizer"].update(add_prefix_space=True))
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = find(str(folder))
    texts = ["x = 20", " x = a", "y = 20"]
    differ = [t for t in texts if theirs(t)["input_ids"] != ours.tokenizer.encode(t)]
    assert differ == ["x = 20", "y = 20"]
    said = otherwise(ours, texts)
    assert said == (
        "transformers' AutoTokenizer (GPT2Tokenizer) cuts 2 of 3 texts otherwise than "
        "tokenizer.json, such as 'x = 20'; here they are cut as the file says"
    )
    assert not otherwise(ours, texts[1:2])

    (tmp_path / "prompts.txt").write_text("\n".join(texts))
    (tmp_path / "study.toml").write_text(STUDY.format(said="").replace("llama", "gpt2"))
    study = catalogue.find(str(tmp_path / "study.toml"))
    assert said in study.remarks
