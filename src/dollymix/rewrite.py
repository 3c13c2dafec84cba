"""Where the answer stands in the context, and texts changed alike with that place carried along."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from dollymix.example import Example, Message

LOST = "qa.answer_start_lost"
_TEXTS = ("instruction", "context", "response", "system", "rejected")
_TURNS = ("history", "after")


def answer_span(example: Example) -> tuple[int, int] | None:
    """Where the response begins and ends in the context; None where that is not said, or not so."""
    start, response = example.answer_start, example.response
    if start is None or start < 0 or not response:
        return None
    return (start, start + len(response)) if example.context.startswith(response, start) else None


def texts(example: Example) -> Iterator[tuple[str, str]]:
    """The name and the text of each field that has one; turns of the conversation too."""
    for name in _TEXTS:
        if text := getattr(example, name):
            yield name, text
    if example.history or example.after:
        for name in _TURNS:
            for message in getattr(example, name):
                yield name, message.content


def rewritten(example: Example, change: Callable[[str], str]) -> Example:
    """The example with each of its texts as `change` gives it back: the same object where it
    changes nothing. Where `answer_start` cannot be carried, it is None and the flag says so."""
    made: dict[str, Any] = {}
    for name in _TEXTS:
        text = getattr(example, name)
        if text and (new := change(text)) is not text:
            made[name] = new
    if example.history or example.after:
        made.update(_turns(example, change))
    if not made:
        return example
    if example.answer_start is not None and ("context" in made or "response" in made):
        context = made.get("context", example.context)
        response = made.get("response", example.response)
        start = _carried(example, context, response, change)
        made["answer_start"] = start
        if start is None:
            made["flags"] = (*example.flags, LOST)
    return msgspec.structs.replace(example, **made)


def _turns(example: Example, change: Callable[[str], str]) -> dict[str, tuple[Message, ...]]:
    made = {}
    for name in _TURNS:
        old: tuple[Message, ...] = getattr(example, name)
        new = tuple(_message(message, change) for message in old)
        if any(a is not b for a, b in zip(old, new, strict=True)):
            made[name] = new
    return made


def _message(message: Message, change: Callable[[str], str]) -> Message:
    content = change(message.content)
    if content is message.content:
        return message
    return msgspec.structs.replace(message, content=content)


def _carried(
    example: Example, context: str, response: str, change: Callable[[str], str]
) -> int | None:
    """Where the changed answer starts in the changed context; None where that is not certain."""
    if not response:
        return None
    # What stands before the answer, changed by itself, may lose blanks at its end, no more.
    before = len(change(example.context[: example.answer_start]))
    start = context.find(response, before)
    if start < 0 or context[before:start].strip():
        return None
    return start
