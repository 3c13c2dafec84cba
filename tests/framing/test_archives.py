"""Zips and tars: their members in order, each found again; one that is not safe refuses all."""

import bz2
import gzip
import io
import lzma
import os
import random
import shutil
import struct
import tarfile
import zipfile
import zlib

import pytest

import dollymix
from dollymix.framing import streams
from tests.framing.files import (
    ROWS,
    answers,
    array,
    entry,
    lines,
    merged,
    merged_files,
    refusal,
    tarred,
)
from tests.laws.builds import contents, zstd
from tests.laws.strategies import zipped

DATA = lines(ROWS)
ANSWERS = [row["output"] for row in ROWS]
OUTER = {
    "plain": bytes,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
}


# --- both -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", ["stored", "deflated", "plain", "gzip"])
def test_a_member_of_many_pieces_ends_where_it_ends(place, pack):
    rows = [
        {"instruction": f"{n}", "output": random.Random(n).randbytes(9999).hex()}
        for n in range(200)
    ]
    members = {"ab:c.jsonl": lines(rows), "b.jsonl": DATA}
    if pack in OUTER:
        file = OUTER[pack](tarred(members.items()))
    else:
        file = zipped(members, zipfile.ZIP_STORED if pack == "stored" else zipfile.ZIP_DEFLATED)
    assert answers(merged(place, file, "s.bin")) == [row["output"] for row in rows] + ANSWERS


# --- tar ------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", sorted(OUTER))
def test_the_members_of_a_tar_are_read_by_name(place, packing):
    members = [
        ("d/b.json", array(ROWS)),
        ("d/a.jsonl", DATA),
        ("d/.hidden", b"x"),
        ("__MACOSX/a.jsonl", b"x"),
        ("d/c.jsonl", b""),
    ]
    tar = tarred([(entry("d", tarfile.DIRTYPE), b""), *members[:-1]])
    found = []
    for unit_bytes in (1, 50, 1 << 20):
        build = merged(place, OUTER[packing](tar), "s.tar", unit_bytes=unit_bytes)
        assert answers(build) == ANSWERS * 2
        found.append(contents(place / "out"))
    assert found[0] == found[1] == found[2]
    assert build.written()[0][1]["id"] == "s/s.tar!d/a.jsonl#0"
    assert dollymix.explain(place / "out", "s/s.tar!d/a.jsonl#4").raw == lines(ROWS[4:])[:-1]
    raw = dollymix.explain(place / "out", "s/s.tar!d/b.json#2").raw
    assert raw == array(ROWS[2:3])[1:-1]
    assert dollymix.verify(place / "out").faults == []


@pytest.mark.parametrize("packing", sorted(set(OUTER) - {"plain"}))
def test_a_member_of_a_plain_tar_may_be_packed_once_more(place, packing):
    tar = tarred([("a.jsonl.x", OUTER[packing](DATA)), ("b.jsonl", DATA)])
    build = merged(place, tar, "s.tar")
    assert answers(build) == ANSWERS * 2
    assert dollymix.explain(place / "out", "s/s.tar!a.jsonl.x#1").raw == lines(ROWS[1:2])[:-1]


