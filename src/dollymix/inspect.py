"""Shows what a file holds, and its first records before and after: `dollymix inspect`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from dollymix import formats
from dollymix.detect import Detected, detect, sample_records
from dollymix.errors import InputError
from dollymix.example import Example, Origin
from dollymix.framing import Reading
from dollymix.framing.inputs import list_inputs
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
    path: str | os.PathLike[str],
    count: int = 3,
    *,
    format: str | None = None,  # noqa: A002
) -> list[Inspection]:
    """What the file (each file of a folder, each member of an archive) holds.

    `format` names the source format instead of detecting it. Raises InputError where there is no
    such file.
    """
    found: list[Inspection] = []
    for item in list_inputs([str(path)], Path.cwd()):
        try:
            seen = detect(item, format)
            records = sample_records(item, seen.framing, Reading())[:count]
            shown = [
                _show(seen.shapes, number, raw, item.name) for number, raw in enumerate(records)
            ]
        except InputError as error:
            found.append(Inspection(item.name, None, [], error))
        else:
            found.append(Inspection(item.name, seen, shown, None))
    return found


def _show(shapes: tuple[str, ...], number: int, raw: bytes, file: str) -> Shown:
    parsed = formats.parse_record(shapes, raw, Origin("source", file, number))
    return Shown(number, raw, parsed.examples, parsed.verdicts)
