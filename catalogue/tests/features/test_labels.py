"""Labels of tokens, on source whose strings, comments, signatures and loops are marked by hand."""

from __future__ import annotations

import numpy as np

import tiny_models
from assay.data.corpus import Windows, load
from assay.subjects import folder as models
from assay_catalogue.features.labels import TASKS, characters, token_labels, window_labels

SOURCE = """def f(a, b: dict[str, int] = {"x": 1}) -> list[int]:  # a "comment"
    for i in a:
        print("é", i)
        i += 1
    while a: a = None
    return lambda q: q
"""


def inside(name, source=SOURCE):
    found = characters(source)
    return "".join(c for c, m in zip(source, found[name], strict=True) if m)


def test_what_is_marked():
    assert inside("string") == '"x""é"'
    assert inside("comment") == '# a "comment"'
    assert inside("signature") == 'def f(a, b: dict[str, int] = {"x": 1}) -> list[int]:'
    assert inside("loop") == '        print("é", i)\n        i += 1\na = None\n'
    assert inside("loop", "for é in y: pass\nz = 1\n") == "pass\n"
    assert inside("loop", "for i in (1,\n  2): f(); g()\n") == "f(); g()\n"
    assert inside("string", 'x = """a\nb"""\ny = 1\n') == '"""a\nb"""'
    assert (
        characters("def f(:\n") is None
        and characters("a = 1\r\n") is None
        and characters("x = '") is None
    )


def test_tokens_go_by_their_first_character_that_is_no_blank():
    texts = ["def", " f", "(", " # a", "#", " a", "\n    ", "    for", " i"]
    spans, at = [], 0
    for text in texts:
        at = SOURCE.index(text, at if text != "#" else 0)
        spans.append((at, at + len(text)))
    got = token_labels(SOURCE, np.array(spans))
    assert got["signature"].tolist() == [True] * 3 + [False] * 6
    assert got["comment"].tolist() == [False] * 3 + [True] * 3 + [False] * 3
    assert (
        got["newline"].tolist() == [False] * 5 + [True] + [False] * 3
    )  # " a" is followed by a line break
    assert set(got) == set(TASKS) and token_labels("def (", np.array([(0, 3)])) is None


def test_windows_get_the_labels_of_their_place_in_the_file(tmp_path):
    folder, texts = tiny_models.make(tmp_path / "model", "gpt2"), tmp_path / "texts"
    texts.mkdir()
    (texts / "good.py").write_text(SOURCE * 3)
    (texts / "bad.py").write_text("class class class\n" * 12)
    corpus, tokenizer = load(str(texts)), models.find(str(folder)).tokenizer
    parts = [
        corpus.windows(tokenizer.encode, p, context=8, count=0)
        for p in ("train", "validation", "test")
        if corpus.part(p)
    ]
    seen = 0
    for windows in parts:
        labels, known = window_labels(corpus, windows, tokenizer)
        for w, document in enumerate(windows.document):
            good = corpus.documents[document].path == "good.py"
            assert known[w].all() == known[w].any() == good
            if good:
                text = tokenizer.decode(windows.tokens[w].tolist())
                if "#" in text and '"' not in text:
                    at = tokenizer.token_text(windows.tokens[w].tolist())
                    hash_at = next(i for i, t in enumerate(at) if "#" in t)
                    assert labels["comment"][w, hash_at]
                    seen += 1
        assert not any(values[~known].any() for values in labels.values())
        first = windows.offset == 0
        moved = Windows(windows.tokens, windows.document, windows.offset - 1)  # behind a BOS
        behind, there = window_labels(corpus, moved, tokenizer)
        assert not there[first, 0].any()
        assert np.array_equal(there[first, 1:], known[first, :-1])
        assert all(np.array_equal(behind[n][first, 1:], labels[n][first, :-1]) for n in TASKS)
    assert seen
