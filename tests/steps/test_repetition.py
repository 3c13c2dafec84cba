"""Answers that say the same again and again."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dollymix.example import Example
from dollymix.steps.repetition import Step
from tests.helpers import ORIGIN

PLAIN = " ".join(f"낱말{number}" for number in range(60))


def example(response, context=""):
    return Example(instruction="질문", context=context, response=response, origin=ORIGIN)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("하나 둘 셋 넷 다섯 여섯 일곱\n" * 10, "repetition.lines"),
        ("같은 말을 하고 또 하고 다시 해요. " * 10, "repetition.ngrams"),
        ("ㅋ" * 500, "repetition.ngrams"),
        ("하하호호" * 200, "repetition.ngrams"),
        ("아무말" * 200, "repetition.ngrams"),
        ("我不知道。" * 100, "repetition.ngrams"),
    ],
)
def test_a_stuck_answer_is_filtered(text, reason):
    verdict = Step()(example(text))
    assert (verdict.outcome, verdict.reason) == ("filtered", reason)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "네. 네. 네.",
        PLAIN,
        PLAIN + "\n" + PLAIN,
        "```\n" + "x = x + 1\n" * 50 + "```",
        "x = f(x) + 1;\n" * 50,
        "| 가 | 나 |\n" * 50,
        PLAIN + "\n-----\n-----\n-----\n",
        PLAIN + "\n" + "후렴이다 후렴이야 즐거운 후렴\n" * 4,
    ],
)
def test_another_answer_stays(text):
    given = example(text)
    assert Step()(given) is given


def test_fields_and_bounds_are_chosen():
    given = example("답", "같은 말을 하고 또 하고 다시 해요. " * 10)
    assert Step()(given) is given
    assert Step(fields=("context",))(given).reason == "repetition.ngrams"
    assert Step(fields=("context",), ngrams=1)(given) is given
    assert Step(fields=("context",), times=11)(given) is given
    assert Step(fields=("context",), least=1000)(given) is given


@given(st.text(alphabet=st.sampled_from("가나 \n|`-a1"), max_size=300))
@pytest.mark.parametrize("times", [2, 3, 4])
def test_what_comes_first_never_hides_what_repeats(times, text):
    """The screens before the exact count are sound: without them, the same is found."""
    step = Step(times=times, least=1)
    found = step._judge(text)
    unscreened = type("Open", (Step,), {"_may_run": lambda self, words, distinct: True})
    assert unscreened(times=times, least=1)._judge(text) == found


@pytest.mark.parametrize("bait", ["a", "a ", "a\n", "`", "```", "가나다 ", "\\(", "$", "<", "; "])
def test_long_baits_take_no_time(bait):
    Step()(example(bait * (100_000 // len(bait))))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lines": -1}, ">= 0.0"),
        ({"ngrams": 2}, "<= 1.0"),
        ({"times": 0}, ">= 2"),
        ({"least": 0}, ">= 1"),
        ({"fields": []}, "length >= 1"),
    ],
)
def test_options_that_would_do_nothing_or_take_all_are_refused(options, words):
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(options, Step)
