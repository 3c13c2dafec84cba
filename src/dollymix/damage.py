"""Where a file of a build is not what it was: which rows, which row group.

Reads files of which nothing is known but that they are regular; what cannot be read is where the
damage is.
"""

from __future__ import annotations

import hashlib
from array import array
from pathlib import Path

import msgspec
import xxhash

from dollymix.decoding import FAILURES
from dollymix.errors import CheckError
from dollymix.manifest import LINE_BYTES

_PIECE = 1 << 20
_NAMED = 5


def read_lines(path: Path) -> tuple[str, array[int]]:
    """The SHA-256 of a file, and the XXH3-64 of each of its lines without its end."""
    digest, hashes, open_line = hashlib.sha256(), array("Q"), xxhash.xxh3_64()
    length = 0
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            first, *others = piece.split(b"\n")
            open_line.update(first)
            length += len(first)
            if others:
                *whole, last = others
                hashes.append(open_line.intdigest())
                hashes.extend(map(xxhash.xxh3_64_intdigest, whole))
                open_line.reset()
                open_line.update(last)
                length = len(last)
    if length:
        # A line that is cut off is none: no whole line has the hash that it has with its end.
        open_line.update(b"\n")
        hashes.append(open_line.intdigest())
    return digest.hexdigest(), hashes


def differing_rows(found: array[int], wanted: array[int]) -> str:
    """Which rows are not what they were, in words; empty where all are."""
    if found == wanted:
        return ""
    first = next(
        (n for n, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b),
        min(len(found), len(wanted)),
    )
    more = len(found) - len(wanted)
    if more < 0 and found[first:] == wanted[first - more :]:
        return f": {_rows(first, -more)} missing"
    if more > 0 and found[first + more :] == wanted[first:]:
        return f": {_rows(first, more)} no part of it"
    if more:
        return f": it has {len(found)} rows, not {len(wanted)}, and differs from row {first} on"
    rows = [n for n, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b]
    owners = {wanted[row]: row for row in reversed(rows)}
    told = [
        f"row {row}" + (f" (it has row {owners[found[row]]})" if found[row] in owners else "")
        for row in rows[:_NAMED]
    ]
    rest = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return f": {', '.join(told)}{rest}"


def _rows(first: int, count: int) -> str:
    return f"row {first} is" if count == 1 else f"rows {first} to {first + count - 1} are"


def broken_row(path: Path) -> str:
    """The first row of JSON Lines that is no JSON, in words."""
    with open(path, "rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES), b"")):
            try:
                msgspec.json.decode(line)
            except FAILURES:
                return f": row {number} is broken"
    return ""


def broken_group(path: Path) -> str:
    """The first row group of a Parquet file that cannot be read, in words. Pages have checksums."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    group = -1
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as table:
            for group in range(table.num_row_groups):
                table.read_row_group(group, use_threads=False)
    except (pa.ArrowException, OSError, ValueError, MemoryError):
        return ": its footer is broken" if group < 0 else f": row group {group} is broken"
    return ""


def parquet_rows(path: Path) -> int:
    """How many rows a Parquet file says it has. Raises CheckError where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            return int(table.metadata.num_rows)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CheckError(f"cannot be read: {error}") from error


def count_lines(path: Path) -> int:
    """How many line ends a file has."""
    with open(path, "rb", buffering=0) as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(_PIECE), b""))
