"""Outcomes as SARIF 2.1.0, which code hosts show at the line of the function."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from assay_vectors import __version__
from assay_vectors.vectors import load

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"wrong": "error", "another documented definition": "note"}
"""Outcome → level; other outcomes are not written."""


@dataclass(frozen=True)
class Result:
    """The outcome of one vector, and where the function is: a file below the root, and
    a line from 1."""

    id: str
    outcome: str
    message: str
    location: tuple[str, int]


def page(results: Sequence[Result], version: str) -> str:
    """Write a SARIF file: a rule for each vector, a result for each difference."""
    vectors = load(version)
    order = {vector.id: i for i, vector in enumerate(vectors)}
    rules = [
        {
            "id": vector.id,
            "name": vector.operation,
            "shortDescription": {"text": vector.title},
            "fullDescription": {"text": vector.definition},
            "help": {"text": f"{vector.derivation}\nSource: {vector.source}"},
        }
        for vector in vectors
    ]
    driver = {
        "name": "assay-vectors",
        "version": __version__,
        "semanticVersion": f"{version}.0",
        "rules": rules,
    }
    entries = [
        {
            "ruleId": result.id,
            "ruleIndex": order[result.id],
            "level": LEVELS[result.outcome],
            "message": {"text": result.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {
                            "uri": PurePath(result.location[0]).as_posix(),
                            "uriBaseId": "%SRCROOT%",
                        },
                        "region": {"startLine": max(1, result.location[1])},
                    }
                }
            ],
            "partialFingerprints": {"vector": result.id},
        }
        for result in results
        if result.outcome in LEVELS
    ]
    tool = {"driver": driver}
    run = {"tool": tool, "columnKind": "utf16CodeUnits", "results": entries}
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, ensure_ascii=False, indent=1) + "\n"
