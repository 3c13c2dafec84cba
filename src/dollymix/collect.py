"""Phase 1, the parent's side: units out to the workers, their results in plan order into files.

What a worker cannot know is added here: how many records and lines stand before its unit.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any, NamedTuple

import msgspec

from dollymix import blocks
from dollymix.convert import Converter, Fault, Placed, UnitResult, unreadable_file
from dollymix.engine.local import engine
from dollymix.errors import BuildError, InputError
from dollymix.example import Origin, identifier
from dollymix.export import Shards, dropped_line
from dollymix.formats import dolly
from dollymix.framing import Framing, Input, Unit
from dollymix.framing.streams import place_of, show
from dollymix.framing.units import Units
from dollymix.ledger import Ledger, RefusedFile, SourceCounts, Verdict
from dollymix.lineage import place_columns
from dollymix.partition import FileCounts
from dollymix.plan import Plan, PlannedFile
from dollymix.publish import Stage
from dollymix.text import printable

SEGMENT_BYTES = 256 << 20
_TAIL = "source.truncated_tail"
# Where a file breaks off, how many whole records stand before is worth telling.
_COUNTED = ("json.syntax", "compress.truncated", "csv.unclosed_quote")


class Progress(NamedTuple):
    """How far a build is: bytes of decompressed input done, of about how many, and examples."""

    phase: str
    done: int
    total: int
    examples: int


class _FileRefusedError(Exception):
    """A file is refused while it is converted."""

    def __init__(self, error: InputError) -> None:
        super().__init__(str(error))
        self.error = error


class Conversion:
    """Phase 1: units out to the workers, their results in plan order into the working files."""

    def __init__(
        self,
        stage: Stage,
        plan: Plan,
        unit_bytes: int,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._stage = stage
        self._plan = plan
        self._unit_bytes = unit_bytes
        self._progress = progress
        self.ledger = Ledger(sources={s.name: SourceCounts() for s in plan.recipe.sources})
        self.shards = Shards("train", stage.file)
        self._digest = plan.digest()
        self._file = 0
        self._start: int | None = None
        self._exact = False
        self._before: dict[str, Any] | None = None
        self._base = 0
        self._line = 0
        self._file_counts: FileCounts | None = None
        self._since_segment = 0
        self._done_bytes = 0
        self._total_bytes = sum({f.input.path: f.input.size for f in plan.files}.values())
        # Files taken back: their number in the plan, and what their InputError says.
        self._taken_back: list[list[Any]] = []
        for number, item, error in plan.refused:
            self._note_refused(number, item if isinstance(item, str) else item.name, error)
        for number, _ in plan.passed_over:
            self._counts(number).warn("archive.skipped_member")

    @property
    def refused(self) -> list[tuple[int, Input | str, InputError]]:
        """Every refused file, with its source's number and why."""
        found = list(self._plan.refused)
        for number, *told in self._taken_back:
            planned = self._plan.files[number]
            found.append((planned.source, planned.input, InputError(*told)))
        return found

    def _counts(self, source: int) -> SourceCounts:
        return self.ledger.sources[self._plan.recipe.sources[source].name]

    def _note_refused(self, source: int, name: str, error: InputError) -> None:
        self._counts(source).files_refused.append(RefusedFile(name, error.reason, error.byte))

    def resume(self) -> None:
        """Go on from the last durable segment of the same plan, or begin anew."""
        state = self._stage.journal()
        if state is None or state.get("plan") != self._digest:
            self._stage.clear()
            return
        untouched = self._state()
        try:
            self._restore(state)
            self._before = state["before"]
            self._file, self._start, self._exact = state["file"], state["start"], state["exact"]
            self._base, self._line = state["base"], state["line"]
            self._file_counts = msgspec.convert(state["file_counts"], FileCounts | None)
        except (KeyError, BuildError, OSError, msgspec.ValidationError):
            # What is left does not fit the journal: somebody else has been at it.
            self._stage.clear()
            self._restore(untouched)
            self._next_file()
            self._file = 0

    def _segment(self) -> None:
        """Make everything so far durable and write down where the next run goes on."""
        self._stage.sync()
        self._since_segment = 0
        self._stage.write_journal(
            {
                **self._state(),
                "phase": "converting",
                "plan": self._digest,
                "before": self._before,
                "file": self._file,
                "start": self._start,
                "exact": self._exact,
                "base": self._base,
                "line": self._line,
                "file_counts": self._file_counts,
            }
        )

    def run(self, workers: int) -> None:
        """Convert every file that is left."""
        work = engine(workers)
        converter = Converter(self._plan.setup)
        try:
            while self._file < len(self._plan.files):
                results = work.map(converter, self._units())
                try:
                    self._collect(results)
                except _FileRefusedError as failed:
                    self._take_back(failed.error)
                finally:
                    results.close()
        finally:
            work.close()
        self._segment()

    def _units(self) -> Iterator[Unit]:
        """The units from where the conversion stands, to the end of the plan."""
        start, exact = self._start, self._exact
        for planned in self._plan.files[self._file :]:
            place = planned.source, planned.number
            try:
                yield from Units(
                    planned.input, planned.setup.framing, place, self._unit_bytes, start, exact
                )
            except (InputError, OSError) as error:
                yield _failing_unit(place, unreadable_file(planned.input.path, error))
            start, exact = None, False

    def _collect(self, results: Iterable[UnitResult]) -> None:
        """Take results in order, until all are taken or a cut proves wrong."""
        for result in results:
            planned = self._plan.files[self._file]
            if self._before is None:
                self._before = self._state()
            if result.bad_cut:
                # Everything before the unit is proven; from here on the file is scanned exactly.
                self._start, self._exact = result.unit[2], True
                return
            if result.fault is not None and not _may_salvage(planned, result.fault):
                raise _FileRefusedError(self._input_error(planned, result))
            self._take(planned, result)
            self._start = result.unit[3]
            if result.fault is not None:
                self._take(planned, _tail(result, result.fault))
                self._end_file(planned)
                return
            if result.last:
                self._end_file(planned)
            self._since_segment += result.size
            self._done_bytes += result.size
            if self._since_segment >= SEGMENT_BYTES:
                self._segment()
            self._report()

    def _report(self) -> None:
        if self._progress is not None:
            examples = sum(counts.examples for counts in self.ledger.sources.values())
            self._progress(Progress("convert", self._done_bytes, self._total_bytes, examples))

    def _state(self) -> dict[str, Any]:
        """How far the working files and the books are."""
        return {
            "files": self._stage.marks(),
            "ledger": deepcopy(self.ledger),
            "shards": self.shards.state(),
            "taken_back": list(self._taken_back),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._stage.restore(state["files"])
        self.ledger = msgspec.convert(msgspec.to_builtins(state["ledger"]), Ledger)
        self.shards.restore(state["shards"], self._stage.root)
        self._taken_back = list(state["taken_back"])

    def _take_back(self, error: InputError) -> None:
        """Nothing of a refused file is kept."""
        if self._plan.recipe.on_bad_file == "stop" or self._before is None:
            raise error
        self._restore(self._before)
        planned = self._plan.files[self._file]
        self._note_refused(planned.source, planned.input.name, error)
        self._taken_back.append([self._file, error.reason, error.place, error.message, error.byte])
        self._next_file()

    def _end_file(self, planned: PlannedFile) -> None:
        counts = self._counts(planned.source)
        counts.files += 1
        if self._file_counts is not None:
            self._stage.file("work/files").write(msgspec.json.encode(self._file_counts) + b"\n")
        for key, number in planned.unread.items():
            counts.warn(f"unread_key.{printable(key)}", number)
        self.check_unchanged(planned.input)
        self._next_file()

    def _next_file(self) -> None:
        self._file += 1
        self._before = None
        self._start, self._exact = None, False
        self._base = self._line = 0
        self._file_counts = None

    def check_unchanged(self, item: Input) -> None:
        """Raise InputError where a file is not any more what the plan saw."""
        try:
            status = os.stat(item.path)
            now = status.st_size, status.st_mtime_ns, status.st_ino
        except FileNotFoundError:
            now = None
        if now != (item.size, item.mtime_ns, item.inode):
            raise InputError("io.changed", show(item.path), "was changed while it was read")

    def _take(self, planned: PlannedFile, result: UnitResult) -> None:
        """Write down all that came of a unit."""
        source = self._plan.recipe.sources[planned.source].name
        if self._file_counts is None:
            first = planned.setup.framing.start
            self._file_counts = FileCounts(source, planned.input.name, first)
        self._file_counts.take(self._base, result)
        self._counts(planned.source).add(result.counts)
        if result.own_ids:
            self._stage.file(f"work/own_ids-{planned.source}").write(result.own_ids)
        if result.rejected:
            self._write_rejects(planned, result)
        for item in result.dropped:
            self._stage.file("work/filtered").write(self._dropped(source, planned, item))
        if result.rows:
            ends = bytes(result.line_ends)
            block = blocks.Block(
                planned.source, planned.number, self._base, result.rows, bytes(result.columns), ends
            )
            blocks.append(self._stage.file("work/blocks"), block)
            if self._plan.is_direct:
                self.shards.write(result.text, block.ends())
            else:
                self._stage.file("work/lines").write(result.text)
            for number, keys in result.keys.items():
                self._stage.file(f"work/step-{number}").write(keys)
        self._base += result.records
        self._line += result.lines

    def _write_rejects(self, planned: PlannedFile, result: UnitResult) -> None:
        source = self._plan.recipe.sources[planned.source].name
        file, framing = planned.input.name, planned.setup.framing
        lines = bytearray()
        for item in result.rejected:
            origin = item.verdict.origin
            record = self._base + origin.record
            row: dict[str, Any] = {
                "id": identifier(source, file, record, origin.path),
                "source": source,
                "file": file,
                "record": record,
                "path": item.verdict.path or origin.path,
                "line": self._line_number(item, framing),
                **place_columns(item.start, item.end, framing),
                "step": item.verdict.step,
                "reason": item.verdict.reason,
                "message": item.verdict.message,
                "parts": item.verdict.parts,
            }
            if item.raw is None:
                row["bytes_with"] = identifier(source, file, record, "")
            elif item.raw:
                row |= _as_text(item.raw)
            lines += msgspec.json.encode(row) + b"\n"
        self._stage.file("out/rejects.jsonl").write(lines)

    def _line_number(self, item: Placed, framing: Framing) -> int | None:
        return None if item.line is None else framing.lines_before + self._line + item.line + 1

    def _input_error(self, planned: PlannedFile, result: UnitResult) -> InputError:
        fault = result.fault
        assert fault is not None
        whole = self._base + result.records
        records = "record" if whole == 1 else "records"
        behind = f", behind {whole:,} whole {records}" if fault.reason in _COUNTED else ""
        message = f"{fault.message}{behind}"
        return InputError(fault.reason, place_of(planned.input), message, fault.byte)

    def _dropped(self, source: str, planned: PlannedFile, item: Placed) -> bytes:
        verdict = item.verdict
        example, origin = verdict.example, verdict.origin
        assert example is not None
        record = self._base + origin.record
        place = {
            "id": identifier(source, planned.input.name, record, origin.path),
            "source": source,
            "file": planned.input.name,
            "record": record,
            "path": origin.path,
            **place_columns(item.start, item.end, planned.setup.framing),
        }
        why = {
            "outcome": verdict.outcome,
            "step": verdict.step,
            "reason": verdict.reason,
            "message": verdict.message,
            "because_of": verdict.because_of,
            **item.changes,
        }
        if example.flags:
            why["flags"] = example.flags
        line = msgspec.json.encode(dolly.render(example)) + b"\n"
        return dropped_line(place, why, line)


def _tail(broken: UnitResult, fault: Fault) -> UnitResult:
    """All that stands behind the place where a file breaks: one reject, of unknown size."""
    source, file, _, end = broken.unit
    message = f"the file breaks here, what is behind is lost: {fault.message} [{fault.reason}]"
    origin = Origin("", "", 0, "")
    verdict = Verdict(
        origin=origin, outcome="rejected", step="framing", reason=_TAIL, message=message
    )
    counts = SourceCounts(records=1, only_rejected=1, parts=1)
    counts.rejected_verdict(verdict)
    rejected = [Placed(verdict, fault.byte, None, None, b"")]
    return UnitResult((source, file, end, end), records=1, counts=counts, rejected=rejected)


def _may_salvage(planned: PlannedFile, fault: Fault) -> bool:
    """A file that is broken may be kept as far as it is whole; a failing disk is no such thing."""
    return planned.setup.framing.salvage and not fault.reason.startswith("io.")


def _failing_unit(place: tuple[int, int], error: InputError) -> Unit:
    """A unit that carries the failure of its file to where it is taken in order."""
    return Unit(*place, error.byte or 0, error.byte or 0, data=error)


def _as_text(raw: bytes) -> dict[str, str]:
    try:
        return {"text": raw.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}
