"""Limits that a recipe sets: what is past them is rejected or refused, the same at any cut."""

import gzip
import json
import shutil

import pytest

import dollymix
from tests.framing.files import ROWS, answers, array, lines, merged, reasons, refusal
from tests.laws.builds import contents
from tests.laws.strategies import packed

UNITS = (1, 100, 1 << 20)
LONG = {"instruction": "long", "input": "", "output": "가" * 500}


def built(place, data, name="a.jsonl", workers=1, **settings):
    """The build at each unit size, which must not matter."""
    found = set()
    for unit_bytes in UNITS:
        build = merged(place, data, name, unit_bytes=unit_bytes, workers=workers, **settings)
        found.add(tuple(sorted(contents(place / "out").items())))
    assert len(found) == 1
    assert dollymix.verify(place / "out").faults == []
    return build


# --- record_bytes ---------------------------------------------------------------------------


@pytest.mark.parametrize("packing", ["plain", "gzip"])
@pytest.mark.parametrize(
    ("at", "end"), [((0,), "\n"), ((5,), "\r\n"), ((0, 1, 4), "\n"), ((2, 3), "\r\n")]
)
def test_a_line_that_is_too_long_costs_itself(place, packing, at, end):
    rows = list(ROWS)
    for place_of_long in at:
        rows.insert(place_of_long, LONG)
    data = lines(rows, end)
    build = built(place, packed(data, packing), limits={"record_bytes": 300})
    assert answers(build) == [row["output"] for row in ROWS]
    assert reasons(build) == dict.fromkeys(at, "record.too_large")
    for row in build.rejects:
        assert row["line"] == row["record"] + 1
        assert data[row["byte_start"] : row["byte_end"]].rstrip(b"\r") == lines([LONG])[:-1]
        assert (row.get("text"), row.get("base64")) in ((None, None), ("", None))


def test_the_last_line_may_be_too_long_and_without_its_end(place):
    data = lines([*ROWS, LONG])[:-1]
    for packing in ("plain", "gzip"):
        build = built(place, packed(data, packing), limits={"record_bytes": 300})
        assert reasons(build) == {5: "record.too_large"}
        assert build.rejects[0]["byte_end"] == len(data)


@pytest.mark.parametrize("packing", ["plain", "gzip"])
def test_a_line_just_within_the_limit(place, packing):
    size = len(lines([LONG])) - 1
    data = packed(lines([ROWS[0], LONG, ROWS[1]]), packing)
    build = built(place, data, limits={"record_bytes": size})
    assert len(answers(build)) == 3
    build = built(place, data, limits={"record_bytes": size - 1})
    assert reasons(build) == {1: "record.too_large"}


@pytest.mark.parametrize("packing", ["plain", "gzip"])
@pytest.mark.parametrize(
    ("data", "record"),
    [
        (array([ROWS[0], LONG, ROWS[1]]), lines([LONG])[:-1]),
        (array([LONG]), lines([LONG])[:-1]),
        (json.dumps(LONG, indent=1).encode(), json.dumps(LONG, indent=1).encode()),
        (b"instruction,output\nq,a\nq," + b"x" * 500 + b"\n", b"q," + b"x" * 500),
    ],
    ids=["an array", "an array of one", "an object", "a table"],
)
def test_a_record_of_a_document_just_within_the_limit(place, data, record, packing):
    size = len(record)
    build = built(place, packed(data, packing), limits={"record_bytes": size})
    assert not build.rejects
    at = data.index(record)
    shutil.rmtree(place / "out")
    for unit_bytes in UNITS:
        error = refusal(
            place,
            packed(data, packing),
            "a.jsonl",
            unit_bytes=unit_bytes,
            limits={"record_bytes": size - 1},
        )
        assert (error.reason, error.byte) == ("record.too_large", at)


@pytest.mark.parametrize("packing", ["plain", "gzip"])
def test_a_last_line_far_longer_than_pieces_and_without_its_end(place, packing):
    data = lines([ROWS[0], {"instruction": "big", "output": "x" * (5 << 20)}])[:-1]
    build = merged(place, packed(data, packing), "a.jsonl", limits={"record_bytes": 1 << 20})
    assert answers(build) == [ROWS[0]["output"]]
    assert reasons(build) == {1: "record.too_large"}
    assert build.rejects[0]["byte_end"] == len(data)


