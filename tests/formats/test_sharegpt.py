"""Conversations in, one example for each answer to a question out."""

import json

import msgspec
import pytest

from dollymix.example import Message
from tests.helpers import balances, parse, parse_text, paths, texts, verdicts


def chat(*turns, **beside):
    """A conversation of `(role, text)` turns."""
    return {"conversations": [{"from": role, "value": text} for role, text in turns], **beside}


PAIR = (("human", "질문"), ("gpt", "답"))


def read(*turns, **options):
    parsed = parse("sharegpt", chat(*turns), **options)
    assert balances(parsed)
    return parsed


# --- pairing ---------------------------------------------------------------------------------


def test_each_answer_directly_after_a_question_is_an_example():
    parsed = read(("human", "q1"), ("gpt", "a1"), ("human", "q2"), ("gpt", "a2"))
    assert texts(parsed) == [("q1", "", "a1"), ("q2", "", "a2")]
    assert paths(parsed) == ["conversations[1]", "conversations[3]"]
    assert (parsed.parts, parsed.parts_used, parsed.verdicts) == (4, 4, [])


def test_history_stays_empty_because_earlier_turns_are_examples_of_their_own():
    parsed = read(("human", "q1"), ("gpt", "a1"), ("human", "q2"), ("gpt", "a2"))
    assert [(e.history, e.after, e.system) for e in parsed.examples] == [((), (), "")] * 2


def test_text_is_moved_letter_for_letter():
    parsed = read(("human", "  질문\r\n"), ("gpt", "ᄇᆡ가 年\u200b 👩‍🚀 Copy code"))
    assert texts(parsed) == [("  질문\r\n", "", "ᄇᆡ가 年\u200b 👩‍🚀 Copy code")]


@pytest.mark.parametrize("asks", ["human", "user", " human ", "\tuser\n"])
@pytest.mark.parametrize("answers", ["gpt", "assistant", "chatgpt", "bard", "bing", " gpt "])
def test_all_known_names_of_roles_make_a_pair(asks, answers):
    assert texts(read((asks, "q"), (answers, "a"))) == [("q", "", "a")]


def test_a_leading_answer_is_unpaired():
    parsed = read(("gpt", "b"), *PAIR)
    assert texts(parsed) == [("질문", "", "답")]
    assert verdicts(parsed) == [("conversations[0]", "turn.unpaired", 1)]


def test_of_two_questions_in_a_row_the_first_is_unpaired():
    parsed = read(("human", "q1"), ("human", "q2"), ("gpt", "a"))
    assert texts(parsed) == [("q2", "", "a")]
    assert verdicts(parsed) == [("conversations[0]", "turn.unpaired", 1)]


def test_of_two_answers_in_a_row_the_second_is_unpaired():
    parsed = read(*PAIR, ("gpt", "a2"))
    assert texts(parsed) == [("질문", "", "답")]
    assert verdicts(parsed) == [("conversations[2]", "turn.unpaired", 1)]


def test_a_question_at_the_end_is_unpaired():
    parsed = read(*PAIR, ("human", "q"))
    assert verdicts(parsed) == [("conversations[2]", "turn.unpaired", 1)]


@pytest.mark.parametrize("role", ["human", "gpt"])
def test_a_single_turn_is_unpaired_and_no_example(role):
    parsed = read((role, "x"))
    assert (parsed.examples, verdicts(parsed)) == ([], [("conversations[0]", "turn.unpaired", 1)])


@pytest.mark.parametrize("blank", ["", " ", "\r\n", "\u3000"])
@pytest.mark.parametrize("side", [0, 1])
def test_a_blank_side_empties_the_pair_and_covers_both_parts(blank, side):
    pair = [("human", "q"), ("gpt", "a")]
    pair[side] = (pair[side][0], blank)
    parsed = read(*pair, *PAIR)
    assert texts(parsed) == [("질문", "", "답")]
    assert verdicts(parsed) == [("conversations[1]", "schema.empty", 2)]


def test_a_side_of_invisible_characters_is_kept_and_flagged():
    parsed = read(("human", "q"), ("gpt", "\u200b"))
    assert texts(parsed) == [("q", "", "\u200b")]
    assert parsed.examples[0].flags == ("text.invisible",)


