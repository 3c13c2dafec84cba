"""Turns HTML, whole pages or fragments, into text or Markdown.

For sources whose texts are HTML, such as KorQuAD 2, whose contexts are whole Wikipedia pages:

    steps: [{html: {to: markdown}}]

Goes: head, scripts, styles; of a wiki page also navigation, table of contents, edit markers,
reference marks, categories and footer; links, emphasis and pictures leave their text alone.
Stays: headings (`## ` in Markdown), paragraphs, lists (`- `, `1. `), preformatted text (fenced in
Markdown); formulas as their TeX (`$x^2$` in Markdown) or else their text; `10<sup>6</sup>` is
`10^6`. A table becomes a Markdown table, in text too, its first row the header. A cell that spans
several columns or rows stands once, at its first place, and leaves the others blank (with
`spans: repeat` it stands in each); lines of a cell are joined by ` / `. Tables that only place
lists or texts side by side are taken apart, and so is a row that holds a table of its own. Entities
are resolved once.

The response is the part of the new context that the old response stood at, so `answer_start` is
carried: what was `<td>332cm</td>` is `332cm`, a table is a Markdown table. Where that part is not
in the new context (it was navigation, a picture, ...) the response is converted alone,
`answer_start` is dropped, and the example is flagged `qa.answer_start_lost`. A response without a
place in its context is converted alone as well.

A text without a tag of HTML or an entity is not touched, nor one with a Markdown code fence that
does not begin with a tag: a bare `<` or `&` is content. Text with inline tags alone keeps its line
ends. A page that cannot be parsed (nested deeper than 255 elements) loses its tags alone, and is
flagged `html.not_parsed`.

Filters: `text.blank`, a response that held nothing but tags. Flags: `qa.answer_start_lost`,
`html.not_parsed`. Needs `pip install "dollymix[html]"` (lxml).
"""

from __future__ import annotations

import html
import importlib.metadata
import importlib.util
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate, chain, groupby, pairwise
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from dollymix.example import Example
from dollymix.ledger import Verdict
from dollymix.text import is_blank

