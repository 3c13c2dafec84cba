"""A key that stands twice in one object: found wherever it is read, and nowhere else."""

import json

import pytest

from dollymix import duplicate_keys, formats
from tests.framing.files import answers, merged

GOOD = '{"instruction": "q", "input": "", "output": "a"}'
TWICE = '{"instruction": "q", "output": "a", "output": "b"}'


def build_of(place, records, framing="jsonl", **settings):
    """The build of records, as text, at each unit size, which must not matter."""
    text = "\n".join(records) if framing == "jsonl" else f"[{', '.join(records)}]"
    found = set()
    for unit_bytes in (1, 1 << 20):
        build = merged(place, text.encode(), unit_bytes=unit_bytes, **settings)
        found.add(json.dumps([build.ledger, build.rejects]))
    assert len(found) == 1
    return build


def rejected(build):
    """Each reject as (record, path)."""
    assert {row["reason"] for row in build.rejects} <= {"json.duplicate_key"}
    return [(row["record"], row["path"]) for row in build.rejects]


# --- how it may be written ------------------------------------------------------------------


@pytest.mark.parametrize(
    "record",
    [
        TWICE,
        '{"output": "a", "instruction": "q", "output": "a"}',
        '{"output"  :"a","instruction":"q","output":"b"}',
        '{"output"\\t\\r:"a","instruction":"q","output":"b"}'.replace("\\t\\r", "\t\r"),
        '{"output"' + " " * 63 + ':"a","instruction":"q","output":"b"}',
        '{"output"' + " " * 64 + ':"a","instruction":"q","output":"b"}',
        '{"output"' + " " * 500 + ':"a","instruction":"q","output":"b"}',
        '{"output":"a","instruction":"q","\\u006futput":"b"}',
        '{"\\u006Futput":"a","instruction":"q","\\u006f\\u0075tput":"b"}',
        '{"instruction":"q","output":"a","output":"b","output":"c"}',
        '{"instruction":"q","output":null,"output":"b"}',
        '{"instruction":"q","output":7,"output":"b"}',
        '{"instruction":"q","output":"b","output":7}',
        '{"instruction":"\\\\","output":"\\\\\\\\","output":"\\""}',
        '{"x": {"y": 1}, "instruction":"q","z": 2, "output":"a","output":"b"}',
    ],
)
@pytest.mark.parametrize("framing", ["jsonl", "array"])
def test_a_key_twice_costs_its_record(place, record, framing):
    build = build_of(place, [GOOD, record, GOOD], framing, format="alpaca")
    assert rejected(build) == [(1, "output")]
    assert "stands twice in one object: `output` has two values" in build.rejects[0]["message"]
    assert answers(build) == ["a", "a"]


@pytest.mark.parametrize(
    "record",
    [
        '{"instruction":"q","output":"\\"output\\": \\"x\\""}',
        '{"instruction":"{\\"output\\":1,\\"output\\":2}","output":"a"}',
        '{"instruction":"output\\\\","output":"a"}',
        '{"instruction":"a \\": b","output":"\\\\\\": c"}',
        '{"instruction":"q","output":"a","more":1,"more":2}',
        '{"instruction":"q","output":"a","more":{"output":1,"output":2}}',
        '{"instruction":"q","output":"a","more":[{"output":1},{"output":2}]}',
        '{"instruction":"q","output":"a","Output":"b"}',
        '{"instruction":"q","output":"a","outpu":"b","xoutput":1}',
        '{"instruction":"q","output":"a","\\u006fther":"b"}',
        '{"instruction":"q","output":"a","\\"output":"b"}',
        '{"instruction":"\\u006f:","output":"\\u0041\\":"}',
        '{"instruction":"q","output"' + " " * 90 + ':"a"}',
        '{"instruction":"q","output":"a","":1,"":2}',
    ],
)
@pytest.mark.parametrize("framing", ["jsonl", "array"])
def test_what_looks_like_it_is_none(place, record, framing):
    build = build_of(place, [GOOD, record, GOOD], framing, format="alpaca")
    assert rejected(build) == []
    assert len(answers(build)) == 3


@pytest.mark.parametrize("framing", ["jsonl", "array"])
def test_one_bad_record_among_many(place, framing):
    records = [GOOD] * 400
    records[271] = TWICE
    build = build_of(place, records, framing)
    assert rejected(build) == [(271, "output")]
    assert len(answers(build)) == 399


