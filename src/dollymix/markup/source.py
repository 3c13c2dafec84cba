"""The source of a page, cut into pieces for the parser: text and tags by turns.

Tags become plain, a `<` that is no tag an entity, and each run of text stands between marks, so
that its place behind the conversion is known.
"""

from __future__ import annotations

import html
import re
from itertools import accumulate

# Names of HTML and MathML. Another name between angle brackets is text: `vector<int>`.
_BLOCK = """
address article aside blockquote body caption center col colgroup dd details dialog dir div dl
dt fieldset figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html
legend li link main menu meta nav noscript ol optgroup option p pre script section select style
summary table tbody td template textarea tfoot th thead title tr ul
"""
INLINE = """
a abbr acronym applet area audio b base basefont bdi bdo big blink br button canvas cite code
data datalist del dfn em embed font frame i iframe img input ins kbd label map mark meter nobr
noframes object output param picture progress q rb rbc rp rt rtc ruby s samp slot small source
span strike strong sub sup svg time track tt u var video wbr math maction menclose merror
mfenced mfrac mglyph mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms
mspace msqrt mstyle msub msubsup msup mtable mtd mtext mlabeledtr mtr munder munderover none
semantics annotation annotation-xml
"""
BLOCK_NAMES = frozenset(_BLOCK.split())
_INLINE_NAMES = frozenset(INLINE.split())
_NAMES = BLOCK_NAMES | _INLINE_NAMES
_ALTERNATIVES = "|".join(sorted(_NAMES, key=len, reverse=True))
# A tag: without quotes; with quotes that hold no angle bracket; a cell whose quotes do not match,
# up to its first `>`; with quotes that hold brackets; with quotes that do not match.
_TAG = (
    rf"</?(?:{_ALTERNATIVES})(?=[\s/>])"
    r"""(?:[^<>"']*+>"""
    r"""|(?:[^<>"']++|"[^"<>]*+"|'[^'<>]*+')*+>"""
    r"""|[^<>]*?(?:row|col)span\s*=[^<>]*+>"""
    r"""|(?:[^<>"']++|"[^"]{0,2000}+"|'[^']{0,2000}+'){0,40}+>"""
    r"""|[^<>]*+>)"""
)
_TAGS = re.compile(_TAG, re.IGNORECASE)
_PIECES = re.compile(rf"({_TAG}|<![a-z\[\x02][^<>]*+>|<\?[^<>]*+>)", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
_TAG_NAME = re.compile(r"</?([a-z0-9-]+)", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""\b(rowspan|colspan|start|alttext)\s*=\s*("[^"]*"?|'[^']*'?|[^\s>]*)""", re.IGNORECASE
)
_NUMBER = re.compile(r"\d{1,6}")
_SIMPLE = re.compile("(<[^<>]*>)")
_SPAN = re.compile(r"(?:row|col)span\s*=", re.IGNORECASE)
_COMMENT_END = "-->"

# Marks: one before and one behind each run of text, so that its place behind the conversion is
# known. They are code points for private use; a text that has such itself is converted without.
_PRIVATE = re.compile("[\U000f0000-\U0010ffff]")
_BASE = 60_000
_HIGH, _LOW, END = 0xF0000, 0x100000, "\U0010f000"
BEGIN = "[\U000f0000-\U000fefff]?[\U00100000-\U0010ea5f]"
MARKS = re.compile(f"({BEGIN}|{END})")
MARK = f"(?:{BEGIN}|{END})"
# The parser makes U+FFFD of control characters; it does not see them.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f]")
HIDDEN = 0x10F100
HIDDEN_CONTROLS = re.compile("[\U0010f100-\U0010f11f]")

BLANK = " \t\n\r\f\xa0"
_EDGE = "(?:[ \t\n\r\f\xa0]|&nbsp;|&#160;|&#[xX][aA]0;)*+"
_LEADING = re.compile(_EDGE)
_TRAILING = re.compile("(?:&nbsp;|&#160;|&#[xX][aA]0;)$")
BREAK = "\x0b"

_WIKI = re.compile(r"<title[^<>]*>[^<>]*(?:위키백과|Wikipedia)[^<>]*</title", re.IGNORECASE)
_WIKI_START = re.compile(r"<h1[\s>]", re.IGNORECASE)
_WIKI_END = re.compile(
    r"<div[^<>]*>\s*(?:(?:원본 주소|Retrieved from) \"\s*<a[\s>]"
    r"|<div[^<>]*>\s*<a[^<>]*>\s*(?:분류|Categories|Category)\s*</a>\s*:"
    r"|<h2[^<>]*>\s*(?:둘러보기 메뉴|Navigation menu)\s*</h2>)",
    re.IGNORECASE,
)
_WIKI_LINES = frozenset(
    (
        "위키백과, 우리 모두의 백과사전.",
        "둘러보기로 가기",
        "검색하러 가기",
        "둘러보기로 이동",
        "검색으로 이동",
        "From Wikipedia, the free encyclopedia",
        "Jump to navigation",
        "Jump to search",
    )
)
# Lines of a wiki page's head stand among its first runs of text.
_WIKI_HEAD = 40


def has_markup(text: str) -> bool:
    """True where a text holds a tag of HTML or an entity, and is no text with fenced code."""
    if "<" not in text and "&" not in text:
        return False
    if not (_TAGS.search(text) or _known_entity(text)):
        return False
    return not _FENCE.search(text) or text.lstrip().startswith("<")


def _known_entity(text: str) -> bool:
    return any(html.unescape(found[0]) != found[0] for found in _ENTITY.finditer(text))


def cut(source: str) -> tuple[list[int], list[int], list[str], bool]:
    """The source in pieces, text and tag by turns, ready for the parser: tags in a plain form, a
    `<` that is no tag as an entity, each run of text between marks; and where the runs stand."""
    marked = not _PRIVATE.search(source)
    start, end, is_wiki = _kept_range(source)
    pieces, plain = _split(_without_comments(source[start:end]))
    has_controls = marked and _CONTROLS.search(source) is not None
    begins: list[int] = []
    ends: list[int] = []
    places = list(accumulate(map(len, pieces), initial=start))
    for index in range(0, len(pieces), 2):
        piece = pieces[index]
        if not piece or piece.isspace():
            continue
        lead, tail = _edges(piece)
        if lead >= tail:
            continue
        if is_wiki and len(begins) < _WIKI_HEAD and piece.strip() in _WIKI_LINES:
            pieces[index] = ""
            continue
        core = piece[lead:tail]
        if "<" in core:
            core = core.replace("<", "&lt;")
        if marked:
            if has_controls:
                core = _CONTROLS.sub(lambda m: chr(ord(m[0]) + HIDDEN), core)
            core = f"{_mark(len(begins))}{core}{END}"
            begins.append(places[index] + lead)
            ends.append(places[index] + tail)
        pieces[index] = f"{piece[:lead]}{core}{piece[tail:]}"
    pieces[1::2] = [plain[tag] for tag in pieces[1::2]]
    return begins, ends, pieces, marked


def _split(source: str) -> tuple[list[str], dict[str, str]]:
    """Text and tag by turns, and the plain form of each tag.

    Nearly always a tag ends at its first `>`, which is soon found; else each kind is tried.
    """
    pieces = _SIMPLE.split(source)
    tags = set(pieces[1::2])
    if not all(map(_is_simple, tags)):
        pieces = _PIECES.split(source)
        tags = set(pieces[1::2])
    return pieces, {tag: _plain_tag(tag) for tag in tags}


def _is_simple(tag: str) -> bool:
    if not _PIECES.fullmatch(tag):
        return False
    return tag.count('"') % 2 == 0 == tag.count("'") % 2 or bool(_SPAN.search(tag))


def _edges(piece: str) -> tuple[int, int]:
    """Where the text of a piece begins and ends, without the blanks around it."""
    lead = len(piece) - len(piece.lstrip(BLANK))
    if lead == len(piece):
        return 0, 0
    if piece[lead] == "&":
        lead = _LEADING.match(piece).end()  # type: ignore[union-attr]
        if lead == len(piece):
            return 0, 0
    tail = len(piece.rstrip(BLANK))
    return lead, _trailing(piece) if piece[tail - 1] == ";" else tail


def _mark(number: int) -> str:
    if number < _BASE:
        return chr(_LOW + number)
    high, low = divmod(number, _BASE)
    return chr(_HIGH + high - 1) + chr(_LOW + low)


def _number(mark: str) -> int:
    low = ord(mark[-1]) - _LOW
    return low if len(mark) == 1 else (ord(mark[0]) - _HIGH + 1) * _BASE + low


def _trailing(piece: str) -> int:
    """Where the blanks at the end of a piece begin."""
    end = len(piece.rstrip(BLANK))
    while piece[end - 1] == ";":
        blank = _TRAILING.search(piece, 0, end)
        if not blank:
            break
        end = len(piece[: blank.start()].rstrip(BLANK))
    return end


def _kept_range(source: str) -> tuple[int, int, bool]:
    """The part of a wiki page that is its article; of another text, all of it."""
    if not _WIKI.search(source[:20_000]):
        return 0, len(source), False
    start = _WIKI_START.search(source)
    end = _WIKI_END.search(source, start.start() if start else 0)
    return start.start() if start else 0, end.start() if end else len(source), True


def _without_comments(source: str) -> str:
    """The source with each comment as a declaration of the same length."""
    if "<!--" not in source:
        return source
    made: list[str] = []
    at = 0
    while (begin := source.find("<!--", at)) >= 0:
        end = source.find(_COMMENT_END, begin + 4)
        if end < 0:
            break
        end += len(_COMMENT_END)
        made += source[at:begin], "<!\x02", " " * (end - begin - 4), ">"
        at = end
    return "".join((*made, source[at:]))


def _plain_tag(tag: str) -> str:
    """A tag with the attributes that matter alone, in order."""
    if tag[1] in "!?":
        return ""
    name = _TAG_NAME.match(tag)[1].lower()  # type: ignore[index]
    if tag[1] == "/":
        return f"</{name}>"
    attributes = ""
    if "=" in tag:
        for key, value in _ATTRIBUTE.findall(tag):
            value = value.strip("\"'")
            if key.lower() != "alttext":
                number = _NUMBER.search(value)
                value = number[0] if number else ""
            if value:
                attributes += f' {key.lower()}="{html.escape(html.unescape(value))}"'
    closed = "/" if tag.endswith("/>") and name in ("br", "hr", "wbr", "img") else ""
    return f"<{name}{attributes}{closed}>"


def holds_block(pieces: list[str]) -> bool:
    return not BLOCK_NAMES.isdisjoint(edge_names("".join(set(pieces[1::2]))))


def without_marks(written: str) -> tuple[str, dict[int, tuple[int, int]]]:
    """The text without marks, and where each run stands in it."""
    parts = MARKS.split(written)
    texts = parts[::2]
    found: dict[int, tuple[int, int]] = {}
    number, begin = -1, 0
    for mark, at in zip(parts[1::2], accumulate(map(len, texts)), strict=False):
        if mark != END:
            number, begin = _number(mark), at
        elif number >= 0:
            found.setdefault(number, (begin, at))
    return "".join(texts), found


def edge_names(tags: str) -> set[str]:
    return {name.lower() for name in _TAG_NAME.findall(tags)}
