"""Phase 3: the examples that stay, into splits, shards and lineage.

Lines are copied as they are; nothing is parsed again but for columnar and other views.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import xxhash

from dollymix.blocks import Block, Columns, Drop, Index
from dollymix.blocks import read as read_blocks
from dollymix.errors import BuildError
from dollymix.example import identifier
from dollymix.ledger import Ledger, SourceCounts
from dollymix.lineage import Lineage, Names, lineage_rows
from dollymix.manifest import OutputFile
from dollymix.text import printable

SHARD_BYTES = 500_000_000
# What was done with an example before it was dropped.
_TOLD = ("steps", "step_characters", "flags")
_PLACE = ("id", "source", "file", "record", "path", "byte_start", "byte_end", "row_group", "row")
_HEAD = struct.Struct("<QII")
_BUCKET_BYTES = 64 << 20
_RELEASE_BYTES = 64 << 20


class Shards:
    """The JSON Lines of one split. A shard closes at the first line past `SHARD_BYTES`."""

    def __init__(self, split: str, open_file: Callable[[str], Any]) -> None:
        self.split = split
        self._open = open_file
        self.finished: list[OutputFile] = []
        self._digest = hashlib.sha256()
        self.length = 0
        self.rows = 0

    @property
    def name(self) -> str:
        """The file of the shard that is written now, below the build's folder."""
        return f"dolly/{self.split}/{len(self.finished):05d}.jsonl"

    def write(self, text: Any, ends: Any) -> list[int]:
        """Write lines; `ends` are offsets in `text`. Returns the row counts of shards closed."""
        view, closed, start, first = memoryview(text), [], 0, 0
        while self.length + (len(view) - start) >= SHARD_BYTES:
            room = SHARD_BYTES - self.length
            row = next(i for i in range(first, len(ends)) if ends[i] - start >= room)
            self._append(view[start : ends[row]], row + 1 - first)
            start, first = ends[row], row + 1
            closed.append(self.close())
        self._append(view[start:], len(ends) - first)
        return closed

    def _append(self, view: memoryview, rows: int) -> None:
        if rows:
            self._open(f"out/{self.name}").write(view)
            self._digest.update(view)
            self.length += len(view)
            self.rows += rows

    def close(self) -> int:
        """Close the shard; returns its rows."""
        rows = self.rows
        if rows:
            done = OutputFile(self.name, self.length, self._digest.hexdigest(), rows, self.split)
            self.finished.append(done)
        self._digest, self.length, self.rows = hashlib.sha256(), 0, 0
        return rows

    def state(self) -> dict[str, Any]:
        """What must be known to go on after a crash."""
        return {"finished": list(self.finished), "length": self.length, "rows": self.rows}

    def restore(self, state: dict[str, Any], root: Path) -> None:
        """Go on from a state; the digest of the unfinished shard is taken again."""
        self.finished = msgspec.convert(msgspec.to_builtins(state["finished"]), list[OutputFile])
        self.length, self.rows = state["length"], state["rows"]
        self._digest = hashlib.sha256()
        if self.length:
            with open(root / "out" / self.name, "rb") as file:
                while piece := file.read(1 << 20):
                    self._digest.update(piece)


class Splitter:
    """Shares of groups by a seeded hash of source and group (XXH3, 64 bits)."""

    def __init__(self, shares: dict[str, float], seed: int) -> None:
        self.names = list(shares) or ["train"]
        self._seed = seed
        self._edges: list[float] = []
        total = 0.0
        for name in self.names[:-1]:
            total += shares[name]
            self._edges.append(total * 2.0**64)

    def split(self, source: str, group: str) -> int:
        """The number of the split of a group."""
        rank = xxhash.xxh3_64_intdigest(f"{self._seed}\0{source}\0{group}".encode())
        return next((i for i, edge in enumerate(self._edges) if rank < edge), len(self._edges))

    def rows(self, names: Names, block: Block, columns: Columns) -> list[int]:
        """The split of each of a block's examples."""
        if len(self.names) == 1:
            return [0] * block.rows
        file = names.files[block.file]
        known: dict[str, int] = {}
        found: list[int] = []
        for record, group in zip(columns.records, columns.groups, strict=True):
            # An example without a group is bound to its record alone.
            key = f"g{group}" if group else f"r{file}#{block.base + record}"
            if key not in known:
                known[key] = self.split(names.source, key)
            found.append(known[key])
        return found


