"""Which files are read, in which order, under which names; and packed ones, whole or broken."""

import errno
import gzip
import io
import os
import struct
import zipfile
from pathlib import Path

import pytest

import dollymix
from dollymix.framing import streams
from tests.framing.files import ROWS, answers, array, lines, merged, merged_files, refusal
from tests.laws.builds import zstd
from tests.laws.strategies import zipped

DATA = lines(ROWS)


def write(place: Path, names: list[str]) -> None:
    """A file of one row under each name; the row's answer is the name."""
    for name in names:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lines([{"instruction": "q", "output": os.fsencode(name).hex()}]))


def order(place: Path, files: list[str]) -> list[str]:
    """The names of the files in the order in which their rows were written."""
    found = answers(merged_files(place, files))
    return [os.fsdecode(bytes.fromhex(answer)) for answer in found]


# --- order and names ------------------------------------------------------------------------


def test_files_are_read_in_the_order_in_which_they_are_listed(place):
    write(place, ["b.json", "a.json", "c.json"])
    assert order(place, ["c.json", "a.json", "b.json"]) == ["c.json", "a.json", "b.json"]


def test_a_folder_is_read_by_the_encoded_path_and_hidden_files_are_left_out(place):
    names = ["d/b.json", "d/a/z.json", "d/a.json", "d/Z.json", "d/가.json", "d/a-b.json"]
    write(place, [*names, "d/.hidden.json", "d/.git/config", "d/__MACOSX/x.json"])
    assert order(place, ["d"]) == sorted(names)
    # `!` becomes `%21`, which stands behind `$`.
    write(place, ["e/!.json", "e/$.json"])
    for pattern in ("e", "e/*.json"):
        assert order(place, [pattern]) == ["e/$.json", "e/!.json"]


def test_a_glob_is_sorted_whatever_the_file_system_says(place):
    write(place, ["d/10.json", "d/9.json", "d/x/1.json", "d/1.txt"])
    assert order(place, ["d/*.json"]) == ["d/10.json", "d/9.json"]
    assert order(place, ["d/**/*.json"]) == ["d/10.json", "d/9.json", "d/x/1.json"]


def test_members_of_an_archive_are_read_by_name(place):
    members = ("b.json", "a/x.json", "a.json", "__MACOSX/._a.json", ".DS_Store")
    packed = {name: lines([{"instruction": "q", "output": name}]) for name in members}
    build = merged(place, zipped(packed), "s.zip")
    assert answers(build) == ["a.json", "a/x.json", "b.json"]
    assert [row["id"] for _, row in build.written()] == [
        "s/s.zip!a.json#0",
        "s/s.zip!a/x.json#0",
        "s/s.zip!b.json#0",
    ]


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("100%.json", "100%25.json"),
        ("a#1.json", "a%231.json"),
        ("wow!.json", "wow%21.json"),
        ("new\nline.json", "new%0Aline.json"),
        ("esc\x1b[31m.json", "esc%1B[31m.json"),
        ("한국어 이름.json", "한국어 이름.json"),
        (os.fsdecode(b"\xb0\xa1.json"), "%B0%A1.json"),
        ("-x [a]?.json", "-x [a]?.json"),
        ("rtl\u202e.json", "rtl%E2%80%AE.json"),
    ],
)
def test_a_strange_name_is_percent_encoded_in_ids(place, name, encoded):
    (place / "in").mkdir()
    path = place / "in" / name
    path.write_bytes(DATA + b"no json\n")
    dollymix.merge([place / "in"], place / "out", workers=1)
    life = dollymix.explain(place / "out", f"in/{encoded}#4")
    assert life.raw == lines(ROWS[4:])[:-1]
    (lost,) = dollymix.explain(place / "out", f"in/{encoded}#5").parts
    assert lost.row["file"] == encoded
    report = dollymix.verify(place / "out")
    assert (report.faults, report.notes) == ([], [])


def test_names_are_below_the_deepest_folder_that_all_files_share(place):
    write(place, ["x/y/a.json", "x/y/z/b.json"])
    build = merged_files(place, ["x/y/a.json", "x/y/z/b.json"])
    assert [row["file"] for _, row in build.written()] == ["a.json", "z/b.json"]


