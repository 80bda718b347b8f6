"""A question is known by content: what names, signs and seeds say makes it no other, and lines that
are gone are noticed."""

from assay.lab.judge.questions import Part, Question, Questions, key, known_units, read, written
from assay.report.statements import changes_in_words


def question(*parts, text="it is", threshold="> 1"):
    return Question(text, threshold, parts)


def part(measure, *units, unit="prompt"):
    return Part(measure, tuple(known_units(units)), unit)


def test_a_unit_is_what_it_says_whatever_its_case_and_space():
    assert known_units(["The  capital of France is"]) == known_units(["the capital of france IS "])
    assert len({*known_units(["a b", "ab", "b a"])}) == 3


def test_a_key_is_that_of_inputs_and_quantity_in_any_order_of_names():
    assert key({"model": "a", "text": "b"}, [1]) == key({"text": "b", "model": "a"}, [1])
    others = [key({"model": "a"}, [1]), key({"model": "b"}, [1]), key({"model": "a"}, [2])]
    assert len({*others}) == 3


def test_what_is_written_is_read_again():
    some = [question(part("x", "a", "b"), part("y", "a")), question(part("x", "a", "b"), text="no")]
    some.append(question(Part("x", tuple(known_units("abcd")), "prompt", 2)))
    assert read(written(some)) == some


def test_a_row_that_is_known_by_several_texts_counts_once(tmp_path):
    """Of a pair, or of a chat that somebody may write as a text."""
    questions = Questions(tmp_path / "questions.jsonl")
    questions.note_measured("first", [part("x", "a")])
    pairs = question(Part("x", tuple(known_units("abcd")), "prompt", 2))
    ((why, _, _),) = questions.exposures([pairs])
    assert why.startswith("1 of 2 prompts")


def test_pairs_are_counted_and_not_their_prompts(tmp_path):
    """Three pairs of two prompts: known by their levels in other words, or by texts with other
    levels."""
    texts, levels = [*"abcdef"], ["pair=0", "pair=1", "pair=2"]
    shares = {
        "the same pairs": ["u", "v", *levels],
        "2 of 3 pairs": ["u", *levels[:2]],
        "1 of 3 pairs": [*"ab", "pair=7"],
    }
    for i, (words, known) in enumerate(shares.items()):
        questions = Questions(tmp_path / f"{i}.jsonl")
        questions.note_study("first", "judged", [question(part("x", *known))], {"it is": "fails"})
        pairs = question(Part("x", tuple(known_units(texts + levels)), "pair", 3), text="so")
        for asked in ([pairs], read(written([pairs]))):
            (said,) = questions.others(asked, "second")
            assert said.startswith(f"also judged on {words}, with this or another answer")


def test_all_of_what_a_claim_reads_was_seen_or_part_of_it(tmp_path):
    questions = Questions(tmp_path / "questions.jsonl")
    questions.note_measured("first", [part("x", "a", "b"), part("y", "c")])
    both = question(part("x", "B", "z"), part("y", "c"))
    ((why, _, fresh),) = questions.exposures([both])
    assert why.startswith("1 of 2 prompts of 'it is' were measured in first on")
    assert fresh == "other prompts"
    assert not [*questions.exposures([question(part("x", "c"))])], "x was measured on others"
    half = question(part("x", "a"), part("new", "a"))
    assert not [*questions.exposures([half])]
    assert questions.partly([half]) == [
        "1 of the 2 measures that it reads were measured in first: it is"
    ]


def test_other_words_and_thresholds_of_the_same_question_are_named_with_what_came_out(tmp_path):
    questions = Questions(tmp_path / "questions.jsonl")
    first = question(part("x", "a", "b"))
    questions.note_study("first", "judged", [first], {"it is": "fails"})
    # once more: one line
    questions.note_study("first", "judged", [first], {"it is": "fails"})
    assert len(Questions(questions.path).looks) == 1
    again = question(part("x", "b", "c"), text="it is so", threshold="> 0.5")
    assert Questions(questions.path).others([again], "second") == [
        "also judged on 1 of 2 prompts, with this or another answer, earlier, in first: "
        "“it is” (fails; > 1)"
    ]
    apart = question(part("x", "c"), text="it is so", threshold="> 0.5")
    assert not questions.others([first], "first")
    assert not questions.others([apart], "second")
    questions.note_study("second", "judged", [again], {"it is so": "holds"})
    assert Questions(questions.path).others([first], "first") == [
        "also judged on 1 of 2 prompts, with this or another answer, later, in second: "
        "“it is so” (holds; > 0.5)"
    ]


