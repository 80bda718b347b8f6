"""The bar for every experiment of the catalogue, found by walking it: a new entry is held to all of
this and registers nowhere.

ENTRIES are all of them, NAMES those that meet it, JUDGED their records; `committed.PENDING` says
why one does not yet.

One entry alone: pytest tests/claims/test_catalogue_bar.py -k NAME. What a test asks for is what its
message says to write."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from unittest import mock

import numpy as np
import pytest
from committed import (
    COSTLY,
    ENTRIES,
    JUDGED,
    NAMES,
    ROOT,
    SKEWED_UNITS,
    UNANSWERED,
    arms,
    cases,
    claims,
    committed,
    planted,
    preset,
    theorems,
    violations,
)
from scipy.stats import skew as skew_of

from assay.core import judging
from assay.core.claims import Claim, Exact
from assay.core.estimates import verify
from assay.core.experiment import Joint
from assay.core.figures import Figure
from assay.core.memo import remembering
from assay.core.results import Judged, Published
from assay.core.runs import Runs
from assay.core.stats import mean
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge import looks
from assay.lab.lab import Lab
from assay.lab.plan.plan import plan
from assay.lab.plan.preset import override
from assay.lab.store import journal
from assay.lab.store.runs import concatenate, rows
from assay.lab.store.store import Store
from assay.report import tables
from assay.subjects.fetch import SMOLLM2
from marks import kinds, pictures

COST = re.compile(r"([\d.]+) s on 2 cores, ([\d.]+) CPU-seconds, ([\d.]+) GB a process.*")
CPU_SECONDS = 550
"""What five minutes on two free cores hold, and room for the start of workers."""
LONG_CPU_SECONDS = 3600
"""What half an hour on two free cores holds."""
ORIGINS = ("paper: ", "theory: ", "plan: ", "plan, ", "pilot: ")
SKEWED = 2.0
"""Sample skew above which units are no exponential ones: the hull's coverage was measured up to
there."""
COVERAGE = 0.93
"""The least share of simulated worlds in which the interval of a decided claim contains the truth,
nominal 0.95."""
UNITS = 6
"""Levels of every factor that a claim generalises over."""
SKIPPED = pytest.mark.skipif(SMOLLM2.present() is None, reason=SMOLLM2.absent)


def reads_a_model(name):
    """Whether an experiment reads a language model or a corpus: its runs then name their inputs."""
    return re.search(r"\binputs=", catalogue.entry(name).path.read_text()) is not None


READING = [name for name in ENTRIES if reads_a_model(name)]
LIGHT = [name for name in ENTRIES if name not in READING]
HEAVY = [
    pytest.param(name, marks=[pytest.mark.model, pytest.mark.slow, SKIPPED]) for name in READING
]
FAMILY = [
    name
    for name in LIGHT
    if name.startswith("monthly-") and name not in ("monthly-maximum", "monthly-caesar")
]
"""Entries that share with two others all that a smoke preset goes through, but for the task."""
DEAR = [*FAMILY, "belief-states", "compute-planner", "gated-ablations", "superposition-llc"]
CHEAP = [
    "features-per-dimension",
    "lock-step",
    "selection-noise",
    "superposition",
    "superposition-collapse",
]
"""Entries whose smoke preset takes less than a second."""
QUICK = [
    pytest.param(
        name,
        marks=getattr(pytest.mark, "slow" if name in DEAR else "thorough"),
    )
    for name in LIGHT
    if name not in CHEAP
]
TRAINED = [
    pytest.param(name, marks=pytest.mark.thorough)
    if name in ("eval-schedule", "llc", "memorisation")
    else name
    for name in LIGHT
]
WORLDS = [
    pytest.param(name, marks=pytest.mark.thorough)
    if name in ("grokking-frequencies", "llc", "myopia")
    else name
    for name in ENTRIES
]
"""Entries whose planted worlds are judged; those that make many measures take longer."""
DRAWS = 500
"""Draws of an interval in a planted world, which lies far from the thresholds; how many draws the
law of an interval needs is asked in tests/core/test_stats.py."""


def measured_coverage():
    """{law: {units: share}}: how often intervals contained the truth, by records/coverage.md for
    units of one factor."""
    laws = {}
    page = (ROOT / "records" / "coverage.md").read_text()
    for line in re.findall(r"^\| world \|.*\n(?:\|.*\n)+", page, re.MULTILINE):
        heads, _, *rows = [
            [cell.strip() for cell in row.strip("|").split(" | ")] for row in line.splitlines()
        ]
        for law, *cells in rows:
            for units, cell in zip(heads[1:], cells, strict=False):
                # the hull, or the exact interval; then falsely below and above
                if units.isdigit() and (covered := re.match(r"([\d.]+)% .*%/", cell)):
                    laws.setdefault(law, {})[int(units)] = float(covered[1]) / 100
    return laws


COVERED = measured_coverage()


def none(problems):
    """Nothing. Raises: AssertionError with every problem on a line of its own."""
    assert not problems, "\n".join(["", *problems])


# the file


@pytest.mark.parametrize("name", NAMES)
def test_its_header_says_what_a_run_costs(name):
    said = COST.fullmatch(catalogue.entry(name).header().cost)
    wanted = "Cost: 120 s on 2 cores, 230 CPU-seconds, 1.1 GB a process"
    _, record = committed(name)
    measured = record["seconds"], record["cpu_seconds"], record["provenance"]["peak_rss"] / 1e9
    assert said, (
        f"the header of {name} has to say {wanted!r} (its record: "
        f"{', '.join(f'{m:.3g}' for m in measured)})"
    )
    for what, claimed, found, factor in zip(
        ("s", "CPU-seconds", "GB"),
        map(float, said.groups()),
        measured,
        (1.1, 1.3, 1.3),
        strict=True,
    ):
        assert found / factor <= claimed <= found * factor, (
            f"the header says {claimed:g} {what}, the record {found:.3g}"
        )


@pytest.mark.parametrize("name", ENTRIES)
def test_every_claim_is_complete(name):
    experiment = catalogue.find(name)
    problems = (
        []
        if experiment.scope
        else ["the experiment says no scope: for which model, site, corpus or world it speaks"]
    )
    problems += [
        f"arm {arm} has no note: what it is, and why it is honest"
        for arm, a in experiment.arms.items()
        if not a.note
    ]
    for c in claims(name):
        here = f"claim {c.text!r}"
        if not c.source:
            problems.append(f"{here} names no source")
        if not c.near:
            problems.append(
                f"{here} names no near control: near={{control: what it would explain without "
                "the method}"
            )
        if c.kind == "risky" and "pilot" in re.sub(
            r"before (any|the|a|a second) pilot", "", c.threshold_from
        ):
            problems.append(
                f"{here}: a threshold that a pilot had a part in starts with pilot:; got "
                f"{c.threshold_from!r}"
            )
        if not (c.published == "new" or isinstance(c.published, Published)):
            problems.append(
                f"{here} does not say what is published: Published(number, source, same=…), "
                'or "new"'
            )
        if isinstance(c.published, Published) and not c.published.source:
            problems.append(f"{here} prints a published number without its source")
        if not c.threshold_from.startswith(ORIGINS):
            problems.append(
                f"{here}: threshold_from starts with one of {', '.join(ORIGINS)}; got "
                f"{c.threshold_from!r}"
            )
        if c.threshold_from.startswith("pilot") and not re.search(r"seeds? \d", c.threshold_from):
            problems.append(
                f"{here}: a threshold from a pilot names the pilot's seeds; got "
                f"{c.threshold_from!r}"
            )
    assert claims(name) or theorems(name), (
        "an experiment of the catalogue makes at least one claim, or exact statements only"
    )
    none(problems)


@pytest.mark.parametrize("name", ENTRIES)
def test_an_experiment_without_claims_says_so_wherever_it_is_listed(name):
    said = catalogue.entry(name).header().claim.startswith("exact statements only: ")
    assert said == (not claims(name)), (
        "'Claim: exact statements only: …' stands in the header of an experiment without "
        "claims, and of no other"
    )
    if said:
        assert not [s for s in catalogue.find(name).claims if not isinstance(s, Exact)], (
            "a finding is no exact statement"
        )
        assert all(e.source for e in theorems(name)), (
            "an exact statement names what it follows from"
        )
        assert tables.ONLY_EXACT in kinds.claims(name)


# the record


@pytest.mark.parametrize("name", JUDGED)
def test_every_claim_was_judged_on_enough_units_against_its_controls(name):
    experiment, record = committed(name)
    named = {
        c.text: {*c.must_fail, *c.must_hold} for c in experiment.claims if isinstance(c, Claim)
    }
    problems = []
    for v in record["verdicts"]:
        here = f"{v['outcome']}: {v['text']!r}"
        if {*v["controls"], *v["planted"]} != named[v["text"]]:
            problems.append(
                f"{here}: the record judged {sorted({*v['controls'], *v['planted']})}, the "
                f"claim names {named[v['text']]}"
            )
        if not v["scope"]:
            problems.append(f"{here} says no scope")
        few = {unit: n for unit, n in v["n"].items() if n < UNITS}
        if (few or not v["n"]) and not v["reason"].startswith("too few units"):
            problems.append(f"{here} has {few or 'no'} units; every factor needs at least {UNITS}")
        failing = [arm for arm, c in v["controls"].items() if c["outcome"] == "fails"]
        if not failing and not v["reason"].startswith("control "):
            problems.append(f"{here}: none of its controls fails in the record")
    none(problems)


@pytest.mark.parametrize("name", JUDGED)
def test_no_verdict_rests_on_an_interval_without_width(name):
    _, record = committed(name)
    problems = []
    for v in record["verdicts"]:
        here = f"{v['outcome']}: {v['text']!r}"
        if v["outcome"] != "undecided" and not (v["p"] and v["low"] < v["high"]):
            problems.append(f"{here} has p = {v['p']} and the interval [{v['low']}, {v['high']}]")
        if v["outcome"] in ("holds", "fails") and not any(
            wide(v["controls"][arm]) for arm in v["near"]
        ):
            problems.append(
                f"{here}: its near controls {list(v['near'])} have no width, so none had a "
                "chance; name one that varies"
            )
        if v["outcome"] in ("fails", "undecided") and "detectable" not in v:
            problems.append(f"{here} does not say which effect would have been found")
    none(problems)


def skew(points):
    """The sample skewness, unbiased for normal units."""
    return float(skew_of(points, bias=False))


def wide(control):
    """Whether a control's interval has a width."""
    return control["low"] is not None and control["low"] < control["high"]


