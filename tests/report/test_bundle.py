"""A bundle is judged again by code that has only NumPy, comes to what Assay comes to, and notices
what was changed."""

import ast
import json
import math
import shutil
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import xarray as xr

from acceptance.test_bundle import folder, written
from assay.ask.text import ClaimEntry
from assay.ask.wording import claim as worded
from assay.ask.wording import condition
from assay.core import stats
from assay.core.bounded import bounded_mean
from assay.core.claims import Claim, converged
from assay.core.intervals import interval
from assay.core.judging import judge as assay_judge
from assay.core.reasons import explain_reason
from assay.report.bundle import contents, files, judge, steps
from bundled import export

__all__ = ["folder", "written"]

HEAD = {"experiment": "planted", "preset": "default", "exact": [], "findings": [], "provenance": {}}


def arm(seed, shift, runs=8, documents=30, penalties=(0.1, 0.2, 0.4)):
    """Sums of a dictionary's measures for seeds × penalties and documents, a share of each planted,
    and a history that settles."""
    rng = np.random.default_rng(seed)
    seeds, penalty = (
        x.ravel() for x in np.meshgrid(np.arange(1000, 1000 + runs), penalties, indexing="ij")
    )
    shape = (len(seeds), documents)
    fvu = (0.1 + shift + 0.4 * penalty)[:, None] * np.exp(
        0.1 * rng.normal(size=(len(seeds), 1)) + 0.2 * rng.normal(size=shape)
    )
    variance = rng.uniform(5, 9, (1, documents)) * np.ones(shape)
    tokens = rng.integers(50, 90, (1, documents)) * np.ones(shape)
    per_run = ("run", "document")
    return xr.Dataset(
        {
            "error": (per_run, fvu * variance),
            "variance": (per_run, variance),
            "tokens": (per_run, tokens),
            "active": (
                per_run,
                tokens * (4 / penalty)[:, None] * np.exp(0.1 * rng.normal(size=shape)),
            ),
            "score": ("run", 0.5 + shift + 0.02 * rng.normal(size=len(seeds))),
            "right": ("run", (rng.uniform(size=len(seeds)) < 0.9).astype(float)),
            "loss": (
                ("run", "step"),
                1 + np.exp(-np.arange(1, 9.0)) * rng.uniform(0.9, 1, (len(seeds), 1)),
            ),
            "diverged": ("run", np.zeros(len(seeds), dtype=bool)),
        },
        coords={
            "seed": ("run", seeds),
            "penalty": ("run", penalty),
            "document": np.arange(documents),
            "step": np.arange(1, 9),
        },
        attrs={"width": 64},
    )


@pytest.fixture
def arms():
    return {"main": arm(0, 0.0), "relu": arm(1, 0.2), "half": arm(2, 0.02), "wide": arm(3, -0.01)}


def bundle(claims, arms, verdicts):
    return files.write(
        files.Whole(data={**HEAD, "verdicts": verdicts}, origin="a test", arms=arms, claims=claims)
    )


def unpacked(found, folder):
    for name, content in found.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def numpy_alone(tmp_path_factory):
    """A folder from which NumPy can be imported, and nothing else of what is installed."""
    folder = tmp_path_factory.mktemp("only")
    there = Path(np.__file__).parent
    (folder / "numpy").symlink_to(there)
    if (libraries := there.with_name("numpy.libs")).exists():
        (folder / "numpy.libs").symlink_to(libraries)
    return folder


def clean(numpy_alone, folder):
    """Run judge.py in an interpreter that has the standard library and NumPy."""
    code = (
        f"import sys, runpy; sys.path.insert(0, {str(numpy_alone)!r})\n"
        "for name in ('assay', 'scipy', 'xarray', 'torch'):\n"
        "    try: __import__(name)\n"
        "    except ImportError: pass\n"
        "    else: sys.exit(f'{name} is here')\n"
        f"runpy.run_path({str(folder / 'judge.py')!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=120
    )


def made(text, **more):
    usual = {
        "units": ("seed",),
        "must_fail": ("relu",),
        "threshold_from": "plan: a test",
        "source": "a test",
        "high": 0.3,
    }
    return Claim(text=text, **{**usual, **more})


def fvu_terms(a, arms):
    return {name: a[name] for name in ("error", "variance")}


def told(found):
    return json.loads(json.dumps([c.judged.to_json() for c in found]))


# ---- laws of chance, against SciPy and printed tables


# ---- intervals, against Assay's own


