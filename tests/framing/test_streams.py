"""Packed streams: read to their end whatever they are made of, or refused with the reason."""

import bz2
import gzip
import json
import lzma
import tracemalloc

import pytest

import dollymix
from tests.framing.files import ROWS, answers, array, lines, merged, refusal
from tests.helpers import read_lineage
from tests.laws.builds import contents, zstd
from tests.laws.strategies import zipped

DATA = lines(ROWS)
ANSWERS = [row["output"] for row in ROWS]
PACK = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
}
KINDS = sorted(PACK)


# --- whole ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_gives_the_same_records_at_any_unit_size(place, kind):
    plain = merged(place, DATA, "a.jsonl")
    expected = [line for line, _ in plain.written()]
    found = []
    for unit_bytes in (1, 7, 1 << 20):
        build = merged(place, PACK[kind](DATA), "a.jsonl", unit_bytes=unit_bytes)
        assert [line for line, _ in build.written()] == expected
        found.append(contents(place / "out"))
    assert found[0] == found[1] == found[2]
    (entry,) = build.manifest["inputs"]
    assert entry["compression"] == kind
    assert dollymix.explain(place / "out", "s/a.jsonl#3").raw == lines(ROWS[3:4])[:-1]


@pytest.mark.parametrize("kind", KINDS)
def test_several_streams_stand_behind_one_another(place, kind):
    pack = PACK[kind]
    data = pack(DATA[:70]) + pack(b"") + pack(DATA[70:])
    for unit_bytes in (1, 1 << 20):
        assert answers(merged(place, data, "a.jsonl", unit_bytes=unit_bytes)) == ANSWERS


def test_xz_may_be_padded_and_bzip2_may_not(place):
    padded = bz2.compress(DATA) + b"\x00" * 8
    assert refusal(place, padded, "b.jsonl").reason == "compress.trailing_data"
    data = lzma.compress(DATA[:70]) + b"\x00" * 8 + lzma.compress(DATA[70:]) + b"\x00" * 4
    assert answers(merged(place, data, "a.jsonl")) == ANSWERS


def test_padding_may_be_longer_than_a_piece_that_is_read(place):
    data = gzip.compress(DATA, mtime=0) + b"\x00" * (3 << 20) + gzip.compress(DATA, mtime=0)
    assert answers(merged(place, data, "a.jsonl")) == ANSWERS * 2


def test_skippable_frames_of_zstd_may_stand_anywhere(place):
    note = b"\x5a\x2a\x4d\x18\x04\x00\x00\x00note"
    data = note + zstd.compress(DATA[:70]) + note + zstd.compress(DATA[70:]) + note
    assert answers(merged(place, data, "a.jsonl")) == ANSWERS


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_inside_a_zip(place, kind):
    data = zipped({"a.json": PACK[kind](array(ROWS)), "b.json": PACK[kind](DATA)})
    assert answers(merged(place, data, "s.zip")) == ANSWERS * 2


# --- broken ---------------------------------------------------------------------------------


