"""Each way in which a file is refused or a record rejected: the whole line that the user reads."""

import bz2
import gzip
import io
import lzma
import os
import re
import tarfile
import warnings
import zipfile

import pyarrow as pa
import pytest

import dollymix
from tests.framing.files import arrow, entry, merged, merged_files, parquet, refusal, tarred
from tests.laws.builds import zstd
from tests.laws.strategies import zipped

ROW = b'{"instruction": "q", "output": "a"}'
LONG = b'{"instruction": "q", "output": "%s"}' % (b"a longer answer " * 6)
DEEP = b'{"instruction": "q", "output": "a", "x": [[[[]]]]}'
PAGE = b'{"context": "a", "qas": [{"question": "q", "answer": {"text": "a", "answer_start": 0}}]}'
TABLE = pa.table({"instruction": ["q"], "output": ["a"]})
UTF16, UTF32 = b"\xff\xfe", b"\xff\xfe\x00\x00"
# What stands here in a message is said by a library, in words that are its own.
WORDS = "..."


def wide(text, encoding="utf-16-le"):
    """Text in another encoding."""
    return (text if isinstance(text, str) else text.decode()).encode(encoding)


def said(place, error):
    """The line of an error, the folder left out."""
    return str(error).replace(f"{place}/", "")


def matches(line, expected):
    """True for the line that is expected, whatever a library says in it."""
    return re.fullmatch("(?!None).+".join(map(re.escape, expected.split(WORDS))), line) is not None


def refused(place, data, line, settings):
    """Refuse a file at each unit size, and compare the line."""
    for unit_bytes in (1, 1 << 20):
        told = said(place, refusal(place, data, unit_bytes=unit_bytes, **settings))
        assert matches(told, line), told


def each(names, rows):
    """A test for each row, named by the reason that its line ends in."""
    reasons = [row[-1].rpartition("[")[2].rstrip("]") for row in rows]
    return pytest.mark.parametrize(names, rows, ids=reasons)


# --- what a file holds ----------------------------------------------------------------------

HTML = "a.json: is a web page, not data: a failed download? [format.mismatch]"
NO_RECORD = "a.json: holds no record. Set `allow_empty: true` if it may [input.empty]"
SCALAR = "a.json: is a single value, not a list of records [schema.top_level]"
DOCUMENT = "a.json: is one JSON document, not JSON Lines [format.mismatch]"
NO_FORM = "a.json: is no JSON, and no form that is read [format.unknown]"


@each(
    ("data", "settings", "line"),
    [
        (b"", {}, NO_RECORD),
        (b" \r\n\t", {}, NO_RECORD),
        (UTF16, {}, NO_RECORD),
        (b"", {"framing": "csv"}, NO_RECORD),
        (b"", {"framing": "json"}, NO_RECORD),
        (
            b"",
            {"framing": "parquet"},
            "a.json: is empty. Set `allow_empty: true` if it may be [input.empty]",
        ),
        (
            b"\n" * (1 << 20) + b" " + ROW,
            {},
            "a.json: begins with blanks only: no text that is read [format.binary]",
        ),
        (
            b"\n" * (1 << 20) + b"\x0c",
            {},
            "a.json: begins with blanks only: no text that is read [format.binary]",
        ),
        (b"\x00" * 5000, {}, "a.json: begins with NUL bytes: not text [format.binary]"),
        (b"%PDF-1.7", {}, "a.json: is PDF, which is not read [format.unread]"),
        (b"\x89HDF\r\n", {}, "a.json: is HDF5, which is not read [format.unread]"),
        (b"7z\xbc\xaf\x27", {}, "a.json: is 7z, which is not read [format.unread]"),
        (b"Rar!\x1a", {}, "a.json: is RAR, which is not read [format.unread]"),
        (
            b"\xd0\xcf\x11\xe0\xa1",
            {},
            "a.json: is an Office or HWP document, which is not read [format.unread]",
        ),
        (b"\x93NUMPY\x01", {}, "a.json: is NumPy, which is not read [format.unread]"),
        (b"SQLite format 3\x00", {}, "a.json: is SQLite, which is not read [format.unread]"),
        (b"\x80\x04\x95", {}, "a.json: is a Python pickle, which is not read [format.unread]"),
        (b"\x80\x02}q", {}, "a.json: is a Python pickle, which is not read [format.unread]"),
        (b"\n <!DoctYPE html>", {}, HTML),
        (b"<html>", {}, HTML),
        (b"<?xml version", {}, HTML),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n",
            {},
            "a.json: is a Git LFS pointer to a file of 123 bytes. Run `git lfs pull`"
            " [format.lfs_pointer]",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            {},
            "a.json: is a Git LFS pointer to a file. Run `git lfs pull` [format.lfs_pointer]",
        ),
        (b"12\n", {}, SCALAR),
        (b'"text"', {}, SCALAR),
        (b"-1", {}, SCALAR),
        (b"null", {}, SCALAR),
        (b"-", {}, NO_FORM),
        (b"just words\n", {}, NO_FORM),
        (
            b"[" + ROW + b",\n" + ROW + b"]",
            {"framing": "jsonl"},
            DOCUMENT,
        ),
        (b"[" + ROW + b"]", {"framing": "jsonl"}, DOCUMENT),
        (b"\n [" + ROW + b"]\n", {"framing": "jsonl"}, DOCUMENT),
        (b"\n [" + ROW + b",\n" + ROW + b"]\n", {"framing": "jsonl"}, DOCUMENT),
        (b'\n{ \n"instruction": "q", "output": "a"}', {"framing": "jsonl"}, DOCUMENT),
        (b"[\n1,\n2]", {"framing": "jsonl"}, DOCUMENT),
        (
            ROW + b"\n" + ROW,
            {"framing": "json"},
            "a.json: is JSON Lines, not one JSON document [format.mismatch]",
        ),
    ],
)
def test_what_is_no_form_that_is_read(place, data, settings, line):
    refused(place, data, line, settings)


