"""Short words that many tests use: write inputs, merge them, read a build back."""

import json
from pathlib import Path

import pyarrow.parquet as pq

import dollymix
from dollymix.example import Origin
from dollymix.formats import Parsed, parse_record
from dollymix.manifest import read_verdicts

ORIGIN = Origin("source", "file.json", 0)


def write_text(path, text):
    """The path, with the text in it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def write_json(path, value):
    """The path, with the value in it as one JSON document."""
    return write_text(path, json.dumps(value, ensure_ascii=False))


def write_lines(path, values):
    """The path, with the values in it, one a line."""
    return write_text(path, "".join(json.dumps(v, ensure_ascii=False) + "\n" for v in values))


def merge(source, output, **settings):
    """A build of a recipe's text, a path, or a list of paths, with one worker."""
    if isinstance(source, str):
        source = write_text(Path(output).with_suffix(".yaml"), source)
    return dollymix.merge(source, output, **{"workers": 1, **settings})


def read_lines(build, split="train"):
    """The Dolly records of a split, over all shards."""
    shards = sorted((Path(build) / "dolly" / split).glob("*.jsonl"))
    # Split at LF alone: U+2028 and U+0085 may stand inside a text.
    lines = [line for shard in shards for line in shard.read_bytes().split(b"\n")]
    return [json.loads(line) for line in lines if line]


def read_lineage(build, split="train"):
    """The lineage of a split, row for row with its records."""
    shards = sorted((Path(build) / "lineage" / split).glob("*.parquet"))
    return [row for shard in shards for row in pq.read_table(shard).to_pylist()]


def read_rejects(build):
    """The rows of `rejects.jsonl`."""
    return list(read_verdicts(Path(build) / "rejects.jsonl"))


def read_dropped(build):
    """The rows of `dropped.jsonl.zst`."""
    return list(read_verdicts(Path(build) / "dropped.jsonl.zst"))


def read_ledger(build):
    """The counts of a build."""
    return json.loads((Path(build) / "ledger.json").read_bytes())


def all_files(folder):
    """Each file below a folder, by its path there, with its bytes."""
    folder = Path(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def parse_bytes(form, data, **options) -> Parsed:
    """What a format makes of a record's JSON."""
    return parse_record((form,), data, ORIGIN, options)


def parse_text(form, text, **options) -> Parsed:
    """What a format makes of a record's JSON text."""
    return parse_bytes(form, text.encode(), **options)


def parse(form, record, **options) -> Parsed:
    """What a format makes of a record."""
    return parse_text(form, json.dumps(record, ensure_ascii=False), **options)


def texts(parsed):
    """The examples as (instruction, context, response)."""
    return [(e.instruction, e.context, e.response) for e in parsed.examples]


def paths(parsed):
    """Where in the record each example stands."""
    return [example.origin.path for example in parsed.examples]


def verdicts(parsed):
    """The verdicts as (path, reason, parts covered)."""
    return [(v.path, v.reason, v.parts) for v in parsed.verdicts]


def balances(parsed):
    """True where each part is used or rejected, once."""
    return parsed.parts == parsed.parts_used + sum(v.parts for v in parsed.verdicts)
