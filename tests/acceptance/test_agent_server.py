"""The server from outside, by stdio: an agent comes to the verdict of the command, and the server
ends with its input."""

import json
import os
import re
import sys

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from assay.cli.main import main
from tiny_study import TINY, told

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
