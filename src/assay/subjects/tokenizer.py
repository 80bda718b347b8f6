"""Tokenizer: from text to token ids as a model's folder has it: by its tokenizer.json, and what the
settings next to it add, as transformers' PreTrainedTokenizerFast reads them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

from assay.core import foreign
from assay.core.errors import ModelError
from assay.subjects.sizes import told_of_a_model

FILE = "tokenizer.json"
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""Settings that may add tokens to those of tokenizer.json; the last two are read where the first
lists none (added_tokens_decoder)."""
LARGEST = 128 * 2**20
"""Bytes of a tokenizer.json; those of 256,000 tokens have 33 million."""
_HARMLESS = """
tokenizer_class auto_map backend is_local local_files_only name_or_path verbose model_max_length
max_len max_length truncation_side truncation_strategy stride padding_side pad_to_multiple_of
pad_token_type_id model_input_names add_bos_token add_eos_token add_prefix_space legacy errors
processor_class chat_template response_schema use_default_system_prompt
spaces_between_special_tokens sp_model_kwargs do_lower_case remove_space keep_accents trim_offsets
special_tokens_map_file transformers_version clean_up_tokenization_spaces
clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output
"""
HARMLESS = frozenset(_HARMLESS.split())
"""Settings of tokenizer_config.json that change no token of a text where tokenizer.json is there:
transformers leaves out add_bos_token and add_eos_token too, in favour of its post_processor.
clean_up_tokenization_spaces changes what is decoded (see `Tokenizer.decode`)."""
_PREFIX = re.compile(rb'"continuing_subword_prefix"\s*:\s*"[^"]')
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Text ↔ token ids, without any token added at the start or the end.

    Example:
        >>> import tokenizers
        >>> from assay.subjects import Tokenizer
        >>> words = tokenizers.models.WordLevel({"to": 0, "be": 1, "?": 2}, unk_token="?")
        >>> inner = tokenizers.Tokenizer(words)
        >>> inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        >>> Tokenizer(inner).encode("to be to"), Tokenizer(inner).pieces([0, 1, 0])
        ([0, 1, 0], ['to', ' be', ' to'])
    """

    inner: Any
    """A `tokenizers.Tokenizer`."""
    named: Mapping[str, Any] = field(default_factory=dict)
    """What tokenizer_config.json says, where there is one."""
    settings_hash: str = ""
    """Hash of the settings next to tokenizer.json, where they change it; else ""."""
    cleans: Callable[[str], str] | None = None
    """What transformers does to decoded text, where the settings ask for that."""

    def encode(self, text: str) -> list[int]:
        """The token ids of a text; no BOS."""
        return _call(
            "the model's tokenizer cannot encode the text",
            lambda: self.inner.encode(text, add_special_tokens=False).ids,
        )

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens included."""
        text: str = _call(
            "the model's tokenizer cannot decode",
            lambda: self.inner.decode([int(i) for i in ids], skip_special_tokens=False),
        )
        return self.cleans(text) if self.cleans else text

    def token_text(self, ids: Sequence[int]) -> list[str]:
        """What each token by itself adds to a text before it, such as a space and a word; a token
        that is a part of one character reads as �."""
        pairs = [(self.decode([i]), self.decode([i, i])) for i in ids]
        return [two[len(one) :] if two.startswith(one) else one for one, two in pairs]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text of a sequence token by token; the first has no text before it."""
        return [self.decode([i]) for i in ids[:1]] + self.token_text(ids[1:])

    def __len__(self) -> int:
        return self.inner.get_vocab_size()

    @property
    def opening(self) -> tuple[int, ...]:
        """The tokens that it puts before a text by itself, such as a BOS."""
        return self._added[0]

    @property
    def closing(self) -> tuple[int, ...]:
        """The tokens that it puts behind a text by itself, such as an EOS."""
        return self._added[1]

    @cached_property
    def _added(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if self.inner.post_processor is None:
            return (), ()
        whole = _call(
            "the model's tokenizer cannot encode a letter",
            lambda: self.inner.encode("a", add_special_tokens=True),
        )
        indices = [i for i, special in enumerate(whole.special_tokens_mask) if not special]
        first, last = (indices[0], indices[-1] + 1) if indices else (len(whole.ids), len(whole.ids))
        return tuple(whole.ids[:first]), tuple(whole.ids[last:])

    @property
    def bos(self) -> int | None:
        """The id of the BOS token that tokenizer_config.json names."""
        content = _content(self.named.get("bos_token"))
        return None if content is None else self.inner.token_to_id(content)


def read(folder: Path) -> Tokenizer:
    """The tokenizer of a model's folder. Raises: ModelError where it is damaged, cuts a text
    differently each time, or is made from other files."""
    with told_of_a_model():
        path = foreign.regular((folder / FILE).absolute(), "a tokenizer", LARGEST)
        paths = [folder / name for name in SETTINGS if (folder / name).exists()]
        settings = [foreign.regular(p.absolute()) for p in paths]
    return _read(*(_stamped(p) for p in (path, *settings)))


def _stamped(path: Path) -> tuple[Path, int, int]:
    """A file's path, modification time and size."""
    status = path.stat()
    return path, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def _read(file: tuple[Path, int, int], *others: tuple[Path, int, int]) -> Tokenizer:
    import tokenizers

    path, folder = file[0], file[0].parent
    _prove_prefix(path)
    read = tokenizers.Tokenizer.from_file
    inner: Any = _call(f"{path} is not a tokenizer", lambda: read(str(path)))
    if getattr(inner.model, "dropout", None):
        raise ModelError(
            f"{path}: dropout {inner.model.dropout} in its model cuts a text differently each "
            "time; set it to null"
        )
    with told_of_a_model():
        settings = {p.name: foreign.json_object(p) for p, _, _ in others}
    config = settings.get(SETTINGS[0], {})
    if "fast_tokenizer_files" in config:
        raise ModelError(
            f"{folder / SETTINGS[0]}: fast_tokenizer_files names other files than {FILE}, which "
            "Assay does not read; remove it"
        )
    if adds(settings, inner):
        inner = by_transformers(folder).backend_tokenizer
        content = b"".join(p.read_bytes() for p, _, _ in others)
        settings_hash = hashlib.sha256(content).hexdigest()
    else:
        settings_hash = ""
    settings_hash += "whole" if inner.truncation or inner.padding else ""
    # transformers neither truncates nor pads one whole text at a time, whatever the file says
    inner.no_truncation()
    inner.no_padding()
    return Tokenizer(inner, dict(config), settings_hash, _cleaning(config, inner))


