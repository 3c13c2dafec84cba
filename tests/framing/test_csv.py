"""Delimited text: RFC 4180 and nothing guessed; a bad row costs itself, a lost quote the file."""

import codecs
import json

import pytest

import dollymix
from tests.framing.files import answers, merged, reasons, refusal
from tests.laws.builds import contents
from tests.laws.strategies import packed

HEAD = "instruction,input,output\n"
UNITS = (1, 7, 1 << 20)


def built(place, text, **settings):
    """The build of a table's text at each unit size, which must not matter."""
    data = text.encode() if isinstance(text, str) else text
    found = {}
    for unit_bytes in UNITS:
        build = merged(place, data, "a.csv", unit_bytes=unit_bytes, **settings)
        found[unit_bytes] = contents(place / "out")
        assert found[unit_bytes] == found[1]
    build = merged(place, data, "a.csv", unit_bytes=7, workers=2, **settings)
    assert contents(place / "out") == found[1]
    assert dollymix.verify(place / "out").faults == []
    return build


def fields(build):
    """The examples as (instruction, context, response)."""
    keys = ("instruction", "context", "response")
    return [tuple(line[key] for key in keys) for line, _ in build.written()]


def test_a_header_in_another_encoding_than_its_rows(place):
    data = "instruction,output,비고\n".encode("cp949") + "질문,답,끝\n".encode()
    error = refusal(place, data, "a.csv", framing="csv")
    assert error.reason == "encoding.not_utf8"
    assert "is not UTF-8 in its header" in str(error)


# --- rows and fields ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("q,c,a", ("q", "c", "a")),
        ("q,,a", ("q", "", "a")),
        ('"q","c","a"', ("q", "c", "a")),
        ('"q, r","c","a"', ("q, r", "c", "a")),
        ('"he said ""hi""",c,a', ('he said "hi"', "c", "a")),
        ('"""",c,""""""', ('"', "c", '""')),
        ('"two\nlines",c,a', ("two\nlines", "c", "a")),
        ('"two\r\nlines",c,a', ("two\r\nlines", "c", "a")),
        ('"end\n","\n\n",a', ("end\n", "\n\n", "a")),
        ("one\rtwo,c,a", ("one\rtwo", "c", "a")),
        (" q , c , a ", (" q ", " c ", " a ")),
        ("007,1.50,TRUE", ("007", "1.50", "TRUE")),
        ("null,NaN,1e5", ("null", "NaN", "1e5")),
        ("2024-01-02,None,{}", ("2024-01-02", "None", "{}")),
        ("질문,문맥,답 😀", ("질문", "문맥", "답 😀")),
        ("line\u2028end,\x85,a\u2029", ("line\u2028end", "\x85", "a\u2029")),
        ('"",c,a', None),
    ],
)
def test_a_field_is_the_text_that_stands_there(place, row, expected):
    for end in ("\n", "\r\n", ""):
        data = f"instruction,input,output\r\nx,y,z\n{row}{end}".encode()
        build = merged(place, data, "a.csv", unit_bytes=7)
        assert fields(build) == [("x", "y", "z"), *([expected] if expected else [])]
        assert reasons(build) == ({} if expected else {1: "schema.empty"})


def test_blank_lines_are_no_records_and_count_as_lines(place):
    build = built(place, f'{HEAD}\n\r\nq,c,a\n\n"bad"x,c,a\n\n', framing="csv")
    assert answers(build) == ["a"]
    (row,) = build.rejects
    assert (row["record"], row["line"]) == (1, 6)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_may_be_declared(place, delimiter):
    rows = [["instruction", "input", "output"], ["a,b;c", '"d|e\tf"', "g"]]
    text = "\n".join(delimiter.join(rows[0]) for _ in range(1)) + "\n"
    text += delimiter.join('"' + field.replace('"', '""') + '"' for field in rows[1]) + "\n"
    build = built(place, text, framing="csv", delimiter=delimiter)
    assert fields(build) == [("a,b;c", '"d|e\tf"', "g")]


def test_tabs_are_told_from_the_content_or_declared(place):
    text = "instruction\tinput\toutput\nq, r\t\ta\n"
    for settings in ({}, {"framing": "tsv"}, {"delimiter": "\t"}):
        build = built(place, text, **settings)
        assert fields(build) == [("q, r", "", "a")]


def test_columns_may_stand_in_any_order_and_others_beside_them(place):
    build = built(place, "output,score,instruction\na,1,q\na2,,q2\n")
    assert fields(build) == [("q", "", "a"), ("q2", "", "a2")]
    assert build.ledger["sources"]["s"]["warnings"]["unread_key.score"] == 2


def test_a_bad_row_at_the_end_without_a_line_end_costs_itself(place):
    tail = '"bad" text, longer than a unit,a'
    build = built(place, f"{HEAD}q,c,a\n{tail}", framing="csv")
    assert answers(build) == ["a"]
    assert reasons(build) == {1: "csv.quote"}
    assert (build.rejects[0]["text"], build.rejects[0]["line"]) == (tail, 3)


