"""Texts that a model samples: as often as the softmax says, alike in any batch, and what is counted
in them."""

import itertools
import re
from collections import Counter

import numpy as np
import pytest
import torch
from naive_models import measured, texts

from assay.ask.measure import reads
from assay.ask.tables import Read
from assay.ask.text import parsed
from assay.core.errors import DataError, ExperimentError, ModelError
from assay.subjects.pretrained import load

SHOWN = ("def add(a, b):", "class Point:\n    x", "b")


def test_tokens_come_as_often_as_the_softmax_says(llama):
    model, ids = load(str(llama.folder)), llama.ids(SHOWN[0])
    many = torch.tensor([ids] * 4000)
    drawn = model.generate(many, new=1, temperature=0.5, seeds=range(4000))
    with torch.no_grad():
        logits = llama.model(torch.tensor([ids])).logits[0, -1]
    share = np.bincount([new[0] for new in drawn], minlength=len(logits)) / 4000
    true = (logits / 0.5).softmax(-1).numpy()
    # each share is binomial; five standard errors of the commonest tokens
    common = true.argsort()[-20:]
    assert np.all(abs(share - true)[common] < 5 * np.sqrt(true[common] / 4000))
    alone = model.generate(many[:1], new=6, temperature=0.5, seeds=[7])
    assert model.generate(many[:9], new=6, temperature=0.5, seeds=range(9))[7] == alone[0]
    with pytest.raises(ModelError, match="sampled by a seed each"):
        model.generate(many[:2], new=1, temperature=0.5)


def test_runs_of_tokens_are_counted_in_what_is_written(llama):
    every = [
        Read(name="repeated", written="repeated", tokens=12, ngram=2),
        Read(name="tokens", written="repeated", tokens=12, ngram=1),
        Read(name="loops", written="loops", tokens=12, ngram=2),
        Read(name="warm", written="repeated", tokens=12, ngram=1, temperature=1.0),
        Read(name="cold", written="repeated", tokens=12, ngram=1, temperature=1e-4),
    ]
    found = measured(llama, texts(*SHOWN), every, seeds=(0, 1, 0))
    ends = {*load(str(llama.folder)).folder.ends}
    for p, text in enumerate(SHOWN):
        ids = llama.ids(text)
        new = []
        while len(new) < 12 and not ends & {*new}:
            new.append(int(llama.run([*ids, *new])[0][-1].argmax()))
        new = [t for t in new if t not in ends]
        pairs = Counter(itertools.pairwise(new))
        assert found["repeated"][0, p] == pytest.approx(1 - len(pairs) / max(1, pairs.total()))
        assert found["tokens"][0, p] == pytest.approx(1 - len({*new}) / len(new))
        assert found["loops"][0, p] == max(pairs.values(), default=0)
        assert found["cold"][:, p] == pytest.approx(found["tokens"][0, p])
    assert np.array_equal(found["warm"][0], found["warm"][2])
    assert not np.array_equal(found["warm"][0], found["warm"][1])


def test_letters_and_functions_are_of_the_text_that_is_written(llama, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def vowels(text, columns):\n"
        "    return sum(text.count(v) for v in 'aeiou') + len(columns['text'])\n"
        "def wrong(text):\n    return text\n"
        "def lost(logits):\n    return 0\n"
    )
    of_mine = {"written": "function", "tokens": 12}
    every = [
        Read(name="upper", written="uppercase", tokens=12),
        Read(name="length", written="tokens", tokens=12),
        Read(name="share", written="share", words=("X", " def", "a"), tokens=12),
        Read(name="vowels", function="mine.py:vowels", **of_mine),
    ]
    found = measured(llama, texts(*SHOWN), every, folder=tmp_path)
    ends = {*load(str(llama.folder)).folder.ends}
    for p, text in enumerate(SHOWN):
        ids, new = llama.ids(text), []
        while len(new) < 12 and not ends & {*new}:
            new.append(int(llama.run([*ids, *new])[0][-1].argmax()))
        new = [t for t in new if t not in ends]
        written = llama.tokenizer.decode(new, skip_special_tokens=False)
        upper = [letter.isupper() for letter in written if letter.isalpha()]
        assert found["upper"][p] == pytest.approx(np.mean(upper) if upper else 0)
        assert found["length"][p] == len(new)
        words = [word.lower() for word in re.findall(r"\w+", written)]
        assert found["share"][p] == pytest.approx(np.mean([w in ("x", "def", "a") for w in words]))
        vowels = sum(letter in "aeiou" for letter in written)
        assert found["vowels"][p] == vowels + len(text)
    for name, why in {
        "wrong": "mine.py:wrong returns 1 finite number of it",
        "lost": "takes 'logits'; it may take, by name, text, columns",
    }.items():
        with pytest.raises(DataError, match=why):
            read = Read(name="it", function=f"mine.py:{name}", **of_mine)
            measured(llama, texts(*SHOWN), [read], folder=tmp_path)
    for fields in ({"written": "function"}, {"written": "words", "function": "mine.py:vowels"}):
        with pytest.raises(DataError, match='has written = "function" and function'):
            reads.check(Read(name="it", **fields))


def test_a_list_of_words_is_read_from_a_file_and_has_single_words(tmp_path, llama):
    (tmp_path / "french.txt").write_text("le\n\nla \nle\n")
    study = """
question = "French?"
[[model]]
name = "smollm2"
[[prompts]]
rows = [{ text = "Bonjour" }]
[[read]]
name = "french"
written = "share"
words = "WORDS"
[[estimate]]
text = "How French"
value = "main.french"
"""
    path = tmp_path / "asked.toml"
    assert parsed(path, study.replace("WORDS", "french.txt")).study.read[0].words == ("le", "la")
    with pytest.raises(ExperimentError, match=r"asked.toml line 10 .*no file.*nowhere.txt"):
        parsed(path, study.replace("WORDS", "nowhere.txt"))
    for fields in ({"written": "share"}, {"written": "words", "words": ("le",)}):
        with pytest.raises(DataError, match='has written = "share" and words'):
            reads.check(Read(name="it", **fields))
    read = Read(name="it", written="share", words=("le", "parce que"))
    with pytest.raises(DataError, match="'parce que' is 2 words"):
        measured(llama, texts(*SHOWN), [read])
