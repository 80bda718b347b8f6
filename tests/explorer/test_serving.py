"""`assay serve` as a person starts and ends it."""

import re
import signal
import socket

import httpx
import pytest
from shelf import HOME, served, shelve, simulated
from starlette.testclient import TestClient

from assay.cli.main import main
from assay.core.errors import AssayError
from assay.explorer import connections


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("serving")
    shelve(root, "a" * 16, simulated.made(root / "made"))
    return root


def test_it_prints_one_address_and_ends_cleanly(store):
    with served("--root", str(store)) as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        assert httpx.get(address, timeout=120).status_code == 200
        assert httpx.get(address.rstrip("/") + HOME, timeout=120).status_code == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")


def test_beyond_this_machine_it_asks_for_a_token(store, monkeypatch, capsys):
    answered = []
    monkeypatch.setattr(connections, "answer", lambda app, *_, **options: answered.append(app))
    assert main(["serve", "--root", str(store), "--port", "0", "--host", "0.0.0.0"]) == 0
    address = capsys.readouterr().out.split()[0]
    (token,) = re.fullmatch(r"http://\S+:\d+/\?token=(\S{20,})", address).groups()
    browser = TestClient(answered[0], base_url="http://127.0.0.1")
    assert browser.get("/").status_code == 401
    assert browser.get(f"/?token={token}").status_code == 200
    assert browser.get(HOME).status_code == 200


def test_a_port_that_is_taken_is_said_in_one_line(store, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--root", str(store), "--port", port]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1) and port in err and "--port" in err


def test_the_usual_port_gives_way_where_it_was_not_asked_for(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(connections, "PORT", taken.getsockname()[1])
        with connections.listen("127.0.0.1", None) as free:
            assert free.getsockname()[1] != taken.getsockname()[1]


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_is_a_port(port):
    with pytest.raises(AssayError, match="0 to 65535"):
        connections.listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_only_loopback_goes_without_a_token(host):
    assert connections.is_here(host)
    assert not any(
        map(
            connections.is_here,
            ("0.0.0.0", "10.0.0.1", "::", "example.org", "127.0.0.1.example.org"),
        )
    )
