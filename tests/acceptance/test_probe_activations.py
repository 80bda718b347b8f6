"""What a model gives to the check of a probe, against transformers' own numbers: its hidden states,
its table of embeddings, its logits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

import assay
import tiny_models
from assay.errors import DataError, ModelError

WORDS = ["add", "class", "Point", "return", "sum", "def", "the", "of"]
TEXTS = [f"{a} {b} x{i % 5}" for i, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS)]
SITE = "blocks.1.hook_resid_post"
QUESTION = "{text}. Is it code?"


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(request, tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("probed") / request.param, request.param)


@pytest.fixture(scope="module")
def parts(folder):
    file = str(folder / "tokenizer.json")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=file)
    return transformers.AutoModelForCausalLM.from_pretrained(folder).eval(), tokenizer


@pytest.fixture(scope="module")
def found(folder):
    return assay.activations(str(folder), TEXTS, SITE, question=QUESTION)


@pytest.fixture(scope="module")
def hidden(parts):
    """The hidden states of transformers for each text, [state, token, d]."""
    model, tokenizer = parts
    with torch.no_grad():
        outputs = [
            model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
            for text in TEXTS
        ]
    return [torch.stack(out.hidden_states)[:, 0].numpy() for out in outputs]


def test_its_values_are_the_hidden_states(folder, found, hidden):
    """hidden_states[k] is the stream before block k."""
    assert found.values.dtype == np.float32 and list(found.texts) == TEXTS
    assert found.values == pytest.approx(np.stack([h[2, -1] for h in hidden]), abs=1e-5)
    for position, of in (
        (0, lambda x: x[0]),
        (-2, lambda x: x[-2]),
        ("mean", lambda x: x[1:].mean(0)),
    ):
        own = assay.activations(str(folder), TEXTS[:6], SITE, position).values
        assert own == pytest.approx(np.stack([of(h[2]) for h in hidden[:6]]), abs=1e-5)


def test_heads_are_side_by_side(folder):
    z = assay.activations(str(folder), TEXTS[:3], "blocks.0.attn.hook_z").values
    (site,) = [s for s in assay.model(str(folder)).sites if str(s) == "blocks.0.attn.hook_z"]
    assert z.shape == (3, assay.model(str(folder)).width(site))


def test_embeddings_are_means_of_the_table(folder, parts, found):
    w = tiny_models.weights(folder)
    table = w["model.embed_tokens.weight"] if "model.embed_tokens.weight" in w else w["wte.weight"]
    own = [table[parts[1](text).input_ids].mean(0) for text in TEXTS]
    assert found.controls["embedding"] == pytest.approx(np.stack(own), abs=1e-6)


def test_answers_are_compared_by_their_logits(parts, found):
    model, tokenizer = parts
    yes, no = (tokenizer(answer).input_ids[0] for answer in (" yes", " no"))
    own = []
    for text in TEXTS:
        with torch.no_grad():
            asked = tokenizer(QUESTION.replace("{text}", text), return_tensors="pt")
            logits = model(**asked).logits[0, -1]
        own.append(float(logits[yes] - logits[no]))
    assert found.controls["asked"] == pytest.approx(own, abs=1e-4)


def test_every_way_to_give_a_model_is_the_same(folder, parts, found):
    """A folder, an opened model, one in memory; and none is changed by its untrained twin."""
    model, tokenizer = parts
    before = {name: x.clone() for name, x in model.state_dict().items()}
    for opened in (folder, assay.model(str(folder)), assay.model(model, tokenizer=tokenizer)):
        for _ in range(2):
            again = assay.activations(opened, TEXTS, SITE, question=QUESTION)
            assert np.array_equal(again.values, found.values)
            assert again.controls.keys() == {"embedding", "untrained", "asked"}
            for name, x in again.controls.items():
                assert np.array_equal(x, found.controls[name]), name
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
    apart = found.controls["untrained"] - found.values
    assert found.controls["untrained"].shape == found.values.shape and np.abs(apart).min() > 0


def test_without_a_way_to_draw_weights_no_twin(tmp_path):
    """The convolution of a Mamba has three axes."""
    model = tiny_models.make(tmp_path / "mamba", "mamba", num_hidden_layers=1)
    found = assay.activations(str(model), TEXTS[:2], "blocks.0.hook_resid_post")
    assert found.controls.keys() == {"embedding"}


@pytest.mark.thorough
def test_a_label_in_the_activations_alone_holds(found):
    """Planted along one direction of the values, by no text; the controls of the model miss it."""
    y = np.random.default_rng(0).permutation(np.arange(len(TEXTS)) % 2)
    v = 8 * found.values.std() * np.outer(2 * y - 1, np.eye(found.values.shape[1])[3])
    planted = replace(found, values=found.values + v)
    p = assay.check_probe(planted, y, groups=range(len(y)), holds="auroc > 0.9")
    assert p.outcome == "holds", p
    assert all(p.controls[n].outcome == "beaten" for n in ("embedding", "untrained", "asked"))


@pytest.mark.thorough
def test_a_label_in_the_tokens_is_unspecific(folder):
    """The digit at the end, in a mean of embeddings, those of the untrained twin included."""
    y = np.arange(len(TEXTS)) % 5 < 2
    X = assay.activations(folder, TEXTS, "blocks.0.hook_resid_pre", "mean")
    p = assay.check_probe(X, y, groups=range(len(y)), holds="auroc > 0.7")
    assert p.outcome == "unspecific", p
    assert all(p.controls[n].outcome == "satisfies" for n in ("embedding", "untrained"))


def test_which_site_hidden_states_are_from(folder, hidden):
    """hidden_states[1] is the output of block 0, and the last one that of the final norm."""

    def nearest(k):
        return assay.which_site(str(folder), TEXTS, np.stack([h[k, -1] for h in hidden]))

    one, last = nearest(1), nearest(-1)
    assert {*one} == {"blocks.0.hook_resid_post", "blocks.1.hook_resid_pre"}
    assert {*last} == {"ln_final.hook_normalized"}
    assert max([*one.values(), *last.values()]) < 1e-4


def test_the_nearest_site_is_first(folder, hidden):
    x = np.stack([h[2, -1] for h in hidden])
    noisy = x + 0.1 * x.std(0) * np.random.default_rng(0).normal(size=x.shape)
    (site, off), *_ = assay.which_site(str(folder), TEXTS, torch.tensor(noisy)).items()
    assert site in {"blocks.1.hook_resid_post", "blocks.2.hook_resid_pre"}
    assert off == pytest.approx(0.1, rel=0.1)


def test_activations_of_other_texts_are_of_no_site(folder, hidden):
    x = np.stack([h[1, -1] for h in hidden])
    assert assay.which_site(str(folder), TEXTS[::-1], x) == {}


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("no-texts", {"texts": "a text"}),
        ("no-texts", {"texts": []}),
        ("no-position", {"position": "last"}),
        ("no-question", {"question": "Is it code?"}),
        ("no-question", {"question": QUESTION, "answers": (" yes", " yes")}),
        ("no-question", {"question": QUESTION, "answers": (" yes", "")}),
    ],
)
def test_what_cannot_be_used_is_refused(folder, code, given):
    with pytest.raises(DataError) as refused:
        assay.activations(**{"model": str(folder), "texts": TEXTS[:2], "site": SITE} | given)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("code", "x"), [("wrong-shape", np.ones((2, 3))), ("same-rows", np.ones((2, 24)))]
)
def test_rows_that_are_no_activations_are_refused(folder, code, x):
    with pytest.raises(DataError) as refused:
        assay.which_site(str(folder), TEXTS[:2], x)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "site", ["blocks.9.hook_resid_post", "blocks.0.attn.hook_pattern", "layer 3"]
)
def test_sites_without_a_vector_are_refused(folder, site):
    with pytest.raises(ModelError):
        assay.activations(str(folder), TEXTS[:2], site)
