"""Every key of a model's folder with values that may change a number. Nothing here knows what Assay
makes of one."""

import copy
import json

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

import tiny_models


def values(value):
    """Other values for a key that has this one: near ones, odd ones and nothing."""
    if isinstance(value, bool):
        return [not value, None]
    if isinstance(value, int):
        return [value + 1, max(1, value // 2), 0, None]
    if isinstance(value, float):
        return [value * 2 + 0.5, 0.0, None]
    if isinstance(value, str):
        return ["relu" if value != "relu" else "gelu", "nonsense", None]
    if isinstance(value, list):
        return [value[::-1], [], None]
    return [{}, None] if isinstance(value, dict) else [2, 0.5, True, "nonsense"]


ROPES = [
    {"rope_type": "linear", "factor": 3.0},
    {"rope_type": "dynamic", "factor": 3.0},
    {"rope_type": "yarn", "factor": 3.0, "original_max_position_embeddings": 8},
    {
        "rope_type": "llama3",
        "factor": 3.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8,
    },
    {"rope_type": "nonsense", "factor": 3.0},
    {"rope_type": "default", "partial_rotary_factor": 0.5},
]
CONFIG = {
    "sliding_window": 4,
    "use_sliding_window": True,
    "max_window_layers": 1,
    "layer_types": ["full_attention", "sliding_attention", "full_attention"],
    "attn_logit_softcapping": 0.5,
    "final_logit_softcapping": 0.5,
    "query_pre_attn_scalar": 3,
    "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    "rope_theta": 77.0,
    "partial_rotary_factor": 0.5,
    "tie_word_embeddings": True,
    "attention_bias": True,
    "mlp_bias": True,
    "hidden_act": "gelu",
    "hidden_activation": "relu",
    "activation_function": "relu",
    "head_dim": 8,
    "num_key_value_heads": 1,
    "rms_norm_eps": 0.3,
    "layer_norm_eps": 0.3,
    "layer_norm_epsilon": 0.3,
    "scale_attn_weights": False,
    "scale_attn_by_inverse_layer_idx": True,
    "n_inner": 17,
    "rotary_dim": 2,
    "use_parallel_residual": False,
    "rotary_pct": 0.5,
    "use_bidirectional_attention": True,
    "residual_in_fp32": False,
    "time_step_limit": [0.0, 0.1],
    "conv_kernel": 3,
    "use_conv_bias": False,
    "expand": 4,
    "logits_scaling": 3.0,
    "embedding_multiplier": 2.0,
    "multi_query": False,
    "vocab_size": 200,
    "max_position_embeddings": 8,
    "n_positions": 8,
    "num_hidden_layers": 2,
    "n_layer": 2,
    "num_attention_heads": 2,
    "original_max_position_embeddings": 6,
    "is_encoder_decoder": True,
    "is_decoder": False,
    "add_cross_attention": True,
    "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "auto_map": {"AutoModelForCausalLM": "x.Y"},
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "text_config": {"hidden_size": 8},
    "return_dict": False,
    "attn_implementation": "flash_attention_2",
    "output_attentions": True,
    "output_hidden_states": True,
    "use_cache": False,
    "attention_dropout": 0.5,
    "resid_pdrop": 0.5,
    "hidden_dropout": 0.5,
    "chunk_size_feed_forward": 2,
    "pretraining_tp": 2,
    "temperature": 0.5,
    "initializer_range": 0.5,
    "problem_type": "x",
    "id2label": {"0": "a"},
    "a_key_of_nobodys": 1,
}
"""Keys of config.json that some family has, each with one value, for all families."""
IDLE = {
    *("architectures", "attention_dropout", "dtype", "embd_pdrop", "resid_pdrop", "attn_pdrop"),
    *("initializer_range", "transformers_version", "use_cache", "return_dict", "problem_type"),
    *("hidden_dropout", "classifier_dropout", "output_attentions", "output_hidden_states"),
    *("chunk_size_feed_forward", "id2label", "pad_token_id", "bos_token_id", "a_key_of_nobodys"),
    *("time_step_floor", "time_step_init_scheme", "time_step_max", "time_step_min"),
    *(
        "time_step_scale",
        "rescale_prenorm_residual",
        "summary_activation",
        "summary_proj_to_labels",
    ),
    *("summary_first_dropout", "summary_type", "summary_use_proj", "temperature"),
}
"""Those that change no number in any family, so that one value in a few families will do."""


def config_cases(config):
    """Every key of a config.json with every value, as (key, value)."""
    cases = [(key, value) for key, own in config.items() for value in values(own)]
    cases += [(key, value) for key, value in CONFIG.items() if config.get(key) != value]
    rope = config.get("rope_parameters")
    if isinstance(rope, dict) and "rope_type" in rope:
        cases += [("rope_parameters", rope | other) for other in ROPES]
        cases += [("rope_parameters", rope | {key: v}) for key in rope for v in values(rope[key])]
    return cases


def some(config, turn, most):
    """Of so many keys one value each, another each turn: of the family's own keys that matter, and
    of others."""
    by_key = {}
    for key, value in config_cases(config):
        by_key.setdefault(key, []).append(value)
    keys = [key for key in by_key if key in config and key not in IDLE][: most - 6]
    rest = [key for key in by_key if key not in keys]
    start = turn * (most - len(keys)) % len(rest)
    keys += (rest[start:] + rest)[: most - len(keys)]
    return [
        (key, by_key[key][0 if "eps" in key else (turn + i) % len(by_key[key])])
        for i, key in enumerate(keys)
    ]


# tokenizers


SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]


def _trained(tokenizer, trainer):
    tokenizer.train_from_iterator([tiny_models.TEXT], trainer)
    return tokenizer


def byte_pairs():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return _trained(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=290, initial_alphabet=alphabet, special_tokens=SPECIAL, show_progress=False
        ),
    )


