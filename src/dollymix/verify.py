"""Rechecks a finished build: `dollymix verify`."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec

from dollymix import manifest
from dollymix.errors import CheckError, UsageError
from dollymix.ledger import Ledger


class Report(NamedTuple):
    """What was checked, and what does not hold; `notes` say what could not be checked."""

    checked: int
    faults: list[str]
    notes: list[str]


def verify(folder: str | os.PathLike[str]) -> Report:
    """Recheck digests, books, row counts and lineage, and the inputs where they are there.

    Raises UsageError where the folder is no build.
    """
    root = Path(folder)
    try:
        built = manifest.read(root)
    except CheckError as error:
        return Report(1, [str(error)], [])
    faults: list[str] = []
    notes: list[str] = []
    _check_files(root, built, faults)
    if not faults:
        # Contents are compared only where the files are what they were.
        _check_counts(root, built, faults)
        _check_books(root, built, faults)
    if built.encode() != (root / "manifest.json").read_bytes():
        faults.append("manifest.json: its bytes were changed")
    checked = len(built.outputs) + _check_inputs(root, built, faults, notes)
    return Report(checked, faults, notes)


def _check_files(root: Path, built: manifest.Manifest, faults: list[str]) -> None:
    listed = {output.file for output in built.outputs}
    for output in built.outputs:
        path = root / output.file
        if not path.is_file():
            faults.append(f"{output.file}: is missing")
        elif path.stat().st_size != output.bytes:
            faults.append(f"{output.file}: has {path.stat().st_size} bytes, not {output.bytes}")
        elif manifest.sha256_of(path) != output.sha256:
            faults.append(f"{output.file}: its bytes were changed{_changed_row(root, output)}")
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if not path.is_dir() and name not in listed and name not in manifest.UNLISTED:
            faults.append(f"{name}: is no part of this build")


def _changed_row(root: Path, output: manifest.OutputFile) -> str:
    """The first row of a changed file that is no row any more, where that can be told."""
    if not output.file.endswith(".jsonl"):
        return ""
    with open(root / output.file, "rb") as file:
        number = -1
        for number, line in enumerate(file):
            try:
                msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return f", row {number} is broken"
    rows = output.rows
    return f": it has {number + 1} rows, not {rows}" if rows not in (None, number + 1) else ""


def _check_counts(root: Path, built: manifest.Manifest, faults: list[str]) -> None:
    import pyarrow.parquet as pq

    rows = {output.file: output.rows for output in built.outputs}
    for name, count in rows.items():
        if name.endswith(".parquet"):
            with pq.ParquetFile(root / name) as table:
                found = table.metadata.num_rows
        elif count is not None:
            with open(root / name, "rb") as file:
                found = sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))
        else:
            continue
        if found != count:
            faults.append(f"{name}: has {found} rows, not {count}")
        partner = name.replace("dolly/", "lineage/").replace(".jsonl", ".parquet")
        if name.startswith("dolly/") and rows.get(partner) != count:
            faults.append(f"{partner}: is not row for row with {name}")


def _check_books(root: Path, built: manifest.Manifest, faults: list[str]) -> None:
    """The ledger against itself and against what is there: lineage, rejects, dropped."""
    try:
        ledger = msgspec.json.decode((root / "ledger.json").read_bytes(), type=Ledger)
    except (msgspec.DecodeError, OSError) as error:
        raise UsageError(f"{root / 'ledger.json'}: cannot be read: {error}") from error
    if ledger.encode() != (root / "ledger.json").read_bytes():
        faults.append("ledger.json: its total is not the sum of its sources")
    written = _written_by_source(root, built)
    rejected = Counter(
        (r["source"], r["reason"]) for r in manifest.read_verdicts(root / "rejects.jsonl")
    )
    dropped = Counter(
        (r["source"], r["outcome"]) for r in manifest.read_verdicts(root / "dropped.jsonl.zst")
    )
    for name, counts in ledger.sources.items():
        faults += [f"ledger.json: {name}: {line}" for line in counts.imbalances()]
        if counts.written != written[name]:
            faults.append(
                f"ledger.json: {name}: says {counts.written} written, lineage has {written[name]}"
            )
        told = {reason: n for (source, reason), n in rejected.items() if source == name}
        if told != counts.rejected:
            faults.append(f"rejects.jsonl: {name}: its counts are not those of ledger.json")
        for outcome in ("filtered", "duplicate", "contaminated"):
            total = sum(getattr(counts, outcome).values())
            if dropped[name, outcome] != total:
                found = dropped[name, outcome]
                faults.append(f"dropped.jsonl.zst: {name}: has {found} {outcome}, not {total}")


def _written_by_source(root: Path, built: manifest.Manifest) -> Counter[str]:
    import pyarrow.parquet as pq

    written: Counter[str] = Counter()
    for output in built.outputs:
        if output.file.startswith("lineage/"):
            with pq.ParquetFile(root / output.file) as table:
                for batch in table.iter_batches(batch_size=65536, columns=["source"]):
                    written.update(batch.column(0).to_pylist())
    return written


def _check_inputs(root: Path, built: manifest.Manifest, faults: list[str], notes: list[str]) -> int:
    """Each input that is where the build read it has the digest it had."""
    places = {(p["source"], p["file"]): p["path"] for p in manifest.input_paths(root)}
    digests: dict[str, str] = {}
    checked = 0
    for entry in built.inputs:
        path = places.get((entry.source, entry.file))
        if path is None or not os.path.isfile(path):
            notes.append(f"{entry.source}/{entry.file}: the input is not there, so not checked")
            continue
        checked += 1
        digests.setdefault(path, manifest.sha256_of(path))
        if digests[path] != entry.sha256:
            faults.append(f"{entry.source}/{entry.file}: the input was changed since the build")
    return checked
