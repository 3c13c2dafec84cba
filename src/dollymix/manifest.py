"""What was built, from what: `manifest.json`. Holds no clock, host, path or worker count."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from dollymix.decoding import FAILURES
from dollymix.errors import CheckError, UsageError
from dollymix.framing import Compression
from dollymix.framing.streams import zstd_module

T = TypeVar("T")

SCHEMA = 1
LOG = "build.log.jsonl"
# The manifest lists neither itself nor the log, which holds clocks and paths; each holds its own
# digest.
UNLISTED = ("manifest.json", LOG)
_INPUT_KEYS = ("source", "file", "path", "member")
_MOST_BYTES = 256 << 20
LINE_BYTES = 1 << 30
_LIBRARIES = ("msgspec", "numpy", "pyarrow", "xxhash")


Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]


class InputFile(msgspec.Struct, omit_defaults=True):
    """A file that went in. `evidence` says why it was taken for that format.

    `records`, `parts`, `empty` (records without parts), `examples` and `rejects` are what was
    counted while it was converted; `…_xxh3` are fingerprints of the ids (see `partition`). A
    refused file has none of them.
    """

    source: str
    file: str
    bytes: Count
    sha256: str
    framing: str
    compression: Compression
    encoding: str
    formats: tuple[str, ...]
    evidence: str
    sampled: int = 0
    unread_keys: dict[str, int] = {}
    revision: str | None = None
    licence: str | None = None
    refused: str | None = None
    records: Count | None = None
    parts: Count | None = None
    empty: Count | None = None
    examples: Count | None = None
    examples_xxh3: str | None = None
    rejects: Count | None = None
    rejects_xxh3: str | None = None


class OutputFile(msgspec.Struct, omit_defaults=True):
    """A file that came out; `rows` where it has rows, `split` where it belongs to one."""

    file: str
    bytes: Count
    sha256: str
    rows: Count | None = None
    split: str | None = None


class Manifest(msgspec.Struct):
    """The whole manifest. `tokenizers`: the SHA-256 of each that a step used, by its name."""

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
    tokenizers: dict[str, str] = {}
    sha256: str = ""

    @property
    def is_counted(self) -> bool:
        """True where it says what each file gave, which version 0.1.0 did not write."""
        return all(entry.refused or entry.records is not None for entry in self.inputs)

    def encode(self) -> bytes:
        """The bytes of `manifest.json`; `sha256` is their digest while it is empty itself."""
        self.sha256 = ""
        self.sha256 = hashlib.sha256(msgspec.json.encode(self)).hexdigest()
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def read(folder: Path) -> Manifest:
    """The manifest of a build.

    Raises UsageError where the folder is no build, CheckError where its manifest cannot be read.
    """
    try:
        data = read_whole(folder / "manifest.json")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{folder}: is no build: it has no manifest.json") from error
    try:
        schema = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get("schema")
        number = msgspec.json.decode(schema or b"null", type=int)
        if number > SCHEMA:
            raise CheckError(f"manifest.json: has schema {number}; this version knows {SCHEMA}")
        return msgspec.json.decode(data, type=Manifest)
    except FAILURES as error:
        raise CheckError(f"manifest.json: is no manifest: {error}") from error


def is_untouched(data: bytes) -> bool:
    """True where a manifest's bytes have the digest they hold, whatever fields there are."""
    try:
        body = msgspec.json.decode(data)
        told, body["sha256"] = body.get("sha256"), ""
        found = hashlib.sha256(msgspec.json.encode(body)).hexdigest()
        body["sha256"] = found
        whole = msgspec.json.format(msgspec.json.encode(body), indent=2) + b"\n"
    except (*FAILURES, OverflowError):
        return False
    return bool(told == found and data == whole)


def read_whole(path: Path) -> bytes:
    """The bytes of a file that is small in every build.

    Raises CheckError where it is no regular file, cannot be read or is far too large.
    """
    try:
        # A pipe without a writer would be waited for.
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(number, "rb") as file:
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode):
                raise CheckError(f"{path.name}: is no regular file")
            if status.st_size > _MOST_BYTES:
                raise CheckError(f"{path.name}: has {status.st_size} bytes, more than it can have")
            return file.read(_MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise CheckError(f"{path.name}: cannot be read: {error.strerror}") from error


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


def read_rows(folder: Path, name: str, kind: type[T]) -> Iterator[T]:
    """The rows of JSON Lines, packed with zstd or not; none where there is no such file.

    Raises CheckError, naming the row, where one cannot be read.
    """
    zstd = zstd_module()
    decode = msgspec.json.Decoder(kind).decode
    if not (folder / name).exists():
        return
    number = 0
    open_any: Any = zstd.open if name.endswith(".zst") else open
    try:
        with open_any(folder / name, "rb") as file:
            while line := file.readline(LINE_BYTES):
                if not line.endswith(b"\n"):
                    raise CheckError(f"{name}: row {number} is cut off")
                yield decode(line)
                number += 1
    except (*FAILURES, zstd.ZstdError, EOFError, OSError) as error:
        raise CheckError(f"{name}: row {number} cannot be read: {error}") from error


def read_verdicts(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of `rejects.jsonl` or `dropped.jsonl.zst`."""
    return read_rows(path.parent, path.name, dict[str, Any])


class Log(NamedTuple):
    """What `build.log.jsonl` tells: where the build read its inputs, in their order.

    `sealed`: its last line holds the digest of those before it. `broken`: the first row that is
    none.
    """

    inputs: list[dict[str, str]]
    sealed: bool
    broken: int | None


def write_sealed_log(path: Path, events: list[dict[str, Any]]) -> None:
    """Write `build.log.jsonl`. No manifest can hold its digest, so its own last line does."""
    body = b"".join(_event(event) for event in events)
    path.write_bytes(body + _event({"event": "end", "sha256": hashlib.sha256(body).hexdigest()}))


def read_log(folder: Path) -> Log | None:
    """What the log tells; None where it was left out.

    Raises CheckError where it cannot be read at all.
    """
    try:
        data = read_whole(folder / LOG)
    except FileNotFoundError:
        return None
    *rows, rest = data.split(b"\n")
    inputs: list[dict[str, str]] = []
    broken = len(rows) if rest else None
    for number, row in enumerate(rows):
        try:
            # Paths may hold bytes that are no characters, which only the standard library reads.
            event = json.loads(row)
            if event["event"] == "input":
                inputs.append({name: str(event[name]) for name in _INPUT_KEYS})
        except (ValueError, KeyError, TypeError, RecursionError):
            broken = number if broken is None else broken
    body = b"".join(row + b"\n" for row in rows[:-1])
    seal = _event({"event": "end", "sha256": hashlib.sha256(body).hexdigest()})
    return Log(inputs, sealed=data == body + seal, broken=broken)


def input_paths(root: Path) -> list[dict[str, str]]:
    """Where the build read its inputs, from its log; empty where the log is not there."""
    log = read_log(root)
    return [] if log is None else log.inputs


def _event(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=True).encode() + b"\n"
