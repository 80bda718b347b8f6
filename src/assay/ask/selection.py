"""Selection: what cannot be learned from, or claimed about, prompts that are selected by a read of
the unchanged model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.measure.prompts import PromptSet, Selection
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.measure.tasks import Task
from assay.ask.part import Part
from assay.ask.resolved import ResolvedStudy
from assay.ask.wording import Condition
from assay.core.errors import ExperimentError


def refuse_sources(study: ResolvedStudy) -> None:
    """Refuse to learn from prompts that are selected when the study runs, or to compare them row by
    row with others. Raises: ExperimentError."""
    for part in study.parts:
        task = part.task
        sets: Iterable[PromptSet | None]
        if isinstance(task, SaeTask):
            sets = [task.source]
        elif isinstance(task, ProbeTask):
            sets = [task.source, task.prompts]
        else:
            sets = [*task.sets[1:], *([task.prompts] if task.than else [])]
        _refuse(study, part.label, sets)
    for name, table in study.trains.items():
        _refuse(study, name, [study.prompts.get(table.prompts)])


def _refuse(study: ResolvedStudy, who: str, sets: Iterable[PromptSet | None]) -> None:
    for prompt_set in sets:
        if prompt_set is not None and prompt_set.selection is not None:
            name = prompt_set.table.name
            raise study.text.error(
                ("prompts", study.text.index("prompts", name), "where"),
                f"the prompts {name!r} are selected when the study runs, so they can only be "
                f"measured, but {who} learns from them or compares them with others row by row; "
                f"give {who} a [[prompts]] of its own",
            )


def refuse_circular(by_label: Mapping[str, Part], main: str, read: Condition) -> None:
    """Refuse a statement about arms on selected and unselected prompts, and a claim that the
    selection makes true. Raises: ExperimentError."""
    parts = [by_label.get(c.arm or main) for c in read.columns]
    sets = {part.label: part.task.prompts for part in parts if part and isinstance(part.task, Task)}
    if any(p.selection for p in sets.values()) and len({p.digest for p in sets.values()}) > 1:
        raise ExperimentError(
            f"{' and '.join(sets)} are measured on different prompts, which are selected when the "
            "study runs, so they cannot be compared one by one; write the same [[prompts]] for both"
        )
    if read.parsed.kind == "estimate":
        return
    chosen = [_selecting(part) for part in parts]
    names = {r.name for s in chosen if s for r in s.reads} & {c.name for c in read.columns}
    if names and all(chosen):
        name = min(names)
        raise ExperimentError(
            f"the prompts are selected by {name} of the unchanged model, so what this claim says "
            f"of {name} is true or false by the selection; claim it of a changed model, or of all "
            "prompts"
        )


def _selecting(part: Part | None) -> Selection | None:
    """How the prompts of an arm are selected, if by the arm's own model."""
    if part is None or not isinstance(part.task, Task):
        return None
    selection = part.task.prompts.selection
    is_unchanged = part.task.intervention is None and not part.task.is_difference
    return selection if selection and is_unchanged and part.task.model == selection.model else None


def note(part: Part, read: Condition) -> Iterator[str]:
    """Note that a claim is about the number by which its prompts are selected."""
    selection = part.task.prompts.selection if not isinstance(part.task, SaeTask) else None
    names = {r.name for r in selection.reads} & {c.name for c in read.columns} if selection else ()
    for name in sorted(names):
        yield (
            f"the prompts are selected by {name}, which the claim is about as well: some are among "
            "them by luck, so any change moves it back on average (regression to the mean); the "
            "controls are measured on the same prompts, and show how far"
        )
