"""What a model writes is what transformers' `generate` writes: it ends where that ends, and every
setting that changes the likeliest token is obeyed, or refused by name."""

import json

import pytest

from acceptance.test_writing import PROMPTS, model, usual, written
from assay.core.errors import ModelError
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.subjects.folder import find
from assay.subjects.pretrained import load
from folders import copied

__all__ = ["model"]


@pytest.fixture(scope="module")
def plain(model):
    return usual(model)


def settings(plain):
    """Each setting with values that matter here: the tokens are those that are written."""
    first, second = plain[0][0], plain[0][1]
    return {
        "eos_token_id": [first, [first], [second, 7], None, 7, [-1]],
        "repetition_penalty": [1.0, 1.3, 4.0],
        "no_repeat_ngram_size": [0, 1, 2],
        "bad_words_ids": [[[first]], [[first, second]]],
        "sequence_bias": [[[[first], -90.0]], [[[second], 30.0]]],
        "min_length": [0, 9],
        "min_new_tokens": [0, 6],
        "suppress_tokens": [[], [first, second]],
        "begin_suppress_tokens": [[first]],
        "forced_bos_token_id": [9],
        "forced_eos_token_id": [9],
        "exponential_decay_length_penalty": [[2, 4.0]],
        "remove_invalid_values": [True],
        "renormalize_logits": [True],
        "do_sample": [True],
        "temperature": [0.1, 5.0],
        "top_k": [1, 50],
        "top_p": [0.1],
        "min_p": [0.3],
        "typical_p": [0.3],
        "num_beams": [1, 3],
        "num_return_sequences": [1, 2],
        "length_penalty": [2.0],
        "early_stopping": [True],
        "guidance_scale": [1.0, 1.5],
        "penalty_alpha": [0.6],
        "dola_layers": ["high"],
        "stop_strings": ["a"],
        "max_time": [0.0],
        "max_length": [4],
        "max_new_tokens": [2],
        "use_cache": [False],
        "cache_implementation": ["static", "quantized"],
        "watermarking_config": [{"bias": 9.0}],
        "token_healing": [True],
        "pad_token_id": [0, 9],
        "bos_token_id": [9],
        "prompt_lookup_num_tokens": [2],
        "encoder_repetition_penalty": [1.0, 2.0],
        "encoder_no_repeat_ngram_size": [1],
        "output_scores": [True],
        "a_key_of_nobodys": [1],
    }


def test_an_end_that_is_no_token_is_refused(model, tmp_path):
    for i, end in enumerate(("</s>", [], [1.5], True)):
        folder = copied(model, tmp_path / f"m{i}")
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": end}))
        with pytest.raises(ModelError, match=r"generation_config\.json: eos_token_id must be"):
            find(str(folder)).check_weights()


STUDY = """
question = "Does it write on?"

[[model]]
name = "./m"

[[prompts]]
file = "prompts.txt"

[[read]]
name = "writes"
generates = ["{word}"]
tokens = 6

[[estimate]]
text = "Share"
value = "main.writes"
"""


def test_a_study_reads_what_is_written_before_the_end_and_says_what_ends_it(model, plain, tmp_path):
    """The chat model's second end is in generation_config.json alone: nothing behind it counts."""
    opened = load(str(model))
    written_after = opened.decode(plain[0][1:2]).strip()
    for name, end in (("first", 5), ("second", [5, plain[0][0]])):
        folder = copied(model, tmp_path / name / "m")
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": end}))
        (tmp_path / name / "prompts.txt").write_text(opened.decode(PROMPTS[0]))
        study = tmp_path / name / "study.toml"
        study.write_text(STUDY.replace("{word}", written_after))
        experiment = catalogue.find(str(study))
        [remark] = [r for r in experiment.remarks if "writing ends" in r]
        ends = opened.token_text(end if isinstance(end, list) else [end])
        assert remark == (
            f"writes: writing ends at {' or '.join(map(repr, ends))} (generation_config.json)"
        )
        result = Lab(tmp_path / name / "store", Inline()).run(experiment)
        before = [t for t in written(folder)[0][:6] if t not in (5, plain[0][0])]
        assert result.data.findings[0].estimate == float(written_after in opened.decode(before))
        assert result.data.findings[0].estimate == (name == "first")
