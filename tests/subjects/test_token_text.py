"""The text of tokens one by one: together they read as the decoded sequence does."""

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

import tiny_models
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.evaluation.indexing import index
from assay.subjects import Tokenizer, load

WORDS = ["the", "gull", "left", "oslo", "under", "fay", "and", "carried", "lace"]
SENTENCE = " ".join(WORDS)


def words():
    """A tokenizer of whole words, without a decoder: decoding puts a space between them."""
    inner = tokenizers.Tokenizer(models.WordLevel({w: i for i, w in enumerate(["?", *WORDS])}, "?"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return inner


def parts_of_words():
    """BERT's way: what continues a word begins with ##."""
    vocab = ["[UNK]", *WORDS, "gu", "##ll", "##s"]
    inner = tokenizers.Tokenizer(
        models.WordPiece({w: i for i, w in enumerate(vocab)}, unk_token="[UNK]")
    )
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.decoder = decoders.WordPiece()
    return inner


def marked_spaces():
    """Llama's way: ▁ is a space, which decoding takes off the start of a text."""
    vocab = {w: i for i, w in enumerate(["?", "▁", *(f"▁{w}" for w in WORDS)])}
    inner = tokenizers.Tokenizer(models.WordLevel(vocab, "?"))
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    inner.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return inner


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (words, SENTENCE),
        (words, "the gull unknown left"),
        (parts_of_words, "the gulls left oslo"),
        (marked_spaces, SENTENCE),
        (marked_spaces, "the  gull left"),
    ],
)
def test_the_pieces_of_a_text_are_what_each_token_adds_to_its_decoding(make, text):
    tokenizer = Tokenizer(make())
    ids = tokenizer.encode(text)
    so_far = [tokenizer.decode(ids[:n]) for n in range(len(ids) + 1)]
    assert len(ids) >= 4
    assert [a + b for a, b in zip(so_far, tokenizer.pieces(ids), strict=False)] == so_far[1:]
    assert tokenizer.token_text(ids)[1:] == tokenizer.pieces(ids)[1:]
    assert tokenizer.pieces([]) == []


def test_bytes_of_a_character_are_each_one_mark(tmp_path):
    """Every character here outside ASCII is two to four tokens of a byte each."""
    tiny_models.save_tokenizer(tmp_path)
    tokenizer = Tokenizer(tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json")))
    text = "return é + €, 🙂 a"
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    each = [tokenizer.decode([i]) for i in ids]
    assert each.count("�") == 2 + 3 + 4
    assert tokenizer.pieces(ids) == tokenizer.token_text(ids) == each
    everything = range(len(tokenizer))
    assert tokenizer.token_text(everything) == [tokenizer.decode([i]) for i in everything]


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """A model that reads whole words, and an index of random features over a text of them."""
    root = tmp_path_factory.mktemp("words")
    model = tiny_models.make(root / "llama", "llama")
    words().save(str(model / "tokenizer.json"))
    rng = np.random.default_rng(0)
    (root / "texts").mkdir()
    for i in range(30):
        (root / "texts" / f"{i:02}.txt").write_text(" ".join(rng.choice(WORDS, 40)))
    import torch

    W = torch.nn.functional.normalize(
        torch.randn(1, 16, 24, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    site = "blocks.1.hook_resid_post"
    Dictionary(
        W.mT.contiguous(), torch.zeros(1, 16), W, torch.zeros(1, 24), ReLU(), sites=(site,)
    ).save(root / "one.safetensors")
    return model, index(
        root / "one.safetensors",
        model=model,
        text=root / "texts",
        root=root / "store",
        context=16,
        tokens=512,
        ablate=0,
    )


def test_contexts_and_names_of_whole_words_have_their_spaces(indexed):
    model, made = indexed
    tokenizer = load(str(model)).folder.tokenizer
    seen = 0
    for k in range(16):
        feature = made.feature(k)
        for example in feature.contexts:
            text = "".join(example.tokens)
            assert tokenizer.decode(tokenizer.encode(text)) == text.strip()
            assert set(text.split()) <= set(WORDS)
            seen += len(example.tokens)
    assert seen > 100
