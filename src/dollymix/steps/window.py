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

import sys
from bisect import bisect_left
from functools import lru_cache
from typing import Annotated, NamedTuple, Protocol

import msgspec

from dollymix import tokens
from dollymix.example import Example
from dollymix.markup.outline import CODE, TABLE, Cuts, Kind, Outline, Part, outline_of
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
        window, fits = _window(context, Part(*answer) if answer else None, budget)
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

    def has_less_before(self, begin: int, core: Part, end: int) -> bool:
        """Whether a part takes no more before its core than behind it."""

    def reach(self, part: Part) -> Part:
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

    def has_less_before(self, begin: int, core: Part, end: int) -> bool:
        return core.begin - begin <= end - core.end

    def reach(self, part: Part) -> Part:
        return Part(part.end - self._limit, part.begin + self._limit)


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

    def has_less_before(self, begin: int, core: Part, end: int) -> bool:
        return self._size(begin, core.begin) <= self._size(core.end, end)

    def reach(self, part: Part) -> Part:
        first = bisect_left(self._begins, part.end) - self._limit
        last = bisect_left(self._begins, part.begin) + self._limit
        return Part(
            self._begins[first] if first > 0 else 0,
            self._begins[last] if last < len(self._begins) else sys.maxsize,
        )


@lru_cache(maxsize=2)
def _token_begins(context: str, path: str) -> list[int]:
    """Where each token begins in a context, which comes again for each question about it."""
    encoded = tokens.load(path).encode(context, add_special_tokens=False)
    return sorted(begin for begin, _ in encoded.offsets)


class _Window(NamedTuple):
    """A part of the context; the header rows or the fences it stands between."""

    begin: int
    end: int
    head: str = ""
    tail: str = ""

    def of(self, text: str) -> str:
        return self.head + text[self.begin : self.end] + self.tail


def _window(text: str, answer: Part | None, budget: _Budget) -> tuple[_Window, bool]:
    """The largest window around the answer that fits, or the smallest one; whether it fits. Without
    an answer it is that around the first character.

    It grows by whole blocks, lines and sentences. Where that leaves more than half unused, the
    units next to it are taken apart: into lines, or else words, or else characters.
    """
    outline = outline_of(text)
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
        reach = budget.reach(Part(window.begin, window.end))
        finer = outline.finer(cuts, part, reach)
        if finer is None:
            return window, True
        cuts = finer


class _Candidates(NamedTuple):
    """Ever larger parts, each between two cuts of those numbers."""

    cuts: Cuts
    numbers: list[tuple[int, int]]
    core: Part

    def part(self, at: int) -> Part:
        return self.cuts.between(*self.numbers[at])

    def end(self, at: int) -> int:
        """Its end without the blanks behind it."""
        return max(self.cuts.ends[self.numbers[at][1]], self.core.end)


def _grown(cuts: Cuts, part: Part, core: Part, budget: _Budget) -> list[tuple[int, int]]:
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
    outline: Outline, candidates: _Candidates, budget: _Budget
) -> tuple[Part, _Window] | None:
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
    is_table = line.kind in TABLE
    return full if is_table or budget.is_half_used(full[1].begin, full[1].end) else least


def _last_that_fits(
    outline: Outline, candidates: _Candidates, budget: _Budget, *, is_full: bool
) -> tuple[Part, _Window] | None:
    def window(at: int) -> _Window:
        part = Part(candidates.part(at).begin, candidates.end(at))
        return _framed(outline, outline.without_edges(part, candidates.core), is_full=is_full)

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


def _framed(outline: Outline, part: Part, *, is_full: bool) -> _Window:
    """A part, with a fence where it holds the other one alone; with `is_full` also with both
    fences or the header rows around what it holds of a block."""
    first, last = outline.line(part.begin), outline.line(part.end - 1)
    head, is_code = first.head, first.kind in CODE
    if head is None or not (is_full or is_code):
        return _Window(*part, "", last.tail)
    if not is_full and last.kind is Kind.CODE and last.head == head:
        return _Window(*part)
    return _Window(*part, outline.text[slice(*head)], last.tail)
