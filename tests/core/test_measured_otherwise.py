"""What the rows show of arms that were measured on other data, in other units, up to other limits,
at other times, or not at all. The arms of each table differ for that reason alone."""

import numpy as np
import pandas as pd
import pytest

import assay

N = 150


def judged(columns, claim, **rows_of):
    """The verdict on three arms of N items, some of which have other columns in `rows_of`."""
    frames = [
        pd.DataFrame({"arm": arm, "item": range(N), **columns(arm), **rows_of.get(arm, {})})
        for arm in ("new", "old", "again")
    ]
    return assay.judge(
        pd.concat(frames, ignore_index=True), claim=claim, unit="item", control="again", about="new"
    )


def noted(verdict, words):
    return [note for note in verdict.notes if words in note]


class TestTwinColumns:
    CLAIM = "new.held_out - old.held_out > 0.05"

    @staticmethod
    def scores(rng, same=()):
        def columns(arm):
            seen = rng.normal(0.95, 0.01, N)
            return {"fitted": seen, "held_out": seen if arm in same else rng.normal(0.85, 0.01, N)}

        return columns

    def test_an_arm_that_was_scored_on_its_own_training_data_says_so(self, rng):
        v = judged(self.scores(rng, same=["new"]), self.CLAIM)
        assert v.outcome == "holds" and v.unless == "held_out of new is a copy of fitted"

    def test_columns_that_are_equal_in_other_arms_too_are_no_sign(self, rng):
        better = {"held_out": rng.normal(0.95, 0.01, N)}
        assert judged(self.scores(rng, same=["old", "again"]), self.CLAIM, new=better).unless == ""
        v = judged(self.scores(rng, same=["new", "old"]), "new.held_out - old.held_out > -0.05")
        assert "copy" not in v.unless

    def test_the_baseline_of_each_unit_is_that_of_the_unchanged_arm_by_nature(self, rng):
        before = rng.normal(2, 0.5, N)
        after = {"clean": before, "cut": before - rng.normal(1, 0.2, N)}
        after["random"] = before - rng.normal(0, 0.1, N)
        rows = pd.concat(
            pd.DataFrame({"arm": a, "item": range(N), "before": before, "lead": x})
            for a, x in after.items()
        )
        v = assay.judge(
            rows, claim="clean.lead - cut.lead > 0.5", unit="item", control="random", about="clean"
        )
        assert "copy" not in v.unless

    def test_hashes_of_both_splits_that_are_one_in_one_arm(self, rng):
        def columns(arm):
            names = {"fit_hash": [f"a{k:07x}" for k in range(N)]}
            held = names["fit_hash"] if arm == "new" else [f"b{k:07x}" for k in range(N)]
            score = rng.normal(0.95 if arm == "new" else 0.85, 0.01, N)
            return names | {"held_hash": held, "score": score}

        v = judged(columns, "new.score - old.score > 0.05")
        assert v.unless == "held_hash of new is a copy of fit_hash"


class TestOtherUnits:
    @pytest.mark.parametrize(
        ("times", "reserve"), [(1 / np.log(2), True), (1000.0, True), (1.7, False), (1.0, False)]
    )
    def test_a_loss_of_the_same_model_in_another_unit(self, rng, times, reserve):
        """In one unit, both arms have the same increase."""
        clean, increase = rng.normal(3, 0.4, N), rng.lognormal(-1, 0.3, N)

        def columns(arm):
            unit = 1.0 if arm == "new" else times
            more = increase * rng.lognormal(0, 0.05, N)
            return {"clean": clean * unit, "increase": more * unit}

        v = judged(columns, f"new.increase - old.increase < {increase.mean() * (1 - times) / 2}")
        assert (f"clean of old is in another unit, {times:.4g} times" in v.unless) is reserve

    def test_it_is_no_doubt_where_the_claim_holds_in_one_unit_as_well(self, rng):
        clean = rng.normal(3, 0.4, N)

        def columns(arm):
            unit = 1.0 if arm == "new" else 1 / np.log(2)
            return {"clean": clean * unit, "loss": rng.normal(1 if arm == "new" else 5, 0.2, N)}

        v = judged(columns, "new.loss - old.loss < -1")
        assert v.outcome == "holds" and v.unless == ""
        assert noted(v, "clean of old is 1.443 times that of new in each item")


