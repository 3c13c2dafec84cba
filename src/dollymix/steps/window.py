"""Cuts the context to a window around the answer, of so many characters or tokens.

A whole page is longer than most models read, and what a trainer cuts off blindly may be the answer:

    steps: [{window: {characters: 2000}}]
    steps: [{window: {tokens: 1024, tokenizer: path/to/tokenizer.json}}]

The window grows on both sides of the answer by whole blocks, lines and sentences, as long as it
fits; it never cuts the answer or the row of a Markdown table, and a table whose head lies outside
keeps its header rows where they fit. Only where the sentence of the answer is itself too long is it
cut between words. `answer_start` is carried. An example without a place of its answer keeps the
head of its context. A context that fits is not touched. Only the context is measured: instruction
and response come on top; special tokens are not counted.

Where the answer alone, or the row it stands in, is longer than the window, that is the context,
whole, and the example is flagged `window.exceeded`. `tokens` needs `pip install
"dollymix[tokenizers]"`.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
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
        limit = self.tokens or self.characters or _CHARACTERS
        context = example.context
        if len(context) <= limit and self.tokens is None:
            return example
        measure: _Measure = (
            _Characters() if self.tokens is None else _Tokens(context, self.tokenizer)
        )
        if measure.size(0, len(context)) <= limit:
            return example
        start, end = answer_span(example) or (0, 0)  # or the very beginning
        window = _window(context, start, end, limit, measure)
        flags = (*example.flags, "window.exceeded") if window.smallest else example.flags
        where = None if end == 0 else start - window.begin + len(window.head)
        text = window.head + context[window.begin : window.end]
        return msgspec.structs.replace(example, context=text, answer_start=where, flags=flags)


class _Measure(Protocol):
    """How long a text is."""

    def size(self, begin: int, end: int) -> int:
        """About the length of a part of the context."""

    def exact(self, text: str) -> int:
        """The length of a text by itself."""


class _Characters:
    def size(self, begin: int, end: int) -> int:
        return end - begin

    def exact(self, text: str) -> int:
        return len(text)


class _Tokens:
    """A part has about as many tokens as begin in it; alone it may have a few more."""

    def __init__(self, context: str, path: str) -> None:
        self._path = path
        encoded = tokens.load(path).encode(context, add_special_tokens=False)
        self._begins = sorted(begin for begin, _ in encoded.offsets)

    def size(self, begin: int, end: int) -> int:
        if begin >= end:
            return 0
        return bisect_left(self._begins, end) - bisect_left(self._begins, begin)

    def exact(self, text: str) -> int:
        return tokens.count(self._path, text)


class _Window(NamedTuple):
    """A part of the context, and the header rows of a table that stand before it."""

    begin: int
    end: int
    head: str = ""
    smallest: bool = False


class _Cuts(NamedTuple):
    """Where a text may be cut: a window begins at one of `begins`, and ends at one of `ends`, which
    are the same places without the blanks before them."""

    begins: list[int]
    ends: list[int]


def _window(text: str, start: int, end: int, limit: int, measure: _Measure) -> _Window:
    """The largest window that fits, or the smallest that holds the answer."""
    cuts = _cuts_of(text)
    room = limit
    while True:
        found = _grown(text, cuts, start, end, room, measure)
        size = measure.exact(found.head + text[found.begin : found.end])
        if size <= limit or found.smallest:
            return found._replace(smallest=size > limit)
        # A part may have a few tokens more by itself than it has in the whole.
        room -= max(1, size - limit)


def _grown(text: str, cuts: _Cuts, start: int, end: int, room: int, measure: _Measure) -> _Window:
    first = bisect_right(cuts.begins, start) - 1
    last = bisect_left(cuts.begins, end) if end else 1
    if measure.size(cuts.begins[first], max(cuts.ends[last], end)) <= room:
        return _with_head(text, cuts, (first, last, end), room, measure)
    return _between_words(text, cuts.begins[first], cuts.begins[last], (start, end), room, measure)


def _between_words(
    text: str, begin: int, finish: int, answer: tuple[int, int], room: int, measure: _Measure
) -> _Window:
    """The window within a sentence that is too long; a row stays whole."""
    start, end = answer
    left = _line_start(text, start) if _is_row(text, start) else start
    behind = max(end - 1, 0)
    right = max(end, _line_end(text, behind)) if _is_row(text, behind) else end
    if measure.size(left, right) > room:
        return _Window(left, right, smallest=True)
    words = [found.end() for found in _WORD.finditer(text, begin, finish)]
    words = [at for at in words if not (left < at < right or _cuts_row(text, at))]
    cuts = _with_ends(text, sorted({begin, left, right, finish, *words}))
    first, last = bisect_left(cuts.begins, left), bisect_left(cuts.begins, right)
    grown = _spread(cuts, first, last, end, room, measure)
    if grown.begin == grown.end:  # one long word
        return _Window(0, max(1, room), smallest=room <= 1)
    return grown


def _with_head(
    text: str, cuts: _Cuts, unit: tuple[int, int, int], room: int, measure: _Measure
) -> _Window:
    """The window that grows from a unit; with the header rows of a cut table, where they fit."""
    first, last, end = unit
    grown = _spread(cuts, first, last, end, room, measure)
    head = _head(text, grown.begin)
    if head is None:
        return grown
    left = room - measure.size(*head)
    if measure.size(cuts.begins[first], max(cuts.ends[last], end)) > left:
        return grown
    smaller = _spread(cuts, first, last, end, left, measure)
    if _head(text, smaller.begin) != head:
        return grown
    return smaller._replace(head=text[slice(*head)])


def _spread(cuts: _Cuts, first: int, last: int, end: int, room: int, measure: _Measure) -> _Window:
    """Grows a part by whole units, on the side that has less so far, while it fits."""
    begin, finish = cuts.begins[first], cuts.begins[last]
    while True:
        before = measure.size(cuts.begins[first], begin)
        behind = measure.size(finish, cuts.begins[last])
        left, right = (first - 1, last), (first, last + 1)
        for low, high in (left, right) if before <= behind else (right, left):
            if low < 0 or high >= len(cuts.begins):
                continue
            if measure.size(cuts.begins[low], max(cuts.ends[high], end)) <= room:
                first, last = low, high
                break
        else:
            return _Window(cuts.begins[first], max(cuts.ends[last], end))


_SENTENCE = re.compile(r"""(?:[^\d\s][.!?…]|[。！？])["'”’」』》〉)\]]*\s+(?=\S)""")
_HEADING = re.compile(r"#{1,6} ")
_WORD = re.compile(r"\s+(?=\S)")
_LINE = re.compile(r"[^\n]*\n+|[^\n]+")
_SEPARATOR = re.compile(r"\s*\|(?:\s*:?-+:?\s*\|)+\s*")


