"""`diff` tells what came, went and changed between two builds, by id."""

import json
import random

import pytest

import dollymix
from tests.laws.builds import run_command, scratch, write_recipe


@pytest.fixture
def place():
    """A folder for one test."""
    with scratch() as folder:
        yield folder


def build(place, name, rows, **settings):
    """A build of rows, one source `s` with one file."""
    lines = [json.dumps({"instruction": q, "output": a}, ensure_ascii=False) for q, a in rows]
    (place / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    recipe = {"sources": [{"name": "s", "files": ["a.jsonl"]}], **settings}
    dollymix.merge(write_recipe(place, recipe), place / name, workers=1)
    return place / name


ROWS = [(f"질문 {n}", f"답 {n}") for n in range(300)]


def test_a_build_does_not_differ_from_itself(place):
    old = build(place, "old", ROWS)
    found = dollymix.diff(old, old)
    assert found.is_empty
    assert (found.same, found.came, found.went, found.changed) == (300, {}, {}, {})


def test_what_came_went_and_changed_is_counted_and_shown(place):
    old = build(place, "old", ROWS[:200])
    changed = [(q, "other") if n in (3, 5) else (q, a) for n, (q, a) in enumerate(ROWS[:210])]
    changed[7] = ("", "")
    new = build(place, "new", changed)
    found = dollymix.diff(old, new)
    assert not found.is_empty
    assert found.came == {"s": 10}
    assert found.went == {"s": 1}
    assert found.changed == {"s": 2}
    assert found.same == 197
    assert found.shown["changed"] == ["s/a.jsonl#3", "s/a.jsonl#5"]
    assert found.shown["went"] == ["s/a.jsonl#7"]
    assert len(found.shown["came"]) == 5
    assert any("schema.empty" in key for key in found.reasons)
    back = dollymix.diff(new, old)
    assert (back.came, back.went, back.changed) == (found.went, found.came, found.changed)


def test_order_and_splits_alone_are_no_difference_of_examples(place):
    old = build(place, "old", ROWS)
    new = build(place, "new", ROWS, shuffle=True, splits={"train": 0.5, "test": 0.5})
    found = dollymix.diff(old, new)
    assert (found.came, found.went, found.changed, found.same) == ({}, {}, {}, 300)


def test_what_the_books_say_otherwise_is_told(place):
    rows = random.Random(1).choices(ROWS, k=100)
    old = build(place, "old", rows)
    new = build(place, "new", rows, steps=["exact_duplicates"])
    found = dollymix.diff(old, new)
    twice = 100 - len(set(rows))
    assert found.went == {"s": twice}
    assert (0, twice) in found.reasons.values()


def test_what_is_no_build_is_refused(place):
    old = build(place, "old", ROWS[:3])
    for pair in ((old, place), (place / "none", old)):
        with pytest.raises(dollymix.UsageError):
            dollymix.diff(*pair)


def test_the_command_prints_it(place):
    old, new = build(place, "old", ROWS[:3]), build(place, "new", ROWS[:4])
    done = run_command("diff", str(old), str(new), "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["came"] == {"s": 1}
    assert "s/a.jsonl#3" in run_command("diff", str(old), str(new)).stdout
