"""The partition law: every part of every record of every input is in exactly one place, by origin.

While a file is converted its records, parts and origins are counted (`FileCounts`), which the
manifest keeps. What is on disk is read back (`Recount`) and held against that: by a build before it
publishes, and by `verify`.

Each record has a bit. Origins are compared by a *fingerprint*: the sum, modulo 2 to the 64th, of
the XXH3-64 of every id. It does not depend on their order, and an id that is lost, doubled or
changed shows in it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import xxhash

from dollymix import blocks
from dollymix.convert import Placed, UnitResult
from dollymix.errors import CheckError, InternalError
from dollymix.example import identifier
from dollymix.ledger import Ledger, SourceCounts
from dollymix.lineage import Names
from dollymix.manifest import Count, InputFile, Manifest, read_rows
from dollymix.text import printable

_COLUMNS = ("id", "source", "file", "record", "path", "copy")
_BATCH = 1 << 16
_MODULO = 1 << 64
_TOLD = 10
_ONES = np.array([byte.bit_count() for byte in range(256)], dtype=np.uint8)
_TYPES = {
    "id": "string",
    "source": "dictionary<values=string",
    "file": "dictionary<values=string",
    "record": "int64",
    "path": "string",
    "copy": "int32",
    "byte_start": "int64",
    "byte_end": "int64",
    "line_xxh3": "uint64",
}
# Only these may be null.
_GAPS = ("byte_start", "byte_end")
# The counts of the ledger that can be taken again from what is on disk.
_RECOUNTED = (
    "records", "with_examples", "only_rejected", "empty", "parts", "parts_rejected", "examples",
    "repeated", "written", "rejected", "filtered", "duplicate", "contaminated", "not_sampled",
)  # fmt: skip
_WHERE = {
    "written": "lineage",
    "rejected": "rejects.jsonl",
    "parts_rejected": "rejects.jsonl",
    "filtered": "dropped.jsonl.zst",
    "duplicate": "dropped.jsonl.zst",
    "contaminated": "dropped.jsonl.zst",
    "not_sampled": "dropped.jsonl.zst",
}


class FileCounts(msgspec.Struct):
    """What the conversion of one file counted; `empty` records have no parts. `end`: how far it is
    read, in bytes."""

    source: str
    file: str
    end: int
    records: int = 0
    parts: int = 0
    empty: int = 0
    examples: int = 0
    examples_xxh3: int = 0
    rejects: int = 0
    rejects_xxh3: int = 0

    def take(self, base: int, result: UnitResult) -> None:
        """Add a unit, before which `base` records of the file stand.

        Raises InternalError where it breaks the law, naming the record.
        """
        self._check(base, result)
        self.end = result.unit[3]
        self.records += result.records
        self.parts += result.counts.parts
        self.empty += result.counts.empty
        self.examples += result.counts.examples
        self.rejects += len(result.rejected)
        ids = self._placed(base, result.dropped)
        if result.rows:
            places = blocks.places(result.columns)
            records = [base + record for record in places.records]
            ids += _ids(self.source, self.file, records, places.paths)
        self.examples_xxh3 = (self.examples_xxh3 + fingerprint(ids)) % _MODULO
        ids = self._placed(base, result.rejected)
        self.rejects_xxh3 = (self.rejects_xxh3 + fingerprint(ids)) % _MODULO

    def told(self) -> dict[str, Any]:
        """The counts as the manifest has them; fingerprints as text, for readers with floats."""
        counts: dict[str, Any] = msgspec.structs.asdict(self)
        del counts["source"], counts["file"], counts["end"]
        marks = {name: shown(counts[name]) for name in ("examples_xxh3", "rejects_xxh3")}
        return counts | marks

    def _check(self, base: int, result: UnitResult) -> None:
        counts, record, why = result.counts, base, ""
        kinds = counts.with_examples + counts.only_rejected + counts.empty
        if result.broken is not None:
            record, why = base + result.broken[0], result.broken[1]
        elif result.unit[2] != self.end:
            why = f"stands at byte {result.unit[2]}, but the record before it ends at {self.end}"
        elif result.records != kinds:
            why = f"of the {result.records} records from here on, {kinds} are counted"
        elif counts.examples != result.rows + len(result.dropped):
            there = result.rows + len(result.dropped)
            why = f"from here on {counts.examples} examples are made, and {there} are there"
        if why:
            raise _broken(identifier(self.source, self.file, record, ""), why)

    def _placed(self, base: int, placed: list[Placed]) -> list[str]:
        origins = [item.verdict.origin for item in placed]
        return [identifier(self.source, self.file, base + o.record, o.path) for o in origins]


def _broken(place: str, why: str) -> InternalError:
    return InternalError(f"{printable(place)}: {why}. Nothing is published")


def fingerprint(ids: Iterable[str]) -> int:
    """The sum of the XXH3-64 of ids, modulo 2 to the 64th."""
    return sum(map(xxhash.xxh3_64_intdigest, map(str.encode, ids))) % _MODULO


def shown(fingerprint: int) -> str:
    """A fingerprint as the manifest has it."""
    return f"{fingerprint:016x}"


def _ids(source: str, file: str, records: list[int], paths: list[str]) -> list[str]:
    """The ids of many places of one file."""
    head = f"{source}/{file}#"
    return [
        f"{head}{record}.{path}" if path else f"{head}{record}"
        for record, path in zip(records, paths, strict=True)
    ]


class _Reject(msgspec.Struct):
    """What is needed of a line of `rejects.jsonl`."""

    id: str
    source: str
    file: str
    record: Count
    reason: str
    parts: Count


class _Dropped(msgspec.Struct):
    """What is needed of a line of `dropped.jsonl.zst`."""

    id: str
    source: str
    file: str
    record: Count
    path: str
    outcome: Literal["filtered", "duplicate", "contaminated", "not_sampled"]
    step: str
    reason: str


class Rows(NamedTuple):
    """The rows of a batch of lineage that came from one file, by their number in the batch."""

    source: str
    file: str
    rows: Any


def lineage_batches(out: Path, name: str, columns: Iterable[str]) -> Iterator[Any]:
    """Columns of a lineage file, batch by batch; `source` and `file` are dictionaries.

    Raises CheckError where it cannot be read, or is none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(out / name, read_dictionary=["source", "file"]) as table:
            types = {field.name: str(field.type) for field in table.schema_arrow}
            for column in columns:
                if not types.get(column, "").startswith(_TYPES[column]):
                    raise CheckError(f"{name}: has no column `{column}` as lineage has it")
            for batch in table.iter_batches(_BATCH, columns=[*columns], use_threads=False):
                gaps = [c for c in columns if c not in _GAPS and batch.column(c).null_count]
                if gaps:
                    raise CheckError(f"{name}: has rows without `{gaps[0]}`")
                yield batch
    except KeyError as error:
        raise CheckError(f"{name}: has no columns `source` and `file`") from error
    except (pa.ArrowException, OSError) as error:
        raise CheckError(f"{name}: cannot be read: {error}") from error


