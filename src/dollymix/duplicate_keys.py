"""Finds objects that have a key twice, without a second parse of good data.

A decoder keeps the last of two values and says nothing. But every key leaves a colon behind a
string's end, so the keys that stand in a unit's bytes can be counted; where that count is the count
of the keys that the decoded records have, no key stands twice. Keys that no format reads are in the
first count alone: then the keys that are read are counted by name. Only where that differs, too,
are records parsed again, one by one.
"""

from __future__ import annotations

import functools
import json
import re
import typing
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from dollymix.decoding import Problem, join
from dollymix.text import quoted

_COLON, _QUOTE, _BACKSLASH, _LAST_SPACE = 0x3A, 0x22, 0x5C, 0x20
# White space before a colon that is looked through; more is no encoder's work.
_MOST_SPACE = 64
_MANY = 1 << 62
# A letter, digit or underscore of a key, written as an escape: no encoder does that.
_ESCAPED = re.compile(rb"\\u00(?:3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF])")


class _Shape(msgspec.Struct, frozen=True):
    """The keys of a struct: always there, perhaps there, and those that hold structs."""

    required: tuple[str, ...]
    optional: tuple[tuple[str, str], ...]
    nested: tuple[tuple[str, type[msgspec.Struct]], ...]


def has_duplicates(data: Any, rows: dict[type[msgspec.Struct], list[Any]]) -> bool:
    """True where a key that is read may stand twice in one object.

    `data` is the JSON text that the rows were decoded from; `rows` are the decoded records by
    their type.
    """
    found: Counter[str] = Counter()
    for kind, structs in rows.items():
        _count(structs, kind, found)
    ends = _key_ends(data)
    if ends is not None and len(ends) == found.total():
        return False
    if ends is None or _ESCAPED.search(data):
        return True
    return any(_occurrences(data, ends, name) != count for name, count in found.items())


def count_keys(data: Any) -> int:
    """How many keys stand in a JSON text."""
    ends = _key_ends(data)
    return _MANY if ends is None else len(ends)


def _key_ends(data: Any) -> Any:
    """Where keys end: the quotes that end a string and have a colon behind them, as a numpy
    array; None where white space before a colon is so long that they are not looked for."""
    import numpy

    text = numpy.frombuffer(data, dtype=numpy.uint8)
    before = numpy.flatnonzero(text == _COLON) - 1
    for _ in range(_MOST_SPACE):
        is_space = text[before] <= _LAST_SPACE
        if not is_space.any():
            break
        before = numpy.where(is_space, before - 1, before)
    else:
        return None
    quotes = before[text[before] == _QUOTE]
    return quotes[_are_whole(text, quotes)]


def _are_whole(text: Any, quotes: Any) -> Any:
    """Which quotes do end their strings: those behind an even number of backslashes."""
    import numpy

    whole = numpy.ones(len(quotes), dtype=bool)
    left = numpy.flatnonzero(text[quotes - 1] == _BACKSLASH)
    behind = 1
    while len(left):
        whole[left] ^= True
        behind += 1
        if behind > _MOST_SPACE:
            for index in left.tolist():
                whole[index] ^= _backslashes(text, int(quotes[index]) - behind) % 2 == 1
            break
        left = left[text[quotes[left] - behind] == _BACKSLASH]
    return whole


def _backslashes(text: Any, last: int) -> int:
    """How many backslashes stand in a row up to this place."""
    at = last
    while text[at] == _BACKSLASH:
        at -= 1
    return last - at


def _occurrences(data: Any, ends: Any, name: str) -> int:
    """How many of the keys have this name."""
    import numpy

    key = numpy.frombuffer(msgspec.json.encode(name), dtype=numpy.uint8)
    text = numpy.frombuffer(data, dtype=numpy.uint8)
    starts = ends - (len(key) - 1)
    starts = starts[starts >= 0]
    for offset, byte in enumerate(key.tolist()):
        starts = starts[text[starts + offset] == byte]
    return len(starts)


def _count(structs: Sequence[Any], kind: type[msgspec.Struct], found: Counter[str]) -> None:
    """Add the keys that these structs, all of one type, were decoded from."""
    shape = _shape(kind)
    for name in shape.required:
        found[name] += len(structs)
    for attribute, name in shape.optional:
        there = sum([getattr(struct, attribute) is not UNSET for struct in structs])
        if there:
            found[name] += there
    for attribute, inner in shape.nested:
        _count(list(_inside(structs, attribute)), inner, found)


def _inside(structs: Sequence[Any], attribute: str) -> Iterable[Any]:
    for struct in structs:
        value = getattr(struct, attribute)
        if isinstance(value, list):
            yield from value
        elif isinstance(value, msgspec.Struct):
            yield value


@functools.cache
def _shape(kind: type[msgspec.Struct]) -> _Shape:
    required, optional, nested = [], [], []
    for field in msgspec.structs.fields(kind):
        if field.required:
            required.append(field.encode_name)
        else:
            optional.append((field.name, field.encode_name))
        inner = _struct_in(field.type)
        if inner is not None:
            nested.append((field.name, inner))
    return _Shape(tuple(required), tuple(optional), tuple(nested))


def _struct_in(annotation: Any) -> type[msgspec.Struct] | None:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    found = (_struct_in(argument) for argument in typing.get_args(annotation))
    return next((kind for kind in found if kind is not None), None)


class _Pairs(list[tuple[str, Any]]):
    """An object as it is written."""


_as_written = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=str, parse_float=str)


def find_duplicate(raw: Any, kind: type[msgspec.Struct]) -> Problem | None:
    """The problem that a record (JSON) has a key twice that its shape reads, or None.

    What is no JSON at all is no matter of this.
    """
    try:
        value = _as_written.decode(bytes(raw).decode())
    except (ValueError, RecursionError):
        return None
    path = _find(value, kind, "")
    if path is None:
        return None
    message = f"stands twice in one object: {quoted(path.rpartition('.')[2])} has two values"
    return Problem("json.duplicate_key", path, message)


def _find(value: Any, kind: type[msgspec.Struct], path: str) -> str | None:
    if isinstance(value, _Pairs):
        return _find_in_object(value, kind, path)
    if not isinstance(value, list):
        return None
    inner = (_find(item, kind, f"{path}[{index}]") for index, item in enumerate(value))
    return next((found for found in inner if found is not None), None)


def _find_in_object(pairs: _Pairs, kind: type[msgspec.Struct], path: str) -> str | None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    counts = Counter(name for name, _ in pairs if name in fields)
    for name, count in counts.items():
        if count > 1:
            return join(path, name)
    for name, value in pairs:
        inner = _struct_in(fields[name].type) if name in fields else None
        found = None if inner is None else _find(value, inner, join(path, name))
        if found is not None:
            return found
    return None
