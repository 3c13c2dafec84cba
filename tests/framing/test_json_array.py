"""One JSON document: its elements are found at any unit size; what breaks it costs the file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.framing.files import ROWS, answers, array, merged, reasons, refusal
from tests.laws.builds import scratch
from tests.laws.strategies import UNIT_BYTES, members, packed

ROW = json.dumps(ROWS[0], ensure_ascii=False)


@given(st.data(), st.sampled_from(UNIT_BYTES), st.sampled_from(["plain", "gzip", "zstd"]))
def test_the_elements_are_those_that_a_slow_reader_finds(data, unit_bytes, packing):
    form = data.draw(st.sampled_from(["alpaca", "korquad2", "squad", "sharegpt"]))
    member = data.draw(members(form, "a.json", ("utf-8", "utf-8-sig", "utf-16-le")))
    with scratch() as folder:
        file = packed(member.data, packing)
        build = merged(folder, file, format=form, unit_bytes=unit_bytes, allow_empty=True)
    assert build.ledger["total"]["records"] == len(member.records)
    places = {row["record"]: (row["byte_start"], row["byte_end"]) for _, row in build.written()}
    places |= {row["record"]: (row["byte_start"], row["byte_end"]) for row in build.rejects}
    for record, (start, end) in places.items():
        text = member.data[start:end].decode(member.encoding)
        assert text.strip() == member.records[record].strip()
    if member.framing != "jsonl":
        document = json.loads(member.data.decode(member.encoding).lstrip("\ufeff"))
        found = document["data"] if member.framing == "data" else document
        slow = [found] if member.framing == "object" else found
        assert [json.loads(text) for text in member.records] == slow


@pytest.mark.parametrize("unit_bytes", [*range(1, 40), 1000])
def test_what_looks_like_a_border_inside_a_string_is_none(place, unit_bytes):
    tricks = ['},{"instruction": "no"', '}, {"instruction" : ', '\\"},{"instruction":', "]}[{,"]
    rows = [{"instruction": trick, "input": trick, "output": trick} for trick in tricks]
    for indent in (None, 1):
        build = merged(place, array(rows, indent), unit_bytes=unit_bytes)
        assert answers(build) == tricks
        assert build.rejects == []


def test_what_looks_like_a_border_inside_an_element_is_none(place):
    rows = [{"instruction": "q", "more": [dict(ROWS[0])] * 3, "output": str(n)} for n in range(9)]
    for unit_bytes in (1, 10, 50, 120, 333, 1 << 20):
        build = merged(place, array(rows), unit_bytes=unit_bytes)
        assert answers(build) == [str(n) for n in range(9)]


def test_the_order_of_keys_may_differ_between_elements(place):
    rows = [dict(reversed(row.items())) if n % 2 else row for n, row in enumerate(ROWS)]
    for unit_bytes in (1, 20, 1 << 20):
        assert answers(merged(place, array(rows), unit_bytes=unit_bytes)) == [
            row["output"] for row in ROWS
        ]


@pytest.mark.parametrize("unit_bytes", UNIT_BYTES)
@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ("1", "schema.not_object"),
        ("null", "schema.not_object"),
        ('"text, with ] and }"', "schema.not_object"),
        ("[1, [2]]", "schema.not_object"),
        ("[]", "schema.not_object"),
        ("{}", "schema.missing_field"),
        ('{"instruction": 7, "output": "a"}', "schema.type"),
        ('{"instruction": null, "output": "a"}', "schema.null"),
        ('{"instruction": "\\ud83d", "output": "a"}', "unicode.lone_surrogate"),
        ('{"instruction": "q", "output": "a \\udc00 b"}', "unicode.lone_surrogate"),
    ],
)
@pytest.mark.parametrize("at", [0, 2, 5])
def test_an_element_of_the_wrong_shape_costs_only_itself(place, element, reason, at, unit_bytes):
    elements = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    elements.insert(at, element)
    data = f"[{', '.join(elements)}]".encode()
    build = merged(place, data, unit_bytes=unit_bytes)
    assert reasons(build) == {at: reason}
    assert len(answers(build)) == len(ROWS)
    (row,) = build.rejects
    assert row["text"] == element
    assert data[row["byte_start"] : row["byte_end"]].decode() == element


@pytest.mark.parametrize("unit_bytes", UNIT_BYTES)
@pytest.mark.parametrize(
    ("text", "reason", "byte"),
    [
        (f"[{ROW}, {ROW}", "json.syntax", None),
        (f"[{ROW}, {ROW},", "json.syntax", None),
        (f"[{ROW}, {ROW[:-5]}", "json.syntax", None),
        (f"[{ROW}, {ROW},]", "json.syntax", None),
        (f"[{ROW},, {ROW}]", "json.syntax", None),
        (f"[,{ROW}, {ROW}]", "json.syntax", None),
        (f"[{ROW} {ROW}]", "json.syntax", None),
        (f"[{ROW}, {ROW[:-1]}, {ROW}]", "json.syntax", None),
        (f"[{ROW}, {ROW}}}, {ROW}]", "json.syntax", None),
        (f"[{ROW}, {{'a': 1}}, {ROW}]", "json.syntax", None),
        (f'[{ROW}, {ROW[:-1]}, "x": NaN}}, {ROW}]', "json.syntax", None),
        (f"[{ROW}, {ROW[:10]}\n{ROW[10:]}, {ROW}]", "json.syntax", None),
        (f"[{ROW}] garbage", "json.trailing_data", f"[{ROW}]"),
        (f"[{ROW}]\n[{ROW}]", "json.trailing_data", f"[{ROW}]"),
        (f"[{ROW}, {ROW}]]", "json.trailing_data", f"[{ROW}, {ROW}]"),
        (f"[{ROW}]}}", "json.trailing_data", f"[{ROW}]"),
    ],
    ids=[
        "no end",
        "no end behind a comma",
        "cut off in a record",
        "a comma at the end",
        "two commas",
        "a comma at the beginning",
        "no comma",
        "a record without its end",
        "a brace too many",
        "single quotes",
        "NaN",
        "a line end in a string",
        "garbage behind it",
        "a second array",
        "a bracket too many",
        "a brace behind it",
    ],
)
def test_a_broken_array_refuses_the_file_and_says_where(place, text, reason, byte, unit_bytes):
    error = refusal(place, text.encode(), unit_bytes=unit_bytes, format="alpaca")
    assert error.reason == reason
    assert error.byte is not None
    if byte is not None:
        assert error.byte == len(byte.encode())
    assert 0 <= error.byte <= len(text.encode())


@pytest.mark.parametrize("text", ["[", " [", "[ \n", "\n[\n"])
def test_an_array_that_ends_where_it_begins(place, text):
    for packing in ("plain", "gzip"):
        error = refusal(place, packed(text.encode(), packing))
        assert (error.reason, error.byte) == ("json.syntax", len(text))
        assert "its array does not end" in str(error)


@pytest.mark.parametrize("unit_bytes", UNIT_BYTES)
@pytest.mark.parametrize("packing", ["plain", "gzip"])
def test_a_file_broken_near_its_end_is_refused_whole(place, packing, unit_bytes):
    text = array([{**row, "instruction": f"{n} q"} for n in range(30) for row in ROWS])
    broken = packed(text[:-1] + b",]", packing)
    assert refusal(place, broken, unit_bytes=max(unit_bytes, 50)).reason == "json.syntax"


@pytest.mark.parametrize("unit_bytes", UNIT_BYTES)
@pytest.mark.parametrize(
    "tail", ["", "]", ', "x": }', ', "x": 1', ', "x": 1}}', '} {"data": []}', ",}"]
)
def test_what_stands_behind_the_array_under_a_key_must_end_the_document(place, tail, unit_bytes):
    page = {"context": "가나", "qas": [{"question": "q", "answer": {"text": "가"}}]}
    text = f'{{"version": 1, "data": [{json.dumps(page)}, {json.dumps(page)}]{tail}'
    error = refusal(place, text.encode(), unit_bytes=unit_bytes)
    assert error.reason in ("json.syntax", "json.trailing_data")
    assert error.byte is not None


@pytest.mark.parametrize("unit_bytes", UNIT_BYTES)
def test_bad_utf8_in_a_field_that_is_read_refuses_the_file(place, unit_bytes):
    data = array(ROWS).replace("질문 3".encode(), b"\xff\xfe 3")
    assert refusal(place, data, unit_bytes=unit_bytes).reason.startswith("encoding.")
    data = array(ROWS, indent=2).replace("질문 3".encode(), b"\xff\xfe 3")
    assert refusal(place, data, unit_bytes=unit_bytes).reason.startswith("encoding.")


@pytest.mark.parametrize("unit_bytes", UNIT_BYTES)
def test_text_behind_the_last_element_is_never_lost(place, unit_bytes):
    rows = [*ROWS, {"instruction": "last", "input": "", "output": "x" * 5000}]
    for indent in (None, 3):
        build = merged(place, array(rows, indent) + b"\n\n ", unit_bytes=unit_bytes)
        assert answers(build) == [row["output"] for row in rows]


def test_very_deep_nesting_is_refused_and_does_not_crash(place):
    deep = "[" * 100_000 + "]" * 100_000
    assert refusal(place, f"[{ROW}, {deep}]".encode()).reason == "json.depth"
    assert refusal(place, deep.encode(), format="alpaca").reason == "json.depth"


@pytest.mark.parametrize(
    "text",
    [
        '{"data": [@], "metadata": 1}',
        '{"data": [@], "more": {"data": 1}}',
        '{"more": "\\"data\\"", "data": [@], "x": "\\\\"}',
        '{"data": [@], "metadata": 1%s}' % ("0" * 5000),
        '{"text": "가나다라\udcff", "data": [@], "metadata": 1}',
    ],
)
def test_what_looks_like_the_key_of_the_records_is_another(place, text):
    page = '{"context": "가", "qas": [{"question": "q", "answer": {"text": "가"}}]}'
    data = text.replace("@", page).encode(errors="surrogateescape")
    for unit_bytes in (1, 1 << 20):
        assert answers(merged(place, data, format="korquad2", unit_bytes=unit_bytes)) == ["가"]


PAGE = '{"context": "가",\n "qas": [{"question": "q", "answer": {"text": "가"}}]}'.encode()


@pytest.mark.parametrize("unit_bytes", UNIT_BYTES)
@pytest.mark.parametrize("packing", ["plain", "gzip"])
@pytest.mark.parametrize(
    ("data", "byte"),
    [
        (b'{"k\xff": 1, "data": [%s]}', b'{"k\xff": 1, "data": [%s]'),
        (b'{"data": [%s], "k\xff": 1}', b'{"data": [%s]'),
        (b'{"k\xff": 1, "data": %s}', b'{"k\xff": 1, "data": '),
        (b'{"data": %s, "k\xff": 1}', b'{"data": '),
    ],
    ids=["before an array", "behind an array", "before an object", "behind an object"],
)
def test_a_key_beside_the_records_that_is_no_utf8(place, packing, data, byte, unit_bytes):
    """The decoder reads the keys of the document, and no value but the records."""
    error = refusal(place, packed(data % PAGE, packing), unit_bytes=unit_bytes)
    assert error.reason == "encoding.invalid_utf8"
    assert "is not UTF-8" in error.message
    assert error.byte == len(byte.replace(b"%s", PAGE))
