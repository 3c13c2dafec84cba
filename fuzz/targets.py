"""The targets: each a law of what reads untrusted bytes, checked for one input.

A target takes any bytes. The first byte says how the rest is meant: as the input itself, or as
choices from which one is drawn (`draw`). A broken law is an AssertionError; any exception but ours
leaves as it is.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dollymix import convert, duplicate_keys, formats
from dollymix.decoding import FAILURES
from dollymix.errors import InputError
from dollymix.example import Example, Origin
from dollymix.framing import (
    CutError,
    Frame,
    Framing,
    Input,
    Limits,
    Reading,
    SyntaxFaultError,
    Unit,
    json_array,
    streams,
    units,
)
from dollymix.framing.frames import read_frames, spared
from dollymix.framing.inputs import list_inputs
from dollymix.framing.sniff import sniff
from dollymix.framing.units import Units
from dollymix.ledger import part_fault
from fuzz.draw import Draw

PLACE = 0, 0
ORIGIN = Origin("source", "file", 0)
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
NAMES = ("dolly", "alpaca", "sharegpt", "squad", "korquad2")
OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "dolly": ({},),
    "alpaca": ({},),
    "sharegpt": (
        {},
        {"turns": "whole"},
        {"history": "context", "group": "x"},
        {"turns": "whole", "history": "context", "roles": {"instruction": ["gpt"]}},
    ),
    "squad": ({}, {"answers": "all"}, {"answers": "all", "not_in_context": "keep"}),
    "korquad2": ({}, {"not_in_context": "keep"}),
}


class Outcome(NamedTuple):
    """The records of a file with their places, the lines they begin on, and how reading ended."""

    frames: list[tuple[bytes, int, int]]
    lines: list[int | None]
    refused: list[int]
    fault: str = ""


@contextlib.contextmanager
def scratch(data: bytes, suffix: str = "") -> Iterator[str]:
    """The path of a file in memory that holds the bytes."""
    descriptor, path = tempfile.mkstemp(suffix, dir=MEMORY)
    try:
        os.write(descriptor, data)
        os.close(descriptor)
        yield path
    finally:
        os.unlink(path)


@contextlib.contextmanager
def pieces_of(size: int) -> Iterator[None]:
    """Streams are read, and cuts looked for, in pieces so small that small files have many."""
    before = streams.PIECE, units._WINDOW, streams._RATIO_AFTER
    streams.PIECE, units._WINDOW, streams._RATIO_AFTER = size, size, 1 << 16
    try:
        yield
    finally:
        streams.PIECE, units._WINDOW, streams._RATIO_AFTER = before


def read_all(source: Input, framing: Framing, unit_bytes: int) -> Outcome:
    """All records of a file, unit by unit, as a build takes them."""
    out = Outcome([], [], [])
    try:
        _read_from(out, source, framing, unit_bytes, None, exact=False)
    except InputError as error:
        return out._replace(fault=error.reason)
    except SyntaxFaultError as fault:
        _take(out, fault.whole, 0)
        return out._replace(fault=fault.reason)
    return out


def _read_from(
    out: Outcome, source: Input, framing: Framing, size: int, start: int | None, *, exact: bool
) -> None:
    line, end = framing.lines_before, framing.start if start is None else start
    for unit in Units(source, framing, PLACE, size, start=start, exact=exact):
        assert unit.start == end, "a unit does not begin where the one before it ends"
        try:
            found = read_frames(unit, framing)
        except CutError:
            assert not exact, "an exact cut is none"
            _read_from(out, source, framing, size, unit.start, exact=True)
            return
        _take(out, found, line)
        line, end = line + found.lines, unit.end
    assert end == source.size or framing.compression != "none", "units do not reach the file's end"


def _take(out: Outcome, found: Any, line: int) -> None:
    first = len(out.frames)
    out.refused.extend(first + number for number in found.refused)
    for frame in found.frames:
        out.frames.append((bytes(frame.data), frame.start, frame.end))
        out.lines.append(None if frame.line is None else frame.line + line)


def _plain(path: str, data: bytes) -> Input:
    return Input(path, "file", size=len(data))


def lines(data: bytes) -> None:
    """JSON Lines: the records are those of a plain split, whatever the size of a unit is."""
    draw = Draw(data)
    mode, size = draw.below(4), 1 + draw.below(64)
    encoding = ("utf-8", "utf-8", "utf-16-le", "cp949")[mode]
    check_lines(draw.rest(), size, encoding)


def check_lines(data: bytes, size: int, encoding: str = "utf-8") -> None:
    """The law of `lines` for one file."""
    framing = Framing("jsonl", encoding=encoding)
    with scratch(data) as path, pieces_of(7):
        source = _plain(path, data)
        one, many = read_all(source, framing, 1 << 20), read_all(source, framing, size)
        packed = [read_all(source, framing, n) for n in (1,)]
    assert one == many == packed[0], (one, many)
    assert not one.fault
    if encoding == "utf-8":
        expected: list[tuple[bytes, int, int]] = []
        position = 0
        for line in data.split(b"\n"):
            if line.strip(b" \t\r"):
                expected.append((line, position, position + len(line)))
            position += len(line) + 1
        assert one.frames == expected
        assert one.lines == [data.count(b"\n", 0, start) for _, start, _ in expected]
    for number, (body, start, end) in enumerate(one.frames):
        assert 0 <= start < end <= len(data)
        if encoding != "utf-8" and number not in one.refused:
            assert body.decode() == data[start:end].decode(encoding)


def array(data: bytes) -> None:
    """One JSON document: quick or exact, in units of any size, the records are the same."""
    draw = Draw(data)
    mode, size = draw.below(4), 1 + draw.below(64)
    if mode == 0:
        check_array(draw.rest(), size)
        return
    items = [draw.record(NAMES[draw.below(5)]) for _ in range(draw.below(6))]
    body = draw.space() + (draw.space() + b"," + draw.space()).join(items) + draw.space()
    document = b"[" + body + b"]"
    if mode == 2:
        rest = (b"}", b',"x":1}', b',"data":[]}', b"")[draw.below(4)]
        document = b'{"version":"x","data":' + document + rest
    if mode == 3:
        document = draw.damaged(document)
    check_array(document, size)


def check_array(data: bytes, size: int) -> None:
    """The law of `array` for one file."""
    with scratch(data) as path, pieces_of(31):
        source = _plain(path, data)
        try:
            framing = sniff(source, ("data",), Reading("json")).framing
        except InputError:
            return
        if framing.encoding != "utf-8" or framing.kind not in ("array", "object"):
            return
        whole = read_all(source, framing, 1 << 20)
        found = [trusted(read_all(source, framing, n)) for n in (size, 1)]
        exact = exactly(source, framing, size)
    _compare_ways(data, framing)
    expected = trusted(whole)
    assert all(one == expected for one in (*found, exact)), (expected, found, exact)
    for body, start, end in expected.frames:
        assert data[start:end] == body
    _compare_to_json(data, framing, expected)


def exactly(source: Input, framing: Framing, size: int) -> Outcome:
    """The records of a document whose every border is looked for exactly."""
    out = Outcome([], [], [])
    try:
        _read_from(out, source, framing, size, None, exact=True)
    except InputError as error:
        return trusted(out._replace(fault=error.reason))
    except SyntaxFaultError as fault:
        _take(out, fault.whole, 0)
        return trusted(out._replace(fault=fault.reason))
    return trusted(out)


def trusted(read: Outcome) -> Outcome:
    """What is left where the first record that is no JSON costs the rest; reasons may differ."""
    whole: list[tuple[bytes, int, int]] = []
    for frame in read.frames:
        if not _is_json(frame[0]):
            return Outcome(whole, [], [], "broken")
        whole.append(frame)
    return Outcome(whole, [], [], "broken" if read.fault else "")


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except FAILURES:
        return False
    return True


def _compare_ways(data: bytes, framing: Framing) -> None:
    """The two ways over the whole document at once."""
    if framing.kind == "object":
        return
    body = data[framing.start :]
    try:
        quick = json_array._quick(spared(body), framing.start, framing, last=True)
    except FAILURES:
        return
    exact = json_array._exact(body, framing.start, framing, None, last=True)
    assert _places(quick) == _places(exact)
    assert all(_is_json(bytes(frame.data)) for frame in quick)


def _places(frames: list[Frame]) -> list[tuple[bytes, int, int]]:
    return [(bytes(frame.data), frame.start, frame.end) for frame in frames]


def _compare_to_json(data: bytes, framing: Framing, read: Outcome) -> None:
    """A document that another parser reads has the elements that it reads."""
    try:
        value = strict_json(data.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return
    if framing.key and (data.count(b'"%s"' % framing.key.encode()) > 1 or b"\\u" in data):
        return  # it may stand twice
    if not framing.key:
        elements = value if framing.kind == "array" else [value]
    elif isinstance(value, dict):
        elements = value[framing.key] if framing.kind == "array" else [value[framing.key]]
    if read.fault:
        # A parser of JSON may refuse half a surrogate pair and a number that is out of range.
        assert b"\\u" in data or any(char in b"0123456789" for char in data), "good JSON is refused"
        return
    assert [strict_json(body) for body, _, _ in read.frames] == elements


def strict_json(data: bytes) -> Any:
    """A value by the standard library, without what JSON has not."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    return json.loads(data.decode(), parse_constant=refuse, parse_float=str)


