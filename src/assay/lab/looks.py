"""Looks: every judging that is noted, and what claims, settings and arms were at each; what changed since is told.

A look at judged seeds burns them: whoever has seen what they say and then changes a claim, a control or a setting judges what was
seen. Seeds below 1000 are for pilots, which anybody may look at.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.claims import Claim, Exact, claims_key
from assay.core.experiment import Experiment
from assay.core.spec import canonical_json
from assay.lab import provenance, records
from assay.lab.atomic import explained, write
from assay.lab.sealed import SEAL

if TYPE_CHECKING:
    from assay.lab.plan import Plan
    from assay.lab.store import Store

JUDGED = 1000
"""The first seed that is not a pilot's."""
Frozen = Mapping[str, Any]
FROZEN: Mapping[str, type] = {"seeds": str, "claims": dict, "arms": dict}
"""What a line has that says what was judged."""
JUDGINGS = "looks.jsonl"
"""The file in which a store notes each judging of a claim."""
JUDGING: Mapping[str, type] = {"preset": str, "text": str}
"""What a line of it has."""
UNSEALED = {"time", "commit", "preset", "text", "n", "outcome", "claims_key", "seeds", "claims", "arms"}
"""All that a line of an older store has, from before there were hashes; whatever else a line has, its hash is among it."""
SEEDS = re.compile(r"(-?\d+:-?\d+)?(,-?\d+:-?\d+)*")
"""What `spans` writes."""


def frozen(experiment: Experiment, plan: Plan) -> dict[str, Any]:
    """Say what is judged on which seeds: hashes of every claim and exact statement by its text, and of every arm's settings."""
    arms = {}
    for arm, rows in plan.by_arm().items():
        fields = {canonical_json({k: v for k, v in json.loads(r.job.spec.to_json()).items() if k != "seed"}) for r in rows}
        arms[arm] = _hash(canonical_json([experiment.version, sorted(fields)]))
    derived = {name: "derived" for name, arm in experiment.arms.items() if arm.derive is not None}
    return {
        "seeds": spans(getattr(s, "seed", -1) for s in plan.preset.specs),
        "claims": {s.text: claims_key([s])[:12] for s in experiment.claims if isinstance(s, Claim | Exact)},
        "arms": {**arms, **derived},
    }


def changes(before: Frozen, now: Frozen) -> list[str]:
    """What differs between two looks at some of the same judged seeds, one phrase for each claim and arm; empty for other seeds."""
    seen = {s for s in _seeds(before["seeds"]) & _seeds(now["seeds"]) if s >= JUDGED}
    if not seen:
        return []
    told = []
    for kind, what in (("claims", "claim"), ("arms", "arm")):
        old, new = before[kind], now[kind]
        told += [f"{what} added or reworded: {name}" for name in new if name not in old]
        told += [f"{what} dropped or reworded: {name}" for name in old if name not in new]
        told += [f"{what} changed: {name}" for name in new if name in old and old[name] != new[name]]
    return told


def changed(experiment: Experiment, plan: Plan, store: Store | None = None) -> tuple[str, ...]:
    """What changed after a look at these seeds, by the committed looks and those of a store; each phrase once."""
    now = frozen(experiment, plan)
    before = [*read(committed(experiment)), *(read(stored(store, experiment.name)) if store else [])]
    return tuple(dict.fromkeys(change for look in before for change in changes(look, now)))


def committed(experiment: Experiment) -> Path:
    """Where the looks at an experiment's records are kept, beside its record."""
    return records.path(experiment.name, experiment.origin).with_suffix(".looks.jsonl")


def stored(store: Store, experiment: str) -> Path:
    """Where a store keeps what was frozen at each look."""
    return store.root / "results" / experiment / "frozen.jsonl"


def files(store: Store, experiment: str) -> list[Path]:
    """The files of looks that a store has of an experiment."""
    return [p for p in (store.root / "results" / experiment / JUDGINGS, stored(store, experiment)) if p.exists()]


