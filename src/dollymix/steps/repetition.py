"""Leaves out examples of which a field says the same again and again, as models do that are stuck.

Measured on the field as a whole:

* `lines`: the share of characters in lines that stood before;
* `ngrams`: the share of words in runs of five that stand `times` times or more.

Both are measures of MassiveText (Rae et al. 2021, "Scaling Language Models: Methods, Analysis &
Insights from Training Gopher", appendix A.1.1), which were made for web pages: there the bounds are
30 % of lines, and 15 % of runs that stand twice. Of answers those take songs, tables and lists, so
here they are wider: 50 %, and four times.

A word is what stands between white space; of more than 30 characters without any (Chinese, or one
syllable without end) each four count as a word. Lines count without the blanks round them, and only
those of three characters or more. Words and lines without letter and digit, code, formulas and rows
of tables are no repetition.

    steps: [{repetition: {fields: [response], lines: 0.5, ngrams: 0.5}}]

A field of less than `least` words is not judged. Filters: `repetition.lines`, `repetition.ngrams`.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Literal

import msgspec

from dollymix.example import Example
from dollymix.ledger import Verdict, filtered
from dollymix.prose import without_code

Field = Literal["instruction", "context", "response"]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

_RUN = 5
_LONGEST_WORD = 30
_PIECE = 4
_SHORTEST_LINE = 3


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`fields`: which are judged; `lines`, `ngrams`: the greatest share that stays; `times`: how
    often a run of words must stand to count; `least`: how many words a text must have to be
    judged."""

    fields: Annotated[tuple[Field, ...], msgspec.Meta(min_length=1)] = ("response",)
    lines: Share = 0.5
    ngrams: Share = 0.5
    times: Annotated[int, msgspec.Meta(ge=2)] = 4
    least: Annotated[int, msgspec.Meta(ge=1)] = 20

    def __call__(self, example: Example) -> Example | Verdict:
        """The example as it is, or the verdict that a field repeats itself."""
        for name in self.fields:
            found = self._judge(getattr(example, name))
            if found:
                reason, what, share = found
                return filtered(
                    example, "repetition", reason, f"{share:.0%} of `{name}` stands in {what}"
                )
        return example

    def _judge(self, text: str) -> tuple[str, str, float] | None:
        words = text.split()
        distinct = set(words)
        if distinct and max(map(len, distinct)) > _LONGEST_WORD:
            words = _pieces(words)
            distinct = set(words)
        if len(words) < self.least:
            return None
        if _repeated_lines(text) > self.lines:
            share = _repeated_lines(_prose(text))
            if share > self.lines:
                return "repetition.lines", "lines that stood before", share
        if self._may_run(words, len(distinct)):
            said = [word for word in _pieces(_prose(text).split()) if _SAYS.search(word)]
            share = _words_in_runs(said, self.times) / len(words)
            if share > self.ngrams:
                return "repetition.ngrams", f"runs of {_RUN} words that stand again", share
        return None

    def _may_run(self, words: list[str], distinct: int) -> bool:
        """False where too few words stand again for so many runs: that settles nearly every text.

        Of what stands so often all but the first are repeats; and words of equal runs are equal one
        by one, so that three of the five will do.
        """
        repeats = self.ngrams * len(words) * (self.times - 1) / self.times
        if len(words) - distinct < repeats:
            return False
        thirds = len(set(zip(words, words[2:], words[4:], strict=False)))
        return len(words) - _RUN + 1 - thirds >= repeats / _RUN


def _prose(text: str) -> str:
    """The text without code and rows of tables."""
    lines = without_code(text).split("\n")
    return "\n".join(line for line in lines if not line.lstrip().startswith("|"))


def _pieces(words: list[str]) -> list[str]:
    """The words, those that are too long to be one in pieces."""
    made: list[str] = []
    for word in words:
        if len(word) <= _LONGEST_WORD:
            made.append(word)
        else:
            made += [word[at : at + _PIECE] for at in range(0, len(word), _PIECE)]
    return made


_SAYS = re.compile(r"[^\W_]")


def _repeated_lines(text: str) -> float:
    """The share of characters in lines that stood before."""
    if text.count("\n") < 2:
        return 0.0
    lines = [line for line in map(str.strip, text.split("\n")) if len(line) >= _SHORTEST_LINE]
    if len(set(lines)) == len(lines):
        return 0.0
    seen: set[str] = set()
    total = repeated = 0
    for line in lines:
        total += len(line)
        if line not in seen:
            seen.add(line)
        elif _SAYS.search(line):
            repeated += len(line)
    return repeated / total if total else 0.0


def _words_in_runs(words: list[str], times: int) -> int:
    """How many words are in runs that stand so often or more."""
    runs = list(zip(*(words[start:] for start in range(_RUN)), strict=False))
    counts = Counter(runs)
    covered = bytearray(len(words))
    mark = b"\x01" * _RUN
    for at, run in enumerate(runs):
        if counts[run] >= times:
            covered[at : at + _RUN] = mark
    return sum(covered)
