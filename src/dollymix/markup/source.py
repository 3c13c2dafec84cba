"""The source of a page, cut into pieces for the parser: text and tags by turns.

Tags become plain, a `<` that is no tag an entity, what is not written goes, and each run of text
stands between marks, so that its place behind the conversion is known.
"""

from __future__ import annotations

import html
import re
from itertools import accumulate, islice
from typing import NamedTuple

from dollymix.markup.marks import END, PRIVATE, hidden, mark
from dollymix.markup.names import BLOCK_NAMES
from dollymix.markup.skipped import take_out_skipped
from dollymix.markup.tags import TAG, TAGS, name_of, split

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
_CODE_OR_TAG = re.compile(
    rf"(?P<code>(?<!`)(?P<ticks>`+)(?!`)[^\n]{{1,1000}}?(?<!`)(?P=ticks)(?!`))|{TAG}", re.IGNORECASE
)
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_SIGNS = re.compile("[<&]")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f]")
_COMMENT_END = "-->"

BLANK = " \t\n\r\f\xa0"
_LEADING = re.compile("(?:[ \t\n\r\f\xa0]|&nbsp;|&#160;|&#[xX][aA]0;)*")
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
_WIKI_HEAD = 48


class Cut(NamedTuple):
    """A source in pieces, text and tag by turns, ready for the parser.

    `source`: itself, with what is no markup hidden. `begins`, `ends`: where each run of text stands
    in the source. `marked`: each is between marks; not in a source that holds such characters
    itself. `is_wiki`: a whole wiki page. `has_blocks`: there are tags of blocks, so line ends say
    nothing.
    """

    source: str
    begins: list[int]
    ends: list[int]
    pieces: list[str]
    marked: bool
    is_wiki: bool
    has_blocks: bool


def has_markup(text: str) -> bool:
    """True where a text holds a tag of HTML or an entity outside code, and no fenced code."""
    if "<" not in text and "&" not in text:
        return False
    text = _protected(text)
    if not (TAGS.search(text) or _known_entity(text)):
        return False
    return not _FENCE.search(text) or text.lstrip().startswith("<")


def _known_entity(text: str) -> bool:
    return any(html.unescape(found[0]) != found[0] for found in _ENTITY.finditer(text))


def _protected(source: str) -> str:
    """The source, as long as it was, with the `<` and `&` hidden that begin no markup: in CDATA
    sections, and in inline code of a text that has no blocks."""
    if "`" not in source and "<![CDATA[" not in source:
        return source
    end = source.rfind("]]>") + 3  # behind the last end, nothing is looked for
    if PRIVATE.search(source):
        return _CDATA.sub(lambda found: f"<!\x02     >{found[1]}<?>", source[:end]) + source[end:]
    sections = _CDATA.sub(
        lambda found: f"<!\x02     >{_SIGNS.sub(hidden, found[1])}<?>", source[:end]
    )
    source = sections + source[end:]
    tags = (found[0] for found in _CODE_OR_TAG.finditer(source) if found["code"] is None)
    if any(name_of(tag) in BLOCK_NAMES for tag in tags):
        return source
    return _CODE_OR_TAG.sub(
        lambda found: _SIGNS.sub(hidden, found[0]) if found["code"] else found[0], source
    )


def cut(source: str) -> Cut:
    """A source in pieces: tags in a plain form, without what is not written, and marked."""
    marked = not PRIVATE.search(source)
    source = _protected(source)
    start, end, is_wiki = _kept_range(source)
    pieces, plain = split(_without_comments(source[start:end]))
    names = {tag: name_of(tag) for tag in plain}
    has_blocks = not BLOCK_NAMES.isdisjoint(names.values())
    places = list(accumulate(map(len, pieces), initial=start))
    take_out_skipped(pieces, plain, names)
    if is_wiki:
        _take_out_wiki_lines(pieces)
    begins, ends = _mark_runs(pieces, places) if marked else _escape(pieces)
    pieces[1::2] = [plain[tag] for tag in pieces[1::2]]
    return Cut(source, begins, ends, pieces, marked, is_wiki, has_blocks)


def _take_out_wiki_lines(pieces: list[str]) -> None:
    """Empties the lines at the head of a wiki page that are on each of them."""
    said = (index for index in range(0, len(pieces), 2) if pieces[index].strip())
    for index in islice(said, _WIKI_HEAD):
        if pieces[index].strip() in _WIKI_LINES:
            pieces[index] = ""


def _mark_runs(pieces: list[str], places: list[int]) -> tuple[list[int], list[int]]:
    """Sets marks round each run of text, and tells where it stands; `places` are those of the
    pieces in the source. Of each `<` it makes an entity."""
    has_controls = _CONTROLS.search("".join(pieces)) is not None
    begins: list[int] = []
    ends: list[int] = []
    for index in range(0, len(pieces), 2):
        piece = pieces[index]
        if not piece or piece.isspace():
            continue
        lead, tail = _edges(piece)
        if lead >= tail:
            continue
        core = piece[lead:tail]
        if "<" in core:
            core = core.replace("<", "&lt;")
        if has_controls:
            core = _CONTROLS.sub(hidden, core)
        pieces[index] = f"{piece[:lead]}{mark(len(begins))}{core}{END}{piece[tail:]}"
        begins.append(places[index] + lead)
        ends.append(places[index] + tail)
    return begins, ends


def _escape(pieces: list[str]) -> tuple[list[int], list[int]]:
    """Makes of each `<` in the text an entity; no run is marked."""
    pieces[::2] = [piece.replace("<", "&lt;") for piece in pieces[::2]]
    return [], []


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
