"""The source formats: each a module that knows one, found by its file name. Pure; knows no file.

A format module has

* a docstring: what it is, where it comes from, a sample, the examples it becomes;
* `RECORDS_AT`: the keys under which a document may keep its list of records; `ONE_RECORD = True`
  where one record may stand there in place of a list;
* `SIGNATURE`: sets of keys, any of which tells a record of this format;
* `Row`: the shape of a record, a `msgspec.Struct`; `Options`: a frozen one, all with defaults;
* `parse(row, raw, origin, options)`: a record that has the shape to examples and verdicts;
* `recover(raw, problem, origin, options)`, where a record has parts: one that has not the shape,
  read part by part, so that a bad part costs itself alone;
* `render(example)`: the example as a record of this format, ready to be encoded.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dollymix.decoding import FAILURES, Problem, explain_failure, join
from dollymix.errors import UsageError
from dollymix.example import Example, Message, Origin
from dollymix.ledger import Verdict, reject
from dollymix.modules import import_dotted
from dollymix.text import is_blank, nearest

T = TypeVar("T")


class Parsed(msgspec.Struct):
    """What a record became. `parts_used` counts parts that are in an example."""

    parts: int = 1
    parts_used: int = 0
    examples: list[Example] = []
    verdicts: list[Verdict] = []


class Format(Protocol):
    """The contract of a format module; `recover` is there where records have parts."""

    __name__: str
    __doc__: str | None
    RECORDS_AT: tuple[str, ...]
    SIGNATURE: tuple[frozenset[str], ...]
    Row: type[msgspec.Struct]
    Options: type[msgspec.Struct]

    def parse(self, row: Any, raw: Any, origin: Origin, options: Any) -> Parsed:
        """The examples and verdicts of a row; `raw` is the text it was decoded from."""

    def render(self, example: Example) -> object:
        """The example as a record of this format."""


class Foreign(msgspec.Struct):
    """Keys to which some format gives a meaning: each row reads them or rejects the record."""

    system: Raw | UnsetType = UNSET
    history: Raw | UnsetType = UNSET
    tools: Raw | UnsetType = UNSET
    rejected: Raw | UnsetType = UNSET
    chosen: Raw | UnsetType = UNSET
    images: Raw | UnsetType = UNSET
    image: Raw | UnsetType = UNSET
    videos: Raw | UnsetType = UNSET
    audios: Raw | UnsetType = UNSET


class Beside(msgspec.Struct):
    """What a row says beside its four Dolly fields."""

    system: str = ""
    history: tuple[Message, ...] = ()
    tools: Raw | None = None
    rejected: str = ""


_FOREIGN = Foreign.__struct_fields__
_NOTHING_BESIDE = Beside()
_ABSENT = frozenset((b"null", b'""', b"[]", b"{}"))


@functools.cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def names() -> list[str]:
    """The names of the formats there are, sorted."""
    return list(_names())


def load(name: str) -> Format:
    """The format of that name; a dotted name is imported as given.

    Raises UsageError for an unknown name. An import error inside a module is shown as it is.
    """
    if "." in name:
        module: Any = import_dotted(name)
        missing = [
            part for part in ("Row", "Options", "SIGNATURE", "parse") if not hasattr(module, part)
        ]
        if missing:
            raise UsageError(f"format `{name}`: the module has no {', '.join(missing)}")
        loaded: Format = module
        return loaded
    if name not in names():
        near = nearest(name, names())
        hint = f" Did you mean `{near}`?" if near else f" There are: {', '.join(names())}."
        raise UsageError(f"format `{name}`: is not known.{hint}")
    return importlib.import_module(f"{__name__}.{name}")


def recognise(keys: set[str], candidates: list[str] | None = None) -> str | None:
    """The format whose signature holds the most of these keys, or None where none matches."""
    best, size = None, 0
    for name in _names() if candidates is None else candidates:
        for signature in load(name).SIGNATURE:
            if len(signature) > size and signature <= keys:
                best, size = name, len(signature)
    return best


def record_keys() -> tuple[str, ...]:
    """The keys under which some format's documents keep their records."""
    return tuple(sorted({key for name in names() for key in load(name).RECORDS_AT}))


def decode_part(raw: Any, decode: Callable[[Any], T]) -> T | Problem:
    """A part of a record as a typed value, or the reason why it is none."""
    try:
        return decode(raw)
    except FAILURES as error:
        problem = explain_failure(raw, error)
    if problem.reason != "schema.not_object":
        return problem
    # Only a record is an object or nothing; a part is of the wrong type, as any value.
    reason = "schema.null" if bytes(raw) == b"null" else "schema.type"
    return Problem(reason, problem.path, problem.message)