def test_an_answer_behind_a_blank_pair_is_unpaired():
    parsed = read(("human", ""), ("gpt", "a"), ("gpt", "a2"))
    assert verdicts(parsed) == [
        ("conversations[1]", "schema.empty", 2),
        ("conversations[2]", "turn.unpaired", 1),
    ]


@pytest.mark.parametrize("role", ["tool", "function_call", "observation", "system"])
def test_a_known_turn_between_question_and_answer_breaks_the_pair(role):
    parsed = read(("human", "q"), (role, "x"), ("gpt", "a"))
    assert parsed.examples == []
    assert sorted(verdicts(parsed)) == [
        (f"conversations[{number}]", "turn.unpaired", 1) for number in range(3)
    ]


def test_an_empty_list_of_turns_is_no_part_but_one_line():
    parsed = parse("sharegpt", {"conversations": []})
    assert (parsed.parts, parsed.parts_used, parsed.examples) == (0, 0, [])
    assert verdicts(parsed) == [("conversations", "schema.empty", 0)]


# --- system turns ----------------------------------------------------------------------------


def test_a_system_turn_fills_every_later_example_and_is_used_once():
    parsed = read(("system", "s"), *PAIR, *PAIR)
    assert [(e.system, e.context) for e in parsed.examples] == [("s", ""), ("s", "")]
    assert (parsed.parts, parsed.parts_used, parsed.verdicts) == (5, 5, [])


def test_the_next_system_turn_takes_over():
    parsed = read(("system", "s1"), *PAIR, ("system", "s2"), *PAIR)
    assert [e.system for e in parsed.examples] == ["s1", "s2"]
    assert parsed.parts_used == 6


def test_a_system_turn_does_not_reach_back():
    parsed = read(*PAIR, ("system", "s"), *PAIR)
    assert [e.system for e in parsed.examples] == ["", "s"]


def test_a_system_turn_that_another_replaces_unused_is_unpaired():
    parsed = read(("system", "s1"), ("system", "s2"), *PAIR)
    assert [e.system for e in parsed.examples] == ["s2"]
    assert verdicts(parsed) == [("conversations[0]", "turn.unpaired", 1)]


def test_a_system_turn_with_nothing_behind_it_is_unpaired():
    parsed = read(*PAIR, ("system", "s"))
    assert verdicts(parsed) == [("conversations[2]", "turn.unpaired", 1)]


def test_a_system_turn_before_a_blank_pair_alone_is_unpaired():
    parsed = read(("system", "s"), ("human", ""), ("gpt", "a"))
    assert sorted(verdicts(parsed)) == [
        ("conversations[0]", "turn.unpaired", 1),
        ("conversations[2]", "schema.empty", 2),
    ]


def test_a_system_turn_reaches_over_a_blank_pair():
    parsed = read(("system", "s"), ("human", ""), ("gpt", "a"), *PAIR)
    assert [e.system for e in parsed.examples] == ["s"]
    assert verdicts(parsed) == [("conversations[2]", "schema.empty", 2)]


def test_an_empty_system_turn_fills_nothing_and_is_unpaired():
    parsed = read(("system", ""), *PAIR)
    assert [e.system for e in parsed.examples] == [""]
    assert verdicts(parsed) == [("conversations[0]", "turn.unpaired", 1)]


def test_a_system_key_beside_the_turns_fills_the_examples_until_a_system_turn():
    parsed = parse("sharegpt", chat(*PAIR, ("system", "turn"), *PAIR, system="key"))
    assert [e.system for e in parsed.examples] == ["key", "turn"]
    assert (parsed.parts, parsed.parts_used) == (5, 5)


# --- bad turns -------------------------------------------------------------------------------


def test_an_unknown_role_costs_itself_and_breaks_the_pair():
    parsed = read(("human", "q"), ("narrator", "x"), ("gpt", "a"), *PAIR)
    assert texts(parsed) == [("질문", "", "답")]
    assert sorted(verdicts(parsed)) == [
        ("conversations[0]", "turn.unpaired", 1),
        ("conversations[1].from", "schema.role", 1),
        ("conversations[2]", "turn.unpaired", 1),
    ]


@pytest.mark.parametrize("role", ["", "Human", "GPT", "model", "prompter"])
def test_only_known_names_are_roles(role):
    parsed = read((role, "x"), *PAIR)
    assert verdicts(parsed) == [("conversations[0].from", "schema.role", 1)]


