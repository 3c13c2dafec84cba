"""HTML becomes text or Markdown; nothing that was said is lost, and the answer is still found."""

import html
import json
import re
import string
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dollymix.errors import RecipeError
from dollymix.example import Example
from dollymix.ledger import Verdict
from dollymix.markup import blocks
from dollymix.steps.html import Step, has_markup
from tests.helpers import (
    ORIGIN,
    merge,
    read_dropped,
    read_ledger,
    read_lineage,
    read_lines,
    write_json,
)


def example(response, context="", answer_start=None):
    return Example(
        instruction="질문",
        context=context,
        response=response,
        answer_start=answer_start,
        origin=ORIGIN,
    )


def converted(source, **options):
    """What a source becomes as a context."""
    return Step(**options)(example("답", context=source)).context


def answered(before, answer, behind, **options):
    """The example behind the step, whose answer stood between two parts of a page."""
    return Step(**options)(example(answer, before + answer + behind, len(before)))


WIKI = """<!DOCTYPE html>
<html><head><title>가나 - 위키백과, 우리 모두의 백과사전</title></head><body>
<div>알림</div><h1>가나</h1><div>위키백과, 우리 모두의 백과사전.</div>
<a>둘러보기로 가기</a><a>검색하러 가기</a>
<p><b>가나</b>는 나라이다.<sup><a>[1]</a></sup></p>
<div><input><div><h2>목차</h2><span><label></label></span></div>
<ul><li><a><span>1</span> <span>역사</span></a></li></ul></div>
<h2><span></span><span>역사</span><span><span>[</span><a>편집</a><span>]</span></span></h2>
<p>길다.</p>
<h2>각주<span><span>[</span><a>편집</a><span> | </span><a>원본 편집</a><span>]</span></span></h2>
<ol><li><span><a>↑</a></span> <span>책</span></li></ol>
<noscript><img></noscript>
<div>원본 주소 "<a>https://ko.wikipedia.org/w/index.php?title=가나&amp;oldid=1</a>"</div>
<div><div><a>분류</a>: <ul><li><a>나라</a></li></ul></div></div>
<div><h2>둘러보기 메뉴</h2></div></body></html>"""

WIKI_TEXT = "# 가나\n\n가나는 나라이다.\n\n## 역사\n\n길다.\n\n## 각주\n\n1. 책"

TABLE = "<table><tr><th>가</th><th>나</th></tr><tr><td>다</td><td>라</td></tr></table>"

