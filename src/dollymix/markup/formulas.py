"""MathML in one line: its TeX, or `1/2`, `x^2`, `a_n`, `√(x+1)`; of other forms their text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dollymix.markup.marks import MARKS

# What stands before each part of an element that has just so many.
_BEFORE = {
    "mfrac": ("", "/"),
    "msup": ("", "^"),
    "msub": ("", "_"),
    "msubsup": ("", "_", "^"),
    "mover": ("", "^"),
    "munder": ("", "_"),
    "munderover": ("", "_", "^"),
}
_STRONGER = frozenset(("msup", "msub", "msubsup", "msqrt", "mroot"))
_ACCENTED = frozenset(("mover", "munder", "munderover"))
_SIGNED = frozenset((*_BEFORE, "msqrt", "mroot"))
# Those that may stand alone in a part of a page that ends within a formula.
PARTS = _SIGNED | {"mrow", "mtable", "mfenced"}
_NOTES = ("annotation", "annotation-xml")
_STYLE = re.compile(r"\{\\(?:display|text)style\b\s*")
_WORD = re.compile(r"\w+(?:[.,]\w+)?|\W?")
_PRIMES = re.compile("['′″‴]+")
_GROUP = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\|[^|]*\|")
_LONGEST = 1_000  # a longer part is put in brackets unread


def tex_of(element: Any) -> str:
    """The TeX that a formula brings along, as it stands there; empty where it brings none."""
    notes = [note for note in element.iterfind(".//annotation") if _is_tex(note.get("encoding"))]
    tex = "".join(notes[-1].itertext()) if notes else ""
    return tex if _said(tex) else element.get("alttext") or ""


def _is_tex(encoding: str | None) -> bool:
    return encoding is None or "tex" in encoding.lower().removeprefix("text/")


def notes_of(element: Any) -> Iterator[Any]:
    """What is said of a formula beside it: its source, its meaning."""
    return element.iter(*_NOTES)  # type: ignore[no-any-return]


def without_style(tex: str) -> str:
    """TeX without the braces around all of it that say how large it is."""
    found = _STYLE.match(tex)
    if not found or not tex.endswith("}"):
        return tex
    open_braces = 0
    for at, sign in enumerate(tex):
        if sign in "{}" and tex[at - 1 : at] != "\\":
            open_braces += 1 if sign == "{" else -1
            if open_braces == 0:
                return tex[found.end() : at].strip() if at == len(tex) - 1 else tex
    return tex


def in_line(element: Any) -> str:
    """The text of an element of MathML, with its marks."""
    if element.tag in _NOTES:
        return ""
    if element.tag == "mspace":
        return " " + _row(element)  # which is empty, but where its end was forgotten
    if element.tag == "mtable":
        return _joined(element, "; ")
    if element.tag == "mtr":
        return _joined(element, " ")
    if element.tag == "mfenced":
        return _fenced(element)
    if element.tag == "msqrt":
        text = _row(element)
        return f"√{_bracketed(text.strip(), is_word=len(element) < 2)}" if text.strip() else text
    if element.tag == "mroot" and _has_parts(element, 2):
        return f"{_part(element, 0)}^(1/{_part(element, 1)})"
    signs = _BEFORE.get(element.tag, ())
    if not signs or not _has_parts(element, len(signs)):
        return _row(element)
    return "".join(
        _part(element, at) if _is_accent(element, at) else sign + _part(element, at)
        for at, sign in enumerate(signs)
    )


def _joined(element: Any, between: str) -> str:
    """The parts of an element with a sign between those that say something."""
    texts = (element.text or "", *map(in_line, element))
    return between.join(text for text in texts if text.strip()) + "".join(
        child.tail or "" for child in element
    )


def _fenced(element: Any) -> str:
    """Parts in brackets, with commas between, or what its attributes say. (MathML 3, 3.3.8)"""
    opening, closing = element.get("open", "("), element.get("close", ")")
    signs = "".join(element.get("separators", ",").split())
    made = [element.text or ""]
    for at, child in enumerate(element):
        sign = signs[min(at, len(signs)) - 1] + " " if at and signs else ""
        made += sign, in_line(child).strip(), child.tail or ""
    return f"{opening}{''.join(made)}{closing}"


def _has_parts(element: Any, number: int) -> bool:
    """Whether just so many parts stand in an element, and no text beside them."""
    texts = (element.text, *(child.tail for child in element))
    return len(element) == number and not any(text and text.strip() for text in texts)


def _is_accent(element: Any, at: int) -> bool:
    """Whether a part is a sign over or under the first, or its primes."""
    if element.tag in _ACCENTED:
        return at > 0 and element[at].tag == "mo"
    return bool(_PRIMES.fullmatch(_said(element[at].text or "")))


def _part(element: Any, at: int) -> str:
    """A part, in brackets where it is more than a number, a word, a sign or brackets, and does not
    bind stronger than its element."""
    part = element[at]
    text = in_line(part).strip()
    while len(part) == 1:
        part = part[0]
    if element.tag == "mfrac" and part.tag in _STRONGER:
        return text
    return _bracketed(text, is_word=not len(part))


def _bracketed(text: str, *, is_word: bool) -> str:
    said = _said(text)
    if len(said) <= _LONGEST and (_GROUP.fullmatch(said) or (is_word and _WORD.fullmatch(said))):
        return text
    return f"({text})"


def _row(element: Any) -> str:
    """What stands side by side, with a blank where one part would read on in the next."""
    made = [element.text or ""]
    for child in element:
        text = in_line(child)
        before = child.getprevious()
        signed = child.tag == "mfrac" or (before is not None and before.tag in _SIGNED)
        if signed and _ends_word(made[-1]) and _begins_word(text):
            made.append(" ")
        made.append(text)
        if child.tail:
            made.append(child.tail)
    return "".join(made)


def _said(text: str) -> str:
    return MARKS.sub("", text).strip()


def _ends_word(text: str) -> bool:
    return _said(text)[-1:].isalnum() or _said(text)[-1:] in (")", "]")


def _begins_word(text: str) -> bool:
    return _said(text)[:1].isalnum() or _said(text)[:1] in ("(", "[", "√")
