"""Looks into files and folders and writes a recipe: `dollymix init`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dollymix.detect import detect
from dollymix.errors import InputError
from dollymix.framing.inputs import list_inputs
from dollymix.recipe import source_name
from dollymix.text import printable

_WORD = re.compile(r"[^\W\d_][\w-]*")
# What YAML readers take for something else than a text.
_NO_TEXT = frozenset(("yes", "no", "on", "off", "y", "n", "true", "false", "null"))


class Found(NamedTuple):
    """One input: its name, its formats with the evidence, or the fault why it is left out."""

    source: str
    file: str
    formats: tuple[str, ...]
    evidence: str
    fault: str


class Draft(NamedTuple):
    """A recipe's text, and what was found on the way."""

    text: str
    found: list[Found]


def init(paths: Sequence[str | os.PathLike[str]], *, base: Path | None = None) -> Draft:
    """A recipe for the paths: one source for each file, or for each archive, that holds records
    of a known format. Paths are written relative to `base`, the folder the recipe will be in."""
    base = (base or Path.cwd()).absolute()
    found: list[Found] = []
    sources: dict[str, list[str]] = {}
    taken: set[str] = set()
    for file in _files(paths, found):
        name = source_name(Path(file), taken)
        looked = _look(name, file)
        found += looked
        shapes = {item.formats for item in looked if not item.fault}
        if shapes and not any(item.fault for item in looked):
            sources[name] = _lines(name, os.path.relpath(file, base), shapes, looked)
    return Draft(_recipe(sources), found)


def _files(paths: Sequence[str | os.PathLike[str]], found: list[Found]) -> list[str]:
    files: dict[str, None] = {}
    for path in paths:
        try:
            files.update(dict.fromkeys(item.path for item in list_inputs([str(path)], Path.cwd())))
        except InputError as error:
            found.append(Found("", printable(str(path)), (), "", str(error)))
    return list(files)


def _look(name: str, file: str) -> list[Found]:
    looked: list[Found] = []
    for item in list_inputs([file], Path.cwd()):
        try:
            seen = detect(item)
        except InputError as error:
            looked.append(Found(name, item.name, (), "", str(error)))
        else:
            looked.append(Found(name, item.name, seen.shapes, seen.evidence, ""))
    return looked


def _lines(name: str, file: str, shapes: set[tuple[str, ...]], looked: list[Found]) -> list[str]:
    kinds = {shape for several in shapes for shape in several}
    lines = [f"  - name: {_quoted(name)}"]
    if len(kinds) == 1:
        lines.append(f"    format: {kinds.pop()}")
    lines.append(f"    # {printable(looked[0].evidence)}")
    lines.append(f"    files: [{_quoted(file)}]")
    return lines


def _quoted(text: str) -> str:
    """The text as YAML: as it is where every reader takes it for a text, else between quotes."""
    if _WORD.fullmatch(text) and text.lower() not in _NO_TEXT:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'


def _recipe(sources: dict[str, list[str]]) -> str:
    lines = ["version: 1", "sources:"]
    if not sources:
        lines[-1] += " []   # nothing of a known format was found"
    for source in sources.values():
        lines += source
    lines += [
        "steps:",
        "  - roles",
        "  - exact_duplicates",
        "# splits: {train: 0.98, validation: 0.02}",
        "outputs:",
        "  - {view: dolly, format: jsonl}",
    ]
    return "\n".join(lines) + "\n"