def _prove_prefix(path: Path) -> None:
    """Refuse merges that do not go with their continuing_subword_prefix, of which tokenizers cuts
    bytes that are not there, and may end the whole process. Raises: ModelError."""
    if not _PREFIX.search(path.read_bytes()):
        return
    with told_of_a_model():
        model = foreign.json_object(path, LARGEST).get("model")
    model = model if isinstance(model, dict) else {}
    prefix, merges = model.get("continuing_subword_prefix"), model.get("merges") or ()
    pairs = (m.split(" ") if isinstance(m, str) else m for m in merges)
    seconds = [str(pair[-1]) for pair in pairs if isinstance(pair, list) and pair]
    if isinstance(prefix, str) and (bad := [s for s in seconds if not s.startswith(prefix)]):
        raise ModelError(
            f"{path}: a merge adds {bad[0]!r}, which does not start with the model's "
            f"continuing_subword_prefix, {prefix!r}"
        )


def adds(settings: Mapping[str, Mapping[str, Any]], inner: Any) -> bool:
    """Whether settings next to tokenizer.json add to its tokens, or might: they name a token that
    is none of its added ones, list one otherwise, split special ones, or are not known here.

    Args:
        settings: each file of `SETTINGS` that exists, as JSON.
        inner: a `tokenizers.Tokenizer` of the file itself.
    """
    config, special, added = (settings.get(name, {}) for name in SETTINGS)
    added_tokens = inner.get_added_tokens_decoder()
    contents = {token.content for token in added_tokens.values()}
    listed = config.get("added_tokens_decoder")
    for number, token in (listed if isinstance(listed, dict) else {}).items():
        if not number.isdigit() or _as_listed(added_tokens.get(int(number))) != token:
            return True
    maps = [config] if listed is not None else [config, special]
    named = [*_named(maps), *(() if listed is not None else added)]
    unknown = {k for k in config if not _is_token(k)} - HARMLESS - _LISTS
    split = config.get("split_special_tokens")
    return bool(unknown - {"split_special_tokens", "added_tokens_decoder"}) or bool(
        split or not {*named} <= contents
    )


_LISTS = {"extra_special_tokens", "additional_special_tokens", "model_specific_special_tokens"}


def _is_token(key: str) -> bool:
    return key.endswith("_token") and key not in HARMLESS


def _named(maps: Iterable[Mapping[str, Any]]) -> list[str]:
    """The tokens that settings name, each by its content."""
    values: list[Any] = []
    for settings in maps:
        values += [v for key, v in settings.items() if _is_token(key)]
        for key in _LISTS:
            tokens = settings.get(key) or ()
            values += tokens.values() if isinstance(tokens, dict) else tokens
    return [content for v in values if (content := _content(v)) is not None]


def _content(token: Any) -> str | None:
    """The text of a token that settings name, as text or as an object."""
    value = token.get("content") if isinstance(token, dict) else token
    return value if isinstance(value, str) else None


def _as_listed(token: Any) -> dict[str, Any] | None:
    """A token as tokenizer_config.json lists it."""
    names = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    return token and {name: getattr(token, name) for name in names}


def by_transformers(folder: Path) -> Any:
    """Give the tokenizer that transformers makes of all files. Raises: ModelError."""
    from transformers import PreTrainedTokenizerFast

    with silent():
        whole: Any = _call(
            f"transformers cannot make the tokenizer of {folder} with the settings next to {FILE}",
            lambda: PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True),
        )
    return whole


@contextmanager
def silent() -> Iterator[None]:
    """Let transformers warn of nothing, and show no bar."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _cleaning(config: Mapping[str, Any], inner: Any) -> Callable[[str], str] | None:
    """What transformers does to decoded text: nothing, but where the settings ask it to clean up
    spaces, and the tokens are no byte pairs, whose text that would corrupt."""
    import tokenizers

    forced = "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"
    pairs = isinstance(inner.model, tokenizers.models.BPE) and not config.get(forced)
    return None if not config.get("clean_up_tokenization_spaces") or pairs else _cleaned


def _cleaned(text: str) -> str:
    from transformers import PreTrainedTokenizerFast

    cleaned: str = PreTrainedTokenizerFast.clean_up_tokenization(None, text)  # type: ignore[arg-type]
    return cleaned


def _call(else_: str, call: Callable[[], T]) -> T:
    """What the call gives. Raises: ModelError, where the tokenizer that somebody made cannot do
    it."""
    try:
        return call()
    except (KeyboardInterrupt, SystemExit):
        raise
    except (
        BaseException
    ) as error:  # tokenizers raises bare Exception, and where Rust panics no Exception at all
        why = " ".join(str(error).split())[:100] or type(error).__name__
        raise ModelError(f"{else_}: {why}") from error
