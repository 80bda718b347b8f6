"""Whole runs on SLURM: workers that really start, are preempted, lost and stopped, and every
measure is the bytes of a run in one process."""

import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import FleetError
from assay.core.experiment import Experiment
from assay.lab import catalogue
from assay.lab.away.fleets.sbatch import Request
from assay.lab.away.fleets.slurm import Slurm
from assay.lab.executors import Away, Inline, none
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset, override
from assay.lab.work.events import Progress
from fake_slurm import BUSY, FakeSlurm, Job

WALK = str(Path(__file__).with_name("walk.py"))
PACE = {"WALK_PAUSE": "0.08", "ASSAY_CHECKPOINT_SECONDS": "0.05", "ASSAY_LEASE_SECONDS": "3"}
"""Steps slow enough that something may happen between two of them, and a lost worker's lease that
lapses soon."""
LONG = ("steps=40",)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    with FakeSlurm() as slurm:
        monkeypatch.setenv("PATH", f"{slurm.bin}:{os.environ['PATH']}")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        for name, value in PACE.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("WALK_MARKS", str(tmp_path / "marks"))
        monkeypatch.setattr(none, "POLL", 0.1)
        monkeypatch.setattr(none, "ASKS", 0.1)
        yield slurm


def measures_of(root: Path) -> dict[str, bytes]:
    return {
        p.parent.name: p.read_bytes() for p in sorted(root.glob("runs/*/*/measures.safetensors"))
    }


def asked(preset: str, *fields: str) -> tuple[Experiment, Preset]:
    experiment = catalogue.find(WALK)
    return experiment, override(experiment, preset, fields)


