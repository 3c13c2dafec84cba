"""The step `html` beside well-kept libraries, on the same pages and answers of KorQuAD 2.

Prints two Markdown tables. What is right is told by a slow reference that shares no code with the
step: BeautifulSoup's tree, and tables filled in place by place.
"""

from __future__ import annotations

import argparse
import json
import re
import string
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import markdownify
import trafilatura
from bs4 import BeautifulSoup, Tag
from resiliparse.extract.html2text import extract_plain_text

from dollymix.example import Example, Origin
from dollymix.ledger import Verdict
from dollymix.steps.html import Step

Cells = dict[tuple[int, int], str]
REPEAT = 20


class Question(NamedTuple):
    """An answer in its page."""

    page: str
    answer: str
    start: int


def ours(source: str) -> str:
    """The step on a context."""
    made = Step()(Example(instruction="-", context=source, response="-", origin=Origin("", "", 0)))
    assert isinstance(made, Example)
    return made.context


def by_trafilatura(source: str) -> str:
    """Its extraction with tables, in favour of recall, as Markdown."""
    made = trafilatura.extract(
        source, output_format="markdown", include_tables=True, favor_recall=True, fast=False
    )
    return made or ""


def by_markdownify(source: str) -> str:
    """Its conversion, with defaults."""
    return str(markdownify.markdownify(source))


def by_resiliparse(source: str) -> str:
    """Its plain text, with lists and the layout of blocks."""
    return str(extract_plain_text(source, preserve_formatting=True, list_bullets=True))


TOOLS: dict[str, Callable[[str], str]] = {
    "dollymix html": ours,
    f"trafilatura {version('trafilatura')}": by_trafilatura,
    f"markdownify {version('markdownify')}": by_markdownify,
    f"resiliparse {version('resiliparse')}": by_resiliparse,
}


def tokens(text: str) -> Counter[str]:
    """The words and numbers of a text."""
    return Counter(re.findall(r"\w+", text))


def comparable(text: str) -> str:
    """The normalisation of KorQuAD 2.0's evaluator, behind its removal of tags."""
    text = re.sub("['\"《》<>〈〉()‘’]", " ", text).lower()
    return "".join("".join(c for c in text if c not in string.punctuation).split())


def letters(text: str) -> str:
    """What a cell says, whatever signs stand around it."""
    return "".join(re.findall(r"\w", text))


REFERENCE_MARK = re.compile(r"(\s*\[[^\[\]]{1,20}\](\s*:[\d, –-]+)?)+\s*")


def soup(source: str) -> BeautifulSoup:
    """The tree, without what nobody reads, reference marks and edit markers."""
    made = BeautifulSoup(source, "lxml")
    for tag in made(["script", "style", "noscript"]):
        tag.decompose()
    for tag in made("sup"):
        if REFERENCE_MARK.fullmatch(tag.get_text()):
            tag.decompose()
    for tag in made("span"):
        if not tag.decomposed and re.fullmatch(r"\[\s*편집\s*\]", tag.get_text()):
            tag.decompose()
    for tag in made("ul"):
        if "".join(tag.get_text().split()) in ("vdeh", "vde", "vte"):
            tag.decompose()
    return made


def parts(page: str) -> tuple[str, str]:
    """A page's own text, from its title to its footer, and the rest."""
    begin = page.find("<h1")
    end = page.find("원본 주소 ", begin)
    end = end if end >= 0 else len(page)
    tree = soup(page[max(begin, 0) : end])
    rest = [page[: max(begin, 0)], page[end:]]
    for tag in tree("h2"):
        if tag.get_text().strip() == "목차":
            box = tag.find_parent("div").find_parent("div")
            rest.append(str(box.extract()))
            break
    site = tree.find_all(string=lambda text: text.strip() in SITE_LINES)
    rest += [str(text.extract()) for text in site]
    return lines(tree), lines(soup(" ".join(rest)))


SITE_LINES = ("위키백과, 우리 모두의 백과사전.", "둘러보기로 가기", "검색하러 가기")
INLINE = {"a", "b", "i", "span", "small", "big", "sup", "sub", "cite", "u", "s", "em", "strong"}


def lines(tree: BeautifulSoup) -> str:
    """The text, where elements that are no part of a line end it."""
    for tag in tree.find_all(lambda tag: tag.name not in INLINE):
        tag.insert_before("\n")
        tag.insert_after("\n")
    return tree.get_text()


def grids(source: str) -> list[tuple[Cells, Cells]]:
    """The data tables that hold no other: their cells once, and with what spans repeated."""
    tree = soup(source)
    cells = {id(table): filled(table) for table in tree("table")}

    def is_data(table: Tag) -> bool:
        rows, columns = ({place[axis] for place in cells[id(table)][0]} for axis in (0, 1))
        return len(rows) > 1 and len(columns) > 1

    def is_counted(table: Tag) -> bool:
        return is_data(table) and not any(map(is_data, table("table")))

    return [
        (packed(cells[id(table)][0]), packed(cells[id(table)][1]))
        for table in tree("table")
        if is_counted(table) and not any(map(is_counted, table.find_parents("table")))
    ]


def filled(table: Tag) -> tuple[Cells, Cells]:
    """Each place of a table, marked one by one."""
    once: Cells = {}
    repeated: Cells = {}
    taken: set[tuple[int, int]] = set()
    rows = [row for row in table("tr") if row.find_parent("table") is table]
    for number, row in enumerate(rows):
        column = 0
        for cell in row.find_all(["td", "th"], recursive=False):
            while (number, column) in taken:
                column += 1
            height, width = (spanned(cell, name) for name in ("rowspan", "colspan"))
            text = letters(cell.get_text())
            once[number, column] = text
            for y in range(number, min(number + height, len(rows))):
                for x in range(column, column + width):
                    taken.add((y, x))
                    repeated[y, x] = text
            column += width
    said = {place: text for place, text in once.items() if text}
    return said, {place: text for place, text in repeated.items() if text}


