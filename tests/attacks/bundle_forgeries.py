"""Forgeries of a bundle: what somebody could change who wants to show more than came out, or that
something else was frozen; whoever changes a file also writes every hash and seal again.

Each is a name and a function of the folder."""

import copy
import json
from hashlib import sha256

import numpy as np

from assay.core.spec import canonical_json
from assay.lab.judge.registered import ENVELOPE
from assay.lab.store import journal
from assay.lab.store.atomic import seal


def rehashed(folder):
    """Write SHA256SUMS again."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "SHA256SUMS")
    lines = (
        f"{sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}\n" for p in files
    )
    (folder / "SHA256SUMS").write_text("".join(lines))


def edited(path, change):
    """A JSON file with a change; where the change gives something, with that instead."""
    data = json.loads(path.read_bytes())
    given = change(data)
    path.write_text(json.dumps(data if given is None else given))


def chained(path, lines):
    """Write a journal anew, each line after the one before; gives their hashes."""
    keys = []
    text = b""
    for entry in lines:
        entry = {**entry, "after": keys[-1:]}
        keys.append(journal.key(entry))
        text += journal.line(entry)
    path.write_bytes(text)
    return keys


def lines_of(path):
    """The lines of a journal, without their seals."""
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "sha256"} for line in lines]


def frozen_anew(folder, change, *, chain):
    """Change what was frozen, with its hash and its seal in all copies; with `chain` also the look,
    the ledger and what is stated, so that all of them name the new hash."""
    looks = folder / "looks"
    copies = [*looks.glob("*.prereg.json"), *looks.glob("registered-*.json")]
    data = json.loads(copies[0].read_bytes())
    data.pop("sha256")
    change(data)
    content = {k: v for k, v in data.items() if k not in ENVELOPE}
    data["hash"] = sha256(canonical_json(content).encode()).hexdigest()
    if chain:
        (path,) = looks.glob("registered-*.looks.jsonl")
        taken = [{**line, "registration": data["hash"]} for line in lines_of(path)]
        head = chained(path, taken)[-1:]
        ledger = lines_of(looks / "ledger.jsonl")
        for line in ledger:
            line |= {"registration": data["hash"]} if line["what"] == "frozen" else {}
            place = next((p for p in line["heads"] if p.startswith("registered/")), None)
            line["heads"] |= {place: head} if place else {}
        keys = chained(looks / "ledger.jsonl", ledger)
        noted = next(k for k, line in zip(keys, ledger, strict=True) if line["what"] == "frozen")
        data["ledger"] = {**data["ledger"], "hash": noted}
        facts = {k: data[k] for k in ("hash", "time", "commit", "seeds", "alpha")}
        edited(folder / "verdicts.json", lambda d: d["registration"].update(facts))
    for path in copies:
        path.write_bytes(seal(data))


def paths_in(value, at=()):
    """Where the values of a JSON document are."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in parts:
        if isinstance(part, dict | list) and part:
            yield from paths_in(part, (*at, key))
        else:
            yield (*at, key)


def put(data, at, change):
    """Change the value at a place."""
    for key in at[:-1]:
        data = data[key]
    data[at[-1]] = change(data[at[-1]])


def another(value):
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if value is None or isinstance(value, dict | list):
        return "another"
    try:
        return repr(float(value) + 1) if value.lstrip("-") != "inf" else "7.0"
    except ValueError:
        return value[:-1] + ("0" if value[-1:] != "0" else "1")


def of_registration(folder):
    """Each value of what was frozen, sealed again: alone, and where the bundle has it elsewhere,
    with all chains."""
    data = json.loads(next((folder / "looks").glob("registered-*.json")).read_bytes())
    content = {k: v for k, v in data.items() if k not in (*ENVELOPE, "sha256")}
    for at in paths_in(content):
        name = ".".join(map(str, at))

        def forge(folder, at=at, chain=False):
            frozen_anew(folder, lambda d: put(d, at, another), chain=chain)

        yield f"frozen {name}", forge
        unread = at[0] == "prompts" and at[1] not in content["arms"]["main"]["inputs"]
        is_compared = at[0] in ("seeds", "experiment", "preset", "prompts", "models") or (
            at[0] == "arms" and at[2] != "hash" and at[-1] not in UNKNOWN
        )
        is_compared = is_compared and not (unread and at[-1] == "hash")
        if is_compared or (at[0] == "claims" and at[2] not in UNTOLD):
            yield (
                f"frozen {name}, chains and all",
                lambda folder, forge=forge: forge(folder, chain=True),
            )


