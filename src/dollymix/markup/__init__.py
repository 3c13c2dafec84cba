"""HTML to Markdown, the place of every part carried along; where Markdown may be cut.

Knows no example.

names        the elements, by what they do
tags         what is a tag in a source, and its plain form
skipped      elements that are not written go, those that are never closed swallow nothing
source       a page's source in pieces, each run of text marked
boilerplate  edit markers, reference marks, tables of contents: how they are told
marks        the marks, and how they are read again
formulas     MathML in one line
scripts      the signs of superscripts and subscripts
grid         the cells of a table by row and column
blocks       the parsed page written, one writer for each kind of element
page         all together: the text, and where each run of the source went
outline      the lines of Markdown, and where a text may be cut
"""
