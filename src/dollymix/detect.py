"""Which formats the records of a file have, with the evidence, and which keys nobody reads."""

from __future__ import annotations

import functools
import re
import typing
from collections import Counter
from typing import Any

import msgspec
from msgspec import Raw

from dollymix import formats
from dollymix.decoding import FAILURES, Problem, join
from dollymix.errors import InputError
from dollymix.framing import (
    CutError,
    Frame,
    Framing,
    Input,
    Reading,
    SyntaxFaultError,
    columnar,
    csv,
    json_array,
    jsonl,
)
from dollymix.framing.frames import spared
from dollymix.framing.sniff import Sample, sniff
from dollymix.framing.streams import place_of, stored_length
from dollymix.text import first_repeated, quoted

# Of each file so many records are looked at, as far as they stand in its first MiB.
SAMPLE_RECORDS = 1000

_object = msgspec.json.Decoder(dict[str, Raw])
_list = msgspec.json.Decoder(list[Raw])


class Detected(msgspec.Struct, frozen=True):
    """What a file holds. `shapes` are its formats, the commonest first; `unread` maps the path of
    a key that nobody reads to how many of the `sampled` records have it."""

    framing: Framing
    shapes: tuple[str, ...]
    evidence: str
    sampled: int
    unread: dict[str, int]


def detect(source: Input, declared: str | None = None, reading: Reading | None = None) -> Detected:
    """What the file holds, told from its beginning; `declared` is the format a recipe names.

    Raises InputError where no record is of a known format (`format.unknown`), or where the
    document holds no list of records (`schema.top_level`).
    """
    keys = formats.record_keys() if declared is None else formats.load(declared).RECORDS_AT
    reading = reading or Reading()
    sample = sniff(source, keys, reading)
    if sample.framing.columns:
        return _detect_table(source, sample, declared, reading)
    frames, fault = sample_frames(sample)
    records = _records(frames)
    place = place_of(source)
    found: Counter[str | None] = Counter(formats.recognise(set(record)) for record in records)
    unknown = found.pop(None, 0)
    if not records and fault is not None:
        raise _input_error(sample, fault, place)
    if not frames and sample.whole:
        message = "holds no record. Set `allow_empty: true` if it may"
        raise InputError("input.empty", place, message)
    _refuse_document(sample, declared or next(iter(found), None), frames, place)
    if declared is not None:
        shapes: tuple[str, ...] = (declared,)
        evidence = "named in the recipe"
    elif not found:
        raise _nothing_known(sample.framing, records, place)
    else:
        shapes = tuple(name for name, _ in found.most_common() if name)
        evidence = _evidence(found, unknown, records)
    row = formats.load(shapes[0]).Row
    unread = _unread(records, row) if len(shapes) == 1 else {}
    return Detected(sample.framing, shapes, evidence, len(records), unread)


def _detect_table(
    source: Input, sample: Sample, declared: str | None, reading: Reading
) -> Detected:
    """What a table holds, told from its columns, which all its records have."""
    columns, place = sample.framing.columns, place_of(source)
    _refuse_columns(columns, place)
    shape = formats.recognise(set(columns), None if declared is None else [declared])
    if shape is None:
        named = ", ".join(quoted(name, 30) for name in columns[:5])
        wanted = f"not those of {declared}" if declared else f"of no known format. {_hint()}"
        known = reading.framing == "auto" and sample.framing.kind == "csv" and declared is None
        reason = "format.unknown" if known else "schema.missing_field"
        raise InputError(reason, place, f"has the columns {named}: {wanted}")
    row = formats.load(shape).Row
    frames = _table_frames(source, sample)
    if not frames:
        message = "holds no record. Set `allow_empty: true` if it may"
        raise InputError("input.empty", place, message)
    _refuse_types(sample, shape, place)
    unread = dict.fromkeys(sorted(set(columns) - set(_fields(row))), len(frames))
    evidence = (
        f"{shape}: columns {', '.join(f'`{name}`' for name in columns if name not in unread)}"
    )
    evidence = evidence if declared is None else "named in the recipe"
    return Detected(sample.framing, (shape,), evidence, len(frames), unread)


def _refuse_columns(columns: tuple[str, ...], place: str) -> None:
    twice = first_repeated(columns)
    if twice is not None:
        message = f"has two columns named {quoted(twice)}"
        raise InputError("schema.duplicate_field", place, message)


