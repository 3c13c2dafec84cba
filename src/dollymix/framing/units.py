"""A file cut into units: stretches of whole records, cut by size and by nothing else.

A plain UTF-8 file is cut into ranges without being read; every other file is read as a stream,
once, and its units carry their bytes.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from typing import Any

from dollymix.errors import InputError
from dollymix.framing import RECORD_BYTES, Frame, Framing, Input, Unit, json_array, jsonl
from dollymix.framing.inputs import Reader, open_stream, place_of, read_into, read_range

UNIT_BYTES = 1 << 20
_WINDOW = 1 << 16
# A plain file without candidate cuts over so many units is scanned exactly instead.
_MAX_STRETCH = 16


class Units:
    """The units of one file, in order, from the byte `start` on."""

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
        plain = self.framing.compression == "none" and self.framing.encoding == "utf-8"
        lines = self.framing.kind == "jsonl"
        if plain and (lines or not self.exact):
            return self._ranges()
        return self._stream()

    def _unit(self, start: int, end: int, *, data: Any = None, last: bool = False) -> Unit:
        path = self.source.path if data is None else ""
        return Unit(*self.place, start, end, path, data, last)

    def _ranges(self) -> Iterator[Unit]:
        """Ranges of a plain file; each cut is looked for in a small window."""
        position, size = self.start, self.source.size
        if self.framing.kind == "object":
            self._check_size(size - position, position)
            yield self._unit(position, size, last=True)
            return
        with open(self.source.path, "rb", buffering=0) as file:
            while position < size:
                cut = self._find_cut(file.fileno(), position, size)
                if cut is None:
                    self.start, self.exact = position, True
                    yield from self._stream()
                    return
                yield self._unit(position, cut, last=cut >= size)
                position = cut
        if self.framing.kind != "jsonl" and self.start >= size:
            raise self._fault("json.syntax", "is cut off: its array does not end", size)

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
            at += len(window) - len(carry)
            carry = b"" if lines else window[-256:]
            if lines:
                self._check_size(at - position, position)
        return size

    def _stream(self) -> Iterator[Unit]:
        """Units that carry their bytes, cut while the stream goes by."""
        reader = self._reader()
        lines = self.framing.kind == "jsonl"
        cutter = _LineCutter(self.framing.encoding) if lines else _Cutter(self)
        spare = bytearray(0 if lines else 1)
        buffer = bytearray(spare)
        position = self.start
        try:
            while piece := reader.read():
                buffer += piece
                while len(buffer) - len(spare) >= self.unit_bytes:
                    cut = cutter.cut(buffer, self.unit_bytes + len(spare))
                    if cut <= 0:
                        self._check_size(len(buffer), position)
                        break
                    # The unit keeps the buffer; what is behind the cut begins the next one.
                    data, buffer = buffer, spare + buffer[cut:]
                    del data[cut:]
                    end = position + self._length(data, len(spare))
                    yield self._unit(position, end, data=data)
                    position = end
        finally:
            reader.close()
        end = position + self._length(buffer, len(spare))
        yield self._unit(position, end, data=buffer, last=True)

    def _length(self, data: bytearray, spare: int) -> int:
        """How many bytes of the file a unit's bytes stand for."""
        stored = self._stored()
        return len(data) - spare if stored == "utf-8" else stored_length(data[spare:], stored)

    def _stored(self) -> str:
        """The encoding that offsets count, where the units carry UTF-8 made of another."""
        return "utf-8" if self.framing.kind == "jsonl" else self.framing.encoding

    def _reader(self) -> Reader:
        reader: Reader = _Skipping(open_stream(self.source, self.framing), self.start)
        if self._stored() != "utf-8":
            reader = _Transcoding(reader, self.framing.encoding, place_of(self.source))
        return reader

    def _check_size(self, length: int, position: int) -> None:
        if length > RECORD_BYTES + self.unit_bytes:
            message = f"has a record of more than {RECORD_BYTES} bytes, or no border of records"
            raise self._fault("record.too_large", message, position)

    def _fault(self, reason: str, message: str, byte: int) -> InputError:
        return InputError(reason, place_of(self.source), message, byte)