class Exporter:
    """Writes the lines and lineage of all splits, in canonical or shuffled order."""

    def __init__(
        self,
        out: Path,
        work: Path,
        sources: list[Names],
        splitter: Splitter,
        ledger: Ledger,
        open_file: Callable[[str], Any],
    ) -> None:
        self._out = out
        self._work = work
        self._sources = sources
        self._splitter = splitter
        self._ledger = ledger
        self._open = open_file
        self.shards = [Shards(name, open_file) for name in splitter.names]
        self._released = 0
        self._lineage = [Lineage(name, out) for name in splitter.names]

    def write_lineage(self, done: Shards) -> None:
        """The lineage of lines that convert wrote already: one split, nothing dropped."""
        self.shards = [done]
        done.close()
        lineage = self._lineage[0]
        shard_ends = [output.rows or 0 for output in done.finished]
        left = shard_ends.pop(0) if shard_ends else 0
        for block in read_blocks(str(self._work / "blocks")):
            names = self._sources[block.source]
            rows = lineage_rows(names, block, block.columns())
            self._counts(names).written += block.rows
            start = 0
            while block.rows - start >= left and left:
                lineage.add({name: values[start : start + left] for name, values in rows.items()})
                lineage.close_shard()
                start, left = start + left, shard_ends.pop(0) if shard_ends else 0
            if start < block.rows:
                lineage.add({name: values[start:] for name, values in rows.items()})
                left -= block.rows - start
        lineage.close_shard()

    def write(self, decisions: Iterator[Drop], index: Index, shuffle_seed: int | None) -> None:
        """Copy the lines that stay from the working lines."""
        drops = _Drops(decisions)
        spool = None if shuffle_seed is None else _Spool(self._work, shuffle_seed)
        position = first = 0
        with open(self._work / "lines", "rb", buffering=0) as lines:
            for block in read_blocks(str(self._work / "blocks")):
                size = block.text_bytes
                text = memoryview(os.pread(lines.fileno(), size, position))
                self._let_go(lines.fileno(), position)
                if len(text) < size:
                    place = printable(os.fspath(self._work / "lines"))
                    raise BuildError(f"{place}: became shorter while it was read")
                gone = drops.until(first, first + block.rows)
                self._block(block, text, gone, first, index, spool)
                position, first = position + size, first + block.rows
        if spool is not None:
            for split, row, line in spool.sorted_rows():
                self._emit(split, {name: [v] for name, v in row.items()}, line, [len(line)])
        for shards, lineage in zip(self.shards, self._lineage, strict=True):
            shards.close()
            lineage.close_shard()

    def _let_go(self, lines: int, position: int) -> None:
        """What was copied is not read again: its pages are of use elsewhere."""
        if hasattr(os, "posix_fadvise") and position - self._released >= _RELEASE_BYTES:
            os.posix_fadvise(lines, 0, position, os.POSIX_FADV_DONTNEED)
            self._released = position

    def lineage_files(self) -> list[OutputFile]:
        """The finished lineage files of all splits."""
        return [file for lineage in self._lineage for file in lineage.finished]

    def _counts(self, names: Names) -> SourceCounts:
        return self._ledger.sources[names.source]

    def _block(
        self,
        block: Block,
        text: memoryview,
        gone: list[Drop],
        first: int,
        index: Index,
        spool: _Spool | None,
    ) -> None:
        names, columns = self._sources[block.source], block.columns()
        counts = self._counts(names)
        counts.written += block.rows - len(gone)
        splits = self._splitter.rows(names, block, columns)
        rows = lineage_rows(names, block, columns)
        ends = block.ends()
        for drop in gone:
            row = drop.ordinal - first
            counts.dropped(drop.why.outcome, drop.why.step, drop.why.reason)
            line = text[ends[row - 1] if row else 0 : ends[row]]
            self._write_drop(drop, rows, row, line, index)
        lost = {drop.ordinal - first for drop in gone}
        if spool is not None:
            for row in range(block.rows):
                if row not in lost:
                    line = text[ends[row - 1] if row else 0 : ends[row]]
                    spool.add(splits[row], {name: rows[name][row] for name in rows}, line)
            return
        for start, end in _runs(block.rows, splits, lost):
            begin = ends[start - 1] if start else 0
            part = {name: values[start:end] for name, values in rows.items()}
            self._emit(
                splits[start],
                part,
                text[begin : ends[end - 1]],
                [e - begin for e in ends[start:end]],
            )

    def _emit(self, split: int, rows: dict[str, list[Any]], text: Any, ends: list[int]) -> None:
        lineage = self._lineage[split]
        before = self.shards[split].rows
        closed = self.shards[split].write(text, ends)
        start = 0
        for count in closed:
            end = start + count - before
            lineage.add({name: values[start:end] for name, values in rows.items()})
            lineage.close_shard()
            start, before = end, 0
        lineage.add({name: values[start:] for name, values in rows.items()})

    def _write_drop(
        self, drop: Drop, rows: dict[str, list[Any]], row: int, line: Any, index: Index
    ) -> None:
        block, columns, other = index.find(drop.because_of)
        names = self._sources[block.source]
        because = identifier(
            names.source,
            names.files[block.file],
            block.base + columns.records[other],
            columns.paths[other],
        )
        place = {name: rows[name][row] for name in _PLACE if rows[name][row] is not None}
        told = {name: rows[name][row] for name in _TOLD if rows[name][row] is not None}
        why = drop.why._asdict() | {"because_of": because} | told
        body = dropped_line(place, why, bytes(line))
        self._open("work/duplicates").write(body)


