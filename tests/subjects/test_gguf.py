"""GGUF conversion: a tiny file written by gguf's own writer becomes a folder with the logits of the
model it was made from."""

import json

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind

import tiny_models
from assay.core.cache import sha256
from assay.core.errors import ModelError
from assay.subjects.gguf import convert
from assay.subjects.pretrained import load

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
TOKENS = torch.tensor([[5, 17, 200, 3, 41, 41, 99, 12]])


def half(folder):
    """Rounds the matrices of a model folder to float16, which is what a conversion stores."""
    from safetensors.numpy import load_file, save_file

    w = load_file(folder / "model.safetensors")
    w = {k: v.astype(np.float16).astype(np.float32) if v.ndim == 2 else v for k, v in w.items()}
    save_file(w, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def model(request, tmp_path_factory):
    folder = tiny_models.make(
        tmp_path_factory.mktemp("m") / "llama", "llama", tie_word_embeddings=request.param, **SIZES
    )
    half(folder)
    return folder


def test_the_converted_model_has_the_logits_of_the_original(model, tmp_path):
    path = tiny_models.write_gguf(tmp_path / "tiny.gguf", model)
    made = convert(path, tmp_path / "made", name="Tiny", sha256=sha256(path))
    expected, _ = tiny_models.naive(model, TOKENS.numpy())
    got = load(str(made)).run(TOKENS).logits.double().numpy()
    assert np.abs(got - expected).max() < 2e-5 * np.abs(expected).max()
    assert sorted(p.name for p in made.iterdir()) == [
        "assay.json",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_matrices_are_kept_as_float16_and_norms_as_float32(model, tmp_path):
    from safetensors.numpy import load_file

    made = convert(
        tiny_models.write_gguf(tmp_path / "tiny.gguf", model), tmp_path / "made", name="Tiny"
    )
    for name, w in load_file(made / "model.safetensors").items():
        assert w.dtype == (np.float32 if "norm" in name else np.float16), name


def by_hand(raw, columns):
    """Q4_1 as its format says: 32 weights in 20 bytes, float16 scale and minimum, then low nibbles
    before high ones."""
    out = []
    for block in np.asarray(raw, np.uint8).reshape(-1, 20):
        scale, minimum = block[:4].view(np.float16).astype(np.float32)
        out += [scale * (byte & 15) + minimum for byte in block[4:]] + [
            scale * (byte >> 4) + minimum for byte in block[4:]
        ]
    return np.array(out, np.float32).reshape(-1, columns)


def test_four_bit_weights_are_what_their_bytes_say(model, tmp_path):
    from safetensors.numpy import load_file

    path = tiny_models.write_gguf(tmp_path / "tiny.gguf", model, Kind.Q4_1)
    made = convert(path, tmp_path / "made", name="Tiny")
    stored = {t.name: t for t in gguf.GGUFReader(path).tensors}["blk.1.ffn_down.weight"]
    got = load_file(made / "model.safetensors")["model.layers.1.mlp.down_proj.weight"]
    assert np.array_equal(got, by_hand(stored.data, 64).astype(np.float16))
    about = json.loads((made / "assay.json").read_text())
    assert about == {
        "name": "Tiny",
        "quantisation": "Q4_1",
        "licence": "mit",
        "gguf_sha256": sha256(path),
        "gguf": "tiny.gguf",
    }
    assert load(str(made)).provenance == "Tiny, 4-bit Q4_1"


def test_digits_are_split_one_by_one_where_the_file_says_smollm(model, tmp_path):
    split = load(
        str(convert(tiny_models.write_gguf(tmp_path / "a.gguf", model), tmp_path / "a", name="a"))
    )
    whole = load(
        str(
            convert(
                tiny_models.write_gguf(tmp_path / "b.gguf", model, pre="gpt-2"),
                tmp_path / "b",
                name="b",
            )
        )
    )
    text = "y = 2048\n"
    assert split.token_text(split.encode(text))[-5:] == ["2", "0", "4", "8", "\n"]
    assert "2048" in "|".join(whole.token_text(whole.encode(text))).replace(
        " ", ""
    )  # the tokenizer was trained on this line
    assert split.decode(split.encode(text)) == whole.decode(whole.encode(text)) == text


def test_the_folder_opens_by_transformers_alone(model, tmp_path):
    import transformers

    made = convert(
        tiny_models.write_gguf(tmp_path / "tiny.gguf", model), tmp_path / "made", name="Tiny"
    )
    opened = transformers.AutoModelForCausalLM.from_pretrained(made, dtype=torch.float32)
    assert torch.equal(opened(TOKENS).logits, load(str(made)).run(TOKENS).logits)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_a_file_cut_short_is_one_clear_line_and_leaves_nothing(model, tmp_path, share):
    path = tiny_models.write_gguf(tmp_path / "tiny.gguf", model)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match=r"not a complete GGUF file") as caught:
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
        (
            {"leave_out": ("blk.2.ffn_up", "output_norm")},
            "lacks model.layers.2.mlp.up_proj.weight, model.norm.weight",
        ),
    ],
)
def test_a_file_of_another_shape_says_which(model, tmp_path, options, message):
    path = tiny_models.write_gguf(tmp_path / "tiny.gguf", model, **options)
    with pytest.raises(ModelError, match=message):
        convert(path, tmp_path / "made", name="Tiny")
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.gguf"]


