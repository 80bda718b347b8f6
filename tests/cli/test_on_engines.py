"""`assay run --on slurm` as it is typed: what is shown before anything is submitted, and one line
for what cannot be."""

import json
from pathlib import Path

import pytest
from fake_slurm import directives

from assay.cli.main import main
from assay.core.plain import plain
from slurm_cluster import SlurmCluster

WALK = str(Path(__file__).parents[1] / "lab" / "walk.py")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dry_run(without: str = "") -> list[str]:
    typed = (
        f"run {WALK} --on slurm --partition gpu --time 4:00:00 --gpus 1 --device cuda --memory 16G "
        "--account lab --workers 16 --threads 4 --prolog prolog.sh --root s --dry-run"
    )
    return typed.replace(without, "").split()


def test_a_dry_run_prints_the_script_and_does_nothing(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    Path("prolog.sh").write_text("module load cuda/12\nsource venv/bin/activate\n")
    typed = [*dry_run(), "--sbatch", "--qos=low -C a100"]
    assert main(typed) == 0
    script = capsys.readouterr().out
    found = directives(script)
    expected = "--partition=gpu --time=4:00:00 --gpus-per-node=1 --mem=16G --account=lab "
    expected += "--array=0-15 --cpus-per-task=4 --qos=low -C a100"
    assert set(expected.split()) <= set(found)
    assert any(word.startswith(f"--output={here}/s/fleets/slurm/") for word in found)
    *_, first, second, last, end = script.split("\n")
    assert (first, second, end) == ("module load cuda/12", "source venv/bin/activate", "")
    assert last.startswith("exec ") and last.endswith(
        f" -m assay worker --root {here}/s --idle 30 --threads 4 --device cuda"
    )
    assert main([*typed, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["script"].splitlines()[-1] == last
    assert not Path("s").exists()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["--partition", "gpu"], "--partition is about workers elsewhere; it goes with --on slurm"),
        (["--dry-run"], "--dry-run is about workers elsewhere; it goes with --on slurm"),
        (
            ["--on", "pbs"],
            "--on is slurm, ray://HOST:PORT, ray:auto, ray:HOST:PORT or local:N, got 'pbs'",
        ),
        (
            ["--on", "slurm", "--executor", "inline"],
            "--on slurm and --executor inline are two answers to one question; leave one out",
        ),
        (
            ["--on", "slurm", "--gpus", "1"],
            "--gpus 1 would stay idle on --device cpu; add --device cuda",
        ),
        (["--on", "slurm", "--device", "gpu"], "--device is cpu, cuda or cuda:1, got 'gpu'"),
        (["--on", "slurm", "--threads", "0"], "--threads is a number of threads from 1 up, got 0"),
        (
            ["--on", "slurm", "--time", "soon"],
            "--time is 90, 1:30:00 or 2-12 as sbatch takes it, got 'soon'",
        ),
        (
            ["--on", "slurm", "--prolog", "none.sh"],
            "cannot read none.sh: No such file or directory; expected a file of bash",
        ),
        (["--on", "slurm", "--prolog", "binary.sh"], "--prolog binary.sh is not text in UTF-8"),
        (
            ["--on", "slurm", "--sbatch", "--array=0-99"],
            "--sbatch cannot have --array: Assay sets the array, its logs and its signals itself",
        ),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    capsys: pytest.CaptureFixture[str], typed: list[str], told: str
) -> None:
    Path("binary.sh").write_bytes(b"\xff\xfe\x00")
    assert main(["run", WALK, *typed, "--root", "s"]) == 2
    assert plain(capsys.readouterr().err).splitlines() == [told]
    assert not Path("s").exists()


@pytest.mark.thorough
def test_a_real_sbatch_takes_the_script_and_refuses_a_partition_in_a_line(
    capsys: pytest.CaptureFixture[str], slurm: SlurmCluster
) -> None:
    Path("prolog.sh").touch()
    assert main([*dry_run("--threads 4 "), "--sbatch", "--qos=low -C a100"]) == 0
    Path("workers.sh").write_text(capsys.readouterr().out)
    slurm.ask("sbatch", "--test-only", "workers.sh")

    typed = f"run {WALK} --preset smoke --on slurm --partition nowhere --root s"
    assert main(typed.split()) == 2
    told = (
        "sbatch: invalid partition specified: nowhere; Batch job submission failed: Invalid "
        "partition name specified"
    )
    assert capsys.readouterr().err.splitlines()[-1] == told
    assert not slurm.ask("squeue", "-h"), "and nobody waits for anything"
    assert not list(Path("s/wanted").iterdir())
