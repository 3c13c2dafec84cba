"""The one normal form that comparisons use, and small judgements of text. Changes nothing."""

from __future__ import annotations

import re
import unicodedata

# Characters that show nothing: zero-width spaces and joiners, the soft hyphen, the byte-order mark.
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u200e\u200f"
    "\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069"
    "\u3164\ufeff\uffa0"
)
_NOTHING = INVISIBLE + "\x00"
_INVISIBLE_TABLE = dict.fromkeys(map(ord, INVISIBLE))
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def is_blank(text: str) -> bool:
    """True where the text is white space and invisible characters alone."""
    # The first character of real text settles nearly every case.
    return not text or (
        (text[0].isspace() or text[0] in _NOTHING)
        and all(c.isspace() or c in _NOTHING for c in text)
    )


def normal_form(text: str) -> str:
    """The form in which texts are compared: NFC, case folded, invisible characters gone, each run
    of white space one blank. NFKC is not used, since ① and ㄱ are content."""
    visible = unicodedata.normalize("NFC", text).translate(_INVISIBLE_TABLE)
    return " ".join(visible.casefold().split())


def printable(text: str) -> str:
    """The text with control, bidirectional and undecodable characters shown as escapes."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def quoted(text: str, limit: int = 80) -> str:
    """A value for a message: in backticks, cut to `limit` characters, safe to print."""
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    return f"`{printable(shown)}`"


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


def nearest(name: str, known: list[str]) -> str | None:
    """The known name most like this one, or None where none is near."""
    import difflib

    found = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return found[0] if found else None