class _LineCutter:
    """Cuts behind a line end."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding

    def cut(self, buffer: bytearray, least: int) -> int:
        return jsonl.find_newline(buffer, self._encoding, least - 1)


class _Cutter:
    """Cuts behind the comma between two elements: a candidate, or an exact border."""

    def __init__(self, units: Units) -> None:
        self._pattern = json_array.border(units.framing.first_key)
        self._exact = units.exact or not units.framing.first_key
        self._is_object = units.framing.kind == "object"
        self._scanner = json_array.Scanner()
        self._seen = 0

    def cut(self, buffer: bytearray, least: int) -> int:
        if self._is_object:
            return 0
        if self._exact:
            return self._exact_cut(buffer, least)
        match = self._pattern.search(buffer, max(least, self._seen))
        self._seen = 0 if match else max(len(buffer) - 256, 0)
        return match.end() if match else 0

    def _exact_cut(self, buffer: bytearray, least: int) -> int:
        if self._scanner.closed is not None:
            return 0
        borders = self._scanner.scan(buffer)
        cut = next((border for border in borders if border >= least), 0) or (
            borders[-1] if borders else 0
        )
        if cut:
            # What was scanned behind the cut is scanned again with the next unit.
            self._scanner = json_array.Scanner()
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
    """A stream of another encoding as UTF-8; what does not decode refuses the file."""

    def __init__(self, reader: Reader, encoding: str, place: str) -> None:
        self._reader = reader
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._encoding = encoding
        self._place = place
        self._ended = False

    def read(self) -> bytes:
        while not self._ended:
            piece = self._reader.read()
            self._ended = not piece
            try:
                text = self._decoder.decode(piece, final=self._ended)
            except UnicodeDecodeError as error:
                message = f"is not {self._encoding}: {error.reason}"
                raise InputError("encoding.invalid", self._place, message) from error
            if text:
                return text.encode()
        return b""

    def close(self) -> None:
        self._reader.close()


def stored_length(data: bytes | bytearray, encoding: str) -> int:
    """How many bytes UTF-8 text takes in the encoding it was stored in."""
    return len(data) if encoding == "utf-8" else len(data.decode().encode(encoding))


def read_frames(unit: Unit, framing: Framing) -> jsonl.Lines:
    """The records of a unit.

    Raises CutError where an array's unit does not end at a border, SyntaxFaultError where the
    document is broken.
    """
    if framing.kind == "jsonl":
        data = read_range(unit.path, unit.start, unit.end) if unit.data is None else unit.data
        return jsonl.frames(data, unit.start, framing.encoding)
    data = unit.data if unit.data is not None else _spared_range(unit)
    found = json_array.frames(data, unit.start, framing, last=unit.last)
    if framing.encoding != "utf-8":
        found = _stored_frames(found, bytes(data[1:]), unit.start, framing.encoding)
    return jsonl.Lines(found, 0, {})


def spared(data: Any) -> bytearray:
    """The bytes with one to spare before them, as the array reader wants them."""
    buffer = bytearray(len(data) + 1)
    buffer[1:] = data
    return buffer


def _spared_range(unit: Unit) -> bytearray:
    buffer = bytearray(unit.end - unit.start + 1)
    read_into(unit.path, unit.start, memoryview(buffer)[1:])
    return buffer


def _stored_frames(frames: list[Frame], data: bytes, start: int, encoding: str) -> list[Frame]:
    """The frames with their places in the stored encoding."""
    moved: list[Frame] = []
    position, stored = 0, start
    for frame in frames:
        begin, end = frame.start - start, frame.end - start
        first = stored + stored_length(data[position:begin], encoding)
        stored = first + stored_length(data[begin:end], encoding)
        position = end
        moved.append(Frame(frame.data, first, stored))
    return moved
