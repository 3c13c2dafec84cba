"""Rows of delimited text, as RFC 4180 has them. No type is guessed: each field is text.

A field in quotes may hold delimiters, line ends and doubled quotes; a quote anywhere else is a
fault (`csv.quote`), which costs the physical lines up to the next line end. A quote that is never
closed would swallow the rest of the file: it refuses the file. Blank lines are no records.
"""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

import msgspec

from dollymix.decoding import Problem
from dollymix.framing import Frame, Framing, Lines, SyntaxFaultError
from dollymix.text import first_repeated, quoted

_QUOTED = rb'"[^"]*+(?:""[^"]*+)*+"'
_encode = msgspec.json.Encoder().encode


class HeaderError(Exception):
    """The first row names no columns."""


class Header(NamedTuple):
    """The columns, the offset behind them, and how many lines they take."""

    columns: tuple[str, ...]
    end: int
    lines: int


class _Grammar(NamedTuple):
    """What a record looks like under a delimiter: whole, at the file's end, its fields."""

    record: re.Pattern[bytes]
    last_record: re.Pattern[bytes]
    fields: re.Pattern[bytes]
    field: re.Pattern[bytes]


@functools.cache
def _grammar(delimiter: str) -> _Grammar:
    mark = re.escape(delimiter.encode())
    # A CR that is no line's end is looked for ahead: before 3.11.5 Python keeps what the last round
    # of a possessive group has matched, though it fails.
    text = rb'[^"\r\n%s]*+' % mark
    plain = rb"%s(?:(?=\r[^\n]|\r\Z)\r%s)*+" % (text, text)
    field = rb"(?:%s|%s)" % (_QUOTED, plain)
    fields = rb"%s(?:%s%s)*+" % (field, mark, field)
    return _Grammar(
        re.compile(rb"%s\r?\n" % fields),
        re.compile(rb"%s(?:\r?\n|\Z)" % fields),
        re.compile(fields),
        re.compile(rb"(%s)(%s|\Z)" % (field, mark)),
    )


def record_end(
    data: Any, position: int, delimiter: str, *, at_end: bool
) -> tuple[int, Problem | None]:
    """Where the record at `position` ends, and its fault; 0 where the data ends before it does.

    Raises SyntaxFaultError, with the offset in `data`, for a quote that is never closed.
    """
    grammar = _grammar(delimiter)
    whole = (grammar.last_record if at_end else grammar.record).match(data, position)
    if whole:
        return whole.end(), None
    fields = grammar.fields.match(data, position)
    assert fields is not None
    at = fields.end()
    if not at_end and len(data) - at <= 1:
        return 0, None
    is_start = at == position or data[at - 1 : at] == delimiter.encode()
    if data[at : at + 1] == b'"' and is_start:
        if not at_end:
            return 0, None
        message = "has a quote that is never closed: all behind it would be one field"
        raise SyntaxFaultError("csv.unclosed_quote", message, at)
    end = data.find(b"\n", at) + 1
    if not end and not at_end:
        return 0, None
    return end or len(data), Problem("csv.quote", "", _why(data, position, at))


def _why(data: Any, position: int, at: int) -> str:
    if data[at - 1 : at] == b"\\" or data[at - 2 : at - 1] == b"\\":
        return "has a quote behind a backslash: a quote inside a field is doubled, not escaped"
    if data[at : at + 1] == b'"':
        return "has a quote inside a field that is not in quotes"
    lines = data.count(b"\n", position, at)
    over = (
        f"; the field in quotes runs over {lines + 1} lines: is a quote missing?" if lines else ""
    )
    return f"has text behind a closing quote{over}"


def read_header(data: bytes, delimiter: str, *, whole: bool) -> Header:
    """The columns that the first row names. Raises HeaderError where it names none, or two alike;
    SyntaxFaultError for a quote that is never closed."""
    end, problem = record_end(data, 0, delimiter, at_end=whole)
    if problem is not None or not end:
        raise HeaderError("has a first row that is no list of names: quotes stand inside a name")
    columns = tuple(_fields(data[:end], delimiter))
    if len(columns) == 1:
        other = next((mark for mark in ";\t,|" if mark in columns[0] and mark != delimiter), "")
        hint = f". Set `delimiter: {other!r}`?" if other else ""
        raise HeaderError(f"has one column, {quoted(columns[0])}, under {delimiter!r}{hint}")
    if "" in columns:
        raise HeaderError(f"has no name for column {columns.index('') + 1}")
    twice = first_repeated(columns)
    if twice is not None:
        raise HeaderError(f"has two columns named {quoted(twice)}")
    return Header(columns, end, data.count(b"\n", 0, end))


def frames(data: Any, start: int, framing: Framing) -> Lines:
    """The records of a stretch of whole rows; `start` is its offset, in UTF-8.

    Raises SyntaxFaultError, with the records before it, where the rest of the file is in doubt.
    """
    buffer = bytes(data)
    found: list[Frame] = []
    refused: dict[int, Problem] = {}
    position, line = 0, 0
    try:
        while position < len(buffer):
            end, problem = record_end(buffer, position, framing.delimiter, at_end=True)
            stored = buffer[position:end]
            body = b""
            if problem is None:
                body, problem = _record(stored, framing, position)
            if problem is not None:
                refused[len(found)] = problem
            if body or problem is not None:
                kept = stored.rstrip(b"\r\n") if problem is None else stored
                place = start + position, start + position + len(kept)
                found.append(Frame(body or kept, *place, line, kept))
            line += stored.count(b"\n")
            position = end
    except SyntaxFaultError as fault:
        fault.whole = Lines(found, line, refused)
        fault.byte += start
        raise
    return Lines(found, line, refused)


def _record(stored: bytes, framing: Framing, position: int) -> tuple[bytes, Problem | None]:
    """The record as JSON, or its fault; neither for a blank line."""
    if stored in (b"\n", b"\r\n"):
        return b"", None
    try:
        fields = _fields(stored, framing.delimiter)
    except UnicodeDecodeError as error:
        message = f"is not UTF-8: {error.reason}. Set `encoding:`?"
        raise SyntaxFaultError("encoding.invalid_utf8", message, position) from error
    if len(fields) != len(framing.columns):
        count = f"{len(fields)} field{'s' * (len(fields) != 1)}"
        message = f"has {count}; the header has {len(framing.columns)}"
        return b"", Problem("csv.column_count", "", message)
    return _encode(dict(zip(framing.columns, fields, strict=True))), None


def _fields(stored: bytes, delimiter: str) -> list[str]:
    """The fields of one well-formed record."""
    text = stored[:-1] if stored.endswith(b"\n") else stored
    text = text[:-1] if stored.endswith(b"\r\n") else text
    if b'"' not in text:
        return text.decode().split(delimiter)
    fields: list[str] = []
    match = _grammar(delimiter).field.match
    position, more = 0, True
    while more:
        found = match(text, position)
        assert found is not None
        field = found[1]
        if field.startswith(b'"'):
            field = field[1:-1].replace(b'""', b'"')
        fields.append(field.decode())
        position, more = found.end(), bool(found[2])
    return fields
