"""The wheels are whole: Assay's and the catalogue's, installed in a fresh environment, say in an
empty folder what the checkout says there.

Of the catalogue, plans, records and verdicts. What they need is lent by the environment that runs
the tests."""

import json
import os
import shlex
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from forks import Ended, Forks

ROOT = Path(__file__).parents[2]
ELSEWHERE = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "ASSAY_ROOT")} | {
    "COLUMNS": "120"
}
LEFT_OUT = sorted((ROOT / "records").glob("*.*.safetensors.xz"))
Side = Path | Forks
"""The installed command, or what forks the checkout's."""


pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with nothing of its own but the two wheels."""
    made = tmp_path_factory.mktemp("wheel")
    for project in (ROOT.parent, ROOT):
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", made],
            cwd=project,
            check=True,
            capture_output=True,
        )
    wheels = [str(wheel) for wheel in made.glob("*.whl")]
    assert len(wheels) == 2
    venv.create(made / "env", symlinks=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(made / "env"),
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--no-compile",
        *wheels,
    ]
    subprocess.run(pip, env=ELSEWHERE, check=True)
    (site,) = made.glob("env/lib/python*/site-packages")
    # By a plain path: .pth files in there, such as that of an editable checkout, are not followed.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made / "env"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="module")
def wheel(installed: Path, empty: Path) -> Path:
    """The command of the wheel, which imports Assay from nowhere else."""
    place = [installed / "bin/python", "-c", "import assay; print(assay.__file__)"]
    found = subprocess.run(place, cwd=empty, env=ELSEWHERE, capture_output=True, text=True)
    assert Path(found.stdout.strip()).is_relative_to(installed), "another Assay was imported"
    return installed / "bin/assay"


def said(side: Side, where: Path, *words: str, code: int = 0) -> str:
    """What a command prints in the folder `where`."""
    if isinstance(side, Forks):
        ended = side.run(words, where, ELSEWHERE)
    else:
        ran = subprocess.run(
            [side, *words], cwd=where, env=ELSEWHERE, capture_output=True, text=True
        )
        ended = Ended(ran.returncode, ran.stdout, ran.stderr)
    assert ended.code == code, ended.err
    # Hints print the command as it is to be typed; a longer path folds their lines elsewhere.
    text = (ended.out + ended.err).replace(shlex.quote(str(side)), "assay")
    return text.replace("\n  ", " ")


def test_it_lists_and_plans_as_the_checkout_does(wheel: Path, forks: Forks, empty: Path) -> None:
    """Both read the records: outcomes and costs."""
    assert said(wheel, empty, "list", "catalogue") == said(forks, empty, "list", "catalogue")
    plans = [
        json.loads(said(side, empty, "plan", "superposition", "--json")) for side in (wheel, forks)
    ]
    assert plans[0]["cost_from"] == "the record"
    assert {**plans[0], "free_bytes": 0} == {**plans[1], "free_bytes": 0}


def test_it_has_the_records(installed: Path) -> None:
    """Byte by byte, but for the measures of presets that lie elsewhere."""
    (package,) = installed.glob("lib/python*/site-packages/assay_catalogue")
    for inside, outside in (("records", "records"),):
        files = sorted(
            p.relative_to(ROOT / outside)
            for p in (ROOT / outside).rglob("*")
            if p.is_file() and p not in LEFT_OUT
        )
        assert files
        for file in files:
            assert (package / inside / file).read_bytes() == (ROOT / outside / file).read_bytes()
    assert not (package / "exercises").exists()


def test_of_presets_elsewhere_it_has_the_verdicts_and_says_where_the_measures_are(
    wheel: Path, forks: Forks, empty: Path
) -> None:
    name = LEFT_OUT[0].name.removesuffix(".safetensors.xz")
    experiment, _, preset = name.partition(".")
    chosen = ("export", experiment, "--preset", preset, "--format", "bundle", "--out", "x.zip")
    refused = said(wheel, empty, *chosen, code=2)
    assert LEFT_OUT[0].name in refused and "its repository has all" in refused
    assert "Traceback" not in refused and not (empty / "x.zip").exists()
    assert "its repository has all" in said(wheel, empty, "plan", experiment, "--preset", preset)
    said(wheel, empty, "plan", experiment, "--preset", preset, "--set", "seed=0:2")
    both = [
        said(side, empty, "verify", experiment, "--preset", preset, code=code)
        for side, code in ((wheel, 2), (forks, 0))
    ]
    assert "its repository has all" in both[0] and "as recorded" in both[1]


def test_it_runs_and_is_held_to_its_record_as_the_checkout_is(
    wheel: Path, forks: Forks, empty: Path, tmp_path: Path
) -> None:
    """A smoke preset in the wheel's own workers; both then judge it alike, and refuse alike to hold
    it to a record of another preset."""
    chosen, store = ("deep-linear", "--preset", "smoke"), ("--root", str(tmp_path))
    said(wheel, empty, "run", *chosen, *store)
    assert said(wheel, empty, "show", *chosen, *store) == said(
        forks, empty, "show", *chosen, *store
    )
    for how in (store, ("--rerun",)):
        told = [said(side, empty, "verify", *chosen, *how, code=2) for side in (wheel, forks)]
        assert told[0] == told[1] and "is of preset default" in told[0]


@pytest.mark.slow
def test_it_reproduces_its_record(wheel: Path, forks: Forks, empty: Path, tmp_path: Path) -> None:
    """About 20 CPU-seconds: the whole default preset of an entry with verdicts."""
    store = ("--root", str(tmp_path))
    said(wheel, empty, "run", "deep-linear", *store)
    told = [said(side, empty, "verify", "deep-linear", *store) for side in (wheel, forks)]
    assert told[0] == told[1] and told[0].endswith("deep-linear: as recorded\n")