def _table_frames(source: Input, sample: Sample) -> list[Frame]:
    """The first records of a table."""
    framing = sample.framing
    if framing.kind in ("parquet", "arrow"):
        found = columnar.batches(source, framing.kind)
        first = next((batch for batch in found if batch.rows), None)
        return [] if first is None else columnar.frames(first.data, 0, 0).frames
    data = sample.data
    if not sample.whole:
        # The last row may go on behind the sample; what breaks it is the build's matter.
        data = data[: data.rfind(b"\n") + 1]
    try:
        return csv.frames(data, framing.start, framing).frames[:SAMPLE_RECORDS]
    except SyntaxFaultError as fault:
        if fault.whole.frames or not sample.whole or framing.salvage:
            return fault.whole.frames[:SAMPLE_RECORDS]
        raise _input_error(sample, fault, place_of(source)) from fault


def _input_error(sample: Sample, fault: SyntaxFaultError, place: str) -> InputError:
    """What breaks a sample, at its place in the file: the sample is UTF-8, whatever the file is."""
    start = sample.framing.start
    byte = start + stored_length(sample.data[: fault.byte - start], sample.framing.encoding)
    return InputError(fault.reason, place, fault.message, byte)


def _refuse_types(sample: Sample, shape: str, place: str) -> None:
    """Refuse a table with a column of a type that the format cannot read: no row would be right."""
    specimen = sample.data
    if sample.framing.kind == "csv":
        specimen = msgspec.json.encode(dict.fromkeys(sample.framing.columns, ""))
    problem = formats.decode_part(specimen, msgspec.json.Decoder(formats.load(shape).Row).decode)
    if isinstance(problem, Problem):
        message = f"column `{problem.path}` {problem.message}: no row of {shape} can be read"
        raise InputError(problem.reason, place, message)


def sample_frames(sample: Sample) -> tuple[list[Frame], SyntaxFaultError | None]:
    """The first records of a file, as far as its sample holds them whole, and what breaks it."""
    framing = msgspec.structs.replace(sample.framing, encoding="utf-8")
    data, start = sample.data, framing.start
    if framing.kind == "jsonl":
        if not sample.whole:
            data = data[: data.rfind(b"\n") + 1]
        return jsonl.frames(data, start, "utf-8").frames[:SAMPLE_RECORDS], None
    try:
        if sample.whole:
            return json_array.frames(spared(data), start, framing, last=True)[:SAMPLE_RECORDS], None
        if framing.kind == "object":
            return [], None
        borders = [m.end() for m in json_array.border(framing.first_key).finditer(data)]
        ends = borders[:SAMPLE_RECORDS][-1:] or json_array.Scanner().scan(data)[-1:]
        cut = spared(data[: ends[0]]) if ends else None
        return json_array.frames(cut, start, framing, last=False) if cut is not None else [], None
    except (SyntaxFaultError, CutError) as fault:
        # The build says what is wrong, and where; here whatever is whole will do.
        ends = json_array.Scanner().scan(data)[:SAMPLE_RECORDS]
        found = [
            Frame(data[a : b - 1].strip(), start + a, start + b)
            for a, b in zip([0, *ends], ends, strict=False)
        ]
        return found, fault if isinstance(fault, SyntaxFaultError) else None


def sample_records(source: Input, framing: Framing, reading: Reading) -> list[bytes]:
    """The bytes of the first records of a file, as UTF-8."""
    keys = (framing.key,) if framing.key else ()
    sample = sniff(source, keys, reading)
    found = _table_frames(source, sample) if framing.columns else sample_frames(sample)[0]
    return [bytes(frame.data) for frame in found]


def _records(frames: list[Frame]) -> list[dict[str, Raw]]:
    records: list[dict[str, Raw]] = []
    for frame in frames:
        try:
            records.append(_object.decode(frame.data))
        except FAILURES:
            continue
    return records


def _refuse_document(sample: Sample, shape: str | None, frames: list[Frame], place: str) -> None:
    """Refuse a file that is one object and no record: columns, records by key, or a document."""
    records = _records(frames)
    if sample.framing.kind == "array" or len(frames) != 1 or not records or not sample.whole:
        return
    if shape is not None and not _is_misplaced(sample.framing, shape):
        known = formats.recognise(set(records[0]), [shape]) is not None
        if known and (not _is_table(records[0]) or _decodes(frames[0], shape)):
            return
        if not known and sample.framing.kind == "jsonl" and not _is_document(records[0]):
            return
    elif shape is None and sample.framing.kind == "jsonl" and not _is_table(records[0]):
        return
    named = f"no {shape} records" if shape else "no list of records"
    message = f"is {_object_kind(records)}, {named}. {_hint()}"
    raise InputError("schema.top_level", place, message)


