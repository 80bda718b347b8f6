"""A run fails where it takes more CPU-seconds than it may, in all or in one test, and not because
time passes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import budget

TESTS = Path(budget.__file__).parent
RUN = """
import gc
import subprocess
import sys
import time

import pytest


def work(seconds):
    begun = time.process_time()
    while time.process_time() - begun < seconds:
        sum(range(10_000))


@pytest.fixture(scope="session")
def shared():
    work(0.08)


def test_shares(shared):
    import dear_module


def test_waits():
    time.sleep(0.3)


@pytest.mark.thorough
def test_marked():
    work(0.08)


def test_listed():
    work(0.08)


def test_dear():
    work(0.08)


def test_child():
    busy = "import time\\nwhile time.process_time() < 0.1: pass"
    subprocess.run([sys.executable, "-S", "-c", busy])


def test_collects():
    kept = [[n] for n in range(100_000)]
    for _ in range(16):
        gc.collect()


@pytest.mark.parametrize("words", ["-c 'import assay.core'", "-m assay list"])
def test_starts(words):
    subprocess.run(f"{sys.executable} -S {words}", shell=True, stderr=-3)


@pytest.mark.parametrize("words", ["-c pass", "of/assay/list.py"])
def test_starts_nothing(words):
    subprocess.run(f"{sys.executable} -S {words}", shell=True, stderr=-3)
"""
LINE = "test_it.py::test_{}  0.3  It works for its living\n"


def ran(folder, *words, in_all, lines):
    """Run the tests above under a budget with small limits: the exit code, the output, and the
    names of the tests that broke the budget."""
    work = RUN.partition("@pytest")[0]
    dear = LINE.format("listed") + "".join(LINE.format(n) for n in range(1, lines))
    limits = (
        f"budget.IN_ALL, budget.OF_A_TEST, budget.NOISE, budget.PIECE = {in_all}, 0.04, 1.25, 1.0\n"
        "budget.STARTS = 0"
    )
    page = f"budget.DEAR = pathlib.Path({str(folder / 'dear.txt')!r})"
    for name, text in {
        "test_it.py": RUN,
        "dear_module.py": f"{work}\nwork(0.08)\n",
        "dear.txt": dear,
        "limits.py": f"import pathlib\nimport budget\n{limits}\n{page}\n",
        "pytest.ini": "[pytest]\nmarkers = thorough\n",
    }.items():
        (folder / name).write_text(text)
    plugins = ("-p", "limits", "-p", "budget", "-p", "no:cacheprovider")
    paths = f"{folder}:{TESTS}"
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, *words, "test_it.py"],
        cwd=folder,
        env={"PYTHONPATH": paths, "PATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    out = ended.stdout + ended.stderr
    return ended.returncode, out, re.findall(r"BUDGET: test_it.py::test_(\w+) took 0\.\d", out)


def test_a_dear_test_fails_the_run_unless_it_is_marked_or_has_a_line(tmp_path):
    """A child counts; waiting, an import, what tests share and a full pass of the garbage
    collector do not. An interpreter of something else than Assay is none of its starts."""
    code, out, dear = ran(tmp_path, in_all=60, lines=40)
    assert code == 1 and "11 passed" in out
    assert sorted(dear) == ["child", "dear"]
    assert out.count("BUDGET") == 3
    assert (
        "1 tests start an interpreter with Assay; the limit is 0: test_it.py::test_starts\n" in out
    )


def test_workers_count_and_so_do_all_tests_together_and_the_lines(tmp_path):
    words = ("-p", "xdist", "-n", "1", "-k", "not collects and not starts")
    code, out, dear = ran(tmp_path, *words, in_all=0.3, lines=41)
    assert code == 1 and "6 passed" in out
    assert sorted(dear) == ["child", "dear"]
    assert re.search(r"BUDGET: the run took \d+ CPU-seconds; the limit is 0.3\n", out)
    assert "BUDGET: dear.txt has 41 lines; the limit is 40" in out


def test_nothing_dear_is_no_failure(tmp_path):
    code, out, _ = ran(tmp_path, "-k", "listed or waits", in_all=60, lines=40)
    assert (code, "BUDGET" in out) == (0, False), out


def test_a_slower_machine_is_allowed_as_much_more():
    assert budget.slowness([budget.PIECE * 3] * 3) == 3
    assert budget.slowness([budget.PIECE / 3] * 3) == 1


def test_every_line_names_a_test_that_is_there():
    listed = budget.reasons(budget.DEAR.read_text())
    assert len(listed) <= budget.LINES
    for name in listed:
        path, _, test = name.partition("::")
        assert re.search(rf"^def {test}\(", (TESTS.parent / path).read_text(), re.MULTILINE), name


def test_a_line_without_a_reason_is_refused():
    with pytest.raises(pytest.UsageError, match="a test, seconds and a reason"):
        budget.reasons("tests/a.py::test_b  2\n")
