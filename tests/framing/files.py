"""Small files of Alpaca rows, and what a merge makes of them."""

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dollymix
from tests.laws.builds import Build, write_recipe

ROWS = [{"instruction": f"질문 {n}", "input": "", "output": f"답 {n}"} for n in range(5)]


def lines(rows: list[dict[str, Any]], end: str = "\n") -> bytes:
    """Rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + end for row in rows).encode()


def array(rows: list[Any], indent: int | None = None) -> bytes:
    """Rows as one array."""
    return json.dumps(rows, ensure_ascii=False, indent=indent).encode()


def tarred(members: Iterable[tuple[str | tarfile.TarInfo, bytes]], **settings: Any) -> bytes:
    """A tar of these members: names with bytes, or tarfile's own entries with bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **settings) as archive:
        for name, data in members:
            made = name if isinstance(name, tarfile.TarInfo) else entry(name)
            if made.isreg():
                made.size = len(data)
            archive.addfile(made, io.BytesIO(data))
    return buffer.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, **settings: Any) -> tarfile.TarInfo:
    """A tar's entry."""
    made = tarfile.TarInfo(name)
    made.type = kind
    for key, value in settings.items():
        setattr(made, key, value)
    return made


def parquet(table: pa.Table, **settings: Any) -> bytes:
    """A table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **settings)
    return sink.getvalue()


def arrow(table: pa.Table, rows: int = 1000, *, stream: bool = False) -> bytes:
    """A table as an Arrow file or stream, with so many rows a batch."""
    sink = io.BytesIO()
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


def merged(place: Path, data: bytes, name: str = "a.json", **settings: Any) -> Build:
    """The build of one file; `settings` are those of its source, or arguments of the merge."""
    (place / name).write_bytes(data)
    return merged_files(place, [name], **settings)


def merged_files(place: Path, files: list[str], **settings: Any) -> Build:
    """The build of some files as one source, named `s`."""
    keys = ("workers", "unit_bytes", "on_bad_file", "formats")
    arguments = {key: settings.pop(key) for key in keys if key in settings}
    arguments["allow_empty"] = settings.get("allow_empty", False)
    recipe = write_recipe(place, {"sources": [{"name": "s", "files": files, **settings}]})
    dollymix.merge(recipe, place / "out", **{"workers": 1, **arguments})
    return Build(place / "out")


def refusal(place: Path, data: bytes, name: str = "a.json", **settings: Any) -> dollymix.InputError:
    """How one file is refused. Nothing may be left behind by it."""
    with pytest.raises(dollymix.InputError) as caught:
        merged(place, data, name, **settings)
    assert not (place / "out").exists()
    assert not (place / ".out.building").exists()
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


def answers(build: Build) -> list[str]:
    """The responses in order."""
    return [line["response"] for line, _ in build.written()]


def reasons(build: Build) -> dict[int, str]:
    """The reason of each rejected record, by its number."""
    return {row["record"]: row["reason"] for row in build.rejects}
