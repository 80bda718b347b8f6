"""One rater's answers: lines of JSON that are only added to, each bound to all before it, so that a
changed file is known as one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.errors import DataError
from assay.core.spec import canonical_json

MEANINGS: Mapping[float, str] = {1.0: "one meaning", 0.5: "partly", 0.0: "no meaning"}
"""Scores and what they say."""
Line = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a rater said of an item."""

    score: float
    words: str


class Answers:
    """The answers of one rater to one plan, kept in a file.

    Each line has the hash of the line before it, of the plan at the start. Lines that do not fit,
    and answers that came after the arms were shown, count in nothing. The hash has no secret: it
    shows accidents and idle edits, not a forger."""

    def __init__(self, path: Path, plan: str, rater: str):
        self.path, self.rater, self._plan = path, rater, plan
        self._last = hashlib.sha256(canonical_json([plan, rater]).encode()).hexdigest()
        self.answers: dict[str, Answer] = {}
        """By the hash of the item; of several answers to one the last counts."""
        self.fault = ""
        """Why this is no blinded rating; empty where it is one."""
        self.shown = False
        """Whether the arms were shown, after which nothing counts."""
        self._whole = 0
        if path.exists():
            self._read()

    def _read(self) -> None:
        data = self.path.read_bytes()
        self._whole = data.rfind(b"\n") + 1  # what follows was being written at a kill
        for number, raw in enumerate(data[: self._whole].splitlines()):
            try:
                line = json.loads(raw)
                chain = line.pop("chain")
            except (ValueError, KeyError, AttributeError, TypeError):
                self.fault = f"line {number + 1} is none that assay rate writes"
                return
            if number == 0 and (line.get("plan") != self._plan or line.get("rater") != self.rater):
                self.fault = "it belongs to another plan or rater"
                return
            if chain != self._chain(line):
                self.fault = f"line {number + 1} was changed, or a line before it"
                return
            self._take(line, chain)

    def add(self, item: str, score: float, words: str = "") -> None:
        """Keep an answer. Raises: DataError where nothing counts any more."""
        if score not in MEANINGS:
            raise DataError(f"a score is {', '.join(f'{s:g}' for s in MEANINGS)}, got {score}")
        self._add({"item": item, "score": score, "words": words})

    def show_arms(self) -> None:
        """Note that the arms are known from now on."""
        if not self.shown and not self.fault:
            self._add({"shown": True})

    def _add(self, line: Line) -> None:
        if self.fault or self.shown:
            raise DataError(
                f"{self.path}: {self.fault or 'the arms were shown'}; answers no longer count"
            )
        with self.path.open("ab") as file:
            file.truncate(self._whole)
            if not self._whole:
                self._write(file, {"plan": self._plan, "rater": self.rater})
            self._write(file, line)

    def _write(self, file: Any, line: Line) -> None:
        chain = self._chain(line)
        data = canonical_json({**line, "chain": chain}).encode() + b"\n"
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        self._whole += len(data)
        self._take(line, chain)

    def _chain(self, line: Line) -> str:
        return hashlib.sha256(f"{self._last}{canonical_json(line)}".encode()).hexdigest()

    def _take(self, line: Line, chain: str) -> None:
        self._last = chain
        if line.get("shown"):
            self.shown = True
        elif "item" in line:
            if self.shown:
                self.fault = "it has answers from after the arms were shown"
                return
            self.answers[line["item"]] = Answer(line["score"], line["words"])
