"""A dictionary without an index: `assay serve` answers at once, its pages say how far the index is,
and go over to it when it is there."""

import dataclasses
import re
import signal
import time
import types
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest
import tiny_world
from shelf import HOME, client, served, shelve, simulated
from starlette.testclient import TestClient

import tiny_models
from assay.core.compute import Range
from assay.core.errors import AssayError
from assay.data import corpus
from assay.evaluation import file_statements
from assay.explorer import background
from assay.explorer.app import application
from assay.explorer.library import Library, Making, Progress
from assay.explorer.pace import BEGIN, WORK, Pace, planned
from assay.verbs import serve

HALF = Progress("reading the text", 4096, 8192, "tokens", 0.37, Range(310, 372), step=3, steps=7)


def reader(root, making):
    return TestClient(application(Library(root, making=making)), base_url="http://127.0.0.1:8377")


def test_pages_of_an_index_that_is_not_there_say_how_far_it_is(tmp_path):
    browser = reader(tmp_path, Making("model/made-up~text", "made/up", progress=HALF))
    for path in (HOME, f"{HOME}/3", f"{HOME}/search?q=a", f"{HOME}/prompt", "/", "/making"):
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert (
            "Step 3 of 7: reading the text, 4,096 of 8,192 tokens; about 6 to 7 min left in all"
            in answer.text
        )
        assert 'value="37"' in answer.text
    assert "assay export DICTIONARY --format index" not in browser.get("/").text
    told = browser.get("/making.json").json()
    assert told["address"] == "model/made-up~text"
    assert not told["there"]
    assert told["done"] == 4096
    assert told["share"] == 0.37
    assert told["failed"] == ""
    assert browser.get("/model/other").status_code == 404


