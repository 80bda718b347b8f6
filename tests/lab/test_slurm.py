"""Workers on a real SLURM of two nodes: they really start, are preempted, lost and stopped, and
every measure is the bytes of a run in one process."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from assay.lab.away.fleets import Member
from assay.lab.away.fleets.ray import forwarded
from assay.lab.away.fleets.sbatch import Request
from assay.lab.away.fleets.slurm import Slurm

from assay.core.errors import FleetError
from assay.core.experiment import Experiment
from assay.lab import catalogue
from assay.lab.engines import Away, Inline, none
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset, override
from assay.lab.work.events import Progress
from assay.testing.executor_contract import measured
from slurm_cluster import SlurmCluster, until

pytestmark = pytest.mark.thorough

WALK = str(Path(__file__).with_name("walk.py"))
WAITS = ["/bin/sleep", "600"]
SAVES = [
    "/bin/bash",
    "-c",
    (
        'trap "echo saved; exit 0" TERM; echo began $SLURM_ARRAY_TASK_ID '
        "${SLURM_RESTART_COUNT:-0}; while true; do sleep 0.02 & wait; done"
    ),
]
"""A worker that says when it begins and, told to end, that it saved."""
IGNORES = [
    "/bin/bash",
    "-c",
    'exec 2>/dev/null; trap "" TERM; echo began; while true; do sleep 0.02; done',
]
"""A worker that only a kill ends; its sleep may be killed first, and bash would tell of that."""
LONG = ("steps=40",)


def fleet(root: Path, **asked: object) -> Slurm:
    return Slurm(root, Request(**asked), pause=0.1, every=0.2)


def become(fleet: Slurm, members: Sequence[Member], *states: str) -> None:
    """Wait until each is in its state."""
    until(lambda: [*fleet.look(members).values()] == [*states], lambda: fleet.look(members))


def said(member: Member, *lines: str) -> None:
    """Wait until a worker said this, and nothing else; SLURM's own lines aside."""

    def log() -> list[str]:
        path = Path(member.log)
        text = path.read_text() if path.exists() else ""
        return [line for line in text.splitlines() if not line.startswith("slurmstepd")]

    until(lambda: log() == [*lines], log)


def test_workers_wait_run_end_and_leave_their_logs(slurm: SlurmCluster, tmp_path: Path) -> None:
    root = tmp_path / "a store, 100% #1's"
    root.mkdir()
    engine, go = fleet(root, workers=3, setup="echo set up"), tmp_path / "go"
    waits = f"echo I am $SLURM_ARRAY_TASK_ID; until test -e {go}; do sleep 0.02; done"
    members = engine.submit(3, ["/bin/bash", "-c", waits])
    become(engine, members, "running", "running", "waiting")
    assert {job.node for job in slurm.running()} == {"one", "two"}
    go.touch()
    become(engine, members, *["ended"] * 3)
    for i, member in enumerate(members):
        said(member, "set up", f"I am {i}")
        assert Path(member.log).parent.parent == root / "fleets/slurm"


@pytest.mark.parametrize("partition", ["main", "graced"])
def test_a_preempted_worker_saves_and_begins_again_under_its_number(
    slurm: SlurmCluster, tmp_path: Path, partition: str
) -> None:
    engine = fleet(tmp_path, partition=partition)
    (member,) = members = engine.submit(1, SAVES)
    said(member, "began 0 0")
    slurm.preempt(slurm.running()[0].node)
    said(member, "began 0 0", "saved", "began 0 1")
    become(engine, members, "running")


@pytest.mark.parametrize("blow", ["preempt", "fail"])
def test_a_worker_that_does_not_end_or_whose_node_fails_begins_again(
    slurm: SlurmCluster, tmp_path: Path, blow: str
) -> None:
    engine = fleet(tmp_path)
    (member,) = members = engine.submit(1, IGNORES)
    said(member, "began")
    getattr(slurm, blow)(slurm.running()[0].node)
    said(member, "began", "began")
    become(engine, members, "running")