class TestCutOff:
    @staticmethod
    def answers(rng, limits, right=0.7):
        def columns(arm):
            length = rng.lognormal(6, 0.5, N).astype(int)
            cut = length >= limits[arm]
            score = np.where(cut, 0.4, right) + rng.normal(0, 0.1, N)
            return {"length": np.minimum(length, limits[arm]), "score": score}

        return columns

    def test_answers_that_end_at_a_limit_of_one_arm_are_the_cause(self, rng):
        """Answers that are not cut off are equally good in all arms."""
        limits = {"new": 5000, "old": 450, "again": 450}
        v = judged(self.answers(rng, limits), "new.score - old.score > 0.05")
        assert v.outcome == "holds" and v.unless == "length of old was cut off at 450"
        (note,) = noted(v, "cut off")
        number = float(note.partition("the number is ")[2].split()[0])
        assert number == pytest.approx(0, abs=0.06)

    def test_the_same_limit_in_all_arms_is_none_of_the_claim(self, rng):
        limits = dict.fromkeys(("new", "old", "again"), 450)
        better = {"score": rng.normal(1.0, 0.1, N)}
        v = judged(self.answers(rng, limits), "new.score - old.score > 0.1", new=better)
        assert "cut off" not in v.unless

    def test_a_claim_that_holds_of_whole_answers_as_well_has_no_reserve(self, rng):
        limits = {"new": 5000, "old": 450, "again": 450}
        better = {"score": rng.normal(1.1, 0.1, N)}
        v = judged(self.answers(rng, limits), "new.score - old.score > 0.1", new=better)
        assert "cut off" not in v.unless


class TestNotApplied:
    @staticmethod
    def steered(rng, name, of_control):
        def columns(arm):
            strength = 0 if arm == "old" else 8
            moved = {"new": rng.normal(9, 0.1, N), "old": 0.0, "again": of_control}[arm]
            score = rng.normal(3 if arm == "new" else 1, 0.3, N)
            return {"strength": strength, name: moved, "score": score}

        return columns

    def test_a_control_that_has_no_more_of_it_than_the_baseline(self, rng):
        v = judged(self.steered(rng, "moved_norm", 0.0), "new.score - old.score > 1")
        assert v.unless == "again was not applied: moved_norm is 0, as in old"
        applied = judged(self.steered(rng, "moved_norm", rng.normal(9, 0.1, N)), v.text)
        assert "not applied" not in applied.unless

    def test_a_number_that_may_be_a_result_is_noted(self, rng):
        v = judged(self.steered(rng, "latent", 0.0), "new.score - old.score > 1")
        assert v.unless == "" and noted(v, "latent is 0 in all rows of control again")


class TestDrift:
    @staticmethod
    def one_after_another(rng, slope, effect, shuffled=True):
        level, places = rng.normal(0, 0.5, N), iter(range(3))

        def columns(arm):
            order = rng.permutation(N) if shuffled else np.arange(N)
            minutes = next(places) * N + np.argsort(order)
            start = np.datetime64("2030-05-01T08:00")
            score = level + slope * minutes + rng.normal(0, 0.2, N) + effect * (arm == "new")
            return {"score": score, "done": (start + minutes.astype("m8[m]")).astype(str)}

        return columns

    def test_numbers_that_rise_by_the_minute_are_the_cause(self, rng):
        """All arms are equal at the same minute; `new` comes first, and has lower numbers."""
        v = judged(self.one_after_another(rng, 0.02, 0), "new.score - old.score < -0.6")
        assert v.outcome == "holds" and v.unless.startswith(
            "done is the cause, which score follows"
        )
        (note,) = noted(v, "one after another")
        low, high = map(float, note.partition("[")[2].partition("]")[0].split(","))
        assert low < 0.2 and high > -0.2

    def test_a_difference_that_no_drift_explains_has_no_reserve(self, rng):
        v = judged(self.one_after_another(rng, 0, 2), "new.score - old.score > 0.6")
        assert "done" not in v.unless
        v = judged(self.one_after_another(rng, 0.004, 3), "new.score - old.score > 0.6")
        assert "done" not in v.unless  # half a point of three

    def test_units_in_the_same_order_in_all_arms_show_no_drift(self, rng):
        """The numbers may follow the units, as where these are sorted by their difficulty."""
        columns = self.one_after_another(rng, 0.02, -2, shuffled=False)
        assert (
            "done is the cause, which score"
            not in judged(columns, "new.score - old.score < -0.6").unless
        )


@pytest.fixture
def rng():
    return np.random.default_rng(7)
