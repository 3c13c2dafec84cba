"""Units: what a file is cut into, from any place on, whatever stands at its edges."""

import gzip
import json
from itertools import islice

import msgspec
import pytest

import dollymix
from dollymix.framing import Framing, Input, Limits
from dollymix.framing.units import Units
from tests.framing.files import ROWS, answers, array, lines, merged, refusal

ANSWERS = [row["output"] for row in ROWS]


def test_a_packed_stream_is_gone_on_with_from_any_byte(place):
    data = lines([{"instruction": f"{n}", "output": "x" * 1000} for n in range(3000)])
    (place / "a.jsonl.gz").write_bytes(gzip.compress(data, 1, mtime=0))
    source = Input(str(place / "a.jsonl.gz"), "a.jsonl.gz")
    for start in (0, 1, (1 << 20) - 1, 1 << 20, 2_500_000):
        units = list(Units(source, Framing("jsonl", "gzip"), (0, 0), 1 << 18, start))
        assert b"".join(bytes(unit.data) for unit in units) == data[start:]
        assert [unit.start for unit in units[1:]] == [unit.end for unit in units[:-1]]
        assert (units[0].start, units[-1].end, units[-1].last) == (start, len(data), True)


def test_an_array_without_a_unit_is_no_end_of_a_file(place):
    (place / "a.json").write_bytes(b"[")
    source = Input(str(place / "a.json"), "a.json", size=1)
    with pytest.raises(dollymix.InputError, match="its array does not end"):
        list(Units(source, Framing("array", start=1), (0, 0), 100))


@pytest.mark.parametrize("unit_bytes", [50, 1 << 20])
def test_blanks_behind_a_packed_array_are_no_record(place, unit_bytes):
    # Its first element has no key to cut at, so that the array is scanned.
    data = gzip.compress(array([{}, *ROWS]) + b" \n" * 500, mtime=0)
    build = merged(place, data, "a.json.gz", format="alpaca", unit_bytes=unit_bytes)
    assert answers(build) == ANSWERS
    assert [row["record"] for row in build.rejects] == [0]


def test_a_document_that_is_no_encoding_of_text_is_refused_without_a_guess(place):
    data = b'{"instruction": "\xff\xfe\xff\xff", "output": "\xff\xff\xff\xff"}\n' * 3
    error = refusal(place, data, "a.jsonl")
    assert error.reason == "encoding.not_utf8"
    assert "Set `encoding:" not in str(error)


def test_records_behind_the_end_of_a_document_are_none_of_its(place):
    text = json.dumps({"data": ROWS}, ensure_ascii=False)
    error = refusal(place, f'{{"a": 1}}}} {text}'.encode(), framing="json")
    assert error.reason.startswith("json.")


# The decoder reads the one, and gives up on the other.
@pytest.mark.parametrize("levels", [300, 100_000])
@pytest.mark.parametrize("packing", [bytes, lambda data: gzip.compress(data, mtime=0)])
def test_one_object_that_is_nested_too_deep(place, packing, levels):
    deep = "[" * levels + "]" * levels
    data = f'{{"instruction": "q", "output": "a", "x": {deep}}}'.encode()
    error = refusal(place, packing(data), framing="json", format="alpaca")
    assert error.reason == "json.depth"


# A form of ten bytes a record; what stands before and behind its records; how many bytes from
# where a unit may end on belong to a border that is seen.
FORMS = {
    "lines": (b'{"a": %d}\n', b"", b"", Framing("jsonl"), 1),
    "lines of cp949": (b'{"a": %d}\n', b"", b"", Framing("jsonl", encoding="cp949"), 0),
    "lines of gzip": (b'{"a": %d}\n', b"", b"", Framing("jsonl", "gzip"), 0),
    "rows": (b'"a",%d777\n', b"a,b\n", b"", Framing("csv", start=4), 0),
    "elements": (b'{"a": %d},', b"[", b'{"a": 1}]', Framing("array", start=1, first_key=b'"a"'), 2),
    "numbers": (b"%d000  \t ,", b"[", b"1]", Framing("array", start=1), 0),
}
FORMS["elements of gzip"] = (
    *FORMS["elements"][:3],
    msgspec.structs.replace(FORMS["elements"][3], compression="gzip"),
    2,
)


@pytest.mark.parametrize("unit_bytes", [95, 98, 99, 100, 101])
@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_unit_ends_at_the_first_border_that_is_far_enough(place, form, unit_bytes):
    record, before, behind, framing, seen = FORMS[form]
    data = before + b"".join(record % (n + 10) for n in range(55)) + behind
    (place / "a").write_bytes(gzip.compress(data) if framing.compression == "gzip" else data)
    source = Input(str(place / "a"), "a", size=len(data))
    units = list(Units(source, framing, (0, 0), unit_bytes, exact=form == "numbers"))
    borders = range(framing.start, framing.start + 551, -(-(unit_bytes + seen) // 10) * 10)
    # A stream ends where nothing comes any more; the end of a file is known.
    starts = [start for start in borders if form != "lines" or start < len(data)]
    assert [unit.start for unit in units] == starts
    assert [unit.end for unit in units] == [*starts[1:], len(data)]
    assert [unit.last for unit in units] == [False] * (len(starts) - 1) + [True]


@pytest.mark.parametrize("tail", [b"}" + b"2," * 500, b"]" + b" 2," * 500])
def test_an_array_is_no_more_cut_where_it_is_broken_or_over(place, tail):
    parts = b"[" + b"1," * 99 + tail[:60], tail[60:]
    (place / "a").write_bytes(b"".join(map(gzip.compress, parts)))
    source = Input(str(place / "a"), "a")
    units = list(islice(Units(source, Framing("array", "gzip", start=1), (0, 0), 50), 9))
    assert [unit.start for unit in units] == [1, 51, 101, 151, 199]
    assert units[-1].end == 199 + len(tail)


def test_an_array_is_cut_where_none_of_its_elements_is_open(place):
    parts = b"[" + b"[[1]]," * 20 + b"[[", b"1]]," + b"[[1]]," * 20 + b"1]"
    (place / "a").write_bytes(b"".join(map(gzip.compress, parts)))
    source = Input(str(place / "a"), "a")
    framing = Framing("array", "gzip", start=1, limits=Limits(depth=2))
    units = list(Units(source, framing, (0, 0), 50))
    assert [unit.start for unit in units] == [1, 55, 109, 163, 217]