FORMS = {
    "paragraphs": ("<p>가<br/>나</p>\n<p> 다\n 라 </p>마", "가\n나\n\n다 라\n\n마"),
    "inline": ("<p><b>가</b> <i>나</i><a>다</a> <span>라</span></p>", "가 나다 라"),
    "headings": ("<h1>가</h1><p>나</p><h3>다</h3>", "# 가\n\n나\n\n### 다"),
    "list": ("<ul><li>가</li>\n<li>나</li></ul>", "- 가\n- 나"),
    "numbers": (
        "<ol><li>가</li><li>나</li></ol><ol start='7'><li>다</li></ol>",
        "1. 가\n2. 나\n7. 다",
    ),
    "nested list": (
        "<ul><li>가<ol><li>나</li><li>다</li></ol></li><li>라</li></ul>",
        "- 가\n  1. 나\n  2. 다\n- 라",
    ),
    "list in a list": ("<ul><li>가</li><ul><li>나</li></ul></ul>", "- 가\n  - 나"),
    "terms": ("<dl><dt>가</dt><dd>나</dd></dl>", "가\n나"),
    "preformatted": ("<pre>a  b\n  c&lt;d</pre>", "```\na  b\n  c<d\n```"),
    "table": (
        "<table><caption>표</caption><tr><th>가</th><th>나</th></tr>"
        "<tr><td>1</td><td>a|b</td></tr></table>",
        "표\n\n| 가 | 나 |\n| --- | --- |\n| 1 | a\\|b |",
    ),
    "spans": (
        "<table><tr><th colspan=2>가</th><th rowspan='2'>나</th></tr>"
        "<tr><td>1</td><td>2</td></tr></table>",
        "| 가 |  | 나 |\n| --- | --- | --- |\n| 1 | 2 |  |",
    ),
    "lines in a cell": (
        "<table><tr><td>가<br>나</td><td><ul><li>1</li><li>2</li></ul></td></tr>"
        "<tr><td>다</td><td>3</td></tr></table>",
        "| 가 / 나 | 1 / 2 |\n| --- | --- |\n| 다 | 3 |",
    ),
    "a table in a cell": (
        "<table><tr><td>가</td><td><table><tr><td>1</td><td>2</td></tr></table></td></tr>"
        "<tr><td>나</td><td>3</td></tr></table>",
        "| 가 | 1 2 |\n| --- | --- |\n| 나 | 3 |",
    ),
    "a table of its own in a cell": (
        "<table><tr><td>가</td><td>나</td></tr>"
        f"<tr><td>다</td><td>{TABLE}</td></tr><tr><td>라</td><td>마</td></tr></table>",
        "| 가 | 나 |\n| --- | --- |\n\n다\n\n| 가 | 나 |\n| --- | --- |\n| 다 | 라 |\n\n"
        "| 라 | 마 |\n| --- | --- |",
    ),
    "a table in a cell alone": (f"<td>{TABLE}</td>", "| 가 | 나 |\n| --- | --- |\n| 다 | 라 |"),
    "a table that only places": (
        "<table><tr><td><ul><li>가</li></ul></td><td><ul><li>나</li></ul></td></tr></table>",
        "- 가\n- 나",
    ),
    "text between rows": (
        "<table>가<tr><td>1</td><td>2</td></tr>나</table>",
        "가\n\n나\n\n| 1 | 2 |\n| --- | --- |",
    ),
    "rows alone": ("<tr><td>가</td><td>나</td></tr><tr><td>다</td></tr>", "| 가 | 나 |\n| 다 |"),
    "cells alone": ("<td>가</td>\n<td>나</td>", "가 | 나"),
    "a cell alone": ("<td rowspan=2>332cm</td>", "332cm"),
    "items alone": ("<li>가</li><li>나</li>", "- 가\n- 나"),
    "powers": (
        "<p>10<sup>6</sup> km<sup>2</sup>, H<sub>2</sub>O, 1<sup>st</sup></p>",
        "10^6 km^2, H2O, 1st",
    ),
    "a power before a figure": ("<p>2<sup>10</sup>3, 2<sup>10</sup> 3</p>", "2^(10)3, 2^10 3"),
    "text behind a page": ("<html><body>가</body></html><body>나</body>다", "가\n나\n다"),
    "marks": ("<p>가<sup><a>[1]</a><a>[주 2]</a></sup>나<sup>[3]:12</sup></p>", "가나"),
    "formula": (
        "<p>식 <math><semantics><mi>x</mi><annotation>{\\displaystyle x^{2}}</annotation>"
        "</semantics></math>이다</p>",
        "식 $x^{2}$이다",
    ),
    "formula with an alternative": ("<p><math alttext='x&lt;2'><mi>x</mi></math></p>", "$x<2$"),
    "formula without": ("<p><math><mi>x</mi><mo>+</mo><mn>1</mn></math></p>", "x+1"),
    "a list that counts down": ("<ol reversed><li>가</li><li>나</li></ol>", "2. 가\n1. 나"),
    "a list that counts down from": (
        "<ol start=5 reversed=''><li>가</li><li>나</li></ol>",
        "5. 가\n4. 나",
    ),
    "an item with its number": (
        "<ol><li>가</li><li value='9'>나</li><li>다</li></ol>",
        "1. 가\n9. 나\n10. 다",
    ),
    "text behind the page": (
        "<html><body><table><tr><td>가</td><td>나</td></tr><tr><td>1</td><td>2</td></tr></table>"
        "</body></html>\n저작권",
        "| 가 | 나 |\n| --- | --- |\n| 1 | 2 |\n\n저작권",
    ),
    "two pages": (
        "<html><head><title>x</title></head><body><p>가</p></body></html>"
        "<html><head><title>y</title></head><body><ul><li>나</li></ul></body></html>",
        "가\n\n- 나",
    ),
    "cells with the same open quote": (
        '<table><tr><td class="a>하나</td><td class="b>둘</td></tr></table>',
        "| 하나 | 둘 |\n| --- | --- |",
    ),
    "paragraphs with the same open quote": (
        "<p class=\"a>하나</p><p title='b>둘</p><p class='c>셋</p>",
        "하나\n\n둘\n\n셋",
    ),
    "cells whose quotes do not end": (
        '<table><tr><td class=">하나</td><td class= ">둘</td></tr></table>',
        "| 하나 | 둘 |\n| --- | --- |",
    ),
    "a value that ends so, and one of brackets": ('<a href="?a=" title="a > b">가</a>', "가"),
    "links with the same open quote": ('<a href="x>하나</a>와 <a href="y>둘</a>', "하나와 둘"),
    "words between open quotes": ('<p title="x>글, 1 < 2와 "따온> 말</p>', '글, 1 < 2와 "따온> 말'),
    "brackets in quotes": ("<p title=\"a > b\" data-x='<b>c</b>'>가</p>", "가"),
    "reading": ("<p><ruby>漢<rp>(</rp><rt>한</rt><rp>)</rp></ruby></p>", "漢(한)"),
    "style": ("<style>p{}</style><p>가</p><script>if (a<b) alert('<p>')</script>나", "가\n\n나"),
    "entities once": ("<p>&amp;lt; &lt;b&gt; &#44032; &nbsp;&amp;amp;</p>", "&lt; <b> 가 &amp;"),
    "comments": ("<p>가<!-- <b>나</b> --></p><!-- 다", "가\n\n<!-- 다"),
    "declarations": ("<!DOCTYPE html><?xml version='1.0'?><p>가</p>", "가"),
    "inline alone keeps lines": ("가\n\n나 <b>다</b>\n", "가\n\n나 다\n"),
    "no tag": ("<p>a < b, vector<int>, x<y && y>z</p>", "a < b, vector<int>, x<y && y>z"),
    "upper case": ("<P>가</P><TABLE><TR><TD>1<TD>2</TABLE>", "가\n\n| 1 | 2 |\n| --- | --- |"),
    "unclosed": ("<p>가<p>나<ul><li>다<li>라", "가\n\n나\n\n- 다\n- 라"),
    "control characters": ("<p>가\x01나\x0b다</p>", "가\x01나\x0b다"),
    "attributes": ("<p class='a>b' title=\"<b>\">가</p>", "가"),
    "brackets in a quoted value": ('<p title="x <b> y">글</p>', "글"),
    "tags in a quoted value": (
        '글 <a href="x" title="<b>굵은</b> 제목">링크</a> 뒤',
        "글 링크 뒤",
    ),
    "code in prose": (
        "HTML의 `<p>` 태그는 <b>문단</b>, ``<br> ` &amp;`` 는 &amp;",
        "HTML의 `<p>` 태그는 문단, ``<br> ` &amp;`` 는 &",
    ),
    "backquotes on a page": ("<p>가 `<b>나</b>` 다</p>", "가 `나` 다"),
    "words that are no attributes": (
        "<i>if</i> a <b and c> d <b == c> <b hidden>then</b> <a data-x>e</a><br clear>",
        "if a <b and c> d <b == c> then e\n",
    ),
    "expressions that are raised": (
        "<p>x<sup>n+1</sup> 2<sup>10n</sup> 10<sup>-12.5</sup> (a+b)<sup>2</sup> "
        "e<sup>iπ</sup></p>",
        "x^(n+1) 2^(10n) 10^-12.5 (a+b)^2 e^(iπ)",
    ),
    "what is raised behind elements": (
        "<p>(<i>x</i> + <i>y</i>)<sup>2</sup> |<i>x</i>|<sup>n</sup> "
        "(n<sup>2</sup>)<sup>3</sup></p>",
        "(x + y)^2 |x|^n (n^2)^3",
    ),
    "more than a term that is raised": (
        "<p>2<sup>(n+1)</sup> 2<sup>n(n+1)/2</sup> 10<sup>1,000</sup> 10<sup>3~5</sup> "
        "x<sup>y<sup>z</sup></sup> SO<sub>4</sub><sup>2−</sup></p>",
        "2^(n+1) 2^(n(n+1)/2) 10^(1,000) 10^(3~5) x^(y^z) SO4^(2−)",
    ),
    "what is raised and goes on": (
        "<p>x<sup>n</sup>y x<sup>2</sup>y 2<sup>10</sup>3 x<sup>n</sup>은</p>",
        "x^(n)y x^2y 2^(10)3 x^n은",
    ),
    "what is lowered": (
        "<p>H<sub>2</sub>O x<sub>1</sub><sup>2</sup> a<sub>n</sub> x<sub>n+1</sub> "
        "라운드<sub>1</sub></p>",
        "H2O x1^2 a_n x_(n+1) 라운드1",
    ),
    "figures that are lowered": (
        "<p>1010<sub>2</sub> log<sub>2</sub>8 2<sub>16</sub></p>",
        "1010_2 log_(2)8 2_16",
    ),
    "letters that are raised": (
        "<p>3<sup>rd</sup> n<sup>th</sup> Ca<sup>2+</sup> M<sup>me</sup> (몰수)<sup>1</sup></p>",
        "3rd nth Ca2+ Mme (몰수)1",
    ),
    "a break in a Markdown row": ("| 가<br>나 | 다 |\n라<br>마", "| 가 / 나 | 다 |\n라\n마"),
    "numbers below zero": ("<ol start='-5'><li>가</li><li>나</li></ol>", "-5. 가\n-4. 나"),
    "a character section": (
        "<p>가<![CDATA[<b> & &amp; 나]]>다</p>",
        "가<b> & &amp; 나다",
    ),
    "a character section without end": ("<p>가<![CDATA[나> 다</p>", "가<![CDATA[나> 다"),
    "private characters and a character section": (
        "<p>\U000f0000가<![CDATA[나]]>다</p>",
        "\U000f0000가나다",
    ),
    "a heading that is no table of contents": (
        "<h2>Contents</h2><ul><li>1 battery</li><li>2 cables</li></ul><p>end</p>",
        "## Contents\n\n- 1 battery\n- 2 cables\n\nend",
    ),
    "a heading without contents": ("<h2>목차</h2><p>가</p>", "## 목차\n\n가"),
    "a table of contents alone": (
        "<h2>목차</h2><ul><li><a><span>1</span> <span>역사</span></a></li></ul><p>가</p>",
        "가",
    ),
    "letters in a list": ("<ul><li>v</li><li>d</li><li>e</li></ul>", "- v\n- d\n- e"),
    "template links in a table": (
        "<table><tr><td>가</td><td><ul><li>v</li><li>d</li><li>e</li></ul></td></tr></table>",
        "가",
    ),
    "template links on a wiki page": (
        WIKI.replace("<p>길다.</p>", "<ul><li>v</li><li>d</li><li>e</li></ul><p>길다.</p>"),
        WIKI_TEXT,
    ),
    "an index": ("<p>f<sup>[n]</sup>(x), g<sup>[<i>n</i>]</sup>(x)</p>", "f[n](x), g[n](x)"),
    "letters as a reference on a wiki page": (WIKI.replace("[1]", "[n]"), WIKI_TEXT),
    "reference marks": (
        "<p>가<sup>[주 1]</sup><sup>[note 12]</sup><sup>[<a>출처 필요</a>]</sup>나"
        "<sup>[1,2]</sup></p>",
        "가나",
    ),
    "a word in a heading": ("<h2>How to [edit]</h2>", "## How to [edit]"),
    "an arrow in an item": ("<ol><li>↑ 위로</li></ol>", "1. ↑ 위로"),
    "wiki page": (WIKI, WIKI_TEXT),
}