def test_failed_expired_and_cancelled_workers_have_ended(
    slurm: SlurmCluster, tmp_path: Path
) -> None:
    engine = fleet(tmp_path, time="5")
    (failed,) = engine.submit(1, ["/bin/false"])
    expired, waiting = engine.submit(1, SAVES), engine.submit(3, WAITS)
    become(engine, [failed, *expired, *waiting], "ended", "running", "running", *["waiting"] * 2)
    said(expired[0], "began 0 0")
    subprocess.run(["scancel", waiting[0].id.partition("_")[0]], check=True)
    become(engine, waiting, *["ended"] * 3)
    slurm.expire(slurm.running()[0])
    said(expired[0], "began 0 0", "saved")
    become(engine, expired, "ended")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            {"partition": "nowhere"},
            (
                "sbatch: invalid partition specified: nowhere; Batch job submission failed: "
                "Invalid partition name specified"
            ),
        ),
        ({"extra": "--quality=high"}, "sbatch: unrecognized option '--quality=high'"),
        (
            {"memory": "900T"},
            (
                "sbatch: Memory specification can not be satisfied; Batch job submission failed: "
                "Requested node configuration is not available"
            ),
        ),
    ],
)
def test_what_sbatch_refuses_is_told_in_its_words(
    slurm: SlurmCluster, tmp_path: Path, asked: dict[str, str], told: str
) -> None:
    with pytest.raises(FleetError) as found:
        fleet(tmp_path, **asked).submit(1, WAITS)
    assert str(found.value) == told and not slurm.ask("squeue", "-h")


def test_what_slurm_will_never_begin_is_told(slurm: SlurmCluster, tmp_path: Path) -> None:
    engine = fleet(tmp_path, time="6:00:00", partition="gpu")
    members = engine.submit(2, WAITS)
    with pytest.raises(FleetError, match=r"^SLURM will not begin .*: PartitionTimeLimit \(squeue"):
        until(lambda: engine.look(members) == {})
    engine.cancel(members)
    until(lambda: not slurm.ask("squeue", "-h"))


def test_what_is_typed_wins_over_the_environment(
    slurm: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "SBATCH_PARTITION": "nowhere",
        "SBATCH_OUTPUT": "/dev/null",
        "SBATCH_ARRAY_INX": "0-9",
        "SQUEUE_STATES": "PD",
    }.items():
        monkeypatch.setenv(name, value)
    engine = fleet(tmp_path, partition="main", workers=5)
    members = engine.submit(2, ["/bin/echo", "here"])
    become(engine, members, "ended", "ended")
    for member in members:
        said(member, "here")
    assert len(slurm.jobs(members[0].id.partition("_")[0])) == 2


def test_workers_have_what_those_of_ray_have_of_the_environment(
    slurm: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "HF_HOME", "ASSAY_LEASE_SECONDS"):
        monkeypatch.setenv(name, "3")
    engine, out = fleet(tmp_path), tmp_path / "env"
    members = engine.submit(1, ["/bin/bash", "-c", f"env -0 > {out}"])
    become(engine, members, "ended")
    found = dict(line.split("=", 1) for line in out.read_text().split("\0") if line)
    expected = forwarded(os.environ)
    assert len(expected) >= 4 and expected.items() <= found.items()


def test_cancel_has_workers_save_and_minds_nothing_that_ended(
    slurm: SlurmCluster, tmp_path: Path
) -> None:
    engine = fleet(tmp_path)
    ended, rest = engine.submit(1, ["/bin/true"]), engine.submit(3, SAVES)
    become(engine, [*ended, *rest], "ended", "running", "running", "waiting")
    said(rest[0], "began 0 0")
    engine.cancel([*ended, *rest])
    become(engine, rest, *["ended"] * 3)
    said(rest[0], "began 0 0", "saved")
    engine.cancel(rest)


@pytest.fixture
def pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Steps slow enough that something may happen between two of them, each in a line of the file;
    a lost worker's lease that lapses soon."""
    monkeypatch.setenv("WALK_PAUSE", "0.08")
    monkeypatch.setenv("WALK_MARKS", str(tmp_path / "marks"))
    monkeypatch.setenv("ASSAY_CHECKPOINT_SECONDS", "0.05")
    monkeypatch.setenv("ASSAY_LEASE_SECONDS", "3")
    monkeypatch.setattr(none, "POLL", 0.1)
    monkeypatch.setattr(none, "ASKS", 0.2)
    return tmp_path / "marks"


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
    return measured(beside)


