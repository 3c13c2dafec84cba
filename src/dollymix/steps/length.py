"""Leaves out examples of which a field is too short or too long.

    steps: [{length: {response: {min: 2, max: 8000}, all: {max: 20000}}}]
    steps: [{length: {unit: tokens, tokenizer: tokenizer.json, all: {max: 2048}}}]

Length is counted in characters (code points), in words (what stands between white space), or in the
tokens of a `tokenizer.json`, without special tokens (`pip install 'dollymix[tokenizers]'`).
`all` is instruction, context and response together. Without a bound nothing is taken. An empty
context is not too short.

Filters: `length.too_short`, `length.too_long`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Annotated, Literal

import msgspec

from dollymix import tokens
from dollymix.example import Example
from dollymix.ledger import Verdict, filtered

Count = Annotated[int, msgspec.Meta(ge=0)]

_FIELDS = ("instruction", "context", "response")


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`min`, `max`: the least and the most that stays; None for no bound."""

    min: Count | None = None
    max: Count | None = None

    def __post_init__(self) -> None:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(
                f"`min` is {self.min}, more than `max`, {self.max}: nothing would stay"
            )


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """`instruction`, `context`, `response`, `all`: the `min` and `max` of that text; `unit`:
    `characters`, `words` or `tokens`; `tokenizer`: the path of a `tokenizer.json`, for tokens."""

    instruction: Bounds = Bounds()
    context: Bounds = Bounds()
    response: Bounds = Bounds()
    all: Bounds = Bounds()
    unit: Literal["characters", "words", "tokens"] = "characters"
    tokenizer: str = ""

    def __post_init__(self) -> None:
        if self.unit == "tokens" and not self.tokenizer:
            raise ValueError("`unit: tokens` needs `tokenizer`, the path of a tokenizer.json")
        if self.tokenizer and self.unit != "tokens":
            raise ValueError("`tokenizer` is for `unit: tokens`")

    def versions(self) -> dict[str, str]:
        """The version of what counts tokens."""
        return tokens.versions(self.tokenizer)

    def __call__(self, example: Example) -> Example | Verdict:
        """The example as it is, or the verdict on its length."""
        for name, bounds in self._bounds:
            if name == "all":
                size = sum(self._measure(getattr(example, field)) for field in _FIELDS)
            else:
                size = self._measure(getattr(example, name))
            if bounds.max is not None and size > bounds.max:
                return self._verdict(example, name, size, bounds.max, "too_long")
            if bounds.min is not None and size < bounds.min and (size or name != "context"):
                return self._verdict(example, name, size, bounds.min, "too_short")
        return example

    def _verdict(self, example: Example, name: str, size: int, bound: int, how: str) -> Verdict:
        reason = "length.too_long" if how == "too_long" else "length.too_short"
        word = "more" if how == "too_long" else "fewer"
        what = "instruction, context and response have" if name == "all" else f"`{name}` has"
        return filtered(
            example, "length", reason, f"{what} {size} {self.unit}, {word} than {bound}"
        )

    @cached_property
    def _bounds(self) -> tuple[tuple[str, Bounds], ...]:
        every = ((name, getattr(self, name)) for name in (*_FIELDS, "all"))
        return tuple((name, bounds) for name, bounds in every if bounds != Bounds())

    @cached_property
    def _measure(self) -> Callable[[str], int]:
        if self.unit == "characters":
            return len
        if self.unit == "words":
            return _words
        return partial(tokens.count, self.tokenizer)


def _words(text: str) -> int:
    return len(text.split())
