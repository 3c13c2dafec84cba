"""What a file holds is told from its content, never from its name."""

import json
import shutil

import pytest

from tests.framing.files import (
    ROWS,
    answers,
    array,
    lines,
    merged,
    merged_files,
    reasons,
    refusal,
)
from tests.laws.strategies import packed

ANSWERS = [row["output"] for row in ROWS]
PAGE = {"title": "t", "context": "가나다", "qas": []}
PAGE["qas"] = [{"id": "1", "question": "q", "answer": {"text": "가", "answer_start": 0}}]


@pytest.mark.parametrize(
    ("name", "data", "framing"),
    [
        ("lines.json", lines(ROWS), "jsonl"),
        ("array.jsonl", array(ROWS), "array"),
        ("indented.jsonl", array(ROWS, indent=2), "array"),
        ("no_name", b"\n\n  " + array(ROWS) + b"\n\n", "array"),
        ("one.jsonl", lines(ROWS[:1]), None),
        ("one.json", json.dumps(ROWS[0], indent=2).encode(), "object"),
        ("array_of_lines.json", b"[\n" + lines(ROWS, ",\n")[:-2] + b"\n]\n", "array"),
        ("one_element.json", array(ROWS[:1]), "array"),
    ],
)
def test_the_framing_is_seen(place, name, data, framing):
    build = merged(place, data, name)
    assert answers(build) == ANSWERS[: len(answers(build))]
    assert len(answers(build)) == (1 if "one" in name and name != "no_name" else 5)
    if framing:
        assert build.manifest["inputs"][0]["framing"] == framing


