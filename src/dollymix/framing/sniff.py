"""What a file holds, told from its content and never from its name."""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw

from dollymix.errors import InputError
from dollymix.framing import (
    Compression,
    Declared,
    Framing,
    Input,
    Kind,
    Reading,
    SyntaxFaultError,
    columnar,
    csv,
)
from dollymix.framing.encoding import as_utf8, check_head, encoding_of
from dollymix.framing.json_array import Scanner
from dollymix.framing.streams import (
    Reader,
    compression_of,
    open_stream,
    place_of,
    stored_length,
    stream_compression,
)

# How much of a file is looked at before the build: for its framing, format and unread keys.
SAMPLE_BYTES = 1 << 20

# Binary forms that are known, and not read.
_UNREAD = (
    (b"%PDF", "PDF"),
    (b"\x89HDF", "HDF5"),
    (b"7z\xbc\xaf", "7z"),
    (b"Rar!", "RAR"),
    (b"\xd0\xcf\x11\xe0", "an Office or HWP document"),
    (b"\x93NUMPY", "NumPy"),
    (b"SQLite format 3", "SQLite"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"\x80\x02}", "a Python pickle"),
)
_SPACE = b" \t\r\n"
_FIRST_KEY = re.compile(rb'\s*\{\s*("(?:[^"\\]|\\.)*")\s*:')
_SCALAR = re.compile(rb'(?:-?[0-9]|true\b|false\b|null\b|")')


class Sample(msgspec.Struct):
    """The beginning of a file as UTF-8, from `framing.start`; `whole` where nothing follows.

    Of a columnar file: a record as it could be, and `whole` where there are no rows.
    """

    framing: Framing
    data: bytes
    whole: bool


def sniff(source: Input, keys: tuple[str, ...], reading: Reading) -> Sample:
    """How the file is framed, and its beginning.

    `keys` are those under which a document may keep its records. Raises InputError where the file
    holds no records that can be read: `format.*`, `encoding.*`, `schema.top_level`, `input.empty`.
    """
    place = place_of(source)
    compression = stream_compression(source)
    raw, whole = _beginning(source, compression, reading)
    table = columnar.kind_of(raw)
    if table is not None:
        return _sniff_table(source, table, compression, reading)
    if reading.framing in ("parquet", "arrow"):
        _refuse_table(raw, reading.framing, place)
    _refuse_binary(raw, place)
    bom, stored = encoding_of(raw, reading.encoding, place)
    text = as_utf8(raw, bom, stored, whole, place)
    if not text.strip(_SPACE):
        if not whole and not _is_blank_to_the_end(source, compression, reading):
            message = "begins with blanks only: no text that is read"
            raise InputError("format.binary", place, message)
        raise InputError("input.empty", place, "holds no record. Set `allow_empty: true` if it may")
    if reading.framing in ("csv", "tsv"):
        try:
            found = _table(text, whole, reading, place)
        except SyntaxFaultError as fault:
            byte = bom + stored_length(text[: fault.byte], stored)
            raise InputError(fault.reason, place, fault.message, byte) from fault
    else:
        found = _document_or_lines(text, keys, whole, reading, place)
    if stored.startswith("iso2022") and found.kind != "jsonl":
        message = f"`{stored}` is read as JSON Lines alone. Convert the file to UTF-8"
        raise InputError("encoding.unknown", place, message)
    at = found.start
    start = bom + stored_length(text[:at], stored)
    if stored != "utf-8":
        check_head(raw[:start], bom, stored, place)
    framing = msgspec.structs.replace(
        found,
        compression=compression,
        encoding=stored,
        start=start,
        salvage=reading.salvage,
        limits=reading.limits,
    )
    return Sample(framing, text[at:], whole)


def _document_or_lines(
    text: bytes, keys: tuple[str, ...], whole: bool, reading: Reading, place: str
) -> Framing:
    """The framing of JSON in any form; of delimited text, where it is no JSON and nothing was
    declared. `start` is an offset in `text`."""
    declared = reading.framing
    try:
        kind, key, at = _kind(text, keys, whole, declared, place)
    except InputError as error:
        if declared != "auto" or error.reason != "format.unknown":
            raise
        table = _guess_table(text, whole, reading)
        if table is None:
            raise
        return table
    if declared == "json" and kind == "jsonl" and not _has_more_lines(text.lstrip(_SPACE), 0):
        kind = "object"
    _check_declared(kind, declared, place)
    first = _FIRST_KEY.match(text, at)
    return Framing(kind, start=at, head=text[:at], key=key, first_key=first[1] if first else b"")


