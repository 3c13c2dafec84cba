"""One tool reads one file, as its documentation says, with nothing set that has a default.

Run by `inputs.py`, once for each case: `readers.py TOOL SPEC.json`. The rows go to
`rows.jsonl` in the working folder as they are read; a fault of the tool is not caught.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from expected import NAMES, row

Record = dict[str, Any]


class Spec(NamedTuple):
    """What to read: the file, its form, and what the user knows about it."""

    path: str
    form: str
    adapter: str
    options: Record
    memory_bytes: int
    dollymix_python: str

    def declared(self, delimiter: str) -> Record:
        """The encoding and the delimiter, called as the tool calls it, where the user knows them.

        None for a tool that has no such setting for this form.
        """
        tabs = {"delimiter": "\t"} if self.form == "tsv" else {}
        names = {"delimiter": delimiter, "encoding": "encoding"}
        known = tabs | self.options
        return {name: known[key] for key, name in names.items() if key in known}


def hf_datasets(spec: Spec) -> Iterable[Record]:
    """Hugging Face datasets."""
    from datasets import load_dataset

    builder = {"jsonl": "json", "auto": "json", "tsv": "csv"}.get(spec.form, spec.form)
    return load_dataset(builder, data_files=spec.path, split="train", **spec.declared("sep"))


def pandas(spec: Spec) -> Iterable[Record]:
    """A data frame of pandas."""
    import pandas as pd

    readers = {"csv": pd.read_csv, "tsv": pd.read_csv, "parquet": pd.read_parquet}
    read = {**readers, "arrow": pd.read_feather}.get(spec.form, pd.read_json)
    lines = {"lines": True} if spec.form in ("jsonl", "auto") else {}
    return read(spec.path, **lines, **spec.declared("sep")).to_dict("records")


def polars(spec: Spec) -> Iterable[Record]:
    """A data frame of polars, which has settings for CSV alone."""
    import polars as pl

    readers = {"json": pl.read_json, "parquet": pl.read_parquet, "arrow": pl.read_ipc}
    if spec.form in ("csv", "tsv"):
        return pl.read_csv(spec.path, **spec.declared("separator")).iter_rows(named=True)
    return readers.get(spec.form, pl.read_ndjson)(spec.path).iter_rows(named=True)


def duckdb(spec: Spec, settings: str = "") -> Iterator[Record]:
    """A query of DuckDB."""
    import duckdb

    settings += "".join(f", {name} = '{value}'" for name, value in spec.declared("delim").items())
    functions = {
        "json": f"read_json(?{settings})",
        "csv": f"read_csv(?{settings})",
        "tsv": f"read_csv(?{settings})",
        "parquet": "read_parquet(?)",
    }
    lines = f"read_json(?, format = 'newline_delimited'{settings})"
    answer = duckdb.execute(f"SELECT * FROM {functions.get(spec.form, lines)}", [spec.path])
    names = [column[0] for column in answer.description]
    return (dict(zip(names, values, strict=True)) for values in answer.fetchall())


def duckdb_ignore_errors(spec: Spec) -> Iterator[Record]:
    """The same, told to go on past errors."""
    return duckdb(spec, ", ignore_errors = true")


def datatrove(spec: Spec) -> Iterable[Record]:
    """A pipeline of datatrove with one task; its readers have no such settings."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline import readers

    csv = readers.CSVReader
    kinds = {"csv": csv, "tsv": csv, "parquet": readers.ParquetReader, "arrow": readers.IpcReader}
    path = Path(spec.path)
    kind = kinds.get(spec.form, readers.JsonlReader)
    reader = kind(str(path.parent), glob_pattern=path.name, text_key="output")
    seen: list[Record] = []

    def collect(documents: Iterable[Any], rank: int, world_size: int) -> Iterator[Any]:  # noqa: ARG001
        for document in documents:
            seen.append({**document.metadata, "output": document.text})
            yield document

    LocalPipelineExecutor([reader, collect], tasks=1, workers=1, logging_dir="log").run()
    return seen


def data_juicer(spec: Spec) -> Iterator[Record]:
    """A run of Data-Juicer without operators: what it loads it exports."""
    export = "exported/out.jsonl"
    recipe = {"dataset_path": spec.path, "export_path": export, "text_keys": "output"}
    Path("recipe.yaml").write_text(json.dumps({**recipe, "process": []}))
    # It looks at the arguments of the process, even where it is called from Python.
    sys.argv = ["dj-process", "--config", "recipe.yaml"]
    from data_juicer.tools.process_data import main

    main()
    return _lines(Path(export))


def dollymix(spec: Spec, framing: str = "auto") -> Iterator[Record]:
    """Dollymix, through its command line; a recipe where a path alone does not say it all."""
    source = spec.path
    if spec.options or spec.adapter != "alpaca" or framing != "auto":
        options = {"turns": "whole"} if spec.adapter == "sharegpt" else {}
        entry = {"name": "s", "files": [spec.path], "format": spec.adapter, "options": options}
        source = "recipe.yaml"
        recipe = {"version": 1, "sources": [{**entry, "framing": framing, **spec.options}]}
        Path(source).write_text(json.dumps(recipe), encoding="utf-8")
    allow = ["--allow-empty"] if spec.options.get("allow_empty") else []
    command = [spec.dollymix_python, "-m", "dollymix", "merge", source, "-o", "out", *allow]
    status = subprocess.run([*command, "--workers", "1", "--json"], check=False).returncode
    if status:
        sys.exit(status)
    names = {"instruction": "instruction", "input": "context", "output": "response"}
    for record in _lines(*sorted(Path("out/dolly/train").glob("*.jsonl"))):
        yield {ours: record[name] for ours, name in names.items()}


def dollymix_declared(spec: Spec) -> Iterator[Record]:
    """The same, told the form of the file, as the others are by the function that is called."""
    return dollymix(spec, spec.form)


def _lines(*paths: Path) -> Iterator[Record]:
    for path in paths:
        with path.open("rb") as file:
            yield from map(json.loads, file)


_COMMON = {"jsonl", "json", "auto", "csv", "tsv", "parquet"}

# The forms that each tool has a reader for; which compressions it takes, the cases show.
TOOLS: dict[str, tuple[Callable[[Spec], Iterable[Record]], set[str]]] = {
    "datasets": (hf_datasets, _COMMON | {"arrow"}),
    "datatrove": (datatrove, {"jsonl", "csv", "tsv", "parquet", "arrow"}),
    "pandas": (pandas, _COMMON | {"arrow"}),
    "polars": (polars, _COMMON | {"arrow"}),
    "duckdb": (duckdb, _COMMON),
    "duckdb_ignore_errors": (duckdb_ignore_errors, _COMMON),
    "data_juicer": (data_juicer, _COMMON),
    "dollymix": (dollymix, _COMMON | {"arrow"}),
    "dollymix_declared": (dollymix_declared, _COMMON | {"arrow"}),
}


def main() -> None:
    """Reads the file of the specification."""
    spec = Spec(**json.loads(Path(sys.argv[2]).read_text()))
    resource.setrlimit(resource.RLIMIT_AS, (spec.memory_bytes, spec.memory_bytes))
    read, _ = TOOLS[sys.argv[1]]
    with open("rows.jsonl", "w", encoding="utf-8") as file:
        for record in read(spec):
            # NaN is how pandas says null.
            values = [None if value != value else value for value in row(record)]
            values = list(row(dict(zip(NAMES, values, strict=True))))
            file.write(json.dumps(values, default=repr) + "\n")


if __name__ == "__main__":
    main()
