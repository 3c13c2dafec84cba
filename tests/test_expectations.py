"""What other tools promise of the same records: ours agrees, or differs for a reason given here."""

import json

import pytest

import dollymix
from dollymix.recipe import StepSpec, from_paths
from tests.helpers import merge, parse, read_lines, verdicts, write_json, write_lines

# Same messages as theirs. The value joins instruction and context, which ours keeps apart.
SAME = {
    "lf-01": "\n",
    "lf-02": "",
    "lf-03": "",
    "lf-06": "",
    "tt-01": "",
    "tt-02": "",
    "trl-01": "",
    "sw-01": "\n",
    "sw-02": "",
    "sw-03": "",
    "sw-04": "",
    "ou-01": "\n\n",
    "un-01": "",
    "fc-01": "\nInput:\n",
    "fc-03": "",
    "hk-01": "",
}

Q, A, S = "user", "assistant", "system"

# Why ours differs, its options, the messages of each of its examples, and its verdicts.
DIFFERENT = {
    "lf-04": (
        "a call of a tool stands between question and answer: no pair is made up",
        {},
        [],
        [(f"conversations[{number}]", "turn.unpaired", 1) for number in (1, 2, 3, 0, 4)],
    ),
    "lf-05": (
        "media are not carried: a record with images is rejected, however many tags it has",
        {},
        [],
        [("images", "schema.unsupported_field", 2)],
    ),
    "lf-07": (
        "a leading answer costs itself, not the pairs behind it",
        {},
        [[(Q, "c"), (A, "d")]],
        [("conversations[0]", "turn.unpaired", 1)],
    ),
    "lf-08": (
        "an output that is no text is rejected, not lost",
        {},
        [],
        [("output", "schema.type", 1)],
    ),
    "tt-08": ("user and chatgpt are known roles", {}, [[(Q, "u"), (A, "a")]], []),
    "trl-05": ("the values of roles are mapped, too", {}, [[(Q, "q"), (A, "a")]], []),
    "ou-05": (
        "the turns under `conversation` are expected to be exchanges, not an object of messages",
        {},
        [],
        [("conversation", "schema.type", 1)],
    ),
    "dj-01": (
        "media are not carried: a record with images is rejected",
        {},
        [],
        [("images", "schema.unsupported_field", 4)],
    ),
    "dj-02": (
        "a question at the end makes no example with an empty response",
        {},
        [[(Q, "q1"), (A, "a1")]],
        [("conversations[2]", "turn.unpaired", 1)],
    ),
    "dj-03": (
        "a second system turn stops nothing",
        {"turns": "whole"},
        [],
        [("conversations", "schema.no_answer", 2)],
    ),
    "oi-01": ("bing is a role that answers", {}, [[(Q, "q"), (A, "a")]], []),
    "oi-02": ("bard is a role that answers", {}, [[(Q, "q"), (A, "a")]], []),
    "oi-03": (
        "no template: nothing is put behind the context",
        {},
        [[(Q, "i\n\nc"), (A, "r")]],
        [],
    ),
    "fc-02": ("an input of one character is an input", {}, [[(Q, "i\n\n7"), (A, "o")]], []),
    "hk-02": (
        "the word nan is kept: only steps change text",
        {},
        [[(Q, "i\n\nnan"), (A, "o")]],
        [],
    ),
}

# Rows that are no messages of one record; each has a test of its own below.
OWN_TEST = {
    "ax-05",
    "ax-06",
    "ax-07",
    "ax-08",
    "ou-02",
    "ou-03",
    "ou-04",
    "ou-06",
    "ou-07",
    "dj-04",
    "tf-01",
    "lg-01",
    "lg-02",
}

