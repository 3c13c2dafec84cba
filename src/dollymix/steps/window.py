"""Cuts the context to a window around the answer, of so many characters or tokens.

A whole page is longer than most models read, and what a trainer cuts off blindly may be the answer:

    steps: [{window: {characters: 2000}}]
    steps: [{window: {tokens: 1024, tokenizer: path/to/tokenizer.json}}]

The window grows on both sides of the answer by whole blocks, lines and sentences, as long as it
fits; it never cuts the answer or the row of a Markdown table, and a table whose head lies outside
keeps its header rows where they fit. A fenced block of code is taken whole. Where that is too long
it is cut between its lines, and what is left stands between its two fences; or without both, where
the window is all inside the block and the fences would leave less than half of it. Where whole
sentences use less than half of the window, the next one is cut between words, and a word between
characters. `answer_start` is carried. An example without a place of its answer keeps the head of
its context. A context that fits is not touched. Only the context is measured: instruction and
response come on top; special tokens are not counted.

Where the answer alone, or the row it stands in, is longer than the window, that is the context,
whole, and the example is flagged `window.exceeded`. `tokens` needs `pip install
"dollymix[tokenizers]"`.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, NamedTuple, Protocol

import msgspec

from dollymix import tokens
from dollymix.example import Example
from dollymix.rewrite import answer_span

_CHARACTERS = 2000
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`characters`: the longest context (2,000 where nothing is said), or `tokens` of a
    `tokenizer`, the path of a `tokenizer.json`."""

    characters: Positive | None = None
    tokens: Positive | None = None
    tokenizer: str = ""

    def __post_init__(self) -> None:
        if self.characters is not None and self.tokens is not None:
            raise ValueError("`characters` or `tokens`, not both")
        if (self.tokens is None) != (not self.tokenizer):
            raise ValueError("`tokens` and `tokenizer` go together")

    def versions(self) -> dict[str, str]:
        """The version of what counts tokens."""
        return tokens.versions(self.tokenizer)

    def __call__(self, example: Example) -> Example:
        """The example with a context that fits; itself where it did before."""
        context = example.context
        budget: _Budget = (
            _Characters(self.characters or _CHARACTERS)
            if self.tokens is None
            else _Tokens(context, self.tokens, self.tokenizer)
        )
        if budget.is_within(0, len(context)):
            return example
        answer = answer_span(example)
        window, fits = _window(context, _Part(*answer) if answer else None, budget)
        where = answer[0] - window.begin + len(window.head) if answer else None
        flags = example.flags if fits else (*example.flags, "window.exceeded")
        text = window.of(context)
        return msgspec.structs.replace(example, context=text, answer_start=where, flags=flags)


class _Budget(Protocol):
    """How much of a context a window may take. Only here it is known what is counted: all else has
    places in the text, and asks."""

    def is_within(self, begin: int, end: int) -> bool:
        """Whether a part fits, about: by what it takes in the whole."""

    def holds(self, text: str) -> bool:
        """Whether a text by itself fits."""

    def is_half_used(self, begin: int, end: int) -> bool:
        """Whether a part takes at least half."""

    def has_less_before(self, begin: int, core: _Part, end: int) -> bool:
        """Whether a part takes no more before its core than behind it."""

    def reach(self, part: _Part) -> _Part:
        """The farthest places of a window that holds the part."""


class _Characters:
    def __init__(self, limit: int) -> None:
        self._limit = limit

    def is_within(self, begin: int, end: int) -> bool:
        return end - begin <= self._limit

    def holds(self, text: str) -> bool:
        return len(text) <= self._limit

    def is_half_used(self, begin: int, end: int) -> bool:
        return 2 * (end - begin) >= self._limit

    def has_less_before(self, begin: int, core: _Part, end: int) -> bool:
        return core.begin - begin <= end - core.end

    def reach(self, part: _Part) -> _Part:
        return _Part(part.end - self._limit, part.begin + self._limit)


