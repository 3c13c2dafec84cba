"""Articles with questions in, one example a question out."""

import pytest

from tests.helpers import balances, parse, paths, texts, verdicts

CONTEXT = "한강은 서울을 지나 서해로 흐른다. 서해는 얕다."
SEA = {"text": "서해", "answer_start": 11}


def question(*answers, **other):
    return {"id": "1-0-0", "question": "한강이 흘러드는 바다는?", "answers": [*answers], **other}


def article(*qas, **other):
    return {"title": "한강", "paragraphs": [{"context": CONTEXT, "qas": [*qas]}], **other}


def read(*qas, **options):
    parsed = parse("squad", article(*qas), **options)
    assert balances(parsed)
    return parsed


def test_a_question_becomes_an_example_with_its_context():
    parsed = read(question(SEA))
    (example,) = parsed.examples
    assert texts(parsed) == [("한강이 흘러드는 바다는?", CONTEXT, "서해")]
    assert paths(parsed) == ["paragraphs[0].qas[0]"]
    assert (example.answer_start, example.flags, example.category) == (11, (), "")
    assert (parsed.parts, parsed.parts_used) == (1, 1)


def test_the_title_is_the_group_and_goes_to_meta_with_the_id():
    (example,) = read(question(SEA)).examples
    assert example.group == "한강"
    assert example.meta["title"] == "한강"
    assert bytes(example.meta["id"]) == b'"1-0-0"'


@pytest.mark.parametrize("title", [None, "", "absent"])
def test_without_a_title_there_is_no_group(title):
    record = article(question(SEA), title=title)
    if title == "absent":
        del record["title"]
    (example,) = parse("squad", record).examples
    assert example.group == ""
    assert "title" not in example.meta


def test_paths_count_paragraphs_and_questions():
    paragraph = {"context": CONTEXT, "qas": [question(SEA), question(SEA)]}
    parsed = parse("squad", {"title": "한강", "paragraphs": [paragraph, paragraph]})
    assert paths(parsed) == [f"paragraphs[{p}].qas[{q}]" for p in (0, 1) for q in (0, 1)]
    assert parsed.parts_used == 4


def test_the_first_answer_is_the_response_and_the_others_go_to_meta():
    (example,) = read(question(SEA, {"text": "서해로", "answer_start": 11})).examples
    assert example.response == "서해"
    assert example.meta["answers"] == ["서해로"]


def test_one_answer_leaves_no_other_answers_in_meta():
    assert "answers" not in read(question(SEA)).examples[0].meta


def test_all_answers_give_one_example_for_each_different_text():
    answers = [SEA, {"text": "서해로", "answer_start": 11}, {"text": "서해", "answer_start": 20}]
    parsed = read(question(*answers), answers="all")
    assert [e.response for e in parsed.examples] == ["서해", "서해로"]
    assert paths(parsed) == ["paragraphs[0].qas[0].answers[0]", "paragraphs[0].qas[0].answers[1]"]
    assert (parsed.parts, parsed.parts_used) == (1, 1)


@pytest.mark.parametrize(
    "asked",
    [
        question(),
        question(SEA, is_impossible=True),
        question(is_impossible=True, plausible_answers=[SEA]),
        question(answers=None),
        {"question": "바다는?"},
    ],
)
def test_a_question_without_an_answer_is_rejected(asked):
    parsed = read(asked, question(SEA))
    assert len(parsed.examples) == 1
    assert verdicts(parsed) == [("paragraphs[0].qas[0]", "schema.no_answer", 1)]


@pytest.mark.parametrize("value", [False, None])
def test_a_question_that_is_not_impossible_is_kept(value):
    assert len(read(question(SEA, is_impossible=value, plausible_answers=[])).examples) == 1


@pytest.mark.parametrize("start", [0, 5, -9, -1, 24, 1000, 10**12])
def test_an_answer_elsewhere_is_kept_with_a_warning_and_without_its_offset(start):
    (example,) = read(question({"text": "서해", "answer_start": start})).examples
    assert (example.response, example.context) == ("서해", CONTEXT)
    assert (example.flags, example.answer_start) == (("qa.offset_mismatch",), None)


