"""A whole build, top to bottom: plan, convert, decide, export, publish. Read this first."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dollymix import blocks, publish, recipe, steps
from dollymix.convert import Converter, FileSetup, Setup, SourceSetup, UnitResult
from dollymix.detect import detect, sample_records
from dollymix.engine.local import engine
from dollymix.errors import BuildError, DollymixError, InputError
from dollymix.example import Dolly, Origin, identifier
from dollymix.export import Names, Shards, Splitter, line_ends
from dollymix.framing import Input, Unit
from dollymix.framing.inputs import list_inputs, show
from dollymix.framing.units import UNIT_BYTES, Units
from dollymix.inspect import parse_record
from dollymix.ledger import Ledger, RefusedFile, SourceCounts, Verdict
from dollymix.manifest import SCHEMA, InputFile, Manifest, OutputFile, sha256_of, versions
from dollymix.text import printable
from dollymix.version import __version__

SEGMENT_BYTES = 256 << 20


class Progress(NamedTuple):
    """How far a build is: bytes of decompressed input done, of about how many, and examples."""

    phase: str
    done: int
    total: int
    examples: int


class Result(NamedTuple):
    """A finished build."""

    folder: Path
    ledger: Ledger
    manifest: Manifest
    seconds: float


class PlannedFile(msgspec.Struct):
    """One input with what was found out about it."""

    source: int
    number: int
    input: Input
    setup: FileSetup
    evidence: str
    sampled: int
    unread: dict[str, int]


class Plan(msgspec.Struct):
    """What will be read, and how."""

    recipe: recipe.Recipe
    overrides: dict[str, str]
    files: list[PlannedFile]
    setup: Setup
    step_names: list[str]
    refused: list[tuple[int, Input | str, InputError]]

    @property
    def is_direct(self) -> bool:
        """True where convert can write the final lines: nothing decides over them afterwards."""
        asked = self.recipe
        return not (self.step_names or asked.shuffle or len(asked.splits) > 1)

    def names(self) -> list[Names]:
        """What the numbers in blocks stand for."""
        return [
            Names(setup.name, tuple(file.name for file in setup.files), source.licence)
            for setup, source in zip(self.setup.sources, self.recipe.sources, strict=True)
        ]

    def digest(self) -> str:
        """What must be the same for going on after a crash."""
        state = [
            __version__,
            versions(),
            self.recipe.encode(),
            [msgspec.to_builtins(file.input) for file in self.files],
        ]
        return hashlib.sha256(msgspec.json.encode(state, order="sorted")).hexdigest()


def merge(
    source: str | os.PathLike[str] | recipe.Recipe | list[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    workers: int | None = None,
    formats: list[str] | None = None,
    overrides: dict[str, str] | None = None,
    on_bad_file: str | None = None,
    max_rejected: float | None = None,
    allow_empty: bool = False,
    force: bool = False,
    atomic: bool = True,
    unit_bytes: int = UNIT_BYTES,
    progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Build the set that a recipe (a path, or a Recipe) or a list of bare paths describes.

    `workers`: processes, by default one a core. `formats`: `jsonl`, `parquet`. `overrides`: values
    of the recipe by dotted key. The output bytes depend on none of workers and unit_bytes.

    Raises RecipeError, InputError (a file cannot be read), BuildError (nothing was published).
    """
    started = time.monotonic()
    asked, base = read_recipe(source, overrides, formats, on_bad_file, max_rejected)
    target = Path(output)
    publish.check_target(target, force=force)
    stage = publish.Stage(target)
    stage.open()
    keep = False
    try:
        plan = make_plan(asked, base, overrides or {})
        if stage.finish_publishing(atomic=atomic):
            if _same_build(stage.target, plan):
                return _result(stage.target, time.monotonic() - started)
            stage.open()
        _build(stage, plan, workers or _cores(), unit_bytes, progress, allow_empty)
        _write_log(stage, plan, base, started, workers or _cores())
        stage.publish(atomic=atomic)
    except OSError as error:
        keep = True
        raise BuildError(_disk_message(error, stage)) from error
    except DollymixError:
        raise
    except BaseException:
        keep = True
        raise
    finally:
        if keep:
            stage.release()
        else:
            stage.remove()
    return _result(stage.target, time.monotonic() - started)


