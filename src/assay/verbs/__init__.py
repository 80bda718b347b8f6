"""Verbs: what a person can do with Assay, a file each: a function with options, its typed result,
and that result in words and rows; the code that prints them decides nothing.

`HEADINGS` names those of the command line; another distribution adds its own by entry points in the
group `assay.verbs`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from assay.core import heavy

GROUP = "assay.verbs"
HEADINGS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "Measure your own": {
            "check": "assay.verbs.check:check",
            "judge": "assay.verbs.judge:judge",
            "evaluate": "assay.verbs.evaluate:evaluate",
            "features": "assay.verbs.features:features",
            "serve": "assay.verbs.serve:serve",
        },
        "Experiments": {
            "list": "assay.verbs.catalogue:command",
            "plan": "assay.verbs.plan:command",
            "preregister": "assay.verbs.preregister:command",
            "run": "assay.verbs.run:run",
            "show": "assay.verbs.verdicts:command",
            "verify": "assay.verbs.verify:command",
            "report": "assay.verbs.report:report",
            "new": "assay.verbs.new:new",
            "mcp": "assay.cli.mcp:mcp",
        },
        "Files": {
            "train-dictionary": "assay.verbs.train_dictionary:command",
            "export": "assay.verbs.export:export",
        },
        "Maintenance": {
            "fetch": "assay.verbs.fetch:fetch",
            "doctor": "assay.verbs.doctor:doctor",
        },
    }
)
"""The verbs of the command line under their headings, in the order of `assay --help`, each with the
place of its function."""


def others() -> Mapping[str, Mapping[str, str]]:
    """Give the verbs of other distributions, under their names as headings."""
    headings: dict[str, dict[str, str]] = {}
    for point in sorted(heavy.offered().select(group=GROUP), key=lambda e: e.name):
        heading = f"From {point.dist.name}" if point.dist is not None else "Others"
        headings.setdefault(heading, {})[point.name] = point.value
    return headings


def purpose(place: str) -> str:
    """Read what the function at `package.module:name` is for, the first paragraph of its docstring,
    from its file as text, since importing it may load much."""
    module, _, name = place.partition(":")
    spec = find_spec(module)  # which imports the packages above it, and those are a docstring each
    text = Path(spec.origin).read_text() if spec is not None and spec.origin else ""
    match = re.search(rf'\ndef {name}\(.*?"""(.*?)(?:\n\n|""")', text, re.DOTALL)
    return " ".join(match[1].split()) if match else ""
