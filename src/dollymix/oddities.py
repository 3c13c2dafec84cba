"""Text that is odd: kept letter for letter, and flagged.

Looked for in a unit's encoded lines, where a rare byte settles nearly every unit at once; only a
line with a candidate is decoded and looked at closely.

| flag | meaning |
| --- | --- |
| `text.control_char` | a control character other than tab, LF and CR |
| `text.replacement_char` | U+FFFD: something was lost before |
| `text.not_nfc` | Hangul jamo, combining marks or compatibility ideographs that NFC changes |
| `text.bidi_control` | an embedding, override or isolate that turns text round |
| `text.tag_char` | invisible tag characters |
| `text.noncharacter` | a code point that is no character |
| `text.mojibake` | UTF-8 that was read as Latin-1 |
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from dollymix.example import Dolly

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_TAG = re.compile("[\U000e0000-\U000e007f]")
_NONCHARACTER = re.compile("[\ufffe\uffff\U0001fffe\U0001ffff]")
_MOJIBAKE = re.compile("(?:[\xc2-\xf4][\x80-\xbf]{1,3}){2,}")
_decode = msgspec.json.Decoder(Dolly).decode


def _is_mojibake(text: str) -> bool:
    for found in _MOJIBAKE.finditer(text):
        try:
            found[0].encode("latin-1").decode("utf-8")
        except UnicodeError:
            continue
        return True
    return False


class _Oddity(NamedTuple):
    """A flag, how its encoded bytes may look behind a rare byte, and whether a text has it."""

    flag: str
    encoded: dict[int, re.Pattern[bytes]]
    holds: Callable[[str], object]


def _patterns(*patterns: bytes) -> dict[int, re.Pattern[bytes]]:
    """The patterns by their first byte, which is looked for alone before."""
    return {pattern[0]: re.compile(pattern, re.DOTALL) for pattern in patterns}


_ODDITIES = (
    _Oddity(
        "text.control_char",
        {0x5C: re.compile(rb"\\(?:u00[01]|b|f)"), 0x7F: re.compile(b"\x7f")},
        _CONTROL.search,
    ),
    _Oddity("text.replacement_char", _patterns(b"\xef\xbf\xbd"), lambda text: "\ufffd" in text),
    _Oddity(
        "text.not_nfc",
        _patterns(b"\xe1[\x84-\x87]", b"\xcc[\x80-\xbf]", b"\xcd[\x80-\xaf]", b"\xef[\xa4-\xab]"),
        lambda text: not unicodedata.is_normalized("NFC", text),
    ),
    _Oddity(
        "text.bidi_control",
        _patterns(b"\xe2(?:\x80[\xaa-\xae]|\x81[\xa6-\xa9])"),
        _BIDI.search,
    ),
    _Oddity("text.tag_char", _patterns(b"\xf3\xa0[\x80\x81]"), _TAG.search),
    _Oddity(
        "text.noncharacter",
        _patterns(b"\xef\xbf[\xbe\xbf]", b"\xf0\x9f\xbf[\xbe\xbf]"),
        _NONCHARACTER.search,
    ),
    _Oddity(
        "text.mojibake",
        _patterns(b"\xc3[\x82-\xb4](?:\xc2[\x80-\xbf]){1,3}\xc3[\x82-\xb4]\xc2"),
        _is_mojibake,
    ),
)
_HIGH = 0xEE
_RARE = sorted({first for oddity in _ODDITIES for first in oddity.encoded} - {0x5C})


def find(text: Any, line_ends: Sequence[int]) -> dict[int, list[str]]:
    """The flags of each line that has some, by its number; `text` holds encoded Dolly lines."""
    there = _bytes_there(text)
    found: dict[int, list[str]] = {}
    for oddity in _ODDITIES:
        rows = {
            bisect_right(line_ends, match.start())
            for first, pattern in oddity.encoded.items()
            if first in there
            for match in pattern.finditer(text)
        }
        for row in sorted(rows):
            line = _decode(memoryview(text)[line_ends[row - 1] if row else 0 : line_ends[row]])
            if oddity.holds(f"{line.instruction}\n{line.context}\n{line.response}"):
                found.setdefault(row, []).append(oddity.flag)
    return found


def _bytes_there(text: Any) -> set[int]:
    """Which of the rare bytes the text has."""
    import numpy

    if not text:
        return set()
    values = numpy.frombuffer(text, dtype=numpy.uint8)
    # Hangul syllables and ASCII are below: one pass settles the highest bytes.
    is_low = values.max() < _HIGH
    there = {byte for byte in _RARE if not (is_low and byte >= _HIGH) and byte in text}
    behind = values[numpy.flatnonzero(values[:-1] == 0x5C) + 1]
    if numpy.isin(behind, numpy.frombuffer(b"ubf", dtype=numpy.uint8)).any():
        there.add(0x5C)
    return there


def is_formula(example: Any) -> bool:
    """True where a field begins as a formula of a spreadsheet does."""
    fields = (example.instruction, example.context, example.response)
    return any(len(text) > 1 and text[0] in "=+-@" for text in fields)