# Elements that are not closed: what they become.
UNCLOSED = {
    "a formula": (
        "<p>수식 <math alttext='x'><mi>x</mi> 는 변수다.</p><p>다음</p>",
        "수식 $x$ 는 변수다.\n\n다음",
    ),
    "a formula with a note": (
        "<p>수식 <math><semantics><mi>x</mi><annotation>x</annotation> 는 변수다.</p><p>다음</p>",
        "수식 $x$ 는 변수다.\n\n다음",
    ),
    "a formula without elements": ("<p><math alttext='x'>가</p><p>나</p>", "가\n\n나"),
    "a formula up to another": (
        "<p><math alttext='x'>가</p><p>나 <math alttext='y'><mi>y</mi></math></p>",
        "가\n\n나 $y$",
    ),
    "a formula round a paragraph": ("<math alttext='x'><p>가</p></math>나", "가\n\n나"),
    "noscript": ("<p>가 <noscript>나</p><p>다</p>", "가 나\n\n다"),
    "a picture": ("<p>가 <svg>나</p><p>다</p>", "가 나\n\n다"),
    "a style": ("<p>a <style>변수다.</p><p>다음</p>", "a 변수다.\n\n다음"),
    "a script": ("<p>a <script>가</p><p>나</p><script>x()</script>", "a 가\n\n나"),
    "a script that is closed at once": ("<p>가<script src='x'/>나</p>", "가나"),
    "a string in a script": (
        "<p>가</p><script>write('<script src=x><\\/script>')</script><p>나</p>",
        "가\n\n나",
    ),
    "a frame": ("<p>가 <iframe>나</p><p>다</p>", "가 나\n\n다"),
    "a title": ("<title>가<p>나</p>", "가\n\n나"),
    "a template": ("<p>가 <template>나</p><p>다</p>", "가 나\n\n다"),
    "navigation": ("<nav>가<p>나</p>", "가\n\n나"),
    "a field": ("<textarea><b>가</b><p>나</p>", "가\n\n나"),
    "a head": ("<html><head><title>가</title><body><p>나</p>", "나"),
    "brackets": ("<ruby>漢<rp>(<rt>한<rp>)</ruby> 뒤", "漢(한) 뒤"),
    "a reading": ("<ruby>漢<rp>(<rt>한<rp>) 뒤의 글", "漢(한)) 뒤의 글"),
    "a block in what is skipped": ("<noscript><div></noscript>가", "가"),
    "columns": ("<table><colgroup>가<tr><td>나</td></tr></table>", "가\n\n나"),
}


@pytest.mark.parametrize("case", UNCLOSED)
def test_an_unclosed_element_swallows_nothing(case):
    source, expected = UNCLOSED[case]
    made = Step()(example("답", context=source))
    assert (made.context, made.flags) == (expected, ())


# MathML without its TeX, and the line it becomes.
SUM = "<mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow>"
ONE, TWO = "<mn>1</mn>", "<mn>2</mn>"
FRACTION = f"<mfrac>{SUM}<mrow>{TWO}<mi>c</mi></mrow></mfrac>"
FORMULAS = {
    "a fraction": (f"<mfrac>{ONE} {TWO}</mfrac>", "1/2"),
    "a fraction of sums": (FRACTION, "(a+b)/(2c)"),
    "a fraction of words": ("<mfrac><mtext>합 a</mtext><mtext>수</mtext></mfrac>", "(합 a)/수"),
    "a fraction of a fraction": (f"<mfrac><mfrac>{ONE}{TWO}</mfrac><mi>c</mi></mfrac>", "(1/2)/c"),
    "a fraction of a power": (f"<mfrac><msup><mi>x</mi>{TWO}</msup>{TWO}</mfrac>", "x^2/2"),
    "a mixed number": (f"{TWO}<mfrac>{ONE}{TWO}</mfrac><mi>x</mi>", "2 1/2 x"),
    "a power": (f"<msup><mi>x</mi>{TWO}</msup><mo>+</mo><mi>y</mi>", "x^2+y"),
    "a power before a figure": (f"<msup>{TWO}<mn>10</mn></msup><mn>3</mn>", "2^10 3"),
    "a power of brackets": (f"<msup><mrow><mo>(</mo>{SUM}<mo>)</mo></mrow>{TWO}</msup>", "(a+b)^2"),
    "a power of a fraction": (f"<msup><mfrac>{ONE}{TWO}</mfrac>{TWO}</msup>", "(1/2)^2"),
    "an expression that is raised": (f"<msup><mi>x</mi>{SUM}</msup>", "x^(a+b)"),
    "a derivative": ("<msup><mi>f</mi><mo>′</mo></msup><mo>(</mo><mi>x</mi><mo>)</mo>", "f′(x)"),
    "an index": ("<msub><mi>x</mi><mrow><mi>i</mi></mrow></msub>", "x_i"),
    "an index and a power": (f"<msubsup><mi>x</mi>{SUM}{TWO}</msubsup>", "x_(a+b)^2"),
    "a sum": (
        f"<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo>{ONE}</mrow><mi>n</mi></munderover>"
        "<mi>i</mi>",
        "∑_(i=1)^n i",
    ),
    "an accent": ("<mover><mi>x</mi><mo>¯</mo></mover>", "x¯"),
    "a root": (f"<msqrt>{TWO}</msqrt><mi>x</mi>", "√2 x"),
    "a root of a sum": (f"<msqrt>{SUM}</msqrt>", "√(a+b)"),
    "a root of nothing": ("<mi>x</mi><msqrt></msqrt>", "x"),
    "a root behind a fraction": (f"{FRACTION}<msqrt>{TWO}</msqrt>", "(a+b)/(2c) √2"),
    "a higher root": (f"<mroot>{SUM}<mn>3</mn></mroot>", "(a+b)^(1/3)"),
    "the quadratic formula": (
        f"<mfrac><mrow><mo>−</mo><mi>b</mi><mo>±</mo><msqrt><msup><mi>b</mi>{TWO}</msup>"
        "<mo>−</mo><mn>4</mn><mi>a</mi><mi>c</mi></msqrt></mrow>"
        f"<mrow>{TWO}<mi>a</mi></mrow></mfrac>",
        "(−b±√(b^2−4ac))/(2a)",
    ),
    "a matrix": (
        "<mo>(</mo><mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr>"
        "<mtr><mtd><mn>3</mn></mtd><mtd><mn>4</mn></mtd></mtr></mtable><mo>)</mo>",
        "(1 2; 3 4)",
    ),
    "brackets": ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", "(a, b)"),
    "brackets that are named": (
        "<mfenced open='[' close=']' separators='; |'><mi>a</mi><mi>b</mi><mi>c</mi></mfenced>",
        "[a; b| c]",
    ),
    "a blank": ("<mi>a</mi><mspace width='1em'/><mi>b</mi>", "a b"),
    "a blank that does not end": ("<mi>a</mi><mspace><mi>b</mi>", "a b"),
    "a note of nothing": ("<semantics><mi>z</mi><annotation> </annotation></semantics>", "z"),
    "a note that is no TeX": (
        "<semantics><mi>z</mi><annotation encoding='text/plain'>제트</annotation></semantics>",
        "z",
    ),
    "its meaning": (
        "<semantics><mi>z</mi><annotation-xml><apply><ci>z</ci></apply></annotation-xml></semantics>",
        "z",
    ),
    "blanks between": (f"\n<mfrac>\n {ONE}\n {TWO}\n</mfrac>\n", "1/2"),
    "a part too few": (f"<mfrac>{ONE}</mfrac>", "1"),
    "a base that is blank": (f"<msup><mrow></mrow>{TWO}</msup><mi>H</mi>", "^2 H"),
    "text where a part belongs": (f"<mfrac>가{ONE}{TWO}나</mfrac>", "가12나"),
    "a private character": (f"<msup><mi>\U000f0000</mi>{TWO}</msup>", "\U000f0000^2"),
}


