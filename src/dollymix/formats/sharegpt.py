"""ShareGPT: conversations of from/value turns, as in the KoVicuna files.

Source: https://huggingface.co/datasets/junelee/sharegpt_deepl_ko (CC BY 2.0 KR for the
translation; the texts are of ShareGPT's users, under OpenAI's terms).

Sample:

    {"id": "QWJhYvA_0", "conversations": [{"from": "human", "value": "첫 질문"}, {"from": "gpt", "value": "첫 답"}, {"from": "human", "value": "둘째 질문"}, {"from": "gpt", "value": "둘째 답"}]}

becomes two examples, one for each `gpt` turn that stands directly after a `human` turn: the human
turn is the instruction, the gpt turn the response. The path of an example is its response turn.

A part is a turn. Roles known: `human`, `user` (instruction); `gpt`, `assistant`, `chatgpt`,
`bard`, `bing` (response); `system`; `tool`, `function_call`, `observation`. Blanks round a role's
name do not count. A system turn, or a `system` key beside the turns, fills `system` of the
examples behind it. The layout `conversation: [{"human", "assistant"}]` is read as well.

Rejects: `turn.unpaired` (a turn that finds no partner), `schema.empty` (a pair with a blank side,
or no turns at all), `schema.role`, `schema.type`, `schema.null`, `schema.missing_field` (one turn),
`schema.no_answer`, `schema.no_question` (`turns: whole`), `schema.unsupported_field`,
`schema.duplicate_field` (both layouts at once).
Warnings: `chat.roles_swapped` (the `roles` option makes the model answer as the person),
`text.invisible` (a side holds invisible characters alone: real ShareGPT has answers that are one
zero-width space; the step `required_text` takes them out). A side of white space is blank.
With `turns: whole`: `chat.leading_assistant`, `chat.role_repeat`, `chat.trailing_question`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dollymix.decoding import FAILURES, Problem, explain_failure, join
from dollymix.example import Example, Message, Origin
from dollymix.formats import (
    Beside,
    Foreign,
    Parsed,
    decode_part,
    only_rejected,
    read_beside,
    rejected,
    unreadable_value,
)
from dollymix.ledger import reject
from dollymix.text import is_blank, quoted

RECORDS_AT: tuple[str, ...] = ()
SIGNATURE = (frozenset({"conversations"}), frozenset({"conversation"}))

Kind = Literal["instruction", "response", "system", "other"]

_INSTRUCTION = ("human", "user")
_RESPONSE = ("gpt", "assistant", "chatgpt", "bard", "bing")
_SUPPORTED = ("system", "tools")
# Conversations that were cut for length carry the index of their first turn: QWJhYvA_0, QWJhYvA_4.
_FAMILY = re.compile(r"([A-Za-z0-9]{7})_[0-9]+")


class Turn(msgspec.Struct, frozen=True, gc=False):
    """One turn."""

    value: str
    role: str = msgspec.field(name="from")


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """A question and its answer, in the other layout."""

    human: str
    assistant: str


class Row(Foreign, kw_only=True):
    """A conversation."""

    conversations: list[Turn] | UnsetType = UNSET
    conversation: list[Exchange] | UnsetType = UNSET
    id: Raw | UnsetType = UNSET


class LooseRow(Foreign, kw_only=True):
    """A conversation whose turns are not read yet."""

    conversations: list[Raw] | UnsetType = UNSET
    conversation: list[Raw] | UnsetType = UNSET
    id: Raw | UnsetType = UNSET


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`turns`: one example per response turn (`each`), or one per conversation (`whole`).

    `history: context` writes the turns before the pair into the context, each as `role: text`,
    a blank line between. `roles` says anew which names ask and which answer. `group` is what a
    split keeps together: `family` (parts of one conversation), `record`, or a key of the record.
    """

    turns: Literal["each", "whole"] = "each"
    history: Literal["none", "context"] = "none"
    roles: dict[Literal["instruction", "response"], list[str]] = {}
    group: str = "family"

    @property
    def swapped(self) -> bool:
        """True where names that answer are said to ask, or the other way round."""
        asks, answers = self.roles.get("instruction", ()), self.roles.get("response", ())
        return any(r in _RESPONSE for r in asks) or any(r in _INSTRUCTION for r in answers)


_row = msgspec.json.Decoder(LooseRow)
_turn = msgspec.json.Decoder(Turn)
_exchange = msgspec.json.Decoder(Exchange)
_object = msgspec.json.Decoder(dict[str, Raw])
_BOTH = Problem("schema.duplicate_field", "conversation", "stands beside `conversations`")
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(_INSTRUCTION, "instruction"),
    **dict.fromkeys(_RESPONSE, "response"),
    "system": "system",
    **dict.fromkeys(("tool", "function_call", "observation"), "other"),
}