def _result(folder: Path, seconds: float) -> Result:
    from dollymix import manifest

    books = msgspec.json.decode((folder / "ledger.json").read_bytes(), type=Ledger)
    return Result(folder, books, manifest.read(folder), seconds)


def _disk_message(error: OSError, stage: publish.Stage) -> str:
    where = f"{show(str(error.filename))}: " if error.filename else ""
    return (
        f"{where}{error.strerror}. Nothing was published; what is done so far is kept in "
        f"{show(str(stage.root))}, and the same command goes on from there"
    )


def _same_build(target: Path, plan: Plan) -> bool:
    """True where the build that a crashed run had finished is the one that is asked for."""
    from dollymix import manifest

    done = manifest.read(target)
    return done.recipe_sha256 == hashlib.sha256(plan.recipe.encode()).hexdigest()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Preview(msgspec.Struct, frozen=True):
    """One file of a plan, and what its sampled records would become, before any step."""

    source: str
    file: str
    formats: tuple[str, ...]
    evidence: str
    bytes: int
    sampled: int
    examples: int
    rejected: int


def preview(source: Any, *, overrides: dict[str, str] | None = None) -> list[Preview]:
    """The plan of a build, with counts from a sample of each file; writes nothing."""
    asked, base = read_recipe(source, overrides)
    plan = make_plan(asked, base, overrides or {})
    found: list[Preview] = []
    for file in plan.files:
        described = asked.sources[file.source]
        records = sample_records(file.input, file.setup.framing, described.encoding)
        parsed = [
            parse_record(
                file.setup.shapes, raw, Origin(described.name, file.input.name, n), described.options
            )
            for n, raw in enumerate(records)
        ]
        found.append(
            Preview(
                described.name,
                file.input.name,
                file.setup.shapes,
                file.evidence,
                file.input.size,
                len(records),
                sum(len(record.examples) for record in parsed),
                sum(verdict.parts for record in parsed for verdict in record.verdicts),
            )
        )
    return found


# --- plan -----------------------------------------------------------------------------------


def read_recipe(
    source: Any,
    overrides: dict[str, str] | None = None,
    formats: list[str] | None = None,
    on_bad_file: str | None = None,
    max_rejected: float | None = None,
) -> tuple[recipe.Recipe, Path]:
    """The recipe that is asked for, and the folder its paths are relative to."""
    base = Path.cwd()
    if isinstance(source, recipe.Recipe):
        asked = source
    elif isinstance(source, list):
        asked = recipe.from_paths([Path(path) for path in source])
    else:
        path = Path(source)
        base = path.absolute().parent
        asked = recipe.load(path, overrides)
    changes: dict[str, Any] = {}
    if formats:
        views = {output.view for output in asked.outputs}
        changes["outputs"] = [recipe.Output(v, f) for v in sorted(views) for f in formats]  # type: ignore[arg-type]
    if on_bad_file:
        changes["on_bad_file"] = on_bad_file
    if max_rejected is not None:
        changes["max_rejected"] = max_rejected
    return msgspec.structs.replace(asked, **changes), base


def make_plan(asked: recipe.Recipe, base: Path, overrides: dict[str, str]) -> Plan:
    """Look at every input. Raises InputError for the first that is refused, unless it is skipped;
    where several are, the message has a line for each."""
    files: list[PlannedFile] = []
    refused: list[tuple[int, Input | str, InputError]] = []
    for number, source in enumerate(asked.sources):
        try:
            inputs = list_inputs(source.files, base)
        except InputError as error:
            refused.append((number, error.place, error))
            continue
        for item in inputs:
            try:
                files.append(_plan_file(number, source, item))
            except InputError as error:
                if error.reason == "input.empty" and source.allow_empty:
                    continue
                refused.append((number, item, error))
    if refused and asked.on_bad_file == "stop":
        if len(refused) == 1:
            raise refused[0][2]
        raise BuildError("\n".join(str(error) for _, _, error in refused))
    setups, names = _setups(asked, files)
    return Plan(asked, overrides, files, setups, names, refused)


