"""SQuAD and its relatives: articles of paragraphs, each with a context and questions.

Source: SQuAD 1.1 and 2.0 (CC BY-SA 4.0), https://rajpurkar.github.io/SQuAD-explorer; KorQuAD 1.0
(CC BY-ND 2.0 KR), https://korquad.github.io; KLUE-MRC (CC BY-SA 4.0); QuAC; the machine-reading
sets of AI Hub.

Sample:

    {"title": "한강", "paragraphs": [{"context": "한강은 서울을 지나 서해로 흐른다.", "qas": [{"id": "1-0-0", "question": "한강이 흘러드는 바다는?", "answers": [{"text": "서해", "answer_start": 11}]}]}]}

becomes one example a question: question as the instruction, context, the first answer as the
response. A document keeps its articles under `data`; JSON Lines of articles are read as well.
A part is a question; its path is `paragraphs[0].qas[2]` (with `answers: all` that of the answer).
The article's title is the group and goes to `meta`, with the question's id and its other answers.

Rejects: `schema.no_answer` (no answers, or an impossible question), `schema.empty` (question or
answer blank), `qa.answer_not_in_context`, `schema.type`, `schema.null`, `schema.missing_field`.
Warnings: `qa.offset_mismatch` (the answer stands elsewhere in its context than it says).
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
from dollymix.text import is_blank, quoted

RECORDS_AT = ("data",)
SIGNATURE = (frozenset({"paragraphs"}),)


class Answer(msgspec.Struct, frozen=True):
    """A span of the context, in code points."""

    text: str
    answer_start: int | UnsetType | None = UNSET


class Question(msgspec.Struct, frozen=True):
    """A question with its answers."""

    question: str
    answers: list[Answer] | UnsetType | None = UNSET
    id: Raw | UnsetType = UNSET
    guid: Raw | UnsetType = UNSET
    is_impossible: bool | UnsetType | None = UNSET
    plausible_answers: Raw | UnsetType = UNSET


class Paragraph(msgspec.Struct, frozen=True):
    """A context with its questions."""

    context: str
    qas: list[Question]


class Row(Foreign, kw_only=True):
    """An article."""

    paragraphs: list[Paragraph]
    title: str | UnsetType | None = UNSET


class LooseParagraph(msgspec.Struct, frozen=True):
    """A paragraph whose questions are not read yet."""

    context: str
    qas: list[Raw]


class LooseRow(Foreign, kw_only=True):
    """An article whose paragraphs are not read yet."""

    paragraphs: list[Raw]
    title: str | UnsetType | None = UNSET


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`answers`: the first alone, or one example for each different text (`all`).

    `not_in_context: keep` keeps an answer that its context does not hold, with a warning.
    """

    answers: Literal["first", "all"] = "first"
    not_in_context: Literal["reject", "keep"] = "reject"


_loose_row = msgspec.json.Decoder(LooseRow)
_loose_paragraph = msgspec.json.Decoder(LooseParagraph)
_question = msgspec.json.Decoder(Question)


def parse(row: Row, raw: Any, origin: Origin, options: Options) -> Parsed:
    """One example a question."""
    parsed = Parsed(parts=0)
    beside = read_beside(row, ())
    if isinstance(beside, Problem):
        parsed.parts = sum(len(paragraph.qas) for paragraph in row.paragraphs)
        parsed.verdicts.append(rejected(origin, beside, parts=parsed.parts))
        return parsed
    for number, paragraph in enumerate(row.paragraphs):
        _paragraph(parsed, origin, row.title, number, paragraph.context, paragraph.qas, options)
    return parsed


def recover(raw: Any, problem: Problem, origin: Origin, options: Options) -> Parsed:
    """An article of which a paragraph or question has not the shape: that one is rejected."""
    row = decode_part(raw, _loose_row.decode)
    if isinstance(row, Problem):
        return only_rejected(origin, problem)
    parsed = Parsed(parts=0)
    beside = read_beside(row, ())
    if isinstance(beside, Problem):
        parts = [decode_part(part, _loose_paragraph.decode) for part in row.paragraphs]
        count = sum(1 if isinstance(part, Problem) else len(part.qas) for part in parts)
        return Parsed(parts=count, verdicts=[rejected(origin, beside, parts=count)])
    for number, loose in enumerate(row.paragraphs):
        paragraph = decode_part(loose, _loose_paragraph.decode)
        if isinstance(paragraph, Problem):
            # Its questions cannot be counted: the paragraph is one part.
            parsed.parts += 1
            part = f"paragraphs[{number}]"
            parsed.verdicts.append(rejected(origin, paragraph, part=part))
            continue
        questions = [decode_part(question, _question.decode) for question in paragraph.qas]
        _paragraph(parsed, origin, row.title, number, paragraph.context, questions, options)
    return parsed


