"""One JSON document: an array of records, an array under a key, or one object.

The quick way: a candidate cut is a place that looks like the border of two elements. Put between
brackets, the stretch between two cuts is parsed; since a JSON parser is deterministic, a stretch
that is a whole array proves its end to be a border, by induction from the beginning of the file.
The exact way, for what the quick one cannot do: brackets and strings are counted.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from msgspec import Raw

from dollymix.decoding import explain_syntax
from dollymix.framing import CutError, Frame, Framing, Limits, Lines, SyntaxFaultError

_SPACE = re.compile(rb"[ \t\r\n]*")
_GAP = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*")
# A whole string, a bracket or a comma. The possessive quantifiers keep it linear.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)

# Where the decoder says that it stopped.
_AT = re.compile(r" \(byte (\d+)\)$")

TOO_DEEP = "is nested more than {} levels deep"

# A writable one: the array reader puts brackets round it.
Buffer = bytearray | memoryview

_elements = msgspec.json.Decoder(list[Raw])
_document = msgspec.json.Decoder(dict[str, Raw])


def border(first_key: bytes) -> re.Pattern[bytes]:
    """What the border of two elements looks like that begin with this key."""
    key = rb"\s*" + re.escape(first_key) + rb"\s*:" if first_key else rb""
    return re.compile(rb"\}\s*+,(?=\s*\{" + key + rb")")


def frames(data: Buffer, start: int, framing: Framing, *, last: bool) -> list[Frame]:
    """The elements of a stretch of the document that begins where one begins.

    `data` has one byte to spare before the stretch, so that it can be put between brackets without
    being copied; `start` is the stretch's offset in the file. A stretch ends behind a comma, or,
    where `last`, at the end of the file. Raises CutError where it does not end at a border,
    SyntaxFaultError where the document is broken.
    """
    found, failed = None, None
    try:
        found = _quick(data, start, framing, last=last)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        failed = error
    # A stretch without an element, if it is not the whole array, is a comma too many.
    if found or (found is not None and last and start == framing.start):
        return found
    if not last:
        data[-1] = 0x2C
    return _exact(data[1:], start, framing, failed, last=last)


def _quick(data: Buffer, start: int, framing: Framing, *, last: bool) -> list[Frame]:
    data[0] = 0x5B
    if not last:
        data[-1] = 0x5D
        return _place(_elements.decode(data), data, start)
    if framing.kind == "array" and not framing.key:
        return _place(_elements.decode(data), data, start)
    stretch = memoryview(data)[1:]
    if framing.key:
        value = _document.decode(b"".join((framing.head, stretch)))[framing.key]
        _check_first(value, stretch, framing, start)
        parts = [value] if framing.kind == "object" else _elements.decode(value)
        return _place(parts, data, start)
    return _place([msgspec.json.decode(stretch, type=Raw)], data, start)


def _check_first(value: Raw, stretch: Any, framing: Framing, start: int) -> None:
    """The decoder keeps the last of two values: it must be the one where the records begin."""
    found = memoryview(value)
    if framing.kind == "object":
        if stretch[: len(found)] != found:
            raise _twice(framing, start)
        return
    found = found[1:]  # its bracket stands in the head
    rest = bytes(stretch[len(found) :])
    if stretch[: len(found)] != found or framing.key.encode() in rest or b"\\" in rest:
        # The exact way tells whether it stands twice.
        raise msgspec.DecodeError(framing.key)


def _twice(framing: Framing, byte: int) -> SyntaxFaultError:
    message = f"has its `{framing.key}` twice"
    return SyntaxFaultError("json.duplicate_key", message, byte)


def _place(parts: list[Raw], data: Buffer, start: int) -> list[Frame]:
    """The parts with their places: between two there is a comma and white space, nothing else."""
    space = _SPACE.match(data, 1)
    assert space is not None
    position, shift = space.end(), start - 1
    found: list[Frame] = []
    match = _GAP.match
    for part in parts:
        end = position + len(memoryview(part))
        found.append(Frame(part, shift + position, shift + end))
        gap = match(data, end)
        position = gap.end() if gap else end
    return found


def _exact(
    data: Any, start: int, framing: Framing, failed: Exception | None, *, last: bool
) -> list[Frame]:
    scanner = Scanner(framing.limits.depth)
    borders = scanner.scan(data)
    try:
        if last and framing.kind == "object":
            assert failed is not None
            raise _no_document(start, framing, scanner, failed)
        return _cut(data, _ends(data, start, framing, scanner, borders, last=last), start, framing)
    except SyntaxFaultError as fault:
        if framing.kind != "array":
            raise
        first = fault
    ends = borders if scanner.closed is None else [*borders, scanner.closed + 1]
    try:
        first.whole = Lines(_whole(data, ends, start, first.byte, framing))
    except SyntaxFaultError as earlier:
        # A comma too many stands before the place where the brackets go wrong.
        first = earlier
        first.whole = Lines(_whole(data, ends, start, first.byte, framing))
    raise first


def _ends(
    data: Any, start: int, framing: Framing, scanner: Scanner, borders: list[int], *, last: bool
) -> list[int]:
    """Where each element ends, the comma included; raises where the stretch is broken."""
    closed = scanner.closed
    if scanner.depth > scanner.limit:
        raise _too_deep(start, scanner)
    if scanner.broken is not None:
        message = "has a brace that closes nothing"
        raise SyntaxFaultError("json.syntax", message, start + scanner.broken)
    if not last:
        if closed is not None:
            message = "has other data behind its array"
            raise SyntaxFaultError("json.trailing_data", message, start + closed + 1)
        if scanner.depth or not borders or borders[-1] != len(data):
            raise CutError
        return borders
    if closed is None:
        message = "is cut off: its array does not end"
        raise SyntaxFaultError("json.syntax", message, start + len(data))
    _check_tail(data, closed, start, framing)
    return [*borders, closed + 1]


def _whole(data: Any, ends: list[int], start: int, broken: int, framing: Framing) -> list[Frame]:
    """The elements that end before the place where the document is broken."""
    return _cut(data, [end for end in ends if start + end <= broken], start, framing)


def _check_tail(data: Any, closed: int, start: int, framing: Framing) -> None:
    """What stands behind the array must end the document."""
    tail = bytes(data[closed + 1 :])
    if not framing.key:
        if tail.strip(b" \t\r\n"):
            message = "has other data behind its array"
            raise SyntaxFaultError("json.trailing_data", message, start + closed + 1)
        return
    try:
        _document.decode(framing.head + b"]" + tail)
    except (msgspec.DecodeError, RecursionError) as error:
        what = f"is broken behind its `{framing.key}`"
        message = _said(what, error, len(framing.head) + 1, framing.key)
        raise SyntaxFaultError("json.syntax", message, start + closed + 1) from error
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 outside its `{framing.key}`: {error.reason}"
        raise SyntaxFaultError("encoding.invalid_utf8", message, start + closed + 1) from error
    before = _count(framing.head + b"]}", framing.key)
    if _count(framing.head + b"]" + tail, framing.key) > before:
        raise _twice(framing, start + closed + 1)


def _count(data: bytes, key: str) -> int:
    """How often an object has a key."""
    # An object becomes the list of its keys; only the outermost is looked at.
    names = json.loads(
        data.decode(errors="replace"),
        object_pairs_hook=lambda pairs: [name for name, _ in pairs],
        parse_int=str,
    )
    return int(names.count(key))


def _cut(data: Any, ends: list[int], start: int, framing: Framing) -> list[Frame]:
    found: list[Frame] = []
    view = memoryview(data)
    position = 0
    may_be_empty = len(ends) == 1 and start == framing.start
    for end in ends:
        text = bytes(view[position : end - 1])
        left = len(text) - len(text.lstrip(b" \t\r\n"))
        stripped = text.strip(b" \t\r\n")
        if not stripped and not (may_be_empty and view[end - 1] == 0x5D):
            raise SyntaxFaultError("json.syntax", "has a comma too many", start + position)
        if stripped:
            first = start + position + left
            found.append(Frame(stripped, first, first + len(stripped)))
        position = end
    return found


def _too_deep(start: int, scanner: Scanner) -> SyntaxFaultError:
    message = TOO_DEEP.format(scanner.limit)
    return SyntaxFaultError("json.depth", message, start + (scanner.broken or 0))


def too_deep(data: bytes, limit: int) -> int | None:
    """Where a JSON value is nested deeper than that; None where it is not."""
    scanner = Scanner(limit)
    scanner.scan(data)
    return scanner.broken


def _no_document(
    start: int, framing: Framing, scanner: Scanner, failed: Exception
) -> SyntaxFaultError:
    """Why the decoder failed to read one object."""
    if scanner.depth > scanner.limit:
        return _too_deep(start, scanner)
    if isinstance(failed, UnicodeDecodeError):
        message = f"is not UTF-8: {failed.reason}"
        return SyntaxFaultError("encoding.invalid_utf8", message, start)
    ahead = len(framing.head) if framing.key else 0
    return SyntaxFaultError("json.syntax", _said("is not JSON", failed, ahead, framing.key), start)


def _said(what: str, failed: Exception, ahead: int, key: str) -> str:
    """What the decoder says; its place is counted from behind so many bytes that it was given."""
    text = explain_syntax(failed)
    found = _AT.search(text)
    if found is None:
        return f"{what}: {text}"
    at = int(found[1]) - ahead
    text = text[: found.start()]
    return f"{what}: {text} (byte {at})" if at >= 0 else f"is broken before its `{key}`: {text}"


class Scanner:
    """Finds where elements end, by counting brackets outside strings; fed with a growing buffer.

    `scanned` is how far it has come, `depth` how deep it is, `closed` where the array ended,
    `broken` where a brace closes nothing or the nesting is too deep.
    """

    def __init__(self, limit: int = Limits().depth) -> None:
        self.limit = limit
        self.scanned = 0
        self.depth = 0
        self.closed: int | None = None
        self.broken: int | None = None

    def scan(self, data: Any) -> list[int]:
        """The places behind the commas between elements, from where the last scan ended."""
        borders: list[int] = []
        position, depth = self.scanned, self.depth
        for token in _TOKEN.finditer(data, position):
            first = data[token.start()]
            position = token.end()
            if first == 0x22:
                if position - token.start() == 1:
                    # A string that has not ended yet: go on from its beginning.
                    position = token.start()
                    break
            elif first in b"[{":
                depth += 1
            elif first == 0x2C:
                if depth == 0:
                    borders.append(position)
            elif depth:
                depth -= 1
            elif first == 0x5D:
                self.closed = token.start()
                break
            else:
                self.broken = token.start()
                break
            if depth > self.limit:
                self.broken = token.start()
                break
        self.scanned, self.depth = position, depth
        return borders
