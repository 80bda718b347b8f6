"""The studies of docs/models.md, a chat model and a LoRA pair, run to a verdict on tiny models."""

import re
from pathlib import Path

import pytest

import chat_templates
import tiny_models
from acceptance import test_adapters
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab

ROOT = Path(__file__).parents[2]

BLOCKS = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "models.md").read_text(), re.DOTALL)
STUDIES = [block for block in BLOCKS if "[[claim]]" in block]


@pytest.mark.parametrize("block", STUDIES, ids=["chat", "adapter"])
def test_a_study_of_the_page_ends_in_a_verdict(block, tmp_path):
    base = tiny_models.make(tmp_path / "base", "llama")
    chat_templates.make(tmp_path / "chat", "qwen3")
    test_adapters.make_adapter(tmp_path / "lora", base, ["q_proj", "down_proj"])
    (tmp_path / "study.toml").write_text(block.replace('"smollm2"', '"./chat"'))
    experiment = catalogue.find(str(tmp_path / "study.toml"))
    result = Lab(tmp_path / "store", Inline()).run(experiment)
    [verdict] = [judged.verdict for judged in result.judged]
    assert verdict.outcome in ("holds", "fails", "undecided", "unspecific")
