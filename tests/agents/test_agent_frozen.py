"""A study that was frozen, run by an agent: confirmatory in every answer, unless it is not what was
frozen, and that is said."""

import json

import pytest

from assay.agents.server import Tools, make_server
from assay.cli.main import main
from assay.jobs.runner import Runner
from tiny_study import INLINE, TINY, answered, told

STUDY = TINY | {"seeds": "1000000:1000012", "fields": TINY["fields"] | {"density": 0.1}}


class Device:
    """A server of a store of its own, its answers, and its runner."""

    def __init__(self, root):
        self.root, self.server = root, make_server(Tools(root))

    def ask(self, name, /, **given):
        (found,) = answered(self.server, (name, given))
        return told(found)

    def refusal(self, name, /, **given):
        (found,) = answered(self.server, (name, given))
        assert found.is_error
        return found.content[0].text

    def work(self):
        Runner(self.root, options=INLINE).run(until_idle=True)


def standing(answer):
    """What an answer about a job rests on: where it is done, its result says so."""
    return (answer.get("result") or answer)["standing"]


@pytest.fixture
def device(tmp_path):
    return Device(tmp_path / "store")


@pytest.mark.slow
def test_a_study_that_a_person_froze_is_confirmatory_when_an_agent_runs_it(device, capsys):
    text = device.ask("write_study", **STUDY)["study"]
    file = device.root.parent / "asks.toml"
    file.write_text(text)
    capsys.readouterr()
    assert main(["preregister", str(file), "--root", str(device.root), "--json"]) == 0
    frozen = json.loads(capsys.readouterr().out)
    planned = device.ask("plan", study=text)
    assert planned["experiment"] == "asks"
    assert planned["standing"]["kind"] == "confirmatory"
    assert planned["frozen"]["looked"] is None
    assert "not judged yet" in planned["standing"]["why"]
    key = device.ask("run", study=text)["key"]
    waits = device.ask("status", key=key)
    assert waits["standing"]["kind"] == "confirmatory"
    assert frozen["hash"][:12] in waits["standing"]["why"]
    assert waits["experiment"] == "asks"
    device.work()
    for answer in (
        device.ask("status", key=key),
        device.ask("result", key=key),
        device.ask("run", study=text),
    ):
        assert standing(answer)["kind"] == "confirmatory"
    after = device.ask("plan", study=text)["frozen"]
    assert after["taken"] == 2 and after["next"] is None

    changed = text.replace("main.held_out < 0.01", "main.held_out < 0.02")
    assert changed != text
    other = device.ask("run", study=changed)
    device.work()
    for answer in (
        other,
        device.ask("status", key=other["key"]),
        device.ask("result", key=other["key"]),
    ):
        assert standing(answer)["kind"] == "exploratory"
        why = standing(answer)["why"]
        assert "asks was frozen on" in why and STUDY["claims"][0]["text"] in why
    seen = device.refusal("preregister", study=changed)
    assert "cannot freeze" in seen and str(device.root) not in seen
    capsys.readouterr()
    # the name stays its author's
    assert main(["show", str(file), "--root", str(device.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inference"] == "confirmatory"


def test_an_agent_freezes_and_nothing_is_written_but_in_the_store(device):
    text = device.ask("write_study", **STUDY)["study"]
    found = device.ask("preregister", study=text)
    assert found["standing"]["kind"] == "confirmatory"
    assert not found["already"]
    assert found["seeds"] == "1000000:1000012"
    assert device.ask("preregister", study=text)["already"]
    assert {
        path.parts[0]
        for p in device.root.parent.rglob("*.json")
        if (path := p.relative_to(device.root.parent))
    } == {"store"}
    frozen = device.ask("plan", study=text)["frozen"]
    assert frozen["looked"] is None and not frozen["changed"]
    submitted = device.ask("run", study=text)
    assert submitted["key"] == found["key"]
    assert submitted["experiment"] == found["experiment"]
    assert submitted["standing"]["kind"] == "confirmatory"