class _Tokens:
    """A part has about as many tokens as begin in it; alone it may have a few more."""

    def __init__(self, context: str, limit: int, path: str) -> None:
        self._limit = limit
        self._path = path
        self._begins = _token_begins(context, path)

    def _size(self, begin: int, end: int) -> int:
        return bisect_left(self._begins, end) - bisect_left(self._begins, begin)

    def is_within(self, begin: int, end: int) -> bool:
        return self._size(begin, end) <= self._limit

    def holds(self, text: str) -> bool:
        return tokens.count(self._path, text) <= self._limit

    def is_half_used(self, begin: int, end: int) -> bool:
        return 2 * self._size(begin, end) >= self._limit

    def has_less_before(self, begin: int, core: _Part, end: int) -> bool:
        return self._size(begin, core.begin) <= self._size(core.end, end)

    def reach(self, part: _Part) -> _Part:
        first = bisect_left(self._begins, part.end) - self._limit
        last = bisect_left(self._begins, part.begin) + self._limit
        return _Part(
            self._begins[first] if first > 0 else 0,
            self._begins[last] if last < len(self._begins) else sys.maxsize,
        )


@lru_cache(maxsize=2)
def _token_begins(context: str, path: str) -> list[int]:
    """Where each token begins in a context, which comes again for each question about it."""
    encoded = tokens.load(path).encode(context, add_special_tokens=False)
    return sorted(begin for begin, _ in encoded.offsets)


class _Part(NamedTuple):
    """Two places in the context."""

    begin: int
    end: int


class _Window(NamedTuple):
    """A part of the context; the header rows or the fences it stands between."""

    begin: int
    end: int
    head: str = ""
    tail: str = ""

    def of(self, text: str) -> str:
        return self.head + text[self.begin : self.end] + self.tail


class _Cuts(NamedTuple):
    """Where a text may be cut: a window begins at one of `begins`, and ends at one of `ends`, which
    are the same places without the blanks before them."""

    begins: list[int]
    ends: list[int]

    def around(self, part: _Part) -> tuple[int, int]:
        """The numbers of the cuts between which a part lies."""
        return bisect_right(self.begins, part.begin) - 1, bisect_left(self.begins, part.end)

    def between(self, first: int, last: int) -> _Part:
        return _Part(self.begins[first], self.begins[last])


# --- growing ---


def _window(text: str, answer: _Part | None, budget: _Budget) -> tuple[_Window, bool]:
    """The largest window around the answer that fits, or the smallest one; whether it fits. Without
    an answer it is that around the first character.

    It grows by whole blocks, lines and sentences. Where that leaves more than half unused, the
    units next to it are taken apart: into lines, or else words, or else characters.
    """
    outline = _outline(text)
    core = outline.whole(answer or outline.first())
    window = _Window(*core)
    if not budget.holds(window.of(text)):
        return window, False
    part, cuts = core, outline.cuts
    while True:
        candidates = _Candidates(cuts, _grown(cuts, part, core, budget), core)
        grown = _largest(outline, candidates, budget)
        if grown is not None:
            part, window = grown
            if budget.is_half_used(window.begin, window.end):
                return window, True
        reach = budget.reach(_Part(window.begin, window.end))
        finer = _finer(outline, cuts, part, reach)
        if finer is None:
            return window, True
        cuts = finer


class _Candidates(NamedTuple):
    """Ever larger parts, each between two cuts of those numbers."""

    cuts: _Cuts
    numbers: list[tuple[int, int]]
    core: _Part

    def part(self, at: int) -> _Part:
        return self.cuts.between(*self.numbers[at])

    def end(self, at: int) -> int:
        """Its end without the blanks behind it."""
        return max(self.cuts.ends[self.numbers[at][1]], self.core.end)


def _grown(cuts: _Cuts, part: _Part, core: _Part, budget: _Budget) -> list[tuple[int, int]]:
    """Ever larger units that fit, about: those that hold a part, and then one more each time, on
    the side that has less so far."""
    begins, ends = cuts
    first, last = cuts.around(part)
    if not budget.is_within(begins[first], max(ends[last], core.end)):
        return []
    found = [(first, last)]
    while True:
        left, right = (first - 1, last), (first, last + 1)
        is_left = budget.has_less_before(begins[first], core, begins[last])
        for low, high in (left, right) if is_left else (right, left):
            if low < 0 or high == len(begins):
                continue
            if budget.is_within(begins[low], max(ends[high], core.end)):
                first, last = low, high
                found.append((low, high))
                break
        else:
            return found