@pytest.mark.parametrize("a_unit", [0.003, 0.009])
def test_the_time_left_is_right_once_a_step_is_measured(monkeypatch, a_unit):
    """On a machine of any speed; nothing is forecast before anything was measured."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    read = {"tokens": 8192, "gradients": True, "ablate": 0, "compared": False}
    start = {"tokens": 2048, "gradients": False, "ablate": 0}
    ablated = read | {"ablate": 8}
    work = planned([start, read, ablated, ablated | {"compared": True}], features=3072)
    assert work[:2] == [("tokens", 2048), ("features", 3072)]
    pace, forecasts = Pace(work), []
    for step, (kind, count) in enumerate(work):
        pace(step, 0, count)
        clock[0] += a_unit * BEGIN.get(kind, 0) * bool(count)
        for part in range(1, 9):
            clock[0] += a_unit * WORK[kind] * count / 8
            pace(step, count * part // 8, count)
            forecasts.append((step, part, clock[0], pace.left))
    assert [left is None for *_, left in forecasts[:2]] == [True, False]
    for step, part, moment, left in forecasts[8:-1]:
        truth = clock[0] - moment
        assert left.low <= truth <= left.high, (step, part)
        assert left.middle == pytest.approx(truth, rel=0.3), (step, part)
    assert forecasts[-1][-1].high == 0


def test_a_step_that_became_slower_is_what_the_later_ones_are_expected_to_take(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    pace = Pace([("tokens", 1000), ("tokens with gradients", 1000), ("features", 1000)])
    for step, seconds in ((0, 1.0), (1, 100.0)):
        for done in range(0, 1001, 100):
            pace(step, done, 1000)
            clock[0] += seconds * WORK[pace.work[step][0]]
    a_unit = 100.0 / 100
    expected = a_unit * (1000 * WORK["features"] + BEGIN["features"])
    assert pace.left.middle == pytest.approx(expected, rel=0.05)


def test_what_was_read_before_is_not_read_again():
    index = {"tokens": 8192, "gradients": True, "ablate": 0}
    whole = {"tokens": 8192, "gradients": True, "ablate": 4, "ablate_windows": 2}
    kinds = dict(planned([index, whole], features=9)[2:])
    assert kinds["tokens with gradients"] == 0 and kinds["windows with features ablated"] == 8
    again = dict(planned([whole | {"compared": False}, whole], features=9)[3:])
    assert again["windows with features ablated"] == 0, "what was ablated is kept"


class Told:
    """What a process that indexes says, one message after the other, seconds apart."""

    def __init__(self, messages, clock, seconds):
        self.messages, self.clock, self.seconds = iter(messages), clock, seconds

    def recv(self):
        self.clock[0] += self.seconds
        return next(self.messages)


@pytest.mark.parametrize(
    ("seconds", "tokens", "times"), [(40.0, 32768, 1), (1.0, 32768, 0), (900.0, 4096, 0)]
)
def test_a_smaller_index_is_suggested_once_if_one_takes_long(monkeypatch, seconds, tokens, times):
    clock, said = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    step = {"tokens": tokens, "gradients": False, "ablate": 0}
    wanted = background.Wanted(
        address="m/d",
        name="d",
        there=False,
        make=True,
        dictionary="d",
        model="m",
        text="t",
        steps=(step,),
        root=".",
        features=8,
    )
    messages = [("tokens", done, tokens) for done in range(0, tokens + 1, 1024)]
    pipe = Told([*messages, "finished"], clock, seconds)
    background._listen(pipe, None, Making("m/d", "d"), wanted, lambda *what: None, said.append)
    assert sum("--tokens 4096 --ablate 6" in words for words in said) == times


def test_what_failed_is_one_line_and_asks_no_more(tmp_path):
    failed = Progress(
        "reading the text", failed="the disk is full; start assay serve again to resume"
    )
    page = reader(tmp_path, Making("model/made-up~text", "made/up", progress=failed)).get(HOME).text
    assert "could not be made: the disk is full; start assay serve again" in page
    assert "hx-get" not in page


def test_an_index_that_more_is_added_to_is_shown_with_what_is_being_done(tmp_path):
    shelve(tmp_path, "a" * 16, simulated.made(tmp_path / "made"))
    making = Making("model/made-up~text", "made/up", there=True, progress=HALF)
    page = reader(tmp_path, making).get(HOME).text
    assert (
        'id="features"' in page and "the start of the text" in page
    ) or "checks whether it is complete" in page
    assert "Names are provisional until all of the text is read" in page
    assert "with which the dictionary is compared, are measured last." in page
    assert "No random dictionary" not in page
    provisional = "Names and numbers so far: they come from the first "
    ablating_later = dataclasses.replace(making, ablate=8)
    pages = [reader(tmp_path, m).get(f"{HOME}/3").text for m in (making, ablating_later)]
    # the tokens of an index that is not complete are not those that it should have
    assert all(provisional in page and "Ablate this one" not in page for page in pages)
    assert provisional in reader(tmp_path, making).get(f"{HOME}/search?q=a").text
    assert "Ablate this one" in client(tmp_path).get(f"{HOME}/3").text
    ablating = Making("model/made-up~text", "made/up", there=True, lacks="ablations", progress=HALF)
    for address in (HOME, f"{HOME}/3"):
        assert "rovisional" not in reader(tmp_path, ablating).get(address).text
    assert (
        "its names and contexts are final; ablations are being added."
        in reader(tmp_path, ablating).get(HOME).text
    )
    making.address, making.there = "model/made-up~docs", False
    of_docs = reader(tmp_path, making).get("/model/made-up~docs").text
    assert "is being indexed" in of_docs and 'id="features"' not in of_docs, "not the other index"
    assert provisional not in reader(tmp_path, making).get(f"{HOME}/3").text
    making.address, making.there = HOME[1:], True
    making.progress = Progress(finished=True)
    for address in (f"{HOME}/3", f"{HOME}/search?q=a"):
        assert provisional not in reader(tmp_path, making).get(address).text
    assert "No random dictionary" in reader(tmp_path, making).get(HOME).text
    assert "Names are provisional" not in reader(tmp_path, making).get(HOME).text
    assert "is indexed completely" in reader(tmp_path, making).get("/making").text
    assert "is indexed completely" not in client(tmp_path).get(HOME).text
    assert client(tmp_path).get("/making").text.strip() == ""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("serving-unmade")
    tiny_models.make(root / "llama", "llama")
    (root / "texts").mkdir()
    for i in range(30):
        (root / "texts" / f"{i:02}.txt").write_text(
            f"def add{i}(self, other):\n    return self + other\n" * 40
        )
    tiny_world.made_up().save(root / "one.safetensors")
    return root


def serving(world, store, *words):
    about = {"--model": world / "llama", "--text": world / "texts", "--root": store}
    named = (str(word) for pair in about.items() for word in pair)
    return served(str(world / "one.safetensors"), *named, *words)


def indexes(store):
    return [p for p in (store / "artefacts/index").glob("*") if p.suffix != ".partial"]


def wait(address, reached, seconds=240):
    """Ask how far the index is until that is reached."""
    base, until = address.split("/llama")[0], time.monotonic() + seconds
    while not reached(told := httpx.get(f"{base}/making.json", timeout=60).json()):
        assert not told["failed"] and time.monotonic() < until, told
        time.sleep(0.2)
    return told


@pytest.mark.slow
def test_the_index_is_made_while_pages_are_answered_and_ctrl_c_ends_both(world, tmp_path):
    with serving(world, tmp_path, "--tokens", "9000", "--ablate", "2") as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/llama/one~texts", address)
        assert "is being indexed" in httpx.get(address, timeout=60).text
        wait(address, lambda told: told["there"])
        assert len(indexes(tmp_path)) >= 1
        assert 'id="features"' in httpx.get(address, timeout=60).text
        wait(address, lambda told: told["step"] > 1)
        told = wait(address, lambda told: told["finished"])
        assert told["share"] == 1
        (whole,) = indexes(tmp_path)  # that of the start has gone
        about = httpx.get(f"{address}.json", timeout=60).json()["about"]
        assert about["windows"] * about["context"] >= 8_900 and about["ablated"] == 2
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0 and out == "" and "Traceback" not in err
        assert "one is indexed completely; --tokens 32768 reads more text" in err
    again = background.locate_index(
        str(world / "one.safetensors"), str(world / "llama"), None, tmp_path
    )
    assert again.there and not again.make and again.address == "llama/one~texts"
    assert whole.exists()


@pytest.mark.thorough
def test_ctrl_c_in_the_midst_leaves_no_process_and_the_next_goes_on(world, tmp_path):
    with serving(world, tmp_path, "--tokens", "9000", "--ablate", "0") as (process, address):
        wait(address, lambda told: told["total"] > 0)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0 and "Traceback" not in err
    with serving(world, tmp_path, "--tokens", "9000", "--ablate", "0") as (_, address):
        wait(address, lambda told: told["finished"])
    assert len(indexes(tmp_path)) == 1


def test_the_start_is_read_without_gradients_first_and_an_index_that_exists_is_used(
    world, tmp_path, monkeypatch
):
    def located(**options):
        file, model = str(world / "one.safetensors"), str(world / "llama")
        return background.locate_index(file, model, str(world / "texts"), tmp_path, **options)

    first, read, ablated, whole = located(site="blocks.0.hook_resid_post", context=32).steps
    assert first["tokens"] == background.FIRST
    assert not first["gradients"]
    assert first["ablate"] == 0
    assert read["gradients"] and not (read["compared"] or ablated["compared"])
    assert ablated == {**whole, "compared": False}
    assert (read["tokens"], read["ablate"]) == (whole["tokens"], 0)
    assert whole["ablate"] == 24
    assert {step["site"] for step in (first, read, ablated, whole)} == {"blocks.0.hook_resid_post"}
    few = located(tokens=4096).steps  # little is read twice
    assert [(step["tokens"], step["gradients"], bool(step["ablate"])) for step in few] == [
        (1024, False, False),
        (4096, True, False),
        (4096, True, True),
        (4096, True, True),
    ]
    assert len(located(tokens=2000, gradients=False, ablate=0).steps) == 1
    (source,) = background.sources.find(
        [str(world / "one.safetensors")], background.Store(tmp_path)
    )
    about = dataclasses.replace(
        simulated.about(48),
        dictionary=source.sha256,
        model=str(world / "llama"),
        name="one",
        site="blocks.1.hook_resid_post",
        context=24,
        bos=True,
        gradients=False,
        ablated=0,
        windows=4,
        corpus_sha256=corpus.load(str(world / "texts")).fingerprint,
    )
    monkeypatch.setattr(background, "_abouts", lambda root: iter([about]))
    again = located()
    assert again.there
    assert again.make
    assert [step["gradients"] for step in again.steps] == [True] * 3
    assert {(s["site"], s["context"], s["bos"]) for s in again.steps} == {
        ("blocks.1.hook_resid_post", 24, True)
    }, "as it was begun"


def test_what_was_read_and_then_what_was_ablated_is_shown_before_the_rest(world, tmp_path):
    file, model, text = (str(world / name) for name in ("one.safetensors", "llama", "texts"))
    options = {"tokens": 320, "ablate": 2, "ablate_windows": 2, "context": 32}
    wanted = background.locate_index(file, model, text, tmp_path, **options)
    lacking = ["", "", "ablations and baselines", "baselines", ""]
    assert [wanted.lacks(made) for made in range(5)] == lacking
    making, states, heard, said = Making(wanted.address, wanted.name), [], [], []

    class Pipe:
        """Gives messages as the process that makes the index sends them."""

        def __init__(self, messages):
            self.messages = iter(messages)

        def recv(self):
            states.append((making.made, making.lacks))
            return next(self.messages)

    messages = []
    background._index(
        wanted, lambda *m: messages.append((*m[:1], *map(int, m[1:])) if len(m) > 1 else m[0])
    )
    background._listen(
        Pipe([*messages, "finished"]),
        None,
        making,
        wanted,
        lambda *told: heard.append(told),
        said.append,
    )
    assert len(said) == 3 and "all pages work, on the start of the text. Names are prov" in said[0]
    assert said[1].endswith(
        "its names and contexts are final; ablations and baselines are being added."
    )
    assert {lacks for made, lacks in states if made < 2} == {""}, "numbers are provisional"
    assert said[2].endswith("final; baselines are being added.")
    assert set(states) == set(enumerate(lacking))
    steps = [int(re.fullmatch(r", step (\d+) of 12", told[3])[1]) for told in heard]
    assert steps == sorted(steps) and set(steps) == set(range(1, 13))
    (whole,) = indexes(tmp_path)
    about = background.About.read(whole)
    assert about.ablated == 2 and about.rise and not background._is_unmeasured(about)
    read = background.index(
        file, model=model, text=text, root=tmp_path, **options, compared=False
    ).about
    assert background._is_unmeasured(read) and read.gradients and read.ablated == 2
    assert read.tokens == about.tokens
    Path(whole).rename(tmp_path / "away")
    again = background.locate_index(file, model, text, tmp_path)
    assert again.there and again.make, "an index that was not measured is gone on with"


def test_a_larger_index_of_the_same_text_is_served_as_it_is(world, tmp_path):
    file, model, text = (str(world / name) for name in ("one.safetensors", "llama", "texts"))

    def located(text=text, **options):
        return background.locate_index(file, model, text, tmp_path, **options)

    place = {"context": 32, "ablate_windows": 2}
    made = background.index(
        file, model=model, text=text, root=tmp_path, tokens=640, ablate=2, **place
    )
    fewer = located(tokens=320, ablate=0, context=32)
    assert fewer.there and not fewer.make and fewer.covering == made.about.tokens
    assert not located(tokens=640, ablate=2, context=32).make
    more = located(tokens=320, ablate=3, **place)
    assert more.make and [(s["tokens"], s["ablate"]) for s in more.steps] == [(640, 3)]
    (world / "other").mkdir()
    (world / "other" / "a.txt").write_text("def sub(self, other): return self - other\n" * 400)
    for other in (
        located(tokens=1280, ablate=0, context=32),
        located(tokens=320, ablate=0, context=16),
        located(str(world / "other"), tokens=320, ablate=0, context=32),
    ):
        assert other.make and not other.covering
    assert other.elsewhere == text and not other.there and other.steps[0]["ablate"] == 0
    assert other.address == "llama/one~other", "the link to the other index stays as it is"
    line = serve._meanwhile(other, ["tokens"])
    assert f"(to see its complete index of {text}, leave out --text and --tokens)" in line
    assert located(str(world / "other")).make, "a text that was asked for is read"
    assert not located(None).make and located(None, tokens=1280).text == text
    smaller = background.index(
        file, model=model, text=text, root=tmp_path, tokens=320, ablate=0, context=32
    )
    assert located(tokens=320, ablate=0, context=32).address == (
        f"llama/one~texts~{made.folder.name[:6]}"
    ), "the smaller one, which is newer, has the plain address"
    assert smaller.about.tokens < made.about.tokens
    of_other = background.index(
        file, model=model, text=world / "other", root=tmp_path, tokens=320, ablate=2, **place
    )
    for made_of, of in ((made, text), (of_other, str(world / "other"))):
        shown = located(of)
        (entry,) = (e for e in Library(tmp_path).look()[0] if e.address == shown.address)
        assert not shown.make and entry.about == made_of.about, "the text that was asked for"


def test_what_is_not_there_is_told_in_the_terminal(world, tmp_path):
    with pytest.raises(AssayError, match="no file, folder or stored run"):
        background.locate_index("nowhere.safetensors", "smollm2", "stdlib", tmp_path)
    with pytest.raises(AssayError, match="no model"):
        background.locate_index(
            str(world / "one.safetensors"), str(world / "nowhere"), "stdlib", tmp_path
        )
    with pytest.raises(AssayError, match="hook_resid_pots"):
        background.locate_index(
            str(world / "one.safetensors"),
            str(world / "llama"),
            "stdlib",
            tmp_path,
            site="blocks.0.hook_resid_pots",
        )
    with pytest.raises(AssayError, match="no corpus 'nowhere'"):
        background.locate_index(
            str(world / "one.safetensors"), str(world / "llama"), "nowhere", tmp_path
        )


def test_the_usual_text_is_the_one_that_the_file_says_it_was_trained_on(
    world, tmp_path, monkeypatch
):
    of_docs = types.SimpleNamespace(fingerprint="of docs")
    monkeypatch.setattr(file_statements, "load", {"docs": of_docs}.__getitem__)
    monkeypatch.setattr(background.corpora, "load", lambda text: of_docs)  # which is read for long
    file, model = str(tmp_path / "one.safetensors"), str(world / "llama")
    for origin, text in (
        ({"trained_on": {"corpus": "of docs"}}, "docs"),
        ({"config": {"dataset_path": "docs"}}, "docs"),
        ({"trained_on": {"corpus": "of a folder"}}, "stdlib"),
        ({}, "stdlib"),
    ):
        dataclasses.replace(tiny_world.made_up(), origin=origin).save(file)
        assert background.locate_index(file, model, None, tmp_path / "store").text == text


def test_what_is_being_ablated_is_not_called_untouched(tmp_path):
    shelve(tmp_path, "a" * 16, simulated.made(tmp_path / "made"), ablated=0)
    making = Making("model/made-up~text", "made/up", there=True, ablate=4)
    for done, said in ((0, "done."), (43, "done: so far, 43 of 64 windows are done.")):
        making.progress = dataclasses.replace(
            HALF, unit="windows with features ablated", done=done, total=64
        )
        page = reader(tmp_path, making).get(HOME).text
        assert f"ablation, and is shown when all are {said}</li>" in page


def test_a_text_that_is_gone_is_told_on_the_page(world, tmp_path):
    file, model = str(world / "one.safetensors"), str(world / "llama")
    wanted = background.locate_index(file, model, str(world / "texts"), tmp_path)
    wanted = dataclasses.replace(wanted, text="nowhere")
    making, until = Making(wanted.address, wanted.name), time.monotonic() + 120
    said = []
    with background.index_in_background(making, wanted, nullcontext(print), said.append):
        while not making.progress.failed:
            assert time.monotonic() < until
            time.sleep(0.1)
        until = time.monotonic() + 120
        while not said:
            assert time.monotonic() < until
            time.sleep(0.1)
    assert "start assay serve again" in making.progress.failed
    assert said == [f"the index of {wanted.name} was not finished: {making.progress.failed}"]
    page = reader(tmp_path, making).get(f"/{wanted.address}").text
    assert making.progress.failed in page.replace("&#39;", "'")
