"""A page as Markdown or text, and where each part of it went."""

from __future__ import annotations

import html
import re
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from dollymix.markup.blocks import Blocks, Form, flow, squeezed
from dollymix.markup.marks import END, numbers_in, shown, without_marks
from dollymix.markup.names import BLOCK_NAMES, CELLS, HEADINGS, LISTS, SECTIONS
from dollymix.markup.source import BREAK, Cut, cut
from dollymix.markup.tags import edge_names, names_in

_TABLE_NAMES = SECTIONS | {"tr", "table"}
_ITEM_NAMES = LISTS | {"li"}
_WHOLE_NAMES = frozenset(("table", "pre"))
_CALLS = 10_000
_BRACKETS_END = frozenset(("/sup", "/sub", "/rt"))
_ITEM_SIGN = re.compile(r"\s*(?:-|\d+\.) ")


class Page(NamedTuple):
    """A converted text, and where each run of its source's text went.

    `runs`: those that are kept, in the order of the source: where one begins and ends there, and
    where in the text. `in_order`: the text has them in the same order. `parsed`: by the parser.
    """

    source: str
    text: str
    begins: list[int]
    ends: list[int]
    new_begins: list[int]
    new_ends: list[int]
    in_order: bool
    parsed: bool

    def carry(self, start: int, end: int) -> tuple[int, int] | None:
        """Where the part of the source from `start` to `end` stands in the text."""
        first = bisect_right(self.ends, start)
        last = bisect_left(self.begins, end) - 1
        if first > last:
            return None
        opens_cell, closes_cell = self._edges_of_cell(first, last, start, end)
        begin = self._begin(first, start, end, in_cell=opens_cell)
        finish = self._finish(last, start, end, in_cell=closes_cell)
        if begin is None or finish is None or begin >= finish:
            return None
        begin, finish = self._with_brackets(first, last, (start, end), (begin, finish))
        if not self.in_order and not self._alone(first, last):
            return None
        return begin, finish

    def _edges_of_cell(self, first: int, last: int, start: int, end: int) -> tuple[bool, bool]:
        """Whether a part begins, and whether it ends, with a cell or within one: what stands round
        a cell in its row is not its own."""
        if "\n" in self.text[self.new_begins[first] : self.new_ends[last]]:
            return False, False
        within = _is_open(self._names_before(first, start), CELLS)
        opened = names_in(self.source[start : min(end, self.begins[first])])
        closed = names_in(self.source[max(start, self.ends[last]) : end])
        outermost = next((name for name in opened if name[:1] != "/"), None)
        return within or outermost in CELLS, within or closed[-1:] in (["/td"], ["/th"])

    def _names_before(self, run: int, start: int) -> list[str]:
        """The tags between the run before and the start of a part."""
        return names_in(self.source[self.ends[run - 1] if run else 0 : start])

    def _with_brackets(
        self, first: int, last: int, part: tuple[int, int], place: tuple[int, int]
    ) -> tuple[int, int]:
        """The place of a part with those brackets at its edges that were written for what is
        raised or lowered in it, and have their other one there."""
        begin, finish = place
        opened = self.text.count("(", begin, finish) - self.text.count(")", begin, finish)
        if opened > 0:
            tags = names_in(self.source[max(part[0], self.ends[last]) : part[1]])
            closing = sum(name in _BRACKETS_END for name in tags)
            written = self.text[finish : self._next_begin(last, finish)]
            finish += min(opened, closing, len(written) - len(written.lstrip(")")))
        elif opened < 0:
            tags = names_in(self.source[part[0] : min(part[1], self.begins[first])])
            opening = sum(f"/{name}" in _BRACKETS_END for name in tags)
            written = self.text[:begin][-opening:] if opening else ""
            begin -= min(-opened, len(written) - len(written.rstrip("(")))
        return begin, finish

    def _next_begin(self, run: int, at: int) -> int | None:
        """Where the next run begins in the text."""
        return min((b for b in self.new_begins[run + 1 : run + 3] if b >= at), default=None)

    def _alone(self, first: int, last: int) -> bool:
        """Whether the runs of a part stand together, with no other between them."""
        begin, finish = self.new_begins[first], self.new_ends[last]
        inside = [i for i, at in enumerate(self.new_begins) if begin <= at < finish]
        return inside == list(range(first, last + 1))

    def _begin(self, run: int, start: int, end: int, *, in_cell: bool) -> int | None:
        """Where a part begins: with the signs of its own blocks, not of those it stands in."""
        if start > self.begins[run]:
            return self._inside(run, start, behind=False)
        at = self.new_begins[run]
        before = bisect_left(self.new_ends, at + 1) if self.in_order else 0
        gap_start = max((e for e in self.new_ends[max(0, before - 2) : run] if e <= at), default=0)
        gap = self.text[gap_start:at]
        names = edge_names(self.source[start : min(end, self.begins[run])])
        cut = _line_cut(gap, names, at_start=gap_start == 0)
        if cut is None:
            return at
        signs = gap[cut:].lstrip()
        if in_cell and signs.startswith("|"):
            return at
        if _is_open(self._names_before(run, start), {"li"}):
            signs = _ITEM_SIGN.sub("", signs, count=1)
        return at - len(signs)

    def _finish(self, run: int, start: int, end: int, *, in_cell: bool) -> int | None:
        if end < self.ends[run]:
            return self._inside(run, end, behind=True)
        at = self.new_ends[run]
        gap = self.text[at : self._next_begin(run, at)]
        names = edge_names(self.source[max(start, self.ends[run]) : end])
        if in_cell and gap.lstrip().startswith("|"):
            return at
        if "pre" not in names and not (names & _TABLE_NAMES and self._opens_row(run, start)):
            return at
        parting = "\n\n" if names & _WHOLE_NAMES else "\n"
        return at + len(gap.partition(parting)[0].rstrip())

    def _opens_row(self, run: int, start: int) -> bool:
        """Whether the row that ends with a run begins in the part from `start` on, too."""
        return not _TABLE_NAMES.isdisjoint(names_in(self.source[start : self.ends[run]]))

    def _inside(self, run: int, place: int, *, behind: bool) -> int | None:
        """The place in a run of the text: so many characters that are not blank stand before it."""
        before = shown(html.unescape(self.source[self.begins[run] : place]))
        at, end = self.new_begins[run], self.new_ends[run]
        last = at
        for char in before:
            if char.isspace():
                continue
            at = self._next(at, end, char)
            if at == end or self.text[at] != char:
                return None
            at = last = at + 1
        return last if behind else self._next(at, end, self.source[place])

    def _next(self, at: int, end: int, char: str) -> int:
        """The next character that is not blank; before a bar, not the backslash of a table."""
        while at < end and self.text[at].isspace():
            at += 1
        return at + 1 if char == "|" and self.text.startswith("\\|", at, end) else at


