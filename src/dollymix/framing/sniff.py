"""What a file holds, told from its content and never from its name."""

from __future__ import annotations

import codecs
import re
from typing import Literal

import msgspec
from msgspec import Raw

from dollymix.errors import InputError
from dollymix.framing import Compression, Framing, Input, Kind
from dollymix.framing.inputs import (
    compression_of,
    open_stream,
    place_of,
    stream_compression,
    unread_kind,
)
from dollymix.framing.json_array import Scanner

# How much of a file is looked at before the build: for its framing, format and unread keys.
SAMPLE_BYTES = 1 << 20

_CHECKED_BYTES = 1 << 16

Declared = Literal["auto", "jsonl", "json"]

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_STATEFUL = ("iso2022", "hz", "idna", "punycode", "undefined")
_SPACE = b" \t\r\n"
_FIRST_KEY = re.compile(rb'\s*\{\s*("(?:[^"\\]|\\.)*")\s*:')
_SCALAR = re.compile(rb'(?:-?[0-9]|true\b|false\b|null\b|")')
_document = msgspec.json.Decoder(dict[str, Raw])


class Sample(msgspec.Struct):
    """The beginning of a file as UTF-8, from `framing.start`; `whole` where nothing follows."""

    framing: Framing
    data: bytes
    whole: bool


def sniff(
    source: Input, keys: tuple[str, ...], declared: Declared = "auto", encoding: str | None = None
) -> Sample:
    """How the file is framed, and its beginning.

    `keys` are those under which a document may keep its records. Raises InputError where the file
    holds no records that can be read: `format.*`, `encoding.*`, `schema.top_level`, `input.empty`.
    """
    place = place_of(source)
    compression = stream_compression(source)
    raw, whole = _beginning(source, compression)
    _refuse_binary(raw, place)
    bom, stored = _encoding(raw, encoding, place)
    text = _as_utf8(raw[bom:], stored, whole, place)
    if not text.strip(_SPACE):
        if not whole:
            raise InputError(
                "format.binary", place, "begins with blanks only: no text that is read"
            )
        raise InputError("input.empty", place, "holds no record. Set `allow_empty: true` if it may")
    kind, key, at = _kind(text, keys, whole, place)
    if declared == "json" and kind == "jsonl" and not _has_more_lines(text.lstrip(_SPACE), 0):
        kind = "object"
    _check_declared(kind, declared, place)
    start = bom + (at if stored == "utf-8" else len(text[:at].decode().encode(stored)))
    first = _FIRST_KEY.match(text, at)
    framing = Framing(
        kind=kind,
        compression=compression,
        encoding=stored,
        start=start,
        head=text[:at],
        key=key,
        first_key=first[1] if first else b"",
    )
    return Sample(framing, text[at:], whole)


def _beginning(source: Input, compression: Compression) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    size = 0
    reader = open_stream(source, Framing("jsonl", compression))
    try:
        while size < SAMPLE_BYTES:
            piece = reader.read()
            if not piece:
                return b"".join(pieces), True
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces), not reader.read()
    finally:
        reader.close()


def _refuse_binary(raw: bytes, place: str) -> None:
    name = unread_kind(raw)
    if name:
        raise InputError("format.unread", place, f"is {name}, which is not read")
    if compression_of(raw) == "zip":
        raise InputError("archive.nested", place, "is an archive inside another. Unpack one first")
    if compression_of(raw) != "none":
        raise InputError("compress.nested", place, "is packed twice. Unpack it once first")
    if raw.startswith(b"version https://git-lfs"):
        size = re.search(rb"size (\d+)", raw)
        told = f" of {int(size[1])} bytes" if size else ""
        raise InputError(
            "format.lfs_pointer", place, f"is a Git LFS pointer to a file{told}. Run `git lfs pull`"
        )
    if re.match(rb"\s*<(!doctype|html|\?xml)", raw[:200], re.IGNORECASE):
        raise InputError("format.mismatch", place, "is a web page, not data: a failed download?")


def _encoding(raw: bytes, declared: str | None, place: str) -> tuple[int, str]:
    """The length of the byte-order mark and the stored encoding."""
    found = next(((len(mark), name) for mark, name in _BOMS if raw.startswith(mark)), None)
    if found:
        return found
    if declared is None:
        return 0, "utf-8"
    try:
        name = codecs.lookup(declared).name
        b"{}".decode(name)
    except (LookupError, UnicodeError) as error:
        message = f"`{declared}` is no known encoding of text"
        raise InputError("encoding.unknown", place, message) from error
    if name.startswith(_STATEFUL):
        message = f"`{declared}` is not read: what a line says depends on those before it"
        raise InputError("encoding.unknown", place, message)
    if name in ("utf-16", "utf-32"):
        name += "-le"
    return 0, name


def _as_utf8(raw: bytes, encoding: str, whole: bool, place: str) -> bytes:
    if encoding != "utf-8":
        # A declared encoding: what does not decode is a matter of its line, or of the build.
        return codecs.getincrementaldecoder(encoding)("replace").decode(raw, final=whole).encode()
    try:
        head = raw[:_CHECKED_BYTES]
        codecs.getincrementaldecoder("utf-8")().decode(head, final=whole and len(head) == len(raw))
    except UnicodeDecodeError as error:
        _refuse_other_encoding(raw, place, error.start)
    return raw


