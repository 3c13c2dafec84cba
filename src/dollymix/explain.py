"""The life of one record or example: `dollymix explain`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dollymix import manifest
from dollymix.errors import UsageError
from dollymix.framing import columnar
from dollymix.framing.inputs import reopen, reopen_stream
from dollymix.framing.streams import Reader, read_range

_ID = re.compile(r"(?P<source>[\w.-]+)/(?P<file>[^#]+)#(?P<record>[0-9]{1,18})(?P<path>[.\[].*)?")
_COPY = re.compile(r"~[0-9]+$")


class Part(NamedTuple):
    """What became of one part: the outcome (`written` or a verdict's), and its row."""

    id: str
    outcome: str
    row: dict[str, Any]


class Life(NamedTuple):
    """A record: its parts, and its bytes where the input is there and unchanged.

    `note` says why the bytes are not shown.
    """

    id: str
    parts: list[Part]
    raw: bytes | None
    note: str


def explain(folder: str | os.PathLike[str], identity: str) -> Life:
    """What became of a record (`source/file#12`), or of one part of it, in the build in `folder`.

    Raises UsageError where the id is none, or nothing in the build has it.
    """
    root = Path(folder)
    built = manifest.read(root)
    found = _ID.fullmatch(_COPY.sub("", identity))
    if found is None:
        raise UsageError(
            f"{identity}: is no id. Ids look like source/file.json#12.conversations[3]"
        )
    parts = [
        part
        for part in _parts(root, found["source"], found["file"], int(found["record"]))
        if found["path"] is None or _COPY.sub("", part.id) == _COPY.sub("", identity)
    ]
    if not parts:
        known = sorted({entry.source for entry in built.inputs})
        raise UsageError(
            f"{identity}: nothing in {root} has this id. Its sources: {', '.join(known)}"
        )
    raw, note = _bytes(root, built, found["source"], found["file"], parts)
    return Life(identity, parts, raw, note)


def _parts(root: Path, source: str, file: str, record: int) -> Iterator[Part]:
    yield from _written(root, source, file, record)
    for name in ("rejects.jsonl", "dropped.jsonl.zst"):
        for row in manifest.read_verdicts(root / name):
            if (row["record"], row["file"], row["source"]) == (record, file, source):
                yield Part(row["id"], row.get("outcome", "rejected"), row)


def _written(root: Path, source: str, file: str, record: int) -> Iterator[Part]:
    import pyarrow.parquet as pq

    for path in sorted(root.glob("lineage/*/*.parquet")):
        split, first = path.parent.name, 0
        with pq.ParquetFile(path) as table:
            for group in range(table.num_row_groups):
                rows = table.metadata.row_group(group).num_rows
                if _may_hold(table, group, record):
                    for number, row in enumerate(table.read_row_group(group).to_pylist()):
                        if (row["record"], row["file"], row["source"]) == (record, file, source):
                            shard = f"dolly/{split}/{path.stem}.jsonl"
                            row |= {"split": split, "shard": shard, "output_row": first + number}
                            row["line"] = _line(root / shard, first + number)
                            yield Part(row["id"], "written", row)
                first += rows


def _may_hold(table: Any, group: int, record: int) -> bool:
    """False where the row group's statistics leave the record out."""
    for number in range(table.metadata.num_columns):
        chunk = table.metadata.row_group(group).column(number)
        if chunk.path_in_schema == "record" and chunk.statistics is not None:
            first, last = chunk.statistics.min, chunk.statistics.max
            return bool(first <= record <= last)
    return True


def _line(path: Path, row: int) -> dict[str, Any]:
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            if number == row:
                decoded: dict[str, Any] = msgspec.json.decode(line)
                return decoded
    return {}


def _bytes(
    root: Path, built: manifest.Manifest, source: str, file: str, parts: list[Part]
) -> tuple[bytes | None, str]:
    """The record's bytes from its input, where that is still what the build read."""
    row = next((part.row for part in parts if _has_place(part.row)), None)
    if row is None:
        return None, "the parts of this record that are left hold no place in the input"
    entry = next((e for e in built.inputs if (e.source, e.file) == (source, file)), None)
    place = next(
        (p for p in manifest.input_paths(root) if (p["source"], p["file"]) == (source, file)), None
    )
    if entry is None or place is None or not os.path.isfile(place["path"]):
        return None, "the input is not where the build read it"
    if manifest.sha256_of(place["path"]) != entry.sha256:
        return None, "the input is no longer what the build read"
    if entry.framing in ("parquet", "arrow"):
        table = reopen(place["path"], file, "")
        kind: columnar.Kind = "parquet" if entry.framing == "parquet" else "arrow"
        return columnar.read_row(table, kind, row["row_group"], row["row"]), ""
    start, end = row["byte_start"], row["byte_end"]
    if entry.compression == "none":
        return bytes(read_range(place["path"], start, end)), ""
    reader = reopen_stream(place["path"], file, place["member"], entry.compression)
    return _stretch(reader, start, end), ""


def _has_place(row: dict[str, Any]) -> bool:
    return row.get("byte_end") is not None or row.get("row_group") is not None


def _stretch(reader: Reader, start: int, end: int) -> bytes:
    kept, position = bytearray(), 0
    try:
        while position < end and (piece := reader.read()):
            kept += piece[max(start - position, 0) : max(end - position, 0)]
            position += len(piece)
    finally:
        reader.close()
    return bytes(kept)