def line_hashes(out: Path, name: str) -> array[int]:
    """The XXH3-64 of the lines that a lineage file stands beside."""
    found = array("Q")
    for batch in lineage_batches(out, name, ["line_xxh3"]):
        found.frombytes(batch.column("line_xxh3").to_numpy().tobytes())
    return found


def _many(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while some := list(islice(rows, _BATCH)):
        yield some


def by_file(batch: Any) -> Iterator[Rows]:
    """The rows of a batch, file by file."""
    source, file = batch.column("source"), batch.column("file")
    sources, files = source.dictionary.to_pylist(), file.dictionary.to_pylist()
    pairs = source.indices.to_numpy().astype(np.int64) * len(files) + file.indices.to_numpy()
    order = np.arange(len(pairs))
    if (pairs != pairs[:1]).any():
        order = np.argsort(pairs, kind="stable")
    edges = np.flatnonzero(np.diff(pairs[order])) + 1
    for rows in np.split(order, edges):
        pair = int(pairs[rows[0]])
        yield Rows(sources[pair // len(files)], files[pair % len(files)], rows)


class _Found:
    """What was found of one input file."""

    def __init__(self, entry: InputFile, start: int) -> None:
        self.entry = entry
        self.records = entry.records or 0
        # Its records' bits, among those of all files: whole bytes.
        self.start = start
        self.bytes = slice(start, start + -(-self.records // 8))
        self.examples = self.examples_xxh3 = 0
        self.rejects = self.rejects_xxh3 = 0
        # Records without parts that have a line among the rejects.
        self.told_empty = 0

    @property
    def place(self) -> str:
        return f"{self.entry.source}/{self.entry.file}"


class Recount:
    """What is on disk of each input file, read in any order; `faults` are one line each.

    Memory: two bits a record, and the rows at hand.
    """

    def __init__(self, out: Path, built: Manifest) -> None:
        self._out = out
        self._lineage_names = [o.file for o in built.outputs if o.file.startswith("lineage/")]
        self._files: dict[tuple[str, str], _Found] = {}
        self.sources: dict[str, SourceCounts] = {}
        start = 0
        for entry in built.inputs:
            if entry.records is not None:
                found = _Found(entry, start)
                self._files[entry.source, entry.file] = found
                self.sources.setdefault(entry.source, SourceCounts())
                start = found.bytes.stop
        try:
            self._with_examples = np.zeros(start, dtype=np.uint8)
            self._with_rejects = np.zeros(start, dtype=np.uint8)
        except (MemoryError, ValueError) as error:
            what = f"counts {start * 8} records, for which there is no room"
            raise CheckError(f"manifest.json: {what}") from error
        self._told = Counter[str]()
        self.faults: list[str] = []

    def _tell(self, place: str, what: str) -> None:
        """Note a fault; of many of one kind the first are named."""
        self._told[what] += 1
        if self._told[what] <= _TOLD:
            self.faults.append(f"{printable(place)}: {what}")

    def read(self) -> None:
        """Read lineage, rejects and dropped. Raises CheckError where one cannot be read."""
        for name in self._lineage_names:
            for batch in lineage_batches(self._out, name, _COLUMNS):
                self._lineage(name, batch)
        for rejects in _many(read_rows(self._out, "rejects.jsonl", _Reject)):
            self._rejects(rejects)
        for dropped in _many(read_rows(self._out, "dropped.jsonl.zst", _Dropped)):
            self._dropped(dropped)
        self._count_records()

    def _lineage(self, name: str, batch: Any) -> None:
        records, copies = (batch.column(n).to_numpy() for n in ("record", "copy"))
        paths, given = (batch.column(n).to_pylist() for n in ("path", "id"))
        for source, file, rows in by_file(batch):
            chosen = rows.tolist()
            ids = _ids(source, file, records[rows].tolist(), [paths[row] for row in chosen])
            repeats = np.flatnonzero(copies[rows])
            told = [*ids]
            for at in repeats.tolist():
                told[at] += f"~{copies[rows[at]]}"
            if told != [given[row] for row in chosen]:
                wrong = next(n for n, row in enumerate(chosen) if told[n] != given[row])
                self._tell(f"{name}, id {given[chosen[wrong]]}", "is not that of its row's columns")
            found = self._file(name, source, file, ids[0])
            if found is None:
                continue
            self.sources[source].written += len(ids)
            self.sources[source].repeated += len(repeats)
            if len(repeats):
                rows, ids = np.delete(rows, repeats), np.delete(ids, repeats).tolist()
            self._examples(found, records[rows], ids)

    def _rejects(self, rows: list[_Reject]) -> None:
        for found, some in self._by_file("rejects.jsonl", rows):
            counts = self.sources[found.entry.source]
            for row in some:
                head = identifier(row.source, row.file, row.record, "")
                if row.id != head and not row.id.startswith(f"{head}."):
                    self._tell(f"rejects.jsonl, id {row.id}", "is not that of its row's fields")
                counts.rejected[row.reason] = counts.rejected.get(row.reason, 0) + 1
                counts.parts_rejected += row.parts
                found.told_empty += not row.parts
            ids = [row.id for row in some]
            found.rejects += len(ids)
            found.rejects_xxh3 = (found.rejects_xxh3 + fingerprint(ids)) % _MODULO
            self._mark(self._with_rejects, found, np.array([row.record for row in some]), ids)

    def _dropped(self, rows: list[_Dropped]) -> None:
        for found, some in self._by_file("dropped.jsonl.zst", rows):
            for row in some:
                if row.id != identifier(row.source, row.file, row.record, row.path):
                    self._tell(f"dropped.jsonl.zst, id {row.id}", "is not that of its row's fields")
                self.sources[row.source].dropped(row.outcome, row.step, row.reason)
            self._examples(found, np.array([row.record for row in some]), [r.id for r in some])

    def _by_file(self, name: str, rows: list[Any]) -> Iterator[tuple[_Found, list[Any]]]:
        sorted_rows: dict[tuple[str, str], list[Any]] = {}
        for row in rows:
            sorted_rows.setdefault((row.source, row.file), []).append(row)
        for (source, file), some in sorted_rows.items():
            found = self._file(name, source, file, some[0].id)
            if found is not None:
                yield found, some

    def _file(self, name: str, source: str, file: str, identity: str) -> _Found | None:
        found = self._files.get((source, file))
        if found is None:
            self._tell(identity, f"stands in {name}, but its file is no input of the build")
        return found

    def _examples(self, found: _Found, records: Any, ids: list[str]) -> None:
        found.examples += len(ids)
        found.examples_xxh3 = (found.examples_xxh3 + fingerprint(ids)) % _MODULO
        self._mark(self._with_examples, found, records, ids)

    def _mark(self, bits: Any, found: _Found, records: Any, ids: list[str]) -> None:
        """Set the bits of records of one file."""
        beyond = (records < 0) | (records >= found.records)
        if beyond.any():
            where = np.flatnonzero(beyond)
            self._tell(ids[where[0]], "is behind the last record that was read")
            records = np.delete(records, where)
        bit = (1 << (records & 7)).astype(np.uint8)
        np.bitwise_or.at(bits, found.start + (records >> 3), bit)

    def _count_records(self) -> None:
        for found in self._files.values():
            entry, counts = found.entry, self.sources[found.entry.source]
            examples, rejects = self._with_examples[found.bytes], self._with_rejects[found.bytes]
            with_examples, placed = _ones(examples), _ones(examples | rejects)
            missing = found.records - placed
            counts.records += found.records
            counts.with_examples += with_examples
            counts.only_rejected += placed - with_examples - found.told_empty
            counts.empty += missing + found.told_empty
            counts.parts += entry.parts or 0
            counts.examples += found.examples
            silent = (entry.empty or 0) - found.told_empty
            if missing > silent:
                record = _first_zero(examples | rejects)
                self._tell(f"{found.place}#{record}", "is neither written, rejected nor dropped")
            elif missing < silent:
                self._tell(found.place, "has lines of records without parts")

    def compare(self, made: Callable[[InputFile], Iterator[str]] | None = None) -> None:
        """Hold examples and rejects that were found against those that were counted.

        `made`: the ids of the examples that were made of a file, where they are still known.
        """
        for found in self._files.values():
            entry = found.entry
            counted = entry.examples, entry.examples_xxh3
            if counted != (found.examples, shown(found.examples_xxh3)):
                what = f"{entry.examples} examples were made of it, other than the "
                self._tell(found.place, f"{what}{found.examples} that are there")
                there = partial(self._example_ids, entry)
                self._name(there, None if made is None else partial(made, entry))
            counted = entry.rejects, entry.rejects_xxh3
            if counted != (found.rejects, shown(found.rejects_xxh3)):
                what = f"{entry.rejects} parts of it were rejected, other than the "
                self._tell(found.place, f"{what}{found.rejects} that are there")
                self._name(partial(self._reject_ids, entry), None)

    def _name(
        self, there: Callable[[], Iterator[str]], made: Callable[[], Iterator[str]] | None
    ) -> None:
        """Name an id that stands in two places, in none, or that nothing was made of."""
        hashes = np.sort(_hashes(there()))
        twice = hashes[1:][hashes[1:] == hashes[:-1]]
        if len(twice):
            self._tell(_with_hash(there(), twice[0]), "stands in two places")
        if made is None:
            return
        wanted = _hashes(made())
        lost, foreign = np.setdiff1d(wanted, hashes), np.setdiff1d(hashes, wanted)
        if len(lost):
            self._tell(_with_hash(made(), lost[0]), "is neither written nor dropped")
        if len(foreign):
            self._tell(_with_hash(there(), foreign[0]), "was never made")

    def _example_ids(self, entry: InputFile) -> Iterator[str]:
        place = entry.source, entry.file
        for name in self._lineage_names:
            for batch in lineage_batches(self._out, name, _COLUMNS):
                ids, copies = batch.column("id").to_pylist(), batch.column("copy").to_pylist()
                for source, file, rows in by_file(batch):
                    if (source, file) == place:
                        yield from (ids[row] for row in rows.tolist() if not copies[row])
        for row in read_rows(self._out, "dropped.jsonl.zst", _Dropped):
            if (row.source, row.file) == place:
                yield row.id

    def _reject_ids(self, entry: InputFile) -> Iterator[str]:
        for row in read_rows(self._out, "rejects.jsonl", _Reject):
            if (row.source, row.file) == (entry.source, entry.file):
                yield row.id


def book_faults(recount: Recount, ledger: Ledger) -> list[str]:
    """Where the ledger is not what is on disk, each as one line."""
    faults: list[str] = []
    for name in {**ledger.sources, **recount.sources}:
        told = ledger.sources.get(name, SourceCounts())
        found = recount.sources.get(name, SourceCounts())
        for field in _RECOUNTED:
            says, has = getattr(told, field), getattr(found, field)
            if says != has:
                where = _WHERE.get(field, "what is on disk")
                faults.append(f"ledger.json: {name}: {field} is {says}, but {where} has {has}")
    return faults


def made_ids(work: Path, sources: list[Names], entry: InputFile) -> Iterator[str]:
    """The ids of the examples that were made of a file, from a build's working files."""
    for block in blocks.read(str(work / "blocks")):
        names = sources[block.source]
        if (names.source, names.files[block.file]) == (entry.source, entry.file):
            places = blocks.places(block.columns_bytes)
            records = [block.base + record for record in places.records]
            yield from _ids(entry.source, entry.file, records, places.paths)
    for row in read_rows(work, "filtered", _Dropped):
        if (row.source, row.file) == (entry.source, entry.file):
            yield row.id


def check(out: Path, built: Manifest, ledger: Ledger, work: Path, sources: list[Names]) -> None:
    """Read back what a build is about to publish. Raises InternalError where the law is broken."""
    recount = Recount(out, built)
    recount.read()
    recount.compare(lambda entry: made_ids(work, sources, entry))
    faults = [*recount.faults, *book_faults(recount, ledger)]
    if faults:
        raise InternalError(
            "a part is not in exactly one place; nothing is published: " + "; ".join(faults[:_TOLD])
        )


def _hashes(ids: Iterator[str]) -> Any:
    return np.fromiter(map(xxhash.xxh3_64_intdigest, map(str.encode, ids)), dtype=np.uint64)


def _with_hash(ids: Iterator[str], wanted: int) -> str:
    return next(i for i in ids if xxhash.xxh3_64_intdigest(i.encode()) == wanted)


def _ones(bits: Any) -> int:
    """How many bits are set."""
    return int(_ONES[bits].sum())


def _first_zero(bits: Any) -> int:
    """The number of the first bit that is not set."""
    byte = int(np.flatnonzero(bits != 255)[0])
    return byte * 8 + next(bit for bit in range(8) if not bits[byte] >> bit & 1)
