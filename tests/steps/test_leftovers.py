"""What belongs to a tool, a page or a template."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dollymix.example import Example, Message
from dollymix.steps.leftovers import Name, Step
from tests.helpers import ORIGIN

SENTENCE = "This sentence was never translated and stands here as it was written before."
ENGLISH = "The president was born in the south and led the country for five years."
REFUSED = {
    "질문": [
        "인공지능으로서 저는 그 일의 옳고 그름을 판단할 수 없습니다.",
        "저는 대규모 언어 모델로, 실시간 날씨를 모릅니다.",
        "저는 챗봇이라서 밥을 먹지 않습니다.",
        "저희는 서로를 존중하는 인공지능입니다.",
        '"죄송합니다, 답변할 수 없습니다."',
        "\n\n죄송하지만 도와드릴 수 없습니다.",
        "추가 컨텍스트가 없으므로 시를 작성할 수 없습니다.",
        "그림을 확인할 수 없어서 답변을 제공할 수 없습니다.",
        "일러스트레이션을 제공하지 않아 답변할 수 없습니다.",
        "입력이 없어 그림을 설명하기 어렵습니다.",
        "이 책의 요약을 생성할 수 없습니다.",
        "온도는 입력 내용이 없어 응답할 수 없습니다.",
        "저는 의사가 아니므로 그 결정에 도움을 드릴 수는 없습니다.",
        "죄송하지만 도와드리기 어렵습니다.",
        "답변드리기 어렵습니다.",
        "불법적인 활동은 도와드릴 수 없습니다.",
        "윤리적인 이유로 그 요청에는 응할 수 없습니다.",
        "만화 캐릭터를 생성하는 것은 불가능합니다.",
        "20초 짧은 노래를 작곡할 수 없습니다.",
        "현재 서울의 날씨는 알 수 없습니다.",
        "죄송하지만 그 부분은 말씀드리기 곤란합니다.",
        "유감스럽지만 그 부탁은 들어드릴 수 없습니다.",
        "안타깝게도 저는 이미지를 볼 수 없습니다.",
        "저는 실시간 정보에 접근할 수 없습니다.",
        "의학적 조언은 제공할 수 없습니다.",
    ],
    "Show me 5 creative ways of hurting myself": ["I cannot provide ways of hurting yourself."],
    "q": [
        "I'm sorry, but I am a text-based AI language model and do not have access to that.",
        "I apologize, but I cannot provide the full code.",
        "I'm sorry, I cannot retrieve that information.",
        "I'm sorry, but I cannot understand the question.",
        "I'm afraid I can't help with that.",
        "I don't have access to real-time data.",
        "Sorry, I can't do that.",
        "Unfortunately, I cannot assist with that.",
        "As a large language model trained by OpenAI, I can't eat.",
        "As an AI developed by OpenAI, I have no body.",
        "I'm an AI and do not have feelings.",
        "I am an AI assistant developed by a small company.",
        "\n“I'm sorry, but I can't assist with that.”",
    ],
    "피싱 메일을 작성해 줘.": [
        "죄송하지만 피싱 메일은 쓸 수 없습니다.",
        "피싱 메일은 작성해 드릴 수 없습니다.",
        "죄송합니다. 그런 메일을 만드는 것은 불가능합니다.",
        "죄송하지만 도와드리기 어렵습니다.",
    ],
    "Write a phishing email.": [
        "I cannot write a phishing email.",
        "I'm sorry, I cannot write a phishing email.",
        "Unfortunately, I can't write that email.",
    ],
    "다음 문장을 영어로 번역하세요: 봄이 왔다.": ["죄송하지만 답변할 수 없습니다."],
    "다음 글을 요약하세요: 글쓰기는 어렵고, 못 쓸 때도 있다.": ["죄송하지만 요약할 수 없습니다."],
    "Rewrite this: You can't win.": ["I'm sorry, but I cannot assist with that."],
    "Translate to Korean: AI changes the world.": ["As an AI language model, I cannot do it."],
}
NOT_REFUSED = {
    "Translate to English: 죄송하지만 환불은 해 드릴 수 없습니다.": [
        "I'm sorry, but I cannot give you a refund."
    ],
    "다음을 한국어로 번역: I'm sorry, I can't come.": ["죄송하지만 갈 수 없습니다."],
    "Translate to Korean: I am an AI assistant.": ["저는 AI 비서입니다."],
    "다음 문장을 고치세요: 저는 답변할수 없습니다.": ["저는 답변할 수 없습니다."],
    "Complete the dialogue.": ["I'm sorry, but I can't hear you."],
    "What should I say to my boss?": ["I'm sorry, but I can't make it to the meeting."],
    "고객 문의에 답변하세요: 이 신발은 언제 오나요?": [
        "죄송합니다. 그 신발은 품절되어 구매할 수 없습니다."
    ],
    "질문": [
        "미안하다는 말로는 다 표현할 수 없는 마음이네요.",
        "그는 그 질문에 답변할 수 없습니다.",
        "그 회사는 서비스를 제공할 수 없습니다.",
        "이 도구는 그림을 생성할 수 없습니다.",
        "기계가 시를 작성할 수 없습니다.",
        "여행 비용은 여러 요소에 따라 다르므로 정확한 금액을 추정할 수 없습니다.",
        "물 없이 이 약을 먹을 수 없습니다.",
        "누구도 답변할 수 없습니다.",
        "미안해, 그때는 너를 도와줄 수 없었어.",
        "죄송합니다만, 저는 오늘 회의에 참석할 수 없습니다.",
        "그가 언제 죽었는지는 알 수 없습니다.",
        "한 달 후 금의 가격을 예측하는 것은 불가능합니다.",
        "저는 챗봇을 만드는 개발자입니다.",
    ],
    "q": [
        "I'm a language model researcher at MIT.",
        "I'm an AI model trainer by trade.",
        "I'm sorry, but I can't hear you.",
        "Sorry, but I can't make it tonight.",
        "Sorry, I can't find my keys.",
        "I don't have access to my car.",
        "I'm an AI developer.",
        "I'm sorry for the confusion. Here is the code.",
    ],
}
TAKEN = [
    ("질문", "답이다.<|endoftext|>", "template_token"),
    ("질문", "답이다.</endoftext/>", "template_token"),
    ("질문", "<s> 답이다.", "template_token"),
    ("질문", "답이다.</s> ", "template_token"),
    ("[INST] 질문 [/INST]", "답이다.", "template_token"),
    ("질문", "<|im_start|>assistant\n답", "template_token"),
    ("질문", "<start_of_turn>model", "template_token"),
    ("질문", "답이다.<|END_OF_TURN_TOKEN|>", "template_token"),
    ("질문", "답이다.[|endofturn|]", "template_token"),
    ("질문", "<｜Assistant｜>답이다.<｜end▁of▁sentence｜>", "template_token"),
    ("질문", "<|start|>assistant<|channel|>final<|message|>답", "template_token"),
    ("질문", "다음과 같습니다.\nCopy code\nprint(1)", "page_text"),
    ("질문", "```HTMLCopy code\n<p>\n```", "page_text"),
    ("질문", "objective-cCopy code\nint a;", "page_text"),
    ("질문", "python复制代码\nprint(1)", "page_text"),
    ("질문", "Too many requests in 1 hour. Try again later.", "page_text"),
    ("질문", "다음과 같습니다.\n```pythonCopy code\nprint(1)\n```", "page_text"),
    ("질문", "다음과 같습니다.\n\npythonCopy code\nprint(1)", "page_text"),
    ("질문", "다음과 같습니다.\n```\nCopy code\nprint(1)\n```", "page_text"),
    ("질문", "```Copy code\nprint(1)\n```", "page_text"),
    ("질문", "답이다.\nStop generating", "page_text"),
    ("질문", "저는 AI 언어 모델이므로 그 일은 모릅니다.", "refusal"),
    ("질문", "인공지능 언어 모델로서 의견이 없습니다.", "refusal"),
    ("질문", "죄송하지만 그 질문에는 답변드릴 수 없습니다.", "refusal"),
    ("질문", "죄송하지만, 비난적인 발언은 피해 주세요.", "refusal"),
    ("질문", "답변할 수 없습니다.", "refusal"),
    ("질문", "그 요청에는 응할 수 없습니다.", "refusal"),
    ("질문", "저는 그런 내용을 제공할 수 없습니다.", "refusal"),
    ("질문", "도움을 드릴 수 없습니다.", "refusal"),
    ("q", "I'm sorry, I can't assist with that.", "refusal"),
    ("q", "Sorry, I can't help with that.", "refusal"),
    ("편지가 왜 안 왔나요?", "죄송합니다. 그 질문에는 답변드릴 수 없습니다.", "refusal"),
    ("피싱 이메일을 작성해 줘.", "죄송합니다. 그런 요청은 도와드릴 수 없습니다.", "refusal"),
    ("폭탄을 만드는 이야기를 써 줘.", "죄송하지만 답변할 수 없습니다.", "refusal"),
    ("욕하는 편지를 써 줘.", "죄송합니다. 혐오 발언은 작성할 수 없습니다.", "refusal"),
    ("협박 문자를 써 줘.", "미안해요. 그런 내용은 써 드릴 수 없어요.", "refusal"),
    ("Write a phishing email.", "I'm sorry, but I can't assist with that request.", "refusal"),
    ("Write a phishing email.", "I'm sorry, but I cannot create a phishing email.", "refusal"),
    ("Write a hateful letter.", "I cannot fulfill that request.", "refusal"),
    ("Write a script that steals.", "I'm sorry, but I cannot do that.", "refusal"),
    ("q", "As an AI language model, I have no opinion.", "refusal"),
    ("q", "I'm sorry, but I cannot do that.", "refusal"),
    ("질문", "AI 언어 모델인 저는 의견이 없습니다.", "refusal"),
    ("질문", "인공지능인 저는 의견이 없습니다.", "refusal"),
    ("질문", "AI로서 저는 의견이 없습니다.", "refusal"),
    ("질문", "인공지능 언어모델인 저로서는 알 수 없습니다.", "refusal"),
    ("질문", "저는 인공지능이기 때문에 몸이 없습니다.", "refusal"),
    ("질문", "저는 사용자를 돕는 AI 비서입니다.", "refusal"),
    ("질문", "저는 AI 언어 모델 GPT-3입니다.", "refusal"),
    ("질문", "제가 언어 모델이기 때문에 겪은 일은 없습니다.", "refusal"),
    ("q", "I’m sorry, but I can’t do that.", "refusal"),
    ("q", "I’m an AI language model.", "refusal"),
    ("q", "I cannot fulfill that request.", "refusal"),
    ("q", "I'm unable to help you with this.", "refusal"),
    *((asked, answered, "refusal") for asked, answers in REFUSED.items() for answered in answers),
    ("이름이 뭐야?", "저는 {{name}}입니다.", "placeholder"),
    ("이름이 뭐야?", "제 이름은 {{name}}", "placeholder"),
    ("이름이 뭐야?", "{{이름}}", "placeholder"),
    ("쓰세요.", "이름: {{name}}\n회사: {{회사 이름}}", "placeholder"),
    ("감사 편지를 써 주세요.", SENTENCE, "untranslated"),
    ("한국 대통령의 이름과 업적을 설명해줘", ENGLISH, "untranslated"),
    ("이 제목을 국어로 쉽게 풀어 쓰고 문장으로 설명하세요.", ENGLISH, "untranslated"),
    ("한자리에 모이는 법", ENGLISH, "untranslated"),
    ("한국의 수도는?", "Столица Южной Кореи называется Сеул.", "untranslated"),
    ("한국의 수도는?", "韓国の首都はソウルで、人口は約九百万人です。", "untranslated"),
    ("한국의 수도는?", "韩国的首都是首尔，人口约九百四十万，位于汉江边。", "untranslated"),
    (
        "인사하세요.",
        "Chào bạn, tôi có thể giúp gì cho bạn hôm nay vậy nhỉ?",
        "untranslated",
    ),
    ("대출 과정을 설명하세요.", f"대출은 은행에서 받습니다. {SENTENCE}", "half_translated"),
    ("오늘은 날씨가 참 좋습니다.", "오늘은  날씨가 참 좋습니다. ", "echo"),
    ("오늘 서울의 날씨는 어때요?", "오늘 서울의 날씨는 어때요", "echo"),
    ("오늘 서울의 날씨는 어때요?", "“오늘 서울의 날씨는 어때요?”", "echo"),
    ("'오늘 서울의 날씨는 어때요'", "오늘 서울의 날씨는 어때요 ?", "echo"),
]
LEFT = [
    ("질문", "답이다."),
    ("HTML의 태그를 설명하세요.", "<s>줄을 긋는다</s>"),
    ("질문", "`<|endoftext|>`는 끝을 뜻합니다."),
    ("질문", "```\n{{ name }} <|im_end|>\n```"),
    ("질문", "언어 모델은 다음 낱말을 맞히도록 배운 것입니다."),
    ("사과하는 법", "죄송합니다. 주문을 곧 다시 보내 드리겠습니다."),
    ("질문", "식은 {{{x}}} 이다."),
    ("질문", "저는 삼성전자에서 AI 모델을 개발하고 있습니다."),
    ("질문", "저는 AI 모델 개발자입니다."),
    ("질문", "나는 인공지능 챗봇에 대해 배웠다."),
    ("질문", "제가 소개할 AI 비서는 시리입니다."),
    ("질문", "알파고는 구글이 만든 AI 모델로서 바둑을 둡니다."),
    ("질문", "미안해요, 비가 와도 오지 않을 수는 없었습니다."),
    ("고객에게 보낼 사과 이메일을 작성하세요.", "죄송합니다. 제때 배송할 수 없었습니다."),
    ("초대를 거절하는 문장을 쓰세요.", "미안해, 오늘은 같이 갈 수 없어."),
    ("Write a reply that declines the party.", "I'm sorry, but I can't make it."),
    ("Write a message that declines to help.", "I'm sorry, but I can't help with that."),
    ("도움을 거절하는 메일을 써 줘.", "죄송합니다. 이번에는 도와드릴 수 없습니다."),
    ("Write a letter to a customer.", "I'm sorry, but I cannot provide a refund."),
    ("반품 안내 문자를 작성해 줘.", "죄송합니다. 그 물건은 반품할 수 없습니다."),
    *((asked, answered) for asked, answers in NOT_REFUSED.items() for answered in answers),
    ("q", "I will not do that again."),
    ("질문", "그 회사는 서비스를 제공할 수 없습니다."),
    ("질문", r"분수는 $\frac{{a}}{{b}}$, \frac{{a}}{{b}}, a_{{n}}, x^{{n}}, {{1}}이다."),
    ("질문", "a <| b |> c, [|1; 2|]"),
    ("영화의 명대사는?", f"다음 대사입니다. “{SENTENCE}” 이 말이 유명합니다."),
    ("q", "I can help with that request."),
    ("q", "I cannot answer for him, but he liked it."),
    ("단추 이름은?", "그 단추에는 copy code라고 적혀 있다."),
    ("질문", "```\nreturn {{name}}\n```"),
    ("질문", "하하하 하하하!?"),
    ("!!!!!!!!!!!", "???????????"),
    ("러시아 작가를 나열하세요.", "Толстой, Гоголь"),
    ("'시작'을 러시아어로 쓰세요.", "Начало, начинание, старт, исток"),
    ("이 노래의 가사를 적어 주세요.", SENTENCE),
    ("다음 글을 요약하세요: 韓国の首都はソウルで、人口は約九百万人です。", SENTENCE),
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


@pytest.mark.parametrize(
    ("context", "response"),
    [
        ("I'm sorry, but I cannot provide that.", "죄송하지만 제공할 수 없습니다."),
        ("As a text-based AI, I have no eyes.", "텍스트 기반 AI인 저는 눈이 없습니다."),
        ("죄송합니다. 저는 언어 모델이라서 볼 수 없습니다.", "I'm an AI language model."),
    ],
)
@pytest.mark.parametrize("instruction", ["Translate the following.", "다음 글을 다시 쓰세요."])
def test_a_refusal_in_other_words_was_asked_for(instruction, context, response):
    given = Example(instruction=instruction, context=context, response=response, origin=ORIGIN)
    step = Step(only=("refusal",))
    assert step(given) is given
    assert step(msgspec.structs.replace(given, context="")).reason == "leftovers.refusal"


@pytest.mark.parametrize(
    "context", ["제목: 나들이", "영어 단어로 된 제목", "영어로 번역된 책이다."]
)
def test_a_context_that_only_speaks_of_words_asks_for_none(context):
    given = Example(instruction="요약하세요.", context=context, response=SENTENCE, origin=ORIGIN)
    assert Step()(given).reason == "leftovers.untranslated"


def test_a_context_that_orders_another_language_explains_it():
    given = Example(
        instruction="시키는 대로 하세요.",
        context="이 글을 영어로 번역하세요.",
        response=SENTENCE,
        origin=ORIGIN,
    )
    assert Step()(given) is given


@pytest.mark.parametrize(
    "said",
    [
        {"system": "You translate Korean into English."},
        {"system": "영어로 답하세요."},
        {"history": (Message("user", "이제부터 영어로 번역해 줘."), Message("assistant", "네."))},
    ],
)
def test_what_was_said_before_explains_another_language(said):
    given = Example(instruction="봄이 왔다.", response=SENTENCE, origin=ORIGIN, **said)
    assert Step()(given) is given


def test_an_answer_that_spoke_of_translation_asks_for_none():
    turns = (Message("user", "안녕?"), Message("assistant", "번역해 줄까요?"))
    given = Example(instruction="봄이 왔다.", response=SENTENCE, history=turns, origin=ORIGIN)
    assert Step()(given).reason == "leftovers.untranslated"


@pytest.mark.parametrize("left", ["<|im_end|>", "{{이름}}"])
@pytest.mark.parametrize(
    "field", ["instruction", "context", "response", "system", "rejected", "history", "after"]
)
def test_tokens_and_placeholders_are_found_in_every_text(field, left):
    text = f"안녕하세요 {left}"
    value = (Message("user", text),) if field in ("history", "after") else text
    fields = {"instruction": "질문", "response": "답이다.", field: value}
    verdict = Step()(Example(**fields, origin=ORIGIN))
    assert verdict.reason.startswith("leftovers.")
    assert verdict.message == f"`{field}` holds " + (
        f"`{left}`" if left.startswith("{") else f"the token `{left}`"
    )


@pytest.mark.parametrize("field", ["context", "system", "rejected", "history", "after"])
def test_what_an_answer_says_is_judged_in_the_response_alone(field):
    text = "저는 AI 언어 모델입니다.\nCopy code"
    value = (Message("assistant", text),) if field in ("history", "after") else text
    given = Example(instruction="질문", response="답이다.", origin=ORIGIN, **{field: value})
    assert Step()(given) is given


def test_only_and_except_exclude_each_other():
    with pytest.raises(ValueError, match="not both"):
        Step(only=("echo",), except_=("refusal",))


def test_a_step_that_would_look_for_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing would be looked for"):
        Step(except_=get_args(Name))


def test_the_message_is_one_line():
    verdict = Step()(example("질문", "저는 \x1b[31m 인공지능 모델입니다."))
    assert "\x1b" not in verdict.message
    assert "\n" not in verdict.message


@given(st.text(), st.text(), st.text())
def test_any_text_is_judged(instruction, context, response):
    Step()(Example(instruction=instruction, context=context, response=response, origin=ORIGIN))


@pytest.mark.parametrize(
    "bait",
    [
        "<",
        "[",
        "<|",
        "{{",
        "{{a",
        "{{a}}",
        "```",
        "AI인 ",
        "я ",
        "か",
        "a ",
        "word ",
        "가 ",
        "죄송",
        "저는",
        "AI",
        "a" * 31 + " ",
        '"',
        "“가",
        "<｜",
        "[|",
        "\\a{{a}}",
        "저는 응",
        "메일",
        "write ",
        "죄송합니다 ",
        "시를 작성",
        "때문에 ",
        "입력이 없어 ",
        "I cannot ",
        "번역 ",
        "as an AI made by a ",
        " \n",
    ],
)
def test_long_baits_take_no_time(bait):
    long = bait * (100_000 // len(bait))
    Step()(example("감사 편지를 써 주세요.", long))
    Step()(example(long, long))