def _largest(
    outline: _Outline, candidates: _Candidates, budget: _Budget
) -> tuple[_Part, _Window] | None:
    """The largest of ever larger candidates that fits by itself. Header rows or fences that it has
    lost come with it where one that begins in the same block then fits; fences only where they
    leave half of the room."""
    least = _last_that_fits(outline, candidates, budget, is_full=False)
    line = outline.line(least[0].begin) if least else None
    if least is None or line is None or line.head is None:
        return least
    full = _last_that_fits(outline, candidates, budget, is_full=True)
    if full is None or outline.line(full[0].begin).head != line.head:
        return least
    is_table = line.kind in _TABLE
    return full if is_table or budget.is_half_used(full[1].begin, full[1].end) else least


def _last_that_fits(
    outline: _Outline, candidates: _Candidates, budget: _Budget, *, is_full: bool
) -> tuple[_Part, _Window] | None:
    def window(at: int) -> _Window:
        part = _Part(candidates.part(at).begin, candidates.end(at))
        return outline.framed(outline.without_edges(part, candidates.core), is_full=is_full)

    def is_too_long(at: int) -> bool:
        return not budget.holds(window(at).of(outline.text))

    last = len(candidates.numbers) - 1
    if last < 0:
        return None
    largest = window(last)
    if budget.holds(largest.of(outline.text)):
        return candidates.part(last), largest
    last = bisect_left(range(last), True, key=is_too_long) - 1
    return None if last < 0 else (candidates.part(last), window(last))


def _finer(outline: _Outline, cuts: _Cuts, part: _Part, reach: _Part) -> _Cuts | None:
    """The cuts, and those inside the units that hold a part or, where it is whole units, inside the
    units beside it: before lines, or else before words, or else before characters."""
    first, last = cuts.around(part)
    if cuts.between(first, last) == part:
        first, last = max(first - 1, 0), min(last + 1, len(cuts.begins) - 1)
    low, high = cuts.between(first, last)
    left = _Part(max(low, reach.begin), part.begin)
    blanks = _BLANKS.match(outline.text, reach.end)  # they do not count at the end
    right = _Part(part.end, min(high, blanks.end() if blanks else reach.end))
    known = cuts.begins[first : last + 1]
    for places in (_before_lines, _before_words, _before_characters):
        found = {*places(outline, *left), *places(outline, *right)}.difference(known)
        if found:
            begins = sorted(found.union(known))
            ends = _ends(outline.text, begins, cuts.ends[first])
            return _Cuts(
                cuts.begins[:first] + begins + cuts.begins[last + 1 :],
                cuts.ends[:first] + ends + cuts.ends[last + 1 :],
            )
    return None


# --- where a text may be cut ---


class _Kind(Enum):
    PROSE = 0
    HEADING = 1
    ROW = 2
    SEPARATOR = 3  # of the header rows of a table from the others
    OPENING = 4  # a fence
    CODE = 5
    CLOSING = 6  # a fence


_TABLE = (_Kind.ROW, _Kind.SEPARATOR)
_CODE = (_Kind.CODE, _Kind.CLOSING)
_OPENERS = (_Kind.HEADING, _Kind.OPENING)
_FENCES = (_Kind.OPENING, _Kind.CLOSING)
_WHOLE = (*_TABLE, *_FENCES)


class _Line(NamedTuple):
    """A line, with the blank lines behind it."""

    begin: int
    end: int
    kind: _Kind
    head: _Part | None = None  # what opens its block: the header rows, or the fence
    tail: str = ""  # what closes its block: the fence


