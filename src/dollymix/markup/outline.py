"""The outline of Markdown: what kind each line is, and where the text may be cut without harm."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple


class Part(NamedTuple):
    """Two places in the context."""

    begin: int
    end: int


class Cuts(NamedTuple):
    """Where a text may be cut: a window begins at one of `begins`, and ends at one of `ends`, which
    are the same places without the blanks before them."""

    begins: list[int]
    ends: list[int]

    def around(self, part: Part) -> tuple[int, int]:
        """The numbers of the cuts between which a part lies."""
        return bisect_right(self.begins, part.begin) - 1, bisect_left(self.begins, part.end)

    def between(self, first: int, last: int) -> Part:
        """The part between two cuts of those numbers."""
        return Part(self.begins[first], self.begins[last])


class Kind(Enum):
    PROSE = 0
    HEADING = 1
    ROW = 2
    SEPARATOR = 3  # of the header rows of a table from the others
    OPENING = 4  # a fence
    CODE = 5
    CLOSING = 6  # a fence


TABLE = (Kind.ROW, Kind.SEPARATOR)
CODE = (Kind.CODE, Kind.CLOSING)
_OPENERS = (Kind.HEADING, Kind.OPENING)
_FENCES = (Kind.OPENING, Kind.CLOSING)
_WHOLE = (*TABLE, *_FENCES)


class Line(NamedTuple):
    """A line, with the blank lines behind it."""

    begin: int
    end: int
    kind: Kind
    head: Part | None = None  # what opens its block: the header rows, or the fence
    tail: str = ""  # what closes its block: the fence


class Outline(NamedTuple):
    """The lines of a context, and where it may be cut without harm."""

    text: str
    lines: list[Line]
    begins: list[int]  # of the lines
    cuts: Cuts

    def line(self, at: int) -> Line:
        """The line that holds a place."""
        return self.lines[max(bisect_right(self.begins, at) - 1, 0)]

    def between(self, begin: int, end: int) -> list[Line]:
        """The lines of a part."""
        return self.lines[bisect_right(self.begins, begin) - 1 : bisect_left(self.begins, end)]

    def first(self) -> Part:
        """The first character behind blanks and fences."""
        for line in self.lines:
            if line.kind not in _FENCES and not self.text[line.begin : line.end].isspace():
                return _first_character(self.text, line.begin)
        return _first_character(self.text, 0)

    def whole(self, part: Part) -> Part:
        """The part, and all of the rows and fences in which it begins and ends."""
        begin, end = part
        first, last = self.line(begin), self.line(end - 1)
        if first.kind in _WHOLE and begin <= _trimmed(self.text, first.end, first.begin):
            begin = first.begin
        if last.kind in _WHOLE:
            behind = _trimmed(self.text, last.end, last.begin)
            end = max(end, behind) if end - 1 <= behind else end
        return Part(begin, end)

    def without_edges(self, part: Part, core: Part) -> Part:
        """The part without the fence that ends a block before it begins, and without a heading or a
        fence at its end; the core stays."""
        begin, end = part
        first, last = self.line(begin), self.line(end - 1)
        if first.kind is Kind.CLOSING and first.end <= core.begin:
            begin = first.end
        while last.kind in _OPENERS and begin < last.begin >= core.end:
            end = max(_trimmed(self.text, last.begin, begin), core.end)
            last = self.line(end - 1)
        return Part(begin, end)

    def finer(self, cuts: Cuts, part: Part, reach: Part) -> Cuts | None:
        """The cuts, and those inside the units that hold a part or, where it is whole units, inside
        the units beside it: before lines, or else before words, or else before characters."""
        first, last = cuts.around(part)
        if cuts.between(first, last) == part:
            first, last = max(first - 1, 0), min(last + 1, len(cuts.begins) - 1)
        low, high = cuts.between(first, last)
        left = Part(max(low, reach.begin), part.begin)
        blanks = _BLANKS.match(self.text, reach.end)  # they do not count at the end
        right = Part(part.end, min(high, blanks.end() if blanks else reach.end))
        known = cuts.begins[first : last + 1]
        for places in (_before_lines, _before_words, _before_characters):
            found = {*places(self, *left), *places(self, *right)}.difference(known)
            if found:
                begins = sorted(found.union(known))
                ends = _ends(self.text, begins, cuts.ends[first])
                return Cuts(
                    cuts.begins[:first] + begins + cuts.begins[last + 1 :],
                    cuts.ends[:first] + ends + cuts.ends[last + 1 :],
                )
        return None


@lru_cache(maxsize=2)
def outline_of(text: str) -> Outline:
    """The outline of a context, which comes again for each question about it."""
    lines = list(_lines(text))
    return Outline(text, lines, [line.begin for line in lines], _cuts(text, lines))


_LINE = re.compile(r"[^\n]*\n+|[^\n]+")
_HEADING = re.compile(r" {0,3}#{1,6} ")
_SEPARATOR = re.compile(r"\|(?:\s*:?-+:?\s*\|)+")
_FENCE = re.compile(r"(?:`{3,}(?=[^`]*$)|~{3,})")


def _lines(text: str) -> Iterator[Line]:
    """The lines of a text. A block of code that nothing closes goes to the end."""
    above = Line(0, 0, Kind.PROSE)
    fence = tail = ""
    for found in _LINE.finditer(text):
        begin, end = found.span()
        content = found[0].strip()
        kind = _kind(found[0], content, fence)
        if kind is Kind.OPENING:
            fence = _FENCE.match(content)[0]  # type: ignore[index]
            tail = "\n" + found[0][: found[0].index(fence)] + fence
        elif kind is Kind.CLOSING:
            fence = tail = ""
        above = Line(begin, end, kind, _head(text, above, kind, begin), tail)
        yield above


def _kind(line: str, content: str, fence: str) -> Kind:
    """The kind of a line with that content, in the code behind a fence where one is open."""
    if fence:
        is_closing = content.startswith(fence) and not content.strip(fence[0])
        return Kind.CLOSING if is_closing else Kind.CODE
    if content.startswith("|"):
        return Kind.SEPARATOR if _SEPARATOR.fullmatch(content) else Kind.ROW
    if _HEADING.match(line):
        return Kind.HEADING
    return Kind.OPENING if _FENCE.match(content) else Kind.PROSE


def _head(text: str, above: Line, kind: Kind, begin: int) -> Part | None:
    """What opens the block of a line of that kind, which begins there."""
    if kind in CODE:
        return Part(above.begin, above.end) if above.kind is Kind.OPENING else above.head
    if kind not in TABLE or above.kind not in TABLE or text.endswith("\n\n", 0, begin):
        return None
    if above.kind is Kind.SEPARATOR and above.head and above.head.end == above.begin:
        return Part(above.head.begin, above.end)
    if kind is Kind.SEPARATOR and above.head is None:
        return Part(above.begin, above.end)
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


def _cuts(text: str, lines: list[Line]) -> Cuts:
    """Where the context may be cut: before lines, but for code and those below a heading or a
    table's header rows, which stay with it; and before sentences of prose."""
    begins = [0]
    above = Kind.PROSE
    for line in lines:
        is_kept = line.kind in CODE or line.kind is Kind.SEPARATOR
        if line.begin and not is_kept and above not in (Kind.HEADING, Kind.SEPARATOR):
            begins.append(line.begin)
        if line.kind is Kind.PROSE:
            begins += [found.end() for found in _SENTENCE.finditer(text, line.begin, line.end)]
        above = line.kind
    begins.append(len(text))
    return Cuts(begins, _ends(text, begins, 0))


