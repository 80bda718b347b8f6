"""Tools by themselves: what each says that it takes and gives is what it takes and gives, and no
answer has an estimate alone."""

import json
import re

import anyio
import numpy as np
import pandas as pd
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

import assay
from assay.agents.answers import verdict
from assay.core.results import Judged
from tiny_study import TINY

TOOLS = [
    *("experiments", "page", "ask_model", "check", "write_study", "plan", "preregister"),
    *("run", "status", "result", "cancel", "judge", "estimate"),
]
ROWS = [
    {"arm": arm, "seed": s, "loss": level + (s * 7 % 5) / 100}
    for arm, level in (("mine", 0.1), ("old", 0.3), ("again", 0.31))
    for s in range(8)
]


CLAIM = {"claim": "mine.loss - old.loss < -0.05", "control": ["again"], "about": "mine"}


UNDESCRIBED = ("published", "source", "number", "at", "same", "note")
"""Of a claim's source in the literature: what their names say."""


def listed(server):
    async def ask():
        async with Client(server) as client:
            return (await client.list_tools()).tools

    return anyio.run(ask)


def test_every_tool_says_what_it_takes_and_gives(server):
    found = {tool.name: tool for tool in listed(server)}
    assert list(found) == TOOLS
    for tool in found.values():
        assert 60 < len(tool.description) < 500, tool.name
        assert tool.input_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        assert tool.output_schema is None
        parts = [tool.input_schema, *tool.input_schema.get("$defs", {}).values()]
        for name, given in (pair for part in parts for pair in part["properties"].items()):
            known = given.get("description") or name in UNDESCRIBED
            assert known, f"{tool.name}: {name} is not described"
        assert tool.annotations.read_only_hint == (
            tool.name not in ("preregister", "run", "cancel", "check")
        )
    assert set(found["write_study"].input_schema["required"]) == {"question", "experiment"}


def estimates(value, at="$"):
    """Every object that has an estimate, and where it stands."""
    if isinstance(value, dict):
        if "estimate" in value:
            yield at, value
        for key, part in value.items():
            yield from estimates(part, f"{at}.{key}")
    if isinstance(value, list):
        for i, part in enumerate(value):
            yield from estimates(part, f"{at}[{i}]")


def test_no_answer_has_an_estimate_without_its_interval_and_its_control(ask, done):
    key, study = done["key"], done["written"]["study"]
    unseen = ask("write_study", **TINY | {"seeds": "1000040:1000046"})["study"]
    asked = [
        ("experiments", {"find": "superposition"}),
        ("experiments", {"name": "superposition"}),
        ("page", {"name": "verdicts"}),
        ("write_study", TINY),
        ("plan", {"study": study}),
        ("plan", {"experiment": "superposition"}),
        ("run", {"study": study}),
        ("status", {"key": key}),
        ("result", {"key": key}),
        ("cancel", {"key": key}),
        ("preregister", {"study": unseen}),
        ("judge", CLAIM | {"rows": ROWS, "unit": ["seed"]}),
        ("estimate", {"rows": ROWS, "value": "mine.loss - old.loss"}),
    ]
    # those two have tests of their own, in test_agent_checks.py
    assert {name for name, _ in asked} == set(TOOLS) - {"ask_model", "check"}
    seen = 0
    for name, given in asked:
        answer = ask(name, **given)
        assert answer["told"] and answer["next"], name
        for at, found in estimates(answer):
            seen += 1
            assert {"low", "high"} <= set(found), f"{name} {at}"
            if at == "$.number":  # what nothing judged has no control
                assert "outcome" not in found
            elif at.startswith("$.result.claims"):
                assert ".controls." in at or found.get("controls"), f"{name} {at} has no control"
            elif ".controls[" not in at:
                assert found["controls"], f"{name} {at} has no control"
                assert all(
                    {"estimate", "low", "high", "outcome", "as_it_must"} <= set(c)
                    for c in found["controls"]
                )
    assert seen > 10


