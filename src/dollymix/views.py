"""Other forms of a finished set: Parquet, and the records of another format.

Made from the Dolly lines and their lineage, which together are the whole example.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from dollymix import formats
from dollymix.example import Dolly, Example, Message, Origin
from dollymix.lineage import ROW_GROUP
from dollymix.manifest import OutputFile, sha256_of


def write_parquet(out: Path, shards: Iterable[OutputFile]) -> list[OutputFile]:
    """The Dolly lines of the shards as Parquet, a file a shard."""
    import pyarrow as pa
    import pyarrow.json as pj
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in Dolly.__struct_fields__])
    options = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    written: list[OutputFile] = []
    for shard in shards:
        name = shard.file.replace("dolly/", "dolly-parquet/").replace(".jsonl", ".parquet")
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            open(out / shard.file, "rb") as lines,
            pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer,
        ):
            while batch := b"".join(islice(lines, ROW_GROUP)):
                read = pj.ReadOptions(use_threads=False, block_size=len(batch) + 1)
                table = pj.read_json(pa.BufferReader(batch), read, options)
                writer.write_table(table, row_group_size=ROW_GROUP)
        size = path.stat().st_size
        written.append(OutputFile(name, size, sha256_of(path), shard.rows, shard.split))
    return written


def write_view(out: Path, view: str, shards: list[OutputFile]) -> list[OutputFile]:
    """The set in another format's form, as JSON Lines, from the lines and their lineage."""
    form = formats.load(view)
    written: list[OutputFile] = []
    for shard in shards:
        name = shard.file.replace("dolly/", f"{view}/")
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        encoder = msgspec.json.Encoder()
        with open(path, "wb") as file:
            file.writelines(
                encoder.encode(form.render(example)) + b"\n"
                for example in read_examples(out, shard)
            )
        size = path.stat().st_size
        written.append(OutputFile(name, size, sha256_of(path), shard.rows, shard.split))
    return written


def read_examples(out: Path, shard: OutputFile) -> Iterator[Example]:
    """The examples of a shard, whole: the lines and their lineage together."""
    import pyarrow.parquet as pq

    path = out / shard.file.replace("dolly/", "lineage/").replace(".jsonl", ".parquet")
    decode = msgspec.json.Decoder(Dolly).decode
    with open(out / shard.file, "rb") as lines, pq.ParquetFile(path) as lineage:
        for batch in lineage.iter_batches(batch_size=1000):
            for row, line in zip(batch.to_pylist(), lines, strict=False):
                yield _example(decode(line), row)


def _example(line: Dolly, row: dict[str, Any]) -> Example:
    def turns(name: str) -> tuple[Message, ...]:
        text = row[name]
        return msgspec.json.decode(text, type=tuple[Message, ...]) if text else ()

    return Example(
        instruction=line.instruction,
        context=line.context,
        response=line.response,
        category=line.category,
        origin=Origin(row["source"], row["file"], row["record"], row["path"] or ""),
        group=row["group"] or "",
        flags=tuple(row["flags"] or ()),
        system=row["system"] or "",
        history=turns("history"),
        after=turns("after"),
        tools=msgspec.Raw(row["tools"].encode()) if row["tools"] else None,
        rejected=row["rejected"] or "",
        answer_start=row["answer_start"],
        meta=msgspec.json.decode(row["meta"]) if row["meta"] else None,
    )