# --- encodings ------------------------------------------------------------------------------


def wide_hint(name):
    """What is said of text of two or four bytes a character."""
    return f"a.json: is not UTF-8. Set `encoding: {name}`? [encoding.not_utf8]"


NAMELESS = "is not UTF-8. Name its encoding with `encoding:` [encoding.not_utf8]"
CP949 = "a.json at byte 17: is not UTF-8. Set `encoding: cp949`? [encoding.not_utf8]"
KOREAN = '{"instruction": "질문 하나", "output": "답"}\n'
NOT_CP949 = "is not cp949: illegal multibyte sequence [encoding.invalid]"


@each(
    ("data", "settings", "line"),
    [
        (
            ROW,
            {"encoding": "utf-9"},
            "a.json: `utf-9` is no known encoding of text [encoding.unknown]",
        ),
        (
            ROW,
            {"encoding": "base64"},
            "a.json: `base64` is no known encoding of text [encoding.unknown]",
        ),
        (
            ROW,
            {"encoding": "HZ"},
            "a.json: `HZ` is not read. Convert the file to UTF-8 [encoding.unknown]",
        ),
        (
            wide(b"[" + ROW + b"]", "iso2022_kr"),
            {"encoding": "iso2022_kr"},
            "a.json: `iso2022_kr` is read as JSON Lines alone. Convert the file to UTF-8"
            " [encoding.unknown]",
        ),
        (wide(ROW, "utf-16-le"), {}, wide_hint("utf-16-le")),
        (wide(ROW, "utf-16-be"), {}, wide_hint("utf-16-be")),
        (wide(ROW, "utf-32-le"), {}, wide_hint("utf-32-le")),
        (wide(ROW, "utf-32-be"), {}, wide_hint("utf-32-be")),
        (wide(KOREAN, "utf-16-le"), {}, wide_hint("utf-16-le")),
        (wide(KOREAN, "utf-16-be"), {}, wide_hint("utf-16-be")),
        (wide("질문하나,답변하나\n", "utf-32-le"), {}, wide_hint("utf-32-le")),
        (wide("질문하나,답변하나\n", "utf-32-be"), {}, wide_hint("utf-32-be")),
        (wide(KOREAN, "cp949"), {}, CP949),
        (b"\xef\xbb\xbf" + wide(KOREAN, "cp949"), {}, CP949.replace("17", "20")),
        (wide(f"[\n {KOREAN}]", "cp949"), {}, CP949.replace("17", "20")),
        # Far behind the beginning of the file, or cut there inside a character.
        (b" " * 60_000 + wide(KOREAN, "cp949"), {}, CP949.replace("17", "60017")),
        (wide(KOREAN.replace("하나", "하나" * 20_000), "cp949"), {}, CP949),
        (
            b'{"instruction": "\xc6\xfc\xcb\xdc", "output": "' + b"\xff" * 70_000 + b'"}',
            {},
            f"a.json at byte 17: {NAMELESS}",
        ),
        # As many that are wrong as are right are too many.
        ('["가\udcff"]'.encode(errors="surrogateescape"), {}, f"a.json at byte 5: {NAMELESS}"),
        (
            '[{"instruction": "가나\udcff", "output": "a"}]'.encode(errors="surrogateescape"),
            {},
            "a.json at byte 1: the record is not UTF-8: invalid start byte at byte 23"
            " [encoding.invalid_utf8]",
        ),
        (
            b'{"instruction": "\xff\xfe\xff\xff", "output": "\xff"}',
            {},
            f"a.json at byte 17: {NAMELESS}",
        ),
        (
            "instruction,출력,output\n".encode("cp949") + b"q,c,a\n" * 9 + "q,답,a\n".encode(),
            {"framing": "csv"},
            "a.json: is not UTF-8 in its header. Name its encoding with `encoding:`"
            " [encoding.not_utf8]",
        ),
        # What does not decode costs a document, wherever it stands.
        (b"[" + ROW + b', "\xff"]', {"encoding": "cp949"}, f"a.json at byte 39: {NOT_CP949}"),
        (
            b"[" + ROW + b', "\xff"]',
            {"encoding": "euc-kr"},
            "a.json at byte 39: is not euc_kr: illegal multibyte sequence."
            " Is it cp949, which holds euc-kr? [encoding.invalid]",
        ),
        (
            b"instruction,output\nq,a\nq,\xff\n",
            {"encoding": "cp949"},
            f"a.json at byte 25: {NOT_CP949}",
        ),
        (
            b"instruction,output,\xff\nq,a,b\n",
            {"encoding": "cp949", "framing": "csv"},
            f"a.json at byte 19: {NOT_CP949}",
        ),
        (
            b'{"x": "\xb0\xff", "data": [' + PAGE + b"]}",
            {"encoding": "cp949"},
            f"a.json at byte 7: {NOT_CP949}",
        ),
        (
            UTF16 + wide("instruction,output\nq,a\n") + b"q",
            {},
            "a.json at byte 48: is not utf-16-le: truncated data [encoding.invalid]",
        ),
        (
            # Two pieces of the stream meet inside a character.
            wide("instruction,output\n" + f"q,{'가' * 60_000}\n" * 9, "cp949") + b"q,\xff\n",
            {"encoding": "cp949"},
            f"a.json at byte 1080048: {NOT_CP949}",
        ),
        (
            b"instruction,output\nq," + b"a" * 70_000 + b"\nq,\xff\n",
            {},
            "a.json at byte 70022: is not UTF-8: invalid start byte. Set `encoding:`?"
            " [encoding.invalid_utf8]",
        ),
    ],
)
def test_what_is_in_another_encoding(place, data, settings, line):
    refused(place, data, line, settings)


