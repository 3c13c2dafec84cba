"""Leaves out examples that hold what belongs to a tool, a page or a template, not to an answer.

* `leftovers.template_token`: a token of a chat template, but in code: `<|endoftext|>`,
  `<|im_start|>`, `[INST]`, `<start_of_turn>`, `</endoftext/>`; `<s>` first, `</s>` last.
* `leftovers.page_text`: the words of a chat page in a response: a line `Copy code`, `Regenerate
  response`, `Too many requests in 1 hour`.
* `leftovers.refusal`: a response that begins with what the model is, or that it cannot answer:
  `저는 AI 언어 모델`, `As an AI language model`.
* `leftovers.placeholder`: a place of a template that nobody filled, but in code: `{{name}}`.
* `leftovers.untranslated`: a Korean question that asks for no other language, and an answer without
  Hangul.
* `leftovers.half_translated`: such a question, and a Korean answer with a sentence of Latin words.
* `leftovers.echo`: a response that is the instruction once more.

    steps: [{leftovers: {except: [refusal]}}]

`only` and `except` take the names behind the dot. The first reason found, in this order, is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Literal

import msgspec

from dollymix.example import Example
from dollymix.ledger import Verdict, filtered
from dollymix.prose import letters, without_code, without_fences
from dollymix.text import normal_form, quoted

Name = Literal[
    "template_token",
    "page_text",
    "refusal",
    "placeholder",
    "untranslated",
    "half_translated",
    "echo",
]

_TOKEN = re.compile(
    r"[<\[](?:\|(?:endoftext|startoftext|im_start|im_end|im_sep|system|user|assistant|human|bot|end"
    r"|pad|begin_of_text|end_of_text|start_header_id|end_header_id|eot_id|eom_id|sep)\|>"
    r"|/?INST\]|</?SYS>>|/?(?:start|end)_of_turn>|/endoftext/>|eo[hm]>|(?:bos|eos|pad|unk)>)"
)
# One of these stands in every such token: looking for them is much faster than for the tokens.
_TOKEN_PIECES = (
    "<|", "endoftext", "_of_turn>", "INST]", "SYS>>", "<eo", "<bos>", "<pad>", "<unk>"
)  # fmt: skip
_HANGUL = re.compile("[가-힣]")
_PAGE = re.compile(
    r"(?m)^(?:Copy code|코드 복사|복사 코드)\s*$"
    r"|Regenerate response|Too many requests in 1 hour|!Too many requests"
    r"|ChatGPT can make mistakes|ChatGPT may produce inaccurate information|Stop generating"
    r"|This content may violate our content policy"
)
_PAGE_WORDS = (
    "Copy code",
    "코드 복사",
    "복사 코드",
    "Regenerate",
    "Too many",
    "ChatGPT",
    "content",
)
# Where it stands in an answer's first sentences; said of the speaker, not about such models.
_REFUSAL = re.compile(
    r"(?:저는|제가|나는|저와 같은)[^.\n]{0,30}(?:인공 ?지능|AI|언어) ?(?:언어 ?)?"
    r"(?:모델|어시스턴트|비서|챗봇)"
    r"|(?:인공 ?지능|AI)[^.\n]{0,12} ?(?:모델|어시스턴트|비서|챗봇)"
    r"(?:로서|이기 때문|이므로|이라서|입니다만)"
    r"|언어 ?모델로서[, ]"
    r"|(?i:\bas an? (?:ai|artificial intelligence|large language|language)\b(?: language)?"
    r"(?: model| assistant| chatbot)?,? ?I\b)"
    r"|(?i:\bI(?:'m| am) (?:just |only )?an? (?:ai|artificial intelligence|large language|language)"
    r" (?:language )?(?:model|assistant|chatbot))"
    r"|\A(?:죄송|미안)[^\n]{0,120}(?:수는? 없|수가 없|드리지 못|불가능합|허용되지 않|답변하기 어렵)"
    r"|\A(?:죄송|미안)[^\n]{0,40}(?:혐오|비난|비속|욕설|험담|성적인|발언)"
    r"|(?i:\A(?:I'm|I am) sorry,? but I (?:can't|cannot|can not|am unable|am not able|won't)\b)"
)
_REFUSAL_WORDS = (
    "모델", "어시스턴트", "비서", "챗봇", "죄송", "미안", "an AI", "an ai", "rtificial", "anguage ",
    "ssistant", "hatbot", "sorry",
)  # fmt: skip
_REFUSED_WITHIN = 300
_EDGE = 40
_PLACEHOLDER = re.compile(r"(?<!\{)\{\{ ?[\w가-힣][\w가-힣 .-]{0,38}\}\}(?!\})")
# A question that asks for another language, or is about one.
_ASKS = re.compile(
    r"(?i)영어|영문|영작|번역|외국어|어로|원문|문법|문장|단어|철자|발음|스펠|알파벳|언어|구절|문구"
    r"|코드|함수|프로그램|스크립트|쿼리|명령|SQL|HTML|CSS|파이썬|자바|정규식|수식|방정식|이름|제목|노래|가사"
    r"|english|translate|latin|french|spanish|japanese|chinese"
)
_SENTENCE = re.compile(
    r"[A-Za-z](?<!\w\w)[A-Za-z'’-]{0,30}[ ,;:]{1,2}"
    r"(?:[A-Za-z][A-Za-z'’-]{0,30}[ ,;:]{1,2}){6,}[A-Za-z'’-]{1,30}"
)
# So many words, so many of which begin with a small letter, are a sentence and no list of names.
_WORDS = 8
_WORDS_IN_KOREAN = 12
_SMALL = 0.6
_KOREAN = 0.5
_SHORTEST = 40
_SHORTEST_ECHO = 10


class Step(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    dict=True,
    rename={"except_": "except"},
):
    """`only`: the reasons that are looked for, by their names; `except`: all but these."""

    only: tuple[Name, ...] = ()
    except_: tuple[Name, ...] = ()

    def __post_init__(self) -> None:
        if self.only and self.except_:
            raise ValueError("takes `only` or `except`, not both")

    def __call__(self, example: Example) -> Example | Verdict:
        """The example as it is, or the verdict on what was left in it."""
        for judge in self._judges:
            found = judge(example)
            if found:
                reason, message = found
                return filtered(example, "leftovers", reason, message)
        return example

    @cached_property
    def _judges(self) -> tuple[_Judge, ...]:
        left_out = set(_JUDGES).difference(self.only) if self.only else self.except_
        return tuple(judge for name, judge in _JUDGES.items() if name not in left_out)


_Found = tuple[str, str] | None
_Judge = Callable[[Example], _Found]


def _template_token(example: Example) -> _Found:
    for name in ("instruction", "context", "response"):
        text: str = getattr(example, name)
        if not ("<" in text or "[" in text):
            continue
        found = _edge_token(text)
        if found is None and _holds(text, _TOKEN_PIECES) and _TOKEN.search(text):
            match = _TOKEN.search(without_fences(text))
            found = match and match[0]
        if found:
            return "leftovers.template_token", f"`{name}` holds the token `{found}`"
    return None


def _holds(text: str, words: tuple[str, ...]) -> bool:
    """True where one of the words stands in the text; a plain loop, since this is done most."""
    for word in words:  # noqa: SIM110
        if word in text:
            return True
    return False


def _edge_token(text: str) -> str | None:
    """The mark of a sequence at an edge; in between, and in pairs, it is HTML's for a strike."""
    ends = text[-_EDGE:].rstrip().endswith("</s>")
    if not ends and not text[:_EDGE].lstrip().startswith("<s>"):
        return None
    more = text.count("<s>") - text.count("</s>")
    if ends and more < 0:
        return "</s>"
    return "<s>" if not ends and more > 0 else None


