"""Parquet and Arrow: each row a record, found again by its row group and its row in it."""

import base64
import io
import json
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dollymix
from tests.framing.files import ROWS, answers, arrow, merged, parquet, reasons, refusal
from tests.laws.builds import contents
from tests.laws.strategies import packed, zipped

ANSWERS = [row["output"] for row in ROWS]


WRITE = {
    "parquet": lambda table, rows=1000: parquet(table, row_group_size=rows),
    "arrow file": arrow,
    "arrow stream": lambda table, rows=1000: arrow(table, rows, stream=True),
}
EVERY = pytest.mark.parametrize("kind", sorted(WRITE))


def table(**columns):
    """A table of these columns."""
    return pa.table(columns)


def built(place, data, **settings):
    """The build at each unit size and worker count, which must not matter."""
    found = []
    for unit_bytes, workers in ((1, 1), (1 << 20, 2)):
        build = merged(place, data, "a.bin", unit_bytes=unit_bytes, workers=workers, **settings)
        found.append(contents(place / "out"))
    assert found[0] == found[1]
    assert dollymix.verify(place / "out").faults == []
    return build


# --- rows and their places ------------------------------------------------------------------


@EVERY
def test_rows_are_found_by_their_group_and_their_row_in_it(place, kind):
    rows = [*ROWS[:3], {"instruction": "", "input": "", "output": "x"}, *ROWS[3:]]
    build = built(place, WRITE[kind](pa.Table.from_pylist(rows), 2))
    assert answers(build) == ANSWERS
    places = [(row["row_group"], row["row"]) for _, row in build.written()]
    assert places == [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]
    assert [row["record"] for _, row in build.written()] == [0, 1, 2, 4, 5]
    (lost,) = build.rejects
    assert (lost["record"], lost["row_group"], lost["row"]) == (3, 1, 1)
    assert (lost["line"], lost["reason"]) == (None, "schema.empty")
    assert json.loads(lost["text"]) == rows[3]
    for number, row in enumerate(rows):
        assert json.loads(dollymix.explain(place / "out", f"s/a.bin#{number}").raw) == row


def test_a_row_group_of_more_rows_than_a_batch(place):
    rows = [{"instruction": f"q{n}", "output": f"a{n}"} for n in range(2500)]
    build = built(place, parquet(pa.Table.from_pylist(rows), row_group_size=2100))
    places = [(row["row_group"], row["row"]) for _, row in build.written()]
    assert places == [(0, n) for n in range(2100)] + [(1, n) for n in range(400)]
    assert json.loads(dollymix.explain(place / "out", "s/a.bin#2050").raw) == rows[2050]


@EVERY
def test_batches_that_are_large_are_cut(place, kind):
    rows = [{"instruction": f"q{n}", "output": "x" * (1 << 20) + str(n)} for n in range(9)]
    build = built(place, WRITE[kind](pa.Table.from_pylist(rows)))
    assert [(row["row_group"], row["row"]) for _, row in build.written()] == [
        (0, n) for n in range(9)
    ]
    raw = dollymix.explain(place / "out", "s/a.bin#8").raw
    assert json.loads(raw)["output"].endswith("x8")


@EVERY
def test_empty_groups_beside_others_count(place, kind):
    sink = io.BytesIO()
    whole = pa.Table.from_pylist(ROWS)
    if kind == "parquet":
        with pq.ParquetWriter(sink, whole.schema) as writer:
            for part in (whole.slice(0, 0), whole.slice(0, 2), whole.slice(0, 0), whole.slice(2)):
                writer.write_table(part)
    else:
        new = pa.ipc.new_file if kind == "arrow file" else pa.ipc.new_stream
        with new(sink, whole.schema) as writer:
            for part in (whole.slice(0, 0), whole.slice(0, 2), whole.slice(0, 0), whole.slice(2)):
                batch = part.combine_chunks().to_batches() or [
                    pa.RecordBatch.from_pylist([], schema=whole.schema)
                ]
                writer.write_batch(batch[0])
    build = built(place, sink.getvalue())
    assert answers(build) == ANSWERS
    for number in range(5):
        raw = dollymix.explain(place / "out", f"s/a.bin#{number}").raw
        assert json.loads(raw) == ROWS[number]


