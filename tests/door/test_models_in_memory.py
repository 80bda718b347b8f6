"""Models in memory: the same study on a folder and on the live object gives equal bytes; the object
stays as it was; and what it holds now is what it is known by."""

import pandas as pd
import pytest
import torch

import assay
import chat_templates
import tiny_models
from acceptance.test_models_in_memory import TOKENS, arms, folder, parts, wrap
from assay.core.errors import ExperimentError, ModelError
from assay.subjects.pretrained import load

__all__ = ["folder", "parts"]


def test_the_same_study_gives_equal_bytes(folder, parts, tmp_path):
    model, tokenizer = parts
    before = {n: p.clone() for n, p in model.named_parameters()}
    grads = {n: p.requires_grad for n, p in model.named_parameters()}
    here = assay.model(model, tokenizer=tokenizer)
    of_folder = assay.run(folder / "study.toml", root=tmp_path / "one")
    of_live = assay.run(folder / "study.toml", models={"./base": here}, root=tmp_path / "two")
    assert arms(of_folder) == arms(of_live)
    assert [j.verdict for j in of_folder.judged] == [j.verdict for j in of_live.judged]
    notes = [path.read_text() for path in (tmp_path / "one").rglob("readings/*/read.json")]
    assert notes
    assert not any(str(folder) in note or "model.safe" not in note for note in notes)
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    assert grads == {n: p.requires_grad for n, p in model.named_parameters()}


def test_dictionaries_are_measured_on_it_as_on_its_folder(folder, parts, tmp_path):
    """By the name of the folder, as it was opened, and as another library has it in memory."""
    model, tokenizer = parts
    here, opened = assay.model(model, tokenizer=tokenizer), load(str(folder / "base"))
    texts = tiny_models.write_texts(tmp_path / "texts", 12, lambda i: 2 + i % 3)
    (dictionary,) = assay.dictionaries.pca(torch.eye(model.config.hidden_size), 8)
    asked = {"text": texts, "site": "blocks.1.hook_resid_pre", "tokens": 300, "context": 12}
    tables, looks = [], []
    for k, given in enumerate((folder / "base", opened, here)):
        seen = {"model": given, "root": tmp_path / f"store{k}"}
        tables.append(assay.evaluate(dictionary, **asked, **seen).to_pandas())
        looks.append(assay.look("the sum of a is", dictionary, site=asked["site"], **seen))
    for table, look in zip(tables[1:], looks[1:], strict=True):
        pd.testing.assert_frame_equal(table, tables[0])
        assert look.features == looks[0].features
    with torch.no_grad():
        opened.model.model.layers[1].mlp.down_proj.weight *= 2
    for given, why in (model, "got LlamaForCausalLM"), (opened, "Pretrained, which was changed"):
        with pytest.raises(ModelError, match=why):
            assay.evaluate(dictionary, model=given, **asked)


def test_it_is_known_by_what_it_holds_now(parts):
    model, tokenizer = parts
    here = assay.model(model, tokenizer=tokenizer)
    first = here.folder.live.fingerprint
    assert first == assay.model(model, tokenizer=tokenizer).folder.live.fingerprint
    model.model.layers[1].mlp.up_proj.weight.data[0, 0] += 1
    assert here.folder.live.fingerprint != first


def test_hooks_of_its_owner_are_said_and_nothing_is_reused(parts):
    model, tokenizer = parts
    plain = assay.model(model, tokenizer=tokenizer).folder.live.fingerprint
    handle = model.model.layers[0].register_forward_hook(lambda m, a, out: out)
    here, again = (assay.model(model, tokenizer=tokenizer) for _ in range(2))
    handle_words = here.provenance
    assert "hooks of its owner's on model.layers.0" in handle_words
    assert len({plain, here.folder.live.fingerprint, again.folder.live.fingerprint}) == 3
    handle.remove()
    assert here.folder.live.fingerprint == plain


@pytest.mark.thorough
def test_what_a_bridge_does_of_its_own_is_said_or_done(tmp_path):
    made = chat_templates.make(tmp_path / "base", "qwen3")
    wrapped = wrap("transformer_lens", made)
    here = assay.model(wrapped)
    first = here.folder.live.fingerprint
    weight = next(p for n, p in wrapped.original_model.named_parameters() if "down_proj" in n)
    with torch.no_grad():
        weight[0, 0] += 1
    assert here.folder.live.fingerprint != first
    wrapped.add_hook("blocks.0.hook_resid_pre", lambda x, hook: 2 * x)
    with pytest.raises(ModelError, match="reset_hooks"):
        assay.model(wrapped)
    wrapped.reset_hooks()
    # folds norms and centres what is written and read
    wrapped.enable_compatibility_mode()
    folded = assay.model(wrapped).run(TOKENS).logits.log_softmax(-1)
    assert torch.allclose(folded, here.run(TOKENS).logits.log_softmax(-1), atol=1e-4)


def test_what_is_no_model_is_refused(parts, folder):
    model, tokenizer = parts
    with pytest.raises(ModelError, match="needs its tokenizer"):
        assay.model(model)
    with pytest.raises(ModelError, match="takes a name, a folder"):
        assay.model(torch.nn.Linear(2, 2), tokenizer=tokenizer)
    with pytest.raises(ModelError, match="in training"):
        assay.model(model.train(), tokenizer=tokenizer)
    here = assay.model(model.eval(), tokenizer=tokenizer)
    with pytest.raises(ExperimentError, match="did you mean"):
        assay.run(folder / "study.toml", models={"./bas": here})