def table(data: bytes) -> None:
    """Delimited text: rows do not depend on units, and are those of Python's `csv`."""
    draw = Draw(data)
    mode, size = draw.below(3), 1 + draw.below(64)
    if mode == 0:
        check_table(draw.rest(), size)
        return
    cells = (b"", b"a", b'"a"', b'"a,b"', b'"a\nb"', b'"a""b"', b'"', b'a"b', b"\r", b"\xed\x95\x9c",
             b'""', b" ", b'"a\r\nb"', b"\\", b'\\"', b"\t", b"\xff", b"\x00")  # fmt: skip
    ends = (b"\n", b"\n", b"\r\n", b"\n\n", b"", b"\r")
    rows = [
        b",".join([cells[draw.below(len(cells))] for _ in range(1 + draw.below(4))])
        + ends[draw.below(len(ends))]
        for _ in range(draw.below(8))
    ]
    check_table(b"a,b\n" + b"".join(rows), size)


def check_table(data: bytes, size: int, delimiter: str = ",") -> None:
    """The law of `table` for one file."""
    with scratch(data) as path, pieces_of(5):
        source = _plain(path, data)
        try:
            framing = sniff(source, (), Reading("csv", delimiter=delimiter)).framing
        except InputError:
            return
        if framing.encoding != "utf-8":
            return
        one = read_all(source, framing, 1 << 20)
        many, least = read_all(source, framing, size), read_all(source, framing, 1)
    assert one.frames == many.frames == least.frames, (one, many, least)
    assert one.refused == many.refused == least.refused
    assert one.fault == many.fault == least.fault
    if one.fault or one.refused:
        return
    assert one.lines == many.lines == least.lines
    if b"\r" in data.replace(b"\r\n", b""):
        return  # a CR alone ends a line there, and here none
    reader = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter, strict=True)
    header, *rows = [row for row in reader if row]
    assert tuple(header) == framing.columns
    assert [list(json.loads(body).values()) for body, _, _ in one.frames] == rows