class _Outline(NamedTuple):
    """The lines of a context, and where it may be cut without harm."""

    text: str
    lines: list[_Line]
    begins: list[int]  # of the lines
    cuts: _Cuts

    def line(self, at: int) -> _Line:
        return self.lines[max(bisect_right(self.begins, at) - 1, 0)]

    def between(self, begin: int, end: int) -> list[_Line]:
        """The lines of a part."""
        return self.lines[bisect_right(self.begins, begin) - 1 : bisect_left(self.begins, end)]

    def first(self) -> _Part:
        """The first character behind blanks and fences."""
        for line in self.lines:
            if line.kind not in _FENCES and not self.text[line.begin : line.end].isspace():
                return _first_character(self.text, line.begin)
        return _first_character(self.text, 0)

    def whole(self, part: _Part) -> _Part:
        """The part, and all of the rows and fences in which it begins and ends."""
        begin, end = part
        first, last = self.line(begin), self.line(end - 1)
        if first.kind in _WHOLE and begin <= _trimmed(self.text, first.end, first.begin):
            begin = first.begin
        if last.kind in _WHOLE:
            behind = _trimmed(self.text, last.end, last.begin)
            end = max(end, behind) if end - 1 <= behind else end
        return _Part(begin, end)

    def without_edges(self, part: _Part, core: _Part) -> _Part:
        """The part without the fence that ends a block before it begins, and without a heading or a
        fence at its end; the core stays."""
        begin, end = part
        first, last = self.line(begin), self.line(end - 1)
        if first.kind is _Kind.CLOSING and first.end <= core.begin:
            begin = first.end
        while last.kind in _OPENERS and begin < last.begin >= core.end:
            end = max(_trimmed(self.text, last.begin, begin), core.end)
            last = self.line(end - 1)
        return _Part(begin, end)

    def framed(self, part: _Part, *, is_full: bool) -> _Window:
        """A part, with a fence where it holds the other one alone; with `is_full` also with both
        fences or the header rows around what it holds of a block."""
        first, last = self.line(part.begin), self.line(part.end - 1)
        head, is_code = first.head, first.kind in _CODE
        if head is None or not (is_full or is_code):
            return _Window(*part, "", last.tail)
        if not is_full and last.kind is _Kind.CODE and last.head == head:
            return _Window(*part)
        return _Window(*part, self.text[slice(*head)], last.tail)


@lru_cache(maxsize=2)
def _outline(text: str) -> _Outline:
    """The outline of a context, which comes again for each question about it."""
    lines = list(_lines(text))
    return _Outline(text, lines, [line.begin for line in lines], _cuts(text, lines))


_LINE = re.compile(r"[^\n]*\n+|[^\n]+")
_HEADING = re.compile(r"#{1,6} ")
_SEPARATOR = re.compile(r"\|(?:\s*:?-+:?\s*\|)+")
_FENCE = re.compile(r"(?:`{3,}(?=[^`]*$)|~{3,})")


def _lines(text: str) -> Iterator[_Line]:
    """The lines of a text. A block of code that nothing closes goes to the end."""
    above = _Line(0, 0, _Kind.PROSE)
    fence = tail = ""
    for found in _LINE.finditer(text):
        begin, end = found.span()
        content = found[0].strip()
        kind = _kind(content, fence)
        if kind is _Kind.OPENING:
            fence = _FENCE.match(content)[0]  # type: ignore[index]
            tail = "\n" + found[0][: found[0].index(fence)] + fence
        elif kind is _Kind.CLOSING:
            fence = tail = ""
        above = _Line(begin, end, kind, _head(text, above, kind, begin), tail)
        yield above


def _kind(content: str, fence: str) -> _Kind:
    """The kind of a line, in the code behind an opening fence where there is one."""
    if fence:
        is_closing = content.startswith(fence) and not content.strip(fence[0])
        return _Kind.CLOSING if is_closing else _Kind.CODE
    if content.startswith("|"):
        return _Kind.SEPARATOR if _SEPARATOR.fullmatch(content) else _Kind.ROW
    if _HEADING.match(content):
        return _Kind.HEADING
    return _Kind.OPENING if _FENCE.match(content) else _Kind.PROSE


def _head(text: str, above: _Line, kind: _Kind, begin: int) -> _Part | None:
    """What opens the block of a line of that kind, which begins there."""
    if kind in _CODE:
        return _Part(above.begin, above.end) if above.kind is _Kind.OPENING else above.head
    if kind not in _TABLE or above.kind not in _TABLE or text.endswith("\n\n", 0, begin):
        return None
    if above.kind is _Kind.SEPARATOR and above.head and above.head.end == above.begin:
        return _Part(above.head.begin, above.end)
    if kind is _Kind.SEPARATOR and above.head is None:
        return _Part(above.begin, above.end)
    return above.head


# A sentence ends at a mark and blanks. Full-width marks need no blanks behind them, nor does a full
# stop between Hangul syllables.
_SENTENCE = re.compile(
    r"""[.!?…。！？｡]
    (?: (?<=[^\d\s].) ["'”’」』》〉)\]）］】]* \s+ (?=\S)
      | (?<=[가-힣]\.) (?=[가-힣])
      | (?<=[。！？｡]) (?<![。！？｡]{2}) [。！？｡]*+ ["'”’」』》〉)\]）］】]*+ \s*+ (?=[^.!?…])
    )""",
    re.VERBOSE,
)