def on_slurm(
    root: Path, preset: str = "smoke", **how: Any
) -> Callable[[Callable[[Any], None]], Any]:
    engine = fleet(root, time="2:00:00", **how)
    return lambda heard: Lab(root, Away(engine)).run(*asked(preset, *LONG), heard)


def logs(root: Path) -> str:
    return "".join(path.read_text() for path in sorted(root.glob("fleets/slurm/*/*.log")))


def test_a_worker_preempted_midway_changes_no_byte_and_does_no_step_twice(
    slurm: SlurmCluster, pace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, preempted = tmp_path / "store", list[str]()
    whole = alone(root, "smoke", monkeypatch)
    monkeypatch.setenv("ASSAY_CHECKPOINT_SECONDS", "600")  # none but that which SIGTERM asks for

    def heard(event: Any) -> None:
        if isinstance(event, Progress) and 0 < event.done < event.total and not preempted:
            preempted.append(slurm.running()[0].id)
            slurm.preempt(slurm.running()[0].node)

    on_slurm(root, workers=1)(heard)
    assert measured(root) == whole
    until(lambda: not slurm.running())
    (array,) = {id.partition("_")[0] for id in preempted}
    assert [(job.id, job.restarts) for job in slurm.jobs(array)] == [(preempted[0], 1)], (
        "SLURM began it again, and nobody had to ask for another"
    )
    assert "left at its checkpoint" in logs(root) and not list((root / "groups").iterdir())
    assert pace.read_text().splitlines().count("train") == 2 * 40, "of each arm"


def test_an_interrupted_command_leaves_nothing_in_the_queue_and_goes_on(
    slurm: SlurmCluster, pace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    whole = alone(root, "smoke", monkeypatch)

    def heard(event: Any) -> None:
        if isinstance(event, Progress):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        on_slurm(root, workers=1)(heard)
    until(lambda: not slurm.ask("squeue", "-h"))
    on_slurm(root, workers=1)(lambda event: None)
    assert measured(root) == whole


def test_workers_that_end_to_no_effect_are_an_error_with_their_log(
    slurm: SlurmCluster, pace: Path, tmp_path: Path
) -> None:
    told = (
        r"^3 workers in a row ended, and nothing came of it; what the last one said is in /.*log$"
    )
    with pytest.raises(FleetError, match=told) as found:
        on_slurm(tmp_path / "store", setup="echo no such module; exit 1")(lambda event: None)
    assert Path(str(found.value).split()[-1]).read_text() == "no such module\n"


def test_whatever_a_cluster_does_changes_no_byte(
    slurm: SlurmCluster, pace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two nodes: a worker is preempted, requeued, cancelled by somebody, out of time, killed;
    its node fails; the controller is begun anew."""
    root = tmp_path / "store"
    whole = alone(root, "full", monkeypatch)

    def restart(job: Any) -> None:
        slurm.end_controller()
        slurm.begin_controller()

    blows: list[Callable[[Any], object]] = [
        lambda job: slurm.expire(job),
        lambda job: slurm.preempt(job.node),
        lambda job: slurm.ask("scancel", "--signal=KILL", "--full", job.id),
        lambda job: slurm.ask("scontrol", "requeue", job.id),
        restart,
        lambda job: slurm.ask("scancel", job.id),
        lambda job: slurm.fail(job.node),
    ]
    nodes = set[str]()

    def heard(event: Any) -> None:
        if isinstance(event, Progress) and blows and (running := slurm.running()):
            nodes.update(job.node for job in running)
            with contextlib.suppress(subprocess.CalledProcessError):  # the job has just ended
                blows[0](running[0])
                blows.pop(0)

    on_slurm(root, "full", workers=2)(heard)
    assert measured(root) == whole
    assert not blows and nodes == {"one", "two"}
    until(lambda: not slurm.ask("squeue", "-h"))
    assert not list((root / "groups").iterdir())