def unreadable_value(raw: Any, path: str = "") -> Problem | None:
    """Why a value cannot be kept as it is written; None where it can, or is not there.

    The decoder looks through a value that no shape reads, but for the bytes of its strings.
    """
    if raw is UNSET:
        return None
    try:
        bytes(raw).decode()
    except UnicodeDecodeError as error:
        problem = explain_failure(raw, error)
        return Problem(problem.reason, path, problem.message)
    return None


def parse_record(
    shapes: tuple[str, ...], raw: Any, origin: Origin, options: dict[str, Any] | None = None
) -> Parsed:
    """One record by that of the formats whose keys it has, else by the first."""
    form = load(choose(shapes, raw))
    known = form.Options.__struct_fields__
    mine = {key: value for key, value in (options or {}).items() if key in known}
    chosen = msgspec.convert(mine, form.Options)
    try:
        row = msgspec.json.decode(raw, type=form.Row)
    except FAILURES as error:
        problem = explain_failure(raw, error)
        recover = getattr(form, "recover", None)
        if recover is None or not may_recover(problem):
            return only_rejected(origin, problem)
        parsed: Parsed = recover(raw, problem, origin, chosen)
        return parsed
    return form.parse(row, raw, origin, chosen)


def choose(shapes: tuple[str, ...], raw: Any) -> str:
    """Which of several formats a record has, by its keys; the first where none can be told."""
    if len(shapes) == 1:
        return shapes[0]
    keys = decode_part(raw, _keys.decode)
    found = None if isinstance(keys, Problem) else recognise(set(keys), list(shapes))
    return found or shapes[0]


def may_recover(problem: Problem) -> bool:
    """True where a record that failed may still be read part by part."""
    return problem.reason.startswith("schema.") and problem.reason != "schema.not_object"


def rejected(origin: Origin, problem: Problem, *, part: str = "", parts: int = 1) -> Verdict:
    """The verdict on a part (empty: the record) with that problem, whose path is inside it."""
    path = join(part, problem.path)
    message = f"`{path}` {problem.message}" if path else f"the record {problem.message}"
    return reject(origin, part, problem.reason, message, path=path, parts=parts)


def only_rejected(origin: Origin, problem: Problem) -> Parsed:
    """A record of one part that came to nothing."""
    return Parsed(verdicts=[rejected(origin, problem)])


def read_beside(row: Foreign, supported: tuple[str, ...]) -> Beside | Problem:
    """The foreign keys of a row: those supported are read, any other that says something is a
    problem. A null, an empty string, list or object counts as absent."""
    found = _NOTHING_BESIDE
    for name in _FOREIGN:
        raw: Raw | UnsetType = getattr(row, name)
        if raw is UNSET or _is_absent(bytes(raw)):
            continue
        if name not in supported:
            return Problem(
                "schema.unsupported_field",
                name,
                "says something that this format has no place for: the record is not read half",
            )
        if found is _NOTHING_BESIDE:
            found = Beside()
        problem = _read_one(found, name, raw)
        if problem is not None:
            return problem
    return found


def _is_absent(raw: bytes) -> bool:
    # Blanks may stand inside empty brackets.
    return raw in _ABSENT or (raw[:1] in b"[{" and raw.translate(None, b" \t\r\n") in _ABSENT)


_ROW_SUPPORTS = ("system", "history", "tools", "rejected")


def plain_row(
    row: Foreign,
    origin: Origin,
    instruction: str,
    context: str | UnsetType | None,
    response: str,
    category: str | UnsetType | None = None,
    *,
    answer_name: str = "response",
) -> Parsed:
    """One example from the fields of a plain row; a blank instruction or response is rejected."""
    for name, value in (("instruction", instruction), (answer_name, response)):
        if is_blank(value):
            return only_rejected(origin, Problem("schema.empty", name, "is blank"))
    beside = read_beside(row, _ROW_SUPPORTS)
    if isinstance(beside, Problem):
        return only_rejected(origin, beside)
    example = Example(
        instruction=instruction,
        context=context or "",
        response=response,
        category=category or "",
        origin=origin,
        system=beside.system,
        history=beside.history,
        tools=beside.tools,
        rejected=beside.rejected,
    )
    return Parsed(parts_used=1, examples=[example])


_keys = msgspec.json.Decoder(dict[str, Raw])
_text = msgspec.json.Decoder(str)
_pairs = msgspec.json.Decoder(list[tuple[str, str]])


def _read_one(found: Beside, name: str, raw: Raw) -> Problem | None:
    if name == "tools":
        found.tools = raw.copy()
        return unreadable_value(raw, name)
    value = decode_part(raw, _pairs.decode) if name == "history" else decode_part(raw, _text.decode)
    if isinstance(value, Problem):
        return Problem(value.reason, f"{name}{value.path}", value.message)
    if isinstance(value, list):
        found.history = tuple(
            Message(role, content)
            for pair in value
            for role, content in zip(("user", "assistant"), pair, strict=True)
        )
    else:
        setattr(found, name, value)
    return None
