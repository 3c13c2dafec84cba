"""Marks before and behind each run of text, so that its place behind the conversion is known.

They are code points for private use; a text that has such itself is converted without.
"""

from __future__ import annotations

import re
from itertools import accumulate

PRIVATE = re.compile("[\U000f0000-\U0010ffff]")
_BASE = 60_000
_HIGH, _LOW, END = 0xF0000, 0x100000, "\U0010f000"
BEGIN = "[\U000f0000-\U000fefff]?[\U00100000-\U0010ea5f]"
MARKS = re.compile(f"({BEGIN}|{END})")
MARK = f"(?:{BEGIN}|{END})"

# Characters that the parser must not see: it makes U+FFFD of control characters, and a tag of a
# `<` in code.
_HIDDEN = 0x10F100
_HIDDEN_CHARACTERS = re.compile("[\U0010f100-\U0010f17f]")


def mark(number: int) -> str:
    """The mark before the run of this number."""
    if number < _BASE:
        return chr(_LOW + number)
    high, low = divmod(number, _BASE)
    return chr(_HIGH + high - 1) + chr(_LOW + low)


def _number(begin: str) -> int:
    low = ord(begin[-1]) - _LOW
    return low if len(begin) == 1 else (ord(begin[0]) - _HIGH + 1) * _BASE + low


def without_marks(written: str) -> tuple[str, dict[int, tuple[int, int]]]:
    """The text without marks, and where each run stands in it."""
    parts = MARKS.split(written)
    texts = parts[::2]
    found: dict[int, tuple[int, int]] = {}
    number, begin = -1, 0
    for sign, at in zip(parts[1::2], accumulate(map(len, texts)), strict=False):
        if sign != END:
            number, begin = _number(sign), at
        elif number >= 0:
            found.setdefault(number, (begin, at))
    return "".join(texts), found


def numbers_in(texts: list[str]) -> set[int]:
    """The numbers of the runs whose marks stand in some texts."""
    return {_number(sign) for text in texts for sign in MARKS.findall(text) if sign != END}


def hidden(found: re.Match[str]) -> str:
    """A character below U+0080 as one that the parser does not know."""
    return chr(ord(found[0]) + _HIDDEN)


def shown(text: str) -> str:
    """The text with its hidden characters as they were."""
    return _HIDDEN_CHARACTERS.sub(lambda found: chr(ord(found[0]) - _HIDDEN), text)
