"""JSON Lines: only LF ends a line, and each line stands alone."""

import base64
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dollymix.framing.units import Units
from tests.framing.files import ROWS, answers, lines, merged, reasons, refusal
from tests.laws.builds import scratch
from tests.laws.strategies import UNIT_BYTES, packed

ANSWERS = [row["output"] for row in ROWS]
_ROW = json.dumps(ROWS[0], ensure_ascii=False).encode()
_pieces = st.lists(
    st.one_of(
        st.just(_ROW),
        st.sampled_from([b"", b" \t", b"\r", b"{}", b"[]", b"null", b"{", b"\xff", b"\x00", b"}{"]),
        st.binary(max_size=6).map(lambda data: data.replace(b"\n", b"")),
        st.text(max_size=4).map(lambda text: json.dumps({"x": text}).encode()),
    ),
    max_size=9,
)


def slow(data: bytes) -> list[tuple[int, int, int]]:
    """Start, end and number of every line that holds something, read one by one."""
    found, start = [], 0
    for number, line in enumerate(data.split(b"\n")):
        if line.strip(b" \t\r"):
            found.append((start, start + len(line), number + 1))
        start += len(line) + 1
    return found


@given(_pieces, st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.sampled_from(UNIT_BYTES))
def test_the_records_are_those_that_a_slow_reader_finds(pieces, end, final, unit_bytes):
    # The first lines say that the file is JSON Lines.
    data = end.join([_ROW, _ROW, *pieces]) + (end if final else b"")
    with scratch() as folder:
        build = merged(folder, data, unit_bytes=unit_bytes)
        again = merged(folder, packed(data, "gzip"), unit_bytes=unit_bytes)
    rows = [row for _, row in build.written()] + build.rejects
    places = sorted((row["record"], row["byte_start"], row["byte_end"]) for row in rows)
    expected = slow(data)
    assert [record for record, _, _ in places] == list(range(len(expected)))
    for (_, start, stop), (first, last, _) in zip(places, expected, strict=True):
        assert (start, data[start:stop].strip()) == (first, data[first:last].strip())
    for row in build.rejects:
        assert row["line"] == expected[row["record"]][2]
    assert again.rejects == build.rejects
    assert again.written() == build.written()


@pytest.mark.parametrize("unit_bytes", UNIT_BYTES)
@pytest.mark.parametrize(
    "data",
    [
        lines(ROWS)[:-1],
        lines(ROWS, "\r\n"),
        lines(ROWS, "\n\n \t\r\n"),
        b"\n\r\n" + lines(ROWS),
        b"  " + lines(ROWS, " \n\t"),
    ],
    ids=["no final line end", "CRLF", "blank lines", "blank lines first", "blanks around"],
)
def test_line_ends_and_blanks_do_not_matter(place, data, unit_bytes):
    build = merged(place, data, unit_bytes=unit_bytes)
    assert answers(build) == ANSWERS
    assert build.rejects == []


@pytest.mark.parametrize("unit_bytes", UNIT_BYTES)
def test_only_a_line_feed_ends_a_line(place, unit_bytes):
    text = "a\u2028b\u2029c\x85d\u000be\u000cf\x1cg"
    rows = [{"instruction": text.replace("\u000b", ""), "output": "x\u2028\u2029\x85y"}] * 3
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    build = merged(place, data, unit_bytes=unit_bytes)
    assert [line["response"] for line, _ in build.written()] == ["x\u2028\u2029\x85y"] * 3
    assert [line["instruction"] for line, _ in build.written()] == [rows[0]["instruction"]] * 3


@pytest.mark.parametrize("unit_bytes", UNIT_BYTES)
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"no json", "json.syntax"),
        (b'{"instruction": "a", "output": "b"', "json.syntax"),
        (b'{"instruction": "a", "output": "b"},', "json.syntax"),
        (b'{"instruction": "a", "output": "b"}{}', "json.syntax"),
        (b"{'instruction': 'a', 'output': 'b'}", "json.syntax"),
        (b'{"instruction": "a", "output": NaN}', "json.syntax"),
        (b'\x1e{"instruction": "a", "output": "b"}', "json.syntax"),
        (b'\xef\xbb\xbf{"instruction": "a", "output": "b"}', "json.syntax"),
        (b'{"instruction": "a\x00", "output": "b"}', "json.syntax"),
        (b'{"instruction": "C:\\path", "output": "b"}', "json.syntax"),
        (b"// a comment", "json.syntax"),
        (b'{"instruction": "\xff", "output": "b"}', "encoding.invalid_utf8"),
        (b'{"instruction": "\xed\xa0\x80", "output": "b"}', "encoding.invalid_utf8"),
        (b'{"instruction": "\xea\xb0', "encoding.invalid_utf8"),
        (b'{"instruction": "\\ud800", "output": "b"}', "unicode.lone_surrogate"),
        (b'{"instruction": "a", "output": "b", "\\udfff": 1}', "unicode.lone_surrogate"),
        (b"7", "schema.not_object"),
        (b"null", "schema.not_object"),
        (b'["instruction", "output"]', "schema.not_object"),
        (b"{}", "schema.missing_field"),
        (b"[" * 100_000, "json.depth"),
        (b'{"instruction": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "json.depth"),
    ],
)
def test_a_bad_line_costs_only_itself(place, line, reason, unit_bytes):
    good = lines(ROWS).splitlines()
    data = b"\n".join([*good[:2], line, *good[2:]])
    build = merged(place, data, unit_bytes=unit_bytes)
    assert reasons(build) == {2: reason}
    assert answers(build) == ANSWERS
    (row,) = build.rejects
    assert row["line"] == 3
    assert data[row["byte_start"] : row["byte_end"]] == line