def test_a_build_that_begins_in_the_middle_gives_the_same_rows(place):
    from dollymix.framing import Framing, columnar
    from dollymix.framing.frames import read_frames
    from dollymix.framing.inputs import list_inputs
    from dollymix.framing.units import Units

    rows = [{"instruction": f"q{n}", "output": f"a{n}"} for n in range(23)]
    (place / "a.parquet").write_bytes(parquet(pa.Table.from_pylist(rows), row_group_size=7))
    (source,) = list_inputs(["a.parquet"], place)
    framing = Framing("parquet", columns=("instruction", "output"))

    def frames(start):
        units = Units(source, framing, (0, 0), 1 << 20, start)
        return [frame for unit in units for frame in read_frames(unit, framing).frames]

    whole = frames(0)
    for start in range(24):
        assert frames(start) == whole[start:]
    for number in (0, 6, 7, 22):
        frame = whole[number]
        assert columnar.read_row(source, "parquet", frame.start, frame.end) == bytes(frame.data)
    assert columnar.read_row(source, "parquet", 9, 0) == b""


# --- cells ----------------------------------------------------------------------------------


@EVERY
def test_null_cells(place, kind):
    data = WRITE[kind](
        table(
            instruction=["q", None, "q"],
            input=pa.array([None, None, None], pa.string()),
            output=["a", "a", None],
        )
    )
    build = built(place, data)
    assert answers(build) == ["a"]
    assert reasons(build) == {1: "schema.null", 2: "schema.null"}


@EVERY
@pytest.mark.parametrize("type_", [pa.string(), pa.large_string()])
def test_text_that_is_not_utf8_costs_its_row(place, kind, type_):
    raw = pa.array([b"good", b"bad \xff\xfe", None], pa.large_binary())
    if type_ == pa.string():
        raw = raw.cast(pa.binary())
    data = WRITE[kind](table(instruction=["q", "q", "q"], output=raw.view(type_)))
    build = built(place, data)
    assert answers(build) == ["good"]
    assert reasons(build) == {1: "encoding.invalid_utf8", 2: "schema.null"}
    lost = build.rejects[0]
    assert b"bad \xff\xfe" in base64.b64decode(lost["base64"])


@EVERY
def test_text_as_categories(place, kind):
    words = pa.array(["a", "b", "a"]).dictionary_encode()
    build = built(place, WRITE[kind](table(instruction=["x", "y", "z"], output=words)))
    assert answers(build) == ["a", "b", "a"]


def test_categories_that_are_not_utf8(place):
    words = pa.array([b"a", b"\xff"]).view(pa.string())
    coded = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), words)
    data = arrow(table(instruction=["x", "y", "z"], output=coded))
    build = built(place, data)
    assert (answers(build), reasons(build)) == (["a", "a"], {1: "encoding.invalid_utf8"})


@EVERY
def test_lists_of_structs_are_conversations(place, kind):
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    data = WRITE[kind](table(id=["x", "y"], conversations=[turns, []]))
    build = built(place, data)
    assert answers(build) == ["a"]
    assert build.ledger["total"]["empty"] == 1


def test_columns_that_nobody_reads_may_be_of_any_type(place):
    import datetime

    data = parquet(
        table(
            instruction=["q"],
            output=["a"],
            when=[datetime.datetime(2020, 1, 1)],
            blob=[b"\xff"],
            number=[1.5],
            flag=[True],
            nothing=pa.nulls(1),
            map=pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        )
    )
    build = built(place, data)
    assert answers(build) == ["a"]
    warnings = build.ledger["sources"]["s"]["warnings"]
    assert warnings["unread_key.when"] == warnings["unread_key.blob"] == 1


# --- columns --------------------------------------------------------------------------------


@EVERY
def test_a_column_of_the_wrong_type_refuses_the_file(place, kind):
    for column in ([1, 2], [True, False], [0.5, 1.0], [["a"], ["b"]], [{"a": 1}, {"a": 2}]):
        error = refusal(place, WRITE[kind](table(instruction=["q", "r"], output=column)), "a.bin")
        assert error.reason == "schema.type"
        assert "column `output`" in str(error)


@EVERY
def test_a_missing_column_refuses_the_file(place, kind):
    error = refusal(place, WRITE[kind](table(instruction=["q"], answer=["a"])), "a.bin")
    assert error.reason == "schema.missing_field"
    assert "`instruction`, `answer`" in str(error)
    error = refusal(
        place, WRITE[kind](table(instruction=["q"], output=["a"])), "a.bin", format="sharegpt"
    )
    assert "not those of sharegpt" in str(error)


def test_two_columns_of_one_name_refuse_the_file(place):
    twice = pa.Table.from_arrays(
        [pa.array(["q"]), pa.array(["a"]), pa.array(["b"])], ["instruction", "output", "output"]
    )
    error = refusal(place, arrow(twice), "a.bin")
    assert error.reason == "schema.duplicate_field"
    assert "`output`" in str(error)


@EVERY
def test_a_table_without_rows_is_empty(place, kind):
    none = pa.Table.from_pylist(ROWS).slice(0, 0)
    assert refusal(place, WRITE[kind](none), "a.bin").reason == "input.empty"


