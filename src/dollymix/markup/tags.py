"""Tags in a source: what is one, and its plain form for the parser."""

from __future__ import annotations

import html
import re

from dollymix.markup.names import BARE_ATTRIBUTES, CELLS, NAMES, RAW, SECTIONS, TRANSPARENT


def _any_of(names: frozenset[str]) -> str:
    return "|".join(sorted(names, key=len, reverse=True))


_TABLE_NAMES = CELLS | SECTIONS | {"table", "tr"}
# Behind the name: nothing, a value, attributes that need none (`hidden`, `data-x`), or, of a part
# of a table, whatever it is.
_ATTRIBUTES = (
    r"""(?=\s*/?>|(?!\s*=)[^<>"'=]*+["'=]"""
    rf"|(?:\s+(?:(?:{_any_of(BARE_ATTRIBUTES)})(?=[\s/>])|[a-z]+-[a-z-]+))+\s*/?>)"
)
# A quote behind `=` begins a value, and ends none that holds brackets.
_END_OF_VALUE = "(?<!=)(?<!= )"
# A tag: without quotes; with quotes that hold no angle bracket; a cell whose quotes do not match,
# up to its first `>`; with quotes that hold brackets, and end where an attribute may; with quotes
# that do not match.
# (Atomic groups where a possessive one would do: see `csv._grammar`.)
TAG = (
    rf"</?(?:(?:{_any_of(_TABLE_NAMES)})(?=[\s/>])"
    rf"|(?:{_any_of(NAMES - _TABLE_NAMES)})(?=[\s/>]){_ATTRIBUTES})"
    r"""(?:[^<>"']*+>"""
    r"""|(?>(?:[^<>"']++|"[^"<>]*+"|'[^'<>]*+')*)>"""
    r"""|[^<>]*?(?:row|col)span\s*=[^<>]*+>"""
    rf"""|(?>(?:[^<>"']++|"[^"<>]*+"|'[^'<>]*+'|"[^"]{{0,2000}}+{_END_OF_VALUE}"(?=[\s/>])"""
    rf"""|'[^']{{0,2000}}+{_END_OF_VALUE}'(?=[\s/>])){{0,40}})>"""
    r"""|[^<>]*+>)"""
)
TAGS = re.compile(TAG, re.IGNORECASE)
# Tags and declarations. A CDATA section that does not end is text.
_PIECES = re.compile(rf"({TAG}|<!(?!\[CDATA\[)[a-z\[\x02][^<>]*+>|<\?[^<>]*+>)", re.IGNORECASE)
_SIMPLE = re.compile("(<[^<>]*>)")
_SPAN = re.compile(r"(?:row|col)span\s*=", re.IGNORECASE)
_NAME = re.compile(r"</?([a-z0-9-]+)", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""\b(rowspan|colspan|start|value|alttext|encoding|open|close|separators)\s*=\s*"""
    r"""("[^"]*"?|'[^']*'?|[^\s>]*)""",
    re.IGNORECASE,
)
_REVERSED = re.compile(r"\sreversed(?=[\s=/>])", re.IGNORECASE)
_EMPTY = frozenset(("br", "hr", "mspace", "mprescripts", "none", "mglyph"))
_NUMBERS = frozenset(("rowspan", "colspan", "start", "value"))
_NUMBER = re.compile(r"\d{1,6}")
_FIRST_NUMBER = re.compile(r"-?\d{1,6}")


def split(source: str) -> tuple[list[str], dict[str, str]]:
    """Text and tag by turns, and the plain form of each tag.

    Nearly always a tag ends at its first `>`, which is soon found; else, and where a `<` is left
    that may begin a tag with brackets in its quotes, each kind is tried.
    """
    pieces = _SIMPLE.split(source)
    tags = set(pieces[1::2])
    if source.count("<") != len(pieces) // 2 or not all(map(_is_simple, tags)):
        pieces = _PIECES.split(source)
        tags = set(pieces[1::2])
    return pieces, {tag: _plain(tag) for tag in tags}


def _is_simple(tag: str) -> bool:
    if not _PIECES.fullmatch(tag):
        return False
    return tag.count('"') % 2 == 0 == tag.count("'") % 2 or bool(_SPAN.search(tag))


def _plain(tag: str) -> str:
    """A tag with the attributes that matter alone, in order."""
    if tag[1] in "!?":
        return ""
    name = name_of(tag)
    name = "div" if name in RAW else name
    if name in TRANSPARENT:
        return ""  # in the tree, it would only divide the text beside it
    if name in ("html", "body"):
        return "<br>"  # behind the end of a page, the parser puts no table where it belongs
    if tag[1] == "/":
        return f"</{name}>"
    attributes = ' reversed="1"' if name == "ol" and _REVERSED.search(tag) else ""
    if "=" in tag:
        for key, value in _ATTRIBUTE.findall(tag):
            value = _value(key.lower(), value.strip("\"'"))
            if value:
                attributes += f' {key.lower()}="{html.escape(html.unescape(value))}"'
    closed = "/" if tag.endswith("/>") and name in _EMPTY else ""
    return f"<{name}{attributes}{closed}>"


def _value(key: str, value: str) -> str:
    if key not in _NUMBERS:
        return value
    number = (_FIRST_NUMBER if key in ("start", "value") else _NUMBER).search(value)
    return number[0] if number else ""


def name_of(tag: str) -> str:
    """The name of a tag's element; of a declaration, nothing."""
    found = _NAME.match(tag)
    return found[1].lower() if found else ""


def names_in(source: str) -> list[str]:
    """The names of the tags in a part of a source, in order; a closing one begins with `/`."""
    return [tag[0][1:].lower() for tag in _NAME.finditer(source)]


def edge_names(source: str) -> set[str]:
    """The names of all elements that begin or end in a part of a source."""
    return {name.lower() for name in _NAME.findall(source)}
