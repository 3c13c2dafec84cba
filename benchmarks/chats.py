"""The files of rows and conversations: KoVicuna (ShareGPT form) and Alpaca."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import BinaryIO, NamedTuple

from truth import FileTruth
from wording import Wording, below, json_texts, sentences, spread

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_PAIRS = (1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 27)
_BLANKS = (b"", b" ", b"\\n")


class Turn(NamedTuple):
    """One turn: who speaks, and the JSON text of what is said."""

    role: bytes
    value: bytes


class Layout(NamedTuple):
    """The bytes between the values of a file of conversations."""

    opening: bytes
    after_id: bytes
    turn: bytes
    between_turns: bytes
    closing: bytes
    between: bytes
    begin: bytes
    end: bytes


COMPACT = Layout(
    opening=b'{"id":"',
    after_id=b'","conversations":[',
    turn=b'{"from":"%s","value":"%s"}',
    between_turns=b",",
    closing=b"]}",
    between=b",",
    begin=b"[",
    end=b"]",
)
INDENTED = Layout(
    opening=b'  {\n    "id": "',
    after_id=b'",\n    "conversations": [\n',
    turn=b'      {\n        "from": "%s",\n        "value": "%s"\n      }',
    between_turns=b",\n",
    closing=b"\n    ]\n  }",
    between=b",\n",
    begin=b"[\n",
    end=b"\n]\n",
)


class Values:
    """Draws the JSON text of whole values from a pool of sentences."""

    def __init__(self, rng: Random, wording: Wording) -> None:
        self._rng = rng
        self._pool = json_texts(sentences(wording, 40_000))
        self._questions = json_texts(sentences(wording, 20_000, "?"))

    def text(self, count: int) -> bytes:
        """`count` sentences, joined by blanks or, in some values, by line ends."""
        draw = self._rng.random()
        joint = b"\\r\\n" if draw < 0.15 else b"\\n" if draw < 0.40 else b" "
        return joint.join(self._rng.choices(self._pool, k=count))

    def question(self, count: int) -> bytes:
        """`count` sentences of which the last is a question."""
        last = self._questions[below(self._rng, len(self._questions))]
        return self.text(count - 1) + b" " + last if count > 1 else last

    def pair(self, answer: int = 17) -> tuple[bytes, bytes]:
        """A question of a few sentences and an answer of `answer` on average."""
        asked = self.question(1 + below(self._rng, 7))
        return asked, self.text(3 + below(self._rng, 2 * answer - 5))


@dataclass
class Plan:
    """How a file of conversations is filled: counts, spread evenly over the file."""

    conversations: int
    pairs: int
    broken: int
    copies: int
    made_copies: deque[tuple[bytes, bytes]] = field(default_factory=deque)

    def is_broken(self, number: int) -> bool:
        """Whether conversation `number` has one pair broken."""
        return _due(number, self.broken, self.conversations)

    def is_copied(self, number: int) -> bool:
        """Whether a pair of conversation `number` stands in both files.

        A shift by half a step keeps most of these away from the broken ones.
        """
        return _due(number, self.copies, self.conversations)


def _due(number: int, wanted: int, total: int) -> bool:
    """Whether the evenly spaced `wanted` of `total` numbers include `number`."""
    return (number + 1) * wanted // total > number * wanted // total


def write_conversations(
    out: BinaryIO, rng: Random, *, values: Values, plan: Plan, layout: Layout, copy: bool
) -> FileTruth:
    """The counts of the file written: with `copy`, pairs that `plan` holds come again."""
    truth = FileTruth(conversations=plan.conversations)
    counts = spread(rng, plan.pairs, parts=plan.conversations, options=_PAIRS)
    out.write(layout.begin)
    owed = 0
    for number, pairs in enumerate(counts):
        broken = plan.is_broken(number)
        owed += plan.is_copied(number)
        made = [values.pair() for _ in range(pairs)]
        if owed and not broken:
            owed -= 1
            _share(made, number % pairs, plan.made_copies, copy=copy)
            truth.duplicates += copy
        turns = _turns(made)
        lost = _break(rng, turns) if broken else -1
        for place, (asked, answered) in enumerate(made):
            if place != lost:
                truth.add_record(asked, b"", answered)
        truth.turns += len(turns)
        truth.broken_pairs += broken
        out.write(layout.between if number else b"")
        out.write(_conversation(_identifier(rng), turns, layout))
    out.write(layout.end)
    return truth


def _share(
    made: list[tuple[bytes, bytes]],
    place: int,
    copies: deque[tuple[bytes, bytes]],
    *,
    copy: bool,
) -> None:
    """Keeps one pair of `made` for the second file, or puts a kept one in its place."""
    if copy:
        made[place] = copies.popleft()
    else:
        copies.append(made[place])


def _turns(pairs: list[tuple[bytes, bytes]]) -> list[Turn]:
    """Two turns for each pair."""
    turns: list[Turn] = []
    for asked, answered in pairs:
        turns.append(Turn(b"human", asked))
        turns.append(Turn(b"gpt", answered))
    return turns


def _break(rng: Random, turns: list[Turn]) -> int:
    """The number of the pair that was broken: one side blank, or of the other's role."""
    place = below(rng, len(turns))
    role, value = turns[place]
    if rng.random() < 0.5:
        turns[place] = Turn(role, _BLANKS[below(rng, len(_BLANKS))])
    else:
        turns[place] = Turn(b"gpt" if role == b"human" else b"human", value)
    return place // 2


def _identifier(rng: Random) -> bytes:
    """An id as ShareGPT files have it; later parts of a split conversation end in _4."""
    suffix = 2 * below(rng, 12) if rng.random() < 0.44 else 0
    return f"{''.join(rng.choices(_LETTERS, k=7))}_{suffix}".encode()


def _conversation(identifier: bytes, turns: list[Turn], layout: Layout) -> bytes:
    """The JSON text of one conversation."""
    body = layout.between_turns.join([layout.turn % turn for turn in turns])
    return b"".join((layout.opening, identifier, layout.after_id, body, layout.closing))


def write_rows(out: BinaryIO, rows: Iterator[tuple[bytes, bytes, bytes]]) -> FileTruth:
    """The counts of the Alpaca file written: one row a line, in one array."""
    truth = FileTruth()
    out.write(b"[")
    for number, (instruction, context, output) in enumerate(rows):
        out.write(b",\n" if number else b"\n")
        row = b'{"instruction": "%s", "input": "%s", "output": "%s"}'
        out.write(row % (instruction, context, output))
        truth.rows += 1
        truth.add_record(instruction, context, output)
    out.write(b"\n]\n")
    return truth


def long_rows(rng: Random, values: Values, count: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Rows like the first pairs of conversations."""
    for _ in range(count):
        asked, answered = values.pair(answer=14)
        yield asked, _input(rng, values), answered


def short_rows(rng: Random, values: Values, count: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Rows like those of ko_alpaca_data: a sentence or two, and a short answer."""
    for _ in range(count):
        asked = values.question(1 + below(rng, 2))
        yield asked, _input(rng, values, most=3), values.text(1 + below(rng, 5))


def _input(rng: Random, values: Values, most: int = 5) -> bytes:
    """An input: empty in 58 of 100 rows, as in the real set."""
    return b"" if rng.random() < 0.58 else values.text(1 + below(rng, most))
