"""Notes: a closed list of codes. Truth: the contract that programs read codes and data alone."""

import re
from string import Formatter

import msgspec
import pytest

from assay.notes import MOST, NOTES, Note


def test_the_list_is_short_and_its_codes_are_codes():
    assert len(NOTES) <= MOST
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in NOTES)


@pytest.mark.parametrize("code", NOTES)
def test_a_note_fills_its_template(code):
    formats = {name: of for _, name, of, _ in Formatter().parse(NOTES[code].template) if name}
    data = {name: 0.25 if of else f"<{name}>" for name, of in formats.items()}
    note = Note(code, data)
    assert all(format(data[name], of) in str(note) for name, of in formats.items())
    assert note.doubt is NOTES[code].doubt and "\n" not in str(note)


@pytest.mark.parametrize(
    "code, data", [("no-such-note", {}), ("no-test", {}), ("no-test", {"x": 1})]
)
def test_other_codes_and_fields_are_refused(code, data):
    with pytest.raises(ValueError):
        Note(code, data)


def test_a_note_survives_json():
    note = Note("answer-in-prompt", {"n": 3, "N": 24})
    assert msgspec.json.decode(msgspec.json.encode(note), type=Note) == note


def test_only_listed_codes_survive_json():
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"code":"no-such-note","data":{}}', type=Note)


def test_the_list_cannot_be_added_to():
    with pytest.raises(TypeError):
        NOTES["own"] = NOTES["no-test"]