def _ends(text: str, begins: list[int], first: int) -> list[int]:
    """The places without the blanks before them; that of the first one is known."""
    return [first, *(_trimmed(text, at, before) for before, at in pairwise(begins))]


def _before_lines(outline: Outline, begin: int, end: int) -> list[int]:
    begins = outline.begins
    return begins[bisect_left(begins, begin) : bisect_right(begins, end)]


_BLANKS = re.compile(r"\s+")
_VISIBLE = re.compile(r"\S")


def _before_words(outline: Outline, begin: int, end: int) -> Iterator[int]:
    for low, high in _pieces(outline, begin, end):
        yield from (found.end() for found in _BLANKS.finditer(outline.text, low, high))


def _before_characters(outline: Outline, begin: int, end: int) -> Iterator[int]:
    for low, high in _pieces(outline, begin, end):
        for at in range(max(low, 1), high + 1):
            if not _is_joined(outline.text, at):
                yield at


def _pieces(outline: Outline, begin: int, end: int) -> Iterator[tuple[int, int]]:
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


def _first_character(text: str, at: int) -> Part:
    """The first character behind blanks, with the marks that belong to it."""
    found = _VISIBLE.search(text, at)
    if found is None:
        return Part(0, 0)
    end = found.end()
    while end < len(text) and not text[end].isspace() and _is_joined(text, end):
        end += 1
    return Part(found.start(), end)


def _trimmed(text: str, at: int, least: int) -> int:
    """The place without the blanks before it."""
    while at > least and text[at - 1].isspace():
        at -= 1
    return at
