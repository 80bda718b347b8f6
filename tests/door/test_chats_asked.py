"""Studies of chat models: from messages to a verdict, with the numbers that transformers gives;
what makes them is an input of every run; and what was sent is shown."""

import numpy as np
import pytest
import torch
import transformers

import chat_templates
from assay.ask.inputs import inputs
from assay.ask.model_study import ModelStudy
from assay.ask.planned import sent
from assay.ask.text import read
from assay.core.errors import ExperimentError
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.subjects import chats

COUNTRIES = ("France", "Spain", "Peru", "Chad", "Cuba", "Iran", "Oman", "Fiji", "Mali", "Togo")
STUDY = """
question = "Does it agree when it is asked?"
seeds = "1000:1006"

[[model]]
name = "./chat"

[[prompts]]
messages = [{ role = "user", content = "{tone} is {country} large?" }]
assistant = "I say"
slots = { tone = ["Well", "Now"], country = [COUNTRIES] }

[[read]]
name = "agrees"
log_prob = [" y", " n"]

[[claim]]
text = "It agrees"
holds = "main.agrees > 0"
threshold = "plan: no preference is 0"
""".replace("COUNTRIES", ", ".join(f'"{c}"' for c in COUNTRIES))


@pytest.fixture(scope="module", params=chat_templates.FAMILIES)
def folder(request, tmp_path_factory):
    base = tmp_path_factory.mktemp("asked")
    chat_templates.make(base / "chat", request.param)
    (base / "study.toml").write_text(STUDY)
    return base


def theirs(folder):
    """log P(y) − log P(n) behind the chat, by transformers alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "chat")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "chat").eval()
    numbers = []
    for tone in ("Well", "Now"):
        for country in COUNTRIES:
            messages = [
                {"role": "user", "content": f"{tone} is {country} large?"},
                {"role": "assistant", "content": "I say"},
            ]
            ids = tokenizer.apply_chat_template(
                messages, continue_final_message=True, return_dict=False
            )
            total = []
            for answer in (" y", " n"):
                more = tokenizer.encode(answer, add_special_tokens=False)
                with torch.no_grad():
                    logs = model(torch.tensor([[*ids, *more]])).logits[0].double().log_softmax(-1)
                total.append(sum(float(logs[len(ids) - 1 + k, t]) for k, t in enumerate(more)))
            numbers.append(total[0] - total[1])
    return np.array(numbers)


def test_a_chat_goes_from_messages_to_a_verdict(folder, tmp_path):
    assert len([line for line in STUDY.splitlines() if line]) <= 20
    result = Lab(tmp_path, Inline()).run(catalogue.find(str(folder / "study.toml")))
    measured = result.arms["main"]["agrees"].to_numpy()[0]
    np.testing.assert_allclose(measured, theirs(folder), atol=1e-4)
    [verdict] = [judged.verdict for judged in result.judged]
    assert verdict.outcome in ("holds", "fails", "undecided", "unspecific")


def test_the_template_is_part_of_what_a_run_reads(folder):
    questions = ModelStudy(read(folder / "study.toml"))
    read_by = inputs(questions, questions.specs("default", (1000,))[0])
    assert read_by["chat template 0"] == chats.read(folder / "chat").digest


def test_what_was_sent_is_shown(folder):
    first, second = sent(folder / "study.toml", 2)
    assert "".join(first.tokens[: first.positions["assistant"] + 1]).endswith("I say")
    assert "".join(first.tokens).count("Well is France large?") == 1
    assert second.positions["country"]


def test_thinking_that_no_template_knows_is_refused_with_its_line(folder):
    kind = chats.read(folder / "chat").text
    path = folder / "thinking.toml"
    path.write_text(STUDY.replace('assistant = "I say"', "thinking = false"))
    if "enable_thinking" in kind:
        catalogue.find(str(path))
        return
    with pytest.raises(ExperimentError, match=r"thinking\.toml.*line 8.*no enable_thinking"):
        catalogue.find(str(path))


def test_an_answer_of_another_chat_is_patched_in(folder, tmp_path):
    """The truth: with the pair's last stream what comes next is the pair's, whatever country was
    asked about."""
    swapped = STUDY.replace(
        'assistant = "I say"',
        'assistant = "I say"\ncorrupted = [{ role = "user", content = "{tone} is {tone} large?" }]',
    ).replace(
        "[[read]]",
        '[[intervene]]\nname = "patched"\npatch = "corrupted"\nsite = "blocks.2.hook_resid_post"\n'
        'position = -1\n[[read]]\nname = "unsure"\nentropy = true\n[[read]]',
    )
    swapped = swapped.replace("main.agrees > 0", "patched.unsure - main.unsure > 0")
    (folder / "swapped.toml").write_text(swapped)
    result = Lab(tmp_path, Inline()).run(catalogue.find(str(folder / "swapped.toml")))
    patched = result.arms["patched"]["unsure"].to_numpy()[0]
    tones = patched.reshape(2, len(COUNTRIES))
    np.testing.assert_allclose(tones, tones[:, :1].repeat(len(COUNTRIES), 1), atol=1e-4)
