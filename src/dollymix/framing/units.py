"""A file cut into units: stretches of whole records, cut by size and by nothing else.

A plain UTF-8 file is cut into ranges without being read; every other file is read as a stream,
once, and its units carry their bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from dollymix.errors import InputError
from dollymix.framing import Framing, Input, Unit, columnar, json_array
from dollymix.framing.cutters import Cutter, ElementCutter, LineCutter, RowCutter
from dollymix.framing.encoding import Transcoding
from dollymix.framing.frames import TOO_LARGE, costs_file
from dollymix.framing.streams import Reader, open_stream, place_of, stored_length

UNIT_BYTES = 1 << 20
_WINDOW = 1 << 16
# A plain file without candidate cuts over so many units is scanned exactly instead.
_MAX_STRETCH = 16


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
        """A unit of this file; without `data`, whoever takes it reads them."""
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
                raise self._fault("record.too_large", TOO_LARGE.format(self._limit), position)
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
        if costs_file(self.framing):
            raise self._fault(
                "record.too_large", TOO_LARGE.format(self._limit), pending.first_record()
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
            reader = Transcoding(reader, self.framing.encoding, place, self.start)
        return reader

    def _cutter(self) -> Cutter:
        if self.framing.kind == "jsonl":
            return LineCutter(self.framing.encoding)
        if self.framing.kind == "csv":
            return RowCutter(self.framing.delimiter)
        return ElementCutter(self.framing, exact=self.exact)

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
