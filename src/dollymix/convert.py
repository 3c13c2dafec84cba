"""Phase 1, one unit: frames to examples and verdicts, through the row steps, to encoded lines.

Pure: the same unit gives the same result wherever it runs. Nothing here knows how many records
stand before the unit; `record` counts from its first one until the parent adds the base.
"""

from __future__ import annotations

import errno
import gc
import pickle
from array import array
from typing import Any

import msgspec
import xxhash

from dollymix import duplicate_keys, formats, oddities, own_ids, steps
from dollymix.blocks import Columns
from dollymix.decoding import FAILURES, Problem, explain_failure
from dollymix.errors import InputError
from dollymix.example import Dolly, Example, Origin
from dollymix.framing import CutError, Frame, Framing, Lines, SyntaxFaultError, Unit
from dollymix.framing.frames import read_frames
from dollymix.ledger import SourceCounts, Verdict, part_fault
from dollymix.steps import Change, Check, GroupStep, RowStep
from dollymix.text import printable

DEFAULT_CATEGORY = "open_qa"
# What the machine lacks is no fault of the file that was opened just then.
_NOT_OF_A_FILE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class FileSetup(msgspec.Struct, frozen=True):
    """What a worker must know of one file. `shapes`: the formats its records may have."""

    name: str
    framing: Framing
    shapes: tuple[str, ...]


class SourceSetup(msgspec.Struct, frozen=True):
    """What a worker must know of one source. `category`: None for the record's own."""

    name: str
    files: tuple[FileSetup, ...]
    options: dict[str, Any]
    category: str | None
    row_steps: tuple[RowStep, ...]
    checks: tuple[Check, ...]
    group_steps: tuple[int, ...]


class Setup(msgspec.Struct, frozen=True):
    """What every worker is told once. A source names its group steps by their number."""

    sources: tuple[SourceSetup, ...]
    group_steps: tuple[GroupStep, ...] = ()


class Placed(msgspec.Struct):
    """A verdict with its record's place, as far as that is known; `raw`: the record, at its first
    reject alone, empty where it was too large to be held; `changes`: what steps before it did."""

    verdict: Verdict
    start: int | None
    end: int | None
    line: int | None
    raw: bytes | None
    changes: dict[str, Any] = {}


class Fault(msgspec.Struct):
    """The reason why the file cannot be read further."""

    reason: str
    message: str
    byte: int | None


class UnitResult(msgspec.Struct):
    """All that came of a unit. `text` holds the encoded lines, `line_ends` where each ends.

    With a fault, the rest is what stands whole before it. `size` is the unit's, in bytes.
    `broken`: a record that breaks the law of conservation, and how: a fault of ours.
    """

    unit: tuple[int, int, int, int]
    size: int = 0
    last: bool = False
    bad_cut: bool = False
    fault: Fault | None = None
    broken: tuple[int, str] | None = None
    records: int = 0
    lines: int = 0
    counts: SourceCounts = msgspec.field(default_factory=SourceCounts)
    rejected: list[Placed] = []
    dropped: list[Placed] = []
    text: Any = b""
    line_ends: Any = b""
    columns: Any = b""
    rows: int = 0
    keys: dict[int, bytes] = {}
    own_ids: bytes = b""