def lines(numbers: Sequence[int]) -> str:
    """Some lines as the subject of a sentence: "line 3 is", "lines 1, 2, 5 are"; of many the first ones."""
    told = ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
    return f"line {told} is" if len(numbers) == 1 else f"lines {told} are"


def freeze(path: Path, experiment: Experiment, plan: Plan) -> None:
    """Note what is judged on which seeds, unless the last look already says so. Raises: OSError when the disk is full."""
    now, before = frozen(experiment, plan), read(path)
    if any({k: look.get(k) for k in now} == now for look in before):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    append(path, line({"time": provenance.now(), "commit": provenance.commit(), **now}))


def line(look: Mapping[str, Any]) -> bytes:
    """A line of a file of looks, with the hash of what it says."""
    return (canonical_json({**look, SEAL: _hash(canonical_json(look))}) + "\n").encode()


def read(path: Path, needed: Mapping[str, type] = FROZEN) -> list[dict[str, Any]]:
    """Every line of a file of looks, oldest first; one that was torn by a kill or changed, or has not what is needed, is left out."""
    return [look for _, look in _lines(path, needed) if look is not None]


def damaged(path: Path) -> list[int]:
    """The numbers, from 1, of lines that are not as they were written, such as one that a kill tore."""
    needed: Mapping[str, type] = FROZEN if path.name != JUDGINGS else JUDGING
    return [number for number, look in _lines(path, needed) if look is None]


def mend(store: Store, path: Path) -> None:
    """Leave out the damaged lines of a file of looks; the file as it was is kept in the store's `tmp`."""
    if not path.is_file():
        store.remove(path)
        return
    lines, bad = path.read_bytes().split(b"\n"), set(damaged(path))
    kept = b"".join(text + b"\n" for number, text in enumerate(lines, 1) if text.strip() and number not in bad)
    with explained(store.root):
        shutil.copyfile(path, store.prepare().root / "tmp" / f"damaged-{path.parent.name}-{path.name}-{uuid.uuid4().hex[:12]}")
        write(path, kept)


def _lines(path: Path, needed: Mapping[str, type]) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Each line that is not empty with its number, and what it says; None where that cannot be trusted."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    except OSError:
        lines = [b"no file that can be read"]
    for number, text in enumerate(lines, 1):
        if text.strip():
            yield number, _look(text, needed)


def _look(text: bytes, needed: Mapping[str, type]) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError, RecursionError):
        look = json.loads(text)
        if not isinstance(look, dict) or not all(isinstance(look.get(k), kind) for k, kind in needed.items()):
            return None
        held = look.pop(SEAL, None)
        whole = held == _hash(canonical_json(look)) if held else set(look) <= UNSEALED
        if whole and SEEDS.fullmatch(look.get("seeds", "")):
            return look
    return None


def judgings(store: Store, experiment: str) -> list[dict[str, Any]]:
    """Every noted judging of an experiment's claims in a store, oldest first."""
    return read(store.root / "results" / experiment / JUDGINGS, JUDGING)


def append(path: Path, lines: bytes) -> None:
    """Put these lines at the end of a file, on lines of their own. Raises: OSError when the disk is full."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        end = os.fstat(handle).st_size
        torn = end > 0 and os.pread(handle, 1, end - 1) != b"\n"  # by a full disk: what follows would be lost with it
        lines = b"\n" * torn + lines
        if os.write(handle, lines) < len(lines):  # one write: lines of two processes never mix
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(handle)
    finally:
        os.close(handle)


def spans(seeds: Iterable[int]) -> str:
    """Seeds as ranges, the end left out: "3000:3008,3010:3011"."""
    told: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if told and told[-1][1] == seed:
            told[-1][1] += 1
        else:
            told.append([seed, seed + 1])
    return ",".join(f"{a}:{b}" for a, b in told)


def _seeds(text: str) -> set[int]:
    parts = [part.split(":") for part in text.split(",") if part]
    return {s for a, b in parts for s in range(int(a), int(b))}


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]