@pytest.mark.parametrize("format_", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_korean_names(place, format_):
    name = "긴" * 120 + "/" + "이름" * 30 + ".jsonl"
    build = merged(place, tarred([(name, DATA)], format=format_), "s.tar")
    assert {row["file"] for _, row in build.written()} == {f"s.tar!{name}"}
    assert dollymix.explain(place / "out", f"s/s.tar!{name}#0").raw == lines(ROWS[:1])[:-1]


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (("../a.jsonl", DATA), "archive.unsafe_name"),
        (("/etc/a.jsonl", DATA), "archive.unsafe_name"),
        (("a\\..\\b.jsonl", DATA), "archive.unsafe_name"),
        (("C:a.jsonl", DATA), "archive.unsafe_name"),
        (("a\nb.jsonl", DATA), "archive.unsafe_name"),
        ((entry("../d", tarfile.DIRTYPE), b""), "archive.unsafe_name"),
        ((entry("l", tarfile.SYMTYPE, linkname="/etc/passwd"), b""), "archive.unsafe_member"),
        ((entry("l", tarfile.LNKTYPE, linkname="good.jsonl"), b""), "archive.unsafe_member"),
        ((entry("l", tarfile.CHRTYPE), b""), "archive.unsafe_member"),
        ((entry("l", tarfile.BLKTYPE), b""), "archive.unsafe_member"),
        ((entry("l", tarfile.FIFOTYPE), b""), "archive.unsafe_member"),
        ((entry(".hidden", tarfile.SYMTYPE, linkname="x"), b""), "archive.unsafe_member"),
        (("good.jsonl", DATA), "archive.duplicate_name"),
        (("t.tar", tarred([("x.jsonl", DATA)])), "archive.nested"),
        (("t.zip", zipped({"x.jsonl": DATA})), "archive.nested"),
        (("bad.json", b"{"), "json.syntax"),
    ],
)
def test_a_member_of_a_tar_that_is_not_safe(place, member, reason):
    for packing in ("plain", "gzip"):
        tar = OUTER[packing](tarred([("good.jsonl", DATA), member]))
        assert refusal(place, tar, "s.tar").reason == reason


def test_a_tar_that_is_cut_off(place):
    whole = tarred([("a.jsonl", DATA), ("b.jsonl", DATA)])
    for end in (700, 1024, 1536, 2100):
        assert refusal(place, whole[:end], "s.tar").reason == "archive.truncated"
    # Its end is missing: whether members are missing, too, cannot be known.
    members = whole.rstrip(b"\x00")
    members += b"\x00" * (-len(members) % 512)
    assert refusal(place, members, "s.tar").reason == "archive.truncated"


def test_a_tar_in_a_stream_that_is_cut_off(place):
    whole = gzip.compress(tarred([("a.jsonl", DATA * 400)]), mtime=0)
    assert refusal(place, whole[:-8], "s.tar").reason == "compress.truncated"
    assert refusal(place, whole[:20], "s.tar").reason == "compress.truncated"


def test_data_behind_the_end_of_a_tar(place):
    whole = tarred([("a.jsonl", DATA)])
    for tail in (b"x", whole, b"\x00" * 5000 + b"x"):
        error = refusal(place, whole + tail, "s.tar")
        assert (error.reason, error.message) == (
            "archive.inconsistent",
            "has other data behind its end",
        )


def test_a_packed_tar_whose_data_was_changed(place):
    """The checksum of the stream stands behind the end of the tar."""
    packed = bytearray(gzip.compress(tarred([("a.jsonl", DATA)]), 0, mtime=0))
    at = packed.index("답 4".encode())
    packed[at + 4] = ord("5")
    assert refusal(place, bytes(packed), "s.tar").reason == "compress.checksum"


def test_a_tar_whose_headers_are_wrong(place):
    whole = bytearray(tarred([("a.jsonl", DATA), ("b.jsonl", DATA)]))
    second = whole.index(b"b.jsonl")
    whole[second] ^= 1  # its checksum does not fit any more
    assert refusal(place, bytes(whole), "s.tar").reason == "archive.truncated"


def test_an_attribute_of_a_tar_that_is_too_large(place):
    tar = tarred([("n" * (2 << 20) + ".jsonl", DATA)], format=tarfile.GNU_FORMAT)
    assert refusal(place, tar, "s.tar").reason == "archive.inconsistent"


def test_an_attribute_of_a_tar_that_is_just_small_enough(place):
    attributes = {"comment": "x" * ((1 << 20) - len("1048576 comment=\n"))}
    tar = tarred([(entry("a.jsonl", pax_headers=attributes), DATA)], format=tarfile.PAX_FORMAT)
    assert answers(merged(place, tar, "s.tar")) == ANSWERS