class _Drops:
    """Decisions taken block by block."""

    def __init__(self, decisions: Iterator[Drop]) -> None:
        self._source = decisions
        self._next = next(self._source, None)

    def until(self, first: int, end: int) -> list[Drop]:
        found: list[Drop] = []
        while self._next is not None and self._next.ordinal < end:
            found.append(self._next)
            self._next = next(self._source, None)
        assert not found or found[0].ordinal >= first
        return found


def _runs(count: int, splits: list[int], lost: set[int]) -> Iterator[tuple[int, int]]:
    """Stretches of rows that stay and go into the same split."""
    start = None
    for row in range(count):
        if row in lost:
            if start is not None:
                yield start, row
            start = None
        elif start is None:
            start = row
        elif splits[row] != splits[start]:
            yield start, row
            start = row
    if start is not None:
        yield start, count


def dropped_line(place: dict[str, Any], verdict: dict[str, Any], line: bytes) -> bytes:
    """A line of `dropped.jsonl.zst`: where, why, and the example's line itself."""
    head = msgspec.json.encode(place | verdict)
    return head[:-1] + b"," + line[1:]


class _Spool:
    """Rows in the order of a seeded hash of their id, sorted outside memory."""

    def __init__(self, work: Path, seed: int) -> None:
        self._seed = seed
        self._work = work
        total = (work / "lines").stat().st_size
        self._count = 1 << max(0, (total // _BUCKET_BYTES).bit_length())
        self._files = [open(work / f"spool-{n}", "w+b") for n in range(self._count)]  # noqa: SIM115

    def add(self, split: int, row: dict[str, Any], line: Any) -> None:
        rank = xxhash.xxh3_64_intdigest(f"{self._seed}\0{row['id']}".encode())
        body = msgspec.msgpack.encode((split, row))
        file = self._files[rank * self._count >> 64]
        file.write(_HEAD.pack(rank, len(body), len(line)))
        file.write(body)
        file.write(line)

    def sorted_rows(self) -> Iterator[tuple[int, dict[str, Any], bytes]]:
        for number, file in enumerate(self._files):
            file.seek(0)
            entries = []
            while head := file.read(_HEAD.size):
                rank, row_length, line_length = _HEAD.unpack(head)
                entries.append((rank, file.read(row_length), file.read(line_length)))
            entries.sort(key=lambda entry: entry[0])
            for _, body, line in entries:
                split, row = msgspec.msgpack.decode(body)
                yield split, row, line
            file.close()
            (self._work / f"spool-{number}").unlink()
