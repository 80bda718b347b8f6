"""Schemas: for every verb, what it answers and the JSON schema of what it gives, with a version
that moves when the schema does."""

from __future__ import annotations

import functools
import importlib
import operator
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from assay.core.schema import schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
HERE = "assay.verbs."


@dataclass(frozen=True)
class Described:
    """What a verb answers, the functions that do it, and the types of their results."""

    answers: str
    functions: tuple[str, ...]
    """Where they are: `plan.plan` is the function `plan` of assay.verbs.plan."""
    version: int = 1
    """Raised with every change of the schema."""
    results: tuple[str, ...] = ()
    """The types of what is printed, where it is not what the functions give."""

    @property
    def types(self) -> Any:
        """The type of what is printed: one, or several of which it is one."""
        types = map(_named, self.results) if self.results else map(_returned, self.functions)
        return functools.reduce(operator.or_, dict.fromkeys(types))


VERBS: Mapping[str, Described] = MappingProxyType(
    {
        "bench": Described("how fast this machine is", ("bench.bench",)),
        "challenge": Described(
            "a planted circuit given out without its answer; an explanation of it scored",
            (
                "challenge.plant_challenge",
                "challenge.answered",
            ),
        ),
        "check": Described(
            (
                "where a result departs from its record, or a bundle from what it states; or the "
                "record written"
            ),
            (
                "record.check",
                "record.record",
                "bundle.check_bundle",
            ),
            2,
        ),
        "conformance": Described(
            "which vectors with a right answer came out", ("conformance.conform",)
        ),
        "doctor": Described(
            "what is installed or missing, and how a store is; what claims leave open",
            (
                "health.doctor",
                "audit.audit",
            ),
            2,
        ),
        "due": Described("which evaluations of a table are due", ("due.due_table",)),
        "evaluate": Described("every measure of dictionaries on a text", ("evaluate.evaluate",)),
        "explain": Described(
            "an explanation of a small model held to it; ours; the model taken apart",
            (
                "explain.check",
                "explain.ours",
                "small_model.look",
            ),
        ),
        "export": Described(
            "files for other libraries; features as dashboards; the bundle of a result",
            (
                "exchange.export_dictionary",
                "dashboards.export_features",
                "bundle.export_bundle",
            ),
        ),
        "fetch": Described("where what was downloaded lies", ("fetch.fetch",)),
        "import": Described(
            "a dictionary of another library, tried and rewritten", ("exchange.import_dictionary",)
        ),
        "index": Described("a dictionary's features on a text", ("index.index",)),
        "judge": Described(
            "the verdict on a table of your own numbers, or an estimate from it",
            (
                "assay.core.table.judge",
                "assay.core.table.estimate",
            ),
            4,
        ),
        "list": Described(
            "every experiment, its recorded verdicts, and what is stored", ("catalogue.listed",)
        ),
        "look": Described("one text through one dictionary", ("look.look",)),
        "mcp": Described(
            "where agents are answered",
            ("assay.agents.serving.serve",),
            results=("assay.agents.serving.Served",),
        ),
        "new": Described(
            "the file of a new experiment or study",
            (
                "new.write_experiment",
                "new.write_study",
            ),
        ),
        "plan": Described(
            (
                "what would run, what it takes, what each claim's interval will be; of a study, "
                "what it lacks"
            ),
            (
                "plan.plan",
                "plan.plan_catalogue",
                "assumptions.find_unsaid",
            ),
            5,
        ),
        "preregister": Described(
            "what was frozen, its hash, and the looks", ("preregister.preregister",), 2
        ),
        "rate": Described("what raters said of features", ("rate.results",)),
        "remove": Described("what of an experiment was deleted", ("remove.remove",)),
        "report": Described("where the pages are", ("pages.report",)),
        "reproduce": Described(
            "a result from an empty store beside its record", ("reproduce.reproduce",)
        ),
        "run": Described(
            (
                "verdicts, with their controls, after what is missing is trained; a script for "
                "other machines"
            ),
            (
                "verdicts.run",
                "series.series",
                "dry_run.dry_run",
            ),
            6,
        ),
        "serve": Described(
            "where the explorer answers, or programs are; a new token",
            (
                "serve.serve",
                "assay.api.serving.serve",
                "assay.api.tokens.new",
            ),
        ),
        "show": Described("verdicts of what is stored", ("verdicts.show",), 5),
        "train-lm": Described("small language models that were trained", ("train_lm.train_lm",)),
        "worker": Described(
            "which groups a worker took up, and how each ended there", ("worker.worker",)
        ),
    }
)


def described(verb: str) -> Described:
    """Find what a verb of the command line answers, and the types of its results. Raises: KeyError
    for no verb."""
    return VERBS[verb]


def document(verb: str) -> dict[str, Any]:
    """Give the JSON schema of what `assay VERB --json` prints, by itself: with its name, version
    and dialect."""
    description = described(verb)
    return {
        "$schema": DIALECT,
        "$id": f"urn:assay:{verb}:{description.version}",
        "title": f"assay {verb}",
        "description": description.answers,
        **schema(description.types),
    }


def moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a schema says something else than before under the same version."""

    def drop_titles(json_schema: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: part for key, part in json_schema.items() if key not in ("title", "description")
        }

    return old.get("$id") == new["$id"] and drop_titles(old) != drop_titles(new)


def _named(name: str) -> Any:
    """The function or type of this name."""
    whole = name if name.startswith("assay.") else HERE + name
    module, _, kind = whole.rpartition(".")
    return getattr(importlib.import_module(module), kind)


def _returned(name: str) -> Any:
    """The type that a function gives, which stands in its module by the name in its annotation."""
    function = _named(name)
    return getattr(sys.modules[function.__module__], function.__annotations__["return"])
