"""The design on real models: what is claimed of ladders of language models with blocks passed by,
its arms and its figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from assay.core import Arm, Arms, Claim, Derive, Estimate, Experiment, Figure, figure, grid, varied
from assay.core.heavy import xr
from assay.core.stats import Means
from assay_catalogue.dictionaries import on_text
from assay_catalogue.experiments.interpretable_capability.claims import COMMENT, rise, valley
from assay_catalogue.experiments.interpretable_capability.models import ModelLadder, measure, train

MARGIN = 0.4
"""Tasks below which a dip or a rise is none."""
PLANTED = {"valley": (1.0, 0.2, 0.2, 1.0), "rise": (0.2, 0.4, 0.7, 1.0)}
"""What of the whole model's tasks is understood at each rung of a planted ladder."""
LADDERS = {"": "SmolLM2", "gemma-": "Gemma"}
"""What stands before the names of a model's arms, and what it is called."""
WAYS = {
    "circuit": ("By circuits", "lot", "any nodes carry it as well"),
    "learned": (
        "By dictionaries",
        "frozen",
        "directions near random ones rebuild as much of what tasks need",
    ),
}
"""Definitions of how much is understood: in words, the near control, and what would explain it."""


def main_of(prefix: str) -> str:
    """The arm of a model."""
    return prefix.removesuffix("-") or "main"


def terms(arm: xr.Dataset, way: str) -> dict[str, xr.DataArray]:
    """Terms [prompt, rung, task]: whether the right word leads, by how much, and how much of that a
    circuit or a dictionary keeps."""
    names = {"right": "right", "effect": "effect", "kept": way}
    return {name: arm[of].isel(run=0).reset_coords(drop=True) for name, of in names.items()}


def can(m: Means) -> np.ndarray:
    """[draw, rung, task]: how far above chance the right one of two words leads.

    Formula: max(0, 2 accuracy − 1)"""
    return np.clip(2 * m["right"] - 1, 0, 1)


def carried(m: Means) -> np.ndarray:
    """[draw, rung, task]: the share of the lead that is kept, from 0 to 1; 0 where there is no
    lead."""
    with np.errstate(all="ignore"):
        return np.where(m["effect"] > 0, np.clip(m["kept"] / m["effect"], 0, 1), 0)


def total(m: Means) -> dict[str, np.ndarray]:
    """[draw, rung]: total interpretable capability, in tasks."""
    return {"tic": (can(m) * carried(m)).sum(-1)}


def claims_of(prefix: str, way: str) -> tuple[Claim, Claim]:
    """The shape of total interpretable capability over one model's ladder."""
    (words, near, why), model = WAYS[way], LADDERS[prefix]
    shared: dict[str, Any] = {
        "of": main_of(prefix),
        "value": lambda arm, arms: terms(arm, way),
        "units": ("prompt",),
        "fixed": ("eight tasks", "four sizes"),
        "low": MARGIN,
        "unit": "tasks",
        "credits": ("model", "circuit" if way == "circuit" else "decoder"),
        "source": COMMENT,
        "published": "new",
        "threshold_from": "plan: a twentieth of eight tasks, before any pilot",
    }
    capability = {f"{prefix}capability": "whoever is more capable has more of everything"}
    return (
        Claim(
            text=f"{words}, interpretable capability over {model}'s ladder has a valley: it dips "
            f"at least {MARGIN} tasks below both ends",
            statistic=lambda m: valley(total(m)),
            must_fail=(f"{prefix}capability", f"{prefix}{near}"),
            must_hold=(f"{prefix}planted-valley",),
            near={f"{prefix}{near}": why, **capability},
            **shared,
        ),
        Claim(
            text=f"{words}, interpretable capability over {model}'s ladder rises: its larger two "
            f"sizes have at least {MARGIN} tasks more than its smaller two",
            statistic=lambda m: rise(total(m)),
            must_hold=(f"{prefix}planted-rise",),
            near={f"{prefix}{near}": why},
            **shared,
        ),
    )


