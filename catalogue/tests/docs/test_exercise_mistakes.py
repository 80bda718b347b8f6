"""Pages of exercises: likely wrong answers are refused by a line that points to the mistake; and
the truth of checks is what Assay computes.

A wrong answer is the page's solution with one place of it changed.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from exercises import answers, development, explanations, mamba
from test_exercises import Exercise, exercises, run

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    page: exercises(DOCS / f"exercises-{page}.md")
    for page in ("mamba", "development", "explanations")
}
WHOLE = re.compile(r"\A.*\Z", re.DOTALL)

MISTAKES: dict[str, list[tuple[str, str, str]]] = {
    # function: (what stands in the solution, what stands there instead, words of the refusal)
    "discretise": [
        ("expm1(delta * A) / A if", "expm1(delta * A) if", "still to be divided by A"),
        ("math.exp(delta * A),", "1 + delta * A,", "the decay is to be exact"),
        ("write * B, delta * B", "delta * B, write * B", "the exact write comes before Euler's"),
        (" if A else delta", "", "raises ZeroDivisionError"),
        (
            " if A else delta",
            " if A else 0",
            "where nothing decays: at [1] got 0, expected 1.4",
        ),
    ],
    "scan": [
        (" + D * u[t]", "", "D · u is missing"),
        ("(delta[t] * u[t])", "u[t]", "the step Δ is missing"),
        ("np.exp(delta[t][:, None] * A)", "np.exp(A)", "this one does not depend on Δ"),
        (
            "np.exp(delta[t][:, None] * A)",
            "np.exp(-delta[t][:, None] * A)",
            "A is negative already",
        ),
        (
            "* B[t]\n        y.append(h @ C[t]",
            "* C[t]\n        y.append(h @ B[t]",
            "they are exchanged",
        ),
        (
            "    h, y = np.zeros(A.shape), []",
            "    h, y = np.zeros(A.shape), []\n    C = np.roll(C, 1, 0)",
            "at [",
        ),
        (
            "return np.array(y)",
            "return np.array(y).T",
            "got an array of shape [3, 7], expected an array of shape [7, 3]",
        ),
        ("return np.array(y)", "y", "the function returns nothing"),
    ],
    "kernel": [
        (
            "np.arange(length)",
            "np.arange(1, length + 1)",
            "has not decayed yet when its own position reads it",
        ),
        (" * delta[:, None]\n", "\n", "the step Δ is missing"),
        ("np.arange(length)", "np.arange(length)[::-1]", "the present one first"),
        (" * delta[:, None, None]", "", "Δ is missing in it"),
    ],
    "least_error": [
        ("1 - 1 / length", "2 * (1 - 1 / length)", "one fixed place alone"),
        ("1 - 1 / length", "1 / length", "the exercise needs what it leaves"),
        ("1 - 1 / length", "1.0", "a kernel of zeros leaves 1"),
    ],
    "select": [
        (
            "np.where(marks, 20.0, 0.0)",
            "np.where(marks, 0.0, 20.0)",
            "the latest input that is not marked",
        ),
        ("1 / 20)", "1.0)", "20 times the input"),
        (
            "np.where(marks, 20.0, 0.0)",
            "np.full(len(marks), 20.0)",
            "that is a convolution, which cannot select",
        ),
        (
            "return delta, np.full(len(marks), 1 / 20)",
            "return delta / 1e7, np.full(len(marks), 5e5)",
            "adds up all marked inputs",
        ),
        ("np.where(marks, 20.0, 0.0)", "np.where(marks, 20.0, -1.0)", "cannot be negative"),
        (
            "np.where(marks, 20.0, 0.0)",
            "np.where(marks, 20.0, 0.0) * (1 + np.arange(len(marks)) % 2)",
            "knows its own mark only",
        ),
    ],
    "hidden_attention": [
        (
            "- time[:, None, :]",
            "- (time - delta.T)[:, None, :]",
            "Δ of s does not decay what s writes",
        ),
        (
            "since = np.tril(time[:, :, None] -",
            "since = np.maximum(0, (time - delta.T)[:, :, None] -",
            "Δ of t decays what was there before",
        ),
        (
            "np.tril(alpha * delta.T[:, None, :])",
            "np.tril(alpha)",
            "Δ of the position that writes is missing",
        ),
        ("delta.T[:, None, :]", "delta.T[:, :, None]", "not of the one that reads"),
        (
            "np.tril(alpha * delta.T[:, None, :])",
            "np.tril(alpha * delta.T[:, None, :]).transpose(0, 2, 1)",
            "row t reads and column s is read",
        ),
        (
            "return np.tril(alpha * delta.T[:, None, :])",
            "return alpha * delta.T[:, None, :]",
            "zeros above the diagonal",
        ),
        (
            "    time = delta",
            "    delta = 0 * delta + delta.mean(0)\n    time = delta",
            "one mean step is not enough",
        ),
    ],
    "restored": [
        (
            "patched[:, at] = theirs[:, at]",
            "patched[:, at:] = theirs[:, at:]",
            "only one position is to be exchanged",
        ),
        ("patched[:, at] = theirs[:, at]", "patched[:, at] = 0", "this puts in zeros"),
        (
            "(moved * due).sum() / (due * due).sum()",
            "(moved / due).mean()",
            "a mean of ratios blows up",
        ),
        ("(moved * due).sum() / (due * due).sum()", "moved.mean() / due.mean()", "forgets signs"),
        ("run(own, patched)[0] - base", "run(own, patched)[0]", "(patched − own), not patched"),
    ],
    "exponent": [
        (
            "np.log(large / small) / np.log(high / low)",
            "np.log(small) / np.log(low)",
            "still has the constant factor of V",
        ),
        (
            "np.log(large / small)",
            "(large - small)",
            "the exercise needs the slope of its logarithm",
        ),
        (
            "np.log(large / small) / np.log(high / low)",
            "np.log(high / low) / np.log(large / small)",
            "this is the reciprocal",
        ),
    ],
    "coefficient": [
        (
            "sum(1 / (2 * max(term)) for term in terms)",
            "sum(map(len, terms)) / 2",
            "half the number of weights, an upper bound",
        ),
        (
            "sum(1 / (2 * max(term)) for term in terms)",
            "sum(term == [1] for term in terms) / 2",
            "half the rank of the Hessian",
        ),
        (
            "1 / (2 * max(term)) for term in terms",
            "1 / (2 * k) for term in terms for k in term if k",
            "the flattest counts, not the sum",
        ),
        (
            "max(term)",
            "min(k for k in term if k)",
            "the flattest weight counts, that of the largest power",
        ),
        ("sum(", "min(", "terms in weights of their own add up"),
        ("(2 * max(term))", "max(term)", "a weight gives 1/(2k)"),
    ],
    "estimate": [
        ("pull * w**2 / 2)", "pull * w**2)", "the pull is ½ · pull · w²"),
        ("float(n_beta * ", "float(", "an estimate is n_beta · E L"),
        ("np.exp(-n_beta * loss -", "np.exp(-loss -", "n_beta is missing in it"),
        ("h * w**2 / 2 + w**4", "h * w**2 + w**4", "the curvature goes in as ½ h w²"),
        (
            "density.sum())",
            "density.sum()) + float((density * pull * w**2 / 2).sum() / density.sum())",
            "it is no part of the loss",
        ),
        ("/ density.sum()", "* (w[1] - w[0])", "divided by its integral"),
    ],
    "summary": [
        ("n / np.log(n)", "n", "n/ln n, not n"),
        ("n / np.log(n)", "n / np.log10(n)", "is the natural one"),
        ("losses[:, burn:]", "losses", "the burn-in is still in it"),
        (" - at_centre", "", "the loss at the centre is to be taken off"),
        ("each.std(ddof=1)", "each.std()", "ddof=1"),
        ("/ len(each) ** 0.5", "", "the spread of chains"),
        (
            "each.std(ddof=1) / len(each) ** 0.5",
            "(n / np.log(n) * losses[:, burn:]).std(ddof=1) / losses[:, burn:].size ** 0.5",
            "draws of a chain",
        ),
    ],
    "plateaus": [
        ("np.log(loss), np.log(times)", "loss, times", "moves with the logarithm of time"),
        ("np.abs(", "-(", "take the absolute value"),
        (
            "times[b] >= times[a] * 10**decades",
            "times[b] - times[a] >= decades",
            "a ratio of times",
        ),
        ("int(after) - 1", "int(after)", "this is one further"),
        (" if times[b] >= times[a] * 10**decades", "", "some of these are too short"),
        ("[[False], still, [False]]", "[[False], still]", "to the end of the curve"),
    ],
    "leaves": [
        (" / 2", "", "grows twice as fast"),
        ("(1 - start) / start", "1 / start", "not −ln start"),
        ("math.log(", "math.log10(", "the natural one"),
        ("(1 - start) / start", "(1 - start**2) / start**2", "not of each factor"),
    ],
    "along": [
        ("    W, b = check.settled(W, b)\n", "", "settle them first"),
        ("losses.shape[2] // 4 :", ":", "leave out the first quarter"),
        ("return n_beta *", "return n *", "n/ln n, not n"),
        (" - check.loss(W, b))", ")", "the loss at the centre is to be taken off"),
        (
            "check.loss(W, b)",
            "check.loss(check.course().W, check.course().b)",
            "is that of the settled state",
        ),
    ],
    "kept": [
        ("x.mean(0, keepdims=True)", "0 * x[:1]", "zeros stand in"),
        ("x.mean(0, keepdims=True)", "x.mean((0, 1), keepdims=True)", "each position its own"),
        ("if part not in named", "if part in named", "this takes away what is named"),
        ("(good - none) / (full - none)", "good / full", "of what the whole has above nothing"),
        ("(good - none) / (full - none)", "good", "goodness in nats"),
        (
            "(good - none) / (full - none)",
            "(full - good) / (full - none)",
            "the share that is lost",
        ),
    ],
    "stand_ins": [
        (
            "cost([p, q]) - alone[p] - alone[q] >= 0.5",
            "max(alone[p], alone[q]) < 0.5",
            "may be idle",
        ),
        (" - alone[p] - alone[q]", "", "because one of the two does"),
        ("alone[p] - alone[q]", "max(alone[p], alone[q])", "not the larger one alone"),
        (
            "cost([p, q]) - alone[p] - alone[q]",
            "alone[p] + alone[q] - cost([p, q])",
            "asked for are those that cost more",
        ),
    ],
    "explanation": [
        ('at = "a0.1"', 'at = "a0.0"', "a part that does it is not named (E1)"),
        (
            "there(before) == token",
            "there(token) == token",
            "its answer is the model's on 0.00 of inputs",
        ),
        ('"token.q", "before.k"', '"before.q", "token.k"', "look at is, at and reads"),
        ('is = "found"', 'is = "token"', "its answer is the model's on 0.00 of inputs"),
        ("place - 1", "place - 2", "E3 is"),
        ("margin = 30", "margin = 30 30", "is not TOML"),
        ("[answer]", "[answers]", "unknown field 'answers'"),
    ],
    "scrub": [
        (
            "writes[of.choice(same, len(same)), t]",
            "writes[of.choice(len(writes), len(same)), t]",
            "draw among those that share it",
        ),
        (
            "    for t in range",
            "    return out\n    for t in range",
            "every input keeps what it wrote itself",
        ),
        (
            "writes[of.choice(same, len(same)), t]",
            "writes[same[::-1], t]",
            "every call draws the same inputs",
        ),
        (
            "writes[of.choice(same, len(same)), t]",
            "writes[of.choice(same), t]",
            "draw for each input by itself",
        ),
        (
            "writes[of.choice(same, len(same)), t]",
            "writes[of.choice(same, len(same)), t - 1]",
            "at the position where it stood",
        ),
        (
            "writes[of.choice(same, len(same)), t]",
            "writes[of.choice(same[:2], len(same)), t]",
            "drawn far more often than others",
        ),
        (
            "writes[of.choice(same, len(same)), t]",
            "writes[same, t].mean(0)",
            "exchanged, not mixed",
        ),
    ],
    "mistaken": [
        ('at = ["a0.0", "a0.1"]', 'at = "a0.0"', "name every part that matters"),
        ('is = "copied"', 'is = "now"', "the answer is to be the model's"),
        (
            '[variables.now]\nat = ["a0.0", "a0.1"]',
            'matter = ["a0.1"]\n[variables.now]\nat = "a0.0"',
            "`matter` says nothing that could be wrong",
        ),
        ('at = "m0"', 'at = "m7"', "the model has no part m7"),
    ],
    "quality": [
        ("np.min(there)", "sum(there) / len(there)", "lets a failed part be bought off"),
        ("np.min(there)", "np.prod(there) ** (1 / len(there))", "makes a lot of little"),
        ("np.min(there)", "np.prod(there)", "counts what is weak again and again"),
        ("np.min(there)", "max(there)", "the weakest counts"),
        (
            "[part for part in parts if part is not None]",
            "[part or 0.0 for part in parts]",
            "it is not 0",
        ),
        (" * 2 ** (-size / numbers)", "", "how short it is is missing"),
        ("2 ** (-size / numbers)", "np.exp(-size / numbers)", "a power of 2"),
    ],
}
BY_NAME = {e.name: e for page in PAGES.values() for e in page}


@pytest.mark.parametrize(
    ("exercise", "right", "wrong", "told"),
    [(BY_NAME[name], *one) for name, several in MISTAKES.items() for one in several],
    ids=[f"{name}-{i}" for name, several in MISTAKES.items() for i in range(len(several))],
)
def test_a_likely_wrong_answer_is_told_what_is_wrong(
    exercise: Exercise, right: str, wrong: str, told: str
) -> None:
    assert right in exercise.solution, (
        f"{exercise.title}: the solution on the page no longer has {right!r}"
    )
    with pytest.raises(answers.NotYet, match=re.escape(told)) as refused:
        run(exercise, exercise.starter, exercise.solution.replace(right, wrong, 1))
    assert len(str(refused.value).splitlines()) == 1


def test_every_exercise_has_at_least_two_likely_wrong_answers() -> None:
    assert BY_NAME.keys() == MISTAKES.keys()
    assert all(len(several) >= 2 for several in MISTAKES.values())


def test_every_check_is_used_by_a_page() -> None:
    used = {
        name
        for page in PAGES.values()
        for e in page
        for name in re.findall(r"^check\.(\w+)\(", e.test, re.MULTILINE)
    }
    assert used == BY_NAME.keys()
    for page, module in (
        ("mamba", mamba),
        ("development", development),
        ("explanations", explanations),
    ):
        assert all(callable(getattr(module, e.name)) for e in PAGES[page])


def test_a_starter_is_told_apart_from_a_wrong_answer() -> None:
    def scan(*given: object) -> None:
        raise NotImplementedError

    with pytest.raises(NotImplementedError, match="scan is still as the page has it"):
        mamba.scan(scan)


def test_an_answer_cannot_change_what_it_is_held_to() -> None:
    def scan(u: np.ndarray, *others: np.ndarray) -> np.ndarray:
        for x in (u, *others):
            x[:] = 0
        return u

    with pytest.raises(answers.NotYet):
        mamba.scan(scan)


@pytest.mark.parametrize(
    ("found", "due", "told"),
    [
        (1.0 + 1e-5, 1.0, "got 1.00001, expected 1"),
        (float("nan"), 1.0, "got nan, expected 1"),
        (float("inf"), 1.0, "got inf"),
        ([1.0, 2.0], 1.0, "got an array of shape [2], expected one number"),
        ("one", 1.0, "got str"),
        (None, 1.0, "returns nothing"),
        ([1.0, float("nan")], [1.0, 2.0], "at [1] got nan, expected 2"),
        ([0.0, 1e-9], [0.0, 0.0], ""),
        (1.0, float("nan"), "got 1, expected nan"),
    ],
)
def test_numbers_are_compared_without_mercy(found: object, due: object, told: str) -> None:
    if not told:
        return answers.same(found, due, "it")
    with pytest.raises(answers.NotYet, match=re.escape(f"it: {told}") if "got " in told else told):
        answers.same(found, due, "it")
    return None


def test_the_truth_of_scans_is_that_of_assay() -> None:
    from assay_catalogue.subjects.selective_scan import hidden_attention, selective_scan

    u, delta, A, B, C, D = (torch.from_numpy(x)[None] for x in mamba._draw_inputs(6, 2, 3, seed=7))
    due = selective_scan(u[None], delta[None], A, B[None], C[None])[0, 0] + D * u
    numbers = [x[0].numpy() for x in (u, delta, A, B, C, D)]
    assert np.allclose(mamba._looped(*numbers), due.numpy(), atol=1e-12)
    alpha = hidden_attention(delta[None], A, B[None], C[None])[0, 0]
    assert np.allclose(
        mamba._summed(numbers[1], numbers[1], *numbers[2:5]), alpha.numpy(), atol=1e-12
    )


def test_the_truth_of_the_development_is_that_of_assay() -> None:
    from assay_catalogue.analysis import plateaus
    from assay_catalogue.worlds.potentials.learning_coefficient import posterior_monomial

    assert development._expected(0.0, 50.0, 3.0) == pytest.approx(
        posterior_monomial([2], 50.0, 3.0), rel=1e-6
    )
    assert development._half(0.01) == pytest.approx(np.log(99) / 2, rel=1e-5)
    times, of = (
        np.geomspace(1, 10_000, 90),
        np.random.default_rng(0),
    )  # no whole number of them is 0.3 decades
    falls = of.exponential(0.3, (30, 10)) * (of.random((30, 10)) < 0.5)
    loss = np.exp(-falls.repeat(9, 1).cumsum(1))
    assert 20 < (plateaus.standing(times, loss)[..., 0] >= 0).sum() < 120
    for one, found in zip(loss, plateaus.standing(times, loss), strict=True):
        assert development._stretches(times, one)[:4] == [
            tuple(x) for x in found.tolist() if x[0] >= 0
        ]


def test_the_truth_of_explanations_is_that_of_assay() -> None:
    from assay_catalogue.circuits import known
    from assay_catalogue.circuits.program import Program
    from assay_catalogue.circuits.verify.pieces import Cut, Sweep

    problem = known.problem("redundant")
    model, tokens = explanations.Model(problem), problem.task.draw(3, 0, 80)
    cut = Cut(problem, [u.place for u in Program(known.rival("redundant"), problem).units])
    sweep = Sweep(cut, tokens, [x.mean(0, keepdim=True) for x in cut.clean(tokens)])
    masks = [cut.named, np.ones(len(cut.pieces), bool), np.zeros(len(cut.pieces), bool)]
    kept, full, none = (
        x.mean() for x in sweep.each(masks, lambda logits: problem.goodness(logits, tokens))
    )
    share = (kept - none) / (full - none)
    assert explanations._measure_share(
        model, tokens, ("embed", "pos", "a0.0", "m0"), "mean"
    ) == pytest.approx(share, rel=1e-9)


def test_the_models_of_the_exercises_solve_their_tasks() -> None:
    for model in (explanations.copying(), explanations.hidden()):
        tokens = model.inputs(50)
        assert not model.problem.wrong(model.problem.logits(tokens), tokens).any()
        assert model.goodness(tokens, model.writes(tokens)) == pytest.approx(
            model.goodness(tokens), abs=1e-9
        )
    assert mamba.block().errors < 0.2
