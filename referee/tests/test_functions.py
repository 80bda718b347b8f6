"""Your own functions: run on vectors by the command line and by pytest, differences shown at
their lines."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from tomllib import loads

import numpy as np
import pytest

from assay_vectors import functions, sarif, vectors
from assay_vectors.__main__ import main
from assay_vectors.errors import VectorsError

pytest_plugins = ["pytester"]

LIBRARY = """
import numpy as np

def fvu(x, x_hat):
    return ((x - x_hat) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()

def residual(x, x_hat):
    return 1 - (x - x_hat).var(0).sum() / x.var(0).sum()

def auroc(score, label):
    return (score[label][:, None] >= score[~label][None]).mean()

def gamma(x, x_hat):
    return (x_hat ** 2).sum() / (x * x_hat).sum()
"""
CONFTEST = """
import library

def assay_functions():
    return {
        "fvu": library.fvu,
        "auroc": library.auroc,
        "gamma": library.gamma,
    }
"""


def judged(named, *ids):
    library = functions.read(named, "library")
    return {v.id: library.judge(v) for v in vectors.select(ids) if library.serving(v)}


def test_a_number_is_the_quantity_that_is_asked_for():
    fvu = lambda x, x_hat: ((x - x_hat) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()  # noqa: E731
    l0 = lambda features: (features != 0).sum(1).mean()  # noqa: E731
    got = judged({"fvu": fvu, "l0": l0}, "C01", "L01", "L01b", "C02")
    assert {id: o.outcome for id, o in got.items()} == {"C01": "right", "L01": "right"}


def test_quantities_may_come_together_or_one_by_one():
    both = {"metrics": lambda x, x_hat: {"ev": 0.8, "mse": 1.0}}
    one = {"metrics.mse": lambda x, x_hat: ((x - x_hat) ** 2).sum(1).mean()}
    assert judged(both, "C01", "C02")["C01"].passed
    assert [*judged(one, "C01", "C02")] == ["C02"]
    assert judged(one, "C02")["C02"].passed


def test_arrays_are_those_that_the_library_takes():
    seen = []

    def streams(batches):
        seen.append({type(b["x"]) for b in batches} | {batches[0]["x"].dtype})
        return {"ev": 0}

    judged({"metrics_stream": streams, "array": np.asanyarray}, "I03b", "I01")
    assert {np.ndarray, np.dtype("float32")} in seen and {np.ndarray, np.dtype("float64")} in seen
    inputs = {
        "latents": [1, 2],
        "dead": [True, False],
        "weights": {"W": [[1, 2]]},
        "s": [[1, None]],
    }
    got = functions.arrays(inputs | {"ragged": [[1], [2, 3]], "name": "x"})
    kinds = {name: got[name].dtype.kind for name in ("latents", "dead", "s")}
    assert kinds == {"latents": "i", "dead": "b", "s": "f"}
    assert got["weights"]["W"].dtype == float and np.isnan(got["s"][0, 1])
    assert [len(row) for row in got["ragged"]] == [1, 2]


def test_what_a_function_does_not_take_is_not_offered():
    gamma = lambda x, x_hat: (x_hat**2).sum() / (x * x_hat).sum()  # noqa: E731
    got = judged({"gamma": gamma}, "S05")["S05"]
    assert got.outcome == "not offered" and "other arguments" in got.why


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"fvv": abs}, "did you mean fvu"),
        ({"fvu": 3}, "fvu must be a function"),
        ([], "must be a mapping"),
        ({}, "names no function"),
    ],
)
def test_a_wrong_name_is_one_line(named, words):
    with pytest.raises(VectorsError, match=words):
        functions.read(named, "library")


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A folder with a library of four functions."""
    (tmp_path / "library.py").write_text(LIBRARY)
    (tmp_path / "named.py").write_text(CONFTEST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("library", "named"):
        sys.modules.pop(name, None)


def test_from_the_command_line(library, capsys):
    words = ["--against", "named:assay_functions", "--sarif", "out.sarif"]
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "2 wrong" in out and "not offered" in out and "C04" not in out
    (run,) = json.loads((library / "out.sarif").read_text())["runs"]
    assert {result["ruleId"] for result in run["results"]} == {"Q02", "Q03"}
    assert main(["Q01", "--against", "named:assay_functions"]) == 0


def test_only_numpy_is_needed(library):
    code = (
        "import sys, importlib.abc\n"
        "class Finder(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, *more):\n"
        "        first = name.partition('.')[0]\n"
        "        known = {'numpy', 'assay_vectors', 'library', 'named'} | sys.stdlib_module_names\n"
        "        if first not in known: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from assay_vectors.__main__ import main\n"
        "sys.exit(main(['--against', 'named:assay_functions']) + 2 * main([]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=library)
    assert (done.returncode, done.stderr) == (1, "")
    assert "2 wrong" in done.stdout and "177 right" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--against", "nowhere:functions"], "cannot import nowhere:functions (Module"),
        (["--against", "named:nothing"], "cannot import named:nothing"),
        (["--against", "named:assay_functions", "--record"], "leave out --record"),
        (["--sarif", "x.sarif"], "name them, --against module:name"),
        (["--against", "named:assay_functions", "--sarif", "no/x.sarif"], "no/x.sarif: No such"),
        (["--vectors", "9"], "no set of vectors '9'"),
    ],
)
def test_wrong_usage_is_one_line(library, capsys, words, said):
    assert main(words) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1


def valid(log):
    """What SARIF 2.1.0 requires (OASIS, sections 3.13 to 3.52) of what is written here."""
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "assay-vectors" and driver["version"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"] and rule["help"]["text"]
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
        for place in result["locations"]:
            where = place["physicalLocation"]
            assert not where["artifactLocation"]["uri"].startswith("/")
            assert "\\" not in where["artifactLocation"]["uri"]
            assert where["region"]["startLine"] >= 1
    return run["results"]


def test_sarif_has_what_its_schema_requires():
    kinds = ("wrong", "another documented definition", "right", "not offered")
    results = [
        sarif.Result(v.id, kind, "text", ("src/a.py", 3))
        for v, kind in zip(vectors.load(), kinds, strict=False)
    ]
    written = valid(json.loads(sarif.page(results, "1.0")))
    assert [result["level"] for result in written] == ["error", "note"]


# pytest


@pytest.fixture
def project(pytester, monkeypatch):
    """A project whose tests/conftest.py names its functions, as CI would find it."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(library=LIBRARY)
    pytester.makepyfile(**{"tests/test_own": "def test_own(): pass"})
    pytester.syspathinsert()

    def write(conftest=CONFTEST):
        (pytester.path / "tests/conftest.py").write_text(conftest)

        def run(*words):
            return pytester.runpytest_subprocess("-p", "assay_vectors", *words)

        return run

    return write


def test_a_test_for_each_vector_and_no_other(project):
    done = project()("tests", "-v")
    names = {"metrics", "auroc", "shrinkage"}
    asked = [v for v in vectors.load() if v.operation in names and "mse" not in v.cases[0].expected]
    outcomes = done.parseoutcomes()
    assert sum(outcomes[kind] for kind in ("passed", "failed", "skipped")) == len(asked) + 1
    assert outcomes == {"passed": len(asked) - 2, "failed": 2, "skipped": 1}
    done.stdout.fnmatch_lines(["*conftest.py::C01 PASSED*", "*conftest.py::Q02 FAILED*"])
    done.stdout.fnmatch_lines(
        [
            "Q02 a score that never varies is a guess",
            "  got      auroc 1",
            "  right    auroc 0.5*",
            "  mistake  ties counted as wins*",
            "*import numpy as np",
            "*print(auroc)  # auroc 0.5",
        ]
    )
    done.stdout.fnmatch_lines(["assay-vectors 1.0: *2 wrong, – 1 not offered"])


def test_another_documented_definition_is_no_failure(project):
    conftest = CONFTEST.replace('"fvu": library.fvu', '"explained_variance": library.residual')
    done = project(conftest)("tests", "-rx", "-k", "C03 or C01")
    assert done.parseoutcomes()["xfailed"] == 1
    assert "failed" not in done.parseoutcomes()
    done.stdout.fnmatch_lines(["XFAIL *C03*another documented definition*"])


def test_files_for_ci_point_at_the_line_of_the_function(project, pytester):
    project()("tests", "--junitxml", "junit.xml", "--assay-sarif", "out.sarif")
    results = valid(json.loads((pytester.path / "out.sarif").read_text()))
    source = (pytester.path / "library.py").read_text().splitlines()
    line = 1 + source.index("def auroc(score, label):")
    places = {
        (
            r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            r["locations"][0]["physicalLocation"]["region"]["startLine"],
        )
        for r in results
    }
    assert {r["ruleId"] for r in results} == {"Q02", "Q03"}
    assert places == {("library.py", line)}
    cases = {c.get("name"): c for c in ET.parse(pytester.path / "junit.xml").iter("testcase")}
    properties = {p.get("name"): p.get("value") for p in cases["Q02"].iter("property")}
    assert properties["assay_outcome"] == "wrong"
    assert cases["Q02"].find("failure") is not None


def test_nothing_changes_without_functions(project):
    done = project("import library\n")("tests")
    assert done.parseoutcomes() == {"passed": 1}
    assert "assay-vectors" not in done.stdout.str()


def test_a_wrong_name_ends_collection_in_one_line(project):
    done = project("assay_functions = {'fvv': abs}\n")("tests")
    assert done.ret != 0
    done.stdout.fnmatch_lines(["*no vector asks for 'fvv'*"])


def test_no_pytest_but_one_that_asks_for_it_loads_the_plugin():
    project = loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert "entry-points" not in project
    code = "import sys, assay_vectors; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
