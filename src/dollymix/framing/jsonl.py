"""JSON Lines: one record a line. Only LF ends a line; blank lines are no records."""

from __future__ import annotations

import re

import msgspec

from dollymix.framing import Frame

_BLANK = re.compile(rb"[ \t\r]*")


class Lines(msgspec.Struct):
    """The frames of a stretch of lines, how many lines it has, and which could not be decoded."""

    frames: list[Frame]
    lines: int
    undecodable: dict[int, str]


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
    return Lines(found, number, {})


def _decoded_frames(data: bytes, start: int, encoding: str) -> Lines:
    """The same for another encoding: each line is decoded by itself, offsets stay as stored."""
    found: list[Frame] = []
    undecodable: dict[int, str] = {}
    position, number, size = 0, 0, len(data)
    while position < size:
        end = find_newline(data, encoding, position)
        end = size if end < 0 else end
        stored = data[position:end]
        try:
            line = stored.decode(encoding).encode()
        except UnicodeDecodeError as error:
            undecodable[len(found)] = f"is not {encoding}: {error.reason}"
            line = stored
        if line.strip():
            found.append(Frame(line, start + position, start + end, number))
        position, number = end, number + 1
    return Lines(found, number, undecodable)
