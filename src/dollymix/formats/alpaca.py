"""Alpaca: rows of instruction, input and output.

Source: Stanford Alpaca (CC BY-NC 4.0), https://github.com/tatsu-lab/stanford_alpaca, and its
Korean versions (KoAlpaca, Bingsu/ko_alpaca_data).

Sample:

    {"instruction": "다음 나라의 수도를 쓰세요.", "input": "캐나다", "output": "오타와입니다."}

becomes one example: instruction, input as the context, output as the response. `input` may be
missing or null; `output` may be called `response`, `input` may be called `context`. `system`, `history` (pairs), `tools` and
`rejected` are read where a record has them.

Rejects: `schema.empty` (instruction or output blank), `schema.missing_field`, `schema.null`,
`schema.duplicate_field` (output and response, or input and context, both say something),
`schema.unsupported_field`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dollymix.decoding import Problem
from dollymix.example import Example, Origin
from dollymix.formats import Foreign, Parsed, only_rejected, plain_row

RECORDS_AT: tuple[str, ...] = ()
SIGNATURE = (frozenset({"instruction", "output"}), frozenset({"instruction", "response"}))


class Row(Foreign, kw_only=True):
    """An Alpaca row."""

    instruction: str
    input: str | UnsetType | None = UNSET
    output: str | UnsetType | None = UNSET
    response: str | UnsetType | None = UNSET
    context: str | UnsetType | None = UNSET
    id: Raw | UnsetType = UNSET


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None."""


def parse(row: Row, raw: Any, origin: Origin, options: Options) -> Parsed:
    """One example a row."""
    sides = (("output", row.output), ("response", row.response))
    said = [(name, text) for name, text in sides if isinstance(text, str)]
    if not said:
        return only_rejected(origin, _no_answer(row))
    name, answer = next((side for side in said if side[1]), said[0])
    if row.output and row.response and row.output != row.response:
        problem = Problem("schema.duplicate_field", "response", "differs from `output`")
        return only_rejected(origin, problem)
    if row.input and row.context:
        problem = Problem("schema.duplicate_field", "context", "stands beside `input`")
        return only_rejected(origin, problem)
    context = row.input or row.context
    return plain_row(row, origin, row.instruction, context, answer, answer_name=name)


def _no_answer(row: Row) -> Problem:
    if row.output is None or row.response is None:
        return Problem("schema.null", "output", "is null: expected `str`")
    return Problem("schema.missing_field", "output", "is missing, and so is `response`")


def render(example: Example) -> dict[str, object]:
    """The row, with system, history, tools and rejected where the example has them."""
    row: dict[str, object] = {
        "instruction": example.instruction,
        "input": example.context,
        "output": example.response,
    }
    if example.system:
        row["system"] = example.system
    if example.history:
        texts = [message.content for message in example.history]
        row["history"] = list(zip(texts[::2], texts[1::2], strict=False))
    if example.tools is not None:
        row["tools"] = example.tools
    if example.rejected:
        row["rejected"] = example.rejected
    return row
