"""Chats: messages as the text that a model's own chat template makes of them, rendered by
transformers in its sandbox, and where each part of them ends in that text."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.errors import ModelError
from assay.subjects import fetch
from assay.subjects import tokenizer as tokenizers
from assay.subjects.sizes import told_of_a_model

FILE = "chat_template.jinja"
THINKING = ("enable_thinking", "thinking")
"""What templates call it whether the model is to think before it answers."""
DATE, TODAY = "date_string", "strftime_now"
"""What templates call the date that they are given, and the function that gives that of the day."""
_MARK = 0xE000
"""The first of Unicode's private characters, which occur in no text."""


@dataclass(frozen=True)
class Chat:
    """Messages that a model is shown, before any template."""

    messages: tuple[tuple[str, str], ...]
    """Role and content of each."""
    continues: bool = False
    """Whether the last one, the assistant's, is not finished: the model goes on from it."""
    thinking: bool | None = None
    """Whether the model is to think, where that is said."""
    date: str = ""
    """The date that a template is given."""
    marks: tuple[tuple[str, int, int], ...] = ()
    """Names, each with a message and where in its content it ends."""


@dataclass(frozen=True)
class Rendered:
    """What a template made of a chat."""

    text: str
    spans: Mapping[str, int]
    """Where in the text each name ends; none of a name that the template does not show as it is."""


@dataclass(frozen=True, eq=False)
class Template:
    """The chat template of a model's folder."""

    path: Path
    text: str = field(repr=False)
    inner: Any = field(repr=False)
    """A tokenizer of transformers."""
    special: Mapping[str, str]
    """The special tokens that count here, by their names."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what decides what it makes of messages."""
        about = [self.text, self.special]
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

    @property
    def bos(self) -> str:
        """The text of its BOS token; "" where it has none."""
        return self.special.get("bos_token", "")

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(re.findall(r"\w+", self.text))

    def render(self, chat: Chat) -> Rendered:
        """The text of a chat. Raises: ModelError for what the template does not take or know."""
        if chat not in self._known:
            self._known[chat] = self._rendered(chat)
        return self._known[chat]

    @cached_property
    def _known(self) -> dict[Chat, Rendered]:
        return {}

    def _rendered(self, chat: Chat) -> Rendered:
        text, marked = self._render(chat), self._render(_marked(chat))
        spans, plain = {}, re.sub(f"[{chr(_MARK)}-{chr(_MARK + 0xFFF)}]", "", marked)
        if plain == text:  # what is marked is shown otherwise in no place
            for i, (name, _, _) in enumerate(chat.marks):
                if marked.count(chr(_MARK + i)) == 1:
                    before = marked[: marked.index(chr(_MARK + i))]
                    spans[name] = sum(not _MARK <= ord(c) < _MARK + 0x1000 for c in before)
        if chat.continues:  # what is begun ends with the text, whatever spaces it ends in
            whole = (len(chat.messages) - 1, len(chat.messages[-1][1]))
            spans |= {name: len(text) for name, *place in chat.marks if (*place,) == whole}
        return Rendered(text, spans)

    def _settings(self, chat: Chat) -> dict[str, Any]:
        """What the template is given in addition to the messages. Raises: ModelError."""
        names = [name for name in THINKING if name in self._names]
        if chat.thinking is not None and not names:
            raise ModelError(
                f"{self.path}: the chat template has no {' and no '.join(THINKING)}, so thinking "
                "changes nothing; leave it out"
            )
        settings: dict[str, Any] = {}
        if chat.thinking is not None:
            settings |= dict.fromkeys(names, chat.thinking)
        if chat.date and DATE not in self._names:
            raise ModelError(
                f"{self.path}: the chat template has no {DATE}, so date changes nothing; leave it "
                "out"
            )
        if TODAY in self._names and not chat.date:
            raise ModelError(
                f"{self.path}: the chat template writes the date of the day ({TODAY}), so that "
                'numbers would change by themselves; write date = "26 Jul 2024", say, in '
                "[[prompts]]"
            )
        return settings | ({DATE: chat.date} if chat.date else {})

    def _render(self, chat: Chat) -> str:
        messages = [{"role": role, "content": content} for role, content in chat.messages]
        settings = self._settings(chat)
        try:
            text = self.inner.apply_chat_template(
                messages,
                tokenize=False,
                continue_final_message=chat.continues,
                add_generation_prompt=messages[-1]["role"] != "assistant",
                **settings,
            )
        except Exception as error:  # whatever a user's template raises
            why = " ".join(str(error).split())[:120] or type(error).__name__
            roles = ", ".join(role for role, _ in chat.messages)
            raise ModelError(
                f"{self.path}: the chat template refuses these messages ({roles}): {why}"
            ) from error
        return str(text)


def _marked(chat: Chat) -> Chat:
    """A chat with a sign of its own behind everything whose place is wanted, before spaces that a
    template may take away."""
    contents = [content for _, content in chat.messages]
    order = sorted(enumerate(chat.marks), key=lambda x: (x[1][2], x[0]), reverse=True)
    for i, (_, message, end) in order:
        content = contents[message]
        place = len(content[:end].rstrip())
        contents[message] = content[:place] + chr(_MARK + i) + content[place:]
    roles = (role for role, _ in chat.messages)
    messages = tuple(zip(roles, contents, strict=True))
    return Chat(messages, chat.continues, chat.thinking, chat.date)


def read(folder: Path) -> Template:
    """The chat template of a model's folder: chat_template.jinja, else that of
    tokenizer_config.json. Raises: ModelError where it has none."""
    names = (tokenizers.FILE, FILE, *tokenizers.SETTINGS)
    paths = [p for name in names if (p := (folder / name).absolute()).exists()]
    with told_of_a_model():
        for path in paths:
            foreign.regular(path, "a tokenizer's file", tokenizers.LARGEST)
    return _read(folder.absolute(), *((p.name, p.stat().st_mtime_ns) for p in paths))


@lru_cache(maxsize=8)
def _read(folder: Path, *files: tuple[str, int]) -> Template:
    named = FILE in [name for name, _ in files]
    path = folder / (FILE if named else tokenizers.SETTINGS[0])
    inner = tokenizers.by_transformers(folder)
    try:
        text = inner.get_chat_template()
    except ValueError:
        raise ModelError(
            f"{folder} has no chat template, neither {FILE} nor one in {tokenizers.SETTINGS[0]}: "
            "messages need a folder that has one; or write in text what the template would make "
            "of them"
        ) from None
    special = {} if _names_alone(folder) else inner.special_tokens_map
    return Template(path, str(text), inner, {k: str(v) for k, v in special.items()})


def _names_alone(folder: Path) -> bool:
    """Whether the settings of a folder's tokenizer are those that Assay wrote for other libraries:
    its chats are read as they were without."""
    named, *ours = (
        {k: v for k, v in settings.items() if k not in tokenizers.HARMLESS}
        for settings in (
            tokenizers.read(folder).named,
            *(model.tokenizer_config for model in fetch.MODELS.values()),
        )
    )
    return bool(named) and named in ours


def special_tokens(tokenizer: Any, contents: Sequence[str]) -> list[str]:
    """The special tokens of a model that occur in contents of messages, and so are not read as
    words."""
    added = tokenizer.inner.get_added_tokens_decoder().values()
    names = [str(token.content) for token in added if token.special]
    return [name for name in names if any(name in content for content in contents)]