def test_tabs_are_told_where_the_header_has_commas_as_well(place):
    build = built(place, "instruction\tinput, if any\toutput\nq\tc\ta\n")
    assert fields(build) == [("q", "", "a")]
    assert build.ledger["sources"]["s"]["warnings"]["unread_key.input, if any"] == 1


# --- encodings ------------------------------------------------------------------------------

TABLE = '"instruction",output\r\n질문,"답 ""하나"""\r\n"둘\n줄",답\r\n하나뿐\r\n'


@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (b"", "cp949"),
    ],
)
def test_ranges_count_the_bytes_as_they_are_stored(place, mark, encoding, packing):
    data = mark + TABLE.encode(encoding)
    declared = {"encoding": encoding} if encoding == "cp949" else {}
    build = built(place, packed(data, packing), **declared)
    assert fields(build) == [("질문", "", '답 "하나"'), ("둘\n줄", "", "답")]
    rows = [row for _, row in build.written()] + build.rejects
    stored = [data[row["byte_start"] : row["byte_end"]].decode(encoding) for row in rows]
    assert stored == ['질문,"답 ""하나"""', '"둘\n줄",답', "하나뿐\r\n"]
    assert [row["line"] for row in build.rejects] == [5]
    life = dollymix.explain(place / "out", "s/a.csv#1")
    assert life.raw.decode(encoding) == '"둘\n줄",답'


def test_bad_utf8_is_no_matter_of_its_row_alone(place):
    data = (HEAD + "q,c,가\n").encode() + b"\xff\xfe,c,a\nq,c,a\n"
    for unit_bytes in UNITS:
        error = refusal(place, data, "a.csv", unit_bytes=unit_bytes)
        assert (error.reason, error.byte) == ("encoding.invalid_utf8", 33)


def test_utf16_that_breaks_is_refused(place):
    data = codecs.BOM_UTF16_LE + (HEAD + "q,c,a\n").encode("utf-16-le") + b"\x00\xdc\x20\x00\n\x00"
    assert refusal(place, data, "a.csv").reason == "encoding.invalid"


# --- rows that are wrong --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "reason", "words"),
    [
        ("q,c", "csv.column_count", "has 2 fields; the header has 3"),
        ("q,c,a,", "csv.column_count", "has 4 fields; the header has 3"),
        ("q", "csv.column_count", "has 1 field; the header has 3"),
        (" ", "csv.column_count", "has 1 field; the header has 3"),
        ('"q,c\nd"', "csv.column_count", "has 1 field; the header has 3"),
        ('q,"c"d,a', "csv.quote", "text behind a closing quote"),
        ('q,"c" ,a', "csv.quote", "text behind a closing quote"),
        ('q,c "quoted",a', "csv.quote", "inside a field that is not in quotes"),
        ('q, "c",a', "csv.quote", "inside a field that is not in quotes"),
        ('q,"c \\"d\\" e",a', "csv.quote", "behind a backslash"),
        ('q,c\\"d,a', "csv.quote", "behind a backslash"),
    ],
)
def test_a_bad_row_costs_itself(place, row, reason, words):
    build = built(place, f"{HEAD}q1,c,a1\n{row}\nq2,c,a2\n")
    assert answers(build) == ["a1", "a2"]
    (lost,) = build.rejects
    assert (lost["reason"], lost["record"], lost["line"]) == (reason, 1, 3)
    assert words in lost["message"]
    assert lost["text"] == row + "\n"


def test_a_quote_fault_keeps_both_physical_lines_that_it_runs_over(place):
    text = f'{HEAD}q1,c,a1\nq2,"c,a2\nq3,"c",a3\nq4,c,a4\n'
    build = built(place, text)
    assert answers(build) == ["a1", "a4"]
    (lost,) = build.rejects
    assert (lost["reason"], lost["record"], lost["line"]) == ("csv.quote", 1, 3)
    assert lost["text"] == 'q2,"c,a2\nq3,"c",a3\n'
    assert text.encode()[lost["byte_start"] : lost["byte_end"]].decode() == lost["text"]


def test_a_field_over_lines_with_text_behind_its_quote(place):
    build = built(place, f'{HEAD}q1,"c\nd"e,a1\nq2,c,a2\n', framing="csv")
    (lost,) = build.rejects
    assert lost["text"] == 'q1,"c\nd"e,a1\n'
    assert "runs over 2 lines: is a quote missing?" in lost["message"]
    assert (lost["line"], answers(build)) == (2, ["a2"])


def test_the_last_row_may_be_bad_and_without_its_end(place):
    build = built(place, f"{HEAD}q,c,a\nq,c")
    assert reasons(build) == {1: "csv.column_count"}
    build = built(place, f'{HEAD}q,c,a\nq,"c"d')
    assert reasons(build) == {1: "csv.quote"}
    assert build.rejects[0]["text"] == 'q,"c"d'


# --- a quote that is never closed -----------------------------------------------------------

UNCLOSED = f'{HEAD}q1,c,a1\n"bad"x,c,a\nq2,c,"a2\nq3,c,a3\n'