@pytest.mark.parametrize("unit", ["seed", "fold"])
@pytest.mark.parametrize("shape", [(5,), (6,), (25,), (6, 30), (40, 7), (3, 3)])
def test_interval_is_assays(shape, unit):
    rng = np.random.default_rng(len(shape) + shape[0])
    terms = {"a": rng.lognormal(size=shape), "b": rng.lognormal(size=shape) + 1}
    if len(shape) == 2:
        terms["a"][0, 0] = np.nan  # a cell without a number counts in no term
    units = (unit, "document")[: len(shape)]
    theirs = interval(terms, stats.ratio("a", "b"), factors=len(shape), units=units)
    ours = judge.interval(terms, lambda m: m["a"] / m["b"], units).limited(0.95)
    assert ours[:3] == pytest.approx((theirs.estimate, theirs.low, theirs.high), rel=1e-9)
    assert ours.n == theirs.n
    assert ours.variance == pytest.approx(theirs.variance, rel=1e-9)
    # each draws for itself: two shares of 10,000 draws
    assert ours.undefined == pytest.approx(theirs.undefined, abs=0.02)


@pytest.mark.parametrize("level", [0.1, 0.4, 2.0])
def test_a_ratio_is_not_defined_in_draws_in_which_its_divisor_has_another_sign(level):
    """Means of draws are about normal, so that this is a share that the normal law gives."""
    rng = np.random.default_rng(1)
    b = level + np.array([NormalDist().inv_cdf((k + 0.5) / 40) for k in range(40)])
    terms = {"a": rng.normal(1, 1, 40), "b": b}
    of_ratio = stats.ratio("a", "b")
    share = NormalDist().cdf(-level / (b.std() / 40**0.5))
    assert interval(terms, of_ratio).undefined == pytest.approx(share, abs=0.02)
    assert judge.interval(terms, of_ratio, ("seed",)).undefined == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("x", [[1, 1, 1, 0, 1, 1, 1], [1] * 9, [0.2, 0.9, 0.4, 0.7, 0.7, 0.1]])
def test_bounded_is_assays(x):
    values = np.array(x, dtype=float)
    theirs = bounded_mean([values], values.mean(), (0, 1))
    assert judge.bounded(values, values.mean(), (0, 1), 0.95) == pytest.approx(
        (theirs.low, theirs.high), abs=1e-9
    )


# ---- statistics as steps


def test_steps_do_what_the_function_does():
    rng = np.random.default_rng(0)
    m = {name: rng.uniform(1, 2, (61, 4)) for name in ("a.x", "a.y", "b.x", "b.y")}
    for statistic in (
        stats.at_matched("x", "y"),
        stats.lead_at_own("x", "y"),
        lambda m: np.stack([m["a.x"], m["b.x"]]).max(0).min(1),
        lambda m: (m["a.x"] ** 2).reshape(len(m["a.x"]), -1)[:, ::-1][..., 0],
        lambda m: np.where(m["a.x"] > m["b.x"], 0.0, m["a.y"]) @ np.arange(4.0),
        lambda m: np.subtract(*np.split(m["a.x"], 2, axis=1)).mean(1),
    ):
        found = json.loads(json.dumps(steps.trace(statistic, m)))
        other = {name: x[:17] * 1.01 for name, x in m.items()}
        np.testing.assert_allclose(judge.follow(found, other), statistic(other), rtol=1e-12)


@pytest.mark.parametrize(
    "statistic",
    [
        # chooses its way by the numbers
        lambda m: m["x"] if m["x"].mean() > 0 else -m["x"],
        lambda m: np.array([float(v) ** 2 for v in m["x"]]),  # leaves NumPy
        # an operation that is not on the list
        lambda m: np.linalg.norm(m["x"][:, None], axis=1),
    ],
)
def test_what_steps_cannot_say_is_not_said(statistic):
    with pytest.raises(steps.NoSteps):
        steps.trace(statistic, {"x": np.random.default_rng(0).normal(size=61)})


# ---- claims of experiments


def claims_of_all_kinds():
    two = {"statistic": stats.ratio("error", "variance"), "units": ("seed", "document")}
    score = {"value": lambda a, arms: a.score, "high": 0.6}
    right = {"value": lambda a, arms: a.right, "low": 0.6, "high": math.inf}
    apart = {"value": lambda a, arms: a.score - arms["relu"].score, "high": -0.1}
    none = {"must_fail": ("none",)}

    def rivals(*names):
        return {"also": dict.fromkeys(names, "rival: as good")}

    return [
        made("a ratio of sums over two factors", value=fvu_terms, **two),
        made("a mean", **score, low=0.4, gates=(converged("loss"),)),
        made("shares", **right, bounds=(0, 1), **none),
        made("on a log scale", **score, scale="log", **rivals("half", "wide")),
        made("half as long", **score, half={"main": "half"}, **rivals("wide")),
        made("a difference", **apart, **none),
        made(
            "planted",
            **score | {"high": 0.3},
            low=0.1,
            must_hold=("wide",),
            **none,
            **rivals("half", "relu"),
        ),
    ]


