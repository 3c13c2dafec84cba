"""One tool writes 2,000 rows of a generation, or what stands on the disk is judged.

`writers.py write TOOL OUT GENERATION`, `writers.py judge TOOL OUT`; run by `powerloss.py`.
A judge prints the generation, or `broken:` and why. It uses another library than the writer
where there is one.
"""

import gzip
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS = 2_000
Record = dict[str, str]


def records(generation: int) -> list[Record]:
    """The rows of a generation; all of them differ from those of another."""
    return [
        {
            "instruction": f"질문 {n}",
            "input": str(generation),
            "output": f"{generation} {'가' * 60}",
        }
        for n in range(ROWS)
    ]


def pandas_to_json(out: str, rows: list[Record]) -> None:
    """`DataFrame.to_json`, one object a line."""
    import pandas as pd

    pd.DataFrame(rows).to_json(out, orient="records", lines=True, force_ascii=False)


def polars_write_ndjson(out: str, rows: list[Record]) -> None:
    """`DataFrame.write_ndjson`."""
    import polars as pl

    pl.DataFrame(rows).write_ndjson(out)


def polars_sink_parquet(out: str, rows: list[Record]) -> None:
    """`LazyFrame.sink_parquet`."""
    import polars as pl

    pl.LazyFrame(rows).sink_parquet(out)


def pyarrow_write_table(out: str, rows: list[Record]) -> None:
    """`pyarrow.parquet.write_table`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), out)


def datasets_to_json(out: str, rows: list[Record]) -> None:
    """`Dataset.to_json`."""
    from datasets import Dataset

    Dataset.from_list(rows).to_json(out, force_ascii=False)


def datasets_save_to_disk(out: str, rows: list[Record]) -> None:
    """`Dataset.save_to_disk`."""
    from datasets import Dataset

    Dataset.from_list(rows).save_to_disk(out)


def duckdb_copy_json(out: str, rows: list[Record], form: str = "json") -> None:
    """`COPY ... TO`."""
    import duckdb
    import pyarrow as pa

    duckdb.from_arrow(pa.Table.from_pylist(rows)).create("rows")
    duckdb.execute(f"COPY rows TO '{out}' (FORMAT {form})")


def duckdb_copy_parquet(out: str, rows: list[Record]) -> None:
    """The same as Parquet."""
    duckdb_copy_json(out, rows, "parquet")


def datatrove_jsonl(out: str, rows: list[Record]) -> None:
    """`JsonlWriter` in a pipeline of one task, whose end is marked by a file of the log."""
    from datatrove.data import Document
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.writers import JsonlWriter

    documents = [Document(row["output"], str(n), metadata=row) for n, row in enumerate(rows)]
    log = f"{out}/log-{rows[0]['input']}"
    LocalPipelineExecutor([documents, JsonlWriter(f"{out}/data")], logging_dir=log).run()


def _lines(data: bytes) -> list[Any]:
    if not data.endswith(b"\n"):
        raise ValueError("cut off")
    return [json.loads(line) for line in data.splitlines()]


def judge_json(out: Path) -> list[Any]:
    """The rows of JSON Lines."""
    return _lines(out.read_bytes())


def judge_parquet(out: Path) -> list[Any]:
    """The rows of a Parquet file."""
    import pyarrow.parquet as pq

    return pq.read_table(out).to_pylist()


def judge_saved(out: Path) -> list[Any]:
    """The rows of the files that `state.json` names."""
    import pyarrow as pa

    json.loads((out / "dataset_info.json").read_bytes())
    named = json.loads((out / "state.json").read_bytes())["_data_files"]
    tables = [pa.ipc.open_stream(out / entry["filename"]).read_all() for entry in named]
    return pa.concat_tables(tables).to_pylist()


def judge_datatrove(out: Path) -> list[Any]:
    """The rows, where the marker vouches for them; without it the next run writes them again."""
    if not (out / "log-2/completions/00000").exists():
        return records(1)
    data = gzip.decompress((out / "data/00000.jsonl.gz").read_bytes())
    return [line["metadata"] for line in _lines(data)]


def judge_dollymix(out: Path) -> list[Any]:
    """The rows, where every file has the digest that the manifest gives it."""
    manifest = json.loads((out / "manifest.json").read_bytes())
    for entry in manifest["outputs"]:
        if hashlib.sha256((out / entry["file"]).read_bytes()).hexdigest() != entry["sha256"]:
            raise ValueError(f"digest of {entry['file']}")
    lines = _lines((out / "dolly/train/00000.jsonl").read_bytes())
    keys = {"instruction": "instruction", "input": "context", "output": "response"}
    return [{key: line[name] for key, name in keys.items()} for line in lines]


WRITERS: dict[str, tuple[Callable[[str, list[Record]], None], Callable[[Path], list[Any]]]] = {
    "pandas to_json": (pandas_to_json, judge_json),
    "polars write_ndjson": (polars_write_ndjson, judge_json),
    "polars sink_parquet": (polars_sink_parquet, judge_parquet),
    "pyarrow write_table": (pyarrow_write_table, judge_parquet),
    "datasets to_json": (datasets_to_json, judge_json),
    "datasets save_to_disk": (datasets_save_to_disk, judge_saved),
    "DuckDB COPY json": (duckdb_copy_json, judge_json),
    "DuckDB COPY parquet": (duckdb_copy_parquet, judge_parquet),
    "datatrove JsonlWriter": (datatrove_jsonl, judge_datatrove),
}


def judge(tool: str, out: Path) -> str:
    """The generation that stands there whole."""
    read = judge_dollymix if tool == "dollymix" else WRITERS[tool][1]
    try:
        rows = read(out)
    except Exception as error:  # whatever a library raises: the state is broken
        return f"broken: {type(error).__name__}"
    return next((str(g) for g in (1, 2) if rows == records(g)), f"broken: {len(rows)} rows")


def main() -> None:
    """Writes or judges."""
    task, tool, out = sys.argv[1:4]
    if task == "judge":
        print(judge(tool, Path(out)))
        return
    WRITERS[tool][0](out, records(int(sys.argv[4])))
    print("done", flush=True)


if __name__ == "__main__":
    main()
