"""Rebuilt: where transformers' AutoTokenizer cuts a text otherwise than a folder's tokenizer.json.
Of some classes, such as GPT2Tokenizer, it takes the vocabulary and builds the rest anew."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from assay.subjects.folder import ModelFolder
from assay.subjects.tokenizer import FILE, silent

MOST = 1000
"""Texts, at most, that are compared."""


def otherwise(folder: ModelFolder, texts: Sequence[str]) -> str:
    """Say which texts AutoTokenizer would cut otherwise, and that Assay goes by the file; "" where
    it would cut none, or cannot read the folder.

    Args:
        folder: a model's. Of one that Assay made of a GGUF file, and of one in memory, nothing is
            asked: there is no other reading of it.
        texts: those that are read, of which the first `MOST` are looked at.
    """
    if folder.made_here or folder.live is not None:
        return ""
    files = sorted(p for p in folder.texts.glob("*.json") if p.is_file())
    theirs = _auto(folder.texts, *((p.name, p.stat().st_mtime_ns) for p in files))
    if theirs is None:
        return ""
    lead = [] if folder.bos is not None else [*folder.tokenizer.opening]
    some = [text for text in texts[:MOST] if text]
    try:
        ids = theirs(some, add_special_tokens=folder.bos is None)["input_ids"] if some else []
    except Exception:  # whatever a class that somebody wrote raises: it cuts no text
        return ""
    differ = [
        text
        for text, cut in zip(some, ids, strict=True)
        if cut != [*lead, *folder.tokenizer.encode(text)]
    ]
    if not differ:
        return ""
    first = differ[0] if len(differ[0]) <= 40 else differ[0][:39] + "…"
    return (
        f"transformers' AutoTokenizer ({type(theirs).__name__}) cuts {len(differ)} of {len(some)} "
        f"texts otherwise than {FILE}, such as {first!r}; here they are cut as the file says"
    )


@lru_cache(maxsize=4)
def _auto(folder: Path, *files: tuple[str, int]) -> Any:
    """What AutoTokenizer makes of a folder as its files are now; None where it cannot."""
    from transformers import AutoTokenizer

    with silent():
        try:
            return AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # where Rust panics it is no Exception
            return None