def estimates_of(prefix: str) -> tuple[Estimate, ...]:
    """What each rung can do, and how much of it is understood."""
    arm, model = main_of(prefix), LADDERS[prefix]
    labels = {"effect": "", "circuit": ", by circuits", "learned": ", by dictionaries"}
    labels |= {"lot": ", by nodes drawn by lot", "frozen": ", by half-frozen dictionaries"}
    return tuple(
        Estimate(
            text=f"{model} with {share} of its blocks: {what}capability{label}",
            value=lambda arms, way=way: terms(arms[arm], way),
            statistic=lambda m, rung=rung: total(m)["tic"][:, rung],
            units=("prompt",),
            unit="tasks",
        )
        for rung, share in enumerate(("half", "three quarters", "nine tenths", "all"))
        for way, label in labels.items()
        for what in ("interpretable " if label else "",)
    )


def in_place(arm: str, measured: Mapping[str, str]) -> Derive:
    """A model's measures, others of them in the place of some."""
    return lambda arms: arms[arm].assign({new: arms[arm][old] for new, old in measured.items()})


def read_in_part(arm: str, shares: tuple[float, ...]) -> Derive:
    """Planted: the whole model's tasks at every rung, of which such a share is understood."""

    def derive(arms: Arms) -> xr.Dataset:
        data = arms[arm]
        whole = data.isel(rung=[-1] * data.sizes["rung"]).assign_coords(rung=data.rung.values)
        read = whole.effect * xr.DataArray([*shares], dims="rung")
        return whole.assign(circuit=read, learned=read)

    return derive


def beside(prefix: str) -> dict[str, Arm]:
    """What stands beside a model."""
    arm = main_of(prefix)
    return {
        f"{prefix}capability": Arm(
            derive=in_place(arm, {"circuit": "effect", "learned": "effect"}),
            note="as if all were understood: interpretable capability is capability",
        ),
        f"{prefix}lot": Arm(
            derive=in_place(arm, {"circuit": "lot"}),
            note="as many nodes, drawn by lot, in the place of the circuit's",
            learned=("model", "encoder", "decoder"),
        ),
        f"{prefix}frozen": Arm(
            derive=in_place(arm, {"learned": "frozen"}),
            note="dictionaries whose decoder rows stay within cosine .8 of random ones",
            learned=("model", "encoder", "circuit"),
        ),
        **{
            f"{prefix}planted-{shape}": Arm(
                derive=read_in_part(arm, shares),
                note="planted: the whole model at every size, a share of it understood",
            )
            for shape, shares in PLANTED.items()
        },
    }


def drawings(arms: Arms) -> list[Figure]:
    """Capability, and its interpretable part, over the blocks that are kept."""
    labels = {"effect": "capability", "circuit": "carried by circuits"}
    labels |= {"learned": "kept by dictionaries", "lot": "carried by nodes drawn by lot"}
    rows = []
    for prefix, model in LADDERS.items():
        if (data := arms.get(main_of(prefix))) is None:
            continue
        for way, label in labels.items():
            means = {k: x.mean("prompt").values[None] for k, x in terms(data, way).items()}
            rung = data.rung.values.tolist()
            values = total(means)["tic"][0].tolist()
            rows += [(model, label, x, y) for x, y in zip(rung, values, strict=True)]
    return [
        figure(
            "What models with blocks passed by can do, and how much of it is understood",
            "line",
            {"model": "facet", "what": "color", "kept": "x", "tasks": "y"},
            rows,
            x_title="share of blocks that is kept",
            y_title="tasks of eight, above chance",
        )
    ]


SEED = 63_001
MODELS = Experiment(
    arms={
        "main": Arm(train, note="SmolLM2 with half to all of its blocks"),
        "gemma": varied(train, "Gemma with half to all of its blocks", subject="gemma3-270m"),
        **beside(""),
        **beside("gemma-"),
    },
    measure=measure,
    claims=(
        *(claim for prefix in LADDERS for way in WAYS for claim in claims_of(prefix, way)),
        *(estimate for prefix in LADDERS for estimate in estimates_of(prefix)),
    ),
    figures=drawings,
    inputs=on_text.text_and_model,
    seeds_per_group=1,
    scope="{model_in_words}, blocks passed by without more training, eight tasks of one word, "
    "dictionaries of {text_in_words}",
    smoke=(),
    default=grid(ModelLadder(), seed=(SEED,)),
)
