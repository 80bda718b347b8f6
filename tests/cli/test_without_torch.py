"""Where nothing that trains is installed, each verb that needs it says so in one line, with exit
code 2, and writes nothing."""

import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from assay.verbs.new import write_experiment
from forks import ForksOfAnother

HIDDEN = [
    "torch",
    "transformers",
    "tokenizers",
    "sklearn",
    "gguf",
    "duckdb",
    "pyarrow",
    "uvicorn",
    "mcp",
]


@pytest.fixture(scope="module")
def bare():
    with ForksOfAnother(HIDDEN) as parent:
        yield parent


@pytest.fixture
def assay(bare, tmp_path):
    """A verb in the test's folder, in a process that finds no optional package, and whose children
    find none either."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({HIDDEN}))\n"
    )
    paths = [str(tmp_path / "hidden"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return lambda *words: bare.run(
        words,
        tmp_path,
        {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
    )


PLANNED = ("plan", "superposition"), ("plan", "my_claim.py")


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        # which says that the next command cannot run yet
        *((words, "train") for words in PLANNED),
        (("run", "superposition", "--preset", "smoke"), "train"),
        (("run", "superposition", "--preset", "smoke", "--executor", "inline"), "train"),
        (("verify", "superposition", "--rerun"), "train"),
        (("run", "my_claim.py"), "train"),
        (("features", "def", "--dictionary", "small.safetensors"), "models"),
        (("evaluate", "mine.safetensors", "--model", "m", "--text", "docs"), "models"),
        (("export", "mine.safetensors", "--format", "index"), "explore"),
        (("serve",), "explore"),
        (("mcp",), "agents"),
    ],
)
def test_a_verb_says_what_it_needs_before_it_writes(tmp_path, assay, words, extra):
    write_experiment("my-claim", tmp_path)
    for name in ("mine.safetensors", "acts.safetensors"):
        (tmp_path / name).write_bytes((2).to_bytes(8, "little") + b"{}")
    size = {"W_enc": (4, 6), "b_enc": (6,), "W_dec": (6, 4), "b_dec": (4,)}
    save_file({k: np.ones(s, np.float32) for k, s in size.items()}, tmp_path / "small.safetensors")
    before = {path.name for path in tmp_path.iterdir()}
    done, planned = assay(*words), words in PLANNED
    assert done.code == (0 if planned else 2), done.err
    said = f" {(done.out if planned else done.err).splitlines()[-1]}".rstrip(")")
    assert "needs " in said, done
    assert said.endswith(f"pip install 'interp-assay[{extra}]'"), done
    assert "Traceback" not in done.err and len(done.err.splitlines()) <= 2
    assert {path.name for path in tmp_path.iterdir()} <= before, "something was written"