def test_a_line_of_another_encoding_among_lines_of_ascii_costs_itself(place):
    good = b'{"instruction": "q", "output": "a"}\n'
    bad = '{"instruction": "질문", "output": "답"}\n'.encode("cp949")
    build = merged(place, bad + good * 2)
    assert reasons(build) == {0: "encoding.invalid_utf8"}
    assert answers(build) == ["a", "a"]


@pytest.mark.parametrize("cut", [0, 100])
@pytest.mark.parametrize("unit_bytes", [50, 1 << 20])
def test_a_file_that_becomes_shorter_while_it_is_read(place, monkeypatch, unit_bytes, cut):
    iterate = Units.__iter__

    def shorter(units):
        os.truncate(units.source.path, cut)
        return iterate(units)

    monkeypatch.setattr(Units, "__iter__", shorter)
    error = refusal(place, lines(ROWS) * 100, "a.jsonl", unit_bytes=unit_bytes)
    message = f"became shorter while it was read [{error.reason}]"
    assert error.reason == "io.changed"
    assert str(error) == f"{place / 'a.jsonl'} at byte {cut}: {message}"


@pytest.mark.parametrize("unit_bytes", UNIT_BYTES)
def test_bytes_that_are_no_text_are_kept_as_base64(place, unit_bytes):
    import base64

    data = lines(ROWS) + b'{"instruction": "\xb0\xa1", "output": "b"}\n'
    (row,) = merged(place, data, unit_bytes=unit_bytes).rejects
    assert base64.b64decode(row["base64"]) == b'{"instruction": "\xb0\xa1", "output": "b"}'
    assert "text" not in row


@pytest.mark.parametrize("unit_bytes", UNIT_BYTES)
@pytest.mark.parametrize("mark", ["utf-16-le", "utf-16-be"])
def test_characters_that_hold_a_line_feed_byte_do_not_end_a_line(place, mark, unit_bytes):
    rows = [{"instruction": "Ċ ഊ \u0a0d \u0a00", "output": f"\u0a0a{n}"} for n in range(4)]
    text = "\ufeff" + lines(rows).decode()
    build = merged(place, text.encode(mark), unit_bytes=unit_bytes)
    assert answers(build) == [row["output"] for row in rows]
    assert build.rejects == []


@pytest.mark.parametrize("unit_bytes", UNIT_BYTES)
def test_blank_lines_of_another_encoding_are_no_records_and_count_as_lines(place, unit_bytes):
    text = "\ufeff" + lines(ROWS, "\n \t\r\n\n").decode() + "no json\n"
    build = merged(place, text.encode("utf-16-le"), unit_bytes=unit_bytes)
    assert answers(build) == ANSWERS
    (row,) = build.rejects
    assert (row["record"], row["line"]) == (5, 16)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_line_feed_across_two_characters_ends_no_line(place, encoding):
    rows = [{"instruction": "\u0a0a\u0100 \u010a\u0a00", "output": f"{n}"} for n in range(4)]
    text = "\ufeff" + lines(rows).decode()
    for unit_bytes in (1, 7, 1 << 20):
        build = merged(place, text.encode(encoding), unit_bytes=unit_bytes)
        assert answers(build) == ["0", "1", "2", "3"]
        assert {line["instruction"] for line, _ in build.written()} == {rows[0]["instruction"]}


def test_half_a_character_at_the_end_of_a_file_is_a_reject(place):
    data = ("\ufeff" + lines(ROWS).decode()).encode("utf-16-le") + b"\x7b"
    build = merged(place, data)
    assert answers(build) == ANSWERS
    assert reasons(build) == {5: "encoding.invalid"}


def test_one_line_of_another_encoding_costs_itself_among_100_000(place):
    rows = [{"instruction": f"질문 {n}", "output": f"답 {n}"} for n in range(100_000)]
    data = lines(rows).split(b"\n")
    data[50_000] = data[50_000].decode().encode("cp949")
    build = merged(place, b"\n".join(data), "a.jsonl")
    wanted = [row["output"] for row in rows]
    del wanted[50_000]
    assert answers(build) == wanted
    (lost,) = build.rejects
    start = sum(map(len, data[:50_000])) + 50_000
    assert (lost["reason"], lost["record"], lost["line"]) == (
        "encoding.invalid_utf8",
        50_000,
        50_001,
    )
    assert (lost["byte_start"], lost["byte_end"]) == (start, start + len(data[50_000]))
    assert base64.b64decode(lost["base64"]) == data[50_000]