def _is_open(names: list[str], wanted: Collection[str]) -> bool:
    """Whether an element of a wanted name begins among the tags and does not end there."""
    opened = 0
    for name in names:
        if name in wanted:
            opened += 1
        elif name[:1] == "/" and name[1:] in wanted:
            opened = max(0, opened - 1)
    return opened > 0


def _line_cut(gap: str, names: set[str], *, at_start: bool) -> int | None:
    """Where in the signs before a run those of its block begin: `| `, `- `, `## `."""
    if names.isdisjoint(_WHOLE_NAMES | _TABLE_NAMES | _ITEM_NAMES | HEADINGS):
        return None
    parting = "\n\n" if "pre" in names else "\n"
    found = gap.rfind(parting)
    if found >= 0:
        return found + len(parting)
    return 0 if at_start else None


@lru_cache(maxsize=4)
def converted(source: str, markdown: bool, repeat: bool) -> Page:
    """The text of a source. A page comes again for each of its questions: the last few are kept."""
    made = cut(source)
    form = Form(markdown, repeat, not made.has_blocks, made.is_wiki, made.marked, [], {})
    written = _written(made, form)
    if not made.marked:
        text = _stripped(made.pieces) if written is None else written
        return Page(source, text, [], [], [], [], True, written is not None)
    text, new = without_marks(shown(written or ""))
    missing = set(range(len(made.begins))) - new.keys()
    parsed = missing <= numbers_in(form.left_out)
    if not parsed:
        text, new = without_marks(shown(_stripped(made.pieces)))
    kept = [i for i in range(len(made.begins)) if i in new]
    new_begins = [new[i][0] for i in kept]
    in_order = all(a < b for a, b in pairwise(new_begins))
    ends = made.ends
    for first, last in form.joined.items() if parsed else ():
        ends[first] = ends[last]
    return Page(
        made.source,
        text,
        [made.begins[i] for i in kept],
        [ends[i] for i in kept],
        new_begins,
        [new[i][1] for i in kept],
        in_order,
        parsed,
    )


def _written(made: Cut, form: Form) -> str | None:
    """The parsed source as text, with its marks; None where it cannot be parsed."""
    root = _parsed("".join(made.pieces), len(made.begins))
    if root is None:
        return None
    out = Blocks(form)
    with _room_for_nesting():
        flow(root, out)
    return out.text()


@contextmanager
def _room_for_nesting() -> Iterator[None]:
    """The parser takes 255 levels of elements, of which each is written by a few calls."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _CALLS))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _parsed(source: str, marks: int) -> Any:
    """The tree, or None where the parser lost text."""
    from lxml import etree

    parser = etree.HTMLParser(remove_comments=True, remove_pis=True, encoding="utf-8")
    try:
        root = etree.fromstring(source.encode("utf-8", "surrogatepass"), parser)
    except (etree.LxmlError, ValueError):
        return None
    if root is None:
        return None
    arrived = etree.tostring(root, method="text", encoding="utf-8").count(END.encode())
    if arrived < marks:
        return None
    return root


def _stripped(pieces: list[str]) -> str:
    """The text without its tags, a line for each block."""
    made: list[str] = []
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            made.append(html.unescape(piece))
        elif not BLOCK_NAMES.isdisjoint(edge_names(piece)) or piece.startswith("<br"):
            made.append(BREAK)
    lines = (squeezed(line) for line in "".join(made).split(BREAK))
    return "\n".join(line for line in lines if line)