def _refuse_other_encoding(raw: bytes, place: str, byte: int) -> None:
    """Bad bytes here and there are their lines' matter; with some in every line, it is no UTF-8."""
    if raw.count(b"\x00") * 8 > len(raw):
        if raw.count(b"\x00") == len(raw):
            raise InputError("format.binary", place, "holds NUL bytes only")
        hint = "utf-16-le" if raw[1::2].count(b"\x00") > raw[::2].count(b"\x00") else "utf-16-be"
        raise InputError("encoding.not_utf8", place, f"is not UTF-8. Set `encoding: {hint}`?")
    for line in raw.splitlines()[:100]:
        try:
            if line.strip() and line.decode() and not line.isascii():
                return
            if line.startswith(b"{") and line.isascii():
                return
        except UnicodeDecodeError:
            continue
    shown = raw[:_CHECKED_BYTES].decode(errors="replace")
    if shown.count("\ufffd") * 2 < sum(not char.isascii() for char in shown):
        return
    try:
        raw[:65536].decode("cp949", errors="strict" if len(raw) < 65536 else "ignore")
        hint = " Set `encoding: cp949`?"
    except UnicodeDecodeError:
        hint = ""
    raise InputError("encoding.not_utf8", place, f"is not UTF-8 in any line.{hint}", byte)


def _kind(text: bytes, keys: tuple[str, ...], whole: bool, place: str) -> tuple[Kind, str, int]:
    """The kind, the key of the records, and where in `text` the records begin."""
    at = len(text) - len(text.lstrip(_SPACE))
    if text.count(b"\x00", 0, 4096) > 2048:
        raise InputError("format.binary", place, "begins with NUL bytes: not text")
    if _first_line_is_json(text, whole):
        if text[at : at + 1] == b"[" and not _some_line_is_json(text):
            return "array", "", at + 1
        if text[at : at + 1] != b"{" or _has_more_lines(text, at):
            return _lines(text, at, place)
        found = _records_key(text, at, keys)
        return found or ("jsonl", "", 0)
    if text[at : at + 1] == b"[":
        return "array", "", at + 1
    if text[at : at + 1] == b"{":
        found = _records_key(text, at, keys)
        if found:
            return found
        if not _some_line_is_json(text):
            return ("object", "", at) if whole or b"\n" in text else ("jsonl", "", 0)
    return _lines(text, at, place)


def _lines(text: bytes, at: int, place: str) -> tuple[Kind, str, int]:
    if not _some_line_is_json(text) and not _looks_like_records(text):
        if _SCALAR.match(text, at) and _first_line_is_json(text, whole=True):
            raise InputError("schema.top_level", place, "is a single value, not a list of records")
        raise InputError("format.unknown", place, "is no JSON, and no form that is read")
    # Blank lines before the first record are lines, too.
    return "jsonl", "", 0


def _looks_like_records(text: bytes) -> bool:
    """True for lines that are nearly JSON: the build says of each what is wrong with it."""
    lines = [line.strip() for line in text.split(b"\n")[:100]]
    filled = [line for line in lines if line]
    near = [
        line for line in filled if line.lstrip(b"\x00\x1e\xef\xbb\xbf").startswith((b"{", b"["))
    ]
    return bool(filled) and len(near) * 2 >= len(filled)


def _line_is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _first_line_is_json(text: bytes, whole: bool) -> bool:
    line, end, _ = text.lstrip(_SPACE).partition(b"\n")
    return bool(end or whole) and _line_is_json(line)


def _has_more_lines(text: bytes, at: int) -> bool:
    return bool(text[at:].partition(b"\n")[2].strip(_SPACE))


def _some_line_is_json(text: bytes) -> bool:
    """True where one of the first hundred lines is a whole object by itself."""
    lines = text.split(b"\n")[:101]
    return any(line.lstrip().startswith(b"{") and _line_is_json(line) for line in lines)


def _records_key(text: bytes, at: int, keys: tuple[str, ...]) -> tuple[Kind, str, int] | None:
    """Where a document keeps its records under one of the keys: an array, or one object."""
    view = memoryview(text)[at:]
    for key in keys:
        # One level deep and outside every string; scanned once, however often the key stands.
        scanner = Scanner()
        for found in re.finditer(rb'"%s"\s*:\s*([\[{])' % re.escape(key.encode()), text):
            scanner.scan(view[: found.start() - at])
            if scanner.closed is not None or scanner.broken is not None:
                break
            if scanner.depth != 1 or at + scanner.scanned > found.start():
                continue
            if found[1] == b"[":
                return "array", key, found.end()
            return "object", key, found.end() - 1
    return None


def _check_declared(kind: Kind, declared: Declared, place: str) -> None:
    is_lines = kind == "jsonl"
    if declared == "jsonl" and not is_lines:
        raise InputError("format.mismatch", place, "is one JSON document, not JSON Lines")
    if declared == "json" and is_lines:
        raise InputError("format.mismatch", place, "is JSON Lines, not one JSON document")