def test_headers_of_a_tar_across_the_pieces_of_a_stream(place):
    whole = tarred([("a.jsonl", DATA), ("b.jsonl", DATA)])
    second = whole.index(b"b.jsonl")
    for cut in (1, second + 1, second + 300):
        data = gzip.compress(whole[:cut]) + gzip.compress(whole[cut:])
        assert answers(merged(place, data, "s.tar")) == ANSWERS * 2


def test_a_sparse_member(place):
    tar = tarred(
        [(entry("a.jsonl", pax_headers={"GNU.sparse.map": "0,4", "GNU.sparse.size": "9"}), DATA)],
        format=tarfile.PAX_FORMAT,
    )
    assert refusal(place, tar, "s.tar").reason == "archive.unsafe_member"


def test_a_tar_without_files(place):
    for tar in (
        tarred([(entry("d", tarfile.DIRTYPE), b"")]),
        tarred([(".DS_Store", b"x")]),
    ):
        assert refusal(place, tar, "s.tar").reason == "input.empty"


def negative(name, size):
    """A tar's header block with a size below nothing, which tar's binary numbers can say."""
    header = bytearray(entry(name).tobuf())
    header[124:136] = (256**12 + size).to_bytes(12, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def test_a_header_of_a_tar_that_points_backwards(place, monkeypatch):
    """It would be read again and again; Python's own check of it is newer than Python 3.11."""
    tar = tarred([("a.jsonl", DATA)])[:1024] + negative("b.jsonl", -1024) + b"\0" * 1024
    assert refusal(place, tar, "s.tar").reason == "archive.truncated"
    monkeypatch.setattr(tarfile.TarInfo, "_block", lambda self, count: -(-count // 512) * 512)
    error = refusal(place, tar, "s.tar")
    assert (error.reason, error.message) == (
        "archive.truncated",
        "is no whole tar: a header points backwards",
    )


@pytest.mark.parametrize("packing", sorted(OUTER))
def test_a_tar_that_becomes_shorter_while_it_is_read(place, monkeypatch, packing):
    """After it was found to be as it was when the build began."""
    tar = tarred([("a.jsonl", lines(ROWS * 30))])
    data = OUTER[packing](tar)
    read = streams._Stream._member

    def shorter(stream, source, member):
        pieces = read(stream, source, member)
        os.truncate(source.path, 1000 if packing == "plain" else len(data) * 2 // 3)
        return pieces

    monkeypatch.setattr(streams._Stream, "_member", shorter)
    error = refusal(place, data, "s.tar")
    cut = {"plain": "the member is cut off [archive.truncated]"}
    said = cut.get(packing, "is cut off [compress.truncated]")
    assert str(error) == f"{place}/s.tar!a.jsonl at byte {error.byte}: {said}"
    assert error.byte is not None
    assert packing != "plain" or error.byte == 1000 - 512


@pytest.mark.parametrize("packing", sorted(OUTER))
def test_a_member_far_behind_another(place, packing):
    blanks = lines(ROWS[:1]) + b" " * (5 << 20) + b"\n"
    build = merged(place, OUTER[packing](tarred([("a.jsonl", blanks), ("b.jsonl", DATA)])), "s.tar")
    assert answers(build) == [ANSWERS[0], *ANSWERS]
    assert dollymix.explain(place / "out", "s/s.tar!b.jsonl#4").raw == lines(ROWS[4:])[:-1]


# --- zip ------------------------------------------------------------------------------------


def test_two_members_that_share_bytes(place):
    whole = bytearray(zipped({"a.json": DATA, "b.json": DATA}))
    at = whole.rindex(b"PK\x01\x02")
    whole[at + 42 : at + 46] = struct.pack("<I", 5)
    assert refusal(place, bytes(whole), "s.zip").reason == "archive.overlap"


def test_a_member_that_runs_into_the_directory(place):
    whole = bytearray(zipped({"a.json": DATA}))
    at = whole.rindex(b"PK\x01\x02")
    (size,) = struct.unpack("<I", whole[at + 20 : at + 24])
    whole[at + 20 : at + 24] = struct.pack("<I", size + 20)
    assert refusal(place, bytes(whole), "s.zip").reason == "archive.overlap"


def test_a_member_that_is_not_where_the_zip_says(place):
    whole = bytearray(zipped({"a.json": DATA, "b.json": DATA}))
    at = whole.rindex(b"PK\x01\x02")
    (offset,) = struct.unpack("<I", whole[at + 42 : at + 46])
    whole[at + 42 : at + 46] = struct.pack("<I", offset + 3)
    assert refusal(place, bytes(whole), "s.zip").reason == "archive.inconsistent"


@pytest.mark.parametrize("before", [b"x", b"#!/bin/sh\n", b"MZ" + b"\x00" * 600, DATA])
def test_data_before_the_first_member(place, before):
    error = refusal(place, before + zipped({"a.json": DATA}), "s.zip")
    assert error.reason == "archive.inconsistent"


def test_a_member_under_another_name_where_its_data_is(place):
    whole = bytearray(zipped({"a.json": DATA}))
    at = whole.index(b"a.json")
    whole[at] = ord("b")
    assert refusal(place, bytes(whole), "s.zip").reason == "archive.inconsistent"


def korean(names, encoding="cp949"):
    """A zip as Korean Windows writes it: names in its own encoding, and nothing says so."""
    whole = zipped({f"n{n:03}": data for n, data in enumerate(names.values())})
    for number, name in enumerate(names):
        stored = name.encode(encoding)
        assert len(stored) == 4
        whole = whole.replace(f"n{number:03}".encode(), stored)
    return whole


def test_a_name_that_says_it_is_utf8(place):
    build = merged(place, zipped({"가나/다.jsonl": DATA}), "s.zip")
    assert {row["file"] for _, row in build.written()} == {"s.zip!가나/다.jsonl"}
    assert dollymix.explain(place / "out", "s/s.zip!가나/다.jsonl#4").raw == lines(ROWS[4:])[:-1]


def noted(members, extra=b""):
    """A zip as Unix writes it, with something beside each name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100644 << 16
            info.extra = extra
            archive.writestr(info, data)
    return buffer.getvalue()


def test_what_stands_between_a_name_and_the_data(place):
    data = noted({"a.json": DATA}, struct.pack("<HH", 0x9999, 300) + b"x" * 300)
    assert answers(merged(place, data, "s.zip")) == ANSWERS


@pytest.mark.parametrize("other", ["나.json", "../b.json", "b.json/"])
def test_a_second_name_of_a_member_is_not_looked_at(place, other):
    """Pythons differ in whether they do; an id does not."""
    name = struct.pack("<BL", 1, zlib.crc32(b"a.json")) + other.encode()
    data = noted({"a.json": DATA}, struct.pack("<HH", 0x7075, len(name)) + name)
    build = merged(place, data, "s.zip")
    assert {row["file"] for _, row in build.written()} == {"s.zip!a.json"}


def test_one_name_in_two_encodings(place):
    whole = zipped({"나다": DATA, "nnnn": DATA})
    assert answers(merged(place, whole, "s.zip")) == ANSWERS * 2
    shutil.rmtree(place / "out")
    error = refusal(place, whole.replace(b"nnnn", "나다".encode("cp949")), "s.zip")
    assert str(error) == f"{place}/s.zip!나다: two members have this name [archive.duplicate_name]"


def deflated(stream, data):
    """A zip of one member, packed as this stream, that is told to hold this data."""
    whole = bytearray(zipped({"a.jsonl": stream}, zipfile.ZIP_STORED))
    for head, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = whole.index(head) + at
        whole[start : start + 2] = struct.pack("<H", zipfile.ZIP_DEFLATED)
        whole[start + 6 : start + 10] = struct.pack("<I", zlib.crc32(data))
        whole[start + 14 : start + 18] = struct.pack("<I", len(data))
    return bytes(whole)


def test_a_deflated_member_that_is_broken(place):
    packer = zlib.compressobj(wbits=-15)
    body = packer.compress(DATA) + packer.flush(zlib.Z_SYNC_FLUSH)
    assert answers(merged(place, deflated(body + packer.flush(), DATA), "s.zip")) == ANSWERS
    shutil.rmtree(place / "out")
    # All of the data is there, but not the end of the stream.
    error = refusal(place, deflated(body, DATA), "s.zip")
    told = f"s.zip!a.jsonl at byte {len(DATA)}: the member is cut off [archive.truncated]"
    assert str(error) == f"{place}/{told}"
    # A block of a kind that there is not.
    error = refusal(place, deflated(body + b"\x07" + b"\xff" * 20, DATA), "s.zip")
    assert str(error).startswith(f"{place}/s.zip!a.jsonl at byte 0: cannot be unpacked: ")
    assert error.reason == "compress.broken"


@pytest.mark.parametrize("encoding", ["cp949", "utf-8"])
def test_names_in_the_encoding_of_korean_windows(place, encoding):
    names = {"나다": DATA, "가나": DATA} if encoding == "cp949" else {"나1": DATA, "가2": DATA}
    build = merged(place, korean(names, encoding), "s.zip")
    assert [row["file"] for _, row in build.written()][::5] == [
        f"s.zip!{name}" for name in sorted(names)
    ]
    for name in names:
        raw = dollymix.explain(place / "out", f"s/s.zip!{name}#2").raw
        assert raw == lines(ROWS[2:3])[:-1]
    assert dollymix.verify(place / "out").faults == []


def test_a_name_in_no_encoding(place):
    whole = zipped({"n000": DATA}).replace(b"n000", b"\x80\x80\x80\x80")
    build = merged(place, whole, "s.zip")
    assert answers(build) == ANSWERS


def test_a_zip_that_changes_between_plan_and_reading(place):
    from dollymix.framing.inputs import list_inputs, reopen
    from dollymix.framing.streams import open_stream

    (place / "s.zip").write_bytes(zipped({"a.json": DATA}))
    (item,) = list_inputs(["s.zip"], place)
    assert reopen(item.path, item.name, "a.json").member == "a.json"
    with pytest.raises(dollymix.InputError) as caught:
        reopen(item.path, item.name, "b.json")
    gone = f"{item.path}: holds no member b.json any more [io.changed]"
    assert str(caught.value) == gone
    for now in (zipped({"longer name.json": DATA, "a.json": DATA})[30:], b"PK\x05\x06", b""):
        (place / "s.zip").write_bytes(now)
        with pytest.raises(dollymix.InputError) as caught:
            open_stream(item, "none").read()
        assert str(caught.value) == f"{item.path}: was changed while it was read [io.changed]"


# --- members that are no data ---------------------------------------------------------------

NOTES = b"Read me first.\n\nThis is a data set.\n"


@pytest.mark.parametrize("pack", [zipped, lambda members: tarred(members.items())])
def test_members_that_are_no_data_are_passed_over_and_named(place, pack):
    members = {"README.md": NOTES, "a.jsonl": DATA, "logo.pdf": b"%PDF-1.4\n", "p.html": b"<html>"}
    members["blob"] = b"\x00" * 5000
    build = merged(place, pack(members), "s.bin")
    assert answers(build) == ANSWERS
    books = build.ledger["sources"]["s"]
    assert books["warnings"]["archive.skipped_member"] == 4
    assert (books["files"], books["files_refused"]) == (1, [])
    told = "\n".join(build.manifest["warnings"])
    for name in ("README.md", "logo.pdf", "p.html", "blob"):
        assert f"!{name}" in told
    assert dollymix.verify(place / "out").faults == []


@pytest.mark.parametrize(
    "name",
    ["b.json", "b.JSONL", "b.ndjson", "b.csv", "b.tsv", "b.parquet", "b.jsonl.gz", "b.arrow"],
)
def test_a_member_whose_name_is_one_of_data_is_never_passed_over(place, name):
    error = refusal(place, zipped({"a.jsonl": DATA, name: NOTES}), "s.zip")
    assert error.reason == "format.unknown"
    assert f"!{name}" in error.place


def test_a_member_that_is_broken_or_of_no_known_format_by_its_records(place):
    for data, reason in (
        (b"", "input.empty"),
        (gzip.compress(DATA)[:-9], "compress.truncated"),
        (b"[1, ", "json.syntax"),
    ):
        error = refusal(place, zipped({"a.jsonl": DATA, "b": data}), "s.zip")
        assert error.reason == reason


def test_an_archive_of_nothing_but_other_things_is_refused(place):
    error = refusal(place, zipped({"README.md": NOTES, "LICENSE": NOTES}), "s.zip")
    assert error.reason == "format.unknown"


def test_what_one_source_passes_over_is_no_matter_of_the_next(place):
    (place / "s.zip").write_bytes(zipped({"README.md": NOTES, "a.jsonl": DATA}))
    (place / "empty.jsonl").write_bytes(b"")
    recipe = (
        "version: 1\nsources:\n  - {name: s, files: [s.zip]}\n"
        "  - {name: e, files: [empty.jsonl], allow_empty: true}\n"
    )
    (place / "recipe.yaml").write_text(recipe)
    result = dollymix.merge(place / "recipe.yaml", place / "out", workers=1)
    assert result.ledger.sources["s"].warnings == {"archive.skipped_member": 1}
    assert result.ledger.sources["e"].records == 0


def test_a_file_that_is_no_data_is_not_passed_over(place):
    (place / "a.jsonl").write_bytes(DATA)
    (place / "README.md").write_bytes(NOTES)
    with pytest.raises(dollymix.InputError) as caught:
        merged_files(place, ["a.jsonl", "README.md"])
    assert caught.value.reason == "format.unknown"


def test_bad_members_may_be_skipped_alone(place):
    data = zipped({"a.jsonl": DATA, "b.json": b"[{}, ", "c.txt": NOTES})
    build = merged(place, data, "s.zip", on_bad_file="skip")
    assert answers(build) == ANSWERS
    books = build.ledger["sources"]["s"]
    assert [out["file"] for out in books["files_refused"]] == ["s.zip!b.json"]
    assert books["warnings"]["archive.skipped_member"] == 1


def test_an_unsafe_archive_may_be_skipped_whole(place):
    (place / "a.jsonl").write_bytes(DATA)
    (place / "s.zip").write_bytes(zipped({"b.jsonl": DATA, "../c.jsonl": DATA}))
    recipe = (
        "version: 1\non_bad_file: skip\nsources:\n  - {name: z, files: [s.zip]}\n"
        "  - {name: s, files: [a.jsonl]}\n"
    )
    (place / "recipe.yaml").write_text(recipe)
    result = dollymix.merge(place / "recipe.yaml", place / "out", workers=1)
    (refused,) = result.ledger.sources["z"].files_refused
    assert refused.reason == "archive.unsafe_name"
    assert result.ledger.sources["s"].written == 5


def test_what_inspect_says_of_each_member(place):
    (place / "s.zip").write_bytes(zipped({"README.md": NOTES, "a.jsonl": DATA}))
    notes, data = dollymix.inspect(place / "s.zip")
    assert (notes.file, notes.fault.reason) == ("s.zip!README.md", "format.unknown")
    assert (data.file, data.fault) == ("s.zip!a.jsonl", None)