@pytest.mark.parametrize("name", JUDGED)
def test_a_claim_is_unspecific_where_a_control_passes_or_what_is_credited_was_not_learned(name):
    _, record = committed(name)
    problems = []
    for v in record["verdicts"]:
        first = v.get("edition", 1) == 1  # which asked for the names of all that hold
        spoiling = [
            arm
            for arm, other in v["also"].items()
            if (not other["reason"] if first else other["lacks"])
        ]
        passing = [arm for arm, c in v["controls"].items() if c["outcome"] == "holds"]
        # of the second edition one that nothing learned satisfies may hold, if it says so
        if v["outcome"] == "holds" and (passing or (first and spoiling)):
            problems.append(f"holds, and so does {spoiling + passing}: {v['text']!r}")
        told = passing or spoiling or v["reason"].endswith("too, unlearned")
        if v["outcome"] == "unspecific" and not told:
            problems.append(f"unspecific without an arm that satisfies it too: {v['text']!r}")
    none(problems)


@pytest.mark.parametrize("name", JUDGED)
def test_skewed_units_are_judged_on_a_log_scale(name):
    experiment, record = committed(name)
    plain = {
        c.text
        for c in experiment.claims
        if isinstance(c, Claim) and c.scale == "plain" and c.bounds is None and c.statistic is mean
    }
    problems = []
    for v in record["verdicts"]:
        points = np.array([p for p in v["points"] if p is not None])
        if (
            v["text"] in plain
            and v["outcome"] in ("holds", "fails")
            and len(points) > 2
            and (points > 0).all()
            and skew(points) > SKEWED
        ):
            problems.append(
                f"units have skew {skew(points):.1f}, where no plain interval covers: "
                f"scale='log' for {v['text']!r}"
            )
    none(problems)


