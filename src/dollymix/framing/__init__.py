"""Bytes to frames and back. Knows files, archives, encodings and lines; knows no data set.

inputs      which files, in which order, under which names
archives    the members of a zip or tar, and whether they are safe
streams     the bytes of one input, unpacked, within limits
encoding    in which encoding a text is stored, and the text as UTF-8
sniff       what a file holds, told from its content
units       a file cut into stretches that are converted at once
cutters     where the next of them may end
frames      one of them to the frames of its records
jsonl       one record a line
json_array  one large array, at the top or under a key; one object
csv         rows of delimited text
columnar    Parquet and Arrow IPC
"""

from __future__ import annotations

import pickle
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from dollymix.decoding import Problem

Kind = Literal["jsonl", "array", "object", "csv", "parquet", "arrow"]
Compression = Literal["none", "gzip", "zstd", "bzip2", "xz", "zip", "tar"]
Declared = Literal["auto", "jsonl", "json", "csv", "tsv", "parquet", "arrow"]


Positive = Annotated[int, msgspec.Meta(ge=1)]


class Limits(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a file may ask for before it is refused, or its record rejected.

    `record_bytes` of one record; `depth` of nesting; `keys` of one object; `ratio` by which a
    stream may grow when it is unpacked, after its first 64 MiB.
    """

    record_bytes: Positive = 64 << 20
    depth: Positive = 256
    keys: Positive = 10_000
    ratio: Positive = 500


class Reading(msgspec.Struct, frozen=True):
    """What the user says of how a file is to be read."""

    framing: Declared = "auto"
    encoding: str | None = None
    delimiter: str | None = None
    salvage: bool = False
    limits: Limits = Limits()


class Member(msgspec.Struct, frozen=True):
    """A member of an archive that holds data: a stretch of the zip, or of the (unpacked) tar.

    In a zip it may be `deflated`, and then is `size` bytes long; `crc` is the CRC-32 of those.
    """

    name: str
    offset: int
    length: int
    deflated: bool = False
    size: int = 0
    crc: int = 0


class Input(msgspec.Struct, frozen=True):
    """One file, or one member of an archive (`inside`). `name` is its encoded name in ids.

    `is_stdin`: the file holds what standard input gave.
    """

    path: str
    name: str
    size: int = 0
    mtime_ns: int = 0
    inode: int = 0
    archive: Literal["", "zip", "tar"] = ""
    inside: Member | None = None
    is_stdin: bool = False

    @property
    def member(self) -> str:
        """The member's name; empty for a file."""
        return self.inside.name if self.inside else ""


class Framing(msgspec.Struct, frozen=True):
    """What a file holds and where its records are.

    `start` is the offset of the first record in the decompressed bytes, `lines_before` how many
    lines stand there; `head` what stands before it, as UTF-8; `first_key` how an element of an
    array begins, for finding candidate cuts. A table has `columns`.
    """

    kind: Kind
    compression: Compression = "none"
    encoding: str = "utf-8"
    start: int = 0
    head: bytes = b""
    key: str = ""
    first_key: bytes = b""
    columns: tuple[str, ...] = ()
    delimiter: str = ","
    lines_before: int = 0
    salvage: bool = False
    limits: Limits = Limits()

    @property
    def has_byte_places(self) -> bool:
        """False where a record is a row of a row group, not a stretch of bytes."""
        return self.kind not in ("parquet", "arrow")


class Unit(msgspec.Struct):
    """A stretch of one file that is converted at once.

    Either a range of a plain file (`path`, `end`) or the bytes themselves (`data`; of a document
    with one byte to spare before them). `start` counts decompressed bytes, of a columnar file
    rows; there `block` is the row group and the first row in it. `last` marks the unit that runs
    to the end of the file, `too_large` one line that is longer than may be held: its bytes are its
    line end alone.
    """

    source: int
    file: int
    start: int
    end: int
    path: str = ""
    data: Any = None
    last: bool = False
    too_large: bool = False
    block: tuple[int, int] = (0, 0)

    def __reduce__(self) -> tuple[Any, ...]:
        # Large buffers travel beside a pickle, not inside it.
        large = isinstance(self.data, bytearray)
        data = pickle.PickleBuffer(self.data) if large else self.data
        place = self.source, self.file, self.start, self.end, self.path
        return Unit, (*place, data, self.last, self.too_large, self.block)


class Frame(NamedTuple):
    """The bytes of one record as UTF-8 JSON, its range in the file, the line it begins on, and
    the record as it is stored, where that is not JSON.

    Of a columnar file the range is the row group and the row in it.
    """

    data: Any
    start: int
    end: int
    line: int | None = None
    stored: Any = None


class Lines(msgspec.Struct):
    """The frames of a stretch of the file, how many lines it has, which of the frames are refused,
    by their place in the list, and the JSON text that they all stand in, where there is one."""

    frames: list[Frame]
    lines: int = 0
    refused: dict[int, Problem] = {}
    text: Any = None


class CutError(Exception):
    """A candidate cut was none: the unit does not end where a record ends."""


class SyntaxFaultError(Exception):
    """The file is broken at `byte`; `whole` are the records of the unit that stand before it."""

    def __init__(self, reason: str, message: str, byte: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.byte = byte
        self.whole = Lines([])
