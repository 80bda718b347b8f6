"""What every executor must do, as checks that anyone can run on theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from assay.core.experiment import Experiment
from assay.lab.lab import Lab
from assay.lab.preset import Preset


def check_executor(make: Callable[[], Any], experiment: Experiment, preset: Preset, root: Path) -> dict[str, bytes]:
    """The measures of every run, by folder name, after running the preset in an empty store and once more.

    Raises: AssertionError with what failed. Compare the return value with that of another executor: it is the same bytes.
    """
    events: list[Any] = []
    executor = make()
    assert executor.width >= 1, "an executor says how many tasks it runs at once"
    assert list(executor.map(iter(()), events.append)) == [], "no tasks, no outcomes"

    lab = Lab(root, executor)
    result = lab.run(experiment, preset, events.append)
    kinds = [type(e).__name__ for e in events]
    assert kinds[0] == "Planned" and kinds[-1] == "Finished", kinds
    assert kinds.count("Started") == kinds.count("Saved") == events[0].groups, "each group starts and is stored once"
    assert lab.plan(experiment, preset).missing == (), "everything planned is stored"

    again: list[Any] = []
    second = Lab(root, make()).run(experiment, preset, again.append)
    assert [type(e).__name__ for e in again] == ["Finished"], "a second run trains nothing"
    assert second.to_json() == result.to_json(), "and says the same"
    return {p.parent.name: p.read_bytes() for p in sorted(root.glob("runs/*/*/measures.safetensors"))}
