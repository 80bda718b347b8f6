"""Tables whose columns hold names that look like numbers: a number for 5.1 is none for 5.10."""

import numpy as np
import pandas as pd
import pytest

from assay import judge


def test_one_head_is_read_and_not_the_mean_of_two(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "heads.csv"
    of = {"1.1": 0.1, "1.10": 2.0}
    rows = pd.DataFrame(
        {
            "arm": arm,
            "head": head,
            "prompt": k,
            "effect": x * (arm == "patched") + rng.normal(0, 0.1),
        }
        for arm in ("patched", "random")
        for head, x in of.items()
        for k in range(24)
    )
    rows.to_csv(path, index=False)
    for head, x in of.items():
        claim = f"patched.effect[head={head}] > 1.5"
        v = judge(path, claim=claim, unit="prompt", control="random", about="patched")
        assert v.estimate == pytest.approx(x, abs=0.1)
        assert v.outcome == ("holds" if x > 1.5 else "fails")


def test_measurements_and_levels_with_a_last_zero_stay_numbers(tmp_path):
    path = tmp_path / "doses.csv"
    lines = [
        f"{arm},{k},{dose},{score}"
        for arm, shift in (("steered", 1), ("random", 0))
        for dose in ("0.5", "1.0")
        for k, score in enumerate(
            f"{shift + float(x):.2f}" for x in ("0.05", "0.5", "0.50", "0.1", "0.10", "0.3")
        )
    ]
    path.write_text("\n".join(["arm,prompt,dose,score", *lines]))
    for dose in ("0.50", "0.5"):
        claim = f"steered.score[dose={dose}] - random.score[dose={dose}] > 0.5"
        assert judge(path, claim=claim, unit="prompt").estimate == pytest.approx(1)
