"""Chats: the tokens that a model reads are those of transformers' own apply_chat_template, with one
BOS; what stands in them has places; what a template does not take is refused by name."""

import dataclasses
import itertools

import pytest
import transformers

import chat_templates
from assay.ask.measure import prompts
from assay.ask.measure.tokenized import prompt
from assay.ask.tables import Message, Prompts
from assay.core.errors import AssayError, DataError, ModelError
from assay.subjects.folder import find

QUESTION = ({"country": "France", "asked": " of  France\n"},)
SHAPES = {
    "question": [("user", "What is the capital of {country}?")],
    "spaces": [("user", "  What is the capital{asked}  ")],
    "system": [("system", "Be brief."), ("user", "The capital of {country}?")],
    "turns": [
        ("user", "user user {country}"),
        ("assistant", "user"),
        ("user", "user {country} model\nassistant"),
    ],
    "answered": [("user", "The capital of {country}?"), ("assistant", "It is Paris.")],
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    base = tmp_path_factory.mktemp("chats")
    return {kind: chat_templates.make(base / kind, kind) for kind in chat_templates.FAMILIES}


def rows(messages, **more):
    table = Prompts(
        messages=tuple(Message(role=r, content=c) for r, c in messages),
        rows=more.pop("rows", QUESTION),
        **more,
    )
    return prompts.load(table, None).rows


def theirs(folder, messages, columns=QUESTION[0], **settings):
    """The tokens that transformers gives."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    filled = [{"role": r, "content": c.format(**columns)} for r, c in messages]
    ids = tokenizer.apply_chat_template(filled, tokenize=True, return_dict=False, **settings)
    return tuple(ids)


@pytest.mark.parametrize(
    ("kind", "shape"), itertools.product(chat_templates.FAMILIES, SHAPES), ids=str
)
def test_tokens_are_those_of_transformers(models, kind, shape):
    messages = SHAPES[shape]
    goes_on = messages[-1][0] != "assistant"
    expected = theirs(models[kind], messages, add_generation_prompt=goes_on)
    ours = prompt(find(str(models[kind])), rows(messages)[0])
    assert ours.tokens == expected
    bos = ours.folder.tokenizer.bos
    assert bos is None or ours.tokens.count(bos) == 1
    assert ours.opening == (0 if bos is None else 1)


@pytest.mark.parametrize("kind", chat_templates.FAMILIES)
@pytest.mark.parametrize("begun", ["The capital of {country} is", "Sure, "])
def test_an_answer_that_is_begun_goes_on(models, kind, begun):
    messages = SHAPES["question"]
    expected = theirs(
        models[kind],
        [*messages, ("assistant", begun)],
        add_generation_prompt=False,
        continue_final_message=True,
    )
    ours = prompt(find(str(models[kind])), rows(messages, assistant=begun)[0])
    assert ours.tokens == expected
    assert ours.at("{assistant}") == len(expected) - 1
    if begun != "Sure, ":
        text = ours.folder.tokenizer.decode([*ours.tokens, *ours.behind(" Paris").tokens])
        assert text.endswith("The capital of France is Paris")


@pytest.mark.parametrize("kind", chat_templates.FAMILIES)
def test_a_chat_template_in_the_tokenizers_settings_gives_the_same(models, kind, tmp_path):
    other = chat_templates.make(tmp_path / "other", kind, where="config")
    row = rows(SHAPES["turns"])[0]
    assert prompt(find(str(other)), row).tokens == prompt(find(str(models[kind])), row).tokens


@pytest.mark.parametrize("thinking", [True, False])
def test_thinking_is_obeyed_where_the_template_knows_it(models, thinking):
    messages = SHAPES["question"]
    expected = theirs(
        models["qwen3"], messages, add_generation_prompt=True, enable_thinking=thinking
    )
    row = rows(messages, thinking=thinking)[0]
    assert prompt(find(str(models["qwen3"])), row).tokens == expected
    with pytest.raises(ModelError, match="no enable_thinking and no thinking"):
        prompt(find(str(models["llama"])), row)


@pytest.mark.parametrize("kind", chat_templates.FAMILIES)
def test_places_are_where_the_words_end(models, kind):
    """The truth: what has been decoded up to the place ends with the words."""
    ours = prompt(find(str(models[kind])), rows(SHAPES["turns"])[0])

    def up_to(place):
        return ours.folder.tokenizer.decode(ours.tokens[: ours.at(place) + 1])

    assert up_to("{user}").endswith("user France model\nassistant")
    assert up_to("{assistant}").endswith("\nuser")
    assert up_to("{user}").count("France") == 2
    with pytest.raises(DataError, match="more than once"):
        up_to("{country}")
    one = prompt(find(str(models[kind])), rows(SHAPES["question"])[0])
    assert one.folder.tokenizer.decode(one.tokens[: one.at("{country}") + 1]).endswith("of France")
    spaced = prompt(find(str(models[kind])), rows(SHAPES["spaces"])[0])
    before = spaced.folder.tokenizer.decode(spaced.tokens[: spaced.at("{asked}") + 1])
    assert before.rstrip().endswith("of  France")


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_there_is_one_bos_or_none_where_that_is_said(models, kind):
    row = rows(SHAPES["question"])[0]
    plain = prompt(find(str(models[kind])), row)
    assert prompt(find(str(models[kind]), True), row).tokens == plain.tokens
    bare = prompt(find(str(models[kind]), False), row)
    assert (bare.tokens, bare.opening) == (plain.tokens[1:], 0)
    assert bare.at("{country}") == plain.at("{country}") - 1


def test_a_template_that_writes_bos_twice_is_refused(tmp_path):
    twice = "{{ bos_token }}" + chat_templates.LLAMA3
    folder = chat_templates.make(tmp_path / "twice", "llama", text=twice)
    with pytest.raises(DataError, match="2 times before the text"):
        prompt(find(str(folder)), rows(SHAPES["question"])[0])


def test_a_template_that_writes_the_date_of_the_day_asks_for_one(tmp_path):
    dated = (
        "{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}"
        "{%- endif %}{{- 'Today: ' + date_string }}" + chat_templates.LLAMA3
    )
    folder = chat_templates.make(tmp_path / "dated", "llama", text=dated)
    with pytest.raises(ModelError, match="write date ="):
        prompt(find(str(folder)), rows(SHAPES["question"])[0])
    row = rows(SHAPES["question"], date="26 Jul 2024")[0]
    expected = theirs(
        folder, SHAPES["question"], add_generation_prompt=True, date_string="26 Jul 2024"
    )
    assert prompt(find(str(folder)), row).tokens == expected


@pytest.mark.parametrize(
    ("kind", "messages", "what"),
    [
        ("gemma2", [("assistant", "Yes."), ("user", "So?")], "roles must alternate"),
        ("llama", [("user", "The {user}?")], "called as a role"),
    ],
)
def test_what_a_template_does_not_take_is_refused(models, kind, messages, what):
    with pytest.raises(AssayError, match=what):
        prompt(find(str(models[kind])), rows(messages)[0])


def test_a_model_without_a_template_is_no_chat_model(tmp_path):
    folder = chat_templates.make(tmp_path / "bare", "llama", where="")
    with pytest.raises(ModelError, match="no chat template"):
        prompt(find(str(folder)), rows(SHAPES["question"])[0])


def test_messages_and_text_are_not_both_said():
    with pytest.raises(DataError, match="not both"):
        prompts.load(Prompts(text="a", messages=(Message(role="user", content="b"),)), None)
    with pytest.raises(DataError, match="thinking of the prompts"):
        prompts.load(Prompts(text="a", thinking=True), None)


def test_another_template_is_another_input(models, tmp_path):
    from assay.subjects import chats

    changed = chat_templates.LLAMA3.replace("\n\n", "\n")
    other = chat_templates.make(tmp_path / "other", "llama", text=changed)
    assert chats.read(other).digest != chats.read(models["llama"]).digest
    row = rows(SHAPES["question"])[0]
    assert dataclasses.replace(row, text="") != row