NOT_OURS = {
    "tt-03": "training masks",
    "tt-04": "a system prompt put in at training",
    "tt-05": "columns named by the user",
    "tt-06": "columns named by the user",
    "tt-07": "preference data",
    "trl-02": "prompt and completion columns",
    "trl-03": "plain text",
    "trl-04": "messages format",
    "trl-06": "preference data",
    "trl-07": "preference data",
    "trl-08": "preference data",
    "sw-05": "query and response columns",
    "sw-06": "CSV",
    "sw-07": "query and response columns",
    "sw-08": "query and response columns",
    "sw-09": "messages format",
    "sw-10": "messages format",
    "sw-11": "messages format",
    "ax-01": "messages format",
    "ax-02": "messages format",
    "ax-03": "messages format",
    "ax-04": "messages format",
    "fc-04": "cutting long conversations",
    "kq-01": "the official comparison of answers, which a cleaning step is to be measured by",
}

ROLES = {
    "human": Q,
    "user": Q,
    "gpt": A,
    "assistant": A,
    "chatgpt": A,
    "bard": A,
    "bing": A,
    "system": S,
}


@pytest.fixture(scope="module")
def rows(shared):
    path = shared / "data" / "peer_tests" / "expectations.jsonl"
    return {row["id"]: row for row in map(json.loads, path.read_bytes().splitlines())}


def form_of(record):
    if "conversations" in record or "conversation" in record:
        return "sharegpt"
    return "dolly" if "context" in record else "alpaca"


def messages(example, joiner):
    """An example in the neutral shape: system, history, question and context, answer."""
    asked = example.instruction + (joiner + example.context if example.context else "")
    turns = [(S, example.system)] if example.system else []
    turns += [(ROLES[m.role], m.content) for m in example.history]
    turns += [(Q, asked), (A, example.response)]
    return turns + [(ROLES[m.role], m.content) for m in example.after]


def expected_messages(expected):
    """What a row expects, in the neutral shape; training masks are left out."""
    turns = [(S, expected["system"])] if expected.get("system") else []
    for turn in expected.get("messages") or expected["conversations"]:
        role = turn.get("role") or ROLES[turn["from"]]
        turns.append((role, turn.get("content") or turn.get("value")))
    return turns


def test_every_row_is_in_exactly_one_group(rows):
    groups = [set(SAME), set(DIFFERENT), OWN_TEST, set(NOT_OURS)]
    assert set().union(*groups) == set(rows)
    assert sum(map(len, groups)) == len(rows)
    tests = " ".join(globals())
    assert [name for name in OWN_TEST if name.replace("-", "_") not in tests] == []


@pytest.mark.parametrize("name", SAME)
def test_the_same_messages_come_out(rows, name):
    record = {key: value for key, value in rows[name]["input"].items() if key != "option"}
    whole = {"turns": "whole"} if form_of(record) == "sharegpt" and name != "fc-03" else {}
    (example,) = parse(form_of(record), record, **whole).examples
    assert messages(example, SAME[name]) == expected_messages(rows[name]["expected"])


@pytest.mark.parametrize("name", DIFFERENT)
def test_something_else_comes_out_for_a_reason(rows, name):
    _, options, made, left = DIFFERENT[name]
    record = rows[name]["input"]
    parsed = parse(form_of(record), record, **options)
    assert [messages(example, "\n\n") for example in parsed.examples] == made
    assert sorted(verdicts(parsed)) == sorted(left)


def labelled(rows):
    """Texts with labels as rows that can be merged."""
    return [{"instruction": text, "output": str(label)} for text, label in rows]


def pairs(lines):
    return [[line["instruction"], int(line["response"])] for line in lines]


def distinct(paths, output):
    return merge(from_paths(paths, steps=[StepSpec("exact_duplicates")]), output)


@pytest.mark.parametrize("name", ["ax-05", "ax-07"])
def test_ax_05_ax_07_exact_duplicates_go_and_near_ones_stay(rows, tmp_path, name):
    write_json(tmp_path / "rows.json", labelled(rows[name]["input"]["rows"]))
    distinct([tmp_path / "rows.json"], tmp_path / "out")
    assert pairs(read_lines(tmp_path / "out")) == rows[name]["expected"]["rows"]


