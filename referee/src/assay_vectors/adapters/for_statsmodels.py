"""statsmodels' adapter: intervals of shares and means, clustered errors, the sign test."""

import numpy as np
from protocol import serve
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.descriptivestats import sign_test as of_signs
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW


def limits(pair):
    """low and high."""
    return {"low": pair[0], "high": pair[1]}


def clopper_pearson(successes, n, level):
    """proportion_confint, method beta."""
    return limits(proportion_confint(successes, n, 1 - level, method="beta"))


def student(values, level):
    """tconfint_mean."""
    return limits(DescrStatsW(values).tconfint_mean(1 - level))


def student_paired(a, b, level):
    """tconfint_mean of differences."""
    return student(np.subtract(a, b), level)


def student_clusters(values, documents, level):
    """A regression on a constant with errors clustered by document, and t."""
    groups = {"groups": np.array(documents)}
    fitted = OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds=groups, use_t=True)
    return limits(fitted.conf_int(1 - level)[0])


def sign_test(positive, negative, zero):
    """sign_test of differences."""
    return {"p": of_signs([1.0] * positive + [-1.0] * negative + [0.0] * zero)[1]}


OPERATIONS = {
    "clopper_pearson": clopper_pearson,
    "student": student,
    "student_paired": student_paired,
    "student_clusters": student_clusters,
    "sign_test": sign_test,
}

if __name__ == "__main__":
    serve("statsmodels", "statsmodels", OPERATIONS)
