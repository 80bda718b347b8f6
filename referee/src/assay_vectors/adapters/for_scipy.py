"""SciPy's adapter: exact and Student's intervals, its bootstrap, ranks, correlation, divergence."""

import numpy as np
from protocol import NotOffered, serve
from scipy import optimize, special, stats
from scipy.spatial import distance


def limits(interval):
    """low and high."""
    return {"low": interval.low, "high": interval.high}


def clopper_pearson(successes, n, level):
    """binomtest, exact."""
    return limits(stats.binomtest(successes, n).proportion_ci(level, method="exact"))


def sign_test(positive, negative, zero):
    """binomtest, where there are no ties to leave out."""
    if zero:
        raise NotOffered("no sign test: binomtest leaves ties to the caller")
    return {"p": stats.binomtest(positive, positive + negative).pvalue}


def student(values, level):
    """ttest_1samp."""
    return limits(stats.ttest_1samp(values, 0).confidence_interval(level))


def student_paired(a, b, level):
    """ttest_rel."""
    return limits(stats.ttest_rel(a, b).confidence_interval(level))


def bootstrap(values, level):
    """stats.bootstrap, percentiles."""
    result = stats.bootstrap((values,), np.mean, confidence_level=level, method="percentile", rng=0)
    return limits(result.confidence_interval)


def bootstrap_ratio(numerator, denominator, level):
    """stats.bootstrap of pairs, percentiles."""

    def ratio(a, b, axis):
        return a.sum(axis) / b.sum(axis)

    result = stats.bootstrap(
        (numerator, denominator),
        ratio,
        paired=True,
        confidence_level=level,
        method="percentile",
        rng=0,
    )
    return limits(result.confidence_interval)


def auroc(score, label):
    """mannwhitneyu's U over the number of pairs."""
    score, label = np.array(score), np.array(label)
    u = stats.mannwhitneyu(score[label], score[~label]).statistic
    return {"auroc": u / (label.sum() * (~label).sum())}


def simulation(simulated, activations):
    """pearsonr of all positions."""
    pair = [np.concatenate([np.array(s, float) for s in x]) for x in (simulated, activations)]
    if np.isnan(pair).any():
        raise NotOffered("pearsonr leaves missing values to the caller")
    return {"r": stats.pearsonr(*pair).statistic}


def pearson_stream(x, y, batch, dtype):
    """pearsonr of whole series."""
    return {"r": stats.pearsonr(np.array(x, dtype), np.array(y, dtype)).statistic}


def kl(logits, other):
    """entropy(P, Q) of softmaxes."""
    p, q = (special.softmax(z, axis=1) for z in (logits, other))
    return {"kl": stats.entropy(p, q, axis=1).mean()}


def mcc_matched(true, learned):
    """linear_sum_assignment of cdist's cosines; what is left over counts 0."""
    cosines = abs(1 - distance.cdist(true, learned, "cosine"))
    rows, columns = optimize.linear_sum_assignment(cosines, maximize=True)
    return {"mcc": cosines[rows, columns].sum() / len(true)}


OPERATIONS = {
    "clopper_pearson": clopper_pearson,
    "sign_test": sign_test,
    "student": student,
    "student_paired": student_paired,
    "bootstrap": bootstrap,
    "bootstrap_ratio": bootstrap_ratio,
    "auroc": auroc,
    "simulation": simulation,
    "pearson_stream": pearson_stream,
    "kl": kl,
    "mcc_matched": mcc_matched,
}

if __name__ == "__main__":
    serve("SciPy", "scipy", OPERATIONS)