@pytest.mark.parametrize("name", JUDGED)
def test_intervals_of_such_units_were_measured_to_contain_the_truth(name):
    _, record = committed(name)
    problems = []
    for v in record["verdicts"]:
        if v["outcome"] == "undecided":
            continue
        points = np.array([p for p in v["points"] if p is not None])
        law = "binary, share 0.9" if v["bounds"] else "normal units"
        if not v["bounds"] and len(points) > 2 and np.ptp(points) > 0:
            law = (
                "log-normal units"
                if abs(skew(points)) > SKEWED
                else "exponential units"
                if abs(skew(points)) > 1
                else law
            )
        n = min(v["n"].values())
        rate = min(
            (
                hull
                for units, hull in COVERED[law].items()
                if units >= max(k for k in COVERED[law] if k <= n)
            ),
            default=0.0,
        )
        few = v["text"].startswith(SKEWED_UNITS.get(name, ()))
        if (rate < COVERAGE and not spare(v)) != few:
            problems.append(
                f"{v['outcome']}: {n} units like {law} are covered in {rate:.1%} of worlds: "
                f"more units, or a log scale: {v['text']!r}"
            )
    none(problems)


def spare(verdict):
    """Whether an interval three times as wide would decide the same: the law of the units then
    hardly matters."""
    width, (low, high) = (
        verdict["high"] - verdict["low"],
        verdict["range" if verdict["outcome"] != "fails" else "fail_range"],
    )
    low, high = (-np.inf if low is None else low), (np.inf if high is None else high)
    wide_low, wide_high = verdict["low"] - width, verdict["high"] + width
    return (
        wide_high < low or wide_low > high
        if verdict["outcome"] == "fails"
        else low <= wide_low and wide_high <= high
    )


