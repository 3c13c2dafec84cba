"""What holds for the steps that clean and judge, whatever a text holds."""

import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dollymix import steps
from dollymix.example import Example
from dollymix.ledger import Verdict
from tests.helpers import ORIGIN

FIELDS = ("instruction", "context", "response")
MADE = {
    "normalize": {},
    "normalize, nfc": {"form": "nfc"},
    "no_input": {"also": ("x",)},
    "length": {"response": {"min": 2, "max": 20}, "all": {"max": 50}},
    "length, words": {"unit": "words", "context": {"min": 2}},
    "repetition": {"fields": FIELDS, "least": 5},
    "language": {"fields": FIELDS, "least": 5},
    "leftovers": {},
    "personal_data": {},
    "personal_data, mask": {"action": "mask"},
    "personal_data, drop": {"action": "drop"},
}
BAITS = (
    "1", "a@", "@a.", "1.1.1.1.", "010-1234-5678", "2001:", "<", "[", "<|", "{{a", "`", "$", "\\(",
    "https://", ";\n", "a ", "word ", "가 ", "\r", "\u200d", " ", "\n", "e\u0301", "\u0301",
    "I am ",
)  # fmt: skip
each = pytest.mark.parametrize("name", MADE)


def made(name):
    import msgspec

    return msgspec.convert(MADE[name], steps.load(name.partition(",")[0]).Step)


@each
@given(texts=st.tuples(*[st.text(max_size=200)] * 3), start=st.integers(0, 50) | st.none())
def test_none_raises_and_none_changes_what_it_is_given(name, texts, start):
    given = Example(**dict(zip(FIELDS, texts, strict=True)), origin=ORIGIN, answer_start=start)
    before = pickle.dumps(given)
    answer = made(name)(given)
    assert isinstance(answer, Example | Verdict)
    assert pickle.dumps(given) == before
    assert "\n" not in (answer.message if isinstance(answer, Verdict) else "")


@each
@pytest.mark.parametrize("bait", BAITS)
def test_a_long_text_takes_time_by_its_length(name, bait):
    long = bait * (100_000 // len(bait))
    step = made(name)
    before = time.process_time()
    step(Example(instruction="편지를 쓰세요.", context=long, response=long, origin=ORIGIN))
    step(Example(instruction=long, response="가" + long, origin=ORIGIN))
    # They take less than one; what grows with the square takes minutes.
    assert time.process_time() - before < 20


@each
def test_a_step_that_was_used_can_be_sent_to_a_worker(name):
    step = made(name)
    given = Example(instruction="질문", context="글", response="답이다", origin=ORIGIN)
    answer = step(given)
    again = pickle.loads(pickle.dumps(step))
    assert again == step
    assert again(given) == answer
