"""Bytes to frames and back. Knows files, archives, encodings and lines; knows no data set.

inputs      which files, in which order; archive members; opening and inflating
sniff       what a file holds, told from its content
units       a file cut into stretches that are converted at once
jsonl       one record a line
json_array  one large array, at the top or under a key; one object
"""

from __future__ import annotations

import pickle
from typing import Any, Literal, NamedTuple

import msgspec

Kind = Literal["jsonl", "array", "object"]
Compression = Literal["none", "gzip", "zstd", "zip"]

RECORD_BYTES = 64 * 1024 * 1024


class Input(msgspec.Struct, frozen=True):
    """One file, or one member of an archive. `name` is its encoded name in ids."""

    path: str
    name: str
    member: str = ""
    size: int = 0
    mtime_ns: int = 0
    inode: int = 0


class Framing(msgspec.Struct, frozen=True):
    """What a file holds and where its records are.

    `start` is the offset of the first record in the decompressed bytes; `head` what stands before
    it, as UTF-8; `first_key` how an element of an array begins, for finding candidate cuts.
    """

    kind: Kind
    compression: Compression = "none"
    encoding: str = "utf-8"
    start: int = 0
    head: bytes = b""
    key: str = ""
    first_key: bytes = b""


class Unit(msgspec.Struct):
    """A stretch of one file that is converted at once.

    Either a range of a plain file (`path`, `end`) or the bytes themselves (`data`; of a document
    with one byte to spare before them). `start` counts decompressed bytes. `last` marks the unit
    that runs to the end of the file.
    """

    source: int
    file: int
    start: int
    end: int
    path: str = ""
    data: Any = None
    last: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        # Large buffers travel beside a pickle, not inside it.
        large = isinstance(self.data, bytearray)
        data = pickle.PickleBuffer(self.data) if large else self.data
        place = self.source, self.file, self.start, self.end, self.path
        return Unit, (*place, data, self.last)


class Frame(NamedTuple):
    """The bytes of one record as UTF-8, their range in the file, and the line they begin on."""

    data: Any
    start: int
    end: int
    line: int | None = None


class CutError(Exception):
    """A candidate cut was none: the unit does not end where a record ends."""
