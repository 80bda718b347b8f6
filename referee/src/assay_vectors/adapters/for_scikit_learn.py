"""scikit-learn's adapter: its metrics of regressions and of classifications."""

import numpy as np
from protocol import serve
from sklearn import metrics


def measured(x, x_hat, dtype="float64"):
    """r2_score weighted by variance, and mean_squared_error."""
    a, b = (np.array(rows, dtype) for rows in (x, x_hat))
    return {
        "ev": metrics.r2_score(a, b, multioutput="variance_weighted"),
        "mse": metrics.mean_squared_error(a, b),
    }


def balanced_accuracy(score, label, threshold):
    """balanced_accuracy_score of scores at or above a threshold."""
    return {"accuracy": metrics.balanced_accuracy_score(label, np.array(score) >= threshold)}


def logit_prediction(tokens, weights):
    """roc_auc_score of named tokens."""
    named = np.isin(np.arange(len(weights)), tokens)
    return {"auroc": metrics.roc_auc_score(named, weights)}


OPERATIONS = {
    "metrics": measured,
    "auroc": lambda score, label: {"auroc": metrics.roc_auc_score(label, score)},
    "average_precision": lambda score, label: {"ap": metrics.average_precision_score(label, score)},
    "f1": lambda predicted, label: {"f1": metrics.f1_score(label, predicted)},
    "balanced_accuracy": balanced_accuracy,
    "logit_prediction": logit_prediction,
}

if __name__ == "__main__":
    serve("scikit-learn", "scikit-learn", OPERATIONS)
