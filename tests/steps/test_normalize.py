"""What shows nothing goes; what says something stays."""

import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dollymix.example import Example
from dollymix.steps.normalize import Step
from tests.helpers import ORIGIN, merge, read_ledger, read_lineage, read_lines, write_lines


def normal(text, **options):
    return Step(**options)(Example(instruction=text, response="r", origin=ORIGIN)).instruction


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("a\r\r\nb", "a\n\nb"),
        ("a\x0bb\x0cc\u2028d\u2029e", "a\nb\nc\nd\ne"),
        ("  글 \n", "글"),
        ("\n\n글", "글"),
        ("\u3000글\xa0", "글"),
        ("    def f():\n        return 1", "    def f():\n        return 1"),
        ("\n    a\n    b\n", "    a\n    b"),
        ("    a\nb", "a\nb"),
        (
            "가\u200b나\ufeff다\u00ad라\u2060마\u200e바\u202a사\u2066아\u2063자",
            "가나다라마바사아자",
        ),
        ("\ufeff글", "글"),
        ("a\x00b\x08c\x1bd\x7fe\tf", "abcde\tf"),
        ("가\u200d나\u200c다", "가나다"),
        ("a\u200d 👍", "a 👍"),
        ("\U000e0041숨은\U000e007f", "숨은"),
        ("\u200b \u200b", ""),
        ("Ã\xa0x\xa0", "Ã\xa0x"),
        ("À la\xad fin, GRÖ\xadSSE\xa0", "À la fin, GRÖSSE"),
    ],
)
def test_it_is_put_in_order(text, made):
    assert normal(text) == made
    assert normal(made or "x") == (made or "x")


@pytest.mark.parametrize(
    "text",
    [
        "👩‍🚀 👨‍👩‍👧‍👦 🏳️‍🌈 ❤️ 1️⃣",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "می‌خواهم",
        "क्‍ष",
        "ᄇᆡ 어ᄄᅠᆫ",
        "ㄱ ㅋㅋ ① ﾊﾝ ＡＢ",
        "年六 \uf98e \uf9d1",
        "葛\U000e0100",
        "Ã©Â\x85 \ufffd Ã\x85",
        "aquÃ\xad",
        "aquÃ\xad y allÃ\xad",
        "í•œêµ\xadì–´",
        "voilÃ\xa0",
        "í•œë²\xa0",
        "ÇÑ±Û\xad",
        "가\tb\n\n나  다",
    ],
)
def test_what_says_something_stays_and_is_the_same_object(text):
    example = Example(instruction=text, context=text, response=text, origin=ORIGIN)
    assert Step()(example) is example


def test_the_form_is_composed_on_request_alone():
    decomposed = unicodedata.normalize("NFD", "한글 é")
    assert normal(decomposed) == decomposed
    assert normal(decomposed, form="nfc") == "한글 é"


@pytest.mark.parametrize("text", ["\uf98e年\uf9d1", "ᄇᆡ", "ㄱ①Ａ", "\U0002f800", "ascii"])
def test_nfc_leaves_compatibility_hanja_old_hangul_and_signs(text):
    example = Example(instruction=text, response="r", origin=ORIGIN)
    assert Step(form="nfc")(example) is example


@pytest.mark.parametrize(
    ("context", "response", "start", "moved"),
    [
        ("\u200b앞\r\n답은 이것", "답은", 4, 2),
        ("  앞 답", " 답", 3, 2),
        ("앞\n 답\r", "\n 답", 1, 3),
        ("앞 답\u200b안", "답\u200b안", 2, 2),
        ("\ufeff답 앞 답", "답", 5, 4),
    ],
)
def test_the_answer_is_found_where_it_is_said(context, response, start, moved):
    assert context[start:].startswith(response)
    given = Example(
        instruction="i", context=context, response=response, origin=ORIGIN, answer_start=start
    )
    made = Step()(given)
    assert made.answer_start == moved
    assert made.context[moved:].startswith(made.response)


