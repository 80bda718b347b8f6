"""What streetlight claims: the statements, and how each value is computed from measures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.core import Arms, Claim, Finding, Published, Value
from assay.core.claims import rival, same_method
from assay.core.heavy import xr
from assay.core.measures import by
from assay.core.stats import Means, ratio
from assay.experiments.streetlight.probes import BASELINES, EQUAL, REGIMES, SAE, SCARCE, STANDARD

SHAH = "Shah 2024, comments on practically important features and the streetlight effect"
USEFUL = "Kantamneni et al. 2025, Are Sparse Autoencoders Useful? (arXiv 2502.16681)"
FIRST = "Kantamneni and Engels 2024, SAE Probing: What is it good for?"
GDM = "Smith et al. 2025, Negative Results for SAEs On Downstream Tasks"
PILOT = "pilot: seed 0, a rule is found for .047 of the features, with a frozen decoder for .068"
PLAN = "plan: the specification's margin, before any pilot"
UPPER = (
    "plan: the upper of the specification's two margins, before any pilot; that what it costs is "
    "not asked was settled after the second look"
)
SEEN = "seeds 14010 to 14017"
"""The last look before the questions were asked as they are now; what rests on what it gave is
confirming."""
LEAD = 0.03
"""A lead counts from here on: dictionaries reach .72 in sparse probing, such with a frozen half
.69, and the paper calls that a match."""
MATCH = (
    "pilot: more than the .03 that Korznikov et al. 2026 call a match (.72 and .69); asked after "
    f"{SEEN} gave "
)
HALVED = f"pilot: a half, what most means; asked after {SEEN} gave "
KORZNIKOV = "Korznikov et al. 2026, Sanity Checks for Sparse Autoencoders (arXiv 2602.14111)"
GOOD = {"test": 0.85, "shifted": 0.75}
"""AUROC from which a single feature counts as good, on unseen texts and, where that is asked too,
on texts of other templates."""
TIED = 0.02
"""A concept whose words alone come that close to the best probe is one of surface."""


def data(arm: xr.Dataset) -> xr.Dataset:
    """The measures of probes, [seed, task, …]."""
    return by(arm[["validation", "auroc"]])


def reached(
    arm: xr.Dataset, method: str, part: str = "test", regimes: Sequence[str] = ("standard",)
) -> xr.DataArray:
    """[seed, task]: AUROC of one method, the mean over regimes; on texts of other templates of the
    regime "standard"."""
    if part == "shifted":
        return by(arm[["shifted"]]).shifted.sel(probe=method, drop=True)
    return (
        data(arm)
        .auroc.sel(probe=method, drop=True)
        .sel(regime=list(regimes))
        .mean("regime", skipna=False)
    )


def picked(arm: xr.Dataset, methods: Sequence[str]) -> xr.DataArray:
    """[seed, task, regime]: AUROC of the method with the best validation AUROC; of several equal
    ones the mean."""
    d = data(arm).sel(probe=list(methods))
    return d.auroc.where(d.validation == d.validation.max("probe")).mean("probe")


def gain(arm: xr.Dataset, regimes: Sequence[str]) -> xr.DataArray:
    """[seed, task]: by how much the quiver's test AUROC rises when the dictionary's probes are put
    into it, the mean over regimes."""
    off = picked(arm, (*BASELINES, *SAE)) - picked(arm, BASELINES)
    return off.sel(regime=list(regimes)).mean("regime", skipna=False)


def selection_terms(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms [seed, task]: the gain where methods are chosen by validation, and where one takes the
    dictionary's winners by the test."""
    best = data(arm).auroc.sel(probe=[*BASELINES, *SAE]).max("probe") - picked(arm, BASELINES)
    return {
        "honest": gain(arm, REGIMES),
        "careless": best.sel(regime=list(REGIMES)).mean("regime", skipna=False),
    }


def less(a: str, b: str) -> Value:
    """A value [seed, task]: AUROC of one method less that of another."""
    return lambda arm, arms: reached(arm, a) - reached(arm, b)


def good(arm: xr.Dataset, method: str = "sae-1", parts: Sequence[str] = ("test",)) -> xr.DataArray:
    """[seed, task]: 1 where the best single feature, chosen on training texts, is a good one."""
    return sum((reached(arm, method, part) >= GOOD[part]).astype(float) for part in parts) // len(
        parts
    )  # type: ignore[return-value]


