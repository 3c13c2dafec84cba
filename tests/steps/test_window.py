"""A window holds the answer, fits, and is cut where a text may be cut."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dollymix.errors import RecipeError
from dollymix.example import Example
from dollymix.steps import html
from dollymix.steps.window import Step
from tests.helpers import ORIGIN, merge, read_ledger, read_lines, write_json, write_text
from tests.steps.test_html import PAGES


def example(context, response="", answer_start=None):
    return Example(
        instruction="질문",
        context=context,
        response=response or "없음",
        answer_start=answer_start,
        origin=ORIGIN,
    )


def around(context, answer, **options):
    """The example behind the step, whose answer is the first of that text."""
    return Step(**options)(example(context, answer, context.index(answer)))


PROSE = "하나이다. 둘이다. 셋이다! 넷인가? 다섯이다."
TABLE = "\n".join(
    ["| 해 | 수 |", "| --- | --- |", *(f"| {year} | 값{year} |" for year in range(1990, 2000))]
)
CUTS = {
    "sentences": (PROSE, "셋", 13, "둘이다. 셋이다!"),
    "the first sentence": (PROSE, "하나", 11, "하나이다. 둘이다."),
    "the last sentence": (PROSE, "다섯", 14, "넷인가? 다섯이다."),
    "lines": ("가나\n\n다라\n마바\n사아", "마", 6, "다라\n마바"),
    "no cut at numbers": ("앞이다. 2019. 5. 3. 뒤 1. 답", "답", 20, "2019. 5. 3. 뒤 1. 답"),
    "a heading stays with what follows": (
        "가나다\n\n## 제목\n\n답이다\n\n라",
        "답",
        10,
        "## 제목\n\n답이다",
    ),
    "no heading at the end": ("답이다\n\n## 제목\n\n라마바사", "답", 11, "답이다"),
    "a table keeps its header": (
        TABLE,
        "값1995",
        60,
        "| 해 | 수 |\n| --- | --- |\n| 1994 | 값1994 |\n| 1995 | 값1995 |",
    ),
    "a header that does not fit": (TABLE, "값1995", 20, "| 1995 | 값1995 |"),
    "code by lines": ("```\na = 1. b\nc = 2\n```\n끝", "c", 10, "c = 2\n```"),
    "a long sentence between words": ("하나 둘 셋 답 넷 다섯 여섯", "답", 7, "둘 셋 답 넷"),
    "one long word": ("가나다라마바사", "라", 3, "라"),
}


@pytest.mark.parametrize("case", CUTS)
def test_the_window_is_cut_where_a_text_may_be_cut(case):
    context, answer, characters, expected = CUTS[case]
    made = around(context, answer, characters=characters)
    assert (made.context, made.flags) == (expected, ())
    assert made.context.startswith(answer, made.answer_start)


def test_a_context_that_fits_is_the_same_object():
    given_ = example(PROSE, "셋", PROSE.index("셋"))
    assert Step(characters=len(PROSE))(given_) is given_
    assert Step()(given_) is given_


def test_an_answer_that_is_longer_stays_whole_and_says_so():
    made = around("앞 문장이다. 아주 긴 답 뒤 문장이다.", "아주 긴 답", characters=3)
    assert (made.context, made.answer_start) == ("아주 긴 답", 0)
    assert made.flags == ("window.exceeded",)


def test_the_row_of_an_answer_is_not_cut():
    made = around(TABLE, "값1995", characters=8)
    assert (made.context, made.flags) == ("| 1995 | 값1995 |", ("window.exceeded",))
    assert made.context.startswith("값1995", made.answer_start)


@pytest.mark.parametrize("place", [None, -1, 3, 10_000])
def test_without_a_true_place_the_head_stays(place):
    made = Step(characters=12)(example(PROSE, "없음", place))
    assert (made.context, made.answer_start) == ("하나이다. 둘이다.", None)


def test_the_head_of_one_long_word_is_cut():
    assert Step(characters=3)(example("가나다라마바사")).context == "가나다"


def test_a_window_of_the_second_of_two_alike_answers():
    context = "답이다. 가이다. 나이다. 답이다."
    made = Step(characters=10)(example(context, "답", context.rindex("답")))
    assert (made.context, made.answer_start) == ("나이다. 답이다.", 5)


BLOCKS = st.lists(
    st.sampled_from(["가이다.", "나 다 라?", "긴 말이 이어지다가 끝난다.", "- 하나", "## 제목"])
    | st.lists(st.sampled_from(["| 1 | 2 |", "| a\\|b | 긴 칸 |"]), min_size=1, max_size=4).map(
        lambda rows: "\n".join(["| 가 | 나 |", "| --- | --- |", *rows])
    )
    | st.text(alphabet="가나. \n|-", max_size=12),
    min_size=1,
    max_size=10,
).map("\n\n".join)


@given(BLOCKS, st.data(), st.integers(1, 60))
def test_a_window_fits_and_holds_the_answer(context, data, characters):
    if not context:
        return
    start = data.draw(st.integers(0, len(context) - 1))
    end = data.draw(st.integers(start + 1, min(len(context), start + 30)))
    answer = context[start:end]
    made = Step(characters=characters)(example(context, answer, start))
    assert made.context.startswith(answer, made.answer_start)
    first = context.rfind("\n", 0, start) + 1
    in_row = context[first:].lstrip(" \t").startswith("|") or "|" in answer
    if made.flags:
        assert made.flags == ("window.exceeded",)
        assert len(answer) > characters or in_row
    else:
        assert len(made.context) <= characters
    if len(context) <= characters:
        assert made.context == context


@given(BLOCKS, st.integers(5, 60))
def test_a_window_is_made_of_whole_rows(context, characters):
    made = Step(characters=characters)(example(context))
    rows = {line.strip() for line in context.split("\n") if line.strip().startswith("|")}
    cut = [line for line in made.context.split("\n") if line.strip().startswith("|")]
    assert all(line.strip() in rows for line in cut)
    assert made.context == context or context.startswith(made.context)


@given(BLOCKS, st.integers(1, 60))
def test_a_window_of_a_window_is_the_same(context, characters):
    step = Step(characters=characters)
    once = step(example(context))
    again = step(once)
    assert again.context == once.context


# --- tokens ---

# How a byte-level tokenizer spells the 256 bytes.
PRINTED = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = [chr(byte) for byte in PRINTED] + [chr(256 + i) for i in range(256 - len(PRINTED))]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """A tokenizer of words, punctuation apart."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return str(path)


