"""The working index of a build: one block for each unit that gave examples, in canonical order.

A block says where its examples came from, column by column, and where their lines are. An
example's *ordinal* is its place among all examples of the build, from 0.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import msgspec

from dollymix.ledger import Outcome

_LENGTH = struct.Struct("<Q")
_CACHED = 64


class Sink(Protocol):
    """A file that is only written at its end."""

    def write(self, data: Any) -> None:
        """Append the data."""


class Columns(msgspec.Struct, array_like=True):
    """Where a unit's examples came from; `sparse` holds the fields that few of them have,
    `hashes` the XXH3-64 of each line, as unsigned 64-bit numbers."""

    records: list[int]
    paths: list[str]
    starts: list[int]
    ends: list[int]
    groups: list[str]
    sparse: dict[str, list[tuple[int, Any]]]
    hashes: bytes


class Places(msgspec.Struct, array_like=True):
    """The beginning of `Columns`, for whoever wants no more."""

    records: list[int]
    paths: list[str]


class Block(msgspec.Struct, array_like=True):
    """One unit's examples. `base` is how many records of the file stand before the unit;
    `line_ends` are offsets in the unit's lines, as unsigned 32-bit numbers."""

    source: int
    file: int
    base: int
    rows: int
    columns_bytes: bytes
    line_ends: bytes

    def columns(self) -> Columns:
        """The columns, decoded."""
        return _columns.decode(self.columns_bytes)

    def ends(self) -> memoryview:
        """Where each line ends, in the unit's lines."""
        return memoryview(self.line_ends).cast("I")

    @property
    def text_bytes(self) -> int:
        """How long the unit's lines are together."""
        return self.ends()[-1] if self.rows else 0


class Why(NamedTuple):
    """What a decision says; many share one."""

    outcome: Outcome
    step: str
    reason: str
    message: str


class Drop(NamedTuple):
    """An example that goes, and the one it lost against."""

    ordinal: int
    because_of: int
    why: Why


_columns = msgspec.msgpack.Decoder(Columns)
_places = msgspec.msgpack.Decoder(Places)
_block = msgspec.msgpack.Decoder(Block)


def places(columns_bytes: Any) -> Places:
    """Record and path of each example."""
    return _places.decode(columns_bytes)


def append(sink: Sink, block: Block) -> None:
    """Write a block behind the others."""
    body = msgspec.msgpack.encode(block)
    sink.write(_LENGTH.pack(len(body)) + body)


def read(path: str) -> Iterator[Block]:
    """The blocks of a working file, in order."""
    if not os.path.exists(path):
        return
    with open(path, "rb") as file:
        while head := file.read(_LENGTH.size):
            yield _block.decode(file.read(_LENGTH.unpack(head)[0]))


class Index:
    """The blocks of a working file by the ordinal of their examples."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._offsets: list[int] = []
        self._firsts: list[int] = []
        self.sources: list[int] = []
        self.total = 0
        self._cache: OrderedDict[int, tuple[Block, Columns]] = OrderedDict()
        offset = 0
        for block in read(path):
            self._offsets.append(offset)
            self._firsts.append(self.total)
            self.sources.append(block.source)
            self.total += block.rows
            offset += _LENGTH.size + len(msgspec.msgpack.encode(block))
        self._file = open(path, "rb") if self._offsets else None  # noqa: SIM115  (closed by close)

    def close(self) -> None:
        """Close the working file."""
        if self._file is not None:
            self._file.close()

    def ranges(self) -> dict[int, tuple[int, int]]:
        """The ordinals of each source: from, to."""
        found: dict[int, tuple[int, int]] = {}
        ends = [*self._firsts, self.total][1:]
        for source, first, end in zip(self.sources, self._firsts, ends, strict=True):
            start, _ = found.get(source, (first, end))
            found[source] = (start, end)
        return found

    def find(self, ordinal: int) -> tuple[Block, Columns, int]:
        """The block of an example, its columns, and the example's row in it."""
        number = bisect_right(self._firsts, ordinal) - 1
        block, columns = self._load(number)
        return block, columns, ordinal - self._firsts[number]

    def _load(self, number: int) -> tuple[Block, Columns]:
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        assert self._file is not None
        self._file.seek(self._offsets[number])
        (length,) = _LENGTH.unpack(self._file.read(_LENGTH.size))
        block = _block.decode(self._file.read(length))
        self._cache[number] = (block, block.columns())
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return self._cache[number]