def test_an_answer_about_a_verdict_carries_all_that_it_rests_on(ask, done):
    found = ask("result", key=done["key"])
    (verdict,) = found["verdicts"]
    assert "6 seeds" in found["scope"]
    assert "density 0.05" in found["scope"]
    assert verdict["scope"] == found["scope"]
    assert found["standing"]["kind"] == "exploratory" and found["looks"]["taken"] == 1
    source = found["source"]
    assert (source["runs"], source["cached"], source["new"]) == (12, 0, 12)
    assert len(source["keys"]) == 64
    assert source["kind"] == "store"
    assert found["told"].startswith("1 ")
    assert verdict["outcome"] in found["told"]
    assert "1 look" in found["looks"]["told"]
    (control,) = verdict["controls"]
    assert control["arm"] == "linear"
    assert control["near"] == "the width alone"
    assert re.search(
        rf"linear does not satisfy it: {control['estimate']:.2f}\S* \[", verdict["told"]
    )


def test_asked_again_it_is_the_same_job_with_its_verdict(ask, done):
    again = ask("run", study=done["written"]["study"])
    assert done["submitted"]["status"] == "queued"
    assert done["submitted"]["result"] is None
    assert (again["key"], again["status"]) == (done["key"], "done")
    assert (
        again["result"]
        == ask("result", key=done["key"])
        == ask("status", key=done["key"])["result"]
    )
    planned = ask("plan", study=done["written"]["study"])
    assert planned["key"] == done["key"]
    assert planned["cached"] == 12
    assert planned["missing"] == 0


def test_a_reworded_claim_on_seeds_that_were_seen_is_told(ask, done):
    before = ask("write_study", **TINY)["plan"]["looks"]
    assert before["taken"] == 1 and before["by_others"] == []
    reworded = {**TINY, "claims": [{**TINY["claims"][0], "holds": "main.held_out < 0.02"}]}
    found = ask("write_study", **reworded)["plan"]
    assert found["looks"]["taken"] == 1
    assert found["looks"]["by_others"] == [ask("result", key=done["key"])["experiment"]]
    assert "not confirmed by these seeds" in found["looks"]["told"]
    assert found["standing"]["kind"] == "exploratory"
    fresh = ask("write_study", **{**reworded, "seeds": "2000000:2000006"})["plan"]
    assert fresh["looks"]["taken"] == 0
    assert "No one has looked" in fresh["looks"]["told"]
    burnt = ask("write_study", **{**reworded, "seeds": "3000:3006"})["plan"]["looks"]
    assert burnt["by_others"] == ["superposition"], "the catalogue judged on these"
    pilot = ask("write_study", **{**reworded, "seeds": "0:6"})["plan"]["looks"]
    assert "settles nothing" in pilot["told"]


def test_there_is_no_estimate_before_the_end(ask):
    """Otherwise an agent could watch estimates, stop, and word another claim on seeds that nobody
    has looked at."""
    seeds = {**TINY, "seeds": "3000000:3000006"}
    run = ask("run", study=ask("write_study", **seeds)["study"])
    answers = [run, ask("status", key=run["key"]), ask("cancel", key=run["key"])]
    assert [answer["status"] for answer in answers] == ["queued", "queued", "cancelled"]
    for answer in answers:
        assert (answer["runs"], answer["done"], answer["cached"]) == (12, 0, 0)
        assert answer["result"] is None and not list(estimates(answer))
    assert answers[0]["seconds_left"] and answers[2]["seconds_left"] is None


