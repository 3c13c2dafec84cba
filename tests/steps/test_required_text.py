"""Examples with a blank field go, and are told."""

import msgspec
import pytest

from dollymix.example import Example
from dollymix.steps.required_text import Step
from tests.helpers import ORIGIN, merge, read_dropped, read_ledger, read_lines, write_lines

EXAMPLE = Example(instruction="i", context="c", response="r", category="open_qa", origin=ORIGIN)


@pytest.mark.parametrize("name", ["instruction", "response"])
@pytest.mark.parametrize("blank", ["", " \r\n", "\u200b"])
def test_a_blank_field_is_filtered(name, blank):
    given = msgspec.structs.replace(EXAMPLE, **{name: blank})
    verdict = Step()(given)
    assert (verdict.outcome, verdict.reason) == ("filtered", "text.blank")
    assert (verdict.origin, verdict.example) == (ORIGIN, given)


@pytest.mark.parametrize("context", ["", "c"])
def test_an_example_that_says_something_is_left_as_it_is(context):
    given = msgspec.structs.replace(EXAMPLE, context=context)
    assert Step()(given) is given


def test_the_fields_may_be_chosen():
    blank = msgspec.structs.replace(EXAMPLE, context="")
    assert Step(fields=("context",))(blank).reason == "text.blank"
    assert Step(fields=("context",))(EXAMPLE) is EXAMPLE


def test_rows_without_a_context_go_and_are_told(tmp_path):
    rows = [{"instruction": "a", "input": "c", "output": "o"}, {"instruction": "b", "output": "o"}]
    write_lines(tmp_path / "a.json", rows)
    recipe = """
version: 1
sources: [{name: a, files: [a.json]}]
steps: [{required_text: {fields: [context]}}]
"""
    merge(recipe, tmp_path / "out")
    assert [line["instruction"] for line in read_lines(tmp_path / "out")] == ["a"]
    assert read_ledger(tmp_path / "out")["total"]["filtered"] == {"required_text/text.blank": 1}
    (row,) = read_dropped(tmp_path / "out")
    assert (row["id"], row["outcome"], row["step"]) == ("a/a.json#1", "filtered", "required_text")


@pytest.mark.parametrize(
    ("options", "words"),
    [({"fields": []}, "length >= 1")],
)
def test_options_that_would_do_nothing_or_take_all_are_refused(options, words):
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(options, Step)
