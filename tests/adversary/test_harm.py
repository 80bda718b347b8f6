"""General damage in many planted worlds of numbers: a change that harms any other task as much as
the one that a claim is about is never credited; one that harms this task alone is.

The worlds draw what a model gives each prompt before and after a change, and the loss on unrelated
text; the device's own control `damage` and its judge do the rest. Truth: in a world without an
effect of its own the change moves unrelated text by as many of its spreads as it moves the claim's
prompts, or more."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from assay.ask.measure import damage
from assay.ask.measure.damage import DamageTask
from assay.ask.measure.prompts import load
from assay.ask.measure.tasks import Task
from assay.ask.tables import Intervention, Model, Prompts, Read
from assay.core.claims import Claim
from assay.core.judging import judge

CASES, A_DAY = 240, 8
"""Cases of each class in the thorough tests, and in the daily ones."""
READS = {
    "log_prob": (Read(name="r", log_prob=" x"), -1),
    "pair": (Read(name="r", log_prob=(" x", " y")), -1),
    "loss": (Read(name="r", loss=True), 1),
    "entropy": (Read(name="r", entropy=True), 1),
}
"""Kinds of reads, and which way they go where a model gets worse."""
SPREAD, OTHERS = 0.6, 48
"""Of the loss on unrelated text, nats a token, and how many texts there are."""


def rows(name, n):
    return load(
        Prompts(name=name, text="{x}", rows=tuple({"x": f"{name}{i}"} for i in range(n))), Path()
    )


OTHER = rows("other", OTHERS)
SETS = {}


def named(name, n):
    return SETS.setdefault((name, n), rows(name, n))


@dataclass
class World:
    """What models give prompts, before and after a change."""

    draw: np.random.Generator
    kind: str
    shift: float
    """By how many spreads the change moves the claim's prompts."""
    harm: float
    """By how many it moves unrelated text."""
    way: str
    """What is compared: a change, one of a trained model, two models or two kinds of prompts under
    a change."""
    n: int = 32
    known: dict = field(default_factory=dict)

    def __post_init__(self):
        self.read, self.worse = READS[self.kind]
        self.scale = self.draw.uniform(0.3, 3)
        self.level = {"log_prob": -9.0, "pair": 4.0, "loss": 12.0, "entropy": 9.0}[self.kind]

    def of(self, model, prompts, changed):
        """The numbers of one model on some prompts, the same whenever they are asked for."""
        key = (model, prompts.table.name, changed)
        if key not in self.known:
            self.known[key] = self._drawn(*key, len(prompts.rows))
        return self.known[key]

    def _drawn(self, model, name, changed, n):
        noise = self.draw.normal(size=n)
        if name == "other":
            if not changed:
                return 3.5 + SPREAD * noise
            moved = self.harm if self._acts_on(model, name) else 0.0
            return self.of(model, OTHER, False) + SPREAD * (moved + 0.2 * noise)
        if not changed:
            return self.level * self.scale + self.scale * noise * (1 if name != "first" else 0.3)
        before = self.of(model, named(name, n), False)
        moved = self.shift if self._acts_on(model, name) else 0.0
        return before + self.worse * self.scale * (moved + 0.2 * noise)

    def _acts_on(self, model, name):
        """Of two models or two kinds of prompts the change moves one, or unrelated text alike."""
        if self.way == "models":
            return model == "second"
        return not (self.way == "prompts" and name == "first")

    def measure(self, task, seeds, *_):
        """Stand in for `measuring.measure`: the reads of a task, as differences where it is one."""
        changed = task.intervention is not None
        trained = task.model.name == "trained"
        x = self.of("second" if trained else task.model.name, task.prompts, changed or trained)
        if task.less is not None:
            x = x - self.of(task.less.name, task.prompts, changed)
        if task.than is not None:
            x = x - self.of(task.model.name, task.than, changed)
        levels = [str(i) for i in range(len(x))]
        stacked = np.repeat(x[None], len(seeds), 0)
        return {task.reads[0].name: ("run prompt", stacked, "nats")}, {"prompt": levels}

    @property
    def task(self):
        cut = Intervention(name="cut", ablate="zero", site="blocks.0.hook_mlp_out")
        some = {
            "model": Model(name="second"),
            "prompts": named("claimed", self.n),
            "reads": (self.read,),
        }
        if self.way == "models":
            return Task(**some, intervention=cut, less=Model(name="first"))
        if self.way == "prompts":
            return Task(**some, intervention=cut, than=named("first", self.n))
        if self.way == "training":
            return Task(**some | {"model": Model(name="trained")})
        return Task(**some, intervention=cut)

    def judged(self, monkeypatch, below):
        """Judge that the change moves the claim's prompts by so much as a worse model would."""
        monkeypatch.setattr(damage.measuring, "measure", self.measure)
        monkeypatch.setattr(damage, "_refuse_guesses", lambda *_: None)  # no model is at hand
        task, seeds = self.task, np.arange(6)
        fields = {name: getattr(task, name) for name in Task.__dataclass_fields__}
        start = {"start": Model(name="second")} if self.way == "training" else {}
        control = DamageTask(**fields | {"control": "damage", "other": OTHER} | start)
        found, coords = damage.measure(control, seeds, Path(), "cpu", False, lambda *_: None)
        plain = SimpleNamespace(**vars(task) | {"intervention": None})
        if self.way == "training":
            plain.model = Model(name="second")
        arms = {
            "main": self.measure(plain, seeds)[0]["r"][1],
            "cut": self.measure(task, seeds)[0]["r"][1],
            "cut/damage": found["r"][1],
        }
        coords = {"prompt": coords["prompt"], "seed": ("run", seeds)}
        data = {
            n: xr.Dataset({"r": (("run", "prompt"), x)}, coords=coords) for n, x in arms.items()
        }
        low, high = (-np.inf, -below) if self.worse < 0 else (below, np.inf)
        claim = Claim(
            text="the change does it",
            of="cut",
            value=lambda arm, arms: arm.r - arms["main"].r,
            units=("prompt",),
            low=low,
            high=high,
            must_fail=("cut/damage",),
            near={"cut/damage": "it harms any task"},
            threshold_from="plan: half of what was planted",
            source="here",
        )
        return judge(claim, data)


