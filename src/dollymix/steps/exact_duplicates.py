"""Leaves out examples that are equal to an earlier one, keeping the first in canonical order.

Equal means: instruction, context and response the same letter for letter; with `fold: true` the
same in the normal form (NFC, case folded, invisible characters gone, white space one blank).

    steps: [{exact_duplicates: {fold: true, fields: [instruction, response]}}]

Compared by the 128-bit XXH3 hash of the fields, each with its length before it. The verdict's
`because_of` names the example that stays. Duplicates: `duplicate.exact`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import msgspec
import xxhash

from dollymix.example import Example
from dollymix.ledger import Outcome
from dollymix.steps import Decision
from dollymix.text import normal_form

Field = Literal["instruction", "context", "response", "category", "system", "rejected"]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`fields`: those that must be equal. `fold`: compare the normal form."""

    fields: Annotated[tuple[Field, ...], msgspec.Meta(min_length=1)] = (
        "instruction",
        "context",
        "response",
    )
    fold: bool = False
    outcome: ClassVar[Outcome] = "duplicate"

    def versions(self) -> dict[str, str]:
        """The version of Unicode that folds."""
        return {"unicode": unicodedata.unidata_version} if self.fold else {}

    def key(self, example: Example) -> bytes:
        """The hash of the fields, 16 bytes."""
        values = [getattr(example, name) for name in self.fields]
        if self.fold:
            values = [normal_form(value) for value in values]
        parts = [value.encode() for value in values]
        head = ",".join([str(len(part)) for part in parts])
        return xxhash.xxh3_128_digest(b"".join((head.encode(), b";", *parts)))

    def decide(self, group: list[int]) -> Iterator[Decision]:
        """All but the first go."""
        first = group[0]
        for member in group[1:]:
            yield Decision(member, first, "duplicate.exact", "equal to an earlier example")