def _plan_file(number: int, source: recipe.Source, item: Input) -> PlannedFile:
    if source.sha256 and not item.member and sha256_of(item.path) != source.sha256.lower():
        raise InputError("io.digest", show(item.path), "is not the file whose sha256 the recipe has")
    found = detect(item, source.format, source.framing, source.encoding)
    setup = FileSetup(item.name, found.framing, found.shapes)
    return PlannedFile(number, 0, item, setup, found.evidence, found.sampled, found.unread)


def _setups(asked: recipe.Recipe, files: list[PlannedFile]) -> tuple[Setup, list[str]]:
    """What workers are told. Each source does its own row steps, then the top's; group steps are
    numbered: those of each source, in order, then the top's."""
    group_steps: list[Any] = []
    names: list[str] = []
    own: list[tuple[int, ...]] = []
    for source in asked.sources:
        mine = [spec for spec in source.steps if steps.is_group(spec.name)]
        own.append(tuple(range(len(names), len(names) + len(mine))))
        group_steps += [_step(spec) for spec in mine]
        names += [spec.name for spec in mine]
    top = [spec for spec in asked.steps if steps.is_group(spec.name)]
    shared = tuple(range(len(names), len(names) + len(top)))
    group_steps += [_step(spec) for spec in top]
    names += [spec.name for spec in top]
    sources = []
    for number, source in enumerate(asked.sources):
        mine_files = [file for file in files if file.source == number]
        for position, file in enumerate(mine_files):
            file.number = position
        row = [spec for spec in (*source.steps, *asked.steps) if not steps.is_group(spec.name)]
        sources.append(
            SourceSetup(
                source.name,
                tuple(file.setup for file in mine_files),
                source.options,
                source.category,
                tuple(_step(spec) for spec in row),
                own[number] + shared,
            )
        )
    return Setup(tuple(sources), tuple(group_steps)), names


def _step(spec: recipe.StepSpec) -> Any:
    return msgspec.convert(spec.options, steps.load(spec.name).Step)


# --- convert --------------------------------------------------------------------------------


def _build(
    stage: publish.Stage,
    plan: Plan,
    workers: int,
    unit_bytes: int,
    progress: Callable[[Progress], None] | None,
    allow_empty: bool,
) -> None:
    digests = _InputDigests(plan)
    conversion = Conversion(stage, plan, unit_bytes, progress)
    conversion.resume()
    digests.start()
    conversion.run(workers)
    _check_rejected(plan, conversion.ledger)
    _export(stage, plan, conversion, digests, allow_empty)