def archive(data: bytes) -> None:
    """Zip, tar and packed streams: nothing but InputError leaves, and no bomb goes off."""
    check_archive(data)


LEAST_RATIO = 20


def check_archive(data: bytes) -> None:
    """The law of `archive` for one file."""
    data = _with_checksums(data)
    limits = Limits(ratio=LEAST_RATIO)
    after = 1 << 16
    most = max(after, LEAST_RATIO * len(data)) + (1 << 12)
    with scratch(data) as path, pieces_of(1 << 12):
        try:
            found = list_inputs([path], Path("/"), limits)
        except InputError:
            return
        for item in found:
            packed = streams.stream_compression(item)
            twice = max(after, LEAST_RATIO * most) + (1 << 12) if item.member else most
            if packed == "none":
                twice = len(data)
            _drain(item, limits, twice)
            with contextlib.suppress(InputError):
                sniff(item, ("data",), Reading(limits=limits))


def _drain(item: Input, limits: Limits, most: int) -> None:
    size = 0
    try:
        reader = streams.open_stream(item, streams.stream_compression(item), limits)
    except InputError:
        return
    try:
        while piece := reader.read():
            size += len(piece)
            assert size <= most, f"{size} bytes come out"
    except InputError:
        pass
    finally:
        reader.close()


def _with_checksums(data: bytes) -> bytes:
    """A tar's headers with sums that are right, so that what they say is looked at."""
    if data[257:262] != b"ustar":
        return data
    blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
    for number, block in enumerate(blocks):
        if block[257:262] == b"ustar" and len(block) == 512:
            summed = sum(block[:148]) + 8 * 32 + sum(block[156:])
            blocks[number] = block[:148] + b"%06o\x00 " % summed + block[156:]
    return b"".join(blocks)


def keys(data: bytes) -> None:
    """Keys that stand twice: where the slow way finds one that is read, the quick way does."""
    draw = Draw(data)
    mode, name = draw.below(2), NAMES[draw.below(5)]
    if mode:
        check_keys(name, [draw.record(name) for _ in range(1 + draw.below(4))])
    else:
        check_keys(name, draw.rest().split(b"\n"))


def check_keys(name: str, records: list[bytes]) -> None:
    """The law of `keys` for some records of a format."""
    kind = formats.load(name).Row
    decode = _decoder(name).decode
    texts: list[bytes] = []
    rows: list[Any] = []
    for record in records:
        try:
            rows.append(decode(record))
            texts.append(record)
        except FAILURES:
            continue
    if not rows:
        return
    try:
        twice = [has_twice(text, kind) for text in texts]
    except (ValueError, RecursionError):
        return
    slow = [duplicate_keys.find_duplicate(text, kind) is not None for text in texts]
    assert slow == twice, (texts, slow, twice)
    if any(twice):
        assert duplicate_keys.has_duplicates(b"\n".join(texts), {kind: rows}), texts
        assert duplicate_keys.has_duplicates(b"[" + b",".join(texts) + b"]", {kind: rows}), texts