def _cuts(text: str, lines: list[_Line]) -> _Cuts:
    """Where the context may be cut: before lines, but for code and those below a heading or a
    table's header rows, which stay with it; and before sentences of prose."""
    begins = [0]
    above = _Kind.PROSE
    for line in lines:
        is_kept = line.kind in _CODE or line.kind is _Kind.SEPARATOR
        if line.begin and not is_kept and above not in (_Kind.HEADING, _Kind.SEPARATOR):
            begins.append(line.begin)
        if line.kind is _Kind.PROSE:
            begins += [found.end() for found in _SENTENCE.finditer(text, line.begin, line.end)]
        above = line.kind
    begins.append(len(text))
    return _Cuts(begins, _ends(text, begins, 0))


def _ends(text: str, begins: list[int], first: int) -> list[int]:
    """The places without the blanks before them; that of the first one is known."""
    return [first, *(_trimmed(text, at, before) for before, at in pairwise(begins))]


def _before_lines(outline: _Outline, begin: int, end: int) -> list[int]:
    begins = outline.begins
    return begins[bisect_left(begins, begin) : bisect_right(begins, end)]


_BLANKS = re.compile(r"\s+")
_VISIBLE = re.compile(r"\S")


def _before_words(outline: _Outline, begin: int, end: int) -> Iterator[int]:
    for low, high in _pieces(outline, begin, end):
        yield from (found.end() for found in _BLANKS.finditer(outline.text, low, high))


def _before_characters(outline: _Outline, begin: int, end: int) -> Iterator[int]:
    for low, high in _pieces(outline, begin, end):
        for at in range(max(low, 1), high + 1):
            if not _is_joined(outline.text, at):
                yield at


def _pieces(outline: _Outline, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of lines there that may be cut inside, without the blanks at their ends."""
    for line in outline.between(begin, end):
        if line.kind not in _WHOLE:
            behind = _trimmed(outline.text, line.end, line.begin)
            yield max(begin, line.begin), min(end, behind)


_JOINER = "\u200d"


def _is_joined(text: str, at: int) -> bool:
    """Whether the characters before and behind a place are one to the eye, or one is a blank."""
    before, behind = text[at - 1], text[at : at + 1]
    if before.isspace() or behind.isspace() or not behind:
        return True
    if before < "\u0300" > behind:
        return False
    return (
        unicodedata.category(behind).startswith("M")
        or before == _JOINER
        or behind in "\u200c\u200d\uff9e\uff9f"
        or _is_leading_jamo(before)
        or "\u1160" <= behind <= "\u11ff"  # the vowels and finals of Hangul
        or "\ud7b0" <= behind <= "\ud7fb"
        or "\udc00" <= behind <= "\udfff"  # half of a surrogate pair
        or "\U0001f3fb" <= behind <= "\U0001f3ff"  # skin colours
        or "\U000e0020" <= behind <= "\U000e007f"  # tags
        or (_is_flag(behind) and _flags_before(text, at) % 2 == 1)
    )


def _is_leading_jamo(character: str) -> bool:
    return "\u1100" <= character <= "\u115f" or "\ua960" <= character <= "\ua97c"


def _is_flag(character: str) -> bool:
    """Whether it is one of the two letters of a flag."""
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flags_before(text: str, at: int) -> int:
    """How many letters of flags stand before a place, of at most a hundred."""
    begin = at
    while begin > max(at - 100, 0) and _is_flag(text[begin - 1]):
        begin -= 1
    return at - begin


def _first_character(text: str, at: int) -> _Part:
    """The first character behind blanks, with the marks that belong to it."""
    found = _VISIBLE.search(text, at)
    if found is None:
        return _Part(0, 0)
    end = found.end()
    while end < len(text) and not text[end].isspace() and _is_joined(text, end):
        end += 1
    return _Part(found.start(), end)


def _trimmed(text: str, at: int, least: int) -> int:
    """The place without the blanks before it."""
    while at > least and text[at - 1].isspace():
        at -= 1
    return at
