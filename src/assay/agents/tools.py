"""Tools: what an agent can ask, a method each; its docstring and the descriptions of its arguments
are all that an agent reads of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

from msgspec import Meta

from assay.agents import answers, basis, checking, describing, writing
from assay.agents.answers import Answer
from assay.agents.asking import Asked, Bounds, Lacking, Ready, experiment_of, most, opened, submit
from assay.agents.basis import Looks
from assay.ask.text import ClaimEntry, EstimateEntry
from assay.core.errors import AssayError, DataError, renamed
from assay.core.experiment import Experiment
from assay.core.results import ResultData
from assay.core.table import estimate, judge
from assay.jobs import folder
from assay.jobs.folder import OVER, Job
from assay.lab.engines import Workers
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset
from assay.verbs.plan import Unsaid, plan
from assay.verbs.preregister import preregister
from assay.verbs.unsaid import find_unsaid

TEXT, LINE, SHORT, MANY = 64 * 1024, 2_000, 200, 64
"""Characters of a study, of a sentence, of a name, and entries of a list."""
CHECKED = 600.0
"""Seconds that a claim about a function may take in one call."""
ROWS, CELLS = 20_000, 1024 * 1024
"""Rows of a table, and characters of one in CSV."""
AGAIN = 0.1
"""Seconds between looks while `status` waits."""
Plain = bool | int | float | str
Name = Annotated[str, Meta(max_length=SHORT)]
Names = Annotated[tuple[Name, ...], Meta(max_length=MANY)]
Line = Annotated[str, Meta(max_length=LINE)]
Tables = Annotated[tuple[dict[Name, Any], ...], Meta(max_length=MANY)]


Key = Annotated[Name, Meta(description="The key that run gave.")]
Study = Annotated[
    str,
    Meta(
        description="A study's TOML, as write_study gives it; or name an experiment instead.",
        max_length=TEXT,
    ),
]
Named = Annotated[
    Name,
    Meta(description="An experiment's name, as `experiments` lists them; or give a study instead."),
]
Chosen = Annotated[Name, Meta(description="smoke (seconds, settles nothing), default or full.")]
Sets = Annotated[
    Names,
    Meta(
        description=(
            "Fields to set, as field=value; a field that takes several: penalty=0.1,0.3 or "
            "seed=1000000:1000008."
        )
    ),
]
Rows = Annotated[
    list[dict[Name, Plain | None]] | str,
    Meta(
        description=(
            "A list of rows, each an object; or CSV text with a line of names. A column for each "
            "unit, numbers, and `arm` where there are several arms."
        )
    ),
]
Scope = Annotated[Line, Meta(description="What the numbers speak about, as a phrase.")]
ArmColumn = Annotated[Name, Meta(description="The column that says which arm a row is a run of.")]


class Tools:
    """What can be asked of one store. Its state is in the store alone, so any number of servers may
    answer for it."""

    def __init__(self, root: Path, bounds: Bounds = Bounds()):  # noqa: B008 — frozen
        self.root, self.bounds = root, bounds
        self._one = threading.Lock()  # importing experiments, and judging, is one at a time

    @property
    def _lab(self) -> Lab:
        return Lab(self.root.absolute(), Workers())

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
        said = {"claim": claims, "estimate": estimates}
        tables = {name: list(map(writing.told, entries)) for name, entries in said.items()}
        with self._one:
            return self._written(writing.study(top, {"experiment": [part], **tables}))

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
                or a site, add or project_out with a direction.
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
            return self._written(writing.study(top, tables))

    def check_claim(
        self,
        file: Name,
        function: Name,
        sentence: Line,
        holds: Line,
        prompts: Rows,
        credits: Annotated[dict[Name, Plain], Meta(min_length=1, max_length=MANY)],
        seconds: Annotated[float, Meta(ge=1, le=CHECKED)] = CHECKED,
    ) -> Answer:
        """Judge a claim about your own hook before you write "causes", "encodes" or "is responsible
        for". Your function (thing, prompts) → a number for each prompt is called with what the
        claim credits, without it (None), and with near controls in its place.

        What is not done in time goes on where it stopped when it is asked again.

        Args:
            file: A Python file in the workspace.
            function: The name of the function in it.
            sentence: What is claimed, in words.
            holds: The condition, such as effect > 0.3: with the thing, less without it.
            prompts: The prompts: a list of objects, or CSV text; the function gets a list.
            credits: What is credited, as the options of `assay check`: {"vector": "v.npy"};
                {"acts": "a.npy", "labels": "l.npy"}; {"heads": "9.6", "of": "12x12"};
                {"layer": 6, "others": 12}; {"source": "COLUMN"}; {"text": "…"}; {"feature": 7,
                "of": 512, "rates": "r.npy"}; with "also": "FUNCTION" of another task.
            seconds: The longest that it may take.
        """
        return checking.check_claim(
            self.bounds, file, function, sentence, holds, prompts, credits, seconds
        )

    def _written(self, text: str) -> Answer:
        """Check a study's text."""
        try:
            with opened(self.root, Asked(study=text), self.bounds) as ready:
                return answers.written(text, plan=self._plan(ready))
        except Lacking as error:
            lacks, assumed = (
                [Unsaid(m.where, m.text, m.default, "") for m in rows]
                for rows in (error.lacks, error.assumed)
            )
            return answers.written(text, missing=lacks, assumed=assumed)
        except AssayError as error:
            return answers.written(text, wrong=error.request())

    def plan(
        self,
        study: Study = "",
        experiment: Named = "",
        preset: Chosen = "default",
        sets: Sets = (),
    ) -> Answer:
        """Say what running a study or an experiment would do and take: runs, time, which are
        stored, how wide intervals may be, how many units decide. Nothing runs.
        """
        with self._one, self._opened(study, experiment, preset, sets) as ready:
            return self._plan(ready)

    def _plan(self, ready: Ready) -> Answer:
        lab = self._lab
        unsaid = find_unsaid(ready.study, lab, ready.experiment).unsaid if ready.study else ()
        without_places = [
            replace(u, text=ready.without_places(u.text), cost=ready.without_places(u.cost))
            for u in unsaid
        ]
        planned = plan(lab, ready.experiment, ready.preset)
        looks = self._looks(ready.experiment, ready.preset, include_current=False)
        rests = basis.planned(lab.store, ready.experiment, ready.preset)
        return answers.planned(ready.key, planned, without_places, looks, rests)

    def preregister(
        self,
        study: Study = "",
        experiment: Named = "",
        preset: Chosen = "default",
        sets: Sets = (),
    ) -> Answer:
        """Freeze what will be judged, before any run of its seeds exists: only then is its verdict
        confirmatory, and any other exploratory.

        Do it between plan and run, on seeds that nobody has looked at. What is frozen stays; then
        run with the same arguments.
        """
        with self._one, self._opened(study, experiment, preset, sets) as ready:
            registration = preregister(self._lab, ready.experiment, ready.preset, here=False)
            claims = answers.asks(ready.experiment.sized(ready.preset.specs))
            return answers.preregistered(registration, self._plan(ready), claims)

    def run(
        self, study: Study = "", experiment: Named = "", preset: Chosen = "default", sets: Sets = ()
    ) -> Answer:
        """Run a study or an experiment: starts it and returns at once with its key; where all of
        it is stored, with the verdicts.

        What is asked again is the same run; one that failed or was cancelled is resumed. It goes on
        when you leave. Then status, and result."""
        with self._one, self._opened(study, experiment, preset, sets) as ready:
            planned = plan(self._lab, ready.experiment, ready.preset)
            seconds = planned.command_seconds
            job = submit(self.root.absolute(), ready, self.bounds, planned.cached, seconds)
            known = None
            if job.state.status != "done" and not planned.missing:
                now = self._lab.plan(ready.experiment, ready.preset)
                known = self._lab.known(ready.experiment, now)
            if known is None:
                return self._progress(job)
            answer = self._judged(known, job, ready.experiment, ready.preset)
            return self._progress(job, answer)

    def status(self, key: Key, wait_s: Annotated[float, Meta(ge=0, le=30)] = 0) -> Answer:
        """Say how far a run is, and about how long it still takes; with `wait_s` as soon as it is
        over. There are no verdicts, and no estimates, before its end.

        Args:
            wait_s: Seconds to wait for its end, 30 at most.
        """
        job, until = self._job(key), time.monotonic() + wait_s
        while job.state.status not in OVER and time.monotonic() < until:
            time.sleep(AGAIN)
        with self._one:
            return self._progress(job)

    def result(self, key: Key) -> Answer:
        """Give the verdicts of a run that is done, each with its interval, its controls and its
        scope, and what they rest on."""
        with self._one:
            return self._result(self._job(key))

    def cancel(self, key: Key) -> Answer:
        """Stop a run. What it stored is kept, and run with the same arguments resumes it."""
        folder.cancel(self.root.absolute(), key)
        with self._one:
            return self._progress(self._job(key))

    def judge(
        self,
        rows: Rows,
        claim: Line,
        control: Names = (),
        unit: Names = ("seed",),
        planted: Names = (),
        also: Names = (),
        unlearned: Names = (),
        violation: Names = (),
        fixed: Names = (),
        empty: float | None = None,
        beats: float = 0.0,
        bounds: tuple[float, float] | None = None,
        scope: Scope = "",
        arm_column: ArmColumn = "arm",
    ) -> Answer:
        """Judge a sentence about your own numbers as Assay judges its own: an interval over units,
        and a control that has to fail.

        Args:
            claim: The sentence, such as mine.loss - old.loss < -0.05: arms, columns, a
                threshold.
            control: Arms of the table for which it must come out false, and could come out
                true; without one dealt, the same rows with their labels dealt out.
            unit: Columns over whose levels you generalise: seed, document. At least six levels
                each.
            planted: Arms with a planted effect, for which it must hold.
            also: Rivals that may satisfy it as well.
            unlearned: Arms in which nothing was learned, such as random ones.
            violation: Arms with a planted violation, where little or nothing is claimed.
            fixed: Columns, such as template, of whose levels here alone the claim speaks; without,
                the verdict also has to be the same with their levels as units.
            empty: The value where there is nothing: 0.5 for an AUROC; 0 by default.
            beats: By how much controls must be beaten, in the claim's units.
            bounds: The least and greatest value that the claim can have for a unit.
        """
        with self._one, _table(rows) as (table, source):
            verdict = judge(
                table,
                claim=claim,
                unit=unit,
                control=control,
                must_hold=planted,
                also=also,
                unlearned=unlearned,
                violation=violation,
                fixed=fixed,
                empty=empty,
                beats=beats,
                bounds=bounds,
                scope=scope,
                arm_column=arm_column,
            )
        return answers.table(verdict, source)

    def estimate(
        self,
        rows: Rows,
        value: Line,
        unit: Names = ("seed",),
        over: Name = "",
        crosses: float | Literal["half"] | None = None,
        scope: Scope = "",
        arm_column: ArmColumn = "arm",
    ) -> Answer:
        """Estimate a number of your own table with its interval, or a curve over a swept column
        with a band, and where it crosses a value. For how large, and at what; `judge` is for
        claims.

        Args:
            value: A quantity without a threshold, such as mine.loss - old.loss.
            unit: Columns over whose levels you generalise: seed, document.
            over: A column that was swept: a curve over its levels.
            crosses: A value of the curve, or half: at which level it has it.
        """
        with self._one, _table(rows) as (table, source):
            number = estimate(
                table,
                value=value,
                unit=unit,
                over=over,
                crosses=crosses,
                scope=scope,
                arm_column=arm_column,
            )
        return answers.number(number, source)

    # -- runs --------------------------------------------------------------------------------------

    def _opened(
        self, study: str, experiment: str, preset: str, sets: tuple[str, ...]
    ) -> AbstractContextManager[Ready]:
        """Open what is asked. Raises: AssayError."""
        asked = Asked(study=study, experiment=experiment, preset=preset, sets=sets)
        return opened(self.root, asked, self.bounds)

    def _job(self, key: str) -> Job:
        """The run of this key. Raises: NoJob."""
        job = Job(self.root.absolute(), key)
        job.asked  # noqa: B018 — raises where it is not there
        return job

    def _progress(self, job: Job, result: Answer | None = None) -> Answer:
        """How far a run is, with what it rests on."""
        state = job.state
        if state.status == "done" and result is None:
            result = self._result(job)
        experiment, preset = experiment_of(job, self.bounds) or (None, None)
        done = job.asked["runs"] if state.status == "done" else None
        if result is not None:
            return answers.submitted(job, state, done, experiment, preset, result=result)
        if experiment is not None and preset is not None:
            with suppress(AssayError):  # a model that is gone, say
                done = len(self._lab.plan(experiment, preset).cached)
        looks = self._looks(experiment, preset, include_current=False)
        rests = basis.planned(self._lab.store, experiment, preset)
        return answers.submitted(job, state, done, experiment, preset, looks, rests)

    def _looks(
        self, experiment: Experiment | None, preset: Preset | None, *, include_current: bool
    ) -> Looks:
        if experiment is None or preset is None:
            return basis.unknown()
        seeds = [s.seed for s in preset.specs]
        store = self._lab.store
        return basis.count_looks(experiment, seeds, store, include_current=include_current)

    def _result(self, job: Job) -> Answer:
        experiment, preset = experiment_of(job, self.bounds) or (None, None)
        data = ResultData.from_json(job.result)
        return self._judged(data, job, experiment, preset)

    def _judged(
        self,
        data: ResultData,
        job: Job,
        experiment: Experiment | None,
        preset: Preset | None,
    ) -> Answer:
        looks = self._looks(experiment, preset, include_current=True)
        unlike = (
            basis.unlike(self._lab.store, experiment, preset)
            if experiment is not None and preset is not None
            else ""
        )
        return answers.judged(data, job, job.state, looks, unlike)


