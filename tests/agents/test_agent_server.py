"""The server from outside: by stdio and by HTTP, with the client of the official kit; an agent goes
from an idea to a verdict."""

import json
import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from assay.agents.server import TOOLS, Tools, make_server
from assay.cli.main import main
from assay.jobs.runner import Runner
from tiny_study import INLINE, TINY, told

ENV = {
    "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path))),
    "OMP_NUM_THREADS": "1",
    "ASSAY_OFFLINE": "1",
}


class Agent:
    """A scripted agent: it knows its idea, the server's instructions and tools' descriptions, and
    reads answers; no page, no code of Assay."""

    def __init__(self, client):
        self.client = client

    async def call(self, name, /, **given):
        """Call a tool that must answer; what it read is the text, as most agents do."""
        return told(await self.client.call_tool(name, given))

    async def work(self):
        """Go from an idea to a verdict, each step from what the one before said."""
        tools = {tool.name: tool for tool in (await self.client.list_tools()).tools}
        for step in re.findall(r"(\w+)\([^)]*\)", self.client.instructions or ""):
            assert step in tools, f"the instructions name {step}"
        (line,) = [
            e
            for e in (await self.call("experiments", find="sparse features dimensions narrow"))[
                "experiments"
            ]
            if "narrow" in e["question"]
        ]
        detail = (await self.call("experiments", name=line["name"]))["detail"]
        fields = {f["name"] for f in detail["fields"]}
        arms = {a["name"]: a for a in detail["arms"]}
        measure = next(m for m in arms["main"]["measures"] if m == "held_out")
        idea = {
            **TINY,
            "experiment": detail["name"],
            "claims": [{"text": TINY["claims"][0]["text"], "holds": f"main.{measure} < 0.01"}],
        }
        assert set(idea["fields"]) <= fields
        written = await self.call("write_study", **idea)
        assert not written["ready"] and "control" in written["missing"][0]["where"]
        control = next(
            a
            for a in arms
            if a != "main" and a in written["missing"][0]["text"].split("could be controls:")[1]
        )
        written = await self.call(
            "write_study", **{**idea, "claims": [{**idea["claims"][0], "control": [control]}]}
        )
        assert written["ready"]
        assert written["plan"]["missing"] > 0
        assert "run(" in written["next"]
        planned = await self.call("plan", study=written["study"])
        job = await self.call("run", study=written["study"])
        assert job["key"] == planned["key"] and job["result"] is None
        while job["status"] in ("queued", "running"):
            job = await self.call("status", key=job["key"], wait_s=30)
        assert job["status"] == "done", job["error"]
        result = await self.call("result", key=job["key"])
        assert result == job["result"]
        return {"study": written["study"], "result": result}


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


@pytest.mark.thorough
def test_an_agent_at_a_process_comes_to_the_same_verdict(tmp_path, capsys):
    command = [sys.executable, "-m", "assay", "mcp", "--root", str(tmp_path / "agents")]
    server = StdioServerParameters(command=command[0], args=command[1:], env=ENV)

    async def work():
        async with Client(server) as client:
            return await Agent(client).work()

    compare(anyio.run(work), tmp_path, capsys)


def compare(found, tmp_path, capsys):
    """Hold what an agent was told against what the commands print of its study."""
    path = tmp_path / "same.toml"
    path.write_text(found["study"])
    place = ["--root", str(tmp_path / "command")]
    assert main(["run", str(path), "--executor", "inline", *place]) == 0
    capsys.readouterr()
    assert main(["show", str(path), "--json", *place]) == 0
    shown = json.loads(capsys.readouterr().out)
    same = ("outcome", "estimate", "low", "high", "n", "reason", "scope", "threshold")
    assert len(found["result"]["verdicts"]) == len(shown["verdicts"]) == 1
    for given, right in zip(found["result"]["verdicts"], shown["verdicts"], strict=True):
        assert {k: given[k] for k in same} == {k: right[k] for k in same}
        controls = {c["arm"]: c for c in given["controls"] if c["role"] == "control"}
        assert set(controls) == set(right["controls"])
        for arm, control in right["controls"].items():
            assert {k: controls[arm][k] for k in same[:4]} == {k: control[k] for k in same[:4]}


def test_an_open_input_that_ends_ends_the_server(tmp_path, forks):
    """A fork reads nothing on standard input."""
    ran = forks.run(["mcp", "--root", str(tmp_path / "store")], tmp_path, {**os.environ, **ENV})
    assert ran == (0, "", "")


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