class Converter:
    """Converts units; picklable, so that it can be told to a worker once."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._shapes: dict[tuple[int, str], _Shape] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Converter, (self._setup,)

    def __call__(self, unit: Unit) -> UnitResult:
        """The result of one unit."""
        # A unit makes many objects and no cycles: looking for cycles all the while is a waste.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return self._convert(unit)
        finally:
            if collecting:
                gc.enable()

    def _convert(self, unit: Unit) -> UnitResult:
        if isinstance(unit.data, InputError):
            failed = Fault(unit.data.reason, unit.data.message, unit.data.byte)
            return UnitResult((unit.source, unit.file, unit.start, unit.end), fault=failed)
        source = self._setup.sources[unit.source]
        file = source.files[unit.file]
        place = (unit.source, unit.file, unit.start, unit.end)
        fault = None
        try:
            lines = read_frames(unit, file.framing)
        except CutError:
            return UnitResult(place, bad_cut=True)
        except SyntaxFaultError as broken:
            fault = Fault(broken.reason, broken.message, broken.byte)
            lines = broken.whole
        except (InputError, OSError) as error:
            why = unreadable_file(unit.path, error)
            return UnitResult(place, fault=Fault(why.reason, why.message, why.byte))
        shapes = [self._shape(unit.source, name) for name in file.shapes]
        work = _Work(source, file, shapes, self._setup.group_steps)
        work.take(lines)
        result = work.result(place, lines.lines)
        result.last = unit.last
        result.size = unit.end - unit.start if file.framing.has_byte_places else len(unit.data)
        result.fault = work.fault or fault
        return result

    def _shape(self, source: int, name: str) -> _Shape:
        key = source, name
        if key not in self._shapes:
            self._shapes[key] = _Shape(name, self._setup.sources[source].options)
        return self._shapes[key]


def unreadable_file(path: str, error: InputError | OSError) -> InputError:
    """What is told of a file that could be opened, but not read to its end."""
    if isinstance(error, InputError):
        return error
    if error.errno in _NOT_OF_A_FILE:
        raise error
    if isinstance(error, FileNotFoundError):
        return InputError("io.changed", printable(path), "was removed while it was read")
    return InputError("io.unreadable", printable(path), f"cannot be read: {error.strerror}")


class _Shape:
    """A format ready for work: its decoder and its options."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.name = name
        self.format = formats.load(name)
        known = self.format.Options.__struct_fields__
        mine = {key: value for key, value in options.items() if key in known}
        self.options = msgspec.convert(mine, self.format.Options)
        self.decode = msgspec.json.Decoder(self.format.Row).decode
        self.parse = self.format.parse
        self.recover = getattr(self.format, "recover", None)


_encoder = msgspec.json.Encoder()
_encode_into = _encoder.encode_into
_PLAIN = (None, None, "", "", None, (), ())
_TABLES = ("csv", "parquet", "arrow")
_DOCUMENTS = ("array", "object")