@pytest.mark.parametrize("name", JUDGED)
def test_nothing_was_changed_after_a_look_at_these_seeds(name, tmp_path):
    experiment, _record = committed(name)
    asked = plan(
        Store(tmp_path),
        experiment,
        override(experiment, preset(name)),
        inputs_of=lambda job, stored: {},
    )
    seen, now = journal.read(looks.committed(experiment)), looks.frozen(experiment, asked)
    assert any({k: look[k] for k in now} == now for look in seen), (
        "no look says what the record judged; assay verify NAME --record notes it"
    )
    sized = experiment.sized(asked.preset.specs)
    none([f"{change}; judge on fresh seeds" for change in looks.changed(sized, now)])


@pytest.mark.parametrize("name", JUDGED)
def test_most_claims_get_an_answer_and_the_others_say_what_is_missing(name):
    _, record = committed(name)
    undecided = [v for v in record["verdicts"] if v["outcome"] == "undecided"]
    total = len(record["verdicts"])
    most = max(1, total // 4)
    assert (len(undecided) > most) == (name in UNANSWERED), (
        f"{len(undecided)} of {total} claims are undecided; at most {most} may be, or UNANSWERED "
        "names it"
    )
    none(
        [
            f"undecided without reason or price: {v['text']!r}"
            for v in undecided
            if not (v["reason"] and v["price"]["text"])
        ]
    )


@pytest.mark.parametrize("name", JUDGED)
def test_it_fits_five_minutes_on_two_cores(name):
    """`long` presets have half an hour."""
    _, record = committed(name)
    most = LONG_CPU_SECONDS if name.endswith(".long") else CPU_SECONDS
    assert (record["cpu_seconds"] > most) == (name in COSTLY), (
        f"{name} costs {record['cpu_seconds']} CPU-seconds of {most}; COSTLY names those above"
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.thorough) if name == "targets" else name
        for name in JUDGED
    ],
)
def test_its_figures_are_made_from_the_record_and_labelled(name):
    figures = pictures.figures(*committed(name))
    assert figures, "an experiment shows at least one figure of what it measured"
    none([f"figure {f.title!r}: {problem}" for f in figures for problem in unlabelled(f)])


def unlabelled(figure: Figure) -> list[str]:
    """What a figure's words lack: a title that says something, and what its axes measure; columns
    of words need no axis title."""
    words = all(isinstance(v, str) for v in figure.columns[figure.x])
    checks = {
        "the title says what is seen, in at least two words": len(figure.title.split()) >= 2,
        "x_title names what x is, and its unit": bool(figure.x_title) or words,
        "y_title names what y is, and its unit": bool(figure.y_title)
        and figure.y_title not in ("mean", "value", "y"),
        "it has data": any(len(column) for column in figure.columns.values()),
    }
    return [problem for problem, fine in checks.items() if not fine]


# the page


