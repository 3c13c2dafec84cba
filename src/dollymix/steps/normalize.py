"""Makes line ends, edges and characters that show nothing alike; the rest stays letter for letter.

* CRLF and CR become LF; so do vertical tab, form feed and the line and paragraph separators.
* White space at both edges goes. Where a first line is indented and the next one is too, as code
  is, the first keeps its indentation.
* Characters that show nothing go: zero-width space, byte-order mark, soft hyphen, word joiner,
  direction marks, invisible operators, tags. Joiners (ZWJ, ZWNJ) go only between letters that need
  none (Latin, Hangul, Han, Kana, blanks): those of emoji and of Indic and Arabic script stay. So do
  variation selectors, the tags of a flag, and the fillers of old Hangul.
* Control characters go, except tab and LF. U+0080 to U+009F stay, and in misread text
  (`text.mojibake`) soft hyphens and what else is a byte of it: that is flagged and never guessed.

`form: nfc` composes, too: decomposed Hangul and accents. It never touches compatibility hanja
(U+F900 to U+FAFF, whose code point carries the Korean reading), and NFC has nothing to say on ㄱ, ①
and old Hangul. The warning `text.not_nfc` of a build without it counts the examples whose
instruction, context or response it would compose.

    steps: [normalize, {normalize: {form: nfc}}]

`answer_start` is carried: the context still holds the answer there. Where that is not certain it is
left out, and the example flagged `qa.answer_start_lost`. A field of nothing but such characters
becomes empty; `required_text` behind this step takes the example out.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

import msgspec

from dollymix.example import Example
from dollymix.oddities import READ_ON, in_nfc, is_misread
from dollymix.rewrite import rewritten

_LINE_ENDS = re.compile("[\x0b\x0c\u2028\u2029]")
_NOTHING = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufeff\ufff9-\ufffb]+"
    # Tags, but for those of a flag: a black flag, letters, the cancel tag.
    "|(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0000-\U000e007f]+"
)
# Where a sequence of misread UTF-8 still wants a byte, which may be that of a no-break space.
_WANTS_A_BYTE = re.compile(f"(?:[\xc2-\xdf]|[\xe0-\xef]{READ_ON}|[\xf0-\xf4]{READ_ON}{{2}})\\Z")
# The characters beside which a joiner means nothing.
_NEEDS_JOINER = (
    "[^\\s\x00-\u02ff\u1100-\u11ff\u1e00-\u1eff\u2000-\u206f\u3000-\u318f\u3400-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef]"
)
_JOINERS = re.compile(f"(?<!{_NEEDS_JOINER})[\u200c\u200d]+(?!{_NEEDS_JOINER})")
_ODD = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064"
    "\u2066-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# White space, but U+0085, which is as good a sign of misread text as its neighbours are.
_BLANKS = (
    " \t\n\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u202f\u205f\u3000"
)


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`form`: the Unicode form, `none` (as it is) or `nfc`."""

    form: Literal["none", "nfc"] = "none"

    def versions(self) -> dict[str, str]:
        """The version of Unicode that composes."""
        return {"unicode": unicodedata.unidata_version} if self.form == "nfc" else {}

    def __call__(self, example: Example) -> Example:
        """The example, changed where there is something to change."""
        return rewritten(example, _composed if self.form == "nfc" else _clean)


def _clean(text: str) -> str:
    """The text in order; the same object where it is already."""
    made = text
    if "\r" in made:
        made = made.replace("\r\n", "\n").replace("\r", "\n")
    if _ODD.search(made):
        made = _NOTHING.sub("", _LINE_ENDS.sub("\n", made))
        if "\xad" in made and not is_misread(made):
            made = made.replace("\xad", "")
        made = _JOINERS.sub("", made)
    if made and (made[0] in _BLANKS or made[-1] in _BLANKS):
        made = _without_edges(made)
    # Joiners that stay are odd, too.
    return text if len(made) == len(text) and made == text else made


def _composed(text: str) -> str:
    """The text in order, in NFC but for compatibility ideographs; the same object as above."""
    cleaned = _clean(text)
    made = in_nfc(cleaned)
    return cleaned if made == cleaned else made


def _without_edges(text: str) -> str:
    stripped = text.strip(_BLANKS)
    if _ends_misread(text, stripped):
        stripped += "\xa0"
    if not stripped or text[0] not in _BLANKS:
        return stripped
    indent = text[: len(text) - len(text.lstrip(_BLANKS))].rpartition("\n")[2]
    if not indent or stripped.partition("\n")[2][:1] not in (" ", "\t"):
        return stripped
    kept = indent + stripped
    return text if kept == text else kept


def _ends_misread(text: str, stripped: str) -> bool:
    """True where a no-break space at the end is the last byte of misread UTF-8: `voilÃ\\xa0`."""
    behind = len(text) - len(text.lstrip(_BLANKS)) + len(stripped)
    if not stripped or not text.startswith("\xa0", behind):
        return False
    return _WANTS_A_BYTE.search(text, max(0, behind - 3), behind) is not None and is_misread(text)