Field = Literal["instruction", "context", "response", "system", "rejected"]
Form = Literal["markdown", "text"]
Spans = Literal["once", "repeat"]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`to`: `markdown` or `text`. `fields`: those that hold HTML. `spans`: whether a cell that
    spans several places stands `once` or is `repeat`ed in each."""

    to: Form = "markdown"
    fields: Annotated[tuple[Field, ...], msgspec.Meta(min_length=1)] = ("context", "response")
    spans: Spans = "once"

    def __post_init__(self) -> None:
        if importlib.util.find_spec("lxml") is None:
            raise ValueError('needs the package lxml: pip install "dollymix[html]"')

    def versions(self) -> dict[str, str]:
        """The versions of the parser."""
        from lxml import etree

        numbers = ".".join(map(str, etree.LIBXML_VERSION))
        return {"lxml": importlib.metadata.version("lxml"), "libxml2": numbers}

    def __call__(self, example: Example) -> Example | Verdict:
        """The example without markup; itself where it holds none."""
        marked = [name for name in self.fields if has_markup(getattr(example, name))]
        if not marked:
            return example
        pages: list[Page] = []
        changed: dict[str, Any] = {}
        flags = example.flags
        start = _span(example)
        if start is not None and "context" in marked:
            page = self._page(example.context)
            found = page.carry(start, start + len(example.response))
            answer = page.text[slice(*found)] if found else ""
            if found and ("response" in self.fields or answer == example.response):
                changed = {"answer_start": found[0], "response": answer}
        for name in marked:
            if name not in changed:
                pages.append(self._page(getattr(example, name)))
                changed[name] = pages[-1].text
        response = changed.get("response", example.response)
        if is_blank(response) and not is_blank(example.response):
            return _nothing_left(example)
        context = changed.get("context", example.context)
        where = changed.get("answer_start", start)
        if start is not None and not (
            "answer_start" in changed
            or ("context" not in changed and context.startswith(response, start))
        ):
            where = None
            flags = (*flags, "qa.answer_start_lost")
        if not all(page.parsed for page in pages):
            flags = (*flags, "html.not_parsed")
        if start is None:
            where = example.answer_start
        return msgspec.structs.replace(example, flags=flags, **{**changed, "answer_start": where})

    def _page(self, text: str) -> Page:
        return _converted(text, self.to == "markdown", self.spans == "repeat")


def _nothing_left(example: Example) -> Verdict:
    return Verdict(
        origin=example.origin,
        outcome="filtered",
        step="html",
        reason="text.blank",
        message="`response` holds nothing but tags",
        example=example,
    )


def _span(example: Example) -> int | None:
    """Where the response stands in the context, where the example says so and it is true."""
    start = example.answer_start
    if start is None or not example.response:
        return None
    return start if example.context.startswith(example.response, start) else None


# Names of HTML and MathML. Another name between angle brackets is text: `vector<int>`.
_BLOCK = """
address article aside blockquote body caption center col colgroup dd details dialog dir div dl
dt fieldset figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html
legend li link main menu meta nav noscript ol optgroup option p pre script section select style
summary table tbody td template textarea tfoot th thead title tr ul
"""
_INLINE = """
a abbr acronym applet area audio b base basefont bdi bdo big blink br button canvas cite code
data datalist del dfn em embed font frame i iframe img input ins kbd label map mark meter nobr
noframes object output param picture progress q rb rbc rp rt rtc ruby s samp slot small source
span strike strong sub sup svg time track tt u var video wbr math maction menclose merror
mfenced mfrac mglyph mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms
mspace msqrt mstyle msub msubsup msup mtable mtd mtext mlabeledtr mtr munder munderover none
semantics annotation annotation-xml
"""
_BLOCK_NAMES = frozenset(_BLOCK.split())
_INLINE_NAMES = frozenset(_INLINE.split())
_NAMES = _BLOCK_NAMES | _INLINE_NAMES
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
_HIGH, _LOW, _END = 0xF0000, 0x100000, "\U0010f000"
_BEGIN = "[\U000f0000-\U000fefff]?[\U00100000-\U0010ea5f]"
_MARKS = re.compile(f"({_BEGIN}|{_END})")
_MARK = f"(?:{_BEGIN}|{_END})"
# The parser makes U+FFFD of control characters; it does not see them.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f]")
_HIDDEN = 0x10F100
_HIDDEN_CONTROLS = re.compile("[\U0010f100-\U0010f11f]")

_BLANK = " \t\n\r\f\xa0"
_WHITE = re.compile(f"[{_BLANK}]{{2,}}|[{_BLANK[1:]}]")
_EDGE = "(?:[ \t\n\r\f\xa0]|&nbsp;|&#160;|&#[xX][aA]0;)*+"
_LEADING = re.compile(_EDGE)
_TRAILING = re.compile("(?:&nbsp;|&#160;|&#[xX][aA]0;)$")
_BLANK_OR_ENTITY = _BLANK + "&;"
_BREAK = "\x0b"

_EDIT = re.compile(
    rf"{_BEGIN}?\[(?:{_MARK}|\s)*(?:편집|원본(?:{_MARK}|\s)*편집|edit|edit source|\|)"
    rf"(?:{_MARK}|\s|\||편집|원본|edit|source)*\]{_MARK}*\s*$"
)
_REFERENCE = re.compile(r"(?:\s*\[[^\[\]]{1,20}\](?:\s*:\s*[\d,\s–-]+)?)+\s*")
_EXPONENT = re.compile(r"[+−-]?(?:\d{1,6}|[a-zA-Z])")
_ARROW = re.compile(rf"^({_MARK}*)↑({_MARK}*)\s*")
_DISPLAY_STYLE = re.compile(r"\{\\(?:display|text)style\s*(.*)\}", re.DOTALL)
_CONTENTS = ("목차", "Contents")
# View, discuss, edit, history: the links of a navigation box to its own template.
_TEMPLATE_LINKS = ("vdeh", "vde", "vte")

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


class Page(NamedTuple):
    """A converted text, and where each run of its source's text went.

    `runs`: those that are kept, in the order of the source: where one begins and ends there, and
    where in the text. `in_order`: the text has them in the same order. `parsed`: by the parser.
    """

    source: str
    text: str
    begins: list[int]
    ends: list[int]
    new_begins: list[int]
    new_ends: list[int]
    in_order: bool
    parsed: bool

    def carry(self, start: int, end: int) -> tuple[int, int] | None:
        """Where the part of the source from `start` to `end` stands in the text."""
        first = bisect_right(self.ends, start)
        last = bisect_left(self.begins, end) - 1
        if first > last:
            return None
        begin, finish = self._begin(first, start, end), self._finish(last, start, end)
        if begin is None or finish is None or begin >= finish:
            return None
        if not self.in_order and not self._alone(first, last):
            return None
        return begin, finish

    def _alone(self, first: int, last: int) -> bool:
        """Whether the runs of a part stand together, with no other between them."""
        begin, finish = self.new_begins[first], self.new_ends[last]
        inside = [i for i, at in enumerate(self.new_begins) if begin <= at < finish]
        return inside == list(range(first, last + 1))

    def _begin(self, run: int, start: int, end: int) -> int | None:
        if start > self.begins[run]:
            return self._inside(run, start, behind=False)
        at = self.new_begins[run]
        before = bisect_left(self.new_ends, at + 1) if self.in_order else 0
        gap_start = max((e for e in self.new_ends[max(0, before - 2) : run] if e <= at), default=0)
        gap = self.text[gap_start:at]
        names = _edge_names(self.source[start : min(end, self.begins[run])])
        cut = _line_cut(gap, names, at_start=gap_start == 0)
        return at if cut is None else at - len(gap[cut:].lstrip())

    def _finish(self, run: int, start: int, end: int) -> int | None:
        if end < self.ends[run]:
            return self._inside(run, end, behind=True)
        at = self.new_ends[run]
        behind = min((b for b in self.new_begins[run + 1 : run + 3] if b >= at), default=None)
        gap = self.text[at:behind]
        names = _edge_names(self.source[max(start, self.ends[run]) : end])
        if names & {"table", "pre"}:
            return at + len(gap.partition("\n\n")[0].rstrip())
        if names & {"tr", "tbody", "thead", "tfoot"}:
            return at + len(gap.partition("\n")[0].rstrip())
        return at

    def _inside(self, run: int, place: int, *, behind: bool) -> int | None:
        """The place in a run of the text: so many characters that are not blank stand before it."""
        before = html.unescape(self.source[self.begins[run] : place])
        wanted = [char for char in before if not char.isspace()]
        at, end = self.new_begins[run], self.new_ends[run]
        last = at
        for char in wanted:
            at = self._next(at, end)
            if at == end or self.text[at] != char:
                return None
            at = last = at + 1
        return last if behind else self._next(at, end)

    def _next(self, at: int, end: int) -> int:
        """The next character that is content: no blank, no backslash before a bar."""
        while at < end and self.text[at].isspace():
            at += 1
        return at + 1 if at < end and self.text.startswith("\\|", at) else at


def _edge_names(tags: str) -> set[str]:
    return {name.lower() for name in _TAG_NAME.findall(tags)}


_LINE_NAMES = {
    "tr",
    "tbody",
    "thead",
    "tfoot",
    "ul",
    "ol",
    "li",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
}


def _line_cut(gap: str, names: set[str], *, at_start: bool) -> int | None:
    """Where in the signs before a run those of its block begin: `| `, `- `, `## `."""
    whole = names & {"table", "pre"}
    if not whole and not names & _LINE_NAMES:
        return None
    parting = "\n\n" if whole else "\n"
    found = gap.rfind(parting)
    if found >= 0:
        return found + len(parting)
    return 0 if at_start else None


@lru_cache(maxsize=4)
def _converted(source: str, markdown: bool, repeat: bool) -> Page:
    """The text of a source. A page comes again for each of its questions: the last few are kept."""
    begins, ends, pieces, marked = _cut(source)
    form = _Form(markdown, repeat, lines=not _holds_block(pieces))
    written, parsed = _rendered(pieces, form, len(begins) if marked else -1)
    written = (
        _HIDDEN_CONTROLS.sub(lambda m: chr(ord(m[0]) - _HIDDEN), written) if marked else written
    )
    if not marked:
        return Page(source, written, [], [], [], [], True, parsed)
    text, new = _without_marks(written)
    kept = [i for i in range(len(begins)) if i in new]
    new_begins = [new[i][0] for i in kept]
    in_order = all(a < b for a, b in pairwise(new_begins))
    return Page(
        source,
        text,
        [begins[i] for i in kept],
        [ends[i] for i in kept],
        new_begins,
        [new[i][1] for i in kept],
        in_order,
        parsed,
    )


def _cut(source: str) -> tuple[list[int], list[int], list[str], bool]:
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
        lead, tail = 0, len(piece)
        if piece[0] in _BLANK_OR_ENTITY or piece[-1] in _BLANK_OR_ENTITY:
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
                core = _CONTROLS.sub(lambda m: chr(ord(m[0]) + _HIDDEN), core)
            core = f"{_mark(len(begins))}{core}{_END}"
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
    lead = _LEADING.match(piece).end() if piece[0] in _BLANK_OR_ENTITY else 0  # type: ignore[union-attr]
    if lead == len(piece):
        return 0, 0
    return lead, _trailing(piece) if piece[-1] in _BLANK_OR_ENTITY else len(piece)


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
    end = len(piece.rstrip(_BLANK))
    while piece[end - 1] == ";":
        blank = _TRAILING.search(piece, 0, end)
        if not blank:
            break
        end = len(piece[: blank.start()].rstrip(_BLANK))
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


def _holds_block(pieces: list[str]) -> bool:
    return not _BLOCK_NAMES.isdisjoint(_edge_names("".join(set(pieces[1::2]))))


def _without_marks(written: str) -> tuple[str, dict[int, tuple[int, int]]]:
    """The text without marks, and where each run stands in it."""
    parts = _MARKS.split(written)
    texts = parts[::2]
    found: dict[int, tuple[int, int]] = {}
    number, begin = -1, 0
    for mark, at in zip(parts[1::2], accumulate(map(len, texts)), strict=False):
        if mark != _END:
            number, begin = _number(mark), at
        elif number >= 0:
            found.setdefault(number, (begin, at))
    return "".join(texts), found


class _Form(NamedTuple):
    """What is written. `lines`: the line ends of the source are kept."""

    markdown: bool
    repeat: bool
    lines: bool


def _rendered(pieces: list[str], form: _Form, marks: int) -> tuple[str, bool]:
    root = _parsed("".join(pieces), marks)
    if root is None and marks == 0:
        return "", True
    if root is None:
        return _stripped(pieces), False
    out = _Blocks(form)
    _flow(root, out)
    return out.text(), True


def _parsed(source: str, marks: int) -> Any:
    """The tree, or None where the parser lost text."""
    from lxml import etree

    parser = etree.HTMLParser(remove_comments=True, remove_pis=True, encoding="utf-8")
    try:
        root = etree.fromstring(source.encode("utf-8", "surrogatepass"), parser)
    except (etree.LxmlError, ValueError):
        return None
    if root is None:
        return None
    arrived = etree.tostring(root, method="text", encoding="utf-8").count(_END.encode())
    if arrived < marks:
        return None
    etree.strip_tags(root, *_TRANSPARENT)
    return root


def _stripped(pieces: list[str]) -> str:
    """The text without its tags, a line for each block."""
    made: list[str] = []
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            made.append(html.unescape(piece))
        elif not _BLOCK_NAMES.isdisjoint(_edge_names(piece)) or piece.startswith("<br"):
            made.append(_BREAK)
    lines = (_squeezed(line) for line in "".join(made).split(_BREAK))
    return "\n".join(line for line in lines if line)


def _squeezed(text: str) -> str:
    return _WHITE.sub(" ", text).strip(" ")


class _Blocks:
    """Blocks of text that grow. `in_cell`: without signs of Markdown, to be joined in one line."""

    def __init__(self, form: _Form, *, in_cell: bool = False) -> None:
        self.form = form
        self.in_cell = in_cell
        self.blocks: list[tuple[str, str]] = []  # what it is, its text
        self.line: list[str] = []
        self.at_contents = False

    def close(self) -> None:
        """The line that grew becomes a block."""
        if not self.line:
            return
        text = "".join(self.line)
        self.line = []
        if not self.form.lines:
            text = "\n".join(filter(None, map(_squeezed, text.split(_BREAK))))
        elif _BREAK in text:
            text = text.replace(_BREAK, "\n")
        if text:
            self.add("", text)

    def add(self, kind: str, text: str) -> None:
        """One more block."""
        self.at_contents = False
        self.blocks.append((kind, text))

    def text(self) -> str:
        """All blocks: items of one list on lines of their own, others with a blank line between."""
        self.close()
        made: list[str] = []
        before = ""
        for kind, text in self.blocks:
            if made:
                made.append("\n" if kind and kind == before else "\n\n")
            made.append(text)
            before = kind
        return "".join(made)

    def tight(self) -> list[str]:
        """All lines, without blank ones between."""
        self.close()
        return [line for _, text in self.blocks for line in text.split("\n") if line]


_NOT_WRITTEN = "head title script style noscript template iframe nav footer svg rp colgroup col"
_SKIPPED = frozenset(_NOT_WRITTEN.split())
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_CELLS = frozenset(("td", "th"))
_SECTIONS = frozenset(("tbody", "thead", "tfoot"))
_TABLE_PARTS = _CELLS | _SECTIONS | {"tr"}
_LISTS = frozenset(("ul", "ol", "menu", "dir"))
_OWN = (
    _SKIPPED | _HEADINGS | _TABLE_PARTS | _LISTS
    | {"br", "table", "li", "pre", "math", "sup", "rt", "dt", "dd"}
)  # fmt: skip
_PLAIN_BLOCKS = _BLOCK_NAMES - _OWN
# Elements that change nothing of what stands in them: gone before the tree is walked.
_TRANSPARENT = sorted(set(_INLINE.partition("math ")[0].split()) - _OWN)


def _flow(element: Any, out: _Blocks) -> None:
    """Writes what stands in an element."""
    if element.text:
        out.line.append(element.text)
    for child in element:
        _write(child, out)
        if child.tail:
            out.line.append(child.tail)


def _write(child: Any, out: _Blocks) -> None:
    writer = _WRITERS.get(child.tag)
    if writer is not None:
        writer(child, out)
    elif child.tag in _PLAIN_BLOCKS:
        out.close()
        _flow(child, out)
        out.close()
    else:
        _flow(child, out)


def _skip(_: Any, out: _Blocks) -> None:
    """Nothing of it is written."""


def _line_break(_: Any, out: _Blocks) -> None:
    out.line.append(_BREAK)


def _inline(element: Any, out: _Blocks) -> str:
    """What stands in an element, as one line."""
    inner = _Blocks(out.form, in_cell=True)
    _flow(element, inner)
    return " ".join(inner.tight())


def _heading(element: Any, out: _Blocks) -> None:
    out.close()
    whole = _inline(element, out)
    text = _EDIT.sub("", whole).rstrip()
    if text == whole and _MARKS.sub("", text) in _CONTENTS:
        out.at_contents = True
        return
    if not text:
        return
    signs = "#" * int(element.tag[1]) + " "
    out.add("", signs + text if out.form.markdown and not out.in_cell else text)


def _raised(element: Any, out: _Blocks) -> None:
    """A reference mark goes; a power is written as one."""
    content = "".join(element.itertext())
    text = _MARKS.sub("", content)
    if _REFERENCE.fullmatch(text):
        return
    before = _MARKS.sub("", out.line[-1][-4:]) if out.line else ""
    if before[-1:].isalnum() and _EXPONENT.fullmatch(text):
        out.line.append("^")
    _flow(element, out)


def _reading(element: Any, out: _Blocks) -> None:
    """The reading of a character, behind it."""
    text = _inline(element, out)
    if text:
        out.line.append(f"({text})")


def _formula(element: Any, out: _Blocks) -> None:
    notes = element.findall(".//annotation")
    if notes:
        text = _squeezed("".join(notes[-1].itertext()))
    elif element.get("alttext"):
        text = element.get("alttext")
    else:
        text = _squeezed("".join(element.itertext()))
    if not text:
        return
    if not notes and not element.get("alttext"):
        out.line.append(text)
        return
    marks = _MARKS.findall(text)
    tex = _MARKS.sub("", text)
    styled = _DISPLAY_STYLE.fullmatch(tex)
    tex = styled[1].strip() if styled else tex
    tex = f"${tex}$" if out.form.markdown else tex
    opening = "".join(marks[:1])
    out.line.append(f"{opening}{tex}{_END}" if opening else tex)


def _preformatted(element: Any, out: _Blocks) -> None:
    if out.in_cell:
        out.close()
        _flow(element, out)
        out.close()
        return
    out.close()
    text = "".join(_raw_text(element)).strip("\n").rstrip()
    if not text.strip():
        return
    if out.form.markdown:
        longest = max(map(len, re.findall("`+", text)), default=0)
        fence = "`" * max(3, longest + 1)
        text = f"{fence}\n{text}\n{fence}"
    out.add("", text)


def _raw_text(element: Any) -> Iterator[str]:
    for part in element.iter():
        if part.tag == "br":
            yield "\n"
        if part.text:
            yield part.text
        if part is not element and part.tail:
            yield part.tail


def _line_block(element: Any, out: _Blocks) -> None:
    """A term, or what is said of it: a line of its own."""
    out.close()
    inner = _Blocks(out.form, in_cell=out.in_cell)
    _flow(element, inner)
    for line in inner.tight():
        out.add("dl", line)


def _list(element: Any, out: _Blocks) -> None:
    out.close()
    if out.at_contents and _is_contents(element):
        out.at_contents = False
        return
    if len(element) <= 4 and _letters(element) in _TEMPLATE_LINKS:
        return
    lines: list[str] = []
    number = int(element.get("start") or 1) if element.tag == "ol" else None
    for child in _with_stray_text(element):
        if isinstance(child, str) or child.tag == "li":
            sign = "- " if number is None else f"{number}. "
            item = _item(child, sign, out)
            number = number + 1 if number is not None and item else number
            lines += item
        else:  # a list, or something else, straight in the list: belongs to the item before it
            inner = _Blocks(out.form, in_cell=out.in_cell)
            _write(child, inner)
            indent = "" if out.in_cell else "  "
            lines += [indent + line for line in inner.tight()]
    if lines:
        out.add("list", "\n".join(lines))


def _is_contents(element: Any) -> bool:
    return _letters(element)[:1].isdigit()


def _letters(element: Any) -> str:
    return "".join(_MARKS.sub("", "".join(element.itertext())).split())


def _with_stray_text(element: Any) -> Iterator[Any]:
    if element.text and element.text.strip():
        yield element.text
    for child in element:
        yield child
        if child.tail and child.tail.strip():
            yield child.tail


def _item(content: Any, sign: str, out: _Blocks) -> list[str]:
    lines = [_squeezed(content)] if isinstance(content, str) else _lines(content, out.in_cell, out)
    if not lines:
        return []
    lines[0] = _ARROW.sub(r"\1\2", lines[0])
    if len(lines) == 1 and not _MARKS.sub("", lines[0]):
        return []
    if out.in_cell:
        return lines
    indent = " " * len(sign)
    return [sign + lines[0], *(indent + line for line in lines[1:])]


def _stray_item(element: Any, out: _Blocks) -> None:
    """An item outside a list."""
    out.close()
    lines = _item(element, "- ", out)
    if lines:
        out.add("list", "\n".join(lines))


class _Cell(NamedTuple):
    text: str
    row: int
    column: int
    rows: int
    columns: int


def _table(element: Any, out: _Blocks) -> None:
    out.close()
    rows = list(_rows(element, out))
    out.close()
    cells = [cell for row in rows for cell in row]
    if _only_places(rows, cells):
        for cell in cells:
            _flow(cell, out)
            out.close()
        return
    if element.find(".//table") is None:
        _add_table(rows, out)
        return
    for apart, group in groupby(rows, key=_holds_table):
        if not apart:
            _add_table(list(group), out)
            continue
        for cell in chain.from_iterable(group):
            _flow(cell, out)
            out.close()


def _add_table(rows: list[list[Any]], out: _Blocks) -> None:
    lines = [line for line in _grid(rows, out) if any(line)]
    if not lines:
        return
    if out.in_cell:
        for line in lines:
            out.add("", " ".join(filter(None, line)))
        return
    head = "| " + " | ".join(["---"] * max(map(len, lines))) + " |"
    written = ["| " + " | ".join(line) + " |" for line in lines]
    out.add("", "\n".join((written[0], head, *written[1:])))


def _holds_table(row: list[Any]) -> bool:
    """Whether a table of its own, of some rows and columns, stands in a cell of the row."""
    tables = (table for cell in row for table in cell.iterfind(".//table"))
    return any(len(rows) > 1 and max(map(len, rows)) > 1 for rows in map(_all_rows, tables))


def _all_rows(table: Any) -> list[Any]:
    return table.findall(".//tr")  # type: ignore[no-any-return]


def _rows(element: Any, out: _Blocks) -> Iterator[list[Any]]:
    """The cells of each row. What stands in a table outside its cells is written before it."""
    loose: list[Any] = []
    if element.text and element.text.strip():
        out.line.append(element.text)
    for child in element:
        tag = child.tag
        if tag in _CELLS:
            loose.append(child)
        else:
            out.close()
            if loose:
                yield loose
                loose = []
            if tag == "tr":
                yield _cells_of(child, out)
            elif tag in _SECTIONS:
                yield from _rows(child, out)
            else:
                _write(child, out)
                out.close()
        if child.tail and child.tail.strip():
            out.line.append(child.tail)
    if loose:
        yield loose


def _cells_of(row: Any, out: _Blocks) -> list[Any]:
    cells: list[Any] = []
    if row.text and row.text.strip():
        out.line.append(row.text)
    for child in row:
        if child.tag in _CELLS:
            cells.append(child)
        else:
            _write(child, out)
        if child.tail and child.tail.strip():
            out.line.append(child.tail)
    return cells


_PLACED = (".//ul", ".//ol", ".//table", ".//dl", ".//p", ".//pre", ".//h2", ".//h3")


def _only_places(rows: list[list[Any]], cells: list[Any]) -> bool:
    """True of a table that only places things side by side, or one above the other."""
    if len(cells) == 1:
        return True
    if len(rows) > 1 and any(len(row) > 1 for row in rows):
        return False
    return any(cell.find(path) is not None for cell in cells for path in _PLACED)


def _span_of(cell: Any, name: str) -> int:
    """How many places a cell takes; what cannot be read is one."""
    value = cell.get(name)
    if not value:
        return 1
    return max(1, min(int(value), 1000))


def _grid(rows: list[list[Any]], out: _Blocks) -> list[list[str]]:
    """The texts by row and column, spans resolved. Columns in which no cell begins are left out."""
    placed: list[_Cell] = []
    taken: dict[int, int] = {}  # column -> rows that it is still taken for
    for number, row in enumerate(rows):
        column = 0
        new: dict[int, int] = {}
        for cell in row:
            while taken.get(column, 0):
                column += 1
            width = _span_of(cell, "colspan")
            height = min(_span_of(cell, "rowspan"), len(rows) - number)
            placed.append(_Cell(_cell_text(cell, out), number, column, height, width))
            if height > 1:
                new.update((at, height) for at in range(column, column + width))
            column += width
        taken = {at: left - 1 for at, left in (taken | new).items() if left > 1}
    return _filled(placed, len(rows), repeat=out.form.repeat)


# A hostile table may have a wide row and many short ones: those are not filled up.
_MOST_BLANKS = 20


def _filled(placed: list[_Cell], height: int, *, repeat: bool) -> list[list[str]]:
    begun = sorted({cell.column for cell in placed if cell.text})
    column_of = {column: index for index, column in enumerate(begun)}
    width = len(begun)
    full = width * height <= _MOST_BLANKS * len(placed) + 1000
    lines: list[list[str]] = [[""] * width if full else [] for _ in range(height)]
    for cell in placed:
        if not cell.text:
            continue
        first = column_of[cell.column]
        last = bisect_left(begun, cell.column + cell.columns)
        places = [(cell.row, first)]
        if repeat and full:
            text_rows = range(cell.row, cell.row + cell.rows)
            places = [(row, column) for row in text_rows for column in range(first, last)]
        for row, column in places:
            lines[row] += [""] * (column + 1 - len(lines[row]))
            lines[row][column] = cell.text
    return lines


def _cell_text(cell: Any, out: _Blocks) -> str:
    return " / ".join(_lines(cell, True, out)).replace("|", "\\|")


def _lines(element: Any, in_cell: bool, out: _Blocks) -> list[str]:
    """What stands in an item or a cell, by lines; mostly one, without elements in it."""
    if not len(element):
        text = _squeezed(element.text) if element.text else ""
        return [text] if text else []
    inner = _Blocks(out.form, in_cell=in_cell)
    _flow(element, inner)
    return inner.tight()


def _stray_row(element: Any, out: _Blocks) -> None:
    """A row, or rows, outside a table: lines without a header."""
    out.close()
    rows = [_cells_of(element, out)] if element.tag == "tr" else list(_rows(element, out))
    out.close()
    for line in _grid(rows, out):
        if any(line):
            out.add("row", "| " + " | ".join(line) + " |")


def _stray_cell(element: Any, out: _Blocks) -> None:
    """A cell outside a row: beside the cell before it."""
    out.close()
    if any(element.find(path) is not None for path in _PLACED):
        _flow(element, out)
        out.close()
        return
    text = _cell_text(element, out)
    if not text:
        return
    if out.blocks and out.blocks[-1][0] == "cell":
        text = f"{out.blocks.pop()[1]} | {text}"
    out.add("cell", text)


_WRITERS = {
    **dict.fromkeys(_SKIPPED, _skip),
    **dict.fromkeys(_HEADINGS, _heading),
    **dict.fromkeys(_LISTS, _list),
    **dict.fromkeys(_CELLS, _stray_cell),
    **dict.fromkeys(_SECTIONS | {"tr"}, _stray_row),
    "br": _line_break,
    "table": _table,
    "li": _stray_item,
    "pre": _preformatted,
    "math": _formula,
    "sup": _raised,
    "rt": _reading,
    "dt": _line_block,
    "dd": _line_block,
}
