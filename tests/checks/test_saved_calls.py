"""What `save=` keeps is what was measured with these values by this function."""

import numpy as np
import pytest

import assay
from assay.errors import DataError

T = np.eye(8)[0]
PROMPTS = [{"text": f"p{i}", "noise": i % 5 / 10} for i in range(24)]


def hook(vector, prompts):
    moved = 0.0 if vector is None else float(vector @ T)
    return [p["noise"] * (1 + (vector is not None)) + moved for p in prompts]


def checked(save, function=hook, **more):
    claim = ("it moves", function, PROMPTS, "effect > 0.5", assay.Vector(T))
    return assay.check(*claim, draws=2, save=save, **more)


def test_another_value_of_a_control_is_measured(tmp_path):
    """The truth is the hook: a control of .9 of the vector moves .7 more than one of .2."""
    first, second = (checked(tmp_path / "a", controls={"mine": k * T}) for k in (0.2, 0.9))
    moved = second.controls["mine"].estimate - first.controls["mine"].estimate
    assert moved == pytest.approx(0.7)
    assert (first.controls["mine"].outcome, second.outcome) == ("beaten", "unspecific")


def test_a_function_that_uses_other_data_is_another(tmp_path):
    """The contract: the same source with another closure gives other numbers."""

    def scaled(k):
        return lambda vector, prompts: [k * x for x in hook(vector, prompts)]

    checked(tmp_path / "a", scaled(1))
    with pytest.raises(DataError) as refused:
        checked(tmp_path / "a", scaled(3))
    assert refused.value.code == "other-check"


def test_the_page_of_a_saved_result_has_every_prompt(tmp_path):
    """The contract: whole numbers that name units are the same after a file."""
    from assay.report import result_file, result_page

    file = checked(tmp_path / "a").save(tmp_path / "a.assay")
    html = result_page.page(result_file.load(file), file.name)
    assert "nan" not in html and "p23" in html


def test_prompts_may_be_called_what_they_say():
    """The contract: a column `prompt` names the units where all have another."""
    rows = [{"prompt": f"p{i}", "noise": i % 5 / 10} for i in range(24)]
    result = assay.check("it moves", hook, rows, "effect > 0.5", assay.Vector(T), draws=2)
    assert result.n == {"prompt": 24} and {*result.rows["prompt"]} == {r["prompt"] for r in rows}
