"""Schemas: the JSON schema of what a verb gives."""

from __future__ import annotations

from importlib import metadata
from typing import Any, get_args, get_type_hints

from assay import verbs
from assay.core.schema import schema
from assay.verbs.verb import Described

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERBS = tuple(sorted(word for places in verbs.HEADINGS.values() for word in places))
"""The verbs of the command line."""


def document(verb: str, description: Described) -> dict[str, Any]:
    """Give the JSON schema of what `assay VERB --json` prints, with its name, dialect and the
    version of Assay."""
    types = (
        description.results()
        if description.results
        else get_args(get_type_hints(description.function)["return"])[0]
    )
    return {
        "$schema": DIALECT,
        "$id": f"urn:assay:{verb}:{metadata.version('interp-assay')}",
        "title": f"assay {verb}",
        "description": description.answers,
        **schema(types),
    }