@pytest.mark.parametrize(
    "document",
    [
        {"data": [PAGE, PAGE]},
        {"version": "2", "data": [PAGE, PAGE], "more": {"data": []}},
        {"note": 'a "data": [1]', "inner": {"data": [{"qas": 1}]}, "data": [PAGE, PAGE]},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_records_under_data_are_found(place, document, indent):
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    for unit_bytes in (1, 64, 1 << 20):
        build = merged(place, text.encode(), unit_bytes=unit_bytes)
        assert [row["record"] for _, row in build.written()] == [0, 1]
        assert {line["response"] for line, _ in build.written()} == {"가"}


def test_data_may_be_one_page(place):
    build = merged(place, json.dumps({"data": PAGE, "version": 1}).encode())
    assert answers(build) == ["가"]


@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd"])
@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
)
@pytest.mark.parametrize("make", [lines, array])
def test_a_byte_order_mark_names_the_encoding(place, packing, encoding, make):
    text = make(ROWS).decode()
    mark = "" if encoding == "utf-8-sig" else "\ufeff"
    for unit_bytes in (1, 100, 1 << 20):
        data = packed((mark + text).encode(encoding), packing)
        build = merged(place, data, unit_bytes=unit_bytes)
        assert answers(build) == ANSWERS
        stored = build.manifest["inputs"][0]["encoding"]
        assert stored == ("utf-8" if encoding == "utf-8-sig" else encoding)


@pytest.mark.parametrize("make", [lines, array])
def test_a_declared_encoding_is_read(place, make):
    data = make(ROWS).decode().encode("cp949")
    for unit_bytes in (1, 100, 1 << 20):
        assert answers(merged(place, data, encoding="cp949", unit_bytes=unit_bytes)) == ANSWERS


@pytest.mark.parametrize("make", [lines, array])
def test_another_encoding_is_never_guessed(place, make):
    error = refusal(place, make(ROWS).decode().encode("cp949"))
    assert error.reason == "encoding.not_utf8"
    assert "cp949" in str(error)
    assert refusal(place, make(ROWS).decode().encode("utf-16-le")).reason == "encoding.not_utf8"
    assert refusal(place, make(ROWS).decode().encode("utf-16-be")).reason == "encoding.not_utf8"


@pytest.mark.parametrize("encoding", ["johab", "euc-kr", "gb18030", "utf-7"])
@pytest.mark.parametrize("unit_bytes", [1, 1 << 20])
@pytest.mark.parametrize("make", [lines, array])
def test_a_declared_encoding_is_read_to_the_same_text(place, make, unit_bytes, encoding):
    data = make(ROWS).decode().encode(encoding)
    build = merged(place, data, encoding=encoding, unit_bytes=unit_bytes)
    assert answers(build) == ANSWERS


@pytest.mark.parametrize("encoding", ["utf-9", "base64", "rot13", "idna", "hz", "한글"])
def test_an_encoding_that_is_none_of_text_is_refused(place, encoding):
    assert refusal(place, lines(ROWS), encoding=encoding).reason == "encoding.unknown"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_declared_encoding_without_a_byte_order_mark_is_little_endian(place, encoding):
    for make in (lines, array):
        build = merged(place, make(ROWS).decode().encode(f"{encoding}-le"), encoding=encoding)
        assert answers(build) == ANSWERS
        assert build.manifest["inputs"][0]["encoding"] == f"{encoding}-le"


def test_an_encoding_with_states_is_read_line_by_line_alone(place):
    text = lines(ROWS).decode()
    assert answers(merged(place, text.encode("iso2022_kr"), encoding="iso2022_kr")) == ANSWERS
    shutil.rmtree(place / "out")
    error = refusal(place, array(ROWS).decode().encode("iso2022_kr"), encoding="iso2022_kr")
    assert error.reason == "encoding.unknown"
    assert "`iso2022_kr` is read as JSON Lines alone. Convert the file to UTF-8" in str(error)


def test_a_line_that_is_not_of_the_declared_encoding_costs_itself(place):
    data = lines(ROWS).decode().encode("cp949")
    bad = data.replace("답 2".encode("cp949"), b"\xff\xff\xff")
    build = merged(place, bad, encoding="cp949")
    assert reasons(build) == {2: "encoding.invalid"}
    assert len(answers(build)) == 4
    (row,) = build.rejects
    assert "base64" in row


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "input.empty"),
        (b" \n\t\r\n", "input.empty"),
        (b"\xef\xbb\xbf", "input.empty"),
        (b"[]", "input.empty"),
        (b"12", "schema.top_level"),
        (b'"text"', "schema.top_level"),
        (b"null", "schema.top_level"),
        (b'{"0": {"instruction": "a", "output": "b"}}', "schema.top_level"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "format.mismatch"),
        (b"<html>\n<head>", "format.mismatch"),
        (b"\x00" * 5000, "format.binary"),
        (b"PAR1" + b"\x00" * 20, "parquet.truncated"),
        (b"BZh91AY&SY" + b"\x00" * 20, "compress.broken"),
        (b"%PDF-1.7" + b"\x00" * 20, "format.unread"),
        (b"question,answer\nq,a\n", "format.unknown"),
        (b"just some words\nand more of them\n", "format.unknown"),
        (b'[{"prompt": "a", "completion": "b"}]', "format.unknown"),
    ],
)
def test_what_holds_no_records_is_refused(place, data, reason):
    assert refusal(place, data).reason == reason


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "document",
    [
        {"instruction": ["a", "b"], "output": ["c", "d"]},
        {"0": {"instruction": "a", "output": "b"}, "1": {"instruction": "a", "output": "c"}},
    ],
    ids=["column by column", "records by key"],
)
def test_a_document_that_is_no_list_of_records_is_refused(place, document, indent):
    data = json.dumps(document, indent=indent).encode()
    assert refusal(place, data, format="alpaca").reason == "schema.top_level"
    assert refusal(place, data).reason == "schema.top_level"


def test_an_empty_array_under_a_key_is_no_record(place):
    assert refusal(place, b'{"version": "1", "data": []}').reason == "input.empty"
    assert refusal(place, b"[ ]", format="alpaca").reason == "input.empty"


@pytest.mark.parametrize("packing", ["plain", "gzip"])
def test_blanks_for_as_long_as_is_looked_at(place, packing):
    """All of a file is blank, or it is none that is read: what follows is not waited for."""
    blanks = b" \n" * (1 << 20)
    assert refusal(place, packed(blanks, packing)).reason == "input.empty"
    assert refusal(place, packed(blanks + lines(ROWS), packing)).reason == "format.binary"


