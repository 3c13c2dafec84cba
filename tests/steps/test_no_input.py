"""Words that say there is no input or output."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dollymix.example import Example
from dollymix.steps.no_input import Step
from tests.helpers import ORIGIN, merge, read_ledger


def example(context="", response="답", **more):
    return Example(instruction="질문", context=context, response=response, origin=ORIGIN, **more)


SAID = [
    "No input", "Noinput", "NoInput", "noinput", "No Input", "<No input>",
    "<no input>", "< noinput >",
    "<No Input>.", "\\<noinput\\>", "{\\noinput}", '"<noinput>"', "[noinput]", "(No input)",
    "<noinput", "No input required.", "입력 없음", "<입력 없음>", "입력이 없습니다.",
    "입력이 필요하지 않습니다.", "입력 필요 없음", "`<노인입력>`", '"<노인입력>"', "<닌입력>",
    "入力なし", "无输入",
    "＜입력 없음＞", "（入力なし）", "『입력 없음』", "【노인풋】", "《無輸入》",
    "입력 없음\u200b", "입력\u200b없음", "\ufeff입력 없음",
    "no_input", "no-input", "<no_input>", "NO_INPUT",
    "입력: 없음", "입력：없음", "Input: none", "입력값이 없음",
    "추가 입력 없음", "인풋 없음", "입력 내용 없음",
    "입력이 제공되지 않았습니다.", "입력이 주어지지 않았습니다", "입력은 없습니다.",
    "입력 데이터 없음",
    "Input: N/A", "입력 : N/A", "Input: <noinput>", "No additional input needed.", "input: 없음",
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        *SAID,
        "N/A",
        "None",
        "없음",
        "해당 없음",
        "n/a.",
        "【無】",
        "（なし）",
        "Not applicable",
        "not-applicable.",
    ],
)
def test_such_a_context_is_emptied(text):
    assert Step()(example(text)) == example("")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "펜이 없습니다.",
        "NA",
        "Na",
        "입력 장치",
        "no",
        "noinput 8",
        "Canada",
        "없음 2",
        "input",
        "입력:",
        "_",
        "【】",
        "입력 없음 2",
    ],
)
def test_another_context_stays(text):
    given = example(text)
    assert Step()(given) is given


@pytest.mark.parametrize("text", [*SAID, "<nooutput>", "No Output", "출력 없음"])
def test_such_a_response_is_filtered(text):
    verdict = Step()(example(response=text))
    assert (verdict.outcome, verdict.reason) == ("filtered", "text.no_output")


@pytest.mark.parametrize(
    "text",
    [
        "None",
        "없음",
        "해당 없음",
        "N/A",
        "오류 없음",
        "No",
        "나트륨",
        "【無】",
        "Not applicable",
        "Output: None",
        "NA",
    ],
)
def test_what_can_be_an_answer_stays(text):
    given = example(response=text)
    assert Step()(given) is given


def test_languages_and_more_spellings_are_chosen():
    assert Step(languages=("ko",))(example("No input")) == example("No input")
    assert Step(also=("자료 없음",))(example("<자료 없음>")) == example("")
    assert Step(also=("자료 없음",))(example(response="자료없음.")).reason == "text.no_output"
    long = "There is no additional input that is required for this instruction to work"
    assert Step(also=(long,))(example(f"<{long}.>")) == example("")


@pytest.mark.parametrize("options", [{"also": ("...",)}, {"also": (" ",)}, {"languages": ()}])
def test_options_that_find_nothing_are_refused(options):
    with pytest.raises(ValueError, match=r"without a letter|nothing would be found"):
        Step(**options)


def test_a_language_of_ones_own_is_enough():
    assert Step(languages=(), also=("kein",))(example("kein")) == example("")


def test_a_context_that_holds_a_marked_answer_stays():
    given = example("없음", "없음", answer_start=0)
    assert Step()(given) is given


@given(st.text(), st.text())
def test_any_text_is_judged(context, response):
    Step()(example(context, response))


def test_the_spellings_of_the_real_sets_are_known(shared, tmp_path):
    file = shared / "data" / "alpaca_ko" / "ko_alpaca_data.12761.json"
    merge(
        f"version: 1\nsources: [{{name: a, files: [{file}]}}]\nsteps: [no_input]\n",
        tmp_path / "out",
    )
    total = read_ledger(tmp_path / "out")["total"]
    assert total["changed"] == {"no_input": 161}
    assert total["filtered"] == {"no_input/text.no_output": 3}
