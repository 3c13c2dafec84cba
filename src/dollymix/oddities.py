"""Text that is odd: kept letter for letter, and flagged.

Looked for in a unit's encoded lines, where a rare byte settles nearly every unit at once; only a
line with a candidate is decoded and looked at closely.

| flag | meaning |
| --- | --- |
| `text.control_char` | a control character other than tab, LF and CR |
| `text.replacement_char` | U+FFFD: something was lost before |
| `text.not_nfc` | what `normalize` with `form: nfc` would compose: letters, jamo, marks |
| `text.bidi_control` | an embedding, override or isolate that turns text round |
| `text.tag_char` | invisible tag characters |
| `text.noncharacter` | a code point that is no character |
| `text.mojibake` | UTF-8 that was read as Latin-1 or Windows-1252, EUC-KR that was read so |
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from dollymix.example import Dolly
from dollymix.text import composed

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_TAG = re.compile("[\U000e0000-\U000e007f]")
_NONCHARACTER = re.compile("[\ufffe\uffff\U0001fffe\U0001ffff]")
# The characters of Windows-1252 that stand where Latin-1 has control characters, by their bytes;
# and what is read for a byte that goes on with a character of UTF-8.
_WINDOWS = {
    code: byte
    for byte in range(0x80, 0xA0)
    for code in map(ord, bytes([byte]).decode("cp1252", "ignore"))
}
READ_ON = f"[\x80-\xbf{''.join(map(chr, _WINDOWS))}]"
# A closing mark may stand behind a capital letter, or one in quotes; these are no signs then.
_CLOSES = "[\xbb\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u203a]"
_SURELY_UTF8 = re.compile(
    f"[\xc2\xc3](?!{_CLOSES}){READ_ON}|(?<![A-Z\"'(\xab\u2018\u201c\u201e])[\xc2\xc3]{_CLOSES}"
    f"|\xe2(?:[\u20ac\x80]|{READ_ON}{{2}})|\xf0{READ_ON}{{3}}"
    f"|[\xe0-\xef](?:[\x80-\x9f]{READ_ON}|{READ_ON}[\x80-\x9f])"
)
# One of these alone may be an accented letter and its punctuation; two are not.
_PERHAPS_UTF8 = re.compile(
    f"(?:[\xc2-\xdf]{READ_ON}|[\xe0-\xef]{READ_ON}{{2}}|[\xf0-\xf4]{READ_ON}{{3}}){{2,}}"
)
# Two syllables of EUC-KR, of which one has a sign that is no letter, and one a letter.
_PERHAPS_EUC_KR = re.compile("(?:[\xb0-\xc8][\xa1-\xfe]){2,}")
_SIGN = re.compile("[\xa1-\xbf]")
_LETTER = re.compile("[\xc0-\xfe]")
_COMPATIBILITY = re.compile("([\uf900-\ufaff\U0002f800-\U0002fa1f]+)")
_decode = msgspec.json.Decoder(Dolly).decode


def in_nfc(text: str) -> str:
    """NFC, but for compatibility ideographs: their code points carry the Korean reading."""
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return text
    return "".join(
        piece if number % 2 else composed(piece)
        for number, piece in enumerate(_COMPATIBILITY.split(text))
    )


def is_misread(text: str) -> bool:
    """True for text that was UTF-8 or EUC-KR, and was read as Latin-1 or Windows-1252."""
    return (
        _SURELY_UTF8.search(text) is not None
        or any(_is_utf8(found[0]) for found in _PERHAPS_UTF8.finditer(text))
        or any(
            _SIGN.search(found[0]) and _LETTER.search(found[0])
            for found in _PERHAPS_EUC_KR.finditer(text)
        )
    )


def _is_utf8(read: str) -> bool:
    try:
        read.translate(_WINDOWS).encode("latin-1").decode("utf-8")
    except UnicodeError:
        return False
    return True


class _Oddity(NamedTuple):
    """A flag, how its encoded bytes may look, and whether a text has it."""

    flag: str
    encoded: tuple[bytes, ...]
    holds: Callable[[str], object]


# Marks and letters that NFC can change, but compatibility ideographs. Passed over are the marks of
# the few scripts whose first byte is that of most Hangul (Vai, Saurashtra, Meetei Mayek, ...).
_NOT_COMPOSED = (
    b"\xcc[\x80-\xbf]", b"\xcd[\x80-\xbe]", b"\xce\x87", b"\xd2[\x83-\x87]", b"\xd6[\x91-\xbf]",
    b"\xd7[\x81-\x87]", b"\xd8[\x90-\x9a]", b"\xd9[\x8b-\xb0]", b"\xdb[\x96-\xad]",
    b"\xdc[\x91-\xbf]", b"\xdd[\x80-\x8a]", b"\xdf[\xab-\xbd]", b"\xe0[\xa0-\xbf]",
    b"\xe1[\x80-\xb9\xbd-\xbf]",
    b"\xe2(?:\x80[\x80\x81]|\x83[\x90-\xb0]|\x84[\xa6\xaa\xab]|\x8c[\xa9\xaa]|\xab\x9c|\xb3[\xaf-\xb1]"
    b"|\xb5\xbf|\xb7[\xa0-\xbf])",
    b"\xe3(?:\x80[\xaa-\xaf]|\x82[\x99\x9a])",
    b"\xef(?:\xac[\x9d-\xbe]|\xad[\x80-\x8e]|\xb8[\xa0-\xaf])",
    b"\xf0(?:[\x90\x91\x96\x9b\x9e]|\x9d\x85|\x9d\x86|\x9d\x89)",
)  # fmt: skip
# Every text that is taken for misread has a letter of Latin-1, encoded with this first byte, where
# one of these stands: further bytes of UTF-8 (two, or one and the next character), or EUC-KR.
_ENCODED_ON = (
    rb"(?:\xc2[\x80-\xbf]|\xe2(?:\x80[\x93-\xba]|\x82\xac|\x84\xa2)|\xc5[\x92\x93\xa0\xa1\xb8\xbd\xbe]"
    rb"|\xc6\x92|\xcb[\x86\x9c])"
)
_ENCODED_SIGN, _ENCODED_FIRST = rb"\xc2[\xb0-\xbf]", rb"(?:\xc2[\xb0-\xbf]|\xc3[\x80-\x88])"
_ENCODED_SECOND = rb"(?:\xc2[\xa1-\xbf]|\xc3[\x80-\xbe])"
_MOJIBAKE = b"".join(
    (
        b"\xc3" rb"(?:[\x82\x83]", _ENCODED_ON,
        rb"|\xa2(?:\xe2\x82\xac|\xc2\x80|", _ENCODED_ON, _ENCODED_ON, rb")",
        rb"|\xb0", _ENCODED_ON, _ENCODED_ON,
        rb"|[\xa0-\xaf](?:\xc2[\x80-\x9f]|", _ENCODED_ON, rb"\xc2[\x80-\x9f])",
        rb"|[\x84-\xb4]", _ENCODED_ON, rb"(?:", _ENCODED_ON, rb"){0,2}\xc3[\x82-\xb4]", _ENCODED_ON,
        rb"|[\x80-\x88]", _ENCODED_SECOND, _ENCODED_FIRST, _ENCODED_SECOND,
        rb"|[\x80-\xbe](?<=\xc2[\xb0-\xbf]..)", _ENCODED_FIRST, _ENCODED_SECOND,
        rb"|[\x80-\x88](?<=\xc2[\xb0-\xbf]\xc2[\xa1-\xbf]..)", _ENCODED_SECOND,
        rb"|[\x80-\xbe](?<=\xc2[\xb0-\xbf]\xc2[\xa1-\xbf]\xc2[\xb0-\xbf]..))",
    )
)  # fmt: skip
_ODDITIES = (
    _Oddity(
        "text.control_char",
        (b"\\\\(?:u00[01]|b|f)", b"\x7f"),
        _CONTROL.search,
    ),
    _Oddity("text.replacement_char", (b"\xef\xbf\xbd",), lambda text: "\ufffd" in text),
    _Oddity(
        "text.not_nfc",
        _NOT_COMPOSED,
        lambda text: in_nfc(text) != text,
    ),
    _Oddity(
        "text.bidi_control",
        (b"\xe2(?:\x80[\xaa-\xae]|\x81[\xa6-\xa9])",),
        _BIDI.search,
    ),
    _Oddity("text.tag_char", (b"\xf3\xa0[\x80\x81]",), _TAG.search),
    _Oddity(
        "text.noncharacter",
        (b"\xef\xbf[\xbe\xbf]", b"\xf0\x9f\xbf[\xbe\xbf]"),
        _NONCHARACTER.search,
    ),
    _Oddity(
        "text.mojibake",
        (_MOJIBAKE,),
        is_misread,
    ),
)


def _by_first_byte() -> dict[int, tuple[re.Pattern[bytes], tuple[int, ...]]]:
    """For each first byte, what looks like an oddity behind it, and which ones it may be."""
    made = {}
    for first in sorted({encoded[0] for oddity in _ODDITIES for encoded in oddity.encoded}):
        mine = [
            (number, encoded)
            for number, oddity in enumerate(_ODDITIES)
            for encoded in oddity.encoded
            if encoded[0] == first
        ]
        pattern = re.compile(b"|".join(encoded for _, encoded in mine), re.DOTALL)
        made[first] = pattern, tuple(number for number, _ in mine)
    return made


_BY_FIRST_BYTE = _by_first_byte()
_ESCAPE = 0x5C
_FEW = 300


def find(text: Any, line_ends: Sequence[int]) -> dict[int, list[str]]:
    """The flags of each line that has some, by its number; `text` holds encoded Dolly lines."""
    perhaps: dict[int, set[int]] = {}
    for first, (pattern, oddities) in _BY_FIRST_BYTE.items():
        if first == _ESCAPE and not _has_escapes(text):
            continue
        for place in _places(text, first, pattern):
            perhaps.setdefault(bisect_right(line_ends, place), set()).update(oddities)
    found: dict[int, list[str]] = {}
    for row in sorted(perhaps):
        line = _decode(memoryview(text)[line_ends[row - 1] if row else 0 : line_ends[row]])
        said = f"{line.instruction}\n{line.context}\n{line.response}"
        flags = [_ODDITIES[n].flag for n in sorted(perhaps[row]) if _ODDITIES[n].holds(said)]
        if flags:
            found[row] = flags
    return found


def _places(text: Any, first: int, pattern: re.Pattern[bytes]) -> Iterator[int]:
    """Where the pattern stands: a byte is found much faster than a pattern, while it is rare."""
    place = -1
    for _ in range(_FEW):
        place = text.find(first, place + 1)
        if place < 0:
            return
        if pattern.match(text, place):
            yield place
    yield from (found.start() for found in pattern.finditer(text, place + 1))


def _has_escapes(text: Any) -> bool:
    """Whether an escape of a control character may stand in the text; most are of line ends."""
    import numpy

    if not text:
        return False
    values = numpy.frombuffer(text, dtype=numpy.uint8)
    behind = values[numpy.flatnonzero(values[:-1] == _ESCAPE) + 1]
    return bool(numpy.isin(behind, numpy.frombuffer(b"ubf", dtype=numpy.uint8)).any())


def is_formula(example: Any) -> bool:
    """True where a field begins as a formula of a spreadsheet does."""
    fields = (example.instruction, example.context, example.response)
    return any(len(text) > 1 and text[0] in "=+-@" for text in fields)