def test_blanks_are_unpacked_within_the_limits_of_the_recipe(place):
    bomb = packed(b" " * (65 << 20), "gzip")
    assert refusal(place, bomb).reason == "compress.ratio"
    assert refusal(place, bomb, limits={"ratio": 10_000}).reason == "input.empty"


@pytest.mark.parametrize("count", [99, 100])
def test_a_line_of_utf8_among_the_first_hundred_makes_all_others_bad_lines(place, count):
    good = lines(ROWS[:1])
    data = good.decode().encode("cp949") * count + good
    if count == 100:
        assert refusal(place, data).reason == "encoding.not_utf8"
        return
    build = merged(place, data)
    assert answers(build) == ANSWERS[:1]
    assert set(reasons(build).values()) == {"encoding.invalid_utf8"}


@pytest.mark.parametrize("first", [b"[{}]", b"{", b"words", b"\n{"])
def test_lines_are_lines_where_that_is_said(place, first):
    build = merged(place, first + b"\n" + lines(ROWS), framing="jsonl")
    assert answers(build) == ANSWERS
    assert list(reasons(build)) == [0]


def test_lines_of_which_none_is_a_record_are_lines_where_that_is_said(place):
    settings = {"framing": "jsonl", "format": "alpaca", "allow_empty": True}
    build = merged(place, b"words\n12\n", **settings)
    assert reasons(build) == {0: "json.syntax", 1: "schema.not_object"}


def test_a_git_lfs_pointer_is_named(place):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123456\n"
    error = refusal(place, pointer)
    assert error.reason == "format.lfs_pointer"
    assert "123456" in str(error)


def test_an_empty_file_may_be_allowed(place):
    build = merged(place, b"", allow_empty=True)
    assert build.ledger["total"]["records"] == 0
    assert answers(build) == []


def test_an_empty_file_beside_a_full_one_may_be_allowed(place):
    (place / "full.json").write_bytes(array(ROWS))
    (place / "empty.json").write_bytes(b"")
    build = merged_files(place, ["empty.json", "full.json"], allow_empty=True)
    assert answers(build) == ANSWERS


def test_one_object_on_one_line_is_a_document_and_a_line(place):
    for framing in ("json", "jsonl", "auto"):
        build = merged(place, lines(ROWS[:1]), framing=framing)
        assert answers(build) == ANSWERS[:1]


def test_a_named_framing_that_does_not_match_is_refused(place):
    assert refusal(place, lines(ROWS), framing="json").reason == "format.mismatch"
    assert refusal(place, array(ROWS), framing="jsonl").reason == "format.mismatch"
    assert refusal(place, array(ROWS, indent=1), framing="jsonl").reason == "format.mismatch"


def test_a_document_that_a_named_format_does_not_have_is_refused(place):
    for indent in (None, 2):
        document = json.dumps({"version": 1, "pages": [PAGE]}, indent=indent).encode()
        assert refusal(place, document, format="korquad2").reason == "schema.top_level"
        document = json.dumps({"data": {"title": "t", "paragraphs": []}}, indent=indent).encode()
        assert refusal(place, document, format="squad").reason == "schema.top_level"


@pytest.mark.parametrize(
    "first", ["no json", '{"instruction": "a", "output"', "{'a': 1}", "12", "[]"]
)
def test_a_bad_first_line_does_not_hide_the_lines(place, first):
    build = merged(place, first.encode() + b"\n" + lines(ROWS))
    assert answers(build) == ANSWERS
    assert list(reasons(build)) == [0]
    assert build.rejects[0]["line"] == 1


def test_a_file_of_several_formats_is_read_record_by_record(place):
    chat = {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "chat"}]}
    build = merged(place, array([ROWS[0], chat, ROWS[1]]))
    assert answers(build) == [ANSWERS[0], "chat", ANSWERS[1]]


@pytest.mark.parametrize("broken", [5, 4])
def test_lines_of_which_half_begin_as_records_do_are_records_with_faults(place, broken):
    data = b"words\n" * (10 - broken) + b"{instruction: 1}\n" * broken
    if broken == 4:
        assert refusal(place, data, format="alpaca").reason == "format.unknown"
        return
    build = merged(place, data, format="alpaca", allow_empty=True)
    assert list(reasons(build)) == list(range(10))