def kinds(options: Options) -> dict[str, Kind]:
    """What each role's name means under these options."""
    if not options.roles:
        return _KINDS
    named: dict[str, Kind] = {n: k for n, k in _KINDS.items() if k not in options.roles}
    for kind, role_names in options.roles.items():
        named.update(dict.fromkeys(role_names, kind))
    return named


def parse(row: Row, raw: Any, origin: Origin, options: Options) -> Parsed:
    """The examples and verdicts of one conversation."""
    if row.conversations and row.conversation:
        return only_rejected(origin, _BOTH)
    if row.conversations is not UNSET and not row.conversation:
        return _conversation(row, list(row.conversations), raw, origin, options)
    if row.conversation is not UNSET:
        return _exchanges(row, row.conversation, raw, origin, options)
    return only_rejected(origin, Problem("schema.missing_field", "conversations", "is missing"))


def recover(raw: Any, problem: Problem, origin: Origin, options: Options) -> Parsed:
    """A conversation of which a turn has not the shape: that turn alone is rejected."""
    row = decode_part(raw, _row.decode)
    if isinstance(row, Problem):
        return only_rejected(origin, problem)
    if row.conversations and row.conversation:
        return only_rejected(origin, _BOTH)
    if row.conversations is not UNSET and not row.conversation:
        turns = [decode_part(turn, _turn.decode) for turn in row.conversations]
        return _conversation(row, turns, raw, origin, options)
    if row.conversation is not UNSET:
        exchanges = [decode_part(part, _exchange.decode) for part in row.conversation]
        return _exchanges(row, exchanges, raw, origin, options)
    return only_rejected(origin, problem)


def _exchanges(
    row: Row | LooseRow,
    exchanges: list[Exchange] | list[Exchange | Problem],
    raw: Any,
    origin: Origin,
    options: Options,
) -> Parsed:
    turns: list[Turn | Problem] = []
    paths: list[str] = []
    for index, exchange in enumerate(exchanges):
        path = f"conversation[{index}]"
        if isinstance(exchange, Problem):
            # Its sides cannot be told apart: the exchange is one part.
            turns.append(exchange)
            paths.append(path)
            continue
        turns += Turn(exchange.human, "human"), Turn(exchange.assistant, "assistant")
        paths += f"{path}.human", f"{path}.assistant"
    return _conversation(row, turns, raw, origin, options, paths=paths)


def _conversation(
    row: Row | LooseRow,
    turns: list[Turn | Problem],
    raw: Any,
    origin: Origin,
    options: Options,
    paths: list[str] | None = None,
) -> Parsed:
    if not turns:
        problem = Problem("schema.empty", "conversations", "is an empty list")
        return Parsed(parts=0, verdicts=[rejected(origin, problem, parts=0)])
    beside = read_beside(row, _SUPPORTED)
    if isinstance(beside, Problem):
        return Parsed(parts=len(turns), verdicts=[rejected(origin, beside, parts=len(turns))])
    group = _group(row.id, raw, options)
    if isinstance(group, Problem):
        return Parsed(parts=len(turns), verdicts=[rejected(origin, group, parts=len(turns))])
    reader = _Reader(turns, paths, origin, options, beside, group)
    return reader.whole(raw) if options.turns == "whole" else reader.each()


def _group(identity: Raw | UnsetType, raw: Any, options: Options) -> str | Problem:
    if options.group == "record":
        return ""
    if options.group != "family":
        keys = decode_part(raw, _object.decode)
        if isinstance(keys, Problem):
            return keys
        value = keys.get(options.group)
        return "" if value is None or bytes(value) == b"null" else _as_text(value)
    if identity is UNSET:
        return ""
    found = _FAMILY.fullmatch(_as_text(identity))
    return found[1] if found else ""


def _as_text(value: Raw) -> str:
    decoded = decode_part(value, _any.decode)
    return decoded if isinstance(decoded, str) else bytes(value).decode(errors="replace")