# --- delimited text -------------------------------------------------------------------------

UNCLOSED = "has a quote that is never closed: all behind it would be one field"
IN_A_NAME = "has a first row that is no list of names: quotes stand inside a name"


@each(
    ("data", "line"),
    [
        (
            b"a;b\n",
            "a.json: has one column, `a;b`, under ','. Set `delimiter: ';'`? [csv.header]",
        ),
        (
            b"a\tb\n",
            "a.json: has one column, `a\\x09b`, under ','. Set `delimiter: '\\t'`? [csv.header]",
        ),
        (b"a b\n", "a.json: has one column, `a b`, under ',' [csv.header]"),
        (b"instruction,,output\n", "a.json: has no name for column 2 [csv.header]"),
        (b"output,output\n", "a.json: has two columns named `output` [csv.header]"),
        (b'instruction,"out"put\n', f"a.json: {IN_A_NAME} [csv.header]"),
        (b'instruction,"output\nq,a\n', f"a.json at byte 12: {UNCLOSED} [csv.unclosed_quote]"),
        (
            b'\xef\xbb\xbfinstruction,"output\n',
            f"a.json at byte 15: {UNCLOSED} [csv.unclosed_quote]",
        ),
        (
            UTF16 + wide('instruction,"output\n'),
            f"a.json at byte 26: {UNCLOSED} [csv.unclosed_quote]",
        ),
        (b'instruction,output\nq,"a\n', f"a.json at byte 21: {UNCLOSED} [csv.unclosed_quote]"),
        (
            UTF16 + wide('instruction,output\nq,"a\n'),
            f"a.json at byte 44: {UNCLOSED} [csv.unclosed_quote]",
        ),
        (
            b'instruction,output\nq,a\nq,"a\n',
            f"a.json at byte 25: {UNCLOSED}, behind 1 whole record [csv.unclosed_quote]",
        ),
        (
            UTF16 + wide('instruction,output\nq,a\nq,a\n"a\n'),
            f"a.json at byte 56: {UNCLOSED}, behind 2 whole records [csv.unclosed_quote]",
        ),
    ],
)
def test_a_table_of_text(place, data, line):
    refused(place, data, line, {"framing": "csv"})


# --- one document ---------------------------------------------------------------------------

END = "is cut off: its array does not end"
BEHIND = "has other data behind its array [json.trailing_data]"
MORE = "`limits: {record_bytes: N}` allows more [record.too_large]"
LARGE = f"has a record of more than 110 bytes. {MORE}"


def elements(text, encoding="utf-8"):
    """A document, with rows where the text has `@`."""
    return text.replace("@", ROW.decode()).encode(encoding)