@pytest.mark.parametrize(
    ("turn", "path", "reason"),
    [
        ({"from": "human"}, ".value", "schema.missing_field"),
        ({"value": "x"}, ".from", "schema.missing_field"),
        ({"from": "human", "value": None}, ".value", "schema.null"),
        ({"from": None, "value": "x"}, ".from", "schema.null"),
        ({"from": "human", "value": 7}, ".value", "schema.type"),
        ({"from": "human", "value": ["x"]}, ".value", "schema.type"),
        ({"from": "human", "value": {"x": "y"}}, ".value", "schema.type"),
        ({"from": 7, "value": "x"}, ".from", "schema.type"),
        ("x", "", "schema.type"),
        (["human", "x"], "", "schema.type"),
        (7, "", "schema.type"),
        (None, "", "schema.null"),
    ],
)
def test_a_turn_of_the_wrong_shape_costs_itself_alone(turn, path, reason):
    record = chat(("system", "s"), *PAIR, ("gpt", "later"), *PAIR)
    record["conversations"][3] = turn
    parsed = parse("sharegpt", record)
    assert texts(parsed) == [("질문", "", "답"), ("질문", "", "답")]
    assert verdicts(parsed) == [(f"conversations[3]{path}", reason, 1)]
    assert (parsed.parts, parsed.parts_used) == (6, 5)


def test_a_turn_of_the_wrong_shape_breaks_the_pair_around_it():
    record = chat(("human", "q"), ("gpt", "a"))
    record["conversations"].insert(1, {"from": "gpt", "value": 7})
    parsed = parse("sharegpt", record)
    assert parsed.examples == []
    assert sorted(verdicts(parsed)) == [
        ("conversations[0]", "turn.unpaired", 1),
        ("conversations[1].value", "schema.type", 1),
        ("conversations[2]", "turn.unpaired", 1),
    ]


@pytest.mark.parametrize(
    ("record", "path", "reason"),
    [
        ({"id": "x"}, "conversations", "schema.missing_field"),
        ({"conversations": None}, "conversations", "schema.null"),
        ({"conversations": "[]"}, "conversations", "schema.type"),
        ({"conversations": 7}, "conversations", "schema.type"),
        ({"conversations": {"from": "human"}}, "conversations", "schema.type"),
    ],
)
def test_a_record_whose_turns_cannot_be_counted_is_one_part(record, path, reason):
    parsed = parse("sharegpt", record)
    assert verdicts(parsed) == [(path, reason, 1)]
    assert (parsed.parts, parsed.parts_used) == (1, 0)


def test_half_a_surrogate_is_never_repaired():
    parsed = parse_text(
        "sharegpt", '{"conversations": [{"from": "human", "value": "\\ud83d"}, {"from": "gpt"}]}'
    )
    assert parsed.examples == []
    assert verdicts(parsed)[0][1] == "unicode.lone_surrogate"


# --- keys beside the turns -------------------------------------------------------------------


def test_tools_are_kept_as_they_are():
    parsed = parse("sharegpt", chat(*PAIR, tools=[{"name": "search"}]))
    assert json.loads(bytes(parsed.examples[0].tools)) == [{"name": "search"}]


@pytest.mark.parametrize("name", ["history", "rejected", "chosen", "images", "image", "videos"])
def test_a_key_that_cannot_be_carried_rejects_the_record_with_all_its_turns(name):
    parsed = parse("sharegpt", chat(*PAIR, *PAIR, **{name: ["x"]}))
    assert verdicts(parsed) == [(name, "schema.unsupported_field", 4)]
    assert (parsed.parts, parsed.parts_used) == (4, 0)


@pytest.mark.parametrize("name", ["system", "history", "tools", "rejected", "images"])
@pytest.mark.parametrize("value", [None, "", [], {}])
def test_a_foreign_key_that_says_nothing_counts_as_absent(name, value):
    parsed = parse("sharegpt", chat(*PAIR, **{name: value}))
    assert parsed.examples == parse("sharegpt", chat(*PAIR)).examples


def test_a_system_key_that_is_no_text_rejects_the_record_with_all_its_turns():
    parsed = parse("sharegpt", chat(*PAIR, system=7))
    assert verdicts(parsed) == [("system", "schema.type", 2)]


def test_other_keys_of_turns_and_records_change_nothing():
    record = chat(*PAIR, language="ko")
    record["conversations"][0]["language"] = "ko"
    assert parse("sharegpt", record).examples == parse("sharegpt", chat(*PAIR)).examples


