"""A window holds the answer, fits, and is cut where a text may be cut."""

import json
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dollymix.errors import RecipeError
from dollymix.example import Example
from dollymix.steps import html
from dollymix.steps.window import Step
from dollymix.tokens import count
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
    "a block of code that fits": (
        "앞이다.\n```\na = 1. b\n```\n끝",
        "앞",
        21,
        "앞이다.\n```\na = 1. b\n```",
    ),
    "lines of code between their fences": (
        "```py\na = 1. b\nc = 2\nd = 3\n```\n끝이다.",
        "c",
        26,
        "```py\na = 1. b\nc = 2\n```",
    ),
    "lines of code, where the fences do not fit": (
        "```\na = 1. b\nc = 2\n```\n끝",
        "c",
        10,
        "c = 2",
    ),
    "prose before code that is too long": (
        "앞이다.\n~~~\na = 1\nb = 2\nc = 3\nd = 4\n~~~",
        "앞",
        20,
        "앞이다.\n~~~\na = 1\n~~~",
    ),
    "prose behind code that is too long": (
        "  ````\n  a = 1\n  ```\n  c = 3\n  d = 4\n  ````\n답이다. 뒤",
        "답",
        32,
        "  ````\n  d = 4\n  ````\n답이다. 뒤",
    ),
    "a fence that nothing closes": ("```\na = 1\nb = 2\nc = 3", "b", 20, "```\na = 1\nb = 2\n```"),
    "a long sentence between words": ("하나 둘 셋 답 넷 다섯 여섯", "답", 7, "둘 셋 답 넷"),
    "one long word": ("가나다라마바사", "라", 3, "다라마"),
    "full-width marks need no blanks": ("앞이다。「뒤だ！」답か？끝", "답", 7, "답か？끝"),
    "marks of one end": ("가나？！다라。。。마바", "다", 8, "다라。。。마바"),
    "a quotation mark stays with its mark": ("「가나。」\n다라", "나", 5, "「가나。」"),
    "a full stop between Hangul syllables": ("앞이다.답은이다.뒤이다", "답", 6, "답은이다."),
    "no end inside numbers and names": ("3.14 a.b 답이.b다 5.가", "답", 8, "답이.b다"),
    "a word of marks that belong together": ("가나e\u0301라마", "나", 3, "가나"),
    "a word of joined emoji": ("가👨\u200d👩\u200d👧나다라마바사", "나", 4, "나다라마"),
    "a word of old Hangul": ("가나\u1112\u119e\u11ab다", "나", 4, "가나"),
    "a word of flags": ("가🇰🇷🇯🇵나다", "나", 2, "나다"),
    "more of the side that can grow": (
        "앞이다. " + "x" * 60 + " 답 이다. 뒤이다. 또 뒤이다.",
        "답",
        18,
        "답 이다. 뒤이다. 또 뒤이다.",
    ),
    "words where sentences leave half": (
        "답. 하나 둘 셋 넷 다섯 여섯 일곱 여덟 아홉 열",
        "답",
        10,
        "답. 하나 둘 셋",
    ),
    "no heading at the end of more": ("답.\n## 긴 제목\n" + "가" * 30, "답", 9, "답."),
    "no heading without what follows": (
        "답.\n## 제목\n" + "가" * 30,
        "답",
        12,
        "답.\n## 제목\n가가가",
    ),
}


@pytest.mark.parametrize("case", CUTS)
def test_the_window_is_cut_where_a_text_may_be_cut(case):
    context, answer, characters, expected = CUTS[case]
    made = around(context, answer, characters=characters)
    assert (made.context, made.flags) == (expected, ())
    assert made.context.startswith(answer, made.answer_start)


@pytest.mark.parametrize("unit", ["。", "가", "。」", "| ", "```\n", "#", "\n", "🇰"])
def test_a_long_run_takes_no_longer_than_its_length(unit):
    context = "답 " + unit * 200_000 + " 끝"
    started = time.process_time()
    made = Step(characters=100)(example(context, "끝", len(context) - 1))
    assert time.process_time() - started < 20
    assert made.context.startswith("끝", made.answer_start)


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


