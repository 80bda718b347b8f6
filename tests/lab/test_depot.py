"""A depot shared by machines: what is there is whole, nothing is lost, and nobody's clock matters,
however the storage behaves."""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unruly_storage import Adversary, settle

from assay.core import integrity
from assay.core.errors import StoreError
from assay.lab.away import depot
from assay.lab.away.depot import Depot, artefacts, bucket, notes, runs
from assay.lab.judge import journal
from assay.lab.store.sealed import seal
from assay.lab.store.store import Store, Stored
from assay.testing.store_contract import sample

URL = "adversary://bucket/shared"


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Adversary]:
    monkeypatch.setattr(bucket, "WAITS", (0.001,) * 8)
    monkeypatch.setattr(notes, "LAGS", (0.05, 0.1, 0.2, 0.4))
    return settle(tmp_path / "storage")


def machine(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str = URL) -> Depot:
    """A machine of its own: its cache, its mirror, nothing remembered of another."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / name))
    return Depot(Store(depot.mirror(url)), url)


def put(store: Store, seed: int, who: str = "a", inputs: str = "abc") -> Stored:
    job, data, trained = sample(seed)
    return store.put(job, data, trained, {"model": inputs}, {"machine": who})


def content(store: Store) -> dict[str, dict[str, bytes]]:
    """Every file of every whole run, by key."""
    return {s.key: {name: (s.folder / name).read_bytes() for name in s.files} for s in store.list()}


@pytest.mark.parametrize("how", [{}, {"fails": 0.2}, {"lag": 0.3, "fails": 0.1}])
def test_what_one_machine_stored_another_has_file_for_file(
    how: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(tmp_path / "storage", **how)
    a, b = (machine(name, tmp_path, monkeypatch) for name in "ab")
    for seed in range(6):
        put((a if seed % 2 else b).store, seed)
    for one in (a, b, a, b):
        one.exchange("sample")
    if how.get("lag"):
        threading.Event().wait(how["lag"])
        for one in (a, b):
            one.fetch("sample")
    assert len(content(a.store)) == 6
    assert content(a.store) == content(b.store)
    assert not [*a.store.damaged(), *b.store.damaged()]


def test_of_a_run_that_two_machines_made_both_keep_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first in (0, 1):
        settle(tmp_path / f"storage{first}")
        two = [machine(f"{name}{first}", tmp_path, monkeypatch) for name in "ab"]
        made = [runs.parcel(put(one.store, 3, who)) for one, who in zip(two, "ab", strict=True)]
        for i in (first, 1 - first, first):
            two[i].exchange("sample")
        kept = [content(one.store) for one in two]
        assert kept[0] == kept[1]
        # whichever hash is lower
        assert [runs.parcel(s) for one in two for s in one.store.list()] == [made[first]] * 2


def verdict(one: Depot, *judged: Stored) -> None:
    """Write a result that names these runs."""
    path = one.store.root / "results" / "sample" / "default.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(seal({"evidence": {s.key[:16]: s.id for s in judged}}))


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("names", ["ab", "ba"])  # whichever of the two has the lower hash
def test_of_two_objects_of_a_run_the_one_under_a_verdict_stands_else_the_earlier(
    named: bool,
    names: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settle(tmp_path / "storage", lag=3600.0)
    early, late, fresh = (machine(name, tmp_path, monkeypatch) for name in "abc")
    runs_of = [put(one.store, 3, who) for one, who in zip((early, late), names, strict=True)]
    early.exchange("sample")
    threading.Event().wait(0.02)
    late.exchange("sample")  # the list is late, so both are sent
    if named:
        verdict(late, runs_of[1])
        late.note("sample")
    Adversary.lag = 0.0
    for one in (early, late, fresh, early):
        one.fetch("sample")
    assert [s.id for one in (early, late, fresh) for s in one.store.list()] == [
        runs_of[named].id
    ] * 3
    assert "two machines stored run" in capsys.readouterr().err


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_a_run_under_a_verdict_is_replaced_by_nobody(
    names: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, fresh = (machine(name, tmp_path, monkeypatch) for name in "abc")
    judged, again = (put(one.store, 3, who) for one, who in zip((a, b), names, strict=True))
    a.exchange("sample")
    verdict(a, judged)
    a.note("sample")
    b.exchange("sample")  # it was asleep, and comes with a run of its own
    for one in (a, b, fresh):
        one.fetch("sample")
    assert (
        [s.id for one in (a, b, fresh) for s in one.store.list()]
        == [judged.id] * 3
        != [again.id] * 3
    )
    assert len(runs.list_runs(a.bucket, "sample")) == 1


def test_a_run_that_read_something_else_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (machine(name, tmp_path, monkeypatch) for name in "ab")
    put(a.store, 3, inputs="one model")
    put(b.store, 3, inputs="another")
    for one in (a, b, a):
        one.exchange("sample")
    assert [dict(s.inputs)["model"] for one in (a, b) for s in one.store.list()] == [
        "one model",
        "another",
    ]
    found = b.fitting(
        "sample", [s.key for s in b.store.list()], lambda s: dict(s.inputs)["model"] == "one model"
    )
    assert found == 1
    assert content(a.store) == content(b.store)


def test_bytes_that_were_cut_or_changed_are_no_run(tmp_path: Path) -> None:
    stored = put(Store(tmp_path / "store"), 3)
    name, chance = runs.parcel(stored), random.Random(0)
    files = {n: (stored.folder / n).read_bytes() for n in (*stored.files, "status.json")}
    data = runs.packed(files)
    assert runs.unpacked(data, name) == files
    assert runs.length(stored) == len(data)
    for _ in range(300):
        cut = data[: chance.randrange(len(data))]
        at = chance.randrange(len(data))
        changed = data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        assert runs.unpacked(cut, name) is None
        # what a zip says of dates is nobody's number
        assert runs.unpacked(changed, name) in (
            None,
            files,
        )


def test_a_machine_killed_while_sending_leaves_nothing_that_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for after in range(5):
        settle(tmp_path / f"storage{after}", cut=after)
        a, b = (machine(f"{name}{after}", tmp_path, monkeypatch) for name in "ab")
        monkeypatch.setattr(bucket, "AT_ONCE", 1)
        for seed in range(4):
            put(a.store, seed)
        with pytest.raises(KeyboardInterrupt):
            a.exchange("sample")
        Adversary.cut = None
        b.fetch("sample")
        whole = content(a.store)
        assert content(b.store).items() <= whole.items()
        assert not list(b.store.damaged())
        a.exchange("sample")
        b.fetch("sample")
        assert content(b.store) == whole


def artefact(folder: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    (folder / "acts.bin").write_bytes(rng.bytes(5 * 2**20 + 12345))
    (folder / "empty").write_bytes(b"")
    (folder / "inner").mkdir()
    (folder / "inner" / "note.txt").write_bytes(b"12")
    (folder / integrity.NOTE).write_bytes(integrity.described(folder))
    return folder


def test_an_artefact_goes_and_comes_in_parts_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artefacts, "PART", 2)  # so three parts, and one of the small file
    there = bucket.Bucket(URL)
    folder = artefact(tmp_path / "acts" / "0123456789abcdef")
    Adversary.cut = 2
    with pytest.raises(KeyboardInterrupt):
        artefacts.send(there, folder)
    into = tmp_path / "other" / "acts" / "0123456789abcdef.partial"
    into.mkdir(parents=True)
    assert not artefacts.fetch(there, into)  # no hashes.json yet
    Adversary.cut, Adversary.requests = None, {}
    assert artefacts.send(there, folder) == 2  # two of four parts were there
    assert Adversary.requests["put"] == 2 + 1
    assert artefacts.send(there, folder) == 0
    # what an earlier attempt had fetched
    (into / "acts.bin").write_bytes((folder / "acts.bin").read_bytes()[: 2 * 2**20])
    (into / "left.over").write_bytes(b"x")
    Adversary.requests = {}
    assert artefacts.fetch(there, into)
    assert Adversary.requests["get"] == 1 + 3  # hashes.json, and all parts but the first
    for path in (p for p in folder.rglob("*") if p.is_file() and p.name != integrity.NOTE):
        assert (into / path.relative_to(folder)).read_bytes() == path.read_bytes()
    assert not (into / "left.over").exists()


def test_a_part_that_was_changed_is_not_taken_and_no_name_leads_outside(tmp_path: Path) -> None:
    there = bucket.Bucket(URL)
    folder = artefact(tmp_path / "acts" / "0123456789abcdef")
    artefacts.send(there, folder)
    note = json.loads((folder / integrity.NOTE).read_bytes())
    place = next(p for p in Adversary.home.iterdir() if p.stat().st_size > 2**20)
    whole = place.read_bytes()
    place.write_bytes(whole[:100] + b"\x00\x01" + whole[102:])
    into = tmp_path / "x" / "acts" / "0123456789abcdef.partial"
    into.mkdir(parents=True)
    assert not artefacts.fetch(there, into)
    for name in ("../out", "/etc/out", "a/../../out"):
        there.write(
            f"{artefacts.name_of(folder)}/{integrity.NOTE}",
            json.dumps({**note, name: [0, []]}).encode(),
        )
        assert not artefacts.fetch(there, into)


def look(store: Store, text: str, time: str) -> None:
    path = store.root / "results" / "sample" / journal.JUDGINGS
    path.parent.mkdir(parents=True, exist_ok=True)
    journal.append(
        path,
        journal.line(
            {"time": time, "preset": "default", "text": text, "n": {}, "outcome": "holds"}
        ),
    )


def texts(one: Depot) -> list[str]:
    return [line["text"] for line in journal.judgings(one.store, "sample")]


@pytest.mark.parametrize("how", [{}, {"fails": 0.2}, {"lag": 0.25}])
def test_no_look_is_lost_and_what_was_known_comes_first_whatever_clocks_say(
    how: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(tmp_path / "storage", **how)
    a, b, c = (machine(name, tmp_path, monkeypatch) for name in "abc")
    look(a.store, "first", "2031-01-01T00:00:00+00:00")  # a's clock is years ahead
    a.note("sample")
    if how.get("lag"):
        threading.Event().wait(how["lag"])
    b.note("sample")
    look(b.store, "second, by who had seen the first", "2026-01-01T00:00:00+00:00")
    look(c.store, "of a machine that had seen nothing", "2020-01-01T00:00:00+00:00")
    b.note("sample")
    c.note("sample")
    if how.get("lag"):
        threading.Event().wait(how["lag"])
    for one in (a, b, c, a, b, c):
        one.note("sample")
    assert [sorted(texts(one)) for one in (a, b)] == [sorted(texts(c))] * 2
    assert all(len(texts(one)) == 3 for one in (a, b, c))
    assert all(
        texts(one).index("first") < texts(one).index("second, by who had seen the first")
        for one in (a, b, c)
    )


def test_a_line_that_is_not_as_it_was_written_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (machine(name, tmp_path, monkeypatch) for name in "ab")
    look(a.store, "sound", "2026-01-01")
    path = a.store.root / "results" / "sample" / journal.JUDGINGS
    path.write_bytes(path.read_bytes() + path.read_bytes().replace(b"sound", b"faked"))
    a.note("sample")
    b.note("sample")
    assert texts(b) == ["sound"]


def test_of_a_result_the_last_stands_and_of_what_was_frozen_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (machine(name, tmp_path, monkeypatch) for name in "ab")
    for one, text in ((a, b"older"), (b, b"newer")):
        for part in ("results/sample/default.json", "registered/sample/default.json"):
            path = one.store.root / part
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
        one.note("sample")
    a.note("sample")
    fresh = machine("c", tmp_path, monkeypatch)
    fresh.note("sample")
    assert (a.store.root / "results/sample/default.json").read_bytes() == b"newer"
    assert (fresh.store.root / "results/sample/default.json").read_bytes() == b"newer"
    assert (fresh.store.root / "registered/sample/default.json").read_bytes() == b"older"


def test_a_server_that_creates_what_exists_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(tmp_path / "storage", honest=False)
    with pytest.raises(StoreError, match="its server creates what exists"):
        machine("a", tmp_path, monkeypatch).prepare()


def test_whoever_slept_rewrites_nothing_that_is_gone_or_anothers(tmp_path: Path) -> None:
    asleep, other = bucket.Bucket(URL), bucket.Bucket(URL)
    assert asleep.create("leases/x/1.json", b"1")
    asleep.rewrite("leases/x/1.json", b"2")
    asleep.delete("leases/x/1.json")
    with pytest.raises(FileNotFoundError):
        asleep.rewrite("leases/x/1.json", b"3")
    assert other.create("leases/x/1.json", b"other")
    with pytest.raises(FileNotFoundError):
        asleep.rewrite("leases/x/1.json", b"3")
    assert other.read("leases/x/1.json") == b"other"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A bucket on a real server of S3's protocol."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host.replace('0.0.0.0', '127.0.0.1')}:{port}",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "y",
            "AWS_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield "s3://bucket/shared"
    server.stop()


def test_s3_serves_machines_as_the_adversary_does(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (machine(name, tmp_path, monkeypatch, s3) for name in "ab")
    for seed in range(4):
        put((a if seed % 2 else b).store, seed)
    for one in (a, b, a, b):
        one.exchange("sample")
    assert len(content(a.store)) == 4
    assert content(a.store) == content(b.store)
    lease = a.leases.take("group")
    assert lease is not None and b.leases.take("group") is None
    assert lease.beat() and lease.beat()
    asleep = {**a.bucket._versions}
    lease.done()
    later = b.leases.take("group")
    assert later is not None and b.leases.held("group")
    a.bucket._versions.update(asleep)
    with pytest.raises(FileNotFoundError):  # If-Match: it is another's now
        a.bucket.rewrite("leases/group/1.json", b"{}")
    assert later.held()
    later.done()
    with pytest.raises(StoreError, match="no such bucket"):
        machine("c", tmp_path, monkeypatch, "s3://elsewhere/shared").prepare()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nope://bucket/x", "cannot be a depot"),
        ("sftp://me:secret@host/x", "holds a password"),
        ("sftp://host/x", "cannot be a depot"),
        ("ssh://host/x", "cannot be a depot"),
        ("s3://bucket/x?token=secret", "holds a password"),
        ("s3://", "names no bucket"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_line_without_its_secret(
    url: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match=said) as refused:
        machine("a", tmp_path, monkeypatch, url).prepare()
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_network_that_stays_away_is_one_line_and_the_next_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (machine(name, tmp_path, monkeypatch) for name in "ab")
    for seed in range(3):
        put(a.store, seed)
    Adversary.fails = 1.0
    with pytest.raises(StoreError, match=r"does not answer.*run the same command again"):
        a.exchange("sample")
    Adversary.fails = 0.0
    a.exchange("sample")
    b.exchange("sample")
    assert content(a.store) == content(b.store)


def test_a_place_that_holds_something_else_is_no_depot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.Bucket(URL).write("thesis.tex", b"")
    with pytest.raises(StoreError, match=r"no store\.json but holds thesis.tex"):
        machine("a", tmp_path, monkeypatch).prepare()


def test_a_folder_of_another_machine_serves_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"file://{tmp_path}/share/x"
    a, b = (machine(name, tmp_path, monkeypatch, url) for name in "ab")
    put(a.store, 3)
    a.exchange("sample")
    b.fetch("sample")
    assert content(a.store) == content(b.store)
    assert b.survey() == {"sample": 1}
