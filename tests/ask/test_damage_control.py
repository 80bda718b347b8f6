"""Damage: a part that everything needs carries no fact, and one that carries a fact alone does."""

import math
import re
import string

import torch
from naive_asking import Naive, make
from safetensors.torch import load_file, save_file

from assay.ask.measure import damage
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab


def world(folder, *, needed):
    """A llama of two tasks: number 2 of the stream makes " x" likelier than " y", number 0 " a"
    than " b", which head 1.3 writes from number 1. The MLP of block 0 writes number 1 where it is
    `needed` by both tasks (head 1.2 writes number 2 from it), else number 2 itself."""
    path = make(folder, "llama") / "model.safetensors"
    w = load_file(path)
    tokenizer = Naive(folder).tokenizer
    embedding = w["model.embed_tokens.weight"]
    embedding[:, :4] = torch.tensor([0.0, 0.0 if needed else 3.0, 0.0, 3.0])
    for name, weight in w.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight[:4] = 0
        if "norm" in name:
            weight[:] = 1
    attention, mlp = "model.layers.1.self_attn.", "model.layers.0.mlp."
    w[attention + "v_proj.weight"][6:] = 0
    w[attention + "v_proj.weight"][6:, 1] = 1
    if needed:
        w[attention + "o_proj.weight"][2, 12:18] = 1
    w[attention + "o_proj.weight"][0, 18:24] = 1
    for name in ("gate_proj.weight", "up_proj.weight"):
        w[mlp + name][0] = 0
        w[mlp + name][0, 3] = 1
    w[mlp + "down_proj.weight"][1 if needed else 2, 0] = 2
    for number, texts in ((0, (" a", " b")), (2, (" x", " y"))):
        first, second = (tokenizer.encode(text)[0] for text in texts)
        w["lm_head.weight"][first] = 2 * torch.eye(24)[number]
        w["lm_head.weight"][second] = 0
    save_file(w, path, {"format": "pt"})
    return folder


STUDY = """
question = "Does this MLP carry it?"
[[model]]
name = "{model}"
[[prompts]]
text = "sum of {{letter}} ="
rows = [{rows}]
[[prompts]]
name = "other"
text = "return {{letter}}"
rows = [{others}]
[[read]]
name = "h"
log_prob = [" x", " y"]
[[intervene]]
name = "without"
ablate = "zero"
site = "blocks.0.hook_mlp_out"
damage = "other"
{controls}
[[claim]]
text = "Without this MLP x is less likely next to y"
holds = "without.h - main.h < -1"
threshold = "plan: a nat"
"""


def judged(folder, tmp_path, controls="", study=STUDY, end=" a"):
    """The judging of the claim, and what is noted with it."""
    rows = ", ".join(f'{{letter = "{x}"}}' for x in string.ascii_uppercase)
    others = ", ".join(f'{{letter = "{x}", end = "{end}"}}' for x in string.ascii_lowercase)
    path = tmp_path / "asks.toml"
    path.write_text(study.format(model=folder, rows=rows, others=others, controls=controls))
    result = Lab(tmp_path / "store", Inline()).run(catalogue.find(str(path)))
    return result.judged[0], result.notes


def test_the_total_of_its_progress_is_known_from_the_beginning(tmp_path, monkeypatch):
    in_parts, seen = damage._in_equal_parts, []
    watched = lambda tick, count: in_parts(lambda *progress: seen.append(progress), count)  # noqa: E731
    monkeypatch.setattr(damage, "_in_equal_parts", watched)
    judged(world(tmp_path / "needed", needed=True), tmp_path)
    (total,) = {total for _, total in seen}
    finished = [done for done, _ in seen]
    assert finished == sorted(finished) and finished[-1] == total


def test_a_part_that_everything_needs_is_unspecific(tmp_path):
    folder = world(tmp_path / "needed", needed=True)
    before, _ = judged(folder, tmp_path, 'controls = ["layer"]')
    assert before.outcome == "holds", (before.verdict, before.controls)
    after, notes = judged(folder, tmp_path)
    assert after.outcome == "unspecific", (after.verdict, after.controls)
    assert after.controls["without/damage"].outcome == "holds"
    assert any("the loss on unrelated text (other) changes by" in note for note in notes)


