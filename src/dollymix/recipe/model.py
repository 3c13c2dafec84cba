"""What a recipe says. No defaults of steps and formats: each option's lives in its own module."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import msgspec

from dollymix.framing import Declared, Limits
from dollymix.framing.streams import STDIN


class StepSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step as the recipe names it, with its options."""

    name: str
    options: dict[str, Any] = {}


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """Files of one format, with a name."""

    name: str
    files: list[str]
    format: str | None = None
    framing: Declared = "auto"
    encoding: str | None = None
    delimiter: str | None = None
    salvage: bool = False
    limits: Limits = Limits()
    options: dict[str, Any] = {}
    category: str | None = None
    licence: str | None = None
    allow_empty: bool = False
    revision: str | None = None
    sha256: str | None = None
    steps: list[StepSpec] = []


class Output(msgspec.Struct, frozen=True):
    """One form of the set on disk."""

    view: str = "dolly"
    format: Literal["jsonl", "parquet"] = "jsonl"


class Recipe(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole recipe. `max_rejected` is a share of parts, per source; `published` a date."""

    version: Literal[1]
    sources: list[Source]
    steps: list[StepSpec] = []
    splits: dict[str, float] = {}
    outputs: list[Output] = msgspec.field(default_factory=lambda: [Output()])
    seed: int = 0
    shuffle: bool = False
    on_bad_file: Literal["stop", "skip"] = "stop"
    max_rejected: float | None = None
    published: str | None = None

    def encode(self) -> bytes:
        """The recipe as canonical JSON: what digests are taken of."""
        # JSON with escapes: a path may hold bytes that are no characters.
        return json.dumps(msgspec.to_builtins(self), sort_keys=True).encode()


def from_paths(paths: list[Path], **settings: Any) -> Recipe:
    """The recipe for bare paths: one source a path, named after it, each format detected."""
    taken: set[str] = set()
    sources = [Source(source_name(path, taken), [_absolute(path)]) for path in paths]
    return Recipe(version=1, sources=sources, **settings)


def _absolute(path: Path) -> str:
    return STDIN if str(path) == STDIN else str(path.absolute())


def source_name(path: Path, taken: set[str]) -> str:
    """A source's name after its file or folder; `-2`, `-3` where it is taken."""
    stem = "stdin" if str(path) == STDIN else path.resolve().name.split(".")[0]
    name = "".join(c if c.isalnum() or c in "_-" else "-" for c in stem).strip("-") or "source"
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}-{number}"
    taken.add(unique)
    return unique