@each(
    ("data", "line"),
    [
        (b"[", f"a.json at byte 1: {END} [json.syntax]"),
        (elements("[@, @"), f"a.json at byte 73: {END}, behind 1 whole record [json.syntax]"),
        (elements("[@, @, "), f"a.json at byte 75: {END}, behind 2 whole records [json.syntax]"),
        (
            elements("[@, @,]"),
            "a.json at byte 74: has a comma too many, behind 2 whole records [json.syntax]",
        ),
        (
            UTF16 + wide(elements("[@, @,]")),
            "a.json at byte 150: has a comma too many, behind 2 whole records [json.syntax]",
        ),
        (
            elements("[@,, @]"),
            "a.json at byte 37: has a comma too many, behind 1 whole record [json.syntax]",
        ),
        (
            elements("[,@]"),
            "a.json at byte 1: has a comma too many [json.syntax]",
        ),
        (
            elements("[@ @]"),
            "a.json at byte 1: the record is not JSON: trailing characters (byte 37),"
            " behind 0 whole records [json.syntax]",
        ),
        (
            elements("[@, {'a': 1}]"),
            "a.json at byte 38: the record is not JSON: expected '\"' (byte 1); it looks like"
            " Python's print-out, whose quotes are single, behind 1 whole record [json.syntax]",
        ),
        (
            elements("[@, @}, @]"),
            "a.json at byte 73: has a brace that closes nothing, behind 1 whole record"
            " [json.syntax]",
        ),
        (elements("[@, @]]"), f"a.json at byte 74: {BEHIND}"),
        (elements("[@]\n[@]"), f"a.json at byte 37: {BEHIND}"),
        (UTF16 + wide(elements("[@] x")), f"a.json at byte 76: {BEHIND}"),
        (UTF32 + wide("[1] x", "utf-32-le"), f"a.json at byte 16: {BEHIND}"),
        (
            elements("[@, ") + DEEP + b"]",
            "a.json at byte 81: is nested more than 3 levels deep [json.depth]",
        ),
        (
            UTF16 + wide(elements("[@, ") + DEEP + b"]"),
            "a.json at byte 164: is nested more than 3 levels deep [json.depth]",
        ),
        (elements("[@, ") + LONG + b"]", f"a.json at byte 38: {LARGE}"),
        (elements("[\n @,\n  ") + LONG + b"]", f"a.json at byte 42: {LARGE}"),
    ],
)
def test_an_array(place, data, line):
    for packing in (bytes, gzip.compress):
        limits = {"record_bytes": 110, "depth": 3}
        refused(place, packing(data), line, {"format": "alpaca", "limits": limits})


TWICE = "a.json at byte 99: has its `data` twice [json.duplicate_key]"
TOO_DEEP = "is nested more deeply than can be read"
MANY = "[" * 3000 + "]" * 3000


@each(
    ("text", "line"),
    [
        (
            '{"data": [@]',
            "a.json at byte 99: is broken behind its `data`: the value is cut off [json.syntax]",
        ),
        (
            '{"data": [@], "x": }',
            "a.json at byte 99: is broken behind its `data`: invalid character (byte 7)"
            " [json.syntax]",
        ),
        (
            '{"data": [@]} {}',
            "a.json at byte 99: is broken behind its `data`: trailing characters (byte 3)"
            " [json.syntax]",
        ),
        (
            '{"x": y, "data": [@]}',
            "a.json at byte 107: is broken before its `data`: invalid character [json.syntax]",
        ),
        (
            f'{{"data": [@], "x": {MANY}}}',
            f"a.json at byte 99: is broken behind its `data`: it {TOO_DEEP} [json.syntax]",
        ),
        (
            '{"data": [@], "data": []}',
            TWICE,
        ),
        ('{"data": [@], "data": [@]}', TWICE),
        ('{"data": [@], "d\\u0061ta": [@]}', TWICE),
        (
            '{"x": 1, "data": @, "data": {}}',
            "a.json at byte 17: has its `data` twice [json.duplicate_key]",
        ),
        (
            '{"x": 1, "data": @, "y": }',
            "a.json at byte 17: is not JSON: invalid character (byte 95),"
            " behind 0 whole records [json.syntax]",
        ),
        (
            '{"x": y, "data": @}',
            "a.json at byte 17: is broken before its `data`: invalid character [json.syntax]",
        ),
        (
            '{"data": {"context": "a", "qas": x}}',
            "a.json at byte 9: is not JSON: invalid character (byte 24) [json.syntax]",
        ),
        (
            f'{{"data": @, "x": {MANY}}}',
            f"a.json at byte 9: is not JSON: it {TOO_DEEP}, behind 0 whole records [json.syntax]",
        ),
    ],
)
def test_a_document_with_its_records_under_a_key(place, text, line):
    data = text.replace("@", PAGE.decode()).encode()
    refused(place, data, line, {"format": "korquad2", "limits": {"depth": 10_000}})


