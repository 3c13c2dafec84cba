"""How much of a text is written in which script, and what of it is no prose. Changes nothing."""

from __future__ import annotations

import re

# A script's letters; Hangul has its syllables and jamo, Han its compatibility forms too.
_SCRIPTS = {
    "hangul": "\uac00-\ud7ff\u1100-\u11ff\u3131-\u318e\ua960-\ua97f",
    "latin": "A-Za-z\u00c0-\u027f\u1e00-\u1eff",
    "han": "\u3400-\u9fff\uf900-\ufaff",
    "kana": "\u3041-\u30ff\u31f0-\u31ff",
    "cyrillic": "\u0400-\u04ff",
    "greek": "\u0380-\u03ff\u1f00-\u1fff",
    "arabic": "\u0600-\u06ff",
    "hebrew": "\u05c0-\u05ff",
    "devanagari": "\u0900-\u097f",
    "thai": "\u0e00-\u0e7f",
}
SCRIPTS = tuple(_SCRIPTS)
_RUNS = {name: re.compile(f"[{ranges}]+") for name, ranges in _SCRIPTS.items()}
# In UTF-8 the first byte of a letter tells its script, but for the unsure ones.
_FIRST_BYTES = {
    "hangul": b"\xea\xeb\xec\xed",
    "latin": bytes((*range(0x41, 0x5B), *range(0x61, 0x7B), *range(0xC3, 0xCA))),
    "han": bytes(range(0xE4, 0xEA)),
    "cyrillic": bytes(range(0xD0, 0xD4)),
    "greek": b"\xce\xcf",
    "arabic": bytes(range(0xD8, 0xDC)),
    "hebrew": b"\xd7",
    "unsure": b"\xd6\xe0\xe1\xe3\xef",
}
_CLASSES = bytes(
    next((number for number, name in enumerate(_FIRST_BYTES) if byte in _FIRST_BYTES[name]), 255)
    for byte in range(256)
)
_NO_LETTERS = bytes(byte for byte in range(256) if _CLASSES[byte] == 255)
# Yi and a few other scripts begin with the first byte that most Hangul has.
_LIKE_HANGUL = re.compile("[\ua000-\uabff]")


def letters(text: str) -> dict[str, int]:
    """How many letters of each script the text has; scripts without any are left out."""
    if text.isascii():
        data = text.encode()
        count = len(data.translate(_CLASSES, _NO_LETTERS))
        return {"latin": count} if count else {}
    kinds = text.encode("utf-8", "replace").translate(_CLASSES, _NO_LETTERS)
    found = {name: kinds.count(number) for number, name in enumerate(_FIRST_BYTES)}
    if found["unsure"] or (found["hangul"] and _LIKE_HANGUL.search(text)):
        return _letters_by_run(text)
    return {name: count for name, count in found.items() if count}


def _letters_by_run(text: str) -> dict[str, int]:
    found = {name: sum(map(len, runs.findall(text))) for name, runs in _RUNS.items()}
    return {name: count for name, count in found.items() if count}


_TICKED = re.compile("`[^`\n]{1,300}`")
_INLINE = re.compile(
    r"\$[^$\n가-힣]{1,300}\$"
    r"|<[^<>]{1,300}>"
    r"|https?://[^\s<>()]{1,2000}"
    r"|\\[A-Za-z]{1,40}"
)
_CODE_LINE = re.compile(
    r"\s*(?:import |from [\w.]+ import |def \w|class \w+\s*[({:]|return\b|public |private |const "
    r"|let \w|var \w|function |#include|#!|//|/\*|>>> |\$ |@\w+|SELECT |INSERT |UPDATE |CREATE "
    r"|pip3? install|git |sudo |npm |curl |(?:if|for|while|else|elif|try|with)\b.*:\s*\Z)"
)
_CODE_MARKS = re.compile(r" [=!<>+-]?= |=>|->|::|&&|\|\||\w\(\)|\w\[\w|==|</")
# A place of a template, at the end of a line: prose ends in it as well as code.
_SLOT = re.compile(r"\{\{[\w .-]{1,40}\}\}\Z")
_SLOT_LENGTH = 44
# What counts as code too, but only among lines that are code for certain.
_BESIDE_CODE = re.compile(r"(?: {2,}|\t)\s*\S|[#\]}]|.*(?:[\w)\]] ?[=(]|[:,({\[]\s*\Z)")


def without_code(text: str) -> str:
    """The text without code, formulas, markup and addresses, each of which leaves a blank."""
    text = without_fences(text)
    text = _cut(text, "$$", "$$")
    text = _cut(text, "\\[", "\\]")
    text = _cut(text, "\\(", "\\)")
    text = _INLINE.sub(" ", text)
    lines = text.split("\n")
    code = [_is_code(line) for line in lines]
    if sum(code) > 1:
        code = [
            sure or bool(_BESIDE_CODE.match(line[:500]))
            for sure, line in zip(code, lines, strict=True)
        ]
    return "\n".join(line for line, is_code in zip(lines, code, strict=True) if not is_code)


def without_fences(text: str) -> str:
    """The text without fenced code and code in a line, each of which leaves a blank."""
    return _TICKED.sub(" ", _cut(text, "```", "```", to_end=True))


def _cut(text: str, opener: str, closer: str, *, to_end: bool = False) -> str:
    """The text without what stands between the two marks; `to_end`: also what is never closed."""
    if opener not in text:
        return text
    kept, position = [], 0
    while (start := text.find(opener, position)) >= 0:
        end = text.find(closer, start + len(opener))
        if end < 0 and not to_end:
            break
        kept.append(text[position:start])
        position = len(text) if end < 0 else end + len(closer)
    return " ".join((*kept, text[position:]))


def _is_code(line: str) -> bool:
    """True for a line that is program text, by how it begins, ends, or by two marks in it."""
    ended = line.rstrip()
    if not ended:
        return False
    if ended[-1] in ";{}" and not _SLOT.search(ended[-_SLOT_LENGTH:]):
        return True
    if _CODE_LINE.match(line[:500]):
        return True
    return len(_CODE_MARKS.findall(line[:500])) > 1
