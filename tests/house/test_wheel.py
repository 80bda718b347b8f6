"""The wheel of the device alone, in a fresh environment without the catalogue and the referee: it
judges, plans a study and says how to get experiments."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ELSEWHERE = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "ASSAY_ROOT")}
HIDDEN = ("assay_catalogue", "assay_vectors", "interp_assay")

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The command of an environment that has the wheel, and of what the tests' own has all but the
    three projects."""
    made = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(made)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = made.glob("interp_assay-*.whl")
    venv.create(made / "env", symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(made / "env"), "install", "-q"]
    options = ["--no-deps", "--no-index", "--no-compile", str(wheel)]
    subprocess.run([*pip, *options], env=ELSEWHERE, check=True)
    (site,) = made.glob("env/lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        ours = entry.name.startswith(HIDDEN) or entry.suffix == ".pth"
        if not ours and not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    return made / "env/bin/assay"


def said(command, where, *words, code=0):
    """What a command prints in the folder `where`."""
    ran = subprocess.run(
        [command, *words], cwd=where, env=ELSEWHERE, capture_output=True, text=True
    )
    assert ran.returncode == code, ran.stderr
    return " ".join((ran.stdout + ran.stderr).split())


def test_without_the_catalogue_it_says_how_to_get_it(alone, tmp_path):
    assert "pip install ./catalogue" in said(alone, tmp_path, "list")
    assert "pip install ./catalogue" in said(alone, tmp_path, "run", "superposition", code=2)
    assert "assay-catalogue" not in said(alone, tmp_path, "--help")


def test_it_judges_a_table_and_plans_a_study(alone, tmp_path):
    rows = [f"{arm},{i},{x + i % 3 / 100}" for arm, x in (("a", 1), ("b", 0)) for i in range(12)]
    (tmp_path / "table.csv").write_text("\n".join(["arm,seed,y", *rows]))
    claim = ("--claim", "a.y - b.y > 0.5", "--unit", "seed")
    assert "holds" in said(alone, tmp_path, "judge", "table.csv", *claim, "--json")
    for file in ("country.toml", "capitals.csv"):
        (tmp_path / file).write_text((ROOT / "examples" / file).read_text())
    assert "runs are missing" in said(alone, tmp_path, "plan", "country.toml")
