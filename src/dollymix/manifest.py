"""What was built, from what: `manifest.json`. Holds no clock, host, path or worker count."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from dollymix.errors import CheckError, UsageError
from dollymix.framing.streams import zstd_module

SCHEMA = 1
# These are in no digest: the manifest itself, and the log, which holds clocks and paths.
UNLISTED = ("manifest.json", "build.log.jsonl")
_LIBRARIES = ("msgspec", "numpy", "pyarrow", "xxhash")


class InputFile(msgspec.Struct, omit_defaults=True):
    """A file that went in. `evidence` says why it was taken for that format."""

    source: str
    file: str
    bytes: int
    sha256: str
    framing: str
    compression: str
    encoding: str
    formats: tuple[str, ...]
    evidence: str
    sampled: int = 0
    unread_keys: dict[str, int] = {}
    revision: str | None = None
    licence: str | None = None
    refused: str | None = None


class OutputFile(msgspec.Struct, omit_defaults=True):
    """A file that came out; `rows` where it has rows, `split` where it belongs to one."""

    file: str
    bytes: int
    sha256: str
    rows: int | None = None
    split: str | None = None


class Manifest(msgspec.Struct):
    """The whole manifest."""

    schema: int
    dollymix: str
    versions: dict[str, str]
    recipe: dict[str, Any]
    recipe_sha256: str
    overrides: dict[str, str]
    inputs: list[InputFile]
    outputs: list[OutputFile]
    splits: dict[str, int]
    warnings: list[str] = []
    sha256: str = ""

    def encode(self) -> bytes:
        """The bytes of `manifest.json`; `sha256` is their digest while it is empty itself."""
        self.sha256 = ""
        self.sha256 = hashlib.sha256(msgspec.json.encode(self)).hexdigest()
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def read(folder: Path) -> Manifest:
    """The manifest of a build.

    Raises UsageError where the folder is no build, CheckError where its manifest cannot be read.
    """
    path = folder / "manifest.json"
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{folder}: is no build: it has no manifest.json") from error
    try:
        schema = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get("schema")
        number = msgspec.json.decode(schema or b"null", type=int)
        if number > SCHEMA:
            raise CheckError(f"{path}: has schema {number}; this version reads up to {SCHEMA}")
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckError(f"{path}: is no manifest: {error}") from error


def versions() -> dict[str, str]:
    """The versions of what makes the bytes."""
    import importlib.metadata

    found = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    try:
        found["zstd"] = importlib.metadata.version("backports.zstd")
    except importlib.metadata.PackageNotFoundError:
        found["zstd"] = f"python {platform.python_version()}"
    return found


def sha256_of(path: str | Path) -> str:
    """The digest of a file's bytes."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_verdicts(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of `rejects.jsonl` or `dropped.jsonl.zst`."""
    open_any: Any = zstd_module().open if path.suffix == ".zst" else open
    with open_any(path, "rb") as file:
        for line in file:
            yield msgspec.json.decode(line)


def input_paths(root: Path) -> list[dict[str, Any]]:
    """Where the build read its inputs, from its log; empty where the log is not there."""
    path = root / "build.log.jsonl"
    if not path.exists():
        return []
    # Paths may hold bytes that are no characters, which only the standard library reads back.
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [event for event in events if event.get("event") == "input"]
