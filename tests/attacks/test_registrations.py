"""Whoever peeks, harms the record of a look, or freezes several thresholds and shows one, is told
of by the commands that anybody types.
"""

import contextlib
import datetime
import io
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

import registration
from assay.cli.main import main
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.lab.store import groups
from assay.lab.work.events import Progress, Saved, Started
from assay.verbs.new import write_experiment

STUDY = """
question = "Is anything found in thirty steps?"
seeds = "1000000:1000006"

[[experiment]]
name = "./own.py"
fields = {{ inputs = 6, steps = 30, width = 2 }}

[[claim]]
text = "The subspace is missed by so many degrees"
holds = 'main.angle > {}'
control = ["flat"]
threshold = "plan: a guess"
"""
LOOKS = Path("s/registered/asks/default.looks.jsonl")
RUN, ROOT = ("--executor", "inline"), ("--root", "s")


def said(*words):
    """Exit code, standard output in one line, and standard error of a command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
    return code, " ".join(out.getvalue().split()), err.getvalue()


def typed(*words):
    """What a command prints that is to succeed, in one line."""
    code, out, err = said(*words)
    assert code == 0, err
    return out


def study(name, threshold, **instead):
    """A study by this name, with words put in the place of others."""
    text = STUDY.format(threshold)
    for old, new in instead.items():
        text = text.replace(old, new)
    Path(name).write_text(text)
    return name


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with an experiment of two arms, main and flat."""
    write_experiment("own", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A folder with a study that was frozen, run and looked at once."""
    home = tmp_path_factory.mktemp("followed")
    write_experiment("own", home)
    with contextlib.chdir(home):
        typed("preregister", study("asks.toml", 1), *ROOT)
        assert "confirmatory: frozen on" in typed("run", "asks.toml", *RUN, *ROOT)
    return home


def refused(*words):
    """The one line in which a command is refused."""
    code, _, err = said(*words)
    assert code == 2 and len(err.strip().splitlines()) == 1, err
    return err


def test_what_was_seen_and_removed_cannot_be_frozen_under_any_name(here):
    typed("run", study("first.toml", 90), *RUN, *ROOT)
    typed("doctor", "--remove", "first.toml", "--yes", *ROOT)
    # so that nobody can tell what it was about but the store
    Path("first.toml").unlink()
    shutil.copytree("s", "copy")
    same = Path(study("same.toml", 90))
    for root in ("s", "copy"):
        for name in (study("second.toml", 1), same.name):
            assert "seeds 1000000:1000006 of first were looked at on" in refused(
                "preregister", name, "--root", root
            )
    shutil.rmtree("copy/results")  # the ledger alone
    assert "seeds 1000000:1000006 of first were judged on" in refused(
        "preregister", "second.toml", "--root", "copy"
    )
    shutil.copy("own.py", "other.py")
    study("other_name.toml", 1, **{"./own.py": "./other.py"})
    assert "seeds 1000000:1000006 of first were judged on" in refused(
        "preregister", "other_name.toml", "--root", "copy"
    )
    typed("preregister", study("later.toml", 1, **{"1000000:1000006": "1000006:1000012"}), *ROOT)


def test_runs_that_nobody_judged_and_somebody_removed_may_have_been_seen(here):
    """Early verdicts are told while runs are made: an interrupted run is a peek."""
    typed("run", study("first.toml", 90), *RUN, *ROOT)
    shutil.rmtree("s/results")
    # as if it had been interrupted before it was judged
    Path("s/ledger.jsonl").unlink(missing_ok=True)
    typed("doctor", "--remove", "first.toml", "--yes", *ROOT)
    assert "were removed on" in refused("preregister", study("second.toml", 1), *ROOT)


def test_a_ledger_with_a_gap_lets_nothing_be_frozen(here):
    typed("run", study("first.toml", 90), *RUN, *ROOT)
    typed(
        "run", study("more.toml", 90, **{"1000000": "2000000", "1000006": "2000006"}), *RUN, *ROOT
    )
    ledger = Path("s/ledger.jsonl")
    whole = ledger.read_bytes()
    fresh = study("third.toml", 1, **{"1000000": "3000000", "1000006": "3000006"})
    first, last = whole.splitlines(keepends=True)
    for harmed, told in (
        (last, "1 line is gone"),
        (first, "1 line is gone"),
        (b"", "2 lines are gone"),
        (whole.replace(b"judged", b"jud7ed", 1), "line 1 is not as written"),
    ):
        ledger.write_bytes(harmed)
        assert told in (line := refused("preregister", fresh, *ROOT))
        assert "freeze in another" in line
        assert told in said("doctor", *ROOT)[1]
    said("doctor", "--clean", *ROOT)
    assert "damaged" not in said("doctor", *ROOT)[1]
    assert "freeze in another" in refused("preregister", fresh, *ROOT), "what is gone stays gone"
    ledger.write_bytes(whole)
    typed("preregister", fresh, *ROOT)


def harms(rng, whole, number):
    """What is left of a file after one harm: a bit, an end that is missing, a line, or
    everything."""
    kind = number % 3
    if kind == 0:
        # the last byte ends the line, and is nobody's
        at = int(rng.integers(len(whole) - 1))
        bit = 1 << int(rng.integers(8))
        return whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
    return whole[: int(rng.integers(len(whole) - 1))] if kind == 1 else b""


def harmed(followed, numbers):
    """Which harms of the record of a look are not told by `show`, or leave the verdict
    confirmatory.
    """
    rng, wrong = np.random.default_rng([33, numbers.start]), []
    with contextlib.chdir(followed):
        whole = LOOKS.read_bytes()
        for number in numbers:
            LOOKS.write_bytes(harms(rng, whole, number))
            data = json.loads(typed("show", "asks.toml", *ROOT, "--json"))
            if (
                data["inference"] != "exploratory"
                or not data["registration"]["missing"]
                or not any("looks.jsonl" in n for n in data["notes"])
            ):
                wrong.append(
                    f"{number}: {data['inference']}, {data['registration']['missing']}, "
                    f"{data['notes']}"
                )
        LOOKS.write_bytes(whole)
    return wrong


def test_a_look_whose_record_is_harmed_is_missed(followed):
    assert not (wrong := harmed(followed, range(9))), wrong


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(10))
def test_a_thousand_harms_of_a_look(followed, block):
    assert not (wrong := harmed(followed, range(100 * block, 100 * block + 100))), wrong


def test_a_look_that_is_gone_is_told_by_show_doctor_and_page_and_stays_gone(followed, tmp_path):
    shutil.copytree(followed, tmp_path / "x")
    with contextlib.chdir(tmp_path / "x"):
        LOOKS.unlink()
        for again in range(2):
            assert "looks are missing" in (out := typed("show", "asks.toml", *ROOT))
            assert "confirmatory" not in out
            typed("report", "asks.toml", *ROOT, "--out", "pages")
            page = Path("pages/asks.html").read_text()
            assert "looks are missing" in page and "1 line is gone" in page
            code, out, _ = said("doctor", *ROOT)
            assert ("default.looks.jsonl: 1 line is gone" in out) is (again == 0)
            assert (code == 1) is (again == 0)
            assert "missing" in typed("run", "asks.toml", *RUN, *ROOT), (
                "another run does not put it right"
            )
            said("doctor", "--clean", *ROOT)


def test_an_older_record_of_looks_is_read_and_what_follows_it_is_chained(followed, tmp_path):
    """Lines of before there were chains name nothing; the first line after them names them all."""
    from assay.lab.store import journal

    path = tmp_path / "results/x/frozen.jsonl"
    old = [{"time": str(i), "seeds": "1000:1008", "claims": {}, "arms": {}} for i in range(3)]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(map(journal.line, old)))
    journal.note(path, {**old[0], "time": "3"})
    journal.note(path, {**old[0], "time": "4"})
    assert [look["time"] for look in journal.read(path)] == list("01234")
    assert not journal.Journal(path).wrong()
    lines = path.read_bytes().splitlines(keepends=True)
    for i in range(4):
        path.write_bytes(b"".join(lines[:i] + lines[i + 1 :]))
        assert journal.Journal(path).wrong() == "1 line is gone", i


def test_every_threshold_that_was_frozen_on_the_same_seeds_is_named_beside_each(here):
    thresholds = {"high": 89, "middle": 45, "low": 0.5}
    hashes = {
        name: json.loads(typed("preregister", study(f"{name}.toml", t), *ROOT, "--json"))["hash"]
        for name, t in thresholds.items()
    }
    typed(
        "preregister", study("apart.toml", 1, **{"1000000": "2000000", "1000006": "2000006"}), *ROOT
    )
    typed("run", "low.toml", *RUN, *ROOT)
    shutil.rmtree("s/registered/middle")
    Path("middle.prereg.json").unlink()
    out = typed("show", "low.toml", *ROOT)
    assert "one of 3 registrations of these arms and seeds" in out
    assert "(> 89)" in out
    assert "its file is gone" in out
    assert "apart" not in out
    others = json.loads(typed("show", "low.toml", *ROOT, "--json"))["registration"]["others"]
    assert {one["hash"] for one in others} == {hashes["high"], hashes["middle"]}
    typed("report", "low.toml", *ROOT, "--out", "pages")
    typed("export", "low.toml", "--format", "bundle", "--out", "low.zip", *ROOT)
    shutil.unpack_archive("low.zip", "bundle")
    for text in (
        Path("pages/low.html").read_text(),
        Path("bundle/low/report.html").read_text(),
        Path("bundle/low/verdicts.json").read_text(),
    ):
        assert hashes["high"][:12] in text and hashes["middle"][:12] in text


# every input of every kind of study, at every time ------------------------------------------------

CASES = {str(case): case for case in (*registration.cases(), *registration.attempts())}
NAMED = (
    "read: one row, before running",
    "read: all rows, before running",
    "read: the template, before running",
    "read: the weights, before running",
    "read: the config, before running",
    "read: the tokenizer, before running",
    "read: a link to another model, before running",
    "read: other seeds, after a look",
    "read: a copied model, after a look",
    "read: another threshold, after a look",
    "read: the logits of the same answers, after a look",
    "read: the logit lens at the end, after a look",
    "read: the logit lens before it, after a look",
    "chat: the chat written as a text, after a look",
    "dictionary: a text more, before running",
    "dictionary: other names of the texts, after a look",
    "tuned: a copied model with a key in its config, after a look",
)
"""The ways in which confirmatory was had without being it."""
OF_DAY = registration.of_day([*CASES], datetime.date.today().toordinal(), 2)
BLOCKS = 70


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The models, prompts and studies that cases copy."""
    folder = tmp_path_factory.mktemp("registration") / "shared"
    folder.mkdir()
    registration.make(folder)
    return folder


def test_there_are_as_many_as_the_page_says():
    page = Path(__file__).parents[2] / "docs/reliability.md"
    assert f"Tries {len(CASES):,} changes" in page.read_text()
    answers = [case.answer for case in CASES.values()]
    assert {*answers} == {"refused", "reported", "harmless", "accepted"}


@pytest.mark.parametrize("name", [*dict.fromkeys((*NAMED, *OF_DAY))])
def test_no_change_and_no_way_around_a_freeze_succeeds(shared, tmp_path, name):
    case = CASES[name]
    assert registration.answer(case, shared, tmp_path / "case") == case.answer


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_none_of_all_succeeds(shared, tmp_path, block):
    found = {
        str(case): (registration.answer(case, shared, tmp_path / str(i)), case.answer)
        for i, case in enumerate([*CASES.values()][block::BLOCKS])
    }
    assert not {name: pair for name, pair in found.items() if pair[0] != pair[1]}


def test_the_refusal_says_what_would_be_fresh_and_the_verdict_what_differs(
    shared, tmp_path, monkeypatch
):
    """What is explored after a freeze and put into what was frozen is not what was frozen."""
    shutil.copytree(shared, tmp_path / "x")
    monkeypatch.chdir(tmp_path / "x")
    Path("q.csv").write_text(registration.table(0, 24))
    typed("preregister", "read.toml", *ROOT)
    Path("q.csv").write_text(registration.table(2, 40))
    out = typed("run", "read.toml", *RUN, *ROOT)
    assert "not as frozen: prompts: 24 frozen, 40 run; first difference row 1" in out
    Path("again.toml").write_text(
        Path("read.toml").read_text().replace("1000000:1000006", "2000000:2000006")
    )
    line = refused("preregister", "again.toml", *ROOT)
    assert "40 of 40 prompts of 'It is above the number' were measured in read" in line
    assert (
        "(q.csv line 2, q.csv line 3, q.csv line 4 and 37 more), so the result may have been seen"
        in line
    )
    assert "freeze other prompts instead" in line and "other seeds" not in line


def test_an_interrupted_run_was_seen_and_one_that_stored_nothing_was_not(
    shared, tmp_path, monkeypatch
):
    shutil.copytree(shared, tmp_path / "x")
    monkeypatch.chdir(tmp_path / "x")

    def stop_at(kind):
        def stop(event):
            if isinstance(event, kind):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Lab("s", Inline()).run(catalogue.find("read.toml"), "default", stop)

    text = Path("read.toml").read_text().replace("1000000:1000006", "2000000:2000006")
    for name in ("before.toml", "after.toml"):
        Path(name).write_text(text)
    stop_at(Started)
    typed("preregister", "before.toml", *ROOT, "--anyway")
    stop_at(Saved)
    assert "were measured in read" in refused("preregister", "after.toml", *ROOT, "--anyway")


def during(name, kind, act):
    """Run a study, and do something at the first event of this kind."""
    acts = [act]

    def listen(event):
        if isinstance(event, kind) and acts:
            acts.pop()()

    Lab("s", Inline()).run(catalogue.find(name), "default", listen)


def test_nothing_is_frozen_while_it_is_run_and_a_run_of_other_seeds_is_no_obstacle(here):
    study("now.toml", 1)
    study("other.toml", 1, **{"1000000:1000006": "2000000:2000006"})
    study("same.toml", 1)
    errors = []

    def freeze():
        typed("preregister", "other.toml", *ROOT)
        errors.extend(refused("preregister", name, *ROOT) for name in ("now.toml", "same.toml"))

    during("now.toml", Started, freeze)
    assert "cannot freeze now: a run of now is measuring the same now" in errors[0]
    assert "cannot freeze same: a run of now is measuring the same now" in errors[1]
    assert "confirmatory: frozen on" in typed("run", "other.toml", *RUN, *ROOT)


def test_nothing_is_frozen_before_a_running_command_begins_its_first_task(here):
    store, preset = Lab("s", Inline()).store, "default"
    study("now.toml", 1)
    with groups.running(store, "now", preset):
        assert "a run of it is in progress; stop that run" in refused(
            "preregister", "now.toml", *ROOT
        )
    typed("preregister", "now.toml", *ROOT)


def test_a_training_that_was_interrupted_after_a_checkpoint_may_have_been_seen(here, monkeypatch):
    monkeypatch.setenv("ASSAY_CHECKPOINT_SECONDS", "0")
    steps = {"steps = 30": "steps = 3000"}

    def stop():
        raise KeyboardInterrupt

    study("now.toml", 1, **steps)
    study("same.toml", 1, **steps)
    with pytest.raises(KeyboardInterrupt):
        during("now.toml", Progress, stop)
    for name in ("now.toml", "same.toml"):
        line = refused("preregister", name, *ROOT)
        assert "runs of now that measure the same were begun on 20" in line
        assert "use other seeds" in line


def test_what_is_frozen_during_a_run_is_exploratory_in_every_command(here):
    """Whoever removes the locks can freeze; the sessions of the runs still say when they began."""
    study("now.toml", 1)

    def freeze():
        shutil.rmtree("s/locks")
        time.sleep(1.1)  # the time of a freeze is in whole seconds
        typed("preregister", "now.toml", *ROOT)

    during("now.toml", Started, freeze)
    why = "runs were begun before it was frozen"
    typed("report", "now.toml", *ROOT, "--out", "pages")
    typed("export", "now.toml", "--format", "bundle", "--out", "now.zip", *ROOT)
    again = typed("run", "now.toml", *RUN, *ROOT)
    shown = typed("show", "now.toml", *ROOT)
    page = Path("pages/now.html").read_text()
    for text in (again, shown, page):
        assert why in text and "confirmatory: frozen" not in text.lower()
    checked = typed("verify", "now.zip")
    assert "exploratory" in checked and "DIFFERS" not in checked


def test_a_result_at_whose_frozen_claims_nobody_looked_is_not_confirmatory_yet(here):
    """All runs were made by two commands of three seeds each, which took no look at six."""
    typed("preregister", study("now.toml", 1), *ROOT)
    experiment = catalogue.find("now.toml")
    lab = Lab("s", Inline())
    for seeds in ("1000000:1000003", "1000003:1000006"):
        lab.run(experiment, override(experiment, "default", (f"seed={seeds}",)))
    assert lab.judge(experiment).inference == "exploratory"
    assert "the look at what was frozen" in typed("show", "now.toml", *ROOT)


def test_another_threshold_in_other_words_is_told_with_what_came_out(shared, tmp_path, monkeypatch):
    shutil.copytree(shared, tmp_path / "x")
    monkeypatch.chdir(tmp_path / "x")
    first = json.loads(typed("run", "read.toml", *RUN, *ROOT, "--json"))
    text = Path("read.toml").read_text().replace("above the number", "rather large")
    Path("again.toml").write_text(text.replace("> -50", "> -49"))
    again = json.loads(typed("run", "again.toml", *RUN, *ROOT, "--json"))
    came = first["verdicts"][0]["outcome"]
    assert again["changed"] == [
        "also judged on the same prompts, with this or another answer, earlier, in read: "
        f"“It is above the number” ({came}; > -50)"
    ]
    shown = typed("show", "again.toml", *ROOT)
    assert "also judged on the same prompts" in shown
    assert "changed after a look" not in shown


def test_each_point_says_which_prompt_it_is(shared, tmp_path, monkeypatch):
    """Twelve prompts: as texts, 10 comes before 2. With the rows turned round each prompt keeps its
    number."""
    shutil.copytree(shared, tmp_path / "x")
    monkeypatch.chdir(tmp_path / "x")
    (verdict,) = json.loads(typed("run", "read.toml", *RUN, *ROOT, "--json"))["verdicts"]
    rows = registration.table().splitlines()[1:]
    texts = ["{} plus {} is".format(*row.split(",")[:2]) for row in rows]
    assert verdict["rows"] == [{"row": n, "label": text} for n, text in enumerate(texts, 1)]
    head = "a,b,c,good,bad,unused"
    Path("q.csv").write_text("\n".join((head, *rows[::-1], "")))
    Path("other.toml").write_text(Path("read.toml").read_text())
    (turned,) = json.loads(typed("run", "other.toml", *RUN, *ROOT, "--json"))["verdicts"]
    assert turned["points"] == pytest.approx(verdict["points"][::-1])
    assert [unit["label"] for unit in turned["rows"]] == texts[::-1]
    assert verdict["controls"]["main/untrained"]["rows"] == verdict["rows"]


def test_a_sweep_hides_no_level_that_was_measured(shared, tmp_path, monkeypatch):
    """A change at block 1 was run; a sweep with this block, or a claim about it after a sweep, asks
    for what may have been seen, and a sweep of other blocks does not."""
    shutil.copytree(shared, tmp_path / "x")
    monkeypatch.chdir(tmp_path / "x")
    for name, levels in (("one", "1"), ("two", "1, 0"), ("other", "0")):
        text = Path("patch.toml").read_text().replace("blocks.1.hook", "blocks.{layer}.hook")
        text = text.replace("position = -1", f"position = -1\nsweep = {{ layer = [{levels}] }}")
        text = text.replace("patched.right >", f"patched.right[layer={levels[0]}] >")
        Path(f"{name}.toml").write_text(text)
    typed("run", "patch.toml", *RUN, "--root", "first")
    for name in ("one", "two"):
        why = refused("preregister", f"{name}.toml", "--anyway", "--root", "first")
        assert "12 of 12 prompts" in why and "were measured in patch on" in why
    why = refused("preregister", "other.toml", "--anyway", "--root", "first")
    # but runs of the unchanged model are there
    assert "were measured in patch on" not in why
    typed("run", "two.toml", *RUN, "--root", "second")
    why = refused("preregister", "patch.toml", "--anyway", "--root", "second")
    assert "were measured in two on" in why