def test_claims_of_experiments_come_out_alike(arms, tmp_path, numpy_alone):
    arms["none"] = arms["relu"].assign(right=arms["relu"].right * 0, score=arms["relu"].score * 0)
    arms["main"].diverged[3] = True  # one seed leaves, in all its runs
    claims = contents.carry_all(claims_of_all_kinds(), arms)
    verdicts = told(claims)
    assert len({v["outcome"] for v in verdicts}) > 1
    assert any(v["dropped"] for v in verdicts)
    found = bundle(claims, arms, verdicts)
    said = json.loads(found["claims.json"])["claims"]
    assert [c["why_not"] for c in said if not c["carried"]] == []
    done = clean(numpy_alone, unpacked(found, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(claims)} of {len(claims)} claims judged again; all as stated" in done.stdout
    assert "taken as stated: whether converged" in done.stdout  # a gate is code


def test_claims_about_combinations_come_out_alike(arms, tmp_path, numpy_alone):
    """Thirty prompts of five first names and six second ones, of which three have no second name:
    each is a unit of its own, and so are the names, by themselves and crossed."""
    first = {str(i): f"first {i % 5}" for i in range(30)}
    second = {str(i): f"second {i // 5}" for i in range(27)}
    for i, data in enumerate(arms.values()):
        effect = np.random.default_rng(i).normal(size=5)[np.arange(30) % 5] * 0.03
        data["error"] = data.error + effect * data.variance

    def claims(groups):
        every = [
            made(
                "a mean",
                value=lambda a, arms: a.error.mean("run"),
                units=("document",),
                high=4,
                groups=groups,
            ),
            made(
                "two factors",
                value=fvu_terms,
                statistic=stats.ratio("error", "variance"),
                units=("seed", "document"),
                groups=groups,
            ),
        ]
        return contents.carry_all(every, arms)

    alone = claims({})
    grouped = claims({"document": {"first": first, "second": second}})
    for plain, wide in zip(alone, grouped, strict=True):
        assert wide.judged.high - wide.judged.low > 1.2 * (plain.judged.high - plain.judged.low)
    found = bundle(grouped, arms, told(grouped))
    assert "first 0" not in found["claims.json"].decode()  # names may be texts
    done = clean(numpy_alone, unpacked(found, tmp_path))
    assert "2 of 2 claims judged again; all as stated" in done.stdout, done.stdout + done.stderr


def test_a_claim_that_cannot_be_carried_is_said_so(arms):
    def by_hand(m):
        return np.array([float(v) for v in m["value"]])

    def by_draw(m):  # another thing for each number of draws
        return m["value"] - np.arange(len(m["value"])) / 1e3

    for statistic, why in ((by_hand, "out of NumPy"), (by_draw, "comes to something else")):
        claims = contents.carry_all(
            [made("by hand", value=lambda a, arms: a.score, statistic=statistic, high=0.6)], arms
        )
        found = bundle(claims, arms, told(claims))
        (said,) = json.loads(found["claims.json"])["claims"]
        assert not said["carried"] and why in said["why_not"]
        assert "**Not judged here:** by hand" in found["README.md"].decode()


def test_a_verdict_that_the_bundle_does_not_come_to_is_not_carried(arms):
    claims = contents.carry_all([made("a mean", value=lambda a, arms: a.score, high=0.6)], arms)
    (verdict,) = told(claims)
    found = bundle(claims, arms, [{**verdict, "estimate": verdict["estimate"] * 1.001}])
    (said,) = json.loads(found["claims.json"])["claims"]
    assert not said["carried"] and "estimate is" in said["why_not"]


# ---- conditions of studies


CONDITIONS = {
    "main.score < 0.6": {"where": {"penalty": 0.2}},
    "0.3 < main.score - relu.score + half.score": {"where": {"penalty": 0.2}, "control": ("wide",)},
    "main.fvu < 0.25": {"where": {"penalty": 0.2}, "units": ("seed", "document")},
    "main.fvu - relu.fvu < -0.01": {
        "where": {"penalty": 0.4},
        "units": ("seed", "document"),
        "control": ("half",),
    },
    "main.fvu - relu.fvu < -0.005 at equal l0": {
        "units": ("seed", "document"),
        "control": ("half",),
    },
    "mean(main.error) / mean(main.variance) < 0.2": {
        "where": {"penalty": 0.1},
        "units": ("seed", "document"),
    },
    (
        "log(mean(mean(main.error, over=document))) - log2(mean(mean(half.error, over='document') "
        "* 2)) <= -1.5e-1"
    ): {"where": {"penalty": 0.1}, "control": ("wide",)},
    "main.error[document=3] - relu.error[document = 4] < 0.5": {
        "where": {"penalty": 0.1},
        "control": ("wide",),
    },
    "mean(main.fvu, over=(document)) - relu.fvu[document=7] < -0.01": {
        "where": {"penalty": 0.2},
        "control": ("half",),
    },
    "mean(main.fvu, over=document) - mean(relu.fvu, over=document) < -0.005 at equal l0": {
        "control": ("half",)
    },
    "exp(-abs(main.score)) >= 0.5": {"units": ("seed", "penalty")},
    "0.1 < main.right": {"where": {"penalty": 0.2}, "bounds": (0, 1)},
}


def test_conditions_are_computed_from_measures(arms, tmp_path, numpy_alone):
    arms["half"].diverged[4] = True
    said = [
        ClaimEntry(
            text=f"{i}: {text}",
            holds=text,
            **{"control": ("relu",), "threshold": "plan: a test", **more},
        )
        for i, (text, more) in enumerate(CONDITIONS.items())
    ]
    claims = []
    for s in said:
        read = condition(s.holds)
        claims.append(worded(s, next(iter(read.parsed.arms), "main"), read))
    verdicts = json.loads(json.dumps([assay_judge(c, arms).to_json() for c in claims]))
    found = bundle(contents.carry_all(claims, arms), arms, verdicts)
    assert [
        c["why_not"] for c in json.loads(found["claims.json"])["claims"] if not c["carried"]
    ] == []
    # the measures are all that it has
    assert not [name for name in found if name.startswith("numbers/")]
    folder = unpacked(found, tmp_path)
    done = clean(numpy_alone, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(said)} of {len(said)} claims judged again; all as stated" in done.stdout

    index = json.loads((folder / "measures/index.json").read_text())["main"]
    with np.load(folder / index["file"]) as file:
        numbers = dict(file)
    numbers[index["variables"]["score"]["key"]][1] += 0.05
    np.savez(folder / index["file"], **numbers)
    done = clean(numpy_alone, folder)
    assert done.returncode == 1
    assert f"CHANGED  {index['file']}" in done.stdout
    assert "DIFFERS  main: estimate" in done.stdout


# ---- what is changed is noticed, and the zip


def test_it_is_judged_without_assay(folder, numpy_alone):
    done = clean(numpy_alone, folder)
    assert done.returncode == 0 and "3 of 3 claims judged again; all as stated" in done.stdout, (
        done.stdout + done.stderr
    )
    assert "control linear fails" in done.stdout


def test_a_bundle_that_lacks_a_file_ends_with_two(folder, numpy_alone):
    (folder / "claims.json").unlink()
    done = clean(numpy_alone, folder)
    assert done.returncode == 2 and "cannot be read" in done.stdout and not done.stderr


def test_a_reason_is_said_as_assay_says_it():
    reason = "interval straddles"
    v = {"outcome": "undecided", "reason": reason, "n": {"seed": 6}}
    v |= {"estimate": 1.0, "low": 0.5, "high": 1.5}
    assert (
        judge.line(v, "nats") == f"undecided ({explain_reason(reason)}): 1 [0.5, 1.5] nats, 6 seeds"
    )


def test_hashes_are_of_every_file(folder):
    lines = dict(
        reversed(line.split("  ")) for line in (folder / files.SUMS).read_text().splitlines()
    )
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {
        files.SUMS
    }
    assert set(lines) == there
    assert all(sha256((folder / name).read_bytes()).hexdigest() == of for name, of in lines.items())
    if shutil.which("sha256sum"):
        assert (
            subprocess.run(["sha256sum", "-c", "--quiet", files.SUMS], cwd=folder).returncode == 0
        )


def test_the_same_result_is_the_same_bytes(written, tmp_path):
    again = tmp_path / "again.zip"
    export(again, tmp_path / "store")
    assert again.read_bytes() == written.read_bytes()
    with zipfile.ZipFile(again) as archive:
        assert {info.date_time for info in archive.infolist()} == {files.FIRST_DAY}
        assert archive.namelist() == sorted(archive.namelist())


# ---- the code that judges, and what is refused


def test_it_imports_nothing_but_numpy_and_fits_older_pythons():
    text = Path(judge.__file__).read_text()
    tree = ast.parse(text, feature_version=(3, 10))
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {
        n.module.partition(".")[0]
        for n in ast.walk(tree)
        if isinstance(n, ast.ImportFrom) and n.module
    }
    assert names - sys.stdlib_module_names == {"numpy"}
    assert not [
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.Name) and n.id in ("eval", "exec", "__import__")
    ]
