"""The cells of a table, by row and column: spans resolved."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, NamedTuple

_MOST_PLACES = 1000
# No page has so many columns; behind them a hostile cell spans nothing.
_MOST_COLUMNS = 1000
# A hostile table may have a wide row and many short ones: those are not filled up.
_MOST_BLANKS = 20


class _Cell(NamedTuple):
    text: str
    row: int
    column: int
    rows: int
    columns: int


def grid(rows: list[list[Any]], write: Callable[[Any], str], *, repeat: bool) -> list[list[str]]:
    """The texts of the cells, the elements in `rows`, by row and column. A cell that spans several
    stands in its first, with `repeat` in each. Columns where no text begins are left out."""
    placed: list[_Cell] = []
    free: dict[int, int] = {}  # column -> the first row that it is not taken in
    ends: list[int] = []  # of the sections, where a cell asks for them
    for number, row in enumerate(rows):
        column = 0
        for cell in row:
            while free.get(column, 0) > number:
                column += 1
            width = _span_of(cell, "colspan")
            if cell.get("rowspan") == "0":
                ends = ends or _section_ends(rows)
                height = min(ends[number] - number, _MOST_PLACES)
            else:
                height = min(_span_of(cell, "rowspan"), len(rows) - number)
            if column + width > _MOST_COLUMNS:
                width = height = 1
            placed.append(_Cell(write(cell), number, column, height, width))
            if height > 1:
                free.update((at, number + height) for at in range(column, column + width))
            column += width
    return _filled(placed, len(rows), repeat=repeat)


def _span_of(cell: Any, name: str) -> int:
    """How many places a cell takes; what cannot be read is one."""
    value = cell.get(name)
    if not value:
        return 1
    return max(1, min(int(value), _MOST_PLACES))


def _section_ends(rows: list[list[Any]]) -> list[int]:
    """For each row the number of the first one behind its section."""
    ends: list[int] = []
    section, end = None, len(rows)
    for number, row in reversed(list(enumerate(rows))):
        if row:
            own = row[0].getparent().getparent()
            if section is not None and own is not section:
                end = number + 1
            section = own
        ends.append(end)
    return ends[::-1]


def _filled(placed: list[_Cell], height: int, *, repeat: bool) -> list[list[str]]:
    begun = sorted({cell.column for cell in placed if cell.text})
    column_of = {column: index for index, column in enumerate(begun)}
    width = len(begun)
    full = width * height <= _MOST_BLANKS * len(placed) + 1000
    lines: list[list[str]] = [[""] * width if full else [] for _ in range(height)]
    for cell in placed:
        if not cell.text:
            continue
        first = column_of[cell.column]
        last = bisect_left(begun, cell.column + cell.columns)
        if not full:
            lines[cell.row].append(cell.text)
            continue
        places = [(cell.row, first)]
        if repeat:
            text_rows = range(cell.row, cell.row + cell.rows)
            places = [(row, column) for row in text_rows for column in range(first, last)]
        for row, column in places:
            lines[row][column] = cell.text
    return lines
