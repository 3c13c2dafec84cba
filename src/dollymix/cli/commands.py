"""The commands: arguments in, text out. Each calls one public function."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dollymix.cli.terminal import out, out_json, out_text, progress, say, table
from dollymix.errors import BuildError, UsageError
from dollymix.secret import told
from dollymix.text import quoted, shortened
from dollymix.version import __version__

if TYPE_CHECKING:
    from dollymix.build import Result
    from dollymix.preview import Preview, Some

# Keys that nobody reads may be without number: of a source's warnings so many are listed.
_LISTED = 20


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dollymix")
def root() -> None:
    """Many instruction, chat and question-answering data sets into one clean, traceable set."""


@root.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("-o", "--output", default=None, help="Write the recipe here, not to standard output.")
@click.option("--force", is_flag=True, help="Replace a recipe that is there.")
def init(paths: tuple[str, ...], output: str | None, force: bool) -> None:
    """Look into files and folders and write a recipe for them."""
    from dollymix.init import init as look

    if output and os.path.exists(output) and not force:
        raise UsageError(f"{output}: is there already. Name another, or give --force")
    draft = look(list(paths), base=Path(output).absolute().parent if output else None)
    for item in draft.found:
        what = (
            item.fault or f"{item.source}/{item.file}: {', '.join(item.formats)} ({item.evidence})"
        )
        say(what)
    if output is None:
        out_text(draft.text)
    else:
        try:
            Path(output).write_text(draft.text, encoding="utf-8")
        except OSError as error:
            raise BuildError(f"{output}: cannot be written: {error.strerror}") from error
        say(f"wrote {output}. Next: dollymix merge {output} -o OUT")


@root.command()
@click.argument("sources", nargs=-1, required=True, metavar="RECIPE | PATHS...")
@click.option("-o", "--output", help="The folder to write; not needed for a dry run.")
@click.option("--workers", type=click.IntRange(1), help="Processes; by default one a core.")
@click.option("--engine", type=click.Choice(["local"]), default="local", help="Where work is done.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["jsonl", "parquet"]),
    help="A form of the output; may be given again.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the recipe.")
@click.option("--on-bad-file", type=click.Choice(["stop", "skip"]), help="At an unreadable file.")
@click.option("--max-rejected", type=click.FloatRange(0, 1), help="Stop over this share of parts.")
@click.option("--allow-empty", is_flag=True, help="A build without an example is done, too.")
@click.option("--dry-run", is_flag=True, help="Plan, and counts from a sample; write nothing.")
@click.option("--force", is_flag=True, help="Replace a directory that is no build.")
@click.option("--not-atomic", is_flag=True, help="Replace in two steps where one is impossible.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON on standard output.")
def merge(sources: tuple[str, ...], output: str | None, **options: Any) -> None:
    """Build one set from a recipe, or from bare files and folders. The main job."""
    from dollymix.build import merge as build

    source = _source(sources)
    settings = dict(_setting(text) for text in options["settings"])
    if settings and isinstance(source, list):
        raise UsageError("--set: changes a recipe; write one with `dollymix init`")
    if options["dry_run"]:
        _dry_run(source, settings, options["as_json"])
        return
    if output is None:
        raise UsageError("-o: name the folder to write, or look first with --dry-run")
    with progress(quiet=options["quiet"]) as report:
        result = build(
            source,
            output,
            workers=options["workers"],
            formats=list(options["formats"]) or None,
            overrides=settings,
            on_bad_file=options["on_bad_file"],
            max_rejected=options["max_rejected"],
            allow_empty=options["allow_empty"],
            force=options["force"],
            atomic=not options["not_atomic"],
            progress=report,
        )
    if options["as_json"]:
        out_json(
            {"folder": str(result.folder), "ledger": result.ledger, "total": result.ledger.total()}
        )
    else:
        _show_result(result)


def _source(sources: tuple[str, ...]) -> Any:
    """A recipe where one YAML file is given, else bare paths."""
    if len(sources) == 1 and sources[0].endswith((".yaml", ".yml")):
        return sources[0]
    mixed = [path for path in sources if path.endswith((".yaml", ".yml"))]
    if mixed:
        raise UsageError(f"{mixed[0]}: a recipe stands alone; name its files inside it")
    return list(sources)


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {text}: expected KEY=VALUE, such as seed=3")
    return key, value


def _dry_run(source: Any, settings: dict[str, str], as_json: bool) -> None:
    from dollymix.preview import preview

    seen = preview(source, overrides=settings)
    if as_json:
        out_json(seen)
        return
    rows = [
        [f.source, f.file, ", ".join(f.formats)]
        + [f"{count:,}" for count in (f.bytes, f.sampled, f.examples, f.rejected)]
        for f in seen
    ]  # fmt: skip
    table(["source", "file", "format", "bytes", "sampled", "examples", "rejected"], rows)
    for file in seen:
        _show_steps(file)
    out("Counts are of the sampled records, the first of each file. Nothing was written.")


def _show_steps(file: Preview) -> None:
    """What each step would change, flag, take out and warn of in one file."""
    place = f"{file.source}/{file.file}"
    for step, count in sorted(file.changed.items()):
        out(f"  {place}: {step} would change {count:,}")
    for verb, found in (("flag", file.flagged), ("take", file.taken)):
        for reason, some in sorted(found.items()):
            out(f"  {place}: {reason} would {verb} {some.count:,}, such as")
            _show_examples(some)
    for line in file.warnings:
        out(f"  {place}: {line}")


def _show_examples(some: Some) -> None:
    for shown in some.shown:
        out(f"    {shown.id}{': ' if shown.message else ''}{shown.message}")
        for text in (shown.instruction, shown.context, shown.response):
            out(f"      {quoted(text)}")


@root.command()
@click.argument("path")
@click.option("-n", "count", default=3, show_default=True, type=click.IntRange(0))
@click.option("--format", "form", default=None, help="The source format, not detected.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def inspect(path: str, count: int, form: str | None, as_json: bool) -> None:
    """Show what a file holds: its format, and its first records before and after."""
    from dollymix.inspect import inspect as look

    found = look(path, count, format=form)
    if as_json:
        out_json([_inspection(item) for item in found])
    else:
        for item in found:
            _show_inspection(item)
    if all(item.fault for item in found):
        raise SystemExit(1)


def _inspection(item: Any) -> dict[str, Any]:
    return {
        "file": item.file,
        "fault": None if item.fault is None else str(item.fault),
        "formats": item.detected.shapes if item.detected else [],
        "evidence": item.detected.evidence if item.detected else "",
        "unread_keys": item.detected.unread if item.detected else {},
        "records": [
            {
                "record": shown.number,
                "text": shown.raw.decode(errors="replace"),
                "examples": shown.examples,
                "verdicts": shown.verdicts,
            }
            for shown in item.records
        ],
    }


def _show_inspection(item: Any) -> None:
    if item.fault is not None:
        say(str(item.fault))
        return
    seen, framing = item.detected, item.detected.framing
    packed = "" if framing.compression == "none" else f", {framing.compression}"
    under = f" under `{framing.key}`" if framing.key else ""
    out(f"{item.file}: {', '.join(seen.shapes)} ({seen.evidence})")
    out(f"  framing: {framing.kind}{under}, {framing.encoding}{packed}")
    for key, count in seen.unread.items():
        out(f"  not read: {quoted(key)} in {count} of {seen.sampled} records")
    for shown in item.records:
        out(f"  record {shown.number}: {quoted(shown.raw.decode(errors='replace'), 400)}")
        for example in shown.examples:
            for name in ("instruction", "context", "response"):
                out(f"    {name:<12}{quoted(getattr(example, name), 200)}")
        for verdict in shown.verdicts:
            out(f"    {verdict.outcome}: {verdict.message} [{verdict.reason}]")


@root.command()
@click.argument("folder")
@click.argument("identity", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def explain(folder: str, identity: str, as_json: bool) -> None:
    """Tell the life of one record or example: `explain OUT source/file.json#12`."""
    from dollymix.explain import explain as tell

    life = tell(folder, identity)
    if as_json:
        raw = None if life.raw is None else life.raw.decode(errors="replace")
        parts = [part._asdict() for part in life.parts]
        out_json({"id": life.id, "parts": parts, "text": raw, "note": life.note})
        return
    for part in life.parts:
        row = part.row
        out(f"{part.id}: {part.outcome}")
        if part.outcome == "written":
            place = f"line {row['output_row'] + 1} of {row['shard']}"
            came_from = f"bytes {row['byte_start']} to {row['byte_end']}"
            if row["byte_start"] is None:
                came_from = f"row {row['row']} of row group {row['row_group']}"
            out(f"  {place}, {came_from} of the input")
            for name, value in row["line"].items():
                out(f"  {name:<12}{quoted(value, 200)}")
        else:
            out(f"  {row['step']}: {row['message']} [{row['reason']}]")
            if row.get("because_of"):
                out(f"  because of {row['because_of']}")
        if part.outcome != "rejected":
            out(f"  changed by: {_changes(row)}")
        if row.get("flags"):
            out(f"  flags: {', '.join(row['flags'])}")
    if life.raw is not None:
        out(f"the record: {quoted(life.raw.decode(errors='replace'), 1000)}")
    else:
        out(f"the record is not shown: {life.note}")


def _changes(row: dict[str, Any]) -> str:
    """The steps that changed an example, with the characters that each added."""
    if not row.get("steps"):
        return "nothing"
    pairs = zip(row["steps"], row["step_characters"], strict=True)
    return ", ".join(f"{step} ({added:+,} characters)" for step, added in pairs)


@root.command()
@click.argument("folder")
@click.option("--quick", is_flag=True, help="Names, sizes, counts and books; no digests.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def verify(folder: str, quick: bool, as_json: bool) -> None:
    """Recheck a build: every byte, row and count, and the inputs where they are there."""
    from dollymix.verify import verify as check

    report = check(folder, quick)
    if as_json:
        out_json(report._asdict())
    else:
        for note in report.notes:
            say(note)
        for fault in report.faults:
            say(fault)
        out(f"{report.checked} files checked, {len(report.faults)} faults")
    if report.faults:
        raise SystemExit(1)


@root.command()
@click.argument("old")
@click.argument("new")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def diff(old: str, new: str, as_json: bool) -> None:
    """Show what came, went and changed between two builds, by source and reason."""
    from dollymix.diff import diff as compare

    found = compare(old, new)
    if as_json:
        out_json(found._asdict())
        return
    for kind in ("came", "went", "changed"):
        for source, count in sorted(getattr(found, kind).items()):
            out(f"{kind}: {count:,} of {source}")
        for identity in found.shown[kind]:
            out(f"  {identity}")
    for what, (before, after) in found.reasons.items():
        out(f"{what}: {before:,} -> {after:,}")
    out(f"same: {found.same:,}")


@root.command()
@click.argument("name", required=False)
def formats(name: str | None) -> None:
    """List the source formats, or describe one."""
    from dollymix import formats as known

    _describe(name, known.names(), known.load, lambda module: module.Options)


@root.command()
@click.argument("name", required=False)
def steps(name: str | None) -> None:
    """List the steps, or describe one."""
    from dollymix import steps as known

    _describe(name, known.names(), known.load, lambda module: module.Step)


def _describe(
    name: str | None, names: list[str], load: Callable[[str], Any], options: Callable[[Any], Any]
) -> None:
    if name is None:
        for known in names:
            first = (load(known).__doc__ or "").strip().splitlines()[0]
            out(f"{known:<18}{first}")
        return
    import msgspec

    module = load(name)
    out_text(f"{(module.__doc__ or '').strip()}\n\nOptions:\n")
    shape = options(module)
    if shape.__doc__:
        out(f"  {' '.join(shape.__doc__.split())}")
    for field in msgspec.structs.fields(shape):
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        out(f"  {field.encode_name}: {default!r}")


def _show_result(result: Result) -> None:
    headings = [
        "source",
        "records",
        "parts",
        "examples",
        "written",
        "rejected",
        "filtered",
        "duplicate",
    ]
    rows = []
    for name, c in [*result.ledger.sources.items(), ("total", result.ledger.total())]:
        counts = [c.records, c.parts, c.examples, c.written, c.parts_rejected]
        counts += [sum(c.filtered.values()), sum(c.duplicate.values())]
        rows.append([name, *(f"{count:,}" for count in counts)])
    table(headings, rows)
    for name, c in result.ledger.sources.items():
        for code, count in {**c.rejected, **c.filtered, **c.duplicate}.items():
            out(f"  {name}: {code} {count:,}")
        for code, count in sorted(c.warnings.items())[:_LISTED]:
            say(f"warning: {name}: {shortened(code)} {count:,}")
        if len(c.warnings) > _LISTED:
            left = len(c.warnings) - _LISTED
            say(f"warning: {name}: {left:,} more kinds of warnings are in ledger.json")
        for refused in c.files_refused:
            say(f"warning: {name}: {refused.file} was left out [{refused.reason}]")
    for line in result.manifest.warnings:
        say(f"warning: {line}")
    folder = told(str(result.folder))
    splits = ", ".join(f"{name} {rows:,}" for name, rows in result.manifest.splits.items())
    out(f"{folder}: {splits} ({result.seconds:.1f} s)")
    out(f'  the set        {folder}/dolly        load_dataset("{folder}")')
    out(f"  what was lost  {folder}/rejects.jsonl, {folder}/dropped.jsonl.zst")
    out(f"  the counts     {folder}/README.md, {folder}/ledger.json")
    out(f"  one record     dollymix explain {folder} ID")