def test_bare_paths_of_one_name_become_sources_with_numbers(place):
    write(place, ["x/a.json", "y/a.json", "a.jsonl"])
    paths = [place / name for name in ("x/a.json", "y/a.json", "a.jsonl")]
    result = dollymix.merge(paths, place / "out", workers=1)
    assert list(result.ledger.sources) == ["a", "a-2", "a-3"]


def test_glob_signs_in_the_name_of_a_file_that_is_there_are_taken_as_they_are(place):
    write(place, ["[a].json", "a.json"])
    assert order(place, ["[a].json"]) == ["[a].json"]


# --- what is no file ------------------------------------------------------------------------


def refused(place: Path, *files: str) -> dollymix.InputError:
    """How a list of files is refused."""
    with pytest.raises(dollymix.InputError) as caught:
        merged_files(place, list(files))
    return caught.value


def test_a_missing_file_names_a_near_one(place):
    write(place, ["ko_dataset.json"])
    error = refused(place, "ko_datset.json")
    assert error.reason == "io.missing"
    assert "ko_dataset.json" in str(error)


@pytest.mark.parametrize(
    ("files", "reason"),
    [("none/a.json", "io.missing"), ("*.json", "io.missing"), ("empty", "io.not_regular")],
)
def test_nothing_to_read_is_refused(place, files, reason):
    (place / "empty").mkdir()
    assert refused(place, files).reason == reason


def test_a_pipe_is_refused_and_not_waited_for(place):
    os.mkfifo(place / "pipe.json")
    assert refused(place, "pipe.json").reason == "io.not_regular"
    (place / "d").mkdir()
    os.mkfifo(place / "d" / "pipe.json")
    assert refused(place, "d").reason == "io.not_regular"


def test_a_device_is_refused(place):
    assert refused(place, "/dev/zero").reason == "io.not_regular"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_file_that_cannot_be_opened(place, monkeypatch, number):
    """Not when it is listed, when it is looked at, or when it is read."""
    real, left = open, [number]

    def refuse(path, *arguments, **settings):
        left[0] -= 1
        if not left[0]:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, *arguments, **settings)

    monkeypatch.setattr(streams, "open", refuse, raising=False)
    error = refusal(place, gzip.compress(DATA), "a.jsonl")
    path = place / "a.jsonl"
    assert str(error) == f"{path}: cannot be read: Permission denied [io.unreadable]"
    assert left[0] <= 0


def test_links_are_followed_and_those_that_lead_nowhere_refused(place):
    write(place, ["real.json"])
    os.symlink("real.json", place / "good.json")
    os.symlink("gone.json", place / "broken.json")
    os.symlink("loop.json", place / "loop.json")
    assert order(place, ["good.json"]) == ["real.json"]
    assert refused(place, "broken.json").reason == "io.missing"
    assert refused(place, "loop.json").reason == "io.loop"


def test_a_file_listed_twice_in_one_source_is_refused(place):
    write(place, ["a.json"])
    assert refused(place, "a.json", "a.json").reason == "io.repeated"
    assert refused(place, "a.json", "*.json").reason == "io.repeated"
    assert refused(place, "a.json", "./x/../a.json").reason == "io.repeated"


def test_one_bad_file_may_be_skipped_and_is_in_the_books(place):
    write(place, ["a.json", "c.json"])
    (place / "b.json").write_bytes(array(ROWS)[:-20])
    with pytest.raises(dollymix.InputError):
        merged_files(place, ["a.json", "b.json", "c.json"])
    expected = None
    for unit_bytes in (1, 7, 100, 1 << 20):
        files = ["a.json", "b.json", "c.json"]
        build = merged_files(place, files, on_bad_file="skip", unit_bytes=unit_bytes)
        books = build.ledger["sources"]["s"]
        (out,) = books["files_refused"]
        assert (out["file"], out["reason"]) == ("b.json", "json.syntax")
        assert (books["files"], books["records"], books["written"]) == (2, 2, 2)
        assert {row["file"] for _, row in build.written()} == {"a.json", "c.json"}
        assert dollymix.verify(place / "out").faults == []
        expected = expected or build.ledger
        assert build.ledger == expected