@pytest.mark.parametrize("to", ["markdown", "text"])
@pytest.mark.parametrize("case", FORMULAS)
def test_a_formula_without_tex_keeps_its_meaning(case, to):
    source, expected = FORMULAS[case]
    made = Step(to=to)(example("답", context=f"<p>식 <math>{source}</math></p>"))
    assert (made.context, made.flags) == ("식 " + expected, ())


TEX = {
    "its size": (r"{\displaystyle {a}+\frac{1}{b}}", r"{a}+\frac{1}{b}"),
    "the size of a part": (r"{\displaystyle a}+{b}", r"{\displaystyle a}+{b}"),
    "braces that are signs": (r"{\textstyle \{a\}}", r"\{a\}"),
    "no size": (r"{a}", "{a}"),
}


@pytest.mark.parametrize("case", TEX)
def test_a_formula_is_its_tex(case):
    tex, expected = TEX[case]
    notes = (
        f"<annotation encoding='application/x-tex'>{tex}</annotation>"
        "<annotation encoding='text/plain'>제트</annotation>"
    )
    source = f"<p>식 <math><semantics><mi>z</mi>{notes}</semantics></math></p>"
    assert converted(source) == f"식 ${expected}$"
    assert converted(source, to="text") == f"식 {expected}"


def test_private_characters_of_a_formula_stay():
    tex = "<math><mi>z</mi><annotation>\U00100000^2</annotation></math>"
    assert converted(f"<p>식 {tex}</p>") == "식 $\U00100000^2$"