# --- the layout of exchanges -----------------------------------------------------------------


def test_exchanges_of_human_and_assistant_are_read():
    record = {"system": "s", "conversation": [{"human": "q1", "assistant": "a1"}] * 2}
    parsed = parse("sharegpt", record)
    assert texts(parsed) == [("q1", "", "a1"), ("q1", "", "a1")]
    assert paths(parsed) == ["conversation[0].assistant", "conversation[1].assistant"]
    assert [e.system for e in parsed.examples] == ["s", "s"]
    assert (parsed.parts, parsed.parts_used) == (4, 4)


def test_a_blank_side_of_an_exchange_covers_both_parts():
    parsed = parse("sharegpt", {"conversation": [{"human": "q", "assistant": " "}]})
    assert verdicts(parsed) == [("conversation[0].assistant", "schema.empty", 2)]


def test_a_bad_exchange_costs_itself_alone():
    record = {"conversation": [{"human": "q", "assistant": "a"}, {"human": "q2", "assistant": 7}]}
    parsed = parse("sharegpt", record)
    assert texts(parsed) == [("q", "", "a")]
    assert ("conversation[1].assistant", "schema.type") in [v[:2] for v in verdicts(parsed)]
    assert balances(parsed)


# --- options ---------------------------------------------------------------------------------


def test_swapped_roles_pair_the_other_way_round_and_say_so():
    swapped = {"instruction": ["gpt"], "response": ["human"]}
    parsed = read(("gpt", "b"), ("human", "c"), ("gpt", "d"), roles=swapped)
    assert texts(parsed) == [("b", "", "c")]
    assert parsed.examples[0].flags == ("chat.roles_swapped",)
    assert verdicts(parsed) == [("conversations[2]", "turn.unpaired", 1)]


def test_roles_that_are_not_swapped_give_no_warning():
    roles = {"instruction": ["prompter"], "response": ["bot", "gpt"]}
    parsed = read(("prompter", "q"), ("bot", "a"), roles=roles)
    assert [(e.instruction, e.flags) for e in parsed.examples] == [("q", ())]


def test_a_name_that_the_roles_leave_out_is_unknown():
    parsed = read(("user", "q"), ("gpt", "a"), roles={"instruction": ["human"]})
    assert ("conversations[0].from", "schema.role", 1) in verdicts(parsed)


def test_history_as_context_writes_the_earlier_turns_above():
    parsed = read(("human", "q1"), ("gpt", "a1"), ("human", "q2"), ("gpt", "a2"), history="context")
    assert texts(parsed) == [("q1", "", "a1"), ("q2", "human: q1\n\ngpt: a1", "a2")]


def test_history_as_context_holds_no_system_turn():
    parsed = read(("system", "s"), *PAIR, ("human", "q"), ("gpt", "a"), history="context")
    assert [e.context for e in parsed.examples] == ["", "human: 질문\n\ngpt: 답"]
    assert [e.system for e in parsed.examples] == ["s", "s"]


def test_history_as_context_holds_no_turn_that_was_rejected():
    parsed = read(*PAIR, ("narrator", "x"), ("human", "q"), ("gpt", "a"), history="context")
    assert parsed.examples[1].context == "human: 질문\n\ngpt: 답"


@pytest.mark.parametrize(
    ("identity", "group"),
    [
        ("QWJhYvA_0", "QWJhYvA"),
        ("QWJhYvA_18", "QWJhYvA"),
        ("QWJhYvA", ""),
        ("QWJhYv_0", ""),
        ("QWJhYvAB_0", ""),
        ("identity_0", ""),
        ("QWJhYvA_", ""),
        ("QWJhYvA_0_1", ""),
        ("QWJh-vA_0", ""),
        (1234567, ""),
        (None, ""),
    ],
)
def test_a_family_is_the_id_without_the_number_of_its_first_turn(identity, group):
    assert parse("sharegpt", chat(*PAIR, id=identity)).examples[0].group == group


def test_without_an_id_there_is_no_family():
    assert read(*PAIR).examples[0].group == ""


def test_the_group_may_be_the_record_alone():
    record = chat(*PAIR, id="QWJhYvA_0")
    assert parse("sharegpt", record, group="record").examples[0].group == ""