UNKNOWN = frozenset({"_", "asked", "model", "reading", "smoke", "lr", "runs"})
"""Settings of arms that a bundle does not have elsewhere, `runs` apart, which is tried below."""
UNTOLD = frozenset({"hash", "interval", "kind", "gates", "credits"})
"""What a bundle does not have elsewhere of a claim."""


def of_statements(folder):
    """What is stated, the claims, and what was measured."""
    verdicts = json.loads((folder / "verdicts.json").read_bytes())
    for i in range(len(verdicts["verdicts"])):
        for key in ("outcome", "estimate", "low", "high", "text", "threshold_from"):
            other = "undecided" if verdicts["verdicts"][i][key] != "undecided" else "holds"
            new = another if key != "outcome" else lambda value, other=other: other

            def state(folder, at=("verdicts", i, key), new=new):
                edited(folder / "verdicts.json", lambda d: put(d, at, new))

            yield f"stated {key} of {i}", state
        yield f"verdict {i} left out", _in("verdicts.json", lambda d, i=i: d["verdicts"].pop(i))
        for key, value in (
            ("range", [-1e9, None]),
            ("must_fail", []),
            ("units", ["run"]),
            ("threshold_from", "the paper"),
            ("level", 0.5),
        ):

            def ask(d, i=i, key=key, value=value):
                d["claims"][i][key] = value

            yield f"claim {i} with another {key}", _in("claims.json", ask)
        yield f"claim {i} said not to be judged", _in("claims.json", _not_judged(i))
        yield f"claim {i} without its worst unit", _in("claims.json", _fewer_units(i))
        yield (
            f"verdict {i} stated twice",
            _in("verdicts.json", lambda d, i=i: d["verdicts"].insert(0, _held(d["verdicts"][i]))),
        )
        yield f"claim {i} left out", _in("claims.json", lambda d, i=i: d["claims"].pop(i))
    for key in ("hash", "time", "commit", "seeds", "followed"):
        at = ("registration", key)
        yield (
            f"stated {key} of what was frozen",
            _in("verdicts.json", lambda d, at=at: put(d, at, another)),
        )
    yield "a standing that there is not", _in("verdicts.json", lambda d: d.update(inference="sure"))
    yield "stated without a registration", _in("verdicts.json", lambda d: d.update(registration={}))
    index = json.loads((folder / "measures/index.json").read_bytes())
    for arm in index:
        yield f"{arm} measured on other seeds", _in("measures/index.json", _other_seeds(arm))
        yield f"{arm} left out", _in("measures/index.json", lambda d, arm=arm: d.pop(arm))
        yield (
            f"{arm} with fewer runs",
            _in("measures/index.json", lambda d, arm=arm: d[arm].update(n=d[arm]["n"] - 1)),
        )
    for path in sorted((folder / "measures").glob("*.npz")):
        yield f"other numbers in {path.name}", _numbers(path.relative_to(folder))
    yield "something read that was not frozen", _in("environment.json", _read_more)
    for key in ("lacking", "changed", "missing"):

        def say(d, key=key):
            d["registration"][key] = ["a table"]

        yield f"{key} stated", _in("verdicts.json", say)
    for when in ("begun", "finished"):
        yield f"{when} before it was frozen", _in("environment.json", _at(when, "2020-01-01"))


def of_chains(folder):
    """Lines of the journals: taken out, changed, exchanged, and with the rest chained anew."""
    for path in sorted((folder / "looks").glob("*.jsonl")):
        name, lines = path.relative_to(folder), lines_of(path)
        yield f"no {path.name}", lambda folder, name=name: (folder / name).unlink()
        for i in range(len(lines)):
            rest = lines[:i] + lines[i + 1 :]

            def leave_out(folder, name=name, i=i):
                kept = (folder / name).read_bytes().splitlines(keepends=True)
                (folder / name).write_bytes(b"".join(kept[:i] + kept[i + 1 :]))

            def chain(folder, name=name, rest=tuple(rest)):
                chained(folder / name, copy.deepcopy(list(rest)))

            def change(folder, name=name, i=i):
                kept = (folder / name).read_bytes().splitlines(keepends=True)
                kept[i] = kept[i].replace(b"2026-", b"2025-")
                (folder / name).write_bytes(b"".join(kept))

            yield f"line {i} of {path.name} taken out", leave_out
            yield f"line {i} of {path.name} taken out, the rest chained", chain
            yield f"line {i} of {path.name} at another time", change

    def peeked(folder):
        path = folder / "looks/ledger.jsonl"
        lines = lines_of(path)
        early = {k: v for k, v in lines[0].items() if k != "registration"}
        keys = chained(path, [{**early, "what": "judged", "heads": {}}, *lines])
        for copied in (*path.parent.glob("*.prereg.json"), *path.parent.glob("registered-*.json")):
            data = json.loads(copied.read_bytes())
            data["ledger"]["hash"] = keys[1]
            data.pop("sha256")
            copied.write_bytes(seal(data))

    if "prompts" not in json.loads(next((folder / "looks").glob("registered-*.json")).read_bytes()):
        yield "a peek before it was frozen, all chained", peeked


