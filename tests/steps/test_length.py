"""Too short and too long, in characters, words and tokens."""

import json

import msgspec
import pytest

import dollymix
from dollymix.errors import RecipeError, UsageError
from dollymix.example import Example
from dollymix.steps.length import Bounds, Step
from tests.helpers import ORIGIN, write_lines, write_text

EXAMPLE = Example(instruction="가나 다", context="", response="한 두 세", origin=ORIGIN)


@pytest.fixture
def tokenizer(tmp_path):
    """A tokenizer of words, as a file."""
    pytest.importorskip("tokenizers")
    model = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"},
    }
    return str(write_text(tmp_path / "tokenizer.json", json.dumps(model)))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, None),
        ({"response": Bounds(5, 5)}, None),
        ({"response": Bounds(max=4)}, "length.too_long"),
        ({"response": Bounds(min=6)}, "length.too_short"),
        ({"instruction": Bounds(max=3)}, "length.too_long"),
        ({"context": Bounds(min=1)}, None),
        ({"all": Bounds(max=9)}, None),
        ({"all": Bounds(max=8)}, "length.too_long"),
        ({"all": Bounds(min=10)}, "length.too_short"),
        ({"unit": "words", "response": Bounds(3, 3)}, None),
        ({"unit": "words", "response": Bounds(max=2)}, "length.too_long"),
        ({"unit": "words", "all": Bounds(min=6)}, "length.too_short"),
    ],
)
def test_bounds_are_kept(options, reason):
    answer = Step(**options)(EXAMPLE)
    if reason is None:
        assert answer is EXAMPLE
    else:
        assert (answer.outcome, answer.reason) == ("filtered", reason)


def test_an_empty_response_is_too_short_and_a_short_context_too():
    given = msgspec.structs.replace(EXAMPLE, context="c", response="")
    assert Step(response=Bounds(min=1))(given).reason == "length.too_short"
    assert Step(context=Bounds(min=2))(given).message == "`context` has 1 characters, fewer than 2"


def test_tokens_are_counted(tokenizer):
    step = Step(unit="tokens", tokenizer=tokenizer, all=Bounds(max=5))
    assert step(EXAMPLE) is EXAMPLE
    longer = msgspec.structs.replace(EXAMPLE, context="c")
    assert step(longer).message.endswith("have 6 tokens, more than 5")


def test_what_is_no_tokenizer_is_told(tmp_path):
    pytest.importorskip("tokenizers")
    path = write_text(tmp_path / "tokenizer.json", "{}")
    step = Step(unit="tokens", tokenizer=str(path), all=Bounds(max=5))
    with pytest.raises(UsageError, match="is no tokenizer"):
        step(EXAMPLE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("unit: tokens", "needs `tokenizer`"),
        ("tokenizer: pyproject.toml", "is for `unit: tokens`"),
        ("response: {mim: 3}", "unknown field"),
    ],
)
def test_options_that_do_not_go_together_are_told_with_the_line(options, words, tmp_path):
    write_lines(tmp_path / "a.json", [{"instruction": "a", "output": "o"}])
    recipe = write_text(
        tmp_path / "r.yaml",
        f"version: 1\nsources: [{{name: a, files: [a.json]}}]\nsteps:\n  - length: {{{options}}}\n",
    )
    with pytest.raises(RecipeError, match=words) as caught:
        dollymix.merge(recipe, tmp_path / "out", workers=1)
    assert "r.yaml:4:" in str(caught.value)


def test_a_tokenizer_is_named_relative_to_the_recipe(tmp_path, tokenizer):
    folder = tmp_path / "x"
    write_lines(folder / "a.json", [{"instruction": "a", "output": "b c d e"}])
    for name, written in (("../tokenizer.json", 0), ("tokenizer.json", None)):
        step = f"{{unit: tokens, tokenizer: {name}, all: {{max: 4}}}}"
        recipe = write_text(
            folder / "r.yaml",
            f"version: 1\nsources: [{{name: a, files: [a.json]}}]\nsteps: [length: {step}]\n",
        )
        if written is None:
            with pytest.raises(UsageError, match="is no tokenizer"):
                dollymix.merge(recipe, tmp_path / "out", workers=1)
            continue
        built = dollymix.merge(recipe, tmp_path / "out", workers=1, allow_empty=True)
        assert built.ledger.total().filtered == {"length/length.too_long": 1}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"response": {"min": 10, "max": 2}}, "`min` is 10, more than `max`, 2"),
        ({"all": {"max": -1}}, ">= 0"),
    ],
)
def test_options_that_would_do_nothing_or_take_all_are_refused(options, words):
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(options, Step)
