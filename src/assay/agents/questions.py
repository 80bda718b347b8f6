"""Questions: tools that say what can be asked, and write a study or check a claim."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from msgspec import Meta

from assay import errors
from assay.agents import answers, basis, describing
from assay.agents.answers import Answer
from assay.agents.arguments import (
    CHECKED,
    MANY,
    Chosen,
    Line,
    Name,
    Names,
    Plain,
    Rows,
    Scope,
    Tables,
)
from assay.agents.asking import Asked, Bounds, Lacking, most, opened
from assay.agents.opening import Opening
from assay.ask.running import stated, written
from assay.ask.text import ClaimEntry, EstimateEntry
from assay.core.errors import AssayError, DataError, request_of
from assay.jobs.process import Limits, spawn
from assay.verbs.about import files


class Questions(Opening):
    """What can be asked, and how."""

    def experiments(self, name: Name = "", find: Name = "") -> Answer:
        """List the experiments that can be run or asked new questions; with `find`, those about
        something, with what each asks, its claims, recorded verdicts and cost.

        With `name`, give one in full: its fields (what a study may set), its arms (what a claim may
        compare, or use as control), the measures that a claim can name as ARM.MEASURE, and its
        recorded verdicts. For a language model of your choice: ask_model.

        Args:
            name: One experiment, in full; empty: the list.
            find: Words that a listed experiment's text must have.
        """
        with self._one:
            return (
                describing.describe_experiment(self.root, name)
                if name
                else describing.every(self.root, find)
            )

    def page(self, name: Name = "", part: Annotated[int, Meta(ge=1, le=1000)] = 1) -> Answer:
        """Read a page of the documentation as text: of an experiment, or of how verdicts come
        about; without a name, the list of all pages. You need none of it to use the tools.

        Args:
            name: An experiment's name, or a page such as verdicts, studies, judge; empty: the
                list.
            part: Long pages have several parts, counted from 1.
        """
        return describing.page(self.root, name, part)

    def write_study(
        self,
        question: Line,
        experiment: Name,
        claims: Annotated[tuple[ClaimEntry, ...], Meta(max_length=MANY)] = (),
        estimates: Annotated[tuple[EstimateEntry, ...], Meta(max_length=MANY)] = (),
        fields: Annotated[dict[Name, Plain | list[Plain]], Meta(max_length=MANY)] = {},  # noqa: B006
        paired: Annotated[dict[Name, list[Plain]], Meta(max_length=MANY)] = {},  # noqa: B006
        seeds: Name = "",
        budget: Name = "",
        preset: Chosen = "default",
        arms: Names = (),
    ) -> Answer:
        """Write a study: a question to an experiment, with settings and claims of your own. Nothing
        runs.

        Gives its TOML, checked: whether it can run, what it lacks (a control, say), what it
        assumes, and what running it takes. Then plan or run that text as it is. Write the claims
        before you have seen any number on the same seeds.

        Args:
            question: What you want to know, in one sentence.
            experiment: The experiment whose arms and measures you use, by its name.
            claims: What you claim, each with its control.
            estimates: Numbers and curves that you want to know, and claim nothing of.
            fields: Fields to set. A list tries each value: of a field that is not `several`,
                arms of the later ones are called FIELD=VALUE/ARM; of one that is, the runs of
                one arm differ (use claims.where). Arms are compared by paired.
            paired: Fields whose lists go together, first with first; one field is enough. Each
                value makes arms: the first keeps their names, later ones are called
                FIELD=VALUE/ARM.
            seeds: Such as 1000000:1000008, end left out; empty: fresh ones are taken. Below
                1000: pilots.
            budget: The longest that it may take here, such as 10m; more is refused.
            arms: The arms to run; empty: all. What is left out is not asked.
        """
        part = {
            "name": experiment,
            "preset": preset if preset != "default" else "",
            "fields": fields,
            "paired": paired,
            "arms": arms,
        }
        top = {"question": question, "seeds": seeds, "budget": budget}
        lists = {"claim": claims, "estimate": estimates}
        tables = {name: [dict(stated(e)) for e in entries] for name, entries in lists.items()}
        with self._one:
            return self._written(_study(top, {"experiment": [part], **tables}))

    def ask_model(
        self,
        question: Line,
        model: Name,
        prompts: Tables,
        reads: Tables = (),
        interventions: Tables = (),
        directions: Tables = (),
        probes: Tables = (),
        diffs: Tables = (),
        more_models: Tables = (),
        claims: Tables = (),
        estimates: Tables = (),
        seeds: Name = "",
        budget: Name = "",
    ) -> Answer:
        """Ask a language model a question about its inside: steer, ablate, patch, probe, or compare
        models, on prompts of yours. Near controls are added by themselves. Nothing runs yet.

        Gives a study's TOML, checked, as write_study does; then run it. `main` is the model as it
        is; each intervention and probe is an arm by its name, each read a measure. Every field of
        a table: page("asking").

        Args:
            question: What you want to know, in one sentence.
            model: smollm2, a folder, or OWNER/NAME that was fetched.
            prompts: {"text": "The capital of {country} is", "corrupted": "The capital of {other}
                is", "rows": [{"country": "France", "other": "Italy", "city": "Paris"}]}; of
                several tables each has a name.
            reads: What is read off each prompt: {"name": "right", "log_prob": [" {city}", "
                {foil}"]}; or accuracy, rank, entropy, loss, generates, pattern.
            interventions: What is done while it reads: {"name": "patched", "patch": "corrupted",
                "site": "blocks.5.hook_resid_pre", "position": "{country}"}; or ablate with heads
                or a site, add, project_out or erase with a direction.
            directions: {"name": "praise", "prompts": "reviews", "site":
                "blocks.15.hook_resid_pre", "difference": ["praise", "complaint"]}, by the column
                label.
            probes: {"name": "mood", "label": "mood", "site": "blocks.9.hook_resid_post"}.
            diffs: What two models differ by: {"name": "tuned", "models": ["main", "other"]}.
            more_models: Further models: {"name": "FOLDER", "label": "other"}.
            claims: {"text": "…", "holds": "patched.right - main.right < -2", "threshold": "plan:
                two nats"}; a control of your own is not needed.
            estimates: Numbers that you claim nothing of: {"text": "…", "value": "patched.right"}.
            seeds: Such as 1000000:1000008, end left out; empty: fresh ones are taken.
            budget: The longest that it may take here, such as 10m.
        """
        top = {"question": question, "seeds": seeds, "budget": budget}
        tables = {
            "model": [{"name": model}, *more_models],
            "prompts": prompts,
            "direction": directions,
            "intervene": interventions,
            "read": reads,
            "probe": probes,
            "diff": diffs,
            "claim": claims,
            "estimate": estimates,
        }
        with self._one:
            return self._written(_study(top, tables))

    def check(
        self,
        file: Name,
        function: Name,
        claim: Line,
        holds: Line,
        prompts: Rows,
        about: Line,
        damage: Name = "",
        unit: Names = (),
        scope: Scope = "",
        seconds: Annotated[float, Meta(ge=1, le=CHECKED)] = CHECKED,
    ) -> Answer:
        """Judge a claim about your own hook before you write "causes", "encodes" or "is responsible
        for". Your function (thing, prompts) → a number for each prompt is called with what the
        claim credits, without it (None), and with near controls in its place.

        Args:
            file: A Python file in the workspace.
            function: The name of the function in it.
            claim: What is claimed, in words.
            holds: The condition, such as effect > 0.3: with the thing, less without it.
            prompts: The prompts: a list of objects, or CSV text; the function gets a list.
            about: What is credited, as in Python: Vector("v.npy"); Vector.learned("a.npy",
                "l.npy"); Heads([(9, 6)], of=(12, 12)); Place(6, others=[2, 4, 8]);
                Patch("COLUMN"); Text("…"); Latents([7], of=512, like={"rate": "r.npy"}).
            damage: A function in the file for another task, which should stay as it is.
            unit: A column of the prompts over which you generalise.
            seconds: The longest that it may take.
        """
        options = {"claim": claim, "holds": holds, "damage": damage, "scope": scope}
        return check(self.bounds, file, function, prompts, about, unit, options, seconds)

    def _written(self, text: str) -> Answer:
        """Check a study's text."""
        try:
            with opened(self.root, Asked(study=text), self.bounds) as ready:
                return answers.written(text, plan=self._plan(ready))
        except Lacking as error:
            return answers.written(text, missing=error.lacks, assumed=error.assumed)
        except errors.AssayError as error:
            return answers.written(text, wrong=request_of(error))


def _study(top: Mapping[str, Any], tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The text of a study; what an agent left empty is left out."""

    def said(table: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in table.items() if v not in ("", None, (), [], {})}

    return written(said(top), {name: list(map(said, tables[name])) for name in tables})


PROMPTS = 20_000


def check(
    bounds: Bounds,
    file: str,
    function: str,
    prompts: Sequence[Mapping[str, Any]] | str,
    about: str,
    unit: Sequence[str],
    options: Mapping[str, str],
    seconds: float,
) -> Answer:
    """Check a claim about a function in a process of its own, and answer with its verdict. Raises:
    AssayError."""
    path = bounds.code_file(file, "file")
    if not function.isidentifier():
        raise DataError(f"function: {function[:80]!r} is not a name")
    for name in files(about):
        about = about.replace(repr(name), repr(str(bounds.place(name, "about"))))
    with TemporaryDirectory(prefix="assay-") as folder:
        place = Path(folder)
        words = ["check", f"{path}:{function}", f"--prompts={_prompts(prompts, place)}", "--json"]
        words += [f"--about={about}", *(f"--unit={x}" for x in unit)]
        words += [f"--{name}={text}" for name, text in options.items() if text]
        out, log = place / "out.json", place / "log.txt"
        process, start = spawn(words, path.parent, out, log, Limits(seconds=seconds))
        with start:
            start.write(b".")
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
            raise AssayError(f"it took more than {seconds:g} s: give fewer prompts") from None
        text = out.read_text()
        if process.returncode or not text.strip():
            lines = log.read_text(errors="replace").strip().splitlines()
            raise DataError(lines[-1] if lines else "the check ended without an answer")
    result = json.loads(text)
    n = sum(result["claims"][0]["verdict"]["n"].values())
    return answers.stated(result, basis.of_table(n, text))


def _prompts(prompts: Sequence[Mapping[str, Any]] | str, folder: Path) -> Path:
    """Write the prompts to a file. Raises: DataError."""
    path = folder / "prompts.csv"
    if isinstance(prompts, str):
        most(len(prompts.splitlines()), PROMPTS, "prompts")
        path.write_text(prompts, encoding="utf-8", errors="replace")
        return path
    most(len(prompts), PROMPTS, "prompts")
    if not prompts or len({tuple(row) for row in prompts}) > 1:
        raise DataError('prompts: give rows with the same columns, such as {text: "…"}')
    path = folder / "prompts.jsonl"
    with path.open("w", encoding="utf-8", errors="replace") as lines:
        for row in prompts:
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path
