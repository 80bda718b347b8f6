"""What the name of a model tells: which model it is, how it was tuned, how it was quantised; and
how two names are related."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from assay.subjects import fetch
from assay.subjects.folder import ModelFolder

_QUANTISED = re.compile(
    r"[-_. ](gguf|awq|gptq|fp8|nf4|mlx|bnb|int[48]|[2-8][-_ ]?bits?|i?q[2-8](?:_[0-9a-z]+)*)$",
    re.IGNORECASE,
)
_TUNED = re.compile(r"[-_. ](instruct|it|chat|sft|dpo|rlhf)(?=$|[-_. ]v?\d)", re.IGNORECASE)
_PLAIN = re.compile(r"[-_. ](base|pt|hf|f16|f32|bf16|fp16|fp32)$", re.IGNORECASE)
_UNQUANTISED = ("F16", "F32", "BF16", "F64")
_ALIASES = {"gpt2-small": "gpt2"}
"""Other names that TransformerLens gives."""
_CACHED = re.compile(r"models--[^/]+?--([^/]+)")
"""A repository's folder in the cache of huggingface_hub."""


@dataclass(frozen=True)
class ModelName:
    """A name taken apart, in lower case: `base` without what follows it, how it was tuned, how it
    was quantised ("" where not)."""

    base: str
    tuned: str = ""
    quantised: str = ""

    @classmethod
    def of(cls, text: str) -> ModelName:
        """Take a name like "HuggingFaceTB/SmolLM2-135M-Instruct-Q8_0" apart; whose it is does not
        count."""
        name, quantised = text.strip().rstrip("/").rpartition("/")[2], ""
        while match := _QUANTISED.search(name) or _PLAIN.search(name):
            name, quantised = (
                name[: match.start()],
                quantised if match.re is _PLAIN else match[1].lower(),
            )
        tuned = _TUNED.search(name)
        if tuned:
            name = name[: tuned.start()] + name[tuned.end() :]
        base = _PLAIN.sub("", name).lower()
        return cls(_ALIASES.get(base, base), tuned[1].lower() if tuned else "", quantised)


def differs(expected_name: str, folder: ModelFolder) -> str | None:
    """Say how this model differs from the one of that name, going by names; "" where it does not,
    None where the folder has no name.

    A folder may be called anything: its own name tells that it is that model, or a version of it,
    but never that it is another."""
    known = _stated(folder)
    # a bare name may be that of a model, and of a folder with another
    is_place = "/" in expected_name or not known
    if is_place and expected_name.rstrip("/") == folder.name.rstrip("/"):
        return ""
    if packaged := fetch.MODELS.get(expected_name):
        if folder.about.get("gguf_sha256") == packaged.gguf_sha256:
            return ""
        expected_name = packaged.model
    expected = ModelName.of(expected_name)
    names = [ModelName.of(name) for name in (known or _called(folder))]
    same = [name for name in names if name.base == expected.base]
    if not same:
        return "another model, by its name" if known else None
    if any(_way(folder, name) == (expected.tuned, expected.quantised) for name in same):
        return ""
    tuned, quantised = _way(folder, same[0])
    ways = ["tuned" if tuned else "untuned"] if tuned != expected.tuned else []
    ways += (
        [
            "quantised"
            if not expected.quantised
            else "otherwise quantised"
            if quantised
            else "unquantised"
        ]
        if quantised != expected.quantised
        else []
    )
    return f"{'an' if ways[0][0] in 'uo' else 'a'} {' and '.join(ways)} version of it, by its name"


def _way(folder: ModelFolder, name: ModelName) -> tuple[str, str]:
    """How the model is tuned and quantised: by its name, and by what its files say."""
    kind = str(folder.about.get("quantisation", ""))
    quantisation = "" if kind in _UNQUANTISED else kind.lower()
    settings: Any = folder.config.get("quantization_config")
    return name.tuned, quantisation or (
        str(settings.get("quant_method", "quantised"))
        if isinstance(settings, dict)
        else name.quantised
    )


def _stated(folder: ModelFolder) -> list[str]:
    """What the folder's files call the model; nothing where they do not."""
    origin = folder.config.get("_name_or_path")
    about_names = [str(folder.about["name"])] if folder.about.get("name") else []
    return about_names or (
        [origin]
        if isinstance(origin, str) and origin and not origin.startswith((".", "/", "~"))
        else []
    )


def _called(folder: ModelFolder) -> list[str]:
    """What the folder and those above it are called."""
    path = folder.path.absolute()
    cached = _CACHED.search(str(path))
    return [path.name, *([cached[1]] if cached else [])]