def test_the_same_sentence_with_an_earlier_threshold_was_judged_earlier(tmp_path):
    questions = Questions(tmp_path / "questions.jsonl")
    strict, loose = (question(part("x", "a", "b"), threshold=t) for t in ("> 1", "> -2"))
    questions.note_study("own", "judged", [strict], {"it is": "fails"})
    before = "also judged on the same prompts, with this or another answer"
    assert questions.others([loose], "own") == [f"{before}, earlier, in own: “it is” (fails; > 1)"]
    questions.note_study("own", "judged", [loose], {"it is": "holds"})
    assert questions.others([loose], "own") == [f"{before}, earlier, in own: “it is” (fails; > 1)"]
    assert questions.others([strict], "own") == [f"{before}, later, in own: “it is” (holds; > -2)"]


def test_who_adds_prompts_until_a_claim_holds_is_found_out(tmp_path):
    questions = Questions(tmp_path / "questions.jsonl")
    questions.note_study("own", "judged", [question(part("x", "a", "b"))], {"it is": "undecided"})
    before = "it was judged before prompts were "
    more, fewer = question(part("x", "a", "b", "c")), question(part("x", "a"))
    assert questions.others([more], "own") == [f"{before}added (undecided): it is"]
    assert questions.others([fewer], "own") == [f"{before}left out (undecided): it is"]
    same, apart = question(part("x", "b", "a")), question(part("x", "y", "z"))
    assert not questions.others([same], "own") and not questions.others([apart], "own")
    seeds = question(part("s", "a", unit="seed"))
    questions.note_study("own", "judged", [seeds], {"it is": "fails"})
    assert not questions.others([question(part("s", "a", "b", unit="seed"))], "own")


def test_a_sentence_that_was_judged_under_another_name_is_told_with_what_came_out(tmp_path):
    """A study written again on other prompts, under a new file's name, is another try; on other
    seeds it is not."""
    questions = Questions(tmp_path / "questions.jsonl")
    for unit in ("prompt", "seed"):
        known = question(part(unit, "a", unit=unit), text=unit)
        questions.note_study("first", "judged", [known], {unit: "fails"})
    told = "the same sentence was judged earlier, in first (fails): "
    others = [question(part("other", "z", unit=u), text=u) for u in ("prompt", "seed")]
    assert questions.others(others, "own") == [f"{told}prompt"]
    assert questions.others([question(part("n", "a", unit="seed"), text="seed")], "own") == [
        f"{told}seed"
    ]
    assert not questions.others(others, "first")


def test_a_verdict_on_the_sentence_of_one_claim_is_no_news_about_another(tmp_path):
    questions = Questions(tmp_path / "questions.jsonl")
    both = [question(part("x", "a"), text=text) for text in ("it is", "so it is")]
    questions.note_study("first", "judged", both, {"it is": "fails", "so it is": "holds"})
    lines = questions.others(both, "second")
    assert lines == [
        "the same sentence was judged earlier, in first (fails): it is",
        "the same sentence was judged earlier, in first (holds): so it is",
    ]
    assert changes_in_words(lines, ["it is", "so it is"]) == [
        "also judged earlier, in first, in the same words: claim 1 (fails), claim 2 (holds)"
    ]


def test_with_one_function_of_the_same_numbers_the_others_are_seen(tmp_path):
    questions = Questions(tmp_path / "questions.jsonl")
    questions.note_measured("first", [part("logits", "a", "b")])
    asked = [question(part("logits", "a", "b"))]
    questions.note_study("first", "judged", asked, {"it is": "fails"})
    logs = question(Part("logs", tuple(known_units("ab")), "prompt", 2, ("logits",)), text="so")
    for some in ([logs], read(written([logs]))):
        ((why, _, _),) = questions.exposures(some)
        assert why.startswith("2 of 2 prompts of 'so' were measured in first")
        assert questions.others(some, "second") == [
            "also judged on the same prompts, with this or another answer, earlier, in first: "
            "“it is” (fails; > 1)"
        ]
    ranks = question(Part("ranks", tuple(known_units("ab")), "prompt", 2, ("other",)), text="so")
    assert not [*questions.exposures([ranks])]
    assert not questions.others([ranks], "second")