def test_a_control_that_passes_cannot_be_overread():
    entry = {
        "text": "it is small",
        "outcome": "unspecific",
        "reason": "control old satisfies it too",
        "estimate": 0.1,
        "low": 0.05,
        "high": 0.2,
        "unit": "1",
        "method": "95 %",
        "threshold": "<= 0.3",
        "threshold_from": "plan",
        "n": {"seed": 8},
        "scope": "toys",
        "near": {},
        "price": None,
        "notes": [],
    }
    passing = {"outcome": "holds", "estimate": 0.2, "low": 0.1, "high": 0.25}
    open_ = {"outcome": "undecided", "estimate": 0.2, "low": 0.1, "high": 0.5}
    also = {"new": {"reason": None, **passing}, "named": {"reason": "it may", **passing}}
    controls, planted = {"old": passing, "wide": open_}, {"drawn": open_}
    asked = {**entry, "controls": controls, "planted": planted, "also": also}
    found = verdict(Judged.from_json(asked))
    assert {c["arm"]: c["as_it_must"] for c in found["controls"]} == {
        "old": False,
        "wide": None,
        "drawn": None,
        "new": False,
        "named": True,
    }
    assert "Control old SATISFIES IT TOO: 0.20 [0.10, 0.25]" in found["told"]
    assert "Control wide is undecided" in found["told"]
    assert "Arm new HOLDS TOO, WHICH MAKES THE CLAIM UNSPECIFIC" in found["told"]


def test_a_study_that_says_too_little_is_answered_with_what_it_lacks(ask):
    bare = {**TINY, "claims": [{"text": "more than half"}], "seeds": ""}
    found = ask("write_study", **bare)
    assert not found["ready"] and found["plan"] is None and not found["wrong"]
    assert [row["where"] for row in found["missing"]] == ["claim 1: holds", "claim 1: control"]
    assert "linear" in found["missing"][1]["text"], "arms that could stand for a control are named"
    assert "1000000:" in next(row["default"] for row in found["assumed"] if row["where"] == "seeds")
    both = ask(
        "write_study",
        **{**TINY, "claims": [{"text": "more than half", "holds": "mane.represented > 0.5"}]},
    )
    assert "no arm 'mane'" in both["wrong"]
    assert "control" not in both["wrong"], "a wrong name is told before what is missing"
    wrong = ask(
        "write_study", **{**TINY, "claims": [{**TINY["claims"][0], "holds": "main.hold_out < 1"}]}
    )
    assert not wrong["ready"]
    assert "line " in wrong["wrong"]
    assert "did you mean held_out?" in wrong["wrong"]
    assert "tmp" not in wrong["wrong"]
    assert len(ask("write_study", **TINY)["assumed"]) >= 1


def test_an_agent_reads_over_what_a_measure_varies(ask):
    arms = {a["name"]: a for a in ask("experiments", name="superposition")["detail"]["arms"]}
    assert arms["main"]["dimensions"]["represented"] == ["feature"]
    assert "held_out" not in arms["main"]["dimensions"]


def test_a_number_of_a_table_comes_with_its_interval(ask):
    values = np.array([row["loss"] for row in ROWS if row["arm"] == "mine"])
    found = ask("estimate", rows=ROWS, value="mine.loss")["number"]
    assert found["estimate"] == pytest.approx(values.mean())
    assert found["low"] < values.mean() < found["high"] and found["n"] == {"seed": 8}


def test_a_table_is_judged_as_in_python(ask):
    asked = CLAIM | {"bounds": [-1, 1]}
    found = ask("judge", rows=ROWS, **asked)
    names = list(ROWS[0])
    right = assay.judge(pd.DataFrame(ROWS), unit="seed", **asked | {"bounds": (-1, 1)})
    verdict = found["result"]["claims"][0]["verdict"]
    assert verdict["outcome"] == right.outcome and verdict["n"] == {"seed": 8}
    limits = [right.estimate, right.low, right.high]
    assert [verdict[k] for k in ("estimate", "low", "high")] == pytest.approx(limits)
    text = "\n".join([",".join(names), *(",".join(str(row[n]) for n in names) for row in ROWS)])
    again = ask("judge", rows=text, **asked)["result"]["claims"][0]["verdict"]
    assert again["estimate"] == pytest.approx(right.estimate)
    assert found["standing"]["kind"] == "exploratory"
    assert found["source"]["kind"] == "your table"


