"""ModelFolder: a language model on disk, its identity, sizes and tokenizer, without loading its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.errors import DataError, ModelError
from assay.subjects import fetch, hashes
from assay.subjects.site import KINDS, Site

# config names of the sizes, for the architectures whose modules Assay knows where to hook
_LLAMA = {"layers": "num_hidden_layers", "d": "hidden_size", "m": "intermediate_size", "h": "num_attention_heads"}
_GPT2 = {"layers": "n_layer", "d": "n_embd", "m": "n_inner", "h": "n_head"}
_SIZES = {"llama": _LLAMA, "mistral": _LLAMA, "qwen2": _LLAMA, "gpt2": _GPT2}
_MOST_LAYERS, _MOST = 1_000, 1_000_000
"""What a file may claim of a model before anything is made as large as it says; known models have 126 blocks and widths of 53,248."""
_SPOKEN = {"Q4_0": "4-bit Q4_0", "Q4_1": "4-bit Q4_1", "Q5_0": "5-bit Q5_0", "Q5_1": "5-bit Q5_1", "Q8_0": "8-bit Q8_0"}


def find(name: str) -> ModelFolder:
    """The model folder for "smollm2" or a path. Raises: ModelError when it is absent, incomplete or of another shape."""
    folder = fetch.find_smollm2() if name == fetch.NAME else Path(name).expanduser()
    if not folder.is_dir():
        raise ModelError(f"no model {name!r}; give {fetch.NAME} or a folder with config.json, tokenizer.json and *.safetensors")
    lacking = [f for f in ("config.json", "tokenizer.json") if not (folder / f).is_file()]
    weights = tuple(sorted(folder.glob("*.safetensors")))
    if lacking or not weights:
        raise ModelError(f"model folder {folder} lacks {', '.join(lacking or ['*.safetensors'])}")
    config = _json(folder / "config.json")
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in _SIZES:
        raise ModelError(f"{folder} holds a model of type {kind}; Assay can hook {', '.join(_SIZES)}")
    needed = [key for size, key in _SIZES[kind].items() if size != "m" or kind != "gpt2"]
    absent = [key for key in needed if not isinstance(config.get(key), int)]
    if absent:
        raise ModelError(f"{folder / 'config.json'} lacks the number {', '.join(absent)}")
    for size, key in _SIZES[kind].items():
        most = _MOST_LAYERS if size == "layers" else _MOST
        if (found := config.get(key)) is not None and not (isinstance(found, int) and 1 <= found <= most):
            raise ModelError(f"{folder / 'config.json'}: {key} is a number from 1 to {most:,}, got {str(found)[:40]}")
    about = _json(folder / "assay.json") if (folder / "assay.json").is_file() else {}
    return ModelFolder(name, folder, weights, config, about)


def fingerprint(name: str) -> str:
    """SHA-256 that identifies a model; SmolLM2's is that of its GGUF file and needs no file at all."""
    return fetch.GGUF_SHA256 if name == fetch.NAME else find(name).fingerprint


@dataclass(frozen=True, eq=False)
class ModelFolder:
    """What a folder says about its model: sizes, sites, tokenizer and where the weights came from."""

    name: str
    path: Path
    weights: tuple[Path, ...]
    config: dict[str, Any] = field(repr=False)
    about: dict[str, Any] = field(repr=False)

    @property
    def architecture(self) -> str:
        """transformers' model type, e.g. "llama"."""
        return str(self.config["model_type"])

    def _size(self, letter: str) -> int | None:
        return self.config.get(_SIZES[self.architecture][letter])

    @property
    def layers(self) -> int:
        """Number of blocks."""
        return self._size("layers") or 0

    def shape(self, site: Site) -> tuple[int, ...]:
        """Sizes of a site's axes after batch and sequence: (d,), (m,) or (h, e). Raises: ModelError for an absent site."""
        self.check(site)
        d, h = self._size("d") or 0, self._size("h") or 1
        sizes = {"d": d, "m": self._size("m") or 4 * d, "h": h, "e": self.config.get("head_dim") or d // h}
        return tuple(sizes[axis] for axis in site.dims.split()[2:])

    def width(self, site: Site) -> int:
        """Numbers per token at a site."""
        out = 1
        for size in self.shape(site):
            out *= size
        return out

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every site, in the order in which a forward pass meets them."""
        blocks = tuple(Site(kind, layer) for layer in range(self.layers) for kind in KINDS[:-1])
        return (*blocks, Site(KINDS[-1]))

    def check(self, site: Site) -> None:
        """Raises: ModelError when the site's layer is beyond the model's last block."""
        if site.layer is not None and not 0 <= site.layer < self.layers:
            raise ModelError(f"{site} does not exist: {self.name} has {self.layers} blocks, 0 to {self.layers - 1}")

    @property
    def mend(self) -> str:
        """What to do about a damaged folder."""
        return "run `assay fetch smollm2` again" if self.name == fetch.NAME else "copy the folder again"

    def check_weights(self) -> None:
        """Raises: ModelError when a weights file is no whole safetensors file; reads headers only."""
        from safetensors import SafetensorError, safe_open

        for path in self.weights:
            try:
                with safe_open(path, framework="numpy"):
                    pass
            except (SafetensorError, OSError) as error:
                raise ModelError(f"{path} is no whole safetensors file ({str(error)[:80]}); {self.mend}") from error

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer. Raises: ModelError when tokenizer.json is damaged."""
        return _tokenizer(self.path / "tokenizer.json")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 that identifies the model: that of SmolLM2's GGUF file, or one over config, tokenizer and weights."""
        if self.name == fetch.NAME and "gguf_sha256" in self.about:  # of any other folder the weights may be others by now
            return str(self.about["gguf_sha256"])
        self.check_weights()  # before anything is planned with a broken model
        files = (self.path / "config.json", self.path / "tokenizer.json", *self.weights)
        return hashlib.sha256(" ".join(_hash(p, p.stat().st_mtime_ns) for p in files).encode()).hexdigest()

    @property
    def provenance(self) -> str:
        """What to call the model in a report, quantisation included: "SmolLM2-135M-Instruct, 4-bit Q4_1"."""
        if "quantisation" not in self.about:
            return str(self.about.get("name") or f"{self.path.name} ({self.architecture}, local folder)")
        return f"{self.about['name']}, {_SPOKEN.get(self.about['quantisation'], self.about['quantisation'])}"


@lru_cache(maxsize=64)
def _hash(path: Path, modified: int) -> str:
    return hashes.sha256(path)


@lru_cache(maxsize=8)
def _tokenizer(path: Path) -> Tokenizer:
    import tokenizers

    try:
        return Tokenizer(tokenizers.Tokenizer.from_file(str(path)))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(f"{path} is no tokenizer: {str(error)[:100]}") from error


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Text ↔ token ids, without any token added at the start or the end."""

    inner: Any

    def encode(self, text: str) -> list[int]:
        """The token ids of a text; no BOS."""
        return self.inner.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens included."""
        return self.inner.decode([int(i) for i in ids], skip_special_tokens=False)

    def token_text(self, ids: Sequence[int]) -> list[str]:
        """The text of each token by itself; a token that is a part of one character reads as �."""
        return [self.inner.decode([int(i)], skip_special_tokens=False) for i in ids]

    def __len__(self) -> int:
        return self.inner.get_vocab_size()


def _json(path: Path) -> dict[str, Any]:
    try:
        return foreign.json_object(path)
    except DataError as error:
        raise ModelError(str(error)) from error
