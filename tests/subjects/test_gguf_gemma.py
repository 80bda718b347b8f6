"""Gemma 3 from GGUF: a tiny file, quantised as the real one is, becomes a folder with the tensors,
logits and tokens that it means; the real model reads code."""

import sysconfig
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.numpy import load_file, save_file

import tiny_models
from assay.core.cache import sha256
from assay.subjects.fetch import GEMMA3_270M
from assay.subjects.folder import find
from assay.subjects.gguf import convert
from assay.subjects.pretrained import load

WIDTH, LAYERS, HEADS, HEAD = 256, 6, 2, 128
WHOLE = ["<pad>", "<eos>", "<bos>", "<unk>", "\n", "\n\n", "  ", "   ", "    ", "<code>", "</code>"]
MERGED = ["▁r", "re", "ret", "retu", "retur", "return", "▁return", "in", "th", "the", "▁the", "▁a"]
MERGED += ["de", "def", "▁=", "==", "é日", "12"]
TEXTS = (
    "def add(a, b):\n\n   return the\tsum\n\n\n     in  return",
    " héllo 日本 é日本 🙂\r\n  ",
    "x == 1212 <code>a  b</code>\n<bos>",
    "",
    "a▁b",
)
STORED = {
    "self_attn.q_proj": ("attn_q", Kind.Q5_0),
    "self_attn.k_proj": ("attn_k", Kind.Q5_0),
    "self_attn.v_proj": ("attn_v", Kind.Q8_0),
    "self_attn.o_proj": ("attn_output", Kind.Q4_K),
    "mlp.gate_proj": ("ffn_gate", Kind.Q5_0),
    "mlp.up_proj": ("ffn_up", Kind.Q4_K),
    "mlp.down_proj": ("ffn_down", Kind.Q6_K),
    "self_attn.q_norm": ("attn_q_norm", None),
    "self_attn.k_norm": ("attn_k_norm", None),
    "input_layernorm": ("attn_norm", None),
    "post_attention_layernorm": ("post_attention_norm", None),
    "pre_feedforward_layernorm": ("ffn_norm", None),
    "post_feedforward_layernorm": ("post_ffw_norm", None),
    "model.embed_tokens": ("token_embd", Kind.Q8_0),
    "model.norm": ("output_norm", None),
}
"""transformers' names → GGUF's, and how the tensor is stored; as in the real file."""
BYTES = {Kind.Q4_K: (256, 144), Kind.Q6_K: (256, 210), Kind.Q5_0: (32, 22), Kind.Q8_0: (32, 34)}
"""Weights and bytes of a block."""
SCALE = {Kind.Q4_K: (0, 2, 2e-4), Kind.Q6_K: (208, 1, 1e-5), Kind.Q5_0: (0, 1, 6e-3)}
"""Where in a block its float16 scales stand, how many, and how large they are here."""