@pytest.mark.parametrize(
    ("context", "characters", "expected"),
    [
        ("\n" * 20 + "가이다. 나이다.", 5, "가이다."),
        ("## 아주 긴 제목이다\n\n가", 8, "## 아주 긴"),
        ("```\n\n```\n\n```\na = 1\n```", 5, "a = 1"),
        ("```" * 20, 5, "```" * 20),
        (" " * 20, 5, ""),
    ],
)
def test_the_head_is_what_can_be_read(context, characters, expected):
    assert Step(characters=characters)(example(context)).context == expected


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
    assert made.context == context or context.lstrip().startswith(made.context.lstrip())
    assert made.context.strip() or not context.strip()


@given(BLOCKS, st.integers(1, 60))
def test_a_window_of_a_window_is_the_same(context, characters):
    step = Step(characters=characters)
    once = step(example(context))
    again = step(once)
    assert again.context == once.context


CHINESE = "中国是一个历史悠久的国家。它的首都是北京。长江是最长的河流。" * 40
UNSPACED = "한국어문장은이렇게띄어쓰기가없을수도있다." * 40
SPACED = "문장이다. " * 50
USED = {
    "Chinese": (CHINESE[:600] + "答案是黄河。" + CHINESE[:600], "黄河", "。"),
    "Korean without blanks": (UNSPACED + "답은서울이다." + UNSPACED, "서울", "."),
    "code that looks like headings": (
        "답이다.\n" + "\t# 주석이고 문장이다.\n    # 또 하나다.\n" * 40,
        "답",
        ".",
    ),
    "a sentence with a long address": (
        SPACED + "http://example.com/" + "a" * 300 + " 답 이다. " + SPACED,
        "답",
        ".",
    ),
}


@pytest.mark.parametrize("case", USED)
def test_the_room_is_used_and_ends_with_a_sentence(case):
    context, answer, mark = USED[case]
    made = around(context, answer, characters=200)
    assert 150 <= len(made.context) <= 200
    assert made.context.startswith(answer, made.answer_start)
    assert made.context.endswith(mark)
    assert made.flags == ()


# Texts without rows, headings and code: of words, of long runs, with and without ends of sentences.
RUNS = st.lists(
    st.sampled_from(
        ["中国是国家。", "다.한", "http://example.com/", "3.14", "뭐? ", "「가」！", "👨\u200d👩"]
    )
    | st.text(alphabet="가나a .\n", min_size=1, max_size=8).map(lambda text: text.strip() + " ")
    | st.integers(1, 80).map(lambda count: "긴" * count),
    min_size=1,
    max_size=12,
).map("".join)


@given(RUNS, st.data(), st.integers(10, 80), st.booleans())
def test_a_window_uses_its_room(context, data, characters, has_answer):
    start = data.draw(st.integers(0, len(context) - 1))
    answer = context[start : start + data.draw(st.integers(1, 10))]
    made = Step(characters=characters)(example(context, answer, start if has_answer else None))
    assert made.flags == ()
    assert len(made.context) <= characters
    if len(context.strip()) > characters:
        assert 2 * len(made.context) >= characters


CODE = st.lists(
    st.sampled_from(["가이다. 나이다.", "긴 말이 이어지다가 끝난다.", "## 제목", "긴" * 30])
    | st.tuples(
        st.sampled_from(["```", "```py", "~~~~"]),
        st.lists(st.sampled_from(["a = 1", "b", "", "x y " * 9 + "z"]), min_size=1, max_size=6),
    ).map(lambda block: "\n".join([block[0], *block[1], block[0].removesuffix("py")])),
    min_size=1,
    max_size=6,
).map("\n\n".join)


@given(CODE, st.data(), st.integers(1, 80), st.booleans())
def test_a_window_holds_both_fences_or_none(context, data, characters, has_answer):
    lines = [line for line in context.split("\n") if line and line[0] not in "`~"]
    assume(lines)
    answer = data.draw(st.sampled_from(lines))[:5]
    start = context.index(answer) if has_answer else None
    made = Step(characters=characters)(example(context, answer, start))
    if made.flags:
        assert len(answer) > characters or not has_answer
        return
    assert len(made.context) <= characters
    fences = [line.lstrip()[:3] for line in made.context.split("\n") if line[:3] in ("```", "~~~")]
    assert fences[::2] == fences[1::2]


# --- tokens ---

# How a byte-level tokenizer spells the 256 bytes.
PRINTED = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = [chr(byte) for byte in PRINTED] + [chr(256 + i) for i in range(256 - len(PRINTED))]