def test_the_second_place_of_an_answer_is_as_right_as_the_first():
    (example,) = read(question({"text": "서해", "answer_start": 20})).examples
    assert (example.answer_start, example.flags) == (20, ())


@pytest.mark.parametrize("start", [0, 11, -1, 1000])
def test_an_answer_that_is_nowhere_is_rejected(start):
    parsed = read(question({"text": "동해", "answer_start": start}))
    assert verdicts(parsed) == [("paragraphs[0].qas[0]", "qa.answer_not_in_context", 1)]
    assert parsed.examples == []


def test_an_answer_that_is_nowhere_may_be_kept_with_a_warning():
    parsed = read(question({"text": "동해", "answer_start": 0}), not_in_context="keep")
    (example,) = parsed.examples
    assert (example.response, example.flags) == ("동해", ("qa.answer_not_in_context",))
    assert example.answer_start is None


@pytest.mark.parametrize("answer", [{"text": "서해"}, {"text": "서해", "answer_start": None}])
def test_an_answer_without_an_offset_is_kept(answer):
    (example,) = read(question(answer)).examples
    assert (example.answer_start, example.flags) == (None, ())


def test_offsets_count_code_points():
    record = article(question({"text": "행성", "answer_start": 2}))
    record["paragraphs"][0]["context"] = "🪐 행성"
    (example,) = parse("squad", record).examples
    assert (example.answer_start, example.flags) == (2, ())


@pytest.mark.parametrize("blank", ["", "  ", "\u200b"])
def test_a_blank_question_or_answer_is_empty(blank):
    parsed = read(question(SEA, question=blank), question({"text": blank, "answer_start": 0}))
    assert verdicts(parsed) == [
        ("paragraphs[0].qas[0]", "schema.empty", 1),
        ("paragraphs[0].qas[1]", "schema.empty", 1),
    ]


def test_edge_blanks_are_kept():
    asked = question({"text": " 서해", "answer_start": 10}, question=" 바다는? ")
    assert texts(read(asked)) == [(" 바다는? ", CONTEXT, " 서해")]


@pytest.mark.parametrize(
    ("broken", "path", "reason"),
    [
        ({"answers": [SEA]}, ".question", "schema.missing_field"),
        (question(SEA, question=None), ".question", "schema.null"),
        (question(SEA, question=7), ".question", "schema.type"),
        (question(SEA, question=["x"]), ".question", "schema.type"),
        (question(answers=7), ".answers", "schema.type"),
        (question(answers={"text": "서해"}), ".answers", "schema.type"),
        (question({"answer_start": 0}), ".answers[0].text", "schema.missing_field"),
        (question({"text": None}), ".answers[0].text", "schema.null"),
        (question({"text": 7}), ".answers[0].text", "schema.type"),
        (
            question({"text": "서해", "answer_start": "11"}),
            ".answers[0].answer_start",
            "schema.type",
        ),
        ("x", "", "schema.type"),
        (None, "", "schema.null"),
    ],
)
def test_a_bad_question_costs_itself_alone(broken, path, reason):
    parsed = read(question(SEA), broken, question(SEA))
    assert paths(parsed) == ["paragraphs[0].qas[0]", "paragraphs[0].qas[2]"]
    assert verdicts(parsed) == [(f"paragraphs[0].qas[1]{path}", reason, 1)]
    assert parsed.parts == 3


