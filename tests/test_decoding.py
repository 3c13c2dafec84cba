"""Why a record could not be read: the reason's code and the place inside the record."""

import pytest

from tests.helpers import parse_bytes, parse_text


def reason(data, form="alpaca"):
    """The one verdict on a record's bytes, as (reason, path)."""
    data = data.encode() if isinstance(data, str) else data
    (verdict,) = parse_bytes(form, data).verdicts
    assert len(verdict.message.splitlines()) == 1
    return verdict.reason, verdict.path


@pytest.mark.parametrize(
    "text",
    [
        '{"instruction": "i", "output": "o"',
        '{"instruction": "i" "output": "o"}',
        "{'instruction': 'i', 'output': 'o'}",
        '{"instruction": "i", "output": NaN}',
        '{"instruction": "i", "output": "o"} {"a": 1}',
        '{"instruction": "i", "output": "o",}',
        '{"instruction": "a\tb", "output": "o"}',
        '{"instruction": "C:\\Users", "output": "o"}',
        "instruction,output",
        "",
        '\x1e{"instruction": "i", "output": "o"}',
    ],
)
def test_what_is_no_json_is_syntax(text):
    assert reason(text) == ("json.syntax", "")


@pytest.mark.parametrize(
    "data",
    [
        b'{"instruction": "\xff", "output": "o"}',
        b'{"instruction": "\xea\xb0", "output": "o"}',
        b'{"instruction": "\xed\xa0\x80", "output": "o"}',
        b'{"instruction": "\xc0\xaf", "output": "o"}',
        b'{"instruction": "\xb0\xa1", "output": "o"',
    ],
)
def test_bytes_that_are_no_utf8_come_before_anything_else(data):
    assert reason(data) == ("encoding.invalid_utf8", "")


@pytest.mark.parametrize(
    "half", ["\\ud83d", "\\udc00", "\\ude00\\ud83d", "a\\ud83db", "\\ud83d\\n"]
)
def test_half_a_surrogate_pair_is_told_from_a_cut_off_value(half):
    text = f'{{"instruction": "{half}", "output": "o"}}'
    assert reason(text)[0] == "unicode.lone_surrogate"


def test_an_escaped_pair_and_nul_are_kept():
    (example,) = parse_text(
        "alpaca", '{"instruction": "\\ud83d\\ude00", "output": "a\\u0000b"}'
    ).examples
    assert (example.instruction, example.response) == ("😀", "a\x00b")


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"a":' * 100_000])
def test_endless_nesting_is_depth(deep):
    assert reason('{"instruction": ' + deep)[0] in ("json.depth", "json.syntax")
    assert reason('{"instruction": ' + deep + "]" * 100_000)[0] in ("json.depth", "json.syntax")


def test_a_deep_value_that_is_whole_is_depth():
    deep = "[" * 100_000 + "]" * 100_000
    assert reason(f'{{"instruction": {deep}, "output": "o"}}') == ("json.depth", "")


def squad_text(start):
    asked = f'{{"question": "q", "answers": [{{"text": "c", "answer_start": {start}}}]}}'
    return f'{{"title": "t", "paragraphs": [{{"context": "c", "qas": [{asked}]}}]}}'


@pytest.mark.parametrize("start", ["1" * 5000, "1e400", "-1e400"])
def test_a_number_out_of_range_rejects_what_holds_it(start):
    (verdict,) = parse_text("squad", squad_text(start)).verdicts
    assert verdict.reason in ("json.number_range", "schema.type")


@pytest.mark.parametrize("start", [2**63, 2**64, -(2**63) - 1])
def test_a_huge_number_is_never_bent_into_another(start):
    parsed = parse_text("squad", squad_text(start))
    assert [example.answer_start for example in parsed.examples] in ([], [None])
    assert parsed.verdicts or parsed.examples[0].flags == ("qa.offset_mismatch",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", ("schema.not_object", "")),
        ('"x"', ("schema.not_object", "")),
        ("7", ("schema.not_object", "")),
        ("true", ("schema.not_object", "")),
        ("{}", ("schema.missing_field", "instruction")),
        ('{"instruction": null, "output": "o"}', ("schema.null", "instruction")),
        ('{"instruction": 7, "output": "o"}', ("schema.type", "instruction")),
        ('{"instruction": "i", "output": {}}', ("schema.type", "output")),
    ],
)
def test_a_shape_that_does_not_fit_says_where(text, expected):
    assert reason(text) == expected
