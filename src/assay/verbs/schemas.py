"""Schemas: for every verb, what it answers and the JSON schema of what it gives, with a version
that moves when the schema does."""

from __future__ import annotations

import functools
import importlib
import operator
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
    results: tuple[str, ...]
    """Types of `assay.verbs`, or with their whole name."""
    version: int = 1
    """Raised with every change of the schema."""

    @property
    def types(self) -> Any:
        """The type of what is printed: one, or several of which it is one."""
        return functools.reduce(operator.or_, map(_load_type, self.results))


VERBS: Mapping[str, Described] = MappingProxyType(
    {
        "challenge": Described(
            "a planted circuit given out without its answer; an explanation of it scored",
            ("challenge.plant_challenge", "challenge.answered"),
            ("challenge.Given", "challenge.Answered"),
        ),
        "check": Described(
            (
                "where a result departs from its record, or a bundle from what it states; or the "
                "record written"
            ),
            ("record.check", "record.record", "bundle.check_bundle"),
            ("record.Checked", "record.Written", "assay.report.bundle.checking.CheckedBundle"),
            version=2,
        ),
        "conformance": Described(
            "which vectors with a right answer came out",
            ("conformance.conform",),
            ("conformance.Conformance",),
        ),
        "doctor": Described(
            "what is installed or missing, and how a store is; what claims leave open",
            ("health.doctor", "audit.audit"),
            ("health.Health", "audit.Audit"),
            2,
        ),
        "due": Described(
            "which evaluations of a table are due", ("due.due_table",), ("due.DueTable",)
        ),
        "evaluate": Described(
            "every measure of dictionaries on a text",
            ("evaluate.evaluate",),
            ("evaluate.Evaluated",),
        ),
        "explain": Described(
            "an explanation of a small model held to it; ours; the model taken apart",
            ("explain.check", "explain.ours", "small_model.look"),
            ("explain.Explained", "explain.Ours", "small_model.Model"),
        ),
        "export": Described(
            "files for other libraries; features as dashboards; the bundle of a result",
            ("exchange.export_dictionary", "dashboards.export_features", "bundle.export_bundle"),
            ("exchange.Exchanged", "dashboards.Shown", "bundle.Bundled"),
        ),
        "fetch": Described("where what was downloaded lies", ("fetch.fetch",), ("fetch.Fetched",)),
        "import": Described(
            "a dictionary of another library, tried and rewritten",
            ("exchange.import_dictionary",),
            ("exchange.Exchanged",),
        ),
        "index": Described(
            "a dictionary's features on a text", ("index.index",), ("index.Indexed",)
        ),
        "judge": Described(
            "the verdict on a table of your own numbers, or an estimate from it",
            ("assay.core.table.judge", "assay.core.table.estimate"),
            ("assay.core.results.Judged", "assay.core.results.Estimated"),
            4,
        ),
        "list": Described(
            "every experiment, its recorded verdicts, and what is stored",
            ("catalogue.listed",),
            ("catalogue.Catalogue",),
        ),
        "look": Described("one text through one dictionary", ("look.look",), ("look.Looked",)),
        "mcp": Described(
            "where agents are answered",
            ("assay.agents.serving.serve",),
            ("assay.api.serving.Served",),
        ),
        "new": Described(
            "the file of a new experiment or study",
            ("new.write_experiment", "new.write_study"),
            ("new.New",),
        ),
        "plan": Described(
            (
                "what would run, what it takes, what each claim's interval will be; of a study, "
                "what it lacks"
            ),
            ("plan.plan", "plan.plan_catalogue", "assumptions.find_unsaid"),
            ("plan.Planned", "plan.PlannedCatalogue", "assumptions.Asked"),
            6,
        ),
        "preregister": Described(
            "what was frozen, its hash, and the looks",
            ("preregister.preregister",),
            ("preregister.Registered",),
            2,
        ),
        "rate": Described("what raters said of features", ("rate.results",), ("rate.Rated",)),
        "remove": Described(
            "what of an experiment was deleted", ("remove.remove",), ("remove.Removed",)
        ),
        "report": Described("where the pages are", ("pages.report",), ("pages.Pages",)),
        "reproduce": Described(
            "a result from an empty store beside its record",
            ("reproduce.reproduce",),
            ("assay.lab.reproduction.Reproduction",),
        ),
        "run": Described(
            (
                "verdicts, with their controls, after what is missing is trained; a script for "
                "other machines"
            ),
            ("verdicts.run", "series.series", "dry_run.dry_run"),
            ("assay.core.results.ResultData", "series.Series", "dry_run.DryRun"),
            version=6,
        ),
        "serve": Described(
            "where the explorer answers, or programs are; a new token",
            ("serve.serve", "assay.api.serving.serve", "assay.http.tokens.new"),
            ("serve.Served", "assay.api.serving.Served", "assay.http.tokens.Made"),
        ),
        "show": Described(
            "verdicts of what is stored",
            ("verdicts.show",),
            ("assay.core.results.ResultData",),
            5,
        ),
        "train-lm": Described(
            "small language models that were trained",
            ("train_lm.train_lm",),
            ("train_lm.TrainedLms",),
        ),
        "worker": Described(
            "which groups a worker took up, and how each ended there",
            ("worker.worker",),
            ("worker.Worked",),
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


def _load_type(name: str) -> Any:
    whole = name if name.startswith("assay.") else HERE + name
    module, _, kind = whole.rpartition(".")
    return getattr(importlib.import_module(module), kind)
