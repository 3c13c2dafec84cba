"""Parquet and Arrow IPC: batches of rows, each row a record as JSON.

Pages and batches are read one by one; strings are checked for UTF-8, which the files' own readers
do not. Needs pyarrow, which is imported here alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import msgspec

from dollymix.errors import InputError
from dollymix.framing import Frame, Input, Lines
from dollymix.framing.streams import place_of

Kind = Literal["parquet", "arrow"]

_PARQUET, _ARROW = b"PAR1", b"ARROW1"
# A stream begins with the mark of a message that is neither empty nor very long.
_STREAM = b"\xff\xff\xff\xff"
_ROWS = 1000
_BATCH_BYTES = 4 << 20
_BUFFER = 1 << 20
_encode = msgspec.json.Encoder(enc_hook=str).encode


class Batch(NamedTuple):
    """Rows that are converted at once: their bytes as Arrow IPC, how many, and where they are."""

    data: bytearray
    rows: int
    group: int
    row: int


def kind_of(head: bytes) -> Kind | None:
    """Which columnar file begins so, or None."""
    if head.startswith(_PARQUET):
        return "parquet"
    if head.startswith(_ARROW) or (head.startswith(_STREAM) and head[6:8] == b"\x00\x00"):
        return "arrow"
    return None


def open_table(source: Input, kind: Kind) -> tuple[tuple[str, ...], bytes, int]:
    """The names of the columns, a record as it could be (JSON, for checking types), and how many
    rows there are (-1: not told). Raises InputError where the file is not whole."""
    with _faults(source, kind), _open(source, kind) as table:
        schema = table.schema
        specimen = {field.name: _specimen(field.type) for field in schema}
        return tuple(schema.names), msgspec.json.encode(specimen), table.rows


def batches(source: Input, kind: Kind, start: int = 0) -> Iterator[Batch]:
    """The rows from `start` on. Raises InputError where the file is broken."""
    with _faults(source, kind), _open(source, kind) as table:
        position = 0
        for group, row, batch in table.batches():
            skip = min(max(start - position, 0), batch.num_rows)
            position += batch.num_rows
            for first, part in _parts(batch.slice(skip)):
                yield Batch(_pack(part), part.num_rows, group, row + skip + first)


def read_row(source: Input, kind: Kind, group: int, row: int) -> bytes:
    """One row as JSON; empty where there is none."""
    for batch in batches(source, kind):
        if batch.group == group and batch.row <= row < batch.row + batch.rows:
            return bytes(frames(batch.data, group, batch.row).frames[row - batch.row].data)
    return b""


def _parts(batch: Any) -> Iterator[tuple[int, Any]]:
    """A batch cut into parts of a few MiB."""
    if not batch.num_rows:
        return
    rows = max(1, min(batch.num_rows, batch.num_rows * _BATCH_BYTES // max(batch.nbytes, 1)))
    for first in range(0, batch.num_rows, rows):
        yield first, batch.slice(first, rows)


def _pack(batch: Any) -> bytearray:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytearray(sink.getvalue())


def frames(data: Any, group: int, first: int) -> Lines:
    """The rows of a packed batch, each with its row group and its row in it."""
    import pyarrow as pa

    found: list[Frame] = []
    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        for batch in reader:
            columns = [_values(column) for column in batch.columns]
            for row in zip(*columns, strict=True):
                record = dict(zip(batch.schema.names, row, strict=True))
                found.append(Frame(_as_json(record), group, first + len(found)))
    return Lines(found, 0, {})


def _values(column: Any) -> list[Any]:
    """The values of a column; text that is not UTF-8 keeps its bytes as lone surrogates."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        return [
            value if value is None else value.decode("utf-8", "surrogateescape")
            for value in _as_stored(column).to_pylist()
        ]
    return values


def _as_json(record: dict[str, Any]) -> bytes:
    try:
        return _encode(record)
    except UnicodeEncodeError:
        # The bad bytes as they are: decoding the record will say where they stand.
        text = json.dumps(record, ensure_ascii=False, default=str)
        return text.encode("utf-8", "surrogateescape")