def test_a_window_of_tokens(tokenizer):
    made = around(PROSE, "셋", tokens=4, tokenizer=tokenizer)
    assert made.context == "둘이다. 셋이다!"
    given_ = example(PROSE, "셋", PROSE.index("셋"))
    assert Step(tokens=10, tokenizer=tokenizer)(given_) is given_


@given(context=BLOCKS, tokens=st.integers(1, 30), start=st.integers(0, 100))
def test_a_window_of_tokens_fits(tokenizer, context, tokens, start):
    from tokenizers import Tokenizer

    answer = context[start : start + 3]
    if not answer:
        return
    made = Step(tokens=tokens, tokenizer=tokenizer)(example(context, answer, start))
    count = len(Tokenizer.from_file(tokenizer).encode(made.context).ids)
    assert made.context.startswith(answer, made.answer_start)
    assert count <= tokens or made.flags == ("window.exceeded",)


def test_a_window_of_pieces_of_letters_fits(tmp_path):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    made = Tokenizer(models.BPE({byte: i for i, byte in enumerate(BYTES)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = decoders.ByteLevel()
    made.save(str(tmp_path / "t.json"))
    for tokens in range(1, 60):
        found = around(PROSE, "셋", tokens=tokens, tokenizer=str(tmp_path / "t.json"))
        assert found.context.startswith("셋", found.answer_start)
        count = len(made.encode(found.context).ids)
        assert count <= tokens or (found.context, found.flags) == ("셋", ("window.exceeded",))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"characters": 5, "tokens": 5, "tokenizer": "t"}, "not both"),
        ({"tokens": 5}, "go together"),
        ({"tokenizer": "t"}, "go together"),
        ({"characters": 0}, ">= 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, options, said):
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(options, Step)
    write_json(tmp_path / "a.json", [{"instruction": "a", "output": "b"}])
    text = json.dumps(
        {
            "version": 1,
            "sources": [{"name": "a", "files": ["a.json"]}],
            "steps": [{"window": options}],
        }
    )
    write_text(tmp_path / "r.yaml", text)
    with pytest.raises(RecipeError, match=said):
        merge(str(tmp_path / "r.yaml") and text, tmp_path / "out")


def test_a_tokenizer_is_named_relative_to_the_recipe(tmp_path, tokenizer):
    write_json(tmp_path / "a.json", [{"instruction": "a", "input": PROSE, "output": "b"}])
    write_text(tmp_path / "t.json", Path(tokenizer).read_text())
    recipe = """version: 1
sources: [{name: a, files: [a.json]}]
steps: [{window: {tokens: 4, tokenizer: t.json}}]
"""
    merge(recipe, tmp_path / "out")
    (line,) = read_lines(tmp_path / "out")
    assert line["context"] == "하나이다. 둘이다."


# --- in a build, and on real pages ---


def test_a_build_counts_what_was_cut(tmp_path):
    page = "<p>앞이다. 또 앞이다.</p><p>답은 <b>가</b>이다.</p><p>뒤이다.</p>"
    answer = {"text": "<b>가</b>", "answer_start": page.index("<b>가")}
    qas = [{"id": "1", "question": "무엇?", "answer": answer}]
    write_json(tmp_path / "k.json", {"data": [{"title": "t", "context": page, "qas": qas}]})
    recipe = """version: 1
sources: [{name: k, files: [k.json]}]
steps: [html, {window: {characters: 8}}]
"""
    merge(recipe, tmp_path / "out")
    (line,) = read_lines(tmp_path / "out")
    assert (line["context"], line["response"]) == ("답은 가이다.", "가")
    total = read_ledger(tmp_path / "out")["total"]
    assert total["changed"] == {"html": 1, "window": 1}
    cut = len("앞이다. 또 앞이다.\n\n") + len("\n\n뒤이다.")
    assert total["changed_characters"]["window"] == -cut


@pytest.mark.parametrize("characters", [200, 500, 2000])
def test_every_answer_of_the_real_pages_is_found_behind_html_and_window(shared, characters):
    count = 0
    for name in PAGES:
        for page in json.loads((shared / "data" / name).read_bytes())["data"]:
            for question in page["qas"]:
                answer = question["answer"]
                given_ = example(page["context"], answer["text"], answer["answer_start"])
                clean = html.Step()(given_)
                made = Step(characters=characters)(clean)
                assert made.response == clean.response
                assert made.context.startswith(made.response, made.answer_start)
                assert len(made.context) <= characters or made.flags == ("window.exceeded",)
                count += 1
    assert count == 5


def test_every_answer_of_real_passages_is_found_in_its_window(shared):
    data = json.loads((shared / "data/korquad1/KorQuAD_v1.0_dev.json").read_bytes())["data"]
    count = 0
    for paragraph in (p for article in data for p in article["paragraphs"]):
        for question in paragraph["qas"]:
            (answer,) = question["answers"]
            given_ = example(paragraph["context"], answer["text"], answer["answer_start"])
            made = Step(characters=300)(given_)
            assert made.context.startswith(answer["text"], made.answer_start)
            assert len(made.context) <= 300
            count += 1
    assert count == 5774
