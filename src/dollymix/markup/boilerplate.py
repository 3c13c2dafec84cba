"""What of a page is boilerplate: edit markers, reference marks, the table of contents, the links of
a navigation box to itself, the arrows of notes.

On a wiki page its look is enough; elsewhere `[n]` may be an index and `[edit]` a word, so there it
must be told by how it is divided into runs, too.
"""

from __future__ import annotations

import re
from itertools import chain, islice
from typing import Any

from dollymix.markup.marks import BEGIN, END, MARK, MARKS, PRIVATE
from dollymix.markup.names import CELLS

_EDIT_WORDS = (
    rf"(?:편집|원본(?:{MARK}|\s)*편집|edit|edit source|\|)(?:{MARK}|\s|\||편집|원본|edit|source)*"
)
_EDIT = re.compile(rf"{BEGIN}?\[(?:{MARK}|\s)*{_EDIT_WORDS}\]{MARK}*\s*$")
_LINE = r"(?:\s*:\s*[\d,\s–-]+)?"
_REFERENCE = re.compile(rf"(?:\s*\[[^\[\]]{{1,20}}\]{_LINE})+\s*")
# Outside a wiki page: with brackets that are runs of their own beside a link, or a number.
_EDIT_IN_PARTS = re.compile(rf"{BEGIN}?\[{END}(?:{MARK}|\s)*{_EDIT_WORDS}\]{MARK}*\s*$")
_NUMBERED = re.compile(
    rf"(?:\s*\[(?:[^\W\d]+\s|주|\*\s)?\d{{1,4}}(?:[,–-]\s?\d{{1,4}})*\]{_LINE})+\s*"
)
_REFERENCE_IN_PARTS = re.compile(rf"\s*{BEGIN}\[{END}\s*(?!{BEGIN}[A-Za-z]{END})")
_CONTENTS_NUMBER = re.compile(rf"\s*{BEGIN}\d[\d.]*{END}\s*{BEGIN}")

_ARROW = re.compile(rf"^({MARK}*)↑({MARK}*)\s*")
_ARROW_ALONE = re.compile(rf"^({BEGIN})↑({END})\s*")
_CONTENTS = ("목차", "Contents")
# View, discuss, edit, history: the links of a navigation box to its own template.
_TEMPLATE_LINKS = ("vdeh", "vde", "vte")


def without_edit_marker(heading: str, *, is_wiki: bool) -> str:
    """The line of a heading, with its marks, without `[edit]` at its end."""
    return (_EDIT if is_wiki else _EDIT_IN_PARTS).sub("", heading).rstrip()


def without_arrow(note: str, *, is_wiki: bool) -> str:
    """The line of a note, with its marks, without the arrow to its place in the text."""
    return (_ARROW if is_wiki else _ARROW_ALONE).sub(r"\1\2", note) if "↑" in note else note


def is_reference(content: str, *, is_wiki: bool) -> bool:
    """Whether raised words, with their marks, are a reference mark, not an index such as `[n]`."""
    text = MARKS.sub("", content)
    if not _REFERENCE.fullmatch(text):
        return False
    return bool(is_wiki or _NUMBERED.fullmatch(text) or _REFERENCE_IN_PARTS.match(content))


def heads_contents(heading: str) -> bool:
    """Whether the line of a heading, with its marks, is that of a table of contents."""
    return MARKS.sub("", heading) in _CONTENTS


def is_contents(element: Any, *, is_wiki: bool) -> bool:
    """Whether a list behind such a heading is a table of contents: its numbers stand alone."""
    if is_wiki:
        return _first_letters(element, 1).isdigit()
    return bool(_CONTENTS_NUMBER.match("".join(element.itertext())))


def is_template_links(element: Any, *, is_wiki: bool) -> bool:
    """Whether a list is the links of a navigation box to itself."""
    if len(element) > 4 or _first_letters(element, 5) not in _TEMPLATE_LINKS:
        return False
    return is_wiki or next(element.iterancestors(*CELLS), None) is not None


def _first_letters(element: Any, most: int) -> str:
    """The first characters in an element that are no blanks and no marks."""
    chars = chain.from_iterable(element.itertext())
    letters = (char for char in chars if not (char.isspace() or PRIVATE.match(char)))
    return "".join(islice(letters, most))
