"""What came, went and changed between two builds: `dollymix diff`."""

from __future__ import annotations

import os
import struct
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec
import xxhash

from dollymix import manifest
from dollymix.ledger import Ledger

_HEAD = struct.Struct("<I16s")
_BUCKETS = 64
_SHOWN = 5


class Difference(NamedTuple):
    """Counts by source; `shown`: the first ids of each kind; `reasons`: how the books differ."""

    came: Counter[str]
    went: Counter[str]
    changed: Counter[str]
    same: int
    shown: dict[str, list[str]]
    reasons: dict[str, tuple[int, int]]

    @property
    def is_empty(self) -> bool:
        """True where both builds hold the same examples and count the same."""
        return not (self.came or self.went or self.changed or self.reasons)


def diff(old: str | os.PathLike[str], new: str | os.PathLike[str]) -> Difference:
    """How the second build differs from the first, example by example, by id.

    Raises UsageError where one of the folders is no build.
    """
    builds = [Path(old), Path(new)]
    for build in builds:
        manifest.read(build)
    came, went, changed = Counter[str](), Counter[str](), Counter[str]()
    lists: dict[str, list[str]] = {"came": [], "went": [], "changed": []}
    same = 0
    with tempfile.TemporaryDirectory(prefix="dollymix-") as folder:
        spilled = [_spill(build, Path(folder) / str(n)) for n, build in enumerate(builds)]
        for bucket in range(_BUCKETS):
            before, after = (_load(paths[bucket]) for paths in spilled)
            same += sum(after.get(key) == value for key, value in before.items())
            for kind, counter, keys in (
                ("came", came, after.keys() - before.keys()),
                ("went", went, before.keys() - after.keys()),
                ("changed", changed, {k for k in before if k in after and before[k] != after[k]}),
            ):
                counter.update(key.partition("/")[0] for key in keys)
                lists[kind] = sorted([*lists[kind], *keys])[:_SHOWN]
    return Difference(came, went, changed, same, lists, _reasons(builds))


def _spill(build: Path, folder: Path) -> list[Path]:
    """Id and digest of every example, into buckets on disk by the id's hash."""
    folder.mkdir()
    paths = [folder / str(number) for number in range(_BUCKETS)]
    files: list[BinaryIO] = [open(path, "wb") for path in paths]  # noqa: SIM115  (closed below)
    for identity, line in _rows(build):
        key = identity.encode()
        file = files[xxhash.xxh3_64_intdigest(key) % _BUCKETS]
        file.write(_HEAD.pack(len(key), xxhash.xxh3_128_digest(line)) + key)
    for file in files:
        file.close()
    return paths


def _rows(build: Path) -> Iterator[tuple[str, bytes]]:
    import pyarrow.parquet as pq

    for path in sorted(build.glob("lineage/*/*.parquet")):
        lines = build / "dolly" / path.parent.name / f"{path.stem}.jsonl"
        with open(lines, "rb") as file, pq.ParquetFile(path) as table:
            for batch in table.iter_batches(columns=["id"]):
                yield from zip(batch.column(0).to_pylist(), file, strict=False)


def _load(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with open(path, "rb") as file:
        while head := file.read(_HEAD.size):
            length, digest = _HEAD.unpack(head)
            found[file.read(length).decode()] = digest
    return found


def _reasons(builds: list[Path]) -> dict[str, tuple[int, int]]:
    """The counts of the two ledgers that differ, by `source: what reason`."""
    tables = [_flat(build) for build in builds]
    keys = sorted(tables[0].keys() | tables[1].keys())
    pairs = {key: (tables[0].get(key, 0), tables[1].get(key, 0)) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _flat(build: Path) -> dict[str, int]:
    ledger = msgspec.json.decode((build / "ledger.json").read_bytes(), type=Ledger)
    found: dict[str, int] = {}
    for source, counts in ledger.sources.items():
        for name, value in msgspec.to_builtins(counts).items():
            if isinstance(value, int):
                found[f"{source}: {name}"] = value
            elif isinstance(value, dict):
                found |= {f"{source}: {name} {reason}": n for reason, n in value.items()}
    return found
