"""A file cut into units: stretches of whole records, cut by size and by nothing else.

A plain UTF-8 file is cut into ranges without being read; every other file is read as a stream,
once, and its units carry their bytes.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Container, Iterator
from typing import Any, Protocol

from dollymix.decoding import Problem
from dollymix.errors import InputError
from dollymix.framing import (
    Frame,
    Framing,
    Input,
    Lines,
    SyntaxFaultError,
    Unit,
    columnar,
    csv,
    json_array,
    jsonl,
)
from dollymix.framing.streams import (
    Reader,
    open_stream,
    place_of,
    read_into,
    read_range,
    stored_length,
)

UNIT_BYTES = 1 << 20
_WINDOW = 1 << 16
# A plain file without candidate cuts over so many units is scanned exactly instead.
_MAX_STRETCH = 16
_TOO_LARGE = "has a record of more than {} bytes. `limits: {{record_bytes: N}}` allows more"


class Units:
    """The units of one file, in order, from the byte (of a columnar file: the row) `start` on."""

    def __init__(
        self,
        source: Input,
        framing: Framing,
        place: tuple[int, int],
        unit_bytes: int,
        start: int | None = None,
        exact: bool = False,
    ) -> None:
        self.source = source
        self.framing = framing
        self.place = place
        self.unit_bytes = unit_bytes
        self.start = framing.start if start is None else start
        self.exact = exact

    def __iter__(self) -> Iterator[Unit]:
        kind = self.framing.kind
        if kind in ("parquet", "arrow"):
            return self._batches(kind)
        plain = self.framing.compression == "none" and self.framing.encoding == "utf-8"
        if plain and (kind == "jsonl" or (kind != "csv" and not self.exact)):
            return self._ranges()
        return self._stream()

    def unit(
        self, start: int, end: int, *, data: Any = None, last: bool = False, too_large: bool = False
    ) -> Unit:
        path = self.source.path if data is None else ""
        return Unit(*self.place, start, end, path, data, last, too_large)

    def _batches(self, kind: columnar.Kind) -> Iterator[Unit]:
        """The batches of a columnar file; an empty unit ends it, since its length is not told."""
        position = self.start
        try:
            for batch in columnar.batches(self.source, kind, self.start):
                end = position + batch.rows
                block = batch.group, batch.row
                yield Unit(*self.place, position, end, "", batch.data, block=block)
                position = end
        except InputError as error:
            if not self.framing.salvage:
                raise
            yield Unit(*self.place, position, position, data=error)
            return
        yield Unit(*self.place, position, position, "", bytearray(), last=True)

    def _ranges(self) -> Iterator[Unit]:
        """Ranges of a plain file; each cut is looked for in a small window."""
        position, size = self.start, self.source.size
        if self.framing.kind == "object":
            if size - position > self._limit + UNIT_BYTES:
                raise self._fault("record.too_large", _TOO_LARGE.format(self._limit), position)
            yield self.unit(position, size, last=True)
            return
        with open(self.source.path, "rb", buffering=0) as file:
            while position < size:
                cut = self._find_cut(file.fileno(), position, size)
                if cut is None:
                    self.start, self.exact = position, True
                    yield from self._stream()
                    return
                yield from self._range(file.fileno(), position, cut, size)
                position = cut
        if self.framing.kind != "jsonl" and self.start >= size:
            raise self._fault("json.syntax", "is cut off: its array does not end", size)

    def _range(self, file: int, position: int, cut: int, size: int) -> Iterator[Unit]:
        """The range as one unit; a line in it that is too large is a unit of its own."""
        last = cut >= size
        if self.framing.kind == "jsonl" and cut - position > self._limit:
            # No line ends between the least end of a unit and the cut.
            before = os.pread(file, self.unit_bytes, position).rfind(b"\n") + 1
            if cut - position - before > self._limit + 1:
                if before:
                    yield self.unit(position, position + before)
                line_end = b"\n" if os.pread(file, 1, cut - 1) == b"\n" else b""
                yield self.unit(position + before, cut, data=line_end, last=last, too_large=True)
                return
        yield self.unit(position, cut, last=last)

    def _find_cut(self, file: int, position: int, size: int) -> int | None:
        """The first border at least a unit behind `position`; None where none is near."""
        at = position + self.unit_bytes
        lines = self.framing.kind == "jsonl"
        pattern = json_array.border(self.framing.first_key)
        carry = b""
        while at < size:
            if not lines and at - position > max(
                _MAX_STRETCH * self.unit_bytes, _MAX_STRETCH << 20
            ):
                return None
            window = carry + os.pread(file, _WINDOW, at)
            if lines:
                found = window.find(b"\n") + 1
            else:
                match = pattern.search(window)
                found = match.end() if match else 0
            if found:
                return at - len(carry) + found
            if len(window) == len(carry):
                return size  # became shorter: whoever reads the range will say so
            at += len(window) - len(carry)
            carry = b"" if lines else window[-256:]
        return size

    def _stream(self) -> Iterator[Unit]:
        """Units that carry their bytes, cut while the stream goes by."""
        reader = self._reader()
        cutter = self._cutter()
        pending = _Pending(self)
        # A record within the limit may have blanks and brackets beside it.
        most = self._limit + max(self.unit_bytes, UNIT_BYTES)
        try:
            while piece := reader.read():
                pending.data += piece
                while (cut := pending.cut(cutter)) > 0:
                    yield pending.take(cut)
                if len(pending.data) <= most:
                    continue
                cut = cutter.last(pending.data)
                cutter = self._cutter()
                if cut > pending.spare:
                    yield pending.take(cut)
                else:
                    yield self._too_large(pending, reader)
        except InputError as error:
            if not self.framing.salvage:
                raise
            # What stands whole before the place where the stream breaks, and the break itself.
            cut = cutter.last(pending.data)
            if cut > pending.spare:
                yield pending.take(cut)
            yield Unit(*self.place, pending.position, pending.position, data=error)
            return
        finally:
            reader.close()
        yield pending.take(len(pending.data), last=True)

    def _too_large(self, pending: _Pending, reader: Reader) -> Unit:
        """A line that is too large to be held, read past. Raises InputError where no line end
        tells where it is over."""
        if _costs_file(self.framing):
            raise self._fault(
                "record.too_large", _TOO_LARGE.format(self._limit), pending.first_record()
            )
        begin, end = pending.position, pending.position + len(pending.data)
        pending.data.clear()
        while piece := reader.read():
            line_end = piece.find(b"\n") + 1
            end += line_end or len(piece)
            if line_end:
                pending.data += piece[line_end:]
                break
        pending.position = end
        return self.unit(begin, end, data=b"\n" if piece else b"", too_large=True)

    @property
    def stored(self) -> str:
        """The encoding that offsets count, where the units carry UTF-8 made of another."""
        return "utf-8" if self.framing.kind == "jsonl" else self.framing.encoding

    def _reader(self) -> Reader:
        stream = open_stream(self.source, self.framing.compression, self.framing.limits)
        reader: Reader = _Skipping(stream, self.start)
        if self.stored != "utf-8":
            place = place_of(self.source)
            reader = _Transcoding(reader, self.framing.encoding, place, self.start)
        return reader

    def _cutter(self) -> Cutter:
        if self.framing.kind == "jsonl":
            return _LineCutter(self.framing.encoding)
        if self.framing.kind == "csv":
            return _RowCutter(self.framing.delimiter)
        return _Cutter(self)

    @property
    def _limit(self) -> int:
        return self.framing.limits.record_bytes

    def _fault(self, reason: str, message: str, byte: int | None) -> InputError:
        return InputError(reason, place_of(self.source), message, byte)


class _Pending:
    """What has been read of a stream and is in no unit yet: `data`, from the byte `position` on.

    A document has one byte to spare before it, as the array reader wants it.
    """

    def __init__(self, units: Units) -> None:
        self._units = units
        self.spare = 0 if units.framing.kind in ("jsonl", "csv") else 1
        self.data = bytearray(self.spare)
        self.position = units.start

    def cut(self, cutter: Cutter) -> int:
        """Where a unit may end, once there is enough for one; 0 where it may not yet."""
        least = self._units.unit_bytes + self.spare
        return cutter.cut(self.data, least) if len(self.data) >= least else 0

    def take(self, cut: int, *, last: bool = False) -> Unit:
        """The unit up to the cut."""
        # The unit keeps the buffer; what is behind the cut begins the next one.
        data, self.data = self.data, bytearray(self.spare) + self.data[cut:]
        del data[cut:]
        begin, self.position = self.position, self.position + self._length(data)
        return self._units.unit(begin, self.position, data=data, last=last)

    def first_record(self) -> int:
        """Where the first record begins: in a document, white space may stand before it."""
        if not self.spare:
            return self.position
        lead = len(self.data) - len(self.data[self.spare :].lstrip(b" \t\r\n"))
        return self.position + self._length(self.data[:lead])

    def _length(self, data: bytearray) -> int:
        """How many bytes of the file these stand for."""
        if self._units.stored == "utf-8":
            return len(data) - self.spare
        return stored_length(data[self.spare :], self._units.stored)


class Cutter(Protocol):
    """Finds where a unit may end: the first place from `least` on, or the last; 0 for none."""

    def cut(self, buffer: bytearray, least: int) -> int: ...

    def last(self, buffer: bytearray) -> int: ...


class _LineCutter:
    """Cuts behind a line end."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._seen = 0

    def cut(self, buffer: bytearray, least: int) -> int:
        found = jsonl.find_newline(buffer, self._encoding, max(least - 1, self._seen))
        self._seen = max(len(buffer) - 4, 0) if found < 0 else 0
        return found

    def last(self, buffer: bytearray) -> int:
        return jsonl.rfind_line(buffer, self._encoding)


