"""Superscripts and subscripts in one line: the signs they need, so that `2^10` stays no `210`."""

from __future__ import annotations

import re

NO_SIGNS = ("", "")

_LETTER = "[A-Za-zα-ωΑ-Ω]"
_POWER = re.compile(r"[+−-]?(?:\d{1,6}(?:\.\d{1,6})?|[a-zA-Z])")
_INDEX = re.compile(rf"\d{{1,6}}|{_LETTER}{{1,10}}")
_ION = re.compile(r"\d{0,2}[+−-]")
# More than letters, which are those of `3rd`.
_EXPRESSION = re.compile(
    rf"(?=.{{0,60}}[\dα-ωΑ-Ω+−/*·×~-])(?=.{{0,60}}(?:\d|{_LETTER}))"
    rf"(?:{_LETTER}|[\d\s+−/*·×~,.()-]){{2,60}}"
)
_IN_BRACKETS = re.compile(r"\([^()]*\)")
_BASE = re.compile(rf"(?:\d|{_LETTER})[)\]|]?$")
_READS_ON = re.compile(rf"\d|{_LETTER}")


def around_raised(text: str, before: str, after: str, *, is_nested: bool) -> tuple[str, str]:
    """What stands before and behind a raised text: `^`, brackets, or nothing.

    `before` and `after` are some characters around it; `is_nested`: it has a raised one itself.
    """
    has_base = before[-1:].isalnum() or _BASE.search(before)
    is_short = _POWER.fullmatch(text)
    if (is_short and has_base) or _is_expression(text, before, is_nested=is_nested):
        return _signs("^", text, after, is_short=bool(is_short))
    return NO_SIGNS


def around_lowered(text: str, before: str, after: str) -> tuple[str, str]:
    """What stands before and behind a lowered text: `_`, brackets, or nothing. The figures behind
    a letter need no sign, if they end there: `H2O`, but `log_(2)8`."""
    is_short = bool(_BASE.search(before) and _INDEX.fullmatch(text))
    if is_short and text.isdigit() and not before[-1:].isdigit():
        return _signs("_", text, after, is_short=True) if _goes_on(text, after) else NO_SIGNS
    if is_short or _is_expression(text, before, is_nested=False):
        return _signs("_", text, after, is_short=is_short)
    return NO_SIGNS


def _signs(sign: str, text: str, after: str, *, is_short: bool) -> tuple[str, str]:
    if (is_short and not _goes_on(text, after)) or _IN_BRACKETS.fullmatch(text):
        return sign, ""
    return f"{sign}(", ")"


def _is_expression(text: str, before: str, *, is_nested: bool) -> bool:
    """Whether more than letters stand behind a figure or a letter: `n+1`, `10n`, `n(n+1)/2`. The
    charge of an ion needs no sign behind a letter: `Ca2+`."""
    if not _BASE.search(before) or (_ION.fullmatch(text) and not before[-1:].isdigit()):
        return False
    return is_nested or bool(_EXPRESSION.fullmatch(text))


def _goes_on(text: str, after: str) -> bool:
    """Whether what follows would be read as a part of the text."""
    first = after[:1]
    return first.isdigit() if text[-1:].isdigit() else bool(_READS_ON.match(first))