def alone(root: Path, preset: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What a process stores that nobody interrupts, in a store beside `root`; which then has what
    is slow to harvest."""
    with monkeypatch.context() as patch:
        patch.delenv("WALK_MARKS")
        Lab(root, Inline()).run(*asked("smoke", "steps=1"))
        shutil.copytree(root, beside := root.with_name("alone"))
        Lab(beside, Inline()).run(*asked(preset, *LONG))
    return measures_of(beside)


def on_slurm(root: Path, workers: int = 2, **how: Any) -> Lab:
    return Lab(
        root,
        Away(Slurm(root, Request(workers=workers, time="2:00:00"), pause=0.01, every=0.0, **how)),
    )


def still(cluster: FakeSlurm) -> None:
    """Wait until nothing runs and nothing waits."""
    deadline = time.monotonic() + 60
    while cluster.running() or any(job.state == "PENDING" for job in cluster.jobs):
        assert time.monotonic() < deadline, [job.state for job in cluster.jobs]
        time.sleep(0.02)


def logs(root: Path) -> str:
    return "".join(path.read_text() for path in sorted(root.glob("fleets/slurm/*/*.log")))


@pytest.mark.slow
def test_a_worker_preempted_midway_changes_no_byte(
    cluster: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    whole = alone(root, "smoke", monkeypatch)
    monkeypatch.setenv("ASSAY_CHECKPOINT_SECONDS", "600")  # none but that which SIGTERM asks for
    cluster.user_signal = True
    preempted: list[Job] = []

    def heard(event: Any) -> None:
        if (
            isinstance(event, Progress)
            and event.done < event.total
            and not preempted
            and cluster.running()
        ):
            preempted.extend(cluster.running())
            cluster.fail("squeue")
            cluster.preempt(preempted[0])

    on_slurm(root, workers=1).run(*asked("smoke", *LONG), heard)
    assert measures_of(root) == whole
    still(cluster)
    assert [job.starts for job in cluster.jobs] == [2], (
        "SLURM began it again, and nobody had to ask for another"
    )
    assert "left at its checkpoint" in logs(root) and not list((root / "groups").iterdir())
    steps = (tmp_path / "marks").read_text().splitlines().count("train")
    assert steps == 2 * 40, (
        "of each arm, and none was done twice: it saved where it was told to end, though it "
        "was told so twice"
    )


@pytest.mark.slow
def test_an_interrupted_command_leaves_nothing_in_the_queue_and_goes_on(
    cluster: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    whole = alone(root, "smoke", monkeypatch)

    def heard(event: Any) -> None:
        if isinstance(event, Progress):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        on_slurm(root, workers=1).run(*asked("smoke", *LONG), heard)
    still(cluster)
    assert [job.state for job in cluster.jobs] == ["CANCELLED"]
    on_slurm(root, workers=1).run(*asked("smoke", *LONG))
    assert measures_of(root) == whole


def test_workers_that_end_to_no_effect_are_an_error_with_their_log(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    request = Request(workers=2, setup="echo no such module; exit 1")
    told = (
        r"^3 workers in a row ended, and nothing came of it; what the last one said is in "
        r".*/10\d_\d\.log$"
    )
    with pytest.raises(FleetError, match=told) as found:
        Lab(root, Away(Slurm(root, request, pause=0.01, every=0.0))).run(*asked("smoke"))
    assert Path(str(found.value).split()[-1]).read_text() == "no such module\n"


def test_a_limit_on_submissions_leaves_those_at_work_that_are(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    root, tasks = (
        tmp_path / "store",
        none._Engaged(
            tmp_path / "store", Slurm(tmp_path / "store", every=0.0), ["/bin/sleep", "60"]
        ),
    )
    said: list[str] = []

    def look(groups: int) -> None:
        tasks._asked = -none.ASKS
        tasks.look(
            [_Waiting(f"{i:016x}") for i in range(groups)],
            False,
            lambda event: said.append(event.text),
        )

    root.mkdir()
    look(1)
    limit = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
    cluster.fail("sbatch", limit)
    look(3)
    assert said[-1] == f"no more workers for now, sbatch: Batch job submission failed: {limit}"
    look(3)
    assert len(cluster.jobs) == 1, "and they are asked for again later"
    tasks._later = 0.0
    look(3)
    assert len(cluster.jobs) == 3
    tasks.dismiss(said.append)
    still(cluster)


def test_an_engine_that_does_not_answer_in_the_end_is_told_and_costs_no_result(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    root.mkdir()
    tasks, said = (
        none._Engaged(root, Slurm(root, pause=0.001, every=0.0), ["/bin/sleep", "1"]),
        list[str](),
    )
    tasks.look([_Waiting("0" * 16)], False, lambda event: said.append(event.text))
    cluster.fail("scancel", times=6)
    tasks.dismiss(lambda event: said.append(event.text))
    assert said[-1].startswith(f"scancel: {BUSY}; what still runs is stopped by: scancel --quiet ")


class _Waiting:
    moved = 0

    def __init__(self, group: str):
        self.group = group


@pytest.mark.slow
def test_whatever_a_cluster_does_changes_no_byte(
    cluster: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, rng = tmp_path / "store", random.Random(3)
    whole = alone(root, "full", monkeypatch)
    # a time limit of a minute
    cluster.slots, cluster.min_job_age, cluster.kill_wait, cluster.minute = (
        3,
        1.0,
        1.0,
        0.5,
    )
    did: Counter[str] = Counter()
    blows: dict[str, Callable[[Any], None]] = {
        "requeued": cluster.preempt,
        "requeued after a grace time": lambda job: cluster.preempt(job, grace=0.5),
        "preempted": lambda job: cluster.preempt(job, mode="CANCEL"),
        "node failed": lambda job: cluster.lose(job),
        "node lost": lambda job: cluster.lose(job, requeue=False),
        "out of memory": cluster.exhaust,
    }

    def heard(event: Any) -> None:
        running = cluster.running()
        if isinstance(event, Progress) and running and sum(did.values()) < 2 * len(blows):
            name = sorted(blows, key=lambda name: (did[name], rng.random()))[0]
            did[name] += 1
            blows[name](rng.choice(running))
        program = rng.choice(["squeue", "sbatch", "sacct", "scancel"])
        # busy, not gone: six in a row are an answer of its own
        if rng.random() < 0.3 and len(cluster._faults.get(program, ())) < 3:
            cluster.fail(program, BUSY, after=rng.random() < 0.5)

    on_slurm(root, workers=3, gone=5.0).run(*asked("full", *LONG), heard)
    still(cluster)
    print(
        f"{sum(did.values())} blows ({dict(did)}), {len(cluster.jobs)} jobs begun "
        f"{sum(job.starts for job in cluster.jobs)} times"
    )
    assert measures_of(root) == whole
    assert min(did[name] for name in blows) >= 1, did
    assert Counter(job.state for job in cluster.jobs)["RUNNING"] == 0 and not list(
        (root / "groups").iterdir()
    )