def _cuts(text: str) -> list[int]:
    """Where the context may be cut: before lines, but for those below a heading or a table's header
    rows, which stay with it; and before sentences of lines that are no rows and no code."""
    cuts = [0]
    in_code = is_kept = False
    for line in _LINE.finditer(text):
        content = line[0].lstrip()
        is_separator = _SEPARATOR.fullmatch(content) is not None
        if not (is_kept or is_separator) and line.start():
            cuts.append(line.start())
        is_kept = is_separator or (not in_code and _HEADING.match(content) is not None)
        if content.startswith(("```", "~~~")):
            in_code = not in_code
        elif not in_code and not content.startswith("|"):
            cuts += [found.end() for found in _SENTENCE.finditer(text, *line.span())]
    return [*cuts, len(text)]


@lru_cache(maxsize=2)
def _cuts_of(text: str) -> _Cuts:
    """The cuts of a context, which comes again for each question about it."""
    return _with_ends(text, _cuts(text))


def _with_ends(text: str, cuts: list[int]) -> _Cuts:
    ends = [0, *(_trimmed(text, at, before) for before, at in pairwise(cuts))]
    return _Cuts(cuts, ends)


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _is_row(text: str, at: int) -> bool:
    """Whether the line there is a row of a table."""
    begin = _line_start(text, at)
    return text[begin : begin + 80].lstrip(" \t").startswith("|")


def _cuts_row(text: str, at: int) -> bool:
    return _is_row(text, at) and text[at - 1] != "\n"


def _head(text: str, begin: int) -> tuple[int, int] | None:
    """The header rows of the table in which a window begins, where they lie before it."""
    if begin == 0 or text[begin - 1] != "\n" or not _is_row(text, begin):
        return None
    top = begin
    while top and _is_row(text, top - 1):
        top = _line_start(text, top - 1)
    below = text.find("\n", top) + 1
    behind = text.find("\n", below) + 1
    if behind > begin or not _SEPARATOR.fullmatch(text, below, behind):
        return None
    return top, behind


def _trimmed(text: str, at: int, least: int) -> int:
    """The place without the blanks before it."""
    while at > least and text[at - 1].isspace():
        at -= 1
    return at
