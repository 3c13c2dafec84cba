"""Where the next unit of a stream may end."""

from __future__ import annotations

from typing import Protocol

from dollymix.framing import Framing, csv, json_array, jsonl


class Cutter(Protocol):
    """Finds where a unit may end."""

    def cut(self, buffer: bytearray, least: int) -> int:
        """The first place from `least` on where a unit may end; 0 for none."""

    def last(self, buffer: bytearray) -> int:
        """The last such place; 0 for none."""


class LineCutter:
    """Cuts behind a line end."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._seen = 0

    def cut(self, buffer: bytearray, least: int) -> int:
        """Behind the first line end from `least` on."""
        found = jsonl.find_newline(buffer, self._encoding, max(least - 1, self._seen))
        self._seen = max(len(buffer) - 4, 0) if found < 0 else 0
        return found

    def last(self, buffer: bytearray) -> int:
        """Behind the last line end."""
        return jsonl.rfind_line(buffer, self._encoding)


class RowCutter:
    """Cuts behind a row of delimited text: quotes decide, so each row is looked at."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._seen = 0

    def cut(self, buffer: bytearray, least: int) -> int:
        """Behind the first row that ends at `least` or later."""
        end = self._scan(buffer, least)
        if end < least:
            self._seen = end
            return 0
        self._seen = 0
        return end

    def last(self, buffer: bytearray) -> int:
        """Behind the last whole row."""
        return self._scan(buffer, len(buffer) + 1)

    def _scan(self, buffer: bytearray, least: int) -> int:
        position = self._seen
        while position < least:
            end, _ = csv.record_end(buffer, position, self._delimiter, at_end=False)
            if not end:
                break
            position = end
        return position


class ElementCutter:
    """Cuts behind the comma between two elements: a candidate, or an exact border."""

    def __init__(self, framing: Framing, *, exact: bool) -> None:
        self._pattern = json_array.border(framing.first_key)
        self._exact = exact or not framing.first_key
        self._is_object = framing.kind == "object"
        self._depth = framing.limits.depth
        self._scanner = json_array.Scanner(self._depth)
        self._seen = 0

    def cut(self, buffer: bytearray, least: int) -> int:
        """Behind the first border from `least` on."""
        if self._is_object:
            return 0
        if self._exact:
            return self._exact_cut(buffer, least)
        match = self._pattern.search(buffer, max(least, self._seen))
        self._seen = 0 if match else max(len(buffer) - 256, 0)
        return match.end() if match else 0

    def last(self, buffer: bytearray) -> int:
        """Behind the last border, found exactly."""
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
