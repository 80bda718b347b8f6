"""A read and a change that sweep one dimension are measured at the same level of it."""

import numpy as np
import pytest
import torch
from naive_models import measured, texts
from test_study_asks import MOOD, folder, study  # noqa: F401 (a fixture)

from assay.ask.tables import Intervention, Read
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab

SHOWN = ("def add(a, b):", "class Point:\n    x", "return x + y")
HEADS = {"block": (0, 1, 2), "head": (0, 1, 2)}


def without(llama, text, block, head):
    """Log-probabilities at the last token, and the attention patterns, without a head."""
    width = llama.model.config.hidden_size // llama.model.config.num_attention_heads

    def hook(module, args):
        z = args[0].clone()
        z[..., head * width : (head + 1) * width] = 0
        return (z,)

    handle = llama.blocks[block].self_attn.o_proj.register_forward_pre_hook(hook)
    with torch.no_grad():
        out = llama.model(torch.tensor([llama.ids(text)]), output_attentions=True, use_cache=False)
    handle.remove()
    return out.logits[0, -1].log_softmax(-1).numpy(), [a[0].numpy() for a in out.attentions]


def test_each_head_is_read_where_it_is_ablated(llama):
    cut = Intervention(name="cut", ablate="zero", heads=("{block}.{head}",), sweep=HEADS)
    look = Read(name="look", heads=("{block}.{head}",), to=0, sweep=HEADS)
    some = Read(
        name="next", heads=("{of}.{head}",), to=0, sweep={"of": (1, 2), "head": HEADS["head"]}
    )
    answer = Read(name="answer", log_prob=" a")
    found = measured(llama, texts(*SHOWN), [look, answer, some], cut)
    assert found["look"].shape == found["answer"].shape == (3, 3, len(SHOWN))
    assert found["next"].shape == (3, 3, 2, len(SHOWN))
    token = llama.tokenizer.encode(" a", add_special_tokens=False).ids[0]
    for p, text in enumerate(SHOWN):
        for block, head in np.ndindex(3, 3):
            logs, patterns = without(llama, text, block, head)
            assert found["answer"][block, head, p] == pytest.approx(logs[token], abs=2e-5)
            look = patterns[block][head, -1, 0]
            assert found["look"][block, head, p] == pytest.approx(look, abs=2e-5)
            for k, of in enumerate((1, 2)):
                look = patterns[of][head, -1, 0]
                assert found["next"][block, head, k, p] == pytest.approx(look, abs=2e-5)


STRENGTHS = "sweep = { strength = [-2, -1, 0.5, 1, 2] }"
GROWS = (
    MOOD.replace('add = "mood"', f'add = "mood"\ncontrols = ["layer"]\n{STRENGTHS}')
    + f"""
[[read]]
name = "dose"
column = "{{strength}}"
{STRENGTHS}
"""
)


@pytest.mark.parametrize(
    ("holds", "outcome"),
    [
        ("spearman(steered.good, steered.dose, over=strength) > 0.9", "holds"),
        ("spearman(steered.good, steered.dose, over=strength) < 0.5", "fails"),
    ],
)
def test_what_was_planted_grows_with_the_strength(folder, holds, outcome, tmp_path):  # noqa: F811
    """The planted direction is read by the answer itself, so the ranks are the same, at 1."""
    path = study(folder, f"grows {outcome}", GROWS, holds)
    (judged,) = Lab(tmp_path, Inline()).run(catalogue.find(str(path))).judged
    assert judged.verdict.outcome == outcome
    assert judged.verdict.estimate == pytest.approx(1.0)
