"""A prompt's number does not depend on its neighbours: alone is as in any batch, to rounding, in
every family, with windows that texts outgrow and ropes that turn long texts otherwise. Truth:
transformers, one text at a time."""

from pathlib import Path

import numpy as np
import pytest
import torch

from acceptance.test_neighbours import BOUNDARY, CASES, models, texts
from assay import edits
from assay.ask.measure import measuring, prompts
from assay.ask.measure.tasks import Task
from assay.ask.tables import Intervention, Model, Prompts, Read
from assay.subjects.batches import run_many
from assay.subjects.site import Site
from assay.subjects.sizes import regime
from folders import log_prob, logits, model_of, tokenizer_of

__all__ = ["models"]


def off(x, y):
    return float(np.abs(np.asarray(x) - np.asarray(y)).max())


@pytest.mark.parametrize("case", CASES)
def test_alone_is_as_in_any_batch(models, case):
    model = models(case)
    plain = model_of(model.folder.path)
    site = Site("resid_pre", 1)
    added = edits.add(site, torch.linspace(-1, 1, model.width(site)), positions=-1)
    for shared in (0, 2):
        some = texts(shared)
        truth = [logits(plain, ids) for ids in some]
        alone = [run_many(model, [ids], [{}, added])[0] for ids in some]
        for order in (range(len(some)), [3, 0], [0, 5], [4, 2, 5, 1]):
            together = run_many(model, [some[p] for p in order], [{}, added])
            seen = run_many(model, [some[p] for p in order], capture=[site], logits=False)
            for p, traces, acts in zip(order, together, seen, strict=True):
                assert off(traces[0].logits[0], truth[p]) < 1e-3, (shared, p)
                for trace, by_itself in zip(traces, alone[p], strict=True):
                    assert off(trace.logits, by_itself.logits) < 1e-3, (shared, p)
                own = run_many(model, [some[p]], capture=[site], logits=False)[0][0]
                assert off(acts[0].acts[site], own.acts[site]) < 1e-4, (shared, p)


def test_answers_and_activations_of_a_prompt_near_the_length_are_its_own(models, tmp_path):
    """A prompt a token short of the length at which the rope changes: what is read at its end and
    within it is that of the short model, whatever its answers are; each token of an answer is read
    behind those before it."""
    model = models("phi3, long")
    plain, tokenizer = model_of(model.folder.path), tokenizer_of(model.folder.path)
    text = "a" * (BOUNDARY - 1)
    assert len(tokenizer(text)["input_ids"]) == BOUNDARY - 1
    rows = prompts.load(Prompts(rows=({"text": text}, {"text": "x = 1"})), Path())
    answer, ids = " return a + b", tokenizer(text)["input_ids"]
    reads = (
        Read(name="answer", log_prob=answer),
        Read(name="first", log_prob=" a"),
        Read(name="rank", rank=" a"),
        Read(name="along", entropy=True, site="blocks.1.hook_resid_post"),
        Read(name="head", pattern="1.1", to=0),
    )
    expected = {
        "answer": log_prob(plain, ids, tokenizer(text + answer)["input_ids"][len(ids) :]),
        "first": log_prob(plain, ids, tokenizer(text + " a")["input_ids"][len(ids) :]),
    }
    with torch.no_grad():
        out = plain(torch.tensor([ids]), output_attentions=True, output_hidden_states=True)
    row = out.logits[0, -1]
    expected["rank"] = 1 + int((row > row[tokenizer(" a")["input_ids"][0]]).sum())
    expected["head"] = float(out.attentions[1][0, 1, -1, 0])
    lens = plain.lm_head(plain.model.norm(out.hidden_states[2][0, -1])).double().log_softmax(-1)
    expected["along"] = float(-(lens.exp() * lens).sum())
    for some in (reads, reads[2:], reads[3:]):
        task = Task(Model(name=str(model.folder.path)), rows, some)
        numbers, _ = measuring.measure(
            task, np.array([0]), Path(), "cpu", False, lambda done, total: None
        )
        for read in some:
            assert numbers[read.name][1].reshape(-1)[0] == pytest.approx(
                expected[read.name], abs=1e-4
            ), read.name
    steered = Intervention(name="cut", ablate="zero", site="blocks.1.hook_mlp_out", position=-1)
    task = Task(Model(name=str(model.folder.path)), rows, reads, steered)
    together, _ = measuring.measure(
        task, np.array([0]), Path(), "cpu", False, lambda done, total: None
    )
    task = Task(Model(name=str(model.folder.path)), rows, reads[2:3], steered)
    alone, _ = measuring.measure(
        task, np.array([0]), Path(), "cpu", False, lambda done, total: None
    )
    assert off(together["rank"][1], alone["rank"][1]) == 0


def test_a_regime_is_told_by_the_length_alone(models):
    config = models("phi3, long").model.config
    assert regime(config, BOUNDARY) == (0,) and regime(config, BOUNDARY + 1) == (1,)
    assert regime(models("llama").model.config, 10**6) == ()
    dynamic = models("llama, dynamic").model.config
    assert regime(dynamic, 64) == (0,) and regime(dynamic, 65) == (65,)