class _Parquet:
    """A Parquet file, row group by row group."""

    def __init__(self, file: Any) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(
            file, buffer_size=_BUFFER, pre_buffer=False, page_checksum_verification=True
        )
        self.schema = self._file.schema_arrow
        self.rows = self._file.metadata.num_rows

    def batches(self) -> Iterator[tuple[int, int, Any]]:
        for group in range(self._file.metadata.num_row_groups):
            row = 0
            for batch in self._file.iter_batches(_ROWS, row_groups=[group], use_threads=False):
                yield group, row, _checked(batch)
                row += batch.num_rows


class _Arrow:
    """An Arrow file or stream, batch by batch."""

    def __init__(self, file: Any) -> None:
        import pyarrow as pa

        head = file.read(len(_ARROW))
        file.seek(0)
        self._is_file = head == _ARROW
        self._reader: Any = pa.ipc.open_file(file) if self._is_file else pa.ipc.open_stream(file)
        self.schema = self._reader.schema
        self.rows = -1

    def batches(self) -> Iterator[tuple[int, int, Any]]:
        if self._is_file:
            for group in range(self._reader.num_record_batches):
                yield group, 0, _checked(self._reader.get_batch(group))
            return
        for group, batch in enumerate(self._reader):
            yield group, 0, _checked(batch)


def _checked(batch: Any) -> Any:
    """The batch, its offsets proven to be inside it; text is checked value by value later."""
    for column in batch.columns:
        column.validate()
        _as_stored(column).validate(full=True)
    return batch


def _as_stored(column: Any) -> Any:
    """The column, its text as bytes, which need not be UTF-8."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(column.type):
        words = _as_stored(column.dictionary)
        return pa.DictionaryArray.from_arrays(column.indices, words, safe=False)
    if types.is_large_string(column.type):
        return column.view(pa.large_binary())
    return column.view(pa.binary()) if types.is_string(column.type) else column


@contextmanager
def _open(source: Input, kind: Kind) -> Iterator[_Parquet | _Arrow]:
    import pyarrow as pa

    if kind == "parquet":
        _check_parquet(source)
    with pa.OSFile(os.fsencode(source.path).decode("utf-8", "surrogateescape")) as file:
        yield _Parquet(file) if kind == "parquet" else _Arrow(file)


def _check_parquet(source: Input) -> None:
    """Both marks are there, and the footer's length is inside the file."""
    with open(source.path, "rb") as file:
        head = file.read(4)
        file.seek(max(source.size - 8, 0))
        tail = file.read(8)
    if tail[4:] != _PARQUET:
        message = "is cut off: its footer is missing, without which nothing can be read"
        raise InputError("parquet.truncated", place_of(source), message)
    if head != _PARQUET or int.from_bytes(tail[:4], "little") > source.size - 12:
        message = "is no Parquet file: its marks or its footer's length are wrong"
        raise InputError("parquet.format", place_of(source), message)


@contextmanager
def _faults(source: Input, kind: Kind) -> Iterator[None]:
    """What pyarrow raises, as InputError with a reason."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise InputError(_reason(kind, str(error)), place_of(source), _message(error)) from error


def _reason(kind: Kind, text: str) -> str:
    if kind == "parquet":
        return "parquet.checksum" if "checksum" in text.lower() else "parquet.format"
    return "arrow.truncated"


def _message(error: Exception) -> str:
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"cannot be read: {first}"


def _specimen(kind: Any) -> Any:
    """A value as a column of this type could hold it."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return _specimen(kind.value_type)
    if types.is_null(kind):
        return None
    if types.is_boolean(kind):
        return True
    if types.is_integer(kind):
        return 1
    if types.is_floating(kind):
        return 0.5
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return [_specimen(kind.value_type)]
    if types.is_struct(kind):
        return {field.name: _specimen(field.type) for field in kind}
    return ""
