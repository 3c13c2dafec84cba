"""A page as Markdown or text, and where each part of it went."""

from __future__ import annotations

import html
from bisect import bisect_left, bisect_right
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from dollymix.markup.blocks import TRANSPARENT, Blocks, Form, flow, squeezed
from dollymix.markup.source import (
    BLOCK_NAMES,
    BREAK,
    END,
    HIDDEN,
    HIDDEN_CONTROLS,
    cut,
    edge_names,
    holds_block,
    without_marks,
)


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
        begin, finish = self._begin(first, start, end), self._finish(last, start, end)
        if begin is None or finish is None or begin >= finish:
            return None
        if not self.in_order and not self._alone(first, last):
            return None
        return begin, finish

    def _alone(self, first: int, last: int) -> bool:
        """Whether the runs of a part stand together, with no other between them."""
        begin, finish = self.new_begins[first], self.new_ends[last]
        inside = [i for i, at in enumerate(self.new_begins) if begin <= at < finish]
        return inside == list(range(first, last + 1))

    def _begin(self, run: int, start: int, end: int) -> int | None:
        if start > self.begins[run]:
            return self._inside(run, start, behind=False)
        at = self.new_begins[run]
        before = bisect_left(self.new_ends, at + 1) if self.in_order else 0
        gap_start = max((e for e in self.new_ends[max(0, before - 2) : run] if e <= at), default=0)
        gap = self.text[gap_start:at]
        names = edge_names(self.source[start : min(end, self.begins[run])])
        cut = _line_cut(gap, names, at_start=gap_start == 0)
        return at if cut is None else at - len(gap[cut:].lstrip())

    def _finish(self, run: int, start: int, end: int) -> int | None:
        if end < self.ends[run]:
            return self._inside(run, end, behind=True)
        at = self.new_ends[run]
        behind = min((b for b in self.new_begins[run + 1 : run + 3] if b >= at), default=None)
        gap = self.text[at:behind]
        names = edge_names(self.source[max(start, self.ends[run]) : end])
        if names & {"table", "pre"}:
            return at + len(gap.partition("\n\n")[0].rstrip())
        if names & {"tr", "tbody", "thead", "tfoot"}:
            return at + len(gap.partition("\n")[0].rstrip())
        return at

    def _inside(self, run: int, place: int, *, behind: bool) -> int | None:
        """The place in a run of the text: so many characters that are not blank stand before it."""
        before = html.unescape(self.source[self.begins[run] : place])
        wanted = [char for char in before if not char.isspace()]
        at, end = self.new_begins[run], self.new_ends[run]
        last = at
        for char in wanted:
            at = self._next(at, end)
            if at == end or self.text[at] != char:
                return None
            at = last = at + 1
        return last if behind else self._next(at, end)

    def _next(self, at: int, end: int) -> int:
        """The next character that is content: no blank, no backslash before a bar."""
        while at < end and self.text[at].isspace():
            at += 1
        return at + 1 if at < end and self.text.startswith("\\|", at) else at


_LINE_NAMES = {
    "tr",
    "tbody",
    "thead",
    "tfoot",
    "ul",
    "ol",
    "li",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
}


def _line_cut(gap: str, names: set[str], *, at_start: bool) -> int | None:
    """Where in the signs before a run those of its block begin: `| `, `- `, `## `."""
    whole = names & {"table", "pre"}
    if not whole and not names & _LINE_NAMES:
        return None
    parting = "\n\n" if whole else "\n"
    found = gap.rfind(parting)
    if found >= 0:
        return found + len(parting)
    return 0 if at_start else None


@lru_cache(maxsize=4)
def converted(source: str, markdown: bool, repeat: bool) -> Page:
    """The text of a source. A page comes again for each of its questions: the last few are kept."""
    begins, ends, pieces, marked = cut(source)
    form = Form(markdown, repeat, lines=not holds_block(pieces))
    written, parsed = _rendered(pieces, form, len(begins) if marked else -1)
    written = HIDDEN_CONTROLS.sub(lambda m: chr(ord(m[0]) - HIDDEN), written) if marked else written
    if not marked:
        return Page(source, written, [], [], [], [], True, parsed)
    text, new = without_marks(written)
    kept = [i for i in range(len(begins)) if i in new]
    new_begins = [new[i][0] for i in kept]
    in_order = all(a < b for a, b in pairwise(new_begins))
    return Page(
        source,
        text,
        [begins[i] for i in kept],
        [ends[i] for i in kept],
        new_begins,
        [new[i][1] for i in kept],
        in_order,
        parsed,
    )


def _rendered(pieces: list[str], form: Form, marks: int) -> tuple[str, bool]:
    root = _parsed("".join(pieces), marks)
    if root is None and marks == 0:
        return "", True
    if root is None:
        return _stripped(pieces), False
    out = Blocks(form)
    flow(root, out)
    return out.text(), True


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
    etree.strip_tags(root, *TRANSPARENT)
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
