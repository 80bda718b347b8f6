"""Together: one set of windows for all dictionaries that are compared. Windows of another length or
part are other text, and a difference between them would look like one of the dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assay.core.errors import DataError
from assay.data.corpus import Corpus
from assay.evaluation.setting import Setting
from assay.evaluation.sources import Source
from assay.evaluation.text import plan
from assay.subjects.folder import ModelFolder


@dataclass(frozen=True)
class Windows:
    """What one dictionary would be measured on by itself."""

    part: str
    context: int
    bos: bool


@dataclass(frozen=True)
class Shared:
    """How one dictionary is measured beside others."""

    setting: Setting
    note: str = ""
    """How that is not what its file says."""


def own(source: Source, setting: Setting, folder: ModelFolder, corpus: Corpus) -> Windows:
    """The windows of a dictionary that is measured by itself. Raises: DataError, ModelError."""
    text = plan(source.fitted(folder), setting, folder, corpus).text
    return Windows(text.part, text.context, text.bos)


def shared(
    windows: Mapping[str, Windows], setting: Setting, folder: ModelFolder
) -> dict[str, Shared]:
    """Give each dictionary the setting at which all read the same text: the shortest of their
    windows, each with or without a BOS before it as its own has it, of a part that all may see.

    Args:
        windows: of each by itself, by name.
        setting: as it was given.
        folder: the model's.
    Raises: DataError where no part of the text is one that all may be measured on.
    """
    if len(set(windows.values())) < 2:
        return {name: Shared(setting) for name in windows}
    part = _part({name: w.part for name, w in windows.items()})
    lead = {name: len(folder.beginning(w.bos)) for name, w in windows.items()}
    length = min(w.context - lead[name] for name, w in windows.items())
    count = max(1, setting.tokens // (length + max(lead.values())))
    together = {}
    for name, w in windows.items():
        context = length + lead[name]
        same = setting.replace(part=part, context=context, tokens=count * context)
        changes = [f"windows of {context} tokens, not {w.context}"] * (context != w.context)
        changes += [f"the {part} part"] * (part != w.part)
        note = f"{' and '.join(changes)}: as the others that it is compared with"
        together[name] = Shared(same, note if changes else "")
    return together


def _part(parts: Mapping[str, str]) -> str:
    """The part of the text that all dictionaries are measured on. Raises: DataError."""
    kept: Sequence[str] = [*dict.fromkeys(part for part in parts.values() if part != "all")]
    if len(kept) > 1:
        one, other = (next(name for name, p in parts.items() if p == part) for part in kept[:2])
        raise DataError(
            f"{one} is measured on the {kept[0]} part of this text and {other} on the {kept[1]} "
            "part, as what they were trained on leaves it; compare them on another text"
        )
    return kept[0] if kept else "all"
