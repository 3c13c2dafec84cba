"""Equal examples go, the first stays, and each that goes names it."""

import pytest

from tests.helpers import merge, read_dropped, read_ledger, read_lineage, read_lines, write_lines


def row(instruction, output="o", context=""):
    return {"instruction": instruction, "input": context, "output": output}


def build(tmp_path, files, recipe):
    """A build of `{file: rows}`."""
    for name, rows in files.items():
        write_lines(tmp_path / f"{name}.json", rows)
    merge(recipe, tmp_path / "out")
    return tmp_path / "out"


def one(tmp_path, rows, step="exact_duplicates"):
    recipe = f"version: 1\nsources: [{{name: a, files: [a.json]}}]\nsteps: [{step}]\n"
    return build(tmp_path, {"a": rows}, recipe)


def left(out):
    return [line["instruction"] for line in read_lines(out)]


def gone(out):
    """Which went, and because of which."""
    return {dropped["id"]: dropped["because_of"] for dropped in read_dropped(out)}


def test_the_first_stays_and_the_others_name_it(tmp_path):
    out = one(tmp_path, [row("a"), row("b"), row("a"), row("a"), row("b")])
    assert left(out) == ["a", "b"]
    assert gone(out) == {
        "a/a.json#2": "a/a.json#0",
        "a/a.json#3": "a/a.json#0",
        "a/a.json#4": "a/a.json#1",
    }


def test_duplicates_are_counted_by_reason_and_keep_their_text(tmp_path):
    out = one(tmp_path, [row("a"), row("a")])
    total = read_ledger(out)["total"]
    assert (total["duplicate"], total["written"]) == ({"duplicate.exact": 1}, 1)
    (dropped,) = read_dropped(out)
    assert (dropped["outcome"], dropped["step"], dropped["reason"]) == (
        "duplicate",
        "exact_duplicates",
        "duplicate.exact",
    )
    assert "a" in str(dropped)


@pytest.mark.parametrize(
    "other",
    [row("a", "p"), row("a", context="c"), row("A"), row("a "), row("a\u200b"), row("", "ao")],
)
def test_letter_for_letter_means_every_letter(tmp_path, other):
    other = {**other, "instruction": other["instruction"] or "ao"}
    assert len(left(one(tmp_path, [row("a"), other]))) == 2


def test_text_does_not_flow_from_one_field_into_the_next(tmp_path):
    rows = [row("ab", "c"), row("a", "bc"), row("a", "c", "b"), row("abc", "c")]
    assert len(left(one(tmp_path, rows))) == 4


def test_without_folding_decomposed_hangul_is_another_text(tmp_path):
    assert len(left(one(tmp_path, [row("가"), row("\u1100\u1161")]))) == 2


@pytest.mark.parametrize(
    "other", ["hello  WORLD", " Hello World\r\n", "Hello\u00a0World", "Hel\u00adlo World"]
)
def test_with_folding_what_reads_the_same_is_equal(tmp_path, other):
    out = one(tmp_path, [row("Hello World"), row(other)], "{exact_duplicates: {fold: true}}")
    assert left(out) == ["Hello World"]


def test_the_fields_that_must_be_equal_may_be_chosen(tmp_path):
    rows = [row("a", "o"), row("a", "p"), row("b", "o")]
    out = one(tmp_path, rows, "{exact_duplicates: {fields: [instruction]}}")
    assert [(line["instruction"], line["response"]) for line in read_lines(out)] == [
        ("a", "o"),
        ("b", "o"),
    ]


def test_system_is_a_field_only_when_asked_for(tmp_path):
    rows = [{**row("a"), "system": "s"}, {**row("a"), "system": "t"}]
    assert len(left(one(tmp_path / "1", rows))) == 1
    step = "{exact_duplicates: {fields: [system, instruction, context, response]}}"
    assert len(left(one(tmp_path / "2", rows, step))) == 2


TWO = """
version: 1
sources:
  - {{name: b, files: [b.json]{own}}}
  - {{name: a, files: [a.json]}}
steps: [{top}]
"""
FILES = {"a": [row("x"), row("x"), row("y")], "b": [row("y"), row("x"), row("y")]}


def test_at_the_top_sources_are_compared_and_the_recipes_first_wins(tmp_path):
    out = build(tmp_path, FILES, TWO.format(own="", top="exact_duplicates"))
    assert left(out) == ["y", "x"]
    assert {entry["source"] for entry in read_lineage(out)} == {"b"}
    assert gone(out) == {
        "b/b.json#2": "b/b.json#0",
        "a/a.json#0": "b/b.json#1",
        "a/a.json#1": "b/b.json#1",
        "a/a.json#2": "b/b.json#0",
    }


def test_a_sources_own_step_compares_that_source_alone(tmp_path):
    out = build(tmp_path, FILES, TWO.format(own=", steps: [exact_duplicates]", top=""))
    assert left(out) == ["y", "x", "x", "x", "y"]
    assert gone(out) == {"b/b.json#2": "b/b.json#0"}


def test_own_step_and_top_step_lose_each_example_once(tmp_path):
    text = TWO.format(own=", steps: [exact_duplicates]", top="exact_duplicates")
    out = build(tmp_path, FILES, text)
    assert left(out) == ["y", "x"]
    assert len(gone(out)) == 4


def test_files_of_one_source_are_compared_in_the_order_listed(tmp_path):
    recipe = (
        "version: 1\nsources: [{name: s, files: [b.json, a.json]}]\nsteps: [exact_duplicates]\n"
    )
    out = build(tmp_path, FILES, recipe)
    assert left(out) == ["y", "x"]
    assert {entry["file"] for entry in read_lineage(out)} == {"b.json"}


def test_pairs_of_one_conversation_are_examples_of_their_own(tmp_path):
    pair = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    out = one(tmp_path, [{"conversations": pair * 2}])
    assert gone(out) == {"a/a.json#0.conversations[3]": "a/a.json#0.conversations[1]"}