@pytest.fixture(scope="session")
def tokenizers_of(tmp_path_factory):
    """The paths of a tokenizer of words, punctuation apart; of bytes; of pieces of words, to which
    a word is unknown that is longer than ten letters."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    letters = Tokenizer(models.BPE({byte: i for i, byte in enumerate(BYTES)}, []))
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    letters.decoder = decoders.ByteLevel()
    vocabulary = [
        "[UNK]",
        "한국",
        "##국어",
        *"가나다라긴한어中国",
        *(f"##{c}" for c in "가나다라긴이다中国"),
    ]
    pieces = Tokenizer(
        models.WordPiece(
            {piece: i for i, piece in enumerate(vocabulary)},
            unk_token="[UNK]",
            max_input_chars_per_word=10,
        )
    )
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path_factory.mktemp("tokenizers")
    made = {"words": words, "letters": letters, "pieces": pieces}
    for name, each in made.items():
        each.save(str(folder / f"{name}.json"))
    return {name: str(folder / f"{name}.json") for name in made}


@pytest.fixture(scope="session")
def tokenizer(tokenizers_of):
    """A tokenizer of words, punctuation apart."""
    return tokenizers_of["words"]


def test_a_window_of_tokens(tokenizer):
    made = around(PROSE, "셋", tokens=4, tokenizer=tokenizer)
    assert made.context == "둘이다. 셋이다!"
    given_ = example(PROSE, "셋", PROSE.index("셋"))
    assert Step(tokens=10, tokenizer=tokenizer)(given_) is given_


KINDS = ["words", "letters", "pieces"]


@pytest.mark.parametrize("kind", KINDS)
@given(context=BLOCKS | RUNS | CODE, tokens=st.integers(1, 60), start=st.integers(0, 100))
def test_a_window_of_tokens_fits(tokenizers_of, kind, context, tokens, start):
    answer = context[start : start + 3]
    if not answer:
        return
    path = tokenizers_of[kind]
    made = Step(tokens=tokens, tokenizer=path)(example(context, answer, start))
    assert made.context.startswith(answer, made.answer_start)
    assert count(path, made.context) <= tokens or made.flags == ("window.exceeded",)


@pytest.mark.parametrize(("kind", "least"), [("words", 4), ("letters", 30), ("pieces", 4)])
@given(context=RUNS, more=st.integers(0, 20), start=st.none() | st.integers(0, 100))
def test_a_window_uses_its_tokens(tokenizers_of, kind, least, context, more, start):
    tokens = least + more
    path = tokenizers_of[kind]
    while count(path, context.strip()) <= tokens:
        context += f"가 {context}"
    start = start and start % len(context)
    answer = context[start or 0]
    made = Step(tokens=tokens, tokenizer=path)(example(context, answer, start))
    assert made.flags == ()
    assert tokens // 2 <= count(path, made.context) <= tokens


@pytest.mark.parametrize("mark", ["。", ""])
def test_the_head_of_a_page_without_blanks_is_not_empty(tokenizers_of, mark):
    context = CHINESE.replace("。", mark) * 3
    made = Step(tokens=500, tokenizer=tokenizers_of["letters"])(example(context))
    assert context.startswith(made.context)
    assert 460 <= count(tokenizers_of["letters"], made.context) <= 500
    assert made.flags == ()


def test_a_window_of_pieces_of_letters_fits(tokenizers_of):
    path = tokenizers_of["letters"]
    for tokens in range(1, 60):
        found = around(PROSE, "셋", tokens=tokens, tokenizer=path)
        assert found.context.startswith("셋", found.answer_start)
        is_exceeded = (found.context, found.flags) == ("셋", ("window.exceeded",))
        assert count(path, found.context) <= tokens or is_exceeded


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
    total = 0
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
                total += 1
    assert total == 5


@pytest.mark.parametrize("characters", [200, 300])
def test_every_answer_of_real_passages_is_found_in_a_window_that_is_used(shared, characters):
    data = json.loads((shared / "data/korquad1/KorQuAD_v1.0_dev.json").read_bytes())["data"]
    total = 0
    for paragraph in (p for article in data for p in article["paragraphs"]):
        for question in paragraph["qas"]:
            (answer,) = question["answers"]
            given_ = example(paragraph["context"], answer["text"], answer["answer_start"])
            made = Step(characters=characters)(given_)
            assert made.context.startswith(answer["text"], made.answer_start)
            assert len(made.context) <= characters
            assert len(made.context) >= min(characters / 2, len(paragraph["context"]))
            total += 1
    assert total == 5774