def _is_misplaced(framing: Framing, shape: str) -> bool:
    """True where a document holds one object under a key at which the format has a list."""
    one = getattr(formats.load(shape), "ONE_RECORD", False)
    return framing.kind == "object" and bool(framing.key) and not one


def _decodes(frame: Frame, shape: str) -> bool:
    decode = msgspec.json.Decoder(formats.load(shape).Row).decode
    return not isinstance(formats.decode_part(frame.data, decode), Problem)


def _is_document(record: dict[str, Raw]) -> bool:
    """True where a value is an object, or a list of objects."""
    return any(re.match(rb"\[?\s*\{", memoryview(value)) for value in record.values())


def _is_table(record: dict[str, Raw]) -> bool:
    first = {bytes(memoryview(value)[:1]) for value in record.values()}
    return first in ({b"["}, {b"{"})


def _hint() -> str:
    known = ", ".join(formats.names())
    return f"Known are: {known}. Name one with `format:`, or leave the file out"


def _object_kind(records: list[dict[str, Raw]]) -> str:
    if not records:
        return "one object"
    first = {bytes(value)[:1] for value in records[0].values()}
    names = ", ".join(quoted(key, 30) for key in list(records[0])[:4])
    if first == {b"["}:
        return f"an object of lists (column by column?), its keys {names}"
    if first == {b"{"}:
        return f"an object of objects (records by key?), its keys {names}"
    return f"one object with the keys {names}"


def _nothing_known(framing: Framing, records: list[dict[str, Raw]], place: str) -> InputError:
    if framing.kind == "object":
        return InputError("schema.top_level", place, f"is {_object_kind(records)}. {_hint()}")
    if not records:
        return InputError(
            "format.unknown", place, f"holds no JSON object to be known by. {_hint()}"
        )
    keys = Counter(key for record in records for key in record)
    shown = ", ".join(quoted(key, 30) for key, _ in keys.most_common(5))
    message = f"has records of no known format: their keys are {shown}. {_hint()}"
    return InputError("format.unknown", place, message)


def _evidence(found: Counter[str | None], unknown: int, records: list[dict[str, Raw]]) -> str:
    total = len(records)
    parts = []
    for name, count in found.most_common():
        assert name is not None
        signature = max(
            (s for s in formats.load(name).SIGNATURE if any(s <= set(r) for r in records)), key=len
        )
        keys = ", ".join(f"`{key}`" for key in sorted(signature))
        parts.append(f"{name}: {keys} in {count} of {total} records")
    if unknown:
        parts.append(f"{unknown} of no known format")
    return "; ".join(parts)


def _unread(records: list[dict[str, Raw]], row: type[msgspec.Struct]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for record in records:
        counts.update(_unknown(record, row))
    return dict(sorted(counts.items()))


def _unknown(record: dict[str, Raw], row: type[msgspec.Struct]) -> set[str]:
    """The paths of keys for which the shape has no field, in the record and in its lists."""
    found: set[str] = set()
    nested = _fields(row)
    for key, value in record.items():
        if key not in nested:
            found.add(key)
            continue
        inner = nested[key]
        if inner is None:
            continue
        for part in _parts(value):
            found |= {join(f"{key}[]", path) for path in _unknown(part, inner)}
    return found


def _parts(value: Raw) -> list[dict[str, Raw]]:
    """The objects in a list, or the one object; nothing where the shape is another."""
    try:
        if bytes(memoryview(value)[:1]) == b"{":
            return [_object.decode(value)]
        return [_object.decode(part) for part in _list.decode(value)]
    except FAILURES:
        return []


@functools.cache
def _fields(row: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct] | None]:
    """The names of a shape's fields in JSON, with the shape of what is inside, if any."""
    return {field.encode_name: _inner(field.type) for field in msgspec.structs.fields(row)}


def _inner(annotation: Any) -> type[msgspec.Struct] | None:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    found = (_inner(argument) for argument in typing.get_args(annotation))
    return next((shape for shape in found if shape is not None), None)
