"""Rechecks a finished build: `dollymix verify`.

Nothing in the folder is trusted: no link is followed, no pipe is opened, no name in the manifest
leads out of it, and what cannot be read is a fault with a name.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from dollymix import damage, manifest
from dollymix.decoding import FAILURES
from dollymix.errors import CheckError, InputError
from dollymix.framing.inputs import reopen_stream
from dollymix.ledger import Ledger, SourceCounts
from dollymix.text import printable

if TYPE_CHECKING:
    from dollymix.manifest import InputFile, Manifest, OutputFile

_ALWAYS = ("README.md", "dropped.jsonl.zst", "ledger.json", "rejects.jsonl")
_CHANGED = "its bytes were changed"
_PIECE = 1 << 20
_NAMED = 5
_JSON = ("jsonl", "array", "object")
# More than any record takes: a range that claims so much is not read.
_MOST_BYTES = 1 << 30
_RANGE_COLUMNS = ("source", "file", "record", "byte_start", "byte_end")
_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


class Report(NamedTuple):
    """What was checked, and what does not hold; `notes` say what could not be checked."""

    checked: int
    faults: list[str]
    notes: list[str]


def verify(folder: str | os.PathLike[str], quick: bool = False) -> Report:
    """Recheck a build: every byte, row and count, and the inputs where they are there.

    `quick`: names, sizes, counts and the books alone; a changed byte is not found.

    Raises UsageError where the folder is no build.
    """
    root = Path(folder)
    try:
        built = manifest.read(root)
    except CheckError as error:
        return Report(1, [str(error)], [])
    check = _Check(root, built, quick)
    check.itself()
    check.files()
    check.contents()
    check.rows()
    check.books()
    check.log()
    check.inputs()
    return Report(
        check.checked, [printable(line) for line in check.faults], [*map(printable, check.notes)]
    )


class _Place(NamedTuple):
    """An input, and where it is."""

    entry: InputFile
    path: str
    member: str


class _Range(NamedTuple):
    """Where in its file a record is."""

    start: int
    end: int
    record: int


class _WithTotal(msgspec.Struct):
    """The part of `ledger.json` that follows from the rest."""

    total: SourceCounts


class _Check:
    """One build while it is checked.

    `whole`: the outputs that are what the manifest says; `hashes`: those of the Dolly lines.
    """

    def __init__(self, root: Path, built: Manifest, quick: bool) -> None:
        self.root = root
        self.built = built
        self.quick = quick
        self.outputs = {output.file: output for output in built.outputs if _is_inside(output.file)}
        self.whole: set[str] = set()
        self.hashes: dict[str, array[int]] = {}
        self.places: list[dict[str, str]] = []
        self.checked = 1
        self.faults: list[str] = []
        self.notes: list[str] = []
        if quick:
            self.notes.append("quick: no file was read as a whole, so a changed byte is not found")

    def fault(self, name: str, what: str) -> None:
        """Note a fault of a file."""
        self.faults.append(f"{name}: {what}")

    def note(self, name: str, what: str) -> None:
        """Note what could not be checked."""
        self.notes.append(f"{name}: {what}")

    def itself(self) -> None:
        """The manifest by itself: its own digest, and that it lists what each build has."""
        if not manifest.is_untouched(manifest.read_whole(self.root / "manifest.json")):
            self.fault("manifest.json", "its bytes were changed")
            self.note("manifest.json", "what is told of other files may be its own fault")
        listed = Counter(output.file for output in self.built.outputs)
        for name, count in listed.items():
            if not _is_inside(name):
                what = f"lists {name}, which is no file of a build: it is not opened"
                self.fault("manifest.json", what)
            elif count > 1:
                self.fault("manifest.json", f"lists {name} {count} times")
        for name in _ALWAYS:
            if name not in listed:
                self.fault("manifest.json", f"does not list {name}, which every build has")

    def files(self) -> None:
        """Each file that is listed is there, with its size; nothing else is."""
        sizes, others = _walk(self.root, self.outputs)
        changed: dict[str, str] = {}
        for name, output in self.outputs.items():
            self.checked += 1
            if name in others:
                continue
            if name not in sizes:
                self.fault(name, "is missing")
            elif sizes[name] != output.bytes:
                changed[name] = f"has {sizes[name]} bytes, not {output.bytes}"
            else:
                self.whole.add(name)
        if not self.quick:
            changed |= self._changed()
        for name, what in changed.items():
            # Of a file that is far larger than it was, the rows are not looked at.
            near = not self.quick and sizes[name] <= 2 * self.outputs[name].bytes + _PIECE
            self.fault(name, what + (self._where(self.outputs[name]) if near else ""))
        for name in sorted(sizes.keys() - self.outputs.keys() - {*manifest.UNLISTED}):
            self.fault(name, "is no part of this build")
        for name, what in sorted(others.items()):
            self.fault(name, what)

    def _changed(self) -> dict[str, str]:
        """The files whose bytes are not what they were; they are whole no more."""
        changed: dict[str, str] = {}
        for name in sorted(self.whole):
            try:
                if _is_lines(name):
                    digest, self.hashes[name] = damage.read_lines(self.root / name)
                else:
                    digest = manifest.sha256_of(self.root / name)
            except OSError as error:
                changed[name] = f"cannot be read: {error.strerror}"
                continue
            if digest != self.outputs[name].sha256:
                changed[name] = _CHANGED
        self.whole -= changed.keys()
        return changed

    def _where(self, output: OutputFile) -> str:
        """Which rows of a changed file are not what they were, where that can be told."""
        path = self.root / output.file
        try:
            digest = manifest.sha256_of(path)
            other = next((o.file for o in self.built.outputs if o.sha256 == digest), None)
            if other is not None:
                return f": it holds what {other} should"
            if output.file.endswith(".parquet"):
                return damage.broken_group(path)
            if not output.file.endswith(".jsonl"):
                return ""
            if _is_lines(output.file):
                wanted = self._line_hashes(output.file)
                _, found = damage.read_lines(path)
                if wanted is not None:
                    return damage.differing_rows(found, wanted)
            return damage.broken_row(path)
        except OSError:
            return ""

    def _line_hashes(self, name: str) -> array[int] | None:
        """What lineage says of a shard's lines; None where it does not, or was changed."""
        partner = _lineage_of(name)
        if partner not in self.whole or not self.built.is_counted:
            return None
        from dollymix import partition

        return partition.line_hashes(self.root, partner)

    def contents(self) -> None:
        """Each line of the set is the one its lineage was written with."""
        for name, found in self.hashes.items():
            if name not in self.whole:
                continue
            try:
                wanted = self._line_hashes(name)
            except CheckError as error:
                self.faults.append(str(error))
                continue
            if wanted is not None and (where := damage.differing_rows(found, wanted)):
                self.fault(name, f"is not what {_lineage_of(name)} was written with{where}")

    def rows(self) -> None:
        """The numbers of rows, and of those in each split."""
        splits: Counter[str] = Counter()
        for name, output in self.outputs.items():
            if name.startswith("dolly/"):
                splits[output.split or ""] += output.rows or 0
                partner = self.outputs.get(_lineage_of(name))
                if partner is None or partner.rows != output.rows:
                    self.fault(_lineage_of(name), f"is not row for row with {name}")
            if name not in self.whole or output.rows is None:
                continue
            found = self._count_rows(name)
            if found is not None and found != output.rows:
                self.fault(name, f"has {found} rows, not {output.rows}")
        if splits != Counter(self.built.splits):
            self.fault("manifest.json", "its splits are not those of the files it lists")

    def _count_rows(self, name: str) -> int | None:
        if name in self.hashes:
            return len(self.hashes[name])
        try:
            if name.endswith(".parquet"):
                return damage.parquet_rows(self.root / name)
            return None if self.quick else damage.count_lines(self.root / name)
        except CheckError as error:
            self.fault(name, str(error))
            return None

    def books(self) -> None:
        """The ledger: against itself, the manifest, and what is on disk."""
        ledger = self._ledger()
        if ledger is None:
            return
        for name, counts in ledger.sources.items():
            for line in counts.imbalances():
                self.fault("ledger.json", f"{name}: {line}")
        if not self.built.is_counted:
            self.note(
                "manifest.json", "an earlier version wrote it: it does not say what each file gave"
            )
            return
        needed = [n for n in self.outputs if n.startswith("lineage/")]
        needed += ["rejects.jsonl", "dropped.jsonl.zst"]
        if self.quick:
            self._sums(ledger)
        elif self.whole.issuperset(needed):
            self._partition(ledger)
        else:
            self.note("ledger.json", "was not counted again, since files are not what they were")

    def _ledger(self) -> Ledger | None:
        if "ledger.json" not in self.whole:
            return None
        try:
            data = manifest.read_whole(self.root / "ledger.json")
            ledger = msgspec.json.decode(data, type=Ledger)
            total = msgspec.json.decode(data, type=_WithTotal).total
        except (*FAILURES, CheckError, OSError) as error:
            self.fault("ledger.json", f"cannot be read: {error}")
            return None
        if total != ledger.total():
            self.fault("ledger.json", "its total is not the sum of its sources")
        return ledger

    def _sums(self, ledger: Ledger) -> None:
        """What the manifest says of each file, added up, is what the ledger says."""
        for name, counts in ledger.sources.items():
            mine = [entry for entry in self.built.inputs if entry.source == name]
            for field in ("records", "parts", "empty", "examples"):
                total = sum(getattr(entry, field) or 0 for entry in mine)
                if total != getattr(counts, field):
                    says = f"{field} is {getattr(counts, field)}, but its files have {total}"
                    self.fault("ledger.json", f"{name}: {says}")
        rows = sum(self.built.splits.values())
        if rows != ledger.total().written:
            self.fault("ledger.json", f"written is {ledger.total().written}, but {rows} lines are")

    def _partition(self, ledger: Ledger) -> None:
        from dollymix import partition

        try:
            recount = partition.Recount(self.root, self.built)
            recount.read()
            recount.compare()
        except CheckError as error:
            self.faults.append(str(error))
            return
        self.faults += recount.faults + partition.book_faults(recount, ledger)

    def log(self) -> None:
        """The log: its own digest, and that it names the inputs."""
        try:
            log = manifest.read_log(self.root)
        except (CheckError, OSError) as error:
            if not any(fault.startswith(manifest.LOG) for fault in self.faults):
                self.faults.append(str(error))
            return
        if log is None:
            self.note(manifest.LOG, "is not there, so where the inputs are is not known")
            return
        named = [(event["source"], event["file"]) for event in log.inputs]
        if not log.sealed and (self.built.is_counted or log.broken is not None):
            row = "" if log.broken is None else f", row {log.broken} is broken"
            self.fault(manifest.LOG, f"{_CHANGED}{row}")
        elif named != [(entry.source, entry.file) for entry in self.built.inputs]:
            self.fault(manifest.LOG, "does not name the inputs that manifest.json names")
        else:
            if not log.sealed:
                self.note(manifest.LOG, "an earlier version wrote it: no digest covers it")
            self.places = log.inputs

    def inputs(self) -> None:
        """Each input that is where the build read it is what it was, and holds the records."""
        digests: dict[str, str] = {}
        intact: dict[tuple[str, str], _Place] = {}
        for entry, event in zip(self.built.inputs, self.places, strict=False):
            place = _Place(entry, event["path"], event["member"])
            if self._is_intact(place, digests):
                intact[entry.source, entry.file] = place
        if self.quick or not intact:
            return
        for origin, ranges in self._ranges(intact).items():
            self._records(intact[origin], ranges)

    def _is_intact(self, place: _Place, digests: dict[str, str]) -> bool:
        entry, path = place.entry, place.path
        name = f"{entry.source}/{entry.file}"
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            status = None
        if status is None or not os.path.isabs(path):
            self.note(name, "the input is not there, so not checked")
            return False
        self.checked += 1
        if not stat.S_ISREG(status.st_mode):
            self.fault(name, "the input is no regular file any more")
            return False
        what = ""
        if status.st_size != entry.bytes:
            what = f"the input has {status.st_size} bytes, not {entry.bytes}"
        elif not self.quick:
            try:
                digests[path] = digests.get(path) or manifest.sha256_of(path)
            except OSError as error:
                what = f"the input cannot be read: {error.strerror}"
            else:
                if digests[path] != entry.sha256:
                    what = "the input was changed since the build"
        if what:
            self.fault(name, what)
        return not what

    def _ranges(self, intact: dict[tuple[str, str], _Place]) -> dict[tuple[str, str], set[_Range]]:
        """Of each of these inputs some records, with the last one: where lineage says they are."""
        from dollymix import partition

        found: dict[tuple[str, str], set[_Range]] = {}
        for name in self.outputs:
            if not name.startswith("lineage/") or name not in self.whole:
                continue
            try:
                for batch in partition.lineage_batches(self.root, name, _RANGE_COLUMNS):
                    for rows in partition.by_file(batch):
                        place = rows.source, rows.file
                        if place in intact:
                            some, bad = _some_ranges(batch, rows.rows)
                            found.setdefault(place, set()).update(some)
                            for one, why in bad.items():
                                self._no_record(intact[place].entry, one, why)
            except CheckError as error:
                self.faults.append(str(error))
        return found

    def _no_record(self, entry: InputFile, found: _Range, why: str) -> None:
        name = f"{entry.source}/{entry.file}#{found.record}"
        self.fault(name, f"is not at bytes {found.start} to {found.end}, as lineage says: {why}")

    def _records(self, place: _Place, ranges: set[_Range]) -> None:
        """The records of one input that are looked at: each is there, and is one."""
        entry = place.entry
        kind = entry.framing.partition(" ")[0]
        try:
            for found, data in _read_ranges(place, sorted(ranges)):
                if len(data) < found.end - found.start:
                    self._no_record(entry, found, "the input ends before")
                elif problem := _problem(data, entry.encoding, is_json=kind in _JSON):
                    self._no_record(entry, found, problem)
        except (InputError, OSError) as error:
            self.fault(f"{entry.source}/{entry.file}", f"the input cannot be read: {error}")