_any: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class _Reader:
    """One conversation while it is read."""

    def __init__(
        self,
        turns: list[Turn | Problem],
        paths: list[str] | None,
        origin: Origin,
        options: Options,
        beside: Beside,
        group: str,
    ) -> None:
        self.turns = turns
        self.paths = paths
        self.origin = origin
        self.options = options
        self.beside = beside
        self.group = group
        self.kinds = kinds(options)
        self.flags: tuple[str, ...] = ("chat.roles_swapped",) if options.swapped else ()
        self.parsed = Parsed(parts=len(turns))
        self.used: list[int] = []

    def path(self, index: int) -> str:
        return self.paths[index] if self.paths else f"conversations[{index}]"

    def kind(self, turn: Turn) -> Kind | None:
        return self.kinds.get(turn.role) or self.kinds.get(turn.role.strip())

    def each(self) -> Parsed:
        """One example per response turn that stands directly after an instruction turn."""
        asked: int | None = None
        system, system_at = self.beside.system, None
        known = self.kinds
        for index, turn in enumerate(self.turns):
            kind = None
            if isinstance(turn, Turn):
                kind = known.get(turn.role) or known.get(turn.role.strip())
            if kind == "response" and asked is not None:
                if self._pair(asked, index, system) and system_at is not None:
                    self.parsed.parts_used += 1
                    system_at = None
                asked = None
                continue
            if asked is not None:
                self._unpaired(asked)
                asked = None
            if kind == "instruction":
                asked = index
            elif kind == "system":
                if system_at is not None:
                    self._unpaired(system_at)
                assert isinstance(turn, Turn)
                system, system_at = turn.value, index
                if _is_blank(turn.value):
                    self._unpaired(index)
                    system, system_at = "", None
            elif kind is None:
                self._bad_turn(index, turn)
            else:
                self._unpaired(index)
        for left in (system_at, asked):
            if left is not None:
                self._unpaired(left)
        return self.parsed

    def _pair(self, asked: int, answered: int, system: str) -> bool:
        """Add the example of two neighbours; False where a side is blank."""
        question, answer = self.turns[asked], self.turns[answered]
        assert isinstance(question, Turn)
        assert isinstance(answer, Turn)
        blank = _blank_side(question, answer)
        path = self.path(answered)
        if blank:
            message = f"the pair's {blank} is blank: a pair needs two sides"
            self.parsed.verdicts.append(reject(self.origin, path, "schema.empty", message, parts=2))
            return False
        # What was rejected, and what other examples' system is, is no history.
        context = self._history(self.used) if self.options.history == "context" else ""
        self._example(question, answer, path, context, system)
        self.parsed.parts_used += 2
        self.used += asked, answered
        return True

    def _example(
        self,
        question: Turn,
        answer: Turn,
        path: str,
        context: str,
        system: str,
        history: tuple[Message, ...] = (),
        after: tuple[Message, ...] = (),
    ) -> None:
        origin = self.origin
        self.parsed.examples.append(
            Example(
                instruction=question.value,
                context=context,
                response=answer.value,
                origin=Origin(origin.source, origin.file, origin.record, path),
                group=self.group,
                flags=self._flags(question, answer),
                system=system,
                history=history,
                after=after,
                tools=self.beside.tools,
            )
        )

    def _flags(self, question: Turn, answer: Turn) -> tuple[str, ...]:
        if is_blank(question.value) or is_blank(answer.value):
            return (*self.flags, "text.invisible")
        return self.flags

    def _history(self, indices: Iterable[int]) -> str:
        """Earlier turns, each as `role: text`, a blank line between them."""
        turns = (self.turns[index] for index in indices)
        told = (f"{turn.role.strip()}: {turn.value}" for turn in turns if isinstance(turn, Turn))
        return "\n\n".join(told)

    def _unpaired(self, index: int) -> None:
        turn = self.turns[index]
        assert isinstance(turn, Turn)
        message = f"a {quoted(turn.role)} turn without a partner beside it"
        if self.kind(turn) == "system":
            message = "a system turn without an example behind it"
        self.parsed.verdicts.append(reject(self.origin, self.path(index), "turn.unpaired", message))

    def _bad_turn(self, index: int, turn: Turn | Problem) -> None:
        verdict = rejected(self.origin, self._problem(turn), part=self.path(index))
        self.parsed.verdicts.append(verdict)

    def _problem(self, turn: Turn | Problem) -> Problem:
        if isinstance(turn, Problem):
            return turn
        known = ", ".join(self.kinds)
        return Problem("schema.role", "from", f"is {quoted(turn.role)}: expected one of {known}")

    def whole(self, raw: Any) -> Parsed:
        """One example for the conversation, from its last pair; one verdict where it has none."""
        roles: list[Kind] = []
        for index, turn in enumerate(self.turns):
            kind = None if isinstance(turn, Problem) else self.kind(turn)
            if kind is None:
                problem = self._problem(turn)
                path = join(self.path(index), problem.path)
                self._reject_all(problem.reason, path, f"`{path}` {problem.message}")
                return self.parsed
            roles.append(kind)
        answered = _last_pair(roles)
        if answered is None:
            missing = "no_question" if "response" in roles else "no_answer"
            message = "no response turn stands directly after an instruction turn"
            self._reject_all(f"schema.{missing}", "conversations", message)
            return self.parsed
        self._whole_pair(raw, answered, roles)
        return self.parsed

    def _reject_all(self, reason: str, path: str, message: str) -> None:
        parts = len(self.turns)
        verdict = reject(self.origin, "", reason, message, path=path, parts=parts)
        self.parsed.verdicts.append(verdict)

    def _whole_pair(self, raw: Any, answered: int, roles: list[Kind]) -> None:
        asked = answered - 1
        question, answer = self.turns[asked], self.turns[answered]
        assert isinstance(question, Turn)
        assert isinstance(answer, Turn)
        blank = _blank_side(question, answer)
        if blank:
            self._reject_all("schema.empty", self.path(answered), f"the pair's {blank} is blank")
            return
        messages = self._messages(raw)
        if isinstance(messages, Problem):
            self._reject_all(
                messages.reason, messages.path, f"`{messages.path}` {messages.message}"
            )
            return
        system_at = max((i for i in range(asked) if roles[i] == "system"), default=None)
        system = self.beside.system if system_at is None else messages[system_at].content
        history = tuple(m for i, m in enumerate(messages[:asked]) if i != system_at)
        earlier = [i for i in range(asked) if roles[i] != "system"]
        context = self._history(earlier) if self.options.history == "context" else ""
        after = tuple(messages[answered + 1 :])
        self.flags += _oddities(roles)
        self._example(question, answer, self.path(answered), context, system, history, after)
        self.parsed.parts_used = len(self.turns)

    def _messages(self, raw: Any) -> list[Message] | Problem:
        turns = [turn for turn in self.turns if isinstance(turn, Turn)]
        if self.paths:
            return [Message(turn.role.strip(), turn.value) for turn in turns]
        parts = _row.decode(raw).conversations or []
        for index, part in enumerate(parts):
            problem = unreadable_value(part, self.path(index))
            if problem is not None:
                return problem
        extras = [_extra(part) for part in parts]
        return [
            Message(turn.role.strip(), turn.value, extra)
            for turn, extra in zip(turns, extras, strict=True)
        ]