def _late(kind):
    """A stream that is broken in its last bytes, far behind the sample."""
    rows = [{"instruction": f"{n}", "output": f"{n * 7919 % 65537:x}" * 9} for n in range(30_000)]
    packed = bytearray(PACK[kind](lines(rows)))
    packed[-len(packed) // 4] ^= 0xFF
    return bytes(packed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_stream_that_is_cut_off(place, kind, share):
    data = PACK[kind](DATA)
    error = refusal(place, data[: max(int(len(data) * share), 12)], "a.jsonl")
    assert error.reason == "compress.truncated"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tail", [b"x", b"garbage behind it", PACK["gzip"](b"a"), b"BZh", b"\x1f"])
def test_other_data_behind_a_stream(place, kind, tail):
    if kind == "gzip" and tail.startswith(b"\x1f\x8b"):
        tail = bz2.compress(b"a")
    error = refusal(place, PACK[kind](DATA) + tail, "a.jsonl")
    is_second = (kind, tail) == ("bzip2", b"BZh")  # a second stream that is cut off
    assert error.reason == ("compress.truncated" if is_second else "compress.trailing_data")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_breaks_late_publishes_nothing(place, kind):
    error = refusal(place, _late(kind), "a.jsonl", unit_bytes=100_000)
    assert error.reason in ("compress.broken", "compress.checksum", "compress.memory")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_packed_twice(place, kind):
    for inner in KINDS:
        data = PACK[kind](PACK[inner](DATA))
        assert refusal(place, data, "a.jsonl").reason == "compress.nested"


def test_a_stream_that_is_no_stream_behind_its_magic_number(place):
    for magic in (b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd", b"BZh9", b"\xfd7zXZ\x00"):
        error = refusal(place, magic + b"no stream, just text" * 9, "a.jsonl")
        assert error.reason.startswith("compress.")


def test_a_checksum_of_xz_and_bzip2(place):
    broken = bytearray(bz2.compress(DATA))
    broken[10] ^= 1  # of its block's checksum
    assert refusal(place, bytes(broken), "a.jsonl").reason == "compress.broken"
    broken = bytearray(lzma.compress(DATA, check=lzma.CHECK_CRC32))
    broken[8] ^= 1  # of its header's checksum
    assert refusal(place, bytes(broken), "a.jsonl").reason.startswith("compress.")


# --- limits ---------------------------------------------------------------------------------


def _window(log):
    options = {zstd.CompressionParameter.window_log: log}
    packer = zstd.ZstdCompressor(options=options)
    # Written piece by piece: a frame that does not tell its size needs its whole window.
    half = len(DATA) // 2
    return packer.compress(DATA[:half]) + packer.compress(DATA[half:]) + packer.flush()


def test_a_window_that_is_too_large_is_refused(place):
    assert refusal(place, _window(28), "a.jsonl").reason == "compress.memory"
    assert answers(merged(place, _window(27), "a.jsonl")) == ANSWERS


def test_a_dictionary_of_xz_that_is_too_large_is_refused(place):
    def packed(size):
        chain = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": size}]
        return lzma.compress(DATA, lzma.FORMAT_XZ, filters=chain)

    assert refusal(place, packed(256 << 20), "a.jsonl").reason == "compress.memory"
    assert answers(merged(place, packed(64 << 20), "a.jsonl")) == ANSWERS


def test_a_dictionary_of_zstd_that_nobody_has(place):
    samples = [json.dumps({"instruction": f"{n} q", "output": str(n)}).encode() for n in range(999)]
    trained = zstd.train_dict(samples, 4096)
    error = refusal(place, zstd.compress(DATA, zstd_dict=trained), "a.jsonl")
    assert error.reason == "compress.dictionary"


@pytest.fixture(scope="module")
def bomb():
    """Two records and 80 MiB of blanks."""
    return lines(ROWS[:1]) + b" " * (80 << 20) + b"\n" + lines(ROWS[1:2])


@pytest.mark.parametrize("kind", ["gzip", "zstd", "zip"])
def test_what_grows_too_much_is_refused_unless_it_is_allowed(place, bomb, kind):
    packed = zipped({"a.jsonl": bomb}) if kind == "zip" else PACK[kind](bomb)
    error = refusal(place, packed, "a.jsonl")
    member = "!a.jsonl" if kind == "zip" else ""
    told = "grows more than 500 times: a bomb? `limits: {ratio: N}` allows more [compress.ratio]"
    assert str(error) == f"{place}/a.jsonl{member}: {told}"
    build = merged(place, packed, "a.jsonl", limits={"ratio": 1_000_000})
    assert answers(build) == ANSWERS[:2]
    # What the recipe allowed is not held against the input when it is looked at again.
    row = read_lineage(place / "out")[1]
    assert json.loads(dollymix.explain(place / "out", row["id"]).raw)["output"] == ANSWERS[1]
    assert dollymix.verify(place / "out").faults == []


def test_what_grows_little_is_not_looked_at_so_closely(place):
    # 20 MiB out of a few KiB is fine: it is small all the same.
    packed = gzip.compress(lines(ROWS[:1]) + b" " * (20 << 20) + b"\n", mtime=0)
    assert answers(merged(place, packed, "a.jsonl")) == ANSWERS[:1]


def test_a_bomb_is_not_held_in_memory(place, bomb):
    packed = gzip.compress(bomb, mtime=0)
    tracemalloc.start()
    try:
        refusal(place, packed, "a.jsonl", limits={"record_bytes": 1 << 20})
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
