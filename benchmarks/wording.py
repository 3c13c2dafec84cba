"""Korean-looking words and sentences, made once and sampled often.

Knows no file format. The text is nonsense: word lengths, the share of escapes and the
way words repeat (Zipf) are what a reader of JSON notices, and those are imitated.
"""

import json
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import NamedTuple

_INITIALS = (0, 2, 3, 5, 6, 7, 9, 11, 12, 14, 15, 16, 17, 18)
_VOWELS = (0, 1, 4, 5, 6, 8, 13, 17, 18, 20)
_FINALS = (0, 0, 0, 1, 4, 8, 16, 17, 21)
_ENDINGS = ("은", "는", "이", "가", "을", "를", "의", "에서", "으로", "와", "도", "한", "고")
_LATIN = ("API", "JSON", "2023", "Python", "GPT-4", "http", "3.5", "AI", "1998", "SQL")


class Sentence(NamedTuple):
    """One sentence, its JSON text without the quotes, and a span of it to ask for."""

    text: str
    json: bytes
    answer: str
    answer_start: int


def json_text(text: str) -> bytes:
    """The UTF-8 bytes of `text` as they stand between the quotes of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()


def below(rng: Random, limit: int) -> int:
    """An integer from 0 to `limit` - 1.

    `random()` is the one draw that Python promises to keep the same between versions.
    """
    return int(rng.random() * limit)


class Wording:
    """Draws words, sentences and questions from one vocabulary."""

    def __init__(self, rng: Random, vocabulary: int = 24_000) -> None:
        self._rng = rng
        self._words = _vocabulary(rng, vocabulary)
        weights = (1 / (rank + 3) ** 0.85 for rank in range(vocabulary))
        self._cumulative = list(accumulate(weights))

    def words(self, count: int) -> list[str]:
        """`count` words, common ones more often than rare ones."""
        return self._rng.choices(self._words, cum_weights=self._cumulative, k=count)

    def sentence(self, ending: str = ".") -> Sentence:
        """A sentence of 5 to 15 words; some words are quoted, a few are paths."""
        rng = self._rng
        words = self._decorated(self.words(5 + below(rng, 11)))
        first = below(rng, len(words) - 2)
        answer = " ".join(words[first : first + 1 + below(rng, 3)])
        start = len(" ".join(words[:first])) + (first > 0)
        text = " ".join(words) + ending
        return Sentence(text, json_text(text), answer, start)

    def _decorated(self, words: list[str]) -> list[str]:
        """`words` with one of them quoted, replaced by Latin text, or made a path."""
        rng = self._rng
        draw, place = rng.random(), below(rng, len(words))
        if draw < 0.16:
            words[place] = f'"{words[place]}"'
        elif draw < 0.19:
            words[place] = f"C:\\{words[place]}\\{words[place - 1]}"
        elif draw < 0.40:
            words[place] = _LATIN[below(rng, len(_LATIN))]
        return words


def sentences(wording: Wording, count: int, ending: str = ".") -> list[Sentence]:
    """`count` sentences."""
    return [wording.sentence(ending) for _ in range(count)]


def json_texts(pieces: Sequence[Sentence]) -> list[bytes]:
    """The JSON text of each sentence."""
    return [piece.json for piece in pieces]


def spread(rng: Random, total: int, *, parts: int, options: Sequence[int]) -> list[int]:
    """`parts` counts, each at least 1 and like one of `options`, that add up to `total`."""
    counts = rng.choices(options, k=parts)
    missing = total - sum(counts)
    step = 1 if missing > 0 else -1
    while missing:
        place = below(rng, parts)
        if counts[place] + step >= 1:
            counts[place] += step
            missing -= step
    return counts


def _vocabulary(rng: Random, count: int) -> list[str]:
    """`count` different words of one to four syllables, some with an ending."""
    syllables = [
        chr(0xAC00 + initial * 588 + vowel * 28 + final)
        for initial in _INITIALS
        for vowel in _VOWELS
        for final in sorted(set(_FINALS))
    ]
    words: dict[str, None] = {}
    while len(words) < count:
        stem = "".join(rng.choices(syllables, k=1 + below(rng, 3)))
        ending = _ENDINGS[below(rng, len(_ENDINGS))] if rng.random() < 0.4 else ""
        words[stem + ending] = None
    return list(words)