def _is_inside(name: str) -> bool:
    """True for a name that a build's file may have: below the folder, written the plain way."""
    parts = PurePosixPath(name).parts
    return (
        name == "/".join(parts)
        and "\0" not in name
        and not name.startswith("/")
        and ".." not in parts
        and name not in ("", ".", *manifest.UNLISTED)
    )


def _is_lines(name: str) -> bool:
    return name.startswith("dolly/") and name.endswith(".jsonl")


def _lineage_of(name: str) -> str:
    return name.replace("dolly/", "lineage/", 1).removesuffix(".jsonl") + ".parquet"


def _walk(root: Path, listed: Iterable[str]) -> tuple[dict[str, int], dict[str, str]]:
    """The regular files below a folder with their sizes, and what else is there, with what is
    wrong with it. Follows no link; folders that hold nothing listed are not looked into."""
    folders = {str(parent) for name in listed for parent in PurePosixPath(name).parents}
    sizes: dict[str, int] = {}
    others: dict[str, str] = {}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    name = f"{folder}{entry.name}"
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        sizes[name] = status.st_size
                    elif stat.S_ISDIR(status.st_mode) and name in folders:
                        waiting.append(f"{name}/")
                    else:
                        others[name] = _no_file(status.st_mode)
        except OSError as error:
            others[folder.rstrip("/") or "."] = f"cannot be read: {error.strerror}"
    return sizes, others