@pytest.mark.parametrize("name", NAMES)
def test_its_page_has_its_verdicts_a_picture_and_what_would_change_them(name):
    page = catalogue.documented(ROOT / "docs", name)
    assert page, (
        f"docs/{name}.md is missing, and no page has a section '## {name}: …'; "
        "docs/superposition.md is a model"
    )
    marks = {
        f"{m['where']}: {m['kind']}" for m in kinds.BLOCK.finditer(page.text) if m["name"] == name
    }
    wanted = {"made: picture", "made: verdicts", "site: full"}
    none(
        [
            f"docs/{page.link} lacks <!-- {mark} {name} --> and <!-- end -->"
            for mark in sorted(wanted - marks)
        ]
    )
    assert pictures.path(name).exists(), f"no picture yet: python docs/marks {page.file}"
    assert re.search(r"^##+ What would change", page.text, re.MULTILINE), (
        f"docs/{page.link} has no heading 'What would change …'"
    )


# planted worlds


@pytest.mark.parametrize("name", ENTRIES)
def test_every_claim_and_every_control_has_its_planted_worlds(name):
    missing = [f"CASES lacks the claim {c.text!r}" for c in claims(name) if c not in cases(name)]
    missing += [
        (
            f"CASES lacks the exact statement {e.text!r}: {{its first words: a world in which it "
            "is violated}"
        )
        for e in theorems(name)
        if e not in violations(name)
    ]
    for c, (*_, passing) in cases(name).items():
        if set(passing) != set(c.must_fail):
            missing.append(
                f"CASES of {c.text!r} has worlds for {sorted(passing)}, its controls are "
                f"{sorted(c.must_fail)}"
            )
    none(missing)


@pytest.mark.parametrize("name", WORLDS)
def test_every_claim_holds_in_its_world_and_every_control_fails(name):
    problems = []
    for c, judged in judged_alone((c, holds) for c, (holds, *_) in cases(name).items()):
        told = {
            judged.verdict.arm: said(judged.verdict),
            **{arm: v.outcome for arm, v in judged.controls.items()},
        }
        if {said(judged.verdict), *{v.outcome for v in judged.controls.values()}} != {
            "holds",
            "fails",
        }:
            should = f"{c.text!r} should be 'holds' and its controls fail in WORLD"
            problems.append(f"{should}; got {told}")
    none(problems)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_theorem_of_an_experiment_without_claims_can_be_violated(name):
    problems = []
    for e, world in violations(name).items():
        told = verify(e, arms(planted(name).WORLD)).outcome, verify(e, arms(world)).outcome
        if told != ("exact", "violated"):
            problems.append(
                f"{e.text!r} should be exact in WORLD and violated in its case; got {told[0]} "
                f"and {told[1]}"
            )
    none(problems)


@pytest.mark.parametrize("name", WORLDS)
def test_without_its_effect_every_claim_fails(name):
    # one control is enough here: controls take away a *holds*, never a *fails*
    asked = (
        (with_control(c, c.must_fail[0]), removed) for c, (_, removed, _) in cases(name).items()
    )
    none(
        [
            f"{c.text!r} should fail without its effect; got {said(judged.verdict)}"
            for c, judged in judged_alone(asked)
            if judged.verdict.outcome != "fails"
        ]
    )


@pytest.mark.parametrize("name", WORLDS)
def test_a_control_of_every_claim_can_pass_and_then_the_claim_is_unspecific(name):
    none(passing_controls(name, slice(1)))


@pytest.mark.thorough
@pytest.mark.parametrize("name", ENTRIES)
def test_every_other_control_can_pass_and_then_the_claim_is_unspecific(name):
    none(passing_controls(name, slice(1, None)))


def passing_controls(name, some):
    """What is wrong where a control passes in the world planted for it: of every claim some."""
    problems = []
    asked = (
        (with_control(c, control), world)
        for c, (*_, passing) in cases(name).items()
        for control, world in list(passing.items())[some]
    )
    for c, judged in judged_alone(asked):
        (control,) = c.must_fail
        if (judged.controls[control].outcome, judged.verdict.outcome) != ("holds", "unspecific"):
            told = f"the control {said(judged.controls[control])}, the claim {said(judged.verdict)}"
            problems.append(
                f"{c.text!r}: {control} should pass in its world and the claim be "
                f"unspecific; got: {told}"
            )
    return problems


