"""Many readers of one store: a page that is made already waits for nobody, and what has changed
since is never shown as it was."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest
from shelf import client

from assay.explorer import experiments as serve
from assay.explorer.library import Experiments
from assay.explorer.live import WAITING
from assay.lab.records.records import read
from assay.lab.store.atomic import seal

NAME = "superposition"


@pytest.fixture
def stored(tmp_path):
    """Writes a result into a store, with another text for its first claim."""

    def write(text):
        record = {k: v for k, v in read(NAME).items() if k != "arms"}
        record["verdicts"] = [{**record["verdicts"][0], "text": text}, *record["verdicts"][1:]]
        path = tmp_path / "results" / NAME / "default.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(seal(record))
        return tmp_path

    return write


def test_a_page_that_is_made_waits_for_none_that_is_being_made(tmp_path):
    free, running, most = threading.Event(), [], []

    def page(name, preset):
        running.append(name)
        most.append(len(running))
        assert free.wait(30)
        running.pop()
        return "<p>made", {}

    found = Experiments(
        page=page, held=lambda name, preset: ("<p>made", {}) if name == "made" else None
    )
    with client(tmp_path, experiments=found) as reader, ThreadPoolExecutor(3 * WAITING) as many:
        asked = [many.submit(reader.get, "/experiments/slow") for _ in range(3 * WAITING)]
        away = list(
            itertools.islice(as_completed(asked, timeout=30), 2 * WAITING - 1)
        )  # one is being made, so many wait, the others may not
        assert {each.result().status_code for each in away} == {503}
        assert [reader.get("/experiments/made").status_code for _ in range(20)] == [200] * 20
        free.set()
        assert sum(each.result().status_code == 200 for each in asked) == WAITING + 1
    assert max(most) == 1


def test_a_result_that_changed_is_shown_as_it_is_now(stored):
    root = stored("the first text")
    reader = client(root, experiments=serve.experiments(root))
    assert all("the first text" in reader.get(f"/experiments/{NAME}").text for _ in range(2))
    before = reader.get("/experiments.json").json()
    stored("the second text")
    page = reader.get(f"/experiments/{NAME}").text
    assert "the second text" in page and "the first text" not in page
    (root / "results" / NAME / "default.json").unlink()
    assert "the second text" not in reader.get(f"/experiments/{NAME}").text
    local = {e["name"]: e["local"] for e in before["experiments"]}
    assert local[NAME]["results"]
    assert not {
        e["name"]: e["local"] for e in reader.get("/experiments.json").json()["experiments"]
    }[NAME]["results"]


def test_runs_are_counted_by_folders_and_nothing_else(tmp_path):
    from assay.report.overview import find_stored

    runs = tmp_path / "runs" / NAME
    assert find_stored(tmp_path, NAME).runs == 0
    (runs / "0123abcd-main-s0").mkdir(parents=True)
    (runs / "0123abcd-main-s1").mkdir()
    (runs / "notes.txt").write_text("no run")
    assert find_stored(tmp_path, NAME).runs == 2
