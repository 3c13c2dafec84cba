"""Where e-mail addresses stand in a text; code, logins and repositories write what looks like them.

Knows texts alone. Changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# What domains end in: countries (`md`, `py` and `sh` are endings of files, and more often) and
# others. Another ending, as in `a@b.shape`, is code or a file's.
_COUNTRIES = (
    "a[c-gilmoq-uwxz]|b[abd-jmnorstwyz]|c[acdf-ik-oru-z]|d[ejkmoz]|e[cegrstu]|f[ijkmor]"
    "|g[adefghilmnpqrstuwy]|h[kmnrtu]|i[delmnoqrst]|j[emop]|k[eghimnprwyz]|l[abcikrstuvy]"
    "|m[aceghklmnopqrstuvwxyz]|n[acefgilopruz]|om|p[aefghklmnrstw]|qa|r[eosuw]"
    "|s[abcdegiklmnorstuvxyz]|t[cdfghjklmnortvwz]|u[agksyz]|v[aceginu]|w[fs]|y[et]|z[amw]"
)
_OTHERS = (
    "academy|agency|app|art|asia|biz|blog|center|cloud|club|company|design|dev|digital|email|global"
    "|group|info|int|life|live|ltd|media|mil|mobi|museum|name|network|news|online|page|pro|school"
    "|seoul|services|shop|site|social|software|solutions|space|store|studio|systems|team|tech|today"
    "|top|travel|university|vip|website|wiki|work|world|xyz"
)
# Latin letters or others, as a word may touch it. Other endings may be code: `x@w.to(device)`.
_HOST = (
    r"[@＠](?:(?:[0-9A-Za-z\u00c0-\u024f-]{1,63}\.){1,8}|(?:(?:[^\W_A-Za-z]|-){1,63}\.){1,8})"
    r"(?:(?i:com|net|org|edu|gov|kr|cn|de|fr|jp|uk|xn--3e0b707e)|한국"
    rf"|(?![a-z]+[A-Z])(?i:{_COUNTRIES}|{_OTHERS})(?![._]_?[0-9A-Za-z]|[(\[](?![가-힣])))"
    r"(?!-?[0-9A-Za-z])"
)
_DOMAIN = re.compile(f"{_HOST}(?:{_HOST})*")
_LOCAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-")
_LONGEST_LOCAL = 64
# Letters before a quote, of Python's and SQL's strings.
_QUOTES = "befnruxBEFNRUX"
# What stands before an `@` in code (`this@Main.name`) and in the address of a repository.
_NO_LOCALS = frozenset(("break", "cls", "continue", "git", "return", "self", "super", "this"))
# A matrix of one letter (`w@x.id`) has attributes; these endings are such.
_ATTRIBUTE = re.compile(r"@[A-Za-z]\.(?:group|id|info|name|top)\Z")
# So many addresses may stand before one without anything between.
_JOINED = 8
_RESERVED = re.compile(r"(?i)[@＠](?:.*\.)?example\.(?:com|org|net|co\.kr)\Z")
# A name, with a password or not, in the address of a page or a host.
_LOGIN = re.compile(r"(?<!mailto)://[0-9A-Za-z._~%!$*+-]*(?::[^\s/?#,]*)?\Z")


def email_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Where each address begins and ends, from left to right."""
    for found in _DOMAIN.finditer(text):
        start = _local_start(text, found.start(), text[found.end() : found.end() + 1])
        is_code = start == found.start() or text[start : found.start()] in _NO_LOCALS
        if is_code or _RESERVED.match(found[0]) or _ATTRIBUTE.match(found[0]):
            continue
        start = _joined_start(text, start)
        if not _LOGIN.search(text, max(0, start - _LONGEST_LOCAL), start):
            yield start, found.end()


def _local_start(text: str, end: int, behind: str) -> int:
    """Where the part of an address before its `@` begins. Letters of other scripts are of it where
    it has no others: with them, they are the word before it."""
    start, least = end, max(0, end - _LONGEST_LOCAL)
    while start > least and (text[start - 1] in _LOCAL or _is_within(text, start - 1, behind)):
        start -= 1
    while start < end and text[start] in ".-%+":
        start += 1
    while start == end or not text[start:end].isascii():
        if start <= least or not text[start - 1].isalpha():
            break
        start -= 1
    return start


def _joined_start(text: str, start: int) -> int:
    """Where the first of the addresses begins that touch the one at `start`: what looks like its
    local part is the end of theirs, too, as in `kim@mail.comlee@mail.net`."""
    for _ in range(_JOINED):
        before = _local_start(text, start - 1, "") if text[start - 1 : start] == "@" else start
        if before >= start - 1:
            break
        start = before
    return start


def _is_within(text: str, at: int, behind: str) -> bool:
    """Whether a character is an accented letter, or an apostrophe between letters (`o'brien`); in
    `b'kim@mail.com'` and SQL's `N'kim@mail.com'` it is a quote."""
    if text[at] not in "'’":
        return "\u00c0" <= text[at] <= "\u024f"
    letter = text[at - 1 : at]
    is_quote = text[at] == behind and letter in _QUOTES
    return letter.isalpha() and letter <= "\u024f" and text[at + 1].isalpha() and not is_quote
