"""Dolly records in, the same four fields out."""

import pytest

from dollymix.example import Message
from tests.helpers import parse, texts, verdicts

FULL = {"instruction": "무엇?", "context": "글", "response": "답", "category": "closed_qa"}


def test_the_four_fields_are_kept():
    (example,) = parse("dolly", FULL).examples
    assert (example.instruction, example.context, example.response) == ("무엇?", "글", "답")
    assert example.category == "closed_qa"
    assert (example.group, example.flags) == ("", ())


def test_text_is_moved_letter_for_letter():
    odd = " \r\nᄇᆡ가 年 ㅋㅋ\u200b 👩‍🚀\t</s> \x00"
    parsed = parse("dolly", {**FULL, "instruction": odd, "context": odd, "response": odd})
    assert texts(parsed) == [(odd, odd, odd)]


@pytest.mark.parametrize("name", ["context", "category"])
@pytest.mark.parametrize("record", [{}, {"value": None}, {"value": ""}])
def test_context_and_category_may_be_absent_null_or_empty(name, record):
    rest = {key: value for key, value in FULL.items() if key != name}
    if record:
        rest[name] = record["value"]
    (example,) = parse("dolly", rest).examples
    assert getattr(example, name) == ""


@pytest.mark.parametrize("name", ["instruction", "response"])
@pytest.mark.parametrize("blank", ["", "  ", "\r\n\t", "\u200b", "\ufeff\u00a0\u3164"])
def test_a_blank_instruction_or_response_is_empty(name, blank):
    parsed = parse("dolly", {**FULL, name: blank})
    assert verdicts(parsed) == [(name, "schema.empty", 1)]
    assert (parsed.parts, parsed.parts_used, parsed.examples) == (1, 0, [])


@pytest.mark.parametrize("name", ["instruction", "response"])
def test_a_missing_instruction_or_response_is_missing(name):
    record = {key: value for key, value in FULL.items() if key != name}
    assert verdicts(parse("dolly", record)) == [(name, "schema.missing_field", 1)]


@pytest.mark.parametrize("name", ["instruction", "response"])
def test_a_null_instruction_or_response_is_null(name):
    assert verdicts(parse("dolly", {**FULL, name: None})) == [(name, "schema.null", 1)]


@pytest.mark.parametrize("name", list(FULL))
@pytest.mark.parametrize("value", [7, 3.3, True, ["글"], {"글": "글"}])
def test_a_field_that_is_no_text_is_of_the_wrong_type(name, value):
    assert verdicts(parse("dolly", {**FULL, name: value})) == [(name, "schema.type", 1)]


@pytest.mark.parametrize("record", [[], ["a"], "a", 7, None, True])
def test_a_record_that_is_no_object_is_rejected(record):
    parsed = parse("dolly", record)
    assert [reason for _, reason, _ in verdicts(parsed)] in (["schema.not_object"], ["schema.null"])
    assert parsed.parts == 1


def test_system_history_tools_and_rejected_are_read():
    record = {**FULL, "system": "s", "history": [["q", "a"]], "tools": [1], "rejected": "r"}
    (example,) = parse("dolly", record).examples
    assert (example.system, example.rejected, bytes(example.tools)) == ("s", "r", b"[1]")
    assert example.history == (Message("user", "q"), Message("assistant", "a"))


@pytest.mark.parametrize("name", ["chosen", "images", "image", "videos", "audios"])
def test_a_key_that_cannot_be_carried_rejects_the_record(name):
    parsed = parse("dolly", {**FULL, name: ["a.png"]})
    assert verdicts(parsed) == [(name, "schema.unsupported_field", 1)]


@pytest.mark.parametrize("name", ["system", "history", "tools", "rejected", "images", "chosen"])
@pytest.mark.parametrize("value", [None, "", [], {}])
def test_a_foreign_key_that_says_nothing_counts_as_absent(name, value):
    parsed = parse("dolly", {**FULL, name: value})
    assert parsed.examples == parse("dolly", FULL).examples


def test_ids_and_unknown_keys_change_nothing():
    parsed = parse("dolly", {**FULL, "id": 7, "url": "https://example.org"})
    assert parsed.examples == parse("dolly", FULL).examples
