"""Every key of a model's folder is obeyed as transformers has it, or refused: never a third thing.
Of each family a share of keys and values here; all of them where tests are thorough."""

import json
from collections import Counter
from pathlib import Path

import pytest
from test_every_setting import FORMATS
from test_prompt_files import READ, REFUSED
from test_writing import settings, usual, written

from acceptance.test_every_key import NAMES, config_of, root
from assay.core.errors import AssayError, ModelError
from assay.subjects.folder import find
from assay.subjects.pretrained import load
from assay.subjects.writing import FILE
from folders import FAMILIES, copied, made, tokenizer_of
from keys import TEXTS, TOKENIZERS, as_json, config_cases, tokenizer_cases

__all__ = ["root"]


def ours(folder):
    """The tokens of each text, opening included, and the text of its own tokens."""
    model = find(str(folder))
    ids = [model.tokenizer.encode(text) for text in TEXTS]
    return [[[*model.opening, *own] for own in ids], [*map(model.tokenizer.decode, ids)]]


def theirs(folder):
    try:
        tokenizer = tokenizer_of(folder)
        own = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
        return [[tokenizer(text)["input_ids"] for text in TEXTS], [*map(tokenizer.decode, own)]]
    except Exception as error:  # whatever transformers raises
        return repr(error)


def try_tokenizer(root, family, which, part, parts):
    """What becomes of one case in so many of those of a tokenizer, counted. Raises: AssertionError
    for a third thing."""
    plain, tokenizer = made(root, family), as_json(TOKENIZERS[which]())
    before = None
    count = Counter()
    for i, (key, whole, files) in enumerate([("", tokenizer, {}), *tokenizer_cases(tokenizer)]):
        if i and i % parts != part:
            continue
        folder = copied(plain, root / f"{family}-{which}-{parts}-{i}")
        for name, value in ({"tokenizer.json": whole} | files).items():
            (folder / name).write_text(json.dumps(value))
        try:
            got = ours(folder)
        except AssayError:
            count["refused"] += 1
            continue
        assert got == theirs(folder), (family, TOKENIZERS[which].__name__, key, files)
        before = before or got
        count["idle" if got == before else "obeyed"] += 1
    return count


@pytest.mark.parametrize("family", FAMILIES)
def test_a_key_of_a_tokenizer(root, family):
    turn = NAMES.index(family)
    count = try_tokenizer(root, family, turn % 5, turn // 5, 4)
    assert sum(count.values()) >= 25 and count["obeyed"] >= 5, count


@pytest.mark.thorough
@pytest.mark.parametrize("which", range(5), ids=lambda i: TOKENIZERS[i].__name__)
def test_every_value_of_every_key_of_a_tokenizer(root, which):
    count = try_tokenizer(root, NAMES[which], which, 0, 1)
    assert sum(count.values()) >= 110 and min(count.values()) >= 5, count


WRITES = settings([[0, 1]])


def try_writing(root, family, names):
    """What becomes of each key of generation_config.json, with each value. Raises: AssertionError
    for a third thing."""
    plain = made(root, family)
    before = usual(plain)
    count = Counter()
    for name in names:
        for i, value in enumerate(settings(before)[name]):
            folder = copied(plain, root / f"{family}-{name}-{i}")
            (folder / FILE).write_text(json.dumps({"use_cache": True, name: value}))
            try:
                got = usual(folder)
            except AssayError as error:
                assert name in str(error), (family, name, value, error)
                count["refused"] += 1
                continue
            assert got == written(folder), (family, name, value)
            count["idle" if got == before else "obeyed"] += 1
    return count


@pytest.mark.parametrize("family", FAMILIES)
def test_a_key_of_generation_config_json(root, family):
    turn = NAMES.index(family)
    names = [*WRITES][turn::14]
    assert try_writing(root, family, names).total() >= len(names) >= 2


@pytest.mark.thorough
@pytest.mark.parametrize("family", FAMILIES)
def test_every_value_of_every_key_of_generation_config_json(root, family):
    count = try_writing(root, family, [*WRITES])
    assert min(count.values()) >= 5, count


def test_packed_weights_that_cannot_be_read_are_told_by_name(root):
    folder = copied(made(root, "llama"), root / "packed")
    packed = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
    (folder / "config.json").write_text(json.dumps(config_of(folder) | packed))
    with pytest.raises(ModelError, match=r"has quantization_config: save it with plain weights$"):
        load(str(folder))


def test_the_page_says_how_much_is_tried(root):
    configs = [config_cases(config_of(made(root, family))) for family in FAMILIES]
    keys = {key for cases in configs for key, _ in cases}
    tokenizers = [[*tokenizer_cases(as_json(make()))] for make in TOKENIZERS]
    of_tokenizers = {
        key.removesuffix(", opened").removesuffix(" with a list")
        for cases in tokenizers
        for key, *_ in cases
    }
    dictionaries = sum(len({*known.split(), *used}) for _, _, known, used in FORMATS.values())
    page = (Path(__file__).parents[2] / "docs/models.md").read_text()
    for said in (
        f"{len(FAMILIES)} families: {len(keys)} keys of config.json in "
        f"{sum(map(len, configs)):,} cases",
        f"{len(of_tokenizers)} tokenizer keys in {sum(map(len, tokenizers))} cases",
        f"{len(WRITES)} keys of generation_config.json",
        f"{dictionaries} [dictionary settings]",
        f"{len(READ) + len(REFUSED)} [prompt files]",
    ):
        assert said in " ".join(page.split()), said