def _table(text: bytes, whole: bool, reading: Reading, place: str) -> Framing:
    """Delimited text, as it was declared. Raises SyntaxFaultError for a quote never closed."""
    delimiter = reading.delimiter or ("\t" if reading.framing == "tsv" else ",")
    try:
        header = csv.read_header(text, delimiter, whole=whole)
    except csv.HeaderError as error:
        raise InputError("csv.header", place, str(error)) from error
    except UnicodeDecodeError as error:
        message = "is not UTF-8 in its header. Name its encoding with `encoding:`"
        raise InputError("encoding.not_utf8", place, message) from error
    return Framing(
        "csv",
        start=header.end,
        head=text[: header.end],
        columns=header.columns,
        delimiter=delimiter,
        lines_before=header.lines,
    )


def _guess_table(text: bytes, whole: bool, reading: Reading) -> Framing | None:
    """Delimited text with a row that has as many fields as its header; None where none has."""
    for framing in ("csv", "tsv") if reading.delimiter is None else ("csv",):
        declared = msgspec.structs.replace(reading, framing=framing)
        try:
            table = _table(text, whole, declared, "")
        except (InputError, SyntaxFaultError):
            continue
        body = text[table.start :] if whole else text[table.start : text.rfind(b"\n") + 1]
        try:
            rows = csv.frames(body, 0, table)
        except SyntaxFaultError as fault:
            rows = fault.whole
        if len(rows.refused) < len(rows.frames):
            return table
    return None


def _sniff_table(
    source: Input, kind: columnar.Kind, compression: Compression, reading: Reading
) -> Sample:
    place = place_of(source)
    if reading.framing not in ("auto", kind):
        message = f"is {kind.capitalize()}, not {reading.framing}"
        raise InputError("format.mismatch", place, message)
    if compression != "none":
        message = f"is {kind.capitalize()} inside an archive or a packed stream. Unpack it first"
        raise InputError("format.unread", place, message)
    columns, specimen, rows = columnar.open_table(source, kind)
    framing = Framing(kind, columns=columns, salvage=reading.salvage, limits=reading.limits)
    return Sample(framing, specimen, rows == 0)


def _refuse_table(raw: bytes, declared: str, place: str) -> None:
    if not raw:
        raise InputError("input.empty", place, "is empty. Set `allow_empty: true` if it may be")
    if declared == "parquet" and raw.endswith(b"PAR1"):
        message = "is no Parquet file: its first bytes are wrong"
        raise InputError("parquet.format", place, message)
    raise InputError("format.mismatch", place, f"is not {declared.capitalize()}")


def _beginning(source: Input, compression: Compression, reading: Reading) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    size = 0
    reader = open_stream(source, compression, reading.limits)
    try:
        while size < SAMPLE_BYTES:
            piece = _next_piece(reader, salvage=reading.salvage and bool(pieces))
            if not piece:
                return b"".join(pieces), True
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces), not _next_piece(reader, salvage=reading.salvage)
    finally:
        reader.close()


def _is_blank_to_the_end(source: Input, compression: Compression, reading: Reading) -> bool:
    """True where nothing but blanks follows. A bomb of blanks is told as a bomb."""
    reader = open_stream(source, compression, reading.limits)
    try:
        while piece := reader.read():
            if piece.strip(_SPACE):
                return False
    finally:
        reader.close()
    return True


def _next_piece(reader: Reader, *, salvage: bool) -> bytes:
    try:
        return reader.read()
    except InputError:
        if not salvage:
            raise
        return b""  # the build will say where it breaks


def _refuse_binary(raw: bytes, place: str) -> None:
    name = next((name for magic, name in _UNREAD if raw.startswith(magic)), None)
    if name:
        raise InputError("format.unread", place, f"is {name}, which is not read")
    if compression_of(raw) in ("zip", "tar"):
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


def _kind(
    text: bytes, keys: tuple[str, ...], whole: bool, declared: Declared, place: str
) -> tuple[Kind, str, int]:
    """The kind, the key of the records, and where in `text` the records begin."""
    at = len(text) - len(text.lstrip(_SPACE))
    if text.count(b"\x00", 0, 4096) > 2048 and not _some_line_is_json(text):
        raise InputError("format.binary", place, "begins with NUL bytes: not text")
    if declared == "jsonl" and not _is_one_document(text, at):
        return "jsonl", "", 0
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


def _is_one_document(text: bytes, at: int) -> bool:
    """True for text that is one JSON document over several lines, or one array of objects."""
    if re.compile(rb"\[\s*\{").match(text, at):
        return not _first_line_is_json(text, whole=False) or not _has_more_lines(text, at)
    return bool(re.compile(rb"[{\[]\s*\n").match(text, at)) and not _some_line_is_json(text)


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
