"""`assay run` of several names: each as if it were run by itself, one that fails stops no other,
and what is about one experiment only is refused before anything runs."""

import json

import pytest
from jsonschema import Draft202012Validator

from assay.cli.main import main, schema_of
from assay.lab import catalogue
from assay.lab.engines import workers
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.verbs.new import write_experiment

SMOKE = ("--preset", "smoke")
INLINE = ("--executor", "inline")
NAMES = ("own", "other", "sick")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with two experiments that run and one whose training crashes."""
    for name in NAMES:
        write_experiment(name, tmp_path)
    text = (tmp_path / "sick.py").read_text()
    crash = '    raise ValueError("too few cats")\n\n    def batch('
    (tmp_path / "sick.py").write_text(text.replace("    def batch(", crash))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def judged(result):
    return [(v["text"], v["outcome"], v["estimate"]) for v in result["verdicts"]]


def test_each_is_judged_as_by_itself_and_a_crash_stops_no_other(folder, capsys):
    alone = []
    for name in ("own.py", "other.py"):
        assert main(["run", name, *SMOKE, *INLINE, "--root", "alone", "--json"]) == 0
        alone.append(json.loads(capsys.readouterr().out))
    names = ("own.py", "sick.py", "other.py")
    assert main(["run", *names, *SMOKE, *INLINE, "--json"]) == 3
    several = json.loads(capsys.readouterr().out)
    Draft202012Validator(schema_of("run")).validate(several)
    own, sick, other = several["ran"]
    assert tuple(r["name"] for r in several["ran"]) == names
    assert [judged(own["result"]), judged(other["result"])] == [*map(judged, alone)]
    assert sick["result"] is None and "too few cats" in sick["error"]

    assert main(["run", "own.py", "other.py", *SMOKE, *INLINE]) == 0
    words = capsys.readouterr().out
    assert words.index("own (smoke)") < words.index("other (smoke)") < words.index("question")
    assert main(["list"]) == 0
    listed = capsys.readouterr().out.partition("your own")[2].splitlines()[1:]
    assert [line.split()[0] for line in listed] == ["other", "own"]
    assert all("--preset smoke" in line and "exploratory" in line for line in listed)


def test_a_report_has_the_pages_there_are_and_says_which_are_missing(folder, capsys):
    assert main(["run", "own.py", *SMOKE, *INLINE]) == 0
    capsys.readouterr()
    assert main(["report", "other.py", "own.py", *SMOKE]) == 2
    said = capsys.readouterr()
    assert "own-smoke.html" in said.out and (folder / "report" / "own-smoke.html").exists()
    assert "no page: other (smoke) has not been run" in " ".join(said.err.split())
    assert main(["report", "other.py", *SMOKE, "--out", "none"]) == 2
    assert not (folder / "none").exists()


def test_stored_runs_are_exported_as_they_are_shown_though_no_result_was_written(folder, capsys):
    """A run whose judging failed leaves its runs and no result."""
    assert main(["run", "own.py", *SMOKE, *INLINE]) == 0
    (folder / "assay-store" / "results" / "own" / "smoke.json").unlink()
    assert main(["show", "own.py", *SMOKE]) == 0
    assert main(["export", "own.py", *SMOKE, "--format", "bundle", "--out", "own.zip"]) == 0
    assert (folder / "own.zip").exists()
    capsys.readouterr()
    assert main(["export", "other.py", *SMOKE, "--format", "bundle", "--out", "no.zip"]) == 2
    assert "other (smoke) has not been run" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("more", [(), ("--verbose",)])
def test_a_defect_in_judging_one_is_reported_and_stops_no_other(more, folder, capsys, monkeypatch):
    run = Lab.run

    def crashing(lab, experiment, *given):
        if experiment.name == "own":
            raise ValueError("two sizes\nof one axis")
        return run(lab, experiment, *given)

    monkeypatch.setattr(Lab, "run", crashing)
    assert main(["run", "own.py", "other.py", *SMOKE, *INLINE, *more]) == 1
    out, err = capsys.readouterr()
    assert "other (smoke)" in out and "no result" in out
    assert "own.py: ValueError: two sizes of one axis" in err
    assert ("Traceback" in err) == bool(more) != ("--verbose shows where" in err)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("own.py", "other.py", "--set", "steps=3"), "--set is about one experiment"),
        (("own.py", "owen.py"), "owen.py"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(words, why, folder, capsys):
    assert main(["run", *words, *INLINE]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1) and why in err
    assert not (folder / "assay-store").exists()


def test_interrupted_in_the_second_the_first_is_stored(folder, capsys, monkeypatch):
    run = Lab.run

    def interrupted(lab, experiment, *more):
        if experiment.name == "other":
            raise KeyboardInterrupt
        return run(lab, experiment, *more)

    monkeypatch.setattr(Lab, "run", interrupted)
    assert main(["run", "own.py", "other.py", *SMOKE, *INLINE]) == 130
    out, err = capsys.readouterr()
    assert "own (smoke)" in out and "assay run own.py other.py" in err
    assert main(["show", "own.py", *SMOKE]) == 0


def test_workers_stay_for_the_next_and_end_with_the_last(folder, monkeypatch):
    """Functions travel to them by name, those of a folder too."""
    started = []
    (folder / "other").mkdir()
    (folder / "other.py").rename(folder / "other" / "__init__.py")

    class Worker(workers._Worker):
        def __init__(self, *given):
            super().__init__(*given)
            started.append(self)

    monkeypatch.setattr(workers, "_Worker", Worker)
    executor = workers.Workers(1)
    lab = Lab(folder / "store", executor)
    with executor.staying():
        for name in ("own.py", "other"):
            lab.run(catalogue.find(name), "smoke")
        started[0]._process.kill()  # one that died while it waited is not asked
        started[0]._process.wait()
        own = catalogue.find("own.py")
        lab.run(own, override(own, "smoke", ["steps=3"]))
    assert len(started) == 2
    assert all(w._process.poll() is not None for w in started)


def test_a_pattern_names_all_that_it_matches_and_one_that_matches_nothing_is_refused(
    folder, capsys, monkeypatch
):
    listed = [catalogue.Entry(n, str(folder / f"{n}.py"), folder / f"{n}.py") for n in NAMES]
    monkeypatch.setattr(catalogue, "entries", lambda: listed)
    assert catalogue.named("o*") == ["own", "other"]
    assert catalogue.named("*") == [*NAMES]
    assert catalogue.named("sick") == ["sick"]
    assert main(["run", "o*", *SMOKE, *INLINE, "--json"]) == 0
    assert [r["name"] for r in json.loads(capsys.readouterr().out)["ran"]] == ["own", "other"]
    assert main(["run", "z*", *SMOKE, *INLINE]) == 2
    assert "no experiment matches 'z*'; assay list shows them all" in capsys.readouterr().err