@each(
    ("text", "line"),
    [
        (
            '{"instruction":\n"q", "output": }',
            "a.json at byte 0: is not JSON: invalid character (byte 31) [json.syntax]",
        ),
        (
            '\n{"instruction":\n"q"',
            "a.json at byte 1: is not JSON: the value is cut off [json.syntax]",
        ),
        (
            '{"instruction":\n"q"} x',
            "a.json at byte 0: is not JSON: trailing characters (byte 22) [json.syntax]",
        ),
        (
            '{"instruction":\n[["q"',
            "a.json at byte 0: is not JSON: the value is cut off [json.syntax]",
        ),
        (DEEP.decode(), "a.json at byte 43: is nested more than 3 levels deep [json.depth]"),
        (
            '{"x": [[[[1,]]]]}',
            "a.json at byte 8: is nested more than 3 levels deep [json.depth]",
        ),
        (LONG.decode(), f"a.json at byte 0: {LARGE}"),
    ],
)
def test_one_object(place, text, line):
    limits = {"record_bytes": 110, "depth": 3}
    settings = {"framing": "json", "format": "alpaca", "limits": limits}
    for packing in (bytes, gzip.compress):
        refused(place, packing(text.encode()), line, settings)


# --- packed streams -------------------------------------------------------------------------

GZIP = gzip.compress(ROW, mtime=0)
ZSTD = zstd.compress(ROW, options={zstd.CompressionParameter.checksum_flag: 1})


def xz_with_dictionary(size):
    """A row as xz whose reader has to hold so many bytes."""
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": size}]
    return lzma.compress(ROW, lzma.FORMAT_XZ, filters=chain)


def zstd_with_window(log):
    """A row as zstd whose reader has to hold so many bytes, in powers of two."""
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: log})
    return packer.compress(ROW) + packer.compress(b"\n") + packer.flush()


def zstd_with_dictionary():
    """A row as zstd that cannot be read without a dictionary."""
    rows = [ROW.replace(b"q", b"q%d" % number) for number in range(500)]
    return zstd.compress(ROW, zstd_dict=zstd.train_dict(rows, 1024))


@each(
    ("data", "line"),
    [
        (GZIP[:-8], "a.json at byte 35: is cut off [compress.truncated]"),
        (GZIP[:10], "a.json at byte 0: is cut off [compress.truncated]"),
        (GZIP + b"garbage", "a.json: has other data behind its end [compress.trailing_data]"),
        (GZIP[:-4] + b"abcd", "a.json at byte 0: cannot be unpacked: ... [compress.checksum]"),
        (
            gzip.compress(ROW, 0)[:10] + b"\x07" * 99,
            "a.json at byte 0: cannot be unpacked: ... [compress.broken]",
        ),
        (
            gzip.compress(ROW) + gzip.compress(ROW)[:10] + b"\x07" * 99,
            "a.json at byte 35: cannot be unpacked: ... [compress.broken]",
        ),
        (gzip.compress(GZIP), "a.json: is packed twice. Unpack it once first [compress.nested]"),
        (bz2.compress(ROW)[:-3], "a.json at byte 35: is cut off [compress.truncated]"),
        (b"BZh9no stream", "a.json at byte 0: cannot be unpacked: ... [compress.broken]"),
        (lzma.compress(ROW)[:-3], "a.json at byte 35: is cut off [compress.truncated]"),
        (
            lzma.compress(ROW).replace(b"\x04\xe6", b"\x04\xe7"),
            "a.json at byte 0: cannot be unpacked: ... [compress.broken]",
        ),
        (
            xz_with_dictionary(256 << 20),
            "a.json at byte 0: cannot be unpacked: ... [compress.memory]",
        ),
        (ZSTD[:-4], "a.json at byte 35: is cut off [compress.truncated]"),
        (ZSTD[:-4] + b"abcd", "a.json at byte 0: cannot be unpacked: ... [compress.checksum]"),
        (zstd_with_window(28), "a.json at byte 0: cannot be unpacked: ... [compress.memory]"),
        (
            zstd_with_dictionary(),
            "a.json at byte 0: cannot be unpacked: ... [compress.dictionary]",
        ),
        (
            gzip.compress(tarred([("a", ROW)]), 0)[:-800],
            "a.json at byte 9448: is cut off [compress.truncated]",
        ),
        (
            gzip.compress(zipped({"a": ROW})),
            "a.json: is an archive inside another. Unpack one first [archive.nested]",
        ),
    ],
)
def test_a_packed_stream(place, data, line):
    refused(place, data, line, {})


# --- archives -------------------------------------------------------------------------------