@contextmanager
def _table(rows: list[dict[str, Plain | None]] | str) -> Iterator[tuple[Any, basis.Source]]:
    """Give a table as `judge` takes it while the body runs, and where it comes from. Raises:
    DataError."""
    if isinstance(rows, str):
        most(len(rows), CELLS, "characters of rows")
        count = len(rows.splitlines()) - 1
        most(count, ROWS, "rows, which may be averages within units")
        with TemporaryDirectory(prefix="assay-") as folder:
            path = Path(folder) / "rows.csv"
            path.write_text(rows, encoding="utf-8", errors="replace")
            with renamed({str(path): "the table"}):
                yield path, basis.of_table(count, rows)
        return
    if not rows:
        raise DataError(
            "rows: the table has no rows; give objects such as {arm: mine, seed: 1, loss: 0.3}"
        )
    most(len(rows), ROWS, "rows, which may be averages within units")
    names = list(rows[0])
    if odd := next((i for i, row in enumerate(rows, 1) if set(row) != set(names)), 0):
        raise DataError(
            f"rows: row {odd} has other columns than the first; every row has "
            f"{', '.join(names)[:SHORT]}; a missing number is null"
        )
    columns = {name: [row[name] for row in rows] for name in names}
    yield columns, basis.of_table(len(rows), repr(columns))


WRITING = ("preregister", "run", "cancel", "check_claim")
"""Tools that change something, or run code; all others only read."""
TOOLS = (
    "experiments",
    "page",
    "ask_model",
    "check_claim",
    "write_study",
    "plan",
    "preregister",
    "run",
    "status",
    "result",
    "cancel",
    "judge",
    "estimate",
)
"""Every tool, in the order in which they are listed."""
