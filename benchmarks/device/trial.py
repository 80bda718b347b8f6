"""Try the instructions with somebody who has the docs and the instruction only, and count.

    python benchmarks/device/trial.py prepare INSTRUCTIONS.toml MODELS FOLDER ID…
    python benchmarks/device/trial.py score INSTRUCTIONS.toml FOLDER_OR_TRANSCRIPTS…

`prepare` makes a folder for each instruction with three commands: `./begin` shows the instruction
and starts its clock, `./assay …` is the command with everything recorded, `./answer VERDICT TEXT`
ends it. VERDICT is holds, fails, unspecific, undecided, measured (a number or a curve was wanted)
or unsayable. MODELS holds what planted.py wrote. At most two commands run at once on a machine;
their waiting is not counted. `score` prints what issue and page count."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

SLOTS = 2
VERDICTS = ("holds", "fails", "unspecific", "undecided", "measured", "unsayable")
DECIDED = ("holds", "fails")


def instructions(path: Path) -> dict[str, dict[str, Any]]:
    """Read the instructions by their ids."""
    return {row["id"]: row for row in tomllib.loads(path.read_text())["instruction"]}


def prepare(listed: Path, models: Path, folder: Path, ids: list[str]) -> None:
    """Make a folder for each instruction, with its commands and the planted models."""
    rows = instructions(listed)
    for name in ids:
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        (place / ".words").write_text(rows[name]["words"] + "\n")
        for model in sorted(models.iterdir()):
            (place / model.name).symlink_to(model.resolve())
        for command in ("begin", "assay", "answer"):
            script = place / command
            script.write_text(
                f'#!/bin/sh\nexec {sys.executable} {Path(__file__).resolve()} {command} "$@"\n'
            )
            script.chmod(0o755)


def note(**row: Any) -> None:
    """Append a line to the transcript of the instruction in whose folder we are."""
    with Path("transcript.jsonl").open("a") as file:
        file.write(json.dumps({"at": time.time(), **row}) + "\n")


def slot() -> Any:
    """Wait until fewer than SLOTS recorded commands run on this machine; gives the lock."""
    while True:
        for i in range(SLOTS):
            file = (Path(tempfile.gettempdir()) / f"assay-trial-{i}.lock").open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
            else:
                return file
        time.sleep(0.2)


def assay(arguments: list[str]) -> int:
    """Run the command and record what was typed, what it printed, how it ended and its time."""
    waited = time.time()
    studies = {
        a: Path(a).read_text() for a in arguments if a.endswith(".toml") and Path(a).is_file()
    }
    with slot():
        started = time.time()
        ran = subprocess.run(
            [sys.executable, "-m", "assay", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "100"},
        )
        wall = time.time() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(ran.stdout, end="")
    note(
        what="assay",
        arguments=arguments,
        studies=studies,
        code=ran.returncode,
        waited=round(started - waited, 2),
        wall=round(wall, 2),
        cpu=round(used.ru_utime + used.ru_stime, 2),
        output=ran.stdout[-20_000:],
    )
    return ran.returncode


def transcripts(place: Path) -> dict[str, list[dict[str, Any]]]:
    """Read what was recorded, by instruction: of a folder of them, or of a kept .jsonl.gz."""
    if place.is_file():
        rows = [json.loads(line) for line in gzip.decompress(place.read_bytes()).splitlines()]
        ids = dict.fromkeys(row["id"] for row in rows)
        return {name: [row for row in rows if row["id"] == name] for name in ids}
    return {
        path.parent.name: [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted(place.glob("*/transcript.jsonl"))
    }


def count(row: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Count an instruction's tries, refusals and minutes; None where it was not answered."""
    answers = [x for x in lines if x["what"] == "answer"]
    if not answers:
        return None
    begun, ended = lines[0]["at"], answers[-1]["at"]
    commands = [x for x in lines if x["what"] == "assay"]
    tries = [x for x in commands if x["studies"] or x["arguments"][:1] == ["run"]]
    refused = 0
    for x in tries:
        if x["code"] != 2:
            break
        refused += 1
    waited = sum(x["waited"] for x in commands)
    verdict, truth = answers[-1]["verdict"], row["truth"]
    right = {
        "true": verdict == "holds" if verdict in DECIDED else None,
        "false": verdict == "fails" if verdict in DECIDED else None,
        "undecidable": verdict not in DECIDED,
        "unsayable": verdict == "unsayable",
        "open": None,
    }[truth]
    return {
        "id": row["id"],
        "truth": truth,
        "verdict": verdict,
        "right": right,
        "tried": bool(tries),
        "accepted": any(x["code"] != 2 for x in tries),
        "before": refused,
        "refusals": sum(x["code"] == 2 for x in tries),
        "minutes": (ended - begun - waited) / 60,
        "machine": sum(x["wall"] for x in commands) / 60,
        "cpu": sum(x["cpu"] for x in commands),
    }


