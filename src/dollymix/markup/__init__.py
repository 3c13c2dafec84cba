"""HTML to Markdown or text, with the place of every part carried along. Knows no example.

source  a page's source in pieces, each run of text marked
blocks  the parsed page written, one writer for each kind of element
page    both together: the text, and where each run of the source went
"""
