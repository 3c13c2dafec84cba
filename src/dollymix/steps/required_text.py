"""Leaves out examples in which a field that must say something is blank.

Blank is white space and invisible characters alone. Formats already reject a record whose
instruction or response is blank; this step holds for what other steps left, and for other fields:

    steps: [{required_text: {fields: [instruction, context, response]}}]

Filters: `text.blank`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from dollymix.example import Example
from dollymix.ledger import Verdict, filtered
from dollymix.text import is_blank

Field = Literal["instruction", "context", "response", "category"]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`fields`: those that must not be blank."""

    fields: Annotated[tuple[Field, ...], msgspec.Meta(min_length=1)] = ("instruction", "response")

    def __call__(self, example: Example) -> Example | Verdict:
        """The example as it is, or the verdict that a field is blank."""
        for name in self.fields:
            if is_blank(getattr(example, name)):
                return filtered(example, "required_text", "text.blank", f"`{name}` is blank")
        return example