def test_a_line_far_longer_than_units_and_pieces(place):
    big = {"instruction": "big", "output": "x" * (5 << 20)}
    data = lines([ROWS[0], big, ROWS[1]])
    for packing in ("plain", "gzip"):
        found = []
        for unit_bytes in (1000, 1 << 20):
            build = merged(
                place,
                packed(data, packing),
                "a.jsonl",
                unit_bytes=unit_bytes,
                limits={"record_bytes": 1 << 20},
            )
            assert reasons(build) == {1: "record.too_large"}
            first, long = (len(lines([row])) for row in (ROWS[0], big))
            (lost,) = build.rejects
            assert (lost["byte_start"], lost["byte_end"]) == (first, first + long - 1)
            assert (lost["line"], answers(build)) == (2, ["답 0", "답 1"])
            found.append(contents(place / "out"))
        assert found[0] == found[1]


BIG = "x" * (3 << 20)
FORMS = {
    "a.json": array([*ROWS[:2], {**ROWS[0], "output": BIG}, *ROWS[2:]]),
    "indented.json": array([*ROWS[:2], {**ROWS[0], "output": BIG}, *ROWS[2:]], indent=2),
    "a.csv": f"instruction,output\nq,답 0\nq,답 1\nq,{BIG}\nq,b\n".encode(),
}


@pytest.mark.parametrize("packing", ["plain", "gzip"])
@pytest.mark.parametrize("name", sorted(FORMS))
def test_a_record_that_is_too_large_where_it_cannot_be_read_past(place, name, packing):
    """It costs the file, whether it could be held or not; what stands before it is salvaged."""
    data = FORMS[name]
    limits = {"record_bytes": 1000}
    begin = data.index(b"q," + BIG[:9].encode()) if name == "a.csv" else None
    found = set()
    for unit_bytes in (1, 5000, 8 << 20):
        error = refusal(place, packed(data, packing), name, unit_bytes=unit_bytes, limits=limits)
        assert error.reason == "record.too_large"
        found.add(error.byte)
    assert len(found) == 1
    assert begin in (None, *found)
    salvaged = set()
    for unit_bytes in (1, 5000, 8 << 20):
        build = merged(
            place, packed(data, packing), name, unit_bytes=unit_bytes, limits=limits, salvage=True
        )
        assert answers(build) == ["답 0", "답 1"]
        assert reasons(build) == {2: "source.truncated_tail"}
        salvaged.add(tuple(sorted(contents(place / "out").items())))
    assert len(salvaged) == 1


def test_bad_rows_before_one_that_is_too_large_are_salvaged_as_bad(place):
    data = f"instruction,output\nq,a\nq\nq,b\nq,{'x' * 50}\nq,c\n".encode()
    build = built(place, data, "a.csv", limits={"record_bytes": 30}, salvage=True)
    assert answers(build) == ["a", "b"]
    assert reasons(build) == {1: "csv.column_count", 3: "source.truncated_tail"}


def test_a_stream_of_lines_that_breaks_inside_one_that_is_too_large(place):
    whole = lines([*ROWS, {**ROWS[0], "output": BIG}])
    data = gzip.compress(whole, 0, mtime=0)[: -(1 << 20)]
    found = set()
    for unit_bytes in (1, 5000, 8 << 20):
        build = merged(
            place,
            data,
            "a.jsonl",
            unit_bytes=unit_bytes,
            limits={"record_bytes": 1000},
            salvage=True,
        )
        assert len(answers(build)) == 5
        assert reasons(build) == {5: "source.truncated_tail"}
        found.add(tuple(sorted(contents(place / "out").items())))
    assert len(found) == 1


@pytest.mark.parametrize("packing", ["plain", "gzip"])
def test_an_array_whose_later_elements_begin_with_another_key(place, packing):
    rows = [{"instruction": "q", "output": "first"}]
    rows += [{"output": f"{n} " + "x" * 60, "instruction": "q"} for n in range(40_000)]
    limits = {"record_bytes": 100_000}
    data = packed(array(rows), packing)
    for unit_bytes in (1000, 8 << 20):
        build = merged(place, data, unit_bytes=unit_bytes, limits=limits)
        assert len(build.written()) == 40_001


def test_one_object_that_is_too_long(place):
    data = json.dumps(LONG, indent=1).encode()
    error = None
    for unit_bytes in (1, 100):
        error = refusal(place, data, unit_bytes=unit_bytes, limits={"record_bytes": 300})
        assert error.reason == "record.too_large"