TWO = zipped({"a.json": ROW, "b.json": ROW}, zipfile.ZIP_STORED)
TAR = tarred([("a.json", ROW)])
UNSAFE = "the member's name is not safe [archive.unsafe_name]"
NO_FILE = "a.json: the archive holds no file [input.empty]"
NO_ZIP = "a.json: is no whole zip: ... [archive.truncated]"


def directory(at, number, size=4, whole=TWO):
    """A zip with a number of its own in the last entry of its directory."""
    start = whole.rindex(b"PK\x01\x02") + at
    return whole[:start] + number.to_bytes(size, "little") + whole[start + size :]


def linked(mode):
    """A zip of one member of another kind than a file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("a")
        info.external_attr = mode << 16
        archive.writestr(info, "x")
    return buffer.getvalue()


def twice():
    """A zip of two members of one name."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("a\x07b.json", ROW)
        archive.writestr("a\x07b.json", ROW)
    return buffer.getvalue()


@each(
    ("data", "line"),
    [
        (zipped({}), NO_FILE),
        (zipped({"d/": b"", ".hidden": b""}), NO_FILE),
        (TWO[:-30], NO_ZIP),
        (TWO[:50], NO_ZIP),
        (zipped({"../a.json": ROW}), f"a.json!../a.json: {UNSAFE}"),
        (zipped({"/a.json": ROW}), f"a.json!/a.json: {UNSAFE}"),
        (zipped({"\\a.json": ROW}), f"a.json!\\a.json: {UNSAFE}"),
        (zipped({"": ROW}), f"a.json!: {UNSAFE}"),
        (zipped({"d/": b"", "d/../x": ROW}), f"a.json!d/../x: {UNSAFE}"),
        (zipped({"가/..": ROW}), f"a.json!가/..: {UNSAFE}"),
        (twice(), f"a.json!a\\x07b.json: {UNSAFE}"),
        (
            twice().replace(b"\x07", b"7"),
            "a.json!a7b.json: two members have this name [archive.duplicate_name]",
        ),
        (
            directory(8, 1, 2),
            "a.json!b.json: the member is encrypted. Unpack it first [archive.encrypted]",
        ),
        (
            linked(0o120777),
            "a.json!a: the member is a link or no regular file [archive.unsafe_member]",
        ),
        (
            linked(0o010777),
            "a.json!a: the member is a link or no regular file [archive.unsafe_member]",
        ),
        (
            zipped({"a.json": ROW}, zipfile.ZIP_BZIP2),
            "a.json!a.json: the member is packed by method 12, not deflate. Pack it anew"
            " [archive.method]",
        ),
        (
            directory(42, 5),
            "a.json!b.json: the member shares bytes with another: a bomb? [archive.overlap]",
        ),
        (
            directory(20, len(ROW) + 1),
            "a.json!b.json: the member shares bytes with the directory [archive.overlap]",
        ),
        (b"#!\n" + TWO, "a.json: has other data before its first member [archive.inconsistent]"),
        (
            directory(42, 72),
            "a.json!b.json: the member is not where the zip says [archive.inconsistent]",
        ),
        (
            TWO.replace(b"b.json", b"c.json", 1),
            "a.json!b.json: the member has another name where its data is [archive.inconsistent]",
        ),
        (
            TWO.replace(b'"q"', b'"r"', 1),
            "a.json!a.json: the member's checksum or size is wrong [archive.crc]",
        ),
        (
            directory(24, len(ROW) + 1),
            "a.json!b.json: the member's checksum or size is wrong [archive.crc]",
        ),
        (zipped({"b.json": b""}, zipfile.ZIP_STORED), NO_RECORD.replace(":", "!b.json:", 1)),
        (
            zipped({"b.json": GZIP[:-8]}),
            "a.json!b.json at byte 35: is cut off [compress.truncated]",
        ),
        (
            zipped({"b.json": zipped({"c.json": ROW})}),
            "a.json!b.json: is an archive inside another. Unpack one first [archive.nested]",
        ),
        (
            zipped({"b.json": TAR}),
            "a.json!b.json: is an archive inside another. Unpack one first [archive.nested]",
        ),
        (
            zipped({"b.json": b"[" + ROW}),
            f"a.json!b.json at byte 36: {END} [json.syntax]",
        ),
    ],
)
def test_a_zip(place, data, line):
    refused(place, data, line, {})


LINK = "the member is a link, a device or sparse: no plain file [archive.unsafe_member]"
NO_TAR = "a.json: is no whole tar: {} [archive.truncated]"