def _no_file(mode: int) -> str:
    kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "a device")
    return f"is {kind}, and no file of this build"


def _some_ranges(batch: Any, rows: Any) -> tuple[list[_Range], dict[_Range, str]]:
    """Where lineage says that a few of these rows are, with the one that ends last; and which of
    all of them cannot be there, and why."""
    columns = [batch.column(name).take(rows) for name in _RANGE_COLUMNS[2:]]
    if any(column.null_count for column in columns):
        return [], {}
    records, starts, ends = (column.to_numpy() for column in columns)

    def place(row: int) -> _Range:
        return _Range(int(starts[row]), int(ends[row]), int(records[row]))

    none = (starts < 0) | (starts >= ends) | (ends - starts > _MOST_BYTES)
    bad = {place(row): "no record is" for row in none.nonzero()[0][:_NAMED].tolist()}
    order = records.argsort(kind="stable")
    here, beyond = order[:-1], order[1:]
    apart = ends[here] <= starts[beyond]
    same = (starts[here] == starts[beyond]) & (ends[here] == ends[beyond])
    wrong = ~(apart | (same & (records[here] == records[beyond])))
    for pair in wrong.nonzero()[0][:_NAMED].tolist():
        other = place(here[pair])
        bad[place(beyond[pair])] = (
            f"record {other.record} is, at bytes {other.start} to {other.end}"
        )
    few = {0, len(rows) // 2, len(rows) - 1, int(ends.argmax())}
    return [found for row in few if (found := place(row)) not in bad], bad


def _read_ranges(place: _Place, ranges: list[_Range]) -> Iterator[tuple[_Range, bytes]]:
    """The bytes of an input's ranges, which are sorted; fewer where it ends before."""
    if place.entry.compression == "none":
        with open(place.path, "rb") as file:
            for found in ranges:
                yield found, os.pread(file.fileno(), found.end - found.start, found.start)
        return
    entry = place.entry
    reader = reopen_stream(place.path, entry.file, place.member, entry.compression)
    kept, position = b"", 0
    try:
        for found in ranges:
            while position + len(kept) < found.end and (piece := reader.read()):
                past = min(len(kept), max(found.start - position, 0))
                kept, position = kept[past:] + piece, position + past
            yield found, kept[max(found.start - position, 0) : max(found.end - position, 0)]
    finally:
        reader.close()


def _problem(data: bytes, encoding: str, *, is_json: bool) -> str:
    """Why bytes are no record; empty where they are one."""
    try:
        text = data.decode(encoding)
        if is_json:
            msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (*FAILURES, LookupError) as error:
        return str(error)
    return ""
