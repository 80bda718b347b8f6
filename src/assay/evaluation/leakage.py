"""Whether a dictionary may be evaluated on a text: what is known of its training text, and which
documents are left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from assay.core.errors import DataError
from assay.data.corpus import Corpus

Part = Literal["all", "train", "validation", "test"]


def choose(
    name: str,
    trained_on: Mapping[str, Any] | None,
    corpus: Corpus,
    requested_part: Part | Literal["auto"],
    text_statement: str = "",
) -> tuple[Part, str]:
    """The part of the corpus to evaluate on, and a sentence about why: what is known, or what
    cannot be.

    `trained_on` is what the dictionary's origin or run says: `corpus` (fingerprint), `part`, and
    `documents` (the first 12 hex digits of each one's hash) where it lists them. `told` is what
    else the file says of its text.

    Raises: DataError where documents of that part were trained on, naming one.
    """
    listed = (trained_on or {}).get("documents")
    documents = [str(d) for d in listed] if isinstance(listed, list | tuple) else []
    if not trained_on or not ("corpus" in trained_on or documents):
        why = (
            f"{text_statement or 'its file does not say which text it was trained on'}, so "
            "overlap with "
            "this text cannot be ruled out"
        )
        return "all" if requested_part == "auto" else requested_part, why
    same, part_then = (
        trained_on.get("corpus") == corpus.fingerprint,
        str(trained_on.get("part", "all")),
    )
    part: Part = requested_part if requested_part != "auto" else "test" if same else "all"
    if same and not documents and part_then == "all":
        raise DataError(
            f"{name} was trained on this text, all of it as far as is known; evaluate it on a "
            "text that it has not seen"
        )
    if same and not documents and part in ("all", part_then):
        raise DataError(
            f"{name} was trained on the {part_then} part of this text, so --part {part} would "
            "evaluate it on what it has seen; "
            f"say --part {'test' if part_then != 'test' else 'validation'}, or leave it out"
        )
    overlapping = overlap(documents, corpus, part)
    if overlapping:
        chosen = len(corpus.part(part))
        raise DataError(
            f"{name} was trained on {len(overlapping)} of the {chosen} documents of this text "
            "(such as "
            f"{overlapping[0]}); take them out, or say "
            f"--part test if that is the text it was trained on"
        )
    if same:
        return part, f"trained on the {part_then} part of this text; evaluated on the {part} part"
    if documents:
        return part, "trained on another text, with none of these documents"
    return (
        part,
        (
            "trained on another text; which documents that had is not recorded, so some may be "
            "the same"
        ),
    )


def overlap(documents: Sequence[str], corpus: Corpus, part: Part) -> list[str]:
    """Paths of the documents of a part whose content was trained on."""
    known = set(documents)
    return [
        corpus.documents[i].path
        for i in corpus.part(part)
        if corpus.documents[i].sha256[:12] in known
    ]


def get_training_text(origin: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a dictionary's origin says of its training text; None: nothing."""
    known = origin.get("trained_on")
    return known if isinstance(known, Mapping) else None
