"""What a build would do, told from the first records of each file; nothing is written."""

from __future__ import annotations

from typing import Any

import msgspec

from dollymix import formats, oddities, steps
from dollymix.detect import sample_records
from dollymix.example import Example, Origin
from dollymix.formats import dolly
from dollymix.plan import make_plan, read_recipe, reading_of
from dollymix.text import shortened

_SHOWN = 3


class Shown(msgspec.Struct, frozen=True):
    """One example that a step would flag or take out: its id, why, and its texts, cut short."""

    id: str
    message: str
    instruction: str
    context: str
    response: str


class Some(msgspec.Struct):
    """How many of the sampled examples are flagged or taken out for one reason, and the first."""

    count: int = 0
    shown: list[Shown] = []


class Preview(msgspec.Struct):
    """One file of a plan, and what its sampled records would become.

    `examples` are those before any step. Of the row steps, `changed` counts the examples that one
    would change, by its name, `flagged` those that are flagged, by the flag, and `taken` those that
    one would take out, by `STEP/REASON`; `warnings` is what the checks say of the sample.
    Steps that compare examples are not run.
    """

    source: str
    file: str
    formats: tuple[str, ...]
    evidence: str
    bytes: int
    sampled: int
    examples: int = 0
    rejected: int = 0
    changed: dict[str, int] = {}
    flagged: dict[str, Some] = {}
    taken: dict[str, Some] = {}
    warnings: list[str] = []


def preview(source: Any, *, overrides: dict[str, str] | None = None) -> list[Preview]:
    """The plan of a build, with counts from a sample of each file; writes nothing.

    Raises RecipeError, InputError as a build does.
    """
    asked, base = read_recipe(source, overrides)
    plan = make_plan(asked, base, overrides or {})
    found: list[Preview] = []
    for file in plan.files:
        described = asked.sources[file.source]
        name, setup = file.input.name, file.setup
        records = sample_records(file.input, setup.framing, reading_of(described))
        seen = Preview(
            described.name, name, setup.shapes, file.evidence, file.input.size, len(records)
        )
        source_setup = plan.setup.sources[file.source]
        stay: list[Example] = []
        for number, raw in enumerate(records):
            origin = Origin(described.name, name, number)
            parsed = formats.parse_record(setup.shapes, raw, origin, described.options)
            seen.rejected += sum(verdict.parts for verdict in parsed.verdicts)
            for example in parsed.examples:
                stay += _run(seen, source_setup.row_steps, example)
        for example in stay:
            for flag in _odd(example):
                _show(seen.flagged, flag, example)
        for check in source_setup.checks:
            seen.warnings += _judge(check, stay)
        found.append(seen)
    return found


def _odd(example: Example) -> list[str]:
    """What is odd in the texts of an example that stays."""
    text = msgspec.json.encode(dolly.render(example))
    return oddities.find(text, [len(text)]).get(0, [])


def _judge(check: steps.Check, examples: list[Example]) -> list[str]:
    sums = [sum(counts) for counts in zip(*map(check.measure, examples), strict=True)]
    counts = dict(zip(check.measures, sums or [0] * len(check.measures), strict=True))
    return [f"{found.message} [{found.code}]" for found in check.judge(counts)]


def _run(
    seen: Preview, row_steps: tuple[steps.RowStep, ...], example: Example
) -> tuple[Example, ...]:
    """Count what the steps do with an example; it, if it stays."""
    seen.examples += 1
    ran = steps.run(row_steps, example)
    for change in ran.changes:
        seen.changed[change.step] = seen.changed.get(change.step, 0) + 1
    for flag in (*example.flags, *ran.flags):
        _show(seen.flagged, flag, ran.example)
    if ran.verdict is None:
        return (ran.example,)
    _show(seen.taken, f"{ran.verdict.step}/{ran.verdict.reason}", ran.example, ran.verdict.message)
    return ()


def _show(found: dict[str, Some], reason: str, example: Example, message: str = "") -> None:
    """Count an example, and keep the first few."""
    some = found.setdefault(reason, Some())
    some.count += 1
    if len(some.shown) < _SHOWN:
        texts = map(shortened, (example.instruction, example.context, example.response))
        some.shown.append(Shown(str(example.origin), message, *texts))
