"""The server from outside: by stdio and by HTTP, with the client of the official kit; an agent goes
from an idea to a verdict."""

import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.server.stdio import stdio_server
from tiny_study import TINY, answered, told

from assay.agents.server import make_server, talk
from assay.agents.serving import application
from assay.agents.tools import Tools
from assay.cli.main import main
from assay.http import tokens
from assay.http.guard import LOOPBACK, Rules
from assay.jobs.bounds import Bounds
from assay.jobs.runner import Runner
from assay.lab.engines import Site
from forks import Forks

ENV = {
    "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path))),
    "OMP_NUM_THREADS": "1",
    "ASSAY_OFFLINE": "1",
}


class Agent:
    """A scripted agent: it knows its idea, the server's instructions and tools' descriptions, and
    reads answers; no page, no code of Assay."""

    def __init__(self, client: Client):
        self.client = client

    async def call(self, name: str, /, **given: Any) -> dict[str, Any]:
        """Call a tool that must answer; what it read is the text, as most agents do."""
        return told(await self.client.call_tool(name, given))

    async def work(self) -> dict[str, Any]:
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
            if a != "main" and a in written["missing"][0]["text"].split("stand for one:")[1]
        )
        written = await self.call(
            "write_study", **{**idea, "claims": [{**idea["claims"][0], "control": [control]}]}
        )
        assert written["ready"] and written["plan"]["missing"] > 0 and "run(" in written["next"]
        planned = await self.call("plan", study=written["study"])
        job = await self.call("run", study=written["study"])
        assert job["key"] == planned["key"] and job["result"] is None
        while job["status"] in ("queued", "running"):
            assert all("not a verdict" in early["not_a_verdict"] for early in job["early"])
            job = await self.call("status", key=job["key"], wait_s=30)
        assert job["status"] == "done", job["error"]
        result = await self.call("result", key=job["key"])
        assert result == job["result"]
        return {"study": written["study"], "result": result}


class Alone(Agent):
    """An agent at a server in this process, where nobody else runs what is queued."""

    def __init__(self, client: Client, root: Path):
        super().__init__(client)
        self.root = root

    async def call(self, name: str, /, **given: Any) -> dict[str, Any]:
        if name == "status":
            Runner(self.root, site=Site(executor="inline")).run(until_idle=True)
        return await super().call(name, **given)


def test_an_agent_comes_to_the_verdict_that_the_command_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work() -> dict[str, Any]:
        async with Client(make_server(Tools(tmp_path / "agents", Bounds()))) as client:
            return await Alone(client, tmp_path / "agents").work()

    compare(anyio.run(work), tmp_path, capsys)


@pytest.mark.thorough
def test_an_agent_at_a_process_comes_to_the_same_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "assay", "mcp", "--root", str(tmp_path / "agents")]
    server = StdioServerParameters(command=command[0], args=command[1:], env=ENV)

    async def work() -> dict[str, Any]:
        async with Client(server) as client:
            return await Agent(client).work()

    compare(anyio.run(work), tmp_path, capsys)


