"""The books: what each count means, and that they do not balance where something is missing."""

import json

import msgspec
import pytest

from dollymix.errors import InternalError
from dollymix.example import Example, Origin
from dollymix.ledger import (
    Ledger,
    RefusedFile,
    SourceCounts,
    Verdict,
    filtered,
    part_fault,
    reject,
)

ORIGIN = Origin("s", "a.json", 12, "conversations[0]")


def test_a_reject_is_of_its_part_and_says_where_the_fault_is():
    verdict = reject(ORIGIN, "conversations[3]", "schema.type", "is a number", parts=2)
    assert verdict.origin == Origin("s", "a.json", 12, "conversations[3]")
    assert (verdict.outcome, verdict.step, verdict.reason) == ("rejected", "parse", "schema.type")
    assert (verdict.message, verdict.path, verdict.parts) == ("is a number", "conversations[3]", 2)
    deeper = reject(ORIGIN, "x", "schema.type", "is a number", path="x.y")
    assert (deeper.origin.path, deeper.path, deeper.parts) == ("x", "x.y", 1)
    assert reject(ORIGIN, "", "json.syntax", "is cut off").path == ""


def test_what_a_step_takes_out_is_told_with_its_example():
    example = Example(instruction="q", response="a", origin=ORIGIN)
    assert filtered(example, "length", "length.too_long", "is long") == Verdict(
        origin=ORIGIN,
        outcome="filtered",
        step="length",
        reason="length.too_long",
        message="is long",
        example=example,
    )


def test_what_is_dropped_is_counted_by_its_outcome():
    counts = SourceCounts()
    counts.dropped("filtered", "length", "length.too_long")
    counts.dropped("filtered", "length", "length.too_long")
    counts.dropped("duplicate", "exact_duplicates", "duplicate.exact")
    counts.dropped("not_sampled", "mix", "mix.share")
    counts.dropped("contaminated", "benchmarks", "contaminated.ngram")
    counts.dropped("contaminated", "benchmarks", "contaminated.ngram")
    assert counts.filtered == {"length/length.too_long": 2}
    assert counts.duplicate == {"duplicate.exact": 1}
    assert counts.contaminated == {"contaminated.ngram": 2}
    assert counts.not_sampled == 1
    counts.dropped("not_sampled", "mix", "mix.share")
    assert counts.not_sampled == 2


def test_rejects_count_once_and_cover_their_parts():
    counts = SourceCounts()
    for parts in (1, 2, 4):
        counts.rejected_verdict(reject(ORIGIN, "", "schema.empty", "is empty", parts=parts))
    assert (counts.rejected, counts.parts_rejected) == ({"schema.empty": 3}, 7)


def test_warnings_and_changes_add_up():
    counts = SourceCounts()
    counts.warn("text.mojibake")
    counts.warn("text.mojibake")
    counts.warn("unread_key.x", 40)
    assert counts.warnings == {"text.mojibake": 2, "unread_key.x": 40}
    counts.change("no_input", -2)
    counts.change("no_input", -2)
    counts.change("html", 2)
    assert counts.changed == {"no_input": 2, "html": 1}
    assert counts.changed_characters == {"no_input": -4, "html": 2}


def test_counts_of_units_are_added_field_by_field():
    one = SourceCounts(records=2, rejected={"a": 1}, files_refused=[RefusedFile("x", "io.missing")])
    one.add(SourceCounts(records=3, rejected={"a": 2, "b": 5}, not_sampled=1))
    assert (one.records, one.rejected, one.not_sampled) == (5, {"a": 3, "b": 5}, 1)
    assert [refused.file for refused in one.files_refused] == ["x"]


BALANCED = SourceCounts(
    records=6, with_examples=3, only_rejected=2, empty=1, parts=9, parts_used=7, parts_rejected=2,
    examples=10, repeated=1, written=5, filtered={"s/a": 1}, duplicate={"b": 2},
    contaminated={"c": 1}, not_sampled=2,
)  # fmt: skip


