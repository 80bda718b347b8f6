"""Verbs: what a person can ask of Assay, a file each: a function with options, its typed result,
and how that is told, as words and rows; whoever prints them decides nothing.

A file in this folder with a line `VERB = function` is a verb of the command line by being there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

HEADINGS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "Measure your own": {
            "judge": "assay.verbs.judge:judge",
            "evaluate": "assay.verbs.evaluate:evaluate",
            "look": "assay.verbs.look:look",
            "due": "assay.verbs.due:due",
            "index": "assay.verbs.index:index",
            "explain": "assay.verbs.explain:explain",
            "serve": "assay.cli.doors:serve",
            "challenge": "assay.verbs.challenge:challenge",
            "gym": "assay.verbs.gym:gym",
            "rate": "assay.verbs.rate:rate",
        },
        "Experiments": {
            "list": "assay.verbs.catalogue:command",
            "fields": "assay.verbs.fields:command",
            "plan": "assay.verbs.planning:command",
            "preregister": "assay.verbs.preregister:command",
            "run": "assay.verbs.run:run",
            "show": "assay.verbs.verdicts:command",
            "check": "assay.verbs.record:command",
            "reproduce": "assay.verbs.reproduce:command",
            "contest": "assay.verbs.contest:command",
            "recheck": "assay.verbs.recheck:command",
            "report": "assay.verbs.pages:report",
            "new": "assay.verbs.new:new",
            "mcp": "assay.cli.doors:mcp",
        },
        "Files": {
            "train-dictionary": "assay.verbs.train_dictionary:command",
            "train-lm": "assay.verbs.train_lm:command",
            "make-showcase": "assay.verbs.make_showcase:make_showcase",
            "import": "assay.verbs.exchange:import_",
            "export": "assay.verbs.exchange:export",
        },
        "Upkeep": {
            "fetch": "assay.verbs.fetch:fetch",
            "remove": "assay.verbs.remove:remove",
            "doctor": "assay.verbs.health:doctor",
            "conformance": "assay.verbs.conformance:conformance",
        },
    }
)
"""The verbs of the command line under their headings, in the order of `assay --help`: where the
function of each stands."""


def purpose(place: str) -> str:
    """Read what the function at `package.module:name` is for, the first paragraph of its docstring,
    from its file as text, since importing it may load much."""
    module, _, name = place.partition(":")
    file = Path(__file__).parents[2].joinpath(*module.split(".")).with_suffix(".py")
    match = re.search(rf'\ndef {name}\(.*?"""(.*?)(?:\n\n|""")', file.read_text(), re.DOTALL)
    return " ".join(match[1].split()) if match else ""


def known() -> Mapping[str, Callable[..., Any]]:
    """Find the verbs that were added to this folder by their files' names; a file without VERB is
    only read as text, since importing it may load much."""
    files = sorted(
        path
        for folder in __path__
        for path in Path(folder).glob("*.py")
        if "\nVERB = " in path.read_text()
    )
    return MappingProxyType(
        {
            path.stem.replace("_", "-"): import_module(f"{__name__}.{path.stem}").VERB
            for path in files
        }
    )