def judged_alone(asked: Iterable[tuple[Claim, object]]) -> list[tuple[Claim, Judged]]:
    """Judge each claim in its world by its controls and violations alone: what others do and what
    would have been found is the record's matter."""
    judged = []
    with mock.patch.multiple(
        judging,
        DRAWS=DRAWS,
        _others=lambda *_: {},
        _power=lambda *_: {},
    ):
        for _, pairs in groupby(sorted(asked, key=in_world), key=in_world):
            claim, world = next(pairs)
            with remembering(arms(world)):
                judged += [
                    (claim, judging.judge(claim, arms(world)))
                    for claim, world in ((claim, world), *pairs)
                ]
    return judged


def in_world(pair: tuple[Claim, object]) -> int:
    """The world of a pair, by its identity."""
    return id(pair[1])


def with_control(claim, control):
    """The same claim with this control only."""
    return replace(claim, must_fail=(control,), near={}, also={})


def said(verdict):
    """An outcome, with the reason where it is undecided."""
    return verdict.outcome + (f" ({verdict.reason})" if verdict.reason else "")


# training


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One store for all entries, so that what several harvest is harvested once."""
    return tmp_path_factory.mktemp("bar")


@pytest.mark.parametrize("name", [*CHEAP, *QUICK, *HEAVY])
def test_smoke_runs_and_judges_every_claim(name, shared):
    result = Lab(shared / "store", executor=Inline()).run(catalogue.find(name), "smoke")
    assert len(result.judged) == len(claims(name)) and result.figures
    assert json.loads(result.path(Lab(shared / "store").store).read_text())[
        "verdicts" if claims(name) else "exact"
    ]


@pytest.mark.parametrize("name", [*TRAINED, *HEAVY])
def test_the_same_key_gives_the_same_numbers_alone_or_among_others(name, shared, plain_bench):
    experiment, bench = catalogue.find(name), plain_bench(shared / "artefacts")
    first, again = (numbers(trained(experiment, "main", bench)) for _ in range(2))
    for what in first:
        np.testing.assert_array_equal(
            first[what], again[what], f"{what}: trained twice from one key, the numbers differ"
        )
    plain = tuple(
        s.replace(products="float32") if getattr(s, "products", "") == "bfloat16" else s
        for s in experiment.smoke
    )
    if (
        plain != experiment.smoke
    ):  # bfloat16 keeps three digits of a product, and how it is summed depends on the neighbours
        experiment = replace(experiment, smoke=plain)
        first = numbers(trained(experiment, "main", bench))
    for what, value in numbers(trained(experiment, "main", bench, alone=True)).items():
        among = first[what][-1:]
        scale = np.nanmax(np.abs(among), initial=1e-12) if among.dtype.kind == "f" else 1
        near = np.allclose(value, among, rtol=1e-5, atol=1e-5 * scale, equal_nan=True)
        assert near, (
            f"{what}: a run trained alone differs from the same run among others by more than 1e-5"
        )


def group(experiment, arm):
    """The last group of an arm's smoke runs, whole seeds as the lab puts them together, each with
    the run it builds on."""
    pairs = experiment.pairs(arm, experiment.smoke)
    seeds = sorted({spec.seed for spec, _ in pairs})
    size = experiment.seeds_per_group
    last = seeds[(len(seeds) - 1) // size * size :]
    return [(spec, parent) for spec, parent in pairs if spec.seed in last]


def trained(experiment, arm, bench, alone=False):
    """That group trained in this process, or its last run alone; what it builds on is trained with
    all its runs."""
    a, pairs = experiment.arms[arm], group(experiment, arm)
    pairs = pairs[-1:] if alone else pairs
    runs = Runs([spec for spec, _ in pairs])
    if isinstance(a.train, Joint):
        return a.train.train([runs], bench)[0]
    if a.after is None:
        return a.train(runs, bench)
    before, parents = (
        trained(experiment, a.after, bench),
        [spec for spec, _ in group(experiment, a.after)],
    )
    return a.train(
        runs, bench, concatenate([rows(before, [parents.index(parent)]) for _, parent in pairs])
    )


def numbers(done):
    """What training gives, as arrays [run, …]: tensors and histories."""
    tensors = {f"tensor {k}": v.detach().cpu().double().numpy() for k, v in done.tensors.items()}
    return tensors | {f"history {k}": np.asarray(v) for k, v in done.history.items()}