def score(listed: Path, places: list[Path]) -> None:
    """Print a line for each instruction and the table of goals."""
    rows = instructions(listed)
    recorded = {name: lines for place in places for name, lines in transcripts(place).items()}
    counted = [count(rows[name], recorded[name]) for name in rows if name in recorded]
    done = [x for x in counted if x]
    if not done:
        sys.exit("nothing was answered")
    for x in done:
        mark = {True: "right", False: "WRONG", None: "-"}[x["right"]]
        print(
            f"{x['id']:24} {x['truth']:12} {x['verdict']:11} {mark:6} refusals {x['refusals']} "
            f"({x['before']} first) {x['minutes']:5.1f} min, machine {x['machine']:4.1f}, "
            f"{x['cpu']:4.0f} CPU-s"
        )
    tried = [x for x in done if x["tried"]]
    expressible = [x for x in done if x["verdict"] != "unsayable"]
    decided = [x for x in done if x["verdict"] in DECIDED and x["truth"] != "open"]
    holds = [x for x in decided if x["verdict"] == "holds"]

    def share(part: list[Any], whole: list[Any]) -> str:
        return f"{len(part)} of {len(whole)}"

    print(f"\nanswered                    {share(done, counted)}")
    print(f"carried out without Python  {share(expressible, done)}")
    print(f"accepted at the first try   {share([x for x in tried if not x['before']], tried)}")
    within = [x for x in tried if x["accepted"] and x["before"] <= 2]
    print(f"after two refusals at most  {share(within, tried)}")
    middle = statistics.median(x["minutes"] for x in tried)
    machine = statistics.median(x["machine"] for x in tried)
    print(f"minutes to verdict, median  {middle:.1f}, of which the machine's {machine:.1f}")
    print(f"false holds                 {share([x for x in holds if not x['right']], holds)}")
    print(f"right when it decides       {share([x for x in decided if x['right']], decided)}")
    undecided = [x for x in done if x["truth"] in ("true", "false") and x["verdict"] not in DECIDED]
    print(f"true or false, not decided  {share(undecided, done)}")


def main(arguments: list[str]) -> int:
    """Do what the first argument asks."""
    match arguments:
        case ["prepare", listed, models, folder, *ids]:
            prepare(
                Path(listed), Path(models), Path(folder), ids or list(instructions(Path(listed)))
            )
        case ["score", listed, *places] if places:
            score(Path(listed), [Path(place) for place in places])
        case ["begin"]:
            note(what="begin")
            print(Path(".words").read_text(), end="")
        case ["assay", *rest]:
            return assay(rest)
        case ["answer", verdict, text] if verdict in VERDICTS:
            note(what="answer", verdict=verdict, text=text)
        case ["answer", *_]:
            print(f"usage: ./answer {'|'.join(VERDICTS)} 'what came out, in a sentence'")
            return 2
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
