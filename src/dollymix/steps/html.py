"""Turns HTML, whole pages or fragments, into text or Markdown.

For sources whose texts are HTML, such as KorQuAD 2, whose contexts are whole Wikipedia pages:

    steps: [{html: {to: markdown}}]

Goes, where it is closed: head, script, style, noscript, template, iframe, nav, footer, svg;
numbered reference marks; of a wiki page also navigation, table of contents, edit markers, all
reference marks, categories and footer; links, emphasis and pictures leave their text alone. Stays:
headings (`## ` in Markdown), paragraphs, lists (`- `, `1. `), preformatted text (fenced in
Markdown); formulas as their TeX (`$x^2$` in Markdown) or else `(a+b)/(2c)`; `10<sup>6</sup>` is
`10^6`, `x<sup>n+1</sup>` is `x^(n+1)`, `1010<sub>2</sub>` is `1010_2`. A table becomes a Markdown
table, in text too, its first row the header. A cell that spans several columns or rows stands once,
at its first place, and leaves the others blank (with `spans: repeat` it stands in each); lines of a
cell are joined by ` / `.
Tables that only place lists or texts side by side are taken apart, and so is a row that holds a
table of its own. Entities are resolved once.

The response is the part of the new context that the old response stood at, so `answer_start` is
carried: what was `<td>332cm</td>` is `332cm`, a table is a Markdown table. Where that part is not
in the new context (it was navigation, a picture, ...) the response is converted alone,
`answer_start` is dropped, and the example is flagged `qa.answer_start_lost`. A response without a
place in its context is converted alone as well.

A text without a tag of HTML or an entity is not touched, nor one with a Markdown code fence that
does not begin with a tag, nor code between backticks: a bare `<` or `&` is content. Text with
inline tags alone keeps its line ends. A page that cannot be parsed (nested deeper than 255
elements) loses its tags alone, and is flagged `html.not_parsed`.

Filters: `text.blank`, a response of tags or reference marks alone. Flags: `qa.answer_start_lost`,
`html.not_parsed`. Needs `pip install "dollymix[html]"` (lxml).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import Annotated, Any, Literal

import msgspec

from dollymix.example import Example
from dollymix.ledger import Verdict, filtered
from dollymix.markup.page import Page, converted
from dollymix.markup.source import has_markup
from dollymix.rewrite import LOST, answer_span
from dollymix.text import is_blank

Field = Literal["instruction", "context", "response", "system", "rejected"]
Form = Literal["markdown", "text"]
Spans = Literal["once", "repeat"]

_BLANK = "`response` is blank without its markup (tags, reference marks, scripts)"


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
        carried = self._carried(example) if "context" in marked else {}
        pages = {name: self._page(getattr(example, name)) for name in marked if name not in carried}
        texts = {name: page.text for name, page in pages.items()}
        made = msgspec.structs.replace(example, **texts, **carried)
        if is_blank(made.response) and not is_blank(example.response):
            return filtered(example, "html", "text.blank", _BLANK)
        flags: list[str] = []
        if answer_span(example) is not None and not carried and not self._stayed(made, marked):
            made = msgspec.structs.replace(made, answer_start=None)
            flags.append(LOST)
        if not all(page.parsed for page in pages.values()):
            flags.append("html.not_parsed")
        return msgspec.structs.replace(made, flags=(*made.flags, *flags))

    def _stayed(self, made: Example, marked: list[Field]) -> bool:
        """Whether the answer is where it was: in a context that did not change."""
        return "context" not in marked and answer_span(made) is not None

    def _carried(self, example: Example) -> dict[str, Any]:
        """The answer and its place, as the new context has it; nothing where it has it not."""
        span = answer_span(example)
        if span is None:
            return {}
        page = self._page(example.context)
        found = page.carry(*span)
        answer = page.text[slice(*found)] if found else ""
        if not found or ("response" not in self.fields and answer != example.response):
            return {}
        return {"answer_start": found[0], "response": answer}

    def _page(self, text: str) -> Page:
        return converted(text, self.to == "markdown", self.spans == "repeat")
