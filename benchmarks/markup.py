"""Pieces of wiki pages, each in two forms: tags without attributes, and as served.

A KorQuAD 2.1 page holds both: `context` is the page with its attributes removed,
`raw_html` the page with its attributes, scripts and style.
"""

from random import Random
from typing import NamedTuple
from urllib.parse import quote

from wording import Wording, below, json_text

_CLASSES = ("mw-redirect", "new", "extiw", "mw-selflink", "external text", "image")
_SITE = "https://ko.wikipedia.org/wiki/"


class BlockAnswer(NamedTuple):
    """A stretch of a block in both forms (JSON text), and where it begins (code points)."""

    text: bytes
    start: int
    html_text: bytes
    html_start: int


class Block(NamedTuple):
    """A piece of a page in both forms (JSON text), with lengths in code points."""

    name: str
    context: bytes
    context_length: int
    html: bytes
    html_length: int
    answers: tuple[BlockAnswer, ...]


class Markup(NamedTuple):
    """Markup in both forms, not yet escaped."""

    context: str
    html: str

    def __add__(self, other: object) -> "Markup":
        """This markup followed by `other`."""
        if not isinstance(other, Markup):
            return NotImplemented
        return Markup(self.context + other.context, self.html + other.html)


def plain(text: str) -> Markup:
    """Text that is the same in both forms."""
    return Markup(text, text)


def element(tag: str, inner: Markup, attributes: str = "") -> Markup:
    """`inner` inside a tag; the attributes stand in the served form only."""
    served = f"<{tag} {attributes}>" if attributes else f"<{tag}>"
    return Markup(f"<{tag}>{inner.context}</{tag}>", f"{served}{inner.html}</{tag}>")


def joined(parts: list[Markup]) -> Markup:
    """The parts one after the other."""
    return Markup("".join(part.context for part in parts), "".join(part.html for part in parts))


def lines(parts: list[Markup]) -> Markup:
    """The parts, each with a line end."""
    return joined([part + plain("\n") for part in parts])


def block(name: str, whole: Markup, spans: list[Markup]) -> Block:
    """A block whose questions ask for one of `spans`, each a part of `whole`."""
    answers = tuple(
        BlockAnswer(
            json_text(span.context),
            whole.context.index(span.context),
            json_text(span.html),
            whole.html.index(span.html),
        )
        for span in spans
    )
    return Block(
        name,
        json_text(whole.context),
        len(whole.context),
        json_text(whole.html),
        len(whole.html),
        answers,
    )


