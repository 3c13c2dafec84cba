"""Law 5: from each line back to its bytes, and from each record to what became of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dollymix
from tests.laws.builds import Build, scratch, write_recipe
from tests.laws.strategies import UNIT_BYTES, Case, Member, cases


def members(case: Case) -> dict[tuple[str, str], tuple[str, Member]]:
    """The streams of records of a case, with their format, by source and file."""
    return {
        (source.name, member.name): (source.form, member)
        for source in case.sources
        for member in source.members()
    }


def stored(member: Member, row: dict[str, Any]) -> str:
    """What the input holds in the byte range that a row names."""
    return member.data[row["byte_start"] : row["byte_end"]].decode(member.encoding)


def texts(form: str, record: Any, path: str) -> tuple[str, str | None, str]:
    """Instruction, context and response of the part at a path, looked up by hand. The context is
    None where an option makes it of other turns."""
    at = [int(number) for number in re.findall(r"\[([0-9]+)\]", path)]
    if form == "sharegpt":
        asked, answered = record["conversations"][at[0] - 1], record["conversations"][at[0]]
        return asked["value"], None, answered["value"]
    if form == "squad":
        paragraph = record["paragraphs"][at[0]]
        question = paragraph["qas"][at[1]]
        answer = question["answers"][at[2] if len(at) > 2 else 0]
        return question["question"], paragraph["context"], answer["text"]
    if form == "korquad2":
        question = record["qas"][at[0]]
        return question["question"], record["context"], question["answer"]["text"]
    answer = record["output"] if form == "alpaca" else record["response"]
    return record["instruction"], record.get("input", record.get("context")) or "", answer


@given(cases(), st.sampled_from(UNIT_BYTES))
def test_the_bytes_that_lineage_names_are_the_record_the_line_came_from(case, unit_bytes):
    inputs = members(case)
    with scratch() as folder:
        dollymix.merge(
            case.write(folder), folder / "out", workers=1, unit_bytes=unit_bytes, allow_empty=True
        )
        build = Build(folder / "out")
    for line, row in build.written():
        form, member = inputs[row["source"], row["file"]]
        text = stored(member, row)
        assert text.strip() == member.records[row["record"]].strip()
        asked, context, answer = texts(form, json.loads(text), row["path"])
        assert (line["instruction"], line["response"]) == (asked, answer)
        assert context is None or line["context"] == context


@given(cases(), st.sampled_from(UNIT_BYTES))
def test_a_reject_holds_the_bytes_it_names(case, unit_bytes):
    inputs = members(case)
    with scratch() as folder:
        dollymix.merge(
            case.write(folder), folder / "out", workers=1, unit_bytes=unit_bytes, allow_empty=True
        )
        build = Build(folder / "out")
    told = {}
    for row in build.rejects:
        _, member = inputs[row["source"], row["file"]]
        text = stored(member, row)
        assert text.strip() == member.records[row["record"]].strip()
        record = f"{row['source']}/{row['file']}#{row['record']}"
        if "bytes_with" in row:
            assert row["bytes_with"] == record
            assert told[record].strip() == text.strip()
        else:
            assert record not in told
            assert row["text"].strip() == text.strip()
            told[record] = text
        if member.framing == "jsonl":
            before = member.data[: row["byte_start"]].decode(member.encoding)
            assert row["line"] == before.count("\n") + 1
        else:
            assert row["line"] is None


@given(cases(), st.sampled_from(UNIT_BYTES))
def test_a_duplicate_names_the_one_that_stays_and_it_is_equal(case, unit_bytes):
    # One step over the whole set and no other, so that what stays is written.
    case.settings["steps"] = ["exact_duplicates"]
    for source in case.sources:
        source.settings.pop("steps", None)
    with scratch() as folder:
        dollymix.merge(
            case.write(folder), folder / "out", workers=1, unit_bytes=unit_bytes, allow_empty=True
        )
        build = Build(folder / "out")
    compared = ("instruction", "context", "response")
    written = {row["id"]: [line[key] for key in compared] for line, row in build.written()}
    values = list(written.values())
    assert all(values.count(value) == 1 for value in values)
    for row in build.dropped:
        assert (row["outcome"], row["reason"]) == ("duplicate", "duplicate.exact")
        assert written[row["because_of"]] == [row[key] for key in compared]


@given(cases(), st.data())
def test_explain_gives_the_bytes_of_any_line(case, data):
    inputs = members(case)
    with scratch() as folder:
        out = folder / "out"
        dollymix.merge(case.write(folder), out, workers=1, allow_empty=True)
        written = Build(out).written()
        if not written:
            return
        line, row = data.draw(st.sampled_from(written))
        life = dollymix.explain(out, row["id"])
        _, member = inputs[row["source"], row["file"]]
        assert life.raw == member.data[row["byte_start"] : row["byte_end"]]
        (part,) = life.parts
        assert (part.id, part.outcome, part.row["line"]) == (row["id"], "written", line)
        lines = (out / part.row["shard"]).read_bytes().split(b"\n")
        assert json.loads(lines[part.row["output_row"]]) == line
        whole = dollymix.explain(out, f"{row['source']}/{row['file']}#{row['record']}")
        assert row["id"] in [part.id for part in whole.parts]


@pytest.fixture
def told(place: Path) -> Path:
    """A build in which each outcome occurs: records 0 to 4 of one file."""
    records = [
        {"instruction": "가", "input": "문맥", "output": "나"},
        {"instruction": "가", "input": "문맥", "output": "나"},
        {"instruction": "다", "input": "", "output": "라"},
        {"instruction": "마", "input": "문맥"},
    ]
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    (place / "a.jsonl").write_text("\n".join(lines) + "\nno json", encoding="utf-8")
    filtering = {"required_text": {"fields": ["context"]}}
    recipe = {"sources": [{"name": "s", "files": ["a.jsonl"]}]}
    recipe["steps"] = [filtering, "exact_duplicates"]
    dollymix.merge(write_recipe(place, recipe), place / "out", workers=1)
    return place


@pytest.mark.parametrize(
    ("record", "outcome", "reason"),
    [
        (1, "duplicate", "duplicate.exact"),
        (2, "filtered", "text.blank"),
        (3, "rejected", "schema.missing_field"),
        (4, "rejected", "json.syntax"),
    ],
)
def test_explain_tells_what_became_of_a_record_that_was_lost(told, record, outcome, reason):
    life = dollymix.explain(told / "out", f"s/a.jsonl#{record}")
    (part,) = life.parts
    assert (part.outcome, part.row["reason"]) == (outcome, reason)
    if outcome == "duplicate":
        assert part.row["because_of"] == "s/a.jsonl#0"
    if outcome == "rejected":
        assert life.raw == (told / "a.jsonl").read_bytes().split(b"\n")[record]
    assert life.raw is not None or life.note


def test_explain_refuses_an_id_that_nothing_has(told):
    for identity in ("s/a.jsonl#9", "t/a.jsonl#0", "s/b.jsonl#0", "s/a.jsonl#0.path", "no id", ""):
        with pytest.raises(dollymix.UsageError):
            dollymix.explain(told / "out", identity)
    with pytest.raises(dollymix.UsageError):
        dollymix.explain(told, "s/a.jsonl#0")


def test_explain_does_not_show_the_bytes_of_an_input_that_was_changed(told):
    with open(told / "a.jsonl", "r+b") as file:
        file.write(b"[")
    life = dollymix.explain(told / "out", "s/a.jsonl#0")
    assert life.raw is None
    assert life.note
    (told / "a.jsonl").unlink()
    life = dollymix.explain(told / "out", "s/a.jsonl#0")
    assert life.raw is None
    assert life.note
    assert [part.outcome for part in life.parts] == ["written"]


def test_a_record_of_many_parts_is_told_part_by_part(place):
    turns = [("human", "q"), ("gpt", "a"), ("gpt", "b"), ("human", "q2"), ("gpt", " ")]
    record = {"conversations": [{"from": role, "value": value} for role, value in turns]}
    (place / "c.json").write_text(json.dumps([{"conversations": []}, record]))
    dollymix.merge([place / "c.json"], place / "out", workers=1)
    life = dollymix.explain(place / "out", "c/c.json#1")
    found = {part.id: part.outcome for part in life.parts}
    assert found == {
        "c/c.json#1.conversations[1]": "written",
        "c/c.json#1.conversations[2]": "rejected",
        "c/c.json#1.conversations[4]": "rejected",
    }
    assert json.loads(life.raw) == record
    (empty,) = dollymix.explain(place / "out", "c/c.json#0").parts
    assert (empty.outcome, empty.row["reason"], empty.row["parts"]) == (
        "rejected",
        "schema.empty",
        0,
    )
