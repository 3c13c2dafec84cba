"""Finds numbers and addresses of persons, and flags them, masks them or leaves the example out.

* `personal_data.resident`: a Korean resident registration number, with a date and the checksum; of
  those born from October 2020 to 2030, whose numbers have none, with a hyphen: `[RESIDENT_NUMBER]`.
* `personal_data.foreigner`: the same of a foreigner: `[FOREIGNER_NUMBER]`.
* `personal_data.business`: a Korean business registration number, with hyphens and the checksum:
  `[BUSINESS_NUMBER]`.
* `personal_data.phone`: a Korean mobile, area or internet number, with 82 too; another country's
  with `+` and its code: `[PHONE]`. Not figures of a row (`1 02 123 4567 890`), nor behind a letter
  or a full stop that ends a Latin word (`No.02-...`), but words that call (`Tel.02-...`); nor
  behind `ISBN`, `UPC`, `EIN`, `버전`.
* `personal_data.card`: a payment card, 15 or 16 digits with Luhn's checksum: `[CARD]`.
* `personal_data.email`: an e-mail address whose domain ends in a country or a common word (not in
  `md`, `py`, `sh`), but of `example.com` and its kin: `[EMAIL]`. Not a login (`ssh://root@...`).
* `personal_data.ip`: a public IPv4 or IPv6 address: `[IP]`. Not a network's (`157.240.0.0/16`), nor
  what looks like the number of a version or a chapter: behind such a word or `==`, ending in
  `.0.0.0`, or below 100 in front with at most one part of two digits or more (`8.8.8.8`).

Digits may be full-width, and hyphens any of those that are typed (`‐ ‑ ‒ – − －`; in phone numbers
`—` and `~`, too).

    steps: [{personal_data: {action: mask, kinds: [email, phone, resident]}}]

`action: flag` (default) counts a warning for each kind found in an example, and lists it in the
lineage; `mask` does so too, and puts the mask in its place in every text of the example (system and
history too); `drop` filters the example. `answer_start` is carried; where it cannot
be, it is left out and the example flagged `qa.answer_start_lost`.

No message holds what was found. What a step has dropped stands in `dropped.jsonl.zst` as it was
then, and what was rejected in `rejects.jsonl` as it came: put this step before those that drop, and
keep both files to yourself. With `mask` it is in no other text of the build. What tells a record in
its source (`meta`: title, id, address of the page) and what a turn says besides its text stay as
they are in the lineage.

Filters, with `action: drop`: the reasons above.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Annotated, Literal, NamedTuple

import msgspec

from dollymix.emails import email_addresses
from dollymix.example import Example
from dollymix.ledger import Verdict, filtered
from dollymix.rewrite import rewritten, texts

Kind = Literal["resident", "foreigner", "business", "phone", "card", "email", "ip"]


class _Found(NamedTuple):
    start: int
    end: int
    kind: str


class _Told(NamedTuple):
    """How a kind is told and masked."""

    reason: str
    words: str
    mask: str


_TOLD = {
    "resident": _Told(
        "personal_data.resident", "a resident registration number", "[RESIDENT_NUMBER]"
    ),
    "foreigner": _Told(
        "personal_data.foreigner", "a foreigner registration number", "[FOREIGNER_NUMBER]"
    ),
    "business": _Told(
        "personal_data.business", "a business registration number", "[BUSINESS_NUMBER]"
    ),
    "phone": _Told("personal_data.phone", "a phone number", "[PHONE]"),
    "card": _Told("personal_data.card", "a card number", "[CARD]"),
    "email": _Told("personal_data.email", "an e-mail address", "[EMAIL]"),
    "ip": _Told("personal_data.ip", "an IP address", "[IP]"),
}


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """`action`: `flag`, `mask` or `drop`; `kinds`: what is looked for."""

    action: Literal["flag", "mask", "drop"] = "flag"
    kinds: Annotated[tuple[Kind, ...], msgspec.Meta(min_length=1)] = (
        "resident",
        "foreigner",
        "business",
        "phone",
        "card",
        "email",
        "ip",
    )

    def __call__(self, example: Example) -> Example | Verdict:
        """The example, flagged or masked where something was found, or the verdict on it."""
        kinds: dict[str, str] = {}
        for name, text in texts(example):
            for found in _found(text, self._wanted):
                kinds.setdefault(found.kind, name)
        if not kinds:
            return example
        if self.action == "drop":
            return _verdict(example, kinds)
        made = rewritten(example, self._masked) if self.action == "mask" else example
        flags = (*made.flags, *(_TOLD[kind].reason for kind in sorted(kinds)))
        return msgspec.structs.replace(made, flags=tuple(dict.fromkeys(flags)))

    @cached_property
    def _wanted(self) -> frozenset[str]:
        return frozenset(self.kinds)

    def _masked(self, text: str) -> str:
        # A mask can lay open what stood beside it, so it is looked at again.
        while found := _found(text, self._wanted):
            pieces: list[str] = []
            position = 0
            for start, end, kind in found:
                pieces += text[position:start], _TOLD[kind].mask
                position = end
            text = "".join((*pieces, text[position:]))
        return text


def _verdict(example: Example, kinds: dict[str, str]) -> Verdict:
    kind, name = next(iter(kinds.items()))
    return filtered(
        example, "personal_data", _TOLD[kind].reason, f"`{name}` holds {_TOLD[kind].words}"
    )


# Digits, hyphens and blanks as they are typed, and their plain forms: each is one character, so
# that what is found in the plain form stands at the same place in the text.
_DIGIT = "[0-9\uff10-\uff19]"
_HYPHENS = "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"
# These also stand between words and in ranges, so they are no hyphens.
_DASHES = "~\u2014\u2015\u223c\u301c\uff5e"
_DOTS = "·\u2027\u30fb\u318d\uff65"
_PLAIN = {
    **{0xFF10 + digit: str(digit) for digit in range(10)},
    **dict.fromkeys(map(ord, _HYPHENS), "-"),
    **dict.fromkeys(map(ord, _DASHES), "~"),
    **dict.fromkeys(map(ord, _DOTS), "·"),
    0xA0: " ",
    0x3000: " ",
    0xFF08: "(",
    0xFF09: ")",
    0xFF0B: "+",
}
# What may be a number of ours: eight digits or more with up to three separators between, or the
# beginning of an IP address. One search settles nearly every text.
_CANDIDATE = re.compile(
    f"{_DIGIT}(?:(?:[ ./()\xa0\u3000\uff08\uff09{_DASHES}{_DOTS}{_HYPHENS}-]{{0,3}}{_DIGIT}){{7,}}"
    r"|[0-9]{0,2}(?:\.[0-9]{1,3}){3}"
    r"|[0-9A-Fa-f]{3}:[0-9A-Fa-f:]{6,34})"
)
# A hyphen before a number makes it a part of another where it joins the two.
# An underscore does so between two, but not as Markdown's emphasis.
_NO_NAME = "(?<![0-9A-Za-z]_)(?<![0-9A-Za-z]__)(?<![0-9A-Za-z_]-)"
_BEFORE = f"(?<![0-9A-Za-z]){_NO_NAME}"
_BEHIND = "(?!_{0,2}[0-9A-Za-z])"
_REGISTRATION = re.compile(
    f"{_BEFORE}([0-9]{{2}})(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])( ?- ?| |)([1-8])([0-9]{{6}})"
    f"(?!-){_BEHIND}"
)
_BUSINESS = re.compile(f"{_BEFORE}[0-9]{{3}}-[0-9]{{2}}-[0-9]{{5}}(?!-){_BEHIND}")
_BETWEEN = "(?: ?- ?| {0,2})"
_LAST_EIGHT = f"[0-9]{{3,4}}{_BETWEEN}[0-9]{{4}}"
_AREA = "0(?:2|[3-6][1-5]|70|50[0-9])"
_COUNTRY = (
    "(?:1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[146]|9[0-58]"
    "|2[1-689][0-9]|3[578][0-9]|42[0-9]|5[09][0-9]|6[7-9][0-9]|8[058][0-9]|9[679][0-9])"
)
# A date behind the number of an area makes a number of a document.
_NO_DATE = "(?!(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?![0-9]))"
_PHONE = re.compile(
    rf"(?<![0-9+])(?:"
    r"01[016789]\. ?[0-9]{3,4}\. ?[0-9]{4}"
    r"|(?<!/)01[016789]/[0-9]{3,4}/[0-9]{4}(?!/)"
    rf"|(?:01[016789]|{_AREA})(?:~[0-9]{{3,4}}~|·[0-9]{{3,4}}·)[0-9]{{4}}"
    rf"|(?:\(01[016789]\) ?|01[016789](?:\) ?|{_BETWEEN})){_LAST_EIGHT}"
    rf"|(?:\({_AREA}\) {{0,2}}|{_AREA}(?:\) {{0,2}}| ?[.-] ?| ))"
    r"[0-9]{3,4}(?: ?[.-] ?| )[0-9]{4}"
    rf"|(?<!/)02[1-9][0-9]{{6,7}}"
    rf"|(?:\+|00)82[ .-]?(?:\(0\)|0)?[ .-]?[0-9]{{1,2}}{_BETWEEN}{_LAST_EIGHT}"
    r"|(?:\+|00)82\.0?[0-9]{1,2}\.[0-9]{3,4}\.[0-9]{4}"
    rf"|(?:\(\+?|\+)82\) ?(?:\(0\)|0)?[0-9]{{1,2}}{_BETWEEN}{_LAST_EIGHT}"
    rf"|(?:\+|00)82[ .-]?\([0-9]{{1,2}}\){_BETWEEN}{_LAST_EIGHT}"
    rf"|82[ .-]?0?10{_BETWEEN}{_LAST_EIGHT}"
    r"|82-0?(?:2|[3-6][1-5]|70)-[0-9]{3,4}-[0-9]{4}"
    rf"|(?:\(0(?:2|[3-6][1-5])\)|0(?:2|[3-6][1-5])[)-]) ?{_NO_DATE}[1-9][0-9]{{6,7}}"
    # A country's code by itself, or all digits together: `+100 200 300` is a sum.
    rf"|\+1[ .-]?(?:\([2-9][0-9]{{2}}\)|[2-9][0-9]{{2}})[ .-]?[0-9]{{3}}[ .-]?[0-9]{{4}}"
    rf"|\+{_COUNTRY}[1-9][0-9]{{6,13}}"
    rf"|\+{_COUNTRY}(?<!\+1)[ .-]?\((?:0\)[ .-]?)?[1-9][0-9]{{0,4}}\)?(?:[ .-]?[0-9]{{2,5}}){{1,5}}"
    rf"|\+{_COUNTRY}(?<!\+1)[ .-]0?[1-9][0-9]{{0,4}}(?:[ .-]?[0-9]{{2,5}}){{1,5}}"
    rf")(?![.-]?[0-9]){_BEHIND}"
)
# What a phone number stands behind: no part of a word or number, and a full stop only where that
# ends no Latin word; but words that call may touch it: `fax02-123-4567`, `T.02-123-4567`.
_CALLED = re.compile(
    rf"(?:(?<![0-9A-Za-z.]){_NO_NAME}|[^\s0-9A-Za-z_]\."
    r"|(?<![A-Za-z])(?i:(?:tel|fax|hp|cp|ph|mob|mobile|cell|contact|office"
    r"|(?:cell|hand|smart|tele)?phone)(?:[. ]?no)?\.?)"
    r"|(?<![A-Za-z])(?:[TMHF]|(?i:[CDFHMOPT])\.))\Z"
)
_NO_PHONE = re.compile(
    r"(?i)(?:(?<![A-Za-z])(?:ISBN(?:[ -]?\(?1[03]\)?)?|UPC|EAN|EIN|ver|version)[ .:#(-]{0,3}"
    r"|(?:버전|바코드|책 ?번호|도서 ?번호)[ .:#-]{0,3}|(?<![가-힣])제)\Z"
)
# Figures of a row, of which blanks alone make a number of an area.
_FIGURES = re.compile("0[2-6][0-9]? [0-9]{3,4} [0-9]{4}")
_FIGURE_BEFORE = re.compile("(?<![0-9-])[0-9]{1,3} \\Z")
_FIGURE_BEHIND = re.compile(r" [1-9][0-9]{0,3}(?:[\s,.]|\Z)")
_CARD = re.compile(
    f"{_BEFORE}(?<!\\.)(?:"
    r"[2-69][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}"
    r"|3[47][0-9]{2}([ -])[0-9]{6}\2[0-9]{5}"
    r"|(?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|35[0-9]{2}|6[0245][0-9]{2})[0-9]{12}"
    r"|3[47][0-9]{13}"
    rf")(?![.-]?[0-9]){_BEHIND}"
)
_IPV4 = re.compile(
    f"(?:{_BEFORE}|(?<=[Ii][Pp]))(?<!\\.)[0-9]{{1,3}}(?:\\.[0-9]{{1,3}}){{3}}"
    f"(?![.-]?[0-9]|절){_BEHIND}"
)
_IPV6 = re.compile(f"{_BEFORE}(?<!:)[23][0-9A-Fa-f]{{3}}:[0-9A-Fa-f:]{{6,34}}{_BEHIND}(?!:)")
_NETWORK = re.compile(r"/(?:[89]|[1-9][0-9])(?![0-9])")
_VERSION = re.compile(
    r"(?i)(?:§|==|version|firmware|driver|(?<![A-Za-z])(?:v|ver|release|build|fig|figure|table"
    r"|(?:sub)?section|chapter)|버전|펌웨어|드라이버|빌드|그림|(?<![가-힣])[표제])[ .:=#]{0,3}\Z"
)
# A sign or a bracket may open a number; what stands before that is looked at, too.
_OPENS_BEFORE = 2
_SEEN_BEFORE = 14
_SEEN_BEHIND = 4
_UNCHECKED_SINCE = "201001"
# No one is taken to be born later. It is fixed, so that a build is the same on any day.
_LAST_YEAR = "30"


def _found(text: str, wanted: frozenset[str]) -> list[_Found]:
    """What is found in the text, from left to right, none over another."""
    found: list[_Found] = []
    if "email" in wanted and ("@" in text or "＠" in text):
        found += (_Found(start, end, "email") for start, end in email_addresses(text))
    for candidate in _CANDIDATE.finditer(text):
        first = max(0, candidate.start() - _SEEN_BEFORE)
        # Some characters behind are seen, so that a number which goes on is none.
        piece = text[first : candidate.end() + _SEEN_BEHIND].translate(_PLAIN)
        start = max(0, candidate.start() - _OPENS_BEFORE - first)
        for find in _FINDERS:
            found += (
                _Found(hit.start + first, hit.end + first, hit.kind)
                for hit in find(piece, start)
                if hit.kind in wanted
            )
    if len(found) < 2:
        return found
    apart: list[_Found] = []
    for hit in sorted(found, key=lambda hit: (hit.start, -hit.end)):
        if not apart or hit.start >= apart[-1].end:
            apart.append(hit)
    return apart


def _registrations(text: str, start: int) -> Iterator[_Found]:
    for found in _REGISTRATION.finditer(text, start):
        year, month, day, hyphen, century, rest = found.groups()
        digits = year + month + day + century + rest
        weighted = sum(int(digits[at]) * (2 + at % 8) for at in range(12)) % 11
        is_foreigner = century in "5678"
        checked = ((13 if is_foreigner else 11) - weighted) % 10 == int(digits[12])
        born_now = century in "3478"
        unchecked = "-" in hyphen and born_now and year + month + day >= _UNCHECKED_SINCE
        if (checked or unchecked) and not (born_now and year > _LAST_YEAR):
            yield _Found(found.start(), found.end(), "foreigner" if is_foreigner else "resident")


def _cards(text: str, start: int) -> Iterator[_Found]:
    for found in _CARD.finditer(text, start):
        digits = [int(char) for char in found[0] if char.isdigit()]
        doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
        if (sum(doubled) + sum(digits[-1::-2])) % 10 == 0 and len(set(digits)) > 1:
            yield _Found(found.start(), found.end(), "card")


def _businesses(text: str, start: int) -> Iterator[_Found]:
    for found in _BUSINESS.finditer(text, start):
        digits = [int(char) for char in found[0] if char != "-"]
        weighted = sum(a * b for a, b in zip(digits, (1, 3, 7, 1, 3, 7, 1, 3, 5), strict=False))
        if any(digits) and (weighted + digits[8] * 5 // 10 + digits[9]) % 10 == 0:
            yield _Found(found.start(), found.end(), "business")


def _phones(text: str, start: int) -> Iterator[_Found]:
    while found := _PHONE.search(text, start):
        digits = sum(map(str.isdigit, found[0]))
        begin, seen = found.start(), max(0, found.start() - _SEEN_BEFORE)
        called = _CALLED.search(text, seen, begin) and not _NO_PHONE.search(text, seen, begin)
        start = begin + 1
        if called and 9 <= digits <= 15 and not _is_of_a_row(found, text):
            start = found.end()
            yield _Found(begin, start, "phone")


def _is_of_a_row(found: re.Match[str], text: str) -> bool:
    """Whether it is spelled with blanks alone, and another figure stands beside it."""
    begin, end = found.span()
    return _FIGURES.fullmatch(found[0]) is not None and bool(
        _FIGURE_BEFORE.search(text, max(0, begin - _SEEN_BEFORE), begin)
        or _FIGURE_BEHIND.match(text, end)
    )


def _addresses(text: str, start: int) -> Iterator[_Found]:
    for found in (*_IPV4.finditer(text, start), *_IPV6.finditer(text, start)):
        begin, end = found.span()
        is_version = _VERSION.search(text, max(0, begin - _SEEN_BEFORE), begin)
        if _is_public(found[0]) and not is_version and not _is_network(found[0], text, end):
            yield _Found(begin, end, "ip")


def _is_network(said: str, text: str, end: int) -> bool:
    """Whether the address is that of a network: `157.240.0.0/16`."""
    prefix = _NETWORK.match(text, end)
    try:
        return prefix is not None and ipaddress.ip_network(said + prefix[0]).num_addresses > 2
    except ValueError:
        return False


def _is_public(said: str) -> bool:
    try:
        address = ipaddress.ip_address(said)
    except ValueError:
        return False
    if address.version == 6:
        return address.is_global and not address.is_multicast
    # Numbers of chapters and versions are made of small numbers, or end in noughts.
    parts = said.split(".")
    small = len(parts[0]) < 3 and sum(len(part) > 1 for part in parts) < 2
    return address.is_global and not address.is_multicast and not small and parts[1:] != ["0"] * 3


_FINDERS: tuple[Callable[[str, int], Iterator[_Found]], ...] = (
    _registrations,
    _cards,
    _businesses,
    _phones,
    _addresses,
)
