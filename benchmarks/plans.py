"""What `assay plan` says beside what `assay run` then takes: CPU-seconds and seconds by the clock,
each command in an empty store.

Goals: CPU-seconds within 25 % of the middle of what was planned, the clock within 40 % on free
cores. Prints a JSON line for each command, then a table, then how many came true. `crowded` is
seconds by the clock for each CPU-second of a busy loop: 1 on a core of its own. With `--history`
nothing is run: each record beside the one before it in git that has the same keys, so the same runs
at another time; and its clock beside its CPU-seconds shared out over the cores.
Run: python benchmarks/plans.py [NAME[:PRESET] …] [--executor workers]; without a name the smoke
preset of the whole catalogue."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from assay.core.compute import Range
from assay.core.errors import RunError
from assay.lab import catalogue
from assay_catalogue.experiments.compute_planner.commands import ran

ROOT = Path(__file__).resolve().parents[1]
CPU, CLOCK = 0.25, 0.40


def compared(name: str, preset: str, executor: str) -> dict[str, Any] | None:
    """What was planned and what came out of one command; None where one of them failed."""
    words = (name, "--preset", preset, "--executor", executor)
    try:
        with tempfile.TemporaryDirectory() as root:
            told = ran("plan", *words, root=root).told
            took = ran("run", *words, root=root)
    except RunError as error:
        print(f"{name}, {preset}: {error}", file=sys.stderr, flush=True)
        return None
    found = {
        "experiment": name,
        "preset": preset,
        "from": told["times_from"],
        "crowded": round(took.load, 2),
    }
    for kind, planned, actual in (
        ("cpu", told["command_cpu_seconds"], took.cpu_seconds),
        ("clock", told["command_seconds"], took.seconds),
    ):
        middle = Range(*planned).middle if planned else None
        found[kind] = round(actual, 1)
        found[f"{kind}_planned"] = [round(x, 1) for x in planned] if planned else None
        found[f"{kind}_off"] = round(actual / middle - 1, 3) if middle else None
        found[f"{kind}_within"] = planned[0] <= actual <= planned[1] if planned else None
    return found


def history() -> list[dict[str, Any]]:
    """Each record's CPU-seconds beside those of the newest earlier record of the same runs, and its
    clock beside a share of them for each core."""
    rows = []
    for path in sorted((ROOT / "records").glob("*.json")):
        log = ["git", "-C", str(ROOT), "log", "--format=%h", "--", f"records/{path.name}"]
        versions = []
        for commit in subprocess.run(
            log, capture_output=True, text=True, check=True
        ).stdout.split():
            shown = subprocess.run(
                ["git", "-C", str(ROOT), "show", f"{commit}:records/{path.name}"],
                capture_output=True,
                text=True,
                check=False,
            )
            record = json.loads(shown.stdout) if not shown.returncode else {}
            if record.get("provenance", {}).get("keys"):
                versions.append(record)
        if not versions:
            continue
        now, made = versions[0], versions[0]["provenance"]
        row = {
            "experiment": path.stem,
            "finished": made["finished"],
            "cpu": now["cpu_seconds"],
            "clock": now["seconds"],
        }
        row["clock_off"] = round(
            now["seconds"] / (now["cpu_seconds"] / made["machine"]["free_cores"]) - 1, 3
        )
        same = (
            v
            for v in versions[1:]
            if v["provenance"]["keys"] == made["keys"]
            and v["provenance"]["finished"] != made["finished"]
        )
        if (before := next(same, None)) is not None:
            then = {"before": before["provenance"]["finished"], "cpu_before": before["cpu_seconds"]}
            row |= then | {"cpu_off": round(now["cpu_seconds"] / before["cpu_seconds"] - 1, 3)}
        rows.append(row)
    return rows


def told(rows: list[dict[str, Any]], kind: str, limit: float) -> str:
    """How many of these came true, and how far off the typical one is."""
    off = [row[f"{kind}_off"] for row in rows if row.get(f"{kind}_off") is not None]
    if not off:
        return f"{kind}: nothing was planned"
    true, typical = sum(abs(x) <= limit for x in off), statistics.median(map(abs, off))
    return (
        f"{kind}: {true} of {len(off)} within {limit:.0%}; typically off by {typical:.0%}; the "
        f"middle one by {statistics.median(off):+.0%}"
    )


def main() -> None:
    """Print the lines, the table, and how many plans came true."""
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("names", nargs="*", metavar="NAME[:PRESET]")
    ask.add_argument("--executor", default="workers")
    ask.add_argument("--history", action="store_true")
    a = ask.parse_args()
    if a.history:
        rows = history()
        for row in rows:
            print(json.dumps(row))
        print(f"\n{told(rows, 'cpu', CPU)}\n{told(rows, 'clock', CLOCK)}")
        return
    asked = [name.partition(":")[::2] for name in a.names] or [
        (entry.name, "smoke") for entry in catalogue.entries()
    ]
    rows = []
    for name, preset in asked:
        if (row := compared(name, preset or "default", a.executor)) is not None:
            rows.append(row)
            print(json.dumps(row), flush=True)
    print(
        "\n"
        f"{'experiment':26}{'preset':9}{'CPU-s planned':>18}{'CPU-s':>8}{'off':>7}{'s planned':>16}{'s':>7}{'off':>7}{'crowded':>9}"  # noqa: E501
    )
    for row in rows:
        cells = [row["experiment"].ljust(26), row["preset"].ljust(9)]
        for kind, width in (("cpu", 18), ("clock", 16)):
            planned, off = row[f"{kind}_planned"], row[f"{kind}_off"]
            cells.append(
                ("unknown" if planned is None else f"{planned[0]:.0f} to {planned[1]:.0f}").rjust(
                    width
                )
            )
            cells.append(
                f"{row[kind]:.1f}".rjust(8 if kind == "cpu" else 7)
                + ("–" if off is None else f"{off:+.0%}").rjust(7)
            )
        print("".join(cells) + f"{row['crowded']:.2f}".rjust(9))
    print(f"\n{told(rows, 'cpu', CPU)}\n{told(rows, 'clock', CLOCK)}")


if __name__ == "__main__":
    sys.path.remove(
        str(Path(__file__).resolve().parent)
    )  # so that workers take no file beside this one for a library
    main()
