"""Texts change alike, and the answer's place goes with them."""

from dollymix.example import Example, Message
from dollymix.rewrite import LOST, rewritten, texts
from tests.helpers import ORIGIN


def drop_x(text):
    changed = text.replace("x", "")
    return text if changed == text else changed


def test_nothing_to_change_gives_the_same_object():
    given = Example(instruction="i", context="c", response="r", origin=ORIGIN, answer_start=0)
    assert rewritten(given, drop_x) is given


def test_every_text_is_changed():
    given = Example(
        instruction="ix",
        context="cx",
        response="rx",
        origin=ORIGIN,
        system="sx",
        rejected="jx",
        history=(Message("user", "hx"), Message("user", "h")),
        after=(Message("user", "ax"),),
    )
    made = rewritten(given, drop_x)
    assert [text for _, text in texts(made)] == ["i", "c", "r", "s", "j", "h", "h", "a"]
    assert made.history[1] is given.history[1]
    assert made.flags == ()


def test_the_place_of_the_answer_is_carried():
    given = Example(
        instruction="i", context="xx앞 답x 뒤 답x", response="답x", origin=ORIGIN, answer_start=9
    )
    assert given.context[9:].startswith("답x")
    made = rewritten(given, drop_x)
    assert (made.answer_start, made.context[made.answer_start :]) == (6, "답")


def test_a_place_that_is_not_certain_is_left_out_and_told():
    def cut(text):
        return "다른 글" if "답" in text and len(text) > 1 else text

    given = Example(instruction="i", context="앞 답", response="답", origin=ORIGIN, answer_start=2)
    made = rewritten(given, cut)
    assert (made.answer_start, made.flags) == (None, (LOST,))


def test_a_blank_answer_has_no_place():
    given = Example(instruction="i", context="ax", response="x", origin=ORIGIN, answer_start=1)
    assert rewritten(given, drop_x).answer_start is None