class BlockMaker:
    """Draws paragraphs, lists and tables."""

    def __init__(self, rng: Random, wording: Wording) -> None:
        self._rng = rng
        self._wording = wording

    def blocks(self, count: int) -> list[Block]:
        """`count` blocks, each with a heading."""
        kinds = (self._paragraphs, self._paragraphs, self._list, self._table)
        return [kinds[below(self._rng, len(kinds))](self._name()) for _ in range(count)]

    def _name(self) -> str:
        return " ".join(self._wording.words(1 + below(self._rng, 2)))

    def _hexadecimal(self, digits: int) -> str:
        return f"{self._rng.getrandbits(digits * 4):0{digits}x}"

    def link(self, text: str) -> Markup:
        """A link as a wiki page has it, to a page named like its text."""
        place = below(self._rng, len(_CLASSES) * 2)
        css = f' class="{_CLASSES[place]}"' if place < len(_CLASSES) else ""
        target = quote(text.replace(" ", "_"))
        return element("a", plain(text), f'href="/wiki/{target}"{css} title="{text}"')

    def _heading(self, name: str) -> Markup:
        anchor = quote(name.replace(" ", "_")).replace("%", ".")
        title = element("span", plain(name), f'class="mw-headline" id="{anchor}"')
        edit = plain("<span>[</span>편집<span>]</span>")
        served = (
            f'<span class="mw-editsection"><a href="/w/index.php?title={quote(name)}&amp;'
            f'action=edit&amp;section={below(self._rng, 30)}" title="부분 편집: {name}">'
            f"{edit.html}</a></span>"
        )
        return element("h2", title + Markup(edit.context, served)) + plain("\n")

    def _running_text(self, words: int) -> tuple[Markup, list[Markup]]:
        """Words with links and bold ones among them, and spans to ask for."""
        parts: list[Markup] = []
        spans: list[Markup] = []
        for word in self._wording.words(words):
            draw = self._rng.random()
            if draw < 0.14:
                spans.append(self.link(word))
                parts.append(spans[-1])
            elif draw < 0.18:
                spans.append(element("b", plain(word)))
                parts.append(spans[-1])
            else:
                parts.append(plain(word))
            parts.append(plain(" "))
        if below(self._rng, 3) == 0:
            parts.append(self._reference())
        plain_spans = [part for part in parts[::2] if part.context == part.html]
        return joined(parts) + plain(". "), spans[:3] + plain_spans[:4]

    def _reference(self) -> Markup:
        number = below(self._rng, 90)
        mark = element("a", plain(f"[{number}]"), f'href="#cite_note-{self._hexadecimal(10)}"')
        return element("sup", mark, f'id="cite_ref-{self._hexadecimal(10)}" class="reference"')

    def _paragraphs(self, name: str) -> Block:
        body, spans = [], []
        for _ in range(2 + below(self._rng, 3)):
            text, asked = self._running_text(18 + below(self._rng, 30))
            body.append(element("p", text))
            spans += asked
        return block(name, self._heading(name) + lines(body), [*spans, body[0]])

    def _list(self, name: str) -> Block:
        items, spans = [], []
        for _ in range(5 + below(self._rng, 8)):
            text, asked = self._running_text(5 + below(self._rng, 7))
            items.append(element("li", text))
            spans += asked
        whole = element("ul", lines(items))
        return block(name, self._heading(name) + whole, [*spans, whole, items[0]])

    def _table(self, name: str) -> Block:
        columns = 3 + below(self._rng, 3)
        heading = self._row("th", columns)
        rows = [self._row("td", columns) for _ in range(4 + below(self._rng, 7))]
        style = f'class="wikitable sortable" style="width:{50 + below(self._rng, 50)}%;"'
        whole = element("table", element("tbody", lines([heading, *rows])), style)
        return block(name, self._heading(name) + whole, [*rows[:3], whole])

    def _row(self, tag: str, columns: int) -> Markup:
        cells = []
        for number in range(columns):
            words = " ".join(self._wording.words(1 + below(self._rng, 3)))
            text = self.link(words) if tag == "td" and number == 0 else plain(words)
            colour = f"background:#{self._hexadecimal(6)}; " if below(self._rng, 3) == 0 else ""
            style = f"{colour}padding:0.2em 0.5em; text-align:center;"
            cells.append(element(tag, text, f'class="wikitable-cell" style="{style}"'))
        return element("tr", joined(cells))


class Boilerplate:
    """What every page of the site has: head with scripts, navigation, footer."""

    def __init__(self, maker: BlockMaker, rng: Random, wording: Wording) -> None:
        self._wording = wording
        names = wording.words(60)
        links = joined([element("li", maker.link(word)) for word in names[:24]])
        self._navigation = element("div", element("ul", links), 'id="mw-navigation"')
        script = "".join(
            f'"{rng.getrandbits(24):06x}":{{"state":"ready","group":"{rng.getrandbits(16):04x}"}},'
            for _ in range(124)
        )
        self._script = Markup("", f"<script>window.RLCONF={{{script}}};</script>\n")
        closing = element("ul", joined([element("li", maker.link(word)) for word in names[24:]]))
        notice = plain("모든 문서는 크리에이티브 커먼즈 3.0에 따라 사용할 수 있다.")
        footer = element("div", notice + closing, 'id="footer"')
        self.foot = block("", footer + plain("\n</html>"), [])

    def head(self, first: Block) -> Block:
        """The head of the page that begins with block `first`."""
        title = element("title", plain(f"{first.name} - 위키백과, 우리 모두의 백과사전"))
        meta = Markup("", '<meta charset="UTF-8"><meta name="generator" content="MediaWiki">')
        head = element("head", title + meta + self._script)
        start = plain("<!DOCTYPE html>\n<html>") + head + self._navigation
        return block("", start + element("h1", plain(first.name), 'id="firstHeading"'), [])

    def title(self, first: Block) -> tuple[bytes, bytes]:
        """Title and address of the page that begins with block `first`, as JSON text."""
        title = first.name.replace(" ", "_")
        return json_text(title), json_text(_SITE + quote(title))
