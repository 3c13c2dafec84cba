"""Salvage: of a file that breaks, what stands whole before the break, and one line for the rest."""

import gzip
import json

import pytest

import dollymix
from tests.framing.files import ROWS, array, lines, merged, refusal
from tests.laws.builds import contents, scratch, write_recipe, zstd
from tests.laws.strategies import zipped

MANY = [
    {"instruction": f"질문 {n}", "input": "", "output": f"답 {n} " + "x" * 20} for n in range(60)
]
TAIL = "source.truncated_tail"
UNITS = (1, 333, 1 << 20)


def salvaged(place, data, name="a.json", units=UNITS, **settings):
    """The build, which neither units nor workers may change, with its books checked."""
    found = set()
    for unit_bytes, workers in [*((unit, 1) for unit in units), (700, 2)]:
        build = merged(
            place, data, name, salvage=True, unit_bytes=unit_bytes, workers=workers, **settings
        )
        found.add(tuple(sorted(contents(place / "out").items())))
    assert len(found) == 1
    assert dollymix.verify(place / "out").faults == []
    books = build.ledger["sources"]["s"]
    assert books["records"] == books["with_examples"] + books["only_rejected"] + books["empty"]
    assert books["parts"] == books["parts_used"] + books["parts_rejected"]
    assert [row["reason"] for row in build.rejects].count(TAIL) == 1
    assert books["rejected"][TAIL] == 1
    tail = build.rejects[-1]
    assert tail["reason"] == TAIL
    assert tail["record"] == books["records"] - 1
    assert tail["byte_end"] is None
    assert "text" not in tail
    assert "base64" not in tail
    return build


def numbers(build):
    """The numbers of the rows that were written."""
    return [int(line["response"].split()[1]) for line, _ in build.written()]


def whole_before(data, rows, at):
    """How many of the rows stand whole in the data before a place."""
    return sum(
        0 <= data.find(json.dumps(row, ensure_ascii=False).encode()) < at
        and data.find(json.dumps(row, ensure_ascii=False).encode())
        + len(json.dumps(row, ensure_ascii=False).encode())
        <= at
        for row in rows
    )


# --- one array ------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.05, 0.5, 0.999])
def test_an_array_that_is_cut_off(place, share):
    whole = array(MANY)
    data = whole[: int(len(whole) * share)]
    build = salvaged(place, data)
    found = numbers(build)
    assert found == list(range(len(found)))
    assert len(found) >= whole_before(data, MANY, len(data)) - 1
    assert build.rejects[-1]["byte_start"] <= len(data)


@pytest.mark.parametrize("at", [1, 59])
@pytest.mark.parametrize(
    "broken", [b"{]", b'{"instruction": "q", "output": }', b"}", b'{"a": NaN}', b"{} {}", b""]
)
def test_an_array_that_is_broken_in_the_middle(place, broken, at):
    elements = [json.dumps(row, ensure_ascii=False).encode() for row in MANY]
    elements.insert(at, broken)
    build = salvaged(place, b"[" + b", ".join(elements) + b"]", units=(1, 1 << 20))
    found = numbers(build)
    assert found == list(range(at))


def test_an_array_with_data_behind_it(place):
    build = salvaged(place, array(MANY) + b"garbage")
    assert numbers(build) == list(range(60))


def test_bad_utf8_in_an_array(place):
    data = array(MANY).replace("질문 31".encode(), b"\xff\xfe")
    build = salvaged(place, data)
    assert numbers(build) == list(range(31))


def test_an_array_under_a_key_that_is_cut_off(place):
    page = {"title": "t", "context": "가나", "qas": [{"question": "q", "answer": {"text": "가"}}]}
    pages = ", ".join(json.dumps(page, ensure_ascii=False) for _ in range(9))
    data = f'{{"version": 1, "data": [{pages}, {{"title"'.encode()
    build = salvaged(place, data)
    assert len(build.written()) == 9
    # Broken behind its array: every record is whole.
    build = salvaged(place, f'{{"version": 1, "data": [{pages}], "x": '.encode())
    assert len(build.written()) == 9


def test_nothing_whole_before_the_break_is_still_refused(place):
    for data in (b'[{"instruction": "q"', b'{"data": [{"con'):
        with pytest.raises(dollymix.BuildError):
            merged(place, data, salvage=True)
        assert not (place / "out").exists()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "cp949"])
@pytest.mark.parametrize(
    "broken",
    [
        array(MANY)[:-30],
        array(MANY)[:-1] + b', {"instruction": "\xea\xb0\x80", }]',
        array(MANY)[:-1] + b"] }",
        b"instruction,output\n" + '질문,답 0\n질문,답 1\n질문,"답'.encode(),
    ],
    ids=["an array cut off", "a comma too many", "a brace too many", "a quote never closed"],
)
def test_a_broken_document_in_another_encoding(place, encoding, broken):
    """Its records are found where they are stored, not where they would be in UTF-8."""
    data = broken.decode().encode(encoding)
    build = salvaged(place, data, encoding=encoding)
    assert len(build.written()) >= 2
    for line, row in build.written():
        stored = data[row["byte_start"] : row["byte_end"]].decode(encoding)
        assert line["response"] in stored
        assert "\n" not in stored
    assert len(build.written()) * 10 < build.rejects[-1]["byte_start"] <= len(data)
    with scratch() as other:
        at = {refusal(other, data, unit_bytes=n, encoding=encoding).byte for n in UNITS}
    assert len(at) == 1
    assert at.pop() <= len(data)


