"""A unit's bytes to the frames of its records, each within the limits."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from dollymix.decoding import Problem
from dollymix.framing import (
    Frame,
    Framing,
    Lines,
    SyntaxFaultError,
    Unit,
    columnar,
    csv,
    json_array,
    jsonl,
)
from dollymix.framing.streams import read_into, read_range, stored_length

TOO_LARGE = "has a record of more than {} bytes. `limits: {{record_bytes: N}}` allows more"


def read_frames(unit: Unit, framing: Framing) -> Lines:
    """The records of a unit.

    Raises CutError where an array's unit does not end at a border, SyntaxFaultError where the
    document is broken.
    """
    if unit.too_large:
        end = unit.end - len(unit.data)
        return Lines([Frame(b"", unit.start, end, 0)], 1, {0: _too_large(framing)})
    if not framing.has_byte_places:
        return columnar.frames(unit.data, *unit.block) if unit.data else Lines([])
    try:
        found = _byte_frames(unit, framing)
    except SyntaxFaultError as fault:
        fault.whole = _within_limits(fault.whole, unit.start, framing)
        raise
    return _within_limits(found, unit.start, framing)


def _byte_frames(unit: Unit, framing: Framing) -> Lines:
    if framing.kind == "jsonl":
        data = read_range(unit.path, unit.start, unit.end) if unit.data is None else unit.data
        return jsonl.frames(data, unit.start, framing.encoding)
    data = unit.data if unit.data is not None else _spared_range(unit)
    text = data if framing.kind == "csv" else memoryview(data)[1:]
    try:
        if framing.kind == "csv":
            found = csv.frames(data, unit.start, framing)
        else:
            frames = json_array.frames(data, unit.start, framing, last=unit.last)
            found = Lines(frames, text=data)
    except SyntaxFaultError as fault:
        if framing.encoding != "utf-8":
            before = bytes(text[: fault.byte - unit.start])
            fault.byte = unit.start + stored_length(before, framing.encoding)
            fault.whole.frames = _stored_frames(fault.whole.frames, unit, text, framing)
        raise
    if framing.encoding != "utf-8":
        found.frames = _stored_frames(found.frames, unit, text, framing)
    return found


def _within_limits(found: Lines, start: int, framing: Framing) -> Lines:
    """The frames; one that is too large is refused, and its bytes are not kept.

    Raises SyntaxFaultError where it costs the file, as it does where it cannot be held, and where
    an element of a document is nested too deep.
    """
    limits = framing.limits
    many_levels = _with_many_brackets(found, start, framing)
    for number, frame in enumerate(found.frames):
        if frame.end - frame.start > limits.record_bytes:
            if costs_file(framing):
                message = TOO_LARGE.format(limits.record_bytes)
                raise _fault_at(found, number, "record.too_large", message, frame.start)
            found.frames[number] = frame._replace(data=b"", stored=None)
            found.refused[number] = _too_large(framing)
        elif number in many_levels:
            data = bytes(frame.data)
            at = json_array.too_deep(data, limits.depth)
            if at is not None:
                message = json_array.TOO_DEEP.format(limits.depth)
                byte = frame.start + stored_length(data[:at], framing.encoding)
                raise _fault_at(found, number, "json.depth", message, byte)
    return found


def _with_many_brackets(found: Lines, start: int, framing: Framing) -> Container[int]:
    """The elements of a document that have more of what may be opening brackets, in strings too,
    than levels are allowed: all others are not nested too deep."""
    if framing.kind not in ("array", "object"):
        return ()
    if found.text is None or framing.encoding != "utf-8":
        return range(len(found.frames))
    import numpy

    text = numpy.frombuffer(found.text, dtype=numpy.uint8)
    # `{` and `[` differ in one bit.
    brackets = numpy.flatnonzero((text[:-1] & 0xDF) == 0x5B)
    # An opening bracket that opens something has one of these before it and behind it.
    before = numpy.isin(text[brackets - 1], list(b":,[ \t\r\n"))
    brackets = brackets[
        before & numpy.isin(text[brackets + 1], list(b'"{[]}-0123456789tfn \t\r\n'))
    ]
    if len(brackets) <= framing.limits.depth:
        return ()
    brackets += start - 1
    places = numpy.array([(frame.start, frame.end) for frame in found.frames]).reshape(-1, 2)
    first, last = numpy.searchsorted(brackets, places).T
    return set(numpy.flatnonzero(last - first > framing.limits.depth).tolist())


def _fault_at(found: Lines, number: int, reason: str, message: str, byte: int) -> SyntaxFaultError:
    """A fault of a frame, with the frames before it."""
    fault = SyntaxFaultError(reason, message, byte)
    fault.whole = Lines(found.frames[:number], 0, found.refused)
    return fault


def _too_large(framing: Framing) -> Problem:
    limit = framing.limits.record_bytes
    message = f"is longer than {limit} bytes. `limits: {{record_bytes: N}}` allows more"
    return Problem("record.too_large", "", message)


def costs_file(framing: Framing) -> bool:
    """True where a record that is too large refuses the file: only a line can be read past."""
    return framing.kind != "jsonl" or framing.encoding != "utf-8"


def spared(data: Any) -> bytearray:
    """The bytes with one to spare before them, as the array reader wants them."""
    buffer = bytearray(len(data) + 1)
    buffer[1:] = data
    return buffer


def _spared_range(unit: Unit) -> bytearray:
    buffer = bytearray(unit.end - unit.start + 1)
    read_into(unit.path, unit.start, memoryview(buffer)[1:])
    return buffer


def _stored_frames(frames: list[Frame], unit: Unit, text: Any, framing: Framing) -> list[Frame]:
    """The frames of a unit's text with their places in the stored encoding."""
    data, moved = bytes(text), []
    position, stored = 0, unit.start
    for frame in frames:
        begin, end = frame.start - unit.start, frame.end - unit.start
        first = stored + stored_length(data[position:begin], framing.encoding)
        stored = first + stored_length(data[begin:end], framing.encoding)
        position = end
        moved.append(frame._replace(start=first, end=stored))
    return moved