def test_balanced_books():
    assert BALANCED.imbalances() == []
    Ledger(sources={"s": BALANCED}).check()


@pytest.mark.parametrize(
    ("field", "law"),
    [
        *((name, "records = ") for name in ("records", "with_examples", "only_rejected", "empty")),
        *((name, "parts = ") for name in ("parts", "parts_used", "parts_rejected")),
        *((name, "examples + ") for name in ("examples", "repeated", "written", "not_sampled")),
    ],
)
def test_each_count_is_held_against_the_others(field, law):
    wrong = msgspec.structs.replace(BALANCED, **{field: getattr(BALANCED, field) + 1})
    (line,) = wrong.imbalances()
    assert line.startswith(law)
    with pytest.raises(InternalError) as caught:
        Ledger(sources={"good": BALANCED, "bad": wrong}).check()
    assert str(caught.value) == f"the books do not balance; nothing is published: bad: {line}"
    with pytest.raises(InternalError, match=r"published: one: .*[0-9]; two: "):
        Ledger(sources={"one": wrong, "two": wrong}).check()


@pytest.mark.parametrize("table", ["filtered", "duplicate", "contaminated"])
def test_each_table_of_drops_is_held_against_the_examples(table):
    wrong = msgspec.structs.replace(BALANCED, **{table: {"x": 9}})
    (line,) = wrong.imbalances()
    there = 10 - sum(getattr(BALANCED, table).values()) + 9 + 1
    assert line == f"examples + repeated = written + dropped: 11 is not {there}"


def test_the_total_names_the_source_of_a_refused_file():
    refused = msgspec.structs.replace(BALANCED, files_refused=[RefusedFile("x.json", "io.a", 7)])
    books = Ledger(sources={"one": refused, "two": refused})
    total = books.total()
    assert total.files_refused == [
        RefusedFile("one/x.json", "io.a", 7),
        RefusedFile("two/x.json", "io.a", 7),
    ]
    assert (total.records, total.filtered) == (12, {"s/a": 2})
    # The sources keep their own.
    assert refused.files_refused == [RefusedFile("x.json", "io.a", 7)]


def test_the_file_has_every_count_and_its_tables_in_order():
    counts = SourceCounts(
        rejected={"b": 1, "a": 2}, filtered={"z/b": 1, "z/a": 1}, duplicate={"d": 1, "c": 1},
        contaminated={"f": 1, "e": 1}, warnings={"h": 1, "g": 1}, changed={"j": 1, "i": 1},
        changed_characters={"j": 1, "i": 1}, measures={"l/b": 1, "l/a": 0},
    )  # fmt: skip
    body = Ledger(sources={"two": counts, "one": SourceCounts()}).encode()
    # For people, too: two blanks a level.
    assert body.startswith(b'{\n  "schema": 1,\n  "sources": {\n    "two": {\n')
    assert body.endswith(b"\n")
    told = json.loads(body)
    assert list(told) == ["schema", "sources", "total"]
    assert told["schema"] == 1
    # Sources in the recipe's order, tables by their keys.
    assert list(told["sources"]) == ["two", "one"]
    for books in (told["sources"]["two"], told["total"]):
        tables = {name: list(value) for name, value in books.items() if isinstance(value, dict)}
        assert tables == {name: sorted(keys) for name, keys in tables.items()}
        assert len(tables) == 8
    assert told["sources"]["one"]["rejected"] == {}
    assert told["sources"]["one"]["records"] == 0


def test_parts_stand_in_one_place_each():
    assert part_fault(3, 2, 1, ["a", "b"]) is None
    assert part_fault(3, 2, 0, []) == "has 3 parts, of which 2 are used and 0 are rejected"
    assert part_fault(2, 2, 0, ["b", "a", "a"]) == "has its part `a` in two places"
