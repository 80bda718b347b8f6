"""Schemas: for every verb, what it answers and the JSON schema of what it gives, with a version
that moves when the schema does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from assay import verbs
from assay.cli.main import app
from assay.core.schema import schema
from assay.verbs.verb import Described

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERBS = tuple(sorted(word for places in verbs.HEADINGS.values() for word in places))
"""The verbs of the command line."""


def described(verb: str) -> Described:
    """Find what a verb of the command line answers, and the function that does it. Raises: KeyError
    for no verb."""
    description: Described = app[verb].default_command.described  # type: ignore[union-attr]
    return description


def document(verb: str) -> dict[str, Any]:
    """Give the JSON schema of what `assay VERB --json` prints, by itself: with its name, version
    and dialect."""
    description = described(verb)
    types = (
        description.results()
        if description.results
        else get_args(get_type_hints(description.function)["return"])[0]
    )
    return {
        "$schema": DIALECT,
        "$id": f"urn:assay:{verb}:{description.version}",
        "title": f"assay {verb}",
        "description": description.answers,
        **schema(types),
    }


def moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a schema says something else than before under the same version."""

    def drop_titles(json_schema: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: part for key, part in json_schema.items() if key not in ("title", "description")
        }

    return old.get("$id") == new["$id"] and drop_titles(old) != drop_titles(new)