def test_pages_come_in_parts_that_make_the_whole(ask, monkeypatch):
    page = ask("page", name="preregister")
    assert page["parts"] == 1 and 0 < len(page["text"]) <= 16_000
    assert "<!--" not in ask("page", name="verdicts")["text"]
    monkeypatch.setattr("assay.agents.describing.PART", 5_000)
    parts = [ask("page", name="preregister", part=i)["text"] for i in (1, 2, 3)]
    assert "".join(parts) == page["text"]
    assert all(0 < len(text) <= 5_000 for text in parts)


def test_resources_are_what_the_tools_say(server, ask, done):
    async def read():
        async with Client(server) as client:
            templates = [
                t.uri_template for t in (await client.list_resource_templates()).resource_templates
            ]
            found = {}
            for uri in (
                "assay://experiments/superposition",
                f"assay://jobs/{done['key']}",
                "assay://experiments",
            ):
                found[uri] = json.loads((await client.read_resource(uri)).contents[0].text)
            odd = (
                "assay://jobs/0",
                "assay://jobs/..%2F..%2Fetc",
                "assay://experiments/nothing",
                "file:///etc/passwd",
                "assay://jobs/" + "f" * 32,
            )
            for uri in odd:
                with pytest.raises(MCPError) as refused:
                    await client.read_resource(uri)
                assert "\n" not in str(refused.value)
                assert "Traceback" not in str(refused.value)
            return templates, found

    templates, found = anyio.run(read)
    assert templates == ["assay://experiments/{name}", "assay://jobs/{key}"]
    assert found[f"assay://jobs/{done['key']}"] == ask("status", key=done["key"])
    assert found["assay://experiments/superposition"] == ask("experiments", name="superposition")
    assert len(found["assay://experiments"]["experiments"]) > 40


LONG = "x" * 100_000
IDEA = {"question": "q", "experiment": "superposition"}
HOSTILE = [
    ("experiments", {"name": LONG}, "length <= 200"),
    ("experiments", {"name": 7}, "expected str, got int"),
    ("experiments", {"nmae": "superposition"}, "did you mean name?"),
    ("result", {}, "key is missing: The key that run gave"),
    ("page", {"name": "../README"}, "no page is called"),
    ("page", {"name": "verdicts", "part": 900}, "parts 1 to"),
    ("plan", {"study": LONG}, "length <= 65536"),
    ("plan", {"study": "question = = 1"}, "line 1 column 12"),
    ("run", {"experiment": "/etc/../etc/x.py"}, "--allow-code"),
    ("status", {"key": "../../etc/passwd"}, "32 hex digits"),
    ("status", {"key": "0" * 32, "wait_s": 31}, "float <= 30"),
    ("result", {"key": "0" * 32}, "no run"),
    ("judge", {"rows": [], "claim": "a.x < 1", "control": ["b"]}, "no rows"),
    (
        "judge",
        {"rows": "arm,x\n" + "a,1\n" * 300_000, "claim": "a.x < 1", "control": ["b"]},
        "at most 1,048,576",
    ),
    ("judge", {"rows": 5, "claim": "a.x < 1", "control": ["b"]}, "rows"),
    ("write_study", {"question": "q", "claims": []}, "experiment is missing"),
    ("write_study", IDEA | {"claims": [{"text": "t", "hold": "a"}]}, "unknown field hold"),
    ("write_study", IDEA | {"fields": {"steps": float("inf")}}, "fields[...]: expected"),
    ("nothing", {}, "no tool is called 'nothing'"),
    ("x" * 5000, {}, "no tool is called"),
]
"""What a study or an experiment is refused for: test_agent_asks.py."""


@pytest.mark.parametrize(("name", "given", "told"), HOSTILE, ids=lambda value: str(value)[:40])
def test_what_cannot_be_answered_is_refused_in_one_line(refusal, caplog, name, given, told):
    said = refusal(name, **given)
    assert told in said
    assert "\n" not in said
    assert len(said) <= 600
    assert "Traceback" not in said
    assert "mistake of Assay" not in said, "no place of this machine"
    assert "/assay-" not in said, "no place of this machine"
    assert not [r for r in caplog.records if r.levelname == "ERROR"], "nothing came upon a mistake"