def more(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed, task]: 1 where the dictionary has a good feature and a random one has none, −1 the
    other way round."""
    return good(arm) - good(arm, "random-1")


def on_list(value: Value) -> Value:
    """A value [seed]: the mean over the concepts of the list, about which alone the claim then
    speaks."""
    return lambda arm, arms: value(arm, arms).mean("task", skipna=False)  # type: ignore[union-attr]


def looked(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms: the share of features for which looking finds a rule, and whether each concept named
    in advance has a good feature."""
    before = good(arm)
    return {"found": by(arm[["found"]]).found.broadcast_like(before), "named": before}


def over_frozen(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed, task]: AUROC of the best single feature less that of the same seed's dictionary with a
    frozen decoder."""
    arm_auroc = reached(arm, "sae-1")
    return arm_auroc - reached(arms["frozen"], "sae-1").sel(
        seed=arm_auroc.seed, task=arm_auroc.task
    )


def over_main(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: the share of features for which looking finds a rule, less that of the same seed's
    dictionary as it is usually trained."""
    arm_share = by(arm[["found"]]).found
    return arm_share - by(arms["main"][["found"]]).found.sel(seed=arm_share.seed)


def beside_main(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms [seed]: the share of rules that have a feature, and that of the same seed's dictionary
    as it is usually trained."""
    arm_share = by(arm[["lot"]]).lot
    return {"mine": arm_share, "main": by(arms["main"][["lot"]]).lot.sel(seed=arm_share.seed)}


def beyond_chance(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: the share of features for which looking finds a rule, less that of a random
    dictionary."""
    shares = by(arm[["found", "found_random"]])
    return shares.found - shares.found_random


def gap(m: Means) -> np.ndarray:
    """Share of what is found by looking less the share of what was named in advance."""
    return m["found"] - m["named"]


def illusion(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed, task]: AUROC of the dictionary's probes, best by validation, less an untuned
    regression's, with few examples."""
    arm_auroc = picked(arm, SAE).sel(regime=list(SCARCE)).mean("regime", skipna=False)
    return arm_auroc - reached(arm, "untuned", regimes=SCARCE)


def in_words(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed, task]: AUROC of a tuned regression less that of the model's own answer."""
    return reached(arm, "logistic") - by(arm[["asked"]]).asked


def surface(arms: Arms) -> list[str]:
    """The concepts of which the words alone say as much as the best probe, up to `TIED`."""
    d = data(arms["main"]).auroc.sel(regime="standard", drop=True).mean("seed")
    words = d.sel(probe=["tokens", "bigrams"]).max("probe")
    best = d.sel(probe=[m for m in (*BASELINES, *SAE) if m not in ("tokens", "bigrams")]).max(
        "probe"
    )
    return [str(t) for t in d.task.values[(words >= best - TIED).values]]


def deeper(arms: Arms, x: xr.DataArray) -> xr.DataArray:
    """Leave the concepts of surface out of a value."""
    return x.sel(task=[t for t in x.task.values.tolist() if t not in surface(arms)])


UNITS, HALF = ("seed", "task"), {"main": "half"}
NOISE = "what a probe makes of answers that mean nothing"
SINGLE, SPARSE, RECON = (
    less("sae-1", "random-1"),
    less("sae-16", "sae-1"),
    less("logistic", "recon"),
)
ALONE, BESIDE = less("logistic", "sae-1"), less("recon", EQUAL)
DICTIONARY, SAME = same_method("another dictionary"), same_method("the same probes")
ORDER = same_method("looking first, in another dictionary; the claim is about what is done first")
ANOTHER = rival("another model's dictionary")
LEAK = same_method("the same leak on both sides")
LEARNED = ("encoder", "decoder")
PROBED = ("model", *LEARNED, "answers")
LOOKED = (*LEARNED, "rules", "looked")
"""What is credited of a dictionary, its probes and what looking finds in it."""
LIST = ("24 concepts",)
ORACLES = {
    "oracle": "winners picked by the test beside baselines tuned by validation",
    "planted": (
        "questions that are one feature: what a dictionary of the right features would bring"
    ),
}
CLAIMS = (
    Claim(
        text="Not an extreme streetlight: on this list, named in advance, the best single "
        "feature's AUROC lies at least 0.03 above that of a "
        "random dictionary",
        value=on_list(SINGLE),
        low=LEAD,
        unit="AUROC",
        must_fail=("random-again", "untrained", "frozen"),
        near={
            "frozen": "an encoder that learned to read directions that nobody learned",
            "untrained": "what text and architecture give without any training",
            "random-again": "the best of as many random directions",
        },
        must_hold=("planted",),
        credits=PROBED,
        fixed=LIST,
        half=HALF,
        threshold_from=MATCH + ".051",
        published=Published(
            0.03,
            KORZNIKOV,
            at="abstract",
            note=(
                "sparse probing .72 against .69 of dictionaries with a frozen half, a nearer "
                "control than random directions"
            ),
        ),
        source=SHAH,
    ),
    Claim(
        text="Naming tells what was learned: on this list the best single feature's AUROC lies at "
        "least 0.03 above that of a dictionary whose "
        "decoder was never learned",
        value=on_list(over_frozen),
        low=LEAD,
        unit="AUROC",
        must_fail=("random-again", "untrained"),
        near={
            "random-again": "random directions, read by no learned encoder",
            "untrained": "another model's dictionary",
        },
        also=dict.fromkeys(
            ("oracle", "both-oracles", "shuffled-look", "random-look"),
            same_method("the same features"),
        ),
        credits=PROBED,
        fixed=LIST,
        half=HALF,
        threshold_from=MATCH + ".051",
        published=Published(
            0.03,
            KORZNIKOV,
            at="abstract",
            note="sparse probing .72 against .69, mean over their three controls",
        ),
        source=KORZNIKOV,
    ),
    Claim(
        text="Looking first flatters: the share of features for which a rule is found lies at "
        "least 0.1 above the share of concepts named in "
        "advance that have a good feature",
        value=looked,
        statistic=gap,
        low=0.1,
        unit="difference of shares",
        units=UNITS,
        half=HALF,
        must_fail=("shuffled-look",),
        near={"shuffled-look": "a library so large that some rule fits anything"},
        also=dict.fromkeys(("untrained", "random-look", "frozen"), ORDER),
        credits="rules",
        threshold_from=PLAN,
        published="new",
        source=SHAH,
    ),
    Claim(
        text=(
            "What is found by looking was learned: rules are found for at least 0.02 more of the "
            "features than of a random dictionary's"
        ),
        value=beyond_chance,
        low=0.02,
        unit="difference of shares",
        must_fail=("frozen", "shuffled-look"),
        near={"frozen": "an encoder that learned to read directions that nobody learned"},
        also={"untrained": same_method("it was learned from another model's activations")},
        credits=LOOKED,
        half=HALF,
        threshold_from=(
            "plan: a third of what the first look had found, before any frozen decoder was trained"
        ),
        published=Published(
            0.03,
            KORZNIKOV,
            at="abstract",
            note=(
                "automatic interpretability .90 against .87 of dictionaries with a frozen half: "
                "close, so looking says little"
            ),
        ),
        source=KORZNIKOV,
    ),
    Claim(
        text=(
            "Looking does not tell: for at most 0.01 fewer of the features a rule is found where "
            "the decoder was never learned"
        ),
        of="frozen",
        value=over_main,
        low=-0.01,
        unit="difference of shares",
        must_fail=("random-look", "shuffled-look"),
        near={"random-look": "any directions do, read by no learned encoder"},
        also={
            "main": rival("compared with itself"),
            "half": rival("trained for less long"),
            "untrained": ANOTHER,
        },
        credits=("encoder", "rules", "looked"),
        violations=("random-look",),
        threshold_from=PILOT,
        published=Published(
            -0.03, KORZNIKOV, at="abstract", note="automatic interpretability .87 against .90"
        ),
        source=KORZNIKOV,
    ),
    Claim(
        text=(
            "Counting rules tells: where the decoder was never learned, at most half as many "
            "rules of the library have a feature"
        ),
        of="frozen",
        value=beside_main,
        statistic=ratio("mine", "main"),
        high=0.5,
        must_fail=("half",),
        near={"half": "any other dictionary has fewer: the same, trained for half as long"},
        also={"untrained": ANOTHER},
        credits="decoder",
        empty=1.0,
        threshold_from=HALVED + ".32 of them",
        unit="of the learned share",
        published="new",
        source=SHAH,
    ),
    Claim(
        text=(
            "A dictionary adds nothing worth having to a tuned quiver: over all regimes the mean "
            "gain in AUROC is at most 0.01"
        ),
        value=lambda arm, arms: gain(arm, REGIMES),
        high=0.01,
        unit="AUROC",
        units=UNITS,
        must_fail=("planted", "oracle"),
        near={
            "oracle": "winners picked by the test beside baselines tuned by validation",
            "planted": (
                "questions that are one feature: what a dictionary of the right features would "
                "bring"
            ),
        },
        also={"both-oracles": LEAK},
        credits=PROBED,
        violations=("planted", "oracle"),
        fixed=(f"{len(REGIMES)} regimes",),
        threshold_from=UPPER,
        published="new",
        source=USEFUL,
    ),
    Claim(
        text=(
            "Careless tables flatter: of the gain that winners by the test show, at most half is "
            "left where validation chooses"
        ),
        value=selection_terms,
        statistic=ratio("honest", "careless"),
        high=0.5,
        unit="of the careless gain",
        units=UNITS,
        must_fail=("planted",),
        near={"planted": "nothing outlives validation, not even a feature that is the answer"},
        also={"both-oracles": LEAK},
        credits="answers",
        empty=1.0,
        fixed=(f"{len(REGIMES)} regimes",),
        threshold_from=HALVED + "none of it",
        published="new",
        source=USEFUL,
    ),
    Claim(
        text=(
            "A weak baseline deceives: on this list, with 8 or 32 texts, the dictionary's probes "
            "beat an untuned regression by at least 0.03"
        ),
        value=on_list(illusion),
        low=LEAD,
        unit="AUROC",
        must_fail=("tuned",),
        near={"tuned": "a lead over any regression"},
        credits=(*LEARNED, "answers"),
        fixed=LIST,
        threshold_from=MATCH + ".09",
        published="new",
        source=FIRST,
    ),
    Claim(
        text=(
            "One feature is not enough: on this list a regression on the activations reaches at "
            "least 0.03 more than the best one"
        ),
        value=on_list(ALONE),
        low=LEAD,
        unit="AUROC",
        must_fail=("planted", "permuted"),
        near={"planted": "a regression is always ahead, even where one feature is the answer"},
        also={"frozen": DICTIONARY, "oracle": SAME, "both-oracles": SAME},
        credits=("model", "answers"),
        fixed=LIST,
        half=HALF,
        threshold_from=MATCH + ".11",
        published="new",
        source=GDM,
    ),
    Claim(
        text="Reconstruction loses what its error explains: on this list a regression on it is "
        "within 0.03 of one on as many principal "
        "components as leave the same error",
        value=on_list(BESIDE),
        low=-LEAD,
        high=LEAD,
        unit="AUROC",
        must_fail=("frozen", "one-feature"),
        near={"frozen": "anything that leaves as much over tells as much"},
        also={"untrained": DICTIONARY, "oracle": SAME, "both-oracles": SAME},
        credits=LEARNED,
        violations=("one-feature",),
        fixed=LIST,
        half=HALF,
        threshold_from=(
            "pilot: what Korznikov et al. 2026 call a match (.72 and .69), on both sides; with "
            "seeds 0 to 2 it was .005"
        ),
        published="new",
        source=GDM,
    ),
    Claim(
        text=(
            "What a dictionary leaves over tells as well: a regression on the error alone reaches "
            "at least 0.6"
        ),
        value=lambda arm, arms: reached(arm, "error"),
        low=0.6,
        unit="AUROC",
        units=UNITS,
        half=HALF,
        must_fail=("permuted",),
        near={"permuted": NOISE},
        credits=PROBED,
        empty=0.5,
        threshold_from=PLAN,
        published="new",
        source=GDM,
    ),
    Claim(
        text=(
            "Asked in words, the model says less than a regression reads from it: AUROC at least "
            "0.1 lower"
        ),
        value=in_words,
        low=0.1,
        unit="AUROC",
        units=UNITS,
        must_fail=("permuted",),
        near={"permuted": "answers worse than guessing"},
        also=dict.fromkeys(("half", "frozen"), same_method("no dictionary is read")),
        credits=("model", "answers"),
        threshold_from="plan: before any pilot",
        published="new",
        source="the issue: the model itself asked in words",
    ),
    Finding(
        text="Concepts named in advance that have a good single feature",
        value=lambda arms: good(arms["main"]),
        units=UNITS,
        unit="share",
    ),
    Finding(
        text="The same in a random dictionary",
        value=lambda arms: good(arms["main"], "random-1"),
        units=UNITS,
        unit="share",
    ),
    Finding(
        text=(
            "Concepts whose good feature is also good (AUROC at least 0.75) on texts of other "
            "templates"
        ),
        value=lambda arms: good(arms["main"], parts=tuple(GOOD)),
        units=UNITS,
        unit="share",
    ),
    Finding(
        text="Rules of the library that have a feature (F1 at least 0.8)",
        value=lambda arms: by(arms["main"]).lot,
        unit="share",
    ),
    Finding(
        text="The same in a random dictionary",
        value=lambda arms: by(arms["main"]).lot_random,
        unit="share",
    ),
    Finding(
        text="Live features for which looking finds a rule (F1 at least 0.8)",
        value=lambda arms: by(arms["main"]).found,
        unit="share",
    ),
    Finding(
        text="The same in a random dictionary",
        value=lambda arms: by(arms["main"]).found_random,
        unit="share",
    ),
    Finding(
        text=(
            "Concepts named in advance that have a good feature, less those of a random dictionary"
        ),
        value=lambda arms: more(arms["main"], arms),
        units=UNITS,
        unit="share",
    ),
    Finding(
        text="The same with a frozen decoder",
        value=lambda arms: more(arms["frozen"], arms),
        units=UNITS,
        unit="share",
    ),
    Finding(
        text="What both oracles gain with {main.sizes[0]} texts",
        value=lambda arms: gain(arms["both-oracles"], STANDARD),
        units=UNITS,
        unit="AUROC",
    ),
    Finding(
        text="AUROC of 16 features on this list: learned less frozen decoder",
        unit="AUROC",
        value=lambda arms: (
            reached(arms["main"], "sae-16") - reached(arms["frozen"], "sae-16")
        ).mean("task"),
    ),
    Finding(text="FVU", value=lambda arms: by(arms["main"]).fvu, unit="share"),
    Finding(
        text="FVU with a frozen decoder", value=lambda arms: by(arms["frozen"]).fvu, unit="share"
    ),
    Finding(
        text="Asked in words: AUROC",
        value=lambda arms: by(arms["main"][["asked"]]).asked,
        units=UNITS,
        unit="AUROC",
    ),
    *(
        Finding(
            text=f"On texts of other templates: AUROC of {name}",
            units=UNITS,
            unit="AUROC",
            value=lambda arms, method=method: reached(arms["main"], method, "shifted"),
        )
        for name, method in (
            ("a regression on the activations", "logistic"),
            ("16 features", "sae-16"),
            ("attention pooling", "attention"),
            ("pairs of tokens", "bigrams"),
        )
    ),
    *(
        Finding(
            text=f"{name}, over concepts like these",
            value=lambda arms, value=value: value(arms["main"], arms),
            units=UNITS,
            unit="AUROC",
        )
        for name, value in (
            ("Lead of the best feature over a random dictionary's", SINGLE),
            ("Lead over an untuned regression", illusion),
            ("What 16 features reach more than one", SPARSE),
            ("What reconstruction loses", RECON),
        )
    ),
    Finding(
        text="The quiver's gain over all regimes, without the concepts of surface",
        value=lambda arms: deeper(arms, gain(arms["main"], REGIMES)),
        units=UNITS,
        unit="AUROC",
    ),
    Finding(
        text=(
            "The single feature's lead over a random dictionary's, without the concepts of surface"
        ),
        value=lambda arms: deeper(arms, SINGLE(arms["main"], arms)),
        units=UNITS,
        unit="AUROC",
    ),
)
