"""What belongs to a tool, a page or a template."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dollymix.example import Example
from dollymix.steps.leftovers import Step
from tests.helpers import ORIGIN

SENTENCE = "This sentence was never translated and stands here as it was written before."
TAKEN = [
    ("질문", "답이다.<|endoftext|>", "template_token"),
    ("질문", "답이다.</endoftext/>", "template_token"),
    ("질문", "<s> 답이다.", "template_token"),
    ("질문", "답이다.</s> ", "template_token"),
    ("[INST] 질문 [/INST]", "답이다.", "template_token"),
    ("질문", "<|im_start|>assistant\n답", "template_token"),
    ("질문", "<start_of_turn>model", "template_token"),
    ("질문", "다음과 같습니다.\nCopy code\nprint(1)", "page_text"),
    ("질문", "Too many requests in 1 hour. Try again later.", "page_text"),
    ("질문", "저는 AI 언어 모델이므로 그 일은 모릅니다.", "refusal"),
    ("질문", "인공지능 언어 모델로서 의견이 없습니다.", "refusal"),
    ("질문", "죄송하지만 그 질문에는 답변드릴 수 없습니다.", "refusal"),
    ("질문", "죄송하지만, 비난적인 발언은 피해 주세요.", "refusal"),
    ("q", "As an AI language model, I have no opinion.", "refusal"),
    ("q", "I'm sorry, but I cannot do that.", "refusal"),
    ("이름이 뭐야?", "저는 {{name}}입니다.", "placeholder"),
    ("감사 편지를 써 주세요.", SENTENCE, "untranslated"),
    ("대출 과정을 설명하세요.", f"대출은 은행에서 받습니다. {SENTENCE}", "half_translated"),
    ("오늘은 날씨가 참 좋습니다.", "오늘은  날씨가 참 좋습니다. ", "echo"),
]
LEFT = [
    ("질문", "답이다."),
    ("HTML의 태그를 설명하세요.", "<s>줄을 긋는다</s>"),
    ("질문", "`<|endoftext|>`는 끝을 뜻합니다."),
    ("질문", "```\n{{ name }} <|im_end|>\n```"),
    ("질문", "언어 모델은 다음 낱말을 맞히도록 배운 것입니다."),
    ("사과하는 법", "죄송합니다. 주문을 곧 다시 보내 드리겠습니다."),
    ("질문", "식은 {{{x}}} 이다."),
    ("다음 문장을 영어로 번역하세요.", SENTENCE),
    ("책을 추천하세요.", '"The Old Clock on the Quiet Stairs Below" by Jane Roe'),
    (
        "도시를 나열하세요.",
        "Aville, Bton, Cburg, Dford, Eham, Fport, Gwick, Hbury, Idale, Jstead, Kmouth",
    ),
    ("요약하세요.", "네."),
    ("네.", "네."),
    ("What is this?", SENTENCE),
]


def example(instruction, response):
    return Example(instruction=instruction, response=response, origin=ORIGIN)


@pytest.mark.parametrize(("instruction", "response", "name"), TAKEN)
def test_a_leftover_is_told_by_its_own_reason(instruction, response, name):
    verdict = Step()(example(instruction, response))
    assert (verdict.outcome, verdict.reason) == ("filtered", f"leftovers.{name}")
    assert Step(only=(name,))(example(instruction, response)) == verdict
    without = Step(except_=(name,))(example(instruction, response))
    assert without == example(instruction, response)


@pytest.mark.parametrize(("instruction", "response"), LEFT)
def test_an_answer_stays(instruction, response):
    given = example(instruction, response)
    assert Step()(given) is given


def test_a_context_with_latin_words_explains_them():
    given = Example(
        instruction="요약하세요.", context=SENTENCE, response=SENTENCE[5:], origin=ORIGIN
    )
    assert Step()(given) is given


def test_only_and_except_exclude_each_other():
    with pytest.raises(ValueError, match="not both"):
        Step(only=("echo",), except_=("refusal",))


def test_the_message_is_one_line():
    verdict = Step()(example("질문", "저는 \x1b[31m 인공지능 모델입니다."))
    assert "\x1b" not in verdict.message
    assert "\n" not in verdict.message


@given(st.text(), st.text(), st.text())
def test_any_text_is_judged(instruction, context, response):
    Step()(Example(instruction=instruction, context=context, response=response, origin=ORIGIN))


@pytest.mark.parametrize(
    "bait",
    ["<", "[", "<|", "{{", "{{a", "a ", "word ", "가 ", "죄송", "저는", "AI", "a" * 31 + " "],
)
def test_long_baits_take_no_time(bait):
    long = bait * (100_000 // len(bait))
    Step()(example("감사 편지를 써 주세요.", long))
    Step()(example(long, long))