@pytest.mark.parametrize("packing", [bytes, gzip.compress], ids=["plain", "gzip"])
@each(
    ("data", "line"),
    [
        (tarred([]), "a.json: begins with NUL bytes: not text [format.binary]"),
        (tarred([(entry("d", tarfile.DIRTYPE), b"")]), NO_FILE),
        (tarred([(".hidden", b"")]), NO_FILE),
        (tarred([("a/../b", ROW)]), f"a.json!a/../b: {UNSAFE}"),
        (tarred([(entry("a\x07", tarfile.DIRTYPE), b"")]), f"a.json!a\\x07: {UNSAFE}"),
        (tarred([(entry("가", tarfile.SYMTYPE, linkname="x"), b"")]), f"a.json!가: {LINK}"),
        (
            tarred(
                [
                    ("a", ROW),
                    ("a", ROW),
                ]
            ),
            "a.json!a: two members have this name [archive.duplicate_name]",
        ),
        (tarred([("b.json", b"")]), NO_RECORD.replace(":", "!b.json:", 1)),
        (TAR[:300], NO_TAR.format(WORDS)),
        (TAR[:520], NO_TAR.format("it is cut off")),
        (TAR[:1024], NO_TAR.format("its end is missing")),
        (b"b" + TAR[1:], NO_TAR.format(WORDS)),
        (TAR + b"x", "a.json: has other data behind its end [archive.inconsistent]"),
        (
            tarred([("n" * (1 << 20), ROW)], format=tarfile.GNU_FORMAT),
            "a.json: a header has an attribute of more than 1048576 bytes [archive.inconsistent]",
        ),
        (
            tarred([("b.json", b"[" + ROW)]),
            f"a.json!b.json at byte 36: {END} [json.syntax]",
        ),
    ],
)
def test_a_tar(place, data, line, packing):
    refused(place, packing(data), line, {})


# --- columnar files -------------------------------------------------------------------------

PARQUET, ARROW, STREAM = parquet(TABLE), arrow(TABLE), arrow(TABLE, stream=True)
PACKED = "inside an archive or a packed stream. Unpack it first [format.unread]"
FOOTERLESS = "is cut off: its footer is missing, without which nothing can be read"
MARKS = "a.json: is no Parquet file: its marks or its footer's length are wrong [parquet.format]"


def bad_page():
    """A Parquet file with a page that was changed."""
    settings = {"compression": "none", "use_dictionary": False}
    whole = parquet(TABLE, write_page_checksum=True, **settings)
    return whole.replace(b"\x01\x00\x00\x00q", b"\x01\x00\x00\x00r", 1)


@each(
    ("data", "settings", "line"),
    [
        (PARQUET, {"framing": "csv"}, "a.json: is Parquet, not csv [format.mismatch]"),
        (ARROW, {"framing": "parquet"}, "a.json: is Arrow, not parquet [format.mismatch]"),
        (STREAM, {"framing": "jsonl"}, "a.json: is Arrow, not jsonl [format.mismatch]"),
        (ROW, {"framing": "parquet"}, "a.json: is not Parquet [format.mismatch]"),
        (ROW, {"framing": "arrow"}, "a.json: is not Arrow [format.mismatch]"),
        (
            b"XXXX" + PARQUET[4:],
            {"framing": "parquet"},
            "a.json: is no Parquet file: its first bytes are wrong [parquet.format]",
        ),
        (gzip.compress(PARQUET), {}, f"a.json: is Parquet {PACKED}"),
        (zipped({"b.bin": STREAM}), {}, f"a.json!b.bin: is Arrow {PACKED}"),
        (PARQUET[:-1], {}, f"a.json: {FOOTERLESS} [parquet.truncated]"),
        (PARQUET[:4], {}, f"a.json: {FOOTERLESS} [parquet.truncated]"),
        (
            PARQUET[:-8] + (len(PARQUET) - 11).to_bytes(4, "little") + b"PAR1",
            {},
            MARKS,
        ),
        (
            PARQUET[:-8] + (len(PARQUET) - 12).to_bytes(4, "little") + b"PAR1",
            {},
            "a.json: cannot be read: ... [parquet.format]",
        ),
        (bad_page(), {}, "a.json: cannot be read: ... [parquet.checksum]"),
        (ARROW[:-30], {}, "a.json: cannot be read: ... [arrow.truncated]"),
        (STREAM[:50], {}, "a.json: cannot be read: ... [arrow.truncated]"),
        (
            parquet(TABLE.slice(0, 0)),
            {},
            "a.json: holds no record. Set `allow_empty: true` if it may [input.empty]",
        ),
    ],
)
def test_a_columnar_file(place, data, settings, line):
    refused(place, data, line, settings)


# --- which files ----------------------------------------------------------------------------