class _Work:
    """One unit while it is converted."""

    def __init__(
        self,
        source: SourceSetup,
        file: FileSetup,
        shapes: list[_Shape],
        group_steps: tuple[GroupStep, ...],
    ) -> None:
        self.source = source
        self.file = file
        self.shapes = shapes
        self.group_steps = [(n, group_steps[n]) for n in source.group_steps]
        self.counts = SourceCounts()
        self.fault: Fault | None = None
        self.broken: tuple[int, str] | None = None
        self.rejected: list[Placed] = []
        self.dropped: list[Placed] = []
        self.text = bytearray()
        self.line_ends = array("I")
        self.origins: list[tuple[int, str, str]] = []
        self.places: list[tuple[int, int]] = []
        self.sparse: dict[str, list[tuple[int, Any]]] = {}
        self.flags: dict[int, list[str]] = {}
        self.records = 0
        self.keys = {number: bytearray() for number, _ in self.group_steps}
        self.own_ids = bytearray()
        self.sums = [(check, [0] * len(check.measures)) for check in source.checks]

    def take(self, lines: Lines) -> None:
        """Convert the records of a unit, as far as the first fault."""
        read = [self._read(frame, lines.refused.get(n)) for n, frame in enumerate(lines.frames)]
        suspect = self._may_have_duplicates(lines, read)
        for number, (frame, (shape, row)) in enumerate(zip(lines.frames, read, strict=True)):
            origin = Origin(self.source.name, self.file.name, number)
            if suspect and not isinstance(row, Problem):
                row = duplicate_keys.find_duplicate(frame.data, shape.format.Row) or row
            if isinstance(row, Problem):
                refused = number in lines.refused
                parsed = self._failed(shape, origin, frame, row, may_recover=not refused)
            else:
                parsed = shape.parse(row, frame.data, origin, shape.options)
                self.own_ids += own_ids.hashes(row, parsed.examples)
            if parsed is None:
                return
            self.records += 1
            self._count(number, parsed, frame)
            for example in parsed.examples:
                self._example(example, frame)

    def _read(self, frame: Frame, refused: Problem | None) -> tuple[_Shape, Any]:
        """The record's shape, and its row or the problem why there is none."""
        if refused is not None:
            return self.shapes[0], refused
        shape = self.shapes[0] if len(self.shapes) == 1 else self._choose(frame)
        try:
            return shape, shape.decode(frame.data)
        except FAILURES as error:
            return shape, self._explain(shape, frame, error)

    def _explain(self, shape: _Shape, frame: Frame, error: Exception) -> Problem:
        limit = self.file.framing.limits.keys
        if isinstance(error, msgspec.ValidationError):
            if duplicate_keys.count_keys(frame.data) > limit:
                message = f"has more than {limit} keys. `limits: {{keys: N}}` allows more"
                return Problem("record.too_many_keys", "", message)
            twice = duplicate_keys.find_duplicate(frame.data, shape.format.Row)
            if twice is not None:
                return twice
        return explain_failure(frame.data, error)

    def _may_have_duplicates(self, lines: Lines, read: list[tuple[_Shape, Any]]) -> bool:
        """True where some record of the unit may have a key twice that its format reads."""
        if self.file.framing.kind in _TABLES:
            return False
        rows: dict[type[msgspec.Struct], list[Any]] = {}
        for shape, row in read:
            if not isinstance(row, Problem):
                rows.setdefault(shape.format.Row, []).append(row)
        text = lines.text
        if text is None or sum(map(len, rows.values())) < len(read):
            pairs = zip(lines.frames, read, strict=True)
            text = b"\n".join(f.data for f, (_, row) in pairs if not isinstance(row, Problem))
        return bool(rows) and duplicate_keys.has_duplicates(text, rows)

    def _choose(self, frame: Frame) -> _Shape:
        name = formats.choose(self.file.shapes, frame.data)
        return next(shape for shape in self.shapes if shape.name == name)

    def _failed(
        self, shape: _Shape, origin: Origin, frame: Frame, problem: Problem, *, may_recover: bool
    ) -> formats.Parsed | None:
        """A record that has not the shape, read part by part where it has parts."""
        if problem.costs_file and self.file.framing.kind in _DOCUMENTS:
            self.fault = Fault(problem.reason, f"the record {problem.message}", frame.start)
            return None
        if shape.recover is None or not may_recover or not formats.may_recover(problem):
            return formats.only_rejected(origin, problem)
        recovered: formats.Parsed = shape.recover(frame.data, problem, origin, shape.options)
        return recovered

    def _count(self, number: int, parsed: formats.Parsed, frame: Frame) -> None:
        counts = self.counts
        counts.parts += parsed.parts
        counts.parts_used += parsed.parts_used
        counts.examples += len(parsed.examples)
        if parsed.examples:
            counts.with_examples += 1
        elif parsed.parts:
            counts.only_rejected += 1
        else:
            counts.empty += 1
        raw: bytes | None = None
        if parsed.verdicts:
            raw = bytes(frame.data if frame.stored is None else frame.stored)
        paths = [example.origin.path for example in parsed.examples]
        rejected = 0
        for verdict in parsed.verdicts:
            counts.rejected_verdict(verdict)
            self.rejected.append(Placed(verdict, frame.start, frame.end, frame.line, raw))
            raw = None
            paths.append(verdict.origin.path)
            rejected += verdict.parts
        fault = part_fault(parsed.parts, parsed.parts_used, rejected, paths)
        if fault is not None:
            self.broken = number, fault

    def _example(self, example: Example, frame: Frame) -> None:
        for code in example.flags:
            self.counts.warn(code)
        if not self.source.row_steps:
            self._keep(example, (), frame)
            return
        ran = steps.run(self.source.row_steps, example)
        for change in ran.changes:
            self.counts.change(change.step, change.characters)
        for code in ran.flags:
            self.counts.warn(code)
        moved = [c.step for c in ran.changes if c.after.origin != example.origin]
        if ran.verdict is not None and ran.verdict.origin != example.origin:
            moved.append(ran.verdict.step)
        if moved:
            self.broken = example.origin.record, f"is given another origin by the step {moved[0]}"
        if ran.verdict is None:
            self._keep(ran.example, ran.changes, frame)
        else:
            self._drop(ran.verdict, ran.example, ran.changes, frame)

    def _drop(
        self, verdict: Verdict, example: Example, changes: tuple[Change, ...], frame: Frame
    ) -> None:
        self.counts.dropped(verdict.outcome, verdict.step, verdict.reason)
        category = self._category(example)
        verdict.example = msgspec.structs.replace(example, category=category)
        told = dict(_told(changes))
        self.dropped.append(Placed(verdict, frame.start, frame.end, frame.line, None, told))

    def _keep(self, example: Example, changes: tuple[Change, ...], frame: Frame) -> None:
        line = Dolly(
            example.instruction, example.context, example.response, self._category(example)
        )
        text = self.text
        _encode_into(line, text, -1)
        text += b"\n"
        self.line_ends.append(len(text))
        self.origins.append((example.origin.record, example.origin.path, example.group))
        self.places.append((frame.start, frame.end))
        flags = list(example.flags)
        if self.file.framing.kind == "csv" and oddities.is_formula(example):
            self.counts.warn("text.formula")
            flags.append("text.formula")
        if flags:
            self.flags[len(self.places) - 1] = flags
        for name, value in (*_told(changes), *_extras(example)):
            self._sparse(name, value)
        for check, sums in self.sums:
            for number, count in enumerate(check.measure(example)):
                sums[number] += count
        # Behind the encoding, which leaves the texts' UTF-8 beside them.
        for step_number, step in self.group_steps:
            self.keys[step_number] += step.key(example)

    def _sparse(self, name: str, value: Any) -> None:
        self.sparse.setdefault(name, []).append((len(self.places) - 1, value))

    def _columns(self) -> Columns:
        records, paths, groups = map(list, zip(*self.origins, strict=True))
        starts, ends = map(list, zip(*self.places, strict=True))
        return Columns(records, paths, starts, ends, groups, self.sparse, self._hashes())

    def _hashes(self) -> bytes:
        """The XXH3-64 of each line without its end, by which a changed line is found later."""
        text, digest = memoryview(self.text), xxhash.xxh3_64_intdigest
        hashes, start = array("Q"), 0
        for end in self.line_ends:
            hashes.append(digest(text[start : end - 1]))
            start = end
        return hashes.tobytes()

    def _category(self, example: Example) -> str:
        asked = self.source.category
        if asked == "auto":
            return "closed_qa" if example.context else DEFAULT_CATEGORY
        return asked or example.category or DEFAULT_CATEGORY

    def _flag_oddities(self) -> None:
        for row, odd in oddities.find(self.text, self.line_ends).items():
            self.flags.setdefault(row, []).extend(odd)
            for code in odd:
                self.counts.warn(code)
        if self.flags:
            self.sparse["flags"] = sorted(self.flags.items())

    def result(self, place: tuple[int, int, int, int], lines: int) -> UnitResult:
        """All that came of the unit."""
        records = self.records
        self.counts.records = records
        self._flag_oddities()
        for check, sums in self.sums:
            for measure, count in zip(check.measures, sums, strict=True):
                self.counts.measures[f"{steps.name_of(check)}/{measure}"] = count
        return UnitResult(
            place,
            broken=self.broken,
            records=records,
            lines=lines,
            counts=self.counts,
            rejected=self.rejected,
            dropped=self.dropped,
            text=pickle.PickleBuffer(self.text),
            line_ends=pickle.PickleBuffer(self.line_ends),
            columns=pickle.PickleBuffer(
                msgspec.msgpack.encode(self._columns()) if self.places else b""
            ),
            rows=len(self.line_ends),
            keys={number: bytes(keys) for number, keys in self.keys.items()},
            own_ids=bytes(self.own_ids),
        )


def _told(changes: tuple[Change, ...]) -> list[tuple[str, Any]]:
    """What lineage and `dropped.jsonl.zst` say of changes."""
    if not changes:
        return []
    return [
        ("steps", [change.step for change in changes]),
        ("step_characters", [change.characters for change in changes]),
    ]


def _extras(example: Example) -> list[tuple[str, Any]]:
    """The fields that few examples have, as the lineage keeps them; JSON where they have parts."""
    values = (
        example.meta,
        example.answer_start,
        example.system,
        example.rejected,
        example.tools,
        example.history,
        example.after,
    )
    if values == _PLAIN:
        return []
    meta, answer_start, system, rejected, tools, history, after = values
    found: list[tuple[str, Any]] = []
    if meta is not None:
        found.append(("meta", _encoder.encode(meta).decode()))
    if answer_start is not None:
        found.append(("answer_start", answer_start))
    if system:
        found.append(("system", system))
    if rejected:
        found.append(("rejected", rejected))
    if tools is not None:
        found.append(("tools", bytes(tools).decode()))
    if history:
        found.append(("history", _encoder.encode(history).decode()))
    if after:
        found.append(("after", _encoder.encode(after).decode()))
    return found