def compare(found: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_an_open_input_that_ends_ends_the_server(tmp_path: Path, forks: Forks) -> None:
    """A fork reads nothing on standard input."""
    ran = forks.run(["mcp", "--root", str(tmp_path / "store")], tmp_path, {**os.environ, **ENV})
    assert ran == (0, "", "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--allow-code"], "--workspace"),
        (["--workspace", "nowhere"], "no folder"),
        (["--http", "0", "--host", "0.0.0.0"], "--token-file"),
        (["--token-file", "x.toml"], "--http"),
        (["--http", "70000"], "0 to 65535"),
        (["--jobs", "0"], "from 1 up"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("assay.api.serving.running", _nothing)
    assert main(["mcp", "--root", str(tmp_path / "store"), *words]) == 2
    said = capsys.readouterr().err
    assert told in said and len(said.strip().splitlines()) == 1


class _nothing:
    """In the runner's place, where none is needed."""

    def __init__(self, *given: Any):
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *given: Any) -> None:
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of an empty store, as the command prints it."""
    folder = tmp_path_factory.mktemp("http")
    process = subprocess.Popen(
        [sys.executable, "-m", "assay", "mcp", "--http", "0", "--root", str(folder / "store")],
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
    yield address
    process.terminate()
    process.wait(30)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_same_tools_answer_by_http_to_clients_new_and_old(served: str, mode: Any) -> None:
    async def ask() -> tuple[list[str], Any, Any]:
        async with Client(served, mode=mode) as client:
            found = await client.call_tool("experiments", {"find": "superposition"})
            refused = await client.call_tool("status", {"key": "x"})
            return [tool.name for tool in (await client.list_tools()).tools], found, refused

    names, found, refused = anyio.run(ask)
    assert len(names) == 11 and told(found)["experiments"] and refused.is_error


CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ACCEPT = {"accept": "application/json, text/event-stream"}
SENT = {**ACCEPT, "content-type": "application/json"}


def test_a_body_is_bounded_whether_it_says_its_length_or_not(served: str) -> None:
    for content in (b" " * 300_000, (b" " * 65_536 for _ in range(6))):
        found = httpx.post(served, content=content, headers=SENT, timeout=60)
        assert found.status_code == 413 and "at most" in found.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"jsonrpc": "2.0", "id": 1, "method": 5}',
        b"\xff\xfe",
        b"[" * 20_000,
    ],
)
def test_what_is_no_message_is_refused_without_a_traceback(served: str, body: bytes) -> None:
    found = httpx.post(served, content=body, headers=SENT, timeout=60)
    assert (
        400 <= found.status_code < 500
        and "Traceback" not in found.text
        and "File " not in found.text
    )


def read(answer: dict[str, Any]) -> dict[str, Any]:
    """The one text of an answer as it is sent."""
    found: dict[str, Any] = json.loads(answer["content"][0]["text"])
    return found


def test_a_token_opens_what_it_has_a_right_to_and_no_more(tmp_path: Path) -> None:
    """Two holders and a reader: nobody sees another's job, and who may only read submits
    nothing."""
    given = {name: tokens.new(name) for name in ("ann", "bob", "eve")}
    file = tmp_path / "tokens.toml"
    text = "\n".join(made.lines for made in given.values())
    before, mark, after = text.rpartition('rights = ["read", "submit", "cancel"]')
    file.write_text(before + mark.replace(', "submit", "cancel"', "") + after)
    server = make_server(Tools(tmp_path / "store", Bounds()))
    app = application(server, Rules(LOOPBACK, tokens.read(file)))
    study = {"experiment": "superposition", "preset": "smoke"}

    async def ask() -> dict[str, Any]:
        answers: dict[str, Any] = {}

        def through(token: str) -> httpx.AsyncClient:
            return httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://localhost",
                headers={**ACCEPT, "authorization": token},
            )

        async def call(who: str, name: str, /, **arguments: Any) -> Any:
            async with through(f"Bearer {given[who].token}") as http:
                body = {
                    "jsonrpc": "2.0",
                    "id": 1,
                    "method": "tools/call",
                    "params": {"name": name, "arguments": arguments},
                }
                return (await http.post("/mcp", json=body)).json()["result"]

        async with server.session_manager.run():
            for odd in ("", "Bearer x", f"Basic {given['ann'].token}"):
                async with through(odd) as http:
                    answers.setdefault("refused", []).append(
                        (await http.post("/mcp", json=CALL)).status_code
                    )
            answers["eve"] = await call("eve", "run", **study)
            answers["reads"] = await call("eve", "experiments", find="superposition")
            job = answers["ann"] = await call("ann", "run", **study)
            key = read(job)["key"]
            for name in ("status", "result", "cancel"):
                answers[f"bob {name}"] = await call("bob", name, key=key)
            answers["ann status"] = await call("ann", "status", key=key)
            answers["ann cancels"] = await call("ann", "cancel", key=key)
        return answers

    found = anyio.run(ask)
    assert found["refused"] == [401, 401, 401]
    assert (
        found["eve"]["isError"]
        and "no right to submit" in found["eve"]["content"][0]["text"]
        and not found["reads"].get("isError")
    )
    assert read(found["ann"])["status"] == read(found["ann status"])["status"] == "queued"
    for name in ("status", "result", "cancel"):
        assert (
            found[f"bob {name}"]["isError"]
            and "no job" in found[f"bob {name}"]["content"][0]["text"]
        )
    assert read(found["ann cancels"])["status"] == "cancelled"


def test_code_runs_only_where_it_was_allowed(tmp_path: Path) -> None:
    from assay.verbs.new import write_experiment

    place = tmp_path / "place"
    place.mkdir()
    write_experiment("mine", place)
    outside = tmp_path / "outside.py"
    outside.write_text((place / "mine.py").read_text())
    (place / "link.py").symlink_to(outside)
    asked = [
        ("plan", {"experiment": name, "preset": "smoke"})
        for name in ("mine.py", "../outside.py", str(outside), "link.py")
    ]
    allowed = answered(
        make_server(Tools(tmp_path / "a", Bounds(workspace=place, code=True))), *asked
    )
    assert [found.is_error for found in allowed] == [False, True, True, True]
    assert told(allowed[0])["runs"] == 4
    for bounds in (Bounds(), Bounds(workspace=place)):
        refused = answered(make_server(Tools(tmp_path / "b", bounds)), *asked)
        assert all(found.is_error and "\n" not in found.content[0].text for found in refused)


def test_several_clients_at_once_are_answered(served: str) -> None:
    async def ask() -> list[Any]:
        found: list[Any] = []

        async def one() -> None:
            async with streamable_http_client(served) as _, Client(served) as client:
                found.append(await client.call_tool("experiments", {"find": "superposition"}))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)
        return found

    assert [answer.is_error for answer in anyio.run(ask)] == [False] * 5


def test_what_is_no_message_is_answered_on_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One whose id is no id is a notification to the library, which owes no answer.
    sent = ["no json", '{"jsonrpc": "1.0", "id": 1, "method": "ping"}', "[]", "3", "\x00"]
    read = "".join(line + "\n" for line in sent)
    said = io.StringIO()

    async def work() -> None:
        streams = stdio_server(anyio.wrap_file(io.StringIO(read)), anyio.wrap_file(said))
        monkeypatch.setattr("assay.agents.server.stdio_server", lambda: streams)
        with anyio.move_on_after(30):
            await talk(make_server(Tools(tmp_path / "store", Bounds())))

    anyio.run(work)
    answers = [json.loads(line) for line in said.getvalue().splitlines()]
    assert [a["error"]["code"] for a in answers] == [-32700, -32600, -32600, -32600, -32700]
    assert all(a["id"] is None and a["jsonrpc"] == "2.0" for a in answers)
