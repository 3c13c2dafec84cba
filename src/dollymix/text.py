"""The one normal form that comparisons use, and small judgements of text. Changes nothing."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby

# Characters that show nothing: zero-width spaces and joiners, the soft hyphen, the byte-order mark.
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u200e\u200f"
    "\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069"
    "\u3164\ufeff\uffa0"
)
_NOTHING = INVISIBLE + "\x00"
_INVISIBLE_TABLE = dict.fromkeys(map(ord, INVISIBLE))
# Control, format, surrogate and separator characters of Unicode, tags, and those that show nothing.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Where combining marks may stand: outside Latin letters, Hangul, Han and most Kana.
_FEW_MARKS = 64
_MARKS = re.compile(
    "[\u0300-\u10ff\u135d-\u2fff\u302a-\u302f\u3099\u309a\ua66f-\uabed\ufb1e\ufe20-\ufe2f"
    f"\U000101fd-\U0001efff]{{{_FEW_MARKS + 1},}}"
)
# Longer names, and more of them, are not compared: that takes time, and names nothing near.
_LONGEST_NAME = 100
_MOST_NAMES = 1000


def is_blank(text: str) -> bool:
    """True where the text is white space and invisible characters alone."""
    # The first character of real text settles nearly every case.
    return not text or (
        (text[0].isspace() or text[0] in _NOTHING)
        and all(c.isspace() or c in _NOTHING for c in text)
    )


def holds_any(text: str, words: tuple[str, ...]) -> bool:
    """True where one of the words stands in the text; a plain loop, since this is done most."""
    for word in words:  # noqa: SIM110
        if word in text:
            return True
    return False


def normal_form(text: str) -> str:
    """The form in which texts are compared: NFC, case folded, invisible characters gone, each run
    of white space one blank. NFKC is not used, since ① and ㄱ are content."""
    visible = composed(text).translate(_INVISIBLE_TABLE)
    return " ".join(visible.casefold().split())


def composed(text: str) -> str:
    """NFC; but a run of more combining marks than any language writes stays as it is, since
    putting marks in order takes time with the square of their number."""
    if unicodedata.is_normalized("NFC", text):
        return text
    pieces: list[str] = []
    position = 0
    for found in _MARKS.finditer(text):
        for start, end in _long_runs(text, found.start(), found.end()):
            pieces += unicodedata.normalize("NFC", text[position:start]), text[start:end]
            position = end
    return "".join((*pieces, unicodedata.normalize("NFC", text[position:])))


def _long_runs(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for is_mark, run in groupby(range(start, end), lambda at: unicodedata.combining(text[at]) > 0):
        places = list(run)
        if is_mark and len(places) > _FEW_MARKS:
            yield places[0], places[-1] + 1


def printable(text: str) -> str:
    """The text in one line, safe for a terminal: control characters and line ends, bidirectional
    and other format characters, tags, what shows nothing, and halves of pairs as escapes."""
    unsafe = set(_UNSAFE.findall(text))
    return text.translate({ord(char): _escape(ord(char)) for char in unsafe}) if unsafe else text


def _escape(code: int) -> str:
    """The character as Python, and YAML between double quotes, write it."""
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def as_json(text: str) -> str:
    """JSON that says the same, in which such characters stand as JSON's own escapes."""
    unsafe = set(_UNSAFE.findall(text))
    return text.translate({ord(char): json.dumps(char)[1:-1] for char in unsafe})


def quoted(text: str, limit: int = 80) -> str:
    """A value for a message: in backticks, cut to `limit` characters, safe to print."""
    return f"`{printable(shortened(text, limit))}`"


def shortened(text: str, limit: int = 80) -> str:
    """The text, or as much of it as the limit allows."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def languages(texts: list[str]) -> list[str]:
    """ISO 639-1 codes whose script makes up a fifth of the letters or more: `ko` for Hangul,
    `ja` for Kana, `en` for Latin. A guess for the card, from scripts alone."""
    sample = "".join(texts)
    shares = {
        "ko": len(re.findall("[\uac00-\ud7a3]", sample)),
        "ja": len(re.findall("[\u3040-\u30ff]", sample)),
        "en": len(re.findall("[A-Za-z]", sample)),
    }
    total = sum(shares.values())
    return [code for code, count in shares.items() if total and count * 5 >= total]


def first_repeated(names: Iterable[str]) -> str | None:
    """The first name that stands twice, or None."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def nearest(name: str, known: list[str]) -> str | None:
    """The known name most like this one, or None where none is near."""
    import difflib

    if len(name) > _LONGEST_NAME:
        return None
    found = difflib.get_close_matches(name, known[:_MOST_NAMES], n=1, cutoff=0.6)
    return found[0] if found else None
