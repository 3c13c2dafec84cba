"""Pages with questions in, one example a question out."""

import pytest

from tests.helpers import balances, merge, parse, paths, read_lines, texts, verdicts, write_json

CONTEXT = "<p>감독은 <a>나카무라</a>이다.</p>"
ANSWER = {
    "text": "<a>나카무라</a>",
    "answer_start": 7,
    "html_answer_text": "<a>나카무라</a>",
    "html_answer_start": 90,
}


def question(answer=ANSWER, **other):
    return {"id": "8089", "question": "감독은 누구인가?", "answer": answer, **other}


def page(*qas, **other):
    return {
        "title": "예고범",
        "url": "https://ko.wikipedia.org/wiki/예고범",
        "context": CONTEXT,
        "raw_html": "<html><p>감독은 ...",
        "qas": [*qas],
        **other,
    }


def read(*qas, **options):
    parsed = parse("korquad2", page(*qas), **options)
    assert balances(parsed)
    return parsed


def test_a_question_becomes_an_example_with_its_page_tags_and_all():
    parsed = read(question())
    (example,) = parsed.examples
    assert texts(parsed) == [("감독은 누구인가?", CONTEXT, "<a>나카무라</a>")]
    assert paths(parsed) == ["qas[0]"]
    assert (example.answer_start, example.flags, example.group) == (7, (), "예고범")


def test_title_url_and_id_go_to_meta():
    meta = read(question()).examples[0].meta
    assert meta["title"] == "예고범"
    assert meta["url"] == "https://ko.wikipedia.org/wiki/예고범"
    assert bytes(meta["id"]) == b'"8089"'


@pytest.mark.parametrize("name", ["raw_html", "url", "title"])
def test_html_url_and_title_may_be_absent_or_null(name):
    absent = {key: value for key, value in page(question()).items() if key != name}
    assert len(parse("korquad2", absent).examples) == 1
    assert len(parse("korquad2", page(question(), **{name: None})).examples) == 1


def test_an_id_may_be_absent():
    asked = question()
    del asked["id"]
    assert len(read(asked).examples) == 1


def test_entities_and_hard_spaces_are_kept():
    context = "A &amp; B\u00a0[편집]"
    asked = question({"text": "&amp; B\u00a0", "answer_start": 2})
    parsed = parse("korquad2", page(asked, context=context))
    assert texts(parsed) == [("감독은 누구인가?", context, "&amp; B\u00a0")]
    assert parsed.examples[0].flags == ()


@pytest.mark.parametrize("answer", [None, "absent"])
def test_a_question_without_an_answer_is_rejected(answer):
    asked = question(answer)
    if answer == "absent":
        del asked["answer"]
    parsed = read(asked, question())
    assert verdicts(parsed) == [("qas[0]", "schema.no_answer", 1)]
    assert paths(parsed) == ["qas[1]"]


@pytest.mark.parametrize(
    ("broken", "path", "reason"),
    [
        (question([ANSWER]), ".answer", "schema.type"),
        (question("나카무라"), ".answer", "schema.type"),
        (question(7), ".answer", "schema.type"),
        (question({"answer_start": 7}), ".answer.text", "schema.missing_field"),
        (question({"text": None}), ".answer.text", "schema.null"),
        (question({"text": ["x"]}), ".answer.text", "schema.type"),
        (question({**ANSWER, "answer_start": "7"}), ".answer.answer_start", "schema.type"),
        ({"answer": ANSWER}, ".question", "schema.missing_field"),
        (question(question=None), ".question", "schema.null"),
        (question(question=7), ".question", "schema.type"),
        (question(question={"ko": "x"}), ".question", "schema.type"),
        ([], "", "schema.type"),
    ],
)
def test_a_bad_question_costs_itself_alone(broken, path, reason):
    parsed = read(question(), broken, question())
    assert paths(parsed) == ["qas[0]", "qas[2]"]
    assert verdicts(parsed) == [(f"qas[1]{path}", reason, 1)]


@pytest.mark.parametrize("start", [0, -1, 6, 1000])
def test_an_answer_elsewhere_is_kept_with_a_warning(start):
    (example,) = read(question({**ANSWER, "answer_start": start})).examples
    assert (example.flags, example.answer_start) == (("qa.offset_mismatch",), None)


def test_an_answer_that_is_nowhere_is_rejected_or_kept_when_asked():
    nowhere = question({"text": "구로사와", "answer_start": 0})
    assert verdicts(read(nowhere)) == [("qas[0]", "qa.answer_not_in_context", 1)]
    (example,) = read(nowhere, not_in_context="keep").examples
    assert example.flags == ("qa.answer_not_in_context",)


@pytest.mark.parametrize("blank", ["", " ", "\u00a0\u200b"])
def test_a_blank_question_or_answer_is_empty(blank):
    parsed = read(question(question=blank), question({"text": blank, "answer_start": 0}))
    assert verdicts(parsed) == [("qas[0]", "schema.empty", 1), ("qas[1]", "schema.empty", 1)]


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        ({"qas": None}, "qas", "schema.null"),
        ({"qas": {}}, "qas", "schema.type"),
        ({"context": None}, "context", "schema.null"),
        ({"context": 7}, "context", "schema.type"),
        ({"context": ["x"]}, "context", "schema.type"),
        ({"title": 7}, "title", "schema.type"),
        ({"url": {}}, "url", "schema.type"),
    ],
)
def test_a_page_that_cannot_be_read_is_one_part(change, path, reason):
    parsed = parse("korquad2", page(question(), question(), **change))
    assert verdicts(parsed) == [(path, reason, 1)]
    assert (parsed.parts, parsed.parts_used) == (1, 0)


@pytest.mark.parametrize("name", ["context", "qas"])
def test_a_page_without_context_or_questions_is_one_part(name):
    record = page(question())
    del record[name]
    assert verdicts(parse("korquad2", record)) == [(name, "schema.missing_field", 1)]


def test_a_page_without_questions_gives_nothing_at_all():
    parsed = read()
    assert (parsed.parts, parsed.examples, parsed.verdicts) == (0, [], [])


@pytest.mark.parametrize("qas", [[question(), question()], [question(), {"question": 7}]])
def test_a_key_that_cannot_be_carried_rejects_all_questions(qas):
    parsed = parse("korquad2", page(*qas, system="x"))
    assert verdicts(parsed) == [("system", "schema.unsupported_field", 2)]


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_a_foreign_key_that_says_nothing_counts_as_absent(value):
    assert len(parse("korquad2", page(question(), system=value, images=value)).examples) == 1


@pytest.mark.parametrize(
    "document",
    [
        {"version": "KorQuAD_2.0_train", "data": [page(question())]},
        {"version": "KorQuAD_2.0_train", "data": page(question())},
        {"data": [page(question())]},
        [page(question())],
    ],
)
def test_pages_are_found_wherever_a_document_keeps_them(tmp_path, document):
    write_json(tmp_path / "pages.json", document)
    merge([tmp_path / "pages.json"], tmp_path / "out")
    (line,) = read_lines(tmp_path / "out")
    assert (line["context"], line["response"]) == (CONTEXT, "<a>나카무라</a>")
