"""Every benchmark still goes with the program: all are imported, and those that need no peer's
package run at their least size. What they print is a time, of which nothing is asked."""

import ast
import importlib
import importlib.util
import os
from pathlib import Path

import pytest

import tiny_models
from forks import ForksOfAnother

FOLDER = Path(__file__).parents[2] / "benchmarks"
TINY = "--model tiny --text texts"
LEAST = {
    "asking_on_a_gpu": "--device cpu --least --repeats 1 --peers plain",
    "ensembles": "1 2",
    "evaluate": f"{TINY} --tokens 1024 --ablation-tokens 256 --width 64 --repeats 1 --several 2"
    " --site blocks.0.hook_resid_post",
    "families": "--tables 1 --only templates",
    "gpu": "--device pretend --least --minutes 30",
    "grokking": "1",
    "draws": "--worlds 1",
    "edits": "--model tiny --vectors 2 --repeats 1 --site blocks.0.hook_resid_post",
    "harvest": f"{TINY} --windows 2 --repeats 1 --sites blocks.0.hook_resid_post",
    "index_build": "--features 64 --tokens 2000 --on 4",
    "index_reading": "",
    "judging": "--documents 20 --seeds 2 --measures 2 --repeats 1 --experiment superposition",
    "moves": "superposition --preset smoke",
    "no_op": "--groups 2 --workers 1 --stored 4 --repeats 1 --folder .",
    "plans": "superposition:smoke --executor inline",
    "selective_scan": "1",
    "studies": "--study small.toml --change 0.1 0.2 --at-once 2 --small 2 --steps 5",
    "thousand": "--runs 40 --repeats 1",
    "time_left": "superposition smoke",
    "truth": "--claims dictionaries --only longer_explanations",
}
"""Benchmark → its words at the least size."""
SMALL = """question = "How many features are represented?"
[[experiment]]
name = "superposition"
fields = { density = 0.1, steps = 5 }
arms = ["main"]
[[estimate]]
text = "Share of features that are represented"
value = "mean(main.represented, over=feature)"
"""


@pytest.fixture(scope="module")
def forks():
    """Forks of an interpreter that has run no test."""
    with ForksOfAnother() as parent:
        yield parent


def run(forks, names, as_, words, folder):
    """Execute files as if Python had been called with each, in one process."""
    paths = [str(FOLDER / f"{name}.py") for name in names]
    code = f"""
import runpy, sys
sys.path[0] = {str(FOLDER)!r}
for path in {paths}:
    sys.argv = [path, *{words}]
    runpy.run_path(path, run_name={as_!r})
"""
    return forks.execute(code, folder, os.environ)


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_what_each_takes_from_the_program_is_there(name):
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "assay":
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or importlib.util.find_spec(
                    f"{node.module}.{alias.name}"
                ), f"{name} takes {alias.name} from {node.module}"


@pytest.mark.thorough
def test_each_is_imported(forks, tmp_path):
    done = run(forks, sorted(path.stem for path in FOLDER.glob("*.py")), "benchmark", [], tmp_path)
    assert done == (0, "", ""), "an import measures nothing"
    assert not list(tmp_path.iterdir()), "an import writes nothing"


@pytest.mark.thorough
@pytest.mark.parametrize("name", LEAST)
def test_it_runs_at_its_least_size(forks, tmp_path, name):
    changes = {"bos_token_id": 3, "max_position_embeddings": 128}
    tiny_models.make(tmp_path / "tiny", "llama", **changes)
    (tmp_path / "texts").mkdir()
    for i in range(8):
        (tmp_path / f"texts/{i}.txt").write_text(f"def f{i}(x):\n    return x + {i}\n" * 60)
    (tmp_path / "small.toml").write_text(SMALL)
    done = run(forks, [name], "__main__", LEAST[name].split(), tmp_path)
    assert done.code == 0 and done.out, done.err


@pytest.mark.thorough
def test_each_part_of_the_table_of_peers_is_filled(forks, tmp_path):
    done = run(forks, ["peers"], "__main__", ["--least", "--repeats", "1"], tmp_path)
    rows = [line.split(" | ") for line in done.out.splitlines() if line.startswith("| ")]
    measured = [row for row in rows if row[1] in ("fp32", "bf16")]
    batches = [row for row in measured if row[0] == "| a batch 64"]
    steps = [row for row in measured if row not in batches and len(row) == 4]
    assert len(steps) == 14 and len(batches) == 1, done.out
    assert not [row for row in (*steps, *batches) if "–" in "".join(row)], done.out
