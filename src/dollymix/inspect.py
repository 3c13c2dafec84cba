"""Shows what a file holds, and its first records before and after: `dollymix inspect`."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dollymix import formats
from dollymix.decoding import FAILURES, explain_failure
from dollymix.detect import Detected, detect
from dollymix.errors import InputError
from dollymix.example import Example, Origin
from dollymix.framing.inputs import list_inputs
from dollymix.framing.units import Units, read_frames
from dollymix.ledger import Verdict


class Shown(NamedTuple):
    """A record as it is, and what becomes of it."""

    number: int
    raw: bytes
    examples: list[Example]
    verdicts: list[Verdict]


class Inspection(NamedTuple):
    """One input: what it holds and its first records, or why it is refused."""

    file: str
    detected: Detected | None
    records: list[Shown]
    fault: InputError | None


def inspect(
    path: str | os.PathLike[str], count: int = 3, *, format: str | None = None  # noqa: A002
) -> list[Inspection]:
    """What the file (each file of a folder, each member of an archive) holds.

    `format` names the source format instead of detecting it. Raises InputError where there is no
    such file.
    """
    found: list[Inspection] = []
    for item in list_inputs([str(path)], Path.cwd()):
        try:
            seen = detect(item, format)
            units = Units(item, seen.framing, (0, 0), 1 << 16)
            unit = next(iter(units))
            shown = [
                _show(seen.shapes, number, frame.data, item.name)
                for number, frame in enumerate(islice(read_frames(unit, seen.framing).frames, count))
            ]
        except InputError as error:
            found.append(Inspection(item.name, None, [], error))
        else:
            found.append(Inspection(item.name, seen, shown, None))
    return found


def _show(shapes: tuple[str, ...], number: int, raw: Any, file: str) -> Shown:
    parsed = parse_record(shapes, raw, Origin("source", file, number))
    return Shown(number, bytes(raw), parsed.examples, parsed.verdicts)


def parse_record(
    shapes: tuple[str, ...], raw: Any, origin: Origin, options: dict[str, Any] | None = None
) -> formats.Parsed:
    """One record by the first of the formats whose shape it has."""
    form = formats.load(shapes[0])
    known = form.Options.__struct_fields__
    mine = {key: value for key, value in (options or {}).items() if key in known}
    chosen = msgspec.convert(mine, form.Options)
    try:
        row = msgspec.json.decode(raw, type=form.Row)
    except FAILURES as error:
        problem = explain_failure(raw, error)
        recover = getattr(form, "recover", None)
        if len(shapes) > 1:
            return parse_record(shapes[1:], raw, origin, options)
        if recover is None or not problem.reason.startswith("schema."):
            return formats.only_rejected(origin, problem)
        parsed: formats.Parsed = recover(raw, problem, origin, chosen)
        return parsed
    return form.parse(row, raw, origin, chosen)
