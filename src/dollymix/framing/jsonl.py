"""JSON Lines: one record a line. Only LF ends a line; blank lines are no records."""

from __future__ import annotations

import re

from dollymix.decoding import Problem
from dollymix.framing import Frame, Lines

_BLANK = re.compile(rb"[ \t\r]*")


def newline(encoding: str) -> bytes:
    """A line end in an encoding."""
    return "\n".encode(
        encoding.replace("utf-16", "utf-16-le") if encoding == "utf-16" else encoding
    )


def find_newline(data: bytes | bytearray, encoding: str, start: int = 0) -> int:
    """Where the first line that ends at or behind `start` is over; -1 where none ends."""
    mark = newline(encoding)
    at = data.find(mark, start)
    while at >= 0 and at % len(mark):
        at = data.find(mark, at + 1)
    return at + len(mark) if at >= 0 else -1


def frames(data: bytes | bytearray | memoryview, start: int, encoding: str) -> Lines:
    """The records of a stretch that begins and ends at line ends. `start` is its offset."""
    if encoding != "utf-8":
        return _decoded_frames(bytes(data), start, encoding)
    buffer = data if isinstance(data, (bytes, bytearray)) else bytes(data)
    view = memoryview(buffer)
    found: list[Frame] = []
    position, number, size = 0, 0, len(buffer)
    while position < size:
        end = buffer.find(b"\n", position)
        end = size if end < 0 else end
        blank = _BLANK.match(buffer, position, end)
        assert blank is not None
        if blank.end() < end:
            found.append(Frame(view[position:end], start + position, start + end, number))
        position, number = end + 1, number + 1
    return Lines(found, number, {}, buffer)


def _decoded_frames(data: bytes, start: int, encoding: str) -> Lines:
    """The same for another encoding: each line is decoded by itself, offsets stay as stored."""
    found: list[Frame] = []
    refused: dict[int, Problem] = {}
    position, number = 0, 0
    size = len(data) - len(data) % len(newline(encoding))
    while position < size:
        end = find_newline(data, encoding, position)
        end = end if 0 <= end <= size else size
        stored = data[position:end]
        stored = stored.removesuffix(newline(encoding))
        try:
            line = _decode(stored, encoding).encode()
        except UnicodeDecodeError as error:
            refused[len(found)] = Problem("encoding.invalid", "", not_in(encoding, error))
            line = stored
        if line.strip(b" \t\r\n"):
            found.append(Frame(line, start + position, start + position + len(stored), number))
        position, number = end, number + 1
    if size < len(data):
        message = f"is half a character of {encoding} at the file's end"
        refused[len(found)] = Problem("encoding.invalid", "", message)
        found.append(Frame(data[size:], start + size, start + len(data), number))
    return Lines(found, number, refused)


def _decode(stored: bytes, encoding: str) -> str:
    # ISO-2022-KR names its Korean set once, at the file's beginning; each line starts in ASCII.
    prefix = b"\x1b$)C" if encoding == "iso2022_kr" else b""
    return (prefix + stored).decode(encoding)


def not_in(encoding: str, error: UnicodeDecodeError) -> str:
    """What is told of bytes that are none of an encoding."""
    hint = ". Is it cp949, which holds euc-kr?" if encoding == "euc_kr" else ""
    return f"is not {encoding}: {error.reason}{hint}"


def rfind_line(data: bytes | bytearray, encoding: str) -> int:
    """Where the last line that is whole ends; 0 where none is."""
    mark = newline(encoding)
    at = data.rfind(mark)
    while at > 0 and at % len(mark):
        at = data.rfind(mark, 0, at + len(mark) - 1)
    return at + len(mark) if at >= 0 else 0
