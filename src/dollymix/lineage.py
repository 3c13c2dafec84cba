"""The lineage: where each line came from and what was done with it, a table beside each shard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from dollymix.blocks import Block, Columns
from dollymix.example import identifier
from dollymix.framing import Framing
from dollymix.manifest import OutputFile, sha256_of

ROW_GROUP = 10_000
_SPARSE = (
    "steps", "step_characters", "flags", "system", "history", "after", "tools", "rejected",
    "answer_start", "meta",
)  # fmt: skip


class Names(msgspec.Struct, frozen=True):
    """What a block's numbers stand for: its source, its file, the source's licence; and how each
    file's records are found in it."""

    source: str
    files: tuple[str, ...]
    licence: str | None
    framings: tuple[Framing, ...]


def place_columns(start: Any, end: Any, framing: Framing) -> dict[str, Any]:
    """A record's place, or a column of places: bytes, or of a columnar file row group and row."""
    if framing.has_byte_places:
        return {"byte_start": start, "byte_end": end}
    return {"row_group": start, "row": end}


class Lineage:
    """The table beside the lines of one split, shard by shard."""

    def __init__(self, split: str, out: Path) -> None:
        import pyarrow as pa

        self._split = split
        self._out = out
        self._schema = schema(pa)
        self._writer: Any = None
        self._columns: dict[str, list[Any]] = {name: [] for name in self._schema.names}
        self.finished: list[OutputFile] = []
        self._rows = 0

    @property
    def _name(self) -> str:
        return f"lineage/{self._split}/{len(self.finished):05d}.parquet"

    def add(self, rows: dict[str, list[Any]]) -> None:
        """Add rows, each column a list."""
        for name, values in rows.items():
            self._columns[name] += values
        while len(self._columns["id"]) >= ROW_GROUP:
            self._write(ROW_GROUP)

    def _write(self, count: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            path = self._out / self._name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(
                path,
                self._schema,
                compression="zstd",
                use_dictionary=["source", "file", "licence"],
                write_page_checksum=True,
            )
        arrays = []
        for field in self._schema:
            values = self._columns[field.name]
            arrays.append(pa.array(values[:count], type=field.type))
            self._columns[field.name] = values[count:]
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        self._writer.write_table(table, row_group_size=ROW_GROUP)
        self._rows += count

    def close_shard(self) -> None:
        """Write what is left and close the file."""
        if self._columns["id"]:
            self._write(len(self._columns["id"]))
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        path = self._out / self._name
        size = path.stat().st_size
        self.finished.append(OutputFile(self._name, size, sha256_of(path), self._rows, self._split))
        self._rows = 0


def schema(pa: Any) -> Any:
    """The columns of the table, as a pyarrow schema."""
    text, number, texts = pa.string(), pa.int64(), pa.list_(pa.string())
    numbers = pa.list_(number)
    return pa.schema(
        [
            ("id", text), ("source", text), ("file", text), ("record", number), ("path", text),
            ("byte_start", number), ("byte_end", number), ("row_group", number), ("row", number),
            ("copy", pa.int32()), ("line_xxh3", pa.uint64()), ("steps", texts),
            ("step_characters", numbers), ("licence", text), ("group", text), ("flags", texts),
            ("system", text), ("history", text), ("after", text), ("tools", text),
            ("rejected", text), ("answer_start", number), ("meta", text),
        ]
    )  # fmt: skip


def lineage_rows(names: Names, block: Block, columns: Columns) -> dict[str, list[Any]]:
    """The lineage of all examples of a block, each column a list."""
    file, count = names.files[block.file], block.rows
    records = [block.base + record for record in columns.records]
    found: dict[str, list[Any]] = {
        "id": [
            identifier(names.source, file, record, path)
            for record, path in zip(records, columns.paths, strict=True)
        ],
        "source": [names.source] * count,
        "file": [file] * count,
        "record": records,
        "path": columns.paths,
        **dict.fromkeys(("byte_start", "byte_end", "row_group", "row"), [None] * count),
        **place_columns(columns.starts, columns.ends, names.framings[block.file]),
        "copy": [0] * count,
        "line_xxh3": memoryview(columns.hashes).cast("Q").tolist(),
        "licence": [names.licence] * count,
        "group": [group or None for group in columns.groups],
    }
    for name in _SPARSE:
        values: list[Any] = [None] * count
        for row, value in columns.sparse.get(name, ()):
            values[row] = value
        found[name] = values
    return found