def test_a_wrong_hash_and_an_absent_file(model, tmp_path):
    path = tiny_models.write_gguf(tmp_path / "tiny.gguf", model)
    with pytest.raises(
        ModelError, match=f"sha256 should be {'0' * 64}, is {sha256(path)}; fetch it again"
    ):
        convert(path, tmp_path / "made", name="Tiny", sha256="0" * 64)
    with pytest.raises(ModelError, match=r"no GGUF file at"):
        convert(tmp_path / "none.gguf", tmp_path / "made", name="Tiny")
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.gguf"]


def counted(path, place, value):
    """The file with 64 bits at this place that say so much."""
    data = bytearray(path.read_bytes())
    data[place : place + 8] = value.to_bytes(8, "little")
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "place, value, message",
    [
        (
            8,
            10**12,
            "values and tensors in its header; at most 2,000,000 are read: ASSAY_LIMITS=500000 ",
        ),
        (
            16,
            3_000_000,
            (
                r"3,000,\d+ values and tensors in its header; at most 2,000,000 are read: "
                r"ASSAY_LIMITS=2 "
            ),
        ),
        (
            24,
            10**9,
            (
                "has 1,000,000,000 bytes in one text of its header; at most 1,048,576 are read: "
                "ASSAY_LIMITS=954 "
            ),
        ),
        (24, 2**20, "it ends within its header"),
        (4, 99, "does not begin with GGUF, version 2 or 3"),
    ],
)
def test_a_header_is_not_believed(model, tmp_path, place, value, message):
    path = tiny_models.write_gguf(tmp_path / "tiny.gguf", model)
    counted(path, place, value)
    with pytest.raises(ModelError, match=message) as caught:
        convert(path, tmp_path / "made", name="Tiny")
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.gguf"]


def test_an_array_without_end_is_told_at_once(model, tmp_path):
    path = tiny_models.write_gguf(tmp_path / "tiny.gguf", model)
    data = path.read_bytes()
    at = (
        data.index(b"tokenizer.ggml.token_type") + len(b"tokenizer.ggml.token_type") + 8
    )  # kind of the value, kind within, length
    counted(path, at, 2**60)
    with pytest.raises(ModelError, match="values and tensors in its header"):
        convert(path, tmp_path / "made", name="Tiny")
    path.write_bytes(data[: at - 4] + (9).to_bytes(4, "little") + data[at:])
    with pytest.raises(ModelError, match="an array of values of kind 9"):
        convert(path, tmp_path / "made", name="Tiny")