@pytest.mark.parametrize("packing", ["plain", "gzip"])
def test_one_object_far_too_long_to_be_held(place, packing):
    big = json.dumps({"instruction": "q", "output": BIG}, indent=1).encode()
    settings = {"format": "alpaca", "limits": {"record_bytes": 1000}}
    for unit_bytes in (1, 8 << 20):
        error = refusal(place, packed(big, packing), unit_bytes=unit_bytes, **settings)
        told = "has a record of more than 1000 bytes. `limits: {record_bytes: N}` allows more"
        assert str(error) == f"{place}/a.json at byte 0: {told} [record.too_large]"
    assert answers(merged(place, packed(big, packing), format="alpaca")) == [BIG]


def test_an_array_without_a_border_to_be_seen_for_many_units(place):
    """Its later elements begin with another key: it is scanned exactly from there on."""
    rows = [{"instruction": "q", "output": "first"}]
    rows += [{"output": f"{n} " + "x" * 4000, "instruction": "q"} for n in range(4500)]
    build = merged(place, array(rows), unit_bytes=100_000)
    assert answers(build) == [row["output"] for row in rows]
    assert build.rejects == []


# --- keys and depth -------------------------------------------------------------------------


def _many(count):
    return {"instruction": "q", **{f"k{n}": 0 for n in range(count)}, "output": 1}


def test_a_record_with_too_many_keys(place):
    data = lines([ROWS[0], _many(50), ROWS[1]])
    build = built(place, data, limits={"keys": 20})
    assert reasons(build) == {1: "record.too_many_keys"}
    build = built(place, data, limits={"keys": 60})
    assert reasons(build) == {1: "schema.type"}


def test_depth_of_an_array(place):
    deep = {"instruction": "q", "more": [[[[[0]]]]], "output": "deep"}
    data = array([ROWS[0], deep, ROWS[1]])
    assert answers(merged(place, data, limits={"depth": 20})) == ["답 0", "deep", "답 1"]


@pytest.mark.parametrize("packing", ["plain", "gzip"])
@pytest.mark.parametrize("first", [ROWS[0], 7], ids=["records alone", "a number first"])
def test_an_element_that_is_nested_too_deep_costs_the_file_at_any_cut(place, packing, first):
    # Longer than what is read of a stream at once; quick to decode, if the limit were not asked.
    rows = [{**ROWS[0], "output": "x" * 1000} for _ in range(1200)]
    deep = b'{"instruction": "q", "more": ' + b"[" * 20 + b"]" * 20 + b', "output": "deep"}'
    before = array([first, *rows])[:-1] + b", "
    data = packed(before + deep + b"]", packing)
    for unit_bytes in (1000, 8 << 20):
        error = refusal(place, data, unit_bytes=unit_bytes, limits={"depth": 20})
        assert (error.reason, error.byte) == ("json.depth", len(before) + deep.index(b"[") + 19)
        assert "is nested more than 20 levels deep" in str(error)
        build = merged(place, data, unit_bytes=unit_bytes, limits={"depth": 21})
        assert len(answers(build)) == len(rows) + isinstance(first, dict) + 1
        shutil.rmtree(place / "out")
    salvaged = merged(place, data, salvage=True, limits={"depth": 20})
    assert "deep" not in answers(salvaged)
    assert salvaged.rejects[-1]["reason"] == "source.truncated_tail"


def test_depth_of_an_element_in_another_encoding(place):
    data = array([ROWS[0], {"instruction": "질문", "more": [[[0]]], "output": "a"}]).decode()
    at = len(data[: data.index("[[[") + 2].encode("cp949"))
    for unit_bytes in UNITS:
        error = refusal(
            place,
            data.encode("cp949"),
            unit_bytes=unit_bytes,
            encoding="cp949",
            limits={"depth": 3},
        )
        assert (error.reason, error.byte) == ("json.depth", at)


def test_a_depth_past_any_decoder(place):
    line = b'{"instruction": "q", "more": ' + b"[" * 5000 + b"]" * 5000 + b', "output": "a"}\n'
    data = lines(ROWS[:2]) + line + lines(ROWS[2:])
    build = built(place, data)
    assert list(reasons(build)) == [2]
    assert len(answers(build)) == 5


# --- ratio ----------------------------------------------------------------------------------


def test_limits_are_numbers_above_nothing(place):
    for limits in ({"ratio": 0}, {"record_bytes": -1}, {"depth": "x"}, {"other": 1}):
        with pytest.raises(dollymix.RecipeError):
            merged(place, lines(ROWS), "a.jsonl", limits=limits)


def test_a_limit_leaves_small_streams_alone(place):
    data = gzip.compress(lines(ROWS * 200), mtime=0)
    assert len(answers(merged(place, data, "a.jsonl", limits={"ratio": 1}))) == 1000
