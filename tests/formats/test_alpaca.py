"""Alpaca rows in, Dolly fields out."""

import pytest

from dollymix.example import Message
from tests.helpers import parse, texts, verdicts

ROW = {"instruction": "수도를 쓰세요.", "input": "캐나다", "output": "오타와입니다."}


def without(name):
    return {key: value for key, value in ROW.items() if key != name}


def test_input_becomes_the_context_and_output_the_response():
    (example,) = parse("alpaca", ROW).examples
    assert texts(parse("alpaca", ROW)) == [("수도를 쓰세요.", "캐나다", "오타와입니다.")]
    assert (example.category, example.group, example.origin.path) == ("", "", "")


@pytest.mark.parametrize("row", [without("input"), {**ROW, "input": None}, {**ROW, "input": ""}])
def test_an_absent_null_or_empty_input_is_an_empty_context(row):
    assert texts(parse("alpaca", row)) == [("수도를 쓰세요.", "", "오타와입니다.")]


@pytest.mark.parametrize("written", ["입력 없음", "<입력 없음>", "N/A", "No input", "nan", "7"])
def test_an_input_in_words_is_kept_as_it_is(written):
    assert parse("alpaca", {**ROW, "input": written}).examples[0].context == written


@pytest.mark.parametrize("output", ["답</s>", "<|endoftext|>", "<nooutput>", "\r\n답\r\n"])
def test_leftovers_in_the_output_are_kept_as_they_are(output):
    assert parse("alpaca", {**ROW, "output": output}).examples[0].response == output


def test_response_stands_in_for_output():
    row = {**without("output"), "response": "오타와"}
    assert texts(parse("alpaca", row)) == [("수도를 쓰세요.", "캐나다", "오타와")]


@pytest.mark.parametrize("nothing", [None, ""])
def test_response_stands_in_for_an_output_that_says_nothing(nothing):
    row = {**ROW, "output": nothing, "response": "오타와"}
    assert texts(parse("alpaca", row)) == [("수도를 쓰세요.", "캐나다", "오타와")]


@pytest.mark.parametrize("response", ["오타와입니다.", "", None])
def test_a_response_beside_output_that_says_nothing_else_is_passed_over(response):
    assert texts(parse("alpaca", {**ROW, "response": response})) == texts(parse("alpaca", ROW))


def test_output_and_response_that_differ_are_rejected():
    parsed = parse("alpaca", {**ROW, "response": "토론토"})
    assert verdicts(parsed) == [("response", "schema.duplicate_field", 1)]


@pytest.mark.parametrize("name", ["instruction", "output"])
@pytest.mark.parametrize("blank", ["", "   ", "\u200b"])
def test_a_blank_instruction_or_output_is_empty_and_named_as_the_record_names_it(name, blank):
    assert verdicts(parse("alpaca", {**ROW, name: blank})) == [(name, "schema.empty", 1)]


def test_a_blank_instruction_with_the_task_in_input_is_not_repaired():
    assert verdicts(parse("alpaca", {**ROW, "instruction": ""})) == [
        ("instruction", "schema.empty", 1)
    ]


def test_a_blank_response_without_output_is_empty():
    parsed = parse("alpaca", {**without("output"), "response": ""})
    assert verdicts(parsed) == [("response", "schema.empty", 1)]


@pytest.mark.parametrize("name", ["instruction", "output"])
def test_a_missing_field_is_named(name):
    assert verdicts(parse("alpaca", without(name))) == [(name, "schema.missing_field", 1)]


@pytest.mark.parametrize("name", ["instruction", "output"])
def test_a_null_field_is_named(name):
    assert verdicts(parse("alpaca", {**ROW, name: None})) == [(name, "schema.null", 1)]


@pytest.mark.parametrize("name", [*ROW, "response"])
@pytest.mark.parametrize("value", [7, 3.3, False, ["a"], {"a": "b"}])
def test_a_field_that_is_no_text_is_of_the_wrong_type(name, value):
    assert verdicts(parse("alpaca", {**ROW, name: value})) == [(name, "schema.type", 1)]


def test_history_pairs_become_messages_and_system_is_read():
    row = {**ROW, "history": [["q0", "a0"], ["q1", "a1"]], "system": "s"}
    (example,) = parse("alpaca", row).examples
    assert example.system == "s"
    assert example.history == (
        Message("user", "q0"),
        Message("assistant", "a0"),
        Message("user", "q1"),
        Message("assistant", "a1"),
    )


@pytest.mark.parametrize(
    ("history", "path"),
    [
        ("q", "history"),
        ("[['q', 'a']]", "history"),
        ([["q"]], "history[0]"),
        ([["q", "a"], ["q", 7]], "history[1][1]"),
        ({"q": "a"}, "history"),
    ],
)
def test_a_history_of_another_shape_rejects_the_row(history, path):
    found = verdicts(parse("alpaca", {**ROW, "history": history}))
    # A list's index is shown where the decoder knows it.
    assert [(reason, parts) for _, reason, parts in found] == [("schema.type", 1)]
    assert found[0][0].startswith(path.partition("[")[0])


@pytest.mark.parametrize("name", ["system", "rejected"])
@pytest.mark.parametrize("value", [7, ["a"], {"a": 1}])
def test_a_foreign_key_of_the_wrong_type_rejects_the_row(name, value):
    assert verdicts(parse("alpaca", {**ROW, name: value})) == [(name, "schema.type", 1)]


@pytest.mark.parametrize("name", ["chosen", "images", "image", "videos", "audios"])
def test_a_key_that_cannot_be_carried_rejects_the_row(name):
    parsed = parse("alpaca", {**ROW, name: "x"})
    assert verdicts(parsed) == [(name, "schema.unsupported_field", 1)]


@pytest.mark.parametrize("name", ["system", "history", "tools", "rejected", "images"])
@pytest.mark.parametrize("value", [None, "", [], {}])
def test_a_foreign_key_that_says_nothing_counts_as_absent(name, value):
    assert parse("alpaca", {**ROW, name: value}).examples == parse("alpaca", ROW).examples


def test_keys_in_another_order_change_nothing():
    turned = dict(reversed(ROW.items()))
    assert parse("alpaca", turned).examples == parse("alpaca", ROW).examples