def blocks(kind, shape, draw):
    """Random bytes that are whole blocks of this kind, [rows, bytes]."""
    weights, size = BYTES[kind]
    raw = draw.integers(0, 256, (int(np.prod(shape)) // weights, size), dtype=np.uint8)
    place, count, scale = SCALE.get(kind, (0, 1, 1e-3))
    scales = (scale * draw.uniform(0.5, 1, (len(raw), count))).astype(np.float16)
    raw[:, place : place + 2 * count] = scales.view(np.uint8)
    return raw.reshape(shape[0], -1)


def vocabulary():
    """Tokens and their types: special ones, texts that are always whole, bytes, pieces, signs."""
    signs = sorted({sign for text in (*TEXTS, *MERGED) for sign in text if sign.isprintable()})
    signs = [sign for sign in signs if sign not in " 🙂日"]
    rest = list(dict.fromkeys(["▁", *MERGED, *signs]))
    tokens = [*WHOLE, *(f"<0x{byte:02X}>" for byte in range(256)), *rest]
    return tokens, [3] * 4 + [4] * (len(WHOLE) - 4) + [6] * 256 + [1] * len(rest)


def write(path, weights, raw):
    """A GGUF file of these tensors, norms larger by 1."""
    out = gguf.GGUFWriter(path, "gemma3")
    out.add_block_count(LAYERS)
    out.add_context_length(64)
    out.add_embedding_length(WIDTH)
    out.add_feed_forward_length(WIDTH)
    out.add_head_count(HEADS)
    out.add_head_count_kv(1)
    out.add_key_length(HEAD)
    out.add_value_length(HEAD)
    out.add_rope_freq_base(1e6)
    out.add_sliding_window(4)
    out.add_layer_norm_rms_eps(1e-6)
    out.add_license("gemma")
    out.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    tokens, types = vocabulary()
    out.add_tokenizer_model("llama")
    out.add_tokenizer_pre("default")
    out.add_token_list(tokens)
    out.add_token_scores([-1000.0 if kind in (3, 4) else 0.0 for kind in types])
    out.add_token_types(types)
    out.add_bos_token_id(2)
    out.add_eos_token_id(1)
    out.add_unk_token_id(3)
    out.add_pad_token_id(0)
    out.add_add_space_prefix(False)
    for name, w in weights.items():
        stem = stem_of(name)
        if name in raw:
            kind = STORED[part_of(name)][1]
            out.add_tensor(f"{stem}.weight", raw[name], raw_dtype=kind)
        else:
            out.add_tensor(f"{stem}.weight", w + np.float32(1))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


def part_of(name):
    part = name.removesuffix(".weight")
    return part.split(".", 3)[3] if part.startswith("model.layers.") else part


def stem_of(name):
    stem = STORED[part_of(name)][0]
    return f"blk.{name.split('.')[2]}.{stem}" if name.startswith("model.layers.") else stem


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder of transformers' with the tensors that gguf reads, these tensors, and the bytes."""
    folder = tiny_models.make(
        tmp_path_factory.mktemp("gemma") / "tiny",
        "gemma3_text",
        vocab_size=len(vocabulary()[0]),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=1,
        head_dim=HEAD,
        query_pre_attn_scalar=HEAD,
        sliding_window=4,
        layer_types=["sliding_attention"] * 5 + ["full_attention"],
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
        tie_word_embeddings=True,
    )
    draw = np.random.default_rng(3)
    weights, raw = load_file(folder / "model.safetensors"), {}
    for name, w in weights.items():
        kind = STORED[part_of(name)][1]
        if kind is None:
            # so that + 1 is exact
            weights[name] = (np.round(w * 256) / 256).astype(np.float32)
        else:
            raw[name] = blocks(kind, w.shape, draw)
            weights[name] = gguf.dequantize(raw[name], kind).reshape(w.shape)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder, weights, raw


@pytest.fixture(scope="module")
def path(tiny, tmp_path_factory):
    return write(tmp_path_factory.mktemp("file") / "tiny.gguf", *tiny[1:])


@pytest.fixture(scope="module")
def folder(path):
    return convert(path, path.parent / "converted", name="Tiny", sha256=sha256(path))


def test_every_tensor_is_what_its_bytes_say_and_logits_follow(tiny, folder):
    original, weights, _ = tiny
    converted = load_file(folder / "model.safetensors")
    assert converted.keys() == weights.keys()
    for name, w in weights.items():
        assert converted[name].dtype == np.float32
        assert np.array_equal(converted[name], w), name
    tokens = torch.tensor([[2, 270, 5, 281, 290, 8, 8, 277, 4, 279, 268]])
    expected = load(str(original)).run(tokens).logits
    assert torch.equal(load(str(folder)).run(tokens).logits, expected)
    assert load(str(folder)).provenance == "Tiny, Q4_K_M"


def test_texts_become_the_tokens_that_transformers_reads_in_the_file(path, folder):
    import transformers

    expected = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    tokenizer = find(str(folder)).tokenizer
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert ids == expected.encode(text, add_special_tokens=False), text
        assert tokenizer.decode(ids) == text.replace("▁", " ")
    pieces = tokenizer.token_text(tokenizer.encode("\n\n   return"))
    assert pieces == ["\n\n", "   ", "return"]  # no space is the word's


def library(name):
    return (Path(sysconfig.get_paths()["stdlib"]) / f"{name}.py").read_text()


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.skipif(GEMMA3_270M.present() is None, reason=GEMMA3_270M.absent)
def test_the_real_model_reads_code_and_keeps_its_text():
    model = load("gemma3-270m")
    assert (model.layers, model.fingerprint) == (18, GEMMA3_270M.gguf_sha256)
    for name in ("textwrap", "heapq", "json/decoder", "test/test_unicode_identifiers"):
        file = Path(sysconfig.get_paths()["stdlib"]) / f"{name}.py"
        text = file.read_text() if file.exists() else TEXTS[1]
        assert model.decode(model.encode(text)) == text
    tokens = torch.tensor([[2, *model.encode(library("json/decoder"))[:972]]])
    assert 1.5 < float(model.losses(tokens).mean()) < 2.5
    shuffled = tokens[:, torch.randperm(973, generator=torch.Generator().manual_seed(0))]
    assert float(model.losses(shuffled).mean()) > 5