def test_every_refused_file_is_named_at_once(place):
    (place / "a.json").write_bytes(b"")
    (place / "b.json").write_bytes(b"<html>")
    with pytest.raises(dollymix.BuildError) as caught:
        merged_files(place, ["a.json", "b.json"])
    said = str(caught.value).splitlines()
    assert len(said) == 2
    assert "input.empty" in said[0]
    assert "format.mismatch" in said[1]


# --- gzip -----------------------------------------------------------------------------------

_ZIPPED = gzip.compress(DATA, mtime=0)


@pytest.mark.parametrize(
    "data",
    [
        _ZIPPED,
        gzip.compress(DATA[:70], mtime=0) + gzip.compress(DATA[70:], mtime=0),
        gzip.compress(b"") + _ZIPPED + gzip.compress(b""),
        _ZIPPED + b"\x00" * 700,
        gzip.compress(DATA, compresslevel=0),
    ],
    ids=["one member", "a record across members", "empty members", "zero padding", "stored"],
)
@pytest.mark.parametrize("unit_bytes", [1, 50, 1 << 20])
def test_gzip_is_read_to_its_end(place, data, unit_bytes):
    build = merged(place, data, "a.jsonl", unit_bytes=unit_bytes)
    assert answers(build) == [row["output"] for row in ROWS]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_ZIPPED[: len(_ZIPPED) // 2], "compress.truncated"),
        (_ZIPPED[:-4], "compress.truncated"),
        (_ZIPPED[:-8], "compress.truncated"),
        (_ZIPPED[:10], "compress.truncated"),
        (_ZIPPED + b"garbage", "compress.trailing_data"),
        (_ZIPPED + b"\x00\x00garbage", "compress.trailing_data"),
        (_ZIPPED[:-8] + b"\x00\x00\x00\x00" + _ZIPPED[-4:], "compress.checksum"),
        (_ZIPPED[:-4] + b"\x01\x00\x00\x00", "compress.checksum"),
        (gzip.compress(_ZIPPED), "compress.nested"),
        (gzip.compress(b""), "input.empty"),
    ],
    ids=[
        "half",
        "without its length",
        "without its trailer",
        "its header alone",
        "garbage behind it",
        "garbage behind zeros",
        "bad checksum",
        "bad length",
        "twice packed",
        "empty",
    ],
)
def test_a_broken_gzip_is_refused(place, data, reason):
    assert refusal(place, data, "a.jsonl").reason == reason


def test_a_gzip_that_breaks_late_publishes_nothing_of_itself(place):
    data = b"".join(lines(ROWS) for _ in range(8_000))
    broken = bytearray(gzip.compress(data, 1, mtime=0))
    broken[-6] ^= 1
    assert (
        refusal(place, bytes(broken), "a.jsonl", unit_bytes=100_000).reason == "compress.checksum"
    )


# --- zstd -----------------------------------------------------------------------------------

_CHECKED = zstd.compress(DATA, options={zstd.CompressionParameter.checksum_flag: 1})
_SKIPPED = struct.pack("<II", 0x184D2A50, 4) + b"note"


@pytest.mark.parametrize(
    "data",
    [
        _CHECKED,
        zstd.compress(DATA[:70]) + zstd.compress(DATA[70:]),
        _CHECKED + _SKIPPED,
        zstd.compress(b"") + _CHECKED,
    ],
    ids=["one frame", "two frames", "a skippable frame behind", "an empty frame before"],
)
@pytest.mark.parametrize("unit_bytes", [1, 50, 1 << 20])
def test_zstd_is_read_to_its_end(place, data, unit_bytes):
    build = merged(place, data, "a.jsonl", unit_bytes=unit_bytes)
    assert answers(build) == [row["output"] for row in ROWS]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_CHECKED[: len(_CHECKED) // 2], "compress.truncated"),
        (_CHECKED[:-2], "compress.truncated"),
        (_CHECKED[:-4] + b"abcd", "compress.checksum"),
        (_CHECKED + b"garbage", "compress.trailing_data"),
        (zstd.compress(_CHECKED), "compress.nested"),
    ],
    ids=["half", "without its checksum", "bad checksum", "garbage behind it", "twice packed"],
)
def test_a_broken_zstd_is_refused(place, data, reason):
    assert refusal(place, data, "a.jsonl").reason == reason


