"""KorQuAD 2: whole Wikipedia pages as HTML, with questions whose answers may be HTML.

Source: KorQuAD 2.0 and 2.1 (CC BY-ND 2.0 KR), https://korquad.github.io

Sample:

    {"title": "예고범", "url": "https://ko.wikipedia.org/wiki/예고범", "context": "<p>감독은 <a>나카무라</a>이다.</p>", "raw_html": "<p>...</p>", "qas": [{"id": "8089", "question": "감독은 누구인가?", "answer": {"text": "<a>나카무라</a>", "answer_start": 7, "html_answer_text": "<a>나카무라</a>", "html_answer_start": 90}}]}

becomes one example a question: question as the instruction, the page's `context` (tags and all),
the answer's text as the response. A document keeps its pages under `data`, a list or one page.
A part is a question; its path is `qas[2]`. `version`, `url`, `raw_html` and ids may be absent.

Rejects: `schema.no_answer`, `schema.empty`, `qa.answer_not_in_context`, `schema.type`,
`schema.null`, `schema.missing_field`. Warnings: `qa.offset_mismatch`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dollymix.decoding import Problem
from dollymix.example import Example, Origin
from dollymix.formats import (
    Foreign,
    Parsed,
    decode_part,
    only_rejected,
    read_beside,
    rejected,
    unreadable_value,
)
from dollymix.formats.squad import answered, with_meta

RECORDS_AT = ("data",)
ONE_RECORD = True
SIGNATURE = (frozenset({"context", "qas"}), frozenset({"raw_html", "qas"}))


class Answer(msgspec.Struct, frozen=True):
    """A span of the page's `context`, in code points, and the same of `raw_html`."""

    text: str
    answer_start: int | UnsetType | None = UNSET
    html_answer_text: Raw | UnsetType = UNSET
    html_answer_start: Raw | UnsetType = UNSET


class Question(msgspec.Struct, frozen=True):
    """A question with its one answer."""

    question: str
    answer: Answer | UnsetType | None = UNSET
    id: Raw | UnsetType = UNSET


class Row(Foreign, kw_only=True):
    """A page. `raw_html` is known and passed over."""

    context: str
    qas: list[Question]
    title: str | UnsetType | None = UNSET
    url: str | UnsetType | None = UNSET
    raw_html: Raw | UnsetType = UNSET


class LooseRow(Foreign, kw_only=True):
    """A page whose questions are not read yet."""

    context: str
    qas: list[Raw]
    title: str | UnsetType | None = UNSET
    url: str | UnsetType | None = UNSET


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`not_in_context: keep` keeps an answer that its page does not hold, with a warning."""

    not_in_context: Literal["reject", "keep"] = "reject"


_loose_row = msgspec.json.Decoder(LooseRow)
_question = msgspec.json.Decoder(Question)


def parse(row: Row, raw: Any, origin: Origin, options: Options) -> Parsed:
    """One example a question."""
    return _page(row, list(row.qas), origin, options)


def recover(raw: Any, problem: Problem, origin: Origin, options: Options) -> Parsed:
    """A page of which a question has not the shape: that question alone is rejected."""
    row = decode_part(raw, _loose_row.decode)
    if isinstance(row, Problem):
        return only_rejected(origin, problem)
    return _page(row, [decode_part(part, _question.decode) for part in row.qas], origin, options)


def _page(
    row: Row | LooseRow, questions: list[Question | Problem], origin: Origin, options: Options
) -> Parsed:
    parsed = Parsed(parts=len(questions))
    beside = read_beside(row, ())
    if isinstance(beside, Problem):
        parsed.verdicts.append(rejected(origin, beside, parts=parsed.parts))
        return parsed
    for index, question in enumerate(questions):
        path = f"qas[{index}]"
        made = question
        if isinstance(question, Question):
            place = Origin(origin.source, origin.file, origin.record, path)
            made = _example(row, question, place, options)  # type: ignore[assignment]
        if isinstance(made, Problem):
            parsed.verdicts.append(rejected(origin, made, part=path))
        else:
            parsed.examples.append(made)  # type: ignore[arg-type]
            parsed.parts_used += 1
    return parsed


def _example(
    row: Row | LooseRow, question: Question, origin: Origin, options: Options
) -> Example | Problem:
    answer = question.answer
    if not isinstance(answer, Answer):
        return Problem("schema.no_answer", "", "has no answer")
    problem = unreadable_value(question.id, "id")
    if problem is not None:
        return problem
    title = row.title or ""
    start = answer.answer_start if isinstance(answer.answer_start, int) else None
    keep = options.not_in_context == "keep"
    example = answered(origin, title, row.context, question.question, answer.text, start, keep=keep)
    if isinstance(example, Problem):
        return example
    return with_meta(example, title, question.id, url=row.url or "")


def render(example: Example) -> dict[str, object]:
    """A page of one question, without `raw_html`, which is not kept."""
    meta = example.meta or {}
    start = example.answer_start
    if start is None:
        start = example.context.find(example.response)
    answer = {"text": example.response, "answer_start": start}
    question = {"id": str(example.origin), "question": example.instruction, "answer": answer}
    page: dict[str, object] = {key: meta[key] for key in ("title", "url") if key in meta}
    return page | {"context": example.context, "qas": [question]}