def test_ax_06_the_later_source_loses_what_the_earlier_one_has(rows, tmp_path):
    for part in ("train", "eval"):
        write_json(tmp_path / f"{part}.json", labelled(rows["ax-06"]["input"][part]))
    distinct([tmp_path / "train.json", tmp_path / "eval.json"], tmp_path / "out")
    expected = rows["ax-06"]["expected"]
    assert pairs(read_lines(tmp_path / "out")) == expected["train"] + expected["eval"]


def test_ax_08_an_empty_turn_is_told(rows, shared, tmp_path):
    file = shared / "data" / rows["ax-08"]["input"]["file"]
    counts = merge([file], tmp_path / "out").ledger.total()
    assert counts.rejected == {"schema.empty": 1}
    assert (counts.examples, counts.parts_rejected) == (5, 2)


def test_ou_02_a_missing_output_is_told(rows):
    parsed = parse("alpaca", rows["ou-02"]["input"])
    assert verdicts(parsed) == [("output", "schema.missing_field", 1)]


@pytest.mark.parametrize("name", ["ou-03", "ou-04"])
def test_ou_03_ou_04_records_of_no_known_format_are_refused(rows, tmp_path, name):
    given = rows[name]["input"]
    write_json(tmp_path / "data.json", given if isinstance(given, list) else [given])
    with pytest.raises(dollymix.InputError) as refused:
        merge([tmp_path / "data.json"], tmp_path / "out")
    assert refused.value.reason == "format.unknown"


def test_ou_06_an_array_and_lines_give_the_same_set(rows, shared, tmp_path):
    for number, name in enumerate(rows["ou-06"]["input"]["files"]):
        merge([shared / "data" / name], tmp_path / str(number))
    assert read_lines(tmp_path / "0") == read_lines(tmp_path / "1") != []


def test_ou_07_a_file_is_known_by_its_content_not_by_its_name(rows, tmp_path):
    # They refuse the name; ours has no use for it.
    name = rows["ou-07"]["input"]["file"]
    write_lines(tmp_path / name, labelled([["a", 1]]))
    merge([tmp_path / name], tmp_path / "out")
    assert pairs(read_lines(tmp_path / "out")) == [["a", 1]]


def test_dj_04_input_stands_apart_from_the_instruction(rows):
    (example,) = parse("alpaca", rows["dj-04"]["input"]).examples
    made = {
        "instruction": example.instruction,
        "query": example.context,
        "response": example.response,
    }
    assert made == rows["dj-04"]["expected"]


def test_tf_01_two_pages_of_three_questions_give_three_rows(rows, tmp_path):
    def page(*questions):
        qas = [{"question": q, "answer": {"text": "물", "answer_start": 0}} for q in questions]
        return {"title": "물", "context": "물은 맑다.", "raw_html": "", "qas": qas}

    document = {"data": [page("무엇?", "어떤?"), page("어디?")]}
    write_json(tmp_path / "1.json", document)
    merge([tmp_path / "1.json"], tmp_path / "out")
    assert len(read_lines(tmp_path / "out")) == rows["tf-01"]["expected"]["rows"]


def test_lg_01_rows_as_an_array_and_as_lines_give_the_same_set(rows, tmp_path):
    given = rows["lg-01"]["input"]["rows"]
    write_json(tmp_path / "rows.json", given)
    write_lines(tmp_path / "rows.jsonl", given)
    merge([tmp_path / "rows.json"], tmp_path / "json")
    merge([tmp_path / "rows.jsonl"], tmp_path / "jsonl")
    assert read_lines(tmp_path / "json") == read_lines(tmp_path / "jsonl") != []


def test_lg_02_a_path_that_is_not_there_is_refused(rows, tmp_path):
    with pytest.raises(dollymix.InputError) as refused:
        merge([tmp_path / rows["lg-02"]["input"]["path"]], tmp_path / "out")
    assert refused.value.reason == "io.missing"
