"""Three chat templates, written in the form of Llama 3's, Gemma's and Qwen 3's, and tiny models
that have them."""

import json

import tiny_models

LLAMA3 = (
    "{{- bos_token }}{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + "
    "message['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
GEMMA = (
    "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}"
    "{%- set first = messages[0]['content'] + '\n\n' -%}{%- set rest = messages[1:] -%}"
    "{%- else -%}{%- set first = '' -%}{%- set rest = messages -%}{%- endif -%}"
    "{%- for message in rest -%}"
    "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{%- endif -%}"
    "{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}"
    "{{ '<start_of_turn>' + role + '\n' + (first if loop.first else '') }}"
    "{{ message['content'] | trim }}{{ '<end_of_turn>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"
)
QWEN3 = (
    "{%- if messages[0].role == 'system' %}"
    "{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}{%- endif %}"
    "{%- for message in messages %}{%- if message.role == 'user' or "
    "(message.role == 'system' and not loop.first) %}"
    "{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}"
    "{%- elif message.role == 'assistant' %}"
    "{%- set content = message.content %}"
    "{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1] %}{%- endif %}"
    "{%- if loop.last %}"
    "{{- '<|im_start|>assistant\n<think>\n\n</think>\n\n' + content.lstrip('\n') }}"
    "{%- else %}{{- '<|im_start|>assistant\n' + content }}{%- endif %}"
    "{{- '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}"
)
TOKENS = {
    "llama": ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    "gemma2": ["<bos>", "<start_of_turn>", "<end_of_turn>"],
    "qwen3": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"],
}
TEMPLATES = {"llama": LLAMA3, "gemma2": GEMMA, "qwen3": QWEN3}
FAMILIES = tuple(TEMPLATES)


def make(folder, kind, *, text="", where="jinja", **changes):
    """A tiny chat model: its template, its special tokens, and its BOS, which Llama's and Gemma's
    tokenizers put before every text, and their templates as well."""
    names = TOKENS[kind]
    size = {"max_position_embeddings": 256, "vocab_size": 300 + len(names)}
    size |= {"head_dim": 8} if kind in ("gemma2", "qwen3") else {}
    tiny_models.make(folder, kind, **size | changes)
    _add(folder, names)
    bos = {} if kind == "qwen3" else {"bos_token": names[0]}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": names[-1], **bos}
    if where == "jinja":
        (folder / "chat_template.jinja").write_text(text or TEMPLATES[kind])
    elif where:
        config["chat_template"] = text or TEMPLATES[kind]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    if bos:
        from tokenizers import Tokenizer

        known = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tiny_models.put_first(folder, known.token_to_id(names[0]))
    return folder


def _add(folder, names):
    from tokenizers import AddedToken, Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken(n, special=True, normalized=False) for n in names])
    tokenizer.save(str(folder / "tokenizer.json"))
