"""MathML in one line: `1/2`, `x^2`, `a_n`, `√(x+1)`. What has another form is its text."""

from __future__ import annotations

import re
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
_WORD = re.compile(r"\w+(?:[.,]\w+)?|\W?")
_PRIMES = re.compile("['′″‴]+")
_GROUP = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\|[^|]*\|")
_LONGEST = 1_000  # a longer part is put in brackets unread


def in_line(element: Any) -> str:
    """The text of an element of MathML, with its marks."""
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