class _RowCutter:
    """Cuts behind a row of delimited text: quotes decide, so each row is looked at."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._seen = 0

    def cut(self, buffer: bytearray, least: int) -> int:
        end = self._scan(buffer, least)
        if end < least:
            self._seen = end
            return 0
        self._seen = 0
        return end

    def last(self, buffer: bytearray) -> int:
        return self._scan(buffer, len(buffer) + 1)

    def _scan(self, buffer: bytearray, least: int) -> int:
        position = self._seen
        while position < least:
            end, _ = csv.record_end(buffer, position, self._delimiter, at_end=False)
            if not end:
                break
            position = end
        return position


class _Cutter:
    """Cuts behind the comma between two elements: a candidate, or an exact border."""

    def __init__(self, units: Units) -> None:
        self._pattern = json_array.border(units.framing.first_key)
        self._exact = units.exact or not units.framing.first_key
        self._is_object = units.framing.kind == "object"
        self._depth = units.framing.limits.depth
        self._scanner = json_array.Scanner(self._depth)
        self._seen = 0

    def cut(self, buffer: bytearray, least: int) -> int:
        if self._is_object:
            return 0
        if self._exact:
            return self._exact_cut(buffer, least)
        match = self._pattern.search(buffer, max(least, self._seen))
        self._seen = 0 if match else max(len(buffer) - 256, 0)
        return match.end() if match else 0

    def last(self, buffer: bytearray) -> int:
        if self._is_object:
            return 0
        borders = json_array.Scanner(self._depth).scan(bytes(buffer[1:]))
        return borders[-1] + 1 if borders else 0

    def _exact_cut(self, buffer: bytearray, least: int) -> int:
        if self._scanner.closed is not None or self._scanner.broken is not None:
            return 0
        borders = self._scanner.scan(buffer)
        if self._scanner.depth > self._depth:
            # Whoever reads the unit says so, and what stands before it.
            return len(buffer)
        cut = next((border for border in borders if border >= least), 0) or (
            borders[-1] if borders else 0
        )
        if cut:
            # What was scanned behind the cut is scanned again with the next unit.
            self._scanner = json_array.Scanner(self._depth)
        return cut


class _Skipping:
    """A stream without its first bytes."""

    def __init__(self, reader: Reader, skip: int) -> None:
        self._reader = reader
        self._skip = skip

    def read(self) -> bytes:
        while True:
            piece = self._reader.read()
            if not self._skip or not piece:
                return piece
            skipped = min(self._skip, len(piece))
            self._skip -= skipped
            if skipped < len(piece):
                return piece[skipped:]

    def close(self) -> None:
        self._reader.close()


class _Transcoding:
    """A stream of another encoding as UTF-8; what does not decode refuses the file, behind all
    that stands before it."""

    def __init__(self, reader: Reader, encoding: str, place: str, position: int) -> None:
        self._reader = reader
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._encoding = encoding
        self._place = place
        self._position = position
        self._ended = False
        self._fault: InputError | None = None

    def read(self) -> bytes:
        while not self._ended:
            text = self._next()
            if text:
                return text.encode()
        if self._fault is not None:
            raise self._fault
        return b""

    def _next(self) -> str:
        piece = self._reader.read()
        self._ended = not piece
        self._position += len(piece)
        try:
            return self._decoder.decode(piece, final=self._ended)
        except UnicodeDecodeError as error:
            # The decoder was given these bytes, and those that it had kept from before.
            byte = self._position - len(error.object) + error.start
            message = jsonl.not_in(self._encoding, error)
            self._fault = InputError("encoding.invalid", self._place, message, byte)
            self._ended = True
            return error.object[: error.start].decode(self._encoding, "ignore")

    def close(self) -> None:
        self._reader.close()


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
            if _costs_file(framing):
                message = _TOO_LARGE.format(limits.record_bytes)
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


def _costs_file(framing: Framing) -> bool:
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
