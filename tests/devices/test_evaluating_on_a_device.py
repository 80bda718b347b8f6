"""`assay evaluate` and indexes on a device: the numbers of the CPU, from text and
through the model's gradients."""

from acceptance.devices.test_evaluating_on_a_device import dictionary, model, texts
from assay.evaluation.indexing import index

__all__ = ["dictionary", "model", "texts"]


def test_an_index_with_gradients_and_ablations(dictionary, model, texts, device, near, tmp_path):
    def told(where):
        small = {"tokens": 120, "context": 12, "ablate": 3, "ablate_windows": 4}
        made = index(
            dictionary,
            model=model,
            text=texts,
            root=tmp_path / str(where),
            device=str(where),
            **small,
        )
        return made.columns(["density", "maximum", "importance"])

    near(told(device), told("cpu"), 1e-2)