def _oddities(roles: list[Kind]) -> tuple[str, ...]:
    """Flags for turns that a trainer may drop or refuse."""
    spoken = [role for role in roles if role != "system"]
    flags = {
        "chat.leading_assistant": spoken[0] == "response",
        "chat.role_repeat": any(a == b for a, b in itertools.pairwise(spoken)),
        "chat.trailing_question": spoken[-1] == "instruction",
    }
    return tuple(flag for flag, holds in flags.items() if holds)


def _extra(turn: Raw) -> Raw | UnsetType:
    try:
        keys = _object.decode(turn)
    except FAILURES as error:
        raise AssertionError(explain_failure(turn, error)) from error
    other = {key: value for key, value in keys.items() if key not in ("from", "value")}
    return Raw(msgspec.json.encode(other)) if other else UNSET


def _blank_side(question: Turn, answer: Turn) -> str:
    if _is_blank(question.value):
        return "question"
    return "answer" if _is_blank(answer.value) else ""


def _is_blank(text: str) -> bool:
    # A turn of invisible characters is what the page showed: it is kept, and flagged.
    return not text or text.isspace()


def _last_pair(roles: list[Kind]) -> int | None:
    for index in range(len(roles) - 1, 0, -1):
        if roles[index] == "response" and roles[index - 1] == "instruction":
            return index
    return None


def render(example: Example) -> dict[str, object]:
    """A conversation: system, history, the pair (with its context above the question), after."""
    turns = [{"from": "system", "value": example.system}] if example.system else []
    turns += [_rendered(message) for message in example.history]
    question = example.instruction
    if example.context:
        question = f"{example.context}\n\n{question}"
    turns.append({"from": "human", "value": question})
    turns.append({"from": "gpt", "value": example.response})
    turns += [_rendered(message) for message in example.after]
    row: dict[str, object] = {"id": str(example.origin), "conversations": turns}
    if example.tools is not None:
        row["tools"] = example.tools
    return row


def _rendered(message: Message) -> dict[str, Any]:
    extra: dict[str, Any] = {} if message.extra is UNSET else _object.decode(message.extra)
    kind = _KINDS.get(message.role)
    role = {"instruction": "human", "response": "gpt"}.get(kind or "", message.role)
    return {"from": role, "value": message.content, **extra}