def spanned(cell: Tag, name: str) -> int:
    number = re.search(r"\d+", str(cell.get(name, "")))
    return max(1, min(1000, int(number[0]))) if number else 1


def packed(cells: Cells) -> Cells:
    """The cells without the rows and columns that say nothing."""
    rows = {row: index for index, row in enumerate(sorted({y for y, _ in cells}))}
    columns = {column: index for index, column in enumerate(sorted({x for _, x in cells}))}
    return {(rows[y], columns[x]): text for (y, x), text in cells.items()}


def markdown_tables(text: str) -> Iterator[Cells]:
    """The tables of a Markdown text, as cells by row and column."""
    rows: list[list[str]] = []
    for line in [*text.split("\n"), ""]:
        stripped = line.strip()
        if stripped.startswith("|"):
            if not re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", stripped):
                rows.append(re.split(r"(?<!\\)\|", stripped)[1:-1])
        elif rows:
            yield packed(
                {
                    (y, x): letters(c)
                    for y, row in enumerate(rows)
                    for x, c in enumerate(row)
                    if letters(c)
                }
            )
            rows = []


def tables_right(source: str, text: str) -> tuple[int, int]:
    """How many data tables the source has, and how many of them stand in the text as they are."""
    wanted = grids(source)
    made = list(markdown_tables(text))
    return len(wanted), sum(once in made or repeated in made for once, repeated in wanted)


def timed(tool: Callable[[str], str], sources: list[str], repeat: int) -> tuple[list[str], float]:
    """What a tool makes of each source, and its CPU milliseconds for one."""
    made = [tool(source) for source in sources]
    begun = time.process_time()
    for number in range(repeat):
        for source in sources:
            tool(source + " " * (number + 1))  # never one that is remembered
    return made, (time.process_time() - begun) / repeat / len(sources) * 1000


def compare_pages(questions: list[Question]) -> None:
    """Whole pages: text kept, boilerplate left, tables, answers, time."""
    pages = list(dict.fromkeys(question.page for question in questions))
    print(f"{len(pages)} whole pages, {len(questions)} questions\n")
    print("| tool | own text kept | boilerplate left | tables right | answers found | ms a page |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, tool in TOOLS.items():
        made, milliseconds = timed(tool, pages, REPEAT)
        kept = own_all = left = rest_all = tables = right = 0
        for page, text in zip(pages, made, strict=True):
            own, rest = map(tokens, parts(page))
            said = tokens(text)
            own_all, kept = own_all + own.total(), kept + (own & said).total()
            rest_all, left = rest_all + rest.total(), left + (rest & (said - own)).total()
            count, good = tables_right(page, text)
            tables, right = tables + count, right + good
        found = sum(
            comparable(soup(q.answer).get_text()) in comparable(made[pages.index(q.page)])
            for q in questions
        )
        print(
            f"| {name} | {kept / own_all:.1%} | {left / rest_all:.1%} | {right} of {tables} "
            f"| {found} of {len(questions)} | {milliseconds:.2f} |"
        )
    places = sum(found_at_its_place(question) for question in questions)
    print(
        f"\nAt the place that `answer_start` says (dollymix alone): {places} of {len(questions)}.\n"
    )


def found_at_its_place(question: Question) -> bool:
    """Whether the answer stands where the example says, and is the answer."""
    page, answer, start = question
    given = Example(
        instruction="-", context=page, response=answer, answer_start=start, origin=Origin("", "", 0)
    )
    made = Step()(given)
    if isinstance(made, Verdict) or made.answer_start is None:
        return False
    at_place = made.context.startswith(made.response, made.answer_start)
    return at_place and comparable(made.response) == comparable(soup(answer).get_text())


def compare_answers(answers: list[str]) -> None:
    """Answers that hold HTML: equal under the evaluator's normalisation, tables, time."""
    print(f"{len(answers)} answers that hold tags\n")
    print("| tool | equal, reference marks aside | tables right | ms an answer |")
    print("| --- | ---: | ---: | ---: |")
    for name, tool in TOOLS.items():
        made, milliseconds = timed(tool, answers, 1)
        equal = tables = right = 0
        for answer, text in zip(answers, made, strict=True):
            equal += comparable(text) == comparable(soup(answer).get_text())
            count, good = tables_right(answer, text)
            tables, right = tables + count, right + good
        print(f"| {name} | {equal} | {right} of {tables} | {milliseconds:.2f} |")


def questions_of(path: Path) -> Iterator[Question]:
    """The questions of a KorQuAD 2 file."""
    for page in json.loads(path.read_bytes())["data"]:
        for question in page["qas"]:
            answer = question["answer"]
            yield Question(page["context"], answer["text"], answer["answer_start"])


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", nargs="+", type=Path, required=True, help="KorQuAD 2 files")
    parser.add_argument("--answers", type=Path, required=True, help="an object of id and answer")
    asked = parser.parse_args()
    compare_pages([question for path in asked.pages for question in questions_of(path)])
    answers = json.loads(asked.answers.read_bytes()).values()
    compare_answers([answer for answer in answers if "<" in answer and "</" in answer])


if __name__ == "__main__":
    main()
