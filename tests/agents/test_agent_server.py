"""The server from outside: by stdio and by HTTP, with the client of the official kit; an agent goes
from an idea to a verdict."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager

import anyio
import httpx
import pytest
from mcp import Client

from acceptance.test_agent_server import ENV, Agent, compare
from assay.agents.server import TOOLS, Tools, make_server
from assay.cli.main import main
from assay.jobs.runner import Runner
from tiny_study import INLINE, told


class Alone(Agent):
    """An agent at a server in this process, where nobody else runs what is queued."""

    def __init__(self, client, root):
        super().__init__(client)
        self.root = root

    async def call(self, name, /, **given):
        if name == "status":
            Runner(self.root, options=INLINE).run(until_idle=True)
        return await super().call(name, **given)


def test_an_agent_comes_to_the_verdict_that_the_command_prints(tmp_path, capsys):
    async def work():
        async with Client(make_server(Tools(tmp_path / "agents"))) as client:
            return await Alone(client, tmp_path / "agents").work()

    compare(anyio.run(work), tmp_path, capsys)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--allow-code"], "--workspace"),
        (["--workspace", "nowhere"], "not a folder"),
        (["--http", "0", "--host", "0.0.0.0"], "this machine only"),
        (["--host", "::1"], "--http PORT"),
        (["--http", "70000"], "0 to 65535"),
        (["--jobs", "0"], "at least 1"),
        (["--job-seconds", "0"], "above 0"),
        (["--run", "--devise cuda"], "--devise"),
        (["--run", "'"], "--run"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("assay.agents.serving.running", _nothing)
    assert main(["mcp", "--root", str(tmp_path / "store"), *words]) == 2
    said = capsys.readouterr().err
    assert told in said and len(said.strip().splitlines()) == 1


class _nothing:
    """In the runner's place, where none is needed."""

    def __init__(self, *given):
        pass

    def __enter__(self):
        pass

    def __exit__(self, *given):
        pass


@contextmanager
def serving(folder, *words):
    """A server as the command starts it, and the address that it prints."""
    command = [sys.executable, "-m", "assay", "mcp", "--http", "0", "--root", str(folder / "store")]
    process = subprocess.Popen(
        [*command, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ENV},
    )
    late = threading.Timer(120, process.kill)
    late.start()
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    late.cancel()
    try:
        yield process, address
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a server of an empty store."""
    with serving(tmp_path_factory.mktemp("http")) as (_, address):
        yield address


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_same_tools_answer_by_http_to_clients_new_and_old(served, mode):
    async def ask():
        async with Client(served, mode=mode) as client:
            found = await client.call_tool("experiments", {"find": "superposition"})
            refused = await client.call_tool("status", {"key": "x"})
            return [tool.name for tool in (await client.list_tools()).tools], found, refused

    names, found, refused = anyio.run(ask)
    assert len(names) == len(TOOLS) and told(found)["experiments"] and refused.is_error


CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ACCEPT = {"accept": "application/json, text/event-stream"}
SENT = {**ACCEPT, "content-type": "application/json"}


def test_a_body_is_bounded_whether_it_says_its_length_or_not(served):
    for content in (b" " * 300_000, (b" " * 65_536 for _ in range(6))):
        found = httpx.post(served, content=content, headers=SENT, timeout=60)
        assert found.status_code == 413 and len(found.text.splitlines()) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_a_page_of_another_site_gets_nothing(served, headers, status):
    """Neither by its own name, pointed at this machine, nor from its own page."""
    answer = httpx.post(served, json=CALL, headers=ACCEPT | headers, timeout=60)
    assert answer.status_code == status and "experiments" not in answer.text
    assert httpx.post(served, json=CALL, headers=ACCEPT, timeout=60).status_code == 200


async def call(address, name, /, **arguments):
    async with Client(address) as client:
        return told(await client.call_tool(name, arguments))
