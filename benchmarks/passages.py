"""The files of questions on passages: KorQuAD 1.0, and zipped KorQuAD 2.1 pages."""

from collections.abc import Iterator
from random import Random
from typing import BinaryIO, NamedTuple

from markup import Block, Boilerplate
from truth import FileTruth
from wording import Sentence, below, json_text, spread

_SENTENCES = (4, 5, 6, 7, 8, 9, 10, 16)
_QUESTIONS = (1, 1, 1, 2, 2, 3, 5)
_BLOCKS = (4, 5, 6, 7, 8, 10, 12, 15, 20, 33)


class Article(NamedTuple):
    """One article of KorQuAD 1.0: how many paragraphs, and questions on each."""

    number: int
    questions: list[int]


class Squad:
    """Writes KorQuAD 1.0: short passages, each with several questions."""

    def __init__(self, rng: Random, pool: list[Sentence], questions: list[bytes]) -> None:
        self._rng = rng
        self._pool = pool
        self._questions = questions

    def write(self, out: BinaryIO, *, articles: int, paragraphs: int, questions: int) -> FileTruth:
        """The counts of the file written."""
        truth = FileTruth()
        out.write(b'{"version":"KorQuAD_v1.0_train","data":[')
        for article in self._articles(articles, paragraphs, questions):
            out.write(b"," if article.number else b"")
            title = self._pool[article.number % len(self._pool)].answer.replace(" ", "_")
            out.write(b'{"title":"%s","paragraphs":[' % json_text(title))
            bodies = [
                self._paragraph(b"%d-%d" % (6_500_000 + article.number, number), count, truth)
                for number, count in enumerate(article.questions)
            ]
            out.write(b",".join(bodies) + b"]}")
        out.write(b"]}")
        return truth

    def _articles(self, articles: int, paragraphs: int, questions: int) -> Iterator[Article]:
        """Each article, with its share of the paragraphs and questions."""
        rng = self._rng
        asked = iter(spread(rng, questions, parts=paragraphs, options=(4, 5, 6, 6, 7, 8)))
        sizes = spread(rng, paragraphs, parts=articles, options=(3, 5, 7, 9, 10))
        for number, size in enumerate(sizes):
            yield Article(number, [next(asked) for _ in range(size)])

    def _paragraph(self, name: bytes, questions: int, truth: FileTruth) -> bytes:
        """The JSON text of one passage with `questions` questions, counted in `truth`."""
        rng = self._rng
        count = _SENTENCES[below(rng, len(_SENTENCES))]
        chosen = rng.choices(self._pool, k=count)
        context = b" ".join([sentence.json for sentence in chosen])
        asked = []
        for number in range(questions):
            place = below(rng, count)
            before = sum(len(sentence.text) + 1 for sentence in chosen[:place])
            question, answer = self._question(), json_text(chosen[place].answer)
            start = before + chosen[place].answer_start
            asked.append(
                b'{"id":"%s-%d","question":"%s","answers":[{"text":"%s","answer_start":%d}]}'
                % (name, number, question, answer, start)
            )
            truth.questions += 1
            truth.add_record(question, context, answer)
        return b'{"context":"%s","qas":[%s]}' % (context, b",".join(asked))

    def _question(self) -> bytes:
        """A question: part of the pool is small, so two of its pieces are joined."""
        first, second = self._rng.choices(self._questions, k=2)
        return first[:-1] + b", " + second


class Pages:
    """Writes KorQuAD 2.1 members: whole pages as stripped and as served HTML."""

    def __init__(self, rng: Random, blocks: list[Block], questions: list[bytes]) -> None:
        self._rng = rng
        self._blocks = blocks
        self._questions = questions
        self._asked = 0

    def questions_of(self, pages: int, questions: int) -> Iterator[int]:
        """How many questions each page has, in the order of the pages."""
        return iter(spread(self._rng, questions, parts=pages, options=_QUESTIONS))

    def write(
        self, out: BinaryIO, truth: FileTruth, *, boilerplate: Boilerplate, asked: list[int]
    ) -> None:
        """Writes one member, one page for each count of `asked`; adds it to `truth`."""
        size = out.write(b'{"version":"KorQuAD_2.0_train","data":[')
        for number, questions in enumerate(asked):
            size += out.write(b"," if number else b"")
            size += out.write(self._page(boilerplate, questions, truth))
        truth.unzipped_bytes += size + out.write(b"]}")
        truth.pages += len(asked)
        truth.members += 1

    def _page(self, boilerplate: Boilerplate, questions: int, truth: FileTruth) -> bytes:
        """The JSON text of one page with `questions` questions."""
        rng = self._rng
        chosen = rng.choices(self._blocks, k=_BLOCKS[below(rng, len(_BLOCKS))])
        head, foot = boilerplate.head(chosen[0]), boilerplate.foot
        parts = [head, *chosen, foot]
        context = b"".join([part.context for part in parts])
        asked = [self._qa(parts, truth, len(context)) for _ in range(questions)]
        title, url = boilerplate.title(chosen[0])
        return b'{"title":"%s","url":"%s","context":"%s","raw_html":"%s","qas":[%s]}' % (
            title,
            url,
            context,
            b"".join([part.html for part in parts]),
            b",".join(asked),
        )

    def _qa(self, parts: list[Block], truth: FileTruth, context_bytes: int) -> bytes:
        """The JSON text of one question on a block between head and foot."""
        rng = self._rng
        place = 1 + below(rng, len(parts) - 2)
        answers = parts[place].answers
        answer = answers[below(rng, len(answers))]
        first, second = rng.choices(self._questions, k=2)
        question = first[:-1] + b", " + second
        start = sum(part.context_length for part in parts[:place]) + answer.start
        html_start = sum(part.html_length for part in parts[:place]) + answer.html_start
        self._asked += 1
        truth.questions += 1
        truth.add_size(len(question) + context_bytes + len(answer.text))
        return (
            b'{"question":"%s","id":"%d","answer":{"text":"%s","answer_start":%d,'
            b'"html_answer_text":"%s","html_answer_start":%d}}'
        ) % (question, self._asked, answer.text, start, answer.html_text, html_start)