def test_a_place_that_is_lost_is_told():
    given = Example(instruction="i", context="가\r나", response="\r", origin=ORIGIN, answer_start=1)
    made = Step()(given)
    assert (made.answer_start, made.flags) == (None, ("qa.answer_start_lost",))


ODD = st.text(
    alphabet=st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from(
            "Ãê€Ç±"
            "\r\n\t \x00\x0c\x85\xa0\u00ad\u061c\u115f\u200b\u200c\u200d\u200e\u2028\u2060\ufe0f"
            "\ufeff\U000e0041\U000e007f🏴👩🚀अ가나"
        ),
    )
)


@given(ODD)
@pytest.mark.parametrize("form", ["none", "nfc"])
def test_once_is_enough(form, text):
    made = normal(text, form=form)
    assert normal(made, form=form) == made


@given(st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1))
def test_hangul_never_changes(text):
    assert normal(text, form="nfc") is text


@given(
    st.text(st.characters(min_codepoint=0xF900, max_codepoint=0xFA6D), min_size=1),
    st.lists(st.sampled_from(["👩‍🚀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽"]), min_size=1),
)
def test_hanja_and_emoji_never_change(hanja, emoji):
    text = hanja + "".join(emoji) + hanja
    assert normal(text, form="nfc") == text


@given(ODD, ODD, st.data())
def test_a_carried_answer_is_always_found(context, response, data):
    start = data.draw(st.integers(0, len(context)))
    whole = context[:start] + response + context[start:]
    made = Step()(
        Example(
            instruction="i", context=whole, response=response, origin=ORIGIN, answer_start=start
        )
    )
    if made.answer_start is not None:
        assert made.context[made.answer_start :].startswith(made.response)
    else:
        assert made.flags == ("qa.answer_start_lost",)


@pytest.mark.parametrize(
    "bait", ["\r", "\u200d", "\u200b", " ", "\U000e0041", "e\u0301", "\u0301", "\uf98e\u0301"]
)
def test_long_baits_take_no_time(bait):
    normal(bait * 100_000)
    normal(bait * 100_000, form="nfc")


def test_changes_are_counted_and_stand_in_the_lineage(tmp_path):
    rows = [{"instruction": "가\r\n나", "output": "o"}, {"instruction": "가", "output": "o"}]
    write_lines(tmp_path / "a.json", rows)
    recipe = "version: 1\nsources: [{name: a, files: [a.json]}]\nsteps: [normalize]\n"
    merge(recipe, tmp_path / "out")
    assert [line["instruction"] for line in read_lines(tmp_path / "out")] == ["가\n나", "가"]
    total = read_ledger(tmp_path / "out")["total"]
    assert (total["changed"], total["changed_characters"]) == ({"normalize": 1}, {"normalize": -1})
    assert [row["steps"] for row in read_lineage(tmp_path / "out")] == [["normalize"], None]


def test_a_field_that_becomes_empty_is_left_to_the_next_step():
    given = Example(instruction="\u200b", response="r", origin=ORIGIN)
    assert Step()(given) == msgspec.structs.replace(given, instruction="")


def test_on_real_pages_every_answer_is_still_where_it_is_said(shared, tmp_path):
    files = ["korquad1/KorQuAD_v1.0_dev.json", "korquad2/korquad2.1_train_00.first2.json"]
    sources = "".join(
        f"  - {{name: s{number}, files: [{shared / 'data' / file}]}}\n"
        for number, file in enumerate(files)
    )
    recipe = f"version: 1\nsources:\n{sources}steps: [{{normalize: {{form: nfc}}}}]\n"
    merge(recipe, tmp_path / "out")
    total = read_ledger(tmp_path / "out")["total"]
    assert total["written"] == 5776
    assert total["changed"]["normalize"] > 200
    assert "qa.answer_start_lost" not in total["warnings"]
    pairs = zip(read_lines(tmp_path / "out"), read_lineage(tmp_path / "out"), strict=True)
    assert all(
        line["context"][row["answer_start"] :].startswith(line["response"]) for line, row in pairs
    )
