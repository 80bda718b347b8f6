"""delphi's adapter: how it scores explanations, and the key under which examples are cached."""

import sys
from unittest.mock import MagicMock

# delphi also imports what runs language models on GPUs, which is not needed here.
for name in ("vllm", "vllm.inputs", "vllm.distributed", "vllm.distributed.parallel_state"):
    sys.modules[name] = MagicMock()

import pandas as pd  # noqa: E402
import torch  # noqa: E402
from delphi.latents.constructors import create_token_key  # noqa: E402
from delphi.log import result_analysis  # noqa: E402
from delphi.scorers.simulator.simulation import scoring  # noqa: E402
from delphi.scorers.simulator.simulation.types import SimulationResult  # noqa: E402
from protocol import NotOffered, serve  # noqa: E402


def data_keys(a, b):
    """create_token_key of both."""
    return {
        "differ": create_token_key(torch.tensor(a), len(a[0]))
        != create_token_key(torch.tensor(b), len(b[0]))
    }


def counted(predicted, label, threshold=0.5):
    """compute_classification_metrics of compute_confusion."""
    table = pd.DataFrame({"prediction": predicted, "activating": label}).astype(float)
    confusion = result_analysis.compute_confusion(table, threshold)
    return result_analysis.compute_classification_metrics(confusion)


def auroc(score, label):
    """compute_auc."""
    table = pd.DataFrame({"probability": score, "activating": label})
    return {"auroc": result_analysis.compute_auc(table)}


def simulation(simulated, activations):
    """The correlation of a group of sequences, as simulate_and_score reports it."""
    if any(value is None for sequence in simulated for value in sequence):
        raise NotOffered("a simulation answers every token")
    some = [
        SimulationResult([""] * len(a), s, a, 0.0, 0)
        for s, a in zip(simulated, activations, strict=True)
    ]
    return {"r": scoring._aggregate_group(0, some).correlation}


OPERATIONS = {
    "data_keys": data_keys,
    "auroc": auroc,
    "f1": lambda predicted, label: {"f1": counted(predicted, label)["f1_score"]},
    "balanced_accuracy": lambda score, label, threshold: {
        "accuracy": counted(score, label, threshold)["accuracy"]
    },
    "simulation": simulation,
}

if __name__ == "__main__":
    serve("delphi", "eai-delphi", OPERATIONS)
