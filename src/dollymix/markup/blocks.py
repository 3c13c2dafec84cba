"""A parsed page as Markdown or text: one writer for each kind of element."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain, groupby, islice
from typing import Any, NamedTuple

from dollymix.markup.formulas import in_line
from dollymix.markup.marks import BEGIN, END, MARK, MARKS, PRIVATE, mark, numbers_in
from dollymix.markup.names import (
    BLOCK_NAMES,
    CELLS,
    HEADINGS,
    LISTS,
    SECTIONS,
)
from dollymix.markup.source import BLANK, BREAK

_WHITE = re.compile(f"[{BLANK}]{{2,}}|[{BLANK[1:]}]")

_EDIT_WORDS = (
    rf"(?:편집|원본(?:{MARK}|\s)*편집|edit|edit source|\|)(?:{MARK}|\s|\||편집|원본|edit|source)*"
)
_EDIT = re.compile(rf"{BEGIN}?\[(?:{MARK}|\s)*{_EDIT_WORDS}\]{MARK}*\s*$")
_LINE = r"(?:\s*:\s*[\d,\s–-]+)?"
_REFERENCE = re.compile(rf"(?:\s*\[[^\[\]]{{1,20}}\]{_LINE})+\s*")
# The same outside a wiki page, where `[n]` may be an index and `[edit]` a word: with brackets that
# are runs of their own beside a link, or a number.
_EDIT_IN_PARTS = re.compile(rf"{BEGIN}?\[{END}(?:{MARK}|\s)*{_EDIT_WORDS}\]{MARK}*\s*$")
_NUMBERED = re.compile(
    rf"(?:\s*\[(?:[^\W\d]+\s|주|\*\s)?\d{{1,4}}(?:[,–-]\s?\d{{1,4}})*\]{_LINE})+\s*"
)
_REFERENCE_IN_PARTS = re.compile(rf"\s*{BEGIN}\[{END}\s*(?!{BEGIN}[A-Za-z]{END})")
_CONTENTS_NUMBER = re.compile(rf"\s*{BEGIN}\d[\d.]*{END}\s*{BEGIN}")

_LETTER = "[A-Za-zα-ωΑ-Ω]"
_POWER = re.compile(r"[+−-]?(?:\d{1,6}(?:\.\d{1,6})?|[a-zA-Z])")
_TERM = rf"(?:\d+(?:\.\d+)?|{_LETTER})+"
_EXPRESSION = re.compile(rf"[+−-]?{_TERM}(?:\s?[+−/*·×-]\s?{_TERM})*")
_BASE = re.compile(rf"(?:\d|{_LETTER})[)\]]?$")
_ARROW = re.compile(rf"^({MARK}*)↑({MARK}*)\s*")
_ARROW_ALONE = re.compile(rf"^({BEGIN})↑({END})\s*")
_DISPLAY_STYLE = re.compile(r"\{\\(?:display|text)style\s*(.*)\}", re.DOTALL)
_CONTENTS = ("목차", "Contents")
# View, discuss, edit, history: the links of a navigation box to its own template.
_TEMPLATE_LINKS = ("vdeh", "vde", "vte")


class Form(NamedTuple):
    """What is written. `lines`: the line ends of the source are kept. `is_wiki`: a wiki page, of
    which wiki boilerplate goes. `marked`: runs of text stand between marks. `left_out`: what was
    not written, on purpose. `joined`: the last run of each that became one, by its first."""

    markdown: bool
    repeat: bool
    lines: bool
    is_wiki: bool
    marked: bool
    left_out: list[str]
    joined: dict[int, int]


def squeezed(text: str) -> str:
    """The text with each run of blanks as one, and none at its edges."""
    return _WHITE.sub(" ", text).strip(" ")


class Blocks:
    """Blocks of text that grow. `in_cell`: without signs of Markdown, to be joined in one line."""

    def __init__(self, form: Form, *, in_cell: bool = False) -> None:
        self.form = form
        self.in_cell = in_cell
        self.blocks: list[tuple[str, str]] = []  # what it is, its text
        self.line: list[str] = []
        self.at_contents = False

    def close(self) -> None:
        """The line that grew becomes a block."""
        if not self.line:
            return
        text = "".join(self.line)
        self.line = []
        if self.form.lines:
            text = text.replace(BREAK, "\n")
        elif BREAK in text:
            text = "\n".join(filter(None, map(squeezed, text.split(BREAK))))
        else:
            text = squeezed(text)
        if text:
            self.add("", text)

    def add(self, kind: str, text: str) -> None:
        """One more block."""
        self.at_contents = False
        self.blocks.append((kind, text))

    def text(self) -> str:
        """All blocks: items of one list on lines of their own, others with a blank line between."""
        self.close()
        made: list[str] = []
        before = ""
        for kind, text in self.blocks:
            if made:
                made.append("\n" if kind and kind == before else "\n\n")
            made.append(text)
            before = kind
        return "".join(made)

    def tight(self) -> list[str]:
        """All lines, without blank ones between."""
        self.close()
        return [line for _, text in self.blocks for line in text.split("\n") if line]


_OWN = (
    HEADINGS | CELLS | SECTIONS | LISTS
    | {"tr", "br", "table", "li", "pre", "math", "sup", "rt", "dt", "dd"}
)  # fmt: skip
_PLAIN_BLOCKS = BLOCK_NAMES - _OWN


def flow(element: Any, out: Blocks) -> None:
    """Writes what stands in an element."""
    if element.text:
        out.line.append(element.text)
    for child in element:
        _write(child, out)
        if child.tail:
            out.line.append(child.tail)


def _write(child: Any, out: Blocks) -> None:
    writer = _WRITERS.get(child.tag)
    if writer is not None:
        writer(child, out)
    elif child.tag in _PLAIN_BLOCKS:
        out.close()
        flow(child, out)
        out.close()
    else:
        flow(child, out)


def _line_break(_: Any, out: Blocks) -> None:
    out.line.append(BREAK)


def _inline(element: Any, out: Blocks) -> str:
    """What stands in an element, as one line."""
    inner = Blocks(out.form, in_cell=True)
    flow(element, inner)
    return " ".join(inner.tight())


def _heading(element: Any, out: Blocks) -> None:
    out.close()
    whole = _inline(element, out)
    text = (_EDIT if out.form.is_wiki else _EDIT_IN_PARTS).sub("", whole).rstrip()
    out.form.left_out.append(whole[len(text) :])
    if not text:
        return
    signs = "#" * int(element.tag[1]) + " "
    out.add("", signs + text if out.form.markdown and not out.in_cell else text)
    out.at_contents = text == whole and MARKS.sub("", text) in _CONTENTS


def _raised(element: Any, out: Blocks) -> None:
    """A reference mark goes; a power is written as one."""
    content = "".join(element.itertext())
    text = MARKS.sub("", content)
    if _REFERENCE.fullmatch(text) and _is_reference(content, text, out.form):
        out.form.left_out.append(content)
        return
    before = MARKS.sub("", out.line[-1][-4:]) if out.line else ""
    is_power = _POWER.fullmatch(text) and (before[-1:].isalnum() or _BASE.search(before))
    if is_power and not _goes_on(text, element.tail):
        out.line.append("^")
    elif is_power or (_is_expression(text) and _BASE.search(before)):
        out.line.append("^(")
        flow(element, out)
        out.line.append(")")
        return
    flow(element, out)


def _goes_on(text: str, tail: str | None) -> bool:
    """Whether the figure behind a raised one would be read as a part of it."""
    return text[-1:].isdigit() and MARKS.sub("", (tail or "")[:4])[:1].isdigit()


def _is_reference(content: str, text: str, form: Form) -> bool:
    """Whether words in brackets are a reference mark, not an index such as `[n]`."""
    return bool(form.is_wiki or _NUMBERED.fullmatch(text) or _REFERENCE_IN_PARTS.match(content))


def _is_expression(text: str) -> bool:
    """Whether more than letters is raised: `n+1`, `10n`, not the `rd` of `3rd`."""
    return bool(_EXPRESSION.fullmatch(text)) and not (text.isascii() and text.isalpha())


def _reading(element: Any, out: Blocks) -> None:
    """The reading of a character, behind it."""
    text = _inline(element, out)
    if text:
        out.line.append(f"({text})")


def _formula(element: Any, out: Blocks) -> None:
    """A formula becomes one run, since a part of its source is none of its line."""
    form = out.form
    notes = element.findall(".//annotation")
    tex = "".join(notes[-1].itertext()) if notes else element.get("alttext")
    text = squeezed(tex or in_line(element))
    if not form.marked:
        out.line.append(_in_dollars(text, form) if tex else text)
        return
    whole = "".join(element.itertext())
    form.left_out.append(whole)
    text = MARKS.sub("", text)
    text = _in_dollars(text, form) if tex else text
    runs = numbers_in([whole])
    if runs:
        first, last = min(runs), max(runs)
        if last - first < len(runs):  # the parser moved none of them away
            form.joined[first] = last
        text = f"{mark(first)}{text}{END}"
    out.line.append(text)


def _in_dollars(tex: str, form: Form) -> str:
    styled = _DISPLAY_STYLE.fullmatch(tex)
    tex = styled[1].strip() if styled else tex
    return f"${tex}$" if form.markdown else tex


def _preformatted(element: Any, out: Blocks) -> None:
    if out.in_cell:
        out.close()
        flow(element, out)
        out.close()
        return
    out.close()
    text = "".join(_raw_text(element)).strip("\n").rstrip()
    if not text.strip():
        return
    if out.form.markdown:
        longest = max(map(len, re.findall("`+", text)), default=0)
        fence = "`" * max(3, longest + 1)
        text = f"{fence}\n{text}\n{fence}"
    out.add("", text)


def _raw_text(element: Any) -> Iterator[str]:
    for part in element.iter():
        if part.tag == "br":
            yield "\n"
        if part.text:
            yield part.text
        if part is not element and part.tail:
            yield part.tail


def _line_block(element: Any, out: Blocks) -> None:
    """A term, or what is said of it: a line of its own."""
    out.close()
    inner = Blocks(out.form, in_cell=out.in_cell)
    flow(element, inner)
    for line in inner.tight():
        out.add("dl", line)


def _list(element: Any, out: Blocks) -> None:
    out.close()
    if out.at_contents and _is_contents(element, out.form):
        out.at_contents = False
        out.form.left_out.extend((out.blocks.pop()[1], *element.itertext()))
        return
    if len(element) <= 4 and _is_template_links(element, out.form):
        out.form.left_out.extend(element.itertext())
        return
    lines: list[str] = []
    is_ordered, step = element.tag == "ol", -1 if element.get("reversed") else 1
    number = int(element.get("start") or (1 if step > 0 else len(element.findall("li"))))
    for child in _with_stray_text(element):
        if isinstance(child, str) or child.tag == "li":
            if not isinstance(child, str) and child.get("value"):
                number = int(child.get("value"))
            item = _item(child, f"{number}. " if is_ordered else "- ", out)
            number += step if item else 0
            lines += item
        else:  # a list, or something else, straight in the list: belongs to the item before it
            inner = Blocks(out.form, in_cell=out.in_cell)
            _write(child, inner)
            indent = "" if out.in_cell else "  "
            lines += [indent + line for line in inner.tight()]
    if lines:
        out.add("list", "\n".join(lines))


def _is_contents(element: Any, form: Form) -> bool:
    """Whether a list behind its heading is a table of contents: its numbers stand alone."""
    if form.is_wiki:
        return _first_letters(element, 1).isdigit()
    return bool(_CONTENTS_NUMBER.match("".join(element.itertext())))


def _is_template_links(element: Any, form: Form) -> bool:
    if _first_letters(element, 5) not in _TEMPLATE_LINKS:
        return False
    return form.is_wiki or next(element.iterancestors(*CELLS), None) is not None


def _first_letters(element: Any, most: int) -> str:
    """The first characters in an element that are no blanks and no marks."""
    chars = chain.from_iterable(element.itertext())
    letters = (char for char in chars if not (char.isspace() or PRIVATE.match(char)))
    return "".join(islice(letters, most))


def _with_stray_text(element: Any) -> Iterator[Any]:
    if element.text and element.text.strip():
        yield element.text
    for child in element:
        yield child
        if child.tail and child.tail.strip():
            yield child.tail


def _item(content: Any, sign: str, out: Blocks) -> list[str]:
    lines = [squeezed(content)] if isinstance(content, str) else _lines(content, out.in_cell, out)
    if not lines:
        return []
    if "↑" in lines[0]:
        arrow = _ARROW if out.form.is_wiki else _ARROW_ALONE
        lines[0] = arrow.sub(r"\1\2", lines[0])
        if len(lines) == 1 and not MARKS.sub("", lines[0]):
            out.form.left_out.extend(lines)
            return []
    if out.in_cell:
        return lines
    indent = " " * len(sign)
    return [sign + lines[0], *(indent + line for line in lines[1:])]


def _stray_item(element: Any, out: Blocks) -> None:
    """An item outside a list."""
    out.close()
    lines = _item(element, "- ", out)
    if lines:
        out.add("list", "\n".join(lines))


class _Cell(NamedTuple):
    text: str
    row: int
    column: int
    rows: int
    columns: int


def _table(element: Any, out: Blocks) -> None:
    out.close()
    rows = list(_rows(element, out))
    out.close()
    cells = [cell for row in rows for cell in row]
    if _only_places(rows, cells):
        for cell in cells:
            flow(cell, out)
            out.close()
        return
    if element.find(".//table") is None:
        _add_table(rows, out)
        return
    for apart, group in groupby(rows, key=_holds_table):
        if not apart:
            _add_table(list(group), out)
            continue
        for cell in chain.from_iterable(group):
            flow(cell, out)
            out.close()


def _add_table(rows: list[list[Any]], out: Blocks) -> None:
    lines = [line for line in _grid(rows, out) if any(line)]
    if not lines:
        return
    if out.in_cell:
        for line in lines:
            out.add("", " ".join(filter(None, line)))
        return
    head = "| " + " | ".join(["---"] * max(map(len, lines))) + " |"
    written = ["| " + " | ".join(line) + " |" for line in lines]
    out.add("", "\n".join((written[0], head, *written[1:])))


def _holds_table(row: list[Any]) -> bool:
    """Whether a table of its own, of some rows and columns, stands in a cell of the row."""
    tables = (table for cell in row for table in cell.iterfind(".//table"))
    return any(len(rows) > 1 and max(map(len, rows)) > 1 for rows in map(_all_rows, tables))


def _all_rows(table: Any) -> list[Any]:
    return table.findall(".//tr")  # type: ignore[no-any-return]


def _rows(element: Any, out: Blocks) -> Iterator[list[Any]]:
    """The cells of each row. What stands in a table outside its cells is written before it."""
    loose: list[Any] = []
    if element.text and element.text.strip():
        out.line.append(element.text)
    for child in element:
        tag = child.tag
        if tag in CELLS:
            loose.append(child)
        else:
            out.close()
            if loose:
                yield loose
                loose = []
            if tag == "tr":
                yield _cells_of(child, out)
            elif tag in SECTIONS:
                yield from _rows(child, out)
            else:
                _write(child, out)
                out.close()
        if child.tail and child.tail.strip():
            out.line.append(child.tail)
    if loose:
        yield loose


def _cells_of(row: Any, out: Blocks) -> list[Any]:
    cells: list[Any] = []
    if row.text and row.text.strip():
        out.line.append(row.text)
    for child in row:
        if child.tag in CELLS:
            cells.append(child)
        else:
            _write(child, out)
        if child.tail and child.tail.strip():
            out.line.append(child.tail)
    return cells


_PLACED = (".//ul", ".//ol", ".//table", ".//dl", ".//p", ".//pre", ".//h2", ".//h3")


def _only_places(rows: list[list[Any]], cells: list[Any]) -> bool:
    """True of a table that only places things side by side, or one above the other."""
    if len(cells) == 1:
        return True
    if len(rows) > 1 and any(len(row) > 1 for row in rows):
        return False
    return any(cell.find(path) is not None for cell in cells for path in _PLACED)


def _span_of(cell: Any, name: str) -> int:
    """How many places a cell takes; what cannot be read is one."""
    value = cell.get(name)
    if not value:
        return 1
    return max(1, min(int(value), 1000))


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


def _grid(rows: list[list[Any]], out: Blocks) -> list[list[str]]:
    """The texts by row and column, spans resolved. Columns in which no cell begins are left out."""
    placed: list[_Cell] = []
    taken: dict[int, int] = {}  # column -> rows that it is still taken for
    ends: list[int] = []  # of the sections, where a cell asks for them
    for number, row in enumerate(rows):
        column = 0
        new: dict[int, int] = {}
        for cell in row:
            while taken.get(column, 0):
                column += 1
            width = _span_of(cell, "colspan")
            if cell.get("rowspan") == "0":
                ends = ends or _section_ends(rows)
                height = min(ends[number] - number, 1000)
            else:
                height = min(_span_of(cell, "rowspan"), len(rows) - number)
            placed.append(_Cell(_cell_text(cell, out), number, column, height, width))
            if height > 1:
                new.update((at, height) for at in range(column, column + width))
            column += width
        taken = {at: left - 1 for at, left in (taken | new).items() if left > 1}
    return _filled(placed, len(rows), repeat=out.form.repeat)


# A hostile table may have a wide row and many short ones: those are not filled up.
_MOST_BLANKS = 20


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
        places = [(cell.row, first)]
        if repeat and full:
            text_rows = range(cell.row, cell.row + cell.rows)
            places = [(row, column) for row in text_rows for column in range(first, last)]
        for row, column in places:
            lines[row] += [""] * (column + 1 - len(lines[row]))
            lines[row][column] = cell.text
    return lines


def _cell_text(cell: Any, out: Blocks) -> str:
    text = " / ".join(_lines(cell, True, out))
    return text.replace("|", "\\|") if out.form.markdown else text


def _lines(element: Any, in_cell: bool, out: Blocks) -> list[str]:
    """What stands in an item or a cell, by lines; mostly one, without elements in it."""
    if not len(element):
        text = squeezed(element.text) if element.text else ""
        return [text] if text else []
    inner = Blocks(out.form, in_cell=in_cell)
    flow(element, inner)
    return inner.tight()


def _stray_row(element: Any, out: Blocks) -> None:
    """A row, or rows, outside a table: lines without a header."""
    out.close()
    rows = [_cells_of(element, out)] if element.tag == "tr" else list(_rows(element, out))
    out.close()
    for line in _grid(rows, out):
        if any(line):
            out.add("row", "| " + " | ".join(line) + " |")


def _stray_cell(element: Any, out: Blocks) -> None:
    """A cell outside a row: beside the cell before it."""
    out.close()
    if any(element.find(path) is not None for path in _PLACED):
        flow(element, out)
        out.close()
        return
    text = _cell_text(element, out)
    if not text:
        return
    if out.blocks and out.blocks[-1][0] == "cell":
        text = f"{out.blocks.pop()[1]} | {text}"
    out.add("cell", text)


_WRITERS = {
    **dict.fromkeys(HEADINGS, _heading),
    **dict.fromkeys(LISTS, _list),
    **dict.fromkeys(CELLS, _stray_cell),
    **dict.fromkeys(SECTIONS | {"tr"}, _stray_row),
    "br": _line_break,
    "table": _table,
    "li": _stray_item,
    "pre": _preformatted,
    "math": _formula,
    "sup": _raised,
    "rt": _reading,
    "dt": _line_block,
    "dd": _line_block,
}