def pairs():
    """As Llama 2 has them: ▁ for a space, and bytes for what is not known."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return _trained(
        tokenizer, trainers.BpeTrainer(vocab_size=200, special_tokens=SPECIAL, show_progress=False)
    )


def words():
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return _trained(
        tokenizer, trainers.WordLevelTrainer(special_tokens=SPECIAL, show_progress=False)
    )


def unigrams():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=90, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    return _trained(tokenizer, trainer)


def word_pieces():
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    return _trained(
        tokenizer,
        trainers.WordPieceTrainer(vocab_size=120, special_tokens=SPECIAL, show_progress=False),
    )


TOKENIZERS = (byte_pairs, pairs, words, unigrams, word_pieces)
TEXTS = (
    "def add(a, b)",
    " x = 2048",
    "y  =  10\n",
    "<s>class</s> Point",
    "é中😀",
    "A b",
    "the<pad> sum",
    "a",
    "return a + b .",
    "xx ab",
)


def template(*single):
    """A post-processor that puts these around a text, which is "A"."""

    def of(name):
        what = "Sequence" if len(name) == 1 else "SpecialToken"
        return {what: {"id": name, "type_id": 0}}

    special = {
        token: {"id": token, "ids": [SPECIAL.index(token)], "tokens": [token]} for token in SPECIAL
    }
    return {
        "type": "TemplateProcessing",
        "single": [of(name) for name in single],
        "pair": [of("A"), of("B")],
        "special_tokens": special,
    }


_BYTES = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
PARTS = {
    "truncation": [
        {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    ],
    "padding": [
        {
            "strategy": strategy,
            "direction": "Left",
            "pad_to_multiple_of": 8,
            "pad_id": 3,
            "pad_type_id": 0,
            "pad_token": "<pad>",
        }
        for strategy in ({"Fixed": 12}, "BatchLongest")
    ],
    "normalizer": [
        {"type": "NFC"},
        {"type": "NFKC"},
        {"type": "Lowercase"},
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "StripAccents"},
        {"type": "Nobodys"},
    ],
    "pre_tokenizer": [
        None,
        {**_BYTES, "add_prefix_space": True},
        {**_BYTES, "add_prefix_space": False, "use_regex": False},
        {"type": "Whitespace"},
        {"type": "WhitespaceSplit"},
        {"type": "Digits", "individual_digits": True},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": False},
        {"type": "Punctuation", "behavior": "Isolated"},
    ],
    "post_processor": [
        template("<s>", "A"),
        template("<s>", "</s>", "A"),
        template("A", "</s>"),
        template("<s>", "A", "</s>"),
        template("A"),
        {**_BYTES, "add_prefix_space": True},
        {"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]},
        {
            "type": "RobertaProcessing",
            "sep": ["</s>", 2],
            "cls": ["<s>", 1],
            "trim_offsets": True,
            "add_prefix_space": False,
        },
        {
            "type": "Sequence",
            "processors": [{**_BYTES, "add_prefix_space": True}, template("<s>", "A")],
        },
    ],
    "decoder": [{"type": "Fuse"}, None],
    "version": ["2.0"],
    "a_key_of_nobodys": [3],
}
MODEL = {
    "dropout": [0.3, 0.0],
    "unk_token": [None, "a"],
    "continuing_subword_prefix": ["##", ""],
    "end_of_word_suffix": ["</w>"],
    "fuse_unk": [True, False],
    "byte_fallback": [True, False],
    "ignore_merges": [True],
    "max_input_chars_per_word": [3],
    "unk_id": [None, 1],
    "type": ["WordLevel", "Nobodys"],
}
TOLD = {
    "tokenizer_class": [
        None,
        "PreTrainedTokenizerFast",
        "TokenizersBackend",
        "GPT2Tokenizer",
        "LlamaTokenizer",
        "GemmaTokenizer",
        "BertTokenizer",
        "NobodysTokenizer",
    ],
    "add_bos_token": [True, False],
    "add_eos_token": [True],
    "add_prefix_space": [True],
    "bos_token": ["<s>", "def", {"content": "def", "lstrip": True, "__type": "AddedToken"}],
    "eos_token": ["</s>", "<|nobody|>"],
    "unk_token": ["<unk>", "a"],
    "pad_token": ["<pad>", "sum"],
    "mask_token": ["Point"],
    "image_token": ["sum"],
    "split_special_tokens": [True, False],
    "clean_up_tokenization_spaces": [True],
    "model_max_length": [3],
    "max_length": [3],
    "truncation": [True],
    "truncation_side": ["left"],
    "truncation_strategy": ["longest_first"],
    "tokenizer_truncation": [
        {"max_length": 3, "stride": 0, "strategy": "longest_first", "direction": "right"}
    ],
    "stride": [2],
    "padding": ["max_length"],
    "padding_side": ["left"],
    "legacy": [False],
    "do_lower_case": [True],
    "strip_accents": [True],
    "keep_accents": [False],
    "chat_template": ["{{x}}"],
    "extra_special_tokens": [["add"], {"image_token": "sum"}],
    "additional_special_tokens": [["class"], ["<s>"]],
    "errors": ["strict"],
    "add_special_tokens": [False],
    "sp_model_kwargs": [{"a": 1}],
    "model_input_names": [["input_ids"]],
    "auto_map": [{"AutoTokenizer": ["x.Y", None]}],
    "fast_tokenizer_files": [["tokenizer.json"]],
    "tokenizer_file": ["other.json"],
    "vocab_file": ["v.json"],
    "vocab": [{"a": 0}],
    "merges": [[]],
    "gguf_file": ["x.gguf"],
    "fix_mistral_regex": [True],
    "backend": ["tokenizers"],
    "name_or_path": ["x"],
    "spaces_between_special_tokens": [False],
    "post_processor": ["x"],
    "added_tokens_decoder": [
        {"1": AddedToken("<s>", special=True)},
        {"1": AddedToken("<s>", lstrip=True, rstrip=True, special=True)},
        {"5": AddedToken("def")},
        {},
    ],
    "a_key_of_nobodys": [1],
}
BESIDE = {
    "special_tokens_map.json": [
        {"bos_token": "<s>"},
        {"bos_token": "class"},
        {"additional_special_tokens": ["def", "sum"]},
        {"extra_special_tokens": ["def"]},
    ],
    "added_tokens.json": [{"def": 5}, {"<s>": 1}, {"brand new": 400}],
}


def tokenizer_cases(plain):
    """Every key with every value, as (key, tokenizer.json, the other files).

    Args:
        plain: a tokenizer.json.
    """

    def edited(**changes):
        return copy.deepcopy(plain) | changes

    model, more = plain["model"], len(plain["model"]["vocab"])
    for key, some_values in PARTS.items():
        for value in some_values:
            yield key, edited(**{key: value}), {}
    for key, some_values in MODEL.items():
        for value in some_values if key in model or key == "ignore_merges" else ():
            yield f"model.{key}", edited(model=model | {key: value}), {}
    if "merges" in model:
        yield "model.merges", edited(model=model | {"merges": model["merges"][:3]}), {}
    own = plain["added_tokens"]
    for content, special in (("sum", False), ("add", True)):
        token = {"id": more, "content": content, "special": special, "normalized": not special}
        token |= {"single_word": special, "lstrip": not special, "rstrip": special}
        yield "added_tokens", edited(added_tokens=[*own, token]), {}
    yield "added_tokens", edited(added_tokens=[]), {}
    opened = edited(post_processor=template("<s>", "A"))
    for key, some_values in TOLD.items():
        for value in some_values:
            told = {"tokenizer_config.json": {key: _listed(value)}}
            yield f"tokenizer_config: {key}", plain, told
            if "bos" in key or "eos" in key or key == "tokenizer_class":
                yield f"tokenizer_config: {key}, opened", opened, told
    for name, some_values in BESIDE.items():
        for value in some_values:
            yield name, plain, {name: value}
            listing = {"tokenizer_config.json": {"added_tokens_decoder": {}}}
            yield f"{name} with a list", plain, {name: value, **listing}


def _listed(value):
    """A value as JSON has it."""
    if not isinstance(value, dict):
        return value
    names = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    return {
        key: {name: getattr(token, name) for name in names}
        if isinstance(token, AddedToken)
        else token
        for key, token in value.items()
    }


def as_json(tokenizer):
    """A tokenizer.json."""
    return json.loads(tokenizer.to_str())