def test_a_part_of_a_formula_keeps_its_meaning():
    assert (
        converted("<mrow><mi>x</mi><mo>=</mo><mfrac><mi>a</mi><mi>b</mi></mfrac></mrow>") == "x=a/b"
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_form_in_markdown(form):
    source, expected = FORMS[form]
    assert converted(source) == expected


@pytest.mark.parametrize(
    ("opened", "closed", "expected"),
    [
        ("<h1>" * 240, "</h1>" * 240, "# 가"),
        ("<rt>" * 240, "</rt>" * 240, "(" * 240 + "가" + ")" * 240),
        ("<td><li>" * 120, "</li></td>" * 120, "가"),
        (
            f"<math>{'<msqrt>' * 200}",
            f"{'</msqrt>' * 200}</math>",
            f"{'√(' * 199}√가{')' * 199}",
        ),
    ],
)
def test_what_the_parser_takes_is_written_however_deep(opened, closed, expected):
    made = Step()(example("답", context=opened + "가" + closed))
    assert (made.context, made.flags) == (expected, ())


def test_text_has_no_signs_of_headings_code_and_formulas():
    source = "<h2>가</h2><ul><li>나</li></ul><pre>b</pre><math alttext='x'><mi>x</mi></math>"
    assert converted(source, to="text") == "가\n\n- 나\n\nb\n\nx"


def test_a_bar_in_a_cell_is_escaped_in_markdown_alone():
    source = "<table><tr><td>x|y</td><td>z</td></tr><tr><td>a\\|b</td></tr></table><p>a\\|b</p>"
    assert converted(source) == "| x\\|y | z |\n| --- | --- |\n| a\\\\|b |  |\n\na\\|b"
    assert converted(source, to="text") == "| x|y | z |\n| --- | --- |\n| a\\|b |  |\n\na\\|b"


def test_a_cell_of_no_rows_spans_its_section():
    source = (
        "<table><tbody><tr><td rowspan='0'>가</td><td>나</td></tr><tr><td>다</td></tr></tbody>"
        "<tbody><tr><td>라</td><td>마</td></tr></tbody></table>"
    )
    assert converted(source) == "| 가 | 나 |\n| --- | --- |\n|  | 다 |\n| 라 | 마 |"


def test_rows_that_begin_ever_further_right_are_no_longer_than_their_cells():
    rows = 600
    source = "<table>" + "<tr><td rowspan=1000>가</td><td>나</td></tr>" * rows + "</table>"
    lines = converted(source).split("\n")
    assert set(lines) == {"| 가 | 나 |", "| --- | --- |"}
    assert len(lines) == rows + 1


def test_a_cell_that_spans_may_be_repeated():
    source = (
        "<table><tr><th colspan=2>가</th><td rowspan=2>나</td></tr>"
        "<tr><td>1</td><td>2</td></tr></table>"
    )
    expected = "| 가 | 가 | 나 |\n| --- | --- | --- |\n| 1 | 2 | 나 |"
    assert converted(source, spans="repeat") == expected


@pytest.mark.parametrize(
    "tag",
    [
        '<td rowspan="2”">',
        "<td rowspan='1\"'>",
        '<td rowspan="{{{팀수}}}">',
        '<td colspan="4;">',
        '<th rowspan="2````">',
        '<td colspan="">',
        "<td colspan=>",
        '<td rowspan="2>',
        "<td rowspan='2>",
        '<td rowspan=2">',
        '<td rowspan="99999999999999999999">',
        '<td colspan="-1">',
        '<td rowspan="0">',
        "<td rowspan=²>",
    ],
)
def test_malformed_spans_lose_no_text(tag):
    first = f'<tr>{tag}가</td><td rowspan="3">나</td></tr>'
    source = f"<table>{first}<tr><td>다</td><td>라</td></tr></table>"
    assert "".join(re.findall("[가-힣]", converted(source))) == "가나다라"


@pytest.mark.parametrize(
    "text",
    [
        "a < b && c > d",
        "AT&T, R&D; &hangul; 가&나;",
        "#include <stdio.h>\nvector<int> x; List<String>",
        "x <3 y",
        "<가나>",
        "`<b>` 는?\n```html\n<p>가</p>\n```",
        "email <kim@example.com>",
        "if a <b and c> d then",
        "`<p>` 는 문단, `&amp;` 는 &",
        "<b",
        "",
    ],
)
def test_text_without_markup_is_the_same_object(text):
    given_ = example("답", context=text)
    assert Step()(given_) is given_


@given(st.text())
def test_text_without_markup_is_the_same_object_whatever_it_is(text):
    made = Step()(example("답", context=text))
    assert made.context == text or has_markup(text)


def test_other_fields_are_left_as_they_are():
    given_ = msgspec.structs.replace(example("답"), instruction="<p>는 무엇?")
    assert Step()(given_) is given_
    assert Step(fields=("instruction",))(given_).instruction == "는 무엇?"


FIRST_CELL = "<table><tr><th>h</th><th>k</th></tr><tr><td>"
BEHIND = "</td><td>x</td></tr></table>"

# The answer: what stands before and behind it, itself, and what it becomes.
ANSWERS = {
    "plain": ("<p>그는 ", "홍길동", "이다.</p>", "홍길동"),
    "a part of a word": ("<p>그는 홍", "길", "동이다.</p>", "길"),
    "a tag": ("<p>그는 ", "<a>홍길동</a>", "이다.</p>", "홍길동"),
    "the second of two alike": ("<p>홍길동, ", "홍길동", "</p>", "홍길동"),
    "over tags": ("<p>그는 ", "홍</b>길<i>동", "</i>이다.</p>", "홍길동"),
    "a paragraph": ("<p>가</p>", "<p>나 다\n</p>", "<p>라</p>", "나 다"),
    "paragraphs": ("<p>가</p>", "<p>나</p>\n<p>다</p>", "<p>라</p>", "나\n\n다"),
    "a cell": ("<table><tr><td>가</td>", "<td>332cm</td>", "</tr></table>", "332cm"),
    "a cell that holds a list": (
        "<table><tr>",
        "<td><ul><li>가</li><li>나</li></ul></td>",
        "<td>다</td></tr><tr><td>라</td><td>마</td></tr></table>",
        "가 / 나",
    ),
    "a cell that holds code": (
        "<table><tr>",
        "<td><pre>가</pre></td>",
        "<td>다</td></tr><tr><td>라</td><td>마</td></tr></table>",
        "가",
    ),
    "a cell that holds a heading": (
        FIRST_CELL.removesuffix("<td>"),
        "<td><h3>가</h3></td>",
        "<td>x</td></tr></table>",
        "가",
    ),
    "a bar": (
        "<table><tr><td>가</td><td>나</td></tr><tr><td>",
        "a|b|c",
        "</td></tr></table>",
        "a\\|b\\|c",
    ),
    "behind a bar": (
        "<table><tr><td>가</td><td>나</td></tr><tr><td>a|",
        "b",
        "</td></tr></table>",
        "b",
    ),
    "cells": ("<table><tr>", "<td>가</td><td>나</td>", "<td>다</td></tr></table>", "가 | 나"),
    "a row": (
        "<table><tr><th>가</th><th>나</th></tr>",
        "<tr><td>다</td><td>라</td></tr>",
        "</table>끝",
        "| 다 | 라 |",
    ),
    "a table": ("<p>앞</p>", TABLE, "<p>뒤</p>", "| 가 | 나 |\n| --- | --- |\n| 다 | 라 |"),
    "a table at the edges": ("", TABLE, "", "| 가 | 나 |\n| --- | --- |\n| 다 | 라 |"),
    "a table with blank corners": (
        "<p>앞</p>",
        "<table><tr><td></td><td>가</td></tr><tr><td>나</td><td></td></tr></table>",
        "<p>뒤</p>",
        "|  | 가 |\n| --- | --- |\n| 나 |  |",
    ),
    "a list": ("<p>앞</p>", "<ul><li>가</li><li>나</li></ul>", "<p>뒤</p>", "- 가\n- 나"),
    "an item": ("<ul><li>가</li>", "<li>나</li>", "</ul>", "- 나"),
    "inside an item": ("<ul><li>가</li><li>", "나", "</li></ul>", "나"),
    "a nested item": ("<ul><li>가<ul>", "<li>나</li>", "</ul></li></ul>", "- 나"),
    "a heading": ("<p>앞</p>", "<h2>가<span>[</span>편집<span>]</span></h2>", "뒤", "## 가"),
    "code": ("<p>앞</p>", "<pre>a\n b</pre>", "뒤", "```\na\n b\n```"),
    "entities": ("<p>&lt;가&gt; AT&amp;", "T&amp;T", "</p>", "T&T"),
    "a mark inside": ("<p>앞 ", "가<sup><a>[1]</a></sup> 나", " 뒤</p>", "가 나"),
    "a mark at its end": ("<p>앞 ", "가<sup><a>[1]</a></sup>", " 뒤</p>", "가"),
    "a formula": (
        "<p>식은 ",
        "<math><mi>x</mi><annotation>{\\displaystyle x}</annotation></math>",
        "이다</p>",
        "$x$",
    ),
    "a formula with an alternative": (
        "<p>식은 ",
        "<math alttext='x'><mi>x</mi></math>",
        "이다</p>",
        "$x$",
    ),
    "a formula without TeX": ("<p>식 ", f"<math>{FRACTION}</math>", " 뒤</p>", "(a+b)/(2c)"),
    "a formula and more": ("<p>식 ", f"2<math>{FRACTION}</math> 뒤", "</p>", "2(a+b)/(2c) 뒤"),
    "a formula up to its tag": ("<p><math>", FRACTION, "</math> 뒤</p>", "(a+b)/(2c)"),
    "a list in a first cell": (FIRST_CELL, "<ul><li>가</li><li>나</li></ul>", BEHIND, "가 / 나"),
    "an item in a first cell": (FIRST_CELL + "<ul>", "<li>가</li>", "</ul>" + BEHIND, "가"),
    "a heading in a first cell": (FIRST_CELL, "<h3>가</h3>", BEHIND, "가"),
    "code in a first cell": (FIRST_CELL, "<pre>가</pre>", BEHIND, "가"),
    "code in a last cell": (
        FIRST_CELL + "x</td><td>",
        "<pre>가</pre>",
        "</td></tr></table>",
        "가",
    ),
    "a table in a first cell": (
        FIRST_CELL,
        "<table><tr><td>가</td><td>나</td></tr></table>",
        BEHIND,
        "가 나",
    ),
    "a cell that holds a table": (
        FIRST_CELL.removesuffix("<td>"),
        "<td><table><tr><td>가</td><td>나</td></tr></table></td>",
        "<td>x</td></tr></table>",
        "가 나",
    ),
    "a row that holds a table": (
        FIRST_CELL.removesuffix("<tr><td>"),
        "<tr><td><table><tr><td>가</td><td>나</td></tr></table></td><td>x</td></tr>",
        "</table>",
        "| 가 나 | x |",
    ),
    "a table in an item": (
        "<ul><li>앞",
        "<table><tr><td>가</td><td>나</td></tr></table>",
        "</li></ul>",
        "| 가 | 나 |\n  | --- | --- |",
    ),
    "a heading in an item": ("<ul><li>", "<h3>가</h3>", "</li></ul>", "### 가"),
    "an item of an item": ("<ul><li><ul>", "<li>가</li>", "</ul></li></ul>", "- 가"),
    "a part of a cell with a backslash": (
        "<table><tr><td>가</td><td>a\\|",
        "b",
        "</td></tr></table>",
        "b",
    ),
    "a part with a backslash": ("<p>a", "\\|b", " c</p>", "\\|b"),
    "a part that begins with a bar": (
        "<table><tr><td>가</td><td>a",
        "|b",
        "</td></tr></table>",
        "|b",
    ),
    "a raised expression": ("<p>식 ", "x<sup>n+1</sup>", " 뒤</p>", "x^(n+1)"),
    "what is raised, and more": ("<p>식 2", "<sup>10</sup>3", " 뒤</p>", "(10)3"),
    "what is lowered, and more": ("<p>식 ", "log<sub>2</sub>8", " 뒤</p>", "log_(2)8"),
    "an index that is the end": ("<p>식 ", "x<sub>n+1</sub>", " 뒤</p>", "x_(n+1)"),
    "raised in what is raised": ("<p>식 ", "x<sup>y<sup>2n </sup></sup>", " 뒤</p>", "x^(y^(2n))"),
    "within what is raised": ("<p>x<sup>1+", "n<sub>1</sub>", "</sup> 뒤</p>", "n1"),
    "a block that is raised": ("<p>식 ", "2<sup><p>n+1</p></sup>", " 뒤</p>", "2^(n+1)"),
    "a cell that ends its row": ("<table><tr><td>가</td>", "<td>나</td></tr>", "</table>", "나"),
    "a cell that ends its table": (
        "<table><tr><td>가</td><td>다</td></tr><tr><td>가</td>",
        "<td>나</td></tr></table>",
        "<p>뒤</p>",
        "나",
    ),
    "what is raised alone": ("<p>식 x<sup>", "n+1", "</sup> 뒤</p>", "n+1"),
    "a reading": ("<p>앞 ", "<ruby>漢<rt>한</rt></ruby>", " 뒤</p>", "漢(한)"),
    "behind code": ("`<p>` 와 <b>가</b>, `&lt;", "나", "` <i>다</i>", "나"),
    "no-break spaces": ("<p>가&nbsp;", "\xa0나&nbsp;다", "&nbsp;</p>", "나 다"),
    "beyond U+FFFF": ("<p>👩‍🚀", "😀가", "</p>", "😀가"),
    "text that moves": ("<table><tr><td>1</td><td>2</td></tr>", "가", "</table>", "가"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_the_answer_is_found_at_its_new_place(case):
    before, answer, behind, expected = ANSWERS[case]
    made = answered(before, answer, behind)
    assert (made.response, made.flags) == (expected, ())
    assert made.context.startswith(expected, made.answer_start)
    assert made.context == converted(before + answer + behind)


LOST = {
    "in the head": ("<title>", "가", "</title><p>나</p>", "가"),
    "an edit marker": ("<h2>가<span>[</span>", "편집", "<span>]</span></h2>", "편집"),
    "a half entity": ("<p>a&am", "p;b", "</p>", "p;b"),
    "a part of a formula": (f"<math><mfrac>{ONE}", SUM, "</mfrac></math>", "a+b"),
    "the head of a formula": ("<math><mfrac>", SUM, f"{TWO}</mfrac></math>", "a+b"),
    "torn by a move": (
        "<table><tr><td>",
        "1</td><td>2</td></tr>가",
        "<tr><td>3</td></tr></table>",
        "1\n\n2\n\n가",
    ),
    "private characters": ("<p>\U000f0000 ", "<b>가</b>", "</p>", "가"),
}


@pytest.mark.parametrize("case", LOST)
def test_an_answer_that_cannot_be_carried_says_so(case):
    before, answer, behind, alone = LOST[case]
    made = answered(before, answer, behind)
    assert (made.answer_start, made.flags) == (None, ("qa.answer_start_lost",))
    assert made.response == alone


def test_an_answer_without_a_place_is_converted_alone():
    made = Step()(example("<b>가</b>", context="<p>가</p>"))
    assert (made.context, made.response, made.answer_start, made.flags) == ("가", "가", None, ())


def test_a_place_that_is_not_true_is_left_as_it_is():
    made = Step()(example("다", context="<p>가</p>", answer_start=1))
    assert (made.response, made.answer_start, made.flags) == ("다", 1, ())


@pytest.mark.parametrize("field", ["context", "response"])
def test_one_side_alone_keeps_the_place_only_where_it_is_true(field):
    step = Step(fields=(field,))
    plain = step(example("나", "가 <b>나</b>", 5))
    assert plain.context.startswith(plain.response, plain.answer_start)
    tags = step(example("<b>나</b>", "가 <b>나</b>", 2))
    assert (tags.answer_start, tags.flags) == (None, ("qa.answer_start_lost",))


def test_a_response_of_tags_alone_is_filtered():
    verdict = Step()(example("<img>", "<p>가<img></p>", 4))
    assert isinstance(verdict, Verdict)
    assert (verdict.outcome, verdict.step, verdict.reason) == ("filtered", "html", "text.blank")


def test_a_reference_mark_alone_is_filtered_as_what_it_is():
    verdict = Step()(example("<sup>[1]</sup>", "<p>가<sup>[1]</sup></p>", 4))
    assert isinstance(verdict, Verdict)
    assert verdict.reason == "text.blank"
    assert (
        verdict.message == "`response` is blank without its markup (tags, reference marks, scripts)"
    )


def test_a_page_that_cannot_be_parsed_loses_its_tags_alone():
    before, behind = "<div>" * 1000 + "<p>앞</p>", "</div>" * 1000 + "뒤"
    made = answered(before, "<b>가</b>", behind)
    assert (made.context, made.flags) == ("앞\n가\n뒤", ("html.not_parsed",))
    assert made.context.startswith(made.response, made.answer_start)


@pytest.mark.parametrize(
    "hostile",
    [
        '<a "' * 50_000 + "<b>",
        "<a " + "\"'" * 50_000 + "<b>",
        "<" * 200_000 + "<b>",
        "<!--" * 50_000 + "<b>",
        "&" * 200_000 + "<b>",
        "<td colspan=1000 rowspan=9999>가" * 3_000,
        "<table>" + "<tr><td rowspan=0>가" * 5_000,
        "<math>" * 40_000 + "가" + "</math>" * 40_000,
        "<nav>" * 100_000 + "가" + "</nav>" * 100_000,
        "<b><![CDATA[" * 40_000,
        "<table><tr>" + "<td>가" * 2_000 + "<tr><td>나" * 20_000,
        "<p>" + "\xa0" * 200_000 + "&nbsp;" * 50_000 + "가",
        "<p>[" * 50_000,
        "<b>가</b>" * 70_000,
        "<ul>" * 240 + "가나 <b>다</b> x " * 20_000,
        "<p>" + "가나 <b>다</b> x " * 70_000,
        "<math>" + ("<mrow>" * 240 + "x" + "</mrow>" * 240) * 200 + "</math>",
        "<math>" + "<msup>" * 240 + "<mi>" + "x" * 200_000 + "</mi>" + "<mn>2</mn></msup>" * 240,
        "<math>" + "<mfrac><mi>x</mi><mi>y</mi></mfrac>" * 10_000 + "</math>",
        "<table>" + "<tr><td rowspan=1000 colspan=1000>가</td></tr>" * 2_000,
        "<p>" + "x<sup>2</sup>" * 50_000,
        "<p>" + "x<sub>" * 200 + "n" * 100_000 + "</sub>" * 200,
        "<math>" + "<mfenced><mi>x</mi>" * 240 + "</mfenced>" * 240 + "</math>",
    ],
)
def test_hostile_text_takes_no_time(hostile):
    begun = time.process_time()
    Step()(example("답", context=hostile))
    assert time.process_time() - begun < 20


# --- any page ---

WORDS = st.text(alphabet="가나다라마바사abc019 .|&<>\"'", min_size=1, max_size=6)
TEXTS = WORDS.map(html.escape)
SPANS = st.sampled_from(
    ["", " colspan=2", ' rowspan="2"', " rowspan='3' colspan=2", ' rowspan="2”"']
)


@st.composite
def tables(draw):
    """A table's source: rows of cells with spans."""
    rows = draw(
        st.lists(st.lists(st.tuples(SPANS, TEXTS), min_size=1, max_size=4), min_size=1, max_size=4)
    )
    return rows, "<table>" + "".join(
        "<tr>" + "".join(f"<td{span}>{text}</td>" for span, text in row) + "</tr>" for row in rows
    ) + "</table>"


NODES = st.recursive(
    TEXTS | tables().map(lambda made: made[1]),
    lambda inner: st.builds(
        lambda name, parts: f"<{name}>{''.join(parts)}</{name}>",
        st.sampled_from(
            ["p", "div", "b", "a", "ul", "ol", "li", "h2", "pre", "dl", "dd", "td", "sub"]
        ),
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)
SOUP_NAMES = "p b div table tr td ul li ol h3 dl dt pre"
SOUP = st.lists(
    TEXTS
    | st.sampled_from(
        [f"<{slash}{name}>" for name in SOUP_NAMES.split() for slash in ("", "/")]
        + ["<br/>", '<td rowspan="2>', '<td colspan="3;">', "<i", "&lt;", "<"]
    ),
    max_size=25,
).map("".join)


def characters(text):
    """The characters that say something, without those that Markdown adds or escapes."""
    return Counter(c for c in text if not c.isspace() and c not in "|\\-#`./^ 0123456789")


def shown(source):
    """The characters of a source without its tags."""
    plain = re.sub(
        r"</?(?:p|b|i|a|div|table|tr|td|ul|ol|li|h[23]|br|dl|dt|dd|pre|sub)\b[^<>]*>", "", source
    )
    return characters(html.unescape(plain))


@given(NODES)
def test_no_text_is_lost(source):
    assert characters(converted("<div>" + source + "</div>")) == shown(source)


@given(SOUP)
def test_no_text_is_lost_of_malformed_pages(source):
    assert characters(converted("<div>" + source)) == shown(source)


@given(st.lists(NODES, min_size=1, max_size=5), st.data())
def test_the_answer_is_found_whatever_the_page(nodes, data):
    first = data.draw(st.integers(0, len(nodes) - 1))
    last = data.draw(st.integers(first, len(nodes) - 1))
    before, behind = "<div>" + "".join(nodes[:first]), "".join(nodes[last + 1 :]) + "</div>"
    answer = "".join(nodes[first : last + 1])
    made = answered(before, answer, behind)
    if isinstance(made, Verdict):
        assert not shown(answer)
    elif made.answer_start is None:
        assert made.flags == ("qa.answer_start_lost",)
    else:
        assert made.context.startswith(made.response, made.answer_start)
        assert characters(made.response) == shown(answer)


@given(SOUP, st.integers(0, 60), st.integers(1, 30))
def test_any_slice_is_found_or_flagged(source, start, length):
    answer = source[start : start + length]
    if not answer:
        return
    made = Step()(example(answer, source, start))
    if isinstance(made, Verdict):
        return
    if made.answer_start is None:
        assert made.flags == ("qa.answer_start_lost",)
    else:
        assert made.context.startswith(made.response, made.answer_start)


SKIPPED_NAMES = "head title script style noscript template iframe nav footer svg"
ALL_NAMES = f"{SKIPPED_NAMES} {SOUP_NAMES} math mi annotation semantics ruby rt rp sup textarea"
TOKENS = st.lists(
    st.sampled_from(
        [f"<{slash}{name}>" for name in ALL_NAMES.split() for slash in ("", "/")]
        + ["<math alttext='x'>", "<td rowspan=0>", "<script/>", "<br>"]
    )
    | st.just("w"),
    max_size=20,
).map(lambda tokens: [f" {token}{i} " if token == "w" else token for i, token in enumerate(tokens)])


def may_go(tokens, at):
    """Whether a token stands in an element that is skipped, or written otherwise, and closed."""
    names = [*SKIPPED_NAMES.split(), "rp", "math", "annotation"]
    before, behind = "".join(tokens[:at]), "".join(tokens[at:])
    opened = [name for name in names if re.search(rf"<{name}\b[^>/]*>", before)]
    return any(f"</{name}>" in behind for name in opened)


@given(TOKENS)
def test_no_word_is_lost_but_in_closed_elements_that_are_skipped(tokens):
    made = converted("<div>" + "".join(tokens))
    found = re.findall(r"w\d+", made)
    for at, token in enumerate(tokens):
        if token.strip().startswith("w") and not may_go(tokens, at):
            assert token.strip() in found


def test_where_text_did_not_arrive_the_tags_alone_go(monkeypatch):
    monkeypatch.setitem(blocks._WRITERS, "sup", lambda element, out: None)
    made = Step()(example("답", context="<p>가<sup>나</sup></p><p>다</p>"))
    assert (made.context, made.flags) == ("가나\n다", ("html.not_parsed",))


def cells_by_hand(rows):
    """Where the text of each cell belongs: every place it takes is marked, one by one."""
    taken, texts = set(), {}
    for number, row in enumerate(rows):
        column = 0
        for span, text in row:
            sizes = {key: int(size) for key, size in re.findall(r"(\w+)span=['\"]?(\d)", span)}
            while (number, column) in taken:
                column += 1
            texts[number, column] = " ".join(html.unescape(text).split()).replace("|", "\\|")
            for down in range(sizes.get("row", 1)):
                for right in range(sizes.get("col", 1)):
                    taken.add((number + down, column + right))
            column += sizes.get("col", 1)
    said = {place: text for place, text in texts.items() if text}
    columns = sorted({column for _, column in said})
    lines = sorted({line for line, _ in said})
    return {(lines.index(y), columns.index(x)): text for (y, x), text in said.items()}


def cells_of(markdown):
    """The cells of a Markdown table, by row and column."""
    lines = [line for i, line in enumerate(markdown.split("\n")) if i != 1]
    rows = [re.split(r"(?<!\\) ?\| ?", line)[1:-1] for line in lines]
    return {(y, x): cell for y, row in enumerate(rows) for x, cell in enumerate(row) if cell}


@given(tables())
def test_each_cell_of_a_table_stands_where_it_belongs(table):
    rows, source = table
    made = converted(source)
    expected = cells_by_hand(rows)
    if len([cell for row in rows for cell in row]) > 1:
        assert cells_of(made) == expected


def test_the_example_in_the_docs_is_true():
    page = (Path(__file__).parents[2] / "docs/steps.md").read_text()
    before = page.split("```html\n")[1].split("\n```")[0]
    expected = page.split("```html\n")[1].split("```\n")[2].rstrip()
    answer = "<td>20,890 표</td>"
    made = Step()(example(answer, before, before.index(answer)))
    assert (made.context, made.response) == (expected, "20,890 표")


# --- in a build ---


def test_a_build_counts_and_traces_what_it_changed(tmp_path):
    page = "<p>앞</p><table><tr><td>가</td><td>332cm</td></tr></table>"
    answer = "<td>332cm</td>"
    questions = [
        {
            "id": "1",
            "question": "키는?",
            "answer": {"text": answer, "answer_start": page.index(answer)},
        },
        {
            "id": "2",
            "question": "빈?",
            "answer": {"text": "<td>", "answer_start": page.index("<td>")},
        },
    ]
    write_json(tmp_path / "k.json", {"data": [{"title": "t", "context": page, "qas": questions}]})
    recipe = "version: 1\nsources: [{name: k, files: [k.json]}]\nsteps: [html]\n"
    out = tmp_path / "out"
    merge(recipe, out)
    (line,) = read_lines(out)
    assert (line["context"], line["response"]) == ("앞\n\n| 가 | 332cm |\n| --- | --- |", "332cm")
    (row,) = read_lineage(out)
    assert row["steps"] == ["html"]
    total = read_ledger(out)["total"]
    assert total["changed"] == {"html": 1}
    assert total["filtered"] == {"html/text.blank": 1}
    (dropped,) = read_dropped(out)
    assert dropped["id"] == "k/k.json#0.qas[1]"


def test_without_the_parser_the_recipe_is_refused_in_one_line(tmp_path, monkeypatch):
    write_json(tmp_path / "a.json", [{"instruction": "a", "output": "b"}])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    recipe = "version: 1\nsources: [{name: a, files: [a.json]}]\nsteps: [html]\n"
    with pytest.raises(
        RecipeError, match=r'needs the package lxml: pip install "dollymix\[html\]"'
    ) as e:
        merge(recipe, tmp_path / "out")
    assert len(e.value.problems) == 1


# --- real answers and pages ---


def comparable(text):
    """The normalisation of KorQuAD 2.0's evaluator, behind its removal of tags."""
    text = re.sub("['\"《》<>〈〉()‘’]", " ", text).lower()
    return "".join("".join(c for c in text if c not in string.punctuation).split())


def without_tags(source):
    source = re.sub(r"<style>.*?</style>", "", source, flags=re.DOTALL)
    return html.unescape(re.sub(r"</?[a-zA-Z!?][^>]*>", "", source))


def official(text):
    return comparable(without_tags(text))


SUP = re.compile(r"<sup>(?:(?!</?sup>).)*</sup>", re.DOTALL)
REFERENCE = re.compile(r"(\s*\[[^\[\]]{1,20}\](\s*:[\d, –-]+)?)+\s*")


def without_references(source):
    return SUP.sub(lambda m: "" if REFERENCE.fullmatch(without_tags(m[0])) else m[0], source)


NUMBERS = re.compile(r"^ *\d+\. ", re.MULTILINE)


def cause(source, response):
    """Why a cleaned answer is not equal to the original under the evaluator's normalisation."""
    if official(source) == official(response):
        return "equal"
    if official(source) == comparable(response):
        return "the evaluator takes text between angle brackets for a tag"
    source = without_references(source)
    if official(source) == comparable(response):
        return "reference marks went"
    if official(source) == comparable(NUMBERS.sub("", response)):
        return "numbers of an ordered list came"
    if official(re.sub(r"\[(<[^<>]*>)*편집(<[^<>]*>)*\]", "", source)) == comparable(response):
        return "edit markers went"
    if official(source.replace("↑", "")) == comparable(NUMBERS.sub("", response)):
        return "the arrow of a note went"
    return "other"


def test_the_real_answers_are_equal_under_the_official_normalisation(shared):
    answers = json.loads((shared / "data/korquad2/sample_prediction_2.0.json").read_bytes())
    causes: Counter[str] = Counter()
    step = Step()
    for answer in answers.values():
        made = step(example(answer))
        if isinstance(made, Verdict):
            assert official(answer) == ""
            causes["a tag alone, filtered"] += 1
            continue
        assert made.flags == ()
        causes[cause(answer, made.response)] += 1
    assert causes == {
        "equal": 9487,
        "reference marks went": 646,
        "numbers of an ordered list came": 21,
        "the evaluator takes text between angle brackets for a tag": 7,
        "the arrow of a note went": 2,
        "edit markers went": 1,
        "a tag alone, filtered": 1,
    }


PAGES = [
    "korquad2/korquad2.1_train_00.first2.json",
    "korquad2/korquad2.1_train_doc7777_partial.json",
    "seed_samples/korquad2_yegobeom.json",
]


def real_examples(shared):
    for name in PAGES:
        for page in json.loads((shared / "data" / name).read_bytes())["data"]:
            for question in page["qas"]:
                answer = question["answer"]
                yield example(answer["text"], page["context"], answer["answer_start"])


@pytest.mark.parametrize("to", ["markdown", "text"])
def test_every_answer_of_the_real_pages_is_found_behind_the_step(shared, to):
    count = 0
    for given_ in real_examples(shared):
        made = Step(to=to)(given_)
        assert made.flags == ()
        assert made.context.startswith(made.response, made.answer_start)
        assert cause(given_.response, made.response) in ("equal", "reference marks went")
        assert not has_markup(made.context)
        assert not re.search(
            r"편집\]|둘러보기 메뉴|우리 모두의 백과사전|개인정보 정책|원본 주소", made.context
        )
        count += 1
    assert count == 5