def has_twice(text: bytes, kind: type[msgspec.Struct]) -> bool:
    """True where an object has a key twice that the shape reads, told by the standard library."""
    return _twice(json.loads(text.decode(), object_pairs_hook=tuple), _type_info(kind))


_type_info = functools.cache(msgspec.inspect.type_info)


@functools.cache
def _decoder(name: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(formats.load(name).Row)


def _twice(value: Any, kind: Any) -> bool:
    if isinstance(kind, msgspec.inspect.UnionType):
        return any(_twice(value, one) for one in kind.types)
    if isinstance(kind, msgspec.inspect.ListType):
        return isinstance(value, list) and any(_twice(item, kind.item_type) for item in value)
    if not isinstance(kind, msgspec.inspect.StructType) or not isinstance(value, tuple):
        return False
    fields = {field.encode_name: field.type for field in kind.fields}
    counts = Counter(name for name, _ in value if name in fields)
    if any(count > 1 for count in counts.values()):
        return True
    return any(_twice(item, fields[name]) for name, item in value if name in fields)


def records(name: str, data: bytes) -> None:
    """A format: every part of any JSON is used or covered by a verdict, and nothing else happens."""
    draw = Draw(data)
    mode = draw.below(4)
    option = draw.below(len(OPTIONS[name]))
    check_record(name, draw.record(name) if mode else draw.rest(), option)


def check_record(name: str, raw: bytes, option: int = 0) -> None:
    """The law of `records` for one record."""
    options = OPTIONS[name][option]
    if b"\n" not in raw:
        _check_converted(_converter(name, option), raw)
    parsed = formats.parse_record((name,), raw, ORIGIN, options)
    covered = sum(verdict.parts for verdict in parsed.verdicts)
    paths = [example.origin.path for example in parsed.examples]
    told = paths + [verdict.origin.path for verdict in parsed.verdicts]
    assert part_fault(parsed.parts, parsed.parts_used, covered, told) is None
    assert parsed.examples or parsed.verdicts or not parsed.parts
    assert len(parsed.examples) >= bool(parsed.parts_used)
    for verdict in parsed.verdicts:
        assert verdict.outcome == "rejected"
        assert verdict.message
        assert len(verdict.message.splitlines()) == 1, verdict.message
    for example in parsed.examples:
        assert example.instruction.strip()
        assert example.response.strip()
        _check_rendered(name, example)


def _check_rendered(name: str, example: Example) -> None:
    """What a format writes it reads again: always that one example, with its texts."""
    written = msgspec.json.encode(formats.load(name).render(example))
    strict_json(written)
    keep = {"not_in_context": "keep"} if name in ("squad", "korquad2") else {}
    whole = {"turns": "whole"} if name == "sharegpt" else {}
    again = formats.parse_record((name,), written, ORIGIN, keep | whole)
    assert not again.verdicts, (written, again.verdicts)
    if name == "sharegpt":
        _check_same_conversation(example, again.examples)
        return
    (read,) = again.examples
    beside = ("system", "history", "rejected") if name == "alpaca" else ()
    for field in ("instruction", "context", "response", *beside):
        assert getattr(read, field) == getattr(example, field), (field, written)


def _check_same_conversation(example: Example, again: list[Example]) -> None:
    (read,) = again
    if example.after:
        return  # a later pair may be the last one of a conversation
    assert read.response == example.response
    asked = (
        f"{example.context}\n\n{example.instruction}" if example.context else example.instruction
    )
    assert read.instruction == asked
    assert read.system == example.system


@functools.cache
def _converter(name: str, option: int) -> convert.Converter:
    file = convert.FileSetup("file", Framing("jsonl"), (name,))
    source = convert.SourceSetup("source", (file,), OPTIONS[name][option], None, (), (), ())
    return convert.Converter(convert.Setup((source,)))


def _check_converted(converter: convert.Converter, raw: bytes) -> None:
    """The same record as a build converts it, down to its encoded line and columns."""
    result = converter(Unit(0, 0, 0, len(raw), data=bytearray(raw), last=True))
    assert result.broken is None, result.broken
    assert result.fault is None
    for line in bytes(result.text.raw()).split(b"\n"):
        if line:
            strict_json(line)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "lines": lines,
    "array": array,
    "table": table,
    "archive": archive,
    "keys": keys,
    **{name: functools.partial(records, name) for name in NAMES},
}
