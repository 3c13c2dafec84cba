"""Dolly: the target form itself, JSON Lines of four keys.

Source: databricks-dolly-15k (CC BY-SA 3.0), https://huggingface.co/datasets/databricks/databricks-dolly-15k

Sample:

    {"instruction": "언제 운항을 시작했나요?", "context": "이 항공사는 2000년에 첫 운항을 했다.", "response": "2000년입니다.", "category": "closed_qa"}

becomes one example with the same four fields. `context` and `category` may be missing or null.
`system`, `history` (pairs), `tools` and `rejected` are read where a record has them.

Rejects: `schema.empty` (instruction or response blank), `schema.unsupported_field`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dollymix.decoding import Problem
from dollymix.example import Dolly, Example, Origin
from dollymix.formats import Foreign, Parsed, only_rejected, plain_row

RECORDS_AT: tuple[str, ...] = ()
SIGNATURE = (
    frozenset({"instruction", "response", "context"}),
    frozenset({"instruction", "response", "category"}),
)


class Row(Foreign, kw_only=True):
    """A Dolly record."""

    instruction: str
    response: str
    context: str | UnsetType | None = UNSET
    category: str | UnsetType | None = UNSET
    input: str | UnsetType | None = UNSET
    id: Raw | UnsetType = UNSET


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None."""


def parse(row: Row, raw: Any, origin: Origin, options: Options) -> Parsed:
    """One example a record."""
    if row.input:
        problem = Problem("schema.unsupported_field", "input", "has no place: context is `context`")
        return only_rejected(origin, problem)
    return plain_row(row, origin, row.instruction, row.context, row.response, row.category)


def render(example: Example) -> Dolly:
    """The four keys."""
    return Dolly(example.instruction, example.context, example.response, example.category)