def _paragraph(
    parsed: Parsed,
    origin: Origin,
    title: str | UnsetType | None,
    number: int,
    context: str,
    questions: list[Question] | list[Question | Problem],
    options: Options,
) -> None:
    parsed.parts += len(questions)
    for index, question in enumerate(questions):
        path = f"paragraphs[{number}].qas[{index}]"
        if isinstance(question, Problem):
            parsed.verdicts.append(rejected(origin, question, part=path))
            continue
        problem = _examples(parsed, origin, path, title or "", context, question, options)
        if problem is not None:
            parsed.verdicts.append(rejected(origin, problem, part=path))
        else:
            parsed.parts_used += 1


def _examples(
    parsed: Parsed,
    origin: Origin,
    path: str,
    title: str,
    context: str,
    question: Question,
    options: Options,
) -> Problem | None:
    answers = question.answers or []
    if not answers or question.is_impossible:
        return Problem("schema.no_answer", "", "has no answer")
    chosen = answers if options.answers == "all" else answers[:1]
    identity = question.id if question.id is not UNSET else question.guid
    problem = unreadable_value(identity, "id")
    if problem is not None:
        return problem
    different = {answer.text: i for i, answer in reversed(list(enumerate(chosen)))}
    made: list[Example] = []
    for index in sorted(different.values()):
        answer = answers[index]
        place = Origin(
            origin.source,
            origin.file,
            origin.record,
            path if options.answers == "first" else f"{path}.answers[{index}]",
        )
        start = answer.answer_start if isinstance(answer.answer_start, int) else None
        keep = options.not_in_context == "keep"
        example = answered(place, title, context, question.question, answer.text, start, keep=keep)
        if isinstance(example, Problem):
            return example
        others = [a.text for i, a in enumerate(answers) if i != index]
        made.append(with_meta(example, title, identity, answers=others))
    parsed.examples += made
    return None


def answered(
    origin: Origin,
    title: str,
    context: str,
    question: str,
    answer: str,
    start: int | None,
    *,
    keep: bool,
) -> Example | Problem:
    """The example of a question and a span of its context, or why there is none.

    An answer that stands elsewhere keeps no `answer_start`; its offset is never repaired.
    """
    for name, text in (("question", question), ("answer", answer)):
        if is_blank(text):
            return Problem("schema.empty", "", f"has a blank {name}")
    flags: tuple[str, ...] = ()
    if start is not None and not (start >= 0 and context.startswith(answer, start)):
        flags, start = ("qa.offset_mismatch",), None
    if start is None and answer not in context:
        if not keep:
            message = f"has the answer {quoted(answer)}, which its context does not hold"
            return Problem("qa.answer_not_in_context", "", message)
        flags = ("qa.answer_not_in_context",)
    return Example(
        instruction=question,
        context=context,
        response=answer,
        origin=origin,
        group=title,
        flags=flags,
        answer_start=start,
    )


def with_meta(example: Example, title: str, identity: Raw | UnsetType, **other: object) -> Example:
    """The example with its title, its id in the source, and what else is not empty."""
    meta: dict[str, object] = {"title": title} if title else {}
    if identity is not UNSET:
        meta["id"] = identity.copy()
    meta.update({key: value for key, value in other.items() if value})
    return msgspec.structs.replace(example, meta=meta or None)


def render(example: Example) -> dict[str, object]:
    """An article of one paragraph and one question."""
    meta = example.meta or {}
    start = example.answer_start
    if start is None:
        start = example.context.find(example.response)
    answers = [{"text": example.response, "answer_start": start}]
    question = {
        "id": str(example.origin),
        "question": example.instruction,
        "answers": answers,
    }
    paragraph = {"context": example.context, "qas": [question]}
    return {"title": meta.get("title", ""), "paragraphs": [paragraph]}