WAYS = ("change", "training", "models", "prompts")


def share(monkeypatch, cases, holds, harm, shift):
    """How often a claim of half of what was planted holds, by what is compared."""
    shares = {}
    for k, way in enumerate(WAYS):
        outcomes = []
        for case in range(cases // len(WAYS) + 1):
            draw = np.random.default_rng([k, case, int(1000 * holds)])
            by = draw.uniform(*shift)
            world = World(draw, draw.choice([*READS]), by, by * draw.uniform(*harm), way)
            outcomes.append(world.judged(monkeypatch, by * world.scale / 2).outcome)
        shares[way] = np.mean([o == "holds" for o in outcomes])
    return shares


@pytest.mark.parametrize("cases", [A_DAY, pytest.param(CASES, marks=pytest.mark.thorough)])
def test_what_harms_everything_is_credited_with_nothing(monkeypatch, cases):
    """The change moves unrelated text by as many spreads, or up to twice as many."""
    shares = share(monkeypatch, cases, 0.0, harm=(1.0, 2.0), shift=(0.7, 3.0))
    assert max(shares.values()) <= 0.025, shares


@pytest.mark.parametrize("cases", [A_DAY, pytest.param(CASES, marks=pytest.mark.thorough)])
def test_what_harms_one_task_alone_holds_at_twice_the_margin(monkeypatch, cases):
    """It moves unrelated text by a tenth as much at most."""
    shares = share(monkeypatch, cases, 1.0, harm=(-0.1, 0.1), shift=(0.7, 3.0))
    assert min(shares.values()) >= 0.9, shares