@pytest.mark.parametrize("packing", ["plain", "gzip"])
@pytest.mark.parametrize("unit_bytes", UNITS)
def test_a_quote_that_is_never_closed_refuses_the_file(place, unit_bytes, packing):
    data = packed(UNCLOSED.encode(), packing)
    error = refusal(place, data, "a.csv", unit_bytes=unit_bytes)
    assert error.reason == "csv.unclosed_quote"
    assert error.byte == UNCLOSED.index('"a2')
    assert "behind 2 whole records" in str(error)


@pytest.mark.parametrize("packing", ["plain", "gzip"])
def test_what_stands_before_an_unclosed_quote_is_salvaged(place, packing):
    build = built(place, packed(UNCLOSED.encode(), packing), salvage=True)
    assert answers(build) == ["a1"]
    assert reasons(build) == {1: "csv.quote", 2: "source.truncated_tail"}
    tail = build.rejects[-1]
    assert (tail["byte_start"], tail["byte_end"]) == (UNCLOSED.index('"a2'), None)


# --- headers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "settings", "reason", "words"),
    [
        ("instruction;output", {"framing": "csv"}, "csv.header", "Set `delimiter: ';'`?"),
        ("instruction", {"framing": "csv"}, "csv.header", "has one column"),
        ("instruction,,output", {"framing": "csv"}, "csv.header", "no name for column 2"),
        ("output,output", {"framing": "csv"}, "csv.header", "two columns named `output`"),
        ('instruction,"out"put', {"framing": "csv"}, "csv.header", "quotes stand inside"),
        ('instruction,"output', {"framing": "csv"}, "csv.unclosed_quote", "never closed"),
        ("question,answer", {}, "format.unknown", "question"),
        ("question,answer", {"framing": "csv"}, "schema.missing_field", "question"),
        ("question,answer", {"format": "alpaca"}, "schema.missing_field", "not those of alpaca"),
    ],
)
def test_a_header_that_names_no_columns_is_refused(place, head, settings, reason, words):
    error = refusal(place, f"{head}\nq,a\nq,a\n".encode(), "a.csv", **settings)
    assert error.reason == reason
    assert words in str(error)


def test_bad_utf8_in_a_header_is_refused(place):
    data = "instruction,출력,output\n".encode("cp949") + b"q,c,a\n" * 4
    assert refusal(place, data, "a.csv", framing="csv").reason == "encoding.not_utf8"


def test_a_column_with_lists_cannot_come_from_text(place):
    error = refusal(place, b"id,conversations\n1,hello\n", "a.csv", framing="csv")
    assert error.reason == "schema.type"
    assert "column `conversations`" in str(error)


def test_a_header_alone_is_empty(place):
    assert refusal(place, HEAD.encode(), "a.csv", framing="csv").reason == "input.empty"
    with pytest.raises(dollymix.BuildError):
        merged(place, HEAD.encode(), "a.csv", framing="csv", formats=["jsonl"])
    build = merged(place, HEAD.encode(), "a.csv", framing="csv", allow_empty=True)
    assert build.ledger["total"]["records"] == 0


def test_a_header_may_run_over_lines(place):
    build = built(place, 'instruction,"the\nnote",output\nq,c,a\nq\n', framing="csv")
    assert fields(build) == [("q", "", "a")]
    assert build.rejects[0]["line"] == 4


def test_what_is_declared_and_is_none(place):
    for framing in ("csv", "tsv"):
        data = b'{"instruction": "q", "output": "a"}\n' * 2
        error = refusal(place, data, "a.csv", framing=framing)
        assert error.reason in ("csv.header", "schema.missing_field")


# --- the rest -------------------------------------------------------------------------------


def test_a_field_that_begins_as_a_formula_is_flagged_and_kept(place):
    build = built(place, f"{HEAD}q,c,=1+1\n-1,c,a\n-,c,a\nq,@x,a\n")
    assert answers(build) == ["=1+1", "a", "a", "a"]
    flags = [row["flags"] for _, row in build.written()]
    assert [bool(flag) for flag in flags] == [True, True, False, True]


def test_a_table_far_longer_than_a_sample(place):
    rows = [f'q{n},"c\n{n}","{"가" * 40}{n}"' for n in range(12_000)]
    text = "instruction,input,output\n" + "\n".join(rows) + "\n"
    assert len(text.encode()) > 1 << 20
    seen = set()
    for unit_bytes in (5_000, 1 << 20):
        build = merged(place, text.encode(), "a.csv", unit_bytes=unit_bytes, workers=2)
        assert len(build.written()) == 12_000
        seen.add(json.dumps([row for _, row in build.written()][-1]))
    assert len(seen) == 1


def test_what_inspect_shows(place):
    (place / "a.csv").write_text(f'{HEAD}q,"c ""d""",a\n')
    (found,) = dollymix.inspect(place / "a.csv")
    assert found.detected.framing.kind == "csv"
    assert json.loads(found.records[0].raw) == {
        "instruction": "q",
        "input": 'c "d"',
        "output": "a",
    }
