"""What may import what, and what an import may cost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "numpy", "scipy", "xarray", "pandas", "transformers", "jinja2", "vl_convert"}


def modules_after(code: str) -> set[str]:
    """The names of top-level modules that a fresh interpreter holds after running `code`."""
    script = (
        f"import sys, json\n{code}\nprint(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})), file=sys.__stdout__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_imports_go_one_way() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def call(*words: str) -> str:
    """Code that runs the command line in-process with its output thrown away."""
    return f"from assay.cli.main import main\nsys.stdout = open('/dev/null', 'w')\nassert main({list(words)!r}) == 0"


@pytest.mark.parametrize("code", ["import assay", call("--help"), call("list"), call("run", "--help")])
def test_looking_around_stays_light(code: str) -> None:
    heavy = modules_after(code) & HEAVY
    assert not heavy, f"{code!r} imports {sorted(heavy)}; move those imports into the functions that need them"


def test_core_needs_torch_only_to_train() -> None:
    names = [path.stem for path in (ROOT / "src/assay/core").glob("*.py") if path.stem not in {"__init__", "fit", "descent", "langevin"}]
    assert "torch" not in modules_after("import " + ", ".join(f"assay.core.{name}" for name in names))