@pytest.mark.parametrize(
    ("paragraph", "path", "reason"),
    [
        ({"context": CONTEXT}, ".qas", "schema.missing_field"),
        ({"context": CONTEXT, "qas": None}, ".qas", "schema.null"),
        ({"context": CONTEXT, "qas": {}}, ".qas", "schema.type"),
        ({"qas": [question(SEA)]}, ".context", "schema.missing_field"),
        ({"context": None, "qas": [question(SEA)]}, ".context", "schema.null"),
        ({"context": 7, "qas": [question(SEA)]}, ".context", "schema.type"),
        ([], "", "schema.type"),
    ],
)
def test_a_bad_paragraph_costs_itself_alone(paragraph, path, reason):
    record = article(question(SEA))
    record["paragraphs"].append(paragraph)
    parsed = parse("squad", record)
    assert paths(parsed) == ["paragraphs[0].qas[0]"]
    assert verdicts(parsed) == [(f"paragraphs[1]{path}", reason, 1)]
    assert balances(parsed)


@pytest.mark.parametrize(
    ("record", "path", "reason"),
    [
        ({"title": "한강"}, "paragraphs", "schema.missing_field"),
        ({"title": "한강", "paragraphs": None}, "paragraphs", "schema.null"),
        ({"title": "한강", "paragraphs": "x"}, "paragraphs", "schema.type"),
        ({"title": "한강", "paragraphs": {}}, "paragraphs", "schema.type"),
        (article(question(SEA), title=7), "title", "schema.type"),
    ],
)
def test_an_article_that_cannot_be_read_is_one_part(record, path, reason):
    parsed = parse("squad", record)
    assert verdicts(parsed) == [(path, reason, 1)]
    assert (parsed.parts, parsed.parts_used) == (1, 0)


@pytest.mark.parametrize("paragraphs", [[], [{"context": CONTEXT, "qas": []}]])
def test_an_article_without_questions_gives_nothing_at_all(paragraphs):
    parsed = parse("squad", {"title": "한강", "paragraphs": paragraphs})
    assert (parsed.parts, parsed.examples, parsed.verdicts) == (0, [], [])


@pytest.mark.parametrize("name", ["system", "history", "tools", "rejected", "images"])
def test_a_key_that_cannot_be_carried_rejects_all_questions(name):
    parsed = parse("squad", article(question(SEA), question(SEA), **{name: "x"}))
    assert verdicts(parsed) == [(name, "schema.unsupported_field", 2)]
    assert (parsed.parts, parsed.parts_used) == (2, 0)


def test_a_key_that_cannot_be_carried_rejects_an_article_with_a_bad_question_too():
    parsed = parse("squad", article(question(SEA), {"question": 7}, system="x"))
    assert parsed.examples == []
    assert ("system", "schema.unsupported_field") in [v[:2] for v in verdicts(parsed)]


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_a_foreign_key_that_says_nothing_counts_as_absent(value):
    assert len(parse("squad", article(question(SEA), system=value)).examples) == 1


def test_klue_records_are_read():
    record = {
        "title": "한강",
        "source": "wikipedia",
        "news_category": None,
        "paragraphs": [
            {
                "context": CONTEXT,
                "qas": [
                    {
                        "guid": "klue-mrc-v1_train_1",
                        "question": "바다는?",
                        "question_type": 2,
                        "is_impossible": False,
                        "answers": [SEA, {"text": "서해로", "answer_start": 11}],
                    }
                ],
            }
        ],
    }
    (example,) = parse("squad", record).examples
    assert bytes(example.meta["id"]) == b'"klue-mrc-v1_train_1"'
    assert example.meta["answers"] == ["서해로"]


def test_quac_records_are_read():
    asked = {
        "id": "C_1_q#0",
        "question": "Who?",
        "answers": [{"text": "CANNOTANSWER", "answer_start": 4}],
        "orig_answer": {"text": "CANNOTANSWER", "answer_start": 4},
        "yesno": "x",
        "followup": "y",
    }
    record = {"title": "T", "paragraphs": [{"context": "a b CANNOTANSWER", "qas": [asked]}]}
    assert texts(parse("squad", record)) == [("Who?", "a b CANNOTANSWER", "CANNOTANSWER")]


def test_ids_may_be_numbers():
    (example,) = read(question(SEA, id=7211011040021040393)).examples
    assert bytes(example.meta["id"]) == b"7211011040021040393"