# --- zip ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("unit_bytes", [1, 50, 1 << 20])
def test_a_zip_is_read_stored_or_deflated(place, method, unit_bytes):
    data = zipped({"b.json": array(ROWS[3:]), "a.json": DATA}, method)
    build = merged(place, data, "s.zip", unit_bytes=unit_bytes)
    expected = [row["output"] for row in ROWS]
    assert answers(build) == expected + expected[3:]


def test_a_zip_written_as_a_stream_is_read(place):
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.data = bytearray()

        def writable(self):
            return True

        def write(self, piece):
            self.data += piece
            return len(piece)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", DATA)
    assert answers(merged(place, bytes(pipe.data), "s.zip")) == [row["output"] for row in ROWS]


def _flagged() -> bytes:
    """A zip whose member says that it is encrypted."""
    data = bytearray(zipped({"a.json": DATA}))
    data[6] |= 1
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    return bytes(data)


def _twice() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.json", DATA)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.json", DATA)
    return buffer.getvalue()


def _linked() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("a.json")
        info.create_system = 3
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/hostname")
    return buffer.getvalue()


def _bad_crc() -> bytes:
    data = zipped({"a.json": DATA}, zipfile.ZIP_STORED)
    return data.replace("답 4".encode(), "답 5".encode(), 1)


def _lying_size() -> bytes:
    """A zip whose directory says less than the member gives."""
    data = zipped({"a.json": DATA})
    size = struct.pack("<I", len(DATA))
    return data.replace(size, struct.pack("<I", 10))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_flagged, "archive.encrypted"),
        (lambda: zipped({"../a.json": DATA}), "archive.unsafe_name"),
        (lambda: zipped({"a/../../b.json": DATA}), "archive.unsafe_name"),
        (lambda: zipped({"/etc/a.json": DATA}), "archive.unsafe_name"),
        (lambda: zipped({"C:a.json": DATA}), "archive.unsafe_name"),
        (lambda: zipped({"..\\a.json": DATA}), "archive.unsafe_name"),
        (lambda: zipped({"a\nb.json": DATA}), "archive.unsafe_name"),
        (lambda: zipped({"a.json": DATA, "../b.json": DATA}), "archive.unsafe_name"),
        (_twice, "archive.duplicate_name"),
        (_linked, "archive.unsafe_member"),
        (_bad_crc, "archive.crc"),
        (lambda: zipped({"a.json": DATA})[:-30], "archive.truncated"),
        (lambda: zipped({"a.json": DATA})[:60], "archive.truncated"),
        (lambda: zipped({}), "input.empty"),
        (lambda: zipped({"a/": b""}), "input.empty"),
        (lambda: zipped({"a.zip": zipped({"b.json": DATA})}), "archive.nested"),
        (lambda: zipped({"a.json": DATA}, zipfile.ZIP_BZIP2), "archive.method"),
        (lambda: zipped({"a.json": b"<!DOCTYPE html>"}), "format.mismatch"),
    ],
    ids=[
        "encrypted",
        "up",
        "up from inside",
        "absolute",
        "drive",
        "backslash",
        "line feed",
        "up, beside a good one",
        "one name twice",
        "link",
        "checksum",
        "truncated",
        "its head alone",
        "empty",
        "folders alone",
        "zip in zip",
        "bzip2",
        "web page",
    ],
)
def test_a_bad_zip_is_refused(place, make, reason):
    assert refusal(place, make(), "s.zip").reason == reason


def test_a_zip_whose_directory_lies_about_a_size_is_refused(place):
    assert refusal(place, _lying_size(), "s.zip").reason.startswith("archive.")


def test_a_member_may_be_packed_once_more(place):
    build = merged(place, zipped({"a.jsonl.gz": gzip.compress(DATA, mtime=0)}), "s.zip")
    assert answers(build) == [row["output"] for row in ROWS]


def test_a_name_ending_says_nothing(place):
    for name, data in (("a.gz", DATA), ("b.zip", DATA), ("c.txt", DATA)):
        assert len(answers(merged(place, data, name))) == len(ROWS)
