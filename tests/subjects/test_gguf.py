"""GGUF conversion: a tiny file written by gguf's own writer becomes a folder with the logits of the model it was made from."""

import json

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind

import tiny_models
from assay.core.errors import ModelError
from assay.subjects.gguf import convert, sha256_of
from assay.subjects.pretrained import load

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
TOKENS = torch.tensor([[5, 17, 200, 3, 41, 41, 99, 12]])


def interleave(w, heads):
    """What llama.cpp's converter does to query and key rows."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def write(path, folder, kind=Kind.F32, *, architecture="llama", pre="smollm", extra=(), leave_out=()):
    """The folder's model as a GGUF file whose matrices are of this kind."""
    tokens = json.loads((folder / "tokenizer.json").read_text())["model"]
    config = json.loads((folder / "config.json").read_text())
    out = gguf.GGUFWriter(path, architecture)
    out.add_block_count(config["num_hidden_layers"])
    out.add_context_length(64)
    out.add_embedding_length(32)
    out.add_feed_forward_length(64)
    out.add_head_count(4)
    out.add_head_count_kv(2)
    out.add_rope_freq_base(500.0)
    out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    out.add_license("mit")
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre(pre)
    vocab = sorted(tokens["vocab"], key=tokens["vocab"].get)
    out.add_token_list(vocab)
    out.add_token_types([3 if i == 0 else 1 for i in range(len(vocab))])
    out.add_token_merges([" ".join(m) for m in tokens["merges"]])
    for name, w in tiny_models.weights(folder).items():
        stem = name.removesuffix(".weight")
        if stem.startswith("model.layers."):
            _, _, layer, part = stem.split(".", 3)
            stem = f"blk.{layer}.{NAMES[part]}"
            if part.endswith(("q_proj", "k_proj")):
                w = interleave(w, 4 if "q_proj" in part else 2)
        else:
            stem = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}[stem]
        if stem in leave_out:
            continue
        raw = np.ascontiguousarray(w, np.float32)
        if w.ndim == 1 or kind == Kind.F32:
            out.add_tensor(f"{stem}.weight", raw)
        else:
            out.add_tensor(f"{stem}.weight", gguf.quants.quantize(raw, kind), raw_dtype=kind)
    for stem in extra:
        out.add_tensor(f"{stem}.weight", np.ones(32, np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


def half(folder):
    """Rounds the matrices of a model folder to float16, which is what a conversion stores."""
    from safetensors.numpy import load_file, save_file

    w = load_file(folder / "model.safetensors")
    w = {k: v.astype(np.float16).astype(np.float32) if v.ndim == 2 else v for k, v in w.items()}
    save_file(w, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def model(request, tmp_path_factory):
    folder = tiny_models.make(tmp_path_factory.mktemp("m") / "llama", "llama", tie_word_embeddings=request.param, **SIZES)
    half(folder)
    return folder


def test_the_converted_model_has_the_logits_of_the_original(model, tmp_path):
    path = write(tmp_path / "tiny.gguf", model)
    made = convert(path, tmp_path / "made", name="Tiny", sha256=sha256_of(path))
    expected, _ = tiny_models.naive(model, TOKENS.numpy())
    got = load(str(made)).run(TOKENS).logits.double().numpy()
    assert np.abs(got - expected).max() < 2e-5 * np.abs(expected).max()
    assert sorted(p.name for p in made.iterdir()) == ["assay.json", "config.json", "model.safetensors", "tokenizer.json"]
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_matrices_are_kept_as_float16_and_norms_as_float32(model, tmp_path):
    from safetensors.numpy import load_file

    made = convert(write(tmp_path / "tiny.gguf", model), tmp_path / "made", name="Tiny")
    for name, w in load_file(made / "model.safetensors").items():
        assert w.dtype == (np.float32 if "norm" in name else np.float16), name


def by_hand(raw, columns):
    """Q4_1 as its format says: 32 weights in 20 bytes, float16 scale and minimum, then low nibbles before high ones."""
    out = []
    for block in np.asarray(raw, np.uint8).reshape(-1, 20):
        scale, minimum = block[:4].view(np.float16).astype(np.float32)
        out += [scale * (byte & 15) + minimum for byte in block[4:]] + [scale * (byte >> 4) + minimum for byte in block[4:]]
    return np.array(out, np.float32).reshape(-1, columns)


def test_four_bit_weights_are_what_their_bytes_say(model, tmp_path):
    from safetensors.numpy import load_file

    path = write(tmp_path / "tiny.gguf", model, Kind.Q4_1)
    made = convert(path, tmp_path / "made", name="Tiny")
    stored = {t.name: t for t in gguf.GGUFReader(path).tensors}["blk.1.ffn_down.weight"]
    got = load_file(made / "model.safetensors")["model.layers.1.mlp.down_proj.weight"]
    assert np.array_equal(got, by_hand(stored.data, 64).astype(np.float16))
    about = json.loads((made / "assay.json").read_text())
    assert about == {
        "name": "Tiny",
        "quantisation": "Q4_1",
        "licence": "mit",
        "gguf_sha256": sha256_of(path),
        "gguf": "tiny.gguf",
    }
    assert load(str(made)).provenance == "Tiny, 4-bit Q4_1"


def test_digits_are_split_one_by_one_where_the_file_says_smollm(model, tmp_path):
    split = load(str(convert(write(tmp_path / "a.gguf", model), tmp_path / "a", name="a")))
    whole = load(str(convert(write(tmp_path / "b.gguf", model, pre="gpt-2"), tmp_path / "b", name="b")))
    text = "y = 2048\n"
    assert split.token_text(split.encode(text))[-5:] == ["2", "0", "4", "8", "\n"]
    assert "2048" in "|".join(whole.token_text(whole.encode(text))).replace(" ", "")  # the tokenizer was trained on this line
    assert split.decode(split.encode(text)) == whole.decode(whole.encode(text)) == text


def test_the_folder_opens_by_transformers_alone(model, tmp_path):
    import transformers

    made = convert(write(tmp_path / "tiny.gguf", model), tmp_path / "made", name="Tiny")
    opened = transformers.AutoModelForCausalLM.from_pretrained(made, dtype=torch.float32)
    assert torch.equal(opened(TOKENS).logits, load(str(made)).run(TOKENS).logits)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_a_file_cut_short_is_one_clear_line_and_leaves_nothing(model, tmp_path, share):
    path = write(tmp_path / "tiny.gguf", model)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match=r"no whole GGUF file") as caught:
        convert(path, tmp_path / "made", name="Tiny")
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.gguf"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"architecture": "falcon"}, "holds a falcon model"),
        ({"pre": "qwen2"}, "tokenizer gpt2 with pre-tokenizer qwen2"),
        ({"extra": ("blk.0.attn_sinks",)}, "unknown tensors blk.0.attn_sinks.weight"),
        ({"extra": ("rope_freqs",)}, "scales its rope frequencies"),
        ({"leave_out": ("blk.2.ffn_up", "output_norm")}, "lacks model.layers.2.mlp.up_proj.weight, model.norm.weight"),
    ],
)
def test_a_file_of_another_shape_says_which(model, tmp_path, options, message):
    path = write(tmp_path / "tiny.gguf", model, **options)
    with pytest.raises(ModelError, match=message):
        convert(path, tmp_path / "made", name="Tiny")
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.gguf"]


def test_a_wrong_hash_and_an_absent_file(model, tmp_path):
    path = write(tmp_path / "tiny.gguf", model)
    with pytest.raises(ModelError, match=f"sha256 should be {'0' * 64}, is {sha256_of(path)}; fetch it again"):
        convert(path, tmp_path / "made", name="Tiny", sha256="0" * 64)
    with pytest.raises(ModelError, match=r"no GGUF file at"):
        convert(tmp_path / "none.gguf", tmp_path / "made", name="Tiny")
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.gguf"]