@each(
    ("files", "line"),
    [
        (["zzz"], "zzz: there is no such file [io.missing]"),
        (["dat.json"], "dat.json: there is no such file. Did you mean data.json? [io.missing]"),
        (["*.csv"], "*.csv: there is no such file [io.missing]"),
        (["a\x07.csv"], "a\\x07.csv: there is no such file [io.missing]"),
        (["none/a"], "none/a: there is no such file, nor its folder none [io.missing]"),
        (["empty"], "empty: is a folder that holds no file [io.not_regular]"),
        (["pipe"], "pipe: is no regular file [io.not_regular]"),
        (["folder"], "folder/pipe: is no regular file [io.not_regular]"),
        (["loop"], "loop: cannot be opened: Too many levels of symbolic links [io.loop]"),
        (["broken"], "broken: cannot be opened: No such file or directory [io.missing]"),
        (["data.json", "*.json"], "data.json: is listed twice in one source [io.repeated]"),
    ],
)
def test_what_is_no_file(place, files, line):
    (place / "data.json").write_bytes(ROW)
    (place / "empty" / ".git").mkdir(parents=True)
    (place / "folder").mkdir()
    os.mkfifo(place / "pipe")
    os.mkfifo(place / "folder" / "pipe")
    os.symlink("loop", place / "loop")
    os.symlink("gone", place / "broken")
    with pytest.raises(dollymix.InputError) as caught:
        merged_files(place, files)
    assert said(place, caught.value) == line


# --- records --------------------------------------------------------------------------------

BACKSLASH = "a quote behind a backslash: a quote inside a field is doubled, not escaped"
HALF = "the record is half a character of utf-16-le at the file's end [encoding.invalid]"


@each(
    ("before", "record", "settings", "line"),
    [
        (
            ROW + b"\n",
            LONG,
            {"limits": {"record_bytes": 110}},
            f"the record is longer than 110 bytes. {MORE}",
        ),
        (
            ROW + b"\n",
            ROW.replace(b"q", b"\xff"),
            {"encoding": "cp949"},
            f"the record {NOT_CP949}",
        ),
        (
            ROW + b"\n",
            ROW.replace(b"q", b"\xff"),
            {"encoding": "euc-kr"},
            "the record is not euc_kr: illegal multibyte sequence."
            " Is it cp949, which holds euc-kr? [encoding.invalid]",
        ),
        (UTF16 + wide(ROW + b"\n"), b"\x7b", {}, HALF),
        (
            b"instruction,output\nq,a\n",
            b"q\n",
            {},
            "the record has 1 field; the header has 2 [csv.column_count]",
        ),
        (
            b"instruction,output\nq,a\n",
            b"q,a,b\n",
            {},
            "the record has 3 fields; the header has 2 [csv.column_count]",
        ),
        (
            b"instruction,output\nq,a\n",
            b'q,"a"b\n',
            {},
            "the record has text behind a closing quote [csv.quote]",
        ),
        (
            b"instruction,output\nq,a\n",
            b'"a\nb"c,q\n',
            {},
            "the record has text behind a closing quote; the field in quotes runs over 2 lines:"
            " is a quote missing? [csv.quote]",
        ),
        (
            b"instruction,output\nq,a\n",
            b'q,a "b"\n',
            {},
            "the record has a quote inside a field that is not in quotes [csv.quote]",
        ),
        (b"instruction,output\nq,a\n", b'q,a\\"b\n', {}, f"the record has {BACKSLASH} [csv.quote]"),
        (
            b"instruction,output\nq,a\n",
            b'q,"a\\"b"\n',
            {},
            f"the record has {BACKSLASH} [csv.quote]",
        ),
    ],
)
def test_a_record(place, before, record, settings, line):
    for unit_bytes in (1, 1 << 20):
        build = merged(place, before + record, unit_bytes=unit_bytes, **settings)
        (row,) = build.rejects
        assert f"{row['message']} [{row['reason']}]" == line
        assert (row["record"], row["path"]) == (1, "")
        assert (row["byte_start"], row["byte_end"]) == (len(before), len(before + record))
        assert row["line"] == before.replace(b"\x00", b"").count(b"\n") + 1


@each(
    ("data", "settings", "byte", "line"),
    [
        (elements("[@, @,]"), {}, 74, "has a comma too many [json.syntax]"),
        (elements("[@, @") + b', "\xff"]', {"encoding": "cp949"}, 76, NOT_CP949),
        (UTF16 + wide(elements("[@, @")), {}, 148, f"{END} [json.syntax]"),
        (
            gzip.compress(ROW + b"\n" + ROW + b"\n", 0)[:-8],
            {},
            72,
            "is cut off [compress.truncated]",
        ),
    ],
)
def test_what_is_behind_a_break(place, data, settings, byte, line):
    for unit_bytes in (1, 1 << 20):
        build = merged(place, data, salvage=True, unit_bytes=unit_bytes, **settings)
        (row,) = build.rejects
        assert row["message"] == f"the file breaks here, what is behind is lost: {line}"
        assert (row["reason"], row["byte_start"]) == ("source.truncated_tail", byte)
        assert row["record"] == len(build.written())
