"""How far a group is: when it had counted how much, for each thing that it counts."""

from assay.lab.marks import Marks


def test_it_knows_when_so_much_was_counted() -> None:
    marks = Marks()
    for done in range(101):
        marks.note(done, 100, "steps", 3.0 + done)
    (stage, done, at) = marks.latest
    assert (done, at) == (100, 103.0)
    assert [marks.when(stage, d) for d in (0, 50, 100)] == [3.0, 53.0, 103.0]


def test_the_same_count_once_more_is_another_stage() -> None:
    marks = Marks()
    stages = []
    for start in (0.0, 100.0):
        for done in (10, 20, 30):
            marks.note(done, 30, "steps", start + done)
        stages.append(marks.latest[0])
    assert [marks.when(stage, 20) for stage in stages] == [20.0, 120.0]


def test_what_was_never_counted_is_unknown() -> None:
    marks, other = Marks(), Marks()
    assert marks.latest is None
    marks.note(500, 1000, "steps", 5.0)
    other.note(10, 20, "windows", 1.0)
    assert marks.when(other.latest[0], 10) is None
    assert marks.when(marks.latest[0], 100) is None, "it began later, so it came from a checkpoint"


def test_a_long_count_keeps_a_mark_for_each_hundredth() -> None:
    marks = Marks()
    for done in range(100_000):
        marks.note(done, 100_000, "steps", done / 10)
    assert all(len(kept) <= 101 for kept in marks._kept.values())
    assert abs(marks.when(marks.latest[0], 50_500) - 5_050) <= 100