@pytest.mark.parametrize(
    ("beside", "group"),
    [({"topic": "물"}, "물"), ({"topic": 7}, "7"), ({}, ""), ({"topic": None}, "")],
)
def test_the_group_may_be_a_key_of_the_record(beside, group):
    assert parse("sharegpt", chat(*PAIR, **beside), group="topic").examples[0].group == group


# --- whole conversations ---------------------------------------------------------------------


def whole(*turns, **options):
    return read(*turns, turns="whole", **options)


def test_a_whole_conversation_is_one_example_from_its_last_pair():
    parsed = whole(("human", "q1"), ("gpt", "a1"), ("human", "q2"), ("gpt", "a2"))
    (example,) = parsed.examples
    assert texts(parsed) == [("q2", "", "a2")]
    assert paths(parsed) == ["conversations[3]"]
    assert example.history == (Message("human", "q1"), Message("gpt", "a1"))
    assert example.after == ()
    assert (parsed.parts, parsed.parts_used) == (4, 4)


def test_what_stands_behind_the_last_pair_is_kept_as_after():
    parsed = whole(("gpt", "a0"), *PAIR, ("tool", "t"), ("human", "q"))
    (example,) = parsed.examples
    assert example.history == (Message("gpt", "a0"),)
    assert example.after == (Message("tool", "t"), Message("human", "q"))
    assert parsed.parts_used == 5


def test_the_last_system_turn_before_the_pair_is_the_system():
    parsed = whole(("system", "s1"), *PAIR, ("system", "s2"), *PAIR, ("system", "s3"))
    (example,) = parsed.examples
    assert example.system == "s2"
    assert [m.content for m in example.history] == ["s1", "질문", "답"]
    assert [m.content for m in example.after] == ["s3"]
    assert parsed.parts_used == 7


def test_a_system_key_is_the_system_of_a_whole_conversation_without_a_system_turn():
    parsed = parse("sharegpt", chat(*PAIR, system="key"), turns="whole")
    assert parsed.examples[0].system == "key"


def test_the_other_keys_of_turns_are_kept_as_extra():
    record = chat(*PAIR, *PAIR)
    record["conversations"][1]["weight"] = 0
    (example,) = parse("sharegpt", record, turns="whole").examples
    assert json.loads(bytes(example.history[1].extra)) == {"weight": 0}
    assert example.history[0].extra is msgspec.UNSET


def test_roles_in_a_history_lose_their_blanks():
    (example,) = whole((" human ", "q"), ("gpt", "a"), *PAIR).examples
    assert [m.role for m in example.history] == ["human", "gpt"]


@pytest.mark.parametrize(
    ("turns", "path", "reason"),
    [
        ([("human", "q"), ("human", "q")], "conversations", "schema.no_answer"),
        ([("system", "s")], "conversations", "schema.no_answer"),
        ([("gpt", "a"), ("human", "q")], "conversations", "schema.no_question"),
        ([("human", "q"), ("tool", "t"), ("gpt", "a")], "conversations", "schema.no_question"),
        ([*PAIR, ("human", "q"), ("gpt", " ")], "conversations[3]", "schema.empty"),
        ([*PAIR, ("human", ""), ("gpt", "a")], "conversations[3]", "schema.empty"),
        ([("narrator", "x"), *PAIR], "conversations[0].from", "schema.role"),
    ],
)
def test_a_whole_conversation_is_rejected_in_one_verdict(turns, path, reason):
    parsed = whole(*turns)
    assert verdicts(parsed) == [(path, reason, len(turns))]
    assert parsed.examples == []


def test_a_turn_of_the_wrong_shape_rejects_a_whole_conversation():
    record = chat(*PAIR, *PAIR)
    record["conversations"][1]["value"] = None
    parsed = parse("sharegpt", record, turns="whole")
    assert verdicts(parsed) == [("conversations[1].value", "schema.null", 4)]


def test_a_whole_conversation_without_turns_is_empty():
    parsed = parse("sharegpt", {"conversations": []}, turns="whole")
    assert (parsed.parts, verdicts(parsed)) == (0, [("conversations", "schema.empty", 0)])


def test_exchanges_may_be_read_whole():
    record = {
        "conversation": [{"human": "q1", "assistant": "a1"}, {"human": "q2", "assistant": "a2"}]
    }
    parsed = parse("sharegpt", record, turns="whole")
    assert texts(parsed) == [("q2", "", "a2")]
    assert parsed.examples[0].history == (Message("human", "q1"), Message("assistant", "a1"))
    assert parsed.parts_used == 4