def _page_text(example: Example) -> _Found:
    text = example.response
    if not _holds(text, _PAGE_WORDS):
        return None
    found = _PAGE.search(text)
    return found and ("leftovers.page_text", f"`response` holds `{found[0].strip()}`")


def _refusal(example: Example) -> _Found:
    text = example.response[:_REFUSED_WITHIN]
    if not _holds(text, _REFUSAL_WORDS):
        return None
    found = _REFUSAL.search(text)
    return found and ("leftovers.refusal", f"`response` says {quoted(found[0], 60)}")


def _placeholder(example: Example) -> _Found:
    for name in ("instruction", "response"):
        text: str = getattr(example, name)
        if "{{" in text and _PLACEHOLDER.search(text):
            found = _PLACEHOLDER.search(without_code(text))
            if found:
                return "leftovers.placeholder", f"`{name}` holds `{found[0]}`"
    return None


def _untranslated(example: Example) -> _Found:
    text = example.response
    if len(text) < _SHORTEST or _HANGUL.search(text) or not _asks_in_korean(example):
        return None
    if not _sentence(without_code(text), _WORDS):
        return None
    return "leftovers.untranslated", "`instruction` is Korean, `response` has no Hangul"


def _half_translated(example: Example) -> _Found:
    text = example.response
    if len(text) < _SHORTEST or not (_SENTENCE.search(text) and _HANGUL.search(text)):
        return None
    if not _asks_in_korean(example):
        return None
    prose = without_code(text)
    found = _sentence(prose, _WORDS_IN_KOREAN)
    if not found or not _HANGUL.search(prose):
        return None
    return "leftovers.half_translated", f"`response` is Korean but for {quoted(found, 60)}"


def _sentence(text: str, least: int) -> str | None:
    """The first run of Latin words that is a sentence."""
    for found in _SENTENCE.finditer(text):
        words = found[0].split()
        small = sum(word[0].islower() for word in words)
        if len(words) >= least and small >= _SMALL * len(words):
            return found[0]
    return None


def _asks_in_korean(example: Example) -> bool:
    """True where the question is Korean, and neither it nor its context calls for Latin words."""
    if not _HANGUL.search(example.instruction):
        return False
    found = letters(example.instruction)
    if found.get("hangul", 0) < _KOREAN * sum(found.values()):
        return False
    return not (
        _ASKS.search(example.instruction)
        or _ASKS.search(example.context)
        or _SENTENCE.search(example.instruction)
        or _SENTENCE.search(example.context)
    )


def _echo(example: Example) -> _Found:
    asked, answered = example.instruction, example.response
    if len(answered) < _SHORTEST_ECHO:
        return None
    # Normal forms are equal only where the lengths are near.
    if abs(len(asked) - len(answered)) > 20 + len(answered) // 4:
        return None
    if asked[:1].casefold() != answered[:1].casefold() and asked[:1].isalnum():
        return None
    if normal_form(asked) != normal_form(answered):
        return None
    return "leftovers.echo", "`response` is the instruction once more"


_JUDGES: dict[str, _Judge] = {
    "template_token": _template_token,
    "page_text": _page_text,
    "refusal": _refusal,
    "placeholder": _placeholder,
    "untranslated": _untranslated,
    "half_translated": _half_translated,
    "echo": _echo,
}
