"""A parsed page as Markdown or text: one writer for each kind of element."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, groupby
from typing import Any, NamedTuple

from dollymix.markup.boilerplate import (
    heads_contents,
    is_contents,
    is_reference,
    is_template_links,
    without_arrow,
    without_edit_marker,
)
from dollymix.markup.formulas import PARTS, in_line, notes_of, tex_of, without_style
from dollymix.markup.grid import grid
from dollymix.markup.marks import END, MARKS, mark, numbers_in
from dollymix.markup.names import (
    BLOCK_NAMES,
    CELLS,
    HEADINGS,
    LISTS,
    SECTIONS,
)
from dollymix.markup.scripts import NO_SIGNS, around_lowered, around_raised
from dollymix.markup.source import BLANK, BREAK

_WHITE = re.compile(f"[{BLANK}]{{2,}}|[{BLANK[1:]}]")

_LAST_PIECES = 8


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


def _broken(line: str) -> str:
    """A line parted where it breaks; not the row of a Markdown table, which is one."""
    is_row = MARKS.sub("", line).lstrip().startswith("|")
    return line.replace(BREAK, " / " if is_row else "\n")


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
            text = "\n".join(map(_broken, text.split("\n"))) if BREAK in text else text
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
    | {"tr", "br", "table", "li", "pre", "math", "sup", "sub", "rt", "dt", "dd"}
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
    text = without_edit_marker(whole, is_wiki=out.form.is_wiki)
    out.form.left_out.append(whole[len(text) :])
    if not text:
        return
    signs = "#" * int(element.tag[1]) + " "
    out.add("", signs + text if out.form.markdown and not out.in_cell else text)
    out.at_contents = text == whole and heads_contents(text)


def _raised(element: Any, out: Blocks) -> None:
    """A reference mark goes; a power is written as one."""
    content = "".join(element.itertext())
    if is_reference(content, is_wiki=out.form.is_wiki):
        out.form.left_out.append(content)
        return
    said, before, after = _around(content, element, out)
    is_nested = element.find(".//sup") is not None
    _between(around_raised(said, before, after, is_nested=is_nested), element, out)


def _lowered(element: Any, out: Blocks) -> None:
    """An index, with a sign where it would be read as a part of what it stands behind."""
    said, before, after = _around("".join(element.itertext()), element, out)
    _between(around_lowered(said, before, after), element, out)


def _around(content: str, element: Any, out: Blocks) -> tuple[str, str, str]:
    """What an element says, and some characters before and behind it."""
    before = "".join(piece[-8:] for piece in out.line[-_LAST_PIECES:])
    after = (element.tail or "")[:4]
    return MARKS.sub("", content), MARKS.sub("", before)[-4:], MARKS.sub("", after)


def _between(signs: tuple[str, str], element: Any, out: Blocks) -> None:
    if signs == NO_SIGNS:
        flow(element, out)
        return
    out.line.append(f"{signs[0]}{_inline(element, out).strip()}{signs[1]}")


def _reading(element: Any, out: Blocks) -> None:
    """The reading of a character, behind it."""
    text = _inline(element, out).strip()
    if text:
        out.line.append(f"({text})")


def _formula(element: Any, out: Blocks) -> None:
    """A formula becomes one run, since a part of its source is none of its line."""
    form = out.form
    whole = "".join(element.itertext())
    said = [tex_of(element), in_line(element), whole]
    if form.marked:
        said = [MARKS.sub("", text) for text in said]
    tex, in_one_line, as_it_stands = map(squeezed, said)
    text = _in_dollars(tex, form) if tex else in_one_line or as_it_stands
    if not form.marked:
        out.line.append(text)
        return
    form.left_out.append(whole)
    runs = numbers_in([whole])
    if runs:
        first, last = min(runs), max(runs)
        if last - first < len(runs):  # the parser moved none of them away
            form.joined[first] = last
        text = f"{mark(first)}{text}{END}"
    out.line.append(text)


def _in_dollars(tex: str, form: Form) -> str:
    tex = without_style(tex)
    return f"${tex}$" if form.markdown else tex


def _formula_part(element: Any, out: Blocks) -> None:
    """A part of a formula whose `math` is not here, as an answer may be."""
    out.form.left_out.extend(text for note in notes_of(element) for text in note.itertext())
    out.line.append(in_line(element))


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
    if out.at_contents and is_contents(element, is_wiki=out.form.is_wiki):
        out.at_contents = False
        out.form.left_out.extend((out.blocks.pop()[1], *element.itertext()))
        return
    if is_template_links(element, is_wiki=out.form.is_wiki):
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
    first = without_arrow(lines[0], is_wiki=out.form.is_wiki)
    if first != lines[0] and len(lines) == 1 and not MARKS.sub("", first):
        out.form.left_out.append(first)
        return []
    if out.in_cell:
        return [first, *lines[1:]]
    indent = " " * len(sign)
    return [sign + first, *(indent + line for line in lines[1:])]


def _stray_item(element: Any, out: Blocks) -> None:
    """An item outside a list."""
    out.close()
    lines = _item(element, "- ", out)
    if lines:
        out.add("list", "\n".join(lines))


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
    lines = _grid(rows, out)
    if not lines:
        return
    if out.in_cell:
        for line in lines:
            out.add("", " ".join(filter(None, line)))
        return
    width = max(map(len, lines))
    lines[0] += [""] * (width - len(lines[0]))
    head = "| " + " | ".join(["---"] * width) + " |"
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


def _grid(rows: list[list[Any]], out: Blocks) -> list[list[str]]:
    lines = grid(rows, lambda cell: _cell_text(cell, out), repeat=out.form.repeat)
    return [line for line in lines if any(line)]


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
    **dict.fromkeys(PARTS, _formula_part),
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
    "sub": _lowered,
    "rt": _reading,
    "dt": _line_block,
    "dd": _line_block,
}
