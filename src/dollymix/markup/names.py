"""The names of elements, by what they do. Another name between angle brackets is text."""

from __future__ import annotations


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


BLOCK_NAMES = _names("""
address article aside blockquote body caption center col colgroup dd details dialog dir div dl
dt fieldset figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html
legend li link main menu meta nav noscript ol optgroup option p pre script section select style
summary table tbody td template textarea tfoot th thead title tr ul
""")
INLINE_NAMES = _names("""
a abbr acronym applet area audio b base basefont bdi bdo big blink br button canvas cite code
data datalist del dfn em embed font frame i iframe img input ins kbd label map mark meter nobr
noframes object output param picture progress q rb rbc rp rt rtc ruby s samp slot small source
span strike strong sub sup svg time track tt u var video wbr
""")
FORMULA_NAMES = _names("""
math maction menclose merror mfenced mfrac mglyph mi mmultiscripts mn mo mover mpadded mphantom
mprescripts mroot mrow ms mspace msqrt mstyle msub msubsup msup mtable mtd mtext mlabeledtr mtr
munder munderover none semantics annotation annotation-xml
""")
NAMES = BLOCK_NAMES | INLINE_NAMES | FORMULA_NAMES

HEADINGS = _names("h1 h2 h3 h4 h5 h6")
LISTS = _names("ul ol menu dir")
CELLS = _names("td th")
SECTIONS = _names("tbody thead tfoot")
# What stands in these is not written.
SKIPPED = _names("head title script style noscript template iframe nav footer svg rp")
# Elements that change nothing of what stands in them.
TRANSPARENT = INLINE_NAMES - SKIPPED - {"br", "sup", "sub", "rt"}
# Elements of a formula that hold its text.
FORMULA_LEAVES = _names("mi mn mo ms mtext annotation annotation-xml")
# The parser takes tags in these for text.
RAW = _names("textarea noframes")
# Attributes that stand without a value. A tag with other bare words is text: `a <b and c> d`.
BARE_ATTRIBUTES = _names("""
allowfullscreen alt async autofocus autoplay border checked class clear compact controls data
declare default defer dir disabled download draggable hidden href id inert ismap itemscope lang
loop multiple muted name nohref noresize noshade novalidate nowrap open playsinline readonly rel
required reversed selected size src style target title translate type value
""")