def test_bad_records_of_other_kinds_beside_it(place):
    records = [GOOD, "no json", TWICE, '{"instruction": 1}', GOOD, "[1]", TWICE]
    build = build_of(place, records)
    by_record = {row["record"]: row["reason"] for row in build.rejects}
    assert by_record[2] == by_record[6] == "json.duplicate_key"
    assert set(by_record) == {1, 2, 3, 5, 6}


def test_one_that_is_hidden_by_one_that_is_missing(place):
    # As many keys as there should be, but not the same ones.
    records = [GOOD, TWICE, '{"instruction": "q", "output": "a"}', GOOD]
    assert rejected(build_of(place, records)) == [(1, "output")]


# --- each format ----------------------------------------------------------------------------

NESTED = {
    "dolly": (
        '{"instruction":"q","context":"","response":"a","category":"c"}',
        '{"instruction":"q","context":"","response":"a","response":"b","category":"c"}',
        "response",
    ),
    "sharegpt": (
        '{"id":"x","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]}',
        '{"id":"x","conversations":[{"from":"human","value":"q"},'
        '{"from":"gpt","value":"a","value":"b"}]}',
        "conversations[1].value",
    ),
    "squad": (
        '{"title":"t","paragraphs":[{"context":"a","qas":'
        '[{"id":"1","question":"q","answers":[{"text":"a","answer_start":0}]}]}]}',
        '{"title":"t","paragraphs":[{"context":"a","qas":'
        '[{"id":"1","question":"q","answers":[{"text":"b","text":"a","answer_start":0}]}]}]}',
        "paragraphs[0].qas[0].answers[0].text",
    ),
    "korquad2": (
        '{"title":"t","context":"a","qas":[{"question":"q","answer":{"text":"a","answer_start":0}}]}',
        '{"title":"t","context":"a","qas":'
        '[{"question":"q","answer":{"text":"a","answer_start":0,"text":"b"}}]}',
        "qas[0].answer.text",
    ),
}


@pytest.mark.parametrize("form", sorted(NESTED))
@pytest.mark.parametrize("framing", ["jsonl", "array"])
def test_a_key_twice_inside_a_record(place, form, framing):
    good, twice, path = NESTED[form]
    build = build_of(place, [good, twice, good], framing)
    assert {row["record"] for row in build.rejects} == {1}
    assert build.rejects[0]["reason"] == "json.duplicate_key"
    assert build.rejects[0]["path"] == path
    assert len(answers(build)) == 2


@pytest.mark.parametrize("form", sorted(NESTED))
def test_what_is_found_in_one_record(form):
    good, twice, path = NESTED[form]
    row = formats.load(form).Row
    assert duplicate_keys.find_duplicate(good.encode(), row) is None
    problem = duplicate_keys.find_duplicate(twice.encode(), row)
    assert (problem.reason, problem.path) == ("json.duplicate_key", path)
    for other in (b"", b"{", b"\xff", b"1", b"[]", b"[" * 100_000, b'{"conversations": 1}'):
        assert duplicate_keys.find_duplicate(other, row) is None


def test_files_of_two_formats(place):
    good, twice, _ = NESTED["sharegpt"]
    build = build_of(place, [GOOD, good, TWICE, twice, GOOD, good])
    assert [row["record"] for row in build.rejects] == [2, 3]
    assert len(answers(build)) == 4


def test_how_many_keys_stand_in_a_text():
    assert duplicate_keys.count_keys(b'{"a": 1, "b" : {"c": []}}') == 3
    assert duplicate_keys.count_keys(b'{"a": "x\\": y", "b\\\\": 1}') == 2
    assert duplicate_keys.count_keys(b'{"a"' + b" " * 70 + b": 1}") > 1_000_000
    assert duplicate_keys.count_keys(b"[]") == 0


@pytest.mark.parametrize("run", [0, 1, 2, 3, 61, 62, 63, 64, 65, 66, 67, 500, 501])
def test_keys_are_told_from_text_behind_any_number_of_backslashes(run):
    inside = "\\" * run + '": "'
    text = json.dumps({"a" + "\\" * run: inside, "b": [inside, {inside: inside}]}).encode()
    assert duplicate_keys.count_keys(text) == 3
