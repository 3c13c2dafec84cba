"""Takes "no input" for what it is: an empty context; and takes out answers that are "no output".

Alpaca sets write out that a task has no input, in many spellings, and so do their translations:
`<noinput>`, `No input.`, `N/A`, `입력 없음`, even `<노인입력>`. A context that is nothing but
such a spelling, with or without brackets, quotes and a full stop, becomes empty; a response that is
nothing but one is filtered. `None`, `없음` and `해당 없음` can be answers, so they count in a
context alone. `NA` counts in neither: it is sodium, too.

    steps: [{no_input: {languages: [en, ko], also: ["자료 없음"]}}]

A context that holds a marked answer is left as it is. Filters: `text.no_output`.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Literal

import msgspec

from dollymix.example import Example
from dollymix.ledger import Verdict, filtered
from dollymix.text import INVISIBLE

Language = Literal["en", "ko", "ja", "zh"]

# As `_key` makes them. Said of an input, or of an output: nothing else can be meant.
_SAID = {
    "en": (
        "noinput nooutput noinputneeded noinputrequired noinputprovided noinputgiven "
        "noinputnecessary noinputisneeded noinputisrequired noadditionalinput inputnone "
        "noadditionalinputneeded noadditionalinputrequired noadditionalinputprovided inputn/a "
        "inputempty inputnoinput nooutputneeded nooutputrequired noput "
        "emptyinput"
    ),
    "ko": (
        "추가입력없음 추가입력이없음 추가입력이없습니다 추가입력필요없음 입력값이없음 입력내용없음 "
        "입력내용이없음 입력내용이없습니다 인풋없음 인풋이없음 인풋이없습니다 노인풋 "
        "입력없음 입력이없음 입력없습니다 입력이없습니다 입력값없음 입력값이없습니다 입력필요없음 "
        "입력이필요없음 입력이필요하지않음 입력이필요하지않습니다 입력이필요없습니다 입력불필요 "
        "입력은없음 입력은없습니다 입력이제공되지않았습니다 입력이주어지지않았습니다 "
        "입력데이터없음 입력데이터가없음 입력데이터가없습니다 입력n/a input없음 답변없음 "
        "노인입력 닌입력 노입력 출력없음 출력이없음 출력이없습니다 출력값없음 무입력 무출력"
    ),
    "ja": "入力なし 入力無し 入力はありません 入力がありません 出力なし 出力はありません",
    "zh": "无输入 没有输入 無輸入 无输出 没有输出 無輸出",
}
# Said of anything: in a context that there is none, in a response perhaps an answer.
_UNSAID = {
    "en": "n/a n.a ｎ／ａ notapplicable none null nil empty nocontext",
    "ko": "없음 해당없음 해당사항없음",
    "ja": "なし 無し 該当なし",
    "zh": "无 無 没有",
}
_EDGES = (
    " \t\r\n<>[](){}\"'`“”‘’\\/*_.。!-:,「」『』【】〔〕〈〉《》＜＞［］（）｛｝＂＇．！－：，、"
)
# Blanks, what shows nothing, and what joins words.
_WITHIN = re.compile(f"[\\s_:：<>{INVISIBLE}-]+")
# A spelling may have so much round it and within it.
_ROOM = 40


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """`languages`: whose spellings count; `also`: more spellings, for context and response."""

    languages: tuple[Language, ...] = ("en", "ko", "ja", "zh")
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(map(_key, self.also)):
            raise ValueError("`also` holds a spelling without a letter or digit")
        if not (self.languages or self.also):
            raise ValueError("names neither `languages` nor `also`: nothing would be found")

    def __call__(self, example: Example) -> Example | Verdict:
        """The example, without such a context, or the verdict on its response."""
        if len(example.response) <= self._longest and _key(example.response) in self._output:
            return filtered(
                example,
                "no_input",
                "text.no_output",
                "`response` only says that there is no output",
            )
        context = example.context
        if not context or len(context) > self._longest or example.answer_start is not None:
            return example
        if _key(context) not in self._input:
            return example
        return msgspec.structs.replace(example, context="")

    @cached_property
    def _longest(self) -> int:
        return _ROOM + max(map(len, (*self._input, *self.also)))

    @cached_property
    def _output(self) -> frozenset[str]:
        said = [word for language in self.languages for word in _SAID[language].split()]
        return frozenset((*said, *map(_key, self.also)))

    @cached_property
    def _input(self) -> frozenset[str]:
        unsaid = (word for language in self.languages for word in _UNSAID[language].split())
        return self._output.union(unsaid)


def _key(text: str) -> str:
    """Case folded, without what stands round it, blanks and what joins words."""
    visible = text.strip(_EDGES + INVISIBLE)
    return _WITHIN.sub("", visible).casefold()
