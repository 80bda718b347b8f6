"""Where nothing that trains is installed, each verb that needs it says so in one line, with exit code 2, and writes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.verbs.new import write_experiment

HIDDEN = "import sys\nsys.modules.update(dict.fromkeys(['torch', 'transformers', 'tokenizers', 'sklearn', 'gguf', 'duckdb', 'pyarrow', 'uvicorn']))\n"


def assay(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A verb in this folder, in a process that finds no optional package, and whose children find none either."""
    (folder / "hidden").mkdir(exist_ok=True)
    (folder / "hidden/sitecustomize.py").write_text(HIDDEN)
    paths = [str(folder / "hidden"), *filter(None, [os.environ.get("PYTHONPATH")])]
    there = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-m", "assay", *words], capture_output=True, text=True, cwd=folder, env=there, check=False)


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("run", "superposition", "--preset", "smoke"), "train"),
        (("run", "superposition", "--preset", "smoke", "--executor", "inline"), "train"),
        (("reproduce", "superposition"), "train"),
        (("run", "my_claim.py"), "train"),
        (("plan", "my_claim.py"), "train"),
        (("conformance",), "train"),
        (("look", "def"), "models"),
        (("evaluate", "mine.safetensors", "--acts", "acts.safetensors"), "models"),
        (("index", "mine.safetensors"), "explore"),
        (("serve",), "explore"),
    ],
)
def test_a_verb_says_what_it_needs_before_it_writes(tmp_path: Path, words: tuple[str, ...], extra: str) -> None:
    write_experiment("my-claim", tmp_path)
    for name in ("mine.safetensors", "acts.safetensors"):
        (tmp_path / name).write_bytes((2).to_bytes(8, "little") + b"{}")
    before = {path.name for path in tmp_path.iterdir()} | {"hidden"}
    done = assay(tmp_path, *words)
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert " needs " in f" {last}" and last.endswith(f"pip install 'interp-assay[{extra}]'"), done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) <= 2
    assert {path.name for path in tmp_path.iterdir()} <= before, "something was written"


def test_a_plan_says_that_the_next_command_cannot_run_yet(tmp_path: Path) -> None:
    done = assay(tmp_path, "plan", "superposition")
    assert done.stdout.splitlines()[-1].endswith("run superposition (needs torch: pip install 'interp-assay[train]')"), done.stdout + done.stderr
