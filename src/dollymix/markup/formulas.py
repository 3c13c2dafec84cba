"""MathML in one line: `1/2`, `x^2`, `a_n`, `√(x+1)`. What has another form is its text."""

from __future__ import annotations

import re
from typing import Any

from dollymix.markup.marks import MARKS

_ATOM = re.compile(r"\s*[\w.]*\s*")
# The signs between the parts of an element that has just so many.
_BETWEEN = {"mfrac": "/", "msup": "^", "msub": "_", "msubsup": "_^"}


def in_line(element: Any) -> str:
    """The text of an element of MathML, with its marks, in the order of the source."""
    first = element.text or ""
    parts = [(in_line(child), child.tail or "") for child in element]
    signs = _BETWEEN.get(element.tag)
    if signs is not None and len(parts) == len(signs) + 1:
        return first + "".join(
            sign + _bracketed(text) + tail.strip()
            for sign, (text, tail) in zip(("", *signs), parts, strict=True)
        )
    text = first + "".join(text + tail for text, tail in parts)
    return f"√{_bracketed(text)}" if element.tag == "msqrt" else text


def _bracketed(text: str) -> str:
    """In brackets, where it is more than a number, a letter or a word."""
    is_atom = _ATOM.fullmatch(MARKS.sub("", text))
    return text.strip() if is_atom else f"({text.strip()})"