def of_inputs(folder):
    """Prompts and inputs, where models were asked."""
    if not (folder / "prompts.json").exists():
        return
    prompts = json.loads((folder / "prompts.json").read_bytes())
    for name, rows in prompts.items():
        for row in range(0, len(rows), 5):

            def reword(d, name=name, row=row):
                d[name][row][0] += " indeed"

            yield f"row {row} of {name} reworded", _in("prompts.json", reword)
        yield f"{name} reversed", _in("prompts.json", lambda d, name=name: d[name].reverse())
        yield f"{name} left out", _in("prompts.json", lambda d, name=name: d.pop(name))
        yield f"a row of {name} left out", _in("prompts.json", lambda d, name=name: d[name].pop())
        yield (
            f"a row of {name} twice",
            _in("prompts.json", lambda d, name=name: d[name].append(d[name][0])),
        )
    read = json.loads((folder / "environment.json").read_bytes())["read"]
    for arm, inputs in read.items():
        yield f"nothing read by {arm}", _in("environment.json", lambda d, a=arm: d["read"].pop(a))
        for name in inputs:
            at = ("read", arm, name)
            yield (
                f"another {name} of {arm}",
                _in("environment.json", lambda d, at=at: put(d, at, another)),
            )

            def unread(d, arm=arm, name=name):
                d["read"][arm].pop(name)

            yield f"no {name} of {arm}", _in("environment.json", unread)


def of_exploratory(folder, frozen):
    """A result of which nothing was frozen, said to be confirmatory: alone, with what was frozen of
    another study, and on the page."""
    told = json.loads((frozen / "verdicts.json").read_bytes())["registration"]
    zeros = {**told, "hash": "0" * 64, "time": "2020-01-01T00:00:00+00:00"}
    for name, registration in (("none", None), ("zeros", zeros), ("of another study", told)):

        def claim(folder, registration=registration):
            said = {"inference": "confirmatory", "registration": registration}
            edited(folder / "verdicts.json", lambda d: d.update(said))
            page = (folder / "report.html").read_text().replace("exploratory", "confirmatory")
            (folder / "report.html").write_text(page)

        def bring(folder, claim=claim):
            claim(folder)
            for path in (frozen / "looks").iterdir():
                (folder / "looks").mkdir(exist_ok=True)
                (folder / "looks" / path.name).write_bytes(path.read_bytes())

        yield f"said to be confirmatory, registration {name}", claim
        yield f"the same with that study's looks, registration {name}", bring

    def on_the_page(folder):
        page = (folder / "report.html").read_text()
        (folder / "report.html").write_text(page + "<p>confirmatory: frozen on 2020-01-01</p>")

    yield "confirmatory on the page alone", on_the_page


def _in(name, change):
    def forge(folder):
        edited(folder / name, lambda data: (change(data), None)[1])

    return forge


def _at(when, time):
    def change(data):
        data[when] = time

    return change


def _not_judged(i):
    def change(data):
        data["claims"][i] |= {"carried": False, "why_not": "its statistic is Python"}

    return change


def _fewer_units(i):
    def change(data):
        for table in data["claims"][i]["arms"].values():
            for levels in table["unit_levels"].values():
                levels.pop()

    return change


def _held(verdict):
    return {**verdict, "outcome": "holds", "reason": ""}


def _read_more(data):
    data["inputs"]["table.csv"] = "0" * 64
    for read in data["read"].values():
        read["table.csv"] = "0" * 64


def _other_seeds(arm):
    def change(data):
        for part in ("levels", "runs"):
            if seeds := data[arm][part].get("seed"):
                data[arm][part]["seed"] = [seed + 6 for seed in seeds]

    return change


def _numbers(name):
    """Numbers of a claim's measure moved a little, which moves its estimate."""

    def forge(folder):
        with np.load(folder / name) as stored:
            arrays = {k: stored[k] for k in stored.files}
        moved = {
            k: 1 - x if np.isin(x, (0, 1)).all() else x * 1.01 + 0.01 for k, x in arrays.items()
        }
        np.savez(folder / name, **moved)

    return forge
