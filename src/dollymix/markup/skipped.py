"""Takes elements that are not written out of a source, where they are closed.

One that is never closed would swallow the text behind it: of that its tag alone goes.
"""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from typing import NamedTuple

from dollymix.markup.names import BLOCK_NAMES, FORMULA_LEAVES, FORMULA_NAMES, SKIPPED

# Skipped elements that, where they are not closed, are blocks like others.
_BLOCKS = ("nav", "footer")
_BRACKETS = frozenset("()[]（）［］")


class _Element(NamedTuple):
    """Where the opening and the closing tag of an element stand; `end` -1: it is never closed."""

    name: str
    begin: int
    end: int = -1


def take_out_skipped(pieces: list[str], plain: dict[str, str], names: dict[str, str]) -> None:
    """Empties the pieces (text and tag by turns) of skipped elements that are closed, and mends
    those that are not. A formula or a reading that is not closed ends behind the last thing that
    can belong to it. `names`: of the tags; `plain` learns the forms of tags that are made."""
    plain[""], plain[" "] = "", " "
    looked_at = {tag: name for tag, name in names.items() if name in _LOOKED_AT}
    if not looked_at:
        return
    elements = _elements(pieces, looked_at)
    blocks: list[int] = []
    if "math" in looked_at.values():
        blocks = [at for at in range(1, len(pieces), 2) if names.get(pieces[at]) in BLOCK_NAMES]
    for element in elements:
        if element.name == "math":
            holds_block = bisect(blocks, element.begin) < bisect(blocks, element.end)
            _mend_formula(pieces, element, names, plain, holds_block=holds_block)
        elif element.name in SKIPPED and element.end < 0:
            _mend(pieces, element)
    _empty(pieces, [element for element in elements if element.name in SKIPPED])
    for name, begin, end in elements:
        if end < 0 and name == "rt":
            _close_before(pieces, begin + 2, plain)


_LOOKED_AT = SKIPPED | {"math", "rt"}


def _elements(pieces: list[str], looked_at: dict[str, str]) -> list[_Element]:
    """The elements to look at. A closing tag ends the last of its name that is open; one too many
    is taken out."""
    found: list[_Element] = []
    opened: defaultdict[str, list[int]] = defaultdict(list)
    places = [index for index in range(1, len(pieces), 2) if pieces[index] in looked_at]
    for index in places:
        tag = pieces[index]
        name = looked_at[tag]
        if tag.startswith("</"):
            if opened[name]:
                found.append(_Element(name, opened[name].pop(), index))
            else:
                pieces[index] = ""
        elif tag.endswith("/>"):
            pieces[index] = ""
        elif not (name == "script" and opened[name] and pieces[index - 1].endswith(("'", '"'))):
            opened[name].append(index)  # else it stands in a string of a script
    found += [_Element(name, index) for name, left in opened.items() for index in left]
    return found


def _empty(pieces: list[str], elements: list[_Element]) -> None:
    """Empties the pieces of elements that are closed, of those in each other once."""
    done = 0
    for _, begin, end in sorted(elements, key=lambda element: element.begin):
        if end >= done:
            start = max(begin, done)
            pieces[start : end + 1] = [""] * (end + 1 - start)
            done = end + 1


def _mend(pieces: list[str], element: _Element) -> None:
    """Lets a skipped element that is never closed swallow nothing."""
    name, begin, _ = element
    if name == "rp":
        pieces[begin] = ""
        if pieces[begin + 1].strip() in _BRACKETS:
            pieces[begin + 1] = ""
    elif name not in _BLOCKS:
        pieces[begin] = " "


def _close_before(pieces: list[str], index: int, plain: dict[str, str]) -> None:
    """Ends a reading at the next tag."""
    if index < len(pieces):
        tag = pieces[index]
        pieces[index] = f"</rt>{tag}"
        plain[pieces[index]] = f"</rt>{plain[tag]}"


def _mend_formula(
    pieces: list[str],
    element: _Element,
    names: dict[str, str],
    plain: dict[str, str],
    *,
    holds_block: bool,
) -> None:
    """Ends a formula that is not closed, or not before a block, behind its own elements."""
    _, begin, end = element
    if end >= 0 and not holds_block:
        return
    if end >= 0:
        pieces[end] = ""
    last = _end_of_formula(pieces, begin, names)
    if last < 0:
        pieces[begin] = ""
        return
    tag = pieces[last]
    pieces[last] = f"{tag}</math>"
    plain[pieces[last]] = f"{plain[tag]}</math>"


def _end_of_formula(pieces: list[str], begin: int, names: dict[str, str]) -> int:
    """The last closing tag up to which there are elements of a formula alone, -1 without any."""
    last = -1
    may_hold_text = False
    for index in range(begin + 2, len(pieces), 2):
        tag = pieces[index]
        name = names.get(tag)
        if name not in FORMULA_NAMES or name == "math":
            break
        if not may_hold_text and pieces[index - 1].strip():
            break
        is_end = tag.startswith("</")
        last = index if is_end else last
        may_hold_text = not is_end and name in FORMULA_LEAVES
    return last
