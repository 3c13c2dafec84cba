"""Looks whether a source's instructions are its answers: warns where they seem to be swapped.

A wrong mapping of roles (`gpt` read as the person) makes a set of the right shape that teaches a
model to ask. Three signs are counted over a source's examples, each by how the texts look:

* length: the instruction is longer than the response;
* questions: a first or last line that ends in a question mark or in an ending that asks or
  requests (`까`, `나요`, `해줘`, `주세요`, ...), in responses more often than in instructions;
* openers: words that answers begin with (`네,`, `물론`, `죄송`, `Sure`, `As an AI`, ...), in
  instructions more often than in responses.

    steps: [roles]

Nothing is changed. With two signs or more, or where three quarters of the responses ask and next to
no instruction does, the build warns, `roles.look_swapped`, and says what it saw; the counts are in
the ledger under `measures`. Swap with the format's own option.
"""

from __future__ import annotations

import re
from typing import ClassVar

import msgspec

from dollymix.example import Example
from dollymix.steps import Finding

_QUESTION = re.compile(
    r"(?:[?？]|(?:까|까요|나요|가요|은가|는가|던가|인가|는지|은지|을지|냐|니|해|줘|줘요|주세요|세요|주십시오"
    r"|시오|해라|하라|보자|써라|할래|알려|부탁해|부탁해요|부탁합니다|부탁드립니다)[.!~]*)[\"'”’)\]]*$"
)
_ENDING = 40  # a question is told by so many characters at the end of its line
_OPENER = re.compile(
    r"(?:네|예|아니요|아니오|물론|그럼요|당연|죄송|미안|좋습니다|알겠습니다|감사합니다"
    r"|다음은|아래는|여기|저는 (?:AI|인공|언어)|AI 언어|인공지능 언어"
    r"|Sure|Certainly|Of course|Here(?:'s| is| are)|I'm sorry|I am sorry"
    r"|As an AI|Yes[,.]|No[,.]|Great)(?![가-힣A-Za-z]{2})"
)
# A sign must be seen on so many examples, and so clearly.
_LEAST_EXAMPLES = 20
_LONGER_SHARE = 0.6
_TIMES = 2
_SHARE = 0.05
# So many questions are enough by themselves: a reading set's responses are short, swapped or not.
_SURE_TIMES = 5
_SURE_SHARE = 0.75


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No options: it looks at every example that the steps before it leave."""

    measures: ClassVar[tuple[str, ...]] = (
        "examples",
        "longer_instructions",
        "asking_instructions",
        "asking_responses",
        "answering_instructions",
        "answering_responses",
    )

    def measure(self, example: Example) -> tuple[int, ...]:
        """One example's counts, each 0 or 1."""
        instruction, response = example.instruction.strip(), example.response.strip()
        return (
            1,
            len(instruction) > len(response),
            _asks(instruction),
            _asks(response),
            _OPENER.match(instruction) is not None,
            _OPENER.match(response) is not None,
        )

    def judge(self, counts: dict[str, int]) -> list[Finding]:
        """A warning where two of the three signs are seen, or one surely, with what was seen."""
        total, longer, asked, asked_back, answered, answers = counts.values()
        if total < _LEAST_EXAMPLES:
            return []

        def share(count: int) -> str:
            return f"{count / total:.0%}"

        length = f"{share(longer)} are longer than their response"
        questions = f"{share(asked_back)} of the responses ask, {share(asked)} of them do"
        openers = f"{share(answered)} begin as answers do, {share(answers)} of the responses"
        signs = [
            (longer > _LONGER_SHARE * total, length),
            (_is_more(asked_back, asked, total), questions),
            (_is_more(answered, answers, total), openers),
        ]
        seen = [what for is_seen, what in signs if is_seen]
        surely_asks = asked_back >= _SURE_TIMES * asked and asked_back >= _SURE_SHARE * total
        if len(seen) < 2 and not surely_asks:
            return []
        message = f"its instructions look like answers: {'; '.join(seen)}. Are the roles swapped?"
        return [Finding("roles.look_swapped", message, total)]


def _asks(text: str) -> bool:
    """True where the first or the last line asks."""
    first, _, rest = text.partition("\n")
    last = rest.rpartition("\n")[2]
    return _ends_asking(first.rstrip()) or (bool(last) and _ends_asking(last))


def _ends_asking(line: str) -> bool:
    return _QUESTION.search(line[-_ENDING:]) is not None


def _is_more(many: int, few: int, total: int) -> bool:
    return many >= _TIMES * few and many >= _SHARE * total
