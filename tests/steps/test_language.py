"""Texts in other scripts and languages than those that stay."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dollymix.example import Example
from dollymix.steps.language import Step
from tests.helpers import ORIGIN

KOREAN = "이 글은 한국어로 쓴 글이며, 무엇을 말하는지는 그리 중요하지 않습니다. " * 4
ENGLISH = "This text is written in English, and what it says is of no importance at all. " * 4
FRENCH = "Ce texte est écrit en français, et ce qu'il dit n'a pas la moindre importance ici. " * 4
CODE = "```python\n" + "result = compute_something(value)\n" * 10 + "```"


def example(response, instruction="질문"):
    return Example(instruction=instruction, response=response, origin=ORIGIN)


@pytest.mark.parametrize(
    "text", [ENGLISH, "Привет, как дела? " * 10, "これは日本語の文章です。" * 10]
)
def test_another_script_is_filtered(text):
    verdict = Step()(example(text))
    assert (verdict.outcome, verdict.reason) == ("filtered", "language.other")


@pytest.mark.parametrize(
    "text",
    [
        KOREAN,
        "Barack Obama",
        KOREAN[:50] + "\n" + CODE,
        CODE,
        "답은 $" + "\\alpha + " * 30 + "$",
        "<table>" + "<td class='wide'>값</td>" * 30 + "</table>",
        "1234567890 " * 100,
        "",
    ],
)
def test_the_languages_own_short_text_and_code_stay(text):
    given = example(text)
    assert Step()(given) is given


def test_languages_fields_and_bounds_are_chosen():
    given = example(ENGLISH)
    assert Step(languages=("ko", "en"))(given) is given
    assert Step(share=0)(given) is given
    assert Step(least=10_000)(given) is given
    assert Step(fields=("instruction",))(given) is given
    asked = example("답", ENGLISH)
    assert Step(fields=("instruction",))(asked).message.startswith("`instruction` has 0%")


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match=r"holds .xx., not codes of ar, bg"):
        Step(languages=("xx",))


def test_the_identifier_tells_languages_of_one_script_apart():
    pytest.importorskip("py3langid")
    step = Step(languages=("en",), identifier=True)
    given = example(ENGLISH)
    assert step(given) is given
    assert step(example(FRENCH)).reason == "language.identified"
    assert Step(languages=("en",))(example(FRENCH)) == example(FRENCH)


@pytest.mark.parametrize("said", ["이 코드는 1을 더합니다.", "Ce code ajoute une unité.", ""])
def test_what_is_short_without_its_code_is_not_identified(said):
    pytest.importorskip("py3langid")
    given = example(f"{said}\n{CODE}")
    assert Step(languages=("en",), identifier=True)(given) is given


def test_a_missing_package_is_told_with_the_command(monkeypatch):
    monkeypatch.setattr("dollymix.steps.language.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'dollymix\[language\]'"):
        Step(identifier=True)


@given(st.text(max_size=400))
def test_what_comes_first_never_hides_another_language(text):
    step = Step(least=5)
    if step._is_surely_wanted(text):
        assert step._judge(text) is None


@pytest.mark.parametrize("bait", ["a", "`", "$", "\\(", "\\[", "<", "<a", "https://", "\\a", ";\n"])
def test_long_baits_take_no_time(bait):
    Step()(example(bait * (100_000 // len(bait))))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"share": 5}, "<= 1.0"),
        ({"share": -1}, ">= 0.0"),
        ({"least": 0}, ">= 1"),
        ({"fields": []}, "length >= 1"),
    ],
)
def test_options_that_would_do_nothing_or_take_all_are_refused(options, words):
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(options, Step)
