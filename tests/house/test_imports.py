"""What may import what, and what an import may cost."""

import ast
import json
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from parsed import nodes

from forks import typed

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "numpy", "scipy", "xarray", "pandas", "transformers", "jinja2", "vl_convert"}


def modules_after(code):
    """The names of top-level modules that a fresh interpreter holds after running `code`."""
    script = (
        f"import sys, json\n{code}\nprint(json.dumps(sorted({{m.partition('.')[0] for m in "
        "sys.modules})), file=sys.__stdout__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_imports_go_one_way():
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def needs(path, files):
    """The modules that a file names in its imports, wherever they stand: at the top, in functions,
    for type checkers alone."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom):
            assert node.module
            assert not node.level, f"{path} line {node.lineno}: imports are absolute here"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (
                name if name in files else node.module
                for name in inside
                if name in files or node.module in files
            )


def test_no_two_files_need_each_other():
    """Not even through a third, and not for the name of a type: what two files share lies in a file
    below both."""
    here = ROOT / "src"
    files = {
        ".".join(p.relative_to(here).with_suffix("").parts).removesuffix(".__init__"): p
        for p in here.rglob("*.py")
    }
    needed = {name: set(needs(path, files)) for name, path in files.items()}
    needed["assay.verdicts.result"] -= {"assay.report.result_file"}  # a result saves itself
    try:
        TopologicalSorter(needed).prepare()
    except CycleError as e:
        pytest.fail("these files need each other in a circle: " + " → ".join(reversed(e.args[1])))


LOADERS = {
    "assay/core/heavy.py": "other packages when they are first used, and a package's own names",
    "assay/core/renamed.py": "modules by their old names",
    "assay/lab/catalogue.py": "experiments, by the module or file that a name stands for",
}
"""What may load a module by its name beside loaders of a folder's own files, and which."""


def test_nothing_loads_our_packages_by_a_name_in_a_text():
    """Such an import is seen by no rule of this file: it could go up, or in a circle."""
    by_name = set()
    for path in sorted((ROOT / "src/assay").rglob("*.py")):
        for node in nodes(path):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else called
            if called in ("import_module", "__import__"):
                module = ast.unparse(node.args[0])
                if not re.match(r"(str\(|f['\"]\{)(__name__|__package__)", module):
                    by_name.add(path.relative_to(ROOT / "src").as_posix())
    assert not by_name - set(LOADERS)


def call(*words):
    """Code that runs the command line in-process with its output thrown away."""
    return (
        "from assay.cli.main import main\nsys.stdout = open('/dev/null', 'w')\nassert "
        f"main({list(words)!r}) == 0"
    )


ROOMS = "import assay\nassert dir(assay.dictionaries) and dir(assay.data)"
FOUND = """
import assay.cli.main, assay.verbs.run, assay.verbs.verdicts, assay.lab.lab
from assay.lab import catalogue
for entry in catalogue.entries():
    catalogue.find(entry.name)
    assert "torch" not in sys.modules, f"{entry.name} needs it when it is listed"
"""
"""Whoever lists, plans, judges or draws an experiment never waits for torch; `assay show` and a
cached `assay run` find the experiment and print its verdicts."""
TRAINS = {"__init__", "fit", "descent", "langevin"}
CORE = sorted({path.stem for path in (ROOT / "src/assay/core").glob("*.py")} - TRAINS)
LIGHT = {
    "nothing": (ROOMS, set()),
    "help": (call("--help"), set()),
    "list": (call("list"), set()),
    "help of run": (call("run", "--help"), set()),
    "find all": (FOUND, {"numpy"}),
    "core": ("import " + ", ".join(f"assay.core.{name}" for name in CORE), HEAVY - {"torch"}),
}
"""Code, and which heavy libraries it may load."""


@pytest.mark.parametrize("name", LIGHT)
def test_looking_around_stays_light(name):
    code, may = LIGHT[name]
    heavy = modules_after(code) & HEAVY - may
    assert not heavy, (
        f"{name} imports {sorted(heavy)}; move those imports into the functions that need them"
    )


def test_names_are_loaded_late_in_one_way():
    """By `assay.core.heavy`, from imports that type checkers read too; no package keeps a table of
    its own."""
    homemade = re.compile(r"^def __(getattr|dir)__", re.MULTILINE)
    assert not [
        path for path in (ROOT / "src/assay").rglob("*.py") if homemade.search(path.read_text())
    ]


def test_a_file_that_has_used_a_late_library_has_the_library_itself():
    use = "from assay.core.heavy import xr\nlate = xr\nxr.Dataset"
    assert "xarray" not in modules_after(use.rpartition("\n")[0])
    assert "xarray" in modules_after(f"{use}\nassert xr is sys.modules['xarray'] is not late")


BLOCKED = """
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "tokenizers", "sklearn", "gguf"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
"""


def test_numbers_are_judged_where_nothing_that_trains_is_installed(tmp_path):
    rows = [
        f"{arm},{seed},{value + seed / 100}"
        for arm, value in (("ours", 0.1), ("theirs", 0.3), ("none", 0.3))
        for seed in range(8)
    ]
    table = tmp_path / "numbers.csv"
    table.write_text("\n".join(["arm,seed,fvu", *rows]))
    words = typed(
        f"judge {table} --claim 'ours.fvu - theirs.fvu < -0.02' --unit seed --control none "
        "--about ours"
    )
    verbs = (words, (*words, "--json"), ("list",), ("report", "--help"))
    modules_after("\n".join([BLOCKED, *(call(*verb) for verb in verbs)]))


def test_doctor_lists_what_an_extra_needs_as_missing_and_not_as_broken(monkeypatch):
    from importlib import metadata

    from assay.verbs import installation

    lines = [
        "numpy>=2.1",
        "absent-core>=1.0",
        *(f'absent-extra>=1.0; extra == "{extra}"' for extra in ("all", "dev", "models", "train")),
    ]
    lines.append('absent-tool>=1.0; extra == "dev"')
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    checks = list(installation.packages())
    assert [(check.about, check.state) for check in checks] == [
        ("numpy", "well"),
        ("absent-core", "broken"),
        ("absent-extra", "missing"),
    ]
    assert "interp-assay[train]" in checks[-1].mend