# --- broken files ---------------------------------------------------------------------------


def test_parquet_that_is_cut_off(place):
    whole = parquet(pa.Table.from_pylist(ROWS))
    for end in (4, 8, len(whole) // 2, len(whole) - 1):
        assert refusal(place, whole[:end], "a.bin").reason == "parquet.truncated"


def test_parquet_whose_marks_are_wrong(place):
    whole = parquet(pa.Table.from_pylist(ROWS))
    lying = whole[:-8] + (1 << 30).to_bytes(4, "little") + b"PAR1"
    assert refusal(place, lying, "a.bin").reason == "parquet.format"
    headless = b"XXXX" + whole[4:]
    assert refusal(place, headless, "a.bin", framing="parquet").reason == "parquet.format"
    footer = int.from_bytes(whole[-8:-4], "little")
    broken = bytearray(whole)
    broken[-8 - footer : -8] = bytes(footer)
    assert refusal(place, bytes(broken), "a.bin").reason == "parquet.format"


def test_a_page_whose_checksum_is_wrong(place):
    rows = [{"instruction": f"q{n}", "output": f"a{n} secret"} for n in range(50)]
    whole = bytearray(
        parquet(
            pa.Table.from_pylist(rows),
            row_group_size=10,
            write_page_checksum=True,
            compression="none",
            use_dictionary=False,
        )
    )
    at = whole.index(b"a45 secret")
    whole[at : at + 3] = b"b45"
    for unit_bytes in (1, 1 << 20):
        error = refusal(place, bytes(whole), "a.bin", unit_bytes=unit_bytes)
        assert error.reason == "parquet.checksum"
    build = built(place, bytes(whole), salvage=True)
    assert len(answers(build)) == 40
    assert reasons(build) == {40: "source.truncated_tail"}


@pytest.mark.parametrize("stream", [False, True])
def test_arrow_that_is_cut_off(place, stream):
    whole = arrow(pa.Table.from_pylist(ROWS * 50), 50, stream=stream)
    for end in (len(whole) // 3, len(whole) - 30 if not stream else len(whole) - 40):
        error = refusal(place, whole[:end], "a.bin")
        assert error.reason == "arrow.truncated"


def test_an_arrow_stream_that_is_cut_off_is_salvaged(place):
    whole = arrow(pa.Table.from_pylist(ROWS * 50), 50, stream=True)
    build = built(place, whole[: len(whole) * 3 // 5], salvage=True)
    assert answers(build) == ANSWERS * (len(answers(build)) // 5)
    assert 0 < len(answers(build)) < 250
    assert list(reasons(build).values()) == ["source.truncated_tail"]


def test_offsets_that_lead_outside_are_refused(place):
    data = arrow(table(instruction=["q", "q"], output=["aaaaa", "bbbbbbb"]))
    right = struct.pack("<3i", 0, 5, 12)
    assert data.count(right) == 1
    for last in (0x7FFFFFFF, 4, -1):
        wrong = data.replace(right, struct.pack("<3i", 0, 5, last))
        assert refusal(place, wrong, "a.bin").reason == "arrow.truncated"


@pytest.mark.parametrize("declared", ["parquet", "arrow"])
def test_a_declared_table_that_is_none(place, declared):
    error = refusal(place, b'{"instruction": "q", "output": "a"}\n', "a.bin", framing=declared)
    assert error.reason == "format.mismatch"
    assert refusal(place, b"", "a.bin", framing=declared).reason == "input.empty"
    other = {"parquet": "arrow file", "arrow": "parquet"}[declared]
    data = WRITE[other](pa.Table.from_pylist(ROWS))
    assert refusal(place, data, "a.bin", framing=declared).reason == "format.mismatch"


@EVERY
def test_a_declared_format_and_framing(place, kind):
    framing = kind.split()[0]
    build = built(place, WRITE[kind](pa.Table.from_pylist(ROWS)), framing=framing, format="alpaca")
    assert answers(build) == ANSWERS


def test_a_table_in_a_zip_or_a_stream_is_to_be_unpacked(place):
    data = parquet(pa.Table.from_pylist(ROWS))
    for file in (zipped({"a.parquet": data}), packed(data, "gzip"), packed(data, "zstd")):
        error = refusal(place, file, "a.bin")
        assert error.reason == "format.unread"
        assert "Unpack it first" in str(error)


@EVERY
def test_what_inspect_shows(place, kind):
    (place / "a.bin").write_bytes(WRITE[kind](pa.Table.from_pylist(ROWS)))
    (found,) = dollymix.inspect(place / "a.bin", count=2)
    assert found.detected.framing.kind == kind.split()[0]
    assert [json.loads(shown.raw) for shown in found.records] == ROWS[:2]