class _InputDigests:
    """The digests of the input files, taken beside the conversion."""

    def __init__(self, plan: Plan) -> None:
        self._paths = dict.fromkeys(file.input.path for file in plan.files)
        self._found: dict[str, str] = {}
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            for path in self._paths:
                self._found[path] = sha256_of(path)
        except Exception as error:  # told to the build when it asks
            self._error = error

    def get(self) -> dict[str, str]:
        """The digests by path."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found


class _FileFailed(Exception):
    """A file is refused while it is converted."""

    def __init__(self, error: InputError) -> None:
        super().__init__(str(error))
        self.error = error


class Conversion:
    """Phase 1: units out to the workers, their results in plan order into the working files."""

    def __init__(
        self,
        stage: publish.Stage,
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
        self._since_segment = 0
        self._done_bytes = 0
        self._total_bytes = sum({f.input.path: f.input.size for f in plan.files}.values())
        self.refused = [(number, item, error) for number, item, error in plan.refused]
        for number, item, error in plan.refused:
            self._note_refused(number, item if isinstance(item, str) else item.name, error)

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
        self._restore(state)
        self._before = state["before"]
        self._file, self._start, self._exact = state["file"], state["start"], state["exact"]
        self._base, self._line = state["base"], state["line"]

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
                except _FileFailed as failed:
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
            except InputError as error:
                yield _failing_unit(place, error)
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
            if result.fault is not None:
                raise _FileFailed(_input_error(planned, result))
            self._take(planned, result)
            self._start = result.unit[3]
            if result.last:
                self._end_file(planned)
            size = result.unit[3] - result.unit[2]
            self._since_segment += size
            self._done_bytes += size
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
            "files": self._stage.lengths(),
            "ledger": deepcopy(self.ledger),
            "shards": self.shards.state(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._stage.restore(state["files"])
        self.ledger = msgspec.convert(msgspec.to_builtins(state["ledger"]), Ledger)
        self.shards.restore(state["shards"], self._stage.root)

    def _take_back(self, error: InputError) -> None:
        """Nothing of a refused file is kept."""
        if self._plan.recipe.on_bad_file == "stop" or self._before is None:
            raise error
        self._restore(self._before)
        planned = self._plan.files[self._file]
        self._note_refused(planned.source, planned.input.name, error)
        self.refused.append((planned.source, planned.input, error))
        self._next_file()

    def _end_file(self, planned: PlannedFile) -> None:
        counts = self._counts(planned.source)
        counts.files += 1
        for key, number in planned.unread.items():
            counts.warn(f"unread_key.{printable(key)}", number)
        self._check_unchanged(planned.input)
        self._next_file()

    def _next_file(self) -> None:
        self._file += 1
        self._before = None
        self._start, self._exact = None, False
        self._base = self._line = 0

    def _check_unchanged(self, item: Input) -> None:
        status = os.stat(item.path)
        now = status.st_size, status.st_mtime_ns, status.st_ino
        if now != (item.size, item.mtime_ns, item.inode):
            raise InputError("io.changed", show(item.path), "was changed while it was read")

    def _take(self, planned: PlannedFile, result: UnitResult) -> None:
        """Write down all that came of a unit."""
        source = self._plan.recipe.sources[planned.source].name
        self._counts(planned.source).add(result.counts)
        if result.rejected:
            self._write_rejects(source, planned.input.name, result)
        for verdict in result.dropped:
            self._stage.file("work/filtered").write(self._dropped(source, planned, verdict))
        if result.rows:
            ends = line_ends(result.line_ends)
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

    def _write_rejects(self, source: str, file: str, result: UnitResult) -> None:
        lines = bytearray()
        for item in result.rejected:
            origin = item.verdict.origin
            record = self._base + origin.record
            row: dict[str, Any] = {
                "id": identifier(source, file, record, origin.path),
                "source": source,
                "file": file,
                "record": record,
                "path": origin.path,
                "line": None if item.line is None else self._line + item.line + 1,
                "byte_start": item.start,
                "byte_end": item.end,
                "step": item.verdict.step,
                "reason": item.verdict.reason,
                "message": item.verdict.message,
                "parts": item.verdict.parts,
            }
            if item.raw is None:
                row["bytes_with"] = identifier(source, file, record, "")
            else:
                row |= _as_text(item.raw)
            lines += msgspec.json.encode(row) + b"\n"
        self._stage.file("out/rejects.jsonl").write(lines)

    def _dropped(self, source: str, planned: PlannedFile, verdict: Verdict) -> bytes:
        from dollymix.export import dropped_line

        example, origin = verdict.example, verdict.origin
        assert example is not None
        record = self._base + origin.record
        place = {
            "id": identifier(source, planned.input.name, record, origin.path),
            "source": source,
            "file": planned.input.name,
            "record": record,
            "path": origin.path,
        }
        why = {
            "outcome": verdict.outcome,
            "step": verdict.step,
            "reason": verdict.reason,
            "message": verdict.message,
            "because_of": verdict.because_of,
        }
        line = Dolly(example.instruction, example.context, example.response, example.category)
        return dropped_line(place, why, msgspec.json.encode(line) + b"\n")


def _failing_unit(place: tuple[int, int], error: InputError) -> Unit:
    """A unit that carries the failure of its file to where it is taken in order."""
    return Unit(*place, error.byte or 0, error.byte or 0, data=error)


def _input_error(planned: PlannedFile, result: UnitResult) -> InputError:
    fault = result.fault
    assert fault is not None
    member = f"!{show(planned.input.member)}" if planned.input.member else ""
    return InputError(fault.reason, show(planned.input.path) + member, fault.message, fault.byte)


def _as_text(raw: bytes) -> dict[str, str]:
    import base64

    try:
        return {"text": raw.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _check_rejected(plan: Plan, ledger: Ledger) -> None:
    """Stop where a source lost too large a share of its parts."""
    limit = plan.recipe.max_rejected
    if limit is None:
        return
    for name, counts in ledger.sources.items():
        share = counts.parts_rejected / counts.parts if counts.parts else 0
        if share > limit:
            ranked = sorted(counts.rejected.items(), key=lambda item: -item[1])
            reasons = ", ".join(f"{reason} {count}" for reason, count in ranked)
            raise BuildError(
                f"{name}: {share:.1%} of its parts are rejected, more than {limit:.1%}: {reasons}"
            )


# --- decide, export -------------------------------------------------------------------------


def _export(
    stage: publish.Stage,
    plan: Plan,
    conversion: Conversion,
    digests: _InputDigests,
    allow_empty: bool,
) -> None:
    from dollymix.export import Exporter

    ledger = conversion.ledger
    splitter = Splitter(plan.recipe.splits, plan.recipe.seed)
    exporter = Exporter(stage.out, stage.work, plan.names(), splitter, ledger, stage.file)
    if plan.is_direct:
        exporter.write_lineage(conversion.shards)
    else:
        _decide_and_write(stage, plan, exporter)
    ledger.check()
    if not ledger.total().written and not allow_empty:
        raise BuildError(_nothing_written(ledger))
    outputs = _outputs(stage.out, plan, exporter)
    _write_dropped(stage)
    stage.file("out/rejects.jsonl")
    _write_about(stage, plan, conversion, outputs, digests.get())


def _nothing_written(ledger: Ledger) -> str:
    total = ledger.total()
    ranked = sorted({**total.rejected, **total.filtered}.items(), key=lambda item: -item[1])
    why = ", ".join(f"{reason} {count}" for reason, count in ranked[:5])
    return f"no example is left of {total.records} records ({why}). Allow it with --allow-empty"


def _decide_and_write(stage: publish.Stage, plan: Plan, exporter: Any) -> None:
    from dollymix.decide import Comparison, Decisions

    # What a crashed export left is made again.
    stage.restore({n: length for n, length in stage.lengths().items() if _is_converted(n)})
    for name in ("blocks", "lines"):
        stage.file(f"work/{name}")
    index = blocks.Index(str(stage.work / "blocks"))
    decisions = Decisions(stage.work / "decide", index.total)
    ranges = index.ranges()
    for number, step in enumerate(plan.setup.group_steps):
        seen = [
            ranges[source]
            for source, setup in enumerate(plan.setup.sources)
            if number in setup.group_steps and source in ranges
        ]
        keys = stage.file(f"work/step-{number}").path
        decisions.compare(Comparison(plan.step_names[number], step, keys, seen))
    exporter.write(decisions, index, plan.recipe.seed if plan.recipe.shuffle else None)
    index.close()


def _is_converted(name: str) -> bool:
    return name == "out/rejects.jsonl" or (name.startswith("work/") and name != "work/duplicates")


def _outputs(out: Path, plan: Plan, exporter: Any) -> list[OutputFile]:
    """Every file with rows, the Dolly lines first."""
    from dollymix.export import write_parquet, write_view

    lines = [file for shards in exporter.shards for file in shards.finished]
    found = [*lines, *exporter.lineage_files()]
    for output in plan.recipe.outputs:
        if output.view != "dolly":
            found += write_view(out, output.view, lines)
        elif output.format == "parquet":
            found += write_parquet(out, lines)
    return found


def _write_dropped(stage: publish.Stage) -> None:
    """`dropped.jsonl.zst`: one frame, written by one thread, so that its bytes are always the same."""
    from dollymix.framing.inputs import zstd_module

    zstd = zstd_module()
    with zstd.ZstdFile(stage.out / "dropped.jsonl.zst", "wb", level=3) as packed:
        for name in ("filtered", "duplicates"):
            path = stage.work / name
            if path.exists():
                with open(path, "rb") as file:
                    while piece := file.read(1 << 20):
                        packed.write(piece)


def _write_about(
    stage: publish.Stage,
    plan: Plan,
    conversion: Conversion,
    outputs: list[OutputFile],
    digests: dict[str, str],
) -> None:
    """Ledger, card and manifest."""
    from dollymix.outputs import card

    ledger = conversion.ledger
    splits = dict.fromkeys(list(plan.recipe.splits) or ["train"], 0)
    for file in outputs:
        if file.file.startswith("dolly/") and file.split and file.rows:
            splits[file.split] += file.rows
    (stage.out / "ledger.json").write_bytes(ledger.encode())
    manifest = Manifest(
        schema=SCHEMA,
        dollymix=__version__,
        versions=versions(),
        recipe=_recorded(plan),
        recipe_sha256=hashlib.sha256(plan.recipe.encode()).hexdigest(),
        overrides=plan.overrides,
        inputs=_inputs(plan, conversion, digests),
        outputs=outputs,
        splits={name: rows for name, rows in splits.items() if rows},
        warnings=[f"split `{name}` has no rows" for name, rows in splits.items() if not rows],
    )
    licences = {source.name: source.licence for source in plan.recipe.sources}
    (stage.out / "README.md").write_bytes(card.render(stage.out, manifest, ledger, licences))
    stage.sync()
    for name in ("README.md", "dropped.jsonl.zst", "ledger.json", "rejects.jsonl"):
        path = stage.out / name
        manifest.outputs.append(OutputFile(name, path.stat().st_size, sha256_of(path)))
    (stage.out / "manifest.json").write_bytes(manifest.encode())


def _recorded(plan: Plan) -> dict[str, Any]:
    """The recipe for the manifest. Absolute paths say where a machine keeps things: their names do."""
    recorded: dict[str, Any] = msgspec.to_builtins(plan.recipe)
    for source in recorded["sources"]:
        source["files"] = [
            os.path.basename(path) if os.path.isabs(path) else path for path in source["files"]
        ]
    return recorded


def _inputs(plan: Plan, conversion: Conversion, digests: dict[str, str]) -> list[InputFile]:
    found: list[InputFile] = []
    refused = {
        (number, item.name): error
        for number, item, error in conversion.refused
        if isinstance(item, Input)
    }
    for planned in plan.files:
        source = plan.recipe.sources[planned.source]
        framing = planned.setup.framing
        error = refused.get((planned.source, planned.input.name))
        found.append(
            InputFile(
                source=source.name,
                file=planned.input.name,
                bytes=planned.input.size,
                sha256=digests[planned.input.path],
                framing=f"{framing.kind} under `{framing.key}`" if framing.key else framing.kind,
                compression=framing.compression,
                encoding=framing.encoding,
                formats=planned.setup.shapes,
                evidence=planned.evidence,
                sampled=planned.sampled,
                unread_keys=planned.unread,
                revision=source.revision,
                licence=source.licence,
                refused=error.reason if error else None,
            )
        )
    return found


def _write_log(
    stage: publish.Stage, plan: Plan, base: Path, started: float, workers: int
) -> None:
    """The one output that holds clocks and machine paths; in no digest."""
    inputs = [
        {
            "event": "input",
            "source": plan.recipe.sources[file.source].name,
            "file": file.input.name,
            "path": os.path.abspath(file.input.path),
            "member": file.input.member,
        }
        for file in plan.files
    ]
    built = {
        "event": "built",
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.monotonic() - started, 3),
        "workers": workers,
        "python": platform.python_version(),
        "base": str(base),
    }
    with open(stage.out / "build.log.jsonl", "w", encoding="utf-8") as log:
        for event in (*inputs, built):
            log.write(json.dumps(event, ensure_ascii=True) + "\n")