# --- streams that are cut off ---------------------------------------------------------------

FORMS = {
    "a.jsonl": lines(MANY),
    "a.json": array(MANY),
    "a.csv": b"instruction,input,output\n"
    + b"".join(f"{r['instruction']},,{r['output']}\n".encode() for r in MANY),
}


def cut_off(data, kind):
    """A packed stream of which the end is missing, though all of its data can be read."""
    if kind == "gzip":
        return gzip.compress(data, 0, mtime=0)[:-700]
    compressor = zstd.ZstdCompressor()
    half = len(data) * 2 // 3
    return compressor.compress(data[:half]) + compressor.flush(compressor.FLUSH_BLOCK)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("name", sorted(FORMS))
def test_a_stream_that_is_cut_off(place, name, kind):
    build = salvaged(place, cut_off(FORMS[name], kind), name)
    found = numbers(build)
    assert found == list(range(len(found)))
    assert len(found) > 20
    assert "compress.truncated" in build.rejects[-1]["message"]


@pytest.mark.parametrize("name", sorted(FORMS))
def test_a_stream_that_is_cut_off_in_another_encoding(place, name):
    data = FORMS[name].decode().encode("utf-16-le")
    build = salvaged(place, cut_off(b"\xff\xfe" + data, "gzip"), name)
    found = numbers(build)
    assert found == list(range(len(found)))
    assert len(found) > 20
    start = build.rejects[-1]["byte_start"]
    assert start % 2 == 0


def test_a_line_feed_across_two_characters_ends_no_line_where_a_stream_is_cut_off(place):
    rows = [{**row, "context": "\u0a0a\u0100" * 40} for row in MANY]
    data = cut_off(b"\xff\xfe" + lines(rows).decode().encode("utf-16-le"), "gzip")
    build = salvaged(place, data, "a.jsonl")
    assert 20 < len(build.written()) < 60
    assert numbers(build) == list(range(len(build.written())))
    assert [row["reason"] for row in build.rejects] == [TAIL]


def test_a_member_of_a_zip_whose_checksum_is_wrong(place):
    data = bytearray(zipped({"a.jsonl": lines(MANY)}, 0))
    at = data.index("질문 59".encode())
    data[at + 7] = ord("0")
    build = salvaged(place, bytes(data), "s.zip")
    assert len(numbers(build)) == 60
    assert "archive.crc" in build.rejects[-1]["message"]


def test_one_object_in_a_stream_that_is_cut_off(place):
    data = gzip.compress(json.dumps(ROWS[0], indent=1).encode(), 0, mtime=0)[:-9]
    error = refusal(place, data, salvage=True)
    assert error.reason in ("compress.truncated", "json.syntax", "format.unknown")


def test_a_stream_that_breaks_far_behind_the_sample(place):
    rows = [{"instruction": f"{n}", "input": "", "output": f"답 {n}"} for n in range(40_000)]
    for data, name in ((lines(rows), "a.jsonl"), (array(rows), "a.json")):
        packed = gzip.compress(data, 1, mtime=0)
        found = set()
        for unit_bytes, workers in ((50_000, 1), (1 << 20, 2)):
            build = merged(
                place,
                packed[: len(packed) * 4 // 5],
                name,
                salvage=True,
                unit_bytes=unit_bytes,
                workers=workers,
            )
            found.add(tuple(sorted(contents(place / "out").items())))
        assert len(found) == 1
        assert 20_000 < len(build.written()) < 40_000
        assert numbers(build) == list(range(len(build.written())))
        assert build.rejects[-1]["record"] == len(build.written())


# --- and the rest ---------------------------------------------------------------------------


def test_a_whole_file_loses_nothing_by_it(place):
    for name, data in FORMS.items():
        build = merged(place, data, name, salvage=True)
        assert (numbers(build), build.rejects) == (list(range(60)), [])


def test_the_files_behind_a_broken_one_are_read(place):
    (place / "a.json").write_bytes(array(MANY)[:-700])
    (place / "b.jsonl").write_bytes(lines(ROWS))
    recipe = write_recipe(
        place,
        {"sources": [{"name": "s", "files": ["a.json", "b.jsonl"], "salvage": True}]},
    )
    result = dollymix.merge(recipe, place / "out", workers=1)
    books = result.ledger.sources["s"]
    assert books.files == 2
    assert books.rejected[TAIL] == 1
    assert dollymix.explain(place / "out", "s/b.jsonl#0").raw == lines(ROWS[:1])[:-1]
    lost = dollymix.explain(place / "out", f"s/a.json#{books.written - 5}")
    assert (lost.raw, [part.row["reason"] for part in lost.parts]) == (None, [TAIL])
    assert "no place in the input" in lost.note


def test_without_it_the_file_is_refused_and_says_how_much_is_whole(place):
    error = refusal(place, array(MANY)[:-30])
    assert error.reason == "json.syntax"
    assert "59 whole records" in str(error)
