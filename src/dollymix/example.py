"""Origin, Message and Example: a Dolly record on its way, and where it came from."""

from __future__ import annotations

import msgspec


class Origin(msgspec.Struct, frozen=True, gc=False):
    """The place a thing came from; printed, it is the id.

    `record` counts from 0. Inside a unit it counts from the unit's first record, until the parent
    knows how many records stand before the unit.
    """

    source: str
    file: str
    record: int
    path: str = ""

    def __str__(self) -> str:
        return identifier(self.source, self.file, self.record, self.path)


def identifier(source: str, file: str, record: int, path: str) -> str:
    """The id of a place: `source/file#12.conversations[3]`."""
    return f"{source}/{file}#{record}.{path}" if path else f"{source}/{file}#{record}"


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation. `extra` holds the turn's other keys as raw JSON."""

    role: str
    content: str
    extra: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Example(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One Dolly record with everything that is known about it.

    The four Dolly keys are text; `context` may be empty. `group` is what a split must not tear
    apart (empty: the record itself). `flags` are dotted codes, counted as warnings.
    """

    instruction: str
    response: str
    origin: Origin
    context: str = ""
    category: str = ""
    group: str = ""
    flags: tuple[str, ...] = ()
    system: str = ""
    history: tuple[Message, ...] = ()
    after: tuple[Message, ...] = ()
    tools: msgspec.Raw | None = None
    rejected: str = ""
    answer_start: int | None = None
    meta: dict[str, object] | None = None

    def characters(self) -> int:
        """How many characters (code points) its instruction, context and response have."""
        return len(self.instruction) + len(self.context) + len(self.response)


class Dolly(msgspec.Struct, frozen=True, gc=False):
    """The four keys of an output line, in their order."""

    instruction: str
    context: str
    response: str
    category: str
