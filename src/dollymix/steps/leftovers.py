"""Leaves out examples that hold what belongs to a tool, a page or a template, not to an answer.

* `leftovers.template_token`: a token of a chat template, but in code: `<|endoftext|>`,
  `<|im_start|>` and all of that form, `[|endofturn|]`, `[INST]`, `<start_of_turn>`,
  `</endoftext/>`; `<s>` first, `</s>` last.
* `leftovers.page_text`: the words of a chat page in a response: a line `Copy code`, `pythonCopy
  code`, `Regenerate response`, `Too many requests in 1 hour`.
* `leftovers.refusal`: a response that begins with what the model is, or that it cannot answer:
  `저는 AI 언어 모델입니다`, `As an AI language model, I`; not the translation or another wording of
  a text that does, nor an apology where a letter or a line of a dialogue was asked for.
* `leftovers.placeholder`: a place of a template that nobody filled, but in code: `{{name}}`.
* `leftovers.untranslated`: a Korean question that asks for no other language, and an answer without
  Hangul: a sentence of Latin words, or 16 letters of other scripts.
* `leftovers.half_translated`: such a question, and a Korean answer with a sentence of an alphabet's
  words.
* `leftovers.echo`: a response that is the instruction once more, but for marks at its edges.

Tokens and places of a template are looked for in every text of the example, earlier and later turns
and the rejected answer too; the others are judgements of the response.

    steps: [{leftovers: {except: [refusal]}}]

`only` and `except` take the names behind the dot. The first reason found, in this order, is told.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from functools import cached_property
from typing import Literal

import msgspec

from dollymix.example import Example
from dollymix.ledger import Verdict, filtered
from dollymix.prose import letters, without_code, without_fences
from dollymix.refusals import refusal
from dollymix.rewrite import texts
from dollymix.text import holds_any, normal_form, quoted

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
    r"<\|[A-Za-z_]{2,30}\|>|\[\|(?:endofturn|endoftext|assistant|user|system|tool)\|[\]>]"
    r"|<｜[^｜<>\n]{1,30}｜>"
    r"|[<\[](?:/?INST\]|</?SYS>>|/?(?:start|end)_of_turn>|/endoftext/>|eo[hm]>"
    r"|(?:bos|eos|pad|unk)>)"
)
# One of these stands in every such token: looking for them is much faster than for the tokens.
_TOKEN_PIECES = (
    "<|", "[|", "<｜", "endoftext", "_of_turn>", "INST]", "SYS>>", "<eo", "<bos>", "<pad>", "<unk>"
)  # fmt: skip
_HANGUL = re.compile("[가-힣]")
_PAGE = re.compile(
    r"(?m)^(?:Copy code|코드 복사|복사 코드|复制代码|Stop generating)\s*$"
    r"|^(?:```[A-Za-z+#-]{0,20} ?|[A-Za-z+#-]{1,20})(?:Copy code|코드 복사|복사 코드|复制代码)"
    r"|Regenerate response|Too many requests in 1 hour|!Too many requests"
    r"|ChatGPT can make mistakes|ChatGPT may produce inaccurate information"
    r"|This content may violate our content policy"
)
_PAGE_WORDS = (
    "Copy code", "복사", "复制代码", "Stop generating", "Regenerate r", "Too many requests",
    "ChatGPT ", "content policy",
)  # fmt: skip
_EDGE = 40
# Not the doubled braces of TeX, behind a command, an index or another pair.
_PLACEHOLDER = re.compile(r"(?<![{}_^])\{\{ ?[^\W\d][\w .-]{0,38}\}\}(?!\})")
_COMMAND = re.compile(r"\\[A-Za-z]{1,30}\*?(?:\{\{[^{}\n]{0,40}\}\})+")
# A question that asks for another language, or for what is written in one.
_LANGUAGE = (
    r"(?:(?:영|프랑스|독일|스페인|일본|중국|러시아|라틴|이탈리아|포르투갈|베트남|태국|아랍|히브리|그리스"
    r"|산스크리트|네덜란드|스웨덴|터키|힌디|몽골|외국|에스페란토)어|영문|한문|한자(?!리)|로마자|원어|원문)"
)
_ASKS = re.compile(
    rf"(?i){_LANGUAGE}|(?:불|독|일)어로|(?:중국|일본)말|번역|통역|영작|알파벳|스펠링|[자사]성어"
    r"|노랫말|가사(?! ?(?:노동|도우미|일|분담))"
    r"|(?:논문|기사|문헌)[^.\n]{0,20}(?:나열|인용|이름)|HTML|CSS|SQL|LaTeX"
    r"|english|translat|latin|french|german|spanish|japanese|chinese|russian"
)
# Context and earlier turns may speak of languages: there only an order asks for one.
_ORDERS = re.compile(
    rf"(?i){_LANGUAGE}(?:로|으로) ?(?:번역|작성|표현|대답|답변|답)?"
    r"(?:해|하세요|하시오|하십시오|하라|써|쓰|바꿔|바꾸|옮겨|옮기)"
    r"|(?:번역|영작)(?:해 ?[줘주라보]|하세요|하시오|하십시오|하라)"
    r"|translate (?:the|this|to|into)|in english"
)
# The letters of alphabets with words between blanks, Hangul's apart.
_LETTER = "A-Za-z\u00c0-\u024f\u0370-\u052f\u0590-\u06ff\u0900-\u097f\u1e00-\u1fff"
_SENTENCE = re.compile(
    rf"[{_LETTER}](?<!\w\w)[{_LETTER}'’-]{{0,30}}[ ,;:]{{1,2}}"
    rf"(?:[{_LETTER}][{_LETTER}'’-]{{0,30}}[ ,;:]{{1,2}}){{6,}}[{_LETTER}'’-]{{1,30}}"
)
# What somebody said or wrote may stay as it was.
_QUOTED = re.compile(r"[\"“「『][^\"”」』\n]{0,400}[\"”」』]")
_OTHER_LETTERS = 16
# So many words, so many of which begin with a small letter, are a sentence and no list of names.
_WORDS = 8
_WORDS_IN_KOREAN = 12
_SMALL = 0.6
_KOREAN = 0.5
_SHORTEST = 40
_SHORTEST_ECHO = 10
# What two texts that say the same may differ in: blanks, quotes and marks at their edges.
_EDGES = (
    string.whitespace
    + string.punctuation
    + "\u00a0\u3000“”‘’«»‹›「」『』《》〈〉…·。．、，？！：；～—–"
)


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
        if not self._judges:
            raise ValueError("`except` names all reasons: nothing would be looked for")

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
    if not (_may_hold(example, "<") or _may_hold(example, "[")):
        return None
    for name, text in texts(example):
        if not ("<" in text or "[" in text):
            continue
        found = _edge_token(text)
        if found is None and holds_any(text, _TOKEN_PIECES) and _TOKEN.search(text):
            match = _TOKEN.search(without_fences(text))
            found = match and match[0]
        if found:
            return "leftovers.template_token", f"`{name}` holds the token `{found}`"
    return None


def _may_hold(example: Example, mark: str) -> bool:
    """False where none of its texts has the mark; turns are not looked at, which may have it."""
    return (
        mark in example.instruction
        or mark in example.response
        or mark in example.context
        or mark in example.system
        or mark in example.rejected
        or bool(example.history or example.after)
    )


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
    if not holds_any(text, _PAGE_WORDS):
        return None
    found = _PAGE.search(text)
    return found and ("leftovers.page_text", f"`response` holds `{found[0].strip()}`")


def _refusal(example: Example) -> _Found:
    said = refusal(example.instruction, example.context, example.response)
    return ("leftovers.refusal", f"`response` says {quoted(said, 60)}") if said else None


def _placeholder(example: Example) -> _Found:
    if not _may_hold(example, "{"):
        return None
    for name, text in texts(example):
        if "{{" in text and _PLACEHOLDER.search(text):
            found = _PLACEHOLDER.search(without_code(_COMMAND.sub(" ", text)))
            if found:
                return "leftovers.placeholder", f"`{name}` holds `{found[0]}`"
    return None


def _untranslated(example: Example) -> _Found:
    text = example.response
    if len(text) < _OTHER_LETTERS or _HANGUL.search(text):
        return None
    if not _HANGUL.search(example.instruction):
        return None
    prose = without_code(text)
    if not _sentence(prose, _WORDS) and _other_letters(prose) < _OTHER_LETTERS:
        return None
    if not _asks_in_korean(example):
        return None
    return "leftovers.untranslated", "`instruction` is Korean, `response` has no Hangul"


def _other_letters(text: str) -> int:
    """How many letters are neither Hangul nor Latin."""
    if text.isascii():
        return 0
    return sum(count for name, count in letters(text).items() if name not in ("hangul", "latin"))


def _half_translated(example: Example) -> _Found:
    text = example.response
    if len(text) < _SHORTEST or not (_SENTENCE.search(text) and _HANGUL.search(text)):
        return None
    if not _asks_in_korean(example):
        return None
    prose = without_code(text)
    found = _sentence(_QUOTED.sub(" ", prose), _WORDS_IN_KOREAN)
    if not found or not _HANGUL.search(prose):
        return None
    return "leftovers.half_translated", f"`response` is Korean but for {quoted(found, 60)}"


def _sentence(text: str, least: int) -> str | None:
    """The first run of words of an alphabet that is a sentence."""
    for found in _SENTENCE.finditer(text):
        words = found[0].split()
        small = sum(not word[0].isupper() for word in words)
        if len(words) >= least and small >= _SMALL * len(words):
            return found[0]
    return None


def _asks_in_korean(example: Example) -> bool:
    """True where the question is Korean, and nothing that was said calls for other letters."""
    instruction, context = example.instruction, example.context
    if not _HANGUL.search(instruction):
        return False
    found = letters(instruction)
    if found.get("hangul", 0) < _KOREAN * sum(found.values()):
        return False
    if _ASKS.search(instruction) or _ASKS.search(example.system) or _ORDERS.search(context):
        return False
    if any(turn.role == "user" and _ORDERS.search(turn.content) for turn in example.history):
        return False
    return not any(
        _SENTENCE.search(text) or _other_letters(text) >= _OTHER_LETTERS
        for text in (instruction, context)
    )


def _echo(example: Example) -> _Found:
    asked, answered = example.instruction, example.response
    if len(answered) < _SHORTEST_ECHO:
        return None
    # Normal forms are equal only where the lengths are near.
    if abs(len(asked) - len(answered)) > 20 + len(answered) // 4:
        return None
    if asked[:1] != answered[:1]:
        asked, answered = asked.lstrip(_EDGES), answered.lstrip(_EDGES)
        if asked[:1].casefold() != answered[:1].casefold():
            return None
    asked, answered = asked.strip(_EDGES), answered.strip(_EDGES)
    if not answered or normal_form(asked) != normal_form(answered):
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
