"""A whole build, top to bottom: plan, convert, decide, export, publish. Read this first."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from dollymix import blocks, manifest, own_ids, partition, publish, recipe, steps
from dollymix.collect import Conversion, Progress
from dollymix.describe import write_about, write_dropped, write_log, write_views
from dollymix.errors import BuildError, DollymixError, StoppedError
from dollymix.export import Exporter, Splitter
from dollymix.framing.streams import STDIN, show
from dollymix.framing.units import UNIT_BYTES
from dollymix.ledger import Ledger
from dollymix.plan import InputDigests, Plan, make_plan, read_recipe


class Result(NamedTuple):
    """A finished build."""

    folder: Path
    ledger: Ledger
    manifest: manifest.Manifest
    seconds: float


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
    plan: Plan | None = None
    try:
        stage.open()
        plan = make_plan(asked, base, overrides or {}, _read_stdin(asked, stage))
        if not stage.finish_publishing(plan.digest(), atomic=atomic):
            _build(stage, plan, workers or _cores(), unit_bytes, progress, allow_empty)
            write_log(stage, plan, base, started, workers or _cores())
            stage.publish(plan.digest(), atomic=atomic)
        stage.remove()
    except (OSError, MemoryError) as error:
        if isinstance(error.__context__, SystemExit | KeyboardInterrupt):
            # A library that was interrupted while it closed a file closed it again.
            raise error.__context__ from None
        raise StoppedError(_machine_message(error, stage)) from error
    except StoppedError:
        raise
    except DollymixError:
        # A wrong call does not throw away what an earlier one has done.
        if plan is not None or stage.journal() is None:
            stage.remove()
        raise
    finally:
        stage.release()
    return _result(stage.target, time.monotonic() - started)


def _read_stdin(asked: recipe.Recipe, stage: publish.Stage) -> str | None:
    """Standard input as a file of the working place, where the recipe names it.

    It is looked at before it is read, and a build may begin anew: neither goes with a stream.
    """
    if not any(STDIN in source.files for source in asked.sources):
        return None
    path = stage.root / "stdin"
    with open(path, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
    return str(path)


def _result(folder: Path, seconds: float) -> Result:
    books = msgspec.json.decode((folder / "ledger.json").read_bytes(), type=Ledger)
    return Result(folder, books, manifest.read(folder), seconds)


def _machine_message(error: OSError | MemoryError, stage: publish.Stage) -> str:
    if isinstance(error, MemoryError):
        where, what = stage.target, "the build ran out of memory; fewer --workers need less"
    else:
        where, what = error.filename or stage.target, _strerror(error)
    return (
        f"{show(os.fsdecode(where))}: {what}. Nothing was published; what is done so far is kept "
        f"in {show(str(stage.root))}, and the same command goes on from there"
    )


def _strerror(error: OSError) -> str:
    """The system's words; of an error that only libraries know, the first of theirs."""
    if error.errno:
        return os.strerror(error.errno)
    return show((str(error) or type(error).__name__).splitlines()[0])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _build(
    stage: publish.Stage,
    plan: Plan,
    workers: int,
    unit_bytes: int,
    progress: Callable[[Progress], None] | None,
    allow_empty: bool,
) -> None:
    digests = InputDigests(plan)
    conversion = Conversion(stage, plan, unit_bytes, progress)
    conversion.resume()
    digests.start()
    conversion.run(workers)
    _check_rejected(plan, conversion.ledger)
    _export(stage, plan, conversion, digests, allow_empty)


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


def _export(
    stage: publish.Stage,
    plan: Plan,
    conversion: Conversion,
    digests: InputDigests,
    allow_empty: bool,
) -> None:
    ledger = conversion.ledger
    splitter = Splitter(plan.recipe.splits, plan.recipe.seed)
    exporter = Exporter(stage.out, stage.work, plan.names(), splitter, ledger, stage.file)
    if plan.is_direct:
        exporter.write_lineage(conversion.shards)
    else:
        _decide_and_write(stage, plan, exporter)
    _warn_of_own_ids(stage, plan, ledger)
    findings = _judge(plan, ledger)
    ledger.check()
    if not ledger.total().written and not allow_empty:
        raise BuildError(_nothing_written(ledger))
    outputs = write_views(stage.out, plan, exporter)
    write_dropped(stage)
    stage.file("out/rejects.jsonl")
    found = digests.get()
    _check_unchanged(plan, conversion)
    built = write_about(stage, plan, conversion, outputs, found, findings)
    partition.check(stage.out, built, ledger, stage.work, plan.names())


def _warn_of_own_ids(stage: publish.Stage, plan: Plan, ledger: Ledger) -> None:
    """Tell how many ids that records bring along come again in their source."""
    for number, source in enumerate(plan.recipe.sources):
        path = stage.work / f"own_ids-{number}"
        repeated = own_ids.count_repeated(path) if path.exists() else 0
        if repeated:
            ledger.sources[source.name].warn("id.duplicate", repeated)


def _judge(plan: Plan, ledger: Ledger) -> list[str]:
    """What the checks say of each source's sums, as lines; the examples are warned of, too."""
    lines: list[str] = []
    for setup in plan.setup.sources:
        counts = ledger.sources[setup.name]
        for check in setup.checks:
            name = steps.name_of(check)
            sums = {m: counts.measures.get(f"{name}/{m}", 0) for m in check.measures}
            widest: dict[str, int] = {}  # an example may be in several findings of a code
            for code, message, examples in check.judge(sums):
                lines.append(f"{setup.name}: {message} [{code}]")
                widest[code] = max(widest.get(code, 0), examples)
            for code, examples in widest.items():
                counts.warn(code, examples)
    return lines


def _check_unchanged(plan: Plan, conversion: Conversion) -> None:
    """The digests are of the bytes that were converted: no input has changed in between."""
    refused = {(number, item) for number, item, _ in conversion.refused}
    for planned in plan.files:
        if (planned.source, planned.input) not in refused:
            conversion.check_unchanged(planned.input)


def _nothing_written(ledger: Ledger) -> str:
    total = ledger.total()
    ranked = sorted({**total.rejected, **total.filtered}.items(), key=lambda item: -item[1])
    why = ", ".join(f"{reason} {count}" for reason, count in ranked[:5])
    names = ", ".join(ledger.sources)
    return (
        f"{names}: no example is left of {total.records} records ({why}). "
        f"Allow it with --allow-empty [{ranked[0][0] if ranked else 'input.empty'}]"
    )


def _decide_and_write(stage: publish.Stage, plan: Plan, exporter: Exporter) -> None:
    from dollymix.decide import Comparison, Decisions

    # What a crashed export left is made again.
    stage.restore({name: mark for name, mark in stage.marks().items() if _is_converted(name)})
    for name in ("blocks", "lines"):
        stage.file(f"work/{name}")
    with contextlib.closing(blocks.Index(str(stage.work / "blocks"))) as index:
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
        exporter.write(iter(decisions), index, plan.recipe.seed if plan.recipe.shuffle else None)


def _is_converted(name: str) -> bool:
    return name == "out/rejects.jsonl" or (name.startswith("work/") and name != "work/duplicates")