def test_a_part_that_carries_the_fact_alone_holds(tmp_path):
    folder = world(tmp_path / "alone", needed=False)
    after, _ = judged(folder, tmp_path)
    assert after.outcome == "holds", (after.verdict, after.controls)
    assert after.controls["without/damage"].outcome == "fails"


def test_a_model_that_only_guesses_on_unrelated_prompts_has_nothing_there_to_damage(tmp_path):
    """The token " b" is made so unlikely that the loss is above the logarithm of their number."""
    folder = world(tmp_path / "needed", needed=True)
    tokenizer, w = Naive(folder).tokenizer, load_file(folder / "model.safetensors")
    (b,) = tokenizer.encode(" b")
    w["lm_head.weight"][b] = -3 * torch.eye(24)[3]
    save_file(w, folder / "model.safetensors", {"format": "pt"})
    after, notes = judged(folder, tmp_path, end=" b")
    assert after.outcome == "holds" and "without/damage" not in after.controls
    (note,) = (note for note in notes if "cannot predict other" in note)
    guessing = math.log(len(tokenizer))
    assert f"gives {guessing:.3g}" in note and note.endswith("; this control is left out")
    assert float(re.search(r"its loss there is (\S+)", note)[1]) > guessing


def test_the_direction_in_which_a_claim_is_written_changes_nothing(tmp_path):
    folder = world(tmp_path / "needed", needed=True)
    rising = STUDY.replace("without.h - main.h < -1", "main.h - without.h > 1")
    after, _ = judged(folder, tmp_path, study=rising)
    assert after.outcome == "unspecific"


def test_the_plain_sentences_are_48_different_ones_with_ends():
    rows = damage.plain_sentences().rows
    assert len({row.text for row in rows}) == 48
    assert all(row.columns["end"].startswith(" ") for row in rows)
    assert all(row.text.startswith(row.columns["start"]) for row in rows)


DIRECTION = """
[[direction]]
name = "d"
site = "{site}"
{tokens}
[[read]]"""
CUT = 'ablate = "zero"\nsite = "blocks.0.hook_mlp_out"'


def test_taking_out_what_everything_reads_is_damage(tmp_path):
    """Number 3, which every embedding has, is all that the MLP of block 0 reads; number 2 at its
    end makes " x" likelier than " y", and nothing else."""
    for needed, site, tokens, outcome in (
        (True, "blocks.0.hook_resid_mid", 'embedding = " a"', "unspecific"),
        (False, "blocks.0.hook_resid_post", 'unembedding = [" x", " y"]', "holds"),
    ):
        folder = world(tmp_path / str(needed), needed=needed)
        direction = DIRECTION.replace("{site}", site).replace("{tokens}", tokens)
        study = STUDY.replace("[[read]]", direction).replace(CUT, 'project_out = "d"')
        found, _ = judged(folder, tmp_path, 'controls = ["damage"]', study=study)
        assert found.outcome == outcome, (found.verdict, found.controls)


COMPARED = """
[[model]]
name = "{second}"
label = "second"
[[prompts]]
name = "others"
text = "sum of {{letter}} is ="
rows = [{{rows}}]
[[diff]]
name = "gap"
{of}
intervention = "without"
[[read]]"""


def test_differences_under_a_change_have_the_control_too(tmp_path):
    folder = world(tmp_path / "needed", needed=True)
    second = world(tmp_path / "alone", needed=False)
    for of in ('models = ["main", "second"]', 'prompts = ["others", "prompts"]'):
        more = COMPARED.replace("{of}", of).replace("{second}", str(second))
        more = more.replace("{{rows}}", "{rows}")
        study = STUDY.replace("[[read]]", more).replace("without.h - main.h < -1", "gap.h < -1")
        found, _ = judged(folder, tmp_path, study=study)
        assert any(name.endswith("gap/damage") for name in found.controls), found.controls
        assert "left out" not in str(found.controls)
